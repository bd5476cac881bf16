"""Rare events that a runtime counts, so that its statistics can tell of them.

An ordinary turn pays nothing for it: the events are counted where they are applied, or lost
messages are told of.
"""

from typing import TYPE_CHECKING, TypeAlias

from rescind.events import DeadLetter, Dropped, Failed, Overflowed, SlowTurn

if TYPE_CHECKING:
    from ._actor import Actor

Seen: TypeAlias = dict[type, int]


def nothing_seen() -> Seen:
    """Return the counts of a new runtime."""
    return dict.fromkeys((DeadLetter, Dropped, Failed, Overflowed, SlowTurn), 0)


def apply_seen(actor: "Actor", event: Failed | SlowTurn, _number: int) -> None:
    """Count an event that stands in a turn of ``actor``."""
    actor.runtime.seen[type(event)] += 1
