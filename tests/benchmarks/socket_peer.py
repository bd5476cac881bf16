"""The other end of a connection, in plain sockets and a process for itself: the same for all sides.

``python -m tests.benchmarks.socket_peer WORK ...`` listens, prints its port, takes one connection
and does each work named, in a thread of its own, until it is killed or the other end is gone.
"""

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
BLOCK_BYTES = 64 * 1024
SILENT_RECEIVE_BYTES = 64 * 1024
"""How much the system may take from a connection that nobody reads."""


@contextlib.contextmanager
def peer(*works: str) -> Iterator[int]:
    """Run one; its port."""
    command = [sys.executable, "-m", "tests.benchmarks.socket_peer", *works]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def discard(connection: socket.socket) -> None:
    buffer = bytearray(4 * BLOCK_BYTES)
    while connection.recv_into(buffer):
        pass


def flood(connection: socket.socket) -> None:
    block = bytes(4 * BLOCK_BYTES)
    while True:
        connection.sendall(block)


def main(*works: str) -> None:
    with socket.socket() as listener:
        if not works:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SILENT_RECEIVE_BYTES)
        listener.bind((HOST, 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    does = {"discard": discard, "flood": flood}
    threads = [threading.Thread(target=run, args=(does[work], connection)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not works:
        threading.Event().wait()


def run(work: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        work(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
