"""Saving what can be saved of a damaged log into a new one, with an exact account of the rest.

A recovered log keeps the log's id, its epochs and all numbers, because causes point to them.  Where
records are gone stands a gap, so that whoever reads it is told what was lost and meets no damage.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ._codec import Epochs, unpack_prelude
from ._errors import LogAccessError, LogDamagedError, UsageError
from ._frame import BATCH, GAP, HEADER_BYTES, KEYFRAME, TAIL_BYTES
from ._index import KeyframePart
from ._keyframe import decode_part
from ._msgpack import CANNOT_PACK, pack
from ._salvage import Salvage
from ._scan import ReadBatch, Scan
from ._segment import BindingRow, Frame, Opening, Preamble, Previous, Window
from ._segment_writer import SegmentWriter
from ._selection import Selection, Sieve
from ._start import find_start
from ._storage import Storage, open_directory
from ._turn import Damage


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery saved and what it could not.

    Attributes:
        source: The damaged log.
        target: The new one.
        log_id: The id of both; 16 zero bytes when nothing in the source says it.
        records: How many records were saved.
        lost: The numbers that are gone, as inclusive pairs, ascending.
        lost_at_most: Whether the last pair is only an upper bound: nothing behind it tells.
        guessed: Segments whose preamble was damaged and could be made out all the same.
        damage: All that is not whole in the source, as a reader reports it.
    """

    source: Path
    target: Path
    log_id: bytes
    records: int
    lost: tuple[tuple[int, int], ...]
    lost_at_most: bool
    guessed: tuple[int, ...]
    damage: tuple[Damage, ...]

    @property
    def is_lossless(self) -> bool:
        """Whether every record was saved."""
        return not self.lost

    @property
    def records_lost(self) -> int:
        """How many records are gone, at most."""
        return sum(last - first + 1 for first, last in self.lost)


def recover(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Callable[[int], None] | None = None,
) -> Recovery:
    """Save all that can be read of a log into a new one.

    The source is not changed.  Segments are read in order and written one by one, so memory does
    not depend on the log's size; the target is durable on return.

    Args:
        source: The log's path.
        target: The new log's path.
        progress: Told after each batch how many turns were saved.

    Raises:
        NotALogError: The source is no log, or the target's path is taken by something else.
        LogAccessError: The operating system refuses.
        LogFormatError: A later version wrote the source.
        UsageError: There is a log at the target already.
    """
    place = open_directory(source, for_writing=False)
    made = open_directory(target, for_writing=True)
    try:
        made.lock()
        if made.segments():
            raise UsageError(f"{target}: there is a log already; recover to a new path")
        return _Copy(place, made).run(Path(source), Path(target), progress or _unheard)
    except OSError as error:
        message = f"{source}: cannot be recovered to {target}: {error.strerror}"
        raise LogAccessError(message, target) from error
    finally:
        made.close()
        place.close()


def _unheard(records: int) -> None:
    del records


class _Copy:
    """One recovery: a pass over the source that writes as it reads."""

    def __init__(self, source: Storage, target: Storage) -> None:
        """Prepare; nothing is read or written yet."""
        self._source = source
        self._target = target
        self._salvage = Salvage(source)
        self._bindings = Epochs()
        self._damage: list[Damage] = []
        self._log_id = self._identify()
        self._scan = Scan(
            source, self._log_id, self._bindings, self._damage.append,
            opening=self._salvage.open, keyframe=self._copy_keyframe,
        )  # fmt: skip
        self._sieve = Sieve(Selection())
        self._writer: SegmentWriter | None = None
        self._from = 0
        self._expected: int | None = None
        self._actors_next = 1
        self._chain = bytes(32)
        self._previous: Previous | None = None
        self._lost: list[tuple[int, int]] = []
        self._records = 0

    def _identify(self) -> bytes:
        for segment in self._source.segments():
            with suppress(OSError):
                found = self._salvage.open(Window(self._source, segment))
                if isinstance(found, Opening):
                    return found.preamble.log
        return bytes(16)

    def run(
        self, source: Path, target: Path, progress: Callable[[int], None] = _unheard
    ) -> Recovery:
        """Copy, and say how it went."""
        for batch in self._scan.run(Selection(), verify_chain=True):
            self._copy_batch(batch)
            progress(self._records)
        at_most = self._end_with_what_is_open()
        self._close()
        return Recovery(
            source=source,
            target=target,
            log_id=self._log_id,
            records=self._records,
            lost=tuple(self._lost),
            lost_at_most=at_most,
            guessed=tuple(sorted(self._salvage.guessed)),
            damage=tuple(self._damage),
        )

    def _copy_batch(self, batch: ReadBatch) -> None:
        writer = self._writer_for(batch.segment, batch.first)
        body_bytes = batch.length - HEADER_BYTES - TAIL_BYTES
        body = self._source.read(batch.segment, batch.offset + HEADER_BYTES, body_bytes)
        place = writer.append(BATCH, body, batch.first, batch.count)
        self._expected = batch.first + batch.count
        self._records += len(batch.records)
        prelude = unpack_prelude(memoryview(body))
        actors_next, bindings = prelude or (1, ())
        self._actors_next = max(self._actors_next, actors_next)
        rows = filter(_can_be_indexed, bindings)
        found = writer.index.batch(place[0], batch.first, batch.count, _time_of(batch), rows)
        self._sieve.mentions(batch.records, batch.epoch, batch.bindings, found)
        writer.index.end_batch(writer.offset)

    def _copy_keyframe(self, segment: int, frame: Frame) -> None:
        writer = self._writer_for(segment, frame.header.first)
        part = decode_part(frame.body)
        if part is not None:
            offset, _ = writer.append(KEYFRAME, bytes(frame.body), frame.header.first)
            writer.index.keyframe(KeyframePart(*part[:3], offset))

    def _writer_for(self, segment: int, number: int) -> SegmentWriter:
        """The target's segment for one of the source's, where ``number`` comes next."""
        if self._writer is None or self._from != segment:
            self._close()
            self._writer, self._from = self._begin(number), segment
        if self._expected is not None and number > self._expected:
            self._note_gap(self._writer, self._expected, number - 1)
        return self._writer

    def _begin(self, number: int) -> SegmentWriter:
        opening = self._scan.opening
        assert opening is not None, "something was read from it"
        if self._expected is None:
            # Before it stands nothing: a log that was pruned begins where it began.
            self._expected = number if self._source.segments()[0] > 1 else 1
        preamble = opening.preamble
        self._actors_next = max(self._actors_next, preamble.actors_next)
        return SegmentWriter(self._target, self._renamed(preamble), sync=True)

    def _renamed(self, preamble: Preamble) -> Preamble:
        number = 1 if self._previous is None else self._previous.segment + 1
        first = 1 if self._expected is None else self._expected
        return replace(
            preamble, segment=number, first=first, chain=self._chain, previous=self._previous,
            log=self._log_id, actors_next=self._actors_next,
            writer=preamble.writer | {"recovered from segment": str(preamble.segment)},
        )  # fmt: skip

    def _note_gap(self, writer: SegmentWriter, first: int, last: int) -> None:
        rows = {damage.row for damage in self._damage if _touches(damage, first, last)}
        writer.append(GAP, pack((first, last, sorted(rows))), first)
        self._lost.append((first, last))
        self._expected = last + 1

    def _end_with_what_is_open(self) -> bool:
        """Numbers that may have been given behind all that can be read must not be given again."""
        lost = [damage for damage in self._damage if damage.first is not None]
        last = max((damage.last for damage in lost if damage.last is not None), default=0)
        is_open = any(damage.last is None for damage in lost)
        if is_open:
            with suppress(LogDamagedError):
                last = max(last, find_start(self._source, bytes, settle=False).end.last)
        if self._writer is None or self._expected is None or last < self._expected:
            return False
        self._note_gap(self._writer, self._expected, last)
        return is_open

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None or self._expected is None:
            return
        last = self._expected - 1
        writer.seal(last, self._actors_next)
        self._target.sync(writer.segment)
        self._chain = writer.chain
        self._previous = Previous(writer.segment, writer.offset, last)


def _can_be_indexed(row: BindingRow) -> bool:
    """Whether a binding has only plain values; no writer gives it others."""
    try:
        pack(row)
    except CANNOT_PACK:
        return False
    return True


def _time_of(batch: ReadBatch) -> int:
    time_ns = batch.records[-1][1] if batch.records else None
    return time_ns if type(time_ns) is int else 0


def _touches(damage: Damage, first: int, last: int) -> bool:
    return damage.first is not None and damage.first <= last and first <= (damage.last or last)
