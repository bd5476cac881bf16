"""Which input of the one recording is which of the other.

An input is a turn that nothing in its log brought about: every causal chain begins at one.  They
are laid side by side as sequences, those that start actors first, and then what each of these
actors took; an input that only one recording has moves none of the others.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import NamedTuple
from zlib import crc32

from rescind.events import Born, Completed, Opened, Turn
from rescind.replay._ledger.pages import Pages
from rescind.replay._ledger.sound import sound

from .align import Block, align
from .identity import made_by, mixed, said, sort_of

BUCKETS = 256
SLIDE_MAX = 1 << 12
_SPOOLED_BYTES = 1 << 20
_CHUNK = 3 << 12
_WORD = 0xFFFF_FFFF
_HALF = 0xFFFF
_WEIGHT = (1 << 61) - 1

ClassName = Callable[[int, int], str | None]
"""Epoch and class binding to the class's name."""


class Inputs(NamedTuple):
    """The inputs of one log, in its order.

    Attributes:
        buckets: Which sequence each of them is in.
        slots: By sequence, for each in it the number of the pair it belongs to, 0 for none.
    """

    buckets: bytearray
    slots: "list[array[int]]"


def is_input(turn: Turn) -> bool:
    """Return whether nothing in its own log brought the turn about."""
    return turn.cause is None or turn.cause.log is not None


def born_in(turn: Turn, class_name: ClassName) -> Iterator[tuple[int, str, int]]:
    """Yield the actors that begin in a turn, what each of them is, and whose it is."""
    for event in turn.events:
        match event:
            case Born():
                yield event.actor, class_name(turn.epoch, event.cls) or "actor", event.parent
            case Opened():
                yield event.endpoint, f"{event.dialect} endpoint", turn.actor
            case _:
                pass


class Survey:
    """One log's first reading: its inputs, and whose they are.

    Until the starts of actors are laid side by side, an actor is known by its sort alone.

    Attributes:
        turns: How many turns there are.
        weight: Tells this log from another one, the same in every process.
    """

    def __init__(self, log: Iterable[Turn], class_name: ClassName, files: ExitStack) -> None:
        """Read the log; what is put aside meanwhile goes with ``files``."""
        self.turns = 0
        self.weight = 0
        self._class_name = class_name
        self._sorts = Pages("Q")
        self._starters = Pages("I")
        """An actor to the input, counted from 1, that started it or whom it belongs to."""
        self._starts = Sequence()
        others = SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115  # closed with the others
        self._others = files.enter_context(others)
        self._chunk = array("I")
        self._are_starts = bytearray()
        self._made_by = Pages("I")
        """A request to the input, counted from 1, that made it."""
        self._ends = array("I")
        """For each input how what it made ended, hashed."""
        for turn in sound(log):
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        self.turns += 1
        self.weight = (self.weight * 31 + turn.actor) & _WEIGHT
        born = list(born_in(turn, self._class_name))
        starter = number_of_input = 0
        if is_input(turn):
            starts = [sort for number, sort, _ in born if number == turn.actor]
            starter = self._take_start(turn, starts[0]) if starts else self._take_other(turn)
            self._are_starts.append(bool(starts))
            self._ends.append(0)
            number_of_input = len(self._ends)
        for number, sort, owner in born:
            self._learn(number, mixed(sort), starter or self._starters[owner])
        for number, sort, owner in made_by(turn):
            self._learn(number, mixed(sort, self._sorts[owner]), self._starters[owner])
            self._made_by[number] = self._made_by[number] or number_of_input
        for event in turn.events:
            if isinstance(event, Completed) and (made_by_input := self._made_by[event.request]):
                end = self._ends[made_by_input - 1] + mixed(event.code, int(event.how))
                self._ends[made_by_input - 1] = end & _WORD

    def _take_start(self, turn: Turn, sort: str) -> int:
        message = mixed(sort, said(turn.message, self._sort_of))
        return self._starts.append(message, mixed(sort, sort_of(turn.message)))

    def _take_other(self, turn: Turn) -> int:
        sort = self._sort_of(turn.actor)
        message = mixed(sort, said(turn.message, self._sort_of))
        self.weight ^= crc32(repr(turn.message).encode(errors="replace"))
        starter = self._starters[turn.actor]
        self._chunk.extend((starter, message & _WORD, mixed(sort, sort_of(turn.message)) & _WORD))
        if len(self._chunk) > _CHUNK:
            self._others.write(self._chunk.tobytes())
            del self._chunk[:]
        return starter

    def _learn(self, number: int, sort: int, starter: int) -> None:
        if not self._sorts[number]:
            self._sorts[number], self._starters[number] = sort, starter

    def _sort_of(self, number: int) -> int:
        return self._sorts[number]

    @property
    def starts(self) -> "Sequence":
        """The inputs that start actors."""
        return self._starts

    def sequences(self, side: int, slots: "array[int]") -> "tuple[bytearray, list[Sequence]]":
        """Return which sequence each input is in, and the sequences; can be asked for once.

        Args:
            side: 0 or 1: an actor that only one of the recordings has is nobody in the other.
            slots: For each start of an actor the pair that it belongs to.
        """
        sequences = [self._starts, *(Sequence() for _ in range(BUCKETS - 1))]
        buckets = bytearray(len(self._are_starts))
        others = self._spooled()
        for index, is_start in enumerate(self._are_starts):
            if is_start:
                continue
            starter, message, sort = next(others)
            slot = slots[starter - 1] if starter else 0
            whose = mixed(slot) if slot or not starter else mixed(side, starter)
            buckets[index] = bucket = 1 + whose % (BUCKETS - 1)
            sequences[bucket].append(message ^ whose, sort ^ whose, self._ends[index])
        return buckets, sequences

    def _spooled(self) -> Iterator[tuple[int, int, int]]:
        self._others.write(self._chunk.tobytes())
        self._others.seek(0)
        while chunk := self._others.read(4 * _CHUNK):
            words = array("I", chunk)
            yield from zip(words[::3], words[1::3], words[2::3], strict=True)
        self._others.truncate(0)


class Sequence:
    """Inputs in their order: of each its message, its sort, and what came of it, hashed."""

    __slots__ = ("ends", "messages", "sorts")

    def __init__(self) -> None:
        """Hold none."""
        self.messages = array("I")
        self.sorts = array("H")
        self.ends = array("H")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.messages)

    def append(self, message: int, sort: int, end: int = 0) -> int:
        """Add one and return how many there are."""
        self.messages.append(message & _WORD)
        self.sorts.append(sort & _HALF)
        self.ends.append(end & _HALF)
        return len(self)


def pair(ours: Sequence, theirs: Sequence) -> "tuple[array[int], array[int]]":
    """Return for each of ours and theirs the number of the pair it belongs to, 0 for none.

    Equal messages belong together, and between them, where something else was said, equal sorts.
    """
    our_pairs, their_pairs = _zeros(len(ours)), _zeros(len(theirs))
    pairs = 0
    for block in _filled(list(_slid(ours, theirs)), ours, theirs):
        for at in range(block.length):
            pairs += 1
            our_pairs[block.ours + at] = their_pairs[block.theirs + at] = pairs
    return our_pairs, their_pairs


def _slid(ours: Sequence, theirs: Sequence) -> Iterator[Block]:
    """Yield blocks of equal messages.

    Where one of many equal messages is too much, any of them could be the one: it is the one
    without which, of most of the others, the same came.
    """
    last: Block | None = None
    for block in align(ours.messages, theirs.messages):
        if last is None:
            last = block
            continue
        by = _best_slide(last, block, ours, theirs)
        if last.length + by:
            yield last._replace(length=last.length + by)
        last = Block(block.ours + by, block.theirs + by, block.length - by)
    if last is not None and last.length:
        yield last


def _best_slide(last: Block, block: Block, ours: Sequence, theirs: Sequence) -> int:
    """Return by how much what stands between two blocks is best moved; below 0 to the left."""
    x, y = last.ours + last.length, last.theirs + last.length
    if (x == block.ours) == (y == block.theirs):
        return 0  # not one side alone has more
    best = gain = by = 0
    for step in range(1, min(last.length, SLIDE_MAX) + 1):
        old, new = (x - step, y - step), (block.ours - step, block.theirs - step)
        moved = (old[0], new[1]) if x == block.ours else (new[0], old[1])
        if ours.messages[moved[0]] != theirs.messages[moved[1]]:
            break
        gain += _same_end(moved, ours, theirs) - _same_end(old, ours, theirs)
        if gain > best:
            best, by = gain, -step
    gain = 0
    for step in range(min(block.length, SLIDE_MAX)):
        old, new = (block.ours + step, block.theirs + step), (x + step, y + step)
        if ours.messages[new[0]] != theirs.messages[new[1]]:
            break
        gain += _same_end(new, ours, theirs) - _same_end(old, ours, theirs)
        if gain > best:
            best, by = gain, step + 1
    return by


def _same_end(at: tuple[int, int], ours: Sequence, theirs: Sequence) -> bool:
    return ours.ends[at[0]] == theirs.ends[at[1]]


def _filled(blocks: list[Block], ours: Sequence, theirs: Sequence) -> Iterator[Block]:
    """Yield blocks, and between them those of equal sorts."""
    x = y = 0
    for block in [*blocks, Block(len(ours), len(theirs), 0)]:
        if x < block.ours and y < block.theirs:
            for same in align(ours.sorts[x : block.ours], theirs.sorts[y : block.theirs]):
                yield Block(x + same.ours, y + same.theirs, same.length)
        yield block
        x, y = block.ours + block.length, block.theirs + block.length


def _zeros(length: int) -> "array[int]":
    return array("I", bytes(4 * length))


def inputs_of(ours: Survey, theirs: Survey) -> tuple[Inputs, Inputs]:
    """Lay the inputs of two logs side by side."""
    starts = pair(ours.starts, theirs.starts)
    our_buckets, our_sequences = ours.sequences(0, starts[0])
    their_buckets, their_sequences = theirs.sequences(1, starts[1])
    pairs = [starts]
    for mine, other in zip(our_sequences[1:], their_sequences[1:], strict=True):
        pairs.append(pair(mine, other))
    return (
        Inputs(our_buckets, [each for each, _ in pairs]),
        Inputs(their_buckets, [each for _, each in pairs]),
    )
