"""Where a re-execution is: a few bytes that outlive the process which writes them."""

import mmap
import struct
from pathlib import Path
from typing import Self

TIME_LIMIT_S = 10.0
"""How long one turn may compute before it counts as hanging."""

_PLACE = struct.Struct("<qq")


class Place:
    """The turn that is taken and its actor, in a file that two processes map."""

    def __init__(self, path: Path) -> None:
        """Map it."""
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), _PLACE.size)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make it, and be nowhere yet."""
        path.write_bytes(bytes(_PLACE.size))
        return cls(path)

    def note(self, number: int, actor: int) -> None:
        """Be at this turn of that actor."""
        _PLACE.pack_into(self._bytes, 0, number, actor)

    def read(self) -> tuple[int, int]:
        """Return the last turn noted and its actor; zeros when there was none."""
        number, actor = _PLACE.unpack_from(self._bytes)
        return number, actor
