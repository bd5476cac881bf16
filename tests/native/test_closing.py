"""Handlers that wait for requests while their runtime closes; the audit executes them again."""

import asyncio
import time
from typing import Any

from rescind import Actor, Stepped, message
from rescind.events import Completed, Resume
from tests.runtime.helpers import PATIENCE_S
from tests.runtime.recordings import Recordings, events_of, turns, waits


@message
class Snooze:
    """Be done in an hour."""


class Sleeper(Actor):
    def on_snooze(self, _: Snooze) -> Any:
        return self.work(asyncio.sleep, 3600)


class Asker(Actor):
    """Waits for somebody who sleeps."""

    def on_receive(self, sleeper: Any) -> Any:
        return sleeper.request(Snooze()).get()


@waits
def test_a_handler_that_waits_for_work_is_told_that_its_runtime_closes(
    recordings: Recordings, dispatcher: str
) -> None:
    runtime = recordings.open(dispatcher)
    asked = runtime.start(Asker).ask(runtime.start(Sleeper), block=False)
    until = time.monotonic() + PATIENCE_S
    while not runtime.waits_in_turn:
        assert time.monotonic() < until
        if isinstance(runtime.dispatcher, Stepped):
            runtime.dispatcher.step()
    runtime.close()
    resumed = [each.message for each in turns(runtime) if isinstance(each.message, Resume)]
    assert len(resumed) == 1
    assert len(events_of(runtime, Completed)) == 2
    assert asked.is_done
