"""Re-execution: the recording's inputs, in the recording's order, through today's code.

Handlers are executed in threads of their own, of which at most one moves at a time, and whoever
asked for the re-execution looks on: it sees a handler that does not end.
"""

import gc
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from importlib import import_module
from os import PathLike
from typing import Any

from rescind.actors.runtime import Abandon, Actor, describe
from rescind.actors.runtime._known import Known
from rescind.actors.runtime._ranges import numbers_in
from rescind.events import Delivered, Discarded, LogReader, UsageError, declared_as, read
from rescind.replay._ledger.numbers import NumberSet

from .detail import UNCLAIMED, Places, divergence_of, place_raised, watched
from .place import TIME_LIMIT_S
from .recorded import Recorded, UndecodableError
from .recording import (
    CannotGoOnError,
    Diverged,
    Found,
    PayloadWithheldError,
    Recording,
)
from .result import Divergence, Rerun
from .wanted import Wanted
from .world import LateRequestError, World

_LOOKS_S = 0.25
"""How often somebody looks whether turns go on."""


def rerun(
    source: str | PathLike[str] | LogReader,
    *,
    classes: Iterable[type] = (),
    only: int = 0,
    begin: int = 0,
    time_limit_s: float = TIME_LIMIT_S,
    before_handler: Callable[[int, int], object] | None = None,
) -> Rerun:
    """Execute a recording again, in this process, and return the first divergence, if any.

    A handler that ends the process ends this one; ``rerun_logs`` gives each log its own.

    Args:
        source: A log, or a reader of one.
        classes: The application's own actor classes, and messages and events it has declared that
            no handler's annotation names; nothing is imported because a log names it.
        only: Execute this actor, or endpoint, alone; all that it hears comes from the log.
        begin: Begin with the process life that this turn is of; 0 for all.
        time_limit_s: How long one turn may compute before it counts as hanging.
        before_handler: Called with a turn's number and actor before code of the application runs.
    """
    reader = source if isinstance(source, LogReader) else read(source)
    epoch = _epoch_of(begin, reader) if begin else 0
    passes = _Passes(reader, Wanted(Known(classes), only, epoch, before_handler), time_limit_s)
    with _few_collections():
        return _compared(passes, looks_ahead=bool(only))


def _epoch_of(turn: int, reader: LogReader) -> int:
    lookup = reader.lookup()
    if not lookup.first <= turn <= lookup.last:
        text = f"turn {turn} is not in the log, which holds turns {lookup.first}..{lookup.last}"
        raise UsageError(text)
    return reader.epoch_of(turn)


def _compared(passes: "_Passes", *, looks_ahead: bool) -> Rerun:
    first = passes.run(looks_ahead=looks_ahead)
    if first.found is None or first.is_hanging:
        return first.result
    if not looks_ahead:
        # Perhaps only in its numbers: pinned actors may have taken some out of turn.
        again = passes.run(looks_ahead=True)
        if again.found is None:
            return again.result
    # Once more, and whoever decides the differing thing is watched.
    closer = passes.run(looks_ahead=looks_ahead, places=Places(watched(first.found)))
    # Unless chance decided it, and now otherwise.
    return closer.result if closer.is_like(first) else first.result


@contextmanager
def _few_collections() -> Generator[None]:
    """Look for garbage in cycles less often: here many objects are made, and hardly a cycle."""
    usual = gc.get_threshold()
    gc.set_threshold(20_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


class _Passes:
    """Executes one recording as often as it takes."""

    def __init__(self, reader: LogReader, wanted: Wanted, time_limit_s: float) -> None:
        self._reader = reader
        self._wanted = wanted
        self._time_limit_s = time_limit_s

    def run(self, *, looks_ahead: bool, places: Places | None = None) -> "Execution":
        """Execute it once; requests that take a turn very late are looked for if there are any."""
        while True:
            recording = Recording(self._reader, looks_ahead=looks_ahead)
            try:
                return Execution(recording, self._wanted, self._time_limit_s, places).run()
            except LateRequestError:
                self._wanted = replace(self._wanted, late=late_requests(self._reader))


def actor_classes(modules: Iterable[str]) -> list[type]:
    """Import modules that the caller, and not the log, has named; return their actor classes.

    And with them the messages and events that the modules declare.

    Raises:
        UsageError: there is no such module.
    """
    classes: list[type] = []
    for name in modules:
        try:
            module = import_module(name)
        except ImportError as error:
            raise UsageError(f"--classes {name}: {error}") from error
        found: list[type[Any]] = [each for each in vars(module).values() if isinstance(each, type)]
        classes += [each for each in found if issubclass(each, Actor) or declared_as(each)]
    return classes


class Execution:
    """One pass over a recording."""

    def __init__(
        self, recording: Recording, wanted: Wanted, time_limit_s: float, places: Places | None
    ) -> None:
        """Be about to begin.

        Args:
            recording: The recorded turns.
            wanted: What is to be executed.
            time_limit_s: How long one turn may compute.
            places: Where decisions are noted; None where nobody asks.
        """
        self.result: Rerun
        self.is_hanging = False
        self._recording = recording
        self._wanted = wanted
        self._time_limit_s = time_limit_s
        self._places = places
        self._world: World | None = None
        self._epoch = 0
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._driver: threading.Thread | None = None

    @property
    def found(self) -> Found | None:
        """The first difference."""
        return self._recording.found

    def is_like(self, other: "Execution") -> bool:
        """Tell whether another pass has found the same."""
        mine, others = self.result.divergence, other.result.divergence
        if mine is None or others is None:
            return False
        return (mine.number, mine.what) == (others.number, others.what)

    def run(self) -> "Execution":
        """Take all turns; return itself, with the result."""
        self._drive_on()
        self._look_on()
        error = self._error
        if isinstance(error, PayloadWithheldError):
            self.result = self._recording.result(ended=error.number)
        elif error is not None and not isinstance(error, Diverged):
            raise error
        else:
            self.result = self._recording.result(self._divergence())
        if self._world is not None and self.is_hanging:
            self._world.forget_actors()  # the thread that hangs keeps the rest
        elif self._world is not None:
            self._world.close()
        return self

    def _divergence(self) -> Divergence | None:
        if self.found is None:
            return None
        driver = self._driver
        frames = sys._current_frames()  # noqa: SLF001  # nothing else tells where a thread stands
        hanging = frames.get(driver.ident or 0) if self.is_hanging and driver else None
        watched = self._world.watched if self._world is not None else {}
        return divergence_of(self.found, self._world, watched, self._places, hanging)

    def _look_on(self) -> None:
        """Wait until the recording has ended, or one turn of it does not."""
        last, waited_s = -1, 0.0
        while not self._ended.wait(_LOOKS_S):
            waited_s = waited_s + _LOOKS_S if self._recording.last == last else 0.0
            last = self._recording.last
            if waited_s >= self._time_limit_s:
                self.is_hanging = True
                turn = self._recording.peek()
                text = f"the handler has not ended after {self._time_limit_s:g} s"
                events = () if turn is None else turn.events
                self._recording.found = Found(turn, text, events, None)
                return

    # --- the threads that move -----------------------------------------------------------------

    def _drive_on(self) -> None:
        """Have a thread take turns from here on."""
        context = copy_context()
        self._driver = threading.Thread(
            target=context.run, args=(self._drive,), name="rescind-rerun", daemon=True
        )
        self._driver.start()

    def _drive(self) -> None:
        try:
            if not self._take_turns():
                return  # the thread of another handler drives now
        except Abandon as error:
            if not isinstance(error, Diverged):
                return  # given up where it waited, by whoever drives
            self._error = error
        except BaseException as error:  # noqa: BLE001  # raised again by whoever looks on
            self._error = error
        self._ended.set()

    def _take_turns(self) -> bool:
        """Take turn after turn; tell whether the recording has ended."""
        recording, turns = self._recording, self._recording.turns
        self._driver = threading.current_thread()
        while (turn := turns.next) is not None:
            if turn.epoch != self._epoch:
                self._begin_epoch(turn)
            elif turn.number != recording.last + 1 and self._world is not None:
                self._leave(f"turns {recording.last + 1} to {turn.number - 1} are lost")
            if self._world is None:
                if turn.epoch >= self._wanted.epoch:
                    recording.unreachable += 1
                recording.advance()
                continue
            if not self._take(self._world, turn):
                return False
        self._end_epoch()
        return True

    def _take(self, world: World, turn: Recorded) -> bool:
        """Take a turn, or leave its epoch if that cannot be; tell whether to go on here."""
        try:
            return world.take(turn)
        except CannotGoOnError as error:
            self._leave(f"turn {turn.number} cannot be executed: {error}")
        except UndecodableError as error:
            self._leave(str(error))
        except (LateRequestError, PayloadWithheldError):
            raise
        except Exception as error:  # noqa: BLE001  # of a dialect's: a handler's is recorded
            what = f"deciding it raises {describe(error)}"
            line = place_raised(error.__traceback__)
            self._recording.fail(Found(turn, what, turn.events, None, line=line))
        return True

    def _begin_epoch(self, turn: Recorded) -> None:
        """Begin with new actors; each epoch's were others."""
        self._end_epoch()
        self._epoch = turn.epoch
        if turn.epoch < self._wanted.epoch:
            return
        if turn.number != self._recording.last + 1:
            lost = f"{self._recording.last + 1} to {turn.number - 1}"
            self._leave(f"epoch {turn.epoch} has no beginning: turns {lost} are not there")
            return
        self._world = World(self._recording, turn, self._wanted, self._drive_on, self._places)

    def _leave(self, reason: str) -> None:
        """Execute nothing more of this epoch."""
        self._recording.give_up(reason)
        if self._world is not None:
            self._world.close()
            self._world = None

    def _end_epoch(self) -> None:
        world = self._world
        if world is None:
            return
        unclaimed = world.unclaimed() if self._is_closed() else None
        if unclaimed is not None:
            number = unclaimed.cause if isinstance(unclaimed.cause, int) else 0
            self._recording.fail(Found(None, UNCLAIMED, None, unclaimed.message, number))
        world.close()
        self._world = None

    def _is_closed(self) -> bool:
        """Tell whether this epoch's writer closed its log, so that nothing of it is missing."""
        return self._recording.reader.is_closed(self._epoch)


def late_requests(reader: LogReader) -> NumberSet:
    """Return the requests that take a turn after they were delivered."""
    delivered, late = NumberSet(), NumberSet()
    damage = reader.damage
    for turn in reader:
        if turn.actor in delivered:
            late.add(turn.actor)
        for event in turn.events:
            if isinstance(event, Delivered | Discarded):
                for number in numbers_in(event.requests):
                    delivered.add(number)
    reader.damage = damage
    return late
