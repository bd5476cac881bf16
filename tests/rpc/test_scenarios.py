"""The scenarios of the specification (B.8) by their numbers, over the twin."""

import queue
import threading
from collections import Counter
from typing import Any

import pytest

from rescind import rpc
from rescind.actors.rpc.drivers._twin import Kind
from rescind.events import (
    Accepted,
    CancelRequested,
    Completed,
    Delivered,
    Fetched,
    How,
    Manner,
    Outcome,
    Rejected,
    Violation,
    read,
)

from .stage import (
    CANCELLED,
    CANNOT_SUPPORT,
    IN_PROGRESS,
    INVALID_ARG,
    INVALID_BINDING,
    INVALID_HANDLE,
    NO_CALL,
    OK,
    PENDING,
    Stage,
    code_of,
    refused,
)


class Told:
    """Notes what a notification routine is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, int]] = []

    def __call__(self, call: Any, context: Any, event: int) -> None:
        self.calls.append((call, context, event))


def test_b8_1_a_structure_is_initialised_by_its_size(either: Stage) -> None:
    binding = either.binding
    for size in (0, rpc.ASYNC_STATE_SIZE - 1, rpc.ASYNC_STATE_SIZE + 1, 10_000):
        with refused(INVALID_ARG):
            binding.initialize(size=size)
    raw = rpc.AsyncState(user_info="mine", event=3, notification_type=5, stub_info=1, lock=7)
    state = binding.initialize(raw, size=rpc.ASYNC_STATE_SIZE)
    assert state is raw
    assert (state.size, state.signature, state.lock, state.flags) == (112, 0x43595341, 0, 0)
    assert (state.stub_info, state.runtime_info, state.reserved) == (None, None, (0, 0, 0, 0))
    assert (state.user_info, state.event, state.notification_type) == ("mine", 3, 5)
    assert {each.rule for each in either.events(Rejected)} == {"R-87-size"}


def test_b8_2_the_status_of_a_structure_that_was_never_used(either: Stage) -> None:
    expected = INVALID_BINDING if either.profile == "current" else INVALID_HANDLE
    assert either.binding.get_call_status(either.binding.initialize()) == expected
    assert either.binding.get_call_status(rpc.AsyncState()) == expected


def test_b8_4_asking_a_pending_call_changes_nothing(either: Stage) -> None:
    call = either.call()
    before = either.runtime.log.last_number
    for _ in range(3):
        assert call.get_call_status() == PENDING
        assert code_of(call.complete_call) == PENDING
    either.settle()
    assert either.runtime.log.last_number == before
    either.end()
    assert call.get() == "done"


def test_b8_5_one_notification_and_one_fetch(either: Stage) -> None:
    told = Told()
    call = either.call(notification=rpc.by_callback(told, "context"))
    assert told.calls == []
    either.end(value=[1, {"two": b"2"}])
    assert told.calls == [(call, "context", rpc.AsyncEvent.CALL_COMPLETE)]
    assert call.get_call_status() == OK
    assert call.complete_call() == [1, {"two": b"2"}]
    assert code_of(call.complete_call) == INVALID_HANDLE
    assert len(told.calls) == 1
    assert [each.rule for each in either.events(Violation)] == ["R-CLIENT-final-complete"]
    (delivered,), (fetched,) = either.events(Delivered), either.events(Fetched)
    assert (delivered.manner, fetched.request) == (Manner.SCRIPT, call.number)


def test_b8_5_without_a_notification_the_fetch_is_the_delivery(either: Stage) -> None:
    call = either.call()
    either.end()
    assert either.events(Delivered) == []
    assert (call.get_call_status(), call.complete_call()) == (OK, "done")
    assert [each.manner for each in either.events(Delivered)] == [Manner.TAKEN]
    assert either.events(Fetched) == []
    assert call.get_call_status() == INVALID_HANDLE
    assert code_of(call.complete_call) == INVALID_HANDLE


def test_b8_7_a_server_that_was_asked_may_complete_normally(either: Stage) -> None:
    told = Told()
    call = either.call(notification=rpc.by_callback(told))
    call.cancel_call(abort=False)
    either.carry(Kind.CANCEL)
    assert either.served[0].is_cancelled()
    assert (told.calls, call.get_call_status()) == ([], PENDING)
    either.end()
    assert len(told.calls) == 1
    assert call.complete_call() == "done"
    assert either.outcomes() == [("CancelCall", Outcome.IGNORED)]
    assert either.outcomes(either.serving) == [("client cancel", Outcome.IGNORED)]


@pytest.mark.parametrize("code", [CANCELLED, 5001])
def test_b8_8_a_server_that_was_asked_may_abort(either: Stage, code: int) -> None:
    call = either.call()
    call.cancel_call(abort=False)
    either.carry(Kind.CANCEL)
    either.abort(code)
    assert call.get_call_status() == code
    assert code_of(call.complete_call) == code
    won = code == CANCELLED
    assert either.outcomes() == ([] if won else [("CancelCall", Outcome.IGNORED)])
    (completed,) = either.events(Completed)
    assert completed.how == (How.CANCELLED if won else How.FAILED)


def test_b8_10_an_abort_ends_the_wait_for_a_server_that_never_ends(either: Stage) -> None:
    told = Told()
    call = either.call(notification=rpc.by_callback(told))
    call.cancel_call(abort=False)
    either.carry_all()
    assert (told.calls, call.get_call_status()) == ([], PENDING)
    call.cancel_call(abort=True)
    either.settle()
    assert len(told.calls) == 1
    assert code_of(call.complete_call) == CANCELLED
    either.carry_all()
    (served,) = either.served
    assert not served.is_over
    served.complete_call("too late")
    either.carry_all()
    assert either.silences(either.serving) == ["client abort"]
    assert either.outcomes() == [("CancelCall", Outcome.SUPERSEDED)]
    assert either.outcomes(either.serving) == [
        ("client cancel", Outcome.SUPERSEDED),
        ("client abort", Outcome.IGNORED),
    ]


def test_b8_11_an_abort_needs_no_word_of_the_server(either: Stage) -> None:
    told = Told()
    call = either.call(crosses=False, notification=rpc.by_callback(told))
    before = either.serving.log.last_number
    call.cancel_call(abort=True)
    either.settle()
    assert len(told.calls) == 1
    assert either.serving.log.last_number == before
    with refused(CANCELLED):
        call.complete_call()


def test_b8_13_a_call_that_is_decided_keeps_its_result(either: Stage) -> None:
    call = either.call(notification=rpc.by_port(queue.SimpleQueue()))
    either.end()
    call.cancel_call(abort=True)
    assert call.get_call_status() == OK
    assert call.complete_call() == "done"
    assert either.outcomes() == [("CancelCall abort", Outcome.TOO_LATE)]


def test_b8_14_asking_after_an_abort_changes_nothing(either: Stage) -> None:
    told = Told()
    call = either.call(notification=rpc.by_callback(told))
    call.cancel_call(abort=True)
    call.cancel_call(abort=False)
    either.carry_all()
    assert len(told.calls) == 1
    assert code_of(call.complete_call) == CANCELLED
    assert either.outcomes() == [("CancelCall", Outcome.DUPLICATE)]
    assert [each.trigger for each in either.events(CancelRequested, either.serving)] == [
        "client abort"
    ]


def test_b8_16_the_servers_test_reads_upside_down(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    assert served.test_cancel() == IN_PROGRESS
    assert rpc.test_cancel(served.get_call_handle()) == IN_PROGRESS
    call.cancel_call(abort=False)
    assert served.test_cancel() == IN_PROGRESS
    either.carry_all()
    before = either.serving.log.last_number
    assert {served.test_cancel() for _ in range(100)} == {OK}
    either.settle()
    assert either.serving.log.last_number == before
    assert rpc.test_cancel() == NO_CALL
    assert rpc.test_cancel(10**9) == INVALID_BINDING
    assert rpc.test_cancel(call.get_call_handle()) == INVALID_BINDING
    with refused(NO_CALL):
        rpc.is_cancelled()
    either.abort(CANCELLED)
    assert served.test_cancel() == NO_CALL


def test_b8_17_a_subscriber_is_told_once_for_two_cancels(either: Stage) -> None:
    told = Told()
    call = either.call()
    (served,) = either.served
    served.subscribe(rpc.Subscription.CALL_CANCEL, rpc.by_callback(told, "context"))
    call.cancel_call(abort=False)
    either.carry_all()
    call.cancel_call(abort=True)
    either.carry_all()
    assert told.calls == [(served, "context", rpc.AsyncEvent.CLIENT_CANCEL)]
    assert int(told.calls[0][2]) == 4
    assert served.unsubscribe(rpc.Subscription.CALL_CANCEL) == 1


def test_b8_17_an_event_only_says_that_something_happened(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    signal = threading.Event()
    served.subscribe(rpc.Subscription.CALL_CANCEL, rpc.by_event(signal))
    assert not signal.is_set()
    call.cancel_call(abort=False)
    either.carry_all()
    assert signal.is_set()
    assert served.is_cancelled()


def test_b8_19_what_can_be_subscribed_to(either: Stage) -> None:
    either.call()
    (served,) = either.served
    both = rpc.Subscription.CALL_CANCEL | rpc.Subscription.CLIENT_DISCONNECT
    by = rpc.by_callback(Told())
    for code, bits, notification in (
        (INVALID_ARG, rpc.Subscription.CALL_CANCEL, rpc.NO_NOTIFICATION),
        (CANNOT_SUPPORT, 4, by),
        (CANNOT_SUPPORT, 5, by),
        (INVALID_ARG, both, rpc.by_event(threading.Event())),
        (OK, both, by),
    ):
        assert code_of(lambda: served.subscribe(bits, notification)) == code  # noqa: B023
    rules = [each.rule for each in either.events(Rejected, either.serving)]
    assert rules == ["R-87-notification", *["R-1764-subscription"] * 2, "R-87-event"]


def test_b8_20_a_server_ends_its_call_once(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    served.complete_call("first")
    with refused(INVALID_HANDLE):
        served.abort_call(5001)
    either.carry_all()
    with refused(INVALID_HANDLE):
        served.complete_call("second")
    assert call.get() == "first"
    rules = [each.rule for each in either.events(Violation, either.serving)]
    assert rules == ["R-SERVER-completed-abort", "R-SERVER-completed-complete"]


def test_b8_22_of_a_time_out_the_server_is_not_told(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    told = Told()
    call = stage.call(timeout_s=2, notification=rpc.by_callback(told))
    stage.advance(1.9)
    assert (told.calls, call.get_call_status()) == ([], PENDING)
    stage.advance(1.1)
    assert len(told.calls) == 1
    assert code_of(call.complete_call) == CANCELLED
    stage.carry_all()
    assert stage.served[0].test_cancel() == IN_PROGRESS
    stage.end()
    assert stage.ignored == 1
    (completed,) = stage.events(Completed)
    assert completed.how == How.TIMED_OUT
    assert [each.trigger for each in stage.events(CancelRequested)] == ["time-out"]


def test_b8_22_of_a_deadline_the_server_is_told(recordings: Any, profile: str) -> None:
    stage = Stage(recordings, "stepped", profile)
    call = stage.call(deadline_s=2, timeout_s=9)
    stage.advance(3)
    assert code_of(call.complete_call) == CANCELLED
    stage.carry_all()
    assert stage.served[0].is_cancelled()
    assert [each.trigger for each in stage.events(CancelRequested)] == ["deadline"]


def test_b8_23_calls_are_dispatched_in_order_and_end_in_any(either: Stage) -> None:
    first, second = either.call(1, crosses=False), either.call(2, crosses=False)
    either.carry_all()
    assert [list(each.values) for each in either.served] == [[1], [2]]
    first.cancel_call(abort=False)
    either.carry_all()
    assert [each.is_cancelled() for each in either.served] == [True, False]
    either.end(either.served[1], "second")
    assert (second.get(), first.get_call_status()) == ("second", PENDING)
    either.abort(CANCELLED, either.served[0])
    assert code_of(first.get) == CANCELLED


def test_b8_25_an_apc_waits_for_its_thread(either: Stage) -> None:
    told = Told()
    call = either.call(notification=rpc.by_apc(told))
    either.end()
    assert (told.calls, call.get_call_status()) == ([], OK)
    heard: list[int] = []
    other = threading.Thread(target=lambda: heard.append(rpc.wait_alertable()))
    other.start()
    other.join(30)
    assert (heard, told.calls) == ([0], [])
    assert rpc.wait_alertable() == 1
    assert told.calls == [(call, None, rpc.AsyncEvent.CALL_COMPLETE)]
    assert call.complete_call() == "done"


def test_b8_26_a_port_and_a_window_get_what_was_preset(either: Stage) -> None:
    port: queue.SimpleQueue[Any] = queue.SimpleQueue()
    window: queue.SimpleQueue[Any] = queue.SimpleQueue()
    by_port = either.call(notification=rpc.by_port(port, 17, "key", "overlapped"))
    either.end()
    by_window = either.call(notification=rpc.by_window(window, 1025))
    either.end()
    assert port.get_nowait() == rpc.Posted(17, "key", "overlapped")
    assert window.get_nowait() == rpc.WindowMessage(1025, 0, by_window)
    assert port.empty()
    assert window.empty()
    assert [by_port.get(), by_window.get()] == ["done"] * 2


def test_b8_28_in_any_run_each_call_is_notified_and_ended_once(either: Stage) -> None:
    told = Told()
    by = rpc.by_callback(told)
    calls = [either.call(number, notification=by, crosses=False) for number in range(6)]
    for call in calls[:2]:
        call.cancel_call(abort=True)
    calls[2].cancel_call(abort=False)
    either.carry_all()
    for served in either.served:
        end = served.abort_call if served.is_cancelled() else served.complete_call
        end(CANCELLED)
    either.carry_all()
    assert Counter(call for call, _, _ in told.calls) == dict.fromkeys(calls, 1)
    codes = [code_of(call.complete_call) for call in calls]
    assert codes == [CANCELLED] * 3 + [OK] * 3
    assert len(either.events(Fetched)) == len(calls)
    for runtime in (either.runtime, either.serving):
        accepted = [each.request for each in either.events(Accepted, runtime)]
        assert sorted(each.request for each in either.events(Completed, runtime)) == accepted
    turns = list(read(either.runtime.log))
    events = [event for turn in turns for event in turn.events]
    asked = {event.scope for event in events if isinstance(event, CancelRequested)}
    assert {each.request for each in either.events(Completed) if each.code == CANCELLED} <= asked
