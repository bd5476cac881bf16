"""`rescind chart`: chooses the turns and draws them."""

from collections.abc import Iterable, Iterator
from itertools import dropwhile

from rescind.events import Turn
from rescind.replay._archive.archive import AnyLog, Archive, archive_of
from rescind.replay._archive.select import Target, TargetKind, resolve
from rescind.replay._words.text import count

from .chart import Chart
from .cone import LIVES_MAX, cone_of
from .draw import Drawing
from .says import Speaker

ROWS_MAX = 60
"""So many rows a chart has, if it is not asked for all."""
ALL_ROWS_MAX = 5_000
"""And so many when it is: more is nothing to look at, and would be held in memory."""
_TAIL = 1 / 3
"""The share of the rows that a cone's end has, where the middle is left out."""


def chart_of(
    log: AnyLog,
    selector: str | None = None,
    *,
    first: int | None = None,
    last: int | None = None,
    unfold: bool = False,
) -> Chart:
    """Draw a sequence chart of a log, or of what led to an outcome and came of it.

    Without a selector and without bounds, it shows the last cancellation, if there is one.

    Args:
        log: The log.
        selector: What the chart is about.
        first: No turn before this one.
        last: No turn after it.
        unfold: Whether alike turns stay apart, in up to `ALL_ROWS_MAX` rows.

    Raises:
        SelectorError: The selector means nothing in this log, or several things.
    """
    archive = archive_of(log)
    target = resolve(selector, archive) if selector is not None else None
    return draw_chart(archive, target, first=first, last=last, unfold=unfold)


def draw_chart(
    archive: Archive, target: Target | None, *, first: int | None, last: int | None, unfold: bool
) -> Chart:
    """Draw a chart from what is open already."""
    notes: list[str] = []
    is_open = target is None and first is None and last is None
    cancels = list(archive.cancel_numbers) if is_open else []
    if cancels:
        target = Target(TargetKind.CANCEL, cancels[-1])
        total = len(cancels)
        which = "the only cancellation" if total == 1 else f"the last of {total:,} cancellations"
        notes.append(f"{which}; --of shows something else, --since and --until a range of turns")
    first = 1 if first is None else first
    turns = _turns(target, first, last, archive)
    rows_max = ALL_ROWS_MAX if unfold else ROWS_MAX
    tail = int(rows_max * _TAIL) if _is_cone(target) else 0
    head = rows_max - tail
    drawing = Drawing(Speaker(archive), head=head, tail=tail, unfold=unfold, lost=archive.gaps)
    shown = [0, 0, 0]
    for turn in _within(turns, first, last):
        if drawing.is_full:
            after = f" --until {last}" if last is not None else ""
            notes.append(
                f"the chart ends before turn {turn.number}; --since {turn.number}{after} goes on"
            )
            break
        drawing.take(turn)
        shown = [shown[0] or turn.number, turn.number, shown[2] or turn.time_ns]
    notes += _left_out(target, archive)
    lanes, rows, shades = drawing.finish()
    zero = _zero(target, archive) or shown[2]
    title = _title(target, archive, shown[0], shown[1])
    return Chart(title, zero, archive.clock.begin_ns, lanes, rows, shades, tuple(notes))


def _is_cone(target: Target | None) -> bool:
    """Whether a chart has an end of its own; an actor's ends where the log does."""
    return target is not None and target.kind is not TargetKind.ACTOR


def _turns(target: Target | None, first: int, last: int | None, archive: Archive) -> Iterable[Turn]:
    if target is None:
        return archive.turns(first, last)
    if target.kind is TargetKind.ACTOR:
        return archive.about(target.number, first=first, last=last)
    return cone_of(target, archive)


def _left_out(target: Target | None, archive: Archive) -> list[str]:
    cancel = (
        archive.cancels.get(target.number) if target and target.kind is TargetKind.CANCEL else None
    )
    more = len(cancel.victims) - LIVES_MAX if cancel else 0
    return [f"the calls of {count(more, 'further victim')} are left out"] if more > 0 else []


def _within(turns: Iterable[Turn], first: int, last: int | None) -> Iterator[Turn]:
    for turn in dropwhile(lambda turn: turn.number < first, turns):
        if last is not None and turn.number > last:
            return
        yield turn


def _title(target: Target | None, archive: Archive, first: int, last: int) -> str:
    if target is None:
        return f"turns {first} to {last}" if first else "no turns"
    if target.kind is TargetKind.TURN:
        return f"turn {target.number}"
    name = archive.label(target.number)
    cancel = archive.cancels.get(target.number)
    if target.kind is not TargetKind.CANCEL or cancel is None:
        return name
    endpoint = archive.endpoints.get(cancel.endpoint)
    driver = f" ({endpoint.driver})" if endpoint and endpoint.driver else ""
    trigger = cancel.trigger or "a cancel"
    return f"c{cancel.number} {trigger} on {archive.label(cancel.endpoint)}{driver}"


def _zero(target: Target | None, archive: Archive) -> int:
    """Return the moment from which times count: when a cancel was asked for, or how it ended."""
    if target is None:
        return 0
    if target.kind is TargetKind.CANCEL:
        cancel = archive.cancels[target.number]
        begin = cancel.requested or cancel.began
        return begin.time_ns if begin else 0
    if target.kind is TargetKind.REQUEST:
        request = archive.requests[target.number]
        end = request.completed or request.rejected or request.submitted
        return end.time_ns if end else 0
    return 0
