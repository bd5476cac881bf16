"""How the application hears that a call is complete, and a server that its client has cancelled.

Source: spec/rpc.md section B.1.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from rescind.actors.runtime import CAUSE, CauseSource
from rescind.events import Manner

from ._codes import AsyncEvent, Notification

if TYPE_CHECKING:
    from ._calls import ClientCall, ServerCall

Handle: TypeAlias = "ClientCall | ServerCall"


class Event(Protocol):
    """Something that can be signalled: ``threading.Event``, for instance."""

    def set(self) -> object:
        """Signal it; any thread."""
        ...


class Queue(Protocol):
    """Something that takes messages: ``queue.SimpleQueue``, for instance."""

    def put(self, item: Any, /) -> object:
        """Take one; any thread, at once."""
        ...


class Posted(NamedTuple):
    """What comes out of a completion port: the three values that were preset."""

    bytes: int
    key: Any
    overlapped: Any


class WindowMessage(NamedTuple):
    """What comes out of a window's queue."""

    message: int
    wparam: int
    """Always 0."""
    lparam: Handle
    """The call."""


@dataclass(frozen=True, slots=True)
class NotifyBy:
    """One way to be told; made by ``by_callback`` and its like.

    Attributes:
        type: Which of the documented types it is.
        tell: Tells it of a call and of what happened to that.
    """

    type: Notification
    tell: Callable[[Handle, AsyncEvent], object]


def manner_of(kind: Notification) -> Manner:
    """Return how the log calls a way to be told; a type that queues has posted it."""
    return _MANNERS.get(kind, Manner.POSTED)


_MANNERS = {Notification.CALLBACK: Manner.SCRIPT, Notification.NONE: Manner.TAKEN}

NO_NOTIFICATION = NotifyBy(Notification.NONE, lambda _call, _event: None)
"""Nobody is told: poll ``get_call_status``, wait with ``get``, or ``await`` the call."""


def by_callback(
    routine: Callable[[Handle, Any, AsyncEvent], object], context: Any = None
) -> NotifyBy:
    """Call ``routine(call, context, event)``; it must not block.

    It is called by whoever delivers, one at a time for an endpoint.  What it raises is recorded.
    """
    return NotifyBy(Notification.CALLBACK, lambda call, event: routine(call, context, event))


def by_event(event: Event) -> NotifyBy:
    """Set an event; what happened, it can't tell."""
    return NotifyBy(Notification.EVENT, lambda _call, _event: event.set())


def by_port(port: Queue, bytes_: int = 0, key: Any = None, overlapped: Any = None) -> NotifyBy:
    """Put the three preset values into a queue, as a ``Posted``: an I/O completion port's part."""
    return NotifyBy(
        Notification.IOC, lambda _call, _event: port.put(Posted(bytes_, key, overlapped))
    )


def by_window(window: Queue, message: int) -> NotifyBy:
    """Put a ``WindowMessage`` into a window's queue."""
    return NotifyBy(
        Notification.HWND, lambda call, _event: window.put(WindowMessage(message, 0, call))
    )


def by_apc(
    routine: Callable[[Handle, Any, AsyncEvent], object], thread: threading.Thread | None = None
) -> NotifyBy:
    """Have a thread call ``routine(call, None, event)`` when it waits in ``wait_alertable``.

    Args:
        routine: What it calls.
        thread: Which one; None is the thread that calls ``by_apc``.
    """
    queued = _queue_of(thread or threading.current_thread())

    def tell(call: Handle, event: AsyncEvent) -> None:
        # A fetch that notifies has a cause of its own; the routine's is the call's end.
        cause = call if event is AsyncEvent.CALL_COMPLETE else CAUSE.get()
        queued.put((cause, lambda: routine(call, None, event)))

    return NotifyBy(Notification.APC, tell)


# --- asynchronous procedure calls ----------------------------------------------------------------

_Apcs: TypeAlias = "queue.SimpleQueue[tuple[CauseSource | None, Callable[[], object]]]"
_QUEUES: "WeakKeyDictionary[threading.Thread, _Apcs]" = WeakKeyDictionary()
_QUEUES_LOCK = threading.Lock()


def _queue_of(thread: threading.Thread) -> _Apcs:
    with _QUEUES_LOCK:
        return _QUEUES.setdefault(thread, queue.SimpleQueue())


def wait_alertable(timeout_s: float = 0.0) -> int:
    """Let the calling thread run what is queued to it, waiting so long for the first; how many ran.

    What a routine raises comes out here; the others stay queued.
    """
    queued, count = _queue_of(threading.current_thread()), 0
    while True:
        try:
            cause, routine = queued.get(timeout=0.0 if count else timeout_s)
        except queue.Empty:
            return count
        count += 1
        token = CAUSE.set(cause)
        try:
            routine()
        finally:
            CAUSE.reset(token)
