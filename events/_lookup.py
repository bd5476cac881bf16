"""Random access to a log: a turn by its number, the turns about a number, and the way backwards.

A pass over ten million turns takes a minute; a question about one of them takes milliseconds.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

from ._codec import Body, Epochs, decode_turn, unpack_body
from ._frame import NUMBER_MAX
from ._keyframe import Keyframe
from ._mentions import Mentions, Roles
from ._msgpack import pack
from ._recovery import text_of
from ._register import Register, nearest_of
from ._restore import last_keyframe
from ._scan import ReadBatch
from ._selection import Selection, Sieve, is_late, mention
from ._shelf import Block, Kept, Shelf, removed
from ._storage import Storage
from ._stretch import Load, Stretch, Walk, outline, sealed
from ._turn import Damage, Turn

SHELVES_BYTES = 32 * 1024 * 1024
"""What directories may take in memory: those of some hundred full segments."""
PAGES_PAIRS = 1024 * 1024
"""How many pairs (number, group) of pages are kept: 12 MB."""
GROUPS_BYTES = 8 * 1024 * 1024
"""How much of groups is kept undecoded: 32 groups."""
DECODED_BYTES = 2 * 1024 * 1024
"""How much is kept decoded: a record takes some twenty times as much in memory as in the log."""

REGISTERS_BYTES = 4 * 1024 * 1024
"""How much is kept of what records mention, likewise: it takes some five times as much."""

Key: TypeAlias = tuple[Stretch, tuple[int, int] | None]


class Lookup(Protocol):
    """Random access to turns, by their numbers and by what they have to do with.

    Of a log, a question reads only where the indexes of its segments point, and verifies that;
    a segment without a whole index is walked once, when it is first needed.  Turns come as a
    ``LogReader`` yields them.  What has come since ``refresh`` was last called may be left out.
    For one thread at a time.

    Every method raises ``LogAccessError`` where the log was pruned meanwhile and what is asked for
    is gone: ``refresh`` then tells what is left.
    """

    @property
    def log_id(self) -> bytes:
        """The log's id; 16 zero bytes when there is none."""
        ...

    @property
    def first(self) -> int:
        """The number of the first turn there is; 0 when there is none."""
        ...

    @property
    def last(self) -> int:
        """The number of the last turn there is; 0 when there is none."""
        ...

    @property
    def damage(self) -> list[Damage]:
        """What was met so far that is not whole: more may be where nobody looked yet."""
        ...

    def refresh(self) -> None:
        """Look what has come, and what is gone."""
        ...

    def turn(self, number: int) -> Turn | None:
        """A turn by its number; None when there is none."""
        ...

    def turns(self, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``first`` to ``last``, ascending."""
        ...

    def backwards(self, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``last`` down to the first."""
        ...

    def about(
        self, numbers: int | Iterable[int], first: int = 1, last: int | None = None
    ) -> Iterator[Turn]:
        """The turns that a number took, or whose message or events mention it; ascending."""
        ...

    def taken_by(self, actor: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns that an actor took, ascending."""
        ...

    def with_code(self, code: int) -> Iterator[Turn]:
        """The turns whose message or events carry a code, ascending."""
        ...

    def codes(self) -> list[int]:
        """All codes that occur, sorted."""
        ...

    def cancels(self) -> Iterator[int]:
        """The numbers of cancels that were requested, ascending."""
        ...

    def nearest(self, number: int, count: int) -> list[int]:
        """The ``count`` mentioned numbers that are nearest to a number, ascending; without it."""
        ...

    def since(self, time_ns: int) -> int:
        """The first turn not before a moment; one behind the last turn when there is none."""
        ...

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of numbers that are lost, as far as was met; ascending."""
        ...

    def keyframe(self, before: int) -> Keyframe | None:
        """The newest complete keyframe all of which shows a state from before turn ``before``."""
        ...


class LogLookup:
    """The lookup of a log; made by ``LogReader.lookup``."""

    def __init__(self, storage: Storage, log_id: bytes, bindings: Epochs) -> None:
        """Find out where its segments begin; nothing else is read yet."""
        self.log_id = log_id
        self._storage = storage
        self._bindings = bindings
        self._damage: dict[Damage, None] = {}
        self._ending: list[Damage] = []
        self._walk: Walk | None = None
        self._pages: Kept[tuple[int, int], Any] = Kept(PAGES_PAIRS)
        self._shelves: Kept[Key, Sequence[Shelf]] = Kept(SHELVES_BYTES)
        self._groups: Kept[tuple[int, ...], list[Block]] = Kept(GROUPS_BYTES)
        self._decoded: Kept[tuple[int, int], _Decoded] = Kept(DECODED_BYTES)
        self._registers: Kept[tuple[int, ...], Register] = Kept(REGISTERS_BYTES)
        self._sieve = Sieve(Selection())
        self._stretches: list[Stretch] = []
        self.refresh()

    @property
    def damage(self) -> list[Damage]:
        """What was met so far that is not whole."""
        return [*self._damage, *self._ending]

    def refresh(self) -> None:
        """Look what has come, and what is gone."""
        known = {each.segments[0]: each.first for each in self._stretches[:-1]}
        self._stretches = outline(self._storage, self.log_id, known.get)
        walk, self._ending = self._walk, []
        if walk is not None and self._stretches and self._stretches[-1] == walk.stretch:
            self._go_on(walk, None)
        else:
            self._walk = None

    # --- which turns ---------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """The number of the first turn there is; 0 when there is none."""
        shelves = (shelf for at in range(len(self._stretches)) for shelf in self._shelves_at(at))
        return next((shelf.place(0).first for shelf in shelves if len(shelf)), 0)

    @property
    def last(self) -> int:
        """The number of the last turn there is; 0 when there is none."""
        for at in reversed(range(len(self._stretches))):
            for shelf in reversed(self._shelves_at(at)):
                if len(shelf):
                    return shelf.last
        return 0

    def turn(self, number: int) -> Turn | None:
        """A turn by its number; None when there is none."""
        return next(self.turns(number, number), None)

    def turns(self, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``first`` to ``last``, ascending."""
        for decoded, numbers in self._runs(first, last):
            yield from self._turns_of(decoded, numbers)

    def backwards(self, last: int | None = None) -> Iterator[Turn]:
        """The turns from ``last`` down to the first."""
        for shelf, low, high in self._reach(1, last, backwards=True):
            for group in reversed(_groups_in(shelf, low, high)):
                for block in reversed(self._load(shelf, group)):
                    if decoded := self._decode(block):
                        found = decoded.between(low, high)
                        yield from self._turns_of(decoded, reversed(found))

    def batches(self, first: int = 1, last: int | None = None) -> Iterator[ReadBatch]:
        """Raw records from ``first`` to ``last``, ascending, by batches: as fast as a scan."""
        for decoded, found in self._runs(first, last):
            block, part = decoded.block, slice(found.start, found.stop)
            yield ReadBatch(
                *(block.segment, block.offset, block.length, block.epoch, block.first, block.count),
                block.chain,
                self._bindings[block.epoch],
                decoded.numbers[part],
                decoded.records[part],
            )

    def about(
        self, numbers: int | Iterable[int], first: int = 1, last: int | None = None
    ) -> Iterator[Turn]:
        """The turns that a number took, or whose message or events mention it; ascending."""
        wanted = frozenset((numbers,) if isinstance(numbers, int) else numbers)
        for shelf, low, high in self._reach(first, last):
            for group in sorted({each for n in wanted for each in shelf.groups_about(n)}):
                place = shelf.place(group)
                if place.following > low and place.first <= high:
                    found = self._register(shelf, group).places(wanted)
                    yield from self._turns_at(shelf, group, found, low, high)

    def taken_by(self, actor: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """The turns that an actor took, ascending."""
        return (turn for turn in self.about(actor, first, last) if turn.actor == actor)

    def with_code(self, code: int) -> Iterator[Turn]:
        """The turns whose message or events carry a code, ascending."""
        for shelf, low, high in self._reach(1, None):
            for group in shelf.groups_with(code):
                for decoded in self._holding(shelf, group, [pack(code)]):
                    found = [at for at in decoded.between(low, high) if decoded.carries(at, code)]
                    yield from self._turns_of(decoded, found)

    # --- which numbers -------------------------------------------------------------------------

    def codes(self) -> list[int]:
        """All codes that occur, sorted; as the indexes have them, also where a turn is lost."""
        return sorted({code for shelf, _, _ in self._reach(1, None) for code in shelf.codes()})

    def cancels(self) -> Iterator[int]:
        """The numbers of cancels that were requested, ascending; likewise."""
        every = array("Q")
        for shelf, _, _ in self._reach(1, None):
            every.extend(shelf.cancels())
        if any(before >= after for before, after in pairwise(every)):  # of a log of ours, never
            every = array("Q", sorted(set(every)))
        return iter(every)

    def nearest(self, number: int, count: int) -> list[int]:
        """The ``count`` mentioned numbers that are nearest to a number, ascending; without it."""
        near = {each for s, _, _ in self._reach(1, None) for each in s.nearest(number, count)}
        return nearest_of(near, number, count)

    def since(self, time_ns: int) -> int:
        """The first turn not before a moment; one behind the last turn when there is none.

        Clocks may go backwards: it is the first whose batch ends so late.
        """
        for shelf, low, high in self._reach(1, None):
            for group in shelf.groups_since(time_ns):
                for block in self._load(shelf, group):
                    decoded = self._decode(block)
                    records = decoded.records if decoded else []
                    if decoded and records and is_late(records[-1], time_ns):
                        late = (at for at, each in enumerate(records) if is_late(each, time_ns))
                        number = decoded.numbers[next(late)]
                        if low <= number <= high:
                            return number
        return self.last + 1

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of numbers that are lost, as far as was met; ascending.

        Of a loss whose end is not known only its first number is told.
        """
        lost = [(each.first, each.last or each.first) for each in self.damage if each.first]
        joined: list[tuple[int, int]] = []
        for first, last in sorted(lost):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return joined

    def keyframe(self, before: int) -> Keyframe | None:
        """The newest complete keyframe all of which shows a state from before turn ``before``."""
        # Its parts stand before that turn, so not in a segment that begins behind it.
        segments = [n for each in self._stretches if each.first <= before for n in each.segments]
        return last_keyframe(self._storage, before, segments)

    # --- from stretches to blocks --------------------------------------------------------------

    def _reach(
        self, first: int, last: int | None, *, backwards: bool = False
    ) -> Iterator[tuple[Shelf, int, int]]:
        """The shelves with some of these numbers, each with those that count there."""
        stretches, end = self._stretches, NUMBER_MAX if last is None else last
        low = max(0, bisect_right(stretches, first, key=_first_of) - 1)
        places = range(low, bisect_right(stretches, end, key=_first_of))
        for at in reversed(places) if backwards else places:
            shelves = self._shelves_at(at)
            # Where two writers' numbers overlap, the later one's count.
            high = end if at + 1 == len(stretches) else min(end, stretches[at + 1].first - 1)
            for shelf in reversed(shelves) if backwards else shelves:
                if first <= shelf.last and shelf.first <= high:
                    yield shelf, first, high

    def _shelves_at(self, at: int) -> Sequence[Shelf]:
        stretch = self._stretches[at]
        behind = self._stretches[at + 1] if at + 1 < len(self._stretches) else None
        key = (stretch, behind and (behind.segments[0], behind.first))
        shelves = self._shelves.get(key)
        if shelves is None:
            try:
                shelves = self._put_up(stretch, behind)
            except FileNotFoundError as error:
                raise removed(self._storage.path, stretch.segments[0]) from error
            self._shelves.put(key, shelves, sum(shelf.memory_bytes for shelf in shelves))
        return shelves

    def _put_up(self, stretch: Stretch, behind: Stretch | None) -> Sequence[Shelf]:
        shelf = sealed(self._storage, self.log_id, stretch, behind, self._pages)
        if shelf is not None:
            bindings = self._bindings[shelf.directory.epoch]
            bindings.learn(shelf.opening.preamble.bindings)
            bindings.learn(shelf.directory.bindings)
            return [shelf]
        walk = self._walk if behind is None else None
        if walk is None:
            walk = Walk(self._storage, self.log_id, self._bindings, self._report, stretch)
            self._go_on(walk, behind)
        return walk.shelves

    def _go_on(self, walk: Walk, behind: Stretch | None) -> None:
        ending = walk.go_on(behind)
        if behind is None:
            self._walk, self._ending = walk, ending

    def _load(self, shelf: Shelf, group: int) -> list[Block]:
        """The blocks of a group, verified; what is lost there is reported."""
        place = shelf.place(group)
        key = (shelf.segment, place.offset, place.end)
        blocks = self._groups.get(key)
        if blocks is None:
            met: list[Damage] = []
            try:
                load = Load(self._storage, self.log_id, self._bindings, met.append)
                blocks = load.load(shelf, group)
            except FileNotFoundError as error:
                raise removed(self._storage.path, shelf.segment) from error
            except OSError:
                blocks, text = [], text_of("unreadable")
                span = (place.offset, place.end - place.offset, place.first, place.following - 1)
                met = [Damage("unreadable", shelf.segment, *span, text)]
            # What a walk met in its groups it has reported.
            if sum(block.count for block in blocks) != place.records:
                self._damage.update(dict.fromkeys(met))
            self._groups.put(key, blocks, place.end - place.offset)
        return blocks

    def _decode(self, block: Block) -> "_Decoded | None":
        key = (block.segment, block.offset)
        decoded = self._decoded.get(key)
        if decoded is None:
            bindings = self._bindings[block.epoch]
            body = unpack_body(memoryview(block.body), block.first, block.count, bindings)
            if body is None:
                self._report_undecodable(block, block.first, block.first + block.count - 1)
                return None
            for first, last in body.broken:
                self._report_undecodable(block, first, last)
            decoded = _Decoded(block, body, self._sieve.roles_in(block.epoch, bindings))
            self._decoded.put(key, decoded, len(block.body))
        return decoded

    # --- from blocks to turns ------------------------------------------------------------------

    def _runs(self, first: int, last: int | None) -> "Iterator[tuple[_Decoded, range]]":
        for shelf, low, high in self._reach(first, last):
            for group in _groups_in(shelf, low, high):
                for block in self._load(shelf, group):
                    is_in = block.first + block.count > low and block.first <= high
                    if is_in and (decoded := self._decode(block)):
                        yield decoded, decoded.between(low, high)

    def _register(self, shelf: Shelf, group: int) -> "Register":
        """What the records of a group mention, made once for all that is asked of it.

        That takes some 10 ms; to search a group's bytes for one number takes half as long, each
        time.
        """
        place = shelf.place(group)
        key = (shelf.segment, place.offset, place.end)
        found = self._registers.get(key)
        if found is None:
            found = Register()
            for block in self._load(shelf, group):
                if decoded := self._decode(block):
                    bindings = self._bindings[block.epoch]
                    found.take(
                        decoded.numbers,
                        decoded.records,
                        self._sieve.roles_in(block.epoch, bindings),
                    )
            self._registers.put(key, found, place.end - place.offset)
        return found

    def _turns_at(
        self, shelf: Shelf, group: int, numbers: list[int], low: int, high: int
    ) -> Iterator[Turn]:
        """The turns of a group with these numbers, which ascend."""
        wanted = numbers[bisect_left(numbers, low) : bisect_right(numbers, high)]
        for block in self._load(shelf, group) if wanted else ():
            begin = bisect_left(wanted, block.first)
            inside = wanted[begin : bisect_left(wanted, block.first + block.count)]
            if inside and (decoded := self._decode(block)):
                yield from self._turns_of(decoded, map(decoded.place_of, inside))

    def _holding(self, shelf: Shelf, group: int, needles: list[bytes]) -> "Iterator[_Decoded]":
        """The batches of a group in whose bytes one of the needles stands.

        Integers stand there in their shortest form.
        """
        for block in self._load(shelf, group):
            is_here = any(needle in block.body for needle in needles)
            if is_here and (decoded := self._decode(block)):
                yield decoded

    def _turns_of(self, decoded: "_Decoded", places: Iterable[int]) -> Iterator[Turn]:
        block = decoded.block
        bindings = self._bindings[block.epoch]
        for at in places:
            number = decoded.numbers[at]
            try:
                turn = decode_turn(number, block.epoch, decoded.records[at], bindings)
            except (TypeError, ValueError, IndexError, KeyError):
                self._report_undecodable(block, number, number)
                continue
            yield turn

    # --- damage --------------------------------------------------------------------------------

    def _report(self, damage: Damage) -> None:
        self._damage[damage] = None

    def _report_undecodable(self, block: Block, first: int, last: int) -> None:
        place = (block.segment, block.offset, block.length)
        self._report(Damage("undecodable", *place, first, last, text_of("undecodable")))


class _Decoded:
    """A batch's records."""

    __slots__ = ("_roles", "block", "numbers", "records")

    def __init__(self, block: Block, body: Body, roles: Callable[[int], Roles | None]) -> None:
        """Take what was decoded; ``roles`` tells where a kind mentions something."""
        self.block = block
        self.numbers: Sequence[int] = body.numbers
        self.records = body.records
        self._roles = roles

    def between(self, low: int, high: int) -> range:
        """The places of the records from one number to another."""
        return range(bisect_left(self.numbers, low), bisect_right(self.numbers, high))

    def place_of(self, number: int) -> int:
        """The place of a record that is there."""
        return bisect_left(self.numbers, number)

    def carries(self, at: int, code: int) -> bool:
        """Whether the record at a place carries a code."""
        found = Mentions()
        mention(self.records[at], self._roles, found)
        return code in found.codes


def _first_of(stretch: Stretch) -> int:
    return stretch.first


def _groups_in(shelf: Shelf, low: int, high: int) -> range:
    """The groups where numbers from one to another stand."""
    return range(shelf.group_of(low), shelf.group_of(high) + 1) if len(shelf) else range(0)
