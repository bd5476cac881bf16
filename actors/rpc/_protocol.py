"""Asynchronous RPC as tables: both sides of a call, admission, two strengths of cancel, order.

No thread, clock, socket or log in sight.  Sources are sections of spec/rpc.md.

Theory.  A client's call has three moments: its answer is decided (``DONE``), the application is
notified (``NOTIFIED``), and it fetches the result (``FINAL``).  A cancel only hurries the first.
The abortive one decides at once; the other asks the server and decides nothing, so its outcome is
known when the answer comes (``outcome_at_answer``).  On the server a cancel is a mark beside the
state, which the server looks at when it likes.  ``_machines`` holds the rows of both.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from rescind.actors.kernel._rules import Canceller, Check
from rescind.events import Outcome

from ._codes import Code, Notification, Subscription
from ._machines import (
    CLIENT_TERMINAL,
    CLIENT_TRANSITIONS,
    SERVER_TRANSITIONS,
    STRICT_ROWS,
    ClientEvent,
    ClientRow,
    ClientState,
    ServerEvent,
    ServerRow,
    ServerState,
)

# --- states and transitions ---------------------------------------------------------------------


class BindingState(IntEnum):
    """The endpoint: a binding, or the server's end of it."""

    CLOSED = 0
    OPEN = 1


STATES: dict[int, str] = {BindingState.CLOSED: "closed", BindingState.OPEN: "open"}
"""The endpoint's states by name."""


_CLIENT = {(row.state, row.event): row for row in CLIENT_TRANSITIONS}
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
        # The moment after which the dispatcher may not raise any more (B.2) has no function.
        Operation("HandOff", _SERVER_ONLY),
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


class StubFacts(Protocol):
    """What the checks of the stub read."""

    @property
    def binding_open(self) -> bool: ...
    @property
    def structure_good(self) -> bool: ...
    # What ``may_reuse`` says of a structure that carried a call before.
    @property
    def reusable(self) -> bool: ...
    # MessagePack has a form for every argument.
    @property
    def carried(self) -> bool: ...
    # The channel takes messages of this size.
    @property
    def fits(self) -> bool: ...
    # One more call may be outstanding.
    @property
    def room(self) -> bool: ...


class ArrivalFacts(Protocol):
    """What the checks of a call that reaches the server read."""

    @property
    def server_open(self) -> bool: ...
    @property
    def version_right(self) -> bool: ...
    # Its payload is a list of arguments.
    @property
    def carried(self) -> bool: ...
    @property
    def procedure_known(self) -> bool: ...
    # One more call may run.
    @property
    def room(self) -> bool: ...


CALL_CHECKS: tuple[Check[StubFacts], ...] = (
    Check("R-1702-closed", Code.INVALID_BINDING, lambda it: not it.binding_open, "B.5"),
    Check("R-1914-structure", Code.INVALID_ASYNC_HANDLE, lambda it: not it.structure_good, "B.1"),
    Check("R-1914-reinitialise", Code.INVALID_ASYNC_HANDLE, lambda it: not it.reusable, "B.9-1"),
    Check("R-87-arguments", Code.INVALID_ARG, lambda it: not it.carried, "B.5"),
    Check("R-87-message", Code.INVALID_ARG, lambda it: not it.fits, "B.5"),
    Check("R-1723-calls", Code.SERVER_TOO_BUSY, lambda it: not it.room, "B.5"),
)
"""Of the stub: where one refuses, it raises, and there is no call (B.2)."""
SERVE_CHECKS: tuple[Check[ArrivalFacts], ...] = (
    Check("R-1722-closed", Code.SERVER_UNAVAILABLE, lambda it: not it.server_open, "B.5"),
    Check("R-1728-version", Code.PROTOCOL_ERROR, lambda it: not it.version_right, "B.5"),
    Check("R-1728-payload", Code.PROTOCOL_ERROR, lambda it: not it.carried, "B.5"),
    Check("R-1727-procedure", Code.CALL_FAILED_DNE, lambda it: not it.procedure_known, "B.5"),
    Check("R-1723-running", Code.SERVER_TOO_BUSY, lambda it: not it.room, "B.5"),
)
"""Of a call that has crossed the wire: what is refused here is the client's answer."""


class EndingFacts(Protocol):
    """What the checks of a server's functions read that end a call, or give it away."""

    # MessagePack has a form for the result.
    @property
    def carried(self) -> bool: ...
    # The code is none of success.
    @property
    def code_good(self) -> bool: ...
    # The dispatcher has it still.
    @property
    def dispatched(self) -> bool: ...


ENDING_CHECKS: tuple[Check[EndingFacts], ...] = (
    Check("R-87-result", Code.INVALID_ARG, lambda it: not it.carried, "B.5"),
    Check("R-87-code", Code.INVALID_ARG, lambda it: not it.code_good, "B.1"),
    Check("R-1915-handed-off", Code.INVALID_ASYNC_CALL, lambda it: not it.dispatched, "B.2"),
)
"""Of RpcAsyncCompleteCall and RpcAsyncAbortCall at the server, and of the hand-off."""


# --- the status ---------------------------------------------------------------------------------


def call_status(state: ClientState, result: Code | int, profile: Profile) -> int:
    """Return what RpcAsyncGetCallStatus says; it changes nothing (B.1, B.9-4)."""
    match state:
        case ClientState.INIT:
            return profile.unused_status
        case ClientState.PENDING | ClientState.CANCELLING:
            return Code.ASYNC_CALL_PENDING
        case ClientState.DONE | ClientState.NOTIFIED:
            return result
        case ClientState.FINAL | ClientState.FAILED:
            return Code.INVALID_ASYNC_HANDLE


# --- the cancel --------------------------------------------------------------------------------

CANCEL = "CancelCall"
ABORT = "CancelCall abort"
TIME_OUT = "time-out"
DEADLINE = "deadline"
CLIENT_CANCEL = "client cancel"
CLIENT_ABORT = "client abort"
TRIGGERS: dict[ClientEvent, str] = {
    ClientEvent.CANCEL: CANCEL,
    ClientEvent.ABORT: ABORT,
    ClientEvent.TIMED_OUT: TIME_OUT,
    ClientEvent.DEADLINE: DEADLINE,
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
        Canceller(DEADLINE, "the call's deadline, as gRPC's", "one call, on both sides", "B.5"),
        Canceller(CLIENT_CANCEL, "the client, heard by the server", "nothing: a mark", "B.2"),
        Canceller(CLIENT_ABORT, "the client, heard by the server", "nothing: a mark", "B.2"),
    )
}
"""Who may cancel, by the trigger; a server can't, it only ends its own side."""


@dataclass(frozen=True, slots=True)
class CancelRow:
    """What a cancel achieves, in the ledger's words, and why: what ``rescind why`` says."""

    id: str
    outcome: Outcome
    because: str
    source: str


WON = CancelRow("R-CANCEL-won", Outcome.WON, "the answer was the cancel's own code", "B-R14")
IGNORED = CancelRow(
    "R-CANCEL-ignored", Outcome.IGNORED, "the server was told and ended its call as it liked",
    "B-R2, B-R13, B-R14",
)  # fmt: skip
TOO_LATE = CancelRow("R-CANCEL-late", Outcome.TOO_LATE, "the call was decided by then", "B-R1")
DUPLICATE = CancelRow(
    "R-CANCEL-duplicate", Outcome.DUPLICATE, "an earlier cancel had asked for as much", "B-R5, B-R6"
)
SUPERSEDED = CancelRow(
    "R-CANCEL-superseded", Outcome.SUPERSEDED, "a stronger one did not wait for the answer", "B-R4"
)
CLOSED = CancelRow(
    "R-CANCEL-closed", Outcome.SUPERSEDED, "its endpoint was closed before the answer", "L1"
)
CANCELS = {row.id: row for row in (WON, IGNORED, TOO_LATE, DUPLICATE, SUPERSEDED, CLOSED)}
"""How cancels come out, on both sides; the machines say when."""

CANCELLED_CODE = Code.CALL_CANCELLED
RECOVERED_CODE: int = Code.CALL_FAILED
"""How a call ends that was outstanding when its process ended: the other side may have begun."""
WINDOW_OPERATIONS: frozenset[str] = frozenset()
"""What a cancel forbids while it runs: nothing."""


def cancelled_code(operation: str) -> Code:
    """Return what a cancelled call hears; ``operation`` is there for the dialects that vary."""
    assert OPERATIONS[operation].outstanding, "only what is outstanding can be cancelled"
    return CANCELLED_CODE


def outcome_at_answer(code: int | None) -> CancelRow:
    """Return what an open non-abortive cancel achieved, now that the answer is here.

    Only the cancel's own code shows that the server gave in.  Any other answer stands as the true
    result, also a server's own abort code, whose reason the client can't know (B-R2, B-R14).
    """
    return WON if code == CANCELLED_CODE else IGNORED


def outcome_when_decided(*, by_cancel: bool) -> CancelRow:
    """Return what a cancel achieves at a decided call: an earlier cancel's double, or too late."""
    return DUPLICATE if by_cancel else TOO_LATE


def outcome_of_mark(*, abort: bool, abort_before: bool) -> CancelRow:
    """Return what becomes of the weaker of two cancels that a server was told of."""
    return SUPERSEDED if abort and not abort_before else DUPLICATE


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
