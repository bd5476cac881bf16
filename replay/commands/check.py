"""`rescind check`."""

from dataclasses import replace
from pathlib import Path

import click

from rescind.events import read
from rescind.replay._check import check, check_json, check_lines, find_head
from rescind.replay._laws import Verdict
from rescind.replay._units import parse_head

from ._shared import ALL, BAD, FINE, JSON, LOG, leave, print_json, read_by, show


@click.command("check")
@LOG
@click.option(
    "--head", callback=read_by(parse_head), metavar="HEX",
    help="Also whether the chain has this head, which `rescind info` showed earlier.",
)  # fmt: skip
@ALL
@JSON
def command(log: Path, *, head: str | None, show_all: bool, as_json: bool) -> None:
    """The laws and the chain: holds, broken or open, and the proof."""
    reader = read(log, verify_chain=True)
    noted = find_head(reader, head) if head else None
    report = replace(check(reader), noted=noted)
    if as_json:
        print_json("check", log, check_json(report))
    else:
        show(check_lines(report, show_all=show_all))
    leave(reader, fine=BAD if report.verdict is Verdict.BROKEN else FINE)
