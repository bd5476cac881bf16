"""What a test leaves behind is executed again: unchanged code must find no difference.

Each runtime that is closed in a test leaves a recording.  When the test and its fixtures have
ended, it is executed again with the classes that the runtime knew.  What other processes record is
not seen here, nor what nobody closed.

A test whose recordings cannot come out equal says so, and why::

    @pytest.mark.not_repeatable("a global tells its actors when to stop")

It fails when they do come out equal; with ``tried=False``, which is for where threads decide that
or would be left behind, they are not executed.  No mark is needed where the differing actor took a
value that no log can carry, for the log says it.
"""

import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from rescind.actors.runtime import Actor, Runtime
from rescind.actors.runtime._closing import Closing
from rescind.events import declared_as, read
from rescind.replay import Rerun
from rescind.replay._rerun.rerun import rerun

TURNS_MAX = int(os.environ.get("RESCIND_RERUN_TURNS", "50000"))
"""Longer recordings are left out."""


@dataclass(slots=True)
class Left:
    """A recording that a test has left behind, and the classes that it was made with."""

    log: Any
    classes: set[type]

    @property
    def place(self) -> object:
        """Where it is kept; two runtimes may have written there."""
        return id(self.log) if self.log.path is None else str(self.log.path)

    def is_there(self) -> bool:
        return self.log.path is None or Path(self.log.path).is_dir()


class Reruns:
    """The recordings of the test that runs, and how all came out so far."""

    def __init__(self) -> None:
        self._left: list[Left] = []
        self._lists: WeakKeyDictionary[Closing, list[Left]] = WeakKeyDictionary()
        self._counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin with a test; what an earlier one closes late is not this one's."""
        self._left = []

    def opened(self, closing: Closing) -> None:
        """Hear of a runtime that was made."""
        self._lists[closing] = self._left

    def closed(self, closing: Closing) -> None:
        """Hear that its log is closed."""
        runtime = closing._runtime
        declared = {kind for kind in runtime.log.kind_ids if declared_as(kind)}
        actors = {cls for cls in runtime._classes if issubclass(cls, Actor)}
        self._lists[closing].append(Left(runtime.log, actors | declared))

    def rerun(self, log: Any, classes: Iterable[type] = ()) -> Rerun:
        """Execute a recording again, now and not once more when the test has ended."""
        self._left[:] = [each for each in self._left if each.log is not log]
        again = rerun(read(log), classes=classes)
        self._counts["equal" if again.divergence is None else "different"] += 1
        return again

    def end(self, marker: pytest.Mark | None) -> None:
        """Execute all that is left again, and fail the test that left it if that is due."""
        if marker is not None and not marker.kwargs.get("tried", True):
            self._counts["marked and not tried"] += len(self._left)
            return
        different = list(self._different())
        if marker is None:
            self._counts["different"] += len(different)
            if different:
                pytest.fail("\n".join(different), pytrace=False)
        else:
            self._counts["marked and different"] += len(different)
            if not different:
                text = f"marked as not repeatable ({marker.args[0]}), and yet nothing differs"
                pytest.fail(text, pytrace=False)

    def _different(self) -> Iterator[str]:
        places: dict[object, Left] = {}
        for each in self._left:
            places.setdefault(each.place, each).classes.update(each.classes)
        for left in places.values():
            if not left.is_there():
                continue
            if left.log.last_number > TURNS_MAX:
                self._counts["too long"] += 1
                continue
            again = rerun(read(left.log), classes=left.classes)
            if again.divergence is None:
                self._counts["equal"] += 1
            elif again.divergence.given:
                self._counts["different for what no log carries"] += 1
            else:
                yield f"executed again, the recording differs: {again}"

    def summary(self) -> str:
        """Tell how many recordings came out how."""
        told = (f"{count:,} {what}" for what, count in sorted((+self._counts).items()))
        return f"recordings executed again: {', '.join(told) or 'none'}"


RERUNS = Reruns()


def listen() -> None:
    """Hear of every runtime of this process that is made and closed."""
    init, finish_log = Closing.__init__, Closing._finish_log

    def init_and_tell(self: Closing, runtime: Runtime) -> None:
        init(self, runtime)
        RERUNS.opened(self)

    def finish_log_and_tell(self: Closing) -> None:
        try:
            finish_log(self)
        finally:
            RERUNS.closed(self)

    Closing.__init__ = init_and_tell  # type: ignore[method-assign]
    Closing._finish_log = finish_log_and_tell  # type: ignore[method-assign]


# --- hooks of pytest, which conftest.py takes over -----------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "not_repeatable(reason, tried=True): see tests/reruns.py")
    listen()


def pytest_runtest_setup() -> None:
    RERUNS.begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    yield
    RERUNS.end(item.get_closest_marker("not_repeatable"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(RERUNS.summary())
