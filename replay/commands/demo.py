"""`rescind demo`."""

import sys
from pathlib import Path

import click

from rescind.replay._demo.demo import demo_json, demo_lines, run_demo

from ._shared import BAD, FINE, JSON, ourselves, print_json, show


@click.command("demo")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the log goes."
)
@JSON
def command(folder: Path | None, *, as_json: bool) -> None:
    """Cancel a real endpoint in the middle of its work, and explain."""
    demo = run_demo(folder)
    if as_json:
        print_json("demo", demo.log, demo_json(demo))
    else:
        show(demo_lines(demo, ourselves()))
    sys.exit(FINE if demo.is_good else BAD)
