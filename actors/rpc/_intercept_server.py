"""The server interceptors of both stacks: a step in front of each handler of the application's.

A handler stays of its kind, since gRPC asks: a function, a generator, a coroutine function, an
asynchronous generator.  What runs in it is a consequence of its call, and calls that it makes are
the call's children (``HANDLING``).
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
import grpc.aio

from rescind.actors.kernel._request import OUTSTANDING
from rescind.actors.runtime import Runtime, describe
from rescind.actors.runtime._context import CAUSE
from rescind.events import Origin

from ._intercept import HANDLING, Handling, Recorder, value_of
from ._intercept_who import asking, is_cancelling, raising
from ._status import CALL_KEY, CAUSE_KEY, SERVE, Status

ENDLESS_S = 1e9
"""A deadline further away is none: so gRPC writes that there is no deadline."""

Behavior = Callable[..., Any]


class ServerCall:
    """One call of a client's, from its server's side."""

    __slots__ = ("_context", "_recorder", "caller", "serving")

    def __init__(self, recorder: Recorder, method: str, context: Any) -> None:
        """Record that its handler begins.

        Raises:
            RescindError: Nothing is recorded any more.
        """
        self._recorder = recorder
        self._context = context
        mark = next((v for k, v in reversed(context.invocation_metadata()) if k == CALL_KEY), None)
        cause = recorder.cause_of(mark, 2)
        self.caller = str(mark) if cause else ""
        """The call at its client, as the wire names it, if that is recorded too."""
        arguments = (method, context.peer(), self.caller)
        left_s = self._left_s()
        request = recorder.begin(SERVE, arguments, left_s, Origin.IO, cause=cause)
        self.serving = Handling(recorder, request, self._left_s)

    def _left_s(self) -> float | None:
        left_s = self._context.time_remaining()
        return None if left_s is None or left_s > ENDLESS_S else left_s

    @contextmanager
    def running(self) -> Generator[None]:
        """Surround what the handler does."""
        serving, cause = HANDLING.set(self.serving), CAUSE.set(self.serving.request)
        try:
            yield
        finally:
            CAUSE.reset(cause)
            HANDLING.reset(serving)

    def enter(self, context: Any) -> Any:
        """Begin the handler in a task of its own; return what it gets for its ``context``."""
        HANDLING.set(self.serving)
        CAUSE.set(self.serving.request)
        return _AbortingContext(self._recorder, self, context) if self.caller else context

    def returned(self) -> None:
        """Record that the handler has ended, with the status that it has set."""
        self._end(self._status(Status.OK), self._details(""), None)

    def raised(self, error: BaseException) -> None:
        """Record that the handler has raised, was aborted, or was cancelled."""
        code = self._status(Status.UNKNOWN)
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            is_over = isinstance(error, GeneratorExit) or is_cancelling(asyncio.current_task())
            if is_over:
                self.serving.ends_outside()
            code = Status.CANCELLED
        by = raising(self._recorder.runtime, error.__traceback__)
        self._end(code, self._details(describe(error)), by)

    def left(self) -> None:
        """Record that gRPC takes no more responses: the call is over."""
        self.serving.ends_outside()
        self._end(Status.CANCELLED, "", None)

    def aborts(self, code: Any, details: str, trailers: Any) -> Any:
        """Record that the handler aborts its call; returns the trailing metadata to send."""
        by = asking(self._recorder.runtime)
        mark = self._mark_end(value_of(code), details or self._details(""), by)
        return trailers if mark is None else (*(trailers or self._trailers()), mark)

    def _end(self, code: int, details: str, by: Any) -> None:
        mark = self._mark_end(code, details, by)
        if mark is not None:
            self._context.set_trailing_metadata((*self._trailers(), mark))

    def _mark_end(self, code: int, details: str, by: Any) -> tuple[str, str] | None:
        """Record the end; return what lets a client that records too know the turn, if it cares."""
        request = self.serving.request
        if request.status is not OUTSTANDING:
            return None
        is_over = self.serving.marked
        turn = self._recorder.end_serve(request, code, details, by)
        is_told = code and self.caller and not is_over
        return (CAUSE_KEY, self._recorder.mark(turn)) if is_told else None

    def _trailers(self) -> Any:
        context = self._context
        return (
            context.trailing_metadata() if hasattr(context, "trailing_metadata") else None
        ) or ()

    def _status(self, otherwise: Status) -> int:
        code = self._context.code() if hasattr(self._context, "code") else None
        return otherwise if code is None else value_of(code)

    def _details(self, otherwise: str) -> str:
        details = self._context.details() if hasattr(self._context, "details") else None
        if isinstance(details, bytes):
            details = details.decode(errors="replace")
        return details or otherwise


class _AbortingContext:
    """A context of ``grpc.aio``, whose ``abort`` sends the status before its handler is back."""

    def __init__(self, recorder: Recorder, call: ServerCall, context: Any) -> None:
        self._recorder = recorder
        self._call = call
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> None:
        sent = self._recorder.safely(self._call.aborts, code, details, trailing_metadata)
        await self._context.abort(code, details, trailing_metadata if sent is None else sent)

    async def abort_with_status(self, status: Any) -> None:
        await self.abort(status.code, status.details, status.trailing_metadata)


# --- handlers, in a step behind us ---------------------------------------------------------------


class _Responses(Iterator[Any]):
    """The responses of a handler, as gRPC takes them."""

    def __init__(self, recorder: Recorder, call: ServerCall, responses: Iterator[Any]) -> None:
        self._recorder = recorder
        self._call = call
        self._responses = responses

    def __next__(self) -> Any:
        with self._call.running():
            try:
                return next(self._responses)
            except StopIteration:
                self._recorder.safely(self._call.returned)
                raise
            except BaseException as error:
                self._recorder.safely(self._call.raised, error)
                raise

    def __del__(self) -> None:
        if self._call.serving.request.status is OUTSTANDING:
            self._recorder.put_off(self._call.left)


def _begun(recorder: Recorder, method: str, context: Any) -> ServerCall | None:
    call = recorder.safely(ServerCall, recorder, method, context)
    if call is not None and hasattr(context, "add_callback"):
        context.add_callback(functools.partial(recorder.safely, call.serving.ends_outside))
    return call


def _one(recorder: Recorder, method: str, behavior: Behavior) -> Behavior:
    @functools.wraps(behavior)
    def handle(request: Any, context: Any) -> Any:
        call = _begun(recorder, method, context)
        if call is None:
            return behavior(request, context)
        with call.running():
            try:
                response = behavior(request, context)
            except BaseException as error:
                recorder.safely(call.raised, error)
                raise
            recorder.safely(call.returned)
            return response

    return handle


def _many(recorder: Recorder, method: str, behavior: Behavior) -> Behavior:
    @functools.wraps(behavior)
    def handle(request: Any, context: Any) -> Iterator[Any]:
        call = _begun(recorder, method, context)
        if call is None:
            return behavior(request, context)  # type: ignore[no-any-return]
        with call.running():
            try:
                return _Responses(recorder, call, iter(behavior(request, context)))
            except BaseException as error:
                recorder.safely(call.raised, error)
                raise

    return handle


def _one_async(recorder: Recorder, method: str, behavior: Behavior) -> Behavior:
    @functools.wraps(behavior)
    async def handle(request: Any, context: Any) -> Any:
        call = recorder.safely(ServerCall, recorder, method, context)
        if call is None:
            return await behavior(request, context)
        try:
            response = await behavior(request, call.enter(context))
        except BaseException as error:
            recorder.safely(call.raised, error)
            raise
        recorder.safely(call.returned)
        return response

    return handle


def _many_async(recorder: Recorder, method: str, behavior: Behavior) -> Behavior:
    @functools.wraps(behavior)
    async def handle(request: Any, context: Any) -> AsyncIterator[Any]:
        call = recorder.safely(ServerCall, recorder, method, context)
        if call is not None:
            context = call.enter(context)
        try:
            async with aclosing(behavior(request, context)) as responses:
                async for response in responses:
                    yield response
        except BaseException as error:
            if call is not None:
                recorder.safely(call.raised, error)
            raise
        if call is not None:
            recorder.safely(call.returned)

    return handle


def _step(behavior: Behavior, *, streams: bool, is_aio: bool) -> Callable[..., Behavior]:
    """Return what makes a handler of the same kind."""
    if is_aio and inspect.iscoroutinefunction(behavior):
        return _one_async
    if is_aio and inspect.isasyncgenfunction(behavior):
        return _many_async
    return _many if streams else _one


_SHAPES: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def _with_step(recorder: Recorder, method: str, handler: Any, *, is_aio: bool) -> Any:
    """Return a handler with a step in front; one that we don't understand as it is."""
    name, make = _SHAPES[bool(handler.request_streaming), bool(handler.response_streaming)]
    behavior = getattr(handler, name)
    if getattr(behavior, "experimental_non_blocking", False) or inspect.isawaitable(behavior):
        return handler
    step = _step(behavior, streams=bool(handler.response_streaming), is_aio=is_aio)
    serializers = handler.request_deserializer, handler.response_serializer
    return make(step(recorder, method, behavior), *serializers)


class _ServerInterceptor(grpc.ServerInterceptor):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        handler, method = continuation(handler_call_details), handler_call_details.method
        return handler and _with_step(self._recorder, method, handler, is_aio=False)


class _AioServerInterceptor(grpc.aio.ServerInterceptor):
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def intercept_service(
        self, continuation: Callable[..., Any], handler_call_details: Any
    ) -> Any:
        handler, method = await continuation(handler_call_details), handler_call_details.method
        return handler and _with_step(self._recorder, method, handler, is_aio=True)


def server_interceptor(runtime: Runtime, *, label: str = "grpc server") -> grpc.ServerInterceptor:
    """Return what records the calls that a server handles, for ``grpc.server(interceptors=)``.

    Handlers, their results, errors and contexts stay what they are; if nothing can be recorded,
    they go on all the same.

    Args:
        runtime: Whose log tells of the calls.
        label: What the log calls the server.

    Raises:
        RescindError: The runtime is closed, or its log has failed.
    """
    return _ServerInterceptor(Recorder(runtime, label))


def aio_server_interceptor(
    runtime: Runtime, *, label: str = "grpc.aio server"
) -> grpc.aio.ServerInterceptor:
    """Return the same for ``grpc.aio.server(interceptors=)``."""
    return _AioServerInterceptor(Recorder(runtime, label))
