"""A stage for one call or several: a client and a server, each with a log, over a twin.

The same test runs under the dispatcher `stepped` and under real threads.  On both of them `settle`
returns when nothing is left that could happen by itself, so that a test may say what did not
happen.  The server's function hands every call off at once, so that the test ends it when it likes.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rescind import rpc
from rescind.actors.rpc.drivers._twin import Kind, Message
from rescind.actors.runtime import Runtime, Stepped, ThreadDispatcher
from rescind.events import AnswerIgnored, CancelOutcome, CancelRequested, Discarded, read
from tests.runtime.recordings import Recordings

RACES = int(os.environ.get("RESCIND_RACES", "300"))
"""How many cancels race with an answer, in each way."""

DISPATCHERS = ("stepped", "thread")
PROFILES = ("current", "strict")

WAIT_S = 30

OK = 0
INVALID_ARG = 87
PENDING = 997
INVALID_BINDING = 1702
UNAVAILABLE = 1722
TOO_BUSY = 1723
NO_CALL = 1725
FAILED = 1726
DID_NOT_EXECUTE = 1727
PROTOCOL = 1728
CANNOT_SUPPORT = 1764
IN_PROGRESS = 1791
CANCELLED = 1818
INVALID_HANDLE = 1914
WRONG_CALL = 1915


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect that the call inside raises this code."""
    with pytest.raises(rpc.RpcError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)


def code_of(call: Callable[[], object]) -> int:
    """Return the code that a call raises, or 0 if it succeeds."""
    try:
        call()
    except rpc.RpcError as error:
        return error.code
    return 0


def settle(*runtimes: Runtime) -> None:
    """Return when nothing is left to do."""
    while sum(_settle(each) for each in runtimes):
        pass


def _settle(runtime: Runtime) -> bool:
    if isinstance(runtime.dispatcher, Stepped):
        before = runtime.log.last_number
        runtime.dispatcher.run()
        return bool(runtime.log.last_number != before)
    moved = False
    while True:
        while runtime.pump():
            moved = True
        # With all three nobody delivers, commits or runs a turn: what is idle now stays idle.
        with runtime._world, runtime._commit, runtime.baton:
            if not runtime.has_work:
                return moved


class Stage:
    """A binding and a server over a twin; nothing crosses but what the test carries."""

    def __init__(
        self,
        recordings: Recordings,
        dispatcher: str = "stepped",
        profile: str = "current",
        *,
        functions: dict[str, Callable[..., Any]] | None = None,
        running_max: int = 100,
        message_max: int = 1000,
        **bounds: int,
    ) -> None:
        self._served: list[rpc.ServerCall] = []
        self._changed = threading.Condition()
        self.profile = profile
        kinds = [Stepped(1), Stepped(2)] if dispatcher == "stepped" else [dispatcher] * 2
        self.runtime = recordings.open(kinds[0], slow_turn_s=None)
        self.serving = recordings.open(kinds[1], slow_turn_s=None)
        self.twin = rpc.twin(message_max=message_max)
        channel, listener = self.twin
        self._hands_off = functions is None
        named = {"work": self.work} if functions is None else functions
        self.server = rpc.Server(self.serving, named, listener, running_max=running_max)
        self.binding = rpc.Binding(self.runtime, channel, profile=profile, **bounds)
        self.settle()  # the twin has both ports from here on

    def work(self, *_arguments: Any) -> None:
        """Keep the call for the test to end."""
        call = rpc.current_call()
        call.hand_off()
        with self._changed:
            self._served.append(call)
            self._changed.notify_all()

    @property
    def served(self) -> list[rpc.ServerCall]:
        """The calls that were handed off, in the order in which they were dispatched."""
        return sorted(self._served, key=lambda each: each.number)

    # --- what a test does ------------------------------------------------------------------------

    def call(self, *arguments: Any, crosses: bool = True, **options: Any) -> rpc.ClientCall:
        """Make a call and let the server have it."""
        call = self.binding.call("work", *arguments, **options)
        self.settle()
        if crosses:
            self.carry(Kind.CALL)
        return call

    def carry(self, kind: Kind | None = None) -> None:
        """Let the oldest message arrive, by default of any kind."""
        self.settle()
        self.twin.carry(None if kind is None else self.on_the_way(kind))
        self.settle()

    def on_the_way(self, kind: Kind) -> Message:
        return next(each for each in self.twin.wire if each.kind is kind)

    def carry_all(self) -> None:
        """Let everything arrive, and what that brings about."""
        self.settle()
        while self.twin.wire:
            self.twin.carry()
            self.settle()

    def end(self, served: rpc.ServerCall | None = None, value: Any = "done") -> None:
        """Let the server complete a call, by default the last, and the client have the reply."""
        (served or self.served[-1]).complete_call(value)
        self.carry_all()

    def abort(self, code: int, served: rpc.ServerCall | None = None) -> None:
        """Let the server abort a call, likewise."""
        (served or self.served[-1]).abort_call(code)
        self.carry_all()

    def answer(self, request: int, code: int | None, payload: bytes | None) -> None:
        """Let the channel report what the server did not say."""
        assert self.twin.client is not None
        self.twin.client.answer(request, code, payload)

    def advance(self, seconds: float) -> None:
        """Let time pass at the client, and what falls due there."""
        assert isinstance(self.runtime.dispatcher, Stepped)
        self.runtime.dispatcher.advance(seconds)

    def settle(self) -> None:
        settle(self.runtime, self.serving)
        if self._hands_off and isinstance(self.serving.dispatcher, ThreadDispatcher):
            # Functions run in threads of their own: each has begun and handed its call off.
            with self._changed:
                assert self._changed.wait_for(self._is_handed_off, WAIT_S)
            settle(self.runtime, self.serving)

    def _is_handed_off(self) -> bool:
        actor = self.server._actor
        return len(self._served) == len(actor._handles) + len(actor._ended)

    # --- what the logs say -----------------------------------------------------------------------

    def events(self, kind: type, runtime: Runtime | None = None) -> list[Any]:
        self.settle()
        log = (runtime or self.runtime).log
        found = (event for turn in read(log) for event in turn.events)
        return [event for event in found if isinstance(event, kind)]

    def outcomes(self, runtime: Runtime | None = None) -> list[tuple[str, str]]:
        """Each cancel's trigger, and what it achieved where it did not win."""
        triggers = {e.cancel: e.trigger for e in self.events(CancelRequested, runtime)}
        return [(triggers[e.cancel], e.outcome) for e in self.events(CancelOutcome, runtime)]

    @property
    def ignored(self) -> int:
        """How many answers came too late."""
        return len(self.events(AnswerIgnored))

    def silences(self, runtime: Runtime) -> list[str]:
        return [each.reason for each in self.events(Discarded, runtime)]
