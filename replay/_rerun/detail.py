"""What is told of a divergence beyond that there is one: who decided it, and in which line.

When a difference is found its recording is executed once more, and this time the turns that have to
do with it are watched: the place of every decision is noted.  That costs too much for every turn.
"""

import os
import sys
import sysconfig
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from rescind.actors.kernel._endpoint import Endpoint
from rescind.actors.kernel._request import OUTSTANDING, Request
from rescind.actors.runtime import Actor
from rescind.actors.runtime._actor import class_name, source_digest
from rescind.actors.runtime._context import outside_frame
from rescind.actors.runtime._ranges import to_ranges
from rescind.actors.runtime._state import CannotTellError, freeze, thaw
from rescind.events import (
    Accepted,
    CancelBegan,
    CancelEnded,
    Completed,
    StateChanged,
    declared_as,
)
from rescind.replay._ledger.dialects import state_text, tables
from rescind.replay._words.describe import numbers_text

from .difference import differences, same_fact, text_of
from .recorded import Recorded
from .recording import Found
from .result import CodeLine, Divergence, Mismatch

if TYPE_CHECKING:
    from .world import World

_RUNS = (
    "rescind.actors.runtime.", "rescind.actors.native._actor.", "rescind.replay.", "pykka.",
)  # fmt: skip
"""Code that decides nothing itself: it runs what does."""


_STANDARD = sysconfig.get_path("stdlib") + os.sep
_FOLDER = str(Path(__file__).parents[2]) + os.sep


class Noted(list[Any]):
    """A list that notes where in the code each of its items was put in."""

    def __init__(self, places: "Places") -> None:
        """Begin empty."""
        super().__init__()
        self._places = places

    def append(self, item: Any, /) -> None:
        self._places.note(item)
        super().append(item)

    def extend(self, items: Iterable[Any], /) -> None:
        for item in items:
            self.append(item)

    def __iadd__(self, items: Iterable[Any], /) -> Self:  # type: ignore[misc]
        self.extend(items)
        return self


class Places:
    """Where today's code decided what it decided in the turns that are watched."""

    def __init__(self, numbers: frozenset[int] = frozenset()) -> None:
        """Watch these turns."""
        self.numbers = numbers
        self.begun: dict[int, CodeLine] = {}
        """By turn: where its handler begins."""
        self._noted: dict[int, tuple[Any, CodeLine]] = {}

    def note(self, item: Any) -> None:
        """Remember where an event or message comes from."""
        error = sys.exc_info()[1]
        raised = None if error is None else place_raised(error.__traceback__)
        place = raised or _place_of(sys._getframe(2))  # noqa: SLF001
        if place is not None:
            self._keep(item, place)
            if item.__class__ is tuple:  # a message on its way to a target
                self._keep(item[1], place)

    def _keep(self, item: Any, place: CodeLine) -> None:
        self._noted[id(item)] = (item, place)

    def of(self, item: Any) -> CodeLine | None:
        """Return where this very item comes from."""
        noted = self._noted.get(id(item))
        return None if noted is None else noted[1]

    @contextmanager
    def watching(self, world: "World", number: int) -> Generator[None]:
        """Watch what is decided meanwhile."""
        out = world.runtime.out
        kept = out.events, out.messages, out.urgent
        out.events, out.messages, out.urgent = Noted(self), Noted(self), Noted(self)
        sys.setprofile(self._entered(number))
        try:
            yield
        finally:
            sys.setprofile(None)
        out.events, out.messages, out.urgent = kept

    def _entered(self, number: int) -> Any:
        """Return what hears of every function that is entered, and keeps the first that matters."""

        def hear(frame: FrameType, what: str, _: Any) -> None:
            if what == "call" and number not in self.begun and not _only_runs(frame):
                code = frame.f_code
                where = (code.co_filename, code.co_firstlineno, code.co_qualname)
                self.begun[number] = CodeLine(*where, is_exact=False)

        return hear


def _only_runs(frame: FrameType) -> bool:
    name = f"{frame.f_globals.get('__name__', '')}."
    file = frame.f_code.co_filename
    is_pythons = file.startswith((_STANDARD, "<frozen")) and "site-packages" not in file
    return is_pythons or name.startswith(_RUNS)


def _place_of(frame: FrameType | None) -> CodeLine | None:
    """Return the innermost line of the application there, or of a dialect."""
    found = None if frame is None else outside_frame(frame)
    while found is not None and found.f_globals.get("__name__", "").startswith("rescind.replay"):
        found = None  # nobody but us: no code of the application is on the way
    while found is None and frame is not None:
        if not _only_runs(frame):
            found = frame
        frame = frame.f_back
    return None if found is None else _line_at(found, found.f_lineno)


def place_raised(trace: TracebackType | None) -> CodeLine | None:
    """Return the innermost line of the application that an exception came through."""
    found = None
    while trace is not None:
        if not _only_runs(trace.tb_frame):
            found = _line_at(trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _line_at(frame: FrameType, line: int) -> CodeLine:
    return CodeLine(frame.f_code.co_filename, line, frame.f_code.co_qualname)


# --- the divergence ---------------------------------------------------------------------------


def watched(found: Found) -> frozenset[int]:
    """Return the turns in which a difference was decided: its own, and the one that caused it."""
    if found.turn is None:
        return frozenset({found.number})
    return frozenset({found.turn.number, found.turn.cause})


def divergence_of(
    found: Found,
    world: "World | None",
    before: Mapping[int, Recorded],
    places: Places | None,
    hanging: FrameType | None = None,
) -> Divergence:
    """Return what is told of a difference.

    Args:
        found: The difference.
        world: Where it was found; nothing of the turn was applied yet.
        before: The turns that were watched, by number.
        places: Where in them today's code decided what.
        hanging: Where the thread stands whose handler does not end.
    """
    turn = found.turn or before.get(found.number)
    ancestor = 0 if turn is None else turn.cause
    if found.turn is None and turn is not None:
        ancestor = turn.number
    caused = before.get(ancestor)
    taker = None if world is None else _taker(world, turn)
    changed = () if world is None else _changed(world, [taker, _taker(world, caused)])
    line = found.line or _place_of(hanging)
    if line is None and places is not None and world is not None:
        line = _decided_at(found, places, ancestor, world)
    return Divergence(
        number=found.number or (0 if turn is None else turn.number),
        what=found.what,
        expected=text_of(found.expected),
        actual=None if found.actual is None else text_of(found.actual),
        ancestor=ancestor,
        actor=0 if turn is None else turn.actor,
        label=_label(taker, world, turn),
        differences=differences(found.expected, found.actual),
        took="" if caused is None else text_of(caused.message),
        line=line,
        changed=changed,
        given=0 if world is None or turn is None else world.given.get(turn.actor, 0),
        state=() if world is None else _state_difference(found, taker, world),
    )


def _taker(world: "World", turn: Recorded | None) -> Any:
    """Return who takes a turn here; one that its turn has just ended is nowhere else any more."""
    if turn is None:
        return None
    running: Any = getattr(world.runtime.out, "actor", None)
    return running if getattr(running, "number", 0) == turn.actor else world.actor_of(turn.actor)


def _label(taker: Any, world: "World | None", turn: Recorded | None) -> str:
    if isinstance(taker, Endpoint):
        return f"{taker.opened.dialect} {taker.opened.driver}" if taker.opened else "endpoint"
    if isinstance(taker, Request):
        return taker.operation
    if isinstance(taker, Actor):
        return type(taker).__name__
    name = None if world is None or turn is None else world.class_name_of(turn)
    return (name or "").rpartition(".")[2]


def _decided_at(found: Found, places: Places, ancestor: int, world: "World") -> CodeLine | None:
    """Return the line in which the differing thing was decided, or where its handler begins."""
    if found.what == "other events":
        begun = places.begun.get(world.current.number)
        exact = places.of(_first_other(found, world))
    else:
        begun = places.begun.get(ancestor) or places.begun.get(found.number)
        exact = places.of(found.actual)
    if exact is None or (begun is not None and _is_ours(exact) and not _is_ours(begun)):
        return begun
    return exact


def _first_other(found: Found, world: "World") -> Any:
    """Return the first event of today's code that is not the recorded one."""
    expected = found.expected
    for at, event in enumerate(world.runtime.out.events):
        if at >= len(expected) or not same_fact(expected[at], event):
            return event
    return None


def _is_ours(place: CodeLine) -> bool:
    return place.file.startswith(_FOLDER)


UNCLAIMED = "today's code sends a message that nobody took"


def _changed(world: "World", takers: Iterable[Any]) -> tuple[str, ...]:
    """Name the classes whose source was another one when the recording was made."""
    names: dict[str, None] = {}
    classes = world.reader.bindings(world.epoch).classes.values()
    recorded = {each.name: each.digest for each in classes}
    for taker in takers:
        cls: Any = taker.__class__
        name = class_name(cls)
        digest = recorded.get(name)
        if digest and digest != source_digest(cls):
            names[name] = None
    return tuple(names)


# --- state --------------------------------------------------------------------------------------


def _state_difference(found: Found, taker: Any, world: "World") -> tuple[Mismatch, ...]:
    """Return how the events of both sides would leave their actor; nothing where no log tells."""
    if found.what != "other events":
        return ()
    if isinstance(taker, Request):
        taker = taker.endpoint
    recorded = _behind(taker, found.expected, world)
    made = _behind(taker, found.actual, world)
    if recorded is None or made is None:
        return ()
    return tuple(
        Mismatch(name, recorded.get(name), made.get(name))
        for name in sorted({*recorded, *made})
        if recorded.get(name) != made.get(name)
    )


def _behind(taker: Any, events: Any, world: "World") -> dict[str, str] | None:
    """Return what a log tells of an actor behind these events; None where it tells nothing."""
    if isinstance(taker, Endpoint):
        return _endpoint_behind(taker, events)
    if isinstance(taker, Actor) and taker.EVENT_SOURCED:
        return _fields_behind(taker, events, world)
    return None


def _endpoint_behind(endpoint: Endpoint, events: Iterable[Any]) -> dict[str, str]:
    """Return what a log tells of an endpoint behind these events."""
    rows = tables(endpoint.opened.dialect if endpoint.opened else "")
    state = endpoint.state
    requests = endpoint.requests
    outstanding = {n for n, each in requests.items() if each.status is OUTSTANDING}
    cancels = {n for n, each in endpoint.windows.items() if each.is_open}
    for event in events:
        match event:
            case StateChanged(subject, _, new) if subject == endpoint.number:
                state = new
            case Accepted(request, number) if number == endpoint.number:
                outstanding.add(request)
            case Completed(request):
                outstanding.discard(request)
            case CancelBegan(cancel):
                cancels.add(cancel)
            case CancelEnded(cancel):
                cancels.discard(cancel)
            case _:
                pass
    return {
        "state": state_text(rows, state),
        "outstanding": _numbers(outstanding, "r"),
        "cancels under way": _numbers(cancels, "c"),
    }


def _numbers(numbers: Iterable[int], letter: str) -> str:
    return numbers_text(to_ranges(sorted(numbers)), letter) or "none"


def _fields_behind(actor: Actor, events: Iterable[Any], world: "World") -> dict[str, str] | None:
    """Apply events to a copy of an actor; None where that cannot be done."""
    copied = object.__new__(type(actor))
    for name, value in vars(actor).items():
        try:
            vars(copied)[name] = thaw(freeze(value), world.known, world.refer)
        except (CannotTellError, ValueError):
            continue
    try:
        for event in events:
            revived = world.known.revive(event, world.refer)
            declared = declared_as(revived.__class__)
            if declared is not None:
                type(actor).applier(declared.cls)(copied, revived, 0)
    except Exception:  # noqa: BLE001  # whatever apply raises: then there is nothing to show
        return None
    return {name: text_of(value) for name, value in vars(copied).items()}
