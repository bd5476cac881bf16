"""What a log leaves behind: who lives where it ends, and what is outstanding or undelivered.

A fold of the whole log, or of what follows a keyframe.  A keyframe's entries show their actors
behind turns that come again here, so every function below does nothing the second time.  No code of
the application runs.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rescind.events import (
    Accepted,
    Born,
    CallOpened,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Closed,
    Completed,
    Delivered,
    Discarded,
    Entry,
    LogDamagedError,
    Opened,
    Reference,
    Routed,
    Start,
    Stopped,
    Turn,
    Watch,
)

from ._ranges import numbers_in


@dataclass(slots=True)
class Life:
    """An actor that has not stopped.

    Attributes:
        number: Its number.
        cls: Its class binding, and in which epoch.
        parent: Who started it, or 0.
        born: The turn of its ``Start``; 0 if only a keyframe tells of it.
        watchers: References to whoever wants to hear of its end.
        told: What a keyframe holds of its state, or None.
        as_of: The turn behind which that was so.
    """

    number: int
    cls: tuple[int, int]
    parent: int
    born: int = 0
    watchers: list[Reference] = field(default_factory=list[Reference])
    told: dict[str, Any] | None = None
    as_of: int = 0


@dataclass(slots=True)
class Left:
    """A request that has not completed, or whose completion was not delivered.

    Attributes:
        number: Its number.
        endpoint: Whose it is.
        operation: What it asked for.
        asked: Of a native request, the actor that was asked.
        completed: Its completion, if it has one.
        turn: The turn of that; before, the one that accepted it.
        sink: The sink that its completion goes to; empty without one.
        cancels: The cancels that mean to end it and have not said what came of that.
        cancelled: The cancel that it completed by, if one was known.
    """

    number: int
    endpoint: int
    operation: str
    asked: int
    turn: int
    completed: Completed | None = None
    sink: str = ""
    cancels: list[int] = field(default_factory=list[int])
    cancelled: "Cancelling | None" = None


class Cancelling(NamedTuple):
    """A cancel that has not ended: the request for it, and the turn in which it was made."""

    requested: CancelRequested
    turn: Turn


@dataclass(slots=True)
class Place:
    """An endpoint that is open, or that has requests left.

    Attributes:
        number: Its number.
        dialect: What it speaks; empty if that is not known.
        cls: Its class binding, and in which epoch.
        left: How many requests it has left.
        is_closed: Whether it is closed.
    """

    number: int
    dialect: str = ""
    cls: tuple[int, int] = (0, 0)
    left: int = 0
    is_closed: bool = False


class Survivors:
    """The fold.  Feed it every turn in order; before them a keyframe, if there is one.

    Attributes:
        lives: Actors that have not stopped, by number.
        requests: Requests outstanding or undelivered, by number.
        places: Endpoints, by number; closed ones only as long as they have requests left.
        calls: Calls that are open, and their endpoints.
        cancels: Cancels that have not ended, by number.
        last: The last turn.
        lacks: What the keyframe does not say and recovery needs; empty if nothing.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lives: dict[int, Life] = {}
        self.requests: dict[int, Left] = {}
        self.places: dict[int, Place] = {}
        self.calls: dict[int, int] = {}
        self.cancels: dict[int, Cancelling] = {}
        self.last = 0
        self.lacks = ""

    def feed(self, turn: Turn) -> None:
        """Take the log's next turn.

        Raises:
            LogDamagedError: Turns are missing before it.
        """
        if self.last and turn.number != self.last + 1:
            raise LogDamagedError(f"turns {self.last + 1}..{turn.number - 1} are missing")
        self.last = turn.number
        if isinstance(turn.message, Watch):
            self._watch(turn.actor, turn.message.watcher)
        for event in turn.events:
            fold = _FOLDS.get(event.__class__)
            if fold is not None:
                fold(self, event, turn)

    def _watch(self, actor: int, watcher: Any) -> None:
        life = self.lives.get(actor)
        if life is not None and isinstance(watcher, Reference) and watcher not in life.watchers:
            life.watchers.append(watcher)

    def place(self, endpoint: int) -> Place:
        """Return an endpoint; one of which only its number is known, if need be."""
        return self.places.setdefault(endpoint, Place(endpoint))

    # --- facts ---------------------------------------------------------------------------------

    def _born(self, event: Born, turn: Turn) -> None:
        life = self.lives.get(event.actor)
        if not isinstance(turn.message, Start):
            self.place(event.actor).cls = (turn.epoch, event.cls)
        elif life is None or life.told is None:  # else a keyframe tells how it stood later
            life = Life(event.actor, (turn.epoch, event.cls), event.parent, turn.number)
            self.lives[event.actor] = life

    def _stopped(self, event: Stopped, _: Turn) -> None:
        self.lives.pop(event.actor, None)

    def _opened(self, event: Opened, _: Turn) -> None:
        self.place(event.endpoint).dialect = event.dialect

    def _call_opened(self, event: CallOpened, _: Turn) -> None:
        self.calls[event.call] = event.endpoint

    def _closed(self, event: Closed, _: Turn) -> None:
        self.calls.pop(event.subject, None)
        place = self.places.get(event.subject)
        if place is not None:
            place.is_closed = True
            self._forget(place)

    def _forget(self, place: Place) -> None:
        if place.is_closed and not place.left:
            del self.places[place.number]

    def _accepted(self, event: Accepted, turn: Turn) -> None:
        self._leave(Left(event.request, event.endpoint, event.operation, event.call, turn.number))

    def _leave(self, left: Left) -> None:
        if left.number not in self.requests:
            self.place(left.endpoint).left += 1
        self.requests[left.number] = left

    def _routed(self, event: Routed, _: Turn) -> None:
        if event.request in self.requests:
            self.requests[event.request].sink = event.sink

    def _completed(self, event: Completed, turn: Turn) -> None:
        left = self.requests.get(event.request)
        if left is not None:
            left.completed, left.turn = event, turn.number
            left.cancelled = self.cancels.get(event.by)

    def _delivered(self, event: Delivered | Discarded, _: Turn) -> None:
        for number in numbers_in(event.requests):
            left = self.requests.pop(number, None)
            if left is not None:
                place = self.places[left.endpoint]
                place.left -= 1
                self._forget(place)

    def _requested(self, event: CancelRequested, turn: Turn) -> None:
        self.cancels[event.cancel] = Cancelling(event, turn)

    def _began(self, event: CancelBegan, _: Turn) -> None:
        for number in numbers_in(event.victims):
            left = self.requests.get(number)
            if left is not None and left.completed is None:
                left.cancels.append(event.cancel)

    def _outcome(self, event: CancelOutcome, _: Turn) -> None:
        left = self.requests.get(event.target)
        if left is not None and event.cancel in left.cancels:
            left.cancels.remove(event.cancel)

    def _ended(self, event: CancelEnded, _: Turn) -> None:
        self.cancels.pop(event.cancel, None)

    # --- a keyframe ----------------------------------------------------------------------------

    def begin_at(self, epoch: int, entries: Iterable[tuple[int, Entry]]) -> None:
        """Know what a keyframe tells, which was written in ``epoch``."""
        self.lacks = "who lived when its epoch began"
        for as_of, entry in entries:
            match entry.state:
                case {"kind": "log", "is_whole": True}:
                    self.lacks = ""
                case {"kind": "endpoint"}:
                    self._begin_place(epoch, entry)
                case {"kind": "call", "endpoint": int(endpoint)}:
                    self.calls[entry.actor] = endpoint
                case {"kind": "request"}:
                    self._begin_request(entry)
                case None | {"kind": "actor"}:
                    self._begin_life(epoch, entry, as_of)
                case _:
                    pass

    def _begin_life(self, epoch: int, entry: Entry, as_of: int) -> None:
        state: dict[str, Any] = entry.state or {}
        life = Life(entry.actor, (epoch, entry.cls), state.get("parent", 0), as_of=as_of)
        life.told = state if "state" in state else None
        life.watchers = list(state.get("watchers", ()))
        self.lives[entry.actor] = life

    def _begin_place(self, epoch: int, entry: Entry) -> None:
        place = self.place(entry.actor)
        place.cls, place.dialect = (epoch, entry.cls), entry.state["dialect"]
        if entry.state["windows"]:
            self.lacks = "a cancel that was under way"

    def _begin_request(self, entry: Entry) -> None:
        state: dict[str, Any] = entry.state
        done = "completed" in state
        turn = state["completed" if done else "accepted"]
        left = Left(entry.actor, state["endpoint"], state["operation"], state.get("asked", 0), turn)
        left.sink = state.get("sink", "")
        if done:
            left.completed = Completed(entry.actor, state["code"], state["how"], state["by"])
        if "doomed" in state or (done and left.sink):
            self.lacks = f"how r{entry.actor} ended"
        self._leave(left)


Fold = Callable[[Survivors, Any, Turn], None]

_FOLDS: dict[type, Fold] = {
    Born: Survivors._born,  # noqa: SLF001  # this table is part of the class
    Stopped: Survivors._stopped,  # noqa: SLF001
    Opened: Survivors._opened,  # noqa: SLF001
    CallOpened: Survivors._call_opened,  # noqa: SLF001
    Closed: Survivors._closed,  # noqa: SLF001
    Accepted: Survivors._accepted,  # noqa: SLF001
    Routed: Survivors._routed,  # noqa: SLF001
    Completed: Survivors._completed,  # noqa: SLF001
    Delivered: Survivors._delivered,  # noqa: SLF001
    Discarded: Survivors._delivered,  # noqa: SLF001
    CancelRequested: Survivors._requested,  # noqa: SLF001
    CancelBegan: Survivors._began,  # noqa: SLF001
    CancelOutcome: Survivors._outcome,  # noqa: SLF001
    CancelEnded: Survivors._ended,  # noqa: SLF001
}
