"""The lookup of turns in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from ._frame import NUMBER_MAX
from ._keyframe import Keyframe
from ._mentions import Mentions, roles_of
from ._register import Register, nearest_of
from ._turn import Damage, Turn, Unknown
from ._vocabulary import KINDS


class TurnsLookup:
    """A ``Lookup`` of turns in memory, such as those of a test."""

    def __init__(self, turns: Iterable[Turn], log_id: bytes = bytes(16)) -> None:
        """Take turns in the order of their numbers; ``log_id`` is the log's that they are from."""
        self.log_id = log_id
        self.damage: list[Damage] = []
        self._turns = list(turns)
        self._numbers = [turn.number for turn in self._turns]
        self._found = [_mentions_of(turn) for turn in self._turns]
        self._register = Register()
        for at, turn in enumerate(self._turns):
            self._register.enter(at, turn.actor, self._found[at])

    @property
    def first(self) -> int:
        """The number of the first turn; 0 when there is none."""
        return self._numbers[0] if self._numbers else 0

    @property
    def last(self) -> int:
        """The number of the last turn; 0 when there is none."""
        return self._numbers[-1] if self._numbers else 0

    def refresh(self) -> None:
        """Nothing comes or goes."""

    def turn(self, number: int) -> Turn | None:
        """A turn by its number; None when there is none."""
        return next(self.turns(number, number), None)

    def turns(self, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``first`` to ``last``, ascending."""
        return (self._turns[at] for at in self._between(first, last))

    def backwards(self, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``last`` down to the first."""
        return (self._turns[at] for at in reversed(self._between(-NUMBER_MAX, last)))

    def about(
        self, numbers: int | Iterable[int], first: int = 1, last: int | None = None
    ) -> Iterator[Turn]:
        """The turns that a number took, or whose message or events mention it; ascending."""
        wanted = frozenset((numbers,) if isinstance(numbers, int) else numbers)
        inside = self._between(first, last)
        return (self._turns[at] for at in self._register.places(wanted) if at in inside)

    def taken_by(self, actor: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns that an actor took, ascending."""
        return (turn for turn in self.turns(first, last) if turn.actor == actor)

    def with_code(self, code: int) -> Iterator[Turn]:
        """The turns whose message or events carry a code, ascending."""
        together = zip(self._turns, self._found, strict=True)
        return (turn for turn, found in together if code in found.codes)

    def codes(self) -> list[int]:
        """All codes that occur, sorted."""
        return sorted({code for found in self._found for code in found.codes})

    def cancels(self) -> Iterator[int]:
        """The numbers of cancels that were requested, ascending."""
        return iter(sorted({cancel for found in self._found for cancel in found.cancels}))

    def nearest(self, number: int, count: int) -> list[int]:
        """The ``count`` mentioned numbers that are nearest to a number, ascending; without it."""
        mentioned = {each for found in self._found for each in found.numbers}
        return nearest_of(mentioned.union(turn.actor for turn in self._turns), number, count)

    def since(self, time_ns: int) -> int:
        """The first turn not before a moment; one behind the last turn when there is none."""
        late = (turn.number for turn in self._turns if turn.time_ns >= time_ns)
        return next(late, self.last + 1)

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of numbers that are not there between the first and the last, ascending."""
        pairs = zip(self._numbers, self._numbers[1:], strict=False)
        return [(one + 1, other - 1) for one, other in pairs if other > one + 1]

    def keyframe(self, before: int) -> Keyframe | None:  # noqa: ARG002
        """There is none."""
        return None

    def _between(self, first: int, last: int | None) -> range:
        end = len(self._numbers) if last is None else bisect_right(self._numbers, last)
        return range(bisect_left(self._numbers, first), end)


def _mentions_of(turn: Turn) -> Mentions:
    """What a turn's message and events mention; who took it is not told."""
    found = Mentions()
    for told in (turn.message, *turn.events):
        if isinstance(told, Unknown):
            roles, values = roles_of(told.name, told.fields), told.values
        elif type(told) in _KINDS:
            roles, values = roles_of(told.__class__.__name__, told._fields), tuple(told)
        else:
            continue
        found.take({0: roles}.get, [(0, *values)])
    return found


_KINDS = frozenset(KINDS)
