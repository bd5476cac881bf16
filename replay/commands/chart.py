"""`rescind chart`."""

import shutil
import sys
from pathlib import Path

import click

from rescind.events import read
from rescind.replay._archive.archive import Archive
from rescind.replay._chart.chart import Chart
from rescind.replay._chart.mermaid import chart_mermaid
from rescind.replay._chart.of import draw_chart
from rescind.replay._chart.screen import GLYPHS, chart_json, chart_lines
from rescind.replay._chart.svg import chart_svg
from rescind.replay._words.text import MARGIN, Line, as_text, count, line
from rescind.replay._words.units import Bound

from ._shared import (
    ALL,
    FINE,
    JSON,
    LOG,
    NOTHING,
    leave,
    print_json,
    show,
    target_of,
    turn_range,
    turns_of,
)

_BY_ENDING = {
    ".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".txt": "terminal", "": None,
}  # fmt: skip


@click.command("chart")
@LOG
@click.option("--of", "selector", metavar="SELECTOR", help="What led to this, and came of it.")
@turn_range
@click.option(
    "--as", "form", type=click.Choice(["terminal", "svg", "mermaid"]),
    help="In which form; without it, as the ending of --out says.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write it there: FILE.svg, FILE.mmd, or plain text.",
)  # fmt: skip
@ALL
@JSON
def command(  # noqa: PLR0913 - every one is an option
    log: Path, *, selector: str | None, since: Bound | None, until: Bound | None,
    form: str | None, out: Path | None, show_all: bool, as_json: bool,
) -> None:  # fmt: skip
    """A sequence chart: who said what to whom, and what came of it.

    Without --of, --since and --until it shows the last cancellation.
    """
    if as_json and out is not None:
        raise click.UsageError("--json prints its document; --out is for the other forms")
    archive = Archive(read(log))
    target = None if selector is None else target_of(selector, archive)
    first, last = turns_of(since, until, archive.lookup)
    chart = draw_chart(archive, target, first=first, last=last, unfold=show_all)
    form = form or _by_ending(out)
    if as_json:
        print_json("chart", log, chart_json(chart))
    elif out is not None:
        out.write_text(_text(chart, form), encoding="utf-8")
        show([line(f"{out}: {count(len(chart.rows), 'row')}")])
    elif form in ("svg", "mermaid"):
        show(line(each) for each in _text(chart, form).splitlines())
    else:
        show(_screen(chart))
    leave(archive.lookup, fine=FINE if chart.rows else NOTHING)


def _by_ending(out: Path | None) -> str | None:
    """Return the form that a file's name asks for."""
    ending = out.suffix.lower() if out else ""
    if ending not in _BY_ENDING:
        endings = ", ".join(each for each in _BY_ENDING if each)
        raise click.UsageError(f"no form ends in {ending}; there are {endings}, or say --as")
    return _BY_ENDING[ending]


def _text(chart: Chart, form: str | None) -> str:
    match form:
        case "svg":
            return chart_svg(chart)
        case "mermaid":
            return chart_mermaid(chart)
        case _:
            return as_text(chart_lines(chart, MARGIN)) + "\n"


def _screen(chart: Chart) -> list[Line]:
    """Return the screen as wide as the terminal, in what characters it has."""
    width = shutil.get_terminal_size((MARGIN, 24)).columns if sys.stdout.isatty() else MARGIN
    try:
        GLYPHS.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return chart_lines(chart, width, in_ascii=True)
    return chart_lines(chart, width)
