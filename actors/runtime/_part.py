"""A turn that can stand still: a thread that moves only when told, and then moves alone.

Where one thread has to play a whole runtime (``Stepped``, re-execution), a handler that waits
inside its turn cannot keep that thread; it gets a thread of its own instead.  At most one of them
moves at a time, so that they are coroutines in all but name.
"""

import threading
from collections.abc import Callable
from contextvars import Context, copy_context

from ._errors import Abandon
from ._waiting import Waitable

_END_TIMEOUT_S = 5.0


class Part:
    """One handler at a time, in a thread that is used again for the next."""

    def __init__(self) -> None:
        """Begin idle; the thread starts with the first handler."""
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._body: Callable[[], object] | None = None
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self.waits_for: Waitable | None = None
        """What the handler waits for, or None when it has ended."""
        self.until_ns: int | None = None
        """When the wait gives up."""

    def begin(self, body: Callable[[], object], timeout_s: float | None = None) -> bool:
        """Run a handler until it ends or waits; False when it does neither within ``timeout_s``."""
        self._body = body
        self._context = copy_context()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rescind-part", daemon=True)
            self._thread.start()
        return self.move(timeout_s)

    def move(self, timeout_s: float | None = None) -> bool:
        """Let the handler go on until it ends or waits."""
        self.waits_for = None
        self._go.release()
        moved = self._stopped.acquire(timeout=timeout_s)
        error, self._error = self._error, None
        if error is not None:
            raise error
        return moved

    def stand_still(self, waitable: Waitable, until_ns: int | None) -> None:
        """Wait to be moved; called by the handler in this part's thread."""
        self.waits_for = waitable
        self.until_ns = until_ns
        self._stopped.release()
        self._go.acquire()
        if self._is_ending:
            raise Abandon("nobody will ever answer")

    def end(self) -> None:
        """Let the thread end; a handler that still waits is given up where it stands."""
        self._is_ending = True
        if self._thread is not None:
            self._go.release()
            self._thread.join(_END_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            self._go.acquire()
            body, context = self._body, self._context
            if self._is_ending or body is None or context is None:
                return
            try:
                context.run(body)
            except BaseException as error:  # noqa: BLE001  # handed to whoever moves us
                self._error = error
            if self._is_ending:
                return
            self._stopped.release()
