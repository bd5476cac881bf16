"""How everybody stands, turn by turn: what a page needs to go forwards and backwards.

An actor's standing is one short text and a phase.  A turn changes few of them, so a page that
holds each actor's changes finds how all stood at any turn, in either direction, without a fold.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from rescind.events import (
    Accepted,
    Born,
    CallOpened,
    CancelBegan,
    CancelEnded,
    CancelRequested,
    Closed,
    Completed,
    Delivered,
    Discarded,
    Failed,
    Opened,
    Rejected,
    Restarted,
    Resume,
    StateChanged,
    Stopped,
    Suspended,
    Turn,
)
from rescind.replay._ledger.dialects import end_text, state_text
from rescind.replay._ledger.model import Ledger, each
from rescind.replay._words.describe import rules_of, said
from rescind.replay._words.text import clip, count, error_text, plain

LIVE, OWED, OVER = 0, 1, 2
"""It goes on; somebody has still to hear of it; nothing is owed any more."""

TEXT_MAX = 160
RANGE_MAX = 20_000
"""Of so many requests in one run it is told how they stand."""


class Standing(NamedTuple):
    """How one actor stands from a turn on.

    Attributes:
        letter: What the number is: ``e`` endpoint, ``k`` call, ``r`` request, ``c`` cancel, ``a``
            any other actor.
        phase: `LIVE`, `OWED` or `OVER`.
    """

    letter: str
    number: int
    phase: int
    text: str


def standings_after(turn: Turn, ledger: Ledger) -> Iterator[Standing]:
    """Yield whose standing a turn changed; the ledger has taken the turn already."""
    for kind in (turn.message, *turn.events):
        told = _TOLD.get(kind.__class__)
        if told is not None:
            for one in told(kind, turn, ledger):
                yield one._replace(text=clip(one.text, TEXT_MAX))


def owner_letter(number: int, ledger: Ledger) -> str:
    """Return what a number is that is neither a request nor a cancel."""
    return "e" if number in ledger.endpoints else "k" if number in ledger.calls else "a"


def _of(number: int, phase: int, text: str, ledger: Ledger) -> Iterator[Standing]:
    yield Standing(owner_letter(number, ledger), number, phase, text)


def _end(number: int, ledger: Ledger) -> str:
    request = ledger.requests.get(number)
    done = request.completed if request else None
    if done is None:
        return "ended"
    return end_text(rules_of(ledger, number), done.code, done.how)


def _moved(event: StateChanged, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    if event.subject not in ledger.requests:
        text = state_text(rules_of(ledger, event.subject), event.new)
        yield from _of(event.subject, LIVE, text, ledger)


def _rejected(event: Rejected, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    text = f"rejected: {said(event.code, ledger, event.endpoint)}"
    yield Standing("r", event.request, OVER, text)


def _completed(event: Completed, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    text = f"{_end(event.request, ledger)}, not delivered yet"
    yield Standing("r", event.request, OWED, text)


def _delivered(event: Delivered, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    for number in islice(each(event.requests), RANGE_MAX):
        text = f"{_end(number, ledger)}, delivered ({event.manner})"
        yield Standing("r", number, OVER, text)


def _discarded(event: Discarded, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    for number in islice(each(event.requests), RANGE_MAX):
        text = f"{_end(number, ledger)}, discarded: {event.reason}"
        yield Standing("r", number, OVER, text)


def _began(event: CancelBegan, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    life = ledger.cancels.get(event.cancel)
    text = f"window open, {count(len(life.victims) if life else 0, 'victim')}"
    yield Standing("c", event.cancel, LIVE, text)


def _ended(event: CancelEnded, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    yield Standing("c", event.cancel, OVER, f"ended: {said(event.code, ledger, event.cancel)}")


def _stopped(event: Stopped, _: Turn, ledger: Ledger) -> Iterator[Standing]:
    why = "" if event.error is None else f": {error_text(event.error)}"
    yield from _of(event.actor, OVER, f"stopped{why}", ledger)


Told: TypeAlias = Callable[[Any, Turn, Ledger], Iterator[Standing]]

_TOLD: dict[type, Told] = {
    Opened: lambda e, _, ledger: _of(e.endpoint, LIVE, "opened", ledger),
    CallOpened: lambda e, _, ledger: _of(e.call, LIVE, "opened", ledger),
    StateChanged: _moved,
    Closed: lambda e, _, ledger: _of(e.subject, OVER, f"closed: {plain(e.reason)}", ledger),
    Accepted: lambda e, _t, _l: iter([Standing("r", e.request, LIVE, "outstanding")]),
    Rejected: _rejected,
    Completed: _completed,
    Delivered: _delivered,
    Discarded: _discarded,
    CancelRequested: lambda e, _t, _l: iter([Standing("c", e.cancel, LIVE, "asked for")]),
    CancelBegan: _began,
    CancelEnded: _ended,
    Born: lambda e, _, ledger: _of(e.actor, LIVE, "alive", ledger),
    Stopped: _stopped,
    Failed: lambda e, t, ledger: _of(t.actor, OWED, f"failed: {error_text(e.error)}", ledger),
    Suspended: lambda e, t, ledger: _of(t.actor, LIVE, f"waits for {e.on}", ledger),
    Resume: lambda _, t, ledger: _of(t.actor, LIVE, "alive", ledger),
    Restarted: lambda e, _, ledger: _of(
        e.actor, LIVE, f"alive, incarnation {e.incarnation}", ledger
    ),
}
"""One row per kind that changes a standing; the last word of a turn about an actor stands."""
