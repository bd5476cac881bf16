"""The index at a sealed segment's end: which of its groups mention what.

A *group* is a run of blocks of about ``GROUP_BYTES``, so that an index costs the same whatever
the batches' sizes.  *Pages* hold sorted pairs (number, group); the *directory* holds the rest and
each page's digest; the *seal*, which has a fixed size and stands last, points to the directory and
holds its digest.  So a hit is verified where it points, and an omission by the digests.
"""

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat
from typing import Any, NamedTuple

from ._frame import (
    BODY_BYTES_MAX,
    HEADER_BYTES,
    INDEX,
    OVERHEAD_BYTES,
    SEAL,
    body_of,
    decode_header,
    seed_of,
)
from ._mentions import Mentions
from ._msgpack import CANNOT_UNPACK, pack, unpack
from ._segment import BindingRow, Opening, Window, open_preamble

GROUP_BYTES = 256 * 1024
PAGE_PAIRS = 4096

_SEAL = struct.Struct(">BBQBI2s32s")
SEAL_BYTES = OVERHEAD_BYTES + _SEAL.size
_NUMBER_END = 1 << 64
_DIGEST_BYTES = 32
_SPANS_RUN = 64


class KeyframePart(NamedTuple):
    """Where a part of a keyframe stands.

    Attributes:
        number: The keyframe's number: the last record before it began.
        part: Counted from 0.
        is_last: Whether the keyframe is complete with it.
        offset: Where its block stands in the segment.
    """

    number: int
    part: int
    is_last: bool
    offset: int


class IndexBuilder:
    """Collects, batch by batch, what a segment's index will say."""

    def __init__(self, preamble: bytes = b"") -> None:
        """Begin a segment; its preamble is kept, to stand in for it when it is damaged."""
        self._preamble = preamble
        self._at: list[int] = []
        self._first: list[int] = []
        self._time_ns: list[int] = []
        self._where: dict[int, int] = {}
        self._again: list[tuple[int, array[int]]] = []
        self._codes: dict[int, list[int]] = {}
        self._spans: list[tuple[int, int, int]] = []
        self._cancels: list[int] = []
        self._keyframes: list[KeyframePart] = []
        self._bindings: list[BindingRow] = []
        self._open = Mentions()
        self._records = 0
        self._batches = 0
        self._is_open = False

    @property
    def is_empty(self) -> bool:
        """Whether the segment holds nothing yet."""
        return not self._batches and not self._keyframes

    def batch(
        self, offset: int, first: int, count: int, time_ns: int, bindings: Iterable[BindingRow]
    ) -> Mentions:
        """Take in a batch; what it mentions is to be added to the result."""
        self._begin_group(offset, first)
        self._time_ns[-1] = max(self._time_ns[-1], time_ns)
        self._records += count
        self._batches += 1
        self._bindings += bindings
        return self._open

    def end_batch(self, end: int) -> None:
        """Close the group when it is long enough; the batch's mentions are in."""
        if end - self._at[-1] >= GROUP_BYTES:
            self._end_group()

    def keyframe(self, part: KeyframePart) -> None:
        """Note where a part of a keyframe stands."""
        self._keyframes.append(part)

    def _begin_group(self, offset: int, first: int) -> None:
        if not self._is_open:
            self._at.append(offset)
            self._first.append(first)
            self._time_ns.append(-_NUMBER_END)
            self._is_open = True

    def _end_group(self) -> None:
        group = len(self._at) - 1
        found, self._open, self._is_open = self._open, Mentions(), False
        # Once for each number in each group, so in C: the benchmark `append` feels every step here.
        fresh = found.numbers.difference(self._where)
        if len(fresh) < len(found.numbers):
            self._again.append((group, numbers_in(found.numbers - fresh)))
        self._where.update(dict.fromkeys(fresh, group))
        for code in found.codes:
            self._codes.setdefault(code, []).append(group)
        spans = sorted(span for span in found.spans if span[0] >= 0 and span[1] < _NUMBER_END)
        self._spans += [(first, last, group) for first, last in spans]
        self._cancels += sorted(number for number in found.cancels if 0 < number < _NUMBER_END)

    def pairs(self) -> tuple[list[int], list[int]]:
        """All (number, group), sorted, as two lists of equal length."""
        if self._is_open:
            self._end_group()
        where = self._where
        numbers = sorted(filter(_is_indexed, where))
        more: dict[int, list[int]] = {}
        for group, again in self._again:
            for number in again:
                try:
                    more[number].append(group)
                except KeyError:
                    more[number] = [group]
        if not more:
            return numbers, [where[number] for number in numbers]
        every: list[int] = []
        groups: list[int] = []
        for number in numbers:
            every.append(number)
            groups.append(where[number])
            if number in more:
                every.extend(repeat(number, len(more[number])))
                groups.extend(more[number])
        return every, groups

    def bodies(self, end: int, last: int, actors_next: int) -> Iterator[bytes]:
        """The bodies of the pages and then of the directory.

        Args:
            end: Where the pages begin, which is where the segment's data ends.
            last: The last record's number.
            actors_next: The lowest actor number not taken.
        """
        numbers, groups = self.pairs()
        at: list[int] = []
        firsts: list[int] = []
        digests: list[bytes] = []
        offset = end
        for start in range(0, len(numbers), PAGE_PAIRS):
            page = slice(start, start + PAGE_PAIRS)
            body = pack((_to_bytes("Q", numbers[page]), _to_bytes("I", groups[page])))
            at.append(offset)
            firsts.append(numbers[start])
            digests.append(sha256(body).digest())
            offset += len(body) + OVERHEAD_BYTES
            yield body
        fields = {
            "end": end,
            "last": last,
            "actors_next": actors_next,
            "records": self._records,
            "batches": self._batches,
            "group_at": _to_bytes("Q", self._at),
            "group_first": _to_bytes("Q", self._first),
            "group_time_ns": _to_bytes("q", map(_within_64_bits, self._time_ns)),
            "page_at": _to_bytes("Q", at),
            "page_number": _to_bytes("Q", firsts),
            "page_digest": b"".join(digests),
            "codes": [[code, _to_bytes("I", self._codes[code])] for code in sorted(self._codes)],
            "spans": [_to_bytes("Q", numbers) for numbers in zip(*self._spans, strict=True)],
            "cancels": _to_bytes("Q", self._cancels),
            "keyframes": self._keyframes,
            "bindings": self._bindings,
            "preamble": self._preamble,
        }
        yield pack(fields)


def _is_indexed(number: object) -> bool:
    return type(number) is int and 0 <= number < _NUMBER_END


def numbers_in(found: "set[int]") -> "array[int]":
    """The numbers that an index holds, of those that something mentions."""
    try:
        return array("Q", found)
    except (TypeError, OverflowError):
        return array("Q", filter(_is_indexed, found))


def seal_body(directory: bytes, offset: int) -> bytes:
    """The seal's body for a directory that stands at ``offset``."""
    digest = sha256(directory).digest()
    length = len(directory) + OVERHEAD_BYTES
    return _SEAL.pack(0x93, 0xCF, offset, 0xCE, length, b"\xc4\x20", digest)


def _to_bytes(code: str, values: Iterable[int]) -> bytes:
    made = array(code, values)
    if sys.byteorder == "little":
        made.byteswap()
    return made.tobytes()


def _from_bytes(code: str, data: Any) -> Sequence[int]:
    if type(data) is not bytes:
        raise ValueError(data)
    made: array[int] = array(code)
    made.frombytes(data)
    if sys.byteorder == "little":
        made.byteswap()
    return made


def _within_64_bits(time_ns: int) -> int:
    return max(-(1 << 63), min(time_ns, (1 << 63) - 1))


# --- looking up ----------------------------------------------------------------------------------


class Spans:
    """Long ranges and the groups that mention them; asked which ones hold a number.

    A busy segment has tens of thousands, so they stay columns, and a question passes over runs of
    them that don't reach its number: mostly what stands together spans about the same.
    """

    __slots__ = ("_first", "_group", "_last", "_runs")

    def __init__(self, first: Sequence[int], last: Sequence[int], group: Sequence[int]) -> None:
        """Three columns of equal length, in no promised order."""
        if not len(first) == len(last) == len(group):
            raise ValueError("spans")
        self._first, self._last, self._group = first, last, group
        self._runs: list[tuple[int, int, slice]] | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._first)

    def over(self, number: int) -> Iterator[tuple[int, int, int]]:
        """First, last and group of each range that holds a number."""
        if self._runs is None:
            slices = (slice(at, at + _SPANS_RUN) for at in range(0, len(self._first), _SPANS_RUN))
            self._runs = [(min(self._first[run]), max(self._last[run]), run) for run in slices]
        for lowest, highest, run in self._runs:
            if lowest <= number <= highest:
                columns = zip(self._first[run], self._last[run], self._group[run], strict=True)
                yield from (span for span in columns if span[0] <= number <= span[1])


class GroupPlace(NamedTuple):
    """Where a group stands in its segment, and what must be there.

    Attributes:
        offset: Where its first batch begins.
        end: Where its last one ends.
        first: Its first record's number.
        following: The number behind its last one.
        records: How many records there are.
    """

    offset: int
    end: int
    first: int
    following: int
    records: int


@dataclass(frozen=True, slots=True)
class Directory:
    """A sealed segment's directory, as it was read and verified.

    Attributes:
        epoch: The writer's life.
        end: Where the segment's data ends and its index begins.
        last: The last record's number.
        actors_next: The lowest actor number not taken.
        chain: The chain's head behind the seal.
        records: How many records the segment holds.
        batches: How many batches.
        group_at: Where each group begins.
        group_first: Each group's first record number.
        group_time_ns: The latest time in each group, as its batches' last records have it.
        cancels: Cancels that began here, in order.
        keyframes: Parts of keyframes that stand here.
        bindings: What the segment's batches bound.
        preamble: A copy of the segment's preamble.
        codes: Code to groups where something ended with it.
        spans: Long ranges and their groups.
        page_at: Where each page stands.
        page_number: Each page's first number.
        page_digest: Each page's SHA-256, one after the other.
    """

    epoch: int
    end: int
    last: int
    actors_next: int
    chain: bytes
    records: int
    batches: int
    group_at: Sequence[int]
    group_first: Sequence[int]
    group_time_ns: Sequence[int]
    cancels: Sequence[int]
    keyframes: Sequence[KeyframePart]
    bindings: Sequence[BindingRow]
    preamble: bytes
    codes: dict[int, Sequence[int]]
    spans: "Spans"
    page_at: Sequence[int]
    page_number: Sequence[int]
    page_digest: bytes

    def group_of(self, number: int) -> int:
        """The group that holds a record number, or would."""
        return max(0, bisect_right(self.group_first, number) - 1)

    def group_end(self, group: int) -> int:
        """Where a group's blocks end."""
        return self.group_at[group + 1] if group + 1 < len(self.group_at) else self.end

    def place(self, group: int) -> GroupPlace:
        """Where a group stands."""
        first = self.group_first[group]
        is_last = group + 1 == len(self.group_first)
        following = self.last + 1 if is_last else self.group_first[group + 1]
        end = self.group_end(group)
        return GroupPlace(self.group_at[group], end, first, following, following - first)

    def first_group_since(self, time_ns: int) -> int | None:
        """The first group with a time that late; None when there is none."""
        times = enumerate(self.group_time_ns)
        return next((group for group, latest in times if latest >= time_ns), None)


def read_directory(window: Window, salt: int) -> Directory | None:
    """The directory of a sealed segment; None when it is not sealed or not whole."""
    segment, size = window.segment, window.size()
    offset = size - SEAL_BYTES
    if offset < 0:
        return None
    sealed = _verified(window, offset, SEAL_BYTES, seed_of(segment, offset, salt), SEAL)
    if sealed is None:
        return None
    _, _, at, _, length, _, digest = _SEAL.unpack(sealed[0])
    # Bounded by the file, whatever the seal promises.
    found = None
    if length <= BODY_BYTES_MAX and 0 <= at <= offset - length:
        found = _verified(window, at, length, seed_of(segment, at, salt), INDEX)
    if found is None or sha256(found[0]).digest() != digest:
        return None
    try:
        return _directory_of(unpack(found[0]), found[1], window.take(size - 32, 32))
    except (*CANNOT_UNPACK, KeyError, AttributeError, IndexError):
        return None


def preamble_copy(window: Window, salt: int) -> Opening | None:
    """The preamble of a sealed segment as its directory repeats it; None when it does not."""
    directory = read_directory(window, salt)
    return None if directory is None else open_preamble(directory.preamble)


def _verified(
    window: Window, offset: int, length: int, seed: int, sort: int
) -> tuple[bytes, int] | None:
    """A block's body and epoch, when it is of that sort and length and verifies there."""
    if offset < 0:
        return None
    data = window.take(offset, length)
    header = decode_header(data, seed, None)
    if header is None or header.sort != sort or header.block_bytes != len(data) != 0:
        return None
    body = body_of(memoryview(data), header)
    return None if body is None else (bytes(body), header.epoch)


def _directory_of(fields: Any, epoch: int, chain: bytes) -> Directory:
    made = Directory(
        epoch=epoch,
        end=_natural(fields["end"]),
        last=_natural(fields["last"]),
        actors_next=_natural(fields["actors_next"]),
        chain=chain,
        records=_natural(fields["records"]),
        batches=_natural(fields["batches"]),
        group_at=_from_bytes("Q", fields["group_at"]),
        group_first=_from_bytes("Q", fields["group_first"]),
        group_time_ns=_from_bytes("q", fields["group_time_ns"]),
        cancels=_from_bytes("Q", fields["cancels"]),
        keyframes=tuple(KeyframePart(*part[:4]) for part in fields["keyframes"]),
        bindings=list(fields["bindings"]),
        preamble=bytes(fields["preamble"]),
        codes={code: _from_bytes("I", groups) for code, groups in fields["codes"]},
        spans=_spans_of(fields["spans"]),
        page_at=_from_bytes("Q", fields["page_at"]),
        page_number=_from_bytes("Q", fields["page_number"]),
        page_digest=fields["page_digest"],
    )
    groups, pages = len(made.group_at), len(made.page_at)
    if not (len(made.group_first) == len(made.group_time_ns) == groups):
        raise ValueError("groups")
    if len(made.page_number) != pages or len(made.page_digest) != pages * _DIGEST_BYTES:
        raise ValueError("pages")
    if sorted(made.group_at) != list(made.group_at):
        raise ValueError("groups out of order")
    return made


def _spans_of(columns: Any) -> Spans:
    if not columns:
        return Spans((), (), ())
    first, last, group = (_from_bytes("Q", column) for column in columns)
    return Spans(first, last, group)


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def groups_of(window: Window, directory: Directory, salt: int, number: int) -> list[int] | None:
    """The groups that may mention a number, ascending; None when the index is not whole."""
    found = {group for _, _, group in directory.spans.over(number)}
    page = max(0, bisect_left(directory.page_number, number) - 1)
    while page < len(directory.page_at) and directory.page_number[page] <= number:
        pairs = read_page(window, directory, salt, page)
        if pairs is None:
            return None
        numbers, groups = pairs
        found.update(groups[bisect_left(numbers, number) : bisect_right(numbers, number)])
        page += 1
    return sorted(group for group in found if group < len(directory.group_at))


def all_pairs(window: Window, directory: Directory, salt: int) -> set[tuple[int, int]] | None:
    """Every (number, group) of the pages; None when one of them is not whole."""
    found: set[tuple[int, int]] = set()
    for page in range(len(directory.page_at)):
        pairs = read_page(window, directory, salt, page)
        if pairs is None:
            return None
        found.update(zip(*pairs, strict=True))
    return found


def read_page(
    window: Window, directory: Directory, salt: int, page: int
) -> tuple[Sequence[int], Sequence[int]] | None:
    """A page's numbers and groups, of equal length; None when it is not whole."""
    offset = directory.page_at[page]
    seed = seed_of(window.segment, offset, salt)
    header = decode_header(window.take(offset, HEADER_BYTES), seed, None)
    if header is None:
        return None
    verified = _verified(window, offset, header.block_bytes, seed, INDEX)
    at = page * _DIGEST_BYTES
    if verified is None:
        return None
    body = verified[0]
    if sha256(body).digest() != directory.page_digest[at : at + _DIGEST_BYTES]:
        return None
    try:
        numbers, groups = unpack(body)
        pairs = _from_bytes("Q", numbers), _from_bytes("I", groups)
    except CANNOT_UNPACK:
        return None
    return pairs if len(pairs[0]) == len(pairs[1]) else None
