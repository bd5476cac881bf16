"""`rescind why`: from an outcome back to the input from outside that began it.

The way back follows the causes that the log recorded, with two shortcuts that say more: a script's
delivery leads to the completion of *its* request (not to the last one of the run), and a victim
leads to the cancel that won it even where the causes in between are lost.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rescind.events import (
    Answer,
    By,
    Cancel,
    CancelBegan,
    Complete,
    Completed,
    CompletionScript,
    Discarded,
    EventHandler,
    How,
    InputScript,
    Killed,
    Notified,
    Origin,
    PartialScript,
    Received,
    Rejected,
    Returned,
    Submit,
    TimedOut,
    ToolEvent,
    Turn,
)

from ._describe import event_text, message_text, rules_of, said
from ._dialects import TIME_OUT, code_text, end_text, state_text
from ._fold import fold
from ._lives import CancelLife, Endpoint, Moment, Request
from ._model import Ledger
from ._select import Kind, Target, resolve
from ._sound import sound
from ._text import count, duration, error_text, plain, site


@dataclass(frozen=True, slots=True)
class Step:
    """One turn on the way back.

    Attributes:
        before_ns: How long before the outcome it happened.
        actor: The actor that took the message, as its label.
        message: The message, in a few words.
        says: What happened in it, as far as it concerns the outcome.
        by: Who called, if the application did.
        origin: Who brought the message: ``actor``, ``app``, ``io``, ``timer`` or ``recovery``.
    """

    turn: int
    time_ns: int
    before_ns: int
    actor: str
    message: str
    says: str
    by: By | None
    origin: str


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of causes, from the outcome backwards.

    Attributes:
        title: What question the branch answers.
        root: Why it ends where it ends.
        joins: The turn at which it meets an earlier branch and stops, or 0.
    """

    title: str
    steps: tuple[Step, ...]
    root: str
    joins: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """The answer to one `why`.

    Attributes:
        target: What was asked about.
        headline: The outcome, in one sentence.
        moment: When it came about.
        facts: What else is to be known of it, a sentence each.
        branches: The causes.
        raced: What raced with it and lost, or what it survived, a sentence each.
        related: Selectors worth asking about next.
    """

    target: Target
    headline: str
    moment: Moment
    facts: tuple[str, ...]
    branches: tuple[Branch, ...]
    raced: tuple[str, ...]
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A story before its turns are fetched: what to say, and at which turns to begin."""

    headline: str
    moment: Moment
    facts: tuple[str, ...]
    starts: tuple[tuple[str, int, int], ...]
    """Title, turn and request in focus of each branch."""
    raced: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Point:
    turn: int
    focus: int


def why(log: Iterable[Turn], selector: str) -> Story:
    """Tell why something came out as it did.

    Reads the log twice: once to fold it, once to fetch the turns of the story.

    Raises:
        SelectorError: The selector means nothing in this log, or several things.
    """
    ledger = fold(log)
    return story_of(log, resolve(selector, ledger), ledger)


def story_of(log: Iterable[Turn], target: Target, ledger: Ledger) -> Story:
    """Return the story of a target, from a log and the ledger folded from it."""
    plan = _plan(target, ledger)
    paths = [(title, trace(ledger, turn, focus)) for title, turn, focus in plan.starts]
    # The second answers a question of its own only if it says more than a fact has said already.
    paths = paths[:1] + [(title, path) for title, path in paths[1:] if len(path) > 1]
    turns = _fetch(log, {point.turn for _, path in paths for point in path})
    moment = plan.moment
    if moment.turn in turns:
        moment = Moment(moment.turn, turns[moment.turn].time_ns)
    branches = tuple(_branches(paths, turns, moment, ledger))
    return Story(target, plan.headline, moment, plan.facts, branches, plan.raced, plan.related)


# --- the way back --------------------------------------------------------------------------------


def trace(ledger: Ledger, turn: int, focus: int = 0) -> list[_Point]:
    """Return the way back from a turn; ``focus`` is the request that the turn is looked at for."""
    points: list[_Point] = []
    seen: set[int] = set()
    while turn > 0 and turn not in seen:  # a damaged log may run in circles
        seen.add(turn)
        points.append(_Point(turn, focus))
        turn, focus = _before(ledger, turn, focus)
    return points


def _before(ledger: Ledger, turn: int, focus: int) -> tuple[int, int]:
    request = ledger.requests.get(focus)
    if request is not None and request.completed is not None:
        done = request.completed
        if turn in ledger.scripts and done.turn < turn:
            return done.turn, focus
        cancel = ledger.cancels.get(done.by)
        if done.turn == turn and cancel is not None and cancel.requested is not None:
            asked = cancel.requested.turn
            if asked < turn and asked not in _causes(ledger, turn):
                return asked, 0
    context = ledger.context_of(turn)
    return (context.turn, context.request) if context else (ledger.cause_of(turn), 0)


def _causes(ledger: Ledger, turn: int) -> set[int]:
    seen: set[int] = set()
    while turn > 0 and turn not in seen:
        seen.add(turn)
        turn = ledger.cause_of(turn)
    return seen


def _fetch(log: Iterable[Turn], wanted: set[int]) -> dict[int, Turn]:
    found: dict[int, Turn] = {}
    last = max(wanted, default=0)
    for turn in sound(log):
        if turn.number in wanted:
            found[turn.number] = turn
        if turn.number >= last:
            break
    return found


def _branches(
    paths: list[tuple[str, list[_Point]]], turns: dict[int, Turn], moment: Moment, ledger: Ledger
) -> Iterator[Branch]:
    told: set[int] = set()
    for title, path in paths:
        joins = next((point.turn for point in path if point.turn in told), 0)
        steps: list[Step] = []
        for point in path:
            if point.turn in told:
                break
            if point.turn in turns:
                steps.append(_step(turns[point.turn], point.focus, moment, ledger))
        if steps:
            root = "" if joins else _root(path, turns)
            yield Branch(title, tuple(steps), root, joins)
        told.update(point.turn for point in path)


def _root(path: list[_Point], turns: dict[int, Turn]) -> str:
    last = path[-1].turn
    turn = turns.get(last)
    if turn is None:
        return f"turn {last} is not in the log: the story begins before it, or in a gap"
    if turn.cause is not None and turn.cause.log is not None:
        return f"caused by turn {turn.cause.number} of another log, {turn.cause.log.hex()}"
    return _ROOTS.get(turn.origin, "the log names no cause further back")


_ROOTS: dict[int, str] = {
    Origin.APP: "the application called",
    Origin.IO: "the outside spoke unasked",
    Origin.TIMER: "a timer ran out",
    Origin.RECOVERY: "the log was reopened and what was left open was ended",
}


# --- one turn, as it concerns the outcome --------------------------------------------------------


def _step(turn: Turn, focus: int, moment: Moment, ledger: Ledger) -> Step:
    try:
        origin = Origin(turn.origin).name.lower()
    except ValueError:
        origin = str(turn.origin)
    return Step(
        turn=turn.number,
        time_ns=turn.time_ns,
        before_ns=moment.time_ns - turn.time_ns,
        actor=ledger.label(turn.actor),
        message=message_text(turn.message, ledger),
        says=_says(turn, focus, ledger),
        by=turn.by,
        origin=origin,
    )


def _says(turn: Turn, focus: int, ledger: Ledger) -> str:
    if focus and isinstance(turn.message, CompletionScript):
        return f"its script for r{focus} was called with {_code_of(ledger, focus)}"
    phrase = _SAYS.get(turn.message.__class__)
    return message_text(turn.message, ledger) if phrase is None else phrase(turn, ledger)


def _says_time_out(turn: Turn, ledger: Ledger) -> str:
    number = turn.message.request
    request = ledger.requests.get(number)
    limit = request.timeout_ns if request else None
    return f"the deadline of r{number} ran out" + (f" ({duration(limit)})" if limit else "")


def _says_returned(turn: Turn) -> str:
    error = turn.message.error
    raised = "returned" if error is None else f"raised {error_text(error)}"
    return f"the script of r{turn.message.request} {raised}"


def _says_complete(turn: Turn, ledger: Ledger) -> str:
    """Return what a request completed with; a time-out's own request not with its cancel's code."""
    if any(isinstance(event, Completed) for event in turn.events):
        return f"told its result: {_code_of(ledger, turn.actor)}"
    return f"told its result: {said(turn.message.code, ledger, turn.actor)}"


def _says_event(turn: Turn) -> str:
    """Return what a driver reported unasked, by its dialect's word where it has one."""
    words = [plain(event.what) for event in turn.events if isinstance(event, Notified)]
    return words[0] if words else f"event {turn.message.code}"


def _says_submit(turn: Turn, ledger: Ledger) -> str:
    submit = turn.message
    for event in turn.events:
        if isinstance(event, Rejected):
            code = code_text(rules_of(ledger, event.endpoint), event.code)
            return f"{plain(submit.operation)} refused: {code}, rule {plain(event.rule)}"
    began = [event for event in turn.events if isinstance(event, CancelBegan)]
    if began:
        victims = sum(last - first + 1 for first, last in _pairs(began[0].victims))
        return f"{plain(submit.operation)} called: c{began[0].cancel}, {count(victims, 'victim')}"
    return f"{plain(submit.operation)} called"


def _pairs(ranges: list[int]) -> Iterable[tuple[int, int]]:
    return zip(ranges[::2], ranges[1::2], strict=False)


def _says_cancel(turn: Turn, ledger: Ledger) -> str:
    number = turn.message.cancel
    request = ledger.requests.get(turn.actor)
    if request is not None and request.completed and request.completed.turn == turn.number:
        return f"told to end by c{number}: completed {_code_of(ledger, turn.actor)}"
    began = [event for event in turn.events if isinstance(event, CancelBegan)]
    if began:
        number = began[0].cancel  # a time-out's message names its request
        victims = sum(last - first + 1 for first, last in _pairs(began[0].victims))
        trigger = plain(ledger.cancels[number].trigger) if number in ledger.cancels else "cancel"
        return f"c{number} ({trigger}) began with {count(victims, 'victim')}"
    told = [event_text(event, ledger) for event in turn.events if not isinstance(event, Discarded)]
    return "; ".join([f"told of c{number}", *told])


def _code_of(ledger: Ledger, number: int) -> str:
    request = ledger.requests.get(number)
    if request is None or request.completed is None:
        return "a code that the log lost"
    return end_text(rules_of(ledger, number), request.completed.code, request.completed.how)


_SAYS: dict[type, Callable[[Turn, Ledger], str]] = {
    Submit: _says_submit,
    Cancel: _says_cancel,
    TimedOut: _says_time_out,
    InputScript: lambda turn, _: f"the InputScript of r{turn.message.request} was called",
    PartialScript: lambda turn, _: f"the PartialScript of r{turn.message.request} was called",
    EventHandler: lambda turn, _: f"the EventHandler of a{turn.actor} was called",
    Received: lambda turn, _: f"data arrived for r{turn.message.request}",
    ToolEvent: lambda turn, _: f"the driver reported {_says_event(turn)}",
    Killed: lambda turn, _: (
        f"the driver reports that its work for c{turn.message.cancel} has stopped"
    ),
    Answer: lambda turn, ledger: (
        f"the outside answered {said(turn.message.code, ledger, turn.message.request)}"
    ),
    Complete: _says_complete,
    Returned: lambda turn, _: _says_returned(turn),
}
"""How a turn is told by its message; others are told as everywhere."""


# --- what to say of each kind of target ----------------------------------------------------------


def _plan(target: Target, ledger: Ledger) -> _Plan:
    match target.kind:
        case Kind.REQUEST:
            return _plan_request(ledger.requests[target.number], ledger)
        case Kind.CANCEL:
            return _plan_cancel(ledger.cancels[target.number], ledger)
        case Kind.ACTOR:
            return _plan_actor(target.number, ledger)
        case Kind.TURN:
            return _plan_turn(target.number, ledger)


def _plan_turn(number: int, ledger: Ledger) -> _Plan:
    """A turn that ended one request, or began one cancel, is asked about for its sake."""
    for cancel in ledger.cancels.values():
        if cancel.requested is not None and cancel.requested.turn == number:
            return _plan_cancel(cancel, ledger)
    ended = [r for r in ledger.requests.values() if _ended_in(r, number)]
    if len(ended) == 1:
        return _plan_request(ended[0], ledger)
    facts = (f"{count(len(ended), 'request')} ended in it",) if ended else ()
    return _Plan(f"turn {number}", Moment(number, 0), facts, (("because", number, 0),))


def _ended_in(request: Request, number: int) -> bool:
    ends = (request.completed, request.rejected)
    return any(end is not None and end.turn == number for end in ends)


def _plan_actor(number: int, ledger: Ledger) -> _Plan:
    if number in ledger.requests:
        return _plan_request(ledger.requests[number], ledger)
    endpoint = ledger.endpoints.get(number)
    if endpoint is not None:
        return _plan_endpoint(endpoint, ledger)
    stopped = ledger.actors_stopped.get(number) or ledger.actors_failed.get(number)
    label = ledger.label(number)
    if stopped is not None:
        return _Plan(f"{label} stopped", stopped, (), (("because", stopped.turn, 0),))
    born = ledger.births.get(number, Moment(0, 0))
    return _Plan(f"{label} lives", born, (), (("born because", born.turn, 0),))


def _plan_endpoint(endpoint: Endpoint, ledger: Ledger) -> _Plan:
    label = ledger.label(endpoint.number)
    facts = [f"{count(len(endpoint.pending), 'request')} not at rest"] if endpoint.pending else []
    if endpoint.closed is not None:
        headline, moment = f"{label} was closed: {plain(endpoint.reason)}", endpoint.closed
    elif endpoint.state is not None:
        state = state_text(rules_of(ledger, endpoint.number), endpoint.state)
        headline, moment = f"{label} is in state {state}", endpoint.changed or Moment(0, 0)
    else:
        headline, moment = f"{label} was opened", endpoint.opened or Moment(0, 0)
    related = tuple(f"c{n}" for n in endpoint.windows)
    return _Plan(headline, moment, tuple(facts), (("because", moment.turn, 0),), (), related)


def _plan_cancel(cancel: CancelLife, ledger: Ledger) -> _Plan:
    moment = cancel.requested or cancel.began or Moment(0, 0)
    won = [n for n in cancel.victims if _won(ledger.requests[n], cancel)]
    trigger = plain(cancel.trigger) or "a cancel"
    name = f"c{cancel.number} {trigger} on {ledger.label(cancel.endpoint)}"
    facts: list[str] = []
    if cancel.reason:
        facts.append(f"because: {plain(cancel.reason)}")
    if cancel.victims:
        shown = " ".join(f"r{n}" for n in cancel.victims[:8])
        more = f" and {len(cancel.victims) - 8:,} more" if len(cancel.victims) > 8 else ""
        facts.append(f"victims: {shown}{more}")
    elif cancel.began is None and cancel.requested is None:
        facts.append("its victims were named before the log begins")
    elif not cancel.attempts:
        facts.append("it had no effect: nothing was outstanding when it was asked for")
    if cancel.refused:
        names = ", ".join(f"r{n}" for n in cancel.refused[:8])
        facts.append(f"{len(cancel.refused):,} refused in its window: {names}")
    facts.append(_cancel_end(cancel, ledger))
    related = [f"r{n}" for n in [*won[:2], *cancel.refused[:2]]]
    return _Plan(
        f"{name} ended {count(len(won), 'request')}", moment, tuple(facts),
        (("asked for because", moment.turn, 0),), tuple(_lost_by(cancel, ledger)), tuple(related),
    )  # fmt: skip


def _won(request: Request, cancel: CancelLife) -> bool:
    return request.completed is not None and request.completed.by == cancel.number


def _cancel_end(cancel: CancelLife, ledger: Ledger) -> str:
    if cancel.ended is None:
        waits = [n for n in cancel.victims if not ledger.requests[n].is_settled]
        names = ", ".join(f"r{n}" for n in waits[:8]) or "nobody that the log names"
        return f"its window is open where the log ends; it waits for {names}"
    if cancel.began is None:
        said = code_text(rules_of(ledger, cancel.number), cancel.ended.code)
        return f"it was answered in turn {cancel.ended.turn}: {said}"
    width = duration(cancel.ended.time_ns - cancel.began.time_ns)
    return f"its window closed in turn {cancel.ended.turn}, open for {width}"


def _lost_by(cancel: CancelLife, ledger: Ledger) -> Iterator[str]:
    for attempt in cancel.attempts:
        yield f"{ledger.label(attempt.target)}: {_attempt(attempt.target, cancel, ledger)}"


def _attempt(target: int, cancel: CancelLife, ledger: Ledger) -> str:
    """Say why a cancel did not win, and by how much."""
    attempt = next(a for a in cancel.attempts if a.target == target)
    done = ledger.requests[target].completed if target in ledger.requests else None
    other = f" c{attempt.other}" if attempt.other else ""
    text = f"{plain(attempt.outcome)}{other}"
    because = rules_of(ledger, cancel.number).because.get(attempt.rule)
    if because:
        text = f"{text}, {because}"
    if done is None or cancel.requested is None:
        return text
    code = _code_of(ledger, target)
    gap = duration(abs(cancel.requested.time_ns - done.time_ns))
    order = "before" if done.turn < cancel.requested.turn else "after"
    return f"{text}, it had completed ({code}) {gap} {order} the cancel was asked for"


# --- a request -----------------------------------------------------------------------------------


def _plan_request(request: Request, ledger: Ledger) -> _Plan:
    if request.rejected is not None:
        return _plan_rejection(request, ledger)
    name = ledger.label(request.number)
    facts = tuple(_life(request))
    raced = tuple(_raced(request, ledger))
    if request.completed is None:
        begun = request.submitted or Moment(0, 0)
        stands = "outstanding where the log ends"
        if not request.is_outstanding:
            stands = "over; how it ended stood before the log begins"
        return _Plan(
            f"{name} is {stands}", begun, facts,
            (("asked for because", begun.turn, request.number),), raced, _claims(request),
        )  # fmt: skip
    done = request.completed
    code = _code_of(ledger, request.number)
    moment = Moment(done.turn, done.time_ns)
    cancel = ledger.cancels.get(done.by)
    starts = [("because", done.turn, request.number)]
    if cancel is not None:
        headline = f"{name} ended {code}: cancelled by c{cancel.number}{_trigger(cancel)}"
    elif done.how == How.RECOVERED:
        headline = f"{name} was outstanding when its process ended: {code}"
    elif done.how == How.ABANDONED:
        headline = f"{name} was abandoned: {_silence(request)}"
    elif request.number in ledger.cancels:
        headline = f"{name} completed: {code}"
    else:
        headline = f"{name} completed with its true result: {code}"
    if request.submitted is not None:
        starts.append(("asked for because", request.submitted.turn, request.number))
    winner = [f"c{done.by}"] if cancel else []
    related = (*winner, *(name for name in _claims(request) if name not in winner))
    return _Plan(headline, moment, facts, tuple(starts), raced, related)


def _trigger(cancel: CancelLife) -> str:
    if cancel.trigger == TIME_OUT:
        return f", the time-out of r{cancel.asked_by}"
    return f" ({plain(cancel.trigger)})" if cancel.trigger else ""


def _silence(request: Request) -> str:
    return plain(request.discarded.reason) if request.discarded else "nobody will hear of it"


def _claims(request: Request) -> tuple[str, ...]:
    return tuple(f"c{number}" for number in request.claims)


def _life(request: Request) -> Iterator[str]:
    """Say when it was asked for, how long it was out, and how the application heard."""
    if request.submitted is not None:
        by = f" by {site(request.by)}" if request.by else ""
        out = ""
        if request.completed is not None:
            age = duration(request.completed.time_ns - request.submitted.time_ns)
            out = f", {age} before it ended"
        yield f"asked for in turn {request.submitted.turn}{by}{out}"
    else:
        yield "asked for before the log begins"
    if request.taken:
        yield f"cut in the middle: {count(request.taken, 'byte')} had been taken"
    if request.delivered is not None:
        yield f"delivered in turn {request.delivered.turn} ({plain(request.delivered.manner)})"
    elif request.discarded is not None:
        by = f", by {request.discarded.by}" if request.discarded.by else ""
        yield f"never delivered: {plain(request.discarded.reason)}{by}"
    elif request.completed is not None:
        yield "not delivered where the log ends"
    if request.script_error is not None:
        yield f"its script raised {error_text(request.script_error)}"


def _raced(request: Request, ledger: Ledger) -> Iterator[str]:
    """Say what else wanted to end the request and lost."""
    for cancel in ledger.cancels.values():
        if any(attempt.target == request.number for attempt in cancel.attempts):
            yield f"c{cancel.number} ({_who(cancel)}): {_attempt(request.number, cancel, ledger)}"
    done, late = request.completed, request.late_answer
    if late is not None and done is not None:
        code = code_text(rules_of(ledger, request.number), late.code)
        gap = duration(late.time_ns - done.time_ns)
        yield f"the outside answered {code} {gap} too late, in turn {late.turn}; it was ignored"
    fired = request.timed_out
    if fired is not None and done is not None and fired.turn > done.turn:
        yield f"its deadline ran out {duration(fired.time_ns - done.time_ns)} after it had ended"


def _who(cancel: CancelLife) -> str:
    return f"{plain(cancel.trigger)} by {site(cancel.by)}" if cancel.by else plain(cancel.trigger)


def _plan_rejection(request: Request, ledger: Ledger) -> _Plan:
    refused = request.rejected
    assert refused is not None, "only what was refused is told here"
    rules = rules_of(ledger, request.number)
    code = code_text(rules, refused.code)
    meaning = rules.code_meaning(refused.code)
    headline = f"{ledger.label(request.number)} was refused: {code}"
    facts = [f"rule {plain(refused.rule)}" + (f": {meaning}" if meaning else "")]
    if request.inside is not None:
        facts.append(f"called inside the script of {ledger.label(request.inside.request)}")
    starts = [("the call", refused.turn, request.number)]
    window = _window_of(request, ledger) if refused.code == rules.window_code else None
    related: tuple[str, ...] = ()
    if window is not None and window.began is not None:
        end = window.ended.turn if window.ended else "the end of the log"
        facts.append(f"the window of c{window.number} was open, turns {window.began.turn}..{end}")
        asked = window.requested or window.began
        starts.append((f"the window of c{window.number}", asked.turn, 0))
        related = (f"c{window.number}",)
    moment = Moment(refused.turn, refused.time_ns)
    return _Plan(headline, moment, tuple(facts), tuple(starts), (), related)


def _window_of(request: Request, ledger: Ledger) -> CancelLife | None:
    fitting = [c for c in ledger.cancels.values() if request.number in c.refused]
    return fitting[0] if fitting else None
