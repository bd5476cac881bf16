"""Actors whose constructor raises."""

import pytest

from rescind import Actor, Runtime, Stepped
from rescind.actors.runtime import UsageError
from rescind.events import Failed, Stopped, read
from rescind.replay._rerun.rerun import rerun


class Stillborn(Actor):
    def __init__(self):
        raise ValueError("not today")


class Parent(Actor):
    def on_receive(self, message):
        self.child = self.runtime.start(Stillborn)
        return message


class Echo(Actor):
    def on_receive(self, message):
        return message


@pytest.mark.parametrize("dispatcher", [None, Stepped()], ids=["thread", "stepped"])
def test_a_child_that_cannot_be_made_harms_nobody_else(dispatcher):
    with Runtime.open(dispatcher=dispatcher) as runtime:
        parent, echo = runtime.start(Parent), runtime.start(Echo)
        assert parent.ask(1) == 1
        assert echo.ask(2) == 2
    events = [event for turn in read(runtime.log) for event in turn.events]
    assert Failed("ValueError: not today") in events
    assert any(isinstance(event, Stopped) and event.error for event in events)
    assert rerun(read(runtime.log), classes=[Parent, Echo, Stillborn]).divergence is None


def test_a_failed_start_from_outside_raises_and_uses_no_number_up():
    with Runtime.open(dispatcher=Stepped()) as runtime:
        with pytest.raises(ValueError, match="not today"):
            runtime.start(Stillborn)
        with pytest.raises(UsageError, match="not a subclass"):
            runtime.start(int)  # type: ignore[type-var]
        assert runtime.start(Echo).ask(3) == 3
    assert rerun(read(runtime.log), classes=[Echo]).divergence is None
