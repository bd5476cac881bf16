"""Numbers as ranges: those of a log are dense, so that millions of them take a few ranges."""

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import overload

RANGES_MAX = 100_000
"""A set of so many ranges is of no log that we wrote; it goes on as an approximation."""


class NumberSet:
    """A set of numbers, kept as sorted ranges.

    Its memory is bounded: when the numbers of a hostile log leave too many holes, the holes are
    filled, and `is_exact` says that a number in it may never have been put there.
    """

    __slots__ = ("_firsts", "_lasts", "_ranges_max", "highest", "is_exact")

    def __init__(self, *, ranges_max: int = RANGES_MAX) -> None:
        """Begin empty."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._ranges_max = ranges_max
        self.highest = -1
        """No number in the set is higher; -1 when it is empty."""
        self.is_exact = True

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "NumberSet":
        """Take numbers in any order."""
        made = cls()
        for number in numbers:
            made.add(number)
        return made

    @classmethod
    def exact(cls) -> "NumberSet":
        """Make a set that holds as many ranges as it takes; begin empty."""
        return cls(ranges_max=sys.maxsize)

    def __eq__(self, other: object) -> bool:
        """Whether they are the same numbers."""
        return isinstance(other, NumberSet) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]  # they grow

    def __contains__(self, number: int) -> bool:
        """Whether the number is in the set."""
        if number > self.highest:
            return False
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __iter__(self) -> Iterator[int]:
        """The numbers, ascending."""
        for first, last in zip(self._firsts, self._lasts, strict=True):
            yield from range(first, last + 1)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges, ascending."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def between(self, low: int, high: int) -> Iterator[int]:
        """The numbers from ``low`` to ``high``, ascending."""
        for first, last in self.within(low, high):
            yield from range(first, last + 1)

    def within(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """The ranges from ``low`` to ``high``, ascending; cut where they reach further."""
        at = max(0, bisect_right(self._firsts, low) - 1)
        while at < len(self._firsts) and self._firsts[at] <= high:
            first, last = max(self._firsts[at], low), min(self._lasts[at], high)
            if first <= last:
                yield first, last
            at += 1

    def add(self, first: int, last: int | None = None) -> None:
        """Put a number in, or a range of them."""
        firsts, lasts = self._firsts, self._lasts
        if first == self.highest + 1 and last is None and lasts:
            lasts[-1] = self.highest = first  # nearly always
            return
        last = first if last is None else last
        low = bisect_right(firsts, first)
        if low and lasts[low - 1] >= first - 1:
            low -= 1
            first = firsts[low]
        high = bisect_right(firsts, last + 1)
        if high > low:
            last = max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]
        self.highest = lasts[-1]
        if len(firsts) > self._ranges_max:
            self._fill_holes()

    def discard(self, number: int) -> None:
        """Take a number out, if it is there."""
        at = bisect_right(self._firsts, number) - 1
        if at < 0 or number > self._lasts[at]:
            return
        first, last = self._firsts[at], self._lasts[at]
        rest = [(a, b) for a, b in ((first, number - 1), (number + 1, last)) if a <= b]
        self._firsts[at : at + 1] = [a for a, _ in rest]
        self._lasts[at : at + 1] = [b for _, b in rest]
        self.highest = self._lasts[-1] if self._lasts else -1

    def _fill_holes(self) -> None:
        """Let every second hole be part of the set."""
        self._firsts = self._firsts[::2]
        lasts = self._lasts
        self._lasts = lasts[1::2] if len(lasts) % 2 == 0 else [*lasts[1::2], lasts[-1]]
        self.is_exact = False


class Numbers(Sequence[int]):
    """Numbers in an order of their own, kept as ranges: what an event's ``Ranges`` say."""

    __slots__ = ("_length", "ranges")

    def __init__(self, ranges: Iterable[int] = ()) -> None:
        """Take a flat list of inclusive pairs; pairs that end before they begin are nothing."""
        flat = list(ranges)
        self.ranges: list[tuple[int, int]] = []
        self._length = 0
        for first, last in zip(flat[::2], flat[1::2], strict=False):
            if first <= last:
                self._extend(first, last)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Numbers":
        """Take numbers one by one."""
        made = cls()
        for number in numbers:
            made.append(number)
        return made

    def __eq__(self, other: object) -> bool:
        """Whether they are the same numbers in the same order."""
        return isinstance(other, Numbers) and self.ranges == other.ranges

    __hash__ = None  # type: ignore[assignment]  # they grow

    def __len__(self) -> int:
        """How many numbers there are."""
        return self._length

    def __iter__(self) -> Iterator[int]:
        """The numbers in their order."""
        return chain.from_iterable(range(first, last + 1) for first, last in self.ranges)

    def __contains__(self, number: object) -> bool:
        """Whether the number is among them."""
        if not isinstance(number, int):
            return False
        return any(first <= number <= last for first, last in self.ranges)

    @overload
    def __getitem__(self, at: int) -> int: ...
    @overload
    def __getitem__(self, at: slice) -> list[int]: ...
    def __getitem__(self, at: int | slice) -> int | list[int]:
        """One of them by its place, or several."""
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(self._length))]
        place = at + self._length if at < 0 else at
        for first, last in self.ranges:
            if 0 <= place <= last - first:
                return first + place
            place -= last - first + 1
        raise IndexError(at)

    def __repr__(self) -> str:
        """How tests and notebooks show it."""
        return f"Numbers({self.flat})"

    @property
    def flat(self) -> list[int]:
        """The ranges as an event writes them."""
        return [number for pair in self.ranges for number in pair]

    def append(self, number: int) -> None:
        """Put one more behind the others."""
        self._extend(number, number)

    def _extend(self, first: int, last: int) -> None:
        self._length += last - first + 1
        if self.ranges and self.ranges[-1][1] == first - 1:
            first = self.ranges.pop()[0]
        self.ranges.append((first, last))
