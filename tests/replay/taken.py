"""A recording that tests execute again, and how they find a turn in it."""

from dataclasses import dataclass
from typing import Any

from rescind.events import Unknown, read
from rescind.replay import rerun


@dataclass
class Taken:
    """A recording, and how to find a turn in it."""

    log: Any

    def turns(self):
        return list(read(self.log))

    def first(self, message, *, after=0, actor=None, holding=None, where=None):
        """Return the first turn that takes such a message."""
        for turn in self.turns():
            if (
                turn.number > after
                and (isinstance(turn.message, message) or _name(turn.message) == message.__name__)
                and (actor is None or turn.actor == actor)
                and (holding is None or any(isinstance(e, holding) for e in turn.events))
                and (where is None or where(turn))
            ):
                return turn.number
        raise AssertionError(f"no turn takes {message}")

    def found(self, classes=()):
        found = rerun(read(self.log), classes=classes).divergence
        assert found is not None
        return found


def _name(message):
    value = getattr(message, "value", None)
    return value.name.rpartition(".")[2] if isinstance(value, Unknown) else None
