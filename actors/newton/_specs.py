"""What the application hands in with a call, and what it is handed (spec/newton.md 3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rescind.actors.runtime import UsageError, on_loop

from ._codes import Code
from ._constants import DISCARD_AFTER, SendFlag
from ._errors import CommError
from ._forms import Template, is_array, is_bytes_like
from ._parameters import NOT_ONE_BYTE

if TYPE_CHECKING:
    from ._api import Endpoint
    from ._options import Option
    from ._streaming import StreamingEndpoint

TimeOut: TypeAlias = float | timedelta | None
"""Seconds, or a ``timedelta``; None and 0 mean none (kNoTimeout)."""

CompletionScriptFunction: TypeAlias = Callable[["Endpoint", Any, int | None], object]
"""Called as ``script(endpoint, options, result)``; result None is success, else a code.

``options`` are the request's, each with its result, or None where it had none.
"""


def awaited(_endpoint: "Endpoint", _options: Any, _result: int | None) -> None:
    """Stand where a CompletionScript would: a coroutine hears of it, or nobody any more.

    It is never called.  Without it, what fails before the coroutine waits would be reported as
    nobody's.
    """


@dataclass(slots=True)
class CallbackSpec:
    """How to run a request and whom to tell (3.1).

    ``asynchronous`` and ``timeout_s`` are read at the call; ``completion_script`` is read when it
    is to be called, so it may still be replaced.

    Attributes:
        asynchronous: return at once; a synchronous call blocks until the request has ended.
        timeout_s: how long it may take; a cancel has no time-out.
        completion_script: hears of the end of an asynchronous request.  A coroutine function is
            started as a task of the loop that runs when the spec is made.
    """

    asynchronous: bool = False
    timeout_s: TimeOut = None
    completion_script: CompletionScriptFunction | None = None

    def __post_init__(self) -> None:
        """Bind a coroutine function to its loop."""
        if self.completion_script is not None:
            self.completion_script = on_loop(self.completion_script)


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """The part of a binary object that is sent (3.2).

    Attributes:
        offset: where it begins, in bytes.
        length: how many bytes it has; None is all of the rest.
    """

    offset: int = 0
    length: int | None = None


@dataclass(slots=True)
class OutputSpec(CallbackSpec):
    """A callback spec with what only Outputs have (3.2).

    Attributes:
        send_flags: `SendFlag` bits; a tool without packets ignores them.
        form: how the data is translated; None takes the default of its type.
        target: the part to send, for the form ``binary`` only.
    """

    send_flags: int = SendFlag.MORE
    form: str | None = None
    target: OutputTarget | None = None


EndSequence: TypeAlias = bytes | str | int
"""Bytes; text, in the endpoint's encoding; or the number of one byte."""


@dataclass(frozen=True, slots=True)
class Termination:
    """When received data is complete, in this precedence (3.3).

    Attributes:
        byte_count: after so many bytes.
        end_sequence: at one of these sequences, or at this one.
        use_eop: at the end of a packet; only with ``rcv_flags=SendFlag.PACKET``, where it is the
            default and makes ``byte_count`` ignored.
    """

    byte_count: int | None = None
    end_sequence: EndSequence | Sequence[EndSequence] | None = None
    use_eop: bool | None = None


@dataclass(frozen=True, slots=True)
class Terminator:
    """What ended one piece of input.

    Attributes:
        condition: ``byteCount``, ``endSequence`` or ``useEOP``.
        byte_count: how many bytes the piece had.
        index: which of several end sequences it was.
    """

    condition: str
    byte_count: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class InputTarget:
    """Where binary data is received in place (3.3).

    Attributes:
        data: the object that the bytes are put into; it never grows.
        offset: where in it the first one goes.
    """

    data: bytearray | memoryview
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """How bytes are changed as they come in (3.3).

    Attributes:
        byte_proxy: what replaces a byte; None drops it.  Bytes are numbers, ``bytes`` of length
            one, or characters that are one byte in the endpoint's encoding.
        seven_bit: clear the highest bit of every byte.
    """

    byte_proxy: Mapping[EndSequence, EndSequence | None] = field(
        default_factory=dict[EndSequence, EndSequence | None]
    )
    seven_bit: bool = False


InputScriptFunction: TypeAlias = Callable[["Endpoint", Any, Terminator | None, Any], object]
"""Called as ``script(endpoint, data, terminator, options)``; no terminator: ``input`` was called.

``options`` are the receive's, with their results, the first time; then None.
"""
PartialScriptFunction: TypeAlias = Callable[["Endpoint", Any], object]
"""Called as ``script(endpoint, data)`` with all that is buffered, which stays there."""


@dataclass(slots=True)
class InputSpec:
    """What to receive, until when, and whom to tell (3.3).

    ``form``, ``termination``, ``discard_after``, ``rcv_flags``, ``timeout_s``, ``filter``,
    ``rcv_options`` and ``partial_frequency_s`` are read when the spec is set; the scripts each
    time they are called.

    Attributes:
        input_script: hears of each complete piece; the spec is then posted again.
        completion_script: hears of an unexpected end only: time-out, cancel, disconnect.
        form: ``string`` (text in the endpoint's encoding), ``bytes``, ``char``, ``number``,
            ``binary``, ``template`` or ``frame``.
        termination: what completes a piece, for strings, bytes and binary data.  Without one
            nothing completes a piece by itself.
        discard_after: of what waits for its end at most so many bytes are kept, the newest.
        timeout_s: inactivity: it starts again with every arrival of data.
        target: an `InputTarget` for binary data, a `Template` for templates.
        rcv_flags: ``SendFlag.PACKET`` to receive packets; on a tool without them each physical
            buffer is one.
        filter: how bytes are changed as they come in; not for binary data.
        rcv_options: options of the receive; they are used once.
        partial_script: is shown what is buffered, for strings and bytes.
        partial_frequency_s: how often it looks; only where data has arrived meanwhile.
    """

    input_script: InputScriptFunction | None = None
    completion_script: CompletionScriptFunction | None = None
    form: str = "string"
    termination: Termination | None = None
    discard_after: int = DISCARD_AFTER
    timeout_s: TimeOut = None
    target: InputTarget | Template | None = None
    rcv_flags: int = 0
    filter: Filter | None = None
    rcv_options: "Option | Sequence[Option] | None" = None
    partial_script: PartialScriptFunction | None = None
    partial_frequency_s: TimeOut = None

    def __post_init__(self) -> None:
        """Bind coroutine functions to their loop."""
        self.input_script = on_loop(self.input_script)
        self.completion_script = on_loop(self.completion_script)
        self.partial_script = on_loop(self.partial_script)


@dataclass(frozen=True, slots=True)
class Piece:
    """One complete piece of input, as `Endpoint.receive` returns it.

    Attributes:
        data: the value, in the form that was asked for.
        terminator: what ended it, and how many bytes it had.
        options: the receive's, each with its result, with the first piece only.
    """

    data: Any
    terminator: Terminator | None
    options: "list[Option] | None" = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a tool reported unasked (3.5).

    Attributes:
        event_code: an `EventCode`, or a tool's own number.
        data: more of it, as the tool has it.
        service_id: the tool.
        time_ms: the runtime's clock; wraps at 30 bits.
    """

    event_code: int
    data: Any
    service_id: str
    time_ms: int


class Store(Protocol):
    """Where ``stream_in`` puts what it does not keep in memory: a file open for binary writing."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""
        ...


ProgressScriptFunction: TypeAlias = Callable[["StreamingEndpoint", int, int], object]
"""Called as ``script(endpoint, bytes, total_bytes)``; what is false ends the operation."""


@dataclass(slots=True)
class StreamSpec:
    """How to stream a frame in or out (spec section 2).

    Attributes:
        form: ``frame``, the only one there is.
        timeout_s: for each chunk; its end cancels the operation and all outstanding requests.
        flags: `SendFlag` bits.
        bytes_max: for ``stream_in``: how long a frame may be that is kept in memory.
        store: for ``stream_in``: takes the frame's bytes instead of memory.
        progress_script: hears of each chunk; what it returns says whether to go on.
    """

    form: str = "frame"
    timeout_s: TimeOut = None
    flags: int = 0
    bytes_max: int = 256 * 2**20
    store: Store | None = None
    progress_script: ProgressScriptFunction | None = None


# --- what the log and the tables see of them -----------------------------------------------------


def timeout_ns(timeout_s: TimeOut) -> int | None:
    """Return a time-out in the log's unit; None and 0 mean none (kNoTimeout).

    Raises:
        CommError: -16006 for a negative or endless time.
    """
    if timeout_s is None or timeout_s == 0:
        return None
    seconds = timeout_s.total_seconds() if isinstance(timeout_s, timedelta) else timeout_s
    is_time = isinstance(seconds, int | float)  # pyright: ignore[reportUnnecessaryIsInstance]
    if is_time and seconds == 0:
        return None
    if not is_time or not 0 < seconds < _TIMEOUT_S_MAX:
        raise CommError(Code.BAD_PARAMETER, detail=f"a time-out of {timeout_s!r} s")
    return max(1, round(seconds * 1e9))


_TIMEOUT_S_MAX = 100 * 365 * 86400.0
"""A century: what is longer is a mistake, and would not fit the log's numbers for ever."""


def output_slots(spec: CallbackSpec) -> dict[str, Any]:
    """Return an output spec's slots that differ from their defaults."""
    slots: dict[str, Any] = {}
    if not isinstance(spec, OutputSpec):
        return slots
    if spec.form is not None:
        slots["form"] = spec.form
    if spec.send_flags != SendFlag.MORE:
        slots["send_flags"] = int(spec.send_flags)
    if spec.target is not None:
        slots["offset"] = spec.target.offset
        if spec.target.length is not None:
            slots["length"] = spec.target.length
    return slots


def input_slots(spec: InputSpec, encoding: str) -> dict[str, Any]:
    """Return an input spec's slots that differ from their defaults, as plain values.

    Raises:
        UsageError: a slot that is a class of this module holds something else.
    """
    slots: dict[str, Any] = {}
    if spec.form != "string":
        slots["form"] = spec.form
    if spec.termination is not None:
        _put_termination(slots, _typed(spec.termination, Termination, "termination"), encoding)
    if spec.discard_after != DISCARD_AFTER:
        slots["discard_after"] = spec.discard_after
    if spec.rcv_flags:
        slots["rcv_flags"] = spec.rcv_flags
    if spec.filter is not None:
        _put_filter(slots, _typed(spec.filter, Filter, "filter"), encoding)
    if isinstance(spec.target, Template):
        slots["typelist"] = list(spec.target.typelist)
    elif spec.target is not None:
        target: InputTarget = _typed(spec.target, InputTarget, "target")
        slots["size"] = len(memoryview(target.data).cast("B"))
        if target.offset != 0:
            slots["offset"] = target.offset
    if spec.partial_frequency_s:
        slots["partial_frequency_ns"] = timeout_ns(spec.partial_frequency_s)
    return slots


def buffer_of(spec: object) -> memoryview | None:
    """Return where a receive puts binary data in place; None for other forms."""
    target = spec.target if isinstance(spec, InputSpec) else None
    return memoryview(target.data).cast("B") if isinstance(target, InputTarget) else None


def _typed(value: Any, cls: type[Any], slot: str) -> Any:
    if not isinstance(value, cls):
        raise UsageError(f"{slot} is a newton.{cls.__name__}, not {value!r}")
    return value


def _put_termination(slots: dict[str, Any], termination: Termination, encoding: str) -> None:
    if termination.byte_count is not None:
        slots["byte_count"] = termination.byte_count
    ends: Any = termination.end_sequence
    if ends is not None:
        several = ends if is_array(ends) else [ends]
        slots["end_sequence"] = [_as_bytes(each, encoding) for each in several]
    if termination.use_eop is not None:
        slots["use_eop"] = termination.use_eop


def _put_filter(slots: dict[str, Any], filters: Filter, encoding: str) -> None:
    if filters.byte_proxy:
        slots["byte_proxy"] = [
            [_as_byte(byte, encoding), None if proxy is None else _as_byte(proxy, encoding)]
            for byte, proxy in filters.byte_proxy.items()
        ]
    if filters.seven_bit:
        slots["seven_bit"] = True


def _as_bytes(value: Any, encoding: str) -> Any:
    """Return an end sequence as the bytes it looks for; what is none stays, to be refused."""
    if isinstance(value, str):
        try:
            return value.encode(encoding)
        except UnicodeEncodeError:
            return value
    if isinstance(value, int):
        return bytes([value & 0xFF])
    return bytes(value) if is_bytes_like(value) else value


def _as_byte(value: Any, encoding: str) -> Any:
    """Return the number of a byte; -1 for text or bytes that are not just one."""
    found = _as_bytes(value, encoding)
    if not isinstance(value, int) and isinstance(found, str | bytes):
        return found[0] if isinstance(found, bytes) and len(found) == 1 else NOT_ONE_BYTE
    return value & 0xFF if isinstance(value, int) else value
