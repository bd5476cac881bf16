"""Recovery of the native dialect: its endpoint goes on, with the completions owed to sinks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rescind.actors.kernel._request import COMPLETED
from rescind.actors.runtime._context import place_by
from rescind.actors.runtime._recovery import Owed
from rescind.events import Born, Opened

from ._protocol import Code
from ._request import Cancelling, Request
from ._requests import Requests

if TYPE_CHECKING:
    from rescind.actors.runtime import Runtime

RECOVERED_CODE: int = Code.LOST
"""How a request ends that was outstanding when its process ended."""

ENDPOINT = Requests


class Redelivered(Request):
    """A request of an earlier process, whose completion its sink may have heard of already."""

    __slots__ = ()

    redelivered = True


def revive(runtime: "Runtime", number: int, cls: int, owed: Iterable[Owed]) -> None:
    """Let the requests of a runtime go on under their number, and offer what is owed to sinks."""
    requests = Requests(runtime, number)
    requests.apply_recovered(Born(number, cls, 0), Opened(number, "native", "", ""))
    runtime.residents[Requests] = requests
    for each in owed:
        request = _request(requests, each)
        requests.requests[request.number] = request
        runtime.after_commit(requests.lane.append, request)


def _request(requests: Requests, owed: Owed) -> Request:
    left, completed = owed.left, owed.completed
    kind: Any = Request if left.completed is None else Redelivered
    request: Request = kind(requests, left.number, left.operation, (), owed.asked, None)
    request.status, request.turn = COMPLETED, owed.turn
    _, request.code, request.how, request.by, request.value = completed
    request.route(left.sink)
    if left.cancelled is not None:
        (cancel, _, trigger, _, reason), turn = left.cancelled
        who = trigger if turn.by is None else place_by(turn.by)
        request.cancelling = Cancelling(cancel, None, [], trigger, who, reason)
        request.cancelling.turn = turn.number
    return request
