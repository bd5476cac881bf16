"""What a communications tool is to an endpoint, and what the endpoint is to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Port(Protocol):
    """How a tool answers; every method may be called on any thread and returns at once."""

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a request's result; a result that comes too late is recorded and ignored."""
        ...

    def received(self, request: int, data: Any, terminator: Any) -> None:
        """Hand over a complete piece of input; nothing more until the receive is posted again."""
        ...

    def arrived(self, request: int) -> None:
        """Say that data came in, so that the inactivity time-out starts again."""
        ...

    def killed(self, cancel: int, code: int | None, taken: Mapping[int, int]) -> None:
        """Say that all work has stopped; ``taken``: bytes already sent of a request cut short."""
        ...

    def event(self, code: int, data: Any) -> None:
        """Report what nobody asked for; 2 is the remote's disconnect."""
        ...


class Tool(Protocol):
    """Does the real work.  The runtime calls it after the record of the call is durable.

    One thread calls at a time, in the order of the log; no method may block.
    """

    @property
    def label(self) -> str:
        """Name the tool and its peer, for people: ``tcp 127.0.0.1:4000``."""
        ...

    def open(self, port: Port) -> None:
        """Serve the endpoint behind ``port``."""
        ...

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        """Begin an operation; requests of one channel are answered in their order."""
        ...

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Stop all work on these operations, then call ``killed``."""
        ...

    def close(self) -> None:
        """Stop everything and say nothing more."""
        ...
