"""The command line: thin over the room's functions, and the only file that knows click and rich.

Exit codes: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged (wins over
1; a torn tail is no damage).
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeAlias

import click
from rich.console import Console
from rich.text import Text

from rescind.events import LogDamagedError, LogReader, RescindError, Turn, read

from ._check import check, check_json, check_lines
from ._info import info, info_json, info_lines
from ._laws import Verdict
from ._model import Ledger, fold, new_ledger
from ._select import FORMS, Kind, SelectorError, Target, parse, resolve
from ._sequences import Docket, Sequence, hear, sequence_of
from ._sequences_screen import sequence_json, sequence_lines, sequences_summary
from ._sound import sound
from ._text import MARGIN, Clock, Line, Span, as_text, line, plain
from ._turns import TurnFilter, turn_json, turn_lines, turns_head
from ._why import story_of
from ._why_screen import story_json, story_lines

FINE, BAD, NOTHING, DAMAGED = 0, 1, 2, 3
INTERRUPTED = 130
VERSION = 0
"""The version of every JSON document: 0 until the tool is done."""

Show: TypeAlias = Callable[[Iterable[Line]], None]

ORDER = ("demo", "info", "sequences", "why", "turns", "check", "rerun")
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


# --- commands ------------------------------------------------------------------------------------


@cli.command("info")
@_LOG
@_JSON
def info_command(log: Path, *, as_json: bool) -> None:
    """Span, files, endpoints, counts by code, damage, chain head."""
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
@click.option("--to", "last", type=int, metavar="TURN", help="Not after this turn.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@_JSON
def turns_command(
    log: Path, *, actor: str | None, about: str | None, limit: int | None, as_json: bool,
    **bounds: Any,
) -> None:  # fmt: skip
    """The turns: who took what, because of what, and what came of it."""
    reader = read(log)
    number, mention = _number(actor, reader), _number(about, reader)
    wanted = TurnFilter(actor=number, about=mention, **bounds)
    shown = _print_turns(log, reader, wanted, limit=limit, as_json=as_json)
    _leave(reader, fine=FINE if shown else NOTHING)


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
@_ALL
@_JSON
def check_command(log: Path, *, show_all: bool, as_json: bool) -> None:
    """The laws and the chain: holds, broken or open, and the proof."""
    reader = read(log, verify_chain=True)
    report = check(reader)
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


def _print_turns(
    log: Path, reader: LogReader, wanted: TurnFilter, *, limit: int | None, as_json: bool
) -> int:
    """Print the turns as they are read, and return how many they were."""
    ledger = new_ledger(reader)
    shown = 0
    documents: list[dict[str, Any]] = []
    for turn in sound(reader):
        if (wanted.last is not None and turn.number > wanted.last) or shown == limit:
            break
        ledger.feed(turn)
        if not wanted.wants(turn):
            continue
        shown += 1
        if as_json:
            documents.append(turn_json(turn, ledger))
        else:
            _show_turn(turn, ledger, is_first=shown == 1)
    if as_json:
        _print_json("turns", log, {"turns": documents})
    elif not shown:
        _show([line("no turn fits")])
    return shown


def _show_turn(turn: Turn, ledger: Ledger, *, is_first: bool) -> None:
    clock = _clock(ledger)
    head = [turns_head(clock)] if is_first else []
    _show([*head, *turn_lines(turn, ledger, clock)])


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
    rotten = [damage for damage in reader.damage if not damage.torn]
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


def _print_json(schema: str, log: Path, body: dict[str, Any]) -> None:
    document = {"schema": f"rescind.{schema}", "version": VERSION, "log": str(log), **body}
    print(json.dumps(document, indent=2, ensure_ascii=True))


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
