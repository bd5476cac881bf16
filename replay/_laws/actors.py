"""The laws of who speaks of whom: L8 between birth and closing, L9 only whoever may."""

from itertools import islice
from typing import Any, ClassVar

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    Born,
    CallOpened,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Complete,
    Completed,
    CompletionScript,
    DeadLetter,
    Delivered,
    Discarded,
    Fetched,
    InputArrived,
    InputDelivered,
    InputPosted,
    InputScript,
    Killed,
    Notified,
    Opened,
    Origin,
    PartialDue,
    PartialScript,
    PrivilegeChanged,
    Received,
    Recover,
    Rejected,
    Restarted,
    Resume,
    Returned,
    ScriptRaised,
    ScriptReturned,
    ScriptRunning,
    Serve,
    Start,
    Started,
    StateChanged,
    Stopped,
    Supervised,
    TimedOut,
    ToolEvent,
    Turn,
    Violation,
    WorkStopped,
)
from rescind.replay._ledger.lives import CancelLife, RequestLife
from rescind.replay._ledger.numbers import NumberSet

from .law import Court, Law

HELD_MAX = 100_000
"""So many rights, or closings under way, are remembered; of older ones nothing is judged."""


class BirthAndClosing(Law):
    """L8.

    What a log tells of it: an actor takes no turn before it was born, and no event is about a
    request that was never submitted, an endpoint that was never opened or a call that was not.
    Once an endpoint or call has closed, and what closed it was delivered, nothing is delivered,
    started, noted or opened there; only silence may be explained.  What the other side does there
    is a violation or an answer that is ignored, and no broken law.
    """

    id: ClassVar[str] = "L8"
    says: ClassVar[str] = "nothing is said of a thing before its birth or behind its closing"
    kinds: ClassVar[tuple[type, ...]] = (
        Delivered, Started, StateChanged, Closed, Notified, PrivilegeChanged, InputArrived,
        InputDelivered, InputPosted, ScriptRunning, ScriptReturned, Opened, CallOpened, Violation,
        Accepted, Rejected, Born, CancelRequested, Fetched,
    )  # fmt: skip

    def __init__(self, court: Court) -> None:
        """Begin with the runtime alone."""
        super().__init__(court)
        self._born = NumberSet()
        self._born.add(0)
        self._closers: dict[int, list[int]] = {}
        """By closed endpoint: what closed it and is to be delivered before all is silent."""

    def turn_ends(self, turn: Turn) -> None:
        """Accuse a turn of what was not born in it or before."""
        self.report.judged += 1
        if turn.actor not in self._born and not _is_stillborn(turn):
            text = f"a{turn.actor} took a turn and was never born"
            self.broken(f"a{turn.actor}", [turn.number], text, blind=self.court.is_blind(None))
            self._born.add(turn.actor)

    def sees(self, event: Any, turn: Turn) -> None:
        """Learn who is born; accuse words too early and too late."""
        self.report.judged += 1
        if isinstance(event, _BIRTHS):
            self._born.add(event[0])
            return
        match event:
            case Delivered(requests):
                for number in self.ledger.among(requests):
                    self._delivered(number, turn)
            case Closed(subject):
                self._closes(subject, turn)
            case StateChanged(subject):
                self._is_born(subject, turn)
            case Notified(number) | PrivilegeChanged(number):
                self._of_thing(number, _DID[event.__class__], turn)
            case ScriptRunning(number) | ScriptReturned(number):
                # The application may come back when all else is over.
                self._is_submitted(number, "was heard of", turn)
            case Violation():
                pass  # the other side's, whenever it comes
            case _:
                self._of_request(event.request, _DID[event.__class__], turn)

    def _is_born(self, number: int, turn: Turn) -> None:
        if number not in self._born:
            text = f"a{number} changed and was never born"
            self.broken(f"a{number}", [turn.number], text, blind=self.court.is_blind(None))

    def _of_thing(self, number: int, what: str, turn: Turn) -> None:
        self._is_born(number, turn)
        known = self.ledger.calls.get(number) or self.ledger.endpoints.get(number)
        if known is not None and known.closed is not None and known.closed.turn < turn.number:
            text = f"a{number} {what} and was closed before"
            self.broken(f"a{number}", [known.closed.turn, turn.number], text)

    def _of_request(self, number: int, what: str, turn: Turn) -> None:
        request = self._is_submitted(number, what, turn)
        if request is not None and request.endpoint not in self._closers:
            self._is_not_behind_closing(request, what, turn)

    def _is_submitted(self, number: int, what: str, turn: Turn) -> RequestLife | None:
        request = self.ledger.requests.get(number)
        if request is None or request.submitted is None:
            text = f"r{number} {what} and was never submitted"
            blind = self.court.is_blind(request)
            self.broken(f"r{number}", [turn.number], text, number, blind=blind)
        return request

    def _is_not_behind_closing(self, request: RequestLife, what: str, turn: Turn) -> None:
        owner = self.ledger.endpoints.get(request.endpoint)
        if owner is not None and owner.closed is not None and owner.closed.turn < turn.number:
            text = f"r{request.number} {what} when a{request.endpoint} was closed and silent"
            turns = [owner.closed.turn, turn.number]
            self.broken(f"r{request.number}", turns, text, request.number)

    def _delivered(self, number: int, turn: Turn) -> None:
        self._of_request(number, "was delivered", turn)
        request = self.ledger.requests.get(number)
        closers = self._closers.get(request.endpoint) if request else None
        if request is not None and closers is not None and number in closers:
            closers.remove(number)
            if not closers:
                del self._closers[request.endpoint]

    def _closes(self, subject: int, turn: Turn) -> None:
        known = self.ledger.calls.get(subject) or self.ledger.endpoints.get(subject)
        if known is not None and known.closed is not None:
            text = f"a{subject} closed twice"
            self.broken(f"a{subject}", [known.closed.turn, turn.number], text)
            return
        self._is_born(subject, turn)
        closers = [e.request for e in turn.events if isinstance(e, Accepted | Completed)]
        waiting = [number for number in dict.fromkeys(closers) if not self._is_delivered(number)]
        if waiting:
            self._closers[subject] = waiting
            for oldest in list(islice(self._closers, max(0, len(self._closers) - HELD_MAX))):
                del self._closers[oldest]

    def _is_delivered(self, number: int) -> bool:
        request = self.ledger.requests.get(number)
        return request is not None and bool(request.delivered or request.discarded)


_BIRTHS = (Accepted, Rejected, Born, CancelRequested, CallOpened, Opened)
"""Events whose first field is what they bring into the world."""

_DID: dict[type, str] = {
    Notified: "brought news",
    PrivilegeChanged: "changed hands",
    Started: "started",
    InputArrived: "got data",
    InputDelivered: "handed data over",
    InputPosted: "was posted again",
    Fetched: "was fetched",
}
"""What a finding says of somebody who did it too early or too late."""


def _is_stillborn(turn: Turn) -> bool:
    """Whether a start failed here, or something came for who never started."""
    return isinstance(turn.message, Start) or any(isinstance(e, DeadLetter) for e in turn.events)


_BROUGHT_BY: dict[type, Origin] = {
    Answer: Origin.IO,
    Received: Origin.IO,
    Killed: Origin.IO,
    ToolEvent: Origin.IO,
    TimedOut: Origin.TIMER,
    PartialDue: Origin.TIMER,
    Cancel: Origin.ACTOR,
    Complete: Origin.ACTOR,
    Serve: Origin.ACTOR,
    Resume: Origin.ACTOR,
    Returned: Origin.APP,
    Recover: Origin.RECOVERY,
}
"""Messages that only one side can bring: a driver, a timer, another actor, the application."""


class Standing(Law):
    """L9.

    What a log tells of it: which side brought a message (only a driver answers, only a timer says
    that time is out); that an actor speaks of its own life alone; that where a dialect's endpoint
    and requests are one unit only these speak of each other; that a cancel takes only requests of
    the endpoint that it covers, and was asked for by one of its requests; and that rights to a
    call change from what they were, and its news go to who has a right.  Who in the application
    called is a fact of the record (thread, file, line) and no right.
    """

    id: ClassVar[str] = "L9"
    says: ClassVar[str] = "who acts may act: its own side, its own endpoint, a holder of the call"
    kinds: ClassVar[tuple[type, ...]] = (
        Completed, Delivered, Discarded, AnswerIgnored, InputArrived, InputDelivered, InputPosted,
        ScriptRunning, ScriptReturned, ScriptRaised, CancelRequested, CancelBegan, CancelEnded,
        CancelOutcome, WorkStopped, Stopped, Supervised, Restarted, PrivilegeChanged, Notified,
        Closed, Fetched,
    )  # fmt: skip
    messages: ClassVar[tuple[type, ...]] = (
        *_BROUGHT_BY, InputScript, PartialScript, CompletionScript,
    )  # fmt: skip

    def __init__(self, court: Court) -> None:
        """Begin without rights."""
        super().__init__(court)
        self._rights: dict[int, dict[int, tuple[int, int]]] = {}
        """By call and holder: the right, and the turn that gave it."""

    def turn_begins(self, turn: Turn) -> None:
        """Accuse a message that this side cannot bring, or that another actor should have taken."""
        message = turn.message
        wanted = _BROUGHT_BY.get(message.__class__)
        if wanted is not None and wanted is not turn.origin and isinstance(turn.origin, Origin):
            name = message.__class__.__name__
            text = f"{name} came from {turn.origin.name.lower()}, and {wanted.name.lower()} alone"
            self.broken(str(turn.number), [turn.number], f"{text} brings it")
        match message:
            case (
                Answer(number) | Received(number) | TimedOut(number) | Returned(number)
                | InputScript(number) | PartialScript(number) | PartialDue(number)
            ):  # fmt: skip
                self._speaks(number, f"took what is meant for r{number}", turn)
            case CompletionScript(requests):
                for number in self.ledger.among(requests[:2]):
                    self._speaks(number, f"delivers r{number}", turn)
                    break
            case Killed(cancel=number):
                self._acts_for(number, "took a driver's word", turn)
            case _:
                pass

    def sees(self, event: Any, turn: Turn) -> None:
        """Accuse whoever speaks for another."""
        self.report.judged += 1
        match event:
            case Completed(number):
                if number != turn.actor:
                    self._speaks(number, f"completed r{number}", turn)
            case Delivered(requests) | Discarded(requests):
                for number in self.ledger.among(requests):
                    self._speaks(number, f"ended r{number}", turn)
            case Stopped(actor) | Supervised(actor) | Restarted(actor):
                self._speaks_of_itself(actor, turn)
            case CancelRequested():
                self._asks(event, turn)
            case CancelBegan() | CancelEnded() | CancelOutcome() | WorkStopped():
                self._acts_for(event.cancel, f"spoke of c{event.cancel}", turn)
                if isinstance(event, CancelBegan):
                    self._takes_its_own(event.cancel, event.victims, turn)
            case _:
                self._sees_of_calls(event, turn)

    def _sees_of_calls(self, event: Any, turn: Turn) -> None:
        match event:
            case PrivilegeChanged():
                self._changes_hands(event, turn)
            case Notified(subject, holder):
                self._may_hear(subject, holder, turn)
            case Closed(subject):
                self._rights.pop(subject, None)
            case _:
                self._speaks(event.request, f"spoke of r{event.request}", turn)

    # --- endpoints and their requests ------------------------------------------------------------

    def _speaks_of_itself(self, actor: int, turn: Turn) -> None:
        if turn.actor != actor:
            text = f"a{turn.actor} spoke of the life of a{actor}"
            self.broken(f"a{actor}", [turn.number], text)

    def _speaks(self, number: int, what: str, turn: Turn) -> None:
        if turn.actor == number:
            return
        request = self.ledger.requests.get(number)
        if request is None or not request.endpoint or turn.actor == request.endpoint:
            return
        if self.court.tables_of(request.endpoint).is_one_unit:
            owner = self.ledger.owner_of(turn.actor)
            if owner != request.endpoint:
                text = f"a{turn.actor} {what}, which is a{request.endpoint}'s"
                turns = [request.submitted.turn if request.submitted else 0, turn.number]
                blind = self.court.is_blind(request)
                self.broken(f"r{number}", turns, text, number, blind=blind)

    def _acts_for(self, number: int, what: str, turn: Turn) -> None:
        cancel = self.ledger.cancels.get(number)
        if cancel is None or not cancel.endpoint or turn.actor == cancel.endpoint:
            return
        is_one_unit = self.court.tables_of(cancel.endpoint).is_one_unit
        if is_one_unit and self.ledger.owner_of(turn.actor) != cancel.endpoint:
            text = f"a{turn.actor} {what}, which is a{cancel.endpoint}'s"
            turns = [_asked(cancel), turn.number]
            blind = self.court.is_blind(cancel)
            self.broken(f"c{number}", turns, text, number, blind=blind)

    def _asks(self, event: CancelRequested, turn: Turn) -> None:
        covered = self.ledger.owner_of(event.scope)
        asker = self.ledger.requests.get(event.by)
        if asker is None or not asker.endpoint or not self._is_endpoint(covered):
            return
        if asker.endpoint != covered:
            text = f"c{event.cancel} covers a{covered} and was asked for by r{event.by}"
            turns = [asker.submitted.turn if asker.submitted else 0, turn.number]
            text += f" of a{asker.endpoint}"
            self.broken(f"c{event.cancel}", turns, text, event.cancel, event.by)

    def _takes_its_own(self, number: int, victims: list[int], turn: Turn) -> None:
        cancel = self.ledger.cancels.get(number)
        if cancel is None or not self._is_endpoint(cancel.endpoint):
            return
        for victim in self.ledger.among(victims):
            request = self.ledger.requests.get(victim)
            if request is not None and request.endpoint not in (0, cancel.endpoint):
                text = f"c{number} of a{cancel.endpoint} takes r{victim} of a{request.endpoint}"
                turns = [request.submitted.turn if request.submitted else 0, turn.number]
                self.broken(f"c{number}", turns, text, number, victim)

    def _is_endpoint(self, number: int) -> bool:
        """Whether it is known to be one; an actor whose work is cancelled is none."""
        known = self.ledger.endpoints.get(number)
        return known is not None and bool(known.dialect)

    # --- rights to a call ------------------------------------------------------------------------

    def _changes_hands(self, event: PrivilegeChanged, turn: Turn) -> None:
        rights = self._rights.setdefault(event.call, {})
        right, since = rights.get(event.holder, (None, 0))
        opened = self.ledger.calls.get(event.call)
        if right is None and opened is not None and opened.opened is not None:
            right, since = 0, opened.opened.turn
        if right is not None and right != event.old:
            text = f"a{event.holder} had right {right} to call a{event.call} and not {event.old}"
            self.broken(f"a{event.call}", [since, turn.number], text)
        rights[event.holder] = (event.new, turn.number)
        for oldest in list(islice(self._rights, max(0, len(self._rights) - HELD_MAX))):
            del self._rights[oldest]

    def _may_hear(self, call: int, holder: int, turn: Turn) -> None:
        right, since = self._rights.get(call, {}).get(holder, (None, 0))
        if right == 0:
            text = f"a{holder} heard news of call a{call} and had no right to it any more"
            self.broken(f"a{call}", [since, turn.number], text)


def _asked(cancel: CancelLife) -> int:
    return cancel.requested.turn if cancel.requested else 0
