"""Asks, one after the other, each waiting for its answer: from a thread, and from an actor."""

from collections.abc import Mapping

from .registry import Benchmark, Figure, Side
from .same_actors import Asker, Echo, Start, Task, our_start, pykka_start
from .turns import Stopwatch


def ours(n: int) -> Mapping[str, float]:
    with our_start() as start:
        return measure(start, n)


def measure(start: Start, n: int) -> Mapping[str, float]:
    echo = start(Echo)
    asker = start(Asker, echo)
    watch = Stopwatch()
    answered = sum(echo.ask(1) for _ in range(n))
    outside = watch.seconds()
    watch = Stopwatch()
    answered += asker.ask(n)
    between = watch.seconds()
    asker.stop()
    echo.stop()
    assert answered == 2 * n
    return {"outside": n / outside, "between": n / between}


def with_pykka(n: int) -> Mapping[str, float]:
    return measure(pykka_start(), n)


def with_asyncio(n: int) -> Mapping[str, float]:
    import asyncio

    async def main() -> Mapping[str, float]:
        echo = Task(lambda message: message)

        async def asks(count: int) -> int:
            return sum([await echo.ask(1) for _ in range(count)])

        asker = Task(asks)
        watch = Stopwatch()
        answered = await asker.ask(n)
        seconds = watch.seconds()
        await asker.stop()
        await echo.stop()
        assert answered == n
        return {"between": n / seconds}

    return asyncio.run(main())


BENCHMARK = Benchmark(
    name="ask",
    says="N asks, one after the other: from a thread, and from another actor's handler",
    ours=Side("ours", ours, 50_000, 10_000),
    peers=(
        Side("pykka", with_pykka, 50_000, 10_000),
        Side("asyncio", with_asyncio, 50_000, 10_000, figures=("between",)),
    ),
    figures=(
        Figure("outside", "1/s", True, {"pykka": 3.0}),
        Figure("between", "1/s", True, {"pykka": 5.0}),
    ),
)
