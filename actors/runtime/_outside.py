"""Where the application's work runs that actors give away: threads, and an event loop.

All of it is daemonic: work that never ends keeps nobody from leaving, and the runtime says which it
was.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("rescind.work")

THREADS_MAX = 32
"""So many functions run at a time; the others wait."""
IDLE_S = 10.0
"""A thread that had nothing to do for so long ends."""


class Threads:
    """A pool of threads that nobody has to wait for.

    One thread at a time is woken, and wakes the next one if it finds more to do than it takes.
    Most functions are short, and to wake a thread for each of many would only have them fight for
    the interpreter; one that blocks has others behind it all the same.

    What functions report, the thread that ran the last of them passes on: not one thread for each,
    but never so late that a function which blocks is before it.
    """

    def __init__(self, relieve: Callable[[], object]) -> None:
        """Begin without a thread; ``relieve`` sees to what the functions reported."""
        self._relieve = relieve
        self._jobs: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._count = 0
        self._is_coming = False
        """Whether a thread was woken or started that has not looked yet."""

    def perform(self, job: Callable[[], object]) -> None:
        """Call ``job`` in a thread, soon."""
        with self._changed:
            self._jobs.append(job)
            must_start = self._call_one()
        if must_start:
            self._start()

    def _call_one(self) -> bool:
        """See that a thread comes; tell whether it has to be started.  The lock is held."""
        if self._is_coming:
            return False
        if self._idle:
            self._changed.notify()
        elif self._count < THREADS_MAX:
            self._count += 1
        else:
            return False
        self._is_coming = True
        return not self._idle

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="rescind-work", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            with self._changed:
                self._is_coming = False
                self._count -= 1
                if self._count:
                    return
            raise

    def _run(self) -> None:
        self._is_coming = False
        while (job := self._next()) is not None:
            try:
                job()
            except Exception:
                logger.exception("a job failed: %r", job)

    def _next(self) -> Callable[[], object] | None:
        if not self._jobs:
            self._relieve()
        with self._changed:
            while not self._jobs:
                self._idle += 1
                is_called = self._changed.wait(IDLE_S)
                self._idle -= 1
                self._is_coming = False
                if not (is_called or self._jobs):
                    self._count -= 1
                    return None
            job = self._jobs.popleft()
            must_start = bool(self._jobs) and self._call_one()
            is_alone = not self._is_coming
        if must_start:
            self._start()
        if is_alone:
            self._relieve()
        return job


class LoopThread:
    """An event loop in a thread of its own, started when it is first asked for."""

    def __init__(self) -> None:
        """Begin without either."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop; any thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="rescind-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()

    def close(self, timeout_s: float) -> None:
        """Cancel what still runs there, and end the thread; it is given up after ``timeout_s``."""
        with self._lock:
            loop, thread = self._loop, self._thread
        if loop is None or thread is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(_cancel_all, loop)
        if thread is not threading.current_thread():
            thread.join(timeout_s)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()

    async def end() -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        loop.stop()

    loop.create_task(end())
