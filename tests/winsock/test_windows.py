"""Windows: who pumps, who waits, what is in the buffer; and what ends a wait."""

import contextlib
import itertools
import queue
from typing import Any

import pytest

from rescind import winsock
from rescind.actors.runtime import Stepped, UsageError
from rescind.actors.winsock._entries import size_of
from rescind.events import LogFailedError
from tests.runtime.helpers import FullStorage, Helper

from .stage import FAULT, HOST, HOST_BYTES, NO_BUFFER, Stage


def wait_until_waiting(stage: Stage, count: int) -> None:
    """Return when so many threads wait in windows of the stage's application."""
    while len(stage.app.arrivals) < count or len(stage.runtime._waiting) < count:
        pass


@pytest.fixture
def threaded(recordings: Any) -> Stage:
    return Stage(recordings, "thread")


# --- pumping -------------------------------------------------------------------------------------


def test_messages_come_in_the_order_of_their_completions(stage):
    asked = [stage.ask(str(number)) for number in range(4)]
    order = [asked[number] for number in (2, 0, 3, 1)]
    for each in order:
        stage.answer(each)
    assert [handle for handle, _, _ in stage.take_all()] == [each.handle for each in order]


def test_get_takes_what_waits_at_once_and_peek_waits_for_nothing(stage):
    assert stage.window.peek() is None
    assert not stage.window.has_messages
    first, second = stage.ask(), stage.ask()
    stage.answer()
    stage.answer()
    assert stage.window.has_messages
    assert stage.window.get(0).handle == first.handle
    message = stage.window.peek()
    assert message is not None
    assert message.handle == second.handle
    assert "0 messages" in repr(stage.window)


def test_get_waits_for_a_message_that_is_on_its_way(stage):
    asked = stage.ask()
    stage.twin.complete(HOST)
    assert stage.window.get().handle == asked.handle


@pytest.mark.parametrize("timeout_s", [0, 0.01])
def test_get_gives_up_after_its_time_and_the_message_comes_later(stage, timeout_s):
    asked = stage.ask()
    with pytest.raises(TimeoutError, match="nothing within"):
        stage.window.get(timeout_s)
    stage.answer()
    assert stage.window.get(timeout_s).handle == asked.handle


def test_the_time_that_get_may_take_is_not_begun_anew(recordings, monkeypatch):
    stage = Stage(recordings, "stepped")
    clock: Any = stage.runtime.clock
    left: list[float] = []

    def wait(_arrival: Any, left_s: float) -> bool:
        """Let time pass, and something come that another thread takes."""
        left.append(left_s)
        clock.advance_to(clock.now_ns() + 400_000_000)
        return left_s > 0

    monkeypatch.setattr(stage.runtime, "wait", wait)
    with pytest.raises(TimeoutError):
        stage.window.get(1)
    assert left == pytest.approx([1.0, 0.6, 0.2, 0.0])


def test_a_thread_that_waits_is_woken_by_a_message(threaded):
    waiting = Helper(threaded.window.get)
    wait_until_waiting(threaded, 1)
    asked = threaded.ask()
    threaded.answer()
    assert waiting.result().handle == asked.handle


def test_several_threads_pump_one_window_and_each_message_is_taken_once(threaded):
    taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def pump() -> None:
        with contextlib.suppress(UsageError):  # the window was destroyed
            while True:
                taken.put(threaded.window.get().handle)

    pumps = [Helper(pump) for _ in range(4)]
    wait_until_waiting(threaded, 4)
    asked = [threaded.ask(str(number)) for number in range(100)]
    for each in asked:
        threaded.twin.complete(HOST, threaded.number_of(each))
    heard = [taken.get(timeout=20) for _ in asked]
    threaded.window.destroy()
    for each in pumps:
        each.result()
    assert taken.empty()
    assert sorted(heard) == [each.handle for each in asked]


def test_who_was_too_slow_for_a_message_waits_on(threaded):
    """Neither hears of a time-out: one has none, the other's is far away."""
    waiting = [Helper(threaded.window.get), Helper(lambda: threaded.window.get(1000))]
    for _ in waiting:
        wait_until_waiting(threaded, 1)
        threaded.ask()
        threaded.answer()
    assert {each.result().handle for each in waiting} == {1, 2}


def test_a_message_is_for_its_own_window(stage):
    windows = [stage.window, stage.app.window(), stage.app.window()]
    asked = [stage.ask(window=window) for window in windows]
    for each in asked:
        stage.answer(each)
    for window, each in zip(reversed(windows), reversed(asked), strict=True):
        assert stage.take_all(window) == [(each.handle, 0, HOST_BYTES)]


def test_the_number_of_the_message_is_the_applications(stage):
    for number in (0, 1, 0x400, -1, 2**31):
        stage.app.async_get_host_by_name(stage.window, number, "a.example", winsock.Buffer())
        stage.answer()
        assert stage.window.get().message == number


# --- the end of a wait ---------------------------------------------------------------------------


def test_nobody_waits_in_a_destroyed_window(stage):
    asked = stage.ask()
    stage.answer()
    stage.window.destroy()
    assert stage.window.peek() is None
    with pytest.raises(UsageError, match="destroyed"):
        stage.window.get()
    assert stage.cancel(asked) == stage.too_late


def test_who_waits_hears_that_the_window_is_destroyed_and_others_wait_on(threaded):
    other = threaded.app.window()
    waiting, elsewhere = [Helper(threaded.window.get) for _ in range(3)], Helper(other.get)
    wait_until_waiting(threaded, 4)
    threaded.window.destroy()
    for each in waiting:
        with pytest.raises(UsageError, match="destroyed"):
            each.result()
    asked = threaded.ask(window=other)
    threaded.answer()
    assert elsewhere.result().handle == asked.handle


@pytest.mark.parametrize("what", ["app", "runtime"])
def test_who_waits_hears_that_all_is_closed(threaded, what):
    threaded.ask()
    waiting = [Helper(threaded.window.get), Helper(lambda: threaded.app.window().get(1000))]
    wait_until_waiting(threaded, 2)
    getattr(threaded, what).close()
    for each in waiting:
        with pytest.raises(UsageError, match="closed"):
            each.result()
    with pytest.raises(UsageError, match="closed"):
        threaded.window.get()


def test_who_waits_hears_that_the_log_failed(recordings):
    storage = FullStorage()
    stage = Stage(recordings, "thread", storage=storage)
    waiting = [Helper(stage.window.get) for _ in range(2)]
    wait_until_waiting(stage, 2)
    storage.is_full = True
    with pytest.raises(LogFailedError):
        stage.ask()
    for each in waiting:
        with pytest.raises(LogFailedError):
            each.result()
    assert not stage.twin.is_open
    for call in (stage.ask, stage.app.startup, stage.window.destroy, stage.app.cleanup):
        with pytest.raises(LogFailedError):
            call()
    with pytest.raises(LogFailedError):
        stage.cancel(1)


def test_a_cleanup_ends_no_wait_because_a_startup_may_follow(threaded):
    waiting = Helper(threaded.window.get)
    wait_until_waiting(threaded, 1)
    threaded.ask()
    threaded.app.cleanup()
    threaded.app.startup()
    asked = threaded.ask()
    threaded.answer()
    assert waiting.result().handle == asked.handle


def test_a_stepped_wait_that_nothing_can_end_says_so(recordings):
    stage = Stage(recordings, "stepped")
    stage.ask()
    assert isinstance(stage.runtime.dispatcher, Stepped)
    with pytest.raises(UsageError, match="twin may still owe"):
        stage.window.get()


# --- the buffer ----------------------------------------------------------------------------------

ENTRIES: list[Any] = [
    HOST,
    winsock.HostEntry("", (), 2, ()),
    winsock.HostEntry("a.example", ("b", "c.example"), 10, ("2001:db8::1", "2001:db8::2")),
    winsock.HostEntry("bücher.example", ("ä",), 2, tuple(f"192.0.2.{n}" for n in range(255))),
    winsock.ServiceEntry("smtp", ("mail",), 25, "tcp"),
    winsock.ProtocolEntry("tcp", ("TCP",), 6),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_what_fits_is_written_and_what_does_not_is_told_its_size(stage, entry):
    needed = size_of(entry)
    small = stage.ask(size=needed - 1)
    stage.answer(entry=entry)
    assert stage.take_all() == [(small.handle, NO_BUFFER, needed)]
    assert (small.buffer.entry, small.buffer.used) == (None, 0)
    exact = stage.ask(size=needed)
    stage.answer(entry=entry)
    assert stage.take_all() == [(exact.handle, 0, needed)]
    assert (exact.buffer.entry, exact.buffer.used) == (entry, needed)


def test_sizes_are_those_of_the_structures():
    # Heads, ends of arrays, pointers and strings with their ends.
    host = 32 + 8 + 8 + (8 + 4) + len("a.example\0")
    service = 32 + 8 + 8 + len("smtp\0mail\0tcp\0")
    protocol = 24 + 8 + 8 + len("tcp\0TCP\0")
    assert [size_of(ENTRIES[number]) for number in (0, 4, 5)] == [host, service, protocol]


def test_a_size_that_no_word_holds_is_told_as_the_largest(stage):
    entry = winsock.HostEntry("a.example", tuple("x" * 100 for _ in range(1000)), 2, ())
    asked = stage.ask()
    stage.answer(entry=entry)
    assert stage.take_all() == [(asked.handle, NO_BUFFER, 0xFFFF)]
    large = stage.ask(size=size_of(entry))
    stage.answer(entry=entry)
    assert stage.take_all() == [(large.handle, 0, 0xFFFF)]
    assert large.buffer.used == size_of(entry) > 0xFFFF


def test_without_a_buffer_only_a_failure_can_be_told(stage):
    handles = [stage.app.async_get_host_by_name(stage.window, 1, "x", None) for _ in range(2)]
    stage.answer()
    stage.fail(winsock.Code.HOST_NOT_FOUND)
    told = [(handles[0], FAULT, 0), (handles[1], winsock.Code.HOST_NOT_FOUND, 0)]
    assert stage.take_all() == told


def test_without_a_window_the_lookup_ends_unheard(stage):
    buffer = winsock.Buffer()
    handle = stage.app.async_get_host_by_name(None, 1, "x", buffer)
    stage.settle()
    assert stage.cancel(handle) == 0
    handle = stage.app.async_get_host_by_name(None, 1, "x", buffer)
    stage.answer()
    assert stage.cancel(handle) == stage.too_late
    assert stage.silences == ["cancelled", "no window"]
    assert buffer.entry is None


def test_a_window_that_is_gone_is_remembered_as_long_as_lookups_name_it(stage):
    actor = stage.app._actor
    stage.app.window().destroy()
    assert not actor._destroyed
    stage.ask()
    stage.window.destroy()
    assert list(actor._destroyed) == [stage.window.number]
    stage.answer()
    assert not actor._destroyed
    stage.ask()
    stage.answer()
    assert stage.silences == ["window destroyed", "no window"]


def test_after_a_cancel_nothing_is_ever_written(stage):
    asked = [stage.ask(str(number)) for number in range(3)]
    numbers = [stage.number_of(each) for each in asked]
    for each in asked:
        assert stage.cancel(each) == 0
    for number, _ in itertools.product(numbers, range(2)):
        stage.answer_late(number)
    assert all(each.buffer.entry is None for each in asked)
    assert stage.take_all() == []
    assert stage.ignored == 6


def test_what_ended_before_a_cleanup_is_not_written_after_it(recordings):
    stage = Stage(recordings, "stepped")
    asked = stage.ask()
    stage.twin.complete(HOST)
    stage.runtime.run_turns()  # it is completed; its message would be queued by the next commit
    stage.app.cleanup()
    stage.app.startup()
    stage.settle()
    assert not stage.window.has_messages
    assert asked.buffer.entry is None
    assert stage.cancel(asked) == stage.too_late


def test_the_buffer_is_written_before_its_message_can_be_seen(threaded):
    for _ in range(50):
        buffer = winsock.Buffer()
        threaded.app.async_get_host_by_name(threaded.window, 1, "x", buffer)
        waiting = Helper(lambda buffer=buffer: (threaded.window.get(), buffer.entry))  # type: ignore[misc]
        threaded.answer()
        assert waiting.result()[1] == HOST
