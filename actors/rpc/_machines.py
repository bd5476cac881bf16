"""The two machines of asynchronous RPC: a client's call and a server's, every row of them.

No thread, clock, socket or log in sight.  Sources are sections of spec/rpc.md; ``L1`` and ``L7``
are laws of ours, for what the specification leaves open.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from rescind.events import How, Outcome

from ._codes import Code

# --- states ------------------------------------------------------------------------------------


class ClientState(IntEnum):
    """The client's call (B.2)."""

    INIT = 0
    """No stub has returned: nobody may cancel yet (B-R7)."""
    PENDING = 1
    CANCELLING = 2
    """Pending, and the server was asked to stop."""
    DONE = 3
    """Decided; the notification is owed."""
    NOTIFIED = 4
    """The notification left; a type that queues has put it out of our reach."""
    FINAL = 5
    FAILED = 6
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

    RETURNED = "the stub returns"
    RAISED = "the stub raises"
    CALL = "the stub is called again on this structure"
    REPLY = "a reply, a fault or a transport failure arrives"
    CANCEL = "RpcAsyncCancelCall, not abortive"
    ABORT = "RpcAsyncCancelCall, abortive"
    TIMED_OUT = "the call's time-out passes"
    DEADLINE = "the call's deadline passes, of which the server knows"
    NOTIFY = "the notification leaves"
    COMPLETE = "RpcAsyncCompleteCall"
    CLOSE = "the binding is closed"


class ServerEvent(StrEnum):
    """What may happen to the server's call."""

    HAND_OFF = "the dispatcher gives it to a worker"
    COMPLETE = "RpcAsyncCompleteCall"
    ABORT = "RpcAsyncAbortCall"
    RAISE = "the dispatcher raises"
    CANCEL = "the client's cancel arrives"
    DISCONNECT = "the client is gone"
    CLOSE = "the server is closed"


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

ESCALATION: tuple[ClientEvent, ...] = (ClientEvent.CANCEL, ClientEvent.ABORT)
"""Both strengths, in the documented order: ask, wait for a time-out of one's own, abort (B.0-4)."""

CLIENT_TRANSITIONS: tuple[ClientRow, ...] = (
    # The stub is one turn, and the transport is reached behind it: no answer can come before it
    # has returned, and exactly the calls whose stub returned are notified (B.3-2).
    ClientRow(_C.INIT, _E.RETURNED, _C.PENDING, "B.2"),
    ClientRow(_C.INIT, _E.RAISED, _C.FAILED, "B.2"),
    # --- the answer
    *(ClientRow(s, _E.REPLY, _C.DONE, "B.2, B-R2", completes=True) for s in _OPEN),
    *(
        ClientRow(s, _E.REPLY, s, "B-R3, B-R16", answer_ignored=True)
        for s in (*_LATE, *_OVER)
    ),
    # --- the time-out: a cancel of its own that the server never hears of, unless it is a deadline
    *(
        ClientRow(
            s, event, _C.DONE, "B.2, B.0-10", completes=True, how=How.TIMED_OUT,
            outcome=Outcome.WON, supersedes=s is _C.CANCELLING, tells_server=tells,
        )
        for event, tells in ((_E.TIMED_OUT, False), (_E.DEADLINE, True))
        for s in _OPEN
    ),
    *(
        ClientRow(s, event, s, "B-R16", outcome=Outcome.TOO_LATE)
        for event in (_E.TIMED_OUT, _E.DEADLINE)
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
            ((_C.INIT,), Code.INVALID_ASYNC_CALL, "B-R7, B.4"),
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
            ((_C.INIT,), Code.INVALID_ASYNC_CALL, "B.4"),
            (_OVER, Code.INVALID_ASYNC_HANDLE, "B-R12, B.2"),
        )
        for s in states
    ),
    # --- a second call on a structure in use: every outstanding call needs its own (B.0-1)
    *(
        ClientRow(s, _E.CALL, s, "B.0-1, B.4", returns=Code.INVALID_ASYNC_CALL, violation=True)
        for s in (*_OPEN, *_LATE)
    ),
    # --- nothing is reported of what a closed binding leaves behind
    *(ClientRow(s, _E.CLOSE, _C.FINAL, "L1", completes=True, how=How.ABANDONED) for s in _OPEN),
    *(ClientRow(s, _E.CLOSE, _C.FINAL, "L7") for s in _LATE),
)  # fmt: skip
"""Every row of the client's call."""

STRICT_ROWS: dict[tuple[ClientState, ClientEvent], ClientRow] = {
    (_C.DONE, _E.COMPLETE): ClientRow(
        _C.DONE, _E.COMPLETE, _C.DONE, "B-R10", returns=Code.ASYNC_CALL_PENDING, table="STRICT"
    ),
}
"""What the strict profile puts in the place of a row: wait for the notification first."""

CLIENT_IMPOSSIBLE: tuple[Impossible, ...] = (
    *(
        Impossible(frozenset(_C) - {_C.INIT}, event, "a call's stub ends once")
        for event in (_E.RETURNED, _E.RAISED)
    ),
    *(
        Impossible({_C.INIT}, event, "no call was made")
        for event in (_E.CALL, _E.REPLY, _E.TIMED_OUT, _E.DEADLINE, _E.CLOSE)
    ),
    Impossible(_OVER, _E.CLOSE, "nothing is left of it to be closed"),
    Impossible(
        frozenset(_C) - {_C.DONE}, _E.NOTIFY, "one notification is owed, between done and final"
    ),
    Impossible(_OVER, _E.CALL, "a reused structure is a new request (see ``may_reuse``)"),
)

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
    *(ServerRow(s, _F.CLOSE, _S.ABORTED, "L1", completes=True) for s in _RUNNING),
)
"""Every row of the server's call."""

SERVER_IMPOSSIBLE: tuple[Impossible, ...] = (
    Impossible(
        frozenset(_S) - {_S.DISPATCHED}, _F.HAND_OFF, "only the dispatcher has it to give away"
    ),
    Impossible({_S.RAISED}, _F.RAISE, "the dispatcher has left by its exception"),
    Impossible(_ENDED, _F.CLOSE, "nothing is left of it to be closed"),
)
