"""The tool behind every real transport: queues, cancels, back-pressure and how things end.

What differs between transports is their ``Medium``.  An Output completes when the kernel took its
last byte.  What the kernel took cannot be recalled, so its send buffer is kept small: a cancel then
finds the rest still here.  After ``killed`` nothing of a canceled Output is handed to the kernel.
"""

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._constants import EventCode
from rescind.actors.newton._forms import FormError
from rescind.actors.newton._parameters import wire_form

from ._frames import FrameUnderWay
from ._medium import Medium, MediumError, code_of
from ._options import process
from ._poller import GONE, READ, WRITE, Poller
from ._receiver import RECEIVE_BYTES, Receiver
from ._tool import Port

READS_AT_ONCE = 8
SENDS_AT_ONCE = 16
"""How often one connection may read and send before the others get their turn."""
READS_AT_LAST = 256
"""How often it is read at its end: more than kernels keep, and not for ever."""


class _Output:
    """One Output on its way into the kernel."""

    __slots__ = (
        "begin", "chunk", "data", "is_whole", "length", "options", "processed", "request", "sent",
        "total",
    )  # fmt: skip

    def __init__(self, request: int, data: bytes | memoryview, slots: dict[str, Any]) -> None:
        self.request = request
        self.data = memoryview(data)
        self.length = len(self.data)
        self.sent = 0
        self.chunk: Sequence[int] | None = slots.get("chunk")
        """Where it stands in a frame that is sent in several Outputs."""
        self.begin: int = self.chunk[0] if self.chunk else 0
        self.total: int = self.chunk[1] if self.chunk else self.length
        self.is_whole = slots.get("form") == "frame"
        """Whether the peer can make nothing of a part of it."""
        self.options = slots.get("options")
        self.processed: list[list[Any]] | None = None


_NO_SLOTS: dict[str, Any] = {}


class StreamTool:
    """A communications tool over a medium.  Everything private belongs to the poller's thread."""

    def __init__(self, medium: Medium) -> None:
        """Be ready to be opened; nothing outside is touched yet."""
        self.label = medium.label
        self._medium = medium
        self._receiver = Receiver()
        self._outputs: deque[_Output] = deque()
        self._in_hand: tuple[int, str, Sequence[Any]] | None = None
        """The control request that takes its time: Connect, Listen, Accept or Release."""
        self._is_connected = False
        self._is_at_end = False
        """Whether the other side has said its last."""
        self._is_deaf = False
        """Whether the medium is gone, as far as we know, but for input that nobody wants yet."""
        self._frame = FrameUnderWay()
        self._unfit = ""
        """Why nothing can be sent over this connection any more, although it stands."""
        self._is_end_untold = False
        """Whether it said so while our own release was under way."""
        self._is_closed = True
        """Whether there is nobody to speak to: not yet, or no more."""
        self._receives_killed = 0
        """How often receives were killed; changes on the thread that performs."""

    @property
    def address(self) -> Any:
        """Where the tool connects to; for a listener that is bound, where it listens."""
        return self._medium.address

    # --- what the runtime calls ------------------------------------------------------------------

    def open(self, port: Port) -> None:
        """Serve the endpoint behind ``port``."""
        self._port = port
        self._poller = Poller.acquire()
        self._medium.attach(self, self._poller)
        self._receiver.open(port)
        self._receiver.set_listener(self._resume)
        self._receiver.end(Code.NOT_CONNECTED, "not connected yet")
        self._is_closed = False

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        """Begin an operation."""
        match operation:
            case "Output":
                self._perform_output(request, *arguments)
            case "Input" | "Receive":
                self._post(request, *arguments)
            case "Take":
                self._receiver.take(request)
            case _:
                options = arguments[0] if arguments else ()
                self._poller.call(self._control, request, operation, options)

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Stop all work on these operations."""
        if not operations.isdisjoint(_RECEIVES):
            # Here and now, as a receive is posted here: one that comes next is no victim.
            self._receives_killed += 1
            self._receiver.stop()
        self._poller.call(self._kill, cancel, operations)

    def partial(self) -> Any:
        """Return what has come in for the posted receive; see ``Tool``."""
        return self._receiver.partial()

    def flush(self, *, partial: bool) -> None:
        """Drop what has come in; see ``Tool``."""
        self._receiver.flush(partial=partial)

    def close(self) -> None:
        """Stop everything and say nothing more."""
        if not self._is_closed:
            self._is_closed = True
            self._poller.call(self._close)
            Poller.release()

    # --- control requests ------------------------------------------------------------------------

    def _answer(self, request: int, code: int | None, value: Any = None) -> None:
        if not self._is_closed:
            self._port.answer(request, code, value)

    def _control(self, request: int, operation: str, options: Sequence[Any]) -> None:
        if self._is_closed:
            return
        code = self._refusal(operation)
        if code is not None:
            self._answer(request, code, f"{operation} on {self.label}")
            return
        try:
            self._begin(request, operation, options)
        except (OSError, MediumError) as error:
            if self._in_hand is not None:
                self._in_hand = None
                self._medium.close()
            self._answer(request, code_of(error), self._detail(error))

    def _refusal(self, operation: str) -> Code | None:
        """Return why an operation makes no sense now; the endpoint asks for none of these."""
        medium = self._medium
        has_connection = self._is_connected or medium.has_caller
        is_busy = has_connection or self._in_hand is not None
        code: Code | None = None
        match operation:
            case "Bind" | "UnBind" | "Option":
                pass
            case "Connect" if not medium.listens:
                code = Code.ALREADY_CONNECTED if is_busy else None
            case "Listen" if medium.listens:
                code = Code.ALREADY_CONNECTED if is_busy else None
            case "Accept" if medium.listens:
                code = None if medium.has_caller else Code.NO_CONNECTION_END
            case "Release":
                code = None if self._is_connected else Code.NOT_CONNECTED
            case "Disconnect":
                code = None if has_connection else Code.NOT_CONNECTED
            case _:
                code = Code.BAD_COMMAND
        return code

    def _begin(self, request: int, operation: str, options: Sequence[Any]) -> None:
        medium = self._medium
        match operation:
            case "Bind":
                medium.bind()
            case "UnBind":
                medium.unbind()
            case "Disconnect":
                self._disconnect()
            case "Option":
                pass
            case _:
                self._in_hand = (request, operation, options)
                self._set_out(operation, options)
                return
        self._answer(request, None, self._processed(options))

    def _set_out(self, operation: str, options: Sequence[Any]) -> None:
        """Begin what takes its time; the medium calls ``done`` when it is done."""
        match operation:
            case "Connect":
                self._medium.connect(_address_among(options) or self._medium.address)
            case "Listen":
                self._medium.listen()
            case "Accept":
                self._medium.accept()
            case _:
                self._unfit = "the connection is being released"
                self._medium.release()
                self._watch()

    def _processed(
        self, options: Sequence[Any], *, takes_address: bool = False
    ) -> list[list[Any]] | None:
        if not options:
            return None
        return process(options, self._medium.settings, takes_address=takes_address)

    def _detail(self, error: Exception) -> str:
        return f"{self.label}: {error}"

    def done(self, error: Exception | None) -> None:
        """Complete the control request in hand; called by the medium."""
        if self._in_hand is None:
            return
        if error is not None and self._is_connected:
            self._lose(error)  # before it could be released
            return
        (request, operation, options), self._in_hand = self._in_hand, None
        if error is not None:
            self._medium.close()
            self._answer(request, code_of(error), self._detail(error))
            return
        processed = self._processed(options, takes_address=operation == "Connect")
        if operation in ("Connect", "Accept"):
            self._be_connected()
        self._answer(request, None, processed)
        if operation == "Release":
            # After the answer: with a release the endpoint itself ends what it still receives.
            self._end_release()
        self._watch()

    def _be_connected(self) -> None:
        self._receiver.reset()
        self._is_connected = True
        self._is_at_end = self._is_end_untold = self._is_deaf = False
        self._frame.reset()
        self._unfit = ""

    def _end_release(self) -> None:
        """Let go of a connection that was ended in order."""
        if not self._is_at_end:
            # A socket that is closed before all was read breaks the connection, and what we sent
            # last might never arrive.
            self._read_rest()
        self._medium.close()
        self._end_all("released")

    def _disconnect(self) -> None:
        """Let go of the connection; the endpoint has ended what was outstanding."""
        if self._in_hand is not None:
            (request, _, _), self._in_hand = self._in_hand, None
            self._answer(request, Code.NOT_CONNECTED, "disconnected")
        self._medium.abandon()
        self._medium.close()
        self._end_all("disconnected")

    def event(self, data: dict[str, Any]) -> None:
        """Report something of the medium's own; called by the medium."""
        if not self._is_closed:
            self._port.event(EventCode.TOOL_SPECIFIC, data)

    # --- output ----------------------------------------------------------------------------------

    def _perform_output(self, request: int, data: Any, slots: dict[str, Any] = _NO_SLOTS) -> None:
        try:
            encoded = wire_form(data, slots, self._port.encoding)
        except FormError as error:  # what the endpoint checks at the call
            self._poller.call(self._answer, request, error.code, str(error))
            return
        self._poller.call(self._output, _Output(request, encoded, slots))

    def _output(self, output: _Output) -> None:
        if not self._is_connected or self._unfit:
            self._answer(output.request, Code.NOT_CONNECTED, self._unfit or "not connected")
            return
        if not self._frame.lets_in(output.chunk, output.length):
            self._answer(output.request, Code.NOT_CONNECTED, str(self._frame))
            return
        self._outputs.append(output)
        if len(self._outputs) == 1:
            self._send()
            if self._outputs:
                self._watch()

    def _send(self) -> None:
        """Send until the kernel takes no more, or others have waited long enough."""
        outputs = self._outputs
        for _ in range(SENDS_AT_ONCE):
            if not outputs:
                return
            output = outputs[0]
            try:
                is_taken = self._send_some(output)
            except (BlockingIOError, InterruptedError):
                return
            except MediumError as error:
                outputs.popleft()
                self._answer(output.request, error.code, str(error))
                continue
            except OSError as error:
                self._fail_to_send(error)
                return
            if not is_taken:
                return
            outputs.popleft()
            self._answer(output.request, None, output.processed)

    def _send_some(self, output: _Output) -> bool:
        """Have the kernel take more of an Output; tell whether it has all."""
        medium = self._medium
        if output.options and output.processed is None:
            output.processed = self._processed(output.options)
        if output.sent < output.length:
            rest = output.data[output.sent :] if output.sent else output.data
            output.sent += medium.send(rest)
        elif medium.owes:
            medium.settle_debt()
        return output.sent == output.length and not medium.owes

    def _fail_to_send(self, error: OSError) -> None:
        """Find out what ``error`` means: the end of everything, or only that nobody reads."""
        if self._medium.outlives(error):
            self._unfit = str(error)
            self._fail_outputs(self._unfit)
        else:
            self._lose(error)

    def _fail_outputs(self, detail: str) -> None:
        outputs, self._outputs = self._outputs, deque()
        for output in outputs:
            self._answer(output.request, Code.NOT_CONNECTED, detail)

    # --- input -----------------------------------------------------------------------------------

    def _post(self, request: int, slots: dict[str, Any], buffer: memoryview | None) -> None:
        """Post a receive, on the thread that asks for it: what it wants may be here already."""
        if self._is_closed:
            return
        if slots.get("options"):
            killed = self._receives_killed
            self._poller.call(self._post_with_options, killed, request, slots, buffer)
        else:
            self._receiver.post(request, slots, buffer)

    def _post_with_options(
        self, killed: int, request: int, slots: dict[str, Any], buffer: memoryview | None
    ) -> None:
        if killed == self._receives_killed and not self._is_closed:
            slots = {**slots, "options": self._processed(slots["options"])}
            self._receiver.post(request, slots, buffer)

    def _resume(self) -> None:
        """Go on reading, now that the receiver wants more than it did; any thread."""
        self._poller.call(self._read_on)

    def _read_on(self) -> None:
        if self._medium.holds and self._may_read:
            self._read()
        self._watch()

    @property
    def _may_read(self) -> bool:
        return self._is_connected and not self._is_at_end and self._receiver.wants_more

    def _read(self) -> None:
        """Read until nothing is there, nobody wants more or others have waited long enough."""
        for _ in range(READS_AT_ONCE):
            if not self._may_read or not self._read_some():
                return
        if self._medium.holds:
            self._poller.call(self._read_on)

    def _read_some(self) -> bool:
        """Read once; tell whether there may be more."""
        medium, receiver = self._medium, self._receiver
        room = None if medium.is_packets else receiver.room() or None
        try:
            if room is None:
                data = medium.receive(RECEIVE_BYTES)
                count, asked = len(data), RECEIVE_BYTES
            else:
                data = b""
                count, asked = medium.receive_into(room), len(room)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._lose(error)
            return False
        if count == 0:
            self._end_input()
            return False
        if room is None:
            receiver.feed(data)
        else:
            receiver.filled(count)
        # A stream that gave less than was asked for has given all.
        return count == asked or medium.is_packets or medium.holds

    def _end_input(self) -> None:
        """Hear the other side's last word, and whether it was also the last that it heard."""
        if self._medium.has_hung_up:
            self._lose(None)
            return
        self._is_at_end = True
        # Our own release, when one is under way, ends the input by itself.
        self._is_end_untold = self._in_hand is not None
        if not self._is_end_untold:
            self._tell_end()

    def _tell_end(self) -> None:
        self._is_end_untold = False
        self._port.event(EventCode.RELEASE, None)
        self._receiver.end(Code.NOT_CONNECTED, "the peer sends no more")

    # --- readiness -------------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        """Read and send; called by the medium."""
        if self._is_closed:
            return
        if events & (READ | GONE) and self._may_read:
            self._read()
        if events & (WRITE | GONE) and self._outputs:
            self._send()
        if events & GONE and self._is_connected and not self._outputs and not self._may_read:
            if self._is_at_end:
                self._lose(None)
            else:
                # What the kernel still holds for us is read first, when somebody wants it.
                self._is_deaf = True
        self._watch()

    def _watch(self) -> None:
        """Read while there is room, write while there is something to write."""
        if not self._is_connected:
            return
        mask = WRITE if self._outputs else 0
        if self._may_read:
            mask |= READ
        self._medium.watch(mask if mask or not self._is_deaf else None)

    # --- ends ------------------------------------------------------------------------------------

    def lost(self, data: Any) -> None:
        """End the connection: the other side has said its last, and is gone; called by the medium.

        Unlike a connection that breaks, which may have had more to say.
        """
        if self._is_connected and not self._is_at_end and not self._is_closed:
            self._read_rest()
            self._is_at_end = True
            self._port.event(EventCode.RELEASE, None)
        self._lose(None, data)

    def _lose(self, error: Exception | None, data: Any = None) -> None:
        """The connection is gone: say so, then end what was outstanding, in its order."""
        if not self._is_connected or self._is_closed:
            return
        self._is_connected = False
        if not self._is_at_end:
            self._read_rest()
        data = data or (self._medium.what_happened() if error is None else str(error))
        self._medium.close()
        self._port.event(EventCode.DISCONNECT, data)
        detail = data if isinstance(data, str) else "the connection is gone"
        self._end_all(detail)
        if self._in_hand is not None:  # a release that came too late
            (request, _, _), self._in_hand = self._in_hand, None
            self._answer(request, Code.NOT_CONNECTED, detail)

    def _read_rest(self) -> None:
        """Read what the kernel still holds, however much of it is wanted."""
        with contextlib.suppress(OSError):
            for _ in range(READS_AT_LAST):
                data = self._medium.receive(RECEIVE_BYTES)
                if not data:
                    return
                self._receiver.feed(data)

    def _end_all(self, detail: str) -> None:
        self._is_connected = False
        self._fail_outputs(detail)
        self._receiver.end(Code.NOT_CONNECTED, detail)

    def _kill(self, cancel: int, operations: frozenset[str]) -> None:
        if self._is_closed:
            return
        taken: dict[int, int] = {}
        if "Output" in operations:
            taken = self._kill_outputs()
        if self._in_hand is not None and self._in_hand[1] in operations:
            self._in_hand = None
            self._medium.abandon()
            if self._is_end_untold:
                self._tell_end()
        self._watch()
        self._port.killed(cancel, None, taken)

    def _kill_outputs(self) -> dict[int, int]:
        """Forget all Outputs; only the first can have been begun."""
        is_spoiled = self._medium.cut()
        outputs, self._outputs = self._outputs, deque()
        if not outputs:
            return {}
        first = outputs[0]
        is_begun = is_spoiled or first.sent > 0
        cut = [each for each in outputs if each.begin]
        if is_spoiled or (first.is_whole and 0 < first.sent < first.length):
            cut.append(first)
        if cut:
            self._poison(cut[0])
        else:
            self._frame.reset()
        return {first.request: first.sent} if is_begun else {}

    def _poison(self, output: _Output) -> None:
        """Send nothing any more: the peer would take it for the rest of what was cut short."""
        request, sent, length = output.request, output.begin + output.sent, output.total
        self._unfit = f"r{request} was cut short after {sent} of {length} bytes"
        self.event({"poisoned": request, "sent": sent, "length": length})

    def _close(self) -> None:
        self._is_connected = False
        self._in_hand = None
        self._outputs.clear()
        self._receiver.stop()
        self._medium.abandon()
        self._medium.close()
        self._medium.unbind()


_RECEIVES = frozenset({"Input", "Receive"})


def _address_among(options: Sequence[Any]) -> Any:
    """Return the address that the options of a Connect name, if any."""
    addresses = [data for kind, _, _, data in options if kind == "address"]
    return addresses[-1] if addresses else None
