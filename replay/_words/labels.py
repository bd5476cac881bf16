"""Who is who, when only a part of a log is read.

Screens call an actor by what the log said when it was born, and whoever reads only the turns of
one actor has not read that.  So the numbers that are to be shown are looked up, each once and by
the log's index; after `LOOKUPS_MAX` of them further ones keep their number alone.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from rescind.events import LogReader, Turn, read
from rescind.events._mentions import NUMBER_FIELDS
from rescind.replay._ledger.forgetting import ForgetfulLedger
from rescind.replay._ledger.model import SENSELESS, senseless
from rescind.replay._ledger.sound import sound

from .text import Clock
from .turns import EVENTS_MAX, TurnFilter, fields_of

LOOKUPS_MAX = 64
"""So many numbers are looked up; where there is no index yet, each may cost a pass."""

_LOOKED_AT_MAX = 4
"""The first turns about a number are the ones that say what it is."""


class _Ledger(ForgetfulLedger):
    """A ledger that need not hear every turn."""

    def hear(self, turn: Turn) -> None:
        """Take a turn's events; turns before it that were left out are no gap."""
        self.turns += 1
        for event in turn.events:
            self.apply(event, turn)
        self.rest(turn)


class Labels:
    """A ledger for names and codes alone: it holds what was read, and what was looked up.

    Attributes:
        ledger: What is known so far, without causes and gaps; it forgets what is at rest.
        clock: The log's clock; it runs from the log's first turn and not from the first shown.
    """

    def __init__(self, log: Path, reader: LogReader, *, is_partial: bool) -> None:
        """Begin with nothing; ``is_partial`` says that the reader leaves out turns."""
        self.ledger = _Ledger(reader, self._class_name)
        self.clock = Clock(0)
        self._log = log
        self._reader = reader
        self._is_partial = is_partial
        self._met: set[int] = set()
        self._names: dict[tuple[int, int], str | None] = {}
        self._begun = False

    def hear(self, log: Iterable[Turn], wanted: TurnFilter) -> Iterator[Turn]:
        """Yield the turns that pass, each when the ledger has taken it and knows who is in it."""
        for turn in sound(log):
            if wanted.ends_before(turn):
                return
            self._begin(turn)
            is_wanted = wanted.wants(turn)
            if is_wanted and self._is_partial:
                # Before it is taken: an event about a number that is not known makes a stub.
                self._meet_all(turn)
            self._take(turn)
            if is_wanted:
                yield turn
            if turn.number == wanted.last:
                return

    def _begin(self, turn: Turn) -> None:
        if not self._begun:
            first = next(iter(read(self._log)), turn) if self._is_partial else turn
            self.clock, self._begun = Clock(first.time_ns), True
            if first.number > 1:
                self.ledger.look_behind(first.number - 1)

    def _take(self, turn: Turn) -> None:
        try:
            self.ledger.hear(turn)
        except SENSELESS as error:
            raise senseless(turn, error) from error

    def _meet_all(self, turn: Turn) -> None:
        for number in (turn.actor, *_numbers_shown(turn)):
            self._meet(number)
            self._meet(self._endpoint_of(number))

    def _endpoint_of(self, number: int) -> int:
        """Return the endpoint whose dialect gives a number's codes their names."""
        ledger = self.ledger
        cancel = ledger.cancels.get(number)
        return cancel.endpoint if cancel else ledger.owner_of(number)

    def _meet(self, number: int) -> None:
        if number <= 0 or number in self._met or self._knows(number):
            return
        if len(self._met) < LOOKUPS_MAX:
            self._met.add(number)
            self._look_up(number)

    def _knows(self, number: int) -> bool:
        ledger = self.ledger
        request, cancel = ledger.requests.get(number), ledger.cancels.get(number)
        endpoint = ledger.endpoints.get(number)
        return bool(
            (request and request.submitted)
            or (cancel and cancel.requested)
            or (endpoint and endpoint.opened)
            or number in ledger.calls
            or number in ledger.classes
        )

    def _look_up(self, number: int) -> None:
        reader = read(self._log, about=number)
        for turn in islice(sound(reader), _LOOKED_AT_MAX):
            for event in turn.events:
                with suppress(*SENSELESS):
                    self.ledger.apply(event, turn)
            if self._knows(number):
                break
        for epoch, cls in self.ledger.classes.values():
            if (epoch, cls) not in self._names:
                self._names[epoch, cls] = reader.class_name(epoch, cls)
        reader.close()

    def _class_name(self, epoch: int, number: int) -> str | None:
        return self._reader.class_name(epoch, number) or self._names.get((epoch, number))


def _numbers_shown(turn: Turn) -> Iterator[int]:
    """Yield the numbers that a screen may name; what stands in ranges is shown as numbers."""
    for kind in (turn.message, *turn.events[:EVENTS_MAX]):
        if kind is not None:
            fields = zip(*fields_of(kind), strict=False)
            yield from (v for name, v in fields if name in NUMBER_FIELDS and type(v) is int)
