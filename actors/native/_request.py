"""A request to an actor, or work that one gave away: the handle, and what it says of its end."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pykka

from rescind.actors.kernel import _request as kernel
from rescind.actors.kernel._request import COMPLETED, OUTSTANDING
from rescind.actors.runtime import CAUSE, Outbox, Reply, calling_frame, place_of
from rescind.events import (
    CancelEnded,
    CancelOutcome,
    Completed,
    Discarded,
    Entry,
    How,
    Outcome,
    Submit,
)

from ._errors import Cancelled, RequestFailed, TimedOut
from ._protocol import CANCEL, MEANINGS, TASK, Code

if TYPE_CHECKING:
    from rescind.actors.runtime import Waiter

    from ._actor import ActorRef
    from ._requests import Requests

logger = logging.getLogger("rescind.requests")

_TOLD: tuple[Callable[["Request"], object], ...] = (lambda _: None,)
"""Stands for the callbacks of a request when they have been called."""


class Cancelling:
    """One cancel, as long as it goes on and as its victims tell of it."""

    __slots__ = ("cancel", "reason", "root", "trigger", "turn", "victims", "who")

    def __init__(
        self,
        cancel: int,
        root: "Request | None",
        victims: "list[Request]",
        trigger: str,
        who: str,
        reason: str,
    ) -> None:
        """Be about to begin."""
        self.cancel = cancel
        self.root = root
        self.victims = victims
        self.trigger = trigger
        self.who = who
        self.reason = reason
        self.turn = 0


class Request(kernel.Request):
    """What ``ref.request`` and ``self.work`` return: it completes once, and can say why.

    Await it, or wait for it with ``get``; ``cancel`` ends it and all that was asked for its sake.
    Cancelling a task that awaits it cancels it too; see ``observe``.

    Threads: any.  Inside a turn ``get`` splits the turn.
    """

    __slots__ = (
        "asked", "asker", "cancelling", "children", "error", "failed", "incarnation", "is_begun",
        "is_passed_on", "is_told", "is_waiting", "listeners", "message", "parent", "passes_to",
        "shielded", "sink", "then",
    )  # fmt: skip

    redelivered: bool = False
    """Whether a sink may have heard of it before: it completed in an earlier process."""

    def __init__(
        self,
        requests: "Requests",
        number: int,
        operation: str,
        arguments: tuple[Any, ...],
        asked: "ActorRef[Any]",
        timeout_ns: int | None,
    ) -> None:
        """Be outstanding; only ``Requests`` makes them."""
        super().__init__(requests, number, operation, arguments, None, asynchronous=True)
        self.timeout_ns = timeout_ns
        self.asked = asked
        """The actor that was asked; of work, the one that gave it away."""
        self.message: Any = None
        """What the handler got as whose part this was asked for; ``then`` gets it again."""
        self.asker: ActorRef[Any] | None = None
        """The actor whose handler asked, if one did."""
        self.incarnation = 1
        """The asker's, in which it asked."""
        self.is_begun = False
        """Whether the actor that was asked has taken it up."""
        self.is_passed_on = False
        """Whether it ends as another request does."""
        self.parent: Request | None = None
        self.children: dict[int, Request] | None = None
        """Outstanding requests that were made for its sake."""
        self.shielded = False
        self.then: Callable[[Any, Any], Any] | None = None
        self.failed: Callable[[Any, BaseException], Any] | None = None
        self.passes_to: Request | Reply[Any] | None = None
        """What ends as this one does, or as its ``then`` returns."""
        self.cancelling: Cancelling | None = None
        self.is_waiting = False
        """Whether it was told of its cancel and waits for its children."""
        self.is_told = False
        """Whether its work was told to end and has a while to do so."""
        self.error: BaseException | None = None
        self.listeners: tuple[Callable[[Request], object], ...] | None = None
        self.sink = ""
        """The name of what hears of its completion; empty without one."""

    @property
    def requests(self) -> "Requests":
        """All the requests of its runtime."""
        requests: Any = self.endpoint
        return requests  # type: ignore[no-any-return]

    # --- the handle ------------------------------------------------------------------------------

    def cancel(self, reason: str = "") -> Outcome:
        """End the request, and what was asked for its sake.

        Returns:
            ``won``; ``too late``: it had ended; ``duplicate of``: another cancel is ending it.  All
            three are true in a condition: compare.
        """
        return self.cancel_for(CANCEL, reason, place_of(calling_frame()))

    def cancel_for(self, trigger: str, reason: str, who: str) -> Outcome:
        """End it as ``cancel`` does; ``who`` is whom ``Cancelled`` names."""
        runtime = self.runtime
        if runtime.closing:
            return Outcome.TOO_LATE
        message = Submit(trigger, (reason,), asynchronous=False, timeout_ns=None)
        outcome: Outcome = runtime.call(self, message, who)
        runtime.relieve()
        return outcome

    def add_done_callback(self, callback: "Callable[[Request], object]") -> None:
        """Have ``callback`` called with the request when it is done; at once if it is.

        It is called as a script: outside of turns, one at a time, after the completion is as
        durable as asked for.
        """
        with self.runtime.baton:
            if self.listeners is not _TOLD:
                self.listeners = (*(self.listeners or ()), callback)
                return
        callback(self)

    def future_in(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Return what a task waits for that awaits the request: cancelling it cancels this too."""
        return _Waiter(loop, self)

    async def observe(self) -> Any:
        """Wait like ``await``, but a cancelled task only stops to wait; the request goes on."""
        observed: Any = _Observed(self)
        await self.runtime.wait_async(observed)
        return self.get()

    def wait_done(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done; a callback or sink that is called with it need not wait."""
        is_being_told = self.status is not OUTSTANDING and CAUSE.get() is self
        return is_being_told or super().wait_done(timeout_s)

    @property
    def taker(self) -> int:
        """The actor that was asked, as long as its handler has not passed the request on."""
        return 0 if self.spec is not None or self.is_passed_on else self.asked.number

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return the value, or what it raises."""
        if self.status is OUTSTANDING:
            return None, None
        return (self.value, None) if self.how == How.RESULT else (None, self.failure())

    def failure(self) -> BaseException:
        """Return the exception that a request which did not succeed raises."""
        if self.error is not None:
            return self.error
        what = f"r{self.number} {self.operation}"
        cancelling = self.cancelling
        if self.by and cancelling is not None:
            kind = TimedOut if self.how == How.TIMED_OUT else Cancelled
            return kind(
                what,
                request=self.number,
                cancel=self.by,
                trigger=cancelling.trigger,
                who=cancelling.who,
                turn=cancelling.turn,
                reason=cancelling.reason,
            )
        said = self.value if isinstance(self.value, str) else MEANINGS.get(self.code or 0, "")
        text = f"{what} {How(self.how).name.lower()}: {said}"
        return RequestFailed(text, request=self.number, code=self.code)

    # --- turns -----------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take a message; a ``Submit`` is somebody's wish to cancel."""
        if type(message) is Submit:
            reason, *parents = message.arguments
            who = out.extra
            if parents and self.parent is not None and self.parent.cancelling is not None:
                who = self.parent.cancelling.who
            return self.requests.cancel(self, message.operation, reason, who, out)
        return super().receive(message, out)

    def complete(
        self, out: Outbox, code: int | None, how: How, by: int = 0, value: Any = None
    ) -> None:
        """Decide the completion."""
        cancelling = self.cancelling
        if cancelling is not None and by == 0:
            out.events.append(CancelOutcome(cancelling.cancel, self.number, Outcome.TOO_LATE))
        out.events.append(Completed(self.number, code, how, by, value))
        if cancelling is not None and cancelling.root is self:
            out.events.append(CancelEnded(cancelling.cancel, None))
        self.tell_watchers(out, None)
        self.requests.let_go_on(self, out)

    def route(self, sink: str) -> None:
        """Have the sink of that name told of the completion; a log that is rerun has none."""
        self.sink = sink
        listener = self.runtime.sinks.get(sink)
        if listener is not None:
            self.listeners = (listener,)

    def is_over_for_listeners(self) -> bool:
        """Take no listener any more, unless there are some, which have to be told.  No baton."""
        with self.runtime.baton:
            if not self.listeners:
                self.listeners = _TOLD
        return self.listeners is _TOLD

    def call_listeners(self) -> None:
        """Tell those who asked to be told, once.  No baton."""
        with self.runtime.baton:
            listeners, self.listeners = self.listeners, _TOLD
        for listener in listeners or ():
            try:
                listener(self)
            except Exception:
                logger.exception("a callback of %r raised", self)

    def _drop(self, by: int, reason: str, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            if self.spec is not None:
                out.effects.append((self.requests.driver.stop, self))
            self.complete(out, Code.DEAD, How.FAILED, 0, reason)
        elif self.status is COMPLETED:
            # Who would have gone on has stopped, in the turn that caused this one.
            closed = by or (out.cause if isinstance(out.cause, int) else 0)
            self.discard(reason, closed, out)

    def discard(self, reason: str, by: int, out: Outbox) -> None:
        """Let nobody take up the completion; ``by`` is the turn that closed the way."""
        out.events.append(Discarded([self.number, self.number], reason, by))
        if self.passes_to is not None:
            self.requests.fail(self.passes_to, pykka.ActorDeadError(reason), out)

    def entry(self) -> Entry:
        """Tell what it is and how it stands, for a keyframe; nothing that it carries."""
        entry = super().entry()
        entry.state["asked"] = self.asked.number
        if self.parent is not None:
            entry.state["parent"] = self.parent.number
        if self.shielded:
            entry.state["shielded"] = True
        if self.sink:
            entry.state["sink"] = self.sink
        return entry

    @property
    def has_children(self) -> bool:
        """Tell whether something is outstanding that a cancel of it has to wait for."""
        return any(not each.shielded for each in (self.children or {}).values())


class _Waiter(asyncio.Future[None]):
    """What a task waits for that awaits a request.

    ``Task.cancel`` cancels what its task awaits, on the stack of whoever cancels: so it is known
    who did it, and from where.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        super().__init__(loop=loop)
        self._request = request
        task = asyncio.current_task()
        self._task = "a task" if task is None else f"task {task.get_name()}"

    def cancel(self, msg: Any = None) -> bool:
        if not self.done():
            reason = "" if msg is None else str(msg)
            self._request.cancel_for(TASK, reason, f"{self._task}, cancelled by {_canceller()}")
        return super().cancel(msg)


def _canceller() -> str:
    """Who cancels the task whose future is being cancelled, seen from that future."""
    frame = calling_frame()
    module = frame.f_globals.get("__name__", "")
    return _CANCELLERS.get(module) or place_of(frame)


_CANCELLERS = {
    "asyncio.timeouts": "asyncio.timeout",
    "asyncio.tasks": "asyncio.wait_for",
    "asyncio.taskgroups": "its TaskGroup",
    "asyncio.runners": "the end of asyncio.run",
}
"""Where a task is cancelled by asyncio itself."""


class _Observed:
    """A request as somebody waits for it who may stop waiting without ending it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.target = request.target
        self.turn = request.turn

    @property
    def is_done(self) -> bool:
        return self._request.is_done

    @property
    def waiter(self) -> "Waiter | None":
        return self._request.waiter

    @waiter.setter
    def waiter(self, waiter: "Waiter | None") -> None:
        self._request.waiter = waiter

    def outcome(self) -> tuple[Any, BaseException | None]:
        return self._request.outcome()
