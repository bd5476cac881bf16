"""The server's actor: its calls, the functions that serve them, and the client's cancels."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from rescind.actors.kernel._lane import News
from rescind.actors.kernel._request import OUTSTANDING, Request
from rescind.actors.kernel._rules import Admission, Refusal, first_refusal
from rescind.actors.runtime import Outbox, Runtime, TurnCause
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
    EventHandler,
    How,
    Manner,
    Notified,
    Outcome,
    Replied,
    StateChanged,
    Submit,
    ToolEvent,
    Violation,
)

from ._calls import (
    ABORT_CALL,
    COMPLETE_CALL,
    HAND_OFF,
    SUBSCRIBE,
    TOLD,
    UNSUBSCRIBE,
    Arrived,
    OneCall,
    ServerCall,
)
from ._codes import AsyncEvent, Code, Notification, Subscription
from ._endpoint import Asked, RpcEndpoint
from ._errors import is_code
from ._machines import ServerEvent, ServerRow, ServerState
from ._notify import manner_of
from ._ports import ListenerPort
from ._protocol import (
    CLIENT_ABORT,
    CLIENT_CANCEL,
    ENDING_CHECKS,
    OPERATIONS,
    SERVE_CHECKS,
    SUBSCRIBE_CHECKS,
    TEST_CANCEL_CHECKS,
    TOO_LATE,
    WON,
    Profile,
    Side,
    outcome_at_answer,
    outcome_of_mark,
    server_transition,
)
from ._work import Function, Work
from .drivers import VERSION

if TYPE_CHECKING:
    from .drivers import Listener

OPEN = "OpenServer"
CLOSE = "CloseServer"
SERVE = "Serve"
CLIENT_GONE = "client gone"
FINISHED_MAX = 10_000
"""So many calls that ended are remembered, so that what comes late can be told why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the checks of a call that arrives read; see ``_protocol.ArrivalFacts``."""

    server_open: bool
    version_right: bool
    carried: bool
    procedure_known: bool
    room: bool


class Ending(NamedTuple):
    """What the checks of functions read that end a call; see ``_protocol.EndingFacts``."""

    carried: bool = True
    code_good: bool = True
    dispatched: bool = True


class Ended(NamedTuple):
    """A call that is over: which it was, how, and by which cancel."""

    number: int
    state: ServerState
    by: int


class Serving(RpcEndpoint):
    """A server's calls.  The application holds ``rpc.Server``."""

    __slots__ = (
        "_arrival", "_ended", "_handles", "_subscribing", "_testing", "arrivals", "functions",
        "listener", "port", "running_max", "work",
    )  # fmt: skip

    REQUEST: ClassVar[type[Request]] = ServerCall
    SIDE: ClassVar[Side] = Side.SERVER

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        profile: Profile,
        listener: "Listener",
        functions: Mapping[str, Function],
        running_max: int,
    ) -> None:
        """Be closed; the call ``OpenServer`` follows."""
        super().__init__(runtime, number, profile, f"server {listener.label}")
        self.listener = listener
        self.functions = functions
        self.running_max = running_max
        self.port = ListenerPort(self)
        self.work = Work(runtime, functions)
        self.arrivals: dict[int, Arrived] = {}
        """What calls brought that the log does not hold, by handle, until they are taken."""
        self._handles: dict[int, ServerCall] = {}
        """Calls that are neither delivered nor discarded, by handle."""
        self._ended: OrderedDict[int, Ended] = OrderedDict()
        """Calls that are over, by number; the oldest first."""
        self._arrival = Admission(Arrival, *SERVE_CHECKS)
        self._subscribing = Admission(Asked, *SUBSCRIBE_CHECKS)
        self._testing = Admission(Asked, *TEST_CANCEL_CHECKS)

    # --- opening and closing ---------------------------------------------------------------------

    def open(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """Be open; the listener listens already, or the server would not have been made."""
        super().open(message, None, out)

    def close(self, _message: Submit, _extra: Any, out: Outbox) -> None:
        """End: nobody hears of the calls that run, and their functions hear that they are over."""
        if self.is_closed:
            return
        for each in self._handles.values():
            if each.status is OUTSTANDING:
                self.settle_cancel(each, out)
                out.events.append(Completed(each.number, None, How.ABANDONED, 0))
                each.tell_watchers(out, None)
                out.effects.append((each.mark.come,))
        if self._handles:
            this = self.runtime.log.last_number + 1
            silent = to_ranges([each.number for each in self._handles.values()])
            out.events.append(Discarded(silent, "closed", this))
        out.events.append(Closed(self.number, "closed"))
        out.effects.append((self.listener.close,))

    # --- a call arrives --------------------------------------------------------------------------

    def serve(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """Take a call up, or refuse it."""
        procedure, arguments, handle, _, version = message.arguments
        arrived = self.arrivals.pop(handle, None)
        refusal = self._arrival.refusal(
            not self.is_closed,
            version == VERSION,
            arguments is not None,
            procedure in self.functions,
            len(self._handles) < self.running_max,
        )
        if refusal is not None:
            self.refuse(out, SERVE, refusal)
            turn = self.runtime.log.last_number + 1
            text = f"{procedure}: {refusal.rule}"
            out.effects.append((self._send, handle, refusal.code, text, turn))
            return
        request = self.accept(out, SERVE, message, arrived, handle=handle)
        out.effects.append((self.work.begin, request))

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """End a call as its function did."""
        call = cast("ServerCall", request)
        event = _event_of(code, value)
        row = server_transition(call.state, event)
        assert row is not None, "a running call has a row for each end"
        if row.completes:
            self._end(call, code, How.RESULT if code is None else How.FAILED, value, out)
        else:
            self._break_by_function(call, row, out)

    def answer_ignored(self, request: Request, code: int | None, out: Outbox) -> None:
        """Note what a function did when its call was over."""
        super().answer_ignored(request, code, out)
        event = ServerEvent.COMPLETE if code is None else ServerEvent.ABORT
        row = server_transition(cast("ServerCall", request).state, event)
        if row is not None and code is not None and not self.is_closed:
            self._break_by_function(cast("ServerCall", request), row, out)

    def _break_by_function(self, call: ServerCall, row: ServerRow, out: Outbox) -> None:
        text = f"the function of {call.procedure} ended a call that was not its own any more"
        out.events.append(Violation(call.number, row.id, text, "application"))

    # --- its end ---------------------------------------------------------------------------------

    def _end(self, call: ServerCall, code: int | None, how: How, value: Any, out: Outbox) -> None:
        """Complete a call; where the client waits no more, its reply is discarded."""
        number, by = call.number, 0
        if call.doomed:
            row = outcome_at_answer(code)
            if row is WON:
                how, by = How.CANCELLED, call.doomed
            else:
                self.settle_cancel(call, out, row)
        out.events.append(Completed(number, code, how, by, value))
        call.tell_watchers(out, None)
        out.effects.append((call.mark.come,))
        if call.aborted or call.gone:
            reason = CLIENT_ABORT if call.aborted else CLIENT_GONE
            out.events.append(Discarded([number, number], reason, call.aborted or call.gone))
            out.effects.append((self._reply, call))
        else:
            out.effects.append((self.lane.append, call))

    def call_script(self, request: Request, manner: Manner) -> None:
        """Let a reply leave."""
        del manner
        self._reply(cast("ServerCall", request))

    def _reply(self, call: ServerCall) -> None:
        payload = None
        if call.spec is not None:
            payload, call.spec.payload = call.spec.payload, None
        self._send(call.handle, call.code, payload, call.turn)

    def _send(self, handle: int, code: int | None, payload: bytes | str | None, turn: int) -> None:
        key = self.port.let_go(handle)
        if key is not None:
            self.listener.reply(key, code, payload, (self.runtime.log_id, turn))

    def give_up(self, call: OneCall) -> None:
        """Tell the client of a call that was dropped; after the commit."""
        served = cast("ServerCall", call)
        served.mark.come()
        self._send(served.handle, Code.CALL_FAILED, "the call was given up", call.turn)

    def manner(self, request: Request) -> Manner:
        """Tell how a reply leaves: it can't be withdrawn."""
        del request
        return Manner.POSTED

    def has_script(self, request: Request) -> bool:
        """Tell that no code of the application's is called with a reply."""
        del request
        return False

    # --- what the client says --------------------------------------------------------------------

    def _take_tool_event(self, message: ToolEvent, out: Outbox) -> None:
        handle, *more = message.data
        call = self._handles.get(handle)
        if message.code == AsyncEvent.CLIENT_CANCEL:
            self._take_cancel(handle, call, out, is_abort=bool(more[0]))
        elif call is not None and call.status is OUTSTANDING:
            out.events.append(Notified(call.number, 0, CLIENT_GONE, None, ""))
            self._tell(call, Subscription.CLIENT_DISCONNECT, out)

    def _take_cancel(
        self, handle: int, call: ServerCall | None, out: Outbox, *, is_abort: bool
    ) -> None:
        """Mark a call as cancelled; that ends nothing (B.2)."""
        if call is None and handle not in self._ended:
            return  # it was over so long ago that it was forgotten
        number, cancel = self.number_of(handle), self.runtime.next_number()
        trigger = CLIENT_ABORT if is_abort else CLIENT_CANCEL
        out.events.append(CancelRequested(cancel, number, trigger, 0))
        if call is None or call.status is not OUTSTANDING:
            out.events.append(CancelOutcome(cancel, number, TOO_LATE.outcome, 0, TOO_LATE.id))
        else:
            self._mark(call, cancel, out, is_abort=is_abort)
        out.events.append(CancelEnded(cancel, None))

    def _mark(self, call: ServerCall, cancel: int, out: Outbox, *, is_abort: bool) -> None:
        number, earlier = call.number, call.doomed
        row = outcome_of_mark(abort=is_abort, abort_before=bool(call.aborted))
        if not earlier or row.outcome is Outcome.SUPERSEDED:
            out.events.append(CancelBegan(cancel, [number, number]))
            this = TurnCause(self.runtime)
            out.causes.append(this)
            out.effects.append((self._show_mark, call, this))
        if earlier:
            is_late = row.outcome is Outcome.DUPLICATE
            loser, other = (cancel, earlier) if is_late else (earlier, cancel)
            out.events.append(CancelOutcome(loser, number, row.outcome, other, row.id))
        self._tell(call, Subscription.CALL_CANCEL, out)

    def _show_mark(self, call: ServerCall, turn: TurnCause) -> None:
        """Let the function see it, now that it is durable."""
        call.marked = turn
        call.mark.come()

    def _tell(self, call: ServerCall, subscription: Subscription, out: Outbox) -> None:
        """Tell a subscriber, at most once for a call (B.3-4)."""
        is_told = not call.subscriptions & subscription or call.queued.get(subscription)
        if is_told or call.spec is None:
            return
        event, notification = TOLD[subscription], call.spec.heard[subscription]
        script = partial(notification.tell, call, event)
        news = News(call, EventHandler(event, call.number), "notification", script)
        out.causes.append(news)
        out.effects.append((self.lane.append, news))

    def _take_told(self, message: EventHandler, out: Outbox) -> None:
        """Note that a subscriber is told."""
        call = self.requests.get(message.request)
        kind = call.kinds.get(message.code, 0) if isinstance(call, ServerCall) else 0
        what = AsyncEvent(message.code).name.lower().replace("_", " ")
        manner = manner_of(Notification(kind)) if kind else Manner.POSTED
        out.events.append(Notified(message.request, 0, what, None, manner))

    # --- functions -------------------------------------------------------------------------------

    def number_of(self, first: Any) -> int:
        """Return the number of the call that a function names by its handle."""
        call, ended = self._handles.get(first), self._ended.get(first)
        if call is not None:
            return call.number
        return 0 if ended is None else ended.number

    def _running(self, handle: int) -> ServerCall | None:
        call = self._handles.get(handle)
        return call if call is not None and call.status is OUTSTANDING else None

    def _state_of(self, handle: int) -> ServerState:
        call, ended = self._handles.get(handle), self._ended.get(handle)
        if call is not None:
            return call.state
        return ServerState.COMPLETED if ended is None else ended.state

    def complete_call(self, message: Submit, extra: Any, out: Outbox) -> Refusal | None:
        """End a call with a result."""
        handle, value, is_carried = message.arguments
        call = self._running(handle)
        if call is None:
            return self._break(out, message, ServerEvent.COMPLETE)
        refusal = first_refusal(ENDING_CHECKS, Ending(carried=is_carried))
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        if call.spec is not None:
            call.spec.payload = extra
        self._end(call, None, How.RESULT, value, out)
        return None

    def abort_call(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | None:
        """End a call with a code."""
        handle, code = message.arguments
        call = self._running(handle)
        if call is None:
            return self._break(out, message, ServerEvent.ABORT)
        refusal = first_refusal(ENDING_CHECKS, Ending(code_good=is_code(code)))
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        self._end(call, code, How.FAILED, None, out)
        return None

    def _break(self, out: Outbox, message: Submit, event: ServerEvent) -> Refusal:
        handle = message.arguments[0]
        row = server_transition(self._state_of(handle), event)
        assert row is not None, "what is over has a row for each end"
        assert row.returns is not None, "a function that is refused says so"
        refusal = Refusal(row.id, row.returns)
        return self.violate(out, message.operation, refusal, self.number_of(handle))

    def hand_off(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | None:
        """Let a call go on without its function."""
        call = self._running(message.arguments[0])
        if call is None:
            return self._not_there(message, out)
        state = call.state
        refusal = first_refusal(ENDING_CHECKS, Ending(dispatched=state is ServerState.DISPATCHED))
        if refusal is not None:
            return self.violate(out, message.operation, refusal, call.number)
        out.events.append(StateChanged(call.number, state, ServerState.HANDED_OFF))
        return None

    def _not_there(self, message: Submit, out: Outbox) -> Refusal:
        """Refuse a function on a call that is over."""
        refusal = self._functions.refusal(OPERATIONS[message.operation], self.SIDE, False)  # noqa: FBT003
        assert refusal is not None, "a structure that is not good is refused"
        return self.violate(out, message.operation, refusal, self.number_of(message.arguments[0]))

    def subscribe(self, message: Submit, extra: Any, out: Outbox) -> Refusal | None:
        """Tell of cancels, or of the client's end, from here on."""
        call = self._subscriber(message, out)
        if isinstance(call, Refusal):
            return call
        handle, bits, kind = message.arguments
        if call.spec is not None:
            for each in Subscription(bits):
                call.spec.heard[each] = extra
        out.events.append(Replied((handle, bits, kind)))
        return None

    def unsubscribe(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | int:
        """Tell no more of them."""
        call = self._subscriber(message, out)
        if isinstance(call, Refusal):
            return call
        handle, bits, _ = message.arguments
        out.events.append(Replied((handle, bits, int(Notification.NONE))))
        return sum(call.queued.get(each, 0) for each in Subscription(bits))

    def _subscriber(self, message: Submit, out: Outbox) -> ServerCall | Refusal:
        """Return the call that a subscription is about, or refuse."""
        handle, bits, kind = message.arguments
        call = self._running(handle)
        if call is None:
            return self._not_there(message, out)
        operation = OPERATIONS[message.operation]
        asked = Asked(operation, self.SIDE, subscription=bits, notification=Notification(kind))
        refusal = first_refusal(SUBSCRIBE_CHECKS, asked)
        return call if refusal is None else self.refuse(out, message.operation, refusal)

    def test_cancel(self, call: ServerCall) -> int:
        """Return what RpcServerTestCancel says; any thread."""
        asked = Asked(
            OPERATIONS["RpcServerTestCancel"],
            self.SIDE,
            call_active=not call.is_over,
            cancelled=call.marked is not None,
        )
        refusal = first_refusal(TEST_CANCEL_CHECKS, asked)
        return Code.OK if refusal is None else refusal.code

    # --- facts -----------------------------------------------------------------------------------

    def _apply_dispatched(self, event: Accepted, number: int) -> None:
        self._apply_accepted(event, number)
        call = cast("ServerCall", self.requests[event.request])
        call.begin(event.handle)
        self._handles[event.handle] = call

    def _apply_own_state(self, event: StateChanged, number: int) -> None:
        call = self.requests.get(event.subject)
        if isinstance(call, ServerCall):
            call.state = ServerState(event.new)
        else:
            self._apply_state(event, number)

    def _apply_served(self, event: Completed, number: int) -> None:
        call = cast("ServerCall", self.requests[event.request])
        self._apply_completed(event, number)
        call.state = _state_after(event)

    def _apply_asked(self, event: CancelRequested, number: int) -> None:
        call = self.requests.get(event.scope)
        if isinstance(call, ServerCall) and call.status is OUTSTANDING:
            if event.trigger == CLIENT_ABORT:
                call.aborted = number
            call.count(Subscription.CALL_CANCEL)

    def _apply_notified(self, event: Notified, number: int) -> None:
        call = self.requests.get(event.subject)
        if isinstance(call, ServerCall) and event.what == CLIENT_GONE:
            call.gone = number
            call.count(Subscription.CLIENT_DISCONNECT)

    def _apply_replied(self, event: Replied, _: int) -> None:
        handle, bits, kind = event.value
        self._handles[handle].subscribe_to(bits, kind)

    def _apply_sent(self, event: Delivered, number: int) -> None:
        self._remember(event.requests)
        self._apply_delivered(event, number)

    def _apply_silent(self, event: Discarded, number: int) -> None:
        self._remember(event.requests)
        self._apply_discarded(event, number)

    def _remember(self, ranges: list[int]) -> None:
        for each in numbers_in(ranges):
            call = cast("ServerCall", self.requests[each])
            del self._handles[call.handle]
            self._ended[call.handle] = Ended(each, call.state, call.by)
            if len(self._ended) > FINISHED_MAX:
                self._ended.popitem(last=False)


def _event_of(code: int | None, value: Any) -> ServerEvent:
    """Return what a function did, by what was reported of it; who raises leaves a text."""
    if code is None:
        return ServerEvent.COMPLETE
    return ServerEvent.ABORT if value is None else ServerEvent.RAISE


def _state_after(event: Completed) -> ServerState:
    if event.how == How.RESULT:
        return ServerState.COMPLETED
    return ServerState.ABORTED if event.value is None else ServerState.RAISED


Serving.CALLS = cast(
    "dict[str, Callable[[Any, Submit, Any, Outbox], Any]]",
    {
        OPEN: Serving.open,
        CLOSE: Serving.close,
        SERVE: Serving.serve,
        COMPLETE_CALL: Serving.complete_call,
        ABORT_CALL: Serving.abort_call,
        HAND_OFF: Serving.hand_off,
        SUBSCRIBE: Serving.subscribe,
        UNSUBSCRIBE: Serving.unsubscribe,
    },
)

Serving.TAKES = {
    ToolEvent: Serving._take_tool_event,  # noqa: SLF001  # these tables are part of the class
    EventHandler: Serving._take_told,  # noqa: SLF001
}

Serving.FACTS = {
    **RpcEndpoint.FACTS,
    Accepted: Serving._apply_dispatched,  # noqa: SLF001
    Completed: Serving._apply_served,  # noqa: SLF001
    StateChanged: Serving._apply_own_state,  # noqa: SLF001
    CancelRequested: Serving._apply_asked,  # noqa: SLF001
    Notified: Serving._apply_notified,  # noqa: SLF001
    Replied: Serving._apply_replied,  # noqa: SLF001
    Delivered: Serving._apply_sent,  # noqa: SLF001
    Discarded: Serving._apply_silent,  # noqa: SLF001
}
