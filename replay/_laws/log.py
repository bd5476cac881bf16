"""The law of the causal graph: L10."""

from typing import ClassVar

from rescind.events import Origin, Turn
from rescind.replay._ledger.numbers import NumberSet

from .law import Court, Law

_WHOSE = {Origin.ACTOR: "an actor", Origin.TIMER: "a timer"}


class CausesExist(Law):
    """L10."""

    id: ClassVar[str] = "L10"
    says: ClassVar[str] = (
        "a cause precedes its effect and exists; numbers are dense; every chain ends outside"
    )

    def __init__(self, court: Court) -> None:
        """Start before the first turn."""
        super().__init__(court)
        self._next = 0
        self._missing = NumberSet()

    def turn_begins(self, turn: Turn) -> None:
        """Accuse a turn that is out of its place, or whose cause cannot be."""
        self.report.judged += 1
        cause = turn.cause
        if turn.number != self._next:
            self._check_number(turn)
        self._next = turn.number + 1
        if cause is None:
            self._check_outside(turn)
        elif cause.log is None:
            self._check_cause(turn, cause.number, cause.request)

    def _check_number(self, turn: Turn) -> None:
        expected, name = self._next, str(turn.number)
        if expected and turn.number < expected:
            self.broken(name, [turn.number], f"turn {name} comes where {expected} should")
        elif expected and turn.number > expected:
            text = f"turns {expected}..{turn.number - 1} are missing"
            self.broken(name, [expected - 1, turn.number], text, blind=self.court.gaps_are_damage)
            self._missing.add(expected, turn.number - 1)

    def _check_outside(self, turn: Turn) -> None:
        if turn.origin is Origin.ACTOR or turn.origin is Origin.TIMER:
            name, whose = str(turn.number), _WHOSE[turn.origin]
            text = f"turn {name} comes from {whose} and names no cause"
            self.broken(name, [turn.number], text)

    def _check_cause(self, turn: Turn, cause: int, request: int) -> None:
        first = self.ledger.first.turn if self.ledger.first else turn.number
        if first <= cause < turn.number and cause not in self._missing:
            if request:
                self._check_delivery(turn, cause, request)
            return
        name = str(turn.number)
        if cause >= turn.number:
            self.broken(name, [turn.number], f"turn {name} is caused by the later turn {cause}")
        elif cause < 1:
            self.broken(name, [turn.number], f"turn {name} is caused by turn {cause}, no turn")
        elif cause < first:
            self.open(name, [turn.number], f"turn {name} has its cause before the log's beginning")
        elif self._missing.is_exact:
            text = f"turn {name} is caused by turn {cause}, which is missing"
            self.broken(name, [turn.number], text, blind=self.court.gaps_are_damage)

    def _check_delivery(self, turn: Turn, cause: int, request: int) -> None:
        """A cause may name one delivery of a run; then that run must have held it."""
        known = self.ledger.requests.get(request)
        running = self.ledger.scripts.get(cause)
        delivered = known is not None and known.delivered and known.delivered.turn == cause
        if not delivered and running != request and not self.court.is_blind(known):
            name = str(turn.number)
            text = f"turn {name} is caused by a delivery of r{request} that turn {cause} is not"
            self.broken(name, [cause, turn.number], text, request)
