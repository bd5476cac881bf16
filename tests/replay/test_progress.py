"""Bars: on the terminal's standard error alone, and gone without a trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rescind

from .recording import incident, save

SOURCE = str(Path(rescind.__file__).parents[1])
IMPATIENT = """
import sys
from rescind.replay._diff import diff as _diff
from rescind.replay.commands import _shared
_diff.PROGRESS_TURNS = 1
_shared.PATIENCE_S = 0
from rescind.replay.cli import cli
cli(sys.argv[1:], prog_name="rescind")
"""
ERASED = b"\x1b[2K"


@pytest.fixture
def log(tmp_path):
    return save(incident().turns, tmp_path / "some.log")


def told(*arguments, stderr):
    """Run the program, whose bars come at once, and return what it wrote to where it answers."""
    result = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, check=False,
        env={**os.environ, "PYTHONPATH": SOURCE, "TERM": "xterm-256color"},
    )  # fmt: skip
    assert result.returncode == 0, result
    return result


def on_a_terminal(*arguments):
    """Return what comes to the standard output, and what the terminal is told."""
    pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
    leader, follower = pty.openpty()
    result = told(*arguments, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other side closed
        pass
    os.close(leader)
    return result.stdout, shown


def commands(log, tmp_path):
    return [
        ["diff", log, log],
        ["recover", log, "--out", tmp_path / "saved.log"],
        ["export", log, "--to", "html", "--out", tmp_path / "page.html"],
    ]


@pytest.mark.parametrize("at", range(3))
def test_a_bar_is_on_the_terminal_alone_and_goes(log, tmp_path, at):
    answer, shown = on_a_terminal(*commands(log, tmp_path)[at])
    assert b"turns" in shown
    assert shown.rstrip().endswith(ERASED), shown[-80:]
    assert b"\x1b" not in answer


@pytest.mark.parametrize("at", range(3))
def test_where_no_terminal_is_there_is_no_bar(log, tmp_path, at):
    assert told(*commands(log, tmp_path)[at], stderr=subprocess.PIPE).stderr == b""
