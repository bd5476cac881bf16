"""Lives by their numbers, looked up when they are asked for."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

CASES_MAX = 4096
"""So many answers are kept of each kind; one is a few kilobytes."""

Found = TypeVar("Found")


class Shelf(Generic[Found]):
    """Lives of one kind by their numbers, each looked up when it is asked for."""

    def __init__(self, find: Callable[[int], Found | None]) -> None:
        """Take how one is found."""
        self._find = find

    def get(self, number: int) -> Found | None:
        """Return a life; None if the log tells of no such thing."""
        return self._find(number) if number > 0 else None

    def __getitem__(self, number: int) -> Found:
        """Return a life that the log tells of."""
        found = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    def __contains__(self, number: object) -> bool:
        """Whether the log tells of it."""
        return isinstance(number, int) and self.get(number) is not None


class Memory(Shelf[Found]):
    """A shelf that remembers what it found, and that it found nothing."""

    def __init__(self, find: Callable[[int], Found | None]) -> None:
        """Take how one is found."""
        super().__init__(find)
        self._kept: OrderedDict[int, Found | None] = OrderedDict()

    def get(self, number: int) -> Found | None:
        """Return what was found for a number; None for nothing, and while it is looked for."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        self._kept[number] = None  # whoever asks for it meanwhile goes round in a circle
        found = self._kept[number] = super().get(number)
        if len(self._kept) > CASES_MAX:
            self._kept.popitem(last=False)
        return found

    def clear(self) -> None:
        """Forget what was found."""
        self._kept.clear()
