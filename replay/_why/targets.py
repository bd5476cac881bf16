"""What to say of each kind of target, and from which turns the way back begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from rescind.events import (
    CancelRequested,
    Closed,
    Completed,
    DeadLetter,
    Failed,
    How,
    Rejected,
    StateChanged,
    Stopped,
    Submit,
    Turn,
)
from rescind.replay._archive.archive import Archive
from rescind.replay._archive.select import Target, TargetKind
from rescind.replay._ledger.dialects import TIMES, code_text, state_text
from rescind.replay._ledger.lives import CancelLife, Moment, RequestLife
from rescind.replay._words.describe import event_text, message_text, outcome_text, rules_of
from rescind.replay._words.text import count, duration, error_text, plain, site
from rescind.replay._words.turns import EVENTS_MAX
from rescind.replay._world.timeline import Timeline

from .steps import code_of


@dataclass(frozen=True, slots=True)
class Plan:
    """A story before its turns are fetched: what to say, and at which turns to begin.

    Attributes:
        starts: Title, turn and request in focus of each branch.
    """

    headline: str
    moment: Moment
    facts: tuple[str, ...]
    starts: tuple[tuple[str, int, int], ...]
    raced: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


def plan(target: Target, archive: Archive) -> Plan:
    """Return what is to be told of a target."""
    match target.kind:
        case TargetKind.REQUEST:
            return _plan_request(archive.requests[target.number], archive)
        case TargetKind.CANCEL:
            return _plan_cancel(archive.cancels[target.number], archive)
        case TargetKind.ACTOR:
            return _plan_actor(target.number, archive)
        case TargetKind.TURN:
            return _plan_turn(target.number, archive)


def _plan_turn(number: int, archive: Archive) -> Plan:
    """A turn that ended one request, or began one cancel, is asked about for its sake."""
    turn = archive.turn(number)
    assert turn is not None, "whoever resolved the selector has seen it"
    asked = [event.cancel for event in turn.events if isinstance(event, CancelRequested)]
    if asked and asked[0] in archive.cancels:
        return _plan_cancel(archive.cancels[asked[0]], archive)
    ended = [e.request for e in turn.events if isinstance(e, Completed | Rejected)]
    if len(ended) == 1 and ended[0] in archive.requests:
        return _plan_request(archive.requests[ended[0]], archive)
    facts = [f"{count(len(ended), 'request')} ended in it"] if ended else []
    facts += [event_text(event, archive) for event in turn.events[:EVENTS_MAX] if not ended]
    facts += _loss(turn, archive)
    took = message_text(turn.message, archive)
    headline = f"turn {number}: {archive.label(turn.actor)} took {took}"
    return Plan(headline, Moment(number, 0), tuple(facts), (("because", number, 0),))


def _loss(turn: Turn, archive: Archive) -> Iterator[str]:
    """Say why a message was lost."""
    for event in turn.events:
        if isinstance(event, DeadLetter):
            end = _end_of(event.actor, archive)
            label = archive.label(event.actor)
            stopped = f"it had ended in turn {end.number}" if end else "it was not there"
            yield f"a message for {label} was lost: {stopped}"


def _plan_actor(number: int, archive: Archive) -> Plan:
    if number in archive.requests:
        return _plan_request(archive.requests[number], archive)
    if number in archive.endpoints:
        return _plan_endpoint(number, archive)
    label = archive.label(number)
    end = _end_of(number, archive)
    if end is not None:
        moment = Moment(end.number, end.time_ns)
        facts = [event_text(event, archive) for event in end.events if isinstance(event, _ENDS)]
        return Plan(f"{label} stopped", moment, tuple(facts), (("because", end.number, 0),))
    case = archive.case(number)
    born = case.births.get(number, Moment(0, 0)) if case else Moment(0, 0)
    return Plan(f"{label} lives", born, (), (("born because", born.turn, 0),))


_ENDS = (Stopped, Failed)


def _end_of(actor: int, archive: Archive) -> Turn | None:
    """Return the turn in which an actor stopped or failed, if it has."""

    def ends(turn: Turn) -> bool:
        return any(
            (isinstance(event, Stopped) and event.actor == actor)
            or (isinstance(event, Failed) and turn.actor == actor)
            for event in turn.events
        )

    return next(filter(ends, islice(archive.newest_about(actor), _LAST_WORDS_MAX)), None)


_LAST_WORDS_MAX = 256
"""After its end hardly anything is said of an actor: a few lost messages."""


def _plan_endpoint(number: int, archive: Archive) -> Plan:
    label = archive.label(number)
    related = tuple(f"c{n}" for n in archive.open_windows(number))
    change = _last_change_of(number, archive)
    if change is not None:
        turn, event = change
        if isinstance(event, Closed):
            headline = f"{label} was closed: {plain(event.reason)}"
        else:
            headline = f"{label} is in state {state_text(rules_of(archive, number), event.new)}"
        moment = Moment(turn.number, turn.time_ns)
        return Plan(headline, moment, (), (("because", turn.number, 0),), (), related)
    endpoint = archive.endpoints[number]
    opened = endpoint.opened or Moment(0, 0)
    headline = f"{label} was opened"
    if endpoint.state is not None:
        headline = f"{label} is in state {state_text(rules_of(archive, number), endpoint.state)}"
    return Plan(headline, opened, (), (("because", opened.turn, 0),), (), related)


def _last_change_of(number: int, archive: Archive) -> tuple[Turn, Closed | StateChanged] | None:
    """Return how an endpoint was closed, or else came into its last state, and in which turn.

    A busy endpoint may have been in one state for millions of turns: then the world behind the last
    turn knows since when, at the cost of one keyframe span.
    """
    changes = ((turn, _change_in(turn, number)) for turn in archive.newest_about(number))
    for turn, change in islice(changes, _LAST_WORDS_MAX):
        if change is not None:
            return turn, change
    if archive.reader is not None and archive.lookup.last:
        place = Timeline(archive.reader).at(archive.lookup.last).places.get(number)
        then = archive.turn(place.state.at.turn) if place is not None else None
        change = _change_in(then, number) if then is not None else None
        if then is not None and change is not None:
            return then, change
    return next(((turn, change) for turn, change in changes if change is not None), None)


def _change_in(turn: Turn, number: int) -> Closed | StateChanged | None:
    """Return the last event of a turn that closed an endpoint or changed its state."""
    for event in reversed(turn.events):
        if isinstance(event, Closed | StateChanged) and event.subject == number:
            return event
    return None


def _plan_cancel(cancel: CancelLife, archive: Archive) -> Plan:
    moment = cancel.requested or cancel.began or Moment(0, 0)
    won = archive.won_by(cancel.number)
    trigger = plain(cancel.trigger) or "a cancel"
    name = f"c{cancel.number} {trigger} on {archive.label(cancel.endpoint)}"
    facts = list(_who_ended(cancel, archive))
    if cancel.reason and not facts:
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
    facts.append(_cancel_end(cancel, archive))
    related = [f"r{n}" for n in [*islice(won, 2), *cancel.refused[:2]]]
    return Plan(
        f"{name} ended {count(len(won), 'request')}", moment, tuple(facts),
        (("asked for because", moment.turn, 0),), tuple(_lost_by(cancel, archive)), tuple(related),
    )  # fmt: skip


_WAITING_MAX = 1000
"""So many victims of a cancel that has not ended are looked at for those that it waits for."""


def _cancel_end(cancel: CancelLife, archive: Archive) -> str:
    if cancel.ended is None:
        looked_at = (archive.requests.get(n) for n in cancel.victims[:_WAITING_MAX])
        waits = (request for request in looked_at if request and not request.is_settled)
        names = ", ".join(f"r{r.number}" for r in islice(waits, 8)) or "nobody that the log names"
        return f"its window is open where the log ends; it waits for {names}"
    if cancel.began is None:
        said = code_text(rules_of(archive, cancel.number), cancel.ended.code)
        return f"it was answered in turn {cancel.ended.turn}: {said}"
    width = duration(cancel.ended.time_ns - cancel.began.time_ns)
    return f"its window closed in turn {cancel.ended.turn}, open for {width}"


def _lost_by(cancel: CancelLife, archive: Archive) -> Iterator[str]:
    for attempt in cancel.attempts:
        yield f"{archive.label(attempt.target)}: {_attempt(attempt.target, cancel, archive)}"


def _attempt(target: int, cancel: CancelLife, archive: Archive) -> str:
    """Say why a cancel did not win, and by how much."""
    attempt = next(a for a in cancel.attempts if a.target == target)
    found = archive.requests.get(target)
    done = found.completed if found else None
    text = outcome_text(attempt.outcome, attempt.other)
    because = rules_of(archive, cancel.number).because.get(attempt.rule)
    if because:
        text = f"{text}, {because}"
    if done is None or cancel.requested is None:
        return text
    code = code_of(archive, target)
    gap = duration(abs(cancel.requested.time_ns - done.time_ns))
    order = "before" if done.turn < cancel.requested.turn else "after"
    return f"{text}, it had completed ({code}) {gap} {order} the cancel was asked for"


# --- a request -----------------------------------------------------------------------------------


def _plan_request(request: RequestLife, archive: Archive) -> Plan:
    if request.rejected is not None:
        return _plan_rejection(request, archive)
    name = archive.label(request.number)
    winner = archive.cancels.get(request.completed.by) if request.completed else None
    ended = _who_ended(winner, archive) if winner else ()
    facts = (*ended, *_life(request, archive))
    raced = tuple(_raced(request, archive))
    if request.completed is None:
        begun = request.submitted or Moment(0, 0)
        stands = "outstanding where the log ends"
        if not request.is_outstanding:
            stands = "over; how it ended stood before the log begins"
        return Plan(
            f"{name} is {stands}", begun, facts,
            (("asked for because", begun.turn, request.number),), raced, _claims(request),
        )  # fmt: skip
    done = request.completed
    code = code_of(archive, request.number)
    moment = Moment(done.turn, done.time_ns)
    cancel = winner
    starts = [("because", done.turn, request.number)]
    if cancel is not None:
        headline = f"{name} ended {code}: cancelled by c{cancel.number}{_trigger(cancel)}"
    elif done.how == How.RECOVERED:
        headline = f"{name} was outstanding when its process ended: {code}"
    elif done.how == How.ABANDONED:
        headline = f"{name} was abandoned: {_silence(request)}"
    elif request.number in archive.cancels:
        headline = f"{name} completed: {code}"
    else:
        headline = f"{name} completed with its true result: {code}"
    if request.submitted is not None:
        starts.append(("asked for because", request.submitted.turn, request.number))
    won = [f"c{done.by}"] if cancel else []
    related = (*won, *(name for name in _claims(request) if name not in won))
    return Plan(headline, moment, facts, tuple(starts), raced, related)


def _who_ended(cancel: CancelLife, archive: Archive) -> Iterator[str]:
    """Say who it was, where the dialect has words for it."""
    words = rules_of(archive, cancel.number).triggers.get(cancel.trigger)
    if words:
        yield f"{words}: {plain(cancel.reason)}" if cancel.reason else words


def _trigger(cancel: CancelLife) -> str:
    if cancel.trigger in TIMES:
        return f", the {cancel.trigger} of r{cancel.asked_by}"
    return f" ({plain(cancel.trigger)})" if cancel.trigger else ""


def submission_of(request: RequestLife, archive: Archive) -> Submit | None:
    """Return the call that a request began with, if the log has it."""
    begun = archive.turn(request.submitted.turn) if request.submitted else None
    return begun.message if begun is not None and isinstance(begun.message, Submit) else None


def _silence(request: RequestLife) -> str:
    return plain(request.discarded.reason) if request.discarded else "nobody will hear of it"


def _claims(request: RequestLife) -> tuple[str, ...]:
    return tuple(f"c{number}" for number in request.claims)


def call_text(said: list[str], timeout_ns: int | None) -> str:
    """Return what was called, and from whom, and how long it might take."""
    limit = "" if timeout_ns is None else f", at most {duration(timeout_ns)}"
    return f"a call of {', from '.join(map(plain, said))}{limit}"


def _life(request: RequestLife, archive: Archive) -> Iterator[str]:
    """Say when it was asked for, how long it was out, and how the application heard."""
    begun, called = submission_of(request, archive), rules_of(archive, request.number).called
    if begun is not None and called is not None and (said := called(begun)):
        yield call_text(said, begun.timeout_ns)
    if request.submitted is not None:
        by = f" by {site(request.by)}" if request.by else ""
        out = ""
        if request.completed is not None:
            age = duration(request.completed.time_ns - request.submitted.time_ns)
            out = f", {age} before it ended"
        yield f"asked for in turn {request.submitted.turn}{by}{out}"
    else:
        yield "asked for before the log begins"
    taken = archive.taken_of(request)
    if taken:
        yield f"cut in the middle: {count(taken, 'byte')} had been taken"
    if request.delivered is not None:
        yield f"delivered in turn {request.delivered.turn} ({plain(request.delivered.manner)})"
    elif request.discarded is not None:
        by = f", by {request.discarded.by}" if request.discarded.by else ""
        yield f"never delivered: {plain(request.discarded.reason)}{by}"
    elif request.completed is not None:
        yield "not delivered where the log ends"
    if request.fetched is not None:
        yield f"fetched in turn {request.fetched.turn}"
    if request.script_error is not None:
        yield f"its script raised {error_text(request.script_error)}"


def _raced(request: RequestLife, archive: Archive) -> Iterator[str]:
    """Say what else wanted to end the request and lost."""
    for attempt in archive.attempts_on(request.number):
        cancel = archive.cancels[attempt.cancel]
        yield f"c{cancel.number} ({_who(cancel)}): {_attempt(request.number, cancel, archive)}"
    yield from _spared(request, archive)
    done, late = request.completed, request.late_answer
    if late is not None and done is not None:
        code = code_text(rules_of(archive, request.number), late.code)
        gap = duration(late.time_ns - done.time_ns)
        yield f"the outside answered {code} {gap} too late, in turn {late.turn}; it was ignored"
    fired = request.timed_out
    if fired is not None and done is not None and fired.turn > done.turn:
        yield f"its deadline ran out {duration(fired.time_ns - done.time_ns)} after it had ended"


def _who(cancel: CancelLife) -> str:
    return f"{plain(cancel.trigger)} by {site(cancel.by)}" if cancel.by else plain(cancel.trigger)


def _plan_rejection(request: RequestLife, archive: Archive) -> Plan:
    refused = request.rejected
    assert refused is not None, "only what was refused is told here"
    rules = rules_of(archive, request.number)
    code = code_text(rules, refused.code)
    meaning = rules.code_meaning(refused.code)
    headline = f"{archive.label(request.number)} was refused: {code}"
    facts = [f"rule {plain(refused.rule)}" + (f": {meaning}" if meaning else "")]
    if request.inside is not None:
        facts.append(f"called inside the script of {archive.label(request.inside.request)}")
    starts = [("the call", refused.turn, request.number)]
    in_window = refused.code == rules.window_code
    window = next(archive.refused_by(request.number), None) if in_window else None
    related: tuple[str, ...] = ()
    if window is not None and window.began is not None:
        end = window.ended.turn if window.ended else "the end of the log"
        facts.append(f"the window of c{window.number} was open, turns {window.began.turn}..{end}")
        asked = window.requested or window.began
        starts.append((f"the window of c{window.number}", asked.turn, 0))
        related = (f"c{window.number}",)
    moment = Moment(refused.turn, refused.time_ns)
    return Plan(headline, moment, tuple(facts), tuple(starts), (), related)


def _spared(request: RequestLife, archive: Archive) -> Iterator[str]:
    """Say which cancels of its endpoint came while it was outstanding and were not for it."""
    begun, done = request.submitted, request.completed
    if begun is None:
        return
    for cancel in archive.cancels_after(request.number):
        asked = cancel.requested
        if asked is not None and done is not None and asked.turn > done.turn:
            return
        if cancel.endpoint != request.endpoint or cancel.number == request.number:
            continue
        is_target = any(attempt.target == request.number for attempt in cancel.attempts)
        if request.number not in cancel.victims and not is_target and cancel.began is not None:
            yield f"c{cancel.number} ({_who(cancel)}): not one of its victims{_scope(cancel)}"


def _scope(cancel: CancelLife) -> str:
    if cancel.scope == cancel.endpoint:
        return ", which are what the endpoint had outstanding and may be cancelled"
    return f": it was for r{cancel.scope} alone"
