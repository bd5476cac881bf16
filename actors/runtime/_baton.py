"""The baton: whoever holds it runs turns."""

import threading
import time
from collections import deque

YIELD_S = 20e-6
YIELDS_MAX = 50
"""How long, and how often, a runner steps aside for threads that wait for the baton."""


class Baton:
    """A lock with manners: a free lock goes to whoever asks first, and a runner asks again at once.

    So a thread that has to wait says so, and runners, who hold the baton for hundreds of turns at a
    time, step aside for it in between.
    """

    __slots__ = ("_lock", "_waiting")

    def __init__(self) -> None:
        """Be free."""
        self._lock = threading.Lock()
        self._waiting: deque[None] = deque()

    def take(self) -> None:
        """Take it, waiting if need be."""
        if not self._lock.acquire(blocking=False):
            self._waiting.append(None)
            self._lock.acquire()
            self._waiting.pop()

    def release(self) -> None:
        """Give it back; any thread may, for a handler that moves from one to another."""
        self._lock.release()

    def step_aside(self) -> None:
        """Let those have it who wait for it; called between two holds."""
        for _ in range(YIELDS_MAX):
            if not self._waiting:
                return
            time.sleep(YIELD_S)

    def __enter__(self) -> None:
        """Take it."""
        self.take()

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._lock.release()
