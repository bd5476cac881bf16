"""What a chart reads of a log: who is who, and turns wherever they stand."""

from collections.abc import Iterable, Iterator

from rescind.events import Turn

from ._archive import AnyLog, archive_of
from ._lives import CancelLife, Request
from ._sound import sound


class Reading:
    """A log that is asked here and there.

    Attributes:
        names: Who is who.
    """

    def __init__(self, log: AnyLog) -> None:
        """Open a log, or take one that is open."""
        self.names = archive_of(log)

    def turn(self, number: int) -> Turn | None:
        """Return a turn; None when the log does not have it."""
        return self.names.turn(number) if number > 0 else None

    def some(self, numbers: Iterable[int]) -> Iterator[Turn]:
        """Yield those turns of these numbers that there are, ascending."""
        found = map(self.turn, sorted(set(numbers)))
        return (turn for turn in found if turn is not None)

    def turns(self, first: int, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns of a range."""
        return sound(self.names.lookup.turns(max(first, 1), last))

    def about(self, number: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns that an actor, request or cancel took, or that say something of it."""
        return self.names.about(number, first=first, last=last)

    @property
    def begin_ns(self) -> int:
        """The log's first time."""
        return self.names.clock.begin_ns

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Turns that the log should have and has not."""
        return self.names.gaps

    def cancel_numbers(self) -> list[int]:
        """Return the numbers of all cancels, in order."""
        return list(self.names.cancel_numbers)

    def refused_by(self, request: Request) -> list[CancelLife]:
        """Return the cancels in whose windows a request was refused."""
        before = self.names.cancels_before(request.number)
        return [each for each in before if request.number in each.refused]
