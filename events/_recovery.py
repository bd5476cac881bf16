"""What damage means: one table, in which exactly one row matches whatever was seen.

*Torn* is what was never finished; it loses nothing that was acknowledged.  *Rot* was whole once.
"""

from typing import NamedTuple

from ._codec import unpack_objects, unpack_prelude
from ._frame import BATCH, GAP, NUMBER_MAX
from ._index import read_directory
from ._mark import Mark
from ._segment import Flaw, Frame, Opening, Preamble, Window, records_lost_at_most, walk


class Row(NamedTuple):
    """One row; a cell that is empty or None matches everything.

    Attributes:
        label: The row's name in messages, tests and documents.
        header: ``good``, ``bad`` or ``short`` (the segment ends inside it).
        body: ``good`` never stands here; ``bad`` or ``short``.
        follows: Whether something stands behind in the same segment.
        blank: Whether the first or the last bytes there are zero, as unwritten blocks read.
        promised: Whether the next segment's writer found good data beyond this place.
        text: What it means, for people.
    """

    label: str
    header: str
    body: str
    follows: bool | None
    blank: bool | None
    promised: bool | None
    text: str


BATCH_ROWS: tuple[Row, ...] = (
    Row("torn-header", "short", "", None, None, False,
        "the log ends inside a batch's header: an unfinished write, or the file was cut"),
    Row("torn-body", "good", "short", None, None, False,
        "the log ends inside a batch: an unfinished write, or the file was cut"),
    Row("torn-blank", "bad", "", False, True, False,
        "the log ends in blocks that were never written"),
    Row("torn-blank", "good", "bad", False, True, False,
        "the log ends in blocks that were never written"),
    Row("rot-header", "bad", "", True, None, None,
        "no batch verifies here, but one behind it does"),
    Row("rot-body", "good", "bad", True, None, None,
        "a batch's header holds and its body does not"),
    Row("rot-body", "good", "bad", False, False, None,
        "a batch's header holds and its body does not"),
    Row("rot-body", "good", "bad", False, True, True,
        "a batch's header holds and its body does not"),
    Row("rot-tail", "bad", "", False, False, None,
        "no batch verifies from here to the segment's end"),
    Row("rot-tail", "bad", "", False, True, True,
        "no batch verifies from here to the segment's end"),
    Row("rot-cut", "short", "", None, None, True,
        "the segment was longer when its next one was begun"),
    Row("rot-cut", "good", "short", None, None, True,
        "the segment was longer when its next one was begun"),
)  # fmt: skip

SEGMENT_ROWS: dict[str, str] = {
    "torn-preamble": "the segment ends inside its preamble: never finished, or the file was cut",
    "rot-preamble": "the segment's preamble is damaged; without it nothing here can be read, "
    "unless its seal repeats it",
    "foreign": "this file is not a log segment, whatever its name",
    "unreadable": "the operating system does not let this segment be read",
    "other-log": "this segment belongs to another log",
    "misplaced": "this segment's file bears another segment's number",
    "missing-segment": "one or more segments are gone",
    "missing": "records are missing though no damage shows where they were",
    "lost": "records that were lost before this log was recovered from another",
    "torn-disowned": "written, but the write or its sync failed: never acknowledged, not trusted",
    "index": "the index leaves out what the batches hold, so that lookups may miss it",
    "repeated": "these records' numbers were taken before; they are left out",
    "chain": "checksums hold, but the chain of hashes breaks here: other bytes were chained",
    "undecodable": "checksums hold, but what they guard is not a record",
}
"""Damage that is no question of one batch's bytes."""


def classify(flaw: Flaw, *, promised: bool) -> Row:
    """The one row that matches.

    Args:
        flaw: What was seen.
        promised: Whether the next segment says that good data went beyond this place.
    """
    (row,) = [row for row in BATCH_ROWS if _matches(row, flaw, promised=promised)]
    return row


def _matches(row: Row, flaw: Flaw, *, promised: bool) -> bool:
    return (
        row.header == flaw.header
        and row.body == flaw.body
        and row.follows in (None, flaw.follows)
        and row.blank in (None, flaw.blank)
        and row.promised in (None, promised)
    )


_PREAMBLE_ROWS = {
    "short": "torn-preamble",
    "foreign": "foreign",
    "bad": "rot-preamble",
}


def classify_preamble(sight: str) -> str:
    """The row for a segment without a preamble; ``sight`` is ``read_preamble``'s word."""
    return _PREAMBLE_ROWS[sight]


def text_of(label: str) -> str:
    """What a row means, for people."""
    return SEGMENT_ROWS.get(label) or next(row.text for row in BATCH_ROWS if row.label == label)


class End(NamedTuple):
    """Where a log's good data ends, and what its next writer goes on with.

    Attributes:
        end: The good data's end in the segment; rot in front of it counts as used.
        last: The last number that may not be given again.
        chain: The chain's head.
        actors_next: The lowest actor number that may be given.
    """

    end: int
    last: int
    chain: bytes
    actors_next: int


def find_end(window: Window, opening: Opening, mark: Mark | None = None) -> End:
    """Find the end of good data: in a sealed segment at once, else by walking headers.

    Of the bodies only the last batch's is read.  What is rotten may have been acknowledged, so its
    numbers are never given again: where the header that named them is lost too, as many are skipped
    as can have been there.  What a failed writer's mark disowns is not looked at.
    """
    preamble = opening.preamble
    if mark is None or not disowns(mark, preamble):
        directory = read_directory(window, preamble.salt)
        if directory is not None:
            last, actors_next = directory.last, directory.actors_next
            return End(window.size(), last, directory.chain, actors_next)
        mark = None
    end = _walk_to_end(window, opening, mark, bodies=False)
    # A header may stand in front of a body that never came whole.
    if end is None:
        end = _walk_to_end(window, opening, mark, bodies=True)
    return end or _fresh(opening)


def disowns(mark: Mark, preamble: Preamble) -> bool:
    """Whether a mark says that something of a segment was written and must not be trusted."""
    place = (mark.epoch, mark.segment)
    return mark.has_failed and place == (preamble.epoch, preamble.segment)


def _fresh(opening: Opening) -> End:
    preamble = opening.preamble
    return End(opening.end, preamble.first - 1, opening.chain, preamble.actors_next)


def _walk_to_end(
    window: Window, opening: Opening, mark: Mark | None, *, bodies: bool
) -> End | None:
    """None when the last batch's body, not looked at on the way, does not verify."""
    end = _fresh(opening)
    batch: Frame | None = None
    frame: Frame | None = None
    for found in walk(window, opening.preamble, opening.end, bodies=bodies):
        if mark is not None and found.offset >= mark.end:
            break
        if isinstance(found, Flaw):
            end = _behind(found, end)
            continue
        frame, header = found, found.header
        if header.sort == BATCH:
            batch = frame
        behind = found.offset + header.block_bytes
        last = header.first + header.records - 1
        if header.sort == GAP and (body := _body_at(window, opening, frame)) is not None:
            last = gap_end(body, header.first) or last
        end = End(behind, last, found.chain, end.actors_next)
    if frame is None:
        return end
    if not bodies and _body_at(window, opening, frame) is None:
        return None
    if batch is None:
        return end
    body = _body_at(window, opening, batch)
    prelude = None if body is None else unpack_prelude(body)
    if prelude is None:
        return None if not bodies else end
    return end._replace(actors_next=max(end.actors_next, prelude[0]))


def _body_at(window: Window, opening: Opening, frame: Frame) -> memoryview | None:
    found = next(walk(window, opening.preamble, frame.offset), None)
    return found.body if isinstance(found, Frame) else None


def gap_end(body: memoryview, first: int) -> int | None:
    """The last number of the gap that begins with ``first``; None when the body does not say it."""
    match next(unpack_objects(body), None):
        case (int(begin), int(last), *_) if begin == first <= last <= NUMBER_MAX:
            return last
        case _:
            return None


def _behind(flaw: Flaw, end: End) -> End:
    if classify(flaw, promised=False).label.startswith("torn"):
        return end
    last = flaw.last if flaw.last is not None else end.last + records_lost_at_most(flaw.length)
    if flaw.follows:
        last = end.last if flaw.last is None else flaw.last
    return End(flaw.offset + flaw.length, last, end.chain, end.actors_next + flaw.length)
