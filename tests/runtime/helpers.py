"""Threads and media that a test can hold still."""

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from rescind.events import DirectoryStorage, MemoryStorage

PATIENCE_S = 15
"""How long something may take that must not hang; reached only by a failing test."""


class Helper:
    """Calls a function in a daemon thread, so that a hang fails its test and not the whole run."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="helper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            self._error = error

    def is_done(self, timeout_s: float) -> bool:
        """Tell whether the function returns within ``timeout_s``."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._value


class Loop:
    """An event loop in a thread of its own, in which a test's own thread is a guest."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)
        self._thread.start()
        self.run(asyncio.sleep(0))  # it runs from here on

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_S)

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


class Gate:
    """Something that a thread runs into, and that says so."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._reached = threading.Event()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def shut(self) -> None:
        self._reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE_S), "nothing ran into the gate"

    def pass_through(self) -> None:
        if not self._open.is_set():
            self._reached.set()
            assert self._open.wait(PATIENCE_S * 2), "nobody opened the gate"


class GatedStorage(DirectoryStorage):
    """A directory whose writes, or whose syncs, go through a gate."""

    def __init__(self, path: Any, where: str) -> None:
        super().__init__(path)
        self.gate = Gate()
        self.where = where

    def append(self, segment: int, offset: int, data: bytes) -> None:
        if self.where == "append":
            self.gate.pass_through()
        super().append(segment, offset, data)

    def sync(self, segment: int) -> None:
        if self.where == "sync":
            self.gate.pass_through()
        super().sync(segment)


class FullStorage(MemoryStorage):
    """A medium that is full when the test says so."""

    is_full = False

    def append(self, segment: int, offset: int, data: bytes) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(segment, offset, data)
