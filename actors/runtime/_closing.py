"""The end of a runtime: in order, within a deadline, and naming who did not stop."""

# ruff: noqa: SLF001  # the end touches everything there is; it stands here to be read in one piece

import asyncio
import atexit
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from types import FrameType
from typing import TYPE_CHECKING

import pykka

from rescind.events import RescindError

from ._actor import Actor, short_name
from ._awaiting import until_done
from ._context import STANDS_FOR, calling_frame, outside_frame
from ._engine import logger
from ._errors import CloseTimeoutError
from ._lost import bury
from ._outbox import Detour
from ._registry import unregister
from ._reply import Reply, finish
from ._stepped import Stepped
from ._supervision import end_pauses
from ._waiting import block

if TYPE_CHECKING:
    from ._runtime import Runtime

CLOSE_TIMEOUT_S = 5.0
GRACE_S = 1.0
"""How long all the rest may take, the writing of the log for one, after those who did not stop."""
JOIN_TIMEOUT_S = 0.5
"""How long it waits, beyond the deadline, for threads that run nothing any more."""
_LOOK_S = 1e-3


class Closing:
    """Closes one runtime, once, in a thread of its own: nobody who closes it waits for ever."""

    def __init__(self, runtime: "Runtime") -> None:
        """Wait to be begun."""
        self._runtime = runtime
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_begun = False
        self._done: Reply[None] = Reply()
        self._deadline = 0.0
        self._late: tuple[str, ...] = ()

    def prepare(self) -> None:
        """See that a program that ends without closing closes, which needs a thread by then.

        None can be started any more when the interpreter ends.  A stepped runtime needs none.
        """
        atexit.register(self._close_at_exit)
        if not isinstance(self._runtime.dispatcher, Stepped):
            thread = threading.Thread(target=self._work, name="rescind-close", daemon=True)
            with contextlib.suppress(RuntimeError):  # there is none to be had
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        self._jobs.get()()

    # --- whoever closes ------------------------------------------------------------------------

    def close(self, timeout_s: float) -> None:
        """Close, or wait until another thread has."""
        runtime = self._runtime
        if self._done.is_done:
            return
        with runtime.outside_script(), runtime.dispatcher.may_block():
            if not self._begins(timeout_s):
                block(self._done, self._left_s() + GRACE_S, lambda: False)
        self._end(timeout_s)

    async def aclose(self, timeout_s: float) -> None:
        """Close, while the loop goes on."""
        if self._done.is_done:
            return
        self._begins(timeout_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._left_s() + GRACE_S):
                await until_done(self._done)
        self._end(timeout_s)

    def _close_at_exit(self) -> None:
        try:
            self._runtime.close(CLOSE_TIMEOUT_S)
        except RescindError as error:
            logger.error("%s", error)  # nobody is left whose code this went through

    def _begins(self, timeout_s: float) -> bool:
        """Begin on behalf of the calling thread and line; True if that was also the end."""
        with self._lock:
            if self._is_begun:
                return False
            self._is_begun = True
            self._deadline = time.monotonic() + timeout_s
        runtime = self._runtime
        if self._thread is None:
            self.prepare()
        if self._thread is None:
            self._run()
            return True
        who = runtime.callers.who()
        context = copy_context()
        context.run(STANDS_FOR.set, calling_frame())

        def job() -> None:
            runtime.callers.stand_for(who)
            context.run(self._run)

        self._jobs.put(job)
        return False

    def _left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _end(self, timeout_s: float) -> None:
        """Raise what the end met; give up what did not come to its end."""
        atexit.unregister(self._close_at_exit)
        if not self._done.is_done:
            late = self._who_is_late()
            error = CloseTimeoutError(late, timeout_s, is_whole=False)
            with contextlib.suppress(queue.Full):
                self._done.set_exception((type(error), error, None))
                self._runtime.fail(error)
        elif self._late:
            raise CloseTimeoutError(self._late, timeout_s, is_whole=True)
        self._done.get()

    # --- the end itself ------------------------------------------------------------------------

    def _run(self) -> None:
        result: tuple[type[BaseException], BaseException, None] | None = None
        try:
            self._close()
        except BaseException as error:  # noqa: BLE001  # raised again by whoever closes
            result = (type(error), error, None)
        with contextlib.suppress(queue.Full):  # it was given up meanwhile
            finish(self._done, None, result)

    def _close(self) -> None:
        runtime = self._runtime
        runtime.is_ending = True
        try:
            for owned in reversed(runtime.owned):
                with contextlib.suppress(RescindError):
                    owned.close()
            self._stop_actors()
            if runtime.failure is None:
                for resident in reversed(runtime.residents.values()):
                    resident.close()
                self._settle()
        finally:
            self._finish_turns()
            runtime.dispatcher.close(max(JOIN_TIMEOUT_S, self._left_s()))
            self._finish_log()

    def _stop_actors(self) -> None:
        """Stop all actors, the last started first, and those that they start meanwhile."""
        runtime = self._runtime
        told: set[int] = set()
        while runtime.failure is None and self._left_s():
            left = [
                each
                for each in runtime.youngest_first()
                if each.number not in told and not self._rests(each)
            ]
            if not left:
                return
            for actor in left:
                told.add(actor.number)
                actor.actor_ref.stop(block=False)
            self._settle()

    def _rests(self, actor: Actor) -> bool:
        """Tell whether an actor is left as it is, for the next process."""
        return self._runtime.leaves_actors and actor.EVENT_SOURCED

    def _settle(self) -> None:
        """Let everything happen that can, until the deadline."""
        runtime = self._runtime
        while runtime.failure is None:
            if runtime.run_turns() or runtime.commit() or runtime.deliver():
                continue
            if not self._left_s() or not self._others_go_on():
                return

    def _others_go_on(self) -> bool:
        """Give other threads a moment; tell whether one of them has something to do."""
        runtime = self._runtime
        with runtime.baton:  # no handler runs now but those of pinned actors
            is_more = runtime.has_work
            waits = dict(runtime.waits_in_turn)
            busy = [
                pin
                for number, pin in runtime._pins.items()
                if pin.actor.actor_ref.is_suspended and number not in waits
            ]
            going_on = [
                each for each in waits.values() if each.is_done or runtime.must_give_up(each)
            ]
        if runtime.dispatcher.settle() or is_more:
            return True
        if not (busy or going_on or runtime.is_leaving):
            if not waits:
                return False
            # Who could have answered has come to an end, or never will.
            runtime.end_waits([each for each in waits.values() if each.taker not in waits])
        time.sleep(_LOOK_S)
        return True

    def _finish_turns(self) -> None:
        """Run no turn from here on; whoever still waits for one hears that its actor is dead."""
        runtime = self._runtime
        with runtime.baton, runtime._door:
            runtime.closing = True
            for parked in runtime._parked.values():
                runtime._backlog.extend(parked)
            runtime._parked.clear()
            if runtime.failure is None:
                self._late = tuple(self._names_of_late())
            self._end_pins()
            for actor in runtime.actors.values():
                runtime._backlog.extend(runtime.stashes.forget(actor.actor_ref))
                unregister(actor.actor_ref)
            end_pauses(runtime)
        runtime.mailboxes.close()
        left = runtime.take_waiting()
        if runtime.failure is None:
            with runtime.baton:
                for envelope in left:
                    if isinstance(envelope.cause, Detour):
                        envelope.cause.run(envelope)
                    else:
                        bury(runtime, envelope)
            runtime.commit()
            while runtime.deliver():
                pass

    def _end_pins(self) -> None:
        """Give up the pinned actors that did not stop in time; the baton is held."""
        runtime = self._runtime
        for pin in runtime._pins.values():
            pin.end()
            reply = pin.out.reply
            if runtime.failure is None and reply is not None:
                error = pykka.ActorDeadError(f"{pin.actor} did not come to an end")
                runtime._effects.append((finish, reply, None, (type(error), error, None)))

    def _finish_log(self) -> None:
        runtime = self._runtime
        try:
            if runtime.failure is None:
                runtime.commit()
        finally:
            with runtime._commit:
                runtime._is_log_closed = True
                runtime.log.close()
                if runtime.observer is not None:
                    runtime.observer.close()

    # --- who is late ---------------------------------------------------------------------------

    def _who_is_late(self) -> tuple[str, ...]:
        late = list(self._names_of_late())
        if not late and self._thread is not None:
            place = _place(sys._current_frames().get(self._thread.ident or 0))
            late.append(f"the runtime itself{place}")
        return tuple(late)

    def _names_of_late(self) -> Iterator[str]:
        """Name whatever keeps the runtime; without a lock, as one of them may hold it."""
        runtime = self._runtime
        frames = sys._current_frames()
        busy = dict(runtime._handlers)
        for thread, out in busy.items():
            what = type(out.message).__name__
            yield f"{short_name(out.actor)} in its {what}{_place(frames.get(thread))}"
        if runtime._world.locked():
            yield f"a callback{_place(frames.get(runtime._world_owner))}"
        elif not busy:
            actors = list(runtime.actors.values())
            yield from (short_name(each) for each in actors if not self._rests(each))


def _place(frame: FrameType | None) -> str:
    """Say where a thread is in the application's code."""
    frame = None if frame is None else outside_frame(frame)
    if frame is None:
        return ""
    code = frame.f_code
    return f" at {code.co_filename}:{frame.f_lineno} in {code.co_name}"
