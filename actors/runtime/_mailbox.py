"""Mailboxes with a bound.

Without a bound a message waits in the engine's backlog, and nothing here is called.  With one it
waits in its actor's *box*; what stands in the backlog for it is a *ticket*, an envelope that holds
the box where others hold their cause.  So a message that is dropped leaves at once, and its place
in the backlog stays.

A box belongs to whoever holds the engine's door, for a moment; who has the baton may take it.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka

from rescind.events import Dropped, Origin, Overflowed

from ._bounds import COUNTED, Mailbox
from ._errors import MailboxFullError, RuntimeClosedError
from ._lost import lose
from ._outbox import Detour, Envelope, Message, Outbox
from ._reply import Reply

if TYPE_CHECKING:
    import threading

    from ._engine import Engine
    from ._ref import ActorRef
    from ._runtime import Runtime
    from ._waiting import Waiter


class Box(Detour):
    """The messages that wait for one actor, as many as may."""

    __slots__ = (
        "_before_first", "_blocked", "_config", "_mailboxes", "_refused", "_ticket", "_waiting",
        "is_closed", "places", "ref",
    )  # fmt: skip

    def __init__(
        self, mailboxes: "Mailboxes", ref: "ActorRef[Any]", config: Mailbox | None
    ) -> None:
        """Be empty; without a ``config`` only the runtime's own bound holds."""
        self.ref = ref
        self.places = 0
        """Places that are taken, or promised to what a running turn sends."""
        self.is_closed = False
        """Whether the actor has stopped, so that everything comes in, to be buried."""
        self._mailboxes = mailboxes
        self._config = config
        self._ticket = Envelope(ref, (), Origin.ACTOR, self)
        self._waiting: deque[Envelope] = deque()
        self._before_first: deque[Envelope] = deque()
        """What is recorded of messages that met their fate before the actor was born."""
        self._blocked: deque[Room] = deque()
        self._refused: dict[int, _Refused] = {}
        """By whose bound it was: the actor's number, or 0 for the runtime's."""

    @property
    def _drops(self) -> bool:
        return self._config is not None and self._config.when_full == "drop oldest"

    @property
    def _is_full(self) -> bool:
        return self._config is not None and self.places >= self._config.max

    def error(self, full: int) -> MailboxFullError:
        """Return what a sender gets whose message finds no place."""
        if self._config is None or not full:
            return MailboxFullError(
                f"{self._mailboxes.waiting_max} messages wait in the runtime", 0
            )
        return MailboxFullError(f"{self._config.max} messages wait for {self.ref}", full)

    # --- from inside a turn ----------------------------------------------------------------------

    def send_inside(self, out: Outbox, message: Message, reply: Reply[Any] | None) -> None:
        """Let a message leave with a running turn.

        Raises:
            MailboxFullError: there is no place, and nobody has the reply to be told.
        """
        if type(message) not in COUNTED or self.admits(out):
            out.messages.append((self, message, reply))
        elif reply is None:
            raise self.error(self.ref.number)
        else:
            error = self.error(self.ref.number)
            reply.set_exception((type(error), error, None))

    def admits(self, out: Outbox) -> bool:
        """Promise a place to a message that a handler sends; if there is none, its turn says so."""
        out.tried += self._config is not None
        if self.has_place(out.tried):
            return True
        out.events.append(Overflowed(self.ref.number, 1, out.tried))
        return False

    def has_place(self, tried: int) -> bool:
        """Promise a place to what a turn sends; it is the turn's message number ``tried``."""
        del tried
        with self._mailboxes.door:
            return self._promise(is_outside=False)

    def admits_request(self, out: Outbox, full: int | None) -> bool:
        """Tell whether a request of the application has a place, which ``hold`` has looked for."""
        if full is not None:
            out.events.append(Overflowed(full, 1, 1))
        return full is None

    def bring(self, envelope: Envelope) -> None:
        """Take a message in that a turn has sent and that has the promise of a place."""
        with self._mailboxes.door:
            self._append(envelope)

    # --- from outside ----------------------------------------------------------------------------

    def enter(self, envelope: Envelope) -> "Room | None":
        """Take a message in; returns what its sender has to wait for.  The door is held.

        Raises:
            MailboxFullError: there is no place.
        """
        if type(envelope.message) not in COUNTED or self._promise(is_outside=True):
            self._append(envelope)
            return None
        if self._may_block:
            room = Room(self, envelope)
            self._blocked.append(room)
            return room
        full = self.ref.number if self._is_full else 0
        self._note_refused(envelope, full)
        raise self.error(full)

    def hold(self) -> "int | Room | None":
        """Look for a place for a request of the application.  The door is held.

        Returns None where there is one; otherwise what to wait for, or whose bound is reached.
        """
        if self._promise(is_outside=True):
            return None
        if not self._may_block:
            return self.ref.number if self._is_full else 0
        room = Room(self, None)
        self._blocked.append(room)
        return room

    @property
    def _may_block(self) -> bool:
        blocks = self._config is not None and self._config.when_full == "block"
        return blocks and self._is_full

    def wait_for(self, room: "Room") -> None:
        """Wait for a place; no lock is held.

        Raises:
            MailboxFullError: none became free in time.
            pykka.ActorDeadError: the actor stopped first.
            RescindError: the runtime ended first, or the wait is refused; nothing was sent.
        """
        timeout_s = None if self._config is None else self._config.timeout_s
        try:
            self._mailboxes.runtime.wait(room, timeout_s)
        finally:
            with self._mailboxes.door:
                if not room.is_done:
                    self._blocked.remove(room)
        if room.error is not None:
            raise room.error
        if not room.is_done:
            if room.envelope is not None:
                with self._mailboxes.door:
                    self._note_refused(room.envelope, self.ref.number)
            raise self.error(self.ref.number)

    def _note_refused(self, envelope: Envelope, full: int) -> None:
        """Have a refusal recorded; those that come before its record are counted in it.

        Whoever is refused does not wait, and a storm of refusals must not pile up either.
        """
        refused = self._refused.get(full)
        if refused is None:
            refused = self._refused[full] = _Refused(self, envelope, full)
            self._have_recorded(envelope, refused)
        refused.messages += 1

    def _have_recorded(self, envelope: Envelope, fate: Detour) -> None:
        """Have the fate of a message recorded next, but not before its actor's birth."""
        envelope = envelope._replace(cause=fate, by=None, reply=None)
        if self.ref.actor is not None:
            self._mailboxes.control.append(envelope)
        elif self._waiting:
            self._before_first.append(envelope)
        else:
            self._mailboxes.backlog.append(envelope)

    def counted(self, full: int) -> Overflowed:
        """Return what is recorded of refusals so far; the next is the first of others."""
        with self._mailboxes.door:
            return Overflowed(full, self._refused.pop(full).messages, 0)

    # --- places ----------------------------------------------------------------------------------

    def _promise(self, *, is_outside: bool) -> bool:
        """Promise a place, if there is one; the door is held."""
        if is_outside and self._mailboxes.is_full and not self.is_closed:
            return False
        if self._drops:
            return True
        if self._is_full and not self.is_closed:
            return False
        self._count(1)
        return True

    def release(self) -> None:
        """Take back the promise of a place: its turn has failed, or the call that held it."""
        if self._drops:
            return
        with self._mailboxes.door:
            self._count(-1)
            self._let_in()

    def _append(self, envelope: Envelope) -> None:
        """Put a message behind the others; the door is held."""
        if self._drops and type(envelope.message) in COUNTED:
            if self._is_full and not self.is_closed:
                self._drop_oldest(envelope)
                self._waiting.append(envelope)
                return
            self._count(1)
        self._waiting.append(envelope)
        self._mailboxes.backlog.append(self._ticket)

    def _drop_oldest(self, newer: Envelope) -> None:
        """Take out what waits longest; its ticket is the new message's."""
        waiting = self._waiting
        oldest = next(at for at, each in enumerate(waiting) if type(each.message) in COUNTED)
        dropped = waiting[oldest]
        del waiting[oldest]
        by = newer.cause if newer.origin is Origin.ACTOR and isinstance(newer.cause, int) else 0
        self._have_recorded(dropped, _Fate(self.ref, dropped, by))

    def take(self) -> Envelope:
        """Take out the message whose turn it is; the baton is held."""
        while self._before_first:
            self._mailboxes.engine.run_envelope(self._before_first.popleft())
        with self._mailboxes.door:
            envelope = self._waiting.popleft()
            if type(envelope.message) in COUNTED:
                self._count(-1)
                self._let_in()
        return envelope

    def _let_in(self) -> None:
        """Give free places to those who wait for one; the door is held."""
        while self._blocked and not self._is_full:
            room = self._blocked.popleft()
            self._count(1)
            if room.envelope is not None:
                self._append(room.envelope)
            room.end(None)

    def _count(self, places: int) -> None:
        self.places += places
        self._mailboxes.places += places

    def run(self, envelope: Envelope) -> None:
        """Let the actor take the message whose turn it is."""
        engine = self._mailboxes.engine
        if self.ref.is_suspended:
            engine.park(envelope)
        else:
            engine.run_envelope(self.take())

    def close(self, error: Exception) -> None:
        """Let everything in from here on, and those who still wait hear ``error``."""
        with self._mailboxes.door:
            self.is_closed = True
            while self._blocked:
                self._blocked.popleft().end(error)


class Room:
    """A place in a mailbox that somebody waits for: a ``Waitable``."""

    def __init__(self, box: Box, envelope: Envelope | None) -> None:
        """Wait with a message, or for a request that is still to be made."""
        self.envelope = envelope
        self.error: Exception | None = None
        self.is_done = False
        self.waiter: Waiter | None = None
        self.turn = 0
        self.taker = self.target = box.ref.number

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return the error, if there will be no place."""
        return None, self.error

    def end(self, error: Exception | None) -> None:
        """Wake whoever waits; the door is held."""
        self.error = error
        self.is_done = True
        if self.waiter is not None:
            self.waiter.set()


class _Refused(Detour):
    """Messages from outside that found no place, and of which there is no record so far."""

    __slots__ = ("_box", "_envelope", "_full", "messages")

    def __init__(self, box: Box, envelope: Envelope, full: int) -> None:
        self._box = box
        self._envelope = envelope
        self._full = full
        self.messages = 0

    def run(self, envelope: Envelope) -> None:
        """Record the first of them, and how many there were."""
        del envelope
        lose(self._box.ref.runtime, self._envelope, self._box.counted(self._full))


class _Fate(Detour):
    """A message that was dropped."""

    __slots__ = ("_by", "_envelope", "_ref")

    def __init__(self, ref: "ActorRef[Any]", envelope: Envelope, by: int) -> None:
        self._ref = ref
        self._envelope = envelope
        self._by = by

    def run(self, envelope: Envelope) -> None:
        """Record it, and tell whoever waits for its answer."""
        del envelope
        lose(self._ref.runtime, self._envelope, Dropped(self._ref.number, self._by))


class Mailboxes:
    """The boxes of one runtime, and what its actors have put aside."""

    def __init__(
        self,
        engine: "Engine",
        door: "threading.Lock",
        control: deque[Any],
        backlog: deque[Envelope],
        check_running: Callable[[], None],
    ) -> None:
        """Begin without any."""
        self.check_running = check_running
        self.engine = engine
        self.door = door
        self.control = control
        self.backlog = backlog
        self.waiting_max: int | None = None
        """So many messages may wait in all before outside callers are refused."""
        self.places = 0
        """Places that are taken in all boxes."""
        self._open: set[Box] = set()

    @property
    def runtime(self) -> "Runtime":
        """The engine as what it is."""
        runtime: Any = self.engine
        return runtime  # type: ignore[no-any-return]

    @property
    def is_full(self) -> bool:
        """Tell whether nothing comes in from outside any more."""
        return self.waiting_max is not None and self.places >= self.waiting_max

    def open(self, ref: "ActorRef[Any]") -> Box | None:
        """Return a new actor's box, if it needs one."""
        config = ref.actor_class.mailbox
        if not isinstance(config, Mailbox):  # pyright: ignore[reportUnnecessaryIsInstance]
            config = None  # a class that was written for Pykka may use the name
        if not ref.actor_class.RUNS_HANDLERS or (config is None and self.waiting_max is None):
            return None
        box = self.box(ref, config)
        self._open.add(box)
        return box

    def box(self, ref: "ActorRef[Any]", config: Mailbox | None) -> Box:
        """Make a box."""
        return Box(self, ref, config)

    def enter(self, box: Box, envelope: Envelope) -> None:
        """Bring a message from outside, waiting if that is the mailbox's policy.

        Raises:
            MailboxFullError: there is no place, and nobody has the reply to be told.
            pykka.ActorDeadError: the actor stopped before there was one; likewise.
        """
        try:
            with self.door:
                self.check_running()
                room = box.enter(envelope)
            if room is not None:
                self.engine.dispatcher.wake()
                box.wait_for(room)
        except (MailboxFullError, pykka.ActorDeadError) as error:
            if envelope.reply is None:
                raise
            envelope.reply.set_exception((type(error), error, error.__traceback__))
        finally:
            # Whoever gave up the place may have been the last who ran turns.
            self.engine.dispatcher.wake()

    def hold_place(self, box: Box) -> int | None:
        """Look for a place for a request from outside, waiting if that is the mailbox's policy.

        Returns None where there is one; otherwise whose bound is reached, 0 for the runtime's.

        Raises:
            pykka.ActorDeadError: the actor stopped before there was one.
        """
        with self.door:
            self.check_running()
            held = box.hold()
        if not isinstance(held, Room):
            return held
        self.engine.dispatcher.wake()
        try:
            box.wait_for(held)
        except MailboxFullError as error:
            return error.actor
        except BaseException:
            if held.is_done and held.error is None:
                box.release()
            raise
        return None

    def taken(self, envelope: Envelope) -> Envelope:
        """Return the message that an envelope of the backlog stands for."""
        return envelope.cause.take() if isinstance(envelope.cause, Box) else envelope

    def forget(self, ref: "ActorRef[Any]") -> None:
        """End the waits for places with an actor that has stopped."""
        box = ref.box
        if box is not None:
            self._open.discard(box)
            box.close(pykka.ActorDeadError(f"{ref} stopped before there was a place"))

    def close(self) -> None:
        """End all waits for places; the runtime closes."""
        for box in self._open:
            box.close(RuntimeClosedError("the runtime is closed; open another one"))
        self._open.clear()
