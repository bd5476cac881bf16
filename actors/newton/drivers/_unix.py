"""UNIX sockets: streams, and sequenced packets that arrive whole or not at all."""

import contextlib
import errno
import os
import select
import socket
from collections import deque
from pathlib import Path
from typing import Any

from rescind.actors.newton._codes import Code

from ._medium import MediumError
from ._sockets import BACKLOG, SEND_BUFFER_BYTES, SocketMedium
from ._stream import StreamTool

_PATH_BYTES_MAX = 107
"""What fits into a UNIX socket's address (unix(7))."""


class UnixMedium(SocketMedium):
    """A UNIX connection, to be made or to be waited for."""

    def __init__(
        self, path: str, *, is_packets: bool, send_buffer_bytes: int | None, backlog: int | None
    ) -> None:
        """Remember where to connect to, or where to listen if there is a ``backlog``."""
        super().__init__({"send_buffer_bytes": send_buffer_bytes}, backlog=backlog)
        self.is_packets = is_packets
        self._kind = socket.SOCK_SEQPACKET if is_packets else socket.SOCK_STREAM
        self._path = path
        self.label = f"unix {'listener ' if self.listens else ''}{path}"

    @property
    def address(self) -> str:
        """The socket's path."""
        return self._path

    def connect(self, address: Any) -> None:
        """Connect to the socket at a path."""
        self._candidates = deque([(socket.AF_UNIX, self._kind, 0, _checked(address))])
        self._try_next(None)

    def _new_listener(self) -> socket.socket:
        path = _checked(self._path)
        listener = socket.socket(socket.AF_UNIX, self._kind)
        try:
            listener.bind(path)
        except OSError:
            listener.close()
            raise
        return listener

    def unbind(self) -> None:
        """Turn away whoever waits, and remove the socket from its folder."""
        was_bound = self._listener is not None
        super().unbind()
        if was_bound:
            with contextlib.suppress(OSError):  # somebody else has removed it
                Path(self._path).unlink()

    # --- packets ---------------------------------------------------------------------------------

    def send(self, data: memoryview) -> int:
        """Send what the kernel takes now; a packet whole or not at all."""
        try:
            return super().send(data)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                text = f"a packet of {len(data)} bytes is longer than the send buffer allows"
                raise MediumError(Code.TBADDATA, text) from error
            raise

    def receive(self, count_max: int) -> bytes:
        """Receive what is there; a packet whole, however long it is."""
        if not self.is_packets:
            return super().receive(count_max)
        sock = self._standing()
        # Linux says how long the packet is, and not only how much of it was asked for.
        length = sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        packet = sock.recv(max(length, 1))
        if not packet and not self._is_at_end():
            raise BlockingIOError  # a packet of nothing, which nobody can wait for
        return packet

    def _is_at_end(self) -> bool:
        poll = select.poll()
        poll.register(self._standing(), select.POLLRDHUP)
        return bool(poll.poll(0))


def _checked(path: Any) -> str:
    """Return a path that a socket can have; raises MediumError.

    A zero begins a name of Linux's own that is no path, and elsewhere ends it unseen.
    """
    if not isinstance(path, str) or not 0 < len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        raise MediumError(Code.TBADADDR, f"{path!r} is no path for a socket")
    if "\0" in path:
        raise MediumError(Code.TBADADDR, f"{path!r} has a zero in it")
    return path


def unix(
    path: str | os.PathLike[str],
    *,
    packets: bool = False,
    send_buffer_bytes: int | None = SEND_BUFFER_BYTES,
) -> StreamTool:
    """Return a tool that connects to a UNIX socket.

    Its options: send_buffer_bytes, receive_buffer_bytes, keep_alive; to be read, local_address and
    remote_address.

    Args:
        path: where the socket is.
        packets: sequenced packets instead of a stream: each Output is a packet, which is sent whole
            or not at all, and each packet that comes in has its EOP.  One that is longer than the
            send buffer allows ends with -36010.
        send_buffer_bytes: how much the kernel may hold back; None leaves the choice to the kernel.
    """
    medium = UnixMedium(
        os.fspath(path), is_packets=packets, send_buffer_bytes=send_buffer_bytes, backlog=None
    )
    return StreamTool(medium)


def unix_listener(
    path: str | os.PathLike[str],
    *,
    packets: bool = False,
    backlog: int = BACKLOG,
    send_buffer_bytes: int | None = SEND_BUFFER_BYTES,
) -> StreamTool:
    """Return a tool that waits for callers at a UNIX socket, as ``tcp_listener`` does.

    Bind makes the socket (-36023 if there is anything of that name already), UnBind removes it.

    Args:
        path: where the socket is to be.
        packets: as ``unix``.
        backlog: how many callers may wait.
        send_buffer_bytes: as ``unix``.
    """
    medium = UnixMedium(
        os.fspath(path), is_packets=packets, send_buffer_bytes=send_buffer_bytes, backlog=backlog
    )
    return StreamTool(medium)
