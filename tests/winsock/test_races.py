"""The races of the specification (C.6), one by one and by the thousand.

``RESCIND_RACES`` says how many lookups race in each of the last tests (default 300).
"""

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rescind import winsock
from rescind.events import CancelOutcome
from tests.runtime.helpers import PATIENCE_S, Helper

from .stage import (
    HOST,
    HOST_BYTES,
    INVALID,
    NETWORK_DOWN,
    NO_BUFFER,
    NOT_STARTED,
    PROFILES,
    RACES,
    Asked,
    Stage,
    code_of,
    refused,
)

AT_ONCE = 50


# --- one by one: those that no scenario of C.7 is ------------------------------------------------


def test_c_r1_whoever_comes_first_decides(either):
    first, second = either.ask("1"), either.ask("2")
    number = either.number_of(second)
    either.twin.complete(HOST)  # its turn has not been taken yet under `stepped`
    code = either.cancel(first)
    either.cancel(second)
    either.twin.port.answer(number, None, HOST)
    taken = either.take_all()
    assert (code, taken) in [(0, []), (either.too_late, [(first.handle, 0, HOST_BYTES)])]
    assert (first.buffer.entry is None) == (code == 0)
    assert second.buffer.entry is None


def test_c_r3_a_message_that_was_taken_can_not_be_cancelled(either):
    asked = either.ask()
    either.answer()
    message = either.window.get()
    assert either.cancel(message.handle) == either.too_late
    assert either.cancel(asked) == either.too_late
    assert [each.rule for each in either.events(CancelOutcome)] == ["W-CANCEL-delivered"] * 2


def test_c_r4_of_two_threads_that_cancel_one_wins(either):
    asked = either.ask()
    codes = [Helper(lambda: either.cancel(asked)).result() for _ in range(2)]
    assert codes == [0, either.too_late]


def test_c_r5_an_answer_that_comes_at_once_is_seen_after_the_handle(either):
    either.twin.begin = lambda number, *_: either.twin.port.answer(number, None, HOST)
    asked = either.ask()
    assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]


def test_c_r6_a_guessed_handle_is_invalid_until_it_is_issued(either):
    first = either.ask()
    guess = first.handle + 1
    assert either.cancel(guess) == INVALID
    second = either.ask()
    assert second.handle == guess
    assert either.cancel(guess) == 0


def test_c_r7_after_the_cleanup_every_cancel_hears_that_nothing_is_started(either):
    asked = [either.ask() for _ in range(3)]
    either.answer()
    either.app.cleanup()
    assert [either.cancel(each) for each in asked] == [NOT_STARTED] * 3
    assert either.take_all() == []
    either.app.startup()
    assert [either.cancel(each) for each in asked] == [either.too_late] * 3


def test_c_r8_startups_and_cleanups_in_many_threads_count(either):
    def use() -> None:
        for _ in range(20):
            with either.app:
                asked = winsock.Buffer()
                either.app.async_get_host_by_name(either.window, 1, "x", asked)

    users = [Helper(use) for _ in range(4)]
    for each in users:
        each.result()
    either.settle()
    while either.twin.pending:
        either.answer()
    assert len(either.take_all()) == 80  # the stage's own startup kept all of them alive
    either.app.cleanup()
    assert code_of(either.app.cleanup) == NOT_STARTED


def test_c_r9_a_handle_is_not_used_again_while_its_message_waits(new_stage):
    stage = new_stage()
    asked = stage.ask()
    stage.answer()
    stage.app._actor.last_handle = asked.handle - 1
    other = stage.ask()
    assert other.handle != asked.handle
    stage.answer()
    assert [handle for handle, _, _ in stage.take_all()] == [asked.handle, other.handle]


def test_c_r11_a_cancel_while_its_own_message_is_handled_comes_too_late(either):
    asked = either.ask()
    either.answer()
    heard = [either.cancel(message.handle) for message in either.window.messages()]
    assert heard == [either.too_late]
    assert asked.buffer.entry == HOST


def test_c_r13_a_cancel_while_the_network_is_down_changes_nothing(either):
    posted = either.ask()
    either.answer()
    running = either.ask()
    either.network(is_down=True)
    assert [either.cancel(each) for each in (posted, running)] == [NETWORK_DOWN] * 2
    assert either.take_all() == [
        (posted.handle, 0, HOST_BYTES),
        (running.handle, NETWORK_DOWN, 0),
    ]


def test_c_r14_what_was_issued_anew_is_a_lookup_of_its_own(either):
    small = either.ask(size=8)
    either.answer()
    ((_, error, needed),) = either.take_all()
    assert error == NO_BUFFER
    again = either.ask(size=needed)
    assert either.cancel(small) == either.too_late
    either.answer()
    assert either.take_all() == [(again.handle, 0, needed)]
    assert either.cancel(again) == either.too_late


# --- by the thousand -----------------------------------------------------------------------------


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Have threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=PROFILES)
def threaded(recordings: Any, many_switches: None, request: pytest.FixtureRequest) -> Stage:
    return Stage(recordings, "thread", request.param)


def together(*jobs: Callable[[], object]) -> None:
    """Run jobs in threads that begin at one moment."""
    barrier = threading.Barrier(len(jobs))

    def begin(job: Callable[[], object]) -> None:
        barrier.wait(PATIENCE_S)
        job()

    for each in [Helper(lambda job=job: begin(job)) for job in jobs]:  # type: ignore[misc]
        each.result()


def ask_many(stage: Stage) -> Iterator[list[Asked]]:
    """Yield lookups that the twin has, many at once, until there were enough."""
    for _ in range(0, RACES, AT_ONCE):
        asked = []
        for _ in range(AT_ONCE):
            buffer = winsock.Buffer()
            handle = stage.app.async_get_host_by_name(stage.window, 1, "x", buffer)
            asked.append(Asked(handle, buffer))
        stage.settle()
        yield asked


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_pumped", [False, True], ids=["at rest", "pumped"])
def test_a_cancel_that_races_with_the_answer_is_silence_or_one_message(threaded, is_pumped):
    """Either 0, silence and an untouched buffer, or too late and exactly one message."""
    stage: Stage = threaded
    ends: Counter[int] = Counter()
    for count, asked in enumerate(ask_many(stage)):
        numbers = [stage.number_of(each) for each in asked]
        codes: dict[int, int] = {}
        taken: list[int] = []
        victims = asked[::-1] if count % 2 else asked

        def answer(numbers: list[int] = numbers) -> None:
            for number in numbers:
                stage.twin.complete(HOST, number)

        def cancel(victims: list[Asked] = victims, codes: dict[int, int] = codes) -> None:
            for each in victims:
                codes[each.handle] = stage.cancel(each)

        def pump(taken: list[int] = taken) -> None:
            for _ in range(AT_ONCE):
                taken += [each.handle for each in stage.window.messages()]

        together(answer, cancel, *([pump, pump] if is_pumped else []))
        taken += [handle for handle, _, _ in stage.take_all()]
        messages = Counter(taken)
        for each in asked:
            told = (codes[each.handle], messages[each.handle], each.buffer.entry)
            assert told in [(0, 0, None), (stage.too_late, 1, HOST)]
        ends.update(codes.values())
    assert set(ends) <= {0, stage.too_late}
    print(f"RESCIND_RACES={RACES}: {dict(ends)}")  # noqa: T201


@pytest.mark.timeout(600)
def test_of_cancels_that_race_with_each_other_one_wins(threaded):
    stage: Stage = threaded
    for asked in ask_many(stage):
        codes: list[list[int]] = [[], []]
        together(*(
            lambda mine=mine, asked=asked: mine.extend(map(stage.cancel, asked))
            for mine in codes
        ))  # fmt: skip
        pairs = [sorted(pair) for pair in zip(*codes, strict=True)]
        assert pairs == [[0, stage.too_late]] * len(asked)
        assert stage.take_all() == []


@pytest.mark.timeout(600)
def test_a_cleanup_that_races_with_answers_drops_what_had_no_message(threaded):
    stage: Stage = threaded
    taken, count = 0, 0
    for asked in ask_many(stage):
        numbers = [stage.number_of(each) for each in asked]
        heard: list[int] = []

        def answer(numbers: list[int] = numbers) -> None:
            for number in numbers:
                stage.twin.complete(HOST, number)

        def pump(heard: list[int] = heard) -> None:
            for _ in range(AT_ONCE):
                heard += [each.handle for each in stage.window.messages()]

        together(answer, pump, stage.app.cleanup)
        assert stage.take_all() == []
        assert len(heard) == len(set(heard))
        assert not stage.twin.pending
        taken, count = taken + len(heard), count + len(asked)
        stage.app.startup()
    assert taken + stage.silences.count("cleanup") == count


@pytest.mark.timeout(600)
def test_a_window_that_is_destroyed_while_answers_come_loses_what_was_not_taken(threaded):
    stage: Stage = threaded
    taken, count = 0, 0
    for asked in ask_many(stage):
        numbers = [stage.number_of(each) for each in asked]
        heard: list[int] = []
        window = stage.window

        def answer(numbers: list[int] = numbers) -> None:
            for number in numbers:
                stage.twin.complete(HOST, number)

        def pump(heard: list[int] = heard, window: winsock.Window = window) -> None:
            for _ in range(AT_ONCE):
                heard += [each.handle for each in window.messages()]

        together(answer, pump, window.destroy)
        stage.settle()
        assert stage.take_all(window) == []
        assert [stage.cancel(each) for each in asked] == [stage.too_late] * len(asked)
        taken, count = taken + len(heard), count + len(asked)
        stage.window = stage.app.window()
    assert taken + stage.silences.count("window destroyed") == count


@pytest.mark.timeout(600)
def test_handles_that_many_threads_get_are_all_different(threaded):
    stage: Stage = threaded
    got: list[list[int]] = [[] for _ in range(4)]

    def ask(mine: list[int]) -> None:
        for _ in range(RACES // 4):
            buffer = winsock.Buffer()
            mine.append(stage.app.async_get_host_by_name(stage.window, 1, "x", buffer))

    together(*(lambda mine=mine: ask(mine) for mine in got))
    handles = list(itertools.chain(*got))
    assert 0 not in handles
    assert len(set(handles)) == len(handles)
    with refused(INVALID):
        stage.app.cancel_async_request(max(handles) + 1)
