"""N requests are submitted, none completes, one Cancel ends them all and completes last.

Ours writes every turn to a directory at durability ``os``; the peers write nothing.  Each side
imports what it needs when it runs, and measures with the garbage collector as Python sets it.
"""

import resource
import tempfile
import time
from collections.abc import Mapping

from .registry import Benchmark, Figure, Side


class Stopwatch:
    """Three moments and the memory between them."""

    def __init__(self) -> None:
        self.before_kib = peak_kib()
        self.began = time.perf_counter()
        self.submitted = 0.0

    def split(self) -> None:
        self.submitted = time.perf_counter()

    def figures(self, n: int) -> Mapping[str, float]:
        ended = time.perf_counter()
        return {
            "requests": n / (ended - self.began),
            "memory": (peak_kib() - self.before_kib) / n,
            "submit": (self.submitted - self.began) / n * 1e6,
            "cancel": (ended - self.submitted) / n * 1e6,
        }


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def ours(n: int) -> Mapping[str, float]:
    from rescind import Runtime, newton

    heard = 0

    def sent(_endpoint: object, _options: object, result: int | None) -> None:
        nonlocal heard
        heard += newton.is_cancelled(result)

    with (
        tempfile.TemporaryDirectory() as folder,
        Runtime.open(f"{folder}/lifecycle.log", durability="os") as runtime,
    ):
        endpoint = newton.Endpoint(runtime, newton.twin())
        endpoint.bind()
        endpoint.connect()
        spec = newton.CallbackSpec(asynchronous=True, completion_script=sent)
        watch = Stopwatch()
        for _ in range(n):
            endpoint.output("x", spec)
        watch.split()
        endpoint.cancel(asynchronous=True).get()
        figures = watch.figures(n)
    assert heard == n, f"{heard} of {n} scripts heard of the cancel"
    return figures


def with_asyncio(n: int) -> Mapping[str, float]:
    import asyncio

    async def wait(future: "asyncio.Future[None]") -> None:
        await future

    async def main() -> Mapping[str, float]:
        loop = asyncio.get_running_loop()
        watch = Stopwatch()
        tasks = [asyncio.create_task(wait(loop.create_future())) for _ in range(n)]
        await asyncio.sleep(0)  # every task stands at its future, as our requests at the driver
        watch.split()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        figures = watch.figures(n)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        return figures

    return asyncio.run(main())


def with_pykka(n: int) -> Mapping[str, float]:
    """One ThreadingActor per request, and one for the endpoint that they belong to."""
    import pykka

    from .pykka_endpoint import Endpoint

    heard: list[int] = []
    endpoint = Endpoint.start(heard.append)
    ended: pykka.ThreadingFuture[None] = pykka.ThreadingFuture()
    watch = Stopwatch()
    for _ in range(n):
        endpoint.tell("Submit")
    assert endpoint.ask("Submitted?") == n
    watch.split()
    endpoint.tell(("Cancel", ended))
    ended.get()
    figures = watch.figures(n)
    endpoint.stop()
    assert len(heard) == n
    return figures


BENCHMARK = Benchmark(
    name="lifecycle",
    says="submit N requests on one endpoint, cancel them all, hear of each",
    ours=Side("ours", ours, 100_000, 20_000),
    peers=(
        Side("asyncio", with_asyncio, 100_000, 20_000),
        Side("pykka", with_pykka, 2_000, 1_000),
    ),
    figures=(
        Figure("requests", "1/s", True, {"asyncio": 1.5, "pykka": 30.0}),
        Figure("memory", "KiB/request", False),
        Figure("submit", "us/request", False),
        Figure("cancel", "us/request", False),
    ),
)
