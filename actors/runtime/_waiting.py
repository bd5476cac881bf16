"""Things that a thread can wait for."""

import threading
from typing import Protocol

_EVENTS = threading.Lock()


class Waitable(Protocol):
    """Something that becomes done, once."""

    waiter: threading.Event | None
    """Made by the first thread that blocks; nobody pays for it otherwise."""

    @property
    def is_done(self) -> bool:
        """Tell whether waiting is over."""
        ...


def block(waitable: Waitable, timeout_s: float | None) -> bool:
    """Block until ``waitable`` is done; False when ``timeout_s`` passed first.

    The order matters: the waiter is in place before the last look, and whoever finishes sets done
    before it looks for a waiter, so that neither can miss the other.
    """
    with _EVENTS:
        event = waitable.waiter
        if event is None:
            event = waitable.waiter = threading.Event()
    return waitable.is_done or event.wait(timeout_s)


def wake(waitable: Waitable) -> None:
    """Wake every thread that waits; call it after ``is_done`` became true."""
    event = waitable.waiter
    if event is not None:
        event.set()
