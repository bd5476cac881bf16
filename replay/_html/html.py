"""`rescind export --to html`: a recording as one page, to be read anywhere without this program.

The page works from disk and asks no network: its script and style stand in it, and its policy
admits them alone, by their hashes.  What comes from the log stands in it as JSON that no parser
takes for markup, made plain as for a terminal; the page's script puts it on the screen as text.
"""

import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from pkgutil import get_data
from typing import Any

from rescind.events import Damage, LogReader, Lookup, Turn
from rescind.replay._archive.archive import Archive
from rescind.replay._archive.select import SelectorError, Target, TargetKind, resolve
from rescind.replay._chart.of import draw_chart
from rescind.replay._chart.svg import chart_svg
from rescind.replay._ledger.fold import new_ledger
from rescind.replay._ledger.lives import CancelLife
from rescind.replay._ledger.sound import sound
from rescind.replay._sequences.screen import sequence_json
from rescind.replay._sequences.sequences import CancelSequence as Cancellation
from rescind.replay._sequences.sequences import sequence_of
from rescind.replay._state.state import History
from rescind.replay._words.text import Clock, Line, Span, count, line
from rescind.replay._world.timeline import Timeline
from rescind.replay._world.world import World

from .before import standings_in
from .own import OwnFields
from .rows import Rows, encode, fit

TURNS_MAX = 50_000
"""A page holds at most so many turns."""
ROWS_CHARS_MAX = 32_000_000
"""And their JSON at most so many characters."""
SEQUENCES_MAX = 500
MEMBERS_MAX = 60
"""Victims, refused and losers of one cancellation that its card lists; it counts all."""
CHARTS_MAX = 60
CHART_CHARS_MAX = 400_000
CHARTS_CHARS_MAX = 8_000_000
CAUSES_MAX = 200
"""So far back the causes of a story are followed, to what came from outside."""
DAMAGE_MAX = 20
AROUND = 200
"""So many turns before and behind what was selected stand in the page with it."""

_SCRIPTS = ("data.js", "parts.js", "list.js", "panels.js", "main.js")


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A page, and what it holds of its log.

    Attributes:
        parts: The page's text, in pieces.
        first: The first turn that it holds; 0 when the log has none.
        last: The last one.
        turns: How many it holds.
        log_first: The log's first turn.
        log_last: The log's last one.
        sequences: How many cancellations it shows.
        charts: How many of them with a chart.
        notes: What it leaves out, a sentence each.
        damage: What was met in the log that is not whole.
    """

    parts: tuple[str, ...]
    first: int
    last: int
    turns: int
    log_first: int
    log_last: int
    sequences: int
    charts: int
    notes: tuple[str, ...]
    damage: tuple[Damage, ...] = ()

    @property
    def size(self) -> int:
        """Return the page's length in bytes."""
        return sum(len(part.encode()) for part in self.parts)

    def write(self, target: Path) -> None:
        """Write the page to a file.

        Raises:
            OSError: The operating system refuses.
        """
        with target.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(self.parts)


def html_of(  # noqa: PLR0913  # each is chosen by its name
    log: Iterable[Turn],
    *,
    of: str | None = None,
    first: int | None = None,
    last: int | None = None,
    name: str = "",
    history: History | None = None,
    progress: Callable[[int], None] | None = None,
) -> HtmlPage:
    """Make a page of a log; by default of its newest `TURNS_MAX` turns.

    Memory is bounded by the page and not by the log.

    Args:
        log: A reader, or turns in their order, of which a list is made.
        of: A selector: the turns from where its story begins to where it ends, and some around.
        first: Not before this turn.
        last: Not after this turn.
        name: What the page calls the log.
        history: What knows the states of the application's classes; see ``_state_classes``.
        progress: Told how many turns were taken, after each and after each cancellation.

    Raises:
        SelectorError: The selector means nothing in this log, or no turn is left.
        LogDamagedError: A turn is well framed and its fields make no sense.
    """
    log = log if isinstance(log, LogReader) else list(log)
    archive = Archive(log)
    lookup = archive.lookup
    scope = _scope(archive, of, first, last)
    ledger = new_ledger(log)
    rows = Rows(ledger, ROWS_CHARS_MAX)
    world = _world_before(log, scope.first, lookup)
    own = None if history is None else OwnFields(history, world.copy(), scope.last)
    rows.begin(standings_in(world, ledger), own.initial() if own else {})
    tell = progress or _unheard
    for turn in sound(lookup.turns(scope.first, scope.last)):
        ledger.feed(turn)
        rows.take(turn, own.take(turn) if own else [])
        tell(len(rows))
    cancels = [one.number for one in ledger.cancels.values() if _concerns(one, rows)]
    # Cut one by one: a cancellation may have a hundred thousand victims.
    cards: list[dict[str, Any]] = []
    for number in cancels[-SEQUENCES_MAX:]:
        cards.append(_card(sequence_of(number, archive)))
        tell(len(rows))
    charts = _charts(archive, cards, scope)
    notes = _notes(rows, scope, len(cancels) - len(cards)) + (own.notes if own else [])
    begin_ns = ledger.first.time_ns if ledger.first else 0
    document = fit(
        {
            "schema": "rescind.html",
            "version": 0,
            "log": name,
            "log_id": lookup.log_id.hex(),
            "log_first": lookup.first,
            "log_last": lookup.last,
            "begins": Clock(begin_ns).date(begin_ns) if rows else "",
            "notes": notes,
            "damage": [_damage_text(one) for one in lookup.damage[:DAMAGE_MAX]],
            "focus": scope.focus(cards),
            "sequences": cards,
            "charts": sorted(charts),
            **rows.pools(),
        }
    )
    return HtmlPage(
        parts=tuple(_assembled(document, rows.rows(), charts)),
        first=rows.first, last=rows.last, turns=len(rows),
        log_first=lookup.first, log_last=lookup.last,
        sequences=len(cards), charts=len(charts), notes=tuple(notes), damage=tuple(lookup.damage),
    )  # fmt: skip


def _unheard(turns: int) -> None:
    del turns


def _world_before(log: Iterable[Turn], first: int, lookup: Lookup) -> World:
    """Return what lived behind the last turn before a page's first one."""
    if first > lookup.first:
        with suppress(SelectorError):  # that turn is missing: then nothing is known
            return Timeline(log).at(first - 1)
    return World()


# --- what of the log -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which turns a page is to hold, and what it is to show first."""

    first: int
    last: int
    target: Target | None
    is_cut: bool

    def focus(self, cards: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the turn to open at, and what the page is about: filter, cancellation, chart."""
        target = self.target
        if target is None:
            asked = cards[-1]["asked"]["turn"] if cards else None
            return {"turn": asked or self.first, "about": "", "cancel": 0}
        if target.kind is TargetKind.TURN:
            return {"turn": target.number, "about": "", "cancel": 0, "chart": str(target)}
        asked = [one["asked"]["turn"] for one in cards if one["cancel"] == target.number]
        cancel = target.number if asked else 0
        return {
            "turn": asked[0] if asked else None,
            "about": str(target),
            "cancel": cancel,
            "chart": str(target),
        }


def _scope(archive: Archive, of: str | None, first: int | None, last: int | None) -> _Scope:
    """Return which turns are wanted: what was asked for, and of that the newest."""
    lookup = archive.lookup
    target = None if of is None else resolve(of, archive)
    low, high = (lookup.first, lookup.last) if target is None else _story(target, archive)
    low = max(low, lookup.first) if first is None else first
    high = min(high, lookup.last) if last is None else last
    if low > high and lookup.last:
        text = f"no turn lies in {low}..{high}; the log holds {lookup.first}..{lookup.last}"
        raise SelectorError(f"{low}..{high}", text)
    # Who says from where on wants what comes then; everybody else wants what came last.
    room = TURNS_MAX - 1
    if first is not None and last is None:
        return _Scope(low, min(high, low + room), target, is_cut=high > low + room)
    return _Scope(max(low, high - room), high, target, is_cut=low < high - room)


def _story(target: Target, archive: Archive) -> tuple[int, int]:
    """Return the turns between which something has its story, and some around."""
    number, lookup = target.number, archive.lookup
    if target.kind is TargetKind.TURN:
        begin, end = number, number
    else:
        cancel = archive.cancels.get(number) if target.kind is TargetKind.CANCEL else None
        victims = cancel.victims[:MEMBERS_MAX] if cancel else ()
        begin = min(_born(each, lookup) for each in (number, *victims))
        end = _last_about(number, lookup)
    for _ in range(CAUSES_MAX):
        cause = archive.cause_of(begin)
        if not 0 < cause < begin:
            break
        begin = cause
    return begin - AROUND, end + AROUND


def _born(number: int, lookup: Lookup) -> int:
    """Return the first turn about a number; the log's last where there is none."""
    return next((turn.number for turn in lookup.about(number)), lookup.last)


def _last_about(number: int, lookup: Lookup) -> int:
    """Return the last turn about a number, without reading what lies far before it."""
    high = lookup.last
    while high >= lookup.first:
        low = high - TURNS_MAX
        found = deque(lookup.about(number, max(low, lookup.first), high), maxlen=1)
        if found:
            return found[0].number
        high = low - 1
    return lookup.last


def _notes(rows: Rows, scope: _Scope, cancels_hidden: int) -> list[str]:
    """Say what a page leaves out, and how to get it."""
    notes: list[str] = []
    if scope.is_cut or rows.dropped:
        size = f"{TURNS_MAX:,} turns, or {ROWS_CHARS_MAX // 10**6} MB of them"
        notes.append(
            f"This is a part: a page holds {size}; --since, --until and --of choose others."
        )
    if cancels_hidden:
        oldest = count(cancels_hidden, "cancellation")
        notes.append(f"Without a card: the oldest {oldest} of these turns.")
    return notes


def _damage_text(damage: Damage) -> str:
    """Return what a page says of a place where the log is not whole."""
    return f"{'Unfinished' if damage.torn else 'Damaged'}: {damage.text}."


# --- cancellations -------------------------------------------------------------------------------


def _concerns(cancel: CancelLife, rows: Rows) -> bool:
    """Whether a cancel had not ended before the first turn that is held."""
    return cancel.ended is None or cancel.ended.turn >= rows.first


def _card(one: Cancellation) -> dict[str, Any]:
    """Return a cancellation as `rescind sequences --json` has it, its lists cut and counted."""
    cut = replace(
        one,
        victims=one.victims[:MEMBERS_MAX],
        refused=one.refused[:MEMBERS_MAX],
        losers=one.losers[:MEMBERS_MAX],
        findings=one.findings[:MEMBERS_MAX],
    )
    return {
        **sequence_json(cut),
        "label": one.endpoint_label,
        "counts": [len(one.victims), len(one.refused), len(one.losers)],
    }


def _charts(archive: Archive, cards: Sequence[dict[str, Any]], scope: _Scope) -> dict[str, str]:
    """Return charts as SVG by their selectors: the newest, of bounded number and length."""
    charts: dict[str, str] = {}
    room = CHARTS_CHARS_MAX
    wanted = [Target(TargetKind.CANCEL, one["cancel"]) for one in reversed(cards)][:CHARTS_MAX]
    if scope.target is not None and scope.target not in wanted:
        wanted.insert(0, scope.target)
    for target in wanted:
        svg = chart_svg(draw_chart(archive, target, first=None, last=None, unfold=False))
        if len(svg) <= min(CHART_CHARS_MAX, room):
            charts[str(target)] = svg
            room -= len(svg)
    return charts


# --- the page ------------------------------------------------------------------------------------


def _assembled(document: Any, rows: Iterable[str], charts: dict[str, str]) -> Iterator[str]:
    """Yield the page in pieces."""
    script = "\n".join(["'use strict';", *map(_asset, _SCRIPTS)])
    style = _asset("page.css")
    head, _, foot = _asset("page.html").partition("<!-- recording -->")
    styles = [style, *_styles_in(charts.values())]
    for mark, text in (
        ("/* style */", style),
        ("policy-of-scripts", _hashed(script)),
        ("policy-of-styles", " ".join(map(_hashed, styles))),
    ):
        head = head.replace(mark, text)
    yield head
    yield f'<script type="application/json" id="recording">{encode(document)}</script>\n'
    yield '<script type="application/json" id="turns">['
    separator = "\n"
    for row in rows:
        yield separator + row
        separator = ",\n"
    yield "]</script>\n"
    for selector, svg in charts.items():
        yield f'<script type="application/json" id="chart-{selector}">{encode(svg)}</script>\n'
    yield foot.replace("/* script */", script)


def _asset(name: str) -> str:
    text = get_data("rescind.replay", f"_html/page/{name}")
    assert text is not None, "the package was installed without its page"
    return text.decode()


def _hashed(text: str) -> str:
    """Return how a content security policy names an element by its text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _styles_in(charts: Iterable[str]) -> list[str]:
    """Return the styles that charts bring; charts are ours and nearly all bring the same."""
    return sorted({found for svg in charts for found in _STYLE.findall(svg)})


_STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)


# --- terminal and JSON ---------------------------------------------------------------------------


def html_lines(page: HtmlPage, target: str) -> list[Line]:
    """Return what to say on a terminal about a page that was written."""
    whole = (page.first, page.last) == (page.log_first, page.log_last)
    of = "the whole log" if whole else f"of {page.log_first:,}..{page.log_last:,}"
    held = f"turns {page.first:,}..{page.last:,}, {of}"
    cancels = f"{count(page.sequences, 'cancellation')}, {count(page.charts, 'chart')}"
    return [
        line(Span(target, "bold"), f"  {page.size / 1e6:.1f} MB"),
        line(f"  {held}; {cancels}"),
        *(line(f"  {note}") for note in page.notes),
    ]


def html_json(page: HtmlPage) -> dict[str, Any]:
    """Return the same as JSON."""
    return {
        "first": page.first,
        "last": page.last,
        "turns": page.turns,
        "log_first": page.log_first,
        "log_last": page.log_last,
        "sequences": page.sequences,
        "charts": page.charts,
        "notes": list(page.notes),
    }
