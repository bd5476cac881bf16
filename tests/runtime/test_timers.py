"""Timers count in the runtime's time, fire once, and their turn names the one that set them."""

import threading
from functools import partial

import pytest

from rescind.actors.runtime import Actor, Timer, Timers
from rescind.events import Ask, Origin, Tell, TimerSet

from .actors import Bell
from .recordings import turn_of, turns


class Alarm(Actor):
    """Sets timers, (seconds, name) each, and notes when it hears of them."""

    def __init__(self):
        self.heard = []
        self.timers = {}

    def on_receive(self, message):
        match message:
            case [*requests] if requests and isinstance(requests[0], tuple | list):
                for seconds, name in requests:
                    self.timers[name] = self.send_after(seconds, name)
            case "heard?":
                return self.heard
            case ("cancel", name):
                self.timers[name].cancel()
            case _:
                self.heard.append((message, self.now_ns))
        return None


def test_timers_fire_in_the_order_of_their_deadlines_in_virtual_time(stepped):
    ref = stepped.start(Alarm)
    ref.ask([(5, "late"), (1, "soon"), (5, "late, too")])
    stepped.dispatcher.advance(0.999)
    assert ref.ask("heard?") == []
    stepped.dispatcher.advance(0.001)
    assert ref.ask("heard?") == [("soon", 1_000_000_000)]
    stepped.dispatcher.advance(10)
    late = [("late", 5_000_000_000), ("late, too", 5_000_000_000)]
    assert ref.ask("heard?")[1:] == late
    assert stepped.clock.now_ns() == 11_000_000_000


def test_a_timers_turn_names_the_turn_that_set_it(stepped):
    ref = stepped.start(Alarm)
    ref.ask([(2, "later")])
    stepped.dispatcher.advance(3)
    fired = turn_of(stepped, Tell("later"))
    set_by = next(turn for turn in turns(stepped) if TimerSet in map(type, turn.events))
    assert fired.origin is Origin.TIMER
    assert fired.cause.number == set_by.number
    assert TimerSet(2_000_000_000) in set_by.events
    assert fired.time_ns == 2_000_000_000


def test_a_cancelled_timer_does_not_fire(stepped):
    ref = stepped.start(Alarm)
    ref.ask([(1, "never"), (2, "later")])
    ref.ask(("cancel", "never"))
    stepped.dispatcher.advance(3)
    assert [name for name, _ in ref.ask("heard?")] == ["later"]


def test_a_timer_of_a_stopped_actor_is_a_dead_letter_and_no_error(stepped):
    ref = stepped.start(Alarm)
    ref.ask([(1, "too late")])
    ref.stop()
    stepped.dispatcher.advance(2)
    assert [type(event).__name__ for event in turn_of(stepped, Tell("too late")).events] == [
        "DeadLetter"
    ]


@pytest.mark.parametrize("attempt", range(20))
def test_a_timer_fires_in_real_time_though_nothing_else_happens(recordings, attempt):
    """Whoever ran the turn that set it: the background thread may sleep already."""
    runtime = recordings.open("thread")
    bell = threading.Event()
    ref = runtime.start(Bell, bell)
    ref.ask(0.001)
    assert bell.wait(10), "the timer never fired"


def test_an_earlier_timer_is_not_late_because_a_later_one_was_set_first(recordings):
    runtime = recordings.open("thread")
    late, soon = threading.Event(), threading.Event()
    runtime.start(Bell, late).ask(3600)
    runtime.start(Bell, soon).ask(0.001)
    assert soon.wait(10)
    assert not late.is_set()


def test_the_record_bears_the_time_that_the_handler_saw(runtime):
    class Clock(Actor):
        def on_receive(self, _message):
            return self.now_ns

    assert runtime.start(Clock).ask("now?") == turn_of(runtime, Ask("now?")).time_ns


def test_the_heap_forgets_cancelled_timers_and_keeps_the_order_of_equal_deadlines():
    timers = Timers()
    fired: list = []
    armed = [Timer(7, partial(fired.append, n)) for n in range(10)]
    early = Timer(3, partial(fired.append, "early"))
    for timer in (*armed, early):
        timers.arm(timer)
    early.cancel()
    armed[4].cancel()
    assert timers.next_deadline_ns() == 7
    assert not timers.fire_due(6)
    assert timers.fire_due(7)
    assert fired == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert timers.next_deadline_ns() is None
