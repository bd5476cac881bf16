"""The state of an event-sourced actor as a keyframe holds it, and back.

MessagePack has one sort of array and no sets; a state must come back as it was.  So containers and
values of declared kinds are written as arrays that begin with a letter for their sort.
"""

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

from rescind.events import Reference, Start, Unknown, declared_as

from ._actor import Actor
from ._known import Known, Refer
from ._ref import ActorRef

DEPTH_MAX = 16
"""How deep containers may be nested in a state; a deeper one is not told."""

_PLAIN = frozenset({type(None), bool, float, bytes})
_SORTS: dict[type, str] = {tuple: "t", list: "l", set: "s", frozenset: "f"}
_CONTAINERS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "t": tuple, "l": list, "s": set, "f": frozenset,
}  # fmt: skip


class CannotTellError(Exception):
    """A value that a log cannot give back as it is."""


class Birth(NamedTuple):
    """What an actor was constructed with, and in which epoch."""

    args: list[Any]
    kwargs: dict[str, Any]
    epoch: int


def freeze(value: Any, depth: int = 0) -> Any:
    """Return a value as a keyframe holds it.

    Raises:
        CannotTellError: It is, or holds, something that would not come back as it is.
    """
    kind: type[Any] = value.__class__
    if kind in _PLAIN or (kind is int and -(1 << 63) <= value < 1 << 63):
        return value
    if kind is str:
        return _text(value)
    if depth > DEPTH_MAX:
        raise CannotTellError("it is nested too deeply")
    if kind in _SORTS:
        frozen = [freeze(each, depth + 1) for each in value]
        # In an order that does not hang on the hashes of this process.
        return [_SORTS[kind], *(sorted(frozen, key=repr) if kind in (set, frozenset) else frozen)]
    if kind is dict:
        return ["d", *(freeze(each, depth + 1) for pair in value.items() for each in pair)]
    declared = declared_as(kind)
    if declared is not None:
        return ["k", declared.name, declared.version, *(freeze(each, depth + 1) for each in value)]
    if isinstance(value, ActorRef):
        return value.to_reference()
    raise CannotTellError(kind.__qualname__)


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CannotTellError("it is no text") from error
    return value


def thaw(frozen: Any, known: Known, refer: Refer) -> Any:
    """Return the value that ``freeze`` was given.

    Raises:
        CannotTellError: It holds a kind that is not known.
        ValueError: The fields of a declared kind do not fit its class.
    """
    if isinstance(frozen, Reference):
        return refer(frozen)
    return _thaw_array(frozen, known, refer) if isinstance(frozen, tuple) else frozen


def _thaw_array(frozen: Any, known: Known, refer: Refer) -> Any:
    if frozen[0] == "k":
        _, name, version, *fields = frozen
        if name not in known.kinds:
            raise CannotTellError(f"it holds a {name}, which is not among the classes named")
        values = tuple(thaw(each, known, refer) for each in fields)
        return known.kinds[name].revive(Unknown(name, version, (), values))
    values = tuple(thaw(each, known, refer) for each in frozen[1:])
    if frozen[0] == "d":
        return dict(zip(values[::2], values[1::2], strict=True))
    return _CONTAINERS[frozen[0]](values)


def told(actor: Actor) -> dict[str, Any] | None:
    """Return what a keyframe says of an ordinary actor besides its class; None if nothing.

    That is who started and who watches it, and of an event-sourced actor what it can be rebuilt
    from, if the log may and can hold that.
    """
    ref = actor.actor_ref
    state: dict[str, Any] = {"parent": ref.parent} if ref.parent else {}
    if ref.incarnation > 1:
        state["incarnation"] = ref.incarnation
    aside = actor.runtime.stashes.turns_of(actor)
    if aside:
        state["aside"] = aside
    if ref.watchers:
        state["watchers"] = [each.to_reference() for each in ref.watchers]
    if ref.birth is not None and actor.runtime.log.keeps(Start):
        with suppress(CannotTellError):
            state |= _told_state(actor, ref.birth)
    return {"kind": "actor", **state} if state else None


def _told_state(actor: Actor, birth: Birth) -> dict[str, Any]:
    """What an event-sourced actor can be rebuilt from.

    An attribute that cannot be told is left to the constructor, unless the class annotates it.
    """
    made = {"args": freeze(tuple(birth.args)), "kwargs": freeze(birth.kwargs)}
    annotated = _annotated(type(actor))
    state: list[Any] = []
    for name, value in vars(actor).items():
        state += _told_attribute(name, value, must=name in annotated)
    return made | {"epoch": birth.epoch, "state": state}


def _told_attribute(name: str, value: Any, *, must: bool) -> tuple[Any, ...]:
    try:
        return (name, freeze(value))
    except CannotTellError:
        if must:
            raise
        return ()


def restore(actor: Actor, state: tuple[Any, ...], known: Known, refer: Refer) -> None:
    """Give a constructed actor the attributes that a keyframe tells of; raises what `thaw` does."""
    for name, frozen in zip(state[::2], state[1::2], strict=True):
        vars(actor)[name] = thaw(frozen, known, refer)


@cache
def _annotated(cls: type) -> frozenset[str]:
    """The attributes that the application's classes among an actor's annotate."""
    own = [each for each in cls.__mro__ if not each.__module__.startswith("rescind.")]
    return frozenset(name for each in own for name in inspect.get_annotations(each))
