"""The lowest floor: actors, turns, time, and the threads that run them.

Knows nothing of endpoints or dialects.  May import ``rescind.events`` and Pykka.
"""

from ._actor import Actor, ActorRef, Terminated, class_name, describe
from ._clock import Clock, MachineClock, VirtualClock
from ._context import CAUSE, WireCause, calling_frame, place_of
from ._errors import (
    Abandon,
    DeadlockError,
    InternalError,
    RuntimeClosedError,
    StalledError,
    UsageError,
)
from ._outbox import Envelope, Outbox
from ._part import Part
from ._reply import Reply
from ._runtime import Runtime
from ._stepped import Stepped
from ._thread import ThreadDispatcher
from ._timers import Timer, Timers
from ._waiting import Waitable

__all__ = [
    "CAUSE",
    "Abandon",
    "Actor",
    "ActorRef",
    "Clock",
    "DeadlockError",
    "Envelope",
    "InternalError",
    "MachineClock",
    "Outbox",
    "Part",
    "Reply",
    "Runtime",
    "RuntimeClosedError",
    "StalledError",
    "Stepped",
    "Terminated",
    "ThreadDispatcher",
    "Timer",
    "Timers",
    "UsageError",
    "VirtualClock",
    "Waitable",
    "WireCause",
    "calling_frame",
    "class_name",
    "describe",
    "place_of",
]
