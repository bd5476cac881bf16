"""`rescind recover`."""

from pathlib import Path

import click

from rescind.events import LogReader, NotALogError, read, recover
from rescind.replay._upkeep.recover import recover_json, recover_lines, rescue_of

from ._shared import ALL, DAMAGED, FINE, JSON, LOG, Progress, hint, print_json, show


@click.command("recover")
@LOG
@click.option(
    "--out", "target", type=click.Path(path_type=Path), metavar="NEW", required=True,
    help="Where the new log goes; nothing may be there yet.",
)  # fmt: skip
@ALL
@JSON
def command(log: Path, *, target: Path, show_all: bool, as_json: bool) -> None:
    """Save what a damaged log still holds into a new one.

    Says exactly what is lost, and why.  The log itself is not changed; turns keep their numbers.
    Exit code 3 when turns were lost.
    """
    reader = read(log)  # what is no log at all says so here, before anything is made
    last = reader.lookup().last
    reader.close()
    with Progress(last, "turns") as bar:
        recovery = recover(log, target, progress=bar.at)
    rescue = rescue_of(recovery, _reader_of(target))
    if as_json:
        print_json("recover", log, recover_json(rescue))
    else:
        show(recover_lines(rescue, show_all=show_all))
        hint(log, *([f"info {target}"] if rescue.segments else []))
    raise click.exceptions.Exit(DAMAGED if rescue.is_lossy else FINE)


def _reader_of(target: Path) -> LogReader | None:
    """Return a reader of a new log; None when there was nothing to be written into it."""
    try:
        return read(target)
    except NotALogError:
        return None
