"""What programs do that were written for ``pykka.ThreadingActor``: only the base class changed."""

import contextvars
import queue
import threading
import uuid
from abc import abstractmethod

import pykka
import pytest

from rescind import Runtime
from rescind.actors.runtime import Actor, ActorRef, Stepped, UsageError
from rescind.events import DeadLetter, Failed, Raised, Stopped, Tell

from .actors import Doubler
from .helpers import PATIENCE_S, Gate, Helper
from .recordings import events_of, turn_of, turns, waits


class Counts(Actor):
    """Does in its constructor what Pykka allows there."""

    def __init__(self, doubler=None):
        super().__init__()
        self.count = 0
        self._in_future = self.actor_ref.proxy()
        self._in_future.add(1)
        self.actor_ref.tell(10)
        self.doubled = None if doubler is None else doubler.ask(21)
        self.helper = Doubler.start().proxy()

    def add(self, n):
        self.count += n
        return self.count

    def on_receive(self, message):
        self.add(message)

    def helps(self):
        return self.helper.add(1, y=2).get()


@waits
def test_a_constructor_may_tell_ask_start_and_have_proxies(runtime):
    ref = runtime.start(Counts, runtime.start(Doubler))
    assert ref.proxy().count.get() == 11
    assert ref.proxy().doubled.get() == 42
    assert ref.proxy().helps().get() == 3


class Starts(Actor):
    """Uses a child in the turn in which it starts it."""

    def on_receive(self, message):
        proxy = Counts.start().proxy()
        proxy.add(message)
        return proxy.count.get()


@waits
def test_a_child_can_have_a_proxy_in_the_turn_that_starts_it(runtime):
    assert runtime.start(Starts).ask(5) == 16


class Unborn(Actor):
    def __init__(self, doubler):
        self.actor_ref.tell("never taken")
        doubler.ask(1)
        Doubler.start()
        raise LookupError("not today")


class Tries(Actor):
    def on_receive(self, doubler):
        ref = Unborn.start(doubler)
        try:
            ref.proxy()
        except LookupError as error:
            return str(error), ref.is_alive()


@waits
def test_a_constructor_that_raises_is_heard_of_where_it_is_waited_for(runtime):
    doubler = runtime.start(Doubler)
    with pytest.raises(LookupError, match="not today"):
        runtime.start(Unborn, doubler)
    assert runtime.start(Tries).ask(doubler) == ("not today", False)
    assert len(events_of(runtime, Failed)) == 2
    assert pykka.ActorRegistry.get_by_class(Unborn) == []


def test_an_abstract_class_cannot_be_started(runtime):
    class Abstract(Actor):
        @abstractmethod
        def does(self): ...

    with pytest.raises(TypeError, match="abstract"):
        runtime.start(Abstract)
    assert runtime.start(Doubler).ask(1) == 2


def test_what_start_is_given_reaches_new_as_well(runtime):
    class Made(Actor):
        given: tuple[int, ...] = ()

        def __new__(cls, n):
            made = super().__new__(cls)
            made.given = (n,)
            return made

        def __init__(self, n):
            self.given += (n,)

    assert runtime.start(Made, 3).proxy().given.get() == (3, 3)


def test_a_class_that_uses_a_name_of_the_runtimes_own_is_refused(runtime):
    class Thermometer(Actor):
        unit = "K"  # type: ignore[assignment]

        def receive(self, _reading): ...  # type: ignore[override]

    class Counter(Actor):
        def __init__(self):
            self.number = 0

    with pytest.raises(UsageError, match=r"Thermometer has unit, receive, .* choose other names"):
        runtime.start(Thermometer)
    with pytest.raises(UsageError, match=r"Counter has number, .* choose other names"):
        runtime.start(Counter)
    assert runtime.start(Doubler).ask(1) == 2


def test_an_actor_made_by_hand_has_a_name_and_dead_letters():
    with Runtime.open(dispatcher=Stepped()) as runtime:
        made, other = Doubler(), Doubler()
        assert made.on_receive(2) == 4
        assert made.actor_urn in str(made)
        assert made.actor_urn != other.actor_urn
        assert made.actor_ref.proxy() == made.actor_ref.proxy()
        assert not made.actor_stopped.is_set()
        with pytest.raises(pykka.ActorDeadError):
            made.actor_ref.ask(1)
        assert events_of(runtime, DeadLetter) == [DeadLetter(0)]


def test_a_name_is_a_uuid_that_ends_with_the_actors_number(runtime):
    ref = runtime.start(Doubler)
    name = uuid.UUID(ref.actor_urn)
    assert (name.version, name.variant) == (4, uuid.RFC_4122)
    assert name.node == ref.number
    assert name.int >> 80 == int.from_bytes(runtime.log_id) >> 80


# --- handlers that block ---------------------------------------------------------------------


class Blocks(Actor):
    def on_receive(self, message):
        if isinstance(message, Gate):
            message.pass_through()
        return message


@pytest.fixture
def blocked(recordings):
    """A runtime with an actor whose handler is stuck in the test's gate."""
    runtime = recordings.open("thread")
    ref, gate = runtime.start(Blocks), Gate()
    gate.shut()
    ref.tell(gate)
    gate.wait_until_reached()
    yield ref
    gate.open()


def test_sending_does_not_wait_for_a_handler_that_blocks(blocked):
    def send():
        blocked.tell("one")
        return blocked.ask("two", block=False), blocked.ask("three", block=False)

    assert not any(future.is_done for future in Helper(send).result())


def test_a_time_out_does_not_wait_for_a_handler_that_blocks(blocked):
    with pytest.raises(pykka.Timeout):
        Helper(lambda: blocked.ask("in vain", timeout=0.01)).result()


def test_who_asks_with_a_time_out_does_not_run_the_handler_itself(recordings):
    runtime = recordings.open("thread")
    ref, gate = runtime.start(Blocks), Gate()
    gate.shut()
    with pytest.raises(pykka.Timeout):
        Helper(lambda: ref.ask(gate, timeout=0.01)).result()
    gate.open()
    assert ref.ask("ready", timeout=PATIENCE_S) == "ready"


def test_what_a_failed_turn_set_going_has_that_turn_as_its_cause(recordings):
    class Fails(Actor):
        def on_receive(self, going):
            going.append(contextvars.copy_context())
            raise LookupError("as asked")

    runtime = recordings.open("stepped")
    going: list[contextvars.Context] = []
    ref, other = runtime.start(Fails), runtime.start(Doubler)
    ref.tell(going)
    runtime.dispatcher.run()
    Helper(lambda: going[0].run(other.tell, "late")).result()
    runtime.dispatcher.run()
    [failed] = [turn for turn in turns(runtime) if Failed("LookupError: as asked") in turn.events]
    assert turn_of(runtime, Tell("late")).cause.number == failed.number


# --- what is no Exception ----------------------------------------------------------------------


class Quits(Actor):
    def __init__(self, heard):
        self.heard = heard

    def on_receive(self, message):
        raise SystemExit(message)

    def on_stop(self):
        self.heard.append("stop")

    def on_failure(self, *_):
        self.heard.append("failure")


def test_an_exit_in_a_handler_stops_the_actor_and_all_others(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    heard: list[str] = []
    other = runtime.start(Doubler)
    ref = runtime.start(Quits, heard)
    ref.tell(3)
    for each in (ref, other):
        each.stop()
        assert not each.is_alive()
    assert heard == ["stop"]
    found = turn_of(runtime, Tell(3))
    assert found.events == (Failed("SystemExit: 3"), Stopped(ref.number, "SystemExit: 3"))


def test_an_exit_in_an_ask_reaches_the_caller_too(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    heard: list[str] = []
    with pytest.raises(SystemExit):
        runtime.start(Quits, heard).ask(3)
    assert heard == ["stop"]
    assert events_of(runtime, Raised) == [Raised("SystemExit: 3")]


# --- futures ----------------------------------------------------------------------------------


def test_a_future_with_a_result_takes_no_hook(runtime):
    future = runtime.start(Doubler).ask(1, block=False)
    future.get()
    with pytest.raises(queue.Full):
        future.set_get_hook(lambda _timeout: 3)
    assert future.get() == 2


# --- the registry -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["oldest first", "youngest first", "all at once"])
def test_no_actor_is_searched_for_among_the_others(monkeypatch, order):
    """A search compares references; where none are compared, nothing is searched."""
    compared: list[object] = []

    def equals(one, other):
        compared.append(one)
        return one is other

    with Runtime.open(dispatcher=Stepped()) as runtime:
        refs = [runtime.start(Doubler) for _ in range(100)]
        assert set(pykka.ActorRegistry.get_by_class(Doubler)) >= set(refs)
        monkeypatch.setattr(type(refs[0]), "__eq__", equals)
        if order != "all at once":
            for ref in refs if order == "oldest first" else reversed(refs):
                assert ref.stop()
    assert not any(ref.is_alive() for ref in refs)
    assert len(compared) < len(refs)
    monkeypatch.undo()
    assert not set(refs) & set(pykka.ActorRegistry.get_all())


def test_the_registry_still_serves_pykkas_own_actors(runtime):
    class Theirs(pykka.ThreadingActor):
        pass

    theirs, ours = Theirs.start(), runtime.start(Doubler)
    assert pykka.ActorRegistry.get_all()[-2:] == [theirs, ours]
    assert pykka.ActorRegistry.get_by_urn(theirs.actor_urn) is theirs
    pykka.ActorRegistry.unregister(ours)
    pykka.ActorRegistry.unregister(ours)
    pykka.ActorRegistry.register(ours)
    theirs.stop()
    assert pykka.ActorRegistry.get_all()[-1] is ours
    assert theirs not in pykka.ActorRegistry.get_all()


def test_many_threads_may_start_and_stop_at_once(threaded):
    def starts_and_stops():
        for _ in range(50):
            assert threaded.start(Doubler).stop()

    threads = [threading.Thread(target=starts_and_stops) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not threaded.actors
    left = pykka.ActorRegistry.get_all()
    assert [ref for ref in left if isinstance(ref, ActorRef) and ref.runtime is threaded] == []
