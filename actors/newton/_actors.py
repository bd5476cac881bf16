"""The endpoint actor: the tables of ``_protocol`` brought to life on the kernel."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._lane import News
from rescind.actors.kernel._request import COMPLETED, OUTSTANDING, Request
from rescind.actors.kernel._rules import Refusal
from rescind.actors.kernel._window import CancelWindow
from rescind.actors.runtime import Outbox, Runtime
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
    Drop,
    EventHandler,
    How,
    InputArrived,
    InputDelivered,
    InputPosted,
    InputScript,
    Killed,
    Manner,
    Notified,
    Opened,
    Outcome,
    PartialDue,
    PartialScript,
    Received,
    Started,
    StateChanged,
    Stop,
    Submit,
    ToolEvent,
)

from ._codes import Code
from ._errors import CommError
from ._protocol import (
    DELIVERY_RANK,
    EVENT_NAMES,
    NOT_CONNECTED_MEANS_IDLE,
    OPERATIONS,
    RECEIVES,
    REMOTE_EVENT_STATE,
    SYNCHRONOUS_UNDO,
    TIME_OUT,
    UTF_8,
    Profile,
    State,
    cancelled_code,
)
from ._receiving import NewtonRequest, ReceivingEndpoint, nothing
from ._specs import Event, awaited

if TYPE_CHECKING:
    from .drivers import Tool

logger = logging.getLogger("rescind.newton")


_ALL_OPERATIONS = frozenset(OPERATIONS)

_OUTPUTS = frozenset({"Output", "StreamOut"})
_BEFORE_RELEASE = _OUTPUTS | {"Release"}


class NewtonEndpoint(ReceivingEndpoint):
    """One endpoint's actor.  The application holds ``newton.Endpoint``, which wraps it."""

    __slots__ = ("_releasing", "synchronous")

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        profile: Profile,
        tool: "Tool",
        encoding: str = UTF_8,
    ) -> None:
        """Be uninitialised; the call ``Instantiate`` follows."""
        super().__init__(runtime, number, profile, tool, encoding)
        self._releasing: dict[int, Request] = {}
        """Orderly releases that the tool has not got yet: they wait for what is before them."""

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
        self._set_out(request, out)
        return request

    def _set_out(self, request: Request, out: Outbox) -> None:
        """Move the state as the request's row says, and hand it to the tool."""
        pending = OPERATIONS[request.operation].pending
        if pending is not None:
            self._move(pending, out)
        self._begin(request, out)

    def _instantiate(self, message: Submit, _extra: Any, out: Outbox) -> None:
        profile, label, cls, *_ = message.arguments
        out.events.append(Born(self.number, cls, 0))
        out.events.append(Opened(self.number, "newton", profile, label))
        out.events.append(StateChanged(self.number, State.UNINIT, State.UNBND))
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
        """Change the state; one that was disposed of stays so, whatever is still on its way."""
        if self.state not in (state, State.UNINIT):
            out.events.append(StateChanged(self.number, int(self.state), int(state)))

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
            self._set_out(request, out)
        return request

    def _submit_release(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        """Disconnect without cancelPending: let the Outputs end, then the input spec (5.7)."""
        refusal = self._refusal("Release", message)
        if refusal is not None:
            return self.refuse(out, "Release", refusal)
        request = self.accept(out, "Release", message, extra, started=False)
        self._move(State.OUT_REL, out)
        if not self._has_outputs():
            self._release(request, out)
        return request

    def _has_outputs(self, besides: Request | None = None) -> bool:
        return any(
            each.operation in _OUTPUTS and each.status is OUTSTANDING and each is not besides
            for each in self.requests.values()
        )

    def _go_on_releasing(self, ended: Request, out: Outbox) -> None:
        """Let a release go on that waited for what has just ended."""
        if not self._releasing or ended.operation not in _BEFORE_RELEASE:
            return
        waiting = [each for each in self._releasing.values() if each is not ended]
        if any(each.doomed or self.window_of(each) is not None for each in waiting):
            return
        if waiting and not self._has_outputs(besides=ended):
            self._release(waiting[0], out)

    def _release(self, release: Request, out: Outbox) -> None:
        """End the input spec, if one is armed; then the tool gets the release."""
        victim = self.input
        if victim is None or not self.is_posted or victim.doomed:
            self._hand_over(release, out)
            return
        window = CancelWindow(release.number, release, [victim], forbids=True)
        self._cancel(out, "Release", release, window, RECEIVES)

    def _hand_over(self, release: Request, out: Outbox) -> None:
        """Let the tool have a release, and any other that waited.

        There is another one where the remote released meanwhile: it admits a second one (4).
        """
        others = [each for each in self._releasing.values() if each is not release]
        for each in (release, *others):
            out.events.append(Started(each.number))
            self._set_out(each, out)

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
        late = [
            each
            for each in self.requests.values()
            if each.status is not OUTSTANDING and each.operation in operations
        ]
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
            trigger = None if window is None else window.trigger
            by = "" if trigger is None else trigger.operation
            code = cancelled_code(request.operation, self.profile, by)
            self.won(request, code, How.CANCELLED, out)
        self._fall_back(request, out)
        self._go_on_releasing(request, out)

    def _time_out_code(self, request: Request) -> Code:
        if request.asynchronous:
            return cancelled_code(request.operation, self.profile)
        return self.profile.synchronous_time_out_code

    def _fall_back(self, request: Request, out: Outbox) -> None:
        """Move the state back, unless the remote has moved it on meanwhile (4)."""
        row = OPERATIONS[request.operation]
        if row.failed is not None and row.pending in (None, self.state):
            self._move(row.failed, out)

    def window_closed(self, window: CancelWindow, code: int | None, out: Outbox) -> None:
        """Let the trigger go on: a Cancel completes, a Disconnect begins, a time-out is told."""
        trigger = window.trigger
        if trigger is None or self.state == State.UNINIT:
            return  # nobody waits for this cancel's end, or all are being dropped
        if window.timed_out is not None or code is not None:
            self.tell_trigger(window, code, out)
        elif trigger.operation == "Release":
            self._hand_over(trigger, out)
        elif trigger.operation == "Disconnect":
            out.events.append(Started(trigger.number))
            self._set_out(trigger, out)
        else:
            self.tell_trigger(window, code, out)

    def end(self, request: Request, code: int | None, out: Outbox) -> None:
        """Complete what the cancel was: the Cancel itself, or the request that timed out."""
        window = self.window_of(request)
        if window is None or window.timed_out is None:
            request.complete(out, code, How.RESULT if code is None else How.FAILED)
            if request.number in self._releasing:
                self._fall_back(request, out)  # the release never reached the tool
                self._go_on_releasing(request, out)
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

    def _take_killed(self, message: Killed, out: Outbox) -> None:
        """Let the victims complete; what left of them is theirs to know."""
        for number, count in message.taken.items():
            request = self.requests.get(number)
            if isinstance(request, NewtonRequest):
                out.effects.append((request.note_taken, count))
        super().receive(message, out)

    def _take_stray(self, message: Answer | Received, out: Outbox) -> None:
        """Note what came for a request that is not here any more."""
        code = message.code if isinstance(message, Answer) else None
        out.events.append(AnswerIgnored(message.request, code))

    def _take_tool_event(self, message: ToolEvent, out: Outbox) -> None:
        """Move the state as the event's row says; then the application hears of it (3.5)."""
        if self.state == State.UNINIT:
            return
        state = REMOTE_EVENT_STATE.get((message.code, self.state))
        if state is not None:
            self._move(state, out)
        name = EVENT_NAMES.get(message.code, f"event {message.code}")
        out.events.append(Notified(self.number, self.number, name, None, ""))
        news = News(self, EventHandler(message.code), "eventhandler", nothing)
        out.causes.append(news)
        out.effects.append((self._tell_event, message, news))

    def _tell_event(self, message: ToolEvent, news: News) -> None:
        if self.api is not None and self.api.event_handler is not None:
            time_ms = self.runtime.clock.now_ns() // 1_000_000 & _TIME_MS_MAX
            event = Event(message.code, message.data, self.tool.label, time_ms)
            news.script = partial(self.api.event_handler, self.api, event)
            self.lane.append(news)

    def _take_shown(self, message: PartialScript | EventHandler, out: Outbox) -> None:
        """Nothing follows from what was only shown."""

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
        self._go_on_releasing(request, out)

    def _must_undo(self, request: Request) -> bool:
        return not request.asynchronous and request.operation in SYNCHRONOUS_UNDO

    # --- facts -----------------------------------------------------------------------------------

    def _apply_own_accepted(self, event: Accepted, number: int) -> None:
        self._apply_accepted(event, number)
        if not event.asynchronous:
            self.synchronous = event.request
        if event.operation in RECEIVES:
            self.input = self.requests[event.request]
            self.is_posted = True
            self.is_in_input_script = False
        elif event.operation == "Release":
            self._releasing[event.request] = self.requests[event.request]

    def _apply_own_completed(self, event: Completed, number: int) -> None:
        self._apply_completed(event, number)
        if self.synchronous == event.request:
            self.synchronous = 0
        if self.input is not None and self.input.number == event.request:
            self.input = None
            self.is_posted = self.is_in_input_script = False
        self._releasing.pop(event.request, None)

    def _apply_own_started(self, event: Started, number: int) -> None:
        self._apply_started(event, number)
        self._releasing.pop(event.request, None)

    def still_tells(self, delivery: Request | News) -> bool:
        """Tell nothing once Dispose was called, but that it is done (6.4)."""
        if self.state != State.UNINIT:
            return True
        return isinstance(delivery, Request) and delivery.operation == "Dispose"

    # --- towards the application; no baton -------------------------------------------------------

    def manner(self, request: Request) -> Manner:
        """Tell how the application will hear of a completion (3.5)."""
        if not request.asynchronous:
            return Manner.RETURNED if request.code is None else Manner.RAISED
        script = None if request.spec is None else request.spec.completion_script
        if script is not None and script is not awaited:
            return Manner.SCRIPT
        if request.code is None or script is awaited or request.waiter is not None:
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
        if isinstance(request, NewtonRequest) and request.taken:
            detail = f"{request.taken:,} bytes of it had left"
        if request.how == How.TIMED_OUT and request.timeout_ns is not None:
            detail = f"its time-out of {request.timeout_ns / 1e9:g} s passed"
        return CommError(request.code, request=request.number, detail=detail)


_TIME_MS_MAX = 2**30 - 1
"""Where an event's time wraps (3.5)."""


_SPECIAL: dict[str, Callable[[NewtonEndpoint, Submit, Any, Outbox], Any]] = {
    "Instantiate": NewtonEndpoint._instantiate,  # noqa: SLF001
    "Input": NewtonEndpoint._submit_input,  # noqa: SLF001
    "Partial": NewtonEndpoint._submit_partial,  # noqa: SLF001
    "FlushInput": NewtonEndpoint._submit_flush,  # noqa: SLF001
    "FlushPartial": NewtonEndpoint._submit_flush,  # noqa: SLF001
    "Release": NewtonEndpoint._submit_release,  # noqa: SLF001
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
    Killed: NewtonEndpoint._take_killed,  # noqa: SLF001
    ToolEvent: NewtonEndpoint._take_tool_event,  # noqa: SLF001
    InputScript: NewtonEndpoint._take_input_script,  # noqa: SLF001
    PartialDue: NewtonEndpoint._take_partial_due,  # noqa: SLF001
    PartialScript: NewtonEndpoint._take_shown,  # noqa: SLF001
    EventHandler: NewtonEndpoint._take_shown,  # noqa: SLF001
    Drop: NewtonEndpoint._take_drop,  # noqa: SLF001
    Stop: NewtonEndpoint._take_stop,  # noqa: SLF001
}
"""What the endpoint does with messages that are not the kernel's."""

NewtonEndpoint.FACTS = {
    **Endpoint.FACTS,
    Accepted: NewtonEndpoint._apply_own_accepted,  # noqa: SLF001
    Completed: NewtonEndpoint._apply_own_completed,  # noqa: SLF001
    Started: NewtonEndpoint._apply_own_started,  # noqa: SLF001
    InputArrived: NewtonEndpoint._apply_arrived,  # noqa: SLF001
    InputDelivered: NewtonEndpoint._apply_input_delivered,  # noqa: SLF001
    InputPosted: NewtonEndpoint._apply_posted,  # noqa: SLF001
}


_STOP = Submit("Dispose", (), asynchronous=True, timeout_ns=None)
"""What a Stop of the actor comes to."""
