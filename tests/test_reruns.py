"""What is executed again when a test ends, and when that fails the test."""

from itertools import count
from typing import Any

import pytest

from rescind import Actor, Runtime
from rescind.actors.runtime import Stepped

from .reruns import Reruns

MARK = pytest.mark.not_repeatable("it counts across runs").mark


class Doubles(Actor):
    def on_receive(self, message):
        return 2 * message


class Counts(Actor):
    calls = count()

    def on_receive(self, _message):
        return next(self.calls)


class Keeps(Actor):
    """Keeps what it was given, and says how long that is."""

    kept: Any = None

    def on_receive(self, message):
        if self.kept is not None:
            return len(self.kept.text)
        self.kept = message
        return 0


class Text:
    """Nothing that a log could carry."""

    text = "text"


@pytest.fixture
def reruns() -> Reruns:
    made = Reruns()
    made.begin()
    return made


def record(reruns: Reruns, cls: type[Actor], *messages: Any) -> None:
    runtime = Runtime.open(dispatcher=Stepped())
    reruns.opened(runtime._closing)
    ref = runtime.start(cls)
    for each in messages:
        ref.ask(each)
    runtime.close()
    reruns.closed(runtime._closing)


def test_what_comes_out_equal_passes(reruns):
    record(reruns, Doubles, 2)
    reruns.end(None)
    assert reruns.summary().endswith("1 equal")


@pytest.mark.not_repeatable("it counts across runs")
def test_what_comes_out_differently_fails_the_test_unless_it_says_why(reruns):
    record(reruns, Counts, "now")
    with pytest.raises(pytest.fail.Exception, match=r"Replied\(value=\d+\).*Replied\(value=\d+\)"):
        reruns.end(None)
    reruns.end(MARK)


def test_a_reason_for_what_does_not_differ_fails_the_test(reruns):
    record(reruns, Doubles, 2)
    with pytest.raises(pytest.fail.Exception, match=r"it counts across runs.* nothing differs"):
        reruns.end(MARK)


@pytest.mark.not_repeatable("it counts across runs", tried=False)
def test_what_is_not_tried_is_not_executed(reruns):
    record(reruns, Counts, "now")
    before = next(Counts.calls)
    reruns.end(pytest.mark.not_repeatable("it counts across runs", tried=False).mark)
    assert next(Counts.calls) == before + 1


def test_no_reason_is_needed_where_the_log_could_not_carry_what_an_actor_took(reruns):
    record(reruns, Keeps, Text(), "how long?")
    reruns.end(None)
    assert reruns.summary().endswith("1 different for what no log carries")


def test_what_an_earlier_test_closes_late_is_not_this_ones(reruns):
    runtime = Runtime.open(dispatcher=Stepped())
    reruns.opened(runtime._closing)
    runtime.start(Doubles).ask(2)
    reruns.begin()
    runtime.close()
    reruns.closed(runtime._closing)
    reruns.end(None)
    assert reruns.summary().endswith("none")
