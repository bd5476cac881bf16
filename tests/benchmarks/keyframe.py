"""A keyframe of N living actors is written while turns go on; how long does one step take?

Each actor has a small dictionary for a state.  Every batch takes ten turns; between two batches an
actor ends and another one is born.  A slice of the keyframe is taken whenever a batch is sealed,
and the longest seal is the pause.  The peer does what many do: it pickles all states in one step.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .append import open_log
from .registry import Benchmark, Figure, Side
from .turns import Stopwatch, batches, folder

if TYPE_CHECKING:
    from rescind.events import Entry

TURNS = 10
"""How many turns a batch has."""
LIMIT_MS = 10.0

States = dict[int, dict[str, Any]]


def states(n: int) -> States:
    return {number: state(number) for number in range(1, n + 1)}


def state(number: int) -> dict[str, Any]:
    return {"total": number * 7, "name": f"actor {number}", "is_open": True}


# --- ours --------------------------------------------------------------------------------------


def ours(n: int) -> Mapping[str, float]:
    from rescind.events import Pace, read

    living = Living(n)
    pauses: list[float] = []
    size = 0
    with folder() as place:
        log = open_log(place / "turns.log")
        # The first one begins at once, and there is no second one.
        log.keyframes_from(living.entries, Pace(log_bytes_min=0, log_bytes_factor=1_000_000))
        made = batches(n // 100 + TURNS * 100, TURNS)
        is_last = False
        while not is_last:
            log.extend(made[len(pauses) % len(made)])
            watch = Stopwatch()
            batch = log.seal()
            pauses.append(watch.seconds())
            assert batch is not None
            assert batch.keyframe is not None
            size += len(batch.keyframe.body)
            is_last = batch.keyframe.is_last
            log.write(batch)
            living.change()
        log.close()
        keyframe = read(place / "turns.log").keyframe()
        assert keyframe is not None
        assert len(keyframe.places) == len(pauses)
    return {"pause": max(pauses) * 1e3, "work": sum(pauses) * 1e3, "size": size / 1024}


class Living:
    """The actors: the oldest ends, a new one gets the next number."""

    def __init__(self, n: int) -> None:
        # Here, so that loading it is not taken for a pause.
        from rescind.actors.runtime._numbers import numbers_kept

        self._numbers_kept = numbers_kept
        self._states = states(n)
        self._first, self._next = 1, n + 1

    def change(self) -> None:
        self._states[self._next] = state(self._next)
        del self._states[self._first]
        self._first += 1
        self._next += 1

    def entries(self) -> "Iterator[Entry | None]":
        from rescind.events import Entry

        for number in self._numbers_kept(self._states, 1, self._next):
            yield None if number is None else Entry(number, 1, self._states[number])


# --- what it is held against -------------------------------------------------------------------


def limit(_n: int) -> Mapping[str, float]:
    return {"pause": LIMIT_MS}


def with_pickle(n: int) -> Mapping[str, float]:
    """All states at one moment; what is written afterwards could be written elsewhere."""
    import pickle

    living = states(n)
    watch = Stopwatch()
    data = pickle.dumps(living, pickle.HIGHEST_PROTOCOL)
    milliseconds = watch.seconds() * 1e3
    return {"pause": milliseconds, "work": milliseconds, "size": len(data) / 1024}


BENCHMARK = Benchmark(
    name="keyframe",
    says="write the states of N living actors while turns go on",
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
