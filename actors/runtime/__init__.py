"""The lowest floor: actors, turns, time, and the threads that run them.

Knows nothing of endpoints or dialects.  May import ``rescind.events`` and Pykka.
"""

from ._actor import Actor, ActorRef, class_name, describe
from ._clock import Clock, MachineClock, VirtualClock
from ._context import CAUSE, WireCause
from ._errors import (
    DeadlockError,
    InternalError,
    RuntimeClosedError,
    StalledError,
    UsageError,
)
from ._outbox import Outbox
from ._reply import Reply
from ._runtime import Runtime
from ._stepped import Stepped
from ._thread import ThreadDispatcher
from ._timers import Timer, Timers

__all__ = [
    "CAUSE",
    "Actor",
    "ActorRef",
    "Clock",
    "DeadlockError",
    "InternalError",
    "MachineClock",
    "Outbox",
    "Reply",
    "Runtime",
    "RuntimeClosedError",
    "StalledError",
    "Stepped",
    "ThreadDispatcher",
    "Timer",
    "Timers",
    "UsageError",
    "VirtualClock",
    "WireCause",
    "class_name",
    "describe",
]
