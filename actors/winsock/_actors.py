"""The application's actor: the tables of ``_protocol`` brought to life on the kernel."""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import COMPLETED, OUTSTANDING, Request
from rescind.actors.kernel._rules import Admission, Refusal
from rescind.actors.runtime import Outbox, Runtime, describe
from rescind.actors.runtime._ranges import numbers_in, to_ranges
from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Born,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    How,
    Manner,
    Notified,
    Opened,
    Origin,
    Outcome,
    Ranges,
    Replied,
    Started,
    StateChanged,
    Submit,
    ToolEvent,
)

from ._codes import Code
from ._errors import WinsockError
from ._lookup import Blocking, Ended, Lent, Lookup, WithdrawnError
from ._port import ResolverPort
from ._protocol import (
    BLOCKING_CANCELLED_CODE,
    CANCEL_BLOCKING_CHECKS,
    CANCELS,
    CLEANUP_CHECKS,
    STARTUP_CHECKS,
    WORD_MAX,
    ApplicationState,
    LookupState,
    Profile,
    after_cleanup,
    after_startup,
    cancel_code,
    negotiated,
    next_handle,
)

if TYPE_CHECKING:
    from .drivers import Resolver

logger = logging.getLogger("rescind.winsock")

FINISHED_MAX = 100_000
"""So many lookups that ended are remembered, so that a late cancel can be told why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the checks read of an application for one call; see ``_protocol.Facts``."""

    started: bool
    network_down: bool
    version_2: bool
    blocking: bool
    provider_in_callback: bool
    room: bool = True
    handle: int = 1
    handle_issued: bool = True


class Winsock(Endpoint):
    """One process's use of Winsock.  The application holds ``winsock.Application``."""

    __slots__ = (
        "_admission",
        "_blocking_admission",
        "_cancel_admission",
        "_cleanup_admission",
        "_destroyed",
        "_finished",
        "_is_down",
        "_lookups",
        "_named",
        "_queued",
        "_running",
        "_startup_admission",
        "_waited_for",
        "blocking",
        "last_handle",
        "lookups_max",
        "port",
        "profile",
        "resolver",
        "running_max",
        "startups",
        "version_2",
    )  # fmt: skip

    REQUEST: ClassVar[type[Request]] = Lookup

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        profile: Profile,
        resolver: "Resolver",
        bounds: tuple[int, int],
    ) -> None:
        """Be stopped; the call ``OpenApplication`` follows."""
        super().__init__()
        self.runtime = runtime
        self.number = number
        self.unit = self
        self._actor_ref = None
        self.profile = profile
        self.resolver = resolver
        self.lookups_max, self.running_max = bounds
        self.port = ResolverPort(self)
        self.startups = 0
        """How many startups no cleanup has answered."""
        self.version_2 = True
        self.last_handle = 0
        self.blocking: Lookup | None = None
        """The blocking call in progress."""
        self._is_down = False
        self._lookups: dict[int, Lookup] = {}
        """Lookups that are outstanding or whose message waits, by handle."""
        self._finished: OrderedDict[int, Ended] = OrderedDict()
        """Lookups that are over, by handle; the oldest first."""
        self._queued: deque[Lookup] = deque()
        self._running = 0
        self._destroyed: dict[int, int] = {}
        """Windows that are gone and that lookups still name, and the turns that destroyed them."""
        self._named: dict[int, int] = {}
        """How many outstanding lookups name each window."""
        self._admission = Admission(Asked, *profile.admission)
        self._cancel_admission = Admission(Asked, *profile.cancel_admission)
        self._startup_admission = Admission(Asked, *STARTUP_CHECKS)
        self._cleanup_admission = Admission(Asked, *CLEANUP_CHECKS)
        self._blocking_admission = Admission(Asked, *CANCEL_BLOCKING_CHECKS)

    # --- calls -----------------------------------------------------------------------------------

    def submit(self, message: Submit, extra: Any, out: Outbox) -> Any:
        """Admit or refuse one call; a lookup's parameters are nobody's business here (C.1)."""
        special = _SPECIAL.get(message.operation)
        if special is not None:
            return special(self, message, extra, out)
        handle = None
        if len(self._lookups) < self.lookups_max:
            handle = next_handle(self.last_handle, self._lookups)
        refusal = self._admission.refusal(*self._facts(has_room=handle is not None))
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        is_started = self._running < self.running_max
        request = self.accept(
            out, message.operation, message, extra, started=is_started, handle=handle or 0
        )
        if is_started:
            out.effects.append((self._begin, request))
        return request

    def _facts(self, *, in_callback: bool = False, has_room: bool = True) -> tuple[bool, ...]:
        """Return the first of the fields of ``Asked``, in order."""
        is_started = self.state == ApplicationState.STARTED
        is_blocking = self.blocking is not None
        return is_started, self._is_down, self.version_2, is_blocking, in_callback, has_room

    def _open(self, message: Submit, _extra: Any, out: Outbox) -> None:
        profile, label, cls = message.arguments[:3]
        out.events.append(Born(self.number, cls, 0))
        out.events.append(Opened(self.number, "winsock", profile, label))
        out.effects.append((self.resolver.open, self.port))

    def _close(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """End everything in silence, whatever was started."""
        del message
        if self.is_closed:
            return
        if self.state == ApplicationState.STARTED:
            self._end_all(out, 0)
        out.events.append(Closed(self.number, "closed"))
        out.effects.append((self.resolver.close,))

    def _startup(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | tuple[int, int]:
        refusal = self._startup_admission.refusal(*self._facts())
        version = negotiated((message.arguments[0], message.arguments[1]))
        if self.is_closed:
            refusal = Refusal("W-10091-closed", Code.SYSNOTREADY)
        if refusal is not None or version is None:
            too_low = Refusal("W-10092-version", Code.VERNOTSUPPORTED)
            return self.refuse(out, message.operation, refusal or too_low)
        if self.startups == 0:
            self._move(ApplicationState.STARTED, out)
        out.events.append(Replied((after_startup(self.startups), version >= (2, 0))))
        return version

    def _cleanup(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | None:
        refusal = self._cleanup_admission.refusal(*self._facts())
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        count, is_last = after_cleanup(self.startups)
        if is_last:
            self._end_all(out, count)
        else:
            out.events.append(Replied((count, self.version_2)))
        return None

    def _end_all(self, out: Outbox, count: int) -> None:
        """End everything that is outstanding or posted, without a message (C.0-9).

        All in this turn: whoever starts up at once finds nothing of what was before.
        """
        self._move(ApplicationState.STOPPED, out)
        out.events.append(Replied((count, self.version_2)))
        if not self.requests:
            return
        cancel = self.runtime.next_number()
        victims: list[Any] = [each for each in self.requests.values() if each.status is OUTSTANDING]
        out.events.append(CancelRequested(cancel, self.number, "WSACleanup", 0))
        out.events.append(CancelBegan(cancel, to_ranges([each.number for each in victims])))
        for request in victims:
            out.events.append(Completed(request.number, None, How.ABANDONED, cancel))
            request.tell_watchers(out, None)
            if request.is_running:
                out.effects.append((self.resolver.stop, request.number))
        out.events.append(Discarded(to_ranges(list(self.requests)), "cleanup", cancel))
        out.events.append(CancelEnded(cancel, None))

    def _in_callback(self, message: Submit, _extra: Any, out: Outbox) -> Refusal:
        """Refuse a call that the application makes while its provider is calling it."""
        operation, *arguments = message.arguments
        checks, handle = self._admission, 1
        if operation == CANCEL:
            checks, handle = self._cancel_admission, int(arguments[0] != 0)
        elif operation == "WSAStartup":
            checks = self._startup_admission
        refusal = checks.refusal(*self._facts(in_callback=True), handle)
        assert refusal is not None, "a provider's callback is always refused"
        return self.refuse(out, operation, refusal)

    def _move(self, state: ApplicationState, out: Outbox) -> None:
        out.events.append(StateChanged(self.number, int(self.state), int(state)))

    # --- the cancel ------------------------------------------------------------------------------

    def _cancel_lookup(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | int:
        handle = message.arguments[0]
        lookup, ended = self._lookups.get(handle), self._finished.get(handle)
        is_issued = lookup is not None or ended is not None
        refusal = self._cancel_admission.refusal(*self._facts(), int(handle != 0), is_issued)
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        cancel = self.runtime.next_number()
        if lookup is not None:
            number, state, by = lookup.number, lookup.state, 0
        else:
            assert ended is not None
            number, state, by = ended
        out.events.append(CancelRequested(cancel, number, message.operation, 0))
        row, code = CANCELS[state], cancel_code(state, self.profile)
        if lookup is not None and row.outcome is Outcome.WON:
            self._silence(lookup, cancel, out)
        else:
            other = by if row.outcome is Outcome.DUPLICATE else 0
            out.events.append(CancelOutcome(cancel, number, row.outcome, other, row.id))
        out.events.append(CancelEnded(cancel, int(code) or None))
        return int(code)

    def _silence(self, lookup: Lookup, cancel: int, out: Outbox) -> None:
        """End a lookup before its time: nobody will hear of it (C.0-8)."""
        ranges = [lookup.number, lookup.number]
        out.events.append(CancelBegan(cancel, ranges))
        out.events.append(Completed(lookup.number, None, How.CANCELLED, cancel))
        out.events.append(Discarded(ranges, "cancelled", cancel))
        lookup.tell_watchers(out, None)
        if lookup.is_running:
            out.effects.append((self.resolver.stop, lookup.number))
            self._start_next(out)

    # --- blocking calls of 1.1 -------------------------------------------------------------------

    def _block(self, message: Submit, extra: Any, out: Outbox) -> Request | Refusal:
        refusal = self._admission.refusal(*self._facts())
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        request = self.accept(out, message.operation, message, extra)
        out.effects.append((self._begin_blocking, request))
        return request

    def _cancel_blocking(self, message: Submit, _extra: Any, out: Outbox) -> Refusal | int:
        refusal = self._blocking_admission.refusal(*self._facts())
        if refusal is not None:
            return self.refuse(out, message.operation, refusal)
        call = self.blocking
        assert call is not None, "a row of the table says so"
        cancel = self.runtime.next_number()
        out.events.append(CancelRequested(cancel, call.number, message.operation, 0))
        out.events.append(CancelBegan(cancel, [call.number, call.number]))
        out.events.append(Completed(call.number, BLOCKING_CANCELLED_CODE, How.CANCELLED, cancel))
        out.events.append(CancelEnded(cancel, None))
        out.effects.append((self.lane.append, call))
        return 0

    def _begin_blocking(self, request: Request) -> None:
        """Call what blocks, elsewhere.  No baton."""
        self.runtime.dispatcher.perform(lambda: self._run_blocking(request))

    def _run_blocking(self, request: Request) -> None:
        work: Blocking = request.spec
        text = None
        try:
            work.value = work.function()
        except BaseException as error:  # noqa: BLE001  # raised again where the call was made
            work.error, text = error, describe(error)
        answer = Answer(request.number, None, text)
        self.runtime.post(request, answer, Origin.IO, request.turn)

    # --- what the resolver says ------------------------------------------------------------------

    def answered(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        """Complete a lookup: what was found must fit the buffer (C.1)."""
        if request.operation == BLOCKING_CALL:
            how = How.RESULT if value is None else How.FAILED
            request.complete(out, None, how, 0, value)
            return
        length, found = 0, value
        if code is None:
            # Withheld from the log, it comes back as one thing when the log is executed again.
            length, found = value if type(value) in (list, tuple) else (0, value)
            size = request.arguments[_SIZE]
            if size is None:
                code, length = Code.EFAULT, 0
            elif length > size:
                code = Code.ENOBUFS
            length = min(length, WORD_MAX)
        self._complete(request, code, (length, found if code is None else None), out)

    def end(self, request: Request, code: int | None, out: Outbox) -> None:
        """Complete a lookup that the network has failed."""
        out.effects.append((self.resolver.stop, request.number))
        self._complete(request, code, (0, None), out)

    def _complete(self, request: Request, code: int | None, value: Any, out: Outbox) -> None:
        how = How.RESULT if code is None else How.FAILED
        number, window = request.number, request.arguments[_WINDOW]
        out.events.append(Completed(number, code, how, 0, value))
        request.tell_watchers(out, None)
        if window == 0 or window in self._destroyed:
            reason = "window destroyed" if window else "no window"
            by = self._destroyed.get(window, request.turn)
            out.events.append(Discarded([number, number], reason, by))
        else:
            out.effects.append((self._post, request))
        self._start_next(out)

    def _start_next(self, out: Outbox) -> None:
        """Let the resolver have the next lookup; one that it had has ended in this turn."""
        queued = self._queued
        while queued and queued[0].status is not OUTSTANDING:
            queued.popleft()
        if queued:
            out.events.append(Started(queued[0].number))
            out.effects.append((self._begin, queued[0]))

    def _take_tool_event(self, message: ToolEvent, out: Outbox) -> None:
        is_down = message.code == Code.ENETDOWN
        news = NETWORK_DOWN if is_down else NETWORK_UP
        out.events.append(Notified(self.number, 0, news, None, ""))
        if is_down:
            running = [each for each in self._lookups.values() if each.status is OUTSTANDING]
            out.broadcast.append((running, Complete(Code.ENETDOWN)))

    def _begin(self, request: Request) -> None:
        """Hand a lookup to the resolver; one that fails at it has answered.  No baton."""
        question = tuple(request.arguments[_QUESTION])
        try:
            self.resolver.begin(request.number, request.operation, question)
        except Exception as error:
            logger.exception("%s failed at %s", self.resolver.label, request.operation)
            self.port.answer(request.number, Code.NO_RECOVERY, describe(error))

    # --- messages --------------------------------------------------------------------------------

    def _post(self, request: Request) -> None:
        """Write the buffer, then queue the message; called after the commit."""
        lent: Lent | None = request.spec
        if lent is None or lent.window is None:
            return
        with self.runtime.baton:
            if request.status is not COMPLETED:
                return  # a cleanup was quicker
            if request.code is None and lent.buffer is not None:
                lent.buffer.write(request.value[1])
            lent.window.put(request)

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message."""
        if type(message) is CompletionScript and message.manner == Manner.TAKEN:
            self._take(message.requests, out)
            return None
        take = _TAKES.get(type(message))
        if take is not None:
            take(self, message, out)
            return None
        return super().receive(message, out)

    def _take(self, ranges: Ranges, out: Outbox) -> None:
        """Let the application have a message."""
        if ranges[0] not in self.requests:
            raise WithdrawnError
        out.events.append(Delivered(ranges, Manner.TAKEN))

    def _destroy(self, message: Submit, _extra: Any, out: Outbox) -> None:
        """Let a window go: what waits in it is lost; what runs is lost when it ends (C-R10)."""
        window = message.arguments[0]
        out.events.append(Notified(self.number, window, WINDOW_DESTROYED, None, ""))
        posted = [
            each.number
            for each in self._lookups.values()
            if each.status is COMPLETED and each.arguments[_WINDOW] == window
        ]
        if posted:
            this = self.runtime.log.last_number + 1
            out.events.append(Discarded(to_ranges(posted), "window destroyed", this))

    def manner(self, request: Request) -> Manner:
        """Tell how the application hears of a completion."""
        if request.operation != BLOCKING_CALL:
            return Manner.TAKEN
        return Manner.RETURNED if request.code is None else Manner.RAISED

    def failure(self, request: Request) -> Exception:
        """Return what a blocking call raises that was cancelled, or ended by a cleanup."""
        return WinsockError(request.code or Code.EINTR, request=request.number)

    def _take_stray(self, message: Answer, out: Outbox) -> None:
        out.events.append(AnswerIgnored(message.request, message.code))

    # --- facts -----------------------------------------------------------------------------------

    def _apply_own_accepted(self, event: Accepted, number: int) -> None:
        self._apply_accepted(event, number)
        request: Any = self.requests[event.request]
        request.handle = event.handle
        request.is_running = False
        if not event.asynchronous:
            self.blocking = request
            return
        self.last_handle = event.handle
        self._lookups[event.handle] = request
        self._finished.pop(event.handle, None)
        if event.started:
            self._run(request)
        else:
            self._queued.append(request)
        window = request.arguments[_WINDOW]
        self._named[window] = self._named.get(window, 0) + 1

    def _apply_own_started(self, event: Started, _: int) -> None:
        self._queued.popleft()
        self._run(self.requests[event.request])

    def _run(self, request: Any) -> None:
        request.is_running = True
        self._running += 1

    def _apply_own_completed(self, event: Completed, number: int) -> None:
        request: Any = self.requests[event.request]
        self._apply_completed(event, number)
        if request is self.blocking:
            self.blocking = None
        if request.operation == BLOCKING_CALL:
            return
        if request.is_running:
            request.is_running = False
            self._running -= 1
        window = request.arguments[_WINDOW]
        self._named[window] -= 1
        if not self._named[window]:
            del self._named[window]
            self._destroyed.pop(window, None)

    def _apply_own_delivered(self, event: Delivered, number: int) -> None:
        for each in numbers_in(event.requests):
            self._forget(each, LookupState.DELIVERED, 0)
        self._apply_delivered(event, number)

    def _apply_own_discarded(self, event: Discarded, number: int) -> None:
        state = _SILENT.get(event.reason, LookupState.LOST)
        for each in numbers_in(event.requests):
            self._forget(each, state, event.by)
        self._apply_discarded(event, number)

    def _forget(self, number: int, state: LookupState, by: int) -> None:
        request: Any = self.requests[number]
        if self._lookups.pop(request.handle, None) is not None:
            self._finished[request.handle] = Ended(number, state, by)
            if len(self._finished) > FINISHED_MAX:
                self._finished.popitem(last=False)

    def _apply_replied(self, event: Replied, _: int) -> None:
        self.startups, self.version_2 = event.value

    def _apply_notified(self, event: Notified, number: int) -> None:
        if event.what != WINDOW_DESTROYED:
            self._is_down = event.what == NETWORK_DOWN
        elif event.holder in self._named:
            self._destroyed[event.holder] = number


def _nothing(*_: object) -> None:
    """Change nothing: a cancel here is over in its own turn."""


OPEN = "OpenApplication"
CLOSE = "CloseApplication"
CANCEL = "WSACancelAsyncRequest"
BLOCKING_CALL = "BlockingCall"
NETWORK_DOWN = "network down"
NETWORK_UP = "network up"
WINDOW_DESTROYED = "window destroyed"
_WINDOW, _QUESTION, _SIZE = 0, 2, 3
"""Places among a lookup's arguments: the window's number, the message's, what is looked up, and
the size of the buffer."""
_SILENT = {"cancelled": LookupState.CANCELLED, "cleanup": LookupState.DROPPED}

_SPECIAL: dict[str, Callable[[Winsock, Submit, Any, Outbox], Any]] = {
    OPEN: Winsock._open,  # noqa: SLF001  # these tables are part of the class
    CLOSE: Winsock._close,  # noqa: SLF001
    "WSAStartup": Winsock._startup,  # noqa: SLF001
    "WSACleanup": Winsock._cleanup,  # noqa: SLF001
    CANCEL: Winsock._cancel_lookup,  # noqa: SLF001
    BLOCKING_CALL: Winsock._block,  # noqa: SLF001
    "WSACancelBlockingCall": Winsock._cancel_blocking,  # noqa: SLF001
    "InCallback": Winsock._in_callback,  # noqa: SLF001
    "DestroyWindow": Winsock._destroy,  # noqa: SLF001
}
"""Calls that are no lookups."""

_TAKES: dict[type, Callable[[Winsock, Any, Outbox], None]] = {
    Answer: Winsock._take_stray,  # noqa: SLF001
    ToolEvent: Winsock._take_tool_event,  # noqa: SLF001
}
"""What the application does with messages that are not the kernel's."""

Winsock.FACTS = {
    **Endpoint.FACTS,
    Accepted: Winsock._apply_own_accepted,  # noqa: SLF001
    Started: Winsock._apply_own_started,  # noqa: SLF001
    Completed: Winsock._apply_own_completed,  # noqa: SLF001
    Delivered: Winsock._apply_own_delivered,  # noqa: SLF001
    Discarded: Winsock._apply_own_discarded,  # noqa: SLF001
    CancelBegan: _nothing,
    CancelOutcome: _nothing,
    CancelEnded: _nothing,
    Replied: Winsock._apply_replied,  # noqa: SLF001
    Notified: Winsock._apply_notified,  # noqa: SLF001
}
