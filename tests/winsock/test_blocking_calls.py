"""Blocking calls of 1.1 and of 2.x, and calls inside the provider's own callback (C.4, C-R12)."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rescind import winsock
from rescind.actors.runtime import RuntimeClosedError, UsageError
from rescind.events import Rejected
from tests.runtime.helpers import PATIENCE_S, Helper

from .stage import (
    BAD_VERSION,
    HOST_BYTES,
    IN_PROGRESS,
    INTERRUPTED,
    INVALID,
    NETWORK_DOWN,
    NOT_STARTED,
    NOT_SUPPORTED,
    PROFILES,
    Stage,
    code_of,
    refused,
)

Call = Callable[[Stage], object]

LOOKUPS: dict[str, Call] = {
    "host by name": lambda on: on.app.async_get_host_by_name(on.window, 1, "x", None),
    "host by address": lambda on: on.app.async_get_host_by_addr(on.window, 1, "192.0.2.1", None),
    "service by name": lambda on: on.app.async_get_serv_by_name(on.window, 1, "x", None, None),
    "service by port": lambda on: on.app.async_get_serv_by_port(on.window, 1, 25, None, None),
    "protocol by name": lambda on: on.app.async_get_proto_by_name(on.window, 1, "x", None),
    "protocol by number": lambda on: on.app.async_get_proto_by_number(on.window, 1, 6, None),
}
CALLS: dict[str, Call] = {
    **LOOKUPS,
    "cancel": lambda on: on.app.cancel_async_request(1),
    "startup": lambda on: on.app.startup(),
    "cleanup": lambda on: on.app.cleanup(),
    "blocking call": lambda on: on.app.blocking_call("send", list),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


class Recv:
    """A blocking call in a thread of its own, which a test lets return."""

    def __init__(self, stage: Stage, what: Callable[[], Any] = lambda: None) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.has_ended = threading.Event()
        self._what = what
        self._caller = Helper(lambda: stage.app.blocking_call("recv", self._run))
        assert self.begun.wait(PATIENCE_S)

    def _run(self) -> Any:
        self.begun.set()
        assert self.may_end.wait(PATIENCE_S)
        try:
            return self._what()
        finally:
            self.has_ended.set()

    def result(self) -> Any:
        return self._caller.result()

    def end(self) -> None:
        """Let the function return, although nobody may wait for it any more."""
        self.may_end.set()
        assert self.has_ended.wait(PATIENCE_S)


@pytest.fixture(params=PROFILES)
def old(recordings: Any, request: pytest.FixtureRequest) -> Stage:
    """An application of 1.1, over real threads."""
    return Stage(recordings, "thread", request.param, version=(1, 1))


@pytest.fixture
def new(recordings: Any) -> Stage:
    """One of 2.2."""
    return Stage(recordings, "thread")


# --- one call ------------------------------------------------------------------------------------


def test_a_blocking_call_returns_what_its_function_does(stage):
    value = object()
    assert stage.app.blocking_call("recv", lambda: value) is value
    assert stage.app.blocking_call("recv", lambda: None) is None


@pytest.mark.parametrize("error", [ValueError("no"), winsock.WinsockError(10054), SystemExit(3)])
def test_it_raises_what_its_function_raises(stage, error):
    def recv() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        stage.app.blocking_call("recv", recv)
    assert caught.value is error
    assert stage.app.blocking_call("recv", lambda: 1) == 1


@each_call
def test_in_1_1_nothing_else_can_be_called_meanwhile(new_stage, profile, call):
    stage: Stage = new_stage(profile, version=(1, 1))
    asked = stage.ask()
    heard = stage.app.blocking_call("recv", lambda: code_of(lambda: call(stage)))
    assert heard == IN_PROGRESS
    assert {each.rule for each in stage.events(Rejected)} == {"W-10036-blocking"}
    stage.answer()
    assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]


@each_call
def test_in_2_x_everything_can(new_stage, call):
    stage: Stage = new_stage()
    stage.app.startup()  # or the cleanup would end the blocking call
    stage.ask()
    assert stage.app.blocking_call("recv", lambda: code_of(lambda: call(stage))) == 0


def test_messages_are_taken_during_a_blocking_call_of_1_1(old):
    asked = old.ask()
    recv = Recv(old)
    old.answer()
    assert old.take_all() == [(asked.handle, 0, HOST_BYTES)]
    recv.end()
    recv.result()


def test_two_blocking_calls_go_on_in_2_x_but_not_in_1_1(old, new):
    first = Recv(old)
    with refused(IN_PROGRESS):
        old.app.blocking_call("send", list)
    first.end()
    first.result()

    both = [Recv(new, lambda: "a"), Recv(new, lambda: "b")]
    for each in reversed(both):
        each.end()
    assert [each.result() for each in both] == ["a", "b"]


# --- its cancel ----------------------------------------------------------------------------------


def test_another_thread_cancels_it_and_what_comes_late_is_ignored(old):
    recv = Recv(old, lambda: "late")
    old.app.cancel_blocking_call()
    with refused(INTERRUPTED):
        recv.result()
    assert code_of(old.app.cancel_blocking_call) == INVALID
    asked = old.ask()  # the call is over, whatever its function still does
    recv.end()
    assert old.cancel(asked) == 0
    while not old.ignored:  # its thread has a last step to make
        pass
    assert old.ignored == 1


def test_what_the_function_raises_late_is_ignored_too(old):
    def fail() -> None:
        raise ValueError("late")

    recv = Recv(old, fail)
    old.app.cancel_blocking_call()
    with refused(INTERRUPTED):
        recv.result()
    recv.end()
    while not old.ignored:
        pass


def test_a_cancelled_call_makes_room_for_the_next(old):
    for _ in range(3):
        recv = Recv(old)
        old.app.cancel_blocking_call()
        with refused(INTERRUPTED):
            recv.result()
        recv.end()
    assert old.app.blocking_call("recv", lambda: 5) == 5


def test_a_function_that_cancels_its_own_call_is_interrupted(new_stage, profile):
    stage: Stage = new_stage(profile, version=(1, 1))

    def recv() -> str:
        stage.app.cancel_blocking_call()
        return "late"

    with refused(INTERRUPTED):
        stage.app.blocking_call("recv", recv)


def test_there_must_be_a_call_to_cancel_and_an_old_version(new_stage, profile):
    stage: Stage = new_stage(profile, version=None)
    assert code_of(stage.app.cancel_blocking_call) == NOT_STARTED
    stage.app.startup((1, 1))
    assert code_of(stage.app.cancel_blocking_call) == INVALID
    stage.app.cleanup()
    stage.app.startup((2, 0))
    assert code_of(stage.app.cancel_blocking_call) == NOT_SUPPORTED
    heard = stage.app.blocking_call("recv", lambda: code_of(stage.app.cancel_blocking_call))
    assert heard == NOT_SUPPORTED


def test_the_last_cleanup_ends_a_blocking_call_of_2_x(new):
    first, second = Recv(new), Recv(new)
    new.app.cleanup()
    for each in (first, second):
        with refused(INTERRUPTED):
            each.result()
        each.end()
    new.app.startup((1, 1))
    assert new.app.blocking_call("recv", lambda: 5) == 5


@pytest.mark.parametrize("what", ["app", "runtime"])
def test_the_end_of_all_ends_a_blocking_call_of_1_1(recordings, what):
    # A second startup would be refused: only close ends what a blocking call forbids to clean up.
    stage = Stage(recordings, "thread", version=(1, 1))
    recv = Recv(stage)
    getattr(stage, what).close()
    with refused(INTERRUPTED):
        recv.result()
    recv.end()


def test_the_network_may_fail_while_a_call_blocks(old):
    asked = old.ask()
    recv = Recv(old, lambda: 5)
    old.network(is_down=True)
    assert old.cancel(asked) == NETWORK_DOWN  # asked before whether a call blocks (C.5)
    assert old.take_all() == [(asked.handle, NETWORK_DOWN, 0)]
    recv.end()
    assert recv.result() == 5
    with refused(NETWORK_DOWN):
        old.app.blocking_call("recv", list)


def test_a_blocking_call_in_an_event_loop_is_refused(recordings):
    stage = Stage(recordings, "asyncio")

    async def main() -> None:
        with pytest.raises(UsageError, match="event loop"):
            stage.app.blocking_call("recv", list)

    recordings.loop().run(main())
    assert stage.app.blocking_call("recv", list) == []  # from another thread it may block


def test_after_the_end_nothing_blocks(new):
    new.runtime.close()
    with pytest.raises(RuntimeClosedError):
        new.app.blocking_call("recv", list)


# --- inside the provider's callback --------------------------------------------------------------


@each_call
def test_inside_the_providers_callback_everything_is_in_progress(either, call):
    either.ask()
    assert either.inside_callback(lambda: call(either)) == IN_PROGRESS
    assert {each.rule for each in either.events(Rejected)} == {"W-10036-blocking"}
    assert len(either.twin.pending) == 1


def test_cancel_blocking_call_is_let_through_by_the_callback(new_stage):
    stage: Stage = new_stage(version=(1, 1))
    assert stage.inside_callback(stage.app.cancel_blocking_call) == INVALID


def test_a_message_can_be_taken_and_a_window_destroyed_inside_the_callback(either):
    asked = either.ask()
    either.answer()
    taken: list[Any] = []
    either.twin.call_back(lambda: taken.append(either.window.peek()))
    assert taken[0].handle == asked.handle
    either.twin.call_back(either.window.destroy)
    with pytest.raises(UsageError, match="destroyed"):
        either.window.get()


def test_other_threads_and_what_comes_after_it_are_not_in_the_callback(either):
    heard: list[int] = []

    def callback() -> None:
        either.twin.call_back(lambda: heard.append(code_of(either.app.startup)))
        heard.append(code_of(either.app.startup))  # the outer callback goes on
        heard.append(Helper(lambda: code_of(either.app.startup)).result())

    either.twin.call_back(callback)
    heard.append(code_of(either.app.startup))
    assert heard == [IN_PROGRESS, IN_PROGRESS, 0, 0]


def test_a_callback_that_raises_is_over_all_the_same(either):
    with pytest.raises(ZeroDivisionError):
        either.twin.call_back(lambda: 1 // 0)
    assert either.ask().handle != 0


# --- the order of checks (C.5) -------------------------------------------------------------------

SITUATIONS = [
    (started, down, busy, full)
    for started, down, busy, full in itertools.product(
        [False, True], [False, True], ["", "callback", "blocking call"], [False, True]
    )
    if started or (busy != "blocking call" and not full)
]


def expected(started: bool, down: bool, busy: str, full: bool, what: str) -> int:
    """Return the first check that refuses, by the order of section C.5."""
    if what == "zero":
        return INVALID
    if what == "startup":
        return IN_PROGRESS if busy else 0
    if what == "bad version":
        return IN_PROGRESS if busy else BAD_VERSION
    if not started:
        return NOT_STARTED
    if down:
        return NETWORK_DOWN
    if busy:
        return IN_PROGRESS
    if what == "lookup":
        return 10035 if full else 0
    return INVALID if what == "unknown" else 0


@pytest.mark.parametrize(("started", "down", "busy", "full"), SITUATIONS)
def test_the_first_check_that_refuses_is_told(new_stage, profile, started, down, busy, full):
    calls: dict[str, Callable[[Stage], object]] = {
        "zero": lambda on: on.app.cancel_async_request(0),
        "unknown": lambda on: on.app.cancel_async_request(1000),
        "lookup": LOOKUPS["host by name"],
        "bad version": lambda on: on.app.startup((0, 9)),
        "startup": lambda on: on.app.startup((1, 1)),
        "cleanup": CALLS["cleanup"],
    }
    for what, call in calls.items():
        stage: Stage = new_stage(profile, version=(1, 1) if started else None, lookups_max=1)
        if full:
            stage.app.async_get_host_by_name(None, 0, "x", None)
            stage.settle()
        heard: list[int] = []

        def make(stage: Stage = stage, call: Any = call, heard: list[int] = heard) -> None:
            stage.network(is_down=down)
            heard.append(code_of(lambda: call(stage)))

        if not busy:
            make()
        elif busy == "callback":
            stage.twin.call_back(make)
        else:
            stage.app.blocking_call("recv", make)
        # A network that has failed has ended the lookup that filled the scheduler.
        is_full = full and not down
        assert heard == [expected(started, down, busy, is_full, what)], what
