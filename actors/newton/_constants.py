"""The guide's constants: what stands in slots and events beside codes and states.

Pure, and known to everybody here, tools too.  Sources: spec/newton.md 3; R 3 and R 7.
"""

from enum import IntEnum, IntFlag


class EventCode(IntEnum):
    """What a tool may report unasked (3.5)."""

    TOOL_SPECIFIC = 1
    DISCONNECT = 2
    RELEASE = 3
    IDLE_TIMER = 4
    LISTEN_TIMER = 5
    PROGRESS = 6
    TAPI = 7


class SendFlag(IntFlag):
    """Flags of Outputs and receives (R 7)."""

    EOP = 0
    """The last packet."""
    MORE = 1
    """More data is coming."""
    PACKET = 2
    """The data is in packets."""


SEND_FLAGS: dict[int, str] = {
    SendFlag.EOP: "kEOP",
    SendFlag.MORE: "kMore",
    SendFlag.PACKET: "kPacket",
}
"""The documented constant of each flag."""


class OpCode(IntEnum):
    """What an option asks for (R 3)."""

    SET_NEGOTIATE = 256
    """Set it; the tool may put another value in its place."""
    SET_REQUIRED = 512
    """Set it, or fail."""
    GET_DEFAULT = 768
    """Say what it is when nobody sets it."""
    GET_CURRENT = 1024
    """Say what it is now."""


OP_CODES: dict[int, str] = {
    OpCode.SET_NEGOTIATE: "opSetNegotiate",
    OpCode.SET_REQUIRED: "opSetRequired",
    OpCode.GET_DEFAULT: "opGetDefault",
    OpCode.GET_CURRENT: "opGetCurrent",
}
"""The documented constant of each."""

DISCARD_AFTER = 1024
"""How many bytes wait for the end of a piece, unless a spec says otherwise (3.3)."""
