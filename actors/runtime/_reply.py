"""The future that an ask returns: Pykka's contract, without a lock for each future."""

import queue
import sys
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pykka

from ._awaiting import in_thread, until_done
from ._waiting import Waiter, block, wake

if TYPE_CHECKING:
    from ._runtime import Runtime

T = TypeVar("T")
ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class Reply(pykka.Future[T]):
    """A value that an actor will give, or the exception that it raised.

    Threads: any may wait; inside a turn the wait splits the turn, and other actors go on.
    """

    def __init__(self, runtime: "Runtime | None" = None, target: int = 0) -> None:
        """Belong to ``runtime`` and be answered by the actor ``target``; both may be unknown."""
        super().__init__()
        self.runtime = runtime
        self.target = target
        self.waiter: Waiter | None = None
        self.turn = 0
        """The turn that answered: the cause of what the waiter does next."""
        self.is_inside = False
        """Asked for inside a turn: answered at once, because messages between actors don't wait."""
        self._done = False
        self._value: T | None = None
        self._exc_info: ExcInfo | None = None

    @property
    def is_done(self) -> bool:
        """Tell whether the value or the exception is there."""
        return self._done

    @property
    def taker(self) -> int:
        """The actor that was asked."""
        return self.target

    def get(self, *, timeout: float | None = None) -> Any:
        """Return the value or raise the exception.

        Raises:
            UsageError: it would stop the event loop that runs the runtime's turns: await instead.
            pykka.Timeout: nothing came within ``timeout`` seconds; the ask goes on.
        """
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        if not self._done and not self._wait(timeout):
            raise pykka.Timeout(f"{timeout} seconds")
        if self._exc_info is None:
            return self._value
        kind, value, trace = self._exc_info
        if value is None:
            value = RuntimeError("the exception got lost") if kind is None else kind()
        raise value.with_traceback(trace)

    def __await__(self) -> Generator[Any, None, T]:
        """Wait in a coroutine; its loop goes on meanwhile, under every dispatcher."""
        return self._get_async().__await__()

    __iter__ = __await__

    async def _get_async(self) -> Any:
        if self._get_hook is not None:
            # What a future is mapped with may take long, and waits for others in its own way.
            return await in_thread(self.get)
        if self.runtime is not None:
            await self.runtime.wait_async(self)
        else:
            await until_done(self)
        return self.get()

    def _wait(self, timeout_s: float | None) -> bool:
        if self.runtime is None:
            return block(self, timeout_s, lambda: False)
        return self.runtime.wait(self, timeout_s)

    def set(self, value: T | None = None) -> None:
        """Give the value.

        Raises:
            queue.Full: the future has one already (Pykka's own contract).
        """
        self._finish(value, None)

    def set_exception(self, exc_info: Any = None) -> None:
        """Give an exception, the one being handled by default.

        Raises:
            queue.Full: the future has a result already.
        """
        self._finish(None, sys.exc_info() if exc_info is None else exc_info)

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have ``func`` give the value; it is called with the time-out of ``get``, in seconds.

        Raises:
            queue.Full: the future has a result already.
        """
        if self._done:
            raise queue.Full
        super().set_get_hook(func)

    def _finish(self, value: T | None, exc_info: ExcInfo | None) -> None:
        if self._done or self._get_hook is not None:
            raise queue.Full
        self._value, self._exc_info = value, exc_info
        self._done = True
        wake(self)

    def outcome(self) -> tuple[T | None, BaseException | None]:
        """Return the value or the exception that was given."""
        return self._value, None if self._exc_info is None else self._exc_info[1]


def finish(reply: Reply[Any], value: Any, exc_info: ExcInfo | None) -> None:
    """Give a reply its value or its exception."""
    if exc_info is None:
        reply.set(value)
    else:
        reply.set_exception(exc_info)
