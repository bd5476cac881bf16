"""Ordered deliveries: how completions leave for the application, one endpoint, one queue.

A run of deliveries shares one record, which is written when the run ends.  A run ends early, at the
request whose script is running, when that script calls the runtime: the call needs a turn for its
cause.  Only whoever holds the runtime's world delivers.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rescind.actors.runtime import CAUSE, Runtime, WireCause, describe
from rescind.actors.runtime._ranges import to_ranges
from rescind.events import CompletionScript, Manner, Origin, Returned

from ._request import COMPLETED, DELIVERED, Request

if TYPE_CHECKING:
    from ._endpoint import Endpoint

logger = logging.getLogger("rescind.delivery")

RUN_MAX = 256
"""Deliveries that may share a record."""


class DeliveryRun:
    """Deliveries that share one record, all in one manner."""

    __slots__ = ("_endpoint", "is_running", "manner", "number", "requests")

    def __init__(self, endpoint: "Endpoint", manner: Manner) -> None:
        """Begin empty."""
        self._endpoint = endpoint
        self.manner = manner
        self.requests: list[Request] = []
        self.number = 0
        """The record's number, 0 until it is written."""
        self.is_running = False
        """Whether the last request's script is being called."""

    @property
    def last(self) -> Request:
        """The delivery that was begun last."""
        return self.requests[-1]

    def number_now(self) -> int:
        """Return the record's number, writing it now if need be.  The baton is held."""
        if self.number == 0:
            self.record(running=self.is_running)
        return self.number

    def record(self, *, running: bool) -> None:
        """Write the record, caused by its last completion; the baton is held."""
        ranges = to_ranges([each.number for each in self.requests])
        message = CompletionScript(ranges, running, self.manner)
        runtime = self._endpoint.runtime
        self.number = runtime.note(self._endpoint, message, Origin.ACTOR, self.last.turn)
        if runtime.closing:
            # A script closed the runtime that called it: nothing can be recorded any more.
            for request in self.requests:
                request.finish(DELIVERED)


class News:
    """What goes to the application and completes nothing: received data, a tool's event.

    Attributes:
        subject: whose news it is: a request, or the endpoint itself.
        message: what its delivery is recorded as.
        where: the word for its script where that raises.
        script: what tells the application.
        number: the turn in which it came; from its delivery on the turn of that.
    """

    __slots__ = ("message", "number", "script", "subject", "where")

    def __init__(
        self,
        subject: "Request | Endpoint",
        message: tuple[Any, ...],
        where: str,
        script: Callable[[], object],
        number: int = 0,
    ) -> None:
        """Be on the way; among an outbox's causes it gets the number of the turn."""
        self.subject = subject
        self.message = message
        self.where = where
        self.script = script
        self.number = number

    @property
    def runtime(self) -> "Runtime":
        """Return where it came in."""
        return self.subject.runtime

    def cause(self) -> WireCause:
        """Say what a call is a consequence of that the script makes."""
        return self.number

    def foreign_cause(self) -> WireCause:
        """Say the same to another log."""
        return (self.subject.runtime.log_id, self.number)


class Turnstile:
    """Holds what is behind it until the caller of a synchronous cancel is back (5.3).

    The cancel returns first, and only then the blocked callers that it ended hear of it.
    """

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        """Open when the caller of ``request`` has returned."""
        self.request = request


Delivery: TypeAlias = Request | News | Turnstile


class Lane:
    """The ordered deliveries of one endpoint."""

    def __init__(self, endpoint: "Endpoint") -> None:
        """Begin empty."""
        self._endpoint = endpoint
        self._queue: deque[Delivery] = deque()
        self._run: DeliveryRun | None = None

    def append(self, delivery: Delivery) -> None:
        """Queue a delivery whose cause is durable; committers call it."""
        self._queue.append(delivery)
        if len(self._queue) == 1:
            self._endpoint.runtime.offer(self)

    def deliver(self, *, scripts: bool) -> bool:
        """Deliver up to a run's worth, in order; tell whether more are left."""
        queue = self._queue
        token = CAUSE.set(None)
        try:
            for _ in range(RUN_MAX):
                if not queue or self._must_wait(queue[0], scripts=scripts):
                    break
                # Taken off before the script is called: while the script is blocked in a call of
                # its own, somebody else goes on with the rest.
                head = queue.popleft()
                if isinstance(head, Turnstile) or not self._endpoint.still_tells(head):
                    continue
                if isinstance(head, News):
                    self._call_news(head)
                elif head.status is COMPLETED:
                    self._deliver(head, self._endpoint.manner(head))
        finally:
            CAUSE.reset(token)
            self._close_run()
        return bool(queue) and not self._must_wait(queue[0], scripts=True)

    def next(self) -> Request | News | None:
        """Take the next delivery off without delivering it: for whoever re-executes a log."""
        while self._queue:
            head = self._queue.popleft()
            if isinstance(head, Turnstile) or not self._endpoint.still_tells(head):
                continue
            if isinstance(head, News) or head.status is COMPLETED:
                return head
        return None

    def _must_wait(self, head: Delivery, *, scripts: bool) -> bool:
        if isinstance(head, Turnstile):
            return not head.request.has_returned
        return not scripts and (isinstance(head, News) or self._endpoint.has_script(head))

    def pass_turnstile(self, request: Request) -> None:
        """Let what waits behind a synchronous cancel go on; its caller is back."""
        request.has_returned = True
        self._endpoint.runtime.offer(self)

    def _deliver(self, request: Request, manner: Manner) -> None:
        """Hand one completion over, in the open run or in a new one."""
        run = self._run
        if run is None or run.manner is not manner or run.number != 0:
            self._close_run()
            run = self._run = DeliveryRun(self._endpoint, manner)
        run.requests.append(request)
        error = self._call_script(run, request) if request.asynchronous else None
        if error is not None or run.number != 0:
            self._settle(run, request, error)
        elif request.waiter is not None:
            self._close_run()  # what the waiter does next must find the delivery recorded

    def _call_script(self, run: DeliveryRun, request: Request) -> Exception | None:
        request.run = run
        run.is_running = True
        CAUSE.set(request)
        try:
            self._endpoint.call_script(request, run.manner)
        except Exception as raised:
            logger.debug("the script of %r raised", request, exc_info=True)
            return raised
        finally:
            run.is_running = False
        return None

    def _settle(self, run: DeliveryRun, request: Request, error: Exception | None) -> None:
        """Record the return of a script that was recorded as running, or that raised."""
        if self._run is run:
            self._run = None
        endpoint = self._endpoint
        with endpoint.runtime.baton:
            if run.number == 0:
                run.record(running=True)
            number = run.number
            returned = Returned(request.number, None if error is None else describe(error))
            if not endpoint.runtime.note(endpoint, returned, Origin.APP, number):
                request.finish(DELIVERED)
        if error is not None:
            endpoint.script_raised(error, "completionscript")

    def _call_news(self, news: News) -> None:
        """Tell the application; the delivery is recorded before its script runs."""
        self._close_run()
        endpoint = self._endpoint
        with endpoint.runtime.baton:
            news.number = endpoint.runtime.note(endpoint, news.message, Origin.ACTOR, news.number)
        CAUSE.set(news)
        error = None
        try:
            news.script()
        except Exception as raised:
            logger.debug("the %s of %r raised", news.where, news.subject, exc_info=True)
            error = raised
        with endpoint.runtime.baton:
            returned = Returned(news.subject.number, None if error is None else describe(error))
            endpoint.runtime.note(endpoint, returned, Origin.APP, news.number)
        if error is not None:
            endpoint.script_raised(error, news.where)

    def cut(self) -> None:
        """Record what was delivered so far.  The baton is held; scripts may be running."""
        run = self._run
        if run is not None and run.number == 0:
            run.record(running=run.is_running)

    def _close_run(self) -> None:
        run, self._run = self._run, None
        if run is not None and run.number == 0:
            with self._endpoint.runtime.baton:
                if run.number == 0:
                    run.record(running=False)
