"""What differs between two recordings whose units are paired, and which difference explains which.

Both are walked at once, in an order in which no unit comes before its cause or before what its
actor took earlier.  A difference follows from an earlier one when that one lies behind it on the
chain of causes, or when its actor, or the actor that sent it its message, had taken part in that
one: what a turn decides depends on nothing else.  What the outside says depends on its cause alone,
and an input that one recording lacks follows from nothing in it.
"""

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from rescind.replay._ledger.pages import Pages

from .units import PARTS, Unit, Units

EXAMPLES_MAX = 3
HEADS_MAX = 1000
"""Differences that are told; of further ones only their number."""

_INDEX = (1 << 26) - 1
_OUTSIDE = 1 << 26
_WORDS = 1 << 27
_MESSAGE = 1 << 28
_OUTCOME = 1 << 29
_MOVED = 1 << 30
_SEEN = 1 << 31
_DIFFERS = _WORDS | _MESSAGE | _MOVED


class Change(StrEnum):
    """How two recordings differ at one place."""

    MISSING = "missing"
    """Only the first one has this turn."""
    NEW = "new"
    """Only the second one has it."""
    CHANGED = "changed"
    """Both have it, and something else was said or decided in it."""
    REORDERED = "reordered"
    """Its actor took it before another one here, and after that one there."""


class Place(NamedTuple):
    """A difference by its units; -1 where a recording has none.

    Attributes:
        change: How the two differ here.
        ours: The unit in the first recording.
        theirs: The unit in the second.
        other: Where turns are reordered, the unit that came before ours, and after theirs.
        is_outcome: Whether something ends in it.
    """

    change: Change
    ours: int
    theirs: int
    other: int = -1
    is_outcome: bool = False


@dataclass(slots=True)
class Head:
    """A difference that nothing before it explains, and what follows from it."""

    place: Place
    followers: dict[Change, int] = field(default_factory=dict["Change", int])
    examples: list[Place] = field(default_factory=list["Place"])

    def follow(self, place: Place) -> None:
        """Take a difference that follows; ends of requests are the best examples."""
        self.followers[place.change] = self.followers.get(place.change, 0) + 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(place)
        elif place.is_outcome:
            plainer = [at for at, each in enumerate(self.examples) if not each.is_outcome]
            if plainer:
                self.examples[plainer[-1]] = place


class Walk:
    """Two recordings' units, paired and walked.

    Attributes:
        heads: The differences that nothing explains, the first ones first.
        unheard: How many there are beyond `HEADS_MAX`.
        same: How many units are equal in both.
        changes: How many differ, by how.
    """

    def __init__(self, ours: Units, theirs: Units) -> None:
        """Pair the units and walk."""
        self.heads: list[Head] = []
        self.unheard = 0
        self.same = 0
        self.changes = dict.fromkeys(Change, 0)
        self._ours, self._theirs = ours, theirs
        self._our_pairs = array("I", bytes(4 * len(ours)))
        self._their_pairs = array("I", bytes(4 * len(theirs)))
        self._our_taint, self._their_taint = Pages("I"), Pages("I")
        self._before: dict[int, int] = {}
        for part in range(PARTS):
            self._pair(part)
        self._find_moved()
        self._walk()
        del self._our_taint, self._their_taint

    def theirs_of(self, unit: int) -> int:
        """Return the unit of theirs that one of ours is paired with, or -1."""
        return (self._our_pairs[unit] & _INDEX) - 1

    def ours_of(self, unit: int) -> int:
        """Return the unit of ours that one of theirs is paired with, or -1."""
        return (self._their_pairs[unit] & _INDEX) - 1

    # --- pairs -----------------------------------------------------------------------------------

    def _pair(self, part: int) -> None:
        waiting: dict[int, list[Unit]] = {}
        for unit in self._ours.part(part):
            waiting.setdefault(unit.identity, []).append(unit)
            self._our_pairs[unit.at] = _flags(unit)
        for equal in waiting.values():
            equal.reverse()
        for unit in self._theirs.part(part):
            self._their_pairs[unit.at] = _flags(unit)
            if like := waiting.get(unit.identity):
                self._join(like.pop(), unit)

    def _join(self, our: Unit, their: Unit) -> None:
        flags = _MESSAGE * (our.message != their.message) | _WORDS * (our.events != their.events)
        flags |= _flags(our) | _flags(their)
        self._our_pairs[our.at] = flags | (their.at + 1)
        self._their_pairs[their.at] = flags | (our.at + 1)

    def _find_moved(self) -> None:
        """Mark each unit of ours whose actor took an earlier one later in theirs."""
        latest = Pages("I")
        pairs, takers = self._our_pairs, self._ours.takers
        for ours, pair in enumerate(pairs):
            theirs = pair & _INDEX
            if not theirs:
                continue
            before = latest[takers[ours]]
            if before and pairs[before - 1] & _INDEX > theirs:
                pairs[ours] |= _MOVED
                if len(self._before) < HEADS_MAX:
                    self._before[ours] = before - 1
            else:
                latest[takers[ours]] = ours + 1

    # --- the walk --------------------------------------------------------------------------------

    def _walk(self) -> None:
        at = 0
        for ours, pair in enumerate(self._our_pairs):
            theirs = (pair & _INDEX) - 1
            if theirs < 0:
                self._visit_alone(ours, is_ours=True)
                continue
            while at < theirs:
                self._visit_theirs(at)
                at += 1
            if not self._our_pairs[ours] & _SEEN:
                self._visit_pair(ours, theirs)
            at = max(at, theirs + 1)
        for theirs in range(at, len(self._theirs)):
            self._visit_theirs(theirs)

    def _visit_theirs(self, theirs: int) -> None:
        ours = self.ours_of(theirs)
        if ours < 0:
            self._visit_alone(theirs, is_ours=False)
        elif not self._our_pairs[ours] & _SEEN:
            self._visit_pair(ours, theirs)

    def _visit_alone(self, unit: int, *, is_ours: bool) -> None:
        units, taint = (
            (self._ours, self._our_taint) if is_ours else (self._theirs, self._their_taint)
        )
        pairs = self._our_pairs if is_ours else self._their_pairs
        taker, cause = units.takers[unit], units.causes[unit]
        is_outcome = bool(pairs[unit] & _OUTCOME)
        change = Change.MISSING if is_ours else Change.NEW
        ours, theirs = (unit, -1) if is_ours else (-1, unit)
        place = Place(change, ours, theirs, is_outcome=is_outcome)
        blame = 0
        if cause:
            blame = units.causes[cause - 1] or taint[taker]
            if not blame and not pairs[unit] & _OUTSIDE:
                blame = taint[units.takers[cause - 1]]
        head = self._note(place, blame)
        units.causes[unit] = head
        taint[taker] = taint[taker] or head

    def _visit_pair(self, ours: int, theirs: int) -> None:
        """Walk over a unit that both have.

        Of what was walked over, ``causes`` no longer tells the cause: it tells what is to blame.
        """
        our_causes, their_causes = self._ours.causes, self._theirs.causes
        pair = self._our_pairs[ours] = self._our_pairs[ours] | _SEEN
        blame = 0
        their_cause, our_cause = their_causes[theirs], our_causes[ours]
        if their_cause:
            blame = their_causes[their_cause - 1]
        if our_cause and not blame:
            blame = self._blame_of(our_cause - 1)
        if self.heads:
            self._share_taint(self._ours.takers[ours], self._theirs.takers[theirs])
        if pair & _DIFFERS:
            if their_cause and not blame and not pair & _OUTSIDE:
                blame = self._their_taint[self._theirs.takers[their_cause - 1]]
            blame = self._visit_different(ours, theirs, blame)
        else:
            self.same += 1
        our_causes[ours] = their_causes[theirs] = blame

    def _blame_of(self, ours: int) -> int:
        pair = self._our_pairs[ours]
        is_walked = pair & _SEEN or not pair & _INDEX
        return self._ours.causes[ours] if is_walked else 0

    def _share_taint(self, taker: int, their_taker: int) -> None:
        """Let both numbers of an actor know what it had taken part in."""
        taint = self._our_taint[taker] or self._their_taint[their_taker]
        if taint:
            self._our_taint[taker] = self._their_taint[their_taker] = taint

    def _visit_different(self, ours: int, theirs: int, blame: int) -> int:
        pair = self._our_pairs[ours]
        # Who was overtaken decides otherwise; who was told something else does so anyway.
        is_moved = pair & _MOVED and not pair & _MESSAGE
        change = Change.REORDERED if is_moved else Change.CHANGED
        before = self._before.get(ours, -1) if is_moved else -1
        place = Place(change, ours, theirs, before, bool(pair & _OUTCOME))
        taker, their_taker = self._ours.takers[ours], self._theirs.takers[theirs]
        is_input = not self._theirs.causes[theirs] and pair & _MESSAGE
        head = self._note(place, blame or (0 if is_input else self._our_taint[taker]))
        self._our_taint[taker] = self._our_taint[taker] or head
        self._share_taint(taker, their_taker)
        return head

    def _note(self, place: Place, blame: int) -> int:
        self.changes[place.change] += 1
        if blame:
            if blame <= HEADS_MAX:
                self.heads[blame - 1].follow(place)
            return blame
        if len(self.heads) < HEADS_MAX:
            self.heads.append(Head(place))
            return len(self.heads)
        self.unheard += 1
        return HEADS_MAX + 1


def _flags(unit: Unit) -> int:
    return _OUTCOME * unit.is_outcome | _OUTSIDE * unit.is_said_outside
