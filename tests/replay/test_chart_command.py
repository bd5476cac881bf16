"""`rescind chart`: in which form it answers, where it writes, and how it ends."""

from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from rescind.replay.cli import cli

from .recording import Recording, everything, incident, save, spoil
from .test_cli import run


@pytest.fixture
def log(tmp_path):
    return save(incident().turns, tmp_path / "a.log")


def chart(log, *options):
    return CliRunner().invoke(cli, ["chart", str(log), *map(str, options)])


def test_the_form_is_what_is_asked_for_or_what_the_files_ending_says(log, tmp_path):
    svg, mermaid = chart(log, "--as", "svg").stdout, chart(log, "--as", "mermaid").stdout
    assert ET.fromstring(svg).get("class") == "rescind-chart"
    assert mermaid.startswith("sequenceDiagram\n")
    shown = chart(log).stdout
    for name, options, expected in [
        ("a.svg", [], svg),
        ("a.mmd", [], mermaid),
        ("a.txt", [], shown),
        ("b.txt", ["--as", "mermaid"], mermaid),
    ]:
        out = tmp_path / name
        result = chart(log, "--out", out, *options)
        assert result.exit_code == 0
        assert result.stdout.startswith(f"{out}: ")
        assert out.read_text(encoding="utf-8") == expected


def test_the_endings_of_the_program_mean_what_they_mean_everywhere(log, tmp_path):
    assert chart(log, "--of", "c9").exit_code == 0
    unknown = chart(log, "--of", "c10")
    assert unknown.exit_code == 2
    assert chart(log, "--since", "1000").exit_code == 2
    assert chart(log, "--as", "png").exit_code == 2
    empty = save(Recording().turns, tmp_path / "empty.log")
    assert chart(empty).exit_code == 2


def test_a_range_of_turns_may_be_named_by_times(log):
    turns = incident().turns
    first, last = (
        f"{turn.time_ns // 10**9}.{turn.time_ns % 10**9:09d}" for turn in turns[10:25:14]
    )
    shown = chart(log, "--since", first, "--until", last)
    assert shown.exit_code == 0
    assert shown.stdout == chart(log, "--since", 11, "--until", 25).stdout


def test_a_chart_that_cannot_be_written_is_said_to_be(log, tmp_path):
    result = run("chart", log, "--out", tmp_path / "missing" / "a.svg")
    assert result.returncode == 2
    assert "missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_log_is_charted_as_far_as_it_goes_and_said_to_be_damaged(tmp_path):
    log = save(everything().turns, tmp_path / "a.log")
    [segment] = log.glob("*.seg")
    spoil(segment, segment.stat().st_size // 2)
    result = run("chart", log, "--since", "1")
    assert result.returncode == 3
    assert "damaged" in result.stderr
    assert "Connect r2: ok" in result.stdout


def test_a_pipe_without_the_characters_gets_ascii(log):
    result = run("chart", log, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert result.stdout.isascii()
    assert "\\u" not in result.stdout
    assert "---------->" in result.stdout


def test_a_name_that_asks_for_no_form_is_refused_and_nothing_written(log, tmp_path):
    out = tmp_path / "chart.pdf"
    result = run("chart", log, "--out", out)
    assert result.returncode == 2
    assert "no form ends in .pdf" in result.stderr
    assert not out.exists()
