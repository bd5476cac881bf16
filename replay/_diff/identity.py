"""Turns and actors named without their numbers, so that two recordings can be laid side by side.

Two recordings of one program number their actors and turns differently.  Here each gets an
*identity*, 64 bits that depend only on how it came about: a turn's on the identities of its cause
and of its actor, on the kind of its message, and on its place among equal ones; an actor's on the
turn that made it.

What a turn *says* is hashed apart from what it *is*: two turns can be the same one and differ.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

from rescind.events import (
    EVENTS,
    Accepted,
    Asked,
    CallOpened,
    CancelEnded,
    CancelRequested,
    Completed,
    CompletionScript,
    How,
    Notice,
    Opaque,
    Reference,
    Rejected,
    Submit,
    Taken,
    Turn,
    Unknown,
    Withheld,
)
from rescind.events._mentions import NUMBER_FIELDS, RANGES_FIELDS
from rescind.replay._ledger.model import each
from rescind.replay._ledger.sound import is_sound
from rescind.replay._words.turns import fields_of, kind_name

Identify: TypeAlias = Callable[[int], int]
"""An actor's number to its identity, or to whatever stands for it."""

Tell: TypeAlias = Callable[[Any, Identify], Any]

SIBLINGS_MAX = 1 << 16
"""Equal turns of one cause are told apart while no more than so many others lie between them."""

_HASH_BITS = 0xFFFF_FFFF_FFFF_FFFF


def mixed(*parts: Any) -> int:
    """Return 64 bits that stand for these parts, the same everywhere in one process.

    Their text is hashed: the hash of a tuple of small integers would tell -1 and -2 not apart.
    """
    return hash(repr(parts)) & _HASH_BITS


class Ordinals:
    """Counts how often a key came; keys that lie far apart are forgotten in between."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        """Begin to count."""
        self._new: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def next(self, key: int) -> int:
        """Return how often the key came before."""
        known = self._new.get(key)
        if known is None:
            known = self._old.get(key, 0)
            if len(self._new) == SIBLINGS_MAX:
                self._old, self._new = self._new, {}
        self._new[key] = known + 1
        return known


# --- what is said --------------------------------------------------------------------------------


class Words(NamedTuple):
    """What a turn says, hashed: what its actor took, and what it decided."""

    message: int
    events: int
    is_outcome: bool


_EVENTS = {kind.__name__: kind for kind in EVENTS}
_OUTCOMES = (Completed, Rejected, CancelEnded)
_SIMPLE = frozenset({type(None), bool, int, float, str, bytes})
_NUMBERS = NUMBER_FIELDS | {"parent", "child"}
_LEFT_OUT = {
    ("Accepted", "handle"),  # the dialect's own number for the request
    ("Born", "cls"),  # bindings differ between logs; the class is in the actor's identity
    ("CancelOutcome", "other"),  # an actor or a turn, and nothing tells which
    ("Discarded", "by"),
    ("Drop", "by"),
    ("Dropped", "by"),
    ("Overflowed", "messages"),  # so many were refused by the time when it was written
    ("Recover", "cls"),
    ("Resume", "part"),
    ("Start", "cls"),
    ("Unstashed", "turns"),
}
_UNSAID = frozenset({"SlowTurn"})
"""Events that tell of the machine and not of what was decided."""


def words_of(turn: Turn, identify: Identify) -> Words:
    """Return what a turn says."""
    return Words(mixed(said(turn.message, identify)), *decided(turn.events, identify))


def decided(events: Sequence[Any], identify: Identify) -> tuple[int, bool]:
    """Return what was decided, hashed, and whether something ended."""
    told = [said(event, identify) for event in events if kind_name(event) not in _UNSAID]
    return mixed(told), any(isinstance(event, _OUTCOMES) for event in events)


def said(kind: Any, identify: Identify) -> Any:
    """Return a message or event as plain values in which no number of its log is left."""
    if kind is None:
        return None
    name = kind_name(kind)
    names, values = fields_of(kind)
    if isinstance(kind, Unknown):
        return name, plain(kind.values, identify)
    if isinstance(kind, Notice) and (told_of := _EVENTS.get(kind.event)):
        return name, said(_made_sound(told_of, kind.values), identify)
    tellers = _tellers(name, tuple(names))
    told = [
        value if tell is plain and type(value) in _SIMPLE else tell(value, identify)
        for value, tell in zip(values, tellers, strict=False)
    ]
    if isinstance(kind, Completed) and kind.how not in (How.CANCELLED, How.TIMED_OUT):
        told[3] = None  # what dropped it may be an actor or a turn
    return name, told


def _made_sound(kind: type[tuple[Any, ...]], values: Any) -> Any:
    """Return what a subscriber is told as the event that it is about, where it is one."""
    fields: tuple[str, ...] = getattr(kind, "_fields", ())
    if len(values) == len(fields):
        made: Any = kind(*values)
        if is_sound(made):
            return made
    return Unknown(kind.__name__, 0, fields, tuple(values))


def plain(value: Any, identify: Identify) -> Any:
    """Return a payload in which references to actors stand by identity."""
    match value:
        case Reference():
            return "actor", identify(value.number)
        case Unknown():
            return value.name, plain(value.values, identify)
        case list() | tuple():
            return [plain(item, identify) for item in items(value)]
        case dict():
            return [(plain(k, identify), plain(v, identify)) for k, v in items(value.items())]
        case Opaque() | Withheld():
            return repr(value)
        case _:
            return value


def items(value: Any) -> Iterable[Any]:
    """Return a container of a log's values for what it is: a container of anything."""
    return cast("Iterable[Any]", value)


def _number(value: Any, identify: Identify) -> Any:
    return identify(value) if type(value) is int else plain(value, identify)


def _ranges(value: Any, identify: Identify) -> Any:
    return [identify(number) for number in each(value)]


def _each(value: Any, identify: Identify) -> Any:
    return [_number(number, identify) for number in items(value)]


def _by_number(value: Mapping[int, int], identify: Identify) -> Any:
    return sorted((identify(number), counted) for number, counted in value.items())


def _nothing(_value: Any, _identify: Identify) -> None:
    return None


@lru_cache(maxsize=1024)
def _tellers(name: str, fields: tuple[str, ...]) -> tuple[Tell, ...]:
    """Return what to do with each field of a kind."""
    return tuple(_teller(name, field) for field in fields)


def _teller(name: str, field: str) -> Tell:
    if (name, field) in _LEFT_OUT:
        return _nothing
    if (name, field) == ("Killed", "taken"):
        return _by_number
    if field in RANGES_FIELDS:
        return _ranges
    if (name, field) == ("Killed", "spared"):
        return _each
    return _number if field in _NUMBERS else plain


# --- what is what --------------------------------------------------------------------------------


def sort_of(message: Any) -> str:
    """Return what sort of message it is, whatever its arguments."""
    return f"Submit {message.operation}" if isinstance(message, Submit) else kind_name(message)


def run_of(turn: Turn) -> Iterator[int]:
    """Yield the requests whose completions leave in this turn, in their order."""
    if isinstance(turn.message, CompletionScript | Taken):
        yield from each(turn.message.requests)


def made_by(turn: Turn) -> Iterator[tuple[int, str, int]]:
    """Yield what begins in a turn besides actors: its number, what it is, and whose it is."""
    for event in turn.events:
        match event:
            case Accepted() | Rejected():
                yield event.request, event.operation, event.endpoint
            case CancelRequested():
                yield event.cancel, event.trigger, event.scope
            case CallOpened():
                yield event.call, "call", event.endpoint
            case Asked():
                yield event.request, "asked", event.parent
            case _:
                pass
