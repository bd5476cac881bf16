"""Telephony as tables: calls, operations, handles, who may act, what a close does, order.

No thread, clock, socket or log in sight.  Sources are sections of spec/tapi.md.

Theory.  No operation can be cancelled by itself.  It ends early because its call is dropped (a
request to the provider, which may take its time) or closed (an order that leaves nothing open), and
both follow from an application that lets go.  Two independent questions decide what the provider
hears then: is the application the sole *owner* of the call, and does it hold the only *handle*?
"""

# over 600 lines because one dialect's tables are read side by side.
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from rescind.actors.kernel._rules import Canceller, Check
from rescind.events import Outcome

from ._codes import CallState, Code, Privilege

# --- states ------------------------------------------------------------------------------------


class LineState(IntEnum):
    """The endpoint: a line as TAPI holds it open at the provider."""

    CLOSED = 0
    OPEN = 1
    CLOSING = 2
    """TSPI_lineClose was called and has not returned."""


STATES: dict[int, str] = {state: state.name.lower() for state in LineState}
"""The endpoint's states by name."""

_C = CallState
ANY_CALL_STATE = frozenset(CallState)
HELD = frozenset({_C.ONHOLD, _C.ONHOLDPENDCONF, _C.ONHOLDPENDTRANSFER})
_ENDS = frozenset({_C.DISCONNECTED, _C.IDLE})


@dataclass(frozen=True, slots=True)
class CallRow:
    """Where a call may go from one state; anything else breaks the provider's protocol."""

    id: str
    state: CallState | None
    next: frozenset[CallState]


_PAST_DIALLING = frozenset({_C.BUSY, _C.SPECIALINFO, _C.CONNECTED}) | _ENDS
_FROM_HOLD = frozenset({_C.CONNECTED, _C.CONFERENCED}) | _ENDS

CALL_TRANSITIONS: dict[CallState, CallRow] = {
    state: CallRow(f"T-CALL-{state.name.lower()}", state, targets)
    for state, targets in (
        (_C.OFFERING, frozenset({_C.ACCEPTED, _C.CONNECTED}) | _ENDS),
        (_C.ACCEPTED, frozenset({_C.CONNECTED}) | _ENDS),
        (_C.DIALTONE, frozenset({_C.DIALING, _C.PROCEEDING, _C.CONNECTED}) | _ENDS),
        (_C.DIALING, frozenset({_C.PROCEEDING, _C.RINGBACK}) | _PAST_DIALLING),
        (_C.PROCEEDING, frozenset({_C.RINGBACK}) | _PAST_DIALLING),
        (_C.RINGBACK, frozenset({_C.CONNECTED, _C.BUSY}) | _ENDS),
        (_C.BUSY, _ENDS),
        (_C.SPECIALINFO, _ENDS),
        # Connected to connected is a change of mode, also what a drop on a bridged line leaves.
        (_C.CONNECTED, HELD | {_C.CONFERENCED, _C.CONNECTED} | _ENDS),
        (_C.ONHOLD, _FROM_HOLD),
        (_C.ONHOLDPENDCONF, _FROM_HOLD),
        (_C.ONHOLDPENDTRANSFER, _FROM_HOLD),
        (_C.CONFERENCED, frozenset({_C.CONNECTED, _C.ONHOLD}) | _ENDS),
        # A remote hang-up is not idle: the near side still has to drop (A.3, A-R13).
        (_C.DISCONNECTED, frozenset({_C.IDLE})),
        (_C.UNKNOWN, ANY_CALL_STATE),
        (_C.IDLE, frozenset[CallState]()),
    )
}
"""Every state has its row; idle's is empty (A.3)."""

NEW_OUTBOUND = CallRow(
    "T-CALL-new-outbound",
    None,
    frozenset({_C.DIALTONE, _C.DIALING, _C.PROCEEDING, _C.RINGBACK, _C.UNKNOWN}) | _PAST_DIALLING,
)
NEW_INCOMING = CallRow("T-CALL-new-incoming", None, ANY_CALL_STATE)
CALL_TERMINAL = frozenset({CallState.IDLE})


def call_may_move(row: CallRow, new: CallState, *, lenient: bool = False) -> bool:
    """Tell whether a provider may report ``new`` now; lenient keeps only that idle is last."""
    return new in row.next or (lenient and row.state is not CallState.IDLE)


class RequestState(IntEnum):
    """One asynchronous operation, at the provider's border and at the application's (A.3)."""

    ISSUED = 0
    """The provider's function runs."""
    EARLY = 1
    """Completed before the function returned, which is legal; the reply is held (A-R1)."""
    ACCEPTED = 2
    MUTED = 3
    """Accepted, and nobody will hear its reply; the operation itself goes on (A-R5)."""
    COMPLETED = 4
    REPLIED = 5
    SUPPRESSED = 6
    REFUSED = 7


REQUEST_STATES: dict[int, str] = {state: state.name for state in RequestState}
REQUEST_INITIAL = RequestState.ISSUED
REQUEST_TERMINAL = frozenset({RequestState.REPLIED, RequestState.SUPPRESSED, RequestState.REFUSED})


class RequestEvent(StrEnum):
    """What may happen to an operation."""

    RETURNED_ID = "the provider's function returned the request's id"
    RETURNED_ERROR = "the provider's function returned an error"
    RETURNED_OTHER = "the provider's function returned something else"
    COMPLETION = "ASYNC_COMPLETION names it"
    REPLY = "LINE_REPLY leaves for the application"
    MUTE = "its application lost the right to its reply"


class HandleState(IntEnum):
    """An application's handle to a call (HCALL, A.3): pending until the reply says it is valid."""

    VOID = 0
    PENDING = 1
    VALID = 2
    GONE = 3


class HandleEvent(StrEnum):
    """What may happen to a handle of either kind."""

    ASKED = "a call-creating operation returned its id"
    GIVEN = "a new call, a handoff or lineGetNewCalls gave it"
    SUCCEEDED = "the birth succeeded: LINE_REPLY, ASYNC_COMPLETION"
    FAILED = "the birth failed"
    LET_GO = "deallocated or closed by either side"


class ProviderHandleState(IntEnum):
    """A provider's handle to a call (HDRVCALL, A.3)."""

    TENTATIVE = 10
    VALIDATED = 11
    INVALID = 12
    CLOSED = 13


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an operation's or a handle's machine.

    ``violation`` names the provider's rule that the event breaks; the event then changes nothing
    that the application sees.
    """

    state: IntEnum
    event: StrEnum
    next: IntEnum
    source: str
    violation: str | None = None

    @property
    def id(self) -> str:
        """The rule's id, like ``T-REQUEST-accepted-completion``."""
        words = f"{self.state.name}-{self.event.name}".lower().replace("_", "-")
        return f"T-{_TABLES[type(self.state).__name__]}-{words}"


@dataclass(frozen=True, slots=True)
class Impossible:
    """A written refusal: this event can't meet these states, for this reason."""

    states: Collection[IntEnum]
    event: StrEnum
    reason: str


_TABLES = {"RequestState": "REQUEST", "HandleState": "HANDLE", "ProviderHandleState": "HDRV"}
_R, _E = RequestState, RequestEvent
_RETURNED = frozenset(_R) - {_R.ISSUED, _R.EARLY}

REQUEST_TRANSITIONS: tuple[Row, ...] = (
    Row(_R.ISSUED, _E.RETURNED_ID, _R.ACCEPTED, "A.4-3"),
    Row(_R.ISSUED, _E.RETURNED_ERROR, _R.REFUSED, "A.4-3, A-R16"),
    Row(_R.ISSUED, _E.RETURNED_OTHER, _R.REFUSED, "A.4-2", violation="T-SP-return"),
    Row(_R.ISSUED, _E.COMPLETION, _R.EARLY, "A-R1"),
    Row(_R.EARLY, _E.RETURNED_ID, _R.COMPLETED, "A-R1"),
    # The function's word stands, because the application has it; the completion is ignored.
    Row(_R.EARLY, _E.RETURNED_ERROR, _R.REFUSED, "A.4-3", violation="T-SP-error"),
    Row(_R.EARLY, _E.RETURNED_OTHER, _R.REFUSED, "A.4-2", violation="T-SP-return"),
    Row(_R.ACCEPTED, _E.COMPLETION, _R.COMPLETED, "A.4-3"),
    Row(_R.ACCEPTED, _E.MUTE, _R.MUTED, "A-R5"),
    Row(_R.MUTED, _E.COMPLETION, _R.SUPPRESSED, "A-R5"),
    Row(_R.MUTED, _E.MUTE, _R.MUTED, "A.5"),
    Row(_R.COMPLETED, _E.REPLY, _R.REPLIED, "A.4-1"),
    Row(_R.COMPLETED, _E.MUTE, _R.SUPPRESSED, "A.5"),
    *(
        Row(state, _E.COMPLETION, state, "A.0-2, A-R7", violation="T-SP-twice")
        for state in (_R.EARLY, _R.COMPLETED, _R.REPLIED, _R.SUPPRESSED, _R.REFUSED)
    ),
    *(Row(state, _E.MUTE, state, "A.5") for state in sorted(REQUEST_TERMINAL)),
)
REQUEST_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(_RETURNED, _E.RETURNED_ID, "a function returns once"),
    Impossible(_RETURNED, _E.RETURNED_ERROR, "a function returns once"),
    Impossible(_RETURNED, _E.RETURNED_OTHER, "a function returns once"),
    Impossible(frozenset(_R) - {_R.COMPLETED}, _E.REPLY, "no reply is owed"),
    Impossible({_R.ISSUED, _R.EARLY}, _E.MUTE, "TAPI closes nothing amid its own call"),
)

_H, _A = HandleState, HandleEvent

HANDLE_TRANSITIONS: tuple[Row, ...] = (
    Row(_H.VOID, _A.ASKED, _H.PENDING, "A.3"),
    Row(_H.VOID, _A.GIVEN, _H.VALID, "A.3"),
    Row(_H.PENDING, _A.SUCCEEDED, _H.VALID, "A.3"),
    Row(_H.PENDING, _A.FAILED, _H.GONE, "A.3"),
    Row(_H.PENDING, _A.LET_GO, _H.GONE, "A-R2"),
    # A handoff to an application that has a handle reuses it.
    Row(_H.VALID, _A.GIVEN, _H.VALID, "A.3"),
    Row(_H.VALID, _A.LET_GO, _H.GONE, "A.5"),
    Row(_H.GONE, _A.LET_GO, _H.GONE, "A.5"),
)
HANDLE_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(frozenset(_H) - {_H.VOID}, _A.ASKED, "each operation fills a new handle"),
    Impossible({_H.PENDING, _H.GONE}, _A.GIVEN, "each birth has a new handle"),
    Impossible(frozenset(_H) - {_H.PENDING}, _A.SUCCEEDED, "no reply is owed"),
    Impossible(frozenset(_H) - {_H.PENDING}, _A.FAILED, "no reply is owed"),
    Impossible({_H.VOID}, _A.LET_GO, "there is nothing to let go of"),
)

_P = ProviderHandleState

PROVIDER_HANDLE_TRANSITIONS: tuple[Row, ...] = (
    Row(_P.TENTATIVE, _A.SUCCEEDED, _P.VALIDATED, "A.3"),
    Row(_P.TENTATIVE, _A.FAILED, _P.INVALID, "A.3, A-R16"),
    Row(_P.TENTATIVE, _A.LET_GO, _P.CLOSED, "A-R2"),
    Row(_P.VALIDATED, _A.LET_GO, _P.CLOSED, "A.4-9"),
    # The pages differ on whether TAPI closes a failed handle; a provider answers 0 (A.9-3).
    Row(_P.INVALID, _A.LET_GO, _P.INVALID, "A.9-3"),
)
PROVIDER_HANDLE_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(frozenset(_P) - {_P.TENTATIVE}, _A.SUCCEEDED, "the birth was settled"),
    Impossible(frozenset(_P) - {_P.TENTATIVE}, _A.FAILED, "the birth was settled"),
    Impossible(frozenset(_P), _A.ASKED, "a provider's handle begins with the birth itself"),
    Impossible(frozenset(_P), _A.GIVEN, "a provider's handle begins with the birth itself"),
    Impossible({_P.CLOSED}, _A.LET_GO, "TAPI closes a call once"),
)

# --- operations and admission ------------------------------------------------------------------


class Needs(StrEnum):
    """The handle that an operation takes."""

    NOTHING = "nothing"
    APP = "application"
    LINE = "line"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class Operation:
    """One function: its handle, whether an owner must call it, in which call states (A.1)."""

    name: str
    needs: Needs
    asynchronous: bool
    owner: bool = False
    admitted: frozenset[CallState] = ANY_CALL_STATE
    creates_call: bool = False


def _on_call(name: str, *states: CallState) -> Operation:
    """Return an asynchronous operation on a call, which only an owner may ask for (A.5)."""
    return Operation(name, Needs.CALL, asynchronous=True, owner=True, admitted=frozenset(states))


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation("lineInitializeEx", Needs.NOTHING, asynchronous=False),
        Operation("lineShutdown", Needs.APP, asynchronous=False),
        Operation("lineOpen", Needs.APP, asynchronous=False),
        Operation("lineClose", Needs.LINE, asynchronous=False),
        Operation("lineGetNewCalls", Needs.LINE, asynchronous=False),
        Operation("lineMakeCall", Needs.LINE, asynchronous=True, creates_call=True),
        Operation("lineDevSpecific", Needs.LINE, asynchronous=True),
        Operation("lineDevSpecificFeature", Needs.LINE, asynchronous=True),
        Operation("lineForward", Needs.LINE, asynchronous=True),
        Operation("lineSetTerminal", Needs.LINE, asynchronous=True),
        Operation("lineUncompleteCall", Needs.LINE, asynchronous=True),
        _on_call("lineAccept", _C.OFFERING),
        # Also a connected, inactive call of a bridged line: see ``_is_out_of_state``.
        _on_call("lineAnswer", _C.OFFERING, _C.ACCEPTED, _C.CONNECTED),
        _on_call("lineHold", _C.CONNECTED),
        _on_call("lineUnhold", *HELD),
        _on_call("lineDrop", *(ANY_CALL_STATE - {_C.IDLE})),
        Operation("lineDeallocateCall", Needs.CALL, asynchronous=False),
        Operation("lineSetCallPrivilege", Needs.CALL, asynchronous=False),
        Operation("lineHandoff", Needs.CALL, asynchronous=False, owner=True),
        Operation("lineGetCallStatus", Needs.CALL, asynchronous=False),
    )
}
"""Every function of the application's side; hold and unhold take the states their names say."""

CALL_LESS = frozenset(
    row.name
    for row in OPERATIONS.values()
    if row.asynchronous and row.needs is Needs.LINE and not row.creates_call
)  # the five that concern no call (A.5)


class Facts(Protocol):
    """What the admission checks read, for one call of a function.

    ``initialised``: some application has initialised telephony.  ``missing``: the handle that the
    function takes, where it is not valid.  ``connected_inactive``: the call is bridged and another
    extension speaks.  ``version_2``: the application negotiated API version 2.0 or later.
    """

    @property
    def initialised(self) -> bool: ...
    @property
    def missing(self) -> Needs | None: ...
    @property
    def pointers_good(self) -> bool: ...
    @property
    def parameters_good(self) -> bool: ...
    @property
    def privilege(self) -> Privilege: ...
    @property
    def call_state(self) -> CallState: ...
    @property
    def connected_inactive(self) -> bool: ...
    @property
    def sole_owner(self) -> bool: ...
    @property
    def version_2(self) -> bool: ...
    @property
    def wanted_privilege(self) -> Privilege: ...
    @property
    def calling(self) -> Operation: ...


def _is_out_of_state(facts: Facts) -> bool:
    calling, state = facts.calling, facts.call_state
    if calling.name == "lineAnswer" and state is _C.CONNECTED:
        return not facts.connected_inactive
    return calling.needs is Needs.CALL and state not in calling.admitted


def _would_orphan(facts: Facts) -> bool:
    """Before 2.0 the last owner can't leave a live call; later it may, and nobody owns it."""
    last = facts.sole_owner and facts.call_state is not _C.IDLE
    return facts.calling.name == "lineDeallocateCall" and last and not facts.version_2


def _would_give_up(facts: Facts) -> bool:
    last = facts.sole_owner and facts.call_state is not _C.IDLE
    lesser = facts.wanted_privilege is not Privilege.OWNER
    return facts.calling.name == "lineSetCallPrivilege" and last and lesser


ADMISSION: tuple[Check[Facts], ...] = (
    Check(
        "T-80000050-uninitialized", Code.UNINITIALIZED,
        lambda it: not it.initialised and it.calling.needs is not Needs.NOTHING, "A.1, A.6",
    ),
    Check("T-80000014-app", Code.INVALAPPHANDLE, lambda it: it.missing is Needs.APP, "A.6"),
    Check("T-8000002B-line", Code.INVALLINEHANDLE, lambda it: it.missing is Needs.LINE, "A.6"),
    Check("T-80000018-call", Code.INVALCALLHANDLE, lambda it: it.missing is Needs.CALL, "A-R2"),
    Check("T-80000035-pointer", Code.INVALPOINTER, lambda it: not it.pointers_good, "A.6"),
    Check("T-80000032-parameter", Code.INVALPARAM, lambda it: not it.parameters_good, "A.6"),
    Check(
        "T-80000046-owner", Code.NOTOWNER,
        lambda it: it.calling.owner and it.privilege is not Privilege.OWNER, "A.5, A.6",
    ),
    Check("T-8000001C-state", Code.INVALCALLSTATE, _is_out_of_state, "A.1, A.6, A-R11"),
    Check("T-8000001C-deallocate", Code.INVALCALLSTATE, _would_orphan, "A.5"),
    Check("T-8000001C-privilege", Code.INVALCALLSTATE, _would_give_up, "A.5"),
)  # fmt: skip
"""In the order of A.6; the provider's own errors come after them."""


def handoff_refusal(*, by_name: bool, found: bool, is_self: bool) -> Code | None:
    """Return why lineHandoff refuses its target; only a file name may name oneself (A.5)."""
    if not found:
        return Code.TARGETNOTFOUND
    return Code.TARGETSELF if is_self and not by_name else None


@dataclass(frozen=True, slots=True)
class Profile:
    """One reading of the places where the pages contradict each other (A.9)."""

    name: str
    drops_on_close: bool
    """lineClose and an unowned arrival drop the call (A.9-1, A.9-2)."""
    closes_failed_handles: bool
    """A make-call that failed asynchronously still gets TSPI_lineCloseCall (A.9-3)."""


TAPI1 = Profile("tapi1", drops_on_close=True, closes_failed_handles=False)
TAPI2_STRICT = Profile("tapi2-strict", drops_on_close=False, closes_failed_handles=True)
PROFILES = {profile.name: profile for profile in (TAPI1, TAPI2_STRICT)}
DEFAULT_PROFILE = TAPI1


class Order(StrEnum):
    """What ends operations early."""

    DROP = "Drop"
    """A request to the provider, which must reach idle and may let operations finish."""
    CLOSE_CALL = "CloseCall"
    """Leaves nothing open, and nothing may be said of the call afterwards."""
    CLOSE = "Close"
    """The same for a line and everything on it."""


@dataclass(frozen=True, slots=True)
class CloseRow:
    """What TAPI sends for one call of a line that an application closes, in order (A.5).

    ``outcome`` is what the close means for each operation still pending on the call; None where
    the provider decides it later (``outcome_at_completion``).
    """

    id: str
    sends: tuple[Order, ...]
    outcome: Outcome | None
    because: str

    @property
    def idle_owed(self) -> bool:
        """The provider was asked to drop and nothing else, so it must report idle (A.4-12)."""
        return self.sends == (Order.DROP,)


LINE_CLOSE: dict[tuple[bool, bool], CloseRow] = {
    (True, True): CloseRow(
        "T-CLOSE-sole-only", (Order.DROP, Order.CLOSE_CALL), Outcome.WON,
        "the closer was its sole owner and nobody else had a handle",
    ),
    (True, False): CloseRow(
        "T-CLOSE-sole-watched", (Order.DROP,), None,
        "the closer was its sole owner and monitors remain",
    ),
    (False, True): CloseRow(
        "T-CLOSE-monitor-only", (Order.CLOSE_CALL,), Outcome.WON,
        "nobody owned it and the closer had its only handle",
    ),
    (False, False): CloseRow(
        "T-CLOSE-shared", (), Outcome.REFUSED, "others hold it and answer for it"
    ),
}  # fmt: skip
"""The decision table by (sole owner, only handle); handles are counted, not applications."""

LINE_CLOSE_WITHOUT_DROP: dict[tuple[bool, bool], CloseRow] = LINE_CLOSE | {
    (True, True): CloseRow(
        "T-CLOSE2-sole-only", (Order.CLOSE_CALL,), Outcome.WON,
        "nobody else had a handle; whether it is dropped is the provider's to say (CLOSEDROP)",
    ),
    (True, False): CloseRow(
        "T-CLOSE2-sole-watched", (), Outcome.REFUSED, "monitors remain, and nothing is dropped"
    ),
}  # fmt: skip
"""The same table where a close drops nothing (profile tapi2-strict, A.9-1)."""


TENTATIVE_CLOSE = CloseRow(
    "T-CLOSE-tentative", (Order.CLOSE_CALL,), Outcome.WON, "its make-call had no reply yet (A-R2)"
)


def close_row(
    profile: Profile, *, sole_owner: bool, only_handle: bool, tentative: bool = False
) -> CloseRow:
    """Return what closing a line does to one of its calls; a tentative one can't be dropped."""
    if tentative:
        return TENTATIVE_CLOSE
    table = LINE_CLOSE if profile.drops_on_close else LINE_CLOSE_WITHOUT_DROP
    return table[sole_owner, only_handle]


DEALLOCATE: dict[bool, CloseRow] = {
    True: CloseRow("T-DEALLOCATE-last", (Order.CLOSE_CALL,), Outcome.WON, "it was the last handle"),
    False: CloseRow("T-DEALLOCATE-shared", (), Outcome.REFUSED, "others have handles to it"),
}
"""What giving back a handle does to the call, by (last handle of all) (A.5)."""

CALL_LESS_CLOSE: dict[bool, CloseRow] = {
    True: CloseRow("T-CLOSE-line-last", (Order.CLOSE,), Outcome.WON, "nobody else had it open"),
    False: CloseRow("T-CLOSE-line-shared", (), Outcome.REFUSED, "others have the line open"),
}
"""What a line close does to operations that concern no call, by (only opener) (A.5)."""

CLOSE_DROP = {(True, False): True, (True, True): False, (False, False): False, (False, True): False}
"""Whether a provider clears a call that is active when the last opener closes the line, by
(LINEDEVCAPFLAGS_CLOSEDROP, control shared with another agent, an off-hook telephone say) (A.5)."""


class Closing(StrEnum):
    """Why an application may lose its right to replies."""

    LINE_CLOSE = "lineClose"
    DEALLOCATE = "lineDeallocateCall"
    SHUTDOWN = "lineShutdown"
    FORCED = "LINE_CLOSE"


REPLIES_SURVIVE = {(Closing.DEALLOCATE, True), (Closing.FORCED, False), (Closing.FORCED, True)}
"""The closings after which outstanding replies still come, with whether the API version is 2.0 or
later (A.5, A.9-4).  Before a forced close the provider has completed everything (A-R15)."""

CANCELLERS: dict[str, Canceller] = {
    trigger: Canceller(trigger, who, ends, "A.5")
    for trigger, who, ends in (
        (Closing.LINE_CLOSE, "who has the line open", "what nobody else answers for"),
        (Closing.DEALLOCATE, "who has a handle", "the call, if it was the last handle"),
        (Closing.SHUTDOWN, "who has initialised", "each of its lines"),
        (Order.DROP, "an owner; TAPI on a close", "the call, in the provider's time"),
        (Order.CLOSE_CALL, "TAPI alone, on a close", "the call, at once"),
        (Order.CLOSE, "TAPI alone, for the last opener", "the line, at once"),
    )
}
"""Who may cancel, by the trigger: applications let go, and TAPI gives the orders."""

CANCELS: dict[tuple[RequestState, Order], Outcome | None] = {
    (state, order): outcome
    for state, close, drop in (
        *((open_, Outcome.WON, None) for open_ in (_R.ISSUED, _R.ACCEPTED, _R.MUTED)),
        *(
            (over, Outcome.TOO_LATE, Outcome.TOO_LATE)
            for over in (_R.EARLY, _R.COMPLETED, _R.REPLIED, _R.SUPPRESSED)
        ),
        (_R.REFUSED, Outcome.NOT_FOUND, Outcome.NOT_FOUND),
    )
    for order, outcome in ((Order.CLOSE_CALL, close), (Order.CLOSE, close), (Order.DROP, drop))
}
"""What each order achieves at an operation; None: the provider decides (A.4-12, A-R6)."""


def outcome_at_completion(code: int | None) -> Outcome:
    """Return what a drop achieved at an operation, now that the provider completed it."""
    return Outcome.WON if code == CANCELLED_CODE else Outcome.IGNORED


def drop_function(*, drop_on_close: bool, closing: bool) -> str:
    """Return what a drop is called at a provider that still has the obsolete function (A.2)."""
    return "TSPI_lineDropOnClose" if drop_on_close and closing else "TSPI_lineDrop"


CANCELLED_CODE = Code.OPERATIONFAILED
CANCELLED_WORD = "nothing"
"""What an application hears in the place of a code where its reply does not survive (A.5)."""
WINDOW_OPERATIONS: frozenset[str] = frozenset()
"""What a cancel forbids while it runs: nothing; the call's state decides."""


def cancelled_code(operation: str) -> Code:
    """Return what an operation hears that a close ended; ``operation`` as in other dialects."""
    assert OPERATIONS[operation].asynchronous, "only what is outstanding can be cancelled"
    return CANCELLED_CODE


PROVIDER_RULES: dict[str, str] = {
    "T-SP-return": "an asynchronous function returns an error or the id it was given (A.4-2)",
    "T-SP-error": "a function that returned an error completes nothing (A.4-3)",
    "T-SP-twice": "an operation is completed once (A.0-2, A-R7)",
    "T-SP-unknown": "only operations that TAPI asked for are completed (A.0-2)",
    "T-SP-open-at-close": "nothing is left open when TSPI_lineCloseCall returns (A.4-9)",
    "T-SP-open-at-line-close": "nothing is left open when TSPI_lineClose returns (A.4-10)",
    "T-SP-before-birth": "nothing is said of a call before its birth is confirmed (A.4-4)",
    "T-SP-after-close": "nothing is said of a call after TSPI_lineCloseCall returned (A.4-9)",
    "T-SP-after-null": "nothing is said of a call that TAPI gave no handle (A.2)",
    "T-SP-reentry": "one report is made at a time (A.4-8)",
    "T-SP-transition": "a call moves as its row allows, and never out of idle (A.3)",
    "T-SP-idle-owed": "a dropped call reports idle, unless it is closed first (A.4-12)",
    "T-SP-line-close": "all is completed before the provider asks to close a line (A.2, A-R15)",
}
"""What a provider may not do; each is recorded and harms nobody."""


@dataclass(frozen=True, slots=True)
class Precedence:
    """Within one ``scope`` (None: one operation), no ``first`` comes after a ``then`` fact."""

    id: str
    first: str
    then: str
    scope: Needs | None
    source: str


ORDER: tuple[Precedence, ...] = (
    Precedence("T-ORDER-return-reply", "return", "LINE_REPLY", None, "A.4-1"),
    Precedence("T-ORDER-completion-reply", "ASYNC_COMPLETION", "LINE_REPLY", None, "A.0-2"),
    # At the application a call is its handle to it, and the birth is the make-call's reply.
    Precedence("T-ORDER-birth", "birth", "LINE_CALLSTATE", Needs.CALL, "A.4-4, A.4-5"),
    Precedence("T-ORDER-new-call", "LINE_APPNEWCALL", "LINE_CALLSTATE", Needs.CALL, "A.4-7"),
    Precedence("T-ORDER-drop-close", "Drop returned", "CloseCall", Needs.CALL, "A.4-11"),
    Precedence("T-ORDER-flush", "ASYNC_COMPLETION", "CloseCall returned", Needs.CALL, "A.4-9"),
    Precedence("T-ORDER-last", "LINEEVENT", "CloseCall returned", Needs.CALL, "A.4-9"),
    Precedence("T-ORDER-line", "CloseCall returned", "Close", Needs.LINE, "A.4-11"),
    Precedence("T-ORDER-forced", "ASYNC_COMPLETION", "LINE_CLOSE", Needs.LINE, "A-R15"),
    Precedence("T-ORDER-asked", "LINE_CLOSE", "Close", Needs.LINE, "A-R15"),
    Precedence("T-ORDER-all", "ASYNC_COMPLETION", "Close returned", Needs.LINE, "A.4-10"),
)

DELIVERY_RANK: dict[str, int] = {
    name: int(name == "lineDrop") for name, row in OPERATIONS.items() if row.asynchronous
}
"""A drop's reply comes after those of the operations that it ended (A.4-14)."""
DELIVERY_TIES = "completed"  # equal ranks are delivered as they completed
