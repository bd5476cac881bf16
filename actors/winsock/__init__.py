"""Asynchronous Winsock lookups: one handle, one message, and a cancel that is answered by silence.

Use it as ``from rescind import winsock``.  The names load on first use, so that the replay tools
can read the tables in ``_protocol`` and ``_codes`` without Pykka or any driver.
"""

from typing import TYPE_CHECKING, Any

from rescind.actors._lazy import load

if TYPE_CHECKING:
    from ._api import Application, Message, Window
    from ._codes import Code, is_cancelled, is_too_late, meaning, name
    from ._entries import MAXGETHOSTSTRUCT, Buffer, HostEntry, ProtocolEntry, ServiceEntry
    from ._errors import WinsockError
    from .drivers import DnsResolver, TwinResolver, dns, twin

_HOMES = {
    "MAXGETHOSTSTRUCT": "_entries",
    "Application": "_api",
    "Buffer": "_entries",
    "Code": "_codes",
    "DnsResolver": "drivers",
    "HostEntry": "_entries",
    "Message": "_api",
    "ProtocolEntry": "_entries",
    "ServiceEntry": "_entries",
    "TwinResolver": "drivers",
    "Window": "_api",
    "WinsockError": "_errors",
    "dns": "drivers",
    "is_cancelled": "_codes",
    "is_too_late": "_codes",
    "meaning": "_codes",
    "name": "_codes",
    "twin": "drivers",
}

__all__ = [
    "MAXGETHOSTSTRUCT",
    "Application",
    "Buffer",
    "Code",
    "DnsResolver",
    "HostEntry",
    "Message",
    "ProtocolEntry",
    "ServiceEntry",
    "TwinResolver",
    "Window",
    "WinsockError",
    "dns",
    "is_cancelled",
    "is_too_late",
    "meaning",
    "name",
    "twin",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the file that it lives in."""
    return load(globals(), _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
