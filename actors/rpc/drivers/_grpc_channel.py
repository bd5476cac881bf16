"""The client's end of gRPC: every call is a unary call of its own on one connection.

gRPC's blocking Python API, by its futures: a call begins in the thread that asks for it and ends
in gRPC's own, so that no loop and no thread of ours stands between.  Measured beside ``grpc.aio``
in a thread it costs the client a quarter less.
"""

import threading
from functools import partial
from typing import Any

from rescind.actors.rpc._codes import Code

from ._driver import Call, ClientPort
from ._grpc_options import MESSAGE_MAX, client_options, load
from ._grpc_wire import (
    CANCEL,
    DEADLINE_SLACK_S,
    Cancel,
    Place,
    WireError,
    call_metadata,
    cancel_message,
    code_of,
    greeting,
    path_of,
    read_cause,
    refuse_plain_text,
)

CONTROL_S = 5.0
"""So long a cancel may take to reach the server."""


class GrpcChannel:
    """One connection to a server, made with the first call and made again when it is lost."""

    def __init__(
        self,
        target: str,
        *,
        credentials: Any,
        token: str | None,
        options: list[tuple[str, Any]],
        noncausal: bool,
        message_max: int,
    ) -> None:
        """Choose; see ``grpc_channel``."""
        self.target = target
        self.message_max = message_max
        self._credentials = credentials
        self._token = token
        self._options = options
        self._is_noncausal = noncausal
        self._channel: Any = None
        self._procedures: dict[str, Any] = {}
        self._calls: dict[int, Any] = {}
        self._controls: set[int] = set()
        """Calls of which a cancel is on its way."""
        self._place = Place(0, 0)
        self._log_id = b""
        self._is_closed = False

    @property
    def label(self) -> str:
        """Name the server: ``grpc 127.0.0.1:50051``."""
        return f"grpc {self.target}"

    def open(self, port: ClientPort) -> None:
        """Serve the binding behind ``port``; the first call connects."""
        self._port = port
        grpc = load()
        self._ok = grpc.StatusCode.OK
        if self._credentials is None:
            self._channel = grpc.insecure_channel(self.target, self._options)
        else:
            self._channel = grpc.secure_channel(self.target, self._credentials, self._options)
        self._control = self._channel.unary_unary(CANCEL)

    def begin(self, call: Call) -> None:
        """Send a call; what can't be sent is answered."""
        if self._is_closed:
            return
        place = self._next_place(call)
        try:
            metadata = call_metadata(call, place, self._token)
            sent = self._procedure(call.procedure).future(
                call.payload,
                timeout=None if call.deadline_s is None else call.deadline_s + DEADLINE_SLACK_S,
                metadata=metadata,
            )
        except WireError as error:
            self._port.answer(call.request, error.code, str(error))
            return
        except Exception as error:  # noqa: BLE001  # grpc raises ValueError, and its own
            text = f"{type(error).__name__}: {error}"
            self._port.answer(call.request, Code.SERVER_UNAVAILABLE, text)
            return
        self._place = place
        self._log_id = call.log_id
        self._calls[call.request] = sent
        sent.add_done_callback(partial(self._done, call.request))

    def _next_place(self, call: Call) -> Place:
        if self._is_noncausal:
            return Place(call.request, 0)
        series, number = self._place
        return Place(series or call.request, number + 1)

    def _procedure(self, name: str) -> Any:
        known = self._procedures.get(name)
        if known is None:
            known = self._procedures[name] = self._channel.unary_unary(path_of(name))
        return known

    def _done(self, request: int, sent: Any) -> None:
        """Report how a call ended.  A thread of gRPC's."""
        self._calls.pop(request, None)
        if self._is_closed or sent.cancelled():
            return
        status, metadata = sent.code(), sent.trailing_metadata() or ()
        cause = read_cause(metadata)
        if status is self._ok:
            self._port.answer(request, None, sent.result(), cause, carries=True)
        else:
            details = sent.details() or ""
            code = code_of(status.name, details, metadata)
            self._port.answer(request, code, details, cause, carries=True)
        self._port.carry()  # gRPC's thread is here already; another would have to be woken

    def cancel(self, request: int, turn: int, *, abort: bool) -> None:
        """Tell the server; an abortive cancel takes the call away once the server has heard.

        Not before: what ends a call on the wire may overtake what says why.
        """
        if self._is_closed:
            return
        message = cancel_message(Cancel(self._log_id, request, turn, abort))
        self._controls.add(turn)
        said = self._control.future(message, timeout=CONTROL_S, metadata=greeting(self._token))
        said.add_done_callback(partial(self._heard, request, turn, abort))

    def _heard(self, request: int, turn: int, abort: bool, _: Any) -> None:  # noqa: FBT001
        """Go on after a cancel.  A thread of gRPC's."""
        sent = self._calls.get(request)
        if abort and sent is not None:
            sent.cancel()
        self._controls.discard(turn)
        if self._is_closed and not self._controls:
            # This thread may be the one that the channel waits for when it closes.
            threading.Thread(
                target=self._channel.close, name="rescind-close-grpc", daemon=True
            ).start()

    def close(self) -> None:
        """Give up every call in progress; a cancel that is on its way still leaves."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._channel is not None and not self._controls:
            self._channel.close()


def grpc_channel(  # noqa: PLR0913  # the settings of a connection, by name
    target: str,
    *,
    credentials: Any = None,
    token: str | None = None,
    plain_text: bool = False,
    noncausal: bool = False,
    keepalive_s: float = 30.0,
    message_max: int = MESSAGE_MAX,
) -> GrpcChannel:
    """Return a channel to a server over gRPC; it needs the extra ``rpc``.

    Args:
        target: Where the server is, ``127.0.0.1:50051``, ``[::1]:50051``, ``unix:path`` or any
            other name that gRPC knows.
        credentials: What ``grpc.ssl_channel_credentials`` returns; None is plain text.
        token: The password that the server asks for.
        plain_text: Plain text to another machine is meant.
        noncausal: Calls may be dispatched in another order than they were made
            (RPC_C_OPT_BINDING_NONCAUSAL).
        keepalive_s: After so long without a sign of life the connection is tested, and given up
            when a third of that passes without an answer.
        message_max: So many bytes may a call or a reply have.

    Raises:
        ValueError: A setting makes no sense, or ``target`` is on another machine, there are no
            credentials, and plain text was not asked for.
    """
    refuse_plain_text(target, is_safe=plain_text or credentials is not None)
    return GrpcChannel(
        target,
        credentials=credentials,
        token=token,
        options=client_options(target, keepalive_s, message_max),
        noncausal=noncausal,
        message_max=message_max,
    )
