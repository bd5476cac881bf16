"""Keyframes of a runtime: they tell of all that lives, as the turns before them tell it."""

import random
from contextlib import suppress
from functools import partial
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind import Runtime, Stepped, newton
from rescind.actors.newton.drivers._twin import ANSWERED_AT_ONCE
from rescind.actors.runtime import Actor
from rescind.actors.runtime import _numbers as numbers
from rescind.actors.runtime._numbers import numbers_kept
from rescind.events import Log, Pace, Submit, read
from rescind.replay._ledger.model import Ledger
from tests.determinism.program import Clerk, Story, Tally
from tests.events.logs import segments_of

from .helpers import Helper
from .recordings import audit

ALWAYS = Pace(log_bytes_min=0, log_bytes_factor=0, slice_entries=3)
"""There is always a keyframe under way, and it takes a few batches."""


class Parent(Actor):
    """Starts children."""

    def on_receive(self, message):
        return self.runtime.start(Child) if message == "child" else message


class Child(Actor):
    """Stops when told."""

    def on_receive(self, _message):
        self.stop()


def always(runtime, pace=ALWAYS):
    runtime.log.keyframes_from(runtime.entries, pace)
    return runtime


def told(runtime):
    """Return what a keyframe would say now, by actor."""
    with runtime.baton:
        return {entry.actor: entry for entry in runtime.entries() if entry and entry.actor}


def states(runtime, kind):
    every = {number: entry.state for number, entry in told(runtime).items()}
    return {number: state for number, state in every.items() if state and state["kind"] == kind}


# --- what is told --------------------------------------------------------------------------------


def test_ordinary_actors_are_told_with_class_and_parent_and_their_states_are_unknown(runtime):
    parent = runtime.start(Parent)
    child = parent.ask("child")
    gone = parent.ask("child")
    gone.stop()
    found = told(runtime)
    names = [read_class(runtime, entry.cls) for entry in found.values()]
    assert list(found) == [parent.number, child.number]
    assert names == [f"{__name__}.Parent", f"{__name__}.Child"]
    assert found[parent.number].state is None
    assert found[child.number].state == {"kind": "actor", "parent": parent.number}


def read_class(runtime, number):
    runtime.flush()
    reader = read(runtime.log)
    list(reader)
    return reader.class_name(1, number)


def test_an_endpoint_is_told_with_dialect_profile_driver_and_state(runtime):
    endpoint = newton.Endpoint(runtime, newton.twin(label="left"), profile="rom")
    endpoint.bind()
    found = told(runtime)[endpoint.number]
    assert read_class(runtime, found.cls) == "rescind.actors.newton._actors.NewtonEndpoint"
    assert found.state == {
        "kind": "endpoint",
        "dialect": "newton",
        "profile": "rom",
        "driver": "left",
        "state": int(newton.State.IDLE),
        "opened": 1,
        "changed": runtime.log.last_number - 1,
        "windows": [],
    }


def test_requests_are_told_until_they_are_delivered(stepped, connect):
    endpoint, twin = connect(stepped)
    first, second = (endpoint.output("x", newton.CallbackSpec(True, 5.0)) for _ in range(2))
    stepped.dispatcher.run()
    accepted = first.turn
    assert states(stepped, "request")[first.number] == {
        "kind": "request",
        "endpoint": endpoint.number,
        "operation": "Output",
        "asynchronous": True,
        "timeout_ns": 5_000_000_000,
        "status": "outstanding",
        "accepted": accepted,
    }
    twin.complete(first.number, code=-16009)
    stepped.run_turns()
    found = states(stepped, "request")
    assert list(found) == [first.number, second.number]
    assert found[first.number]["status"] == "completed"
    assert found[first.number]["code"] == -16009
    assert (found[first.number]["how"], found[first.number]["by"]) == (1, 0)
    assert found[first.number]["completed"] == first.turn > accepted
    assert "accepted" not in found[first.number]
    stepped.dispatcher.run()
    assert list(states(stepped, "request")) == [second.number]


def test_a_cancel_under_way_is_told_with_its_endpoint_and_its_victims_name_it(stepped, connect):
    endpoint, _ = connect(stepped, holds_kills=True)
    victims = [endpoint.output("x", asynchronous=True) for _ in range(2)]
    cancel = endpoint.cancel(asynchronous=True)
    stepped.dispatcher.run()
    [window] = states(stepped, "endpoint")[endpoint.number]["windows"]
    assert window == {
        "cancel": cancel.number,
        "began": cancel.turn,
        "trigger": cancel.number,
        "timed_out": 0,
        "forbids": True,
        "open": True,
        "stopped": False,
        "waiting": 2,
        "code": None,
    }
    found = states(stepped, "request")
    assert [found[each.number]["doomed"] for each in victims] == [cancel.number] * 2
    assert "doomed" not in found[cancel.number]


def test_a_script_that_runs_is_told_as_running(runtime, connect):
    endpoint, twin = connect(runtime)
    heard = []

    def script(endpoint, _options, _result):
        endpoint.output("again", asynchronous=True)
        heard.append(states(runtime, "request"))

    request = endpoint.output("x", newton.CallbackSpec(True, None, script))
    twin.complete(request.number)
    request.wait_done()
    assert heard[0][request.number]["status"] == "running"


def test_a_closed_endpoint_is_told_no_more_and_its_last_request_still_is(stepped, connect):
    endpoint, _ = connect(stepped)
    actor = endpoint._actor
    stepped.call(actor, Submit("Dispose", (), asynchronous=False, timeout_ns=None))
    stepped.run_turns()
    assert actor.is_closed
    [entry] = told(stepped).values()
    assert (entry.state["operation"], entry.state["status"]) == ("Dispose", "completed")
    stepped.dispatcher.run()
    assert told(stepped) == {}


def test_nothing_of_what_applications_and_peers_hand_over_is_in_a_keyframe(stepped, connect):
    always(stepped)
    endpoint, twin = connect(stepped)
    parent = stepped.start(Parent)
    parent.tell("secret in a message")
    waiting = endpoint.output("secret that is sent", asynchronous=True)
    answered = endpoint.output("secret that is sent", asynchronous=True)
    stepped.dispatcher.run()
    twin.complete(answered.number, value="secret in an answer")
    stepped.run_turns()
    assert {waiting.number, answered.number} <= told(stepped).keys()
    assert "secret" not in repr(told(stepped))


def test_a_payload_policy_is_not_defeated(tmp_path):
    policy = dict.fromkeys(("Submit", "Tell", "Ask", "Answer", "Completed", "Start"), "none")
    with Runtime.open(tmp_path / "log", dispatcher=Stepped(), payloads=policy) as runtime:
        always(runtime)
        endpoint = newton.Endpoint(runtime, newton.twin())
        endpoint.bind()
        endpoint.connect()
        for _ in range(9):
            endpoint.output("secret", asynchronous=True)
            runtime.flush()
    assert read(tmp_path / "log").keyframe() is not None
    written = b"".join(path.read_bytes() for path in (tmp_path / "log").glob("*.seg"))
    assert b"secret" not in written
    assert b"Output" in written


# --- an entry is the fold of the turns before it -------------------------------------------------


def entries_by_stamp(log):
    """Return the entries of every complete keyframe with the turns that they show the state of."""
    reader = read(log)
    found, behind = [], 0
    while (keyframe := reader.keyframe(behind=behind)) is not None:
        found += [(as_of, keyframe.number, entry) for as_of, entry in reader.entries(keyframe)]
        behind = keyframe.number + 1
    return sorted(found, key=lambda each: each[:2])


def agree(entry, ledger):
    """Assert that an entry says what the fold says."""
    state = entry.state or {"kind": "actor"}
    match state["kind"]:
        case "request":
            request = ledger.requests[entry.actor]
            assert not request.is_settled or state["status"] == "running"
            assert state["endpoint"] == request.endpoint
            assert state["operation"] == request.operation
            assert state["asynchronous"] == request.asynchronous
            assert state["timeout_ns"] == request.timeout_ns
            done = request.completed
            if done is None:
                assert state["status"] == "outstanding"
                assert state["accepted"] == request.submitted.turn
            else:
                expected = (done.turn, done.code, done.how, done.by)
                assert tuple(state[k] for k in ("completed", "code", "how", "by")) == expected
        case "endpoint":
            endpoint = ledger.endpoints[entry.actor]
            expected = (endpoint.dialect, endpoint.profile, endpoint.driver, endpoint.state)
            assert tuple(state[k] for k in ("dialect", "profile", "driver", "state")) == expected
            opened = {each["cancel"] for each in state["windows"] if each["open"]}
            assert opened == set(endpoint.windows)
            assert endpoint.closed is None
        case "log":
            assert (entry.actor, state["is_whole"]) == (0, True)
        case _:
            assert entry.actor in ledger.births
            assert entry.actor not in ledger.actors_stopped


def living(ledger):
    """Return all that must have an entry."""
    actors = ledger.births.keys() - ledger.actors_stopped.keys()
    closed = {n for n, endpoint in ledger.endpoints.items() if endpoint.closed}
    requests = {n for n, request in ledger.requests.items() if not request.is_settled}
    return (actors - closed) | requests


def hold_against_fold(log):
    """Compare every entry with the fold of the turns before it; return how many there were."""
    entries = entries_by_stamp(log)
    spans: dict[int, set[int]] = {}
    for _, number, entry in entries:
        spans.setdefault(number, set()).add(entry.actor)
    ledger, alive, turns = Ledger(), {}, iter(read(log))
    turn = 0
    for as_of, _, entry in entries:
        for each in islice(turns, as_of - turn):
            ledger.feed(each)
            turn = each.number
            if turn in spans:
                alive[turn] = living(ledger)
        agree(entry, ledger)
    # Whoever lived when a keyframe began and when the next one did lived all the time between.
    for (number, found), following in pairwise(spans.items()):
        lived_on = alive[number] & alive[following[0]]
        assert lived_on <= found, f"the keyframe behind turn {number} leaves some out"
    return len(entries), len(spans)


@pytest.mark.parametrize("seed", range(6))
def test_every_entry_is_the_fold_of_the_turns_before_it(tmp_path, seed):
    dispatcher = Stepped(seed, shuffle=seed % 2 == 1)
    with Runtime.open(tmp_path / "log", dispatcher=dispatcher) as runtime:
        always(runtime)
        Story(runtime).act()
    count, keyframes = hold_against_fold(tmp_path / "log")
    assert count > 50
    assert keyframes > 5


def test_so_it_is_when_many_threads_call_at_once(recordings, connect):
    runtime = always(recordings.open("thread"), ALWAYS._replace(slice_entries=8))
    parent = runtime.start(Parent)
    answered, _ = connect(runtime, at_once=ANSWERED_AT_ONCE | {"Output"})
    pending, _ = connect(runtime)

    def call(seed):
        chance = random.Random(seed)
        for number in range(60):
            endpoint = chance.choice((answered, pending))
            with suppress(newton.CommError):  # a cancel of another thread is in progress
                endpoint.output(f"{number}", asynchronous=True)
                if number % 20 == 19:
                    endpoint.cancel(asynchronous=True)
            if number % 4 == 0:
                parent.ask("child").tell("stop")

    for helper in [Helper(partial(call, seed)) for seed in range(4)]:
        helper.result()
    runtime.flush()
    count, _ = hold_against_fold(runtime.log)
    assert count > 50


# --- equal runs ----------------------------------------------------------------------------------


def run_story(seed, *, shuffle, pace=ALWAYS):
    runtime = Runtime.open(dispatcher=Stepped(seed, shuffle=shuffle), segment_bytes_max=12_000)
    with runtime:
        always(runtime, pace)
        Story(runtime).act()
    return runtime.log


@pytest.mark.parametrize("shuffle", [False, True])
def test_equal_runs_write_equal_keyframes(shuffle):
    first, second = (run_story(7, shuffle=shuffle) for _ in range(2))
    assert segments_of(first.storage) == segments_of(second.storage)
    assert len(segments_of(first.storage)) > 2
    assert read(first).keyframe() is not None


def test_keyframes_are_no_turns_and_a_rerun_does_not_see_them():
    with_keyframes, without = (run_story(3, shuffle=True, pace=pace) for pace in (ALWAYS, Pace()))
    audit(with_keyframes, [Clerk, Tally])
    assert read(without).keyframe() is None
    assert list(read(with_keyframes)) == list(read(without))


# --- options that are passed on ------------------------------------------------------------------


def test_a_runtime_begins_new_segments_by_size_and_by_age(tmp_path):
    dispatcher = Stepped()
    with Runtime.open(tmp_path / "size", dispatcher=dispatcher, segment_bytes_max=4_000) as runtime:
        actor = runtime.start(Parent)
        for number in range(200):
            actor.tell(number)
            dispatcher.run()
    assert len(read(tmp_path / "size").segments) > 2
    dispatcher = Stepped()
    with Runtime.open(tmp_path / "age", dispatcher=dispatcher, segment_age_s_max=10) as runtime:
        actor = runtime.start(Parent)
        for _ in range(4):
            dispatcher.advance(6)
            actor.tell("again")
            dispatcher.run()
    assert len(read(tmp_path / "age").segments) == 3


def test_a_runtime_over_an_opened_log_writes_keyframes_too():
    log = Log.create_or_open(None)
    with Runtime(log) as runtime:
        always(runtime).start(Parent)
        runtime.flush()
        assert read(log).keyframe() is not None


# --- numbers out of a dictionary that changes ----------------------------------------------------


@pytest.mark.parametrize(("copied_max", "sparse"), [(1 << 16, 64), (5, 64), (5, 1)])
@given(data=st.data())
def test_every_number_that_stays_is_found_once_and_none_that_has_gone(data, copied_max, sparse):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "COPIED_MAX", copied_max)
        patch.setattr(numbers, "SPARSE", sparse)
        patch.setattr(numbers, "TRIED_AT_ONCE", 7)
        kept = dict.fromkeys(sorted(data.draw(st.sets(st.integers(1, 90), min_size=1))))
        stayed, found = set(kept), []
        for number in numbers_kept(kept, min(kept), 100):
            if number is not None:
                assert number in kept
                found.append(number)
            if data.draw(st.booleans()):
                kept[100 + len(found)] = None
            if kept and data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(sorted(kept)))
                del kept[gone]
                if gone not in found:
                    stayed.discard(gone)
    assert len(found) == len(set(found))
    assert stayed <= set(found)


def test_a_large_dictionary_is_never_looked_through_at_a_stretch():
    kept = dict.fromkeys(range(1, 400_001))
    for number in range(1, 300_000):
        del kept[number]
    longest = tried = 0
    for found in numbers_kept(kept, 1, 400_001):
        tried = 0 if found is None else tried + 1
        longest = max(longest, tried)
    assert longest <= numbers.TRIED_AT_ONCE
    assert None not in set(numbers_kept(dict.fromkeys(range(numbers.COPIED_MAX)), 0, 1 << 40))
