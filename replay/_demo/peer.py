"""The demo's other side: a process that accepts one connection and reads far too slowly.

It prints its port, and when the connection ends one line of JSON about what it got.
"""

import json
import socket
import sys
import time

READ_BYTES = 2048
PAUSE_S = 0.02
RECEIVE_BUFFER_BYTES = 8 * 1024


def say(text: str) -> None:
    """Tell the demo, which reads our standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve(marker: bytes) -> None:
    """Serve one connection on a free loopback port; look for ``marker`` in what arrives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Before the connection exists: the window it offers must be small from its beginning.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        say(str(server.getsockname()[1]))
        connection, _ = server.accept()
    got = bytearray()
    with connection:
        try:
            while data := connection.recv(READ_BYTES):
                got += data
                time.sleep(PAUSE_S)
        except ConnectionError:
            pass
    say(json.dumps({"bytes": len(got), "marker": marker in got}))


if __name__ == "__main__":
    serve(sys.argv[1].encode())
