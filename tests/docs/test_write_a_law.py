"""The laws that the guide writes find what it says, from the command line and from a program."""

import subprocess
import sys
from pathlib import Path

import pytest

import rescind
from tests.replay.recording import incident, save

ROOT = Path(__file__).resolve().parents[2]
SRC = Path(rescind.__file__).parents[1]
BLOCKS = (ROOT / "docs/how-to/write-a-law.md").read_text(encoding="utf-8").split("```")


def block(language: str, holding: str) -> str:
    (found,) = [b for b in BLOCKS if b.startswith(f"{language}\n") and holding in b]
    return found.removeprefix(f"{language}\n")


@pytest.fixture
def shop(tmp_path):
    save(incident().turns, tmp_path / "terminal.log")
    (tmp_path / "shop_laws.py").write_text(block("python", "@law("), encoding="utf-8")
    (tmp_path / "retry_laws.py").write_text(block("python", "(Law)"), encoding="utf-8")
    return tmp_path


def run(shop, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=shop, capture_output=True, text=True, encoding="utf-8",
        env={"PYTHONPATH": f"{SRC}:{shop}", "PATH": ""}, check=False,
    )  # fmt: skip


def test_the_command_of_the_page_proves_the_functions(shop):
    command = block("sh", "rescind check").split()
    assert command[0] == "rescind"
    done = run(shop, "-m", "rescind.replay", *command[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert "S1    holds   only the stop button cancels" in done.stdout
    assert "S2    holds   nothing takes longer than 5 ms" in done.stdout


def test_a_law_that_is_broken_says_where(shop):
    source = (shop / "shop_laws.py").read_text(encoding="utf-8")
    stricter = source.replace("> 5 else", "> 1 else").replace("stop_everything", "stop_all")
    (shop / "shop_laws.py").write_text(stricter, encoding="utf-8")
    done = run(shop, "-m", "rescind.replay", "check", "terminal.log", "--laws", "shop_laws")
    assert done.returncode == 1
    assert "c9 was asked for in stop_everything  turn 11" in done.stdout
    assert "ms  turn" in done.stdout


def test_the_program_of_the_page_runs(shop):
    done = run(shop, "-c", block("python", "import shop_laws"))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_the_class_of_the_page_is_proved(shop):
    done = run(shop, "-m", "rescind.replay", "check", "terminal.log", "--laws", "retry_laws")
    assert (done.returncode, done.stderr) == (0, "")
    assert "S3    holds   what was refused is not tried again at once" in done.stdout
