"""The endpoint that the application holds: the guide's methods in Python's spelling."""

import logging
from collections.abc import Callable
from traceback import walk_tb
from types import TracebackType
from typing import Any, Self, TypeAlias

from rescind.actors.kernel._request import Request, Status
from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import Runtime, UsageError, on_loop
from rescind.events import Manner, Submit

from ._actors import NewtonEndpoint
from ._codes import CANCELLED_CODES, Code
from ._errors import CommError
from ._forms import Template, is_array, is_bytes_like, is_dict
from ._options import Option, Options, answered, told
from ._protocol import ENCODINGS, PROFILES, STATES, UTF_8, State
from ._receiving import NewtonRequest
from ._specs import (
    CallbackSpec,
    CompletionScriptFunction,
    Event,
    InputSpec,
    Piece,
    TimeOut,
    input_slots,
    output_slots,
    timeout_ns,
)
from .drivers import Tool

logger = logging.getLogger("rescind.newton")

ExceptionHandlerFunction: TypeAlias = Callable[["Endpoint", dict[str, Any]], object]
"""Called with ``{"name", "data", "debug"}`` as in 3.4 and 3.5."""
EventHandlerFunction: TypeAlias = Callable[["Endpoint", Event], object]
"""Called with what the tool reported unasked (3.5)."""


class Endpoint:
    """A protoBasicEndpoint over a communications tool.

    Every method that the tool has to carry out returns its request.  A synchronous call (the
    default) blocks and returns it completed, or raises ``CommError``; an asynchronous one returns
    at once, and its ``completion_script(endpoint, options, result)`` is called later, one script at
    a time.  What is not admitted raises ``CommError`` at the call in both cases, and no script is
    called.  Where a method takes options, ``request.get()`` returns them with their results.

    Threads: any thread may call, scripts too.  A synchronous call inside a script lets other
    scripts run meanwhile.  Source: spec/newton.md sections 1 and 2.

    Attributes:
        exception_handler: hears of failed asynchronous requests without a script, and of scripts
            that raise.
        event_handler: hears of what the tool reports unasked.
        options: the options it was made with, each with its result; None without any.
    """

    def __init__(  # noqa: PLR0913  # most by their names, and most by nobody
        self,
        runtime: Runtime,
        tool: Tool,
        options: Options = None,
        *,
        profile: str = "guide",
        encoding: str = UTF_8,
        exception_handler: ExceptionHandlerFunction | None = None,
        event_handler: EventHandlerFunction | None = None,
    ) -> None:
        """Instantiate: allocate the endpoint and start its tool; touch no hardware (R 18).

        Args:
            runtime: whose log tells the endpoint's story.
            tool: what does the work: ``newton.tcp(host, port)``, ``newton.twin()``.
            options: what to set before anything else; see ``option``.
            profile: ``guide`` reads the rules as the Programmer's Guide does, ``rom`` as the
                device does where the two differ.
            encoding: what strings are translated to and from; one of `newton.ENCODINGS`.
            exception_handler: hears of failed asynchronous requests that have no script, and of
                scripts that raise.
            event_handler: hears of what the tool reports unasked.

        Raises:
            UsageError: there is no such profile or encoding.
            CommError: -26004 without a tool, -26005 for what is none.
        """
        if profile not in PROFILES:
            raise UsageError(f"no profile {profile!r}; there are {', '.join(sorted(PROFILES))}")
        if encoding not in ENCODINGS:
            raise UsageError(f"no encoding {encoding!r}; there are {', '.join(sorted(ENCODINGS))}")
        if tool is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise CommError(
                Code.NO_SERVICE_OPTION, detail="an endpoint needs a communications tool"
            )
        if not isinstance(tool, Tool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CommError(Code.UNKNOWN_SERVICE, detail=f"{tool!r} is no communications tool")
        self.exception_handler = on_loop(exception_handler)
        self.event_handler = on_loop(event_handler)
        self._runtime = runtime
        with runtime.holding_baton():
            number = runtime.next_number()
            actor = NewtonEndpoint(runtime, number, PROFILES[profile], tool, encoding)
            actor.api = self
            class_number = runtime.class_number(NewtonEndpoint)
        self._actor = actor
        arguments: tuple[Any, ...] = (profile, tool.label, class_number)
        if encoding != UTF_8:
            arguments += (encoding,)
        runtime.owned.append(self)
        runtime.call(actor, Submit("Instantiate", arguments, asynchronous=False, timeout_ns=None))
        runtime.relieve()
        self.options: list[Option] | None = None
        if options is not None:
            self.options = self.option(options).get()

    def __enter__(self) -> Self:
        """Return the endpoint itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Dispose of it."""
        self.dispose()

    def __repr__(self) -> str:
        """Show the selector, the tool and the state."""
        return f"<a{self.number} newton.Endpoint {self._actor.tool.label} {self._state_name()}>"

    def _state_name(self) -> str:
        return STATES[self._actor.state]

    @property
    def number(self) -> int:
        """The actor's number, good as ``a5`` with the replay tools."""
        return self._actor.number

    @property
    def actor_ref(self) -> Any:
        """The endpoint actor's reference."""
        return self._actor.actor_ref

    @property
    def runtime(self) -> Runtime:
        """Whose log tells its story."""
        return self._runtime

    def state(self) -> State | None:
        """Return the state; None after Dispose.  For debugging only, as R 29 says."""
        state = State(self._actor.state)
        return None if state is State.UNINIT else state

    def requests_pending(self, mode: str | None = None) -> bool:
        """Tell whether requests are outstanding: ``sync``, ``async``, or any (ROM 2.1)."""
        actor = self._actor
        with self._runtime.baton:
            outstanding = [
                each.asynchronous
                for each in actor.requests.values()
                if each.status is Status.OUTSTANDING
            ]
        match mode:
            case "sync":
                return not all(outstanding)
            case "async":
                return any(outstanding)
            case _:
                return bool(outstanding)

    # --- the connection --------------------------------------------------------------------------

    def bind(
        self,
        spec: CallbackSpec | None = None,
        *,
        options: Options = None,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Claim the tool's resources or address: kUnbnd to kIdle (R 19)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._control("Bind", options, spec)

    def unbind(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Give the resources back: kIdle to kUnbnd (R 20)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._control("UnBind", None, spec)

    def connect(
        self,
        spec: CallbackSpec | None = None,
        *,
        options: Options = None,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Connect to the tool's peer: kIdle to kDataXfer (R 20).

        An option of the type ``address`` says to which other peer.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._control("Connect", options, spec)

    def listen(
        self,
        spec: CallbackSpec | None = None,
        *,
        options: Options = None,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Wait until somebody connects: kIdle to kInCon; then ``accept`` or ``disconnect`` (R 21).

        Raises:
            CommError: -16002 the tool is none that listens.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._control("Listen", options, spec)

    def accept(
        self,
        spec: CallbackSpec | None = None,
        *,
        options: Options = None,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Take the connection that ``listen`` has found: kInCon to kDataXfer (R 21)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._control("Accept", options, spec)

    def disconnect(
        self,
        spec: CallbackSpec | None = None,
        *,
        cancel_pending: bool = True,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Tear the connection down (5.6), or release it in order (5.7).

        Args:
            spec: how to run it and whom to tell; or give its slots instead.
            cancel_pending: True cancels everything outstanding first.  False lets the Outputs end,
                which may take the peer's time; a receive that is then still posted is canceled.
            asynchronous: return at once.
            timeout_s: how long it may take.
            completion_script: hears of its end.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("Disconnect" if cancel_pending else "Release", (), spec)

    def option(
        self,
        options: Options,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Set or get the tool's options, in any state (R 27).

        An option that fails says so in its ``result``; the request succeeds all the same.

        Raises:
            CommError: -54004 without options, -36002 for an empty sequence of them.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("Option", (told(options),), spec)

    # --- sending ---------------------------------------------------------------------------------

    def output(
        self,
        data: Any,
        spec: CallbackSpec | None = None,
        *,
        options: Options = None,
        asynchronous: bool = False,
        timeout_s: TimeOut = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """Send data; Outputs may be pipelined freely (R 23).

        Args:
            data: text, bytes, an int or a sequence of these; other forms and flags need an
                `OutputSpec`: ``form="frame"`` for a dict, ``form="template"`` for a `Template`.
            spec: how to run it and whom to tell; or give its slots instead.
            options: the tool's options for this Output.
            asynchronous: return at once.
            timeout_s: how long the tool's medium may take over it.
            completion_script: hears of its end.

        Raises:
            CommError: at the call: -36003 a cancel is in progress, -36006 not connected, -36030
                another synchronous call is pending, -54002 nothing to send, -54001 the data does
                not go with its form, -54008 a target that is not within it; as the result of a
                synchronous call: whatever the tool reports.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        slots = output_slots(spec)
        asked = told(options)
        if asked:
            slots["options"] = asked
        data = _copied(data)
        return self._submit("Output", (data, slots) if slots else (data,), spec)

    # --- receiving -------------------------------------------------------------------------------

    def set_input_spec(self, spec: InputSpec | None) -> NewtonRequest | None:
        """Arm ``spec``, or stop receiving with None; returns the armed spec's request (R 24).

        It is posted again after each piece.  Inside its InputScript it may be replaced or ended;
        elsewhere only ``cancel`` ends it.

        Raises:
            CommError: -54012 a spec is active; -36003, -36006 as for Output; -54001 and -54005 to
                -54013, -54016 the spec contradicts itself.
        """
        if spec is None:
            disarm = Submit("SetInputSpec", (), asynchronous=True, timeout_ns=None)
            self._call(disarm, None)
            return None
        timeout = timeout_ns(spec.timeout_s)
        message = Submit(
            "SetInputSpec", self._receive_arguments(spec), asynchronous=True, timeout_ns=timeout
        )
        request: NewtonRequest = self._call(message, spec)
        return request

    def receive(self, spec: InputSpec, *, asynchronous: bool = False) -> NewtonRequest:
        """Receive one piece; ``request.get()`` returns it as a `Piece`.

        It is what an input spec is, once and without scripts, and good where a loop reads better:
        the next piece stays in the tool until the next call.  What had come in before the line was
        gone can still be received; then -16009.

        Raises:
            CommError: as for ``set_input_spec``; as the result: -16005 it was canceled or its
                ``timeout_s`` passed in silence, -16009 the line is gone, -16004 and -36010 a frame
                that is too long or none.
        """
        arguments = self._receive_arguments(spec)
        return self._submit("Receive", arguments, CallbackSpec(asynchronous, spec.timeout_s), spec)

    def _receive_arguments(self, spec: InputSpec) -> tuple[dict[str, Any]]:
        slots = input_slots(spec, self._actor.encoding)
        options = told(spec.rcv_options)
        if options:
            slots["options"] = options
        return (slots,)

    def input(self) -> None:
        """Have the InputScript called with all that is buffered, without a terminator (R 25).

        The buffer is empty then, and the spec stays active.  Nothing is called for an empty buffer.
        For strings and bytes only.

        Raises:
            CommError: -54000 no spec is active, -54015 not for its form.
        """
        self._call(Submit("Input", (), asynchronous=True, timeout_ns=None), None)

    def partial(self) -> Any:
        """Return what is buffered for the active spec, without consuming it (R 25).

        For strings and bytes only; None where nothing is buffered.

        Raises:
            CommError: -54000 no spec is active, -54006 not for its form.
        """
        self._call(Submit("Partial", (), asynchronous=True, timeout_ns=None), None)
        return self._actor.tool.partial()

    def flush_input(self) -> None:
        """Drop all that is buffered (R 26)."""
        self._flush("FlushInput", partial=False)

    def flush_partial(self) -> None:
        """Drop what the last ``partial`` or PartialScript has seen (R 26)."""
        self._flush("FlushPartial", partial=True)

    def _flush(self, operation: str, *, partial: bool) -> None:
        self._call(Submit(operation, (), asynchronous=True, timeout_ns=None), None)
        self._actor.tool.flush(partial=partial)

    # --- ending ----------------------------------------------------------------------------------

    def cancel(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        completion_script: CompletionScriptFunction | None = None,
    ) -> NewtonRequest:
        """End everything outstanding with -16005 (section 5).

        Until the cancel has completed every new request is refused with -36003.  Synchronously: the
        victims' scripts have run when this returns.  It has no time-out (R 9).
        """
        spec = _spec(spec, asynchronous, None, completion_script)
        return self._submit("Cancel", (), CallbackSpec(spec.asynchronous, None, None), spec)

    def cancel_in_progress(self) -> Request | None:
        """Return what completes at the end of the cancel that refuses new requests now (5.5).

        That is a Cancel or Disconnect, or the request that timed out; None where nothing refuses.
        """
        with self._runtime.baton:
            for window in self._actor.windows.values():
                if window.is_open and window.forbids:
                    return window.trigger
        return None

    def dispose(self) -> None:
        """Drop what is pending, without any completion, and release the tool (6.4).

        Blocked synchronous callers get -54014, as does every later call but another dispose.
        """
        self._runtime.refuse_blocking("dispose")
        request = self.begin_dispose()
        if request is not None:
            request.get()
        self.disown()

    close = dispose

    def begin_dispose(self) -> Request | None:
        """Do the first half of ``dispose``: what is to be waited for; None when it was called."""
        message = Submit("Dispose", (), asynchronous=False, timeout_ns=None)
        actor = self._actor
        request: Request | None = self._runtime.call(actor, message, None, actor.lane.cut)
        self._runtime.relieve()
        return request

    def disown(self) -> None:
        """Do the second half of ``dispose``: the runtime does not close it any more."""
        if self in self._runtime.owned:
            self._runtime.owned.remove(self)

    def stop(self) -> None:
        """Stop the tool at once; the runtime's log has failed."""
        self._actor.tool.close()

    # --- the way in ------------------------------------------------------------------------------

    def _control(self, operation: str, options: Options, spec: CallbackSpec) -> NewtonRequest:
        asked = told(options)
        return self._submit(operation, (asked,) if asked else (), spec)

    def _submit(
        self, operation: str, arguments: tuple[Any, ...], spec: CallbackSpec, kept: Any = None
    ) -> NewtonRequest:
        """Call; ``kept`` is what the completion is told to, where that is not ``spec``."""
        if not spec.asynchronous:
            self._runtime.refuse_blocking(f"a synchronous {operation}")
        message = Submit(operation, arguments, spec.asynchronous, timeout_ns(spec.timeout_s))
        request: NewtonRequest = self._call(message, kept or spec)
        if not spec.asynchronous:
            try:
                request.get()
            finally:
                if operation in _ENDS_OTHERS:
                    self._actor.lane.pass_turnstile(request)
        return request

    def _call(self, message: Submit, extra: Any) -> Any:
        decided = self._runtime.call(self._actor, message, extra)
        if isinstance(decided, Refusal):
            raise CommError(decided.code, rule=decided.rule, request=decided.request)
        self._runtime.relieve()
        return decided

    # --- the way out: called by the lane, one script at a time -----------------------------------

    def run_completion(self, request: Request, manner: Manner) -> None:
        """Tell the application of a completion."""
        if manner is Manner.SCRIPT:
            options = answered(request.value)
            request.spec.completion_script(self, options, request.code)
        elif manner is Manner.HANDLER:
            self._handle("evt.ex.comm", request.code, "completionscript")

    def run_input(self, request: Request, piece: Piece) -> None:
        """Hand received data to the InputScript."""
        script = request.spec.input_script
        if script is not None:
            script(self, piece.data, piece.terminator, piece.options)

    def report(self, error: Exception, where: str) -> None:
        """Tell the application that one of its scripts raised, or could not be called (3.4)."""
        if isinstance(error, TypeError) and not _has_run(error):
            self._handle("evt.ex.comm", Code.WRONG_ARGUMENT_COUNT, where)
        else:
            self._handle(type(error).__name__, str(error), where)

    def _handle(self, name: str, data: Any, debug: str) -> None:
        handler = self.exception_handler
        if handler is None:
            # What a cancel ended was ended by the application itself, a hundred thousand at a time.
            level = logging.DEBUG if data in CANCELLED_CODES else logging.WARNING
            where = (self.number, name, data, debug)
            logger.log(level, "a%d: %s %s in a %s, and there is no exception_handler", *where)
            return
        try:
            handler(self, {"name": name, "data": data, "debug": debug})
        except Exception:
            logger.exception("the exception_handler of a%d raised", self.number)


_ENDS_OTHERS = frozenset({"Cancel", "Disconnect"})


def _spec(
    spec: CallbackSpec | None,
    asynchronous: bool,  # noqa: FBT001  # passed on from a keyword of the same name
    timeout_s: TimeOut,
    completion_script: CompletionScriptFunction | None,
) -> CallbackSpec:
    """Return the spec of a call that may name its slots instead of giving one."""
    if spec is None:
        return CallbackSpec(asynchronous, timeout_s, completion_script)
    if asynchronous or timeout_s is not None or completion_script is not None:
        raise UsageError("give a spec or its slots, not both")
    return spec


def _has_run(error: Exception) -> bool:
    """Tell whether any code but this package's has run before the error came."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return not all(name.startswith("rescind.") for name in modules)


def _copied(data: Any) -> Any:
    """Return data as it is now: its owner may go on changing it before it is sent."""
    if isinstance(data, Template):
        return {"arglist": _copied(data.arglist), "typelist": _copied(data.typelist)}
    if is_dict(data):
        return {name: _copied(value) for name, value in data.items()}
    if is_array(data):
        return [_copied(each) for each in data]
    return bytes(data) if is_bytes_like(data) else data
