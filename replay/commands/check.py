"""`rescind check`."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click

from rescind.events import LogReader, read
from rescind.replay._laws.check import (
    Noted,
    bounded_court,
    check,
    check_json,
    check_lines,
    find_head,
    laws_in,
    news_json,
    news_line,
    report_of,
)
from rescind.replay._laws.keyframes import KeyframesTell
from rescind.replay._laws.law import Court, Finding, Law, Verdict
from rescind.replay._ledger.sound import sound
from rescind.replay._words.units import parse_head

from ._shared import ALL, BAD, CLASSES, FINE, JSON, LOG, Progress, leave, print_json, read_by, show


@click.command("check")
@LOG
@click.option(
    "--head", callback=read_by(parse_head), metavar="HEX",
    help="Also whether the chain has this head, which `rescind info` showed earlier.",
)  # fmt: skip
@click.option(
    "--laws", "laws", multiple=True, metavar="MODULE",
    help="Import this module of yours for laws of your own.",
)  # fmt: skip
@CLASSES
@click.option("-f", "--follow", is_flag=True, help="Go on as turns become durable, until Ctrl-C.")
@ALL
@JSON
def command(  # noqa: PLR0913  # click hands options over one by one
    log: Path, *, head: str | None, laws: tuple[str, ...], modules: tuple[str, ...], follow: bool,
    show_all: bool, as_json: bool,
) -> None:  # fmt: skip
    """The laws and the chain: holds, broken or open, and the proof.

    With --follow, findings are shown as they arise; Ctrl-C ends with the summary.
    --json then prints one document per finding, and the summary, each on a line of its own.
    With --classes, law L12 also judges the states of those classes that keyframes hold.
    """
    reader = read(log, verify_chain=True)
    wanted = _with_classes(laws_in(laws), reader, modules)
    noted: Noted | None = find_head(reader, head) if head else None
    if follow:
        court = bounded_court(reader, wanted)
        with suppress(KeyboardInterrupt):
            for turn in sound(reader.follow()):
                court.feed(turn)
                _show_news(court, log, as_json=as_json)
        report = report_of(court, reader)
    else:
        with Progress(reader.lookup().last, "turns") as bar:
            report = check(reader, laws=wanted, progress=bar.at)
    report = replace(report, noted=noted)
    if as_json:
        print_json("check", log, check_json(report), width=None if follow else 2)
    else:
        show(check_lines(report, show_all=show_all))
    leave(reader, fine=BAD if report.verdict is Verdict.BROKEN else FINE)


def _with_classes(
    laws: Iterable[type[Law]], reader: LogReader, modules: Iterable[str]
) -> Iterable[type[Law]]:
    """Return the laws, L12 with the classes of modules that the caller has named."""
    if not modules:
        return laws
    # Loads the actors and runs the application's code, so only where somebody asks for it.
    from rescind.replay._state.classes import classes_in, keyframe_law  # noqa: PLC0415

    law = keyframe_law(reader, classes_in(modules))
    return [law if each is KeyframesTell else each for each in laws]


def _show_news(court: Court, log: Path, *, as_json: bool) -> None:
    news: list[Finding] = court.news()
    for finding in news:
        if as_json:
            print_json("finding", log, news_json(finding), width=None)
        else:
            show([news_line(finding)])
    if news:
        sys.stdout.flush()
