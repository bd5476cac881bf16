"""Lookups through one name server on the loopback, and lookups that are cancelled.

The server is dnsmasq where it is installed, else a few lines of our own; it is a process for
itself.  Ours writes every turn to a log on disk with durability ``os``; the peers write nothing.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from tests.ports import free_port

from .registry import Benchmark, Figure, Side
from .turns import Stopwatch

NAME = "any.test."
ADDRESS = "192.0.2.9"
IN_FLIGHT = 100
"""So many queries are under way at a time, on both sides; it is the resolver's own default."""
RESPONDER = f"""
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[1])))
answer = bytes((0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)) + socket.inet_aton("{ADDRESS}")
while True:
    query, asker = server.recvfrom(512)
    end = query.index(0, 12) + 5  # the name, then type and class
    head = query[:2] + bytes((0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0))
    server.sendto(head + query[12:end] + answer, asker)
"""


@contextlib.contextmanager
def name_server() -> Iterator[int]:
    """Run a name server that knows every name; its port."""
    process, port = started()
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def started() -> tuple[subprocess.Popen[bytes], int]:
    """Start it on a port that nobody has; who finds his port taken meanwhile tries another."""
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(command(port), stderr=subprocess.DEVNULL)
        if answers(process, port):
            return process, port
    raise RuntimeError("the name server does not start")


def command(port: int) -> list[str]:
    program = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return [sys.executable, "-c", RESPONDER, str(port)]
    return [
        *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user="),
        *("--no-resolv", "--no-hosts", "--cache-size=0", "--listen-address=127.0.0.1"),
        *("--bind-interfaces", f"--port={port}", f"--address=/test/{ADDRESS}"),
    ]


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Ask until it answers or has ended."""
    question = bytes((0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)) + b"\3any\4test\0\0\1\0\1"
    with socket.socket(type=socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.1)
        asker.connect(("127.0.0.1", port))
        while process.poll() is None:
            with contextlib.suppress(OSError):
                asker.send(question)
                asker.recv(512)
                return True
    return False


def ours(n: int) -> Mapping[str, float]:
    return {"lookups": ours_resolves(n), "cancelled": ours_cancels(n)}


@contextlib.contextmanager
def our_application(port: int) -> Iterator[Any]:
    from rescind import Runtime, winsock

    resolver = winsock.dns(servers=[f"127.0.0.1:{port}"], lookups_at_once=IN_FLIGHT)
    with (
        tempfile.TemporaryDirectory() as folder,
        Runtime.open(f"{folder}/resolve.log", durability="os") as runtime,
        winsock.Application(runtime, resolver) as application,
    ):
        yield application


def ours_resolves(n: int) -> float:
    from rescind.actors.winsock import Buffer

    with name_server() as port, our_application(port) as application:
        window = application.window()
        watch = Stopwatch()
        for _ in range(n):
            application.async_get_host_by_name(window, 1, NAME, Buffer())
        failed = sum(window.get().error != 0 for _ in range(n))
        seconds = watch.seconds()
    assert not failed
    return n / seconds


def ours_cancels(n: int) -> float:
    """Start lookups of a server that never answers, then cancel each."""
    from rescind.actors.winsock import Buffer

    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with our_application(silent.getsockname()[1]) as application:
            window = application.window()
            watch = Stopwatch()
            handles = [
                application.async_get_host_by_name(window, 1, NAME, Buffer()) for _ in range(n)
            ]
            for handle in handles:
                application.cancel_async_request(handle)
            seconds = watch.seconds()
            assert window.peek() is None
    return n / seconds


def with_pycares(n: int) -> Mapping[str, float]:
    """One channel that drives itself, as its own documentation shows it."""
    import pycares

    answers: SimpleQueue[int | None] = SimpleQueue()
    with name_server() as port:
        channel = pycares.Channel(servers=[f"127.0.0.1:{port}"])

        def ask() -> None:
            channel.getaddrinfo(
                NAME, None, family=socket.AF_INET, callback=lambda _, error: answers.put(error)
            )

        watch = Stopwatch()
        for _ in range(min(IN_FLIGHT, n)):
            ask()
        failed = 0
        for done in range(n):
            failed += answers.get() is not None
            if done + IN_FLIGHT < n:
                ask()
        seconds = watch.seconds()
        channel.close()
    assert not failed
    return {"lookups": n / seconds}


def with_asyncio(n: int) -> Mapping[str, float]:
    """Start as many tasks, each of which has handed its lookup to the loop's threads."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        watch = Stopwatch()
        tasks = [loop.create_task(loop.getaddrinfo(NAME, 80)) for _ in range(n)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        seconds = watch.seconds()
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        return seconds

    loop = asyncio.new_event_loop()  # whose end, unlike `run`, does not wait for the threads
    try:
        return {"cancelled": n / loop.run_until_complete(main())}
    finally:
        loop.close()


BENCHMARK = Benchmark(
    name="resolve",
    says="N hosts looked up at one name server; N lookups started, then cancelled one by one",
    ours=Side("ours", ours, 100_000, 10_000),
    peers=(
        Side("pycares", with_pycares, 100_000, 10_000, figures=("lookups",), needs="pycares"),
        Side("asyncio", with_asyncio, 100_000, 10_000, figures=("cancelled",)),
    ),
    figures=(
        Figure("lookups", "1/s", True, {"pycares": 0.6}),
        Figure("cancelled", "1/s", True, {"asyncio": 1.0}),
    ),
)
