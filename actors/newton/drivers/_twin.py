"""The scripted twin: a tool without an outside, whose every answer a test decides.

It keeps the contract of the real tools: answers only for what it was asked, in the order of each
channel, and ``killed`` after everything.  By default control operations succeed at once, and
Outputs and receives stay outstanding.  Bytes that the test lets in go through the same receiver as
those of a socket.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._constants import EventCode, OpCode
from rescind.actors.newton._parameters import wire_form
from rescind.actors.newton._protocol import OPERATIONS, Channel

from ._frames import FrameUnderWay
from ._receiver import Receiver
from ._tool import Port

ANSWERED_AT_ONCE = frozenset(
    {"Bind", "UnBind", "Connect", "Listen", "Accept", "Disconnect", "Release", "Option"}
)
_RECEIVES = frozenset(row.name for row in OPERATIONS.values() if row.channel is Channel.GET)
_BEGINS_CONNECTION = frozenset({"Connect", "Accept"})
_SETS = frozenset({OpCode.SET_NEGOTIATE, OpCode.SET_REQUIRED})
"""The opCodes opSetNegotiate and opSetRequired (R 3)."""


class TwinTool:
    """A tool in the hand of a test.

    Attributes:
        pending: what was asked for and has no answer yet, by request number.
        performed: everything that was ever asked for, in order, as (request, operation,
            arguments).
        kills: the cancels that were asked for, in order.
        taken: how many bytes of a pending Output the kernel took, as the test said.
    """

    def __init__(
        self,
        label: str = "twin",
        *,
        at_once: frozenset[str] = ANSWERED_AT_ONCE,
        holds_kills: bool = False,
        unkillable: frozenset[str] = frozenset(),
        options: Mapping[str, bool] | None = None,
    ) -> None:
        """Begin with nothing outstanding.

        Args:
            label: the tool's name in logs.
            at_once: operations that succeed as soon as they are asked for.
            holds_kills: leave ``killed`` to ``finish_kill``.
            unkillable: operations that run on when they are to be killed; ``killed`` then has the
                code -16002 and names them.
            options: the labels of the options that there are, and whether they may be set; None
                lets every option succeed.
        """
        self.label = label
        self.at_once = at_once
        self.holds_kills = holds_kills
        self.unkillable = unkillable
        self.options = options
        self.pending: dict[int, tuple[int, str, Sequence[Any]]] = {}
        self.performed: list[tuple[int, str, Sequence[Any]]] = []
        self.kills: list[int] = []
        self.taken: dict[int, int] = {}
        self.is_open = False
        self._receiver = Receiver()
        self._killed: dict[int, int] = {}
        self._is_poisoned = False
        self._frame = FrameUnderWay()

    def open(self, port: Port) -> None:
        """Serve the endpoint behind ``port``."""
        self.port = port
        # As long as the endpoint's port has no encoding, it is what the endpoint assumes.
        self._encoding = port.encoding
        self._receiver.open(_Noting(port, self._encoding, self.pending))
        self.is_open = True

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        """Note what is asked for; answer at once what is to be answered at once."""
        self.performed.append((request, operation, arguments))
        if operation == "Take":
            self._receiver.take(request)
            return
        if operation in _BEGINS_CONNECTION:
            self._receiver.reset()
            self._is_poisoned = False
            self._frame.reset()
        if OPERATIONS[operation].channel is Channel.PUT and not self._lets_in(arguments):
            self.port.answer(request, Code.NOT_CONNECTED, _POISONED)
        elif operation in self.at_once:
            self.port.answer(request, None, self._options_of(operation, arguments))
        elif request:
            self.pending[request] = (request, operation, arguments)
            if operation in _RECEIVES:
                self._post(request, arguments)

    def _post(self, request: int, arguments: Sequence[Any]) -> None:
        slots, buffer = arguments
        if slots.get("options") is not None:
            slots = {**slots, "options": self._process(slots["options"])}
        self._receiver.post(request, slots, buffer)

    def _options_of(self, operation: str, arguments: Sequence[Any]) -> list[list[Any]] | None:
        """Return the processed options of a control operation or an Output."""
        if OPERATIONS[operation].channel is Channel.PUT:
            return self._process(_slots(arguments).get("options"))
        return self._process(arguments[0] if arguments else None)

    def _process(self, options: Sequence[Any] | None) -> list[list[Any]] | None:
        if options is None:
            return None
        return [
            [kind, label, op_code, data, self._result(label, op_code)]
            for kind, label, op_code, data in options
        ]

    def _result(self, label: str, op_code: int) -> int | None:
        if self.options is None:
            return None
        if label not in self.options:
            return Code.OPTION_NOT_SUPPORTED_HERE
        return Code.OPTION_READ_ONLY if op_code in _SETS and not self.options[label] else None

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Forget what is pending of these operations, and say so unless kills are held."""
        self.kills.append(cancel)
        operations -= self.unkillable
        killed = {n: asked for n, asked in self.pending.items() if asked[1] in operations}
        for request in killed:
            del self.pending[request]
        if not operations.isdisjoint(_RECEIVES):
            self._receiver.stop()
        self._killed = {n: self.taken.pop(n) for n in list(self.taken) if n in killed}
        for request, (_, operation, arguments) in killed.items():
            if OPERATIONS[operation].channel is Channel.PUT:
                self._cut(request, self._killed.get(request, 0), _slots(arguments), arguments)
        if not self.holds_kills:
            self.finish_kill()

    def _lets_in(self, arguments: Sequence[Any]) -> bool:
        chunk = _slots(arguments).get("chunk")
        return not self._is_poisoned and self._frame.lets_in(chunk, self._length(arguments))

    def _cut(
        self, request: int, sent: int, slots: Mapping[str, Any], arguments: Sequence[Any]
    ) -> None:
        """Cut an Output short; the other side would take what comes after for its frame's rest."""
        if slots.get("form") != "frame":
            return
        begin, total = slots.get("chunk") or (0, self._length(arguments))
        if begin + sent:
            self._is_poisoned = True
            cut = {"poisoned": request, "sent": begin + sent, "length": total}
            self.event(EventCode.TOOL_SPECIFIC, cut)
        else:
            self._frame.reset()

    def _length(self, arguments: Sequence[Any]) -> int:
        """Return how many bytes an Output is on the wire."""
        return len(wire_form(arguments[0], _slots(arguments), self._encoding))

    def partial(self) -> Any:
        """Return what is buffered for the posted receive, and leave it there."""
        return self._receiver.partial()

    def flush(self, *, partial: bool) -> None:
        """Drop what the last ``partial`` saw, or the whole buffer."""
        self._receiver.flush(partial=partial)

    def close(self) -> None:
        """Stop."""
        self.is_open = False
        self._receiver.stop()
        self.pending.clear()

    # --- what the test says ----------------------------------------------------------------------

    def finish_kill(self, code: int | None = None) -> None:
        """Report that the last kill has stopped everything, or failed with ``code``."""
        spared = [n for n, asked in self.pending.items() if asked[1] in self.unkillable]
        if spared and code is None:
            code = Code.BAD_COMMAND
        self.port.killed(self.kills[-1], code, self._killed, spared)

    def complete(self, request: int, code: int | None = None, value: Any = None) -> None:
        """Answer a request, also one that is not pending any more (too late).

        One that succeeds without a value has its options for a value, processed.
        """
        asked = self.pending.pop(request, None)
        if asked is not None and asked[1] in _RECEIVES:
            self._receiver.stop()
        elif asked is not None and code is None and value is None:
            value = self._options_of(*asked[1:])
        self.taken.pop(request, None)
        self.port.answer(request, code, value)

    def complete_next(self, channel: Channel = Channel.PUT, code: int | None = None) -> int:
        """Answer the oldest pending request of a channel; returns its number."""
        for request, operation, _ in self.pending.values():
            if OPERATIONS[operation].channel is channel:
                self.complete(request, code)
                return request
        raise LookupError(f"nothing is pending on channel {channel}")

    def take(self, request: int, count: int) -> None:
        """Have the kernel take ``count`` bytes in all of a pending Output, and no more so far.

        A cancel then reports them; if that cuts a frame short, the connection is poisoned: an event
        1 says so, and every Output is answered -16009 until the next Connect or Accept.
        """
        if request not in self.pending:
            raise LookupError(f"Output {request} is not pending")
        length = self._length(self.pending[request][2])
        if not 0 < count < length:
            raise ValueError(f"{count} bytes are not a part of {length}; complete it instead")
        self.taken[request] = count

    def feed(self, data: bytes, *, eop: bool = True) -> None:
        """Let bytes come in from outside; ``eop``: a packet, or a physical buffer, ends here."""
        self._receiver.feed(data, is_packet_end=eop)

    def receive(self, data: Any, terminator: Any = None) -> None:
        """Let a complete piece of input arrive for the posted receive, ready as it is.

        Without a ``terminator`` an end sequence has ended it.
        """
        request = self._posted()
        if request is None:
            raise LookupError("no receive is posted")
        del self.pending[request]
        self._receiver.stop()
        ended = ["endSequence", 0, len(data)] if terminator is None else terminator
        self.port.received(request, data, ended)

    def arrive(self) -> None:
        """Let some data arrive that does not complete the posted receive yet, nor is buffered."""
        request = self._posted()
        if request is not None:
            self.port.arrived(request)

    def _posted(self) -> int | None:
        for request, operation, _ in self.pending.values():
            if operation in _RECEIVES:
                return request
        return None

    def event(self, code: int, data: Any = None) -> None:
        """Report what nobody asked for."""
        self.port.event(code, data)

    def disconnect_remotely(self) -> None:
        """Let the remote side drop the line; answers to what is pending are the test's to give."""
        self.event(EventCode.DISCONNECT)

    def release_remotely(self) -> None:
        """Let the remote side end its stream: an event, then `end_input`."""
        self.event(EventCode.RELEASE)
        self.end_input()

    def end_input(self, code: int = Code.NOT_CONNECTED) -> None:
        """Let nothing more come in: receives get what is buffered, then are answered ``code``."""
        self._receiver.end(code, "the stream has ended")


_POISONED = "a frame was cut short; connect anew"


class _Noting:
    """Stands between receiver and port: what was answered or handed over is pending no more."""

    def __init__(self, port: Any, encoding: str, pending: dict[int, Any]) -> None:
        self.encoding = encoding
        self._port = port
        self._pending = pending

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        self._pending.pop(request, None)
        self._port.answer(request, code, value)

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        if terminator is not None:  # what `take` hands over leaves the receive posted
            self._pending.pop(request, None)
        self._port.received(request, data, terminator, options)

    def arrived(self, request: int) -> None:
        self._port.arrived(request)


def _slots(arguments: Sequence[Any]) -> Mapping[str, Any]:
    """Return the slots of an Output's spec."""
    return arguments[1] if len(arguments) > 1 else {}


def twin(**settings: Any) -> TwinTool:
    """Return a scripted twin; see ``TwinTool`` for the settings."""
    return TwinTool(**settings)
