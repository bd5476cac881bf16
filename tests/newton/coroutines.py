"""Coroutines with a runtime, under each dispatcher, and an audit of the log at their end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rescind import newton
from rescind.actors.runtime import Asyncio, Runtime, Stepped

from .stage import audit

WAIT_S = 20.0
"""How long anything may take before the test fails; nothing normally comes near it."""
LOOK_S = 0.001

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
    chosen = {"thread": lambda: None, "asyncio": Asyncio}[dispatcher]()
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
