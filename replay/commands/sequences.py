"""`rescind sequences`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from rescind.events import UsageError
from rescind.replay._archive.trace import Archives
from rescind.replay._laws.law import Verdict
from rescind.replay._sequences.joined import joined
from rescind.replay._sequences.screen import Tally, sequence_json, sequence_lines
from rescind.replay._sequences.sequences import (
    CancelSequence,
    SequenceFilter,
    sequence_of,
    sequences_live,
)
from rescind.replay._words.text import line
from rescind.replay._words.units import Bound

from ._shared import (
    ALL,
    BAD,
    FINE,
    FOLLOW,
    INTERRUPTED,
    JSON,
    LOG,
    NOTHING,
    Documents,
    archives_of,
    bounds_of,
    hint,
    leave,
    names_of,
    progress,
    show,
    target_of,
    turn_range,
)


@click.command("sequences")
@LOG
@click.argument("others", metavar="[OTHER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--of", "selector", metavar="SELECTOR", help="Only those it had a part in.")
@click.option("--trigger", metavar="NAME", help="Such as Cancel, Disconnect or time-out.")
@click.option("--code", type=int, metavar="CODE", help="With a victim or refusal of this code.")
@click.option(
    "--verdict", type=click.Choice([each.value for each in Verdict]), help="Judged so by the laws."
)
@turn_range
@FOLLOW
@ALL
@JSON
def command(  # noqa: PLR0913 - every one is an option
    log: Path, *, others: tuple[Path, ...], selector: str | None, since: Bound | None,
    until: Bound | None, follow: bool, show_all: bool, as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """Every cancellation: who asked, victims, refusals, verdict.

    --since and --until ask when it was asked for.
    With --follow a cancellation is shown when nothing is owed to anybody any more.
    What followed from it in OTHER logs is shown behind it; filters choose in LOG.
    """
    if others and follow:
        raise UsageError("--follow is for one log")
    archives = archives_of(log, others)
    archive, *rest = archives.values()
    names = names_of(archives)
    about = None if selector is None else target_of(selector, archive).number
    wanted = SequenceFilter(about=about, **bounds_of(since, until), **filters)
    tally = Tally()
    documents = Documents("sequences", log, "sequence", is_live=follow) if as_json else None
    shown: list[CancelSequence] = []
    try:
        for one in _found(archives, wanted, is_live=follow):
            tally.take(one)
            shown = shown or [one]
            if documents is not None:
                documents.take(sequence_json(one))
            else:
                clock = archives[bytes.fromhex(one.log)].clock if one.log else archive.clock
                show([*sequence_lines(one, clock, show_all=show_all, names=names), line()])
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        if not follow:
            raise
        leave(archive.lookup, fine=INTERRUPTED)
    if documents is not None:
        documents.end()
    else:
        show([tally.line()])
        hint(log, *_questions(log, shown))
    fine = BAD if tally.is_bad else FINE if tally.cancels else NOTHING
    leave(archive.lookup, *rest, fine=fine)


def _found(
    archives: Archives, wanted: SequenceFilter, *, is_live: bool
) -> Iterator[CancelSequence]:
    if len(archives) > 1:
        return joined(archives, wanted)
    (archive,) = archives.values()
    if is_live:
        assert archive.reader is not None
        return filter(wanted.wants, sequences_live(archive, archive.reader.follow()))
    numbers = wanted.candidates(archive)
    watched = progress(numbers, "cancellations", len(numbers))
    found = (sequence_of(number, archive) for number in watched)
    return filter(wanted.wants, found)


def _questions(log: Path, found: Iterable[CancelSequence]) -> list[str]:
    """Return the two questions that most likely come next."""
    refused = [one.refused[0].request for one in found if one.refused]
    victims = [one.victims[0].request for one in found if one.victims]
    return [f"why {log} --of r{numbers[0]}" for numbers in (victims, refused) if numbers]
