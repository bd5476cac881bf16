"""One outcome in the middle of a log of N turns is explained: cold, and in a process that goes on.

Cold is the command in a process of its own, from its start to its end.  The files are in the
system's cache.
"""

import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from statistics import median

from .recorded import MEMORY_MIB, TENTH, log_of, milliseconds, peak_mib, prepare, victims_of
from .registry import Benchmark, Figure, Side

STORIES = 10
COLD_MS = 1_000.0
WARM_MS = 50.0


def ours(n: int) -> Mapping[str, float]:
    path = log_of(n)
    [victim] = victims_of(path, 1)
    first = f"r{victim}"
    command = [sys.executable, "-m", "rescind.replay", "why", str(path), "--of", first]
    cold = milliseconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    memory = peak_mib(resource.RUSAGE_CHILDREN)
    return {"cold": cold, "warm": warm_ms(n, first), "memory": memory}


def warm_ms(n: int, first: str) -> float:
    """The median over cancels from all over the log; one story is told before, to warm up."""
    from rescind.events import read
    from rescind.replay import Archive, why

    log = Archive(read(log_of(n)))
    why(log, first)
    cancels = log.cancel_numbers
    others = cancels[:: max(1, len(cancels) // STORIES)][:STORIES]
    return median([milliseconds(partial(why, log, f"c{each}")) for each in others])


def in_the_tenth(n: int) -> Mapping[str, float]:
    return ours(n // TENTH)


def limit(_n: int) -> Mapping[str, float]:
    return {"cold": COLD_MS, "warm": WARM_MS, "memory": MEMORY_MIB}


BENCHMARK = Benchmark(
    name="why",
    says="explain one outcome in a log of N turns",
    ours=Side("ours", ours, 10_000_000, 100_000),
    peers=(
        Side("limit", limit, 10_000_000, 100_000),
        Side("tenth", in_the_tenth, 10_000_000, 100_000, figures=("cold", "warm")),
    ),
    figures=(
        # The long log may take 1.5 times as long as the short one.
        Figure("cold", "ms", False, {"limit": 1.0, "tenth": 1 / 1.5}),
        Figure("warm", "ms", False, {"limit": 1.0, "tenth": 1 / 1.5}),
        Figure("memory", "MiB", False, {"limit": 1.0}),
    ),
    prepare=prepare,
)
