"""What the commands share: options, exit codes, and how something is shown.

Exit codes: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged (wins over
1; a torn tail is no damage, nor is a loss that a recovery noted); 130 interrupted.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click
from rich.console import Console
from rich.text import Text

from rescind.events import LogReader, UsageError
from rescind.replay._fold import fold
from rescind.replay._model import Ledger
from rescind.replay._select import Kind, SelectorError, Target, parse, resolve
from rescind.replay._text import Clock, Line, Span, as_text, line, plain

FINE, BAD, NOTHING, DAMAGED = 0, 1, 2, 3
INTERRUPTED = 130
VERSION = 0
"""The version of every JSON document: 0 until the tool is done."""

LOG = click.argument("log", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document instead.")
ALL = click.option("--all", "show_all", is_flag=True, help="Fold nothing.")


def read_by(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback of an option whose text one of our own parsers reads."""

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except UsageError as error:
            raise click.BadParameter(plain(str(error)), context, parameter) from error

    return convert


def target_of(selector: str, ledger: Ledger, reader: LogReader) -> Target:
    """Return what a selector means; in a damaged log it may be lost instead of unknown."""
    try:
        return resolve(selector, ledger)
    except SelectorError as error:
        complain(str(error))
        leave(reader, fine=NOTHING)


def number_of(selector: str | None, reader: LogReader) -> int | None:
    """Return the number that a filter means; only forms without one need the log."""
    if selector is None:
        return None
    numbered = parse(selector)
    if numbered is not None and numbered[0] is not Kind.TURN:
        return numbered[1]
    target = target_of(selector, fold(reader), reader)
    if target.kind is Kind.TURN:
        text = f"{selector} is a turn; here an actor, request or cancel fits"
        raise SelectorError(selector, text)
    return target.number


def clock_of(ledger: Ledger) -> Clock:
    return Clock(ledger.first.time_ns if ledger.first else 0)


def leave(reader: LogReader, *, fine: int = FINE) -> NoReturn:
    """End with the exit code: damage wins over the answer."""
    rotten = [damage for damage in reader.damage if damage.is_rot]
    if rotten:
        first = rotten[0]
        where = f"segment {first.segment} at byte {first.offset}"
        complain(f"damaged: {where}: {first.text}; what is shown leaves out what was lost")
    raise click.exceptions.Exit(DAMAGED if rotten else fine)


def show(lines: Iterable[Line]) -> None:
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


def hint(log: Path, *commands: str) -> None:
    """Say on a terminal what to try next; a pipe wants the answer alone."""
    del log
    if commands and sys.stdout.isatty():
        show([line(), *(line(f"  next: {ourselves()} {command}") for command in commands)])


def ourselves() -> str:
    """Return how to call this command: as it was called, where it is not found by its name."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m rescind.replay"
    return str(called) if shutil.which(called.name) is None else called.name


def print_json(schema: str, log: Path, body: dict[str, Any], *, indent: int | None = 2) -> None:
    document = {"schema": f"rescind.{schema}", "version": VERSION, "log": str(log), **body}
    print(json.dumps(document, indent=indent, ensure_ascii=True))


def complain(text: str, code: int = NOTHING) -> int:
    click.echo(f"rescind: {plain(text)}", err=True)
    return code
