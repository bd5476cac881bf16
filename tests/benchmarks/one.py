"""One measurement in a process of its own: ``python -m tests.benchmarks.one NAME SIDE N``.

With ``prepare`` for a side it makes what the rounds share, and measures nothing.
"""

import json
import sys
from collections.abc import Mapping

from . import load
from .registry import PREPARE, Benchmark, prepared


def main(name: str, side_name: str, n: str) -> None:
    """Measure one side once and print its figures as JSON."""
    print(json.dumps(dict(figures(load(name), side_name, int(n)))))


def figures(benchmark: Benchmark, side_name: str, n: int) -> Mapping[str, float]:
    if side_name == PREPARE and benchmark.prepare is not None:
        benchmark.prepare(n, prepared())
        return {}
    side = next(each for each in benchmark.sides if each.name == side_name)
    return side.run(n)


if __name__ == "__main__":
    main(*sys.argv[1:])
