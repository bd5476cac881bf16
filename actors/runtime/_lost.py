"""Messages that no handler gets: their records, and who has to hear of it.

All of this is called under the baton.
"""

import sys
from typing import TYPE_CHECKING, Any, cast

import pykka

from rescind.events import (
    DeadLetter,
    Dropped,
    Failed,
    Origin,
    Overflowed,
    Stop,
    Stopped,
    Tell,
    Watch,
)

from ._actor import describe
from ._errors import MailboxFullError
from ._outbox import Envelope
from ._ref import ActorRef, Terminated
from ._reply import finish
from ._supervision import forestall, release

if TYPE_CHECKING:
    from ._exits import Exits


def stillborn(engine: "Exits", envelope: Envelope) -> None:
    """Record the exception being handled: there is no object that could take the ``Start``."""
    ref = cast("ActorRef[Any]", envelope.target)
    exc_info = sys.exc_info()
    text = describe(cast("Exception", exc_info[1]))
    number = engine.record_without(envelope, Failed(text), Stopped(ref.number, text))
    engine.seen[Failed] += 1
    ref.end()
    release(ref, number)
    engine.mailboxes.forget(ref)
    if envelope.reply is not None:
        envelope.reply.turn = number
        finish(envelope.reply, None, exc_info)


def bury(engine: "Exits", envelope: Envelope) -> None:
    """Record a message whose actor has stopped, and tell whoever waits for its answer."""
    ref, message = cast("ActorRef[Any]", envelope.target), envelope.message
    event = DeadLetter(ref.number)
    number = _record(engine, envelope, event)
    engine.subscriptions.offer(event, number)
    if isinstance(message, Watch):
        told = Tell(Terminated(ref.number, ref.error))
        engine.mailboxes.backlog.append(Envelope(message.watcher, told, Origin.ACTOR, number))
    if ref.actor is None and isinstance(message, Stop):
        forestall(ref, number)
    _tell(engine, ref.when_buried(message), number)
    _answer(
        engine, envelope, number, pykka.ActorDeadError(f"{ref} stopped before it took the message")
    )


def lose(engine: "Exits", envelope: Envelope, event: Dropped | Overflowed) -> None:
    """Record a message that a full mailbox has dropped, or did not take."""
    ref = cast("ActorRef[Any]", envelope.target)
    number = _record(engine, envelope, event)
    engine.subscriptions.offer(event, number)
    if isinstance(event, Dropped):
        _tell(engine, ref.when_dropped(envelope.message), number)
        text = f"{ref} dropped the message for a newer one"
        _answer(engine, envelope, number, MailboxFullError(text, ref.number))


def _record(engine: "Exits", envelope: Envelope, event: tuple[Any, ...]) -> int:
    cause, by = engine.settled(envelope.cause, envelope.by)
    return engine.record_without(envelope._replace(cause=cause, by=by), event)


def _tell(engine: "Exits", messages: Any, number: int) -> None:
    for target, message in messages:
        engine.mailboxes.control.append(Envelope(target, message, Origin.ACTOR, number))


def _answer(engine: "Exits", envelope: Envelope, number: int, error: Exception) -> None:
    reply = envelope.reply
    if reply is not None:
        reply.turn = number
        engine.after_commit(finish, reply, None, (type(error), error, None))
