"""The programs in docs/examples stand whole on their pages, and run in a terminal too."""

import contextlib
from pathlib import Path

import pytest

from rescind.events import CancelRequested, read

from .lessons import blocks_of
from .programs import EXAMPLES, Terminal

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


@pytest.fixture
def terminal(tmp_path):
    with contextlib.closing(Terminal(tmp_path, "type_ahead.py", "--offline")) as it:
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
    assert terminal.wait() == 0
    assert terminal.is_as_before
    assert 1 <= cancels(tmp_path / "type_ahead.log") <= 7


def test_type_ahead_is_interrupted(terminal, tmp_path):
    terminal.read_until(AT_REST)
    terminal.press("w")
    terminal.read_until("\x1b[Kw  ")
    terminal.press("\x03")
    assert terminal.wait() == 0
    assert terminal.is_as_before
    assert "Traceback" not in terminal.shown
    assert cancels(tmp_path / "type_ahead.log") == 1
