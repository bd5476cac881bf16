"""Channels and listeners: what carries calls, and their scripted twin.

A driver knows no actor, no log and no table: it is handed a port and reports through it.
"""

from ._driver import VERSION, Call, Channel, ClientPort, Listener, ServerPort
from ._grpc_channel import GrpcChannel, grpc_channel
from ._grpc_listener import GrpcListener, grpc_listener
from ._twin import Twin, in_process, twin

__all__ = [
    "VERSION",
    "Call",
    "Channel",
    "ClientPort",
    "GrpcChannel",
    "GrpcListener",
    "Listener",
    "ServerPort",
    "Twin",
    "grpc_channel",
    "grpc_listener",
    "in_process",
    "twin",
]
