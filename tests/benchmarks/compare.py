"""Runs the sides interleaved and holds their figures against each other."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

from .registry import FOLDER, PREPARE, Benchmark, Figure, Side

ROOT = Path(__file__).resolve().parents[2]
Measured = Mapping[str, list[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours against one peer's, as it stands in the JSON.

    ``ratio`` is that of the medians, above 1 where ours is better; ``met`` is None without a goal.
    Of a peer that could not run ``peer``, ``ratio`` and ``met`` are None.
    """

    benchmark: str
    figure: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    goal: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, and beside it what the table says more.

    ``pairs`` is the median of the ratios round by round, ``not_run`` why there is no peer's figure.
    """

    row: Row
    pairs: float | None
    not_run: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the row only: the JSON's shape is promised."""
        return asdict(self.row)


def measure(benchmark: Benchmark, what: str, n: int, folder: str) -> Mapping[str, float]:
    """Run one side once, or ``prepare``, in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.one", benchmark.name, what, str(n)]
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), FOLDER: folder}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run(
    benchmark: Benchmark, *, rounds: int, size: Callable[[Side], int], say: Callable[[str], None]
) -> Measured:
    """Measure all sides in turn, ``rounds`` times: A B C A B C ...

    A side that cannot run is not in the answer.
    """
    sides = [side for side in benchmark.sides if not side.hindrance]
    measured: dict[str, list[Mapping[str, float]]] = {side.name: [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="rescind-benchmark-") as folder:
        if benchmark.prepare is not None:
            n = size(benchmark.ours)
            say(f"{benchmark.name}: prepare, n = {n:,}")
            measure(benchmark, PREPARE, n, folder)
        for number, side in product(range(1, rounds + 1), sides):
            n = size(side)
            say(f"{benchmark.name}: round {number} of {rounds}, {side.name}, n = {n:,}")
            measured[side.name].append(measure(benchmark, side.name, n, folder))
    return measured


def compare(benchmark: Benchmark, measured: Measured) -> Iterator[Compared]:
    """Yield one comparison per figure and peer that has it."""
    for figure in benchmark.figures:
        ours = [each[figure.name] for each in measured[benchmark.ours.name]]
        for side in filter(lambda side: side.returns(figure), benchmark.peers):
            if side.name in measured:
                peer = [each[figure.name] for each in measured[side.name]]
                yield _compared(benchmark, figure, side.name, ours, peer)
            else:
                yield _not_run(benchmark, figure, side, ours)


def _not_run(benchmark: Benchmark, figure: Figure, side: Side, ours: list[float]) -> Compared:
    goal = figure.goals.get(side.name)
    row = Row(
        benchmark.name, figure.name, figure.unit, median(ours), None, side.name, None, goal, None
    )
    return Compared(row, None, side.hindrance)


def _compared(
    benchmark: Benchmark, figure: Figure, peer_name: str, ours: list[float], peer: list[float]
) -> Compared:
    ratio = _ratio(figure, median(ours), median(peer))
    pairs = [_ratio(figure, *pair) for pair in zip(ours, peer, strict=True)]
    known = [each for each in pairs if each is not None]
    goal = figure.goals.get(peer_name)
    met = None if goal is None else ratio is not None and ratio >= goal
    row = Row(
        benchmark.name, figure.name, figure.unit, median(ours), median(peer), peer_name,
        ratio, goal, met,
    )  # fmt: skip
    return Compared(row, median(known) if known else None)


def _ratio(figure: Figure, ours: float, peer: float) -> float | None:
    above, below = (ours, peer) if figure.higher_is_better else (peer, ours)
    return above / below if below > 0 else None
