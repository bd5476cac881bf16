"""The endpoint's tool, and what it receives: the armed spec, one receive at a time.

Theory.  Three facts say where an input spec is.  It is *posted* while the tool looks for a piece;
a piece that came unposts it, and its InputScript is due; while that script runs it may be replaced.
When the script has returned the spec is posted again.  ``Input`` hands over what there is without
any of that: the receive stays posted.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._lane import News
from rescind.actors.kernel._request import Request
from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import Outbox, Runtime, describe
from rescind.events import (
    CancelOutcome,
    Completed,
    Discarded,
    How,
    InputArrived,
    InputDelivered,
    InputPosted,
    InputScript,
    Origin,
    Outcome,
    PartialDue,
    PartialScript,
    Received,
    Submit,
)

from ._codes import Code
from ._options import answered as options_answered
from ._parameters import refuse_slots
from ._port import EndpointPort
from ._protocol import (
    READABLE_FORMS,
    RECEIVES,
    REFUSALS,
    UTF_8,
    Profile,
    State,
    refuse_options,
    refuse_output,
)
from ._specs import InputSpec, InputTarget, Piece, Terminator, buffer_of

if TYPE_CHECKING:
    from ._api import Endpoint as Api
    from .drivers import Tool

logger = logging.getLogger("rescind.newton")

_WORK = {"StreamIn": "Receive", "StreamOut": "Output"}
"""What a tool knows an operation as, where that differs."""


class NewtonRequest(Request):
    """A request, whose value is what its application is to see: options, or a piece of input."""

    __slots__ = ("_taken", "piece")

    _taken: int
    piece: Piece

    @property
    def taken(self) -> int:
        """How many bytes of a canceled Output had left before it was stopped: the peer gets them.

        Of one that has completed without a code all have, and this says 0.
        """
        return getattr(self, "_taken", 0)

    def note_taken(self, count: int) -> None:
        """Remember what the tool said when it stopped."""
        self._taken = count

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return the value, or the dialect's error."""
        value, error = super().outcome()
        if error is not None:
            return None, error
        return (self.piece if self.operation in RECEIVES else options_answered(value)), None


class ReceivingEndpoint(Endpoint):
    """An endpoint with a tool, which sends and receives; the rest is the dialect's control."""

    __slots__ = (
        "_partial_due", "api", "encoding", "input", "is_in_input_script", "is_posted", "port",
        "profile", "synchronous", "tool",
    )  # fmt: skip

    REQUEST = NewtonRequest

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        profile: Profile,
        tool: "Tool",
        encoding: str = UTF_8,
    ) -> None:
        """Be uninitialised; the call ``Instantiate`` follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None
        self.profile = profile
        self.tool = tool
        self.encoding = encoding
        self.port = EndpointPort(self)
        self.api: Api | None = None
        self.synchronous = 0
        """The request that a caller is blocked in and that has not completed, or 0."""
        self.input: Request | None = None
        """What a receive is posted for: the armed input spec, or a Receive."""
        self.is_posted = False
        """Whether a receive is posted for it: not while its InputScript is due or running."""
        self.is_in_input_script = False
        """Whether the InputScript runs: only then the spec may be replaced or ended."""
        self._partial_due = 0
        """The request for which a look at what has come in is on its way, or 0."""

    # --- the way to the tool ---------------------------------------------------------------------

    def _begin(self, request: Request, out: Outbox) -> None:
        """Hand a request to the tool."""
        operation, arguments = request.operation, request.arguments
        if operation in RECEIVES:
            arguments = (arguments[0], buffer_of(request.spec))
        work = _WORK.get(operation, operation)
        out.effects.append((self._perform, request.number, work, arguments))
        if operation in RECEIVES and "partial_frequency_ns" in arguments[0]:
            # What is buffered already has arrived for this receive, and may be shown in due time.
            out.effects.append((self.port.arrived, request.number))

    def _perform(self, request: int, operation: str, arguments: Any) -> None:
        """Hand work to the tool; a tool that fails at it has answered.  No baton."""
        try:
            self.tool.perform(request, operation, arguments)
        except Exception as error:
            logger.exception("%s failed at %s", self.tool.label, operation)
            self.port.answer(request, Code.TSYSERR, describe(error))

    # --- admission -------------------------------------------------------------------------------

    def _refusal(self, operation: str, message: Submit) -> Refusal | None:
        # In the order of _protocol.Facts, which is only made where the answer is not known yet.
        refusal = self.profile.admission.refusal(
            self.state,
            self._is_window_open() if self.windows else False,
            self.synchronous != 0,
            operation,
            message.asynchronous,
        )
        if refusal is not None or operation not in _CHECKED:
            return refusal
        return parameter_refusal(_CHECKED[operation](self, message.arguments))

    def _refuse_output(self, arguments: Sequence[Any]) -> str | None:
        return refuse_output(arguments, self.encoding)

    def _refuse_options(self, arguments: Sequence[Any]) -> str | None:
        return refuse_options(arguments[0])

    def _refuse_spec(self, arguments: Sequence[Any]) -> str | None:
        if self.is_in_input_script:
            return refuse_slots(arguments[0], has_buffer_bytes=arguments[0].get("size"))
        return self._refuse_receive(arguments)

    def _refuse_receive(self, arguments: Sequence[Any]) -> str | None:
        refused = refuse_slots(arguments[0], has_buffer_bytes=arguments[0].get("size"))
        is_posted = refused is None and self.input is not None
        return "N-54012-active" if is_posted else refused

    def _is_window_open(self) -> bool:
        """Tell whether a cancel is in progress that refuses new requests."""
        return any(each.is_open and each.forbids for each in self.windows.values())

    # --- the input spec --------------------------------------------------------------------------

    def _set_input_spec(self, message: Submit, extra: Any, out: Outbox) -> Any:
        is_ending = not message.arguments
        refusal = self._refuse_ending(message) if is_ending else self._refusal("Input", message)
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
        self._begin(request, out)
        return request

    def _refuse_ending(self, message: Submit) -> Refusal | None:
        """Check that no spec is armed outside its InputScript; the state does not matter (3.3)."""
        if self.state == State.UNINIT:
            return self._refusal("Input", message)
        is_free = self.input is None or self.is_in_input_script
        return None if is_free else parameter_refusal("N-54012-active")

    def received(self, request: Request, message: Received, out: Outbox) -> None:
        """Hand received data on; the next receive is posted after the InputScript."""
        if request.operation != "Input":
            self._complete_receive(request, message, out)
            return
        asked = message.terminator is None
        if not asked:
            out.events.append(InputArrived(request.number, message.terminator))
            if request.timer is not None:
                request.timer.cancel()
        said = InputScript(request.number, asked)
        news = News(request, said, "inputscript", lambda: self._tell_input(request, message))
        out.causes.append(news)
        out.effects.append((self.lane.append, news))

    def _tell_input(self, request: Request, message: Received) -> None:
        if self.api is not None:
            self.api.run_input(request, piece_of(message, request.spec))

    def _complete_receive(self, request: Request, message: Received, out: Outbox) -> None:
        """Complete a receive with its piece, which the log has as the message's."""
        out.effects.append((setattr, request, "piece", piece_of(message, request.spec)))
        request.complete(out, None, How.RESULT)

    def input_returned(self, request: Request, out: Outbox) -> None:
        """Post the next receive, unless the script ended the spec or a cancel forbids it (6.5)."""
        if not self.is_in_input_script or request is not self.input:
            return
        if self._is_window_open():
            request.complete(out, Code.TACCESS, How.FAILED)
            return
        out.events.append(InputPosted(request.number))
        if request.timeout_ns is not None:
            self.arm(request, request.timeout_ns)
        self._begin(request, out)

    def _submit_input(self, message: Submit, _extra: Any, out: Outbox) -> Any:
        """Send the InputScript all that is buffered; the receive stays posted (R 25)."""
        refusal = self._refuse_reading(message, "N-54015-form")
        if refusal is not None:
            return self.refuse(out, "Input", refusal)
        assert self.input is not None, "admitted without a spec"
        out.effects.append((self._perform, self.input.number, "Take", ()))
        return None

    def _submit_partial(self, message: Submit, _extra: Any, out: Outbox) -> Any:
        refusal = self._refuse_reading(message, "N-54006-partial")
        return None if refusal is None else self.refuse(out, "Partial", refusal)

    def _refuse_reading(self, message: Submit, rule: str) -> Refusal | None:
        if self.state == State.UNINIT:
            return self._refusal("Input", message)
        if self.input is None or self.input.operation != "Input":
            return parameter_refusal("N-54000-spec")
        form = self.input.arguments[0].get("form", "string")
        return None if form in READABLE_FORMS else parameter_refusal(rule)

    def _submit_flush(self, message: Submit, _extra: Any, out: Outbox) -> Any:
        if self.state == State.UNINIT:
            refusal = self._refusal("Input", message)
            assert refusal is not None, "an endpoint that is gone refuses everything"
            return self.refuse(out, message.operation, refusal)
        return None

    # --- partial input: sampled in its own time, never by what comes in (3.3) ------------------

    def watches_arrivals(self, request: Request) -> bool:
        """Tell whether anything follows from data that has come in.  No baton."""
        return request.timeout_ns is not None or "partial_frequency_ns" in request.arguments[0]

    def restarts_time_out(self, request: Request) -> bool:
        """Tell whether data that has come in starts a receive's time-out anew (5.8)."""
        is_binary = request.arguments[0].get("form") == "binary"
        return not is_binary or self.profile.time_out_restarts_in_binary

    def note_arrival(self, request: Request) -> None:
        """Have a look at what has come in when it is time to, unless one is on its way."""
        frequency_ns = request.arguments[0].get("partial_frequency_ns")
        if frequency_ns is None or self._partial_due == request.number:
            return
        self._partial_due = request.number
        due = PartialDue(request.number)
        runtime = self.runtime
        runtime.arm(frequency_ns, lambda: runtime.post(self, due, Origin.TIMER, request.turn))

    def _take_partial_due(self, message: PartialDue, out: Outbox) -> None:
        if message.request == self._partial_due:
            self._partial_due = 0
        request = self.input
        if request is not None and request.number == message.request and self.is_posted:
            news = News(self, PartialScript(request.number), "partialscript", nothing)
            out.causes.append(news)
            out.effects.append((self._show_partial, request, news))

    def _show_partial(self, request: Request, news: News) -> None:
        """Show the application what is buffered, if it wants to see it and there is any."""
        script = getattr(request.spec, "partial_script", None)
        data = None if script is None else self.tool.partial()
        if data is not None and script is not None:
            news.script = partial(script, self.api, data)
            self.lane.append(news)

    def _take_input_script(self, message: InputScript, out: Outbox) -> None:
        if not message.asked:
            out.events.append(InputDelivered(message.request))

    # --- facts -----------------------------------------------------------------------------------

    def _apply_arrived(self, _event: InputArrived, _: int) -> None:
        self.is_posted = False

    def _apply_input_delivered(self, event: InputDelivered, _: int) -> None:
        if self.input is not None and self.input.number == event.request:
            self.is_in_input_script = True

    def _apply_posted(self, _event: InputPosted, _: int) -> None:
        self.is_posted = True
        self.is_in_input_script = False


def piece_of(message: Received, spec: object) -> Piece:
    """Return what a tool delivered as the application sees it; of binary data its own object."""
    terminator = None
    if message.terminator is not None:
        condition, index, byte_count = message.terminator
        terminator = Terminator(condition, byte_count, index)
    target = spec.target if isinstance(spec, InputSpec) else None
    data = target.data if isinstance(target, InputTarget) else message.data
    return Piece(data, terminator, options_answered(message.options))


def nothing() -> None:
    """Stand where the script comes once its effect knows what there is to tell."""


_CHECKED: dict[str, Callable[[ReceivingEndpoint, Sequence[Any]], str | None]] = {
    "Output": ReceivingEndpoint._refuse_output,  # noqa: SLF001  # these tables are part of the class
    "StreamOut": ReceivingEndpoint._refuse_output,  # noqa: SLF001
    "Option": ReceivingEndpoint._refuse_options,  # noqa: SLF001
    "Input": ReceivingEndpoint._refuse_spec,  # noqa: SLF001
    "Receive": ReceivingEndpoint._refuse_receive,  # noqa: SLF001
    "StreamIn": ReceivingEndpoint._refuse_receive,  # noqa: SLF001
}
"""Operations whose parameters are checked, after admission."""


def parameter_refusal(rule: str | None) -> Refusal | None:
    return None if rule is None else Refusal(rule, REFUSALS[rule])
