"""The dispatcher ``thread``: whoever waits runs turns; a thread in the background drains the rest.

Threads: normally one, started with the first work.  When a runner blocks (a script in a synchronous
call, a handler in a ``get``, a write that takes long), another takes over.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from ._actor import PINNED
from ._awaiting import until_done
from ._baton import Breath
from ._contracts import Dispatcher
from ._errors import Abandon
from ._outside import LoopThread, Threads
from ._waiting import Waitable, block

if TYPE_CHECKING:
    from ._actor import Actor
    from ._runtime import Runtime

logger = logging.getLogger("rescind.dispatcher")

RUNNERS_MAX = 2
"""Runners that stay although one would do: the second works while the first one writes."""
HELP_MAX = 4
"""Rounds of turns and a commit for which a thread that reported something stands in for a runner:
its turns, the deliveries that follow, and the records of those."""
INSIDE_MAX = 16
"""Handlers that may wait on one thread, each for the next; a stack is finite."""


def help_and_block(runtime: "Runtime", waitable: Waitable, timeout_s: float | None) -> bool:
    """Run turns while there are any that bring ``waitable`` about, then block.

    With a time-out, only block: a turn may last longer, and cannot be left.
    """
    try:
        if timeout_s is None:
            _help(runtime, waitable)
    finally:
        # A runner that was woken at once would have fought for the locks with this thread.
        if runtime.has_work:
            runtime.dispatcher.wake()
    return waitable.is_done or block(waitable, timeout_s, lambda: runtime.failure is not None)


def _help(runtime: "Runtime", waitable: Waitable) -> None:
    """Run turns until ``waitable`` is done or there is none to run."""
    hurried = runtime.baton.hurried
    hurried.append(None)
    try:
        with suppress(Abandon):  # of the handler that was helped: its runtime ended before it
            while not waitable.is_done and runtime.pump(scripts=False, helping=waitable.target):
                pass
    finally:
        hurried.pop()


_NOT_A_RUNNER = nullcontext()
NOBODY = 0
"""The number of no actor."""


class _Inside(threading.local):
    """How many handlers wait on this thread for a turn that runs on top of them."""

    depth = 0


class _Blocked:
    """While it lasts, a runner counts as blocked; a class, because each write passes through."""

    __slots__ = ("_dispatcher",)

    def __init__(self, dispatcher: "ThreadDispatcher") -> None:
        self._dispatcher = dispatcher

    def __enter__(self) -> None:
        self._dispatcher.set_blocked(is_blocked=True)

    def __exit__(self, *_: object) -> None:
        self._dispatcher.set_blocked(is_blocked=False)


class ThreadDispatcher(Dispatcher):
    """Real threads, real time."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._work = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._blocked: set[threading.Thread] = set()
        self._started = 0
        self._closed = False
        self._breath = Breath()
        self._outside = Threads(self.help)
        self._loop = LoopThread()
        self._inside = _Inside()
        self._worker: threading.Thread | None = None
        """The runner that runs turns now."""
        self._is_awake = False
        """Whether some runner is going to look for work, whatever it is doing now."""
        self._sleeps_until_ns: int | None = None
        """The deadline until which the runner sleeps that went to sleep last."""

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``."""
        self._runtime = runtime

    def wake(self) -> None:
        """See that some runner looks for work."""
        # Called at every call and report: nothing but a look when a runner is awake already.
        if not self._is_awake:
            self._is_awake = True
            if self._worker is not None:
                return  # it looks once more before it sleeps
            self._work.set()
            if len(self._threads) <= len(self._blocked):
                self._spare()

    def help(self) -> None:
        """Be the runner for a moment if there is none at work, but run no code that may block.

        With durability ``disk`` a commit takes long, and is left to the runners.
        """
        runtime = self._runtime
        if runtime.has_work and runtime.log.durability != "disk" and self._claim():
            try:
                self._stand_in()
            except BaseException as error:  # as in ``_run``
                logger.exception("the runtime stopped")
                runtime.fail(error)
            finally:
                self._disclaim()
        if runtime.has_work:
            self.wake()

    def _stand_in(self) -> None:
        hurried = self._runtime.baton.hurried
        hurried.append(None)
        try:
            for _ in range(HELP_MAX):
                if not self._runtime.pump(scripts=False, helping=NOBODY):
                    break
        finally:
            hurried.pop()

    def _spare(self) -> None:
        """Start a runner unless one is free."""
        with self._lock:
            if self._closed or len(self._threads) > len(self._blocked):
                return
            self._started += 1
            name = f"rescind-runner-{self._started}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.add(thread)
            try:
                thread.start()
            except RuntimeError:
                # No thread to be had, or the interpreter is going down: whoever waits runs turns.
                self._threads.discard(thread)
                if not self._runtime.is_ending:
                    logger.warning("no thread could be started to run turns", exc_info=True)

    # --- waiting -------------------------------------------------------------------------------

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Run turns while there are any, then block; with a time-out, only block.

        A turn may last longer than the time-out, and cannot be left.
        """
        if must_spare:
            return self._block_as_runner(waitable, timeout_s)
        return help_and_block(self._runtime, waitable, timeout_s)

    async def wait_async(self, waitable: Waitable) -> None:
        """Leave the turns to the threads in the background."""
        await until_done(waitable)

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Bring the answer about right here if that can be; else let others, with the baton."""
        if timeout_s is None and self._bring_about(waitable):
            return True
        baton = self._runtime.baton
        baton.release()
        try:
            return self._block_as_runner(waitable, timeout_s)
        finally:
            baton.take()

    def _bring_about(self, waitable: Waitable) -> bool:
        """Run turns on the stack of the handler that waits; tell whether that was enough.

        Not for a wait that may time out: its handler could not go on in time while one that stands
        on its stack waits for something else.  And not while others want to act, or a handler that
        asks again and again could keep out just what it waits for.
        """
        inside = self._inside
        if inside.depth >= INSIDE_MAX or self._runtime.others_could_act:
            return False
        inside.depth += 1
        try:
            return self._runtime.run_turns_inside(waitable)
        finally:
            inside.depth -= 1

    def _block_as_runner(self, waitable: Waitable, timeout_s: float | None) -> bool:
        runtime = self._runtime
        with self.may_block():
            self._is_awake = True
            self._work.set()
            self._spare()
            return block(waitable, timeout_s, lambda: runtime.must_give_up(waitable))

    def may_block(self) -> AbstractContextManager[None]:
        """Count this thread as blocked if it is a runner, so that new work finds another."""
        return _Blocked(self) if threading.current_thread() in self._threads else _NOT_A_RUNNER

    def set_blocked(self, *, is_blocked: bool) -> None:
        """Count the calling runner as blocked, or as blocked no longer."""
        current = threading.current_thread()
        with self._lock:
            if not is_blocked:
                self._blocked.discard(current)
                return
            self._blocked.add(current)
            if self._worker is current:
                self._worker = None
            self._is_awake = False
        # Whoever brought work since the last look counts on this runner, which may block for long;
        # and who sleeps may not know when the next timer is due.
        runtime = self._runtime
        if runtime.can_go_on or runtime.timers.next_deadline_ns() != self._sleeps_until_ns:
            self._is_awake = True
            self._work.set()
            self._spare()

    # --- running -------------------------------------------------------------------------------

    def pins(self, actor: "Actor") -> bool:
        """Pin the actors whose class says so."""
        return actor.dispatcher == PINNED

    def perform(self, job: Callable[[], object]) -> None:
        """Run it in a thread that runs no turns."""
        self._outside.perform(job)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return a loop of the runtime's own."""
        return self._loop.loop()

    def _run(self) -> None:
        try:
            while not self._must_leave():
                self._work.clear()
                # From here on whoever brings work wakes a runner; what came before is found below.
                self._is_awake = False
                while not self._closed and self._claim() and self._runtime.pump():
                    self._breath.take(at_once=self._runtime.has_released)
                self._disclaim()
                if not (self._closed or self._work.is_set()):
                    self._work.wait(self._next_s())
                    self._breath.rested()
        except Abandon:
            logger.info("a handler is given up: its runtime ended before it")
        except BaseException as error:  # a defect, or a log that failed: nobody may wait for ever
            logger.exception("the runtime stopped")
            self._runtime.fail(error)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _claim(self) -> bool:
        """Be the one runner that works; the others only stand in while that one blocks.

        Two that pass the locks to and fro would starve everybody else of the interpreter.
        """
        current = threading.current_thread()
        with self._lock:
            if self._worker is None:
                self._worker = current
            return self._worker is current

    def _disclaim(self) -> None:
        with self._lock:
            if self._worker is not threading.current_thread():
                return
            self._worker = None
            self._is_awake = False
        # What came since the last look has woken nobody, or only a runner that could not claim.
        if self._runtime.has_work:
            self._work.set()

    def _must_leave(self) -> bool:
        """Leave when closed, or when another runner is free; decided and done in one step."""
        with self._lock:
            if not self._closed and len(self._threads) - len(self._blocked) <= RUNNERS_MAX:
                return False
            self._threads.discard(threading.current_thread())
        # Another runner may have slept through work that was meant for this one.
        self._work.set()
        return True

    def _next_s(self) -> float | None:
        deadline_ns = self._sleeps_until_ns = self._runtime.timers.next_deadline_ns()
        if deadline_ns is None:
            return None
        return max(0.0, (deadline_ns - self._runtime.clock.monotonic_ns()) / 1e9)

    def close(self, timeout_s: float) -> None:
        """Let every runner finish what it is doing and leave."""
        until = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            threads = self._threads - self._blocked
        self._work.set()
        self._loop.close(timeout_s)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
