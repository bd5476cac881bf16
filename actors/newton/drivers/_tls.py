"""TLS over a socket that does not block: at most one record is encrypted ahead of the kernel.

A record cannot be taken back once it is encrypted, because the next one is numbered after it.  So
one is made only when the kernel has room, and its bytes count as taken with its first byte.
"""

import contextlib
import select
import socket
import ssl
from typing import Any

from ._poller import READ, WRITE

RECORD_BYTES = 16 * 1024
"""What fits into one record (RFC 8446 section 5.1)."""
_PULL_BYTES = 64 * 1024


class TlsStream:
    """Looks like the socket that it wraps, as far as a medium needs."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, server_hostname: str | None = None
    ) -> None:
        """Begin a connection; without a ``server_hostname`` it is the server's side."""
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
        )
        self._debt = memoryview(b"")
        """Encrypted, and not taken by the kernel yet."""
        self._is_record = False
        """Whether the debt is a record of ours, and not of the protocol's own."""
        self._is_spoiled = False
        self._room = select.poll()
        self._room.register(sock, select.POLLOUT)

    @property
    def owes(self) -> bool:
        """Whether the kernel has not taken yet all of what ``send`` has counted as taken."""
        return bool(self._debt)

    @property
    def holds(self) -> bool:
        """Whether there is input here that the kernel does not know of any more."""
        return bool(self._incoming.pending or self._tls.pending())

    @property
    def cipher(self) -> Any:
        """The name of the cipher that was agreed on."""
        found = self._tls.cipher()
        return None if found is None else found[0]

    def handshake(self) -> int:
        """Go on with the handshake; returns what to wait for, 0 when it is done.

        Raises:
            ssl.SSLError: the two sides could not agree.
            OSError: the connection is gone.
        """
        while True:
            is_done = self._step()
            try:
                self._push()
            except BlockingIOError:
                return WRITE
            if is_done:
                return 0
            try:
                self._pull()
            except BlockingIOError:
                return READ

    def _step(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._push()  # the alert that tells the peer why
            raise
        return True

    def send(self, data: memoryview) -> int:
        """Encrypt and send record after record until the kernel takes no more."""
        self.settle_debt()
        taken = 0
        while taken < len(data) and not self._debt:
            if not self._room.poll(0):
                break
            taken += self._tls.write(data[taken : taken + RECORD_BYTES])
            self._is_record = True
            with contextlib.suppress(BlockingIOError):
                self._push()
        if not taken:
            raise BlockingIOError
        return taken

    def recv(self, count_max: int) -> bytes:
        """Decrypt one record; nothing after the peer's close_notify.

        Raises:
            BlockingIOError: nothing whole is there yet.
            OSError: the connection is gone, or ended without a close_notify.
        """
        while True:
            try:
                return self._tls.read(count_max)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                pass
            self._pull()

    def recv_into(self, buffer: memoryview) -> int:
        """Decrypt one record into ``buffer``; as ``recv``."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def settle_debt(self) -> None:
        """Give the kernel what it is owed; raises BlockingIOError if it does not take all."""
        self._push()

    def cut(self) -> bool:
        """Forget the record that the kernel has not taken whole; the peer can't do without it."""
        if not (self._debt and self._is_record):
            return False
        self._debt = memoryview(b"")
        self._is_spoiled = True
        return True

    def say_goodbye(self) -> None:
        """Say that nothing more will come: the close_notify becomes a debt."""
        if not self._is_spoiled:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()

    def _push(self) -> None:
        if not self._debt and self._outgoing.pending:
            self._debt = memoryview(self._outgoing.read())
        while self._debt:
            self._debt = self._debt[self._sock.send(self._debt) :]
            if not self._debt and self._outgoing.pending:
                self._debt = memoryview(self._outgoing.read())
        self._is_record = False

    def _pull(self) -> None:
        data = self._sock.recv(_PULL_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
