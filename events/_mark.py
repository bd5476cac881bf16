"""The writer's mark: how far the log is durable, for readers that follow and for the next writer.

It stands in the storage's one small cell and is only a report: the log itself never depends on it,
but for the one thing that a log cannot say, that a sync failed.
"""

import struct
from typing import NamedTuple
from zlib import crc32

_MAGIC = b"\x97\xc4\x04\x8eRSM"
_FIELDS = struct.Struct(">7sBIBIBQBQB")
_CHECKSUM = struct.Struct(">BI")
MARK_BYTES = _FIELDS.size + _CHECKSUM.size


class Mark(NamedTuple):
    """How far a log is acknowledged.

    Attributes:
        epoch: The writer's life.
        segment: The segment that it wrote last.
        end: Where in it the acknowledged data ends.
        last: The last acknowledged number.
        has_failed: Whether a write or sync failed there: what stands behind was never
            acknowledged, and may be a page that the system could not write and still shows.
    """

    epoch: int
    segment: int
    end: int
    last: int
    has_failed: bool

    def encode(self) -> bytes:
        """The mark's bytes, one MessagePack array."""
        failed = 0xC3 if self.has_failed else 0xC2
        numbers = (0xCE, self.epoch, 0xCE, self.segment, 0xCF, self.end, 0xCF, self.last)
        data = _FIELDS.pack(_MAGIC, *numbers, failed)
        return data + _CHECKSUM.pack(0xCE, crc32(data))


def decode_mark(data: bytes) -> Mark | None:
    """The mark, or None when there is none that is whole."""
    if len(data) < MARK_BYTES or data[:7] != _MAGIC:
        return None
    fields = data[: _FIELDS.size]
    if data[_FIELDS.size : MARK_BYTES] != _CHECKSUM.pack(0xCE, crc32(fields)):
        return None
    _, _, epoch, _, segment, _, end, _, last, failed = _FIELDS.unpack(fields)
    return Mark(epoch, segment, end, last, failed == 0xC3)
