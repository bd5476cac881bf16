"""What must not be: every documented error, wrong sides, bad values, servers that misbehave."""

import threading
import time
from typing import Any

import pytest

from rescind import rpc
from rescind.actors.rpc.drivers import Call
from rescind.actors.runtime import UsageError
from rescind.events import Completed, Fetched, How, Outcome, Rejected, ScriptRaised, Violation

from .stage import (
    CANCELLED,
    DID_NOT_EXECUTE,
    FAILED,
    INVALID_ARG,
    INVALID_BINDING,
    INVALID_HANDLE,
    NO_CALL,
    PENDING,
    PROTOCOL,
    TOO_BUSY,
    UNAVAILABLE,
    WRONG_CALL,
    Stage,
    code_of,
    refused,
)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**64, "\ud800", [[object()]], {"deep": {"deeper": print}}]
)
def test_what_messagepack_has_no_form_for_is_refused_by_the_stub(either: Stage, value: Any) -> None:
    with refused(INVALID_ARG):
        either.binding.call("work", value)
    assert [each.rule for each in either.events(Rejected)] == ["R-87-arguments"]
    assert either.twin.wire == []


def test_a_payload_of_the_greatest_size_passes_and_one_byte_more_does_not(either: Stage) -> None:
    fits = 1000 - 1 - 3  # an array of one, and a binary of two bytes of length
    either.call(b"x" * fits)
    assert len(either.served) == 1
    with refused(INVALID_ARG):
        either.call(b"x" * (fits + 1))
    assert [each.rule for each in either.events(Rejected)] == ["R-87-message"]


def test_too_many_calls_are_refused_until_one_was_fetched(new_stage: Any, profile: str) -> None:
    stage: Stage = new_stage(profile, calls_max=2)
    by = rpc.by_callback(lambda *_: None)
    first, second = stage.call(notification=by), stage.call()
    with refused(TOO_BUSY):
        stage.call()
    stage.end(stage.served[0])
    with refused(TOO_BUSY):
        stage.call()
    first.complete_call()
    third = stage.call()
    for each in stage.served[1:]:
        stage.end(each)
    assert [second.get(), third.get()] == ["done"] * 2


def test_a_closed_binding_takes_no_call_and_its_calls_are_over(either: Stage) -> None:
    told: list[Any] = []
    pending = either.call(notification=rpc.by_callback(lambda *each: told.append(each)))
    done = either.call()
    either.end()
    either.binding.close()
    either.binding.close()
    with refused(INVALID_BINDING):
        either.binding.call("work")
    assert code_of(pending.get) == code_of(done.get) == FAILED
    assert pending.get_call_status() == INVALID_HANDLE
    for function in (pending.complete_call, pending.cancel):
        assert code_of(function) == INVALID_HANDLE
    assert told == []
    assert either.silences(either.runtime) == ["closed"]


def test_a_structure_that_was_not_initialised_or_was_changed_is_refused(either: Stage) -> None:
    changed = either.binding.initialize()
    changed.signature += 1
    for state in (rpc.AsyncState(), changed):
        with refused(INVALID_HANDLE):
            either.binding.call("work", state=state)
    assert {each.rule for each in either.events(Rejected)} == {"R-1914-structure"}


def test_a_structure_in_use_carries_no_second_call(either: Stage) -> None:
    state = either.binding.initialize()
    call = either.call(state=state)
    assert state.runtime_info == call.get_call_handle()
    with refused(WRONG_CALL):
        either.binding.call("work", state=state)
    either.end()
    with refused(WRONG_CALL):
        either.binding.call("work", state=state)
    assert state.call is call
    assert either.binding.complete_call(state) == "done"
    rules = [each.rule for each in either.events(Violation)]
    assert rules == ["R-CLIENT-pending-call", "R-CLIENT-done-call"]


def test_a_structure_is_used_again_as_the_profile_allows(either: Stage) -> None:
    state = either.binding.initialize()
    either.call(state=state)
    either.end()
    assert either.binding.complete_call(state) == "done"
    if either.profile == "strict":
        with refused(INVALID_HANDLE):
            either.binding.call("work", state=state)
        either.binding.initialize(state)
    again = either.call(state=state)
    assert state.call is again
    assert again.number != 0
    either.binding.cancel_call(state, abort=True)
    either.settle()
    assert either.binding.get_call_status(state) == CANCELLED


def test_each_side_has_its_functions(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    for function in (
        lambda: call.abort_call(5001),
        lambda: served.cancel_call(abort=True),
        served.get_call_status,
    ):
        assert code_of(function) == WRONG_CALL
    for runtime in (either.runtime, either.serving):
        assert {each.rule for each in either.events(Violation, runtime)} == {"R-1915-side"}


def test_a_server_function_of_a_call_that_is_over_is_refused(either: Stage) -> None:
    either.call()
    (served,) = either.served
    either.end()
    for function in (
        served.hand_off,
        lambda: served.subscribe(2, rpc.by_event(threading.Event())),
        lambda: served.unsubscribe(2),
    ):
        assert code_of(function) == INVALID_HANDLE
    with refused(NO_CALL):
        served.is_cancelled()
    with refused(NO_CALL):
        served.wait_cancelled()


def test_a_call_is_handed_off_once(either: Stage) -> None:
    either.call()
    assert code_of(either.served[0].hand_off) == WRONG_CALL
    rules = [each.rule for each in either.events(Violation, either.serving)]
    assert rules == ["R-1915-handed-off"]


@pytest.mark.parametrize("code", [0, -1, 2**32, "5001", None, True])
def test_a_call_is_aborted_with_a_code(either: Stage, code: Any) -> None:
    call = either.call()
    (served,) = either.served
    with refused(INVALID_ARG):
        served.abort_call(code)
    with pytest.raises(UsageError):
        rpc.Abort(code)
    either.end()
    assert call.get() == "done"


def test_a_result_without_a_form_leaves_the_call_open(either: Stage) -> None:
    call = either.call()
    (served,) = either.served
    with refused(INVALID_ARG):
        served.complete_call(object())
    either.end()
    assert call.get() == "done"


def wrong(*_: Any) -> Any:
    raise LookupError("wrong")


def with_a_code(*_: Any) -> Any:
    raise rpc.Abort(5001)


def badly(*_: Any) -> Any:
    return object()


def by_hand(*_: Any) -> str:
    rpc.current_call().complete_call("by hand")
    return "means nothing"


def raises_when_it_is_not_its_own(*_: Any) -> None:
    rpc.current_call().hand_off()
    raise LookupError("too late")


def raises_when_it_is_over(*_: Any) -> None:
    rpc.current_call().abort_call(5002)
    raise LookupError("too late")


FUNCTIONS = {
    each.__name__: each
    for each in (
        wrong, with_a_code, badly, by_hand, raises_when_it_is_not_its_own, raises_when_it_is_over,
    )
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("wrong", FAILED, "LookupError: wrong"),
        ("with_a_code", 5001, "not documented"),
        ("badly", FAILED, "no form in MessagePack"),
        ("nobody", DID_NOT_EXECUTE, "R-1727-procedure"),
        ("raises_when_it_is_over", 5002, "not documented"),
    ],
)
def test_what_a_function_does_wrong_the_client_hears(
    new_stage: Any, name: str, code: int, says: str
) -> None:
    stage: Stage = new_stage(functions=FUNCTIONS)
    call = stage.binding.call(name)
    wait_for_reply(stage)
    with pytest.raises(rpc.RpcError, match=says) as caught:
        call.get()
    assert caught.value.code == code
    assert (caught.value.name is None) == (code > 5000)


def wait_for_reply(stage: Stage) -> None:
    """Carry the call and what comes back; a function runs in a thread of its own."""
    until = time.monotonic() + 30
    stage.carry()
    while not stage.twin.wire:
        stage.settle()
        assert time.monotonic() < until
    stage.carry_all()


def test_a_function_may_end_its_call_itself(new_stage: Any) -> None:
    stage: Stage = new_stage(functions=FUNCTIONS)
    call = stage.binding.call("by_hand")
    wait_for_reply(stage)
    assert call.get() == "by hand"
    assert stage.events(Violation, stage.serving) == []


def test_to_raise_what_was_handed_off_is_a_violation(recordings: Any) -> None:
    stage = Stage(recordings, functions=FUNCTIONS)
    calls = [
        stage.binding.call(name)
        for name in ("raises_when_it_is_not_its_own", "raises_when_it_is_over")
    ]
    stage.settle()
    stage.carry_all()
    assert [each.get_call_status() for each in calls] == [PENDING, 5002]
    rules = [each.rule for each in stage.events(Violation, stage.serving)]
    assert rules == ["R-SERVER-handed-off-raise", "R-SERVER-aborted-abort"]


def test_a_server_that_ignores_cancels_for_ever_keeps_nobody(either: Stage) -> None:
    call = either.call()
    for _ in range(3):
        call.cancel_call(abort=False)
        either.carry_all()
    assert call.get_call_status() == PENDING
    call.cancel(grace_s=0)
    assert code_of(call.get) == CANCELLED
    either.server.close()
    assert either.outcomes(either.serving)[-1] == ("client cancel", Outcome.SUPERSEDED)
    (completed,) = either.events(Completed, either.serving)
    assert completed.how == How.ABANDONED


def test_a_server_takes_no_more_than_it_may(new_stage: Any) -> None:
    stage: Stage = new_stage(running_max=1)
    first, second = stage.call(), stage.call()
    stage.carry_all()
    assert code_of(second.get) == TOO_BUSY
    stage.end()
    third = stage.call()
    stage.end()
    assert [first.get(), third.get()] == ["done"] * 2


def malformed(stage: Stage, **changes: Any) -> rpc.ClientCall:
    """Let the server have a call that was changed on the way."""
    call = stage.call(crosses=False)
    message = stage.twin.drop()
    content: Call = message.content._replace(**changes)
    stage.twin.wire.append(message._replace(content=content))
    stage.carry_all()
    return call


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x93\x01", b"\x80", b"\x90\x90", b"\xdd\xff"])
def test_a_malformed_payload_is_a_protocol_error(either: Stage, payload: bytes) -> None:
    assert code_of(malformed(either, payload=payload).get) == PROTOCOL
    rules = [each.rule for each in either.events(Rejected, either.serving)]
    assert rules == ["R-1728-payload"]


def test_a_client_of_another_version_is_refused(either: Stage) -> None:
    assert code_of(malformed(either, version=2).get) == PROTOCOL
    rules = [each.rule for each in either.events(Rejected, either.serving)]
    assert rules == ["R-1728-version"]


def test_a_malformed_reply_is_a_protocol_error(either: Stage) -> None:
    call = either.call()
    either.answer(call.number, None, b"\xc1")
    either.settle()
    assert code_of(call.get) == PROTOCOL


def test_an_answer_to_nobody_is_recorded_and_ignored(either: Stage) -> None:
    call = either.call()
    either.end()
    assert call.get() == "done"
    either.answer(call.number, FAILED, None)
    either.settle()
    assert either.ignored == 1


def test_a_channel_that_raises_has_answered(either: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Call) -> None:
        raise OSError("no such wire")

    monkeypatch.setattr(either.twin.channel, "begin", fail)
    call = either.call(crosses=False)
    with pytest.raises(rpc.RpcError, match="no such wire") as caught:
        call.get()
    assert caught.value.code == UNAVAILABLE


def test_a_routine_that_raises_is_recorded_and_the_call_is_fetched_all_the_same(
    either: Stage,
) -> None:
    call = either.call(notification=rpc.by_callback(wrong))
    either.end()
    assert call.complete_call() == "done"
    (raised,) = either.events(ScriptRaised)
    assert "LookupError" in raised.error


def test_a_routine_may_fetch_and_call_again(either: Stage) -> None:
    heard: list[Any] = []

    def routine(call: Any, context: Any, event: Any) -> None:
        heard.append((call.complete_call(), call.get_call_status()))
        if len(heard) < 3:
            either.binding.call("work", notification=rpc.by_callback(routine))

    either.call(notification=rpc.by_callback(routine))
    for _ in range(3):
        either.end()
        either.carry_all()
    assert heard == [("done", INVALID_HANDLE)] * 3
    assert len(either.events(Fetched)) == 3


def test_times_and_bounds_that_make_no_sense_are_refused(recordings: Any) -> None:
    stage = Stage(recordings)
    for options in ({"timeout_s": 0}, {"deadline_s": -1}, {"timeout_s": float("nan")}):
        with pytest.raises(UsageError, match="above zero"):
            stage.binding.call("work", **options)
    with pytest.raises(UsageError, match="grace_s"):
        stage.call().cancel(grace_s=-1)
    channel, listener = rpc.twin()
    with pytest.raises(UsageError, match="no profile 'lenient'"):
        rpc.Binding(stage.runtime, channel, profile="lenient")
    with pytest.raises(UsageError, match="calls_max"):
        rpc.Binding(stage.runtime, channel, calls_max=0)
    with pytest.raises(UsageError, match="running_max"):
        rpc.Server(stage.runtime, {}, listener, running_max=0)


def test_a_listener_that_cannot_listen_makes_no_server(recordings: Any) -> None:
    runtime = recordings.open("stepped")
    _, listener = rpc.twin()

    def fail(_: Any) -> None:
        raise OSError("port 1 is taken")

    listener.open = fail
    with pytest.raises(OSError, match="port 1 is taken"):
        rpc.Server(runtime, {}, listener)
    assert runtime.owned == []
