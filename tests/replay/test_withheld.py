"""A log without payload is shown and executed as far as what it keeps allows."""

import json
from typing import Any

import pytest

from rescind import Actor, Runtime, Stepped, newton
from rescind.actors.runtime import VirtualClock
from rescind.events import (
    Log,
    Opaque,
    Origin,
    Replied,
    Returned,
    ScriptRaised,
    Tell,
    Turn,
    Withheld,
    digest_of,
    read,
)
from rescind.replay._ledger.model import Ledger
from rescind.replay._rerun.rerun import rerun
from rescind.replay._rerun.result import rerun_json
from rescind.replay._rerun.screen import rerun_lines
from rescind.replay._words.describe import event_text, message_text
from rescind.replay._words.text import Clock, as_text, error_text, jsonable, value_text
from rescind.replay._words.turns import turn_json, turn_lines

SECRET = "4111 1111 1111 1111"
GONE: Any = Withheld(None, None)
DIGEST = Withheld(1234, bytes.fromhex("ab12" + "00" * 30))


class Till(Actor):
    def on_receive(self, message):
        return ("paid", message)


class Clerk(Actor):
    def __init__(self, till):
        self.till = till

    def on_receive(self, message):
        return self.till.ask(f"{message} again")


# --- screens -----------------------------------------------------------------------------------


def test_a_withheld_value_is_shown_by_its_length_and_digest():
    assert value_text(DIGEST, 40) == "withheld(sha256 ab12.., 1,234 bytes)"
    assert value_text(GONE, 40) == "withheld"
    assert value_text([DIGEST], 40) == "[withheld(sha256 ab12000000000000000000…"
    assert message_text(Tell(DIGEST), Ledger()) == "Tell value=withheld(sha256 ab12.., 1,234 bytes)"


def test_a_withheld_value_has_a_mark_in_json():
    assert jsonable(DIGEST) == {"$withheld": {"length": 1234, "sha256": "ab12" + "00" * 30}}
    assert jsonable([GONE]) == [{"$withheld": None}]


def test_an_exception_whose_text_is_withheld_is_still_an_exception():
    assert error_text("ValueError: x") == "ValueError: x"
    assert error_text(Opaque("str")) == "<str, not recorded>"
    assert message_text(Returned(3, GONE), Ledger()) == "Returned r3, raised withheld"
    assert event_text(ScriptRaised(3, GONE), Ledger()) == "ScriptRaised request=3 error=withheld"


def test_a_turn_whose_payload_is_withheld_is_shown_and_marked():
    turn = Turn(1, 5, 1, 7, Origin.APP, None, Tell(DIGEST), (Replied(GONE),), None, False)
    ledger = Ledger()
    ledger.feed(turn)
    text = as_text(turn_lines(turn, ledger, Clock(turn.time_ns)))
    assert "Tell value=withheld(sha256 ab12.., " in text
    assert "Replied value=withheld" in text
    document = turn_json(turn, ledger)
    assert document["replayable"] is False
    json.dumps(document)


# --- re-execution ------------------------------------------------------------------------------


@pytest.fixture
def open_runtime():
    """Return a maker of stepped runtimes with a payload policy."""
    runtimes = []

    def make(**payloads):
        clock = VirtualClock()
        log = Log.create_or_open(None, clock_ns=clock.now_ns, payloads=payloads)
        runtimes.append(Runtime(log, dispatcher=Stepped(), clock=clock))
        return runtimes[-1]

    yield make
    for runtime in runtimes:
        runtime.close()


def screen(result):
    return as_text(rerun_lines(result)).splitlines()


def test_a_withheld_input_ends_the_re_execution_and_says_so(open_runtime):
    runtime = open_runtime(Ask="digest")
    till = runtime.start(Till)
    till.ask(SECRET)
    till.ask(SECRET)
    runtime.close()
    result = rerun(read(runtime.log), classes=[Till])
    assert result.divergence is None
    assert (result.turns, result.ended) == (2, 3)
    assert screen(result) == [
        "not re-executable from turn 3 on: payload withheld",
        "  before it 2 turns came out as recorded",
    ]
    assert rerun_json(result)["ended"] == 3


@pytest.mark.parametrize("kind", ["Start", "Submit"])
def test_withheld_arguments_end_the_re_execution_where_they_are_needed(open_runtime, kind):
    runtime = open_runtime(**{kind: "none"})
    till = runtime.start(Till)
    runtime.start(Clerk, till).ask(SECRET)
    newton.Endpoint(runtime, newton.twin(label="twin")).bind()
    runtime.close()
    result = rerun(read(runtime.log), classes=[Till, Clerk])
    assert result.divergence is None
    first = next(turn.number for turn in read(runtime.log) if not turn.replayable)
    assert result.ended == first


def test_an_actor_that_is_not_executed_needs_no_payload(open_runtime):
    runtime = open_runtime(Ask="none", Tell="none", Start="none")
    till = runtime.start(Till)
    till.ask(SECRET)
    runtime.close()
    result = rerun(read(runtime.log))
    assert (result.ended, result.divergence) == (0, None)
    assert sum(1 for _ in read(runtime.log, actor=till.number)) == 3
    assert result.skipped == 5, "and the two of native requests, in which nobody else has a part"


def test_a_withheld_answer_is_not_compared_and_nothing_else_is_lost(open_runtime):
    runtime = open_runtime(Replied="digest")
    till = runtime.start(Till)
    assert runtime.start(Clerk, till).ask(SECRET) == ("paid", SECRET + " again")
    runtime.close()
    result = rerun(read(runtime.log), classes=[Till, Clerk])
    assert (result.ended, result.divergence, result.opaque) == (0, None, 0)
    assert result.withheld == sum(turn.withheld for turn in read(runtime.log)) == 2
    assert screen(result)[-1] == "  2 turns not compared: payload withheld"
    assert rerun_json(result)["withheld"] == 2


def test_what_drivers_reported_may_be_withheld_and_everything_is_executed(open_runtime):
    runtime = open_runtime(Answer="none", Received="digest")
    twin = newton.twin(at_once=frozenset())
    endpoint = newton.Endpoint(runtime, twin)
    heard: list[Any] = []
    done = newton.CallbackSpec(True, None, lambda _endpoint, _options, code: heard.append(code))
    for operation in (endpoint.bind, endpoint.connect):
        operation(done)
        runtime.dispatcher.run()
        twin.complete(next(iter(twin.pending)), None, SECRET)
        runtime.dispatcher.run()
    endpoint.set_input_spec(newton.InputSpec(lambda _endpoint, data, *_: heard.append(data)))
    runtime.dispatcher.run()
    twin.receive(SECRET)
    runtime.dispatcher.run()
    runtime.close()
    result = rerun(read(runtime.log))
    assert heard == [None, None, SECRET]
    assert (result.ended, result.divergence) == (0, None)
    assert result.withheld == sum(turn.withheld for turn in read(runtime.log)) == 3


def test_a_value_is_found_by_its_digest(open_runtime):
    runtime = open_runtime(Ask="digest")
    runtime.start(Till).ask(SECRET)
    runtime.close()
    wanted = digest_of(SECRET)
    found = [
        turn.number for turn in read(runtime.log) if getattr(turn.message, "value", 0) == wanted
    ]
    assert found == [3]
