"""Every command ends every log with an answer or a sentence, and an exit code that it documents."""

import shutil
import sys
import unicodedata
from pathlib import Path

import pytest

from rescind import Runtime, Stepped, newton
from rescind.events import Origin, Tell, Unknown
from rescind.replay._words.text import MARGIN
from rescind.replay.cli import COMMANDS, main

from .hostile import VALUES, hostile
from .recording import save

CORPUS = Path(__file__).parent.parent / "corpus"
LOGS = sorted(each.name for each in CORPUS.iterdir() if (each / "expected.json").exists())
SELECTORS = ("last", "1", "r1", "c1", "a1", "code=-16005", "code=0", "r999999999999999999", "-1")
QUESTIONS = (
    "info LOG", "info LOG --json",
    "sequences LOG", "sequences LOG --all --json", "sequences LOG --until 0001-01-01",
    *(f"why LOG --of {selector}" for selector in SELECTORS), "why LOG --of last --json",
    *(f"state LOG --at {at}" for at in ("1", "5", f"{10**30}", "1e400", "0001-01-01")),
    "state LOG --at 3 --all --json", "state LOG --diff 1 3", "state LOG --at 3 --of a1",
    *(f"chart LOG --of {selector}" for selector in SELECTORS), "chart LOG", "chart LOG --json",
    "chart LOG --as svg --since 1", "chart LOG --as mermaid --since 1", "chart LOG --since 1 --all",
    *(f"turns LOG --of {selector}" for selector in SELECTORS), "turns LOG", "turns LOG --json",
    f"turns LOG --since {10**20}", f"turns LOG --until {10**17}", f"turns LOG --limit {10**20}",
    "turns LOG --since nan", "turns LOG --kind Typo", "turns LOG --actor a99",
    "check LOG", "check LOG --json",
    "diff LOG LOG", "diff LOG LOG --json",
    "export LOG --to jsonl", "export LOG --to perfetto --out FILE",
    "export LOG --to html --out FILE", "export LOG --to html --out FILE --of last",
    "recover LOG --out FILE", "prune LOG --keep-segments 1 --dry-run",
)  # fmt: skip
"""Of every command but two: `demo` reads no log, and `rerun` is asked below, for it starts others.

No log is pruned in earnest: they are of the corpus.
"""
AS_TEXT = ("html", "jsonl", "svg", "mermaid", "--json")
"""Forms that are as wide as what they hold."""


def acts_on_a_terminal(text):
    """The characters that would be interpreted: controls, and what turns text round."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return sorted({c for c in text if c != "\n" and unicodedata.category(c) in kinds})


@pytest.fixture
def ask(monkeypatch, capfd, tmp_path):
    def ask(question, log):
        file = tmp_path / "out"
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
        names = {"LOG": str(log), "FILE": str(file)}
        words = [names.get(word, word) for word in question.split()]
        monkeypatch.setattr(sys, "argv", ["rescind", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr()
        return end.value.code, said.out, said.err

    return ask


def faults(question, code, out, err):
    """What is wrong with how a question was answered."""
    if code not in range(4):
        yield f"exit code {code}"
    if "Traceback" in out + err:
        yield "a traceback"
    if code and not (out + err).strip():
        yield "silent"
    if found := acts_on_a_terminal(out + err):
        yield f"interpreted {found!a}"
    wide = [line for line in out.splitlines() if len(line) > MARGIN]
    if wide and not any(word in AS_TEXT for word in question.split()):
        yield f"overflows: {wide[0]}"


def assert_answered(ask, log):
    __tracebackhide__ = True
    wrong = {question: list(faults(question, *ask(question, log))) for question in QUESTIONS}
    assert not {question: found for question, found in wrong.items() if found}


@pytest.mark.parametrize("name", LOGS)
def test_every_command_ends_every_golden_log_with_a_sentence(name, ask, monkeypatch):
    monkeypatch.chdir(CORPUS)
    assert_answered(ask, Path(name))


@pytest.mark.parametrize("cut", [0, 1, 40, 700, 2_900, 4_000, 5_111])
def test_every_command_ends_a_log_that_is_cut_anywhere(cut, ask, tmp_path, monkeypatch):
    whole = (CORPUS / "every-kind" / "00000001.seg").read_bytes()
    monkeypatch.chdir(tmp_path)
    Path("cut").mkdir()
    Path("cut", "00000001.seg").write_bytes(whole[:cut])
    assert_answered(ask, Path("cut"))


def test_every_command_shows_hostile_words_and_obeys_none(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save([turn for turn in hostile().turns if is_written(turn)], Path("hostile"))
    assert_answered(ask, Path("hostile"))


def is_written(turn):
    """Whether a writer could have written it, and it is no weight: no kinds that nobody knows."""
    parts = [turn.message, *turn.events]
    if isinstance(turn.message, Tell) and turn.message.value in VALUES[-2:]:
        return False
    return not any(isinstance(part, Unknown) for part in parts) and turn.origin in set(Origin)


@pytest.mark.parametrize("name", ["every-kind", "rot-body", "undecodable", "without-records"])
def test_a_rerun_ends_every_log_with_a_sentence(name, ask, monkeypatch):
    monkeypatch.chdir(CORPUS)
    question = f"rerun {name}"
    assert not list(faults(question, *ask(question, Path(name))))


def test_every_command_is_asked():
    assert {question.split()[0] for question in QUESTIONS} == set(COMMANDS) - {"demo", "rerun"}


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "1e400", "-1"])
def test_a_time_limit_that_is_none_is_refused(seconds, ask, monkeypatch):
    monkeypatch.chdir(CORPUS)
    code, _, said = ask(f"rerun every-kind --time-limit {seconds}", Path("every-kind"))
    assert code == 2
    assert "write seconds from 0.1 to 86,400" in said


def test_a_rerun_from_a_turn_that_is_not_there_is_refused(ask, monkeypatch):
    monkeypatch.chdir(CORPUS)
    code, _, said = ask("rerun one-segment --from 4711", Path("one-segment"))
    assert code == 2
    assert "turn 4711 is not in the log, which holds turns 1.." in said


def test_an_export_into_a_directory_is_refused(ask, tmp_path):
    code, _, said = ask(f"export LOG --to perfetto --out {tmp_path}", CORPUS / "one-segment")
    assert code == 2
    assert "is a directory; name the file" in said


def test_what_ended_though_it_was_no_request_is_not_the_last_outcome(ask):
    code, _, said = ask("why LOG --of last", CORPUS / "every-kind")
    assert code == 2
    assert said == "rescind: the log has no outcome yet\n"


def test_the_codes_of_real_endpoints_are_selectors(ask, tmp_path):
    log = tmp_path / "terminal.log"
    with Runtime.open(log, dispatcher=Stepped()) as runtime:
        endpoint = newton.Endpoint(runtime, newton.twin())
        with pytest.raises(newton.CommError) as refused:
            endpoint.output(b"before it is bound")
    code, out, said = ask(f"why LOG --of code={refused.value.code:d}", log)
    assert (code, said) == (0, "")
    assert "Output was refused" in out
