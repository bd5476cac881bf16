"""What a law is, and the court that hears every turn once and judges by all of them.

A law sees each event *before* the ledger takes it, so that what was so far and what comes now can
be compared.  It accuses on present facts ("completed twice") or on absent ones ("delivered, never
completed").  Absent facts count only where nothing can hide: what was born before the log begins,
or lived through a gap in it, makes an open verdict and never a broken one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from rescind.events import Damage, Keyframe, RescindError, Turn, UsageError
from rescind.events._keyframe import Part
from rescind.replay._ledger.dialects import Tables, tables
from rescind.replay._ledger.lives import CancelLife, RequestLife
from rescind.replay._ledger.model import Ledger

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
    """One law: overrides what it needs of these.

    In this order for every turn: `turn_begins`; `sees` for each event, before the ledger takes it;
    `took` for each event, when the ledger has taken all of them; `turn_ends`.  And once `log_ends`.
    """

    id: ClassVar[str]
    says: ClassVar[str]
    kinds: ClassVar[tuple[type, ...]] = ()
    """The events that `sees` wants."""
    took_kinds: ClassVar[tuple[type, ...]] = ()
    """The events that `took` wants."""
    messages: ClassVar[tuple[type, ...]] = ()
    """The messages whose turns `turn_begins` and `turn_ends` want; those of all when empty."""

    def __init__(self, court: "Court") -> None:
        """Sit in a court, whose ledger the law reads."""
        self.court = court
        self.ledger = court.ledger
        self.report = LawReport(self.id, self.says)

    def turn_begins(self, turn: Turn) -> None:
        """Look at a turn before its events."""

    def sees(self, event: Any, turn: Turn) -> None:
        """Look at an event that the ledger has not taken yet."""

    def took(self, event: Any, turn: Turn) -> None:
        """Look at an event when all of its turn was taken."""

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
            finding = Finding(self.id, verdict, subject, proof, about, text)
            self.report.findings.append(finding)
            self.court.found(finding)


Judge: TypeAlias = Callable[[Any, Turn, Ledger], str | None]


class LawFailedError(RescindError):
    """A law of yours raised; ``law`` is its id, and the cause is what it raised."""

    def __init__(self, law: str, turn: int, error: Exception) -> None:
        """Say which law, at which turn, and where in its code."""
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f" ({Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno})" if at else ""
        what = f"{type(error).__name__}: {error}"
        super().__init__(f"law {law} failed at turn {turn}: {what}{where}")
        self.law = law


def law(id: str, says: str, *kinds: type) -> Callable[[Judge], type[Law]]:  # noqa: A002
    """Make a law of a function.

    The function hears every event of the kinds with its turn, when the ledger has taken the whole
    turn.  It returns None, or in one sentence how the event breaks the law; the turn is the proof.
    A law that needs more (a turn before its events, several proofs, the end of the log) is a
    subclass of ``Law``.

    Args:
        id: What reports call the law; not one of ours.
        says: The law, in one sentence.
        kinds: Classes of events; an event that only your application knows is an ``Unknown``.

    Raises:
        UsageError: No kinds are given.
    """
    if not kinds:
        raise UsageError(f"law {id}: say which events it judges")

    def make(judge: Judge) -> type[Law]:
        class Yours(Law):
            def took(self, event: Any, turn: Turn) -> None:
                self.report.judged += 1
                text = judge(event, turn, self.ledger)
                if text is not None:
                    subject, *about = _subject(event, turn)
                    self.broken(str(subject), [turn.number], text, *about)

        Yours.id, Yours.says, Yours.took_kinds = id, says, kinds
        Yours.__name__ = Yours.__qualname__ = judge.__name__
        Yours.__module__, Yours.__doc__ = judge.__module__, judge.__doc__
        return Yours

    return make


def _subject(event: Any, turn: Turn) -> tuple[Any, ...]:
    """Return the selector of what an event is about, and its number if it has one."""
    for letter, field_name in (("r", "request"), ("c", "cancel"), ("a", "endpoint")):
        number = getattr(event, field_name, None)
        if isinstance(number, int):
            return (f"{letter}{number}", number)
    return (turn.number,)


See: TypeAlias = Callable[[Any, Turn], None]
Look: TypeAlias = Callable[[Turn], None]


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
        self._fresh: list[Finding] = []
        self.epoch_first = 1
        """The first turn of the epoch that the log is in."""
        self.laws = [law(self) for law in laws]
        self._plans: dict[type, tuple[list[Look], list[Look]]] = {}
        """By the class of a turn's message: who looks at the turn's beginning and at its end."""
        self._seeing: dict[type, list[See]] = {}
        self._taking: dict[type, list[See]] = {}
        for law in self.laws:
            for kind in law.kinds:
                self._seeing.setdefault(kind, []).append(self._safe(law, law.sees))
            for kind in law.took_kinds:
                self._taking.setdefault(kind, []).append(self._safe(law, law.took))

    def feed(self, turn: Turn) -> None:
        """Hear the log's next turn, which `sound` has looked at."""
        ledger, message = self.ledger, turn.message.__class__
        if turn.epoch != ledger.epoch:
            self.epoch_first = turn.number
        beginning, ending = self._plans.get(message) or self._plan(message)
        for look in beginning:
            look(turn)
        ledger.begin(turn)
        for event in turn.events:
            for see in self._seeing.get(event.__class__, ()):
                see(event, turn)
            ledger.apply(event, turn)
        for event in turn.events:
            for take in self._taking.get(event.__class__, ()):
                take(event, turn)
        for look in ending:
            look(turn)
        ledger.rest(turn)

    def _plan(self, message: type) -> tuple[list[Look], list[Look]]:
        wanting = [law for law in self.laws if not law.messages or message in law.messages]
        plan = (
            [self._safe(w, w.turn_begins) for w in wanting if _overrides(w, "turn_begins")],
            [self._safe(w, w.turn_ends) for w in wanting if _overrides(w, "turn_ends")],
        )
        self._plans[message] = plan
        return plan

    def close(self) -> list[LawReport]:
        """Take the log as ended and return every law's report."""
        self.ledger.end()
        for law in self.laws:
            self._safe(law, law.log_ends)()
        return [law.report for law in self.laws]

    @property
    def verdict(self) -> Verdict:
        """The verdict if the log ended here: open as long as something is owed to anybody."""
        counts = [law.report.counts for law in self.laws]
        if any(each.get(Verdict.BROKEN) for each in counts):
            return Verdict.BROKEN
        is_open = any(each.get(Verdict.OPEN) for each in counts) or self.ledger.owes
        return Verdict.OPEN if is_open else Verdict.HOLDS

    def news(self) -> list[Finding]:
        """Return what was found since this was last asked for, in the order of the log."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def found(self, finding: Finding) -> None:
        """Hear of a finding."""
        self._fresh.append(finding)

    def _safe(self, law: Law, hook: Callable[..., None]) -> Callable[..., None]:
        """Return a law's hook; where it is yours, so that what it raises names it."""
        if type(law).__module__.startswith(__package__ or ""):
            return hook

        def call(*arguments: Any) -> None:
            try:
                hook(*arguments)
            except Exception as error:
                turn = arguments[-1].number if arguments else self._last_turn
                raise LawFailedError(law.id, turn, error) from error

        return call

    @property
    def _last_turn(self) -> int:
        return self.ledger.last.turn if self.ledger.last else 0

    @property
    def gaps_are_damage(self) -> bool:
        """Whether the reader has said why turns are missing."""
        return bool(self._damage())

    def tables_of(self, endpoint: int) -> Tables:
        """Return the tables that rule an endpoint."""
        found = self.ledger.endpoints.get(endpoint)
        return tables(found.dialect, found.profile) if found else tables("")

    def is_blind(self, thing: RequestLife | CancelLife | None) -> bool:
        """Whether facts about a thing may be missing: before the log's beginning, or in a gap."""
        if isinstance(thing, RequestLife) and thing.is_lost:
            return True
        if self.ledger.blind_before == 1:
            return False
        if thing is None:
            return True
        begun = thing.submitted if isinstance(thing, RequestLife) else thing.requested
        return begun is None or begun.turn < self.ledger.blind_before


def _overrides(law: Law, name: str) -> bool:
    return getattr(type(law), name) is not getattr(Law, name)
