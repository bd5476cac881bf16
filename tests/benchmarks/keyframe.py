"""A keyframe of a runtime with N living actors is written while turns go on: the longest pause?

The actors are requests that are outstanding on one endpoint.  While the keyframe is written,
further ones are submitted.  A slice is taken whenever a batch is sealed, under the baton, so the
longest seal is the pause.  The peer does what many do: it pickles all states in one step.
"""

import tempfile
from collections.abc import Mapping
from typing import Any

from .registry import Benchmark, Figure, Side
from .turns import Stopwatch

TURNS = 10
"""So many requests are submitted for each slice."""
LIMIT_MS = 10.0

# --- ours --------------------------------------------------------------------------------------


def ours(n: int) -> Mapping[str, float]:
    from rescind import Runtime, newton
    from rescind.events import Pace, read

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/keyframe.log"
        with Runtime.open(path) as runtime:
            endpoint = newton.Endpoint(runtime, newton.twin())
            endpoint.bind()
            endpoint.connect()
            spec = newton.CallbackSpec(asynchronous=True, completion_script=pass_by)
            # None before all are there; then one begins at once.
            runtime.log.keyframes_from(runtime.entries, Pace(log_bytes_min=1 << 62))
            for _ in range(n):
                endpoint.output("x", spec)
            runtime.flush()
            runtime.log.keyframes_from(runtime.entries, Pace(0, 1_000_000))
            pauses, size = watch_slices(runtime, endpoint, spec)
        keyframe = read(path).keyframe()
        assert keyframe is not None
        assert len(keyframe.places) == len(pauses)
        living = sum(1 for _ in read(path).entries(keyframe))
        assert living >= n, f"{living} of {n} are told of"
    return {"pause": max(pauses) * 1e3, "work": sum(pauses) * 1e3, "size": size / 1024}


def pass_by(_endpoint: object, _options: object, _result: object) -> None:
    """Hear that a request is completed, when the runtime is closed."""


def watch_slices(runtime: Any, endpoint: Any, spec: Any) -> tuple[list[float], int]:
    """Return how long each seal took until the keyframe was whole, and the keyframe's size."""
    pauses: list[float] = []
    size = 0
    log, seal = runtime.log, type(runtime.log).seal

    def watched(*_: object) -> Any:
        nonlocal size
        watch = Stopwatch()
        batch = seal(log)
        seconds = watch.seconds()
        if batch is not None and batch.keyframe is not None:
            pauses.append(seconds)
            size += len(batch.keyframe.body)
        return batch

    type(log).seal = watched
    try:
        slices = -1
        while slices < len(pauses):
            slices = len(pauses)
            for _ in range(TURNS):
                endpoint.output("x", spec)
            runtime.flush()
    finally:
        type(log).seal = seal
    return pauses, size


# --- what it is held against -------------------------------------------------------------------


def limit(_n: int) -> Mapping[str, float]:
    return {"pause": LIMIT_MS}


def with_pickle(n: int) -> Mapping[str, float]:
    """All states at one moment; what is written afterwards could be written elsewhere."""
    import pickle

    living = {
        number: {"total": number * 7, "name": f"request {number}", "is_open": True}
        for number in range(1, n + 1)
    }
    watch = Stopwatch()
    data = pickle.dumps(living, pickle.HIGHEST_PROTOCOL)
    milliseconds = watch.seconds() * 1e3
    return {"pause": milliseconds, "work": milliseconds, "size": len(data) / 1024}


BENCHMARK = Benchmark(
    name="keyframe",
    says="write the states of N living actors of a runtime while turns go on",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("limit", limit, 1_000_000, 100_000, figures=("pause",)),
        Side("pickle", with_pickle, 1_000_000, 100_000),
    ),
    figures=(
        Figure("pause", "ms", False, {"limit": 1.0}),
        Figure("work", "ms", False),
        Figure("size", "KiB", False),
    ),
)
