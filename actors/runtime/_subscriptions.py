"""Who wants to hear of messages that were lost: dropped, refused, or sent to the dead."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from rescind.events import Notice, Origin

from ._bounds import LOSSES, Loss
from ._context import CAUSE, TurnCause
from ._errors import UsageError
from ._outbox import Envelope
from ._ref import ActorRef

if TYPE_CHECKING:
    from ._exits import Exits

logger = logging.getLogger("rescind.runtime")

Listener: TypeAlias = Callable[[Any], object] | ActorRef[Any]


class Subscription:
    """A listener, until it is ended; as a context manager it ends with the block."""

    def __init__(
        self, subscriptions: "Subscriptions", listener: Listener, kinds: frozenset[type]
    ) -> None:
        """Be made by ``Runtime.subscribe``."""
        self._subscriptions = subscriptions
        self.listener = listener
        self.kinds = kinds

    def end(self) -> None:
        """Let the listener hear of nothing that happens from here on; any thread."""
        self._subscriptions.remove(self)

    def __enter__(self) -> Self:
        """Go on."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self.end()


class Subscriptions:
    """All subscriptions of a runtime, and the way to listeners outside: a lane like any other."""

    def __init__(self, engine: "Exits", backlog: deque[Envelope]) -> None:
        """Begin with none."""
        self._engine = engine
        self._backlog = backlog
        self._lock = threading.Lock()
        self._all: tuple[Subscription, ...] = ()
        self._queue: deque[tuple[Subscription, Loss, int]] = deque()

    def add(self, listener: Listener, kinds: tuple[type, ...]) -> Subscription:
        """Let a listener hear of events; any thread.

        Raises:
            UsageError: something is no event that can be subscribed to, or nothing is named.
        """
        if not kinds or not set(kinds) <= set(LOSSES):
            known = ", ".join(kind.__name__ for kind in LOSSES)
            raise UsageError(f"what can be subscribed to is {known}; name at least one")
        made = Subscription(self, listener, frozenset(kinds))
        with self._lock:
            self._all = (*self._all, made)
        return made

    def remove(self, subscription: Subscription) -> None:
        """End a subscription; it may have ended already."""
        with self._lock:
            self._all = tuple(each for each in self._all if each is not subscription)

    def offer(self, event: Loss, number: int) -> None:
        """Hear that turn ``number`` has recorded an event; the baton is held."""
        self._engine.seen[type(event)] += getattr(event, "messages", 1)
        for each in self._all:
            if type(event) not in each.kinds:
                continue
            listener = each.listener
            if not isinstance(listener, ActorRef):
                self._engine.after_commit(self._append, each, event, number)
            elif listener.is_alive():
                message = Notice(type(event).__name__, tuple(event))
                self._backlog.append(Envelope(listener, message, Origin.APP, number))
            else:
                self.remove(each)

    # --- a lane of deliveries --------------------------------------------------------------------

    def _append(self, subscription: Subscription, event: Loss, number: int) -> None:
        """Queue what is durable; committers call it."""
        self._queue.append((subscription, event, number))
        if len(self._queue) == 1:
            self._engine.offer(self)

    def deliver(self, *, scripts: bool) -> bool:
        """Call a listener; tell whether there is more to tell."""
        if scripts and self._queue:
            subscription, event, number = self._queue.popleft()
            if subscription in self._all:
                self._call(subscription.listener, event, number)
        return bool(self._queue)

    def _call(self, listener: Any, event: Loss, number: int) -> None:
        cause = TurnCause(self._engine.as_runtime)
        cause.number = number
        token = CAUSE.set(cause)
        try:
            listener(event)
        except Exception:
            logger.exception("the listener %r raised for %s", listener, event)
        finally:
            CAUSE.reset(token)

    def cut(self) -> None:
        """Do nothing: what a listener is told has its record already."""
