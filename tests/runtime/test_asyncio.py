"""asyncio: turns in the application's loop, and coroutines that wait under every dispatcher."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pykka
import pytest

from rescind import newton
from rescind.actors.runtime import Actor, Asyncio, Reply, Runtime, UsageError
from rescind.events import DirectoryStorage, LogFailedError, Submit, Tell
from rescind.events._errors import RescindError

from .actors import Bell, Doubler, Sums
from .helpers import PATIENCE_S, FullStorage, Gate, GatedStorage, Helper
from .recordings import DISPATCHERS, Recordings, by_of, turn_of, turns

Scenario = Callable[[Runtime], Coroutine[Any, Any, None]]


@pytest.fixture
def play(recordings: Recordings) -> Callable[..., None]:
    """Run a coroutine function with a runtime, in the loop that the runtime's turns run in."""

    def run(scenario: Scenario, **options: Any) -> None:
        runtime = recordings.open("asyncio", **options)
        recordings.loop().run(scenario(runtime))

    return run


# --- awaiting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_an_answer_can_be_awaited_under_every_dispatcher(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    ref = runtime.start(Doubler)

    async def main():
        assert await ref.ask(2, block=False) == 4
        with pytest.raises(LookupError, match="as asked"):
            await ref.ask("fail", block=False)
        answered = ref.ask(3, block=False)
        assert [await answered, await answered] == [6, 6]
        mapped = ref.ask(1, block=False).map(lambda n: n + 1)
        assert await mapped == 3
        assert await ref.stop(block=False) is True
        with pytest.raises(pykka.ActorDeadError):
            await ref.ask(1, block=False)

    asyncio.run(main())


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_a_request_can_be_awaited_under_every_dispatcher(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()

    async def main():
        request = endpoint.output("x", asynchronous=True)
        cancel = endpoint.cancel(asynchronous=True)
        with pytest.raises(newton.CommError, match="-16005"):
            await request
        await cancel

    asyncio.run(main())


@pytest.mark.parametrize("dispatcher", [each for each in DISPATCHERS if each != "stepped"])
def test_awaiting_does_not_block_the_loop(recordings, dispatcher):
    """What ends the wait is done by another task of the same loop."""
    runtime = recordings.open(dispatcher)

    async def main():
        answer: Reply = Reply(runtime)
        waiting = [asyncio.create_task(get(answer)) for _ in range(3)]
        await asyncio.sleep(0)
        answer.set("now")
        assert await asyncio.gather(*waiting) == ["now"] * 3

    async def get(answer):
        return await answer

    asyncio.run(main())


def test_a_cancelled_task_only_stops_waiting(play):
    async def scenario(runtime):
        answer: Reply = Reply(runtime)
        waiting = asyncio.ensure_future(wait_for(answer))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer.set(1)
        assert await answer == 1

    async def wait_for(answer):
        return await answer

    play(scenario)


def test_whoever_awaits_hears_that_the_log_failed(recordings):
    storage = FullStorage()
    runtime = recordings.open(storage=storage)
    ref = runtime.start(Doubler)
    runtime.flush()
    storage.is_full = True

    async def main():
        with pytest.raises(LogFailedError):
            await ref.ask(1, block=False)

    asyncio.run(main())


def test_awaiting_inside_a_turn_is_refused(recordings):
    class Runs(Actor):
        dispatcher = "pinned"

        def on_receive(self, other):
            asyncio.run(self.wait(other))

        async def wait(self, other):
            await other.ask(1, block=False)

    runtime = recordings.open("thread")
    ref = runtime.start(Runs)
    with pytest.raises(UsageError, match="inside a turn"):
        ref.ask(runtime.start(Doubler))


# --- where turns run -----------------------------------------------------------------------------


class Where(Actor):
    """Says in which thread its handlers run."""

    def on_start(self):
        self.started_in = threading.current_thread()

    def on_receive(self, _message):
        return {self.started_in, threading.current_thread()}


def test_handlers_run_in_the_loops_thread_whoever_asks(recordings):
    runtime = recordings.open("asyncio")
    loop_thread = recordings.loop().run(in_loop(threading.current_thread))
    assert runtime.start(Where).ask("?") == {loop_thread}

    async def inside():
        return await runtime.start(Where).ask("?", block=False)

    assert recordings.loop().run(inside()) == {loop_thread}


async def in_loop(function):
    return function()


def test_a_call_from_another_thread_is_admitted_there(recordings, connect):
    """Its turn needs the baton and not the loop, which is busy all the while."""
    runtime = recordings.open("asyncio")
    endpoint, _ = connect(runtime)
    gate = Gate()
    gate.shut()
    recordings.loop().loop.call_soon_threadsafe(gate.pass_through)
    gate.wait_until_reached()
    with pytest.raises(newton.CommError):
        endpoint.bind(asynchronous=True)
    gate.open()


def test_a_runtime_opens_in_the_loop_that_is_running():
    async def main():
        async with Runtime.open(dispatcher=Asyncio()) as runtime:
            ref = runtime.start(Sums)
            ref.tell(1)
            endpoint = newton.Endpoint(runtime, newton.twin())
            await endpoint.bind(asynchronous=True)
        assert runtime.closing
        assert not ref.is_alive()
        return runtime

    runtime = asyncio.run(main())
    assert by_of(turn_of(runtime, Tell(1))).who.startswith("task ")


def test_without_a_loop_the_dispatcher_says_so():
    with pytest.raises(UsageError, match="no event loop is running"):
        Asyncio()


def test_when_the_loop_has_ended_whoever_waits_runs_the_turns(recordings):
    runtime = recordings.open("asyncio")
    recordings.loop().close()
    assert runtime.start(Doubler).ask(1) == 2


def test_timers_fire_in_the_loop(play):
    async def scenario(runtime):
        late, soon = asyncio.Event(), asyncio.Event()
        await runtime.start(Bell, late).ask(3600, block=False)
        await runtime.start(Bell, soon).ask(0.001, block=False)
        await asyncio.wait_for(soon.wait(), PATIENCE_S)
        assert not late.is_set()

    play(scenario)


# --- what may block ------------------------------------------------------------------------------


def test_a_blocking_call_in_the_loops_thread_is_an_error_and_does_nothing(play, recordings):
    async def scenario(runtime):
        ref = runtime.start(Doubler)
        endpoint = newton.Endpoint(runtime, newton.twin())
        pending: Reply = Reply(runtime)
        for call in (
            lambda: ref.ask(1),
            ref.stop,
            pending.get,
            runtime.flush,
            runtime.close,
            endpoint.bind,
            endpoint.dispose,
        ):
            with pytest.raises(UsageError, match="would block the event loop"):
                call()
        await asyncio.to_thread(runtime.flush)
        runtime.flush()  # nothing to wait for
        taken = [type(turn.message).__name__ for turn in await asyncio.to_thread(turns, runtime)]
        assert taken == ["Start", "Submit"]

    play(scenario)


@pytest.mark.not_repeatable("an event loop refuses the wait, and a re-execution has none")
def test_a_handler_and_a_callback_must_not_wait_there_either(play):
    class Waits(Actor):
        def on_receive(self, other):
            return other.ask(1)

    class WaitsPinned(Waits):
        dispatcher = "pinned"

    async def scenario(runtime):
        other = runtime.start(Doubler)
        with pytest.raises(UsageError, match='dispatcher = "pinned"'):
            await runtime.start(Waits).ask(other, block=False)
        assert await runtime.start(WaitsPinned).ask(other, block=False) == 2

    play(scenario)


def test_a_sync_of_the_medium_never_happens_in_the_loop(tmp_path):
    synced: set[threading.Thread] = set()

    class Storage(DirectoryStorage):
        def sync(self, segment: int) -> None:
            synced.add(threading.current_thread())
            super().sync(segment)

    async def main():
        made = Recordings()
        runtime = made.open(Asyncio(), storage=Storage(tmp_path / "log"), durability="disk")
        synced.clear()
        ref = runtime.start(Doubler)
        assert [await ref.ask(n, block=False) for n in range(20)] == list(range(0, 40, 2))
        await runtime.aclose()

    asyncio.run(main())
    assert synced
    assert threading.current_thread() not in synced


def test_the_loop_goes_on_while_the_medium_is_slow(tmp_path):
    async def main():
        storage = GatedStorage(tmp_path / "log", "sync")
        runtime = Recordings().open(Asyncio(), storage=storage, durability="disk")
        ref = runtime.start(Doubler)
        await ref.ask(1, block=False)
        storage.gate.shut()
        asked = ref.ask(2, block=False)
        await asyncio.to_thread(storage.gate.wait_until_reached)
        taken = await asyncio.to_thread(runtime.start, Sums)
        assert taken.is_alive()
        assert not asked.is_done, "it is not durable yet"
        storage.gate.open()
        assert await asked == 4
        await runtime.aclose()

    asyncio.run(main())


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so")
def test_a_busy_actor_leaves_the_loop_to_others(play):
    class Busy(Actor):
        must_stop = False

        def on_receive(self, message):
            if not Busy.must_stop:
                self.actor_ref.tell(message)

    async def scenario(runtime):
        for _ in range(100):
            runtime.start(Busy).tell("again")
        doubler = runtime.start(Doubler)
        for n in range(20):
            await asyncio.sleep(0)
            assert await doubler.ask(n, block=False) == 2 * n
        Busy.must_stop = True

    play(scenario)


# --- closing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_an_async_with_closes_while_the_loop_goes_on(recordings, dispatcher):
    async def main():
        async with recordings.open(dispatcher) as runtime:
            ref = runtime.start(Sums)
            for n in range(100):
                ref.tell(n)
            asked = ref.ask("sum?", block=False)
        assert runtime.closing
        assert await asked == sum(range(100))

    asyncio.run(main())


def test_closing_in_another_thread_lets_the_loop_finish_its_turns(recordings):
    runtime = recordings.open("asyncio")
    ref = runtime.start(Sums)
    for n in range(1000):
        ref.tell(n)
    asked = ref.ask("sum?", block=False)
    Helper(runtime.close).result()
    assert asked.get() == sum(range(1000))


# --- callbacks that are coroutine functions ------------------------------------------------------


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_a_coroutine_function_is_called_on_the_loop_where_it_was_given(
    recordings, connect, dispatcher
):
    runtime = recordings.open(dispatcher)
    endpoint, twin = connect(runtime)

    async def main():
        heard: asyncio.Queue = asyncio.Queue()
        here = asyncio.current_task()

        async def sent(on, _options, result):
            await asyncio.sleep(0)
            on.output(f"after {result}", asynchronous=True)
            await heard.put((asyncio.get_running_loop(), asyncio.current_task() is here))

        spec = newton.CallbackSpec(asynchronous=True, completion_script=sent)
        request = endpoint.output("x", spec)
        await asyncio.to_thread(runtime.flush)
        twin.complete(request.number)
        await request
        heard_in = await asyncio.wait_for(heard.get(), PATIENCE_S)
        assert heard_in == (asyncio.get_running_loop(), False)
        delivered = [turn for turn in await asyncio.to_thread(turns, runtime) if turn.message]
        [again] = [turn for turn in delivered if is_output(turn, "after None")]
        cause = delivered[again.cause.number - 1]
        assert type(cause.message).__name__ == "CompletionScript"

    asyncio.run(main())


def is_output(turn, data):
    return isinstance(turn.message, Submit) and list(turn.message.arguments) == [data]


def test_a_coroutine_function_without_a_loop_is_refused_where_it_is_given():
    async def sent(_endpoint, _options, _result): ...

    async def arrived(_endpoint, _data, _terminator, _options): ...

    with pytest.raises(UsageError, match="where an event loop is running"):
        newton.CallbackSpec(asynchronous=True, completion_script=sent)
    with pytest.raises(UsageError, match="where an event loop is running"):
        newton.InputSpec(input_script=arrived)


def test_an_interrupt_in_a_handler_ends_the_loop_and_loses_nothing():
    class Leaves(Actor):
        def on_receive(self, _message):
            raise KeyboardInterrupt

    runtimes: queue.SimpleQueue = queue.SimpleQueue()

    async def main():
        runtime = Runtime.open(dispatcher=Asyncio())
        runtimes.put(runtime)
        runtime.start(Doubler)
        runtime.start(Leaves).tell("now")
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    runtime = runtimes.get()
    with contextlib.suppress(RescindError):
        runtime.close()
    kinds = [type(event).__name__ for turn in turns(runtime) for event in turn.events]
    assert kinds == ["Born", "Born", "Failed", "Stopped", "Stopped"]
