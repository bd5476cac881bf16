"""The recorded turns, one after the other, and what became of them.

Every record that today's code makes is held against the recorded one the moment it is made, so that
the first difference is found where it arises.
"""

from typing import Any, NamedTuple, NoReturn

from rescind.actors.runtime import Abandon
from rescind.events import Accepted, LogReader, Stopped

from .ahead import TurnsAhead
from .difference import describe_difference, is_same, is_same_on_wire
from .recorded import Recorded, recorded
from .result import CodeLine, Divergence, Rerun


class Found(NamedTuple):
    """A difference as it was found.

    Attributes:
        turn: The recorded turn; None when the recording had ended.
        what: Which part of it differs, in a few words.
        expected: What the recording holds.
        actual: What today's code made.
        number: The turn to report, where that is another one; 0 where it is not.
        line: Where in today's code that was, if it is known already.
    """

    turn: Recorded | None
    what: str
    expected: Any
    actual: Any
    number: int = 0
    line: CodeLine | None = None


class Diverged(Abandon):
    """Carries a difference out of whatever code runs; that code must not catch it by accident."""

    def __init__(self, found: Found) -> None:
        """Carry it."""
        super().__init__(found.what)
        self.found = found


class PayloadWithheldError(Exception):
    """The next turn needs a payload that the log was told not to keep."""

    def __init__(self, number: int) -> None:
        """Name the turn."""
        super().__init__(f"turn {number}: payload withheld")
        self.number = number


class CannotGoOnError(Exception):
    """The turns of this epoch cannot be executed from here on; the text says why."""


class Recording:
    """Yields the recorded turns, and counts how they came out."""

    def __init__(self, reader: LogReader, *, looks_ahead: bool) -> None:
        """Stand before the first turn.

        Args:
            reader: The log.
            looks_ahead: Whether actors and requests get the numbers that the recording gives them.
        """
        self.reader = reader
        self.turns = TurnsAhead(recorded(reader))
        self.looks_ahead = looks_ahead
        self.brought: tuple[Any, ...] | None = None
        """The fields of a message that was taken from the log, until its record is compared."""
        self.accepted: list[Accepted] = []
        """Requests accepted since somebody has asked."""
        self.stopped: list[Stopped] = []
        """... and actors stopped."""
        self.found: Found | None = None
        self.last = 0
        """The turn that was passed last."""
        self.equal = 0
        self.skipped = 0
        self.opaque = 0
        self.withheld = 0
        self.unreachable = 0
        self.reasons: list[str] = []

    def peek(self) -> Recorded | None:
        """Return the turn that comes next."""
        return self.turns.next

    def advance(self) -> None:
        """Go past it."""
        if self.turns.next is not None:
            self.last = self.turns.next.number
        self.turns.advance()

    def compare(self, made: tuple[Any, ...]) -> int:
        """Hold a record that was just made against the one that comes next; return its number."""
        expected = self.turns.next
        if self.found is not None:
            raise Diverged(self.found)  # whoever caught it goes no further
        if expected is None:
            # The recording ends inside a turn that had several records: nothing left to hold it to.
            self.fail(Found(None, "the recording ends here", None, made))
        self.last = expected.number
        self.turns.advance()
        lives = expected.kinds.lives
        for event in expected.wire[5]:
            if event[0] in lives:
                self._note(expected.kinds.bindings.decode(event))
        brought, self.brought = self.brought, None
        if expected.replayable:
            if not is_same_on_wire(expected.wire, made, brought):
                self._compare_decoded(expected, made, brought)
            self.equal += 1
        elif expected.turn.withheld:
            self.withheld += 1
        else:
            self.opaque += 1
        return expected.number

    def _note(self, event: Any) -> None:
        if isinstance(event, Accepted):
            self.accepted.append(event)
        else:
            self.stopped.append(event)

    def _compare_decoded(
        self, expected: Recorded, made: tuple[Any, ...], brought: tuple[Any, ...] | None
    ) -> None:
        """Compare once more what is not equal as it is on the wire, which needs not mean much."""
        decoded = expected.kinds.with_classes(made)
        if not is_same(expected.turn, decoded, brought):
            self.fail(Found(expected, *describe_difference(expected.turn, decoded)))

    def fail(self, found: Found) -> NoReturn:
        """End here: this is the first difference."""
        self.found = found
        raise Diverged(found)

    def give_up(self, reason: str) -> None:
        """Note why turns cannot be executed."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def result(self, divergence: Divergence | None = None, *, ended: int = 0) -> Rerun:
        """Return what came of it so far."""
        counts = (self.equal, self.skipped, self.opaque, self.withheld)
        return Rerun(*counts, ended, divergence, self.unreachable, tuple(self.reasons))
