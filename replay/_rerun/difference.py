"""Whether two records say the same: one that was recorded, one that today's code has made."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from math import isnan
from typing import Any, cast

from rescind.actors.runtime import ActorRef
from rescind.events import (
    Declared,
    Opaque,
    Reference,
    SlowTurn,
    Turn,
    Unknown,
    Withheld,
    declared_as,
)

from .result import Mismatch

_ATOMS = frozenset({type(None), bool, int, str, bytes})
_TEXT_MAX = 400
"""A value is shown up to so many characters."""
_DIFFERENCES_MAX = 8
"""So many differences are shown of one record."""


def is_same_on_wire(
    recorded: tuple[Any, ...], made: tuple[Any, ...], brought: tuple[Any, ...] | None
) -> bool:
    """Tell whether two records are equal as they are on the wire; if not, they may yet be.

    Every turn comes through here, so what can be compared in C is.

    Args:
        recorded: The recorded one.
        made: The one of today's code.
        brought: The message's fields, if it was taken from the log and given to today's code.
    """
    try:
        if made[0] != recorded[0] or made[2] != recorded[2] or made[3] != recorded[3]:
            return False
        message, taken = made[4], recorded[4]
        if message != taken and brought != message[1:] and not same(taken, message):
            return False
        events, happened = made[5], recorded[5]
        return events == happened or same(happened, events)
    except Exception:  # noqa: BLE001  # what the application's own __eq__ may raise
        return False


def is_same(expected: Turn, made: tuple[Any, ...], brought: tuple[Any, ...] | None) -> bool:
    """Tell whether a record says what a recorded turn says; how long it took nobody decided.

    Args:
        expected: The recorded turn.
        made: The record of today's code, with classes in the place of their numbers.
        brought: The message's fields, if it was taken from the log and given to today's code.
    """
    actor, _, origin, cause, message, events, _ = made
    recorded, fields = expected.message, message[1:]
    is_brought = brought is not None and brought == fields
    happened = [each for each in expected.events if not isinstance(each, SlowTurn)]
    return (
        actor == expected.actor
        and origin == expected.origin
        and cause == wire_cause(expected)
        and (is_brought or (message[0] is type(recorded) and _is_equal(recorded, fields)))
        and len(events) == len(happened)
        and all(map(_is_same_event, happened, events))
    )


def _is_same_event(recorded: Any, made: tuple[Any, ...]) -> bool:
    if made[0] is type(recorded):
        return same(tuple(recorded), made[1:])
    return _is_declared(recorded, made)


def _is_equal(recorded: tuple[Any, ...], made: tuple[Any, ...]) -> bool:
    try:
        return recorded == made or same(tuple(recorded), made)
    except Exception:  # noqa: BLE001  # what the application's own __eq__ may raise
        return same(tuple(recorded), made)


def _is_declared(recorded: Any, made: tuple[Any, ...]) -> bool:
    """Tell whether an event of the application's is the recorded one."""
    declared = declared_as(made[0])
    return (
        declared is not None
        and isinstance(recorded, Unknown)
        and recorded.name == declared.name
        and same(_upcast(recorded, declared), made[1:])
    )


def same(recorded: Any, made: Any) -> bool:
    """Tell whether a value would come back from a log as the recorded one did."""
    kind = made.__class__
    if kind in _ATOMS:
        return bool(recorded == made)
    if kind is tuple or kind is list:
        return (
            isinstance(recorded, tuple | list)
            and len(items(recorded)) == len(made)
            and all(map(same, items(recorded), made))
        )
    declared = declared_as(kind)
    if declared is not None and isinstance(recorded, Unknown):
        return recorded.name == declared.name and same(_upcast(recorded, declared), tuple(made))
    return bool(plain(recorded) == plain(made))


def _upcast(recorded: Unknown, declared: Declared) -> tuple[Any, ...]:
    """Return a recorded value's fields as the present version of its kind has them."""
    if recorded.version == declared.version:
        return recorded.values
    try:
        return tuple(declared.revive(recorded))
    except (TypeError, ValueError):
        return recorded.values


# --- what differs, in words ---------------------------------------------------------------------


def describe_difference(expected: Turn, made: tuple[Any, ...]) -> tuple[str, Any, Any]:
    """Return in a few words what differs in two records, and both sides of it."""
    actor, _, origin, cause, message, events, _ = made
    if actor != expected.actor:
        return ("another actor took the turn", expected.actor, actor)
    if origin != expected.origin:
        return ("another origin", expected.origin, origin)
    taken = fact(message)
    if message[0] is not type(expected.message) or not same(
        tuple(expected.message), tuple(message[1:])
    ):
        return ("another message", expected.message, taken)
    recorded = tuple(each for each in expected.events if not isinstance(each, SlowTurn))
    decided = tuple(map(fact, events))
    if len(recorded) != len(decided) or not all(map(same_fact, recorded, decided)):
        return ("other events", recorded, decided)
    return ("another cause", wire_cause(expected), cause)


def same_fact(recorded: Any, made: Any) -> bool:
    """Tell whether two messages or events are of the same kind and say the same."""
    if isinstance(recorded, Unknown) or declared_as(made.__class__) is not None:
        return same(recorded, made)
    return type(recorded) is type(made) and same(tuple(recorded), tuple(made))


def fact(wire: tuple[Any, ...]) -> Any:
    """Return a message or event of a record that was made."""
    declared = declared_as(wire[0])
    return wire[0](*wire[1:]) if declared is None else declared.make(wire[1:])


def differences(expected: Any, actual: Any) -> tuple[Mismatch, ...]:
    """Return the parts in which two sides of a difference differ, and nothing that is equal."""
    found = list(_parts("", expected, actual))
    return tuple(found[:_DIFFERENCES_MAX])


def _parts(path: str, expected: Any, actual: Any) -> Iterator[Mismatch]:
    if actual is None and expected is not None:
        yield Mismatch(path, text_of(expected), None)
    elif _is_events(expected) and _is_events(actual):
        yield from _in_events(expected, actual)
    elif _is_fact(expected) and _is_fact(actual) and name_of(expected) == name_of(actual):
        yield from _in_fields(f"{path} {name_of(actual)}".strip(), expected, actual)
    elif not same(expected, actual):
        yield Mismatch(path, text_of(expected), text_of(actual))


def _is_events(value: Any) -> bool:
    return value.__class__ is tuple and all(map(_is_fact, items(value)))


def _is_fact(value: Any) -> bool:
    is_kind = hasattr(value, "_fields")
    return is_kind or isinstance(value, Unknown) or declared_as(value.__class__) is not None


def _in_events(expected: Any, actual: Any) -> Iterator[Mismatch]:
    """Compare from the front and from the back, so that one more or less is shown alone."""
    front = 0
    while front < min(len(expected), len(actual)) and same_fact(expected[front], actual[front]):
        front += 1
    back = 0
    while back < min(len(expected), len(actual)) - front and same_fact(
        expected[-1 - back], actual[-1 - back]
    ):
        back += 1
    left: Iterable[Any] = expected[front : len(expected) - back]
    right: Iterable[Any] = actual[front : len(actual) - back]
    for at, (one, other) in enumerate(zip_longest(left, right), front):
        path = f"events[{at}]"
        if one is None:
            yield Mismatch(path, None, text_of(other))
        else:
            yield from _parts(path, one, other)


def _in_fields(path: str, expected: Any, actual: Any) -> Iterator[Mismatch]:
    names, values = _fields_of(actual)
    recorded = _fields_of(expected)[1]
    declared = declared_as(actual.__class__)
    if declared is not None and isinstance(expected, Unknown):
        recorded = _upcast(expected, declared)
    for name, one, other in zip_longest(names, recorded, values, fillvalue=""):
        if not same(one, other):
            yield from _in_value(f"{path}.{name}", one, other)


def _in_value(path: str, expected: Any, actual: Any) -> Iterator[Mismatch]:
    """Go into a value as far as it has the same shape on both sides."""
    if _is_fact(expected) and _is_fact(actual) and name_of(expected) == name_of(actual):
        yield from _in_fields(path, expected, actual)
    elif isinstance(expected, dict) and isinstance(actual, dict):
        recorded, made = items(expected), items(actual)
        for key in [*recorded, *(key for key in made if key not in recorded)]:
            if key not in recorded:
                yield Mismatch(f"{path}[{key!r}]", None, text_of(made[key]))
            elif key not in made:
                yield Mismatch(f"{path}[{key!r}]", text_of(recorded[key]), None)
            elif not same(recorded[key], made[key]):
                yield from _in_value(f"{path}[{key!r}]", recorded[key], made[key])
    elif _are_rows(expected, actual):
        for at, (one, other) in enumerate(zip(items(expected), items(actual), strict=True)):
            if not same(one, other):
                yield from _in_value(f"{path}[{at}]", one, other)
    else:
        yield Mismatch(path, text_of(expected), text_of(actual))


def _are_rows(expected: Any, actual: Any) -> bool:
    sorts = (tuple, list)
    if type(expected) not in sorts or type(actual) not in sorts:
        return False
    return len(items(expected)) == len(items(actual))


def _fields_of(value: Any) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    if isinstance(value, Unknown):
        return value.fields, value.values
    declared = declared_as(value.__class__)
    return (value._fields if declared is None else declared.fields), tuple(value)


def name_of(kind: Any) -> str:
    """Return the name of a message's or event's kind."""
    return kind.name if isinstance(kind, Unknown) else _kind_name(kind.__class__)


def text_of(value: Any) -> str:
    """Return a value as text, cut where it is very long."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # the application's own __repr__
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


# --- values -------------------------------------------------------------------------------------


def plain_kind(kind: Any) -> tuple[str, Any]:
    """Return a message or event as its name and its values, so that two can be compared."""
    if isinstance(kind, Unknown):
        return kind.name, plain(kind.values)
    return type(kind).__name__, plain(kind)


def _kind_name(kind: type) -> str:
    declared = declared_as(kind)
    return kind.__name__ if declared is None else declared.name


def wire_cause(turn: Turn) -> Any:
    cause = turn.cause
    if cause is None:
        return 0
    if cause.log is not None:
        return (cause.log, cause.number)
    return (cause.number, cause.request) if cause.request else cause.number


def items(value: Any) -> Any:
    """Return a container of a log's values for what it is: a container of anything."""
    return value


def plain(value: Any) -> Any:
    """Return a value as it would come back from a log, so that two can be compared."""
    match value:
        case list() | tuple():
            return tuple(map(plain, cast("Iterable[Any]", value)))
        case dict():
            return {plain(key): plain(each) for key, each in items(value).items()}
        case bytearray() | memoryview():
            return bytes(cast("bytearray", value))
        case float() if isnan(value):
            return "NaN"  # which equals nothing, itself included
        case (
            None | bool() | int() | float() | str() | bytes() | Opaque() | Reference() | Withheld()
        ):
            return value
        case _:
            return _plain_object(value)


def _plain_object(value: Any) -> Any:
    """Return what the log holds in the place of an object of ours, or of the application."""
    if isinstance(value, Unknown):
        return plain_kind(value)
    if isinstance(value, ActorRef):
        return value.to_reference()
    if declared_as(value.__class__) is not None:
        return _kind_name(value.__class__), plain(tuple(value))
    return Opaque(type(value).__name__)
