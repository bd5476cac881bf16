"""The reader's side of a log: turns in order, and what damage there is."""

import os
from collections.abc import Iterator
from itertools import chain as chained

from ._codec import Bindings, Epochs, decode_turn
from ._errors import LogAccessError, LogDamagedError, NotALogError
from ._index import read_directory
from ._info import Head, LogInfo, Survey
from ._journal import LogWriter
from ._keyframe import Entry, Keyframe, Part
from ._lookup import LogLookup
from ._packing import Record
from ._recovery import SEGMENT_ROWS
from ._restore import entries_of, first_keyframe, last_keyframe, parts_of
from ._scan import ReadBatch, Scan
from ._segment import FORMAT, OPENING_BYTES, Opening, Preamble, Window, read_preamble
from ._selection import Selection
from ._storage import Storage, open_directory
from ._turn import Damage, Turn
from ._upcast import UPCASTERS, Upcasters

POLL_S = 0.05
"""How long a follower waits at most before it looks again."""

_EVERYTHING = Selection()


class LogReader:
    """A log as its turns, in order; made by ``read``.

    Iterating yields every whole turn, also behind damage.  Each iteration begins anew, and
    ``damage`` tells what the last one met.

    Attributes:
        path: Where the log is; None in memory.
        log_id: Its id; 16 zero bytes when damage took it.
        damage: What the last iteration met that is not whole.
        head: The chain's head where the last iteration stands.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        selection: Selection = _EVERYTHING,
        verify_chain: bool = False,
        strict: bool = False,
        owned: bool = False,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        """Find out which log this is; no batch is read yet."""
        self.path = storage.path
        self.damage: list[Damage] = []
        self.head = bytes(32)
        self._storage = storage
        self._selection = selection
        self._verify_chain = verify_chain
        self._strict = strict
        self._owned = owned
        self._bindings = Epochs(upcasters)
        self.log_id = self._identify()

    @property
    def segments(self) -> list[int]:
        """The numbers of the segments there are now."""
        return self._storage.segments()

    @property
    def epochs(self) -> list[int]:
        """The writers' lives, as far as segments can be opened."""
        return sorted({each.epoch for each in self._preambles()})

    def __iter__(self) -> Iterator[Turn]:
        """Every whole turn from ``start`` on."""
        for batch in self.batches():
            yield from self._turns_of(batch)

    def _turns_of(self, batch: ReadBatch) -> Iterator[Turn]:
        epoch, bindings = batch.epoch, batch.bindings
        for number, record in zip(batch.numbers, batch.records, strict=True):
            try:
                turn = decode_turn(number, epoch, record, bindings)
            except (TypeError, ValueError, IndexError, KeyError):
                self.report_undecodable(batch, number)
                continue
            yield turn

    def follow(self, idle_s: float | None = None) -> Iterator[Turn]:
        """Every wanted turn, and then each further one as it becomes durable, for ever.

        What is shown stays: at durability ``disk`` only what was synced, else whole batches.
        Writers may crash and others go on.  Between turns it waits for a hint of the operating
        system, and looks at most 20 times a second.

        Args:
            idle_s: End when nothing new has come for so long.
        """
        self.damage = []
        waited_s = 0.0
        for batch in Scan(self._storage, self.log_id, self._bindings, self._report).follow(
            self._selection
        ):
            if batch is not None:
                waited_s = 0.0
                self.head = batch.chain
                yield from self._turns_of(batch)
            elif idle_s is not None and waited_s >= idle_s:
                return
            elif not self._storage.wait(POLL_S):
                waited_s += POLL_S

    def heads(self) -> Iterator[Head]:
        """Every head that the chain had, in order; the chain is verified on the way.

        One that was noted elsewhere and comes again says that all before it is what it was then.
        """
        self.damage = []
        passed: list[Head] = []

        def take(number: int, chain: bytes) -> None:
            is_proven = not any(damage.is_rot for damage in self.damage)
            passed.append(Head(number, chain, is_proven))

        scan = Scan(self._storage, self.log_id, self._bindings, self._report, passed=take)
        for _ in scan.run(_EVERYTHING, verify_chain=True):
            yield from passed
            passed.clear()
        yield from passed

    def select(
        self,
        *,
        start: int = 1,
        since_ns: int | None = None,
        actor: int | None = None,
        about: int | None = None,
    ) -> "LogReader":
        """The same log, read for itself from a place or for one number, as ``read`` says it."""
        made = LogReader(
            self._storage,
            selection=Selection(start, since_ns, actor, about),
            strict=self._strict,
        )
        made._bindings = self._bindings  # what one learns, the other knows
        return made

    def keyframe(self, behind: int | None = None) -> Keyframe | None:
        """The newest complete keyframe; None when there is none.

        Args:
            behind: Instead the oldest that shows the state behind this turn, or a later one.
        """
        if behind is None:
            return last_keyframe(self._storage)
        return first_keyframe(self._storage, behind)

    def parts(self) -> Iterator[tuple[Keyframe, Part]]:
        """Every part of every complete keyframe in order, looked for as one is asked for."""
        return parts_of(self._storage)

    def entries(self, keyframe: Keyframe) -> Iterator[tuple[int, Entry]]:
        """The entries of a keyframe, each with the number of the turn whose state it shows.

        Raises:
            LogDamagedError: A part was damaged or removed since the keyframe was found.
        """
        return entries_of(self._storage, keyframe)

    def lookup(self) -> LogLookup:
        """Random access to the whole log, whatever part of it this reader was asked for."""
        return LogLookup(self._storage, self.log_id, self._bindings)

    def raw(self) -> Iterator[tuple[int, Record]]:
        """Every record as it is on the wire, with its number; nothing is looked up."""
        # In C from here to the caller: a generator would cost as much as the decoding.
        return chained.from_iterable(zip(b.numbers, b.records, strict=True) for b in self.batches())

    def batches(self) -> Iterator[ReadBatch]:
        """Every batch, its records as they are on the wire: the fast scan."""
        self.damage = []
        if any(self.log_id) and not self._storage.segments():
            # It was opened with some: to call it empty would be an answer.
            raise NotALogError(f"{self.path}: the log's segments were removed", self.path)
        scan = Scan(self._storage, self.log_id, self._bindings, self._report)
        return self._follow(scan)

    def bindings(self, epoch: int) -> Bindings:
        """What small numbers stand for in an epoch, as far as it was read."""
        return self._bindings[epoch]

    def class_name(self, epoch: int, number: int) -> str | None:
        """The name of the class that ``Born.cls`` or ``Start.cls`` names; None when unknown."""
        bound = self.bindings(epoch).classes.get(number)
        return None if bound is None else bound.name

    def actors_before(self, turn: Turn) -> int:
        """The lowest actor number not taken before the first turn of an epoch; 0 if unknown."""
        for each in self._preambles():
            if (each.epoch, each.first) == (turn.epoch, turn.number):
                return each.actors_next
        return 0

    def writer_of(self, epoch: int) -> dict[str, str]:
        """What an epoch's writer says of itself; empty when its segments are gone."""
        for each in self._preambles():
            if each.epoch == epoch:
                return each.writer
        return {}

    def epoch_of(self, number: int) -> int:
        """The writer's life that this record is of, as far as segments can be opened; 0 if none."""
        begun = [each.epoch for each in self._preambles() if each.first <= number]
        return max(begun, default=0)

    def is_closed(self, epoch: int) -> bool:
        """Whether an epoch's writer closed its log: its last segment is sealed."""
        last, sealed = 0, False
        for number in self.segments:
            found = self._open(number)
            if isinstance(found, Opening) and found.preamble.epoch == epoch and number > last:
                last, sealed = number, self._is_sealed(number, found)
        return sealed

    def _preambles(self) -> Iterator[Preamble]:
        """What segments say of themselves, in order, as far as they can be opened."""
        for number in self.segments:
            if isinstance(found := self._open(number), Opening):
                yield found.preamble

    def info(self) -> LogInfo:
        """Read the whole log once and describe it; no record is decoded into a turn."""
        survey = Survey().run(self.batches())
        openings = {number: self._open(number) for number in self.segments}
        segments = [
            survey.segment(
                number, _epoch_of(found), self._size(number), sealed=self._is_sealed(number, found)
            )
            for number, found in openings.items()
        ]
        first, last, first_time_ns, last_time_ns = survey.span()
        return LogInfo(
            path=self.path,
            log_id=self.log_id,
            format=FORMAT,
            epochs=tuple(sorted({info.epoch for info in segments if info.epoch})),
            segments=tuple(segments),
            first=first,
            last=last,
            first_time_ns=first_time_ns,
            last_time_ns=last_time_ns,
            records=survey.records,
            batches=survey.batches,
            chain=self.head,
            damage=tuple(self.damage),
        )

    def close(self) -> None:
        """Let go of the file that is open; reading again opens it again."""
        if self._owned:
            self._storage.close()

    def _identify(self) -> bytes:
        openings = map(self._open, self.segments)
        sights: set[str] = set()
        for found in openings:
            if isinstance(found, Opening):
                return found.preamble.log
            sights.add(found)
        if sights == {"foreign"}:
            raise NotALogError(f"{self.path}: the segments here are not a log's", self.path)
        return bytes(16)

    def _open(self, segment: int) -> Opening | str:
        try:
            return read_preamble(Window(self._storage, segment, chunk_bytes=OPENING_BYTES))
        except OSError:
            return "unreadable"

    def _is_sealed(self, segment: int, found: Opening | str) -> bool:
        if not isinstance(found, Opening):
            return False
        try:
            window = Window(self._storage, segment, chunk_bytes=1)
            return read_directory(window, found.preamble.salt) is not None
        except OSError:
            return False

    def _size(self, segment: int) -> int:
        try:
            return self._storage.size(segment)
        except OSError:
            return 0

    def _follow(self, scan: Scan) -> Iterator[ReadBatch]:
        for batch in scan.run(self._selection, verify_chain=self._verify_chain):
            self.head = batch.chain
            yield batch
        self.head = scan.head

    def report_undecodable(self, batch: ReadBatch, number: int) -> None:
        """Note as damage that a record of ``batches`` is not shaped like a turn."""
        text = SEGMENT_ROWS["undecodable"]
        place = (batch.segment, batch.offset, batch.length)
        self._report(Damage("undecodable", *place, number, number, text))

    def _report(self, damage: Damage) -> None:
        self.damage.append(damage)
        if self._strict and damage.is_rot:
            where = f"{self.path}: segment {damage.segment} at byte {damage.offset}"
            raise LogDamagedError(f"{where}: {damage.text} ({damage.row})", self.path, damage)


def read(  # noqa: PLR0913 - every one is a way to say what is wanted
    source: str | os.PathLike[str] | LogWriter | Storage,
    *,
    start: int = 1,
    since_ns: int | None = None,
    actor: int | None = None,
    about: int | None = None,
    verify_chain: bool = False,
    strict: bool = False,
    upcasters: Upcasters = UPCASTERS,
) -> LogReader:
    """Read a log, also while it is written and also from another process.

    Args:
        source: The log's directory, a writer in this process, or a storage.
        start: The first record's number to yield.
        since_ns: Begin where a batch first ends so late; the number is the authority, so records
            behind it are yielded whatever their time.
        actor: Only what this actor took.
        about: Only what this number took, or what mentions it: an actor, request, call or cancel.
            Of a sealed segment only what its index points to is read, and so verified.
        verify_chain: Verify the chain of hashes too, not only checksums.
        strict: Raise ``LogDamagedError`` at rot instead of going on behind it.
        upcasters: (kind name, version) to what turns that version's fields into the next one's.

    Raises:
        NotALogError: There is no log.
        LogFormatError: A later version wrote it.
        LogAccessError: The operating system refuses.
    """
    if isinstance(source, LogWriter):
        # A directory is opened anew: closing the reader must not take the writer's lock away.
        source = source.storage if source.path is None else source.path
    storage: Storage
    if owned := isinstance(source, str | os.PathLike):
        storage = open_directory(source, for_writing=False)
    else:
        storage = source
    try:
        return LogReader(
            storage,
            selection=Selection(start, since_ns, actor, about),
            verify_chain=verify_chain,
            strict=strict,
            owned=owned,
            upcasters=upcasters,
        )
    except OSError as error:
        message = f"{storage.path}: cannot be read: {error.strerror}"
        raise LogAccessError(message, storage.path) from error


def _epoch_of(found: Opening | str) -> int:
    return found.preamble.epoch if isinstance(found, Opening) else 0
