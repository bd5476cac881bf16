"""Measurements: ``python -m tests.benchmarks``.

A new one is a file that ends in ``BENCHMARK = Benchmark(...)`` and a line in ``NAMES``.  Files are
loaded one at a time, in the process that measures, so that no peer pays for another's imports.
"""

from importlib import import_module

from .registry import Benchmark

NAMES = ("lifecycle", "append", "scan", "lookup", "keyframe")


def load(name: str) -> Benchmark:
    """Return a benchmark by its name."""
    benchmark: Benchmark = import_module(f".{name}", __name__).BENCHMARK
    return benchmark
