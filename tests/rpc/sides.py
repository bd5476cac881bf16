"""The logs of both sides of an application, which are judged and executed again after each test."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rescind import Runtime
from rescind.events import LogReader, Turn, read
from rescind.replay import Verdict, check, rerun, why
from rescind.replay._words.text import as_text

from . import shop


class Side(NamedTuple):
    """A runtime and its log, in the place of a process."""

    runtime: Runtime
    path: Path

    def read(self) -> LogReader:
        """Return a reader behind all that was recorded so far."""
        self.runtime.flush()
        return read(self.path)

    def turns(self) -> list[Turn]:
        """Return what was recorded so far."""
        return list(self.read())

    def until(self, is_there: Callable[[Any], bool]) -> list[Turn]:
        """Wait until an event is recorded that another thread or process brings about."""
        for _ in range(500):
            turns = self.turns()
            if any(is_there(event) for turn in turns for event in turn.events):
                return turns
            time.sleep(0.01)
        raise AssertionError("nothing of the kind was recorded")

    def why(self, selector: str, *others: "Side") -> str:
        """Return the screen of ``rescind why``."""
        story = why(self.read(), selector, others=[each.read() for each in others])
        return as_text(story.lines())


class Sides(NamedTuple):
    """The logs of both sides."""

    client: Side
    server: Side


@pytest.fixture(autouse=True)
def nobody_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the handlers of other tests that ran."""
    monkeypatch.setattr(shop, "running", threading.Semaphore(0))


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Sides]:
    paths = tmp_path / "client", tmp_path / "server"
    with Runtime.open(paths[0]) as client, Runtime.open(paths[1]) as server:
        yield Sides(Side(client, paths[0]), Side(server, paths[1]))
    for path in paths:
        report = check(read(path))
        assert report.verdict is Verdict.HOLDS, f"rescind check {path}: {report}"
        again = rerun(path)
        assert (again.divergence, again.unreachable) == (None, 0), f"rescind rerun {path}"
        assert again.turns or not again.skipped, "nothing was executed"
