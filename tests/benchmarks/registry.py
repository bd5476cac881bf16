"""What a benchmark is: sides that do the same work, and figures to hold against each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work.

    Attributes:
        name: who does it: ``ours``, ``asyncio``, ``pykka``.
        run: does it once for ``n`` items and returns each figure's value.
        n: how many items; a side that cannot do as many gets fewer and is compared per item.
        n_quick: how many with ``--quick``.
    """

    name: str
    run: Callable[[int], Mapping[str, float]]
    n: int
    n_quick: int


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
    """One comparison; each lives in a file of its own and is named in ``__init__``."""

    name: str
    says: str
    ours: Side
    peers: tuple[Side, ...]
    figures: tuple[Figure, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        """Ours first."""
        return (self.ours, *self.peers)
