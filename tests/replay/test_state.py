"""`rescind state`: how things stood behind a turn, of recordings of every dialect."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from rescind import Runtime, Stepped, newton
from rescind.actors.native import Twin
from rescind.events import (
    Accepted,
    CallOpened,
    Completed,
    Opened,
    PrivilegeChanged,
    Rejected,
    Start,
    StateChanged,
    Submit,
    read,
)
from rescind.replay._archive.select import SelectorError
from rescind.replay._state.classes import OwnStates
from rescind.replay._state.screen import cut_lines, one_lines
from rescind.replay._state.state import Kind, Look, cut_at, differences, state_of
from rescind.replay._words.text import as_text
from rescind.replay._world.timeline import Timeline
from rescind.replay.cli import cli
from tests.events.logs import open_log, record
from tests.native.stores import Asker, Put, Store, Wait

from .plot import OFTEN, Plot

MODULE = Store.__module__


@pytest.fixture(scope="module")
def plot(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "log"
    plot = Plot(path)
    plot.act()
    plot.runtime.close()
    return plot, path


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """An actor with state of its own, over two processes, with keyframes; and one left waiting."""
    path = tmp_path_factory.mktemp("shop") / "log"
    totals: dict[int, int] = {}
    store: Any = None
    asker: Any = None
    waiting: Any = None
    asked_at = 0
    for life in range(2):
        options: Any = {"classes": [Store], "end_others": True}
        runtime: Any = Runtime.open(path, dispatcher=Stepped(), **options)
        Twin(runtime)
        runtime.log.keyframes_from(runtime.entries, OFTEN)
        store = runtime.refs(Store)[0] if life else runtime.start(Store, "shop")
        asker = runtime.start(Asker, store)
        for amount in range(60):
            store.tell(Put(f"item {amount}", amount))
            runtime.dispatcher.run()
            totals[runtime.log.last_number] = runtime.actors[store.number].total
        waiting = store.request(Wait("abc"))
        runtime.dispatcher.run()
        asked_at = runtime.log.last_number
        waiting.cancel("enough")
        runtime.dispatcher.run()
        runtime.close()
    return path, store.number, asker.number, totals, (waiting.number, asked_at)


def run(*arguments):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def document(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def turn_with(path, wanted):
    """Return the first turn that has such an event."""
    return next(t.number for t in read(path) for e in t.events if wanted(e))


# --- dialects without any code of the user -------------------------------------------------------


def test_an_endpoint_is_told_with_its_documented_state_its_window_and_its_pending_requests(plot):
    story, path = plot
    began = turn_with(path, lambda e: getattr(e, "cancel", 0) == story.cancel.number)
    slow = state_of(read(path), began, story.slow.number)
    assert slow.kind is Kind.ENDPOINT
    assert slow.state["state"] == "kDataXfer"
    assert slow.state["profile"] == "rom"
    assert slow.state["windows"] == (story.cancel.number,)
    victims = tuple(each.number for each in story.victims)
    assert slow.state["pending"] == (*victims, story.cancel.number)
    assert slow.turns["state"] < began


def test_a_cancel_is_told_with_whom_it_waits_for_until_it_has_ended(plot):
    story, path = plot
    number = story.cancel.number
    began = turn_with(path, lambda e: getattr(e, "cancel", 0) == number)
    target = document("state", path, "--at", began, "--of", f"c{number}")["actors"][0]
    assert target["kind"] == "cancel"
    assert target["state"]["window"] == "open"
    assert target["state"]["driver"] == "at work"
    assert target["state"]["waits_for"] == [each.number for each in story.victims]
    assert target["turns"]["window"] == began
    over = document("state", path, "--at", 900, "--of", f"c{number}")["actors"][0]
    assert not over["alive"]
    assert set(over["state"]) == {"requested", "began", "ended"}


def test_a_request_is_told_from_its_acceptance_to_its_delivery(plot):
    story, path = plot
    number = story.victims[0].number
    accepted = turn_with(path, lambda e: isinstance(e, Accepted) and e.request == number)
    completed = turn_with(path, lambda e: isinstance(e, Completed) and e.request == number)
    reader = read(path)
    waiting = state_of(reader, completed - 1, number)
    done = state_of(reader, completed, number)
    assert (waiting.state["status"], done.state["status"]) == ("outstanding", "completed")
    assert waiting.state["doomed"] == story.cancel.number
    assert waiting.turns["accepted"] == accepted
    assert (done.state["code"], done.state["by"]) == (-16005, story.cancel.number)
    gone = state_of(reader, 900, number)
    assert not gone.is_alive
    assert list(gone.state) == ["accepted", "completed", "delivered"]
    assert gone.turns["completed"] == completed
    with pytest.raises(SelectorError) as raised:
        state_of(reader, accepted - 1, number)
    assert raised.value.nearest == (f"--at {accepted}",)


def test_a_rejected_request_never_lived_and_says_why(plot):
    story, path = plot
    refused = turn_with(path, lambda e: isinstance(e, Rejected) and e.request == story.early)
    found = state_of(read(path), refused, story.early)
    assert not found.is_alive
    assert found.state == {"rejected": -36003}


def test_who_has_ended_says_when(shop):
    path, store, asker, _, _ = shop
    last = max(turn.number for turn in read(path))
    gone = state_of(read(path), last, asker)
    assert (gone.kind, gone.is_alive) == (Kind.ACTOR, False)
    assert gone.turns["stopped"] > gone.turns["born"] > 0
    assert state_of(read(path), last, store).is_alive, "it goes on in the next process"


def test_a_native_request_names_whom_it_was_asked_of(shop):
    path, store, _, _, (number, asked_at) = shop
    found = state_of(read(path), asked_at, number)
    assert found.state["asked"] == store
    assert found.state["status"] == "outstanding"


def test_a_winsock_application_and_what_it_looks_up_need_no_code_of_the_user(tmp_path):
    log = open_log(tmp_path / "log")
    log.append(record(
        log, Start(0, [], {}), Opened(1, "winsock", "remembering", "twin"), StateChanged(1, 0, 1),
    ))  # fmt: skip
    waiting = Accepted(2, 1, "WSAAsyncGetHostByName", True, None, False, 0, 65)
    log.append(record(log, Submit("WSAAsyncGetHostByName", (), True, None), waiting))
    log.write(log.seal())
    log.close()
    _, endpoint, request = cut_at(read(tmp_path / "log"), 2)
    assert (endpoint.state["dialect"], endpoint.state["state"]) == ("winsock", "started")
    assert request.state["started"] is False


def test_a_call_is_told_with_its_state_and_holders(tmp_path):
    log = open_log(tmp_path / "log")
    log.append(record(
        log, Start(0, [], {}), Opened(1, "tapi", "", "twin"), CallOpened(2, 1, 0),
        PrivilegeChanged(2, 7, 0, 4), PrivilegeChanged(2, 8, 0, 2), PrivilegeChanged(2, 7, 4, 0),
        StateChanged(2, 0, 256),
    ))  # fmt: skip
    log.write(log.seal())
    log.close()
    call = state_of(read(tmp_path / "log"), 1, 2)
    assert call.kind is Kind.CALL
    assert call.state == {"endpoint": 1, "state": "256", "holders": ((8, 2),)}


def test_the_runtime_counts_what_lives(plot):
    _, path = plot
    first = next(cut_at(read(path), 300))
    states = list(cut_at(read(path), 300))
    assert first.kind is Kind.RUNTIME
    for kind, name in ((Kind.ENDPOINT, "endpoints"), (Kind.REQUEST, "requests")):
        assert first.state[name] == sum(each.kind is kind for each in states)


# --- the user's own classes ----------------------------------------------------------------------


def test_without_its_class_an_actor_is_told_as_a_keyframe_has_it_and_how_many_events_since(
    shop,
):
    path, store, _, totals, _ = shop
    number = max(totals)
    found = state_of(read(path), number, store)
    assert found.state["class"] == f"{MODULE}.Store"
    assert "own" not in found.state
    assert 0 < found.state["told_as_of"] <= number
    told = dict(zip(found.state["told"][::2], found.state["told"][1::2], strict=True))
    since = sum(
        turn.actor == store and found.state["told_as_of"] < turn.number <= number
        for turn in read(path)
        for event in turn.events
        if getattr(event, "name", "").endswith(".Kept")
    )
    assert found.state["events_since"] == since
    assert len(told["names"]) - 1 + since == len(totals)
    assert f"{since} event" in as_text(one_lines(found))


def test_with_its_class_its_state_is_what_it_was_behind_every_turn_in_both_processes(shop):
    path, store, _, totals, _ = shop
    reader = read(path)
    own = OwnStates(reader, [Store])
    timeline = Timeline(reader)
    for number, total in sorted(totals.items())[::7]:
        found = Look(timeline.at(number), reader, own.behind).one(store)
        assert found is not None
        assert found.state["own"]["total"] == total, number
        assert found.state["own"]["title"] == "shop"
        assert len(found.state["own"]["names"]) <= len(totals)


def test_a_module_that_is_named_brings_its_classes(shop):
    path, store, _, totals, _ = shop
    number = max(totals)
    found = document("state", path, "--at", number, "--of", f"a{store}", "--classes", MODULE)
    assert found["actors"][0]["state"]["own"]["total"] == totals[number]
    shown = run("state", path, "--at", number, "--of", f"a{store}", "--classes", MODULE).stdout
    assert "total" in shown
    assert "--classes MODULE" not in shown


def test_nothing_of_the_actors_is_loaded_unless_a_module_is_named(plot):
    import subprocess
    import sys

    program = (
        "import sys; from rescind.replay.cli import cli;"
        f"cli(['state', {str(plot[1])!r}, '--at', '400'], standalone_mode=False);"
        "assert 'pykka' not in sys.modules and 'rescind.actors.runtime' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# --- what changed --------------------------------------------------------------------------------


def test_a_difference_names_fields_both_values_and_the_turn_that_changed_them_last(plot):
    story, path = plot
    number = story.victims[0].number
    accepted = turn_with(path, lambda e: isinstance(e, Accepted) and e.request == number)
    completed = turn_with(path, lambda e: isinstance(e, Completed) and e.request == number)
    reader = read(path)
    found = {
        each.after.actor: each
        for each in differences(Timeline(reader), reader, (accepted, completed))
        if each.after.kind is Kind.REQUEST
    }
    status = next(change for change in found[number].changes if change.field == "status")
    assert (status.before, status.after) == ("outstanding", "completed")
    assert status.turn == completed
    assert found[story.victims[1].number].came
    assert found[story.victims[1].number].changes[0].turn == accepted + 1
    back = differences(Timeline(reader), reader, (completed, accepted))
    assert next(d for d in back if d.after.actor == story.victims[1].number).went


def test_differences_come_out_of_two_keyframes_as_out_of_the_whole_log(plot):
    _, path = plot
    reader = read(path)
    turns = list(reader)
    for first, second in ((150, 600), (20, 880), (333, 334)):
        told = {
            (each.after.kind, each.after.actor, each.came, each.went, names(each))
            for each in differences(Timeline(reader), reader, (first, second))
        }
        true = {
            (each.after.kind, each.after.actor, each.came, each.went, names(each))
            for each in differences(Timeline(turns), turns, (first, second))
        }
        assert told == true


def names(difference):
    """Return the fields that differ, but for words of a cancel that no keyframe tells."""
    known = {change.field for change in difference.changes} - {"reason", "class"}
    return tuple(sorted(known))


def test_nothing_changes_between_a_turn_and_itself(plot):
    _, path = plot
    shown = run("state", path, "--diff", 400, 400)
    assert shown.exit_code == 0
    assert "nothing that the log tells of changed" in shown.stdout


# --- the command ---------------------------------------------------------------------------------


def test_a_screen_fits_and_hostile_names_stay_text(tmp_path):
    log = open_log(tmp_path / "log")
    driver = "\x1b[31m<b>\u202e" + "x" * 300
    log.append(record(log, Start(0, [], {}), Opened(1, "newton\x1b", "guide", driver)))
    for number in range(2, 30):
        accepted = Accepted(number, 1, "Out\nput" * 9, True, None, True)
        log.append(record(log, Submit("Output", (), True, None), accepted))
    log.write(log.seal())
    log.close()
    states = list(cut_at(read(tmp_path / "log"), 25))
    shown = as_text([*cut_lines(states), *one_lines(states[1]), *one_lines(states[2])])
    assert all(len(each) <= 100 for each in shown.splitlines())
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "and 4 more (--all shows them)" in shown


def test_events_without_sense_mean_nothing_and_break_nothing(tmp_path):
    log = open_log(tmp_path / "log")
    log.append(record(log, Start(0, [], {}), Opened(1, "newton", "guide", "twin")))
    wrong: Any = "wrong"
    log.append(record(log, None, Accepted(wrong, 1, "Output", True, None, True)))
    log.append(record(log, None, Accepted(5, wrong, wrong, wrong, wrong, True)))
    log.append(record(log, None, Completed(5, wrong, 0, 0), StateChanged(1, 0, wrong)))
    log.write(log.seal())
    log.close()
    states = list(cut_at(read(tmp_path / "log"), 4))
    assert [each.actor for each in states] == [0, 1]
    assert states[1].state["state"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--at", "99999"), "which holds turns 1.."),
        (("--at", "yesterday"), "no time"),
        (("--at", "1999-01-01"), "ends before that time"),
        ((), "say --at TURN"),
        (("--at", "5", "--diff", "1", "2"), "say --at TURN"),
        (("--at", "5", "--of", "17"), "here an actor, request or cancel fits"),
        (("--at", "5", "--of", "r99999"), "the log knows no request r99999"),
        (("--at", "5", "--classes", "no.such.module"), "--classes no.such.module"),
    ],
)
def test_what_cannot_be_answered_is_said(plot, arguments, says):
    result = run_as_called("state", plot[1], *arguments)
    assert result[0] == 2
    assert says in result[1]


def run_as_called(*arguments):
    """Return the exit code, and what was said on standard error."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "rescind.replay", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_a_time_is_answered_by_the_last_turn_not_after_it(tmp_path):
    runtime = Runtime.open(tmp_path / "log")
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    runtime.close()
    turns = list(read(tmp_path / "log"))
    micros = turns[2].time_ns // 1000 + 1
    moment = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    found = document("state", tmp_path / "log", "--at", moment.isoformat())
    assert found["at"] == max(t.number for t in turns if t.time_ns <= micros * 1000)
