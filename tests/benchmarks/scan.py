"""A log of N turns is read from its beginning to its end.

Every side writes its own file first, outside the time, and reads it from the system's cache.
"""

import os
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from zlib import crc32

from msgpack import Unpacker, packb  # type: ignore[import-untyped]

from .append import (
    TRANSACTION,
    extend,
    open_log,
    write_eventsourcing,
    write_mcap,
    write_sqlite,
)
from .registry import Benchmark, Figure, Side
from .turns import BATCH, Stopwatch, batches, folder, open_file


def consume(items: Iterable[object]) -> None:
    """Take all, in C; a loop would be a part of what is measured."""
    deque(items, maxlen=0)


def ours(n: int) -> Mapping[str, float]:
    from rescind.events import read

    with folder() as place:
        log = open_log(place / "turns.log")
        extend(log, batches(n))
        log.close()
        watch = Stopwatch()
        consume(read(place / "turns.log").batches())
        raw = watch.seconds()
        reader = read(place / "turns.log")
        watch = Stopwatch()
        consume(reader)
        turns = watch.seconds()
        assert not reader.damage
        return {"raw": n / raw, "turns": n / turns}


def ceiling(n: int) -> Mapping[str, float]:
    """Read, verify the checksum, unpack; a batch's turns are at hand together, as on our side.

    One Unpacker for all batches; a new one for each takes as long.
    """
    with folder() as place:
        sums = write_packed(place / "turns", n)
        file = os.open(place / "turns", os.O_RDONLY)
        unpacker = Unpacker(use_list=False)
        watch = Stopwatch()
        for length, checksum in sums:
            body = os.read(file, length)
            assert crc32(body) == checksum
            unpacker.feed(body)
            assert list(unpacker)
        seconds = watch.seconds()
        os.close(file)
        return scanned(n, seconds)


def write_packed(path: Path, n: int) -> list[tuple[int, int]]:
    """Write batches as the ceiling of ``append`` does; return their lengths and checksums."""
    sums: list[tuple[int, int]] = []
    file = open_file(path)
    for batch in batches(n):
        body = b"".join(map(packb, batch))
        os.write(file, body)
        sums.append((len(body), crc32(body)))
    os.close(file)
    return sums


def scanned(n: int, seconds: float) -> Mapping[str, float]:
    """One figure under both names: only ours has two ways."""
    return {"raw": n / seconds, "turns": n / seconds}


def with_sqlite(n: int) -> Mapping[str, float]:
    """What comes out is packed still; and no page is verified, for SQLite has no checksums."""
    import sqlite3

    with folder() as place:
        path = place / "turns.sqlite"
        write_sqlite(path, batches(n))
        watch = Stopwatch()
        database = sqlite3.connect(path)
        consume(database.execute("SELECT number, record FROM turns ORDER BY number"))
        seconds = watch.seconds()
        database.close()
        return scanned(n, seconds)


def with_mcap(n: int) -> Mapping[str, float]:
    """What comes out is packed still; checksums are verified."""
    from mcap.reader import make_reader

    with folder() as place:
        path = place / "turns.mcap"
        write_mcap(path, batches(n))
        watch = Stopwatch()
        with path.open("rb") as file:
            consume(make_reader(file, validate_crcs=True).iter_messages(log_time_order=False))
        return scanned(n, watch.seconds())


def with_eventsourcing(n: int) -> Mapping[str, float]:
    """What comes out is packed still; notifications come in sections of a batch's length."""
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    with folder() as place:
        path = place / "turns.sqlite"
        write_eventsourcing(path, batches(n, TRANSACTION))
        store = SQLiteDatastore(str(path))
        recorder = SQLiteApplicationRecorder(store)
        watch = Stopwatch()
        for start in range(1, n + 1, BATCH):
            consume(recorder.select_notifications(start, BATCH))
        seconds = watch.seconds()
        store.close()
        return scanned(n, seconds)


BENCHMARK = Benchmark(
    name="scan",
    says="read N turns of 70 bytes",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("ceiling", ceiling, 1_000_000, 100_000),
        Side("sqlite", with_sqlite, 1_000_000, 100_000),
        Side("mcap", with_mcap, 100_000, 10_000, needs="mcap"),
        Side("eventsourcing", with_eventsourcing, 100_000, 10_000, needs="eventsourcing"),
    ),
    figures=(
        Figure("raw", "1/s", True, {"ceiling": 0.8}),
        Figure("turns", "1/s", True),
    ),
)
