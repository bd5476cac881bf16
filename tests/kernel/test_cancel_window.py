"""A cancel from its beginning to its end: each victim a turn, the trigger last but one."""

import threading

import pytest

from rescind import newton
from rescind.events import (
    Cancel,
    CancelBegan,
    CancelEnded,
    Completed,
    CompletionScript,
    Manner,
    read,
)
from rescind.replay import Verdict, check
from tests.runtime.recordings import events_of, turns


def numbers(ranges):
    pairs = zip(ranges[::2], ranges[1::2], strict=True)
    return [number for first, last in pairs for number in range(first, last + 1)]


class Signalling(newton.TwinTool):
    """A twin that says when it was asked for the Output that a caller is blocked in."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.asked_for_blocked = threading.Event()

    def perform(self, request, operation, arguments):
        super().perform(request, operation, arguments)
        if operation == "Output" and arguments[0] == "blocked":
            self.asked_for_blocked.set()


@pytest.fixture
def blocked(threaded):
    """Three asynchronous Outputs, a thread blocked in a fourth, and what everybody heard."""
    twin = Signalling(holds_kills=True)
    endpoint = newton.Endpoint(threaded, twin)
    endpoint.bind()
    endpoint.connect()
    heard = []

    def script(name):
        return lambda _endpoint, _options, result: heard.append((name, result))

    def call():
        try:
            endpoint.output("blocked")
        except newton.CommError as error:
            heard.append(("blocked", error.code))

    victims = [
        endpoint.output(name, asynchronous=True, completion_script=script(name)) for name in "abc"
    ]
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert twin.asked_for_blocked.wait(15)
    return endpoint, twin, victims, thread, heard, script


def test_the_blocked_caller_hears_of_the_cancel_behind_the_trigger(blocked, threaded):
    endpoint, twin, victims, thread, heard, script = blocked
    cancel = endpoint.cancel(asynchronous=True, completion_script=script("cancel"))
    threaded.flush()
    twin.finish_kill()
    thread.join(15)
    assert heard == [
        ("a", -16005), ("b", -16005), ("c", -16005), ("cancel", None), ("blocked", -16005)
    ]  # fmt: skip
    found = turns(threaded)
    began = next(event for turn in found for event in turn.events if isinstance(event, CancelBegan))
    assert numbers(began.victims)[:3] == [victim.number for victim in victims]
    delivered = [turn for turn in found if isinstance(turn.message, CompletionScript)]
    assert delivered[-1].message.manner == Manner.RAISED
    assert delivered[-2].message.requests == [cancel.number, cancel.number]
    ended = next(turn for turn in found if CancelEnded in map(type, turn.events))
    assert ended.number < delivered[-2].number < delivered[-1].number


def test_the_blocked_victim_completes_with_the_others_but_is_delivered_last(blocked, threaded):
    endpoint, twin, _, thread, _, script = blocked
    endpoint.cancel(asynchronous=True, completion_script=script("cancel"))
    threaded.flush()
    twin.finish_kill()
    thread.join(15)
    found = turns(threaded)
    kills = [turn.number for turn in found if isinstance(turn.message, Cancel)]
    ended = next(turn for turn in found if CancelEnded in map(type, turn.events))
    assert len(kills) == 4
    assert max(kills) < ended.number


def test_a_window_stays_open_until_the_driver_has_stopped(runtime, connect):
    endpoint, twin = connect(runtime, holds_kills=True)
    request = endpoint.output("x", asynchronous=True)
    cancel = endpoint.cancel(asynchronous=True)
    runtime.flush()
    with pytest.raises(newton.CommError) as refused:
        endpoint.output("y", asynchronous=True)
    assert refused.value.code == -36003
    assert not request.is_done
    assert not cancel.is_done
    twin.finish_kill()
    cancel.get(15)
    assert endpoint.output("z", asynchronous=True).number


def test_a_cancel_of_nothing_ends_all_the_same(runtime, connect):
    endpoint, _ = connect(runtime)
    assert endpoint.cancel(asynchronous=True).get(15) is None
    assert events_of(runtime, CancelBegan)[0].victims == []
    assert len(events_of(runtime, CancelEnded)) == 1


def test_what_a_victims_script_submits_meets_the_window_and_what_the_cancels_own_submits_does_not(
    runtime, connect
):
    endpoint, _ = connect(runtime)
    codes: list[int | None] = []

    def again(endpoint, _options, _result):
        try:
            endpoint.output("again", asynchronous=True)
        except newton.CommError as error:
            codes.append(error.code)
        else:
            codes.append(None)

    for _ in range(3):
        endpoint.output("x", asynchronous=True, completion_script=again)
    cancel = endpoint.cancel(asynchronous=True, completion_script=again)
    assert cancel.wait_done(15)
    assert codes == [-36003] * 3 + [None]


def test_an_answer_that_comes_before_the_kill_wins(runtime, connect):
    endpoint, twin = connect(runtime, holds_kills=True)
    first, second = (endpoint.output(name, asynchronous=True) for name in "ab")
    cancel = endpoint.cancel(asynchronous=True)
    runtime.flush()
    twin.complete(first.number)
    twin.finish_kill()
    cancel.get(15)
    assert (first.result, second.result) == (None, -16005)
    assert [each.request for each in events_of(runtime, Completed)].count(first.number) == 1


VICTIMS = 10_000


def test_ten_thousand_victims_take_ten_thousand_turns_in_bounded_batches(recordings, connect):
    runtime = recordings.open("thread")
    endpoint, _ = connect(runtime)
    heard = []
    spec = newton.CallbackSpec(True, None, lambda _e, _o, result: heard.append(result))
    requests = [endpoint.output("x", spec) for _ in range(VICTIMS)]
    endpoint.cancel(asynchronous=True).get(50)
    assert heard == [-16005] * VICTIMS
    found = turns(runtime)
    kills = [turn for turn in found if isinstance(turn.message, Cancel)]
    assert [turn.actor for turn in kills] == [request.number for request in requests]
    assert all([type(event) for event in turn.events] == [Completed] for turn in kills)
    first_script = next(
        turn
        for turn in found
        if isinstance(turn.message, CompletionScript) and turn.message.manner == Manner.SCRIPT
    )
    assert first_script.number < kills[-1].number, "scripts wait for all victims"
    batches = [len(batch.records) for batch in read(runtime.log).batches()]
    with_kills = [n for n in batches if n > 1]
    assert max(batches) <= 5000
    assert len(with_kills) > 10
    assert check(read(runtime.log)).verdict is not Verdict.BROKEN
