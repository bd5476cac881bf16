"""The dispatcher ``stepped``: nothing moves until told, time is virtual, the schedule is given.

Without ``shuffle`` the schedule is first come, first served: waiting turns, then a commit, then one
delivery.  With it a seeded generator picks among everything that could happen next.
"""

import random
from typing import TYPE_CHECKING

from ._clock import VirtualClock
from ._errors import StalledError
from ._waiting import Waitable

if TYPE_CHECKING:
    from ._runtime import Runtime


class Stepped:
    """One thread, virtual time; equal seeds and equal programs give byte-equal logs."""

    def __init__(self, seed: int = 0, *, shuffle: bool = False) -> None:
        """Derive everything that is random in the runtime from ``seed``.

        Args:
            seed: names, ids, salts and, with ``shuffle``, the schedule.
            shuffle: pick the next thing to happen at random instead of in order.
        """
        self.seed = seed
        self._random = random.Random(seed ^ 0x5EED) if shuffle else None

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``, whose clock must be virtual."""
        self._runtime = runtime

    def wake(self) -> None:
        """Do nothing: work waits until somebody steps."""

    def step(self) -> bool:
        """Let one thing happen: a turn, a commit or a delivery; False if nothing could."""
        runtime = self._runtime
        if self._random is None:
            return runtime.run_turns(1) or runtime.commit() or runtime.deliver()
        moves = [lambda: runtime.run_turns(1), runtime.commit, runtime.deliver]
        self._random.shuffle(moves)
        return any(move() for move in moves)

    def run(self) -> None:
        """Step until nothing is left to do at this moment of virtual time."""
        while self.step():
            pass

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, running everything that falls due in its order."""
        clock = self._clock()
        until_ns = clock.now_ns() + round(seconds * 1e9)
        self.run()
        while self._fire_next(until_ns):
            self.run()
        clock.advance_to(until_ns)

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Step, and let time pass, until ``waitable`` is done.

        Raises:
            StalledError: nothing is left that could ever bring it about.
        """
        del must_spare
        clock = self._clock()
        until_ns = None if timeout_s is None else clock.now_ns() + round(timeout_s * 1e9)
        while not waitable.is_done:
            if self.step() or self._fire_next(until_ns):
                continue
            if until_ns is None:
                raise StalledError(
                    "nothing that is left to happen can end this wait; the twin may still owe an "
                    "answer, which it has to be told to give before somebody waits for it",
                )
            clock.advance_to(until_ns)
            return waitable.is_done
        return True

    def _fire_next(self, until_ns: int | None) -> bool:
        runtime = self._runtime
        deadline_ns = runtime.timers.next_deadline_ns()
        if deadline_ns is None or (until_ns is not None and deadline_ns > until_ns):
            return False
        self._clock().advance_to(deadline_ns)
        return runtime.fire_timers()

    def _clock(self) -> VirtualClock:
        clock = self._runtime.clock
        if not isinstance(clock, VirtualClock):
            raise TypeError("a stepped runtime needs a VirtualClock")
        return clock

    def close(self) -> None:
        """Do what is left, so that nothing recorded stays unwritten."""
        self.run()
