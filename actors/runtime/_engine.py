"""The engine: the baton, the turn, its record, and the three lanes of waiting messages.

Whoever holds the baton runs turns, and everything here belongs to its holder.  A turn is *decide,
record, act*: the handler fills an outbox, the outbox becomes one record, and only then are its
events applied, its messages sent and its effects queued for the way out.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextvars import Token
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from rescind.events import (
    Entry,
    LogWriter,
    Origin,
    SlowTurn,
    Start,
    Stop,
    Tell,
    TimerSet,
    check_recordable,
)

from ._actor import Actor, class_name, short_name, source_digest
from ._baton import Baton
from ._clock import Clock
from ._context import CAUSE, Caller, Callers, CauseSource, TurnCause, WireCause
from ._contracts import Dispatcher, Owned, Unit
from ._errors import RuntimeClosedError, UsageError
from ._lost import bury, stillborn
from ._mailbox import Box, Mailboxes
from ._numbers import numbers_kept
from ._outbox import By, Detour, Envelope, Message, Outbox
from ._pinned import Pin
from ._ref import ActorRef
from ._registry import unregister
from ._reply import Reply, finish
from ._stash import Stashes
from ._state import Birth, told
from ._supervision import ends_pause
from ._timers import Timer, Timers

if TYPE_CHECKING:
    from ._exits import Exits
    from ._observer import Guarded
    from ._runtime import Runtime

logger = logging.getLogger("rescind.runtime")
A = TypeVar("A", bound=Actor)

_ACTOR = Origin.ACTOR
# Read here once: members of an enum are looked up through its metaclass at every use.

TURNS_PER_HOLD = 256
"""Turns that one holder runs before it offers the baton to others."""
TURNS_AT_ONCE = 16
"""Turns that one holder runs while somebody is in a hurry."""


class Engine:
    """Runs turns, one at a time, and appends their records; the lowest third of a runtime."""

    is_whole: bool = False
    """Whether nothing that earlier epochs left behind lives outside of this runtime."""

    strict: bool = False
    """Whether what cannot be recorded is refused where it comes from."""

    def __init__(  # noqa: PLR0915  # all of it is what every turn needs at hand
        self, log: LogWriter, dispatcher: Dispatcher, clock: Clock
    ) -> None:
        """Run on an open log."""
        self.log = log
        self.log_id = log.log_id
        self.clock = clock
        self.dispatcher = dispatcher
        self._runs_handlers_here = type(dispatcher).run_handler is Dispatcher.run_handler
        self.baton = Baton()
        self.out = Outbox()
        """The outbox of the baton's holder."""
        self.observer: Guarded | None = None
        """Who sees every turn."""
        self.slow_turn_ns: int | None = None
        """Handlers that take longer are slow; None where nobody minds."""
        self.timers = Timers()
        self.callers = Callers(log.who, log.site)
        self.failure: BaseException | None = None
        """Why nothing is acknowledged any more."""
        self.closing = False
        """Whether no turn is run any more."""
        self.actors: dict[int, Actor] = {}
        """Live ordinary actors; requests and endpoints are kept by the kernel."""
        self.units: WeakValueDictionary[int, Unit] = WeakValueDictionary()
        """The kernel's endpoints; one that has ended leaves when nobody holds it any more."""
        self.residents: dict[type, Owned] = {}
        """What a dialect keeps one of for a runtime, by its class; closed after the actors."""
        self.born: dict[int, Any] = {}
        """What the turn has made whose facts are being applied, by number."""
        self._kind_ids = log.kind_ids
        self._classes: dict[type, int] = {}
        self._now_ns = clock.now_ns
        self._append = log.append
        self._control: deque[Envelope | Broadcast] = deque()
        self._reports: deque[Envelope] = deque()
        self._backlog: deque[Envelope] = deque()
        self._door = threading.Lock()
        """Held for a moment by whoever brings a message from outside, and to close: what is in by
        then is taken or buried, and nothing comes in afterwards."""
        self.mailboxes = Mailboxes(
            self, self._door, self._control, self._backlog, self._check_running
        )
        self.stashes = Stashes(self)
        self._parked: dict[int, deque[Envelope]] = {}
        self._pins: dict[int, Pin] = {}
        self._effects: list[tuple[Any, ...]] = []
        self._handlers: dict[int, Outbox] = {}
        """By thread: the turns whose handler runs there; one that waits is not among them."""
        self._interrupt: BaseException | None = None

    # --- actors --------------------------------------------------------------------------------

    def class_number(self, cls: type) -> int:
        """Return the number under which records name an actor class; called under the baton."""
        number = self._classes.get(cls)
        if number is None:
            number = self._classes[cls] = self.log.class_(class_name(cls), 1, source_digest(cls))
        return number

    def make(self, ref: ActorRef[A], start: Start | Birth) -> A:
        """Make the actor of ``ref``; its constructor is called in its first turn."""
        cls = ref.actor_class
        actor = cls.__new__(cls, *start.args, **start.kwargs)
        actor.runtime, actor.number, actor.unit = cast("Runtime", self), ref.number, actor
        actor._actor_ref = ref  # noqa: SLF001  # Pykka's own attribute
        ref.actor, ref.started = actor, None
        if cls.EVENT_SOURCED:
            if isinstance(start, Start):
                start = Birth(start.args, start.kwargs, self.log.epoch)
            ref.birth = start
        self.actors[ref.number] = actor
        return actor

    def unpark(self, ref: ActorRef[Any]) -> None:
        """Let an actor take what came while it took nothing, before anything that comes later."""
        self._backlog.extendleft(reversed(self._parked.pop(ref.number, ())))

    def forget(self, actor: Actor) -> None:
        """Take a stopped actor out of the runtime; called in its last turn."""
        self.actors.pop(actor.number, None)
        unregister(actor.actor_ref)
        self.unpark(actor.actor_ref)
        self._backlog.extend(self.stashes.forget(actor.actor_ref))
        self.mailboxes.forget(actor.actor_ref)

    def entries(self) -> Iterator[Entry | None]:
        """Tell of everything that lives, for a keyframe; asked on under the baton, bit by bit."""
        yield Entry(0, 0, {"kind": "log", "is_whole": self.is_whole})
        for number in numbers_kept(self.actors, 1, self.log.actors_next):
            if number is None:
                yield None
            else:
                actor = self.actors[number]
                yield Entry(number, self.class_number(type(actor)), told(actor))
        for number in numbers_kept(self.units, 1, self.log.actors_next):
            unit = None if number is None else self.units.get(number)
            if unit is None:
                yield None
            else:
                yield from unit.entries()

    def next_number(self) -> int:
        """Return a fresh actor number; called under the baton."""
        number = self.log.actors_next
        self.log.actors_next = number + 1
        return number

    # --- turns ---------------------------------------------------------------------------------

    def my_turn(self) -> Outbox | None:
        """Return the outbox of the handler that the calling thread is inside of, if it is."""
        # Most calls find no handler running anywhere, and need not ask which thread they are.
        return self._handlers.get(threading.get_ident()) if self._handlers else None

    def turn_of(self, actor: Actor, what: str) -> Outbox:
        """Return the outbox of the turn of ``actor`` that the calling thread is inside of.

        Raises:
            UsageError: it is inside of none; ``what`` is the name of what was called.
        """
        out = self.my_turn()
        if out is None or out.actor is not actor:
            raise UsageError(f"{what} outside of a turn of this actor; its handlers can call it")
        return out

    def enter_handler(self, out: Outbox) -> Token[CauseSource | None]:
        """Mark the calling thread as being inside an ordinary actor's handler, filling ``out``."""
        self._handlers[threading.get_ident()] = out
        out.tried = 0
        before = None if out.baton is None else out.cause
        cause = TurnCause(cast("Runtime", self), before)
        out.causes.append(cause)
        return CAUSE.set(cause)

    def leave_handler(self, token: Token[CauseSource | None], out: Outbox) -> None:
        """Unmark it."""
        if self.slow_turn_ns is not None:
            self._look_how_long(out, self.slow_turn_ns)
        del self._handlers[threading.get_ident()]
        CAUSE.reset(token)

    def _look_how_long(self, out: Outbox, slow_ns: int) -> None:
        """Note a handler that kept the baton for too long; a pinned one does not keep it."""
        took_ns = self._now_ns() - out.now_ns
        if took_ns > slow_ns and out.baton is None:
            out.events.append(SlowTurn(took_ns))
            who, what = short_name(out.actor), type(out.message).__name__
            logger.warning("%s took %.3f s for its %s", who, took_ns / 1e9, what)

    @contextlib.contextmanager
    def outside_handler(self, out: Outbox) -> Generator[None]:
        """Interrupt the handler that fills ``out`` between two parts of its turn."""
        thread = threading.get_ident()
        del self._handlers[thread]
        try:
            yield
        finally:
            self._handlers[thread] = out

    @contextlib.contextmanager
    def holding_baton(self) -> Generator[None]:
        """Hold the baton of a runtime that still runs.

        Inside a turn it is held already, unless the turn's actor is pinned.
        """
        out = self.my_turn()
        if out is not None and out.baton is None:
            yield
            return
        self.check_failure()
        with self.baton:
            self._check_running()
            yield

    def check_failure(self) -> None:
        """Raise why nothing is acknowledged any more; the baton may never be free again then."""
        if self.failure is not None:
            raise self.failure

    def _check_running(self) -> None:
        self.check_failure()
        if self.closing:
            raise RuntimeClosedError("the runtime is closed; open another one")

    def note(self, actor: Actor, message: Message, origin: Origin, cause: WireCause) -> int:
        """Record what happened outside as a turn; returns its number, 0 once nothing is recorded.

        The baton is held.  A script may have closed the runtime that called it.
        """
        if self.closing:
            return 0
        self.turn(actor, message, origin, cause)
        return self.out.number

    def turn(
        self,
        actor: Actor,
        message: Message,
        origin: Origin,
        cause: WireCause,
        by: By | None = None,
        reply: Reply[Any] | None = None,
    ) -> Any:
        """Let ``actor`` take ``message``: decide, record, then act.  The baton is held.

        Returns whatever the handler returned to its caller.
        """
        out = self.out
        # Outbox.begin, written out: every turn that holds the baton comes through here.
        out.actor = actor
        out.message = message
        out.origin = origin
        out.cause = cause
        out.by = by
        out.reply = reply
        out.number = 0
        out.now_ns = self._now_ns()
        try:
            result = actor.receive(message, out)
        except BaseException:
            out.forget()
            out.events.clear()
            out.causes.clear()
            raise
        self._record(out)
        if self._interrupt is not None:
            # Only now, when nothing of the turn can be lost any more.
            interrupt, self._interrupt = self._interrupt, None
            raise interrupt
        return result

    def _record(self, out: Outbox) -> int:  # noqa: C901, PLR0912  # a call is time in every turn
        """Append the record of what ``out`` holds, apply its events, and let the rest go on."""
        kind_ids = self._kind_ids
        events = out.events
        message = out.message
        actor = out.actor
        if len(events) == 1:  # nearly always; a comprehension would cost twice as much
            event = events[0]
            decided: Any = ((kind_ids[type(event)], *event),)
        else:
            decided = [(kind_ids[type(event)], *event) for event in events] if events else ()
        kind = kind_ids[type(message)]
        number = out.number = self._append(
            (
                actor.number,
                out.now_ns,
                out.origin,
                out.cause,
                (kind, *message),
                decided,
                out.by,
            ),
        )
        if out.newborn:
            self.born, out.newborn = out.newborn, {}
        unit = actor.unit
        facts = unit.FACTS
        for event in events:
            apply = facts.get(type(event))
            if apply is not None:
                apply(unit, event, number)
        if self.observer is not None:
            self.observer.recorded(out)
        events.clear()
        if out.causes:
            for cause in out.causes:
                cause.number = number
            out.causes.clear()
            if out.timers:
                self._arm_all(out.timers)
        if out.effects:
            self._effects += out.effects
            out.effects.clear()
        if out.urgent or out.messages or out.broadcast or out.answers:
            self._dispatch(out, number)
        return number

    def _dispatch(self, out: Outbox, number: int) -> None:
        for targets, message in out.broadcast:
            self._control.append(Broadcast(iter(targets), message, number))
        for target, message, reply in out.urgent:
            self._control.append(Envelope(target, message, _ACTOR, number, None, reply))
        for target, message, reply in out.messages:
            if isinstance(target, Box):
                target.bring(Envelope(target.ref, message, _ACTOR, number, None, reply))
            else:
                self._backlog.append(Envelope(target, message, _ACTOR, number, None, reply))
        for reply, value, exc_info in out.answers:
            reply.turn = number
            if reply.is_inside:
                finish(reply, value, exc_info)
            else:
                self._effects.append((finish, reply, value, exc_info))
        out.broadcast.clear()
        out.urgent.clear()
        out.messages.clear()
        out.answers.clear()

    def run_turns(  # noqa: C901  # every message comes through here: a branch costs less than a call
        self, limit: int = TURNS_PER_HOLD, *, helping: int | None = None
    ) -> bool:
        """Run waiting turns, control lane first; tell whether there was any.

        ``helping`` is for a thread that waits for the answer of that actor: it runs no other
        handler of the application, because a handler may block for as long as it likes.
        """
        if not (self._control or self._reports or self._backlog):
            self.baton.is_cut_short = True
            return False
        baton, control, reports, backlog = self.baton, self._control, self._reports, self._backlog
        own = int(helping is not None)
        hurried = () if own or not baton.is_cut_short else baton.hurried
        if not self.dispatcher.may_handle():
            helping = 0
        with baton:
            for count in range(1, limit + 1):
                if self.closing:
                    return count > 1
                if control or reports:
                    if not self._run_next(helping):
                        return count > 1
                    if self._effects and not (control or reports):
                        break  # what the kernel decided leaves before the backlog goes on
                elif helping is None and backlog:
                    self.run_envelope(backlog.popleft())
                elif not (backlog and self._run_first(backlog, helping)):
                    return count > 1
                if hurried and count % TURNS_AT_ONCE == 0:
                    break
        baton.step_aside(own=own)
        return True

    def _run_next(self, helping: int | None) -> bool:
        control = self._control
        while control:
            head = control[0]
            if not isinstance(head, Broadcast):
                return self._run_first(cast("deque[Envelope]", control), helping)
            target = next(head.targets, None)
            if target is not None:
                # A cancel's victims come this way, a hundred thousand at a time: no envelope.
                self.turn(target, head.message, _ACTOR, head.cause)
                return True
            control.popleft()
        if self._reports:
            return self._run_first(self._reports, None)
        return bool(self._backlog) and self._run_first(self._backlog, helping)

    def _run_first(self, lane: deque[Envelope], helping: int | None) -> bool:
        if helping is not None:
            target = lane[0].target
            if isinstance(target, ActorRef) and target.number != helping:
                self.dispatcher.wake()
                return False
        self.run_envelope(lane.popleft())
        return True

    def run_envelope(self, envelope: Envelope) -> None:  # noqa: C901, PLR0912  # see run_turns
        """Run one waiting message's turn, or find it a place; the baton is held."""
        target, message, origin, cause, by, reply = envelope
        if isinstance(by, Caller) or not isinstance(cause, int):
            if isinstance(cause, Detour):
                cause.run(envelope)
                return
            cause, by = self.settled(cause, by)
            envelope = Envelope(target, message, origin, cause, by, reply)
        if not isinstance(target, ActorRef):
            self.turn(target, message, origin, cause, by, reply)
            return
        actor = target.actor
        if actor is None and isinstance(message, Start) and not target.has_stopped:
            try:
                actor = self.make(target, message)
            except Exception:
                logger.exception("%s could not be made", target)
                stillborn(cast("Exits", self), envelope)
                return
        # Asked first: a pinned actor that stops is busy until it has.
        if target.is_suspended and not ends_pause(target, message):
            self.park(envelope)
        elif actor is None or target.has_stopped:
            bury(cast("Exits", self), envelope)
        elif not actor.RUNS_HANDLERS:
            self.turn(actor, message, origin, cause, by, reply)
        elif self.dispatcher.pins(actor) and self._hand_over(actor, envelope):
            pass  # its own thread goes on with it
        elif self._runs_handlers_here:
            self.turn(actor, message, origin, cause, by, reply)
        else:
            turn = partial(self.turn, actor, message, origin, cause, by, reply)
            self.dispatcher.run_handler(turn)

    def park(self, envelope: Envelope) -> None:
        """Keep a message for an actor that takes nothing now; the baton is held."""
        parked = self._parked.setdefault(envelope.target.number, deque())
        is_urgent = isinstance(envelope.message, Stop) and envelope.message.urgent
        (parked.appendleft if is_urgent else parked.append)(envelope)

    def put_first(self, ref: ActorRef[Any], envelopes: list[Envelope]) -> None:
        """Put an actor's messages before all that wait for it; the baton is held."""
        waiting = self._backlog
        if ref.is_suspended:  # pinned, and in its turn: it goes on with what is parked
            waiting = self._parked.setdefault(ref.number, deque())
        waiting.extendleft(reversed(envelopes))

    def settled(
        self, cause: WireCause | CauseSource | Detour, by: By | Caller | None
    ) -> tuple[WireCause, By | None]:
        """Say as the log does what a sender outside could only point at."""
        assert not isinstance(cause, Detour)  # it was asked before
        return (
            cause if isinstance(cause, (int, tuple)) else cause.cause(),
            self.callers.bind(by) if isinstance(by, Caller) else by,
        )

    # --- pinned actors -------------------------------------------------------------------------

    def _hand_over(self, actor: Actor, envelope: Envelope) -> bool:
        """Let a pinned actor's own thread run a turn; False if it cannot have one."""
        pin = self._pins.get(actor.number)
        if pin is None:
            try:
                pin = self._pins[actor.number] = Pin(cast("Exits", self), actor)
            except RuntimeError:
                logger.warning("no thread could be started for %s", actor, exc_info=True)
                return False
        actor.actor_ref.is_suspended = True
        pin.take(envelope)
        return True

    def record_without(self, envelope: Envelope, *events: tuple[Any, ...]) -> int:
        """Record what became of a message that no actor takes; returns the turn's number."""
        kind_ids = self._kind_ids
        return self._append(
            (
                envelope.target.number,
                self._now_ns(),
                envelope.origin,
                envelope.cause,
                (kind_ids[type(envelope.message)], *envelope.message),
                [(kind_ids[type(event)], *event) for event in events],
                envelope.by,
            ),
        )

    def post(
        self, actor: "Actor | ActorRef[Any]", message: Message, origin: Origin, cause: WireCause
    ) -> None:
        """Bring something from outside into the runtime; drivers call it on any thread."""
        lane = self._backlog if isinstance(actor, ActorRef) else self._reports
        lane.append(Envelope(actor, message, origin, cause))
        self.dispatcher.wake()

    # --- causes and timers ---------------------------------------------------------------------

    def foreign_cause(self) -> WireCause | None:
        """Return what the running code is a consequence of, if that stands in another log.

        Called before the baton is taken: the other runtime may need its own for the answer, and
        two batons at once could wait for each other.
        """
        source = CAUSE.get()
        if source is None or source.runtime.log_id == self.log_id:
            return None
        return source.foreign_cause()

    def cause(self, foreign: WireCause | None) -> WireCause:
        """Return what the running code is a consequence of; called under the baton."""
        if foreign is not None:
            return foreign
        source = CAUSE.get()
        return 0 if source is None else source.cause()

    def send_after(self, actor: Actor, delay_s: float, message: Any) -> Timer:
        """Tell ``actor`` something later; called inside one of its turns.

        Raises:
            UsageError: called outside of turns.
        """
        out = self.my_turn()
        if out is None:
            raise UsageError("send_after outside of a turn; a handler can call it")
        if self.strict:
            check_recordable(message, "the message")
        delay_ns = round(delay_s * 1e9)
        cause = TurnCause(cast("Runtime", self))
        ref, incarnation = actor.actor_ref, actor.actor_ref.incarnation

        def fire() -> None:
            if ref.incarnation == incarnation:
                self.post(ref, Tell(message), Origin.TIMER, cause.number)

        out.events.append(TimerSet(delay_ns))
        out.causes.append(cause)
        timer = Timer(self.clock.monotonic_ns() + delay_ns, fire)
        out.timers.append(timer)
        return timer

    def arm(self, delay_ns: int, fire: Callable[[], None]) -> Timer:
        """Have ``fire`` called, under the baton, after ``delay_ns``; called under the baton."""
        timer = Timer(self.clock.monotonic_ns() + delay_ns, fire)
        self._arm_all([timer])
        return timer

    def _arm_all(self, timers: list[Timer]) -> None:
        """Arm timers, in order, and empty the list."""
        for timer in timers:
            self.timers.arm(timer)
        timers.clear()
        # Whoever sleeps until the next deadline may have to sleep less long.
        self.dispatcher.wake()

    def _refuse_in_turn(self, what: str) -> None:
        if self.my_turn() is not None:
            raise UsageError(f"{what} inside a turn would wait for itself; tell somebody outside")


class Broadcast(NamedTuple):
    """One message on its way to many actors of the kernel, one turn each."""

    targets: Iterator[Actor]
    message: Message
    cause: int
