"""`rescind info`: what is in this log, at a glance."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rescind.events import Damage, How, Keyframe, LogInfo, LogReader

from ._check import damage_json
from ._dialects import end_text, state_text
from ._fold import fold
from ._lives import Endpoint, Refused
from ._model import Ledger
from ._sequences import tables_of
from ._text import MARGIN, Clock, Line, Span, clip, count, duration, line, turns_text

CODES_MAX = 12
ENDPOINTS_MAX = 10
DAMAGE_MAX = 10
LABEL = 14
"""Columns that a row's label takes."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A log from outside (segments, chain, damage) and from inside (its ledger).

    Attributes:
        log: What the files say.
        ledger: What the turns say.
        codes: How many requests ended with each code text; rejections are counted too.
        classes: Actor class names with the number of actors born of each.
        keyframe: The newest complete keyframe; None when there is none.
    """

    log: LogInfo
    ledger: Ledger
    codes: tuple[tuple[str, int], ...]
    classes: tuple[tuple[str, int], ...]
    keyframe: Keyframe | None = None


def info(reader: LogReader) -> Overview:
    """Look at a whole log."""
    ledger = fold(reader)
    classes: Counter[str] = Counter()
    for epoch, number in ledger.classes.values():
        classes[reader.class_name(epoch, number) or f"class {number}"] += 1
    # Only who decodes turns meets those that cannot be decoded.
    damage = reader.damage
    outside = replace(reader.info(), damage=tuple(damage))
    reader.damage = damage
    return Overview(outside, ledger, _codes(ledger), _sorted(classes), reader.keyframe())


def _codes(ledger: Ledger) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for request in ledger.requests.values():
        end = request.rejected or request.completed
        if end is not None:
            how = How.RESULT if isinstance(end, Refused) else end.how
            found[end_text(tables_of(request.endpoint, ledger), end.code, how)] += 1
    return _sorted(found)


def _sorted(counter: "Counter[str]") -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


# --- screen --------------------------------------------------------------------------------------


def info_lines(overview: Overview, name: str) -> list[Line]:
    """Return the screen of `rescind info`."""
    log, ledger = overview.log, overview.ledger
    return [
        line(Span(name, "bold")),
        row("log", f"{log.log_id.hex()}, format {log.format}"),
        row("condition", _verdict(log)),
        *_span_lines(log),
        row("files", _files(log)),
        *_keyframe_lines(overview.keyframe),
        row("chain head", log.chain.hex()),
        *_endpoint_lines(ledger),
        *_class_lines(overview),
        row("requests", _requests(ledger)),
        *_code_lines(overview),
        row("cancels", _cancels(ledger)),
        *_damage_lines(log.damage),
    ]


def row(label: str, *parts: str | Span) -> Line:
    """Return a line of an overview: a label in a column of its own, and what is said of it."""
    return line(Span(f"  {label:<{LABEL - 2}}", "dim"), *parts)


def _verdict(log: LogInfo) -> Span:
    return Span(log.verdict, "green" if log.whole else "bold red")


def _span_lines(log: LogInfo) -> list[Line]:
    if log.first is None or log.first_time_ns is None or log.last_time_ns is None:
        return [row("turns", "none")]
    clock = Clock(log.first_time_ns)
    span = duration(log.last_time_ns - log.first_time_ns)
    epochs = count(len(log.epochs), "epoch")
    return [
        row("turns", f"{log.records:,} ({log.first}..{log.last}) in {epochs}"),
        row("from", f"{clock.date(log.first_time_ns)}, {span} long"),
        row("to", clock.date(log.last_time_ns)),
    ]


def _files(log: LogInfo) -> str:
    size = sum(segment.bytes for segment in log.segments)
    segments, batches = count(len(log.segments), "segment"), f"{log.batches:,}"
    sealed = sum(segment.sealed for segment in log.segments)
    plural = "batch" if log.batches == 1 else "batches"
    return f"{segments} ({sealed:,} sealed), {batches} {plural}, {size:,} bytes"


def _keyframe_lines(keyframe: Keyframe | None) -> list[Line]:
    if keyframe is None:
        return []
    return [row("keyframe", f"the state behind turn {keyframe.number}")]


def _endpoint_lines(ledger: Ledger) -> list[Line]:
    endpoints = [endpoint for endpoint in ledger.endpoints.values() if endpoint.number]
    lines = [
        row("endpoints" if index == 0 else "", _endpoint(endpoint, ledger))
        for index, endpoint in enumerate(endpoints[:ENDPOINTS_MAX])
    ]
    if len(endpoints) > ENDPOINTS_MAX:
        lines.append(row("", f"and {len(endpoints) - ENDPOINTS_MAX:,} more"))
    return lines


def _endpoint(endpoint: Endpoint, ledger: Ledger) -> str:
    what = " ".join(filter(None, (endpoint.dialect, endpoint.profile)))
    if endpoint.closed is not None:
        stands = f"closed: {endpoint.reason}"
    else:
        state = state_text(tables_of(endpoint.number, ledger), endpoint.state)
        stands = f"state {state}, {count(len(endpoint.pending), 'request')} not at rest"
    driver = f" ({endpoint.driver})" if endpoint.driver else ""
    return clip(f"a{endpoint.number} {what}{driver}, {stands}", 84)


def _class_lines(overview: Overview) -> list[Line]:
    shown = [f"{number:,} {name}" for name, number in overview.classes[:CODES_MAX]]
    return [row("actors", clip(", ".join(shown), 84))] if shown else []


def _requests(ledger: Ledger) -> str:
    everyone = ledger.requests.values()
    rejected = sum(request.rejected is not None for request in everyone)
    pending = sum(request.is_outstanding for request in everyone)
    return f"{len(everyone):,}, {rejected:,} refused, {pending:,} outstanding where the log ends"


def _code_lines(overview: Overview) -> list[Line]:
    return [
        row("ended as" if index == 0 else "", f"{number:>8,}  {text}")
        for index, (text, number) in enumerate(overview.codes[:CODES_MAX])
    ]


def _cancels(ledger: Ledger) -> str:
    windows = sum(cancel.is_open for cancel in ledger.cancels.values())
    victims = sum(len(cancel.victims) for cancel in ledger.cancels.values())
    still = f", {windows:,} with an open window" if windows else ""
    return f"{len(ledger.cancels):,} with {count(victims, 'victim')}{still}"


def _damage_lines(damage: Sequence[Damage]) -> list[Line]:
    lines: list[Line] = []
    for each in damage[:DAMAGE_MAX]:
        lines += damage_lines(each)
    if len(damage) > DAMAGE_MAX:
        rest = len(damage) - DAMAGE_MAX
        lines.append(row("", f"and {rest:,} more; `rescind check --json` has them all"))
    return lines


def damage_lines(damage: Damage) -> list[Line]:
    """Return what is known of one place that is not whole: row, place, turns, and what it means."""
    if not damage.is_rot and not damage.torn:
        return [row("lost", f"{_turns_text(damage)}, before this log was recovered")]
    label, style = ("unfinished", "dim") if damage.torn else ("damage", "red")
    lost = "" if damage.first is None else f": {_turns_text(damage)} lost"
    says = row("", Span(clip(damage.text, MARGIN - LABEL), "dim"))
    return [row(label, Span(damage.row, style), f"  {place_text(damage)}{lost}"), says]


def place_text(damage: Damage) -> str:
    """Return where a damage is, in bytes."""
    where = f"segment {damage.segment} at byte {damage.offset:,}"
    return f"{where}, {count(damage.length, 'byte')}" if damage.length else where


def _turns_text(damage: Damage) -> str:
    if damage.first is None or damage.last is None:
        return f"turn {damage.first} and perhaps more"
    return turns_text(damage.first, damage.last)


# --- JSON ----------------------------------------------------------------------------------------


def info_json(overview: Overview) -> dict[str, Any]:
    """Return the document of `rescind info --json`, without its schema."""
    log, ledger = overview.log, overview.ledger
    return {
        "log_id": log.log_id.hex(),
        "format": log.format,
        "whole": log.whole,
        "verdict": log.verdict,
        "turns": log.records,
        "first": log.first,
        "last": log.last,
        "first_time_ns": log.first_time_ns,
        "last_time_ns": log.last_time_ns,
        "epochs": list(log.epochs),
        "batches": log.batches,
        "chain_head": log.chain.hex(),
        "keyframe": overview.keyframe.number if overview.keyframe else None,
        "segments": [
            {
                "segment": segment.number,
                "epoch": segment.epoch,
                "bytes": segment.bytes,
                "batches": segment.batches,
                "first": segment.first,
                "last": segment.last,
                "sealed": segment.sealed,
            }
            for segment in log.segments
        ],
        "damage": [damage_json(damage) for damage in log.damage],
        "endpoints": [_endpoint_json(e, ledger) for e in ledger.endpoints.values() if e.number],
        "classes": dict(overview.classes),
        "requests": {
            "all": len(ledger.requests),
            "refused": sum(r.rejected is not None for r in ledger.requests.values()),
            "outstanding": sum(r.is_outstanding for r in ledger.requests.values()),
            "ended": dict(overview.codes),
        },
        "cancels": len(ledger.cancels),
    }


def _endpoint_json(endpoint: Endpoint, ledger: Ledger) -> dict[str, Any]:
    return {
        "endpoint": endpoint.number,
        "dialect": endpoint.dialect,
        "profile": endpoint.profile,
        "driver": endpoint.driver,
        "state": endpoint.state,
        "state_name": state_text(tables_of(endpoint.number, ledger), endpoint.state),
        "closed": None if endpoint.closed is None else endpoint.reason,
        "pending": len(endpoint.pending),
    }
