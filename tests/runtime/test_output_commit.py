"""Effects and deliveries leave only after their batch is as durable as was asked for."""

import threading
from functools import partial

import pytest

from rescind.actors.runtime import Actor
from rescind.events import Tell, read

from .actors import Bell, Doubler
from .helpers import PATIENCE_S, GatedStorage, Helper


@pytest.fixture(params=[("os", "append"), ("disk", "append"), ("disk", "sync")], ids=str)
def gated(request, recordings, tmp_path):
    """A runtime on a directory, and the gate that its writes or syncs go through."""
    durability, where = request.param
    storage = GatedStorage(tmp_path / "log", where)
    runtime = recordings.open("thread", storage=storage, durability=durability)
    assert runtime.log.durability == durability
    yield runtime, storage.gate
    storage.gate.open()


def sent(twin):
    return [arguments[0] for _, operation, arguments in twin.performed if operation == "Output"]


def test_a_request_reaches_the_driver_after_its_record_is_durable(gated, connect):
    runtime, gate = gated
    endpoint, twin = connect(runtime)
    gate.shut()
    endpoint.output("x", asynchronous=True)
    gate.wait_until_reached()
    assert sent(twin) == []
    gate.open()
    runtime.flush()
    assert sent(twin) == ["x"]


def test_a_completion_is_delivered_after_its_record_is_durable(gated, connect):
    runtime, gate = gated
    endpoint, twin = connect(runtime)
    heard = threading.Event()
    request = endpoint.output("x", asynchronous=True, completion_script=lambda *_: heard.set())
    runtime.flush()
    gate.shut()
    twin.complete(request.number)
    gate.wait_until_reached()
    assert not heard.is_set()
    assert not request.is_done
    gate.open()
    assert heard.wait(PATIENCE_S)
    request.get(PATIENCE_S)


def test_an_ask_from_outside_is_answered_after_its_record_is_durable(gated):
    runtime, gate = gated
    ref = runtime.start(Doubler)
    runtime.flush()
    gate.shut()
    answer = ref.ask(1, block=False)
    gate.wait_until_reached()
    assert not answer.is_done
    gate.open()
    assert answer.get(timeout=PATIENCE_S) == 2


def test_a_flush_returns_after_what_another_thread_writes_is_durable(gated):
    runtime, gate = gated
    ref = runtime.start(Doubler)
    runtime.flush()
    gate.shut()
    ref.tell("x")
    gate.wait_until_reached()  # the background thread stands in the write
    opener = threading.Timer(0.1, gate.open)
    opener.start()
    runtime.flush()
    assert gate.is_open, "flush returned while the write had not"
    opener.join()
    assert [turn.message for turn in read(runtime.log.path)][-1] == Tell("x")


class Chain(Actor):
    """Asks another actor, and says when it has its answer."""

    def __init__(self, other, answers, has_answer):
        self.other, self.answers, self.has_answer = other, answers, has_answer

    def on_receive(self, message):
        self.answers.append(self.other.ask(message))
        self.has_answer.set()


def test_messages_between_actors_do_not_wait_for_the_medium(gated):
    runtime, gate = gated
    answers: list[int] = []
    has_answer = threading.Event()
    ref = runtime.start(Chain, runtime.start(Doubler), answers, has_answer)
    runtime.flush()
    gate.shut()
    asked = ref.ask(4, block=False)
    assert has_answer.wait(PATIENCE_S)
    assert answers == [8]
    assert not asked.is_done
    gate.open()
    asked.get(timeout=PATIENCE_S)


def test_turns_go_on_while_a_batch_is_being_written(gated):
    """Group commit: what comes meanwhile shares the next write."""
    runtime, gate = gated
    answers: list[int] = []
    has_answer = threading.Event()
    doubler = runtime.start(Doubler)
    ref = runtime.start(Chain, doubler, answers, has_answer)
    runtime.flush()
    gate.shut()
    doubler.tell("first")
    gate.wait_until_reached()
    asked = Helper(lambda: ref.ask(4, timeout=PATIENCE_S))
    assert has_answer.wait(PATIENCE_S), "the actors wait for the medium"
    gate.open()
    asked.result()


def test_what_comes_just_before_a_write_does_not_wait_for_it(gated, monkeypatch):
    """The runner that was to take it is the one that writes, and there is no other yet."""
    runtime, gate = gated
    bell = threading.Event()
    rings, doubler = runtime.start(Bell, bell), runtime.start(Doubler)
    runtime.flush()
    write = runtime._write

    def write_late(batch):
        if not gate.is_open:
            monkeypatch.undo()
            rings.tell("ring")
        write(batch)

    monkeypatch.setattr(runtime, "_write", write_late)
    gate.shut()
    doubler.tell("first")
    assert bell.wait(PATIENCE_S), "it waits for the medium"
    gate.open()


def test_a_timer_that_was_set_just_before_a_write_does_not_wait_for_it(gated):
    """The runner that would have slept until it is due is the one that writes."""
    runtime, gate = gated
    bell = threading.Event()
    rings = runtime.start(Bell, bell)
    runtime.flush()
    gate.shut()
    rings.tell(0.001)
    assert bell.wait(PATIENCE_S), "it waits for the medium"
    gate.open()


def test_records_of_many_threads_share_a_write(gated):
    runtime, gate = gated
    ref = runtime.start(Doubler)
    runtime.flush()
    gate.shut()
    first = ref.ask(0, block=False)
    gate.wait_until_reached()
    before = len(list(read(runtime.log.path).batches()))
    helpers = [Helper(partial(ref.ask, n, timeout=PATIENCE_S)) for n in range(1, 9)]
    answers = [ref.ask(n, block=False) for n in range(9, 17)]
    gate.open()
    assert first.get(timeout=PATIENCE_S) == 0
    assert [helper.result() for helper in helpers] == [2 * n for n in range(1, 9)]
    assert [each.get(timeout=PATIENCE_S) for each in answers] == [2 * n for n in range(9, 17)]
    written = len(list(read(runtime.log.path).batches())) - before
    assert written < 16, "sixteen asks that waited for one write took a write each"
