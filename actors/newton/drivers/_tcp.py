"""A communications tool over TCP: real sockets, real back-pressure, real cancels.

An Output completes when the kernel took its last byte.  What the kernel took cannot be recalled, so
its send buffer is kept small: a cancel then finds the rest still here.  After ``killed`` nothing of
a canceled Output is handed to the kernel.
"""

import errno
import selectors
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._errors import CommError

from ._framing import discard_oldest, find_piece
from ._poller import Poller
from ._tool import Port

SEND_BUFFER_BYTES = 64 * 1024
RECEIVE_BYTES = 64 * 1024
_IN_PROGRESS = {0, errno.EINPROGRESS, errno.EWOULDBLOCK}
REMOTE_DISCONNECT = 2
_PORT_MAX = 65_535


class _Output:
    """One Output on its way into the kernel."""

    __slots__ = ("data", "request", "sent")

    def __init__(self, request: int, data: str | bytes) -> None:
        self.request = request
        self.data = memoryview(data.encode() if isinstance(data, str) else data)
        self.sent = 0


class _Receive:
    """The posted receive."""

    __slots__ = ("byte_count", "discard_after", "end_sequence", "form", "request")

    def __init__(self, request: int, arguments: Sequence[Any]) -> None:
        self.request = request
        self.form, self.byte_count, self.end_sequence, self.discard_after = arguments


class TcpTool:
    """Connects to one TCP peer.  Everything private belongs to the poller's thread."""

    def __init__(
        self, host: str, port: int, *, send_buffer_bytes: int | None = SEND_BUFFER_BYTES
    ) -> None:
        """Remember where to connect to.

        Args:
            host: a name or an address, IPv4 or IPv6.
            port: the peer's port.
            send_buffer_bytes: how much the kernel may hold back (Linux doubles it); None leaves
                the choice to the kernel, at the price that cancels find less to stop.

        Raises:
            CommError: -36001, there is no such port.
        """
        if not 0 < port <= _PORT_MAX:
            raise CommError(Code.TBADADDR, detail=f"there is no port {port}")
        self.host = host
        self.tcp_port = port
        self.label = f"tcp {host}:{port}"
        self.send_buffer_bytes = send_buffer_bytes
        self._socket: socket.socket | None = None
        self._connecting = 0
        self._attempt = 0
        self._outputs: deque[_Output] = deque()
        self._receive: _Receive | None = None
        self._buffer = bytearray()
        self._is_closed = False

    # --- what the runtime calls ----------------------------------------------------------------

    def open(self, port: Port) -> None:
        """Serve the endpoint behind ``port``."""
        self._port = port
        self._poller = Poller.acquire()

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        """Begin an operation."""
        match operation:
            case "Connect":
                self._poller.call(self._connect, request)
            case "Output":
                self._poller.call(self._output, _Output(request, arguments[0]))
            case "Input":
                self._poller.call(self._post, _Receive(request, arguments))
            case "Disconnect":
                self._poller.call(self._disconnect, request)
            case _:  # Bind and UnBind: TCP has nothing to claim
                self._poller.call(self._answer, request, None)

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Stop all work on these operations."""
        self._poller.call(self._kill, cancel, operations)

    def close(self) -> None:
        """Stop everything and say nothing more."""
        if not self._is_closed:
            self._is_closed = True
            self._poller.call(self._close_socket)
            Poller.release()

    # --- the poller's thread -------------------------------------------------------------------

    def _answer(self, request: int, code: int | None, value: Any = None) -> None:
        if not self._is_closed:
            self._port.answer(request, code, value)

    def _connect(self, request: int) -> None:
        """Look the name up beside the poller, which must not wait for it."""
        self._connecting = request
        self._attempt += 1
        attempt = self._attempt

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(self.host, self.tcp_port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                self._poller.call(self._looked_up, attempt, [], error)
            else:
                self._poller.call(self._looked_up, attempt, found, None)

        threading.Thread(target=look_up, name="rescind-lookup", daemon=True).start()

    def _looked_up(self, attempt: int, found: list[Any], error: Exception | None) -> None:
        if attempt != self._attempt or self._is_closed:
            return  # canceled meanwhile
        if error is not None:
            self._fail_connect(Code.TBADADDR, error)
            return
        self._candidates = deque(found)
        self._try_next(None)

    def _try_next(self, error: Exception | None) -> None:
        """Try the next address the name has; one that fails leaves the others a chance."""
        self._close_socket()
        if not self._candidates:
            self._fail_connect(Code.NOT_CONNECTED, error)
            return
        family, kind, protocol, _, address = self._candidates.popleft()
        sock = self._socket = socket.socket(family, kind, protocol)
        sock.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.send_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer_bytes)
        result = sock.connect_ex(address)
        if result in _IN_PROGRESS:
            self._poller.watch(sock, selectors.EVENT_WRITE, self._connected)
        else:
            self._try_next(OSError(result, errno.errorcode.get(result, "connect failed")))

    def _connected(self, _events: int) -> None:
        assert self._socket is not None, "a connect without a socket"
        result = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if result:
            self._try_next(OSError(result, errno.errorcode.get(result, "connect failed")))
            return
        request, self._connecting = self._connecting, 0
        self._buffer.clear()
        self._watch()
        self._answer(request, None)

    def _fail_connect(self, code: Code, error: Exception | None) -> None:
        request, self._connecting = self._connecting, 0
        self._close_socket()
        self._answer(request, code, f"{self.label}: {error}")

    def _watch(self) -> None:
        """Read while there is room, write while there is something to write."""
        if self._socket is None or self._connecting:
            return
        events = selectors.EVENT_WRITE if self._outputs else 0
        # A posted receive may want more than is kept for one that is not posted yet.
        if self._receive is not None or len(self._buffer) < RECEIVE_BYTES:
            events |= selectors.EVENT_READ
        self._poller.watch(self._socket, events, self._ready)

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            self._read()
        if events & selectors.EVENT_WRITE:
            self._send()
        self._watch()

    def _output(self, output: _Output) -> None:
        if self._socket is None:
            self._answer(output.request, Code.NOT_CONNECTED)
            return
        self._outputs.append(output)
        if len(self._outputs) == 1:
            self._send()
            self._watch()

    def _send(self) -> None:
        outputs = self._outputs
        while outputs and self._socket is not None:
            output = outputs[0]
            try:
                output.sent += self._socket.send(output.data[output.sent :])
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lose(error)
                return
            if output.sent == len(output.data):
                outputs.popleft()
                self._answer(output.request, None)

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._lose(None)
            return
        self._buffer += data
        if self._receive is not None:
            self._port.arrived(self._receive.request)
            self._hand_over()

    def _post(self, receive: _Receive) -> None:
        self._receive = receive
        was_handed_over = self._hand_over()
        if self._socket is None and not was_handed_over:
            self._receive = None
            self._answer(receive.request, Code.NOT_CONNECTED)
        self._watch()

    def _hand_over(self) -> bool:
        """End the posted receive if a complete piece is there; tell whether it was."""
        receive, buffer = self._receive, self._buffer
        if receive is None:
            return False
        piece = find_piece(buffer, receive.byte_count, receive.end_sequence)
        if piece is None:
            if receive.byte_count is None:
                discard_oldest(buffer, receive.discard_after)
            return False
        data = bytes(buffer[: piece.length])
        del buffer[: piece.length]
        data = data[-receive.discard_after :] if receive.byte_count is None else data
        self._receive = None
        value = data.decode(errors="replace") if receive.form == "string" else data
        self._port.received(receive.request, value, [piece.condition, piece.length])
        return True

    def _lose(self, error: OSError | None) -> None:
        """The connection is gone: say so, then end what was outstanding, in its order."""
        self._close_socket()
        detail = "the peer closed the connection" if error is None else str(error)
        if not self._is_closed:
            self._port.event(REMOTE_DISCONNECT, detail)
        outputs, self._outputs = self._outputs, deque()
        for output in outputs:
            self._answer(output.request, Code.NOT_CONNECTED, detail)
        receive, self._receive = self._receive, None
        if receive is not None:
            self._answer(receive.request, Code.NOT_CONNECTED, detail)

    def _kill(self, cancel: int, operations: frozenset[str]) -> None:
        taken: dict[int, int] = {}
        if "Output" in operations:
            taken = {each.request: each.sent for each in self._outputs if each.sent}
            self._outputs.clear()
        if "Input" in operations:
            self._receive = None
        if "Connect" in operations and self._connecting:
            self._attempt += 1
            self._connecting = 0
            self._close_socket()
        self._watch()
        if not self._is_closed:
            self._port.killed(cancel, None, taken)

    def _disconnect(self, request: int) -> None:
        code = None if self._socket is not None else Code.NOT_CONNECTED
        self._close_socket()
        self._outputs.clear()
        self._receive = None
        self._answer(request, code)

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._poller.watch(self._socket, 0, self._ready)
            self._socket.close()
            self._socket = None


def tcp(host: str, port: int, *, send_buffer_bytes: int | None = SEND_BUFFER_BYTES) -> TcpTool:
    """Return a tool that connects to ``host``:``port``; see ``TcpTool``."""
    return TcpTool(host, port, send_buffer_bytes=send_buffer_bytes)
