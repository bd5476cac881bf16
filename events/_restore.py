"""Finding keyframes in a log, and reading what they hold.

A sealed segment's directory says where parts stand; that they are whole is seen where they stand.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from ._errors import LogDamagedError
from ._frame import KEYFRAME
from ._index import read_directory
from ._keyframe import Entry, Keyframe, Located, Part, assemble, decode_head, decode_part
from ._mark import decode_mark
from ._recovery import disowns
from ._segment import OPENING_BYTES, Frame, Opening, Window, read_preamble, walk
from ._storage import Storage


def last_keyframe(
    storage: Storage, before: int | None = None, segments: Sequence[int] | None = None
) -> Keyframe | None:
    """The newest complete keyframe; segments are looked at from the newest back, until it is.

    Args:
        storage: The log.
        before: Only one that shows no state from this turn on, in none of its parts.
        segments: Only these, ascending: where it can be.
    """
    log = _log_id(storage)
    parts: list[Located] = []
    refused: set[Keyframe] = set()
    every = storage.segments()
    following = dict(pairwise(every))
    for segment in reversed(every if segments is None else segments):
        parts[:0] = _parts_in(storage, log, segment, following.get(segment))
        for keyframe in reversed(assemble(parts)):
            if keyframe not in refused and is_whole(storage, keyframe, before):
                return keyframe
            refused.add(keyframe)
    return None


def first_keyframe(storage: Storage, number: int) -> Keyframe | None:
    """The oldest complete keyframe that shows the state behind ``number``, or behind a later one.

    Whoever was born up to ``number`` and lived on is in it, unless it ended before it was asked.
    """
    log = _log_id(storage)
    parts: list[Located] = []
    damaged: set[Keyframe] = set()
    segments = storage.segments()
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        found = _parts_in(storage, log, segment, following)
        parts += [part for part in found if part.number >= number]
        for keyframe in assemble(parts):
            if keyframe not in damaged and is_whole(storage, keyframe):
                return keyframe
            damaged.add(keyframe)
    return None


def is_whole(storage: Storage, keyframe: Keyframe, before: int | None = None) -> bool:
    """Whether every part of a keyframe can be read where it was found.

    ``before`` asks beside that whether all of it shows a state from before that turn.
    """
    if before is not None and keyframe.number >= before:
        return False
    return all(
        part is not None and (before is None or part.as_of < before)
        for _, part in _read(storage, keyframe)
    )


def parts_of(storage: Storage) -> Iterator[tuple[Keyframe, Part]]:
    """Every part of every complete keyframe, in the log's order, with its keyframe.

    They are looked for when asked on, so that a log can be read beside.
    """
    log, segments = _log_id(storage), storage.segments()
    parts: list[Located] = []
    told: tuple[int, int] = (0, -1)
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        parts += _parts_in(storage, log, segment, following)
        for keyframe in assemble(parts):
            if (keyframe.epoch, keyframe.number) > told and is_whole(storage, keyframe):
                told = (keyframe.epoch, keyframe.number)
                for _, part in _read(storage, keyframe):
                    if part is not None:
                        yield keyframe, part


def entries_of(storage: Storage, keyframe: Keyframe) -> Iterator[tuple[int, Entry]]:
    """Every entry of a keyframe, with the record number whose state it shows.

    Raises:
        LogDamagedError: A part is damaged, or was removed since the keyframe was found.
    """
    for (segment, offset), part in _read(storage, keyframe):
        if part is None:
            where = f"{storage.path}: segment {segment} at byte {offset}"
            message = f"{where}: a part of the keyframe behind turn {keyframe.number} is damaged"
            raise LogDamagedError(f"{message}; look for the keyframe anew", storage.path)
        yield from ((part.as_of, entry) for entry in part.entries)


def _read(storage: Storage, keyframe: Keyframe) -> Iterator[tuple[tuple[int, int], Part | None]]:
    """Every part of a keyframe with its place; None stands for one that is not whole."""
    numbered = enumerate(keyframe.places)
    for segment, group in groupby(numbered, key=lambda each: each[1][0]):
        opening, window = _open(storage, segment), Window(storage, segment)
        for number, place in group:
            part = None if opening is None else _part_at(window, opening, place[1])
            is_it = part is not None and part[:2] == (keyframe.number, number)
            yield place, part if is_it else None


def _part_at(window: Window, opening: Opening, offset: int) -> Part | None:
    try:
        found = next(walk(window, opening.preamble, offset), None)
    except OSError:
        return None
    if not isinstance(found, Frame) or found.header.sort != KEYFRAME:
        return None
    return decode_part(found.body)


def _log_id(storage: Storage) -> bytes:
    """The log that segments must belong to: the one of the first that can be opened."""
    openings = (_open(storage, segment) for segment in storage.segments())
    return next((found.preamble.log for found in openings if found is not None), b"")


def _parts_in(storage: Storage, log: bytes, segment: int, following: int | None) -> list[Located]:
    """The parts in a segment, in their order; none where it cannot be read."""
    opening = _open(storage, segment)
    if opening is None or opening.preamble.log != log:
        return []
    window, preamble = Window(storage, segment), opening.preamble
    try:
        directory = read_directory(window, preamble.salt)
        if directory is None:
            limit = _limit(storage, opening, following)
            return list(_parts_walked(window, opening, limit))
    except OSError:
        return []
    return [
        Located(preamble.epoch, number, part, is_last, (segment, offset))
        for number, part, is_last, offset in directory.keyframes
    ]


def _parts_walked(window: Window, opening: Opening, limit: int | None) -> Iterator[Located]:
    preamble = opening.preamble
    for found in walk(window, preamble, opening.end):
        if limit is not None and found.offset >= limit:
            return
        if isinstance(found, Frame) and found.header.sort == KEYFRAME:
            head = decode_head(found.body)
            if head is not None:
                place = (preamble.segment, found.offset)
                yield Located(preamble.epoch, head.number, head.part, head.is_last, place)


def _limit(storage: Storage, opening: Opening, following: int | None) -> int | None:
    """Where the next writer, or a writer that failed, ends what was acknowledged."""
    preamble = opening.preamble
    if following is not None:
        behind = _open(storage, following)
        previous = behind.preamble.previous if behind is not None else None
        return previous.end if previous and previous.segment == preamble.segment else None
    mark = decode_mark(storage.mark())
    return mark.end if mark is not None and disowns(mark, preamble) else None


def _open(storage: Storage, segment: int) -> Opening | None:
    try:
        found = read_preamble(Window(storage, segment, chunk_bytes=OPENING_BYTES))
    except OSError:
        return None
    if not isinstance(found, Opening) or found.preamble.segment != segment:
        return None
    return found
