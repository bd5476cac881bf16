"""One pass over a log: batches in order, also behind damage, and an exact account of losses."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ._codec import Bindings, Record, unpack_body, unpack_prelude
from ._recovery import classify, classify_preamble, text_of
from ._segment import Flaw, Frame, Opening, Window, read_preamble, walk
from ._storage import Storage
from ._turn import Damage


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """One batch as it was read: raw records, their numbers, and what their ids stand for.

    Attributes:
        segment: The segment's number.
        offset: Where the batch stands in it.
        length: How many bytes it has there.
        epoch: The writer's life.
        first: The number of its first record.
        count: How many records its header counts.
        chain: The chain's head behind it.
        bindings: What kind ids and the like stand for, as far as known here.
        numbers: The records' numbers.
        records: The records as they are on the wire, without those that did not decode.
    """

    segment: int
    offset: int
    length: int
    epoch: int
    first: int
    count: int
    chain: bytes
    bindings: Bindings
    numbers: Sequence[int]
    records: list[Record]


_SAYS_NOTHING_OF_LOSS = frozenset({"other-log", "misplaced", "missing-segment"})
"""At a log's end these alone do not show that records of this log are gone."""


class Scan:
    """One pass over a log's segments.

    Numbers are accounted for in one place: ``_expected`` is the number that must come next, and
    damage whose extent in numbers is not known waits in ``_waiting`` until a number behind it
    tells.
    """

    def __init__(
        self,
        storage: Storage,
        log_id: bytes,
        bindings: dict[int, Bindings],
        report: Callable[[Damage], None],
    ) -> None:
        """Prepare; nothing is read yet."""
        self.head = bytes(32)
        self._storage = storage
        self._log_id = log_id
        self._bindings = bindings
        self._report = report
        self._start = 1
        self._verify_chain = False
        self._head_known = False
        self._expected: int | None = None
        self._waiting: list[Damage] = []
        self._before = 0
        # The segment that is being read: whether it was entered, its preamble, how far we are,
        # and what stands at the log's present end, which may only be a write under way.
        self._entered = False
        self._opening: Opening | None = None
        self._offset = 0
        self._tail: tuple[int, Flaw] | None = None

    def run(self, start: int, *, verify_chain: bool) -> Iterator[ReadBatch]:
        """Every batch that holds a record from ``start`` on."""
        self._start, self._verify_chain = start, verify_chain
        segment = self._choose_first()
        while segment is not None:
            # Asked before the walk: what is then seen at the end of a segment that has a
            # follower is final, because a writer never returns to it.
            following = self._following(segment)
            yield from self._read(segment, following)
            if following is not None:
                self._leave(segment)
                segment = following
            elif self._following(segment) is None:
                break
        if self._tail is not None:
            self._take_flaw(*self._tail, promised=False)
        self._tell_waiting(None)

    # --- from segment to segment ---------------------------------------------------------------

    def _choose_first(self) -> int | None:
        segments = self._storage.segments()
        if not segments:
            return None
        index = 0
        if self._start > 1:
            index = max(0, bisect_left(segments, self._start, key=self._first_number) - 1)
        # One that cannot be opened does not say where it begins: begin before it.
        while index and self._row_of(self._open(segments[index]), segments[index]):
            index -= 1
        chosen = segments[index]
        if chosen == segments[0] == 1:
            self._expected, self._head_known = 1, True
        self._before = chosen - 1
        return chosen

    def _first_number(self, segment: int) -> int:
        """The first number in a segment, or in the nearest before it that can be opened."""
        for number in range(segment, 0, -1):
            found = self._open(number)
            if isinstance(found, Opening) and not self._row_of(found, number):
                return found.preamble.first
        return 0

    def _following(self, segment: int) -> int | None:
        return next((number for number in self._storage.segments() if number > segment), None)

    def _leave(self, segment: int) -> None:
        self._before, self._entered, self._opening, self._offset = segment, False, None, 0

    def _open(self, segment: int) -> Opening | str:
        try:
            return read_preamble(Window(self._storage, segment))
        except OSError:
            return "unreadable"

    def _enter(self, segment: int, following: int | None) -> None:
        """Read the preamble and judge it; ``_opening`` stays None when nothing here can be read."""
        found = self._open(segment)
        row = self._row_of(found, segment)
        if row == "torn-preamble" and following is None:
            # Perhaps it is just being made.  Not entered: whoever comes again looks again.
            self._tail = (
                segment,
                Flaw(0, self._size(segment), "short", "", follows=False, blank=False),
            )
            return
        self._entered = True
        if segment != self._before + 1:
            self._wait("missing-segment", self._before + 1, 0, 0)
        if row == "torn-preamble":
            self._tell(row, segment, 0, self._size(segment))
        elif row:
            self._wait(row, segment, 0, self._size(segment))
        elif isinstance(found, Opening):
            self._begin(segment, found)

    def _row_of(self, found: Opening | str, segment: int) -> str:
        if isinstance(found, str):
            return found if found == "unreadable" else classify_preamble(found)
        if found.preamble.log != self._log_id:
            return "other-log"
        return "" if found.preamble.segment == segment else "misplaced"

    def _begin(self, segment: int, opening: Opening) -> None:
        preamble = opening.preamble
        self._arrive(preamble.first, segment, 0)
        if self._head_known and preamble.chain != self.head:
            self._tell("chain", segment, 0, opening.end)
        self._bindings.setdefault(preamble.epoch, Bindings()).learn(preamble.bindings)
        self._opening, self._offset = opening, opening.end
        self.head, self._head_known = opening.chain, True

    def _size(self, segment: int) -> int:
        try:
            return self._storage.size(segment)
        except OSError:
            return 0

    # --- in one segment ------------------------------------------------------------------------

    def _read(self, segment: int, following: int | None) -> Iterator[ReadBatch]:
        """Read on in a segment, from its beginning or from where the last look ended."""
        self._tail = None
        if not self._entered:
            self._enter(segment, following)
        if self._opening is None:
            return
        preamble = self._opening.preamble
        window = Window(self._storage, segment)
        try:
            for found in walk(window, preamble, self._offset, self._chain_before()):
                if isinstance(found, Frame):
                    self._offset = found.offset + found.header.batch_bytes
                    if (batch := self._take_frame(segment, found)) is not None:
                        yield batch
                elif found.follows or following is not None:
                    self._offset = found.offset + found.length
                    self._take_flaw(
                        segment, found, promised=self._promised(segment, following, found)
                    )
                else:
                    self._tail = (segment, found)
        except OSError:
            self._wait("unreadable", segment, self._offset, self._size(segment) - self._offset)

    def _chain_before(self) -> bytes | None:
        if not self._verify_chain:
            return None
        return self.head if self._head_known else b""

    def _promised(self, segment: int, following: int | None, flaw: Flaw) -> bool:
        """Whether the next segment's writer found good data beyond the flaw."""
        found = "" if following is None else self._open(following)
        previous = found.preamble.previous if isinstance(found, Opening) else None
        return previous is not None and previous.segment == segment and previous.end > flaw.offset

    def _take_flaw(self, segment: int, flaw: Flaw, *, promised: bool) -> None:
        label = classify(flaw, promised=promised).label if flaw.offset else "torn-preamble"
        if label.startswith("torn"):
            self._tell(label, segment, flaw.offset, flaw.length)
            return
        self._head_known = False
        if flaw.first is None or flaw.last is None:
            self._wait(label, segment, flaw.offset, flaw.length)
            return
        self._arrive(flaw.first, segment, flaw.offset)
        self._tell(label, segment, flaw.offset, flaw.length, flaw.first, flaw.last)
        self._expected = flaw.last + 1

    def _take_frame(self, segment: int, frame: Frame) -> ReadBatch | None:
        header, size = frame.header, frame.header.batch_bytes
        if self._expected is not None and header.first < self._expected:
            self._tell("repeated", segment, frame.offset, size)
            return None
        self._arrive(header.first, segment, frame.offset)
        self._expected = header.first + header.records
        if not frame.linked:
            self._tell("chain", segment, frame.offset, size)
        self.head, self._head_known = frame.chain, True
        bindings = self._bindings[header.epoch]
        if self._expected <= self._start:
            self._learn(frame, segment, bindings)
            return None
        return self._decode(frame, segment, bindings)

    def _learn(self, frame: Frame, segment: int, bindings: Bindings) -> None:
        """Skip a batch before ``start``, but for what it binds."""
        prelude = unpack_prelude(frame.body)
        if prelude is None:
            self._tell_undecodable(frame, segment, frame.header.first, (self._expected or 1) - 1)
        else:
            bindings.learn(prelude[1])

    def _decode(self, frame: Frame, segment: int, bindings: Bindings) -> ReadBatch | None:
        header = frame.header
        body = unpack_body(frame.body, header.first, header.records)
        if body is None:
            self._tell_undecodable(frame, segment, header.first, header.first + header.records - 1)
            return None
        bindings.learn(body.bindings)
        for first, last in body.broken:
            self._tell_undecodable(frame, segment, first, last)
        numbers, records = body.numbers, body.records
        if self._start > header.first:
            skipped = bisect_left(numbers, self._start)
            numbers, records = numbers[skipped:], records[skipped:]
        place = (segment, frame.offset, header.batch_bytes)
        return ReadBatch(
            *place,
            header.epoch,
            header.first,
            header.records,
            frame.chain,
            bindings,
            numbers,
            records,
        )

    # --- numbers -------------------------------------------------------------------------------

    def _arrive(self, number: int, segment: int, offset: int) -> None:
        """A number is known to come here: whatever was expected before it is lost."""
        expected = self._expected
        if expected is not None and number > expected and not self._waiting:
            self._head_known = False
            self._tell("missing", segment, offset, 0, expected, number - 1)
        self._tell_waiting(number)
        self._expected = number if expected is None else max(number, expected)

    def _tell_waiting(self, number: int | None) -> None:
        """Report what waited; ``number`` is the next that is known, None at the log's end."""
        waiting, self._waiting = self._waiting, []
        for damage in waiting:
            first, last = self._expected, None
            if number is not None:
                last = number - 1
                if first is None or last < first:
                    first = last = None
            elif damage.row in _SAYS_NOTHING_OF_LOSS:
                first = None
            place = (damage.row, damage.segment, damage.offset, damage.length)
            self._report(Damage(*place, first, last, damage.text))

    def _wait(self, row: str, segment: int, offset: int, length: int) -> None:
        self._head_known = False
        self._waiting.append(Damage(row, segment, offset, length, None, None, text_of(row)))

    def _tell_undecodable(self, frame: Frame, segment: int, first: int, last: int) -> None:
        size = frame.header.batch_bytes
        self._tell("undecodable", segment, frame.offset, size, first, last)

    def _tell(
        self,
        row: str,
        segment: int,
        offset: int,
        length: int,
        first: int | None = None,
        last: int | None = None,
    ) -> None:
        self._report(Damage(row, segment, offset, length, first, last, text_of(row)))
