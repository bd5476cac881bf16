"""Asynchronous Winsock lookups as tables: states, admission, what a cancel may do, order.

No thread, clock, socket or log in sight.  Sources are sections of spec/winsock.md.

Theory.  A lookup ends in exactly one of four ways: its message was taken, it was cancelled, cleanup
dropped it, or its window was gone (C.3-2).  Its completion and the posting of its message are one
step, and that step is the border for a cancel: before it the cancel wins and the lookup is silent;
after it the cancel comes too late and the message stays.  There is no window: new lookups are
admitted at any time, and a cancel is over when it returns.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from rescind.actors.kernel._rules import Canceller, Check
from rescind.events import How, Outcome

from ._codes import Code

# --- states ------------------------------------------------------------------------------------


class ApplicationState(IntEnum):
    """The endpoint: a process between its first startup and its last cleanup (C.3-6)."""

    STOPPED = 0
    STARTED = 1


STATES: dict[int, str] = {
    ApplicationState.STOPPED: "stopped",
    ApplicationState.STARTED: "started",
}
"""The endpoint's states by name."""


class LookupState(IntEnum):
    """One lookup (C.2)."""

    QUEUED = 0
    RUNNING = 1
    POSTED = 2
    """Completed: the buffer is written and the message waits for the application."""
    DELIVERED = 3
    CANCELLED = 4
    DROPPED = 5
    LOST = 6


REQUEST_STATES: dict[int, str] = {state: state.name for state in LookupState}
"""The lookups' states by name, as section C.2 writes them."""

INITIAL = LookupState.QUEUED
TERMINAL = frozenset(
    {LookupState.DELIVERED, LookupState.CANCELLED, LookupState.DROPPED, LookupState.LOST},
)


class Event(StrEnum):
    """What may happen to a lookup."""

    STARTED = "a worker takes it"
    ENDED = "the lookup ends"
    ENDED_UNSEEN = "the lookup ends and its window is gone"
    CANCEL = "WSACancelAsyncRequest names it"
    TAKEN = "the application takes its message"
    CLEANUP = "the last WSACleanup"
    WINDOW_DESTROYED = "its window is destroyed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the lookup's machine.

    ``how`` is set where the row completes the lookup (None for an answer that decides between
    result and failure itself), ``silent`` is the reason where its completion is discarded.
    """

    id: str
    state: LookupState
    event: Event
    next: LookupState
    source: str
    completes: bool = False
    how: How | None = None
    silent: str | None = None
    answer_ignored: bool = False


@dataclass(frozen=True, slots=True)
class Impossible:
    """A written refusal: this event can't meet this state, for this reason."""

    states: frozenset[LookupState]
    event: Event
    reason: str


_S, _E = LookupState, Event

TRANSITIONS: tuple[Transition, ...] = (
    Transition("W-LOOKUP-queued-started", _S.QUEUED, _E.STARTED, _S.RUNNING, "C.2"),
    Transition(
        "W-LOOKUP-queued-cancel", _S.QUEUED, _E.CANCEL, _S.CANCELLED, "C.2",
        completes=True, how=How.CANCELLED, silent="cancelled",
    ),
    Transition(
        "W-LOOKUP-queued-cleanup", _S.QUEUED, _E.CLEANUP, _S.DROPPED, "C.2, C-R7",
        completes=True, how=How.ABANDONED, silent="cleanup",
    ),
    # The window only receives: destroying it does not cancel (C.4), so the lookup goes on and is
    # lost where its message can't be posted (C-R10).  A cancel before that still wins.
    Transition("W-LOOKUP-queued-window", _S.QUEUED, _E.WINDOW_DESTROYED, _S.QUEUED, "C.4"),
    Transition(
        "W-LOOKUP-running-ended", _S.RUNNING, _E.ENDED, _S.POSTED, "C.2, C.3-3", completes=True,
    ),
    Transition(
        "W-LOOKUP-running-unseen", _S.RUNNING, _E.ENDED_UNSEEN, _S.LOST, "C-R10",
        completes=True, silent="window destroyed",
    ),
    Transition(
        "W-LOOKUP-running-cancel", _S.RUNNING, _E.CANCEL, _S.CANCELLED, "C.2, C-R1",
        completes=True, how=How.CANCELLED, silent="cancelled",
    ),
    Transition(
        "W-LOOKUP-running-cleanup", _S.RUNNING, _E.CLEANUP, _S.DROPPED, "C.2, C-R7",
        completes=True, how=How.ABANDONED, silent="cleanup",
    ),
    Transition("W-LOOKUP-running-window", _S.RUNNING, _E.WINDOW_DESTROYED, _S.RUNNING, "C-R10"),
    Transition("W-LOOKUP-posted-taken", _S.POSTED, _E.TAKEN, _S.DELIVERED, "C.2"),
    Transition("W-LOOKUP-posted-cancel", _S.POSTED, _E.CANCEL, _S.POSTED, "C.2, C-R2"),
    # The page asks that queued messages be given back too, without saying how (C.8-3).
    Transition(
        "W-LOOKUP-posted-cleanup", _S.POSTED, _E.CLEANUP, _S.DROPPED, "C.2", silent="cleanup",
    ),
    Transition(
        "W-LOOKUP-posted-window", _S.POSTED, _E.WINDOW_DESTROYED, _S.LOST, "C.2",
        silent="window destroyed",
    ),
    *(
        Transition(f"W-LOOKUP-{state.name.lower()}-{word}", state, event, state, source)
        for state in sorted(TERMINAL)
        for word, event, source in (
            ("cancel", _E.CANCEL, "C.2"),
            ("cleanup", _E.CLEANUP, "C.3-6"),
            ("window", _E.WINDOW_DESTROYED, "C.4"),
        )
    ),
    # A worker that was too late finds the mark under the same lock and writes nothing (C.3-4).
    *(
        Transition(
            f"W-LOOKUP-{state.name.lower()}-{word}", state, event, state, "C.3-4",
            answer_ignored=True,
        )
        for state in (_S.CANCELLED, _S.DROPPED)
        for word, event in (("ended", _E.ENDED), ("unseen", _E.ENDED_UNSEEN))
    ),
)  # fmt: skip
"""Every row of the machine; a row that stays in a terminal state changes nothing."""

IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(frozenset(_S) - {_S.QUEUED}, _E.STARTED, "a worker takes a lookup once"),
    Impossible(frozenset({_S.QUEUED}), _E.ENDED, "only a running lookup ends"),
    Impossible(frozenset({_S.QUEUED}), _E.ENDED_UNSEEN, "only a running lookup ends"),
    Impossible(
        frozenset({_S.POSTED, _S.DELIVERED, _S.LOST}), _E.ENDED, "it has ended, and ends once"
    ),
    Impossible(
        frozenset({_S.POSTED, _S.DELIVERED, _S.LOST}), _E.ENDED_UNSEEN, "it has ended, once"
    ),
    Impossible(frozenset(_S) - {_S.POSTED}, _E.TAKEN, "no message of it is in the queue"),
)

_BY_STATE = {(row.state, row.event): row for row in TRANSITIONS}


def transition(state: LookupState, event: Event) -> Transition | None:
    """Return the row for this state and event, or None where ``IMPOSSIBLE`` says why not."""
    return _BY_STATE.get((state, event))


# --- operations and admission ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the interface; ``asynchronous`` ones are requests that end by a message."""

    name: str
    asynchronous: bool


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for row in (
        Operation("WSAAsyncGetHostByName", asynchronous=True),
        Operation("WSAAsyncGetHostByAddr", asynchronous=True),
        Operation("WSAAsyncGetServByName", asynchronous=True),
        Operation("WSAAsyncGetServByPort", asynchronous=True),
        Operation("WSAAsyncGetProtoByName", asynchronous=True),
        Operation("WSAAsyncGetProtoByNumber", asynchronous=True),
        # Any 1.1 call that blocks: it is outstanding, and WSACancelBlockingCall ends it.
        Operation("BlockingCall", asynchronous=False),
    )
}
"""Every operation that can be outstanding (C.1)."""


class Facts(Protocol):
    """What the checks read of an application, for one call."""

    # A startup has succeeded and the last cleanup has not run.
    @property
    def started(self) -> bool: ...
    @property
    def network_down(self) -> bool: ...
    # The application negotiated 2.x: the rules about blocking do not bind it (C.4).
    @property
    def version_2(self) -> bool: ...
    # A 1.1 blocking call of this task is in progress.
    @property
    def blocking(self) -> bool: ...
    @property
    def provider_in_callback(self) -> bool: ...
    # The scheduler can take one more lookup.
    @property
    def room(self) -> bool: ...
    # The handle that a cancel names; 0 for other calls.
    @property
    def handle(self) -> int: ...
    @property
    def handle_issued(self) -> bool:
        """The handle was given out by this process since its first startup (C.4)."""
        ...


def _is_zero(facts: Facts) -> bool:
    return facts.handle == 0


def _is_stopped(facts: Facts) -> bool:
    return not facts.started


def _is_network_down(facts: Facts) -> bool:
    return facts.network_down


def _is_in_progress(facts: Facts) -> bool:
    return facts.provider_in_callback or (facts.blocking and not facts.version_2)


def _is_full(facts: Facts) -> bool:
    return not facts.room


def _is_never_issued(facts: Facts) -> bool:
    return not facts.handle_issued


def _is_version_2(facts: Facts) -> bool:
    return facts.version_2


def _is_not_blocking(facts: Facts) -> bool:
    return not facts.blocking


# Zero is asked first: "always invalid" is the given page's word (C.0-7), the order of the others
# is only a choice (C.5).  That a cancel of 0 before startup is WSAEINVAL follows from it.
ZERO = Check("W-10022-zero", Code.EINVAL, _is_zero, "C.0-7")
STOPPED = Check("W-10093-stopped", Code.NOTINITIALISED, _is_stopped, "C.5")
NETWORK = Check("W-10050-network", Code.ENETDOWN, _is_network_down, "C.5")
IN_PROGRESS = Check("W-10036-blocking", Code.EINPROGRESS, _is_in_progress, "C.0-10, C-R12")
FULL = Check("W-10035-full", Code.EWOULDBLOCK, _is_full, "C.1")
NEVER_ISSUED = Check("W-10022-never-issued", Code.EINVAL, _is_never_issued, "C.2")
VERSION = Check("W-10045-version", Code.EOPNOTSUPP, _is_version_2, "C.8-5")
NOT_BLOCKING = Check("W-10022-not-blocking", Code.EINVAL, _is_not_blocking, "C.1")

STARTUP_CHECKS = (IN_PROGRESS,)
"""Of a startup, besides its version."""
CLEANUP_CHECKS = (STOPPED, NETWORK, IN_PROGRESS)
"""Cleanup without startup fails; otherwise only the last one acts (C.3-6)."""
CANCEL_BLOCKING_CHECKS = (STOPPED, VERSION, NOT_BLOCKING)
"""WSACancelBlockingCall, which 2.x has no more; it is the one call that a blocking call admits."""


# --- the cancel --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Profile:
    """One reading of the places where the specification leaves a choice."""

    name: str
    admission: tuple[Check[Facts], ...]
    """Checks of the six lookups, in order; parameters are not checked at all (C.1, tested)."""
    cancel_admission: tuple[Check[Facts], ...]
    """Checks of WSACancelAsyncRequest, in order, before ``CANCELS`` answers."""
    too_late_code: Code
    """What a cancel of a finished lookup hears: remembered or forgotten (C.2)."""


_ADMISSION = (STOPPED, NETWORK, IN_PROGRESS, FULL)
_CANCEL_ADMISSION = (ZERO, STOPPED, NETWORK, IN_PROGRESS, NEVER_ISSUED)

REMEMBERING = Profile("remembering", _ADMISSION, _CANCEL_ADMISSION, Code.EALREADY)
FORGETTING = Profile("forgetting", _ADMISSION, _CANCEL_ADMISSION, Code.EINVAL)
PROFILES = {profile.name: profile for profile in (REMEMBERING, FORGETTING)}
DEFAULT_PROFILE = REMEMBERING


CANCELLERS: dict[str, Canceller] = {
    row.trigger: row
    for row in (
        Canceller("WSACancelAsyncRequest", "any thread that knows the handle", "one lookup", "C.4"),
        Canceller("WSACleanup", "any thread, as the last cleanup", "every lookup", "C.0-9, C.3-6"),
        Canceller(
            "WSACancelBlockingCall", "any thread, in a 1.1 application", "the blocking call", "C.1"
        ),
    )
}
"""Who may cancel, by the trigger."""


@dataclass(frozen=True, slots=True)
class CancelRow:
    """What a cancel does to a lookup in one state, in the ledger's words.

    ``because`` is what ``rescind why`` says; WSAEALREADY alone has two reasons (C.0-4).
    """

    id: str
    state: LookupState
    outcome: Outcome
    because: str
    source: str


CANCELS: dict[LookupState, CancelRow] = {
    row.state: row
    for row in (
        CancelRow("W-CANCEL-queued", _S.QUEUED, Outcome.WON, "it had not begun", "C.2"),
        CancelRow("W-CANCEL-running", _S.RUNNING, Outcome.WON, "it had not ended", "C.2"),
        CancelRow(
            "W-CANCEL-posted", _S.POSTED, Outcome.TOO_LATE,
            "its message was in the queue and will still come", "C.0-4, C-R2",
        ),
        CancelRow(
            "W-CANCEL-delivered", _S.DELIVERED, Outcome.TOO_LATE,
            "its message had been taken", "C.0-4, C-R3, C-R11",
        ),
        CancelRow(
            "W-CANCEL-cancelled", _S.CANCELLED, Outcome.DUPLICATE,
            "an earlier cancel had won", "C-R4",
        ),
        CancelRow(
            "W-CANCEL-dropped", _S.DROPPED, Outcome.TOO_LATE,
            "an earlier cleanup had dropped it", "C-R7",
        ),
        CancelRow(
            "W-CANCEL-lost", _S.LOST, Outcome.TOO_LATE,
            "its window was gone when it ended", "C-R10",
        ),
    )
}  # fmt: skip
"""The decision table; a handle that was never issued is ``NEVER_ISSUED`` and not found."""


def cancel_code(state: LookupState, profile: Profile) -> Code:
    """Return the cancel's own result: OK where it won, else the profile's word for too late."""
    return Code.OK if CANCELS[state].outcome is Outcome.WON else profile.too_late_code


CANCELLED_CODE: Code | None = None
CANCELLED_WORD = "nothing"
"""What a cancelled lookup hears in the place of a code: nothing (C.0-8)."""
BLOCKING_CANCELLED_CODE = Code.EINTR
"""What a cancelled blocking call raises (C.1)."""
SOCKET_SURVIVES = frozenset({"accept", "select"})
"""Blocking calls whose socket stays usable after a cancel; others leave only closesocket (C.1)."""
WINDOW_OPERATIONS: frozenset[str] = frozenset()
"""What a cancel forbids while it runs: nothing."""


def cancelled_code(operation: str) -> Code | None:
    """Return what a cancelled request of this operation hears."""
    return CANCELLED_CODE if OPERATIONS[operation].asynchronous else BLOCKING_CANCELLED_CODE


# --- order -------------------------------------------------------------------------------------


class Step(StrEnum):
    """The facts that the order speaks of, one lookup each."""

    RETURNED = "the initiating call returned the handle"
    WRITTEN = "the buffer was written"
    POSTED = "the message was queued"
    TAKEN = "the application took the message"
    CANCEL_WON = "a cancel returned 0"


@dataclass(frozen=True, slots=True)
class Precedence:
    """``first`` never comes after ``then`` for one lookup; ``excludes``: never both."""

    id: str
    first: Step
    then: Step
    source: str
    excludes: bool = False


ORDER: tuple[Precedence, ...] = (
    # The post itself may come before the return (C.3-1): only what the application sees counts.
    Precedence("W-ORDER-handle-message", Step.RETURNED, Step.TAKEN, "C.3-1, C-R5"),
    Precedence("W-ORDER-buffer-message", Step.WRITTEN, Step.POSTED, "C.3-3"),
    Precedence("W-ORDER-queue", Step.POSTED, Step.TAKEN, "C.2"),
    Precedence("W-ORDER-cancel-buffer", Step.CANCEL_WON, Step.WRITTEN, "C.3-3", excludes=True),
    Precedence("W-ORDER-cancel-message", Step.CANCEL_WON, Step.POSTED, "C.0-8", excludes=True),
)
"""The partial order; nothing orders two lookups, which may be served in any order (C.1)."""

DELIVERY_RANK: dict[str, int] = dict.fromkeys(OPERATIONS, 0)
"""No lookup's message goes before another's by its kind."""
DELIVERY_TIES = "completed"
"""Equal ranks are delivered as they completed: a message queue is first in, first out."""


# --- what does not fit a table -----------------------------------------------------------------

HANDLE_MAX = 0xFFFF_FFFF
WORD_MAX = 0xFFFF


def next_handle(last: int, taken: Container[int], *, handle_max: int = HANDLE_MAX) -> int | None:
    """Return the handle after ``last``, or None where none is free.

    Never 0, and never one in ``taken``: the lookups that are outstanding or whose message may
    still be queued, because the application tells messages apart by it alone (C.3-5, C-R9).
    """
    handle = last
    for _ in range(handle_max):
        handle = handle % handle_max + 1
        if handle not in taken:
            return handle
    return None


VERSIONS = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
"""What a startup can agree on, the lowest first."""


def negotiated(version: tuple[int, int]) -> tuple[int, int] | None:
    """Return the highest version up to the one that was asked for; None where that is too low.

    A program that asks for more than there is gets the highest and has to look at it itself, which
    is how Windows does it; the pages of C.9 on startup say so.
    """
    return max((each for each in VERSIONS if each <= version), default=None)


def after_startup(count: int) -> int:
    """Return the reference count after one more startup."""
    return count + 1


def after_cleanup(count: int) -> tuple[int, bool]:
    """Return the reference count after a cleanup, and whether it was the last, which acts."""
    return count - 1, count == 1


def pack_result(length: int, code: int) -> int:
    """Return a message's lParam: the buffer length in the low word, the error in the high one."""
    assert 0 <= length <= WORD_MAX, "the caller caps a length at what a word holds"
    assert 0 <= code <= WORD_MAX, "every code of this interface fits a word (C.5)"
    return code << 16 | length


def result_length(lparam: int) -> int:
    """Return the length in a message's lParam: bytes used, or needed for WSAENOBUFS."""
    return lparam & WORD_MAX


def result_code(lparam: int) -> int:
    """Return the error in a message's lParam; 0 is success."""
    return lparam >> 16 & WORD_MAX
