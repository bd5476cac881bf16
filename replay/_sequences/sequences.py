"""`rescind sequences`: every cancellation as one object, from its trigger to the last silence."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias

from rescind.events import (
    By,
    CancelBegan,
    CancelEnded,
    CancelRequested,
    Delivered,
    Discarded,
    TimedOut,
    Turn,
)
from rescind.replay._archive.archive import AnyLog, Archive, archive_of, refused_in
from rescind.replay._archive.case import Case
from rescind.replay._archive.trace import Archives, Point, way_back
from rescind.replay._laws.check import LAWS
from rescind.replay._laws.law import Court, Finding, Verdict
from rescind.replay._ledger.dialects import TIMES, Tables, tables
from rescind.replay._ledger.lives import (
    CancelLife,
    Context,
    Delivery,
    Discard,
    Ending,
    Moment,
    RequestLife,
)
from rescind.replay._ledger.model import Ledger, each
from rescind.replay._ledger.sound import sound
from rescind.replay._words.describe import Names
from rescind.replay._words.shown import Shown
from rescind.replay._words.text import Clock, Line

Broken: TypeAlias = dict[int, list[Finding]]
"""What is broken, by the numbers that it concerns."""

LAWS_OF_A_SEQUENCE = ("L1", "L2", "L3", "L4", "L5", "L6")


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked for something, and from inside what.

    Attributes:
        turn: The turn in which it was asked; 0 when that lies before the log's beginning.
        time_ns: When; at the latest when the log begins.
        by: Thread, file and line; None when a timer or the outside asked.
        inside: The callback in which it was asked, if in one.
        request: The request whose deadline asked, or 0.
        handler: The turn whose handler asked, or 0.
        unanswered: The cancel whose time of grace ran out, or 0.
    """

    turn: int
    time_ns: int
    by: By | None
    inside: Context | None
    request: int = 0
    handler: int = 0
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Victim:
    """One target of a cancel.

    Attributes:
        age_ns: How long it had been outstanding when the cancel was asked for; None: not known.
        won: Whether this cancel ended it.
        outcome: What the cancel achieved where it did not win, in the log's words.
    """

    request: int
    operation: str
    asynchronous: bool
    age_ns: int | None
    won: bool
    outcome: str
    completed: Ending | None
    delivered: Delivery | None
    discarded: Discard | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was rejected while the window was open."""

    request: int
    operation: str
    code: int
    rule: str
    asked: Asker


class Loss(StrEnum):
    """How something lost against a cancel, beside the outcomes that the log itself names."""

    LATE_ANSWER = "answer ignored"


@dataclass(frozen=True, slots=True)
class Loser:
    """What raced and lost.

    Attributes:
        request: The request it was about.
        outcome: ``too late`` and the like: this cancel lost; ``answer ignored``: the outside did.
        code: What the request's true result was, or what the ignored answer said.
        margin_ns: By how much it lost; None when the log does not tell.
        other: The cancel or request that it lost against, or 0.
        rule: The row of the dialect's table that decided so, where it has one.
    """

    request: int
    operation: str
    outcome: str
    code: int | None
    turn: int
    margin_ns: int | None
    other: int
    rule: str = ""


@dataclass(frozen=True, slots=True)
class CancelSequence(Shown):
    """One cancellation, whole.  Printed, or shown by a notebook, it is its screen.

    Attributes:
        cancel: The cancel's number; its selector is ``c`` and this number.
        trigger: ``Cancel``, ``Disconnect``, ``time-out``, ...
        scope: The endpoint, call or request that it covers.
        reason: What the application said, or nothing.
        parent: The nearest cancel on the way back along its causes, or 0.
        parent_log: The id of the log that the parent stands in, in hexadecimal; empty for its own.
        began: The turn that opened the window, with its time.
        ended: The window's end, with the cancel's own code.
        killed: When the driver reported that its work had stopped.
        victims: In order of delivery; those not delivered yet come last.
        own: The cancel's own request, when it is an operation of its own.
        quiet: When nothing was owed to anybody any more; None while something is.
        verdict: Of the laws `LAWS_OF_A_SEQUENCE`, for this sequence alone.
        findings: What is broken or open, by law.
        begin_ns: When the log begins.
        log: The id of its log, in hexadecimal; empty for the log that was asked.
    """

    cancel: int
    trigger: str
    endpoint: int
    endpoint_label: str
    scope: int
    reason: str
    driver: str
    tables: Tables
    asked: Asker
    parent: int
    parent_log: str
    began: Moment | None
    ended: Ending | None
    killed: Ending | None
    victims: tuple[Victim, ...]
    refused: tuple[Refusal, ...]
    losers: tuple[Loser, ...]
    own: Victim | None
    quiet: Moment | None
    verdict: Verdict
    findings: tuple[Finding, ...]
    begin_ns: int
    log: str = ""

    def lines(self) -> list[Line]:
        """Return its screen."""
        from .screen import sequence_lines  # noqa: PLC0415 - which imports this

        return sequence_lines(self, Clock(self.begin_ns))

    @property
    def is_cut(self) -> bool:
        """Whether it was asked for before the log begins, or where turns are missing."""
        return self.asked.turn == 0

    @property
    def quiescence_ns(self) -> int | None:
        """How long it took from the trigger until nothing was owed; None when it is not known."""
        if self.quiet is None or self.is_cut:
            return None
        return self.quiet.time_ns - self.asked.time_ns


def sequences(log: AnyLog, *, others: Iterable[AnyLog] = ()) -> Iterator[CancelSequence]:
    """Yield every cancellation of a log, in the order in which they were asked for.

    Each is judged by the turns that concern it alone, so memory does not grow with the log.

    Args:
        log: A reader, turns, or an archive of either.
        others: Logs that are joined with it by their ids: what followed from a cancel in another
            log stands behind it.
    """
    from .joined import joined  # noqa: PLC0415 - which imports this

    archives = {each.lookup.log_id: each for each in map(archive_of, (log, *others))}
    yield from joined(archives, SequenceFilter())


@dataclass(frozen=True, slots=True)
class SequenceFilter:
    """Which cancellations are wanted; None wants all.

    Attributes:
        about: The cancel, its endpoint, the request that asked, a victim, a refusal or a target.
        trigger: What asked, in any case.
        code: A code that a victim or refusal ended with.
        verdict: What the laws say.
        first: Asked for in this turn or later.
        last: Asked for in this turn or before.
        since_ns: Asked for at this moment or later.
        until_ns: Asked for at this moment or before.
    """

    about: int | None = None
    trigger: str | None = None
    code: int | None = None
    verdict: str | None = None
    first: int = 0
    last: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def wants(self, one: CancelSequence) -> bool:
        """Return whether a cancellation passes."""
        return (
            (self.about is None or self.about in _members(one))
            and (self.trigger is None or self.trigger.lower() == one.trigger.lower())
            and (self.code is None or self.code in _codes(one))
            and (self.verdict is None or self.verdict == one.verdict)
            and one.asked.turn >= self.first
            and (self.last is None or one.asked.turn <= self.last)
            and (self.since_ns is None or one.asked.time_ns >= self.since_ns)
            and (self.until_ns is None or one.asked.time_ns <= self.until_ns)
        )

    def candidates(self, archive: Archive) -> "array[int]":
        """Return the cancels that may pass, without looking at each."""
        numbers = archive.cancel_numbers
        if self.about is not None and not archive.is_lasting(self.about):
            return array("q", archive.cancels_about(self.about))

        def asked(number: int) -> Asker:
            return _asked(archive.cancels[number], archive, archive)

        low, high = 0, len(numbers)
        if self.first:
            low = bisect_left(numbers, self.first, key=lambda n: asked(n).turn)
        if self.since_ns is not None:
            low = bisect_left(numbers, self.since_ns, low, key=lambda n: asked(n).time_ns)
        if self.last is not None:
            high = bisect_right(numbers, self.last, low, key=lambda n: asked(n).turn)
        if self.until_ns is not None:
            high = bisect_right(numbers, self.until_ns, low, high, key=lambda n: asked(n).time_ns)
        return numbers[low:high]


def _members(one: CancelSequence) -> set[int]:
    parts: tuple[Victim | Refusal | Loser, ...] = (*one.victims, *one.refused, *one.losers)
    return {one.cancel, one.endpoint, one.scope, one.asked.request, *(p.request for p in parts)}


def _codes(one: CancelSequence) -> set[int | None]:
    ends = (victim.completed for victim in one.victims)
    return {*(end.code for end in ends if end), *(refusal.code for refusal in one.refused)} - {None}


def sequences_live(archive: Archive, turns: Iterable[Turn]) -> Iterator[CancelSequence]:
    """Yield cancellations of a log that grows, each when nothing is owed to anybody any more.

    Args:
        archive: The log's archive.
        turns: Its turns as they become durable.
    """
    waiting: dict[int, set[int]] = {}
    for turn in sound(turns):
        if sum(_note(event, waiting) for event in turn.events):
            archive.refresh()
            for number in [number for number, owed in waiting.items() if not owed]:
                one = sequence_of(number, archive)
                if one.quiet is not None:
                    del waiting[number]
                    yield one


def _note(event: Any, waiting: dict[int, set[int]]) -> bool:
    """Note who is owed something in which cancel; tell whether one of them may be over.

    A cancel itself stands for its end; its own request is looked at when nothing else is owed.
    """
    match event:
        case CancelRequested(cancel=number):
            waiting[number] = {number}
        case CancelBegan(cancel=number, victims=ranges) if number in waiting:
            waiting[number].update(each(ranges))
        case CancelEnded(cancel=number) if number in waiting:
            waiting[number].discard(number)
            return True
        case Delivered(requests=ranges) | Discarded(requests=ranges) if waiting:
            done = list(each(ranges))
            for number, owed in waiting.items():
                owed.difference_update(other for other in done if other != number)
            return True
        case _:
            pass
    return False


def sequence_of(number: int, archive: Archive, archives: Archives | None = None) -> CancelSequence:
    """Return one cancel of an archive as a whole.

    Args:
        number: The cancel's.
        archive: Where it is found.
        archives: All that its causes may lie in, the one that was asked first; None: it alone.
    """
    court = _hear(number, archive)
    broken = _broken(court)
    case = court.ledger
    cancel = case.cancel(number)
    asked = _asked(cancel, case, archive)
    requests = [case.request(each) for each in cancel.victims]
    outcomes = {attempt.target: attempt.outcome for attempt in cancel.attempts}
    victims = [_victim(request, cancel, asked, outcomes) for request in requests]
    own = case.requests.get(number)
    refused = tuple(_refusal(case.request(each)) for each in cancel.refused)
    members = requests if own is None else [*requests, own]
    quiet = _quiet(cancel, members)
    findings = _findings(cancel, members, quiet, broken)
    endpoint = archive.endpoints.get(cancel.endpoint)
    log_id = archive.lookup.log_id
    archives = archives or {log_id: archive}
    parent_log, parent = parent_of(cancel, log_id, archives) or (log_id, 0)
    return CancelSequence(
        cancel=number,
        trigger=cancel.trigger,
        endpoint=cancel.endpoint,
        endpoint_label=archive.label(cancel.endpoint),
        scope=cancel.scope,
        reason=cancel.reason,
        driver=endpoint.driver if endpoint else "",
        tables=tables_of(cancel.endpoint, archive),
        asked=asked,
        parent=parent,
        parent_log="" if parent_log == log_id else parent_log.hex(),
        began=cancel.began,
        ended=cancel.ended,
        killed=cancel.killed,
        victims=tuple(sorted(victims, key=_place)),
        refused=refused,
        losers=tuple(_losers(cancel, requests, case)),
        own=None if own is None else _victim(own, cancel, asked, {}),
        quiet=quiet,
        verdict=findings[0].verdict if findings else Verdict.HOLDS,
        findings=findings,
        begin_ns=archive.clock.begin_ns,
        log="" if log_id == next(iter(archives)) else log_id.hex(),
    )


def _hear(number: int, archive: Archive) -> Court:
    """Hear all turns that have to do with a cancel, under the laws that it is judged by.

    Whom that concerns is seen on the way; where others come in it is heard again, with them.
    """
    members = {number, *_victims_of(number, archive)}
    window: list[Turn] = []
    while True:
        case = Case(archive, members)
        cancel = case.cancel(number)
        court = _court(case, archive, merge(archive.about(*members), window, key=_number))
        refusing = archive.window(cancel)
        cancel.refused = refused_in(refusing, cancel)
        concerned = {*cancel.victims, *cancel.refused, *(each.target for each in cancel.attempts)}
        if concerned <= members and len(refusing) == len(window):
            return court
        members |= concerned
        window = refusing


_number = attrgetter("number")


def _victims_of(number: int, archive: Archive) -> Iterator[int]:
    for turn in archive.about(number):
        for event in turn.events:
            if isinstance(event, CancelBegan) and event.cancel == number:
                return each(event.victims)
    return iter(())


def _court(case: Case, archive: Archive, turns: Iterable[Turn]) -> Court:
    laws = [law for law in LAWS if law.id in LAWS_OF_A_SEQUENCE]
    court = Court(laws, lambda: archive.lookup.damage, case)
    last = 0
    for turn in turns:
        if turn.number > last:  # else it has to do with several of them
            court.feed(case.narrowed(turn))
            last = turn.number
    pending = [request.endpoint for request in case.requests.values() if request.is_pending]
    closing = archive.closing_of(pending[0], last) if pending else None
    if closing is not None:
        court.feed(case.narrowed(closing))
    return court


def _broken(court: Court) -> Broken:
    """Return what a court found broken, by whom it concerns."""
    broken: Broken = {}
    for report in court.close():
        for finding in report.of(Verdict.BROKEN):
            for number in set(finding.about):
                broken.setdefault(number, []).append(finding)
    return broken


def tables_of(endpoint: int, names: Names) -> Tables:
    """Return the tables that rule an endpoint."""
    known = names.endpoints.get(endpoint)
    return tables(known.dialect, known.profile) if known else tables("")


def _asked(cancel: CancelLife, case: Names, archive: Archive) -> Asker:
    """Return who asked: the caller, or for a time-out the deadline of a request."""
    moment = cancel.requested or cancel.began or Moment(0, archive.clock.begin_ns)
    if cancel.trigger not in TIMES:
        # A release asks for its cancel when the outputs before it have ended; who called it asked.
        own = case.requests.get(cancel.number)
        caller = own if own and cancel.by is None and not cancel.handler else cancel
        by, inside = caller.by, caller.inside
        unanswered = _unanswered(moment.turn, archive)
        return Asker(moment.turn, moment.time_ns, by, inside, 0, cancel.handler, unanswered)
    request = archive.requests.get(cancel.asked_by)
    fired = request.timed_out if request and request.timed_out else moment
    by = request.by if request else None
    return Asker(fired.turn, fired.time_ns, by, None, cancel.asked_by)


def _unanswered(turn: int, archive: Archive) -> int:
    """Return the cancel whose time of grace ran out in a turn, or 0."""
    asked = archive.turn(turn)
    if asked is None or not isinstance(asked.message, TimedOut):
        return 0
    return asked.message.request if asked.message.request in archive.cancels else 0


def _victim(
    request: RequestLife, cancel: CancelLife, asked: Asker, outcomes: dict[int, str]
) -> Victim:
    won = request.completed is not None and request.completed.by == cancel.number
    return Victim(
        request=request.number,
        operation=request.operation,
        asynchronous=request.asynchronous,
        age_ns=asked.time_ns - request.submitted.time_ns if request.submitted else None,
        won=won,
        outcome=outcomes.get(request.number, ""),
        completed=request.completed,
        delivered=request.delivered,
        discarded=request.discarded,
    )


def _place(victim: Victim) -> float:
    return victim.delivered.place if victim.delivered else float("inf")


def _refusal(request: RequestLife) -> Refusal:
    refused = request.rejected
    if refused is None:  # submitted twice, once accepted: a broken log, told as far as it goes
        return Refusal(request.number, request.operation, 0, "", Asker(0, 0, request.by, None))
    asked = Asker(refused.turn, refused.time_ns, request.by, request.inside)
    return Refusal(request.number, request.operation, refused.code, refused.rule, asked)


def _losers(cancel: CancelLife, victims: list[RequestLife], ledger: Ledger) -> Iterator[Loser]:
    for attempt in cancel.attempts:
        target = ledger.request(attempt.target)
        done = target.completed
        yield Loser(
            request=attempt.target,
            operation=target.operation,
            outcome=attempt.outcome,
            code=done.code if done else None,
            turn=attempt.turn,
            margin_ns=_margin(cancel, done),
            other=attempt.other,
            rule=attempt.rule,
        )
    for victim in victims:
        late, done = victim.late_answer, victim.completed
        if late is not None and done is not None and done.by == cancel.number:
            margin = late.time_ns - done.time_ns
            yield Loser(
                victim.number, victim.operation, Loss.LATE_ANSWER, late.code, late.turn, margin,
                cancel.number,
            )  # fmt: skip


def _margin(cancel: CancelLife, done: Ending | None) -> int | None:
    if done is None or cancel.requested is None:
        return None
    return abs(cancel.requested.time_ns - done.time_ns)


def parent_of(cancel: CancelLife, log_id: bytes, archives: Archives) -> tuple[bytes, int] | None:
    """Return the nearest cancel on the way back from one, and the log that it stands in."""
    if cancel.requested is None:
        return None
    start = Point(cancel.requested.turn, 0, log_id)
    for point in islice(way_back(archives, start), 1, PARENT_STEPS_MAX):
        turn = archives[point.log].turn(point.turn)
        for event in turn.events if turn else ():
            if isinstance(event, CancelRequested):
                return point.log, event.cancel
    return None


PARENT_STEPS_MAX = 64
"""A cancel that lies further back has not much to do with it any more."""


def _quiet(cancel: CancelLife, members: list[RequestLife]) -> Moment | None:
    """Return when the last of all that a cancel concerns had its end."""
    if cancel.ended is None or not all(request.is_settled for request in members):
        return None
    ends = [request.delivered or request.discarded for request in members]
    moments = [Moment(end.turn, end.time_ns) for end in ends if end is not None]
    return max([*moments, Moment(cancel.ended.turn, cancel.ended.time_ns)])


def _findings(
    cancel: CancelLife,
    members: list[RequestLife],
    quiet: Moment | None,
    broken: dict[int, list[Finding]],
) -> tuple[Finding, ...]:
    """Return what is broken, or else what is open, or nothing."""
    if broken:  # empty for all good logs: then nobody walks a hundred thousand victims
        numbers = [cancel.number, *(r.number for r in members), *cancel.refused]
        accused = [finding for number in numbers for finding in broken.get(number, ())]
        if accused:
            return tuple(dict.fromkeys(accused))
    if cancel.requested is None or quiet is None:
        return tuple(_open(cancel, members))
    return ()


def _open(cancel: CancelLife, members: list[RequestLife]) -> Iterator[Finding]:
    """Say what is still owed, one sentence per law."""
    pending = [r for r in members if r.is_pending]
    waiting = [r for r in members if r.completed is not None and not r.is_settled]
    name = f"c{cancel.number}"

    def finding(law: str, text: str, requests: list[RequestLife]) -> Finding:
        turns = sorted({r.submitted.turn for r in requests if r.submitted})[:8]
        return Finding(law, Verdict.OPEN, name, tuple(turns), (cancel.number,), text)

    if cancel.requested is None:
        yield finding("L3", f"{name} was asked for before the log begins", [])
    if pending:
        yield finding("L1", f"{_some(pending)} not completed", pending)
    if waiting:
        yield finding("L2", f"{_some(waiting)} not delivered", waiting)
    if cancel.ended is None:
        yield finding("L3", "the window is open where the log ends", [])


def _some(requests: list[RequestLife]) -> str:
    names = ", ".join(f"r{r.number}" for r in requests[:5])
    return names if len(requests) <= 5 else f"{names} and {len(requests) - 5:,} more"
