"""What a killed process left outstanding, and what a keyframe in the middle of calls tells."""

from pathlib import Path
from typing import Any

import pytest

from rescind import rpc
from rescind.events import CancelOutcome, Closed, Completed, How, Origin, Outcome, read
from rescind.replay import check
from tests.runtime.recordings import Recordings

from .stage import FAILED, Stage


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


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_log_that_begins_with_a_keyframe_in_the_middle_of_calls_breaks_no_law(
    recordings: Recordings, tmp_path: Path, side: str
) -> None:
    stage = Stage(recordings)
    in_the_middle(stage)
    runtime: Any = stage.runtime if side == "client" else stage.serving
    entries = [entry for entry in runtime.entries() if entry is not None]
    told = [entry.state for entry in entries if entry.state.get("kind") == "request"]
    assert [state["status"] for state in told][:2] == ["outstanding"] * 2
    assert sum("doomed" in state for state in told) == 1
    (endpoint,) = [entry for entry in entries if entry.state.get("kind") == "endpoint"]
    assert (endpoint.state["dialect"], endpoint.state["state"]) == ("rpc", 1)
