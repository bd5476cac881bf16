"""A recording's turns in order, and what stands in those that follow.

As long as whoever takes a number holds the baton until its turn is recorded, counting gives the
same numbers again.  A pinned actor's handler does not, and a pinned actor may be spoken of before
it has started; there it is looked up ahead what the recording says later.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator

from rescind.events import (
    Accepted,
    CancelRequested,
    Origin,
    Rejected,
    Resume,
    Start,
    Submit,
)

from .recorded import Recorded

AHEAD_MAX = 65_536
"""So many turns are read ahead at most."""
NEAR = 64
"""... and so many to see whether a wait ends soon."""


class TurnsAhead:
    """One pass over the turns of a log, with a look ahead where somebody asks for one."""

    def __init__(self, turns: Iterable[Recorded]) -> None:
        """Stand before the first turn."""
        self._turns: Iterator[Recorded] = iter(turns)
        self._read: deque[Recorded] = deque()
        self._given: dict[int, list[int]] = {}
        self._starts: dict[int, Recorded] = {}
        self._asked = 0
        self.next = next(self._turns, None)
        """The turn that comes next; None at the end."""

    def advance(self) -> None:
        """Go on to the turn after the next."""
        if self._given and self.next is not None:
            self._given.pop(self.next.number, None)
        if self._starts and self.next is not None:
            self._starts.pop(self.next.actor, None)
        self.next = self._read.popleft() if self._read else next(self._turns, None)

    def next_given(self, free: int) -> int | None:
        """Return the number that the next turn gives: its first, its second ...

        None when the recording does not tell: the turn failed, or its writer ended.

        Args:
            free: the lowest number that nobody has so far.  In one turn numbers only grow, so while
                it could still be this one's, the search goes on.
        """
        turn = self.next
        if turn is None:
            return None
        given = self._given.setdefault(turn.number, [])
        if self._asked != turn.number:
            self._asked = turn.number
            for number in _born(turn):
                if number >= free:
                    insort(given, number)
        while (not given or given[0] > free) and self._read_on(turn.epoch):
            pass
        return given.pop(0) if given else None

    def start_of(self, actor: int) -> Recorded | None:
        """Return the turn in which an actor is going to start."""
        while actor not in self._starts and self.next and self._read_on(self.next.epoch):
            pass
        return self._starts.get(actor)

    def ends_inside(self, part: int) -> bool:
        """Tell whether a wait that has just begun ends soon, and those that begin meanwhile do too.

        Then what happens meanwhile can happen on top of the handler that waits.
        """
        waiting, number = {part}, part
        for turn in self._near():
            number += 1
            if turn.number != number:
                return False  # turns are lost in between
            if turn.kind is Resume:
                if turn.message.part not in waiting:
                    return False  # one that began to wait earlier goes on first
                waiting.discard(turn.message.part)
                if turn.message.part == part:
                    return not waiting
            if turn.holds(turn.kinds.waits):
                waiting.add(turn.number)
        return False

    def _near(self) -> Iterator[Recorded]:
        turn = self.next
        if turn is None:
            return
        yield turn
        for at in range(NEAR):
            if at == len(self._read) and not self._read_on(turn.epoch):
                return
            yield self._read[at]

    def _read_on(self, epoch: int) -> bool:
        if len(self._read) >= AHEAD_MAX or (self._read and self._read[-1].epoch != epoch):
            return False
        turn = next(self._turns, None)
        if turn is None:
            return False
        self._read.append(turn)
        if turn.epoch == epoch and _begins(turn):
            self._starts[turn.actor] = turn
            if turn.origin is Origin.ACTOR and turn.cause:
                insort(self._given.setdefault(turn.cause, []), turn.actor)
        return True


def _begins(turn: Recorded) -> bool:
    """Tell whether an actor's or an endpoint's life begins here."""
    return turn.kind is Start or (turn.kind is Submit and turn.message.operation in _OPENINGS)


_OPENINGS = frozenset({"Instantiate", "Open", "OpenApplication"})


def _born(turn: Recorded) -> list[int]:
    born = [turn.actor] if _begins(turn) and turn.origin is not Origin.ACTOR else []
    for event in turn.events:
        match event:
            case Accepted(number) | Rejected(number) | CancelRequested(number):
                born.append(number)
            case _:
                pass
    return born
