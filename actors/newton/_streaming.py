"""protoStreamingEndpoint: whole frames, chunk by chunk (spec/newton.md 2)."""

from collections.abc import Generator
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, TypeVar

from rescind.actors.kernel._request import Request

from ._api import Endpoint
from ._codes import Code
from ._constants import SendFlag
from ._errors import CommError
from ._forms import FRAME_HEADER, FormError, decode, encode, frame_length
from ._protocol import UTF_8
from ._specs import CallbackSpec, InputSpec, StreamSpec, Termination, TimeOut

T = TypeVar("T")

CHUNK_BYTES = 16 * 1024


class Chunk(NamedTuple):
    """One chunk's request, as a stream asks for it."""

    operation: str
    arguments: tuple[Any, ...]
    timeout_s: TimeOut


Stream: TypeAlias = Generator[Chunk, Any, T]
"""A stream, chunk by chunk: whoever runs it makes each request and sends its value back."""


class StreamingEndpoint(Endpoint):
    """An endpoint that sends and receives frames of any size in chunks, and says how far it is.

    Both methods block, and raise what ``output`` and ``receive`` raise.  Every chunk is a request
    of its own, which a cancel ends like any other, and which has the spec's time-out.  A frame of
    which the peer does not get the rest leaves the connection of no use: later Outputs are answered
    -16009.
    """

    def stream_out(self, data: Any, spec: StreamSpec | None = None) -> None:
        """Send a frame; return after its last chunk, or when the script says to stop (R 31).

        Raises:
            CommError: -54001 the data is no frame; as for ``output``.
        """
        self._run(self.sending(data, spec))

    def stream_in(self, spec: StreamSpec | None = None) -> Any:
        """Receive a frame; None if the progress script said to stop (R 30).

        With a ``store`` the frame's MessagePack goes there as it comes, and the number of its bytes
        is returned.

        Raises:
            CommError: -54012 a receive is posted, -16004 the frame is longer than the spec allows,
                -36010 it is none; as for ``receive``.
        """
        return self._run(self.receiving(spec))

    # --- chunk by chunk, for callers that block and for coroutines -------------------------------

    def begin_chunk(self, chunk: Chunk, how: CallbackSpec) -> Request:
        """Make a chunk's request."""
        return self._submit(chunk.operation, chunk.arguments, how)

    def _run(self, stream: Stream[T]) -> T:
        value = None
        while True:
            try:
                chunk = stream.send(value)
            except StopIteration as end:
                returned: T = end.value
                return returned
            value = self.begin_chunk(chunk, CallbackSpec(timeout_s=chunk.timeout_s)).get()

    def sending(self, data: Any, spec: StreamSpec | None) -> Stream[None]:
        """Send a frame; see ``stream_out``."""
        spec = self._checked(spec)
        raw = _as_frame(encode, data)
        total = len(raw)
        for start, end in pairwise([*range(0, total, CHUNK_BYTES), total]):
            slots: dict[str, Any] = {"form": "frame", "chunk": [start, total]}
            if spec.flags:
                slots["send_flags"] = int(spec.flags)
            yield Chunk("StreamOut", (raw[start:end], slots), spec.timeout_s)
            if not self._goes_on(spec, end, total):
                return

    def receiving(self, spec: StreamSpec | None) -> Stream[Any]:
        """Receive a frame; see ``stream_in``."""
        spec = self._checked(spec)
        header = (yield self._wanted(FRAME_HEADER, spec)).data
        size = frame_length(header)
        if size > spec.bytes_max and spec.store is None:
            raise CommError(Code.BUFFER_OVERFLOW, detail=f"a frame of {size:,} bytes")
        kept = [header]
        received = 0
        while received < size:
            chunk = (yield self._wanted(min(CHUNK_BYTES, size - received), spec)).data
            received += len(chunk)
            if spec.store is None:
                kept.append(chunk)
            else:
                spec.store.write(chunk)
            if not self._goes_on(spec, FRAME_HEADER + received, FRAME_HEADER + size):
                return None
        return received if spec.store is not None else _as_frame(decode, b"".join(kept))

    def _checked(self, spec: StreamSpec | None) -> StreamSpec:
        """Return the spec, or the default one; the device insists on one (ROM)."""
        if self.state() is None:
            raise CommError(Code.NO_ENDPOINT_AVAILABLE)
        if spec is None and self._actor.profile.streams_need_spec:
            raise CommError(Code.EXPECTED_SPEC)
        spec = spec or StreamSpec()
        if spec.form != "frame":
            raise CommError(Code.BAD_FORM, detail=f"a stream of the form {spec.form!r}")
        return spec

    def _wanted(self, byte_count: int, spec: StreamSpec) -> Chunk:
        is_packet = bool(spec.flags & SendFlag.PACKET)
        end = Termination(byte_count=byte_count, use_eop=False if is_packet else None)
        wanted = InputSpec(form="bytes", termination=end, rcv_flags=spec.flags)
        return Chunk("StreamIn", self._receive_arguments(wanted), spec.timeout_s)

    def _goes_on(self, spec: StreamSpec, done: int, total: int) -> bool:
        script = spec.progress_script
        return script is None or bool(script(self, done, total))


def _as_frame(translate: Any, data: Any) -> Any:
    try:
        return translate(data, "frame", encoding=UTF_8)
    except FormError as error:
        raise CommError(error.code, rule=error.rule) from error
