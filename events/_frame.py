"""One batch as bytes: header, body, checksums and chain; and how to find one again behind damage.

The layout is specified in ``docs/reference/log-format.md``.  Every field before the body has a
fixed width, so that a header can be checked before any length in it is believed.
"""

import struct
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\x8eRSB"
PREFIX = b"\x99\xc4\x04" + MAGIC
"""How every batch begins, and what a reader looks for behind damage."""

HEADER_BYTES = 41
TAIL_BYTES = 39
OVERHEAD_BYTES = HEADER_BYTES + TAIL_BYTES
BODY_BYTES_MAX = 256 * 1024 * 1024
"""A longer body is not believed, even when its header's checksum holds."""

RECORD_BYTES_MIN = 8
"""No record is shorter: an array of seven elements."""

_CHECKED_BYTES = 31
_CHECKED = struct.Struct(">7sBIBQBIBI")
_REST = struct.Struct(">BIBI")
_FIELDS = struct.Struct(">7x xI xQ xI xI xI 5x")
_TAIL = struct.Struct(">BI")
_PLACE = struct.Struct(">IQ")


class Header(NamedTuple):
    """A batch header whose checksum held."""

    epoch: int
    first: int
    records: int
    length: int
    checksum: int

    @property
    def batch_bytes(self) -> int:
        """The whole batch's length in the segment."""
        return self.length + OVERHEAD_BYTES


def seed_of(segment: int, offset: int, salt: int) -> int:
    """Bind a header's checksum to its place, so that a copied batch verifies nowhere else."""
    return crc32(_PLACE.pack(segment, offset), salt)


def encode(
    header: tuple[int, int, int], body: bytes, seed: int, chain: bytes
) -> tuple[bytes, bytes]:
    """Frame one batch.

    Args:
        header: Epoch, first number, count.
        body: Prelude and records.
        seed: ``seed_of`` the place where the batch will stand.
        chain: The chain's head before this batch.

    Returns:
        The batch's bytes and the chain's new head.
    """
    epoch, first, count = header
    length = len(body)
    checked = _CHECKED.pack(PREFIX, 0xCE, epoch, 0xCF, first, 0xCE, count, 0xCE, length)
    checksum = crc32(checked, seed)
    rest = _REST.pack(0xCE, checksum, 0xC6, length)
    tail = _TAIL.pack(0xCE, crc32(body, checksum))
    head = link(chain, checked, rest, body, tail)
    return b"".join((checked, rest, body, tail, b"\xc4\x20", head)), head


def link(chain: bytes, *parts: bytes | memoryview) -> bytes:
    """The chain's head after a batch; ``parts`` are its bytes before the chain field."""
    digest = sha256(chain)
    for part in parts:
        digest.update(part)
    return digest.digest()


def decode_header(data: bytes, seed: int, epoch: int) -> Header | None:
    """The header at the start of ``data``, or None when it does not verify there."""
    if len(data) < HEADER_BYTES or data[:7] != PREFIX:
        return None
    header = Header(*_FIELDS.unpack_from(data))
    if crc32(data[:_CHECKED_BYTES], seed) != header.checksum or header.epoch != epoch:
        return None
    # Valid checksums do not make a promise true: a log may have been written to do harm.
    if header.length > BODY_BYTES_MAX or header.records * RECORD_BYTES_MIN > header.length:
        return None
    return header


def body_of(batch: memoryview, header: Header) -> memoryview | None:
    """The body of a whole batch, or None when anything behind its checked header is damaged."""
    if bytes(batch[_CHECKED_BYTES:HEADER_BYTES]) != _REST.pack(
        0xCE, header.checksum, 0xC6, header.length
    ):
        return None
    body = batch[HEADER_BYTES:-TAIL_BYTES]
    if (
        bytes(batch[-TAIL_BYTES:-32])
        != _TAIL.pack(0xCE, crc32(body, header.checksum)) + b"\xc4\x20"
    ):
        return None
    return body
