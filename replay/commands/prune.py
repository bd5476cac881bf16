"""`rescind prune`."""

import time
from pathlib import Path
from typing import Any

import click

from rescind.events import Retention, Turn, UsageError, prune, read
from rescind.replay._upkeep.prune import Pruning, prune_json, prune_lines
from rescind.replay._words.text import Clock
from rescind.replay._words.units import parse_days, parse_size

from ._shared import DAMAGED, FINE, JSON, LOG, hint, print_json, read_by, show


@click.command("prune")
@LOG
@click.option(
    "--keep-bytes", "bytes_max", callback=read_by(parse_size), metavar="SIZE",
    help="Keep the newest segments of at most so many bytes, such as 500MB or 2GiB.",
)  # fmt: skip
@click.option(
    "--keep-segments", "segments_max", type=click.IntRange(min=1), metavar="N",
    help="Keep so many of the newest segments.",
)  # fmt: skip
@click.option(
    "--keep-days", "age_ns", callback=read_by(parse_days), metavar="D",
    help="Keep every segment with a turn of the last D days.",
)  # fmt: skip
@click.option(
    "--without-keyframe", is_flag=True,
    help="Danger: also removes turns that no keyframe stands in for; the state that they built up"
    " is then lost for good.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@JSON
def command(log: Path, *, age_ns: int | None, dry_run: bool, as_json: bool, **kept: Any) -> None:
    """Remove old segments: whole ones, from the oldest on.

    A segment goes when any of the options lets it go.  It stays when it is the newest, or when the
    newest keyframe needs it.  A writer and readers may go on meanwhile.  Exit code 3 when damage is
    in the way.
    """
    if age_ns is None and kept["bytes_max"] is None and kept["segments_max"] is None:
        raise click.UsageError("say what to keep: --keep-bytes, --keep-segments or --keep-days")
    first = next(iter(read(log)), None)
    retention = Retention(since_ns=_days_ago(age_ns, first), **kept)
    pruning = Pruning(prune(log, retention, dry_run=dry_run), first, dry_run)
    if as_json:
        print_json("prune", log, prune_json(pruning))
    else:
        show(prune_lines(pruning, str(log)))
        hint(log, *([f"recover {log} --out NEW"] if pruning.pruned.is_damaged else []))
    raise click.exceptions.Exit(DAMAGED if pruning.pruned.is_damaged else FINE)


def _days_ago(age_ns: int | None, first: Turn | None) -> int | None:
    """Return the moment before which turns are too old."""
    if age_ns is None:
        return None
    if first is not None and Clock(first.time_ns).is_virtual:
        advice = "keep by --keep-bytes or --keep-segments"
        raise UsageError(f"the times in this log are a stepped clock's and no dates; {advice}")
    return time.time_ns() - age_ns
