"""The native dialect: requests to the application's own actors, and work that can be cancelled.

The names load on first use, so that the replay tools can read the tables without Pykka.
"""

from typing import TYPE_CHECKING, Any

from rescind.actors._lazy import load

if TYPE_CHECKING:
    from ._actor import Actor, ActorRef
    from ._errors import Cancelled, RequestFailed, RequestRefused, TimedOut, WorkCancelled
    from ._request import Request
    from ._stepped import SteppedRuntime
    from ._work import Token, Twin, current_token

_HOMES = {
    "Actor": "_actor",
    "ActorRef": "_actor",
    "Cancelled": "_errors",
    "Request": "_request",
    "RequestFailed": "_errors",
    "RequestRefused": "_errors",
    "SteppedRuntime": "_stepped",
    "TimedOut": "_errors",
    "WorkCancelled": "_errors",
    "Token": "_work",
    "Twin": "_work",
    "current_token": "_work",
}

__all__ = [
    "Actor",
    "ActorRef",
    "Cancelled",
    "Request",
    "RequestFailed",
    "RequestRefused",
    "SteppedRuntime",
    "TimedOut",
    "Token",
    "Twin",
    "WorkCancelled",
    "current_token",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the file that it lives in."""
    return load(globals(), _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
