"""What a law is, and the court that hears every turn once and judges by all of them.

A law sees each event *before* the ledger takes it, so that what was so far and what comes now can
be compared.  It accuses on present facts ("completed twice") or on absent ones ("delivered, never
completed").  Absent facts count only where nothing can hide: what was born before the log begins,
or lived through a gap in it, makes an open verdict and never a broken one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from rescind.events import Damage, Keyframe, Turn
from rescind.events._keyframe import Part

from ._dialects import Tables, tables
from ._lives import CancelLife, Request
from ._model import SENSELESS, Ledger, senseless

KEPT_MAX = 1_000
"""Findings kept per law and verdict; beyond, they are only counted."""


class Verdict(StrEnum):
    """What a court can say."""

    HOLDS = "holds"
    OPEN = "open"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a law is broken, or open.

    Attributes:
        law: The law's id.
        verdict: Broken or open.
        subject: The selector of what it is about, such as ``r17``.
        turns: The turns that prove it, in the log's order.
        about: The numbers of the requests and cancels concerned.
        text: One sentence.
    """

    law: str
    verdict: Verdict
    subject: str
    turns: tuple[int, ...]
    about: tuple[int, ...]
    text: str


@dataclass(slots=True)
class LawReport:
    """What came out for one law.

    Attributes:
        law: The law's id.
        says: The law.
        judged: How many facts it looked at.
        counts: How many findings there are of each verdict, also those that were not kept.
        findings: Broken and open findings, in the order of the log, up to a bound.
    """

    law: str
    says: str
    judged: int = 0
    counts: dict[Verdict, int] = field(default_factory=dict[Verdict, int])
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        if self.counts.get(Verdict.BROKEN):
            return Verdict.BROKEN
        return Verdict.OPEN if self.counts.get(Verdict.OPEN) else Verdict.HOLDS

    def of(self, verdict: Verdict) -> list[Finding]:
        """Return the kept findings of one verdict."""
        return [finding for finding in self.findings if finding.verdict is verdict]


class Law:
    """One law: overrides what it needs of `turn_begins`, `sees`, `turn_ends` and `log_ends`."""

    id: ClassVar[str]
    says: ClassVar[str]
    kinds: ClassVar[tuple[type, ...]] = ()
    """The events that `sees` wants."""

    def __init__(self, court: "Court") -> None:
        """Sit in a court, whose ledger the law reads."""
        self.court = court
        self.ledger = court.ledger
        self.report = LawReport(self.id, self.says)

    def turn_begins(self, turn: Turn) -> None:
        """Look at a turn before its events."""

    def sees(self, event: Any, turn: Turn) -> None:
        """Look at an event that the ledger has not taken yet."""

    def turn_ends(self, turn: Turn) -> None:
        """Look at a turn after all its events were taken."""

    def log_ends(self) -> None:
        """Say what is still owed."""

    def broken(
        self, subject: str, turns: Iterable[int], text: str, *about: int, blind: bool = False
    ) -> None:
        """Accuse; where the proof may hide outside what the log holds, the verdict is open."""
        self._add(Verdict.OPEN if blind else Verdict.BROKEN, subject, turns, text, about)

    def open(self, subject: str, turns: Iterable[int], text: str, *about: int) -> None:
        """Note what the log does not tell to its end."""
        self._add(Verdict.OPEN, subject, turns, text, about)

    def _add(
        self,
        verdict: Verdict,
        subject: str,
        turns: Iterable[int],
        text: str,
        about: tuple[int, ...],
    ) -> None:
        seen = self.report.counts.get(verdict, 0)
        self.report.counts[verdict] = seen + 1
        if seen < KEPT_MAX:
            proof = tuple(sorted({number for number in turns if number > 0}))
            self.report.findings.append(Finding(self.id, verdict, subject, proof, about, text))


See: TypeAlias = Callable[[Any, Turn], None]


class Court:
    """Folds a log and has every law look at it, in one pass.

    Attributes:
        ledger: The fold, for whoever wants to read it afterwards.
    """

    def __init__(
        self,
        laws: Iterable[type[Law]],
        damage: Callable[[], Sequence[Damage]] = tuple,
        ledger: Ledger | None = None,
        parts: Iterable[tuple[Keyframe, Part]] = (),
    ) -> None:
        """Seat the laws.

        Args:
            laws: Whose instances they will be.
            damage: What the reader has met so far.
            ledger: The fold, empty; None makes one that knows no keyframes.
            parts: Every part of every keyframe, in the log's order.
        """
        self.parts = parts
        self.ledger = Ledger() if ledger is None else ledger
        self._damage = damage
        self.epoch_first = 1
        """The first turn of the epoch that the log is in."""
        self.laws = [law(self) for law in laws]
        self._beginning = [law for law in self.laws if _overrides(law, "turn_begins")]
        self._ending = [law for law in self.laws if _overrides(law, "turn_ends")]
        self._seeing: dict[type, list[See]] = {}
        for law in self.laws:
            for kind in law.kinds:
                self._seeing.setdefault(kind, []).append(law.sees)

    def feed(self, turn: Turn) -> None:
        """Hear the log's next turn.

        Raises:
            LogDamagedError: The turn is well framed and its fields make no sense.
        """
        try:
            self._hear(turn)
        except SENSELESS as error:
            raise senseless(turn, error) from error

    def _hear(self, turn: Turn) -> None:
        if turn.epoch != self.ledger.epoch:
            self.epoch_first = turn.number
        for law in self._beginning:
            law.turn_begins(turn)
        self.ledger.begin(turn)
        for event in turn.events:
            for see in self._seeing.get(event.__class__, ()):
                see(event, turn)
            self.ledger.apply(event, turn)
        for law in self._ending:
            law.turn_ends(turn)

    def close(self) -> list[LawReport]:
        """Take the log as ended and return every law's report."""
        self.ledger.end()
        for law in self.laws:
            law.log_ends()
        return [law.report for law in self.laws]

    @property
    def gaps_are_damage(self) -> bool:
        """Whether the reader has said why turns are missing."""
        return bool(self._damage())

    def tables_of(self, endpoint: int) -> Tables:
        """Return the tables that rule an endpoint."""
        found = self.ledger.endpoints.get(endpoint)
        return tables(found.dialect, found.profile) if found else tables("")

    def is_blind(self, thing: Request | CancelLife | None) -> bool:
        """Whether facts about a thing may be missing: before the log's beginning, or in a gap."""
        if self.ledger.blind_before == 1:
            return False
        if thing is None:
            return True
        begun = thing.submitted if isinstance(thing, Request) else thing.requested
        return begun is None or begun.turn < self.ledger.blind_before


def _overrides(law: Law, name: str) -> bool:
    return getattr(type(law), name) is not getattr(Law, name)
