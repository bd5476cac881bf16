"""What an existing gRPC application does, as turns: the endpoint behind its interceptors.

The application's calls go their own way; here is only written down what was seen of them.  So
nothing is admitted and nothing delivered by us: a call is two turns, its beginning and its end, and
the end is the application's in the same turn.  Nothing that fails here reaches the application.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import OUTSTANDING, Request
from rescind.actors.runtime import (
    Outbox,
    Runtime,
    RuntimeClosedError,
    Timer,
    WireCause,
    describe,
)
from rescind.actors.runtime._context import Caller
from rescind.actors.runtime._ranges import to_ranges
from rescind.events import (
    Accepted,
    Answer,
    Born,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    Delivered,
    Discarded,
    How,
    Manner,
    Opened,
    Origin,
    Outcome,
    Submit,
)

from ._status import (
    CALL,
    CANCEL,
    CLOSE,
    END,
    GONE,
    MARK_CODES,
    OPEN,
    PROFILE,
    SERVE,
    Source,
    Status,
    Trigger,
    ended_by,
    mark_of,
    name,
    read_mark,
)

logger = logging.getLogger("rescind.rpc")
T = TypeVar("T")

Seen: TypeAlias = tuple[int, int] | Caller
"""Who did something, and where: bound already, or not yet."""

WRITES_NS = 10_000_000
"""So much later what was recorded is written at the latest, with what came meanwhile: to wake a
thread for each call would cost the application more than the record."""
TEXT_MAX = 200
"""So much of a status's details is kept."""


class Exchange(Request):
    """One call of the application: the client's side of it, or the server's."""

    __slots__ = ("marked",)

    marked: int
    """Of a ``Serve``: the turn in which its call ended under its handler; 0 before that."""


class Traffic(Endpoint):
    """What the interceptors of one channel or server see."""

    __slots__ = ()

    REQUEST: ClassVar[type[Request]] = Exchange

    def __init__(self, runtime: Runtime, number: int) -> None:
        """Be there; the call ``OpenTraffic`` follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None

    # --- calls -----------------------------------------------------------------------------------

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Any:
        """Note a call that begins, or what is done to one."""
        del extra
        special = _SPECIAL.get(message.operation)
        if special is not None:
            return special(self, message, out)
        if self.is_closed:
            raise RuntimeClosedError("what the interceptors saw is closed")
        number = self.runtime.next_number()
        request = self._newborn = Exchange(
            self, number, message.operation, message.arguments, None, asynchronous=True
        )
        request.timeout_ns, request.marked = message.timeout_ns, 0
        # No timer of ours: the library ends the call, and we hear of it.
        fields = (number, self.number, message.operation, True, message.timeout_ns, True)
        out.events.append(Accepted(*fields))
        return request

    def _open(self, message: Submit, out: Outbox) -> None:
        label, cls = message.arguments
        out.events.append(Born(self.number, cls, 0))
        out.events.append(Opened(self.number, "rpc", PROFILE, label))

    def _close(self, _message: Submit, out: Outbox) -> None:
        """Give up what is outstanding: the application's calls go on, and nobody looks."""
        if self.is_closed:
            return
        left = list(self.requests.values())
        for request in left:
            self._say_lost(request, out)
            out.events.append(Completed(request.number, None, How.ABANDONED, 0))
        if left:
            numbers = to_ranges([each.number for each in left])
            out.events.append(Discarded(numbers, "nobody looks any more", 0))
        out.events.append(Closed(self.number, "closed"))

    def _say_lost(self, request: Request, out: Outbox) -> None:
        if request.doomed:
            out.events.append(CancelOutcome(request.doomed, request.number, Outcome.IGNORED))

    def _cancel(self, message: Submit, out: Outbox) -> None:
        """End a call because somebody wants that; a ``Serve`` is only marked, its handler runs."""
        number, trigger, reason = message.arguments
        request = self.requests.get(number)
        if request is not None and request.operation == CALL:
            self._end(request, Status.CANCELLED, trigger, reason, out)
            return
        cancel = self.runtime.next_number()
        out.events.append(CancelRequested(cancel, number, trigger, _asker(trigger, number), reason))
        if request is None:
            out.events.append(CancelOutcome(cancel, number, Outcome.TOO_LATE))
        elif request.doomed:
            other = (cancel, number, Outcome.DUPLICATE, request.doomed)
            out.events.append(CancelOutcome(*other))
        else:
            out.events.append(CancelBegan(cancel, [number, number]))
        out.events.append(CancelEnded(cancel, None))

    def _end_serve(self, message: Submit, out: Outbox) -> None:
        """End a ``Serve`` as its handler has."""
        number, code, details = message.arguments
        request = self.requests.get(number)
        if request is None:
            return
        if request.doomed:
            self._end_marked(request, code, out)
        else:
            self._complete(request, code, Source.HANDLER, details, out)

    # --- ends ------------------------------------------------------------------------------------

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """Complete a call with its status: its result, or the end that somebody made of it."""
        source, details = value if type(value) in (list, tuple) else (Source.HERE, "")
        self._complete(request, code, source, details, out)

    def _complete(
        self, request: Request, code: int | None, source: str, details: str, out: Outbox
    ) -> None:
        trigger = None if code is None else ended_by(request.operation, code, source)
        if trigger is not None and code is not None:
            self._end(request, code, trigger, details, out)
            return
        how = How.RESULT if code is None else How.FAILED
        out.events.append(Completed(request.number, code, how, 0))
        self._tell(request, code, out)

    def _end(self, request: Request, code: int, trigger: str, reason: str, out: Outbox) -> None:
        cancel, number = self.runtime.next_number(), request.number
        out.events.append(CancelRequested(cancel, number, trigger, _asker(trigger, number), reason))
        out.events.append(CancelBegan(cancel, [number, number]))
        how = How.TIMED_OUT if trigger == Trigger.DEADLINE else How.CANCELLED
        out.events.append(Completed(number, code, how, cancel))
        self._tell(request, code, out)
        out.events.append(CancelEnded(cancel, None))

    def _end_marked(self, request: Any, code: int | None, out: Outbox) -> None:
        """End a ``Serve`` whose call was over: by that, unless its handler had a result."""
        number, cancel = request.number, request.doomed
        if code is None:
            out.events.append(Completed(number, None, How.RESULT, 0))
            out.events.append(CancelOutcome(cancel, number, Outcome.IGNORED))
        else:
            is_late = request.code == Status.DEADLINE_EXCEEDED
            how = How.TIMED_OUT if is_late else How.CANCELLED
            out.events.append(Completed(number, request.code, how, cancel))
        request.tell_watchers(out, None)
        out.events.append(Discarded([number, number], GONE, request.marked))

    def _tell(self, request: Request, code: int | None, out: Outbox) -> None:
        """Book that the application hears of it: the library tells it, at this moment."""
        manner = Manner.FUTURE
        if request.operation != CALL:
            manner = Manner.RETURNED if code is None else Manner.RAISED
        request.tell_watchers(out, None)
        out.events.append(Delivered([request.number, request.number], manner))

    # --- facts -----------------------------------------------------------------------------------

    def _apply_mark(self, event: CancelBegan, number: int) -> None:
        request: Any = self.requests[event.victims[0]]
        if request.operation == SERVE and request.code is not None:
            request.doomed, request.marked = event.cancel, number

    def _apply_requested(self, event: CancelRequested, _: int) -> None:
        """Remember which status a mark gives to what it ends."""
        request = self.requests.get(event.scope)
        if request is not None:
            request.code = MARK_CODES.get(event.trigger)


def _asker(trigger: str, request: int) -> int:
    """Return the request that timed out; 0 where none did."""
    return request if trigger == Trigger.DEADLINE else 0


def _nothing(*_: object) -> None:
    """Change nothing: a cancel here is over in its own turn."""


_SPECIAL: dict[str, Callable[[Traffic, Submit, Outbox], None]] = {
    OPEN: Traffic._open,  # noqa: SLF001  # this table is part of the class
    CLOSE: Traffic._close,  # noqa: SLF001
    END: Traffic._end_serve,  # noqa: SLF001
    CANCEL: Traffic._cancel,  # noqa: SLF001
}
"""Calls of ours that are none of the application's."""

Traffic.FACTS = {
    **Endpoint.FACTS,
    CancelRequested: Traffic._apply_requested,  # noqa: SLF001
    CancelBegan: Traffic._apply_mark,  # noqa: SLF001
    CancelOutcome: _nothing,
    CancelEnded: _nothing,
}


# --- who records ---------------------------------------------------------------------------------

HANDLING: ContextVar["Handling | None"] = ContextVar("rescind_handling", default=None)
"""The call in whose handler the running code is."""


_INSIDE: set[int] = set()
"""The threads that record something just now."""


class Recorder:
    """Writes down what the interceptors of one channel or server see.

    Threads: any thread may call anything, a callback of gRPC's included.  Whatever fails here is
    logged, once, and the application goes on unrecorded.
    """

    def __init__(self, runtime: Runtime, label: str) -> None:
        """Open an endpoint of ``runtime``.

        Raises:
            RescindError: The runtime is closed, or its log has failed.
        """
        self.runtime = runtime
        self._has_warned = False
        self._writing: Timer | None = None
        self._put_off: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        with runtime.holding_baton():
            self._traffic = Traffic(runtime, runtime.next_number())
            cls = runtime.class_number(Traffic)
        runtime.owned.append(self)
        runtime.call(self._traffic, Submit(OPEN, (label, cls), asynchronous=False, timeout_ns=None))

    # --- what a runtime asks of what it owns -----------------------------------------------------

    def close(self) -> None:
        """Record nothing more; what is outstanding is given up."""
        self.safely(_nothing)  # what was put off
        message = Submit(CLOSE, (), asynchronous=False, timeout_ns=None)
        try:
            self.runtime.call(self._traffic, message)
        finally:
            if self in self.runtime.owned:
                self.runtime.owned.remove(self)

    def stop(self) -> None:
        """Do nothing: the log has failed, and there is no driver to stop."""

    # --- turns -----------------------------------------------------------------------------------

    def safely(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call what records; None where it fails, which the application never hears of.

        A signal handler may cancel a call while its thread is in here: that is put off.
        """
        if threading.get_ident() in _INSIDE:
            self.put_off(function, *arguments)
            return None
        result = self._tried(function, *arguments)
        while self._put_off:
            late, said = self._put_off.popleft()
            self._tried(late, *said)
        return result

    def put_off(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have something recorded with the next thing that is.

        For whatever a garbage collection calls: it may have begun anywhere, also in a thread that
        holds what a turn needs.
        """
        self._put_off.append((function, arguments))

    def _tried(self, function: Callable[..., T], *arguments: Any) -> T | None:
        me = threading.get_ident()
        _INSIDE.add(me)
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001  # it is logged, and the call goes on
            if not self._has_warned:
                self._has_warned = True
                logger.warning("gRPC calls are not recorded any more: %s", describe(error))
            return None
        finally:
            _INSIDE.discard(me)

    def begin(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        timeout_s: float | None,
        origin: Origin,
        *,
        cause: WireCause | None = None,
        by: Seen | None = None,
    ) -> Any:
        """Record that a call begins; returns its request.  ``cause`` None: the running code's."""
        timeout_ns = None if timeout_s is None else max(0, round(timeout_s * 1e9))
        message = Submit(operation, arguments, asynchronous=True, timeout_ns=timeout_ns)
        return self._turn(self._traffic, message, origin, cause, by)

    def end(
        self, request: Any, code: int, source: Source, details: str, cause: WireCause | None
    ) -> None:
        """Record how a client's call ended; ``cause`` None: nobody says but the call itself."""
        answer = Answer(request.number, code or None, (str(source), details[:TEXT_MAX]))
        because = request.turn if cause is None else cause
        self._turn(request, answer, Origin.IO, because, None)

    def end_serve(self, request: Any, code: int, details: str, by: Seen | None) -> int:
        """Record how a handler ended its call; returns the turn."""
        arguments = (request.number, code or None, details[:TEXT_MAX])
        message = Submit(END, arguments, asynchronous=False, timeout_ns=None)
        self._turn(self._traffic, message, Origin.APP, request.turn, by)
        return request.turn  # type: ignore[no-any-return]

    def cancel(
        self,
        request: Any,
        trigger: str,
        reason: str = "",
        *,
        origin: Origin = Origin.APP,
        cause: WireCause | None = None,
        by: Seen | None = None,
    ) -> None:
        """Record that somebody ended a call before its time, or came too late for that."""
        arguments = (request.number, str(trigger), reason[:TEXT_MAX])
        message = Submit(CANCEL, arguments, asynchronous=False, timeout_ns=None)
        self._turn(self._traffic, message, origin, cause, by)

    def _turn(
        self, actor: Any, message: Any, origin: Origin, cause: WireCause | None, by: Seen | None
    ) -> Any:
        runtime = self.runtime
        if runtime.my_turn() is not None:  # a handler of the application's actors calls
            if origin is not Origin.IO:
                return runtime.call(actor, message)
            runtime.post(actor, message, origin, cause or 0)
            return None
        foreign = runtime.foreign_cause() if cause is None else None
        with runtime.holding_baton():
            because = runtime.cause(foreign) if cause is None else cause
            bound = runtime.callers.bind(by) if isinstance(by, Caller) else by
            decided = runtime.turn(actor, message, origin, because, bound)
            if self._writing is None:
                self._writing = runtime.arm(WRITES_NS, self._write)
        return decided

    def _write(self) -> None:
        """Let the runner that is awake for this write what there is."""
        self._writing = None

    # --- the wire --------------------------------------------------------------------------------

    def mark(self, *numbers: int) -> str:
        """Return numbers of this log as the wire carries them."""
        return mark_of(self.runtime.log_id, *numbers)

    def cause_of(self, mark: object, numbers: int) -> WireCause:
        """Return the turn that a mark names last; 0 for what is no mark, or none of this log."""
        found = read_mark(mark, numbers)
        if found is None or not found[1][-1]:
            return 0
        log_id, (*_, turn) = found
        if log_id != self.runtime.log_id:
            return (log_id, turn)
        return turn if turn <= self.runtime.log.last_number else 0

    def parent_of(self, serving: "Handling | None") -> WireCause | None:
        """Return the turn in which the call of a handler ended, if it has."""
        if serving is None or not serving.marked:
            return None
        if serving.recorder.runtime is self.runtime:
            return serving.marked
        return (serving.recorder.runtime.log_id, serving.marked)


def value_of(code: Any) -> int:
    """Return the number of a status, however gRPC writes it; UNKNOWN for what is none."""
    if code is None:
        return Status.OK
    number: Any = getattr(code, "value", code)
    if type(number) is tuple:
        number = cast("Any", number)[0]
    return number if type(number) is int and name(number) else Status.UNKNOWN


class Once:
    """Lets the first of those through who want to say something."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        """Tell whether it is the first."""
        return self._lock.acquire(blocking=False)


class Handling:
    """A call that a handler of this process works on."""

    __slots__ = ("_is_marked", "_remaining_s", "recorder", "request")

    def __init__(
        self, recorder: Recorder, request: Any, remaining_s: Callable[[], float | None]
    ) -> None:
        """Be under way; ``remaining_s`` tells how long until its deadline."""
        self.recorder = recorder
        self.request = request
        self._remaining_s = remaining_s
        self._is_marked = Once()

    @property
    def marked(self) -> int:
        """Return the turn in which its call ended under its handler, 0 while it has not."""
        return self.request.marked  # type: ignore[no-any-return]

    def ends_outside(self) -> None:
        """Record that its call is over while its handler still runs, if that is new."""
        request = self.request
        if request.status is OUTSTANDING and self._is_marked():
            left_s = self._remaining_s()
            is_late = left_s is not None and left_s <= 0
            trigger = Trigger.DEADLINE if is_late else Trigger.CLIENT
            self.recorder.cancel(request, trigger, origin=Origin.IO, cause=request.turn)
