"""Input and streams through the asyncio face, over a twin: iterations, ends and cancels."""

import asyncio
from collections.abc import Callable

import pytest

from rescind import newton
from rescind.actors.newton.drivers._twin import ANSWERED_AT_ONCE
from rescind.actors.runtime import Runtime, UsageError

from .coroutines import LINE, Act, Scenario, code_of, give_up, play, until
from .stage import CANCELED, SPEC_ACTIVE, WRONG_STATE

TOO_LONG = -16004


@pytest.fixture(params=["thread", "asyncio", "stepped"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], Runtime]:
    """Play a scenario under a dispatcher."""
    return lambda scenario: play(request.param, scenario)


def test_an_iteration_ends_when_the_line_is_gone(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            act.twin.feed(b"one\ntwo\nthr")
            pieces = []
            async for piece in act.ep.inputs(LINE):
                pieces.append(piece)
                if piece.data == "two\n":
                    act.twin.release_remotely()
            assert [each.data for each in pieces] == ["one\n", "two\n"]
            assert pieces[0].terminator == newton.Terminator("endSequence", 4, 0)

    run(scenario)


def test_an_iteration_raises_every_other_end(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            inputs = act.ep.inputs(newton.InputSpec(form="frame"))
            task = asyncio.create_task(anext(inputs))
            await act.posted()
            await act.ep.cancel()
            assert await code_of(task) == CANCELED
            act.twin.feed(b"\xff\xff\xff\xff")
            assert await code_of(anext(inputs)) == TOO_LONG
            await act.ep.disconnect()
            await act.ep.unbind()
            assert await code_of(anext(inputs)) == WRONG_STATE

    run(scenario)


@pytest.mark.parametrize("on_cancel", ["abandon", "cancel"])
def test_an_iteration_goes_on_where_it_was_cancelled_and_misses_nothing(run, on_cancel):
    async def scenario(runtime):
        async with Act(runtime, on_cancel) as act:
            heard = []
            inputs = act.ep.inputs(LINE)

            async def listen():
                async for piece in inputs:
                    heard.append(piece.data)  # noqa: PERF401  # of a loop that ends half-way, too

            for number in range(5):
                act.twin.feed(b"a %d\nb " % number)
                await give_up(listen())
                act.twin.feed(b"%d\n" % number)
            act.twin.release_remotely()
            await listen()
            assert heard == [f"{letter} {n}\n" for n in range(5) for letter in "ab"]

    run(scenario)


def test_two_tasks_cannot_iterate_at_once(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            first = asyncio.create_task(anext(act.ep.inputs(LINE)))
            await act.posted()
            assert await code_of(anext(act.ep.inputs(LINE))) == SPEC_ACTIVE
            act.twin.feed(b"line\n")
            assert (await first).data == "line\n"

    run(scenario)


def test_the_options_of_a_receive_are_used_once(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            speed = newton.Option("speed")
            spec = newton.InputSpec(termination=LINE.termination, rcv_options=speed)
            act.twin.feed(b"a\nb\n")
            inputs = act.ep.inputs(spec)
            first, second = await anext(inputs), await anext(inputs)
            assert [each.label for each in first.options or []] == ["speed"]
            assert second.options is None

    run(scenario)


def test_whoever_awaits_a_receive_needs_no_scripts(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            for spec in (
                newton.InputSpec(lambda *_: None),
                newton.InputSpec(completion_script=lambda *_: None),
            ):
                with pytest.raises(UsageError, match="no scripts"):
                    await act.ep.receive(spec)

    run(scenario)


def test_a_silent_line_times_out(run):
    async def scenario(runtime):
        async with Act(runtime) as act:
            act.twin.feed(b"a\nb")
            spec = newton.InputSpec(termination=LINE.termination, timeout_s=0.05)
            inputs = act.ep.inputs(spec)
            assert (await anext(inputs)).data == "a\n"
            assert await code_of(anext(inputs)) == CANCELED

    run(scenario)


# --- streams -------------------------------------------------------------------------------------


def test_frames_of_any_size_are_streamed_both_ways(run):
    async def scenario(runtime):
        async with Act(runtime, at_once=ANSWERED_AT_ONCE | {"Output"}) as act:
            frame = {"data": "x" * 50_000}
            seen = []

            def note(_endpoint, *so_far):
                seen.append(so_far)
                return True

            spec = newton.StreamSpec(progress_script=note)
            await act.ep.stream_out(frame, spec)
            sent = [each[2][0] for each in act.twin.performed if each[1] == "Output"]
            total = sum(map(len, sent))
            assert len(sent) > 1
            assert seen[-1] == (total, total)
            act.twin.feed(b"".join(sent))
            assert await act.ep.stream_in() == frame

    run(scenario)


def test_a_stream_stops_where_its_progress_script_or_its_endpoint_says(run):
    async def scenario(runtime):
        async with Act(runtime, at_once=ANSWERED_AT_ONCE | {"Output"}) as act:
            spec = newton.StreamSpec(progress_script=lambda *_: False)
            await act.ep.stream_out({"data": "x" * 50_000}, spec)
            assert act.twin.asked.count("Output") == 1
            task = asyncio.create_task(act.ep.stream_in())
            await until(lambda: "Receive" in act.twin.asked)
            await act.ep.cancel()
            assert await code_of(task) == CANCELED

    run(scenario)
