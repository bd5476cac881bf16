"""The causal cone of a chart: which turns led to something, and what it directly brought about.

Of a log it reads what the cone needs: single turns by their numbers, the turns about a request, and
a cancellation from its trigger until nothing is owed to anybody any more.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from rescind.events import (
    Accepted,
    CancelBegan,
    CancelEnded,
    CancelRequested,
    Delivered,
    Discarded,
    Rejected,
    Turn,
)
from rescind.events._mentions import pairs_of
from rescind.replay._archive.archive import Archive, script_of
from rescind.replay._archive.select import Target, TargetKind
from rescind.replay._ledger.lives import CancelLife, RequestLife
from rescind.replay._words.turns import mentions_of

NEAR_TURNS = 1_000
"""So far behind a turn its direct effects are looked for."""
SPAN_TURNS = 200_000
"""So far a cancellation that comes to no rest is followed."""
LIVES_MAX = 1_000
"""So many victims' earlier turns are looked up."""


def cone_of(target: Target, archive: Archive) -> Iterator[Turn]:
    """Return the turns of a target's cone, ascending."""
    match target.kind:
        case TargetKind.CANCEL:
            return _of_cancel(archive.cancels[target.number], archive)
        case TargetKind.REQUEST:
            return _of_request(target.number, archive)
        case TargetKind.TURN:
            return _of_turns([target.number], archive)
        case TargetKind.ACTOR:  # whoever lives long has no cone but all that is said of it
            return archive.about(target.number)


# --- a request, a turn ---------------------------------------------------------------------------


def _of_request(number: int, archive: Archive) -> Iterator[Turn]:
    own = [turn.number for turn in archive.about(number)]
    request = archive.requests.get(number)
    if request is None:
        return _of_turns(own, archive)
    cancels = [*request.claims, request.completed.by if request.completed else 0]
    known = [archive.cancels[number] for number in cancels if number in archive.cancels]
    if request.rejected is not None:
        known += archive.refused_by(number)
    return _of_turns(own, archive, number, chain.from_iterable(map(_own_turns, known)))


def _own_turns(cancel: CancelLife) -> list[int]:
    moments = (cancel.requested, cancel.began, cancel.killed, cancel.ended)
    return [moment.turn for moment in moments if moment is not None]


def _of_turns(
    numbers: Iterable[int], archive: Archive, request: int = 0, context: Iterable[int] = ()
) -> Iterator[Turn]:
    """Yield turns, what led to them, and what they brought about.

    Of what a run of deliveries brought about, only what the script of ``request`` did counts; of
    the turns of ``context``, nothing.
    """
    own = set(numbers)
    wanted = own.union(context, *(_causes(number, archive, request) for number in own))
    wanted |= {turn.number for turn in _effects(own, request, archive)}
    return archive.some(wanted)


def _causes(number: int, archive: Archive, request: int = 0) -> set[int]:
    """Return the turns that led to one; before its delivery a request's own completion stands."""
    seen: set[int] = set()
    while number > 0 and number not in seen:  # a damaged log may run in circles
        seen.add(number)
        turn = archive.turn(number)
        life = archive.requests.get(request or (script_of(turn) if turn else 0))
        if life and life.completed and life.delivered and life.delivered.turn == number:
            number, request = life.completed.turn, 0
        elif turn is None or turn.cause is None or turn.cause.log is not None:
            break
        else:
            number, request = turn.cause.number, turn.cause.request
    return seen


def _effects(own: set[int], request: int, archive: Archive) -> Iterator[Turn]:
    """Yield the turns that own ones brought about; of a run of scripts only what one's did."""
    scripts = {turn.number for turn in archive.some(own) if script_of(turn)}
    seen = 0
    for number in sorted(own):
        for turn in archive.turns(max(seen, number) + 1, number + NEAR_TURNS):
            cause = turn.cause
            if cause is None or cause.log is not None or cause.number not in own:
                continue
            if not request or cause.number not in scripts or cause.request == request:
                yield turn
        seen = max(seen, number + NEAR_TURNS)


# --- a cancellation ------------------------------------------------------------------------------


def _of_cancel(cancel: CancelLife, archive: Archive) -> Iterator[Turn]:
    """Yield a cancellation whole: what led to it, its sequence, and what was late behind it."""
    moments = [m.turn for m in (cancel.requested, cancel.began, cancel.ended) if m is not None]
    if not moments:
        yield from archive.about(cancel.number)
        return
    begin = min(moments)
    lives = [archive.requests[n] for n in cancel.victims[:LIVES_MAX]]
    attempts = cancel.attempts[:LIVES_MAX]
    lives += [archive.requests[a.target] for a in attempts if a.target in archive.requests]
    rivals = [archive.cancels[n] for n in {a.other for a in attempts} if n in archive.cancels]
    asker = archive.requests.get(cancel.asked_by)
    near = {turn for life in lives for turn in _turns_of(life)}
    near |= {turn for rival in rivals for turn in _own_turns(rival)}
    near |= {asker.timed_out.turn} if asker and asker.timed_out else set()
    near |= _causes(begin, archive)
    yield from archive.some(number for number in near if number < begin)
    last = begin
    for turn in _sequence(cancel, begin, archive):
        last = turn.number
        yield turn
    yield from archive.some(number for number in near if number > last)


def _turns_of(life: RequestLife) -> list[int]:
    ends = (
        life.submitted, life.timed_out, life.completed, life.delivered, life.discarded,
        life.late_answer,
    )  # fmt: skip
    return [end.turn for end in ends if end is not None]


def _sequence(cancel: CancelLife, begin: int, archive: Archive) -> Iterator[Turn]:
    """Yield the turns of a cancellation from its trigger until it is at rest."""
    watch = _Watch(cancel)
    for turn in archive.turns(begin, begin + SPAN_TURNS):
        if watch.wants(turn):
            yield turn
            if watch.is_at_rest:
                return


@dataclass(slots=True)
class _Watch:
    """Knows at each turn of a cancellation who belongs to it and what is still owed."""

    cancel: CancelLife
    members: "_Ranges" = field(init=False)
    creditors: "_Ranges" = field(init=False)
    """Whoever has to hear before it is at rest: the victims, and the cancel's own request."""
    turns: set[int] = field(default_factory=set[int])
    open: set[int] = field(default_factory=set[int])
    """Cancels that have begun here and not ended."""
    owed: int = 0
    """How many members have not had their delivery."""

    def __post_init__(self) -> None:
        number = self.cancel.number
        self.members, self.creditors = _Ranges(), _Ranges()
        self.members.add(number, number)
        for attempt in self.cancel.attempts:
            self.members.add(attempt.target, attempt.target)
        self.open.add(number)

    @property
    def is_at_rest(self) -> bool:
        return not self.open and self.owed <= 0

    def wants(self, turn: Turn) -> bool:
        """Return whether a turn belongs to the cancellation, and note what it says."""
        is_effect = turn.cause is not None and turn.cause.number in self.turns
        for event in turn.events:
            self._note(event, is_effect=is_effect)
        is_member = turn.actor in self.members or self._is_about_members(turn)
        if is_member:
            self.turns.add(turn.number)
        return is_member or is_effect or self._is_refused(turn)

    def _note(self, event: object, *, is_effect: bool) -> None:
        match event:
            case CancelRequested(cancel=number) if is_effect and number not in self.members:
                self.members.add(number, number)  # a cancel within the cancel
                self.open.add(number)
            case Accepted(request=number) if number == self.cancel.number:
                self._owe(number, number)
            case CancelBegan(cancel=number, victims=victims) if number == self.cancel.number:
                for first, last in pairs_of(victims):
                    self.members.add(first, last)
                    self._owe(first, last)
            case CancelEnded(cancel=number):
                self.open.discard(number)
            case Delivered(requests=ranges) | Discarded(requests=ranges):
                pairs = pairs_of(ranges)
                self.owed -= sum(self.creditors.shared(first, last) for first, last in pairs)
            case _:
                pass

    def _owe(self, first: int, last: int) -> None:
        self.creditors.add(first, last)
        self.owed += last - first + 1

    def _is_about_members(self, turn: Turn) -> bool:
        found = mentions_of(turn)
        return any(number in self.members for number in found.numbers) or any(
            self.members.shared(first, last) for first, last in found.spans
        )

    def _is_refused(self, turn: Turn) -> bool:
        """Return whether the window refused what somebody else asked for."""
        endpoint = self.cancel.endpoint
        return any(
            isinstance(event, Rejected) and event.endpoint == endpoint for event in turn.events
        )


class _Ranges:
    """A set of numbers, as few ranges."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, first: int, last: int) -> None:
        at = bisect_right(self._firsts, first)
        if at and self._lasts[at - 1] >= last:
            return
        self._firsts.insert(at, first)
        self._lasts.insert(at, last)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number)
        return at > 0 and self._lasts[at - 1] >= number

    def shared(self, first: int, last: int) -> int:
        """Return how many numbers of a range are in the set."""
        at = max(bisect_right(self._firsts, first) - 1, 0)
        total = 0
        while at < len(self._firsts) and self._firsts[at] <= last:
            total += max(min(last, self._lasts[at]) - max(first, self._firsts[at]) + 1, 0)
            at += 1
        return total
