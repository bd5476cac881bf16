"""The screen and the JSON of `rescind why`."""

from textwrap import wrap
from typing import Any

from ._sequences_screen import by_json
from ._text import MARGIN, Clock, Line, Span, clip, duration, line, place, plain
from ._why import Branch, Step, Story

_TURN = 8
_AGE = 9
_ACTOR = 20
_INDENT = _TURN + _AGE + 4
"""Callers stand under the actor, where there is room for a path."""
_TEXT = MARGIN - _TURN - _AGE - _ACTOR - 4


def story_lines(story: Story, clock: Clock) -> list[Line]:
    """Return the screen of `rescind why`: the outcome first, then the way back."""
    when = f"turn {story.moment.turn}" if story.moment.turn else "before the log begins"
    if story.moment.time_ns:
        when += f", {clock.date(story.moment.time_ns)}"
    lines = [line(Span(story.headline, "bold")), line("  ", Span(when, "dim"))]
    lines += [each for fact in story.facts for each in _wrapped(fact)]
    for branch in story.branches:
        lines += [line(), *_branch_lines(branch)]
    if story.raced:
        lines += [line(), line(Span("raced with it and lost", "bold"))]
        lines += [each for text in story.raced for each in _wrapped(text)]
    return lines


def _wrapped(text: str) -> list[Line]:
    return [line("  ", each) for each in wrap(plain(text), MARGIN - 2, subsequent_indent="    ")]


def _branch_lines(branch: Branch) -> list[Line]:
    lines: list[Line] = [line(Span(branch.title, "bold"))]
    for index, step in enumerate(branch.steps):
        lines += _step_lines(step, is_first=index == 0)
    if branch.joins:
        lines.append(line(" " * 4, Span(f"and from there as above, from turn {branch.joins}")))
    elif branch.root:
        lines.append(line(" " * 4, Span("began outside: ", "dim"), clip(branch.root, MARGIN - 20)))
    return lines


def _step_lines(step: Step, *, is_first: bool) -> list[Line]:
    arrow = "  " if is_first else "← "
    age = "0" if step.before_ns == 0 else duration(-step.before_ns)
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
        "by": by_json(step.by),
    }
