"""What breaks the laws of actors and causes: L8, L9, L10."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rescind.events import (
    Accepted,
    Answer,
    Born,
    CallOpened,
    Cancel,
    CancelBegan,
    CancelRequested,
    Cause,
    Closed,
    Complete,
    CompletionScript,
    Delivered,
    Drop,
    InputDelivered,
    InputPosted,
    Killed,
    Notified,
    Opened,
    Origin,
    PrivilegeChanged,
    Restarted,
    Returned,
    ScriptRunning,
    Started,
    StateChanged,
    Stopped,
    Supervised,
    Tell,
    TimedOut,
    Turn,
)
from rescind.replay import fold

from .alter import (
    STRANGER,
    Alteration,
    Altered,
    added,
    appended,
    behind,
    closed_then,
    doubled,
    reframed,
    with_events,
    without,
)

ONE_UNIT = ("newton", "rpc", "winsock")

# --- L8 -------------------------------------------------------------------------------------------


def _unborn(turns: Sequence[Turn]) -> Iterator[Altered]:
    for index, turn in enumerate(turns):
        born = [e for e in turn.events if isinstance(e, Born)]
        later = [t.number for t in turns[index + 1 :] if t.actor == turn.actor]
        if born and later and len(turn.events) == 1:
            yield without(turns, index, born[0]), later[0]


def _closed_first(turns: Sequence[Turn]) -> Iterator[Altered]:
    """An endpoint closes silently when everything is over, and then delivers once more."""
    for endpoint in {e.endpoint for t in turns for e in t.events if isinstance(e, Opened)}:
        number = next(
            (e.request for t in turns for e in t.events
             if isinstance(e, Accepted) and e.endpoint == endpoint), None,
        )  # fmt: skip
        if number is not None:
            over = behind(turns, endpoint, Drop(1), Closed(endpoint, "over"))
            made = behind(over, endpoint, Tell(0), Delivered([number, number], "script"))
            yield made, made[-1].number


def _call(*events: Any) -> Alteration:
    """Let an endpoint have a call, and say things of it."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        for endpoint in sorted(
            {e.endpoint for t in turns for e in t.events if isinstance(e, Opened)}
        ):
            made = list(turns)
            for event in events:
                made = behind(made, endpoint, Tell(0), event(endpoint))
            yield made, made[-1].number

    return alter


CALL, HOLDER = 7_777, 42
_opened = lambda endpoint: CallOpened(CALL, endpoint, 0)  # noqa: E731
_right = lambda old, new: lambda _: PrivilegeChanged(CALL, HOLDER, old, new)  # noqa: E731
_news = lambda _: Notified(CALL, HOLDER, "state", None, "script")  # noqa: E731

L8 = {
    "an actor was never born": _unborn,
    "a stranger takes a turn": appended(
        lambda *_: STRANGER, lambda *_: Tell(0), lambda *_: [], Born
    ),
    "a request starts that nobody submitted": added(lambda *_: Started(STRANGER), Accepted),
    "a stranger's script runs": added(lambda *_: ScriptRunning(STRANGER), Delivered),
    "a stranger's receive is posted": added(lambda *_: InputPosted(STRANGER), Accepted),
    "a stranger is delivered": added(
        lambda *_: Delivered([STRANGER, STRANGER], "script"), Delivered
    ),
    "a stranger changes": added(lambda *_: StateChanged(STRANGER, 0, 1), Accepted),
    "a closed endpoint delivers": _closed_first,
    "a closed endpoint starts a request": closed_then(lambda _, r: Started(r)),
    "a closed endpoint hands data over": closed_then(lambda _, r: InputDelivered(r)),
    "a closed endpoint has news": closed_then(lambda e, _: Notified(e, 0, "news", None, "")),
    "an endpoint closes twice": doubled(Closed, lambda e, _, g: e.subject in g.endpoints),
    "rights to a call that never was": _call(_right(0, 1)),
    "news of a call that never was": _call(_news),
    "a closed call changes hands": _call(
        _opened, _right(0, 1), lambda _: Closed(CALL, "over"), _right(1, 2)
    ),
    "a closed call has news": _call(_opened, lambda _: Closed(CALL, "over"), _news),
}

# --- L9 -------------------------------------------------------------------------------------------


def _from(kind: type, origin: Origin) -> Alteration:
    return reframed(
        lambda turn, _: {"origin": origin, "cause": turn.cause or Cause(1)},
        lambda turn, _: isinstance(turn.message, kind),
    )


def _one_unit(turns: Sequence[Turn]) -> dict[int, int]:
    return {
        e.endpoint: t.number for t in turns for e in t.events
        if isinstance(e, Opened) and e.dialect in ONE_UNIT
    }  # fmt: skip


def _taken_by_another(kind: type) -> Alteration:
    """Let an endpoint or request of another endpoint take the turn."""

    def other(turn: Turn, turns: Sequence[Turn]) -> int:
        owner = fold(turns).owner_of(turn.actor)
        others = [n for n in _one_unit(turns) if n != owner]
        return others[0] if owner in _one_unit(turns) and others else 0

    return reframed(
        lambda turn, turns: {"actor": other(turn, turns)},
        lambda turn, turns: isinstance(turn.message, kind) and other(turn, turns) != 0,
    )


def _foreign_victim(turns: Sequence[Turn]) -> Iterator[Altered]:
    ledger = fold(turns)
    for index, turn in enumerate(turns):
        for event in turn.events:
            if isinstance(event, CancelBegan):
                foreign = next(
                    (n for n, r in ledger.requests.items()
                     if r.submitted and r.submitted.turn < turn.number
                     and r.endpoint != ledger.cancels[event.cancel].endpoint), 0,
                )  # fmt: skip
                if foreign and ledger.endpoints[ledger.cancels[event.cancel].endpoint].dialect:
                    began = event._replace(victims=[*event.victims, foreign, foreign])
                    events = [began if e is event else e for e in turn.events]
                    yield with_events(turns, index, events), turn.number


def _foreign_asker(turns: Sequence[Turn]) -> Iterator[Altered]:
    ledger = fold(turns)
    for index, turn in enumerate(turns):
        for event in turn.events:
            if isinstance(event, CancelRequested):
                covered = ledger.owner_of(event.scope)
                foreign = next(
                    (n for n, r in ledger.requests.items()
                     if r.submitted and r.submitted.turn < turn.number
                     and r.endpoint not in (0, covered)), 0,
                )  # fmt: skip
                if foreign and covered in ledger.endpoints and ledger.endpoints[covered].dialect:
                    asked = event._replace(by=foreign)
                    events = [asked if e is event else e for e in turn.events]
                    yield with_events(turns, index, events), turn.number


def _of_another(kind: type, made: Any) -> Alteration:
    """Say of one actor's life in another's turn."""
    return added(made, kind, lambda _e, turn, _g: turn.actor != 1)


L9 = {
    "the application answers": _from(Answer, Origin.APP),
    "an actor answers": _from(Answer, Origin.ACTOR),
    "a driver says that time is out": _from(TimedOut, Origin.IO),
    "the application tells a victim": _from(Cancel, Origin.APP),
    "a driver says that a script returned": _from(Returned, Origin.IO),
    "the application says that a driver stopped": _from(Killed, Origin.APP),
    "a driver completes an operation": _from(Complete, Origin.IO),
    "another endpoint takes the answer": _taken_by_another(Answer),
    "another endpoint delivers": _taken_by_another(CompletionScript),
    "another endpoint hears that the driver stopped": _taken_by_another(Killed),
    "another endpoint is told in a victim's place": _taken_by_another(Cancel),
    "a cancel takes another endpoint's request": _foreign_victim,
    "a request of another endpoint asks for the cancel": _foreign_asker,
    "one stops in another's turn": _of_another(Accepted, lambda *_: Stopped(1, None)),
    "one is judged in another's turn": _of_another(Accepted, lambda *_: Supervised(1, "stop", 0)),
    "one restarts in another's turn": _of_another(Accepted, lambda *_: Restarted(1, 2)),
    "a right was not what it is said to have been": _call(_opened, _right(0, 1), _right(2, 3)),
    "a right that nobody had is passed on": _call(_opened, _right(1, 2)),
    "news goes to who has no right any more": _call(_opened, _right(0, 1), _right(1, 0), _news),
}

# --- L10 ------------------------------------------------------------------------------------------


def _caused(to: Any, where: Any = lambda turn, _: turn.cause is not None) -> Alteration:
    return reframed(lambda turn, turns: {"cause": to(turn, turns)}, where)


def _numbered(order: Any) -> Alteration:
    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        for index in range(1, len(turns) - 2):
            yield from order(turns, index)

    return alter


def _missing(count: int) -> Alteration:
    return _numbered(
        lambda turns, at: [([*turns[:at], *turns[at + count :]], turns[at + count].number)]
        if at + count < len(turns) else []
    )  # fmt: skip


def _as(turn: Turn, number: int) -> Turn:
    return replace(turn, number=number)


L10 = {
    "the cause is the next turn": _caused(lambda turn, _: Cause(turn.number + 1)),
    "the cause is far ahead": _caused(lambda turn, _: Cause(turn.number + 10_000)),
    "a turn causes itself": _caused(lambda turn, _: Cause(turn.number)),
    "the cause is no turn": _caused(lambda *_: Cause(-1)),
    "an actor's turn has no cause": _caused(
        lambda *_: None, lambda turn, _: turn.origin is Origin.ACTOR
    ),
    "a timer's turn has no cause": _caused(
        lambda *_: None, lambda turn, _: turn.origin is Origin.TIMER
    ),
    "the cause is a delivery that was not": _caused(
        lambda *_: Cause(1, STRANGER), lambda turn, _: turn.cause is not None
    ),
    "a turn is missing": _missing(1),
    "three turns are missing": _missing(3),
    "a turn comes twice": _numbered(
        lambda turns, at: [([*turns[: at + 1], *turns[at:]], turns[at].number)]
    ),
    "two turns change places": _numbered(
        lambda turns, at: [
            ([*turns[:at], turns[at + 1], turns[at], *turns[at + 2 :]], turns[at].number)
        ]
    ),
    "numbers jump": _numbered(
        lambda turns, at: [
            ([*turns[:at], *(_as(t, t.number + 5) for t in turns[at:])], turns[at].number + 5)
        ]
    ),
    "numbers begin again": _numbered(
        lambda turns, at: [([*turns[:at], *(_as(t, t.number - at) for t in turns[at:])], 1)]
    ),
}
