"""The contract of every dispatcher: the same program, the same answers, the same laws."""

import threading

import pytest

from rescind import newton
from rescind.actors.runtime import Actor, RuntimeClosedError, UsageError
from rescind.events import Stop, Stopped

from .actors import Doubler, Relay, Sums
from .helpers import Helper
from .recordings import events_of, turns, waits


def test_turns_of_one_actor_never_overlap(recordings, dispatcher):
    class Alone(Actor):
        inside = False

        def on_receive(self, _message):
            assert not self.inside
            self.inside = True
            total = sum(range(200))
            self.inside = False
            return total

    runtime = recordings.open(dispatcher)
    ref = runtime.start(Alone)
    asked = [ref.ask(n, block=False) for n in range(200)]
    assert {each.get() for each in asked} == {19900}


def test_messages_from_one_sender_to_one_actor_keep_their_order(runtime):
    class Sprays(Actor):
        def __init__(self, left, right):
            self.targets = left, right

        def on_receive(self, count):
            for n in range(count):
                self.targets[n % 2].tell(n)

    left, right = runtime.start(Sums), runtime.start(Sums)
    runtime.start(Sprays, left, right).ask(100)
    assert left.ask("told?") == list(range(0, 100, 2))
    assert right.ask("told?") == list(range(1, 100, 2))


def test_a_request_of_an_endpoint_and_an_actors_turns_share_one_order(runtime, connect):
    endpoint, twin = connect(runtime)
    sums = runtime.start(Sums)

    def script(*_):
        sums.tell(1)

    requests = [endpoint.output("x", asynchronous=True, completion_script=script) for _ in range(5)]
    runtime.flush()
    for request in requests:
        twin.complete(request.number)
    requests[-1].get()
    assert sums.ask("sum?") == 5


def test_scripts_of_one_endpoint_run_one_at_a_time(runtime, connect):
    endpoint, twin = connect(runtime)
    inside, heard = [], []

    def script(*_):
        inside.append(1)
        heard.append(len(inside))
        inside.pop()

    requests = [
        endpoint.output("x", asynchronous=True, completion_script=script) for _ in range(50)
    ]
    runtime.flush()
    for request in requests:
        twin.complete(request.number)
    requests[-1].get()
    assert heard == [1] * 50


@waits
def test_a_script_that_waits_lets_the_next_script_of_its_endpoint_run(runtime, connect):
    endpoint, twin = connect(runtime)
    other, other_twin = connect(runtime)
    order = []
    awaited = other.output("awaited", asynchronous=True)

    def waits(*_):
        order.append("first begins")
        awaited.get()
        order.append("first ends")

    def goes_on(*_):
        order.append("second")
        other_twin.complete(awaited.number)

    first = endpoint.output("1", asynchronous=True, completion_script=waits)
    second = endpoint.output("2", asynchronous=True, completion_script=goes_on)
    runtime.flush()
    for request in (first, second):
        twin.complete(request.number)
    last = endpoint.output("3", asynchronous=True)
    runtime.flush()
    twin.complete(last.number)

    def see():
        last.get()
        first.get()
        second.get()

    if hasattr(runtime.dispatcher, "run"):
        see()  # on this thread: it is the only one that steps
    else:
        Helper(see).result()
    assert order == ["first begins", "second", "first ends"]


def test_an_urgent_message_overtakes_a_backlog(stepped):
    """The control lane: what Cancel, Drop and an urgent Stop use."""

    class Boss(Actor):
        def __init__(self, worker):
            self.worker = worker

        def on_receive(self, _message):
            self.worker.stop(block=False, urgent=True)

    worker = stepped.start(Sums)
    boss = stepped.start(Boss, worker)
    boss.tell("now")
    for n in range(1000):
        worker.tell(n)
    stepped.dispatcher.run()
    found = [turn for turn in turns(stepped) if turn.actor == worker.number]
    assert found[1].message == Stop(urgent=True)
    assert found[1].events == (Stopped(worker.number, None),)
    assert len(found) == 2 + 1000, "every message behind it is a dead letter"


def test_a_cancel_overtakes_a_backlog_of_messages(stepped, connect):
    endpoint, _ = connect(stepped)
    request = endpoint.output("x", asynchronous=True)
    stepped.flush()
    sums = stepped.start(Sums)
    for n in range(1000):
        sums.tell(n)
    cancel = endpoint.cancel(asynchronous=True)
    stepped.flush()  # the twin's Killed comes behind all of these
    cancel.get()
    kinds = [type(turn.message).__name__ for turn in turns(stepped)]
    assert kinds.index("Cancel") < kinds.index("Tell")
    assert request.result == -16005


def test_a_closed_runtime_refuses_everything_and_its_actors_are_dead(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    endpoint = newton.Endpoint(runtime, newton.twin())
    ref = runtime.start(Doubler)
    relay = runtime.start(Relay, ref)
    runtime.close()
    runtime.close()
    assert not ref.is_alive()
    assert not relay.is_alive()
    with pytest.raises(RuntimeClosedError):
        runtime.start(Doubler)
    with pytest.raises(RuntimeClosedError):
        endpoint.bind()
    assert len(events_of(runtime, Stopped)) == 2


def test_closing_takes_what_was_sent_before(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    ref = runtime.start(Sums)
    for n in range(1000):
        ref.tell(n)
    asked = ref.ask("sum?", block=False)
    runtime.close()
    assert asked.get() == sum(range(1000))


@waits
def test_closing_inside_a_script_closes_and_nothing_hangs(runtime, connect):
    endpoint, twin = connect(runtime)
    closed = threading.Event()

    def script(*_):
        runtime.close()
        closed.set()

    request = endpoint.output("x", asynchronous=True, completion_script=script)
    runtime.flush()
    twin.complete(request.number)
    assert request.wait_done(15)
    assert closed.wait(15)
    with pytest.raises(UsageError, match="closed"):
        runtime.start(Doubler)


@pytest.mark.not_repeatable("its actors stop when a variable of the test says so")
def test_a_busy_runtime_does_not_keep_a_waiter_beyond_its_time_out(recordings, connect):
    class Busy(Actor):
        turns = 0
        must_stop = False

        def on_receive(self, message):
            Busy.turns += 1
            if not Busy.must_stop and Busy.turns < 200_000:
                self.actor_ref.tell(message)

    runtime = recordings.open("thread")
    endpoint, _ = connect(runtime)
    request = endpoint.output("x", asynchronous=True)
    runtime.start(Busy).tell("again")
    with pytest.raises(TimeoutError):
        request.get(0.05)
    before = Busy.turns
    Busy.must_stop = True
    assert before < 200_000, "it waited until nothing was left to do"
