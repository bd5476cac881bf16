"""The golden logs are what the code writes, and they read as what is written beside them."""

import json
from itertools import pairwise

import pytest

from rescind.events import DirectoryStorage, read
from rescind.events._recovery import BATCH_ROWS, SEGMENT_ROWS, classify
from rescind.events._segment import Flaw, Opening, Window, read_preamble, walk

from .make import CASES, EXPECTED, HERE, document_of
from .shape import reading_of, turn_shape

AGAIN = "run: python -m tests.corpus.make"
BYTES_MAX = 30_000
"""A case is small enough to be looked at; every segment begins with the kinds that there are."""

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def files_in(folder):
    """Return the content of every file of a case, but for what it must read as."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != EXPECTED
    }


def expected_of(case):
    return json.loads((HERE / case.name / EXPECTED).read_text(encoding="utf-8"))


def test_every_case_has_a_folder_and_every_folder_a_case():
    folders = {path.name for path in HERE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {case.name for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)


@each_case
def test_the_code_writes_these_bytes(case):
    files = case.build()
    found = files_in(HERE / case.name)
    assert set(files) == set(found), AGAIN
    assert [name for name in files if files[name] != found[name]] == [], AGAIN
    assert sum(map(len, files.values())) <= BYTES_MAX


@each_case
def test_a_log_reads_as_it_must(case):
    folder = HERE / case.name
    reading = reading_of(folder)
    assert {"about": case.about, **json.loads(json.dumps(reading))} == expected_of(case), AGAIN
    assert document_of(case, folder) == (folder / EXPECTED).read_text(encoding="utf-8"), AGAIN


@each_case
def test_a_log_shows_the_damage_that_was_done_to_it(case):
    expected = expected_of(case)
    assert expected.get("error", "") == case.error
    assert tuple(place["row"] for place in expected.get("damage", ())) == case.rows


@each_case
def test_no_number_is_lost_without_a_word(case):
    expected = expected_of(case)
    turns = [turn["number"] for turn in expected.get("turns", ())]
    assert turns == sorted(set(turns))
    lost = {
        number
        for place in expected.get("damage", ())
        if place["first"] is not None
        for number in range(place["first"], (place["last"] or place["first"]) + 1)
    }
    gaps = {
        number
        for before, after in pairwise([turns[0] - 1, *turns] if turns else [])
        for number in range(before + 1, after)
    }
    assert gaps <= lost
    assert not lost & set(turns)


@each_case
def test_a_reader_that_trusts_checksums_sees_the_same_turns(case):
    if case.error:
        return
    turns = [turn_shape(turn) for turn in read(HERE / case.name)]
    assert json.loads(json.dumps(turns)) == expected_of(case)["turns"]


def test_every_row_of_the_table_of_damage_is_met():
    rows = {row for case in CASES for row in case.rows}
    assert rows == {row.label for row in BATCH_ROWS} | set(SEGMENT_ROWS)


def test_every_way_to_meet_a_row_is_met():
    """One name may stand in several rows; each of them has a case."""
    met = {row for case in CASES if not case.error for row in rows_in(HERE / case.name)}
    assert [row for row in BATCH_ROWS if row not in met] == []


def rows_in(folder):
    """Return the rows of the flaws in a log's segments, judged without the reader."""
    storage = DirectoryStorage(folder)
    openings = {}
    for segment in storage.segments():
        try:
            found = read_preamble(Window(storage, segment))
        except OSError:
            continue
        if isinstance(found, Opening) and found.preamble.segment == segment:
            openings[segment] = found
    for segment, opening in openings.items():
        following = openings.get(segment + 1)
        previous = None if following is None else following.preamble.previous
        for flaw in walk(Window(storage, segment), opening.preamble, opening.end):
            if isinstance(flaw, Flaw):
                promised = previous is not None and flaw.offset < previous.end
                yield classify(flaw, promised=promised)
    storage.close()
