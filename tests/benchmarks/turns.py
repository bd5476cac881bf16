"""What the log's benchmarks share: turns of about 70 bytes, a clock, and a folder to write in.

The turns are made before a clock starts.  Their kind is a bare number, so that a peer need not
load the log to make them.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

Record = tuple[Any, ...]

BATCH = 1_000
"""How many turns are written together."""
ACTORS = 1_000
"""So many actors take turns, one after the other."""
TELL = 3
"""The wire's number for ``Tell``; whoever opens a log checks it."""
TEXT = "x" * 47
"""With it a turn has 70 bytes when it is packed."""

_BEGAN_NS = 1_800_000_000_000_000_000
_MOUNTS = Path("/proc/self/mounts")


def turn(index: int, *, actor: int | None = None, text: str = TEXT) -> Record:
    """The turn with that place in the log, counted from 0."""
    actor = index % ACTORS + 1 if actor is None else actor
    return (actor, _BEGAN_NS + index * 1_000, 1, index, (TELL, text), (), None)


def batches(n: int, length: int = BATCH) -> list[list[Record]]:
    """``n`` turns, in batches."""
    return [list(map(turn, range(at, min(at + length, n)))) for at in range(0, n, length)]


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._began = perf_counter()

    def seconds(self) -> float:
        return perf_counter() - self._began


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rescind-benchmark-") as name:
        yield Path(name)


def open_file(path: Path) -> int:
    """A new file to append to."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)


def settle(path: Path) -> None:
    """Let the system write what others left, and say so where there is no disk at all."""
    os.sync()
    kind = _file_system(path)
    if kind in {"tmpfs", "ramfs"}:
        say = f"note: {path} is on {kind}, where a sync costs nothing; let TMPDIR name a disk"
        print(say, file=sys.stderr)


def _file_system(path: Path) -> str:
    """The kind of file system that holds ``path``; empty where the system does not tell."""
    if not _MOUNTS.exists():
        return ""
    rows = [line.split()[1:3] for line in _MOUNTS.read_text(encoding="utf-8").splitlines()]
    inside = [(point, kind) for point, kind in rows if path.resolve().is_relative_to(point)]
    # The longest point is the innermost; of two on one point the later hides the other.
    innermost = max((len(point) for point, _ in inside), default=0)
    return next((kind for point, kind in reversed(inside) if len(point) == innermost), "")
