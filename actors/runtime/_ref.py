"""References: what names an actor and carries messages to it."""

import threading
import uuid
from collections.abc import Iterable
from functools import cached_property, partial
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import pykka
from pykka._envelope import Envelope

from rescind.events import Reference, Stop, Watch

from ._errors import UsageError
from ._reply import Reply
from ._supervision import Kinship

if TYPE_CHECKING:
    from ._actor import Actor
    from ._runtime import Runtime
    from ._state import Birth
    from ._waiting import Taken

A = TypeVar("A", bound="Actor")
_NUMBER_BITS = 48
"""How much of a UUID is the actor's number, its last part; the rest is its log's."""


class Inbox:
    """What Pykka calls an actor's inbox; it only ever takes things in."""

    __slots__ = ("_ref",)

    def __init__(self, ref: "ActorRef[Any]") -> None:
        """Stand before the actor of ``ref``."""
        self._ref = ref

    def put(self, envelope: Envelope[Any], /) -> None:
        """Take a message in, as ``tell`` and ``ask`` do."""
        self._ref.runtime.send(self._ref, envelope.message, cast("Any", envelope.reply_to))

    def get(self) -> Envelope[Any]:
        """Refuse: the runtime takes messages out, nobody else."""
        raise UsageError("an inbox of rescind cannot be read; the runtime runs the actor's turns")

    def empty(self) -> bool:
        """Tell whether nothing waits here: always, because messages wait in the runtime."""
        return True


class ActorRef(pykka.ActorRef[A], Kinship):
    """Names an actor and carries messages to it; safe to share between threads."""

    birth: "Birth | None" = None
    """What an event-sourced actor was constructed with."""

    def __init__(self, runtime: "Runtime", number: int, actor_class: type[A]) -> None:
        """Name the actor ``number`` of ``runtime``, which need not have started yet."""
        # Not pykka's __init__: it wants the living actor.
        self.runtime = runtime
        self.number = number
        self.watchers: dict[ActorRef[Any], None] = {}
        self.is_suspended = False
        """Whether the actor takes nothing for now: it waits inside a turn, or it is paused."""
        self.waits_on: Taken | None = None
        """What the actor waits for inside a turn, or the child for whose end it is paused."""
        self.parent = 0
        """The actor in whose turn it was started, or 0."""
        self.started: Reply[None] | None = None
        """Answered when the constructor has returned, or with what it raised; None once the actor
        is there."""
        self.actor: A | None = None
        self.actor_class = actor_class
        self.has_stopped = False
        """Whether the actor takes nothing any more."""
        self.box = runtime.mailboxes.open(self)
        """Where messages wait for an actor whose mailbox is bounded."""

    @cached_property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]  # Pykka has an attribute
        """What is set when the actor has stopped; made for those who ask."""
        event = threading.Event()
        # It is kept before this last look, and ``end`` looks for it last: neither misses the other.
        self.__dict__["actor_stopped"] = event
        if self.has_stopped:
            event.set()
        return event

    def is_alive(self) -> bool:
        """Tell whether the actor still takes messages; it may stop at any moment."""
        return not self.has_stopped

    def end(self) -> None:
        """Let everybody know that the actor has stopped."""
        self.has_stopped = True
        event: threading.Event | None = self.__dict__.get("actor_stopped")
        if event is not None:
            event.set()

    @cached_property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]  # Pykka has an attribute here
        """What takes messages in for the actor."""
        return Inbox(self)

    @cached_property
    def actor_urn(self) -> str:  # type: ignore[override]  # Pykka has an attribute here
        """The actor's name in Pykka's registry: random as its log's id is, and then its number."""
        random = int.from_bytes(self.runtime.log_id) >> _NUMBER_BITS << _NUMBER_BITS
        return uuid.UUID(int=random | self.number, version=4).urn

    def _actor_weakref(self) -> A | None:  # type: ignore[override]  # Pykka has a weakref here
        """Return the actor, for a proxy to look at; if it waits to be started, wait for that."""
        if self.actor is None and self.started is not None:
            self.started.get()
        return self.actor

    def chance(self, epoch: int) -> Random:
        """Return the chance of this incarnation in ``epoch``; a re-execution meets the same."""
        life = f"{self.number} {self.incarnation}"
        return Random(f"{self.runtime.log_id.hex()} {epoch} {life}")

    def to_reference(self) -> Reference:
        """Return what stands for this actor in the log."""
        return Reference(self.runtime.log_id, self.number)

    def tell(self, message: Any) -> None:
        """Send a message that nobody answers.

        Raises:
            pykka.ActorDeadError: the actor has stopped.
        """
        if self.has_stopped:
            raise pykka.ActorDeadError(f"{self} not found")
        self.runtime.send(self, message, None)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and get the handler's return value.

        Args:
            message: what ``on_receive`` gets.
            block: wait here; otherwise return the future.
            timeout: seconds to wait when blocking; the ask itself goes on.

        Raises:
            pykka.ActorDeadError: the actor has stopped, or stopped before it took the message.
            pykka.Timeout: nothing came in time.
            UsageError: it would stop an event loop; nothing was sent.
        """
        if block:
            self.runtime.refuse_blocking("ask")
        reply: Reply[Any] = Reply(self.runtime, self.number)
        if self.is_alive():
            self.runtime.send(self, message, reply, will_wait=block)
        else:
            reply.set_exception(_dead(f"{self} not found"))
        return reply.get(timeout=timeout) if block else reply

    def when_buried(self, message: tuple[Any, ...]) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """Return who else has to hear, and what, that the actor will never take ``message``."""
        del message
        return ()

    def when_dropped(self, message: tuple[Any, ...]) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """Return who else has to hear, and what, that the mailbox dropped ``message``."""
        del message
        return ()

    def stop(
        self, *, block: bool = True, timeout: float | None = None, urgent: bool = False
    ) -> Any:
        """Stop the actor after the messages that are already waiting, or before them.

        Args:
            block: wait until it has stopped; otherwise return a future.
            timeout: seconds to wait when blocking; it stops all the same.
            urgent: stop before it takes anything else; what waits becomes dead letters.

        Returns:
            Whether it was this call, or one that is under way, that stopped it.

        Raises:
            UsageError: it would stop an event loop; nothing was sent.
        """
        if block:
            self.runtime.refuse_blocking("stop")
        if not urgent:
            return super().stop(block=block, timeout=timeout)
        reply: Reply[Any] = Reply(self.runtime, self.number)
        if self.is_alive():
            self.runtime.send_urgently(self, Stop(urgent=True), reply)
        else:
            reply.set_exception(_dead(f"{self} not found"))
        stopped: Reply[bool] = Reply(self.runtime, self.number)
        stopped.set_get_hook(partial(_has_stopped, reply))
        return stopped.get(timeout=timeout) if block else stopped

    def watch(self, watcher: "ActorRef[Any]") -> None:
        """Have ``watcher`` told ``Terminated``, once, when this actor stops or its request ends.

        It is told at once if that has happened already.  A restart is no end.
        """
        self.runtime.deliver_message(self, Watch(watcher))


class Terminated(NamedTuple):
    """What a watcher is told: the actor's number, and the failure that stopped it, if one did."""

    actor: int
    error: str | None


def _has_stopped(reply: Reply[Any], timeout_s: float | None) -> bool:
    try:
        reply.get(timeout=timeout_s)
    except pykka.ActorDeadError:
        return False
    return True


def _dead(text: str) -> tuple[type[BaseException], BaseException, None]:
    return (pykka.ActorDeadError, pykka.ActorDeadError(text), None)
