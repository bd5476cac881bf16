"""An event loop that moves only when told, in the virtual time of its runtime."""

import asyncio
import heapq
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

from ._clock import VirtualClock

Ts = TypeVarTuple("Ts")


class SteppedLoop(asyncio.SelectorEventLoop):
    """Coroutines under ``stepped``: one round of callbacks at a time, and no waiting."""

    def __init__(self, clock: VirtualClock) -> None:
        """Count time by ``clock``."""
        super().__init__()
        self._virtual = clock
        self._is_ready = False
        self._armed = 0
        self._deadlines: list[tuple[float, int, asyncio.TimerHandle]] = []

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._virtual.monotonic_ns() / 1e9

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Note that there is something to do."""
        self._is_ready = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Do the same: under ``stepped`` one thread moves at a time."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Note when there will be something to do."""
        handle = super().call_at(when, callback, *args, context=context)
        self._armed += 1
        heapq.heappush(self._deadlines, (when, self._armed, handle))
        return handle

    def next_deadline_ns(self) -> int | None:
        """Return when the next timer is due; None without one."""
        deadlines = self._deadlines
        while deadlines and deadlines[0][2].cancelled():
            heapq.heappop(deadlines)
        return round(deadlines[0][0] * 1e9) if deadlines else None

    def step(self) -> bool:
        """Run what is ready and what is due, once around; tell whether there was anything."""
        deadlines, now = self._deadlines, self._virtual.monotonic_ns()
        while (due_ns := self.next_deadline_ns()) is not None and due_ns <= now:
            heapq.heappop(deadlines)
            self._is_ready = True
        if not self._is_ready:
            return False
        self._is_ready = False
        super().call_soon(self.stop)
        self.run_forever()
        return True

    def end(self) -> None:
        """Cancel what still runs, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        while self.step():
            pass
        self.close()
