"""Communications tools: what does an endpoint's real work, and its scripted twin.

A tool knows no actor, no log and no table: it is handed a port and reports through it.
"""

from ._tcp import TcpTool, tcp
from ._tool import Port, Tool
from ._twin import TwinTool, twin

__all__ = ["Port", "TcpTool", "Tool", "TwinTool", "tcp", "twin"]
