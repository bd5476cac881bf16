"""Communications tools: what does an endpoint's real work, and its scripted twin.

A tool knows no actor, no log and no table: it is handed a port and reports through it.
"""

from ._child import child
from ._serial import serial
from ._stream import StreamTool
from ._tcp import tcp, tcp_listener
from ._tool import Port, Tool
from ._twin import TwinTool, twin
from ._unix import unix, unix_listener

__all__ = [
    "Port",
    "StreamTool",
    "Tool",
    "TwinTool",
    "child",
    "serial",
    "tcp",
    "tcp_listener",
    "twin",
    "unix",
    "unix_listener",
]
