"""A log as lines of JSON: the documents of `rescind turns`, from which the turns come back."""

import json
from pathlib import Path

import pytest

from rescind.events import Origin, Tell, read
from rescind.replay import TurnFilter, fold
from rescind.replay._export.jsonl import turn_documents
from rescind.replay._words.turns import turn_json

from .recording import Recording, everything, incident, save

PRUNED = Path(__file__).parents[1] / "corpus" / "pruned"


@pytest.fixture
def log(tmp_path):
    return save(everything().turns, tmp_path / "log")


def documents(log, **wanted):
    return list(turn_documents(read(log), TurnFilter(**wanted)))


def test_each_document_is_the_one_that_turns_shows(log):
    reader = read(log)
    ledger = fold(reader)
    assert documents(log) == [turn_json(turn, ledger) for turn in reader]


def test_filters_choose_turns_and_names_from_before_are_known(log):
    chosen = documents(log, actor=1, first=20, last=40)
    assert [each["turn"] for each in chosen] == [
        turn.number for turn in read(log) if turn.actor == 1 and 20 <= turn.number <= 40
    ]
    assert {each["label"] for each in chosen} == {"a1 newton endpoint"}


def test_of_a_pruned_log_names_come_from_its_keyframe():
    labels = [each["label"] for each in documents(PRUNED)]
    assert "a3 app.Crawler" in labels


@pytest.mark.parametrize("value", [b"\x00\xff", float("inf"), {1: 2}, (1, "\x1b[2J"), "\ud800"])
def test_whatever_a_payload_holds_a_document_is_one_line_of_json(value):
    r = Recording()
    r.turn(r.open(), Origin.APP, None, Tell(value))
    for document in turn_documents(r.turns, TurnFilter()):
        text = json.dumps(document)
        assert "\n" not in text
        assert json.loads(text) == document


def test_nothing_comes_of_an_empty_log():
    assert list(turn_documents([], TurnFilter())) == []


def test_documents_are_made_as_they_are_asked_for():
    def endless():
        yield from incident().turns
        pytest.fail("more was read than was asked for")

    found = turn_documents(endless(), TurnFilter())
    assert next(found)["turn"] == 1
