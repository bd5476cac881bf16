"""The real resolver: hosts through c-ares, services and protocols through the system's databases.

``WSAAsyncGetHostByName`` means IPv4 today as it did in 1993: an application that calls it expects
addresses of 4 bytes.  IPv6 is asked for, of one resolver with ``family``, or of one lookup by a
family as the question's second part.
"""

import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rescind.actors.winsock._codes import Code
from rescind.actors.winsock._entries import HostEntry

from ._channels import Channel, Channels, Ended, Query
from ._databases import BadQuestionError, Databases, WordsFile
from ._resolver import Port

HOSTS = Path("/etc/hosts")
NAME_LENGTH_MAX = 253
LABEL_LENGTH_MAX = 63
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC)

CODES: dict[str, Code] = {
    # What a server says.
    "ARES_ENODATA": Code.NO_DATA,
    "ARES_ENOTFOUND": Code.HOST_NOT_FOUND,
    "ARES_ESERVFAIL": Code.TRY_AGAIN,  # the server, or one that it asked, failed for now
    "ARES_EFORMERR": Code.NO_RECOVERY,  # it will find the same question malformed again
    "ARES_ENOTIMP": Code.NO_RECOVERY,
    "ARES_EREFUSED": Code.NO_RECOVERY,  # its policy, which asking again does not change
    # What comes instead of an answer: no authority has spoken.
    "ARES_EBADRESP": Code.TRY_AGAIN,  # garbage
    "ARES_ETIMEOUT": Code.TRY_AGAIN,
    "ARES_ECONNREFUSED": Code.TRY_AGAIN,  # no server reached; NETDOWN if none is reachable
    "ARES_EOF": Code.TRY_AGAIN,
    "ARES_ENOMEM": Code.TRY_AGAIN,  # NOBUFS would have the application enlarge its own buffer
    "ARES_ECANCELLED": Code.TRY_AGAIN,  # by nobody who stopped the lookup, so nobody was told
    "ARES_EDESTRUCTION": Code.TRY_AGAIN,
    # What cannot be asked at all.
    "ARES_EBADNAME": Code.NO_RECOVERY,
    "ARES_EBADQUERY": Code.NO_RECOVERY,
    "ARES_EBADFAMILY": Code.NO_RECOVERY,
    "ARES_EBADSTR": Code.NO_RECOVERY,
    "ARES_EBADFLAGS": Code.NO_RECOVERY,
    "ARES_EBADHINTS": Code.NO_RECOVERY,
    "ARES_ENONAME": Code.NO_RECOVERY,
    "ARES_ESERVICE": Code.NO_RECOVERY,
    "ARES_EFILE": Code.NO_RECOVERY,  # a configuration file that cannot be read
    "ARES_ENOTINITIALIZED": Code.NO_RECOVERY,
    # The network itself is not set up.
    "ARES_ELOADIPHLPAPI": Code.ENETDOWN,
    "ARES_EADDRGETNETWORKPARAMS": Code.ENETDOWN,
    "ARES_ENOSERVER": Code.ENETDOWN,
}
"""Every way in which c-ares may fail, as the application hears it."""

_UNNAMED = {26: "ARES_ENOSERVER"}
"""What c-ares says and pycares has no name for."""

_UNREACHABLE = {
    *{errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EHOSTDOWN},
    *{errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT},
}


class DnsResolver:
    """Looks up hosts in the domain name system, services and protocols on this machine.

    A lookup that fails never marks the network as down: then no lookup could find out that it is
    up again.  It reports WSAENETDOWN itself.
    """

    def __init__(  # noqa: PLR0913  # the settings of c-ares, by name
        self,
        servers: Sequence[str] | None = None,
        *,
        timeout_s: float = 2.0,
        tries: int = 3,
        lookups_at_once: int = 100,
        search: Sequence[str] | None = None,
        family: int = socket.AF_INET,
        on_query: Callable[[str], object] | None = None,
    ) -> None:
        """Choose; see ``dns``."""
        if timeout_s <= 0 or tries < 1 or lookups_at_once < 1:
            raise ValueError("time-out, tries and lookups at once must be above zero")
        if family not in _FAMILIES:
            raise ValueError(f"family must be AF_INET, AF_INET6 or AF_UNSPEC, not {family!r}")
        if servers is not None and not servers:
            raise ValueError("name at least one server, or None for the system's")
        self._servers = None if servers is None else [_server(each) for each in servers]
        self._timeout_s = timeout_s
        self._tries = tries
        self._at_once = lookups_at_once
        self._search = None if search is None else list(search)
        self._family = family
        self._on_query = on_query
        self._databases = Databases()
        self._hosts = WordsFile(HOSTS)
        self._channels: Channels | None = None
        self._is_closed = False

    @property
    def label(self) -> str:
        """Name the servers: ``dns 127.0.0.1:53``."""
        return f"dns {' '.join(self._servers or ['of the system'])}"

    def open(self, port: Port) -> None:
        """Serve the application behind ``port``; threads start with the first lookups."""
        self._port = port
        self._databases.open(port)

    def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
        """Begin a lookup; what cannot be asked, and addresses in the place of names, end at once.

        ``question`` of a host may end with a family; ports are in host order.
        """
        if self._is_closed:
            return
        if not operation.startswith("WSAAsyncGetHost"):
            self._databases.begin(request, operation, question)
            return
        try:
            if operation == "WSAAsyncGetHostByName":
                asked = self._by_name(*question)
            else:
                asked = _by_address(*question)
            if isinstance(asked, HostEntry):
                self._port.answer(request, None, asked)
                return
            if self._channels is None:
                self._channels = self._new_channels()
            self._channels.begin(request, asked)
        except BadQuestionError as error:
            self._port.answer(request, error.code, str(error))
        except ImportError as error:
            text = f"hosts need the extra 'dns': pip install 'rescind[dns]' ({error})"
            self._port.answer(request, Code.NO_RECOVERY, text)

    def stop(self, request: int) -> None:
        """Cancel a lookup: its query is withdrawn and its sockets are closed, no other's."""
        self._databases.stop(request)
        if self._channels is not None:
            self._channels.stop(request)

    def close(self) -> None:
        """Cancel everything, end the threads, say nothing more."""
        self._is_closed = True
        self._databases.close()
        if self._channels is not None:
            self._channels.close()

    # --- questions -------------------------------------------------------------------------------

    def _by_name(self, name: Any, family: int | None = None) -> Query | HostEntry:
        family = self._family if family is None else family
        if family not in _FAMILIES:
            raise BadQuestionError(Code.NO_RECOVERY, f"no family of hosts: {family!r}")
        if not isinstance(name, str):
            raise BadQuestionError(Code.EFAULT, f"a name is a text, not {type(name).__name__}")
        packed = _packed(name)
        if packed is not None:
            found = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
            if family not in (found, socket.AF_UNSPEC):
                raise BadQuestionError(Code.NO_DATA, f"{name} is an address of the other family")
            return HostEntry(name, (), found, (socket.inet_ntop(found, packed),))
        return Query(name, _encoded(name), family)

    # --- c-ares ----------------------------------------------------------------------------------

    def _new_channels(self) -> Channels:
        import pycares  # noqa: PLC0415  # only who looks hosts up needs the extra `dns`

        self._pycares: Any = pycares
        return Channels(
            self._new_channel, at_once=self._at_once, starting=self._starting, ended=self._ended
        )

    def _new_channel(self, watch: Callable[[int, bool, bool], None]) -> Channel:
        flags = self._pycares.ARES_FLAG_EDNS | self._pycares.ARES_FLAG_STAYOPEN
        if self._search is not None and not self._search:
            flags |= self._pycares.ARES_FLAG_NOSEARCH | self._pycares.ARES_FLAG_NOALIASES
        channel: Channel = self._pycares.Channel(
            flags=flags,
            timeout=self._timeout_s,
            tries=self._tries,
            servers=self._servers,
            domains=self._search,
            sock_state_cb=watch,
        )
        self._asked = channel.servers
        return channel

    def _starting(self, query: Query) -> HostEntry | None:
        """Announce a question, unless the file of hosts knows the address; c-ares does names."""
        if query.is_by_address:
            for address, name, *aliases in self._hosts.rows():
                if address == query.text:
                    return HostEntry(name, tuple(aliases), query.family, (address,))
        if self._on_query is not None:
            with self._port.calling():
                self._on_query(query.text)
        return None

    def _ended(self, request: int, query: Query, ended: Ended) -> None:
        if ended.result is None:
            self._port.answer(request, *self._failure(ended))
            return
        entry = ended.result if isinstance(ended.result, HostEntry) else _entry(query, ended.result)
        self._port.answer(request, Code.NO_DATA if entry is None else None, entry)

    def _failure(self, ended: Ended) -> tuple[Code, str]:
        """Return the code and the words of a lookup that found nothing."""
        if ended.status is None:
            return Code.NO_RECOVERY, f"{type(ended.error).__name__}: {ended.error}"
        names: dict[int, str] = self._pycares.errno.errorcode | _UNNAMED
        name = names.get(ended.status, "a status of no name")
        text = f"{name}: {self._pycares.errno.strerror(ended.status)}"
        if name == "ARES_ECONNREFUSED" and all(map(_is_out_of_reach, self._asked)):
            return Code.ENETDOWN, f"{text}; no network leads to a server"
        return CODES.get(name, Code.NO_RECOVERY), text


def dns(  # noqa: PLR0913  # the settings of c-ares, by name
    servers: Sequence[str] | None = None,
    *,
    timeout_s: float = 2.0,
    tries: int = 3,
    lookups_at_once: int = 100,
    search: Sequence[str] | None = None,
    family: int = socket.AF_INET,
    on_query: Callable[[str], object] | None = None,
) -> DnsResolver:
    """Return a resolver over c-ares; hosts need the extra ``dns``.

    The machine's own file of hosts is asked before any server.

    Args:
        servers: Name servers by address, ``192.0.2.1``, ``192.0.2.1:5353`` or ``[2001:db8::1]:53``,
            asked in this order; None for the system's.
        timeout_s: How long a server may take at first, a quarter of a second or more.  c-ares
            doubles it in each further round, less up to half of that by chance.
        tries: How often each server is asked.  One silent server, by default, fails a lookup after
            8 to 14 seconds.
        lookups_at_once: How many lookups of hosts are in flight, each with up to two sockets; what
            exceeds them waits its turn.
        search: Domains that are tried too with a name that does not end with a dot; None for the
            system's, ``()`` for none.
        family: What a lookup by name looks for: AF_INET, AF_INET6, or AF_UNSPEC for both; then the
            entry of a host with both is one of AF_INET6 with IPv4 addresses mapped.
        on_query: Called with the name or address before each question, in the resolver's thread,
            which waits for it.

    Raises:
        ValueError: A setting makes no sense.
    """
    return DnsResolver(
        servers,
        timeout_s=timeout_s,
        tries=tries,
        lookups_at_once=lookups_at_once,
        search=search,
        family=family,
        on_query=on_query,
    )


def _server(text: str) -> str:
    """Return a server as ``address:port``."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or ("53" if text.endswith("]") else "")
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"a name server is an address and perhaps a port: {text!r}")
    return f"{address}:{int(port)}" if address.version == 4 else f"[{address}]:{int(port)}"


def _packed(name: str) -> bytes | None:
    """Return the bytes of an address in its usual text form, or None for a name."""
    if ":" in name:
        family = socket.AF_INET6
    elif name[-1:].isdigit():
        family = socket.AF_INET
    else:
        return None
    try:
        return socket.inet_pton(family, name)
    except (OSError, ValueError):
        return None


def _encoded(name: str) -> str:
    """Return a name in ASCII, as it goes on the wire, or say what is wrong with it.

    Names beyond ASCII are encoded by IDNA 2008 with the mapping of UTS 46, as browsers and
    registries do it.  Python's own codec is IDNA 2003, which asks for another host in some cases:
    ``faß.de`` is not ``fass.de``.
    """
    if not name.rstrip("."):
        raise BadQuestionError(Code.NO_RECOVERY, "the name is empty")
    if "\0" in name:
        raise BadQuestionError(Code.NO_RECOVERY, "the name holds a zero")
    if len(name) > 4 * NAME_LENGTH_MAX:
        raise BadQuestionError(Code.NO_RECOVERY, "the name is too long")
    if name.isascii():
        encoded = name
    else:
        import idna  # noqa: PLC0415  # needs the extra `dns`

        try:
            encoded = idna.encode(name, uts46=True).decode()
        except UnicodeError as error:
            raise BadQuestionError(Code.NO_RECOVERY, f"no name of a host: {error}") from error
    labels = encoded.removesuffix(".").split(".")
    if not all(labels):
        raise BadQuestionError(Code.NO_RECOVERY, "a label is empty")
    if max(map(len, labels)) > LABEL_LENGTH_MAX:
        raise BadQuestionError(Code.NO_RECOVERY, f"a label exceeds {LABEL_LENGTH_MAX} bytes")
    if sum(map(len, labels)) + len(labels) - 1 > NAME_LENGTH_MAX:
        raise BadQuestionError(Code.NO_RECOVERY, f"the name exceeds {NAME_LENGTH_MAX} bytes")
    return encoded


def _by_address(address: Any, family: int | None = None) -> Query:
    """Return the question for an address, given as text or as its bytes."""
    if not isinstance(address, (str, bytes)):
        raise BadQuestionError(Code.EFAULT, f"no address: {type(address).__name__}")
    packed = _packed(address) if isinstance(address, str) else address
    found = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(packed or b""))
    if packed is None or found is None or family not in (found, None):
        raise BadQuestionError(Code.NO_RECOVERY, f"no address of this family: {address!r}")
    name = ipaddress.ip_address(packed).reverse_pointer
    return Query(socket.inet_ntop(found, packed), name, found, is_by_address=True)


# --- answers ---------------------------------------------------------------------------------


def _entry(query: Query, result: Any) -> HostEntry | None:
    """Return what c-ares found, or None if nothing of the kind that was asked for."""
    if query.is_by_address:
        found = [each.data.dname for each in result.answer if hasattr(each.data, "dname")]
        names = tuple(dict.fromkeys(found))
        return HostEntry(names[0], names[1:], query.family, (query.text,)) if names else None
    wanted = [node for node in result.nodes if query.family in (node.family, socket.AF_UNSPEC)]
    if not wanted:
        return None
    has_both = len({node.family for node in wanted}) == 2
    addresses = [
        f"::ffff:{node.addr[0].decode()}"
        if has_both and node.family == socket.AF_INET
        else node.addr[0].decode()
        for node in wanted
    ]
    family = socket.AF_INET6 if has_both else int(wanted[0].family)
    name = result.cnames[-1].name if result.cnames else query.name.removesuffix(".")
    aliases = tuple(dict.fromkeys(each.alias for each in result.cnames))
    return HostEntry(name, aliases, family, tuple(dict.fromkeys(addresses)))


def _is_out_of_reach(server: str) -> bool:
    """Say whether the network itself is in the way: connecting a UDP socket sends nothing."""
    host, _, port = server.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host.strip("[]"), int(port)))
    except OSError as error:
        return error.errno in _UNREACHABLE
    return False
