"""One segment on its way into a storage: preamble, blocks, and at the end index and seal."""

from ._frame import INDEX, SEAL, encode, seed_of
from ._index import IndexBuilder, seal_body
from ._segment import Preamble, encode_preamble
from ._storage import Storage


class SegmentWriter:
    """Writes one segment; every method may raise ``OSError``, and then nothing here goes on.

    Attributes:
        segment: Its number.
        offset: How long it is.
        chain: The chain's head behind it.
        index: What its index will say.
    """

    def __init__(self, storage: Storage, preamble: Preamble, *, sync: bool) -> None:
        """Create the segment; with ``sync`` it is durable on return."""
        data, self.chain = encode_preamble(preamble)
        storage.create(preamble.segment, data, sync=sync)
        self.segment = preamble.segment
        self.offset = len(data)
        self.index = IndexBuilder(data)
        self._storage = storage
        self._epoch = preamble.epoch
        self._salt = preamble.salt

    def append(self, sort: int, body: bytes, first: int, count: int = 0) -> tuple[int, int]:
        """Write one block; its offset and length."""
        offset = self.offset
        data = self._frame(sort, body, offset, (first, count))
        self._write(data)
        return offset, len(data)

    def seal(self, last: int, actors_next: int) -> None:
        """Write index and seal in one step; nothing may follow.

        Args:
            last: The last record's number.
            actors_next: The lowest actor number not taken.
        """
        begin = end = directory = self.offset
        body = b""
        blocks: list[bytes] = []
        for body in self.index.bodies(begin, last, actors_next):
            directory = end
            blocks.append(self._frame(INDEX, body, end, (last + 1, 0)))
            end += len(blocks[-1])
        blocks.append(self._frame(SEAL, seal_body(body, directory), end, (last + 1, 0)))
        self._write(b"".join(blocks))

    def _frame(self, sort: int, body: bytes, offset: int, numbers: tuple[int, int]) -> bytes:
        seed = seed_of(self.segment, offset, self._salt)
        data, self.chain = encode((sort, self._epoch, *numbers), body, seed, self.chain)
        return data

    def _write(self, data: bytes) -> None:
        self._storage.append(self.segment, self.offset, data)
        self.offset += len(data)
