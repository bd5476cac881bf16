"""Whole directories of recordings, each executed again in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from rescind import Runtime
from rescind.actors.runtime import Stepped
from rescind.events import UsageError, read
from rescind.replay import rerun, rerun_logs

from .shop import Till

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
COUNTER = """
from rescind import Actor, event, message
import sys

@message
class Add:
    n: int

@event
class Added:
    n: int

class Counter(Actor):
    total = 0

    def on_add(self, m: Add) -> int:
        self.record(Added(m.n))
        # here
        return self.total

    def apply_added(self, e: Added) -> None:
        self.total += e.n
"""
THIRD = 5
"""The turn in which the counter is told the third number."""


def load(path: Path) -> ModuleType:
    """Import a module from its file, and leave no trace of it but its name."""
    spec = spec_from_file_location("counter", path)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules["counter"] = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A folder with three recordings, and the module of their actor beside it."""
    monkeypatch.setitem(sys.modules, "counter", None)
    change(tmp_path, "")
    counter = load(tmp_path / "counter.py")
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("monday", "tuesday", "wednesday"):
        runtime = Runtime.open(folder / name, dispatcher=Stepped())
        ref = runtime.start(counter.Counter)
        for n in (1, 2, 3, 4):
            ref.ask(counter.Add(n))
        runtime.close()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((SOURCE, str(tmp_path))))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return folder


def change(folder: Path, line: str, *, instead: str = "# here") -> int:
    """Write today's code; return the number of the changed line."""
    text = COUNTER.replace(instead, line)
    (folder / "counter.py").write_text(text)
    return text[: text.index(line)].count("\n") + 1 if line else 0


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rescind.replay", "rerun", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


# --- code that does not come back -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("if m.n == 3: import os; os._exit(7)", "the handler ends the process with exit code 7"),
        (
            "if m.n == 3: import os; os.kill(os.getpid(), 9)",
            "the handler kills the process: SIGKILL",
        ),
        (
            "if m.n == 3: import ctypes; ctypes.string_at(0)",
            "the handler kills the process: SIGSEGV",
        ),
        ("while m.n == 3: pass", "the handler has not ended after 1 s"),
    ],
)
def test_a_handler_that_does_not_come_back_is_told_by_turn_actor_and_line(logs, line, what):
    number = change(logs.parent, line)
    (done,) = rerun_logs([logs / "monday"], modules=["counter"], time_limit_s=1)
    assert done.result is not None
    found = done.result.divergence
    assert found is not None
    assert (found.number, found.actor, found.what) == (THIRD, 2, what)
    if "SIGKILL" not in what:  # which nobody hears of
        assert found.line is not None
        assert (Path(found.line.file).name, found.line.line) == ("counter.py", number)
    assert not done.is_equal


def test_a_handler_that_keeps_python_from_running_is_ended(logs):
    line = "if m.n == 3: import re; re.match('(a*)*b', 'a' * 60)"
    number = change(logs.parent, line)
    (done,) = rerun_logs([logs / "monday"], modules=["counter"], time_limit_s=0.5)
    assert done.result is not None
    found = done.result.divergence
    assert found is not None
    assert (found.number, found.actor) == (THIRD, 2)
    assert found.line is not None
    assert (Path(found.line.file).name, found.line.line) == ("counter.py", number)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("if m.n == 3: sys.exit('enough')", "SystemExit: enough"),
        ("if m.n == 3: raise KeyError('three')", "KeyError: 'three'"),
        ("if m.n == 3: raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_a_handler_that_raises_is_told_with_the_line_that_raised(logs, line, text):
    number = change(logs.parent, line)
    (done,) = rerun_logs([logs / "monday"], modules=["counter"])
    assert done.result is not None
    found = done.result.divergence
    assert found is not None
    assert (found.number, found.what) == (THIRD, "other events")
    assert any(text in (each.actual or "") for each in found.differences)
    assert found.line is not None
    assert (found.line.line, found.line.is_exact) == (number, True)
    assert found.changed == ("counter.Counter",)


@pytest.mark.parametrize("line", ["sys.exit(3)", "import os; os._exit(3)", "while True: pass"])
def test_a_module_that_does_not_let_itself_be_imported_is_told(logs, line):
    change(logs.parent, f"import sys\n{line}", instead="import sys")
    done = rerun_logs([logs], modules=["counter"], time_limit_s=0.5)
    assert [each.result for each in done] == [None] * 3
    assert all("SystemExit: 3" in each.error or "importing" in each.error for each in done)
    assert command(logs, "--classes", "counter", "--time-limit", "0.5").returncode == 2


# --- a regression test over a directory -----------------------------------------------------------


def test_recordings_of_a_directory_come_in_the_order_of_their_names(logs):
    told: list[tuple[int, int]] = []
    done = rerun_logs([logs], modules=["counter"], jobs=2, progress=lambda *each: told.append(each))
    assert [each.path.name for each in done] == ["monday", "tuesday", "wednesday"]
    assert all(each.is_equal for each in done), "\n".join(map(str, done))
    assert told == sorted(told)
    assert {(1, 3), (2, 3), (3, 3)} <= set(told) <= {(ended, 3) for ended in range(4)}


def test_what_has_changed_in_one_recording_is_told_of_that_one(logs):
    change(logs.parent, "if m.n == 3: return 0")
    runtime = Runtime.open(logs / "a-day-without", dispatcher=Stepped())
    runtime.close()
    result = command(logs, "--classes", "counter")
    assert result.returncode == 1, result.stderr
    rows = result.stdout.splitlines()
    assert [row.split()[0] for row in rows[:4]] == ["nothing", "diverged", "diverged", "diverged"]
    assert "4 recordings: 1 nothing compared, 3 diverged" in rows
    assert result.stdout.count("divergence at turn 5: other events, taken by a2 Counter") == 3
    assert "  events[1] Replied.value\n  expected  3\n  actual    0\n" in result.stdout
    assert "counter.py:18 in Counter.on_add, where the turn's handler begins" not in result.stdout


def test_what_handlers_print_does_not_get_into_the_document(logs):
    change(logs.parent, "print('hello'); sys.stdout.flush()")
    result = command(logs / "monday", "--classes", "counter", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "rescind.rerun"
    assert [each["verdict"] for each in document["logs"]] == ["equal"]
    assert "hello" in result.stderr
    assert result.returncode == 0


def test_a_class_is_named_by_itself_if_another_process_can_import_it():
    class Inner(Till):
        pass

    with pytest.raises(UsageError, match="cannot be imported in another process"):
        rerun_logs(["nowhere"], classes=[Inner])


def test_a_class_that_is_not_there_is_told(logs):
    missing = type("Missing", (Till,), {"__module__": "counter", "__qualname__": "Missing"})
    (done,) = rerun_logs([logs / "monday"], classes=[missing])
    assert done.error == "there is no class Missing to be imported from counter"


def test_only_one_actor_is_executed_and_the_others_come_from_the_log(logs):
    result = command(logs / "monday", "--classes", "counter", "--of", "a2", "--json")
    found = json.loads(result.stdout)["logs"][0]["result"]
    assert (found["equal"], found["skipped"], found["divergence"]) == (8, 0, None)
    result = command(logs / "monday", "--classes", "counter", "--of", "a3", "--json")
    found = json.loads(result.stdout)["logs"][0]["result"]
    assert (found["equal"], found["skipped"]) == (2, 6)
    assert command(logs, "--of", "r2").returncode == 2


# --- damaged logs and others ----------------------------------------------------------------------


def test_a_damaged_recording_is_told_and_wins_over_a_divergence(logs):
    change(logs.parent, "if m.n == 3: return 0")
    segment = next((logs / "tuesday").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    result = command(logs, "--classes", "counter")
    assert result.returncode == 3
    assert "Traceback" not in result.stderr


def test_a_log_cut_at_any_point_comes_out_as_far_as_it_goes(logs, tmp_path):
    counter = load(logs.parent / "counter.py")
    segment = next((logs / "monday").glob("*.seg"))
    whole = segment.read_bytes()
    cut = tmp_path / "cut"
    cut.mkdir()
    for length in range(0, len(whole), 29):
        (cut / segment.name).write_bytes(whole[:length])
        found = rerun(read(cut), classes=[counter.Counter])
        assert found.divergence is None, (length, found)
        assert found.turns <= 8


def test_turns_behind_a_gap_are_not_executed_and_counted(logs):
    counter = load(logs.parent / "counter.py")
    numbers = [turn.number for turn in read(logs / "monday")]
    segment = next((logs / "monday").glob("*.seg"))
    whole = segment.read_bytes()
    reasons = set()
    for at in range(0, len(whole), 13):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        left = [turn.number for turn in read(logs / "monday")]
        found = rerun(logs / "monday", classes=[counter.Counter])
        begun = next((n for n, number in enumerate(left, 1) if n != number), len(left) + 1) - 1
        assert found.divergence is None, (at, found)
        assert (found.turns, found.unreachable) == (begun, len(left) - begun), at
        reasons |= {*found.reasons}
        assert bool(found.unreachable) == bool(found.reasons)
    beginning = "epoch 1 has no beginning: turns 1 to 3 are not there"
    assert {"turns 5 to 5 are lost", beginning} <= reasons
    assert numbers == list(range(1, 9))


def test_a_log_of_a_later_format_and_no_log_are_usage(tmp_path):
    corpus = Path(__file__).parents[1] / "corpus"
    (done,) = rerun_logs([corpus / "later-format"])
    assert "format" in done.error
    (tmp_path / "empty").mkdir()
    assert command(tmp_path / "empty").returncode == 2
    assert command(tmp_path / "nothing").returncode == 2


def test_every_damaged_log_there_is_gets_an_answer():
    corpus = Path(__file__).parents[1] / "corpus"
    for log in sorted(each.parent for each in corpus.rglob("*.seg")):
        if log.name in ("later-format", "not-a-log"):
            continue
        assert rerun(log).divergence is None, log
