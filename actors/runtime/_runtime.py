"""The runtime: what applications and drivers call; the uppermost third, over engine and exits."""

import contextlib
import inspect
import os
import random
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from rescind.events import Log, LogWriter, Origin, Resume, Start, Suspended, check_recordable

from ._actor import Actor, check_names, describe, short_name, source_digest
from ._baton import Baton
from ._bounds import Loss
from ._clock import Clock, MachineClock, VirtualClock
from ._closing import CLOSE_TIMEOUT_S, Closing
from ._context import CAUSE, ENTERED, Caller, calling_frame
from ._contracts import Dispatcher
from ._errors import DeadlockError, RuntimeClosedError, UsageError
from ._exits import Exits
from ._outbox import Envelope, Message, Outbox
from ._recovery import recover
from ._ref import ActorRef
from ._reply import Reply
from ._stepped import Stepped
from ._subscriptions import Listener, Subscription
from ._supervision import bind
from ._thread import ThreadDispatcher
from ._waiting import Taken, Waitable
from ._wire import to_wire

A = TypeVar("A", bound=Actor)
_APP = Origin.APP


class Runtime(Exits):
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
        super().__init__(log, dispatcher or ThreadDispatcher(), clock or MachineClock())
        self.is_ending = False
        """Whether ``close`` was called."""
        self._closing = Closing(self)
        self.is_whole = log.epoch == 1
        self.leaves_actors = False
        """Whether event-sourced actors go on in the next process when this runtime is closed."""
        self.sinks: Mapping[str, Callable[[Any], object]] = {}
        """Where completions of routed requests go, by name."""
        log.keyframes_from(self.entries)
        self.dispatcher.attach(self)

    @classmethod
    def open(  # noqa: PLR0913  # each is chosen by its name, and most by nobody
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        durability: str = "os",
        dispatcher: Dispatcher | None = None,
        payloads: Mapping[str, str] | None = None,
        segment_bytes_max: int = 64 * 1024 * 1024,
        segment_age_s_max: float | None = None,
        slow_turn_s: float | None = 0.1,
        classes: Iterable[type] | None = None,
        end_others: bool = False,
        sinks: Mapping[str, Callable[[Any], object]] | None = None,
        waiting_max: int | None = None,
        strict: bool = False,
    ) -> Self:
        """Open a runtime whose log is the directory ``path``, or memory without one.

        Args:
            path: made if it does not exist; an existing log is continued in a new epoch.
            durability: ``os`` (survives the process) or ``disk`` (survives the machine).
            dispatcher: threads by default; ``Asyncio()`` for the event loop that is running;
                ``Pinned()`` for a thread for each actor; ``Stepped()`` for tests in virtual time.
            payloads: kind name to ``full``, ``digest`` or ``none``: what the log keeps of values.
            segment_bytes_max: the log goes on in a new file before one gets longer than that.
            segment_age_s_max: ... and when one is older than that as something is written.
            slow_turn_s: a handler that takes longer is recorded as slow, and warned of; None to
                have none looked at, as in virtual time.
            classes: recover the log: event-sourced actors of these classes go on where the last
                process ended, actors of others among them are stopped, and what was outstanding
                ends.  With them are named declared kinds that no handler's annotation names.
                The next process finds this one's actors so too: ``close`` does not stop them.
                Without, what earlier processes left behind is left alone.
            end_others: stop actors whose class is not among ``classes``, instead of refusing.
            sinks: by name, what is called with each request that ``ref.request(sink=)`` made, when
                it has completed; after a recovery also with those of earlier processes.
            waiting_max: so many messages may wait for actors in all; then what comes from outside
                is rejected, and what actors send each other is not.
            strict: refuse messages, events, arguments and results that the log cannot hold as they
                are, with an ``UnrecordableError`` where they come from; otherwise the log keeps
                their type's name in their place, and their turns are not re-executed.

        Raises:
            RescindError: no log can be written there; the message says why and what to do.
            UsageError: the options contradict each other, or a sink is a coroutine function.
            RecoveryError: an actor can neither go on nor be ended, or its sink is not given.
        """
        _check_sinks(sinks or {})
        clock: Clock = MachineClock()
        entropy = os.urandom
        if isinstance(dispatcher, Stepped):
            clock = VirtualClock()
            entropy = random.Random(dispatcher.seed).randbytes
        log = Log.create_or_open(
            path,
            durability=durability,
            entropy=entropy,
            clock_ns=clock.now_ns,
            payloads=payloads,
            segment_bytes_max=segment_bytes_max,
            segment_age_s_max=segment_age_s_max,
            writer={"strict": "yes"} if strict else None,
        )
        runtime = cls(log, dispatcher=dispatcher, clock=clock)
        if slow_turn_s is not None and not isinstance(dispatcher, Stepped):
            runtime.slow_turn_ns = round(slow_turn_s * 1e9)
        runtime.sinks = dict(sinks or {})
        runtime.leaves_actors = classes is not None
        if classes is not None:
            runtime._recover(classes, end_others=end_others)
        runtime.mailboxes.waiting_max = waiting_max
        runtime.strict = strict
        runtime._closing.prepare()
        os.register_at_fork(after_in_child=partial(_leave_to_parent, weakref.ref(runtime)))
        return runtime

    def _recover(self, classes: Iterable[type], *, end_others: bool) -> None:
        try:
            recover(self, classes, end_others=end_others)
        except BaseException:
            self.close()
            raise

    @classmethod
    def default(cls) -> "Runtime":
        """Return the process's default runtime, which keeps its log in memory."""
        if cls._default is None or cls._default.is_ending:
            cls._default = cls.open()
        return cls._default

    @classmethod
    def current(cls) -> "Runtime":
        """Return the runtime that ``Actor.start`` uses.

        That is the runtime of the turn that the calling thread is in; else the one that the
        surrounding code entered last with ``with``; else the one because of whose turn or script
        the calling code runs; else the process's default.
        """
        source = CAUSE.get()
        if source is not None and source.runtime.my_turn() is not None:
            return source.runtime
        entered = ENTERED.get()
        if entered:
            return entered[-1]
        return cls.default() if source is None else source.runtime

    def __enter__(self) -> Self:
        """Be where the code inside starts its actors, and so do the tasks that it starts."""
        ENTERED.set((*ENTERED.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        # Without a token: a fixture may enter in one context and leave in another.
        ENTERED.set(tuple(each for each in ENTERED.get() if each is not self))
        self.close()

    async def __aenter__(self) -> Self:
        """Return the runtime itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, while the event loop goes on."""
        await self.aclose()

    # --- actors --------------------------------------------------------------------------------

    def start(self, cls: type[A], /, *args: Any, **kwargs: Any) -> ActorRef[A]:
        """Start an actor; its constructor and ``on_start`` run in its first turn.

        From inside a turn the new actor starts after that turn; its reference is good at once.

        Raises:
            UsageError: it is not a subclass of ``rescind.Actor``, or uses names of ours.
            Exception: whatever the constructor raises, outside of turns; inside one the reference
                is dead then.  Either way the new actor is recorded as failed.
        """
        if not issubclass(cls, Actor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{cls!r} is not a subclass of rescind.Actor")
        cls.prepare(self)
        source_digest(cls)  # kept from here on: the first time it reads a file, and needs no baton
        started: Reply[None] = Reply(self)
        started.is_inside = True
        out = self.my_turn()
        if out is not None:
            with self.holding_baton():
                ref, message = self._born(cls, args, kwargs, started)
            ref.parent = out.actor.number
            bind(ref, message, out)
            out.messages.append((ref, message, started))
            return ref
        frame, foreign = calling_frame(), self.foreign_cause()
        with self.holding_baton():
            ref, message = self._born(cls, args, kwargs, started)
            cause, by = self.cause(foreign), self.callers.seen(frame)
            envelope = Envelope(ref, message, _APP, cause, by, started)
            if self.dispatcher.may_handle():
                self.run_envelope(envelope)
            else:
                self._backlog.append(envelope)
        self.dispatcher.wake()
        if started.is_done or self.dispatcher.may_wait():
            started.get()
        return ref

    def _born(
        self, cls: type[A], args: Any, kwargs: Any, started: Reply[None]
    ) -> tuple[ActorRef[A], Start]:
        """Return a new actor's reference and its first message."""
        if self.strict:
            check_recordable(args, "args")
            check_recordable(kwargs, "kwargs")
        if cls not in self._classes:
            check_names(cls)
        ref: Any = cls.REF(self, self.next_number(), cls)
        ref.started, started.target = started, ref.number
        return ref, Start(self.class_number(cls), list(args), kwargs)

    def refs(self, cls: type[A]) -> list[ActorRef[A]]:
        """Return references to the living actors of a class, the first started first.

        After a recovery these are also those that go on.
        """
        with self.baton:
            return [each.actor_ref for _, each in sorted(self.actors.items()) if type(each) is cls]

    # --- messages ------------------------------------------------------------------------------

    def send(
        self,
        ref: ActorRef[Any],
        message: Any,
        reply: Reply[Any] | None,
        *,
        will_wait: bool = False,
    ) -> None:
        """Put a message into an actor's mailbox; ``ActorRef.tell`` and ``ask`` end here."""
        if self.strict:
            check_recordable(message, "the message")
        wire = to_wire(message, is_asked=reply is not None)
        self.deliver_message(ref, wire, reply, will_wait=will_wait)

    def deliver_message(
        self,
        ref: ActorRef[Any],
        wire: Message,
        reply: Reply[Any] | None = None,
        *,
        will_wait: bool = False,
    ) -> None:
        """Put a message of the runtime's own into an actor's mailbox.

        ``will_wait``: the caller waits for the reply at once, and so sees to it that turns are run.
        """
        if self._handlers and (out := self.my_turn()) is not None:
            if reply is not None:
                reply.is_inside = True
            if ref.box is not None:
                ref.box.send_inside(out, wire, reply)
                return
            out.messages.append((ref, wire, reply))
            return
        by, source = self.callers.seen(calling_frame()), CAUSE.get()
        cause = 0 if source is None else self.foreign_cause() or source
        envelope = Envelope(ref, wire, _APP, cause, by, reply)
        if ref.box is not None:
            self.mailboxes.enter(ref.box, envelope)
            return
        with self._door:
            if self.failure is not None or self.closing:
                self._check_running()
            self._backlog.append(envelope)
        if not will_wait:
            self.dispatcher.wake()

    def send_urgently(self, ref: ActorRef[Any], wire: Message, reply: Reply[Any]) -> None:
        """Have an actor take a message of the runtime's own before everything that waits."""
        out = self.my_turn()
        if out is not None:
            reply.is_inside = True
            out.urgent.append((ref, wire, reply))
            return
        by, source = self.callers.seen(calling_frame()), CAUSE.get()
        cause = 0 if source is None else self.foreign_cause() or source
        with self._door:
            self._check_running()
            self._control.append(Envelope(ref, wire, _APP, cause, by, reply))
        self.dispatcher.wake()

    def subscribe(self, listener: Listener, /, *kinds: type[Loss]) -> Subscription:
        """Let a listener hear of lost messages from here on: ``subscribe(log, DeadLetter)``.

        Args:
            listener: a function, called with the event, one at a time and outside of turns, after
                the event's record is as durable as asked for; or an actor's reference, which is
                told the event, until the actor stops.
            kinds: of ``DeadLetter``, ``Dropped`` and ``Overflowed``.

        Returns:
            The subscription; ``end`` ends it, and so does its ``with`` block.

        Raises:
            UsageError: another kind, or none.
        """
        return self.subscriptions.add(listener, kinds)

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
        if self._handlers and (out := self.my_turn()) is not None:
            with self.holding_baton():
                return self._call_inside(out, actor, message, extra)
        # The hottest way into the runtime: what most calls do not need is not called for them.
        frame, source = calling_frame(), CAUSE.get()
        foreign = None if source is None else self.foreign_cause()
        self.check_failure()
        if self.strict:
            check_recordable(message, "the call")
        self.baton.take_hurried()
        try:
            self._check_running()
            by = self.callers.seen(frame)
            if isinstance(by, Caller):
                by = self.callers.bind(by)
            if before is not None:
                before()
            cause = 0 if source is None else self.cause(foreign)
            self.out.extra = extra
            return self.turn(actor, message, _APP, cause, by)
        finally:
            self.baton.release()

    def _call_inside(self, out: Outbox, actor: Actor, message: Message, extra: Any) -> Any:
        """Call from inside an actor's turn: that turn is split around the call."""
        caller, reply, context = out.actor, out.reply, out.context
        part = self._end_part(out, actor.number)
        error: BaseException | None = None
        try:
            with self.outside_handler(out):
                self.out.extra = extra
                return self.turn(actor, message, Origin.ACTOR, part)
        except Exception as raised:
            error = raised
            raise
        finally:
            said = None if error is None else describe(error)
            resume, cause = Resume(part, None, said), self.log.last_number
            out.begin_part(caller, resume, cause, reply, self.out.now_ns)
            out.context = context

    # --- waiting -------------------------------------------------------------------------------

    def wait(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Block the calling thread until ``waitable`` is done; False after ``timeout_s``.

        Inside a turn the turn is split; inside a script other scripts go on meanwhile.

        Raises:
            UsageError: it would stop an event loop.
            LogFailedError: nothing will be acknowledged any more.
        """
        if waitable.is_done:
            return True
        self.refuse_blocking("waiting")
        out = self.my_turn()
        if out is not None:
            with self.holding_baton():
                return self._wait_in_turn(out, waitable, timeout_s)
        waiting = object()
        self._waiting[waiting] = waitable
        try:
            if self._world_owner == threading.get_ident():
                done = self._wait_in_script(waitable, timeout_s)
            else:
                done = self.dispatcher.wait(waitable, timeout_s, must_spare=False)
        finally:
            del self._waiting[waiting]
        if not done and self.failure is not None:
            raise self.failure
        return done

    async def wait_async(self, waitable: Waitable) -> None:
        """Wait in a coroutine until ``waitable`` is done; its loop goes on meanwhile.

        Raises:
            UsageError: called inside a turn, which nobody could end.
            LogFailedError: nothing will be acknowledged any more.
        """
        waiting = object()
        self._waiting[waiting] = waitable
        try:
            if self.failure is None and not waitable.is_done:
                self._refuse_in_turn("await")
                await self.dispatcher.wait_async(waitable)
        finally:
            del self._waiting[waiting]
        if not waitable.is_done and self.failure is not None:
            raise self.failure

    def _wait_in_script(self, waitable: Waitable, timeout_s: float | None) -> bool:
        with self.outside_script():
            return self.dispatcher.wait(waitable, timeout_s, must_spare=True)

    @contextlib.contextmanager
    def outside_script(self) -> Generator[None]:
        """Give the world up if the calling thread has it: the lane goes on without its script."""
        if self._world_owner != threading.get_ident():
            yield
            return
        lane, self._delivering = self._delivering, None
        if lane is not None:
            with self.baton:
                lane.cut()
            self._lanes.append(lane)
        self._world_owner = 0
        self._world.release()
        try:
            yield
        finally:
            self._world.acquire()
            self._world_owner = threading.get_ident()
            self._delivering = lane

    def _wait_in_turn(self, out: Outbox, waitable: Waitable, timeout_s: float | None) -> bool:
        """Split the running turn: what it did is one record, what follows the answer another."""
        actor, answer_to, context = out.actor, out.reply, out.context
        ref = actor.actor_ref
        self._check_cycle(actor, waitable)
        part = self._end_part(out, waitable.target)
        is_pinned = out.baton is not None
        ref.is_suspended, ref.waits_on = True, waitable
        self.waits_in_turn[actor.number] = waitable
        error = None
        try:
            with self.outside_handler(out):
                self.dispatcher.wait_in_turn(waitable, timeout_s)
        finally:
            ref.is_suspended, ref.waits_on = is_pinned, None
            del self.waits_in_turn[actor.number]
            if not is_pinned:
                self.unpark(ref)
            self.check_going_on()
            if self.is_hopeless(waitable):
                error = RuntimeClosedError("the runtime closes, and nobody is left to answer")
            self._begin_part(out, actor, part, waitable, answer_to, error)
            out.context = context
        if error is not None:
            raise error
        return waitable.is_done

    def _begin_part(
        self,
        out: Outbox,
        actor: Actor,
        part: int,
        waitable: Waitable,
        answer_to: Reply[Any] | None,
        error: BaseException | None,
    ) -> None:
        value = None
        if waitable.is_done:
            value, error = waitable.outcome()
        said = Resume(part, value, None if error is None else describe(error))
        cause = waitable.turn if waitable.is_done else part
        out.begin_part(actor, said, cause or part, answer_to, self._now_ns())

    def _end_part(self, out: Outbox, target: int) -> int:
        """Record what a turn did so far; it is suspended on ``target``."""
        if self.slow_turn_ns is not None:
            self._look_how_long(out, self.slow_turn_ns)
        out.events.append(Suspended(target))
        return self._record(out)

    def _check_cycle(self, actor: Actor, waits_on: Taken | None) -> None:
        circle = [actor]
        while waits_on is not None and (other := self.actors.get(waits_on.taker)):
            circle.append(other)
            if other is actor:
                raise DeadlockError(tuple(map(short_name, circle)))
            waits_on = other.actor_ref.waits_on

    # --- the end -------------------------------------------------------------------------------

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Close everything this runtime owns, write what is left, and release the log.

        Actors take what was sent to them, then stop, the last started first; event-sourced ones of
        a runtime that was opened with ``classes`` only rest until the next process.  Handlers that
        wait for what nobody is left to bring about get a ``RuntimeClosedError``.  Outstanding
        requests end as abandoned, waiting messages as dead letters.  Calling it again does nothing.

        Raises:
            UsageError: called inside a turn, or where it would stop an event loop.
            CloseTimeoutError: something did not stop within ``timeout_s`` seconds; it names what.
        """
        self._refuse_in_turn("close")
        if not self.closing:
            self.refuse_blocking("close")
            self._closing.close(timeout_s)

    async def aclose(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Close as ``close`` does, while the event loop goes on."""
        self._refuse_in_turn("aclose")
        if not self.closing:
            await self._closing.aclose(timeout_s)


def _check_sinks(sinks: Mapping[str, Callable[[Any], object]]) -> None:
    for name, sink in sinks.items():
        if inspect.iscoroutinefunction(sink):
            text = "a completion counts as delivered when its sink returns; name a plain function"
            raise UsageError(f"the sink {name!r} is a coroutine function: {text}")


def _leave_to_parent(reference: "weakref.ref[Runtime]") -> None:
    """Make a runtime unusable in a forked child: its threads and its log are the parent's."""
    runtime = reference()
    if runtime is not None:
        # The baton may have been held at the fork by a thread that does not exist here.
        runtime.baton, runtime._door = Baton(), threading.Lock()  # noqa: SLF001
        runtime.closing = True
        runtime.failure = RuntimeClosedError(
            "this process was forked, and the runtime stays with its parent; open one of your own",
        )
