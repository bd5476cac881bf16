"""Which records of a group mention which numbers, so that it need be found out only once."""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from ._mentions import Mentions, Roles
from ._packing import Record
from ._selection import mention


class Register:
    """Which records of a group mention which numbers."""

    __slots__ = ("_places", "_spans")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._places: dict[int, list[int]] = {}
        self._spans: list[tuple[int, int, int]] = []

    def take(
        self,
        numbers: Sequence[int],
        records: Sequence[Record],
        roles: Callable[[int], Roles | None],
    ) -> None:
        """Enter a batch's records, in their order."""
        for number, record in zip(numbers, records, strict=True):
            found = Mentions()
            mention(record, roles, found)
            self.enter(number, record[0], found)

    def enter(self, at: int, actor: int, found: Mentions) -> None:
        """Enter one record, which its actor took and which mentions what was found."""
        places = self._places
        for number in found.numbers | {actor}:
            try:
                places[number].append(at)
            except KeyError:
                places[number] = [at]
        self._spans += [(low, high, at) for low, high in found.spans]

    def places(self, wanted: frozenset[int]) -> list[int]:
        """The records that mention any of these numbers, ascending."""
        known = wanted & self._places.keys()
        if len(known) == len(wanted) == 1 and not self._spans:
            return self._places[next(iter(known))]
        found = {at for number in known for at in self._places[number]}
        order = sorted(wanted)
        for low, high, at in self._spans:
            place = bisect_left(order, low)
            if place < len(order) and order[place] <= high:
                found.add(at)
        return sorted(found)


def nearest_of(mentioned: set[int], number: int, count: int) -> list[int]:
    """The ``count`` numbers that are nearest to one, ascending; without it, and without nobody."""
    others = mentioned - {0, number}
    return sorted(sorted(others, key=lambda each: (abs(each - number), each))[:count])
