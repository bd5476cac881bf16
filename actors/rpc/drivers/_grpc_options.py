"""gRPC itself, loaded when it is needed, and how both sides set it up."""

from importlib import import_module
from typing import Any

from ._grpc_wire import is_local

MESSAGE_MAX = 4 * 1024 * 1024
"""gRPC's own bound for what it receives."""
RECONNECT_MS = (100, 5_000)
"""How long after a failure to connect the next attempt may wait, at first and at most."""

Options = list[tuple[str, Any]]


def load() -> Any:
    """Return gRPC.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module("grpc")
    except ImportError as error:
        raise ImportError("gRPC is missing; install rescind[rpc]") from error


def load_aio() -> Any:
    """Return gRPC for asyncio; it raises as ``load`` does."""
    load()
    return import_module("grpc.aio")


def client_options(target: str, keepalive_s: float, message_max: int) -> Options:
    """Return what a channel asks of gRPC."""
    least_ms, most_ms = RECONNECT_MS
    return [
        *_common(keepalive_s, message_max),
        # A binding has a connection of its own: what becomes of another's is no business of it.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.min_reconnect_backoff_ms", least_ms),
        ("grpc.initial_reconnect_backoff_ms", least_ms),
        ("grpc.max_reconnect_backoff_ms", most_ms),
        ("grpc.enable_http_proxy", int(not is_local(target))),
        # A call is sent once: whether to try again, the application decides.
        ("grpc.enable_retries", 0),
    ]


def server_options(keepalive_s: float, message_max: int, calls_max: int) -> Options:
    """Return what a listener asks of gRPC."""
    if calls_max < 1:
        raise ValueError("at least one call must be allowed, so calls_max must be above zero")
    return [
        *_common(keepalive_s, message_max),
        # Or a second server on the port would quietly take a part of the calls.
        ("grpc.so_reuseport", 0),
        # gRPC cuts off, by chance, what arrives faster than it is looked at; our bound has a code.
        ("grpc.server.max_pending_requests", 2 * calls_max),
        ("grpc.server.max_pending_requests_hard_limit", 4 * calls_max),
        # A client may test the connection as often as ours does by default, and idle ones, too.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]


def _common(keepalive_s: float, message_max: int) -> Options:
    if keepalive_s <= 0 or message_max <= 0:
        raise ValueError("keepalive and the length of a message must be above zero")
    return [
        ("grpc.max_receive_message_length", message_max),
        ("grpc.max_send_message_length", message_max),
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive_s * 1000 / 3)),
        ("grpc.http2.max_pings_without_data", 0),
    ]
