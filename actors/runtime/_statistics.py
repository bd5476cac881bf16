"""How a runtime stands, in numbers."""

# ruff: noqa: SLF001  # it looks into every corner once; the corners need not know

from collections import Counter
from contextlib import nullcontext
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple

from rescind.events import DeadLetter, Dropped, Failed, Overflowed, SlowTurn

from ._actor import class_name
from ._engine import Broadcast

if TYPE_CHECKING:
    from ._exits import Exits


class Statistics(NamedTuple):
    """One moment of a runtime; what is counted up is counted since it was opened.

    Attributes:
        epoch: Which of its log's writers this is, from 1.
        turns: Turns in the log, those of earlier epochs included.
        turns_durable: ... of these, those that are as durable as the log promises.
        actors: Living actors; requests and endpoints are not among them.
        actors_by_class: ... by the full name of their class.
        waiting_control: Messages on the control lane: cancels, drops, urgent stops.
        waiting_reports: What drivers and time-outs have said and nobody has taken yet.
        waiting_backlog: Messages in mailboxes.
        waiting_parked: Messages for actors that are busy in a thread of their own, wait inside a
            turn, or wait for their restart.
        waiting_stashed: Messages that actors have put aside.
        requests: Requests that were accepted and are neither delivered nor discarded.
        requests_by_dialect: ... by dialect.
        requests_by_endpoint: ... by the number of their endpoint.
        cancels: Cancels that have begun and not ended.
        timers: Timers that are set.
        waits_in_turns: Handlers that wait for somebody inside their turns.
        failures: Turns whose handler, hook or constructor raised and had nobody to raise it at.
        dead_letters: Messages whose actor had stopped.
        dropped: Messages that full mailboxes gave up for newer ones.
        overflowed: Messages that full mailboxes refused.
        slow_turns: Turns, or parts of turns, that took longer than ``slow_turn_s``.
    """

    epoch: int
    turns: int
    turns_durable: int
    actors: int
    actors_by_class: dict[str, int]
    waiting_control: int
    waiting_reports: int
    waiting_backlog: int
    waiting_parked: int
    waiting_stashed: int
    requests: int
    requests_by_dialect: dict[str, int]
    requests_by_endpoint: dict[int, int]
    cancels: int
    timers: int
    waits_in_turns: int
    failures: int
    dead_letters: int
    dropped: int
    overflowed: int
    slow_turns: int


def take_statistics(engine: "Exits") -> Statistics:
    """Count what there is; what takes long is counted after the baton was given back."""
    out = engine.my_turn()
    with nullcontext() if out is not None and out.baton is None else engine.baton:
        log, seen = engine.log, engine.seen.copy()
        turns, durable, backlog = log.last_number, engine.last_durable, len(engine._backlog)
        actors = list(engine.actors.values())
        control, reports = list(engine._control), len(engine._reports)
        parked = sum(map(len, engine._parked.values()))
        stashed, waits = engine.stashes.count, len(engine.waits_in_turn)
        units = [
            (number, unit.opened.dialect, len(unit.requests), unit.cancels)
            for number, unit in sorted(engine.units.items())
            if unit.opened is not None and not unit.is_closed
        ]
        timers = engine.timers.known()
    dialects: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for kind, living in Counter(map(type, actors)).items():
        classes[class_name(kind)] += living
    for _, dialect, requests, _ in units:
        dialects[dialect] += requests
    return Statistics(
        epoch=log.epoch,
        turns=turns,
        turns_durable=durable,
        actors=len(actors),
        actors_by_class=dict(classes),
        waiting_control=sum(
            length_hint(each.targets) if isinstance(each, Broadcast) else 1 for each in control
        ),
        waiting_reports=reports,
        waiting_backlog=backlog,
        waiting_parked=parked,
        waiting_stashed=stashed,
        requests=dialects.total(),
        requests_by_dialect=dict(dialects),
        requests_by_endpoint={number: requests for number, _, requests, _ in units},
        cancels=sum(cancels for *_, cancels in units),
        timers=sum(timer.fire is not None for timer in timers),
        waits_in_turns=waits,
        failures=seen[Failed],
        dead_letters=seen[DeadLetter],
        dropped=seen[Dropped],
        overflowed=seen[Overflowed],
        slow_turns=seen[SlowTurn],
    )
