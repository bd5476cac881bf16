"""What a request raises at whoever waits for it."""

from typing import TYPE_CHECKING, Any

import pykka

from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import MailboxFullError
from rescind.events import RescindError

from ._protocol import FULL, MEANINGS

if TYPE_CHECKING:
    from ._actor import ActorRef


class Cancelled(RescindError):  # noqa: N818  # as asyncio and concurrent.futures call theirs
    """The request was cancelled; its text says by whom, where, in which turn, and why.

    Attributes:
        request: The request's number, good as ``r17`` with ``rescind why``.
        cancel: The cancel's number, good as ``c18``.
        trigger: What began it: ``cancel``, ``time-out``, ``stop``, ``restart`` or ``task``.
        who: The thread, task or actor that asked, with file and line where that is known.
        turn: The turn in which the cancel began.
        reason: What the caller gave as its reason; empty when it gave none.
    """

    def __init__(  # noqa: PLR0913  # all of it is what its text says
        self,
        what: str,
        *,
        request: int,
        cancel: int,
        trigger: str,
        who: str,
        turn: int,
        reason: str,
    ) -> None:
        """Say it in one line."""
        self.request = request
        self.cancel = cancel
        self.trigger = trigger
        self.who = who
        self.turn = turn
        self.reason = reason
        because = f": {reason}" if reason else ""
        super().__init__(f"{what} was cancelled by {who}, turn {turn}{because}")


class TimedOut(Cancelled, TimeoutError):  # noqa: N818  # caught with Cancelled
    """The request's own time-out passed, and cancelled it."""


class RequestFailed(RescindError):  # noqa: N818  # it tells of a request, and is caught with Cancelled
    """The request ended without a result, and no exception is at hand to say why.

    Attributes:
        request: The request's number.
        code: The native code.
    """

    def __init__(self, text: str, *, request: int, code: int | None) -> None:
        """Say what is known."""
        self.request = request
        self.code = code
        super().__init__(text)


class WorkCancelled(Exception):  # noqa: N818  # as asyncio and concurrent.futures call theirs
    """Raised by ``Token.check`` inside work whose request was cancelled."""


class RequestRefused(RescindError):  # noqa: N818  # caught with Cancelled
    """The request was refused at the call: the actor has stopped, or its mailbox is full.

    It is an ``ActorDeadError`` or a ``MailboxFullError`` too.

    Attributes:
        code: The native code.
        rule: The table row that refused it.
        request: The number of the refused request, good as ``r17`` with ``rescind why``.
    """

    def __init__(self, asked: str, refusal: Refusal) -> None:
        """Say what refused it."""
        self.code = refusal.code
        self.rule = refusal.rule
        self.request = refusal.request
        RescindError.__init__(self, f"{asked} refused r{refusal.request}: {MEANINGS[refusal.code]}")


class _DeadError(RequestRefused, pykka.ActorDeadError):
    """The actor has stopped."""


class _FullError(RequestRefused, MailboxFullError):
    """No more messages may wait."""

    def __init__(self, asked: str, refusal: Refusal, actor: int) -> None:
        super().__init__(asked, refusal)
        self.actor = actor


def refused(asked: "ActorRef[Any]", refusal: Refusal) -> RequestRefused:
    """Return what a refused request raises."""
    if refusal.rule == FULL:
        return _FullError(str(asked), refusal, asked.number)
    return _DeadError(str(asked), refusal)
