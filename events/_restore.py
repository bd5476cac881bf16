"""Finding keyframes in a log, and reading what they hold."""

from collections.abc import Iterator

from ._frame import KEYFRAME
from ._index import read_directory
from ._keyframe import Assembly, Entry, Keyframe, decode_part
from ._segment import Frame, Opening, Window, read_preamble, walk
from ._storage import Storage

Found = tuple[tuple[int, int, bool], tuple[int, int]]
"""A part ``(number, part, is_last)`` and its place ``(segment, offset)``."""


def last_keyframe(storage: Storage) -> Keyframe | None:
    """The newest complete keyframe; segments are looked at from the newest back, until it is."""
    behind: list[tuple[int, list[Found]]] = []
    for segment in reversed(storage.segments()):
        opening = _open(storage, segment)
        if opening is None:
            behind.clear()  # what began before it cannot be complete behind it
            continue
        behind.append((opening.preamble.epoch, _parts_in(storage, opening)))
        assembly = Assembly()
        for epoch, parts in reversed(behind):
            for part, place in parts:
                assembly.take(epoch, part, place)
        if assembly.complete:
            return assembly.complete[-1]
    return None


def entries_of(storage: Storage, keyframe: Keyframe) -> Iterator[tuple[int, Entry]]:
    """Every entry of a keyframe, with the record number whose state it shows."""
    for segment, offset in keyframe.places:
        opening = _open(storage, segment)
        found = None
        if opening is not None:
            found = next(walk(Window(storage, segment), opening.preamble, offset), None)
        part = decode_part(found.body) if isinstance(found, Frame) else None
        if part is not None:
            yield from ((part.as_of, entry) for entry in part.entries)


def _parts_in(storage: Storage, opening: Opening) -> list[Found]:
    preamble = opening.preamble
    window = Window(storage, preamble.segment)
    directory = read_directory(window, preamble.salt)
    if directory is not None:
        return [(part[:3], (preamble.segment, part.offset)) for part in directory.keyframes]
    parts: list[Found] = []
    for found in walk(window, preamble, opening.end):
        if isinstance(found, Frame) and found.header.sort == KEYFRAME:
            part = decode_part(found.body)
            if part is not None:
                parts.append((part[:3], (preamble.segment, found.offset)))
    return parts


def _open(storage: Storage, segment: int) -> Opening | None:
    try:
        found = read_preamble(Window(storage, segment))
    except OSError:
        return None
    return found if isinstance(found, Opening) else None
