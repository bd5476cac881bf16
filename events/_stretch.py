"""From a log's segments to shelves: which numbers stand where, and the one walk that tells.

A *stretch* is a segment that says where it begins, and those behind it that do not say or are gone.
Nearly always it is one segment.
"""

from collections.abc import Callable
from typing import NamedTuple

from ._codec import Bindings, Epochs
from ._index import Directory, read_directory
from ._scan import ReadBatch, Scan
from ._segment import OPENING_BYTES, Frame, Opening, Window, read_preamble
from ._selection import Selection, Sieve
from ._shelf import Block, Pages, Sealed, Shelf, Walked
from ._storage import Storage
from ._turn import Damage


class Stretch(NamedTuple):
    """Segments that are read together: ``first`` is the number that the first of them begins with.

    Attributes:
        first: The first number; 0 when nothing says it.
        segments: Their numbers.
    """

    first: int
    segments: tuple[int, ...]

    @property
    def last_segment(self) -> int:
        """The last of them."""
        return self.segments[-1]


def open_segment(storage: Storage, log_id: bytes, segment: int) -> Opening | None:
    """The opening of a segment; None where it has none, or belongs to another place or log.

    Raises:
        FileNotFoundError: It is gone.
    """
    try:
        found = read_preamble(Window(storage, segment, chunk_bytes=OPENING_BYTES))
    except FileNotFoundError:
        raise
    except OSError:
        return None
    if not isinstance(found, Opening) or found.preamble.log != log_id:
        return None
    return found if found.preamble.segment == segment else None


def outline(storage: Storage, log_id: bytes, known: Callable[[int], int | None]) -> list[Stretch]:
    """The log's stretches, ascending; ``known`` tells with which number a segment begins.

    A segment that is removed meanwhile is left out.
    """
    stretches: list[Stretch] = []
    for segment in storage.segments():
        first = _first_of(storage, log_id, segment, known)
        if first is None:
            continue
        if stretches and (not first or first < stretches[-1].first):
            # It does not say, or says that it belongs before what stands before it.
            before = stretches[-1]
            stretches[-1] = before._replace(segments=(*before.segments, segment))
        else:
            stretches.append(Stretch(first, (segment,)))
    return stretches


def _first_of(
    storage: Storage, log_id: bytes, segment: int, known: Callable[[int], int | None]
) -> int | None:
    """The number that a segment begins with; 0 when it does not say, None when it is gone."""
    if (first := known(segment)) is not None:
        return first
    try:
        opening = open_segment(storage, log_id, segment)
    except FileNotFoundError:
        return None
    return 0 if opening is None else opening.preamble.first


def sealed(
    storage: Storage, log_id: bytes, stretch: Stretch, behind: Stretch | None, pages: Pages
) -> Sealed | None:
    """The shelf of a stretch that is one segment with a whole index, and lost nothing.

    None where a walk must tell.

    Raises:
        FileNotFoundError: The segment is gone.
    """
    segment = stretch.last_segment
    opening = open_segment(storage, log_id, segment)
    if len(stretch.segments) > 1 or opening is None:
        return None
    window = Window(storage, segment, chunk_bytes=1)
    try:
        directory = read_directory(window, opening.preamble.salt)
    except FileNotFoundError:
        raise
    except OSError:
        return None
    if directory is None or not _is_dense(directory, opening.preamble.first, segment, behind):
        return None
    return Sealed(window, opening, directory, pages)


def _is_dense(directory: Directory, first: int, segment: int, behind: Stretch | None) -> bool:
    """Whether no number is lost in a segment, and none between it and the next."""
    if directory.records != directory.last + 1 - first or (segment == 1 and first != 1):
        return False
    if sorted(directory.group_first) != list(directory.group_first):
        return False
    return behind is None or (behind.segments[0], behind.first) == (segment + 1, directory.last + 1)


class Walk(Scan):
    """One walk over a stretch, which goes on where it ended once the log has grown."""

    def __init__(
        self,
        storage: Storage,
        log_id: bytes,
        bindings: Epochs,
        report: Callable[[Damage], None],
        stretch: Stretch,
    ) -> None:
        """Prepare; nothing is read yet."""
        super().__init__(storage, log_id, bindings, report)
        self.stretch = stretch
        self.shelves: list[Walked] = []
        self._left = list(stretch.segments)
        self._mentions = Sieve(Selection())
        self._before = stretch.segments[0] - 1
        # The first segment of a log begins it; any other has already said where it begins.
        self._expected = stretch.first or None if self._before else 1

    def go_on(self, behind: Stretch | None) -> list[Damage]:
        """Read what was not read yet.

        Args:
            behind: What comes behind the stretch, and so tells what is lost at its end.

        Returns:
            What stands at the log's present end and may only be a write under way.

        Raises:
            FileNotFoundError: A segment is gone.
        """
        while self._left:
            segment = self._left[0]
            following = self._following(segment)
            for batch in self._read(segment, following):
                self._take(batch)
            if self.shelves:
                self.shelves[-1].settle()
            if segment not in self._storage.segments():
                raise FileNotFoundError(segment)
            if following is None:
                break
            self._leave(segment)
            del self._left[0]
        if behind is None:
            return self._ending()
        self._expect_segment(behind.segments[0])
        self._arrive(behind.first, behind.segments[0], 0)
        return []

    def _take(self, batch: ReadBatch) -> None:
        assert self.opening is not None
        if not self.shelves or self.shelves[-1].segment != batch.segment:
            self.shelves.append(Walked(batch.segment, self.opening))
        found = self.shelves[-1].take(batch)
        self._mentions.mentions(batch.records, batch.epoch, batch.bindings, found)

    def _ending(self) -> list[Damage]:
        """What this walk would report if the log ended here; it goes on as if nobody had asked."""
        found: list[Damage] = []
        kept = self._report, [*self._waiting], self._expected, self._head_known
        self._report = found.append
        if self._tail is not None:
            self._take_flaw(*self._tail, promised=False)
        self._tell_waiting(None)
        self._report, self._waiting, self._expected, self._head_known = kept
        return found


class Load(Scan):
    """Reads one group; its batches are verified where they stand, and decoded by who wants them."""

    def load(self, shelf: Shelf, group: int) -> list[Block]:
        """The blocks of a group that verify."""
        self._blocks: list[Block] = []
        place = shelf.place(group)
        window = Window(self._storage, shelf.segment, chunk_bytes=place.end - place.offset)
        for _ in self._walk_group(window, shelf.opening, place):
            pass
        return self._blocks

    def _decode(self, frame: Frame, segment: int, bindings: Bindings) -> None:  # noqa: ARG002
        header = frame.header
        self._blocks.append(
            Block(
                segment,
                frame.offset,
                header.block_bytes,
                header.epoch,
                header.first,
                header.records,
                frame.chain,
                bytes(frame.body),
            )
        )
