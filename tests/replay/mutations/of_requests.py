"""What breaks the laws of a request's life: L1, L2, L7, L11."""

from collections.abc import Iterator, Sequence
from typing import Any

from rescind.events import (
    Accepted,
    Born,
    Closed,
    Completed,
    Delivered,
    Discarded,
    Drop,
    How,
    Opened,
    Rejected,
    Restarted,
    Started,
    StateChanged,
    Stopped,
    Submit,
    Supervised,
    Tell,
    Turn,
)
from rescind.replay import Ledger

from .alter import (
    STRANGER,
    Alteration,
    Altered,
    added,
    appended,
    behind,
    changed,
    closed_then,
    doubled,
    doubled_at_once,
    moved,
    removed,
    with_events,
    without,
)
from .where import (
    a_result,
    a_victim,
    alone,
    before_completion,
    behind_end,
    completed_later,
    delivered,
    is_script,
    own_completion,
)

# --- L1 -------------------------------------------------------------------------------------------


def _dropped_without_end(turns: Sequence[Turn]) -> Iterator[Altered]:
    for index, turn in enumerate(turns):
        if isinstance(turn.message, Drop) and any(
            isinstance(e, Completed) and e.request == turn.actor for e in turn.events
        ):
            yield with_events(turns, index, []), turn.number


def _closed_upon(turns: Sequence[Turn]) -> Iterator[Altered]:
    """One more request, accepted long before its endpoint closed; nobody ends it."""
    for index, turn in enumerate(turns):
        for event in turn.events:
            if isinstance(event, Closed) and not isinstance(turn.message, Submit):
                made = Accepted(STRANGER, event.subject, "Output", True, None, True)
                for at in range(index):
                    if turns[at].actor == event.subject and isinstance(turns[at].message, Submit):
                        yield with_events(turns, at, [*turns[at].events, made]), turn.number
                        break


L1 = {
    "a completion is said again at the end": doubled(Completed),
    "a completion is said twice at once": doubled_at_once(Completed),
    "a true result is followed by a failure": doubled(Completed, a_result, code=-1, how=1),
    "a result comes behind a cancellation": doubled(Completed, a_victim, how=How.RESULT, by=0),
    "a completion is recovered that was there": doubled(Completed, how=How.RECOVERED, by=0),
    "the cancel's own request completes twice": doubled(Completed, own_completion),
    "the submission is left out": removed(Accepted, completed_later, proof="completion"),
    "a completion is left out": removed(Completed, delivered, proof="end"),
    "a victim's completion is left out": removed(
        Completed, lambda e, t, g: a_victim(e, t, g) and delivered(e, t, g), proof="end"
    ),
    "nobody's request completes": added(
        lambda *_: Completed(STRANGER, None, How.RESULT, 0), Completed
    ),
    "a result is another request's": changed(
        Completed, lambda e, _: e._replace(request=STRANGER), delivered
    ),
    "a drop ends nothing": _dropped_without_end,
    "an endpoint closes with work outstanding": _closed_upon,
}

# --- L2 -------------------------------------------------------------------------------------------


def _shorter(event: Delivered, _: Ledger) -> Delivered:
    ranges = event.requests
    cut = [*ranges[:-2], ranges[-2], ranges[-1] - 1] if ranges[-1] > ranges[-2] else ranges[:-2]
    return event._replace(requests=cut)


def _once_more(event: Delivered, _turn: Turn, _ledger: Ledger) -> Delivered:
    return event


L2 = {
    "a delivery is said again at the end": doubled(Delivered),
    "a delivery is said twice at once": added(_once_more, Delivered),
    "a delivery is left out of its run": removed(Delivered, is_script),
    "the last of a run is left out": changed(Delivered, _shorter, is_script),
    "a delivery comes before the completion": moved(
        Delivered, before_completion, alone, first=False
    ),
    "a completion comes behind the delivery": moved(
        Completed, behind_end, delivered, first=True, proof=lambda *p: behind_end(*p) - 1
    ),
    "what was delivered is discarded": appended(
        lambda e, g: g.owner_of(e.requests[0]), lambda *_: Drop(1),
        lambda e, _: [Discarded(e.requests, "why", 1)], Delivered,
    ),
    "what was discarded is delivered": appended(
        lambda e, g: g.owner_of(e.requests[0]), lambda *_: Tell(0),
        lambda e, _: [Delivered(e.requests, "script")], Discarded,
    ),
    "a discard is said again": doubled(Discarded),
    "a discard comes before the completion": added(
        lambda e, *_: Discarded([e.request, e.request], "why", 1), Accepted, completed_later
    ),
    "a stranger is delivered": added(
        lambda *_: Delivered([STRANGER, STRANGER], "script"), Delivered
    ),
    "it is delivered where it was submitted": added(
        lambda e, *_: Delivered([e.request, e.request], "script"), Accepted, completed_later
    ),
}  # fmt: skip

# --- L7 -------------------------------------------------------------------------------------------


def _by_what_is_there(event: Discarded, _turn: Turn, _ledger: Ledger) -> bool:
    return event.by > 0


def _silent(turns: Sequence[Turn]) -> Iterator[Altered]:
    for index, turn in enumerate(turns):
        for event in turn.events:
            abandoned = [
                e for e in turn.events if isinstance(e, Completed) and e.how == How.ABANDONED
            ]
            if abandoned and isinstance(event, Discarded) and isinstance(turn.message, Drop):
                yield without(turns, index, event), turn.number


def _said_later(what: Any) -> Alteration:
    return appended(
        lambda e, _: e.endpoint, lambda *_: Tell(0),
        lambda e, _: [Discarded([e.request, e.request], *what)], Accepted,
    )  # fmt: skip


L7 = {
    "no reason is given": changed(Discarded, lambda e, _: e._replace(reason="")),
    "it was closed by nobody": changed(
        Discarded, lambda e, _: e._replace(by=STRANGER), _by_what_is_there
    ),
    "it was closed by what never was": changed(Discarded, lambda e, _: e._replace(by=-5)),
    "it was closed by the future": changed(
        Discarded,
        lambda e, g: e._replace(by=g.last.turn + 10_000),  # type: ignore[union-attr]
    ),
    "the silence is not booked": _silent,
    "a request is silenced without a reason": _said_later(("", 1)),
    "a request is silenced by nobody": _said_later(("why", 0)),
    "a request is silenced by a stranger": _said_later(("why", STRANGER)),
    "a request is silenced in its own turn, by what comes": added(
        lambda e, t, _: Discarded([e.request, e.request], "why", t.number + 10_000), Accepted
    ),
    "a delivery was a silence without a reason": changed(
        Delivered, lambda e, _: Discarded(e.requests, "", 1)
    ),
    "a delivery was a silence by nobody": changed(
        Delivered, lambda e, _: Discarded(e.requests, "why", STRANGER)
    ),
}

# --- L11 ------------------------------------------------------------------------------------------


def _acts_again(turns: Sequence[Turn]) -> Iterator[Altered]:
    for turn in turns:
        for event in turn.events:
            if isinstance(event, Stopped):
                made = behind(turns, event.actor, Tell(0), StateChanged(event.actor, 0, 1))
                yield made, made[-1].number


L11 = {
    "a request is submitted again": doubled(Accepted),
    "a request is submitted twice at once": doubled_at_once(Accepted),
    "an accepted request is rejected": appended(
        lambda e, _: e.endpoint, lambda *_: Tell(0),
        lambda e, _: [Rejected(e.request, e.endpoint, e.operation, -1, "why")], Accepted,
    ),
    "a rejected request is accepted": appended(
        lambda e, _: e.endpoint, lambda *_: Tell(0),
        lambda e, _: [Accepted(e.request, e.endpoint, e.operation, True, None, True)], Rejected,
    ),
    "a rejected request is rejected again": doubled(Rejected),
    "a rejected request completes": added(
        lambda e, *_: Completed(e.request, None, How.RESULT, 0), Rejected
    ),
    "a completed request starts": added(lambda e, *_: Started(e.request), Completed),
    "a delivered request starts": appended(
        lambda e, g: g.owner_of(e.requests[0]), lambda *_: Tell(0),
        lambda e, _: [Started(e.requests[0])], Delivered,
    ),
    "a closed endpoint changes": closed_then(lambda e, _: StateChanged(e, 0, 1)),
    "a closed endpoint opens again": closed_then(lambda e, _: Opened(e, "newton", "guide", "")),
    "a closed endpoint accepts": closed_then(
        lambda e, _: Accepted(STRANGER, e, "Output", True, None, True)
    ),
    "a stopped actor acts": _acts_again,
    "an actor restarts that nobody restarted": appended(
        lambda e, _: e.actor, lambda *_: Tell(0), lambda e, _: [Restarted(e.actor, 2)], Born
    ),
    "an actor skips an incarnation": appended(
        lambda e, _: e.actor, lambda *_: Tell(0),
        lambda e, _: [Supervised(e.actor, "restart", 0), Restarted(e.actor, 5)], Born,
    ),
}  # fmt: skip
