"""The two programs that the project was begun with, as they stand in the design."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rescind.events import read
from rescind.replay import Verdict, sequences

TERMINAL = """
import sys
from rescind import Runtime, newton

def sent(ep, options, result):                         # a Newton endpoint
    if newton.is_cancelled(result):
        ep.output("again", asynchronous=True)          # raises -36003: a cancel is in progress

with Runtime.open("terminal.log") as rt:
    ep = newton.Endpoint(rt, newton.tcp("127.0.0.1", int(sys.argv[1])))
    ep.bind(); ep.connect(timeout_s=5)
    for n in range(8):
        ep.output(f"line {n}\\n" * 10_000,
                  newton.CallbackSpec(asynchronous=True, completion_script=sent))
    ep.cancel(asynchronous=True).get()                 # asynchronous calls also return futures
    ep.disconnect(); ep.unbind(); ep.dispose()
"""

CRAWLER = """
import asyncio
from rescind import Actor, Cancelled, Runtime, event, message

@message
class Fetch:
    url: str

@event
class Fetched:
    url: str
    size: int

def download(url):
    return len(url)

class Crawler(Actor):                                  # the user's own actor
    total: int = 0
    def on_fetch(self, m: Fetch):                      # decides, never waits
        return self.work(download, m.url, then=self.got)      # real work, outside
    def got(self, m: Fetch, size: int):
        self.record(Fetched(m.url, size))
        return size                                    # completes the request
    def apply_fetched(self, e: Fetched): self.total += e.size

async def main():
    async with Runtime.open("crawl.log") as rt:
        c = rt.start(Crawler)
        a, b = c.request(Fetch("a")), c.request(Fetch("b"), timeout_s=5)
        b.cancel(reason="stop button")
        print(await a)
        try: await b
        except Cancelled as e: print(e)                # who, file and line, turn

asyncio.run(main())
"""


def run(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture
def slow_peer():
    """Accept one connection on a free port and read nothing of it until the test is over."""
    accepted: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(TimeoutError):
            accepted.append(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        thread.join()
    for connection in accepted:
        connection.close()


def test_the_terminal_program_runs_as_it_stands_in_the_design(slow_peer, tmp_path):
    done = run(TERMINAL, tmp_path, str(slow_peer))
    assert done.returncode == 0, done.stderr
    (sequence,) = sequences(read(tmp_path / "terminal.log"))
    codes = [victim.completed.code for victim in sequence.victims if victim.completed]
    assert codes.count(-16005) >= 6, "the peer reads nothing, so most of it was outstanding"
    assert {refusal.code for refusal in sequence.refused} == {-36003}
    assert sequence.verdict is Verdict.HOLDS


def test_the_crawler_program_runs_as_it_stands_in_the_design(tmp_path):
    done = run(CRAWLER, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stop button" in done.stdout
