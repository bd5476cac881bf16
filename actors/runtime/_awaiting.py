"""What coroutines wait with, and callbacks that are coroutine functions."""

import asyncio
import contextlib
from asyncio import _get_running_loop  # the public one raises where there is none
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from ._errors import UsageError
from ._waiting import Waitable, waiter_of

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any] | None)


def on_loop(function: F) -> F:
    """Return ``function``, or what starts it as a task of the running loop if it is a coroutine's.

    Raises:
        UsageError: it is a coroutine function, and no loop is running.
    """
    if function is None or not iscoroutinefunction(function):
        return function
    return _started_on_running_loop(function)  # type: ignore[return-value]


async def until_done(waitable: Waitable) -> None:
    """Return when ``waitable`` is done, or when its runtime has failed; the loop goes on.

    A waitable that wants to hear when the waiting task is cancelled has ``future_in``, which makes
    the future that the task waits for.
    """
    loop = asyncio.get_running_loop()
    future_in = getattr(waitable, "future_in", None)
    future: asyncio.Future[None] = future_in(loop) if future_in else loop.create_future()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_finish, future)

    waiter = waiter_of(waitable)
    waiter.calls.append(tell)
    try:
        if not waitable.is_done:
            await future
    finally:
        waiter.calls.remove(tell)


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _started_on_running_loop(
    function: Callable[..., Coroutine[Any, Any, object]],
) -> Callable[..., None]:
    loop = _get_running_loop()
    if loop is None:
        raise UsageError(
            f"{function!r} is a coroutine function, so give it where an event loop is running",
        )
    tasks: set[asyncio.Task[object]] = set()

    def start(arguments: tuple[Any, ...]) -> None:
        task = loop.create_task(function(*arguments))
        tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(tasks.discard)

    def callback(*arguments: Any) -> None:
        # The context goes along: what the task does is a consequence of this delivery.
        loop.call_soon_threadsafe(start, arguments, context=copy_context())

    return callback


async def in_thread(function: Callable[[], T]) -> T:
    """Call ``function`` where it may block."""
    return await asyncio.to_thread(function)
