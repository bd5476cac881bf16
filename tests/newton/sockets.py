"""Real peers on the loopback, for tests over TCP, and an endpoint that talks to them."""

import fcntl
import socket
import struct
import sys
import termios
import threading
from contextlib import suppress
from typing import Any

from rescind import newton
from rescind.actors.runtime import Runtime
from rescind.events import Killed, read

from .stage import audit

WAIT_S = 20.0
"""How long anything may take before the test fails; nothing normally comes near it."""
SMALL_BUFFER_BYTES = 4096


def listen(backlog: int = 8) -> socket.socket:
    """Listen on a free port; what is accepted has a small receive buffer."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    listener.settimeout(WAIT_S)
    return listener


def read_to_end(peer: socket.socket) -> bytes:
    """Read until the other side closes or resets."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := peer.recv(65536):
            received += data
    return bytes(received)


def read_exactly(peer: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        data = peer.recv(count - len(received))
        assert data, f"the connection ended after {len(received)} of {count} bytes"
        received += data
    return bytes(received)


def unsent(peer: socket.socket) -> int:
    """Return how many bytes the other side's kernel has not got yet."""
    count = bytearray(4)
    fcntl.ioctl(peer, termios.TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


def reset(peer: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Conversation:
    """An endpoint over a real tool, under real threads, and what its scripts heard."""

    def __init__(self, tool: Any, profile: str = "guide") -> None:
        self.runtime = Runtime.open()
        self.tool = tool
        self.heard: list[Any] = []
        self.reports: list[dict[str, Any]] = []
        self.endpoint = newton.StreamingEndpoint(
            self.runtime,
            tool,
            profile=profile,
            exception_handler=lambda _endpoint, report: self.reports.append(report),
        )
        self.arrived = threading.Condition()

    def spec(self, name: str, then: Any = None, timeout_s: float | None = None) -> Any:
        def completion_script(_endpoint: Any, _options: Any, result: int | None) -> None:
            self.hear((name, result))
            if then is not None:
                then()

        return newton.CallbackSpec(True, timeout_s, completion_script)

    def hear(self, what: Any) -> None:
        with self.arrived:
            self.heard.append(what)
            self.arrived.notify_all()

    def wait_for(self, what: Any) -> None:
        """Return once a script has heard ``what``."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: what in self.heard, WAIT_S), self.heard

    def wait_for_count(self, count: int) -> None:
        """Return once scripts have heard ``count`` things."""
        with self.arrived:
            enough = self.arrived.wait_for(lambda: len(self.heard) >= count, WAIT_S)
            assert enough, self.heard

    def arm(self, name: str = "I", **slots: Any) -> Any:
        """Arm an input spec whose data is noted as (name, data), its end as (name, code)."""
        spec = newton.InputSpec(
            lambda _endpoint, data, _terminator, _options: self.hear((name, data)),
            self.spec(name).completion_script,
            **slots,
        )
        return self.endpoint.set_input_spec(spec)

    def taken_of(self, request: Any) -> int:
        """Return how many bytes the tool said were sent of a request that a cancel cut short."""
        killed = [turn.message for turn in read(self.runtime.log)]
        taken = [each.taken for each in killed if isinstance(each, Killed)]
        return int(taken[-1].get(request.number, 0))

    def close(self) -> None:
        """Close the runtime, and audit its log."""
        self.runtime.close()
        audit(self.runtime)


class Line(Conversation):
    """An endpoint over TCP and its listener."""

    def __init__(
        self, profile: str = "guide", *, backlog: int = 8, port: int | None = None
    ) -> None:
        self.listener = listen(backlog)
        self.port = self.listener.getsockname()[1] if port is None else port
        tool = newton.tcp("127.0.0.1", self.port, send_buffer_bytes=SMALL_BUFFER_BYTES)
        super().__init__(tool, profile)
        self.peers: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """Bind and connect; returns the peer's side."""
        if self.endpoint.state() is newton.State.UNBND:
            self.endpoint.bind()
        self.endpoint.connect(timeout_s=WAIT_S)
        return self.accept()

    def accept(self) -> socket.socket:
        peer, _ = self.listener.accept()
        peer.settimeout(WAIT_S)
        self.peers.append(peer)
        return peer

    def send(self, peer: socket.socket, data: bytes) -> None:
        """Send a packet of its own: return once the tool has read it."""
        medium: Any = self.tool._medium
        peer.sendall(data)
        unread = bytearray(b"once")
        while unread != bytes(4) or unsent(peer):
            fcntl.ioctl(medium._sock, termios.FIONREAD, unread)

    def close(self) -> None:
        """Close everything, and audit the log."""
        super().close()
        for each in (self.listener, *self.peers):
            each.close()


def assert_no_thread_is_left() -> None:
    """See that every thread of every closed runtime ends by itself."""
    # The process's default runtime may be open, in whose end a thread of its own waits.
    threads = [each for each in threading.enumerate() if each.name != "rescind-close"]
    left = [thread for thread in threads if thread.name.startswith("rescind-")]
    for thread in left:
        thread.join(WAIT_S)
    assert not [thread for thread in left if thread.is_alive()]
