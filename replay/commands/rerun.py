"""`rescind rerun`: the only command that loads the actors, beside `demo`."""

from pathlib import Path

import click

from rescind.events import read
from rescind.replay._rerun import actor_classes, rerun
from rescind.replay._rerun_screen import rerun_json, rerun_lines

from ._shared import BAD, FINE, JSON, LOG, leave, print_json, show


@click.command("rerun")
@LOG
@click.option(
    "--classes",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import this module of yours for its actor classes.",
)
@JSON
def command(log: Path, *, modules: tuple[str, ...], as_json: bool) -> None:
    """Execute the recording again through today's code."""
    reader = read(log)
    result = rerun(reader, classes=actor_classes(modules))
    if as_json:
        print_json("rerun", log, rerun_json(result))
    else:
        show(rerun_lines(result))
    leave(reader, fine=FINE if result.divergence is None else BAD)
