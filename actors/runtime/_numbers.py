"""The numbers in a large dictionary that changes while they are asked for, without a long look.

To copy a million keys takes up to ten milliseconds, and an iterator over the dictionary dies with
the first birth.  But numbers are given in order, so that most of a range can be tried out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

COPIED_MAX = 65_536
"""So many keys are copied in less than a millisecond."""
TRIED_AT_ONCE = 16_384
"""... and so many numbers tried out."""
SPARSE = 64
"""Where only one number of so many is there, copying the keys is less work all in all."""


def numbers_kept(kept: Mapping[int, Any], first: int, behind: int) -> Iterator[int | None]:
    """Yield the keys that are there now, each while it still is; None where a while has passed.

    What is added meanwhile may be left out.

    Args:
        kept: by number; nobody else need know of the iteration.
        first: no key is lower.
        behind: all keys that are there now are lower.
    """
    is_sparse = len(kept) * SPARSE < behind - first
    if is_sparse or len(kept) <= COPIED_MAX:
        yield from _copied(kept)
        return
    for start in range(first, behind, TRIED_AT_ONCE):
        yield from filter(kept.__contains__, range(start, min(start + TRIED_AT_ONCE, behind)))
        yield None


def _copied(kept: Mapping[int, Any]) -> Iterator[int | None]:
    numbers = list(kept)
    if len(numbers) > COPIED_MAX:
        yield None
    yield from filter(kept.__contains__, numbers)
