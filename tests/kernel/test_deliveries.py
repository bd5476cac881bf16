"""Deliveries of one endpoint: one order, one record per run, cut where a script calls."""

import pytest

from rescind.events import (
    CompletionScript,
    Delivered,
    Manner,
    Returned,
    ScriptRaised,
    ScriptReturned,
    ScriptRunning,
    Submit,
)
from tests.runtime.recordings import events_of, turns, waits


class Stage:
    """Outputs whose scripts note their names and then do what they are given to do."""

    def __init__(self, runtime, connect, **actions):
        self.runtime = runtime
        self.endpoint, self.twin = connect(runtime)
        self.heard = []
        self.actions = actions
        self.requests = {}

    def submit(self, names):
        for name in names:
            self.requests[name] = self.endpoint.output(
                name, asynchronous=True, completion_script=self.script(name)
            )
        self.runtime.flush()

    def script(self, name):
        def completion_script(_endpoint, _options, _result):
            self.heard.append(name)
            action = self.actions.get(name)
            if action is not None:
                action(self)

        return completion_script

    def complete(self, names):
        """Answer these, all before the first delivery, then wait for the last one's script."""
        with self.runtime._world:
            for name in names:
                self.twin.complete(self.requests[name].number)
            while self.runtime.run_turns() or self.runtime.commit():
                pass
        if hasattr(self.runtime.dispatcher, "run"):
            self.runtime.dispatcher.run()
        else:
            self.runtime.dispatcher.wake()
        # The last one first: whoever waits for a request ends the run that delivers it.
        for name in reversed(names):
            assert self.requests[name].wait_done(15)

    def runs(self):
        """Return every script run as (names, whether the last script was still running)."""
        names = {request.number: name for name, request in self.requests.items()}
        return [
            ("".join(names[n] for n in numbers(turn.message.requests)), turn.message.running)
            for turn in turns(self.runtime)
            if isinstance(turn.message, CompletionScript) and turn.message.manner == Manner.SCRIPT
        ]


def numbers(ranges):
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return [number for first, last in pairs for number in range(first, last + 1)]


@pytest.fixture
def stage(runtime, connect):
    def make(**actions):
        return Stage(runtime, connect, **actions)

    return make


def test_completions_that_leave_together_share_one_record(stage):
    on = stage()
    on.submit("abcdefgh")
    on.complete("abcdefgh")
    assert on.heard == list("abcdefgh")
    assert on.runs() == [("abcdefgh", False)]


def test_deliveries_follow_the_order_of_completion_not_of_submission(stage):
    on = stage()
    on.submit("abcd")
    on.complete("cadb")
    assert on.heard == list("cadb")
    assert on.runs() == [("cadb", False)]


def test_a_run_is_cut_where_a_script_calls(stage):
    on = stage(c=lambda on: on.endpoint.output("called", asynchronous=True))
    on.submit("abcde")
    on.complete("abcde")
    assert on.runs() == [("abc", True), ("de", False)]
    called = next(
        turn
        for turn in turns(on.runtime)
        if isinstance(turn.message, Submit) and list(turn.message.arguments) == ["called"]
    )
    cut = next(turn for turn in turns(on.runtime) if turn.number == called.cause.number)
    assert cut.events[0] == ScriptRunning(on.requests["c"].number)
    returned = [turn for turn in turns(on.runtime) if isinstance(turn.message, Returned)]
    assert [turn.message for turn in returned] == [Returned(on.requests["c"].number, None)]
    assert returned[0].events == (ScriptReturned(on.requests["c"].number),)
    assert cut.number < called.number < returned[0].number


def test_two_calls_of_one_script_cut_the_run_once(stage):
    def twice(on):
        on.endpoint.output("one", asynchronous=True)
        on.endpoint.output("two", asynchronous=True)

    on = stage(b=twice)
    on.submit("abc")
    on.complete("abc")
    assert on.runs() == [("ab", True), ("c", False)]


def test_a_script_that_raises_is_recorded_and_the_next_ones_run(stage):
    def fail(_on):
        raise LookupError("as asked")

    on = stage(b=fail)
    on.submit("abcd")
    on.complete("abcd")
    assert on.heard == list("abcd")
    assert on.runs() == [("ab", True), ("cd", False)]
    [raised] = events_of(on.runtime, ScriptRaised)
    assert raised == ScriptRaised(on.requests["b"].number, "LookupError: as asked")


def test_every_script_may_raise(stage):
    def fail(_on):
        raise LookupError("as asked")

    on = stage(a=fail, b=fail, c=fail)
    on.submit("abc")
    on.complete("abc")
    assert on.runs() == [("a", True), ("b", True), ("c", True)]
    assert len(events_of(on.runtime, ScriptRaised)) == 3


@waits
def test_a_suspended_script_lets_the_next_ones_go_on_in_records_of_their_own(stage, connect):
    def waits(on):
        on.awaited.get()
        on.heard.append("a again")

    def answers(on):
        on.other_twin.complete(on.awaited.number)

    on = stage(a=waits, c=answers)
    other, on.other_twin = connect(on.runtime)
    on.awaited = other.output("awaited", asynchronous=True)
    on.submit("abc")
    on.complete("abc")
    assert on.heard[:3] == ["a", "b", "c"]
    assert on.heard[3] == "a again"
    assert on.runs()[0] == ("a", True)
    assert "".join(names for names, _ in on.runs()) == "abc"
    returned = [turn.message for turn in turns(on.runtime) if isinstance(turn.message, Returned)]
    assert Returned(on.requests["a"].number, None) in returned


@waits
def test_a_window_waits_for_the_script_that_waits(stage, connect):
    """A victim whose script only waits, and calls nothing, is as unfinished as one that calls."""

    def waits(on):
        on.awaited.get()
        on.heard.append("a again")

    def answers(on):
        on.other_twin.complete(on.awaited.number)

    on = stage(a=waits, c=answers)
    other, on.other_twin = connect(on.runtime)
    on.awaited = other.output("awaited", asynchronous=True)
    on.submit("abc")
    cancel = on.endpoint.cancel(asynchronous=True, completion_script=on.script("cancel"))
    assert cancel.wait_done(15)
    assert on.heard == ["a", "b", "c", "a again", "cancel"]


def test_three_hundred_completions_are_a_few_records_in_order(stepped, connect):
    on = Stage(stepped, connect)
    names = [chr(0x4E00 + n) for n in range(300)]
    on.submit(names)
    on.complete(names)
    assert on.heard == names
    assert "".join(run for run, _ in on.runs()) == "".join(names)
    assert 2 <= len(on.runs()) <= 4


def test_manners_are_not_mixed_in_one_record(stage):
    on = stage()
    on.submit("ab")
    quiet = on.endpoint.output("quiet", asynchronous=True)
    on.requests["q"] = quiet
    on.submit("c")
    on.complete("abqc")
    manners = [
        turn.message.manner
        for turn in turns(on.runtime)
        if isinstance(turn.message, CompletionScript)
    ]
    assert manners[-3:] == [Manner.SCRIPT, Manner.FUTURE, Manner.SCRIPT]
    assert on.runs() == [("ab", False), ("c", False)]


def test_each_request_is_delivered_once_and_after_its_completion(stage):
    on = stage(b=lambda on: on.endpoint.output("called", asynchronous=True))
    on.submit("abcdef")
    on.complete("fedcba")
    delivered = [n for event in events_of(on.runtime, Delivered) for n in numbers(event.requests)]
    assert len(delivered) == len(set(delivered))
    completed_in = {}
    for turn in turns(on.runtime):
        for event in turn.events:
            if type(event).__name__ == "Completed":
                completed_in[event.request] = turn.number
            elif isinstance(event, Delivered):
                assert all(completed_in[n] < turn.number for n in numbers(event.requests))
