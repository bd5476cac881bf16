"""Many numbers in few: the log's ``Ranges``."""

from collections.abc import Iterable, Iterator

from rescind.events import Ranges


def to_ranges(numbers: Iterable[int]) -> Ranges:
    """Pack numbers in their order: runs that count upwards become one pair."""
    ranges: Ranges = []
    first = last = -2
    for number in numbers:
        if number == last + 1:
            last = number
            continue
        if last >= 0:
            ranges += (first, last)
        first = last = number
    if last >= 0:
        ranges += (first, last)
    return ranges


def numbers_in(ranges: Ranges) -> Iterator[int]:
    """Unpack them again, in order."""
    pairs = iter(ranges)
    for first in pairs:
        yield from range(first, next(pairs) + 1)


def count_in(ranges: Ranges) -> int:
    """Return how many numbers there are."""
    return sum(ranges[1::2]) - sum(ranges[::2]) + len(ranges) // 2
