"""What the running turn has decided so far; nothing of it has happened yet."""

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from rescind.events import Origin, Overflowed, Rejected, Resume

from ._bounds import COUNTED
from ._context import Caller, CauseSource, WireCause
from ._reply import ExcInfo, Reply
from ._supervision import Bond

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._actor import Actor
    from ._baton import Baton
    from ._ref import ActorRef
    from ._timers import Timer

Message: TypeAlias = tuple[Any, ...]
By: TypeAlias = tuple[int, int]


_REFUSALS = frozenset({Overflowed, Rejected})


class Detour:
    """Stands in an envelope in the place of its cause, where it is not simply to be taken."""

    __slots__ = ()

    def run(self, envelope: "Envelope") -> None:
        """Do instead what has to be done; the baton is held."""
        raise NotImplementedError


class Envelope(NamedTuple):
    """A message on its way, with what its record will say of its origin.

    Who sends from outside does not wait for the baton, and so does not touch the log: where the
    cause is a source, or who called is not bound, that is settled when the message is taken.
    """

    target: "Actor | ActorRef[Any]"
    message: Message
    origin: Origin
    cause: WireCause | CauseSource | Detour
    by: By | Caller | None = None
    reply: Reply[Any] | None = None


class Outbox:
    """The running turn.

    One object serves all turns that run under the baton, one after the other; each pinned actor has
    one of its own.
    """

    __slots__ = (
        "actor", "answers", "baton", "broadcast", "by", "cause", "causes", "context", "effects",
        "events", "extra", "message", "messages", "newborn", "now_ns", "number", "origin", "reply",
        "timers", "tried", "urgent",
    )  # fmt: skip

    def __init__(self, baton: "Baton | None" = None) -> None:
        """Be idle."""
        self.baton = baton
        """What a pinned actor's turn has to take before it touches what all share; None for the
        turns that hold it all the time."""
        self.message: Message = ()
        self.by: By | None = None
        self.number = 0
        """The number that the turn's record got; 0 while it runs."""
        self.now_ns = 0
        """The turn's time, which is the time that its record bears."""
        self.extra: Any = None
        """What a caller passed beside its message and the log does not hold: callbacks."""
        self.context: tuple[Any, Any] = (None, None)
        """What a dialect's handler works for, and with what; kept for all parts of a turn."""
        self.newborn: dict[int, Any] = {}
        """What the turn makes, by number, for the facts that put it in place."""
        self.events: list[tuple[Any, ...]] = []
        """Facts, in order; they are applied after the record was appended."""
        self.causes: list[Any] = []
        """Things whose ``number`` becomes the turn's, once it has one."""
        self.timers: list[Timer] = []
        """Timers that the turn has set; they are armed when it is recorded."""
        self.tried = 0
        """Messages that the handler has tried to send to bounded mailboxes."""
        self.messages: list[tuple[Any, Message, Reply[Any] | None]] = []
        """(target, message, reply) for the targets' mailboxes; of a bounded one, its box."""
        self.urgent: list[tuple[Any, Message, Reply[Any] | None]] = []
        """(target, message, reply) for the control lane."""
        self.broadcast: list[tuple[Iterable[Any], Message]] = []
        """(targets, message): one turn each, on the control lane."""
        self.effects: list[tuple[Any, ...]] = []
        """(function, *arguments), to be called after the record is as durable as asked for."""
        self.answers: list[tuple[Reply[Any], Any, ExcInfo | None]] = []

    def begin(self, envelope: Envelope, actor: "Actor", now_ns: int) -> None:
        """Start a turn with a message whose cause and caller are settled.

        The engine does this by itself for the turns that hold the baton: it is their hottest part.
        """
        _, self.message, self.origin, cause, by, self.reply = envelope
        self.cause, self.by = cast("WireCause", cause), cast("By | None", by)
        self.actor = actor
        self.now_ns = now_ns
        self.number = 0

    def begin_part(
        self,
        actor: "Actor",
        message: Resume,
        cause: WireCause,
        reply: Reply[Any] | None,
        now_ns: int,
    ) -> None:
        """Start another part of a turn."""
        self.tried = 0
        self.actor = actor
        self.message = message
        self.origin = Origin.ACTOR
        self.cause = cause
        self.by = None
        self.reply = reply
        self.now_ns = now_ns
        self.number = 0

    def answer(self, value: Any, exc_info: ExcInfo | None = None) -> None:
        """Answer the ask that the turn takes, if it is one, once its record allows it."""
        if self.reply is not None:
            self.answers.append((self.reply, value, exc_info))

    def forget(self) -> None:
        """Drop what was decided: the handler failed.

        Of that there is a record, so causes stay; and so does what the handler was refused, because
        it may have failed for that.
        """
        # Here, because it imports this module.
        from ._mailbox import Box  # noqa: PLC0415

        self.causes[:] = [cause for cause in self.causes if not isinstance(cause, Bond)]
        self.newborn = {}
        self.events[:] = [event for event in self.events if type(event) in _REFUSALS]
        for target, message, _ in self.messages:
            if isinstance(target, Box) and type(message) in COUNTED:
                target.release()
        self.messages.clear()
        self.urgent.clear()
        self.broadcast.clear()
        self.effects.clear()
        self.answers.clear()
        self.timers.clear()
