"""The laws of cancellation: L3 outcomes, L4 winners, L5 the window, L6 the order of deliveries."""

from itertools import islice
from typing import Any, ClassVar

from rescind.events import (
    Accepted,
    Answer,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Completed,
    Delivered,
    How,
    Killed,
    Outcome,
    Received,
    Started,
    Turn,
)
from rescind.replay._ledger.dialects import TIMES
from rescind.replay._ledger.lives import Attempt, CancelLife, RequestLife
from rescind.replay._ledger.model import BY_A_CANCEL

from .law import Court, Law

LATEST_MAX = 100_000
"""Of so many cancels it is known what was delivered last."""
_BY_NO_CANCEL = frozenset({How.RESULT, How.FAILED})


class OneOutcome(Law):
    """L3."""

    id: ClassVar[str] = "L3"
    says: ClassVar[str] = (
        "a cancel has one outcome per target when the target completes; it ends once"
    )
    kinds: ClassVar[tuple[type, ...]] = (CancelRequested, CancelBegan, CancelOutcome, CancelEnded)
    took_kinds: ClassVar[tuple[type, ...]] = (Completed, CancelEnded)

    def sees(self, event: Any, turn: Turn) -> None:
        """Accuse what is said twice, or of a cancel that nobody asked for."""
        self.report.judged += 1
        cancel = self.ledger.cancels.get(event.cancel)
        match event:
            case CancelRequested():
                if cancel is not None and cancel.requested is not None:
                    self._twice(event.cancel, "requested", cancel.requested.turn, turn)
            case CancelBegan():
                self._is_requested(event.cancel, cancel, turn)
                if cancel is not None and cancel.began is not None:
                    self._twice(event.cancel, "began", cancel.began.turn, turn)
            case CancelEnded():
                self._is_requested(event.cancel, cancel, turn)
                if cancel is not None and cancel.ended is not None:
                    self._twice(event.cancel, "ended", cancel.ended.turn, turn)
            case CancelOutcome():
                self._is_requested(event.cancel, cancel, turn)
                self._one_outcome(event, cancel, turn)
            case _:
                pass

    def _twice(self, number: int, what: str, first: int, turn: Turn) -> None:
        text = f"c{number} {what} twice"
        self.broken(f"c{number}", [first, turn.number], text, number)

    def _is_requested(self, number: int, cancel: CancelLife | None, turn: Turn) -> None:
        if cancel is None or cancel.requested is None:
            text = f"c{number} is at work and the log has no request for it"
            blind = self.court.is_blind(cancel)
            self.broken(f"c{number}", [turn.number], text, number, blind=blind)

    def _one_outcome(self, event: CancelOutcome, cancel: CancelLife | None, turn: Turn) -> None:
        if cancel is not None and event.target in cancel.told:
            first = next(each.turn for each in cancel.attempts if each.target == event.target)
            text = f"c{event.cancel} has two outcomes at r{event.target}"
            about = (event.cancel, event.target)
            self.broken(f"c{event.cancel}", [first, turn.number], text, *about)

    def took(self, event: Completed | CancelEnded, turn: Turn) -> None:
        """Weigh a cancel when it ends, and when a target of it or its own operation is done."""
        if isinstance(event, CancelEnded):
            self._weigh(self.ledger.cancels[event.cancel], turn)
            return
        self._is_told(event, turn)
        if event.how == How.RESULT and event.request in self.ledger.cancels:
            self._is_ended(self.ledger.cancels[event.request], turn)

    def _is_told(self, event: Completed, turn: Turn) -> None:
        """A cancel that meant to end a request says what came of it, unless it won."""
        request = self.ledger.requests.get(event.request)
        for number in request.claims if request is not None else ():
            cancel = self.ledger.cancels.get(number)
            if cancel is None or number == event.by or event.request in cancel.told:
                continue
            began = cancel.began.turn if cancel.began else 0
            text = f"c{number} says nothing of its victim r{event.request}, which completed"
            self.broken(f"c{number}", [began, turn.number], text, number, event.request)

    def _is_ended(self, cancel: CancelLife, turn: Turn) -> None:
        if cancel.requested is not None and cancel.ended is None:
            name = f"c{cancel.number}"
            text = f"{name} completed and its window never closed"
            began = cancel.began or cancel.requested
            turns = [began.turn, turn.number]
            blind = self.court.is_blind(cancel)
            self.broken(name, turns, text, cancel.number, blind=blind)

    def _weigh(self, cancel: CancelLife, turn: Turn) -> None:
        if self.court.tables_of(cancel.endpoint).cancel_ends_last:
            for number in self.ledger.among(cancel.victims.flat):
                victim = self.ledger.requests[number]
                # Blocked callers and the request that timed out hear after the cancel's end.
                is_waiting = victim.asynchronous and number != cancel.asked_by
                if is_waiting and number not in cancel.told:
                    self._is_served(cancel, victim, turn)

    def _is_served(self, cancel: CancelLife, victim: RequestLife, turn: Turn) -> None:
        if not victim.is_settled:
            text = f"c{cancel.number} ended before its victim r{victim.number} was served"
            turns = [cancel.began.turn if cancel.began else 0, turn.number]
            blind = self.court.is_blind(victim)
            about = (cancel.number, victim.number)
            self.broken(f"c{cancel.number}", turns, text, *about, blind=blind)

    def log_ends(self) -> None:
        """Note windows that are still open."""
        for cancel in self.ledger.cancels.values():
            if cancel.began is not None and cancel.ended is None:
                name = f"c{cancel.number}"
                text = f"{name}'s window is open where the log ends"
                self.open(name, [cancel.began.turn], text, cancel.number)


class OneWinner(Law):
    """L4."""

    id: ClassVar[str] = "L4"
    says: ClassVar[str] = (
        "at most one cancel wins, with the dialect's code; too late, the true result stands"
    )
    kinds: ClassVar[tuple[type, ...]] = (Completed, CancelOutcome)

    def sees(self, event: Completed | CancelOutcome, turn: Turn) -> None:
        """Accuse a winner that cannot be one."""
        self.report.judged += 1
        match event:
            case Completed(how=how) if how in BY_A_CANCEL:
                self._won_by_cancel(event, turn)
            case Completed(how=How.ABANDONED, by=by) if by in self.ledger.cancels:
                self._was_its_victim(event, self.ledger.cancels[by], turn)
            case Completed(how=how, by=by) if by and how in _BY_NO_CANCEL and self._is_cancel(by):
                text = f"r{event.request} has its own result and names c{by} as its winner"
                self.broken(f"r{event.request}", [turn.number], text, event.request, by)
            case CancelOutcome(outcome=Outcome.WON):
                self._take(event.target, event.cancel, turn)
            case CancelOutcome(outcome=Outcome.TOO_LATE):
                self._was_too_late(event, turn)
            case _:
                pass

    def _is_cancel(self, number: int) -> bool:
        return number in self.ledger.cancels

    def _take(self, target: int, cancel: int, turn: Turn) -> None:
        request = self.ledger.requests.get(target)
        if request is not None and request.winner not in (0, cancel):
            first = request.winner
            told = request.completed or self._attempt(first, target)
            turns = [told.turn if told else 0, turn.number]
            text = f"c{first} and c{cancel} both won r{target}"
            self.broken(f"r{target}", turns, text, target, first, cancel)

    def _attempt(self, number: int, target: int) -> Attempt | None:
        cancel = self.ledger.cancels.get(number)
        attempts = cancel.attempts if cancel is not None else []
        return next((each for each in attempts if each.target == target), None)

    def _won_by_cancel(self, event: Completed, turn: Turn) -> None:
        name, by = f"r{event.request}", event.by
        about = (event.request, by)
        self._take(event.request, by, turn)
        cancel = self.ledger.cancels.get(by)
        request = self.ledger.requests.get(event.request)
        if cancel is None:
            text = f"{name} was cancelled by c{by}, which the log does not know"
            self.broken(name, [turn.number], text, *about, blind=self.court.is_blind(None))
            return
        began = cancel.began.turn if cancel.began else 0
        is_its_own = by == event.request
        if event.how == How.TIMED_OUT and cancel.trigger not in ("", *TIMES) and not is_its_own:
            text = f"{name} says that its time ran out, and c{by} is no time-out"
            self.broken(name, [began, turn.number], text, *about)
        if isinstance(turn.message, Cancel) and turn.message.cancel != by:
            text = f"{name} was told of c{turn.message.cancel} and names c{by} as its winner"
            self.broken(name, [began, turn.number], text, *about, turn.message.cancel)
        self._was_its_victim(event, cancel, turn)
        if request is not None:
            self._has_code(event, request, turn)

    def _was_its_victim(self, event: Completed, cancel: CancelLife, turn: Turn) -> None:
        name, by = f"r{event.request}", cancel.number
        about = (event.request, by)
        request = self.ledger.requests.get(event.request)
        began = cancel.began.turn if cancel.began else 0
        if cancel.requested is not None and cancel.began is None:
            text = f"{name} was cancelled by c{by}, which had not begun"
            self.broken(name, [cancel.requested.turn, turn.number], text, *about)
        is_own_end = request is not None and cancel.asked_by == request.number
        is_claimed = (
            request is None or by in request.claims or is_own_end or event.request in cancel.victims
        )
        if cancel.began is not None and not is_claimed:
            text = f"{name} was cancelled by c{by} and is none of its victims"
            blind = self.court.is_blind(cancel)
            self.broken(name, [began, turn.number], text, *about, blind=blind)

    def _has_code(self, event: Completed, request: RequestLife, turn: Turn) -> None:
        allowed = self.court.tables_of(request.endpoint).cancelled_codes
        if allowed is None or request.submitted is None or event.code in allowed(request):
            return
        text = f"r{event.request} was cancelled with code {event.code}, which is not the dialect's"
        self.broken(f"r{event.request}", [turn.number], text, event.request, event.by)

    def _was_too_late(self, event: CancelOutcome, turn: Turn) -> None:
        target = self.ledger.requests.get(event.target)
        about = (event.target, event.cancel)
        if target is None or target.completed is None:
            completes_now = any(
                isinstance(e, Completed) and e.request == event.target for e in turn.events
            )
            if not completes_now:
                text = f"c{event.cancel} came too late for r{event.target}, which had not completed"
                blind = self.court.is_blind(target)
                self.broken(f"c{event.cancel}", [turn.number], text, *about, blind=blind)
        elif target.completed.by == event.cancel and target.completed.how in BY_A_CANCEL:
            text = f"c{event.cancel} both won r{event.target} and came too late for it"
            turns = [target.completed.turn, turn.number]
            self.broken(f"r{event.target}", turns, text, *about)


class ClosedWindow(Law):
    """L5."""

    id: ClassVar[str] = "L5"
    says: ClassVar[str] = (
        "nothing is accepted in a window that forbids it; no driver sees a rejected request"
    )
    kinds: ClassVar[tuple[type, ...]] = (Accepted, Started)
    messages: ClassVar[tuple[type, ...]] = (Answer, Received, Killed)

    def turn_begins(self, turn: Turn) -> None:
        """Accuse an outside that knows of a rejected request."""
        match turn.message:
            case Answer(request=number) | Received(request=number):
                self._went_out(number, turn)
            case Killed(taken=taken, spared=spared):
                for number in (*taken, *spared):
                    self._went_out(number, turn)
            case _:
                pass

    def sees(self, event: Accepted | Started, turn: Turn) -> None:
        """Accuse new work in a window."""
        self.report.judged += 1
        if isinstance(event, Started):
            self._went_out(event.request, turn)
            return
        endpoint = self.ledger.endpoints.get(event.endpoint)
        if endpoint is None:
            return
        rules = self.court.tables_of(event.endpoint)
        for number in endpoint.windows if rules.window_operations else ():
            cancel = self.ledger.cancels[number]
            if cancel.began is not None and rules.forbids(cancel, event.operation):
                text = f"r{event.request} {event.operation} was accepted in the window of c{number}"
                turns = [cancel.began.turn, turn.number]
                blind = self.court.is_blind(cancel)
                about = (event.request, number)
                self.broken(f"r{event.request}", turns, text, *about, blind=blind)

    def _went_out(self, number: int, turn: Turn) -> None:
        request = self.ledger.requests.get(number)
        if request is not None and request.rejected is not None:
            text = f"r{number} was rejected and a driver knows of it"
            self.broken(f"r{number}", [request.rejected.turn, turn.number], text, number)


class DeliveryOrder(Law):
    """L6."""

    id: ClassVar[str] = "L6"
    says: ClassVar[str] = "deliveries follow the dialect's order: victims by rank, then the cancel"
    kinds: ClassVar[tuple[type, ...]] = (Delivered,)

    def __init__(self, court: Court) -> None:
        """Start with nothing delivered."""
        super().__init__(court)
        self._latest: dict[int, tuple[tuple[int, int, int], int]] = {}

    def sees(self, event: Delivered, turn: Turn) -> None:
        """Accuse a delivery that overtook one of the same cancel."""
        for number in self.ledger.among(event.requests):
            self.report.judged += 1
            request = self.ledger.requests.get(number)
            if request is None or request.delivered is not None:
                continue  # L2's business, not a question of order
            cancel = self._cancel_of(request)
            rank = self._rank(request, cancel) if cancel is not None else None
            if cancel is not None and rank is not None:
                self._follows(cancel, request, rank, turn)

    def _cancel_of(self, request: RequestLife) -> CancelLife | None:
        by = request.completed.by if request.completed else 0
        return self.ledger.cancels.get(request.number) or self.ledger.cancels.get(by)

    def _rank(self, request: RequestLife, cancel: CancelLife) -> int | None:
        rules = self.court.tables_of(cancel.endpoint)
        if rules.delivery_rank is None or request.submitted is None:
            return None
        timed_out = cancel.trigger in TIMES and request.number == cancel.asked_by
        if request.number == cancel.number or (timed_out and rules.time_out_is_cancel):
            return rules.cancel_rank
        if not request.asynchronous:
            return rules.synchronous_rank
        return rules.delivery_rank.get(request.operation)

    def _follows(self, cancel: CancelLife, request: RequestLife, rank: int, turn: Turn) -> None:
        submitted = request.submitted.turn if request.submitted else 0
        key = (rank, submitted, request.number)
        latest, place = self._latest.get(cancel.number, (key, turn.number))
        if key < latest:
            name, before = f"r{request.number}", latest[2]
            text = f"{name} was delivered after r{before}, and c{cancel.number} owed it before"
            about = (request.number, before, cancel.number)
            self.broken(name, [place, turn.number], text, *about)
        else:
            self._latest[cancel.number] = (key, turn.number)
            if len(self._latest) > LATEST_MAX:
                for oldest in list(islice(self._latest, LATEST_MAX // 2)):
                    del self._latest[oldest]
