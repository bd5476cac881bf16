"""One epoch's actors, brought to life again, and the recorded turns that they take.

Actors' turns are executed; the application's scripts and the drivers stay outside, and what they
said re-enters from the log.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from rescind.actors import native
from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import DELIVERED
from rescind.actors.native._protocol import OPEN
from rescind.actors.native._requests import Requests
from rescind.actors.rpc._client import OPEN as OPEN_BINDING
from rescind.actors.rpc._serving import OPEN as OPEN_SERVER
from rescind.actors.rpc._status import OPEN as OPEN_TRAFFIC
from rescind.actors.runtime import Actor, ActorRef, Envelope, Reply, Waitable
from rescind.actors.runtime._errors import RecoveryError
from rescind.actors.runtime._lost import bury, lose
from rescind.actors.runtime._ranges import numbers_in
from rescind.actors.runtime._recovery import Recovery
from rescind.actors.runtime._survivors import Survivors
from rescind.actors.winsock._actors import OPEN as OPEN_APPLICATION
from rescind.events import (
    Accepted,
    Answer,
    Ask,
    Born,
    CompletionScript,
    DeadLetter,
    EventHandler,
    Fail,
    InputScript,
    Manner,
    Origin,
    PartialScript,
    Proxy,
    Recover,
    Reference,
    Resume,
    Start,
    Stop,
    Stopped,
    Submit,
)
from rescind.replay._ledger.numbers import NumberSet

from .detail import Places
from .difference import same_fact
from .inputs import (
    bring_back_error,
    check_payload,
    check_requests,
    error_said,
    is_plain,
    newton_endpoint,
    rpc_binding,
    rpc_server,
    rpc_traffic,
    survivors_of,
    winsock_application,
)
from .recorded import Recorded
from .recording import CannotGoOnError, Found, Recording
from .sent import Sent
from .stand_ins import (
    Clock,
    Dispatcher,
    Log,
    Mailboxes,
    NoDriver,
    NumberedRuntime,
    Stashes,
    loss_of,
)
from .wanted import Strand, Wanted

if TYPE_CHECKING:
    from rescind.actors.kernel._request import Request

_DELIVERIES = frozenset({CompletionScript, InputScript, PartialScript, EventHandler})
"""What leaves for the application.  Whether it wants the last two is its own affair."""
_ACTOR = Origin.ACTOR
DEPTH_MAX = 64
"""So many handlers wait on top of each other in one thread."""
END_TIMEOUT_S = 5.0
"""How long a handler that is given up may take to end."""
REQUESTS_KEPT = 50_000
"""So many requests that have been delivered are kept, in case that somebody speaks of one again."""


class LateRequestError(Exception):
    """A request takes a turn that was forgotten when it had been delivered."""


class World:
    """One epoch's actors, brought to life again.

    At most one thread moves in it at a time: whoever drives takes turn after turn.  A handler that
    waits inside its turn makes its thread stand still, and another one drives on.
    """

    def __init__(  # noqa: PLR0915  # all of it is one epoch
        self,
        recording: Recording,
        first: Recorded,
        wanted: Wanted,
        drive_on: Callable[[], object],
        places: Places | None = None,
    ) -> None:
        """Be about to take the first turn of an epoch.

        Args:
            recording: The recorded turns.
            first: The epoch's first turn.
            wanted: What is to be executed.
            drive_on: Has another thread take turns from here on.
            places: Where decisions are noted; None where nobody asks.
        """
        self.epoch = first.epoch
        self.current = first
        """The turn that was taken last."""
        self._recording = recording
        self._wanted = wanted
        self.known = wanted.known
        self.reader = recording.reader
        self.watched: dict[int, Recorded] = {}
        """The turns that were watched, by number."""
        self.given: dict[int, int] = {}
        """Actors that took something which the log could not carry, and the turn of the first."""
        self._drive_on = drive_on
        self._places = places
        self._log = Log(recording, first)
        log: Any = self._log
        turns = recording.turns if recording.looks_ahead else None
        dispatcher = Dispatcher(self._stand)
        runtime = self.runtime = NumberedRuntime(log, dispatcher, Clock(recording), turns)
        runtime.strict = recording.reader.writer_of(first.epoch).get("strict") == "yes"
        runtime.mailboxes = Mailboxes(runtime, recording)
        self._stashes = runtime.stashes = Stashes(runtime)
        self._residents = 0
        self._endpoints: dict[int, Endpoint] = {}
        self._requests: dict[int, Request] = {}
        self._requests_max = REQUESTS_KEPT
        self._forgotten = NumberSet()
        self._sent = Sent()
        self._refs: dict[int, ActorRef[Any]] = {}
        self._stopped = NumberSet()
        self._errors: dict[int, str] = {}
        """What stopped an actor, where that was a failure."""
        self._unknown = NumberSet()
        """Actors, endpoints and requests that are not executed."""
        self._skipped = NumberSet()
        self._is_partial = False
        """Whether any turn was skipped."""
        self._strands: dict[int, Strand] = {}
        self._depth = 0
        self._survivors: Survivors | None = None
        self._recovery: Recovery
        self._steps: dict[int, Callable[[], object]] = {}

    def forget_actors(self) -> None:
        """Let go of the actors: Pykka's registry must not see them."""
        for actor in list(self.runtime.actors.values()):
            self.runtime.forget(actor)

    def close(self) -> None:
        """End: handlers that still wait are given up where they stand."""
        self.forget_actors()
        for strand in self._strands.values():
            strand.is_given_up = True
            strand.go.release()
            strand.thread.join(END_TIMEOUT_S)
        self._strands.clear()

    # --- turns ---------------------------------------------------------------------------------

    def take(self, turn: Recorded) -> bool:
        """Execute one recorded turn, or several if its handler makes several records.

        Returns:
            False when the thread whose handler goes on with this turn drives on too.
        """
        self.current = turn
        kind = turn.kind
        if kind is Resume:
            if not self._resume(turn, turn.message):
                return False
        elif kind is Recover:
            self._recover(turn)
        else:
            self._begin(turn)
        self._settle()
        return True

    def _begin(self, turn: Recorded) -> None:
        envelope = self._envelope(turn)
        if envelope is None:
            self._skip(turn)
            return
        loss = loss_of(turn)
        if isinstance(loss, DeadLetter):
            # Also where its actor lives: a runtime that closes buries what was not taken in time.
            bury(self.runtime, envelope)
            return
        if loss is not None:
            lose(self.runtime, envelope, loss)
            return
        if self._places is not None and turn.number in self._places.numbers:
            self.watched[turn.number] = turn
            with self._places.watching(self, turn.number):
                self.runtime.run_envelope(envelope)
        elif isinstance(envelope.target, ActorRef):
            if self._wanted.before_handler is not None:
                self._wanted.before_handler(turn.number, turn.actor)
            self.runtime.run_envelope(envelope)
        else:
            # Of the kernel's actors every turn comes this way: no detour and no caller is settled.
            target, message, origin, cause, _, reply = envelope
            self.runtime.turn(target, message, origin, cause, None, reply)  # type: ignore[arg-type]
        if self._recording.turns.next is turn:
            self._diverge(turn, "this actor does not take anything now", turn.message, None)

    def _stand(self, waitable: Waitable) -> None:
        """Let a handler wait in its turn, and take other turns meanwhile."""
        part = self._log.last_number
        self._settle()
        if self._depth < DEPTH_MAX and self._recording.turns.ends_inside(part):
            self._depth += 1
            try:
                self._take_until(part, waitable)
            finally:
                self._depth -= 1
            return
        strand = self._strands[part] = Strand(waitable)
        self._drive_on()
        strand.stand()

    def _take_until(self, part: int, waitable: Waitable) -> None:
        """Take turns on top of the handler that waits, until it is resumed."""
        while (turn := self._recording.turns.next) is not None:
            if turn.kind is Resume and turn.message.part == part:
                self.current = turn
                self._answer(turn, turn.message, waitable)
                return
            self.take(turn)

    def _resume(self, turn: Recorded, message: Resume) -> bool:
        """Let a handler go on that stands still; tell whether there is none."""
        strand = self._strands.pop(message.part, None)
        if strand is None:
            if turn.actor not in self._unknown:
                self._diverge(turn, "nothing waits here any more", message, None)
            self._skip(turn)
            return True
        self._answer(turn, message, strand.waits_for)
        if self._wanted.before_handler is not None:
            self._wanted.before_handler(turn.number, turn.actor)
        strand.go.release()
        return False

    def _answer(self, turn: Recorded, message: Resume, waitable: Any) -> None:
        """See that what a handler waited for is there, if it was then."""
        if not waitable.is_done and turn.cause not in (0, message.part):
            # The answer came from an actor that is not executed here.
            check_payload(turn)
            waitable.turn = turn.cause
            if message.error is None:
                waitable.set(self.revive(message.value))
            else:
                error = error_said(message.error)
                waitable.set_exception((type(error), error, None))
        # Without an answer and yet with an error: the runtime closed.
        if message.error is not None and not waitable.is_done:
            self.runtime.end_waits([waitable])

    def _recover(self, turn: Recorded) -> None:
        """Take what outlived an epoch up again, as its recovery did."""
        if self._survivors is None:
            if self._recording.reasons:
                raise CannotGoOnError("it recovers what was written where turns are lost")
            self._survivors, ended = survivors_of(self.reader, turn.number)
            self._recovery = self._recovery_of(self._survivors, ended)
            self._steps = dict(self._recovery.steps())
        life = self._survivors.lives.get(turn.actor)
        is_ended = any(isinstance(event, Stopped) for event in turn.events)
        if life is not None and not is_ended and turn.actor not in self._recovery.refs:
            self._unknown.add(turn.actor)
        if turn.actor in self._unknown or turn.actor not in self._steps:
            self._skip(turn)
            return
        self._steps[turn.actor]()
        self._refs |= self._recovery.refs
        requests = self.runtime.residents.get(Requests)
        if isinstance(requests, Requests) and requests.number == turn.actor:
            self._take_over(requests)
            self._requests |= requests.requests

    def _recovery_of(self, survivors: Survivors, ended: set[int]) -> Recovery:
        reader = self.reader
        made = Recovery(self.runtime, survivors, self.known, reader.class_name, lambda _: reader)
        try:
            made.prepare(None, end_others=True, ended=ended)
        except RecoveryError as error:
            raise CannotGoOnError(str(error)) from error
        return made

    def _skip(self, turn: Recorded) -> None:
        """Leave a turn out that is not executed here, for want of a class or of a beginning."""
        if turn.actor not in self._unknown:
            if turn.actor in self._forgotten:
                raise LateRequestError
            self._unknown.add(turn.actor)
        check_requests(turn, self.runtime.residents.get(Requests))
        self._is_partial = True
        self._skipped.add(turn.number)
        for event in turn.events:
            if isinstance(event, Accepted):
                self._unknown.add(event.request)
        self._recording.skipped += 1
        self._recording.advance()

    def _diverge(self, turn: Recorded, what: str, expected: Any, actual: Any) -> NoReturn:
        self._recording.fail(Found(turn, what, expected, actual))

    # --- who takes it, and whether today's code sent it ----------------------------------------

    def _envelope(self, turn: Recorded) -> Envelope | None:  # noqa: C901  # every turn's way
        """Return the turn's message on its way to its actor; None for an actor not known here."""
        kind = turn.kind
        if turn.origin is _ACTOR:
            if kind in _DELIVERIES and turn.actor in self._endpoints:
                if not self._is_due(turn):
                    return None
            # Asked in this order because every turn comes through here.
            elif not self._is_partial:
                return self._sent_to(turn)
            elif turn.cause not in self._skipped:
                if turn.actor not in self._unknown:
                    return self._sent_to(turn)
                self._check_sent(turn)
        message = turn.message
        target = self._target(turn)
        if target is None:
            return None
        if not turn.replayable:
            self._take_stand_ins(turn)
        asks = kind is Ask or kind is Stop or (kind is Proxy and message.asked)
        reply: Reply[Any] | None = Reply(self.runtime) if asks else None
        if not all(map(is_plain, message)):
            message = kind(*(self.revive(field) for field in message))
        if isinstance(message, Answer | Fail):
            _bring_back(target, message)
        self._recording.brought = tuple(message)
        return Envelope(target, message, turn.origin, turn.wire[3], None, reply)

    def _take_stand_ins(self, turn: Recorded) -> None:
        """Let an actor take what the log could not carry, if it can, and remember that it did."""
        check_payload(turn)
        if not turn.turn.withheld:
            self.given.setdefault(turn.actor, turn.number)

    def _is_due(self, turn: Recorded) -> bool:
        """See that today's code would deliver just this next; tell whether it is executed here."""
        if turn.kind is CompletionScript or turn.kind is InputScript:
            if self._is_partial and self._is_of_strangers(turn.message):
                return False
            self._check_lane(turn, turn.message)
        return True

    def _check_sent(self, turn: Recorded) -> None:
        """See that today's code has sent what an actor takes that is not executed here."""
        cause = turn.cause
        if not cause or turn.number in self._skipped:
            return
        envelope = self._sent.take_of(turn.actor, cause)
        if envelope is not None and not same_fact(turn.message, envelope.message):
            self._diverge(turn, "another message", turn.message, envelope.message)

    def actor_of(self, number: int) -> Any:
        """Return who has this number here: an actor, an endpoint, a request, or None."""
        return (
            self.runtime.actors.get(number)
            or self._endpoints.get(number)
            or self._requests.get(number)
        )

    def class_name_of(self, turn: Recorded) -> str | None:
        """Return the recorded class of a turn's actor, if this turn tells it."""
        if not isinstance(turn.message, Start):
            return None
        return self.reader.class_name(self.epoch, turn.message.cls)

    def revive(self, value: Any) -> Any:
        """Put live actors, and values of their classes, in the place of the log's stand-ins."""
        return self.known.revive(value, self.refer)

    def refer(self, reference: Reference) -> Any:
        if reference.log != self._log.log_id:
            return reference
        return self._ref(reference.number) or self._stranger(reference.number)

    def _ref(self, number: int) -> ActorRef[Any] | None:
        """Return what names an ordinary actor; a pinned one may still be about to start."""
        found = self._refs.get(number)
        if found is not None:
            return found
        if number in self._stopped:
            ref = self._stranger(number)
            ref.error = self._errors.get(number)
            ref.end()
            return ref
        known = (self._unknown, self._endpoints, self._requests)
        if self._recording.looks_ahead and not any(number in each for each in known):
            start = self._recording.turns.start_of(number)
            cls = self._class_of(start.message) if start is not None else None
            if cls is not None:
                self._refs[number] = cls.REF(self.runtime, number, cls)
        return self._refs.get(number)

    def _stranger(self, number: int) -> ActorRef[Any]:
        """Return what names an actor of whom nothing is known here but the number."""
        return native.Actor.REF(self.runtime, number, native.Actor)

    def _class_of(self, message: Any) -> type[Actor] | None:
        if not isinstance(message, Start):
            return None
        name = self.reader.class_name(self.epoch, message.cls)
        return self.known.actors.get(name or "")

    def _sent_to(self, turn: Recorded) -> Envelope:
        """Return the message that today's code sent to this actor first."""
        envelope = self._sent.take(turn)
        if envelope is None:
            if turn.actor in self._forgotten:
                raise LateRequestError
            self._diverge(turn, "nobody sent this message", turn.message, None)
        if isinstance(envelope.target, ActorRef):
            self._refs[turn.actor] = envelope.target
        return envelope

    def _target(self, turn: Recorded) -> Any:
        number = turn.actor
        found = self._refs.get(number) or self._endpoints.get(number) or self._requests.get(number)
        if found is not None:
            return found
        if turn.kind is Submit and turn.message.operation in _OPENINGS:
            return self._open(turn)
        if turn.kind is Start:
            return self._start(turn, turn.message)
        return None if number in self._unknown else self._ref(number)

    def _open(self, turn: Recorded) -> Endpoint | None:
        """Bring an endpoint of a dialect to life, if the turn's call did."""
        is_native = turn.message.operation == OPEN
        # Where no ordinary actor is executed, nobody who is has a part in native requests.
        if not self.known.actors if is_native else self._wanted.only not in (0, turn.actor):
            self.runtime.next_number()
            self._unknown.add(turn.actor)
            return None
        if is_native:
            requests = Requests(self.runtime, self.runtime.next_number())
            self.runtime.residents[Requests] = requests
            self._take_over(requests)
            return requests
        check_payload(turn)
        endpoint = _OPENS[turn.message.operation](self.runtime, turn.message)
        self._endpoints[turn.actor] = endpoint
        return endpoint

    def _take_over(self, requests: Requests) -> None:
        requests.driver = NoDriver()
        self._endpoints[requests.number] = requests

    def _start(self, turn: Recorded, message: Start) -> ActorRef[Any] | None:
        number = self.runtime.next_number()
        cls = self._class_of(message)
        is_left_out = self._wanted.only not in (0, turn.actor)
        if cls is None or is_left_out or self._is_strangers_child(turn):
            self._unknown.add(turn.actor)
            return None
        return self._ref(turn.actor) or self._refs.setdefault(
            turn.actor, cls.REF(self.runtime, number, cls)
        )

    def _is_strangers_child(self, turn: Recorded) -> bool:
        """Tell whether its parent is not executed: who knows what that does when it fails."""
        if not self._is_partial:
            return False
        return any(isinstance(each, Born) and each.parent in self._unknown for each in turn.events)

    def _is_of_strangers(self, message: CompletionScript | InputScript) -> bool:
        """Tell whether completions are delivered that nobody here knows of.

        Raises:
            CannotGoOnError: of some of them somebody does.
        """
        if isinstance(message, InputScript):
            return message.request in self._unknown
        strange = [number in self._unknown for number in numbers_in(message.requests)]
        if any(strange) and not all(strange):
            raise CannotGoOnError("it delivers to actors that are executed and to others at once")
        return any(strange)

    def _check_lane(self, turn: Recorded, message: CompletionScript | InputScript) -> None:
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
                self._diverge(turn, "another delivery is due", number, due)

    def _settle(self) -> None:
        """Let the effects of what was executed happen; the drivers are not there to hear them."""
        runtime, recording = self.runtime, self._recording
        if len(runtime.residents) != self._residents:
            self._residents = len(runtime.residents)
            requests = runtime.residents.get(Requests)
            if isinstance(requests, Requests) and requests.number not in self._endpoints:
                self._take_over(requests)  # a handler that started the first actor has opened them
        for function, *arguments in runtime.take_effects():
            function(*arguments)
        if runtime.has_turns:
            self._keep_sent(runtime.take_waiting())
        if self._stashes.first:
            self._sent.put_first(self._stashes.take_first())
        if recording.accepted:
            self._keep_requests()
        if recording.stopped:
            for event in recording.stopped:
                self._refs.pop(event.actor, None)
                self._stopped.add(event.actor)
                if event.error is not None:
                    self._errors[event.actor] = event.error
            recording.stopped.clear()

    def _keep_sent(self, waiting: list[Envelope]) -> None:
        for envelope in waiting:
            target = envelope.target
            if isinstance(target, ActorRef) and target.number not in self._unknown:
                self._refs.setdefault(target.number, target)
            self._sent.keep(envelope)

    def _keep_requests(self) -> None:
        """Know the requests by their numbers that were just accepted."""
        for event in self._recording.accepted:
            endpoint = self._endpoints.get(event.endpoint)
            request = None if endpoint is None else endpoint.requests.get(event.request)
            if request is not None:
                self._requests[event.request] = request
        self._recording.accepted.clear()
        if len(self._requests) > self._requests_max:
            self._forget_requests()

    def _forget_requests(self) -> None:
        """Forget those that have been delivered; hardly ever does one take another turn."""
        late = self._wanted.late
        done = [number for number, each in self._requests.items() if each.status >= DELIVERED]
        for number in done:
            if late is None or number not in late:
                del self._requests[number]
                self._forgotten.add(number)
        self._requests_max = max(REQUESTS_KEPT, 2 * len(self._requests))

    def unclaimed(self) -> Envelope | None:
        """Return a message that was sent to an actor which has stopped and never took it."""
        return self._sent.for_any(self._stopped)


_OPENS: dict[str, Callable[[Any, Submit], Endpoint]] = {
    "Instantiate": newton_endpoint,
    OPEN_APPLICATION: winsock_application,
    OPEN_BINDING: rpc_binding,
    OPEN_SERVER: rpc_server,
    OPEN_TRAFFIC: rpc_traffic,
}
"""Calls that bring an endpoint of a dialect to life, beside the one for native requests."""
_OPENINGS = frozenset({OPEN, *_OPENS})


def _bring_back(target: Any, message: Answer | Fail) -> None:
    """Give today's code the errors that the log only tells of."""
    if isinstance(message, Fail):  # of a child that is not executed here
        target.escalated = {message.child: error_said(message.error)}
    elif message.code is not None:
        bring_back_error(target, message.value)
