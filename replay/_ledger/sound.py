"""Turns as they come from a log, made safe to fold: a kind whose fields make no sense is no kind.

A log's bytes may be whole and its fields still be nonsense, when a foreign program wrote it.  Such
a message or event becomes ``Unknown``: it is shown as it is, and means nothing.  All that reads
turns for a meaning reads them through here, so that nothing behind has to doubt a field's type.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import UnionType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from rescind.events import KINDS, LogDamagedError, Ranges, Turn, Unknown

Test: TypeAlias = Callable[[Any], bool]

NAMED_MAX = 10_000_000
"""So many requests may be named in ranges ..."""
NAMED_PER_TURN = 100
"""... and so many more per turn: they have lives of their own, which takes turns."""


def sound(log: Iterable[Turn]) -> Iterator[Turn]:
    """Yield a log's turns with every senseless kind replaced by an ``Unknown``.

    Raises:
        LogDamagedError: A turn's ranges name more requests than its log can have had.
    """
    room = NAMED_MAX
    for turn in log:
        room += NAMED_PER_TURN
        if _is_plain(turn.message) and all(map(_is_plain, turn.events)):
            yield turn
            continue
        events = tuple(map(_made_sound, turn.events))
        made = replace(turn, message=_made_sound(turn.message), events=events)
        room -= sum(map(_named, (made.message, *events)))
        if room < 0:
            text = "its ranges name more requests than there can be"
            raise LogDamagedError(f"turn {turn.number} is whole and makes no sense: {text}")
        yield made


def _is_plain(kind: Any) -> bool:
    """Whether a kind is known to be sound by its fields' types, which decide nearly always."""
    cls = kind.__class__
    if cls is Unknown or kind is None:
        return True
    return (cls, *map(type, kind)) in _SOUND


def is_sound(kind: Any) -> bool:
    """Return whether a kind's fields have the types that the vocabulary gives them."""
    if kind is None or kind.__class__ is Unknown:
        return True
    # Few combinations of types ever occur.
    signature = (kind.__class__, *map(type, kind))
    if signature in _SOUND:
        return True
    tests = _TESTS.get(kind.__class__, ())
    if not all(test(value) for test, value in zip(tests, kind, strict=False)):
        return False
    if kind.__class__ not in _LOOKED_INTO:
        _SOUND.add(signature)
    return True


def _made_sound(kind: Any) -> Any:
    if is_sound(kind):
        return kind
    return Unknown(kind.__class__.__name__, 0, kind._fields, tuple(kind))


def _named(kind: Any) -> int:
    """Return how many numbers a kind's ranges name."""
    ranges = _RANGES_AT.get(kind.__class__)
    if ranges is None:
        return 0
    flat = kind[ranges]
    return sum(max(0, last - first + 1) for first, last in zip(flat[::2], flat[1::2], strict=False))


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_ranges(value: Any) -> bool:
    return _is_list(value) and all(isinstance(number, int) for number in value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_counts(value: Any) -> bool:
    return _is_mapping(value) and all(
        isinstance(number, int) for pair in value.items() for number in pair
    )


def _test_for(hint: Any) -> Test:
    """Return the test that a field's annotation stands for."""
    if hint is Any:
        return lambda _: True
    if hint == Ranges:
        return _is_ranges
    if hint == dict[int, int]:
        return _is_counts
    if isinstance(hint, UnionType):
        tests = [_test_for(each) for each in get_args(hint)]
        return lambda value: any(test(value) for test in tests)
    wanted = get_origin(hint) or hint
    if wanted in {list, tuple}:
        return _is_list
    return lambda value: isinstance(value, wanted)


_HINTS: dict[type, dict[str, Any]] = {kind: get_type_hints(kind) for kind in KINDS}
_TESTS: dict[type, tuple[Test, ...]] = {
    kind: tuple(map(_test_for, hints.values())) for kind, hints in _HINTS.items()
}
_LOOKED_INTO = frozenset(
    kind for kind, hints in _HINTS.items() if {Ranges, dict[int, int]} & set(hints.values())
)
"""Kinds whose lists and mappings must be looked into each time."""
_RANGES_AT = {
    kind: next(at for at, hint in enumerate(hints.values()) if hint == Ranges)
    for kind, hints in _HINTS.items()
    if Ranges in hints.values()
}
"""By kind: which of its fields holds ranges."""
_SOUND: set[tuple[type, ...]] = set()
"""Kinds with the types of their fields that were found sound before."""
