"""What lives at one moment, as immutable values: a copy of all costs one reference for each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self, TypeAlias

from rescind.events import Completed, Unknown
from rescind.events._msgpack import pack, unpacker
from rescind.replay._ledger.lives import Moment
from rescind.replay._ledger.sound import is_sound

UNKNOWN = Moment(0, 0)
"""When something happened of which only a keyframe tells that it did."""


class Mark(NamedTuple):
    """Something that is so of an actor, and since when."""

    value: Any
    at: Moment


Marks: TypeAlias = Mapping[str, Mark]
"""What few actors have to show, by its name; never changed in place."""

NO_MARKS: Marks = MappingProxyType({})


class Done(NamedTuple):
    """How a request completed that was not delivered yet."""

    code: int | None
    how: int
    by: int
    at: Moment


class Held(NamedTuple):
    """A request that was neither delivered nor discarded."""

    endpoint: int
    operation: str
    asynchronous: bool
    timeout_ns: int | None
    asked: int
    """Of a native one, the actor that was asked."""
    accepted: Moment
    done: Done | None
    marks: Marks
    """``started`` (False, until a driver has got it), ``doomed`` (by which cancel), ``running``,
    ``sink``, ``parent``, ``shielded``."""


class Place(NamedTuple):
    """An endpoint that is open."""

    dialect: str
    profile: str
    driver: str
    cls: tuple[int, int]
    opened: Moment
    state: Mark


class OpenCall(NamedTuple):
    """A call that is open."""

    endpoint: int
    opened: Moment
    state: Mark
    marks: Marks
    """``holders``: who has which rights."""


class Cancelling(NamedTuple):
    """A cancel that has not ended."""

    scope: int
    trigger: str
    by: int
    reason: str
    requested: Moment
    began: Moment | None
    stopped: Mark | None
    """The driver does nothing any more for its victims, and with which code."""


class Life(NamedTuple):
    """An actor that has not stopped."""

    cls: tuple[int, int]
    """The epoch in which it was born or recovered, and the class binding there."""
    parent: int
    born: Moment
    told: Mark | None
    """What a keyframe holds of its own state, and behind which turn that was so."""
    marks: Marks
    """``watchers``, ``timers``, ``aside``, ``waits``, ``incarnation``, ``failed``, ``supervised``,
    ``events`` (how many of its own since it was born or told, and the last)."""


Decode: TypeAlias = Callable[[Any], Any]

Thing: TypeAlias = Held | Place | OpenCall | Life
"""What a keyframe has an entry for."""

Fact: TypeAlias = tuple[int, int, Any, Decode | None] | bytes
"""Turn and time of an event, and the event: as it is on the wire where something decodes it.

Packed where it may be: a million requests may live at once, and of tuples each takes 400 bytes.
"""


def packed(number: int, time_ns: int, wire: Any, epoch: int) -> bytes:
    """Return the fact that an event on the wire was in a turn.

    Raises:
        *CANNOT_PACK: Something stands in the event that cannot be packed.
    """
    return pack((number, time_ns, wire, epoch))


def _done(at: Moment, event: Completed) -> Done:
    return Done(event.code, event.how, event.by, at)


_AS_IT_WAS = {"use_list": False, "strict_map_key": False, "unicode_errors": "surrogateescape"}


def _event_in(fact: Fact | None, decoders: Mapping[int, Decode]) -> tuple[Moment, Any] | None:
    """Return when an event was and the event, decoded; None for none, or one without sense."""
    if fact is None:
        return None
    decode: Decode | None
    if isinstance(fact, bytes):
        number, time_ns, event, epoch = next(unpacker(fact, len(fact), **_AS_IT_WAS))
        decode = decoders[epoch]
    else:
        number, time_ns, event, decode = fact
    try:
        event = event if decode is None else decode(event)
    except (TypeError, ValueError, IndexError):
        return None
    is_one = event.__class__ is not Unknown and is_sound(event)
    return (Moment(number, time_ns), event) if is_one else None


class Living:
    """Everything that lives at one moment.

    Requests are kept in columns, because each of their events concerns one of them alone, and as
    facts, because of the hundreds of thousands that pass in a span few are ever looked at.

    Attributes:
        number: The turn behind which it stands.
        time_ns: That turn's time.
        epoch: The writer's life it belongs to.
        is_whole: Whether all that lives is known: not where the log's beginning is gone, and no
            keyframe told of all.
        accepted: Requests neither delivered nor discarded, in the order of submission; look at one
            with `request`.
        done: Those of them that have completed.
        marks: What else is to be said of them.
        cancels: Cancels that have not ended.
        places: Endpoints that are open.
        calls: Calls that are open.
        lives: Actors that have not stopped.
        decoders: By epoch, what decodes its facts.
    """

    __slots__ = (
        "accepted", "calls", "cancels", "decoders", "done", "epoch", "is_whole", "lives", "marks",
        "number", "places", "time_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin with nothing, before the first turn."""
        self.number = 0
        self.time_ns = 0
        self.epoch = 0
        self.is_whole = True
        self.accepted: dict[int, Fact] = {}
        self.done: dict[int, Fact] = {}
        self.marks: dict[int, Marks] = {}
        self.cancels: dict[int, Cancelling] = {}
        self.places: dict[int, Place] = {}
        self.calls: dict[int, OpenCall] = {}
        self.lives: dict[int, Life] = {}
        self.decoders: dict[int, Decode] = {}

    def copy(self) -> Self:
        """Return a world that stands at the same turn and goes its own way."""
        made = type(self)()
        for name in Living.__slots__:
            value = getattr(self, name)
            setattr(made, name, value.copy() if isinstance(value, dict) else value)
        return made

    def __len__(self) -> int:
        """How much lives."""
        counts = len(self.accepted), len(self.cancels), len(self.places)
        return sum(counts) + len(self.calls) + len(self.lives)

    def request(self, number: int) -> Held | None:
        """Return a request; None when it does not live, or what is said of it makes no sense."""
        told = _event_in(self.accepted.get(number), self.decoders)
        if told is None:
            return None
        at, event = told
        ended = _event_in(self.done.get(number), self.decoders)
        done = None if ended is None else _done(*ended)
        marks = self.marks.get(number, NO_MARKS)
        if not event.started and "started" not in marks:
            marks = {"started": Mark(value=False, at=at), **marks}
        return Held(
            event.endpoint, event.operation, event.asynchronous, event.timeout_ns, event.call,
            at, done, marks,
        )  # fmt: skip
