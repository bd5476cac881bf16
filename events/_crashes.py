"""A model of media: what a log asked of its storage, and all that a crash may leave of that."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import combinations
from typing import Literal, NamedTuple, TypeAlias

from ._storage import MARK_BYTES_MAX, MemoryStorage, Storage

Sort: TypeAlias = Literal["create", "append", "sync", "settle", "remove", "set_mark", "acknowledge"]


_WRITE_NOTHING = ("acknowledge", "sync", "settle")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a log asked of its storage, or acknowledged to whoever writes it.

    Attributes:
        sort: The method of ``Storage``, or ``acknowledge``.
        segment: The segment's number; for ``acknowledge`` the last acknowledged record's.
        offset: Where the data goes.
        data: The bytes handed over.
        durable: Whether it is durable on return; for ``acknowledge`` whether that was promised.
        failed: Whether the storage raised; what it did before is not known.
    """

    sort: Sort
    segment: int = 0
    offset: int = 0
    data: bytes = field(default=b"", repr=False)
    durable: bool = False
    failed: bool = False


class RecordingStorage:
    """Passes everything on to another storage and notes what may change the medium.

    Attributes:
        path: The other storage's.
        operations: All that was noted, in order.
    """

    def __init__(self, inner: Storage, operations: Sequence[Operation] = ()) -> None:
        """Record over ``inner``; ``operations`` are those that made what it holds already."""
        self.path = inner.path
        self.operations = list(operations)
        self._inner = inner

    def acknowledge(self, number: int, *, durable: bool) -> None:
        """Note that all records up to ``number`` were promised to be kept.

        Call it when ``write`` returned, and when a log was opened, with what it goes on from:
        whoever recovers from these records builds on them.

        Args:
            number: The last record's number.
            durable: Whether a power failure is survived (``disk``), or only this process' end.
        """
        self.operations.append(Operation("acknowledge", number, durable=durable))

    def segments(self) -> list[int]:
        """The numbers of the segments there are, ascending."""
        return self._inner.segments()

    def size(self, segment: int) -> int:
        """How many bytes a segment has now."""
        return self._inner.size(segment)

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only where the segment ends now."""
        return self._inner.read(segment, offset, length)

    def lock(self) -> None:
        """Become the one writer, or raise ``LogLockedError``."""
        self._inner.lock()

    def create(self, segment: int, data: bytes, *, sync: bool) -> None:
        """Begin a segment that must not exist; with ``sync`` it is durable on return."""
        with self._noting(Operation("create", segment, 0, data, sync)):
            self._inner.create(segment, data, sync=sync)

    def append(self, segment: int, offset: int, data: bytes) -> None:
        """Add to the segment created last, which must be ``offset`` bytes long."""
        with self._noting(Operation("append", segment, offset, bytes(data))):
            self._inner.append(segment, offset, data)

    def sync(self, segment: int) -> None:
        """Return when everything appended to the segment created last is durable."""
        with self._noting(Operation("sync", segment)):
            self._inner.sync(segment)

    def settle(self, segment: int) -> None:
        """Make a segment that an earlier writer left durable, and forget what is only cached."""
        with self._noting(Operation("settle", segment)):
            self._inner.settle(segment)

    def remove(self, segment: int) -> None:
        """Remove a whole segment; one that is not there is no error."""
        with self._noting(Operation("remove", segment)):
            self._inner.remove(segment)

    def set_mark(self, mark: bytes, *, sync: bool) -> None:
        """Replace the log's one small cell."""
        padded = mark.ljust(MARK_BYTES_MAX, b"\0")
        with self._noting(Operation("set_mark", 0, 0, padded, sync)):
            self._inner.set_mark(mark, sync=sync)

    def mark(self) -> bytes:
        """What the cell holds."""
        return self._inner.mark()

    def wait(self, timeout_s: float) -> bool:
        """Return after ``timeout_s``, or sooner on a hint of a change; whether it was sooner."""
        return self._inner.wait(timeout_s)

    def close(self) -> None:
        """Give up lock and files; reading may go on."""
        self._inner.close()

    @contextmanager
    def _noting(self, operation: Operation) -> Generator[None]:
        try:
            yield
        except BaseException:
            self.operations.append(replace(operation, failed=True))
            raise
        self.operations.append(operation)


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a log after something happened to it, and what must be true of that.

    Attributes:
        what: What happened, so that it can be found again.
        segments: Every segment's bytes.
        mark: What the small cell holds; empty when there is none.
        acknowledged: All records up to this number must be read, but for removed segments.
        accounted: All up to this number must be read or be reported as lost.
        rotten: Whether there is something wrong that must be reported.
        pruned: Whether old segments may have been removed on purpose.
        history: What made it so, when what is here may still be lost to a power failure; without,
            all of it is durable.
        lost: Numbers that were lost before all this, so that nothing was acknowledged by them.
    """

    what: str
    segments: dict[int, bytes]
    mark: bytes = b""
    acknowledged: int = 0
    accounted: int = 0
    rotten: bool = False
    pruned: bool = False
    history: Sequence[Operation] = field(default=(), repr=False)
    lost: frozenset[int] = frozenset()

    def storage(self) -> RecordingStorage:
        """These bytes as a storage in memory, to be read, written on, and crashed again."""
        memory = MemoryStorage()
        for number, data in self.segments.items():
            memory.create(number, data, sync=True)
        if self.mark:
            memory.set_mark(self.mark, sync=True)
        return RecordingStorage(memory, self.history or self._as_history())

    def _as_history(self) -> list[Operation]:
        made = [Operation("create", n, 0, self.segments[n], durable=True) for n in self.segments]
        if self.mark:
            made.append(Operation("set_mark", 0, 0, self.mark, durable=True))
        return [*made, Operation("acknowledge", self.acknowledged, durable=True)]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far ``power_losses`` goes where all combinations would be too many.

    Attributes:
        sector_bytes: What the medium writes whole or not at all; smaller is more cruel.
        all_up_to: So many pieces that may be lost are tried in all their combinations.
        pairs_up_to: So many are still tried with every pair of them lost.
        samples: How many combinations are drawn beyond that at each moment.
        seed: Which ones.
    """

    sector_bytes: int = 512
    all_up_to: int = 8
    pairs_up_to: int = 32
    samples: int = 16
    seed: int = 0


def process_crashes(
    operations: Sequence[Operation], *, sector_bytes: int = 512, start: int = 0
) -> Iterator[Remains]:
    """Every state that the death of the writing process can leave.

    The operating system keeps all that was handed to it.  The last write was handed over up to
    any sector, because the system may take a long one in pieces.

    Args:
        operations: What a ``RecordingStorage`` noted.
        sector_bytes: Where the last write may be cut.
        start: The number of operations that were over before anything could crash.
    """
    for count in _moments(operations, start, durable=False):
        done, last = operations[: count - 1], operations[count - 1]
        before, pieces = _whole(done), _pieces(last, sector_bytes)
        for kept in range(len(pieces) + 1):
            what = f"the process died in operation {count}, {last}, {kept} pieces of it were done"
            left = _remains(what, _Medium(before).take(pieces[:kept]), operations[:count])
            yield replace(left, history=[*done, *_interrupted(last, pieces[:kept])])


def power_losses(
    operations: Sequence[Operation], bounds: Bounds | None = None, *, start: int = 0
) -> Iterator[Remains]:
    """The states that a power failure can leave: any part of what no sync covers is lost.

    At each moment, that is after each operation has begun, everything that is not covered by a
    sync which returned may be kept or lost in pieces: each sector of each write (lost, it reads as
    zeros, or as the file's end when nothing behind it is kept), each directory entry of a new
    segment (lost, the whole segment is), each removal, each sector of the mark (lost, it is the
    old one's).  A file's length may be on the medium before its data, so that every combination
    comes with files that end where the last kept sector does and with files as long as they were.
    A write or sync that failed leaves pieces that no later sync covers, as a kernel may do that
    takes their pages for clean.

    Up to ``all_up_to`` pieces, all combinations are tried.  Beyond that: every beginning and every
    end of them kept, every single one lost; up to ``pairs_up_to`` of them every pair lost; and
    ``samples`` drawn ones.  Pieces are independent here, also where a real medium keeps an order:
    the model may be more cruel than media are, never kinder.

    Args:
        operations: What a ``RecordingStorage`` noted.
        bounds: How far to go.
        start: The number of operations that were over before anything could crash.
    """
    bounds = bounds or Bounds()
    for count in _moments(operations, start, durable=True):
        begun = operations[:count]
        durable, pending = _settle(begun, bounds.sector_bytes)
        base, full = _Medium().take(durable), _Medium().take([*durable, *pending])
        for choice in _choices(len(pending), bounds):
            kept = [piece for index, piece in enumerate(pending) if choice >> index & 1]
            told = f"{choice:0{len(pending)}b}"[::-1] if pending else "nothing"
            what = f"power was lost in operation {count}, {begun[-1]}; of the unsynced {told} kept"
            ended = _Medium(base).take(kept)
            yield _remains(what, ended, begun, durable=True)
            if ended.extend_like(full):
                yield _remains(f"{what}, files at full length", ended, begun, durable=True)


class _Piece(NamedTuple):
    """The smallest thing that a medium keeps or loses."""

    sort: Literal["entry", "removal", "data", "mark"]
    segment: int
    offset: int = 0
    data: bytes = b""


class _Medium:
    """Segments and mark while pieces are put together."""

    def __init__(self, other: "_Medium | None" = None) -> None:
        self.segments: dict[int, bytearray] = {}
        self.entries: set[int] = set()
        self.mark = bytearray()
        if other is not None:
            self.segments = {number: data[:] for number, data in other.segments.items()}
            self.entries = set(other.entries)
            self.mark = other.mark[:]

    def take(self, pieces: Sequence[_Piece]) -> "_Medium":
        for piece in pieces:
            self._take(piece)
        return self

    def _take(self, piece: _Piece) -> None:
        match piece.sort:
            case "entry":
                self.entries.add(piece.segment)
            case "removal":
                self.entries.discard(piece.segment)
            case "data":
                _put(self.segments.setdefault(piece.segment, bytearray()), piece)
            case "mark":
                _put(self.mark, piece)

    def extend_like(self, other: "_Medium") -> bool:
        """Make files as long as the other's; whether that changes what can be seen."""
        changed = False
        for number in self.entries & other.segments.keys():
            data = self.segments.setdefault(number, bytearray())
            missing = len(other.segments[number]) - len(data)
            data.extend(bytes(max(missing, 0)))
            changed |= missing > 0
        return changed


def _put(target: bytearray, piece: _Piece) -> None:
    target.extend(bytes(max(0, piece.offset - len(target))))
    target[piece.offset : piece.offset + len(piece.data)] = piece.data


def _pieces(operation: Operation, sector_bytes: int) -> list[_Piece]:
    segment, offset, data = operation.segment, operation.offset, operation.data
    match operation.sort:
        case "create":
            return [_Piece("entry", segment), *_sectors("data", segment, 0, data, sector_bytes)]
        case "append":
            return list(_sectors("data", segment, offset, data, sector_bytes))
        case "set_mark":
            return list(_sectors("mark", 0, 0, data, sector_bytes))
        case "remove":
            return [_Piece("removal", segment)]
        case _:
            return []


def _sectors(
    sort: Literal["data", "mark"], segment: int, offset: int, data: bytes, sector_bytes: int
) -> Iterator[_Piece]:
    """A write, cut at the sectors of its file."""
    at = 0
    while at < len(data):
        length = sector_bytes - (offset + at) % sector_bytes
        yield _Piece(sort, segment, offset + at, data[at : at + length])
        at += length


def _whole(operations: Sequence[Operation]) -> _Medium:
    medium = _Medium()
    for operation in operations:
        medium.take(_pieces(operation, max(1, len(operation.data))))
    return medium


def _interrupted(operation: Operation, done: Sequence[_Piece]) -> list[Operation]:
    """What is left of an operation in which the process died."""
    if operation.sort == "acknowledge":
        return [operation]
    data = b"".join(piece.data for piece in done)
    return [replace(operation, data=data, durable=False)] if done else []


def _settle(begun: Sequence[Operation], sector_bytes: int) -> tuple[list[_Piece], list[_Piece]]:
    """What is certainly on the medium, and what may be; the last operation has only begun."""
    durable: list[_Piece] = []
    pending: list[_Piece] = []
    doomed: list[_Piece] = []
    for index, operation in enumerate(begun):
        over = index + 1 < len(begun) and not operation.failed
        pieces = _pieces(operation, sector_bytes)
        if operation.sort in ("sync", "settle"):
            covered = [piece for piece in pending if _is_data_of(operation.segment, piece)]
            pending = [piece for piece in pending if not _is_data_of(operation.segment, piece)]
            target = durable if over else doomed if operation.failed else pending
            target += covered
        elif operation.durable and over:
            # The directory is synced too, and with it all that was done to its entries before.
            durable += [piece for piece in pending if piece.sort in ("entry", "removal")]
            gone = ("entry", "removal", *(["mark"] if operation.sort == "set_mark" else []))
            pending = [piece for piece in pending if piece.sort not in gone]
            durable += pieces
        else:
            target = doomed if operation.failed else pending
            target += pieces
    return durable, doomed + pending


def _is_data_of(segment: int, piece: _Piece) -> bool:
    return piece.sort == "data" and piece.segment == segment


def _moments(operations: Sequence[Operation], start: int, *, durable: bool) -> Iterator[int]:
    """After how many operations a crash leaves something that it did not leave before."""
    for count, operation in enumerate(operations, 1):
        promises = operation.sort == "acknowledge" and (operation.durable or not durable)
        if count > start and (promises or operation.sort not in _WRITE_NOTHING):
            yield count


def _choices(count: int, bounds: Bounds) -> Iterator[int]:
    """Which of ``count`` pieces are kept, as bits."""
    everything = (1 << count) - 1
    if count <= bounds.all_up_to:
        yield from range(everything, -1, -1)
        return
    chosen = [(1 << kept) - 1 for kept in range(count + 1)]
    chosen += [everything ^ kept for kept in chosen]
    chosen += [everything ^ 1 << lost for lost in range(count)]
    if count <= bounds.pairs_up_to:
        chosen += [everything ^ 1 << a ^ 1 << b for a, b in combinations(range(count), 2)]
    chosen += [_draw(bounds.seed, count, sample) for sample in range(bounds.samples)]
    yield from dict.fromkeys(chosen)


def _draw(seed: int, count: int, sample: int) -> int:
    """So many random bits, the same for the same arguments everywhere."""
    bits, block = 0, 0
    while block * 256 < count:
        digest = sha256(f"{seed} {count} {sample} {block}".encode()).digest()
        bits |= int.from_bytes(digest, "big") << 256 * block
        block += 1
    return bits & (1 << count) - 1


def _remains(
    what: str, medium: _Medium, begun: Sequence[Operation], *, durable: bool = False
) -> Remains:
    promises = [each for each in begun if each.sort == "acknowledge"]
    kept = max((each.segment for each in promises if each.durable or not durable), default=0)
    segments = {n: bytes(medium.segments.get(n, b"")) for n in sorted(medium.entries)}
    pruned = any(operation.sort == "remove" for operation in begun)
    return Remains(what, segments, bytes(medium.mark), kept, kept, pruned=pruned)
