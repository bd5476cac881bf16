"""The same program under every dispatcher, in one process and in one log or in two."""

import asyncio
import threading
from typing import Any

import pytest

from rescind import Asyncio, Runtime, rpc
from rescind.events import CancelRequested, Completed, Discarded, How, read
from tests.runtime.recordings import DISPATCHERS, Recordings, audit, events_of

from .stage import CANCELLED, FAILED, WAIT_S, code_of, refused


def double(number: int) -> int:
    return 2 * number


def until_cancelled() -> None:
    if rpc.wait_cancelled(WAIT_S):
        raise rpc.Abort(rpc.Code.CALL_CANCELLED)


async def double_later(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


FUNCTIONS = {each.__name__: each for each in (double, until_cancelled, double_later)}


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
@pytest.mark.parametrize("logs", [1, 2])
def test_calls_and_cancels_under_each_dispatcher(
    recordings: Recordings, dispatcher: str, logs: int
) -> None:
    client = recordings.open(dispatcher)
    server = client if logs == 1 else recordings.open("thread")
    if logs == 2 and dispatcher == "stepped":
        pytest.skip("nobody steps while a thread works")
    channel, listener = rpc.in_process()
    rpc.Server(server, FUNCTIONS, listener)
    binding = rpc.Binding(client, channel)
    assert binding.call("double", 21).get(WAIT_S) == 42
    assert binding.call("double_later", 4).get(WAIT_S) == 8
    call = binding.call("until_cancelled")
    call.cancel(grace_s=WAIT_S)
    assert code_of(lambda: call.get(WAIT_S)) == CANCELLED
    (asked,) = [each for each in events_of(client, CancelRequested) if each.scope == call.number]
    ended = [each for each in events_of(client, Completed) if each.request == call.number]
    assert [(each.how, each.by) for each in ended] == [(How.CANCELLED, asked.cancel)]


def test_a_call_is_awaited_and_its_loop_goes_on() -> None:
    async def main() -> Any:
        runtime = Runtime.open(dispatcher=Asyncio())
        channel, listener = rpc.in_process()
        async with runtime:
            with rpc.Server(runtime, FUNCTIONS, listener), rpc.Binding(runtime, channel) as binding:
                assert await binding.call("double", 1) == 2
                several = [binding.call("double_later", number) for number in range(20)]
                assert await asyncio.gather(*several) == [2 * number for number in range(20)]
                call = binding.call("until_cancelled")
                call.cancel()
                with refused(CANCELLED):
                    await call
        return runtime.log

    audit(asyncio.run(main()))


def test_a_server_that_is_closed_lets_go_of_its_functions_and_of_who_waits(
    recordings: Recordings,
) -> None:
    runtime = recordings.open("thread")
    channel, listener = rpc.in_process()
    ended = threading.Event()

    def serve() -> None:
        try:
            rpc.wait_cancelled()
        except rpc.RpcError:
            ended.set()
            raise

    server, binding = rpc.Server(runtime, {"serve": serve}, listener), rpc.Binding(runtime, channel)
    call = binding.call("serve")
    assert not server.wait(0.01)
    threading.Timer(0.05, server.close).start()
    assert server.wait(WAIT_S)
    assert ended.wait(WAIT_S)
    assert code_of(lambda: call.get(WAIT_S)) == FAILED


def test_a_cause_crosses_the_wire_in_both_directions(recordings: Recordings) -> None:
    client, server = recordings.open("thread"), recordings.open("thread")
    channel, listener = rpc.in_process()
    rpc.Server(server, FUNCTIONS, listener)
    call = rpc.Binding(client, channel).call("double", 2)
    assert call.get(WAIT_S) == 4
    client.flush()
    server.flush()
    there = [turn for turn in read(server.log) if turn.cause and turn.cause.log == client.log_id]
    back = [turn for turn in read(client.log) if turn.cause and turn.cause.log == server.log_id]
    assert [turn.cause.number for turn in there if turn.cause] == [call.called]
    (ended,) = [
        turn for turn in read(server.log) if any(isinstance(e, Completed) for e in turn.events)
    ]
    assert [turn.cause.number for turn in back if turn.cause] == [ended.number]


def test_a_call_that_was_stopped_as_an_actor_is_over(recordings: Recordings) -> None:
    runtime = recordings.open("thread")
    channel, listener = rpc.in_process()
    rpc.Server(runtime, FUNCTIONS, listener)
    call = rpc.Binding(runtime, channel).call("until_cancelled")
    call.cancel()
    call.actor_ref.stop()
    assert code_of(lambda: call.get(WAIT_S)) in (FAILED, CANCELLED)
    reasons = [each.reason for each in events_of(runtime, Discarded)]
    assert reasons in ([], ["stopped"], ["stopped", "client abort"])
