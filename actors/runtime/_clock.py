"""Where time comes from: the machine, or a test.

``now_ns`` is what records carry (nanoseconds since 1970, or since the start of virtual time);
``monotonic_ns`` is what deadlines count in.  Only this module reads the machine's clocks.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks that a runtime reads."""

    def now_ns(self) -> int:
        """Return the time for records."""
        ...

    def monotonic_ns(self) -> int:
        """Return the time for deadlines; it never goes back."""
        ...


class MachineClock:
    """The machine's own clocks."""

    # Bound as they are: a record is stamped on every turn, a wrapper would cost as much again.
    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


class VirtualClock:
    """Time that stands still until it is moved; the first moment is 0."""

    def __init__(self) -> None:
        """Start at 0."""
        self._now_ns = 0

    def now_ns(self) -> int:
        """Return nanoseconds since the start."""
        return self._now_ns

    monotonic_ns = now_ns

    def advance_to(self, moment_ns: int) -> None:
        """Move to ``moment_ns``; never backwards."""
        self._now_ns = max(self._now_ns, moment_ns)
