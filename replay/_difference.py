"""Whether two records say the same: one that was recorded, one that today's code has made."""

from collections.abc import Iterable
from math import isnan
from typing import Any, cast

from rescind.actors.runtime import ActorRef
from rescind.events import Opaque, Reference, SlowTurn, Turn, Unknown, Withheld, declared_as


def difference(expected: Turn, made: tuple[Any, ...]) -> tuple[str, Any, Any] | None:
    actor, _, origin, cause, message, events, _ = made
    if actor != expected.actor:
        return ("another actor took the turn", expected.actor, actor)
    if origin != expected.origin:
        return ("another origin", expected.origin, origin)
    if plain(message[1:]) != plain(expected.message) or message[0] is not type(expected.message):
        return ("another message", expected.message, _fact(message))
    recorded = [
        plain_kind(event)
        for event in expected.events
        if not isinstance(event, SlowTurn)  # how long it took is not decided by anybody
    ]
    actual = [(_kind_name(event[0]), plain(event[1:])) for event in events]
    if actual != recorded:
        return ("other events", expected.events, tuple(_fact(event) for event in events))
    if plain(cause) != plain(wire_cause(expected)):
        return ("another cause", wire_cause(expected), cause)
    return None


def _fact(wire: tuple[Any, ...]) -> Any:
    return wire[0](*wire[1:])


def plain_kind(kind: Any) -> tuple[str, Any]:
    """Return a message or event as its name and its values, so that two can be compared."""
    if isinstance(kind, Unknown):
        return kind.name, plain(kind.values)
    return type(kind).__name__, plain(kind)


def _kind_name(kind: type) -> str:
    declared = declared_as(kind)
    return kind.__name__ if declared is None else declared.name


def cause_of(turn: Turn) -> int:
    return 0 if turn.cause is None or turn.cause.log is not None else turn.cause.number


def wire_cause(turn: Turn) -> Any:
    cause = turn.cause
    if cause is None:
        return 0
    if cause.log is not None:
        return (cause.log, cause.number)
    return (cause.number, cause.request) if cause.request else cause.number


def items(value: Any) -> Iterable[Any]:
    """Return a container of a log's values for what it is: a container of anything."""
    return cast("Iterable[Any]", value)


def plain(value: Any) -> Any:
    """Return a value as it would come back from a log, so that two can be compared."""
    match value:
        case list() | tuple():
            return tuple(map(plain, items(value)))
        case dict():
            return {plain(key): plain(each) for key, each in items(value.items())}
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
