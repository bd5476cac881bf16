"""Small logs for the tests of this folder, and ways to change their bytes."""

from itertools import count

from rescind.events import (
    Accepted,
    Ask,
    Born,
    Completed,
    Damage,
    Delivered,
    Log,
    Manner,
    MemoryStorage,
    Origin,
    Start,
    Tell,
    read,
)


def entropy(size):
    return bytes(range(1, size + 1))


def open_log(path=None, **options):
    ticks = count(1_700_000_000_000_000_000, 1_000)
    return Log.create_or_open(path, entropy=entropy, clock_ns=lambda: next(ticks), **options)


def wire(log, kind):
    return (log.kind_ids[type(kind)], *kind)


def record(log, message, *events, cause=0, by=None, actor=1, origin=Origin.APP):
    wired = tuple(wire(log, event) for event in events)
    return (actor, 1_700_000_000, origin, cause, message and wire(log, message), wired, by)


def small_batches(log, batches=3):
    """Write a few batches of one to three records that use every sort of binding and cause."""
    caller = (log.who("MainThread"), log.site("app.py", 7, "main"))
    cls = log.class_("app.Crawler", 1, "00ff00ff00ff00ff")
    for batch in range(batches):
        actor = log.actors_next
        log.actors_next = actor + 1
        start = Start(cls, ["a"], {"k": 1})
        first = log.append(record(log, start, Born(actor, cls, 0), by=caller, actor=actor))
        if batch:
            log.append(record(log, Tell({"n": batch}), cause=first, origin=Origin.ACTOR))
            log.append(record(log, None, Delivered([4, 6, 2, 2], Manner.SCRIPT), cause=(first, 5)))
        else:
            accepted = Accepted(2, 1, "output", True, None, True)
            log.append(record(log, Ask(b"x"), accepted, Completed(2, None, 0, 0)))
        log.write(log.seal())


class FrozenStorage(MemoryStorage):
    """Segments as given, to be read or opened."""

    def __init__(self, segments):
        super().__init__()
        self._segments = {number: bytearray(data) for number, data in segments.items()}


def segments_of(storage):
    return {n: storage.read(n, 0, storage.size(n)) for n in storage.segments()}


def small_log(lives=1, batches=3, *, sealed=False):
    """Return the bytes of a small log, as segment number to bytes.

    Without ``sealed`` every writer ends as by a crash, between two batches.
    """
    storage = MemoryStorage()
    for _ in range(lives):
        log = open_log(storage=storage)
        small_batches(log, batches)
        if sealed:
            log.close()
        storage.close()
    return segments_of(storage)


def turns_of(segments, **options):
    """Return all turns and all damage of a log given as bytes."""
    reader = read(FrozenStorage(segments), **options)
    return list(reader), reader.damage


def lost_numbers(damage: list[Damage], last: int):
    """Return the numbers that the damage declares lost, with open ends taken up to ``last``."""
    lost = set()
    for place in damage:
        if place.first is not None:
            lost |= set(range(place.first, (last if place.last is None else place.last) + 1))
    return lost
