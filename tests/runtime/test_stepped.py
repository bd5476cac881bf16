"""The dispatcher ``stepped``: nothing moves until told, and time is virtual."""

import asyncio

import pytest

from rescind.actors.runtime import Runtime, StalledError, Stepped
from rescind.events import read

from .actors import Doubler, Sums
from .recordings import Recordings, turns


def test_nothing_moves_until_told(stepped):
    ref = stepped.start(Sums)
    for n in range(3):
        ref.tell(n)
    assert len(list(read(stepped.log))) == 0
    assert stepped.has_work
    stepped.dispatcher.run()
    assert not stepped.has_work
    assert len(list(read(stepped.log))) == 4


def test_an_endpoints_effects_wait_for_a_step(stepped, connect):
    endpoint, twin = connect(stepped)
    heard = []
    request = endpoint.output(
        "x", asynchronous=True, completion_script=lambda *_: heard.append("x")
    )
    assert request.number not in twin.pending
    stepped.dispatcher.run()
    assert request.number in twin.pending
    twin.complete(request.number)
    assert heard == []
    stepped.dispatcher.run()
    assert heard == ["x"]


def test_a_step_says_whether_it_did_anything(stepped):
    assert stepped.dispatcher.step() is False
    stepped.start(Doubler).tell(1)
    steps = 0
    while stepped.dispatcher.step():
        steps += 1
    assert steps >= 2, "at least one turn and one commit"


def test_time_stands_still_until_it_is_advanced(stepped):
    ref = stepped.start(Doubler)
    ref.ask(1)
    assert {turn.time_ns for turn in turns(stepped)} == {0}
    stepped.dispatcher.advance(2.5)
    ref.ask(2)
    assert turns(stepped)[-1].time_ns == 2_500_000_000


def test_waiting_lets_time_pass_up_to_the_deadline_that_ends_it(stepped, connect):
    endpoint, _ = connect(stepped)
    request = endpoint.output("x", asynchronous=True, timeout_s=7)
    request.wait_done()
    assert stepped.clock.now_ns() == 7_000_000_000


def test_waiting_with_a_time_out_lets_just_that_time_pass(stepped, connect):
    endpoint, _ = connect(stepped)
    request = endpoint.output("x", asynchronous=True)
    with pytest.raises(TimeoutError):
        request.get(3)
    assert stepped.clock.now_ns() == 3_000_000_000


def test_a_wait_that_nothing_can_end_is_an_error_and_the_runtime_goes_on(stepped, connect):
    endpoint, twin = connect(stepped)
    request = endpoint.output("x", asynchronous=True)
    with pytest.raises(StalledError, match="nothing that is left to happen"):
        request.get()
    twin.complete(request.number)
    assert request.get() is None


def test_a_stepped_runtime_starts_no_thread_for_handlers_that_do_not_wait(stepped):
    import threading

    before = set(threading.enumerate())
    ref = stepped.start(Doubler)
    for n in range(10):
        ref.ask(n)
    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"rescind-part"}


def test_a_runtime_with_real_time_cannot_be_stepped():
    from rescind.actors.runtime import MachineClock
    from rescind.events import Log

    dispatcher = Stepped()
    runtime = Runtime(Log.create_or_open(None), dispatcher=dispatcher, clock=MachineClock())
    with pytest.raises(TypeError, match="VirtualClock"):
        dispatcher.advance(1)
    runtime.close()


@pytest.mark.parametrize("seed", range(20))
def test_every_shuffled_schedule_keeps_the_order_between_two_actors(seed):
    recordings = Recordings()
    runtime = recordings.open(Stepped(seed, shuffle=True))
    ref = runtime.start(Sums)
    for n in range(10):
        ref.tell(n)
    assert ref.ask("told?") == list(range(10))
    recordings.audit()


def test_a_coroutine_in_its_own_loop_waits_for_whoever_steps(stepped):
    ref = stepped.start(Doubler)

    async def ask():
        await asyncio.sleep(3600)
        return await ref.ask(2, block=False)

    task = stepped.dispatcher.loop().create_task(ask())
    stepped.dispatcher.advance(3599)
    assert not task.done()
    stepped.dispatcher.advance(1)
    assert task.result() == 4


def schedule(seed):
    """Return what was delivered in which order when two endpoints are busy at once."""
    from rescind import newton

    recordings = Recordings()
    dispatcher = Stepped(seed, shuffle=True)
    runtime = recordings.open(dispatcher)
    heard: list[str] = []
    for name in "ab":
        endpoint = newton.Endpoint(runtime, newton.twin(label=name))
        endpoint.bind(asynchronous=True, completion_script=lambda *_, n=name: heard.append(n))
    dispatcher.run()
    recordings.audit()
    return [(turn.actor, type(turn.message).__name__) for turn in read(runtime.log)]


def test_shuffle_finds_different_schedules_and_each_seed_its_own_again():
    schedules = [schedule(seed) for seed in range(12)]
    assert len({tuple(each) for each in schedules}) > 1
    assert schedules == [schedule(seed) for seed in range(12)]
