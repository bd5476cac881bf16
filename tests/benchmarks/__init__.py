"""Measurements: ``python -m tests.benchmarks``.

A new one is a file that ends in ``BENCHMARK = Benchmark(...)`` and a line in ``NAMES``.  Files are
loaded one at a time, in the process that measures, so that no peer pays for another's imports.
"""

from importlib import import_module

from .registry import Benchmark

NAMES = (
    *("lifecycle", "outstanding", "tell", "ask", "spawn", "control-lane", "log"),
    *("append", "scan", "lookup", "keyframe", "resolve", "rpc", "rerun"),
    *("endpoint-throughput", "cancel-latency"),
    *("reconstruct", "why", "time-travel"),
)


def load(name: str) -> Benchmark:
    """Return a benchmark by its name."""
    module = import_module(f".{name.replace('-', '_')}", __name__)
    benchmark: Benchmark = module.BENCHMARK
    return benchmark
