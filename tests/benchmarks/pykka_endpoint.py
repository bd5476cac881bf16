"""The endpoint and its requests as one would write them with stock Pykka: the same messages."""

from collections.abc import Callable
from typing import Any

import pykka


class Request(pykka.ThreadingActor):
    """One outstanding operation; it completes when it is told to cancel."""

    def __init__(self, endpoint: pykka.ActorRef[Any]) -> None:
        super().__init__()
        self.endpoint = endpoint

    def on_receive(self, message: Any) -> None:
        assert message == "Cancel"
        self.endpoint.tell(("Completed", self.actor_ref, -16005))
        self.stop()


class Endpoint(pykka.ThreadingActor):
    """Owns requests, tells them all to cancel, and calls the script for each completion."""

    def __init__(self, script: Callable[[int], object]) -> None:
        super().__init__()
        self.script = script
        self.requests: dict[str, pykka.ActorRef[Any]] = {}
        self.cancel: pykka.ThreadingFuture[None] | None = None

    def on_receive(self, message: Any) -> Any:
        match message:
            case "Submit":
                request = Request.start(self.actor_ref)
                self.requests[request.actor_urn] = request
            case "Submitted?":
                return len(self.requests)
            case ("Cancel", future):
                self.cancel = future
                for request in self.requests.values():
                    request.tell("Cancel")
            case ("Completed", request, code):
                self._complete(request, code)
            case _:
                raise ValueError(message)
        return None

    def _complete(self, request: pykka.ActorRef[Any], code: int) -> None:
        del self.requests[request.actor_urn]
        self.script(code)
        if self.cancel is not None and not self.requests:
            self.cancel.set(None)
