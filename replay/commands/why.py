"""`rescind why`."""

from pathlib import Path

import click

from rescind.events import read
from rescind.replay._fold import fold
from rescind.replay._select import FORMS
from rescind.replay._why import story_of
from rescind.replay._why_screen import story_json, story_lines

from ._shared import JSON, LOG, clock_of, hint, leave, print_json, show, target_of


@click.command("why")
@LOG
@click.option("--of", "selector", required=True, metavar="SELECTOR", help=FORMS + ".")
@JSON
def command(log: Path, *, selector: str, as_json: bool) -> None:
    """The causal story of an outcome, down to the line that asked."""
    reader = read(log)
    ledger = fold(reader)
    damage = list(reader.damage)
    story = story_of(reader, target_of(selector, ledger, reader), ledger)
    if as_json:
        print_json("why", log, story_json(story))
    else:
        show(story_lines(story, clock_of(ledger)))
        hint(log, *(f"why {log} --of {name}" for name in story.related[:3]))
    reader.damage = damage  # the story's own reading stopped early
    leave(reader)
