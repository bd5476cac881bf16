"""The Newton endpoint interface: asynchronous requests, one cancel for all of them, two codes.

Use it as ``from rescind import newton``.  The names load on first use, so that the replay tools can
read the tables in ``_protocol`` and ``_codes`` without Pykka or any driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._api import Endpoint
    from ._codes import CANCELLED_CODES, Code, is_cancelled, meaning
    from ._errors import CommError
    from ._protocol import State
    from ._specs import CallbackSpec, InputSpec, Termination, Terminator
    from .drivers import TcpTool, TwinTool, tcp, twin

_HOMES = {
    "CANCELLED_CODES": "_codes",
    "CallbackSpec": "_specs",
    "Code": "_codes",
    "CommError": "_errors",
    "Endpoint": "_api",
    "InputSpec": "_specs",
    "State": "_protocol",
    "TcpTool": "drivers",
    "Termination": "_specs",
    "Terminator": "_specs",
    "TwinTool": "drivers",
    "is_cancelled": "_codes",
    "meaning": "_codes",
    "tcp": "drivers",
    "twin": "drivers",
}

__all__ = [
    "CANCELLED_CODES",
    "CallbackSpec",
    "Code",
    "CommError",
    "Endpoint",
    "InputSpec",
    "State",
    "TcpTool",
    "Termination",
    "Terminator",
    "TwinTool",
    "is_cancelled",
    "meaning",
    "tcp",
    "twin",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the file that it lives in."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
