"""Coroutines with a runtime, under each dispatcher, and an audit of the log at their end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest

from rescind import newton
from rescind.actors.runtime import Asyncio, Runtime, Stepped
from rescind.events import read

from .stage import DirectedTwin, audit

WAIT_S = 20.0
"""How long anything may take before the test fails; nothing normally comes near it."""
LOOK_S = 0.001

LINE = newton.InputSpec(termination=newton.Termination(end_sequence="\n"))
FOUR = newton.InputSpec(termination=newton.Termination(byte_count=4))
SHORT_S = 0.05
"""After which a test gives up waiting for what does not come."""
Scenario = Callable[[Runtime], Coroutine[Any, Any, None]]


def play(dispatcher: str, scenario: Scenario) -> Runtime:
    """Run a scenario with a runtime, close that, hold its log against the laws; return it."""
    if dispatcher == "stepped":
        runtime = _step(scenario)
    else:
        runtime = asyncio.run(_run(dispatcher, scenario))
    audit(runtime)
    return runtime


def _step(scenario: Scenario) -> Runtime:
    """Run in the stepped runtime's own loop, in virtual time."""
    stepped = Stepped()
    with Runtime.open(dispatcher=stepped) as runtime:
        task = stepped.loop().create_task(scenario(runtime))
        stepped.advance(WAIT_S)
        has_ended = task.done()
        task.cancel()
        stepped.run()
        assert has_ended, "it waits for what never comes"
        task.result()
    return runtime


async def _run(dispatcher: str, scenario: Scenario) -> Runtime:
    chosen = Asyncio() if dispatcher == "asyncio" else None
    async with Runtime.open(dispatcher=chosen) as runtime, asyncio.timeout(WAIT_S):
        await scenario(runtime)
    return runtime


async def until(holds: Callable[[], object]) -> None:
    """Return once something holds that other threads, or other tasks, bring about."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110  # nobody sets an event for it
            await asyncio.sleep(LOOK_S)


async def turns_of_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def code_of(awaitable: Any) -> int | None:
    """Return the code that awaiting raises, or None if it succeeds."""
    try:
        await awaitable
    except newton.CommError as error:
        return error.code
    return None


def events_of(runtime: Runtime, kind: type) -> list[Any]:
    return [each for turn in read(runtime.log) for each in turn.events if isinstance(each, kind)]


async def give_up(awaitable: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT_S):
            await awaitable


class Act:
    """One endpoint over a twin, connected, for coroutines."""

    def __init__(self, runtime: Runtime, on_cancel: Any = "abandon", **twin: Any) -> None:
        self.runtime = runtime
        self.twin = DirectedTwin(**twin)
        self.reports: list[Any] = []
        self.ep = newton.AsyncEndpoint(
            runtime,
            self.twin,
            on_cancel=on_cancel,
            exception_handler=lambda _endpoint, report: self.reports.append(report),
        )

    async def __aenter__(self) -> Self:
        await self.ep.bind()
        await self.ep.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ep.dispose()
        assert not self.reports

    async def outputs(self, *names: str) -> list[asyncio.Task[Any]]:
        """Start a task for each Output; returns when they have reached the tool."""
        tasks = [asyncio.create_task(self.ep.output(name), name=name) for name in names]
        await until(lambda: set(names) <= set(self.twin.sent))
        return tasks

    async def posted(self) -> None:
        """Return once a receive is posted."""
        await until(lambda: "Receive" in {asked[1] for asked in self.twin.pending.values()})
