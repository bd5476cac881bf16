"""What a communications tool is to an endpoint, and what the endpoint is to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


class Port(Protocol):
    """How a tool answers; every method may be called on any thread and returns at once."""

    @property
    def encoding(self) -> str:
        """The endpoint's encoding of strings and characters."""
        ...

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a request's result; a result that comes too late is recorded and ignored.

        ``value``: of a request with options the processed ones, each ``[type, label, op_code, data,
        result]``; of a failed one what went wrong, in words.
        """
        ...

    def received(
        self, request: int, data: Any, terminator: Any, options: Sequence[Any] | None = None
    ) -> None:
        """Hand over a complete piece of input; nothing more until the receive is posted again.

        ``terminator``: ``[condition, index, byte_count]``, or None when Input() asked for what is
        there.  ``options``: the processed rcvOptions, with the first piece only.
        """
        ...

    def arrived(self, request: int) -> None:
        """Say that data came in, so that the inactivity time-out starts again."""
        ...

    def killed(
        self,
        cancel: int,
        code: int | None,
        taken: Mapping[int, int],
        spared: Sequence[int] = (),
    ) -> None:
        """Say that all work has stopped; ``taken``: bytes already sent of a request cut short.

        ``spared``: requests that can't be stopped and that will be answered all the same.
        """
        ...

    def event(self, code: int, data: Any) -> None:
        """Report what nobody asked for, by its `EventCode` (spec/newton.md 3.5)."""
        ...


@runtime_checkable
class Tool(Protocol):
    """Does the real work.  The runtime calls it after the record of the call is durable.

    One thread calls at a time, in the order of the log; no method may block.  ``partial`` and
    ``flush`` may be called by any thread at any time.
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

    def partial(self) -> Any:
        """Return what has come in for the posted receive, in its form, and leave it there.

        None if nothing has, or if no receive is posted.
        """
        ...

    def flush(self, *, partial: bool) -> None:
        """Drop what has come in, or only what the last ``partial`` returned."""
        ...

    def close(self) -> None:
        """Stop everything and say nothing more."""
        ...
