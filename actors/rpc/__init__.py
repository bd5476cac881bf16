"""Asynchronous RPC: a call on each side, and a cancel of two strengths.

Use it as ``from rescind import rpc``.  The names load on first use, so that the replay tools can
read the tables in ``_protocol``, ``_codes`` and ``_status`` without Pykka, gRPC or any driver.
"""

from typing import TYPE_CHECKING, Any

from rescind.actors._lazy import load

if TYPE_CHECKING:
    from ._api import (
        ASYNC_STATE_SIZE,
        AsyncState,
        Binding,
        Server,
        current_call,
        is_cancelled,
        test_cancel,
        wait_cancelled,
    )
    from ._calls import ClientCall, ServerCall
    from ._codes import AsyncEvent, Code, Notification, Subscription, meaning, name
    from ._errors import Abort, RpcError
    from ._intercept_aio import aio_client_interceptors
    from ._intercept_client import client_interceptors
    from ._intercept_server import aio_server_interceptor, server_interceptor
    from ._notify import (
        NO_NOTIFICATION,
        NotifyBy,
        Posted,
        WindowMessage,
        by_apc,
        by_callback,
        by_event,
        by_port,
        by_window,
        wait_alertable,
    )
    from .drivers import (
        GrpcChannel,
        GrpcListener,
        Twin,
        grpc_channel,
        grpc_listener,
        in_process,
        twin,
    )

_HOMES = {
    "ASYNC_STATE_SIZE": "_api",
    "Abort": "_errors",
    "AsyncEvent": "_codes",
    "AsyncState": "_api",
    "Binding": "_api",
    "ClientCall": "_calls",
    "Code": "_codes",
    "GrpcChannel": "drivers",
    "GrpcListener": "drivers",
    "NO_NOTIFICATION": "_notify",
    "Notification": "_codes",
    "NotifyBy": "_notify",
    "Posted": "_notify",
    "RpcError": "_errors",
    "Server": "_api",
    "ServerCall": "_calls",
    "Subscription": "_codes",
    "Twin": "drivers",
    "WindowMessage": "_notify",
    "aio_client_interceptors": "_intercept_aio",
    "aio_server_interceptor": "_intercept_server",
    "by_apc": "_notify",
    "by_callback": "_notify",
    "by_event": "_notify",
    "by_port": "_notify",
    "by_window": "_notify",
    "client_interceptors": "_intercept_client",
    "current_call": "_api",
    "grpc_channel": "drivers",
    "grpc_listener": "drivers",
    "in_process": "drivers",
    "is_cancelled": "_api",
    "meaning": "_codes",
    "name": "_codes",
    "server_interceptor": "_intercept_server",
    "test_cancel": "_api",
    "twin": "drivers",
    "wait_alertable": "_notify",
    "wait_cancelled": "_api",
}

__all__ = [
    "ASYNC_STATE_SIZE",
    "NO_NOTIFICATION",
    "Abort",
    "AsyncEvent",
    "AsyncState",
    "Binding",
    "ClientCall",
    "Code",
    "GrpcChannel",
    "GrpcListener",
    "Notification",
    "NotifyBy",
    "Posted",
    "RpcError",
    "Server",
    "ServerCall",
    "Subscription",
    "Twin",
    "WindowMessage",
    "aio_client_interceptors",
    "aio_server_interceptor",
    "by_apc",
    "by_callback",
    "by_event",
    "by_port",
    "by_window",
    "client_interceptors",
    "current_call",
    "grpc_channel",
    "grpc_listener",
    "in_process",
    "is_cancelled",
    "meaning",
    "name",
    "server_interceptor",
    "test_cancel",
    "twin",
    "wait_alertable",
    "wait_cancelled",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the file that it lives in."""
    return load(globals(), _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
