"""The asyncio face over real TCP: iteration, back-pressure, ends, and cancels in races."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from rescind import newton
from rescind.actors.newton.drivers._receiver import RECEIVE_BYTES
from rescind.actors.runtime import Runtime

from .coroutines import Scenario, code_of, play, until
from .stage import CANCELED, NOT_CONNECTED, SPEC_ACTIVE

LINE = newton.InputSpec(termination=newton.Termination(end_sequence="\n"))
BLOCK_BYTES = 4096
BLOCK = newton.InputSpec(form="bytes", termination=newton.Termination(byte_count=BLOCK_BYTES))
BIG = bytes(8 * 2**20)
"""More than the kernel's buffers hold, so that it stays outstanding until the peer reads."""
RACES = 1000

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@pytest.fixture(params=["thread", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], Runtime]:
    """Play a scenario under a dispatcher."""
    return lambda scenario: play(request.param, scenario)


class Line:
    """An endpoint, connected over TCP to a coroutine that is its peer."""

    def __init__(self, runtime: Runtime, serve: Serve, on_cancel: Any = "abandon") -> None:
        self._runtime = runtime
        self._serve = serve
        self._on_cancel = on_cancel
        self._peers: list[asyncio.Task[Any]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> newton.AsyncEndpoint:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        tool = newton.tcp("127.0.0.1", port)
        self._endpoint = newton.AsyncEndpoint(self._runtime, tool, on_cancel=self._on_cancel)
        await self._endpoint.bind()
        await self._endpoint.connect()
        return self._endpoint

    async def __aexit__(self, *_: object) -> None:
        await self._endpoint.dispose()
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await until(lambda: all(peer.done() for peer in self._peers))

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peers += filter(None, [asyncio.current_task()])
        self._writers.append(writer)
        with suppress(ConnectionError):
            await self._serve(reader, writer)
            writer.close()
            await writer.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing either: the kernel's buffers fill."""
    transport: Any = writer.transport
    transport.pause_reading()
    await writer.wait_closed()


def test_a_conversation_in_lines(run):
    async def scenario(runtime):
        async with Line(runtime, echo) as ep:
            for number in range(50):
                await ep.output(f"line {number}\n")
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(ep.output("more\n"))
            heard = []
            async for piece in ep.inputs(LINE):
                heard.append(piece.data)
                if len(heard) == 100:
                    await ep.disconnect()
            assert heard == [*(f"line {number}\n" for number in range(50)), *["more\n"] * 50]

    run(scenario)


def test_a_flood_waits_at_the_peer_while_its_consumer_is_slow(run):
    sent = 0
    blocks = 2000
    chance = random.Random(6).randbytes(blocks * BLOCK_BYTES)

    async def flood(reader, writer):
        nonlocal sent
        for start in range(0, len(chance), 4 * BLOCK_BYTES):
            writer.write(chance[start : start + 4 * BLOCK_BYTES])
            await writer.drain()
            sent = start

    async def scenario(runtime):
        async with Line(runtime, flood) as ep:
            received, buffered, ahead = bytearray(), [], []
            async for piece in ep.inputs(BLOCK):
                received += piece.data
                if len(received) % (50 * BLOCK_BYTES) == 0:
                    await asyncio.sleep(0.002)
                    buffered.append(buffered_of(ep))
                    ahead.append(sent - len(received))
            assert received == chance
            assert max(buffered) < 2 * RECEIVE_BYTES  # one read more than it wants
            assert max(buffered) >= RECEIVE_BYTES  # it was a flood
            assert max(ahead) < len(chance)

    run(scenario)


def buffered_of(endpoint):
    """Return how many bytes wait in the tool."""
    receiver = endpoint.endpoint._actor.tool._receiver
    return receiver._waiting_bytes + len(receiver._buffer)


def test_an_iteration_gets_what_came_before_the_peer_closed(run):
    async def close_in_the_middle(reader, writer):
        writer.write(b"one\ntwo\nthr")

    async def scenario(runtime):
        async with Line(runtime, close_in_the_middle) as ep:
            assert [piece.data async for piece in ep.inputs(LINE)] == ["one\n", "two\n"]
            assert ep.state() is newton.State.IN_REL
            assert [piece.data async for piece in ep.inputs(LINE)] == []
            assert await code_of(ep.receive(LINE)) == NOT_CONNECTED

    run(scenario)


def test_an_iteration_ends_when_the_peer_resets(run):
    async def reset(reader, writer):
        writer.write(b"one\n")
        await reader.readline()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async def scenario(runtime):
        async with Line(runtime, reset) as ep:
            inputs = ep.inputs(LINE)
            assert (await anext(inputs)).data == "one\n"
            await ep.output("go\n")
            assert [piece async for piece in inputs] == []
            assert ep.state() is newton.State.IDLE

    run(scenario)


def test_cancelling_an_output_that_the_peer_does_not_take_ends_it(run):
    async def scenario(runtime):
        async with Line(runtime, say_nothing, "cancel") as ep:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ep.output(BIG)
            assert not ep.endpoint.requests_pending()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ep.output(BIG), 0.05)
            assert not ep.endpoint.requests_pending()

    run(scenario)


def test_an_output_that_was_abandoned_is_sent_all_the_same(run):
    received = 0

    async def read_late(reader, writer):
        nonlocal received
        await may_read.wait()
        while data := await reader.read(65536):
            received += len(data)

    may_read = asyncio.Event()

    async def scenario(runtime):
        async with Line(runtime, read_late) as ep:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await ep.output(BIG)
            may_read.set()
            await ep.output(b"behind")
            await ep.disconnect(cancel_pending=False)
            await until(lambda: received == len(BIG) + len(b"behind"))

    run(scenario)


def test_two_tasks_that_iterate_at_once_cannot_go_on_for_long(run):
    async def scenario(runtime):
        async with Line(runtime, echo) as ep:

            async def listen():
                async for _ in ep.inputs(LINE):
                    pass

            tasks = [asyncio.create_task(listen()) for _ in range(2)]
            done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert [await code_of(each) for each in done] == [SPEC_ACTIVE]
            await ep.cancel()
            assert [await code_of(each) for each in left] == [CANCELED]

    run(scenario)


@pytest.mark.parametrize("on_cancel", ["abandon", "cancel"])
def test_a_task_cancelled_as_its_output_completes_leaves_the_endpoint_usable(run, on_cancel):
    chance = random.Random(7)
    ends = {"sent": 0, "cancelled": 0}

    async def scenario(runtime):
        async with Line(runtime, echo, on_cancel) as ep:
            for _ in range(RACES):
                task = asyncio.create_task(ep.output(b"x"))
                await pause(chance)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    ends["cancelled"] += 1
                else:
                    ends["sent"] += 1
                if on_cancel == "cancel":
                    assert not ep.endpoint.requests_pending()
            await ep.output(b"y")

    run(scenario)
    assert all(ends.values()), ends


@pytest.mark.parametrize("on_cancel", ["abandon", "cancel"])
def test_a_task_cancelled_as_a_line_comes_loses_none(run, on_cancel):
    chance = random.Random(8)
    cancelled = 0

    async def say_lines(reader, writer):
        for number in range(RACES):
            writer.write(b"%d\n" % number)
            await pause(chance)

    async def scenario(runtime):
        nonlocal cancelled
        async with Line(runtime, say_lines, on_cancel) as ep:
            heard, inputs = [], ep.inputs(LINE)
            while True:
                task = asyncio.create_task(anext(inputs, None))
                await pause(chance)
                task.cancel()
                try:
                    piece = await task
                except asyncio.CancelledError:
                    cancelled += 1
                    continue
                if piece is None:
                    break
                heard.append(int(piece.data))
            assert heard == list(range(RACES))

    run(scenario)
    assert cancelled


async def pause(chance: random.Random) -> None:
    """Let others go on for nothing to about as long as a request over the loopback takes."""
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(chance.choice([0, 0, 0.0002]))
