"""Pinned actors: their handlers block, each in its own thread, and everybody else goes on."""

import logging
import queue
import threading
from contextvars import copy_context

import pykka
import pytest

from rescind.actors import native
from rescind.actors.runtime import (
    Actor,
    CloseTimeoutError,
    DeadlockError,
    Reply,
    RuntimeClosedError,
    UsageError,
)
from rescind.events import DeadLetter, Outcome, Raised, Start, Stopped, Suspended, Tell

from .actors import Doubler, Sums
from .helpers import PATIENCE_S, Gate
from .recordings import DISPATCHERS, events_of, turn_of, turns

THREADED = [each for each in DISPATCHERS if each != "stepped"]
"""Those under which a pinned class has threads of its own."""


class Blocks(Actor):
    """Runs into a gate when it is told to, and notes what it took and where."""

    dispatcher = "pinned"

    def __init__(self, gate):
        self.gate = gate
        self.taken = []
        self.threads: set[threading.Thread] = set()

    def on_start(self):
        self.threads.add(threading.current_thread())

    def on_receive(self, message):
        self.threads.add(threading.current_thread())
        if message == "block":
            self.gate.shut()
            self.gate.pass_through()
        elif message == "taken?":
            return self.taken
        elif message == "threads?":
            return self.threads
        elif message == "fail":
            raise LookupError("as asked")
        self.taken.append(message)
        return message


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open()


@pytest.fixture(params=THREADED)
def runtime(request, recordings):
    return recordings.open(request.param)


def test_while_a_handler_blocks_all_others_go_on_and_it_takes_nothing(runtime, gate):
    ref, doubler = runtime.start(Blocks, gate), runtime.start(Doubler)
    blocked = ref.ask("block", block=False)
    gate.wait_until_reached()
    ref.tell("behind")
    taken = ref.ask("taken?", block=False)
    assert doubler.ask(1) == 2
    assert runtime.start(Doubler).ask(2) == 4
    assert not blocked.is_done
    gate.open()
    assert blocked.get(timeout=PATIENCE_S) == "block"
    assert taken.get(timeout=PATIENCE_S) == ["block", "behind"]


def test_its_turn_is_one_record_that_stands_where_it_ended(runtime, gate):
    ref, doubler = runtime.start(Blocks, gate), runtime.start(Doubler)
    blocked = ref.ask("block", block=False)
    gate.wait_until_reached()
    doubler.ask(1)
    gate.open()
    blocked.get(timeout=PATIENCE_S)
    taken = [turn.actor for turn in turns(runtime)]
    assert taken[-2:] == [doubler.number, ref.number]


def test_all_turns_of_one_actor_run_in_one_thread_which_is_nobody_elses(runtime, gate):
    one, other = runtime.start(Blocks, gate), runtime.start(Blocks, gate)
    for n in range(20):
        one.tell(n)
        other.tell(n)
    [first] = one.ask("threads?")
    [second] = other.ask("threads?")
    assert len({first, second, threading.current_thread()}) == 3
    one.stop()
    first.join(PATIENCE_S)
    assert not first.is_alive()
    assert second.is_alive()


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_a_wait_inside_its_turn_lets_others_go_on(recordings, dispatcher):
    class Waits(Actor):
        dispatcher = "pinned"

        def __init__(self):
            self.taken = []

        def on_receive(self, message):
            self.taken.append(message.get() if isinstance(message, Reply) else message)
            return self.taken

    runtime = recordings.open(dispatcher)
    ref, sums = runtime.start(Waits), runtime.start(Sums)
    answer: Reply = Reply(runtime)
    ref.tell(answer)
    taken = ref.ask("behind", block=False)
    sums.tell(5)
    assert sums.ask("sum?", timeout=PATIENCE_S) == 5
    assert not taken.is_done
    answer.set("answer")
    assert taken.get(timeout=PATIENCE_S) == ["answer", "behind"]


class Asks(Actor):
    """Asks the actor that it is told about, which asks it back."""

    dispatcher = "pinned"

    def on_receive(self, message):
        first, *rest = message
        return first.ask(rest)


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_a_circle_of_waits_is_refused_with_its_names_in_order(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    one, two, three = (runtime.start(Asks) for _ in range(3))
    with pytest.raises(DeadlockError) as caught:
        one.ask([two, three, one])
    assert caught.value.cycle == ("a3 Asks", "a1 Asks", "a2 Asks", "a3 Asks")
    assert len(events_of(runtime, Suspended)) == 2


def test_a_failure_of_an_ask_reaches_the_caller_and_of_a_tell_stops_the_actor(runtime, gate):
    ref = runtime.start(Blocks, gate)
    with pytest.raises(LookupError, match="as asked"):
        ref.ask("fail")
    ref.tell("block")
    gate.wait_until_reached()
    ref.tell("fail")
    behind = ref.ask(2, block=False)
    gate.open()
    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=PATIENCE_S)
    kinds = [type(event).__name__ for turn in turns(runtime) for event in turn.events]
    assert kinds == ["Born", "Raised", "Failed", "Stopped", "DeadLetter"]


@pytest.mark.not_repeatable("who stops the others took a gate of the test")
def test_what_is_no_exception_stops_all_actors(runtime, gate):
    class Leaves(Actor):
        dispatcher = "pinned"

        def on_receive(self, message):
            raise message

    doubler, ref = runtime.start(Doubler), runtime.start(Leaves)
    with pytest.raises(KeyboardInterrupt):
        ref.ask(KeyboardInterrupt("as asked"))
    assert doubler.actor_stopped.wait(PATIENCE_S)
    assert len(events_of(runtime, Raised)) == 1
    assert runtime.start(Doubler).ask(1) == 2


def test_nothing_of_a_failed_handler_leaves(runtime):
    class Sends(Actor):
        dispatcher = "pinned"

        def on_receive(self, sums):
            sums.tell(1)
            self.send_after(0.001, "never")
            raise LookupError("as asked")

    sums, ref = runtime.start(Sums), runtime.start(Sends)
    with pytest.raises(LookupError):
        ref.ask(sums)
    assert sums.ask("told?") == []
    runtime.close()
    assert not [turn for turn in turns(runtime) if turn.message == Tell("never")]


class Nurse(Actor):
    """Starts actors, with the gate shut in between."""

    dispatcher = "pinned"
    gate = Gate()

    def on_receive(self, _message):
        first = self.runtime.start(Doubler)
        self.gate.pass_through()
        second = self.runtime.start(Doubler)
        return first.ask(1) + second.ask(2)


@pytest.mark.parametrize("dispatcher", THREADED)
def test_actors_that_it_starts_are_numbered_again_as_they_were(
    recordings, gate, dispatcher, monkeypatch
):
    """The numbers between were given to actors whose records stand before."""
    runtime = recordings.open(dispatcher)
    monkeypatch.setattr(Nurse, "gate", gate)
    nurse = runtime.start(Nurse)
    gate.shut()
    asked = nurse.ask("go", block=False)
    gate.wait_until_reached()
    runtime.start(Doubler).ask(3)
    gate.open()
    assert asked.get(timeout=PATIENCE_S) == 6
    starts = [turn.actor for turn in turns(runtime) if isinstance(turn.message, Start)]
    assert starts[:2] == [1, 3]
    assert set(starts[2:]) == {2, 4}


@pytest.mark.not_repeatable("a handler asks in a thread of its own", tried=False)
def test_what_it_brings_about_while_it_runs_is_a_consequence_of_what_brought_it_about(
    recordings,
):
    """Its own record does not stand in the log yet, and a cause comes before its effect."""

    class Spawns(Actor):
        dispatcher = "pinned"

        def on_receive(self, sums):
            context = copy_context()
            thread = threading.Thread(target=context.run, args=(sums.ask, "inside"))
            thread.start()
            thread.join(PATIENCE_S)

    runtime = recordings.open("thread")
    sums, ref = runtime.start(Sums), runtime.start(Spawns)
    runtime.start(Passes, ref).ask(sums)
    ref.stop()
    first = turn_of(runtime, Tell)
    inside = [turn for turn in turns(runtime) if turn.actor == sums.number][1]
    assert inside.cause == first.cause
    assert inside.number < first.number


class Passes(Actor):
    def __init__(self, to):
        self.to = to

    def on_receive(self, message):
        self.to.tell(message)


def test_close_waits_until_its_handlers_have_ended(runtime, gate):
    ref = runtime.start(Blocks, gate)
    blocked = ref.ask("block", block=False)
    gate.wait_until_reached()
    ref.tell("behind")
    threading.Timer(0.05, gate.open).start()
    runtime.close()
    assert blocked.get() == "block"
    assert [turn.message for turn in turns(runtime) if turn.actor == ref.number][2:3] == [
        Tell("behind")
    ]
    assert len(events_of(runtime, Stopped)) == 1


def test_close_names_whom_it_gives_up_and_no_ask_hangs(runtime, gate):
    late: queue.SimpleQueue = queue.SimpleQueue()

    class Late(Actor):
        dispatcher = "pinned"

        def on_receive(self, _message):
            gate.pass_through()
            try:
                self.runtime.start(Doubler)
            except RuntimeClosedError as error:
                late.put(error)

    ref = runtime.start(Late)
    gate.shut()
    stuck = ref.ask("block", block=False)
    gate.wait_until_reached()
    behind = ref.ask("behind", block=False)
    with pytest.raises(CloseTimeoutError, match=r"not stopped within 0\.05 s: a1 Late in its Ask"):
        runtime.close(0.05)
    for asked in (stuck, behind):
        with pytest.raises(pykka.ActorDeadError):
            asked.get(timeout=PATIENCE_S)
    gate.open()
    assert late.get(timeout=PATIENCE_S)
    assert len(events_of(runtime, DeadLetter)) == 2, "the message and the Stop behind it"


def test_its_turn_can_neither_close_nor_flush(runtime):
    class Closes(Actor):
        dispatcher = "pinned"

        def on_receive(self, message):
            getattr(self.runtime, message)()

    ref = runtime.start(Closes)
    for call in ("close", "flush"):
        with pytest.raises(UsageError, match="inside a turn"):
            ref.ask(call)


def test_without_a_thread_it_runs_like_any_other(recordings, monkeypatch, caplog):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    runtime = recordings.open("thread")
    runtime.start(Doubler).ask(1)  # a runner is there
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "rescind.runtime"):
        patched.setattr(threading.Thread, "start", refuse)
        assert runtime.start(PinnedDoubler).ask(1) == 2
    assert "no thread could be started" in caplog.text


class PinnedDoubler(Doubler):
    dispatcher = "pinned"


class Fetches(native.Actor):
    """A pinned actor of the native dialect: its handler blocks, asks, and gives work away."""

    dispatcher = "pinned"

    def __init__(self, gate, total):
        self.gate = gate
        self.total = total

    def on_receive(self, message):
        self.gate.pass_through()
        part = self.work(len, message)
        return self.work(self.total.request(part.number and 1), then=self.added)

    def added(self, _message, value):
        self.gate.pass_through()
        return value


class Adds(native.Actor):
    total = 0

    def on_receive(self, message):
        self.total += message
        return self.total


def test_requests_to_and_from_a_pinned_actor_can_be_cancelled_while_it_blocks(runtime, gate):
    adds = runtime.start(Adds)
    ref = runtime.start(Fetches, gate, adds)
    assert ref.request("abc").get(PATIENCE_S) == 1
    gate.shut()
    cancelled, behind = ref.request("abc"), ref.request("abc")
    gate.wait_until_reached()
    assert adds.request(1).get(PATIENCE_S) == 2
    assert cancelled.cancel("stop button") == Outcome.WON
    with pytest.raises(native.Cancelled, match="stop button"):
        cancelled.get(PATIENCE_S)
    gate.open()
    assert behind.get(PATIENCE_S) in {3, 4}


def test_ten_thousand_messages_that_wait_for_it_are_taken_in_order(runtime, gate):
    ref = runtime.start(Blocks, gate)
    blocked = ref.ask("block", block=False)
    gate.wait_until_reached()
    for n in range(10_000):
        ref.tell(n)
    gate.open()
    assert blocked.get(timeout=PATIENCE_S) == "block"
    assert ref.ask("taken?", timeout=60) == ["block", *range(10_000)]
