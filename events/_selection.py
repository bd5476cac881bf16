"""Which records a reader wants, and how to find them in a segment and in a batch."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ._codec import Bindings, Body, unpack_actor, unpack_body, unpack_prelude
from ._frame import Header
from ._index import Directory, groups_of
from ._mentions import Mentions, Roles, is_mentioned, roles_of
from ._packing import Record
from ._segment import Window


class Selection(NamedTuple):
    """Which records are wanted.

    Attributes:
        start: None with a lower number.
        since_ns: None before the first batch whose last record is so late, and in that batch none
            before the first record that is; from there on all, whatever their times.
        actor: Only those that this actor took.
        about: Only those that this number took, or whose message or events mention it.
    """

    start: int = 1
    since_ns: int | None = None
    actor: int | None = None
    about: int | None = None

    @property
    def number(self) -> int | None:
        """The number that an index is asked for; None when whatever it mentions is wanted."""
        return self.actor if self.actor is not None else self.about


class Sieve:
    """Applies a selection to one pass; it remembers whether ``since_ns`` was reached."""

    def __init__(self, selection: Selection) -> None:
        """Begin a pass."""
        self.start = selection.start
        self._since_ns = selection.since_ns
        self._actor = selection.actor
        self._about = selection.about
        self._number = selection.number
        self._roles: dict[tuple[int, int], Roles | None] = {}

    @property
    def takes_all(self) -> bool:
        """Whether everything from here on is wanted, but for numbers below ``start``."""
        return self._number is None and self._since_ns is None

    def groups(self, window: Window, directory: Directory, salt: int) -> Sequence[int] | None:
        """The groups of a sealed segment to look into; None when its index does not say."""
        lowest: int | None = directory.group_of(self.start)
        if self._since_ns is not None:
            late = directory.first_group_since(self._since_ns)
            lowest = None if late is None else max(late, lowest or 0)
        if lowest is None or directory.last < self.start:
            return ()
        if self._number is None:
            return range(lowest, len(directory.group_at))
        found = groups_of(window, directory, salt, self._number)
        return None if found is None else found[bisect_left(found, lowest) :]

    def body(self, data: memoryview, header: Header, bindings: Bindings) -> Body | None:
        """The wanted records of a batch; None when not even its prelude can be made out."""
        if header.first + header.records <= self.start or self._is_one_actor:
            return self._chosen(data, header, bindings)
        body = unpack_body(data, header.first, header.records, bindings)
        if body is None or (self.takes_all and header.first >= self.start):
            return body
        numbers, records = self._from_start(body.numbers, body.records)
        if self._since_ns is not None:
            numbers, records = self._since(self._since_ns, numbers, records)
        numbers, records = self._about_number(numbers, records, header.epoch, bindings)
        return body._replace(numbers=numbers, records=records)

    @property
    def _is_one_actor(self) -> bool:
        return self._actor is not None and self._since_ns is None

    def _chosen(self, data: memoryview, header: Header, bindings: Bindings) -> Body | None:
        """A batch of which at most one actor's records are wanted, so that few are decoded."""
        prelude = unpack_prelude(data)
        if prelude is None:
            return None
        bindings.learn(prelude[1])
        found: list[tuple[int, Record]] = []
        if self._actor is not None and header.first + header.records > self.start:
            found = unpack_actor(data, self._actor, bindings)
        numbers = [header.first + place for place, _ in found]
        kept = self._from_start(numbers, [record for _, record in found])
        return Body(prelude[1], *kept, [])

    def _from_start(
        self, numbers: Sequence[int], records: list[Record]
    ) -> tuple[Sequence[int], list[Record]]:
        skipped = bisect_left(numbers, self.start)
        return (numbers[skipped:], records[skipped:]) if skipped else (numbers, records)

    def _since(
        self, since_ns: int, numbers: Sequence[int], records: list[Record]
    ) -> tuple[Sequence[int], list[Record]]:
        if not records or not is_late(records[-1], since_ns):
            return (), []
        self._since_ns = None
        skipped = next(at for at, record in enumerate(records) if is_late(record, since_ns))
        return numbers[skipped:], records[skipped:]

    def _about_number(
        self, numbers: Sequence[int], records: list[Record], epoch: int, bindings: Bindings
    ) -> tuple[Sequence[int], list[Record]]:
        if self._number is None:
            return numbers, records
        roles = self.roles_in(epoch, bindings)
        kept = [
            (number, record)
            for number, record in zip(numbers, records, strict=True)
            if self._wants(record, roles)
        ]
        return [number for number, _ in kept], [record for _, record in kept]

    def mentions(
        self, records: list[Record], epoch: int, bindings: Bindings, found: Mentions
    ) -> None:
        """Add what records mention to ``found``, their actors too."""
        roles = self.roles_in(epoch, bindings)
        for record in records:
            if type(record[0]) is int:
                found.numbers.add(record[0])
            mention(record, roles, found)

    def roles_in(self, epoch: int, bindings: Bindings) -> Callable[[int], Roles | None]:
        """What tells a kind's roles by its number in an epoch."""

        def roles(kind_id: int) -> Roles | None:
            key = (epoch, kind_id)
            if key not in self._roles:
                kind = bindings.kinds.get(kind_id)
                self._roles[key] = None if kind is None else roles_of(kind.name, kind.fields)
            return self._roles[key]

        return roles

    def _wants(self, record: Record, roles: Callable[[int], Roles | None]) -> bool:
        number = self._number or 0
        if self._actor is not None:
            return bool(record[0] == number)
        return concerns(record, number, roles)


def concerns(record: Record, number: int, roles: Callable[[int], Roles | None]) -> bool:
    """Whether a number took a record, or the record's message or events mention it."""
    if record[0] == number:
        return True
    wires = (record[4], *_events_of(record))
    return any(_is_wire(wire) and is_mentioned(roles(wire[0]), wire, number) for wire in wires)


def mention(record: Record, roles: Callable[[int], Roles | None], found: Mentions) -> None:
    """Add what a record's message and events mention; nothing where they are no such things."""
    found.take(roles, [wire for wire in (record[4], *_events_of(record)) if _is_wire(wire)])


def _events_of(record: Record) -> Sequence[Any]:
    events: Sequence[Any] = record[5]
    return events if events.__class__ is tuple else ()


def _is_wire(value: Any) -> bool:
    return value.__class__ is tuple and bool(value) and type(value[0]) is int


def is_late(record: Record, since_ns: int) -> bool:
    """Whether a record is not from before a moment."""
    return type(record[1]) is int and record[1] >= since_ns
