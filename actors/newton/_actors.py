"""The endpoint actor: the tables of ``_protocol`` brought to life on the kernel."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._lane import Input
from rescind.actors.kernel._request import COMPLETED, OUTSTANDING, Request
from rescind.actors.kernel._rules import Refusal
from rescind.actors.kernel._window import CancelWindow
from rescind.actors.runtime import Outbox, Runtime, describe
from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Born,
    Cancel,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    Discarded,
    Drop,
    How,
    InputArrived,
    InputDelivered,
    InputPosted,
    InputScript,
    Manner,
    Opened,
    Outcome,
    Received,
    Started,
    StateChanged,
    Stop,
    Submit,
    ToolEvent,
)

from ._codes import Code
from ._errors import CommError
from ._port import EndpointPort
from ._protocol import (
    DELIVERY_RANK,
    NOT_CONNECTED_MEANS_IDLE,
    OPERATIONS,
    REFUSALS,
    REMOTE_EVENT_STATE,
    SYNCHRONOUS_UNDO,
    TIME_OUT,
    Profile,
    State,
    cancelled_code,
    refuse_input,
    refuse_output,
)

if TYPE_CHECKING:
    from ._api import Endpoint as Api
    from .drivers import Tool

logger = logging.getLogger("rescind.newton")


_ALL_OPERATIONS = frozenset(OPERATIONS)


class NewtonEndpoint(Endpoint):
    """One endpoint's actor.  The application holds ``newton.Endpoint``, which wraps it."""

    __slots__ = (
        "_arriving", "api", "input", "is_in_input_script", "is_posted", "port", "profile",
        "synchronous", "tool",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, number: int, profile: Profile, tool: "Tool") -> None:
        """Be uninitialised; the call ``Instantiate`` follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None
        self.profile = profile
        self.tool = tool
        self.port = EndpointPort(self)
        self.api: Api | None = None
        self.synchronous = 0
        """The request that a caller is blocked in and that has not completed, or 0."""
        self.input: Request | None = None
        """The armed input spec."""
        self.is_posted = False
        """Whether a receive is posted for it: not while its InputScript is due or running."""
        self.is_in_input_script = False
        """Whether the InputScript runs: only then the spec may be replaced or ended."""
        self._arriving: Input | None = None

    # --- submission ------------------------------------------------------------------------------

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Any:
        """Admit or refuse one operation (section 1.7)."""
        operation = message.operation
        special = _SPECIAL.get(operation)
        if special is not None:
            return special(self, message, extra, out)
        refusal = self._refusal(operation, message)
        if refusal is not None:
            return self.refuse(out, operation, refusal)
        request = self.accept(out, operation, message, extra)
        pending = OPERATIONS[operation].pending
        if pending is not None:
            self._move(pending, out)
        out.effects.append((self._perform, request.number, operation, message.arguments))
        return request

    def _refusal(self, operation: str, message: Submit) -> Refusal | None:
        # In the order of _protocol.Facts, which is only made where the answer is not known yet.
        refusal = self.profile.admission.refusal(
            self.state,
            self._is_window_open() if self.windows else False,
            self.synchronous != 0,
            operation,
            message.asynchronous,
        )
        if refusal is None and operation == "Output":
            return _parameter(refuse_output(message.arguments[0]))
        return refusal

    def _is_window_open(self) -> bool:
        """Tell whether a cancel is in progress that refuses new requests."""
        return any(each.is_open and each.forbids for each in self.windows.values())

    def _instantiate(self, message: Submit, _extra: Any, out: Outbox) -> None:
        profile, label, cls = message.arguments
        out.events.append(Born(self.number, cls, 0))
        out.events.append(Opened(self.number, "newton", profile, label))
        self._move(State.UNBND, out)
        out.effects.append((self.tool.open, self.port))

    def _dispose(self, message: Submit, _extra: Any, out: Outbox) -> Request | None:
        """Drop what is pending, last first, without any CompletionScript (6.4)."""
        if self.state == State.UNINIT:
            return None
        pending = [each for each in self.requests.values() if each.status <= COMPLETED]
        request = self.accept(out, "Dispose", message, None)
        self._move(State.UNINIT, out)
        drop = Drop(request.number, "endpoint disposed")
        out.broadcast.append(([*reversed(pending), self], drop))
        out.effects.append((self.tool.close,))
        return request

    def _move(self, state: State, out: Outbox) -> None:
        if state != self.state:
            out.events.append(StateChanged(self.number, int(self.state), int(state)))

    # --- the input spec --------------------------------------------------------------------------

    def _set_input_spec(self, message: Submit, extra: Any, out: Outbox) -> Any:
        is_ending = not message.arguments
        refusal = self._refuse_input_spec(message, is_ending=is_ending)
        if refusal is not None:
            return self.refuse(out, "Input", refusal)
        if self.input is not None:
            # Inside the InputScript: the old spec ends here, in silence.
            number = self.input.number
            if self.input.doomed in self.windows:
                lost = (self.input.doomed, number, Outcome.TOO_LATE)
                out.events.append(CancelOutcome(*lost))
            out.events.append(Completed(number, None, How.RESULT, 0))
            out.events.append(Discarded([number, number], "ended by SetInputSpec", 0))
        if is_ending:
            return None
        request = self.accept(out, "Input", message, extra)
        out.effects.append((self._perform, request.number, "Input", message.arguments))
        return request

    def _refuse_input_spec(self, message: Submit, *, is_ending: bool) -> Refusal | None:
        """Check the state only for a spec that is to be armed, then that none is active (3.3)."""
        refusal = None
        if not is_ending:
            refusal = self._refusal("Input", message) or _parameter(
                refuse_input(*message.arguments),
            )
        elif self.state == State.UNINIT:
            refusal = self._refusal("Input", message)
        if refusal is None and self.input is not None and not self.is_in_input_script:
            return _parameter("N-54012-active")
        return refusal

    def received(self, request: Request, data: Any, terminator: Any, out: Outbox) -> None:
        """Queue received data for the InputScript; the next receive is posted after it."""
        out.events.append(InputArrived(request.number, terminator))
        if request.timer is not None:
            request.timer.cancel()
        self._arriving = Input(request, lambda: self._run_input(request, data, terminator))
        out.effects.append((self.lane.append, self._arriving))

    def _run_input(self, request: Request, data: Any, terminator: Any) -> None:
        if self.api is not None:
            self.api.run_input(request, data, terminator)

    def input_returned(self, request: Request, out: Outbox) -> None:
        """Post the next receive, unless the script ended the spec or a cancel forbids it (6.5)."""
        if self.is_posted or request is not self.input:
            return
        if self._is_window_open():
            request.complete(out, Code.TACCESS, How.FAILED)
            return
        out.events.append(InputPosted(request.number))
        if request.timeout_ns is not None:
            self.arm(request, request.timeout_ns)
        out.effects.append((self._perform, request.number, "Input", request.arguments))

    # --- cancel, disconnect, time-out ------------------------------------------------------------

    def _submit_cancel(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        refusal = self._refusal("Cancel", message)
        if refusal is not None:
            return self.refuse(out, "Cancel", refusal)
        victims = self._victims()
        request = self.accept(out, "Cancel", message, extra)
        window = CancelWindow(request.number, request, victims, forbids=True)
        self._cancel(out, "Cancel", request, window, _ALL_OPERATIONS)
        return request

    def _submit_disconnect(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        refusal = self._refusal("Disconnect", message)
        if refusal is not None:
            return self.refuse(out, "Disconnect", refusal)
        victims = self._victims()
        request = self.accept(out, "Disconnect", message, extra, started=not victims)
        if victims:
            window = CancelWindow(request.number, request, victims, forbids=True)
            self._cancel(out, "Disconnect", request, window, _ALL_OPERATIONS)
        else:
            self._disconnect(request, out)
        return request

    def _disconnect(self, request: Request, out: Outbox) -> None:
        self._move(State.IN_FLUX, out)
        arguments = request.arguments
        out.effects.append((self._perform, request.number, "Disconnect", arguments))

    def _victims(self, besides: Request | None = None) -> list[Request]:
        """Return what a cancel ends now, in the order in which it will hear of it (section 9)."""
        ranks: dict[int, list[Request]] = {}
        for request in self.requests.values():
            if request.status is not OUTSTANDING or request is besides:
                continue
            if self.windows and self.is_ending(request):
                continue
            if request is self.input and not self.is_posted:
                continue  # 6.5: while the InputScript runs there is no receive to be canceled
            ranks.setdefault(DELIVERY_RANK[request.operation], []).append(request)
        return [request for rank in sorted(ranks) for request in ranks[rank]]

    def _perform(self, request: int, operation: str, arguments: Any) -> None:
        """Hand work to the tool; a tool that fails at it has answered.  No baton."""
        try:
            self.tool.perform(request, operation, arguments)
        except Exception as error:
            logger.exception("%s failed at %s", self.tool.label, operation)
            self.port.answer(request, Code.TSYSERR, describe(error))

    def _kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Tell the tool to stop; a tool that fails at it does no more.  No baton."""
        try:
            self.tool.kill(cancel, operations)
        except Exception:
            logger.exception("%s failed to stop", self.tool.label)
            self.port.killed(cancel, Code.TSYSERR, {})

    def _cancel(
        self,
        out: Outbox,
        trigger: str,
        by: Request,
        window: CancelWindow,
        operations: frozenset[str],
    ) -> None:
        late = [each for each in self.requests.values() if each.status is not OUTSTANDING]
        self.begin_cancel(out, trigger, by, window, late)
        out.effects.append((self._kill, window.cancel, operations))

    def time_out(self, request: Request, out: Outbox) -> None:
        """Turn a request's own deadline into a cancel, which the endpoint carries out (5.8)."""
        out.urgent.append((self, Cancel(request.number), None))

    def _cancel_for_time_out(self, number: int, out: Outbox) -> None:
        request = self.requests.get(number)
        if request is None or request.status is not OUTSTANDING or request.doomed:
            return  # it ended meanwhile, or another cancel is ending it
        running = self.window_of(request)
        if running is not None and running.is_open:
            self._duplicate_time_out(request, running, out)
            return
        cancel = self.runtime.next_number()
        if self.profile.time_out_cancels_all:
            victims = self._victims(besides=request)
            window = CancelWindow(cancel, request, victims, forbids=True, timed_out=request)
            self._cancel(out, TIME_OUT, request, window, _ALL_OPERATIONS)
        else:
            channel = OPERATIONS[request.operation].channel
            lane = frozenset(row.name for row in OPERATIONS.values() if row.channel is channel)
            victims = [each for each in self._victims() if each.operation in lane]
            window = CancelWindow(cancel, None, victims, forbids=False, timed_out=request)
            self._cancel(out, TIME_OUT, request, window, lane)

    def _duplicate_time_out(self, request: Request, running: CancelWindow, out: Outbox) -> None:
        """A Disconnect timed out that still cancels: what its time-out asks for is under way."""
        cancel = self.runtime.next_number()
        out.events.append(CancelRequested(cancel, self.number, TIME_OUT, request.number))
        duplicate = (cancel, request.number, Outcome.DUPLICATE, running.cancel)
        out.events.append(CancelOutcome(*duplicate))
        out.events.append(CancelEnded(cancel, None))

    def cancel_victim(self, request: Request, cancel: int, out: Outbox) -> None:
        """Complete a victim with its table's code and move the state back."""
        window = self.windows.get(cancel)
        if window is not None and window.timed_out is request:
            self.won(request, self._time_out_code(request), How.TIMED_OUT, out)
        else:
            code = cancelled_code(request.operation, self.profile)
            self.won(request, code, How.CANCELLED, out)
        self._fall_back(request, out)

    def _time_out_code(self, request: Request) -> Code:
        if request.asynchronous:
            return cancelled_code(request.operation, self.profile)
        return self.profile.synchronous_time_out_code

    def _fall_back(self, request: Request, out: Outbox) -> None:
        failed = OPERATIONS[request.operation].failed
        if failed is not None:
            self._move(failed, out)

    def window_closed(self, window: CancelWindow, code: int | None, out: Outbox) -> None:
        """Let the trigger go on: a Cancel completes, a Disconnect begins, a time-out is told."""
        trigger = window.trigger
        if trigger is None or self.state == State.UNINIT:
            return  # nobody waits for this cancel's end, or all are being dropped
        if trigger.operation == "Disconnect" and window.timed_out is None and code is None:
            out.events.append(Started(trigger.number))
            self._disconnect(trigger, out)
        else:
            self.tell_trigger(window, code, out)

    def end(self, request: Request, code: int | None, out: Outbox) -> None:
        """Complete what the cancel was: the Cancel itself, or the request that timed out."""
        window = self.window_of(request)
        if window is None or window.timed_out is None:
            request.complete(out, code, How.RESULT if code is None else How.FAILED)
        else:
            request.complete(out, self._time_out_code(request), How.TIMED_OUT, window.cancel)
            self._fall_back(request, out)

    # --- answers ---------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message."""
        if type(message) is Submit:
            return self.submit(message, out.extra, out)
        take = _TAKES.get(type(message))
        if take is None:
            return super().receive(message, out)
        take(self, message, out)
        return None

    def _take_time_out(self, message: Cancel, out: Outbox) -> None:
        self._cancel_for_time_out(message.cancel, out)

    def _take_stray(self, message: Answer | Received, out: Outbox) -> None:
        """Note what came for a request that is not here any more."""
        code = message.code if isinstance(message, Answer) else None
        out.events.append(AnswerIgnored(message.request, code))

    def _take_tool_event(self, message: ToolEvent, out: Outbox) -> None:
        if message.code in REMOTE_EVENT_STATE and self.state != State.UNINIT:
            self._move(REMOTE_EVENT_STATE[message.code], out)

    def _take_input_script(self, message: InputScript, out: Outbox) -> None:
        out.events.append(InputDelivered(message.request))

    def _take_drop(self, message: Drop, out: Outbox) -> None:
        """Be gone: the last thing said of the endpoint, when all it drops has been dropped."""
        for window in self.windows.values():
            if window.is_open:
                out.events.append(CancelEnded(window.cancel, None))
        self.requests[message.by].complete(out, None, How.RESULT)
        out.events.append(Closed(self.number, "disposed"))

    def _take_stop(self, _message: Stop, out: Outbox) -> None:
        self._dispose(_STOP, None, out)
        out.answer(None)

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """Complete a request as the tool says, and move the state as its row says."""
        operation = request.operation
        done = OPERATIONS[operation].done
        if code is None and request.doomed and self._must_undo(request):
            self.won(request, self.profile.synchronous_undo_code, How.CANCELLED, out)
            self._fall_back(request, out)
            out.effects.append((self._perform, 0, SYNCHRONOUS_UNDO[operation], ()))
            return
        if code == Code.NOT_CONNECTED and operation in NOT_CONNECTED_MEANS_IDLE:
            code = Code.TOUTSTATE
            self._move(State.IDLE, out)
        elif code is not None:
            self._fall_back(request, out)
        elif done is not None:
            self._move(done, out)
        request.complete(out, code, How.RESULT if code is None else How.FAILED, 0, value)

    def _must_undo(self, request: Request) -> bool:
        return not request.asynchronous and request.operation in SYNCHRONOUS_UNDO

    # --- facts -----------------------------------------------------------------------------------

    def _apply_own_accepted(self, event: Accepted, number: int) -> None:
        self._apply_accepted(event, number)
        if not event.asynchronous:
            self.synchronous = event.request
        elif event.operation == "Input":
            self.input = self.requests[event.request]
            self.is_posted = True

    def _apply_own_completed(self, event: Completed, number: int) -> None:
        self._apply_completed(event, number)
        if self.synchronous == event.request:
            self.synchronous = 0
        if self.input is not None and self.input.number == event.request:
            self.input = None
            self.is_posted = self.is_in_input_script = False

    def _apply_arrived(self, _event: InputArrived, number: int) -> None:
        self.is_posted = False
        if self._arriving is not None:
            self._arriving.arrived = number
            self._arriving = None

    def _apply_input_delivered(self, event: InputDelivered, _: int) -> None:
        if self.input is not None and self.input.number == event.request:
            self.is_in_input_script = True

    def _apply_posted(self, _event: InputPosted, _: int) -> None:
        self.is_posted = True
        self.is_in_input_script = False

    def still_tells(self, delivery: Request | Input) -> bool:
        """Tell nothing once Dispose was called, but that it is done (6.4)."""
        if self.state != State.UNINIT:
            return True
        return isinstance(delivery, Request) and delivery.operation == "Dispose"

    # --- towards the application; no baton -------------------------------------------------------

    def manner(self, request: Request) -> Manner:
        """Tell how the application will hear of a completion (3.5)."""
        if not request.asynchronous:
            return Manner.RETURNED if request.code is None else Manner.RAISED
        if request.spec is not None and request.spec.completion_script is not None:
            return Manner.SCRIPT
        if request.code is None or request.waiter is not None:
            return Manner.FUTURE
        return Manner.HANDLER

    def call_script(self, request: Request, manner: Manner) -> None:
        """Call the application."""
        if self.api is not None:
            self.api.run_completion(request, manner)

    def script_raised(self, error: Exception, where: str) -> None:
        """Tell the application that its script raised."""
        if self.api is not None:
            self.api.report(error, where)

    def failure(self, request: Request) -> Exception:
        """Return the exception that a completed request raises at its waiter."""
        if request.code is None:
            return CommError(
                Code.NO_ENDPOINT_AVAILABLE,
                request=request.number,
                detail=f"{request.operation} was dropped with its endpoint",
            )
        detail = request.value if isinstance(request.value, str) else ""
        if request.how == How.TIMED_OUT and request.timeout_ns is not None:
            detail = f"its time-out of {request.timeout_ns / 1e9:g} s passed"
        return CommError(request.code, request=request.number, detail=detail)


_SPECIAL: dict[str, Callable[[NewtonEndpoint, Submit, Any, Outbox], Any]] = {
    "Instantiate": NewtonEndpoint._instantiate,  # noqa: SLF001  # these tables are part of the class
    "SetInputSpec": NewtonEndpoint._set_input_spec,  # noqa: SLF001
    "Cancel": NewtonEndpoint._submit_cancel,  # noqa: SLF001
    "Disconnect": NewtonEndpoint._submit_disconnect,  # noqa: SLF001
    "Dispose": NewtonEndpoint._dispose,  # noqa: SLF001
}
"""Operations that do more than hand work to the tool."""

_TAKES: dict[type, Callable[[NewtonEndpoint, Any, Outbox], None]] = {
    Cancel: NewtonEndpoint._take_time_out,  # noqa: SLF001
    Answer: NewtonEndpoint._take_stray,  # noqa: SLF001
    Received: NewtonEndpoint._take_stray,  # noqa: SLF001
    ToolEvent: NewtonEndpoint._take_tool_event,  # noqa: SLF001
    InputScript: NewtonEndpoint._take_input_script,  # noqa: SLF001
    Drop: NewtonEndpoint._take_drop,  # noqa: SLF001
    Stop: NewtonEndpoint._take_stop,  # noqa: SLF001
}
"""What the endpoint does with messages that are not the kernel's."""

NewtonEndpoint.FACTS = {
    **Endpoint.FACTS,
    Accepted: NewtonEndpoint._apply_own_accepted,  # noqa: SLF001
    Completed: NewtonEndpoint._apply_own_completed,  # noqa: SLF001
    InputArrived: NewtonEndpoint._apply_arrived,  # noqa: SLF001
    InputDelivered: NewtonEndpoint._apply_input_delivered,  # noqa: SLF001
    InputPosted: NewtonEndpoint._apply_posted,  # noqa: SLF001
}


_STOP = Submit("Dispose", (), asynchronous=True, timeout_ns=None)
"""What a Stop of the actor comes to."""


def _parameter(rule: str | None) -> Refusal | None:
    return None if rule is None else Refusal(rule, REFUSALS[rule])
