"""Deadlines in order: a heap that forgets lazily."""

import heapq
from collections.abc import Callable


class Timer:
    """One deadline; ``fire`` runs at most once, under the baton."""

    __slots__ = ("deadline_ns", "fire")

    def __init__(self, deadline_ns: int, fire: Callable[[], None]) -> None:
        """Be due at ``deadline_ns`` of the runtime's monotonic clock, once it is armed."""
        self.deadline_ns = deadline_ns
        self.fire: Callable[[], None] | None = fire

    def cancel(self) -> None:
        """Make the timer a no-op; it leaves the heap when its time comes."""
        self.fire = None


class Timers:
    """All timers of one runtime; every method is called under the baton."""

    def __init__(self) -> None:
        """Begin with none."""
        self._heap: list[tuple[int, int, Timer]] = []
        self._armed = 0

    def arm(self, timer: Timer) -> None:
        """Arm a timer; equal deadlines fire in the order of arming."""
        self._armed += 1
        heapq.heappush(self._heap, (timer.deadline_ns, self._armed, timer))

    def known(self) -> list[Timer]:
        """Return the timers whose time has not come; those without ``fire`` were cancelled."""
        return [timer for _, _, timer in self._heap]

    def next_deadline_ns(self) -> int | None:
        """Return the earliest live deadline, or None."""
        while self._heap and self._heap[0][2].fire is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire_due(self, now_ns: int) -> bool:
        """Fire everything due by ``now_ns``; tell whether there was any."""
        fired = False
        while (deadline := self.next_deadline_ns()) is not None and deadline <= now_ns:
            timer = heapq.heappop(self._heap)[2]
            fire, timer.fire = timer.fire, None
            if fire is not None:
                fire()
                fired = True
        return fired
