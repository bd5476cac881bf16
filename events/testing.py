"""Checks for whoever wants to know that a log survives, on their own disk and file system.

Three sorts of harm, each as a generator of ``Remains``, that is of what is left of a log:

- crashes: ``process_crashes`` and ``power_losses``, from what a ``RecordingStorage`` noted;
- cuts: ``prefixes``, every length at which a segment can have been cut off;
- rot: ``bit_flips``, every single bit of a log, and ``bad_sectors``.

``LogCheck.problems`` says what is not as it should be with one of them: nothing may be read
wrongly, what was acknowledged must be there, every number must be read or reported as lost, and
the log must go on without giving a number twice.

``check_directory`` does the whole of it in a folder of yours.  Nothing here needs a test framework
or draws lots: the same arguments do the same everywhere.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from ._crashes import (
    Bounds,
    Operation,
    RecordingStorage,
    Remains,
    power_losses,
    process_crashes,
)
from ._errors import RescindError
from ._journal import Log, LogWriter
from ._reader import read
from ._storage import DirectoryStorage, Storage, open_directory
from ._turn import Damage, Turn
from ._vocabulary import Origin, Tell

__all__ = [
    "Bounds",
    "LogCheck",
    "Operation",
    "RecordingStorage",
    "Remains",
    "bad_sectors",
    "bit_flips",
    "check_directory",
    "check_written",
    "evenly",
    "power_losses",
    "prefixes",
    "process_crashes",
    "remains_of",
    "turn_of",
    "write_life",
]


_SEGMENT_BYTES_MAX = 16 * 1024


# --- what was written --------------------------------------------------------------------------


def turn_of(number: int, epoch: int) -> Turn:
    """The turn that ``write_life`` writes under a number: nobody has to remember it."""
    value = sha256(f"{number} {epoch}".encode()).digest() * (number % 5)
    actor = number % 3 + 1
    message = Tell(value)
    return Turn(number, number, epoch, actor, Origin.APP, None, message, (), None, replayable=True)


def write_life(
    storage: Storage | str | os.PathLike[str],
    tell: Callable[[int], None],
    *,
    durability: str,
    batches: Iterable[int],
    segment_bytes_max: int = _SEGMENT_BYTES_MAX,
) -> int:
    """Open a log, write ``turn_of`` each number, and close it.

    Args:
        storage: Where.
        tell: Called with the last number whenever something was acknowledged; on opening too,
            since whoever opens a log builds on what is there.
        durability: ``os`` or ``disk``.
        batches: How many records to write together, each time; endless to write until the end.
        segment_bytes_max: When to begin a new segment; small, so that it happens often.

    Returns:
        The last record's number.
    """
    if isinstance(storage, str | os.PathLike):
        storage = open_directory(storage, for_writing=True)
    log = _open(storage, durability, segment_bytes_max)
    try:
        tell(log.last_number)
        for count in batches:
            _write(log, count)
            tell(log.last_number)
    finally:
        log.close()
    return log.last_number


def _open(storage: Storage, durability: str, segment_bytes_max: int) -> LogWriter:
    return Log.create_or_open(
        None,
        storage=storage,
        durability=durability,
        segment_bytes_max=segment_bytes_max,
        entropy=_no_entropy,
    )


def _write(log: LogWriter, count: int) -> None:
    for _ in range(count):
        turn = turn_of(log.last_number + 1, log.epoch)
        message = (log.kind_ids[Tell], *turn.message)
        log.append((turn.actor, turn.time_ns, turn.origin, 0, message, (), None))
    if (batch := log.seal()) is not None:
        log.write(batch)


def _no_entropy(size: int) -> bytes:
    return bytes(range(1, size + 1))


# --- what may be left of it --------------------------------------------------------------------


def remains_of(source: Storage | str | os.PathLike[str], last: int = 0) -> Remains:
    """A whole log as it is, to be damaged; it is held in memory.

    Args:
        source: The log's directory, or a storage.
        last: The last record's number, all of which must be read.
    """
    storage = DirectoryStorage(source) if isinstance(source, str | os.PathLike) else source
    segments = {n: storage.read(n, 0, storage.size(n)) for n in storage.segments()}
    return Remains("nothing happened", segments, storage.mark(), last, last)


def prefixes(whole: Remains, *, step: int = 1) -> Iterator[Remains]:
    """Every segment cut off at every length, or at every ``step``-th.

    A last segment that is cut tells nothing of what stood behind the cut; any other must.
    """
    for number, data in whole.segments.items():
        last = number == max(whole.segments)
        for length in range(0, len(data), step):
            segments = whole.segments | {number: data[:length]}
            accounted = 0 if last else whole.accounted
            yield Remains(
                f"segment {number} was cut at byte {length}",
                segments,
                whole.mark,
                accounted=accounted,
            )


def bit_flips(whole: Remains, *, step: int = 1) -> Iterator[Remains]:
    """Every segment with every single bit changed, or every ``step``-th; all must be noticed."""
    for number, data in whole.segments.items():
        for bit in range(0, len(data) * 8, step):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield Remains(
                f"bit {bit} of segment {number} was flipped",
                whole.segments | {number: bytes(changed)},
                whole.mark,
                accounted=whole.accounted,
                rotten=True,
            )


def bad_sectors(whole: Remains, *, sector_bytes: int = 512) -> Iterator[Remains]:
    """Every sector of every segment as noise, and as zeros.

    Zeros at a log's end are taken for what was never written, so they account for nothing there.
    """
    for number, data in whole.segments.items():
        for at in range(0, len(data), sector_bytes):
            sector = data[at : at + sector_bytes]
            noise = bytes(byte ^ 0xA5 for byte in sector)
            for sort, filling in ("noise", noise), ("zeros", bytes(len(sector))):
                if filling == sector:
                    continue
                changed = data[:at] + filling + data[at + len(sector) :]
                unwritten = sort == "zeros" and number == max(whole.segments)
                yield Remains(
                    f"{len(sector)} bytes of segment {number} at {at} are {sort}",
                    whole.segments | {number: changed},
                    whole.mark,
                    accounted=0 if unwritten else whole.accounted,
                    rotten=True,
                )


# --- what must hold ----------------------------------------------------------------------------


class LogCheck:
    """Knows all that was ever written to a log, and says what is wrong with what is left of it."""

    def __init__(self, written: Callable[[int, int], Turn | None] = turn_of) -> None:
        """Check against ``written``, which gives the turn of a number and an epoch."""
        self._written = written

    @classmethod
    def of(cls, turns: Iterable[Turn]) -> "LogCheck":
        """Check against turns that were read when the log was whole."""
        known = {(turn.number, turn.epoch): turn for turn in turns}
        return cls(lambda number, epoch: known.get((number, epoch)))

    def problems(
        self, remains: Remains, storage: Storage | None = None, *, go_on: bool = True
    ) -> list[str]:
        """What is not as it should be; empty when all is well.

        Args:
            remains: What is left, and what must be true of it.
            storage: Where it was laid down, to be read and written on there; else in memory.
            go_on: Whether to write on it; without, it is only read, which is faster.
        """
        storage = storage or remains.storage()
        try:
            found = [*self._read(remains, storage, go_on=go_on)]
        except Exception as error:  # noqa: BLE001 - recorded: nothing undocumented may come out
            found = [f"{type(error).__name__}: {error}"]
        return [f"{remains.what}: {problem}" for problem in found]

    def _read(self, remains: Remains, storage: Storage, *, go_on: bool) -> Iterator[str]:
        try:
            turns, damage = _read_all(storage)
            yield from self._wrong(turns)
            yield from _unaccounted(turns, damage, remains)
            yield from self._selected_wrongly(storage, turns, damage)
            if remains.rotten and not damage:
                yield "the change is not reported"
            log = _open(storage, "disk", _SEGMENT_BYTES_MAX) if go_on else None
        except RescindError as error:
            # Refused as a whole and in words: no wrong read, but nothing acknowledged is there.
            if remains.acknowledged:
                yield f"{remains.acknowledged} records were acknowledged, and {error}"
            return
        if log is not None:
            yield from _go_on(log, turns, remains)

    def _selected_wrongly(
        self, storage: Storage, turns: list[Turn], damage: list[Damage]
    ) -> Iterator[str]:
        """Reading a part, by number or index, must find and miss what reading all of it does."""
        last = turns[-1].number if turns else 0
        lost = [n for first, end in _gaps(damage, last) for n in range(first, min(end, last) + 1)]
        middle = turns[len(turns) // 2].number if turns else 1
        actors = {number: self._actors_of(number, storage) for number in lost}
        for actor in (None, *{turn.actor for turn in turns[-2:]}):
            reader = read(storage, start=middle, actor=actor)
            found = list(reader)
            yield from self._wrong(found)
            wanted = [t.number for t in turns if t.number >= middle and actor in (None, t.actor)]
            if [turn.number for turn in found] != wanted:
                yield f"from {middle} on, of actor {actor}, not all is found that is there"
            told = _gaps(reader.damage, last)
            for number in lost:
                is_wanted = number >= middle and (actor is None or actor in actors[number])
                if is_wanted and not any(first <= number <= end for first, end in told):
                    yield f"{number} is lost, and reading actor {actor} does not say so"

    def _actors_of(self, number: int, storage: Storage) -> set[int]:
        """Who may have taken a record that is lost."""
        written = [self._written(number, epoch) for epoch in read(storage).epochs]
        return {turn.actor for turn in written if turn is not None}

    def _wrong(self, turns: list[Turn]) -> Iterator[str]:
        for turn in turns:
            if not _same(turn, self._written(turn.number, turn.epoch)):
                yield f"read wrongly: {turn}"


def _same(turn: Turn, original: Turn | None) -> bool:
    """Whether nothing is wrong in a turn; bindings that damage took say so by ``?``."""
    if original and turn.by and "?" in (turn.by.who, turn.by.file):
        turn = replace(turn, by=original.by)
    return turn == original


def _read_all(storage: Storage) -> tuple[list[Turn], list[Damage]]:
    reader = read(storage, verify_chain=True)
    return list(reader), reader.damage


def _unaccounted(turns: list[Turn], damage: list[Damage], remains: Remains) -> Iterator[str]:
    """Numbers that are neither read nor reported as lost, or both, or lost against a promise."""
    numbers = [turn.number for turn in turns]
    gaps = _gaps(damage, max([remains.accounted, *numbers]))
    spans = sorted([*gaps, *((number, number) for number in numbers)])
    expected = spans[0][0] if spans and _may_begin_later(remains) else 1
    for first, last in spans:
        if first > expected:
            yield f"{expected} to {first - 1} are neither read nor reported as lost"
        if first < expected:
            yield f"{first} comes twice, read or reported as lost"
        expected = last + 1
    if expected <= remains.accounted:
        yield f"{expected} to {remains.accounted} are neither read nor reported as lost"
    if numbers != sorted(numbers):
        yield "numbers do not ascend"
    for first, last in gaps:
        if any(n not in remains.lost for n in range(first, min(last, remains.acknowledged) + 1)):
            yield f"{first} was acknowledged and is lost"


def _may_begin_later(remains: Remains) -> bool:
    """Whether the first segments may be gone without a word, as if they were removed on purpose."""
    lost = min(remains.segments, default=1) > 1 and not remains.acknowledged
    return remains.pruned or lost


def _gaps(damage: list[Damage], end: int) -> list[tuple[int, int]]:
    """What is reported as lost, as ascending spans; two places may report the same numbers."""
    spans = [
        (place.first, max(place.first, end) if place.last is None else place.last)
        for place in damage
        if place.first is not None
    ]
    gaps: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if gaps and first <= gaps[-1][1]:
            gaps[-1] = (gaps[-1][0], max(last, gaps[-1][1]))
        else:
            gaps.append((first, last))
    return gaps


def _go_on(log: LogWriter, turns: list[Turn], remains: Remains) -> Iterator[str]:
    """Write one record more; everything that could be read before must be read as before."""
    _write(log, 1)
    log.close()
    number, storage = log.last_number, log.storage
    again, damage = _read_all(storage)
    if number <= remains.accounted:
        yield f"number {number} is given a second time"
    if again != [*turns, turn_of(number, log.epoch)]:
        yield f"after one record more, {len(turns)} turns read as {len(again)} others"
    yield from _unaccounted(again, damage, replace(remains, accounted=number))
    for segment, data in remains.segments.items():
        if storage.read(segment, 0, len(data) + 1) != data:
            yield f"going on changed segment {segment}"


# --- on a real disk ----------------------------------------------------------------------------


def evenly(states: Callable[[], Iterable[Remains]], at_most: int) -> Iterator[Remains]:
    """Some of many states, spread over all of them; ``states`` is called twice."""
    total = sum(1 for _ in states())
    yield from islice(states(), 0, None, max(1, -(-total // at_most)))


def check_directory(path: str | os.PathLike[str], *, states_max: int = 100) -> list[str]:
    """Run the checks on a disk and file system of yours, with real files and real syncs.

    A log is written in two lives at ``disk`` and read back, as far as the system allows past its
    cache.  Then the states that a power failure could have left are laid down as files, read and
    written on.

    This shows that the log and this file system understand each other: names, lengths, locks,
    holes, syncs that do not fail.  It does **not** show that a sync reaches the medium: a disk
    that only says so passes.  For that, power must be cut: run ``write_life`` here with endless
    ``batches`` and a ``tell`` that hands each number to another machine, cut the power while it
    runs, and give the last number that arrived there to ``check_written``.

    Args:
        path: A folder that does not exist yet; it is made, and left for you to look at.
        states_max: How many states to lay down.

    Returns:
        What was not as it should be, one sentence each; empty when all is well.
    """
    folder = Path(path)
    folder.mkdir()
    log = folder / "log"
    recording = RecordingStorage(DirectoryStorage(log))
    tell = partial(recording.acknowledge, durable=True)
    write_life(recording, tell, durability="disk", batches=[1, 2, 9] * 4)
    last = write_life(recording, tell, durability="disk", batches=[1, 2, 9] * 4)
    _drop_cached(log)
    check = LogCheck()
    found = [
        *check_written(log, last),
        *check.problems(remains_of(log, last), DirectoryStorage(log)),
    ]
    bounds = Bounds(all_up_to=6, pairs_up_to=0)
    for state in evenly(lambda: power_losses(recording.operations, bounds), states_max):
        with TemporaryDirectory(dir=folder) as place:
            found += check.problems(state, _laid_down(state, Path(place)))
    return found


def check_written(path: str | os.PathLike[str], acknowledged: int) -> list[str]:
    """Check a log that ``write_life`` wrote until it was stopped, by a kill or a power failure.

    It is only read, in memory that does not grow with it.

    Args:
        path: The log's directory.
        acknowledged: The last number that was told.
    """
    found: list[str] = []
    reader = read(path, verify_chain=True)
    number = 0
    for number, turn in enumerate(reader, 1):
        if turn.number != number or turn != turn_of(number, turn.epoch):
            found.append(f"{number} is missing or read wrongly")
            break
    else:
        if number < acknowledged:
            found.append(f"{acknowledged} was acknowledged, and the log ends with {number}")
    return [*found, *(place.text for place in reader.damage if not place.torn)]


def _laid_down(remains: Remains, place: Path) -> DirectoryStorage:
    storage = DirectoryStorage(place)
    storage.lock()
    for segment, data in remains.segments.items():
        storage.create(segment, data, sync=True)
    if remains.mark:
        storage.set_mark(remains.mark, sync=True)
    storage.close()
    return storage


def _drop_cached(directory: Path) -> None:
    """Ask the system to forget what it holds in memory of files, so that it reads the medium."""
    if not hasattr(os, "posix_fadvise"):
        return
    for each in directory.iterdir():
        file = os.open(each, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
