"""The actor: Pykka's class and contract, run by turns instead of by a thread of its own.

What is costly in ``pykka.Actor.__init__`` (a random name, an inbox, an event, a reference) is made
when it is first asked for: an actor costs what its state costs.
"""

import inspect
import logging
import sys
import threading
import uuid
import weakref
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pykka

from rescind.events import (
    Ask,
    Born,
    Fail,
    Failed,
    Notice,
    Overflowed,
    Proxy,
    Raised,
    Recover,
    Replied,
    Restart,
    Restarted,
    SlowTurn,
    Start,
    Stashed,
    Stop,
    Stopped,
    Supervised,
    Tell,
    Unstashed,
    Watch,
    check_recordable,
)

from ._bounds import Mailbox, apply_overflowed, told
from ._errors import Abandon, UsageError
from ._ref import ActorRef, Terminated
from ._registry import register
from ._reply import Reply
from ._seen import apply_seen
from ._stash import apply_stashed, apply_unstashed, has_stashed
from ._supervision import (
    Supervision,
    apply_restarted,
    apply_stopped,
    apply_supervised,
    begin_again,
    forget_all_but_birth,
    settle_failure,
    take_childs_failure,
    wind_down,
)
from ._wire import from_wire

if TYPE_CHECKING:
    from ._outbox import Outbox
    from ._runtime import Runtime
    from ._state import Birth

logger = logging.getLogger("rescind.actors")
_OWN = ("number", "runtime", "unit")
_OWN_OF_CLASS = (*_OWN, "receive", "tell_watchers")
"""Attributes of every actor by which the engine runs its turns; nobody else may set them."""
A = TypeVar("A", bound="Actor")
PINNED = "pinned"
"""The dispatcher that a class can ask for."""


class Actor(pykka.Actor):
    """Your own actor: write ``on_receive`` (and Pykka's other hooks), start it in a runtime.

    The handlers run one at a time, on whichever thread holds the runtime's baton; they must decide
    and not wait.  What a handler asks of other actors leaves when it returns.
    """

    __slots__ = ("_actor_ref", "number", "runtime", "unit")

    REF: ClassVar[type[ActorRef[Any]]] = ActorRef
    """The class of its references."""

    RUNS_HANDLERS: ClassVar[bool] = True
    """Whether its turns run the application's code, which may take its time."""

    FACTS: ClassVar[dict[type, Callable[..., None]]] = {
        Restarted: apply_restarted,
        Stopped: apply_stopped,
        Supervised: apply_supervised,
        Stashed: apply_stashed,
        Unstashed: apply_unstashed,
        Overflowed: apply_overflowed,
        Failed: apply_seen,
        SlowTurn: apply_seen,
    }
    """What each event changes in a unit, called as ``function(unit, event, number)`` after its
    record was appended.  Events that are not here change nothing."""

    dispatcher: ClassVar[str | None] = None
    """``"pinned"`` for a class whose handlers block: each of its actors gets a thread of its own.
    Nothing else goes on less quickly meanwhile; under ``Stepped`` it changes nothing."""

    EVENT_SOURCED: ClassVar[bool] = False
    """Whether only recorded events change its state, so that a log can give it back, and a handler
    that failed has left nothing in it."""

    mailbox: ClassVar[Mailbox | None] = None
    """How many messages may wait, and what happens to one more; None for as many as come."""

    supervision: Supervision | None = None
    """What is done when an actor fails that this one has started in a turn.  Without a rule it is
    what Pykka does: the child stops, and nobody else hears of it."""

    number: int
    runtime: "Runtime"
    unit: "Actor"
    """Whose state this actor's events change: itself, or the endpoint that owns it."""
    _actor_ref: "ActorRef[Any] | None"  # type: ignore[assignment]  # Pykka's is never None

    # Pykka declares these four as plain attributes that its __init__ fills.  Here they are made on
    # first use; request actors never need them.
    actor_urn = property(lambda self: self.actor_ref.actor_urn)  # pyright: ignore[reportAssignmentType]
    actor_inbox = property(lambda self: self.actor_ref.actor_inbox)  # pyright: ignore[reportAssignmentType]
    actor_stopped = property(lambda self: self.actor_ref.actor_stopped)  # pyright: ignore[reportAssignmentType]

    @property
    def actor_ref(self) -> ActorRef[Any]:
        """The actor's reference."""
        try:
            ref = self._actor_ref
        except AttributeError:
            return self._make_unstarted_ref()
        return self._make_ref() if ref is None else ref

    def _make_ref(self) -> ActorRef[Any]:
        ref = self.REF(self.runtime, self.number, type(self))
        ref.actor = self
        self._actor_ref = ref  # pyright: ignore[reportIncompatibleVariableOverride]
        return ref

    def _make_unstarted_ref(self) -> ActorRef[Any]:
        """Name an actor that was made by hand, as a unit test may do; messages to it are dead."""
        ref = self.REF(self._current_runtime(), 0, type(self))
        ref.actor_urn = uuid.uuid4().urn
        ref._actor_weakref = weakref.ref(self)  # type: ignore[method-assign]  # noqa: SLF001
        self._actor_ref = ref  # pyright: ignore[reportIncompatibleVariableOverride]
        return ref

    def __init_subclass__(cls, **options: Any) -> None:
        """See that the class leaves the engine's table of facts alone."""
        super().__init_subclass__(**options)
        if "FACTS" in vars(cls) and not cls.__module__.startswith("rescind."):
            _refuse(cls, ["FACTS"])

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Begin; a subclass may take any arguments that ``start`` is given."""

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> Any:
        """Start in the current runtime: the turn's, or the one that the code around it entered.

        Where there is neither, that is the process's default runtime, which keeps its log in
        memory.  Takes what the constructor takes; for what it raises see ``Runtime.start``.
        """
        return Actor._current_runtime().start(cls, *args, **kwargs)

    @staticmethod
    def _current_runtime() -> "Runtime":
        # Here, because the runtime imports this module.
        from ._runtime import Runtime  # noqa: PLC0415

        return Runtime.current()

    @classmethod
    def prepare(cls, runtime: "Runtime") -> None:
        """See that ``runtime`` has what actors of this class need; called before one is started."""

    @classmethod
    def applier(cls, kind: type) -> Callable[..., None]:
        """Return what applies an event of ``kind``, called as those in ``FACTS`` are.

        Raises:
            UsageError: nothing does.
        """
        found = cls.FACTS.get(kind)
        if found is None:
            raise UsageError(f"nothing in {cls.__qualname__} applies a {kind.__qualname__}")
        return found

    def rebuild(self, birth: "Birth") -> None:
        """Be constructed again, as in an earlier process; the events that followed come next."""
        self.__init__(*birth.args, **birth.kwargs)  # type: ignore[misc]  # made empty

    def on_recover(self) -> None:
        """Go on in a new process; the state is what it was when the last one ended.

        What else there was is gone: messages that waited, timers, work.
        """

    def _start_actor_loop(self) -> None:
        """Do nothing: turns are run by the runtime's dispatcher."""

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise UsageError("start actors with Runtime.start")

    @staticmethod
    def _create_future() -> Reply[Any]:
        return Reply()

    # --- turns -------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: "Outbox") -> Any:
        """Take one message of the runtime: the turn itself.  Called under the baton."""
        take = _TAKES.get(type(message))
        if take is None:
            raise TypeError(f"an actor does not take {type(message).__name__}")
        runtime = self.runtime
        token = runtime.enter_handler(out)
        try:
            take(self, message, out)
        finally:
            runtime.leave_handler(token, out)

    def _construct(self, out: "Outbox", args: list[Any], kwargs: dict[str, Any]) -> bool:
        """Call the constructor; tell whether it returned."""
        ref = self.actor_ref
        own = [getattr(self, name) for name in _OWN]
        try:
            self._call(out, lambda: self.__init__(*args, **kwargs))  # type: ignore[misc]
            pairs = zip(_OWN, own, strict=True)
            _refuse(type(self), [name for name, was in pairs if getattr(self, name) is not was])
        except Abandon:
            raise
        except BaseException as error:
            self.number, self.runtime, self.unit = own
            if ref.bond is not None and self._fails_alone(error):
                forget_all_but_birth(out)
                out.events.append(Failed(describe(error)))
                out.answer(None, sys.exc_info())
                settle_failure(self, out, error, describe(error), is_made=False)
                return False
            if ref.parent or out.baton is not None:  # otherwise whoever called start hears of it
                logger.exception("Unhandled exception in the constructor of %s:", self)
            out.forget()
            out.events.append(Failed(describe(error)))
            self._finish(out, describe(error))
            out.answer(None, sys.exc_info())
            if ref.parent:
                self._stop_for(out, error)
            return False
        register(ref)
        out.answer(None)
        return True

    def _call(self, out: "Outbox", function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the application's code; that of a pinned actor runs without the baton."""
        if out.baton is None:
            return function(*arguments)
        with self.runtime.without_baton(out.baton):
            return function(*arguments)

    def _result(self, out: "Outbox", handler: Callable[..., Any], *arguments: Any) -> Any:
        """Call a handler whose result is recorded, as an answer."""
        value = self._call(out, handler, *arguments)
        if self.runtime.strict:
            check_recordable(value, "the result")
        return value

    def _answer(self, out: "Outbox", handler: Callable[..., Any], *arguments: Any) -> None:
        try:
            value = self._result(out, handler, *arguments)
        except Abandon:
            raise
        except BaseException as error:
            logger.info("Exception returned from %s to caller:", self, exc_info=True)
            out.forget()
            out.events.append(Raised(describe(error)))
            out.answer(None, sys.exc_info())
            self._stop_for(out, error)
        else:
            if not (out.events and has_stashed(out)):
                self._settle(out, value)

    def _settle(self, out: "Outbox", value: Any) -> None:
        """Answer an ask with what the handler returned."""
        out.events.append(Replied(value))
        out.answer(value)

    def _guarded(self, out: "Outbox", handler: Callable[..., Any], *arguments: Any) -> None:
        try:
            self._call(out, handler, *arguments)
        except Abandon:
            raise
        except BaseException as error:  # noqa: BLE001  # recorded, and logged where it is settled
            forget_all_but_birth(out)
            out.events.append(Failed(describe(error)))
            if isinstance(error, Exception):
                settle_failure(self, out, error, describe(error))
            else:
                self._stop_for(out, error)

    def _stop_for(self, out: "Outbox", error: BaseException) -> None:
        """Keep Pykka's rule: what is no Exception stops this actor and then all the others.

        Of an event-sourced actor nothing is left in doubt, so that it is its own failure alone.
        """
        if isinstance(error, Exception):
            return
        if self.EVENT_SOURCED:
            if self.actor_ref.is_alive():
                settle_failure(self, out, error, describe(error))
            if threading.current_thread() is threading.main_thread():
                self.runtime.interrupt(error, out)
            return
        logger.debug("%r in %s. Stopping all actors.", error, self)
        if self.runtime.actors.get(self.number) is self:
            self._finish(out, describe(error))
            self._hook(out, self.on_stop)
        self.runtime.stop_everything(error, out)

    # --- supervision ---------------------------------------------------------------------------

    def on_restart(self) -> None:
        """Begin another incarnation; by default as the first one, with ``on_start``.

        Called after the constructor, or without one if the actor is event-sourced: then it goes on
        with the state that its events made.  Timers that were set are gone, and so are children.
        """
        self.on_start()

    def _fails_alone(self, error: BaseException) -> bool:
        """Tell whether a failure concerns this actor alone."""
        return isinstance(error, Exception) or self.EVENT_SOURCED

    def _end_incarnation(self, out: "Outbox", *, is_stop: bool) -> None:
        """Let those hear who wait for what this incarnation began, or for the actor as it stops."""

    def _finish(self, out: "Outbox", error: str | None) -> None:
        ref = self.actor_ref
        if error is not None:
            ref.error = error
        out.events.append(Stopped(self.number, error))
        self.tell_watchers(out, error)
        self._end_incarnation(out, is_stop=True)
        self.runtime.forget(self)
        ref.end()
        logger.debug("Stopped %s", self)

    def tell_watchers(self, out: "Outbox", error: str | None) -> None:
        """Let those know who watch this actor that it has ended."""
        if self._actor_ref is not None:
            for watcher in self._actor_ref.watchers:
                out.messages.append((watcher, Tell(Terminated(self.number, error)), None))

    def _hook(self, out: "Outbox", hook: Callable[[], None]) -> None:
        try:
            self._call(out, hook)
        except Exception:
            logger.exception("Unhandled exception in %s:", self)

    def stash(self) -> None:
        """Put the message aside that is being handled; ``unstash`` brings it back.

        The handler goes on, and what it returns answers nobody: whoever asked hears when the
        message is handled again.

        Raises:
            UsageError: called outside of a turn; the message cannot be put aside.
        """
        self.runtime.stashes.stash(self)

    def unstash(self) -> None:
        """Bring all messages back that were put aside, before everything that waits.

        Raises:
            UsageError: called outside of a turn of this actor.
        """
        self.runtime.stashes.unstash(self)

    def send_after(self, delay_s: float, message: Any) -> Any:
        """Tell ``message`` to this actor after ``delay_s`` seconds; returns the timer.

        Called inside a turn; the timer counts in the runtime's time, which may be virtual.
        """
        return self.runtime.send_after(self, delay_s, message)

    @property
    def now_ns(self) -> int:
        """The time of the running turn, which is the time its record bears."""
        runtime = self.runtime
        return (runtime.my_turn() or runtime.out).now_ns


# What an actor does with each message of the runtime: functions, because an actor's methods are the
# application's to name, and a table, because every turn comes through here.


def _take_tell(actor: Actor, message: Tell, out: "Outbox") -> None:
    actor._guarded(out, actor.on_receive, message.value)  # noqa: SLF001  # part of the class


def _take_ask(actor: Actor, message: Ask, out: "Outbox") -> None:
    actor._answer(out, actor.on_receive, message.value)  # noqa: SLF001


def _take_proxy(actor: Actor, message: Proxy, out: "Outbox") -> None:
    """Let Pykka do what its proxy asked for."""
    run = actor._answer if message.asked else actor._guarded  # noqa: SLF001
    run(out, actor._handle_receive, from_wire(message))  # noqa: SLF001


def _take_notice(actor: Actor, message: Notice, out: "Outbox") -> None:
    actor._guarded(out, actor.on_receive, told(message))  # noqa: SLF001


def _take_watch(actor: Actor, message: Watch, _out: "Outbox") -> None:
    actor.actor_ref.watchers[message.watcher] = None


def _take_start(actor: Actor, message: Start, out: "Outbox") -> None:
    out.events.append(Born(actor.number, message.cls, actor.actor_ref.parent))
    if actor._construct(out, message.args, message.kwargs):  # noqa: SLF001
        actor._guarded(out, actor.on_start)  # noqa: SLF001


def _take_recover(actor: Actor, _message: Recover, out: "Outbox") -> None:
    register(actor.actor_ref)
    actor._guarded(out, actor.on_recover)  # noqa: SLF001


def _take_stop(actor: Actor, _message: Stop, out: "Outbox") -> None:
    if actor.actor_ref.pause or actor.actor_ref.children:
        wind_down(actor, out)
        return
    actor._finish(out, None)  # noqa: SLF001
    actor._hook(out, actor.on_stop)  # noqa: SLF001
    out.answer(None)


_TAKES: dict[type, Callable[[Actor, Any, "Outbox"], None]] = {
    Tell: _take_tell,
    Ask: _take_ask,
    Proxy: _take_proxy,
    Notice: _take_notice,
    Watch: _take_watch,
    Start: _take_start,
    Recover: _take_recover,
    Stop: _take_stop,
    Restart: begin_again,
    Fail: take_childs_failure,
}


def check_names(cls: type[Actor]) -> None:
    """See that a class defines nothing under the engine's own names.

    Raises:
        UsageError: it does, as a class that was written for something else may.
    """
    found: list[str] = []
    for each in cls.__mro__:
        if each.__module__.startswith("rescind."):
            break
        found += [name for name in _OWN_OF_CLASS if name in vars(each)]
    _refuse(cls, found)


def _refuse(cls: type[Actor], names: list[str]) -> None:
    if names:
        raise UsageError(
            f"{cls.__name__} has {', '.join(names)}, by which rescind runs its turns; "
            "choose other names",
        )


def describe(error: BaseException) -> str:
    """Return an exception as one line of text."""
    return f"{type(error).__name__}: {error}"


def class_name(cls: type) -> str:
    """Return the name under which a class stands in the log."""
    return f"{cls.__module__}.{cls.__qualname__}"


@cache
def source_digest(cls: type) -> str:
    """Return the SHA-256 of a class's source, its own bases' included; empty where there is none.

    Two of them tell whether a class is what it was, and not what has changed.
    """
    not_own = ("rescind.", "pykka.", "builtins.")
    own = [each for each in cls.__mro__ if not f"{each.__module__}.".startswith(not_own)]
    try:
        source = "".join(map(inspect.getsource, own))
    except (OSError, TypeError):  # made without a file, as in an interactive session
        return ""
    return sha256(source.encode(errors="replace")).hexdigest() if own else ""


def short_name(actor: Actor) -> str:
    """Return an actor's selector and its class."""
    return f"a{actor.number} {type(actor).__name__}"
