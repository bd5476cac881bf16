"""The system's databases of services and protocols.

Python's functions around them tell no aliases, no protocol of a service and no name of a number;
the files tell all of it.  What the files do not know is asked of the system, which may have it from
elsewhere.  That may block, so one thread of its own does all the lookups, in their order.
"""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rescind.actors.winsock._codes import Code
from rescind.actors.winsock._entries import ProtocolEntry, ServiceEntry

from ._resolver import Port

SERVICES = Path("/etc/services")
PROTOCOLS = Path("/etc/protocols")
_TRANSPORTS = ("tcp", "udp", "sctp", "dccp")


class BadQuestionError(Exception):
    """A question that nobody can answer; the message carries the code."""

    def __init__(self, code: Code, text: str) -> None:
        """Say what is wrong."""
        super().__init__(text)
        self.code = code


class WordsFile:
    """A database in a file of lines of words, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Read ``path`` when first asked."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._rows: list[list[str]] = []

    def rows(self) -> list[list[str]]:
        """Return the words of each line that has two or more; no line of a missing file."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                text = self._path.read_text(encoding="utf-8", errors="replace")
                lines = (line.partition("#")[0].split() for line in text.splitlines())
                self._rows = [words for words in lines if len(words) > 1]
                self._stamp = stamp
        except OSError:
            self._rows, self._stamp = [], None
        return self._rows


class Databases:
    """Looks services and protocols up.

    A name that no database knows is WSAHOST_NOT_FOUND, a service that exists only for another
    protocol is WSANO_DATA.  Names are compared without regard to case.
    """

    def __init__(self, services: Path = SERVICES, protocols: Path = PROTOCOLS) -> None:
        """Choose the files."""
        self._services = WordsFile(services)
        self._protocols = WordsFile(protocols)
        self._asked: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._has_thread = False
        self._is_closed = False

    def open(self, port: Port) -> None:
        """Answer through ``port``."""
        self._port = port

    def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
        """Begin a lookup."""
        if self._is_closed:
            return
        self._asked[request] = (operation, question)
        self._queue.put(request)
        if not self._has_thread:
            self._has_thread = True
            threading.Thread(target=self._run, name="rescind-databases", daemon=True).start()

    def stop(self, request: int) -> None:
        """Forget a lookup; who takes it out of the table first, this or its answer, has won."""
        self._asked.pop(request, None)

    def close(self) -> None:
        """Forget everything and end the thread."""
        self._is_closed = True
        self._asked.clear()
        self._queue.put(None)

    def _run(self) -> None:
        while (request := self._queue.get()) is not None:
            asked = self._asked.get(request)
            if asked is None:
                continue
            code: Code | None = None
            value: Any
            try:
                value = self._find(*asked)
            except BadQuestionError as error:
                code, value = error.code, str(error)
            except Exception as error:  # noqa: BLE001  # whatever it is, the lookup ends by it
                code, value = Code.NO_RECOVERY, f"{type(error).__name__}: {error}"
            if self._asked.pop(request, None) is not None:
                self._port.answer(request, code, value)

    def _find(self, operation: str, question: tuple[Any, ...]) -> ServiceEntry | ProtocolEntry:
        match operation:
            case "WSAAsyncGetServByName":
                return self._service(_text(question[0]), _protocol(question[1]))
            case "WSAAsyncGetServByPort":
                return self._service(_number(question[0]), _protocol(question[1]))
            case "WSAAsyncGetProtoByName":
                return self._protocol(_text(question[0]))
            case "WSAAsyncGetProtoByNumber":
                return self._protocol(_number(question[0]))
            case _:
                raise BadQuestionError(Code.NO_RECOVERY, f"no lookup: {operation}")

    def _service(self, key: str | int, protocol: str | None) -> ServiceEntry:
        is_known = False
        for entry in self._all_services():
            if key == entry.port or (isinstance(key, str) and _is_named(entry, key)):
                is_known = True
                if protocol in (None, entry.protocol.casefold()):
                    return entry
        for transport in (protocol,) if protocol else _TRANSPORTS:
            entry_of_system = _service_of_system(key, transport)
            if entry_of_system is not None:
                return entry_of_system
        if is_known:
            raise BadQuestionError(Code.NO_DATA, f"no service {key!r} over {protocol}")
        raise BadQuestionError(Code.HOST_NOT_FOUND, f"no service {key!r}")

    def _protocol(self, key: str | int) -> ProtocolEntry:
        for name, number, *aliases in self._protocols.rows():
            if not number.isdecimal():
                continue
            entry = ProtocolEntry(name, tuple(aliases), int(number))
            if key == entry.number or (isinstance(key, str) and _is_named(entry, key)):
                return entry
        if isinstance(key, str):
            try:
                return ProtocolEntry(key, (), socket.getprotobyname(key))
            except (OSError, ValueError):
                pass
        raise BadQuestionError(Code.HOST_NOT_FOUND, f"no protocol {key!r}")

    def _all_services(self) -> Iterator[ServiceEntry]:
        for name, where, *aliases in self._services.rows():
            port, _, protocol = where.partition("/")
            if port.isdecimal() and protocol:
                yield ServiceEntry(name, tuple(aliases), int(port), protocol)


def _service_of_system(key: str | int, transport: str) -> ServiceEntry | None:
    try:
        if isinstance(key, int):
            return ServiceEntry(socket.getservbyport(key, transport), (), key, transport)
        return ServiceEntry(key, (), socket.getservbyname(key, transport), transport)
    except (OSError, ValueError, OverflowError):
        return None


def _is_named(entry: ServiceEntry | ProtocolEntry, name: str) -> bool:
    wanted = name.casefold()
    return any(each.casefold() == wanted for each in (entry.name, *entry.aliases))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadQuestionError(Code.EFAULT, f"a name is a text, not {type(value).__name__}")
    if not value or "\0" in value:
        raise BadQuestionError(Code.NO_RECOVERY, "the name is empty or holds a zero")
    return value


def _protocol(value: Any) -> str | None:
    return None if value is None else _text(value).casefold()


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise BadQuestionError(Code.EFAULT, f"a number, not {type(value).__name__}")
    return value
