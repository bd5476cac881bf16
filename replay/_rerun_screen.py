"""The screen and the document of ``rescind rerun``."""

from collections.abc import Iterator
from typing import Any

from ._rerun import Rerun
from ._text import Line, Span, count, line


def rerun_json(result: Rerun) -> dict[str, Any]:
    """Return the body of ``rescind rerun --json``."""
    found = result.divergence
    return {
        "equal": result.turns,
        "skipped": result.skipped,
        "opaque": result.opaque,
        "withheld": result.withheld,
        "ended": result.ended or None,
        "divergence": None
        if found is None
        else {
            "turn": found.number,
            "what": found.what,
            "expected": repr(found.expected),
            "actual": repr(found.actual),
            "ancestor": found.ancestor,
        },
    }


def rerun_lines(result: Rerun) -> list[Line]:
    """Return the screen of ``rescind rerun``."""
    found = result.divergence
    left_out = [line(text) for text in _left_out(result)]
    if result.ended:
        return [
            line(
                Span("not re-executable", "yellow"),
                f" from turn {result.ended} on: payload withheld",
            ),
            line(f"  before it {count(result.turns, 'turn')} came out as recorded"),
            *left_out,
        ]
    if found is None:
        head = line(
            Span("equal", "green") if result.turns else Span("nothing compared", "yellow"),
            f": {count(result.turns, 'turn')} came out as recorded",
        )
        return [head, *left_out]
    return [
        line(Span("divergence", "red"), f" at turn {found.number}: {found.what}"),
        line(f"  expected  {found.expected!r}"),
        line(f"  actual    {found.actual!r}"),
        line(f"  before it {count(result.turns, 'turn')} came out as recorded"),
        line(
            f"  the last common ancestor is turn {found.ancestor}"
            if found.ancestor
            else "  it is an input itself: what the turn decides about it has changed",
        ),
        *left_out,
    ]


def _left_out(result: Rerun) -> Iterator[str]:
    if result.skipped:
        yield f"  {count(result.skipped, 'turn')} left out: their classes are not known here"
    if result.opaque:
        turns = count(result.opaque, "turn")
        yield f"  {turns} not compared: the log could not carry their values"
    if result.withheld:
        yield f"  {count(result.withheld, 'turn')} not compared: payload withheld"
