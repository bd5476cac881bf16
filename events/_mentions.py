"""Which numbers a record mentions: the actors, requests, calls and cancels that it has to do with.

They share one number space, so one rule serves the index, its lookups and the views: a field counts
by its name, in every kind that a log binds, also in kinds that this program does not know.  Only
kinds that an application declared, with a dot in their names, mention nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

NUMBER_FIELDS = frozenset({
    "actor", "by", "call", "cancel", "endpoint", "of", "on", "other", "request", "scope",
    "subject", "target",
})  # fmt: skip
"""Fields that hold one number; 0 is none."""

RANGES_FIELDS = frozenset({"requests", "victims"})
"""Fields that hold ``Ranges``."""

SPAN_MAX = 8
"""A longer range is indexed as a range and not number by number."""

_NOBODY = frozenset({0, None})

Wire: TypeAlias = tuple[Any, ...]
Kinds: TypeAlias = Mapping[int, Any]
"""Kind id to something with a ``name`` and ``fields``: what a log's bindings say."""


class Roles(NamedTuple):
    """Where in a kind's wire form there is something to find; 0 stands for nowhere."""

    numbers: tuple[int, ...]
    ranges: tuple[int, ...]
    code: int
    is_cancel: bool


def roles_of(name: str, fields: Iterable[str]) -> Roles:
    """A kind's roles, by the names of its fields; a declared kind's fields are not our words."""
    names = [] if "." in name else list(fields)
    return Roles(
        tuple(at for at, field in enumerate(names, 1) if field in NUMBER_FIELDS),
        tuple(at for at, field in enumerate(names, 1) if field in RANGES_FIELDS),
        names.index("code") + 1 if "code" in names else 0,
        name == "CancelRequested",
    )


class Mentions:
    """What a few records mention.

    Attributes:
        numbers: Single numbers.
        spans: Ranges that are too long to be taken apart.
        codes: Codes that something ended with.
        cancels: Cancels that begin here.
    """

    __slots__ = ("cancels", "codes", "numbers", "spans")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.numbers: set[int] = set()
        self.spans: set[tuple[int, int]] = set()
        self.codes: set[int] = set()
        self.cancels: set[int] = set()

    def take_noted(self, noted: "Noted") -> None:
        """Add what a writer noted."""
        try:
            numbers = set(noted.numbers)
        except TypeError:
            numbers = {number for number in noted.numbers if type(number) is int}
        # None and 0 say that there is nobody; but 0 takes turns too.
        self.numbers |= numbers - _NOBODY
        self.numbers |= noted.actors
        self.codes.update(int(code) for code in noted.codes if _is_code(code))
        self.cancels.update(number for number in noted.cancels if type(number) is int)
        for ranges in noted.ranges:
            self._take_ranges(ranges)

    def take(self, roles: Callable[[int], Roles | None], wires: Iterable[Wire]) -> None:
        """Add what messages and events mention, in wire form."""
        for wire in wires:
            role = roles(wire[0])
            if role is not None:
                self._take(role, wire)

    def _take(self, role: Roles, wire: Wire) -> None:
        width = len(wire)
        for at in role.numbers:
            if at < width and type(wire[at]) is int and wire[at]:
                self.numbers.add(wire[at])
        for at in role.ranges:
            if at < width:
                self._take_ranges(wire[at])
        if 0 < role.code < width and _is_code(wire[role.code]):
            self.codes.add(int(wire[role.code]))
        if role.is_cancel and width > 1 and type(wire[1]) is int:
            self.cancels.add(wire[1])

    def _take_ranges(self, ranges: Any) -> None:
        for first, last in pairs_of(ranges):
            if last - first < SPAN_MAX:
                self.numbers.update(range(first, last + 1))
            else:
                self.spans.add((first, last))

    def hold(self, number: int) -> bool:
        """Whether the number is mentioned."""
        return number in self.numbers or any(low <= number <= high for low, high in self.spans)


def _is_code(code: Any) -> bool:
    """Whether it is one: a dialect names its codes, and writes members of an enumeration."""
    return isinstance(code, int) and type(code) is not bool


def is_mentioned(role: Roles | None, wire: Wire, number: int) -> bool:
    """Whether one message or event mentions a number: what ``Mentions.take`` and ``hold`` say."""
    if role is None:
        return False
    width = len(wire)
    for at in role.numbers:
        if number and at < width and wire[at] == number and type(wire[at]) is int:
            return True
    for at in role.ranges:
        if at < width and any(low <= number <= high for low, high in pairs_of(wire[at])):
            return True
    return False


def pairs_of(ranges: Any) -> list[tuple[int, int]]:
    """``Ranges`` as pairs; nothing where a later version means something else by the name."""
    if not isinstance(ranges, list | tuple):
        return []
    flat: list[Any] = list(ranges)  # pyright: ignore[reportUnknownArgumentType]
    pairs = zip(flat[::2], flat[1::2], strict=False)
    return [(a, b) for a, b in pairs if type(a) is int and type(b) is int]


class Noted(NamedTuple):
    """What a writer's records mention, as it stands in them: nothing is checked yet."""

    actors: set[int]
    numbers: list[Any]
    ranges: list[Any]
    codes: list[Any]
    cancels: list[Any]


class Notes:
    """Notes what a writer's own records mention, as they are appended.

    ``Mentions.take`` says the same of a record that is read, and trusts nothing in it.  Here the
    kinds are known, each has a function of its own, and no record is held on to: an index costs
    every turn of a runtime what this costs.

    Attributes:
        act: Notes who took a record.
        of: Notes what a message or event mentions, by its kind; kinds that mention nothing have
            no function.  A wire form that is too short raises ``IndexError``.
    """

    def __init__(self, kinds: Mapping[int, Roles]) -> None:
        """Begin with nothing."""
        self._actors: set[int] = set()
        self._lists: tuple[list[Any], list[Any], list[Any], list[Any]] = ([], [], [], [])
        self.act = self._actors.add
        self.acted = self._actors.update
        noters = {kind: self._noter(roles) for kind, roles in kinds.items()}
        self.of = {kind: noter for kind, noter in noters.items() if noter is not None}

    def taken(self) -> Noted:
        """What was noted since this was last asked."""
        noted = Noted(self._actors.copy(), *[each.copy() for each in self._lists])
        self._actors.clear()
        for each in self._lists:
            each.clear()
        return noted

    def _noter(self, roles: Roles) -> Callable[[Wire], None] | None:
        numbers, ranges, codes, cancels = self._lists
        extend, get = numbers.extend, _getter(roles.numbers)
        if not (roles.ranges or roles.code or roles.is_cancel):
            return (lambda wire: extend(get(wire))) if roles.numbers else None

        def note(wire: Wire) -> None:
            extend(get(wire))
            if roles.code:
                codes.append(wire[roles.code])
            for at in roles.ranges:
                ranges.append(wire[at])
            if roles.is_cancel:
                cancels.append(wire[1])

        return note


def _getter(places: tuple[int, ...]) -> Callable[[Wire], Iterable[Any]]:
    """A function that gets what stands at these places, as fast as there is."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))
