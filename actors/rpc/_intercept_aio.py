"""The client interceptors of ``grpc.aio``.

With any interceptor, the application holds an object of gRPC's that stands for the call, and what
the interceptor returns stands behind that: here a step in front of the real call, of the same kind.
It hears of ``cancel``, and of who cancels the task that awaits the call.

Nothing of it keeps a call alive that nobody holds any more, because gRPC cancels such a one; so the
real call is told of through a callback that does not know it.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any

import grpc.aio

from rescind.actors.runtime import Runtime

from ._intercept import Recorder, value_of
from ._intercept_client import ClientCall, with_mark
from ._intercept_who import asking, awaiting, is_collected, is_time_out
from ._status import CALL_KEY

TIME_OUT = "a time-out of asyncio"
"""Why a task was cancelled that nobody cancelled by a call."""

Note = Callable[["asyncio.Task[Any] | None"], None]
"""Is told which task is being cancelled, on the stack of whoever does that."""


class Waiting:
    """What a task waits for that awaits a call: a step in front of the real future.

    ``Task.cancel`` cancels it on the stack of whoever cancels: so the log knows who that was.
    """

    def __init__(self, future: "asyncio.Future[Any]", note: Note) -> None:
        """Stand before ``future``."""
        self._future = future
        self._note = note
        self._task = asyncio.current_task()
        self._asyncio_future_blocking = True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the future's loop."""
        return self._future.get_loop()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Any = None) -> None:
        """Have the task woken by the future itself."""
        self._future.add_done_callback(callback, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the future, as the task would have."""
        self._note(self._task)
        return self._future.cancel(msg=msg)


class Watched:
    """Awaits something for a task, with a step in front of each future that the task waits for."""

    __slots__ = ("_awaitable", "_note")

    def __init__(self, awaitable: Any, note: Note) -> None:
        """Await ``awaitable``."""
        self._awaitable = awaitable
        self._note = note

    def __await__(self) -> Generator[Any, Any, Any]:
        """Do what the awaitable does."""
        steps = self._awaitable.__await__()
        step: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waits_for = step()
            except StopIteration as stop:
                return stop.value
            if getattr(waits_for, "_asyncio_future_blocking", None):
                waits_for._asyncio_future_blocking = False  # noqa: SLF001  # asyncio's protocol
                waits_for = Waiting(waits_for, self._note)
            try:
                yield waits_for
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001  # it goes where the task sent it
                step = partial(steps.throw, error)
            else:
                step = partial(next, steps)


class _Responses(AsyncIterator[Any]):
    """The responses of a stream, as a task takes them."""

    def __init__(self, responses: AsyncIterator[Any], note: Note) -> None:
        self._responses = responses
        self._note = note

    def __aiter__(self) -> "_Responses":
        return self

    def __anext__(self) -> Any:
        return Watched(self._responses.__anext__(), self._note)


# --- the call ------------------------------------------------------------------------------------


class _Call:
    """A call that is watched; all that it does, the real one does."""

    def __init__(self, call: Any, watched: ClientCall, recorder: Recorder) -> None:
        self._call = call
        self._watched = watched
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def cancel(self) -> bool:
        # A finalizer of gRPC's cancels every call, ended ones too.
        if not is_collected():
            note = self._watched.cancelled_late if self._call.done() else self._watched.will_cancel
            self._recorder.safely(note)
        return self._call.cancel()  # type: ignore[no-any-return]

    def _note(self, task: "asyncio.Task[Any] | None") -> None:
        self._recorder.safely(_note_task, self._watched, self._recorder.runtime, task)

    def cancelled(self) -> bool:
        return self._call.cancelled()  # type: ignore[no-any-return]

    def done(self) -> bool:
        return self._call.done()  # type: ignore[no-any-return]

    def time_remaining(self) -> Any:
        return self._call.time_remaining()

    def add_done_callback(self, callback: Any) -> None:
        self._call.add_done_callback(callback)

    async def initial_metadata(self) -> Any:
        return await self._call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        return await self._call.trailing_metadata()

    async def code(self) -> Any:
        return await self._call.code()

    async def details(self) -> Any:
        return await self._call.details()

    async def wait_for_connection(self) -> None:
        await self._call.wait_for_connection()


class _OneResponse(_Call):
    def __await__(self) -> Generator[Any, Any, Any]:
        return Watched(self._call, self._note).__await__()


class _ManyResponses(_Call):
    def __aiter__(self) -> AsyncIterator[Any]:
        return _Responses(self._call.__aiter__(), self._note)

    async def read(self) -> Any:
        return await Watched(self._call.read(), self._note)


class _ManyRequests(_Call):
    async def write(self, request: Any) -> None:
        await self._call.write(request)

    async def done_writing(self) -> None:
        await self._call.done_writing()


class _UnaryUnary(_OneResponse, grpc.aio.UnaryUnaryCall[Any, Any]):
    pass


class _UnaryStream(_ManyResponses, grpc.aio.UnaryStreamCall[Any, Any]):
    pass


class _StreamUnary(_OneResponse, _ManyRequests, grpc.aio.StreamUnaryCall[Any, Any]):
    pass


class _StreamStream(_ManyResponses, _ManyRequests, grpc.aio.StreamStreamCall[Any, Any]):
    pass


def _note_task(watched: ClientCall, runtime: Runtime, task: "asyncio.Task[Any] | None") -> None:
    """Note who cancels the task that awaits a call."""
    by, reason = asking(runtime), ""
    if by is None and is_time_out():
        by, reason = awaiting(task), TIME_OUT
    elif by is None and watched.serving is not None and asyncio.current_task() is not None:
        # No line of anybody's: gRPC ends the handler, because its own call is over.
        watched.serving.ends_outside()
    watched.note_cancel(by, reason)


# --- its end -------------------------------------------------------------------------------------


def _watch(call: Any, watched: ClientCall, recorder: Recorder) -> None:
    """Hear of the end of a call, in a way that does not keep it alive.

    ``Call.add_done_callback`` ties the call into a circle, and only a collector would free it.
    """
    if call.done():
        _record_end(call, watched)
        return
    end = partial(_end, weakref.ref(call), watched, recorder)
    core = getattr(call, "_cython_call", None)
    if core is None:
        call.add_done_callback(partial(_drop_argument, end))
    else:
        core.add_done_callback(end)


def _drop_argument(callback: Callable[[], None], _: Any) -> None:
    callback()


def _end(reference: Callable[[], Any], watched: ClientCall, recorder: Recorder) -> None:
    if is_collected():
        recorder.put_off(watched.dropped)
        return
    call = reference()
    if call is None:
        recorder.safely(watched.dropped)
    else:
        recorder.safely(_record_end, call, watched)


def _record_end(call: Any, watched: ClientCall) -> None:
    code, details = _now(call.code()), _now(call.details())
    watched.ended(value_of(code), details or "", _now(call.trailing_metadata()))


def _now(coroutine: Any) -> Any:
    """Return what a coroutine has to say that need not wait; None if it must."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    return None


# --- the interceptors ----------------------------------------------------------------------------


class _Interceptor:
    """Records one of the four shapes of calls."""

    def __init__(self, recorder: Recorder, shape: type[_Call]) -> None:
        self._recorder = recorder
        self._shape = shape

    async def _intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        recorder, method = self._recorder, details.method
        if isinstance(method, bytes):
            method = method.decode(errors="replace")
        watched = recorder.safely(ClientCall, recorder, method, details.timeout)
        if watched is None:
            return await continuation(details, request)
        metadata = grpc.aio.Metadata(*(details.metadata or ()), (CALL_KEY, watched.mark))
        try:
            call = await continuation(with_mark(details, metadata), request)
        except BaseException as error:
            recorder.safely(watched.failed, error)
            raise
        recorder.safely(_watch, call, watched, recorder)
        return self._shape(call, watched, recorder)


class _UnaryUnaryInterceptor(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _Interceptor._intercept  # noqa: SLF001  # its base


class _UnaryStreamInterceptor(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _Interceptor._intercept  # noqa: SLF001


class _StreamUnaryInterceptor(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _Interceptor._intercept  # noqa: SLF001


class _StreamStreamInterceptor(_Interceptor, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _Interceptor._intercept  # noqa: SLF001


def aio_client_interceptors(
    runtime: Runtime, *, label: str = "grpc.aio client"
) -> list[grpc.aio.ClientInterceptor]:
    """Return what records the calls of a channel of ``grpc.aio``, for its ``interceptors=``.

    The application's calls, results, exceptions and cancels stay what they are; if nothing can be
    recorded, they go on all the same.

    Args:
        runtime: Whose log tells of the calls.
        label: What the log calls the channel.

    Raises:
        RescindError: The runtime is closed, or its log has failed.
    """
    recorder = Recorder(runtime, label)
    return [
        _UnaryUnaryInterceptor(recorder, _UnaryUnary),
        _UnaryStreamInterceptor(recorder, _UnaryStream),
        _StreamUnaryInterceptor(recorder, _StreamUnary),
        _StreamStreamInterceptor(recorder, _StreamStream),
    ]
