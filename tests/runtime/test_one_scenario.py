"""One scenario under every dispatcher: the laws hold, and an equal schedule gives equal events.

Each step waits for what it brought about, so that there is only one schedule.  ``Relay`` waits in
its turns and is pinned, because under ``asyncio`` only pinned actors may.
"""

import threading
from functools import partial

import pykka
import pytest

from rescind import newton
from rescind.actors.runtime import Actor, DeadlockError, Stepped, Terminated
from rescind.events import Reference

from .actors import Doubler, Sums
from .helpers import PATIENCE_S
from .recordings import DISPATCHERS, Recordings, turns


class PinnedRelay(Actor):
    """Asks whom it is told about, and adds one."""

    dispatcher = "pinned"

    def on_receive(self, message):
        other, value = message
        return other.ask(value) + 1


class Alarm(Actor):
    """Rings after a while, and when an actor that it watches has stopped."""

    def __init__(self, bell):
        self.bell = bell
        self.rings = 0

    def on_receive(self, message):
        if message == "set":
            self.send_after(0.001, "ring")
        elif message == "ring" or isinstance(message, Terminated):
            self.rings += 1
            self.bell.set()
        return self.rings


class Starts(Actor):
    """Starts an actor inside its turn and sends it something."""

    def on_receive(self, message):
        child = self.runtime.start(Sums)
        child.tell(message)
        return child


def play(runtime):
    """Do something of everything, one thing after the other."""
    doubler = runtime.start(Doubler)
    assert doubler.ask(1) == 2
    relay = runtime.start(PinnedRelay)
    assert relay.ask((doubler, 5)) == 11
    with pytest.raises(LookupError):
        doubler.ask("fail")
    with pytest.raises(LookupError):
        relay.ask((doubler, "fail"))
    with pytest.raises(DeadlockError, match="a2 PinnedRelay -> a2 PinnedRelay"):
        relay.ask((relay, (doubler, 1)))
    child = runtime.start(Starts).ask(7)
    assert child.ask("sum?") == 7
    let_it_ring(runtime, lambda alarm: alarm.ask("set"))
    let_it_ring(runtime, partial(fail_watched, doubler))
    assert relay.stop() is True
    use_an_endpoint(runtime)
    with pytest.raises(pykka.ActorDeadError):
        relay.ask(1)


def fail_watched(doubler, alarm):
    doubler.watch(alarm)
    doubler.tell("fail")  # nobody waits for the answer, so it stops


def let_it_ring(runtime, do):
    bell = threading.Event()
    alarm = runtime.start(Alarm, bell)
    assert alarm.ask("rings?") == 0  # so it has started, also where it has its own thread
    do(alarm)
    if is_stepped(runtime):
        runtime.dispatcher.advance(1)
    assert bell.wait(PATIENCE_S)
    assert alarm.ask("rings?") == 1


def use_an_endpoint(runtime):
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    heard = threading.Event()
    spec = newton.CallbackSpec(True, None, lambda *_: heard.set())
    request = endpoint.output("x", spec)
    endpoint.cancel()
    assert request.wait_done(PATIENCE_S)
    assert heard.is_set()
    endpoint.disconnect()


def is_stepped(runtime):
    return isinstance(runtime.dispatcher, Stepped)


def told(value):
    """Return a value of a log without what is different in each log."""
    if isinstance(value, Reference):
        return ("reference", value.number)
    if isinstance(value, list | tuple):
        return tuple(map(told, value))
    return str(value)


def story_under(dispatcher, recordings):
    runtime = recordings.open(dispatcher)
    play(runtime)
    return [
        (
            turn.number,
            turn.actor,
            str(turn.origin),
            turn.cause and (turn.cause.number, turn.cause.request),
            type(turn.message).__name__,
            told(turn.message),
            [(type(event).__name__, told(event)) for event in turn.events],
        )
        for turn in turns(runtime)
    ]


@pytest.mark.parametrize("dispatcher", [each for each in DISPATCHERS if each != "stepped"])
def test_equal_schedules_give_equal_events_origins_and_causes(recordings, dispatcher):
    """The audit of the recordings holds each log against the laws."""
    assert story_under(dispatcher, recordings) == story_under("stepped", recordings)


def test_stepped_writes_the_same_bytes_again(tmp_path):
    for name in ("one", "two"):
        made = Recordings()
        play(made.open("stepped", path=tmp_path / name))
        made.audit()
    one, two = (
        [each.read_bytes() for each in sorted((tmp_path / name).glob("*.seg"))]
        for name in ("one", "two")
    )
    assert one
    assert one == two
