"""Requests that tasks await, under a runtime with threads."""

import asyncio
import sys
import threading

import pytest

from rescind import Actor, Cancelled, current_token
from rescind.actors.native import TimedOut, WorkCancelled
from rescind.events import CancelRequested, Completed, How, UsageError
from tests.runtime.recordings import events_of

from .actors import Crawler, Fetch, Total


class Sleeper(Actor):
    """Its work ends when it is cancelled, and not before."""

    def __init__(self, begun=None):
        self.begun = begun or threading.Event()
        self.seen = []

    def on_fetch(self, m: Fetch):
        return self.work(self.sleep if m.url == "coroutine" else self.block, m.url)

    async def sleep(self, url):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.seen.append(url)

    def block(self, url):
        token = current_token()
        self.begun.set()
        assert token.wait(30)
        self.seen.append(url)
        token.check()


@pytest.fixture
def runtime(recordings):
    return recordings.open("thread")


def test_awaiting_returns_the_result(runtime):
    crawler = runtime.start(Crawler)

    async def main():
        return await asyncio.gather(*(crawler.request(Fetch("x" * n)) for n in range(50)))

    assert asyncio.run(main()) == list(range(50))


def test_awaiting_raises_what_the_request_raises(runtime):
    sleeper = runtime.start(Sleeper)

    async def main():
        request = sleeper.request(Fetch("coroutine"))
        asyncio.get_running_loop().call_later(0.01, request.cancel, "later")
        await request

    with pytest.raises(Cancelled, match="later"):
        asyncio.run(main())


def test_a_request_that_is_done_is_awaited_at_once(runtime):
    request = runtime.start(Crawler).request(Total())
    request.get()

    async def main():
        return await request

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("url", ["coroutine", "thread"])
def test_a_cancel_reaches_work(runtime, url):
    begun = threading.Event()
    sleeper = runtime.start(Sleeper, begun)
    request = sleeper.request(Fetch(url))
    assert begun.wait(30)
    request.cancel()
    with pytest.raises(Cancelled):
        request.get()
    while sleeper.proxy().seen.get() != [url]:
        runtime.flush()


def test_work_without_a_token_says_so():
    with pytest.raises(UsageError, match="only inside work"):
        current_token()


def cancelled_by(runtime, main):
    """Run ``main``, in which one request ends as cancelled; return its trigger and its error."""
    asyncio.run(main())
    (asked,) = events_of(runtime, CancelRequested)
    return asked.trigger


def test_cancelling_the_task_that_waits_cancels_the_request_and_says_who_did(runtime):
    sleeper = runtime.start(Sleeper)
    held = []

    async def waits():
        held.append(sleeper.request(Fetch("coroutine")))
        await held[0]

    async def main():
        task = asyncio.create_task(waits(), name="waiter")
        await asyncio.sleep(0.01)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task

    assert cancelled_by(runtime, main) == "task"
    with pytest.raises(Cancelled) as caught:
        held[0].get()
    said = str(caught.value)
    assert "task waiter, cancelled by" in said
    assert f"test_asyncio.py:{main.__code__.co_firstlineno + 3}" in said
    assert caught.value.reason == "enough"


async def in_a_group(*coroutines):
    async with asyncio.TaskGroup() as group:
        for each in coroutines:
            group.create_task(each)


@pytest.mark.parametrize("way", ["timeout", "wait_for", "TaskGroup"])
def test_asyncios_own_ways_to_cancel_are_named(runtime, way):
    sleeper = runtime.start(Sleeper)
    request = sleeper.request(Fetch("coroutine"))

    async def waits():
        return await request

    async def fails():
        await asyncio.sleep(0.01)
        raise LookupError

    async def main():
        match way:
            case "timeout":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await request
            case "wait_for":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(waits(), 0.01)
            case _:
                with pytest.raises(ExceptionGroup):
                    await in_a_group(waits(), fails())

    assert cancelled_by(runtime, main) == "task"
    with pytest.raises(Cancelled) as caught:
        request.get()
    if way == "wait_for" and sys.version_info >= (3, 12):
        way = "timeout"  # which it is made of there
    assert way in caught.value.who


def test_observing_only_stops_to_wait(runtime):
    sleeper = runtime.start(Sleeper)
    request = sleeper.request(Fetch("thread"))

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await request.observe()

    asyncio.run(main())
    assert not request.is_done
    assert events_of(runtime, CancelRequested) == []
    request.cancel()


def test_a_request_may_time_out_while_it_is_awaited(runtime):
    request = runtime.start(Sleeper).request(Fetch("coroutine"), timeout_s=0.01)

    async def main():
        await request

    with pytest.raises(TimedOut):
        asyncio.run(main())
    hows = {each.how for each in events_of(runtime, Completed)}
    assert hows == {How.CANCELLED, How.TIMED_OUT}


def test_work_that_ends_because_its_token_said_so_was_cancelled(stepped):
    class Polite(Actor):
        def on_fetch(self, _):
            return self.work(self.polite, grace_s=5)

        def polite(self):
            raise WorkCancelled

    request = stepped.start(Polite).request(Fetch("a"))
    with pytest.raises(WorkCancelled):
        request.get()


def test_coroutines_run_in_virtual_time_under_stepped(recordings):
    stepped = recordings.open("stepped")

    class Naps(Actor):
        def on_fetch(self, m: Fetch):
            return self.work(self.nap, m.url)

        async def nap(self, url):
            await asyncio.sleep(3600)
            return url

    naps = stepped.start(Naps)
    requests = [naps.request(Fetch(str(n))) for n in range(3)]
    assert [each.get() for each in requests] == ["0", "1", "2"]
    assert stepped.clock.now_ns() == 3600 * 10**9


def test_a_coroutine_that_awaits_under_stepped_steps(recordings):
    stepped = recordings.open("stepped")
    crawler = stepped.start(Crawler)

    async def main():
        return await crawler.request(Fetch("abc")), await crawler.request(Fetch("a")).observe()

    assert asyncio.run(main()) == (3, 1)
