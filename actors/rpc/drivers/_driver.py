"""What a channel and a listener are to the actors, and what the actors are to them.

A payload is MessagePack: of a call the list of its arguments, of a reply the value returned.  The
pair (``log_id``, ``request``) names a call everywhere, and a cause is (log id, turn) of the log
that knows it.
"""

from typing import NamedTuple, Protocol

VERSION = 1
"""Of what crosses the wire; a server refuses a call of another one with 1728."""


class Call(NamedTuple):
    """What crosses the wire when a call is made."""

    request: int
    """The client's number for it."""
    log_id: bytes
    """The client's log."""
    turn: int
    """The client's turn that made the call: the cause of whatever the server does."""
    procedure: str
    payload: bytes
    deadline_s: float | None
    """After so long both sides give it up; None: never."""
    metadata: tuple[tuple[str, str], ...] = ()
    version: int = VERSION
    """What the client speaks."""


class ClientPort(Protocol):
    """How a channel answers; every method may be called on any thread and returns at once."""

    def answer(
        self,
        request: int,
        code: int | None,
        payload: bytes | str | None,
        cause: tuple[bytes, int] | None = None,
        *,
        carries: bool = False,
    ) -> None:
        """Report a call's end.  What comes too late is recorded and ignored.

        Args:
            request: The client's number.
            code: None is success.
            payload: The reply as bytes, or of a failure what a text says about it.
            cause: The server's log and turn, where the server told.
            carries: The channel calls ``carry`` soon, so that no other thread has to be woken.
        """
        ...

    def carry(self) -> None:
        """Do in this thread what follows from what was reported, but no code of the client's.

        It writes to the log, and may call the channel meanwhile.
        """
        ...


class Channel(Protocol):
    """Carries calls away.  The runtime calls it after the record of the call is durable.

    One thread calls at a time, in the order of the log; no method may block.
    """

    @property
    def label(self) -> str:
        """Name the channel and its server, for people: ``grpc 127.0.0.1:50051``."""
        ...

    @property
    def message_max(self) -> int:
        """So many bytes may a payload have; more is refused when the call is made."""
        ...

    def open(self, port: ClientPort) -> None:
        """Serve the binding behind ``port``."""
        ...

    def begin(self, call: Call) -> None:
        """Send a call; whatever goes wrong is answered."""
        ...

    def cancel(self, request: int, turn: int, *, abort: bool) -> None:
        """Tell the server of a cancel, which the client's ``turn`` decided.

        After an abortive one nobody waits: the late answer may be reported or not.
        """
        ...

    def close(self) -> None:
        """Give up every call in progress and report nothing more."""
        ...


class ServerPort(Protocol):
    """How a listener reports; every method may be called on any thread and returns at once."""

    def called(self, key: object, call: Call, *, carries: bool = False) -> None:
        """Report a call that came in.

        Args:
            key: Anything hashable, the listener's name for it.
            call: What came.
            carries: The listener calls ``carry`` soon, so that no other thread has to be woken.
        """
        ...

    def carry(self) -> None:
        """Do in this thread what follows from what was reported, but no function of the server's.

        It writes to the log, and may call ``Listener.reply`` meanwhile.
        """
        ...

    def cancelled(self, key: object, *, abort: bool, cause: tuple[bytes, int] | None) -> None:
        """Report that the client asks to stop, and in which turn it did."""
        ...

    def disconnected(self, key: object) -> None:
        """Report that the client is gone."""
        ...


class Listener(Protocol):
    """Takes calls in.  The runtime calls it after the record of what it says is durable.

    One thread calls at a time, in the order of the log; no method but ``open`` may block.
    """

    @property
    def label(self) -> str:
        """Name where it listens, for people: ``grpc 127.0.0.1:50051``."""
        ...

    def open(self, port: ServerPort) -> None:
        """Begin to listen for the server behind ``port``.

        Raises:
            OSError: It can't listen there, and why.
        """
        ...

    def reply(
        self,
        key: object,
        code: int | None,
        payload: bytes | str | None,
        cause: tuple[bytes, int],
    ) -> None:
        """End a call: a code (None is success), the payload, and the turn that decided it.

        A call that is over, or whose client is gone, is ignored.
        """
        ...

    def close(self) -> None:
        """Listen no more and report nothing more."""
        ...
