"""Things that a thread can wait for."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

_EVENTS = threading.Lock()


class Waitable(Protocol):
    """Something that becomes done, once."""

    waiter: threading.Event | None
    """Made by the first thread that blocks; nobody pays for it otherwise."""
    turn: int
    """The turn that made it done."""

    @property
    def is_done(self) -> bool:
        """Tell whether waiting is over."""
        ...

    @property
    def target(self) -> int:
        """The actor or request whose answer this is; 0 if that is unknown."""
        ...

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Return what it is done with: a value or an error."""
        ...


def block(waitable: Waitable, timeout_s: float | None, must_give_up: Callable[[], bool]) -> bool:
    """Block until ``waitable`` is done; False when ``timeout_s`` passed first.

    The order matters: the waiter is in place before the last look, and whoever finishes, or makes
    ``must_give_up`` true, does so before it looks for a waiter, so that neither can miss the other.
    """
    with _EVENTS:
        event = waitable.waiter
        if event is None:
            event = waitable.waiter = threading.Event()
    if not waitable.is_done and not must_give_up():
        event.wait(timeout_s)
    return waitable.is_done


def wake(waitable: Waitable) -> None:
    """Wake every thread that waits; call it after ``is_done`` became true."""
    event = waitable.waiter
    if event is not None:
        event.set()


def wake_all(waitables: list[Waitable]) -> None:
    """Wake every thread that waits for any of these, done or not."""
    with _EVENTS:
        for waitable in waitables:
            wake(waitable)
