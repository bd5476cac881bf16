"""`why` says who ended a call: the deadline, the caller, the parent, the server, the transport."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest

from rescind import rpc
from rescind.events import CancelOutcome, CancelRequested, Completed, Discarded, How, Outcome
from rescind.replay import CancelSequence, sequences

from . import shop
from .sides import Side, Sides

HERE = r"\S*_who\.py"
"""This file, as far as a narrow screen shows it."""


def stop(call: Any) -> None:
    """Cancel, at a line that `why` shall name."""
    call.cancel()


def ends(event: Any) -> bool:
    return isinstance(event, Completed)


def trigger_of(side: Side) -> str:
    """Return the trigger of the only cancel."""
    (cancel,) = sequences(side.read())
    assert isinstance(cancel, CancelSequence)
    return str(cancel.trigger)


class Watched:
    """Both ends with interceptors."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides

    @contextmanager
    def channel(self, handlers: Any = None) -> Iterator[grpc.Channel]:
        on_server = [rpc.server_interceptor(self.sides.server.runtime)]
        on_client = rpc.client_interceptors(self.sides.client.runtime)
        with shop.serving(on_server, handlers) as port, shop.channel_to(port, on_client) as channel:
            yield channel


@pytest.fixture
def watched(sides: Sides) -> Watched:
    return Watched(sides)


# --- the caller ----------------------------------------------------------------------------------


def test_the_caller_who_cancels_is_named_with_the_line(watched: Watched) -> None:
    client, server = watched.sides
    with watched.channel() as channel:
        call = shop.method(channel, "Wait").future(b"")
        shop.running.acquire()
        stop(call)
        told = client.why("last", server)
        turns = server.until(lambda event: isinstance(event, Discarded))
    assert re.match(r"r\d+ Call ended 1 CANCELLED: cancelled by c\d+ \(cancel\)\n", told)
    assert "\n  its caller cancelled it\n  a call of /shop.Shop/Wait\n" in told
    assert re.search(rf"by MainThread +{HERE}:\d+ in stop\n", told)
    # The handler of a synchronous server goes on, and nobody hears of its result.
    ignored = [e for turn in turns for e in turn.events if isinstance(e, CancelOutcome)]
    assert [event.outcome for event in ignored] == [Outcome.IGNORED]
    (served,) = [e.request for turn in turns for e in turn.events if isinstance(e, Completed)]
    story = server.why(f"r{served}", client)
    assert "never delivered: the client is gone" in story
    assert re.search(r"at its caller, r\d+ Call ended so because", story)
    assert re.search(rf"by MainThread +{HERE}:\d+ in stop\n", story)


def test_a_cancel_behind_the_end_is_recorded_as_too_late(watched: Watched) -> None:
    with watched.channel() as channel:
        call = shop.method(channel, "Echo").future(b"a")
        assert call.result() == b"a"
        assert call.cancel() is False
    (cancel,) = sequences(watched.sides.client.read())
    told = watched.sides.client.why(f"c{cancel.cancel}")
    assert "too late, it had completed (ok)" in told
    assert re.search(rf"by MainThread +{HERE}:", told)


def test_who_closes_a_channel_ends_its_calls(sides: Sides) -> None:
    with shop.serving() as port:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        to = grpc.intercept_channel(channel, *rpc.client_interceptors(sides.client.runtime))
        call = shop.method(to, "Wait").future(b"")
        shop.running.acquire()
        channel.close()
        sides.client.until(ends)
        assert call.cancelled() is False
    assert trigger_of(sides.client) == "channel closed"


def test_a_call_that_nobody_holds_was_dropped(sides: Sides) -> None:
    with (
        shop.serving() as port,
        shop.channel_to(port, rpc.client_interceptors(sides.client.runtime)) as channel,
    ):
        call = shop.method(channel, "Endless")(b"")
        assert next(call) == b"0"
        del call  # gRPC cancels it: so nothing of ours has held it
        sides.client.until(ends)
    assert trigger_of(sides.client) == "dropped"
    assert "nobody held the call any more" in sides.client.why("last")


# --- the deadline --------------------------------------------------------------------------------


def test_a_deadline_is_told_on_both_sides(watched: Watched) -> None:
    client, server = watched.sides
    with watched.channel() as channel:
        assert shop.outcome(lambda: shop.method(channel, "Wait")(b"", timeout=0.1))
        server.until(ends)
    told = client.why("last")
    ended = r"r2 Call ended 4 DEADLINE_EXCEEDED: cancelled by c\d+, the deadline of r2\n"
    assert re.match(ended, told)
    assert "\n  its deadline passed: Deadline Exceeded\n" in told
    assert "a call of /shop.Shop/Wait, at most 100 ms\n" in told
    assert trigger_of(server) == "deadline"


# --- the parent ----------------------------------------------------------------------------------


def test_a_call_that_a_handler_ends_because_its_own_was_cancelled_names_its_parent(
    watched: Watched,
) -> None:
    client, server = watched.sides
    on_client = rpc.client_interceptors(server.runtime)
    with shop.serving() as back, shop.channel_to(back, on_client) as behind:

        def front(request: bytes, context: Any) -> bytes:
            call = shop.method(behind, "Wait").future(b"")
            if not context.add_callback(call.cancel):
                call.cancel()
            with suppress(grpc.FutureCancelledError):
                call.result()
            return b""

        with watched.channel({"Echo": front}) as channel:
            call = shop.method(channel, "Echo").future(b"")
            shop.running.acquire()
            call.cancel()
            turns = server.until(lambda event: isinstance(event, Discarded))
    triggers = [e.trigger for turn in turns for e in turn.events if isinstance(e, CancelRequested)]
    assert triggers == ["client", "parent"]
    (inner,) = [
        event.request
        for turn in turns
        for event in turn.events
        if isinstance(event, Completed) and event.how == How.CANCELLED
    ]
    told = server.why(f"r{inner}", client)
    assert re.match(r"r\d+ Call ended 1 CANCELLED: cancelled by c\d+ \(parent\)\n", told)
    assert "\n  the call that it was made for had been cancelled\n" in told
    # The line in the client from which all of this comes.
    assert re.search(rf"by MainThread +{HERE}:", told)


# --- the server ----------------------------------------------------------------------------------


def test_a_server_that_aborts_is_named_with_the_line_of_its_handler(watched: Watched) -> None:
    client, server = watched.sides
    with watched.channel() as channel:
        shop.outcome(lambda: shop.method(channel, "Fail")(b"ABORTED"))
    told = client.why("last", server)
    assert re.match(r"r\d+ Call ended 10 ABORTED: cancelled by c\d+ \(server\)\n", told)
    assert "\n  the server ended it: the shop is closed\n" in told
    assert re.search(r"by ThreadPoolExecutor-\S+ +\S*shop.py:\d+ in fail\n", told)


@pytest.mark.parametrize("status", ["CANCELLED", "UNAVAILABLE", "DEADLINE_EXCEEDED"])
def test_a_status_that_a_recorded_server_sends_is_the_servers(
    watched: Watched, status: str
) -> None:
    with watched.channel({"Fail": shop.fail_softly}) as channel:
        shop.outcome(lambda: shop.method(channel, "Fail")(status.encode(), timeout=30))
    assert trigger_of(watched.sides.client) == "server"
    assert trigger_of(watched.sides.server) == "server"


def test_a_server_that_is_not_recorded_is_known_by_what_the_library_never_says(
    sides: Sides,
) -> None:
    with (
        shop.serving() as port,
        shop.channel_to(port, rpc.client_interceptors(sides.client.runtime)) as channel,
    ):
        for status in (b"CANCELLED", b"ABORTED", b"DEADLINE_EXCEEDED"):
            shop.outcome(partial(shop.method(channel, "Fail"), status, timeout=30))
    assert [each.trigger for each in sequences(sides.client.read())] == ["server"] * 3


def test_a_handler_that_raises_is_a_failure_and_nobodys_cancel(watched: Watched) -> None:
    client, server = watched.sides
    with watched.channel() as channel:
        shop.outcome(lambda: shop.method(channel, "Raise")(b"shoes"))
    assert list(sequences(client.read())) == []
    told = client.why("last", server)
    assert re.match(r"r\d+ Call completed with its true result: 2 UNKNOWN\n", told)
    assert re.search(r"by ThreadPoolExecutor-\S+ +\S*shop.py:\d+ in raise_\n", told)


# --- the transport -------------------------------------------------------------------------------


def test_a_server_that_cannot_be_reached_is_the_transports_fault(sides: Sides) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with shop.channel_to(port, rpc.client_interceptors(sides.client.runtime)) as channel:
        shop.outcome(lambda: shop.method(channel, "Echo")(b""))
    told = sides.client.why("last")
    assert re.match(r"r\d+ Call ended 14 UNAVAILABLE: cancelled by c\d+ \(transport\)\n", told)
    assert "\n  the transport failed: there is no connection, or it was lost: " in told


class Wire:
    """A TCP connection that a test can cut."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._to = port
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._to))
            self._ends = [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def cut(self) -> None:
        self._server.close()
        for end in self._ends:
            end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_connection_that_is_lost_is_told_on_both_sides(sides: Sides) -> None:
    client, server = sides
    with shop.serving([rpc.server_interceptor(server.runtime)]) as port:
        wire = Wire(port)
        on_client = rpc.client_interceptors(client.runtime)
        with shop.channel_to(wire.port, on_client) as channel:
            call = shop.method(channel, "Wait").future(b"")
            shop.running.acquire()
            wire.cut()
            client.until(ends)
            server.until(ends)
            assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert trigger_of(client) == "transport"
    assert trigger_of(server) == "client"
    assert "its client cancelled it, or was gone" in server.why(f"c{_cancel(server)}")


def _cancel(side: Side) -> int:
    (sequence,) = sequences(side.read())
    return sequence.cancel


# --- streams -------------------------------------------------------------------------------------


def test_a_stream_that_its_client_leaves_ends_its_handler(watched: Watched) -> None:
    client, server = watched.sides
    with watched.channel() as channel:
        stream = shop.method(channel, "Endless")(b"")
        assert next(stream) == b"0"
        stream.cancel()
        server.until(lambda event: isinstance(event, CancelRequested))
    assert trigger_of(client) == "cancel"
    assert trigger_of(server) == "client"


# --- grpc.aio ------------------------------------------------------------------------------------


def aio(sides: Sides, program: Any, handlers: Any = None) -> None:
    """Run a program with a channel to a server, both with interceptors."""

    async def main() -> None:
        on_server = [rpc.aio_server_interceptor(sides.server.runtime)]
        on_client = rpc.aio_client_interceptors(sides.client.runtime)
        async with (
            shop.aio_serving(on_server, handlers) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_client) as channel,
        ):
            await program(channel)
            await asyncio.to_thread(sides.server.until, ends)

    asyncio.run(main())


async def handled() -> None:
    """Wait until a handler waits."""
    await asyncio.to_thread(shop.running.acquire)


def test_in_a_loop_the_caller_who_cancels_is_named_with_the_line(sides: Sides) -> None:
    async def cancels(channel: Any) -> None:
        call = shop.method(channel, "Wait")(b"")
        await handled()
        stop(call)

    aio(sides, cancels)
    told = sides.client.why("last", sides.server)
    assert "\n  its caller cancelled it\n" in told
    assert re.search(rf"by task \S+ +{HERE}:\d+ in stop\n", told)
    assert trigger_of(sides.server) == "client"
    assert "ended 1 CANCELLED" in sides.server.why("last", sides.client)


@pytest.mark.parametrize("name", ["Wait", "Endless"])
def test_who_cancels_the_task_that_awaits_a_call_is_named_with_the_line(
    sides: Sides, name: str
) -> None:
    async def cancels(channel: Any) -> None:
        async def awaits() -> None:
            call = shop.method(channel, name)(b"")
            if name == "Wait":
                await call
            async for _ in call:
                shop.running.release()

        task = asyncio.create_task(awaits(), name="awaits")
        await handled()
        stop(task)
        with pytest.raises(asyncio.CancelledError):
            await task

    aio(sides, cancels)
    told = sides.client.why("last")
    assert re.match(r"r\d+ Call ended 1 CANCELLED: cancelled by c\d+ \(cancel\)\n", told)
    assert re.search(rf"by task \S+ +{HERE}:\d+ in stop\n", told)


def test_a_time_out_of_asyncio_is_told_with_the_line_that_waited(sides: Sides) -> None:
    async def times_out(channel: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await shop.method(channel, "Wait")(b"")

    aio(sides, times_out)
    told = sides.client.why("last")
    assert "its caller cancelled it: a time-out of asyncio\n" in told
    assert re.search(rf"by task \S+ +{HERE}:\d+ in test_a_time_out", told)


def test_in_a_loop_a_deadline_is_told_on_both_sides(sides: Sides) -> None:
    async def is_late(channel: Any) -> None:
        await shop.aio_outcome(shop.method(channel, "Wait")(b"", timeout=0.1))
        await handled()

    aio(sides, is_late)
    assert trigger_of(sides.client) == "deadline"
    assert trigger_of(sides.server) == "deadline"
    assert "ended 4 DEADLINE_EXCEEDED: cancelled by" in sides.server.why("last")


def test_in_a_loop_a_server_that_aborts_is_named_with_the_line_of_its_handler(sides: Sides) -> None:
    async def fails(channel: Any) -> None:
        await shop.aio_outcome(shop.method(channel, "Fail")(b"ABORTED"))

    aio(sides, fails)
    told = sides.client.why("last", sides.server)
    assert "the server ended it: the shop is closed\n" in told
    assert re.search(r"by task \S+ +\S*shop.py:\d+ in aio_fail\n", told)


def test_in_a_loop_a_handlers_own_call_ends_with_its_parent(sides: Sides) -> None:
    client, server = sides

    async def main() -> None:
        on_client = rpc.aio_client_interceptors(server.runtime)
        async with (
            shop.aio_serving() as back,
            grpc.aio.insecure_channel(f"127.0.0.1:{back}", interceptors=on_client) as behind,
        ):

            async def front(request: bytes, context: Any) -> bytes:
                return await shop.method(behind, "Wait")(b"")  # type: ignore[no-any-return]

            async def cancels(channel: Any) -> None:
                call = shop.method(channel, "Echo")(b"")
                await handled()
                stop(call)

            on_server = [rpc.aio_server_interceptor(server.runtime)]
            on_front = rpc.aio_client_interceptors(client.runtime)
            async with (
                shop.aio_serving(on_server, {"Echo": front}) as port,
                grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_front) as channel,
            ):
                await cancels(channel)
                await asyncio.to_thread(server.until, lambda e: isinstance(e, Discarded))

    asyncio.run(main())
    turns = server.turns()
    asked = [e for turn in turns for e in turn.events if isinstance(e, CancelRequested)]
    assert [each.trigger for each in asked] == ["client", "parent"]
    told = server.why(f"r{asked[1].scope}", client)
    assert "the call that it was made for had been cancelled\n" in told


def test_in_a_loop_a_server_that_cannot_be_reached_is_the_transports_fault(sides: Sides) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def main() -> None:
        on_client = rpc.aio_client_interceptors(sides.client.runtime)
        address = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(address, interceptors=on_client) as channel:
            await shop.aio_outcome(shop.method(channel, "Echo")(b""))

    asyncio.run(main())
    assert trigger_of(sides.client) == "transport"
