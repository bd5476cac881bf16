"""How drivers reach their endpoints: every report becomes a message; any thread, never blocks."""

import itertools
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from rescind.actors.runtime import Runtime, WireCause
from rescind.events import Answer, Origin, Submit, ToolEvent

from ._calls import Arrived
from ._codes import AsyncEvent, Code
from ._values import MalformedError, unpacked, unpacked_arguments
from .drivers import Call

if TYPE_CHECKING:
    from ._client import Client
    from ._serving import Serving

LATE_MAX = 10_000
"""So many calls that are over are remembered, so that what is said of them late can be placed."""


def cause_in(runtime: Runtime, cause: tuple[bytes, int]) -> WireCause:
    """Return a turn of any log as this one writes it down."""
    return cause[1] if cause[0] == runtime.log_id else cause


class ChannelPort:
    """The channel's side of a client."""

    __slots__ = ("_client",)

    def __init__(self, client: "Client") -> None:
        """Stand before ``client``."""
        self._client = client

    def answer(
        self,
        request: int,
        code: int | None,
        payload: bytes | str | None,
        cause: tuple[bytes, int] | None = None,
        *,
        carries: bool = False,
    ) -> None:
        """Report a call's end."""
        value: Any = payload
        if isinstance(payload, bytes):
            try:
                value = unpacked(payload)
            except MalformedError as error:
                code, value = Code.PROTOCOL_ERROR, f"the reply is malformed: {error}"
        client = self._client
        call = client.requests.get(request)
        because = 0 if call is None else call.turn
        bring = client.runtime.report if carries else client.runtime.post
        bring(
            call or client,
            Answer(request, code or None, value),
            Origin.IO,
            because if cause is None else cause_in(client.runtime, cause),
        )

    def carry(self) -> None:
        """Do what was reported, as far as it does not block."""
        self._client.runtime.dispatcher.help()


class ListenerPort:
    """The listener's side of a server.

    The log knows a call that arrives by a number; here stands which key of the listener's that is.
    """

    __slots__ = ("_arrivals", "_handles", "_keys", "_lock", "_over", "_serving")

    def __init__(self, serving: "Serving") -> None:
        """Stand before ``serving``."""
        self._serving = serving
        self._lock = threading.Lock()
        self._handles = itertools.count(1)
        self._keys: dict[int, Any] = {}
        """Calls that are not over, by handle."""
        self._arrivals: dict[Any, int] = {}
        """Their handles, by key."""
        self._over: OrderedDict[Any, int] = OrderedDict()
        """The handles of calls that are over, by key; the oldest first."""

    def called(self, key: Any, call: Call, *, carries: bool = False) -> None:
        """Report a call that came in."""
        serving = self._serving
        try:
            arguments: list[Any] | None = unpacked_arguments(call.payload)
        except MalformedError:
            arguments = None
        with self._lock:
            handle = next(self._handles)
            self._keys[handle] = key
            self._arrivals[key] = handle
        serving.arrivals[handle] = Arrived(call.metadata)
        client = (call.log_id, call.request)
        said = (call.procedure, arguments, handle, client, call.version)
        cause = cause_in(serving.runtime, (call.log_id, call.turn))
        message = Submit("Serve", said, True, None)  # noqa: FBT003  # a field's value
        bring = serving.runtime.report if carries else serving.runtime.post
        bring(serving, message, Origin.IO, cause)

    def carry(self) -> None:
        """Do what was reported, as far as it does not block."""
        self._serving.runtime.dispatcher.help()

    def cancelled(self, key: Any, *, abort: bool, cause: tuple[bytes, int] | None) -> None:
        """Report that the client asks to stop."""
        self._say(key, AsyncEvent.CLIENT_CANCEL, cause, abort)

    def disconnected(self, key: Any) -> None:
        """Report that the client is gone."""
        self._say(key, AsyncEvent.CLIENT_DISCONNECT, None)

    def _say(
        self, key: Any, event: AsyncEvent, cause: tuple[bytes, int] | None, *more: bool
    ) -> None:
        with self._lock:
            handle = self._arrivals.get(key) or self._over.get(key)
        if handle is None:
            return  # it was over so long ago that it was forgotten
        serving = self._serving
        because = 0 if cause is None else cause_in(serving.runtime, cause)
        said = ToolEvent(event, (handle, *more))
        serving.runtime.post(serving, said, Origin.IO, because)

    def let_go(self, handle: int) -> Any:
        """Return the key of a call that is over, once; None when a log is executed again."""
        with self._lock:
            key = self._keys.pop(handle, None)
            if key is None:
                return None
            del self._arrivals[key]
            self._over[key] = handle
            if len(self._over) > LATE_MAX:
                self._over.popitem(last=False)
        return key
