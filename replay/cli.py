"""The command line: thin over the room's functions, and the only file that knows click and rich.

Exit codes: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged (wins over
1; a torn tail is no damage, nor is a loss that a recovery noted); 130 interrupted.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeAlias

import click
from rich.console import Console
from rich.text import Text

from rescind.events import (
    LogDamagedError,
    LogReader,
    NotALogError,
    RescindError,
    Retention,
    Turn,
    UsageError,
    prune,
    read,
    recover,
)

from ._check import check, check_json, check_lines, find_head
from ._fold import fold
from ._info import info, info_json, info_lines
from ._labels import Labels
from ._laws import Verdict
from ._model import Ledger
from ._prune_screen import Pruning, prune_json, prune_lines
from ._recover_screen import recover_json, recover_lines, rescue_of
from ._select import FORMS, Kind, SelectorError, Target, parse, resolve
from ._sequences import Docket, Sequence, hear, sequence_of
from ._sequences_screen import sequence_json, sequence_lines, sequences_summary
from ._text import MARGIN, Clock, Line, Span, as_text, line, plain
from ._turns import TurnFilter, turn_json, turn_lines, turns_head
from ._units import parse_days, parse_head, parse_size, parse_time
from ._why import story_of
from ._why_screen import story_json, story_lines

FINE, BAD, NOTHING, DAMAGED = 0, 1, 2, 3
INTERRUPTED = 130
VERSION = 0
"""The version of every JSON document: 0 until the tool is done."""

Show: TypeAlias = Callable[[Iterable[Line]], None]

ORDER = ("demo", "info", "sequences", "why", "turns", "check", "rerun", "recover", "prune")
"""Help lists the commands in the order in which one needs them."""


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": MARGIN}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*ORDER, *sorted(set(self.commands) - set(ORDER))]


def _print_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:  # noqa: FBT001
    if is_wanted:
        try:
            click.echo(f"rescind {version('rescind')}")
        except PackageNotFoundError:
            click.echo("rescind, from a checkout that is not installed")
        context.exit()


@click.group(cls=_Commands, context_settings=_SETTINGS, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version,
    help="Show the version and end.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> None:
    """Explain what a program's actors did, from their log.

    Why was this cancelled, by whom, and in which order?  Begin with `rescind demo`.

    SELECTORS are the same in every command: 1234 (a turn), r17 (a request), c3 (a cancel), a5 (an
    actor), code=-36003 (what ended so), last (the last outcome that was no plain success).

    EXIT CODES: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_LOG = click.argument("log", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document instead.")
_ALL = click.option("--all", "show_all", is_flag=True, help="Fold nothing.")


def _read_by(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback of an option whose text one of our own parsers reads."""

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except UsageError as error:
            raise click.BadParameter(plain(str(error)), context, parameter) from error

    return convert


# --- commands ------------------------------------------------------------------------------------


@cli.command("info")
@_LOG
@_JSON
def info_command(log: Path, *, as_json: bool) -> None:
    """Whether it is whole; span, files, chain head, endpoints, codes."""
    reader = read(log, verify_chain=True)
    overview = info(reader)
    if as_json:
        _print_json("info", log, info_json(overview))
    else:
        _show(info_lines(overview, str(log)))
        _hint(log, f"sequences {log}" if overview.ledger.cancels else f"turns {log}")
    _leave(reader)


@cli.command("turns")
@_LOG
@click.option("--actor", metavar="SELECTOR", help="Turns that this actor took.")
@click.option("--of", "about", metavar="SELECTOR", help="Turns that have to do with this.")
@click.option(
    "--origin",
    type=click.Choice(["actor", "app", "io", "timer", "recovery"]),
    help="Who brought the message.",
)
@click.option("--kind", metavar="NAME", help="Message or event, such as Completed.")
@click.option("--from", "first", type=int, default=1, metavar="TURN", help="Not before this turn.")
@click.option(
    "--since", "since_ns", callback=_read_by(parse_time), metavar="TIME",
    help="Not before this moment: ISO 8601, UTC without a zone, or seconds since 1970.",
)  # fmt: skip
@click.option("--to", "last", type=int, metavar="TURN", help="Not after this turn.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("-f", "--follow", is_flag=True, help="Go on as turns become durable, until Ctrl-C.")
@_JSON
def turns_command(  # noqa: PLR0913 - every one is an option
    log: Path, *, actor: str | None, about: str | None, since_ns: int | None, follow: bool,
    limit: int | None, as_json: bool, **bounds: Any,
) -> None:  # fmt: skip
    """The turns: who took what, because of what, and what came of it.

    Only what the filters need is read and verified; `rescind check` verifies the whole log.
    With --follow, --json prints one document per turn, each on a line of its own.
    """
    reader = read(log)
    wanted = TurnFilter(actor=_number(actor, reader), about=_number(about, reader), **bounds)
    reader, labels = _select(log, wanted, since_ns)
    show = _TurnsShown(log, labels, is_live=follow, as_json=as_json)
    try:
        for turn in islice(labels.hear(reader.follow() if follow else reader, wanted), limit):
            show.take(turn)
    except KeyboardInterrupt:
        if not follow:
            raise
        _leave(reader, fine=INTERRUPTED)
    show.end()
    _leave(reader, fine=FINE if show.shown else NOTHING)


@cli.command("sequences")
@_LOG
@click.option("--of", "selector", metavar="SELECTOR", help="Only those it had a part in.")
@_ALL
@_JSON
def sequences_command(log: Path, *, selector: str | None, show_all: bool, as_json: bool) -> None:
    """Every cancellation: who asked, victims, refusals, verdict."""
    reader = read(log)
    docket = hear(reader)
    found = [
        sequence_of(docket.ledger.cancels[n], docket) for n in _chosen(selector, docket, reader)
    ]
    if as_json:
        _print_json("sequences", log, {"sequences": [sequence_json(one) for one in found]})
    else:
        clock = _clock(docket.ledger)
        for one in found:
            _show([*sequence_lines(one, clock, show_all=show_all), line()])
        _show([sequences_summary(found, docket.ledger)])
        _hint(log, *_questions(log, found))
    is_bad = any(one.verdict is Verdict.BROKEN for one in found)
    _leave(reader, fine=BAD if is_bad else FINE if found else NOTHING)


@cli.command("why")
@_LOG
@click.option("--of", "selector", required=True, metavar="SELECTOR", help=FORMS + ".")
@_JSON
def why_command(log: Path, *, selector: str, as_json: bool) -> None:
    """The causal story of an outcome, down to the line that asked."""
    reader = read(log)
    ledger = fold(reader)
    damage = list(reader.damage)
    story = story_of(reader, _target(selector, ledger, reader), ledger)
    if as_json:
        _print_json("why", log, story_json(story))
    else:
        _show(story_lines(story, _clock(ledger)))
        _hint(log, *(f"why {log} --of {name}" for name in story.related[:3]))
    reader.damage = damage  # the story's own reading stopped early
    _leave(reader)


@cli.command("check")
@_LOG
@click.option(
    "--head", callback=_read_by(parse_head), metavar="HEX",
    help="Also whether the chain has this head, which `rescind info` showed earlier.",
)  # fmt: skip
@_ALL
@_JSON
def check_command(log: Path, *, head: str | None, show_all: bool, as_json: bool) -> None:
    """The laws and the chain: holds, broken or open, and the proof."""
    reader = read(log, verify_chain=True)
    noted = find_head(reader, head) if head else None
    report = replace(check(reader), noted=noted)
    if as_json:
        _print_json("check", log, check_json(report))
    else:
        _show(check_lines(report, show_all=show_all))
    _leave(reader, fine=BAD if report.verdict is Verdict.BROKEN else FINE)


@cli.command("rerun")
@_LOG
@click.option(
    "--classes",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Import this module of yours for its actor classes.",
)
@_JSON
def rerun_command(log: Path, *, modules: tuple[str, ...], as_json: bool) -> None:
    """Execute the recording again through today's code."""
    # Only here the actors are loaded: reading a log needs none of them.
    from ._rerun import actor_classes, rerun
    from ._rerun_screen import rerun_json, rerun_lines

    reader = read(log)
    result = rerun(reader, classes=actor_classes(modules))
    if as_json:
        _print_json("rerun", log, rerun_json(result))
    else:
        _show(rerun_lines(result))
    _leave(reader, fine=FINE if result.divergence is None else BAD)


@cli.command("demo")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the log goes."
)
@_JSON
def demo_command(folder: Path | None, *, as_json: bool) -> None:
    """Cancel a real endpoint in the middle of its work, and explain."""
    from ._demo import demo_json, demo_lines, run_demo

    demo = run_demo(folder)
    if as_json:
        _print_json("demo", demo.log, demo_json(demo))
    else:
        _show(demo_lines(demo, _ourselves()))
    sys.exit(FINE if demo.is_good else BAD)


@cli.command("recover")
@_LOG
@click.option(
    "--to", "target", type=click.Path(path_type=Path), metavar="NEW", required=True,
    help="Where the new log goes; nothing may be there yet.",
)  # fmt: skip
@_ALL
@_JSON
def recover_command(log: Path, *, target: Path, show_all: bool, as_json: bool) -> None:
    """Save what a damaged log still holds into a new one.

    Says exactly what is lost, and why.  The log itself is not changed; turns keep their numbers.
    Exit code 3 when turns were lost.
    """
    read(log).close()  # what is no log at all says so here, before anything is made
    recovery = recover(log, target)
    rescue = rescue_of(recovery, _reader_of(target))
    if as_json:
        _print_json("recover", log, recover_json(rescue))
    else:
        _show(recover_lines(rescue, show_all=show_all))
        _hint(log, *([f"info {target}"] if rescue.segments else []))
    raise click.exceptions.Exit(DAMAGED if rescue.is_lossy else FINE)


@cli.command("prune")
@_LOG
@click.option(
    "--keep-bytes", "bytes_max", callback=_read_by(parse_size), metavar="SIZE",
    help="Keep the newest segments of at most so many bytes, such as 500MB or 2GiB.",
)  # fmt: skip
@click.option(
    "--keep-segments", "segments_max", type=click.IntRange(min=1), metavar="N",
    help="Keep so many of the newest segments.",
)  # fmt: skip
@click.option(
    "--keep-days", "age_ns", callback=_read_by(parse_days), metavar="D",
    help="Keep every segment with a turn of the last D days.",
)  # fmt: skip
@click.option(
    "--without-keyframe", is_flag=True,
    help="Danger: also removes turns that no keyframe stands in for; the state that they built up"
    " is then lost for good.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@_JSON
def prune_command(
    log: Path, *, age_ns: int | None, dry_run: bool, as_json: bool, **kept: Any
) -> None:
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
        _print_json("prune", log, prune_json(pruning))
    else:
        _show(prune_lines(pruning, str(log)))
        _hint(log, *([f"recover {log} --to NEW"] if pruning.pruned.is_damaged else []))
    raise click.exceptions.Exit(DAMAGED if pruning.pruned.is_damaged else FINE)


# --- what the commands share ---------------------------------------------------------------------


def _target(selector: str, ledger: Ledger, reader: LogReader) -> Target:
    """Return what a selector means; in a damaged log it may be lost instead of unknown."""
    try:
        return resolve(selector, ledger)
    except SelectorError as error:
        _complain(str(error))
        _leave(reader, fine=NOTHING)


def _number(selector: str | None, reader: LogReader) -> int | None:
    """Return the number that a filter means; only forms without one need the log."""
    if selector is None:
        return None
    numbered = parse(selector)
    if numbered is not None and numbered[0] is not Kind.TURN:
        return numbered[1]
    target = _target(selector, fold(reader), reader)
    if target.kind is Kind.TURN:
        text = f"{selector} is a turn; here an actor, request or cancel fits"
        raise SelectorError(selector, text)
    return target.number


def _select(log: Path, wanted: TurnFilter, since_ns: int | None) -> tuple[LogReader, Labels]:
    """Return a reader of no more than is needed, and who will know the names in it."""
    # No index knows the runtime itself, number 0.
    start, taker, mention = max(1, wanted.first), wanted.actor or None, wanted.about or None
    reader = read(log, start=start, since_ns=since_ns, actor=taker, about=mention)
    is_partial = (start, since_ns, taker, mention) != (1, None, None, None)
    return reader, Labels(log, reader, is_partial=is_partial)


class _TurnsShown:
    """Prints turns as they are read; JSON is one document, or a line for each when it is live."""

    def __init__(self, log: Path, labels: Labels, *, is_live: bool, as_json: bool) -> None:
        self.shown = 0
        self._log = log
        self._labels = labels
        self._is_live = is_live
        self._as_json = as_json
        self._documents: list[dict[str, Any]] = []

    def take(self, turn: Turn) -> None:
        self.shown += 1
        if self._as_json:
            self._take_json(turn_json(turn, self._labels.ledger))
        else:
            clock = self._labels.clock
            head = [turns_head(clock)] if self.shown == 1 else []
            _show([*head, *turn_lines(turn, self._labels.ledger, clock)])
        if self._is_live:
            sys.stdout.flush()

    def _take_json(self, document: dict[str, Any]) -> None:
        if self._is_live:
            _print_json("turn", self._log, document, indent=None)
        else:
            self._documents.append(document)

    def end(self) -> None:
        if self._as_json and not self._is_live:
            _print_json("turns", self._log, {"turns": self._documents})
        elif not self._as_json and not self.shown:
            _show([line("no turn fits")])


def _reader_of(target: Path) -> LogReader | None:
    """Return a reader of a new log; None when there was nothing to be written into it."""
    try:
        return read(target)
    except NotALogError:
        return None


def _days_ago(age_ns: int | None, first: Turn | None) -> int | None:
    """Return the moment before which turns are too old."""
    if age_ns is None:
        return None
    if first is not None and Clock(first.time_ns).is_virtual:
        advice = "keep by --keep-bytes or --keep-segments"
        raise UsageError(f"the times in this log are a stepped clock's and no dates; {advice}")
    return time.time_ns() - age_ns


def _chosen(selector: str | None, docket: Docket, reader: LogReader) -> list[int]:
    """Return the cancels in which the selected had a part, or all."""
    ledger = docket.ledger
    if selector is None:
        return list(ledger.cancels)
    number = _target(selector, ledger, reader).number
    return [
        cancel.number
        for cancel in ledger.cancels.values()
        if number in (cancel.number, cancel.endpoint, cancel.asked_by)
        or number in cancel.victims
        or number in cancel.refused
        or any(attempt.target == number for attempt in cancel.attempts)
    ]


def _questions(log: Path, found: list[Sequence]) -> list[str]:
    """Return the two questions that most likely come next."""
    refused = [one.refused[0].request for one in found if one.refused]
    victims = [one.victims[0].request for one in found if one.victims]
    return [f"why {log} --of r{numbers[0]}" for numbers in (victims, refused) if numbers]


def _clock(ledger: Ledger) -> Clock:
    return Clock(ledger.first.time_ns if ledger.first else 0)


def _leave(reader: LogReader, *, fine: int = FINE) -> NoReturn:
    """End with the exit code: damage wins over the answer."""
    rotten = [damage for damage in reader.damage if damage.is_rot]
    if rotten:
        first = rotten[0]
        where = f"segment {first.segment} at byte {first.offset}"
        _complain(f"damaged: {where}: {first.text}; what is shown leaves out what was lost")
    raise click.exceptions.Exit(DAMAGED if rotten else fine)


def _show(lines: Iterable[Line]) -> None:
    """Print lines; colour only on a terminal, and never where NO_COLOR forbids it."""
    if "NO_COLOR" in os.environ or not sys.stdout.isatty():
        print(as_text([[Span(plain(span.text)) for span in one] for one in lines]))
        return
    console = _console(sys.stdout)
    for one in lines:
        # Escaped here too, whatever a screen forgot: nothing of a log acts on the terminal.
        parts = [(plain(span.text), span.style) for span in one]
        console.print(Text.assemble(*parts), soft_wrap=True)


@lru_cache(maxsize=1)
def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _hint(log: Path, *commands: str) -> None:
    """Say on a terminal what to try next; a pipe wants the answer alone."""
    del log
    if commands and sys.stdout.isatty():
        _show([line(), *(line(f"  next: {_ourselves()} {command}") for command in commands)])


def _ourselves() -> str:
    """Return how to call this command: as it was called, where it is not found by its name."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m rescind.replay"
    return str(called) if shutil.which(called.name) is None else called.name


def _print_json(schema: str, log: Path, body: dict[str, Any], *, indent: int | None = 2) -> None:
    document = {"schema": f"rescind.{schema}", "version": VERSION, "log": str(log), **body}
    print(json.dumps(document, indent=indent, ensure_ascii=True))


def _complain(text: str, code: int = NOTHING) -> int:
    click.echo(f"rescind: {plain(text)}", err=True)
    return code


def main() -> NoReturn:
    """Run the command line: errors become one sentence and an exit code, never a traceback."""
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # arrows, on a terminal without them
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has enough; the interpreter must not try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FINE
    sys.exit(code)


def _run() -> int:
    try:
        # Not `cli.main`, which makes an exit code 1 of a closed pipe.
        with cli.make_context("rescind", sys.argv[1:]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return NOTHING
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except RescindError as error:
        return _complain(str(error), DAMAGED if isinstance(error, LogDamagedError) else NOTHING)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(f"{error.filename or 'input'}: {error.strerror or error}", NOTHING)
    return FINE
