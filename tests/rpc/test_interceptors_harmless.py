"""Nothing that recording does or fails to do reaches the application."""

import asyncio
import gc
import signal
import threading
from concurrent import futures
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from rescind import Runtime, rpc
from rescind.events import Accepted, CancelRequested, LogFailedError

from . import shop
from .sides import Sides

NOT_RECORDED = "gRPC calls are not recorded any more"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "rescind.rpc"]


@pytest.mark.parametrize("end", ["closed", "failed"])
def test_with_a_runtime_that_records_no_more_the_application_goes_on_with_one_warning(
    caplog: pytest.LogCaptureFixture, end: str
) -> None:
    runtime = Runtime.open()
    on_server, on_client = [rpc.server_interceptor(runtime)], rpc.client_interceptors(runtime)
    with shop.serving(on_server) as port, shop.channel_to(port, on_client) as channel:
        echo = shop.method(channel, "Echo")
        assert echo(b"a") == b"a"
        waiting = shop.method(channel, "Wait").future(b"")
        shop.running.acquire()
        if end == "closed":
            runtime.close()
        else:
            runtime.fail(OSError("the disk is full"))
        assert waiting.cancel()
        assert [echo(b"b"), echo.future(b"c").result()] == [b"b", b"c"]
        assert list(shop.method(channel, "Count")(b"2")) == [b"0", b"1"]
        seen = shop.outcome(lambda: shop.method(channel, "Fail")(b"ABORTED"))
        assert seen[1] is grpc.StatusCode.ABORTED
    assert [NOT_RECORDED in each for each in warnings_of(caplog)] == [True, True]  # one a side
    with suppress(LogFailedError):
        runtime.close()


def test_in_a_loop_it_goes_on_likewise(caplog: pytest.LogCaptureFixture) -> None:
    async def main(runtime: Runtime) -> None:
        on_server = [rpc.aio_server_interceptor(runtime)]
        on_client = rpc.aio_client_interceptors(runtime)
        async with (
            shop.aio_serving(on_server) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_client) as channel,
        ):
            await runtime.aclose()
            assert await shop.method(channel, "Echo")(b"a") == b"a"
            assert await shop.taken_from(shop.method(channel, "Count")(b"2")) == [b"0", b"1"]
            call = shop.method(channel, "Fail")(b"ABORTED")
            assert (await shop.aio_outcome(call))[0] is grpc.StatusCode.ABORTED

    asyncio.run(main(Runtime.open()))
    assert len(warnings_of(caplog)) == 2


def test_what_is_outstanding_when_the_runtime_closes_goes_on_unseen(sides: Sides) -> None:
    runtime = sides.client.runtime
    with (
        shop.serving() as port,
        shop.channel_to(port, rpc.client_interceptors(runtime)) as channel,
    ):
        call = shop.method(channel, "Wait").future(b"")
        shop.running.acquire()
        runtime.close()
        assert call.running()
        assert call.cancel()


def test_a_handler_that_never_heeds_the_end_of_its_call_is_given_up_with_the_runtime(
    sides: Sides,
) -> None:
    server = sides.server
    may_end = threading.Event()

    def stubborn(request: bytes, context: Any) -> bytes:
        shop.running.release()
        may_end.wait(30)
        return b""

    on_server = [rpc.server_interceptor(server.runtime)]
    with shop.serving(on_server, {"Wait": stubborn}) as port, shop.channel_to(port) as channel:
        call = shop.method(channel, "Wait").future(b"")
        shop.running.acquire()
        call.cancel()
        server.until(lambda event: isinstance(event, CancelRequested))
        server.runtime.close()
        may_end.set()


def test_payloads_and_other_metadata_stay_out_of_the_log(sides: Sides) -> None:
    on_server = [rpc.server_interceptor(sides.server.runtime)]
    on_client = rpc.client_interceptors(sides.client.runtime)
    with shop.serving(on_server) as port, shop.channel_to(port, on_client) as channel:
        shop.method(channel, "Echo")(b"top secret", metadata=(("authorization", "a password"),))
    for side in sides:
        side.runtime.flush()
        written = b"".join(each.read_bytes() for each in side.path.rglob("*") if each.is_file())
        assert b"Echo" in written
        assert b"secret" not in written
        assert b"password" not in written


def test_the_metadata_that_an_application_hands_in_is_not_changed(sides: Sides) -> None:
    async def main() -> None:
        on_client = rpc.aio_client_interceptors(sides.client.runtime)
        async with (
            shop.aio_serving() as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_client) as channel,
        ):
            given = grpc.aio.Metadata(("who", "me"))
            await shop.method(channel, "Echo")(b"", metadata=given)
            assert list(given) == [("who", "me")]

    asyncio.run(main())


@pytest.mark.parametrize(
    "mark",
    [
        "",
        "x",
        "00/1/2",
        "zz" * 16 + "/1/2",
        "00" * 16 + "/1/-2",
        "00" * 16 + "/1/" + "9" * 19,
        "/" * 99,
    ],
)
def test_a_mark_from_elsewhere_is_read_with_care(sides: Sides, mark: str) -> None:
    with (
        shop.serving([rpc.server_interceptor(sides.server.runtime)]) as port,
        shop.channel_to(port) as channel,
    ):
        assert shop.method(channel, "Echo")(b"a", metadata=(("rescind-call", mark),)) == b"a"
    (served,) = [turn for turn in sides.server.turns() if _accepts(turn)]
    assert served.cause is None


def test_a_mark_that_names_a_turn_to_come_of_this_log_is_no_cause(sides: Sides) -> None:
    mine = sides.server.runtime.log_id.hex()
    with (
        shop.serving([rpc.server_interceptor(sides.server.runtime)]) as port,
        shop.channel_to(port) as channel,
    ):
        shop.method(channel, "Echo")(b"a", metadata=(("rescind-call", f"{mine}/1/999"),))
    (served,) = [turn for turn in sides.server.turns() if _accepts(turn)]
    assert served.cause is None


def _accepts(turn: Any) -> bool:
    return any(isinstance(event, Accepted) for event in turn.events)


def test_client_and_server_may_share_one_log(sides: Sides) -> None:
    runtime = sides.client.runtime
    on_client = rpc.client_interceptors(runtime)
    with (
        shop.serving([rpc.server_interceptor(runtime)]) as port,
        shop.channel_to(port, on_client) as channel,
    ):
        shop.outcome(lambda: shop.method(channel, "Fail")(b"ABORTED"))
    told = sides.client.why("last")
    assert "in fail\n" in told
    assert "Call called" in told


def test_a_signal_handler_may_cancel_in_the_middle_of_a_record(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread holds what a turn needs just then; the cancel is recorded behind that."""
    runtime = sides.client.runtime
    monkeypatch.setattr(shop, "running", threading.Semaphore(0))
    previous = signal.signal(signal.SIGUSR1, lambda *_: first.cancel())
    try:
        with (
            shop.serving() as port,
            shop.channel_to(port, rpc.client_interceptors(runtime)) as channel,
        ):
            first = shop.method(channel, "Wait").future(b"")
            shop.running.acquire()
            turn = runtime.turn

            def interrupted(*arguments: Any) -> Any:
                monkeypatch.setattr(runtime, "turn", turn)
                signal.raise_signal(signal.SIGUSR1)
                return turn(*arguments)

            monkeypatch.setattr(runtime, "turn", interrupted)
            assert shop.method(channel, "Echo")(b"a") == b"a"
            assert first.cancelled()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    sides.client.until(lambda event: isinstance(event, CancelRequested))


def test_nothing_of_ours_keeps_an_ended_call_alive(sides: Sides) -> None:
    """Without a collection: responses may be large."""

    class Large(bytes):
        pass

    async def main() -> int:
        on_client = rpc.aio_client_interceptors(sides.client.runtime)
        async with (
            shop.aio_serving() as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=on_client) as channel,
        ):
            echo: Any = channel.unary_unary("/shop.Shop/Echo", response_deserializer=Large)
            for _ in range(20):
                await echo(b"a")
            await asyncio.sleep(0)
            return sum(type(each) is Large for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main()) <= 1
    finally:
        gc.enable()


def test_calls_of_many_threads_are_all_recorded(sides: Sides) -> None:
    on_server = [rpc.server_interceptor(sides.server.runtime)]
    on_client = rpc.client_interceptors(sides.client.runtime)
    with (
        shop.serving(on_server) as port,
        shop.channel_to(port, on_client) as channel,
        futures.ThreadPoolExecutor(8) as pool,
    ):
        echo = shop.method(channel, "Echo")
        assert list(pool.map(echo, [b"a"] * 400)) == [b"a"] * 400
    for side in sides:
        assert sum(map(_accepts, side.turns())) == 400


@pytest.mark.not_repeatable("a handler calls over a channel that is closed by then")
def test_an_actors_handler_may_call(sides: Sides) -> None:
    from rescind import Actor

    on_client = rpc.client_interceptors(sides.client.runtime)
    with shop.serving() as port, shop.channel_to(port, on_client) as channel:
        echo = shop.method(channel, "Echo")

        class Caller(Actor):
            def on_receive(self, message: bytes) -> Any:
                return echo(message)

        caller = sides.client.runtime.start(Caller)
        assert caller.ask(b"a") == b"a"
        caller.stop()
    assert sum(map(_accepts, sides.client.turns())) == 1
