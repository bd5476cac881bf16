"""TCP, over IPv4 and IPv6, with TLS if asked for: the side that calls and the side that listens."""

import socket
import ssl
import threading
from collections import deque
from typing import Any, ClassVar

from rescind.actors.newton._codes import Code
from rescind.actors.newton._errors import CommError

from ._medium import MediumError
from ._options import Setting
from ._sockets import BACKLOG, SEND_BUFFER_BYTES, Candidate, SocketMedium, SocketOption
from ._stream import StreamTool
from ._tls import TlsStream

_PORT_MAX = 65_535


class TcpMedium(SocketMedium):
    """A TCP connection, to be made or to be waited for."""

    OPTIONS: ClassVar[dict[str, SocketOption]] = {
        **SocketMedium.OPTIONS,
        "no_delay": SocketOption(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool),
    }

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
        send_buffer_bytes: int | None,
        backlog: int | None,
    ) -> None:
        """Remember where to connect to, or where to listen if there is a ``backlog``."""
        wanted = {"send_buffer_bytes": send_buffer_bytes, "no_delay": True, "keep_alive": False}
        super().__init__(wanted, backlog=backlog)
        self._address = self._bound = address
        self._called_host = address[0]
        self._tls = tls
        self._server_hostname = server_hostname
        self._attempt = 0
        self._settings["cipher"] = Setting(self._cipher)
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.label = f"tcp {'listener ' if self.listens else ''}{host}:{address[1]}"

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port; of a listener that is bound, those that it got."""
        return self._address if self._listener is None else self._bound

    def _shown(self, address: Any) -> Any:
        host, port, *_ = address
        return [host, port]

    def _cipher(self) -> Any:
        return self._wire.cipher if isinstance(self._wire, TlsStream) else None

    def _new_tls(self, sock: socket.socket) -> TlsStream | None:
        if self._tls is None:
            return None
        hostname = None if self.listens else self._server_hostname or self._called_host
        return TlsStream(sock, self._tls, server_hostname=hostname)

    # --- the side that calls ---------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Look the name up beside the poller, which must not wait, then try what was found."""
        host, port = _checked(address)
        self._called_host = host
        self._attempt += 1
        attempt = self._attempt

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                self.poller.call(self._looked_up, attempt, [], error)
            else:
                self.poller.call(self._looked_up, attempt, found, None)

        threading.Thread(target=look_up, name="rescind-lookup", daemon=True).start()

    def _looked_up(self, attempt: int, found: list[Any], error: Exception | None) -> None:
        if attempt != self._attempt:
            return  # abandoned meanwhile
        if error is not None:
            self.host.done(MediumError(Code.TBADADDR, str(error)))
            return
        candidates: list[Candidate] = [
            (family, kind, protocol, where) for family, kind, protocol, _, where in found
        ]
        self._candidates = deque(candidates)
        self._try_next(None)

    def abandon(self) -> None:
        """Stop whatever was begun, and ignore what the look-up will find."""
        self._attempt += 1
        super().abandon()

    # --- the side that is called -----------------------------------------------------------------

    def _new_listener(self) -> socket.socket:
        host, port = self._address
        flags = socket.AI_PASSIVE | (0 if host == "localhost" else socket.AI_NUMERICHOST)
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
        except (OSError, UnicodeError) as error:
            raise MediumError(Code.TBADADDR, str(error)) from error
        family, kind, protocol, _, where = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
        except OSError:
            listener.close()
            raise
        name = listener.getsockname()
        self._bound = (name[0], name[1])
        return listener


def _checked(address: Any) -> tuple[str, int]:
    """Return a host and a port; raises MediumError for what is neither."""
    match address:
        case [str() as host, int() as port] if 0 < port <= _PORT_MAX:
            return host, port
        case _:
            raise MediumError(Code.TBADADDR, f"{address!r} is no host and port")


def tcp(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    send_buffer_bytes: int | None = SEND_BUFFER_BYTES,
) -> StreamTool:
    """Return a tool that connects to one TCP peer.

    Connect tries all addresses that the name has, IPv4 and IPv6.  Its options: send_buffer_bytes,
    receive_buffer_bytes, no_delay, keep_alive; to be read, local_address, remote_address, cipher.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: the peer's port.
        tls: speak TLS by this context; True is the default context, which checks certificates.
        server_hostname: the name that the peer's certificate must have, if it is not ``host``.
        send_buffer_bytes: how much the kernel may hold back; None leaves the choice to the kernel,
            at the price that cancels find less to stop.

    Raises:
        CommError: -36001, there is no such port.
    """
    if not 0 < port <= _PORT_MAX:
        raise CommError(Code.TBADADDR, detail=f"there is no port {port}")
    context = ssl.create_default_context() if tls is True else tls or None
    medium = TcpMedium(
        (host, port),
        tls=context,
        server_hostname=server_hostname,
        send_buffer_bytes=send_buffer_bytes,
        backlog=None,
    )
    return StreamTool(medium)


def tcp_listener(
    host: str,
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    backlog: int = BACKLOG,
    send_buffer_bytes: int | None = SEND_BUFFER_BYTES,
) -> StreamTool:
    """Return a tool that waits for TCP peers, one after the other.

    Bind claims the port, Listen waits for one caller, Accept takes the connection (and shakes hands
    when there is TLS), Disconnect instead turns it away.  When a connection has ended, Listen waits
    for the next caller; who comes in between waits in the backlog.  ``tool.address`` tells where it
    listens.  Options as ``tcp``.

    Args:
        host: an address of this machine, or ``localhost``; empty for all of its addresses.
        port: 0 for any that is free.
        tls: speak TLS by this context, which holds the certificate.
        backlog: how many callers may wait.
        send_buffer_bytes: as ``tcp``.

    Raises:
        CommError: -36001, there is no such port.
    """
    if not 0 <= port <= _PORT_MAX:
        raise CommError(Code.TBADADDR, detail=f"there is no port {port}")
    medium = TcpMedium(
        (host, port),
        tls=tls,
        server_hostname=None,
        send_buffer_bytes=send_buffer_bytes,
        backlog=backlog,
    )
    return StreamTool(medium)
