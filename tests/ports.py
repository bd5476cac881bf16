"""Ports that nobody has."""

import contextlib
import socket


def free_port() -> int:
    """Return a port of the loopback that is free for streams and for datagrams alike.

    Somebody else may take it before it is used: who starts a server on it tries again then.
    """
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):
                datagram.bind(("127.0.0.1", port))
                return port
