"""The screen and the JSON of `rescind diff`."""

from collections.abc import Iterator
from itertools import zip_longest
from textwrap import wrap
from typing import Any

from rescind.events import How, Turn
from rescind.replay._ledger.dialects import code_text, end_text
from rescind.replay._ledger.lives import RequestLife
from rescind.replay._words.describe import Names, event_text, message_text, rules_of
from rescind.replay._words.text import MARGIN, Line, Span, clip, count, duration, line, plain, site
from rescind.replay._words.turns import turn_json

from .diff import Diff, Difference, Spot
from .identity import said
from .walk import Change

EVENTS_MAX = 4
_INDENT = 4

_TITLES = {
    Change.MISSING: "only in A",
    Change.NEW: "only in B",
    Change.CHANGED: "differs",
    Change.REORDERED: "another order",
}


def diff_lines(found: Diff, a: Names, b: Names) -> list[Line]:
    """Return the screen: what explains the rest first, each with what follows from it."""
    lines: list[Line] = []
    for difference in found.differences:
        lines += [*_difference_lines(difference, a, b), line()]
    if found.untold:
        more = count(found.untold, "further difference")
        lines += [line(Span(f"and {more} that nothing before explains; --all tells them", "dim"))]
    return [*lines, _summary(found)]


def _summary(found: Diff) -> Line:
    told = [f"{number:,} {_SUMS[change]}" for change, number in found.changes.items() if number]
    if not told:
        return line(Span("equal", "bold green"), f": {count(found.same, 'step')}, the same in both")
    return line(
        Span("different", "bold red"), f": {', '.join(told)}; {found.same:,} the same in both"
    )


_SUMS = {
    Change.MISSING: "only in A",
    Change.NEW: "only in B",
    Change.CHANGED: "differ",
    Change.REORDERED: "in another order",
}


def _difference_lines(difference: Difference, a: Names, b: Names) -> list[Line]:
    spot = difference.spot
    title = f"{_TITLES[spot.change]}: {_whose(spot, a, b)}"
    lines = [line(Span(clip(title, MARGIN - 30), "bold"), "  ", Span(_where(spot), "cyan"))]
    lines += [each for text in spot_texts(spot, a, b) for each in _wrapped(text)]
    if difference.followers:
        noun = "difference" if difference.followers == 1 else "differences"
        more = f"and {difference.followers:,} more {noun} that it brought about"
        lines.append(line(" " * _INDENT, Span(more, "bold")))
        for example in difference.examples:
            text = f"{_TITLES[example.change]}, {_where(example)}: {_example(example, a, b)}"
            lines.append(line(" " * (_INDENT + 2), clip(text, MARGIN - _INDENT - 2)))
    return lines


def _wrapped(text: str) -> list[Line]:
    lines = wrap(plain(text), MARGIN - _INDENT, subsequent_indent="  ")
    return [line(" " * _INDENT, each) for each in lines]


def _whose(spot: Spot, a: Names, b: Names) -> str:
    if spot.a is not None:
        return a.label(spot.a.actor)
    return b.label(spot.b.actor) if spot.b is not None else ""


def _where(spot: Spot) -> str:
    if spot.a is None or spot.b is None:
        turn = spot.a or spot.b
        return f"turn {turn.number}" if turn else ""
    return f"turn {spot.a.number} in A, {spot.b.number} in B"


def spot_texts(spot: Spot, a: Names, b: Names) -> Iterator[str]:
    """Yield what differs at a spot, in sentences."""
    match spot.change:
        case Change.MISSING if spot.a is not None:
            yield from _alone(spot.a, a)
        case Change.NEW if spot.b is not None:
            yield from _alone(spot.b, b)
        case Change.REORDERED if spot.a is not None and spot.b is not None:
            yield from _reordered(spot, a, b)
        case _:
            yield from _changed(spot, a, b)
    yield from _ends(spot, a, b)


def _alone(turn: Turn, names: Names) -> Iterator[str]:
    yield message_text(turn.message, names)
    yield from _events(turn, names)
    if turn.by is not None:
        yield f"by {site(turn.by)}"


def _events(turn: Turn, names: Names) -> Iterator[str]:
    for event in turn.events[:EVENTS_MAX]:
        yield event_text(event, names)
    if len(turn.events) > EVENTS_MAX:
        yield f"and {count(len(turn.events) - EVENTS_MAX, 'more event')}"


def _reordered(spot: Spot, a: Names, b: Names) -> Iterator[str]:
    if spot.a is None or spot.b is None:
        return
    yield f"{message_text(spot.a.message, a)} (turn {spot.a.number} in A, {spot.b.number} in B)"
    if spot.before is not None and spot.after is not None:
        other = f"{message_text(spot.before.message, a)} (turn {spot.before.number})"
        yield f"came in A after {other}, in B before it (turn {spot.after.number})"
    yield from _differing_events(spot, a, b)


def _changed(spot: Spot, a: Names, b: Names) -> Iterator[str]:
    if spot.a is None or spot.b is None:
        return
    here, there = message_text(spot.a.message, a), message_text(spot.b.message, b)
    if _blind(spot.a.message) == _blind(spot.b.message):
        yield here
    else:
        yield f"took {here} in A, {there} in B"
    yield from _differing_events(spot, a, b)


def _differing_events(spot: Spot, a: Names, b: Names) -> Iterator[str]:
    if spot.a is None or spot.b is None:
        return
    pairs = list(zip_longest(spot.a.events, spot.b.events))
    telling = [pair for pair in pairs if _blind(pair[0]) != _blind(pair[1])]
    for here, there in (telling or pairs)[:EVENTS_MAX]:
        said_here = "nothing" if here is None else event_text(here, a)
        said_there = "nothing" if there is None else event_text(there, b)
        if telling or said_here != said_there:
            yield f"{said_here} in A, {said_there} in B"
    if len(telling) > EVENTS_MAX:
        yield f"and {count(len(telling) - EVENTS_MAX, 'more event')}"


def _blind(kind: Any) -> Any:
    """Return a message or event without its numbers."""
    return said(kind, lambda _: 0)


def _ends(spot: Spot, a: Names, b: Names) -> Iterator[str]:
    """Say how a request ended here and there, where that is what differs."""
    here = a.requests.get(spot.actor_a) if spot.actor_a else None
    there = b.requests.get(spot.actor_b) if spot.actor_b else None
    if here is None or there is None:
        return
    said_here, said_there = _end(here, a), _end(there, b)
    name = f"{a.label(here.number)}"
    if here.number != there.number:
        name += f" (r{there.number} in B)"
    yield f"{name}: {said_here} in A, {said_there} in B"


def _end(request: RequestLife, names: Names) -> str:
    """Return how a request ended and when, counted from its submission."""
    rules = rules_of(names, request.number)
    if request.rejected is not None:
        return f"refused with {code_text(rules, request.rejected.code)}"
    if request.completed is None:
        return "no end"
    text = end_text(rules, request.completed.code, request.completed.how)
    if request.completed.how == How.TIMED_OUT or request.timed_out is not None:
        text += ", timed out"
    if request.submitted is None:
        return text
    return f"{text} after {duration(request.completed.time_ns - request.submitted.time_ns)}"


def _example(spot: Spot, a: Names, b: Names) -> str:
    turn, names = (spot.a, a) if spot.a is not None else (spot.b, b)
    if turn is None:
        return ""
    if spot.change is Change.CHANGED:
        differing = list(_differing_events(spot, a, b))
        if differing:
            return differing[0]
    said_in = [event_text(event, names) for event in turn.events[:1]]
    return f"{names.label(turn.actor)} {', '.join([message_text(turn.message, names), *said_in])}"


# --- JSON ----------------------------------------------------------------------------------------


def diff_json(found: Diff, a: Names, b: Names) -> dict[str, Any]:
    """Return the document of `rescind diff --json`, without its schema."""
    return {
        "equal": found.is_equal,
        "same": found.same,
        "changes": _counts(found.changes),
        "differences": [_difference_json(each, a, b) for each in found.differences],
        "untold": found.untold,
    }


def _difference_json(difference: Difference, a: Names, b: Names) -> dict[str, Any]:
    return {
        **_spot_json(difference.spot, a, b),
        "brought_about": _counts(difference.follows),
        "examples": [_spot_json(each, a, b) for each in difference.examples],
    }


def _spot_json(spot: Spot, a: Names, b: Names) -> dict[str, Any]:
    return {
        "change": spot.change.value,
        "says": list(spot_texts(spot, a, b)),
        "a": None if spot.a is None else turn_json(spot.a, a),
        "b": None if spot.b is None else turn_json(spot.b, b),
        "before": None if spot.before is None else spot.before.number,
        "after": None if spot.after is None else spot.after.number,
        "actor_a": spot.actor_a,
        "actor_b": spot.actor_b,
    }


def _counts(changes: dict[Change, int]) -> dict[str, int]:
    return {change.value: changes.get(change, 0) for change in Change}
