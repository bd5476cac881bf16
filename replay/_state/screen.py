"""The screens and the JSON of `rescind state`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any

from rescind.events import How
from rescind.replay._ledger.dialects import Tables, end_text
from rescind.replay._ledger.numbers import Numbers
from rescind.replay._words.text import (
    MARGIN,
    Clock,
    Line,
    Span,
    clip,
    count,
    duration,
    jsonable,
    line,
    value_text,
)

from .state import ActorDifference, ActorState, FieldChange, Kind

SHOWN_MAX = 20
"""So many of a kind are shown in a cut, and so many fields' values of a list, unless all are."""

_NAME = 14
_VALUE = MARGIN - _NAME - 20
_PLURAL = {
    Kind.ENDPOINT: "endpoints",
    Kind.CALL: "calls",
    Kind.ACTOR: "actors",
    Kind.CANCEL: "cancels that have not ended",
    Kind.REQUEST: "requests neither delivered nor discarded",
}
_NUMBERS = {"windows": "c", "pending": "r", "waits_for": "r", "aside": "turn ", "began": "r"}
_NUMBER = {
    "endpoint": "a", "scope": "a", "parent": "a", "asked": "a", "by": "r", "doomed": "c",
    "waits": "a",
}  # fmt: skip


def state_head(turn: int, time_ns: int, clock: Clock) -> Line:
    """Return the line that says what the answer is of."""
    return line(Span(f"behind turn {turn}", "bold"), Span(f", {clock.date(time_ns)}", "dim"))


def one_lines(state: ActorState, *, show_all: bool = False) -> list[Line]:
    """Return the screen of one actor: field by field, with the turn that set it."""
    head = [Span(state.label, "bold")]
    if not state.is_alive:
        head.append(Span("  had ended" if state.kind is not Kind.ACTOR else "  had stopped", "red"))
    elif state.since_ns is not None:
        head.append(Span(f"  for {duration(state.since_ns)}", "dim"))
    lines = [line(*head)]
    for name, value in state.state.items():
        if name == "own":
            lines += _own_lines(value, show_all=show_all)
        elif not state.is_alive or _is_worth(name, value):
            lines.append(_field_line(state, name, value, show_all=show_all))
    if "told_as_of" in state.state:
        lines.append(_told_line(state))
    return lines


def _is_worth(name: str, value: Any) -> bool:
    """Whether a field is shown: not where it says that there is nothing to say."""
    if name in {"told", "told_as_of", "events_since"}:
        return False
    return name == "code" or value is False or value not in ((), "", None, 0)


def _field_line(state: ActorState, name: str, value: Any, *, show_all: bool) -> Line:
    turn = state.turns.get(name, 0)
    shown = _field_text(name, value, state, show_all=show_all)
    return line(
        "  ", Span(f"{name.replace('_', ' '):<{_NAME}}", "dim"), f"{shown:<{_VALUE}}",
        Span(f" turn {turn}" if turn else "", "cyan"),
    )  # fmt: skip


def _field_text(name: str, value: Any, state: ActorState, *, show_all: bool = False) -> str:
    """Return a field's value as people want it."""
    width = 10**6 if show_all else _VALUE
    if name in _NUMBERS:
        text = _numbers(value, _NUMBERS[name], show_all=show_all)
    elif name in _NUMBER:
        text = f"{_NUMBER[name]}{value}"
    elif name in _SPELT:
        text = _SPELT[name](value, state)
    else:
        text = value if isinstance(value, str) else value_text(value, width)
    return clip(text, width)


_SPELT: dict[str, Callable[[Any, ActorState], str]] = {
    "code": lambda value, state: end_text(Tables(), value, state.state.get("how", How.RESULT)),
    "how": lambda value, _: end_text(Tables(), None, value),
    "timeout_ns": lambda value, _: duration(value),
    "timers": lambda value, _: ", ".join(f"set in turn {turn}" for turn, _ in value),
    "watchers": lambda value, _: ", ".join(f"a{each.number}" for each in value),
}


def _numbers(numbers: Sequence[int], letter: str, *, show_all: bool) -> str:
    """Return numbers, runs of them as first..last."""
    runs = [
        f"{letter}{first}" + (f"..{letter}{last}" if first < last else "")
        for first, last in Numbers.of(numbers).ranges
    ]
    total = f"{len(numbers):,}: " if len(numbers) > 1 else ""
    shown = runs if show_all else runs[:SHOWN_MAX]
    return total + ", ".join(shown) + (" ..." if len(shown) < len(runs) else "")


def _own_lines(own: Any, *, show_all: bool) -> Iterator[Line]:
    width = 10**6 if show_all else MARGIN - _NAME - 4
    for name, value in own.items():
        yield line("  ", Span(f"{name:<{_NAME}}", "green"), value_text(value, width))


def _told_line(state: ActorState) -> Line:
    events, as_of = state.state["events_since"], state.state["told_as_of"]
    told = f"a keyframe tells it as of turn {as_of}" if as_of else "no keyframe tells it"
    text = f"its own state: {told}; {count(events, 'event')} since; --classes MODULE folds them"
    return line("  ", Span(text, "yellow"))


def cut_lines(states: Iterable[ActorState], *, show_all: bool = False) -> Iterator[Line]:
    """Yield the screen of a cut: the runtime's counts, then each kind in order."""
    for kind, group in groupby(states, key=lambda state: state.kind):
        yield from _kind_lines(kind, group, show_all=show_all)


def _kind_lines(kind: Kind, states: Iterator[ActorState], *, show_all: bool) -> Iterator[Line]:
    if kind is Kind.RUNTIME:
        for state in states:
            yield from _runtime_lines(state)
        return
    yield line()
    yield line(Span(_PLURAL[kind], "bold"))
    yield from map(_row, states if show_all else islice(states, SHOWN_MAX))
    rest = sum(1 for _ in states)
    if rest:
        yield line(Span(f"  and {rest:,} more (--all shows them)", "dim"))


def _runtime_lines(state: ActorState) -> Iterator[Line]:
    told = state.state
    parts = [
        count(told[name], name[:-1])
        for name in ("endpoints", "calls", "actors", "cancels", "requests")
        if told[name]
    ]
    yield line("  ", ", ".join(parts) or "nothing lived")
    if not told["is_whole"]:
        text = (
            "turns before this are missing: what lived since then and was not heard of is not here"
        )
        yield line("  ", Span(text, "yellow"))


def _row(state: ActorState) -> Line:
    age = "" if state.since_ns is None else duration(state.since_ns)
    turn = state.changed
    return line(
        "  ", f"{clip(state.label, 30):<30} ", f"{clip(_summary(state), 46):<46} ",
        Span(f"{clip(age, 8):>8} ", "dim"), Span(f"turn {turn}" if turn else "", "cyan"),
    )  # fmt: skip


def _summary(state: ActorState) -> str:
    """Return an actor in a few words."""
    told = state.state
    match state.kind:
        case Kind.ENDPOINT:
            pending, windows = len(told["pending"]), len(told["windows"])
            parts = [str(told["state"] or ""), f"{pending:,} pending" if pending else ""]
            parts.append(f"{count(windows, 'open window')}" if windows else "")
        case Kind.CALL:
            parts = [str(told["state"] or ""), f"of a{told['endpoint']}"]
        case Kind.REQUEST:
            parts = [told["status"], _outcome(told), f"of a{told['endpoint']}"]
            parts.append(f"to end by c{told['doomed']}" if "doomed" in told else "")
        case Kind.CANCEL:
            parts = [f"window {told['window']}", f"waits for {len(told['waits_for']):,}"]
            parts.append(f"driver {told['driver']}")
        case _:
            parts = _actor_parts(told)
    return ", ".join(part for part in parts if part)


def _outcome(told: Any) -> str:
    return end_text(Tables(), told["code"], told["how"]) if "how" in told else ""


def _actor_parts(told: Any) -> list[str]:
    own: dict[str, Any] = told.get("own") or {}
    events = told.get("events_since")
    return [
        f"of a{told['parent']}" if told["parent"] else "",
        f"waits for a{told['waits']}" if "waits" in told else "",
        f"{len(told['aside'])} aside" if told["aside"] else "",
        count(len(told["timers"]), "timer") if told["timers"] else "",
        count(events, "event") if events else "",
        ", ".join(f"{name}={value_text(value, 20)}" for name, value in own.items()),
    ]


def difference_lines(
    differences: Iterable[ActorDifference], *, show_all: bool = False
) -> Iterator[Line]:
    """Yield the screen of `--diff`: per actor what changed, came and went."""
    shown = differences if show_all else islice(differences, 5 * SHOWN_MAX)
    is_same = True
    for each in shown:
        is_same = False
        if each.came or each.went:
            sign, style = ("+", "green") if each.came else ("-", "red")
            turn = each.changes[0].turn
            yield line(
                Span(f"{sign} {clip(each.after.label, 50):<50} ", style),
                f"{clip(_summary(each.after), 34):<34} ",
                Span(f"turn {turn}" if turn else "", "cyan"),
            )
            continue
        yield line(Span(f"  {each.after.label}", "bold"))
        yield from (_change_line(change, each.after) for change in each.changes)
    rest = sum(1 for _ in differences) if not show_all else 0
    if rest:
        yield line(Span(f"and {rest:,} more (--all shows them)", "dim"))
    if is_same:
        yield line("nothing that the log tells of changed")


def _change_line(change: FieldChange, state: ActorState) -> Line:
    before, after = (_side(change.field, value, state) for value in (change.before, change.after))
    return line(
        "    ", Span(f"{change.field.replace('_', ' '):<{_NAME}}", "dim"),
        f"{clip(before, 28)} → {clip(after, 32)}",
        Span(f"  turn {change.turn}" if change.turn else "", "cyan"),
    )  # fmt: skip


def _side(name: str, value: Any, state: ActorState) -> str:
    if value is None or value in ((), ""):
        return "ok" if name == "code" else "nothing"
    return _field_text(name, value, state)


def state_json(state: ActorState) -> dict[str, Any]:
    """Return one actor as JSON."""
    return {
        "actor": state.selector if state.actor else "runtime",
        "kind": state.kind.value,
        "label": state.label,
        "as_of": state.as_of,
        "alive": state.is_alive,
        "since_ns": state.since_ns,
        "state": jsonable(dict(state.state)),
        "turns": dict(state.turns),
    }


def difference_json(each: ActorDifference) -> dict[str, Any]:
    """Return what changed of one actor as JSON."""
    return {
        "actor": each.after.selector if each.after.actor else "runtime",
        "kind": each.after.kind.value,
        "label": each.after.label,
        "came": each.came,
        "went": each.went,
        "changes": [
            {
                "field": change.field or None,
                "before": jsonable(change.before),
                "after": jsonable(change.after),
                "turn": change.turn or None,
            }
            for change in each.changes
        ],
    }
