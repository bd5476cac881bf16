"""Alterations of a recording: what each does, wherever it can be done, and which turn proves it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from rescind.events import Cause, Closed, Drop, Origin, Tell, Turn
from rescind.replay import Ledger, fold

Altered: TypeAlias = tuple[list[Turn], int]
"""The turns, and the number of one that must be named as a proof."""
Alteration: TypeAlias = Callable[[Sequence[Turn]], Iterator[Altered]]
Where: TypeAlias = Callable[[Any, Turn, Ledger], bool]

STRANGER = 9_999


def places(
    turns: Sequence[Turn], kind: type | tuple[type, ...], where: Where
) -> Iterator[tuple[int, Any]]:
    """Yield index of the turn and event, of a kind, where the whole story fits."""
    ledger = fold(turns)
    for index, turn in enumerate(turns):
        for event in turn.events:
            if isinstance(event, kind) and where(event, turn, ledger):
                yield index, event


def anywhere(_event: Any, _turn: Turn, _ledger: Ledger) -> bool:
    return True


def with_events(turns: Sequence[Turn], index: int, events: Sequence[Any]) -> list[Turn]:
    changed = list(turns)
    changed[index] = replace(turns[index], events=tuple(events))
    return changed


def without(turns: Sequence[Turn], index: int, event: Any) -> list[Turn]:
    return with_events(turns, index, [e for e in turns[index].events if e is not event])


def saying(turns: Sequence[Turn], index: int, *events: Any) -> list[Turn]:
    return with_events(turns, index, [*turns[index].events, *events])


def behind(
    turns: Sequence[Turn],
    actor: int,
    message: Any,
    *events: Any,
    origin: Origin = Origin.ACTOR,
    cause: Cause | None = None,
) -> list[Turn]:
    """Put one more turn at the end."""
    last = turns[-1]
    because = cause or (None if origin is Origin.APP else Cause(last.number))
    turn = Turn(
        last.number + 1, last.time_ns + 1, last.epoch, actor, origin, because, message, events,
        None, True,
    )  # fmt: skip
    return [*turns, turn]


# --- alterations of one event ---------------------------------------------------------------------


def removed(kind: type, where: Where = anywhere, *, proof: str = "") -> Alteration:
    """Leave an event out; ``proof`` says which turn shows it: its own, or a later one."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for index, event in places(turns, kind, where):
            yield without(turns, index, event), _proof(proof, turns[index], event, ledger)

    return alter


def doubled(kind: type, where: Where = anywhere, **change: Any) -> Alteration:
    """Say an event once more, changed if need be, in the log's last turn."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        for _, event in places(turns, kind, where):
            yield saying(turns, len(turns) - 1, event._replace(**change)), turns[-1].number

    return alter


def doubled_at_once(kind: type, where: Where = anywhere, **change: Any) -> Alteration:
    """Say an event twice in its own turn."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        for index, event in places(turns, kind, where):
            yield saying(turns, index, event._replace(**change)), turns[index].number

    return alter


def changed(
    kind: type, to: Callable[[Any, Ledger], Any], where: Where = anywhere, *, proof: str = ""
) -> Alteration:
    """Say something else in an event's place."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for index, event in places(turns, kind, where):
            other = to(event, ledger)
            events = [other if e is event else e for e in turns[index].events]
            number = _proof(proof, turns[index], event, ledger)
            yield with_events(turns, index, events), number

    return alter


def moved(
    kind: type,
    to: Callable[[Any, Turn, Ledger], int],
    where: Where = anywhere,
    *,
    first: bool,
    proof: Callable[[Any, Turn, Ledger], int] | None = None,
) -> Alteration:
    """Take an event out of its turn and say it in another; ``first`` before all others there.

    It shows in the earlier of the two turns unless ``proof`` says another.
    """

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        at = {turn.number: index for index, turn in enumerate(turns)}
        for index, event in places(turns, kind, where):
            target = to(event, turns[index], ledger)
            if target not in at or at[target] == index:
                continue
            rest = without(turns, index, event)
            there = rest[at[target]].events
            events = [event, *there] if first else [*there, event]
            turn = turns[index]
            number = proof(event, turn, ledger) if proof else min(target, turn.number)
            yield with_events(rest, at[target], events), number

    return alter


def added(
    event: Callable[[Any, Turn, Ledger], Any], kind: type, where: Where = anywhere
) -> Alteration:
    """Say something new in the turn of another event, behind all that is there."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for index, found in places(turns, kind, where):
            new = event(found, turns[index], ledger)
            yield saying(turns, index, new), turns[index].number

    return alter


def appended(
    actor: Callable[[Any, Ledger], int],
    message: Callable[[Any, Ledger], Any],
    events: Callable[[Any, Ledger], Sequence[Any]],
    kind: type,
    where: Where = anywhere,
    *,
    origin: Origin = Origin.ACTOR,
) -> Alteration:
    """Put a turn at the end that has to do with an event of the story."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for _, event in places(turns, kind, where):
            made = behind(
                turns, actor(event, ledger), message(event, ledger), *events(event, ledger),
                origin=origin,
            )  # fmt: skip
            yield made, made[-1].number

    return alter


def closed_then(*events: Any) -> Alteration:
    """Close an endpoint when all is over, and say something of it or of its requests."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for endpoint in ledger.endpoints:
            request = next((n for n, r in ledger.requests.items() if r.endpoint == endpoint), 0)
            if request:
                over = behind(turns, endpoint, Drop(1), Closed(endpoint, "over"))
                said = [make(endpoint, request) for make in events]
                made = behind(over, endpoint, Tell(0), *said)
                yield made, made[-1].number

    return alter


# --- alterations of a turn's frame ----------------------------------------------------------------


def reframed(
    to: Callable[[Turn, Sequence[Turn]], dict[str, Any]],
    where: Callable[[Turn, Sequence[Turn]], bool],
) -> Alteration:
    """Change a turn's frame: message, actor, origin, cause."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        for index, turn in enumerate(turns):
            if where(turn, turns):
                made = list(turns)
                made[index] = replace(turn, **to(turn, turns))
                yield made, turn.number

    return alter


def exchanged(where: Callable[[Turn, Turn, Ledger], bool]) -> Alteration:
    """Let two turns change places; numbers and times stay dense and in order."""

    def alter(turns: Sequence[Turn]) -> Iterator[Altered]:
        ledger = fold(turns)
        for i, one in enumerate(turns):
            for j in range(i + 1, len(turns)):
                if where(one, turns[j], ledger):
                    made = list(turns)
                    made[i] = replace(turns[j], number=one.number, time_ns=one.time_ns)
                    made[j] = replace(one, number=turns[j].number, time_ns=turns[j].time_ns)
                    yield made, turns[j].number

    return alter


def _proof(which: str, turn: Turn, event: Any, ledger: Ledger) -> int:
    if not which:
        return turn.number
    number = getattr(event, "request", None) or event.cancel
    request, cancel = ledger.requests.get(number), ledger.cancels.get(number)
    match which:
        case "completion":
            assert request is not None
            assert request.completed is not None
            return request.completed.turn
        case "end":
            assert request is not None
            end = request.delivered or request.discarded
            assert end is not None
            return end.turn
        case "cancel's end":
            assert cancel is not None
            assert cancel.ended is not None
            return cancel.ended.turn
        case _:
            raise AssertionError(which)
