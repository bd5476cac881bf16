"""What TCP and UNIX sockets have in common, for either side that may begin."""

import contextlib
import errno
import os
import select
import socket
import ssl
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

from rescind.actors.newton._codes import Code

from ._medium import Medium, MediumError
from ._options import Setting
from ._poller import GONE, READ, WRITE, Timer
from ._tls import TlsStream

Candidate: TypeAlias = tuple[int, int, int, Any]
"""Where to connect to: family, kind, protocol, address."""

SEND_BUFFER_BYTES = 64 * 1024
BACKLOG = 16
_IN_PROGRESS = {0, errno.EINPROGRESS}
_AGAIN_S = 0.01


@dataclass(frozen=True, slots=True)
class SocketOption:
    """An option of the kernel's: where it is, of which type, and how many times it is kept.

    Linux keeps twice what a buffer was set to and says so, because half of it is its own.
    """

    level: int
    name: int
    type: type
    factor: int = 1

    def read(self, sock: socket.socket) -> Any:
        """Return what holds now."""
        return self.type(sock.getsockopt(self.level, self.name) // self.factor)

    def checked(self, value: Any) -> Any:
        """Return a value if it is one; raises ValueError."""
        if not isinstance(value, self.type) or isinstance(value, bool) is not (self.type is bool):
            raise ValueError(f"{value!r} is no {self.type.__name__}")
        return value

    def write(self, sock: socket.socket, value: Any) -> None:
        """Have it hold from now on."""
        sock.setsockopt(self.level, self.name, int(self.checked(value)))


class SocketMedium(Medium):
    """One socket, and for a listener the one that callers come to."""

    OPTIONS: ClassVar[dict[str, SocketOption]] = {
        "send_buffer_bytes": SocketOption(socket.SOL_SOCKET, socket.SO_SNDBUF, int, 2),
        "receive_buffer_bytes": SocketOption(socket.SOL_SOCKET, socket.SO_RCVBUF, int, 2),
        "keep_alive": SocketOption(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool),
    }

    def __init__(self, wanted: dict[str, Any], *, backlog: int | None) -> None:
        """Remember how to make sockets.

        Args:
            wanted: options for every socket to come; None leaves one to the kernel.
            backlog: how many callers may wait; None for a side that calls.
        """
        self.listens = backlog is not None
        self._backlog = backlog or 0
        self._wanted = {label: value for label, value in wanted.items() if value is not None}
        self._settings = {
            label: Setting(
                partial(self._read, label), partial(self._write, label), self._wanted.get(label)
            )
            for label in self.OPTIONS
        } | {
            "local_address": Setting(lambda: self._shown(self._standing().getsockname())),
            "remote_address": Setting(lambda: self._shown(self._standing().getpeername())),
        }
        self._sock: socket.socket | None = None
        self._wire: socket.socket | TlsStream | None = None
        """What is sent to and received from once the connection stands."""
        self._listener: socket.socket | None = None
        self._caller: socket.socket | None = None
        self._candidates: deque[Candidate] = deque()
        self._again: Timer | None = None
        self._mask: int | None = None
        self._is_releasing = False

    # --- what TCP and UNIX say differently -------------------------------------------------------

    @abstractmethod
    def _new_listener(self) -> socket.socket:
        """Return a socket that is bound; raises OSError or MediumError."""

    def _shown(self, address: Any) -> Any:
        """Return an address as the application knows it."""
        return address

    def _new_tls(self, sock: socket.socket) -> TlsStream | None:  # noqa: ARG002  # TCP's
        """Return TLS over a connected socket if there is to be any."""
        return None

    # --- options ---------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        """The options of sockets; what is set before there is one holds for those to come."""
        return self._settings

    def _read(self, label: str) -> Any:
        if self._sock is None:
            return self._wanted.get(label)
        return self.OPTIONS[label].read(self._sock)

    def _write(self, label: str, value: Any) -> None:
        if value is None:  # the kernel's own choice, which only a new socket knows
            self._wanted.pop(label, None)
            return
        if self._sock is not None:
            self.OPTIONS[label].write(self._sock, value)
        self._wanted[label] = self.OPTIONS[label].checked(value)

    def _standing(self) -> socket.socket:
        if self._wire is None or self._sock is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._sock

    def _configure(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        for label, value in self._wanted.items():
            self.OPTIONS[label].write(sock, value)

    # --- the side that calls ---------------------------------------------------------------------

    def _try_next(self, error: Exception | None) -> None:
        """Try the next candidate; one that fails leaves the others a chance."""
        self.close()
        if not self._candidates:
            self.host.done(error or OSError("there is no address to connect to"))
            return
        family, kind, protocol, address = self._candidates.popleft()
        try:
            sock = self._sock = socket.socket(family, kind, protocol)
            self._configure(sock)
            result = sock.connect_ex(address)
        except (OSError, TypeError, ValueError) as unusable:
            self._try_next(MediumError(Code.TBADADDR, f"{address!r}: {unusable}"))
            return
        if result in _IN_PROGRESS:
            self.poller.watch(sock.fileno(), WRITE, self._connected)
        elif result == errno.EAGAIN:  # UNIX: nobody has room for another caller now
            self._candidates.appendleft((family, kind, protocol, address))
            self._again = self.poller.call_later(_AGAIN_S, self._try_next, None)
        else:
            self._try_next(OSError(result, os.strerror(result)))

    def _connected(self, _events: int) -> None:
        assert self._sock is not None, "a connect without a socket"
        result = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            self._try_next(OSError(result, os.strerror(result)))
        else:
            self._establish(self._sock)

    # --- the side that is called -----------------------------------------------------------------

    def bind(self) -> None:
        """Claim the address, and let callers come."""
        if not self.listens:
            return
        if self._listener is not None:
            raise MediumError(Code.ALREADY_BOUND, "it is bound already")
        listener = self._new_listener()
        listener.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        listener.listen(self._backlog)
        self._listener = listener

    def unbind(self) -> None:
        """Turn away whoever waits, and give the address back."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def listen(self) -> None:
        """Wait for one caller; the others wait in the backlog."""
        if self._listener is None:
            raise MediumError(Code.NOT_BOUND, "it listens only when it is bound")
        self.poller.watch(self._listener.fileno(), READ, self._called)

    def _called(self, _events: int) -> None:
        assert self._listener is not None, "a call without a listener"
        try:
            caller, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError, InterruptedError):
            return  # who called has hung up meanwhile
        except OSError as error:  # no file descriptor is to be had
            self.poller.unwatch(self._listener.fileno())
            self.host.done(error)
            return
        self.poller.unwatch(self._listener.fileno())
        self._caller = caller
        self.host.done(None)

    @property
    def has_caller(self) -> bool:
        """Whether somebody waits to be accepted."""
        return self._caller is not None

    def accept(self) -> None:
        """Make the caller's connection ours."""
        assert self._caller is not None, "an accept without a caller"
        self._sock, self._caller = self._caller, None
        self._configure(self._sock)
        self._establish(self._sock)

    # --- life ------------------------------------------------------------------------------------

    def _establish(self, sock: socket.socket) -> None:
        self.poller.unwatch(sock.fileno())
        try:
            tls = self._new_tls(sock)
        except ValueError as error:  # the name of a server that can't be one
            self.host.done(MediumError(Code.TBADADDR, str(error)))
            return
        if tls is None:
            self._wire = sock
            self.host.done(None)
        else:
            self._shake_hands(tls)

    def _shake_hands(self, tls: TlsStream, _events: int = 0) -> None:
        assert self._sock is not None, "a handshake without a socket"
        try:
            mask = tls.handshake()
        except ssl.SSLError as error:
            self.host.done(MediumError(Code.INCOMPATIBLE_REMOTE, str(error)))
        except OSError as error:
            self.host.done(error)
        else:
            if mask:
                self.poller.watch(self._sock.fileno(), mask, partial(self._shake_hands, tls))
                return
            self.poller.unwatch(self._sock.fileno())
            self._wire = tls
            self.host.done(None)

    def abandon(self) -> None:
        """Stop connecting, listening, shaking hands or releasing."""
        self._candidates.clear()
        self._is_releasing = False
        if self._again is not None:
            self._again.cancel()
        if self._listener is not None:
            self.poller.unwatch(self._listener.fileno())
        if self._wire is None:
            self.close()

    def release(self) -> None:
        """Send the end of the stream after all else."""
        assert self._sock is not None, "a release without a connection"
        if isinstance(self._wire, TlsStream):
            self._wire.say_goodbye()
            self._is_releasing = True
            self._release_on()
        else:
            self._finish_release(self._sock)

    def _release_on(self) -> None:
        try:
            self.settle_debt()
        except BlockingIOError:
            return
        except OSError as error:
            self._is_releasing = False
            self.host.done(error)
            return
        self._finish_release(self._standing())

    def _finish_release(self, sock: socket.socket) -> None:
        self._is_releasing = False
        with contextlib.suppress(OSError):  # the other side was faster
            sock.shutdown(socket.SHUT_WR)
        self.host.done(None)

    def close(self) -> None:
        """Close the socket, or the caller's."""
        for sock in (self._sock, self._caller):
            if sock is not None:
                self.poller.unwatch(sock.fileno())
                sock.close()
        self._sock = self._wire = self._caller = self._mask = None
        self._is_releasing = False

    # --- data ------------------------------------------------------------------------------------

    def watch(self, mask: int | None) -> None:
        """Have ``host.ready`` called; costs nothing when nothing changes."""
        if self._is_releasing:
            mask = (mask or 0) | WRITE
        if mask == self._mask or self._sock is None:
            return
        self._mask = mask
        if mask is None:
            self.poller.unwatch(self._sock.fileno())
        else:
            self.poller.watch(self._sock.fileno(), mask, self._ready)

    def _ready(self, events: int) -> None:
        if self._is_releasing and events & (WRITE | GONE):
            self._release_on()
        if self._sock is not None:
            self.host.ready(events)

    @property
    def owes(self) -> bool:  # type: ignore[override]  # an attribute where it never changes
        """Whether a record of TLS is half sent."""
        return isinstance(self._wire, TlsStream) and self._wire.owes

    @property
    def holds(self) -> bool:  # type: ignore[override]  # the same
        """Whether TLS has input that the kernel has forgotten."""
        return isinstance(self._wire, TlsStream) and self._wire.holds

    def send(self, data: memoryview) -> int:
        """Send what the kernel takes now."""
        assert self._wire is not None, "an output without a connection"
        return self._wire.send(data)

    def settle_debt(self) -> None:
        """Send the rest of a record."""
        if isinstance(self._wire, TlsStream):
            self._wire.settle_debt()

    def cut(self) -> bool:
        """Forget the rest of a record."""
        return isinstance(self._wire, TlsStream) and self._wire.cut()

    def receive(self, count_max: int) -> bytes:
        """Receive what is there."""
        if self._wire is None:
            raise BlockingIOError
        return self._wire.recv(count_max)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there into ``buffer``."""
        if self._wire is None:
            raise BlockingIOError
        return self._wire.recv_into(buffer)

    @property
    def has_hung_up(self) -> bool:
        """Whether both directions have ended; TCP tells only of the one that we hear."""
        poll = select.poll()
        poll.register(self._standing(), 0)
        return any(events & GONE for _, events in poll.poll(0))

    def what_happened(self) -> Any:
        """Return the socket's error in words, if it has one."""
        number = 0
        if self._sock is not None:
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return os.strerror(number) if number else super().what_happened()
