"""`rescind diff`: two recordings laid side by side by cause, and what explains that they differ.

Times are not compared, nor numbers, nor the order in which different actors took their turns.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from rescind.events import LogReader, Lookup, Turn, TurnsLookup
from rescind.replay._ledger.sound import sound

from .identity import made_by, run_of
from .inputs import ClassName, Inputs, Survey, inputs_of, is_input
from .units import MARK_EVERY, Units
from .walk import Change, Place, Walk

SHOWN_MAX = 10
"""Differences that are told unless more are asked for."""
READINGS = 2
"""How often each recording is read whole."""
PROGRESS_TURNS = 10_000
"""How often it says how far it is."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where two recordings differ.

    Attributes:
        change: How they differ here.
        a: The turn in the first recording; None where it has none.
        b: The turn in the second one; None likewise.
        before: Where turns are reordered, the turn of the first recording that its actor took
            before ``a``, and in the second one after ``b``.
        after: That turn in the second recording.
        actor_a: The number of the actor in the first recording; None where it is not there.
        actor_b: Its number in the second one.
    """

    change: Change
    a: Turn | None
    b: Turn | None
    before: Turn | None = None
    after: Turn | None = None
    actor_a: int | None = None
    actor_b: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that nothing before it explains.

    Attributes:
        spot: Where it is.
        follows: How many differences follow from it, by how.
        examples: Some of them, ends of requests first.
    """

    spot: Spot
    follows: dict[Change, int]
    examples: tuple[Spot, ...]

    @property
    def followers(self) -> int:
        """How many differences follow from it."""
        return sum(self.follows.values())


@dataclass(frozen=True, slots=True)
class Diff:
    """What differs between two recordings, A and B.

    Attributes:
        same: How many turns are the same in both; a turn in which several completions leave counts
            as so many.
        changes: How many are not, by how.
        differences: What explains them, the first ones first.
        untold: How many further differences there are that nothing explains.
    """

    same: int
    changes: dict[Change, int]
    differences: tuple[Difference, ...]
    untold: int

    @property
    def is_equal(self) -> bool:
        """Whether the two are the same but for numbers and times."""
        return not any(self.changes.values())


def diff(
    a: Iterable[Turn],
    b: Iterable[Turn],
    *,
    limit: int | None = SHOWN_MAX,
    progress: Callable[[int], None] | None = None,
) -> Diff:
    """Compare two recordings.

    Each is read twice, and once more for what is told; what is kept of a turn are 12 bytes.

    Args:
        a: The first one: a ``LogReader``, or turns that can be iterated again and again.
        b: The second one.
        limit: So many differences are told; None tells all that were kept, a thousand at most.
        progress: Told every few thousand turns how many were read, of both and in each reading.

    Raises:
        LogDamagedError: A turn is well framed and its fields make no sense.
    """
    reading = _Reading(progress)
    with ExitStack() as files:
        surveys = (
            Survey(reading.of(a), _class_name(a), files),
            Survey(reading.of(b), _class_name(b), files),
        )
        # Where several answers are as good, the one found must not depend on who is called A.
        if _weight(surveys[1]) < _weight(surveys[0]):
            inputs = inputs_of(*reversed(surveys))
            return _mirrored(_compared(b, a, inputs, files, limit, reading))
        return _compared(a, b, inputs_of(*surveys), files, limit, reading)


class _Reading:
    """Counts the turns that are read."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self._read = 0

    def of(self, log: Iterable[Turn]) -> Iterable[Turn]:
        return log if self._progress is None else self._counted(log, self._progress)

    def _counted(self, log: Iterable[Turn], progress: Callable[[int], None]) -> Iterator[Turn]:
        for turn in log:
            self._read += 1
            if self._read % PROGRESS_TURNS == 0:
                progress(self._read)
            yield turn


def _weight(survey: Survey) -> tuple[int, int]:
    return survey.turns, survey.weight


def _compared(
    a: Iterable[Turn],
    b: Iterable[Turn],
    inputs: tuple[Inputs, Inputs],
    files: ExitStack,
    limit: int | None,
    reading: "_Reading",
) -> Diff:
    in_a = Units(reading.of(a), inputs[0], _class_name(a), files)
    in_b = Units(reading.of(b), inputs[1], _class_name(b), files)
    walk = Walk(in_a, in_b)
    told = walk.heads[:limit]
    scene = _Scene(_Side(a, in_a), _Side(b, in_b), walk)
    differences = tuple(
        Difference(
            scene.spot(head.place), dict(head.followers), tuple(map(scene.spot, head.examples))
        )
        for head in told
    )
    untold = len(walk.heads) - len(told) + walk.unheard
    return Diff(walk.same, dict(walk.changes), differences, untold)


class _Side:
    """One log, and where its units stand in it."""

    def __init__(self, log: Iterable[Turn], units: Units) -> None:
        self._lookup = _lookup_of(log)
        self._units = units

    def turn(self, unit: int) -> Turn | None:
        """Return the turn that a unit stands in."""
        if unit < 0:
            return None
        number, place = self._units.marks[unit // MARK_EVERY]
        left = unit % MARK_EVERY + place
        for turn in sound(self._lookup.turns(number)):
            left -= _width(turn)
            if left < 0:
                return turn
        return None

    def unit(self, number: int) -> int:
        """Return the last unit of a turn; -1 when the log has no such turn."""
        marks = self._units.marks
        mark = bisect_right(marks, (number, 0)) - 1
        if mark < 0:
            return -1
        unit = mark * MARK_EVERY - marks[mark][1] - 1
        for turn in sound(self._lookup.turns(marks[mark][0])):
            unit += _width(turn)
            if turn.number >= number:
                return unit if turn.number == number else -1
        return -1


class _Scene:
    """What differs, with the turns looked up."""

    def __init__(self, a: _Side, b: _Side, walk: Walk) -> None:
        self._a, self._b, self._walk = a, b, walk

    def spot(self, place: Place) -> Spot:
        a, b = self._a.turn(place.ours), self._b.turn(place.theirs)
        if place.other < 0:
            before = after = None
        else:
            before = self._a.turn(place.other)
            after = self._b.turn(self._walk.theirs_of(place.other))
        actor_a = a.actor if a else self._counterpart(b, self._b, self._a, self._walk.ours_of)
        actor_b = b.actor if b else self._counterpart(a, self._a, self._b, self._walk.theirs_of)
        return Spot(place.change, a, b, before, after, actor_a, actor_b)

    def _counterpart(
        self, turn: Turn | None, here: _Side, there: _Side, other: Callable[[int], int]
    ) -> int | None:
        """Return the number in the other log of a request, by the turns in which both were made."""
        if turn is None or is_input(turn) or turn.cause is None:
            return None
        made_here = here.turn(here.unit(turn.cause.number))
        if made_here is None:
            return None
        made_there = there.turn(other(here.unit(made_here.number)))
        numbers = [number for number, _, _ in made_by(made_here)]
        if made_there is None or turn.actor not in numbers:
            return None
        others = [number for number, _, _ in made_by(made_there)]
        place = numbers.index(turn.actor)
        return others[place] if place < len(others) else None


def _width(turn: Turn) -> int:
    return sum(1 for _ in run_of(turn)) or 1


def _class_name(log: Iterable[Turn]) -> ClassName:
    return log.class_name if isinstance(log, LogReader) else lambda _epoch, _cls: None


def _lookup_of(log: Iterable[Turn]) -> Lookup:
    return log.lookup() if isinstance(log, LogReader) else TurnsLookup(log)


_MIRRORED = {Change.MISSING: Change.NEW, Change.NEW: Change.MISSING}


def _mirrored(found: Diff) -> Diff:
    """Return what would have been found the other way round."""
    differences = tuple(
        Difference(_turned(d.spot), _swapped(d.follows), tuple(map(_turned, d.examples)))
        for d in found.differences
    )
    return Diff(found.same, _swapped(found.changes), differences, found.untold)


def _swapped(changes: dict[Change, int]) -> dict[Change, int]:
    return {_MIRRORED.get(change, change): number for change, number in changes.items()}


def _turned(spot: Spot) -> Spot:
    """Return a spot seen from the other side; whoever was overtaken has overtaken."""
    change = _MIRRORED.get(spot.change, spot.change)
    if spot.change is Change.REORDERED:
        # The other one of the two is the later now; the actor that took both is the same.
        return Spot(change, spot.after, spot.before, spot.b, spot.a, spot.actor_b, spot.actor_a)
    return Spot(change, spot.b, spot.a, None, None, spot.actor_b, spot.actor_a)
