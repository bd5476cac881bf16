"""Every turn is one record: who brought it, because of what, from which line."""

import asyncio
import contextvars
import inspect
import threading

from rescind.actors.runtime import Actor, Stepped
from rescind.events import Answer, Ask, Born, Origin, Replied, Start, Stop, Tell, read

from .actors import Doubler, Relay
from .recordings import by_of, turn_of, turns, waits


def line_here():
    return inspect.stack()[1].lineno


def test_numbers_are_dense_from_one_and_each_turn_has_one_time(runtime):
    ref = runtime.start(Doubler)
    for n in range(20):
        ref.ask(n)
    ref.stop()
    found = turns(runtime)
    assert [turn.number for turn in found] == list(range(1, len(found) + 1))
    assert [type(turn.message) for turn in found] == [Start, *[Ask] * 20, Stop]
    times = [turn.time_ns for turn in found]
    assert times == sorted(times)


def test_a_start_a_message_and_its_answer_stand_in_the_record(runtime):
    ref = runtime.start(Doubler)
    assert ref.ask(21) == 42
    start, ask = turns(runtime)
    assert start.actor == ask.actor == ref.number
    assert start.events[0] == Born(ref.number, start.message.cls, 0)
    assert ask.message == Ask(21)
    assert ask.events == (Replied(42),)


def test_the_application_is_named_with_thread_file_line_and_function(runtime):
    ref = runtime.start(Doubler)
    ref.ask(1)
    line = line_here() - 1
    asked = turn_of(runtime, Ask(1))
    assert asked.origin is Origin.APP
    assert asked.cause is None
    by = by_of(asked)
    assert (by.who, by.line) == (threading.current_thread().name, line)
    assert by.file == __file__
    assert by.function.endswith("is_named_with_thread_file_line_and_function")


def test_an_endpoints_call_is_named_just_like_that(runtime, connect):
    endpoint, _ = connect(runtime)
    endpoint.output("x", asynchronous=True)
    line = line_here() - 1
    by = by_of(turn_of(runtime, "x"))
    assert (by.file, by.line) == (__file__, line)


def test_two_threads_have_two_names_and_two_lines_two_places(threaded):
    ref = threaded.start(Doubler)

    def ask():
        ref.ask(1)

    for name in ("left", "right"):
        thread = threading.Thread(target=ask, name=name)
        thread.start()
        thread.join()
    ref.ask(2)
    left, right, here = [by_of(turn) for turn in turns(threaded)[1:]]
    assert (left.who, right.who) == ("left", "right")
    assert (left.file, left.line) == (right.file, right.line)
    assert here.line != left.line


@waits
def test_a_message_of_an_actor_has_its_turn_as_cause_and_nobody_as_caller(runtime):
    relay = runtime.start(Relay, runtime.start(Doubler))
    relay.ask(5)
    outer = next(turn for turn in turns(runtime) if turn.actor == relay.number and turn.number > 2)
    inner = next(
        turn for turn in turns(runtime) if turn.message == Ask(5) and turn.actor != relay.number
    )
    assert inner.origin is Origin.ACTOR
    assert inner.cause.number == outer.number
    assert inner.by is None


def test_a_drivers_report_has_the_turn_that_asked_for_the_work_as_cause(runtime, connect):
    endpoint, twin = connect(runtime)
    request = endpoint.output("x", asynchronous=True)
    runtime.flush()
    twin.complete(request.number)
    request.get()
    answer = turn_of(runtime, Answer(request.number, None, None))
    assert answer.origin is Origin.IO
    assert answer.cause.number == turn_of(runtime, "x").number


def test_a_call_in_a_callback_has_the_delivery_as_its_cause(runtime, connect):
    endpoint, twin = connect(runtime)

    def script(endpoint, _options, _result):
        called.append(endpoint.output("called", asynchronous=True))

    called: list = []
    request = endpoint.output("x", asynchronous=True, completion_script=script)
    runtime.flush()
    twin.complete(request.number)
    request.get()
    [call] = called
    runtime.flush()
    twin.complete(call.number)
    call.get()
    turn = turn_of(runtime, "called")
    delivery = next(each for each in turns(runtime) if each.number == turn.cause.number)
    assert turn.origin is Origin.APP
    assert delivery.message.requests == [request.number, request.number]
    assert by_of(turn).function.endswith("<locals>.script")


def test_a_callback_may_call_another_log_which_names_this_one(recordings, connect):
    here, there = recordings.open(Stepped(1)), recordings.open(Stepped(2))
    endpoint, twin = connect(here)
    far = there.start(Doubler)

    def script(_endpoint, _options, _result):
        far.tell(7)

    request = endpoint.output("x", asynchronous=True, completion_script=script)
    here.flush()
    twin.complete(request.number)
    request.get()
    far.ask(0)
    told = turn_of(there, Tell(7))
    assert told.cause.log == here.log_id
    delivery = next(turn for turn in turns(here) if turn.number == told.cause.number)
    assert delivery.message.requests == [request.number, request.number]


def test_a_thread_started_with_a_copied_context_carries_the_cause_on(threaded, connect):
    endpoint, twin = connect(threaded)
    ref = threaded.start(Doubler)
    heard = threading.Event()

    def later():
        heard.wait(30)
        ref.tell(7)

    def script(*_):
        context = contextvars.copy_context()
        started.append(threading.Thread(target=context.run, args=(later,), name="helper"))
        started[0].start()

    started: list = []
    request = endpoint.output("x", asynchronous=True, completion_script=script)
    threaded.flush()
    twin.complete(request.number)
    request.get()
    heard.set()  # the script has returned long ago
    started[0].join()
    ref.ask(0)
    told = turn_of(threaded, Tell(7))
    delivery = next(turn for turn in turns(threaded) if turn.number == told.cause.number)
    assert delivery.message.requests == [request.number, request.number]
    assert by_of(told).who == "helper"


def test_a_thread_started_without_a_context_has_no_cause(threaded, connect):
    endpoint, twin = connect(threaded)
    ref = threaded.start(Doubler)

    def script(*_):
        thread = threading.Thread(target=ref.tell, args=(7,))
        thread.start()
        thread.join()

    request = endpoint.output("x", asynchronous=True, completion_script=script)
    threaded.flush()
    twin.complete(request.number)
    request.get()
    ref.ask(0)
    assert turn_of(threaded, Tell(7)).cause is None


class Starter(Actor):
    """Starts a thread that tells another actor something after the turn has ended."""

    def __init__(self, other, go, threads):
        self.other, self.go, self.threads = other, go, threads

    def on_receive(self, message):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._later, message))
        self.threads.append(thread)
        thread.start()

    def _later(self, message):
        self.go.wait(30)
        self.other.tell(message)


def test_a_thread_started_in_an_actors_turn_carries_that_turn_on(recordings):
    threaded = recordings.open()
    go = threading.Event()
    threads: list[threading.Thread] = []
    doubler = threaded.start(Doubler)
    starter = threaded.start(Starter, doubler, go, threads)
    starter.ask(7)
    go.set()
    threads[0].join()
    doubler.ask(0)
    told = turn_of(threaded, Tell(7))
    assert told.origin is Origin.APP
    assert told.cause.number == turn_of(threaded, Ask(7)).number


def test_an_asyncio_task_is_named_and_inherits_the_cause_it_was_made_under(threaded):
    ref = threaded.start(Doubler)

    async def tell():
        ref.tell(7)

    async def main():
        await asyncio.create_task(tell(), name="teller")

    asyncio.run(main())
    ref.ask(0)
    told = turn_of(threaded, Tell(7))
    assert by_of(told).who == "task teller"
    assert by_of(told).function.endswith("<locals>.tell")


def test_a_task_made_in_a_callback_carries_its_delivery_on(threaded, connect):
    endpoint, twin = connect(threaded)
    ref = threaded.start(Doubler)
    ready, done = threading.Event(), threading.Event()
    loops: list = []

    async def tell():
        ref.tell(7)
        done.set()

    def script(*_):
        context = contextvars.copy_context()
        loops[0].call_soon_threadsafe(loops[0].create_task, tell(), context=context)

    async def main():
        loops.append(asyncio.get_running_loop())
        ready.set()
        await asyncio.to_thread(done.wait, 30)

    loop_thread = threading.Thread(target=asyncio.run, args=(main(),))
    loop_thread.start()
    ready.wait(30)
    request = endpoint.output("x", asynchronous=True, completion_script=script)
    threaded.flush()
    twin.complete(request.number)
    request.get()
    loop_thread.join()
    ref.ask(0)
    told = turn_of(threaded, Tell(7))
    delivery = next(turn for turn in turns(threaded) if turn.number == told.cause.number)
    assert delivery.message.requests == [request.number, request.number]


def test_a_script_that_runs_while_another_waits_leaves_that_ones_cause_alone(stepped, connect):
    outer, twin = connect(stepped)
    inner, inner_twin = connect(stepped)
    nested = []

    def waits(*_):
        inner_twin.complete(waited.number)
        waited.get()  # on this one thread the other script runs now
        outer.output("after", asynchronous=True)

    waited = inner.output("w", asynchronous=True, completion_script=lambda *_: nested.append(1))
    request = outer.output("x", asynchronous=True, completion_script=waits)
    stepped.flush()
    twin.complete(request.number)
    stepped.dispatcher.run()
    assert nested == [1]
    after = turn_of(stepped, "after")
    delivery = next(turn for turn in turns(stepped) if turn.number == after.cause.number)
    assert delivery.message.requests == [request.number, request.number]


def test_a_log_is_read_while_its_runtime_goes_on(recordings, tmp_path):
    runtime = recordings.open(path=tmp_path / "log")
    ref = runtime.start(Doubler)
    ref.ask(1)
    assert [type(turn.message) for turn in read(tmp_path / "log")] == [Start, Ask]
