"""Name servers on the loopback: the real one, and one that says whatever a test wants said."""

import contextlib
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from rescind.actors.winsock._codes import Code
from rescind.actors.winsock._entries import Entry
from tests.ports import free_port

WAIT_S = 20.0
"""How long anything may take before the test fails; nothing normally comes near it."""
BY_NAME = "WSAAsyncGetHostByName"
BY_ADDRESS = "WSAAsyncGetHostByAddr"

A, CNAME, PTR, AAAA = 1, 5, 12, 28
FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 1, 2, 3, 4, 5
TRUNCATED = 0x0200
MANY_ADDRESSES = 150
"""More than fit into one datagram."""

RECORDS = (
    "--host-record=a.test,192.0.2.1",
    "--host-record=six.test,2001:db8::6",
    "--host-record=both.test,192.0.2.2,2001:db8::2",
    "--host-record=xn--fa-hia.test,192.0.2.3",
    "--host-record=a.corp.test,192.0.2.7",
    "--cname=www.test,web.test,a.test",
    "--txt-record=text.test,hello",
    "--address=/any.test/192.0.2.9",
    "--local=/test/",
    "--local=/2.0.192.in-addr.arpa/",
    *(f"--host-record=many.test,198.51.100.{n + 1}" for n in range(MANY_ADDRESSES)),
)


class Answered(NamedTuple):
    code: Code | None
    value: Any


class Answers:
    """The port of a resolver under test: who was answered what."""

    def __init__(self) -> None:
        self.all: dict[int, Answered] = {}
        self.twice: list[int] = []
        self.calls_depth = 0
        self._changed = threading.Condition()
        self.is_shut = False
        self.after_shut: list[int] = []

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        with self._changed:
            if self.is_shut:
                self.after_shut.append(request)
            if request in self.all:
                self.twice.append(request)
            self.all[request] = Answered(None if code is None else Code(code), value)
            self._changed.notify_all()

    def network(self, *, is_down: bool) -> None:
        raise AssertionError(f"no lookup marks the network as down: {is_down}")

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        self.calls_depth += 1
        try:
            yield
        finally:
            self.calls_depth -= 1

    def of(self, request: int) -> Answered:
        with self._changed:
            assert self._changed.wait_for(lambda: request in self.all, WAIT_S), "never answered"
            return self.all[request]

    def entry_of(self, request: int) -> Entry:
        answered = self.of(request)
        assert answered.code is None, answered
        entry: Entry = answered.value
        return entry

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.all) >= count, WAIT_S), len(self.all)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < ends, "it never came about"
        time.sleep(0.002)


# --- the real one ----------------------------------------------------------------------------


def start_dnsmasq() -> tuple[subprocess.Popen[bytes], int]:
    """Start dnsmasq with ``RECORDS`` and wait until it answers."""
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
    if program is None:
        pytest.skip("dnsmasq is not installed (Debian package dnsmasq-base)")
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(
            [
                *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file="),
                *("--no-resolv", "--no-hosts", "--cache-size=0", f"--port={port}"),
                *("--listen-address=127.0.0.1", "--bind-interfaces", "--user=", *RECORDS),
            ],
            stderr=subprocess.DEVNULL,
        )
        if answers(process, port):
            return process, port
        process.kill()
        process.wait()
    pytest.fail("dnsmasq does not start")


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    ends = time.monotonic() + WAIT_S
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\1a\4test\0" + struct.pack("!2H", A, 1)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.1)
        while process.poll() is None and time.monotonic() < ends:
            with contextlib.suppress(OSError):  # refused or silent: not yet there
                client.send(question)
                client.recv(512)
                return True
            time.sleep(0.01)
    return False


# --- the one that a test scripts -----------------------------------------------------------------


class Question(NamedTuple):
    """A query as the server sees it."""

    id: int
    name: str
    type: int
    is_tcp: bool
    client: Any
    wire: bytes
    """The question section."""

    def reply(self, *records: bytes, flags: int = 0, rcode: int = 0, **lies: Any) -> bytes:
        """Return an answer; ``id`` and ``wire`` may be lied about."""
        head = struct.pack(
            "!6H", lies.get("id", self.id), 0x8180 | flags | rcode, 1, len(records), 0, 0
        )
        wire: bytes = lies.get("wire", self.wire)
        return head + wire + b"".join(records)

    def a(self, address: str = "192.0.2.1") -> bytes:
        """Return an address record for the name."""
        return record(self.name, A, socket.inet_aton(address))


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(name: str, kind: int, data: bytes, ttl: int = 0) -> bytes:
    return encode(name) + struct.pack("!2HIH", kind, 1, ttl, len(data)) + data


def parse(data: bytes, client: Any, *, is_tcp: bool) -> Question:
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode())
        at += 1 + data[at]
    (kind,) = struct.unpack_from("!H", data, at + 1)
    return Question(
        int.from_bytes(data[:2]), ".".join(labels), kind, is_tcp, client, data[12 : at + 5]
    )


class NameServer:
    """Answers each query with what ``script`` returns for it: any number of messages."""

    def __init__(self, script: Callable[[Question], list[bytes]]) -> None:
        self.script = script
        self.asked: list[Question] = []
        self.questions: SimpleQueue[Question] = SimpleQueue()
        self.port = free_port()
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self._threads = [
            threading.Thread(target=each, daemon=True) for each in (self._datagrams, self._streams)
        ]
        for each in self._threads:
            each.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def names(self) -> list[str]:
        return [each.name for each in self.asked]

    def _note(self, question: Question) -> list[bytes]:
        self.asked.append(question)
        self.questions.put(question)
        return self.script(question)

    def _datagrams(self) -> None:
        while True:
            data, client = self.udp.recvfrom(2048)
            if not data:
                return
            for each in self._note(parse(data, client, is_tcp=False)):
                self.udp.sendto(each, client)

    def _streams(self) -> None:
        while True:
            stream, client = self.tcp.accept()
            with stream, contextlib.suppress(OSError):
                stream.settimeout(WAIT_S)
                size = stream.recv(2, socket.MSG_WAITALL)
                if not size:
                    return
                data = stream.recv(int.from_bytes(size), socket.MSG_WAITALL)
                for each in self._note(parse(data, client, is_tcp=True)):
                    stream.sendall(len(each).to_bytes(2) + each)

    def close(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"", ("127.0.0.1", self.port))
        socket.create_connection(("127.0.0.1", self.port)).close()
        for each in self._threads:
            each.join(WAIT_S)
            assert not each.is_alive()
        self.udp.close()
        self.tcp.close()
