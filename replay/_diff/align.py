"""Two sequences laid side by side: a longest common subsequence, within bounded memory and time.

Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986).  It finds the
shortest script of insertions and removals where that is short.  Where it grows beyond
`EDITS_MAX`, much was inserted or removed at once, and the search goes on at the next place where
`RUN` elements in a row are the same in both; where there is none near, what came furthest is taken.
After `ROUNDS_MAX` such rounds the rest counts as different.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

EDITS_MAX = 512
"""So many insertions and removals are looked through at once; the cost grows with the square."""

ROUNDS_MAX = 64

RUN = 8
"""So many equal elements in a row are no chance."""

NEAR = 1 << 16
"""So far ahead a run is looked for."""


class Block(NamedTuple):
    """So many elements are equal, beginning at these places."""

    ours: int
    theirs: int
    length: int


def align(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[Block]:
    """Yield what two sequences have in common, in ascending order; blocks are never empty.

    >>> list(align([1, 2, 3, 4], [1, 3, 4, 5]))
    [Block(ours=0, theirs=0, length=1), Block(ours=2, theirs=1, length=2)]
    """
    x = y = 0
    for _ in range(ROUNDS_MAX):
        same = _run(ours, theirs, x, y)
        if same:
            yield Block(x, y, same)
            x, y = x + same, y + same
        if x == len(ours) or y == len(theirs):
            return
        blocks, x, y = _round(ours, theirs, x, y)
        yield from blocks


def _run(ours: Sequence[int], theirs: Sequence[int], x: int, y: int) -> int:
    """Return how many elements are equal from here on."""
    begin, end = x, min(len(ours), x + len(theirs) - y)
    while x < end and ours[x] == theirs[y]:
        x += 1
        y += 1
    return x - begin


def _round(
    ours: Sequence[int], theirs: Sequence[int], x0: int, y0: int
) -> tuple[list[Block], int, int]:
    """Search from a place where the two differ; return the blocks found and where they end."""
    n, m = len(ours) - x0, len(theirs) - y0
    furthest = {1: 0}  # by diagonal x - y: how far ours was read
    trail: list[dict[int, int]] = []
    for edits in range(EDITS_MAX + 1):
        trail.append(dict(furthest))
        for k in range(-min(edits, m), min(edits, n) + 1):
            if (k + edits) % 2:
                continue
            down, right = furthest.get(k + 1, -1), furthest.get(k - 1, -2) + 1
            x = max(down, right)
            y = x - k
            if x > n or y > m or y < 0:
                continue
            x += _run(ours, theirs, x0 + x, y0 + y)
            furthest[k] = x
            if x == n and x - k == m:
                return _blocks(trail, k, x, x0, y0), x0 + x, y0 + x - k
    ahead = _next_run(ours, theirs, x0, y0)
    if ahead is not None:
        return [], *ahead
    k, x = max(furthest.items(), key=lambda end: (2 * end[1] - end[0], end[0]))
    return _blocks(trail, k, x, x0, y0), x0 + x, y0 + x - k


def _next_run(
    ours: Sequence[int], theirs: Sequence[int], x0: int, y0: int
) -> tuple[int, int] | None:
    """Return the nearest two places from which on a whole run is equal."""
    places: dict[tuple[int, ...], int] = {}
    for y in range(y0, min(y0 + NEAR, len(theirs) - RUN + 1)):
        places.setdefault(tuple(theirs[y : y + RUN]), y)
    found: tuple[int, int] | None = None
    for x in range(x0, min(x0 + NEAR, len(ours) - RUN + 1)):
        if found is not None and x - x0 >= sum(found) - x0 - y0:
            break  # whatever follows is further away
        place = places.get(tuple(ours[x : x + RUN]))
        if place is not None and (found is None or x + place < sum(found)):
            found = (x, place)
    return found


def _blocks(trail: list[dict[int, int]], k: int, x: int, x0: int, y0: int) -> list[Block]:
    """Walk a search back to its beginning."""
    found: list[Block] = []
    for edits in range(len(trail) - 1, 0, -1):
        before = trail[edits]
        if (k + edits) % 2:
            continue  # the last step did not touch this diagonal
        down, right = before.get(k + 1, -1), before.get(k - 1, -2) + 1
        begin = max(down, right)
        if x > begin:
            found.append(Block(x0 + begin, y0 + begin - k, x - begin))
        k, x = (k + 1, down) if down >= right else (k - 1, right - 1)
    if x > 0:
        found.append(Block(x0, y0, x))
    return found[::-1]
