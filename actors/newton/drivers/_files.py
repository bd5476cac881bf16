"""A file of the operating system that a medium reads or writes without blocking."""

import os
from typing import Protocol

from ._poller import Poller, Ready


class File(Protocol):
    """A pipe's end, or a line that pyserial has opened."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Descriptor:
    """A file's descriptor, which is watched only as long as somebody waits for it."""

    __slots__ = ("_file", "_mask", "_poller", "fd")

    def __init__(self, file: File, poller: Poller) -> None:
        """Make it one that does not block."""
        self.fd = file.fileno()
        os.set_blocking(self.fd, False)  # the standard library's own signature
        self._file = file
        self._poller = poller
        self._mask = 0

    def watch(self, mask: int, ready: Ready) -> None:
        """Have ``ready`` called for ``mask``, for 0 not at all; free when nothing changes."""
        if mask == self._mask:
            return
        self._mask = mask
        if mask:
            self._poller.watch(self.fd, mask, ready)
        else:
            self._poller.unwatch(self.fd)

    def close(self) -> None:
        """Wait for nothing any more, and close the file."""
        self.watch(0, _nothing)
        self._file.close()


def _nothing(_events: int) -> None:
    """Be what is called when nothing is waited for."""
