"""A log, asked instead of read: what a number stands for is looked up where the log tells of it.

A ``Ledger`` is folded from every turn, which takes as long as the log is.  Most questions are about
one request or one cancel, and the log's index knows which turns mention it.  Those turns alone,
folded into a ledger of their own, are its *case*: they say all that the whole fold would.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property
from heapq import merge
from itertools import groupby, islice
from typing import Any, TypeAlias

from rescind.events import (
    Accepted,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    Closed,
    Completed,
    CompletionScript,
    How,
    InputScript,
    LogReader,
    Lookup,
    PartialScript,
    Rejected,
    Turn,
    TurnsLookup,
    WorkStopped,
)
from rescind.replay._ledger.from_keyframe import LedgerFromKeyframe
from rescind.replay._ledger.lives import (
    Attempt,
    CallLife,
    CancelLife,
    Context,
    EndpointLife,
    RequestLife,
)
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.numbers import Numbers, NumberSet
from rescind.replay._ledger.sound import sound
from rescind.replay._words.describe import rules_of
from rescind.replay._words.text import Clock

from .case import Case, OneCancel, OneCase
from .shelves import Memory, Shelf

_NEAR_MAX = 64
"""So many cancels before or after a number are looked at."""

_STRIDE, _STRIDE_MAX = 2_000, 500_000
"""How many turns are gone back at once: more and more, where nothing is found."""

_BEHIND_A_GAP_MAX = 50_000
"""So many turns behind a gap are read for cancels that were asked for in it."""

_LAST_WORDS_MAX = 256
"""How much is said of an actor or endpoint after its end, at most."""

_LOOKED_AT_MAX = 64
"""Whoever is nobody known after so many turns about it is not looked for any further."""


class Archive:
    """What a log tells of requests, cancels, calls, endpoints and actors, looked up one by one.

    The reading side of a ``Ledger``.  Not for several threads; memory is bounded, whatever the log.

    Attributes:
        reader: The log's; None for turns in memory.
        lookup: Random access to the log's turns.
        requests: Requests by number.
        cancels: Cancels by number, each with what was refused in its window.
        calls: Calls by number.
        endpoints: Endpoints by number: who they are, not how they stand.
    """

    def __init__(self, log: Iterable[Turn]) -> None:
        """Open a log's archive; nothing is read yet.

        Args:
            log: A reader, or turns, of which a list is made.
        """
        self.reader = log if isinstance(log, LogReader) else None
        self.lookup: Lookup = TurnsLookup(log) if self.reader is None else self.reader.lookup()
        self.requests = Shelf(self._request)
        self.cancels = Memory(self._cancel)
        self.calls = Shelf(self._call)
        self.endpoints = Shelf(self._endpoint)
        self._cases = Memory(self._narrow_case)
        self._whole_cases = Memory(self._whole_case)
        self._gaps: list[tuple[int, int]] = []
        self._met = -1
        self._closings: dict[int, Turn | None] = {}
        self._contexts = Memory(self._script_of)

    # --- turns ---------------------------------------------------------------------------------

    def turn(self, number: int) -> Turn | None:
        """Return a turn, made safe to read; None if the log does not have it."""
        found = self.lookup.turn(number)
        return None if found is None else next(sound((found,)))

    def turns(self, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns of a range, ascending."""
        return sound(self.lookup.turns(first, last))

    def some(self, numbers: Iterable[int]) -> Iterator[Turn]:
        """Yield those turns of these numbers that there are, ascending."""
        found = map(self.turn, sorted(set(numbers)))
        return (turn for turn in found if turn is not None)

    def about(self, *numbers: int, first: int = 1, last: int | None = None) -> Iterator[Turn]:
        """Yield the turns that have to do with any of these, in the log's order, each once."""
        return sound(self.lookup.about(numbers, first, last))

    @cached_property
    def clock(self) -> Clock:
        """The log's clock, which runs from its first turn."""
        first = self.turn(self.lookup.first)
        return Clock(first.time_ns if first else 0)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Turns that are missing: what was before the first, and what was lost between."""
        met = len(self.lookup.damage)
        if met != self._met:  # more was read since
            lost = self.lookup.missing()
            self._gaps = [(1, self._first - 1), *lost] if self._first > 1 else lost
            self._met = met
        return self._gaps

    @cached_property
    def _first(self) -> int:
        return self.lookup.first

    def blind_before(self, number: int) -> int:
        """Return the turn from which on nothing is missing up to this one."""
        gaps = self.gaps
        if not gaps:
            return 1
        ends = [last + 1 for _, last in gaps]
        at = bisect_right(ends, number)
        return ends[at - 1] if at else 1

    def cause_of(self, number: int) -> int:
        """Return the turn that brought a turn about; 0 for none, or none in this log."""
        turn = self.turn(number)
        return _cause(turn) if turn else 0

    def is_delivery(self, number: int) -> bool:
        """Whether a turn ran a script of the application's."""
        return bool(self._contexts.get(number))

    def context_of(self, turn: Turn) -> Context | None:
        """Return the script in which a turn was asked for, if its cause is a delivery."""
        cause = _cause(turn)
        if not cause or turn.cause is None:
            return None
        request = turn.cause.request or self._contexts.get(cause)
        return Context(cause, request) if request else None

    def _script_of(self, number: int) -> int | None:
        turn = self.turn(number)
        return script_of(turn) if turn else None

    # --- lives ---------------------------------------------------------------------------------

    def attempts_on(self, number: int) -> list[Attempt]:
        """Return what cancels said of a target that they did not simply win."""
        case = self._cases.get(number)
        cancels = case.cancels.values() if case else ()
        return [each for cancel in cancels for each in cancel.attempts if each.target == number]

    def owner_of(self, number: int) -> int:
        """Return the endpoint of a request or call; any other number is an endpoint's own."""
        owned = self.requests.get(number) or self.calls.get(number)
        return owned.endpoint if owned else number

    def label(self, number: int) -> str:
        """Return what to call an actor: ``a1 newton endpoint``, ``r9 Output``, ``c12 Cancel``."""
        case = self._cases.get(number)
        return case.label(number) if case else Ledger().label(number)

    def is_lasting(self, number: int) -> bool:
        """Return whether a number is an endpoint, a call or an ordinary actor."""
        case = self._cases.get(number)
        return case is not None and case.is_lasting(number)

    def case(self, number: int) -> Case | None:
        """Return the ledger of the turns about a number; of who lives long, only its beginning."""
        return self._cases.get(number)

    def newest_about(self, number: int) -> Iterator[Turn]:
        """Yield the turns that have to do with a number, the newest first."""
        last, width = self.lookup.last, _STRIDE
        while last >= self.lookup.first > 0:
            first = max(last - width + 1, 1)
            yield from reversed(list(self.about(number, first=first, last=last)))
            last, width = first - 1, min(width * 4, _STRIDE_MAX)

    @cached_property
    def cancel_numbers(self) -> "array[int]":
        """The numbers of all cancels, in order."""
        more: set[int] = set()
        if self.names is not None:
            more.update(self.names.cancels)
        for _, last in self.gaps:
            # Whoever was asked for where turns are missing shows by what it does behind them.
            for turn in self.turns(last + 1, last + _BEHIND_A_GAP_MAX):
                more.update(map(_cancel_in, turn.events))
        more.discard(0)
        every = merge(self.lookup.cancels(), sorted(more))
        return array("q", (number for number, _ in groupby(every)))

    def cancels_before(self, number: int) -> Iterator[CancelLife]:
        """Yield a few cancels with lower numbers, which were asked for before; the last first."""
        at = bisect_left(self.cancel_numbers, number)
        return self._some_cancels(reversed(self.cancel_numbers[max(at - _NEAR_MAX, 0) : at]))

    def cancels_after(self, number: int) -> Iterator[CancelLife]:
        """Yield a few cancels with higher numbers, which were asked for afterwards, in order."""
        at = bisect_right(self.cancel_numbers, number)
        return self._some_cancels(self.cancel_numbers[at : at + _NEAR_MAX])

    def _some_cancels(self, numbers: Iterable[int]) -> Iterator[CancelLife]:
        found = map(self.cancels.get, numbers)
        return (cancel for cancel in found if cancel is not None)

    def cancels_about(self, number: int) -> list[int]:
        """Return the cancels that a request or cancel had a part in."""
        case = self._cases.get(number)
        found = {n for n in case.cancels if n in self.cancels} if case else set[int]()
        found.update(cancel.number for cancel in self.refused_by(number))
        return sorted(found)

    def refused_by(self, number: int) -> Iterator[CancelLife]:
        """Yield the cancels in whose windows a request was refused, the last first."""
        return (cancel for cancel in self.cancels_before(number) if number in cancel.refused)

    def refresh(self) -> None:
        """See what was written meanwhile; all that was looked up is looked up anew."""
        self.lookup.refresh()
        self.cancels.clear()
        self._cases.clear()
        self._whole_cases.clear()
        self._contexts.clear()
        self._closings.clear()
        self._met = -1
        for name in ("_first", "cancel_numbers", "names"):
            self.__dict__.pop(name, None)

    def taken_of(self, request: RequestLife) -> int:
        """Return how many bytes of a request had been taken when a cancel cut it."""
        cases = (self._whole_cases.get(cancel) for cancel in request.claims)
        return max((case.taken.get(request.number, 0) for case in cases if case), default=0)

    def open_windows(self, endpoint: int) -> list[int]:
        """Return the cancels of an endpoint whose windows are open where the log ends."""
        near = self.cancels_before(1 << 62)
        return [c.number for c in near if c.endpoint == endpoint and c.is_open][::-1]

    def won_by(self, cancel: int) -> NumberSet:
        """Return the requests that a cancel ended."""
        case = self._whole_cases.get(cancel)
        return NumberSet() if case is None else case.won

    def _narrow_case(self, number: int) -> Case | None:
        """Return the case of one number; of somebody who lives long, only how it began."""
        case = OneCase(self, number)
        is_known = is_told = case.is_told(number)
        for place, turn in enumerate(self.about(number)):
            case.feed(case.narrowed(turn))
            is_known = True
            is_nobody = place > _LOOKED_AT_MAX and not (is_told or case.is_brief(number))
            if case.is_lasting(number) or is_nobody:
                break
        case.meet(number)
        return case if is_known else None

    def _request(self, number: int) -> RequestLife | None:
        case = self._cases.get(number)
        return None if case is None else case.requests.get(number)

    def _call(self, number: int) -> CallLife | None:
        case = self._cases.get(number)
        return None if case is None else case.calls.get(number)

    def _endpoint(self, number: int) -> EndpointLife | None:
        case = self._cases.get(number)
        return None if case is None else case.endpoints.get(number)

    def _whole_case(self, number: int) -> OneCancel:
        """Return the case of a cancel, with whom it ended."""
        case = OneCancel(self, number)
        for turn in self.about(number):
            case.feed(turn)
        return case

    def _cancel(self, number: int) -> CancelLife | None:
        at = bisect_left(self.cancel_numbers, number)
        if self.cancel_numbers[at : at + 1].tolist() != [number]:
            return None
        cancel = self._whole_cases[number].cancels[number]
        cancel.refused = refused_in(self.window(cancel), cancel)
        return cancel

    def window(self, cancel: CancelLife) -> list[Turn]:
        """Return the turns of a cancel's window in which its endpoint refused what it was asked.

        And those in which it took what the window forbids.
        """
        return list(self._window(cancel))

    def _window(self, cancel: CancelLife) -> Iterator[Turn]:
        first = cancel.began.turn + 1 if cancel.began else 1
        if cancel.began is None and not self._was_open(cancel):
            return
        last = cancel.ended.turn - 1 if cancel.ended else None
        rules = rules_of(self, cancel.endpoint)
        for turn in self.about(cancel.endpoint, first=first, last=last):
            for event in turn.events:
                if isinstance(event, Rejected) or (
                    isinstance(event, Accepted) and rules.forbids(cancel, event.operation)
                ):
                    yield turn
                    break

    def _was_open(self, cancel: CancelLife) -> bool:
        """Whether a keyframe tells of a window that opened where turns are missing."""
        endpoint = self.names.endpoints.get(cancel.endpoint) if self.names else None
        return endpoint is not None and cancel.number in endpoint.windows

    def closing_of(self, endpoint: int, behind: int) -> Turn | None:
        """Return the turn behind a certain one in which an endpoint was closed, if it was."""
        if endpoint not in self._closings:
            # Hardly anything is said of an endpoint after it has closed.
            last = islice(self.newest_about(endpoint), _LAST_WORDS_MAX)
            self._closings[endpoint] = next((t for t in last if _closes(t, endpoint)), None)
        found = self._closings[endpoint]
        return found if found is not None and found.number > behind else None

    @cached_property
    def names(self) -> LedgerFromKeyframe | None:
        """What keyframes tell of those whose birth the log has lost; None when it has not."""
        if self.reader is None or not self.gaps:
            return None
        names = LedgerFromKeyframe(self.reader)
        for _, last in self.gaps:
            names.blind_before = last + 1
            names.look_behind(last)
        return names

    def class_name(self, epoch: int, number: int) -> str | None:
        """Return the name of the class that a binding names; None when unknown."""
        return None if self.reader is None else self.reader.class_name(epoch, number)


AnyLog: TypeAlias = "Iterable[Turn] | Archive"
"""What the room's questions are put to: a reader, turns in their order, or an archive of either."""


def archive_of(log: AnyLog) -> Archive:
    """Return a log's archive, which it may be already."""
    return log if isinstance(log, Archive) else Archive(log)


def _cause(turn: Turn) -> int:
    return 0 if turn.cause is None or turn.cause.log is not None else turn.cause.number


def _closes(turn: Turn, endpoint: int) -> bool:
    return any(isinstance(event, Closed) and event.subject == endpoint for event in turn.events)


def _cancel_in(event: Any) -> int:
    match event:
        case CancelBegan(cancel=number) | CancelOutcome(cancel=number) | CancelEnded(cancel=number):
            return int(number)
        case WorkStopped(cancel=number):
            return int(number)
        case Completed(how=How.CANCELLED | How.TIMED_OUT, by=number):
            return int(number)
        case _:
            return 0


def refused_in(window: Iterable[Turn], cancel: CancelLife) -> Numbers:
    """Return the requests that a cancel's endpoint refused in these turns."""
    return Numbers.of(
        event.request
        for turn in window
        for event in turn.events
        if isinstance(event, Rejected) and event.endpoint == cancel.endpoint
    )


def script_of(turn: Turn) -> int:
    """Return the request whose script a delivery ran last: a cause that names only it means that.

    0 when the turn delivered nothing.
    """
    match turn.message:
        case CompletionScript(requests=ranges) if ranges:
            return int(ranges[-1])
        case InputScript(request=number) | PartialScript(request=number):
            return int(number)
        case _:
            return 0
