"""The few messages of Perfetto's trace format that an export needs, in protobuf's wire format.

The fields and their numbers are those of ``perfetto_trace.proto``, which its project keeps stable
for ever; a test reads them back with the project's own parser.  A trace is a sequence of packets,
so that one can be written as it comes.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from struct import Struct
from typing import TypeAlias

Value: TypeAlias = int | str
"""What an argument of an event can be."""

_FIXED64 = Struct("<Q")
_TIME_MAX = (1 << 63) - 1
_SEQUENCE = 1
_BOOTTIME, _REALTIME = 6, 1
"""Perfetto's numbers for the clock that it uses unless told, and for that of the wall."""


class EventType(IntEnum):
    """What an event is."""

    BEGIN = 1
    END = 2
    INSTANT = 3


def varint(value: int) -> bytes:
    """Return an unsigned number in groups of seven bits, the lowest first.

    >>> varint(300).hex()
    'ac02'
    """
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def number(field: int, value: int) -> bytes:
    """Return a field that holds a number; a negative one takes ten bytes."""
    return varint(field << 3) + varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def text(field: int, value: str) -> bytes:
    """Return a field that holds text."""
    return message(field, value.encode("utf-8", "replace"))


def message(field: int, *parts: bytes) -> bytes:
    """Return a field that holds another message, or bytes."""
    body = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(body)) + body


def _fixed64(field: int, value: int) -> bytes:
    return varint(field << 3 | 1) + _FIXED64.pack(value & 0xFFFF_FFFF_FFFF_FFFF)


def moment(time_ns: int) -> int:
    """Return a time that the format can carry."""
    return min(max(time_ns, 0), _TIME_MAX)


def packet(time_ns: int, *parts: bytes) -> bytes:
    """Return one packet of a trace."""
    return message(1, number(8, moment(time_ns)), number(10, _SEQUENCE), *parts)


def begin(time_ns: int) -> bytes:
    """Return the first packet: both clocks are one, so that a date can be shown."""
    clocks = [
        message(1, number(1, clock), number(2, moment(time_ns))) for clock in (_BOOTTIME, _REALTIME)
    ]
    return packet(time_ns, number(13, 1), number(87, 1), message(6, *clocks))


def track(
    time_ns: int, uuid: int, name: str, parent: int = 0, *, rank: int = 0, is_process: bool = False
) -> bytes:
    """Return the packet that describes a track; among its siblings the lowest rank comes first."""
    parts = [number(1, uuid), text(2, name), number(11, 3), number(12, rank)]
    if parent:
        parts.append(number(5, parent))
    if is_process:
        parts.append(message(3, number(1, 1), text(6, name)))
    return packet(time_ns, message(60, *parts))


def event(  # noqa: PLR0913 - each is a field of the message
    time_ns: int, kind: EventType, uuid: int, name: str = "", *,
    args: Sequence[tuple[str, Value]] = (), flows: Iterable[int] = (), ends: Iterable[int] = (),
) -> bytes:  # fmt: skip
    """Return the packet of an event on a track.

    Args:
        time_ns: When it happens.
        kind: What it is; an end closes the innermost slice that is open on the track.
        uuid: The track.
        name: What is shown.
        args: What is shown of it when it is selected.
        flows: Arrows that begin here.
        ends: Arrows that end here.
    """
    parts = [number(9, kind), number(11, uuid)]
    if name:
        parts.append(text(23, name))
    parts += [message(4, text(10, key), _value(value)) for key, value in args]
    parts += [_fixed64(47, flow) for flow in flows]
    parts += [_fixed64(48, flow) for flow in ends]
    return packet(time_ns, message(11, *parts))


def _value(value: Value) -> bytes:
    return number(4, value) if isinstance(value, int) else text(6, value)
