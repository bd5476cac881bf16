"""One block as bytes: header, body, checksums and chain; and how to find one again behind damage.

All that stands in a segment behind its preamble is a block; most are batches of records.  The
layout is specified in ``docs/reference/log-format.md``.  Every field before the body has a fixed
width, so that a header can be checked before any length in it is believed.
"""

import struct
from hashlib import sha256
from typing import NamedTuple
from zlib import crc32

PREFIX = b"\x99\xc4\x04\x8eRS"
"""How every block begins, and what a reader looks for behind damage; its sort follows."""

BATCH = ord("B")
KEYFRAME = ord("K")
INDEX = ord("I")
SEAL = ord("E")
GAP = ord("G")

HEADER_BYTES = 41
TAIL_BYTES = 39
OVERHEAD_BYTES = HEADER_BYTES + TAIL_BYTES
BODY_BYTES_MAX = 256 * 1024 * 1024
"""A longer body is not believed, even when its header's checksum holds."""

NUMBER_MAX = (1 << 63) - 1
"""No record has a higher number, so that numbers can be counted on from any that is believed."""

RECORD_BYTES_MIN = 8
"""No record is shorter: an array of seven elements."""

CHECKED_BYTES = 31
"""How much of a header its checksum covers."""
_CHECKED = struct.Struct(">6sBBIBQBIBI")
_REST = struct.Struct(">BIBI")
_FIELDS = struct.Struct(">6xB xI xQ xI xI xI 5x")
_TAIL = struct.Struct(">BI")
_PLACE = struct.Struct(">IQ")


class Header(NamedTuple):
    """A block header whose checksum held; only batches have ``records``."""

    sort: int
    epoch: int
    first: int
    records: int
    length: int
    checksum: int

    @property
    def block_bytes(self) -> int:
        """The whole block's length in the segment."""
        return self.length + OVERHEAD_BYTES


def seed_of(segment: int, offset: int, salt: int) -> int:
    """Bind a header's checksum to its place, so that a copied block verifies nowhere else."""
    return crc32(place_of(segment, offset), salt)


def place_of(segment: int, offset: int) -> bytes:
    """A block's place, as its header's checksum begins with it."""
    # Masked: a file's name may say a higher number than any writer gives.
    return _PLACE.pack(segment & 0xFFFFFFFF, offset)


def encode(
    header: tuple[int, int, int, int], body: bytes, seed: int, chain: bytes
) -> tuple[bytes, bytes]:
    """Frame one block.

    Args:
        header: Sort, epoch, the first record's number or the next one to come, count of records.
        body: What the sort says; for a batch prelude and records.
        seed: ``seed_of`` the place where the block will stand.
        chain: The chain's head before this block.

    Returns:
        The block's bytes and the chain's new head.
    """
    sort, epoch, first, count = header
    length = len(body)
    checked = _CHECKED.pack(PREFIX, sort, 0xCE, epoch, 0xCF, first, 0xCE, count, 0xCE, length)
    checksum = crc32(checked, seed)
    rest = _REST.pack(0xCE, checksum, 0xC6, length)
    tail = _TAIL.pack(0xCE, crc32(body, checksum))
    head = link(chain, checked, rest, body, tail)
    return b"".join((checked, rest, body, tail, b"\xc4\x20", head)), head


def link(chain: bytes, *parts: bytes | memoryview) -> bytes:
    """The chain's head after a block; ``parts`` are its bytes before the chain field."""
    digest = sha256(chain)
    for part in parts:
        digest.update(part)
    return digest.digest()


def decode_header(data: bytes, seed: int, epoch: int | None) -> Header | None:
    """The header at the start of ``data``, or None when it does not verify there."""
    if len(data) < HEADER_BYTES or data[:6] != PREFIX:
        return None
    header = Header(*_FIELDS.unpack_from(data))
    if crc32(data[:CHECKED_BYTES], seed) != header.checksum:
        return None
    if epoch is not None and header.epoch != epoch:
        return None
    # Valid checksums do not make a promise true: a log may have been written to do harm.
    if header.length > BODY_BYTES_MAX or header.records * RECORD_BYTES_MIN > header.length:
        return None
    return header if header.first + header.records <= NUMBER_MAX else None


def body_of(block: memoryview, header: Header) -> memoryview | None:
    """The body of a whole block, or None when anything behind its checked header is damaged."""
    if bytes(block[CHECKED_BYTES:HEADER_BYTES]) != _REST.pack(
        0xCE, header.checksum, 0xC6, header.length
    ):
        return None
    body = block[HEADER_BYTES:-TAIL_BYTES]
    if (
        bytes(block[-TAIL_BYTES:-32])
        != _TAIL.pack(0xCE, crc32(body, header.checksum)) + b"\xc4\x20"
    ):
        return None
    return body
