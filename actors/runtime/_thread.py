"""The dispatcher ``thread``: whoever waits runs turns; a thread in the background drains the rest.

Threads: normally one, started with the first work.  When a runner blocks (a script in a synchronous
call, a handler in a ``get``), another takes over; runners beyond one leave when they find nothing
to do.
"""

import logging
import threading
from typing import TYPE_CHECKING

from ._waiting import Waitable, block

if TYPE_CHECKING:
    from ._runtime import Runtime

logger = logging.getLogger("rescind.dispatcher")

CLOSE_TIMEOUT_S = 5.0


class ThreadDispatcher:
    """Real threads, real time."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._work = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._blocked = 0
        self._started = 0
        self._closed = False

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``."""
        self._runtime = runtime

    def wake(self) -> None:
        """See that some runner looks for work."""
        if not self._work.is_set():
            self._work.set()
        if not self._threads:
            self._spare()

    def _spare(self) -> None:
        """Start a runner unless one is free."""
        with self._lock:
            if self._closed or len(self._threads) > self._blocked:
                return
            self._started += 1
            thread = threading.Thread(
                target=self._run, name=f"rescind-runner-{self._started}", daemon=True
            )
            self._threads.add(thread)
        thread.start()

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Run turns while there are any, then block."""
        if not must_spare:
            while not waitable.is_done and self._runtime.pump(scripts=False):
                pass
            return waitable.is_done or block(waitable, timeout_s)
        is_runner = threading.current_thread() in self._threads
        with self._lock:
            self._blocked += is_runner
        try:
            self._work.set()
            self._spare()
            return block(waitable, timeout_s)
        finally:
            with self._lock:
                self._blocked -= is_runner

    def _run(self) -> None:
        try:
            while not self._closed and not self._is_superfluous():
                self._work.clear()
                while not self._closed and self._runtime.pump():
                    pass
                if not self._closed:
                    self._work.wait(self._next_s())
        except BaseException as error:  # a defect, or a log that failed: nobody may wait for ever
            logger.exception("the runtime stopped")
            self._runtime.fail(error)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _is_superfluous(self) -> bool:
        with self._lock:
            return len(self._threads) - self._blocked > 1

    def _next_s(self) -> float | None:
        deadline_ns = self._runtime.timers.next_deadline_ns()
        if deadline_ns is None:
            return None
        return max(0.0, (deadline_ns - self._runtime.clock.monotonic_ns()) / 1e9)

    def close(self) -> None:
        """Let every runner finish what it is doing and leave."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        self._work.set()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(CLOSE_TIMEOUT_S)
