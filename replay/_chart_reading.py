"""What a chart reads of a log: names from a ledger, and turns wherever they stand."""

from collections.abc import Iterable, Iterator

from rescind.events import Turn

from ._fold import fold
from ._model import Ledger
from ._sound import sound
from ._turns import concerns


class Reading:
    """A log that is asked here and there."""

    def __init__(self, log: Iterable[Turn], ledger: Ledger | None = None) -> None:
        self.ledger = fold(log) if ledger is None else ledger
        self._turns = {turn.number: turn for turn in sound(log)}

    def some(self, numbers: Iterable[int]) -> Iterator[Turn]:
        """Yield those turns of these numbers that there are, ascending."""
        for number in sorted(set(numbers)):
            if number in self._turns:
                yield self._turns[number]

    def turns(self, first: int, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns of a range."""
        end = self.last if last is None else min(last, self.last)
        for number in range(max(first, self.first), end + 1):
            if number in self._turns:
                yield self._turns[number]

    def about(self, number: int) -> Iterator[Turn]:
        """Yield the turns that an actor, request or cancel took, or that say something of it."""
        return (turn for turn in self._turns.values() if concerns(turn, number))

    def actor_of(self, number: int) -> int:
        """Return who took a turn; -1 when it is not there."""
        turn = self._turns.get(number)
        return -1 if turn is None else turn.actor

    @property
    def first(self) -> int:
        return min(self._turns, default=0)

    @property
    def last(self) -> int:
        return max(self._turns, default=0)

    @property
    def lost(self) -> list[tuple[int, int]]:
        return [(gap.first, gap.last) for gap in self.ledger.gaps]
