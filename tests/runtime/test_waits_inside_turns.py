"""A handler that waits splits its turn: others go on, it takes nothing, and circles are refused."""

import threading

import pytest
from pykka import Timeout

from rescind import newton
from rescind.actors.runtime import Actor, DeadlockError, Reply, UsageError
from rescind.events import Ask, Opened, Origin, Replied, Resume, Suspended, Tell

from .actors import Doubler, Relay, Sums
from .helpers import PATIENCE_S, Helper
from .recordings import events_of, turn_of, turns, waits


def turns_of(runtime, ref):
    return [turn for turn in turns(runtime) if turn.actor == ref.number]


@waits
def test_a_wait_ends_one_part_and_the_answer_begins_the_next(runtime):
    doubler = runtime.start(Doubler)
    relay = runtime.start(Relay, doubler)
    assert relay.ask(5) == 11
    _, first, second = turns_of(runtime, relay)
    inner = turns_of(runtime, doubler)[1]
    assert first.message == Ask(5)
    assert first.events == (Suspended(doubler.number),)
    assert inner.cause.number == first.number
    assert second.message == Resume(first.number, 10, None)
    assert (second.origin, second.cause.number) == (Origin.ACTOR, inner.number)
    assert second.events == (Replied(11),)


class AsksTwice(Actor):
    def __init__(self, other):
        self.other = other

    def on_receive(self, message):
        return self.other.ask(message) + self.other.ask(message + 1)


@waits
def test_a_handler_may_wait_again(runtime):
    ref = runtime.start(AsksTwice, runtime.start(Doubler))
    assert ref.ask(1) == 6
    assert [turn.message.value for turn in turns_of(runtime, ref)[2:]] == [2, 4]


@waits
def test_a_failed_answer_resumes_with_its_error(runtime):
    relay = runtime.start(Relay, runtime.start(Doubler))
    with pytest.raises(LookupError, match="as asked"):
        relay.ask("fail")
    resumed = turns_of(runtime, relay)[-1]
    assert resumed.message.error == "LookupError: as asked"
    assert relay.ask(1) == 3


@waits
def test_a_chain_of_waits_is_nested(runtime):
    ref = runtime.start(Doubler)
    for _ in range(5):
        ref = runtime.start(Relay, ref)
    assert ref.ask(1) == 7
    suspended = [turn for turn in turns(runtime) if Suspended in map(type, turn.events)]
    resumed = [turn for turn in turns(runtime) if isinstance(turn.message, Resume)]
    assert [turn.number for turn in suspended] == [turn.message.part for turn in resumed[::-1]]


@waits
def test_a_chain_of_waits_may_be_longer_than_fits_on_one_thread(runtime):
    ref = runtime.start(Doubler)
    for _ in range(40):
        ref = runtime.start(Relay, ref)
    assert ref.ask(1) == 42


@pytest.mark.not_repeatable("it knows an actor of the recorded runtime")
def test_a_wait_times_out_although_the_actor_that_owes_the_answer_waits_for_longer(recordings):
    """Nothing that may wait for longer stands on the stack of a handler whose wait is limited."""
    runtime = recordings.open("thread")
    meeting = runtime.start(Meeting)
    answer: Reply = Reply(runtime)

    class Hurries(Actor):
        def on_receive(self, _message):
            try:
                return meeting.ask(answer, timeout=0.01)
            except Timeout:
                return "nothing came"

    try:
        assert Helper(lambda: runtime.start(Hurries).ask("now")).result() == "nothing came"
    finally:
        answer.set("answer")
    assert meeting.ask("taken?") == ["answer"]


@pytest.mark.not_repeatable("who is asked waits for a future of the test")
def test_who_waits_without_limit_may_stand_below_one_that_waits_for_something_else(recordings):
    runtime = recordings.open("thread")
    meeting = runtime.start(Meeting)
    answer: Reply = Reply(runtime)
    asks = runtime.start(Tells, meeting)
    told = asks.ask(answer, block=False)
    try:
        assert Helper(lambda: runtime.start(Doubler).ask(2)).result() == 4, "others go on"
        assert not told.is_done
    finally:
        answer.set("answer")
    assert told.get(timeout=10) is None
    assert meeting.ask("taken?") == ["answer"]


class Door(Actor):
    """Is shut until it is told to open, or until a timer that it sets opens it."""

    is_open = False

    def on_receive(self, message):
        if message == "open?":
            return self.is_open
        if message == "open soon":
            self.send_after(0.01, "open")
        else:
            self.is_open = True
        return None


class Knocks(Actor):
    """Asks for as long as it takes, and says in between that it is at it."""

    def __init__(self, door, knocked):
        self.door = door
        self.knocked = knocked

    def on_receive(self, _message):
        while not self.door.ask("open?"):
            self.knocked.set()
        return "in"


@pytest.mark.parametrize("opens", ["open", "open soon"])
def test_a_handler_that_asks_again_and_again_keeps_nobody_out(recordings, opens):
    runtime = recordings.open("thread")
    door, knocked = runtime.start(Door), threading.Event()
    knocking = runtime.start(Knocks, door, knocked).ask("knock", block=False)
    assert knocked.wait(PATIENCE_S)
    Helper(lambda: door.tell(opens)).result()
    assert knocking.get(timeout=PATIENCE_S) == "in"


class Tells(Actor):
    """Asks another actor what it is asked."""

    def __init__(self, other):
        self.other = other

    def on_receive(self, message):
        return self.other.ask(message)


class Meeting(Actor):
    """Waits for a reply that the test gives from outside, and notes what it takes."""

    def __init__(self):
        self.taken = []

    def on_receive(self, message):
        if isinstance(message, Reply):
            self.taken.append(message.get())
        elif message == "taken?":
            return self.taken
        else:
            self.taken.append(message)
        return None


def test_the_waiting_actor_takes_nothing_and_others_go_on(recordings):
    """Also the thread that asks another actor goes on: it may be the one to give the answer."""
    runtime = recordings.open("thread")
    meeting, sums = runtime.start(Meeting), runtime.start(Sums)
    answer: Reply = Reply(runtime)
    meeting.tell(answer)
    meeting.tell("behind")
    taken = meeting.ask("taken?", block=False)
    sums.tell(5)
    asker = Helper(lambda: sums.ask("sum?", timeout=5))
    try:
        assert asker.result() == 5
        assert not taken.is_done
    finally:
        answer.set("answer")
    assert taken.get(timeout=10) == ["answer", "behind"]


@waits
def test_an_actor_that_is_asked_while_it_waits_answers_afterwards(runtime):
    """Here the stack of waits does not unwind in the order in which it was built."""
    doubler = runtime.start(Doubler)
    relay = runtime.start(Relay, doubler)
    second = runtime.start(Relay, relay)
    early, late = relay.ask(1, block=False), second.ask(2, block=False)
    assert early.get() == 3
    assert late.get() == 6


@waits
def test_what_was_put_aside_comes_before_what_came_later(runtime):
    class Boss(Actor):
        def __init__(self, worker):
            self.worker = worker
            self.seen = []

        def on_receive(self, message):
            if message == "seen?":
                return self.seen
            if message == "ask":
                self.worker.ask(self.actor_ref)
            self.seen.append(message)
            return None

    class Worker(Actor):
        def on_receive(self, boss):
            for n in range(3):
                boss.tell(n)

    boss = runtime.start(Boss, runtime.start(Worker))
    boss.ask("ask")
    assert boss.ask("seen?") == ["ask", 0, 1, 2]


class Asks(Actor):
    """Asks whoever it is told about; a route is a list of references to go through."""

    def on_receive(self, route):
        return route[0].ask(route[1:]) if route else "end"


@waits
def test_asking_oneself_is_refused_with_the_circle_named(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    ref = runtime.start(Asks)
    with pytest.raises(DeadlockError) as caught:
        ref.ask([ref])
    assert caught.value.cycle == (f"a{ref.number} Asks",) * 2
    assert ref.ask([]) == "end"


@waits
def test_a_circle_of_three_is_refused_with_all_its_names_in_order(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    a, b, c = (runtime.start(Asks) for _ in range(3))
    with pytest.raises(DeadlockError) as caught:
        a.ask([b, c, a])
    names = [f"a{ref.number} Asks" for ref in (c, a, b, c)]
    assert list(caught.value.cycle) == names
    assert " -> ".join(names) in str(caught.value)
    assert all(ref.is_alive() and ref.ask([]) == "end" for ref in (a, b, c))


class Sends(Actor):
    """Uses an endpoint inside its turns; the endpoint is the test's own, so not for a rerun."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def on_receive(self, message):
        if isinstance(message, int):
            sent = [self.endpoint.output("x", asynchronous=True) for _ in range(message)]
            return sent[-1].number
        if message[0] == "impatiently":
            try:
                self.endpoint.output(message[1], asynchronous=True).get(2)
            except TimeoutError:
                return "gave up"
        return self.endpoint.output(message).result


def test_a_wait_inside_a_turn_may_time_out(recordings, connect):
    runtime = recordings.open("stepped")
    endpoint, _ = connect(runtime)
    ref = runtime.start(Sends, endpoint)
    assert ref.ask(("impatiently", "x")) == "gave up"
    assert runtime.clock.now_ns() == 2_000_000_000
    last = turns_of(runtime, ref)[-1]
    assert isinstance(last.message, Resume)
    assert last.events == (Replied("gave up"),)


@waits
def test_a_synchronous_call_of_an_endpoint_splits_the_turn(recordings, dispatcher, connect):
    runtime = recordings.open(dispatcher)
    endpoint, _ = connect(runtime, at_once=frozenset({"Bind", "Connect", "Output"}))
    ref = runtime.start(Sends, endpoint)
    assert ref.ask("x") is None
    submitted = turn_of(runtime, "x")
    assert submitted.origin is Origin.ACTOR
    assert submitted.cause.number == turn_of(runtime, Ask("x")).number
    assert isinstance(turns_of(runtime, ref)[-1].message, Resume)


def test_an_actor_may_submit_thousands_of_requests_in_one_turn(recordings, connect):
    runtime = recordings.open("thread")
    endpoint, _ = connect(runtime)
    assert runtime.start(Sends, endpoint).ask(6000, timeout=50) > 6000


def test_an_endpoint_can_be_made_inside_a_turn(recordings, dispatcher):
    class Makes(Actor):
        def on_receive(self, message):
            return newton.Endpoint(self.runtime, newton.twin(label=message)).number

    runtime = recordings.open(dispatcher)
    number = runtime.start(Makes).ask("made", timeout=30)
    [opened] = events_of(runtime, Opened)
    assert (opened.endpoint, opened.driver) == (number, "made")


def test_flush_and_close_inside_a_turn_are_usage_errors_and_no_hang(recordings, dispatcher):
    runtime = recordings.open(dispatcher)

    class Meddles(Actor):
        def on_receive(self, message):
            getattr(self.runtime, message)()

    for name in ("close", "flush"):
        with pytest.raises(UsageError):
            runtime.start(Meddles).ask(name, timeout=30)


@waits
def test_nothing_of_an_earlier_part_is_taken_back_when_a_later_one_fails(runtime):
    class Fails(Actor):
        def __init__(self, sums, doubler):
            self.sums, self.doubler = sums, doubler

        def on_receive(self, _message):
            self.sums.tell(1)
            self.doubler.ask(0)
            self.sums.tell(10)
            raise LookupError("as asked")

    sums = runtime.start(Sums)
    failing = runtime.start(Fails, sums, runtime.start(Doubler))
    with pytest.raises(LookupError):
        failing.ask("go")
    assert sums.ask("sum?") == 1
    assert turn_of(runtime, Tell(1)).actor == sums.number
