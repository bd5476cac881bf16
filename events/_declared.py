"""Kinds of message and event that an application declares.

    @event
    class Fetched:
        url: str
        size: int

The class becomes a frozen dataclass with slots, and a kind of the log: its name and field names are
bound in-band, like those of the vocabulary.  Reading a log never needs the class, and no class is
looked for because a log names it; whoever has it can turn what was read back into its values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, dataclass_transform, overload

from ._errors import UsageError
from ._turn import Unknown

T = TypeVar("T")

_ATTRIBUTE = "__rescind_kind__"


class Declared(NamedTuple):
    """What a log says of a declared kind, and how its values come back.

    Attributes:
        cls: The class.
        role: ``message`` or ``event``.
        name: Its name in the log; with a dot in it, so that it is none of the vocabulary's.
        version: Its version.
        fields: Its fields, in wire order.
        defaults: Default values of the last fields.
        upcasters: A version to what brings its fields to the next version.
    """

    cls: type
    role: str
    name: str
    version: int
    fields: tuple[str, ...]
    defaults: tuple[Any, ...]
    upcasters: Mapping[int, Callable[[tuple[Any, ...]], tuple[Any, ...]]]

    def make(self, values: Sequence[Any]) -> Any:
        """A value of the class with these fields; no code of the class runs."""
        cls: Any = self.cls
        made: Any = object.__new__(cls)
        for name, value in zip(self.fields, values, strict=True):
            object.__setattr__(made, name, value)
        return made

    def revive(self, read: Unknown) -> Any:
        """What a log held of this kind, as a value of the class, whatever version wrote it.

        Raises:
            ValueError: The fields do not fit, or a later version wrote it.
        """
        values = read.values
        for version in range(read.version, self.version):
            step = self.upcasters.get(version)
            if step is not None:
                values = tuple(step(values))
        missing = len(self.fields) - len(values)
        if missing < 0 or missing > len(self.defaults) or read.version > self.version:
            text = f"{read.name} version {read.version} with {len(read.values)} fields"
            raise ValueError(f"{text} cannot become version {self.version}: {self.fields}")
        return self.make(values + self.defaults[len(self.defaults) - missing :])


def declared_as(cls: type) -> Declared | None:
    """What a class was declared as; a subclass of a declared class was not."""
    found: Declared | None = cls.__dict__.get(_ATTRIBUTE)
    return found


@overload
def message(cls: type[T], /) -> type[T]: ...
@overload
def message(
    *, name: str | None = None, version: int = 1, upcasters: Mapping[int, Any] | None = None
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True)
def message(cls: type[Any] | None = None, /, **options: Any) -> Any:
    """Declare a kind of message: what actors are told, asked, and requested.

    Args:
        cls: A class with annotated fields; it becomes a frozen dataclass with slots.
        options: ``name`` in the log (module and qualified name by default), ``version``, and
            ``upcasters``: a version to a function from its fields to the next version's.

    Raises:
        UsageError: The name has no dot, or the version is below 1.
    """
    return _declarer("message", cls, **options)


@overload
def event(cls: type[T], /) -> type[T]: ...
@overload
def event(
    *, name: str | None = None, version: int = 1, upcasters: Mapping[int, Any] | None = None
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True)
def event(cls: type[Any] | None = None, /, **options: Any) -> Any:
    """Declare a kind of event: what an actor records, and its ``apply_*`` makes into state.

    Args:
        cls: A class with annotated fields; it becomes a frozen dataclass with slots.
        options: As for ``message``.

    Raises:
        UsageError: The name has no dot, or the version is below 1.
    """
    return _declarer("event", cls, **options)


def _declarer(role: str, cls: type[Any] | None, **options: Any) -> Any:
    def declare(cls: type[Any]) -> type[Any]:
        return _declare(role, cls, **options)

    return declare if cls is None else declare(cls)


def _declare(
    role: str,
    cls: type[Any],
    *,
    name: str | None = None,
    version: int = 1,
    upcasters: Mapping[int, Any] | None = None,
) -> type[Any]:
    name = name or f"{cls.__module__}.{cls.__qualname__}"
    if "." not in name or version < 1:
        raise UsageError(f"{name!r}: a declared kind needs a dot in its name, and a version from 1")
    made: Any = dataclass(frozen=True, slots=True)(cls)
    names = tuple(field.name for field in fields(made))
    defaults = [field.default for field in fields(made) if field.default is not MISSING]
    declared = Declared(made, role, name, version, names, tuple(defaults), upcasters or {})
    made.__iter__ = _iterator_over(names)
    setattr(made, _ATTRIBUTE, declared)
    kind: type[Any] = made
    return kind


def _iterator_over(names: tuple[str, ...]) -> Callable[[Any], Iterator[Any]]:
    if len(names) > 1:
        values_of = attrgetter(*names)
        return lambda value: iter(values_of(value))
    return lambda value: iter([getattr(value, name) for name in names])
