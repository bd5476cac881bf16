"""The client's actor: the tables of ``_protocol`` brought to life on the kernel."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rescind.actors.kernel._request import COMPLETED, OUTSTANDING, RUNNING, Request
from rescind.actors.kernel._rules import Admission, Refusal
from rescind.actors.runtime import Outbox, Runtime, describe
from rescind.actors.runtime._ranges import numbers_in, to_ranges
from rescind.events import (
    Accepted,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    Delivered,
    Discarded,
    Fetched,
    How,
    Manner,
    Origin,
    Outcome,
    Submit,
    TimedOut,
)

from ._calls import (
    CANCEL_CALL,
    COMPLETE_CALL,
    DEADLINE,
    NOTIFICATION,
    PROCEDURE,
    SIZE,
    STRUCTURE,
    ClientCall,
    OneCall,
)
from ._codes import AsyncEvent, Code, Notification
from ._endpoint import RpcEndpoint
from ._errors import RpcError
from ._machines import ClientEvent, ClientRow, ClientState
from ._notify import manner_of
from ._ports import ChannelPort
from ._protocol import (
    CALL_CHECKS,
    CANCELLED_CODE,
    INITIALIZE_CHECKS,
    SUPERSEDED,
    TRIGGERS,
    WON,
    Profile,
    Side,
    client_transition,
    may_reuse,
    outcome_at_answer,
    outcome_when_decided,
)
from .drivers import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from .drivers import Channel

logger = logging.getLogger("rescind.rpc")

OPEN = "OpenBinding"
CLOSE = "CloseBinding"
CALL = "Call"
INITIALIZE = "RpcAsyncInitializeHandle"


@dataclass(frozen=True, slots=True)
class Stub:
    """What the checks of a stub read; see ``_protocol.StubFacts``."""

    binding_open: bool
    structure_good: bool
    reusable: bool
    carried: bool
    fits: bool
    room: bool


class Client(RpcEndpoint):
    """A binding's calls.  The application holds ``rpc.Binding``."""

    __slots__ = ("_notified", "_stub", "calls_max", "channel", "message_max", "port")

    REQUEST: ClassVar[type[Request]] = ClientCall
    SIDE: ClassVar[Side] = Side.CLIENT

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        profile: Profile,
        channel: "Channel",
        bounds: tuple[int, int],
    ) -> None:
        """Be closed; the call ``OpenBinding`` follows."""
        super().__init__(runtime, number, profile, f"client {channel.label}")
        self.channel = channel
        self.calls_max, self.message_max = bounds
        self.port = ChannelPort(self)
        self._notified: dict[int, ClientCall] = {}
        """Calls whose notification has left and whose result was not fetched."""
        self._stub = Admission(Stub, *CALL_CHECKS)

    # --- opening and closing ---------------------------------------------------------------------

    def open(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """Be open."""
        super().open(message, None, out)
        out.effects.append((self.channel.open, self.port))

    def close(self, _message: Submit, _extra: Any, out: Outbox) -> None:
        """End: calls in progress are given up, and nothing is reported of them."""
        if self.is_closed:
            return
        silent: list[int] = []
        for each in self.requests.values():
            if each.status is OUTSTANDING:
                self.settle_cancel(cast("OneCall", each), out)
                out.events.append(Completed(each.number, None, How.ABANDONED, 0))
                each.tell_watchers(out, None)
            if each.status is not RUNNING:
                silent.append(each.number)
        if silent:
            this = self.runtime.log.last_number + 1
            out.events.append(Discarded(to_ranges(silent), "closed", this))
        out.events.append(Closed(self.number, "closed"))
        out.effects.append((self.channel.close,))

    def initialize(self, message: Submit, _extra: Any, out: Outbox) -> Refusal:
        """Refuse to initialise a structure of the wrong size; the right one is none of our news."""
        (check,) = INITIALIZE_CHECKS
        return self.refuse(out, message.operation, Refusal(check.id, check.code))

    # --- the stub --------------------------------------------------------------------------------

    def call(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        """Make a call, or raise."""
        size, structure = message.arguments[SIZE], message.arguments[STRUCTURE]
        last, is_good, is_fresh = structure or (0, True, True)
        state = self._state_of(last, has_failed=False)
        again = self._row(state, ClientEvent.CALL, last)
        if again is not None and is_good:
            return self._break(out, CALL, again, last)
        is_reusable = not last or may_reuse(state, self.profile, initialised_again=is_fresh)
        has_room = len(self.requests) + len(self._notified) < self.calls_max
        fits = size is None or size <= self.message_max
        refusal = self._stub.refusal(
            not self.is_closed, is_good, is_reusable, size is not None, fits, has_room
        )
        if refusal is not None:
            return self.refuse(out, CALL, refusal)
        request = self.accept(out, CALL, message, extra)
        out.effects.append((self._begin, request))
        return request

    def _begin(self, call: ClientCall) -> None:
        """Hand a call to the channel; one that fails at it has answered.  No baton."""
        sent = call.spec
        if sent is None or sent.payload is None:
            return  # nobody is there to be called when a log is executed again
        deadline_ns = call.arguments[DEADLINE]
        wire = Call(
            request=call.number,
            log_id=self.runtime.log_id,
            turn=call.called,
            procedure=call.arguments[PROCEDURE],
            payload=sent.payload,
            deadline_s=None if deadline_ns is None else deadline_ns / 1e9,
            metadata=sent.metadata,
        )
        sent.payload = None
        try:
            self.channel.begin(wire)
        except Exception as error:  # whatever it is, the call's caller hears of it
            logger.exception("%s failed at %s", self.label, call)
            self.port.answer(call.number, Code.SERVER_UNAVAILABLE, describe(error))

    # --- the state of a call ---------------------------------------------------------------------

    def _state_of(self, number: int, *, has_failed: bool) -> ClientState:
        """Return the state of the call that a structure carried last; 0 is none."""
        if has_failed:
            return ClientState.FAILED
        if number == 0:
            return ClientState.INIT
        call = self._call_of(number)
        return ClientState.FINAL if call is None else call.state

    def _call_of(self, number: int) -> ClientCall | None:
        found = self.requests.get(number) or self._notified.get(number)
        return cast("ClientCall | None", found)

    def _row(self, state: ClientState, event: ClientEvent, number: int) -> ClientRow | None:
        call = self._call_of(number)
        notifies = call is None or call.notifies
        return client_transition(state, event, self.profile, notifies=notifies)

    def _break(self, out: Outbox, operation: str, row: ClientRow, number: int) -> Refusal:
        assert row.returns is not None, "a function that is refused says so"
        return self.violate(out, operation, Refusal(row.id, row.returns), number)

    # --- the cancel ------------------------------------------------------------------------------

    def cancel_call(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | None:
        """Cancel one call, softly or at once."""
        number, is_abort, grace_ns, reason, *failed = message.arguments
        event = ClientEvent.ABORT if is_abort else ClientEvent.CANCEL
        state = self._state_of(number, has_failed=bool(failed))
        row = self._row(state, event, number)
        assert row is not None, "a cancel has a row in every state"
        if row.violation:
            return self._break(out, message.operation, row, number)
        call = self._call_of(number)
        assert call is not None, "only what is over is not found"
        cancel = self._cancel(call, row, TRIGGERS[event], 0, reason, out)
        if grace_ns is not None and row.outcome is None:
            self._give_grace(call, cancel, grace_ns)
        return None

    def _cancel(
        self, call: ClientCall, row: ClientRow, trigger: str, by: int, reason: str, out: Outbox
    ) -> int:
        """Do what a row of the machine says, and return the cancel's number."""
        cancel, number = self.runtime.next_number(), call.number
        out.events.append(CancelRequested(cancel, number, trigger, by, reason))
        if row.completes or row.outcome is None:
            out.events.append(CancelBegan(cancel, [number, number]))
            if row.supersedes:
                lost = (call.doomed, number, SUPERSEDED.outcome, cancel, SUPERSEDED.id)
                out.events.append(CancelOutcome(*lost))
        else:
            earlier = call.by if row.outcome is Outcome.TOO_LATE else call.doomed
            said = outcome_when_decided(by_cancel=earlier != 0)
            out.events.append(CancelOutcome(cancel, number, said.outcome, earlier, said.id))
        if row.completes:
            assert row.how is not None, "a cancel that decides says how"
            self._decide(call, CANCELLED_CODE, row.how, cancel, None, out)
        out.events.append(CancelEnded(cancel, None))
        if row.tells_server:
            is_abort = row.event is not ClientEvent.CANCEL
            turn = self.runtime.log.last_number + 1
            out.effects.append((self._tell_server, number, turn, is_abort))
        return cancel

    def _tell_server(self, number: int, turn: int, is_abort: bool) -> None:  # noqa: FBT001  # an effect
        self.channel.cancel(number, turn, abort=is_abort)

    def _give_grace(self, call: ClientCall, cancel: int, grace_ns: int) -> None:
        """Have the cancel become abortive if nobody has answered by then."""
        runtime, turn = self.runtime, self.runtime.log.last_number + 1
        call.grace = runtime.arm(
            grace_ns, lambda: runtime.post(call, TimedOut(cancel), Origin.TIMER, turn)
        )

    def give_up(self, call: OneCall) -> None:
        """Tell the server of a call that was dropped; after the commit."""
        self.channel.cancel(call.number, call.turn, abort=True)

    def escalate(self, call: ClientCall, out: Outbox) -> None:
        """Let a cancel become abortive: its time of grace has passed."""
        row = self._row(call.state, ClientEvent.ABORT, call.number)
        assert row is not None, "a cancel has a row in every state"
        reason = f"c{call.doomed} was not answered in time"
        self._cancel(call, row, TRIGGERS[ClientEvent.ABORT], 0, reason, out)

    def time_out(self, request: Request, out: Outbox) -> None:
        """End a call whose time has passed; of a deadline the server is told."""
        call = cast("ClientCall", request)
        is_deadline = call.arguments[DEADLINE] == call.timeout_ns
        event = ClientEvent.DEADLINE if is_deadline else ClientEvent.TIMED_OUT
        row = self._row(call.state, event, call.number)
        assert row is not None, "a time-out has a row in every state"
        self._cancel(call, row, TRIGGERS[event], call.number, "", out)

    # --- the answer ------------------------------------------------------------------------------

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """Complete a call as the server says, or the transport."""
        call = cast("ClientCall", request)
        how, by = How.RESULT if code is None else How.FAILED, 0
        if call.doomed:
            row = outcome_at_answer(code)
            if row is WON:
                how, by = How.CANCELLED, call.doomed
            else:
                self.settle_cancel(call, out, row)
        self._decide(call, code, how, by, value, out)

    def _decide(
        self, call: ClientCall, code: int | None, how: How, by: int, value: Any, out: Outbox
    ) -> None:
        out.events.append(Completed(call.number, code, how, by, value))
        call.tell_watchers(out, None)
        out.effects.append((self._announce, call))

    def _announce(self, call: ClientCall) -> None:
        """Let it be asked for, now that it is durable; whoever is notified gets in line."""
        call.is_decided = True
        if call.notifies:
            self.lane.append(call)
        elif call.waiter is not None:
            call.waiter.set()

    # --- the notification ------------------------------------------------------------------------

    def still_tells(self, delivery: Any) -> bool:
        """Tell whether nobody has notified yet; whoever asks does it then."""
        return delivery.status is COMPLETED and delivery.claims()

    def manner(self, request: Request) -> Manner:
        """Tell how the application hears of it, by what the log knows too."""
        return manner_of(Notification(request.arguments[NOTIFICATION]))

    def has_script(self, request: Request) -> bool:
        """Tell whether the application's code is called; other types only leave something there."""
        kind: int = request.arguments[NOTIFICATION]
        return kind == Notification.CALLBACK

    def call_script(self, request: Request, manner: Manner) -> None:
        """Notify."""
        del manner
        call = cast("ClientCall", request)
        call.is_heard = True
        call.notification.tell(call, AsyncEvent.CALL_COMPLETE)

    def notify(self, call: ClientCall) -> None:
        """Notify of a call whose result was just fetched, which cannot wait for its place."""
        call.is_heard = True
        try:
            call.notification.tell(call, AsyncEvent.CALL_COMPLETE)
        except Exception as error:  # noqa: BLE001  # told where all of these are
            self.script_raised(error, "notification")

    # --- the fetch -------------------------------------------------------------------------------

    def complete_call(
        self, message: Submit, _extra: Any, out: Outbox
    ) -> Refusal | tuple[Any, int | None]:
        """Hand the result over, which ends the call."""
        number, *failed = message.arguments
        state = self._state_of(number, has_failed=bool(failed))
        row = self._row(state, ClientEvent.COMPLETE, number)
        assert row is not None, "it has a row in every state"
        if row.violation:
            return self._break(out, message.operation, row, number)
        call = self._call_of(number)
        assert call is not None, "only what is over is not found"
        if not row.returns_result:
            return self.refuse(out, message.operation, Refusal(row.id, Code.ASYNC_CALL_PENDING))
        if not call.notifies:
            out.events.append(Delivered([number, number], Manner.TAKEN))
            return call.value, call.code
        if row.notifies_first:
            out.events.append(Delivered([number, number], self.manner(call)))
        out.events.append(Fetched(number))
        return call.value, call.code

    def failure(self, request: Request) -> Exception:
        """Return what a call raises that failed."""
        if request.code is None:
            return RpcError(Code.CALL_FAILED, request=request.number, detail="it was given up")
        detail = request.value if isinstance(request.value, str) else ""
        return RpcError(request.code, request=request.number, detail=detail)

    # --- facts -----------------------------------------------------------------------------------

    def _apply_begun(self, event: Accepted, number: int) -> None:
        self._apply_accepted(event, number)
        cast("ClientCall", self.requests[event.request]).begin()

    def _apply_decided(self, event: Completed, number: int) -> None:
        call = cast("ClientCall", self.requests[event.request])
        self._apply_completed(event, number)
        if call.grace is not None:
            call.grace.cancel()

    def _apply_told(self, event: Delivered, number: int) -> None:
        for each in numbers_in(event.requests):
            call = cast("ClientCall", self.requests[each])
            if call.notifies:
                self._notified[each] = call
            else:
                call.is_final = True
        self._apply_delivered(event, number)

    def _apply_fetched(self, event: Fetched, _: int) -> None:
        self._notified.pop(event.request).is_final = True

    def _apply_silent(self, event: Discarded, number: int) -> None:
        for each in numbers_in(event.requests):
            cast("ClientCall", self.requests[each]).is_final = True
        self._apply_discarded(event, number)

    def _apply_end(self, event: Closed, number: int) -> None:
        self._apply_closed(event, number)
        for call in self._notified.values():
            call.is_final = True
        self._notified.clear()


Client.CALLS = cast(
    "dict[str, Callable[[Any, Submit, Any, Outbox], Any]]",
    {
        OPEN: Client.open,
        CLOSE: Client.close,
        CALL: Client.call,
        INITIALIZE: Client.initialize,
        CANCEL_CALL: Client.cancel_call,
        COMPLETE_CALL: Client.complete_call,
    },
)

Client.FACTS = {
    **RpcEndpoint.FACTS,
    Accepted: Client._apply_begun,  # noqa: SLF001  # this table is part of the class
    Completed: Client._apply_decided,  # noqa: SLF001
    Delivered: Client._apply_told,  # noqa: SLF001
    Discarded: Client._apply_silent,  # noqa: SLF001
    Fetched: Client._apply_fetched,  # noqa: SLF001
    Closed: Client._apply_end,  # noqa: SLF001
}
