"""Keyframes: the state of every live actor, written in slices between batches, never in a pause.

A keyframe begins at a record number and is written in parts.  Each part is taken whole between two
turns and stamped with the last number before it, so an actor's state is its entry and its events
behind that stamp.  Whoever has the newest complete keyframe needs no record before its beginning.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ._codec import unpack_objects
from ._msgpack import Pack
from ._packing import pack_value

SLICE_ENTRIES = 512
"""Entries in a slice: packing so many takes about a millisecond."""
SLICE_BYTES = 256 * 1024
"""A slice ends early when its entries are long."""
LOG_BYTES_MIN = 4 * 1024 * 1024
"""No keyframe before the log has grown by so much."""
LOG_BYTES_FACTOR = 10
"""... and by so many times the last keyframe's size."""


class Entry(NamedTuple):
    """The state of one live actor.

    Attributes:
        actor: Its number.
        cls: Its class binding.
        state: Whatever its class needs to go on from; None when only its life is known.
    """

    actor: int
    cls: int
    state: Any


Source: TypeAlias = Callable[[], Iterator[Entry | None]]
"""Whoever knows the state of all live actors.

Called when a keyframe begins; what it returns is asked for entries between later turns, under the
baton, a few at a time.  An entry shows its actor's state at the moment when it is asked for; an
actor that has ended meanwhile is left out, and one that was born meanwhile may be.  None says that
it took a while to find nothing: the slice ends there, so that nobody waits longer.
"""


class Pace(NamedTuple):
    """When keyframes begin, and how much of one is taken at once.

    Attributes:
        log_bytes_min: No keyframe before the log has grown by so much since the last one.
        log_bytes_factor: ... and by so many times the last one's size.
        slice_entries: At most so many entries in a slice.
        slice_bytes: A slice ends early when its entries are that long together.
    """

    log_bytes_min: int = LOG_BYTES_MIN
    log_bytes_factor: int = LOG_BYTES_FACTOR
    slice_entries: int = SLICE_ENTRIES
    slice_bytes: int = SLICE_BYTES


USUAL = Pace()
"""The pace unless somebody asks for another."""


class Slice(NamedTuple):
    """One part of a keyframe, packed."""

    number: int
    part: int
    is_last: bool
    body: bytes


class Keyframer:
    """The writer's side: decides when a keyframe begins, and takes its slices."""

    def __init__(self, source: Source, packing: Pack, pace: Pace = USUAL) -> None:
        """Begin without a keyframe."""
        self._source = source
        self._pack = packing
        self._pace = pace
        self._entries: Iterator[Entry | None] | None = None
        self._number = 0
        self._part = 0
        self._bytes = 0
        self._since = 0

    def slice(self, last_number: int, log_bytes: int) -> Slice | None:
        """The next slice, if one is due; called between two turns.

        Args:
            last_number: The last record's number.
            log_bytes: How many bytes this writer has written.
        """
        if self._entries is None:
            factor = self._pace.log_bytes_factor
            if log_bytes - self._since < max(self._pace.log_bytes_min, factor * self._bytes):
                return None
            self._entries = self._source()
            self._number, self._part, self._bytes = last_number, 0, 0
        try:
            body, is_last = self._take(self._entries, last_number)
        except BaseException:
            # What was taken off the source is lost: this keyframe never becomes complete.
            self._entries, self._since = None, log_bytes
            raise
        made = Slice(self._number, self._part, is_last, body)
        self._part += 1
        self._bytes += len(body)
        if is_last:
            self._entries, self._since = None, log_bytes
        return made

    def _take(self, entries: Iterator[Entry | None], as_of: int) -> tuple[bytes, bool]:
        """A part's body, and whether it is the last one."""
        packed: list[bytes] = []
        size = 0
        is_last = True
        for entry in entries:
            if entry is not None:
                packed.append(pack_value(self._pack, tuple(entry)))
                size += len(packed[-1])
            is_full = len(packed) >= self._pace.slice_entries or size >= self._pace.slice_bytes
            if entry is None or is_full:
                is_last = False
                break
        prelude = self._pack((self._number, self._part, is_last, as_of))
        return b"".join((prelude, *packed)), is_last


class Head(NamedTuple):
    """Which part of which keyframe: ``as_of`` is the number whose state its entries show."""

    number: int
    part: int
    is_last: bool
    as_of: int


class Part(NamedTuple):
    """A part as it was read: its head, and what it holds."""

    number: int
    part: int
    is_last: bool
    as_of: int
    entries: list[Entry]


def decode_part(body: memoryview) -> Part | None:
    """A keyframe block's body; None when it is not one, whatever its checksum says."""
    objects = unpack_objects(body)
    head = _head_of(next(objects, None))
    found = list(objects)
    if head is None or not all(map(_is_entry, found)):
        return None
    return Part(*head, [Entry(*entry[:3]) for entry in found])


def decode_head(body: memoryview) -> Head | None:
    """What a keyframe block says of itself; its entries are not looked at."""
    return _head_of(next(unpack_objects(body), None))


def _head_of(prelude: Any) -> Head | None:
    match prelude:
        case (int(number), int(part), bool(is_last), int(as_of), *_):
            return Head(number, part, is_last, as_of)
        case _:
            return None


def _is_entry(entry: Any) -> bool:
    match entry:
        case (int(), int(), _, *_):
            return True
        case _:
            return False


class Located(NamedTuple):
    """A part that was found, by its head, at a segment and offset."""

    epoch: int
    number: int
    part: int
    is_last: bool
    place: tuple[int, int]


class Keyframe(NamedTuple):
    """A complete keyframe.

    Attributes:
        number: The last record before it began; nothing up to it is needed any more.
        epoch: The writer's life.
        places: Segment and offset of its parts, in order.
    """

    number: int
    epoch: int
    places: tuple[tuple[int, int], ...]


def assemble(parts: Iterable[Located]) -> list[Keyframe]:
    """The complete keyframes among parts that were met in the log's order."""
    complete: list[Keyframe] = []
    begun: tuple[int, int] | None = None
    places: list[tuple[int, int]] = []
    for epoch, number, part, is_last, place in parts:
        if part == 0:
            begun, places = (epoch, number), []
        if begun != (epoch, number) or part != len(places):
            begun = None  # a part is missing: what follows belongs to nothing
            continue
        places.append(place)
        if is_last:
            complete.append(Keyframe(number, epoch, tuple(places)))
            begun = None
    return complete
