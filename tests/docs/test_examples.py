"""The programs in docs/examples stand whole on their pages, and run in a terminal too."""

import contextlib
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from rescind.events import CancelRequested, read

from .lessons import blocks_of
from .test_pages import ROOT, SRC

EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
AT_REST = "\x1b[K  "
"""What type_ahead.py shows before the first key; what is pressed earlier is lost."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_stands_whole_on_the_page_that_is_followed(program):
    shown = [
        block.text
        for page in EXAMPLES.glob("*.md")
        for block in blocks_of(page)
        if block.name == program.name
    ]
    assert shown == [program.read_text(encoding="utf-8")]


def test_there_are_programs():
    assert PROGRAMS


class Terminal:
    """A program under a pseudo-terminal."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.settings = termios.tcgetattr(self._theirs)
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONDEVMODE": "1"},
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
        )

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def read_until(self, text: str) -> None:
        """Read what it shows; the test's own time-out ends a wait for what never comes."""
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096).decode()

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self.settings

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal(tmp_path):
    with contextlib.closing(Terminal(tmp_path, str(EXAMPLES / "type_ahead.py"), "--offline")) as it:
        yield it


def cancels(log: Path) -> int:
    return sum(isinstance(event, CancelRequested) for turn in read(log) for event in turn.events)


def test_type_ahead_in_a_terminal(terminal, tmp_path):
    terminal.read_until(AT_REST)
    typed = ""
    for key in "a.tesf\x7ft":
        typed = typed[:-1] if key == "\x7f" else typed + key
        terminal.press(key)
        terminal.read_until(f"\x1b[K{typed}  ")
    terminal.read_until("a.test  192.0.2.1")
    assert not terminal.is_as_before  # it takes key by key
    terminal.press("\r")
    assert terminal.process.wait() == 0
    assert terminal.is_as_before
    assert 1 <= cancels(tmp_path / "type_ahead.log") <= 7


def test_type_ahead_is_interrupted(terminal, tmp_path):
    terminal.read_until(AT_REST)
    terminal.press("w")
    terminal.read_until("\x1b[Kw  ")
    terminal.press("\x03")
    assert terminal.process.wait() == 0
    assert terminal.is_as_before
    assert "Traceback" not in terminal.shown
    assert cancels(tmp_path / "type_ahead.log") == 1
