"""The scripted twin: a resolver without a network, whose every answer a test decides."""

from collections.abc import Callable, Sequence
from typing import Any

from rescind.actors.winsock._codes import Code

from ._resolver import Port


class TwinResolver:
    """A resolver in the hand of a test.

    Attributes:
        pending: What was asked for and has no answer yet, by request number.
        begun: Everything that was ever asked for, in order, as (request, operation, question).
        stopped: Requests whose lookup was told to stop, in order.
    """

    def __init__(self, label: str = "twin") -> None:
        """Begin with nothing asked."""
        self.label = label
        self.pending: dict[int, tuple[int, str, Sequence[Any]]] = {}
        self.begun: list[tuple[int, str, Sequence[Any]]] = []
        self.stopped: list[int] = []
        self.is_open = False

    def open(self, port: Port) -> None:
        """Serve the application behind ``port``."""
        self.port = port
        self.is_open = True

    def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
        """Note what is asked for."""
        self.pending[request] = (request, operation, question)
        self.begun.append(self.pending[request])

    def stop(self, request: int) -> None:
        """Forget it."""
        self.stopped.append(request)
        self.pending.pop(request, None)

    def close(self) -> None:
        """Stop."""
        self.is_open = False
        self.pending.clear()

    # --- what the test says ----------------------------------------------------------------------

    def complete(self, entry: Any, request: int | None = None) -> int:
        """Find something, by default for the oldest lookup; returns the request."""
        return self._answer(request, None, entry)

    def fail(self, code: Code, request: int | None = None) -> int:
        """Find nothing; likewise."""
        return self._answer(request, code, None)

    def network(self, *, is_down: bool) -> None:
        """Let the network fail, or come back."""
        self.port.network(is_down=is_down)

    def call_back(self, function: Callable[[], object]) -> None:
        """Call the application's code as a provider does."""
        with self.port.calling():
            function()

    def _answer(self, request: int | None, code: Code | None, value: Any) -> int:
        if request is None:
            if not self.pending:
                raise LookupError("nothing is being looked up")
            request = next(iter(self.pending))
        self.pending.pop(request, None)
        self.port.answer(request, code, value)
        return request


def twin(label: str = "twin") -> TwinResolver:
    """Return a scripted twin."""
    return TwinResolver(label)
