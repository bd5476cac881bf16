"""`rescind turns`."""

import sys
from itertools import islice
from pathlib import Path
from typing import Any

import click

from rescind.events import LogReader, Turn, read
from rescind.replay._archive.archive import Archive
from rescind.replay._words.labels import Labels
from rescind.replay._words.text import line
from rescind.replay._words.turns import TurnFilter, turn_json, turn_lines, turns_head
from rescind.replay._words.units import Bound

from ._shared import (
    FINE,
    FOLLOW,
    INTERRUPTED,
    JSON,
    LOG,
    NOTHING,
    Documents,
    bounds_of,
    leave,
    number_of,
    progress,
    show,
    tell_unknown,
    turn_filters,
)


@click.command("turns")
@LOG
@turn_filters
@FOLLOW
@JSON
def command(  # noqa: PLR0913 - every one is an option
    log: Path, *, actor: str | None, about: str | None, since: Bound | None, until: Bound | None,
    follow: bool, limit: int | None, as_json: bool, **others: Any,
) -> None:  # fmt: skip
    """The turns: who took what, because of what, and what came of it.

    Only what the filters need is read and verified; `rescind check` verifies the whole log.
    With --follow, --json prints one document per turn, each on a line of its own.
    """
    archive = Archive(read(log))
    others |= bounds_of(since, until)
    wanted = TurnFilter(actor=number_of(actor, archive), about=number_of(about, archive), **others)
    reader, labels = _select(log, wanted)
    show = _TurnsShown(log, labels, is_live=follow, as_json=as_json)
    try:
        source = reader.follow() if follow else progress(reader, "turns", _total(archive, wanted))
        for turn in islice(labels.hear(source, wanted), limit):
            show.take(turn)
    except KeyboardInterrupt:
        if not follow:
            raise
        leave(reader, fine=INTERRUPTED)
    show.end()
    if not show.shown:
        tell_unknown(archive, reader, (actor, about), wanted.kind)
    leave(reader, fine=FINE if show.shown else NOTHING)


def _select(log: Path, wanted: TurnFilter) -> tuple[LogReader, Labels]:
    """Return a reader of no more than is needed, and who will know the names in it."""
    # No index knows the runtime itself, number 0.
    start, taker, mention = max(1, wanted.first), wanted.actor or None, wanted.about or None
    reader = read(log, start=start, since_ns=wanted.since_ns, actor=taker, about=mention)
    is_partial = (start, wanted.since_ns, taker, mention) != (1, None, None, None)
    return reader, Labels(log, reader, is_partial=is_partial)


def _total(archive: Archive, wanted: TurnFilter) -> int | None:
    """Return how many turns may be read; None where an index finds the few that are."""
    is_found = wanted.actor or wanted.about
    return None if is_found else max(0, archive.lookup.last - wanted.first + 1)


class _TurnsShown:
    """Shows turns as they are read."""

    def __init__(self, log: Path, labels: Labels, *, is_live: bool, as_json: bool) -> None:
        self.shown = 0
        self._labels = labels
        self._is_live = is_live
        self._documents = Documents("turns", log, "turn", is_live=is_live) if as_json else None

    def take(self, turn: Turn) -> None:
        self.shown += 1
        if self._documents is not None:
            self._documents.take(turn_json(turn, self._labels.ledger))
        else:
            clock = self._labels.clock
            head = [turns_head(clock)] if self.shown == 1 else []
            show([*head, *turn_lines(turn, self._labels.ledger, clock)])
        if self._is_live:
            sys.stdout.flush()

    def end(self) -> None:
        if self._documents is not None:
            self._documents.end()
        elif not self.shown:
            show([line("no turn fits")])
