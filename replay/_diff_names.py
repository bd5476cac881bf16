"""The ledger of what a comparison shows: of a log no more is read than what speaks of it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from rescind.events import LogReader, TimedOut, Turn

from ._diff import Diff, lookup_of
from ._from_keyframe import LedgerFromKeyframe
from ._labels import numbers_shown
from ._lives import Moment
from ._model import SENSELESS, Ledger
from ._sound import sound

_TURNS_MAX = 32
"""So many of the first turns that speak of a number tell what it is, and nearly always its life."""


def ledgers_of(a: Iterable[Turn], b: Iterable[Turn], found: Diff) -> tuple[Ledger, Ledger]:
    """Return for each recording a ledger that knows what the differences show."""
    spots = [each for d in found.differences for each in (d.spot, *d.examples)]
    in_a = [turn for spot in spots for turn in (spot.a, spot.before) if turn is not None]
    in_b = [turn for spot in spots for turn in (spot.b, spot.after) if turn is not None]
    return (
        _ledger(a, in_a, {spot.actor_a or 0 for spot in spots}),
        _ledger(b, in_b, {spot.actor_b or 0 for spot in spots}),
    )


def _ledger(log: Iterable[Turn], shown: list[Turn], actors: set[int]) -> Ledger:
    lookup = lookup_of(log)
    ledger = Ledger()
    if isinstance(log, LogReader):
        ledger = LedgerFromKeyframe(log)
        if lookup.first > 1:
            ledger.look_behind(lookup.first - 1)
    numbers = actors | {number for turn in shown for number in (turn.actor, *numbers_shown(turn))}
    met: dict[int, Turn] = {turn.number: turn for turn in shown}
    for number in sorted(numbers - {0}):
        for turn in islice(lookup.about(number), _TURNS_MAX):
            met[turn.number] = turn
    owners = {ledger.owner_of(number) for number in _endpoints(met.values())}
    for owner in sorted(owners - numbers):
        for turn in islice(lookup.about(owner), 1):
            met[turn.number] = turn
    for turn in sound(met[number] for number in sorted(met)):
        with suppress(*SENSELESS):
            _take(turn, ledger)
    return ledger


def _endpoints(turns: Iterable[Turn]) -> Iterator[int]:
    for turn in turns:
        for event in turn.events:
            endpoint = getattr(event, "endpoint", None)
            if type(endpoint) is int and endpoint:
                yield endpoint


def _take(turn: Turn, ledger: Ledger) -> None:
    for event in turn.events:
        ledger.apply(event, turn)
    if isinstance(turn.message, TimedOut):
        ledger.request(turn.message.request).timed_out = Moment(turn.number, turn.time_ns)
