"""What a dialect's tables are made of.

A rule is a row with an id; tests, messages and documents name it.  Checks read an endpoint (or a
stand-in with the same attributes) and never change anything: admission asks first, the turn acts
afterwards.
"""

from collections.abc import Callable, Hashable, Sequence
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


@dataclass(frozen=True, slots=True)
class Canceller:
    """One way for a cancel to begin: the trigger that stands in ``CancelRequested``."""

    trigger: str
    who: str
    """Who may begin it."""
    ends: str
    """What it means to end."""
    source: str


class Admission(Generic[FactsT]):
    """An ordered table of checks, and what it has answered before.

    Checks are pure and facts are few and hashable, so that an answer can be kept: a call that is
    admitted for the thousandth time costs one look-up.
    """

    __slots__ = ("_facts", "_known", "checks")

    def __init__(self, facts: Callable[..., FactsT], *checks: Check[FactsT]) -> None:
        """Ask ``checks`` in this order about ``facts``, a class whose fields they read."""
        self.checks = checks
        self._facts = facts
        self._known: dict[tuple[Hashable, ...], Refusal | None] = {}

    def refusal(self, *values: Hashable) -> Refusal | None:
        """Return the first refusal for the facts of these values, or None where all checks pass."""
        try:
            return self._known[values]
        except KeyError:
            refusal = self._known[values] = first_refusal(self.checks, self._facts(*values))
            return refusal


def first_refusal(checks: Sequence[Check[FactsT]], facts: FactsT) -> Refusal | None:
    """Return the first check of the ordered table that refuses, or None."""
    for check in checks:
        if check.refuses(facts):
            return Refusal(check.id, check.code)
    return None
