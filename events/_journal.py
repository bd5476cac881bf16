"""The writer's side of a log: append, seal, write.

``append`` and ``seal`` belong to whoever holds the runtime's baton and never touch the medium;
``write`` may run elsewhere, one at a time and in order, and is all that can fail.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, NoReturn

from ._codec import Record, binding_rows, limit, pack_with_opaques, sanitise_text, substitute
from ._errors import (
    LogAccessError,
    LogClosedError,
    LogDamagedError,
    LogFailedError,
    NotALogError,
    UsageError,
)
from ._frame import OVERHEAD_BYTES, RECORD_BYTES_MIN, encode, seed_of
from ._msgpack import CANNOT_PACK, Pack, pack, packer
from ._recovery import End, find_end
from ._segment import (
    BindingRow,
    Opening,
    Preamble,
    Previous,
    Window,
    encode_preamble,
    read_preamble,
)
from ._storage import MemoryStorage, Storage, open_directory
from ._vocabulary import KINDS

DURABILITIES = ("memory", "os", "disk")
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
_BODY_BYTES_AIM = 16 * 1024 * 1024


class Batch(NamedTuple):
    """Records taken out of the writer, to be written together."""

    first: int
    records: list[bytes]
    bindings: list[BindingRow]
    actors_next: int


class _Start(NamedTuple):
    """What an opened log goes on from."""

    log_id: bytes
    segment: int
    epoch: int
    end: End
    previous: Previous | None


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
            writer: Names and versions to note in every segment, for people.
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
            return LogWriter(
                place,
                durability=durability,
                entropy=entropy,
                clock_ns=clock_ns or _no_time,
                segment_bytes_max=segment_bytes_max,
                writer=dict(writer or {}),
            )
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
        kind_ids: The wire's number for every kind of the vocabulary.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        durability: str,
        entropy: Callable[[int], bytes],
        clock_ns: Callable[[], int],
        segment_bytes_max: int,
        writer: dict[str, str],
    ) -> None:
        """Take the lock, find the end, begin a segment."""
        self.storage = storage
        self.path = storage.path
        self.durability = durability
        storage.lock()
        start = _find_start(storage, entropy)
        self.log_id = start.log_id
        self.epoch = start.epoch
        self.actors_next = start.end.actors_next
        self.last_number = start.end.last
        self.kind_ids: dict[type, int] = {kind: n for n, kind in enumerate(KINDS, 1)}
        self._records: list[bytes] = []
        self._push = self._records.append
        self._counted = (0, 0)
        self._bindings: list[BindingRow] = []
        self._bound: dict[str, int] = {"who": 0, "site": 0, "class": 0}
        self._packer = packer(substitute)
        self._pack: Pack = self._packer
        self._failure: BaseException | None = None
        # What follows belongs to ``write``.
        self._written = start.end.last
        self._known: list[BindingRow] = list(binding_rows())
        self._clock_ns = clock_ns
        self._segment_bytes_max = segment_bytes_max
        self._writer = writer
        self._salt = int.from_bytes(entropy(4), "big")
        self._chain = start.end.chain
        self._segment = start.segment
        self._offset = 0
        self._begin_segment(start.previous, start.end.actors_next)

    # --- under the baton -----------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many records wait to be sealed."""
        return len(self._records)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of records wait to be sealed; counted when asked, only what is new."""
        count, size = self._counted
        size += sum(map(len, self._records[count:]))
        self._counted = (len(self._records), size)
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
        self.last_number = number = self.last_number + 1
        return number

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

    def _bind(self, sort: str, *values: str | int) -> int:
        number = self._bound[sort] = self._bound[sort] + 1
        self._bindings.append((sort, number, *values))
        return number

    def seal(self) -> Batch | None:
        """Take the pending records out, to be written; None when there are none."""
        if self._failure is not None:
            self._refuse()
        records = self._records
        if not records:
            return None
        first = self.last_number - len(records) + 1
        batch = Batch(first, records, self._bindings, self.actors_next)
        self._records, self._bindings, self._counted = [], [], (0, 0)
        self._push = self._records.append
        return batch

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
                self.storage.sync(self._segment)
        except BaseException as error:
            # Also for an interrupt: how much of the batch is out there is unknown.
            self._fail(error)
            if isinstance(error, OSError):
                self._refuse()
            raise

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
        """Write what is pending and let go of the log; closing twice is nothing."""
        if isinstance(self._failure, LogClosedError):
            return
        try:
            if self._failure is None and (batch := self.seal()) is not None:
                self.write(batch)
        finally:
            self._fail(LogClosedError("the log was closed; open it again to write", self.path))
            self.storage.close()

    def _write(self, batch: Batch) -> None:
        self._known += batch.bindings
        prelude = pack((batch.actors_next, batch.bindings))
        body = b"".join((prelude, *batch.records))
        if len(body) <= _BODY_BYTES_AIM:
            self._write_frame(batch.actors_next, batch.first, len(batch.records), body)
            return
        for records in _portions(batch.records):
            body = b"".join((prelude, *records))
            self._write_frame(batch.actors_next, self._written + 1, len(records), body)
            prelude = pack((batch.actors_next, ()))

    def _write_frame(self, actors_next: int, first: int, count: int, body: bytes) -> None:
        self._make_room(len(body) + OVERHEAD_BYTES, actors_next)
        header = (self.epoch, first, count)
        seed = seed_of(self._segment, self._offset, self._salt)
        data, chain = encode(header, body, seed, self._chain)
        self.storage.append(self._segment, self._offset, data)
        self._chain = chain
        self._offset += len(data)
        self._written += count

    def _make_room(self, length: int, actors_next: int) -> None:
        """Roll to a new segment when this one would grow too long, unless it holds no batch yet."""
        if self._offset + length <= self._segment_bytes_max or self._offset == self._begun:
            return
        if self.durability == "disk":
            self.storage.sync(self._segment)
        previous = Previous(self._segment, self._offset, self._written)
        self._segment += 1
        self._begin_segment(previous, actors_next)

    def _begin_segment(self, previous: Previous | None, actors_next: int) -> None:
        preamble = Preamble(
            log=self.log_id,
            segment=self._segment,
            epoch=self.epoch,
            first=self._written + 1,
            chain=self._chain,
            previous=previous,
            time_ns=self._clock_ns(),
            salt=self._salt,
            durability=self.durability,
            actors_next=actors_next,
            writer=self._writer,
            bindings=self._known,
        )
        data, self._chain = encode_preamble(preamble)
        self.storage.create(self._segment, data, sync=self.durability == "disk")
        self._offset = self._begun = len(data)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._pack = self._refuse

    def _refuse(self, record: object = None) -> NoReturn:  # noqa: ARG002 - it stands in for pack
        failure = self._failure
        if isinstance(failure, LogClosedError):
            raise failure
        where = self.path or "the log in memory"
        message = f"{where}: writing segment {self._segment} at byte {self._offset} failed"
        advice = "nothing more is accepted; make room or repair, then open the log anew"
        raise LogFailedError(f"{message} ({failure}); {advice}", self.path) from failure


def _no_time() -> int:
    """This room has no clock of its own: time is handed in."""
    return 0


def _portions(records: list[bytes]) -> Iterator[list[bytes]]:
    """A batch longer than is good for readers' memory, as several."""
    portion: list[bytes] = []
    size = 0
    for record in map(limit, records):
        if portion and size + len(record) > _BODY_BYTES_AIM:
            yield portion
            portion, size = [], 0
        portion.append(record)
        size += len(record)
    yield portion


def _find_start(storage: Storage, entropy: Callable[[int], bytes]) -> _Start:
    """Find what to go on from: the last segment that can be opened, and what may be behind it."""
    segments = storage.segments()
    skipped, foreign = 0, 0
    for segment in reversed(segments):
        window = Window(storage, segment)
        opening = read_preamble(window)
        if isinstance(opening, Opening) and opening.preamble.segment == segment:
            return _continue(window, opening, segments[-1], skipped)
        if opening == "foreign":
            foreign += 1
        elif opening != "short":
            skipped += window.size()
    if segments and foreign == len(segments):
        message = f"{storage.path}: the segments here are not a log's; name another path"
        raise NotALogError(message, storage.path)
    if skipped:
        message = f"{storage.path}: no segment says which log this is, so it cannot be continued; "
        raise LogDamagedError(message + "begin a new log beside it", storage.path)
    end = End(0, 0, bytes(32), 1)
    segment = segments[-1] if segments else 0
    return _Start(entropy(16), segment + 1, 1, end, None)


def _continue(window: Window, opening: Opening, newest: int, skipped: int) -> _Start:
    end = find_end(window, opening)
    previous = Previous(opening.preamble.segment, end.end, end.last)
    if skipped:
        lost = skipped // RECORD_BYTES_MIN
        end = end._replace(last=end.last + lost, actors_next=end.actors_next + skipped)
    epoch = opening.preamble.epoch + 1 + newest - opening.preamble.segment
    return _Start(opening.preamble.log, newest + 1, epoch, end, previous)
