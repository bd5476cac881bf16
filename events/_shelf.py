"""One segment as random access sees it: its groups, what each mentions, and the blocks in one.

A *shelf* says where a segment's groups stand.  That of a sealed segment is its directory, and the
pages are read when they are asked; that of any other is made by one walk over the segment.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as chained
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

from . import _index
from ._errors import LogAccessError
from ._index import Directory, GroupPlace, numbers_in, read_page
from ._mentions import Mentions
from ._scan import ReadBatch
from ._segment import Opening, Window

SHELF_BYTES = 16 * 1024
"""What a shelf takes in memory at least."""


@dataclass(slots=True)
class Block:
    """A batch that verified where it stands; its records are not decoded yet."""

    segment: int
    offset: int
    length: int
    epoch: int
    first: int
    count: int
    chain: bytes
    body: bytes


K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """What was used last, as long as all of it together costs no more than a limit."""

    def __init__(self, limit: int) -> None:
        """Begin empty."""
        self._limit = limit
        self._cost = 0
        self._kept: dict[K, tuple[V, int]] = {}

    def get(self, key: K) -> V | None:
        """What is kept under a key; it is then the last that is forgotten."""
        found = self._kept.pop(key, None)
        if found is None:
            return None
        self._kept[key] = found
        return found[0]

    def put(self, key: K, value: V, cost: int) -> None:
        """Keep a value; it stays, whatever it costs, until the next one comes."""
        self.forget(key)
        self._cost += cost
        self._kept[key] = (value, cost)
        while self._cost > self._limit and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))

    def forget(self, key: K) -> None:
        """Keep it no longer, if it was kept."""
        found = self._kept.pop(key, None)
        self._cost -= 0 if found is None else found[1]


Pages: TypeAlias = Kept[tuple[int, int], tuple[Sequence[int], Sequence[int]]]


class Shelf(Protocol):
    """What can be asked of a segment; groups are counted from 0."""

    segment: int
    opening: Opening
    first: int
    """The first number that stands here, or would."""
    last: int
    """The last one; below ``first`` when the segment holds no record."""

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory."""
        ...

    def __len__(self) -> int:
        """How many groups there are."""
        ...

    def group_of(self, number: int) -> int:
        """The group that holds a record number, or would."""
        ...

    def place(self, group: int) -> GroupPlace:
        """Where a group stands."""
        ...

    def groups_about(self, number: int) -> dict[int, list[tuple[int, int]]]:
        """The groups that may mention a number, each with its long ranges that hold the number."""
        ...

    def codes(self) -> set[int]:
        """The codes that something ended with here."""
        ...

    def groups_with(self, code: int) -> Sequence[int]:
        """The groups where something ended with a code."""
        ...

    def cancels(self) -> Sequence[int]:
        """Cancels that were requested here."""
        ...

    def nearest(self, number: int, count: int) -> list[int]:
        """Up to ``count`` mentioned numbers on either side of one, and the number itself."""
        ...

    def groups_since(self, time_ns: int) -> Iterator[int]:
        """The groups from the first on that has a time that late."""
        ...


class Sealed:
    """A sealed segment, by its directory."""

    def __init__(
        self, window: Window, opening: Opening, directory: Directory, pages: Pages
    ) -> None:
        """Take a directory that was verified; ``pages`` keeps what is read of its pages."""
        self.segment = window.segment
        self.opening = opening
        self.directory = directory
        self.first, self.last = opening.preamble.first, directory.last
        self._window = window
        self._pages = pages
        rows = len(directory.group_at) + len(directory.page_at) + len(directory.cancels)
        self._memory_bytes = SHELF_BYTES + 32 * (rows + len(directory.spans))

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory."""
        return self._memory_bytes

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self.directory.group_at)

    def group_of(self, number: int) -> int:
        """The group that holds a record number, or would."""
        return self.directory.group_of(number)

    def place(self, group: int) -> GroupPlace:
        """Where a group stands."""
        return self.directory.place(group)

    def groups_about(self, number: int) -> dict[int, list[tuple[int, int]]]:
        """The groups that may mention a number; all of them when a page is not whole."""
        found: dict[int, list[tuple[int, int]]] = {}
        for first, last, group in self.directory.spans.over(number):
            found.setdefault(group, []).append((first, last))
        page = max(0, bisect_left(self.directory.page_number, number) - 1)
        while page < len(self.directory.page_at) and self.directory.page_number[page] <= number:
            pairs = self._page(page)
            if pairs is None:
                return {group: found.get(group, []) for group in range(len(self))}
            numbers, groups = pairs
            for group in groups[bisect_left(numbers, number) : bisect_right(numbers, number)]:
                found.setdefault(group, [])
            page += 1
        return {group: found[group] for group in sorted(found) if group < len(self)}

    def codes(self) -> set[int]:
        """The codes that something ended with here."""
        return set(self.directory.codes)

    def groups_with(self, code: int) -> Sequence[int]:
        """The groups where something ended with a code."""
        groups = self.directory.codes.get(code, ())
        return [group for group in groups if group < len(self)]

    def cancels(self) -> Sequence[int]:
        """Cancels that were requested here."""
        return self.directory.cancels

    def nearest(self, number: int, count: int) -> list[int]:
        """Numbers near one, of the page where it would stand and the pages beside that."""
        page = max(0, bisect_right(self.directory.page_number, number) - 1)
        found: set[int] = set()
        for beside in range(max(0, page - 1), min(page + 2, len(self.directory.page_at))):
            pairs = self._page(beside)
            found.update(pairs[0] if pairs is not None else ())
        return around(sorted(found), number, count)

    def groups_since(self, time_ns: int) -> Iterator[int]:
        """The groups from the first on that has a time that late."""
        first = self.directory.first_group_since(time_ns)
        return iter(()) if first is None else iter(range(first, len(self)))

    def _page(self, page: int) -> tuple[Sequence[int], Sequence[int]] | None:
        key = (self.segment, page)
        pairs = self._pages.get(key)
        if pairs is None:
            try:
                pairs = read_page(self._window, self.directory, self.opening.preamble.salt, page)
            except FileNotFoundError as error:
                raise removed(self._window.path, self.segment) from error
            if pairs is not None:
                self._pages.put(key, pairs, len(pairs[0]))
        return pairs


def removed(path: Path | None, segment: int) -> LogAccessError:
    """The error of whoever comes back to a segment that was pruned meanwhile."""
    text = f"segment {segment} was removed while it was looked up; look at the log anew"
    return LogAccessError(f"{path or 'memory'}: {text}", path)


class Walked:
    """A segment that is not sealed, or not as its writer left it, by what a walk met in it.

    It may grow: ``take`` is called with each further batch.
    """

    def __init__(self, segment: int, opening: Opening) -> None:
        """Begin before the first batch."""
        self.segment = segment
        self.opening = opening
        self.first = opening.preamble.first
        self.last = self.first - 1
        self._places: list[GroupPlace] = []
        self._times_ns: list[int] = []
        self._numbers: list[array[int]] = []
        self._found: list[Mentions] = []

    @property
    def memory_bytes(self) -> int:
        """About what it takes in memory."""
        spans = sum(len(found.spans) for found in self._found)
        return SHELF_BYTES + 8 * sum(map(len, self._numbers)) + 200 * spans

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._places)

    def take(self, batch: ReadBatch) -> Mentions:
        """Take in a batch; what it mentions is to be added to the result, before ``settle``."""
        end, following = batch.offset + batch.length, batch.first + batch.count
        if not self._places:
            self.first = batch.first
        if not self._places or self._is_full:
            self.settle()
            self._places.append(GroupPlace(batch.offset, end, batch.first, following, 0))
            self._times_ns.append(_NEVER)
            self._numbers.append(array("Q"))
            self._found.append(Mentions())
        place = self._places[-1]
        records = place.records + batch.count
        self._places[-1] = place._replace(end=end, following=following, records=records)
        if batch.records and type(batch.records[-1][1]) is int:
            self._times_ns[-1] = max(self._times_ns[-1], batch.records[-1][1])
        self.last = following - 1
        return self._found[-1]

    @property
    def _is_full(self) -> bool:
        return self._places[-1].end - self._places[-1].offset >= _index.GROUP_BYTES

    def settle(self) -> None:
        """Make what the last group mentions ready to be asked, and smaller once it is full."""
        if self._found and self._found[-1].numbers:
            found = self._found[-1].numbers
            self._numbers[-1] = array("Q", sorted(numbers_in(found)))
            if self._is_full:
                found.clear()

    def group_of(self, number: int) -> int:
        """The group that holds a record number, or would."""
        return max(0, bisect_right(self._places, number, key=_first_of) - 1)

    def place(self, group: int) -> GroupPlace:
        """Where a group stands."""
        return self._places[group]

    def groups_about(self, number: int) -> dict[int, list[tuple[int, int]]]:
        """The groups that may mention a number."""
        found: dict[int, list[tuple[int, int]]] = {}
        for group, numbers in enumerate(self._numbers):
            spans = [span for span in self._found[group].spans if span[0] <= number <= span[1]]
            at = bisect_left(numbers, number)
            if spans or (at < len(numbers) and numbers[at] == number):
                found[group] = spans
        return found

    def codes(self) -> set[int]:
        """The codes that something ended with here."""
        return set(chained.from_iterable(found.codes for found in self._found))

    def groups_with(self, code: int) -> Sequence[int]:
        """The groups where something ended with a code."""
        return [group for group, found in enumerate(self._found) if code in found.codes]

    def cancels(self) -> Sequence[int]:
        """Cancels that were requested here."""
        return [number for found in self._found for number in found.cancels if number > 0]

    def nearest(self, number: int, count: int) -> list[int]:
        """Numbers near one, of each group."""
        near = (around(numbers, number, count) for numbers in self._numbers)
        return around(sorted(set(chained.from_iterable(near))), number, count)

    def groups_since(self, time_ns: int) -> Iterator[int]:
        """The groups from the first on that has a time that late."""
        times = enumerate(self._times_ns)
        first = next((group for group, latest in times if latest >= time_ns), len(self))
        return iter(range(first, len(self)))


_NEVER = -(1 << 64)


def _first_of(place: GroupPlace) -> int:
    return place.first


def around(numbers: Sequence[int], number: int, count: int) -> list[int]:
    """Up to ``count`` numbers before one, itself, and up to ``count`` behind it; ascending."""
    low, high = bisect_left(numbers, number), bisect_right(numbers, number)
    return list(numbers[max(0, low - count) : high + count])
