"""Recordings are executed again, and held against the time that it took to make them.

Two programs are recorded once for all rounds: the life of N requests on one endpoint, as in
``lifecycle``; and N tells, N asks and N starts of ordinary actors, as in ``log``.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import ask, spawn, tell
from .registry import Benchmark, Figure, Side, prepared
from .same_actors import Asker, Counter, Echo, class_on, start_in
from .turns import Stopwatch

ACTORS_SHARE = 5
"""Of ordinary actors a fifth is done of each, as it takes so many times as long."""


def prepare(n: int, place: Path) -> None:
    record_requests(place / "requests.log", n)
    record_actors(place / "actors.log", n // ACTORS_SHARE)


def record_requests(path: Path, n: int) -> None:
    from rescind import Runtime, newton

    heard: list[int | None] = []
    with Runtime.open(path, durability="os") as runtime:
        endpoint = newton.Endpoint(runtime, newton.twin())
        endpoint.bind()
        endpoint.connect()
        spec = newton.CallbackSpec(True, None, lambda _endpoint, _options, code: heard.append(code))
        for _ in range(n):
            endpoint.output("x", spec)
        endpoint.cancel(asynchronous=True).get()
    assert len(heard) == n


def record_actors(path: Path, n: int) -> None:
    from rescind import Runtime

    with Runtime.open(path, durability="os") as runtime:
        start = start_in(runtime)
        tell.measure(start, n)
        ask.measure(start, n)
        spawn.measure(start, n)


def ours(n: int) -> Mapping[str, float]:
    from rescind import Actor

    classes = [class_on(each, Actor) for each in (Counter, Echo, Asker)]
    return {
        "requests": n / seconds_again(prepared() / "requests.log", []),
        "actors": n / seconds_again(prepared() / "actors.log", classes),
    }


def seconds_again(path: Path, classes: list[Any]) -> float:
    from rescind.replay import rerun

    watch = Stopwatch()
    found = rerun(path, classes=classes)
    seconds = watch.seconds()
    assert found.divergence is None, found
    assert found.turns > 0
    assert found.skipped == 0
    return seconds


def recording(n: int) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="rescind-benchmark-") as folder:
        watch = Stopwatch()
        record_requests(Path(folder, "requests.log"), n)
        requests = watch.seconds()
        watch = Stopwatch()
        record_actors(Path(folder, "actors.log"), n // ACTORS_SHARE)
        actors = watch.seconds()
    return {"requests": n / requests, "actors": n / actors}


BENCHMARK = Benchmark(
    name="rerun",
    says="execute recordings again: the lives of N requests, and ordinary actors",
    ours=Side("ours", ours, 100_000, 20_000),
    peers=(Side("recording", recording, 100_000, 20_000),),
    figures=(
        Figure("requests", "1/s", True, {"recording": 1.0}),
        Figure("actors", "1/s", True, {"recording": 1.0}),
    ),
    prepare=prepare,
)
