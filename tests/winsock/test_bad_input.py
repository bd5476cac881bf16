"""What an application may do wrong: a clear error each time, nothing lost, nobody left hanging."""

from collections.abc import Iterator
from typing import Any

import pytest

from rescind import winsock
from rescind.actors.runtime import RuntimeClosedError, UsageError
from rescind.events import Accepted, RescindError, UnrecordableError
from tests.runtime.helpers import Helper
from tests.runtime.recordings import Recordings

from .stage import (
    BAD_VERSION,
    HOST,
    HOST_BYTES,
    INVALID,
    NOT_READY,
    NOT_STARTED,
    WOULD_BLOCK,
    Stage,
    code_of,
    refused,
)

MANY = 100_000


# --- how an application is made ------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"profile": "strict"}, {"profile": ""}, {"lookups_max": 0}, {"running_max": 0}],
)
def test_what_an_application_is_made_of_is_checked(recordings, dispatcher, options: Any):
    runtime = recordings.open(dispatcher)
    with pytest.raises(UsageError):
        winsock.Application(runtime, winsock.twin(), **options)
    assert not runtime.owned


def test_a_closed_runtime_takes_no_application(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    runtime.close()
    with pytest.raises(RuntimeClosedError):
        winsock.Application(runtime, winsock.twin())


# --- startup and cleanup -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [((1, 0), (1, 0)), ((1, 2), (1, 1)), ((2, 1), (2, 1)), ((2, 3), (2, 2)), ((9, 9), (2, 2))],
)
def test_the_highest_version_up_to_the_one_asked_for_is_agreed_on(new_stage, asked, agreed):
    stage: Stage = new_stage(version=None)
    assert stage.app.startup(asked) == agreed
    assert stage.ask().handle != 0


@pytest.mark.parametrize("version", [(), (2,), (2, 2, 0), ("2", "2"), "22"])
def test_a_version_is_two_numbers(new_stage, version):
    with pytest.raises(UsageError, match="a version is two numbers"):
        new_stage(version=None).app.startup(version)


@pytest.mark.parametrize("version", [(0, 0), (0, 9), (-1, 1)])
def test_a_version_below_all_is_refused(new_stage, version):
    stage: Stage = new_stage(version=None)
    with refused(BAD_VERSION):
        stage.app.startup(version)
    with refused(NOT_STARTED):
        stage.ask()
    stage.app.startup()
    assert stage.ask().handle != 0
    with refused(BAD_VERSION):
        stage.app.startup(version)
    assert stage.ask().handle != 0
    stage.app.cleanup()
    assert code_of(stage.app.cleanup) == NOT_STARTED


def test_one_may_start_again_and_again(either):
    for _ in range(3):
        asked = either.ask()
        either.answer()
        assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]
        either.app.cleanup()
        with refused(NOT_STARTED):
            either.ask()
        assert either.cancel(asked) == NOT_STARTED
        either.app.startup()
    assert either.cancel(1) == either.too_late


def test_with_starts_and_cleans_up_also_when_it_fails(new_stage):
    stage: Stage = new_stage(version=None)

    def fail() -> None:
        with stage.app:
            stage.ask()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with refused(NOT_STARTED):
        stage.ask()
    assert stage.silences == ["cleanup"]


def test_a_closed_application_can_not_be_started(either):
    asked = either.ask()
    either.app.startup()
    either.app.close()
    either.app.close()
    with refused(NOT_READY):
        either.app.startup()
    with refused(NOT_STARTED):
        either.ask()
    assert either.cancel(asked) == NOT_STARTED
    assert either.silences == ["cleanup"]
    assert not either.twin.is_open


def test_a_closed_application_leaves_others_alone(recordings, dispatcher):
    stage = Stage(recordings, dispatcher)
    twin = winsock.twin("other")
    other = winsock.Application(stage.runtime, twin)
    other.startup()
    window = other.window()
    handle = other.async_get_host_by_name(window, 1, "x", winsock.Buffer())
    stage.app.close()
    stage.settle()
    twin.complete(HOST)
    stage.settle()
    assert [each.handle for each in window.messages()] == [handle]


# --- handles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("handle", ["5", None, 1.0, [], {}, b"\x01", object()])
def test_a_handle_is_a_number(either, handle):
    asked = either.ask()
    assert asked.handle == 1
    with pytest.raises(UsageError, match="handle is a number"):
        either.app.cancel_async_request(handle)
    assert either.cancel(asked) == 0


@pytest.mark.parametrize("handle", [-1, -(2**70), 2**32, 2**64, 2**70])
def test_a_number_that_no_handle_can_be_is_invalid(either, handle):
    assert either.cancel(handle) == INVALID


def test_a_handle_is_good_in_its_own_application_only(recordings, dispatcher, profile):
    stage = Stage(recordings, dispatcher, profile)
    other = winsock.Application(stage.runtime, winsock.twin(), profile=profile)
    other.startup()
    asked = stage.ask()
    with refused(INVALID):
        other.cancel_async_request(asked.handle)
    stage.answer()
    assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]


def test_a_window_is_good_in_its_own_application_only(recordings, dispatcher):
    stage = Stage(recordings, dispatcher)
    other = winsock.Application(stage.runtime, winsock.twin())
    with pytest.raises(UsageError, match="another application"):
        stage.ask(window=other.window())
    assert not stage.events(Accepted)


@pytest.mark.not_repeatable("what is set below, no log tells")
def test_finished_lookups_are_forgotten_in_the_end(new_stage, profile, monkeypatch):
    monkeypatch.setattr("rescind.actors.winsock._actors.FINISHED_MAX", 2)
    stage: Stage = new_stage(profile)
    asked = [stage.ask() for _ in range(3)]
    for _ in asked:
        stage.answer()
    stage.take_all()
    codes = [stage.cancel(each) for each in asked]
    assert codes == [INVALID, stage.too_late, stage.too_late]


# --- what is looked up ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "x" * 300, "a\0b", "bücher.example", ".", 5, None, b"bytes", ["list"]]
)
def test_names_are_not_checked_at_the_call(either, name):
    asked = either.ask(name)
    ((_, _, question),) = either.twin.begun
    assert list(question) == [name]
    either.fail(winsock.Code.HOST_NOT_FOUND)
    assert either.take_all() == [(asked.handle, winsock.Code.HOST_NOT_FOUND, 0)]


def test_what_the_log_can_not_hold_reaches_the_resolver_all_the_same(new_stage):
    stage: Stage = new_stage()
    name: Any = object()
    asked = stage.ask(name)
    assert stage.twin.begun[0][2] == (name,)
    stage.answer()
    assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]


def test_a_strict_runtime_refuses_it(new_stage):
    stage: Stage = new_stage()
    stage.runtime.strict = True
    name: Any = object()
    with pytest.raises(UnrecordableError):
        stage.ask(name)
    stage.runtime.strict = False
    assert not stage.twin.begun


def test_a_resolver_that_raises_has_answered(new_stage, profile, caplog):
    class Broken(winsock.TwinResolver):
        def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
            super().begin(request, operation, question)
            raise OSError("no")

    stage: Stage = new_stage(profile, resolver=Broken())
    asked = stage.ask()
    assert stage.take_all() == [(asked.handle, winsock.Code.NO_RECOVERY, 0)]
    assert "failed at WSAAsyncGetHostByName" in caplog.text


def test_answers_that_nobody_asked_for_are_ignored(either):
    either.answer_late(1_000)
    asked = either.ask()
    number = either.number_of(asked)
    for _ in range(3):
        either.answer_late(number)
    assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]
    either.answer_late(number)
    assert either.take_all() == []
    assert either.ignored == 4


def test_a_twin_that_is_not_asked_anything_has_nothing_to_answer(stage):
    with pytest.raises(LookupError, match="nothing is being looked up"):
        stage.twin.complete(HOST)


# --- bounds --------------------------------------------------------------------------------------


def test_one_lookup_may_be_the_bound(new_stage, profile):
    stage: Stage = new_stage(profile, lookups_max=1, running_max=1)
    for _ in range(3):
        asked = stage.ask()
        with refused(WOULD_BLOCK):
            stage.ask()
        assert stage.cancel(asked) == 0
        asked = stage.ask()
        stage.answer()
        with refused(WOULD_BLOCK):
            stage.ask()
        assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]


@pytest.fixture
def unaudited() -> Iterator[Recordings]:
    """Open runtimes whose logs are so long that their audit would take longer than all the rest."""
    made = Recordings()
    yield made
    for runtime in made._made:
        runtime.close()


def ask_many(stage: Stage) -> list[int]:
    app, window = stage.app, stage.window
    return [app.async_get_host_by_name(window, 1, "x", None) for _ in range(MANY)]


def test_at_the_bound_a_lookup_is_refused_and_nothing_is_lost(unaudited):
    stage = Stage(unaudited, "thread")
    handles = ask_many(stage)
    with refused(WOULD_BLOCK):
        stage.ask()
    told = 0
    while told < MANY:
        stage.settle()
        for number in list(stage.twin.pending):
            stage.twin.complete(HOST, number)
            told += 1
    taken = [handle for handle, _, _ in stage.take_all()]
    assert taken == handles
    assert stage.ask().handle == MANY + 1


def test_a_hundred_thousand_are_cancelled_and_silent(unaudited):
    stage = Stage(unaudited, "thread")
    for handle in ask_many(stage):
        stage.app.cancel_async_request(handle)
    assert stage.take_all() == []
    assert not stage.twin.pending
    asked = stage.ask()
    stage.answer()
    assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]


def test_a_cleanup_drops_a_hundred_thousand_at_once(unaudited):
    stage = Stage(unaudited, "thread")
    first, *_, last = ask_many(stage)
    stage.app.cleanup()
    stage.app.startup()
    assert [stage.cancel(each) for each in (first, last)] == [stage.too_late] * 2
    asked = stage.ask()
    stage.answer()
    assert stage.take_all() == [(asked.handle, 0, HOST_BYTES)]
    assert stage.silences.count("cleanup") == MANY


# --- the end -------------------------------------------------------------------------------------


def test_after_the_runtime_every_call_says_so(either):
    asked = either.ask()
    either.answer()
    waiting = either.ask()
    either.runtime.close()
    app = either.app
    calls = [
        app.startup, app.cleanup, app.cancel_blocking_call, either.window.destroy,
        lambda: app.cancel_async_request(asked.handle),
        lambda: app.async_get_proto_by_number(None, 0, 6, None),
        lambda: app.blocking_call("recv", list),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(RuntimeClosedError):
            call()
    assert either.twin.stopped
    assert not either.twin.is_open
    assert waiting.buffer.entry is None
    either.twin.port.answer(1, None, HOST)  # an answer that comes then hurts nobody


def test_a_runtime_that_is_closed_ends_lookups_and_messages(recordings, dispatcher):
    stage = Stage(recordings, dispatcher, running_max=2)
    for number in range(5):
        stage.ask(str(number))
    stage.answer()
    Helper(stage.runtime.close).result()
    assert stage.silences == ["cleanup"] * 5


def test_errors_are_the_librarys_own(either):
    with pytest.raises(RescindError) as caught:
        either.app.cancel_async_request(77)
    error: Any = caught.value
    assert (error.code, error.name, error.rule) == (INVALID, "WSAEINVAL", "W-10022-never-issued")
    assert error.request > 0
    assert str(error).startswith("10022 WSAEINVAL: ")
