"""Messages that an actor puts aside, and takes up again before all others."""

from typing import Any

import pykka
import pytest

from rescind import Actor as NativeActor
from rescind import message
from rescind.actors.native import RequestFailed
from rescind.actors.runtime import Actor, UsageError
from rescind.events import (
    Ask,
    Stashed,
    Unstashed,
)

from .actors import held
from .recordings import events_of, turns


@message
class Job:
    n: int


class Door(Actor):
    """Takes nothing while it is shut, and then everything in its order."""

    def __init__(self):
        self.is_open = False
        self.taken = []

    def on_receive(self, message):
        match message:
            case "open":
                self.is_open = True
                self.unstash()
            case "shut":
                self.is_open = False
            case "fail":
                self.stash()
                raise LookupError("as asked")
            case _ if not self.is_open:
                self.stash()
            case _:
                self.taken.append(message)
        return list(self.taken)


def test_what_was_put_aside_comes_back_before_what_waits_in_its_order(runtime):
    ref = runtime.start(Door)
    with held(runtime):
        for each in (1, 2, 3, "open", 4, 5):
            ref.tell(each)
    assert ref.ask(6) == [1, 2, 3, 4, 5, 6]


def test_an_ask_is_answered_when_it_is_really_handled(runtime):
    ref = runtime.start(Door)
    asked = ref.ask(1, block=False)
    ref.ask("shut")
    assert not asked.is_done
    ref.tell("open")
    assert asked.get() == [1]
    first, second = [turn for turn in turns(runtime) if turn.message == Ask(1)]
    assert first.events == (Stashed(1),)
    assert second.cause.number == first.number
    assert events_of(runtime, Unstashed) == [Unstashed([first.number])]


def test_what_is_put_aside_again_keeps_waiting(runtime):
    class Twice(Door):
        seen = 0

        def on_receive(self, message):
            self.seen += message == 1
            if message == 1 and self.seen == 2:
                self.stash()
                return None
            return super().on_receive(message)

    ref = runtime.start(Twice)
    asked = ref.ask(1, block=False)
    ref.ask("open")
    ref.ask("open")
    assert asked.get() == [1]
    assert len(events_of(runtime, Stashed)) == 2


def test_a_handler_that_fails_puts_nothing_aside(runtime):
    ref = runtime.start(Door)
    with pytest.raises(LookupError):
        ref.ask("fail")
    assert ref.ask("open") == []
    assert events_of(runtime, Stashed) == []


@pytest.mark.parametrize("urgent", [False, True])
def test_nobody_hangs_who_was_put_aside_when_the_actor_stops(runtime, urgent):
    ref = runtime.start(Door)
    asked = [ref.ask(n, block=False) for n in range(3)]
    ref.ask("shut")
    ref.stop(urgent=urgent)
    for each in asked:
        with pytest.raises(pykka.ActorDeadError):
            each.get()


def test_nobody_hangs_who_was_put_aside_when_the_runtime_closes(runtime):
    ref = runtime.start(Door)
    asked = ref.ask(1, block=False)
    ref.ask("shut")
    runtime.close()
    with pytest.raises(pykka.ActorDeadError):
        asked.get()


def test_a_call_through_a_proxy_can_be_put_aside(runtime):
    class Proxied(Door):
        def take(self, value):
            if not self.is_open:
                self.stash()
                return None
            return value

    ref = runtime.start(Proxied)
    taken = ref.proxy().take(5)
    ref.ask("shut")
    ref.tell("open")
    assert taken.get() == 5


class JobDoor(NativeActor):
    is_open = False

    def on_job(self, m: Job) -> int:
        if not self.is_open:
            self.stash()
        return m.n

    def on_receive(self, message: Any) -> Any:
        if message == "open":
            self.is_open = True
            self.unstash()
            return None
        return super().on_receive(message)


def test_a_request_that_was_put_aside_ends_when_it_is_really_handled(runtime):
    ref = runtime.start(JobDoor)
    first, second = ref.request(Job(1)), ref.request(Job(2))
    ref.ask(Job(0), block=False)
    second.cancel("not needed")
    ref.ask("open")
    assert first.get() == 1


def test_a_request_that_was_put_aside_ends_with_its_actor(runtime):
    ref = runtime.start(JobDoor)
    request = ref.request(Job(1))
    ref.stop()
    with pytest.raises(RequestFailed, match="stopped"):
        request.get()


def test_what_cannot_be_put_aside_is_refused(stepped):
    class Early(Actor):
        def on_start(self):
            with pytest.raises(UsageError, match="only a message"):
                self.stash()

        def on_receive(self, _message):
            self.stash()
            with pytest.raises(UsageError, match="already"):
                self.stash()

    ref = stepped.start(Early)
    ref.tell(1)
    stepped.dispatcher.run()
    with pytest.raises(UsageError, match="outside of a turn"):
        ref._actor_weakref().stash()
    with pytest.raises(UsageError, match="outside of a turn"):
        ref._actor_weakref().unstash()
