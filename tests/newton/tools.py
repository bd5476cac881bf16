"""Every real communications tool with a peer for it, and a port that notes what the tool says."""

import os
import select
import socket
import ssl
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rescind.actors.newton import drivers

from .sockets import SMALL_BUFFER_BYTES, WAIT_S, read_exactly, read_to_end, reset

CERTIFICATE = Path(__file__).with_name("certificate.pem")
KINDS = ("tcp4", "tcp6", "tls", "unix", "packets", "serial", "child")
WITH_TWIN = (*KINDS, "twin")
"""What a script has to decide for the twin is no promise of its."""
ALL_OPERATIONS = frozenset(
    ("Bind", "UnBind", "Connect", "Listen", "Accept", "Disconnect", "Release", "Output", "Input")
) | {"Receive", "Option"}


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    return context


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class NotedPort:
    """A port that notes every call, and can be waited on."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        self._note("answer", request, code, value)

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        data = bytes(data) if isinstance(data, memoryview) else data
        self._note("received", request, data, terminator, options)

    def arrived(self, request: int) -> None:
        self._note("arrived", request)

    def killed(self, cancel: int, code: int | None, taken: Any, _spared: Any = ()) -> None:
        self._note("killed", cancel, code, dict(taken))

    def event(self, code: int, data: Any) -> None:
        self._note("event", code, data)

    def _note(self, *call: Any) -> None:
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of the calls of one method, in order."""
        with self._changed:
            return [call[1:] for call in self.calls if call[0] == name]

    def wait(self, what: Callable[[], Any]) -> Any:
        """Return the first thing that ``what`` returns and that is true."""
        with self._changed:
            assert self._changed.wait_for(what, WAIT_S), self.calls
            return what()

    def wait_for(self, *call: Any) -> tuple[Any, ...]:
        """Return the first call that begins like this."""
        found: tuple[Any, ...] = self.wait(
            lambda: next((each for each in self.calls if each[: len(call)] == call), None)
        )
        return found

    def codes(self) -> list[tuple[int, int | None]]:
        """Return what was answered: requests and codes."""
        return [(request, code) for request, code, _ in self.of("answer")]


class Bench:
    """A tool, its port and its peer; requests are numbered from 1."""

    def __init__(self, tool: Any, peer: Any = None) -> None:
        self.tool = tool
        self.peer = peer
        self.port = NotedPort()
        self.last = 0
        tool.open(self.port)

    def ask(self, operation: str, *arguments: Any) -> int:
        """Have the tool begin an operation; returns the request's number."""
        self.last += 1
        self.tool.perform(self.last, operation, arguments)
        return self.last

    def output(self, data: Any, **slots: Any) -> int:
        return self.ask("Output", data, slots)

    def post(self, request: int | None = None, buffer: Any = None, **slots: Any) -> int:
        """Post a receive, again if it has a number already."""
        if request is None:
            return self.ask("Input", slots, buffer)
        self.tool.perform(request, "Input", (slots, buffer))
        return request

    def code_of(self, request: int) -> int | None:
        """Wait for a request's answer, and return its code."""
        code: int | None = self.port.wait_for("answer", request)[2]
        return code

    def value_of(self, request: int) -> Any:
        """Wait for a request's success, and return its value."""
        assert self.code_of(request) is None
        return self.port.wait_for("answer", request)[3]

    def do(self, operation: str, *arguments: Any) -> int | None:
        """Have the tool do something, and return its code."""
        return self.code_of(self.ask(operation, *arguments))

    def option(self, label: str, op_code: int = 1024, data: Any = None) -> list[Any]:
        """Carry out one option; returns its data and its result."""
        request = self.ask("Option", [["option", label, op_code, data]])
        ((_, _, _, now, result),) = self.value_of(request)
        return [now, result]

    def settle(self) -> None:
        """Return when the tool has begun all that it was asked for before."""
        self.do("Option", [])

    def until(self, is_so: Callable[[], bool]) -> None:
        """Return when something is so that the tool tells nobody of."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            assert time.monotonic() < deadline
            self.settle()

    def kill(self, operations: frozenset[str] = ALL_OPERATIONS) -> dict[int, int]:
        """Have everything stopped; returns what was taken of requests cut short."""
        self.last += 1
        self.tool.kill(self.last, operations)
        taken: dict[int, int] = self.port.wait_for("killed", self.last)[3]
        return taken

    def receive(self, data: bytes) -> None:
        """Let the peer send, and see it come in as one piece."""
        request = self.post(form="bytes", byte_count=len(data))
        self.peer.send(data)
        assert self.port.wait_for("received", request)[2] == data


# --- peers -------------------------------------------------------------------------------------


class SocketPeer:
    """The other side of a TCP or UNIX connection."""

    can_half_close = True

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT_S)
        self.sock = sock

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self, count: int) -> bytes:
        return read_exactly(self.sock, count)

    def read_to_end(self) -> bytes:
        return read_to_end(self.sock)

    def finish(self) -> None:
        """Say that nothing more will come, and go on listening."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection."""
        reset(self.sock)

    def close(self) -> None:
        self.sock.close()


class UnixPeer(SocketPeer):
    """A UNIX socket knows no reset of its own; closing it is what comes nearest."""

    def reset(self) -> None:
        self.sock.close()


class PacketPeer(UnixPeer):
    """Whose reads keep packets apart."""

    def read(self, count: int) -> bytes:
        packet = self.sock.recv(1 << 20)
        assert len(packet) == count
        return packet

    def read_to_end(self) -> bytes:
        received = bytearray()
        with suppress(ConnectionResetError):
            while packet := self.sock.recv(1 << 20):
                received += packet
        return bytes(received)


class TlsPeer(SocketPeer):
    """The other side of TLS."""

    sock: ssl.SSLSocket

    def finish(self) -> None:
        """Send close_notify without waiting for the other side's."""
        self.sock.settimeout(0)
        with suppress(ssl.SSLWantReadError):
            self.sock.unwrap()
        self.sock.settimeout(WAIT_S)


class LinePeer:
    """The other end of a serial line: the master of a pseudo-terminal."""

    can_half_close = False

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self.slave = slave

    def opened(self) -> None:
        """Let go of the other end, which the tool has now."""
        os.close(self.slave)
        self.slave = -1

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.master, data) :]

    def read(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            ready, _, _ = select.select([self.master], [], [], WAIT_S)
            assert ready, f"{len(received)} of {count} bytes came"
            received += os.read(self.master, count - len(received))
        return bytes(received)

    def reset(self) -> None:
        """Hang up."""
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


CHILD = """
import os, socket, sys
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
orders = control.makefile("rwb", buffering=0)
while line := orders.readline():
    order, _, argument = line.decode().partition(" ")
    if order == "write":
        fd, count = map(int, argument.split())
        data = orders.read(count)
        while len(data) < count:
            data += orders.read(count - len(data))
        while data:
            data = data[os.write(fd, data):]
    elif order == "read":
        data = os.read(0, int(argument))
        control.sendall(len(data).to_bytes(4, "big") + data)
    elif order == "close":
        os.close(int(argument))
    elif order == "exit":
        os._exit(int(argument))
    control.sendall(b".") if order != "read" else None
"""
"""A child that does what it is told over a socket of its own."""


class ChildPeer:
    """The child process."""

    can_half_close = True

    def __init__(self, folder: Path) -> None:
        path = str(folder / "control")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(WAIT_S)
        self.argv = [sys.executable, "-S", "-c", CHILD, path]
        self.control: socket.socket | None = None

    def started(self) -> None:
        """Wait until the child asks what it is to do."""
        self.control, _ = self.listener.accept()
        self.control.settimeout(WAIT_S)

    def order(self, text: str, data: bytes = b"") -> None:
        assert self.control is not None
        self.control.sendall(text.encode() + b"\n" + data)

    def do(self, text: str, data: bytes = b"") -> None:
        """Have the child do something, and wait until it has."""
        assert self.control is not None
        self.order(text, data)
        assert read_exactly(self.control, 1) == b"."

    def send(self, data: bytes) -> None:
        self.do(f"write 1 {len(data)}", data)

    def read_some(self, count: int) -> bytes:
        assert self.control is not None
        self.order(f"read {count}")
        return read_exactly(self.control, int.from_bytes(read_exactly(self.control, 4), "big"))

    def read(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            data = self.read_some(count - len(received))
            assert data, f"the input ended after {len(received)} of {count} bytes"
            received += data
        return bytes(received)

    def read_to_end(self) -> bytes:
        received = bytearray()
        while data := self.read_some(65536):
            received += data
        return bytes(received)

    def finish(self) -> None:
        """Close the standard output."""
        self.do("close 1")

    def reset(self) -> None:
        """End."""
        self.order("exit 7")

    def close(self) -> None:
        self.listener.close()
        if self.control is not None:
            self.control.close()


class TwinPeer:
    """What a test does for the scripted twin."""

    can_half_close = True

    def __init__(self, tool: Any) -> None:
        self.tool = tool

    def send(self, data: bytes) -> None:
        self.tool.feed(data)

    def read(self, count: int) -> bytes:
        """Take the oldest Output whole."""
        request = self.tool.complete_next()
        data = next(each[2][0] for each in self.tool.performed if each[0] == request)
        assert len(data) == count
        return bytes(data)

    def close(self) -> None:
        """Nothing is open."""


# --- benches -----------------------------------------------------------------------------------


@contextmanager
def connected(kind: str, folder: Path) -> Iterator[Bench]:
    """Yield a bench whose tool is connected to a peer; everything is closed afterwards."""
    with unconnected(kind, folder) as bench:
        connect(bench)
        yield bench


def connect(bench: Bench) -> None:
    """Connect a bench's tool; a peer that has to be waited for is."""
    assert bench.do("Bind") is None
    request = bench.ask("Connect", [])
    bench.meet()  # type: ignore[attr-defined]
    assert bench.code_of(request) is None
    if isinstance(bench.peer, LinePeer):
        bench.peer.opened()


@contextmanager
def unconnected(kind: str, folder: Path) -> Iterator[Bench]:
    """Yield a bench whose tool could connect."""
    bench, closed = _MAKERS[kind](folder)
    try:
        yield bench
    finally:
        bench.tool.close()
        closed()
        if bench.peer is not None:
            bench.peer.close()


def _over_sockets(
    tool: Any, listener: socket.socket, new_peer: Callable[[socket.socket], Any]
) -> tuple[Bench, Callable[[], None]]:
    listener.settimeout(WAIT_S)
    bench: Any = Bench(tool)

    def meet() -> None:
        bench.peer = new_peer(listener.accept()[0])

    bench.meet = meet
    return bench, listener.close


def _tcp(family: int, host: str, *, tls: bool = False) -> tuple[Bench, Callable[[], None]]:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    listener.bind((host, 0))
    listener.listen()
    port = listener.getsockname()[1]
    context = client_context() if tls else None
    tool = drivers.tcp(host, port, tls=context, send_buffer_bytes=SMALL_BUFFER_BYTES)

    def new_peer(sock: socket.socket) -> Any:
        sock.settimeout(WAIT_S)
        if not tls:
            return SocketPeer(sock)
        return TlsPeer(server_context().wrap_socket(sock, server_side=True))

    return _over_sockets(tool, listener, new_peer)


def _unix(folder: Path, *, packets: bool) -> tuple[Bench, Callable[[], None]]:
    path = str(folder / "socket")
    kind = socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    listener.listen()
    tool = drivers.unix(path, packets=packets, send_buffer_bytes=SMALL_BUFFER_BYTES)
    return _over_sockets(tool, listener, PacketPeer if packets else UnixPeer)


def _serial(_folder: Path) -> tuple[Bench, Callable[[], None]]:
    peer = LinePeer()
    bench: Any = Bench(drivers.serial(peer.path), peer)
    bench.meet = lambda: None
    return bench, lambda: None


def _child(folder: Path) -> tuple[Bench, Callable[[], None]]:
    peer = ChildPeer(folder)
    bench: Any = Bench(drivers.child(peer.argv), peer)
    bench.meet = peer.started
    return bench, lambda: None


def _twin(_folder: Path) -> tuple[Bench, Callable[[], None]]:
    tool = drivers.twin(options={})
    bench: Any = Bench(tool, TwinPeer(tool))
    bench.meet = lambda: None
    return bench, lambda: None


_MAKERS: dict[str, Callable[[Path], tuple[Bench, Callable[[], None]]]] = {
    "tcp4": lambda _: _tcp(socket.AF_INET, "127.0.0.1"),
    "tcp6": lambda _: _tcp(socket.AF_INET6, "::1"),
    "tls": lambda _: _tcp(socket.AF_INET, "127.0.0.1", tls=True),
    "unix": lambda folder: _unix(folder, packets=False),
    "packets": lambda folder: _unix(folder, packets=True),
    "serial": _serial,
    "child": _child,
    "twin": _twin,
}


def open_files() -> set[str]:
    """Return what this process has open, by file descriptor and what it is."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(f"{link.name} {link.readlink()}")
    return found
