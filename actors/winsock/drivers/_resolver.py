"""What a resolver is to the actors, and what they are to it."""

from contextlib import AbstractContextManager
from typing import Any, Protocol


class Port(Protocol):
    """How a resolver answers; every method may be called on any thread and returns at once."""

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a lookup's end: an entry, or a code of ``winsock.Code`` and perhaps a text.

        What comes too late is recorded and ignored.
        """
        ...

    def network(self, *, is_down: bool) -> None:
        """Report that the network subsystem has failed, or works again."""
        ...

    def calling(self) -> AbstractContextManager[None]:
        """Surround a call of the application's code: what that calls hears WSAEINPROGRESS."""
        ...


class Resolver(Protocol):
    """Looks names up.  The runtime calls it after the record of the call is durable.

    One thread calls at a time, in the order of the log; no method may block.
    """

    @property
    def label(self) -> str:
        """Name the resolver and its servers, for people: ``dns 127.0.0.1:53``."""
        ...

    def open(self, port: Port) -> None:
        """Serve the application behind ``port``."""
        ...

    def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
        """Begin a lookup.

        Args:
            request: Its number, which ``answer`` names.
            operation: ``WSAAsyncGetHostByName`` and so on.
            question: What is looked up: ``(name,)``; ``(address, family)``; ``(name, protocol)``
                and ``(port, protocol)``, the protocol None for any; ``(name,)``; ``(number,)``.
        """
        ...

    def stop(self, request: int) -> None:
        """Stop a lookup; nobody waits for its answer any more."""
        ...

    def close(self) -> None:
        """Stop everything and say nothing more."""
        ...
