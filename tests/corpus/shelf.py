"""What the cases are written with: a storage of bytes, a pen with a fixed clock, and forgery."""

import errno
from hashlib import sha256
from itertools import chain, count, repeat
from typing import TYPE_CHECKING, Any

from rescind.events import (
    Accepted,
    Ask,
    Born,
    Completed,
    Delivered,
    Log,
    Manner,
    MemoryStorage,
    Origin,
    Start,
    Tell,
)
from rescind.events._frame import BATCH, encode, seed_of
from rescind.events._msgpack import pack
from rescind.events._segment import Frame, Opening, Window, read_preamble, walk

if TYPE_CHECKING:
    from pathlib import Path

BEGIN_NS = 1_700_000_000_000_000_000
MS = 1_000_000

Files = dict[str, bytes]
"""File name to content; a name with a slash stands in a directory of that name."""


class Shelf:
    """A storage whose writers may vanish without closing, and whose next sync may fail.

    It is a memory, but not a ``MemoryStorage``, of which writers know that it makes no promise.
    """

    def __init__(self, files: Files | None = None) -> None:
        self.path: Path | None = None
        self.fails_to_sync = False
        self._inner = MemoryStorage()
        for name, data in sorted((files or {}).items()):
            if name == "mark":
                self._inner.set_mark(data, sync=False)
            else:
                self._inner.create(int(name.removesuffix(".seg")), data, sync=False)

    def files(self) -> Files:
        """Return what a directory would hold."""
        found = {
            name_of(number): self.read(number, 0, self.size(number)) for number in self.segments()
        }
        return found | ({"mark": self.mark().ljust(512, b"\0")} if self.mark() else {})

    def segments(self) -> list[int]:
        return self._inner.segments()

    def size(self, segment: int) -> int:
        return self._inner.size(segment)

    def read(self, segment: int, offset: int, length: int) -> bytes:
        return self._inner.read(segment, offset, length)

    def lock(self) -> None: ...

    def create(self, segment: int, data: bytes, *, sync: bool) -> None:
        self._inner.create(segment, data, sync=sync)

    def append(self, segment: int, offset: int, data: bytes) -> None:
        self._inner.append(segment, offset, data)

    def sync(self, segment: int) -> None:
        if self.fails_to_sync:
            raise OSError(errno.EIO, "the medium failed", str(segment))

    def settle(self, segment: int) -> None: ...

    def remove(self, segment: int) -> None:
        self._inner.remove(segment)

    def set_mark(self, mark: bytes, *, sync: bool) -> None:
        self._inner.set_mark(mark, sync=sync)

    def mark(self) -> bytes:
        return self._inner.mark()

    def wait(self, timeout_s: float) -> bool:
        return self._inner.wait(timeout_s)

    def close(self) -> None: ...


def name_of(segment: int) -> str:
    return f"{segment:08d}.seg"


class Chance:
    """Bytes that look random and are the same in every run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = count()

    def __call__(self, size: int) -> bytes:
        return sha256(f"{self._seed} {next(self._calls)}".encode()).digest()[:size]


class Pen:
    """One writer's life on a shelf."""

    def __init__(self, shelf: Shelf, seed: str = "one", **options: Any) -> None:
        ticks = count(BEGIN_NS, MS)
        self.log = Log.create_or_open(
            None,
            storage=shelf,
            entropy=Chance(f"{seed} {len(shelf.segments())}"),
            clock_ns=lambda: next(ticks),
            writer={"rescind": "golden"},
            **options,
        )

    def wire(self, kind: Any) -> tuple[Any, ...]:
        return (self.log.kind_ids[type(kind)], *kind)

    def turn(
        self,
        message: Any,
        *events: Any,
        actor: int = 1,
        time_ns: int | None = None,
        origin: Origin = Origin.APP,
        cause: Any = 0,
        by: tuple[int, int] | None = None,
    ) -> int:
        """Append one record and return its number."""
        if time_ns is None:
            time_ns = BEGIN_NS + self.log.last_number * MS
        wired = None if message is None else self.wire(message)
        decided = tuple(map(self.wire, events))
        return self.log.append((actor, time_ns, origin, cause, wired, decided, by))

    def write(self) -> None:
        batch = self.log.seal()
        if batch is not None:
            self.log.write(batch)

    def close(self) -> None:
        self.log.close()


def tell_story(pen: Pen, rounds: int = 3) -> None:
    """Write a batch of three turns per round: an actor's birth, its first message, an outcome."""
    log = pen.log
    caller = (log.who("MainThread"), log.site("app.py", 7, "main"))
    cls = log.class_("app.Crawler", 1, "00ff00ff00ff00ff")
    for number in range(rounds):
        actor = log.actors_next
        log.actors_next = actor + 2
        first = pen.turn(Start(cls, ["a"], {"k": 1}), Born(actor, cls, 0), actor=actor, by=caller)
        pen.turn(Tell({"n": number}), actor=actor, cause=first, origin=Origin.ACTOR)
        if number % 2:
            request = actor + 1
            delivered = Delivered([request, request], Manner.SCRIPT)
            pen.turn(None, delivered, actor=actor, cause=(first, request))
        else:
            accepted = Accepted(actor + 1, actor, "output", asynchronous=True, timeout_ns=None,
                                started=True)  # fmt: skip
            pen.turn(Ask(b"x"), accepted, Completed(actor + 1, None, 0, 0), actor=actor)
        pen.write()


def story(*, lives: int = 1, rounds: int = 3, closed: bool = True, **options: Any) -> Files:
    """Return a whole log; a life that is not closed has no index at its segment's end."""
    shelf = Shelf()
    for _ in range(lives):
        pen = Pen(shelf, **options)
        tell_story(pen, rounds)
        if closed:
            pen.close()
    return shelf.files()


# --- looking and forging -----------------------------------------------------------------------


def opening_of(files: Files, segment: int = 1) -> Opening:
    opening = read_preamble(Window(Shelf(files), segment))
    assert isinstance(opening, Opening)
    return opening


def blocks_of(files: Files, segment: int = 1) -> list[Frame]:
    """Return the blocks of a whole segment."""
    opening = opening_of(files, segment)
    found = list(walk(Window(Shelf(files), segment), opening.preamble, opening.end))
    return [block for block in found if isinstance(block, Frame)]


def ends_of_batches(files: Files, segment: int = 1) -> list[int]:
    """Return where the preamble and then each batch ends."""
    batches = [block for block in blocks_of(files, segment) if block.header.sort == BATCH]
    ends = [block.offset + block.header.block_bytes for block in batches]
    return [opening_of(files, segment).end, *ends]


def cut(files: Files, length: int, segment: int = 1) -> Files:
    """Return the log with a segment's end cut off."""
    name = name_of(segment)
    return files | {name: files[name][:length]}


def flip(files: Files, offset: int, segment: int = 1) -> Files:
    """Return the log with one byte of a segment changed."""
    name = name_of(segment)
    data = bytearray(files[name])
    data[offset] ^= 0x5A
    return files | {name: bytes(data)}


def overwrite(files: Files, offset: int, data: bytes, segment: int = 1) -> Files:
    """Return the log with bytes of a segment replaced, perhaps behind its end."""
    name = name_of(segment)
    old = files[name]
    return files | {name: old[:offset] + data + old[offset + len(data) :]}


def forge(files: Files, *blocks: tuple[int, int, int, bytes], segment: int = 1) -> Files:
    """Append blocks that verify, whatever is in them: (sort, first, count, body) each."""
    preamble = opening_of(files, segment).preamble
    whole = blocks_of(files, segment)
    head = whole[-1].chain if whole else opening_of(files, segment).chain
    data = files[name_of(segment)]
    for sort, first, records, body in blocks:
        seed = seed_of(segment, len(data), preamble.salt)
        made, head = encode((sort, preamble.epoch, first, records), body, seed, head)
        data += made
    return files | {name_of(segment): data}


PRELUDE = pack((1, ()))


def forged_turns(files: Files, *records: bytes, bindings: tuple[Any, ...] = ()) -> Files:
    """Append batches of one record each, given as bytes."""
    last = blocks_of(files)[-1].header
    numbers = count(last.first + last.records)
    preludes = chain([pack((1, bindings))], repeat(PRELUDE))
    blocks = [
        (BATCH, number, 1, prelude + record)
        for number, prelude, record in zip(numbers, preludes, records, strict=False)
    ]
    return forge(files, *blocks)
