"""The ledger of a log: turns folded, one after the other, into requests, cancels and endpoints.

Everything the tool says is read from here.  The fold trusts facts and not choreography: an event
counts wherever it stands, and one about something unknown makes a stub, so that logs which were
cut, pruned or damaged still tell what they know.  What must not be so is `_laws`' business.

Memory grows with the requests, not with the turns: of a turn only its cause is kept.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeAlias

from rescind.events import (
    Accepted,
    AnswerIgnored,
    Born,
    CallOpened,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    Failed,
    Fetched,
    How,
    InputScript,
    Killed,
    LogDamagedError,
    Opened,
    Origin,
    Outcome,
    PartialScript,
    Rejected,
    ScriptRaised,
    Started,
    StateChanged,
    Stopped,
    Submit,
    TimedOut,
    Turn,
)

from .lives import (
    Attempt,
    CallLife,
    CancelLife,
    Context,
    Delivery,
    Discard,
    Ending,
    EndpointLife,
    Gap,
    Moment,
    Refused,
    RequestLife,
)
from .numbers import Numbers

BY_A_CANCEL = frozenset({How.CANCELLED, How.TIMED_OUT})
"""How requests complete that a cancel won."""

_RANGE_MAX = 10_000_000
"""More in one range is nonsense, which would cost all memory before it showed."""


SENSELESS = (ValueError, OverflowError)
"""What a fold raises over numbers that cannot be; their types `_sound` has looked at."""


def senseless(turn: Turn, error: Exception) -> LogDamagedError:
    """Return the error for a turn whose fields make no sense."""
    return LogDamagedError(f"turn {turn.number} is whole and makes no sense: {error}")


ClassName: TypeAlias = Callable[[int, int], str | None]
"""Epoch and class binding to the class's name."""

Apply: TypeAlias = Callable[["Ledger", Any, Turn], None]


class Ledger:
    """All that a log says, folded.

    Feed it every turn in order; read it at any time.  Consumers that look at single events beside
    the fold (the laws) call `begin` and `apply` themselves.
    """

    KEEPS_CAUSES: ClassVar[bool] = True
    """Whether it remembers for every turn what brought it about."""

    def __init__(self, class_name: ClassName | None = None) -> None:
        """Start with nothing known; ``class_name`` tells what a class binding stands for."""
        self._class_name = class_name
        self.requests: dict[int, RequestLife] = {}
        self.cancels: dict[int, CancelLife] = {}
        self.endpoints: dict[int, EndpointLife] = {}
        self.calls: dict[int, CallLife] = {}
        self.classes: dict[int, tuple[int, int]] = {}
        """Actor to the epoch of its birth and the class binding of that epoch."""
        self.births: dict[int, Moment] = {}
        self.actors_stopped: dict[int, Moment] = {}
        self.actors_failed: dict[int, Moment] = {}
        self.gaps: list[Gap] = []
        self.causes: array[int] = array("q")
        self.contexts: dict[int, int] = {}
        """Turn to the request whose script its cause was; only where the record says which."""
        self.foreign_causes: dict[int, bytes] = {}
        self.scripts: dict[int, int] = {}
        """Delivery turns, and the request whose script was their last: a cause that names only the
        turn means that one."""
        self.first: Moment | None = None
        self.last: Moment | None = None
        self.turns = 0
        """How many turns were taken."""
        self.epoch = 0
        self.blind_before = 1
        """The turn from which on nothing is missing: facts may hide before it."""
        self.last_outcome = 0
        """The request whose end or rejection is the latest that was not a plain success."""
        self.last_result = 0
        self._deliveries = 0

    def feed(self, turn: Turn) -> None:
        """Take the log's next turn.

        Raises:
            LogDamagedError: The turn is well framed and its fields make no sense.
        """
        try:
            self.begin(turn)
            for event in turn.events:
                self.apply(event, turn)
            self.rest(turn)
        except SENSELESS as error:
            raise senseless(turn, error) from error

    def begin(self, turn: Turn) -> None:
        """Take a turn's frame: number, time, cause and message; its events follow by `apply`."""
        number, last = turn.number, self.last
        if last is None or number != last.turn + 1:
            self._jump(turn)
        if self.blind_before > 1:
            self.meet(turn.actor)
        self.turns += 1
        self.last = Moment(number, turn.time_ns)
        self.epoch = turn.epoch
        if self.KEEPS_CAUSES:
            self._note_cause(turn)
        note = _BEGIN.get(turn.message.__class__)
        if note is not None:
            note(self, turn.message, turn)

    def apply(self, event: Any, turn: Turn) -> None:
        """Take one event of the turn that `begin` took; kinds that say nothing here pass by."""
        if self.blind_before > 1:
            self.place(event, turn)
        handler = _APPLY.get(event.__class__)
        if handler is not None:
            handler(self, event, turn)

    def _jump(self, turn: Turn) -> None:
        """Take a number that does not follow the last one: the first, or one behind a gap."""
        if self.first is None or self.last is None:
            self.first = Moment(turn.number, turn.time_ns)
            self.blind_before = turn.number
        elif turn.number > self.last.turn + 1:
            self.gaps.append(Gap(self.last.turn + 1, turn.number - 1))
            self.blind_before = turn.number
            if self.KEEPS_CAUSES:
                self.causes.extend([0] * (turn.number - self.last.turn - 1))

    def _note_cause(self, turn: Turn) -> None:
        cause = turn.cause
        self.causes.append(0 if cause is None or cause.log is not None else cause.number)
        if cause is None:
            return
        if cause.log is not None:
            self.foreign_causes[turn.number] = cause.log
        elif cause.request:
            self.contexts[turn.number] = cause.request

    def cause_of(self, number: int) -> int:
        """Return the turn that brought a turn about; 0 for none, or none in this log."""
        at = number - (self.first.turn if self.first else 1)
        return self.causes[at] if 0 <= at < len(self.causes) else 0

    def context_of(self, number: int) -> Context | None:
        """Return the script in which a turn was asked for, if its cause is a delivery."""
        cause = self.cause_of(number)
        request = self.contexts.get(number) or self.scripts.get(cause, 0)
        return Context(cause, request) if cause and request else None

    def context_in(self, turn: Turn) -> Context | None:
        """Return the script in which the latest turn was asked for."""
        cause = turn.cause
        if cause is None or cause.log is not None:
            return None
        request = cause.request or self.scripts.get(cause.number, 0)
        return Context(cause.number, request) if request and cause.number else None

    def request(self, number: int) -> RequestLife:
        """Return a request, a stub when the log has not told of its submission."""
        found = self.requests.get(number)
        if found is None:
            found = self.requests[number] = RequestLife(number)
        return found

    def cancel(self, number: int) -> CancelLife:
        """Return a cancel, a stub when the log has not told of its request."""
        found = self.cancels.get(number)
        if found is None:
            found = self.cancels[number] = CancelLife(number)
        return found

    def endpoint(self, number: int) -> EndpointLife:
        """Return an endpoint, a stub when the log has not told of its opening."""
        found = self.endpoints.get(number)
        if found is None:
            found = self.endpoints[number] = EndpointLife(number)
        return found

    def owner_of(self, number: int) -> int:
        """Return the endpoint of a request or call; any other number is an endpoint's own."""
        owned = self.requests.get(number) or self.calls.get(number)
        return owned.endpoint if owned else number

    def label(self, number: int) -> str:
        """Return what to call an actor: ``a1 newton endpoint``, ``r9 Output``, ``c12 Cancel``."""
        if number in self.endpoints:
            return f"a{number} {self.endpoints[number].dialect} endpoint".replace("  ", " ")
        if number in self.requests:
            return f"r{number} {self.requests[number].operation}".rstrip()
        if number in self.cancels:
            return f"c{number} {self.cancels[number].trigger}"
        if number in self.calls:
            return f"a{number} call"
        born = self.classes.get(number)
        name = self._class_name(*born) if born and self._class_name else None
        return f"a{number} {name or ''}".rstrip() if number else "runtime"

    def meet(self, number: int) -> None:
        """Hear that something is said of a number; whoever knows what it is introduces it."""

    def ends(self, cancel: CancelLife) -> None:
        """Hear that a cancel ended."""

    def settles(self, request: RequestLife) -> None:
        """Hear that nothing more is owed for a request."""

    def among(self, ranges: list[int]) -> Iterable[int]:
        """Return those of the numbers in ranges that this ledger wants to hear about."""
        return each(ranges)

    def rest(self, turn: Turn) -> None:
        """Hear that all of a turn was taken."""

    def place(self, event: Any, turn: Turn) -> None:
        """Hear of an event where turns are missing, before it is taken: whose is it?"""

    def end(self) -> None:
        """Hear that no turn follows."""

    @property
    def owes(self) -> bool:
        """Whether anything is still owed to anybody."""
        is_waiting = next(self.unsettled(), None) is not None
        return is_waiting or any(cancel.is_open for cancel in self.cancels.values())

    def unsettled(self) -> Iterator[RequestLife]:
        """Yield the requests for which something is still owed, in the order of their coming."""
        return (request for request in self.present() if not request.is_settled)

    def present(self) -> Iterator[RequestLife]:
        """Yield the requests that are not forgotten, in the order of their coming."""
        return iter(self.requests.values())

    def next_place(self) -> int:
        """Return the rank of the next delivery."""
        self._deliveries += 1
        return self._deliveries


def each(ranges: list[int]) -> Iterator[int]:
    """Return the numbers of ranges in their order.

    >>> list(each([4, 6, 2, 2]))
    [4, 5, 6, 2]
    """
    for first, last in zip(ranges[::2], ranges[1::2], strict=False):
        if last - first > _RANGE_MAX:
            raise ValueError(f"{last - first + 1:,} requests in one range")
        yield from range(first, last + 1)


# --- one function per message --------------------------------------------------------------------


def _ran(ledger: Ledger, message: CompletionScript, turn: Turn) -> None:
    if message.requests:
        ledger.scripts[turn.number] = message.requests[-1]


def _showed(ledger: Ledger, message: InputScript | PartialScript, turn: Turn) -> None:
    ledger.scripts[turn.number] = message.request


def _timed_out(ledger: Ledger, message: TimedOut, turn: Turn) -> None:
    request = ledger.requests.get(message.request)
    if request is not None:
        request.timed_out = Moment(turn.number, turn.time_ns)


def _killed(ledger: Ledger, message: Killed, turn: Turn) -> None:
    cancel = ledger.cancels.get(message.cancel)
    if cancel is not None:
        cancel.killed = _ending(turn, message.code)
        for number, taken in message.taken.items():
            cut = ledger.requests.get(number)
            if cut is not None:
                cut.taken = taken


_BEGIN: dict[type, Apply] = {
    CompletionScript: _ran,
    InputScript: _showed,
    PartialScript: _showed,
    TimedOut: _timed_out,
    Killed: _killed,
}


def _ending(turn: Turn, code: int | None, how: int = How.RESULT, by: int = 0) -> Ending:
    return Ending(turn.number, turn.time_ns, code, how, by)


# --- one function per event ----------------------------------------------------------------------
# The first word about a thing stands: a second birth, completion or end is a broken law, and to
# overwrite the first with it would hide what really was first.


def _accepted(ledger: Ledger, event: Accepted, turn: Turn) -> None:
    request = ledger.request(event.request)
    if request.submitted is not None:
        return
    request.endpoint = event.endpoint
    request.operation = event.operation
    request.asynchronous = event.asynchronous
    request.timeout_ns = event.timeout_ns
    request.submitted = Moment(turn.number, turn.time_ns)
    request.by = turn.by
    request.inside = ledger.context_in(turn)
    ledger.endpoint(event.endpoint).pending.add(event.request)


def _rejected(ledger: Ledger, event: Rejected, turn: Turn) -> None:
    request = ledger.request(event.request)
    if request.submitted is not None:
        return
    request.endpoint = event.endpoint
    request.operation = event.operation
    request.submitted = Moment(turn.number, turn.time_ns)
    request.by = turn.by
    request.inside = ledger.context_in(turn)
    request.rejected = Refused(turn.number, turn.time_ns, event.code, event.rule)
    for number in ledger.endpoint(event.endpoint).windows:
        ledger.cancel(number).refused.append(event.request)
    ledger.last_outcome = event.request
    ledger.settles(request)


def _completed(ledger: Ledger, event: Completed, turn: Turn) -> None:
    request = ledger.request(event.request)
    if request.completed is None:
        request.completed = _ending(turn, event.code, event.how, event.by)
        ledger.last_result = event.request
        if event.code is not None or event.how != How.RESULT:
            ledger.last_outcome = event.request
        if event.how in BY_A_CANCEL:
            request.winner = request.winner or event.by
        if request.is_settled:
            ledger.settles(request)


def _delivered(ledger: Ledger, event: Delivered, turn: Turn) -> None:
    for number in ledger.among(event.requests):
        request = ledger.request(number)
        place = ledger.next_place()
        if request.delivered is None:
            request.delivered = Delivery(turn.number, turn.time_ns, event.manner, place)
            if request.has_completed:
                ledger.settles(request)
        ledger.endpoint(request.endpoint).pending.discard(number)


def _fetched(ledger: Ledger, event: Fetched, turn: Turn) -> None:
    request = ledger.request(event.request)
    request.fetched = request.fetched or Moment(turn.number, turn.time_ns)


def _discarded(ledger: Ledger, event: Discarded, turn: Turn) -> None:
    for number in ledger.among(event.requests):
        request = ledger.request(number)
        if request.discarded is None:
            request.discarded = Discard(turn.number, turn.time_ns, event.reason, event.by)
            if request.has_completed:
                ledger.settles(request)
        ledger.endpoint(request.endpoint).pending.discard(number)


def _answer_ignored(ledger: Ledger, event: AnswerIgnored, turn: Turn) -> None:
    ledger.request(event.request).late_answer = _ending(turn, event.code)


def _script_raised(ledger: Ledger, event: ScriptRaised, turn: Turn) -> None:
    del turn
    ledger.request(event.request).script_error = event.error


def _cancel_requested(ledger: Ledger, event: CancelRequested, turn: Turn) -> None:
    cancel = ledger.cancel(event.cancel)
    if cancel.requested is not None:
        return
    cancel.scope = event.scope
    cancel.endpoint = ledger.owner_of(event.scope)
    cancel.reason = event.reason
    cancel.trigger = event.trigger
    cancel.asked_by = event.by
    cancel.requested = Moment(turn.number, turn.time_ns)
    cancel.by = turn.by
    cancel.inside = ledger.context_in(turn)
    if turn.origin == Origin.ACTOR and isinstance(turn.message, Submit):
        cancel.handler = turn.cause.number if turn.cause and turn.cause.log is None else 0


def _cancel_began(ledger: Ledger, event: CancelBegan, turn: Turn) -> None:
    cancel = ledger.cancel(event.cancel)
    if cancel.began is not None:
        return
    cancel.began = Moment(turn.number, turn.time_ns)
    cancel.victims = Numbers(event.victims)
    for number in ledger.among(event.victims):
        request = ledger.request(number)
        request.claims += (event.cancel,)
        cancel.owed += not request.is_settled
    if cancel.ended is None:
        ledger.endpoint(cancel.endpoint).windows.append(event.cancel)


def _cancel_outcome(ledger: Ledger, event: CancelOutcome, turn: Turn) -> None:
    cancel = ledger.cancel(event.cancel)
    cancel.attempts.append(Attempt(turn.number, turn.time_ns, *event))
    cancel.told.add(event.target)
    if event.outcome == Outcome.WON:
        target = ledger.request(event.target)
        target.winner = target.winner or event.cancel


def _cancel_ended(ledger: Ledger, event: CancelEnded, turn: Turn) -> None:
    cancel = ledger.cancel(event.cancel)
    if cancel.ended is not None:
        return
    cancel.ended = _ending(turn, event.code)
    windows = ledger.endpoint(cancel.endpoint).windows
    if event.cancel in windows:
        windows.remove(event.cancel)
    ledger.ends(cancel)


def _opened(ledger: Ledger, event: Opened, turn: Turn) -> None:
    endpoint = ledger.endpoint(event.endpoint)
    if endpoint.opened is None:
        endpoint.dialect = event.dialect
        endpoint.profile = event.profile
        endpoint.driver = event.driver
        endpoint.opened = Moment(turn.number, turn.time_ns)


def _state_changed(ledger: Ledger, event: StateChanged, turn: Turn) -> None:
    ledger.meet(event.subject)
    if event.subject in ledger.requests:
        return  # a request's states are its dialect's own; its life is told by other events
    subject = ledger.calls.get(event.subject) or ledger.endpoint(event.subject)
    subject.state = event.new
    subject.changed = Moment(turn.number, turn.time_ns)


def _closed(ledger: Ledger, event: Closed, turn: Turn) -> None:
    subject = ledger.calls.get(event.subject) or ledger.endpoint(event.subject)
    if subject.closed is None:
        subject.closed = Moment(turn.number, turn.time_ns)
        subject.reason = event.reason


def _call_opened(ledger: Ledger, event: CallOpened, turn: Turn) -> None:
    call = ledger.calls.setdefault(event.call, CallLife(event.call, event.endpoint))
    if call.opened is None:
        call.opened = Moment(turn.number, turn.time_ns)


def _started(ledger: Ledger, event: Started, turn: Turn) -> None:
    del turn
    ledger.request(event.request)


def _born(ledger: Ledger, event: Born, turn: Turn) -> None:
    ledger.classes[event.actor] = (turn.epoch, event.cls)
    ledger.births.setdefault(event.actor, Moment(turn.number, turn.time_ns))


def _stopped(ledger: Ledger, event: Stopped, turn: Turn) -> None:
    ledger.actors_stopped.setdefault(event.actor, Moment(turn.number, turn.time_ns))


def _failed(ledger: Ledger, event: Failed, turn: Turn) -> None:
    del event
    ledger.actors_failed[turn.actor] = Moment(turn.number, turn.time_ns)


_APPLY: dict[type, Apply] = {
    Accepted: _accepted,
    Rejected: _rejected,
    Completed: _completed,
    Delivered: _delivered,
    Fetched: _fetched,
    Discarded: _discarded,
    AnswerIgnored: _answer_ignored,
    ScriptRaised: _script_raised,
    CancelRequested: _cancel_requested,
    CancelBegan: _cancel_began,
    CancelOutcome: _cancel_outcome,
    CancelEnded: _cancel_ended,
    Opened: _opened,
    StateChanged: _state_changed,
    Closed: _closed,
    CallOpened: _call_opened,
    Started: _started,
    Born: _born,
    Stopped: _stopped,
    Failed: _failed,
}
