"""Logs whose beginning was removed: what can still be told, and that nothing is made up."""

import json
import shutil
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from rescind import Runtime, Stepped, newton
from rescind.actors.kernel._request import Status
from rescind.events import Entry, Log, Pace, Retention, Tell, prune, read
from rescind.replay import Archive, Verdict, check, info
from rescind.replay._ledger.fold import fold
from rescind.replay._ledger.model import Ledger
from rescind.replay._sequences.screen import sequence_json, sequence_lines
from rescind.replay._sequences.sequences import sequences
from rescind.replay._upkeep.info import info_lines
from rescind.replay._why.screen import story_lines
from rescind.replay._why.why import why
from rescind.replay._words.text import Clock, as_text
from rescind.replay.cli import cli
from tests.events.logs import record

from .plot import OFTEN, Counter, Plot
from .recording import flush

BEFORE = "00:00:00.000"
"""No turn has this time that is not cut away; it would be shown where none is known."""


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    """The story twice: ended as it should, and as by a crash."""
    folder = tmp_path_factory.mktemp("plots")
    plot = Plot(folder / "log")
    plot.act()
    plot.runtime.flush()
    shutil.copytree(folder / "log", folder / "crashed")
    # None begins while the endpoints close: it would stand for turns of which these tests ask.
    plot.runtime.log.keyframes_from(plot.runtime.entries, Pace())
    plot.runtime.close()
    return plot, {"closed": folder / "log", "crashed": folder / "crashed"}


@pytest.fixture(scope="module", params=["closed", "crashed"])
def story(plots, request):
    plot, logs = plots
    return plot, logs[request.param]


def cut_to(log, folder, kept):
    """Return a copy of a log that was pruned to so many segments."""
    copy = folder / f"kept-{kept}"
    shutil.copytree(log, copy)
    assert len(read(copy).segments) > kept
    prune(copy, Retention(segments_max=kept))
    return copy


@pytest.fixture(scope="module")
def every_cut(story, tmp_path_factory):
    """The log pruned after each segment after which it may be."""
    plot, log = story
    folder = tmp_path_factory.mktemp("cuts")
    cuts = {}
    for kept in range(1, len(read(log).segments)):
        cut = cut_to(log, folder, kept)
        cuts[read(cut).segments[0]] = cut
    assert len(cuts) > 4, "as many different beginnings"
    return plot, folded(log), list(cuts.values())


def folded(log, **view):
    return fold(read(log, **view))


def first_turn(log):
    return next(iter(read(log))).number


def first_keyframe(log):
    return read(log).keyframe(behind=0)


def newest_keyframe(log):
    return read(log).keyframe()


# --- for every place where a log may be cut ------------------------------------------------------


def test_no_law_is_broken_by_pruning(every_cut):
    plot, whole, cuts = every_cut
    outstanding = {n for n, request in whole.requests.items() if request.is_outstanding}
    for cut in cuts:
        report = check(read(cut))
        assert [each.of(Verdict.BROKEN) for each in report.laws if each.of(Verdict.BROKEN)] == []
        assert report.damage == ()
        if plot.left[0].number in outstanding:
            assert report.verdict is Verdict.OPEN
            assert any(
                f"r{plot.left[0].number}" == each.subject for each in report.laws[0].findings
            )


def test_whatever_is_told_is_what_the_whole_log_tells(every_cut):
    _, whole, cuts = every_cut
    for cut in cuts:
        hold_against_whole(folded(cut), whole, range(1, first_turn(cut)))


def test_so_it_is_for_a_view_that_begins_anywhere(story):
    _, log = story
    whole = folded(log)
    for start in range(2, newest_keyframe(log).number, 23):
        hold_against_whole(folded(log, start=start), whole, range(1, start))


def test_so_it_is_where_a_segment_in_the_middle_is_missing(story, tmp_path):
    _, log = story
    whole = folded(log)
    for segment, turns in list(turns_by_segment(log).items())[1:-2:3]:
        copy = tmp_path / f"without-{segment}"
        shutil.copytree(log, copy)
        (copy / f"{segment:08d}.seg").unlink()
        hold_against_whole(folded(copy), whole, turns)
        report = check(read(copy))
        assert [each for law in report.laws for each in law.of(Verdict.BROKEN)] == []


def turns_by_segment(log):
    firsts: dict[int, int] = {}
    for batch in read(log).batches():
        firsts.setdefault(batch.segment, batch.first)
    behind = [*firsts.values(), batch.first + batch.count]
    return {segment: range(*behind[at : at + 2]) for at, segment in enumerate(firsts)}


def hold_against_whole(ledger, whole, lost):
    """Assert that nothing is made up: every fact is a remaining turn's, every name the true one."""
    for number, request in ledger.requests.items():
        same = whole.requests[number]
        assert request.endpoint in (same.endpoint, 0)
        assert request.operation in (same.operation, "")
        if request.operation:
            assert request.asynchronous == same.asynchronous
            assert request.timeout_ns == same.timeout_ns
        for name in ("submitted", "completed", "rejected", "discarded"):
            told, true = getattr(request, name), getattr(same, name)
            assert told == (None if true is None or true.turn in lost else true), name
        if request.before is not None:
            done = same.completed
            assert request.before == (done.turn, done.code, done.how)
            assert request.before.turn in lost
    for number, endpoint in ledger.endpoints.items():
        same = whole.endpoints[number]
        assert endpoint.dialect == same.dialect
        assert (endpoint.profile, endpoint.driver) == (same.profile, same.driver)
        assert endpoint.state == same.state
        if lost.start == 1:  # else an end may be lost whose beginning is not
            assert list(endpoint.pending) == list(same.pending)
            assert endpoint.windows == same.windows
        assert set(endpoint.pending) >= set(same.pending)
    for number, cancel in ledger.cancels.items():
        same = whole.cancels[number]
        assert cancel.endpoint in (same.endpoint, 0)
        assert cancel.trigger in (same.trigger, "")
        assert set(cancel.victims) <= set(same.victims)
        assert set(cancel.refused) <= set(same.refused)
        ended = same.ended
        assert cancel.ended == (None if ended is None or ended.turn in lost else ended)
    assert ledger.classes.items() <= whole.classes.items()


def test_what_is_looked_up_is_what_the_fold_tells(every_cut):
    _, _, cuts = every_cut
    for cut in cuts:
        ledger, archive = folded(cut), Archive(read(cut))
        assert list(archive.cancel_numbers) == sorted(ledger.cancels)
        for number, request in ledger.requests.items():
            found = archive.requests[number]
            found.taken = archive.taken_of(found)
            assert without_place(found) == without_place(request)
        for number, cancel in ledger.cancels.items():
            asked = archive.cancels[number]
            # Asked, it is known to be one before it is named: that its work has stopped is told.
            assert cancel.killed in (asked.killed, None)
            assert replace(asked, killed=cancel.killed) == cancel
        for number, endpoint in ledger.endpoints.items():
            known = archive.endpoints[number]
            assert (known.dialect, known.profile) == (endpoint.dialect, endpoint.profile)
            assert (known.driver, known.opened) == (endpoint.driver, endpoint.opened)
        for number in {*ledger.requests, *ledger.cancels, *ledger.endpoints, *ledger.classes}:
            assert archive.label(number) == ledger.label(number)


def without_place(request):
    """The rank among all deliveries of a log is the only thing that one case alone can't tell."""
    delivered = request.delivered
    return replace(request, delivered=delivered and delivered._replace(place=0))


def test_nothing_that_lives_where_the_log_ends_is_left_out(every_cut):
    _, whole, cuts = every_cut
    outstanding = {n for n, request in whole.requests.items() if request.is_outstanding}
    for cut in cuts:
        ledger = folded(cut)
        found = {n for n, request in ledger.requests.items() if request.is_outstanding}
        assert found == outstanding
        assert ledger.endpoints.keys() == whole.endpoints.keys()
        assert ledger.classes == whole.classes


def test_every_code_has_its_dialects_name(every_cut):
    _, _, cuts = every_cut
    for cut in cuts:
        overview = info(read(cut))
        names = {text for text, _ in overview.codes}
        assert not any(text.lstrip("-").isdigit() for text in names)


def test_no_screen_shows_times_before_there_was_a_log(every_cut):
    _, _, cuts = every_cut
    for cut in cuts:
        clock = Clock(10**18)  # so that all times are shown with their date
        shown = as_text(info_lines(info(read(cut)), "log"))
        archive, ledger = Archive(read(cut)), folded(cut)
        for one in sequences(read(cut)):
            shown += as_text(sequence_lines(one, clock))
            json.dumps(sequence_json(one))
        known = [f"a{number}" for number in ledger.endpoints]
        known += [f"r{number}" for number, each in ledger.requests.items() if not each.submitted]
        for selector in known:
            story = why(archive, selector)
            shown += as_text(story_lines(story, clock))
        assert BEFORE not in shown


# --- what the questions answer -------------------------------------------------------------------


@pytest.fixture
def cut_in_window(story, tmp_path):
    """The log without its first segments, cut while the first cancel's window was open."""
    plot, log = story
    return plot, find_cut_in_window(plot, log, tmp_path)


def find_cut_in_window(plot, log, tmp_path):
    window = folded(log).cancels[plot.cancel.number]
    for kept in range(len(read(log).segments) - 1, 0, -1):
        cut = cut_to(log, tmp_path, kept)
        keyframe = first_keyframe(cut)
        late = folded(log).requests[plot.late].rejected.turn
        if window.began.turn < first_turn(cut) <= keyframe.number < late:
            return cut
    pytest.fail("no cut fits: the story is too short")


def test_info_names_endpoints_that_were_born_before(cut_in_window):
    plot, cut = cut_in_window
    shown = as_text(info_lines(info(read(cut)), "log"))
    assert f"a{plot.slow.number} newton rom (slow), " in shown
    assert f"a{plot.calm.number} newton guide (calm), " in shown
    assert (f"{Counter.__module__}.Counter", 1) in info(read(cut)).classes


def test_a_window_that_was_open_at_the_beginning_explains_what_is_refused_in_it(cut_in_window):
    plot, cut = cut_in_window
    [one] = [each for each in sequences(read(cut)) if each.cancel == plot.cancel.number]
    assert (one.trigger, one.endpoint, one.driver) == ("Cancel", plot.slow.number, "slow")
    assert [refusal.request for refusal in one.refused] == [plot.late]
    assert sorted(victim.request for victim in one.victims) == [v.number for v in plot.victims]
    assert {victim.operation for victim in one.victims} == {"Output"}
    assert all(victim.won for victim in one.victims)
    assert one.is_cut
    assert one.quiescence_ns is None
    assert one.verdict is Verdict.OPEN
    shown = as_text(sequence_lines(one, Clock(0)))
    assert "asked by  unknown: before the log begins" in shown
    assert "window    opened before the log begins, .." in shown
    assert sequence_json(one)["asked"]["turn"] is None


def test_why_names_operation_and_code_of_a_victim_that_was_born_before(cut_in_window):
    plot, cut = cut_in_window
    number = plot.victims[0].number
    story = why(read(cut), f"r{number}")
    ended = f"r{number} Output ended -16005 REQUEST_CANCELED"
    assert story.headline == f"{ended}: cancelled by c{plot.cancel.number} (Cancel)"
    assert "asked for before the log begins" in story.facts
    cancel = why(read(cut), f"c{plot.cancel.number}")
    assert cancel.headline.endswith("newton endpoint ended 3 requests")


def test_why_of_an_endpoint_that_nothing_is_said_of_tells_its_state(plots, tmp_path):
    plot, logs = plots
    cut = find_cut_in_window(plot, logs["crashed"], tmp_path)
    told = why(read(cut), f"a{plot.calm.number}")
    assert "is in state kDataXfer" in told.headline


def test_the_turns_name_their_actors(cut_in_window):
    plot, cut = cut_in_window
    ours = CliRunner().invoke(cli, ["turns", str(cut)])
    assert ours.exit_code == 0
    assert f" a{plot.slow.number} newton endp" in ours.output
    assert f" a{plot.busy.number} endpoint" not in ours.output
    some = CliRunner().invoke(cli, ["turns", str(cut), "--actor", f"r{plot.victims[0].number}"])
    assert f"r{plot.victims[0].number} Output" in some.output


def test_a_completion_before_the_beginning_is_not_taken_for_none(tmp_path):
    """It is completed and waits for its delivery; there the log is cut; then it is delivered."""
    dispatcher = Stepped()
    runtime = Runtime.open(tmp_path / "log", dispatcher=dispatcher, segment_bytes_max=2_000)
    tool = newton.twin()
    endpoint = newton.Endpoint(runtime, tool)
    endpoint.bind()
    endpoint.connect()
    other = newton.Endpoint(runtime, newton.twin())
    other.bind()
    done = endpoint.output("data", asynchronous=True)
    runtime.flush()
    tool.complete(done.number, code=-16009)
    while done.status is Status.OUTSTANDING:
        runtime.run_turns(1)
    runtime.log.keyframes_from(runtime.entries, OFTEN._replace(log_bytes_min=5_000))
    for number in range(60):
        write_only(runtime, number)
    dispatcher.run()
    runtime.close()
    prune(tmp_path / "log", Retention(segments_max=3))
    ledger = folded(tmp_path / "log")
    request = ledger.requests[done.number]
    assert (request.before.code, request.completed, request.submitted) == (-16009, None, None)
    assert request.is_settled
    assert not request.is_outstanding
    assert check(read(tmp_path / "log")).verdict is not Verdict.BROKEN
    told = why(read(tmp_path / "log"), f"r{done.number}")
    assert told.headline.endswith("is over; how it ended stood before the log begins")


def write_only(runtime, number):
    """Write a turn without letting anything leave: deliveries stay where they are."""
    with runtime.baton:
        runtime.turn(runtime_actor(runtime), Tell(number), 1, 0)
        batch = runtime.log.seal()
    runtime.log.write(batch)


def runtime_actor(runtime):
    return next(iter(runtime.units.values()))


# --- other ways to begin in the middle -----------------------------------------------------------


def test_a_view_that_begins_later_is_named_by_the_next_keyframe(story):
    plot, log = story
    whole = folded(log)
    began = whole.cancels[plot.cancel.number].began.turn
    ledger = folded(log, start=began + 1)
    assert ledger.endpoints[plot.slow.number].driver == "slow"
    assert ledger.cancels[plot.cancel.number].trigger == "Cancel"


def test_behind_damage_a_keyframe_names_those_whose_birth_is_lost(story, tmp_path):
    plot, log = story
    copy = tmp_path / "damaged"
    shutil.copytree(log, copy)
    (copy / "00000002.seg").unlink()
    (copy / "00000001.seg").write_bytes(b"")
    ledger = folded(copy)
    assert ledger.endpoints[plot.slow.number].dialect == "newton"
    assert check(read(copy)).verdict is not Verdict.BROKEN


def test_a_whole_log_is_read_without_its_keyframes(story, monkeypatch):
    _, log = story
    monkeypatch.setattr("rescind.events.LogReader.keyframe", None)
    assert folded(log).first.turn == 1


def test_without_a_keyframe_a_pruned_log_tells_what_it_still_knows(story, tmp_path):
    _, log = story
    copy = tmp_path / "bare"
    shutil.copytree(log, copy)
    prune(copy, Retention(segments_max=1, without_keyframe=True))
    ledger = folded(copy)
    assert ledger.first.turn > 1
    assert check(read(copy)).verdict is not Verdict.BROKEN
    assert ledger.requests


STRANGE: tuple[Any, ...] = (
    {"kind": "request"},
    {"kind": "request", "endpoint": "x", "operation": 7, "asynchronous": 1, "timeout_ns": "soon"},
    {"kind": "endpoint", "dialect": None, "profile": 1, "driver": [], "state": "x", "windows": 7},
    {
        "kind": "endpoint", "dialect": "newton", "profile": "", "driver": "", "state": 1 << 60,
        "windows": [None, {}, {"cancel": "x"}, [[[]]]],
    },
    {"kind": "call", "endpoint": None, "state": {}},
    {"kind": {"a": 1}},
    {"kind": "of a later version"},
    {5: 6},
    ["kind"],
    "kind",
    b"\xff",
    -1,
)  # fmt: skip


def test_entries_that_make_no_sense_name_nothing(tmp_path):
    log = Log.create_or_open(tmp_path / "log", segment_bytes_max=4_000)
    entries = [Entry(n * n - 3, n - 2, state) for n, state in enumerate(STRANGE)]
    log.keyframes_from(lambda: iter(entries), Pace(log_bytes_min=3_000, log_bytes_factor=0))
    for number in range(300):
        log.append(record(log, Tell(number), actor=number % 9))
        flush(log)
    log.close()
    prune(tmp_path / "log", Retention(segments_max=2))
    ledger = folded(tmp_path / "log")
    assert ledger.first.turn > 1
    assert ledger.requests == {}
    assert {each.dialect for each in ledger.endpoints.values()} <= {"", "newton"}
    assert info_lines(info(read(tmp_path / "log")), "log")


def test_a_list_of_turns_has_no_keyframes(story):
    _, log = story
    turns = list(read(log))[100:]
    assert type(fold(turns)) is Ledger
