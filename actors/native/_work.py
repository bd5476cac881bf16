"""Work that actors give away: the native dialect's driver, and its twin.

A function runs in a thread, a coroutine in an event loop; both run outside of turns, after the turn
that gave them away is as durable as asked for.  What they return or raise comes back as an
``Answer``.  A cancel reaches a coroutine as ``CancelledError``, and a function through its token,
which it may look at or not.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Protocol

from rescind.actors.runtime import CAUSE, UsageError, describe
from rescind.events import Answer, Origin, UnrecordableError, check_recordable

from ._errors import WorkCancelled
from ._protocol import Code

if TYPE_CHECKING:
    from ._request import Request
    from ._requests import Requests

logger = logging.getLogger("rescind.work")


class Token:
    """Tells work that its request was cancelled.

    Threads: any.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        """Begin uncancelled."""
        self._told = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Tell whether the work should end."""
        return self._told.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until the work should end, or ``timeout_s`` seconds; tell whether it should."""
        return self._told.wait(timeout_s)

    def check(self) -> None:
        """Raise ``WorkCancelled`` if the work should end."""
        if self._told.is_set():
            raise WorkCancelled

    def cancel(self) -> None:
        """Tell it."""
        self._told.set()


_TOKEN: ContextVar[Token | None] = ContextVar("rescind_token", default=None)


def current_token() -> Token:
    """Return the token of the work that this code is part of.

    Raises:
        UsageError: It is part of none.
    """
    token = _TOKEN.get()
    if token is None:
        raise UsageError("there is a token only inside work that an actor gave away")
    return token


class Work:
    """What is to be done for a request, how far it is, and what came of it."""

    __slots__ = ("args", "error", "function", "grace_ns", "stop", "token", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], grace_ns: int) -> None:
        """Call ``function`` with ``args``; once told to end, wait so long for it to do so."""
        self.function = function
        self.args = args
        self.grace_ns = grace_ns
        self.token = Token()
        self.value: Any = None
        self.error: BaseException | None = None
        self.stop: Callable[[], object] = self.token.cancel
        """Tells it to end."""


class Driver(Protocol):
    """Does the work.  Every method is called after a commit, without the baton."""

    def begin(self, request: "Request") -> None:
        """Do the work of a request, elsewhere, and report to it with ``answer``."""
        ...

    def stop(self, request: "Request") -> None:
        """Tell the work of a request that it was cancelled."""
        ...

    def close(self) -> None:
        """Do nothing more."""
        ...


def answer(request: "Request", value: Any, error: BaseException | None) -> None:
    """Report what came of a request's work; any thread."""
    work: Work = request.spec
    if error is None and request.runtime.strict:
        try:
            check_recordable(value, "the result")
        except UnrecordableError as refusal:
            error = refusal
    work.error = error
    if error is None:
        said = Answer(request.number, None, value)
    elif work.token.is_cancelled and isinstance(error, _ENDED):
        said = Answer(request.number, Code.STOPPED, None)
    else:
        said = Answer(request.number, Code.RAISED, describe(error))
    request.runtime.post(request, said, Origin.IO, request.turn)


_ENDED = (WorkCancelled, asyncio.CancelledError)
"""What work raises that was told to end, and does."""


class Workers:
    """The real driver: threads for functions, an event loop for coroutines."""

    def __init__(self, requests: "Requests") -> None:
        """Serve the requests of one runtime."""
        self._runtime = requests.runtime

    def begin(self, request: "Request") -> None:
        """Begin the work, unless it was cancelled meanwhile."""
        work: Work = request.spec
        context = copy_context()
        context.run(CAUSE.set, request)
        context.run(_TOKEN.set, work.token)
        if self._runtime.observer is not None:
            context.run(self._runtime.observer.enter, request.number)
        if inspect.iscoroutinefunction(work.function):
            function, args = work.function, work.args
            self._begin_coroutine(request, lambda: context.run(function, *args), context)
        else:
            self._runtime.dispatcher.perform(lambda: context.run(self._call, request))

    def _call(self, request: "Request") -> None:
        """Call a function and report; in a thread, in the work's context."""
        work: Work = request.spec
        if work.token.is_cancelled:
            return
        try:
            value = work.function(*work.args)
        except BaseException as error:  # noqa: BLE001  # reported to whoever asked
            answer(request, None, error)
        else:
            if inspect.iscoroutine(value):
                self._begin_coroutine(request, lambda: value, copy_context())
            else:
                answer(request, value, None)

    def _begin_coroutine(
        self, request: "Request", make: Callable[[], Coroutine[Any, Any, Any]], context: Context
    ) -> None:
        loop = self._runtime.dispatcher.loop()
        work: Work = request.spec

        def begin() -> None:
            if work.token.is_cancelled:
                return
            task = loop.create_task(make(), name=repr(request), context=context)
            task.add_done_callback(lambda task: _report(request, task))
            work.stop = lambda: loop.call_soon_threadsafe(task.cancel)

        loop.call_soon_threadsafe(begin)

    def stop(self, request: "Request") -> None:
        """Tell the work that it was cancelled."""
        work: Work = request.spec
        work.token.cancel()
        work.stop()

    def close(self) -> None:
        """Do nothing: the dispatcher ends its threads."""


def _report(request: "Request", task: "asyncio.Task[Any]") -> None:
    if task.cancelled():
        answer(request, None, asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        answer(request, None, error)
    else:
        answer(request, task.result(), None)


class Twin:
    """Stands in for the real driver: a test decides when work ends, and how.

    Attributes:
        pending: Requests whose work was begun and is not over, in order.
        told: Requests whose work was told to end, in order.
    """

    def __init__(self, runtime: Any) -> None:
        """Take the place of the driver of ``runtime``.

        Raises:
            UsageError: Work that was given away before is not over.
        """
        # Here, because the requests import this module.
        from ._requests import requests_of  # noqa: PLC0415

        self.pending: list[Request] = []
        self.told: list[Request] = []
        requests = requests_of(runtime)
        if any(each.spec is not None for each in requests.requests.values()):
            raise UsageError("work was given away already; take the twin before any is")
        requests.driver = self

    def begin(self, request: "Request") -> None:
        """Remember it."""
        self.pending.append(request)

    def stop(self, request: "Request") -> None:
        """Remember that too."""
        request.spec.token.cancel()
        self.told.append(request)

    def close(self) -> None:
        """Do nothing."""

    def complete(self, request: "Request | None" = None, value: Any = None) -> None:
        """Let a request's work, by default the oldest, end with a value."""
        answer(self._take(request), value, None)

    def fail(self, error: BaseException, request: "Request | None" = None) -> None:
        """Let it raise."""
        answer(self._take(request), None, error)

    def end(self, request: "Request | None" = None) -> None:
        """Let it end as work does that was told to."""
        answer(self._take(request), None, WorkCancelled())

    def _take(self, request: "Request | None") -> "Request":
        if not self.pending:
            raise UsageError("no work is pending; step the runtime until it has begun")
        found = self.pending[0] if request is None else request
        self.pending.remove(found)
        return found
