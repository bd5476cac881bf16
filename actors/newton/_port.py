"""How a communications tool reaches its endpoint: every report becomes a message."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rescind.events import Answer, Killed, Origin, Received, ToolEvent

from ._forms import is_bytes_like

if TYPE_CHECKING:
    from ._receiving import ReceivingEndpoint


class EndpointPort:
    """The tool's side of an endpoint; any thread, never blocks."""

    __slots__ = ("_endpoint", "encoding")

    def __init__(self, endpoint: "ReceivingEndpoint") -> None:
        """Stand before ``endpoint``."""
        self._endpoint = endpoint
        self.encoding = endpoint.encoding

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a request's result; 0 is work that nobody waits for."""
        if request:
            self._post(request, Answer(request, code, value))

    def received(self, request: int, data: Any, terminator: Any, options: Any = None) -> None:
        """Hand over a complete piece of input."""
        if is_bytes_like(data):
            data = bytes(data)  # of the application's own buffer, which it may change at any time
        self._post(request, Received(request, data, terminator, options))

    def arrived(self, request: int) -> None:
        """Start the inactivity time-out anew, and have partial input looked at (3.3)."""
        endpoint = self._endpoint
        # Without the baton first: it would be taken for every buffer that comes in.
        posted = endpoint.requests.get(request)
        if posted is None or not endpoint.watches_arrivals(posted):
            return
        with endpoint.runtime.baton:
            if request in endpoint.requests:
                if posted.timeout_ns is not None and endpoint.restarts_time_out(posted):
                    endpoint.arm(posted, posted.timeout_ns)
                endpoint.note_arrival(posted)

    def killed(
        self,
        cancel: int,
        code: int | None,
        taken: Mapping[int, int],
        spared: Sequence[int] = (),
    ) -> None:
        """Say that the work stopped that ``cancel`` was to stop, but for what is spared (5.10)."""
        endpoint = self._endpoint
        if spared and not endpoint.profile.spares_what_runs_on:
            code, spared = None, ()  # in the guide nothing outlives a cancel
        message = Killed(cancel, code, dict(taken), tuple(spared))
        endpoint.runtime.post(endpoint, message, Origin.IO, self._cause_of_cancel(cancel))

    def event(self, code: int, data: Any) -> None:
        """Report what nobody asked for."""
        endpoint = self._endpoint
        endpoint.runtime.post(endpoint, ToolEvent(code, data), Origin.IO, 0)

    def _post(self, request: int, message: Any) -> None:
        endpoint = self._endpoint
        target = endpoint.requests.get(request)
        if target is None:
            endpoint.runtime.post(endpoint, message, Origin.IO, 0)
        else:
            endpoint.runtime.post(target, message, Origin.IO, target.turn)

    def _cause_of_cancel(self, cancel: int) -> int:
        window = self._endpoint.windows.get(cancel)
        return 0 if window is None else window.turn
