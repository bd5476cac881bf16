"""What differs between transports: how they come about, how bytes go in and out, how they end."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from rescind.actors.newton._codes import Code

from ._options import Setting
from ._poller import Poller


class MediumError(Exception):
    """Something could not be done, and there is a better code for it than the system's error has.

    Attributes:
        code: by which it is reported.
    """

    def __init__(self, code: Code, text: str) -> None:
        """Say in words what went wrong."""
        self.code = code
        super().__init__(text)


class Host(Protocol):
    """The tool that a medium serves; called in the poller's thread."""

    def done(self, error: Exception | None) -> None:
        """Say that what was begun last (connect, listen, accept, release) succeeded or failed."""
        ...

    def ready(self, events: int) -> None:
        """Say what the connection is ready for: ``READ``, ``WRITE``, ``GONE``."""
        ...

    def lost(self, data: Any) -> None:
        """Say that the connection is gone; ``data`` is its event's."""
        ...

    def event(self, data: dict[str, Any]) -> None:
        """Report something of the medium's own."""
        ...


class Medium(ABC):
    """One transport's side of a connection; at most one connection at a time.

    Everything but the constructor and ``address`` belongs to the poller's thread, and nothing
    blocks.  What takes time (``connect``, ``listen``, ``accept``, ``release``) ends with one call
    of ``host.done`` unless ``abandon`` or ``close`` comes first.

    Attributes:
        label: names the transport and its peer, for people.
        listens: whether it is called (Listen, Accept) and does not call (Connect).
        is_packets: whether what is sent at once arrives as one, or not at all.
        owes: whether the kernel has not taken yet all of what ``send`` has counted as taken.
        holds: whether there is input that no ``READ`` will tell of.
    """

    label: str
    listens = False
    is_packets = False
    owes = False
    holds = False

    def attach(self, host: Host, poller: Poller) -> None:
        """Serve ``host``."""
        self.host = host
        self.poller = poller

    @property
    @abstractmethod
    def address(self) -> Any:
        """Where it connects to or listens: a host and a port, or a path."""

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Setting]:
        """The options that it knows, by their labels."""

    # --- life ------------------------------------------------------------------------------------

    def bind(self) -> None:  # noqa: B027  # who calls claims nothing
        """Claim the address; raises OSError or MediumError."""

    def unbind(self) -> None:  # noqa: B027  # the same
        """Give the address back."""

    def connect(self, address: Any) -> None:
        """Begin to connect to ``address``."""
        raise NotImplementedError

    def listen(self) -> None:
        """Begin to wait for a caller."""
        raise NotImplementedError

    def accept(self) -> None:
        """Begin to make the caller's connection ours."""
        raise NotImplementedError

    @property
    def has_caller(self) -> bool:
        """Whether somebody waits to be accepted."""
        return False

    @abstractmethod
    def abandon(self) -> None:
        """Stop what was begun and is not done."""

    @abstractmethod
    def release(self) -> None:
        """Begin to end the connection in order: all that was sent, then the end of the stream."""

    @abstractmethod
    def close(self) -> None:
        """End the connection at once, or turn the caller away."""

    # --- data ------------------------------------------------------------------------------------

    @abstractmethod
    def watch(self, mask: int | None) -> None:
        """Have ``host.ready`` called for ``mask`` and for ``GONE``; not at all for None."""

    @abstractmethod
    def send(self, data: memoryview) -> int:
        """Send what the kernel takes now; raises BlockingIOError, or OSError when all is over."""

    def outlives(self, error: OSError) -> bool:  # noqa: ARG002  # for those that do
        """Whether the connection stands although it takes no more of what we send."""
        return False

    def settle_debt(self) -> None:  # noqa: B027  # most owe nothing
        """Give the kernel what it is owed; raises as ``send``."""

    def cut(self) -> bool:
        """Forget what the kernel is owed; tells whether that has spoiled the connection."""
        return False

    @abstractmethod
    def receive(self, count_max: int) -> bytes:
        """Receive what is there; nothing at the end of the stream, else raises as ``send``."""

    @abstractmethod
    def receive_into(self, buffer: memoryview) -> int:
        """Receive what is there into ``buffer``; not called for packets."""

    @property
    def has_hung_up(self) -> bool:
        """Whether the other side does not listen any more, either."""
        return False

    def what_happened(self) -> Any:
        """Return the data of the event that tells of the connection's end."""
        return "the peer closed the connection"


_CODES: dict[int, Code] = {
    errno.EADDRINUSE: Code.TADDRBUSY,
    errno.EADDRNOTAVAIL: Code.TBADADDR,
    errno.EINVAL: Code.TBADADDR,
    errno.ENAMETOOLONG: Code.TBADADDR,
    errno.ENOENT: Code.TBADADDR,
    errno.ENOTDIR: Code.TBADADDR,
    errno.EAGAIN: Code.RESOURCE_NOT_AVAILABLE,
    errno.EACCES: Code.RESOURCE_NOT_AVAILABLE,
    errno.EBUSY: Code.RESOURCE_NOT_AVAILABLE,
    errno.EMFILE: Code.RESOURCE_NOT_AVAILABLE,
    errno.ENFILE: Code.RESOURCE_NOT_AVAILABLE,
    errno.ENOEXEC: Code.RESOURCE_NOT_AVAILABLE,
    errno.ENOMEM: Code.RESOURCE_NOT_AVAILABLE,
    errno.EPERM: Code.RESOURCE_NOT_AVAILABLE,
}
"""What an error of the system is called here; any other means that there is no connection."""


def code_of(error: Exception) -> int:
    """Return the code by which an error is reported."""
    if isinstance(error, MediumError):
        return error.code
    if isinstance(error, OSError) and error.errno is not None:
        return _CODES.get(error.errno, Code.NOT_CONNECTED)
    return Code.NOT_CONNECTED
