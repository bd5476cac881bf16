"""Keyframes: the state of every live actor, written in slices between batches, never in a pause.

A keyframe begins at a record number and is written in parts.  Each part is taken whole between two
turns and stamped with the last number before it, so an actor's state is its entry and its events
behind that stamp.  Whoever has the newest complete keyframe needs no record before its beginning.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ._codec import pack_value, unpack_objects
from ._msgpack import Pack

SLICE_ENTRIES = 512
"""Entries in a slice: packing so many takes about a millisecond."""
SLICE_BYTES = 256 * 1024
"""A slice ends early when its entries are long."""
LOG_BYTES_MIN = 16 * 1024 * 1024
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


Source: TypeAlias = Callable[[], Iterator[Entry]]
"""Whoever knows the state of all live actors.

Called when a keyframe begins; what it returns is asked for entries between later turns, under the
baton, a few at a time.  An entry shows its actor's state at the moment when it is asked for; an
actor that has ended meanwhile is left out, and one that was born meanwhile may be.
"""


class Slice(NamedTuple):
    """One part of a keyframe, packed."""

    number: int
    part: int
    is_last: bool
    body: bytes


class Keyframer:
    """The writer's side: decides when a keyframe begins, and takes its slices."""

    def __init__(self, source: Source, packing: Pack) -> None:
        """Begin without a keyframe."""
        self._source = source
        self._pack = packing
        self._entries: Iterator[Entry] | None = None
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
            if log_bytes - self._since < max(LOG_BYTES_MIN, LOG_BYTES_FACTOR * self._bytes):
                return None
            self._entries = self._source()
            self._number, self._part, self._bytes = last_number, 0, 0
        body, is_last = self._take(self._entries, last_number)
        made = Slice(self._number, self._part, is_last, body)
        self._part += 1
        self._bytes += len(body)
        if is_last:
            self._entries, self._since = None, log_bytes
        return made

    def _take(self, entries: Iterator[Entry], as_of: int) -> tuple[bytes, bool]:
        """A part's body, and whether it is the last one."""
        packed: list[bytes] = []
        size = 0
        is_last = True
        for entry in entries:
            packed.append(pack_value(self._pack, tuple(entry)))
            size += len(packed[-1])
            if len(packed) >= SLICE_ENTRIES or size >= SLICE_BYTES:
                is_last = False
                break
        prelude = self._pack((self._number, self._part, is_last, as_of))
        return b"".join((prelude, *packed)), is_last


class Part(NamedTuple):
    """A part as it was read: ``as_of`` is the number whose state its entries show."""

    number: int
    part: int
    is_last: bool
    as_of: int
    entries: list[Entry]


def decode_part(body: memoryview) -> Part | None:
    """A keyframe block's body; None when it is not one, whatever its checksum says."""
    objects = unpack_objects(body)
    match next(objects, None):
        case (int(number), int(part), bool(is_last), int(as_of), *_):
            entries = [Entry(*entry[:3]) for entry in objects if _is_entry(entry)]
            return Part(number, part, is_last, as_of, entries)
        case _:
            return None


def _is_entry(entry: Any) -> bool:
    match entry:
        case (int(), int(), _, *_):
            return True
        case _:
            return False


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


class Assembly:
    """Puts keyframes together from their parts, met in the log's order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.complete: list[Keyframe] = []
        self._begun: tuple[int, int] | None = None
        self._places: list[tuple[int, int]] = []

    def take(self, epoch: int, part: tuple[int, int, bool], place: tuple[int, int]) -> None:
        """Take in a part ``(number, part, is_last)`` that stands at ``place``."""
        number, index, is_last = part
        if index == 0:
            self._begun, self._places = (epoch, number), []
        if self._begun != (epoch, number) or index != len(self._places):
            self._begun = None  # a part is missing: what follows belongs to nothing
            return
        self._places.append(place)
        if is_last:
            self.complete.append(Keyframe(number, epoch, tuple(self._places)))
            self._begun = None
