"""Reading a segment whose own preamble is gone, from what else there is.

A preamble says the salt that header checksums begin with, and what small numbers stand for.  The
segment's seal repeats it; the other segments of the epoch say the same; and the salt alone follows
from any whole block, because a CRC can be run backwards.  Run backwards, a CRC verifies whatever
stands in a header, so such a salt is believed only when two blocks agree on it and no other
segment contradicts.
"""

from collections.abc import Iterator
from dataclasses import replace
from zlib import crc32

from ._frame import CHECKED_BYTES as _CHECKED_BYTES
from ._frame import HEADER_BYTES, PREFIX, Header, body_of, decode_header, place_of
from ._index import read_directory
from ._segment import OPENING_BYTES, Opening, Preamble, Window, open_preamble, read_preamble
from ._storage import Storage

_ONES = 0xFFFFFFFF
_TABLE = [crc32(bytes((byte,)), _ONES) ^ _ONES for byte in range(256)]
_BY_HIGH_BYTE = {entry >> 24: index for index, entry in enumerate(_TABLE)}


def crc_before(data: bytes, after: int) -> int:
    """The CRC-32 that, continued over ``data``, gives ``after``."""
    state = after ^ _ONES
    for byte in reversed(data):
        index = _BY_HIGH_BYTE[state >> 24]
        state = (((state ^ _TABLE[index]) << 8) | (index ^ byte)) & _ONES
    return state ^ _ONES


class Salvage:
    """Opens segments like ``read_preamble``, and where that fails by what else is known.

    Attributes:
        guessed: The segments that were opened without their own preamble.
    """

    def __init__(self, storage: Storage) -> None:
        """Look at all preambles there are."""
        self.guessed: set[int] = set()
        known = list(_preambles(storage))
        # A stray segment of another log says nothing of this one.
        self._known = [each for each in known if each.log == known[0].log]

    def open(self, window: Window) -> Opening | str:
        """The segment's opening, its own or a guessed one, or in one word why there is none."""
        found = read_preamble(window)
        if isinstance(found, Opening) or found == "short":
            return found
        guess = self._guess(window)
        if guess is None:
            return found
        self.guessed.add(window.segment)
        return guess

    def _guess(self, window: Window) -> Opening | None:
        first = self._first_block(window)
        if first is None:
            return None
        offset, header, salt = first
        directory = read_directory(window, salt)
        if directory is not None and isinstance(copy := open_preamble(directory.preamble), Opening):
            return copy
        siblings = [each for each in self._known if each.epoch == header.epoch]
        # The latest knows the most, and a number once bound keeps its meaning through the epoch.
        siblings.sort(key=lambda each: len(each.bindings))
        made = replace(
            siblings[-1] if siblings else self._blank(),
            segment=window.segment, epoch=header.epoch, first=header.first, salt=salt,
            chain=b"", previous=None,
        )  # fmt: skip
        return Opening(made, offset, bytes(32))

    def _first_block(self, window: Window) -> tuple[int, Header, int] | None:
        """The first block that can be believed: its offset, header and salt."""
        salts: dict[int, set[int]] = {}
        for known in self._known:
            salts.setdefault(known.epoch, set()).add(known.salt)
        alone: dict[tuple[int, int], tuple[int, Header]] = {}
        for offset, data in _headers(window):
            place = place_of(window.segment, offset)
            for salt in {_salt_of(data, place)}.union(*salts.values()):
                header = decode_header(data, crc32(place, salt), None)
                if header is None or not _is_whole(window, offset, header):
                    continue
                epoch = header.epoch
                if salt in salts.get(epoch, ()):
                    return offset, header, salt
                if epoch in salts or not self._fits(window.segment, header):
                    continue
                before = alone.setdefault((epoch, salt), (offset, header))
                if before[0] != offset:
                    return *before, salt
        return None

    def _fits(self, segment: int, header: Header) -> bool:
        """Whether a number may stand in a segment, by what the others say."""
        for known in self._known:
            if known.segment < segment:
                fits = (known.epoch, known.first) <= (header.epoch, header.first)
            else:
                fits = (header.epoch, header.first) <= (known.epoch, known.first)
            if not fits:
                return False
        return True

    def _blank(self) -> Preamble:
        """A preamble of the log that knows nothing else."""
        log = self._known[0].log if self._known else bytes(16)
        return Preamble(log, 0, 0, 0, b"", None, 0, 0, "os", 1, {}, [])


def _preambles(storage: Storage) -> Iterator[Preamble]:
    for segment in storage.segments():
        try:
            found = read_preamble(Window(storage, segment, chunk_bytes=OPENING_BYTES))
        except OSError:
            continue
        if isinstance(found, Opening) and found.preamble.segment == segment:
            yield found.preamble


def _headers(window: Window) -> Iterator[tuple[int, bytes]]:
    """Whatever begins as a block's header does."""
    offset = 0
    while (offset := window.find(PREFIX, offset)) >= 0:
        data = window.take(offset, HEADER_BYTES)
        if len(data) == HEADER_BYTES:
            yield offset, data
        offset += 1


def _salt_of(data: bytes, place: bytes) -> int:
    """The one salt under which a header verifies at its place."""
    checksum = int.from_bytes(data[_CHECKED_BYTES + 1 : _CHECKED_BYTES + 5], "big")
    return crc_before(place, crc_before(data[:_CHECKED_BYTES], checksum))


def _is_whole(window: Window, offset: int, header: Header) -> bool:
    block = window.view(offset, header.block_bytes)
    return len(block) == header.block_bytes and body_of(block, header) is not None
