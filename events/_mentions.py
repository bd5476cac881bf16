"""Which numbers a record mentions: the actors, requests, calls and cancels that it has to do with.

They share one number space, so one rule serves the index, its lookups and the views: a field counts
by its name, in every kind that a log binds, also in kinds that this program does not know.
"""

from collections.abc import Callable, Iterable, Mapping
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

Wire: TypeAlias = tuple[Any, ...]
Kinds: TypeAlias = Mapping[int, Any]
"""Kind id to something with a ``name`` and ``fields``: what a log's bindings say."""


class Roles(NamedTuple):
    """Where in a kind's wire form there is something to find; 0 stands for nowhere."""

    numbers: tuple[int, ...]
    ranges: tuple[int, ...]
    code: int
    is_cancel: bool

    @property
    def is_telling(self) -> bool:
        """Whether a message of this kind mentions anything."""
        return bool(self.numbers or self.ranges)


def roles_of(name: str, fields: Iterable[str]) -> Roles:
    """A kind's roles, by the names of its fields."""
    names = list(fields)
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

    def take_numbers(self, numbers: set[int]) -> None:
        """Add single numbers; the set is given away."""
        if self.numbers:
            self.numbers |= numbers
        else:
            self.numbers = numbers

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
        if 0 < role.code < width and type(wire[role.code]) is int:
            self.codes.add(wire[role.code])
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


def pairs_of(ranges: Any) -> list[tuple[int, int]]:
    """``Ranges`` as pairs; nothing where a later version means something else by the name."""
    if not isinstance(ranges, list | tuple):
        return []
    flat: list[Any] = list(ranges)  # pyright: ignore[reportUnknownArgumentType]
    pairs = zip(flat[::2], flat[1::2], strict=False)
    return [(a, b) for a, b in pairs if type(a) is int and type(b) is int]
