"""A handler that raises leaves nothing behind but the record of its failure."""

import pykka
import pytest

from rescind.actors.runtime import Actor
from rescind.events import Ask, Born, Failed, Raised, Stopped, Tell

from .actors import Doubler, Sums
from .recordings import events_of, turn_of, turns


class Careless(Actor):
    """Decides all sorts of things, then raises."""

    def __init__(self, sums):
        self.sums = sums

    def on_receive(self, message):
        self.sums.tell(1)
        self.sums.ask(2, block=False)
        self.send_after(0, "later")
        if message != "fine":
            raise LookupError("as asked")


def test_a_failed_turn_sends_and_sets_nothing(runtime):
    sums = runtime.start(Sums)
    ref = runtime.start(Careless, sums)
    with pytest.raises(LookupError):
        ref.ask("fail")
    ref.tell("fail")
    ref.stop()
    assert sums.ask("sum?") == 0
    assert turn_of(runtime, Ask("fail")).events == (Raised("LookupError: as asked"),)
    assert [type(event) for event in turn_of(runtime, Tell("fail")).events] == [Failed, Stopped]
    assert runtime.timers.next_deadline_ns() is None, "a forgotten timer must not stay armed"


def test_the_same_turn_without_the_failure_sends_all_of_it(runtime):
    sums = runtime.start(Sums)
    runtime.start(Careless, sums).ask("fine")
    assert sums.ask("sum?") == 3


def test_a_failed_tell_stops_the_actor_and_says_why(runtime):
    ref = runtime.start(Doubler)
    ref.tell("fail")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(1)
    error = "LookupError: as asked"
    assert turn_of(runtime, Tell("fail")).events == (
        Failed(error),
        Stopped(ref.number, error),
    )


def test_the_backlog_of_a_failed_actor_becomes_dead_letters(stepped):
    ref = stepped.start(Doubler)
    ref.tell("fail")
    waiting = [ref.ask(n, block=False) for n in range(3)]
    for each in waiting:
        with pytest.raises(pykka.ActorDeadError):
            each.get()


class Stillborn(Actor):
    def on_start(self):
        raise LookupError("as asked")


def test_an_actor_that_fails_while_it_starts_was_born_and_has_stopped(runtime):
    ref = runtime.start(Stillborn)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(1)
    [start] = [turn for turn in turns(runtime) if turn.actor == ref.number and turn.number == 1]
    assert [type(event) for event in start.events] == [Born, Failed, Stopped]


def test_a_constructor_that_raises_starts_nothing(runtime):
    class Unborn(Actor):
        def __init__(self):
            raise LookupError("as asked")

    with pytest.raises(LookupError):
        runtime.start(Unborn)
    assert events_of(runtime, Born) == []
    assert runtime.start(Doubler).ask(1) == 2


def test_a_hook_that_raises_changes_nothing(runtime):
    class Clumsy(Actor):
        def on_stop(self):
            raise LookupError("in on_stop")

        def on_failure(self, *_):
            raise LookupError("in on_failure")

        def on_receive(self, _message):
            raise LookupError("as asked")

    assert runtime.start(Clumsy).stop() is True
    ref = runtime.start(Clumsy)
    ref.tell(1)
    ref.stop()
    assert not ref.is_alive()
    assert runtime.start(Doubler).ask(1) == 2


def test_values_that_no_log_can_carry_go_through_and_are_marked(recordings, dispatcher):
    class Keeps(Actor):
        def on_receive(self, message):
            return message

    runtime = recordings.open(dispatcher)
    ref = runtime.start(Keeps)
    circle: list = []
    circle.append(circle)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    for value in (object(), circle, deep, 1 << 100, "\udc80", {object(): 1}, {1, 2}):
        assert ref.ask(value) is value
    asked = [turn for turn in turns(runtime) if isinstance(turn.message, Ask)]
    assert len(asked) == 7
    assert not any(turn.replayable for turn in asked)


class Leaves(Actor):
    """Raises what no handler should."""

    def on_receive(self, message):
        if message == "leave":
            raise SystemExit(3)
        return message


def test_a_system_exit_in_one_handler_is_not_somebody_elses(stepped):
    leaving, other = stepped.start(Leaves), stepped.start(Doubler)
    asked = leaving.ask("leave", block=False)
    assert other.ask(1) == 2, "who only ran the turn for another must not hear of it"
    with pytest.raises((SystemExit, pykka.ActorDeadError)):
        asked.get()
