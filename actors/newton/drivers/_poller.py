"""One thread that waits for all sockets of all tools of this process.

It starts with the first tool and ends with the last.  Whatever a tool keeps is touched only here,
so that tools need no locks: other threads hand functions over with ``call``.
"""

import contextlib
import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

logger = logging.getLogger("rescind.drivers")

Ready: TypeAlias = Callable[[int], None]
"""Called in the poller's thread with the events that a socket is ready for."""


class Poller:
    """The thread and its selector; ``acquire`` and ``release`` count who needs them."""

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
        self._selector = selectors.DefaultSelector()
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._drain)
        self._is_running = True
        threading.Thread(target=self._run, name="rescind-poller", daemon=True).start()

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have ``function`` called in the poller's thread; any thread, in order."""
        self._calls.append((function, arguments))
        with contextlib.suppress(BlockingIOError, OSError):
            # A full pipe has woken the thread already; a closed one needs no waking.
            self._wake_in.send(b"\0")

    def watch(self, sock: socket.socket, events: int, ready: Ready) -> None:
        """Watch for ``events``, or stop watching for 0.  Poller's thread only."""
        try:
            self._selector.get_key(sock)
        except KeyError:
            if events:
                self._selector.register(sock, events, ready)
            return
        if events:
            self._selector.modify(sock, events, ready)
        else:
            self._selector.unregister(sock)

    def _run(self) -> None:
        while self._is_running:
            for key, events in self._selector.select():
                self._guard(key.data, events)
            while self._calls:
                function, arguments = self._calls.popleft()
                self._guard(function, *arguments)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

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
