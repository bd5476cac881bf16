"""What lookups find, and the memory that the application lends them for it.

Sizes are those of the structures that Windows writes on a 64-bit machine: pointers of 8 bytes, the
arrays that they point to, and the strings with their ends (C.1).
"""

from typing import NamedTuple, TypeAlias

MAXGETHOSTSTRUCT = 1024
"""The size that is recommended for every buffer."""
_POINTER = 8
_HEADS = {"HostEntry": 32, "ServiceEntry": 32, "ProtocolEntry": 24}


class HostEntry(NamedTuple):
    """A host: ``hostent``."""

    name: str
    aliases: tuple[str, ...]
    family: int
    """``socket.AF_INET`` or ``socket.AF_INET6``."""
    addresses: tuple[str, ...]
    """In the usual text forms."""


class ServiceEntry(NamedTuple):
    """A service: ``servent``."""

    name: str
    aliases: tuple[str, ...]
    port: int
    """In host order."""
    protocol: str


class ProtocolEntry(NamedTuple):
    """A protocol: ``protoent``."""

    name: str
    aliases: tuple[str, ...]
    number: int


Entry: TypeAlias = HostEntry | ServiceEntry | ProtocolEntry


def size_of(entry: Entry) -> int:
    """Return how many bytes of a buffer an entry takes."""
    strings = [entry.name, *entry.aliases]
    size = _HEADS[type(entry).__name__] + _POINTER * (len(entry.aliases) + 1)
    if isinstance(entry, ServiceEntry):
        strings.append(entry.protocol)
    if isinstance(entry, HostEntry):
        one = 16 if any(":" in each for each in entry.addresses) else 4
        size += (_POINTER + one) * len(entry.addresses) + _POINTER
    return size + sum(len(each.encode()) + 1 for each in strings)


class Buffer:
    """Memory that the application lends to one lookup until its message, or its cancel (C.1).

    It is written once, before the message is queued, and never after a cancel that succeeded.

    Attributes:
        size: How many bytes there are.
        entry: What was written; None before that.
        used: How many bytes that takes.
    """

    __slots__ = ("entry", "size", "used")

    def __init__(self, size: int = MAXGETHOSTSTRUCT) -> None:
        """Be empty."""
        self.size = size
        self.entry: Entry | None = None
        self.used = 0

    def write(self, entry: Entry) -> None:
        """Hold an entry, which fits."""
        self.entry = entry
        self.used = size_of(entry)
