"""Unary calls to a server in a process of its own, and cancels of calls that it waits for.

Ours writes every turn to a log on disk on both sides, with durability ``os``; the peers are gRPC
itself and write nothing.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from .registry import Benchmark, Figure, Side
from .rpc_peer import HOST, peer
from .turns import Stopwatch, folder

IN_FLIGHT = 64
"""So many calls are under way at a time, on all sides."""
CALLS_PER_CANCEL = 50
VALUE = b"x" * 20


def calls_of_each(n: int) -> int:
    """So many calls makes each of those that are in flight, one after the other."""
    return max(1, n // IN_FLIGHT)


def ours(n: int) -> Mapping[str, float]:
    with peer("ours") as port, our_binding(port) as binding:
        binding.call("echo", VALUE).get()
        watch = Stopwatch()
        under_way: deque[Any] = deque()
        for _ in range(n):
            under_way.append(binding.call("echo", VALUE))
            if len(under_way) == IN_FLIGHT:
                under_way.popleft().get()
        for call in under_way:
            call.get()
        seconds = watch.seconds()
        cancels = [our_cancel(binding) for _ in range(max(1, n // CALLS_PER_CANCEL))]
    return {"calls": n / seconds, "cancel": median(cancels)}


@contextlib.contextmanager
def our_binding(port: int) -> Iterator[Any]:
    from rescind import Runtime, rpc

    with (
        folder() as path,
        Runtime.open(path / "client.log", durability="os") as runtime,
        rpc.Binding(runtime, rpc.grpc_channel(f"{HOST}:{port}")) as binding,
    ):
        yield binding


def our_cancel(binding: Any) -> float:
    """Cancel a call that the server has been told to wait with; milliseconds until its end."""
    from rescind import rpc

    call = binding.call("wait")
    binding.call("echo", VALUE).get()  # so that the server has it
    watch = Stopwatch()
    call.cancel_call(abort=False)
    call.wait_done()
    seconds = watch.seconds()
    assert call.get_call_status() == rpc.Code.CALL_CANCELLED
    return seconds * 1e3


def with_aio(n: int) -> Mapping[str, float]:
    """``grpc.aio`` on both sides, as its documentation shows it."""
    with peer("aio") as port:
        return asyncio.run(call_with_aio(port, n))


async def call_with_aio(port: int, n: int) -> Mapping[str, float]:
    import grpc

    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stubs: dict[str, Any] = {name: channel.unary_unary(f"/bare/{name}") for name in NAMES}
        echo, wait, heard = stubs.values()
        await echo(VALUE)

        async def call(count: int) -> None:
            for _ in range(count):
                assert await echo(VALUE) == VALUE

        each = calls_of_each(n)
        watch = Stopwatch()
        await asyncio.gather(*(call(each) for _ in range(IN_FLIGHT)))
        seconds = watch.seconds()
        cancels = []
        for _ in range(max(1, n // CALLS_PER_CANCEL)):
            waiting, told = wait(b""), heard(b"")
            await echo(VALUE)  # so that the server has it
            watch = Stopwatch()
            waiting.cancel()
            await told  # bare gRPC ends the call at once, and so says nothing of the server
            cancels.append(watch.seconds() * 1e3)
    return {"calls": each * IN_FLIGHT / seconds, "cancel": median(cancels)}


NAMES = ("echo", "wait", "heard")


def with_threads(n: int) -> Mapping[str, float]:
    """gRPC's blocking API on both sides, a thread for each call under way."""
    import grpc

    def call(count: int) -> None:
        for _ in range(count):
            assert echo(VALUE) == VALUE

    with peer("threads") as port, grpc.insecure_channel(f"{HOST}:{port}") as channel:
        echo: Any = channel.unary_unary("/bare/echo")
        echo(VALUE)
        each = calls_of_each(n)
        threads = [threading.Thread(target=call, args=(each,)) for _ in range(IN_FLIGHT)]
        watch = Stopwatch()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = watch.seconds()
    return {"calls": each * IN_FLIGHT / seconds}


BENCHMARK = Benchmark(
    name="rpc",
    says="N unary calls to a server in another process, and N/50 cancels that it hears and obeys",
    ours=Side("ours", ours, 20_000, 2_000, needs="grpc"),
    peers=(
        Side("grpc.aio", with_aio, 20_000, 2_000, needs="grpc"),
        Side("grpc", with_threads, 20_000, 2_000, figures=("calls",), needs="grpc"),
    ),
    figures=(
        Figure("calls", "1/s", True, {"grpc.aio": 0.6}),
        # At most 1.3 times as long.
        Figure("cancel", "ms", False, {"grpc.aio": 1 / 1.3}),
    ),
)
