"""A gRPC application that knows nothing of us: a server and what its clients do, in both stacks."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
import grpc.aio

METHODS = {
    "Echo": "unary_unary",
    "Fail": "unary_unary",
    "Raise": "unary_unary",
    "Wait": "unary_unary",
    "Count": "unary_stream",
    "Endless": "unary_stream",
    "Sum": "stream_unary",
    "Chat": "stream_stream",
}
MAKE = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


class Methods(grpc.GenericRpcHandler):
    """The handlers of one server."""

    def __init__(self, handlers: dict[str, Callable[..., Any]]) -> None:
        self.handlers = handlers

    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.rpartition("/")[2]
        behavior = self.handlers.get(name)
        return behavior and MAKE[METHODS[name]](behavior)


# --- the synchronous stack -----------------------------------------------------------------------

running = threading.Semaphore(0)
"""Released by each handler that waits, once it does."""


def echo(request: bytes, context: Any) -> bytes:
    context.send_initial_metadata((("greeting", "hello"),))
    context.set_trailing_metadata((("farewell", "bye"),))
    return request


def fail(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("farewell", "bye"),))
    context.abort(grpc.StatusCode[request.decode()], "the shop is closed")
    raise AssertionError


def fail_softly(request: bytes, context: Any) -> bytes:
    context.set_code(grpc.StatusCode[request.decode()])
    context.set_details("out of stock")
    return b""


def raise_(request: bytes, context: Any) -> bytes:
    raise LookupError(request.decode())


def wait(request: bytes, context: Any) -> bytes:
    ended = threading.Event()
    assert context.add_callback(ended.set)
    running.release()
    assert ended.wait(30)
    return b"late"


def count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def endless(request: bytes, context: Any) -> Iterator[bytes]:
    number = 0
    while True:
        yield b"%d" % number
        number += 1
        time.sleep(0.001)


def sum_(requests: Iterator[bytes], context: Any) -> bytes:
    return b"%d" % sum(map(int, requests))


def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        yield request.upper()


HANDLERS: dict[str, Callable[..., Any]] = {
    "Echo": echo, "Fail": fail, "Raise": raise_, "Wait": wait, "Count": count,
    "Endless": endless, "Sum": sum_, "Chat": chat,
}  # fmt: skip


@contextmanager
def serving(
    interceptors: Any = (), handlers: dict[str, Callable[..., Any]] | None = None
) -> Iterator[int]:
    """Serve on a port of this machine; ends all calls at the end."""
    server = grpc.server(futures.ThreadPoolExecutor(8), interceptors=interceptors)
    server.add_generic_rpc_handlers((Methods({**HANDLERS, **(handlers or {})}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@contextmanager
def channel_to(port: int, interceptors: Any = ()) -> Iterator[grpc.Channel]:
    """Connect to a port of this machine."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield grpc.intercept_channel(channel, *interceptors) if interceptors else channel


def method(channel: Any, name: str) -> Any:
    """Return a method of the shop's."""
    return getattr(channel, METHODS[name])(f"/shop.Shop/{name}")


def ours_apart(metadata: Any) -> list[tuple[str, Any]]:
    """Return metadata without what the interceptors add, and without what the library does."""
    return [(k, v) for k, v in metadata or () if not k.startswith("rescind-")]


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or what it raises, in words."""
    try:
        return call()
    except grpc.FutureCancelledError:
        return "FutureCancelledError"
    except grpc.RpcError as error:
        told: Any = error
        trailers = ours_apart(told.trailing_metadata())
        return type(error).__name__, told.code(), told.details(), trailers


def everything(channel: Any) -> list[Any]:
    """Return what an application sees that does all that can be done."""
    seen: list[Any] = []
    echo_ = method(channel, "Echo")
    seen.append(outcome(lambda: echo_(b"a", metadata=(("who", "me"),))))
    response, call = echo_.with_call(b"b", timeout=30)
    seen += [response, call.code(), call.initial_metadata()[0], list(call.trailing_metadata())]
    future = echo_.future(b"c")
    heard = threading.Event()
    future.add_done_callback(lambda _: heard.set())
    seen += [future.result(), future.done(), future.cancelled(), future.code(), heard.wait(30)]
    seen += [future.exception(), list(future.trailing_metadata())]
    for status in ("ABORTED", "CANCELLED", "UNAVAILABLE", "NOT_FOUND"):
        seen.append(outcome(partial(method(channel, "Fail"), status.encode())))
        failed = method(channel, "Fail").future(status.encode())
        seen.append((outcome(failed.result), failed.code(), failed.cancelled()))
    seen.append(outcome(lambda: method(channel, "Raise")(b"shoes")))
    seen.append(outcome(lambda: method(channel, "Wait")(b"", timeout=0.05)))
    seen.append(list(method(channel, "Count")(b"3")))
    seen.append(method(channel, "Sum")(iter([b"1", b"2"])))
    seen.append(method(channel, "Sum").future(iter([b"3", b"4"])).result())
    seen.append(list(method(channel, "Chat")(iter([b"x", b"y"]))))
    for stream in (method(channel, "Endless")(b""), method(channel, "Wait").future(b"")):
        if stream is not None and hasattr(stream, "cancel"):
            seen += [stream.cancel(), stream.cancel(), stream.cancelled(), stream.code()]
            seen += [stream.details(), outcome(stream.result)]
    taken = method(channel, "Endless")(b"")
    seen += [next(taken), next(taken), taken.cancel(), outcome(lambda: list(taken))]
    seen.append(outcome(lambda: channel.unary_unary("/shop.Shop/None")(b"")))
    return seen


# --- grpc.aio ------------------------------------------------------------------------------------


async def aio_echo(request: bytes, context: Any) -> bytes:
    await context.send_initial_metadata((("greeting", "hello"),))
    context.set_trailing_metadata((("farewell", "bye"),))
    return request


async def aio_fail(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("farewell", "bye"),))
    await context.abort(grpc.StatusCode[request.decode()], "the shop is closed")
    raise AssertionError


async def aio_raise(request: bytes, context: Any) -> bytes:
    raise LookupError(request.decode())


async def aio_wait(request: bytes, context: Any) -> bytes:
    running.release()
    await asyncio.Event().wait()
    return b""


async def aio_count(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


async def aio_endless(request: bytes, context: Any) -> None:
    number = 0
    while True:
        await context.write(b"%d" % number)
        number += 1
        await asyncio.sleep(0.001)


async def aio_sum(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b"%d" % sum([int(each) async for each in requests])


async def aio_chat(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request.upper()


AIO_HANDLERS: dict[str, Callable[..., Any]] = {
    "Echo": aio_echo, "Fail": aio_fail, "Raise": aio_raise, "Wait": aio_wait,
    "Count": aio_count, "Endless": aio_endless, "Sum": aio_sum, "Chat": aio_chat,
}  # fmt: skip


@asynccontextmanager
async def aio_serving(
    interceptors: Any = (), handlers: dict[str, Callable[..., Any]] | None = None
) -> AsyncIterator[int]:
    """Serve on a port of this machine."""
    server = grpc.aio.server(interceptors=interceptors)
    server.add_generic_rpc_handlers((Methods({**AIO_HANDLERS, **(handlers or {})}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def aio_outcome(awaitable: Any) -> Any:
    """Return what awaiting brings, in words."""
    try:
        return await awaitable
    except asyncio.CancelledError:
        return "CancelledError"
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details(), ours_apart(error.trailing_metadata())


async def taken_from(stream: Any) -> list[bytes]:
    """Return all that a stream has."""
    return [each async for each in stream]


async def aio_everything(channel: Any) -> list[Any]:
    """Return what an application sees that does all that can be done."""
    seen: list[Any] = []
    echo_ = method(channel, "Echo")
    seen.append(await aio_outcome(echo_(b"a", metadata=(("who", "me"),))))
    call = echo_(b"b", timeout=30)
    heard = asyncio.Event()
    call.add_done_callback(lambda _: heard.set())
    seen += [await call, await call.code(), await call.details(), call.done(), call.cancelled()]
    await heard.wait()
    seen += [list(await call.initial_metadata()), ours_apart(await call.trailing_metadata())]
    for status in ("ABORTED", "CANCELLED", "UNAVAILABLE", "NOT_FOUND"):
        call = method(channel, "Fail")(status.encode())
        seen += [await aio_outcome(call), await call.code(), call.cancelled(), call.cancel()]
    seen.append(await aio_outcome(method(channel, "Raise")(b"shoes")))
    seen.append(await aio_outcome(method(channel, "Wait")(b"", timeout=0.05)))
    seen.append(await taken_from(method(channel, "Count")(b"3")))
    seen.append(await method(channel, "Sum")(iter([b"1", b"2"])))
    seen.append(await taken_from(method(channel, "Chat")(iter([b"x", b"y"]))))
    chat_ = method(channel, "Chat")()
    await chat_.write(b"z")
    seen.append(await chat_.read())
    await chat_.done_writing()
    seen += [await chat_.read() is grpc.aio.EOF, await chat_.code()]
    summing = method(channel, "Sum")()
    await summing.write(b"5")
    await summing.done_writing()
    seen.append(await summing)
    endless_ = method(channel, "Endless")(b"")
    seen += [await endless_.read(), await endless_.read(), endless_.cancel(), endless_.cancel()]
    seen += [endless_.cancelled(), await endless_.code(), await aio_outcome(endless_.read())]
    waiting = method(channel, "Wait")(b"")
    task = asyncio.ensure_future(aio_outcome(waiting))
    await asyncio.to_thread(running.acquire)
    task.cancel()
    seen += [await task, waiting.cancelled(), await waiting.code(), await waiting.details()]
    streaming = asyncio.ensure_future(aio_outcome(taken_from(method(channel, "Endless")(b""))))
    await asyncio.sleep(0.05)
    streaming.cancel()
    seen.append(await streaming)
    try:
        async with asyncio.timeout(0.05):
            await method(channel, "Wait")(b"")
    except TimeoutError:
        seen.append("TimeoutError")
    seen.append(await aio_outcome(channel.unary_unary("/shop.Shop/None")(b"")))
    return seen
