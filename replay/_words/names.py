"""What actors are called, without their lives: in a bounded memory, however long the log is."""

from collections.abc import Iterable
from typing import Protocol

from rescind.events import (
    Accepted,
    Born,
    CallOpened,
    CancelRequested,
    LogReader,
    Opened,
    Rejected,
    Turn,
)
from rescind.replay._ledger.from_keyframe import LedgerFromKeyframe
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.pages import Pages

_NAMES_MAX = 1 << 16


class Named(Protocol):
    """Whoever knows what to call an actor."""

    def label(self, number: int) -> str:
        """Return what to call an actor."""
        ...


class Names:
    """Learns from each turn what its numbers are called; labels are those of a ledger."""

    def __init__(self, log: Iterable[Turn]) -> None:
        """Know nothing yet; a keyframe says who was there before the log begins."""
        self._reader = log if isinstance(log, LogReader) else None
        self._before: Ledger = (
            Ledger() if self._reader is None else LedgerFromKeyframe(self._reader)
        )
        self._told: dict[str, int] = {}
        self._texts: list[str] = []
        self._names = Pages("I")
        self._next = 0

    def take(self, turn: Turn) -> None:
        """Take the log's next turn."""
        if (
            turn.number != self._next
            and turn.number > 1
            and isinstance(self._before, LedgerFromKeyframe)
        ):
            self._before.look_behind(turn.number - 1)
        self._next = turn.number + 1
        for event in turn.events:
            match event:
                case Opened():
                    self._learn(event.endpoint, f"0a%d {event.dialect} endpoint")
                case Accepted() | Rejected():
                    self._learn(event.request, f"1r%d {event.operation}")
                case CancelRequested():
                    self._learn(event.cancel, f"2c%d {event.trigger}")
                case CallOpened():
                    self._learn(event.call, "3a%d call")
                case Born():
                    name = self._reader and self._reader.class_name(turn.epoch, event.cls)
                    self._learn(event.actor, f"4a%d {name or ''}")
                case _:
                    pass

    def _learn(self, number: int, text: str) -> None:
        known = self._names[number]
        if known and self._texts[known - 1][0] <= text[0]:
            return
        at = self._told.get(text)
        if at is None:
            if len(self._texts) == _NAMES_MAX:
                return
            self._texts.append(text)
            at = self._told[text] = len(self._texts)
        self._names[number] = at

    def label(self, number: int) -> str:
        """Return what to call an actor: ``a1 newton endpoint``, ``r9 Output``, ``c12 Cancel``."""
        known = self._names[number] if number else 0
        if not known:
            return self._before.label(number)
        text = self._texts[known - 1]
        return f"{text[1]}{number}{text[4:]}".replace("  ", " ").rstrip()
