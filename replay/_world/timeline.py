"""Time travel: the world behind any turn of a log, and one step to the next one or the last.

A `Timeline` folds from the newest keyframe before the turn, so a first look costs one keyframe span
at most.  On its way it leaves checkpoints: a step backwards begins at the one before it and folds a
few thousand records again, which the log's lookup keeps at hand.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from rescind.events import LogReader, Lookup, Turn, TurnsLookup
from rescind.replay._archive.select import SelectorError

from .world import World

CHECKPOINT_TURNS = 2048
"""So many turns, or as many as things live, lie between two checkpoints."""

CHECKPOINT_ENTRIES_MAX = 500_000
"""More things than that are not held in checkpoints together: every second one goes."""


class Timeline:
    """The worlds of one log, each behind a turn.

    Used by one thread.  A growing log is known as far as it had come; ``lookup.refresh`` looks
    again.

    Attributes:
        lookup: The log's.
    """

    def __init__(self, log: LogReader | Iterable[Turn]) -> None:
        """Stand before the first turn; little is read yet."""
        self._reader = log if isinstance(log, LogReader) else None
        self._batches = log.lookup() if isinstance(log, LogReader) else None
        self.lookup: Lookup = TurnsLookup(log) if self._batches is None else self._batches
        self._checkpoints: list[World] = []
        self._world: World | None = None

    @property
    def number(self) -> int:
        """The turn behind which it stands; 0 before the first."""
        return 0 if self._world is None else self._world.number

    def at(self, turn: int) -> World:
        """Go behind a turn; what is returned is good until the next step.

        Raises:
            SelectorError: There is no such turn; its ``nearest`` say which there are.
        """
        if not self.lookup.first <= turn <= self.lookup.last or turn < 1:
            raise self._no_turn(turn)
        world = self._base(turn)
        left = world.number
        for _ in self._feed(world, turn):
            if world.number - left >= max(CHECKPOINT_TURNS, len(world)):
                self._leave(world)
                left = world.number
        self._world = world
        if world.number != turn:
            raise self._no_turn(turn)
        return world

    def step(self, by: int = -1) -> World:
        """Go so many turns on, or with a negative number back.

        Raises:
            SelectorError: There is no turn.
        """
        return self.at(self.number + by)

    @property
    def begin_ns(self) -> int:
        """The time of the log's first turn; 0 when there is none."""
        first = self.lookup.turn(self.lookup.first)
        return 0 if first is None else first.time_ns

    def moment(self, time_ns: int) -> int:
        """Return the last turn that is not after a time.

        Raises:
            SelectorError: The time is before the first turn or after the last one.
        """
        first, last = self.lookup.first, self.lookup.last
        if self.lookup.since(time_ns) > last:
            raise SelectorError("", "the log ends before that time", [str(last)] if last else [])
        after = self.lookup.since(time_ns + 1)
        if after == first:
            raise SelectorError("", "the log begins after that time", [str(first)])
        return next(self.lookup.backwards(after - 1)).number

    def _base(self, turn: int) -> World:
        """Return the nearest world before, which may be moved."""
        at = bisect_right(self._checkpoints, turn, key=lambda each: each.number)
        known = self._checkpoints[at - 1] if at else None
        here = self._world
        if here is not None and here.number <= turn and (not known or here.number >= known.number):
            known = None
        else:
            here = None
        nearest = here or known
        if nearest is not None and turn - nearest.number <= 2 * CHECKPOINT_TURNS:
            return here or nearest.copy()
        made = self._begin(turn)
        if nearest is not None and nearest.number >= made.number:
            return here or nearest.copy()
        return made

    def _leave(self, world: World) -> None:
        if len(world) > CHECKPOINT_ENTRIES_MAX:
            return
        at = bisect_right(self._checkpoints, world.number, key=lambda each: each.number)
        if at and self._checkpoints[at - 1].number == world.number:
            return
        self._checkpoints.insert(at, world.copy())
        if sum(map(len, self._checkpoints)) > CHECKPOINT_ENTRIES_MAX:
            del self._checkpoints[::2]

    def _begin(self, number: int) -> World:
        """Return the world of the last keyframe that tells of no turn behind ``number``."""
        world = World()
        keyframe = self.lookup.keyframe(number + 1)
        if keyframe is not None and self._reader is not None:
            world.begin_at(keyframe.number, keyframe.epoch, self._reader.entries(keyframe))
        return world

    def _feed(self, world: World, last: int) -> Iterator[None]:
        """Bring a world forward; yields after every few turns."""
        if self._batches is None:
            for turn in self.lookup.turns(world.number + 1, last):
                world.feed(turn)
                yield
            return
        for batch in self._batches.batches(world.number + 1, last):
            for start in range(0, len(batch.numbers), CHECKPOINT_TURNS):
                few = batch.numbers[start : start + CHECKPOINT_TURNS]
                world.feed_batch(batch, few[-1])
                yield

    def _no_turn(self, turn: int) -> SelectorError:
        first, last = self.lookup.first, self.lookup.last
        if not last:
            return SelectorError(str(turn), "the log has no turns")
        if first <= turn <= last:
            before = next(self.lookup.backwards(turn)).number
            after = next(self.lookup.turns(turn)).number
            text = f"turn {turn} is missing: the log lost turns {before + 1}..{after - 1}"
            return SelectorError(str(turn), text, [str(before), str(after)])
        text = f"turn {turn} is not in the log, which holds turns {first}..{last}"
        return SelectorError(str(turn), text, [str(first if turn < first else last)])
