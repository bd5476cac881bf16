"""One outstanding operation: an actor as cheap as its state.

A request makes its name, reference and inbox when somebody asks for them.  Until it is delivered
its endpoint keeps it; afterwards only whoever holds the handle does.
"""

from collections.abc import Callable, Generator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rescind.actors.runtime import Actor, ActorRef, Outbox, Timer, WireCause
from rescind.events import (
    Answer,
    Cancel,
    CancelOutcome,
    Complete,
    Completed,
    Discarded,
    Drop,
    Entry,
    How,
    Outcome,
    Received,
    Stop,
    Stopped,
    TimedOut,
)

if TYPE_CHECKING:
    from rescind.actors.runtime import Waiter

    from ._endpoint import Endpoint
    from ._lane import DeliveryRun


class Status(IntEnum):
    """How far a request has come."""

    OUTSTANDING = 0
    COMPLETED = 1
    RUNNING = 2
    """Its script was called and has not returned."""
    DELIVERED = 3
    DISCARDED = 4


# Members of an enum are looked up through its metaclass at every use; hot code has them by name.
OUTSTANDING = Status.OUTSTANDING
COMPLETED = Status.COMPLETED
RUNNING = Status.RUNNING
DELIVERED = Status.DELIVERED
DISCARDED = Status.DISCARDED


_STATUS_TOLD = ("outstanding", "completed", "running")
"""How a keyframe calls the first three; with the others there is nothing left to tell."""


class Request(Actor):
    """One operation: completes once, is delivered once, and can say why.

    It is what an asynchronous call returns: ``get`` waits for it, ``result`` is its code.
    """

    __slots__ = (
        "arguments", "asynchronous", "by", "code", "doomed", "endpoint", "has_returned", "how",
        "is_started", "operation", "run", "spec", "status", "timeout_ns", "timer", "turn",
        "value", "waiter",
    )  # fmt: skip

    RUNS_HANDLERS = False

    endpoint: "Endpoint"
    operation: str
    asynchronous: bool
    arguments: Sequence[Any]
    spec: Any
    """The application's callback spec, read again when the completion is sent."""
    status: Status
    turn: int
    """The turn that completed it, or while it is outstanding the one that accepted it."""
    code: int | None
    how: int
    by: int
    """The cancel that won it, or 0."""
    is_started: bool
    """Whether the driver has got it."""
    has_returned: bool
    """Whether the caller of a synchronous request is back from it, where anybody cares."""
    doomed: int
    """The cancel that means to end it, or 0."""
    value: Any
    waiter: "Waiter | None"
    run: "DeliveryRun | None"
    """The delivery that its script runs in, or ran in."""
    timer: Timer | None
    timeout_ns: int | None

    def __init__(
        self,
        endpoint: "Endpoint",
        number: int,
        operation: str,
        arguments: Sequence[Any],
        spec: Any,
        *,
        asynchronous: bool,
    ) -> None:
        """Be outstanding; only an endpoint makes requests."""
        # Written out, without a call to a base class: a hundred thousand of these are made at once.
        self.endpoint = self.unit = endpoint
        self.runtime = endpoint.runtime
        self.number = number
        self.operation = operation
        self.arguments = arguments
        self.spec = spec
        self.asynchronous = asynchronous
        self.status = OUTSTANDING
        self.turn = 0
        self.code = None
        self.by = 0
        self.doomed = 0
        self.is_started = True
        self.has_returned = False
        self.value = None
        self.run = None
        self.waiter = None
        self._actor_ref = None
        self.timer = None

    # --- the application's handle ----------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Tell whether the completion has reached the application, or never will."""
        return self.status >= DELIVERED

    @property
    def result(self) -> int | None:
        """The result code: None is success, and also what an outstanding request has."""
        return self.code

    def get(self, timeout_s: float | None = None) -> Any:
        """Wait until the completion was delivered; return the value or raise the dialect's error.

        Raises:
            TimeoutError: nothing came within ``timeout_s``; the request itself goes on.
        """
        if not self.wait_done(timeout_s):
            raise TimeoutError(f"r{self.number} {self.operation}: nothing within {timeout_s} s")
        value, error = self.outcome()
        if error is not None:
            raise error
        return value

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in a coroutine, as ``get`` does; the loop goes on meanwhile."""
        return self._get_async().__await__()

    async def _get_async(self) -> Any:
        await self.runtime.wait_async(self)
        return self.get()

    @property
    def target(self) -> int:
        """Itself: what a turn is suspended on that waits for it."""
        return self.number

    @property
    def taker(self) -> int:
        """Nobody: the outside answers it."""
        return 0

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return the value, or the dialect's error."""
        failed = self.code is not None or self.status is DISCARDED
        return (None, self.endpoint.failure(self)) if failed else (self.value, None)

    def wait_done(self, timeout_s: float | None = None) -> bool:
        """Wait until the completion was delivered or discarded; False after ``timeout_s``."""
        return self.status >= DELIVERED or self.runtime.wait(self, timeout_s)

    def __repr__(self) -> str:
        """Show the selector, the operation and how it stands."""
        return f"<r{self.number} {self.operation} {self.status.name.lower()}>"

    __str__ = __repr__

    def _make_ref(self) -> ActorRef[Any]:
        ref = super()._make_ref()
        if self.is_done:
            ref.end()
        return ref

    # --- turns -----------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take a message; only an outstanding request still decides anything."""
        take = _TAKES.get(type(message))
        if take is None:
            return super().receive(message, out)
        take(self, message, out)
        return None

    def _take_cancel(self, message: Cancel, out: Outbox) -> None:
        # A later cancel may have taken it over while the earlier one's word was on its way.
        if self.status is OUTSTANDING and self.doomed == message.cancel:
            self.endpoint.cancel_victim(self, message.cancel, out)

    def _take_data(self, message: Received, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            self.endpoint.received(self, message, out)
        else:
            self.endpoint.answer_ignored(self, None, out)

    def _take_complete(self, message: Complete, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            self.endpoint.end(self, message.code, out)

    def _take_time_out(self, _message: TimedOut, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            self.endpoint.time_out(self, out)

    def _take_drop(self, message: Drop, out: Outbox) -> None:
        self._drop(message.by, message.reason, out)

    def _take_stop(self, _message: Stop, out: Outbox) -> None:
        self._drop(0, "stopped", out)
        out.events.append(Stopped(self.number, None))
        out.answer(None)

    def _take_answer(self, message: Answer, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            self.endpoint.answered(self, message.code, message.value, out)
        else:
            self.endpoint.answer_ignored(self, message.code, out)

    def _drop(self, by: int, reason: str, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            if self.doomed in self.endpoint.windows:
                lost = (self.doomed, self.number, Outcome.SUPERSEDED, by)
                out.events.append(CancelOutcome(*lost))
            out.events.append(Completed(self.number, None, How.ABANDONED, by))
            self.tell_watchers(out, None)
        if self.status <= COMPLETED:
            out.events.append(Discarded([self.number, self.number], reason, by))
            self.endpoint.count_down([self.number], out)

    def complete(
        self, out: Outbox, code: int | None, how: How, by: int = 0, value: Any = None
    ) -> None:
        """Decide the completion; it is delivered after its record is durable."""
        if self.doomed and by == 0:
            out.events.append(CancelOutcome(self.doomed, self.number, Outcome.TOO_LATE))
        out.events.append(Completed(self.number, code, how, by, value))
        self.tell_watchers(out, None)
        out.effects.append(self.endpoint.way_out(self))

    def finish(self, status: Status) -> None:
        """Be delivered or discarded; whoever waits hears of it."""
        self.status = status
        if self.waiter is not None:
            self.waiter.set()
        if self._actor_ref is not None:
            self._actor_ref.end()

    def entry(self) -> Entry:
        """Tell what it is and how it stands, for a keyframe; nothing that it carries."""
        state: dict[str, Any] = {
            "kind": "request",
            "endpoint": self.endpoint.number,
            "operation": self.operation,
            "asynchronous": self.asynchronous,
            "timeout_ns": self.timeout_ns,
            "status": _STATUS_TOLD[self.status],
        }
        if self.doomed:
            state["doomed"] = self.doomed
        if self.status is OUTSTANDING:
            state["accepted"] = self.turn
            if not self.is_started:
                state["started"] = False
        else:
            state |= {
                "completed": self.turn, "code": self.code, "how": self.how, "by": self.by,
            }  # fmt: skip
        return Entry(self.number, 0, state)

    # --- causes ----------------------------------------------------------------------------------

    def cause(self) -> WireCause:
        """Say what a call is a consequence of that this request's script made."""
        run = self.run
        if run is None:
            return self.turn
        number = run.number_now()
        if number == 0:
            return self.turn  # the runtime is closed, and no delivery is recorded any more
        return number if run.last is self else (number, self.number)

    def foreign_cause(self) -> WireCause:
        """Say the same to another log; the delivery gets its record first."""
        with self.runtime.baton:
            run = self.run
            return (self.runtime.log_id, self.turn if run is None else run.number_now())


_TAKES: dict[type, Callable[[Request, Any, Outbox], None]] = {
    Cancel: Request._take_cancel,  # noqa: SLF001  # this table is part of the class
    Answer: Request._take_answer,  # noqa: SLF001
    Received: Request._take_data,  # noqa: SLF001
    Complete: Request._take_complete,  # noqa: SLF001
    TimedOut: Request._take_time_out,  # noqa: SLF001
    Drop: Request._take_drop,  # noqa: SLF001
    Stop: Request._take_stop,  # noqa: SLF001
}
"""What a request does with each message of the kernel."""
