"""The way back from a turn along the causes that the log recorded, also into other logs.

Two shortcuts say more than the causes alone: a script's delivery leads to the completion of *its*
request (not to the last one of the run), and a victim leads to the cancel that won it even where
the causes in between are lost.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple, TypeAlias

from rescind.events import Completed, Turn

from .archive import Archive

STEPS_MAX = 400
"""A way back longer than this is cut; its last turn can be asked about in its turn."""

Archives: TypeAlias = Mapping[bytes, Archive]
"""Archives by the ids of their logs."""


class Point(NamedTuple):
    """A turn on the way back, the request it is looked at for, and the log it stands in."""

    turn: int
    focus: int
    log: bytes


def way_back(archives: Archives, start: Point) -> Iterator[Point]:
    """Yield the way back from a turn, beginning with it; a damaged log may run in circles."""
    seen: set[tuple[bytes, int]] = set()
    point: Point | None = start
    while point is not None and point.turn > 0 and (point.log, point.turn) not in seen:
        seen.add((point.log, point.turn))
        yield point
        point = _before(archives, point)


def trace(archives: Archives, start: Point) -> list[Point]:
    """Return the way back from a turn; one point more than ``STEPS_MAX`` if it goes on."""
    return list(islice(way_back(archives, start), STEPS_MAX + 1))


def _before(archives: Archives, point: Point) -> Point | None:
    archive = archives[point.log]
    turn = archive.turn(point.turn)
    there = _elsewhere(archives, turn)
    if there is not None:
        return there
    request = archive.requests.get(point.focus)
    if request is not None and request.completed is not None:
        done = request.completed
        if done.turn < point.turn and archive.is_delivery(point.turn):
            return Point(done.turn, point.focus, point.log)
        cancel = archive.cancels.get(done.by)
        if done.turn == point.turn and cancel is not None and cancel.requested is not None:
            asked = cancel.requested.turn
            if asked < point.turn and not _leads_to(archive, point.turn, asked):
                return Point(asked, 0, point.log)
    if turn is None or turn.cause is None or turn.cause.log is not None:
        return None
    context = archive.context_of(turn)
    return Point(turn.cause.number, context.request if context else 0, point.log)


def _elsewhere(archives: Archives, turn: Turn | None) -> Point | None:
    """Return the cause of a turn in another log, if that is given: there somebody ended it."""
    cause = None if turn is None else turn.cause
    if cause is None or cause.log is None or cause.log not in archives:
        return None
    there = archives[cause.log].turn(cause.number)
    ended = () if there is None else [e.request for e in there.events if isinstance(e, Completed)]
    focus = cause.request or (ended[0] if len(ended) == 1 else 0)
    return Point(cause.number, focus, cause.log)


def _leads_to(archive: Archive, turn: int, wanted: int) -> bool:
    """Whether the recorded causes of a turn lead back to another; causes precede effects."""
    for _ in range(STEPS_MAX):
        if turn <= wanted:
            break
        before = archive.cause_of(turn)
        turn = before if before < turn else 0
    return turn == wanted
