"""Every cancellation of a log of N turns is told, against a bare scan of the same log."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from .recorded import MEMORY_MIB, log_of, peak_mib, prepare
from .registry import Benchmark, Figure, Side
from .turns import Stopwatch

if TYPE_CHECKING:
    from rescind.events import LogReader


def ours(n: int) -> Mapping[str, float]:
    from rescind.replay import sequences

    rate = rate_of(n, sequences)
    return {"rate": rate, "memory": peak_mib()}


def batches(n: int) -> Mapping[str, float]:
    return {"rate": rate_of(n, lambda log: log.batches())}


def turns(n: int) -> Mapping[str, float]:
    return {"rate": rate_of(n, iter)}


def rate_of(n: int, told: "Callable[[LogReader], Iterable[object]]") -> float:
    """How many turns of the log go by in a second."""
    from rescind.events import read

    log = read(log_of(n))
    watch = Stopwatch()
    deque(told(log), maxlen=0)
    return n / watch.seconds()


def limit(_n: int) -> Mapping[str, float]:
    return {"memory": MEMORY_MIB}


BENCHMARK = Benchmark(
    name="reconstruct",
    says="tell every cancellation of a log of N turns",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("batches", batches, 1_000_000, 100_000, figures=("rate",)),
        Side("turns", turns, 1_000_000, 100_000, figures=("rate",)),
        Side("limit", limit, 1_000_000, 100_000, figures=("memory",)),
    ),
    figures=(
        Figure("rate", "1/s", True, {"batches": 0.5}),
        Figure("memory", "MiB", False, {"limit": 1.0}),
    ),
    prepare=prepare,
)
