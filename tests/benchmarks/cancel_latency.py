"""N Outputs stand before a peer that does not read; one Cancel ends them all.

The other end is the same process for both sides, and both have one connection.  Ours writes every
turn to a log on disk with durability ``os``; asyncio writes nothing.
"""

import tempfile
from collections.abc import Mapping
from statistics import median

from .registry import Benchmark, Figure, Side
from .socket_peer import HOST, peer
from .turns import Stopwatch

CANCELS = 20
"""So many are timed in one measurement."""
DATA = bytes(1024)
PLUG = bytes(8 << 20)
"""More than the system takes from a connection that nobody reads: what follows it waits."""


def ours(n: int) -> Mapping[str, float]:
    from rescind import Runtime, newton

    heard = 0

    def sent(_endpoint: object, _options: object, result: int | None) -> None:
        nonlocal heard
        heard += newton.is_cancelled(result)

    taken: list[float] = []
    with (
        peer() as port,
        tempfile.TemporaryDirectory() as folder,
        Runtime.open(
            f"{folder}/latency.log", durability="os", payloads={"Submit": "digest"}
        ) as runtime,
        newton.Endpoint(runtime, newton.tcp(HOST, port)) as endpoint,
    ):
        endpoint.bind()
        endpoint.connect()
        spec = newton.CallbackSpec(asynchronous=True, completion_script=sent)
        for _ in range(CANCELS):
            endpoint.output(PLUG, spec)
            for _ in range(n - 1):
                endpoint.output(DATA, spec)
            runtime.flush()  # each stands before the tool, as asyncio's tasks in their drain
            watch = Stopwatch()
            endpoint.cancel(asynchronous=True).get()
            taken.append(watch.seconds())
    assert heard == CANCELS * n, f"{heard} scripts heard of a cancel"
    return {"cancel": median(taken) * 1e3}


def with_asyncio(n: int) -> Mapping[str, float]:
    import asyncio

    async def output(writer: asyncio.StreamWriter) -> None:
        writer.write(DATA)
        await writer.drain()

    async def main(port: int) -> float:
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(PLUG)  # which stays: asyncio takes nothing back
        taken: list[float] = []
        for _ in range(CANCELS):
            tasks = [asyncio.create_task(output(writer)) for _ in range(n)]
            await asyncio.sleep(0)  # each stands in its drain
            watch = Stopwatch()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            taken.append(watch.seconds())
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        writer.transport.abort()
        return median(taken)

    with peer() as port:
        return {"cancel": asyncio.run(main(port)) * 1e3}


BENCHMARK = Benchmark(
    name="cancel-latency",
    says="from calling Cancel with N outstanding Outputs to its completion",
    ours=Side("ours", ours, 1_000, 1_000),
    peers=(Side("asyncio", with_asyncio, 1_000, 1_000),),
    figures=(Figure("cancel", "ms", False, {"asyncio": 1.0}),),
)
