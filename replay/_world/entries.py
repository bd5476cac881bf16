"""What a keyframe's entries tell of what lives; the other side is `entries` in the runtime."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, cast

from rescind.events import Entry, Reference
from rescind.replay._ledger.lives import Moment

from .living import (
    NO_MARKS,
    UNKNOWN,
    Cancelling,
    Done,
    Held,
    Life,
    Mark,
    OpenCall,
    Place,
    Thing,
)

Told: TypeAlias = Thing | bool | None


def thing_of(entry: Entry, as_of: int, epoch: int) -> Told:
    """Return what an entry tells of.

    None where it makes no sense; of the log itself, whether all that lives in it is told.
    """
    match entry.state:
        case None:
            return Life((epoch, entry.cls), 0, UNKNOWN, None, NO_MARKS)
        case {"kind": "log", "is_whole": bool(is_whole)}:
            return is_whole
        case {"kind": str(kind)} if kind in _TOLD:
            return _TOLD[kind](entry, as_of, epoch)
        case _:
            return None


def _told_place(entry: Entry, _as_of: int, epoch: int) -> Place | None:
    match entry.state:
        case {
            "dialect": str(dialect),
            "profile": str(profile),
            "driver": str(driver),
            "state": int() | None as state,
        }:
            opened, changed = _moment(entry, "opened"), _moment(entry, "changed")
            cls = (epoch, entry.cls)
            return Place(dialect, profile, driver, cls, opened, Mark(state, changed))
        case _:
            return None


def _told_call(entry: Entry, _as_of: int, _epoch: int) -> OpenCall | None:
    match entry.state:
        case {"endpoint": int(endpoint), "state": int(state)}:
            opened, changed = _moment(entry, "opened"), _moment(entry, "changed")
            return OpenCall(endpoint, opened, Mark(state, changed), NO_MARKS)
        case _:
            return None


def _moment(entry: Entry, name: str) -> Moment:
    turn = entry.state.get(name)
    return Moment(turn, 0) if type(turn) is int else UNKNOWN


def _told_request(entry: Entry, _as_of: int, _epoch: int) -> Held | None:
    match entry.state:
        case {
            "endpoint": int(endpoint),
            "operation": str(operation),
            "asynchronous": bool(asynchronous),
            "timeout_ns": int() | None as timeout_ns,
        }:
            said = (endpoint, operation, asynchronous, timeout_ns)
        case _:
            return None
    marks = {
        name: Mark(entry.state[name], UNKNOWN)
        for name, kind in _MARKS_TOLD
        if isinstance(entry.state.get(name), kind)
    }
    if entry.state.get("status") == "running":
        marks["running"] = Mark(value=True, at=UNKNOWN)
    asked = entry.state.get("asked")
    accepted, done = _moment(entry, "accepted"), _told_end(entry.state)
    return Held(*said, asked if type(asked) is int else 0, accepted, done, marks or NO_MARKS)


_MARKS_TOLD: tuple[tuple[str, type], ...] = (
    ("started", bool), ("doomed", int), ("sink", str), ("parent", int), ("shielded", bool),
)  # fmt: skip


def _told_end(state: Any) -> Done | None:
    match state:
        case {
            "completed": int(turn),
            "code": int() | None as code,
            "how": int(how),
            "by": int(by),
        }:
            return Done(code, how, by, Moment(turn, 0))
        case _:
            return None


def _told_life(entry: Entry, as_of: int, epoch: int) -> Life:
    state: dict[str, Any] = entry.state
    parent = state.get("parent", 0)
    told = Mark(state, Moment(as_of, 0)) if "state" in state else None
    marks: dict[str, Mark] = {}
    if type(incarnation := state.get("incarnation")) is int:
        marks["incarnation"] = Mark(incarnation, UNKNOWN)
    for name, kind in (("watchers", Reference), ("aside", int)):
        if some := tuple(each for each in _items(state.get(name)) if isinstance(each, kind)):
            marks[name] = Mark(some, UNKNOWN)
    number = parent if type(parent) is int else 0
    return Life((epoch, entry.cls), number, UNKNOWN, told, marks or NO_MARKS)


def _items(value: Any) -> Sequence[Any]:
    if not isinstance(value, tuple | list):
        return ()
    items: Sequence[Any] = cast("Sequence[Any]", value)
    return items


_TOLD: dict[str, Callable[[Entry, int, int], Told]] = {
    "actor": _told_life,
    "call": _told_call,
    "endpoint": _told_place,
    "request": _told_request,
}


def windows_of(entry: Entry) -> Iterator[tuple[int, Cancelling]]:
    """Yield the cancels that an endpoint's entry tells of and that have not ended."""
    for window in _items(entry.state.get("windows")):
        match window:
            case {
                "cancel": int(cancel),
                "began": int(began),
                "trigger": int(trigger),
                "timed_out": int(timed_out),
                "open": True,
                "stopped": bool(stopped),
                "code": int() | None as code,
            }:
                at = Moment(began, 0)
                by = timed_out or trigger
                yield (
                    cancel,
                    Cancelling(
                        entry.actor, "", by, "", at, at, Mark(code, UNKNOWN) if stopped else None
                    ),
                )
            case _:
                pass
