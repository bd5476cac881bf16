"""A twin at whose border a model of the endpoint stands and hears of all that passes."""

from typing import TYPE_CHECKING, Any

from rescind import newton

from .model import Model, Wire
from .stage import BAD_COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable

TOOL_ERROR = -16011


class Watched(newton.TwinTool):
    """A twin at whose border the model stands.

    An Output of ``blocked`` waits until another request's script, if there is one, has run.
    """

    def __init__(self, model: Model, **settings: Any) -> None:
        super().__init__(**settings)
        self.model = model
        self.wire = Wire()
        self.found: list[tuple[Any, ...]] = []
        self.hanging: list[int] = []
        self.when_late: Callable[[], object] = list

    def open(self, port: Any) -> None:
        super().open(Border(port, self))

    def perform(self, request: int, operation: str, arguments: Any) -> None:
        """Have the model hear of it, then be the twin."""
        self.model.ask(request, operation)
        if operation in {"Connect", "Accept"}:
            self.wire = Wire(found=self.wire.found)
        super().perform(request, operation, arguments)
        if operation in {"Input", "Receive"}:
            self.wire.post(request, arguments[0])
        elif operation == "Take":
            self.wire.take()
        elif operation == "Output" and arguments[0] == "late":
            self.when_late()
        elif operation == "Output" and arguments[0] == "blocked" and request in self.pending:
            self.hanging.append(request)
            others = [n for n, asked in self.pending.items() if n not in self.hanging]
            if others:
                self.complete(others[0], TOOL_ERROR)
            else:
                self.let_go()

    def let_go(self) -> None:
        """Answer the Outputs that callers are blocked in, or end the cancel that has them."""
        while self.hanging:
            number = self.hanging.pop()
            if number in self.pending:
                self.complete(number)
            else:
                while self.unfinished():
                    self.stop_next()

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        self.model.stop(cancel, operations)
        if not operations.isdisjoint({"Input", "Receive"}):
            self.wire.posted = None
        super().kill(cancel, operations)

    def complete(self, request: int, code: int | None = None, value: Any = None) -> None:
        asked = self.pending.get(request)
        if asked is not None and asked[1] in {"Input", "Receive"}:
            self.wire.posted = None
        super().complete(request, code, value)

    def feed(self, data: bytes, *, eop: bool = True) -> None:
        self.wire.feed(data, eop=eop)
        super().feed(data, eop=eop)

    def end_input(self, code: int = -16009) -> None:
        self.wire.end()
        super().end_input(code)

    def partial(self) -> Any:
        shown, expected = super().partial(), self.wire.partial()
        assert shown == expected, f"partial input {shown!r} instead of {expected!r}"
        return shown

    def flush(self, *, partial: bool) -> None:
        self.wire.flush(partial=partial)
        super().flush(partial=partial)

    def stop_next(self, code: int | None = None) -> None:
        """Say that the work has stopped that the next cancel was to stop."""
        spared = [n for n, asked in self.pending.items() if asked[1] in self.unkillable]
        self.port.killed(self.unfinished()[0], BAD_COMMAND if spared else code, {}, spared)

    def unfinished(self) -> list[int]:
        """Return the cancels that the tool has not said the end of."""
        return [kill.cancel for kill in self.model.kills.values() if not kill.codes]


class Border:
    """Between a tool and its endpoint's port: the model hears of all that passes."""

    def __init__(self, port: Any, twin: Watched) -> None:
        self.encoding = port.encoding
        self._port, self._twin, self._model = port, twin, twin.model

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        if value == "the stream has ended":
            self._twin.found.append((request, code))
        self._model.said(request, code)
        self._port.answer(request, code, value)

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        self._twin.found.append((request, data, terminator))
        self._model.handed_over(request, data, terminator)
        self._port.received(request, data, terminator, options)

    def arrived(self, request: int) -> None:
        self._model.arrived(request)
        self._port.arrived(request)

    def killed(self, cancel: int, code: int | None, taken: Any, spared: Any = ()) -> None:
        self._model.has_stopped(cancel, code, spared)
        self._port.killed(cancel, code, taken, spared)

    def event(self, code: int, data: Any) -> None:
        self._model.events.append(code)
        self._port.event(code, data)
