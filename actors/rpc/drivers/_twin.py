"""The scripted twin: a channel and a listener, between which a test carries every message."""

import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from rescind.actors.rpc._codes import Code

from ._driver import Call, ClientPort, ServerPort

Key: TypeAlias = tuple[bytes, int]
"""The listener's name for a call: the client's log, and its number there."""


class Kind(StrEnum):
    """What a message on the wire is."""

    CALL = "call"
    CANCEL = "cancel"
    REPLY = "reply"


class Message(NamedTuple):
    """One message on the wire."""

    kind: Kind
    key: Key
    content: Any
    """The call; of a cancel whether it aborts, and its turn; of a reply code, payload and cause."""

    @property
    def request(self) -> int:
        """The client's number for the call."""
        return self.key[1]


class TwinChannel:
    """The client's end."""

    def __init__(self, twin: "Twin") -> None:
        """Be one end of a twin."""
        self._twin = twin
        self.label = twin.label
        self.message_max = twin.message_max

    def open(self, port: ClientPort) -> None:
        """Serve the binding behind ``port``."""
        self._twin.client = port

    def begin(self, call: Call) -> None:
        """Send a call."""
        self._twin.begin(call)

    def cancel(self, request: int, turn: int, *, abort: bool) -> None:
        """Send a cancel."""
        self._twin.cancel(request, (abort, turn))

    def close(self) -> None:
        """Hang up."""
        self._twin.hang_up()


class TwinListener:
    """The server's end."""

    def __init__(self, twin: "Twin") -> None:
        """Be the other end."""
        self._twin = twin
        self.label = twin.label

    def open(self, port: ServerPort) -> None:
        """Serve the server behind ``port``."""
        self._twin.server = port

    def reply(
        self, key: Any, code: int | None, payload: bytes | str | None, cause: tuple[bytes, int]
    ) -> None:
        """Send a reply; to whom is gone, nothing."""
        self._twin.reply(key, (code, payload, cause))

    def close(self) -> None:
        """Break the calls that are in progress off."""
        self._twin.break_off()


class Twin:
    """A channel and a listener: ``channel, listener = twin``.

    Nothing crosses until it is carried.  Threads: any.

    Attributes:
        wire: What was sent and has not arrived, the oldest first.
        calls: The calls that are in progress, by the client's number.
        client: Where answers go, once a binding has opened the channel.
        server: Where calls go, once a server has opened the listener.
        is_lost: Whether there is no connection now.
    """

    def __init__(self, label: str, message_max: int, *, carries: bool) -> None:
        """Connect the two ends; ``carries``: everything crosses at once."""
        self.label = label
        self.message_max = message_max
        self.wire: list[Message] = []
        self.calls: dict[int, Call] = {}
        self.client: ClientPort | None = None
        self.server: ServerPort | None = None
        self.is_lost = False
        self._arrived: set[int] = set()
        self._carries = carries
        self._lock = threading.RLock()
        self.channel = TwinChannel(self)
        self.listener = TwinListener(self)

    def __iter__(self) -> Iterator[Any]:
        """Yield both ends, the channel first."""
        return iter((self.channel, self.listener))

    # --- what the ends do ------------------------------------------------------------------------

    def begin(self, call: Call) -> None:
        """Take a call from the client."""
        with self._lock:
            if self.is_lost or self.server is None:
                self._answer(call.request, Code.SERVER_UNAVAILABLE, "there is no connection")
                return
            self.calls[call.request] = call
            self.put(Message(Kind.CALL, (call.log_id, call.request), call))

    def cancel(self, request: int, content: Any) -> None:
        """Take a cancel from the client; of a call that is over nobody is told."""
        with self._lock:
            if request in self.calls:
                self.put(Message(Kind.CANCEL, self._key(request), content))

    def put(self, message: Message) -> None:
        """Take a message from either end."""
        with self._lock:
            if self.is_lost or message.request not in self.calls:
                return
            self.wire.append(message)
            if self._carries:
                self.carry(message)

    def reply(self, key: Key, content: Any) -> None:
        """Take a reply from the server."""
        self.put(Message(Kind.REPLY, key, content))

    def hang_up(self) -> None:
        """Let the client be gone: the server hears of it for each call that it has."""
        with self._lock:
            self.client = None
            self._disconnect()

    def break_off(self) -> None:
        """Let the server be gone: the client hears of it for each call."""
        with self._lock:
            self.server = None
            for request in self._forget():
                self._answer(request, Code.CALL_FAILED, "the server is gone")

    # --- what the test says ----------------------------------------------------------------------

    def carry(self, message: Message | None = None) -> Message:
        """Let one message arrive, by default the oldest.

        Raises:
            LookupError: None is on the way, or not this one.
        """
        with self._lock:
            message = self._take(message)
            _CARRY[message.kind](self, message)
        return message

    def carry_all(self) -> int:
        """Let everything arrive that is on the way; returns how much that was."""
        with self._lock:
            count = 0
            while self.wire:
                self.carry()
                count += 1
        return count

    def drop(self, message: Message | None = None) -> Message:
        """Lose one message, by default the oldest.

        Raises:
            LookupError: None is on the way, or not this one.
        """
        with self._lock:
            return self._take(message)

    def lose(self) -> None:
        """Lose the connection: both ends hear of it for each call in progress."""
        with self._lock:
            self.is_lost = True
            calls = list(self.calls)
            self._disconnect()
            for request in calls:
                self._answer(request, Code.CALL_FAILED, "the connection was lost")

    def restore(self) -> None:
        """Have a connection again."""
        with self._lock:
            self.is_lost = False

    def _take(self, message: Message | None) -> Message:
        if message is None:
            if not self.wire:
                raise LookupError("nothing is on the way")
            message = self.wire[0]
        if message not in self.wire:
            raise LookupError(f"this is not on the way: {message}")
        self.wire.remove(message)
        return message

    def _disconnect(self) -> None:
        arrived = [self._key(request) for request in self.calls if request in self._arrived]
        self._forget()
        for key in arrived:
            if self.server is not None:
                self.server.disconnected(key)

    def _forget(self) -> list[int]:
        """Forget all calls in progress, and what is on the way for them; return their numbers."""
        calls = list(self.calls)
        self.calls.clear()
        self._arrived.clear()
        self.wire.clear()
        return calls

    def _key(self, request: int) -> Key:
        return self.calls[request].log_id, request

    # --- what arrives ----------------------------------------------------------------------------

    def _carry_call(self, message: Message) -> None:
        self._arrived.add(message.request)
        if self.server is not None:
            self.server.called(message.key, message.content)

    def _carry_cancel(self, message: Message) -> None:
        abort, turn = message.content
        if self.server is not None:
            self.server.cancelled(message.key, abort=abort, cause=(message.key[0], turn))

    def _carry_reply(self, message: Message) -> None:
        code, payload, cause = message.content
        self.calls.pop(message.request, None)
        self._arrived.discard(message.request)
        self._answer(message.request, code, payload, cause)

    def _answer(
        self,
        request: int,
        code: int | None,
        payload: bytes | str | None,
        cause: tuple[bytes, int] | None = None,
    ) -> None:
        if self.client is not None:
            self.client.answer(request, code, payload, cause)


_CARRY = {
    Kind.CALL: Twin._carry_call,  # noqa: SLF001  # this table is part of the class
    Kind.CANCEL: Twin._carry_cancel,  # noqa: SLF001
    Kind.REPLY: Twin._carry_reply,  # noqa: SLF001
}

MESSAGE_MAX = 4 * 1024 * 1024


def twin(label: str = "twin", *, message_max: int = MESSAGE_MAX) -> Twin:
    """Return a channel and a listener between which nothing crosses until a test carries it."""
    return Twin(label, message_max, carries=False)


def in_process(label: str = "in process", *, message_max: int = MESSAGE_MAX) -> Twin:
    """Return a channel and a listener between which everything crosses at once."""
    return Twin(label, message_max, carries=True)
