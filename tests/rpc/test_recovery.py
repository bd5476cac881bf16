"""What a killed process left outstanding, and what a keyframe in the middle of calls tells."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rescind import Runtime, Stepped, rpc
from rescind.events import (
    CancelOutcome,
    Closed,
    Completed,
    How,
    Origin,
    Outcome,
    Retention,
    prune,
    read,
)
from rescind.replay import Verdict, check
from tests.replay.plot import OFTEN
from tests.runtime.recordings import Recordings, audit

from .stage import FAILED, Stage, refused, settle


def nobody(*_: Any) -> None:
    """Hear of something, and do nothing."""


def in_the_middle(stage: Stage) -> None:
    """Leave calls behind in every state."""
    stage.call().cancel_call(abort=False)
    stage.call(notification=rpc.by_callback(nobody))
    done = stage.call()
    notified = stage.call(notification=rpc.by_callback(nobody))
    for each in stage.served[2:]:
        stage.end(each)
    assert done.get_call_status() == notified.get_call_status() == 0
    stage.carry_all()


@pytest.mark.parametrize("side", ["client", "server"])
def test_calls_of_a_process_that_died_end_as_recovered(
    recordings: Recordings, tmp_path: Path, side: str
) -> None:
    stage = Stage(recordings)
    in_the_middle(stage)
    runtime: Any = stage.runtime if side == "client" else stage.serving
    runtime.log.save(tmp_path / "crashed")
    recordings.open("stepped", path=tmp_path / "crashed", classes=[]).close()
    turns = [each for each in read(tmp_path / "crashed") if each.origin is Origin.RECOVERY]
    events = [event for turn in turns for event in turn.events]
    ends = [(each.how, each.code) for each in events if isinstance(each, Completed)]
    assert ends == [(How.RECOVERED, FAILED)] * 2
    outcomes = [each.outcome for each in events if isinstance(each, CancelOutcome)]
    assert outcomes == [Outcome.SUPERSEDED]
    assert [each.subject for each in events if isinstance(each, Closed)] == [1]
    assert not any(law.verdict == "broken" for law in check(read(tmp_path / "crashed")).laws)


@pytest.fixture(scope="module")
def long_logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A client's and a server's log with many keyframes, each in the middle of some call."""
    folder = tmp_path_factory.mktemp("long")
    options: dict[str, Any] = {"segment_bytes_max": 8 * 1024}
    client = Runtime.open(folder / "client", dispatcher=Stepped(1), **options)
    server = Runtime.open(folder / "server", dispatcher=Stepped(2), **options)
    handed_off: list[rpc.ServerCall] = []

    def work(number: int) -> int:
        if number < 0:
            rpc.current_call().hand_off()
            handed_off.append(rpc.current_call())
        return number

    for runtime in (client, server):
        runtime.log.keyframes_from(runtime.entries, OFTEN)
    channel, listener = rpc.in_process()
    rpc.Server(server, {"work": work}, listener)
    binding = rpc.Binding(client, channel)

    def make(number: int, **options: Any) -> rpc.ClientCall:
        call = binding.call("work", number, **options)
        settle(client, server)
        return call

    asked = make(-1)
    asked.cancel_call(abort=False)
    notified = make(1, notification=rpc.by_callback(nobody))
    for number in range(150):
        assert make(number).get() == number
    assert notified.complete_call() == 1
    handed_off[0].abort_call(rpc.Code.CALL_CANCELLED)
    settle(client, server)
    with refused(rpc.Code.CALL_CANCELLED):
        asked.get()
    client.close()
    server.close()
    return {"client": folder / "client", "server": folder / "server"}


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_log_that_begins_with_a_keyframe_in_the_middle_of_calls_breaks_no_law(
    long_logs: dict[str, Path], tmp_path: Path, side: str
) -> None:
    audit(long_logs[side])
    segments = len(read(long_logs[side]).segments)
    assert segments > 4
    for kept in range(1, segments):
        copy = tmp_path / str(kept)
        shutil.copytree(long_logs[side], copy)
        prune(copy, Retention(segments_max=kept))
        assert len(read(copy).segments) <= kept + 1
        broken = [each for law in check(read(copy)).laws for each in law.of(Verdict.BROKEN)]
        assert broken == []


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_keyframe_tells_of_calls_that_are_under_way(recordings: Recordings, side: str) -> None:
    stage = Stage(recordings)
    in_the_middle(stage)
    runtime: Any = stage.runtime if side == "client" else stage.serving
    states = [entry.state for entry in runtime.entries() if entry is not None]
    calls = [state for state in states if state.get("kind") == "request"]
    assert [state["status"] for state in calls][:2] == ["outstanding"] * 2
    assert sum("doomed" in state for state in calls) == 1
    (endpoint,) = [state for state in states if state.get("kind") == "endpoint"]
    assert (endpoint["dialect"], endpoint["state"]) == ("rpc", 1)
