"""One segment: its preamble, and a walk over its blocks that survives damage."""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

from ._errors import LogFormatError
from ._frame import (
    BODY_BYTES_MAX,
    HEADER_BYTES,
    NUMBER_MAX,
    OVERHEAD_BYTES,
    PREFIX,
    RECORD_BYTES_MIN,
    TAIL_BYTES,
    Header,
    body_of,
    decode_header,
    link,
    seed_of,
)
from ._msgpack import CANNOT_UNPACK, pack, unpack
from ._storage import Storage

FORMAT = 0
SEGMENT_MAX = (1 << 32) - 1
"""Segments and epochs are counted in 32 bits."""
MAGIC = b"\x8eRSCIND\x00"
PREAMBLE_PREFIX = b"\x96\xc4\x08" + MAGIC
PREAMBLE_BYTES = 31
"""What stands before a preamble's body."""

_CHECKED_BYTES = 21
_CHECKED = struct.Struct(">11sBIBI")
_REST = struct.Struct(">BIBI")
_FIELDS = struct.Struct(">11x xI xI xI 5x")
_TAIL = struct.Struct(">BI")
_TAIL_BYTES = 5
_CHUNK_BYTES = 1 << 20

BindingRow: TypeAlias = tuple[Any, ...]


class Previous(NamedTuple):
    """Where the writer that made a segment found the end of good data in the one before."""

    segment: int
    end: int
    last: int


@dataclass(frozen=True, slots=True)
class Preamble:
    """What a segment says of itself before its first block.

    Attributes:
        log: The log's id, 16 bytes.
        segment: Its number, which its file's name repeats.
        epoch: The writer's life.
        first: The number of the first record to come.
        chain: The head that the segment continues; 32 zero bytes at the log's beginning.
        previous: The end of good data in the segment before; None at the log's beginning.
        time_ns: When it was made.
        salt: What the epoch's header checksums begin with.
        durability: What the writer promised: ``memory``, ``os`` or ``disk``.
        actors_next: The lowest actor number not taken yet.
        writer: What the writer says of itself: names and versions, and whether it is ``strict``.
        bindings: Every binding that was known when the segment was made.
    """

    log: bytes
    segment: int
    epoch: int
    first: int
    chain: bytes
    previous: Previous | None
    time_ns: int
    salt: int
    durability: str
    actors_next: int
    writer: dict[str, str]
    bindings: list[BindingRow]


class Opening(NamedTuple):
    """A preamble that was read, where it ends, and the chain's head behind it."""

    preamble: Preamble
    end: int
    chain: bytes


class Frame(NamedTuple):
    """A block that verified; ``body`` is empty when the walk was told not to look at bodies."""

    offset: int
    header: Header
    body: memoryview
    chain: bytes
    linked: bool


class Flaw(NamedTuple):
    """A place where no block verifies: what was seen there, before anyone judges it.

    ``header`` and ``body`` are ``good``, ``bad`` or ``short``; ``first`` and ``last`` are set when
    the header held, and ``last`` is below ``first`` when the block held no record.
    """

    offset: int
    length: int
    header: str
    body: str
    follows: bool
    blank: bool
    first: int | None = None
    last: int | None = None


def encode_preamble(preamble: Preamble) -> tuple[bytes, bytes]:
    """A preamble's bytes and the chain's head behind them."""
    fields = {name: getattr(preamble, name) for name in Preamble.__slots__}
    body = pack(fields)
    checked = _CHECKED.pack(PREAMBLE_PREFIX, 0xCE, FORMAT, 0xCE, len(body))
    checksum = crc32(checked)
    rest = _REST.pack(0xCE, checksum, 0xC6, len(body))
    tail = _TAIL.pack(0xCE, crc32(body, checksum))
    data = b"".join((checked, rest, body, tail))
    return data, hashlib.sha256(data).digest()


def read_preamble(window: "Window") -> Opening | str:
    """The preamble at a segment's beginning, or in one word why there is none.

    The words are rows' cells in ``_recovery``: ``foreign``, ``short``, ``bad``.

    Raises:
        LogFormatError: A later format.
    """
    head = window.take(0, PREAMBLE_BYTES)
    if not any(head):
        # Nothing, or blocks that were never written; unless blocks of a log stand behind.
        return "bad" if _holds_blocks(window) else "short"
    if head[:11] != PREAMBLE_PREFIX[: len(head)]:
        is_ours = _only_magic_differs(head) or _holds_blocks(window)
        return "bad" if is_ours else "foreign"
    if len(head) < PREAMBLE_BYTES:
        return "short"
    version, length, checksum = _FIELDS.unpack(head)
    if crc32(head[:_CHECKED_BYTES]) != checksum or length > BODY_BYTES_MAX:
        return "bad"
    if version > FORMAT:
        raise LogFormatError(window.path, version, FORMAT)
    total = PREAMBLE_BYTES + length + _TAIL_BYTES
    size = window.size()
    found = None if total > size else _open(window.take(0, total), checksum, length)
    # With nothing behind it, it may never have been finished, and it holds no record to lose.
    return found or ("short" if total >= size else "bad")


def open_preamble(data: bytes) -> Opening | None:
    """The same for a copy of a preamble that is kept elsewhere."""
    if data[:11] != PREAMBLE_PREFIX or len(data) < PREAMBLE_BYTES:
        return None
    found, length, checksum = _FIELDS.unpack_from(data)
    is_whole = len(data) == PREAMBLE_BYTES + length + _TAIL_BYTES
    if not is_whole or found > FORMAT or crc32(data[:_CHECKED_BYTES]) != checksum:
        return None
    return _open(data, checksum, length)


def _holds_blocks(window: "Window") -> bool:
    """Whether something like a block stands near the beginning, where a preamble should be."""
    return PREFIX in window.take(0, _CHUNK_BYTES)


def _only_magic_differs(head: bytes) -> bool:
    """Whether this was a preamble, by its checksum, before its first bytes were damaged."""
    checksum = int.from_bytes(head[22:26], "big")
    return len(head) == PREAMBLE_BYTES and crc32(PREAMBLE_PREFIX + head[11:21]) == checksum


def _open(data: bytes, checksum: int, length: int) -> Opening | None:
    body = data[PREAMBLE_BYTES:-_TAIL_BYTES]
    whole = data[_CHECKED_BYTES:PREAMBLE_BYTES] == _REST.pack(0xCE, checksum, 0xC6, length)
    if not whole or data[-_TAIL_BYTES:] != _TAIL.pack(0xCE, crc32(body, checksum)):
        return None
    try:
        preamble = _preamble_of(unpack(body))
    except (*CANNOT_UNPACK, KeyError, AttributeError):
        return None
    return Opening(preamble, len(data), hashlib.sha256(data).digest())


def _preamble_of(fields: Any) -> Preamble:
    """Checked one by one: a valid checksum does not make a promise true."""
    previous = fields["previous"]
    return Preamble(
        log=_sized(fields["log"], 16),
        segment=_natural(fields["segment"], SEGMENT_MAX),
        epoch=_natural(fields["epoch"], SEGMENT_MAX),
        first=_natural(fields["first"]),
        chain=_sized(fields["chain"], 32),
        previous=None if previous is None else Previous(*map(_natural, previous)),
        time_ns=_whole(fields["time_ns"]),
        salt=_natural(fields["salt"]) & 0xFFFFFFFF,
        durability=str(fields["durability"]),
        actors_next=_natural(fields["actors_next"]),
        writer={str(name): str(value) for name, value in fields["writer"].items()},
        bindings=list(fields["bindings"]),
    )


def _sized(value: Any, size: int) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise ValueError(value)
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(value)
    return value


def _natural(value: Any, limit: int = NUMBER_MAX) -> int:
    if not 0 <= _whole(value) <= limit:
        raise ValueError(value)
    return int(value)


_UNSEEN = memoryview(b"")


OPENING_BYTES = 16 * 1024
"""What is read at once where only a preamble is wanted, which is mostly shorter."""


class Window:
    """A bounded view of one segment, which may grow meanwhile."""

    def __init__(self, storage: Storage, segment: int, *, chunk_bytes: int = _CHUNK_BYTES) -> None:
        """Look at ``segment``; nothing is read yet, and then at least ``chunk_bytes`` at a time."""
        self._chunk_bytes = chunk_bytes
        self.segment = segment
        self.path = storage.path
        self._storage = storage
        self._data = b""
        self._start = 0

    def size(self) -> int:
        """The segment's length now."""
        return self._storage.size(self.segment)

    def take(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer where the segment ends now."""
        at = self._reach(offset, length)
        return self._data[at : at + length]

    def view(self, offset: int, length: int) -> memoryview:
        """The same without a copy."""
        at = self._reach(offset, length)
        return memoryview(self._data)[at : at + length]

    def _reach(self, offset: int, length: int) -> int:
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            self._data = self._storage.read(self.segment, offset, max(length, self._chunk_bytes))
            self._start, at = offset, 0
        return at

    def find(self, pattern: bytes, offset: int) -> int:
        """Where ``pattern`` stands next at or behind ``offset``; -1 when nowhere."""
        while True:
            at = offset - self._start
            if not 0 <= at <= len(self._data) - len(pattern):
                self._data = self._storage.read(self.segment, offset, self._chunk_bytes)
                self._start, at = offset, 0
            if len(self._data) < len(pattern):
                return -1
            if (found := self._data.find(pattern, at)) >= 0:
                return self._start + found
            offset = self._start + len(self._data) - len(pattern) + 1

    def is_blank(self, offset: int, length: int) -> bool:
        """Whether only zero bytes stand there."""
        data = self.take(offset, length)
        return bool(data) and not any(data)


def walk(
    window: Window,
    preamble: Preamble,
    start: int,
    chain: bytes | None = None,
    *,
    bodies: bool = True,
) -> Iterator[Frame | Flaw]:
    """The blocks from ``start`` on, and every place where none verifies.

    Args:
        window: The segment.
        preamble: Its preamble, for salt and epoch.
        start: Where a block begins.
        chain: The head before it, when links are to be verified.
        bodies: Whether to verify bodies; without, ``Frame.body`` is empty.
    """
    segment, salt, epoch = preamble.segment, preamble.salt, preamble.epoch
    offset = start
    while data := window.take(offset, HEADER_BYTES):
        header = decode_header(data, seed_of(segment, offset, salt), epoch)
        if header is None:
            short = len(data) < HEADER_BYTES
            found: Frame | Flaw = (
                _cut_header(offset, data) if short else _look_around(window, preamble, offset)
            )
        elif bodies:
            found = _frame_at(window, offset, header, chain)
        else:
            found = _skim(window, offset, header)
        yield found
        if isinstance(found, Flaw):
            if not found.follows:
                return
            offset += found.length
            # Nothing is known of the head behind damage: the next block's own word is taken.
            chain = None if chain is None else b""
        else:
            offset += found.header.block_bytes
            chain = None if chain is None else found.chain


def _frame_at(window: Window, offset: int, header: Header, chain: bytes | None) -> Frame | Flaw:
    """The whole block, verified; an empty ``chain`` means that damage took the head before it."""
    block = window.view(offset, header.block_bytes)
    if len(block) < header.block_bytes:
        return _cut_body(offset, len(block), header)
    body = body_of(block, header)
    if body is None:
        return _bad_body(window, offset, header)
    stored = bytes(block[-32:])
    linked = not chain or link(chain, block[:-34]) == stored
    return Frame(offset, header, body, stored, linked)


def _skim(window: Window, offset: int, header: Header) -> Frame | Flaw:
    tail = window.take(offset + header.block_bytes - TAIL_BYTES, TAIL_BYTES)
    if len(tail) < TAIL_BYTES:
        return _cut_body(offset, window.size() - offset, header)
    return Frame(offset, header, _UNSEEN, tail[-32:], linked=True)


# Where bytes are missing the segment ended when they were read.  It may have grown since then, so
# its size is not asked: a block that was under way would look like damage with more behind it.


def _cut_header(offset: int, data: bytes) -> Flaw:
    blank = not any(data) or (len(data) >= TAIL_BYTES and not any(data[-TAIL_BYTES:]))
    header = "short" if data[: len(PREFIX)] == PREFIX[: len(data)] else "bad"
    return Flaw(offset, len(data), header, "", follows=False, blank=blank)


def _cut_body(offset: int, length: int, header: Header) -> Flaw:
    first, last = header.first, header.first + header.records - 1
    return Flaw(offset, length, "good", "short", follows=False, blank=False, first=first, last=last)


def _bad_body(window: Window, offset: int, header: Header) -> Flaw:
    first, last = header.first, header.first + header.records - 1
    end, size = offset + header.block_bytes, window.size()
    blank = end == size and window.is_blank(end - TAIL_BYTES, TAIL_BYTES)
    return Flaw(offset, header.block_bytes, "good", "bad", end < size, blank, first, last)


def _look_around(window: Window, preamble: Preamble, offset: int) -> Flaw:
    """No header verifies here: find the next that does, or describe the end."""
    behind = _resynchronise(window, preamble, offset + 1)
    if behind >= 0:
        return Flaw(offset, behind - offset, "bad", "", follows=True, blank=False)
    length = window.size() - offset
    # A write that never finished may have left its first or its last blocks unwritten.
    blank = window.is_blank(offset, HEADER_BYTES) or (
        window.is_blank(offset + length - TAIL_BYTES, TAIL_BYTES)
    )
    return Flaw(offset, length, "bad", "", follows=False, blank=blank)


def _resynchronise(window: Window, preamble: Preamble, offset: int) -> int:
    while (offset := window.find(PREFIX, offset)) >= 0:
        seed = seed_of(preamble.segment, offset, preamble.salt)
        if decode_header(window.take(offset, HEADER_BYTES), seed, preamble.epoch):
            return offset
        offset += 1
    return -1


def records_lost_at_most(length: int) -> int:
    """An upper bound for the records in a stretch of damage."""
    return max(0, length - OVERHEAD_BYTES) // RECORD_BYTES_MIN + 1
