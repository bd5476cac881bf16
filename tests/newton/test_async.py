"""The asyncio face over a twin: what tasks get, and what becomes of requests when one is cancelled.

Every scenario runs in the application's loop under real threads, with the turns in that loop, and
in the loop of a stepped runtime, in virtual time.
"""

import asyncio
import logging
from collections.abc import Callable

import pytest

from rescind import newton
from rescind.actors.newton._specs import awaited
from rescind.actors.newton.drivers._twin import ANSWERED_AT_ONCE
from rescind.actors.runtime import Runtime, UsageError
from rescind.events import CancelRequested, Delivered, Rejected, read

from .coroutines import (
    FOUR,
    LINE,
    SHORT_S,
    Act,
    Scenario,
    code_of,
    events_of,
    give_up,
    play,
    turns_of_loop,
    until,
)
from .stage import (
    CANCELED,
    GONE,
    IN_PROGRESS,
    NOT_CONNECTED,
    SPEC_ACTIVE,
    WRONG_STATE,
    DirectedTwin,
    refused,
)

NO_OPTIONS = -36002


@pytest.fixture(params=["thread", "asyncio", "stepped"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], Runtime]:
    """Play a scenario under a dispatcher."""
    return lambda scenario: play(request.param, scenario)


# --- values and errors ---------------------------------------------------------------------------


def test_a_method_returns_its_value_and_the_endpoint_is_disposed_of_at_the_end(run):
    async def scenario(runtime):
        twin = DirectedTwin(at_once=ANSWERED_AT_ONCE | {"Output"})
        async with newton.AsyncEndpoint(runtime, twin) as ep:
            assert ep.state() is newton.State.UNBND
            assert await ep.bind() is None
            asked = newton.Option("speed", data=9600)
            (answered,) = await ep.connect(options=[asked], timeout_s=5) or []
            assert (answered.label, answered.result) == ("speed", None)
            assert await ep.option([asked]) == [answered]
            assert await ep.output("x", options=asked) == [answered]
            assert await ep.output(b"abc", form="binary", target=newton.OutputTarget(1)) is None
            await ep.disconnect()
            await ep.unbind()
        assert ep.state() is None
        assert not twin.is_open
        assert await code_of(ep.bind()) == GONE
        await ep.dispose()

    run(scenario)


def test_an_endpoint_may_listen(run):
    async def scenario(runtime):
        async with newton.AsyncEndpoint(runtime, newton.twin()) as ep:
            await ep.bind()
            await ep.listen()
            assert ep.state() is newton.State.IN_CON
            await ep.accept()
            assert ep.state() is newton.State.DATA_XFER
            await ep.disconnect(cancel_pending=False)
            assert ep.state() is newton.State.IDLE

    run(scenario)


def test_what_is_refused_and_what_fails_is_raised_with_its_code(run):
    async def scenario(runtime):
        async with newton.AsyncEndpoint(runtime, newton.twin()) as ep:
            with pytest.raises(newton.CommError) as caught:
                await ep.connect()
            assert (caught.value.code, caught.value.rule) == (WRONG_STATE, "N-36006-state")
            assert await code_of(ep.option([])) == NO_OPTIONS
        async with Act(runtime) as act:
            (task,) = await act.outputs("A")
            act.twin.complete_next(code=NOT_CONNECTED)
            with pytest.raises(newton.CommError) as caught:
                await task
            assert caught.value.code == NOT_CONNECTED
            assert caught.value.request

    run(scenario)


def test_a_failure_is_the_awaiting_tasks_alone_however_early_it_comes(run, caplog):
    caplog.set_level(logging.DEBUG, "rescind.newton")

    async def scenario(runtime):
        async with Act(runtime) as act:
            act.twin.reactions["A"] = lambda: act.twin.complete_next(code=NOT_CONNECTED)
            assert await code_of(act.ep.output("A")) == NOT_CONNECTED

    runtime = run(scenario)
    assert "handler" not in {each.manner for each in events_of(runtime, Delivered)}
    assert not caplog.records


def test_what_fails_before_anybody_waits_is_not_reported_as_nobodys(stage):
    how = newton.CallbackSpec(asynchronous=True, completion_script=awaited)
    request = stage.endpoint.output("A", how)
    stage.answer_next(code=NOT_CONNECTED)
    assert request.is_done
    assert stage.take_reports() == []
    with refused(NOT_CONNECTED):
        request.get()


def test_there_is_no_third_choice(run):
    async def scenario(runtime):
        with pytest.raises(UsageError, match="abandon"):
            newton.AsyncEndpoint(runtime, newton.twin(), on_cancel="shield")  # type: ignore[arg-type]

    run(scenario)


def test_handlers_are_called_with_the_object_that_the_application_holds(run):
    heard = []

    async def report(endpoint, report):
        heard.append((endpoint, report["data"]))

    def event(endpoint, event):
        heard.append((endpoint, event.event_code))
        raise LookupError("as asked")

    async def scenario(runtime):
        twin = newton.twin()
        async with newton.AsyncEndpoint(
            runtime, twin, exception_handler=report, event_handler=event
        ) as ep:
            await ep.bind()
            twin.event(newton.EventCode.IDLE_TIMER)
            await until(lambda: len(heard) == 2)
            assert heard == [(ep, newton.EventCode.IDLE_TIMER), (ep, "as asked")]

    run(scenario)


# --- a cancelled task abandons -------------------------------------------------------------------


def test_an_abandoned_request_goes_on_and_nobody_hears_of_its_end(run, caplog):
    caplog.set_level(logging.DEBUG, "rescind.newton")

    async def scenario(runtime):
        async with Act(runtime) as act:
            await give_up(act.ep.output("A"))
            assert act.ep.endpoint.requests_pending()
            await until(lambda: act.twin.sent == ["A"])
            act.twin.complete_next(code=NOT_CONNECTED)
            await until(lambda: not act.ep.endpoint.requests_pending())

    runtime = run(scenario)
    assert events_of(runtime, CancelRequested) == []
    assert not caplog.records


def test_a_task_that_gives_up_leaves_its_neighbours_alone(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            first, second = await act.outputs("A", "B")
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            act.twin.complete_next()
            act.twin.complete_next()
            assert await second is None

    assert events_of(run(scenario), CancelRequested) == []


@pytest.mark.parametrize("on_cancel", ["abandon", "cancel"])
def test_what_came_for_a_receive_that_was_given_up_is_the_next_ones(run, on_cancel):
    async def scenario(runtime):
        async with Act(runtime, on_cancel) as act:
            for number in range(3):
                act.twin.feed(b"be")
                await give_up(act.ep.receive(LINE))
                act.twin.feed(b"gin %d\nmore\n" % number)
                if on_cancel == "abandon":
                    await until(lambda: not act.ep.endpoint.requests_pending())
                lines = [await act.ep.receive(LINE), await act.ep.receive(LINE)]
                assert [each.data for each in lines] == [f"begin {number}\n", "more\n"]

    run(scenario)


@pytest.mark.parametrize("is_complete", [False, True])
def test_a_receive_that_was_given_up_is_for_an_equal_spec_until_it_is_flushed(run, is_complete):
    async def scenario(runtime):
        async with Act(runtime) as act:
            await give_up(act.ep.receive(LINE))
            if is_complete:
                act.twin.feed(b"line\nrest")
                await until(lambda: not act.ep.endpoint.requests_pending())
            assert await code_of(act.ep.receive(FOUR)) == SPEC_ACTIVE
            act.ep.flush_input()
            if is_complete:
                act.twin.feed(b"four")
                assert (await act.ep.receive(FOUR)).data == "four"
            else:
                act.twin.feed(b"line\n")
                assert (await act.ep.receive(LINE)).data == "line\n"

    run(scenario)


def test_binary_data_goes_into_the_buffer_that_was_asked_for(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            first, second = bytearray(4), bytearray(4)
            specs = [
                newton.InputSpec(form="binary", target=newton.InputTarget(data))
                for data in (first, second)
            ]
            await give_up(act.ep.receive(specs[0]))
            assert await code_of(act.ep.receive(specs[1])) == SPEC_ACTIVE
            act.twin.feed(b"abcd")
            assert (await act.ep.receive(specs[0])).data is first
            assert (bytes(first), bytes(second)) == (b"abcd", bytes(4))

    run(scenario)


def test_how_a_receive_failed_that_was_given_up_is_nobodys(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            await give_up(act.ep.receive(LINE))
            await act.ep.cancel()
            act.twin.feed(b"four")
            assert (await act.ep.receive(FOUR)).data == "four"

    run(scenario)


def test_a_new_connection_begins_without_the_last_ones_piece(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            await give_up(act.ep.receive(LINE))
            act.twin.feed(b"old\n")
            await until(lambda: not act.ep.endpoint.requests_pending())
            await act.ep.disconnect()
            await act.ep.connect()
            act.twin.feed(b"new\n")
            assert (await act.ep.receive(LINE)).data == "new\n"

    run(scenario)


# --- a cancelled task cancels --------------------------------------------------------------------


def test_a_cancelled_task_ends_when_its_cancel_has_completed(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            first, second = await act.outputs("A", "B")
            first.cancel()
            await until(lambda: act.twin.kills)
            await turns_of_loop(5)
            assert not first.done()
            assert await code_of(act.ep.output("C")) == IN_PROGRESS
            act.twin.finish_kill()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert not act.ep.endpoint.requests_pending()
            assert await code_of(second) == CANCELED
            assert not act.ep.endpoint.cancel_in_progress()

    run(scenario)


def test_the_log_says_who_cancelled_the_task(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel") as act:
            (task,) = await act.outputs("A")
            stop_button(task)
            with pytest.raises(asyncio.CancelledError):
                await task

    def stop_button(task):
        task.cancel()

    runtime = run(scenario)
    (turn,) = [
        turn
        for turn in read(runtime.log)
        if any(isinstance(event, CancelRequested) for event in turn.events)
    ]
    assert turn.by
    assert turn.by.function.endswith("stop_button")
    assert turn.by.file == __file__


def test_a_task_that_is_cancelled_once_more_waits_no_longer(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            (task,) = await act.outputs("A")
            task.cancel()
            await until(lambda: act.twin.kills)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert act.ep.endpoint.cancel_in_progress() is not None
            act.twin.finish_kill()
            await until(lambda: not act.ep.endpoint.requests_pending())

    run(scenario)


def test_a_cancel_in_progress_is_waited_for(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            first, second = await act.outputs("A", "B")
            cancel = asyncio.create_task(act.ep.cancel())
            await until(lambda: act.twin.kills)
            for task in (first, cancel):
                task.cancel()
            await turns_of_loop(5)
            assert not first.done()
            assert not cancel.done()
            act.twin.finish_kill()
            for task in (first, cancel):
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert await code_of(second) == CANCELED

    runtime = run(scenario)
    assert len(events_of(runtime, CancelRequested)) == 1
    assert events_of(runtime, Rejected) == []


def test_a_disconnect_in_progress_is_waited_for(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            (task,) = await act.outputs("A")
            disconnect = asyncio.create_task(act.ep.disconnect())
            await until(lambda: act.twin.kills)
            task.cancel()
            await turns_of_loop(5)
            assert not task.done()
            act.twin.finish_kill()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert act.ep.state() is newton.State.IDLE
            await disconnect

    assert len(events_of(run(scenario), CancelRequested)) == 1


def test_what_a_release_in_progress_spares_is_cancelled_after_it(run):
    async def scenario(runtime):
        at_once = ANSWERED_AT_ONCE - {"Option"}
        async with Act(runtime, "cancel", holds_kills=True, at_once=at_once) as act:
            option = asyncio.create_task(act.ep.option(newton.Option("speed")))
            receive = asyncio.create_task(act.ep.receive(LINE))
            await act.posted()
            release = asyncio.create_task(act.ep.disconnect(cancel_pending=False))
            await until(lambda: len(act.twin.kills) == 1)
            option.cancel()
            act.twin.finish_kill()
            assert await code_of(receive) == CANCELED
            await release
            await until(lambda: len(act.twin.kills) == 2)
            assert not option.done()
            act.twin.finish_kill()
            with pytest.raises(asyncio.CancelledError):
                await option
            assert not act.ep.endpoint.requests_pending()

    run(scenario)


def test_in_the_profile_rom_a_task_does_not_wait_for_what_its_cancel_cannot_stop(run):
    async def scenario(runtime):
        twin = DirectedTwin(at_once=frozenset(), unkillable=frozenset({"Bind"}))
        ep = newton.AsyncEndpoint(runtime, twin, on_cancel="cancel", profile="rom")
        task = asyncio.create_task(ep.bind())
        await until(lambda: twin.pending)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ep.endpoint.requests_pending()
        twin.complete(*twin.pending)
        await until(lambda: ep.state() is newton.State.IDLE)
        await ep.dispose()

    assert len(events_of(run(scenario), CancelRequested)) == 1


def test_cancelling_a_task_of_an_endpoint_that_is_disposed_of_waits_for_nothing(run):
    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            first, second = await act.outputs("A", "B")
            dispose = asyncio.create_task(act.ep.dispose())
            asyncio.get_running_loop().call_soon(first.cancel)  # right behind dispose's first step
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await code_of(second) == GONE
            await dispose
            assert act.ep.state() is None

    assert events_of(run(scenario), CancelRequested) == []


def test_a_task_group_ends_with_nothing_outstanding(run):
    async def sends_and_fails(act):
        async with asyncio.TaskGroup() as group:
            for name in "XYZ":
                group.create_task(act.ep.output(name))
            await until(lambda: act.twin.sent == ["X", "Y", "Z"])
            raise LookupError("as asked")

    async def scenario(runtime):
        async with Act(runtime, "cancel") as act:
            with pytest.raises(ExceptionGroup) as caught:
                await sends_and_fails(act)
            (failed,) = caught.value.exceptions  # and no CommError of a task's neighbour's cancel
            assert isinstance(failed, LookupError)
            assert not act.ep.endpoint.requests_pending()

    runtime = run(scenario)
    assert len(events_of(runtime, CancelRequested)) == 1
    assert events_of(runtime, Rejected) == []


def test_an_outer_time_out_ends_the_wait_for_the_inner_ones_cancel(run):
    heard = []

    async def inner(act):
        try:
            async with asyncio.timeout(SHORT_S):
                await act.ep.output("A")
        except TimeoutError:
            return "the inner one's"

    async def scenario(runtime):
        async with Act(runtime, "cancel", holds_kills=True) as act:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2 * SHORT_S):
                    heard.append(await inner(act))
            assert heard == []
            act.twin.finish_kill()
            await until(lambda: not act.ep.endpoint.requests_pending())

    run(scenario)
