"""What a dialect's tables are made of.

A rule is a row with an id; tests, messages and documents name it.  Checks read an endpoint (or a
stand-in with the same attributes) and never change anything: admission asks first, the turn acts
afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

FactsT = TypeVar("FactsT")


@dataclass(frozen=True, slots=True)
class Check(Generic[FactsT]):
    """One admission check: refuses with ``code`` where ``refuses`` holds."""

    id: str
    code: int
    refuses: Callable[[FactsT], bool]
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first check that refused, and the number that the refused request got."""

    rule: str
    code: int
    request: int = 0


def first_refusal(checks: Sequence[Check[FactsT]], facts: FactsT) -> Refusal | None:
    """Return the first check of the ordered table that refuses, or None."""
    for check in checks:
        if check.refuses(facts):
            return Refusal(check.id, check.code)
    return None
