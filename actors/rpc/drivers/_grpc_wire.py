"""What stands on the wire when gRPC carries calls: paths, metadata, codes, the Control message.

Pure functions over texts and bytes, for both sides; gRPC itself is not imported.

==================================  =============================================================
``/rescind.Rpc/<procedure>``        a call; the procedure is percent-encoded, the message is the
                                    payload
``rescind-version``                 the version of the calls, and of what is described here
``rescind-call``                    ``<log id>/<request>/<turn>/<series>/<place>``: who calls, and
                                    the how-manieth call of the channel it is (``Place``)
``rescind-token``                   the password that the server may ask for
``rescind-cause``                   behind the reply: ``<log id>/<turn>`` of the server that decided
``rescind-code``                    behind a failure: its code
``/rescind.Control/Cancel``         a cancel: a small call of its own, its message is ``Cancel``
==================================  =============================================================
"""

import hmac
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote

from rescind.actors.rpc._codes import Code
from rescind.events._msgpack import CANNOT_UNPACK, pack, unpack

from ._driver import VERSION, Call

CALLS = "/rescind.Rpc/"
CANCEL = "/rescind.Control/Cancel"
TEXT_BYTES_MAX = 2_000
"""A longer text about a failure is cut: gRPC sends it as a header, three bytes for some."""
DEADLINE_SLACK_S = 0.25
"""gRPC's own deadline is so much later than the call's: first the client gives up, which it
records, and tells the server the turn; gRPC's is for when it can't."""
_NUMBER_MAX = 2**63 - 1
_CALL = re.compile(r"([0-9a-f]{2,64})((?:/(?:0|[1-9][0-9]{0,18})){4})", re.ASCII)
_VERSION = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_CAUSE = re.compile(r"([0-9a-f]{2,64})/(0|[1-9][0-9]{0,18})", re.ASCII)
_KEY = re.compile(r"[0-9a-z_.-]+", re.ASCII)
_VALUE = re.compile(r"[ -~]*", re.ASCII)
_OURS, _THEIRS = "rescind-", "grpc-"

Metadata = tuple[tuple[str, str], ...]


class WireError(Exception):
    """What came over the wire is not what both sides agreed on; ``code`` is the answer to it."""

    def __init__(self, code: Code, text: str) -> None:
        """Answer with ``code``, and say why."""
        super().__init__(text)
        self.code = code


class Place(NamedTuple):
    """A call's place in the order in which its channel made them (B.3-7)."""

    series: int
    """Names the channel within the client's log: the number of its first call."""
    number: int
    """Counted from 1; 0 says that the order does not matter."""


class Cancel(NamedTuple):
    """The Control message: the client asks the server to stop."""

    log_id: bytes
    request: int
    turn: int
    abort: bool


# --- calls ---------------------------------------------------------------------------------------


def path_of(procedure: str) -> str:
    """Return the path of a procedure, whatever its name."""
    return CALLS + quote(procedure, safe="", errors="surrogatepass")


def procedure_of(path: str) -> str:
    """Return the procedure that a path names."""
    try:
        return unquote(path.removeprefix(CALLS), errors="strict")
    except UnicodeDecodeError:
        raise WireError(Code.PROTOCOL_ERROR, f"{path!r} names no procedure") from None


def call_metadata(call: Call, place: Place, token: str | None) -> Metadata:
    """Return all metadata of a call.

    Raises:
        WireError: The application's own can't be sent.
    """
    who = f"{call.log_id.hex()}/{call.request}/{call.turn}/{place.series}/{place.number}"
    for key, value in call.metadata:
        _refuse_unsendable(key, value)
    return (("rescind-call", who), *greeting(token), *call.metadata)


def _refuse_unsendable(key: str, value: str) -> None:
    if not _KEY.fullmatch(key) or key.endswith("-bin"):
        raise WireError(
            Code.INVALID_ARG, f"a key of metadata is of a-z, 0-9, _, . and -, no -bin: {key!r}"
        )
    if key.startswith((_OURS, _THEIRS)):
        raise WireError(Code.INVALID_ARG, f"keys that begin like {key!r} are taken")
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise WireError(Code.INVALID_ARG, f"metadata is printable ASCII: {key} is {value!r}")


def greeting(token: str | None) -> Metadata:
    """Return the metadata that every call carries, also a cancel."""
    version = ("rescind-version", str(VERSION))
    return (version,) if token is None else (version, ("rescind-token", token))


def check_token(metadata: Iterable[tuple[str, str | bytes]], token: str | None) -> None:
    """See that a client knows the password.

    Raises:
        WireError: It doesn't.
    """
    if token is not None:
        given = dict(metadata).get("rescind-token", "")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token.encode()):
            raise WireError(Code.ACCESS_DENIED, "the token is not the server's")


def read_call(
    path: str,
    metadata: Iterable[tuple[str, str | bytes]],
    payload: bytes,
    remaining_s: float | None,
) -> tuple[Call, Place]:
    """Return what a client calls; a version that is not ours the server refuses.

    Args:
        path: Of the procedure.
        metadata: All of it.
        payload: The message.
        remaining_s: Until gRPC gives the call up.

    Raises:
        WireError: It is not a call of ours.
    """
    who = version = ""
    theirs: list[tuple[str, str]] = []
    for key, value in metadata:
        if key == "rescind-call":
            who = str(value)
        elif key == "rescind-version":
            version = str(value)
        elif isinstance(value, str) and not key.startswith((_OURS, _THEIRS, "user-agent")):
            theirs.append((key, value))
    if not _VERSION.fullmatch(version):
        raise WireError(Code.PROTOCOL_ERROR, f"rescind-version is {version!r:.100}")
    match = _CALL.fullmatch(who)
    if match is None or len(match[1]) % 2:
        raise WireError(Code.PROTOCOL_ERROR, f"rescind-call is {who!r:.100}")
    request, turn, series, number = map(int, match[2][1:].split("/"))
    if max(request, turn, series, number) > _NUMBER_MAX:
        raise WireError(Code.PROTOCOL_ERROR, f"rescind-call is {who!r:.100}")
    call = Call(
        request=request,
        log_id=bytes.fromhex(match[1]),
        turn=turn,
        procedure=procedure_of(path),
        payload=payload,
        deadline_s=None if remaining_s is None else max(0.0, remaining_s - DEADLINE_SLACK_S),
        metadata=tuple(theirs),
        version=int(version),
    )
    return call, Place(series, number)


# --- cancels -------------------------------------------------------------------------------------


def cancel_message(cancel: Cancel) -> bytes:
    """Return the Control message."""
    call = (cancel.log_id, cancel.request)
    return pack({"call": call, "turn": cancel.turn, "abort": cancel.abort})


def read_cancel(message: bytes) -> Cancel:
    """Return what a Control message asks for.

    Raises:
        WireError: It is none.
    """
    try:
        said = unpack(message)
        (log_id, request), turn, abort = said["call"], said["turn"], said["abort"]
    except (*CANNOT_UNPACK, LookupError, RecursionError) as error:
        raise WireError(Code.PROTOCOL_ERROR, "no message of a cancel") from error
    is_right = (
        isinstance(log_id, bytes)
        and 0 < len(log_id) <= 32
        and _is_number(request)
        and _is_number(turn)
        and type(abort) is bool
    )
    if not is_right:
        raise WireError(Code.PROTOCOL_ERROR, "no message of a cancel")
    return Cancel(log_id, request, turn, abort)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= _NUMBER_MAX


# --- replies -------------------------------------------------------------------------------------

_STATUSES: dict[int, str] = {
    Code.ACCESS_DENIED: "PERMISSION_DENIED",
    Code.OUT_OF_MEMORY: "RESOURCE_EXHAUSTED",
    Code.INVALID_ARG: "INVALID_ARGUMENT",
    Code.SERVER_UNAVAILABLE: "UNAVAILABLE",
    Code.SERVER_TOO_BUSY: "RESOURCE_EXHAUSTED",
    Code.CALL_FAILED: "UNKNOWN",
    Code.CALL_FAILED_DNE: "UNIMPLEMENTED",
    Code.PROTOCOL_ERROR: "INTERNAL",
    Code.CANNOT_SUPPORT: "UNIMPLEMENTED",
    Code.CALL_CANCELLED: "CANCELLED",
}

CODES: dict[str, Code] = {
    "CANCELLED": Code.CALL_FAILED,  # by the server or something between; our own say 1818
    "UNKNOWN": Code.CALL_FAILED,
    "INVALID_ARGUMENT": Code.CALL_FAILED,
    # The client's own clock was slower than gRPC's.
    "DEADLINE_EXCEEDED": Code.CALL_CANCELLED,
    "NOT_FOUND": Code.CALL_FAILED,
    "ALREADY_EXISTS": Code.CALL_FAILED,
    "PERMISSION_DENIED": Code.ACCESS_DENIED,
    # A message is larger than one of the sides takes.
    "RESOURCE_EXHAUSTED": Code.PROTOCOL_ERROR,
    "FAILED_PRECONDITION": Code.CALL_FAILED,
    "ABORTED": Code.CALL_FAILED,
    "OUT_OF_RANGE": Code.CALL_FAILED,
    "UNIMPLEMENTED": Code.CALL_FAILED_DNE,  # who listens there is none of ours
    "INTERNAL": Code.CALL_FAILED,
    "UNAVAILABLE": Code.CALL_FAILED,  # or 1722, see ``code_of``
    "DATA_LOSS": Code.CALL_FAILED,
    "UNAUTHENTICATED": Code.ACCESS_DENIED,
}
"""What each status of gRPC means when no server of ours said a code with it."""

_NEVER_SENT = re.compile("failed to connect|resolution failed|empty address list", re.IGNORECASE)
"""How gRPC says that no connection came about.  Of anything else that is unavailable, the server
may have begun the call: rather 1726 too often than 1722 once too often."""


def status_of(code: int) -> str:
    """Return the status that accompanies a code, for whoever looks on and does not know codes."""
    return _STATUSES.get(code, "ABORTED")


def failure_metadata(code: int, cause: tuple[bytes, int] | None) -> Metadata:
    """Return what stands behind a failure."""
    said = ("rescind-code", str(int(code)))
    return (said,) if cause is None else (said, *cause_metadata(cause))


def cause_metadata(cause: tuple[bytes, int]) -> Metadata:
    """Return what stands behind every reply."""
    return (("rescind-cause", f"{cause[0].hex()}/{cause[1]}"),)


def read_cause(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[bytes, int] | None:
    """Return the server's turn that decided a call, where it was told in a sensible way."""
    match = _CAUSE.fullmatch(str(dict(metadata).get("rescind-cause", "")))
    if match is None or len(match[1]) % 2 or int(match[2]) > _NUMBER_MAX:
        return None
    return bytes.fromhex(match[1]), int(match[2])


def code_of(status: str, details: str, metadata: Iterable[tuple[str, str | bytes]]) -> int:
    """Return the code of a call that failed.

    Args:
        status: The name of gRPC's status.
        details: What gRPC says about it.
        metadata: What stands behind the reply.
    """
    said = dict(metadata).get("rescind-code")
    if said is not None:
        is_code = isinstance(said, str) and re.fullmatch("[1-9][0-9]{0,9}", said, re.ASCII)
        return int(said) if is_code else Code.PROTOCOL_ERROR
    if status == "UNAVAILABLE" and _NEVER_SENT.search(details):
        return Code.SERVER_UNAVAILABLE
    return CODES.get(status, Code.CALL_FAILED)


def text_of(payload: bytes | str | None) -> str:
    """Return what may be said about a failure, in a length that gRPC carries."""
    if not isinstance(payload, str):
        return ""
    encoded = payload.encode(errors="backslashreplace")
    if len(encoded) <= TEXT_BYTES_MAX:
        return encoded.decode()
    return encoded[: TEXT_BYTES_MAX - 3].decode(errors="ignore") + "..."


# --- addresses -----------------------------------------------------------------------------------

_LOOPBACK = re.compile(
    r"(unix:|unix-abstract:|((dns:(///)?|ipv4:|ipv6:)?"
    r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$))",
    re.ASCII,
)


def is_local(address: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    return _LOOPBACK.match(address) is not None


def refuse_plain_text(address: str, *, is_safe: bool) -> None:
    """See that nothing goes through a network unencrypted by accident.

    Raises:
        ValueError: It would.
    """
    if not is_safe and not is_local(address):
        raise ValueError(
            f"{address!r} is beyond this machine: hand in credentials, or say plain_text=True"
        )
