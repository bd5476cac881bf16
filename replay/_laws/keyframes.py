"""The law of keyframes: L12."""

from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

from rescind.events import Entry, Turn
from rescind.events import Keyframe as Frame
from rescind.events._keyframe import Part
from rescind.replay._world.entries import thing_of, windows_of
from rescind.replay._world.living import Cancelling, Held, Life, OpenCall, Place, Thing
from rescind.replay._world.world import World

from .law import Court, Law

_KINDS = {Held: "r", Place: "a", OpenCall: "a", Life: "a"}
_ALWAYS = ("doomed", "sink", "running")
"""What a keyframe says of a request wherever it is so; of other marks older ones say nothing."""
_SOMETIMES = ("started", "parent", "shielded", "incarnation")


class KeyframesTell(Law):
    """L12.

    A world is folded beside the ledger as long as a keyframe is still to come.  Where turns are
    missing, the next keyframe cannot be judged, and the world begins anew with what it tells.
    """

    id: ClassVar[str] = "L12"
    says: ClassVar[str] = "a keyframe tells what the events before it make"

    def __init__(self, court: Court) -> None:
        """Begin before the first turn, with the first keyframe still to come."""
        super().__init__(court)
        self.world = World()
        self._parts: Iterator[tuple[Frame, Part]] = iter(court.parts)
        self._next = next(self._parts, None)
        self._is_known = True
        self._is_whole = True
        self._told = array("q")

    def turn_begins(self, turn: Turn) -> None:
        """Judge the parts that show the state before this turn."""
        while self._next is not None and self._next[1].as_of < turn.number:
            self._judge_next()
        if self._next is not None and turn.number != self.world.number + 1:
            self._is_known = False

    def turn_ends(self, turn: Turn) -> None:
        """Take the turn, if a keyframe is still to come that needs it."""
        if self._next is not None:
            self.world.feed(turn)

    def log_ends(self) -> None:
        """Judge what shows the state behind the last turn."""
        while self._next is not None:
            self._judge_next()

    def _judge_next(self) -> None:
        assert self._next is not None
        frame, part = self._next
        self._next = next(self._parts, None)
        self.report.judged += 1
        if part.part == 0:
            self._begin(frame)
        if part.as_of != self.world.number and self._is_known:
            self._misplace(frame, part)
        for entry in part.entries:
            self._told.append(entry.actor)
            if self._is_known:
                self._judge(frame, part, entry)
            else:
                self.world.take_entry(entry, part.as_of, frame.epoch)
        if part.is_last:
            self._end(frame)

    def _begin(self, frame: Frame) -> None:
        self._told = array("q")
        self._is_whole = False
        if not self._is_known:
            text = f"turns are missing before the keyframe behind turn {frame.number}"
            self.open(str(frame.number), [frame.number], text)
            number = self.world.number
            self.world = World()
            self.world.number = number

    def _misplace(self, frame: Frame, part: Part) -> None:
        text = (
            f"a part of the keyframe behind turn {frame.number} says it stands behind turn"
            f" {part.as_of}, and stands behind {self.world.number}"
        )
        self.broken(str(frame.number), [frame.number, part.as_of, self.world.number], text)

    def _end(self, frame: Frame) -> None:
        told = sorted(self._told)
        if self._is_known:
            for number, following in pairwise(told):
                if number == following:
                    self._accuse(frame, f"a{number}", "is told twice", frame.number)
            if self._is_whole:
                self._miss(frame, set(told))
        self._is_known, self._told = True, array("q")

    def _miss(self, frame: Frame, told: set[int]) -> None:
        """Accuse for what lived all the time and is not told."""
        for kept in (self.world.places, self.world.calls, self.world.lives, self.world.accepted):
            for number, thing in kept.items():
                if number not in told and _begun(thing) <= frame.number:
                    selector = f"{'r' if kept is self.world.accepted else 'a'}{number}"
                    self._accuse(frame, selector, "is not told and lived", _begun(thing))

    def _accuse(self, frame: Frame, selector: str, text: str, *turns: int) -> None:
        where = f"in the keyframe behind turn {frame.number} {selector} {text}"
        self.broken(selector, [frame.number, *turns], where, int(selector[1:] or 0))

    # --- one entry -------------------------------------------------------------------------------

    def _judge(self, frame: Frame, part: Part, entry: Entry) -> None:
        told = thing_of(entry, part.as_of, frame.epoch)
        if isinstance(told, bool):
            self._is_whole = told
            if frame.epoch == 1 and not told:
                self._accuse(frame, "a0", "says that a first process found actors", part.as_of)
            return
        if told is None:
            if _is_ours(entry):
                self._accuse(frame, f"a{entry.actor}", "makes no sense", part.as_of)
            return
        selector = f"{_KINDS[type(told)]}{entry.actor}"
        found = self._living(told, entry.actor)
        if found is None:
            self._accuse(frame, selector, "is told and did not live", part.as_of)
            return
        for name, says, was, turn in self._differing(told, found, entry):
            text = f"has {name} {says!r}, and it was {was!r}"
            self._accuse(frame, selector, text, part.as_of, turn)
        if isinstance(told, Life):
            self.judge_own(frame, part, entry)

    def judge_own(self, frame: Frame, part: Part, entry: Entry) -> None:
        """Judge what is told of an actor's own state; its class says what it should be."""

    def accuse_own(self, frame: Frame, part: Part, entry: Entry, text: str) -> None:
        """Say that an actor's own state is told wrongly."""
        self._accuse(frame, f"a{entry.actor}", text, part.as_of)

    def _living(self, told: Thing, number: int) -> Thing | None:
        match told:
            case Held():
                return self.world.request(number)
            case Place():
                return self.world.places.get(number)
            case OpenCall():
                return self.world.calls.get(number)
            case Life():
                return self.world.lives.get(number)

    def _differing(
        self, told: Thing, found: Any, entry: Entry
    ) -> Iterator[tuple[str, object, object, int]]:
        """Yield what is told otherwise: its name, both values, and the turn that set it."""
        match told:
            case Held():
                yield from _of_request(told, found)
            case Place():
                yield from _of_place(told, found)
                yield from self._of_windows(entry)
            case OpenCall():
                yield from _of_call(told, found)
            case Life():
                yield from _of_life(told, found)

    def _of_windows(self, entry: Entry) -> Iterator[tuple[str, object, object, int]]:
        cancels = self.world.cancels
        told = dict(windows_of(entry))
        open_now = {
            number: cancel
            for number, cancel in cancels.items()
            if cancel.scope == entry.actor and cancel.began is not None
        }
        if told.keys() != open_now.keys():
            turn = max((each.requested.turn for each in open_now.values()), default=0)
            yield "windows", sorted(told), sorted(open_now), turn
        for number in sorted(told.keys() & open_now.keys()):
            yield from _of_window(number, told[number], open_now[number])


def _begun(thing: Any) -> int:
    """Return the turn in which something began, 0 where it is not known."""
    match thing:
        case Place() | OpenCall():
            return thing.opened.turn
        case Life():
            return thing.born.turn
        case _:
            turn: int = thing[0]  # a request, as the fact of its acceptance
            return turn


def _is_ours(entry: Entry) -> bool:
    """Whether an entry is of a kind that this version writes."""
    match entry.state:
        case {"kind": "actor" | "call" | "endpoint" | "log" | "request"}:
            return True
        case _:
            return False


Differing = Iterator[tuple[str, object, object, int]]


def _of_request(told: Held, found: Held) -> Differing:
    accepted = found.accepted.turn
    for name in ("endpoint", "operation", "asynchronous", "timeout_ns", "asked"):
        says, was = getattr(told, name), getattr(found, name)
        if says != was and (name != "asked" or says):
            yield name, says, was, accepted
    if told.accepted.turn and accepted and told.accepted.turn != accepted:
        yield "its acceptance in turn", told.accepted.turn, accepted, accepted
    says_end, end = _end_of(told), _end_of(found)
    if says_end != end:
        yield "its end", says_end, end, 0 if found.done is None else found.done.at.turn
    yield from _of_marks(told.marks, found.marks)


def _end_of(held: Held) -> tuple[object, ...] | None:
    done = held.done
    return None if done is None else (done.code, done.how, done.by, done.at.turn)


def _of_marks(told: Any, found: Any) -> Differing:
    for name in (*_ALWAYS, *(name for name in _SOMETIMES if name in told)):
        says, was = told.get(name), found.get(name)
        if (says and says.value) != (was and was.value):
            turn = 0 if was is None else was.at.turn
            yield name, says and says.value, was and was.value, turn


def _of_place(told: Place, found: Place) -> Differing:
    for name in ("dialect", "profile", "driver"):
        if getattr(told, name) != getattr(found, name):
            yield name, getattr(told, name), getattr(found, name), found.opened.turn
    was = found.state.value
    if was is not None and told.state.value != was:
        yield "state", told.state.value, was, found.state.at.turn
    for name, says_at, at in (
        ("its opening in turn", told.opened.turn, found.opened.turn),
        ("its last change in turn", told.state.at.turn, found.state.at.turn),
    ):
        if says_at and at and says_at != at:
            yield name, says_at, at, at


def _of_call(told: OpenCall, found: OpenCall) -> Differing:
    if told.endpoint != found.endpoint:
        yield "endpoint", told.endpoint, found.endpoint, found.opened.turn
    if told.state.value != found.state.value:
        yield "state", told.state.value, found.state.value, found.state.at.turn


def _of_life(told: Life, found: Life) -> Differing:
    if told.cls[0] == found.cls[0] and told.cls != found.cls:
        yield "class", told.cls[1], found.cls[1], found.born.turn
    if told.parent != found.parent:
        yield "parent", told.parent, found.parent, found.born.turn
    for name in ("watchers", "aside"):
        says, was = (marks.get(name) for marks in (told.marks, found.marks))
        if set(says.value if says else ()) != set(was.value if was else ()):
            yield name, says and says.value, was and was.value, was.at.turn if was else 0
    yield from _of_marks(told.marks, found.marks)


def _of_window(number: int, told: Cancelling, found: Cancelling) -> Differing:
    name = f"the window of c{number} begun in turn"
    said, began = (0 if each.began is None else each.began.turn for each in (told, found))
    if said != began:
        yield name, said, began, began
    says, was = (each.stopped and each.stopped.value for each in (told, found))
    if (told.stopped is None) != (found.stopped is None) or says != was:
        turn = 0 if found.stopped is None else found.stopped.at.turn
        yield f"the driver stopped for c{number} with", says, was, turn
