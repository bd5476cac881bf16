"""How a communications tool reaches its endpoint: every report becomes a message."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rescind.events import Answer, Killed, Origin, Received, ToolEvent

if TYPE_CHECKING:
    from ._actors import NewtonEndpoint


class EndpointPort:
    """The tool's side of an endpoint; any thread, never blocks."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: "NewtonEndpoint") -> None:
        """Stand before ``endpoint``."""
        self._endpoint = endpoint

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a request's result; 0 is work that nobody waits for."""
        if request:
            self._post(request, Answer(request, code, value))

    def received(self, request: int, data: Any, terminator: Any) -> None:
        """Hand over a complete piece of input."""
        self._post(request, Received(request, data, terminator))

    def arrived(self, request: int) -> None:
        """Start the inactivity time-out anew (3.3)."""
        endpoint = self._endpoint
        with endpoint.runtime.baton:
            armed = endpoint.requests.get(request)
            if armed is not None and armed.timeout_ns is not None:
                endpoint.arm(armed, armed.timeout_ns)

    def killed(self, cancel: int, code: int | None, taken: Mapping[int, int]) -> None:
        """Say that the work stopped that ``cancel`` was to stop."""
        endpoint = self._endpoint
        message = Killed(cancel, code, dict(taken))
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
