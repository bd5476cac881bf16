"""Where ``Actor.start`` starts: by the turn, by the ``with`` around it, or by default."""

import asyncio
import contextvars

import pytest

from rescind import Runtime
from rescind.actors.runtime import Actor, RuntimeClosedError, Stepped

from .actors import Doubler
from .helpers import Helper
from .recordings import turns


@pytest.fixture
def default():
    runtime = Runtime.default()
    yield runtime
    runtime.close()


def test_without_a_runtime_around_it_the_default_one(default):
    ref = Doubler.start()
    assert ref.runtime is default
    assert ref.ask(2) == 4


def test_the_runtime_that_was_entered_last(default):
    with Runtime.open() as outer:
        assert Doubler.start().runtime is outer
        with Runtime.open() as inner:
            assert Doubler.start().runtime is inner
        assert Doubler.start().runtime is outer
    assert Doubler.start().runtime is default


def test_opening_a_runtime_does_not_enter_it(default):
    opened = Runtime.open()
    assert Doubler.start().runtime is default
    opened.close()


def test_tasks_start_where_their_creator_was(default):
    async def starts(entered):
        await entered.wait()
        return Doubler.start().runtime

    async def main():
        entered = asyncio.Event()
        before = asyncio.create_task(starts(entered))
        with Runtime.open() as runtime:
            inside = asyncio.create_task(starts(entered))
            entered.set()
            return await before is default, await inside is runtime

    assert asyncio.run(main()) == (True, True)


def test_a_thread_starts_there_in_a_copied_context_and_nowhere_else(default):
    with Runtime.open() as runtime:
        copied = contextvars.copy_context()
        assert Helper(lambda: copied.run(Doubler.start)).result().runtime is runtime
        assert Helper(Doubler.start).result().runtime is default


def test_who_entered_in_a_context_of_its_own_is_told_that_the_runtime_is_closed():
    runtime = Runtime.open()
    entered = contextvars.copy_context()
    entered.run(runtime.__enter__)
    runtime.__exit__(None, None, None)
    with pytest.raises(RuntimeClosedError):
        entered.run(Doubler.start)


class Parent(Actor):
    """Has a child from its constructor, and starts another one for each message."""

    def __init__(self):
        self.first = Doubler.start()

    def on_receive(self, _message):
        return [self.first, Doubler.start()]


def test_inside_a_turn_a_child_of_the_same_runtime(runtime):
    ref = runtime.start(Parent)
    with Runtime.open():
        children = ref.ask("another")
    assert [child.runtime for child in children] == [runtime, runtime]
    assert [child.ask("ab") for child in children] == ["abab", "abab"]
    births = [event for turn in turns(runtime) for event in turn.events if hasattr(event, "parent")]
    assert [birth.parent for birth in births] == [0, ref.number, ref.number]


def test_a_script_starts_in_the_runtime_that_calls_it(recordings, connect):
    runtime = recordings.open("stepped")
    endpoint, twin = connect(runtime)
    started = []
    endpoint.output(
        "x", asynchronous=True, completion_script=lambda *_: started.append(Doubler.start())
    )
    runtime.dispatcher.run()
    twin.complete_next()
    runtime.dispatcher.run()
    assert [ref.runtime for ref in started] == [runtime]


def test_what_a_turn_set_going_starts_in_its_runtime():
    class Sets(Actor):
        def on_receive(self, _message):
            return contextvars.copy_context()

    with Runtime.open(dispatcher=Stepped()) as runtime:
        ref = runtime.start(Sets)
        going = Helper(lambda: ref.ask("go")).result()
        assert Helper(lambda: going.run(Doubler.start)).result().runtime is runtime
