"""A million requests outstanding at once: what each costs, and whether a cancel stays linear."""

from collections.abc import Mapping

from .lifecycle import ours
from .registry import Benchmark, Figure, Side

LIMIT_KIB = 1500 / 1024


def limit(_n: int) -> Mapping[str, float]:
    return {"memory": LIMIT_KIB}


BENCHMARK = Benchmark(
    name="outstanding",
    says="a million outstanding requests and their cancel, against a tenth of them",
    ours=Side("ours", ours, 1_000_000, 100_000),
    peers=(
        Side("limit", limit, 1_000_000, 100_000, figures=("memory",)),
        Side("tenth", ours, 100_000, 10_000),
    ),
    figures=(
        Figure("memory", "KiB/request", False, {"limit": 1.0}),
        Figure("submit", "us/request", False, {"tenth": 1 / 1.2}),
        Figure("cancel", "us/request", False, {"tenth": 1 / 1.2}),
    ),
)
