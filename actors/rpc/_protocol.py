"""Asynchronous RPC as tables: both sides of a call, admission, two strengths of cancel, order.

No thread, clock, socket or log in sight.  Sources are sections of spec/rpc.md.

Theory.  A client's call has three moments: its answer is decided (``DONE``), the application is
notified (``NOTIFIED``), and it fetches the result (``FINAL``).  A cancel only hurries the first.
The abortive one decides at once; the other asks the server and decides nothing, so its outcome is
known when the answer comes (``outcome_at_answer``).  On the server a cancel is a mark beside the
state, which the server looks at when it likes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from rescind.actors.kernel._rules import Canceller, Check
from rescind.events import How, Outcome

from ._codes import Code, Notification, Subscription

# --- states ------------------------------------------------------------------------------------


class BindingState(IntEnum):
    """The endpoint: a binding, or the server's end of it."""

    CLOSED = 0
    OPEN = 1


STATES: dict[int, str] = {BindingState.CLOSED: "closed", BindingState.OPEN: "open"}
"""The endpoint's states by name."""


class ClientState(IntEnum):
    """The client's call (B.2)."""

    INIT = 0
    CALLING = 1
    """The stub was entered and has not returned: nobody may cancel yet (B-R7)."""
    PENDING = 2
    CANCELLING = 3
    """Pending, and the server was asked to stop."""
    DONE = 4
    """Decided; the notification is owed."""
    NOTIFIED = 5
    """The notification left; a type that queues has put it out of our reach."""
    FINAL = 6
    FAILED = 7
    """The stub raised: no notification, nothing to complete, nothing to cancel."""


class ServerState(IntEnum):
    """The server's call (B.2)."""

    DISPATCHED = 10
    HANDED_OFF = 11
    """A worker has it: the dispatcher may not raise any more."""
    COMPLETED = 12
    ABORTED = 13
    RAISED = 14


REQUEST_STATES: dict[int, str] = {s: s.name for s in (*ClientState, *ServerState)}
"""The states of both request actors; their numbers don't overlap."""

CLIENT_INITIAL = ClientState.INIT
CLIENT_TERMINAL = frozenset({ClientState.FINAL, ClientState.FAILED})
SERVER_INITIAL = ServerState.DISPATCHED
SERVER_TERMINAL = frozenset({ServerState.COMPLETED, ServerState.ABORTED, ServerState.RAISED})


class ClientEvent(StrEnum):
    """What may happen to the client's call."""

    CALL = "the stub is called"
    RETURNED = "the stub returns"
    RAISED = "the stub raises"
    REPLY = "a reply, a fault or a transport failure arrives"
    CANCEL = "RpcAsyncCancelCall, not abortive"
    ABORT = "RpcAsyncCancelCall, abortive"
    TIMED_OUT = "the call's time-out passes"
    NOTIFY = "the notification leaves"
    COMPLETE = "RpcAsyncCompleteCall"


class ServerEvent(StrEnum):
    """What may happen to the server's call."""

    HAND_OFF = "the dispatcher gives it to a worker"
    COMPLETE = "RpcAsyncCompleteCall"
    ABORT = "RpcAsyncAbortCall"
    RAISE = "the dispatcher raises"
    CANCEL = "the client's cancel arrives"
    DISCONNECT = "the client is gone"


def _rule_id(table: str, state: IntEnum, event: StrEnum) -> str:
    words = f"{state.name}-{event.name}".lower().replace("_", "-")
    return f"R-{table}-{words}"


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One row of the client's machine.

    ``returns`` is the answer of the function that the event is, None where it is no function;
    ``completes`` and ``how`` are set where the row decides the call (``how`` None: the answer
    decides between result and failure).  ``outcome`` is what a cancel achieved; None where that is
    known only when the answer comes.  ``violation`` marks a use that the rules forbid.
    """

    state: ClientState
    event: ClientEvent
    next: ClientState
    source: str
    returns: Code | None = None
    completes: bool = False
    how: How | None = None
    outcome: Outcome | None = None
    supersedes: bool = False
    """An earlier cancel that was still open ends as superseded by this one."""
    tells_server: bool = False
    returns_result: bool = False
    """The function returns the call's own result instead of ``returns``."""
    answer_ignored: bool = False
    held: bool = False
    """The event waits until the stub has returned."""
    notifies_first: bool = False
    violation: bool = False
    table: str = "CLIENT"

    @property
    def id(self) -> str:
        """The rule's id, like ``R-CLIENT-pending-abort``."""
        return _rule_id(self.table, self.state, self.event)


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One row of the server's machine; the fields mean what they mean for the client."""

    state: ServerState
    event: ServerEvent
    next: ServerState
    source: str
    returns: Code | None = None
    completes: bool = False
    outcome: Outcome | None = None
    marks_cancelled: bool = False
    violation: bool = False

    @property
    def id(self) -> str:
        """The rule's id, like ``R-SERVER-completed-cancel``."""
        return _rule_id("SERVER", self.state, self.event)


@dataclass(frozen=True, slots=True)
class Impossible:
    """A written refusal: this event can't meet these states, for this reason."""

    states: Collection[ClientState] | Collection[ServerState]
    event: ClientEvent | ServerEvent
    reason: str


_C, _E = ClientState, ClientEvent
_LATE = (_C.DONE, _C.NOTIFIED)
_OPEN = (_C.PENDING, _C.CANCELLING)
_OVER = (_C.FINAL, _C.FAILED)
_EARLY = (_C.INIT, _C.CALLING)

ESCALATION: tuple[ClientEvent, ...] = (ClientEvent.CANCEL, ClientEvent.ABORT)
"""Both strengths, in the documented order: ask, wait for a time-out of one's own, abort (B.0-4)."""

CLIENT_TRANSITIONS: tuple[ClientRow, ...] = (
    ClientRow(_C.INIT, _E.CALL, _C.CALLING, "B.2"),
    ClientRow(_C.CALLING, _E.RETURNED, _C.PENDING, "B.2"),
    ClientRow(_C.CALLING, _E.RAISED, _C.FAILED, "B.2"),
    # A fast server may answer first; exactly the calls whose stub returned are notified (B.3-2).
    ClientRow(_C.CALLING, _E.REPLY, _C.CALLING, "B.3-2", held=True),
    ClientRow(_C.CALLING, _E.TIMED_OUT, _C.CALLING, "B.3-2", held=True),
    # --- the answer
    *(ClientRow(s, _E.REPLY, _C.DONE, "B.2, B-R2", completes=True) for s in _OPEN),
    *(
        ClientRow(s, _E.REPLY, s, "B-R3, B-R16", answer_ignored=True)
        for s in (*_LATE, *_OVER)
    ),
    # --- the time-out: a cancel of its own that the server never hears of
    ClientRow(
        _C.PENDING, _E.TIMED_OUT, _C.DONE, "B.2, B.0-10",
        completes=True, how=How.TIMED_OUT, outcome=Outcome.WON,
    ),
    ClientRow(
        _C.CANCELLING, _E.TIMED_OUT, _C.DONE, "B.2, B.0-10",
        completes=True, how=How.TIMED_OUT, outcome=Outcome.WON, supersedes=True,
    ),
    *(
        ClientRow(s, _E.TIMED_OUT, s, "B-R16", outcome=Outcome.TOO_LATE)
        for s in (*_LATE, *_OVER)
    ),
    # --- the cancel of both strengths
    ClientRow(
        _C.PENDING, _E.CANCEL, _C.CANCELLING, "B.2", returns=Code.OK, tells_server=True
    ),
    ClientRow(
        _C.CANCELLING, _E.CANCEL, _C.CANCELLING, "B-R6",
        returns=Code.OK, outcome=Outcome.DUPLICATE,
    ),
    ClientRow(
        _C.PENDING, _E.ABORT, _C.DONE, "B.2", returns=Code.OK, completes=True,
        how=How.CANCELLED, outcome=Outcome.WON, tells_server=True,
    ),
    ClientRow(
        _C.CANCELLING, _E.ABORT, _C.DONE, "B.2, B-R4", returns=Code.OK, completes=True,
        how=How.CANCELLED, outcome=Outcome.WON, supersedes=True, tells_server=True,
    ),
    *(
        ClientRow(s, event, s, "B-R1, B-R5", returns=Code.OK, outcome=Outcome.TOO_LATE)
        for s in _LATE
        for event in ESCALATION
    ),
    *(
        ClientRow(
            s, event, s, source, returns=code, outcome=Outcome.REFUSED, violation=True
        )
        for states, code, source in (
            (_EARLY, Code.INVALID_ASYNC_CALL, "B-R7, B.4"),
            (_OVER, Code.INVALID_ASYNC_HANDLE, "B-R8, B-R11"),
        )
        for s in states
        for event in ESCALATION
    ),
    # --- the notification and the fetch
    ClientRow(_C.DONE, _E.NOTIFY, _C.NOTIFIED, "B.3-2"),
    # Completing without having been notified: the notification leaves first, so that there is
    # exactly one (B.3-2) and none after the final completion (B.0-9).
    ClientRow(
        _C.DONE, _E.COMPLETE, _C.FINAL, "B-R10", returns_result=True, notifies_first=True
    ),
    ClientRow(_C.NOTIFIED, _E.COMPLETE, _C.FINAL, "B.2", returns_result=True),
    *(
        ClientRow(s, _E.COMPLETE, s, "B.0-8, B-R9", returns=Code.ASYNC_CALL_PENDING)
        for s in _OPEN
    ),
    *(
        ClientRow(s, _E.COMPLETE, s, source, returns=code, violation=True)
        for states, code, source in (
            (_EARLY, Code.INVALID_ASYNC_CALL, "B.4"),
            (_OVER, Code.INVALID_ASYNC_HANDLE, "B-R12, B.2"),
        )
        for s in states
    ),
    # --- a second call on a structure in use: every outstanding call needs its own (B.0-1)
    *(
        ClientRow(s, _E.CALL, s, "B.0-1, B.4", returns=Code.INVALID_ASYNC_CALL, violation=True)
        for s in (_C.CALLING, *_OPEN, *_LATE)
    ),
)  # fmt: skip
"""Every row of the client's call."""

STRICT_ROWS: dict[tuple[ClientState, ClientEvent], ClientRow] = {
    (_C.DONE, _E.COMPLETE): ClientRow(
        _C.DONE, _E.COMPLETE, _C.DONE, "B-R10", returns=Code.ASYNC_CALL_PENDING, table="STRICT"
    ),
}
"""What the strict profile puts in the place of a row: wait for the notification first."""

CLIENT_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(frozenset(_C) - {_C.CALLING}, _E.RETURNED, "no stub is under way"),
    Impossible(frozenset(_C) - {_C.CALLING}, _E.RAISED, "no stub is under way"),
    Impossible({_C.INIT}, _E.REPLY, "no call was made"),
    Impossible({_C.INIT}, _E.TIMED_OUT, "no call was made"),
    Impossible(
        frozenset(_C) - {_C.DONE}, _E.NOTIFY, "one notification is owed, between done and final"
    ),
    Impossible(_OVER, _E.CALL, "a reused structure is a new request (see ``may_reuse``)"),
)

_CLIENT = {(row.state, row.event): row for row in CLIENT_TRANSITIONS}

_S, _F = ServerState, ServerEvent
_RUNNING = (_S.DISPATCHED, _S.HANDED_OFF)
_ENDED = (_S.COMPLETED, _S.ABORTED, _S.RAISED)

SERVER_TRANSITIONS: tuple[ServerRow, ...] = (
    ServerRow(_S.DISPATCHED, _F.HAND_OFF, _S.HANDED_OFF, "B.2"),
    ServerRow(_S.DISPATCHED, _F.RAISE, _S.RAISED, "B.2", completes=True),
    *(
        ServerRow(s, _F.RAISE, s, "B.2", violation=True)
        for s in (_S.HANDED_OFF, _S.COMPLETED, _S.ABORTED)
    ),
    # Completing although cancelled is legal, and says nothing of what the client saw (B-R13).
    *(
        ServerRow(s, _F.COMPLETE, _S.COMPLETED, "B.2, B-R13", returns=Code.OK, completes=True)
        for s in _RUNNING
    ),
    *(
        ServerRow(s, _F.ABORT, _S.ABORTED, "B.2, B-R14", returns=Code.OK, completes=True)
        for s in _RUNNING
    ),
    *(ServerRow(s, _F.CANCEL, s, "B.2", marks_cancelled=True) for s in _RUNNING),
    *(ServerRow(s, _F.CANCEL, s, "B.2, B-R2", outcome=Outcome.TOO_LATE) for s in _ENDED),
    # The client is gone and the server must end its call all the same (B-R17).
    *(ServerRow(s, _F.DISCONNECT, s, "B-R17") for s in _S),
    *(
        ServerRow(s, event, s, "B-R18", returns=Code.INVALID_ASYNC_HANDLE, violation=True)
        for s in _ENDED
        for event in (_F.COMPLETE, _F.ABORT)
    ),
)
"""Every row of the server's call."""

SERVER_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(
        frozenset(_S) - {_S.DISPATCHED}, _F.HAND_OFF, "only the dispatcher has it to give away"
    ),
    Impossible({_S.RAISED}, _F.RAISE, "the dispatcher has left by its exception"),
)

_SERVER = {(row.state, row.event): row for row in SERVER_TRANSITIONS}


def server_transition(state: ServerState, event: ServerEvent) -> ServerRow | None:
    """Return the row for this state and event, or None where the refusals say why not."""
    return _SERVER.get((state, event))


# --- profiles ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Profile:
    """One reading of the places where the sources differ (B.9)."""

    name: str
    reinitialise: bool
    """A structure must be initialised again before its next call (B.9-1)."""
    waits_for_notification: bool
    """RpcAsyncCompleteCall is pending until the notification left (B-R10)."""
    unused_status: Code
    """What GetCallStatus says of a structure that never carried a call (B.9-2)."""


CURRENT = Profile(
    name="current",
    reinitialise=False,
    waits_for_notification=False,
    unused_status=Code.INVALID_BINDING,
)
STRICT = Profile(
    name="strict",
    reinitialise=True,
    waits_for_notification=True,
    unused_status=Code.INVALID_ASYNC_HANDLE,
)
PROFILES = {profile.name: profile for profile in (CURRENT, STRICT)}
DEFAULT_PROFILE = CURRENT


def client_transition(
    state: ClientState, event: ClientEvent, profile: Profile = CURRENT, *, notifies: bool = True
) -> ClientRow | None:
    """Return the row for this state and event, or None where the refusals say why not.

    A call of notification type none has no notification to wait for, whatever the profile.
    """
    if profile.waits_for_notification and notifies and (state, event) in STRICT_ROWS:
        return STRICT_ROWS[state, event]
    return _CLIENT.get((state, event))


def may_reuse(state: ClientState, profile: Profile, *, initialised_again: bool) -> bool:
    """Tell whether a structure may carry its next call, which is a new request (B.2, B.9-1)."""
    return state in CLIENT_TERMINAL and (initialised_again or not profile.reinitialise)


# --- operations and admission ------------------------------------------------------------------


class Side(StrEnum):
    """Which side of a call a structure belongs to."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Operation:
    """One function: who may call it, and whether it is a request that stays outstanding."""

    name: str
    sides: frozenset[Side]
    outstanding: bool = False


_BOTH = frozenset(Side)
_CLIENT_ONLY = frozenset({Side.CLIENT})
_SERVER_ONLY = frozenset({Side.SERVER})

OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation("Call", _CLIENT_ONLY, outstanding=True),
        Operation("Serve", _SERVER_ONLY, outstanding=True),
        Operation("RpcAsyncInitializeHandle", _CLIENT_ONLY),
        Operation("RpcAsyncGetCallStatus", _CLIENT_ONLY),
        Operation("RpcAsyncCancelCall", _CLIENT_ONLY),
        Operation("RpcAsyncCompleteCall", _BOTH),
        Operation("RpcAsyncAbortCall", _SERVER_ONLY),
        Operation("RpcAsyncGetCallHandle", _BOTH),
        Operation("RpcServerTestCancel", _SERVER_ONLY),
        Operation("RpcServerSubscribeForNotification", _SERVER_ONLY),
        Operation("RpcServerUnsubscribeForNotification", _SERVER_ONLY),
    )
}
"""Every function (B.1, B.4).  ``Call`` is the stub and what it leaves behind, ``Serve`` its other
end: the two requests of one call."""


class Facts(Protocol):
    """What the checks read, for one call of a function."""

    @property
    def size_right(self) -> bool: ...
    # The structure was initialised and belongs to this process.
    @property
    def structure_good(self) -> bool: ...
    @property
    def side(self) -> Side: ...
    @property
    def calling(self) -> Operation: ...
    @property
    def binding_valid(self) -> bool: ...
    @property
    def call_active(self) -> bool: ...
    # The client's cancel has arrived.
    @property
    def cancelled(self) -> bool: ...
    @property
    def subscription(self) -> int: ...
    @property
    def notification(self) -> Notification: ...


# A plain integer: the complement of a flag leaves out the bits that no flag has.
_KNOWN = int(Subscription.CLIENT_DISCONNECT | Subscription.CALL_CANCEL)


def _shares_an_event(facts: Facts) -> bool:
    """An event object carries no kind, so two subscriptions need two calls (B.3-6)."""
    return facts.subscription == _KNOWN and facts.notification is Notification.EVENT


ADMISSION: tuple[Check[Facts], ...] = (
    Check("R-1914-handle", Code.INVALID_ASYNC_HANDLE, lambda it: not it.structure_good, "B.1, B.4"),
    Check(
        "R-1915-side", Code.INVALID_ASYNC_CALL, lambda it: it.side not in it.calling.sides, "B.4"
    ),
)
"""Before a function meets the call's state; the state's own refusals are rows of the machines."""
INITIALIZE_CHECKS: tuple[Check[Facts], ...] = (
    Check("R-87-size", Code.INVALID_ARG, lambda it: not it.size_right, "B.1"),
)
SUBSCRIBE_CHECKS: tuple[Check[Facts], ...] = (
    Check(
        "R-1764-subscription", Code.CANNOT_SUPPORT,
        lambda it: bool(it.subscription & ~_KNOWN), "B.1",
    ),
    Check(
        "R-87-notification", Code.INVALID_ARG,
        lambda it: it.notification is Notification.NONE, "B.1",
    ),
    Check("R-87-event", Code.INVALID_ARG, _shares_an_event, "B.3-6"),
)  # fmt: skip
TEST_CANCEL_CHECKS: tuple[Check[Facts], ...] = (
    Check("R-1702-binding", Code.INVALID_BINDING, lambda it: not it.binding_valid, "B.1"),
    Check("R-1725-call", Code.NO_CALL_ACTIVE, lambda it: not it.call_active, "B.1"),
    Check("R-1791-running", Code.CALL_IN_PROGRESS, lambda it: not it.cancelled, "B.0-7"),
)
"""RpcServerTestCancel reads upside down: refused means not cancelled, OK means cancelled."""


def call_status(state: ClientState, result: Code | int, profile: Profile) -> int:
    """Return what RpcAsyncGetCallStatus says; it changes nothing (B.1, B.9-4)."""
    match state:
        case ClientState.INIT:
            return profile.unused_status
        case ClientState.CALLING | ClientState.PENDING | ClientState.CANCELLING:
            return Code.ASYNC_CALL_PENDING
        case ClientState.DONE | ClientState.NOTIFIED:
            return result
        case ClientState.FINAL | ClientState.FAILED:
            return Code.INVALID_ASYNC_HANDLE


# --- the cancel --------------------------------------------------------------------------------

CANCEL = "CancelCall"
ABORT = "CancelCall abort"
TIME_OUT = "time-out"
TRIGGERS: dict[ClientEvent, str] = {
    ClientEvent.CANCEL: CANCEL,
    ClientEvent.ABORT: ABORT,
    ClientEvent.TIMED_OUT: TIME_OUT,
}
"""The events of the client's machine that are cancels, and their triggers."""

CANCELLERS: dict[str, Canceller] = {
    row.trigger: row
    for row in (
        Canceller(
            CANCEL, "any client thread, once the stub returned", "one call, if asked to", "B.4"
        ),
        Canceller(ABORT, "any client thread, once the stub returned", "one call, at once", "B.4"),
        Canceller(TIME_OUT, "the call's own time-out", "one call, server untold", "B.0-10"),
    )
}
"""Who may cancel, by the trigger; a server can't, it only ends its own side."""

CANCELLED_CODE = Code.CALL_CANCELLED
WINDOW_OPERATIONS: frozenset[str] = frozenset()
"""What a cancel forbids while it runs: nothing."""


def cancelled_code(operation: str) -> Code:
    """Return what a cancelled call hears; ``operation`` is there for the dialects that vary."""
    assert OPERATIONS[operation].outstanding, "only what is outstanding can be cancelled"
    return CANCELLED_CODE


def outcome_at_answer(code: int) -> Outcome:
    """Return what an open non-abortive cancel achieved, now that the answer is here.

    Only the cancel's own code shows that the server gave in.  Any other answer stands as the true
    result, also a server's own abort code, whose reason the client can't know (B-R2, B-R14).
    """
    return Outcome.WON if code == CANCELLED_CODE else Outcome.IGNORED


def outcome_when_decided(*, by_cancel: bool) -> Outcome:
    """Return what a cancel achieves at a decided call: an earlier cancel's double, or too late."""
    return Outcome.DUPLICATE if by_cancel else Outcome.TOO_LATE


# --- order -------------------------------------------------------------------------------------


class Step(StrEnum):
    """The facts that the order speaks of, one call each."""

    STUB_RETURNED = "the stub returned"
    CANCEL_ADMITTED = "a cancel was admitted"
    DECIDED = "the client's call was decided"
    NOTIFIED = "the notification left"
    FETCHED = "RpcAsyncCompleteCall returned the result"
    DISPATCHED = "the server got the call"
    CANCEL_HEARD = "the server was told of a cancel by its subscription"
    UNSUBSCRIBED = "the server unsubscribed"
    SERVER_ENDED = "the server completed, aborted or raised"


@dataclass(frozen=True, slots=True)
class Precedence:
    """``first`` never comes after ``then`` for one call; ``once``: at most one ``then``."""

    id: str
    first: Step
    then: Step
    source: str
    once: bool = False


ORDER: tuple[Precedence, ...] = (
    Precedence("R-ORDER-return-cancel", Step.STUB_RETURNED, Step.CANCEL_ADMITTED, "B.3-1"),
    Precedence("R-ORDER-return-notification", Step.STUB_RETURNED, Step.NOTIFIED, "B.3-2"),
    Precedence("R-ORDER-notification", Step.DECIDED, Step.NOTIFIED, "B.3-2", once=True),
    Precedence("R-ORDER-fetch", Step.NOTIFIED, Step.FETCHED, "B.3-3", once=True),
    Precedence("R-ORDER-cancel-heard", Step.CANCEL_ADMITTED, Step.CANCEL_HEARD, "B.3-4", once=True),
    Precedence("R-ORDER-unsubscribe", Step.UNSUBSCRIBED, Step.SERVER_ENDED, "B.3-5"),
    Precedence("R-ORDER-end", Step.DISPATCHED, Step.SERVER_ENDED, "B.2", once=True),
)
"""The partial order within one call.  That NOTIFIED comes before FETCHED needs a type that
notifies.  Between calls of one binding, one thread and one security level only the *dispatch* is
ordered as issued, unless the binding is noncausal (B.3-7)."""

DELIVERY_RANK: dict[str, int] = {"Call": 0, "Serve": 0}
"""No call's notification goes before another's by its kind."""
DELIVERY_TIES = "completed"
"""Equal ranks are delivered as they completed (B.3-7: completion may be out of order)."""
