"""The command line: one question, one command, an exit code that means something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import rescind.replay
from rescind import Runtime, Stepped
from rescind.events import (
    By,
    Completed,
    How,
    Log,
    Origin,
    Retention,
    Submit,
    prune,
    read,
    recover,
)
from rescind.replay import Ledger, TurnFilter
from rescind.replay._words.labels import LOOKUPS_MAX
from rescind.replay._words.text import MARGIN, Clock, as_text
from rescind.replay._words.turns import turn_lines
from rescind.replay.cli import cli

from .recording import Recording, everything, flush, incident, save, spoil
from .shop import Pay, Till

SOURCE = str(Path(rescind.replay.__file__).parents[2])


@pytest.fixture
def log(tmp_path):
    return save(everything().turns, tmp_path / "a.log")


@pytest.fixture
def bad(tmp_path):
    r = incident()
    r.turn(5, Origin.IO, 7, Submit("x", (), True, None), Completed(5, None, How.RESULT, 0))
    return save(r.turns, tmp_path / "bad.log")


def run(*arguments, **environment):
    """Run the program as a user does, with its output in a pipe."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-m", "rescind.replay", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", check=False,
        env={**inherited, "PYTHONPATH": SOURCE, "PYTHONUTF8": "1", **environment},
    )  # fmt: skip


def document(log, *arguments):
    result = CliRunner().invoke(cli, [arguments[0], str(log), *arguments[1:], "--json"])
    return json.loads(result.stdout)


def code(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments))).exit_code


COMMANDS = [
    ["info"],
    ["turns"],
    ["turns", "--limit", "3", "--of", "c9"],
    ["sequences"],
    ["sequences", "--of", "r4", "--all"],
    ["why", "--of", "r4"],
    ["why", "--of", "code=-36003"],
    ["why", "--of", "c9"],
    ["chart"],
    ["chart", "--of", "r4", "--all"],
    ["chart", "--since", "11", "--until", "25"],
    ["why", "--of", "last"],
    ["why", "--of", "20"],
    ["check"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_question_is_answered_within_a_hundred_columns(log, command):
    result = CliRunner().invoke(cli, [command[0], str(log), *command[1:]])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    # The first line of `info` is the path, which is as long as it is.
    assert max(map(len, lines[command[0] == "info" :])) <= MARGIN


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_answer_is_also_one_document_with_schema_and_version(log, command):
    found = document(log, *command)
    assert found["schema"] == f"rescind.{command[0]}"
    assert found["version"] == 0
    assert found["log"] == str(log)


def test_documents_answer_what_the_screens_do(log):
    assert document(log, "why", "--of", "r4")["branches"][0]["steps"][0]["turn"] == 14
    assert len(document(log, "turns", "--kind", "Rejected")["turns"]) == 1
    assert [s["trigger"] for s in document(log, "sequences")["sequences"]] == [
        "Cancel", "Cancel", "time-out", "Disconnect",
    ]  # fmt: skip
    assert document(log, "check")["verdict"] == "holds"


def test_a_broken_law_is_exit_code_1(bad):
    assert code("check", bad) == 1
    assert code("sequences", bad) == 1
    assert code("info", bad) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["why", "--of", "r4711"],
        ["why", "--of", "nonsense"],
        ["why", "--of", "code=-16005"],
        ["why", "--of", "59"],
        ["why"],
        ["turns", "--origin", "elsewhere"],
        ["turns", "--limit", "-1"],
        ["turns", "--actor", "12"],
        ["turns", "--since", "yesterday"],
        ["turns", "--until", "-1"],
        ["chart", "--since", "tomorrow"],
        ["check", "--head", "12"],
        ["prune"],
        ["recover"],
        ["sequences", "--of", "r4711"],
        ["chart", "--of", "r4711"],
        ["chart", "--json", "--out", "a.json"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_is_exit_code_2_and_one_sentence(log, arguments):
    result = run(arguments[0], log, *arguments[1:])
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.stderr.strip()


def test_nothing_found_is_exit_code_2(log, tmp_path):
    assert code("turns", log, "--kind", "Nonsense") == 2
    assert code("sequences", save(incident().turns[:9], tmp_path / "quiet")) == 2
    assert code("sequences", log, "--of", "r2") == 2


def test_the_nearest_selectors_are_offered(log):
    assert "did you mean r17, r18, r19, r20?" in run("why", log, "--of", "r99").stderr.replace(
        "r15, ", ""
    )


def make_missing(path):
    return path / "nothing"


def make_file(path):
    file = path / "file"
    file.write_text("not a log", encoding="utf-8")
    return file


def make_folder(path):
    folder = path / "folder"
    folder.mkdir()
    return folder


def make_foreign(path):
    folder = path / "foreign"
    folder.mkdir()
    (folder / "00000001.seg").write_bytes(b"PK\x03\x04 another format altogether" * 9)
    return folder


NEEDS_A_LOG = [
    ["info"],
    ["turns"],
    ["turns", "--follow"],
    ["sequences"],
    ["chart"],
    ["check"],
    ["check", "--head", "0" * 16],
    ["recover", "--out", "nowhere"],
    ["prune", "--keep-segments", "1"],
]


@pytest.mark.parametrize("command", NEEDS_A_LOG, ids=" ".join)
@pytest.mark.parametrize("make", [make_missing, make_file, make_folder, make_foreign])
def test_what_is_no_log_is_one_sentence(tmp_path, command, make):
    result = run(command[0], make(tmp_path), *command[1:])
    assert result.returncode in {2, 3}
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_log_that_may_not_be_read_is_one_sentence(log):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    for segment in log.glob("*.seg"):
        segment.chmod(0)
    result = run("info", log)
    assert result.returncode in {2, 3}
    assert "Traceback" not in result.stderr


def test_damage_is_exit_code_3_and_wins_over_a_broken_law(bad):
    segment = next(bad.glob("*.seg"))
    spoil(segment, segment.stat().st_size // 3)
    for command in (["info"], ["check"], ["turns"], ["why", "--of", "r99"]):
        result = run(command[0], bad, *command[1:])
        assert result.returncode == 3, (command, result.stderr)
        assert "Traceback" not in result.stderr


def test_a_torn_tail_is_no_damage(log):
    segment = next(log.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-7])
    for command in ("info", "turns", "sequences", "check"):
        result = run(command, log)
        assert result.returncode == 0, (command, result.stdout)


@pytest.mark.parametrize("cut", range(0, 6000, 400))
def test_a_log_cut_at_any_byte_breaks_no_law(log, cut):
    segment = next(log.glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:cut])
    result = CliRunner().invoke(cli, ["check", str(log)])
    assert result.exit_code in {0, 2, 3}
    verdicts = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("  L")}
    assert "broken" not in verdicts


def test_help_lists_the_commands_in_the_order_of_need():
    result = run()
    assert result.returncode == 0
    words = result.stdout.split("Commands:")[1].split("\n")
    listed = [word.split()[0] for word in words if word.strip()]
    assert listed == [
        "demo", "info", "sequences", "why", "state", "chart", "turns", "check", "rerun", "diff",
        "export", "recover", "prune",
    ]  # fmt: skip
    assert not [word for word in words if word.endswith("...")]


def test_the_version_needs_no_installation():
    assert run("--version").stdout.startswith("rescind")


def test_a_closed_pipe_is_quiet(tmp_path):
    r = Recording()
    r.open()
    for _ in range(3000):
        r.call("Output")
    log = save(r.turns, tmp_path / "long")
    with subprocess.Popen(
        [sys.executable, "-m", "rescind.replay", "turns", str(log)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCE},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait()
    assert process.returncode == 0


def test_a_terminal_without_arrows_gets_escapes_and_no_traceback(log):
    result = run("why", log, "--of", "r4", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert "\\u2190" in result.stdout


@pytest.fixture
def hostile(tmp_path):
    evil = By("\x1b[31mred", "/srv/\x1b]0;t\x07.py", 1, "f\r\n\x9b2J")
    r = Recording()
    r.open(driver="\x1b[2J[bold]x[/bold]")
    out = r.call("Out\x1b[5mput", by=evil)
    cancel = r.cancel([out], by=evil)
    r.refuse("\u202eOutput", by=evil, rule="\x1b[0m")
    r.kill(cancel, [out])
    return save(r.turns, tmp_path / "hostile")


@pytest.mark.parametrize(
    "command", [*COMMANDS[:2], ["sequences"], ["why", "--of", "r2"], ["check"]]
)
def test_controls_in_a_log_are_shown_and_never_interpreted(hostile, command):
    result = run(command[0], hostile, *command[1:])
    assert result.returncode == 0, result.stderr
    for control in ("\x1b", "\x07", "\r", "\x9b", "\u202e"):
        assert control not in result.stdout


def test_markup_in_a_log_stays_text(hostile):
    assert "[bold]x[/bold]" in run("info", hostile).stdout


def terminal(*arguments, **environment):
    """Run the program on a terminal of its own and return all that it wrote there."""
    pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rescind.replay", *map(str, arguments)],
        stdout=follower, stderr=follower, stdin=follower,
        env={**os.environ, "PYTHONPATH": SOURCE, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(follower)
    chunks = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # how Linux says that the other side closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(leader)
    assert process.wait() == 0
    return b"".join(chunks)


def test_a_terminal_gets_colours_and_the_next_question(log):
    text = terminal("why", log, "--of", "r4")
    assert b"\x1b[1m" in text
    assert b" why " in text.split(b"next: ")[1]


def test_no_color_is_respected_on_a_terminal(log):
    assert b"\x1b[" not in terminal("why", log, "--of", "r4", NO_COLOR="1")


def test_the_tests_run_the_program_as_a_user_does(log):
    assert run("info", log).stdout == CliRunner().invoke(cli, ["info", str(log)]).stdout


# --- a part of a log ------------------------------------------------------------------------------


@pytest.fixture
def split(tmp_path):
    """A log in several segments, so that most of it is read by an index or not at all."""
    return save(everything().turns, tmp_path / "split", per_batch=1, segment_bytes_max=6000)


def told_in_full(turns, wanted):
    """Return the lines of the wanted turns, by whoever has read all of them."""
    ledger, clock = Ledger(), Clock(turns[0].time_ns)
    lines = []
    for turn in turns:
        ledger.feed(turn)
        if wanted.wants(turn):
            lines += as_text(turn_lines(turn, ledger, clock)).splitlines()
    return lines


def shown(log, *options):
    result = CliRunner().invoke(cli, ["turns", str(log), *map(str, options)])
    assert result.exit_code in {0, 2}, result.output
    return result.stdout.splitlines()[1:]


@pytest.mark.parametrize("number", range(25))
def test_turns_of_a_number_are_shown_as_if_all_had_been_read(split, number):
    turns = list(read(split))
    about, taken = TurnFilter(about=number), TurnFilter(actor=number)
    assert shown(split, "--of", f"a{number}") == told_in_full(turns, about)
    assert shown(split, "--actor", f"a{number}") == told_in_full(turns, taken)


def test_turns_of_the_runtime_itself_are_found_though_no_index_has_them(tmp_path):
    r = everything()
    number = r.turn(0, Origin.APP, None, None)
    log = save(r.turns, tmp_path / "runtime")
    found = document(log, "turns", "--actor", "a0")["turns"]
    assert [(each["turn"], each["label"]) for each in found] == [(number, "runtime")]


@pytest.mark.parametrize("first", [0, 1, 2, 27, 49, 58, 59])
def test_turns_from_a_number_are_shown_as_if_all_had_been_read(split, first):
    wanted = TurnFilter(first=first)
    assert shown(split, "--since", first) == told_in_full(list(read(split)), wanted)


def test_turns_since_a_moment_begin_there(split):
    turns = list(read(split))
    since = turns[30].time_ns
    found = document(split, "turns", "--since", f"{since // 10**9}.{since % 10**9:09d}")["turns"]
    assert [each["turn"] for each in found] == [turn.number for turn in turns[30:]]


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (["--actor", "a99"], "the log knows no actor a99; did you mean a17, a18, a19, a20?"),
        (["--of", "r4711"], "the log knows no request r4711; did you mean r17, r18, r19, r20?"),
        (
            ["--kind", "complet"],
            "is called complet; did you mean Complete, Completed, CompletionScript?",
        ),
        (["--kind", "Zzzzz"], "no message or event in the log is called Zzzzz\n"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", [["turns"], ["turns", "--json"], ["export", "--to", "jsonl"]])
def test_a_filter_that_means_nothing_is_told_what_is_near(log, command, filters, said):
    result = CliRunner().invoke(cli, [command[0], str(log), *command[1:], *filters])
    assert result.exit_code == 2
    assert said in result.stderr
    assert "no turn fits" not in result.stderr


@pytest.mark.parametrize("filters", [["--kind", "overflowed"], ["--actor", "a0"], ["--of", "r4"]])
def test_a_filter_that_means_something_and_fits_nothing_is_not_corrected(log, filters):
    result = CliRunner().invoke(cli, ["turns", str(log), "--since", "58", *filters])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "no turn fits\n", "")


def test_a_kind_of_an_application_is_found_by_its_last_name(tmp_path):
    stepped = Stepped()
    with Runtime.open(tmp_path / "log", dispatcher=stepped) as runtime:
        runtime.start(Till).tell(Pay(5))
        stepped.run()
    result = CliRunner().invoke(cli, ["turns", str(tmp_path / "log"), "--kind", "payd"])
    assert (result.exit_code, result.stdout) == (2, "no turn fits\n")
    name = Till.__module__
    assert f"is called payd; did you mean {name}.Pay, {name}.Paid?" in result.stderr


def test_turns_until_a_moment_end_there(split):
    turns = list(read(split))
    until = turns[30].time_ns
    moment = f"{until // 10**9}.{until % 10**9:09d}"
    found = document(split, "turns", "--until", moment)["turns"]
    assert [each["turn"] for each in found] == [turn.number for turn in turns[:31]]
    assert document(split, "turns", "--until", "31")["turns"] == found


def test_names_are_looked_up_for_so_many_numbers_and_no_more(tmp_path):
    r = Recording()
    for _ in range(LOOKUPS_MAX + 6):
        r.open()
    first = len(r.turns) + 1
    for number in range(1, r.next_actor):
        r.turn(number, Origin.APP, None, Submit("x", (), True, None))
    log = save(r.turns, tmp_path / "many")
    labels = [each["label"] for each in document(log, "turns", "--since", str(first))["turns"]]
    assert labels[:LOOKUPS_MAX] == [f"a{n} newton endpoint" for n in range(1, LOOKUPS_MAX + 1)]
    assert labels[LOOKUPS_MAX:] == [f"a{n}" for n in range(LOOKUPS_MAX + 1, LOOKUPS_MAX + 7)]


# --- heads that were noted ------------------------------------------------------------------------


def head_of(log):
    return document(log, "info")["chain_head"]


def continued(log):
    """Open a log again and write one more turn."""
    writer = Log.create_or_open(log)
    writer.append((1, 10**18, Origin.APP, 0, None, (), None))
    writer.close()
    return log


def checked(log, head):
    result = CliRunner().invoke(cli, ["check", str(log), "--head", head])
    return result.exit_code, result.stdout


def test_a_head_that_was_noted_vouches_for_all_before_it(log):
    head = head_of(log)
    continued(log)
    assert head_of(log) != head
    code, text = checked(log, head)
    assert code == 0
    assert "stands behind turn 58; nothing up to there was changed" in text
    assert document(log, "check", "--head", head)["head"] == {
        "noted": head, "verdict": "holds", "turn": 58,
    }  # fmt: skip
    assert document(log, "check")["head"] is None


def test_the_beginning_of_a_head_is_enough(log):
    assert checked(log, head_of(log)[:16].upper())[0] == 0


def test_every_head_that_a_live_log_had_stays_in_its_chain(tmp_path):
    log = tmp_path / "live"
    writer = Log.create_or_open(log)
    heads = [head_of(log)]
    for _ in range(3):
        writer.append((1, 10**18, Origin.APP, 0, None, (), None))
        flush(writer)
        heads.append(head_of(log))
    writer.close()
    heads.append(head_of(log))
    found = [document(log, "check", "--head", head)["head"]["turn"] for head in heads]
    assert found == [0, 1, 2, 3, 3]


def test_a_log_that_was_written_anew_lacks_the_head(log, tmp_path):
    head = head_of(log)
    forged = save(everything().turns, tmp_path / "forged")
    code, text = checked(forged, head)
    assert code == 1
    assert "head  broken" in text
    assert "is not in the chain: what it stood behind was changed or cut off," in text
    assert max(map(len, text.splitlines())) <= MARGIN
    assert text.splitlines()[-1] == "broken: 58 turns read, 1 broken, 0 open"


def test_a_log_that_was_cut_between_two_batches_lacks_the_head(log):
    head = head_of(log)
    segment, last = log / "00000001.seg", list(read(log).batches())[-1]
    segment.write_bytes(segment.read_bytes()[: last.offset])
    assert code("check", log) == 0
    assert checked(log, head)[0] == 1


def test_damage_before_a_head_leaves_it_open_and_wins(log):
    head = head_of(log)
    batch = list(read(log).batches())[1]
    spoil(log / "00000001.seg", batch.offset + 60)
    exit_code, text = checked(log, head)
    assert exit_code == 3
    assert "head  open" in text
    assert "stands behind turn 58, and the log is damaged before it:" in text


def test_a_head_at_the_end_of_what_was_pruned_is_still_known(tmp_path):
    log = save(everything().turns, tmp_path / "old")
    head = head_of(log)
    continued(log)
    prune(log, Retention(segments_max=1, without_keyframe=True))
    assert document(log, "check", "--head", head)["head"]["turn"] == 58


def test_a_recovered_log_has_a_chain_of_its_own(log, tmp_path):
    recover(log, tmp_path / "new")
    code, text = checked(tmp_path / "new", head_of(log))
    assert code == 1
    assert "or from before a recovery" in text
