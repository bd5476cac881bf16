"""The states of the application's own event-sourced actors, by their classes of today.

The only part of `rescind state` that runs the application's code: constructors and ``apply_*``.
A state is rebuilt as recovery does it, from the keyframe's or from the actor's start, and from the
actor's own turns alone, which the log's index finds.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, cast

from rescind.actors.runtime import ActorRef
from rescind.actors.runtime._known import Known
from rescind.actors.runtime._recovery import Recovery
from rescind.actors.runtime._state import CannotTellError, freeze
from rescind.actors.runtime._survivors import Life as Left
from rescind.actors.runtime._survivors import Survivors
from rescind.events import Entry, Keyframe, LogReader, RescindError, Start, Turn
from rescind.events._keyframe import Part
from rescind.replay._laws.keyframes import KeyframesTell
from rescind.replay._laws.law import Court, Law
from rescind.replay._ledger.lives import Moment
from rescind.replay._rerun.recorded import recorded
from rescind.replay._rerun.rerun import actor_classes as classes_in
from rescind.replay._rerun.stand_ins import Clock, Dispatcher, Log, NumberedRuntime
from rescind.replay._words.text import plain, value_text
from rescind.replay._world.living import Life, Mark

from .state import Seen

__all__ = ["OwnStates", "classes_in", "keyframe_law"]

_VALUE_MAX = 40
"""So much of a value that is told otherwise stands in a finding."""


class _Nothing:
    """A recording in which nothing comes next: constructors make no turns."""

    def __init__(self, reader: LogReader) -> None:
        self.reader = reader

    def peek(self) -> Turn | None:
        return None

    def compare(self, made: tuple[Any, ...]) -> NoReturn:
        raise AssertionError(f"a rebuilt actor made a record: {made!r}")

    def wait(self, waitable: Any) -> NoReturn:
        raise AssertionError(f"a rebuilt actor waits: {waitable!r}")


class OwnStates:
    """Knows classes, and rebuilds their actors as they stood behind a turn."""

    def __init__(self, reader: LogReader, classes: Iterable[type]) -> None:
        """Know what a caller has named; nothing is rebuilt yet."""
        self._reader = reader
        self._known = Known(classes)
        self._first = next(recorded(reader.select()), None)

    def behind(self, number: int, life: Life, turn: int) -> Mapping[str, Any] | None:
        """Return the attributes of an actor; None when its class was not named or has no state.

        Raises:
            RecoveryError: Its state cannot be rebuilt; the text says why.
        """
        with self._rebuilt(number, life, turn) as actor:
            if actor is None:
                return None
            return _state_of(actor)

    def history(self, number: int, life: Life, last: int, seen: Seen) -> bool:
        """Tell how an actor stood behind each of its turns up to ``last``, in one pass over them.

        Where a keyframe told of it, that is told first.  False when its class was not named or has
        no state.

        Raises:
            RecoveryError: Its state cannot be rebuilt; the text says why.
        """
        with self._rebuilt(number, life, last, seen) as actor:
            return actor is not None

    def told(self, number: int, life: Life, turn: int) -> dict[str, Any] | None:
        """Return the attributes as a keyframe would hold them, as far as it can hold them."""
        with self._rebuilt(number, life, turn) as actor:
            if actor is None:
                return None
            frozen: dict[str, Any] = {}
            attributes: dict[str, Any] = actor.__dict__
            for name, value in attributes.items():
                try:
                    frozen[name] = freeze(value)
                except CannotTellError:
                    continue
            return frozen

    @contextmanager
    def _rebuilt(
        self, number: int, life: Life, turn: int, seen: Seen | None = None
    ) -> Generator[Any]:
        cls = self._known.actors.get(self._reader.class_name(*life.cls) or "")
        if cls is None or not cls.EVENT_SOURCED or self._first is None:
            yield None
            return
        nothing: Any = _Nothing(self._reader)
        dispatcher = Dispatcher(nothing.wait)
        log: Any = Log(nothing, self._first)
        runtime = NumberedRuntime(log, dispatcher, Clock(nothing), None)
        readers: list[LogReader] = []

        def read_from(start: int) -> Any:
            readers.append(self._reader.select(start=start, actor=number))
            return readers[-1] if seen is None else watched(readers[-1], seen)

        def watched(turns: Iterable[Turn], seen: Seen) -> Iterator[Turn]:
            if life.told is not None and number in runtime.actors:
                seen(life.told.at.turn, _state_of(runtime.actors[number]))
            for each in turns:
                yield each
                # Whoever asks for the next turn has applied this one.
                if each.number <= turn and number in runtime.actors:
                    seen(each.number, _state_of(runtime.actors[number]))

        survivors = Survivors()
        survivors.lives[number] = self._left(number, life)
        survivors.last = turn
        names = self._reader.class_name
        recovery = Recovery(runtime, survivors, self._known, names, read_from)
        try:
            recovery.prepare(None, end_others=True)
            _refuse_losses(readers, number, life.told, turn)
            yield runtime.actors[number]
        finally:
            for actor in list(runtime.actors.values()):
                runtime.forget(actor)
            dispatcher.close()

    def _left(self, number: int, life: Life) -> Left:
        """Return what the log tells of an actor, as recovery wants it."""
        made = Left(number, life.cls, life.parent, life.born.turn)
        if life.told is not None:
            made.told, made.as_of = life.told.value, life.told.at.turn
        elif not made.born:
            first = next(iter(self._reader.select(actor=number)), None)
            if first is not None and isinstance(first.message, Start):
                made.born = first.number
        return made


def _refuse_losses(readers: list[LogReader], number: int, told: Any, turn: int) -> None:
    """Refuse a state that lost turns may belong to."""
    since = told.at.turn if told is not None else 0
    for damage in (each for reader in readers for each in reader.damage):
        if damage.first is not None and damage.first <= turn and (damage.last or turn) > since:
            text = f"the state of a{number} is not known: turns from {damage.first} on are lost"
            raise RescindError(text)


def _state_of(actor: Any) -> dict[str, Any]:
    return {name: _shown(value) for name, value in _attributes(actor)}


def _attributes(actor: Any) -> Iterator[tuple[str, Any]]:
    """Yield an actor's attributes, and before them what its classes give it and annotate."""
    own: dict[str, Any] = actor.__dict__
    classes: tuple[type, ...] = actor.__class__.__mro__
    for cls in reversed(classes):
        for name in () if cls.__module__.startswith(("pykka.", "rescind.")) else _annotated(cls):
            if name not in own and hasattr(actor, name):
                yield name, getattr(actor, name)
    yield from ((name, value) for name, value in own.items() if name not in _PYKKAS)


_PYKKAS = frozenset({"actor_inbox", "actor_ref", "actor_stopped", "actor_urn"})
"""What every actor of Pykka's has; it says nothing of this one."""


def _annotated(cls: type) -> Iterable[str]:
    names: dict[str, Any] = vars(cls).get("__annotations__", {})
    return names


def _shown(value: Any) -> Any:
    """Return a value with references where there are actors."""
    match value:
        case ActorRef():
            return value.to_reference()
        case dict():
            return {_shown(key): _shown(each) for key, each in _pairs(value)}
        case list():
            return [_shown(each) for each in _items(value)]
        case tuple() if type(cast("object", value)) is tuple:
            return tuple(map(_shown, _items(value)))
        case _:
            return value


def _as_read(frozen: Any) -> Any:
    """Return what was frozen as a log gives it back: its arrays are tuples."""
    if isinstance(frozen, list | tuple):
        return tuple(map(_as_read, _items(frozen)))
    if isinstance(frozen, dict):
        return {key: _as_read(each) for key, each in _pairs(frozen)}
    return frozen


def _items(values: Any) -> Iterable[Any]:
    """Values of unknown content, which the checkers want named."""
    items: Iterable[Any] = values
    return items


def _pairs(values: Any) -> Iterable[tuple[Any, Any]]:
    pairs: Iterable[tuple[Any, Any]] = values.items()
    return pairs


def keyframe_law(reader: LogReader, classes: Iterable[type]) -> type[Law]:
    """Return L12 for a log with the classes of its event-sourced actors.

    An actor's state in a keyframe is held against the one before it, or its start, and the events
    between.
    """
    own = OwnStates(reader, classes)

    class _KeyframesTellStates(KeyframesTell):
        def __init__(self, court: Court) -> None:
            super().__init__(court)
            self._before: dict[int, Mark] = {}

        def judge_own(self, frame: Keyframe, part: Part, entry: Entry) -> None:
            life = self.world.lives[entry.actor]
            entire: Any = entry.state or {}
            told: tuple[Any, ...] | None = entire.get("state")
            if told is None:
                return
            # Behind a gap the world has begun anew, with what a keyframe told there.
            known = (self._before.get(entry.actor), life.told)
            earlier = max(filter(None, known), key=lambda mark: mark.at.turn, default=None)
            self._before[entry.actor] = Mark(entry.state, Moment(part.as_of, 0))
            try:
                found = own.told(entry.actor, life._replace(told=earlier), part.as_of)
            except RescindError as error:
                self.open(f"a{entry.actor}", [frame.number], str(error), entry.actor)
                return
            says: dict[str, Any] = dict(zip(told[::2], told[1::2], strict=False))
            if found is not None:
                for name, text in _differing(says, _as_read(found)):
                    self.accuse_own(frame, part, entry, f"has {plain(str(name))} {text}")

    return _KeyframesTellStates


def _differing(says: Mapping[str, Any], makes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield which attributes a keyframe tells otherwise, and both values, cut."""
    for name in sorted({*says, *makes}, key=str):
        told, made = (_spelt(name, each) for each in (says, makes))
        if (name in says, says.get(name)) != (name in makes, makes.get(name)):
            yield name, f"{told}, and its events make {made}"


def _spelt(name: str, values: Mapping[str, Any]) -> str:
    return value_text(values[name], _VALUE_MAX) if name in values else "not at all"
