"""The writer's side of a log: append, seal, write.

``append`` and ``seal`` belong to whoever holds the runtime's baton and never touch the medium;
``write`` may run elsewhere, one at a time and in order, and is all that can fail.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple, NoReturn

from ._codec import binding_rows
from ._declared import Declared, declared_as
from ._errors import (
    LogAccessError,
    LogClosedError,
    LogFailedError,
    UsageError,
)
from ._frame import BATCH, KEYFRAME, OVERHEAD_BYTES
from ._index import KeyframePart
from ._keyframe import USUAL, Keyframer, Pace, Slice, Source
from ._mark import Mark
from ._mentions import Noted, Notes, Roles, roles_of
from ._msgpack import CANNOT_PACK, Pack, pack, packer
from ._packing import Record, Substitutes, limit, pack_with_opaques, sanitise_text
from ._payloads import withholding
from ._segment import BindingRow, Preamble, Previous
from ._segment_writer import SegmentWriter
from ._start import find_start
from ._storage import MemoryStorage, Storage, open_directory
from ._vocabulary import KINDS

DURABILITIES = ("memory", "os", "disk")
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
_BODY_BYTES_AIM = 16 * 1024 * 1024
_MANY = 4096
"""Records that are packed in one step; their array's header has one or three bytes."""
_MANY_BYTES_MAX = 4 * 1024 * 1024
_ACTOR_OF = itemgetter(0)
_NO_RECORD: Record = (0, 0)


class KindIds(dict[type, int]):
    """The wire's number for every kind; a declared one gets its own when it is first asked for."""

    def __init__(self, bind: Callable[[Declared, int], None]) -> None:
        """Begin with the vocabulary; ``bind`` hears of every declared kind, once."""
        super().__init__((kind, number) for number, kind in enumerate(KINDS, 1))
        self._bind = bind

    def __missing__(self, cls: type) -> int:
        """Number a declared kind.

        Raises:
            TypeError: The class was not declared.
        """
        declared = declared_as(cls)
        if declared is None:
            raise TypeError(f"{cls.__qualname__} is no message and no event: declare it as one")
        number = self[cls] = len(self) + 1
        self._bind(declared, number)
        return number


class Batch(NamedTuple):
    """Records taken out of the writer, to be written together.

    Attributes:
        first: The first record's number.
        records: How many there are.
        chunks: The records, packed; a chunk holds one, or as many as ``many`` says for its place.
        many: See ``chunks``.
        bindings: What is newly bound.
        actors_next: The lowest actor number not taken.
        noted: What the records mention, for the index.
        odd: Those records whose mentions could not be noted so.
        time_ns: The last record's time.
        keyframe: A part of a keyframe, taken behind the last record.
    """

    first: int
    records: int
    chunks: list[bytes | memoryview]
    many: dict[int, int]
    bindings: list[BindingRow]
    actors_next: int
    noted: Noted
    odd: list[Record]
    time_ns: int
    keyframe: Slice | None


class _Options(NamedTuple):
    """How a log is to be written; see ``Log.create_or_open``."""

    durability: str
    entropy: Callable[[int], bytes]
    clock_ns: Callable[[], int]
    segment_bytes_max: int
    segment_age_ns_max: int | None
    writer: dict[str, str]
    payloads: Mapping[str, str]


class Log:
    """The way to a log that is to be written."""

    @classmethod
    def create_or_open(  # noqa: PLR0913 - every one is an option of the log
        cls,
        path: str | os.PathLike[str] | None,
        *,
        durability: str = "os",
        entropy: Callable[[int], bytes] = os.urandom,
        clock_ns: Callable[[], int] | None = None,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        segment_age_s_max: float | None = None,
        payloads: Mapping[str, str] | None = None,
        writer: Mapping[str, str] | None = None,
        storage: Storage | None = None,
    ) -> "LogWriter":
        """Open a log for writing, making it when there is none.

        A log that was open before is continued in a new segment and a new epoch; nothing of what
        is there is changed, also when its end is torn.

        Args:
            path: The log's directory; None keeps the log in this process.
            durability: What ``write`` waits for: ``os`` (handed to the operating system: survives
                this process) or ``disk`` (survives a power failure); ``memory`` goes with None.
            entropy: Gives that many random bytes.
            clock_ns: The time that segments are stamped with; without a clock it is 0.
            segment_bytes_max: A segment that would grow longer is followed by a new one.
            segment_age_s_max: So is one that is older, by the clock, when a batch comes.
            payloads: Kind name to ``full``, ``digest`` or ``none``: what is kept of the values that
                applications and peers hand over.
            writer: What the writer says of itself, noted in every segment: names and versions, for
                people; ``strict`` is ``yes`` where it refuses values that the log cannot hold.
            storage: Where to keep the log instead of ``path``.

        Raises:
            LogLockedError: Another writer has it open.
            NotALogError: The path is something else.
            LogAccessError: The operating system refuses.
            LogFormatError: A later version wrote it.
            LogDamagedError: Nothing in it says which log it is.
            UsageError: The options contradict each other.
        """
        if durability not in DURABILITIES:
            raise UsageError(f"durability is one of {', '.join(DURABILITIES)}, not {durability!r}")
        if path is not None and durability == "memory":
            message = "durability 'memory' keeps the log in this process: leave the path out, and"
            raise UsageError(f"{message} save(path) what you want to keep")
        place = storage or (
            MemoryStorage() if path is None else open_directory(path, for_writing=True)
        )
        if isinstance(place, MemoryStorage):
            durability = "memory"
        try:
            options = _Options(
                durability,
                entropy,
                clock_ns or _no_time,
                segment_bytes_max,
                None if segment_age_s_max is None else round(segment_age_s_max * 1e9),
                dict(writer or {}),
                payloads or {},
            )
            return LogWriter(place, options)
        except OSError as error:
            place.close()
            message = f"{place.path}: cannot be opened for writing: {error.strerror}"
            raise LogAccessError(message, place.path) from error
        except BaseException:
            place.close()
            raise


class LogWriter:
    """A log that is being written; made by ``Log.create_or_open``.

    Attributes:
        log_id: The log's name for other logs, 16 bytes.
        epoch: This writer's life, from 1.
        path: The log's directory; None in memory.
        durability: ``memory``, ``os`` or ``disk``.
        storage: Where it is kept; ``read`` takes the writer itself.
        last_number: The last appended record's number; it may not be written yet.
        actors_next: The next actor number; the runtime takes from it.
        kind_ids: The wire's number for every kind of the vocabulary, and for each declared kind.
    """

    # An object with more than thirty attributes loses Python's fast way to them.
    __slots__ = (
        "_acknowledged", "_act", "_begun_ns", "_bindings", "_bound", "_chunks", "_counted",
        "_failure", "_keyframer", "_known", "_latest", "_many", "_notes", "_odd", "_options",
        "_pack", "_packer", "_push", "_roles", "_salt", "_sealed", "_segment", "_tells", "_written",
        "_written_bytes", "actors_next", "durability", "epoch", "kind_ids", "last_number", "log_id",
        "path", "storage",
    )  # fmt: skip

    def __init__(self, storage: Storage, options: _Options) -> None:
        """Take the lock, find the end, begin a segment."""
        self.storage = storage
        self.path = storage.path
        self.durability = durability = options.durability
        self.kind_ids: dict[type, int] = KindIds(self._bind_kind)
        self._packer = packer(Substitutes(self.kind_ids))
        # Before anything is touched: a policy that means nothing is refused here.
        self._pack: Pack = withholding(self._packer, options.payloads, self.kind_ids)
        storage.lock()
        start = find_start(storage, options.entropy, settle=durability == "disk")
        self.log_id = start.log_id
        self.epoch = start.epoch
        self.actors_next = start.end.actors_next
        self.last_number = start.end.last
        self._sealed = start.end.last
        self._counted = (0, 0)
        self._begin_batch()
        self._roles: dict[int, Roles] = {
            number: roles_of(name, fields) for _, number, name, _, fields in binding_rows()
        }
        self._notes = Notes(self._roles)
        self._act = self._notes.act
        self._tells = self._notes.of
        self._keyframer: Keyframer | None = None
        self._bound: dict[str, int] = {"who": 0, "site": 0, "class": 0}
        self._failure: BaseException | None = None
        # What follows belongs to ``write``.
        self._written = start.end.last
        self._known: list[BindingRow] = list(binding_rows())
        self._options = options
        self._written_bytes = 0
        self._salt = int.from_bytes(options.entropy(4), "big")
        end = start.end
        self._begin_segment(start.segment, end.chain, start.previous, end.actors_next)
        self._acknowledge()
        if durability == "disk":
            self._set_mark(has_failed=False)

    # --- under the baton -----------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many records wait to be sealed."""
        return self.last_number - self._sealed

    @property
    def pending_bytes(self) -> int:
        """How many bytes of records wait to be sealed; counted when asked, only what is new."""
        count, size = self._counted
        size += sum(map(len, self._chunks[count:]))
        self._counted = (len(self._chunks), size)
        return size

    def append(self, record: Record) -> int:
        """Add a record to the pending batch and return its number.

        Args:
            record: ``(actor, time_ns, origin, cause, message, events, by)``, where message and
                events are in wire form ``(kind id, *fields)``.

        Raises:
            LogFailedError: An earlier write failed.
            LogClosedError: The writer was closed.
        """
        # The hottest line of the project: the benchmark ``append`` holds it against bare packing.
        try:
            self._push(self._pack(record))
        except CANNOT_PACK:
            self._push(pack_with_opaques(self._packer, record))
        self._act(record[0])
        message = record[4]
        if record[5] or (message is not None and message[0] in self._tells):
            self._note(record)
        self._latest = record
        self.last_number = number = self.last_number + 1
        return number

    def extend(self, records: Sequence[Record]) -> int:
        """Add many records in one step, and return the last one's number.

        The same as ``append`` for each, at about two thirds of the cost.

        Raises:
            LogFailedError: An earlier write failed.
            LogClosedError: The writer was closed.
        """
        for start in range(0, len(records), _MANY):
            self._extend(records[start : start + _MANY])
        return self.last_number

    def _extend(self, records: Sequence[Record]) -> None:
        packed = b""
        if self._pack is self._packer:
            with contextlib.suppress(*CANNOT_PACK):
                packed = self._pack(records)
        if not packed or len(packed) > _MANY_BYTES_MAX:
            for record in records:
                self.append(record)
            return
        # One array was packed; without its header it is the records, one after the other.
        self._many[len(self._chunks)] = len(records)
        self._push(memoryview(packed)[1 if len(records) < 16 else 3 :])
        self._notes.acted(map(_ACTOR_OF, records))
        tells, note = self._tells, self._note
        for record in records:
            if record[5] or (record[4] is not None and record[4][0] in tells):
                note(record)
        self._latest = records[-1]
        self.last_number += len(records)

    def _note(self, record: Record) -> None:
        """Note for the index what a record mentions."""
        message, note_of = record[4], self._tells.get
        try:
            if message is not None and (note := note_of(message[0])):
                note(message)
            for event in record[5]:
                if note := note_of(event[0]):
                    note(event)
        except IndexError:
            self._odd.append(record)

    def who(self, text: str) -> int:
        """Bind a thread's or task's label to a number; the caller remembers it."""
        return self._bind("who", sanitise_text(text))

    def site(self, file: str, line: int, function: str) -> int:
        """Bind a line of the application to a number; the caller remembers it."""
        text = sanitise_text
        return self._bind("site", text(file), line, text(function))

    def class_(self, name: str, version: int, digest: str) -> int:
        """Bind an actor class to a number; the caller remembers it."""
        return self._bind("class", sanitise_text(name), version, digest)

    def _bind_kind(self, declared: Declared, number: int) -> None:
        text = sanitise_text
        names = list(map(text, declared.fields))
        row = ("kind", number, text(declared.name), declared.version, names)
        self._bindings.append(row)

    def _bind(self, sort: str, *values: str | int) -> int:
        number = self._bound[sort] = self._bound[sort] + 1
        self._bindings.append((sort, number, *values))
        return number

    def keyframes_from(self, source: Source, pace: Pace = USUAL) -> None:
        """Write keyframes from here on, in slices between batches.

        ``source`` is called inside ``seal``, so by whoever holds the baton.
        """
        self._keyframer = Keyframer(source, self._packer, pace)

    def keeps(self, kind: type) -> bool:
        """Tell whether the payload of a kind goes into the log as it is."""
        return self._options.payloads.get(kind.__name__, "full") == "full"

    def seal(self) -> Batch | None:
        """Take the pending records out, to be written; None when there are none."""
        if self._failure is not None:
            self._refuse()
        count = self.last_number - self._sealed
        if not count:
            return None
        keyframer = self._keyframer
        batch = Batch(
            self._sealed + 1,
            count,
            self._chunks,
            self._many,
            self._bindings,
            self.actors_next,
            self._notes.taken(),
            self._odd,
            self._latest[1],
            keyframer.slice(self.last_number, self._written_bytes) if keyframer else None,
        )
        self._begin_batch()
        return batch

    def _begin_batch(self) -> None:
        self._sealed = self.last_number
        self._chunks: list[bytes | memoryview] = []
        self._many: dict[int, int] = {}
        self._push = self._chunks.append
        self._bindings: list[BindingRow] = []
        self._odd: list[Record] = []
        self._latest = _NO_RECORD
        self._counted = (0, 0)

    # --- one at a time, in order -----------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Write a batch as durably as the log promises; it is acknowledged when this returns.

        Raises:
            LogFailedError: It could not be written; from now on nothing is.
            UsageError: It is not the batch that was sealed next.
        """
        if self._failure is not None:
            self._refuse()
        if batch.first != self._written + 1:
            raise UsageError(f"batch {batch.first} is not the next; {self._written + 1} is")
        try:
            self._write(batch)
            if self.durability == "disk":
                self.storage.sync(self._segment.segment)
                self._acknowledge()
                self._report()
        except BaseException as error:
            # Also for an interrupt: how much of the batch is out there is unknown.
            self._fail(error)
            with contextlib.suppress(OSError):
                # The next writer, and every reader, must not take for granted what may be nothing
                # but a page that the system shows and could not write.
                self._set_mark(has_failed=True)
            if isinstance(error, OSError):
                self._refuse()
            raise

    def _acknowledge(self) -> None:
        self._acknowledged = (self._segment.segment, self._segment.offset, self._written)

    def _report(self) -> None:
        """Tell followers how far the log is durable; what is synced is so, told or not."""
        with contextlib.suppress(OSError):
            self._set_mark(has_failed=False)

    def _set_mark(self, *, has_failed: bool) -> None:
        mark = Mark(self.epoch, *self._acknowledged, has_failed)
        self.storage.set_mark(mark.encode(), sync=has_failed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Copy what was written so far into a new directory, byte for byte.

        Raises:
            NotALogError, LogAccessError: There is something already, or it cannot be written.
            UsageError: There is a log already.
        """
        target = open_directory(path, for_writing=True)
        try:
            target.lock()
            if target.segments():
                raise UsageError(f"{path}: there is a log already; save to a new path")
            for segment in self.storage.segments():
                data = self.storage.read(segment, 0, self.storage.size(segment))
                target.create(segment, data, sync=self.durability == "disk")
        except OSError as error:
            raise LogAccessError(f"{path}: cannot be saved: {error.strerror}", path) from error
        finally:
            target.close()

    def close(self) -> None:
        """Write what is pending, seal the segment, and let go of the log; twice is nothing.

        Raises:
            LogFailedError: It could not be written.
        """
        if isinstance(self._failure, LogClosedError):
            return
        try:
            if self._failure is None:
                if (batch := self.seal()) is not None:
                    self.write(batch)
                self._close_segment()
        finally:
            self._fail(LogClosedError("the log was closed; open it again to write", self.path))
            self.storage.close()

    def _close_segment(self) -> None:
        """Seal what was written last; all of it is acknowledged, so a failure loses nothing."""
        if self._segment.index.is_empty:
            return
        try:
            self._seal_segment(self.actors_next)
        except OSError as error:
            self._fail(error)
            self._refuse()

    def _write(self, batch: Batch) -> None:
        self._known += batch.bindings
        prelude = pack((batch.actors_next, batch.bindings))
        body = b"".join((prelude, *batch.chunks))
        if len(body) <= _BODY_BYTES_AIM:
            self._write_batch(batch, batch.records, body, batch.bindings)
        else:
            bindings = batch.bindings
            for count, portion in _portions(batch):
                self._write_batch(batch, count, b"".join((prelude, *portion)), bindings)
                prelude, bindings = pack((batch.actors_next, ())), []
        if batch.keyframe is not None:
            self._write_keyframe(batch.keyframe)

    def _write_batch(
        self, batch: Batch, count: int, body: bytes, bindings: list[BindingRow]
    ) -> None:
        self._make_room(len(body) + OVERHEAD_BYTES, batch.actors_next)
        segment, first = self._segment, self._written + 1
        place = segment.append(BATCH, body, first, count)
        self._written += count
        self._written_bytes += place[1]
        found = segment.index.batch(place[0], first, count, batch.time_ns, bindings)
        found.take_noted(batch.noted)
        for record in batch.odd:
            message = record[4]
            found.take(self._roles.get, record[5] if message is None else (message, *record[5]))
        segment.index.end_batch(segment.offset)
        if self.durability != "disk":
            # Whole in the file, it is shown to whoever follows, and what was shown must stay.
            self._acknowledge()

    def _write_keyframe(self, part: Slice) -> None:
        offset, length = self._segment.append(KEYFRAME, part.body, self._written + 1)
        self._written_bytes += length
        place = KeyframePart(part.number, part.part, part.is_last, offset)
        self._segment.index.keyframe(place)

    def _make_room(self, length: int, actors_next: int) -> None:
        """Roll to a new segment when this one is full or old, unless it holds nothing yet."""
        segment = self._segment
        is_full = segment.offset + length > self._options.segment_bytes_max
        if segment.index.is_empty or not (is_full or self._is_old()):
            return
        self._seal_segment(actors_next)
        self._acknowledge()
        previous = Previous(segment.segment, segment.offset, self._written)
        self._begin_segment(segment.segment + 1, segment.chain, previous, actors_next)
        self._acknowledge()

    def _is_old(self) -> bool:
        age_ns_max = self._options.segment_age_ns_max
        if age_ns_max is None:
            return False
        # A clock that was set back makes a segment old too: nobody knows how old it is.
        return not 0 <= self._options.clock_ns() - self._begun_ns < age_ns_max

    def _seal_segment(self, actors_next: int) -> None:
        self._segment.seal(self._written, actors_next)
        if self.durability == "disk":
            self.storage.sync(self._segment.segment)

    def _begin_segment(
        self, segment: int, chain: bytes, previous: Previous | None, actors_next: int
    ) -> None:
        self._begun_ns = self._options.clock_ns()
        preamble = Preamble(
            log=self.log_id,
            segment=segment,
            epoch=self.epoch,
            first=self._written + 1,
            chain=chain,
            previous=previous,
            time_ns=self._begun_ns,
            salt=self._salt,
            durability=self.durability,
            actors_next=actors_next,
            writer=self._options.writer,
            bindings=self._known,
        )
        self._segment = SegmentWriter(self.storage, preamble, sync=self.durability == "disk")

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._pack = self._refuse

    def _refuse(self, record: object = None) -> NoReturn:  # noqa: ARG002 - it stands in for pack
        failure = self._failure
        if isinstance(failure, LogClosedError):
            raise failure
        where = self.path or "the log in memory"
        segment = self._segment
        message = f"{where}: writing segment {segment.segment} at byte {segment.offset} failed"
        advice = "nothing more is accepted; make room or repair, then open the log anew"
        raise LogFailedError(f"{message} ({failure}); {advice}", self.path) from failure


def _no_time() -> int:
    """This room has no clock of its own: time is handed in."""
    return 0


def _portions(batch: Batch) -> Iterator[tuple[int, list[bytes | memoryview]]]:
    """A batch longer than is good for readers' memory, as several with their counts."""
    portion: list[bytes | memoryview] = []
    size, records = 0, 0
    for place, chunk in enumerate(batch.chunks):
        data = chunk if isinstance(chunk, memoryview) else limit(chunk)
        if portion and size + len(data) > _BODY_BYTES_AIM:
            yield records, portion
            portion, size, records = [], 0, 0
        portion.append(data)
        size += len(data)
        records += batch.many.get(place, 1)
    yield records, portion
