"""Recovery on the command line: what is saved, what is lost and why, and what comes next."""

import json
import os

import pytest
from click.testing import CliRunner

from rescind.events import read
from rescind.replay._words.text import MARGIN
from rescind.replay.cli import cli

from .recording import everything, save, spoil


def run(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def recovery(log, target):
    """Recover as JSON; return the exit code and the document."""
    result = run("recover", log, "--out", target, "--json")
    return result.exit_code, json.loads(result.stdout)


def screen(log, target, *options):
    result = run("recover", log, "--out", target, *options)
    assert max(map(len, result.stdout.splitlines())) <= MARGIN
    return result.stdout


@pytest.fixture
def log(tmp_path):
    """A log of 58 turns, one batch each, in several segments; every one is sealed."""
    return save(everything().turns, tmp_path / "a.log", per_batch=1, segment_bytes_max=6000)


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new.log"


def batches(log):
    return list(read(log).batches())


def spoil_turns(log, *numbers):
    """Change one byte in the body of each batch that holds one of the turns."""
    for batch in batches(log):
        if batch.first in numbers:
            spoil(log / f"{batch.segment:08d}.seg", batch.offset + 60)


def test_a_whole_log_is_said_to_be_whole_and_copied(log, new):
    result = run("recover", log, "--out", new)
    assert result.exit_code == 0
    assert "the log was whole; every turn was copied" in result.stdout
    assert list(read(new)) == list(read(log))
    assert run("info", new).exit_code == 0


def test_what_is_lost_is_told_with_numbers_rows_and_bytes(log, new):
    place = next(batch for batch in batches(log) if batch.first == 20)
    spoil_turns(log, 20, 21, 40)
    shown = screen(log, new)
    assert "saved       55 turns in " in shown
    assert "lost        turns 20..21\n" in shown
    where = f"segment {place.segment} at byte {place.offset:,}, {place.length:,} bytes"
    assert f"rot-body  {where}\n" in shown
    assert "a batch's header holds and its body does not" in shown
    assert "lost        turn 40\n" in shown
    assert "verdict     3 turns are lost; all else was saved" in shown


def test_the_document_says_the_same(log, new):
    place = next(batch for batch in batches(log) if batch.first == 20)
    spoil_turns(log, 20, 21, 40)
    code, found = recovery(log, new)
    assert code == 3
    assert (found["schema"], found["version"]) == ("rescind.recover", 0)
    assert (found["log"], found["target"]) == (str(log), str(new))
    assert (found["turns"], found["lossless"]) == (55, False)
    assert [(loss["first"], loss["last"], loss["at_most"]) for loss in found["lost"]] == [
        (20, 21, False), (40, 40, False),
    ]  # fmt: skip
    because = found["lost"][0]["because"]
    assert [each["kind"] for each in because] == ["rot-body", "rot-body"]
    assert (because[0]["segment"], because[0]["offset"]) == (place.segment, place.offset)


def test_the_new_log_holds_what_was_left_and_says_what_was_not(log, new):
    whole = list(read(log))
    spoil_turns(log, 20, 21, 40)
    recovery(log, new)
    assert list(read(new)) == [turn for turn in whole if turn.number not in {20, 21, 40}]
    result = run("info", new)
    assert result.exit_code == 0
    assert "whole but for 3 turns lost before it was recovered" in result.stdout
    assert "lost        turns 20..21, before this log was recovered\n" in result.stdout
    assert "chain holds   but for turns that a recovery could not save" in run("check", new).stdout


def test_a_second_recovery_does_not_blame_the_log_for_what_the_first_noted(log, new, tmp_path):
    spoil_turns(log, 20)
    recovery(log, new)
    code, found = recovery(new, tmp_path / "newer.log")
    assert (code, found["lossless"]) == (0, True)
    assert [loss["noted_before"] for loss in found["lost"]] == [True]
    shown = screen(new, tmp_path / "newest.log")
    assert "turn 20, noted by an earlier recovery" in shown
    assert "nothing more was lost" in shown


def test_an_end_that_was_never_finished_loses_nothing(log, new):
    last = log / f"{read(log).segments[-1]:08d}.seg"
    end = batches(log)[-1]
    last.write_bytes(last.read_bytes()[: end.offset + end.length - 9])
    code, found = recovery(log, new)
    assert (code, found["lossless"], found["turns"]) == (0, True, 57)
    shown = screen(log, new.with_name("other.log"))
    assert "unfinished  torn-body  segment" in shown
    assert "nothing was lost: every turn that there was is saved" in shown


def test_a_preamble_that_the_rest_of_the_log_tells_costs_nothing_and_is_named(log, new):
    spoil(log / "00000002.seg", 200)
    code, found = recovery(log, new)
    assert (code, found["made_out"], found["turns"]) == (0, [2], 58)
    shown = screen(log, new.with_name("other.log"))
    assert "made out    segment 2, whose preamble is damaged, from what else the log says" in shown


def test_a_segment_that_is_gone_is_a_loss_with_its_row(log, new):
    numbers = [b.first for b in batches(log) if b.segment == 2]
    (log / "00000002.seg").unlink()
    code, found = recovery(log, new)
    assert code == 3
    (loss,) = found["lost"]
    assert (loss["first"], loss["last"]) == (numbers[0], numbers[-1])
    assert [each["kind"] for each in loss["because"]] == ["missing-segment"]


def test_a_loss_at_the_end_is_an_upper_bound(log, new):
    first = next(b for b in batches(log) if b.segment == read(log).segments[-1])
    last = log / f"{first.segment:08d}.seg"
    data = last.read_bytes()
    last.write_bytes(data[: first.offset] + b"\x55" * (len(data) - first.offset))
    code, found = recovery(log, new)
    assert code == 3
    loss = found["lost"][-1]
    assert loss["at_most"]
    assert loss["first"] <= 58 <= loss["last"]
    shown = screen(log, new.with_name("other.log"))
    assert "at most: nothing behind tells how many there were" in shown
    assert "verdict     at most " in shown


def test_where_nothing_verifies_nothing_is_promised(tmp_path, new):
    log = save(everything().turns, tmp_path / "a.log")
    segment = log / "00000001.seg"
    segment.write_bytes(segment.read_bytes()[:31] + b"\x55" * 4000)
    result = run("recover", log, "--out", new)
    assert result.exit_code == 3
    assert "nothing could be saved: no batch of this log verifies" in result.stdout


def test_a_log_without_turns_is_no_damage(tmp_path, new):
    result = run("recover", save([], tmp_path / "empty.log"), "--out", new)
    assert result.exit_code == 0
    assert "the log holds no turn yet" in result.stdout


def test_many_losses_are_folded_unless_all_are_asked_for(log, tmp_path):
    spoil_turns(log, *range(2, 58, 2))
    assert "and 8 more (--all shows them)" in screen(log, tmp_path / "b.log")
    shown = screen(log, tmp_path / "c.log", "--all")
    assert shown.count("  lost        turn ") == 28


def make_log(path):
    return save(everything().turns[:3], path)


def make_file(path):
    path.write_text("mine", encoding="utf-8")


def make_folder(path):
    path.mkdir()
    (path / "mine.txt").write_text("mine", encoding="utf-8")


@pytest.mark.parametrize("make", [make_log, make_file, make_folder])
def test_what_is_at_the_target_stays(log, new, make):
    make(new)
    before = sorted((p, p.read_bytes()) for p in [new, *new.rglob("*")] if p.is_file())
    result = run("recover", log, "--out", new)
    assert result.exit_code != 0
    assert str(new) in str(result.exception)
    assert sorted((p, p.read_bytes()) for p in [new, *new.rglob("*")] if p.is_file()) == before


def test_the_log_itself_is_not_changed(log, new):
    spoil_turns(log, 20)
    before = {path.name: path.read_bytes() for path in log.iterdir()}
    recovery(log, new)
    assert {path.name: path.read_bytes() for path in log.iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="such names are not allowed there")
def test_names_of_logs_do_not_act_on_the_terminal(tmp_path):
    log = save(everything().turns, tmp_path / "a\x1b[31m.log")
    result = run("recover", log, "--out", tmp_path / "b\x1b[2J.log")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
