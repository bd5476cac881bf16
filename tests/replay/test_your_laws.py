"""Laws of yours: functions and classes, named on the command line, and what they raise."""

import json
import os
import signal

import pytest
from click.testing import CliRunner

from rescind.events import CancelBegan, Completed, How, UsageError
from rescind.replay import LAWS, Court, Law, LawFailedError, Verdict, check, law
from rescind.replay._laws.check import laws_in
from rescind.replay.cli import cli

from .recording import incident, save
from .test_follow import Writer, documents, following

SENDS = """
from rescind.events import Accepted
from rescind.replay import law

@law("X1", "nobody sends", Accepted)
def nobody_sends(event, turn, ledger):
    return "it sends" if event.operation == "Output" else None
"""
pytestmark = pytest.mark.usefixtures("_modules")


@pytest.fixture
def _modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)


def module(tmp_path, name, text):
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return name


def reports(turns, *laws):
    return {each.law: each for each in check(turns, laws=[*LAWS, *laws]).laws}


def test_a_function_hears_events_when_the_ledger_knows_them():
    @law("X1", "every victim is known", CancelBegan)
    def known(event, turn, ledger):
        victims = ledger.cancels[event.cancel].victims
        return f"c{event.cancel} has {len(victims)} victims" if len(victims) > 5 else None

    (finding,) = reports(incident().turns, known)["X1"].findings
    assert (finding.subject, finding.turns, finding.about) == ("c9", (11,), (9,))
    assert finding.text == "c9 has 6 victims"


def test_a_function_is_a_law_with_its_own_name():
    @law("X1", "says nothing", Completed)
    def quiet(event, turn, ledger):
        """Judge nothing."""

    assert issubclass(quiet, Law)
    assert (quiet.__name__, quiet.__doc__, quiet.id) == ("quiet", "Judge nothing.", "X1")
    assert reports(incident().turns, quiet)["X1"].judged == 8


def test_a_law_without_events_is_refused():
    with pytest.raises(UsageError, match="law X1: say which events it judges"):
        law("X1", "everything")


def test_what_a_law_raises_names_it_and_the_turn():
    @law("X1", "fails", Completed)
    def fails(event, turn, ledger):
        raise LookupError("as asked")

    with pytest.raises(LawFailedError, match=r"law X1 failed at turn 3: LookupError: as asked"):
        check(incident().turns, laws=[*LAWS, fails])


def test_a_law_that_raises_at_the_end_is_named_too():
    class Late(Law):
        """A law of a test."""

        id = "X2"
        says = "fails late"

        def log_ends(self):
            raise ValueError("late")

    with pytest.raises(LawFailedError, match="law X2 failed at turn 26: ValueError: late"):
        check(incident().turns, laws=[Late])


# --- the command ----------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(cli, ["check", *map(str, arguments)])


def test_a_module_is_named_on_the_command_line(tmp_path):
    log = save(incident().turns, tmp_path / "a.log")
    done = run(log, "--laws", module(tmp_path, "sends_laws", SENDS), "--json")
    assert done.exit_code == 1
    found = {each["law"]: each for each in json.loads(done.stdout)["laws"]}
    assert (found["X1"]["verdict"], found["X1"]["broken"]) == ("broken", 4)
    assert found["L1"]["verdict"] == "holds"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "--laws wrong_laws: ModuleNotFoundError: No module named 'wrong_laws'"),
        ("x = 1 +", "--laws wrong_laws: SyntaxError"),
        ("from rescind.replay import Law, LAWS", "--laws wrong_laws: no law is in it"),
        (SENDS.replace("X1", "L1"), "two laws are called L1"),
    ],
)
def test_a_module_that_cannot_serve_is_a_usage_error(tmp_path, text, message, request):
    name = f"wrong_laws_{request.node.callspec.indices['text']}"
    if text is not None:
        module(tmp_path, name, text)
    with pytest.raises(UsageError) as caught:
        laws_in([name])
    assert str(caught.value).replace(name, "wrong_laws").startswith(message)


# --- a log that grows -----------------------------------------------------------------------------


def test_a_court_tells_what_is_new_and_how_it_stands():
    turns = incident().turns
    completed = next(turn for turn in turns if isinstance(turn.events[0], Completed))
    court = Court(LAWS)
    for turn in turns[:6]:
        court.feed(turn)
    assert (court.verdict, court.news()) == (Verdict.OPEN, [])
    for turn in turns[6:]:
        court.feed(turn)
    stands = [court.verdict]
    again = Completed(completed.events[0].request, None, How.RESULT, 0)
    last = turns[-1]
    court.feed(type(last)(
        last.number + 1, last.time_ns, 1, again.request, last.origin, last.cause, last.message,
        (again,), None, True,
    ))  # fmt: skip
    assert [*stands, court.verdict] == [Verdict.HOLDS, Verdict.BROKEN]
    assert "L1" in {finding.law for finding in court.news()}
    assert court.news() == []


def test_a_check_says_how_far_it_is():
    heard: list[int] = []
    turns = incident().turns
    check(turns * 2_000, progress=heard.append)
    assert heard == [10_000, 20_000, 30_000, 40_000, 50_000]


@pytest.mark.skipif(os.name == "nt", reason="interrupts are sent differently there")
def test_a_growing_log_is_judged_as_it_grows(tmp_path):
    writer = Writer(tmp_path / "a.log")
    with following(tmp_path / "a.log", "--json", command="check") as process:
        writer.tell("early")
        writer.event(Completed(77, None, How.RESULT, 0))
        (found,) = documents(process, 1)
        assert (found["schema"], found["law"], found["turns"]) == ("rescind.finding", "L1", [3])
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    writer.close()
    assert (process.returncode, errors) == (1, "")
    last = json.loads(output.splitlines()[-1])
    assert (last["schema"], last["verdict"], last["turns"]) == ("rescind.check", "broken", 3)


@pytest.mark.skipif(os.name == "nt", reason="interrupts are sent differently there")
def test_the_end_of_following_is_a_summary(tmp_path):
    writer = Writer(tmp_path / "a.log")
    with following(tmp_path / "a.log", command="check") as process:
        writer.tell("early")
        writer.event(Completed(77, None, How.RESULT, 0))
        assert "L1    broken  r77 completed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        process.wait()
    writer.close()
    assert output.splitlines()[-1].startswith("broken: 3 turns read")
    assert process.returncode == 1
