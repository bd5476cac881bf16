"""A recording as units that can be paired with another's: by what each one is, and what it says.

A unit is a turn; a turn in which several completions leave is as many units, because how many
leave together is chance.
"""

from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from struct import Struct
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from rescind.events import Delivered, Origin, ScriptRunning, Turn
from rescind.replay._ledger.pages import Pages
from rescind.replay._ledger.sound import sound

from .identity import (
    Ordinals,
    Words,
    decided,
    made_by,
    mixed,
    run_of,
    said,
    sort_of,
    words_of,
)
from .inputs import ClassName, Inputs, born_in, is_input

PARTS = 128
"""Units are paired in so many parts, of which one at a time is in memory."""

MARK_EVERY = 1 << 10
_SPOOLED_BYTES = 1 << 16
_WORD = 0xFFFF_FFFF
_OUTSIDE = frozenset({Origin.IO, Origin.TIMER})
_UNIT = Struct("=QIII??")


class Unit(NamedTuple):
    """What is needed of a unit to find its like.

    Attributes:
        identity: What it is.
        message: What its actor took, hashed.
        events: What was decided, hashed.
        at: Its place among the units of its log.
        is_outcome: Whether something ends in it.
        is_said_outside: Whether a driver or a clock brought its message.
    """

    identity: int
    message: int
    events: int
    at: int
    is_outcome: bool
    is_said_outside: bool


class Units:
    """One log's second reading.

    Attributes:
        takers: For each unit the number of the actor that took it.
        causes: For each unit the unit that brought it about, counted from 1; 0 for none.
        marks: The turn in which every `MARK_EVERY`-th unit stands, and which of its units it is.
    """

    def __init__(
        self, log: Iterable[Turn], inputs: Inputs, class_name: ClassName, files: ExitStack
    ) -> None:
        """Read the log; what is put aside meanwhile goes with ``files``."""
        self.takers = array("I")
        self.causes = array("I")
        self.marks: list[tuple[int, int]] = []
        self._class_name = class_name
        self._slots = [iter(slots) for slots in inputs.slots]
        self._buckets = iter(inputs.buckets)
        self._actors = Pages("Q")
        self._turns = Pages("Q")
        self._units = Pages("I")
        self._ordinals = Ordinals()
        self._unborn = 0
        self._parts = [
            files.enter_context(SpooledTemporaryFile(_SPOOLED_BYTES))  # noqa: SIM115  # it does
            for _ in range(PARTS)
        ]
        for turn in sound(log):
            self._take(turn)

    def __len__(self) -> int:
        """How many units there are."""
        return len(self.takers)

    def part(self, number: int) -> Iterator[Unit]:
        """Yield the units of one part, in their order; can be asked for once."""
        spooled = self._parts[number]
        spooled.seek(0)
        yield from map(Unit._make, _UNIT.iter_unpack(spooled.read()))
        spooled.close()

    # --- one turn --------------------------------------------------------------------------------

    def _take(self, turn: Turn) -> None:
        cause = 0 if is_input(turn) or turn.cause is None else self._units[turn.cause.number]
        born = dict.fromkeys(
            sort for n, sort, _ in born_in(turn, self._class_name) if n == turn.actor
        )
        is_new = bool(born) and not self._actors[turn.actor]
        taker = mixed(*born) if is_new else self.identify(turn.actor)
        key = self._key(turn, taker)
        identity = mixed(key, self._ordinals.next(key))
        run = list(run_of(turn))
        self._learn(turn, identity)
        if run:
            identity = self._take_run(turn, run, cause)
        else:
            self._add(turn, 0, cause, identity, words_of(turn, self.identify))
        self._turns[turn.number] = identity
        self._units[turn.number] = len(self)

    def _key(self, turn: Turn, taker: int) -> int:
        """Return what a turn is, but for its place among equal ones."""
        if is_input(turn):
            bucket = next(self._buckets)
            slot = next(self._slots[bucket])
            if slot:
                return mixed("input", bucket, slot)
            # Its events name what it makes, which has no identity before the turn has one.
            return mixed("moved", taker, said(turn.message, self.identify))
        assert turn.cause is not None, "else it is an input"
        return mixed(
            sort_of(turn.message), taker, self._cause_of(turn.cause.number, turn.cause.request)
        )

    def _cause_of(self, number: int, request: int) -> int:
        return _delivered(self.identify(request)) if request else self._turns[number]

    def _take_run(self, turn: Turn, run: list[int], cause: int) -> int:
        """Take each completion that leaves in this turn; return what the last one is."""
        took = mixed(type(turn.message).__name__, getattr(turn.message, "manner", ""))
        nothing = Words(took, *decided((), self.identify))
        for place, request in enumerate(run[:-1]):
            identity = _delivered(self.identify(request), self._ordinals)
            self._add(turn, place, cause, identity, nothing)
        identity = _delivered(self.identify(run[-1]), self._ordinals)
        rest = [e for e in turn.events if not isinstance(e, Delivered | ScriptRunning)]
        words = Words(took, *decided(rest, self.identify))
        self._add(turn, len(run) - 1, cause, identity, words)
        return identity

    def _add(self, turn: Turn, place: int, cause: int, identity: int, words: Words) -> None:
        index = len(self.takers)
        if index % MARK_EVERY == 0:
            self.marks.append((turn.number, place))
        self.takers.append(turn.actor & _WORD)
        self.causes.append(cause)
        unit = _UNIT.pack(
            identity, words.message & _WORD, words.events & _WORD, index,
            words.is_outcome, turn.origin in _OUTSIDE,
        )  # fmt: skip
        self._parts[identity % PARTS].write(unit)

    # --- who is who ------------------------------------------------------------------------------

    def identify(self, number: int) -> int:
        """Return an actor's identity; one from before the log is known by its first mention."""
        if not number:
            return 0
        identity = self._actors[number]
        if not identity:
            self._unborn += 1
            identity = self._actors[number] = mixed("unborn", self._unborn)
        return identity

    def _learn(self, turn: Turn, identity: int) -> None:
        begun = [number for number, _, _ in born_in(turn, self._class_name)]
        begun += [number for number, _, _ in made_by(turn)]
        for place, number in enumerate(dict.fromkeys(begun)):
            if not self._actors[number]:
                self._actors[number] = mixed("made", identity, place)


def _delivered(request: int, ordinals: Ordinals | None = None) -> int:
    key = mixed("delivered", request)
    return mixed(key, ordinals.next(key) if ordinals else 0)
