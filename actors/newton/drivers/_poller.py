"""One thread that waits for the file descriptors and timers of all tools of this process.

It starts with the first tool and ends with the last.  Whatever a tool keeps is touched only here,
so that tools need no locks: other threads hand functions over with ``call``.
"""

import contextlib
import heapq
import itertools
import logging
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

logger = logging.getLogger("rescind.drivers")

# The masks of poll(2), which are those of epoll(7), too.
READ = 0x001
WRITE = 0x004
GONE = 0x008 | 0x010
"""An error or a hang-up: reported whether it was asked for or not."""

Ready: TypeAlias = Callable[[int], None]
"""Called in the poller's thread with what a file descriptor is ready for."""


class Timer:
    """Something to be called later, unless it is canceled before."""

    __slots__ = ("arguments", "function", "is_canceled")

    def __init__(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """Remember what to call."""
        self.function = function
        self.arguments = arguments
        self.is_canceled = False

    def cancel(self) -> None:
        """Forget it."""
        self.is_canceled = True


class Poller:
    """The thread and what it waits for; ``acquire`` and ``release`` count who needs it."""

    _shared: ClassVar["Poller | None"] = None
    _users: ClassVar[int] = 0
    _lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def acquire(cls) -> "Poller":
        """Return the process's poller, started if need be."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            cls._users += 1
            return cls._shared

    @classmethod
    def release(cls) -> None:
        """Give it back; the last one ends the thread."""
        with cls._lock:
            cls._users -= 1
            if cls._users == 0 and cls._shared is not None:
                poller, cls._shared = cls._shared, None
                poller.call(poller._stop)  # noqa: SLF001  # its own class

    def __init__(self) -> None:
        """Start the thread."""
        # epoll and not a selector: a selector can't be asked for nothing but GONE, by which a reset
        # is noticed while there is nothing to read or write.
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Ready, int]] = {}
        self._round = 0
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._ties = itertools.count()
        self._is_asleep = False
        self._is_running = True
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        self.watch(self._wake_out.fileno(), READ, self._drain)
        threading.Thread(target=self._run, name="rescind-poller", daemon=True).start()

    # --- any thread ------------------------------------------------------------------------------

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have ``function`` called in the poller's thread; any thread, in order."""
        self._calls.append((function, arguments))
        # The thread says that it will sleep before it looks for calls a last time, so that either
        # it sees this call or this sees that it sleeps.
        if self._is_asleep:
            self._is_asleep = False
            with contextlib.suppress(OSError):  # it has ended, and nobody is left to be served
                self._wake_in.send(b"\0")

    # --- the poller's thread ---------------------------------------------------------------------

    def call_later(self, delay_s: float, function: Callable[..., None], *arguments: Any) -> Timer:
        """Have ``function`` called after ``delay_s`` seconds."""
        timer = Timer(function, arguments)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._ties), timer))
        return timer

    def watch(self, fd: int, mask: int, ready: Ready) -> None:
        """Wait for ``mask`` from now on, and for ``GONE`` in any case."""
        watched = self._watched.get(fd)
        if watched is None:
            self._epoll.register(fd, mask)
            self._watched[fd] = (ready, self._round)
        else:
            self._epoll.modify(fd, mask)
            self._watched[fd] = (ready, watched[1])

    def unwatch(self, fd: int) -> None:
        """Wait for nothing any more; before the file descriptor is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _run(self) -> None:
        while self._is_running:
            self._round += 1
            for fd, events in self._epoll.poll(self._sleep_s()):
                watched = self._watched.get(fd)
                # What was said of a number that was closed and taken anew in this very round was
                # said of another file.
                if watched is not None and watched[1] != self._round:
                    self._guard(watched[0], events)
            self._is_asleep = False
            self._run_timers()
            for _ in range(len(self._calls)):
                function, arguments = self._calls.popleft()
                self._guard(function, *arguments)
        self._epoll.close()
        self._wake_in.close()
        self._wake_out.close()

    def _sleep_s(self) -> float | None:
        """Return how long to wait; from here on whoever calls wakes the thread."""
        self._is_asleep = True
        if self._calls:
            self._is_asleep = False
            return 0
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _run_timers(self) -> None:
        while self._timers and (
            self._timers[0][2].is_canceled or self._timers[0][0] <= time.monotonic()
        ):
            timer = heapq.heappop(self._timers)[2]
            if not timer.is_canceled:
                self._guard(timer.function, *timer.arguments)

    def _guard(self, function: Callable[..., None], *arguments: Any) -> None:
        """A defect in one tool must not silence the others."""
        try:
            function(*arguments)
        except Exception:
            logger.exception("a driver failed in %r", function)

    def _drain(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_out.recv(4096):
                pass

    def _stop(self) -> None:
        self._is_running = False
