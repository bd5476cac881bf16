"""What breaks the laws of cancellation: L3 to L6."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Completed,
    CompletionScript,
    Delivered,
    How,
    Killed,
    Origin,
    Outcome,
    Received,
    Rejected,
    Started,
    Tell,
    Turn,
)
from rescind.replay import Ledger, fold
from rescind.replay._ledger.dialects import tables

from .alter import (
    STRANGER,
    Alteration,
    Altered,
    added,
    appended,
    changed,
    doubled,
    doubled_at_once,
    exchanged,
    moved,
    removed,
    with_events,
    without,
)
from .where import a_result, a_victim, an_operation, dialect, last, other

# --- L3 -------------------------------------------------------------------------------------------


def _beside(event: Completed, _turn: Turn, ledger: Ledger) -> bool:
    """A victim that completed in spite of its cancel."""
    request = ledger.requests.get(event.request)
    return request is not None and any(claim != event.by for claim in request.claims)


def _unsaid(turns: Sequence[Turn]) -> Iterator[Altered]:
    for index, turn in enumerate(turns):
        targets = {e.request for e in turn.events if isinstance(e, Completed)}
        for event in turn.events:
            if isinstance(event, CancelOutcome) and event.target in targets:
                yield without(turns, index, event), turn.number


def _has_a_window(event: CancelEnded, _turn: Turn, ledger: Ledger) -> bool:
    cancel = ledger.cancels[event.cancel]
    served = [ledger.requests[n] for n in cancel.victims if ledger.requests[n].asynchronous]
    return dialect(cancel.endpoint, ledger) == "newton" and len(served) > 1


def _began_turn(event: CancelEnded, _turn: Turn, ledger: Ledger) -> int:
    began = ledger.cancels[event.cancel].began
    return began.turn + 1 if began else 0


L3 = {
    "the cancel's end is left out": removed(CancelEnded, an_operation, proof="completion"),
    "a cancel ends twice": doubled(CancelEnded),
    "a cancel ends twice at once": doubled_at_once(CancelEnded),
    "a cancel begins twice": doubled(CancelBegan),
    "a cancel is asked for twice": doubled(CancelRequested),
    "nobody asked for the cancel": removed(
        CancelRequested, lambda e, _, g: g.cancels[e.cancel].ended is not None,
        proof="cancel's end",
    ),
    "it ends before its victims": moved(CancelEnded, _began_turn, _has_a_window, first=False),
    "an outcome is said again": doubled(CancelOutcome),
    "an outcome is said again, and another": doubled(CancelOutcome, outcome=Outcome.IGNORED),
    "two outcomes at once": doubled_at_once(CancelOutcome),
    "an outcome is not said": _unsaid,
    "nobody's cancel ends": added(lambda *_: CancelEnded(STRANGER, None), CancelEnded),
    "nobody's cancel begins": added(lambda *_: CancelBegan(STRANGER, []), CancelBegan),
    "nobody's cancel has an outcome": added(
        lambda e, *_: CancelOutcome(STRANGER, e.target, Outcome.NOT_FOUND), CancelOutcome
    ),
    "a victim has its own result and nothing is said": changed(
        Completed, lambda e, _: e._replace(code=None, how=How.RESULT, by=0),
        lambda e, t, g: a_victim(e, t, g) and e.request != e.by
        and g.cancels[e.by].began is not None and e.request in g.cancels[e.by].victims
        and e.request not in g.cancels[e.by].told,
    ),
}  # fmt: skip

# --- L4 -------------------------------------------------------------------------------------------


def _recoded(code: int | None) -> Alteration:
    def where(event: Completed, turn: Turn, ledger: Ledger) -> bool:
        request = ledger.requests[event.request]
        endpoint = ledger.endpoints.get(request.endpoint)
        if endpoint is None or not a_victim(event, turn, ledger):
            return False
        allowed = tables(endpoint.dialect, endpoint.profile).cancelled_codes
        return allowed is not None and code not in allowed(request)

    return changed(Completed, lambda e, _: e._replace(code=code), where)


def _without_victim(event: CancelBegan, ledger: Ledger) -> CancelBegan:
    victims = [n for n in ledger.cancels[event.cancel].victims if n != _lone_victim(event, ledger)]
    return event._replace(victims=[n for victim in victims for n in (victim, victim)])


def _lone_victim(event: CancelBegan, ledger: Ledger) -> int:
    cancel = ledger.cancels[event.cancel]
    won = [
        n for n in cancel.victims
        if (done := ledger.requests[n].completed) and done.by == event.cancel
        and n != cancel.asked_by
    ]  # fmt: skip
    return won[0] if won else 0


def _has_lone_victim(event: CancelBegan, _turn: Turn, ledger: Ledger) -> bool:
    return _lone_victim(event, ledger) != 0


def _victim_forgotten(turns: Sequence[Turn]) -> Iterator[Altered]:
    ledger = fold(turns)
    alter = changed(CancelBegan, _without_victim, _has_lone_victim)
    whole = [
        event for turn in turns for event in turn.events
        if isinstance(event, CancelBegan) and _lone_victim(event, ledger)
    ]  # fmt: skip
    for (made, _), event in zip(alter(turns), whole, strict=True):
        done = ledger.requests[_lone_victim(event, ledger)].completed
        assert done is not None
        yield made, done.turn


def _second_winner(turns: Sequence[Turn]) -> Iterator[Altered]:
    for turn in turns:
        for event in turn.events:
            if isinstance(event, Completed) and event.how == How.CANCELLED and event.by:
                other = next(
                    (
                        e.cancel for t in turns for e in t.events
                        if isinstance(e, CancelRequested) and e.cancel != event.by
                    ), None,
                )  # fmt: skip
                if other is not None:
                    won = CancelOutcome(other, event.request, Outcome.WON)
                    yield with_events(turns, len(turns) - 1, [*turns[-1].events, won]), turn.number


L4 = {
    "a victim hears success": _recoded(None),
    "a victim hears another error": _recoded(-16009),
    "a victim hears a refusal": _recoded(-36003),
    "a victim hears a code of no dialect": _recoded(4711),
    "a victim names no cancel": changed(Completed, other(0), a_victim),
    "a victim names a cancel of nobody": changed(Completed, other(STRANGER), a_victim),
    "a victim names a request": changed(
        Completed, lambda e, g: e._replace(by=next(n for n in g.requests if n not in g.cancels)),
        a_victim,
    ),
    "a true result names a winner": changed(
        Completed, lambda e, g: e._replace(by=next(iter(g.cancels))),
        lambda e, t, g: e.how == How.RESULT and bool(g.cancels)
        and g.cancels[next(iter(g.cancels))].requested.turn < t.number,  # type: ignore[union-attr]
    ),
    "the winner says later that it came too late": appended(
        lambda e, g: g.cancels[e.by].endpoint, lambda *_: Tell(0),
        lambda e, _: [CancelOutcome(e.by, e.request, Outcome.TOO_LATE)], Completed, a_victim,
    ),
    "too late for what is outstanding": added(
        lambda e, _, g: CancelOutcome(e.cancel, g.cancels[e.cancel].victims[0], Outcome.TOO_LATE),
        CancelBegan,
        lambda e, t, _: bool(e.victims)
        and not any(isinstance(each, Completed) for each in t.events),
    ),
    "a request is cancelled that is no victim": _victim_forgotten,
    "two cancels won": _second_winner,
    "a result was a cancellation by nobody": changed(
        Completed, lambda e, _: e._replace(how=How.CANCELLED, by=STRANGER), a_result
    ),
    "it was cancelled before the cancel began": moved(
        CancelBegan, last, lambda e, _, g: _lone_victim(e, g) != 0, first=False,
        proof=lambda e, _, g: g.requests[_lone_victim(e, g)].completed.turn,  # type: ignore[union-attr]
    ),
    "its time ran out and nobody's clock": changed(
        Completed, lambda e, _: e._replace(how=How.TIMED_OUT),
        lambda e, t, g: a_victim(e, t, g) and e.by != e.request
        and g.cancels[e.by].trigger != "time-out",
    ),
}  # fmt: skip

# --- L5 -------------------------------------------------------------------------------------------


def _let_in(operation: str) -> Alteration:
    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        windows: dict[int, int] = {}
        for index, turn in enumerate(turns):
            if windows and turn.actor in windows.values():
                made = Accepted(STRANGER, turn.actor, operation, True, None, True)
                yield with_events(turns, index, [made, *turn.events]), turn.number
            for event in turn.events:
                if isinstance(event, CancelRequested) and event.trigger in {"Cancel", "Disconnect"}:
                    windows[event.cancel] = turn.actor
                if isinstance(event, CancelEnded):
                    windows.pop(event.cancel, None)

    return alter


def _let_go(turns: Sequence[Turn]) -> Iterator[Altered]:
    for index, turn in enumerate(turns):
        for event in turn.events:
            if isinstance(event, Rejected) and event.rule == "N-36003-window":
                accepted = Accepted(*event[:3], True, None, True)
                others = [accepted if e is event else e for e in turn.events]
                yield with_events(turns, index, others), turn.number


L5 = {
    **{
        f"{operation} is accepted in a window": _let_in(operation)
        for operation in ("Output", "Input", "Connect", "Option", "Cancel", "Bind")
    },
    "a refusal was an admission": _let_go,
    "a rejected request reaches a driver": added(lambda e, *_: Started(e.request), Rejected),
    "a rejected request reaches a driver later": appended(
        lambda e, _: e.endpoint, lambda *_: Tell(0), lambda e, _: [Started(e.request)], Rejected
    ),
    "the outside answers what was rejected": appended(
        lambda e, _: e.request, lambda e, _: Answer(e.request, None, None),
        lambda e, _: [AnswerIgnored(e.request, None)], Rejected, origin=Origin.IO,
    ),
    "data comes for what was rejected": appended(
        lambda e, _: e.request, lambda e, _: Received(e.request, b"", None),
        lambda *_: [], Rejected, origin=Origin.IO,
    ),
    "a driver has taken of what was rejected": appended(
        lambda e, _: e.endpoint, lambda e, _: Killed(STRANGER, None, {e.request: 5}),
        lambda *_: [], Rejected, origin=Origin.IO,
    ),
    "a driver spares what was rejected": appended(
        lambda e, _: e.endpoint, lambda e, _: Killed(STRANGER, None, {}, (e.request,)),
        lambda *_: [], Rejected, origin=Origin.IO,
    ),
}  # fmt: skip

# --- L6 -------------------------------------------------------------------------------------------


def _run(turn: Turn) -> list[int]:
    return turn.message.requests if isinstance(turn.message, CompletionScript) else []


def _flat(numbers: Sequence[int]) -> list[int]:
    return [each for number in numbers for each in (number, number)]


def _rerun_as(order: Any) -> Alteration:
    """Deliver the victims of a run in another order."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for index, turn in enumerate(turns):
            numbers = [n for a, b in zip(_run(turn)[::2], _run(turn)[1::2], strict=True)
                       for n in range(a, b + 1)]  # fmt: skip
            victims = [n for n in numbers if _won(n, ledger)]
            after = order(victims)
            if len(victims) < 2 or after == victims or len(victims) != len(numbers):
                continue
            flat = _flat(after)
            events = [
                e._replace(requests=flat) if isinstance(e, Delivered) else e for e in turn.events
            ]
            made = with_events(turns, index, events)
            made[index] = replace(made[index], message=turn.message._replace(requests=flat))
            yield made, turn.number

    return alter


def _won(number: int, ledger: Ledger) -> bool:
    request = ledger.requests.get(number)
    done = request.completed if request else None
    return (
        done is not None and done.how == How.CANCELLED and done.by in ledger.cancels
        and done.by != number and dialect(number, ledger) == "newton"
    )  # fmt: skip


def _cancel_of(turn: Turn, ledger: Ledger) -> int:
    """The cancel to whose deliveries a run belongs: victims, or the cancel itself."""
    run = _run(turn)
    if not run or turn.message.running:
        return 0
    first = run[0]
    if dialect(first, ledger) != "newton":
        return 0
    if first in ledger.cancels and ledger.cancels[first].began:
        return first if ledger.cancels[first].victims else 0
    done = ledger.requests[first].completed
    return done.by if _won(first, ledger) and done else 0


def _runs(kind_of_one: Any, kind_of_other: Any) -> Alteration:
    def where(one: Turn, other: Turn, ledger: Ledger) -> bool:
        cancel = _cancel_of(one, ledger)
        return (
            cancel != 0 and cancel == _cancel_of(other, ledger)
            and kind_of_one(one, ledger) and kind_of_other(other, ledger)
        )  # fmt: skip

    return exchanged(where)


def _is_victims(turn: Turn, ledger: Ledger) -> bool:
    return _run(turn)[0] not in ledger.cancels and ledger.requests[_run(turn)[0]].asynchronous


def _is_own(turn: Turn, ledger: Ledger) -> bool:
    return _run(turn)[0] in ledger.cancels


def _is_blocked(turn: Turn, ledger: Ledger) -> bool:
    return not ledger.requests[_run(turn)[0]].asynchronous


def _with_own(turns: Sequence[Turn]) -> Iterator[Altered]:
    """Say the cancel's own delivery at the head of its victims' run."""
    ledger = fold(turns)
    for index, turn in enumerate(turns):
        cancel = _cancel_of(turn, ledger)
        if cancel in ledger.requests and _is_victims(turn, ledger):
            flat = [cancel, cancel, *_run(turn)]
            events = [
                e._replace(requests=flat) if isinstance(e, Delivered) else e for e in turn.events
            ]
            yield with_events(turns, index, events), turn.number


L6 = {
    "the last run is backwards": _rerun_as(lambda victims: victims[::-1]),
    "the last victim is first": _rerun_as(lambda victims: [*victims[-1:], *victims[:-1]]),
    "the first victim is last": _rerun_as(lambda victims: [*victims[1:], *victims[:1]]),
    "the first two change places": _rerun_as(
        lambda victims: [*victims[1::-1], *victims[2:]] if len(victims) > 1 else victims
    ),
    "the last two change places": _rerun_as(
        lambda victims: [*victims[:-2], *victims[:-3:-1]] if len(victims) > 2 else victims
    ),
    "the middle one comes first": _rerun_as(
        lambda victims: [victims[1], victims[0], *victims[2:]] if len(victims) > 2 else victims
    ),
    "the cancel comes before its victims": _runs(_is_victims, _is_own),
    "the cancel is at the head of their run": _with_own,
    "a blocked caller comes before the cancel": _runs(_is_own, _is_blocked),
    "a blocked caller comes before the others": _runs(_is_victims, _is_blocked),
}
