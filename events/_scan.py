"""One pass over a log: batches in order, also behind damage, and an exact account of losses."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ._codec import Bindings, Epochs
from ._frame import BATCH, GAP, KEYFRAME, SEAL
from ._index import Directory, GroupPlace, IndexBuilder, all_pairs, preamble_copy, read_directory
from ._keyframe import decode_part
from ._mark import decode_mark
from ._packing import Record
from ._recovery import classify, classify_preamble, disowns, gap_end, text_of
from ._segment import (
    OPENING_BYTES,
    BindingRow,
    Flaw,
    Frame,
    Opening,
    Window,
    read_preamble,
    walk,
)
from ._selection import Selection, Sieve
from ._storage import Storage
from ._turn import Damage


@dataclass(slots=True)
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
        numbers: The wanted records' numbers.
        records: The wanted records as they are on the wire, without those that did not decode.
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

_LOOKUP_BYTES = 300 * 1024
"""What is read at once where an index points: a group, and little more."""


class Scan:
    """One pass over a log's segments.

    Numbers are accounted for in one place: ``_expected`` is the number that must come next, and
    damage whose extent in numbers is not known waits in ``_waiting`` until a number behind it
    tells.  What an index lets the pass leave out counts as there.
    """

    def __init__(  # noqa: PLR0913 - what a pass tells beside batches, it tells to callbacks
        self,
        storage: Storage,
        log_id: bytes,
        bindings: Epochs,
        report: Callable[[Damage], None],
        *,
        opening: Callable[[Window], Opening | str] = read_preamble,
        keyframe: Callable[[int, Frame], None] | None = None,
        passed: Callable[[int, bytes], None] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        ``opening`` reads a segment's preamble; ``keyframe`` is told each part of a keyframe, with
        its segment, between the batches where it stands; ``passed`` each head of the chain, behind
        the last number before it.
        """
        self._read_opening = opening
        self._keyframe = keyframe
        self._passed = passed
        self.head = bytes(32)
        self.sealed: dict[int, Directory] = {}
        """The segments that end with an index, as far as they were met; complete after a pass."""
        self._storage = storage
        self._log_id = log_id
        self._bindings = bindings
        self._report = report
        self._sieve = Sieve(Selection())
        self._verify_chain = False
        self._only_durable = False
        self._head_known = False
        self._salt: int | None = None
        self._learned: tuple[int, list[BindingRow]] | None = None
        self._expected: int | None = None
        self._waiting: list[Damage] = []
        self._before = 0
        # The segment that is being read: whether it was entered, its preamble, how far we are,
        # and what stands at the log's present end, which may only be a write under way.
        self._entered = False
        self.opening: Opening | None = None
        """The segment that is being read; None where nothing in it can be."""
        self._offset = 0
        self._tail: tuple[int, Flaw] | None = None
        self._rebuilt: IndexBuilder | None = None

    def run(self, selection: Selection, *, verify_chain: bool) -> Iterator[ReadBatch]:
        """Every batch that holds a wanted record; a pass that verifies leaves nothing out."""
        self._sieve, self._verify_chain = Sieve(selection), verify_chain
        segment = self._choose_first(selection.start)
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

    def follow(self, selection: Selection) -> Iterator[ReadBatch | None]:
        """Every batch that is durable, for ever; None where there is nothing more just now."""
        self._sieve, self._only_durable = Sieve(selection), True
        segment: int | None = None
        while True:
            if segment is None:
                segment = self._choose_first(selection.start)
            following = None if segment is None else self._following(segment)
            if segment is not None and following is not None and not self._next_opening(segment):
                following = None  # just being made: it will say where this one ends
            if segment is not None:
                yield from self._read(segment, following)
            if segment is not None and following is not None:
                self._leave(segment)
                segment = following
            elif segment is None or not self._next_opening(segment):
                yield None

    # --- from segment to segment ---------------------------------------------------------------

    def _choose_first(self, start: int) -> int | None:
        segments = self._storage.segments()
        if not segments:
            return None
        index = 0
        if start > 1:
            ends = range(1, len(segments) + 1)
            found = bisect_left(ends, start, key=lambda end: self._first_number(segments[:end]))
            index = max(0, found - 1)
        # One that cannot be opened does not say where it begins: begin before it.
        while index and self._row_of(self._open(segments[index]), segments[index]):
            index -= 1
        chosen = segments[index]
        if chosen == segments[0] == 1:
            self._expected, self._head_known = 1, True
        self._before = chosen - 1
        return chosen

    def _first_number(self, segments: Sequence[int]) -> int:
        """The first number in the last of them, or in the nearest before that can be opened."""
        for number in reversed(segments):
            found = self._open(number)
            if isinstance(found, Opening) and not self._row_of(found, number):
                return found.preamble.first
        return 0

    def _following(self, segment: int) -> int | None:
        return next((number for number in self._storage.segments() if number > segment), None)

    def _leave(self, segment: int) -> None:
        self._before, self._entered, self.opening, self._offset = segment, False, None, 0

    def _open(self, segment: int) -> Opening | str:
        try:
            return self._read_opening(Window(self._storage, segment, chunk_bytes=OPENING_BYTES))
        except OSError:
            return "unreadable"

    def _enter(self, segment: int, following: int | None) -> None:
        """Read the preamble and judge it; ``opening`` stays None when nothing here can be read."""
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
        self._rebuilt = None
        self._expect_segment(segment)
        copy = self._copy_of_preamble(segment) if isinstance(found, str) else None
        if copy is not None:
            self._tell(row, segment, 0, copy.end)
            self._begin(segment, copy)
        elif row == "torn-preamble" and not self._promised(segment, following, 0):
            self._tell(row, segment, 0, self._size(segment))
        elif row == "torn-preamble":
            self._wait("rot-cut", segment, 0, self._size(segment))
        elif row:
            self._wait(row, segment, 0, self._size(segment))
        elif isinstance(found, Opening):
            self._begin(segment, found)

    def _copy_of_preamble(self, segment: int) -> Opening | None:
        """What a seal keeps of its segment's preamble, where the epoch's salt is known."""
        if self._salt is None:
            return None
        try:
            copy = preamble_copy(
                Window(self._storage, segment, chunk_bytes=OPENING_BYTES), self._salt
            )
        except OSError:
            return None
        return None if copy is None or self._row_of(copy, segment) else copy

    def _expect_segment(self, segment: int) -> None:
        if segment != self._before + 1:
            self._wait("missing-segment", self._before + 1, 0, 0)

    def _row_of(self, found: Opening | str, segment: int) -> str:
        if isinstance(found, str):
            return found if found == "unreadable" else classify_preamble(found)
        if found.preamble.log != self._log_id:
            return "other-log"
        return "" if found.preamble.segment == segment else "misplaced"

    def _begin(self, segment: int, opening: Opening) -> None:
        preamble = opening.preamble
        self._arrive(preamble.first, segment, 0)
        # A preamble that was made out from others says nothing of the chain.
        if self._head_known and preamble.chain and preamble.chain != self.head:
            self._tell("chain", segment, 0, opening.end)
        self._learn_opening(opening)
        self.opening, self._offset = opening, opening.end
        if self._passed is not None and preamble.chain:
            # The head before it stands in no block that is there, when older segments are gone.
            self._passed(preamble.first - 1, preamble.chain)
        self._move_head(opening.chain)
        if self._verify_chain and self._sieve.takes_all and self._sieve.start <= preamble.first:
            self._rebuilt = IndexBuilder()

    def _move_head(self, head: bytes) -> None:
        self.head, self._head_known = head, True
        if self._passed is not None and self._expected is not None:
            self._passed(self._expected - 1, head)

    def _learn_opening(self, opening: Opening) -> None:
        preamble = opening.preamble
        learned = (preamble.epoch, preamble.bindings)
        if learned != self._learned:
            # Mostly the next segment repeats what the one before said.
            self._bindings[preamble.epoch].learn(preamble.bindings)
            self._learned = learned
        self._salt = preamble.salt

    def _size(self, segment: int) -> int:
        try:
            return self._storage.size(segment)
        except OSError:
            return 0

    # --- in one segment ------------------------------------------------------------------------

    def _read(self, segment: int, following: int | None) -> Iterator[ReadBatch]:
        """Read on in a segment, from its beginning or from where the last look ended."""
        self._tail = None
        if not self._entered and self._may_leave_out():
            directory, groups = self._look_up(segment)
            if directory is not None and groups is not None:
                yield from self._read_groups(segment, directory, groups)
                return
        if not self._entered:
            self._enter(segment, following)
        if self.opening is None:
            return
        window = Window(self._storage, segment)
        try:
            yield from self._walk(window, self.opening, following)
        except OSError:
            self._wait("unreadable", segment, self._offset, self._size(segment) - self._offset)

    def _walk(self, window: Window, opening: Opening, following: int | None) -> Iterator[ReadBatch]:
        segment = window.segment
        limit = self._limit(segment, opening, following)
        for found in walk(window, opening.preamble, self._offset, self._chain_before()):
            if limit is not None and found.offset >= limit and not _is_torn(found):
                self._take_disowned(window, found.offset, following)
                return
            if isinstance(found, Frame):
                if (batch := self._take_frame(segment, found)) is not None:
                    yield batch
                self._offset = found.offset + found.header.block_bytes
            elif found.follows or following is not None:
                self._offset = found.offset + found.length
                promised = self._promised(segment, following, found.offset)
                self._take_flaw(segment, found, promised=promised)
            else:
                self._tail = (segment, found)

    def _limit(self, segment: int, opening: Opening, following: int | None) -> int | None:
        """Where what may be believed ends although more verifies; None where all may be."""
        behind = None if following is None else self._next_opening(segment)
        if behind is not None:
            return _end_named(behind, segment)
        mark = decode_mark(self._storage.mark())
        if mark is not None and disowns(mark, opening.preamble):
            return mark.end
        if self._only_durable and opening.preamble.durability == "disk":
            is_current = mark and (mark.epoch, mark.segment) == (opening.preamble.epoch, segment)
            return mark.end if mark is not None and is_current else opening.end
        return None

    def _take_disowned(self, window: Window, offset: int, following: int | None) -> None:
        """Something verifies behind what was acknowledged: a failed sync, or one under way."""
        if following is None and self._only_durable:
            return
        length = window.size() - offset
        self._offset = offset + length
        self._tell("torn-disowned", window.segment, offset, length)

    def _chain_before(self) -> bytes | None:
        if not self._verify_chain:
            return None
        return self.head if self._head_known else b""

    def _promised(self, segment: int, following: int | None, offset: int) -> bool:
        """Whether the next segment's writer found good data beyond a place."""
        behind = None if following is None else self._next_opening(segment)
        end = None if behind is None else _end_named(behind, segment)
        return end is not None and end > offset

    def _next_opening(self, segment: int) -> Opening | None:
        """The next segment that can be opened: its writer saw the end of this one."""
        for number in self._storage.segments():
            found = self._open(number) if number > segment else None
            if isinstance(found, Opening) and not self._row_of(found, number):
                return found
        return None

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
        # Numbers that were taken before are not lost here, and not expected again.
        first = max(flaw.first, self._expected or 0)
        lost = (first, flaw.last) if flaw.last >= first else (None, None)
        self._tell(label, segment, flaw.offset, flaw.length, *lost)
        self._expected = max(first, flaw.last + 1)

    def _take_frame(self, segment: int, frame: Frame) -> ReadBatch | None:
        header, size = frame.header, frame.header.block_bytes
        if self._expected is not None and header.first < self._expected:
            self._tell("repeated", segment, frame.offset, size)
            return None
        self._arrive(header.first, segment, frame.offset)
        self._expected = header.first + header.records
        if not frame.linked:
            self._tell("chain", segment, frame.offset, size)
        self._move_head(frame.chain)
        if header.sort == BATCH:
            return self._decode(frame, segment, self._bindings[header.epoch])
        self._take_other(segment, frame)
        return None

    def _take_other(self, segment: int, frame: Frame) -> None:
        """A block without records; a sort that a later version may have is passed over."""
        if frame.header.sort == GAP:
            self._take_gap(segment, frame)
        elif frame.header.sort == SEAL and self._rebuilt is not None and self.opening is not None:
            self._compare_index(segment, frame, self.opening, self._rebuilt)
        elif frame.header.sort == KEYFRAME:
            if decode_part(frame.body) is None:
                self._tell("undecodable", segment, frame.offset, frame.header.block_bytes)
            elif self._keyframe is not None:
                self._keyframe(segment, frame)

    def _take_gap(self, segment: int, frame: Frame) -> None:
        first, size = frame.header.first, frame.header.block_bytes
        last = gap_end(frame.body, first)
        if last is None:
            self._tell("undecodable", segment, frame.offset, size)
            return
        self._tell("lost", segment, frame.offset, size, first, last)
        self._expected = last + 1

    def _compare_index(
        self, segment: int, seal: Frame, opening: Opening, rebuilt: IndexBuilder
    ) -> None:
        """Whether the index has everything that the batches have: an omission would hide them."""
        window = Window(self._storage, segment)
        directory = read_directory(window, opening.preamble.salt)
        stored = None
        if directory is not None:
            self.sealed[segment] = directory
            stored = all_pairs(window, directory, opening.preamble.salt)
        numbers, groups = rebuilt.pairs()
        if stored is None or not stored.issuperset(zip(numbers, groups, strict=True)):
            self._tell("index", segment, seal.offset, seal.header.block_bytes)

    def _decode(self, frame: Frame, segment: int, bindings: Bindings) -> ReadBatch | None:
        header = frame.header
        body = self._sieve.body(frame.body, header, bindings)
        if body is None:
            self._tell_undecodable(frame, segment, header.first, header.first + header.records - 1)
            return None
        for first, last in body.broken:
            self._tell_undecodable(frame, segment, first, last)
        if self._rebuilt is not None:
            found = self._rebuilt.batch(frame.offset, header.first, header.records, 0, ())
            self._sieve.mentions(body.records, header.epoch, bindings, found)
            self._rebuilt.end_batch(frame.offset + header.block_bytes)
        if not body.records and not self._sieve.takes_all:
            return None
        place = (segment, frame.offset, header.block_bytes)
        return ReadBatch(
            *place,
            header.epoch,
            header.first,
            header.records,
            frame.chain,
            bindings,
            body.numbers,
            body.records,
        )

    # --- by the index ----------------------------------------------------------------------------

    def _may_leave_out(self) -> bool:
        """Whether it is worth asking an index: only a part is wanted, and nothing is proven."""
        if self._verify_chain:
            return False
        return not self._sieve.takes_all or self._sieve.start > (self._expected or 1)

    def _look_up(self, segment: int) -> tuple[Directory | None, Sequence[int] | None]:
        """A sealed segment's directory, and the groups to read; None where it must be walked."""
        window = Window(self._storage, segment, chunk_bytes=1)
        try:
            directory = None if self._salt is None else read_directory(window, self._salt)
            if directory is None:
                found = self._open(segment)
                if not isinstance(found, Opening) or self._row_of(found, segment):
                    return None, None
                self._learn_opening(found)
                directory = read_directory(window, found.preamble.salt)
            if directory is None or self._salt is None or not self._is_dense(directory):
                return None, None
            return directory, self._sieve.groups(window, directory, self._salt)
        except OSError:
            return None, None

    def _is_dense(self, directory: Directory) -> bool:
        """Whether no number is lost up to the segment's end; where one is, a walk tells which."""
        first = self._expected
        if first is None:
            first = next(iter(directory.group_first), directory.last + 1)
        return directory.records == directory.last + 1 - first

    def _read_groups(
        self, segment: int, directory: Directory, groups: Sequence[int]
    ) -> Iterator[ReadBatch]:
        self._expect_segment(segment)
        self._tell_waiting(directory.group_first[0] if directory.group_first else None)
        opening = self._open_for(segment) if groups else None
        if opening is not None:
            self._learn_opening(opening)
            self._bindings.setdefault(directory.epoch, Bindings()).learn(directory.bindings)
            yield from self._walk_groups(segment, opening, directory, groups)
        self._entered = True
        self._expected = directory.last + 1
        self.head, self._head_known = directory.chain, True

    def _open_for(self, segment: int) -> Opening | None:
        """The opening of a segment whose directory is whole."""
        found = self._open(segment)
        if isinstance(found, Opening):
            return found
        copy = self._copy_of_preamble(segment)
        size = self._size(segment) if copy is None else copy.end
        self._tell(self._row_of(found, segment), segment, 0, size)
        return copy

    def _walk_groups(
        self, segment: int, opening: Opening, directory: Directory, groups: Iterable[int]
    ) -> Iterator[ReadBatch]:
        window = Window(self._storage, segment, chunk_bytes=_LOOKUP_BYTES)
        for group in groups:
            yield from self._walk_group(window, opening, directory.place(group))

    def _walk_group(
        self, window: Window, opening: Opening, place: GroupPlace
    ) -> Iterator[ReadBatch]:
        self._expected, self._head_known = place.first, False
        for found in walk(window, opening.preamble, place.offset):
            if found.offset >= place.end:
                break
            behind = found.offset
            if isinstance(found, Flaw):
                self._take_flaw(window.segment, found, promised=True)
            else:
                behind += found.header.block_bytes
                if (batch := self._take_frame(window.segment, found)) is not None:
                    yield batch
            if behind >= place.end:
                break  # before the walk reads what stands behind
        # What comes next is known, so that what is lost here is told exactly.
        self._arrive(place.following, window.segment, place.end)

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
        size = frame.header.block_bytes
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


def _is_torn(found: Frame | Flaw) -> bool:
    """Whether the shape alone shows that this was never finished."""
    return isinstance(found, Flaw) and classify(found, promised=False).label.startswith("torn")


def _end_named(behind: Opening, segment: int) -> int | None:
    """Where a later segment's writer found the end of this one; None when it does not say."""
    previous = behind.preamble.previous
    return previous.end if previous is not None and previous.segment == segment else None
