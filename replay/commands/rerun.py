"""`rescind rerun`: the actors are loaded by its children, one for each recording."""

from os.path import commonpath
from pathlib import Path
from typing import Any

import click

from rescind.replay._archive.select import SelectorError, TargetKind, parse
from rescind.replay._rerun.logs import LogRerun, find_logs, rerun_logs
from rescind.replay._rerun.place import TIME_LIMIT_S
from rescind.replay._rerun.screen import log_json, log_lines, logs_lines

from ._shared import (
    BAD,
    CLASSES,
    DAMAGED,
    FINE,
    JSON,
    NOTHING,
    Progress,
    complain,
    print_json,
    show,
)


def _seconds(context: click.Context, parameter: click.Parameter, seconds: float) -> float:
    if not _SECONDS_MIN <= seconds <= _SECONDS_MAX:  # which no NaN is
        text = f"write seconds from {_SECONDS_MIN:g} to {_SECONDS_MAX:,}"
        raise click.BadParameter(text, context, parameter)
    return seconds


_SECONDS_MIN, _SECONDS_MAX = 0.1, 86_400


@click.command("rerun")
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path))
@CLASSES
@click.option("--of", "selector", metavar="SELECTOR", help="Execute this actor or endpoint alone.")
@click.option(
    "--from", "begin", type=click.IntRange(min=0), default=0, metavar="TURN",
    help="Begin with the process that wrote this turn; what it found comes from a keyframe.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="So many logs at a time.")
@click.option(
    "--time-limit", "time_limit_s", type=float, default=TIME_LIMIT_S, callback=_seconds,
    show_default=True, metavar="SECONDS", help="A turn that takes longer counts as hanging.",
)  # fmt: skip
@JSON
def command(logs: tuple[Path, ...], *, selector: str | None, as_json: bool, **how: Any) -> None:
    """Execute recordings again through today's code.

    LOGS are logs, or directories in which all logs are meant.  Each is executed in a process of its
    own, so that code which hangs or exits takes nothing else with it.  What it prints goes to
    standard error.
    """
    found = [log for each in logs for log in find_logs(each)]
    only = _actor(selector)
    # Of a single one nobody knows how far it is.
    with Progress(len(found) if len(found) > 1 else None, "recordings") as bar:
        done = rerun_logs(found, only=only, progress=lambda done, _: bar.at(done), **how)
    if as_json:
        print_json("rerun", Path(commonpath(logs)), {"logs": [log_json(each) for each in done]})
    elif len(done) == 1:
        if not done[0].error:
            show(log_lines(done[0]))
    else:
        show(logs_lines(done))
    raise click.exceptions.Exit(_exit_code(done))


def _actor(selector: str | None) -> int:
    if selector is None:
        return 0
    numbered = parse(selector)
    if numbered is None or numbered[0] is not TargetKind.ACTOR:
        raise SelectorError(selector, f"{selector} is no actor; write a5")
    return numbered[1]


def _exit_code(done: list[LogRerun]) -> int:
    for each in done:
        if each.error:
            is_named = str(each.path) in each.error
            complain(each.error if is_named else f"{each.path}: {each.error}")
    if any(each.is_damaged for each in done):
        return DAMAGED
    if any(each.result is not None and each.result.divergence is not None for each in done):
        return BAD
    if any(each.result is None for each in done):
        return NOTHING
    return FINE
