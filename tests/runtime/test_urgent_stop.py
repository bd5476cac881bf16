"""The stop that overtakes what waits."""

import pykka
import pytest

from rescind.actors.runtime import Actor
from rescind.events import DeadLetter, Stop, Stopped, Tell

from .actors import Sink, held
from .recordings import turn_of, waits


def test_an_urgent_stop_overtakes_what_waits(runtime):
    ref = runtime.start(Sink)
    with held(runtime):
        asked = [ref.ask(n, block=False) for n in range(100)]
        stopped = ref.stop(block=False, urgent=True)
    assert stopped.get() is True
    for each in asked:
        with pytest.raises(pykka.ActorDeadError):
            each.get()
    assert turn_of(runtime, Stop(urgent=True)).events == (Stopped(ref.number, None),)
    assert ref.stop(urgent=True) is False


@waits
def test_an_urgent_stop_overtakes_what_came_for_an_actor_that_waits(runtime):
    class Waiting(Sink):
        def __init__(self, other):
            super().__init__()
            self.other = other

        def on_receive(self, _message):
            return self.other.ask(self.actor_ref)

    class Other(Actor):
        def __init__(self, third):
            self.third = third

        def on_receive(self, message):
            message.tell(1)
            self.third.ask("it has come by then")
            message.stop(block=False, urgent=True)
            return self.third.ask("answer")

    ref = runtime.start(Waiting, runtime.start(Other, runtime.start(Sink)))
    assert ref.ask("wait") == "answer"
    runtime.close()
    assert turn_of(runtime, Tell(1)).events == (DeadLetter(ref.number),)
