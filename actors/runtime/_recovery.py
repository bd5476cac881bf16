"""Recovery: what outlived the process that held it goes on in this one, or is ended.

Turns of the origin recovery say what becomes of it, first of the endpoints, then of the actors.
Nothing is recorded before all that goes on has been rebuilt, so that an error leaves the log as it
was; and a crash in the midst of it only leaves the next recovery less to do.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from functools import partial
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from rescind.events import (
    CancelEnded,
    CancelOutcome,
    Closed,
    Completed,
    Discarded,
    How,
    LogDamagedError,
    LogReader,
    Opaque,
    Origin,
    Outcome,
    Recover,
    Reference,
    Start,
    Stopped,
    Tell,
    Turn,
    Unknown,
    Withheld,
    read,
)

from ._actor import Actor, describe
from ._errors import RecoveryError
from ._known import Known
from ._outbox import Envelope, Outbox
from ._ranges import to_ranges
from ._ref import ActorRef, Terminated
from ._state import Birth, CannotTellError, restore, thaw
from ._supervision import bind_again
from ._survivors import Left, Life, Place, Survivors

if TYPE_CHECKING:
    from ._runtime import Runtime

REASON = "the process ended"
"""Why completions are discarded, endpoints closed and actors stopped."""

REQUESTS_PER_TURN = 1024
"""Requests that end in one turn."""

_DIALECTS = {
    "native": "rescind.actors.native._recovery",
    "newton": "rescind.actors.newton._protocol",
    "rpc": "rescind.actors.rpc._protocol",
}
"""Where a dialect says how its requests end.  Named and not imported: this is the lowest floor, and
a log without the dialect needs none of it."""

ReadFrom = Callable[[int], LogReader]
Step = tuple[int, Callable[[], object]]
"""Who takes the turns of one step of a recovery, and the step."""


class Owed(NamedTuple):
    """A completion that a sink has not been told of for certain.

    Attributes:
        left: Its request.
        completed: The completion, its value revived.
        turn: The turn that holds it.
        asked: The actor that was asked.
    """

    left: Left
    completed: Completed
    turn: int
    asked: ActorRef[Any]


def recover(runtime: "Runtime", classes: Iterable[type], *, end_others: bool) -> None:
    """Let go on what outlived the processes that wrote this log, and end the rest.

    Called before anybody else has the runtime.

    Raises:
        RecoveryError: Something can neither go on nor be ended.
        LogDamagedError: Turns are damaged or missing that it needs.
    """
    known = Known(classes)

    def read_from(start: int) -> LogReader:
        return read(runtime.log, start=start, strict=True)

    survivors, reader = survivors_of(read_from, known)
    recovery = Recovery(runtime, survivors, known, reader.class_name, read_from)
    try:
        recovery.prepare(runtime.sinks, end_others=end_others)
    except BaseException:
        # Or to close the runtime would stop them, in turns.
        runtime.actors.clear()
        runtime.residents.clear()
        raise
    with runtime.baton:
        for _, step in recovery.steps():
            step()
        runtime.is_whole = True
    runtime.commit()
    runtime.dispatcher.wake()


def survivors_of(read_from: ReadFrom, known: Known) -> tuple[Survivors, LogReader]:
    """Read what a log leaves behind, from the newest keyframe on if that says enough.

    Raises:
        LogDamagedError: Turns are damaged or missing that it needs.
    """
    keyframe = read_from(1).keyframe()
    if keyframe is not None:
        survivors = Survivors()
        # From the turn before on, so that all that its entries name is bound when they are read.
        reader = read_from(max(keyframe.number, 1))
        survivors.begin_at(keyframe.epoch, reader.entries(keyframe))
        _fold(survivors, reader, behind=keyframe.number)
        untold = any(_is_untold(life, known, reader) for life in survivors.lives.values())
        if not (survivors.lacks or untold) or _first(read_from) > 1:
            return survivors, reader
    elif _first(read_from) > 1:
        raise LogDamagedError("the log's beginning was removed, and no keyframe stands for it")
    reader = read_from(1)
    return _fold(Survivors(), reader), reader


def _fold(survivors: Survivors, reader: LogReader, behind: int = 0) -> Survivors:
    for turn in reader:
        if turn.number > behind:
            survivors.feed(turn)
    return survivors


def _first(read_from: ReadFrom) -> int:
    """Return the number of the log's first turn; 0 when it has none."""
    return next((turn.number for turn in read_from(1)), 0)


def _is_untold(life: Life, known: Known, reader: LogReader) -> bool:
    """Tell whether an actor has a state, and it begins before what was read."""
    cls = known.actors.get(reader.class_name(*life.cls) or "")
    return cls is not None and cls.EVENT_SOURCED and life.told is None and not life.born


class Recovery:
    """One recovery: ``prepare``, then take the ``steps`` under the baton."""

    def __init__(
        self,
        runtime: "Runtime",
        survivors: Survivors,
        known: Known,
        class_name: Callable[[int, int], str | None],
        read_from: ReadFrom,
    ) -> None:
        """Be about to recover what ``survivors`` holds; it is read again from ``read_from``."""
        self.refs: dict[int, ActorRef[Any]] = {}
        """Actors that go on, and those that values of the log name, by number."""
        self._runtime = runtime
        self._survivors = survivors
        self._known = known
        self._read_from = read_from
        self._names = {n: class_name(*each.cls) for n, each in survivors.lives.items()}
        self._going_on: dict[int, Life] = {}
        self._left: dict[int, list[Left]] = {}
        for left in sorted(survivors.requests.values(), key=lambda each: each.number):
            self._left.setdefault(left.endpoint, []).append(left)
        self._owed: list[Owed] = []
        self._problems: dict[int, str] = {}
        self._resident = max(
            (n for n, each in survivors.places.items() if _goes_on(each)),
            default=0,
        )

    def prepare(
        self, sinks: Container[str] | None, *, end_others: bool, ended: Container[int] = ()
    ) -> None:
        """Rebuild all actors that go on; nothing is recorded.

        Args:
            sinks: Their names; None leaves them outside: a log is executed again.
            end_others: End actors whose classes are not known.
            ended: Actors to end though their classes are known: they were ended then.

        Raises:
            RecoveryError: Something can neither go on nor be ended.
        """
        for number, life in self._survivors.lives.items():
            name = self._names[number] or ""
            cls = self._known.actors.get(name)
            if cls is not None and cls.EVENT_SOURCED and number not in ended:
                self._going_on[number] = life
                self.refs[number] = cls.REF(self._runtime, number, cls)
                self.refs[number].parent = life.parent
            elif cls is None and not end_others:
                advice = "is not among the classes named; name it, or have others ended"
                self._problems[number] = f"its class {name or '(unknown)'} {advice}"
        if sinks is not None:
            self._check_sinks(sinks)
        self._refuse()
        if self._going_on:
            self._rebuild()
            self._refuse()

    def _check_sinks(self, sinks: Container[str]) -> None:
        for left in self._survivors.requests.values():
            if self._is_owed(left) and left.sink not in sinks:
                text = f"its completion is owed to the sink {left.sink!r}, which is not given"
                self._problems[left.number] = text

    def _is_owed(self, left: Left) -> bool:
        place = self._survivors.places[left.endpoint]
        return bool(left.sink and self._resident and _goes_on(place))

    def _refuse(self) -> None:
        if self._problems:
            raise RecoveryError(self._problems)

    def steps(self) -> Iterator[Step]:
        """Yield what is to be done, in the order of the log; the baton is held."""
        for place in sorted(self._survivors.places.values(), key=lambda each: each.number):
            yield place.number, partial(self._end_place, place)
        for number in sorted(self._survivors.lives):
            yield number, partial(self._take_up, number)

    # --- actors --------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Construct the actors again and apply their events, in the order of the log."""
        # Takes what a constructor sends and records, which it did when it was called first.  With
        # the baton to take, as for a pinned actor: here nobody holds it.
        out = Outbox(self._runtime.baton)
        out.cause = 0
        token = self._runtime.enter_handler(out)
        try:
            for number, life in self._going_on.items():
                if life.told is not None:
                    self._attempt(number, self._restore, life, out)
                elif not life.born:
                    text = "its state is in no keyframe, and its beginning was removed"
                    self._problems[number] = text
            first = min((each.as_of or each.born or 1) for each in self._going_on.values())
            for turn in self._read_from(first):
                if turn.number > self._survivors.last:
                    break
                if turn.actor in self._going_on:
                    out.now_ns = turn.time_ns
                    self._attempt(turn.actor, self._again, turn, out)
        finally:
            self._runtime.leave_handler(token, out)

    def _attempt(self, number: int, rebuild: Callable[..., None], *args: Any) -> None:
        if number not in self._problems:
            try:
                rebuild(number, *args)
            except CannotTellError as error:
                self._problems[number] = str(error)
            except Exception as error:  # noqa: BLE001  # whatever the application raises is told
                self._problems[number] = f"it cannot be rebuilt: {describe(error)}"

    def _restore(self, number: int, life: Life, out: Outbox) -> None:
        """Make an actor as a keyframe tells of it."""
        told: Any = life.told
        args = thaw(told["args"], self._known, self.refer)
        kwargs = thaw(told["kwargs"], self._known, self.refer)
        self._construct(number, Birth(list(args), kwargs, told["epoch"]), out)
        restore(self._runtime.actors[number], told["state"], self._known, self.refer)

    def _again(self, number: int, turn: Turn, out: Outbox) -> None:
        """Do again what a turn did to the state of its actor, unless a keyframe told of that."""
        if turn.number <= self._going_on[number].as_of:
            return
        message = turn.message
        if isinstance(message, Start):
            args, kwargs = self._revive(message.args), self._revive(message.kwargs)
            self._construct(number, Birth(list(args), kwargs, turn.epoch), out)
        actor = self._runtime.actors[number]
        for event in turn.events:
            if isinstance(event, Unknown) and "." in event.name:
                declared = self._known.kinds.get(event.name)
                if declared is None:
                    what = f"turn {turn.number} holds a {event.name}"
                    raise CannotTellError(f"{what}, which is not among the classes named")
                apply = actor.applier(declared.cls)
                apply(actor, self._revive(event), turn.number)

    def _construct(self, number: int, birth: Birth, out: Outbox) -> None:
        log = self._runtime.log
        actors_next = log.actors_next
        actor = self._runtime.make(self.refs[number], birth)
        out.actor = actor
        error: Exception | None = None
        try:
            actor.rebuild(birth)
        except Exception as raised:  # noqa: BLE001  # raised again, unless there is more to say
            error = raised
        if log.actors_next != actors_next:
            text = "its constructor starts actors or makes requests; that belongs into on_start"
            raise CannotTellError(text) from error
        if error is not None:
            raise error

    def _revive(self, value: Any) -> Any:
        lost = _lost_in(value)
        if lost is not None:
            raise CannotTellError(f"the log does not hold a value that it needs: {lost!r}")
        return self._known.revive(value, self.refer)

    def refer(self, reference: Reference) -> Any:
        """Return the reference to an actor of this log; one that ended is dead."""
        if reference.log != self._runtime.log_id:
            return reference
        number = reference.number
        if number not in self.refs:
            cls = self._known.actors.get(self._names.get(number) or "", Actor)
            kind = next(iter(self._known.actors.values()), Actor).REF
            ref = self.refs[number] = kind(self._runtime, number, cls)
            ref.end()
        return self.refs[number]

    def _take_up(self, number: int) -> None:
        life = self._survivors.lives[number]
        if number not in self._going_on:
            self._end(number, life)
            return
        ref = self.refs[number]
        watchers = map(self.refer, life.watchers)
        ref.watchers = {each: None for each in watchers if isinstance(each, ActorRef)}
        cls = self._runtime.class_number(ref.actor_class)
        if life.parent in self._going_on and ref.birth is not None:
            start = Start(cls, list(ref.birth.args), ref.birth.kwargs)
            bind_again(ref, self.refs[life.parent], start)
        self._runtime.run_envelope(Envelope(ref, Recover(cls), Origin.RECOVERY, 0))

    def _end(self, number: int, life: Life) -> None:
        ref = self.refer(Reference(self._runtime.log_id, number))
        envelope = Envelope(ref, Recover(0), Origin.RECOVERY, 0)
        turn = self._runtime.record_without(envelope, Stopped(number, REASON))
        for watcher in life.watchers:
            if watcher.number in self._going_on:
                said = Tell(Terminated(number, REASON))
                self._runtime.post(self.refs[watcher.number], said, Origin.ACTOR, turn)

    # --- endpoints -----------------------------------------------------------------------------

    def _end_place(self, place: Place) -> None:
        """End the requests of an endpoint, and itself if it cannot go on."""
        room = _room(place.dialect)
        is_resident = place.number == self._resident
        ref = ActorRef(self._runtime, place.number, Actor)
        message = Recover(self._runtime.class_number(room.ENDPOINT) if is_resident else 0)
        envelope = Envelope(ref, message, Origin.RECOVERY, 0)
        left = iter(self._left.get(place.number, ()))
        while len(some := list(islice(left, REQUESTS_PER_TURN))) == REQUESTS_PER_TURN:
            self._runtime.record_without(envelope, *self._ends(some, room.RECOVERED_CODE))
        last = [*self._ends(some, room.RECOVERED_CODE), *self._endings(place)]
        if not is_resident and not place.is_closed:
            last.append(Closed(place.number, REASON))
        self._runtime.record_without(envelope, *last)
        if is_resident:
            room.revive(self._runtime, place.number, message.cls, self._owed)

    def _ends(self, some: list[Left], code: int | None) -> Iterator[tuple[Any, ...]]:
        """Yield what becomes of requests: each completes, and is discarded or owed to its sink."""
        discarded: list[int] = []
        for left in some:
            turn, completed = left.turn, left.completed
            if completed is None:
                turn = self._runtime.log.last_number + 1
                completed = Completed(left.number, code, How.RECOVERED, 0)
                for cancel in left.cancels:
                    lost = (cancel, left.number, Outcome.SUPERSEDED, 0, "recovery")
                    yield CancelOutcome(*lost)
                yield completed
            if self._is_owed(left):
                asked = self.refer(Reference(self._runtime.log_id, left.asked))
                completed = completed._replace(
                    value=self._known.revive(completed.value, self.refer)
                )
                self._owed.append(Owed(left, completed, turn, asked))
            else:
                discarded.append(left.number)
        if discarded:
            yield Discarded(to_ranges(discarded), REASON, 0)

    def _endings(self, place: Place) -> Iterator[tuple[Any, ...]]:
        """Yield the ends of an endpoint's cancels and calls."""
        for cancel, (requested, _) in self._survivors.cancels.items():
            left = self._survivors.requests.get(requested.scope)
            if place.number == (requested.scope if left is None else left.endpoint):
                yield CancelEnded(cancel, None)
        for call, endpoint in self._survivors.calls.items():
            if endpoint == place.number:
                yield Closed(call, REASON)


def _goes_on(place: Place) -> bool:
    """Tell whether an endpoint can: only the native dialect's has no driver that has gone."""
    return place.dialect == "native" and not place.is_closed


def _room(dialect: str) -> Any:
    """Return where a dialect says how its requests end; of an unknown one, that it says nothing."""
    return import_module(_DIALECTS[dialect]) if dialect in _DIALECTS else _UnknownDialect


class _UnknownDialect:
    RECOVERED_CODE = None


def _lost_in(value: Any) -> Opaque | Withheld | None:
    """Return what stands in a value where the log holds none, if something does."""
    match value:
        case Opaque() | Withheld():
            return value
        case Unknown():
            return _lost_in(value.values)
        case dict():
            return _lost_in(tuple(_items(value.values())))
        case tuple() | list():
            return next((lost for each in _items(value) if (lost := _lost_in(each))), None)
        case _:
            return None


def _items(values: Any) -> Iterable[Any]:
    """Values of unknown content, which the checkers want named."""
    items: Iterable[Any] = values
    return items
