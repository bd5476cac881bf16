"""The same actors for both sides: handlers to be put upon a base class, ours or Pykka's.

Each side imports its base class when it runs.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Start: TypeAlias = Callable[..., Any]
"""``start(handlers, *args)``: start an actor with these handlers; its reference."""


class Counter:
    """Counts what it takes, and says how much when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    def on_receive(self, message: Any) -> Any:
        if message == "taken?":
            return self.taken
        self.taken += 1
        return None


class Echo:
    """Answers with what it was asked."""

    def on_receive(self, message: Any) -> Any:
        return message


class Asker:
    """Asks another actor as often as it is told to, one ask after the other."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        self.other = other

    def on_receive(self, n: int) -> int:
        return sum(self.other.ask(1) for _ in range(n))


def pykka_start() -> Start:
    """Start on stock Pykka: a thread for each actor, no log."""
    import pykka

    return lambda handlers, *args: class_on(handlers, pykka.ThreadingActor).start(*args)


@contextmanager
def our_runtime() -> Iterator[Any]:
    """A runtime of ours, with every turn logged to a directory at ``os``."""
    from rescind import Runtime

    with (
        tempfile.TemporaryDirectory(prefix="rescind-benchmark-") as folder,
        Runtime.open(f"{folder}/actors.log", durability="os") as runtime,
    ):
        yield runtime


@contextmanager
def our_start() -> Iterator[Start]:
    """Start in such a runtime."""
    with our_runtime() as runtime:
        yield start_in(runtime)


def start_in(runtime: Any) -> Start:
    """Start in a runtime of ours."""
    from rescind import Actor

    return lambda handlers, *args: runtime.start(class_on(handlers, Actor), *args)


_MADE: dict[tuple[type, type], Any] = {}


def class_on(handlers: type, base: type) -> Any:
    """The class with these handlers upon a base class; made once, as a program would."""
    key = (handlers, base)
    if key not in _MADE:
        _MADE[key] = type(handlers.__name__, (handlers, base), {})
    return _MADE[key]


class Task:
    """What comes nearest to an actor in asyncio: a task that takes messages out of a queue.

    ``handle`` may be a function or a coroutine function; a message None ends the task.
    """

    def __init__(self, handle: Callable[[Any], Any]) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._handle = handle
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while (taken := await self._queue.get()) is not None:
            message, future = taken
            answer = self._handle(message)
            if isinstance(answer, Coroutine):
                answer = await answer
            if future is not None:
                future.set_result(answer)

    def tell(self, message: Any) -> None:
        self._queue.put_nowait((message, None))

    def ask(self, message: Any) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((message, future))
        return future

    async def stop(self) -> None:
        self._queue.put_nowait(None)
        await self.task
