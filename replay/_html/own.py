"""The states of the application's own actors, turn by turn, as a page holds them."""

from collections.abc import Iterator, Mapping
from typing import Any

from rescind.events import RescindError, Turn
from rescind.replay._state.state import History
from rescind.replay._words.text import clip, value_text
from rescind.replay._world.world import World

ACTORS_MAX = 1_000
"""Of so many actors a page tells their own states; each is rebuilt from its own turns."""
UNKNOWN_MAX = 20
"""Of so many actors it is said why their states are not known."""
FIELDS_MAX = 40
VALUE_MAX = 160
NAME_MAX = 40

Fields = dict[str, str]
Changes = list[tuple[str, str | None]]
"""Names, each with its new value; None where it has none any more."""


class OwnFields:
    """What the application's actors hold, as texts; what no class is known for is left out.

    Attributes:
        notes: What is left out, a sentence each.
    """

    def __init__(self, history: History, world: World, last: int) -> None:
        """Begin behind the last turn before a page, in the world of that turn, which it takes."""
        self._history = history
        self._world = world
        self._begin = world.number
        self._last = last
        self._met: set[int] = set()
        self._told = 0
        self._is_cut = False
        self._unknown: list[str] = []
        self._changes: dict[int, Changes] = {}
        self._initial: dict[int, Fields] = {}
        for number in sorted(world.lives):
            self._meet(number)

    def initial(self) -> dict[int, Fields]:
        """Return what each held before the first turn of the page."""
        return self._initial

    def take(self, turn: Turn) -> Changes:
        """Return what the next turn of the page changed in its own actor."""
        self._world.feed(turn)
        if turn.actor in self._world.lives:
            self._meet(turn.actor)
        return self._changes.pop(turn.number, [])

    @property
    def notes(self) -> list[str]:
        """What is left out, a sentence each."""
        cut = f"Of {ACTORS_MAX:,} actors their own states are told, and of no further ones."
        return [*([cut] if self._is_cut else []), *self._unknown[:UNKNOWN_MAX]]

    def _meet(self, number: int) -> None:
        if number in self._met:
            return
        self._met.add(number)
        if self._told >= ACTORS_MAX:
            self._is_cut = True
            return
        life = self._world.lives[number]
        told = _Told(self._begin)
        try:
            self._told += self._history(number, life, self._last, told.hear)
        except RescindError as error:
            self._unknown.append(clip(f"The state of a{number} is not known: {error}.", 300))
            return
        if told.initial:
            self._initial[number] = told.initial
        self._changes |= told.changes


class _Told:
    """Hears the states of one actor, and keeps what changes."""

    def __init__(self, begin: int) -> None:
        self.initial: Fields = {}
        self.changes: dict[int, Changes] = {}
        self._begin = begin
        self._now: Fields = {}

    def hear(self, turn: int, state: Mapping[str, Any]) -> None:
        fields = dict(_texts(state))
        if turn <= self._begin:
            self.initial = self._now = fields
            return
        changed: Changes = [each for each in fields.items() if self._now.get(each[0]) != each[1]]
        changed += [(name, None) for name in self._now if name not in fields]
        if changed:
            self.changes[turn] = changed
        self._now = fields


def _texts(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in list(state.items())[:FIELDS_MAX]:
        yield clip(str(name), NAME_MAX), clip(value_text(value, VALUE_MAX), VALUE_MAX)
