"""What ``rescind demo`` leaves behind: the log says what happened, and the peer agrees."""

import json
import subprocess
import sys

import pytest

from rescind.events import Answer, Received, Submit, read
from rescind.replay import check, sequences, why


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the command once; return its document and its log."""
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    command = [sys.executable, "-m", "rescind.replay", "demo", "--json", "--out", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), log


def the_sequence(log):
    (sequence,) = sequences(read(log))
    return sequence


def test_the_asynchronous_victims_hear_16005_in_order_each_once(demo):
    victims = [each for each in the_sequence(demo[1]).victims if each.asynchronous and each.won]
    assert len(victims) >= 5
    assert victims[0].operation == "Input"
    outputs = [each.request for each in victims[1:]]
    assert outputs == sorted(outputs)
    assert all(each.completed.code == -16005 for each in victims)
    delivered = [each.delivered.turn for each in victims]
    assert delivered == sorted(delivered)


def test_the_request_of_the_script_is_refused_and_no_byte_of_it_reaches_the_peer(demo):
    document, log = demo
    (refusal,) = the_sequence(log).refused
    assert refusal.code == -36003
    assert document["peer"]["marker"] is False
    assert document["peer"]["bytes"] > 0
    turns = list(read(log))
    assert not any(
        isinstance(turn.message, Answer | Received) and turn.message.request == refusal.request
        for turn in turns
    )


def test_the_cancel_ends_after_its_victims_and_the_blocked_caller_hears_last(demo):
    sequence = the_sequence(demo[1])
    (blocked,) = [each for each in sequence.victims if not each.asynchronous]
    asynchronous = [each.delivered.turn for each in sequence.victims if each.asynchronous]
    completions = {
        each.requests[0]: turn.number
        for turn in read(demo[1])
        for each in turn.events
        if type(each).__name__ == "Delivered"
    }
    own = completions[sequence.cancel]
    assert max(asynchronous) < own < blocked.delivered.turn
    assert blocked.completed.code == -16005


def test_why_traces_the_refusal_to_the_cancel_and_to_the_line_that_called_it(demo):
    log = demo[1]
    (refusal,) = the_sequence(log).refused
    story = why(read(log), f"r{refusal.request}")
    steps = [step for branch in story.branches for step in branch.steps]
    messages = {turn.number: turn for turn in read(log)}
    called = [
        messages[step.turn]
        for step in steps
        if isinstance(messages[step.turn].message, Submit)
        and messages[step.turn].message.operation == "Cancel"
    ]
    assert called, [step.turn for step in steps]
    by = called[0].by
    assert by is not None
    assert by.function.endswith("press_stop")
    assert by.line > 0


def test_its_log_breaks_no_law(demo):
    assert check(read(demo[1], verify_chain=True)).verdict.value != "broken"


def test_it_overwrites_nothing(demo):
    command = [sys.executable, "-m", "rescind.replay", "demo", "--out", str(demo[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert "exists" in done.stderr
    assert "Traceback" not in done.stderr
