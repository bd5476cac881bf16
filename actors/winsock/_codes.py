"""The result codes of asynchronous Winsock lookups: value, name, meaning.

Names are the documented ones without their WSA prefix; meanings are in our own words.  ``OK`` and
``SOCKET_ERROR`` are return values rather than codes; they are here because the log shows them.
Source: spec/winsock.md section C.5.
"""

from enum import IntEnum


class Code(IntEnum):
    """Every code that a lookup, its cancel, startup or cleanup may report."""

    OK = 0
    SOCKET_ERROR = -1
    OPERATION_ABORTED = 995
    EINTR = 10004
    EFAULT = 10014
    EINVAL = 10022
    EWOULDBLOCK = 10035
    EINPROGRESS = 10036
    EALREADY = 10037
    EOPNOTSUPP = 10045
    ENETDOWN = 10050
    ENOBUFS = 10055
    SYSNOTREADY = 10091
    VERNOTSUPPORTED = 10092
    NOTINITIALISED = 10093
    ECANCELLED = 10103
    E_CANCELLED = 10111
    HOST_NOT_FOUND = 11001
    TRY_AGAIN = 11002
    NO_RECOVERY = 11003
    NO_DATA = 11004


MEANINGS: dict[Code, str] = {
    Code.OK: "done; of a cancel: cancelled, and no message will come",
    Code.SOCKET_ERROR: "failed, the last error says why",
    Code.OPERATION_ABORTED: "overlapped work ended by cleanup; never from a lookup",
    Code.EINTR: "a blocking call was cancelled",
    Code.EFAULT: "a bad buffer or pointer",
    Code.EINVAL: "not a handle of an outstanding lookup, or no blocking call to cancel",
    Code.EWOULDBLOCK: "the lookup can't be scheduled now",
    Code.EINPROGRESS: "a blocking call is in progress, or the provider is inside a callback",
    Code.EALREADY: "the lookup had finished, or was cancelled before",
    Code.EOPNOTSUPP: "this version has no such call",
    Code.ENETDOWN: "the network subsystem failed",
    Code.ENOBUFS: "the buffer is too small; the message says what size is needed",
    Code.SYSNOTREADY: "the network subsystem is not ready to start",
    Code.VERNOTSUPPORTED: "this version is not offered",
    Code.NOTINITIALISED: "no startup has succeeded, or the last cleanup has run",
    Code.ECANCELLED: "a service lookup was cancelled; never from this interface",
    Code.E_CANCELLED: "a service lookup was cancelled; never from this interface",
    Code.HOST_NOT_FOUND: "an authority says that there is no such host",
    Code.TRY_AGAIN: "no authoritative answer now, or a server failed",
    Code.NO_RECOVERY: "an error that trying again does not mend",
    Code.NO_DATA: "the name is valid but has no record of this type",
}

CANCELLED_CODES: frozenset[Code] = frozenset()
"""A cancelled lookup reports no code: it is silent (C.0-8)."""

TOO_LATE_CODES = frozenset({Code.EINVAL, Code.EALREADY})
"""The two answers to a late cancel, which no portable caller can tell apart (C.0-6)."""


def name(code: int) -> str | None:
    """Return the documented name, or None for a code of nobody's."""
    if code not in MEANINGS:
        return None
    return Code(code).name if code <= 0 else _documented(Code(code))


def _documented(code: Code) -> str:
    """Return the name with its prefix, which WSA_E_CANCELLED and one more join by an underscore."""
    joined = code in (Code.E_CANCELLED, Code.OPERATION_ABORTED)
    return f"WSA_{code.name}" if joined else f"WSA{code.name}"


def meaning(code: int) -> str:
    """Return what the code means, in a few words."""
    return MEANINGS[Code(code)] if code in MEANINGS else "a code that is not documented"


def is_cancelled(code: int | None) -> bool:
    """Tell whether a result means that the lookup was cancelled: no code does."""
    return code in CANCELLED_CODES


def is_too_late(code: int | None) -> bool:
    """Tell whether a cancel's answer means that there was nothing left to cancel.

    The specification leaves open whether a finished lookup is WSAEALREADY or WSAEINVAL, so a
    caller who must run on both treats them alike (C.0-6) and goes on ignoring a message whose
    handle it has forgotten (C-R2).
    """
    return code in TOO_LATE_CODES
