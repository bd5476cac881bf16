"""What the pages say is true: links lead somewhere, programs run, generated pages are current.

A Python block runs when the line above its fence is `<!-- run -->`.  It runs as a program of its
own in an empty folder.  Port 4000 in it is replaced by the port of a peer that accepts and then
reads slowly, so that a page can show a plain port number.
"""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rescind

ROOT = Path(__file__).resolve().parents[2]
SRC = Path(rescind.__file__).parents[1]  # the checkout, or where the wheel is installed
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "tests" / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(
    r"^(?P<mark><!-- run -->\n+)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<title>.+?) *$", re.MULTILINE)
COLUMNS = 100
README_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/rescind demo",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(language: str, *, marked: bool) -> list[tuple[str, str]]:
    """Return (place, code) of each block of *language*, by whether it is marked to run."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match["language"] == language and bool(match["mark"]) == marked:
                line = text.count("\n", 0, match.start("code")) + 1
                found.append((f"{name(page)}:{line}", match["code"]))
    return found


def slug(title: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
    return plain.strip().replace(" ", "-")


@contextmanager
def slow_peer() -> Iterator[int]:
    """Accept connections on a loopback port and read a few bytes of each, then no more."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:  # the server was closed
                    return
                held.append(peer)
                try:
                    peer.recv(16)
                except OSError:  # the program reset the connection
                    continue

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for peer in held:
                peer.close()
            thread.join(5)


RUNNABLE = blocks("python", marked=True)


@pytest.mark.parametrize(("place", "code"), RUNNABLE, ids=[place for place, _ in RUNNABLE])
def test_a_marked_program_runs(place, code, tmp_path):
    with slow_peer() as port:
        done = subprocess.run(
            [sys.executable, "-c", re.sub(r"\b4000\b", str(port), code)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(SRC), "PYTHONDEVMODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
    assert done.returncode == 0, f"{place}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_block_compiles(page):
    """Also those that are shown but not run."""
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match["language"] == "python":
            compile(match["code"], name(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_project_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    lost = []
    for match in LINK.finditer(text):
        target = match["target"] or match["image"]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            lost.append(target)
        elif anchor and there.suffix == ".md":
            titles = HEADING.findall(FENCE.sub("", there.read_text(encoding="utf-8")))
            if anchor not in {slug(title) for title in titles}:
                lost.append(target)
    assert not lost


def test_the_readme_shows_its_two_commands_alone():
    """`.ci/run` takes them from there and runs them as they are."""
    shown = [code.strip() for _, code in blocks("sh", marked=False)]
    for command in README_COMMANDS:
        assert command in shown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_screens_and_programs_fit_into_a_hundred_columns(page):
    text = page.read_text(encoding="utf-8")
    code = [line for match in FENCE.finditer(text) for line in match["code"].splitlines()]
    assert [line for line in code if len(line) > COLUMNS] == []


def test_the_readme_shows_the_demos_screens():
    """They are pasted by hand; this sees that they were, and that they tell of one sequence."""
    sequences, why = (code for _, code in blocks("text", marked=False)[:2])
    assert sequences.startswith("$ rescind sequences rescind-demo-1.log\n")
    command = re.match(r"\$ rescind why rescind-demo-1\.log --of (r\d+)\n\1 ", why)
    assert command
    refused = sequences.partition("refused")[2]
    assert re.search(rf"^ +{command[1]} +Output +-36003", refused, re.MULTILINE)


def test_navigation_and_pages_are_the_same():
    """The strict build says nothing when the navigation names a page that does not exist."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"[\w/-]+\.md", navigation)
    there = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(named) == sorted(there)


def test_the_command_line_page_is_current():
    from .cli_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.docs.cli_page"


def test_the_page_of_the_dialects_is_current():
    from .dialects_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.docs.dialects_page"
