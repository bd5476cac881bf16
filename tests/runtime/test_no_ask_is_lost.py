"""An ask that races with a stop ends, with the answer or with ``ActorDeadError``.

``RESCIND_ASKS`` says how many asks (default 3,000); each of them meets a stop half the time.
"""

import os
import sys
import threading
from collections import Counter
from functools import partial
from typing import Any

import pykka
import pytest

from rescind.actors.runtime import RuntimeClosedError

from .actors import Doubler
from .helpers import Helper
from .recordings import DISPATCHERS

ASKS = int(os.environ.get("RESCIND_ASKS", "3000"))
ASKERS = 4
ASKS_PER_ROUND = 5


@pytest.fixture
def many_switches():
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Race:
    """Askers that start each round together with the test's own thread."""

    def __init__(self, rounds, timeout_s=20):
        self.timeout_s = timeout_s
        self.ends: Counter = Counter()
        self.ref: Any = None
        self.rounds = rounds
        self.barrier = threading.Barrier(ASKERS + 1)
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(ASKERS)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        for _ in range(self.rounds):
            self.barrier.wait(30)
            ends = [self.ask_once() for _ in range(ASKS_PER_ROUND)]
            with self.lock:
                self.ends.update(ends)
            self.barrier.wait(30)

    def ask_once(self):
        try:
            return self.ref.ask(21, timeout=self.timeout_s)
        except Exception as error:  # noqa: BLE001 - which ones may come, the tests say
            return type(error)

    def round(self, ref, stop):
        """Race ``stop`` against the askers once."""
        self.ref = ref
        self.barrier.wait(30)
        stop()
        self.barrier.wait(30)

    def end(self):
        for thread in self.threads:
            thread.join(30)
        return self.ends


THREADED = [each for each in DISPATCHERS if each != "stepped"]


def race_with_stops(start, timeout_s):
    """Stop many actors, each while it is asked; return how the asks ended."""
    rounds = ASKS // (ASKERS * ASKS_PER_ROUND)
    race = Race(rounds, timeout_s)
    for number in range(rounds):
        ref = start()
        race.round(ref, ref.stop if number % 2 else lambda ref=ref: ref.stop(block=False))
    ends = race.end()
    print(f"RESCIND_ASKS={ASKS}: {dict(ends)}")  # noqa: T201
    assert ends.total() == rounds * ASKERS * ASKS_PER_ROUND
    return ends


@pytest.mark.parametrize("dispatcher", THREADED, indirect=True)
@pytest.mark.timeout(60 + ASKS // 100)
def test_every_ask_that_races_with_a_stop_ends(runtime, many_switches):
    ends = race_with_stops(partial(runtime.start, Doubler), timeout_s=20)
    assert set(ends) == {42, pykka.ActorDeadError}, "both ends must have been raced for"


class PykkasDoubler(pykka.ThreadingActor):
    def on_receive(self, message):
        return message * 2


@pytest.mark.timeout(60 + ASKS // 10)
def test_the_same_with_stock_pykka_for_comparison(many_switches):
    """There an ask may be lost between the last look into the inbox and the end of the actor."""
    ends = race_with_stops(PykkasDoubler.start, timeout_s=0.5)
    assert set(ends) <= {42, pykka.ActorDeadError, pykka.Timeout}


@pytest.mark.parametrize("dispatcher", THREADED)
@pytest.mark.timeout(60 + ASKS // 20)
def test_every_ask_that_races_with_the_end_of_the_runtime_ends(
    recordings, many_switches, dispatcher
):
    rounds = ASKS // (ASKERS * ASKS_PER_ROUND) // 5
    race = Race(rounds)
    for _ in range(rounds):
        runtime = recordings.open(dispatcher)
        race.round(runtime.start(Doubler), runtime.close)
    ends = race.end()
    assert ends.total() == rounds * ASKERS * ASKS_PER_ROUND
    assert set(ends) <= {42, pykka.ActorDeadError, RuntimeClosedError}


@pytest.mark.timeout(60 + ASKS // 100)
def test_stops_that_race_with_each_other_all_return(threaded, many_switches):
    rounds = ASKS // 20
    for _ in range(rounds):
        ref = threaded.start(Doubler)
        stops = [Helper(partial(ref.stop, timeout=20)) for _ in range(3)]
        assert {stop.result() for stop in stops} <= {True, False}
        assert not ref.is_alive()
