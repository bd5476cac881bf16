"""The lowest floor: actors, turns, time, and the threads that run them.

Knows nothing of endpoints or dialects.  May import ``rescind.events`` and Pykka.
"""

from ._actor import Actor, class_name, describe
from ._asyncio import Asyncio
from ._awaiting import on_loop
from ._bounds import Mailbox
from ._clock import Clock, MachineClock, VirtualClock
from ._context import CAUSE, CauseSource, TurnCause, WireCause, calling_frame, place_of
from ._contracts import Dispatcher
from ._errors import (
    Abandon,
    CloseTimeoutError,
    DeadlockError,
    InternalError,
    MailboxFullError,
    RecoveryError,
    RuntimeClosedError,
    StalledError,
    UsageError,
)
from ._observer import Observer
from ._outbox import Envelope, Outbox
from ._part import Part
from ._pinned import Pinned
from ._ref import ActorRef, Terminated
from ._reply import Reply
from ._runtime import Runtime
from ._statistics import Statistics
from ._stepped import Stepped
from ._subscriptions import Subscription
from ._supervision import Supervision
from ._thread import ThreadDispatcher
from ._timers import Timer, Timers
from ._waiting import Waitable, Waiter

__all__ = [
    "CAUSE",
    "Abandon",
    "Actor",
    "ActorRef",
    "Asyncio",
    "CauseSource",
    "Clock",
    "CloseTimeoutError",
    "DeadlockError",
    "Dispatcher",
    "Envelope",
    "InternalError",
    "MachineClock",
    "Mailbox",
    "MailboxFullError",
    "Observer",
    "Outbox",
    "Part",
    "Pinned",
    "RecoveryError",
    "Reply",
    "Runtime",
    "RuntimeClosedError",
    "StalledError",
    "Statistics",
    "Stepped",
    "Subscription",
    "Supervision",
    "Terminated",
    "ThreadDispatcher",
    "Timer",
    "Timers",
    "TurnCause",
    "UsageError",
    "VirtualClock",
    "Waitable",
    "Waiter",
    "WireCause",
    "calling_frame",
    "class_name",
    "describe",
    "on_loop",
    "place_of",
]
