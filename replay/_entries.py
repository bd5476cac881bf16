"""What a keyframe's entries tell of what lives; the other side is `entries` in the runtime."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from rescind.events import Entry, Reference

from ._lives import Moment
from ._living import (
    NO_MARKS,
    UNKNOWN,
    Cancelling,
    Done,
    Held,
    Life,
    Mark,
    OpenCall,
    Place,
)

Told: TypeAlias = Held | Place | OpenCall | Life | bool | None


def thing_of(entry: Entry, as_of: int, epoch: int) -> Told:
    """Return what an entry tells of; None where it makes no sense, a bool where it is the log's."""
    match entry.state:
        case {"kind": "log", "is_whole": bool(is_whole)}:
            return is_whole
        case {
            "kind": "request",
            "endpoint": int(),
            "operation": str(),
            "asynchronous": bool(),
            "timeout_ns": int() | None,
        }:
            return _told_request(entry.state)
        case {
            "kind": "endpoint",
            "dialect": str(dialect),
            "profile": str(profile),
            "driver": str(driver),
            "state": int() | None as state,
        }:
            cls = (epoch, entry.cls)
            return Place(dialect, profile, driver, cls, UNKNOWN, Mark(state, UNKNOWN))
        case {"kind": "call", "endpoint": int(endpoint), "state": int(state)}:
            return OpenCall(endpoint, UNKNOWN, Mark(state, UNKNOWN), NO_MARKS)
        case None:
            return Life((epoch, entry.cls), 0, UNKNOWN, None, NO_MARKS)
        case {"kind": "actor"}:
            return _told_life(entry, as_of, epoch)
        case _:
            return None


def _told_request(state: dict[str, Any]) -> Held:
    marks: dict[str, Mark] = {}
    accepted, done = UNKNOWN, None
    match state:
        case {
            "completed": int(turn),
            "code": int() | None as code,
            "how": int(how),
            "by": int(by),
        }:
            done = Done(code, how, by, Moment(turn, 0))
        case {"accepted": int(turn)}:
            accepted = Moment(turn, 0)
        case _:
            pass
    for name, kind in _TOLD_OF_A_REQUEST:
        if isinstance(state.get(name), kind):
            marks[name] = Mark(state[name], UNKNOWN)
    if state.get("status") == "running":
        marks["running"] = Mark(value=True, at=UNKNOWN)
    return Held(
        state["endpoint"], state["operation"], state["asynchronous"], state["timeout_ns"], 0, 0,
        accepted, done, marks or NO_MARKS,
    )  # fmt: skip


_TOLD_OF_A_REQUEST = (("doomed", int), ("sink", str), ("asked", int))


def _told_life(entry: Entry, as_of: int, epoch: int) -> Life:
    state: dict[str, Any] = entry.state
    parent, watchers = state.get("parent", 0), state.get("watchers", ())
    told = Mark(state, Moment(as_of, 0)) if "state" in state else None
    marks = NO_MARKS
    if isinstance(watchers, tuple | list) and watchers:
        named = [watcher for watcher in watchers if isinstance(watcher, Reference)]
        marks = {"watchers": Mark(tuple(named), UNKNOWN)}
    return Life((epoch, entry.cls), parent if type(parent) is int else 0, UNKNOWN, told, marks)


def windows_of(entry: Entry) -> Iterator[tuple[int, Cancelling]]:
    """Yield the cancels that an endpoint's entry tells of and that have not ended."""
    windows = entry.state.get("windows")
    for window in windows if isinstance(windows, tuple | list) else ():
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
