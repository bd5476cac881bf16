"""Whoever is busy keeps nobody else waiting; and whoever is slow is noticed."""

import logging
import os
import threading
import time
from functools import partial
from itertools import pairwise
from statistics import median

import pytest

from rescind.actors.runtime import Actor, Reply, Runtime, VirtualClock
from rescind.events import Ask, Log, SlowTurn, Suspended, read
from rescind.replay._rerun.rerun import rerun

from .actors import Bell, Doubler, Sums
from .helpers import PATIENCE_S, Helper
from .recordings import DISPATCHERS, events_of, turn_of, turns

REAL_TIME = [each for each in DISPATCHERS if each != "stepped"]


class Busy(Actor):
    """Sends itself a message in every turn, until it is told to stop."""

    must_stop = False

    def on_receive(self, message):
        if not self.must_stop:
            self.actor_ref.tell(message)


@pytest.fixture(params=REAL_TIME)
def busy(request, recordings, monkeypatch):
    """A runtime in which messages never run out before the test ends."""
    runtime = recordings.open(request.param)
    monkeypatch.setattr(Busy, "must_stop", False)
    for _ in range(10):
        runtime.start(Busy).tell("again")
    yield runtime
    Busy.must_stop = True


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so", tried=False)
def test_a_busy_runtime_takes_asks_from_any_thread(busy):
    ref = busy.start(Doubler)
    askers = [Helper(partial(ref.ask, n, timeout=PATIENCE_S)) for n in range(4)]
    assert [each.result() for each in askers] == [0, 2, 4, 6]


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so", tried=False)
def test_whoever_asks_a_busy_runtime_waits_for_some_turns_only(busy):
    """Not for tens of thousands, because the one who runs them never lets go for long enough."""
    ref = busy.start(Doubler)
    for n in range(11):
        ref.ask(n)
    Busy.must_stop = True
    asked = [turn.number for turn in turns(busy) if isinstance(turn.message, Ask)]
    assert median(after - before for before, after in pairwise(asked)) < 5_000


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so", tried=False)
def test_a_busy_runtime_fires_timers(busy):
    bell = threading.Event()
    busy.start(Bell, bell).tell(0.001)
    assert bell.wait(PATIENCE_S)


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so", tried=False)
def test_a_busy_runtime_admits_calls_and_cancels_what_is_outstanding(busy, connect):
    def use():
        endpoint, _ = connect(busy)
        request = endpoint.output("x", asynchronous=True)
        endpoint.cancel()
        return request.wait_done(PATIENCE_S) and request.result

    assert Helper(use).result() == -16005


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so", tried=False)
def test_a_busy_runtime_writes_what_is_recorded(busy):
    Helper(busy.flush).result()


# --- slow turns ----------------------------------------------------------------------------------


class Naps(Actor):
    """Takes as long as it is told to, and answers with how long that was at least."""

    def on_receive(self, message):
        until = time.monotonic() + message
        while time.monotonic() < until:
            time.sleep(message)
        return message


class PinnedNaps(Naps):
    dispatcher = "pinned"


@pytest.mark.parametrize("dispatcher", ["thread", "asyncio"])
def test_a_slow_turn_is_recorded_and_warned_of(recordings, dispatcher, caplog):
    runtime = recordings.open(dispatcher, slow_turn_s=0.01)
    ref = runtime.start(Naps)
    with caplog.at_level(logging.WARNING, "rescind.runtime"):
        ref.ask(0)
        ref.ask(0.02)
    slow = turn_of(runtime, Ask(0.02))
    [event] = events_of(runtime, SlowTurn)
    assert slow.events[-1] == event
    assert event.took_ns >= 20_000_000
    [warning] = [each.message for each in caplog.records]
    assert warning.startswith("a1 Naps took 0.")
    assert warning.endswith(" s for its Ask")


@pytest.mark.parametrize(
    ("dispatcher", "options"),
    [("thread", {"slow_turn_s": None}), ("stepped", {}), ("pinned", {"slow_turn_s": 0.01})],
)
def test_nobody_minds_where_it_is_switched_off_virtual_or_pinned(recordings, dispatcher, options):
    runtime = recordings.open(dispatcher, **options)
    assert runtime.start(PinnedNaps).ask(0.12) == 0.12
    assert events_of(runtime, SlowTurn) == []


def test_what_a_turn_waits_for_is_not_its_own_slowness():
    begun = threading.Event()

    class Waits(Actor):
        def on_receive(self, answer):
            begun.set()
            return answer.get()

    clock = VirtualClock()
    log = Log.create_or_open(None, entropy=os.urandom, clock_ns=clock.now_ns)
    with Runtime(log, clock=clock) as runtime:
        runtime.slow_turn_ns = 1
        answer: Reply = Reply(runtime)
        asked = runtime.start(Waits).ask(answer, block=False)
        assert begun.wait(PATIENCE_S)
        with runtime.baton:  # which it has given up: it waits
            clock.advance_to(10**9)
        answer.set(1)
        assert asked.get(timeout=PATIENCE_S) == 1
    assert len(events_of(runtime, Suspended)) == 1
    assert events_of(runtime, SlowTurn) == []


def test_a_failed_turn_can_be_slow_too(recordings):
    class Fails(Actor):
        def on_receive(self, message):
            time.sleep(message)
            raise LookupError("as asked")

    runtime = recordings.open("thread", slow_turn_s=0.01)
    with pytest.raises(LookupError):
        runtime.start(Fails).ask(0.02)
    assert [type(event).__name__ for event in turn_of(runtime, Ask).events] == [
        "Raised",
        "SlowTurn",
    ]


def test_a_rerun_does_not_look_at_how_long_a_turn_took(recordings):
    runtime = recordings.open("thread", slow_turn_s=0.0)
    sums = runtime.start(Sums)
    for n in range(5):
        sums.ask(n)
    runtime.close()
    assert len(events_of(runtime, SlowTurn)) == len(turns(runtime)) == 7
    assert rerun(read(runtime.log), classes=[Sums]).turns == 7
