"""What a server's function does once it has seen its call's cancel follows from that cancel."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rescind import rpc
from rescind.actors.rpc.drivers._twin import Kind
from rescind.events import Answer, CancelRequested, EventHandler, Submit, Turn, read
from tests.runtime.recordings import Recordings

from .stage import WAIT_S, Stage


class Middle:
    """A server whose function calls on, through a twin that carries nothing."""

    def __init__(self, recordings: Recordings, function: Callable[["Middle"], Any]) -> None:
        self.begun, self.saw = threading.Event(), threading.Event()

        def work() -> Any:
            return function(self)

        async def work_async() -> Any:
            return await function(self)

        served = work_async if inspect.iscoroutinefunction(function) else work
        self.stage = Stage(recordings, "thread", functions={"work": served})
        channel, listener = rpc.twin()
        rpc.Server(self.stage.serving, {"page": int}, listener)
        self.below = rpc.Binding(self.stage.serving, channel)

    def call(self) -> rpc.ClientCall:
        """Call on."""
        return self.below.call("page")

    def turns(self) -> list[Turn]:
        return list(read(self.stage.serving.log))

    def turn_of(self, operation: str, nth: int = 0) -> Turn:
        """Return the turn of a function that was called."""
        found = [
            turn
            for turn in self.turns()
            if isinstance(turn.message, Submit) and turn.message.operation == operation
        ]
        return found[nth]

    def turn_before(self, operation: str) -> Turn:
        """Return the cause of a function that was called."""
        cause = self.turn_of(operation).cause
        assert cause is not None
        return self.turns()[cause.number - 1]

    def until_served(self) -> None:
        """Wait until its function has returned."""
        for _ in range(WAIT_S * 100):
            self.stage.settle()
            if any(isinstance(turn.message, Answer) for turn in self.turns()):
                return
            threading.Event().wait(0.01)
        raise AssertionError("its function has not returned")

    def turn_of_cancel(self, trigger: str) -> Turn:
        """Return the turn in which a cancel arrived."""
        return next(
            turn
            for turn in self.turns()
            for event in turn.events
            if isinstance(event, CancelRequested) and event.trigger == trigger
        )

    def cancelled(self) -> None:
        """Have its call cancelled while it waits for an answer, and end."""
        call = self.stage.call()
        assert self.begun.wait(WAIT_S)
        call.cancel_call(abort=False)
        self.stage.carry_all()
        assert self.saw.wait(WAIT_S)
        self.until_served()


@pytest.fixture
def middle_of(recordings: Recordings) -> Callable[[Callable[[Middle], Any]], Middle]:
    return lambda function: Middle(recordings, function)


def waits(middle: Middle) -> None:
    call = middle.call()
    middle.begun.set()
    assert rpc.wait_cancelled(WAIT_S)
    call.cancel_call(abort=False)
    middle.saw.set()
    raise rpc.Abort(rpc.Code.CALL_CANCELLED)


def polls(middle: Middle) -> None:
    call = middle.call()
    middle.begun.set()
    while not rpc.is_cancelled():
        threading.Event().wait(0.001)
    call.cancel_call(abort=False)
    middle.saw.set()


def asks_by_handle(middle: Middle) -> None:
    call = middle.call()
    middle.begun.set()
    while rpc.test_cancel(rpc.current_call().get_call_handle()) != rpc.Code.OK:
        threading.Event().wait(0.001)
    call.cancel_call(abort=False)
    middle.saw.set()


async def polls_in_a_coroutine(middle: Middle) -> None:
    call = middle.call()
    middle.begun.set()
    while not rpc.is_cancelled():  # noqa: ASYNC110  # as a program does
        await asyncio.sleep(0.001)
    call.cancel_call(abort=False)
    middle.saw.set()


@pytest.mark.parametrize("function", [waits, polls, asks_by_handle, polls_in_a_coroutine])
def test_what_follows_a_seen_cancel_is_caused_by_it(middle_of, function):
    middle = middle_of(function)
    middle.cancelled()
    called, cancelled = middle.turn_of("Call"), middle.turn_of("RpcAsyncCancelCall")
    assert called.cause.number == middle.turn_of("Serve").number
    assert cancelled.cause.number == middle.turn_of_cancel("client cancel").number


def test_a_cancel_that_nobody_saw_causes_nothing(middle_of):
    def does_not_look(middle: Middle) -> None:
        call = middle.call()
        assert not rpc.is_cancelled()
        middle.begun.set()
        assert middle.stage.serving.wait(rpc.current_call().mark, WAIT_S)
        call.cancel_call(abort=False)
        middle.saw.set()

    middle = middle_of(does_not_look)
    middle.cancelled()
    cause = middle.turn_of("RpcAsyncCancelCall").cause.number
    assert cause == middle.turn_of("Serve").number < middle.turn_of_cancel("client cancel").number


def test_the_cancel_that_was_seen_last_is_the_cause(middle_of):
    aborted = threading.Event()

    def looks_twice(middle: Middle) -> None:
        call = middle.call()
        middle.begun.set()
        assert rpc.wait_cancelled(WAIT_S)
        call.cancel_call(abort=False)
        middle.saw.set()
        assert aborted.wait(WAIT_S)
        assert rpc.is_cancelled()
        call.cancel_call(abort=True)

    middle = middle_of(looks_twice)
    call = middle.stage.call()
    assert middle.begun.wait(WAIT_S)
    call.cancel_call(abort=False)
    middle.stage.carry_all()
    assert middle.saw.wait(WAIT_S)
    call.cancel_call(abort=True)
    middle.stage.carry_all()
    aborted.set()
    middle.until_served()
    causes = [middle.turn_of("RpcAsyncCancelCall", nth).cause.number for nth in (0, 1)]
    arrived = [middle.turn_of_cancel(each).number for each in ("client cancel", "client abort")]
    assert causes == arrived


def test_who_looks_at_another_call_does_nothing_because_of_it(middle_of):
    seen: list[rpc.ServerCall] = []

    def is_watched(middle: Middle) -> None:
        seen.append(rpc.current_call())
        middle.begun.set()
        assert middle.saw.wait(WAIT_S)

    middle = middle_of(is_watched)
    call = middle.stage.call()
    assert middle.begun.wait(WAIT_S)
    call.cancel_call(abort=False)
    middle.stage.carry(Kind.CANCEL)
    assert seen[0].wait_cancelled(WAIT_S)
    middle.call()
    middle.saw.set()
    middle.until_served()
    assert middle.turn_of("Call").cause is None


def test_a_subscribers_routine_acts_because_of_the_cancel(middle_of):
    def subscribes(middle: Middle) -> None:
        call, ended = middle.call(), threading.Event()

        def routine(*_: object) -> None:
            call.cancel_call(abort=False)
            ended.set()

        rpc.current_call().subscribe(rpc.Subscription.CALL_CANCEL, rpc.by_callback(routine))
        middle.begun.set()
        assert ended.wait(WAIT_S)
        middle.saw.set()

    middle = middle_of(subscribes)
    middle.cancelled()
    told = middle.turn_before("RpcAsyncCancelCall")
    assert isinstance(told.message, EventHandler)
    assert told.cause.number == middle.turn_of_cancel("client cancel").number


def test_a_queued_routine_acts_because_of_the_cancel(middle_of):
    def subscribes(middle: Middle) -> None:
        call = middle.call()
        notification = rpc.by_apc(lambda *_: call.cancel_call(abort=False))
        rpc.current_call().subscribe(rpc.Subscription.CALL_CANCEL, notification)
        middle.begun.set()
        assert rpc.wait_alertable(WAIT_S) == 1
        middle.saw.set()

    middle = middle_of(subscribes)
    middle.cancelled()
    told = middle.turn_before("RpcAsyncCancelCall")
    assert isinstance(told.message, EventHandler)
    assert told.cause.number == middle.turn_of_cancel("client cancel").number
