"""The endpoint that the application holds: the guide's methods in Python's spelling."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

from rescind.actors.kernel._request import Request, Status
from rescind.actors.kernel._rules import Refusal
from rescind.actors.runtime import Runtime, UsageError, on_loop
from rescind.events import Manner, Submit

from ._actors import NewtonEndpoint
from ._codes import CANCELLED_CODES
from ._errors import CommError
from ._protocol import PROFILES, STATES, State, is_text
from ._specs import (
    CallbackSpec,
    CompletionScriptFunction,
    InputSpec,
    Termination,
    Terminator,
    timeout_ns,
)
from .drivers import Tool

logger = logging.getLogger("rescind.newton")

ExceptionHandlerFunction: TypeAlias = Callable[["Endpoint", dict[str, Any]], object]
"""Called with ``{"name", "data", "debug"}`` as in 3.4 and 3.5."""


class Endpoint:
    """A protoBasicEndpoint over a communications tool.

    Every method returns its request.  A synchronous call (the default) blocks and returns it
    completed, or raises ``CommError``; an asynchronous one returns at once, and its
    ``completion_script(endpoint, options, result)`` is called later, one script at a time.  What is
    not admitted raises ``CommError`` at the call in both cases, and no script is called.

    Threads: any thread may call, scripts too.  A synchronous call inside a script lets other
    scripts run meanwhile.  Source: spec/newton.md sections 1 and 2.
    """

    def __init__(
        self,
        runtime: Runtime,
        tool: Tool,
        *,
        profile: str = "guide",
        exception_handler: ExceptionHandlerFunction | None = None,
    ) -> None:
        """Instantiate: allocate the endpoint and start its tool; no hardware is touched.

        Args:
            runtime: whose log tells the endpoint's story.
            tool: what does the work: ``newton.tcp(host, port)``, ``newton.twin()``.
            profile: ``guide`` reads the rules as the Programmer's Guide does, ``rom`` as the
                device does where the two differ.
            exception_handler: hears of failed asynchronous requests that have no script, and of
                scripts that raise.

        Raises:
            UsageError: there is no such profile.
        """
        if profile not in PROFILES:
            raise UsageError(f"no profile {profile!r}; there are {', '.join(sorted(PROFILES))}")
        self.exception_handler = on_loop(exception_handler)
        self._runtime = runtime
        with runtime.holding_baton():
            actor = NewtonEndpoint(runtime, runtime.next_number(), PROFILES[profile], tool)
            actor.api = self
            class_number = runtime.class_number(NewtonEndpoint)
        self._actor = actor
        arguments = (profile, tool.label, class_number)
        runtime.owned.append(self)
        runtime.call(actor, Submit("Instantiate", arguments, asynchronous=False, timeout_ns=None))
        runtime.relieve()

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

    # --- the guide's methods ---------------------------------------------------------------------

    def bind(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: float | None = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """Claim the tool's resources or address: kUnbnd to kIdle (R 19)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("Bind", (), spec)

    def unbind(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: float | None = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """Give the resources back: kIdle to kUnbnd (R 20)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("UnBind", (), spec)

    def connect(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: float | None = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """Connect to the tool's peer: kIdle to kDataXfer (R 20)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("Connect", (), spec)

    def output(
        self,
        data: str | bytes | bytearray | memoryview,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: float | None = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """Send text (as UTF-8) or bytes; Outputs may be pipelined freely (R 23).

        Raises:
            CommError: at the call: -36003 a cancel is in progress, -36006 not connected, -36030
                another synchronous call is pending, -54002 nothing to send, -54001 not text or
                bytes; as the result of a synchronous call: whatever the tool reports.
        """
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        if isinstance(data, bytearray | memoryview):
            data = bytes(data)  # as it is now: the caller may go on changing it
        return self._submit("Output", (data,), spec)

    def cancel(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """End everything outstanding with -16005 (section 5).

        Until the cancel has completed every new request is refused with -36003.  Synchronously: the
        victims' scripts have run when this returns.  It has no time-out (R 9).
        """
        spec = _spec(spec, asynchronous, None, completion_script)
        return self._submit("Cancel", (), CallbackSpec(spec.asynchronous, None, None), spec)

    def disconnect(
        self,
        spec: CallbackSpec | None = None,
        *,
        asynchronous: bool = False,
        timeout_s: float | None = None,
        completion_script: CompletionScriptFunction | None = None,
    ) -> Request:
        """Cancel everything outstanding, then tear the connection down (5.6)."""
        spec = _spec(spec, asynchronous, timeout_s, completion_script)
        return self._submit("Disconnect", (), spec)

    def set_input_spec(self, spec: InputSpec | None) -> Request | None:
        """Arm ``spec``, or stop receiving with None; returns the armed spec's request (R 24).

        Raises:
            CommError: -54012 a spec is active; -36003, -36006 as for Output; -54001, -54005,
                -54007 the spec contradicts itself.
        """
        if spec is None:
            disarm = Submit("SetInputSpec", (), asynchronous=True, timeout_ns=None)
            self._call(disarm, None)
            return None
        ends = (None, None) if spec.termination is None else _ends(spec.termination)
        arguments = (spec.form, *ends, spec.discard_after)
        timeout = timeout_ns(spec.timeout_s)
        message = Submit("SetInputSpec", arguments, asynchronous=True, timeout_ns=timeout)
        request: Request = self._call(message, spec)
        return request

    def dispose(self) -> None:
        """Drop what is pending, without any completion, and release the tool (6.4).

        Blocked synchronous callers get -54014, as does every later call but another dispose.
        """
        actor, runtime = self._actor, self._runtime
        runtime.refuse_blocking("dispose")
        message = Submit("Dispose", (), asynchronous=False, timeout_ns=None)
        request: Request | None = runtime.call(actor, message, None, actor.lane.cut)
        if request is not None:
            request.get()
        if self in runtime.owned:
            runtime.owned.remove(self)

    close = dispose

    def stop(self) -> None:
        """Stop the tool at once; the runtime's log has failed."""
        self._actor.tool.close()

    # --- the way in ------------------------------------------------------------------------------

    def _submit(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        spec: CallbackSpec,
        told: CallbackSpec | None = None,
    ) -> Request:
        if not spec.asynchronous:
            self._runtime.refuse_blocking(f"a synchronous {operation}")
        message = Submit(operation, arguments, spec.asynchronous, timeout_ns(spec.timeout_s))
        request: Request = self._call(message, told or spec)
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
            request.spec.completion_script(self, request.value, request.code)
        elif manner is Manner.HANDLER:
            self._handle("evt.ex.comm", request.code, "completionscript")

    def run_input(self, request: Request, data: Any, terminator: Any) -> None:
        """Hand received data to the InputScript."""
        script = request.spec.input_script
        if script is not None:
            script(self, data, Terminator(*terminator) if terminator else None, None)

    def report(self, error: Exception, where: str) -> None:
        """Tell the application that one of its scripts raised."""
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
    timeout_s: float | None,
    completion_script: CompletionScriptFunction | None,
) -> CallbackSpec:
    """Return the spec of a call that may name its slots instead of giving one."""
    if spec is None:
        return CallbackSpec(asynchronous, timeout_s, completion_script)
    if asynchronous or timeout_s is not None or completion_script is not None:
        raise UsageError("give a spec or its slots, not both")
    return spec


def _ends(termination: Termination) -> tuple[Any, Any]:
    """Return a termination as the table judges it; text becomes the bytes it is sent as."""
    if not isinstance(termination, Termination):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"termination is a newton.Termination, not {termination!r}")
    sequence = termination.end_sequence
    if isinstance(sequence, str) and is_text(sequence):
        return termination.byte_count, sequence.encode()
    return termination.byte_count, sequence
