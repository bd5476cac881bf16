"""`rescind check`: are the laws and the chain kept by this log?"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from textwrap import wrap
from typing import Any, TypeGuard

from rescind.events import Damage, LogReader, Turn, UsageError
from rescind.replay._ledger.fold import bounded_ledger
from rescind.replay._ledger.sound import sound
from rescind.replay._words.text import MARGIN, Line, Span, count, line, plain

from .actors import BirthAndClosing, Standing
from .cancels import ClosedWindow, DeliveryOrder, OneOutcome, OneWinner
from .keyframes import KeyframesTell
from .law import Court, Finding, Law, LawReport, Verdict
from .log import CausesExist
from .requests import ExplainedSilence, OneCompletion, OneEnd, TerminalStates

LAWS: tuple[type[Law], ...] = (
    OneCompletion, OneEnd, OneOutcome, OneWinner, ClosedWindow, DeliveryOrder, ExplainedSilence,
    BirthAndClosing, Standing, CausesExist, TerminalStates, KeyframesTell,
)  # fmt: skip
"""Every law that is proved, in the order in which it is shown."""

PROGRESS_TURNS = 10_000
"""How often a check says how far it is."""

SHOWN_MAX = 5
"""Findings of one law shown on a screen unless all are asked for."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What came out of a whole log.

    Attributes:
        laws: One report per law.
        turns: How many turns were read.
        damage: What the reader found damaged or unfinished; the chain holds when there is none.
        noted: What became of a head of the chain that was noted earlier; None when none was given.
    """

    laws: tuple[LawReport, ...]
    turns: int
    damage: tuple[Damage, ...]
    noted: "Noted | None" = None

    @property
    def verdict(self) -> Verdict:
        """The worst of the verdicts; damage of the log is not one of them."""
        verdicts = {report.verdict for report in self.laws}
        verdicts |= {self.noted.verdict} if self.noted else set()
        for worst in (Verdict.BROKEN, Verdict.OPEN):
            if worst in verdicts:
                return worst
        return Verdict.HOLDS

    @property
    def is_damaged(self) -> bool:
        """Whether the chain is broken by more than an unfinished end."""
        return any(each.is_rot for each in self.damage)


@dataclass(frozen=True, slots=True)
class Noted:
    """A head of the chain that was noted earlier, looked for in the log.

    Attributes:
        head: What was noted: 16 to 64 hexadecimal digits.
        number: The last turn before it; None when the log's chain never had this head.
        is_proven: Whether nothing in front of it is damaged, so that it vouches for all of that.
    """

    head: str
    number: int | None
    is_proven: bool

    @property
    def verdict(self) -> Verdict:
        """Broken when the head is not there; open when damage stands before it."""
        if self.number is None:
            return Verdict.BROKEN
        return Verdict.HOLDS if self.is_proven else Verdict.OPEN


def find_head(reader: LogReader, head: str) -> Noted:
    """Look for a head that was noted, in a pass of its own that verifies the chain."""
    for number, chain, is_proven in reader.heads():
        if chain.hex().startswith(head):
            return Noted(head, number, is_proven)
    return Noted(head, None, is_proven=False)


def damage_of(log: Iterable[Turn]) -> Sequence[Damage]:
    """Return what a reader has met so far that is not whole; a plain list of turns has nothing."""
    return log.damage if isinstance(log, LogReader) else ()


def check(
    log: Iterable[Turn],
    *,
    laws: Iterable[type[Law]] = LAWS,
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    """Prove the laws on a log, in one pass.

    The memory that this takes grows with what is open at once, and not with a log on disk.

    Args:
        log: A reader, or any turns in their order.
        laws: Which laws; yours may be among them.
        progress: Told how many turns were read, every `PROGRESS_TURNS`.

    Returns:
        Each law's verdict: holds, broken with the turns that prove it, or open.

    Raises:
        LawFailedError: A law of yours raised.
    """
    court = bounded_court(log, laws)
    for turn in sound(log):
        court.feed(turn)
        if progress is not None and court.ledger.turns % PROGRESS_TURNS == 0:
            progress(court.ledger.turns)
    return report_of(court, log)


def bounded_court(log: Iterable[Turn], laws: Iterable[type[Law]] = LAWS) -> Court:
    """Return a court for one pass over a log, that has heard nothing yet."""
    parts = log.parts() if isinstance(log, LogReader) else ()
    return Court(laws, lambda: damage_of(log), bounded_ledger(log), parts)


def report_of(court: Court, log: Iterable[Turn]) -> CheckReport:
    """Close a court that has heard a log."""
    return CheckReport(tuple(court.close()), court.ledger.turns, tuple(damage_of(log)))


def laws_in(modules: Iterable[str]) -> tuple[type[Law], ...]:
    """Import modules that the caller, and not a log, has named; return our laws and theirs.

    Raises:
        UsageError: There is no such module, it has no law, or two laws have the same id.
    """
    laws = list(LAWS)
    for name in modules:
        try:
            module = import_module(name)
        except Exception as error:
            raise UsageError(f"--laws {name}: {type(error).__name__}: {error}") from error
        theirs = [each for each in vars(module).values() if _is_a_law(each) and each not in laws]
        if not theirs:
            raise UsageError(f"--laws {name}: no law is in it")
        laws += theirs
    twice = [id_ for id_, count in Counter(each.id for each in laws).items() if count > 1]
    if twice:
        raise UsageError(f"two laws are called {twice[0]}")
    return tuple(laws)


def _is_a_law(each: object) -> TypeGuard[type[Law]]:
    return isinstance(each, type) and issubclass(each, Law) and hasattr(each, "id")


_STYLE = {Verdict.HOLDS: "green", Verdict.BROKEN: "bold red", Verdict.OPEN: "yellow"}


def verdict_span(verdict: Verdict, width: int = 0) -> Span:
    """Return a verdict in its colour."""
    return Span(f"{verdict.value:<{width}}", _STYLE[verdict])


def check_lines(report: CheckReport, *, show_all: bool = False) -> list[Line]:
    """Return the screen of `rescind check`."""
    lines: list[Line] = []
    for law in report.laws:
        lines.append(
            line(Span(f"  {law.law:<6}", "bold"), verdict_span(law.verdict, 8), f"{law.says}")
        )
        lines.extend(_finding_lines(law, show_all=show_all))
    lines.append(_chain_line(report))
    for each in report.damage:
        lines.extend(_damage_lines(each))
    if report.noted is not None:
        lines.extend(_noted_lines(report.noted))
    lines.append(line())
    lines.append(_summary(report))
    return lines


def news_line(finding: Finding) -> Line:
    """Return one finding as it arises, for `rescind check --follow`."""
    return line(Span(f"  {finding.law:<6}", "bold"), *_finding_spans(finding))


def _finding_lines(law: LawReport, *, show_all: bool) -> list[Line]:
    lines: list[Line] = []
    for verdict in (Verdict.BROKEN, Verdict.OPEN):
        kept = law.of(verdict)
        shown = kept if show_all else kept[:SHOWN_MAX]
        lines.extend(_finding_line(finding) for finding in shown)
        rest = law.counts.get(verdict, 0) - len(shown)
        if rest > 0:
            hint = "" if show_all else " (--all shows them)"
            lines.append(line(" " * 16, Span(f"and {count(rest, 'more')}"[:-1] + hint, "dim")))
    return lines


def _finding_line(finding: Finding) -> Line:
    return line(" " * 8, *_finding_spans(finding))


def _finding_spans(finding: Finding) -> tuple[str | Span, ...]:
    turns = ", ".join(str(number) for number in finding.turns)
    where = f"  turn {turns}" if len(finding.turns) == 1 else f"  turns {turns}"
    return verdict_span(finding.verdict, 8), finding.text, Span(where if turns else "", "dim")


def _chain_line(report: CheckReport) -> Line:
    if report.is_damaged:
        verdict, says = Span("damaged ", "bold red"), "the log is not what its writer wrote"
    elif not report.damage:
        verdict, says = Span("holds   ", "green"), "checksums and hash chain of every batch"
    elif all(each.torn for each in report.damage):
        verdict, says = Span("holds   ", "green"), "up to an end that was never finished"
    else:
        verdict, says = Span("holds   ", "green"), "but for turns that a recovery could not save"
    return line(Span("  chain ", "bold"), verdict, says)


def _damage_lines(damage: Damage) -> list[Line]:
    style = "red" if damage.is_rot else "dim"
    return [line(" " * 16, Span(each, style)) for each in wrap(plain(damage.text), MARGIN - 16)]


def _noted_lines(noted: Noted) -> list[Line]:
    head = f"{noted.head[:16]}…" if len(noted.head) > 16 else noted.head
    says = [f"{head} stands behind turn {noted.number}"]
    if noted.number is None:
        says = [
            f"{head} is not in the chain: what it stood behind was changed or cut off,",
            "unless it is another log's, of a part that was pruned, or from before a recovery",
        ]
    elif noted.is_proven:
        says[0] += "; nothing up to there was changed"
    else:
        says[0] += ", and the log is damaged before it:"
        says.append("what can still be read up to there may be other than it was")
    first = line(Span("  head  ", "bold"), verdict_span(noted.verdict, 8), says[0])
    return [first, *(line(" " * 16, text) for text in says[1:])]


def _summary(report: CheckReport) -> Line:
    noted = report.noted.verdict if report.noted else Verdict.HOLDS
    broken = _all_of(Verdict.BROKEN, report) + (noted is Verdict.BROKEN)
    still_open = _all_of(Verdict.OPEN, report) + (noted is Verdict.OPEN)
    text = f"{count(report.turns, 'turn')} read, {broken:,} broken, {still_open:,} open"
    return line(verdict_span(report.verdict), f": {text}")


def _all_of(verdict: Verdict, report: CheckReport) -> int:
    return sum(law.counts.get(verdict, 0) for law in report.laws)


def check_json(report: CheckReport) -> dict[str, Any]:
    """Return the document of `rescind check --json`, without its schema."""
    return {
        "verdict": report.verdict.value,
        "turns": report.turns,
        "chain": "damaged" if report.is_damaged else "holds",
        "damage": [damage_json(each) for each in report.damage],
        "head": _noted_json(report.noted),
        "laws": [_law_json(law) for law in report.laws],
    }


def _noted_json(noted: Noted | None) -> dict[str, Any] | None:
    if noted is None:
        return None
    return {"noted": noted.head, "verdict": noted.verdict.value, "turn": noted.number}


def damage_json(damage: Damage) -> dict[str, Any]:
    """Return one damage as JSON."""
    return {
        "kind": damage.row,
        "torn": damage.torn,
        "segment": damage.segment,
        "offset": damage.offset,
        "length": damage.length,
        "first": damage.first,
        "last": damage.last,
        "text": damage.text,
    }


def _law_json(law: LawReport) -> dict[str, Any]:
    return {
        "law": law.law,
        "says": law.says,
        "verdict": law.verdict.value,
        "judged": law.judged,
        "broken": law.counts.get(Verdict.BROKEN, 0),
        "open": law.counts.get(Verdict.OPEN, 0),
        "findings": [_finding_json(finding) for finding in law.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "verdict": finding.verdict.value,
        "subject": finding.subject,
        "turns": list(finding.turns),
        "text": finding.text,
    }


def news_json(finding: Finding) -> dict[str, Any]:
    """Return one finding as a document of `rescind check --follow --json`, without its schema."""
    return {"law": finding.law, **_finding_json(finding)}
