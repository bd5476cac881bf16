"""`rescind export`."""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import click

from rescind.events import LogReader, UsageError, read
from rescind.replay._archive.archive import Archive
from rescind.replay._export.jsonl import turn_documents
from rescind.replay._export.perfetto import perfetto_trace
from rescind.replay._html.html import html_json, html_lines, html_of
from rescind.replay._state.state import History
from rescind.replay._words.text import Line, count, line
from rescind.replay._words.turns import TurnFilter

from ._shared import (
    CLASSES,
    FINE,
    JSON,
    LOG,
    NOTHING,
    Damageable,
    Progress,
    bounds_of,
    complain,
    json_text,
    leave,
    number_of,
    print_json,
    progress,
    show,
    tell_unknown,
    turn_filters,
    turns_of,
)


class _Asked(NamedTuple):
    """A log, where the export goes, which turns are wanted, and modules with actor classes."""

    reader: LogReader
    log: Path
    out: Path | None
    filters: dict[str, Any]
    modules: tuple[str, ...]


class _Made(NamedTuple):
    """An export: its pieces, of which none is large, and what to say when they are written.

    ``turns`` is how many pieces there may be, where each is of one turn.
    """

    pieces: Iterable[bytes]
    reader: Damageable
    turns: int | None = None
    lines: tuple[Line, ...] = ()
    document: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Format:
    """One form in which a log is written.

    Attributes:
        make: Makes it.
        filters: Which filters may choose what is in it; None allows all.
        needs_file: Whether it is nothing that a terminal or a pipe wants.
    """

    make: Callable[[_Asked], _Made]
    filters: frozenset[str] | None = None
    needs_file: bool = True


def _html(asked: _Asked) -> _Made:
    wanted = asked.filters
    first, last = turns_of(wanted["since"], wanted["until"], asked.reader.lookup())
    name = asked.log.name
    history = _history(asked.reader, asked.modules)
    with Progress(None, "turns") as bar:
        page = html_of(
            asked.reader, of=wanted["about"], first=first, last=last, name=name, history=history,
            progress=bar.at,
        )  # fmt: skip
    lines = tuple(html_lines(page, str(asked.out)))
    return _Made(map(str.encode, page.parts), page, lines=lines, document=html_json(page))


def _history(reader: LogReader, modules: tuple[str, ...]) -> History | None:
    if not modules:
        return None
    # Loads the actors and runs the application's code, so only where somebody asks for it.
    from rescind.replay._state.classes import OwnStates, classes_in  # noqa: PLC0415

    return OwnStates(reader, classes_in(modules)).history


def _wanted(asked: _Asked, archive: Archive) -> TurnFilter:
    given = asked.filters
    return TurnFilter(
        actor=number_of(given["actor"], archive), about=number_of(given["about"], archive),
        origin=given["origin"], kind=given["kind"], **bounds_of(given["since"], given["until"]),
    )  # fmt: skip


def _jsonl(asked: _Asked) -> _Made:
    archive = Archive(asked.reader)
    documents = turn_documents(asked.reader, _wanted(asked, archive))
    some = islice(documents, asked.filters["limit"])
    shown = (json_text("turn", asked.log, each) for each in some)
    return _Made((text.encode() + b"\n" for text in shown), asked.reader, archive.lookup.last)


def _perfetto(asked: _Asked) -> _Made:
    archive = Archive(asked.reader)
    wanted, limit = _wanted(asked, archive), asked.filters["limit"]
    pieces = perfetto_trace(asked.reader, asked.log.name, wanted, limit=limit)
    return _Made(pieces, asked.reader, archive.lookup.last)


_FORMATS = {
    "html": _Format(_html, filters=frozenset({"about", "since", "until"})),
    "jsonl": _Format(_jsonl, needs_file=False),
    "perfetto": _Format(_perfetto),
}


@click.command("export")
@LOG
@click.option("--to", "name", type=click.Choice(list(_FORMATS)), required=True, help="The format.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="Where it goes, in place of what is there; jsonl goes to the standard output without.",
)  # fmt: skip
@CLASSES
@turn_filters
@JSON
def command(
    log: Path,
    *,
    name: str,
    out: Path | None,
    modules: tuple[str, ...],
    as_json: bool,
    **filters: Any,
) -> None:
    """The log in a form that other tools read.

    html: one page for a browser, also without a network: search, charts, states, step by step;
    with --classes also the states of your own event-sourced actors.
    jsonl: each turn a JSON document on a line of its own, as `rescind turns --json` has it.
    perfetto: a trace for ui.perfetto.dev: the lives of requests, the windows of cancels, who
    cancelled whom.

    Which turns is chosen as in `rescind turns`; a page takes --of, --since and --until alone.
    """
    form = _FORMATS[name]
    given = {each for each, value in filters.items() if value is not None}
    if form.filters is not None and not given <= form.filters:
        of = "what --of, --since and --until choose"
        raise UsageError(f"{name} is written of {of}; leave the other filters away")
    if modules and name != "html":
        raise UsageError(f"--classes is for html; {name} shows no states")
    if form.needs_file and out is None:
        raise UsageError(f"{name} goes into a file: --out FILE")
    if as_json and out is None:
        raise UsageError(f"{name} is JSON as it is; --json tells of a file that --out names")
    reader = read(log)
    made = form.make(_Asked(reader, log, out, filters, modules))
    size = _to_stdout(made.pieces) if out is None else _to_file(_watched(made), out)
    if not size:
        tell_unknown(Archive(reader), reader, (filters["actor"], filters["about"]), filters["kind"])
        complain("no turn fits")
    elif as_json:
        print_json("export", log, {"to": name, "out": str(out), "bytes": size, **made.document})
    elif out is not None:
        show(made.lines or [line(f"{out}: {count(size, 'byte')}")])
    leave(made.reader, fine=FINE if size else NOTHING)


def _watched(made: _Made) -> Iterable[bytes]:
    return made.pieces if made.turns is None else progress(made.pieces, "turns", made.turns)


def _to_stdout(pieces: Iterable[bytes]) -> int:
    size = 0
    for piece in pieces:
        size += len(piece)
        sys.stdout.buffer.write(piece)
    return size


def _to_file(pieces: Iterable[bytes], out: Path) -> int:
    """Write a file that is there when it is whole, and not before."""
    if out.is_dir():
        raise UsageError(f"{out} is a directory; name the file")
    part = out.with_name(out.name + ".part")
    size = 0
    try:
        with part.open("wb") as file:
            for piece in pieces:
                size += file.write(piece)
        part.replace(out)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return size
