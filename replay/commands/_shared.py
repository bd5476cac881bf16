"""What the commands share: options, exit codes, and how something is shown.

Exit codes: 0 fine; 1 the answer is bad; 2 usage, or nothing found; 3 the log is damaged (wins over
1; a torn tail is no damage, nor is a loss that a recovery noted); 130 interrupted.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from textwrap import indent
from typing import Any, NoReturn, Protocol, Self, TextIO, TypeVar

import click
import rich.progress
from rich.console import Console
from rich.text import Text

from rescind.events import Damage, LogReader, Lookup, UsageError, read
from rescind.replay._archive.archive import Archive
from rescind.replay._archive.select import (
    SelectorError,
    Target,
    TargetKind,
    check_kind,
    parse,
    resolve,
)
from rescind.replay._archive.trace import Archives
from rescind.replay._words.text import Line, Span, as_text, line, plain
from rescind.replay._words.units import Bound, parse_bound

F = TypeVar("F", bound=Callable[..., Any])

FINE, BAD, NOTHING, DAMAGED = 0, 1, 2, 3
INTERRUPTED = 130
VERSION = 0
"""The version of every JSON document: 0 until the tool is done."""

LOG = click.argument("log", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document instead.")
ALL = click.option("--all", "show_all", is_flag=True, help="Fold nothing.")
CLASSES = click.option(
    "--classes", "modules", multiple=True, metavar="MODULE",
    help="Import this module of yours for its actor classes.",
)  # fmt: skip
FOLLOW = click.option(
    "-f", "--follow", is_flag=True, help="Go on as turns become durable, until Ctrl-C."
)


def turn_filters(command: F) -> F:
    """Add the options that say which turns are wanted."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def turn_range(command: F) -> F:
    """Add the options that say from where to where, each a `Bound`."""
    return _SINCE(_UNTIL(command))


def bounds_of(since: Bound | None, until: Bound | None) -> dict[str, Any]:
    """Return a range as filters want it, which follow logs that grow: turns and times apart."""
    since, until = since or Bound(), until or Bound()
    bounds = {
        "first": since.turn, "last": until.turn,
        "since_ns": since.time_ns, "until_ns": until.time_ns,
    }  # fmt: skip
    return {name: bound for name, bound in bounds.items() if bound is not None}


def turns_of(
    since: Bound | None, until: Bound | None, lookup: Lookup
) -> tuple[int | None, int | None]:
    """Return a range as the numbers of its first and last turn; None where it has no bound."""
    first, last = (since or Bound()).turn, (until or Bound()).turn
    if since is not None and since.time_ns is not None:
        first = lookup.since(since.time_ns)
    if until is not None and until.time_ns is not None:
        last = lookup.since(until.time_ns + 1) - 1
    return first, last


def read_by(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return the callback of an option whose text one of our own parsers reads."""

    def convert(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except UsageError as error:
            raise click.BadParameter(plain(str(error)), context, parameter) from error

    return convert


def _countable(_: click.Context, __: click.Parameter, limit: int | None) -> int | None:
    """No log holds more, and `islice` counts no further."""
    return None if limit is None else min(limit, sys.maxsize)


_SINCE = click.option(
    "--since", callback=read_by(parse_bound), metavar="TURN|TIME",
    help="Not before this turn, or this moment: ISO 8601, UTC without a zone, or seconds since 1970"
    " with a point, as a whole number is a turn.",
)  # fmt: skip
_UNTIL = click.option(
    "--until",
    callback=read_by(parse_bound),
    metavar="TURN|TIME",
    help="Not after this turn or moment.",
)
_FILTERS = (
    click.option("--actor", metavar="SELECTOR", help="Turns that this actor took."),
    click.option("--of", "about", metavar="SELECTOR", help="Turns that have to do with this."),
    click.option(
        "--origin",
        type=click.Choice(["actor", "app", "io", "timer", "recovery"]),
        help="Who brought the message.",
    ),
    click.option("--kind", metavar="NAME", help="Message or event, such as Completed."),
    _SINCE,
    _UNTIL,
    click.option(
        "--limit", type=click.IntRange(min=0), callback=_countable, metavar="N",
        help="At most so many.",
    ),
)  # fmt: skip


def target_of(selector: str, archive: Archive) -> Target:
    """Return what a selector means; in a damaged log it may be lost instead of unknown."""
    try:
        return resolve(selector, archive)
    except SelectorError as error:
        complain(str(error))
        leave(archive.lookup, fine=NOTHING)


def number_of(selector: str | None, archive: Archive) -> int | None:
    """Return the number that a filter means; only forms without one need the log."""
    if selector is None:
        return None
    numbered = parse(selector)
    if numbered is not None and numbered[0] is not TargetKind.TURN:
        return numbered[1]
    target = target_of(selector, archive)
    if target.kind is TargetKind.TURN:
        text = f"{selector} is a turn; here an actor, request or cancel fits"
        raise SelectorError(selector, text)
    return target.number


def tell_unknown(
    archive: Archive, reader: LogReader, selectors: Iterable[str | None], kind: str | None
) -> None:
    """Where no turn fits: end with the filter that means nothing in the log, if one does."""
    for selector in selectors:
        if selector is not None and parse(selector) != (TargetKind.ACTOR, 0):  # the runtime itself
            target_of(selector, archive)
    if kind is not None:
        try:
            check_kind(kind, reader)
        except SelectorError as error:
            complain(str(error))
            leave(reader, fine=NOTHING)


class Damageable(Protocol):
    """Whoever reads a log, and says what it met that is not whole."""

    @property
    def damage(self) -> Sequence[Damage]:
        """What it met so far."""
        ...


def leave(reader: Damageable, *others: Archive, fine: int = FINE) -> NoReturn:
    """End with the exit code: damage wins over the answer, also damage of other logs read."""
    damaged = [tell_damage(reader), *(tell_damage(each.lookup, name_of(each)) for each in others)]
    raise click.exceptions.Exit(DAMAGED if any(damaged) else fine)


def archives_of(log: Path, others: Iterable[Path]) -> dict[bytes, Archive]:
    """Return the archives of logs by their ids; the one that was asked is the first.

    Raises:
        UsageError: Two of them are one log, or copies of one.
    """
    archives: dict[bytes, Archive] = {}
    for path in (log, *others):
        archive = Archive(read(path))
        known = archives.setdefault(archive.lookup.log_id, archive)
        if known is not archive:
            raise UsageError(f"{path} is the same log as {name_of(known)}")
    return archives


def names_of(archives: Archives) -> dict[str, str]:
    """Return what the logs are called, by their ids in hexadecimal."""
    return {log.hex(): name_of(archive) for log, archive in archives.items()}


def name_of(archive: Archive) -> str:
    """Return what a log is called by whoever named it on the command line."""
    path = archive.reader.path if archive.reader is not None else None
    return path.name if path is not None else ""


def tell_damage(reader: Damageable, log: str = "") -> bool:
    """Say what of a log was lost, if anything was; where there are several, of which one."""
    rotten = [damage for damage in reader.damage if damage.is_rot]
    if rotten:
        first = rotten[0]
        where = f"{log}{', ' * bool(log)}segment {first.segment} at byte {first.offset}"
        complain(f"damaged: {where}: {first.text}; what is shown leaves out what was lost")
    return bool(rotten)


def show(lines: Iterable[Line]) -> None:
    """Print lines; colour only on a terminal, and never where NO_COLOR forbids it."""
    make_room()
    if "NO_COLOR" in os.environ or not sys.stdout.isatty():
        print(as_text([[Span(plain(span.text)) for span in one] for one in lines]))
        return
    console = _console(sys.stdout)
    for one in lines:
        # Escaped here too, whatever a screen forgot: nothing of a log acts on the terminal.
        parts = [(plain(span.text), span.style) for span in one]
        console.print(Text.assemble(*parts), soft_wrap=True)


def make_room() -> None:
    """Hide every bar: something is about to be printed."""
    for bar in _bars:
        bar.hide()


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


def print_json(schema: str, log: Path, body: dict[str, Any], *, width: int | None = 2) -> None:
    print(json_text(schema, log, body, width=width))


def json_text(schema: str, log: Path, body: dict[str, Any], *, width: int | None = None) -> str:
    """Return a document, which names its schema and version, as text."""
    document = {"schema": f"rescind.{schema}", "version": VERSION, "log": str(log), **body}
    return json.dumps(document, indent=width, ensure_ascii=True)


class Documents:
    """Documents, printed as they are made: as one that holds them all, or live, each on a line."""

    def __init__(
        self,
        schema: str,
        log: Path,
        one: str = "",
        *,
        is_live: bool = False,
        name: str = "",
        **body: Any,
    ) -> None:
        """Begin.

        Args:
            schema: The schema of the document that holds them.
            log: Where they come from.
            one: The schema of a single one, when they are printed live.
            is_live: Whether they are.
            name: What the list of them is called; as the schema without.
            body: What stands before it.
        """
        self._name = name or schema
        self._body = body
        self._schema = schema
        self._log = log
        self._one = one
        self._is_live = is_live
        self._taken = 0

    def take(self, document: dict[str, Any]) -> None:
        """Print one."""
        make_room()
        if self._is_live:
            print_json(self._one, self._log, document, width=None)
            return
        self._begin()
        text = json.dumps(document, indent=2, ensure_ascii=True)
        print("," if self._taken else "", indent(text, "    "), sep="\n", end="")
        self._taken += 1

    def _begin(self) -> None:
        if not self._taken:
            head = json_text(self._schema, self._log, self._body, width=2)
            print(head.removesuffix("\n}") + f',\n  "{self._name}": [', end="")

    def end(self) -> None:
        """Print what closes the document that holds them all."""
        if not self._is_live:
            self._begin()
            print("\n  ]\n}" if self._taken else "]\n}")


class Progress:
    """A bar on the terminal for what takes longer than a second; it goes when there is output."""

    def __init__(self, total: int | None, noun: str) -> None:
        """Begin to count; ``total`` is None where nobody knows how many there are."""
        self._total = total
        self._noun = noun
        self._next_s = time.monotonic() + PATIENCE_S
        self._bar: rich.progress.Progress | None = None
        self._is_wanted = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def __enter__(self) -> Self:
        """Watch what is shown."""
        _bars.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no trace."""
        _bars.remove(self)
        self.hide()

    def at(self, done: int) -> None:
        """Say how far it is."""
        if not self._is_wanted or time.monotonic() < self._next_s:
            return
        if self._bar is None:
            console = Console(file=sys.stderr)
            self._bar = rich.progress.Progress(console=console, transient=True)
            self._bar.add_task(self._noun, total=self._total)
            self._bar.start()
        self._bar.update(rich.progress.TaskID(0), completed=done)
        self._next_s = time.monotonic() + _MOVES_S

    def hide(self) -> None:
        """Make room for output."""
        self._next_s = time.monotonic() + PATIENCE_S
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


_bars: list[Progress] = []

PATIENCE_S = 1.0
"""How long nothing may be shown before a bar is."""

_MOVES_S = 0.1
"""How often a bar moves; millions of turns are counted at next to no cost."""

T = TypeVar("T")


def progress(items: Iterable[T], noun: str, total: int | None) -> Iterator[T]:
    """Yield items under a bar that counts them; ``total`` is None where nobody knows how many."""
    with Progress(total, noun) as bar:
        for done, item in enumerate(items):
            bar.at(done)
            yield item


def complain(text: str, code: int = NOTHING) -> int:
    click.echo(f"rescind: {plain(text)}", err=True)
    return code
