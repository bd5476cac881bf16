"""After a failed write nothing is acknowledged, nothing hangs, and everybody hears why."""

import contextlib

import pytest

from rescind.actors.runtime import Reply, Runtime
from rescind.events import Log, LogFailedError, read

from .actors import Doubler
from .helpers import FullStorage, Helper


class Story:
    """A runtime with an endpoint and an actor, on a medium that is full from now on."""

    def __init__(self, connect):
        self.storage = FullStorage()
        self.runtime = Runtime(Log.create_or_open(None, storage=self.storage))
        self.endpoint, self.twin = connect(self.runtime)
        self.ref = self.runtime.start(Doubler)
        self.heard: list[str] = []
        self.request = self.endpoint.output(
            "x", asynchronous=True, completion_script=lambda *_: self.heard.append("x")
        )
        self.runtime.flush()

    def fail(self):
        self.storage.is_full = True
        with pytest.raises(LogFailedError):
            self.send_and_flush()

    def send_and_flush(self):
        self.endpoint.output("y", asynchronous=True)
        self.runtime.flush()


@pytest.fixture
def story(connect):
    made = Story(connect)
    yield made
    Helper(lambda: close_quietly(made.runtime)).result()


def close_quietly(runtime):
    with contextlib.suppress(LogFailedError):
        runtime.close()


def test_whoever_begins_to_wait_afterwards_hears_of_it(story):
    story.fail()
    with pytest.raises(LogFailedError):
        Helper(story.request.get).result()


def test_whoever_waits_already_hears_of_it(story):
    waiting = [Helper(story.request.get), Helper(Reply(story.runtime).get)]
    while len(story.runtime._waiting) < 2:
        pass
    story.fail()
    for each in waiting:
        with pytest.raises(LogFailedError):
            each.result()


def test_an_ask_that_could_not_be_written_is_not_answered(story):
    story.storage.is_full = True
    with pytest.raises(LogFailedError):
        Helper(lambda: story.ref.ask(1)).result()


def test_every_later_call_is_refused(story):
    story.fail()
    for call in (
        lambda: story.endpoint.output("z", asynchronous=True),
        lambda: story.endpoint.cancel(asynchronous=True),
        lambda: story.ref.ask(1),
        lambda: story.ref.tell(1),
        lambda: story.runtime.start(Doubler),
        story.runtime.flush,
    ):
        with pytest.raises(LogFailedError):
            Helper(call).result()


def test_nothing_reaches_the_driver_or_a_script_any_more_and_the_driver_is_stopped(story):
    sent = list(story.twin.performed)
    story.fail()
    assert not story.twin.is_open
    story.twin.complete(story.request.number)
    assert story.twin.performed == sent
    with pytest.raises(LogFailedError):
        Helper(story.request.get).result()
    assert story.heard == []


def test_what_was_written_before_is_whole(story):
    before = [turn.number for turn in read(story.runtime.log)]
    story.fail()
    reader = read(story.runtime.log)
    assert [turn.number for turn in reader] == before
    assert not reader.damage


def test_closing_a_failed_runtime_ends(story):
    story.fail()
    Helper(lambda: close_quietly(story.runtime)).result()
    Helper(story.runtime.close).result()


class Unwilling:
    """Owned by the runtime, and raises when it is told to stop."""

    def stop(self):
        raise OSError("cannot stop")

    def close(self):
        """Have nothing to close."""


def test_a_driver_that_cannot_be_stopped_keeps_nobody_waiting(story):
    story.runtime.owned.insert(0, Unwilling())
    waiting = Helper(story.request.get)
    while not story.runtime._waiting:
        pass
    story.fail()
    with pytest.raises(LogFailedError):
        waiting.result()
    assert not story.twin.is_open


class Raising:
    """A tool that raises where the twin would note what it is asked for."""

    def __init__(self, twin):
        self._perform = twin.perform
        twin.perform = self.perform

    def perform(self, number, operation, arguments):
        if operation == "Output" and arguments[0] == "raise":
            raise OSError("the tool is broken")
        self._perform(number, operation, arguments)


def test_a_tool_that_raises_does_not_take_other_effects_with_it(story):
    Raising(story.twin)
    answers = [story.ref.ask(n, block=False) for n in range(3)]
    story.endpoint.output("raise", asynchronous=True)
    story.endpoint.output("after", asynchronous=True)

    def see():
        story.runtime.flush()
        return [each.get() for each in answers]

    assert Helper(see).result() == [0, 2, 4]
    assert [each[2][0] for each in story.twin.performed if each[1] == "Output"] == ["x", "after"]
