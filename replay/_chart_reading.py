"""What a chart reads of a log: who is who, and turns wherever they stand."""

from collections.abc import Iterable, Iterator

from rescind.events import LogReader, Lookup, Turn, TurnsLookup

from ._fold import fold
from ._lives import CancelLife, Request
from ._sound import sound


class Reading:
    """A log that is asked here and there.

    Attributes:
        names: Who is who.
        lookup: Random access to the turns.
    """

    def __init__(self, log: Iterable[Turn]) -> None:
        """Open a log."""
        turns = log if isinstance(log, LogReader) else list(log)
        self.names = fold(turns)
        self.lookup: Lookup = turns.lookup() if isinstance(turns, LogReader) else TurnsLookup(turns)

    def turn(self, number: int) -> Turn | None:
        """Return a turn; None when the log does not have it."""
        found = self.lookup.turn(number) if number > 0 else None
        return None if found is None else next(sound((found,)))

    def some(self, numbers: Iterable[int]) -> Iterator[Turn]:
        """Yield those turns of these numbers that there are, ascending."""
        found = map(self.turn, sorted(set(numbers)))
        return (turn for turn in found if turn is not None)

    def turns(self, first: int, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns of a range."""
        return sound(self.lookup.turns(max(first, 1), last))

    def about(self, number: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns that an actor, request or cancel took, or that say something of it."""
        return sound(self.lookup.about(number, first, last))

    @property
    def begin_ns(self) -> int:
        """The log's first time."""
        first = self.turn(self.lookup.first)
        return first.time_ns if first else 0

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Turns that the log should have and has not."""
        return [(gap.first, gap.last) for gap in self.names.gaps]

    def cancel_numbers(self) -> list[int]:
        """Return the numbers of all cancels, in order."""
        return sorted(self.names.cancels)

    def refused_by(self, request: Request) -> list[CancelLife]:
        """Return the cancels in whose windows a request was refused."""
        return [each for each in self.names.cancels.values() if request.number in each.refused]
