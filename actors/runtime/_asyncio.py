"""The dispatcher ``asyncio``: turns run in the application's event loop."""

import asyncio
import contextlib
import logging
import threading
from asyncio import _get_running_loop  # the public one raises where there is none
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING

from ._actor import PINNED, Actor
from ._awaiting import until_done
from ._baton import Breath
from ._context import CAUSE
from ._contracts import Dispatcher
from ._errors import UsageError
from ._outside import Threads
from ._thread import help_and_block
from ._waiting import Waitable, block

if TYPE_CHECKING:
    from ._runtime import Runtime

logger = logging.getLogger("rescind.dispatcher")

TURNS_PER_CALLBACK = 64
"""Turns that run before the loop's other callbacks have theirs."""
_PASS_S = 0.1


class Asyncio(Dispatcher):
    """Handlers, callbacks and timers run in an event loop, between its other callbacks.

    Other threads may use the runtime as ever, and block; what ordinary actors do for them happens
    in the loop.  In the loop's own thread a blocking call is a ``UsageError``: await instead.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Run in ``loop``, or in the one that is running.

        Raises:
            UsageError: none is given, and none is running.
        """
        running = _get_running_loop()
        if loop is None and running is None:
            raise UsageError("no event loop is running here; give one: Asyncio(loop)")
        self._loop: asyncio.AbstractEventLoop = loop or running  # type: ignore[assignment]
        self._context = copy_context()
        self._context.run(CAUSE.set, None)
        self._is_scheduled = False
        self._closed = False
        self._breath = Breath()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns: int | None = None
        self._output = threading.Event()
        self._writer: threading.Thread | None = None
        self._outside = Threads(self.help)

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``."""
        self._runtime = runtime
        self._syncs = runtime.log.durability == "disk"

    # --- in the loop -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Have the loop call us once."""
        if self._is_scheduled or self._closed:
            return
        self._is_scheduled = True
        try:
            if _get_running_loop() is self._loop:
                self._loop.call_soon(self._run, context=self._context)
            else:
                self._loop.call_soon_threadsafe(self._run, context=self._context)
        except RuntimeError:  # the loop is closed: from here on whoever waits runs turns
            self._is_scheduled = False

    def _run(self) -> None:
        """Do a bounded part of what there is to do."""
        self._is_scheduled = False
        runtime = self._runtime
        if self._closed or runtime.failure is not None:
            return
        try:
            progress = runtime.fire_timers()
            progress |= runtime.run_turns(TURNS_PER_CALLBACK)
            self._commit()
            progress |= runtime.deliver()
        except (KeyboardInterrupt, SystemExit):
            self.wake()  # it is the loop's to end, and nothing of the runtime is lost
            raise
        except BaseException as error:  # a defect, or a log that failed: nobody may wait for ever
            logger.exception("the runtime stopped")
            runtime.fail(error)
            return
        if progress:
            self.wake()
            self._breath.take(at_once=runtime.has_released)
        self._set_timer()

    def _commit(self) -> None:
        if not self._syncs:
            self._runtime.commit(may_block=False)
        elif self._runtime.has_output:
            if self._writer is None:
                self._writer = threading.Thread(
                    target=self._write, name="rescind-writer", daemon=True
                )
                self._writer.start()
            self._output.set()

    def _write(self) -> None:
        """Commit in a thread of its own: to wait for the medium would stop the loop."""
        try:
            while not self._closed:
                self._output.wait()
                self._output.clear()
                self._runtime.commit()
                self.wake()
        except BaseException as error:
            logger.exception("the runtime stopped")
            self._runtime.fail(error)

    def _set_timer(self) -> None:
        deadline_ns = self._runtime.timers.next_deadline_ns()
        if deadline_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = deadline_ns
        if deadline_ns is not None:
            left_s = (deadline_ns - self._runtime.clock.monotonic_ns()) / 1e9
            when = self._loop.time() + max(0.0, left_s)
            self._timer = self._loop.call_at(when, self._fire, context=self._context)

    def _fire(self) -> None:
        self._timer = self._timer_ns = None
        self._run()

    def pins(self, actor: Actor) -> bool:
        """Pin the actors whose class says so."""
        return actor.dispatcher == PINNED

    # --- in other threads ------------------------------------------------------------------------

    def perform(self, job: Callable[[], object]) -> None:
        """Run it in a thread that runs no turns."""
        self._outside.perform(job)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the application's loop."""
        return self._loop

    def may_wait(self) -> bool:
        """Allow it in every thread but the loop's."""
        return _get_running_loop() is not self._loop

    def may_handle(self) -> bool:
        """Allow it in the loop's thread, and everywhere when the loop has ended."""
        return _get_running_loop() is self._loop or not self._loop.is_running()

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Run the kernel's turns while there are any, then block; never in the loop's thread."""
        del must_spare  # callbacks run in the loop, where nobody waits
        return help_and_block(self._runtime, waitable, timeout_s)

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Hand the baton on and block: a pinned actor's thread."""
        runtime = self._runtime
        runtime.baton.release()
        try:
            self.wake()
            return block(waitable, timeout_s, lambda: runtime.must_give_up(waitable))
        finally:
            runtime.baton.take()

    async def wait_async(self, waitable: Waitable) -> None:
        """Let the loop go on until ``waitable`` is done."""
        await until_done(waitable)

    def settle(self) -> bool:
        """Give the loop time for the turns that only it runs; tell whether there were any."""
        if self.may_handle() or not self._runtime.has_work:
            return False
        passed = threading.Event()
        self.wake()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(passed.set)
            passed.wait(_PASS_S)
        return True

    def close(self, timeout_s: float) -> None:
        """Run nothing any more."""
        self._closed = True
        self._output.set()
        if self._writer is not None:
            self._writer.join(timeout_s)
        if self._timer is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._timer.cancel)
