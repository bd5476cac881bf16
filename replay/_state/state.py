"""`rescind state`: what was so behind a turn, of one actor or of all that lived.

Behind a turn means: the turn's record is in it.  Each answer names, field by field, the turn that
set it, as far as the log tells; behind a keyframe it may not, and then the keyframe's number does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any

from rescind.events import LogReader, Turn, TurnsLookup
from rescind.replay._archive.select import SelectorError, Target
from rescind.replay._archive.select import TargetKind as SelectorKind
from rescind.replay._ledger.dialects import Tables, state_text, tables
from rescind.replay._ledger.from_keyframe import LedgerFromKeyframe
from rescind.replay._ledger.lives import CancelLife, Moment, RequestLife
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.sound import sound
from rescind.replay._world.living import Held, Life, Mark
from rescind.replay._world.timeline import Timeline
from rescind.replay._world.world import World

LOOKED_AT_MAX = 10_000
"""So many turns about one number are looked at for what became of it."""


class Kind(StrEnum):
    """What an actor is."""

    ENDPOINT = "endpoint"
    CALL = "call"
    REQUEST = "request"
    CANCEL = "cancel"
    ACTOR = "actor"
    RUNTIME = "runtime"


_LETTER = {Kind.REQUEST: "r", Kind.CANCEL: "c"}


@dataclass(frozen=True, slots=True)
class ActorState:
    """How one actor stood behind a turn.

    Attributes:
        actor: Its number; 0 is the runtime.
        kind: What it is.
        label: What it is called.
        as_of: The turn behind which this was so.
        is_alive: False when it had ended; then ``state`` says how.
        state: What is known of it, by name.
        turns: The turn that set a field last, for those of which it is known.
        since_ns: How long it had been there, in nanoseconds; None where the log does not tell.
    """

    actor: int
    kind: Kind
    label: str
    as_of: int
    is_alive: bool
    state: Mapping[str, Any]
    turns: Mapping[str, int] = field(default_factory=dict[str, int])
    since_ns: int | None = None

    @property
    def selector(self) -> str:
        """What asks for it."""
        return f"{_LETTER.get(self.kind, 'a')}{self.actor}"

    @property
    def changed(self) -> int:
        """The turn that changed it last, as far as it is known; 0 if it is not."""
        return max(self.turns.values(), default=0)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What two moments tell differently of one field.

    Attributes:
        field: Its name; empty when the actor as a whole came or went.
        before: What it was; None where there was nothing.
        after: What it became.
        turn: The turn that changed it last; 0 where the log does not tell any more.
    """

    field: str
    before: Any
    after: Any
    turn: int


@dataclass(frozen=True, slots=True)
class ActorDifference:
    """How one actor differs between two turns.

    Attributes:
        after: The actor; as it was before where it is gone.
        changes: Its fields that differ.
        came: It was not there at the first turn.
        went: It is not there at the second one.
    """

    after: ActorState
    changes: tuple[FieldChange, ...]
    came: bool = False
    went: bool = False


Own = Callable[[int, Life, int], Mapping[str, Any] | None]
"""The state of an event-sourced actor behind a turn, from its class; None when it has none."""

Seen = Callable[[int, Mapping[str, Any]], None]
"""Hears how an actor stood behind a turn; the values are good until it returns."""

History = Callable[[int, Life, int, Seen], bool]
"""Tells of an event-sourced actor, from what is known of it, how it stood behind each turn of its
own up to a last one, and first how a keyframe told of it; False when it knows no class of it."""


class Look:
    """Reads a world out, field by field; what it needs beside is looked up.

    Attributes:
        world: The world that is read.
    """

    def __init__(self, world: World, log: object, own: Own | None = None) -> None:
        """Be about to read; ``own`` knows the application's classes."""
        self.world = world
        self._reader = log if isinstance(log, LogReader) else None
        self._own = own
        self._requests: dict[int, list[int]] | None = None
        self._victims: dict[int, list[int]] | None = None

    def all(self) -> Iterator[ActorState]:
        """Yield everything that lives: the runtime, endpoints, calls, actors, cancels, requests."""
        world = self.world
        yield self.runtime()
        for number in sorted(world.places):
            yield self.endpoint(number)
        for number in sorted(world.calls):
            yield self.call(number)
        for number in sorted(world.lives):
            yield self.actor(number)
        for number in sorted(world.cancels):
            yield self.cancel(number)
        for number in sorted(world.accepted):
            if (found := self.request(number)) is not None:
                yield found

    def one(self, number: int, wanted: SelectorKind | None = None) -> ActorState | None:
        """Return one actor; None when it does not live.

        A cancel that is an operation of its own has its request's number; ``wanted`` decides.
        """
        world = self.world
        kinds = [kind for kind, kept in _KEPT.items() if number in kept(world)]
        if number == 0:
            kinds = [Kind.RUNTIME]
        elif Kind.CANCEL in kinds and wanted is SelectorKind.CANCEL:
            kinds = [Kind.CANCEL]
        return self.of(kinds[0], number) if kinds else None

    def of(self, kind: Kind, number: int) -> ActorState | None:
        """Return one actor of a kind; None when none lives."""
        if kind is Kind.RUNTIME:
            return self.runtime()
        return _TELL[kind](self, number) if number in _KEPT[kind](self.world) else None

    # --- one kind each ---------------------------------------------------------------------------

    def runtime(self) -> ActorState:
        """How much there is of what."""
        world = self.world
        state = {
            "epoch": world.epoch,
            "endpoints": len(world.places),
            "calls": len(world.calls),
            "actors": len(world.lives),
            "requests": len(world.accepted),
            "cancels": len(world.cancels),
            "is_whole": world.is_whole,
        }
        return self._state(0, Kind.RUNTIME, "runtime", state, {}, None)

    def endpoint(self, number: int) -> ActorState:
        """How an endpoint stands: its dialect's state, its windows, its pending requests."""
        world, place = self.world, self.world.places[number]
        rules = tables(place.dialect, place.profile)
        pending = self._requests_of().get(number, [])
        state = {
            "dialect": place.dialect,
            "profile": place.profile,
            "driver": place.driver,
            "state": _state_name(rules, place.state.value),
            "windows": tuple(
                cancel
                for cancel, each in sorted(world.cancels.items())
                if each.began is not None and self._owner(each.scope) == number
            ),
            "pending": tuple(pending),
        }
        turns = _known(opened=place.opened, state=place.state.at)
        label = f"a{number} {place.dialect} endpoint".replace("  ", " ")
        return self._state(number, Kind.ENDPOINT, label, state, turns, place.opened)

    def call(self, number: int) -> ActorState:
        """How a call stands."""
        call = self.world.calls[number]
        place = self.world.places.get(call.endpoint)
        rules = tables(place.dialect, place.profile) if place else tables("")
        holders = call.marks.get("holders")
        state = {
            "endpoint": call.endpoint,
            "state": _state_name(rules, call.state.value),
            "holders": () if holders is None else holders.value,
        }
        turns = _known(opened=call.opened, state=call.state.at, holders=holders and holders.at)
        return self._state(number, Kind.CALL, f"a{number} call", state, turns, call.opened)

    def request(self, number: int) -> ActorState | None:
        """How a request stands; None where what the log says of it makes no sense."""
        held = self.world.request(number)
        return None if held is None else self._request(number, held)

    def _request(self, number: int, held: Held) -> ActorState:
        done = held.done
        status = "outstanding" if done is None else "completed"
        if "running" in held.marks:
            status = "running"
        state: dict[str, Any] = {
            "endpoint": held.endpoint,
            "operation": held.operation,
            "asynchronous": held.asynchronous,
            "timeout_ns": held.timeout_ns,
            "status": status,
        }
        if done is not None:
            state |= {"code": done.code, "how": done.how, "by": done.by}
        if held.asked:
            state["asked"] = held.asked
        marks = {name: mark for name, mark in held.marks.items() if _is_shown(name, mark)}
        state |= {name: mark.value for name, mark in marks.items()}
        running = held.marks.get("running")
        moment = (running and running.at.turn and running.at) or (done and done.at) or held.accepted
        turns = _known(accepted=held.accepted, status=moment)
        if done is not None:
            turns |= _known(code=done.at, how=done.at, by=done.at)
        turns |= _known(**{name: mark.at for name, mark in marks.items()})
        label = f"r{number} {held.operation}".rstrip()
        return self._state(number, Kind.REQUEST, label, state, turns, held.accepted)

    def cancel(self, number: int) -> ActorState:
        """How a cancel stands: since when its window is open, and whom it still waits for."""
        cancel = self.world.cancels[number]
        state = {
            "endpoint": self._owner(cancel.scope),
            "scope": cancel.scope,
            "trigger": cancel.trigger or self._operation(cancel.by),
            "by": cancel.by,
            "reason": cancel.reason,
            "window": "open" if cancel.began is not None else "not begun",
            "driver": "at work" if cancel.stopped is None else "stopped",
            "waits_for": tuple(self._victims_of().get(number, ())),
        }
        turns = _known(
            trigger=cancel.requested, window=cancel.began,
            driver=cancel.stopped and cancel.stopped.at,
        )  # fmt: skip
        label = f"c{number} {state['trigger']}".rstrip()
        return self._state(number, Kind.CANCEL, label, state, turns, cancel.requested)

    def actor(self, number: int) -> ActorState:
        """What is known of an actor from outside, and with its class from inside."""
        life = self.world.lives[number]
        name = self._class_name(life)
        marks = {at: mark for at, mark in life.marks.items() if at != "events"}
        state: dict[str, Any] = {
            "class": name,
            "parent": life.parent,
            "incarnation": 1,
            "watchers": (),
            "timers": (),
            "aside": (),
        }
        state |= {at: mark.value for at, mark in marks.items()}
        state["timers"] = tuple(due for due in state["timers"] if due[1] > self.world.time_ns)
        turns = _known(born=life.born, **{at: mark.at for at, mark in marks.items()})
        state |= self._own_state(number, life, turns)
        label = f"a{number} {name}".rstrip()
        return self._state(number, Kind.ACTOR, label, state, turns, life.born)

    def _own_state(self, number: int, life: Life, turns: dict[str, int]) -> dict[str, Any]:
        events = life.marks.get("events")
        if events is not None:
            turns["own"] = events.at.turn
        own = None if self._own is None else self._own(number, life, self.world.number)
        if own is not None:
            return {"own": own}
        if events is None and life.told is None:
            return {}
        told = life.told
        return {
            "told": None if told is None else told.value.get("state"),
            "told_as_of": 0 if told is None else told.at.turn,
            "events_since": 0 if events is None else events.value,
        }

    # --- what it takes ---------------------------------------------------------------------------

    def _state(
        self,
        number: int,
        kind: Kind,
        label: str,
        state: Mapping[str, Any],
        turns: Mapping[str, int],
        since: Moment | None,
    ) -> ActorState:
        world = self.world
        begun_ns = since.time_ns if since is not None else 0
        age = world.time_ns - begun_ns if since is not None and begun_ns else None
        return ActorState(number, kind, label, world.number, True, state, turns, age)  # noqa: FBT003

    def _requests_of(self) -> dict[int, list[int]]:
        """Endpoint to its requests, in the order in which they were submitted."""
        if self._requests is None:
            self._requests = {}
            for number in self.world.accepted:
                held = self.world.request(number)
                if held is not None:
                    self._requests.setdefault(held.endpoint, []).append(number)
        return self._requests

    def _victims_of(self) -> dict[int, list[int]]:
        """Cancel to the requests that it means to end and that are not through yet."""
        if self._victims is None:
            self._victims = {}
            for number in sorted(self.world.marks):
                doomed = self.world.marks[number].get("doomed")
                if doomed is not None and doomed.value != number:
                    self._victims.setdefault(doomed.value, []).append(number)
        return self._victims

    def _owner(self, number: int) -> int:
        held, call = self.world.request(number), self.world.calls.get(number)
        return held.endpoint if held else call.endpoint if call else number

    def _operation(self, number: int) -> str:
        held = self.world.request(number)
        return "" if held is None else held.operation

    def _class_name(self, life: Life) -> str:
        name = self._reader.class_name(*life.cls) if self._reader is not None else None
        return name or ""


_KEPT: dict[Kind, Callable[[World], dict[int, Any]]] = {
    Kind.ENDPOINT: lambda world: world.places,
    Kind.CALL: lambda world: world.calls,
    Kind.ACTOR: lambda world: world.lives,
    Kind.REQUEST: lambda world: world.accepted,
    Kind.CANCEL: lambda world: world.cancels,
}
"""Where a world keeps what; a number that names a request and a cancel names first the request."""

_TELL: dict[Kind, Callable[[Look, int], ActorState | None]] = {
    Kind.ENDPOINT: Look.endpoint,
    Kind.CALL: Look.call,
    Kind.ACTOR: Look.actor,
    Kind.REQUEST: Look.request,
    Kind.CANCEL: Look.cancel,
}


def _is_shown(name: str, mark: Mark) -> bool:
    """Whether a mark of a request is a field: how it runs is its status."""
    return name != "running" and (name != "started" or not mark.value)


def _state_name(rules: Tables, state: int | None) -> str | None:
    return None if state is None else state_text(rules, state)


def _known(**moments: Moment | None) -> dict[str, int]:
    """Return the turns of those moments of which there is one."""
    return {name: at.turn for name, at in moments.items() if at is not None and at.turn}


# --- what is asked -------------------------------------------------------------------------------


def cut_at(
    log: LogReader | Iterable[Turn], turn: int, own: Own | None = None
) -> Iterator[ActorState]:
    """Yield how everything stood that lived behind a turn: one consistent cut.

    Raises:
        SelectorError: There is no such turn.
    """
    return Look(Timeline(log).at(turn), log, own).all()


def state_of(
    log: LogReader | Iterable[Turn], turn: int, actor: int, own: Own | None = None
) -> ActorState:
    """Return how one actor stood behind a turn.

    Args:
        log: The log, or its turns in their order.
        turn: Behind which turn.
        actor: The number of an actor, request, call or cancel; 0 is the runtime.
        own: What knows the states of the application's classes; see ``classes``.

    Raises:
        SelectorError: There is no such turn, or no such actor up to there.
    """
    return find(Timeline(log).at(turn), log, Target(SelectorKind.ACTOR, actor), own)


def find(
    world: World, log: LogReader | Iterable[Turn], target: Target, own: Own | None = None
) -> ActorState:
    """Return one actor of a world, or what had become of it.

    Raises:
        SelectorError: It had not been born, or the log knows nothing of it.
    """
    found = Look(world, log, own).one(target.number, target.kind)
    return _gone(world, log, target) if found is None else found


def _gone(world: World, log: LogReader | Iterable[Turn], target: Target) -> ActorState:
    """Return what had become of an actor that does not live, from the turns about it."""
    number = target.number
    ledger = LedgerFromKeyframe(log) if isinstance(log, LogReader) else Ledger()
    for turn in islice(sound(_about(log, number, world.number)), LOOKED_AT_MAX):
        ledger.feed(turn)
    request, cancel = ledger.requests.get(number), ledger.cancels.get(number)
    if (
        cancel is not None
        and cancel.requested
        and (not request or target.kind is SelectorKind.CANCEL)
    ):
        return _ended(world, number, Kind.CANCEL, ledger, _cancel_end(cancel))
    if request is not None and (request.submitted or request.completed or request.delivered):
        return _ended(world, number, Kind.REQUEST, ledger, _request_end(request))
    for kept, kind in ((ledger.endpoints, Kind.ENDPOINT), (ledger.calls, Kind.CALL)):
        thing = kept.get(number)
        if thing is not None and (thing.opened or thing.closed):
            ends = {"opened": (None, thing.opened), "closed": (thing.reason, thing.closed)}
            return _ended(world, number, kind, ledger, ends)
    if number in ledger.births:
        ends = {
            "born": (None, ledger.births[number]),
            "stopped": (None, ledger.actors_stopped.get(number)),
        }
        return _ended(world, number, Kind.ACTOR, ledger, ends)
    text = f"{target} did not exist behind turn {world.number}"
    later = next(_about(log, number), None)
    if later is None:
        text = f"the log knows no {target.kind} {target}"
    nearest = [] if later is None else [f"--at {later.number}"]
    raise SelectorError(str(target), text, nearest)


def _about(log: LogReader | Iterable[Turn], number: int, last: int | None = None) -> Iterator[Turn]:
    lookup = log.lookup() if isinstance(log, LogReader) else TurnsLookup(log)
    return lookup.about(number, 1, last)


Ends = Mapping[str, tuple[Any, Any]]


def _ended(world: World, number: int, kind: Kind, ledger: Ledger, ends: Ends) -> ActorState:
    state = {name: value for name, (value, at) in ends.items() if at is not None}
    turns = {name: at.turn for name, (_, at) in ends.items() if at is not None}
    label = ledger.label(number)
    return ActorState(number, kind, label, world.number, False, state, turns)  # noqa: FBT003


def _request_end(life: RequestLife) -> Ends:
    done, refused = life.completed, life.rejected
    return {
        "accepted": (life.operation, None if refused else life.submitted),
        "rejected": (refused and refused.code, refused),
        "completed": (done and done.code, done),
        "delivered": (life.delivered and life.delivered.manner, life.delivered),
        "discarded": (life.discarded and life.discarded.reason, life.discarded),
    }


def _cancel_end(life: CancelLife) -> Ends:
    return {
        "requested": (life.trigger, life.requested),
        "began": (tuple(life.victims), life.began),
        "ended": (life.ended and life.ended.code, life.ended),
    }


def differences(
    timeline: Timeline,
    log: LogReader | Iterable[Turn],
    turns: tuple[int, int],
    own: Own | None = None,
) -> Iterator[ActorDifference]:
    """Yield what changed between two turns, per actor and field; the runtime's counts first.

    What came and went in between shows in neither.

    Raises:
        SelectorError: There is no such turn.
    """
    before = timeline.at(turns[0]).copy()
    after = timeline.at(turns[1])
    earlier, later = Look(before, log, own), Look(after, log, own)
    for kind, number in _differing(before, after):
        yield from _compare(earlier.of(kind, number), later.of(kind, number))


def _differing(before: World, after: World) -> Iterator[tuple[Kind, int]]:
    """Yield what may differ; most that lives is the same object in both and needs no look."""
    yield Kind.RUNTIME, 0
    for kind, kept in _KEPT.items():
        old, new = kept(before), kept(after)
        for number in sorted(old.keys() | new.keys()):
            if _is_other(kind, number, before, after, old.get(number), new.get(number)):
                yield kind, number


def _is_other(kind: Kind, number: int, before: World, after: World, old: Any, new: Any) -> bool:
    if kind is Kind.REQUEST:
        rest = (before.done.get(number), before.marks.get(number))
        return old is not new or rest != (after.done.get(number), after.marks.get(number))
    # Of an endpoint and a cancel other things tell too: their requests.
    return kind in (Kind.ENDPOINT, Kind.CANCEL) or old is not new


def _fields(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state's fields; an actor's own attributes one by one."""
    own: Mapping[str, Any] = state.get("own") or {}
    others = {name: value for name, value in state.items() if name != "own" or not own}
    return {**others, **{f"own.{name}": value for name, value in own.items()}}


def _turn_of(name: str, turns: Mapping[str, int]) -> int:
    return turns.get("own" if name.startswith("own.") else name, 0)


def _compare(old: ActorState | None, new: ActorState | None) -> Iterator[ActorDifference]:
    if old is not None and new is not None:
        before, after = _fields(old.state), _fields(new.state)
        names = [*after, *(name for name in before if name not in after)]
        changes = tuple(
            FieldChange(name, before.get(name), after.get(name), _turn_of(name, new.turns))
            for name in names
            if before.get(name) != after.get(name)
        )
        if changes:
            yield ActorDifference(new, changes)
    elif new is not None:
        born = min(new.turns.values(), default=0)
        yield ActorDifference(new, (FieldChange("", None, new.label, born),), came=True)
    elif old is not None:
        gone = replace(old, is_alive=False)
        yield ActorDifference(gone, (FieldChange("", old.label, None, 0),), went=True)
