"""What came in and where its pieces end: the receiving half of every tool (spec/newton.md 3.3).

A receiver holds the bytes that came in and the receive that is posted, and hands complete pieces to
the port.  All tools and the twin share it, so that terminations, filters and ends are the same over
every medium.

How the medium cuts its stream into feeds shows nowhere, except where each feed is a packet: a piece
ends at the first byte at which one of its terminations is met.  Where two are met at the same byte,
byteCount goes before endSequence before useEOP, and among sequences the one listed first.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from rescind.actors.newton._codes import Code
from rescind.actors.newton._constants import DISCARD_AFTER, SendFlag
from rescind.actors.newton._forms import (
    FORMS,
    FRAME_HEADER,
    FormError,
    decode,
    frame_length,
    intrinsic_size,
)

RECEIVE_BYTES = 64 * 1024
"""How much waits here, at most, while no receive is posted and the tool heeds `wants_more`."""
FRAME_BYTES_MAX = 16 * 2**20
_WINDOW_BYTES = 256


class ReceiverPort(Protocol):
    """The part of a tool's port that a receiver reports through."""

    @property
    def encoding(self) -> str:
        """What strings are encoded in."""
        ...

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """End the receive with a code."""
        ...

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        """Hand over a complete piece."""
        ...

    def arrived(self, request: int) -> None:
        """Say that data came in that completes no piece yet."""
        ...


class _End(NamedTuple):
    """Where a piece ends, and by what: the slot of the termination, and which sequence."""

    length: int
    condition: str
    sequence: int | None = None


class _Receive:
    """A posted receive: its slots, made ready for the search.

    Attributes:
        request: its number.
        form: how a piece is decoded.
        byte_count: how many bytes are a piece, by the slot or by the form itself; None leaves the
            end to the others.
        sequences: what ends a piece.
        uses_eop: whether a packet's end does; byteCount is ignored then (G 16).
        whole: the length of a chunk that is a piece whatever it holds, or -1.
        discard_after: how many bytes a piece is cut down to, its newest; None keeps all.
        keep: how many bytes wait for the end of such a piece: as many, and never fewer than the
            longest sequence needs to be found.
        target: where binary data is put, from its offset to where it is full.
        options: the processed options, until the first piece has taken them along.
    """

    __slots__ = (
        "byte_count", "deleted", "discard_after", "form", "is_readable", "keep", "options",
        "request", "sequences", "table", "target", "typelist", "uses_eop", "whole",
    )  # fmt: skip

    def __init__(self, request: int, slots: Mapping[str, Any], buffer: memoryview | None) -> None:
        self.request = request
        self.form: str = slots.get("form", "string")
        self.typelist = slots.get("typelist")
        self.options = slots.get("options")
        self.sequences: Sequence[bytes] = slots.get("end_sequence", ())
        form = FORMS[self.form]
        is_packets = slots.get("rcv_flags", 0) & SendFlag.PACKET != 0
        may_end = is_packets and form.termination != "none"
        self.uses_eop: bool = may_end and slots.get("use_eop", True)
        byte_count = None if self.uses_eop else slots.get("byte_count")
        self.target: memoryview | None = None
        if buffer is not None:
            self.target = buffer[slots.get("offset", 0) :]
            byte_count = min(byte_count or len(self.target), len(self.target))
        size = intrinsic_size(self.form, self.typelist)
        self.byte_count: int | None = byte_count if size is None else size
        self.is_readable: bool = form.partial
        must_be_searched = buffer is not None or self.sequences
        self.whole: int = -1 if must_be_searched else self.byte_count or -1
        self.discard_after: int | None = None
        if form.discards and self.byte_count is None:
            self.discard_after = slots.get("discard_after", DISCARD_AFTER)
        longest = max(map(len, self.sequences), default=1)
        self.keep = max(self.discard_after or 0, longest - 1)
        self.table, self.deleted = _filter(slots)

    def cut(self, raw: bytes) -> bytes:
        """Return what the application hears of a piece: its newest bytes."""
        return raw if self.discard_after is None else raw[-self.discard_after :]


def _filter(slots: Mapping[str, Any]) -> tuple[bytes | None, bytes]:
    """Return the filter as ``bytes.translate`` takes it: a table, and what to delete before.

    The high bit is stripped off first: it is the line that spoils it, and the proxies name bytes as
    the other side has sent them.
    """
    proxies: dict[int, int | None] = dict(slots.get("byte_proxy", ()))
    mask = 0x7F if slots.get("seven_bit") else 0xFF
    if not proxies and mask == 0xFF:
        return None, b""
    becomes = [proxies.get(byte & mask, byte & mask) for byte in range(256)]
    deleted = bytes(byte for byte, proxy in enumerate(becomes) if proxy is None)
    return bytes(proxy or 0 for proxy in becomes), deleted


class Receiver:
    """The byte buffer of one tool and its posted receive.

    Threads: any thread may call any method but `feed`, `room`, `filled` and `end`, which are the
    tool's that reads.  Reports to the port are made in order, under the receiver's lock; so nobody
    may call a receiver while holding what the port needs, and the port may not call back.

    Bytes are filtered by the receive that first looks at them and wait unfiltered until then.
    While a receive is posted nothing waits: all that came in is in the buffer and was searched.
    Positions count all that went through the buffer, so that dropping bytes moves none of them.
    """

    def __init__(self, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        """Begin with nothing.

        Args:
            frame_bytes_max: the longest frame taken in; a longer one ends its receive with -16004.
        """
        self._frame_bytes_max = frame_bytes_max
        self._lock = threading.Lock()
        self._resume: Callable[[], None] | None = None
        self._prepared: _Receive | None = None
        self._clear()

    def _clear(self) -> None:
        self._waiting: deque[tuple[bytes, bool]] = deque()
        """What nobody has looked at yet, as it came in, and whether a packet ended there."""
        self._waiting_bytes = 0
        self._buffer = bytearray()
        self._position = 0
        """Where the buffer begins: how many bytes have left it."""
        self._searched = 0
        """No sequence ends before or at this position."""
        self._seen = 0
        """What the last `partial` saw ends here."""
        self._packet_ends: deque[int] = deque()
        self._posted: _Receive | None = None
        self._filled = 0
        """How many bytes of the target are there."""
        self._room: tuple[_Receive, memoryview] | None = None
        self._end: tuple[int, Any] | None = None

    # --- the tool's side -------------------------------------------------------------------------

    def open(self, port: ReceiverPort) -> None:
        """Report through ``port`` from now on."""
        self._port = port

    def set_listener(self, resume: Callable[[], None]) -> None:
        """Have ``resume`` called whenever `wants_more` has turned true by a post or a flush.

        It is called without the lock on the thread that posts or flushes, and must not block.
        """
        self._resume = resume

    def reset(self) -> None:
        """Forget everything: a new connection begins."""
        with self._lock:
            self._clear()

    @property
    def wants_more(self) -> bool:
        """Tell whether the tool may read on from its medium (back-pressure)."""
        with self._lock:
            return self._wants_more()

    def _wants_more(self) -> bool:
        if self._posted is not None:
            return True
        return len(self._buffer) + self._waiting_bytes < RECEIVE_BYTES

    def feed(self, data: bytes | bytearray | memoryview, *, is_packet_end: bool = True) -> None:
        """Take in what the medium brought.

        Args:
            data: copied, unless it is ``bytes``.
            is_packet_end: whether a packet ends here; on media without packets every physical
                buffer is one (G 16).
        """
        # Hot: every received byte comes by.  `bytes` of `bytes` is the same object.
        chunk = bytes(data)
        with self._lock:
            self._take_in(chunk, is_packet_end=is_packet_end)

    def _take_in(self, chunk: bytes, *, is_packet_end: bool) -> None:
        receive = self._posted
        if receive is None:
            self._waiting.append((chunk, is_packet_end))
            self._waiting_bytes += len(chunk)
        elif not self._look_at(receive, chunk, is_packet_end=is_packet_end) and chunk:
            # A complete piece restarts the inactivity time-out when its receive is posted again.
            self._port.arrived(receive.request)

    def room(self) -> memoryview | None:
        """Return where binary data may be read into directly, or None: then `feed`.

        What was put there is told with `filled` before anything else comes in.
        """
        with self._lock:
            receive = self._posted
            if receive is None or receive.target is None or receive.byte_count is None:
                return None
            view = receive.target[self._filled : receive.byte_count]
            self._room = (receive, view)
            return view

    def filled(self, count: int) -> None:
        """Say that ``count`` bytes, and with them a packet, were put into `room`."""
        with self._lock:
            assert self._room is not None, "filled without room"
            receive, view = self._room
            self._room = None
            if receive is not self._posted:
                # Its receive was stopped meanwhile; the bytes wait for the next one.
                self._take_in(bytes(view[:count]), is_packet_end=True)
                return
            self._filled += count
            if not self._end_target(receive, is_packet_end=True) and count:
                self._port.arrived(receive.request)

    def end(self, code: int, detail: Any) -> None:
        """Say that nothing more will come in.

        Complete pieces are still handed over, one per post.  Then, or if there are none, the
        receive is answered with ``code``; in packets, the rest is handed over as the last one.
        """
        with self._lock:
            self._end = (code, detail)
            if self._posted is not None:
                self._finish(self._posted, code, detail)

    # --- the endpoint's side ---------------------------------------------------------------------

    def post(self, request: int, slots: Mapping[str, Any], buffer: memoryview | None) -> None:
        """Look for one piece; what is there already may complete it at once.

        Args:
            request: the receive's number.  A receive that is posted again is one of the same
                number, with the same slots.
            slots: those that are not default: ``form``, ``byte_count``, ``end_sequence``,
                ``use_eop``, ``discard_after``, ``rcv_flags``, ``byte_proxy``, ``seven_bit``,
                ``typelist``, ``offset``, and ``options`` as processed by the tool, which go to the
                port with the request's first piece.
            buffer: where to put data of the form ``binary``.
        """
        with self._lock:
            was_paused = not self._wants_more()
            receive = self._prepared
            if receive is None or receive.request != request:
                receive = self._prepared = _Receive(request, slots, buffer)
            self._posted = receive
            self._filled = 0
            self._searched = self._position
            if not self._look_at_waiting(receive) and self._end is not None:
                self._finish(receive, *self._end)
            must_resume = was_paused and self._wants_more()
        if must_resume:
            self._tell_listener()

    def take(self, request: int) -> None:
        """Hand over all that is buffered, with no terminator; the receive stays posted (R 25).

        Nothing happens if nothing is buffered, or if ``request`` is not posted.
        """
        with self._lock:
            receive = self._posted
            if receive is None or receive.request != request or not receive.is_readable:
                return
            if self._buffer:
                raw = receive.cut(self._take_out(len(self._buffer)))
                self._deliver(receive, self._decode(receive, raw), None)

    def partial(self) -> Any:
        """Return what is buffered for the posted receive, in its form, and leave it there (R 25).

        Only strings and bytes can be read in part.  None: nothing is buffered, or nothing posted.
        """
        with self._lock:
            receive = self._posted
            if receive is None or not receive.is_readable or not self._buffer:
                return None
            self._seen = self._position + len(self._buffer)
            return self._decode(receive, receive.cut(bytes(self._buffer)))

    def flush(self, *, partial: bool) -> None:
        """Drop what the last `partial` saw, or everything (R 26)."""
        with self._lock:
            was_paused = not self._wants_more()
            if partial:
                self._drop(max(self._seen - self._position, 0))
            else:
                self._drop(len(self._buffer))
                self._waiting.clear()
                self._waiting_bytes = 0
            must_resume = was_paused and self._wants_more()
        if must_resume:
            self._tell_listener()

    def stop(self) -> int:
        """Post nothing any more; returns the receive's number, or 0.

        The buffer is kept for the next receive (5.9).  What of a binary piece has come in is in its
        target.
        """
        with self._lock:
            receive, self._posted = self._posted, None
            return 0 if receive is None else receive.request

    def _tell_listener(self) -> None:
        if self._resume is not None:
            self._resume()

    # --- the search; all under the lock ----------------------------------------------------------

    def _look_at_waiting(self, receive: _Receive) -> bool:
        """Search what came in before the receive; tell whether that ended it."""
        if self._buffer and self._examine(receive):
            return True
        while self._waiting:
            chunk, is_packet_end = self._waiting.popleft()
            self._waiting_bytes -= len(chunk)
            if self._look_at(receive, chunk, is_packet_end=is_packet_end):
                return True
        return False

    def _look_at(self, receive: _Receive, chunk: bytes, *, is_packet_end: bool) -> bool:
        """Search one more chunk; tell whether it ended the receive."""
        if receive.table is not None:
            chunk = chunk.translate(receive.table, receive.deleted)
        if len(chunk) == receive.whole and not self._buffer:
            # Hot: of a flood nearly every chunk is a piece, and is handed over as it came.  The
            # way through the buffer would copy it twice.
            self._hand_over(receive, chunk, _End(len(chunk), "byteCount"))
            return True
        self._buffer += chunk
        if is_packet_end:
            end = self._position + len(self._buffer)
            # An empty packet is none.
            if end > (self._packet_ends[-1] if self._packet_ends else self._position):
                self._packet_ends.append(end)
        return self._examine(receive)

    def _examine(self, receive: _Receive) -> bool:
        """Hand over the first piece in the buffer; tell whether the receive has ended."""
        if receive.target is not None:
            return self._fill_target(receive)
        if receive.form == "frame":
            return self._examine_frame(receive)
        end = self._find_end(receive)
        if end is not None:
            self._hand_over(receive, receive.cut(self._take_out(end.length)), end)
            return True
        if receive.discard_after is not None and len(self._buffer) > receive.keep:
            self._drop(len(self._buffer) - receive.keep)
        return False

    def _find_end(self, receive: _Receive) -> _End | None:
        """Find the first byte at which the piece ends.

        byteCount and useEOP never both apply; a sequence has to end before the one and no later
        than the other.
        """
        limit = buffered = len(self._buffer)
        end: _End | None = None
        if receive.byte_count is not None:
            limit = min(buffered, receive.byte_count - 1)
            if receive.byte_count <= buffered:
                end = _End(receive.byte_count, "byteCount")
        elif receive.uses_eop and self._packet_ends:
            limit = self._packet_ends[0] - self._position
            end = _End(limit, "useEOP")
        found = self._find_sequence(receive.sequences, limit) if receive.sequences else None
        return found or end

    def _find_sequence(self, sequences: Sequence[bytes], limit: int) -> _End | None:
        """Find the sequence that ends first within ``limit`` bytes.

        It begins where the last search ended, or a large piece in small feeds would be searched
        again with each.  The window grows from small, or a sequence that never comes would be
        sought in the whole buffer for each small piece that another one ends.
        """
        start = max(self._searched - self._position, 0)
        window = _WINDOW_BYTES
        while start < limit:
            stop = min(start + window, limit)
            found: _End | None = None
            until = stop
            for index, sequence in enumerate(sequences):
                at = self._buffer.find(sequence, max(start - len(sequence) + 1, 0), until)
                if at >= 0:
                    found = _End(at + len(sequence), "endSequence", index)
                    until = found.length - 1  # the others have to end before it
            if found is not None:
                return found
            start = stop
            window *= 2
        self._searched = max(self._searched, self._position + limit)
        return None

    def _examine_frame(self, receive: _Receive) -> bool:
        if len(self._buffer) < FRAME_HEADER:
            return False
        length = frame_length(bytes(self._buffer[:FRAME_HEADER]))
        if length > self._frame_bytes_max:
            detail = f"a frame of {length} bytes; at most {self._frame_bytes_max} are taken in"
            self._fail(receive, Code.BUFFER_OVERFLOW, detail)
            return True
        length += FRAME_HEADER
        if len(self._buffer) < length:
            return False
        self._hand_over(receive, self._take_out(length), _End(length, "byteCount"))
        return True

    def _fill_target(self, receive: _Receive) -> bool:
        """Move what is buffered into the target of a binary receive, up to the piece's end."""
        target, size = receive.target, receive.byte_count
        assert target is not None, "no binary receive"
        assert size is not None, "a target without a size"
        count = min(len(self._buffer), size - self._filled)
        is_packet_end = False
        if self._packet_ends:
            packet = self._packet_ends[0] - self._position
            count = min(count, packet) if receive.uses_eop else count
            is_packet_end = count == packet
        with memoryview(self._buffer) as view:
            target[self._filled : self._filled + count] = view[:count]
        self._drop(count)
        self._filled += count
        return self._end_target(receive, is_packet_end=is_packet_end)

    def _end_target(self, receive: _Receive, *, is_packet_end: bool) -> bool:
        """Hand a binary piece over if its target is full or its packet ended."""
        if self._filled == receive.byte_count:
            self._hand_over_target(receive, "byteCount")
        elif is_packet_end and receive.uses_eop and self._filled:
            self._hand_over_target(receive, "useEOP")
        else:
            return False
        return True

    def _take_out(self, count: int) -> bytes:
        with memoryview(self._buffer) as view:
            raw = bytes(view[:count])
        self._drop(count)
        return raw

    def _drop(self, count: int) -> None:
        """Drop the oldest bytes, which costs no more than is dropped."""
        del self._buffer[:count]
        self._position += count
        while self._packet_ends and self._packet_ends[0] <= self._position:
            self._packet_ends.popleft()

    # --- reports; all under the lock -------------------------------------------------------------

    def _hand_over(self, receive: _Receive, raw: bytes, end: _End) -> None:
        """End the receive with a piece, or with -36010 if it is not what its form says."""
        try:
            data = self._decode(receive, raw)
        except FormError as error:
            self._fail(receive, error.code, str(error))
            return
        self._posted = None
        self._deliver(receive, data, [end.condition, end.sequence, len(raw)])

    def _hand_over_target(self, receive: _Receive, condition: str) -> None:
        assert receive.target is not None, "no binary receive"
        self._posted = None
        data = receive.target[: self._filled]
        self._deliver(receive, data, [condition, None, self._filled])

    def _deliver(self, receive: _Receive, data: Any, terminator: Any) -> None:
        options, receive.options = receive.options, None
        self._port.received(receive.request, data, terminator, options)

    def _decode(self, receive: _Receive, raw: bytes) -> Any:
        return decode(raw, receive.form, encoding=self._port.encoding, typelist=receive.typelist)

    def _finish(self, receive: _Receive, code: int, detail: Any) -> None:
        """End a receive that nothing will complete any more."""
        if receive.uses_eop and self._filled:
            self._hand_over_target(receive, "useEOP")
        elif receive.uses_eop and self._buffer:
            raw = receive.cut(self._take_out(len(self._buffer)))
            self._hand_over(receive, raw, _End(len(raw), "useEOP"))
        else:
            self._fail(receive, code, detail)

    def _fail(self, receive: _Receive, code: int, detail: Any) -> None:
        self._posted = None
        self._port.answer(receive.request, code, detail)
