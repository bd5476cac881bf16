"""Retention on the command line: what goes, what stays, and why something is held back."""

import json
import time

import pytest
from click.testing import CliRunner

from rescind.events import Entry, read
from rescind.replay._words.text import MARGIN
from rescind.replay.cli import cli

from .recording import MS, Recording, everything, save, spoil

DAY_NS = 86_400 * 10**9


def run(*arguments):
    return CliRunner().invoke(cli, ["prune", *map(str, arguments)])


def pruning(*arguments):
    """Prune as JSON; return the exit code and the document."""
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def long_recording(begin_ns):
    """Return the turns of twenty calls, a day between them."""
    r = Recording(time_ns=begin_ns)
    r.open()
    for _ in range(20):
        r.call("Output")
        r.time_ns += DAY_NS
    return r.turns


def state():
    return iter([Entry(1, 1, {"state": 5})])


def save_framed(turns, path, size):
    return save(turns, path, keyframes=state, per_batch=1, segment_bytes_max=size)


@pytest.fixture
def framed(tmp_path):
    """A log of several segments, with keyframes between its batches."""
    return save_framed(everything().turns, tmp_path / "a.log", 6500)


@pytest.fixture
def bare(tmp_path):
    """A log of several segments without any keyframe."""
    return save(everything().turns, tmp_path / "b.log", per_batch=1, segment_bytes_max=6000)


def segments(log):
    return [path.name for path in sorted(log.glob("*.seg"))]


def spans(log):
    return {info.number: (info.first, info.last) for info in read(log).info().segments}


def test_what_is_removed_is_told_with_turns_bytes_and_times(framed):
    last = spans(framed)[1][1]
    size = (framed / "00000001.seg").stat().st_size
    result = run(framed, "--keep-segments", 4)
    assert result.exit_code == 0
    assert f"removed     1 segment (1..1), turns 1..{last}, {size:,} bytes\n" in result.stdout
    assert "from        2026-09-21 14:13:20.000 UTC\n" in result.stdout
    assert "to          2026-09-21 14:13:20.0" in result.stdout
    assert "stands in for them" in result.stdout
    assert "kept        4 segments" in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) <= MARGIN
    assert len(segments(framed)) == 4


def test_the_rest_reads_as_before(framed):
    turns = list(read(framed))
    run(framed, "--keep-segments", 4)
    reader = read(framed)
    kept = list(reader)
    assert kept == turns[-len(kept) :]
    assert not reader.damage
    assert CliRunner().invoke(cli, ["info", str(framed)]).exit_code == 0


def test_a_dry_run_removes_nothing_and_says_the_same(framed):
    there = segments(framed)
    code, would = pruning(framed, "--keep-segments", 4, "--dry-run")
    assert segments(framed) == there
    assert "would go" in run(framed, "--keep-segments", 4, "--dry-run").stdout
    assert pruning(framed, "--keep-segments", 4) == (code, {**would, "dry_run": False})


def test_the_document_says_the_same(framed):
    last = spans(framed)[1][1]
    code, found = pruning(framed, "--keep-segments", 4)
    assert code == 0
    assert (found["schema"], found["version"], found["log"]) == ("rescind.prune", 0, str(framed))
    removed = found["removed"]
    assert (removed["segments"], removed["first"], removed["last"]) == ([1], 1, last)
    assert removed["first_time_ns"] < removed["last_time_ns"]
    assert found["kept"]["segments"] == 4
    assert (found["held"], found["state_lost"], found["damaged"]) == (None, False, False)
    assert found["keyframe"] >= last


def test_sizes_are_kept(framed):
    sizes = {path.name: path.stat().st_size for path in framed.glob("*.seg")}
    newest = sum(sizes.values()) - sizes["00000001.seg"]
    assert pruning(framed, "--keep-bytes", f"{newest}B")[1]["removed"]["segments"] == [1]


def test_days_are_kept(tmp_path):
    now_ns = time.time_ns()
    log = save_framed(long_recording(now_ns - 100 * DAY_NS), tmp_path / "old.log", 4000)
    last = read(log).info().segments[1].last
    [ended_ns] = [turn.time_ns for turn in read(log) if turn.number == last]
    days = (now_ns - ended_ns) / DAY_NS - 0.25
    assert pruning(log, "--keep-days", "101")[1]["removed"]["segments"] == []
    assert pruning(log, "--keep-days", f"{days:.2f}")[1]["removed"]["segments"] == [1, 2]


def test_a_log_in_virtual_time_has_no_days(tmp_path):
    log = save(long_recording(5 * MS), tmp_path / "stepped.log", per_batch=1)
    result = CliRunner().invoke(cli, ["prune", str(log), "--keep-days", "1"])
    assert result.exit_code != 0
    assert "stepped clock's" in str(result.exception)
    assert segments(log) == ["00000001.seg"]


def test_nothing_to_remove_is_fine_and_said_plainly(framed):
    result = run(framed, "--keep-bytes", "2GiB")
    assert result.exit_code == 0
    assert "nothing was removed: the log is within what is to be kept" in result.stdout
    dry = run(framed, "--keep-bytes", "2GiB", "--dry-run")
    assert "nothing would be removed" in dry.stdout


def test_what_no_keyframe_stands_in_for_is_held_and_the_screen_says_so(bare):
    result = run(bare, "--keep-segments", 1)
    assert result.exit_code == 0
    assert "held        segment 1 is kept: no keyframe stands in for what is in it" in result.stdout
    assert len(segments(bare)) == 3


def test_it_goes_when_that_is_asked_for_and_the_loss_is_said(bare):
    result = run(bare, "--keep-segments", 1, "--without-keyframe")
    assert result.exit_code == 0
    assert "the state that they built up is lost for good" in result.stdout
    assert len(segments(bare)) == 1


def test_the_newest_segment_is_never_removed(bare):
    run(bare, "--keep-bytes", "0", "--without-keyframe")
    assert len(segments(bare)) == 1


def test_a_damaged_segment_is_held_and_the_exit_code_is_3(bare):
    spoil(bare / "00000001.seg", 40)
    code, found = pruning(bare, "--keep-segments", 1, "--without-keyframe")
    assert (code, found["damaged"], found["removed"]["segments"]) == (3, True, [])
    result = run(bare, "--keep-segments", 1, "--without-keyframe")
    assert "held        segment 1 is kept: it is damaged; recover the log first" in result.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "say what to keep: --keep-bytes, --keep-segments or --keep-days"),
        (["--without-keyframe", "--dry-run"], "say what to keep"),
        (["--keep-bytes", "500M"], "'500M' is no size; write it like 800000, 500MB or 2GiB"),
        (["--keep-bytes", "-1"], "is no size"),
        (["--keep-segments", "0"], "x>=1"),
        (["--keep-days", "nan"], "'nan' is no number of days"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_and_a_sentence(framed, options, says):
    there = segments(framed)
    result = run(framed, *options)
    assert result.exit_code == 2
    assert says in result.output
    assert segments(framed) == there
