"""`rescind diff`."""

from pathlib import Path

import click

from rescind.events import read
from rescind.replay._archive.archive import Archive
from rescind.replay._diff.diff import READINGS, SHOWN_MAX, diff
from rescind.replay._diff.screen import diff_json, diff_lines

from ._shared import ALL, BAD, DAMAGED, FINE, JSON, Progress, print_json, show, tell_damage


@click.command("diff")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@ALL
@JSON
def command(a: Path, b: Path, *, show_all: bool, as_json: bool) -> None:
    """Two recordings, by cause: what differs, and what explains it.

    New, missing, in another order, or said or coded differently.
    What explains the rest comes first, and what follows from it is folded under it.  Turns
    correspond when their causes and actors do; times, numbers, and the order in which different
    actors took their turns are not compared.  Exit code 1 when something differs.
    """
    first, second = read(a), read(b)
    turns = READINGS * (first.lookup().last + second.lookup().last)
    with Progress(turns, "turns") as bar:
        found = diff(first, second, limit=None if show_all else SHOWN_MAX, progress=bar.at)
    names = Archive(first), Archive(second)
    if as_json:
        print_json("diff", a, {"other": str(b), **diff_json(found, *names)})
    else:
        show(diff_lines(found, *names))
    are_damaged = [tell_damage(first, str(a)), tell_damage(second, str(b))]
    fine = FINE if found.is_equal else BAD
    raise click.exceptions.Exit(DAMAGED if any(are_damaged) else fine)
