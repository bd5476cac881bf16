"""Every cancellation of a log of N turns is told, against a bare scan of the same log."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .recorded import MEMORY_MIB, OFTEN, SELDOM, log_of, peak_mib, record
from .registry import Benchmark, Figure, Side
from .turns import Stopwatch, settle

if TYPE_CHECKING:
    from rescind.events import LogReader


def ours(n: int) -> Mapping[str, float]:
    from rescind.replay import sequences

    return {**rates_of(n, sequences), "memory": peak_mib()}


def batches(n: int) -> Mapping[str, float]:
    return rates_of(n, lambda log: log.batches())


def turns(n: int) -> Mapping[str, float]:
    return rates_of(n, iter)


def rates_of(n: int, told: "Callable[[LogReader], Iterable[object]]") -> dict[str, float]:
    return {"seldom": rate_of(n, SELDOM, told), "often": rate_of(n, OFTEN, told)}


def rate_of(n: int, rounds: int, told: "Callable[[LogReader], Iterable[object]]") -> float:
    """How many turns of the log go by in a second."""
    from rescind.events import read

    log = read(log_of(n, rounds=rounds))
    watch = Stopwatch()
    deque(told(log), maxlen=0)
    return n / watch.seconds()


def prepare(n: int, place: Path) -> None:
    """Record a log with few cancellations and one with many."""
    for rounds in (SELDOM, OFTEN):
        record(log_of(n, place, rounds), n, rounds)
    settle(place)


def limit(_n: int) -> Mapping[str, float]:
    return {"memory": MEMORY_MIB}


BENCHMARK = Benchmark(
    name="reconstruct",
    says="tell every cancellation of a log of N turns",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("batches", batches, 1_000_000, 100_000, figures=("seldom", "often")),
        Side("turns", turns, 1_000_000, 100_000, figures=("seldom", "often")),
        Side("limit", limit, 1_000_000, 100_000, figures=("memory",)),
    ),
    figures=(
        Figure("seldom", "1/s", True, {"batches": 0.5}),
        Figure("often", "1/s", True, {"batches": 0.5}),
        Figure("memory", "MiB", False, {"limit": 1.0}),
    ),
    prepare=prepare,
)
