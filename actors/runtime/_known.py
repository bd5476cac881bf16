"""What a caller has named, so that values of a log come to life again.

A log is data: no class is looked for because a log names it.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, get_type_hints

from rescind.events import Declared, Reference, Unknown, declared_as

from ._actor import Actor, class_name

Refer = Callable[[Reference], Any]
"""Returns what takes a reference's place."""


class Known:
    """Actor classes, and declared kinds, by their names in the log.

    Attributes:
        actors: The classes.
        kinds: What the caller named, and what the annotations of the classes' handlers name.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        """Know ``classes``: actors', and kinds that no handler's annotation names."""
        named = list(classes)
        self.actors: dict[str, type[Actor]] = {
            class_name(cls): cls for cls in named if issubclass(cls, Actor)
        }
        found = {kind for cls in self.actors.values() for kind in kinds_of(cls)}
        self.kinds: dict[str, Declared] = {
            kind.name: kind for cls in (*found, *named) if (kind := declared_as(cls)) is not None
        }

    def revive(self, value: Any, refer: Refer) -> Any:
        """Put values of their classes, and what ``refer`` returns, where the log has stand-ins.

        Raises:
            ValueError: The fields of a declared kind do not fit its class.
        """
        match value:
            case Reference():
                return refer(value)
            case Unknown() if value.name in self.kinds:
                fields = self.revive(value.values, refer)
                return self.kinds[value.name].revive(replace(value, values=fields))
            case tuple():
                return tuple(self.revive(each, refer) for each in _items(value))
            case list():
                return [self.revive(each, refer) for each in _items(value)]
            case dict():
                return {key: self.revive(each, refer) for key, each in _items(value.items())}
            case _:
                return value


def _items(values: Any) -> Iterable[Any]:
    """Values of unknown content, which the checkers want named."""
    items: Iterable[Any] = values
    return items


def kinds_of(cls: type[Actor]) -> set[type]:
    """Return the declared kinds that the annotations of an actor's handlers name."""
    found: set[type] = set()
    for name in dir(cls):
        if name.startswith(("on_", "apply_")):
            with contextlib.suppress(NameError, TypeError):
                found |= {
                    kind for kind in get_type_hints(getattr(cls, name)).values() if _is_kind(kind)
                }
    return found


def _is_kind(hint: Any) -> bool:
    return isinstance(hint, type) and declared_as(hint) is not None
