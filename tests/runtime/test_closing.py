"""Closing is orderly within a deadline, and names who did not stop."""

import re
import subprocess
import sys
import time

import pykka
import pytest

from rescind.actors.runtime import (
    Actor,
    CloseTimeoutError,
    Reply,
    RuntimeClosedError,
    Stepped,
    UsageError,
)
from rescind.events import DeadLetter, Resume, Stopped, read

from .actors import Doubler
from .helpers import PATIENCE_S, Gate, GatedStorage, Helper
from .recordings import DISPATCHERS, WAITING, by_of, events_of, turns

SHORT_S = 0.1
REAL_TIME = [each for each in DISPATCHERS if each != "stepped"]


class Stubborn(Actor):
    """Runs into a gate in its handler, or in its hook."""

    def __init__(self, gate, where):
        self.gate = gate
        self.where = where

    def on_receive(self, message):
        if self.where == "handler":
            self.gate.pass_through()
        return message

    def on_stop(self):
        if self.where == "hook":
            self.gate.pass_through()


class PinnedStubborn(Stubborn):
    dispatcher = "pinned"


@pytest.fixture
def gate():
    made = Gate()
    made.shut()
    yield made
    made.open()


def place(name):
    return f"{name} at .*:[0-9]+ in pass_through"


# --- in order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatcher", [each for each in DISPATCHERS if each != "pinned"])
def test_actors_take_what_was_sent_and_stop_the_last_started_first(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    refs = [runtime.start(Doubler) for _ in range(5)]
    for ref in refs:
        ref.tell(1)
    runtime.close()
    stopped = [turn.actor for turn in turns(runtime) if Stopped in map(type, turn.events)]
    assert stopped == [ref.number for ref in reversed(refs)]
    assert events_of(runtime, DeadLetter) == []


def test_an_actor_that_another_one_starts_as_it_stops_is_stopped_too(runtime):
    class Heir(Actor):
        def on_stop(self):
            self.runtime.start(Doubler)

    runtime.start(Heir)
    runtime.close()
    assert len(events_of(runtime, Stopped)) == 2


def test_closing_again_does_nothing(runtime):
    runtime.close()
    before = len(turns(runtime))
    runtime.close()
    assert len(turns(runtime)) == before


@pytest.mark.parametrize("dispatcher", REAL_TIME, indirect=True)
def test_whoever_closes_meanwhile_waits_for_the_end(runtime, gate):
    runtime.start(Stubborn, gate, "hook")
    closers = [Helper(runtime.close) for _ in range(3)]
    gate.wait_until_reached()
    gate.open()
    for each in closers:
        each.result()
    assert len(events_of(runtime, Stopped)) == 1


def test_the_log_says_who_closed_and_at_which_line(runtime, connect):
    connect(runtime)
    Helper(runtime.close).result()
    [dispose] = [
        turn for turn in turns(runtime) if getattr(turn.message, "operation", "") == "Dispose"
    ]
    by = by_of(dispose)
    assert (by.who, by.function) == ("helper", "Helper._run")
    assert by.file.endswith("helpers.py")


def test_a_handler_cannot_close_its_own_runtime(runtime):
    class Closes(Actor):
        def on_receive(self, _):
            self.runtime.close()

    with pytest.raises(UsageError, match="close inside a turn would wait for itself"):
        runtime.start(Closes).ask("x")


# --- handlers that wait --------------------------------------------------------------------------


class Waits(Actor):
    """Waits for what it is told to, and survives that."""

    def on_receive(self, reply):
        try:
            return reply.get()
        except RuntimeClosedError as error:
            return f"{error}, and on it went"


class PinnedWaits(Waits):
    dispatcher = "pinned"


def until_they_wait(runtime, count):
    """Return when so many handlers wait inside their turns."""
    until = time.monotonic() + PATIENCE_S
    while len(runtime.waits_in_turn) < count:
        assert time.monotonic() < until
        if isinstance(runtime.dispatcher, Stepped):
            runtime.dispatcher.step()
        else:
            time.sleep(0.001)


@pytest.mark.parametrize("dispatcher", WAITING)
@pytest.mark.parametrize("cls", [Waits, PinnedWaits])
def test_a_handler_that_waits_for_nobody_is_told_and_comes_to_its_end(recordings, dispatcher, cls):
    runtime = recordings.open(dispatcher)
    asked = runtime.start(cls).ask(Reply(runtime), block=False)
    until_they_wait(runtime, 1)
    runtime.close()
    text = "the runtime closes, and nobody is left to answer"
    assert asked.get() == f"{text}, and on it went"
    assert [each.message.error for each in turns(runtime) if type(each.message) is Resume] == [
        f"RuntimeClosedError: {text}"
    ]


class Asks(Actor):
    """Asks somebody, with whom it stands still."""

    def on_receive(self, message):
        ref, reply = message
        return ref.ask(reply)


@pytest.mark.not_repeatable("who is asked waits for a future of the test")
@pytest.mark.parametrize("dispatcher", WAITING)
def test_who_waits_for_such_a_handler_gets_its_answer(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    waits, asks = runtime.start(Waits), runtime.start(Asks)
    asked = asks.ask((waits, Reply(runtime)), block=False)
    until_they_wait(runtime, 2)
    runtime.close()
    assert asked.get(timeout=PATIENCE_S).endswith("and on it went")


def test_a_pinned_handler_may_still_answer(recordings, gate):
    runtime = recordings.open("pinned")
    owes, asks = runtime.start(Stubborn, gate, "handler"), runtime.start(Asks)
    asked = asks.ask((owes, "late"), block=False)
    gate.wait_until_reached()
    closing = Helper(runtime.close)
    assert not closing.is_done(0.05)
    gate.open()
    closing.result()
    assert asked.get() == "late"


# --- who is late ---------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["handler", "hook"])
def test_a_handler_that_blocks_is_named_with_where_it_stands(recordings, gate, where):
    runtime = recordings.open("thread")
    ref = runtime.start(Stubborn, gate, where)
    asked, behind = (ref.ask(text, block=False) for text in ("stuck", "behind"))
    with pytest.raises(CloseTimeoutError, match="the log is left as after a crash") as caught:
        runtime.close(SHORT_S)
    assert not caught.value.is_whole
    [name] = caught.value.late
    assert re.fullmatch(place("a1 Stubborn in its (Ask|Stop)"), name)
    for each in (asked, behind) if where == "handler" else ():
        with pytest.raises(CloseTimeoutError):
            each.get(timeout=PATIENCE_S)
    with pytest.raises(CloseTimeoutError):
        runtime.start(Doubler)
    runtime.close()


@pytest.mark.parametrize("dispatcher", REAL_TIME)
@pytest.mark.parametrize("where", ["handler", "hook"])
def test_a_pinned_handler_that_blocks_is_given_up_and_the_log_is_whole(
    recordings, gate, dispatcher, where
):
    runtime = recordings.open(dispatcher)
    others = [runtime.start(Doubler) for _ in range(3)]
    ref = runtime.start(PinnedStubborn, gate, where)
    asked = ref.ask("stuck", block=False)
    with pytest.raises(CloseTimeoutError, match="the log is whole") as caught:
        runtime.close(SHORT_S)
    assert caught.value.is_whole
    [name] = caught.value.late
    assert re.fullmatch(place(f"a{ref.number} PinnedStubborn in its (Ask|Stop)"), name)
    if where == "handler":
        with pytest.raises(pykka.ActorDeadError):
            asked.get(timeout=PATIENCE_S)
    assert len(events_of(runtime, Stopped)) == len(others)


def blocks(gate, *_):
    gate.pass_through()


@pytest.mark.parametrize("dispatcher", ["thread", "pinned"])
def test_a_callback_that_blocks_is_named(recordings, gate, dispatcher, connect):
    runtime = recordings.open(dispatcher)
    endpoint, twin = connect(runtime)
    request = endpoint.output(
        "x", asynchronous=True, completion_script=lambda *_: gate.pass_through()
    )
    runtime.flush()
    twin.complete(request.number)
    gate.wait_until_reached()
    with pytest.raises(CloseTimeoutError) as caught:
        runtime.close(SHORT_S)
    [name] = caught.value.late
    assert re.fullmatch(place("a callback"), name)


def test_an_event_loop_that_blocks_is_named_with_its_actors(recordings, gate):
    runtime = recordings.open("asyncio")
    runtime.start(Doubler)
    recordings.loop().loop.call_soon_threadsafe(gate.pass_through)
    gate.wait_until_reached()
    with pytest.raises(CloseTimeoutError) as caught:
        runtime.close(SHORT_S)
    assert caught.value.late == ("a1 Doubler",)


def test_a_medium_that_blocks_is_told_of(recordings, gate, tmp_path):
    storage = GatedStorage(str(tmp_path / "log"), "sync")
    runtime = recordings.open("thread", storage=storage, durability="disk")
    runtime.start(Doubler)
    storage.gate.shut()
    try:
        with pytest.raises(CloseTimeoutError) as caught:
            runtime.close(SHORT_S)
        [name] = caught.value.late
        assert name.startswith("the runtime itself")
    finally:
        storage.gate.open()


async def stuck(runtime):
    with pytest.raises(CloseTimeoutError) as caught:
        await runtime.aclose(SHORT_S)
    return caught.value.late


def test_a_coroutine_waits_no_longer_either(recordings, gate):
    runtime = recordings.open("asyncio")
    ref = runtime.start(PinnedStubborn, gate, "hook")
    [name] = recordings.loop().run(stuck(runtime))
    assert re.fullmatch(place(f"a{ref.number} PinnedStubborn in its Stop"), name)


# --- programs that end ---------------------------------------------------------------------------

PROGRAM = """
import sys, threading
from rescind.actors.runtime import Actor, Runtime, _closing

_closing.CLOSE_TIMEOUT_S = 0.2

class Blocks(Actor):
    {pinned}
    def on_receive(self, message):
        began.set()
        threading.Event().wait()

began = threading.Event()
runtime = Runtime.open(sys.argv[1])
runtime.start(Blocks).tell("x")
began.wait()
"""


@pytest.mark.parametrize("pinned", ["", 'dispatcher = "pinned"'])
def test_a_program_whose_handler_blocks_for_ever_ends_and_says_so(tmp_path, pytestconfig, pinned):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(pinned=pinned), str(tmp_path / "log")],
        env={"PYTHONPATH": str(pytestconfig.rootpath / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not stopped within 0.2 s: a1 Blocks in its Tell at <string>:11 in on_rec" in done.stderr
    info = read(tmp_path / "log").info()
    assert not [each for each in info.damage if not each.torn]
