"""Removing old segments of a log, on request only: whole ones, from the oldest on."""

import os
from dataclasses import dataclass
from pathlib import Path

from ._codec import unpack_body
from ._errors import LogAccessError
from ._frame import BATCH
from ._index import read_directory
from ._keyframe import Keyframe
from ._restore import last_keyframe
from ._segment import Frame, Opening, Window, read_preamble, walk
from ._storage import Storage, open_directory


@dataclass(frozen=True, slots=True)
class Retention:
    """What is to be kept; None asks nothing, and a segment goes when any of the three lets it go.

    Attributes:
        bytes_max: Keep the newest segments that have so many bytes together, at most.
        segments_max: Keep so many of the newest segments, at most.
        since_ns: Keep every segment with a record that is not older than that.
        without_keyframe: Also remove what no keyframe stands in for.
    """

    bytes_max: int | None = None
    segments_max: int | None = None
    since_ns: int | None = None
    without_keyframe: bool = False


@dataclass(frozen=True, slots=True)
class Old:
    """One segment at the old end of a log.

    Attributes:
        segment: Its number.
        bytes: How long it is.
        last: Its last record's number.
        last_time_ns: Its latest time, as its batches' last records have it; None without records.
    """

    segment: int
    bytes: int
    last: int
    last_time_ns: int | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        removed: The segments, oldest first.
        kept: How many segments are left.
        kept_bytes: How many bytes.
        keyframe: The keyframe that stands in for what is gone.
        held: Why a segment that was to go is still there; empty when none is.
        is_damaged: Whether it is so because nobody can tell what is in it.
    """

    removed: tuple[Old, ...]
    kept: int
    kept_bytes: int
    keyframe: Keyframe | None
    held: str
    is_damaged: bool


def prune(path: str | os.PathLike[str], retention: Retention, *, dry_run: bool = False) -> Pruned:
    """Remove old segments, also while the log is written and read.

    Never the newest segment, and never one that the newest complete keyframe needs: without it
    nobody could tell the state behind.  A reader that stands in a removed segment reads it to its
    end and then reports that the next ones are missing.

    Raises:
        NotALogError: There is no log.
        LogAccessError: The operating system refuses; what was removed before stays removed.
    """
    storage = open_directory(path, for_writing=False)
    try:
        found = _choose(storage, retention)
        if not dry_run:
            for old in found.removed:
                storage.remove(old.segment)
    except OSError as error:
        where = Path(path)
        raise LogAccessError(f"{where}: cannot be pruned: {error.strerror}", where) from error
    finally:
        storage.close()
    return found


def _choose(storage: Storage, retention: Retention) -> Pruned:
    segments = storage.segments()
    sizes = {segment: storage.size(segment) for segment in segments}
    left_bytes, left = sum(sizes.values()), len(segments)
    keyframe = last_keyframe(storage)
    removed: list[Old] = []
    held, is_damaged = "", False
    for segment in segments[:-1]:
        if not _may_go_by_size(retention, left, left_bytes) and retention.since_ns is None:
            break
        old = _look_at(storage, segment, sizes[segment])
        if old is None:
            held = f"segment {segment} is kept: it is damaged; recover the log first"
            is_damaged = True
            break
        if not (_may_go_by_size(retention, left, left_bytes) or _is_older(old, retention)):
            break
        held = _holder(old, keyframe, retention)
        if held:
            break
        removed.append(old)
        left, left_bytes = left - 1, left_bytes - old.bytes
    return Pruned(tuple(removed), left, left_bytes, keyframe, held, is_damaged)


def _may_go_by_size(retention: Retention, left: int, left_bytes: int) -> bool:
    too_many = retention.segments_max is not None and left > max(1, retention.segments_max)
    return too_many or (retention.bytes_max is not None and left_bytes > retention.bytes_max)


def _is_older(old: Old, retention: Retention) -> bool:
    if retention.since_ns is None:
        return False
    return old.last_time_ns is None or old.last_time_ns < retention.since_ns


def _holder(old: Old, keyframe: Keyframe | None, retention: Retention) -> str:
    if retention.without_keyframe:
        return ""
    if keyframe is None:
        return f"segment {old.segment} is kept: no keyframe stands in for what is in it"
    if old.last > keyframe.number or any(segment == old.segment for segment, _ in keyframe.places):
        return f"segment {old.segment} is kept: the newest keyframe needs it"
    return ""


def _look_at(storage: Storage, segment: int, size: int) -> Old | None:
    """What stands in a segment; None when that cannot be told."""
    window = Window(storage, segment)
    opening = read_preamble(window)
    if not isinstance(opening, Opening):
        return None
    preamble = opening.preamble
    directory = read_directory(window, preamble.salt)
    if directory is not None:
        return Old(segment, size, directory.last, max(directory.group_time_ns, default=None))
    # A writer that crashed left it without an index.
    last, latest = preamble.first - 1, None
    for found in walk(window, preamble, opening.end):
        if isinstance(found, Frame) and found.header.sort == BATCH:
            last = found.header.first + found.header.records - 1
            body = unpack_body(found.body, found.header.first, found.header.records)
            times = [record[1] for record in body.records[-1:]] if body is not None else []
            latest = max((time for time in (latest, *times) if type(time) is int), default=None)
    return Old(segment, size, last, latest)
