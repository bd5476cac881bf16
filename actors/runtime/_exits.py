"""The way out: what was decided leaves only when its record is as durable as the log promises.

Locks, outermost first; whoever holds one may take those after it, never those before:

- *world*: one script of the application at a time (a blocked script gives it up);
- *commit*: one batch at a time on its way into the log, then its effects;
- *baton*: see ``_engine``.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rescind.events import LogWriter, Origin, RescindError, Start, Stop

from ._actor import Actor, describe
from ._baton import Baton
from ._clock import Clock
from ._context import WireCause
from ._contracts import Dispatcher, Lane, Owned
from ._engine import TURNS_PER_HOLD, Broadcast, Engine, logger
from ._errors import Abandon, InternalError, UsageError
from ._observer import Guarded, Observer
from ._outbox import Envelope, Message, Outbox
from ._pinned import Pin
from ._ref import ActorRef
from ._seen import nothing_seen
from ._statistics import Statistics, take_statistics
from ._subscriptions import Subscriptions
from ._waiting import Waitable, wake_all

if TYPE_CHECKING:
    from ._runtime import Runtime

A = TypeVar("A", bound=Actor)

PENDING_EFFECTS_MAX = 4096
"""Effects that may wait for a commit before a caller has to commit them itself."""


class Exits(Engine):
    """An engine whose effects and deliveries leave in order; the middle third of a runtime."""

    def __init__(self, log: LogWriter, dispatcher: Dispatcher, clock: Clock) -> None:
        """Run on an open log."""
        super().__init__(log, dispatcher, clock)
        self.owned: list[Owned] = []
        """What has to be closed before the log, in order of creation."""
        self._commit = threading.Lock()
        self._is_log_closed = False
        self._world = threading.Lock()
        self._world_owner = 0
        self._lanes: deque[Lane] = deque()
        self._delivering: Lane | None = None
        self._waiting: dict[object, Waitable] = {}
        self.waits_in_turn: dict[int, Waitable] = {}
        """By actor: what its handler waits for."""
        self._hopeless: dict[int, Waitable] = {}
        """What nobody is left to bring about, by identity."""
        self.subscriptions = Subscriptions(self, self._backlog)
        self.seen = nothing_seen()
        """How many of each rare event there were; the baton is held."""
        self.last_durable = log.last_number
        """The last turn that is as durable as the log promises."""

    # --- being observed ------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Return how the runtime stands at this moment, in numbers.

        Cheap enough to be asked every second; it waits for a handler that runs.  What is asked of
        a closed runtime is how it ended.

        Raises:
            LogFailedError: the runtime has stopped, and nothing is acknowledged any more.
        """
        self.check_failure()
        return take_statistics(self)

    def set_observer(self, observer: Observer) -> None:
        """Have an observer see every turn that is recorded from here on; once for a runtime.

        Raises:
            UsageError: there is one already.
        """
        with self.holding_baton():
            if self.observer is not None:
                raise UsageError("this runtime is traced, or observed, already")
            self.observer = Guarded(observer)

    # --- supervision, and its end --------------------------------------------------------------

    def remake(self, ref: ActorRef[A], start: Start) -> A:
        """Put a new object in the place of a failed actor's; its constructor is not called yet."""
        actor = self.make(ref, start)
        if ref.number in self._pins:
            self._pins[ref.number].actor = actor
        return actor

    def waits_for(self, ref: ActorRef[Any], number: int) -> bool:
        """Tell whether an actor waits inside a turn for another, or for one that waits for it."""
        while ref.waits_on is not None and ref.waits_on.taker != number:
            actor = self.actors.get(ref.waits_on.taker)
            if actor is None:
                return False
            ref = actor.actor_ref
        return ref.waits_on is not None

    def overtake(
        self,
        target: Actor | ActorRef[Any],
        message: Message,
        origin: Origin,
        cause: WireCause,
    ) -> None:
        """Send something of the runtime's own by the control lane; the baton is held."""
        self._control.append(Envelope(target, message, origin, cause))
        self.dispatcher.wake()

    def stop_everything(self, error: BaseException, out: Outbox) -> None:
        """Stop all actors because ``error`` came out of the handler that fills ``out``."""
        for other in self.youngest_first():
            out.messages.append((other.actor_ref, Stop(urgent=False), None))
        self.interrupt(error, out)

    def interrupt(self, error: BaseException, out: Outbox) -> None:
        """Let who runs the turn of ``out`` hear, when it is recorded, that it was interrupted."""
        if isinstance(error, KeyboardInterrupt) and out is self.out:
            self._interrupt = error

    def youngest_first(self) -> list[Actor]:
        """Return the living actors, the last started first."""
        return sorted(self.actors.values(), key=lambda each: -each.number)

    # --- pinned actors -------------------------------------------------------------------------

    def turn_of_pin(self, pin: Pin, envelope: Envelope) -> Envelope | None:
        """Run a pinned actor's turn in its thread; returns its next message if one is waiting.

        The baton is held, and free while the application's code runs.
        """
        out, actor = pin.out, pin.actor
        out.begin(envelope, actor, self._now_ns())
        try:
            actor.receive(envelope.message, out)
        except BaseException:
            out.forget()
            raise
        self._record(out)
        out.reply = None
        ref, parked = actor.actor_ref, self._parked.get(actor.number)
        if ref.pause is not None:
            self.unpark(ref)  # there may be what ends the pause
            return None
        if ref.is_alive() and parked:
            return self._opened(parked.popleft())
        ref.is_suspended = False
        if not ref.is_alive():
            self.unpark(ref)
            self._pins.pop(actor.number).end()
        return None

    def _opened(self, envelope: Envelope) -> Envelope:
        """Return a parked message with its cause and caller settled; it may be in a box."""
        taken = self.mailboxes.taken(envelope)
        cause, by = self.settled(taken.cause, taken.by)
        return taken._replace(cause=cause, by=by)

    @contextlib.contextmanager
    def without_baton(self, baton: Baton) -> Generator[None]:
        """Let the application's code of a pinned actor run; it may block.

        Raises:
            Abandon: the runtime ended meanwhile, and nothing of the turn can be recorded.
        """
        baton.release()
        try:
            yield
        finally:
            baton.take()
            self.check_going_on()

    def check_going_on(self) -> None:
        """Give up a pinned actor's turn when nothing is recorded any more."""
        if self.closing or self.failure is not None:
            raise Abandon("the runtime has ended")

    def end_waits(self, waitables: list[Waitable]) -> None:
        """Let no handler wait for one of these any more."""
        self._hopeless |= {id(each): each for each in waitables}
        wake_all(waitables)

    def is_hopeless(self, waitable: Waitable) -> bool:
        """Tell whether nobody is left to bring about what a handler waits for."""
        return id(waitable) in self._hopeless and not waitable.is_done

    def must_give_up(self, waitable: Waitable) -> bool:
        """Tell whether no handler may wait for it any more."""
        return self.failure is not None or self.is_hopeless(waitable)

    # --- the way out ---------------------------------------------------------------------------

    @property
    def as_runtime(self) -> "Runtime":
        """Itself, as the runtime that it is the middle of."""
        return cast("Runtime", self)

    def after_commit(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function of ours called when what is recorded is durable; the baton is held."""
        self._effects.append((function, *arguments))

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
                for function, *arguments in effects:
                    # A defect in one effect must not take the others with it.
                    try:
                        function(*arguments)
                    except Exception:  # noqa: BLE001  # logged; each is tried by itself
                        logger.exception("an effect failed: %r", function)
                if not may_block:
                    # Whoever only helps must not be kept by those who record on and on.
                    if self.log.pending or self._effects:
                        self.dispatcher.wake()
                    return True
        finally:
            self._commit.release()
        return False

    def _write(self, batch: Any) -> None:
        try:
            with self.dispatcher.may_block():
                self.log.write(batch)
            self.last_durable = batch.first + batch.records - 1
        except BaseException as error:
            self.fail(error)
            raise

    def flush(self) -> None:
        """Return when everything recorded so far is as durable as the log promises.

        Raises:
            UsageError: called inside a turn, whose own record is not there yet, or where it would
                stop an event loop.
            LogFailedError: it could not be written.
        """
        self._refuse_in_turn("flush")
        if self.has_output or self._commit.locked():
            self.refuse_blocking("flush")
        self.commit()
        with self._commit:  # what another thread took is not durable before that one is through
            pass
        self.check_failure()

    def relieve(self, *, at_once: bool = False) -> None:
        """See that what was just recorded gets on its way; callers use it when they do not wait.

        ``at_once``: rather in the calling thread, without a hop, unless a commit takes long.
        """
        is_late = len(self._effects) >= PENDING_EFFECTS_MAX
        at_once = at_once and self.log.durability != "disk"
        if (is_late or at_once) and self.my_turn() is None and self.dispatcher.may_wait():
            self.commit(may_block=is_late)
        self.dispatcher.wake()

    def offer(self, lane: Lane) -> None:
        """Hear that a lane has something to deliver."""
        self._lanes.append(lane)
        self.dispatcher.wake()

    def deliver(self, *, scripts: bool = True) -> bool:
        """Deliver some of one lane, if nobody else is delivering; tell whether anything moved.

        ``scripts=False`` leaves the application's callbacks to others and only ends waits.
        """
        if not self._lanes or (scripts and not self.dispatcher.may_handle()):
            return False
        if not self._world.acquire(blocking=False):
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
        # What is due to the application does not wait for hundreds of turns.
        progress = bool(self._lanes) and self.deliver(scripts=scripts)
        progress |= self.run_turns(helping=helping)
        progress |= self.commit(may_block=scripts)
        return self.deliver(scripts=scripts) or progress

    def report(self, actor: Actor, message: Message, origin: Origin, cause: WireCause) -> None:
        """Bring something in as ``post`` does, and wake nobody: ``dispatcher.help`` follows soon.

        For a thread that reports often: with each hop to another one it would lose more time than
        the turns take.
        """
        self._reports.append(Envelope(actor, message, origin, cause))

    def fire_timers(self) -> bool:
        """Fire what is due."""
        deadline_ns = self.timers.next_deadline_ns()
        if deadline_ns is None or deadline_ns > self.clock.monotonic_ns():
            return False
        with self.baton:
            return self.timers.fire_due(self.clock.monotonic_ns())

    def refuse_blocking(self, what: str) -> None:
        """Raise where a call that blocks would stop an event loop.

        Raises:
            UsageError: it would.
        """
        if not self.dispatcher.may_wait():
            raise UsageError(
                f"{what} would block the event loop in whose thread it is called; await what it "
                "waits for, or call it in another thread (await asyncio.to_thread(...)); a handler "
                'that must wait belongs to an actor with dispatcher = "pinned"',
            )

    def run_turns_inside(self, waitable: Waitable) -> bool:
        """Run turns on top of the one that waits for ``waitable``; tell whether it is done now.

        The baton is held.  Only turns of the actor that owes the answer are run, and the kernel's:
        nothing else may stand on the stack of the handler that waits.
        """
        target = waitable.target
        for _ in range(TURNS_PER_HOLD):
            if waitable.is_done:
                return True
            if self.closing or not self._run_next(target):
                break
        return waitable.is_done

    def take_effects(self) -> list[tuple[Any, ...]]:
        """Return what a commit would let happen, without one: likewise."""
        effects = self._effects
        if effects:
            self._effects = []
        return effects

    def take_waiting(self) -> list[Envelope]:
        """Empty both lanes without running anything: for whoever re-executes a log."""
        with self.baton:
            waiting: list[Envelope] = []
            for head in self._control:
                if isinstance(head, Broadcast):
                    waiting += (
                        Envelope(target, head.message, Origin.ACTOR, head.cause)
                        for target in head.targets
                    )
                else:
                    waiting.append(head)
            waiting += self._reports
            waiting += map(self.mailboxes.taken, self._backlog)
            self._control.clear()
            self._reports.clear()
            self._backlog.clear()
            return waiting

    @property
    def has_turns(self) -> bool:
        """Tell whether messages wait."""
        return bool(self._control or self._reports or self._backlog)

    @property
    def has_output(self) -> bool:
        """Tell whether anything waits for a commit."""
        return bool(self._effects or self.log.pending)

    @property
    def has_work(self) -> bool:
        """Tell whether a pump would find anything but timers."""
        return self.has_turns or self.has_output or bool(self._lanes)

    @property
    def can_go_on(self) -> bool:
        """Tell whether a pump would find anything to do while a batch is being written."""
        return self.has_turns or bool(self._lanes)

    @property
    def others_could_act(self) -> bool:
        """Tell whether something waits that no turn does; the baton is held, in a turn."""
        if self._effects or self._lanes or self.baton.is_awaited:
            return True
        deadline_ns = self.timers.next_deadline_ns()
        return deadline_ns is not None and deadline_ns <= self.clock.monotonic_ns()

    @property
    def is_leaving(self) -> bool:
        """Tell whether something is on its way out, into the log or to a callback."""
        return self._commit.locked() or self._world.locked()

    @property
    def has_released(self) -> bool:
        """Tell whether some thread could go on from its wait, and has not yet."""
        return any(each.is_done for each in list(self._waiting.values()))

    def fail(self, error: BaseException) -> None:
        """Stop for good: nothing is acknowledged any more, and whoever waits hears why."""
        if self.failure is None:
            self.failure = error if isinstance(error, RescindError) else defect(error)
            for owned in self.owned:
                try:
                    owned.stop()
                except Exception:  # noqa: BLE001  # logged; the others still have to be stopped
                    logger.exception("%r could not be stopped", owned)
            wake_all([*self._waiting.values(), *self.waits_in_turn.values()])


def defect(error: BaseException) -> InternalError:
    """Return the error that waiters get when rescind itself went wrong."""
    found = InternalError(f"the runtime has stopped: {describe(error)}; please report this")
    found.__cause__ = error
    return found
