"""Channels and listeners: what carries calls, and their scripted twin.

A driver knows no actor, no log and no table: it is handed a port and reports through it.
"""

from ._driver import Call, Channel, ClientPort, Listener, ServerPort

__all__ = ["Call", "Channel", "ClientPort", "Listener", "ServerPort"]
