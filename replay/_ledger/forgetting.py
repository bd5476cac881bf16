"""A ledger whose memory grows with what is open at once, and not with the log.

A request is forgotten some time after it is settled, a cancel after its last victim is.  What is
kept of them is their numbers, and those are ranges.  When something is said of a forgotten number
again, the turns about it are looked up in the log and folded once more: so whoever asks gets the
same as from a ledger that forgets nothing, later.

Two bounds hold whatever the log says.  Beyond `OPEN_MAX` requests at once the oldest are put aside,
into a file.  After `RECALLS_MAX` recalls a forgotten number stays forgotten: it is then as unknown
as what lies before a log's beginning, so that the laws are open there and not broken.
"""

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, fields
from heapq import merge
from itertools import chain, islice
from typing import Any, TypeAlias, TypeVar, overload

from rescind.events import By, LogAccessError, LogReader, Lookup, Stopped, Turn

from .from_keyframe import LedgerFromKeyframe
from .lives import (
    Before,
    CallLife,
    CancelLife,
    Context,
    Delivery,
    Discard,
    Ending,
    EndpointLife,
    Moment,
    Refused,
    RequestLife,
)
from .model import ClassName, Ledger
from .numbers import NumberSet
from .sound import sound

T = TypeVar("T")
D = TypeVar("D")

Forgotten: TypeAlias = RequestLife | CancelLife | EndpointLife | CallLife | tuple[int, int]
"""What a ledger forgets; a pair is an actor's epoch and class binding."""

KEPT_SETTLED = 10_000
"""So many settled requests stay at hand: what is said late is mostly said soon."""
OPEN_MAX = 50_000
"""More requests at once are put aside."""
RECALLS_MAX = 5_000
"""Recalls cost milliseconds each, and a log that needs so many of them is made to cost time."""
TRIMMED_TO = 50_000
"""So many entries, the latest, are kept of what only sometimes helps: names, scripts, births."""
_TRIM_EVERY = 1_000


class Kept(dict[int, T]):
    """What a ledger has at hand of one sort of things; the rest is recalled when asked for."""

    __slots__ = ("_forgotten", "_recall")

    def __init__(self, forgotten: NumberSet, recall: Callable[[int], None]) -> None:
        """Begin empty; ``recall`` brings a forgotten number back."""
        super().__init__()
        self._forgotten = forgotten
        self._recall = recall

    def __missing__(self, number: int) -> T:
        """Recall a number, or raise ``KeyError``."""
        found = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    @overload
    def get(self, number: int, default: None = None, /) -> T | None: ...
    @overload
    def get(self, number: int, default: T, /) -> T: ...
    @overload
    def get(self, number: int, default: D, /) -> T | D: ...
    def get(self, number: int, default: Any = None, /) -> Any:
        """Return what the number stands for, also when it was forgotten."""
        found = _at_hand(self, number)
        if found is None and number in self._forgotten:
            self._recall(number)
            found = _at_hand(self, number)
        return default if found is None else found

    def __contains__(self, number: object) -> bool:
        """Whether the number stands for something, also when it was forgotten."""
        return isinstance(number, int) and self.get(number) is not None


_at_hand: Callable[[dict[int, Any], int], Any] = dict[int, Any].get
"""What a number stands for, unless it is forgotten."""


class ForgetfulLedger(LedgerFromKeyframe):
    """A ledger of a log on disk that forgets what is at rest, and recalls it when it must.

    Attributes:
        rests: Told of each cancel when it is at rest: ended, and nothing owed to anybody.
        forgets: Told of all that it forgets: of requests and cancels when they are at rest, and
            once more when they were recalled.
        recalled: The requests and cancels that it has forgotten and recalled.
    """

    KEEPS_CAUSES = False

    def __init__(
        self,
        reader: LogReader,
        class_name: ClassName | None = None,
        *,
        kept: int = KEPT_SETTLED,
        open_max: int = OPEN_MAX,
        recalls_max: int = RECALLS_MAX,
    ) -> None:
        """Start with nothing known.

        Args:
            reader: The log.
            class_name: Tells what a class binding stands for; the reader does otherwise.
            kept: How many settled requests stay at hand.
            open_max: How many requests are held in memory at once.
            recalls_max: How many numbers are recalled.
        """
        super().__init__(reader, class_name)
        self.rests: Callable[[CancelLife], None] = _nothing
        self.forgets: Callable[[Forgotten], None] = _nothing
        self.recalled: set[int] = set()
        self.forgotten = NumberSet()
        """Requests and cancels that are not at hand."""
        self.requests = Kept(self.forgotten, self._recall)
        self.cancels = Kept(self.forgotten, self._recall)
        self._stopped_before = NumberSet()
        self.actors_stopped = Kept(self._stopped_before, self._recall_stop)
        self._kept = kept
        self._open_max = open_max
        self._recalls_left = recalls_max
        self._settled: deque[int] = deque()
        self._aside: _Aside | None = None
        self._lookup: Lookup | None = None
        self._taken_to = 0
        self._trim_at = _TRIM_EVERY

    # --- what a whole ledger keeps, and this one does not ----------------------------------------

    def cause_of(self, number: int) -> int:
        """Causes are not kept; ask the log."""
        del number
        return 0

    def _trim(self) -> None:
        for mapping in (self.births, self.actors_failed, self.scripts):
            _drop(mapping, _surplus(mapping))
        self._forget_first(self.classes, filter(self._has_stopped, self.classes))
        for owners in (self.endpoints, self.calls):
            self._forget_first(owners, (n for n, each in owners.items() if each.closed))
        stopped = _surplus(self.actors_stopped)
        for number in stopped:
            self._stopped_before.add(number)
        _drop(self.actors_stopped, stopped)
        del self.gaps[:-TRIMMED_TO]

    def _forget_first(self, mapping: dict[int, Any], over: Iterable[int]) -> None:
        """Forget the surplus: first of those that are over, and then the oldest."""
        surplus = len(mapping) - TRIMMED_TO
        if surplus <= 0:
            return
        numbers = list(islice(over, surplus))
        for number in numbers:
            self.forgets(mapping.pop(number))
        for number in _surplus(mapping):
            self.forgets(mapping.pop(number))

    def _has_stopped(self, actor: int) -> bool:
        return _at_hand(self.actors_stopped, actor) is not None or actor in self._stopped_before

    # --- forgetting ------------------------------------------------------------------------------

    def request(self, number: int) -> RequestLife:
        """Return a request, a stub when the log has not told of its submission."""
        if self._told:
            found = super().request(number)
        else:
            known = self.requests.get(number)
            if known is not None:
                return known
            found = self.requests[number] = RequestLife(number)
        self._make_room(number)
        return found

    def settles(self, request: RequestLife) -> None:
        """Hear that nothing more is owed for a request."""
        self._settled.append(request.number)
        for number in request.claims:
            cancel = _at_hand(self.cancels, number)
            if cancel is not None:
                cancel.owed -= 1
                self._look_at(cancel)
        own = _at_hand(self.cancels, request.number)
        if own is not None:
            self._look_at(own)

    def ends(self, cancel: CancelLife) -> None:
        """Hear that a cancel ended."""
        self._look_at(cancel)

    def _look_at(self, cancel: CancelLife) -> None:
        if self._is_at_rest(cancel):
            self.rests(cancel)
            self._settled.append(cancel.number)
            victims = self.among(cancel.victims.flat)
            self._settled.extend(n for n in victims if _at_hand(self.requests, n) is not None)

    def among(self, ranges: list[int]) -> Iterable[int]:
        """Return the numbers in ranges; of a range of very many those that the log has told of."""
        for first, last in zip(ranges[::2], ranges[1::2], strict=False):
            if last - first < self._open_max:
                yield from range(first, last + 1)
            else:
                # As they are now: whoever hears of them recalls some and puts others aside.
                at_hand = sorted(number for number in self.requests if first <= number <= last)
                forgotten = list(self.forgotten.within(first, last))
                runs = (range(low, high + 1) for low, high in forgotten)
                yield from merge(at_hand, chain.from_iterable(runs))

    def _is_at_rest(self, cancel: CancelLife) -> bool:
        if cancel.ended is None or cancel.owed > 0:
            return False
        own = _at_hand(self.requests, cancel.number)
        return own is None or own.is_settled

    def rest(self, turn: Turn) -> None:
        """Forget what has been at rest for long enough."""
        self._taken_to = turn.number
        while len(self._settled) > self._kept:
            self._forget(self._settled.popleft())
        if self.turns >= self._trim_at:
            self._trim_at = self.turns + _TRIM_EVERY
            self._trim()

    def _forget(self, number: int) -> None:
        request, cancel = _at_hand(self.requests, number), _at_hand(self.cancels, number)
        if request is not None:
            if not self._may_go(request):
                return
        elif cancel is None:
            return
        if cancel is not None:
            if not self._is_at_rest(cancel):
                return
            self.forgets(self.cancels.pop(number))
        if request is not None:
            self.forgets(self.requests.pop(number))
        self.forgotten.add(number)

    def _may_go(self, request: RequestLife) -> bool:
        for number in request.claims:
            cancel = _at_hand(self.cancels, number)
            if cancel is not None and not self._is_at_rest(cancel):
                return False
        return request.is_settled

    def _make_room(self, newest: int) -> None:
        """Put some aside when there are too many: the oldest are the least likely to be next."""
        if len(self.requests) <= self._open_max:
            return
        if self._aside is None:
            self._aside = _Aside()
        oldest = list(islice(self.requests.values(), self._open_max // 4 + 1))
        oldest = [request for request in oldest if request.number != newest]
        self._aside.put(oldest)
        for request in oldest:
            del self.requests[request.number]
            self.forgotten.add(request.number)

    # --- recalling -------------------------------------------------------------------------------

    def _recall(self, number: int) -> None:
        self.forgotten.discard(number)
        aside = self._aside.take(number) if self._aside is not None else None
        if aside is not None:
            self.requests[number] = aside
            self._make_room(number)
            return
        if self._recalls_left == 0:
            self.requests[number] = RequestLife(number, is_lost=True)
            return
        self._recalls_left -= 1
        self.recalled.add(number)
        recollection = Recollection(number)
        try:
            for turn in self._turns_about(number):
                recollection.feed(turn)
        except LogAccessError:  # pruned while it was read
            self.requests[number] = RequestLife(number, is_lost=True)
            return
        self._take_back(number, recollection)

    def _recall_stop(self, number: int) -> None:
        self._stopped_before.discard(number)
        for turn in self._turns_about(number):
            for event in turn.events:
                if isinstance(event, Stopped) and event.actor == number:
                    self.actors_stopped[number] = Moment(turn.number, turn.time_ns)
                    return

    def _turns_about(self, number: int) -> Iterator[Turn]:
        """Yield the turns about a number that were taken before the present one."""
        lookup = self._lookup = self._lookup or self._reader.lookup()
        if lookup.last < self._taken_to:
            lookup.refresh()
        return sound(lookup.about(number, last=self._taken_to))

    def _take_back(self, number: int, recollection: Ledger) -> None:
        request = recollection.requests.get(number)
        cancel = recollection.cancels.get(number)
        if request is not None:
            self.requests[number] = request
        if cancel is not None:
            cancel.owed = 0  # else it would not have been forgotten
            self.cancels[number] = cancel
        self._settled.append(number)

    # --- what the laws ask -----------------------------------------------------------------------

    def present(self) -> Iterator[RequestLife]:
        """Yield the requests that are not forgotten, those put aside first."""
        if self._aside is not None:
            yield from self._aside
        yield from super().present()


class Recollection(Ledger):
    """A ledger of the turns about one number; it hears nothing of any other."""

    KEEPS_CAUSES = False

    def __init__(self, number: int) -> None:
        """Begin with nothing known."""
        super().__init__()
        self._number = number

    def request(self, number: int) -> RequestLife:
        """Return the request, or one that nobody keeps."""
        return super().request(number) if number == self._number else RequestLife(number)

    def among(self, ranges: list[int]) -> Iterable[int]:
        """Return the number if it is in the ranges."""
        pairs = zip(ranges[::2], ranges[1::2], strict=False)
        return [self._number] if any(a <= self._number <= b for a, b in pairs) else []

    def _jump(self, turn: Turn) -> None:
        pass  # turns are left out, which is no gap


class _Aside:
    """Requests that memory has no room for, in a file that only this process sees."""

    def __init__(self) -> None:
        # Its own temporary file, which goes with it.  Nothing is undone: a journal of what could be
        # would grow in memory.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA temp_store = FILE")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE aside (number TEXT PRIMARY KEY, request TEXT)")

    def put(self, requests: Iterable[RequestLife]) -> None:
        rows = ((str(each.number), _packed(each)) for each in requests)
        self._database.executemany("REPLACE INTO aside VALUES (?, ?)", rows)

    def take(self, number: int) -> RequestLife | None:
        key = [str(number)]
        rows = self._database.execute("SELECT request FROM aside WHERE number = ?", key)
        found = rows.fetchone()
        if found is None:
            return None
        self._database.execute("DELETE FROM aside WHERE number = ?", key)
        return _unpacked(found[0])

    def __iter__(self) -> Iterator[RequestLife]:
        for (packed,) in self._database.execute("SELECT request FROM aside ORDER BY rowid"):
            yield _unpacked(packed)


_FIELDS = tuple(each.name for each in fields(RequestLife))
_MADE_OF: dict[str, Callable[..., Any]] = {
    "submitted": Moment,
    "by": By,
    "inside": Context,
    "rejected": Refused,
    "completed": Ending,
    "before": Before,
    "delivered": Delivery,
    "discarded": Discard,
    "fetched": Moment,
    "timed_out": Moment,
    "claims": lambda *numbers: numbers,
    "late_answer": Ending,
}
"""Fields of a request that are more than a number or a text, and what they are made of."""


def _packed(request: RequestLife) -> str:
    """Return a request as text; of what a script raised only the text is kept."""
    values = [getattr(request, name) for name in _FIELDS]
    return json.dumps([astuple(v) if isinstance(v, By) else v for v in values], default=str)


def _unpacked(packed: str) -> RequestLife:
    values: dict[str, Any] = dict(zip(_FIELDS, json.loads(packed), strict=True))
    for name, make in _MADE_OF.items():
        if values[name] is not None:
            values[name] = make(*values[name])
    return RequestLife(**values)


def _surplus(mapping: dict[int, Any]) -> list[int]:
    """Return the oldest keys beyond so many."""
    return list(islice(mapping, max(0, len(mapping) - TRIMMED_TO)))


def _drop(mapping: dict[int, Any], numbers: Iterable[int]) -> None:
    for number in numbers:
        del mapping[number]


def _nothing(thing: Any) -> None:
    del thing
