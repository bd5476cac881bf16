"""The baton: whoever holds it runs turns.  And the breath: whoever runs turns lets others live."""

import threading
import time
from collections import deque

YIELD_S = 20e-6
YIELDS_S = 1e-3
"""How long a runner naps at a time, and in all, to let those go first that want the baton."""
BREATHLESS_S = 5e-3
BREATH_S = 1e-4
"""How long a runner works at a stretch, and for how long it then steps back."""


class Baton:
    """A lock with manners: a free lock goes to whoever asks first, and a runner asks again at once.

    So a thread that has to wait says so, and runners, who hold the baton for hundreds of turns at a
    time, step aside for it in between.  Some are in a hurry: for them a hold is cut short.
    """

    __slots__ = ("_lock", "_waiting", "hurried", "is_cut_short")

    def __init__(self) -> None:
        """Be free."""
        self._lock = threading.Lock()
        self._waiting: deque[None] = deque()
        self.hurried: deque[None] = deque()
        """One for each thread in a hurry: it waits for the baton, or runs turns to be answered."""
        self.is_cut_short = True
        """Whether a hold is cut short for the hurried; not when they have just had their time."""

    def take(self) -> None:
        """Take it, waiting if need be."""
        if not self._lock.acquire(blocking=False):
            self._waiting.append(None)
            self._lock.acquire()
            self._waiting.pop()

    def take_hurried(self) -> None:
        """Take it, and have whoever holds it for many turns cut that short."""
        if not self._lock.acquire(blocking=False):
            self.hurried.append(None)
            self.take()
            self.hurried.pop()

    @property
    def is_awaited(self) -> bool:
        """Tell whether somebody waits to take it."""
        return bool(self._waiting)

    def release(self) -> None:
        """Give it back; any thread may, for a handler that moves from one to another."""
        self._lock.release()

    def step_aside(self, *, own: int = 0) -> None:
        """Let others have it who want it; called between two holds.

        ``own``: how many of the hurried the caller is itself.
        """
        if not self._waiting and len(self.hurried) <= own:
            self.is_cut_short = True
            return
        until = time.monotonic() + YIELDS_S
        while (self._waiting or len(self.hurried) > own) and time.monotonic() < until:
            time.sleep(YIELD_S)
        self.is_cut_short = len(self.hurried) <= own

    def __enter__(self) -> None:
        """Take it."""
        self.take()

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._lock.release()


class Breath:
    """Lets other threads have the interpreter now and then, while one runs turn after turn.

    Writing a batch, or looking which sockets are ready, lets go of the interpreter's lock and takes
    it again within microseconds.  Whoever waits for it then is woken too late each time, and as the
    lock was free in between never gets to demand it: a busy runner could keep everybody waiting for
    seconds.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        """Be due at once."""
        self._taken = 0.0

    def take(self, *, at_once: bool) -> None:
        """Step back if it is time.

        ``at_once``: in any case, as somebody was answered, who would otherwise wait for as long as
        Python lets one thread have the interpreter.
        """
        if at_once or time.monotonic() - self._taken > BREATHLESS_S:
            time.sleep(BREATH_S)
            self._taken = time.monotonic()

    def rested(self) -> None:
        """Hear that the runner has slept: a stretch of work begins."""
        self._taken = time.monotonic()
