"""A Cancel while N messages wait in the runtime, against the same Cancel while none does.

A Cancel ends what is outstanding, one operation of a Newton endpoint or one request to an actor,
and is timed until it is through.  Each has a backlog that was just filled; the figure is the median
of all.  With stock Pykka a message has to work through whatever its actor was sent before.
"""

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

from .registry import Benchmark, Figure, Side
from .same_actors import Counter, our_runtime, pykka_start, start_in

CANCELS = 20
"""So many are timed in one measurement, of each sort."""
HOUR_S = 3600.0


class Flood:
    """Tells another actor so many messages in one turn: they join the backlog all at once."""

    def __init__(self, counter: Any) -> None:
        super().__init__()
        self.counter = counter

    def on_receive(self, n: int) -> None:
        for number in range(n):
            self.counter.tell(number)


def ours(n: int) -> Mapping[str, float]:
    with our_runtime() as runtime:
        start = start_in(runtime)
        counter = start(Counter)
        flood = start(Flood, counter)

        def measure(submit: Callable[[], Callable[[], None]]) -> float:
            taken = []
            for _ in range(CANCELS):
                cancel = submit()
                flood.ask(n)
                began = perf_counter()
                cancel()
                taken.append(perf_counter() - began)
                counter.ask("taken?")
            return median(taken) * 1e6

        return {"newton": measure(of_newton(runtime)), "request": measure(of_actor(runtime))}


def of_newton(runtime: Any) -> Callable[[], Callable[[], None]]:
    """Submit an Output that nobody completes; what it returns cancels it."""
    from rescind import newton

    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    spec = newton.CallbackSpec(asynchronous=True, completion_script=pass_by)

    def submit() -> Callable[[], None]:
        endpoint.output("x", spec)
        return lambda: endpoint.cancel(asynchronous=True).get()

    return submit


def of_actor(runtime: Any) -> Callable[[], Callable[[], None]]:
    """Request what an actor gives away as work that goes on for an hour; likewise."""
    import asyncio

    from rescind import Actor, Cancelled

    class Sleeper(Actor):
        def on_receive(self, seconds: float) -> Any:
            return self.work(asyncio.sleep, seconds)

    sleeper = runtime.start(Sleeper)

    def submit() -> Callable[[], None]:
        request = sleeper.request(HOUR_S)
        sleeper.ask(0.0)  # behind it: the request is being served

        def cancel() -> None:
            request.cancel(reason="benchmark")
            try:
                request.get()
            except Cancelled:
                return
            raise AssertionError("an hour has passed")

        return cancel

    return submit


def pass_by(_endpoint: object, _options: object, _result: object) -> None:
    """Hear that the operation was cancelled."""


def none(_n: int) -> Mapping[str, float]:
    """The same, and nothing waits."""
    return ours(0)


def with_pykka(n: int) -> Mapping[str, float]:
    """An ask for one more message behind N."""
    counter = pykka_start()(Counter)
    taken = []
    for _ in range(CANCELS):
        for number in range(n):
            counter.tell(number)
        began = perf_counter()
        counter.ask("taken?")
        taken.append(perf_counter() - began)
    counter.stop()
    return {"newton": median(taken) * 1e6, "request": median(taken) * 1e6}


BENCHMARK = Benchmark(
    name="control-lane",
    says="a Cancel behind N waiting messages",
    ours=Side("ours", ours, 100_000, 20_000),
    peers=(
        Side("none", none, 100_000, 20_000),
        Side("pykka", with_pykka, 100_000, 20_000),
    ),
    figures=(
        Figure("newton", "us", False, {"none": 0.5}),
        Figure("request", "us", False, {"none": 0.5}),
    ),
)
