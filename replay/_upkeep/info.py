"""`rescind info`: what is in this log, at a glance."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rescind.events import Damage, Keyframe, LogInfo, LogReader
from rescind.replay._laws.check import damage_json
from rescind.replay._ledger.dialects import state_text, tables
from rescind.replay._ledger.lives import EndpointLife
from rescind.replay._words.text import (
    MARGIN,
    Clock,
    Line,
    Span,
    clip,
    count,
    duration,
    line,
    turns_text,
)

from .census import Census, census_of

CODES_MAX = 12
ENDPOINTS_MAX = 10
DAMAGE_MAX = 10
LABEL = 14
"""Columns that a row's label takes."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A log from outside (segments, chain, damage) and from inside (what its turns tell, counted).

    Attributes:
        log: What the files say.
        census: What the turns say.
        codes: How many requests ended with each code text; rejections are counted too.
        classes: Actor class names with the number of actors born of each.
        keyframe: The newest complete keyframe; None when there is none.
    """

    log: LogInfo
    census: Census
    codes: tuple[tuple[str, int], ...]
    classes: tuple[tuple[str, int], ...]
    keyframe: Keyframe | None = None


def info(reader: LogReader, *, progress: Callable[[int], None] | None = None) -> Overview:
    """Look at a whole log.

    The memory that this takes grows with what is open at once, and not with a log on disk.

    Args:
        reader: The log.
        progress: Told every few thousand turns how many were read.
    """
    census = census_of(reader, progress)
    classes: Counter[str] = Counter()
    for (epoch, cls), number in census.classes.items():
        classes[reader.class_name(epoch, cls) or f"class {cls}"] += number
    # Only who decodes turns meets those that cannot be decoded.
    damage = reader.damage
    outside = replace(reader.info(), damage=tuple(damage))
    reader.damage = damage
    return Overview(outside, census, _sorted(census.codes), _sorted(classes), reader.keyframe())


def _sorted(counter: "Counter[str]") -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


# --- screen --------------------------------------------------------------------------------------


def info_lines(overview: Overview, name: str) -> list[Line]:
    """Return the screen of `rescind info`."""
    log, census = overview.log, overview.census
    return [
        line(Span(name, "bold")),
        row("log", f"{log.log_id.hex()}, format {log.format}"),
        row("condition", _verdict(log)),
        *_span_lines(log),
        row("files", _files(log)),
        *_keyframe_lines(overview.keyframe),
        row("chain head", log.chain.hex()),
        *_endpoint_lines(census),
        *_class_lines(overview),
        row("requests", _requests(census)),
        *_code_lines(overview),
        row("cancels", _cancels(census)),
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


def _endpoint_lines(census: Census) -> list[Line]:
    lines = [
        row("endpoints" if index == 0 else "", _endpoint(endpoint))
        for index, endpoint in enumerate(census.endpoints[:ENDPOINTS_MAX])
    ]
    more = len(census.endpoints) - len(lines) + census.endpoints_left_out
    if more:
        lines.append(row("", f"and {more:,} more"))
    return lines


def _endpoint(endpoint: EndpointLife) -> str:
    what = " ".join(filter(None, (endpoint.dialect, endpoint.profile)))
    if endpoint.closed is not None:
        stands = f"closed: {endpoint.reason}"
    else:
        stands = f"state {_state(endpoint)}, {count(len(endpoint.pending), 'request')} not at rest"
    driver = f" ({endpoint.driver})" if endpoint.driver else ""
    return clip(f"a{endpoint.number} {what}{driver}, {stands}", 84)


def _state(endpoint: EndpointLife) -> str:
    return state_text(tables(endpoint.dialect, endpoint.profile), endpoint.state)


def _class_lines(overview: Overview) -> list[Line]:
    shown = [f"{number:,} {name}" for name, number in overview.classes[:CODES_MAX]]
    return [row("actors", clip(", ".join(shown), 84))] if shown else []


def _requests(census: Census) -> str:
    refused, pending = f"{census.rejected:,} refused", f"{census.outstanding:,} outstanding"
    return f"{census.requests:,}, {refused}, {pending} where the log ends"


def _code_lines(overview: Overview) -> list[Line]:
    return [
        row("ended as" if index == 0 else "", f"{number:>8,}  {text}")
        for index, (text, number) in enumerate(overview.codes[:CODES_MAX])
    ]


def _cancels(census: Census) -> str:
    still = f", {census.windows:,} with an open window" if census.windows else ""
    return f"{census.cancels:,} with {count(census.victims, 'victim')}{still}"


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
    log, census = overview.log, overview.census
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
        "endpoints": [_endpoint_json(each) for each in census.endpoints],
        "classes": dict(overview.classes),
        "requests": {
            "all": census.requests,
            "refused": census.rejected,
            "outstanding": census.outstanding,
            "ended": dict(overview.codes),
        },
        "cancels": census.cancels,
    }


def _endpoint_json(endpoint: EndpointLife) -> dict[str, Any]:
    return {
        "endpoint": endpoint.number,
        "dialect": endpoint.dialect,
        "profile": endpoint.profile,
        "driver": endpoint.driver,
        "state": endpoint.state,
        "state_name": _state(endpoint),
        "closed": None if endpoint.closed is None else endpoint.reason,
        "pending": len(endpoint.pending),
    }
