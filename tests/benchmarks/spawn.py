"""Actors that live for one message: N are started, told it and stopped, one after the other."""

from collections.abc import Mapping

from .registry import Benchmark, Figure, Side
from .same_actors import Counter, Start, Task, our_start, pykka_start
from .turns import Stopwatch


def ours(n: int) -> Mapping[str, float]:
    with our_start() as start:
        return measure(start, n)


def measure(start: Start, n: int) -> Mapping[str, float]:
    watch = Stopwatch()
    for number in range(n):
        actor = start(Counter)
        actor.tell(number)
        actor.stop()
    one = n / watch.seconds()
    watch = Stopwatch()
    stopping = []
    for number in range(n):
        actor = start(Counter)
        actor.tell(number)
        stopping.append(actor.stop(block=False))
    assert all(each.get() for each in stopping)
    return {"spawn": one, "no wait": n / watch.seconds()}


def with_pykka(n: int) -> Mapping[str, float]:
    return measure(pykka_start(), n)


def with_asyncio(n: int) -> Mapping[str, float]:
    import asyncio

    async def main() -> Mapping[str, float]:
        told: list[int] = []
        watch = Stopwatch()
        for number in range(n):
            task = Task(told.append)
            task.tell(number)
            await task.stop()
        one = n / watch.seconds()
        watch = Stopwatch()
        stopping = []
        for number in range(n):
            task = Task(told.append)
            task.tell(number)
            stopping.append(task.stop())
        await asyncio.gather(*stopping)
        assert len(told) == 2 * n
        return {"spawn": one, "no wait": n / watch.seconds()}

    return asyncio.run(main())


BENCHMARK = Benchmark(
    name="spawn",
    says="N actors are started, told one message and stopped",
    ours=Side("ours", ours, 20_000, 5_000),
    peers=(
        Side("pykka", with_pykka, 5_000, 1_000),
        Side("asyncio", with_asyncio, 20_000, 5_000),
    ),
    figures=(
        Figure("spawn", "1/s", True, {"pykka": 30.0}),
        Figure("no wait", "1/s", True),
    ),
)
