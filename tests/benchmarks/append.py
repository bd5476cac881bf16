"""Turns of 70 bytes go to a log: as fast as they can be packed, and with 64 writers that wait.

All sides get turns that exist already.  SQLite, MCAP and eventsourcing get them packed: they are
timed for storing only, ours and the ceiling for packing too.  Closing is part of the time.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from msgpack import Packer, packb  # type: ignore[import-untyped]

from .registry import Benchmark, Figure, Side
from .turns import ACTORS, TELL, Record, Stopwatch, batches, folder, open_file, settle

if TYPE_CHECKING:
    from rescind.events import LogWriter

Batches: TypeAlias = list[list[Record]]

WRITERS = 64
DISK_SHARE = 10
"""One turn of so many is written at ``disk``: there the medium takes most of the time."""
FRAME_BYTES = 84
"""About what ours adds to a batch; the bare loop writes as much."""
TRANSACTION = 100
"""How many events eventsourcing records at once."""


# --- ours --------------------------------------------------------------------------------------


def ours(n: int) -> Mapping[str, float]:
    made = batches(n)
    waiting = list(chain.from_iterable(made))[: disk_share(n)]
    return {
        "os": n / write_ours(made, extend),
        "one by one": n / write_ours(made, append),
        "disk": len(waiting) / write_waiting(waiting),
    }


def disk_share(n: int) -> int:
    return max(1, n // DISK_SHARE)


def write_ours(made: Batches, write: Callable[["LogWriter", Batches], None]) -> float:
    with folder() as place:
        log = open_log(place / "turns.log")
        watch = Stopwatch()
        write(log, made)
        log.close()
        return watch.seconds()


def open_log(path: Path, durability: str = "os") -> "LogWriter":
    from rescind.events import Log, Tell

    log = Log.create_or_open(path, durability=durability)
    assert log.kind_ids[Tell] == TELL
    return log


def extend(log: "LogWriter", made: Batches) -> None:
    for batch in made:
        log.extend(batch)
        write_pending(log)


def append(log: "LogWriter", made: Batches) -> None:
    for batch in made:
        for record in batch:
            log.append(record)
        write_pending(log)


def write_pending(log: "LogWriter") -> bool:
    batch = log.seal()
    if batch is not None:
        log.write(batch)
    return batch is not None


def write_waiting(records: Sequence[Record]) -> float:
    """Each of 64 writers appends its next turn when the batch with its last is on the disk."""
    with folder() as place:
        log = open_log(place / "turns.log", "disk")
        writers = [writer(log, records[at::WRITERS]) for at in range(WRITERS)]
        settle(place)
        watch = Stopwatch()
        wake(writers)
        while write_pending(log):
            wake(writers)
        seconds = watch.seconds()
        assert log.last_number == len(records)
        log.close()
        return seconds


def writer(log: "LogWriter", records: Sequence[Record]) -> Iterator[int]:
    for record in records:
        yield log.append(record)


def wake(writers: Sequence[Iterator[int]]) -> None:
    for each in writers:
        next(each, None)


# --- what no log can beat ----------------------------------------------------------------------


def ceiling(n: int) -> Mapping[str, float]:
    """Pack each turn, checksum, write: a log takes turns one by one, so it packs them one by one.

    A Packer with autoreset=False, called in a loop, is as fast within a few per cent.
    """
    pack = Packer().pack
    return write_raw(n, lambda batch: b"".join(map(pack, batch)))


def whole_batches(n: int) -> Mapping[str, float]:
    """The same with one call to pack for a batch, which ``extend`` does too."""
    return write_raw(n, Packer().pack)


def write_raw(n: int, pack: Callable[[list[Record]], bytes]) -> Mapping[str, float]:
    made = batches(n)
    with folder() as place:
        file = open_file(place / "turns")
        watch = Stopwatch()
        for batch in made:
            body = pack(batch)
            crc32(body)
            os.write(file, body)
        os.close(file)
        return stored(n, watch.seconds())


def bare(n: int) -> Mapping[str, float]:
    """Write and fdatasync, batch by batch; the bytes were there before, as many as ours writes."""
    count = disk_share(n)
    made = [b"".join(map(packb, batch)) + bytes(FRAME_BYTES) for batch in batches(count, WRITERS)]
    with folder() as place:
        file = open_file(place / "turns")
        settle(place)
        watch = Stopwatch()
        for data in made:
            os.write(file, data)
            os.fdatasync(file)
        seconds = watch.seconds()
        os.close(file)
        return {"disk": count / seconds}


# --- others ------------------------------------------------------------------------------------


def stored(n: int, seconds: float) -> Mapping[str, float]:
    """One figure under both names: only ours has two ways."""
    return {"os": n / seconds, "one by one": n / seconds}


def with_sqlite(n: int) -> Mapping[str, float]:
    made = batches(n)
    with folder() as place:
        return stored(n, write_sqlite(place / "turns.sqlite", made))


def write_sqlite(path: Path, made: Batches) -> float:
    """A transaction for each batch; what is committed survives the process, as at ``os``."""
    import sqlite3

    rows = [[(packb(record),) for record in batch] for batch in made]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE turns (number INTEGER PRIMARY KEY, record BLOB NOT NULL)")
    watch = Stopwatch()
    for batch in rows:
        database.execute("BEGIN")
        database.executemany("INSERT INTO turns (record) VALUES (?)", batch)
        database.execute("COMMIT")
    database.close()
    return watch.seconds()


def with_mcap(n: int) -> Mapping[str, float]:
    made = batches(n)
    with folder() as place:
        return stored(n, write_mcap(place / "turns.mcap", made))


def write_mcap(path: Path, made: Batches) -> float:
    """Chunks with checksums and indexes, uncompressed, handed to the system after each batch.

    The hand-over ends a chunk and costs nothing: chunks of its own size take 10 % longer.
    """
    from mcap.writer import CompressionType, Writer

    messages = [[(record[1], packb(record)) for record in batch] for batch in made]
    number = 0
    with path.open("xb") as file:
        watch = Stopwatch()
        log = Writer(file, compression=CompressionType.NONE, enable_crcs=True)
        log.start()
        channel = log.register_channel("turns", "msgpack", 0)
        for batch in messages:
            for time_ns, data in batch:
                number += 1
                log.add_message(channel, time_ns, data, time_ns, number)
            log.flush()
        log.finish()
    return watch.seconds()


def with_eventsourcing(n: int) -> Mapping[str, float]:
    made = batches(n, TRANSACTION)
    with folder() as place:
        return stored(n, write_eventsourcing(place / "turns.sqlite", made))


def write_eventsourcing(path: Path, made: Batches) -> float:
    """The recorder of its applications, which puts all events into one order, as a log does."""
    from uuid import UUID

    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    def event(record: Record) -> StoredEvent:
        actor, _, _, index, *_ = record
        return StoredEvent(UUID(int=actor), index // ACTORS + 1, "Tell", packb(record))

    events = [[event(record) for record in batch] for batch in made]
    store = SQLiteDatastore(str(path))
    recorder = SQLiteApplicationRecorder(store)
    recorder.create_table()
    watch = Stopwatch()
    for each in events:
        recorder.insert_events(each)
    store.close()
    return watch.seconds()


STORES = ("os", "one by one")

BENCHMARK = Benchmark(
    name="append",
    says="write N turns of 70 bytes",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("bare", bare, 1_000_000, 100_000, figures=("disk",)),
        Side("ceiling", ceiling, 1_000_000, 100_000, figures=STORES),
        Side("whole-batches", whole_batches, 1_000_000, 100_000, figures=STORES),
        Side("sqlite", with_sqlite, 1_000_000, 100_000, figures=STORES),
        Side("mcap", with_mcap, 100_000, 10_000, figures=STORES, needs="mcap"),
        Side(
            "eventsourcing", with_eventsourcing, 100_000, 10_000,
            figures=STORES, needs="eventsourcing",
        ),
    ),
    figures=(
        Figure("os", "1/s", True, {"ceiling": 0.8, "sqlite": 1.5, "mcap": 3, "eventsourcing": 20}),
        Figure("one by one", "1/s", True),
        Figure("disk", "1/s", True, {"bare": 0.8}),
    ),
)  # fmt: skip
