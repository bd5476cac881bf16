"""Re-execution: the recording's inputs, in the recording's order, through today's code.

Actors' turns are executed; the application's scripts and the drivers stay outside, and what they
said re-enters from the log.  Every record that today's code makes is held against the recorded one
the moment it is made, so that the first difference is found where it arises.

A handler is executed in a thread of its own, which stands still where the handler waits inside its
turn, while other turns go on; at most one of these threads moves at a time.
"""

import builtins
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from rescind.actors import native
from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.native._protocol import OPEN
from rescind.actors.native._requests import Requests
from rescind.actors.newton import _protocol as newton
from rescind.actors.newton._actors import NewtonEndpoint
from rescind.actors.runtime import (
    Abandon,
    Actor,
    ActorRef,
    Envelope,
    Part,
    Reply,
)
from rescind.actors.runtime._bounds import COUNTED
from rescind.actors.runtime._known import Known
from rescind.actors.runtime._lost import lose
from rescind.actors.runtime._ranges import numbers_in
from rescind.actors.runtime._recovery import Recovery
from rescind.actors.runtime._survivors import Survivors
from rescind.actors.winsock import _protocol as winsock
from rescind.actors.winsock._actors import OPEN as OPEN_APPLICATION
from rescind.actors.winsock._actors import Winsock
from rescind.events import (
    Accepted,
    Answer,
    Ask,
    Born,
    CompletionScript,
    EventHandler,
    Fail,
    InputScript,
    LogReader,
    Manner,
    Origin,
    PartialScript,
    Proxy,
    Recover,
    Reference,
    Restart,
    Resume,
    Start,
    Stop,
    Stopped,
    Submit,
    Tell,
    Turn,
    UsageError,
    declared_as,
    read,
)
from rescind.events._turn import holds_withheld

from ._ahead import TurnsAhead
from ._difference import cause_of, difference, wire_cause
from ._stand_ins import (
    Clock,
    Dispatcher,
    Log,
    Mailboxes,
    NoDriver,
    NumberedRuntime,
    Resolver,
    Stashes,
    Subscriptions,
    Tool,
    loss_of,
)

if TYPE_CHECKING:
    from rescind.actors.kernel._request import Request

_NEEDS_PAYLOAD = (Start, Tell, Ask, Proxy, Resume, Submit, Fail)
"""What handlers compute with.  What drivers report is only handed on, so a stand-in will do."""
_DELIVERIES = (CompletionScript, InputScript, PartialScript, EventHandler)
"""What leaves for the application.  Whether it wants the last two is its own affair."""
_OVERTAKING = (Stop, Restart, Fail)
"""What supervision sends by the control lane, past what was sent before it."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first record that came out differently.

    Attributes:
        number: the recorded turn.
        what: which part of it differs, in a few words.
        expected: what the recording holds there.
        actual: what today's code made; None when it made nothing.
        ancestor: the last turn before it on its chain of causes that still came out equal; 0 if
            it is an input itself.
    """

    number: int
    what: str
    expected: Any
    actual: Any
    ancestor: int


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of a re-execution.

    Attributes:
        turns: how many recorded turns came out equal.
        skipped: turns of actors whose class nobody named with ``classes``.
        opaque: turns that hold values the log could not carry; they were not compared.
        withheld: turns of which a payload policy withheld something; they were not compared.
        ended: the turn where re-execution ended because its input was withheld; 0 if it did not.
        divergence: the first difference, if there is one.
    """

    turns: int
    skipped: int
    opaque: int
    withheld: int
    ended: int
    divergence: Divergence | None


def rerun(source: str | PathLike[str] | LogReader, *, classes: Iterable[type] = ()) -> Rerun:
    """Execute a recording again and return the first divergence, if any.

    Args:
        source: a log, or a reader of one.
        classes: the application's own actor classes, and messages and events it has declared that
            no handler's annotation names; nothing is imported because a log names it.
    """
    reader = source if isinstance(source, LogReader) else read(source)
    known = Known(classes)
    found = _rerun(reader, known, looks_ahead=False)
    if found.divergence is None:
        return found
    # Perhaps only in its numbers: pinned actors may have taken some out of turn.
    again = _rerun(reader, known, looks_ahead=True)
    return found if again.divergence is not None else again


def _rerun(reader: LogReader, known: Known, *, looks_ahead: bool) -> Rerun:
    recording = _Recording(reader, looks_ahead=looks_ahead)
    world: _World | None = None
    try:
        while (turn := recording.peek()) is not None:
            if world is None or turn.epoch != world.epoch:
                if world is not None:
                    world.close()
                world = _World(recording, turn, known)
            world.take(turn)
    except _Diverged as found:
        return recording.result(found.divergence)
    except _PayloadWithheldError as found:
        return recording.result(None, ended=found.number)
    finally:
        if world is not None:
            world.close()
    return recording.result(None)


def actor_classes(modules: Iterable[str]) -> list[type]:
    """Import modules that the caller, and not the log, has named; return their actor classes.

    And with them the messages and events that the modules declare.

    Raises:
        UsageError: there is no such module.
    """
    classes: list[type] = []
    for name in modules:
        try:
            module = import_module(name)
        except ImportError as error:
            raise UsageError(f"--classes {name}: {error}") from error
        found: list[type[Any]] = [each for each in vars(module).values() if isinstance(each, type)]
        classes += [each for each in found if issubclass(each, Actor) or declared_as(each)]
    return classes


class _Diverged(Abandon):
    """Carries a divergence out of whatever code runs; that code must not catch it by accident."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.what)
        self.divergence = divergence


class _PayloadWithheldError(Exception):
    """The next turn needs a payload that the log was told not to keep."""

    def __init__(self, number: int) -> None:
        super().__init__(f"turn {number}: payload withheld")
        self.number = number


class _Recording:
    """The recorded turns, one after the other, and what became of them."""

    def __init__(self, reader: LogReader, *, looks_ahead: bool) -> None:
        self.reader = reader
        self.turns = TurnsAhead(reader)
        self.looks_ahead = looks_ahead
        self.equal = 0
        self.skipped = 0
        self.opaque = 0
        self.withheld = 0

    def peek(self) -> Turn | None:
        return self.turns.next

    def advance(self) -> None:
        self.turns.advance()

    def result(self, divergence: Divergence | None, *, ended: int = 0) -> Rerun:
        counts = (self.equal, self.skipped, self.opaque, self.withheld)
        return Rerun(*counts, ended, divergence)

    def compare(self, made: tuple[Any, ...]) -> int:
        """Hold a record that was just made against the one that comes next; return its number."""
        expected = self.peek()
        if expected is None:
            # The recording ends inside a turn that had several records: nothing left to hold it to.
            raise _Diverged(Divergence(0, "the recording ends here", None, made, 0))
        self.advance()
        if expected.withheld:
            self.withheld += 1
            return expected.number
        if not expected.replayable:
            self.opaque += 1
            return expected.number
        found = difference(expected, made)
        if found is not None:
            what, recorded, actual = found
            raise _Diverged(Divergence(expected.number, what, recorded, actual, cause_of(expected)))
        self.equal += 1
        return expected.number


class _World:
    """One epoch's actors, brought to life again."""

    def __init__(self, recording: _Recording, first: Turn, known: Known) -> None:
        self.epoch = first.epoch
        self._recording = recording
        self._known = known
        self._log = Log(recording, first)
        self._dispatcher = Dispatcher()
        log: Any = self._log
        turns = recording.turns if recording.looks_ahead else None
        self._runtime = NumberedRuntime(log, self._dispatcher, Clock(recording), turns)
        self._runtime.strict = recording.reader.writer_of(first.epoch).get("strict") == "yes"
        self._runtime.mailboxes = Mailboxes(self._runtime, recording)
        self._stashes = self._runtime.stashes = Stashes(self._runtime)
        self._runtime.subscriptions = Subscriptions(self._runtime, deque())
        self._endpoints: dict[int, Endpoint] = {}
        self._requests: dict[int, Request] = {}
        self._sent: dict[int, deque[Envelope]] = {}
        self._refs: dict[int, ActorRef[Any]] = {}
        self._unknown: set[int] = set()
        self._skipped: set[int] = set()
        self._parts: dict[int, Part] = {}
        self._survivors: Survivors | None = None
        self._recovery: Recovery
        self._steps: dict[int, Callable[[], object]] = {}

    def close(self) -> None:
        """Let go of the actors: Pykka's registry must not see them."""
        for actor in list(self._runtime.actors.values()):
            self._runtime.forget(actor)
        self._dispatcher.close()

    def take(self, turn: Turn) -> None:
        """Execute one recorded turn, or several if its handler makes several records."""
        if isinstance(turn.message, Resume):
            self._resume(turn, turn.message)
        elif isinstance(turn.message, Recover):
            self._recover(turn)
        else:
            self._begin(turn)
        self._settle(turn)

    def _begin(self, turn: Turn) -> None:
        envelope = self._envelope(turn)
        if envelope is None:
            self._skip(turn)
            return
        loss = loss_of(turn)
        if loss is not None:
            lose(self._runtime, envelope, loss)
            return
        part = self._dispatcher.part
        with self._runtime.baton:
            self._runtime.run_envelope(envelope)
        self._keep(part, turn)
        if self._recording.peek() is turn:
            what = "this actor does not take anything now"
            raise _Diverged(_divergence(turn, what, turn.message, None))

    def _recover(self, turn: Turn) -> None:
        """Take what outlived an epoch up again, as its recovery did."""
        if self._survivors is None:
            self._survivors = _survivors_of(self._recording.reader, turn.number)
            self._recovery = self._recovery_of(self._survivors)
            self._steps = dict(self._recovery.steps())
        life = self._survivors.lives.get(turn.actor)
        is_ended = any(isinstance(event, Stopped) for event in turn.events)
        if life is not None and not is_ended and turn.actor not in self._recovery.refs:
            self._unknown.add(turn.actor)
        if turn.actor in self._unknown or turn.actor not in self._steps:
            self._skip(turn)
            return
        part = self._dispatcher.part
        with self._runtime.baton:
            self._steps[turn.actor]()
        self._keep(part, turn)
        self._refs |= self._recovery.refs
        requests = self._runtime.residents.get(Requests)
        if isinstance(requests, Requests) and requests.number == turn.actor:
            self._take_over(requests)
            self._requests |= requests.requests

    def _recovery_of(self, survivors: Survivors) -> Recovery:
        reader = self._recording.reader
        made = Recovery(self._runtime, survivors, self._known, reader.class_name, lambda _: reader)
        made.prepare(None, end_others=True)
        return made

    def _keep(self, part: Part, turn: Turn) -> None:
        """Remember a handler that waits; one that neither waits nor ends has failed."""
        if self._dispatcher.is_hanging:
            raise _Diverged(_divergence(turn, "the handler hangs", turn.events, None))
        if part.waits_for is not None:
            self._parts[self._log.last_number] = part

    def _resume(self, turn: Turn, message: Resume) -> None:
        part = self._parts.pop(message.part, None)
        if part is None:
            if turn.actor not in self._unknown:
                raise _Diverged(_divergence(turn, "nothing waits here any more", message, None))
            self._skip(turn)
            return
        reply: Any = part.waits_for
        if not reply.is_done and turn.cause is not None and turn.cause.number != message.part:
            # The answer came from an actor that is not executed here.
            _check_payload(turn)
            reply.turn = turn.cause.number
            if message.error is None:
                reply.set(message.value)
            else:
                reply.set_exception((RuntimeError, RuntimeError(message.error), None))
        # Without an answer and yet with an error: the runtime closed.
        if message.error is not None and not reply.is_done:
            self._runtime.end_waits([reply])
        with self._runtime.baton:
            self._dispatcher.resume(part)
        self._keep(part, turn)

    def _skip(self, turn: Turn) -> None:
        """Leave a turn out whose actor's class is not known here."""
        if turn.actor not in self._unknown:
            what = "this actor does not exist in today's run"
            raise _Diverged(_divergence(turn, what, turn.message, None))
        self._skipped.add(turn.number)
        self._recording.skipped += 1
        self._recording.advance()

    # --- who takes it, and whether today's code sent it ----------------------------------------

    def _envelope(self, turn: Turn) -> Envelope | None:
        """Return the turn's message on its way to its actor; None for an actor not known here."""
        message = turn.message
        is_delivery = isinstance(message, _DELIVERIES) and turn.actor in self._endpoints
        is_sent = turn.origin is Origin.ACTOR and not is_delivery
        if is_sent and turn.actor not in self._unknown and cause_of(turn) not in self._skipped:
            return self._sent_to(turn)
        if isinstance(message, CompletionScript | InputScript) and is_delivery:
            self._check_lane(turn, message)
        target = self._target(turn)
        if target is None:
            return None
        _check_payload(turn)
        asks = isinstance(message, Ask | Stop) or (isinstance(message, Proxy) and message.asked)
        reply: Reply[Any] | None = Reply(self._runtime) if asks else None
        message = type(message)(*(self._revive(field) for field in message))
        if isinstance(message, Answer) and message.code is not None:
            _bring_back_error(target, message.value)
        if isinstance(message, Fail):  # of a child that is not executed here
            target.escalated = {message.child: _error_said(message.error)}
        return Envelope(target, message, Origin(turn.origin), wire_cause(turn), None, reply)

    def _revive(self, value: Any) -> Any:
        """Put live actors, and values of their classes, in the place of the log's stand-ins."""
        return self._known.revive(value, self._refer)

    def _refer(self, reference: Reference) -> Any:
        found = self._ref(reference.number) if reference.log == self._log.log_id else None
        return found or reference

    def _ref(self, number: int) -> ActorRef[Any] | None:
        """Return what names an ordinary actor; a pinned one may still be about to start."""
        known = (self._refs, self._unknown, self._endpoints, self._requests)
        if self._recording.looks_ahead and not any(number in each for each in known):
            start = self._recording.turns.start_of(number)
            cls = self._class_of(start.message) if start is not None else None
            if cls is not None:
                self._refs[number] = cls.REF(self._runtime, number, cls)
        return self._refs.get(number)

    def _class_of(self, message: Any) -> type[Actor] | None:
        if not isinstance(message, Start):
            return None
        name = self._recording.reader.class_name(self.epoch, message.cls)
        return self._known.actors.get(name or "")

    def _sent_to(self, turn: Turn) -> Envelope:
        """Return the message that today's code sent to this actor first."""
        sent = self._sent.get(turn.actor)
        if not sent:
            what = "nobody sent this message"
            raise _Diverged(_divergence(turn, what, turn.message, None))
        envelope = sent[(at := self._place_of(turn, sent))]
        del sent[at]
        if isinstance(envelope.target, ActorRef):
            self._refs[turn.actor] = envelope.target
        return envelope

    def _place_of(self, turn: Turn, sent: deque[Envelope]) -> int:
        """Return which of the messages for an actor is taken: the first, but for these.

        What supervision sends and an urgent stop overtake, and of those in a mailbox the oldest is
        dropped.
        """
        message = turn.message
        overtakes = isinstance(message, _OVERTAKING)
        for at, envelope in enumerate(sent):
            if overtakes:
                if type(envelope.message) is type(message) and envelope.message == message:
                    return at
            elif loss_of(turn) is None or type(envelope.message) in COUNTED:
                return at
        return 0

    def _target(self, turn: Turn) -> Any:
        message, number = turn.message, turn.actor
        if isinstance(message, Submit) and message.operation in _OPENS:
            return _OPENS[message.operation](self, turn, message)
        if isinstance(message, Start):
            return self._start(turn, message)
        for known in (self._endpoints, self._requests, self._refs):
            if number in known:
                return known[number]
        return None

    def _instantiate(self, turn: Turn, message: Submit) -> NewtonEndpoint:
        _check_payload(turn)
        profile, label, _, *encoding = message.arguments
        tool: Any = Tool(label)
        number = self._runtime.next_number()
        endpoint = NewtonEndpoint(self._runtime, number, newton.PROFILES[profile], tool, *encoding)
        self._endpoints[turn.actor] = endpoint
        return endpoint

    def _open_application(self, turn: Turn, message: Submit) -> Winsock:
        _check_payload(turn)
        profile, label, _, *bounds = message.arguments
        resolver: Any = Resolver(label)
        application = Winsock(
            self._runtime,
            self._runtime.next_number(),
            winsock.PROFILES[profile],
            resolver,
            (bounds[0], bounds[1]),
        )
        self._endpoints[turn.actor] = application
        return application

    def _open_requests(self, _turn: Turn, _message: Submit) -> Requests:
        requests = Requests(self._runtime, self._runtime.next_number())
        self._runtime.residents[Requests] = requests
        self._take_over(requests)
        return requests

    def _take_over(self, requests: Requests) -> None:
        requests.driver = NoDriver()
        self._endpoints[requests.number] = requests

    def _start(self, turn: Turn, message: Start) -> ActorRef[Any] | None:
        number = self._runtime.next_number()
        cls = self._class_of(message)
        parents = {event.parent for event in turn.events if isinstance(event, Born)}
        # Who is not executed here cannot be asked what it would do about its child's failures.
        if cls is None or not self._unknown.isdisjoint(parents):
            self._unknown.add(turn.actor)
            return None
        return self._refs.setdefault(turn.actor, cls.REF(self._runtime, number, cls))

    def _check_lane(self, turn: Turn, message: CompletionScript | InputScript) -> None:
        """See that today's code would deliver just this next."""
        if isinstance(message, InputScript):
            numbers = [message.request]
        elif message.manner == Manner.TAKEN:
            return  # the application takes its messages when it likes
        else:
            numbers = list(numbers_in(message.requests))
        lane = self._endpoints[turn.actor].lane
        for number in numbers:
            head = lane.next()
            due = getattr(head, "subject", head).number if head is not None else None
            if due != number:
                raise _Diverged(_divergence(turn, "another delivery is due", number, due))

    def _settle(self, turn: Turn) -> None:
        """Let the effects of what was executed happen; the drivers are not there to hear them."""
        requests = self._runtime.residents.get(Requests)
        if isinstance(requests, Requests) and requests.number not in self._endpoints:
            self._take_over(requests)  # a handler that started the first actor has opened them
        self._runtime.commit()
        for envelope in self._runtime.take_waiting():
            number = envelope.target.number
            if isinstance(envelope.target, ActorRef):
                self._refs.setdefault(number, envelope.target)
            self._sent.setdefault(number, deque()).append(envelope)
        # What an actor takes up again comes before what waits.
        for envelope in reversed(self._stashes.take_first()):
            self._sent.setdefault(envelope.target.number, deque()).appendleft(envelope)
        for event in turn.events:
            if isinstance(event, Accepted) and event.endpoint in self._endpoints:
                request = self._endpoints[event.endpoint].requests.get(event.request)
                if request is not None:
                    self._requests[event.request] = request


_OPENS: dict[str, Callable[[_World, Turn, Submit], Endpoint]] = {
    "Instantiate": _World._instantiate,  # noqa: SLF001  # this table is part of the class
    OPEN: _World._open_requests,  # noqa: SLF001
    OPEN_APPLICATION: _World._open_application,  # noqa: SLF001
}
"""Calls that bring an endpoint of a dialect to life."""


def _survivors_of(reader: LogReader, behind: int) -> Survivors:
    """Fold the turns before ``behind``, while others are read."""
    survivors, damage = Survivors(), reader.damage
    for turn in reader:
        if turn.number >= behind:
            break
        survivors.feed(turn)
    reader.damage = damage
    return survivors


def _bring_back_error(target: Any, said: Any) -> None:
    """Let work have raised again what it raised."""
    if isinstance(target, native.Request) and target.spec is not None and isinstance(said, str):
        target.spec.error = _error_said(said)


def _error_said(said: str) -> Exception:
    """Return an exception by its text: of Python's own at least the type.

    Nothing is looked up but those; any other gets a stand-in of the same name.
    """
    name, _, text = said.partition(": ")
    cls = getattr(builtins, name, None)
    made: Exception = type(name, (Exception,), {})(text)
    if isinstance(cls, type) and issubclass(cls, Exception):
        with suppress(TypeError):
            made = cls(text)
    return made


def _check_payload(turn: Turn) -> None:
    if isinstance(turn.message, _NEEDS_PAYLOAD) and holds_withheld(turn.message):
        raise _PayloadWithheldError(turn.number)


def _divergence(turn: Turn, what: str, expected: Any, actual: Any) -> Divergence:
    return Divergence(turn.number, what, expected, actual, cause_of(turn))
