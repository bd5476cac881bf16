"""The status numbers of plain gRPC, and who ended a call: profile ``grpc`` of this dialect.

No thread, clock, socket or log in sight.  Numbers and names are gRPC's own; meanings are in our own
words.

Theory.  gRPC tells an application *that* a call ended before its time by a status, and the same
status stands for several ends: ``CANCELLED`` is what a caller's own cancel gives, and also what a
server may send.  So whoever watches notes where an ending came from (``Source``), and ``ENDINGS``
says what the two together mean.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from rescind.actors.kernel._rules import Canceller

PROFILE = "grpc"


class Status(IntEnum):
    """Every status that a gRPC call may end with."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


MEANINGS: dict[Status, str] = {
    Status.OK: "the call succeeded",
    Status.CANCELLED: "the call was cancelled, by its caller or by the server",
    Status.UNKNOWN: "the handler raised, or the status is from elsewhere",
    Status.INVALID_ARGUMENT: "the request itself is wrong",
    Status.DEADLINE_EXCEEDED: "the deadline passed before the call ended",
    Status.NOT_FOUND: "what the call is about does not exist",
    Status.ALREADY_EXISTS: "what the call should make exists",
    Status.PERMISSION_DENIED: "the caller may not do that",
    Status.RESOURCE_EXHAUSTED: "a quota or a size limit is used up",
    Status.FAILED_PRECONDITION: "the system is not in the state for it; trying again is no use",
    Status.ABORTED: "the server gave the call up, for the sake of another one perhaps",
    Status.OUT_OF_RANGE: "the request goes beyond what is there",
    Status.UNIMPLEMENTED: "the server has no such method",
    Status.INTERNAL: "gRPC or the server broke a promise of its own",
    Status.UNAVAILABLE: "the server can't be reached, or the connection was lost",
    Status.DATA_LOSS: "data is lost or damaged for good",
    Status.UNAUTHENTICATED: "the caller did not say who it is",
}

CANCELLED_CODES = frozenset(
    {Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.ABORTED, Status.UNAVAILABLE}
)
"""What a call may end with that somebody ended; each may also be a server's own choice."""


def name(code: int) -> str | None:
    """Return gRPC's name of a status, or None for a number that is none."""
    return Status(code).name if code in MEANINGS else None


def meaning(code: int) -> str:
    """Return what the status means, in a few words."""
    return MEANINGS[Status(code)] if code in MEANINGS else "a status that gRPC does not know"


# --- the requests --------------------------------------------------------------------------------

CALL, SERVE, CANCEL, END = "Call", "Serve", "Cancel", "End"
OPEN, CLOSE = "OpenTraffic", "CloseTraffic"

DELIVERY_RANK: dict[str, int] = {CALL: 0, SERVE: 0}
"""No call's end goes before another's by its kind."""


# --- who ended it --------------------------------------------------------------------------------


class Source(StrEnum):
    """Where the end of a call came from, as far as an interceptor can see."""

    HERE = "here"
    """The library on this side: its timer, its connection."""
    PEER = "peer"
    """The other side; its own interceptor says so in the trailing metadata."""
    CHANNEL = "channel"
    """The application closed the channel under the call."""
    HANDLER = "handler"
    """Of a ``Serve``: the application's handler, which returned, raised or aborted."""


class Trigger(StrEnum):
    """Who ended a call, as it stands in ``CancelRequested``."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    PARENT = "parent"
    SERVER = "server"
    TRANSPORT = "transport"
    DROPPED = "dropped"
    CHANNEL = "channel closed"
    CLIENT = "client"


CANCELLERS: dict[str, Canceller] = {
    row.trigger: row
    for row in (
        Canceller(Trigger.CANCEL, "the caller", "one call", "Call.cancel, Task.cancel"),
        Canceller(Trigger.DEADLINE, "the call's own deadline", "one call", "timeout="),
        Canceller(
            Trigger.PARENT,
            "the caller, a handler whose own call had been cancelled",
            "one call",
            "Call.cancel, Task.cancel",
        ),
        Canceller(Trigger.SERVER, "the server", "one call", "ServicerContext.abort"),
        Canceller(
            Trigger.TRANSPORT, "the transport, which has no connection", "one call", "UNAVAILABLE"
        ),
        Canceller(Trigger.DROPPED, "nobody holds the call any more", "one call", "Call.__del__"),
        Canceller(
            Trigger.CHANNEL, "the caller, who closed the channel", "its calls", "Channel.close"
        ),
        Canceller(
            Trigger.CLIENT, "the client, or the loss of its connection", "one call", "RST_STREAM"
        ),
    )
}
"""Who may end a call, by the trigger."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One row: an end with this status from there means that ``trigger`` ended the call."""

    operation: str
    code: Status
    source: Source
    trigger: Trigger

    @property
    def id(self) -> str:
        """The rule's id, like ``G-CALL-cancelled-peer``."""
        code = self.code.name.lower().replace("_", "-")
        return f"G-{self.operation.upper()}-{code}-{self.source}"


_FROM_A_SERVER = (Status.CANCELLED, Status.ABORTED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE)

ENDINGS: tuple[Ending, ...] = (
    # A status of that kind which did not come about here is the server's word.
    *(Ending(CALL, code, Source.PEER, Trigger.SERVER) for code in _FROM_A_SERVER),
    # The library never makes these up, and a cancel of the caller's own is noted when it is called.
    Ending(CALL, Status.CANCELLED, Source.HERE, Trigger.SERVER),
    Ending(CALL, Status.ABORTED, Source.HERE, Trigger.SERVER),
    Ending(CALL, Status.DEADLINE_EXCEEDED, Source.HERE, Trigger.DEADLINE),
    Ending(CALL, Status.UNAVAILABLE, Source.HERE, Trigger.TRANSPORT),
    Ending(CALL, Status.CANCELLED, Source.CHANNEL, Trigger.CHANNEL),
    # A handler may end its own call; who else did is known before the handler says anything.
    *(Ending(SERVE, code, Source.HANDLER, Trigger.SERVER) for code in _FROM_A_SERVER),
)

_TRIGGERS = {(row.operation, int(row.code), str(row.source)): row.trigger for row in ENDINGS}


def ended_by(operation: str, code: int, source: str) -> Trigger | None:
    """Return who ended a call, None where its status is simply its result.

    Args:
        operation: ``Call`` or ``Serve``.
        code: The status.
        source: Where it came from, one of ``Source``.
    """
    return _TRIGGERS.get((operation, code, source))


MARK_CODES: dict[str, Status] = {
    Trigger.CLIENT: Status.CANCELLED,
    Trigger.DEADLINE: Status.DEADLINE_EXCEEDED,
}
"""What may end a ``Serve`` while its handler runs, and the status that the handler's end gets."""

GONE = "the client is gone"
"""Why nobody hears how a handler ended whose call was over."""


WORDS: dict[str, str] = {
    Trigger.CANCEL: "its caller cancelled it",
    Trigger.DEADLINE: "its deadline passed",
    Trigger.PARENT: "the call that it was made for had been cancelled",
    Trigger.SERVER: "the server ended it",
    Trigger.TRANSPORT: "the transport failed: there is no connection, or it was lost",
    Trigger.DROPPED: "nobody held the call any more, and gRPC cancels such a one",
    Trigger.CHANNEL: "its channel was closed",
    Trigger.CLIENT: "its client cancelled it, or was gone",
}
"""How the triggers are told."""


# --- the wire ------------------------------------------------------------------------------------

CALL_KEY = "rescind-call"
"""Metadata of a request: the log, request and turn of the call, ``hex/number/number``."""
CAUSE_KEY = "rescind-cause"
"""Trailing metadata of a failure: the log and turn in which the server ended the call."""


def mark_of(log_id: bytes, *numbers: int) -> str:
    """Return what a log and numbers in it are written as."""
    return "/".join((log_id.hex(), *map(str, numbers)))


def read_mark(text: object, numbers: int) -> tuple[bytes, tuple[int, ...]] | None:
    """Read it back; None for what is no such thing, because anybody may send anything.

    >>> log = "00" * 16
    >>> read_mark(f"{log}/3/12", 2)[1], read_mark(f"{log}/3", 2), read_mark("00/3/12", 2)
    ((3, 12), None, None)
    """
    if not isinstance(text, str) or len(text) > _MARK_MAX:
        return None
    log, *said = text.split("/")
    if len(said) != numbers or not all(_NUMBER.fullmatch(each) for each in said):
        return None
    try:
        log_id = bytes.fromhex(log)
    except ValueError:
        return None
    return (log_id, tuple(map(int, said))) if len(log_id) == _LOG_ID_BYTES else None


_MARK_MAX = 100
_NUMBER = re.compile("[0-9]{1,18}", re.ASCII)
_LOG_ID_BYTES = 16
