"""The races of the specification (B.7) by their numbers, over the twin, where the test decides."""

import threading
from typing import Any

import pytest

from rescind import rpc
from rescind.actors.rpc.drivers._twin import Kind
from rescind.events import (
    CancelOutcome,
    CancelRequested,
    Completed,
    Fetched,
    How,
    Outcome,
    Violation,
)

from .stage import (
    CANCELLED,
    FAILED,
    INVALID_HANDLE,
    OK,
    PENDING,
    WRONG_CALL,
    Stage,
    code_of,
    refused,
)


def nobody(*_: Any) -> None:
    """Hear of something, and do nothing."""


def test_b_r1_a_cancel_of_a_decided_call_is_too_late(either: Stage) -> None:
    call = either.call()
    either.end()
    for abort in (False, True):
        call.cancel_call(abort=abort)
    assert call.complete_call() == "done"
    assert [outcome for _, outcome in either.outcomes()] == [Outcome.TOO_LATE] * 2


def test_b_r2_asking_crosses_the_reply(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    served.complete_call("true result")
    call.cancel_call(abort=False)
    either.carry(Kind.CANCEL)
    assert call.get_call_status() == PENDING
    either.carry(Kind.REPLY)
    assert call.get() == "true result"
    assert either.outcomes() == [("CancelCall", Outcome.IGNORED)]
    assert either.outcomes(either.serving) == [("client cancel", Outcome.TOO_LATE)]


def test_b_r3_an_abort_crosses_the_reply(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    served.complete_call("thrown away")
    either.settle()
    call.cancel_call(abort=True)
    either.settle()
    either.carry(Kind.REPLY)
    assert code_of(call.get) == CANCELLED
    assert either.ignored == 1
    either.carry(Kind.CANCEL)
    assert either.outcomes(either.serving) == [("client abort", Outcome.TOO_LATE)]


def test_b_r4_an_abort_supersedes_the_asking(either: Stage) -> None:
    call = either.call()
    call.cancel_call(abort=False)
    call.cancel_call(abort=True)
    first, second = either.events(CancelRequested)
    (outcome,) = either.events(CancelOutcome)
    assert (outcome.cancel, outcome.outcome, outcome.other) == (
        first.cancel, Outcome.SUPERSEDED, second.cancel,
    )  # fmt: skip
    (completed,) = either.events(Completed)
    assert (completed.code, completed.how, completed.by) == (
        CANCELLED, How.CANCELLED, second.cancel,
    )  # fmt: skip


@pytest.mark.parametrize("abort", [False, True])
def test_b_r5_and_b_r6_a_second_cancel_is_harmless(either: Stage, abort: bool) -> None:
    call = either.call()
    call.cancel_call(abort=abort)
    call.cancel_call(abort=abort)
    call.cancel_call(abort=False)
    either.carry_all()
    assert [outcome for _, outcome in either.outcomes()] == [Outcome.DUPLICATE] * 2
    assert len(either.events(CancelRequested, either.serving)) == 1


def test_b_r7_nobody_cancels_before_the_stub_has_returned(either: Stage) -> None:
    state = either.binding.initialize()
    for abort in (False, True):
        with refused(WRONG_CALL):
            either.binding.cancel_call(state, abort=abort)
    with refused(WRONG_CALL):
        either.binding.complete_call(state)
    rules = [each.rule for each in either.events(Violation)]
    assert rules == ["R-CLIENT-init-cancel", "R-CLIENT-init-abort", "R-CLIENT-init-complete"]
    assert either.events(CancelRequested) == []


def test_b_r8_nothing_is_left_to_cancel_when_the_stub_raised(either: Stage) -> None:
    state = either.binding.initialize()
    with refused(87):
        either.binding.call("work", object(), state=state)
    assert either.binding.get_call_status(state) == INVALID_HANDLE
    with refused(INVALID_HANDLE):
        either.binding.cancel_call(state, abort=True)
    with refused(INVALID_HANDLE):
        either.binding.complete_call(state)
    rules = [each.rule for each in either.events(Violation)]
    assert rules == ["R-CLIENT-failed-abort", "R-CLIENT-failed-complete"]


def test_b_r9_completing_right_after_asking_is_pending(either: Stage) -> None:
    call = either.call(notification=rpc.by_callback(nobody))
    call.cancel_call(abort=False)
    assert code_of(call.complete_call) == PENDING
    either.carry_all()
    either.abort(CANCELLED)
    assert code_of(call.complete_call) == CANCELLED


def test_b_r10_completing_right_after_an_abort(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    told: list[Any] = []
    call = stage.call(notification=rpc.by_callback(lambda *each: told.append(each)))
    call.cancel_call(abort=True)
    stage.runtime.commit()  # the decision is durable, and nothing was delivered
    assert told == []
    first = code_of(call.complete_call)
    assert first == (CANCELLED if profile == "current" else PENDING)
    stage.settle()
    assert len(told) == 1
    assert code_of(call.complete_call) == (INVALID_HANDLE if profile == "current" else CANCELLED)


def test_b_r11_a_cancel_after_the_fetch_is_refused(either: Stage) -> None:
    call = either.call()
    either.end()
    assert call.get() == "done"
    for abort in (False, True):
        with refused(INVALID_HANDLE):
            call.cancel_call(abort=abort)
    with refused(INVALID_HANDLE):
        call.cancel()
    assert either.events(CancelRequested) == []


@pytest.mark.parametrize("notifies", [False, True])
def test_b_r12_of_two_threads_one_fetches(either: Stage, notifies: bool) -> None:
    by = rpc.by_callback(nobody) if notifies else rpc.NO_NOTIFICATION
    for _ in range(20):
        call = either.call(notification=by)
        either.end()
        codes: list[int] = []
        together = threading.Barrier(2)

        def fetch(call: Any = call, together: Any = together, codes: Any = codes) -> None:
            together.wait()
            codes.append(code_of(call.complete_call))

        threads = [threading.Thread(target=fetch) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(codes) == [OK, INVALID_HANDLE]
    assert len(either.events(Fetched)) == (20 if notifies else 0)


def test_b_r15_what_was_queued_is_counted_when_a_server_unsubscribes(either: Stage) -> None:
    told: list[Any] = []
    call = either.call()
    (served,) = either.served
    both = rpc.Subscription.CALL_CANCEL | rpc.Subscription.CLIENT_DISCONNECT
    served.subscribe(both, rpc.by_callback(lambda *each: told.append(each)))
    call.cancel_call(abort=False)
    either.carry_all()
    assert served.unsubscribe(rpc.Subscription.CLIENT_DISCONNECT) == 0
    assert served.unsubscribe(rpc.Subscription.CALL_CANCEL) == len(told) == 1
    either.twin.lose()
    either.settle()
    assert len(told) == 1


def test_b_r16_a_reply_before_the_time_out_stands(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    call = stage.call(timeout_s=2)
    stage.end()
    stage.advance(5)
    assert call.get() == "done"
    assert stage.events(CancelRequested) == []


def test_b_r17_a_server_is_told_that_its_client_is_gone_and_ends_its_call(either: Stage) -> None:
    told: list[Any] = []
    either.call()
    (served,) = either.served
    by = rpc.by_callback(lambda *each: told.append(each[2]))
    served.subscribe(rpc.Subscription.CLIENT_DISCONNECT, by)
    either.binding.close()
    either.settle()
    assert told == [rpc.AsyncEvent.CLIENT_DISCONNECT]
    assert not served.is_cancelled()
    served.complete_call("for nobody")
    either.settle()
    assert either.silences(either.serving) == ["client gone"]


def test_b_r18_aborting_twice_is_a_violation(either: Stage) -> None:
    either.call()
    (served,) = either.served
    served.abort_call(5001)
    either.carry_all()
    for end in (lambda: served.abort_call(5002), lambda: served.complete_call("late")):
        assert code_of(end) == INVALID_HANDLE
    rules = [each.rule for each in either.events(Violation, either.serving)]
    assert rules == ["R-SERVER-aborted-abort", "R-SERVER-aborted-complete"]


def test_a_lost_connection_ends_each_call_with_a_documented_code(either: Stage) -> None:
    asked, plain = either.call(), either.call()
    asked.cancel_call(abort=False)
    either.settle()
    either.twin.lose()
    either.settle()
    assert [code_of(asked.get), code_of(plain.get)] == [FAILED] * 2
    assert code_of(either.call(crosses=False).get) == rpc.Code.SERVER_UNAVAILABLE
    either.twin.restore()
    again = either.call()
    either.end(either.served[-1])
    assert again.get() == "done"
    for served in either.served[:2]:
        served.complete_call()
    assert either.silences(either.serving) == ["client gone"] * 2


def test_a_cancel_that_nobody_answers_becomes_abortive(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    call = stage.call()
    call.cancel(grace_s=2, reason="stop button")
    stage.carry_all()
    assert stage.served[0].is_cancelled()
    stage.advance(1.9)
    assert call.get_call_status() == PENDING
    stage.advance(0.2)
    assert code_of(call.get) == CANCELLED
    soft, hard = stage.events(CancelRequested)
    assert (soft.trigger, soft.reason) == ("CancelCall", "stop button")
    assert (hard.trigger, hard.reason) == (
        "CancelCall abort", f"c{soft.cancel} was not answered in time",
    )  # fmt: skip
    stage.carry_all()
    stage.end()
    assert stage.silences(stage.serving) == ["client abort"]


def test_a_cancel_that_was_answered_in_time_stays_as_it_was(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    call = stage.call()
    call.cancel(grace_s=2)
    stage.carry_all()
    stage.abort(5001)
    stage.advance(5)
    assert code_of(call.get) == 5001
    assert len(stage.events(CancelRequested)) == 1


def test_no_time_of_grace_aborts_at_once(either: Stage) -> None:
    call = either.call()
    call.cancel(grace_s=0)
    assert code_of(call.get) == CANCELLED
    assert [each.trigger for each in either.events(CancelRequested)] == ["CancelCall abort"]
