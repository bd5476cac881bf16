"""A story of three Newton endpoints with keyframes in it, played and recorded."""

import pytest

from rescind import Runtime, Stepped, newton
from rescind.actors.runtime import Actor
from rescind.events import Pace

OFTEN = Pace(log_bytes_min=4_000, log_bytes_factor=0, slice_entries=5)


class Counter(Actor):
    """An actor of the application's own."""

    def on_receive(self, message):
        return message


class Plot:
    """Three endpoints, cancels and refusals, and much that passes between them."""

    def __init__(self, path):
        self.stepped = Stepped()
        self.runtime = Runtime.open(path, dispatcher=self.stepped, segment_bytes_max=6_000)
        self.runtime.log.keyframes_from(self.runtime.entries, OFTEN)
        self.run = self.stepped.run
        self.counter = self.runtime.start(Counter)
        self.busy, self.busy_twin = self.connect("busy", "guide")
        self.slow, self.slow_twin = self.connect("slow", "rom", holds_kills=True)
        self.calm, self.calm_twin = self.connect("calm", "guide")

    def connect(self, label, profile, **twin):
        tool = newton.twin(label=label, **twin)
        endpoint = newton.Endpoint(self.runtime, tool, profile=profile)
        endpoint.bind()
        endpoint.connect()
        return endpoint, tool

    def send(self, endpoint, count=1):
        spec = newton.CallbackSpec(True, 3600.0, lambda *_: None)
        return [endpoint.output("data", spec) for _ in range(count)]

    def pass_time(self, rounds=25):
        """Let many turns go by that have nothing to do with the story."""
        for number in range(rounds):
            [request] = self.send(self.busy)
            self.run()
            self.busy_twin.complete(request.number)
            self.counter.tell(number)
            self.stepped.advance(0.001)

    def refuse(self, endpoint):
        with pytest.raises(newton.CommError) as raised:
            self.send(endpoint)
        return raised.value.request

    def act(self):
        self.waiting = self.send(self.calm, 2)
        self.armed = self.calm.set_input_spec(newton.InputSpec())
        self.pass_time()
        self.victims = self.send(self.slow, 3)
        self.cancel = self.slow.cancel(asynchronous=True)
        self.run()
        self.early = self.refuse(self.slow)
        self.pass_time()
        self.late = self.refuse(self.slow)
        self.pass_time()
        self.slow_twin.finish_kill()
        self.pass_time()
        self.second = self.busy.cancel(asynchronous=True)
        self.stepped.advance(1)
        self.ended = self.calm_twin.complete(self.waiting[0].number, code=-16009)
        self.pass_time()
        self.third = self.calm.cancel(asynchronous=True)
        self.pass_time()
        self.left = self.send(self.calm, 2)
        self.pass_time(60)
