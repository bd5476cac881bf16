"""Actors decide, events record, replay explains.

The package's face: the names most programs need.  Nothing is loaded before it is asked for, so
that reading a log costs neither Pykka nor any driver.  The rooms behind it are `rescind.events`
(what happened), `rescind.actors` (who acts) and `rescind.replay` (what it meant).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rescind.actors import newton, rpc, winsock
    from rescind.actors.native import Actor, Cancelled, Request, current_token
    from rescind.actors.runtime import Asyncio, Pinned, Runtime, Stepped, Supervision
    from rescind.events import Decision, RescindError, event, message, read

__all__ = [
    "Actor",
    "Asyncio",
    "Cancelled",
    "Decision",
    "Pinned",
    "Request",
    "RescindError",
    "Runtime",
    "Stepped",
    "Supervision",
    "current_token",
    "event",
    "message",
    "newton",
    "read",
    "rpc",
    "winsock",
]

_HOMES = {
    "Actor": "rescind.actors.native",
    "Asyncio": "rescind.actors.runtime",
    "Cancelled": "rescind.actors.native",
    "Decision": "rescind.events",
    "Pinned": "rescind.actors.runtime",
    "Request": "rescind.actors.native",
    "RescindError": "rescind.events",
    "Runtime": "rescind.actors.runtime",
    "Stepped": "rescind.actors.runtime",
    "Supervision": "rescind.actors.runtime",
    "current_token": "rescind.actors.native",
    "event": "rescind.events",
    "message": "rescind.events",
    "newton": "rescind.actors.newton",
    "rpc": "rescind.actors.rpc",
    "winsock": "rescind.actors.winsock",
    "read": "rescind.events",
}


def __getattr__(name: str) -> Any:  # what it is, the imports above say
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES[name])
    found = home if home.__name__.endswith(f".{name}") else getattr(home, name)
    globals()[name] = found  # so that the next look-up does not come here
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
