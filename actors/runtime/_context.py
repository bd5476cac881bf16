"""Who calls, from where, and because of what.

The context variable follows callbacks and asyncio tasks by itself, and a thread that is started
with ``contextvars.copy_context().run``.
"""

import asyncio
import os
import sys
import threading
from asyncio import _get_running_loop  # the public one raises where there is none
from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from rescind.events import By

if TYPE_CHECKING:
    from ._runtime import Runtime

WireCause: TypeAlias = int | tuple[int | bytes, int]
"""0 (nothing of ours), a turn, (turn, request), or (log id, turn) of another log."""


class CauseSource(Protocol):
    """Something that is going on and that a call may come from: a turn, a delivered script."""

    @property
    def runtime(self) -> "Runtime":
        """Return where it goes on."""
        ...

    def cause(self) -> WireCause:
        """Return it as its own log writes it down; its runtime's baton is held."""
        ...

    def foreign_cause(self) -> WireCause:
        """Return it as another log writes it down; no baton is held but perhaps its own."""
        ...


class TurnCause:
    """A turn that still runs, or has run: its number is known when its record was appended."""

    __slots__ = ("_before", "number", "runtime")

    def __init__(self, runtime: "Runtime", before: WireCause | None = None) -> None:
        """Belong to a turn of ``runtime``.

        Args:
            runtime: in whose log its record will stand.
            before: for a turn that runs without the baton: its own cause.  Nobody knows its number
                yet, so until it has one, what it brings about is a consequence of that.
        """
        self.runtime = runtime
        self._before = before
        self.number = 0

    def cause(self) -> WireCause:
        """Return the turn's number; a turn that still runs gets the next one."""
        if self.number or self._before is None:
            return self.number or self.runtime.log.last_number + 1
        return self._before

    def foreign_cause(self) -> WireCause:
        """Return the turn's log and number."""
        match self.cause():
            case (bytes(), _) as foreign:
                return foreign
            case (number, _) | number:
                return (self.runtime.log_id, number) if number else 0


CAUSE: ContextVar[CauseSource | None] = ContextVar("rescind_cause", default=None)
"""What the code that runs now is a consequence of."""

ENTERED: ContextVar[tuple["Runtime", ...]] = ContextVar("rescind_entered", default=())
"""The runtimes that the surrounding code entered with ``with``, the innermost last."""


STANDS_FOR: ContextVar[FrameType | None] = ContextVar("rescind_stands_for", default=None)
"""On whose behalf a thread of ours does something."""


class Caller(NamedTuple):
    """A thread or task at a place in the code, of which the log may not have heard yet."""

    who: int | tuple[str, int]
    """The number, or the name and which thread of that name."""
    code: CodeType
    at: int
    line: int


class Callers:
    """Binds threads, tasks and code places to the small numbers that records carry.

    A place is looked up by the identity of its code object and the offset in it: both are cheap to
    read, while a line number has to be computed.  The code object is kept so that its identity
    cannot be reused.

    What is bound already is found without the baton; only ``bind`` needs it.
    """

    def __init__(
        self,
        bind_who: Callable[[str], int],
        bind_site: Callable[[str, int, str], int],
    ) -> None:
        """Bind through the log's two functions; both are called under the baton."""
        self._bind_who = bind_who
        self._bind_site = bind_site
        self._sites: dict[tuple[int, int], int] = {}
        self._kept: dict[int, CodeType] = {}
        self._threads = threading.local()
        self._bound: dict[tuple[str, int], int] = {}
        """By label and thread; tasks are told apart by their names alone."""
        self._labels: dict[int, str] = {}
        self._places: dict[int, tuple[str, int, str]] = {}

    def seen(self, frame: FrameType) -> tuple[int, int] | Caller:
        """Return (who, site) for the running thread or task at ``frame``.

        If the log has not heard of one of them yet, return what ``bind`` needs.
        """
        code = frame.f_code
        who = self.who()
        site = self._sites.get((id(code), frame.f_lasti))
        if site is None or not isinstance(who, int):
            return Caller(who, code, frame.f_lasti, frame.f_lineno)
        return (who, site)

    def bind(self, caller: Caller) -> tuple[int, int]:
        """Let the log hear of a caller; return (who, site).  The baton is held."""
        who, code, at, line = caller
        if not isinstance(who, int):
            label, who = who, self._bound.get(who, 0)
            if who == 0:
                who = self._bound[label] = self._bind_who(label[0])
                self._labels[who] = label[0]
        key = (id(code), at)
        site = self._sites.get(key)
        if site is None:
            self._kept[key[0]] = code
            place = (code.co_filename, line, code.co_qualname)
            site = self._bind_site(*place)
            self._sites[key] = site
            self._places[site] = place
        return (who, site)

    def named(self, by: tuple[int, int]) -> By:
        """Return what the two numbers of a bound caller stand for."""
        who, site = by
        return By(self._labels[who], *self._places[site])

    def stand_for(self, who: int | tuple[str, int]) -> None:
        """Let the calling thread, which is one of ours, act on behalf of another one."""
        self._threads.who = who

    def who(self) -> int | tuple[str, int]:
        """Return the running thread's or task's number; until it has one, its name and which."""
        # Most threads run no loop, and current_task would raise there, at every call.
        if _get_running_loop() is not None and (task := asyncio.current_task()) is not None:
            label = (f"task {task.get_name()}", 0)
            return self._bound.get(label, label)
        try:
            return self._threads.who  # type: ignore[no-any-return]
        except AttributeError:
            label = (threading.current_thread().name, threading.get_ident())
            who = self._bound.get(label)
            if who is None:
                return label
            self._threads.who = who
            return who


_INSIDE = ("rescind.actors.", "pykka.", "threading.")
_IS_INSIDE: dict[str, bool] = {}


def calling_frame() -> FrameType:
    """Return the innermost frame that is neither ours nor Pykka's, nor a thread's beginning."""
    frame = sys._getframe(2)  # noqa: SLF001
    return outside_frame(frame) or STANDS_FOR.get() or frame


def outside_frame(innermost: FrameType) -> FrameType | None:
    """Return the innermost frame from there on that is not ours."""
    frame: FrameType | None = innermost
    while frame is not None:
        code = frame.f_code
        # Asked at every call: which file a code object is from never changes, so it is kept.
        is_inside = _IS_INSIDE.get(code.co_filename)
        if is_inside is None:
            name = frame.f_globals.get("__name__", "")
            is_inside = _IS_INSIDE[code.co_filename] = f"{name}.".startswith(_INSIDE)
        if not is_inside:
            return frame
        frame = frame.f_back
    return None


def place_of(frame: FrameType) -> str:
    """Say who runs now, and at which line: ``MainThread at crawl.py:23 in main``."""
    task = None if _get_running_loop() is None else asyncio.current_task()
    who = threading.current_thread().name if task is None else f"task {task.get_name()}"
    code = frame.f_code
    return place_by(By(who, code.co_filename, frame.f_lineno, code.co_qualname))


def place_by(by: By) -> str:
    """Say the same of whom a log names."""
    return f"{by.who} at {os.path.basename(by.file)}:{by.line} in {by.function}"  # noqa: PTH119
