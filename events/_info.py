"""An overview of a whole log: what ``rescind info`` shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ._scan import ReadBatch
from ._turn import Damage


class Head(NamedTuple):
    """One head that a log's chain had.

    Attributes:
        number: The last number before it.
        chain: The head, 32 bytes.
        is_proven: Whether nothing rotten stands before it, so that it vouches for all of that.
    """

    number: int
    chain: bytes
    is_proven: bool


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One segment in an overview; ``first`` and ``last`` are None when it holds no record.

    ``sealed`` says whether it ends with an index: its writer closed it, or went on to another.
    """

    number: int
    epoch: int
    bytes: int
    batches: int
    first: int | None
    last: int | None
    sealed: bool


@dataclass(frozen=True, slots=True)
class LogInfo:
    """An overview of a whole log.

    Attributes:
        path: Where it is; None in memory.
        log_id: Its id.
        format: Its format's version.
        epochs: The writers' lives, in order.
        segments: Its segments, in order.
        first: The first record's number; None when there is no record.
        last: The last one's.
        first_time_ns: The first record's time.
        last_time_ns: The last one's.
        records: How many records can be read.
        batches: How many batches can be read.
        chain: The chain's head.
        damage: All that is not whole.
    """

    path: Path | None
    log_id: bytes
    format: int
    epochs: tuple[int, ...]
    segments: tuple[SegmentInfo, ...]
    first: int | None
    last: int | None
    first_time_ns: int | None
    last_time_ns: int | None
    records: int
    batches: int
    chain: bytes
    damage: tuple[Damage, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged; a torn tail loses nothing, and a noted loss is known."""
        return not any(damage.is_rot for damage in self.damage)

    @property
    def verdict(self) -> str:
        """One line that says whether the log is whole."""
        rotten = [damage for damage in self.damage if damage.is_rot]
        if rotten:
            first = rotten[0]
            places = _several(len(rotten), "place")
            where = f"segment {first.segment} at byte {first.offset}"
            return f"damaged in {places}, first in {where}: {first.row}"
        torn = sum(damage.torn for damage in self.damage)
        lost = sum(_lost_in(damage) for damage in self.damage)
        but: list[str] = []
        if torn:
            but.append(f"{_several(torn, 'unfinished end')}: a write that was never done")
        if lost:
            but.append(f"{_several(lost, 'turn')} lost before it was recovered")
        return f"whole but for {' and '.join(but)}" if but else "whole"


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _lost_in(damage: Damage) -> int:
    if damage.first is None or damage.last is None:
        return 0
    return damage.last - damage.first + 1


class Survey:
    """Counts what one scan yields."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.first: ReadBatch | None = None
        self.last: ReadBatch | None = None
        self.records = 0
        self.batches = 0
        self.spans: dict[int, tuple[int, int, int]] = {}

    def run(self, batches: Iterable[ReadBatch]) -> "Survey":
        """Count everything and return itself."""
        for batch in batches:
            self.batches += 1
            self.records += len(batch.records)
            first, _, count = self.spans.get(batch.segment, (batch.first, 0, 0))
            self.spans[batch.segment] = (first, batch.first + batch.count - 1, count + 1)
            if batch.records:
                self.first = self.first or batch
                self.last = batch
        return self

    def span(self) -> tuple[int | None, int | None, int | None, int | None]:
        """The first and the last number, the first and the last time."""
        if self.first is None or self.last is None:
            return None, None, None, None
        times = (self.first.records[0][1], self.last.records[-1][1])
        return self.first.numbers[0], self.last.numbers[-1], *times

    def segment(self, number: int, epoch: int, size: int, *, sealed: bool) -> SegmentInfo:
        """What was counted in one segment."""
        first, last, batches = self.spans.get(number, (None, None, 0))
        return SegmentInfo(number, epoch, size, batches, first, last, sealed)
