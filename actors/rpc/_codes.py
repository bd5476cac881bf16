"""The documented numbers of asynchronous RPC: result codes with name and meaning, notifications.

Names are the documented ones without ``RPC_S_``; the two ``RPC_X_`` families keep an X in front.
Meanings are in our own words.  Source: spec/rpc.md section B.5.
"""

from enum import IntEnum, IntFlag


class Code(IntEnum):
    """Every code that a call, its cancel or a server's test may report."""

    OK = 0
    ACCESS_DENIED = 5
    OUT_OF_MEMORY = 14
    INVALID_ARG = 87
    ASYNC_CALL_PENDING = 997
    INVALID_BINDING = 1702
    SERVER_UNAVAILABLE = 1722
    SERVER_TOO_BUSY = 1723
    NO_CALL_ACTIVE = 1725
    CALL_FAILED = 1726
    CALL_FAILED_DNE = 1727
    PROTOCOL_ERROR = 1728
    CANNOT_SUPPORT = 1764
    CALL_IN_PROGRESS = 1791
    CALL_CANCELLED = 1818
    COMM_FAILURE = 1820
    NOT_CANCELLED = 1826
    X_WRONG_PIPE_ORDER = 1831
    SEND_INCOMPLETE = 1913
    INVALID_ASYNC_HANDLE = 1914
    INVALID_ASYNC_CALL = 1915
    X_PIPE_CLOSED = 1916
    X_PIPE_DISCIPLINE_ERROR = 1917
    X_PIPE_EMPTY = 1918


MEANINGS: dict[Code, str] = {
    Code.OK: "done; of a server's cancel test: the call has been cancelled",
    Code.ACCESS_DENIED: "access denied; of RpcTestCancel: not cancelled",
    Code.OUT_OF_MEMORY: "out of memory",
    Code.INVALID_ARG: "a bad argument: wrong size, or no notification type",
    Code.ASYNC_CALL_PENDING: "the call has not completed yet; ask again after its notification",
    Code.INVALID_BINDING: "not a binding handle, or a structure that was never used for a call",
    Code.SERVER_UNAVAILABLE: "the server can't be reached",
    Code.SERVER_TOO_BUSY: "the server takes no more calls now",
    Code.NO_CALL_ACTIVE: "no call is active on this thread",
    Code.CALL_FAILED: "the server was reached and may have begun, then the call failed",
    Code.CALL_FAILED_DNE: "the server was reached and did not execute the call",
    Code.PROTOCOL_ERROR: "the two sides disagree about the protocol",
    Code.CANNOT_SUPPORT: "not supported",
    Code.CALL_IN_PROGRESS: "of a server's cancel test: the call has not been cancelled",
    Code.CALL_CANCELLED: "the call was cancelled, or its time-out passed",
    Code.COMM_FAILURE: "communication failed",
    Code.NOT_CANCELLED: "the thread was not cancelled",
    Code.X_WRONG_PIPE_ORDER: "pipes were used in the wrong order",
    Code.SEND_INCOMPLETE: "data is still to be sent",
    Code.INVALID_ASYNC_HANDLE: "not an asynchronous handle, or one whose call is over",
    Code.INVALID_ASYNC_CALL: "the handle is good but this is not the moment or the side for it",
    Code.X_PIPE_CLOSED: "the pipe is closed",
    Code.X_PIPE_DISCIPLINE_ERROR: "the pipe was used out of turn",
    Code.X_PIPE_EMPTY: "the pipe is empty",
}

CANCELLED_CODES = frozenset({Code.CALL_CANCELLED})
"""The code of a cancelled call; a server may also abort with a code of its own (B-R14)."""


def name(code: int) -> str | None:
    """Return the documented name, or None for a code of nobody's (a server's own, for instance)."""
    if code not in MEANINGS:
        return None
    member = Code(code).name
    return f"RPC_{member}" if member.startswith("X_") else f"RPC_S_{member}"


def meaning(code: int) -> str:
    """Return what the code means, in a few words."""
    return MEANINGS[Code(code)] if code in MEANINGS else "a code that is not documented"


def is_cancelled(code: int | None) -> bool:
    """Tell whether a result means that the call was cancelled."""
    return code in CANCELLED_CODES


class Notification(IntEnum):
    """How a completion is announced (B.1)."""

    NONE = 0
    EVENT = 1
    APC = 2
    IOC = 3
    HWND = 4
    CALLBACK = 5


class AsyncEvent(IntEnum):
    """What a notification announces (B.1); types ``EVENT``, ``IOC`` and ``HWND`` can't tell."""

    CALL_COMPLETE = 0
    SEND_COMPLETE = 1
    RECEIVE_COMPLETE = 2
    CLIENT_DISCONNECT = 3
    CLIENT_CANCEL = 4


class Subscription(IntFlag):
    """What a server may ask to be told of (B.1)."""

    NONE = 0
    CLIENT_DISCONNECT = 1
    CALL_CANCEL = 2


TELLS_KIND = frozenset({Notification.APC, Notification.CALLBACK})
"""The types whose receiver learns what happened; the others only learn that something did."""
