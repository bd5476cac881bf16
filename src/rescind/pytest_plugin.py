"""The pytest plugin: the fixture ``rescind``, the marker of that name and ``--rescind-seed``.

It stands in the package's face, above all rooms, because it holds a runtime of `rescind.actors`
against the laws of `rescind.replay`, and because pytest imports it in every run in an environment
that has rescind: with it nothing of a room is loaded before a test uses the fixture.
"""

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from rescind.actors.native import SteppedRuntime

SEQUENCES_MAX = 5
"""Cancellations that are printed of a failed test, from the last one back."""
NAME_MAX = 100
"""Characters of a log's name."""

_SEED = pytest.StashKey[int | None]()
_RUNTIME = pytest.StashKey["SteppedRuntime"]()
_BROKEN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to repeat one schedule."""
    parser.getgroup("rescind").addoption(
        "--rescind-seed",
        type=int,
        metavar="N",
        help="run tests with the fixture 'rescind' under schedule N and no other",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "rescind(seeds=1): run the test under so many schedules, until it fails under one; they"
        " are those of its fixture 'rescind'",
    )


@pytest.fixture
def rescind(request: pytest.FixtureRequest) -> Iterator["SteppedRuntime"]:
    """A runtime in memory in which nothing moves until told: ``step``, ``run``, ``advance``.

    Its ``twin`` stands in for real work.  After the test the laws are proved on its log.
    """
    from rescind.actors.native import SteppedRuntime
    from rescind.actors.runtime import Stepped

    seed = _seed_of(request.node)
    stepped = Stepped() if seed is None else Stepped(seed, shuffle=True)
    with SteppedRuntime.open(dispatcher=stepped) as runtime:
        request.node.stash[_RUNTIME] = runtime
        yield runtime
    _prove_laws(request.node, runtime)


def _seed_of(item: pytest.Item) -> int | None:
    return item.stash.get(_SEED, item.config.getoption("rescind_seed"))


# --- many schedules ------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a marker that says nothing: misspelt, or without the fixture."""
    for item in items:
        if item.get_closest_marker("rescind") is not None:
            _schedules(item)


def _schedules(item: pytest.Item) -> Sequence[int]:
    """Return the seeds of a marked test, in their order."""
    marker = item.get_closest_marker("rescind")
    if marker is None:
        return ()
    where = f"{item.nodeid}: @pytest.mark.rescind"
    if "rescind" not in getattr(item, "fixturenames", ()):
        raise pytest.UsageError(f"{where} is for tests that take the fixture 'rescind'")
    options = {"seeds": 1, **marker.kwargs}
    seeds = options.pop("seeds")
    if marker.args or options or type(seeds) is not int or seeds < 1:
        raise pytest.UsageError(f"{where} takes seeds=, how many schedules: a number from 1 on")
    given = item.config.getoption("rescind_seed")
    return range(seeds) if given is None else (given,)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a marked test under one schedule after the other, each with all fixtures made anew."""
    seeds = _schedules(item)
    if not seeds:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = _run_until_failed(item, seeds)
    shared = _take_down_shared(item, nextitem)
    if shared.failed:
        reports.append(shared)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run_until_failed(item: pytest.Item, seeds: Sequence[int]) -> list[pytest.TestReport]:
    """Return the reports of the first schedule that was not passed, or of the last."""
    # To pytest the test's parent is next: so all is taken down that was set up for the test alone.
    parent = cast("pytest.Item", item.parent)
    reports: list[pytest.TestReport] = []
    for seed in seeds:
        item.stash[_SEED] = seed
        item.stash[_BROKEN] = []
        if _RUNTIME in item.stash:
            del item.stash[_RUNTIME]
        item._report_sections.clear()  # noqa: SLF001  # the output of earlier schedules
        reports = runtestprotocol(item, log=False, nextitem=parent)
        if not all(map(_lets_go_on, reports)):
            break
    return reports


def _lets_go_on(report: pytest.TestReport) -> bool:
    """Say whether the next schedule is tried; an expected failure may still come."""
    return report.passed or str(report.longrepr).startswith("[XPASS(strict)]")


def _take_down_shared(item: pytest.Item, nextitem: pytest.Item | None) -> pytest.TestReport:
    """Take down what the test shares with others, as far as the next test needs none of it."""
    session = item.session
    following = None if session.shouldfail or session.shouldstop else nextitem

    def take_down() -> None:
        session._setupstate.teardown_exact(following)  # noqa: SLF001  # what the runner itself does

    interrupts = (pytest.exit.Exception, KeyboardInterrupt)
    call = pytest.CallInfo[None].from_call(take_down, "teardown", interrupts)
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report


# --- what is checked, and what is told -----------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let a test fail that was passed, but broke a law."""
    yield
    runtime = item.stash.get(_RUNTIME, None)
    if runtime is not None:
        _prove_laws(item, runtime)


def _prove_laws(item: pytest.Item, runtime: "SteppedRuntime") -> None:
    """Fail the running test if its log breaks a law in a way that has not been told yet."""
    from rescind.events import read
    from rescind.replay import Verdict, check

    if not runtime.closing:
        runtime.flush()
    found = [
        f"{law.law} broken: {finding.text} (turns {', '.join(map(str, finding.turns))})"
        for law in check(read(runtime.log)).laws
        for finding in law.of(Verdict.BROKEN)
    ]
    told = item.stash.setdefault(_BROKEN, [])
    new = [each for each in found if each not in told]
    if new:
        told += new
        pytest.fail("\n".join(new), pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failed test what its log knows, and how to see it again."""
    report = yield
    runtime = item.stash.get(_RUNTIME, None)
    if report.failed and runtime is not None:
        seed = _seed_of(item)
        title = "rescind" if seed is None else f"rescind, schedule {seed}"
        report.sections.append((title, _story(item, runtime, seed)))
        del item.stash[_RUNTIME]  # told once
    return report


def _story(item: pytest.Item, runtime: "SteppedRuntime", seed: int | None) -> str:
    from rescind.events import RescindError, read
    from rescind.replay._sequences.screen import last_sequences

    try:
        if not runtime.closing:
            runtime.flush()
        told = last_sequences(read(runtime.log), SEQUENCES_MAX)
        path = _saved(item, runtime)
    except (RescindError, OSError) as error:
        return f"the log cannot be shown or kept: {error}\nagain  {_again(item, seed)}"
    return f"{told}\n\nlog    {path}\nagain  {_again(item, seed)}"


def _saved(item: pytest.Item, runtime: "SteppedRuntime") -> str:
    """Keep the log in pytest's cache, in the place of an earlier one of the same test."""
    cache = getattr(item.config, "cache", None)  # its plugin may be switched off
    folder = Path(tempfile.mkdtemp(prefix="rescind-")) if cache is None else cache.mkdir("rescind")
    name = re.sub(r"[^\w.-]+", "-", item.nodeid)[-NAME_MAX:]
    path = folder / f"{name}.log"
    shutil.rmtree(path, ignore_errors=True)
    runtime.log.save(path)
    here = item.config.invocation_params.dir
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _again(item: pytest.Item, seed: int | None) -> str:
    """Return the command that repeats a test under the same schedule."""
    by_module = Path(sys.argv[0]).name == "__main__.py"
    words = ["python", "-m", "pytest"] if by_module else ["pytest"]
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    _, colons, name = item.nodeid.partition("::")
    words.append(f"{file}{colons}{name}")
    return shlex.join(words if seed is None else [*words, f"--rescind-seed={seed}"])
