"""The laws of a request's life: L1 one completion, L2 one end, L7 silence, L11 terminal states."""

from itertools import islice
from typing import Any, ClassVar

from rescind.events import (
    Accepted,
    AnswerIgnored,
    Closed,
    Completed,
    CompletionScript,
    DeadLetter,
    Decision,
    Delivered,
    Discarded,
    Drop,
    Dropped,
    Fetched,
    How,
    Opened,
    Origin,
    Overflowed,
    Rejected,
    Restart,
    Restarted,
    Resume,
    Started,
    StateChanged,
    Stop,
    Stopped,
    Submit,
    Supervised,
    Suspended,
    Turn,
)
from rescind.replay._ledger.lives import RequestLife
from rescind.replay._ledger.numbers import NumberSet

from .law import Court, Law

ABOUT_MAX = 100
"""So many requests of one discard are named in a finding."""
_POSTHUMOUS = (AnswerIgnored, DeadLetter, Dropped, Overflowed)
"""What may be said of an actor that has stopped: that something came for it."""


class OneCompletion(Law):
    """L1."""

    id: ClassVar[str] = "L1"
    says: ClassVar[str] = (
        "an accepted request completes at most once, and once when its endpoint closed"
    )
    kinds: ClassVar[tuple[type, ...]] = (Completed,)
    took_kinds: ClassVar[tuple[type, ...]] = (Closed,)
    messages: ClassVar[tuple[type, ...]] = (Drop,)

    def __init__(self, court: Court) -> None:
        """Start with no endpoint closed."""
        super().__init__(court)
        self._closing: dict[int, list[int]] = {}

    def sees(self, event: Completed, turn: Turn) -> None:
        """Accuse a second completion, and one of a request that was never accepted."""
        self.report.judged += 1
        name, request = f"r{event.request}", self.ledger.requests.get(event.request)
        if request is None or request.submitted is None:
            text = f"{name} completed, and the log has no submission of it"
            blind = self.court.is_blind(request)
            self.broken(name, [turn.number], text, event.request, blind=blind)
        if request is not None and request.completed is not None:
            turns = [request.completed.turn, turn.number]
            self.broken(name, turns, f"{name} completed twice", event.request, event.by)

    def turn_ends(self, turn: Turn) -> None:
        """Hold a Drop to its word."""
        request = self.ledger.requests.get(turn.actor)
        if request is not None and request.submitted is not None and request.is_pending:
            name = f"r{request.number}"
            text = f"{name} was dropped and has no completion"
            self.broken(name, [turn.number], text, request.number)

    def took(self, event: Closed, turn: Turn) -> None:
        """Note what a closed endpoint leaves behind."""
        if event.subject in self.ledger.endpoints:
            self._close(event.subject, turn)

    def _close(self, endpoint: int, turn: Turn) -> None:
        """Accuse what is pending, unless the closing has only begun: its Drops follow then."""
        if isinstance(turn.message, Submit):
            self._closing[endpoint] = [
                event.request for event in turn.events if isinstance(event, Accepted)
            ]
        else:
            self._accuse_pending(endpoint)

    def _accuse_pending(self, endpoint: int) -> None:
        known = self.ledger.endpoint(endpoint)
        for number in known.pending:
            request = self.ledger.requests[number]
            if request.is_pending and request.submitted and known.closed:
                text = f"r{number} has no completion and its endpoint a{endpoint} is closed"
                turns = [request.submitted.turn, known.closed.turn]
                self.broken(f"r{number}", turns, text, number, blind=self.court.is_blind(request))

    def log_ends(self) -> None:
        """Accuse what was delivered or closed upon without a completion; the rest is open."""
        for endpoint, closers in self._closing.items():
            if closers and not any(self.ledger.requests[n].is_pending for n in closers):
                self._accuse_pending(endpoint)
        for request in self.ledger.unsettled():
            if request.is_pending:
                self._pending(request)

    def _pending(self, request: RequestLife) -> None:
        name = f"r{request.number}"
        end = request.delivered or request.discarded
        if end is not None:
            text = f"{name} reached its end without a completion"
            blind = self.court.is_blind(request)
            self.broken(name, [end.turn], text, request.number, blind=blind)
        elif request.operation:  # else nothing is known of it but its number
            text = f"{name} {request.operation} is outstanding where the log ends"
            turns = [request.submitted.turn] if request.submitted else []
            self.open(name, turns, text, request.number)


class OneEnd(Law):
    """L2."""

    id: ClassVar[str] = "L2"
    says: ClassVar[str] = (
        "a completion is recorded before delivery; it is delivered or discarded, once"
    )
    kinds: ClassVar[tuple[type, ...]] = (Delivered, Discarded)
    messages: ClassVar[tuple[type, ...]] = (CompletionScript, Resume)

    def __init__(self, court: Court) -> None:
        """Begin without turns that wait."""
        super().__init__(court)
        self._suspended: dict[int, list[int]] = {}
        """What a handler that waits inside its turn has to deliver, by the part it waits behind."""

    def sees(self, event: Delivered | Discarded, turn: Turn) -> None:
        """Accuse an end before the completion, and a second end in one epoch."""
        for number in self.ledger.among(event.requests):
            self.report.judged += 1
            request = self.ledger.requests.get(number)
            self._completed_before(number, request, turn)
            if request is not None:
                self._ended_before(request, turn)

    def _completed_before(self, number: int, request: RequestLife | None, turn: Turn) -> None:
        if request is None or not request.has_completed:
            text = f"r{number} reached its end before any completion of it"
            blind = self.court.is_blind(request)
            self.broken(f"r{number}", [turn.number], text, number, blind=blind)

    def _ended_before(self, request: RequestLife, turn: Turn) -> None:
        for end in (request.delivered, request.discarded):
            # A completion whose delivery was not acknowledged is delivered again after recovery.
            if end is not None and end.turn >= self.court.epoch_first:
                name = f"r{request.number}"
                self.broken(name, [end.turn, turn.number], f"{name} ended twice", request.number)

    def turn_ends(self, turn: Turn) -> None:
        """Accuse a run of deliveries that lost one, once its last part is there."""
        meant = self._meant(turn)
        if meant and any(isinstance(event, Suspended) for event in turn.events):
            self._suspended[turn.number] = meant
            return
        for number in meant:
            request = self.ledger.requests.get(number)
            ended = request is not None and (request.delivered or request.discarded)
            if not ended:
                text = f"r{number} is in a run of deliveries and was not delivered by it"
                self.broken(f"r{number}", [turn.number], text, number)

    def _meant(self, turn: Turn) -> list[int]:
        """Return what is delivered when a turn has ended."""
        message = turn.message
        if isinstance(message, Resume):
            return self._suspended.pop(message.part, [])
        if not isinstance(message, CompletionScript) or _is_dead_letter(turn):
            return []
        meant = list(self.ledger.among(message.requests))
        # The script that is running may be booked when it returns.
        return meant[:-1] if message.running else meant

    def log_ends(self) -> None:
        """Note completions that still wait for their delivery."""
        for request in self.ledger.unsettled():
            completed = request.completed or request.before
            if completed is not None and not request.is_settled:
                name = f"r{request.number}"
                text = f"{name} completed and is not delivered where the log ends"
                self.open(name, [completed.turn], text, request.number)


def _is_dead_letter(turn: Turn) -> bool:
    return any(isinstance(event, DeadLetter) for event in turn.events)


class ExplainedSilence(Law):
    """L7."""

    id: ClassVar[str] = "L7"
    says: ClassVar[str] = "silence is explained: by a reason and by what closed the way"
    kinds: ClassVar[tuple[type, ...]] = (Discarded,)
    messages: ClassVar[tuple[type, ...]] = (Drop,)

    def sees(self, event: Discarded, turn: Turn) -> None:
        """Accuse a discard without a reason, or by nothing."""
        self.report.judged += 1
        numbers = list(islice(self.ledger.among(event.requests), ABOUT_MAX))
        subject = f"r{numbers[0]}" if numbers else str(turn.number)
        if not event.reason:
            text = f"{subject} was discarded without a reason"
            self.broken(subject, [turn.number], text, *numbers)
        if not self._is_known(event.by, turn):
            text = f"{subject} was discarded and what closed it ({event.by}) is not in the log"
            blind = 0 < event.by < self.ledger.blind_before
            self.broken(subject, [turn.number], text, *numbers, blind=blind)

    def _is_known(self, by: int, turn: Turn) -> bool:
        if by == 0:  # what closed it was a crash, or is this very turn
            return turn.origin is Origin.RECOVERY or isinstance(turn.message, Stop | Submit)
        is_turn = self.ledger.blind_before <= by <= turn.number
        return is_turn or by in self.ledger.requests or by in self.ledger.endpoints

    def turn_ends(self, turn: Turn) -> None:
        """Accuse a request that was abandoned and whose silence nobody booked."""
        for event in turn.events:
            if isinstance(event, Completed) and event.how == How.ABANDONED:
                request = self.ledger.requests[event.request]
                if not request.is_settled:
                    name = f"r{event.request}"
                    text = f"{name} was abandoned and the log does not say who closed it"
                    self.broken(name, [turn.number], text, event.request)


class TerminalStates(Law):
    """L11."""

    id: ClassVar[str] = "L11"
    says: ClassVar[str] = (
        "terminal states are terminal; a reused structure or restarted actor is new"
    )
    kinds: ClassVar[tuple[type, ...]] = (
        Accepted, Rejected, Started, Completed, Opened, StateChanged, Stopped, Supervised,
        Restarted, Fetched,
    )  # fmt: skip

    def __init__(self, court: Court) -> None:
        """Start with no actor between two incarnations."""
        super().__init__(court)
        self._stopped = NumberSet()
        self._restarting: dict[int, int] = {}
        """By actor: the turn in which its last incarnation ended and the next was decided."""
        self._incarnations: dict[int, int] = {}

    def turn_begins(self, turn: Turn) -> None:
        """Accuse an actor that takes a message after its last one, or between incarnations."""
        actor = turn.actor
        if actor in self._stopped and actor != 0:
            name, stopped = f"a{actor}", self.ledger.actors_stopped[actor]
            if not all(isinstance(event, _POSTHUMOUS) for event in turn.events):
                text = f"{name} acted after it had stopped"
                self.broken(name, [stopped.turn, turn.number], text)
        elif actor in self._restarting and not isinstance(turn.message, Restart | Stop):
            text = f"a{actor} took a message between two incarnations"
            self.broken(f"a{actor}", [self._restarting[actor], turn.number], text)

    def sees(self, event: Any, turn: Turn) -> None:
        """Accuse life after an end."""
        self.report.judged += 1
        if isinstance(event, Completed | Started):
            self._may_live(event, turn)
            return
        match event:
            case Accepted() | Rejected():
                self._is_new(event, turn)
            case Fetched(request=number):
                self._is_fetched_once(number, turn)
            case Opened(endpoint=number) | StateChanged(subject=number):
                self._is_not_closed(number, f"a{number} changed", turn)
            case Supervised(actor=number, decision=Decision.RESTART):
                self._restarting[number] = turn.number
            case Restarted(actor=number, incarnation=incarnation):
                self._is_next(number, incarnation, turn)
            case Stopped(actor=number):
                self._restarting.pop(number, None)
                self._incarnations.pop(number, None)
                self._stopped.add(number)
            case _:
                pass

    def _is_next(self, actor: int, incarnation: int, turn: Turn) -> None:
        name = f"a{actor}"
        before = self._incarnations.get(actor, 1 if self.ledger.blind_before == 1 else 0)
        decided = self._restarting.pop(actor, None)
        if decided is None:
            text = f"{name} restarted, and nobody decided that"
            blind = self.ledger.blind_before > 1 and actor not in self._incarnations
            self.broken(name, [turn.number], text, blind=blind)
        if before and incarnation != before + 1:
            text = f"{name} restarted as incarnation {incarnation} after {before}"
            self.broken(name, [turn.number], text)
        self._incarnations[actor] = incarnation

    def _is_new(self, event: Accepted | Rejected, turn: Turn) -> None:
        name, known = f"r{event.request}", self.ledger.requests.get(event.request)
        if known is not None:
            first = known.submitted or known.completed or known.delivered or known.discarded
            turns = [first.turn if first else 0, turn.number]
            blind = known.is_lost
            self.broken(name, turns, f"{name} was submitted again", event.request, blind=blind)
        if isinstance(event, Accepted):
            self._is_not_closed(event.endpoint, f"{name} was accepted", turn, event.request)

    def _is_fetched_once(self, number: int, turn: Turn) -> None:
        known = self.ledger.requests.get(number)
        if known is None:
            return  # L8's business
        if known.fetched is not None:
            text = f"r{number} was fetched twice"
            self.broken(f"r{number}", [known.fetched.turn, turn.number], text, number)
        elif known.delivered is None:
            text = f"r{number} was fetched before its notification left"
            blind = self.court.is_blind(known)
            self.broken(f"r{number}", [turn.number], text, number, blind=blind)

    def _may_live(self, event: Started | Completed, turn: Turn) -> None:
        number = event.request
        known = self.ledger.requests.get(number)
        if known is None:
            return
        if known.rejected is not None:
            turns = [known.rejected.turn, turn.number]
            self.broken(f"r{number}", turns, f"r{number} lived on after its rejection", number)
        if isinstance(event, Started) and known.completed is not None:
            turns = [known.completed.turn, turn.number]
            self.broken(f"r{number}", turns, f"r{number} started after its completion", number)

    def _is_not_closed(self, endpoint: int, what: str, turn: Turn, *about: int) -> None:
        known = self.ledger.endpoints.get(endpoint)
        if known is not None and known.closed is not None and known.closed.turn < turn.number:
            turns = [known.closed.turn, turn.number]
            self.broken(f"a{endpoint}", turns, f"{what} after a{endpoint} was closed", *about)
