"""Host lookups in flight: a c-ares channel for each, and one thread that drives them all.

c-ares cancels whole channels only.  So that one lookup can be cancelled alone, a channel does one
lookup at a time; what exceeds the channels waits in a queue.  A channel keeps its socket for the
next lookup: opening one for each would cost as much as the rest of the lookup.  It hangs up after a
cancel, so that a late answer meets a closed port, and it is given up when it has had nothing to do
for a moment, so that the next burst knows of other servers and of another network.

Only the thread touches channels.  ``begin``, ``stop`` and ``close`` move a request between tables
under a lock, which decides whether a stop or an answer was first.  An answer that was first is
reported outside the lock, so it may arrive while the stop returns.
"""

import logging
import selectors
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

logger = logging.getLogger("rescind.drivers")

_KEEP_SERVERS_ORDER = 1 << 7
"""``ARES_AI_NOSORT``, which pycares does not name: the order of the answer, and no sockets opened
to find out which address is nearest."""
_NO_SOCKET = -1
"""``ARES_SOCKET_BAD``."""
_PTR = 12
"""``ARES_REC_TYPE_PTR``."""
_IDLE_S = 1.0
_NEVER_S = 3600.0
_NOBODY = ["0.0.0.0"]  # noqa: S104  # nothing is bound to it, and nothing asked of it


class Channel(Protocol):
    """What is used of ``pycares.Channel``, whose own annotations say less."""

    servers: list[str]

    def getaddrinfo(
        self,
        host: str,
        port: None,
        *,
        family: int,
        flags: int,
        callback: Callable[[Any, int | None], None],
    ) -> None:
        """Look a name up, in the file of hosts and then at the servers."""
        ...

    def query(
        self, name: str, query_type: int, *, callback: Callable[[Any, int | None], None]
    ) -> None:
        """Ask the servers for records."""
        ...

    def process_fd(self, read_fd: int, write_fd: int) -> None:
        """Read, write, and see to what has timed out."""
        ...

    def timeout(self) -> float:
        """Return after how many seconds ``process_fd`` is due."""
        ...

    def cancel(self) -> None:
        """End every query."""
        ...

    def close(self) -> None:
        """Free it, soon."""
        ...


class Query(NamedTuple):
    """One question for c-ares."""

    text: str
    """The name or address, for people."""
    name: str
    """In ASCII, as it goes on the wire; of an address, the name that stands for it."""
    family: int
    """``socket.AF_INET``, ``AF_INET6`` or ``AF_UNSPEC`` for both."""
    is_by_address: bool = False


class Ended(NamedTuple):
    """How a lookup ended: a result, a status of c-ares, or what went wrong in Python."""

    result: Any = None
    status: int | None = None
    error: Exception | None = None


class _Line:
    """A channel and the lookup that it does, if any."""

    __slots__ = ("channel", "deadline", "ended", "query", "request", "sockets")

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.request: int | None = None
        self.query: Query
        self.deadline = 0.0
        self.ended: Ended | None = None
        self.sockets = 0

    def answered(self, result: Any, status: int | None) -> None:
        """Note what c-ares says; it may say it while the question is being put."""
        self.ended = Ended(result, status)

    def hang_up(self) -> None:
        """Close the sockets, which c-ares does for servers that are no longer its own."""
        if self.channel is not None and self.sockets:
            servers = self.channel.servers
            self.channel.servers = _NOBODY
            self.channel.servers = servers

    def give_up(self) -> None:
        """Be without a channel; pycares destroys it on its own thread, which finds no sockets."""
        if self.channel is not None:
            self.channel.cancel()
            self.hang_up()
            self.channel.close()
            self.channel = None


class Channels:
    """A pool of channels; ``begin`` and ``stop`` on any thread, reports on the pool's own."""

    def __init__(
        self,
        new_channel: Callable[[Callable[[int, bool, bool], None]], Channel],
        *,
        at_once: int,
        starting: Callable[[Query], Any],
        ended: Callable[[int, Query, Ended], None],
    ) -> None:
        """Start the thread.

        Args:
            new_channel: Makes a channel that reports its sockets to the function it is given.
            at_once: How many lookups may be in flight, each with up to two sockets.
            starting: Called before a question is put to c-ares; a result in its place, or None.
            ended: Called with each lookup's end, unless it was stopped before.
        """
        self._new_channel = new_channel
        self._at_once = at_once
        self._starting = starting
        self._ended = ended
        self._lock = threading.Lock()
        # Guarded by the lock.
        self._waiting: OrderedDict[int, Query] = OrderedDict()
        self._running: dict[int, _Line] = {}
        self._cancelled: deque[tuple[_Line, int]] = deque()
        self._is_closed = False
        self._is_awake = False
        # The thread's own.
        self._lines = [_Line() for _ in range(at_once)]
        self._idle = list(self._lines)
        self._watched: set[int] = set()
        self._next_deadline = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        threading.Thread(target=self._run, name="rescind-dns", daemon=True).start()

    # --- any thread ------------------------------------------------------------------------------

    def begin(self, request: int, query: Query) -> None:
        """Ask as soon as a channel is free."""
        with self._lock:
            if self._is_closed:
                return
            self._waiting[request] = query
            self._wake()

    def stop(self, request: int) -> None:
        """Cancel a lookup; its sockets are closed by the thread."""
        with self._lock:
            if self._waiting.pop(request, None) is not None:
                return
            line = self._running.pop(request, None)
            if line is not None:
                self._cancelled.append((line, request))
                self._wake()

    def close(self) -> None:
        """Cancel everything, end the thread and report no more."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._running.clear()
            self._wake()

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            with suppress(OSError):  # closed: the thread has ended
                self._wake_in.send(b"\0")

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_closed:
            try:
                self._turn()
            except Exception:
                logger.exception("the resolver failed")
        for line in self._lines:
            line.give_up()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._timeout_s()):
            if key.data is None:
                self._wake_out.recv(16)
                with self._lock:
                    self._is_awake = False
                continue
            line: _Line = key.data
            if line.channel is not None:
                line.channel.process_fd(
                    key.fd if events & selectors.EVENT_READ else _NO_SOCKET,
                    key.fd if events & selectors.EVENT_WRITE else _NO_SOCKET,
                )
                self._after(line)
        self._cancel()
        self._expire()
        # One round, so that lookups which end at once do not keep the others waiting.
        for _ in range(self._at_once):
            if not self._start_next():
                break

    def _timeout_s(self) -> float:
        with self._lock:
            if self._is_closed or (self._waiting and len(self._running) < self._at_once):
                return 0.0
        return max(0.0, self._next_deadline - time.monotonic())

    def _start_next(self) -> bool:
        with self._lock:
            if not self._idle or not self._waiting:
                return False
            line = self._idle.pop()
            request, query = self._waiting.popitem(last=False)
            self._running[request] = line
        line.request, line.query, line.ended = request, query, None
        try:
            known = self._starting(query)
            if known is None:
                self._ask(line)
            else:
                line.ended = Ended(known)
        except Exception as error:  # noqa: BLE001  # whatever it is, the lookup ends by it
            line.ended = Ended(error=error)
        self._after(line)
        return True

    def _ask(self, line: _Line) -> None:
        channel, query = line.channel, line.query
        if channel is None:
            channel = line.channel = self._new_channel(partial(self._watch, line))
        if query.is_by_address:
            # Not gethostbyaddr, which says "not found" whatever the reason.
            channel.query(query.name, _PTR, callback=line.answered)
        else:
            channel.getaddrinfo(
                query.name,
                None,
                family=query.family,
                flags=_KEEP_SERVERS_ORDER,
                callback=line.answered,
            )

    def _watch(self, line: _Line, fd: int, is_readable: bool, is_writable: bool) -> None:  # noqa: FBT001  # c-ares calls it
        """Watch a channel's socket; without either it is about to be closed."""
        events = is_readable * selectors.EVENT_READ | is_writable * selectors.EVENT_WRITE
        if not events:
            line.sockets -= 1
            self._watched.remove(fd)
            self._selector.unregister(fd)
        elif fd in self._watched:
            self._selector.modify(fd, events, line)
        else:
            line.sockets += 1
            self._watched.add(fd)
            self._selector.register(fd, events, line)

    def _after(self, line: _Line) -> None:
        """Report a lookup that has ended; note when to look at the line again."""
        request = line.request
        if request is None:
            return
        if line.ended is None:
            assert line.channel is not None
            line.deadline = time.monotonic() + line.channel.timeout()
            self._next_deadline = min(self._next_deadline, line.deadline)
            return
        line.request = None
        line.deadline = time.monotonic() + _IDLE_S
        self._next_deadline = min(self._next_deadline, line.deadline)
        self._idle.append(line)
        with self._lock:
            if self._running.pop(request, None) is None:
                return
        self._ended(request, line.query, line.ended)

    def _cancel(self) -> None:
        while self._cancelled:
            line, request = self._cancelled.popleft()
            if line.request == request and line.channel is not None:
                line.channel.cancel()
                line.hang_up()
                self._after(line)

    def _expire(self) -> None:
        """Let c-ares retry or give up, and give up idle channels.

        ``_next_deadline`` is never later than the first deadline, but it may be the one of a lookup
        that has ended; only when it is reached are all lines looked at.
        """
        now = time.monotonic()
        if now < self._next_deadline:
            return
        self._next_deadline = now + _NEVER_S
        for line in self._lines:
            if line.channel is None:
                continue
            if line.deadline > now:
                self._next_deadline = min(self._next_deadline, line.deadline)
            elif line.request is None:
                line.give_up()
            else:
                line.channel.process_fd(_NO_SOCKET, _NO_SOCKET)
                self._after(line)
