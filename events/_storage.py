"""Where segments live: one small interface, a directory and a memory that implement it.

A storage knows bytes, never batches.  ``append`` names the position it expects to write at, so
that the same interface fits a replicated stream, where that position is the condition.
"""

import contextlib
import errno
import os
import re
import select
import stat
from pathlib import Path
from typing import Protocol

from ._errors import LogAccessError, LogLockedError, NotALogError
from ._watch import Watch

MARK_BYTES_MAX = 512
"""A mark fits into one sector, so that a medium replaces it whole or not at all."""

_NAME = re.compile(r"([0-9]{8,})\.seg")
_LOCK = "lock"
_MARK = "mark"


def _flags(*names: str) -> int:
    """Open flags; a platform that lacks one does without."""
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


# O_NONBLOCK: a fifo that somebody put into the directory must not block whoever opens it.
_READ = _flags("O_RDONLY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
_WRITE = _flags("O_RDWR", "O_CREAT", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
_CREATE = _flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_APPEND", "O_CLOEXEC", "O_NOFOLLOW", "O_BINARY")


class Storage(Protocol):
    """Numbered segments of bytes that only grow.

    All methods raise ``OSError`` when the medium fails; the log gives that a meaning.
    """

    path: Path | None
    """Where it is, for messages; None when it is nowhere."""

    def segments(self) -> list[int]:
        """The numbers of the segments there are, ascending."""
        ...

    def size(self, segment: int) -> int:
        """How many bytes a segment has now."""
        ...

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the segment ends now."""
        ...

    def lock(self) -> None:
        """Become the one writer, or raise ``LogLockedError``."""
        ...

    def create(self, segment: int, data: bytes, *, sync: bool) -> None:
        """Begin a segment that must not exist; with ``sync`` it is durable on return."""
        ...

    def append(self, segment: int, offset: int, data: bytes) -> None:
        """Add to the segment created last, which must be ``offset`` bytes long."""
        ...

    def sync(self, segment: int) -> None:
        """Return when everything appended to the segment created last is durable."""
        ...

    def settle(self, segment: int) -> None:
        """Make a segment that an earlier writer left durable, and forget what is only cached."""
        ...

    def remove(self, segment: int) -> None:
        """Remove a whole segment; one that is not there is no error."""
        ...

    def set_mark(self, mark: bytes, *, sync: bool) -> None:
        """Replace the log's one small cell, in one step.

        All marks of a log have one length, at most ``MARK_BYTES_MAX``.
        """
        ...

    def mark(self) -> bytes:
        """What the cell holds; empty when it was never set or is no plain file."""
        ...

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s``, or sooner on a hint of a change; whether it was sooner."""
        ...

    def close(self) -> None:
        """Give up lock and files; reading may go on."""
        ...


class MemoryStorage:
    """Segments in this process; gone with it."""

    def __init__(self) -> None:
        """Begin empty."""
        self.path: Path | None = None
        self._segments: dict[int, bytearray] = {}
        self._mark = b""
        self._locked = False

    def segments(self) -> list[int]:
        """The numbers of the segments there are, ascending."""
        return sorted(self._segments)

    def size(self, segment: int) -> int:
        """How many bytes a segment has now."""
        return len(self._find(segment))

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the segment ends now."""
        return bytes(self._find(segment)[offset : offset + length])

    def lock(self) -> None:
        """Become the one writer, or raise ``LogLockedError``."""
        if self._locked:
            raise LogLockedError("memory", os.getpid())
        self._locked = True

    def create(self, segment: int, data: bytes, *, sync: bool) -> None:  # noqa: ARG002
        """Begin a segment that must not exist."""
        if segment in self._segments:
            raise FileExistsError(errno.EEXIST, "segment exists", str(segment))
        self._segments[segment] = bytearray(data)

    def append(self, segment: int, offset: int, data: bytes) -> None:
        """Add to a segment, which must be ``offset`` bytes long."""
        target = self._find(segment)
        if segment != max(self._segments):
            raise OSError(errno.EBADF, "segment is not open for writing", str(segment))
        if len(target) != offset:
            raise OSError(errno.ESTALE, "segment is not as long as its writer believes")
        target += data

    def sync(self, segment: int) -> None:
        """Nothing to do: memory is as durable as it gets."""

    def settle(self, segment: int) -> None:
        """Nothing to do."""

    def remove(self, segment: int) -> None:
        """Remove a whole segment; one that is not there is no error."""
        self._segments.pop(segment, None)

    def set_mark(self, mark: bytes, *, sync: bool) -> None:  # noqa: ARG002
        """Replace the cell."""
        self._mark = mark

    def mark(self) -> bytes:
        """What the cell holds."""
        return self._mark

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s``; nothing tells of changes in memory."""
        select.select((), (), (), timeout_s)
        return False

    def close(self) -> None:
        """Give up the lock."""
        self._locked = False

    def _find(self, segment: int) -> bytearray:
        try:
            return self._segments[segment]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such segment", str(segment)) from None


class DirectoryStorage:
    """Segments as files ``00000001.seg``, ``00000002.seg``, ... in one directory.

    Symbolic links, fifos and the like inside the directory are never followed or opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the directory; nothing is touched yet."""
        self.path: Path | None = Path(path)
        self._directory = Path(path)
        self._watch = Watch(path)
        self._lock_file: int | None = None
        self._mark_file: int | None = None
        self._target: tuple[int, int] | None = None
        self._source: tuple[int, int] | None = None
        self._owner = 0

    def segments(self) -> list[int]:
        """The numbers of the segments there are, ascending."""
        matches = map(_NAME.fullmatch, _names(self._directory))
        return sorted(int(match[1]) for match in matches if match)

    def size(self, segment: int) -> int:
        """How many bytes a segment has now."""
        return os.fstat(self._open_source(segment)).st_size

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the segment ends now."""
        source = self._open_source(segment)
        # pread allocates what is asked for, so what is asked for is held to what is there.
        length = min(length, os.fstat(source).st_size - offset)
        parts: list[bytes] = []
        while length > 0 and (part := os.pread(source, length, offset)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def lock(self) -> None:
        """Become the one writer, making the directory if need be, or raise ``LogLockedError``."""
        self._make_directory()
        try:
            self._lock_file = self._take_lock()
        except (BlockingIOError, PermissionError) as error:
            if isinstance(error, PermissionError) and error.errno != errno.EAGAIN:
                raise
            raise LogLockedError(self._directory, self._holder()) from None
        self._owner = os.getpid()

    def create(self, segment: int, data: bytes, *, sync: bool) -> None:
        """Begin a segment that must not exist; with ``sync`` it is durable on return."""
        self._check_owner()
        file = os.open(self._directory / _name(segment), _CREATE, 0o666)
        if self._target is not None:
            os.close(self._target[1])
        self._target = (segment, file)
        _write_all(file, data)
        if sync:
            os.fsync(file)
            _sync_directory(self._directory)

    def append(self, segment: int, offset: int, data: bytes) -> None:
        """Add to the segment created last, which must be ``offset`` bytes long."""
        self._check_owner()
        if self._target is None or self._target[0] != segment:
            raise OSError(errno.EBADF, "segment is not open for writing", _name(segment))
        file = self._target[1]
        if os.lseek(file, 0, os.SEEK_END) != offset:
            raise OSError(errno.ESTALE, "segment is not as long as its writer believes")
        _write_all(file, data)

    def sync(self, segment: int) -> None:
        """Return when everything appended to the segment created last is durable."""
        if self._target is None or self._target[0] != segment:
            raise OSError(errno.EBADF, "segment is not open for writing", _name(segment))
        _sync_data(self._target[1])

    def settle(self, segment: int) -> None:
        """Sync what an earlier writer left, then read it from the medium and not from the cache.

        After a sync that failed the system shows pages that it could not write, and calls them
        clean; dropped from the cache they are read again as they are.
        """
        source = self._open_source(segment)
        os.fsync(source)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)

    def remove(self, segment: int) -> None:
        """Remove a whole segment; one that is not there is no error."""
        if self._source is not None and self._source[0] == segment:
            os.close(self._source[1])
            self._source = None
        (self._directory / _name(segment)).unlink(missing_ok=True)

    def set_mark(self, mark: bytes, *, sync: bool) -> None:
        """Replace the cell in one write."""
        self._check_owner()
        if self._mark_file is None:
            self._mark_file = os.open(self._directory / _MARK, _WRITE, 0o666)
        os.pwrite(self._mark_file, mark, 0)
        if sync:
            os.fsync(self._mark_file)
            _sync_directory(self._directory)

    def mark(self) -> bytes:
        """What the cell holds; empty when it was never set or is no plain file."""
        try:
            file = os.open(self._directory / _MARK, _READ)
        except OSError:
            return b""
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return b""
            return os.pread(file, MARK_BYTES_MAX, 0)
        finally:
            os.close(file)

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s`` or 50 ms, or sooner on a hint; whether it was on a hint."""
        return self._watch.wait(timeout_s)

    def close(self) -> None:
        """Give up lock and files; reading may go on and opens them again."""
        self._watch.close()
        for held in (self._target, self._source):
            if held is not None:
                os.close(held[1])
        self._target = self._source = None
        for file in (self._mark_file, self._lock_file):
            if file is not None:
                os.close(file)
        self._mark_file = self._lock_file = None

    def __del__(self) -> None:
        """Close what a reader left open; a reader has no end that it is told of."""
        if hasattr(self, "_lock_file"):
            with contextlib.suppress(OSError):
                self.close()

    def _open_source(self, segment: int) -> int:
        if self._source is not None:
            if self._source[0] == segment:
                return self._source[1]
            os.close(self._source[1])
            self._source = None
        file = os.open(self._directory / _name(segment), _READ)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "not a regular file", _name(segment))
        self._source = (segment, file)
        return file

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir()
        except FileExistsError:
            return
        # The new name must outlive a power failure too, or the whole log would be gone.
        _sync_directory(self._directory.parent)

    def _take_lock(self) -> int:
        import fcntl  # noqa: PLC0415 - reading must work where this module does not exist

        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._directory / _LOCK, flags, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(file)
            raise
        return file

    def _holder(self) -> int | None:
        try:
            file = os.open(self._directory / _LOCK, _READ)
        except OSError:
            return None
        try:
            text = os.pread(file, 20, 0).strip()
        finally:
            os.close(file)
        return int(text) if text.isdigit() else None

    def _check_owner(self) -> None:
        # A fork shares lock and file position with its parent; two writers would interleave.
        if os.getpid() != self._owner:
            raise OSError(errno.EPERM, "this process is a fork of the writer, not the writer")


def open_directory(path: str | os.PathLike[str], *, for_writing: bool) -> DirectoryStorage:
    """A directory that is a log, or (for writing) may become one.

    Raises:
        NotALogError: It is something else.
        LogAccessError: The operating system does not let us look.
    """
    storage = DirectoryStorage(path)
    try:
        names = _names(Path(path))
    except FileNotFoundError:
        if for_writing:
            return storage
        raise NotALogError(f"{path}: there is nothing here; check the path", path) from None
    except NotADirectoryError:
        message = f"{path}: this is a file, and a log is a directory; name another path"
        raise NotALogError(message, path) from None
    except OSError as error:
        raise LogAccessError(f"{path}: cannot be opened: {error.strerror}", path) from error
    if any(map(_NAME.fullmatch, names)):
        return storage
    if not for_writing:
        raise NotALogError(f"{path}: this directory holds no log segment (00000001.seg)", path)
    if set(names) - {_LOCK, _MARK}:
        message = f"{path}: this directory holds other files and no log; name an empty or new one"
        raise NotALogError(message, path)
    return storage


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


def _name(segment: int) -> str:
    return f"{segment:08d}.seg"


def _write_all(file: int, data: bytes) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, memoryview(data)[written:])


def _sync_data(file: int) -> None:
    getattr(os, "fdatasync", os.fsync)(file)


def _sync_directory(path: Path) -> None:
    if os.name == "nt":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
