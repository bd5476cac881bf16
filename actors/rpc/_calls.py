"""The two requests of a call, as the application holds them: the client's and the server's."""

import contextlib
import itertools
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from rescind.actors.kernel._request import COMPLETED, OUTSTANDING, RUNNING, Request
from rescind.actors.runtime import CAUSE, Outbox, Timer, TurnCause, UsageError, Waiter
from rescind.events import Completed, Discarded, How, TimedOut

from ._codes import AsyncEvent, Code, Notification, Subscription
from ._errors import RpcError
from ._machines import ClientState, ServerState
from ._notify import NO_NOTIFICATION, NotifyBy
from ._protocol import call_status
from ._values import packed

if TYPE_CHECKING:
    from ._client import Client
    from ._serving import Serving

CANCEL_CALL = "RpcAsyncCancelCall"
COMPLETE_CALL = "RpcAsyncCompleteCall"
ABORT_CALL = "RpcAsyncAbortCall"
SUBSCRIBE = "RpcServerSubscribeForNotification"
UNSUBSCRIBE = "RpcServerUnsubscribeForNotification"
HAND_OFF = "HandOff"

_HANDLES: "WeakValueDictionary[int, OneCall]" = WeakValueDictionary()
_NEXT_HANDLE = itertools.count(1)
_CLAIMS = threading.Lock()


class OneCall(Request):
    """What both ends of a call share: they end by the rules of this dialect."""

    __slots__ = ("_handle",)

    endpoint: "Client | Serving"  # pyright: ignore[reportIncompatibleVariableOverride]

    def _drop(self, by: int, reason: str, out: Outbox) -> None:
        if self.status is OUTSTANDING:
            self.endpoint.settle_cancel(self, out)
            out.events.append(Completed(self.number, None, How.ABANDONED, by))
            self.tell_watchers(out, None)
        if self.status <= COMPLETED:
            out.events.append(Discarded([self.number, self.number], reason, by))
            out.effects.append((self.endpoint.give_up, self))

    def get_call_handle(self) -> int:
        """Return the call's handle, which ``rpc.test_cancel`` takes; never 0."""
        handle = getattr(self, "_handle", 0)
        if not handle:
            handle = self._handle = next(_NEXT_HANDLE)
            _HANDLES[handle] = self
        return handle

    def ask(self, operation: str, *arguments: Any, extra: Any = None) -> Any:
        """Call one of the documented functions on this call.

        Raises:
            RpcError: It was refused; the refusal is recorded.
        """
        return self.endpoint.ask(operation, (self.number, *arguments), extra)


def call_of(handle: int) -> OneCall | None:
    """Return the call with this handle."""
    return _HANDLES.get(handle)


# --- the client's end ----------------------------------------------------------------------------


class Sent:
    """What a call carries that the log does not: its payload until it left, and whom to tell."""

    __slots__ = ("metadata", "notification", "payload")

    def __init__(
        self, payload: bytes | None, metadata: tuple[tuple[str, str], ...], notification: NotifyBy
    ) -> None:
        """Be about to leave."""
        self.payload = payload
        self.metadata = metadata
        self.notification = notification


class ClientCall(OneCall):
    """A call that the client made.

    ``get`` waits for the result and fetches it, ``await call`` does the same in a coroutine, and
    ``cancel`` is the documented way to give it up.  The functions of RPC stand beside them.

    Threads: any, once the call that made it has returned.
    """

    __slots__ = ("_is_claimed", "called", "grace", "is_decided", "is_final", "is_heard")

    endpoint: "Client"  # pyright: ignore[reportIncompatibleVariableOverride]
    spec: Sent | None
    _is_claimed: bool
    """Whether somebody notifies, or has."""
    called: int
    """The turn of the stub."""
    grace: Timer | None
    """Makes a cancel abortive that was not answered."""
    is_decided: bool
    """Whether the answer is as durable as the log promises."""
    is_heard: bool
    """Whether its notification has left."""
    is_final: bool
    """Whether the result was fetched, or never will be."""

    @property
    def state(self) -> ClientState:
        """Return its state; the baton is held."""
        if self.status is OUTSTANDING:
            return ClientState.CANCELLING if self.doomed else ClientState.PENDING
        if self.is_final:
            return ClientState.FINAL
        return ClientState.DONE if self.status is COMPLETED else ClientState.NOTIFIED

    @property
    def notifies(self) -> bool:
        """Tell whether the application is notified, rather than that it asks."""
        kind: int = self.arguments[NOTIFICATION]
        return kind != Notification.NONE

    @property
    def notification(self) -> NotifyBy:
        """Return how."""
        return NO_NOTIFICATION if self.spec is None else self.spec.notification

    # --- the result ------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Tell whether the result can be fetched, or was."""
        return self.status >= RUNNING or (self.is_decided and not self.notifies)

    def wait_done(self, timeout_s: float | None = None) -> bool:
        """Wait until the result can be fetched; False after ``timeout_s``."""
        is_mine = self.is_heard and CAUSE.get() is self  # asked by its own notification's routine
        return is_mine or self.is_done or self.runtime.wait(self, timeout_s)

    def get(self, timeout_s: float | None = None) -> Any:
        """Wait for the result and fetch it; what was fetched before is returned again.

        Raises:
            TimeoutError: Nothing came within ``timeout_s``; the call itself goes on.
            RpcError: It failed, or was cancelled.
        """
        if not self.wait_done(timeout_s):
            raise TimeoutError(f"r{self.number} {self.procedure}: nothing within {timeout_s} s")
        with contextlib.suppress(FetchedError):
            self._fetch(is_again=True)
        value, error = self.outcome()
        if error is not None:
            raise error
        return value

    @property
    def procedure(self) -> str:
        """What was called."""
        return str(self.arguments[0])

    # --- the documented functions ----------------------------------------------------------------

    def get_call_status(self) -> int:
        """Return 997 while the call is pending, then 0 or what it failed with; changes nothing."""
        if self.is_final:
            return call_status(ClientState.FINAL, 0, self.endpoint.profile)
        state = ClientState.DONE if self.is_decided else ClientState.PENDING
        return call_status(state, self.code or Code.OK, self.endpoint.profile)

    def cancel_call(self, *, abort: bool) -> None:
        """Ask the server to stop (``abort=False``), or end the call at once; returns at once.

        Either way the result is fetched afterwards, and says what became of the call.

        Raises:
            RpcError: 1914 the call is over.
        """
        self._cancel(abort, None, "")

    def cancel(self, grace_s: float | None = None, *, reason: str = "") -> None:
        """Ask the server to stop, give it so long, then end the call; returns at once.

        Args:
            grace_s: After so many seconds without an answer the cancel becomes abortive, which is a
                cancel of its own in the log; 0 is at once, None never.
            reason: What ``rescind why`` says of it.

        Raises:
            RpcError: 1914 the call is over.
            UsageError: ``grace_s`` is negative.
        """
        if grace_s is not None and not grace_s >= 0:
            raise UsageError(f"grace_s is a number of seconds, not {grace_s!r}")
        grace_ns = None if not grace_s else round(grace_s * 1e9)
        self._cancel(grace_s == 0, grace_ns, reason)

    def _cancel(self, *arguments: Any) -> None:
        """Have a cancel decided, and leave at once: whoever cancels may be about to wait."""
        self.endpoint.ask(CANCEL_CALL, (self.number, *arguments), at_once=True)

    def complete_call(self) -> Any:
        """Fetch the result, which ends the call.

        Raises:
            RpcError: 997 it is pending still, and nothing has changed; 1914 it was fetched before;
                else the code that the call failed with, and that is final.
        """
        value, code = self._fetch(is_again=False)
        if code is not None:
            raise self.endpoint.failure(self)
        return value

    def abort_call(self, code: int) -> None:
        """Raise 1915: only a server aborts (B.4)."""
        self.ask(ABORT_CALL, code)

    def _fetch(self, *, is_again: bool) -> tuple[Any, int | None]:
        """Have the turn taken that fetches the result.

        Raises:
            FetchedError: Somebody was quicker, and ``is_again`` allows it.
            RpcError: It is not the moment.
        """
        if not (self.is_decided or self.is_final):
            raise RpcError(Code.ASYNC_CALL_PENDING, request=self.number)
        is_mine = self._notifies_first()

        def look() -> None:
            if is_again and self.is_final:
                raise FetchedError
            if self.run is not None and self.status is COMPLETED:
                self.run.number_now()  # so that the notification stands before the fetch

        found: tuple[Any, int | None] = self.endpoint.ask(COMPLETE_CALL, (self.number,), None, look)
        if is_mine:
            self.endpoint.notify(self)
        return found

    def _notifies_first(self) -> bool:
        """See that the notification has left; tell whether the caller has to let it leave.

        Raises:
            RpcError: It has not left, and the profile wants that; or it is just about to.
        """
        if not self.notifies or self.is_final or self.status >= RUNNING:
            return False
        if not self.is_heard:
            if not self.endpoint.profile.waits_for_notification and self.claims():
                return True
            raise RpcError(Code.ASYNC_CALL_PENDING, request=self.number)
        if self.runtime.my_turn() is not None:  # whose record would stand in the middle of this one
            raise RpcError(Code.ASYNC_CALL_PENDING, request=self.number)
        return False

    def claims(self) -> bool:
        """Tell whether the caller, and nobody else, has to notify; no baton."""
        with _CLAIMS:
            is_mine, self._is_claimed = not self._is_claimed, True
        return is_mine

    # --- turns -----------------------------------------------------------------------------------

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take a message; a time-out may be that of a cancel's patience."""
        if type(message) is TimedOut and message.request != self.number:
            if self.status is OUTSTANDING and self.doomed == message.request:
                self.endpoint.escalate(self, out)
            return None
        return super().receive(message, out)

    def begin(self) -> None:
        """Be pending; applied with its acceptance."""
        self.called = self.turn
        self.grace = None
        self.is_decided = self.is_heard = self.is_final = self._is_claimed = False


class FetchedError(Exception):
    """Carries it out of a call that the result was fetched before; nothing is recorded."""


PROCEDURE, ARGUMENTS, SIZE, NOTIFICATION, DEADLINE, STRUCTURE = range(6)
"""Places among the arguments of a ``Call``."""


# --- the server's end ----------------------------------------------------------------------------


class Mark:
    """Becomes done when the client cancels, or when the call is over; something to wait for."""

    __slots__ = ("has_come", "turn", "waiter")

    def __init__(self) -> None:
        """Begin unmarked."""
        self.has_come = False
        self.turn = 0
        self.waiter: Waiter | None = None

    target = taker = 0

    @property
    def is_done(self) -> bool:
        """Tell whether it has come."""
        return self.has_come

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return nothing."""
        return None, None

    def come(self) -> None:
        """Wake whoever waits; any thread."""
        self.has_come = True
        if self.waiter is not None:
            self.waiter.set()


class Arrived:
    """What a call brings that the log does not hold, and what it sends back."""

    __slots__ = ("heard", "metadata", "payload")

    def __init__(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Have arrived."""
        self.metadata = metadata
        self.payload: bytes | str | None = None
        """The result as MessagePack, or what a text says of the failure."""
        self.heard: dict[Subscription, NotifyBy] = {}
        """Who is told of what."""


class ServerCall(OneCall):
    """A call that a server's function serves; ``rpc.current_call()`` inside of it.

    Threads: any.
    """

    __slots__ = (
        "aborted", "gone", "handle", "kinds", "mark", "marked", "queued", "state",
        "subscriptions",
    )  # fmt: skip

    endpoint: "Serving"  # pyright: ignore[reportIncompatibleVariableOverride]
    spec: Arrived | None
    state: ServerState
    handle: int
    """The number under which it arrived."""
    mark: Mark
    marked: TurnCause | None
    """The turn of the client's strongest cancel, once that is durable."""
    aborted: int
    """The turn in which the client gave it up, or 0."""
    gone: int
    """The turn in which the client was gone, or 0."""
    subscriptions: int
    kinds: dict[int, int]
    """By what happens: how a subscriber is told of it."""
    queued: dict[int, int]
    """By subscription: how many notifications have been queued."""

    @property
    def procedure(self) -> str:
        """What was called."""
        return str(self.arguments[0])

    @property
    def values(self) -> Sequence[Any]:
        """The arguments of the call."""
        given: Sequence[Any] = self.arguments[1]
        return given

    @property
    def client(self) -> tuple[bytes, int]:
        """Return the id of the client's log, and the number that the call has there."""
        named: Sequence[Any] = self.arguments[_CLIENT]
        return named[0], named[1]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What came with the call."""
        return () if self.spec is None else self.spec.metadata

    @property
    def is_over(self) -> bool:
        """Tell whether it was completed, aborted, or its function raised."""
        return self.status is not OUTSTANDING

    # --- is it cancelled? ------------------------------------------------------------------------

    def test_cancel(self) -> int:
        """Return 0 when the client has cancelled, 1791 when not, 1725 when the call is over.

        Upside down, as documented: RPC_S_OK means cancelled.  Leaves no record; but what the
        function does that has seen its cancel is a consequence of it from then on.
        """
        code = self.endpoint.test_cancel(self)
        if code == Code.OK and CURRENT.get() is self:
            CAUSE.set(self.marked)
        return code

    def is_cancelled(self) -> bool:
        """Tell whether the client has cancelled.

        Raises:
            RpcError: 1725 the call is over.
        """
        code = self.test_cancel()
        if code == Code.NO_CALL_ACTIVE:
            raise RpcError(code, request=self.number)
        return code == Code.OK

    def wait_cancelled(self, timeout_s: float | None = None) -> bool:
        """Sleep until the client cancels, or ``timeout_s`` seconds; tell whether it has.

        Raises:
            RpcError: 1725 the call is over.
        """
        self.runtime.wait(self.mark, timeout_s)
        return self.is_cancelled()

    # --- the end ---------------------------------------------------------------------------------

    def hand_off(self) -> None:
        """Let the call go on when its function returns, whose result then means nothing.

        Somebody else completes or aborts it, on any thread.

        Raises:
            RpcError: 1914 the call is over; 1915 it was handed off before.
        """
        self.ask(HAND_OFF)

    def complete_call(self, value: Any = None) -> None:
        """Send the result.

        Raises:
            RpcError: 1914 the call is over; 87 MessagePack has no form for the result.
        """
        payload = packed(value)
        self.ask(COMPLETE_CALL, value if payload is not None else None, payload is not None,
                 extra=payload)  # fmt: skip

    def abort_call(self, code: int) -> None:
        """End the call with a code: one of ``rpc.Code``, or the application's own.

        Raises:
            RpcError: 1914 the call is over; 87 it is no code, or 0.
        """
        self.ask(ABORT_CALL, code)

    def cancel_call(self, *, abort: bool) -> None:
        """Raise 1915: only a client cancels (B.4)."""
        self.ask(CANCEL_CALL, abort, None, "")

    def get_call_status(self) -> int:
        """Raise 1915: only a client asks for it (B.4)."""
        self.ask("RpcAsyncGetCallStatus")
        raise AssertionError("the tables refuse it")

    # --- subscriptions ---------------------------------------------------------------------------

    def subscribe(self, subscription: int, notification: NotifyBy) -> None:
        """Be told when the client cancels, or is gone; at most once of each.

        What happened before is not told: look with ``test_cancel`` afterwards.

        Args:
            subscription: ``Subscription.CALL_CANCEL``, ``CLIENT_DISCONNECT``, or both.
            notification: How; by an event, which can't say what happened, only one of them.

        Raises:
            RpcError: 1764 there is no such subscription; 87 that is no way to be told; 1914 the
                call is over.
        """
        self.ask(SUBSCRIBE, int(subscription), int(notification.type), extra=notification)

    def unsubscribe(self, subscription: int) -> int:
        """Be told no more; returns how many notifications had been queued.

        Raises:
            RpcError: 1764 there is no such subscription; 1914 the call is over.
        """
        queued: int = self.ask(UNSUBSCRIBE, int(subscription), int(Notification.CALLBACK))
        return queued

    def begin(self, handle: int) -> None:
        """Be dispatched; applied with its acceptance."""
        self.state = ServerState.DISPATCHED
        self.handle = handle
        self.mark = Mark()
        self.marked = None
        self.aborted = self.gone = self.subscriptions = 0
        self.kinds, self.queued = {}, {}

    def subscribe_to(self, bits: int, kind: int) -> None:
        """Have notifications of this kind, or with none of them no more; applied."""
        for subscription in Subscription(bits):
            self.kinds[TOLD[subscription]] = kind
        self.subscriptions = self.subscriptions | bits if kind else self.subscriptions & ~bits

    def count(self, subscription: int) -> None:
        """Count a notification, once for a subscription (B.3-4); applied."""
        if self.subscriptions & subscription:
            self.queued.setdefault(subscription, 1)

    def ask(self, operation: str, *arguments: Any, extra: Any = None) -> Any:
        """Call one of the documented functions on this call.

        Raises:
            RpcError: It was refused; the refusal is recorded.
        """
        return self.endpoint.ask(operation, (self.handle, *arguments), extra)


CURRENT: ContextVar[ServerCall | None] = ContextVar("rescind_rpc_call", default=None)
"""The call that the running code serves."""

_CLIENT = 3
"""A place among the arguments of a ``Serve``."""

TOLD = {
    Subscription.CALL_CANCEL: AsyncEvent.CLIENT_CANCEL,
    Subscription.CLIENT_DISCONNECT: AsyncEvent.CLIENT_DISCONNECT,
}
"""What a subscriber hears."""
