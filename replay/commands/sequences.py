"""`rescind sequences`."""

from pathlib import Path

import click

from rescind.events import LogReader, read
from rescind.replay._laws import Verdict
from rescind.replay._sequences import Docket, Sequence, hear, sequence_of
from rescind.replay._sequences_screen import sequence_json, sequence_lines, sequences_summary
from rescind.replay._text import line

from ._shared import (
    ALL,
    BAD,
    FINE,
    JSON,
    LOG,
    NOTHING,
    clock_of,
    hint,
    leave,
    print_json,
    show,
    target_of,
)


@click.command("sequences")
@LOG
@click.option("--of", "selector", metavar="SELECTOR", help="Only those it had a part in.")
@ALL
@JSON
def command(log: Path, *, selector: str | None, show_all: bool, as_json: bool) -> None:
    """Every cancellation: who asked, victims, refusals, verdict."""
    reader = read(log)
    docket = hear(reader)
    found = [
        sequence_of(docket.ledger.cancels[n], docket) for n in _chosen(selector, docket, reader)
    ]
    if as_json:
        print_json("sequences", log, {"sequences": [sequence_json(one) for one in found]})
    else:
        clock = clock_of(docket.ledger)
        for one in found:
            show([*sequence_lines(one, clock, show_all=show_all), line()])
        show([sequences_summary(found, docket.ledger)])
        hint(log, *_questions(log, found))
    is_bad = any(one.verdict is Verdict.BROKEN for one in found)
    leave(reader, fine=BAD if is_bad else FINE if found else NOTHING)


def _chosen(selector: str | None, docket: Docket, reader: LogReader) -> list[int]:
    """Return the cancels in which the selected had a part, or all."""
    ledger = docket.ledger
    if selector is None:
        return list(ledger.cancels)
    number = target_of(selector, ledger, reader).number
    return [
        cancel.number
        for cancel in ledger.cancels.values()
        if number in (cancel.number, cancel.endpoint, cancel.asked_by)
        or number in cancel.victims
        or number in cancel.refused
        or any(attempt.target == number for attempt in cancel.attempts)
    ]


def _questions(log: Path, found: list[Sequence]) -> list[str]:
    """Return the two questions that most likely come next."""
    refused = [one.refused[0].request for one in found if one.refused]
    victims = [one.victims[0].request for one in found if one.victims]
    return [f"why {log} --of r{numbers[0]}" for numbers in (victims, refused) if numbers]
