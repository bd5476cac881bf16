"""`rescind sequences A B C`: what followed from a cancel in other logs stands behind it."""

import json

import pytest
from click.testing import CliRunner

from rescind.events import Cause, read
from rescind.replay import sequences
from rescind.replay.cli import cli

from .recording import Recording, save


def ask(*arguments):
    return CliRunner().invoke(cli, ["sequences", *map(str, arguments)])


@pytest.fixture
def three(tmp_path, monkeypatch):
    """A cancel in one log, what it led to in a second, and from there in a third; and their own."""
    monkeypatch.chdir(tmp_path)
    came_from: Cause | None = None
    for name in ("front.log", "middle.log", "back.log"):
        r = Recording()
        r.open()
        own = r.cancel([r.call("Output")])
        r.kill(own, [own - 1])
        victim = r.call("Output")
        cancel = r.cancel([victim], cause=came_from)
        r.kill(cancel, [victim])
        log = read(save(r.turns, tmp_path / name))
        came_from = Cause(r.where[cancel], 0, log.log_id)
    return ["front.log", "middle.log", "back.log"]


def places(result):
    return [
        (one["log"], one["cancel"], one["parent"], one["parent_log"])
        for one in json.loads(result.stdout)["sequences"]
    ]


def test_each_stands_behind_the_one_that_it_follows_from(three):
    front, middle, back = (read(log).log_id.hex() for log in three)
    shown = places(ask(*three, "--json"))
    first, second = shown[0][1], shown[1][1]
    assert shown == [
        (None, first, None, None),
        (None, second, None, None),
        (middle, second, second, front),
        (back, second, second, middle),
        (middle, first, None, None),
        (back, first, None, None),
    ]


def test_the_screen_names_the_logs_by_their_files(three):
    shown = ask(*three).stdout
    assert "log       middle.log" in shown
    assert "in the course of c5 of middle.log" in shown
    assert "log       front.log" not in shown, "that one was asked"
    assert "\n6 cancellations" in shown


def test_a_filter_chooses_in_the_first_log_and_what_follows_comes_along(three):
    assert [place[:2] for place in places(ask(*three, "--of", "c3", "--json"))] == [(None, 3)]
    assert len(places(ask(*three, "--of", "c5", "--json"))) == 3


def test_the_order_of_the_others_on_the_command_line_does_not_matter(three):
    front, middle, back = three
    told = [place[:2] for place in places(ask(front, back, middle, "--of", "c5", "--json"))]
    assert told == [place[:2] for place in places(ask(*three, "--of", "c5", "--json"))]


def test_of_the_last_log_alone_the_cause_is_named_by_nothing(three):
    assert places(ask(three[2], "--of", "c5", "--json")) == [(None, 5, None, None)]


def test_a_program_asks_the_same(three):
    first, *others = map(read, three)
    told = [(one.log or None, one.cancel) for one in sequences(first, others=others)]
    assert told == [place[:2] for place in places(ask(*three, "--json"))]


def test_only_one_log_is_followed(three):
    assert "--follow is for one log" in str(ask(*three, "-f").exception)
