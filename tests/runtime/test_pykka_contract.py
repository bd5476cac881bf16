"""What Pykka promises of actors, references, futures and proxies, under both dispatchers."""

import threading

import pykka
import pytest

from rescind.actors.runtime import Actor
from rescind.events import DeadLetter, Proxy, Stop, Stopped, Tell

from .actors import Doubler, Sums
from .recordings import events_of, turn_of, turns, waits


def test_tell_returns_nothing_and_messages_come_in_order(runtime):
    ref = runtime.start(Sums)
    assert [ref.tell(n) for n in range(10)] == [None] * 10
    assert ref.ask("told?") == list(range(10))


def test_ask_blocks_and_returns_the_answer(runtime):
    assert runtime.start(Doubler).ask("ab") == "abab"


def test_ask_without_blocking_returns_a_future(runtime):
    future = runtime.start(Doubler).ask(3, block=False)
    assert isinstance(future, pykka.Future)
    assert future.get() == 6
    assert future.get() == 6


def test_futures_can_be_mapped_joined_and_filtered(runtime):
    ref = runtime.start(Doubler)
    one, two = ref.ask(1, block=False), ref.ask(2, block=False)
    assert one.map(lambda n: n + 1).get() == 3
    assert one.join(two).get() == [2, 4]
    assert ref.ask([1, 2], block=False).filter(lambda n: n > 1).get() == [2, 2]


def test_an_exception_in_an_ask_reaches_the_caller_and_leaves_the_actor_alive(runtime):
    ref = runtime.start(Doubler)
    with pytest.raises(LookupError, match="as asked") as caught:
        ref.ask("fail")
    assert any(entry.name == "on_receive" for entry in caught.traceback)
    assert ref.is_alive()
    assert ref.ask(1) == 2


class Sends(Actor):
    """Waits inside its turn until an endpoint has sent something."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def on_receive(self, message):
        self.endpoint.output(message, asynchronous=True).get()
        return "sent"


def test_an_ask_can_time_out_and_is_taken_all_the_same(recordings, connect):
    runtime = recordings.open("stepped")
    endpoint, twin = connect(runtime)
    late = runtime.start(Sends, endpoint).ask("slow", block=False)
    with pytest.raises(pykka.Timeout):
        late.get(timeout=3)
    assert runtime.clock.now_ns() == 3_000_000_000
    twin.complete_next()
    assert late.get() == "sent"


def test_stop_is_taken_after_the_backlog_and_waits_for_it(runtime):
    ref = runtime.start(Sums)
    for n in range(50):
        ref.tell(n)
    assert ref.stop() is True
    assert not ref.is_alive()
    found = [turn for turn in turns(runtime) if turn.actor == ref.number]
    assert [type(turn.message) for turn in found[1:]] == [Tell] * 50 + [Stop]
    assert found[-1].events == (Stopped(ref.number, None),)


def test_stopping_a_stopped_actor_says_that_it_was_not_alive(runtime):
    ref = runtime.start(Doubler)
    assert ref.stop() is True
    assert ref.stop() is False


def test_stop_without_blocking_returns_a_future(runtime):
    ref = runtime.start(Doubler)
    assert ref.stop(block=False).get() is True
    assert not ref.is_alive()


def test_a_stopped_actor_refuses_tell_and_ask(runtime):
    ref = runtime.start(Doubler)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.tell(1)
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.ask(1)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(1, block=False).get()
    with pytest.raises(pykka.ActorDeadError):
        ref.proxy()


class Stubborn(Actor):
    """Stops itself when told to, and notes that its hooks were called."""

    def __init__(self, heard):
        self.heard = heard

    def on_start(self):
        self.heard.append("start")

    def on_stop(self):
        self.heard.append("stop")

    def on_failure(self, kind, value, _trace):
        self.heard.append((kind, str(value)))

    def on_receive(self, message):
        if message == "stop":
            self.stop()
        elif message == "fail":
            raise LookupError("as asked")
        else:
            self.heard.append(message)


@pytest.mark.not_repeatable("it appends to a list of the test, which comes back as a tuple")
def test_an_actor_that_stops_itself_takes_what_waited_before(recordings):
    stepped = recordings.open("stepped")
    heard: list = []
    ref = stepped.start(Stubborn, heard)
    ref.tell("stop")
    ref.tell("one")
    stepped.dispatcher.run()
    assert heard == ["start", "one", "stop"]
    assert not ref.is_alive()


@pytest.mark.not_repeatable("it appends to a list of the test, which comes back as a tuple")
def test_start_stop_and_failure_hooks_are_called(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    heard: list = []
    ref = runtime.start(Stubborn, heard)
    ref.stop()
    assert heard == ["start", "stop"]
    heard.clear()
    failing = runtime.start(Stubborn, heard)
    failing.tell("fail")
    failing.stop()
    assert heard == ["start", (LookupError, "as asked")]


def test_a_message_that_waited_behind_a_stop_is_a_dead_letter(stepped):
    ref = stepped.start(Doubler)
    stopping = ref.stop(block=False)
    ref.tell("too late")
    asked = ref.ask("too late, too", block=False)
    assert stopping.get() is True
    with pytest.raises(pykka.ActorDeadError):
        asked.get()
    late = turn_of(stepped, Tell("too late"))
    assert late.events == (DeadLetter(ref.number),)
    assert events_of(stepped, DeadLetter) == [DeadLetter(ref.number)] * 2


def test_a_proxy_calls_reads_and_sets(runtime):
    ref = runtime.start(Doubler)
    proxy = ref.proxy()
    assert proxy.add(1, y=2).get() == 3
    assert proxy.sign.get() == "*"
    proxy.sign = "+"
    assert proxy.sign.get() == "+"
    verbs = [turn.message.verb for turn in turns(runtime) if isinstance(turn.message, Proxy)]
    assert verbs == ["call", "get", "set", "get"]


def test_an_exception_behind_a_proxy_reaches_the_caller(runtime):
    ref = runtime.start(Doubler)
    with pytest.raises(ZeroDivisionError):
        ref.proxy().divide(1, 0).get()
    assert ref.is_alive()


def test_a_deferred_proxy_call_returns_nothing_and_is_done_in_order(runtime):
    ref = runtime.start(Sums)
    assert ref.proxy().on_receive.defer(5) is None
    assert ref.ask("sum?") == 5


def test_a_reference_names_its_actor_and_is_registered_while_it_lives(runtime):
    ref = runtime.start(Doubler)
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert ref in pykka.ActorRegistry.get_by_class(Doubler)
    assert ref.actor_class is Doubler
    ref.stop()
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


@waits
def test_an_actor_started_inside_a_turn_is_good_at_once_and_knows_its_parent(runtime):
    class Parent(Actor):
        def on_receive(self, message):
            child = self.runtime.start(Doubler)
            return child.ask(message)

    ref = runtime.start(Parent)
    assert ref.ask(4) == 8
    births = [event for turn in turns(runtime) for event in turn.events if hasattr(event, "parent")]
    assert [(birth.actor, birth.parent) for birth in births] == [
        (ref.number, 0),
        (births[1].actor, ref.number),
    ]


def test_many_threads_may_share_a_reference(threaded):
    ref = threaded.start(Sums)

    def tell():
        for _ in range(100):
            ref.tell(1)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ref.ask("sum?") == 800
