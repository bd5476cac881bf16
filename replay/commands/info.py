"""`rescind info`."""

from pathlib import Path

import click

from rescind.events import read
from rescind.replay._upkeep.info import info, info_json, info_lines

from ._shared import JSON, LOG, Progress, hint, leave, print_json, show


@click.command("info")
@LOG
@JSON
def command(log: Path, *, as_json: bool) -> None:
    """Whether it is whole; span, files, chain head, endpoints, codes."""
    reader = read(log, verify_chain=True)
    with Progress(reader.lookup().last, "turns") as bar:
        overview = info(reader, progress=bar.at)
    if as_json:
        print_json("info", log, info_json(overview))
    else:
        show(info_lines(overview, str(log)))
        hint(log, f"sequences {log}" if overview.census.cancels else f"turns {log}")
    leave(reader)
