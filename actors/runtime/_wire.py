"""Messages of the application and of Pykka, and what the mailbox takes in their place."""

from typing import Any

from pykka.messages import (
    ProxyCall,
    ProxyGetAttr,
    ProxySetAttr,
    _ActorStop,  # pyright: ignore[reportPrivateUsage]
)

from rescind.events import Ask, Proxy, Stop, Tell

_PYKKAS_OWN = {_ActorStop, ProxyCall, ProxyGetAttr, ProxySetAttr}


def to_wire(message: Any, *, is_asked: bool) -> tuple[Any, ...]:
    """Return what the mailbox takes for a message of the application."""
    if type(message) not in _PYKKAS_OWN:
        return Ask(message) if is_asked else Tell(message)
    match message:
        case ProxyCall(path, args, kwargs):
            return Proxy("call", list(path), list(args), dict(kwargs), is_asked)
        case ProxyGetAttr(path):
            return Proxy("get", list(path), [], {}, is_asked)
        case ProxySetAttr(path, value):
            return Proxy("set", list(path), [value], {}, is_asked)
        case _:
            return Stop(urgent=False)


def from_wire(message: Proxy) -> Any:
    """Return Pykka's own message for a proxy's."""
    path = tuple(message.path)
    match message.verb:
        case "call":
            return ProxyCall(path, tuple(message.args), message.kwargs)
        case "get":
            return ProxyGetAttr(path)
        case _:
            return ProxySetAttr(path, message.args[0])
