"""Pages that are followed step by step: every block is executed, in order, in one folder.

A page becomes a lesson by `<!-- lesson: FOLDER -->`.  A Python block is saved under the name in the
line above it, `<!-- save: NAME -->`; a diff is applied; the commands of a console block are run,
and what is shown below each is what it prints.  There `...` stands for any lines; durations,
times of day, turns (`t13`, `turn 13`, `← 13`), the ids of logs, ports of this machine,
pseudo-terminals and the spaces between columns may be others.  `<!-- needs: PROGRAM -->` names a
program that not everybody has.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rescind

LESSON = re.compile(r"^<!-- lesson: (?P<folder>[\w-]+) -->$", re.MULTILINE)
BLOCK = re.compile(
    r"^(?:<!-- save: (?P<name>[\w.-]+) -->\n+)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)
NEEDS = re.compile(r"^<!-- needs: (?P<program>[\w-]+) -->$", re.MULTILINE)
VARIES = re.compile(
    r"[+-]?\d[\d,.]* ?(?:s|ms|µs|ns)\b|\d\d:\d\d:\d\d\.\d+|\d{4}-\d\d-\d\d"
    r"|\bt\d+\b|\bturns? \d+(?:\.\.\d+)?|← \d+|^\d+ (?=0 )|\b127\.0\.0\.1:\d+|/dev/pts/\d+"
    r"|\b[0-9a-f]{6}(?=: [ar]\d)"
)
COMMANDS = {
    "python": "",
    "pytest": "-c \"import sys, pytest; sys.argv[0] = 'pytest'; sys.exit(pytest.main())\"",
    "rescind": '-c "from rescind.replay.cli import main; main()"',
}


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a lesson, and the line of the page where it begins."""

    line: int
    language: str
    text: str
    name: str | None


def folder_of(page: Path) -> str | None:
    """Return the name of the folder in which a page is followed, if it is a lesson."""
    found = LESSON.search(page.read_text(encoding="utf-8"))
    return found["folder"] if found else None


def missing(page: Path) -> list[str]:
    """Return the programs that a page needs and that are not here."""
    needed = NEEDS.findall(page.read_text(encoding="utf-8"))
    return [program for program in needed if shutil.which(program) is None]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start("text")), *found.group("language", "text", "name"))
        for found in BLOCK.finditer(text)
    ]


class Classroom:
    """A folder in which a lesson is followed, with the commands that a reader has."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = folder
        folder.mkdir()
        tools.mkdir()
        for name, arguments in COMMANDS.items():
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            tool.chmod(0o755)
        # The plugin by name: a checkout that is not installed has no entry point.
        ours = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "rescind.pytest_plugin"}
        paths = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(rescind.__file__).parents[1]),
        }
        self._environment = {**os.environ, **ours, **paths, "COLUMNS": "80", "NO_COLOR": "1"}
        self._environment.pop("CI", None)  # in which pytest prints more than it does to a reader

    def follow(self, block: Block) -> Iterator[str]:
        """Do what a block says; yields what came out otherwise than it shows."""
        match block.language:
            case "python" if block.name:
                (self.folder / block.name).write_text(block.text, encoding="utf-8")
            case "diff":
                code, said = self._run("git apply -", block.text)
                if code:
                    yield f"the diff does not fit\n{said}"
            case "console":
                for found in COMMAND.finditer(block.text):
                    yield from self._try(found["command"], found["shown"])
            case _:
                yield f"nobody follows a block of {block.language or 'no language'} without a name"

    def _try(self, command: str, shown: str) -> Iterator[str]:
        code, said = self._run(command)
        if not shown and code:
            yield f"$ {command}\nends with {code}\n{said}"
        elif shown and not shows(shown, said):
            yield f"$ {command}\nprints otherwise than the page shows:\n{said}"

    def _run(self, command: str, text: str = "") -> tuple[int, str]:
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self._environment, input=text,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=50,
        )  # fmt: skip
        return done.returncode, done.stdout


def shows(shown: str, said: str) -> bool:
    """Say whether a page shows what a command said."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in _lines(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(said))) is not None


def _lines(text: str) -> list[str]:
    return [VARIES.sub("#", " ".join(line.split())) for line in text.strip().splitlines()]
