"""How everything stood behind a turn in the middle of a log of N turns, and one turn before.

Cold is the command in a process of its own, from its start to its end.  The files are in the
system's cache.
"""

import resource
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from statistics import median

from .recorded import MEMORY_MIB, TENTH, log_of, milliseconds, peak_mib, prepare
from .registry import Benchmark, Figure, Side

LOOKS = 10
APART = 500
"""Two looks in one process are so many turns apart, as far as the log goes."""
COLD_MS = 1_000.0
WARM_MS = 50.0


def ours(n: int) -> Mapping[str, float]:
    path, middle = log_of(n), max(1, n // 2)
    command = [sys.executable, "-m", "rescind.replay", "state", str(path), "--at", str(middle)]
    cold = milliseconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    memory = peak_mib(resource.RUSAGE_CHILDREN)
    return {"cold": cold, **within_ms(n, middle), "memory": memory}


def within_ms(n: int, middle: int) -> Mapping[str, float]:
    """The medians within one process, which has looked once."""
    from rescind.events import read
    from rescind.replay._state.state import Look
    from rescind.replay._world.timeline import Timeline

    log = read(log_of(n))
    timeline = Timeline(log)

    def look(turn: int) -> None:
        deque(Look(timeline.at(turn), log, None).all(), maxlen=0)

    look(middle)
    apart = max(1, min(APART, middle // LOOKS))
    turns = [middle + at * apart for at in range(1, LOOKS + 1)]
    warm = median([milliseconds(partial(look, at)) for at in turns])
    steps = [milliseconds(lambda: look(timeline.number - 1)) for _ in range(LOOKS)]
    return {"warm": warm, "step": median(steps)}


def in_the_tenth(n: int) -> Mapping[str, float]:
    return ours(n // TENTH)


def limit(_n: int) -> Mapping[str, float]:
    return {"cold": COLD_MS, "warm": WARM_MS, "step": WARM_MS, "memory": MEMORY_MIB}


# The long log may take 1.5 times as long as the short one.
_GOALS = {"limit": 1.0, "tenth": 1 / 1.5}

BENCHMARK = Benchmark(
    name="time-travel",
    says="show how everything stood behind a turn of a log of N turns",
    ours=Side("ours", ours, 10_000_000, 100_000),
    peers=(
        Side("limit", limit, 10_000_000, 100_000),
        Side("tenth", in_the_tenth, 10_000_000, 100_000, figures=("cold", "warm", "step")),
    ),
    figures=(
        Figure("cold", "ms", False, _GOALS),
        Figure("warm", "ms", False, _GOALS),
        Figure("step", "ms", False, _GOALS),
        Figure("memory", "MiB", False, {"limit": 1.0}),
    ),
    prepare=prepare,
)
