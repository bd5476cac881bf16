"""The screens and documents of ``rescind rerun``."""

from collections.abc import Iterator, Sequence
from typing import Any

from rescind.replay._words.text import MARGIN, Line, Span, clip, count, line

from .logs import LogRerun
from .result import CodeLine, Divergence, Mismatch, Rerun, rerun_json

_WIDTH = MARGIN - 14


def log_json(done: LogRerun) -> dict[str, Any]:
    """Return the document of one recording."""
    return {
        "log": str(done.path),
        "verdict": verdict(done),
        "error": done.error or None,
        "damage": list(done.damage),
        "result": None if done.result is None else rerun_json(done.result),
    }


def verdict(done: LogRerun) -> str:
    """Return in a word or two what came of a recording."""
    if done.result is None:
        return "damaged" if done.is_damaged else "not executed"
    if done.result.divergence is not None:
        return "diverged"
    if done.is_damaged:
        return "damaged"
    if done.result.unreachable:
        return "in part"
    return "equal" if done.result.turns else "nothing compared"


def logs_lines(done: Sequence[LogRerun]) -> list[Line]:
    """Return the screen of several recordings: a line for each, and then what each diverged in."""
    rows = [_row(each) for each in done]
    found = [each for each in done if each.result is not None and each.result.divergence]
    return [*rows, line(), _sum(done), *(row for each in found for row in _found_in(each))]


def _row(done: LogRerun) -> Line:
    word = verdict(done)
    turns = "" if done.result is None else count(done.result.turns, "turn")
    about = next(iter((done.error, *done.damage)), "")
    if done.result is not None and done.result.divergence is not None:
        about = f"turn {done.result.divergence.number}: {done.result.divergence.what}"
    styled = Span(f"{word:<16}  ", _STYLES.get(word, "yellow"))
    about = clip(about.removeprefix(f"{done.path}: "), _WIDTH)
    return line(styled, f"{turns:>15}  {done.path}  ", about)


_STYLES = {"equal": "green", "diverged": "red", "damaged": "red"}


def _sum(done: Sequence[LogRerun]) -> Line:
    words = [verdict(each) for each in done]
    kinds = sorted(set(words), key=words.index)
    parts = ", ".join(f"{words.count(word)} {word}" for word in kinds)
    return line(f"{count(len(done), 'recording')}: {parts}")


def _found_in(done: LogRerun) -> list[Line]:
    return [line(), line(Span(str(done.path), "bold")), *log_lines(done)]


def log_lines(done: LogRerun) -> list[Line]:
    """Return the screen of one recording."""
    if done.result is None:
        return [line(Span("not executed", "yellow"), f": {done.error}")]
    return [*rerun_lines(done.result), *(line(f"  damaged: {text}") for text in done.damage)]


def rerun_lines(result: Rerun) -> list[Line]:
    """Return what is told of one re-execution."""
    found = result.divergence
    left_out = [line(text) for text in _left_out(result)]
    before = line(f"  before it {count(result.turns, 'turn')} came out as recorded")
    if result.ended:
        text = f" from turn {result.ended} on: payload withheld"
        return [line(Span("not re-executable", "yellow"), text), before, *left_out]
    if found is not None:
        return [*divergence_lines(found), before, *left_out]
    head = Span("equal", "green") if result.turns else Span("nothing compared", "yellow")
    return [line(head, f": {count(result.turns, 'turn')} came out as recorded"), *left_out]


def divergence_lines(found: Divergence) -> list[Line]:
    """Return what is told of the first difference."""
    who = f", taken by a{found.actor} {found.label}".rstrip() if found.actor else ""
    where = f" at turn {found.number}" if found.number else ""
    lines = [line(Span("divergence", "red"), f"{where}: {found.what}{who}")]
    if found.differences:
        for each in found.differences:
            lines += _difference_lines(each)
    elif found.actual is not None or found.expected:
        lines += _difference_lines(Mismatch("", found.expected or None, found.actual))
    if found.state:
        lines.append(line("  behind it the state would be"))
        for each in found.state:
            lines += _difference_lines(each)
    if found.line is not None:
        lines.append(line(f"  decided   {_place(found.line)}"))
    lines += [line(f"  changed   the source of {name} since") for name in found.changed]
    if found.given:
        text = f"  perhaps for a value in turn {found.given} that the log could not carry"
        lines.append(line(text))
    took = f", which took {clip(found.took, _WIDTH)}" if found.took else ""
    lines.append(
        line(f"  the last common ancestor is turn {found.ancestor}{took}")
        if found.ancestor
        else line("  it is an input itself: what the turn decides about it has changed")
    )
    return lines


def _difference_lines(found: Mismatch) -> list[Line]:
    head = [line("  ", Span(found.path, "bold"))] if found.path else []
    expected = "nothing" if found.expected is None else found.expected
    actual = "nothing" if found.actual is None else found.actual
    return [
        *head,
        line(f"  expected  {clip(expected, _WIDTH)}"),
        line(f"  actual    {clip(actual, _WIDTH)}"),
    ]


def _place(where: CodeLine) -> str:
    text = f"{where.file}:{where.line} in {where.function}"
    return text if where.is_exact else f"{text}, where the turn's handler begins"


def _left_out(result: Rerun) -> Iterator[str]:
    if result.skipped:
        turns = count(result.skipped, "turn")
        yield f"  {turns} left out: their classes are not known here; name them with --classes"
    if result.opaque:
        turns = count(result.opaque, "turn")
        yield f"  {turns} not compared: the log could not carry their values"
    if result.withheld:
        yield f"  {count(result.withheld, 'turn')} not compared: payload withheld"
    if result.unreachable:
        turns = count(result.unreachable, "turn")
        yield f"  {turns} not executed: what they build upon is not there"
    for reason in result.reasons:
        yield f"    {reason}"
