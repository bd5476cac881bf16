"""What the client's and the server's endpoints share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import Request
from rescind.actors.kernel._rules import Admission, Refusal
from rescind.actors.runtime import Outbox, Runtime
from rescind.events import (
    Answer,
    AnswerIgnored,
    Born,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    Opened,
    Submit,
    Violation,
)

from ._calls import OneCall
from ._codes import Notification
from ._errors import RpcError
from ._protocol import ADMISSION, CLOSED, OPERATIONS, CancelRow, Operation, Profile, Side

logger = logging.getLogger("rescind.rpc")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the checks of a function read; see ``_protocol.Facts``."""

    calling: Operation
    side: Side
    structure_good: bool = True
    size_right: bool = True
    binding_valid: bool = True
    call_active: bool = True
    cancelled: bool = False
    subscription: int = 0
    notification: Notification = Notification.NONE


class RpcEndpoint(Endpoint):
    """One side's calls.  No cancel has a window here: each is over in its own turn."""

    __slots__ = ("_functions", "label", "number", "profile")

    SIDE: ClassVar[Side]
    CALLS: ClassVar[dict[str, Callable[[Any, Submit, Any, Outbox], Any]]]
    """What it does for each function."""
    TAKES: ClassVar[dict[type, Callable[[Any, Any, Outbox], None]]] = {}
    """What it does with messages that are not the kernel's."""

    def __init__(self, runtime: Runtime, number: int, profile: Profile, label: str) -> None:
        """Be closed; a call of the opening operation follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None
        self.profile = profile
        self.label = label
        self._functions = Admission(Asked, *ADMISSION)

    # --- calls -----------------------------------------------------------------------------------

    def ask(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        extra: Any = None,
        before: Callable[[], None] | None = None,
        timeout_ns: int | None = None,
        *,
        at_once: bool = False,
    ) -> Any:
        """Make one call; any thread.

        ``at_once``: what it has to say to the other side shall leave without a hop.

        Raises:
            RpcError: It was refused.
        """
        runtime = self.runtime
        if before is not None and runtime.my_turn() is not None:
            before()  # which a call from inside a turn leaves out
        message = Submit(operation, arguments, True, timeout_ns)  # noqa: FBT003  # a field's value
        decided = runtime.call(self, message, extra, before)
        if isinstance(decided, Refusal):
            raise RpcError(decided.code, rule=decided.rule, request=decided.request)
        runtime.relieve(at_once=at_once)
        return decided

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Any:
        """Admit or refuse one call of a function."""
        operation = message.operation
        if operation in OPERATIONS:
            refusal = self._functions.refusal(OPERATIONS[operation], self.SIDE)
            if refusal is not None:
                return self.violate(out, operation, refusal, self.number_of(message.arguments[0]))
        return self.CALLS[operation](self, message, extra, out)

    def number_of(self, first: Any) -> int:
        """Return the number of the call that a function is about, by its first argument."""
        return first if isinstance(first, int) else 0

    def open(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """Be open."""
        profile, label, cls = message.arguments[:3]
        out.events.append(Born(self.number, cls, 0))
        out.events.append(Opened(self.number, "rpc", profile, label))

    def violate(self, out: Outbox, operation: str, refusal: Refusal, subject: int) -> Refusal:
        """Refuse what the rules forbid: the application has broken them."""
        refused = self.refuse(out, operation, refusal)
        text = f"{operation} is not allowed here"
        out.events.append(Violation(subject or self.number, refusal.rule, text, "application"))
        return refused

    # --- cancels ---------------------------------------------------------------------------------

    def settle_cancel(self, call: OneCall, out: Outbox, row: CancelRow = CLOSED) -> None:
        """Say what came of the cancel that was open, if one was, now that it did not win."""
        if call.doomed:
            lost = (call.doomed, call.number, row.outcome, 0, row.id)
            out.events.append(CancelOutcome(*lost))

    def give_up(self, call: OneCall) -> None:
        """Tell the other side of a call that was dropped; after the commit."""
        raise NotImplementedError

    # --- what the kernel asks --------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message."""
        if type(message) is Answer:
            out.events.append(AnswerIgnored(message.request, message.code))
            return None
        take = self.TAKES.get(type(message))
        if take is not None:
            take(self, message, out)
            return None
        return super().receive(message, out)

    def input_returned(self, request: Request, out: Outbox) -> None:
        """Do nothing: a subscription's routine has returned, and its call goes on."""

    def script_raised(self, error: Exception, where: str) -> None:
        """Say that a routine of the application raised; the log knows it too."""
        logger.error("a routine of %s raised (%s)", self, where, exc_info=error)

    # --- facts -----------------------------------------------------------------------------------

    def _apply_opened_here(self, event: Opened, number: int) -> None:
        self._apply_opened(event, number)
        self.state = 1

    def _apply_doom(self, event: CancelBegan, _: int) -> None:
        self.requests[event.victims[0]].doomed = event.cancel


def nothing(*_: object) -> None:
    """Change nothing."""


RpcEndpoint.FACTS = {
    **Endpoint.FACTS,
    Opened: RpcEndpoint._apply_opened_here,  # noqa: SLF001  # this table is part of the class
    CancelBegan: RpcEndpoint._apply_doom,  # noqa: SLF001
    CancelOutcome: nothing,
    CancelEnded: nothing,
}
