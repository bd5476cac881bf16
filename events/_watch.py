"""Waiting for changes in a directory: the system's word where it gives one, else patience.

What the system tells is a hint and never a fact.  It may say nothing (a file system that other
machines write to), or say something about a file that is none of ours; so every wait ends after
``WAIT_S_MAX``, and whoever waited looks for itself.
"""

import contextlib
import functools
import os
import select
from typing import Any

WAIT_S_MAX = 0.05
"""No wait is longer, and no two hints are closer to each other: 20 looks a second."""

_HINT_BYTES = 4096

# <sys/inotify.h>.  What a reader does itself (open, read, close) is not among them.
_CHANGES = 0x002 | 0x040 | 0x080 | 0x100 | 0x200  # modified, moved from, moved to, created, deleted
_ONLY_DIRECTORY = 0x01000000
# The watch ends with its first change and is set again before the next look.  A lasting one would
# make every write of a busy writer pay for a notice that nobody reads: about twice the time.
_ONCE = 0x80000000


class Watch:
    """Waits for changes in one directory; for one thread at a time.

    A writer at full speed changes something all the time, and a hint for every change would have
    its readers do nothing but wake up.  So a hint is followed by a hold-off of ``WAIT_S_MAX`` in
    which further hints are only gathered.  No clock is needed: the hold-off is kept as the sleep
    that is still owed, and the waits that come next pay it.  The time that the caller spends
    elsewhere is not counted, which errs on the quiet side.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the directory; nothing is opened before the first wait."""
        self._path = os.fsencode(path)
        self._file: int | None = None
        self._process = 0
        self._armed = False
        self._owed_s = 0.0

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s`` or ``WAIT_S_MAX``, or sooner on a hint; whether it was sooner.

        So who adds up what ended without a hint knows how long nothing came, without a clock.
        Never raises for the system's sake: without notifications this is a sleep.
        """
        rest_s = max(0.0, min(timeout_s, WAIT_S_MAX))
        self._arm()
        held_s = min(self._owed_s, rest_s)
        if held_s > 0:
            _sleep(held_s)
            self._owed_s -= held_s
            rest_s -= held_s
        if self._owed_s > 0 or not self._hinted(rest_s):
            return False
        # Armed again before the caller looks, so that no change falls between look and wait.
        self._arm()
        self._owed_s = WAIT_S_MAX
        return rest_s > 0

    def close(self) -> None:
        """Let go of what the system lent; waiting again asks for it again."""
        file, self._file, self._armed = self._file, None, False
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def _arm(self) -> None:
        """Ask to be told of the next change; where that is refused now, later waits ask again."""
        if self._armed and self._process == os.getpid():
            return
        libc = _libc()
        if libc is None:
            return
        if self._process != os.getpid():
            # A fork shares the queue with its parent, and each would take the other's hints.
            self.close()
            self._process = os.getpid()
        if self._file is None:
            file = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            self._file = file if file >= 0 else None
        if self._file is not None:
            mask = _CHANGES | _ONLY_DIRECTORY | _ONCE
            self._armed = libc.inotify_add_watch(self._file, self._path, mask) >= 0

    def _hinted(self, timeout_s: float) -> bool:
        """Wait for a hint and take it out of the queue."""
        if self._file is None or not self._armed:
            _sleep(timeout_s)
            return False
        # Not select, which cannot take the high numbers of a process with many open files.
        poller = select.poll()
        poller.register(self._file, select.POLLIN)
        try:
            if not poller.poll(timeout_s * 1000):
                return False
        except OSError:
            _sleep(timeout_s)
            return False
        # One read is enough: an armed watch queues its one change and its own end.
        with contextlib.suppress(OSError):
            os.read(self._file, _HINT_BYTES)
        self._armed = False
        return True


@functools.cache
def _libc() -> Any:
    """The C library's functions, or None where it knows no inotify."""
    try:
        # Here and not above: only who follows a log pays for the import.
        import ctypes  # noqa: PLC0415

        libc = ctypes.CDLL(None)
        libc.inotify_init1.argtypes = [ctypes.c_int]
        libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    return libc


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)
