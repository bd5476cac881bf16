"""`rescind export`."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

import click

from rescind.events import LogReader, UsageError, read
from rescind.replay._archive import Archive
from rescind.replay._jsonl import turn_documents
from rescind.replay._perfetto import perfetto_trace
from rescind.replay._text import count, line
from rescind.replay._turns import TurnFilter

from ._shared import FINE, LOG, NOTHING, json_text, leave, number_of, show, turn_filters


@dataclass(frozen=True, slots=True)
class _Format:
    """One form in which a log is written.

    Attributes:
        write: Yields it in pieces, of which none is large.
        takes_filters: Whether it can be made of some turns alone.
        needs_file: Whether it is nothing that a terminal or a pipe wants.
    """

    write: Callable[[LogReader, Path, "_Wanted"], Iterator[bytes]]
    takes_filters: bool = False
    needs_file: bool = True


@dataclass(frozen=True, slots=True)
class _Wanted:
    filter: TurnFilter
    since_ns: int | None
    limit: int | None

    @property
    def is_everything(self) -> bool:
        return self == _Wanted(TurnFilter(), None, None)


def _jsonl(reader: LogReader, log: Path, wanted: _Wanted) -> Iterator[bytes]:
    documents = turn_documents(reader, wanted.filter)
    since_ns = wanted.since_ns
    if since_ns is not None:
        documents = dropwhile(lambda document: document["time_ns"] < since_ns, documents)
    for document in islice(documents, wanted.limit):
        yield json_text("turn", log, document).encode() + b"\n"


def _perfetto(reader: LogReader, log: Path, _wanted: _Wanted) -> Iterator[bytes]:
    yield from perfetto_trace(reader, log.name)


_FORMATS = {
    "jsonl": _Format(_jsonl, takes_filters=True, needs_file=False),
    "perfetto": _Format(_perfetto),
}


@click.command("export")
@LOG
@click.option("--to", "name", type=click.Choice(list(_FORMATS)), required=True, help="The format.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE",
    help="Where it goes, in place of what is there; jsonl goes to the standard output without.",
)  # fmt: skip
@turn_filters
@click.option("--until", "last", type=int, metavar="TURN", help="Not after this turn.")
def command(  # noqa: PLR0913 - every one is an option
    log: Path, *, name: str, out: Path | None, actor: str | None, about: str | None,
    since_ns: int | None, limit: int | None, **bounds: Any,
) -> None:  # fmt: skip
    """The log in a form that other tools read.

    jsonl: each turn a JSON document on a line of its own, as `rescind turns --json` has it.
    perfetto: a trace for ui.perfetto.dev: the lives of requests, the windows of cancels, who
    cancelled whom.

    Which turns is chosen as in `rescind turns`; a trace is always of the whole log.
    """
    form = _FORMATS[name]
    reader = read(log)
    archive = Archive(reader)
    chosen = TurnFilter(actor=number_of(actor, archive), about=number_of(about, archive), **bounds)
    wanted = _Wanted(chosen, since_ns, limit)
    if not form.takes_filters and not wanted.is_everything:
        raise UsageError(f"{name} is written of the whole log; leave the filters away")
    if form.needs_file and out is None:
        raise UsageError(f"{name} goes into a file: --out FILE")
    pieces = form.write(reader, log, wanted)
    size = _to_stdout(pieces) if out is None else _to_file(pieces, out)
    if out is not None:
        show([line(f"{out}: {count(size, 'byte')}")])
    leave(reader, fine=FINE if size else NOTHING)


def _to_stdout(pieces: Iterable[bytes]) -> int:
    size = 0
    for piece in pieces:
        size += len(piece)
        sys.stdout.buffer.write(piece)
    return size


def _to_file(pieces: Iterable[bytes], out: Path) -> int:
    """Write a file that is there when it is whole, and not before."""
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
