"""A call: groups requests of one endpoint, so that they can be dropped together."""

from typing import TYPE_CHECKING, Any

from rescind.actors.runtime import Actor, Outbox
from rescind.events import Closed, Drop, Entry

if TYPE_CHECKING:
    from ._endpoint import Endpoint
    from ._request import Request


class Call(Actor):
    """One call of an endpoint; part of the endpoint's unit of consistency."""

    __slots__ = ("changed", "endpoint", "opened", "requests", "state")

    RUNS_HANDLERS = False

    def __init__(self, endpoint: "Endpoint", number: int, turn: int) -> None:
        """Be open and hold nothing; made when its CallOpened of ``turn`` is applied."""
        self.endpoint = self.unit = endpoint
        self.runtime = endpoint.runtime
        self.number = number
        self._actor_ref = None
        self.state = 0
        self.opened = turn
        self.changed = turn
        """The turn that changed its state last."""
        self.requests: dict[int, Request] = {}
        """Its requests that have not completed, in the order of submission."""

    def receive(self, message: tuple[Any, ...], out: Outbox) -> Any:
        """Take one message: a Drop gives up every request of the call, then the call."""
        if isinstance(message, Drop):
            out.broadcast.append((list(self.requests.values()), message))
            out.events.append(Closed(self.number, message.reason))
            return None
        return super().receive(message, out)

    def entry(self) -> Entry:
        """Tell what it is and how it stands, for a keyframe."""
        state = {
            "kind": "call",
            "endpoint": self.endpoint.number,
            "state": self.state,
            "opened": self.opened,
            "changed": self.changed,
        }
        return Entry(self.number, 0, state)
