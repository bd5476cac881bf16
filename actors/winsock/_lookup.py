"""One lookup, or one blocking call: what the application lends it, and how it ended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rescind.actors.kernel._request import OUTSTANDING, Request

from ._protocol import LookupState

if TYPE_CHECKING:
    from ._api import Window
    from ._entries import Buffer


@dataclass(frozen=True, slots=True)
class Lent:
    """What the application lends a lookup, and where it wants to hear of it."""

    window: "Window | None"
    message: int
    buffer: "Buffer | None"


class Blocking:
    """A blocking call: what it does, and what came of it."""

    __slots__ = ("error", "function", "value")

    def __init__(self, function: Callable[[], Any]) -> None:
        """Be about to begin."""
        self.function = function
        self.value: Any = None
        self.error: BaseException | None = None


class Lookup(Request):
    """One lookup, or one blocking call."""

    __slots__ = ("handle", "is_running")

    handle: int
    """What the application knows it by; 0 for a blocking call."""
    is_running: bool
    """Whether the resolver has it."""

    @property
    def state(self) -> LookupState:
        """Return how far it has come, as long as its message was not taken."""
        if self.status is not OUTSTANDING:
            return LookupState.POSTED
        return LookupState.RUNNING if self.is_running else LookupState.QUEUED


class WithdrawnError(Exception):
    """Carries it out of a turn, which is not recorded then: a cleanup took the message back."""


class Ended(NamedTuple):
    """A lookup that is over: which it was, how it ended, and by which cancel."""

    request: int
    state: LookupState
    by: int
