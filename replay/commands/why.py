"""`rescind why`."""

from pathlib import Path

import click

from rescind.replay._archive.select import FORMS
from rescind.replay._why.screen import story_json, story_lines
from rescind.replay._why.why import story_of

from ._shared import (
    ALL,
    JSON,
    LOG,
    archives_of,
    hint,
    leave,
    names_of,
    print_json,
    show,
    target_of,
)


@click.command("why")
@LOG
@click.argument("others", metavar="[OTHER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--of", "selector", required=True, metavar="SELECTOR", help=FORMS + ".")
@ALL
@JSON
def command(
    log: Path, *, others: tuple[Path, ...], selector: str, show_all: bool, as_json: bool
) -> None:
    """The causal story of an outcome, down to the line that asked.

    Causes that lie in OTHER logs are followed there; which log is meant is told by its id.
    """
    archives = archives_of(log, others)
    archive, *rest = archives.values()
    story = story_of(archive, target_of(selector, archive), rest)
    if as_json:
        print_json("why", log, story_json(story))
    else:
        show(story_lines(story, archive.clock, show_all=show_all, names=names_of(archives)))
        hint(log, *(f"why {log} --of {name}" for name in story.related[:3]))
    leave(archive.lookup, *rest)
