"""The Newton endpoint interface: asynchronous requests, one cancel for all of them, two codes.

Use it as ``from rescind import newton``.  The names load on first use, so that the replay tools can
read the tables in ``_protocol`` and ``_codes`` without Pykka or any driver.
"""

from typing import TYPE_CHECKING, Any

from rescind.actors._lazy import load

if TYPE_CHECKING:
    from ._api import Endpoint
    from ._async import AsyncEndpoint
    from ._codes import CANCELLED_CODES, Code, is_cancelled, meaning
    from ._constants import EventCode, OpCode, SendFlag
    from ._errors import CommError
    from ._forms import FORMS, Form, Template
    from ._options import Option
    from ._protocol import ENCODINGS, Channel, State
    from ._specs import (
        CallbackSpec,
        Event,
        Filter,
        InputSpec,
        InputTarget,
        OutputSpec,
        OutputTarget,
        Piece,
        StreamSpec,
        Termination,
        Terminator,
    )
    from ._streaming import StreamingEndpoint
    from .drivers import (
        StreamTool,
        Tool,
        TwinTool,
        child,
        serial,
        tcp,
        tcp_listener,
        twin,
        unix,
        unix_listener,
    )

_HOMES = {
    "AsyncEndpoint": "_async",
    "CANCELLED_CODES": "_codes",
    "CallbackSpec": "_specs",
    "Channel": "_protocol",
    "Code": "_codes",
    "CommError": "_errors",
    "ENCODINGS": "_protocol",
    "Endpoint": "_api",
    "Event": "_specs",
    "EventCode": "_constants",
    "FORMS": "_forms",
    "Filter": "_specs",
    "Form": "_forms",
    "InputSpec": "_specs",
    "InputTarget": "_specs",
    "OpCode": "_constants",
    "Option": "_options",
    "OutputSpec": "_specs",
    "OutputTarget": "_specs",
    "Piece": "_specs",
    "SendFlag": "_constants",
    "State": "_protocol",
    "StreamSpec": "_specs",
    "StreamTool": "drivers",
    "StreamingEndpoint": "_streaming",
    "Template": "_forms",
    "Termination": "_specs",
    "Terminator": "_specs",
    "Tool": "drivers",
    "TwinTool": "drivers",
    "child": "drivers",
    "is_cancelled": "_codes",
    "meaning": "_codes",
    "serial": "drivers",
    "tcp": "drivers",
    "tcp_listener": "drivers",
    "twin": "drivers",
    "unix": "drivers",
    "unix_listener": "drivers",
}

__all__ = [
    "CANCELLED_CODES",
    "ENCODINGS",
    "FORMS",
    "AsyncEndpoint",
    "CallbackSpec",
    "Channel",
    "Code",
    "CommError",
    "Endpoint",
    "Event",
    "EventCode",
    "Filter",
    "Form",
    "InputSpec",
    "InputTarget",
    "OpCode",
    "Option",
    "OutputSpec",
    "OutputTarget",
    "Piece",
    "SendFlag",
    "State",
    "StreamSpec",
    "StreamTool",
    "StreamingEndpoint",
    "Template",
    "Termination",
    "Terminator",
    "Tool",
    "TwinTool",
    "child",
    "is_cancelled",
    "meaning",
    "serial",
    "tcp",
    "tcp_listener",
    "twin",
    "unix",
    "unix_listener",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the file that it lives in."""
    return load(globals(), _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
