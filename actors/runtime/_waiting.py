"""Things that a thread can wait for."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

_EVENTS = threading.Lock()


class Waiter(threading.Event):
    """Wakes the threads that wait, and calls whoever else wants to hear of it."""

    def __init__(self) -> None:
        """Begin with nobody to call."""
        super().__init__()
        self.calls: list[Callable[[], None]] = []

    def set(self) -> None:
        """Wake all; functions may be called more than once."""
        super().set()
        for function in list(self.calls):
            function()


class Taken(Protocol):
    """Something that may depend on an actor's turn."""

    @property
    def taker(self) -> int:
        """The actor without whose turns it does not come about; 0 if it may come otherwise."""
        ...


class Waitable(Taken, Protocol):
    """Something that becomes done, once."""

    waiter: Waiter | None
    """Made by the first who waits; nobody pays for it otherwise."""
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
    waiter = waiter_of(waitable)
    if not waitable.is_done and not must_give_up():
        waiter.wait(timeout_s)
    return waitable.is_done


def waiter_of(waitable: Waitable) -> Waiter:
    """Return what is set when ``waitable`` is done; whoever waits looks once more after this."""
    with _EVENTS:
        waiter = waitable.waiter
        if waiter is None:
            waiter = waitable.waiter = Waiter()
        return waiter


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
