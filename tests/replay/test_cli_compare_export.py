"""`rescind diff` and `rescind export` as they are called: what they print, and their exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rescind.events import Answer, Delivered, How, NotALogError, Origin, Tell, UsageError, read
from rescind.replay import diff, info
from rescind.replay.cli import cli

from .recording import Recording, everything, incident, save

ROT = Path(__file__).parents[1] / "corpus" / "rot-body"


def call(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture
def log(tmp_path):
    return save(everything().turns, tmp_path / "a.log")


@pytest.fixture
def other(tmp_path):
    turns = everything().turns
    at = next(n for n, turn in enumerate(turns) if isinstance(turn.message, Answer))
    ended = turns[at].events[0]._replace(code=-16009, how=How.FAILED)
    turns[at] = replace(turns[at], events=(ended,))
    return save(turns, tmp_path / "b.log")


def test_equal_recordings_are_fine_and_different_ones_are_not(log, other):
    assert call("diff", log, log).exit_code == 0
    assert call("diff", log, other).exit_code == 1


def test_a_comparison_says_first_what_explains_the_rest(log, other):
    shown = call("diff", log, other).stdout
    assert shown.startswith("differs: r2 Connect")
    assert "-16009 NOT_CONNECTED after 100 µs in B" in shown


def test_a_comparison_as_json_names_its_schema_and_both_logs(log, other):
    found = json.loads(call("diff", log, other, "--json").stdout)
    assert (found["schema"], found["version"]) == ("rescind.diff", 0)
    assert (found["log"], found["other"]) == (str(log), str(other))
    first = found["differences"][0]
    assert (first["change"], first["a"]["turn"], first["b"]["turn"]) == ("changed", 3, 3)


def test_damage_wins_over_a_difference_and_names_the_log(log):
    result = call("diff", log, ROT)
    assert result.exit_code == 3
    assert f"damaged: {ROT}" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["only-one"], ["nowhere", "nor-here"]])
def test_a_comparison_of_what_is_not_there_is_a_usage_error(arguments):
    result = call("diff", *arguments)
    assert result.exit_code == 2 or "nothing here" in str(result.exception)


def test_controls_in_a_payload_are_shown_and_not_sent(tmp_path, log):
    r = Recording()
    r.turn(r.open(), Origin.APP, None, Tell("\x1b[2J"))
    hostile = save(r.turns, tmp_path / "hostile")
    assert "\x1b" not in call("diff", log, hostile).stdout


def test_a_senseless_range_in_a_log_is_damage(tmp_path, log):
    turns = incident().turns
    r = Recording(turns)
    r.turn(1, Origin.ACTOR, 3, Tell(1), Delivered([1, 1 << 60], "script"))
    assert call("diff", log, save(turns, tmp_path / "senseless")).exception is not None


def test_lines_of_json_are_documents_of_turns(log):
    result = call("export", log, "--to", "jsonl", "--kind", "Rejected")
    (line,) = result.stdout.splitlines()
    shown = json.loads(call("turns", log, "--kind", "Rejected", "--json").stdout)["turns"]
    document = json.loads(line)
    assert (document.pop("schema"), document.pop("version")) == ("rescind.turn", 0)
    assert document.pop("log") == str(log)
    assert [document] == shown


def test_filters_that_nothing_passes_find_nothing(log):
    assert call("export", log, "--to", "jsonl", "--since", 10_000).exit_code == 2


def test_an_export_goes_into_a_file_at_once_and_leaves_nothing_else(log, tmp_path):
    out = tmp_path / "out.pftrace"
    out.write_text("what was there")
    assert call("export", log, "--to", "perfetto", "--out", out).exit_code == 0
    assert out.read_bytes().startswith(b"\x0a")
    assert not out.with_name("out.pftrace.part").exists()


def test_a_file_keeps_what_it_had_when_an_export_fails(tmp_path):
    r = Recording()
    r.turn(r.open(), Origin.APP, None, Tell(1), Delivered([1, 1 << 60], "script"))
    out = tmp_path / "out"
    out.write_text("what was there")
    result = call("export", save(r.turns, tmp_path / "log"), "--to", "perfetto", "--out", out)
    assert result.exit_code != 0
    assert out.read_text() == "what was there"
    assert not out.with_name("out.part").exists()


def test_a_trace_needs_a_file(log):
    result = call("export", log, "--to", "perfetto")
    assert "--out FILE" in str(result.exception)


def test_a_trace_takes_the_filters_of_the_turns(log, tmp_path):
    whole, part, limited = (tmp_path / name for name in ("whole", "part", "limited"))
    assert call("export", log, "--to", "perfetto", "--out", whole).exit_code == 0
    assert call("export", log, "--to", "perfetto", "--out", part, "--of", "r4").exit_code == 0
    assert call("export", log, "--to", "perfetto", "--out", limited, "--limit", 6).exit_code == 0
    assert b"r4 Output" in part.read_bytes()
    assert b"REQUEST_CANCELED" in part.read_bytes(), "though the turn that opened it is left out"
    assert b"r4 Output" in limited.read_bytes()
    assert b"c9 Cancel" in part.read_bytes(), "which ends it"
    assert b"r5 Output" in whole.read_bytes()
    assert b"r5 Output" not in part.read_bytes() + limited.read_bytes()


def test_a_trace_of_no_turn_is_said_to_be_none(log, tmp_path):
    result = call("export", log, "--to", "perfetto", "--out", tmp_path / "a", "--actor", "a0")
    assert (result.exit_code, result.stderr) == (2, "rescind: no turn fits\n")


@pytest.mark.parametrize("form", ["jsonl", "html", "perfetto"])
def test_a_range_is_the_same_by_turns_and_by_times(log, tmp_path, form):
    def exported(since, until):
        out = tmp_path / "out"
        bounds = ("--since", since, "--until", until)
        assert call("export", log, "--to", form, "--out", out, *bounds).exit_code == 0
        return out.read_bytes()

    turns = incident().turns
    first, last = (
        f"{turn.time_ns // 10**9}.{turn.time_ns % 10**9:09d}" for turn in turns[10:25:14]
    )
    assert exported(first, last) == exported(11, 25)
    assert exported(first, last) != exported(10, 25)
    assert exported(first, last) != exported(11, 26)


@pytest.mark.parametrize("form", ["jsonl", "html", "perfetto"])
def test_what_was_written_is_told_as_json(log, tmp_path, form):
    out = tmp_path / "out"
    told = json.loads(call("export", log, "--to", form, "--out", out, "--json").stdout)
    assert (told["schema"], told["to"], told["out"]) == ("rescind.export", form, str(out))
    assert told["bytes"] == out.stat().st_size
    assert told.get("turns") == (58 if form == "html" else None)


def test_json_lines_on_the_standard_output_are_told_nothing_of(log):
    result = call("export", log, "--to", "jsonl", "--json")
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""


def test_an_export_of_a_damaged_log_says_so(tmp_path):
    out = tmp_path / "out"
    assert call("export", ROT, "--to", "perfetto", "--out", out).exit_code == 3
    assert out.exists()


@pytest.mark.parametrize("ask", [list, info, lambda reader: diff(reader, incident().turns)])
def test_a_log_whose_segments_are_removed_while_it_is_read_is_not_called_empty(log, ask):
    reader = read(log)
    for segment in log.glob("*.seg"):
        segment.unlink()
    with pytest.raises(NotALogError, match="segments were removed"):
        ask(reader)
