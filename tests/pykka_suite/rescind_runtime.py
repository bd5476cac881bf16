"""A pytest plugin: Pykka's own suite gets our actor class as one more of its runtimes.

Loaded with ``-p`` into the pytest that runs Pykka's suite.  That suite's fixture ``runtime`` has a
table of runtimes for its parameters; ours is added to it, so that every test that Pykka runs with
its own class is run with ours, too.
"""

import threading
import time
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from rescind.actors.runtime import Actor, Reply

OURS = "rescind"

_THREADS = "names ThreadingActor, and looks for the thread of one actor; ours have none"

LEFT_OUT = {
    f"tests/test_threading_actor.py::{name}": _THREADS
    for name in (
        "test_actor_thread_is_named_after_pykka_actor_class",
        "test_actor_thread_is_not_daemonic_by_default",
        "test_actor_thread_is_daemonic_if_use_daemon_thread_flag_is_set",
    )
}
"""Tests by name that are not run at all, and why."""

_outcomes: Counter[str] = Counter()
_left_out: set[str] = set()
_unseen: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_plugin_registered(plugin: object) -> None:
    """Put our class into the table of Pykka's conftest before pytest reads the fixture there."""
    if isinstance(plugin, ModuleType) and hasattr(plugin, "RUNTIMES"):
        from tests.types import Runtime  # type: ignore[import-not-found]  # Pykka's `tests`

        ours = Runtime(
            name=OURS,
            actor_class=Actor,
            event_class=threading.Event,
            future_class=Reply,
            sleep_func=time.sleep,
        )

        @pytest.fixture(
            scope="session", params=[*plugin.RUNTIMES.values(), pytest.param(ours, id=OURS)]
        )
        def runtime(request: pytest.FixtureRequest) -> Any:
            return request.param

        plugin.runtime = runtime  # type: ignore[attr-defined]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the table names."""
    _left_out.update(item.nodeid for item in items if item.nodeid in LEFT_OUT)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in LEFT_OUT])
    items[:] = [item for item in items if item.nodeid not in LEFT_OUT]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what passed under which runtime, and note what was neither passed nor failed."""
    if report.skipped or hasattr(report, "wasxfail"):
        _unseen.append(report.nodeid)
    elif report.passed and report.when == "call":
        _outcomes[_runtime_of(report.nodeid)] += 1


def _runtime_of(nodeid: str) -> str:
    parameters = nodeid.partition("[")[2].rstrip("]").split("-")
    return next((name for name in (OURS, "threading") if name in parameters), "")


def _complaints() -> list[str]:
    """Say why this was not all of Pykka's suite."""
    found = [f"skipped unseen: {name}" for name in _unseen]
    found += [f"left out, but not there: {name}" for name in LEFT_OUT if name not in _left_out]
    if _outcomes[OURS] == 0 or _outcomes[OURS] != _outcomes["threading"]:
        found.append("not every test of Pykka's own runtime passed under ours")
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that was not all of it."""
    if exitstatus == pytest.ExitCode.OK and _complaints():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts, what was left out and why, and what is wrong."""
    write = terminalreporter.write_line
    terminalreporter.section("Pykka's contract")
    write(f"{_outcomes[OURS]:4} passed with rescind.Actor")
    write(f"{_outcomes['threading']:4} passed with pykka.ThreadingActor, the same tests")
    write(f"{_outcomes['']:4} passed that need no actor class")
    write(f"{len(_left_out):4} left out:")
    for name in sorted(_left_out):
        write(f"     {name}: {LEFT_OUT[name]}")
    for complaint in _complaints():
        write(complaint, red=True)
