"""One thread tells one actor N messages, and asks it at the end whether it has taken them all."""

from collections.abc import Mapping

from .registry import Benchmark, Figure, Side
from .same_actors import Counter, Start, Task, our_start, pykka_start
from .turns import Stopwatch


def ours(n: int) -> Mapping[str, float]:
    with our_start() as start:
        return measure(start, n)


def measure(start: Start, n: int) -> Mapping[str, float]:
    counter = start(Counter)
    watch = Stopwatch()
    for number in range(n):
        counter.tell(number)
    taken = counter.ask("taken?")
    seconds = watch.seconds()
    counter.stop()
    assert taken == n, f"{taken} of {n} were taken"
    return {"tell": n / seconds}


def with_pykka(n: int) -> Mapping[str, float]:
    return measure(pykka_start(), n)


def with_asyncio(n: int) -> Mapping[str, float]:
    import asyncio

    async def main() -> Mapping[str, float]:
        told: list[int] = []
        task = Task(told.append)
        watch = Stopwatch()
        for number in range(n):
            task.tell(number)
        await task.ask(n)
        seconds = watch.seconds()
        await task.stop()
        assert len(told) == n + 1
        return {"tell": n / seconds}

    return asyncio.run(main())


BENCHMARK = Benchmark(
    name="tell",
    says="one thread tells one actor N messages",
    ours=Side("ours", ours, 200_000, 50_000),
    peers=(
        Side("pykka", with_pykka, 200_000, 50_000),
        Side("asyncio", with_asyncio, 200_000, 50_000),
    ),
    figures=(Figure("tell", "1/s", True, {"pykka": 2.0}),),
)
