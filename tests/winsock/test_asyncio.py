"""The asyncio face: a lookup is awaited, and a task that is cancelled cancels its lookup."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rescind import winsock
from rescind.actors.runtime import RuntimeClosedError, UsageError
from rescind.events import CancelRequested, LogFailedError, Rejected, read
from tests.runtime.helpers import FullStorage, Helper
from tests.runtime.recordings import Recordings

from .stage import (
    HOST,
    IN_PROGRESS,
    NETWORK_DOWN,
    NO_BUFFER,
    NO_HOST,
    NOT_STARTED,
    Stage,
    refused,
)

WITH_LOOPS = ("thread", "asyncio")
"""Dispatchers under which a loop goes on while one of its tasks awaits a lookup."""
SERVICE = winsock.ServiceEntry("smtp", ("mail",), 25, "tcp")
PROTOCOL = winsock.ProtocolEntry("tcp", ("TCP",), 6)

Main = Callable[[], Coroutine[Any, Any, Any]]


class Answering(winsock.TwinResolver):
    """A twin that answers at once: an entry, or a code."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def begin(self, request: int, operation: str, question: tuple[Any, ...]) -> None:
        super().begin(request, operation, question)
        if isinstance(self.answer, winsock.Code):
            self.fail(self.answer, request)
        else:
            self.complete(self.answer, request)


@pytest.fixture(params=("stepped", *WITH_LOOPS))
def everywhere(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WITH_LOOPS)
def awaiting(recordings: Recordings, request: pytest.FixtureRequest, profile: str) -> Stage:
    """A stage where tasks can wait, in each profile."""
    return Stage(recordings, request.param, profile)


@pytest.fixture
def play(recordings: Recordings) -> Callable[[Main], Any]:
    """Run a coroutine function in the loop that runtimes under `asyncio` run in."""
    return lambda main: recordings.loop().run(main())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go on until something is so."""
    while not condition():  # noqa: ASYNC110  # of other threads and of the loop itself
        await asyncio.sleep(0)


def is_silent(stage: Stage) -> bool:
    """Tell whether no lookup holds a place any more, outstanding or by its message."""
    return not stage.app._actor._lookups and not stage.twin.pending


# --- what an await returns -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "entry"),
    [
        ("host_by_name", ("a.example",), HOST),
        ("host_by_addr", ("192.0.2.1",), HOST),
        ("serv_by_name", ("smtp", "tcp"), SERVICE),
        ("serv_by_name", ("smtp",), SERVICE),
        ("serv_by_port", (25,), SERVICE),
        ("proto_by_name", ("tcp",), PROTOCOL),
        ("proto_by_number", (6,), PROTOCOL),
    ],
)
def test_each_of_the_six_can_be_awaited(recordings, play, everywhere, method, arguments, entry):
    stage = Stage(recordings, everywhere, resolver=Answering(entry))

    async def main() -> Any:
        return await getattr(stage.app, method)(*arguments)

    assert play(main) == entry


@pytest.mark.parametrize("code", [winsock.Code.HOST_NOT_FOUND, winsock.Code.TRY_AGAIN])
def test_what_the_message_says_is_raised_with_code_and_name(recordings, play, everywhere, code):
    stage = Stage(recordings, everywhere, resolver=Answering(code))

    async def main() -> None:
        with pytest.raises(winsock.WinsockError, match=str(int(code))) as caught:
            await stage.app.host_by_name("a.example")
        assert caught.value.code == code
        assert caught.value.name == f"WSA{code.name}"
        assert caught.value.request == stage.twin.begun[0][0]

    play(main)


def test_what_the_call_says_is_raised_too(recordings, play, everywhere):
    stage = Stage(recordings, everywhere, version=None)

    async def main() -> None:
        with refused(NOT_STARTED):
            await stage.app.host_by_name("a.example")

    play(main)
    assert not stage.twin.begun


def test_an_entry_that_needs_more_than_usual_is_asked_for_again(recordings, play, everywhere):
    addresses = tuple(f"192.0.2.{number}" for number in range(200))
    large = winsock.HostEntry("a.example", (), 2, addresses)
    stage = Stage(recordings, everywhere, resolver=Answering(large))

    async def main() -> Any:
        return await stage.app.host_by_name("a.example")

    assert play(main) == large
    assert len(stage.twin.begun) == 2


def test_an_entry_that_no_message_can_tell_is_not_asked_for_for_ever(recordings, play, everywhere):
    endless = winsock.HostEntry("a.example", tuple("x" * 100 for _ in range(1000)), 2, ())
    stage = Stage(recordings, everywhere, resolver=Answering(endless))

    async def main() -> None:
        with refused(NO_BUFFER):
            await stage.app.host_by_name("a.example")

    play(main)
    assert len(stage.twin.begun) == 2


def test_many_are_awaited_at_once(awaiting, play):
    count = 500

    async def main() -> list[Any]:
        names = [f"{number}.example" for number in range(count)]
        tasks = [asyncio.ensure_future(awaiting.app.host_by_name(name)) for name in names]
        answered = 0
        while answered < count:
            await until(lambda: awaiting.twin.pending)
            for number, (_, _, question) in list(awaiting.twin.pending.items()):
                awaiting.twin.complete(HOST._replace(name=question[0]), number)
                answered += 1
        return [entry.name for entry in await asyncio.gather(*tasks)]

    assert play(main) == [f"{number}.example" for number in range(count)]
    assert is_silent(awaiting)


# --- cancellation --------------------------------------------------------------------------------


def test_a_cancelled_task_cancels_its_lookup(awaiting, play):
    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("a.example"))
        await until(lambda: awaiting.twin.pending)
        (number,) = awaiting.twin.pending
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: awaiting.twin.stopped)
        awaiting.twin.port.answer(number, None, HOST)

    play(main)
    assert awaiting.silences == ["cancelled"]
    assert awaiting.ignored == 1
    assert is_silent(awaiting)


def test_the_log_names_who_cancelled_the_task_and_not_the_task(awaiting, play):
    async def press_stop(task: asyncio.Task[Any]) -> None:
        task.cancel()

    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("a.example"))
        await until(lambda: awaiting.twin.pending)
        stopper = asyncio.create_task(press_stop(task), name="stopper")
        await stopper
        with pytest.raises(asyncio.CancelledError):
            await task

    play(main)
    assert awaiting.silences == ["cancelled"]
    cancels = [
        turn.by
        for turn in read(awaiting.runtime.log)
        if any(isinstance(event, CancelRequested) for event in turn.events)
    ]
    (by,) = cancels
    assert by is not None
    assert by.who == "task stopper"
    assert by.function.endswith("press_stop")


def test_a_task_cancelled_after_the_answer_leaves_no_message_behind(awaiting, play):
    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("a.example"))
        await until(lambda: awaiting.twin.pending)
        awaiting.answer()  # the task can not go on before this one waits
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(main)
    assert awaiting.silences == ["window destroyed"]
    assert is_silent(awaiting)


def test_a_task_may_be_done_before_its_cancel(awaiting, play):
    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("a.example"))
        await until(lambda: awaiting.twin.pending)
        awaiting.twin.complete(HOST)
        assert await task == HOST
        assert not task.cancel()

    play(main)
    assert is_silent(awaiting)


def test_a_timeout_cancels_the_lookup(awaiting, play):
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await awaiting.app.host_by_name("a.example")

    play(main)
    assert awaiting.silences == ["cancelled"]
    assert is_silent(awaiting)


def test_a_group_that_fails_cancels_what_else_it_looks_up(awaiting, play):
    async def main() -> None:
        app = awaiting.app

        async def look_up_together() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(5):
                    group.create_task(app.host_by_name(f"{number}.example"))
                await until(lambda: len(awaiting.twin.pending) == 5)
                awaiting.twin.fail(winsock.Code.HOST_NOT_FOUND)

        with pytest.raises(ExceptionGroup) as caught:
            await look_up_together()
        (error,) = caught.value.exceptions
        assert isinstance(error, winsock.WinsockError)
        assert error.code == NO_HOST

    play(main)
    assert awaiting.silences == ["cancelled"] * 4
    assert is_silent(awaiting)


def test_a_cancel_that_is_refused_does_not_hide_that_the_task_was_cancelled(recordings, play):
    """A blocking call of 1.1 forbids the cancel; the lookup goes on, and nobody hears of it."""
    stage = Stage(recordings, "thread", version=(1, 1))

    async def main() -> None:
        task = asyncio.ensure_future(stage.app.host_by_name("a.example"))
        await until(lambda: stage.twin.pending)

        def recv() -> None:
            asyncio.run_coroutine_threadsafe(cancel(), recordings.loop().loop).result()

        async def cancel() -> None:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        await asyncio.to_thread(stage.app.blocking_call, "recv", recv)

    play(main)
    assert [each.code for each in stage.events(Rejected)] == [IN_PROGRESS]
    stage.answer()
    assert stage.silences == ["window destroyed"]
    assert is_silent(stage)


def test_tasks_cancelled_while_answers_come_leave_nothing_behind(awaiting, play):
    async def main() -> None:
        for _ in range(20):
            tasks = [asyncio.ensure_future(awaiting.app.host_by_name("x")) for _ in range(10)]
            await until(lambda: len(awaiting.twin.pending) == 10)
            answered = list(awaiting.twin.pending)[:5]
            answering = Helper(
                lambda numbers=answered: [awaiting.twin.complete(HOST, each) for each in numbers]  # type: ignore[misc]
            )
            for task in tasks:
                await asyncio.sleep(0)
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(end == HOST or isinstance(end, asyncio.CancelledError) for end in ends)
            answering.result()
            await until(lambda: not awaiting.twin.pending)

    play(main)
    assert is_silent(awaiting)


# --- what ends a wait ----------------------------------------------------------------------------


def test_the_last_cleanup_ends_what_is_awaited(awaiting, play):
    async def main() -> None:
        tasks = [asyncio.ensure_future(awaiting.app.host_by_name("x")) for _ in range(3)]
        await until(lambda: len(awaiting.twin.pending) == 3)
        awaiting.app.cleanup()
        for task in tasks:
            with refused(NOT_STARTED):
                await task

    play(main)
    assert awaiting.silences == ["cleanup"] * 3
    assert is_silent(awaiting)


def test_a_cleanup_that_comes_before_the_task_goes_on_takes_the_message_back(awaiting, play):
    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("x"))
        await until(lambda: awaiting.twin.pending)
        awaiting.answer()
        awaiting.app.cleanup()
        with refused(NOT_STARTED):
            await task

    play(main)
    assert is_silent(awaiting)


def test_a_network_that_fails_is_told(awaiting, play):
    async def main() -> None:
        task = asyncio.ensure_future(awaiting.app.host_by_name("x"))
        await until(lambda: awaiting.twin.pending)
        awaiting.twin.network(is_down=True)
        with refused(NETWORK_DOWN):
            await task
        with refused(NETWORK_DOWN):
            await awaiting.app.host_by_name("x")

    play(main)


@pytest.mark.parametrize("what", ["app", "runtime"])
def test_who_awaits_hears_that_all_is_closed(awaiting, play, what):
    async def main() -> None:
        lookup = asyncio.ensure_future(awaiting.app.host_by_name("x"))
        message = asyncio.ensure_future(awaiting.window.get_async())
        await until(lambda: awaiting.twin.pending)
        if what == "app":
            awaiting.app.close()
        else:
            await awaiting.runtime.aclose()
        for task in (lookup, message):
            with pytest.raises((UsageError, winsock.WinsockError)):
                await task
        with pytest.raises((RuntimeClosedError, winsock.WinsockError)):
            await awaiting.app.host_by_name("x")

    play(main)


def test_who_awaits_hears_that_the_log_failed(recordings, play):
    storage = FullStorage()
    stage = Stage(recordings, "thread", storage=storage)

    async def main() -> None:
        task = asyncio.ensure_future(stage.app.host_by_name("x"))
        await until(lambda: stage.twin.pending)
        storage.is_full = True
        with pytest.raises(LogFailedError):
            await stage.app.host_by_name("y")
        with pytest.raises(LogFailedError):
            await task

    play(main)


# --- windows in coroutines -----------------------------------------------------------------------


def test_a_window_can_be_pumped_by_coroutines(awaiting, play):
    async def main() -> None:
        pumps = [asyncio.ensure_future(awaiting.window.get_async()) for _ in range(3)]
        await asyncio.sleep(0)
        handles = {
            awaiting.app.async_get_host_by_name(awaiting.window, 1, "x", None) for _ in pumps
        }
        for _ in pumps:
            await until(lambda: awaiting.twin.pending)
            awaiting.twin.fail(winsock.Code.NO_DATA)
        assert {message.handle for message in await asyncio.gather(*pumps)} == handles

    play(main)


def test_a_pump_that_is_cancelled_leaves_the_message_to_the_next(awaiting, play):
    async def main() -> None:
        pump = asyncio.ensure_future(awaiting.window.get_async())
        await asyncio.sleep(0)
        pump.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pump
        handle = awaiting.app.async_get_host_by_name(awaiting.window, 1, "x", None)
        await until(lambda: awaiting.twin.pending)
        awaiting.twin.complete(HOST)
        assert (await awaiting.window.get_async()).handle == handle
        assert not awaiting.app.arrivals

    play(main)


def test_a_destroyed_window_ends_its_pumps(awaiting, play):
    async def main() -> None:
        pump = asyncio.ensure_future(awaiting.window.get_async())
        await asyncio.sleep(0)
        awaiting.window.destroy()
        with pytest.raises(UsageError, match="destroyed"):
            await pump

    play(main)


def test_a_loop_is_not_blocked(recordings, play):
    stage = Stage(recordings, "asyncio")

    async def main() -> None:
        with pytest.raises(UsageError, match="event loop"):
            stage.window.get()
        stage.app.async_get_host_by_name(stage.window, 1, "x", None)
        await until(lambda: stage.twin.pending)
        stage.twin.complete(HOST)
        await until(lambda: stage.window.has_messages)
        assert stage.window.get().error == winsock.Code.EFAULT  # it has not to wait

    play(main)
