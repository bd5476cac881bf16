"""L11 and restarts: an incarnation begins because that was decided, and once."""

from dataclasses import replace

import pytest

from rescind import Actor, Runtime, Stepped, Supervision
from rescind.events import Restart, Restarted, Supervised, Tell, read
from rescind.replay import Verdict, check


class Child(Actor):
    def on_receive(self, message):
        if message == "fail":
            raise LookupError("as asked")


class Parent(Actor):
    supervision = Supervision(backoff_s=(1, 1))

    def on_receive(self, _):
        return Child.start()


@pytest.fixture(scope="module")
def recorded():
    """Two restarts, and a message that waited for each."""
    stepped = Stepped()
    with Runtime.open(dispatcher=stepped) as runtime:
        child = runtime.start(Parent).ask("start")
        for _ in range(2):
            child.tell("fail")
            child.tell("waits")
            stepped.advance(2)
        runtime.flush()
        return list(read(runtime.log))


def broken(turns):
    return [
        finding.text
        for law in check(turns).laws
        for finding in law.of(Verdict.BROKEN)
        if law.law == "L11"
    ]


def without(turns, kind):
    """Take an event out of every turn."""
    return [
        replace(turn, events=tuple(e for e in turn.events if not isinstance(e, kind)))
        for turn in turns
    ]


def test_restarts_break_no_law(recorded):
    assert len([turn for turn in recorded if isinstance(turn.message, Restart)]) == 2
    assert broken(recorded) == []


def test_a_restart_that_nobody_decided_is_accused(recorded):
    found = broken(without(recorded, Supervised))
    assert found == ["a3 restarted, and nobody decided that"] * 2


def test_an_incarnation_that_comes_twice_is_accused(recorded):
    same = [
        replace(turn, events=(Restarted(3, 2),)) if isinstance(turn.message, Restart) else turn
        for turn in recorded
    ]
    assert broken(same) == ["a3 restarted as incarnation 2 after 2"]


def test_a_message_between_two_incarnations_is_accused(recorded):
    at = next(n for n, turn in enumerate(recorded) if isinstance(turn.message, Restart))
    swapped = [replace(recorded[at], message=Tell("early"), events=()), *recorded[at + 1 :]]
    found = broken([*recorded[:at], *swapped])
    assert "a3 took a message between two incarnations" in found


def test_where_the_beginning_is_missing_nothing_is_said_of_what_was_decided_there(recorded):
    at = next(n for n, turn in enumerate(recorded) if isinstance(turn.message, Restart))
    assert broken(recorded[at:]) == []
