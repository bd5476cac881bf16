"""One actor's turns are found in a long log; and a very long one is opened.

Three logs are made once for all rounds: of N turns of 70 bytes, of a tenth as many, and of N turns
of 1,000 bytes.  Ten actors have 100 turns each in the first and in the second, spread evenly.
The files are in the system's cache when they are read.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from .append import open_log, write_pending
from .registry import Benchmark, Figure, Side, prepared
from .turns import ACTORS, BATCH, Record, Stopwatch, settle, turn

if TYPE_CHECKING:
    from rescind.events import LogWriter

RARE = range(ACTORS + 1, ACTORS + 11)
"""The actors that are looked up."""
RARE_TURNS = 100
LONG_TEXT = "x" * 976
"""With it a turn has 1,000 bytes when it is packed, and 10,000,000 turns have 10 GB."""
LIMIT_MS = 100.0
TENTH = 10
TAIL_SHARE = 200
"""The writer that is gone had written one turn of so many since its segment began: 50 MB."""
CHUNK_BYTES = 1 << 20

OPENED = ("reader", "writer", "after kill")
OPENED_IO = tuple(f"{name} io" for name in OPENED)

_IO = Path("/proc/self/io")


# --- made once ---------------------------------------------------------------------------------


def prepare(n: int, place: Path) -> None:
    write_with_rare(place / "turns.log", n)
    write_with_rare(place / "tenth.log", n // TENTH)
    write_long(place / "long.log", n)
    settle(place)


def write_with_rare(path: Path, n: int) -> None:
    every, step = distance(n)
    log = open_log(path)
    for start in range(0, n, BATCH):
        log.extend([turn_at(at, every, step) for at in range(start, min(start + BATCH, n))])
        write_pending(log)
    log.close()


def distance(n: int) -> tuple[int, int]:
    """How far a rare actor's turns are apart, and the turns of two such actors."""
    step = max(1, n // RARE_TURNS // len(RARE))
    return step * len(RARE), step


def turn_at(index: int, every: int, step: int) -> Record:
    which, rest = divmod(index % every, step)
    return turn(index) if rest else turn(index, actor=RARE[which])


def write_long(path: Path, n: int) -> None:
    log = open_log(path)
    extend_long(log, n)
    log.close()
    leave_open(path, n)


def extend_long(log: "LogWriter", n: int) -> None:
    """The same batch again and again: only its length matters here."""
    batch = [turn(index, text=LONG_TEXT) for index in range(BATCH)]
    for start in range(0, n, BATCH):
        log.extend(batch[: n - start])
        write_pending(log)


def leave_open(path: Path, n: int) -> None:
    """Append, and end as a killed process does: with a segment that nobody sealed."""
    extend_long(open_log(path), max(1, n // TAIL_SHARE))


# --- ours --------------------------------------------------------------------------------------


def ours(n: int) -> Mapping[str, float]:
    place = prepared()
    long = place / "long.log"
    figures = {"lookup": lookup_ms(place / "turns.log", n)}
    figures |= measured("reader", lambda: first_turn(long))
    # The round before, or ``prepare``, ended without closing the log; here it is closed.
    figures |= measured("after kill", lambda: open_log(long).close())
    figures |= measured("writer", lambda: open_log(long).close())
    leave_open(long, n)
    return figures


def in_the_tenth(n: int) -> Mapping[str, float]:
    return {"lookup": lookup_ms(prepared() / "tenth.log", n // TENTH)}


def lookup_ms(path: Path, n: int) -> float:
    """The median over the rare actors; the first is looked up twice, to warm up."""
    every, step = distance(n)
    times_ms: list[float] = []
    for which, actor in enumerate((RARE[0], *RARE), -1):
        numbers = list(range(max(which, 0) * step + 1, n + 1, every))
        watch = Stopwatch()
        found = numbers_of(path, actor)
        times_ms.append(watch.seconds() * 1e3)
        assert found == numbers, f"of actor {actor} {len(found)} turns and not {len(numbers)}"
    return median(times_ms[1:])


def numbers_of(path: Path, actor: int) -> list[int]:
    from rescind.events import read

    return [found.number for found in read(path, actor=actor)]


def first_turn(path: Path) -> object:
    from rescind.events import read

    return next(iter(read(path)))


def measured(name: str, work: Callable[[], object]) -> Mapping[str, float]:
    """How many milliseconds the work takes, and how many KiB the process reads meanwhile."""
    import rescind.events  # noqa: F401 - what loading it reads does not count

    before = read_bytes()
    watch = Stopwatch()
    work()
    seconds = watch.seconds()
    return {name: seconds * 1e3, f"{name} io": (read_bytes() - before) / 1024}


def read_bytes() -> int:
    """What this process asked the system to read, from a disk or from the cache."""
    rows = dict(line.split(": ") for line in _IO.read_text(encoding="ascii").splitlines())
    return int(rows["rchar"])


# --- what they are held against ----------------------------------------------------------------


def limit(_n: int) -> Mapping[str, float]:
    return {"lookup": LIMIT_MS}


def whole(_n: int) -> Mapping[str, float]:
    """Read the long log from its beginning to its end, and do nothing with it."""
    found = measured("all", lambda: read_all(prepared() / "long.log"))
    times = dict.fromkeys(OPENED, found["all"])
    return times | dict.fromkeys(OPENED_IO, found["all io"])


def read_all(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        file = os.open(path, os.O_RDONLY)
        while os.read(file, CHUNK_BYTES):
            pass
        os.close(file)


BENCHMARK = Benchmark(
    name="lookup",
    says="find one actor's turns among N, and open a log of N turns of 1,000 bytes",
    ours=Side("ours", ours, 10_000_000, 1_000_000),
    peers=(
        Side("limit", limit, 10_000_000, 1_000_000, figures=("lookup",)),
        Side("tenth", in_the_tenth, 10_000_000, 1_000_000, figures=("lookup",)),
        Side("whole", whole, 10_000_000, 1_000_000, figures=OPENED + OPENED_IO),
    ),
    figures=(
        # Within 20 %: the long log may take 1.2 times as long as the short one.
        Figure("lookup", "ms", False, {"limit": 1.0, "tenth": 1 / 1.2}),
        *(Figure(name, "ms", False) for name in OPENED),
        *(Figure(name, "KiB", False, {"whole": 100}) for name in OPENED_IO),
    ),
    prepare=prepare,
)
