"""Whose line of code it was that gRPC and an event loop stand before."""

import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from rescind.actors.runtime import Runtime
from rescind.actors.runtime._context import Caller

from ._intercept import Seen

if TYPE_CHECKING:
    import asyncio

_BETWEEN = ("rescind.actors.", "grpc.", "asyncio.", "concurrent.", "contextlib.", "threading.")
"""Who calls on behalf of others."""
_LOOP = frozenset({"asyncio.events", "asyncio.base_events", "asyncio.runners"})
"""Where a loop begins: what is below has called nobody, it only runs the loop."""


def asking_frame() -> FrameType | None:
    """Return the innermost frame of the application's; None where a loop or a library acts."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name in _LOOP:
            return None
        if not f"{name}.".startswith(_BETWEEN):
            return frame
        frame = frame.f_back
    return None


def asking(runtime: Runtime) -> Seen | None:
    """Return who is asking in the running code, and at which line of the application's."""
    frame = asking_frame()
    return None if frame is None else runtime.callers.seen(frame)


def raising(runtime: Runtime, trace: TracebackType | None) -> Seen | None:
    """Return who raised, and at which line of the application's."""
    found = None
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if not f"{name}.".startswith(_BETWEEN):
            found = trace
        trace = trace.tb_next
    if found is None:
        return None
    frame = found.tb_frame
    return Caller(runtime.callers.who(), frame.f_code, found.tb_lasti, found.tb_lineno)


def is_collected() -> bool:
    """Tell whether a finalizer is running: a garbage collection may have begun anywhere."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False


def is_time_out() -> bool:
    """Tell whether a time-out of asyncio's is running: ``asyncio.timeout`` or ``wait_for``."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        if frame.f_globals.get("__name__", "") in _TIME_OUTS:
            return True
        frame = frame.f_back
    return False


_TIME_OUTS = frozenset({"asyncio.timeouts", "async_timeout"})


def awaiting(task: "asyncio.Task[Any] | None") -> Seen | None:
    """Return a task that waits, and the innermost line of the application's at which it does."""
    found, coroutine = None, None if task is None else task.get_coro()
    while coroutine is not None:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None)
        name = "" if frame is None else frame.f_globals.get("__name__", "")
        if frame is not None and not f"{name}.".startswith(_BETWEEN):
            found = frame
        coroutine = getattr(coroutine, "cr_await", None)
    if task is None or found is None:
        return None
    who = (f"task {task.get_name()}", 0)
    return Caller(who, found.f_code, found.f_lasti, found.f_lineno)


def is_cancelling(task: "asyncio.Task[Any] | None") -> bool:
    """Tell whether somebody has asked for the end of a task."""
    return task is not None and task.cancelling() > 0
