"""Cancellations of several logs as one story: each behind the one that it follows from.

Logs are joined by the ids in their recorded causes.  No clock of one is compared with another's.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from rescind.replay._archive.trace import Archives

from .sequences import CancelSequence, SequenceFilter, parent_of, sequence_of

Place: TypeAlias = tuple[bytes, int]
"""A cancel: the id of its log, and its number."""


def joined(archives: Archives, wanted: SequenceFilter) -> Iterator[CancelSequence]:
    """Yield the wanted cancellations of the first log, and behind each what followed elsewhere.

    Where nothing is chosen, the others' own follow, those of a log in its order.
    """
    followers = _followers(archives)
    followed = {place for places in followers.values() for place in places}
    first, is_all = next(iter(archives)), wanted == SequenceFilter()
    told: set[Place] = set()
    for log, archive in archives.items():
        if log == first:
            numbers = wanted.candidates(archive)
        elif is_all:
            numbers = archive.cancel_numbers
        else:
            break
        for number in numbers:
            if is_all and (log, number) in followed:
                continue  # it is told behind the one that it follows from
            one = sequence_of(number, archive, archives)
            if wanted.wants(one) and (log, number) not in told:
                told.add((log, number))
                yield one
                yield from _behind((log, number), followers, archives, told)


def _behind(
    place: Place, followers: dict[Place, list[Place]], archives: Archives, told: set[Place]
) -> Iterator[CancelSequence]:
    """Yield what followed from a cancel in other logs, and what from that, depth first."""
    waiting = followers[place][::-1]
    while waiting:
        log, number = waiting.pop()
        if (log, number) not in told:  # a damaged log may run in circles
            told.add((log, number))
            yield sequence_of(number, archives[log], archives)
            waiting += followers[log, number][::-1]


def _followers(archives: Archives) -> dict[Place, list[Place]]:
    """Return which cancels followed from which of another log."""
    followers: dict[Place, list[Place]] = defaultdict(list)
    if len(archives) == 1:
        return followers
    for log, archive in archives.items():
        for number in archive.cancel_numbers:
            parent = parent_of(archive.cancels[number], log, archives)
            if parent is not None and parent[0] != log:
                followers[parent].append((log, number))
    return followers
