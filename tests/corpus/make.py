"""Write the golden logs anew: ``python -m tests.corpus.make``.

Every byte follows from the code: entropy and clock are handed in.  Run it when the format changes
and read what has changed in the ``expected.json`` files; a change that nobody wanted is a defect.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import damaged, whole
from .shape import as_text, reading_of
from .shelf import Files

HERE = Path(__file__).resolve().parent
EXPECTED = "expected.json"


class Case(NamedTuple):
    """One golden log.

    Attributes:
        build: Makes its files.
        about: What it shows, in a sentence.
        rows: The rows of the table of damage that a reader must report, in order.
        error: The error that a reader must raise instead.
    """

    build: Callable[[], Files]
    about: str
    rows: tuple[str, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """The case's folder."""
        return self.build.__name__.replace("_", "-")


CASES: tuple[Case, ...] = (
    Case(whole.one_segment, "one life, closed: batches, an index, a seal"),
    Case(whole.not_closed, "one life whose writer was killed between two batches"),
    Case(whole.without_records, "opened and closed"),
    Case(whole.two_epochs, "two lives that bind the same numbers to different things"),
    Case(whole.killed_and_continued, "a life that was killed, and the next"),
    Case(whole.rolled, "a segment for each batch"),
    Case(whole.pruned, "the first of three segments was removed on purpose"),
    Case(whole.every_kind, "each message and event of the vocabulary"),
    Case(whole.every_value, "each sort of value that MessagePack has, at its limits"),
    Case(whole.hard_values, "valid MessagePack that many libraries refuse"),
    Case(whole.opaque, "values that MessagePack cannot carry"),
    Case(whole.withheld, "values that a payload policy kept out of the log"),
    Case(whole.declared, "kinds that an application declared, as events and as values"),
    Case(whole.references, "values that stand for actors of this log and of another"),
    Case(whole.causes, "a cause of every sort, and every origin"),
    Case(whole.clock_that_jumps, "times that go back, that are zero and negative"),
    Case(whole.control_characters, "names and texts that would act on a terminal"),
    Case(whole.later_version, "kinds, fields, bindings and blocks of a later version"),
    Case(whole.keyframe, "a keyframe between batches"),
    Case(whole.keyframe_in_parts, "a keyframe in three parts, and the beginning of a next one"),
    Case(whole.foreign_mark, "a file named mark that is no mark"),
    Case(whole.other_files, "files that are not the log's, which nobody looks at"),
    Case(damaged.torn_header, "the end is inside a batch's header", ("torn-header",)),
    Case(damaged.torn_body, "the end is inside a batch's body", ("torn-body",)),
    Case(damaged.torn_body_continued, "the same, seen by the next writer", ("torn-body",)),
    Case(damaged.torn_seal, "killed while closing: half a seal", ("torn-header",)),
    Case(damaged.torn_blank_behind, "zeros behind the last batch", ("torn-blank",)),
    Case(damaged.torn_blank_header, "zeros in the last batch's place", ("torn-blank",)),
    Case(damaged.torn_blank_body, "zeros at the last batch's end", ("torn-blank",)),
    Case(damaged.torn_blank_continued, "the same, seen by the next writer", ("torn-blank",)),
    Case(damaged.torn_preamble, "the end is inside a segment's preamble", ("torn-preamble",)),
    Case(damaged.torn_preamble_continued, "the same, with a next life", ("torn-preamble",)),
    Case(damaged.sync_failed, "a batch whose sync failed", ("torn-disowned",)),
    Case(damaged.sync_failed_continued, "the same, with a next life", ("torn-disowned",)),
    Case(damaged.rot_header, "a header is damaged, a batch follows", ("rot-header",)),
    Case(damaged.rot_body, "a body is damaged, a batch follows", ("rot-body",)),
    Case(damaged.rot_body_length, "the body's own length is damaged", ("rot-body",)),
    Case(damaged.rot_body_last, "the last batch's body is damaged", ("rot-body",)),
    Case(damaged.rot_body_blank, "zeros where the next writer had found a batch", ("rot-body",)),
    Case(damaged.rot_tail, "the last batch's header is damaged", ("rot-tail",)),
    Case(damaged.rot_tail_continued, "the same, with a next life", ("rot-tail",)),
    Case(damaged.rot_tail_blank, "zeros where the next writer had found a header", ("rot-tail",)),
    Case(damaged.rot_copied_batch, "a batch again, where it was not written", ("rot-tail",)),
    Case(damaged.rot_log_in_payload, "a log inside a damaged batch", ("rot-header",)),
    Case(damaged.rot_index, "a page of the index is damaged", ("rot-body", "index")),
    Case(damaged.rot_seal, "the seal is damaged", ("rot-body",)),
    Case(damaged.rot_cut_header, "shorter than the next writer saw it", ("rot-cut",)),
    Case(damaged.rot_cut_body, "the same inside a body", ("rot-cut",)),
    Case(damaged.rot_preamble, "a preamble is damaged", ("rot-preamble",)),
    Case(damaged.rot_preamble_only, "the only preamble is damaged", ("rot-preamble",)),
    Case(damaged.rot_magic, "a preamble's magic is damaged", ("rot-preamble",)),
    Case(damaged.foreign, "a text file with a segment's name", ("foreign",)),
    Case(damaged.empty, "an empty file where a segment was", ("rot-cut",)),
    Case(damaged.not_a_log, "no segment is one", error="NotALogError"),
    Case(damaged.unreadable, "a directory with a segment's name", ("unreadable",)),
    Case(damaged.other_log, "a segment of another log", ("other-log",)),
    Case(damaged.duplicated, "a segment under a second name", ("misplaced",)),
    Case(damaged.exchanged, "two segments under each other's name", ("misplaced", "misplaced")),
    Case(damaged.missing_segment, "the second of three segments is gone", ("missing-segment",)),
    Case(damaged.missing_first, "the first is removed, the third gone", ("missing-segment",)),
    Case(damaged.missing, "cut exactly between two batches", ("missing",)),
    Case(damaged.repeated, "a batch that gives numbers again", ("repeated",)),
    Case(damaged.chain, "a record changed, checksums and all", ("chain",)),
    Case(damaged.chain_between_segments, "a segment with another history", ("chain",)),
    Case(damaged.undecodable, "checksums hold, records are none", ("undecodable",) * 11),
    Case(damaged.undecodable_prelude, "checksums hold, preludes are none", ("undecodable",) * 3),
    Case(damaged.undecodable_keyframe, "checksums hold, a keyframe is none", ("undecodable",)),
    Case(damaged.index_that_omits, "an index that hides an actor", ("index",)),
    Case(damaged.later_format, "a format that this program does not know", error="LogFormatError"),
    Case(damaged.recovered, "recovered from a damaged log", ("lost",)),
)


def write_files(folder: Path, files: Files) -> None:
    """Write a log's files into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def document_of(case: Case, folder: Path) -> str:
    """Read a case's log and return its expected.json."""
    return as_text({"about": case.about, **reading_of(folder)})


def main() -> None:
    """Write all cases and remove what is none any more."""
    with tempfile.TemporaryDirectory() as fresh:
        for case in CASES:
            folder = Path(fresh) / case.name
            write_files(folder, case.build())
            (folder / EXPECTED).write_text(document_of(case, folder), encoding="utf-8")
        for old in HERE.iterdir():
            if (old / EXPECTED).exists():
                shutil.rmtree(old)
        shutil.copytree(fresh, HERE, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
