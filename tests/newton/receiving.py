"""A port that notes what it is told, and a receiver before it."""

from typing import Any

from rescind.actors.newton.drivers._receiver import Receiver

NOT_CONNECTED = -16009
OVERFLOW = -16004
BAD_DATA = -36010
PACKET = 2


class FakePort:
    """Notes what a tool or its receiver reports."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.encoding = encoding
        self.calls: list[tuple[Any, ...]] = []

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        self.calls.append(("answer", request, code, value))

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        self.calls.append(("received", request, data, terminator, options))

    def arrived(self, request: int) -> None:
        self.calls.append(("arrived", request))

    def killed(self, cancel: int, code: int | None, taken: Any, _spared: Any = ()) -> None:
        self.calls.append(("killed", cancel, code, dict(taken)))

    def event(self, code: int, data: Any) -> None:
        self.calls.append(("event", code, data))

    @property
    def pieces(self) -> list[Any]:
        return [call[2] for call in self.calls if call[0] == "received"]

    @property
    def ends(self) -> list[Any]:
        return [call[3] for call in self.calls if call[0] == "received"]

    @property
    def codes(self) -> list[Any]:
        return [call[2] for call in self.calls if call[0] == "answer"]


class Line:
    """A receiver before a fake port, and the receive that a test posts again and again."""

    def __init__(self, *, encoding: str = "utf-8", **settings: Any) -> None:
        self.port = FakePort(encoding)
        self.receiver = Receiver(**settings)
        self.receiver.open(self.port)
        self.request = 0

    def arm(self, buffer: Any = None, **slots: Any) -> None:
        """Post a new receive."""
        self.request += 1
        self.slots, self.buffer = slots, buffer and memoryview(buffer)
        self.again()

    def again(self) -> None:
        self.receiver.post(self.request, self.slots, self.buffer)

    def feed(self, *chunks: bytes, **flags: Any) -> None:
        """Feed chunks; what they complete is posted again."""
        for chunk in chunks:
            self.receiver.feed(chunk, **flags)
            self.drain()

    def drain(self) -> None:
        """Post again until what is there completes nothing more."""
        heard = None
        while heard != len(self.port.calls):
            heard = len(self.port.calls)
            if self.port.calls and self.port.calls[-1][0] == "received":
                self.again()
