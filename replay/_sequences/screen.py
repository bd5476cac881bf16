"""The screen and the JSON of `rescind sequences`.

Made for the hurried: the head line alone answers whether all was well; below it who, what, and
what was refused, every time relative to the moment at which somebody asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from rescind.events import How
from rescind.replay._archive.archive import AnyLog, archive_of
from rescind.replay._laws.check import verdict_span
from rescind.replay._laws.law import Verdict
from rescind.replay._ledger.dialects import FROM_CLIENT, TIMES, code_text, end_text
from rescind.replay._ledger.lives import Context, Ending
from rescind.replay._words.describe import outcome_text
from rescind.replay._words.text import (
    MARGIN,
    Clock,
    Line,
    Span,
    as_text,
    by_json,
    clip,
    clip_left,
    count,
    duration,
    line,
    offset,
    plain,
    site,
)

from .sequences import (
    LAWS_OF_A_SEQUENCE,
    Asker,
    Loser,
    Loss,
    Refusal,
    Victim,
    sequences,
)
from .sequences import CancelSequence as Cancellation

HEAD_MAX = 5
"""Victims shown from the beginning of a long list."""
TAIL_MAX = 2
"""Victims shown from its end."""
_FOLDED_MIN = 4
"""Fewer are shown too: to say that they are hidden would hardly save a line."""

_INDENT = "      "
_LABEL = 10


def sequence_lines(
    one: Cancellation,
    clock: Clock,
    *,
    show_all: bool = False,
    names: Mapping[str, str] = MappingProxyType({}),
) -> list[Line]:
    """Return one cancellation as a block of lines; ``names``: of logs, by their ids."""
    return [
        _head(one),
        *([_row("log", _log(one.log, names))] if one.log else ()),
        *_asked_lines(one, clock, names),
        _window_line(one),
        *_victim_lines(one, show_all=show_all),
        *_refused_lines(one, show_all=show_all),
        *_loser_lines(one, show_all=show_all),
        *_end_lines(one),
        *_verdict_lines(one),
    ]


def _row(label: str, *parts: str | Span) -> Line:
    return line(_INDENT, Span(f"{label:<{_LABEL}}", "dim"), *parts)


def _more(*parts: str | Span) -> Line:
    return line(_INDENT, " " * _LABEL, *parts)


def _head(one: Cancellation) -> Line:
    quiet = one.quiescence_ns
    end = "not at rest where the log ends" if one.quiet is None else "at rest"
    if quiet is not None:
        end += f" after {duration(quiet)}"
    driver = f" ({one.driver})" if one.driver else ""
    left = f"c{one.cancel:<4} "
    what = f"{one.trigger or 'a cancel'} on {one.endpoint_label}{driver}"
    room = MARGIN - len(left) - len(end) - 10
    shown = clip(what, room)
    return line(
        Span(left, "bold cyan"), Span(f"{shown:<{room}}", "bold"), "  ",
        verdict_span(one.verdict), "  ", end,
    )  # fmt: skip


def _log(log: str, names: Mapping[str, str]) -> str:
    return clip(plain(names.get(log, f"log {log[:6]}")), _WIDTH)


def _asked_lines(one: Cancellation, clock: Clock, names: Mapping[str, str]) -> list[Line]:
    asked = one.asked
    if one.is_cut:
        return [_row("asked by", "unknown: before the log begins; times count from there")]
    when = Span(f"turn {asked.turn}, {clock.moment(asked.time_ns)}", "dim")
    if one.trigger in TIMES:
        timed_out = f"the deadline of r{asked.request} ran out  "
        lines = [_row("asked by", timed_out, when)]
        if asked.by is not None:
            called = f"r{asked.request} was called by {site(asked.by)}"
            lines.append(_more(clip(called, _WIDTH)))
        return lines
    who = clip(_who(one), _WIDTH)
    if len(who) + 2 + len(when.text) <= _WIDTH:
        lines = [_row("asked by", who, "  ", when)]
    else:
        lines = [_row("asked by", who), _more(when)]
    if asked.inside is not None and not asked.handler:
        lines.append(_more(_inside(asked.inside)))
    if one.reason:
        lines.append(_more(clip(f"because: {one.reason}", _WIDTH)))
    if one.parent:
        of = f" of {_log(one.parent_log, names)}" if one.parent_log else ""
        lines.append(_more("in the course of ", Span(f"c{one.parent}", "cyan"), of))
    return lines


_WIDTH = MARGIN - 16
"""What is left beside the words in the margin."""


def _who(one: Cancellation) -> str:
    asked = one.asked
    if asked.unanswered:
        return f"the time of grace of c{asked.unanswered}, which ran out"
    if not asked.handler:
        nobody = "the client" if one.trigger in FROM_CLIENT else "outside"
        return site(asked.by) if asked.by else nobody
    took_up = f", which took up r{asked.inside.request}" if asked.inside else ""
    return f"the handler of turn {asked.handler}{took_up}"


def _inside(context: Context) -> str:
    return f"inside the script of r{context.request}, delivered in turn {context.turn}"


def _window_line(one: Cancellation) -> Line:
    if one.began is None and one.is_cut:
        end = "still open where the log ends" if one.ended is None else f"..{one.ended.turn}"
        return _row("window", f"opened before the log begins, {end}")
    if one.began is None:
        return _row("window", "never opened")
    if one.ended is None:
        return _row("window", f"turns {one.began.turn}..   still open where the log ends")
    turns = one.ended.turn - one.began.turn + 1
    width = duration(one.ended.time_ns - one.began.time_ns)
    stopped = ""
    if one.killed is not None:
        stopped = f"; driver stopped {offset(one.killed.time_ns - one.asked.time_ns)}"
    span = f"turns {one.began.turn}..{one.ended.turn}"
    return _row("window", f"{span}, {count(turns, 'turn')}, {width}{stopped}")


# --- victims -------------------------------------------------------------------------------------


def _victim_lines(one: Cancellation, *, show_all: bool) -> list[Line]:
    if not one.victims:
        none = "unknown: named before the log begins"
        return [_row("victims", none if one.is_cut else "none: nothing was outstanding")]
    won = sum(victim.won for victim in one.victims)
    lost = "" if won == len(one.victims) else f", {won:,} of them cancelled"
    known = " that the log still tells of" if one.is_cut else ""
    lines = [
        _row("victims", f"{len(one.victims):,}{known}{lost}, in the order of delivery"),
        _columns(Span(f"{'':<16}{'result':<25}{'age':>8}  {'completed':>16}  delivered", "dim")),
    ]
    shown, hidden = _fold(one.victims, show_all=show_all)
    lines += [_victim_line(victim, one) for victim in shown[0]]
    if hidden:
        lines.append(_columns(Span(f"... {hidden:,} more (--all shows them)", "dim")))
    return lines + [_victim_line(victim, one) for victim in shown[1]]


def _name(one: Victim | Refusal | Loser) -> str:
    """Short numbers keep a column of their own; long ones push the operation out of it."""
    number = f"r{one.request:<3} "
    return number + clip_left(one.operation, max(15 - len(number), 0))


def _fold(
    victims: Sequence[Victim], *, show_all: bool
) -> tuple[tuple[Sequence[Victim], Sequence[Victim]], int]:
    """Return the head and the tail to show, and how many lie between."""
    hidden = len(victims) - HEAD_MAX - TAIL_MAX
    if show_all or hidden <= _FOLDED_MIN:
        return (victims, ()), 0
    return (victims[:HEAD_MAX], victims[-TAIL_MAX:]), hidden


def _columns(*parts: str | Span) -> Line:
    return line(_INDENT, "  ", *parts)


def _victim_line(victim: Victim, one: Cancellation) -> Line:
    name = _name(victim)
    age = "" if victim.age_ns is None else duration(victim.age_ns)
    code, style = _end_of(victim, one)
    done = victim.completed
    ended = _at(done.turn, done.time_ns - one.asked.time_ns) if done else ""
    return _columns(
        f"{name:<16}", Span(f"{clip(code, 24):<25}", style), f"{age:>8}  ", f"{ended:>16}  ",
        _delivery(victim, one),
    )  # fmt: skip


def _at(turn: int, after_ns: int) -> str:
    return f"{offset(after_ns)} t{turn}"


def _ending_text(ending: Ending | None, one: Cancellation) -> str:
    return "ok" if ending is None else end_text(one.tables, ending.code, ending.how)


def _end_of(victim: Victim, one: Cancellation) -> tuple[str, str]:
    if victim.completed is None:
        return "still outstanding", "yellow"
    code = _ending_text(victim.completed, one)
    if victim.won:
        return code, ""
    if victim.completed.how == How.ABANDONED:
        return "abandoned", "yellow"
    return f"{code} (its own result)", "green"


def _delivery(victim: Victim, one: Cancellation) -> Span:
    if victim.delivered is not None:
        after = offset(victim.delivered.time_ns - one.asked.time_ns)
        return Span(f"{after} t{victim.delivered.turn} {plain(victim.delivered.manner)}")
    if victim.discarded is not None:
        return Span(f"never: {plain(victim.discarded.reason)}", "yellow")
    return Span("not yet" if victim.completed else "", "yellow")


# --- who was refused, who lost -------------------------------------------------------------------


def _refused_lines(one: Cancellation, *, show_all: bool) -> list[Line]:
    if not one.refused:
        return []
    lines = [_row("refused", f"{len(one.refused):,} while the window was open")]
    shown = one.refused if show_all else one.refused[:HEAD_MAX]
    for refusal in shown:
        name = _name(refusal)
        code = clip(code_text(one.tables, refusal.code), 24)
        when = _at(refusal.asked.turn, refusal.asked.time_ns - one.asked.time_ns)
        rule = Span(plain(refusal.rule), "dim")
        lines.append(_columns(f"{name:<16}", f"{code:<25}", f"{when:>16}  ", rule))
        lines += [_columns(" " * 16, text) for text in _caller(refusal.asked)]
    if len(shown) < len(one.refused):
        rest = len(one.refused) - len(shown)
        lines.append(_columns(Span(f"... {rest:,} more (--all shows them)", "dim")))
    return lines


def _caller(asked: Asker) -> list[str]:
    by = "from outside" if asked.by is None else f"by {site(asked.by)}"
    inside = asked.inside
    if inside is None:
        return [by]
    return [by, f"in the script of r{inside.request}, delivered in t{inside.turn}"]


def _loser_lines(one: Cancellation, *, show_all: bool) -> list[Line]:
    if not one.losers:
        return []
    shown = one.losers if show_all else one.losers[:HEAD_MAX]
    lines = [_row("raced", f"{len(one.losers):,} that lost")]
    for loser in shown:
        code = code_text(one.tables, loser.code)
        margin = "" if loser.margin_ns is None else f" by {duration(loser.margin_ns)}"
        name = _name(loser)
        if loser.outcome == Loss.LATE_ANSWER:
            text = f"its answer {code} came after the cancel had won{margin}, ignored"
        else:
            outcome = outcome_text(loser.outcome, loser.other)
            text = f"cancel {outcome}{margin}: {code} stands"
        lines.append(_columns(f"{name:<16}", clip(text, 66), Span(f"  t{loser.turn}", "dim")))
        because = one.tables.because.get(loser.rule)
        if because:
            lines.append(_columns(" " * 16, because))
    if len(shown) < len(one.losers):
        rest = len(one.losers) - len(shown)
        lines.append(_columns(Span(f"... {rest:,} more (--all shows them)", "dim")))
    return lines


# --- the end -------------------------------------------------------------------------------------


def _end_lines(one: Cancellation) -> list[Line]:
    """Tell the order in which the cancel itself and blocked callers heard."""
    own = one.own
    steps: list[tuple[int, str]] = []
    if own is not None and own.delivered is not None:
        code = _ending_text(own.completed, one)
        steps.append((own.delivered.place, f"c{one.cancel} itself {_heard(own)} {code}"))
    elif own is None and one.ended is not None and one.ended.code is not None:
        code = code_text(one.tables, one.ended.code)
        steps.append((0, f"c{one.cancel} itself was answered in turn {one.ended.turn}: {code}"))
    for victim in one.victims:
        if not victim.asynchronous and victim.delivered is not None:
            code = _ending_text(victim.completed, one)
            text = f"blocked r{victim.request} {victim.operation} {_heard(victim)} {code}"
            steps.append((victim.delivered.place, text))
    lines = [text for _, text in sorted(steps)]
    return [
        _row("then" if index == 0 else "", clip(text, MARGIN - 16))
        for index, text in enumerate(lines)
    ]


def _heard(victim: Victim) -> str:
    delivered = victim.delivered
    if delivered is None:
        return "not yet delivered:"
    verb = {"raised": "raised", "returned": "returned"}.get(delivered.manner, "heard")
    return f"{verb} in turn {delivered.turn}:"


def _verdict_lines(one: Cancellation) -> list[Line]:
    if one.verdict is Verdict.HOLDS:
        laws = Span(" ".join(LAWS_OF_A_SEQUENCE), "dim")
        return [_row("verdict", verdict_span(one.verdict), "  ", laws)]
    lines = [
        _more(Span(f"{finding.law} ", "bold"), finding.text, Span(_turns(finding.turns), "dim"))
        for finding in one.findings[:HEAD_MAX]
    ]
    return [_row("verdict", verdict_span(one.verdict)), *lines]


def _turns(turns: tuple[int, ...]) -> str:
    return f"  ({', '.join(f't{number}' for number in turns)})" if turns else ""


class Tally:
    """Counts what was shown, for the last line; nothing is kept of a cancellation."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.cancels = 0
        self._victims = 0
        self._refused = 0
        self._verdicts: Counter[Verdict] = Counter()

    def take(self, one: Cancellation) -> None:
        """Count one."""
        self.cancels += 1
        self._victims += len(one.victims)
        self._refused += len(one.refused)
        self._verdicts[one.verdict] += 1

    @property
    def is_bad(self) -> bool:
        """Whether a law is broken in one of them."""
        return bool(self._verdicts[Verdict.BROKEN])

    def line(self) -> Line:
        """Return the last line: all of them in numbers."""
        if not self.cancels:
            return line("no cancellation fits")
        cancels, victims = count(self.cancels, "cancellation"), count(self._victims, "victim")
        parts: list[str | Span] = [f"{cancels}, {victims}, {self._refused:,} refused: "]
        for verdict in Verdict:
            if self._verdicts[verdict]:
                parts += [f"{self._verdicts[verdict]:,} ", verdict_span(verdict), "  "]
        return line(*parts)


def last_sequences(log: AnyLog, shown_max: int) -> str:
    """Return what `rescind sequences` shows of the last cancellations of a log, as text."""
    archive = archive_of(log)
    hidden = len(archive.cancel_numbers) - shown_max
    tally = Tally()
    lines: list[Line] = []
    if hidden > 0:
        whole = count(hidden + shown_max, "cancellation")
        lines += [line(f"the last {shown_max:,} of {whole}"), line()]
    for place, one in enumerate(sequences(archive)):
        tally.take(one)
        if place >= hidden:
            lines += [*sequence_lines(one, archive.clock), line()]
    return as_text([*lines, tally.line()])


# --- JSON ----------------------------------------------------------------------------------------


def sequence_json(one: Cancellation) -> dict[str, Any]:
    """Return one cancellation as JSON; times are nanoseconds as in the log."""
    return {
        "selector": f"c{one.cancel}",
        "cancel": one.cancel,
        "trigger": one.trigger,
        "endpoint": one.endpoint,
        "scope": one.scope,
        "reason": one.reason or None,
        "driver": one.driver,
        "dialect": one.tables.name,
        "asked": _asked_json(one.asked),
        "log": one.log or None,
        "parent": one.parent or None,
        "parent_log": one.parent_log or None,
        "window": {
            "began": _moment_json(one.began),
            "ended": _moment_json(one.ended),
            "code": one.ended.code if one.ended else None,
        },
        "killed": _moment_json(one.killed),
        "victims": [_victim_json(victim, one) for victim in one.victims],
        "refused": [
            {
                "request": refusal.request,
                "operation": refusal.operation,
                "code": refusal.code,
                "code_name": one.tables.code_name(refusal.code),
                "rule": refusal.rule,
                "asked": _asked_json(refusal.asked),
            }
            for refusal in one.refused
        ],
        "losers": [
            {
                "request": loser.request,
                "operation": loser.operation,
                "outcome": str(loser.outcome),
                "code": loser.code,
                "turn": loser.turn,
                "margin_ns": loser.margin_ns,
                "other": loser.other or None,
                "rule": loser.rule or None,
            }
            for loser in one.losers
        ],
        "own": None if one.own is None else _victim_json(one.own, one),
        "quiescence_ns": one.quiescence_ns,
        "verdict": one.verdict.value,
        "findings": [
            {"law": f.law, "verdict": f.verdict.value, "turns": list(f.turns), "text": f.text}
            for f in one.findings
        ],
    }


def context_json(context: Context | None) -> dict[str, int] | None:
    """Return the callback around a call as JSON."""
    return None if context is None else {"turn": context.turn, "request": context.request}


def _asked_json(asked: Asker) -> dict[str, Any]:
    return {
        "turn": asked.turn or None,
        "time_ns": asked.time_ns if asked.turn else None,
        "by": by_json(asked.by),
        "inside": context_json(asked.inside),
        "timed_out": asked.request or None,
        "handler": asked.handler or None,
        "unanswered": asked.unanswered or None,
    }


def _moment_json(moment: Any) -> dict[str, int] | None:
    return None if moment is None else {"turn": moment.turn, "time_ns": moment.time_ns}


def _victim_json(victim: Victim, one: Cancellation) -> dict[str, Any]:
    done, delivered, discarded = victim.completed, victim.delivered, victim.discarded
    return {
        "request": victim.request,
        "operation": victim.operation,
        "asynchronous": victim.asynchronous,
        "age_ns": victim.age_ns,
        "won": victim.won,
        "outcome": victim.outcome or None,
        "code": done.code if done else None,
        "code_name": one.tables.code_name(done.code) if done and done.code is not None else None,
        "how": how_text(done.how) if done else None,
        "completed": _moment_json(done),
        "delivered": _moment_json(delivered),
        "manner": delivered.manner if delivered else None,
        "discarded": None
        if discarded is None
        else {"turn": discarded.turn, "reason": discarded.reason, "by": discarded.by},
    }


def how_text(how: int) -> str:
    """Return how a request completed, as a word; a number of a later version stays one."""
    known: Iterable[int] = How
    return How(how).name.lower().replace("_", " ") if how in set(known) else str(how)
