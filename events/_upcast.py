"""Versions: values of a kind as some version wrote them, made into what this program knows.

Kinds that this program does not know are kept as they were written, and so is a value that cannot
be brought to the present version: it costs nobody but itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, get_type_hints

from ._turn import Unknown
from ._vocabulary import KINDS, LEDGER_VERSION

Wire: TypeAlias = tuple[Any, ...]
Decode: TypeAlias = Callable[[Wire], Any]

Upcaster: TypeAlias = Callable[[Wire], Wire]
"""Takes one version's fields and returns the next version's."""

Upcasters: TypeAlias = Mapping[tuple[str, int], Upcaster]
"""(kind name, version) to what brings that version's fields to the next version.

A version without one is the next version's beginning: the next only appended fields with defaults.
A step meets exactly the fields of its version only if every version before it has a step too.
"""

UPCASTERS: Upcasters = {}
"""The steps of our own vocabulary (none yet)."""


class Kind(NamedTuple):
    """What a log says a kind id stands for."""

    name: str
    version: int
    fields: tuple[str, ...]


_CLASSES: dict[str, Any] = {kind.__name__: kind for kind in KINDS}


def version_of(name: str) -> int:
    """The version of a kind of the vocabulary."""
    return LEDGER_VERSION.get(name, 1)


def decoder_for(kind: Kind, upcasters: Upcasters) -> Decode:
    """What turns ``(kind id, *fields)``, as a log holds this kind, into a value."""
    cls = _CLASSES.get(kind.name)
    if cls is None:
        return _Keeper(kind).decode
    return _Decoder(cls, kind, steps_from(kind, upcasters)).decode


def steps_from(kind: Kind, upcasters: Upcasters) -> list[Upcaster]:
    """The steps from a log's version of a kind to the present one, in order."""
    versions = range(kind.version, version_of(kind.name))
    # Only what is registered is walked: a log may claim a version of minus a billion.
    return [
        upcasters[name, version]
        for name, version in sorted(upcasters)
        if name == kind.name and version in versions
    ]


class _Keeper:
    """Keeps the values of one kind as they were written."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def decode(self, wire: Wire) -> Any:
        return Unknown(*self._kind, wire[1:])


class _Decoder:
    """Builds one kind's values from the wire, whatever version wrote them."""

    def __init__(self, cls: Any, kind: Kind, steps: list[Upcaster]) -> None:
        self._cls = cls
        # What a NamedTuple's own `_make` does, without its Python.
        self._new: Any = tuple.__new__  # pyright: ignore[reportUnknownMemberType]
        self._kind = kind
        self._steps = steps
        self._lists = _list_fields(cls)
        self._width = len(cls._fields)
        self._defaults = tuple(cls._field_defaults.values())
        # Most values are written by the present version and hold no list: these go straight.
        self._straight = 0 if steps or self._lists else self._width + 1

    def decode(self, wire: Wire) -> Any:
        if len(wire) == self._straight:
            return self._new(self._cls, wire[1:])
        values = self._fit(wire[1:])
        if values is None:
            return Unknown(*self._kind, wire[1:])
        return self._new(self._cls, self._with_lists(values))

    def _fit(self, values: Wire) -> Wire | None:
        """The present version's fields: upcast, filled up, cut off; None when that cannot be."""
        upcast = self._upcast(values) if self._steps else values
        if upcast is None:
            return None
        missing = self._width - len(upcast)
        if missing > len(self._defaults):
            return None
        if missing > 0:
            return upcast + self._defaults[len(self._defaults) - missing :]
        return upcast[: self._width]

    def _upcast(self, values: Wire) -> Wire | None:
        for step in self._steps:
            try:
                made: Any = step(values)
            except Exception:  # noqa: BLE001 - whatever a step raises, the value is kept as it was
                return None
            if made.__class__ is not tuple:
                return None
            values = made
        return values

    def _with_lists(self, values: Wire) -> Wire:
        """The wire has one sort of array, read as tuples; these fields promise lists."""
        if not self._lists:
            return values
        mutable = list(values)
        for index in self._lists:
            if type(mutable[index]) is tuple:
                mutable[index] = list(mutable[index])
        return tuple(mutable)


def _list_fields(cls: Any) -> tuple[int, ...]:
    hints = get_type_hints(cls)
    return tuple(
        index
        for index, name in enumerate(cls._fields)
        if getattr(hints[name], "__origin__", None) is list
    )
