"""The screen and the JSON of `rescind why`."""

from collections.abc import Mapping
from textwrap import wrap
from types import MappingProxyType
from typing import Any

from rescind.replay._words.text import (
    MARGIN,
    Clock,
    Line,
    Span,
    by_json,
    clip,
    count,
    duration,
    line,
    place,
    plain,
)

from .why import Branch, Step, Story

_TURN = 8
_AGE = 9
_ACTOR = 20
_INDENT = _TURN + _AGE + 4
"""Callers stand under the actor, where there is room for a path."""
_TEXT = MARGIN - _TURN - _AGE - _ACTOR - 4


_HEAD_MAX, _TAIL_MAX = 10, 4
"""Steps shown from the beginning and the end of a long way back."""
_FOLDED_MIN = 4


def story_lines(
    story: Story,
    clock: Clock,
    *,
    show_all: bool = False,
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[Line]:
    """Return the screen of `rescind why`: the outcome first, then the way back.

    Of a long way back the middle is folded, unless all is asked for.  ``names`` are those of the
    logs, by their ids.
    """
    when = f"turn {story.moment.turn}" if story.moment.turn else "before the log begins"
    if story.moment.time_ns:
        when += f", {clock.date(story.moment.time_ns)}"
    lines = [line(Span(story.headline, "bold")), line("  ", Span(when, "dim"))]
    lines += [each for fact in story.facts for each in _wrapped(fact)]
    for branch in story.branches:
        lines += [line(), *_branch_lines(branch, names, show_all=show_all)]
    if story.raced:
        lines += [line(), line(Span("raced with it and lost", "bold"))]
        lines += [each for text in story.raced for each in _wrapped(text)]
    return lines


def _wrapped(text: str) -> list[Line]:
    return [line("  ", each) for each in wrap(plain(text), MARGIN - 2, subsequent_indent="    ")]


def _branch_lines(branch: Branch, names: Mapping[str, str], *, show_all: bool) -> list[Line]:
    lines: list[Line] = [line(Span(branch.title, "bold"))]
    hidden = range(0)
    if not show_all and len(branch.steps) > _HEAD_MAX + _TAIL_MAX + _FOLDED_MIN:
        hidden = range(_HEAD_MAX, len(branch.steps) - _TAIL_MAX)
    log = ""
    for index, step in enumerate(branch.steps):
        if index not in hidden:
            if step.log != log:
                log = step.log
                lines.append(line(" " * _INDENT, Span(_place_of(log, names), "dim")))
            lines += _step_lines(step, is_first=index == 0)
        elif index == hidden.start:
            more = f"... {count(len(hidden), 'turn')} between (--all shows them)"
            lines.append(line(" " * _INDENT, Span(more, "dim")))
    if branch.joins:
        lines.append(line(" " * 4, Span(f"and from there as above, from turn {branch.joins}")))
    elif branch.root:
        lines.append(line(" " * 4, Span("began outside: ", "dim"), clip(branch.root, MARGIN - 20)))
    return lines


def _place_of(log: str, names: Mapping[str, str]) -> str:
    """Return in which log the next steps stand."""
    unnamed = f"log {log[:6]}" if log else "the log that was asked"
    return clip(f"in {plain(names.get(log, unnamed))}", MARGIN - _INDENT)


def _step_lines(step: Step, *, is_first: bool) -> list[Line]:
    arrow = "  " if is_first else "← "
    age = "0" if step.before_ns == 0 else duration(-step.before_ns)
    if step.log:
        age = f"~{age}"  # by another clock
    lines = [
        line(
            "  ", Span(arrow, "cyan"), Span(f"{step.turn:<{_TURN - 2}}", "cyan"),
            f"{age:>{_AGE}}  ", f"{clip(step.actor, _ACTOR):<{_ACTOR}} ", clip(step.says, _TEXT),
        )
    ]  # fmt: skip
    if step.by is not None:
        who = f"by {plain(step.by.who)}  {place(step.by, 60)}"
        lines.append(line(" " * _INDENT, Span(clip(who, MARGIN - _INDENT), "bold")))
    return lines


def story_json(story: Story) -> dict[str, Any]:
    """Return the document of `rescind why --json`, without its schema."""
    return {
        "of": str(story.target),
        "headline": story.headline,
        "turn": story.moment.turn,
        "time_ns": story.moment.time_ns,
        "facts": list(story.facts),
        "branches": [_branch_json(branch) for branch in story.branches],
        "raced": list(story.raced),
        "related": list(story.related),
    }


def _branch_json(branch: Branch) -> dict[str, Any]:
    return {
        "title": branch.title,
        "steps": [_step_json(step) for step in branch.steps],
        "root": branch.root or None,
        "joins": branch.joins or None,
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "turn": step.turn,
        "time_ns": step.time_ns,
        "before_ns": step.before_ns,
        "actor": step.actor,
        "message": step.message,
        "says": step.says,
        "origin": step.origin,
        "log": step.log or None,
        "by": by_json(step.by),
    }
