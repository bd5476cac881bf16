"""Runtimes whose logs are audited after the test: they are whole, and the laws hold.

That a rerun finds no change in them is seen to for every test (``tests/reruns.py``).
"""

import os
from collections.abc import Iterable
from typing import Any

import pytest

from rescind.actors.runtime import Asyncio, Pinned, Runtime, Stepped
from rescind.events import By, Log, Submit, Turn, read
from rescind.replay import Verdict, check
from tests.reruns import RERUNS

from .helpers import Loop

DISPATCHERS = ("stepped", "thread", "pinned", "asyncio")
WAITING = ("stepped", "thread", "pinned")
"""Those under which every handler and every callback may wait."""
waits = pytest.mark.parametrize("dispatcher", WAITING, indirect=True)


class Recordings:
    """Opens runtimes and remembers them for ``audit``."""

    def __init__(self) -> None:
        self._made: list[Runtime] = []
        self._loop: Loop | None = None

    def loop(self) -> Loop:
        """Return the loop that runtimes under ``asyncio`` run in."""
        self._loop = self._loop or Loop()
        return self._loop

    def open(
        self,
        dispatcher: Any = None,
        *,
        path: Any = None,
        storage: Any = None,
        durability: str = "os",
        slow_turn_s: float | None = None,
        **options: Any,
    ) -> Runtime:
        """Open a runtime; ``dispatcher`` is one, or its name, or None for threads."""
        if dispatcher == "stepped":
            dispatcher = Stepped()
        elif dispatcher == "thread":
            dispatcher = None
        elif dispatcher == "pinned":
            dispatcher = Pinned()
        elif dispatcher == "asyncio":
            dispatcher = Asyncio(self.loop().loop)
        if storage is None:
            options |= {"durability": durability, "slow_turn_s": slow_turn_s}
            runtime = Runtime.open(path, dispatcher=dispatcher, **options)
        else:
            log = Log.create_or_open(
                None, storage=storage, durability=durability, entropy=os.urandom
            )
            runtime = Runtime(log, dispatcher=dispatcher)
        self._made.append(runtime)
        return runtime

    def audit(self) -> None:
        """Close every runtime and hold its log against the laws."""
        for runtime in self._made:
            runtime.close()
        if self._loop is not None:
            self._loop.close()
        for runtime in self._made:
            hold(runtime.log)


def audit(log: Any, classes: Iterable[type] = ()) -> None:
    """See that a log is whole, breaks no law, and is executed again without a difference."""
    hold(log)
    again = RERUNS.rerun(log, classes)
    if again.divergence is not None:
        pytest.fail("\n".join([str(again), *story(log)]))


def hold(log: Any) -> None:
    """See that a log is whole and breaks no law."""
    report = check(read(log))
    found = [
        f"{law.law} {each.text} at {each.turns}"
        for law in report.laws
        for each in law.of(Verdict.BROKEN)
    ]
    found += map(str, report.damage)
    if found:
        pytest.fail("\n".join([*found, *story(log)]))


def story(log: Any) -> list[str]:
    """Return a log as text, a turn a line."""
    return [
        f"{turn.number:4} a{turn.actor} {getattr(turn.origin, 'name', turn.origin):8} "
        f"<- {turn.cause and turn.cause.number} {turn.message} {list(turn.events)}"
        for turn in read(log)
    ]


def turns(runtime: Runtime) -> list[Any]:
    """Write what is recorded and return all turns."""
    if not runtime.closing:
        runtime.flush()
    return list(read(runtime.log))


def turn_of(runtime: Runtime, message: Any) -> Any:
    """Return the one turn that took ``message``: a kind, a message, or the data of an Output."""
    found = [turn for turn in turns(runtime) if _is(turn.message, message)]
    assert len(found) == 1, f"{len(found)} turns took {message!r}\n" + "\n".join(story(runtime.log))
    return found[0]


def _is(taken: Any, wanted: Any) -> bool:
    if isinstance(wanted, type):
        return isinstance(taken, wanted)
    if isinstance(wanted, str):
        return isinstance(taken, Submit) and list(taken.arguments) == [wanted]
    return type(taken) is type(wanted) and bool(taken == wanted)  # tuples of any kind are equal


def by_of(turn: Turn) -> By:
    """Return who made an application's call; there must be somebody."""
    assert turn.by is not None, f"nobody called turn {turn.number}"
    return turn.by


def events_of(runtime: Runtime, kind: type) -> list[Any]:
    """Return every event of one kind, in order."""
    return [event for turn in turns(runtime) for event in turn.events if isinstance(event, kind)]
