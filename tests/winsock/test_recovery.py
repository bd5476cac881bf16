"""What a killed process left outstanding ends in silence when its log is recovered."""

from pathlib import Path
from typing import Any

from rescind import winsock
from rescind.events import Closed, Completed, Discarded, How, Origin, read
from tests.runtime.recordings import Recordings

from .stage import HOST


def test_lookups_of_a_process_that_died_end_as_recovered(
    recordings: Recordings, tmp_path: Path
) -> None:
    runtime: Any = recordings.open("stepped")
    twin = winsock.twin()
    app = winsock.Application(runtime, twin, running_max=1)
    app.startup()
    window = app.window()
    for _ in range(3):
        app.async_get_host_by_name(window, 1, "a.test", winsock.Buffer())
    runtime.dispatcher.run()
    twin.complete(HOST)  # one is posted now, one runs, one is queued
    runtime.dispatcher.run()
    runtime.log.save(tmp_path / "crashed")
    recordings.open("stepped", path=tmp_path / "crashed", classes=[]).close()
    turns = [each for each in read(tmp_path / "crashed") if each.origin is Origin.RECOVERY]
    events = [event for turn in turns for event in turn.events]
    ends = [(each.how, each.code) for each in events if isinstance(each, Completed)]
    assert ends == [(How.RECOVERED, None)] * 2
    (discarded,) = [each for each in events if isinstance(each, Discarded)]
    assert discarded.reason == "the process ended"
    assert [each.subject for each in events if isinstance(each, Closed)] == [app.number]
