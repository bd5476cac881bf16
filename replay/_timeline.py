"""Time travel: the world behind any turn of a log, and one step to the next one or the last.

A `Timeline` folds from the newest keyframe before the turn, so the cost of a first look is that of
one keyframe span at most.  On its way it leaves checkpoints, and keeps the records it read last: a
step backwards begins at the checkpoint before it and folds a few thousand records again.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from rescind.events import LogReader, ReadBatch, Turn

from ._select import SelectorError
from ._world import World

CHECKPOINT_TURNS = 4096
"""So many turns, or as many as things live, lie between two checkpoints."""

CHECKPOINT_ENTRIES_MAX = 500_000
"""More things than that are not held in checkpoints together: every second one goes."""

KEPT_RECORDS = 4 * CHECKPOINT_TURNS
"""So many records, those read last, are kept for steps."""


class _Source(Protocol):
    """Where worlds come from."""

    def begin(self, number: int) -> World:
        """Return the world behind the last keyframe that tells of a turn up to ``number``."""
        ...

    def feed(self, world: World, last: int) -> Iterator[None]:
        """Bring a world forward to ``last``, or to the last turn before it that there is.

        Yields after every few turns.
        """
        ...

    def next_after(self, number: int) -> int:
        """Return the first turn behind ``number``; 0 when there is none."""
        ...

    def since(self, time_ns: int) -> Turn | None:
        """Return the first turn that is not before a time."""
        ...


class Timeline:
    """The worlds of one log, each behind a turn.

    Used by one thread.  A growing log is read as far as it has come.
    """

    def __init__(self, log: LogReader | Iterable[Turn]) -> None:
        """Stand before the first turn; nothing is read yet."""
        self._source: _Source = _OfLog(log) if isinstance(log, LogReader) else _OfTurns(log)
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
        world = self._base(turn)
        left = world.number
        for _ in self._source.feed(world, turn):
            if world.number - left >= max(CHECKPOINT_TURNS, len(world)):
                self._leave(world)
                left = world.number
        self._world = world
        if world.number != turn or turn < 1:
            raise self._no_turn(turn, world.number)
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
        first = self._source.since(-(1 << 63))
        return 0 if first is None else first.time_ns

    def moment(self, time_ns: int) -> int:
        """Return the last turn that is not after a time.

        Raises:
            SelectorError: The time is before the first turn or after the last one.
        """
        after = self._source.since(time_ns + 1)
        if after is None:
            last = self._source.since(time_ns)
            if last is not None:
                return last.number
            raise SelectorError("", "the log ends before that time", [str(self._last())])
        if after.number == self._source.next_after(0):
            raise SelectorError("", "the log begins after that time", [str(after.number)])
        return after.number - 1

    def _last(self) -> int:
        world = self._source.begin(1 << 62)
        deque(self._source.feed(world, 1 << 62), maxlen=0)
        return world.number

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
        made = self._source.begin(turn)
        if nearest is not None and nearest.number >= made.number:
            return here or nearest.copy()
        return made

    def _leave(self, world: World) -> None:
        at = bisect_right(self._checkpoints, world.number, key=lambda each: each.number)
        if at and self._checkpoints[at - 1].number == world.number:
            return
        self._checkpoints.insert(at, world.copy())
        if sum(map(len, self._checkpoints)) > CHECKPOINT_ENTRIES_MAX:
            del self._checkpoints[::2]

    def _no_turn(self, turn: int, before: int) -> SelectorError:
        first = self._source.next_after(0)
        after = self._source.next_after(max(turn, before))
        nearest = [str(number) for number in (before, after) if number]
        if not first:
            return SelectorError(str(turn), "the log has no turns")
        if before and after:
            text = f"turn {turn} is missing: the log lost turns {before + 1}..{after - 1}"
        elif before:
            text = f"turn {turn} is not in the log, which ends with turn {before}"
        else:
            text = f"turn {turn} is not in the log, which begins with turn {first}"
        return SelectorError(str(turn), text, nearest or [str(first)])


class _OfLog:
    """Worlds from a reader: batches as they are, and the last ones kept."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._kept: deque[ReadBatch] = deque()
        self._kept_records = 0

    def begin(self, number: int) -> World:
        keyframe = self._reader.keyframe(before=number + 1)
        world = World()
        if keyframe is not None:
            world.begin_at(keyframe.number, keyframe.epoch, self._reader.entries(keyframe))
        return world

    def feed(self, world: World, last: int) -> Iterator[None]:
        if world.number >= last:
            return
        for batch in self._batches(world.number + 1, last):
            numbers = batch.numbers
            begin = bisect_right(numbers, world.number)
            for behind in range(begin, len(numbers), CHECKPOINT_TURNS):
                few = numbers[min(behind + CHECKPOINT_TURNS, len(numbers)) - 1]
                world.feed_batch(batch, min(few, last))
                yield
            if numbers[-1] >= last:
                return

    def _batches(self, first: int, last: int) -> Iterator[ReadBatch]:
        kept = self._kept
        if kept and kept[0].numbers[0] <= first <= kept[-1].numbers[-1] + 1:
            yield from [batch for batch in kept if batch.numbers[-1] >= first]
            first = kept[-1].numbers[-1] + 1
            if first > last:
                return
        else:
            kept.clear()
            self._kept_records = 0
        reader = self._reader.select(start=first)
        for batch in reader.batches():
            if batch.numbers:
                self._keep(batch)
                yield batch
        self._reader.damage = reader.damage

    def _keep(self, batch: ReadBatch) -> None:
        kept = self._kept
        kept.append(batch)
        self._kept_records += len(batch.records)
        while len(kept) > 1 and self._kept_records > KEPT_RECORDS:
            self._kept_records -= len(kept.popleft().records)

    def next_after(self, number: int) -> int:
        reader = self._reader.select(start=number + 1)
        return next((at for at, _ in reader.raw()), 0)

    def since(self, time_ns: int) -> Turn | None:
        return next(iter(self._reader.select(since_ns=time_ns)), None)


class _OfTurns:
    """Worlds from turns in memory."""

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._turns: Sequence[Turn] = list(turns)

    def begin(self, number: int) -> World:
        del number
        return World()

    def feed(self, world: World, last: int) -> Iterator[None]:
        start = bisect_right(self._turns, world.number, key=lambda turn: turn.number)
        for turn in self._turns[start:]:
            if turn.number > last:
                return
            world.feed(turn)
            yield

    def next_after(self, number: int) -> int:
        return next((turn.number for turn in self._turns if turn.number > number), 0)

    def since(self, time_ns: int) -> Turn | None:
        return next((turn for turn in self._turns if turn.time_ns >= time_ns), None)
