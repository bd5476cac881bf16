"""The dispatcher ``stepped``: nothing moves until told, time is virtual, the schedule is given.

Without ``shuffle`` the schedule is first come, first served: answers to waiting handlers, waiting
turns, then a commit, then deliveries.  With it a seeded generator picks among everything that could
happen next.  Handlers run in threads of their own, one at a time, so that one that waits inside its
turn holds nobody up.
"""

import random
from asyncio import _get_running_loop  # the public one raises where there is none
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._awaiting import until_done
from ._clock import VirtualClock
from ._contracts import Dispatcher
from ._errors import StalledError
from ._part import Part
from ._stepped_loop import SteppedLoop
from ._waiting import Waitable

if TYPE_CHECKING:
    from ._runtime import Runtime


class Stepped(Dispatcher):
    """One thing at a time, virtual time; equal seeds and programs give byte-equal logs."""

    def __init__(self, seed: int = 0, *, shuffle: bool = False) -> None:
        """Derive everything that is random in the runtime from ``seed``.

        Args:
            seed: names, ids, salts and, with ``shuffle``, the schedule.  Runtimes that talk to each
                other want different seeds: their logs' ids come from it.
            shuffle: pick the next thing to happen at random instead of in order.
        """
        self.seed = seed
        self._random = random.Random(seed ^ 0x5EED) if shuffle else None
        self._idle: list[Part] = []
        self._running: list[Part] = []
        self._waiting: list[Part] = []
        self._jobs: deque[Callable[[], object]] = deque()
        self._loop: SteppedLoop | None = None

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``, whose clock must be virtual."""
        self._runtime: Runtime = runtime

    def wake(self) -> None:
        """Do nothing: work waits until somebody steps."""

    # --- stepping --------------------------------------------------------------------------------

    def step(self) -> bool:
        """Let one thing happen: an answer, turns, a commit, deliveries; False if nothing could."""
        runtime = self._runtime
        if self._random is None:
            return (
                self._resume()
                or runtime.run_turns()
                or runtime.commit()
                or runtime.deliver()
                or self._perform()
                or self._turn_loop()
            )
        moves: list[Callable[[], bool]] = [
            self._resume,
            lambda: runtime.run_turns(1),
            runtime.commit,
            runtime.deliver,
            self._perform,
            self._turn_loop,
        ]
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
        while self._pass_time(until_ns):
            self.run()
        clock.advance_to(until_ns)
        self.run()

    def _pass_time(self, until_ns: int | None) -> bool:
        """Move to the next deadline, of a timer or of a waiting handler, if it is in time."""
        due_ns = [part.until_ns for part in self._waiting]
        due_ns.append(self._runtime.timers.next_deadline_ns())
        due_ns.append(None if self._loop is None else self._loop.next_deadline_ns())
        deadlines = [each for each in due_ns if each is not None]
        if not deadlines or (until_ns is not None and min(deadlines) > until_ns):
            return False
        self._clock().advance_to(min(deadlines))
        self._runtime.fire_timers()
        return True

    def _clock(self) -> VirtualClock:
        clock = self._runtime.clock
        if not isinstance(clock, VirtualClock):
            raise TypeError("a stepped runtime needs a VirtualClock")
        return clock

    # --- waiting ---------------------------------------------------------------------------------

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Step, and let time pass, until ``waitable`` is done.

        Raises:
            StalledError: nothing is left that could ever bring it about.
        """
        del must_spare
        clock = self._clock()
        until_ns = None if timeout_s is None else clock.now_ns() + round(timeout_s * 1e9)
        while not waitable.is_done:
            if self._runtime.failure is not None:
                return False
            if self.step() or self._pass_time(until_ns):
                continue
            if until_ns is None:
                raise StalledError(
                    "nothing that is left to happen can end this wait; the twin may still owe an "
                    "answer, which it has to be told to give before somebody waits for it",
                )
            clock.advance_to(until_ns)
            return waitable.is_done
        return True

    async def wait_async(self, waitable: Waitable) -> None:
        """In our own loop wait for whoever steps; in another step here, as nobody else would."""
        if self._loop is not None and _get_running_loop() is self._loop:
            await until_done(waitable)
        else:
            self.wait(waitable, None, must_spare=False)

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Let the handler's thread stand still; whoever steps goes on."""
        clock = self._clock()
        until_ns = None if timeout_s is None else clock.now_ns() + round(timeout_s * 1e9)
        part = self._running[-1]
        self._waiting.append(part)
        part.stand_still(waitable, until_ns)
        return waitable.is_done

    def run_handler(self, body: Callable[[], object]) -> None:
        """Run a handler in a thread of its own, until it ends or waits."""
        part = self._idle.pop() if self._idle else Part()
        self._move(part, lambda: part.begin(body))

    def _resume(self) -> bool:
        """Let the first handler go on whose answer has come, or whose patience has ended."""
        for part in self._waiting:
            now_ns = self._clock().now_ns()
            waitable, until_ns = part.waits_for, part.until_ns
            is_over = until_ns is not None and until_ns <= now_ns
            if waitable is not None and (
                is_over or waitable.is_done or self._runtime.must_give_up(waitable)
            ):
                self._waiting.remove(part)
                with self._runtime.baton:
                    self._move(part, part.move)
                return True
        return False

    # --- the application's work ------------------------------------------------------------------

    def perform(self, job: Callable[[], object]) -> None:
        """Keep it until it is somebody's move; then it runs to its end."""
        self._jobs.append(job)

    def _perform(self) -> bool:
        if not self._jobs:
            return False
        self._jobs.popleft()()
        return True

    def loop(self) -> "SteppedLoop":
        """Return a loop that moves only when stepped, in virtual time."""
        if self._loop is None:
            self._loop = SteppedLoop(self._clock())
        return self._loop

    def _turn_loop(self) -> bool:
        return self._loop is not None and self._loop.step()

    def _move(self, part: Part, move: Callable[[], object]) -> None:
        self._running.append(part)
        try:
            move()
        finally:
            self._running.pop()
            if part.waits_for is None:
                self._idle.append(part)

    def settle(self) -> bool:
        """Let a handler go on that waited."""
        return self._resume()

    def close(self, timeout_s: float) -> None:
        """End all threads; handlers that still wait are given up."""
        del timeout_s
        for part in (*self._idle, *self._waiting):
            part.end()
        self._idle.clear()
        self._waiting.clear()
        if self._loop is not None:
            self._loop.end()
