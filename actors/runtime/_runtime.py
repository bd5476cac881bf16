"""The runtime: the baton, the turn, its record, and what may leave after the record is durable.

Locks, outermost first; whoever holds one may take those after it, never those before:

- *world*: one script of the application at a time (a blocked script gives it up);
- *commit*: one batch at a time on its way into the log;
- *baton*: whoever holds it runs turns.  Everything in the runtime belongs to its holder.
"""

import atexit
import contextlib
import logging
import os
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import Token
from types import FrameType, TracebackType
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar, cast

import pykka

from rescind.events import (
    DeadLetter,
    Log,
    LogWriter,
    Origin,
    RescindError,
    Resume,
    Start,
    Stop,
    Suspended,
    Tell,
    TimerSet,
)

from ._actor import Actor, ActorRef, class_name, describe, to_wire
from ._baton import Baton
from ._clock import Clock, MachineClock, VirtualClock
from ._context import CAUSE, Callers, CauseSource, TurnCause, WireCause
from ._errors import DeadlockError, RuntimeClosedError, UsageError
from ._outbox import By, Envelope, Message, Outbox
from ._reply import ExcInfo, Reply
from ._stepped import Stepped
from ._thread import ThreadDispatcher
from ._timers import Timer, Timers
from ._waiting import Waitable, wake_all

logger = logging.getLogger("rescind.runtime")
A = TypeVar("A", bound=Actor)

TURNS_PER_HOLD = 256
"""Turns that one holder runs before it offers the baton to others."""
PENDING_RECORDS_MAX = 4096
"""Records that may wait for a commit before a caller has to commit them itself."""

_INSIDE = ("rescind.actors", "pykka")


class Dispatcher(Protocol):
    """Decides which thread runs turns, and when."""

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``."""
        ...

    def wake(self) -> None:
        """Hear that there is work; any thread, also under the baton."""
        ...

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Block the calling thread until ``waitable`` is done; False after ``timeout_s``.

        ``must_spare``: the caller was running turns or scripts, somebody else has to now.
        """
        ...

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Let the running handler wait, and others have the baton meanwhile."""
        ...

    def run_handler(self, body: Callable[[], object]) -> None:
        """Run a turn whose handler is the application's; the baton is held."""
        ...

    def may_block(self) -> AbstractContextManager[None]:
        """Surround what may take long without running turns; others run them meanwhile."""
        ...

    def close(self) -> None:
        """Stop; no thread of the dispatcher runs a turn afterwards."""
        ...


class Lane(Protocol):
    """One endpoint's ordered deliveries."""

    def deliver(self, *, scripts: bool) -> bool:
        """Deliver some; tell whether more are left.  Without ``scripts``, stop before one."""
        ...

    def cut(self) -> None:
        """Record what was delivered so far; the baton is held."""
        ...


class Owned(Protocol):
    """What a runtime closes before itself."""

    def close(self) -> None:
        """End everything in order, in turns."""
        ...

    def stop(self) -> None:
        """Stop the driver at once; the log has failed and nothing can be recorded."""
        ...


class Runtime:
    """Runs actors, and writes every turn into one log.

    Use it as a context manager, or call ``close``.  Every public method may be called from any
    thread unless it says otherwise.
    """

    _default: ClassVar["Runtime | None"] = None

    def __init__(
        self,
        log: LogWriter,
        *,
        dispatcher: Dispatcher | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Run on an open log; ``Runtime.open`` is the usual way."""
        self.log = log
        self.log_id = log.log_id
        self.clock: Clock = MachineClock() if clock is None else clock
        self.baton = Baton()
        self.out = Outbox()
        self.turn_ns = 0
        self.timers = Timers()
        self.callers = Callers(log.who, log.site)
        self.failure: BaseException | None = None
        self.closing = False
        """Whether no turn is run any more."""
        self.is_ending = False
        """Whether ``close`` was called."""
        self._interrupt: BaseException | None = None
        self.actors: dict[int, Actor] = {}
        """Live ordinary actors; requests and endpoints are kept by the kernel."""
        self.owned: list[Owned] = []
        """What has to be closed before the log, in order of creation."""
        self._kind_ids = log.kind_ids
        self._classes: dict[type, int] = {}
        self._now_ns = self.clock.now_ns
        self._control: deque[Envelope | _Broadcast] = deque()
        self._backlog: deque[Envelope] = deque()
        self._parked: dict[int, list[Envelope]] = {}
        self._effects: list[tuple[Any, ...]] = []
        self._commit = threading.Lock()
        self._world = threading.Lock()
        self._world_owner = 0
        self._turn_thread = 0
        self._lanes: deque[Lane] = deque()
        self._delivering: Lane | None = None
        self._is_log_closed = False
        self._waiting: dict[int, Waitable] = {}
        self.dispatcher: Dispatcher = ThreadDispatcher() if dispatcher is None else dispatcher
        self.dispatcher.attach(self)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        durability: str = "os",
        dispatcher: Dispatcher | None = None,
    ) -> Self:
        """Open a runtime whose log is the directory ``path``, or memory without one.

        Args:
            path: made if it does not exist; an existing log is continued in a new epoch.
            durability: ``os`` (survives the process) or ``disk`` (survives the machine).
            dispatcher: threads by default; ``Stepped()`` for tests in virtual time.

        Raises:
            RescindError: no log can be written there; the message says why and what to do.
        """
        clock: Clock = MachineClock()
        entropy = os.urandom
        if isinstance(dispatcher, Stepped):
            clock = VirtualClock()
            entropy = random.Random(dispatcher.seed).randbytes
        log = Log.create_or_open(
            path, durability=durability, entropy=entropy, clock_ns=clock.now_ns
        )
        runtime = cls(log, dispatcher=dispatcher, clock=clock)
        # A program that ends without closing still gets its log whole and its endpoints ended.
        atexit.register(runtime.close)
        return runtime

    @classmethod
    def default(cls) -> "Runtime":
        """Return the process's default runtime, which keeps its log in memory."""
        if cls._default is None or cls._default.closing:
            cls._default = cls.open()
        return cls._default

    def __enter__(self) -> Self:
        """Return the runtime itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    # --- actors --------------------------------------------------------------------------------

    def start(self, cls: type[A], /, *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor; its constructor and ``on_start`` run in its first turn.

        From inside a turn the new actor starts after that turn; its reference is good at once.
        """
        if self.in_turn():
            ref = self._new_ref(cls, parent=self.out.actor.number)
            self.out.messages.append((ref, self._start_message(cls, args, kwargs), None))
            return ref
        frame, foreign = calling_frame(), self.foreign_cause()
        with self.holding_baton():
            ref = self._new_ref(cls, parent=0)
            message = self._start_message(cls, args, kwargs)
            self._make(ref, args, kwargs)
            cause, by = self.cause(foreign), self.callers.by(frame)
            self.run(Envelope(ref, message, Origin.APP, cause, by))
        self.dispatcher.wake()
        return ref

    def _new_ref(self, cls: type[A], *, parent: int) -> ActorRef[A]:
        ref = ActorRef(self, self.next_number(), cls)
        ref.parent = parent
        return ref

    def _start_message(self, cls: type, args: Any, kwargs: Any) -> Start:
        return Start(self.class_number(cls), list(args), kwargs)

    def class_number(self, cls: type) -> int:
        """Return the number under which records name an actor class; called under the baton."""
        number = self._classes.get(cls)
        if number is None:
            number = self._classes[cls] = self.log.class_(class_name(cls), 1, "")
        return number

    def _make(self, ref: ActorRef[A], args: Any, kwargs: Any) -> A:
        actor = ref.actor_class.__new__(ref.actor_class)
        actor.runtime, actor.number, actor.unit = self, ref.number, actor
        actor._actor_ref = ref  # noqa: SLF001  # Pykka's own attribute
        actor.__init__(*args, **kwargs)  # type: ignore[misc]
        ref.actor = actor
        self.actors[ref.number] = actor
        pykka.ActorRegistry.register(ref)
        return actor

    def forget(self, actor: Actor) -> None:
        """Take a stopped actor out of the runtime; called in its last turn."""
        self.actors.pop(actor.number, None)
        pykka.ActorRegistry.unregister(actor.actor_ref)
        for envelope in self._parked.pop(actor.number, ()):
            self._backlog.append(envelope)

    def next_number(self) -> int:
        """Return a fresh actor number; called under the baton."""
        number = self.log.actors_next
        self.log.actors_next = number + 1
        return number

    # --- messages ------------------------------------------------------------------------------

    def send(self, ref: ActorRef[Any], message: Any, reply: Reply[Any] | None) -> None:
        """Put a message into an actor's mailbox; ``ActorRef.tell`` and ``ask`` end here."""
        wire = to_wire(message, is_asked=reply is not None)
        if self.in_turn():
            if reply is not None:
                reply.is_inside = True
            self.out.messages.append((ref, wire, reply))
            return
        frame, foreign = calling_frame(), self.foreign_cause()
        with self.holding_baton():
            cause, by = self.cause(foreign), self.callers.by(frame)
            self._backlog.append(Envelope(ref, wire, Origin.APP, cause, by, reply))
        self.dispatcher.wake()

    def post(
        self, actor: "Actor | ActorRef[Any]", message: Message, origin: Origin, cause: WireCause
    ) -> None:
        """Bring something from outside into the runtime; drivers call it on any thread."""
        self._backlog.append(Envelope(actor, message, origin, cause))
        self.dispatcher.wake()

    def call(
        self,
        actor: Actor,
        message: Message,
        extra: Any = None,
        before: Callable[[], None] | None = None,
    ) -> Any:
        """Run one turn of a kernel actor in the calling thread and return what it decided.

        This is how an application's call is admitted: at the call, before anything is queued.

        Args:
            actor: who takes the message.
            message: what the record shows.
            extra: what the handler needs besides and no record can hold, such as callbacks.
            before: called first, under the baton.
        """
        if self.in_turn():
            return self._call_inside(actor, message, extra)
        frame, foreign = calling_frame(), self.foreign_cause()
        self.baton.take()
        try:
            if self.failure is not None or self.closing:
                self._check_running()
            by = self.callers.by(frame)
            if before is not None:
                before()
            cause = self.cause(foreign)
            self.out.extra = extra
            return self.turn(actor, message, Origin.APP, cause, by)
        finally:
            self.baton.release()

    def _call_inside(self, actor: Actor, message: Message, extra: Any) -> Any:
        """Call from inside an actor's turn: that turn is split around the call."""
        caller, reply = self.out.actor, self.out.reply
        part = self._end_part(actor.number)
        self._turn_thread = 0
        error: BaseException | None = None
        try:
            self.out.extra = extra
            return self.turn(actor, message, Origin.ACTOR, part)
        except Exception as raised:
            error = raised
            raise
        finally:
            self._turn_thread = threading.get_ident()
            said = None if error is None else describe(error)
            resume = Resume(part, None, said)
            self.out.begin(caller, resume, Origin.ACTOR, self.log.last_number, None, reply)

    def foreign_cause(self) -> WireCause | None:
        """Return what the running code is a consequence of, if that stands in another log.

        Called before the baton is taken: the other runtime may need its own for the answer, and
        two batons at once could wait for each other.
        """
        source = CAUSE.get()
        if source is None or source.log_id == self.log_id:
            return None
        return source.foreign_cause()

    def cause(self, foreign: WireCause | None) -> WireCause:
        """Return what the running code is a consequence of; called under the baton."""
        if foreign is not None:
            return foreign
        source = CAUSE.get()
        return 0 if source is None else source.cause()

    def send_after(self, actor: Actor, delay_s: float, message: Any) -> Timer:
        """Tell ``actor`` something later; called inside one of its turns."""
        delay_ns = round(delay_s * 1e9)
        cause = TurnCause(self.log)

        def fire() -> None:
            self.post(actor.actor_ref, Tell(message), Origin.TIMER, cause.number)

        self.out.events.append(TimerSet(delay_ns))
        self.out.causes.append(cause)
        timer = self.arm(delay_ns, fire)
        self.out.timers.append(timer)
        return timer

    def arm(self, delay_ns: int, fire: Callable[[], None]) -> Timer:
        """Have ``fire`` called, under the baton, after ``delay_ns``; called under the baton."""
        timer = self.timers.arm(self.clock.monotonic_ns() + delay_ns, fire)
        # Whoever sleeps until the next deadline may have to sleep less long.
        self.dispatcher.wake()
        return timer

    # --- turns ---------------------------------------------------------------------------------

    def in_turn(self) -> bool:
        """Tell whether the calling thread is inside an ordinary actor's handler."""
        # Most calls find no handler running anywhere, and need not ask which thread they are.
        return self._turn_thread != 0 and self._turn_thread == threading.get_ident()

    def enter_handler(self) -> Token[CauseSource | None]:
        """Mark the calling thread as being inside an ordinary actor's handler."""
        self._turn_thread = threading.get_ident()
        cause = TurnCause(self.log)
        self.out.causes.append(cause)
        return CAUSE.set(cause)

    def leave_handler(self, token: Token[CauseSource | None]) -> None:
        """Unmark it."""
        self._turn_thread = 0
        CAUSE.reset(token)

    @contextlib.contextmanager
    def holding_baton(self) -> Iterator[None]:
        """Hold the baton of a runtime that still runs; inside a turn it is held already."""
        if self.in_turn():
            yield
            return
        with self.baton:
            self._check_running()
            yield

    def _check_running(self) -> None:
        if self.failure is not None:
            raise self.failure
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
        out.begin(actor, message, origin, cause, by, reply)
        self.turn_ns = self._now_ns()
        try:
            result = actor.receive(message, out)
        except BaseException:
            out.forget()
            raise
        self._record(out)
        if self._interrupt is not None:
            # Only now, when nothing of the turn can be lost any more.
            interrupt, self._interrupt = self._interrupt, None
            raise interrupt
        return result

    def _record(self, out: Outbox) -> int:
        """Append the record of what ``out`` holds, apply its events, and let the rest go on."""
        kind_ids = self._kind_ids
        events = out.events
        message = out.message
        actor = out.actor
        number = out.number = self.log.append(
            (
                actor.number,
                self.turn_ns,
                out.origin,
                out.cause,
                (kind_ids[type(message)], *message),
                [(kind_ids[type(event)], *event) for event in events],
                out.by,
            ),
        )
        unit = actor.unit
        facts = unit.FACTS
        for event in events:
            apply = facts.get(type(event))
            if apply is not None:
                apply(unit, event, number)
        events.clear()
        if out.causes:
            for cause in out.causes:
                cause.number = number
            out.causes.clear()
            out.timers.clear()
        if out.effects:
            self._effects += out.effects
            out.effects.clear()
        if out.urgent or out.messages or out.broadcast or out.answers:
            self._dispatch(out, number)
        return number

    def _dispatch(self, out: Outbox, number: int) -> None:
        actor_origin = Origin.ACTOR
        for targets, message in out.broadcast:
            self._control.append(_Broadcast(iter(targets), message, number))
        for target, message in out.urgent:
            self._control.append(Envelope(target, message, actor_origin, number))
        for target, message, reply in out.messages:
            self._backlog.append(Envelope(target, message, actor_origin, number, None, reply))
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

    def answer(self, reply: Reply[Any] | None, value: Any, exc_info: ExcInfo | None) -> None:
        """Answer the ask of the running turn, once its record allows it."""
        if reply is not None:
            self.out.answers.append((reply, value, exc_info))

    def run_turns(self, limit: int = TURNS_PER_HOLD, *, helping: int | None = None) -> bool:
        """Run waiting turns, control lane first; tell whether there was any.

        ``helping`` is for a thread that waits for the answer of that actor: it runs no other
        handler of the application, because a handler may block for as long as it likes.
        """
        if not self._control and not self._backlog:
            return False
        with self.baton:
            for count in range(limit):
                if self.closing or not self._run_next(helping):
                    return count > 0
        self.baton.step_aside()
        return True

    def _run_next(self, helping: int | None) -> bool:
        control = self._control
        while control:
            head = control[0]
            if not isinstance(head, _Broadcast):
                self.run(cast("Envelope", control.popleft()))
                return True
            target = next(head.targets, None)
            if target is not None:
                # A cancel's victims come this way, a hundred thousand at a time: no envelope.
                self.turn(target, head.message, Origin.ACTOR, head.cause)
                return True
            control.popleft()
        if not self._backlog:
            return False
        if helping is not None:
            target = self._backlog[0].target
            if isinstance(target, ActorRef) and target.number != helping:
                self.dispatcher.wake()
                return False
        self.run(self._backlog.popleft())
        return True

    def take_waiting(self) -> list[Envelope]:
        """Empty both lanes without running anything: for whoever re-executes a log."""
        with self.baton:
            waiting: list[Envelope] = []
            for head in self._control:
                if isinstance(head, _Broadcast):
                    waiting += (
                        Envelope(target, head.message, Origin.ACTOR, head.cause)
                        for target in head.targets
                    )
                else:
                    waiting.append(head)
            waiting += self._backlog
            self._control.clear()
            self._backlog.clear()
            return waiting

    def run(self, envelope: Envelope) -> None:
        """Run one waiting message's turn, or find it a place; the baton is held."""
        target, message, origin, cause, by, reply = envelope
        if not isinstance(target, ActorRef):
            self.turn(target, message, origin, cause, by, reply)
            return
        actor = target.actor
        if actor is None and isinstance(message, Start):
            actor = self._make(target, message.args, message.kwargs)
        if actor is None or not target.is_alive():
            self._bury(envelope)
        elif target.is_suspended:
            self._parked.setdefault(actor.number, []).append(envelope)
        elif actor.FACTS:
            self.turn(actor, message, origin, cause, by, reply)
        else:
            self.dispatcher.run_handler(lambda: self.turn(actor, message, origin, cause, by, reply))

    def _bury(self, envelope: Envelope) -> None:
        """Record a message whose actor has stopped, and tell whoever waits for its answer."""
        out = self.out
        actor = cast("Actor", envelope.target)
        out.begin(actor, envelope.message, envelope.origin, envelope.cause, envelope.by, None)
        self.turn_ns = self._now_ns()
        kind_ids = self._kind_ids
        letter = DeadLetter(actor.number)
        number = self.log.append(
            (
                actor.number,
                self.turn_ns,
                envelope.origin,
                envelope.cause,
                (kind_ids[type(envelope.message)], *envelope.message),
                [(kind_ids[DeadLetter], *letter)],
                envelope.by,
            ),
        )
        reply = envelope.reply
        if reply is not None:
            error = pykka.ActorDeadError(f"{actor} stopped before it took the message")
            reply.turn = number
            self._effects.append((finish, reply, None, (type(error), error, None)))

    # --- waiting -------------------------------------------------------------------------------

    def wait(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Block the calling thread until ``waitable`` is done; False after ``timeout_s``.

        Inside a turn the turn is split; inside a script other scripts go on meanwhile.

        Raises:
            LogFailedError: nothing will be acknowledged any more.
        """
        if waitable.is_done:
            return True
        if self.in_turn():
            return self._wait_in_turn(waitable, timeout_s)
        self._waiting[id(waitable)] = waitable
        try:
            if self._world_owner == threading.get_ident():
                done = self._wait_in_script(waitable, timeout_s)
            else:
                done = self.dispatcher.wait(waitable, timeout_s, must_spare=False)
        finally:
            self._waiting.pop(id(waitable), None)
        if not waitable.is_done and self.failure is not None:
            raise self.failure
        return done

    def _wait_in_script(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Give the world up: the lane whose script waits goes on without it."""
        lane, self._delivering = self._delivering, None
        if lane is not None:
            with self.baton:
                lane.cut()
            self._lanes.append(lane)
        self._world_owner = 0
        self._world.release()
        try:
            return self.dispatcher.wait(waitable, timeout_s, must_spare=True)
        finally:
            self._world.acquire()
            self._world_owner = threading.get_ident()
            self._delivering = lane

    def _wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Split the running turn: what it did is one record, what follows the answer another."""
        actor, answer_to = self.out.actor, self.out.reply
        ref = actor.actor_ref
        self._check_cycle(actor, waitable.target)
        part = self._end_part(waitable.target)
        ref.is_suspended, ref.suspended_on = True, waitable.target
        self._turn_thread = 0
        try:
            return self.dispatcher.wait_in_turn(waitable, timeout_s)
        finally:
            self._turn_thread = threading.get_ident()
            ref.is_suspended, ref.suspended_on = False, 0
            self._backlog.extendleft(reversed(self._parked.pop(actor.number, [])))
            self._begin_part(actor, part, waitable, answer_to)

    def _begin_part(
        self, actor: Actor, part: int, waitable: Waitable, answer_to: Reply[Any] | None
    ) -> None:
        value, error = waitable.outcome() if waitable.is_done else (None, None)
        said = Resume(part, value, None if error is None else describe(error))
        cause = waitable.turn if waitable.is_done else part
        self.turn_ns = self._now_ns()
        self.out.begin(actor, said, Origin.ACTOR, cause or part, None, answer_to)

    def _end_part(self, target: int) -> int:
        """Record what the running turn did so far; it is suspended on ``target``."""
        self.out.events.append(Suspended(target))
        return self._record(self.out)

    def _check_cycle(self, actor: Actor, target: int) -> None:
        names = [_short_name(actor)]
        number = target
        while other := self.actors.get(number):
            names.append(_short_name(other))
            if other is actor:
                raise DeadlockError(tuple(names))
            number = other.actor_ref.suspended_on

    # --- the way out ---------------------------------------------------------------------------

    def commit(self, *, may_block: bool = True) -> bool:
        """Write everything that is recorded, then let its effects happen, in order.

        ``may_block=False`` leaves it to a runner when somebody else is at it.
        """
        if not self.log.pending and not self._effects:
            return False
        if not self._commit.acquire(blocking=may_block):
            self.dispatcher.wake()
            return False
        try:
            while not self._is_log_closed:
                with self.baton:
                    batch = self.log.seal()
                    effects, self._effects = self._effects, []
                if batch is None and not effects:
                    return True
                if batch is not None:
                    self._write(batch)
                for effect in effects:
                    self._let_happen(effect)
                if not may_block:
                    # Whoever only helps must not be kept by those who record on and on.
                    self.dispatcher.wake()
                    return True
        finally:
            self._commit.release()
        return False

    def _let_happen(self, effect: tuple[Any, ...]) -> None:
        """Call one effect; a defect in one must not take the others with it."""
        function, *arguments = effect
        try:
            function(*arguments)
        except Exception:
            logger.exception("an effect failed: %r", function)

    def _write(self, batch: Any) -> None:
        try:
            with self.dispatcher.may_block():
                self.log.write(batch)
        except BaseException as error:
            self.fail(error)
            raise

    def flush(self) -> None:
        """Return when everything recorded so far is as durable as the log promises.

        Raises:
            UsageError: called inside a turn, whose own record is not there yet.
            LogFailedError: it could not be written.
        """
        self._refuse_in_turn("flush")
        self.commit()
        with self._commit:  # what another thread took is not durable before that one is through
            pass
        if self.failure is not None:
            raise self.failure

    def _refuse_in_turn(self, what: str) -> None:
        if self.in_turn():
            raise UsageError(f"{what} inside a turn would wait for itself; tell somebody outside")

    def relieve(self) -> None:
        """See that what was just recorded gets on its way; callers use it when they do not wait."""
        if self.log.pending >= PENDING_RECORDS_MAX and not self.in_turn():
            self.commit()
        self.dispatcher.wake()

    def offer(self, lane: Lane) -> None:
        """Hear that a lane has something to deliver."""
        self._lanes.append(lane)
        self.dispatcher.wake()

    def deliver(self, *, scripts: bool = True) -> bool:
        """Deliver some of one lane, if nobody else is delivering; tell whether anything moved.

        ``scripts=False`` leaves the application's callbacks to others and only ends waits.
        """
        if not self._lanes or not self._world.acquire(blocking=False):
            return False
        self._world_owner = threading.get_ident()
        try:
            lane = self._delivering = self._lanes.popleft()
            if lane.deliver(scripts=scripts):
                self._lanes.append(lane)
                return scripts
        except IndexError:
            return False
        finally:
            self._delivering = None
            self._world_owner = 0
            self._world.release()
            if self._lanes:
                self.dispatcher.wake()
        return True

    def pump(self, *, scripts: bool = True, helping: int | None = None) -> bool:
        """Do whatever can be done now; tell whether there was anything.

        A thread that waits for an answer passes ``scripts=False`` and whose answer it is
        ``helping`` to bring about: it must not get stuck in other people's code.
        """
        self.fire_timers()
        progress = self.run_turns(helping=helping)
        progress |= self.commit(may_block=scripts)
        return self.deliver(scripts=scripts) or progress

    def fire_timers(self) -> bool:
        """Fire what is due."""
        deadline_ns = self.timers.next_deadline_ns()
        if deadline_ns is None or deadline_ns > self.clock.monotonic_ns():
            return False
        with self.baton:
            return self.timers.fire_due(self.clock.monotonic_ns())

    @property
    def has_work(self) -> bool:
        """Tell whether a pump would find anything but timers."""
        return bool(
            self._control or self._backlog or self._effects or self.log.pending or self._lanes
        )

    # --- the end -------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Stop for good: nothing is acknowledged any more, and whoever waits hears why."""
        if self.failure is None:
            self.failure = error
            for owned in self.owned:
                try:
                    owned.stop()
                except Exception:
                    logger.exception("%r could not be stopped", owned)
            wake_all(list(self._waiting.values()))

    def stop_everything(self, error: BaseException) -> None:
        """Stop all actors because ``error`` came out of one's handler; called in its turn."""
        for other in self._youngest_first():
            self.out.messages.append((other.actor_ref, Stop(urgent=False), None))
        if isinstance(error, KeyboardInterrupt):
            self._interrupt = error

    def close(self) -> None:
        """Close everything this runtime owns, write what is left, and release the log.

        Outstanding requests end as abandoned, waiting messages as dead letters.  Calling it again
        does nothing.

        Raises:
            UsageError: called inside a turn.
        """
        self._refuse_in_turn("close")
        if self.closing:
            return
        self.is_ending = True
        try:
            for owned in reversed(self.owned):
                with contextlib.suppress(RescindError):
                    owned.close()
            self._stop_actors()
        finally:
            self._finish_turns()
            self.dispatcher.close()
            self._finish_log()
            atexit.unregister(self.close)

    def _youngest_first(self) -> list[Actor]:
        return sorted(self.actors.values(), key=lambda each: -each.number)

    def _stop_actors(self) -> None:
        if self.failure is not None:
            return
        for actor in self._youngest_first():
            actor.actor_ref.stop(block=False)
        while self.run_turns() or self.commit():
            pass

    def _finish_turns(self) -> None:
        """Run no turn from here on; whoever still waits for one hears that its actor is dead."""
        with self.baton:
            self.closing = True
        left = self.take_waiting()
        if self.failure is None:
            with self.baton:
                for envelope in left:
                    self._bury(envelope)
            self.commit()

    def _finish_log(self) -> None:
        try:
            if self.failure is None:
                self.commit()
        finally:
            with self._commit:
                self._is_log_closed = True
                self.log.close()


class _Broadcast(NamedTuple):
    """One message on its way to many actors of the kernel, one turn each."""

    targets: Iterator[Actor]
    message: Message
    cause: int


def _short_name(actor: Actor) -> str:
    return f"a{actor.number} {type(actor).__name__}"


def finish(reply: Reply[Any], value: Any, exc_info: ExcInfo | None) -> None:
    """Give a reply its value or its exception."""
    if exc_info is None:
        reply.set(value)
    else:
        reply.set_exception(exc_info)


def calling_frame() -> FrameType:
    """Return the innermost frame that is neither ours nor Pykka's."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None:
        code = frame.f_code
        # Asked at every call: which file a code object is from never changes, so it is kept.
        is_inside = _IS_INSIDE.get(code.co_filename)
        if is_inside is None:
            name = frame.f_globals.get("__name__", "")
            is_inside = _IS_INSIDE[code.co_filename] = name.startswith(_INSIDE)
        if not is_inside:
            return frame
        frame = frame.f_back
    return sys._getframe(1)  # noqa: SLF001


_IS_INSIDE: dict[str, bool] = {}
