"""`rescind turns`: the turns of a log, filtered, each in one or two lines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

from rescind.events import By, Origin, Turn, Unknown
from rescind.events._mentions import Mentions, Roles, roles_of
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.sound import sound

from .describe import event_text, message_text
from .names import Named
from .text import MARGIN, Clock, Line, Span, by_json, clip, jsonable, line, place, plain

EVENTS_MAX = 4
"""Events of one turn that are shown in words; further ones are counted."""


@dataclass(frozen=True, slots=True)
class TurnFilter:
    """Which turns are wanted; None wants all.

    Attributes:
        actor: Turns that this actor took.
        about: Turns that this number took, or that say something of it.
        origin: ``actor``, ``app``, ``io``, ``timer`` or ``recovery``.
        kind: The name of the message or of an event, in any case.
        first: The lowest turn number.
        last: The highest one.
        since_ns: Taken at this moment or later.
        until_ns: Up to the first turn that is later than this moment.
    """

    actor: int | None = None
    about: int | None = None
    origin: str | None = None
    kind: str | None = None
    first: int = 1
    last: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def wants(self, turn: Turn) -> bool:
        """Return whether a turn passes."""
        return (
            turn.number >= self.first
            and (self.since_ns is None or turn.time_ns >= self.since_ns)
            and (self.actor is None or turn.actor == self.actor)
            and (self.origin is None or origin_text(turn.origin) == self.origin)
            and (self.kind is None or self.kind.lower() in kinds_of(turn))
            and (self.about is None or concerns(turn, self.about))
        )

    def ends_before(self, turn: Turn) -> bool:
        """Return whether neither a turn nor what follows it is wanted."""
        is_past = self.last is not None and turn.number > self.last
        return is_past or (self.until_ns is not None and turn.time_ns > self.until_ns)


def turns(log: Iterable[Turn], wanted: TurnFilter, *, limit: int | None = None) -> Iterator[Turn]:
    """Yield the turns that pass a filter, without reading further than needed."""
    return islice(_passing(log, wanted), limit)


def _passing(log: Iterable[Turn], wanted: TurnFilter) -> Iterator[Turn]:
    for turn in sound(log):
        if wanted.ends_before(turn):
            return
        if wanted.wants(turn):
            yield turn


def kinds_of(turn: Turn) -> set[str]:
    """Return the names of a turn's message and events, in lower case."""
    return {kind_name(kind).lower() for kind in (turn.message, *turn.events) if kind is not None}


def kind_name(kind: Any) -> str:
    """Return a kind's name in the log."""
    return kind.name if isinstance(kind, Unknown) else type(kind).__name__


def origin_text(origin: int) -> str:
    """Return who brought a message, as a word; a number of a later version stays one."""
    try:
        return Origin(origin).name.lower()
    except ValueError:
        return str(origin)


def concerns(turn: Turn, number: int) -> bool:
    """Return whether a turn is of an actor, request or cancel, or says something of it.

    By the same rule as a log's index, so that both find the same turns.
    """
    return turn.actor == number or mentions_of(turn).hold(number)


def mentions_of(turn: Turn) -> Mentions:
    """Return what a turn's message and events mention; who took it is not among them."""
    found = Mentions()
    for kind in (turn.message, *turn.events):
        if kind is not None:
            names, values = fields_of(kind)
            roles = _roles_of(kind_name(kind), tuple(names))
            found.take({0: roles}.get, [(0, *values)])
    return found


@lru_cache(maxsize=1024)
def _roles_of(name: str, fields: tuple[str, ...]) -> Roles:
    return roles_of(name, fields)


def fields_of(kind: Any) -> tuple[Iterable[str], Iterable[Any]]:
    """Return a kind's field names and values; there may be more of one than of the other."""
    return (kind.fields, kind.values) if isinstance(kind, Unknown) else (kind._fields, kind)


# --- screen and JSON -----------------------------------------------------------------------------


def turns_head(clock: Clock) -> Line:
    """Return the line above the turns."""
    when = "time" if clock.is_virtual else "time (UTC)"
    return line(
        Span(f"{'turn':>7}  {when:<13} {'actor':<18} {'origin':<8} {'cause':<7} message", "dim")
    )


def turn_lines(turn: Turn, ledger: Ledger, clock: Clock) -> list[Line]:
    """Return one turn; the ledger has taken it already."""
    cause = _cause(turn)
    lines = [
        line(
            Span(f"{turn.number:>7}  ", "cyan"), f"{clock.moment(turn.time_ns):<13} ",
            f"{clip(ledger.label(turn.actor), 18):<18} ", f"{origin_text(turn.origin):<8} ",
            Span(f"{cause:<7} ", "dim"), Span(clip(message_text(turn.message, ledger), 40), "bold"),
        )
    ]  # fmt: skip
    said = [event_text(event, ledger) for event in turn.events[:EVENTS_MAX]]
    if len(turn.events) > EVENTS_MAX:
        said.append(f"and {len(turn.events) - EVENTS_MAX:,} more events")
    lines += [line(" " * 23, clip(text, MARGIN - 23)) for text in said]
    if turn.by is not None:
        lines.append(line(" " * 23, Span(_caller(turn.by), "dim")))
    return lines


def _caller(by: By) -> str:
    return clip(f"by {plain(by.who)}  {place(by)}", MARGIN - 23)


def _cause(turn: Turn) -> str:
    cause = turn.cause
    if cause is None:
        return ""
    if cause.log is not None:
        return f"←{cause.log.hex()[:6]}.."
    request = f" r{cause.request}" if cause.request else ""
    return f"←{cause.number}{request}"


def turn_json(turn: Turn, names: Named) -> dict[str, Any]:
    """Return one turn as JSON."""
    cause = turn.cause
    return {
        "turn": turn.number,
        "time_ns": turn.time_ns,
        "epoch": turn.epoch,
        "actor": turn.actor,
        "label": names.label(turn.actor),
        "origin": origin_text(turn.origin),
        "cause": None
        if cause is None
        else {
            "turn": cause.number,
            "request": cause.request or None,
            "log": None if cause.log is None else cause.log.hex(),
        },
        "message": _kind_json(turn.message),
        "events": [_kind_json(event) for event in turn.events],
        "by": by_json(turn.by),
        "replayable": turn.replayable,
    }


def _kind_json(kind: Any) -> dict[str, Any] | None:
    if kind is None:
        return None
    names, values = fields_of(kind)
    fields = dict(zip(names, map(jsonable, values), strict=False))
    return {"kind": kind_name(kind), "fields": fields}
