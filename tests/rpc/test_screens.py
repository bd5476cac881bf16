"""What `why` and `sequences` say of a call that was cancelled, spared, or given up in the end."""

from collections.abc import Iterator
from typing import Any

import pytest

from rescind import rpc
from rescind.events import read
from rescind.replay import sequences, why
from rescind.replay._words.text import as_text
from tests.runtime.recordings import Recordings

from .stage import Stage, code_of


@pytest.fixture
def stage(recordings: Recordings) -> Stage:
    return Stage(recordings)


def story(stage: Stage, call: rpc.ClientCall) -> str:
    """Return what `why` says of a call, as if it were one line."""
    stage.settle()
    found = why(read(stage.runtime.log), f"r{call.number}", others=[read(stage.serving.log)])
    return " ".join(as_text(found.lines()).split())


def cancellations(stage: Stage) -> Iterator[str]:
    stage.settle()
    for one in sequences(read(stage.runtime.log)):
        yield " ".join(as_text(one.lines()).split())


def cancelled(stage: Stage, **options: Any) -> rpc.ClientCall:
    call = stage.call(7, **options)
    stage.advance(1)
    call.cancel(grace_s=2, reason="stop button")
    stage.carry_all()
    return call


def in_order(text: str, *parts: str) -> bool:
    """Tell whether all parts stand in a text, one behind the other."""
    at = [text.find(part) for part in parts]
    assert -1 not in at, f"{parts[at.index(-1)]!r} is not in\n{text}"
    return at == sorted(at)


def test_a_cancelled_call_is_told_through_both_logs(stage: Stage) -> None:
    call = cancelled(stage)
    stage.abort(1818)
    assert code_of(call.get) == 1818
    assert in_order(
        story(stage, call),
        f"r{call.number} Call ended 1818 RPC_S_CALL_CANCELLED: cancelled by c3 (CancelCall)",
        "the outside answered 1818 RPC_S_CALL_CANCELLED",
        "RpcAsyncAbortCall called",
        "the driver reported client cancel",
        "RpcAsyncCancelCall called: c3, 1 victim",
        "test_screens.py:",
    )
    (text,) = cancellations(stage)
    assert in_order(text, "c3 CancelCall", "holds", "because: stop button", "1818 RPC_S_CALL")


def test_a_spared_call_says_who_had_asked(stage: Stage) -> None:
    call = cancelled(stage)
    stage.end()
    assert call.get() == "done"
    assert in_order(
        story(stage, call),
        "completed with its true result: ok",
        "raced with it and lost",
        "c3 (CancelCall by MainThread",
        "ignored, the server was told and ended its",
    )
    (text,) = cancellations(stage)
    assert in_order(text, "0 of them cancelled", "cancel ignored", "holds L1 L2 L3 L4 L5 L6")


def test_an_escalated_call_tells_each_step(stage: Stage) -> None:
    call = cancelled(stage)
    stage.advance(2)
    stage.carry_all()
    stage.end()
    assert code_of(call.get) == 1818
    assert in_order(
        story(stage, call),
        "cancelled by c4 (CancelCall abort)",
        "nobody had answered c3 in time",
        "RpcAsyncCancelCall called: c3, 1 victim",
        "c3 (CancelCall by MainThread",
        "superseded by c4, a stronger one did not",
    )
    soft, hard = cancellations(stage)
    assert in_order(soft, "c3 CancelCall", "cancel superseded by c4")
    asked = "asked by the time of grace of c3, which ran out"
    assert in_order(hard, "c4 CancelCall abort", asked, "because: c3 was not answered in time")


def test_a_deadline_is_named_as_one(stage: Stage) -> None:
    call = stage.call(deadline_s=3)
    stage.advance(4)
    assert code_of(call.get) == 1818
    assert in_order(
        story(stage, call),
        f"cancelled by c3, the deadline of r{call.number}",
        f"the deadline of r{call.number} ran out (3 s)",
    )
    (text,) = cancellations(stage)
    assert in_order(text, "c3 deadline on", f"the deadline of r{call.number} ran out")


def test_a_server_knows_who_cancelled_its_call(stage: Stage) -> None:
    cancelled(stage)
    stage.abort(1818)
    found = why(read(stage.serving.log), "r2", others=[read(stage.runtime.log)])
    text = as_text(found.lines())
    assert "cancelled by c3 (client cancel)" in text
    assert in_order(
        text,
        "a call of work",
        "the driver reported client cancel: c3, 1 victim",
        "RpcAsyncCancelCall called: c3",
    )
    (one,) = sequences(read(stage.serving.log))
    assert "asked by the client" in " ".join(as_text(one.lines()).split())


def test_a_function_is_not_taken_for_the_outside(new_stage: Any) -> None:
    stage = new_stage(functions={"work": lambda: "done"})
    call = stage.call()
    stage.carry_all()
    assert call.get() == "done"
    text = story(stage, call)
    assert in_order(
        text, "the outside answered ok", "its function answered ok", "Serve called: work"
    )


def test_a_cancel_that_a_close_has_ended_names_no_other(stage: Stage) -> None:
    call = cancelled(stage)
    stage.binding.close()
    text = story(stage, call)
    assert "superseded, its endpoint was closed before the answer" in text
