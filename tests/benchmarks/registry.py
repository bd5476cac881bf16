"""What a benchmark is: sides that do the same work, and figures to hold against each other."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

FOLDER = "RESCIND_BENCHMARK_FOLDER"
"""The environment's name for the folder that a benchmark's ``prepare`` filled."""
PREPARE = "prepare"
"""Stands where a side's name does when that is to be done."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        name: who does it: ``ours``, ``asyncio``, ``pykka``.
        run: does it once for ``n`` items and returns each figure's value.
        n: how many items; a side that cannot do as many gets fewer and is compared per item.
        n_quick: how many with ``--quick``.
        figures: which it returns; empty says all of them.
        needs: the package without which it can't run, and then is reported as not run.
    """

    name: str
    run: Callable[[int], Mapping[str, float]]
    n: int
    n_quick: int
    figures: tuple[str, ...] = ()
    needs: str = ""

    def returns(self, figure: "Figure") -> bool:
        """Whether this side has that figure."""
        return not self.figures or figure.name in self.figures

    @property
    def hindrance(self) -> str:
        """Why it can't run here; empty when it can."""
        missing = bool(self.needs) and find_spec(self.needs) is None
        return f"{self.needs} is not installed" if missing else ""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that every side returns.

    Attributes:
        name: the key under which sides return it.
        unit: for people.
        higher_is_better: which way ratios are taken: above 1 always means that ours is better.
        goals: least ratio wanted, by the peer's name; a peer that is not named has no goal.
    """

    name: str
    unit: str
    higher_is_better: bool
    goals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One comparison; each lives in a file of its own and is named in ``__init__``.

    Attributes:
        name: its file's.
        says: what it measures.
        ours: our side, which returns all figures.
        peers: the others.
        figures: what is measured.
        prepare: makes what all rounds share, once, for ``n`` items in a folder that is deleted at
            the end; sides find it with ``prepared``.
    """

    name: str
    says: str
    ours: Side
    peers: tuple[Side, ...]
    figures: tuple[Figure, ...]
    prepare: Callable[[int, Path], None] | None = None

    @property
    def sides(self) -> tuple[Side, ...]:
        """Ours first."""
        return (self.ours, *self.peers)


def prepared() -> Path:
    """The folder that the benchmark's ``prepare`` filled."""
    return Path(os.environ[FOLDER])
