"""The scenarios that a wire can show, over gRPC, the server in a process of its own.

The numbers are those of spec/rpc.md, section B.8.
"""

import threading
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from rescind import Runtime, rpc
from rescind.events import Accepted, Answer, CancelRequested, Submit, read
from rescind.replay import Verdict, check

from .ports import WAIT_S
from .processes import start


def assert_sound(path):
    """See that a log breaks no law."""
    report = check(read(path))
    found = [f"{law.law} {each.text}" for law in report.laws for each in law.of(Verdict.BROKEN)]
    assert not found, f"rescind check {path}: {found[:5]}"


class World:
    """A client here, a server elsewhere, and both their logs."""

    def __init__(self, folder, stack):
        self.client_log, self.server_log = folder / "client.log", folder / "server.log"
        self.server: Any = start("server_child.py", self.server_log)
        stack.callback(self.end_server)
        self.address = self.server.stdout.readline().decode().strip()
        self.runtime = stack.enter_context(Runtime.open(self.client_log))
        self.binding = rpc.Binding(self.runtime, rpc.grpc_channel(self.address))

    def finish(self):
        """Close both sides; both their logs, turn by turn."""
        self.binding.close()
        self.runtime.close()
        self.end_server()
        return list(read(self.client_log)), list(read(self.server_log))

    def call(self, *arguments, **options):
        return self.binding.call(*arguments, **options)

    def ask(self, *arguments):
        return self.call(*arguments).get(WAIT_S)

    def end_server(self):
        with self.server:
            self.server.stdin.close()


@pytest.fixture
def world(tmp_path):
    with ExitStack() as stack:
        world = World(tmp_path, stack)
        yield world
    assert_sound(world.client_log)
    assert_sound(world.server_log)


def code_of(call):
    """Wait for a call; its code."""
    try:
        call.get(WAIT_S)
    except rpc.RpcError as error:
        return error.code
    return None


def test_4_and_5_a_call_is_pending_and_then_answered_once(world):
    heard: list[int] = []
    told = threading.Event()

    def routine(_call, _context, event):
        heard.append(event)
        told.set()

    call = world.call("stubborn", notification=rpc.by_callback(routine))
    for _ in range(2):
        assert call.get_call_status() == 997
        with pytest.raises(rpc.RpcError) as raised:
            call.complete_call()
        assert raised.value.code == 997
    world.ask("release")
    assert told.wait(WAIT_S)
    assert call.get_call_status() == 0
    assert call.complete_call() == 7
    with pytest.raises(rpc.RpcError) as raised:
        call.complete_call()
    assert raised.value.code == 1914
    assert heard == [rpc.AsyncEvent.CALL_COMPLETE]


def test_7_a_server_that_goes_on_after_a_cancel_is_the_true_result(world):
    call = world.call("stubborn")
    call.cancel_call(abort=False)
    assert call.get_call_status() == 997
    world.ask("release")
    assert call.get(WAIT_S) == 7


@pytest.mark.parametrize("code", [1818, 5001])
def test_8_a_server_that_obeys_decides_with_which_code(world, code):
    call = world.call("obedient", code)
    call.cancel_call(abort=False)
    assert code_of(call) == code


def test_10_a_server_that_ignores_cancels_for_ever_is_left_by_an_abortive_one(world):
    call = world.call("stubborn")
    call.cancel_call(abort=False)
    assert not call.wait_done(0.01)
    call.cancel_call(abort=True)
    assert code_of(call) == 1818
    world.ask("release")


def test_10_the_escalation_is_one_call(world):
    call = world.call("stubborn")
    call.cancel(grace_s=0.01)
    assert code_of(call) == 1818
    world.ask("release")


def test_11_and_14_an_abortive_cancel_decides_at_once_and_a_later_one_changes_nothing(world):
    call = world.call("stubborn")
    call.cancel_call(abort=True)
    assert call.wait_done(WAIT_S)
    assert call.get_call_status() == 1818
    call.cancel_call(abort=False)
    assert code_of(call) == 1818
    world.ask("release")


def test_16_the_servers_test_reads_upside_down(world):
    call = world.call("tested")
    call.cancel_call(abort=False)
    assert code_of(call) is None
    assert call.get()[-2:] == [0, 0]


def test_17_a_subscriber_is_told_of_two_cancels_once(world):
    call = world.call("subscribed")
    world.ask("echo", 1)  # dispatched behind it
    call.cancel_call(abort=False)
    call.cancel_call(abort=False)
    world.ask("echo", 2)
    world.ask("release")
    heard, queued = call.get(WAIT_S)
    assert len(heard) == queued <= 1
    assert set(heard) <= {rpc.AsyncEvent.CLIENT_CANCEL}


def test_22_a_time_out_ends_the_call_and_the_server_is_not_told(world):
    call = world.call("stubborn", timeout_s=0.05)
    assert code_of(call) == 1818
    world.ask("release")
    world.ask("echo", 1)


def test_22_of_a_deadline_the_server_is_told(world):
    call = world.call("obedient", 1818, deadline_s=0.05)
    assert code_of(call) == 1818


def test_23_calls_are_dispatched_as_they_were_made(world):
    calls = [world.call("echo", number) for number in range(100)]
    assert [call.get(WAIT_S) for call in calls] == list(range(100))
    _, theirs = world.finish()
    arrived = [
        turn.message.arguments[1][0]
        for turn in theirs
        if isinstance(turn.message, Submit) and turn.message.operation == "Serve"
    ]
    assert arrived == list(range(100))


def test_a_function_that_raises_is_a_failed_call_that_says_why(world):
    call = world.call("fails")
    with pytest.raises(rpc.RpcError, match="LookupError: no such page") as raised:
        call.get(WAIT_S)
    assert raised.value.code == 1726


def test_metadata_reaches_the_function(world):
    call = world.call("metadata", metadata={"tenant": "blue"})
    assert ["tenant", "blue"] in call.get(WAIT_S)


def test_an_unknown_procedure_did_not_execute(world):
    assert code_of(world.call("no such")) == 1727


def test_a_client_that_goes_is_heard_of(world):
    other = rpc.Binding(world.runtime, rpc.grpc_channel(world.address))
    other.call("gone")
    other.call("echo", 1).get(WAIT_S)
    other.close()
    assert world.ask("was_released") is True


@pytest.mark.parametrize(
    ("version", "payload", "code"),
    [
        (0, b"\x90", "1728"),
        (2, b"\x90", "1728"),
        (1, b"\xc1", "1728"),
        (1, b"", "1728"),
        (1, b"\x01", "1728"),
        (1, b"\x93\x01\x02\x03", "1726"),
    ],
)
def test_strangers_are_answered_with_a_code(world, version, payload, code):
    metadata = (("rescind-version", str(version)), ("rescind-call", "00ff/1/1/1/0"))
    with grpc.insecure_channel(world.address) as channel:
        call: Any = channel.unary_unary("/rescind.Rpc/echo")
        with pytest.raises(grpc.RpcError) as raised:
            call(payload, metadata=metadata, timeout=WAIT_S)
    error: Any = raised.value
    assert dict(error.trailing_metadata())["rescind-code"] == code
    assert world.ask("echo", 1) == 1


def test_causes_cross_the_wire_in_both_directions(world):
    call = world.call("obedient", 1818)
    call.cancel_call(abort=False)
    assert code_of(call) == 1818
    ours, theirs = world.finish()
    their_id, our_id = read(world.server_log).log_id, read(world.client_log).log_id
    asked = next(
        turn
        for turn in ours
        if isinstance(turn.message, Submit)
        and any(isinstance(event, Accepted) for event in turn.events)
    )
    served = next(
        turn
        for turn in theirs
        if isinstance(turn.message, Submit) and turn.message.operation == "Serve"
    )
    assert (served.cause.log, served.cause.number) == (our_id, asked.number)
    cancelled = next(t for t in ours if any(isinstance(e, CancelRequested) for e in t.events))
    marked = next(t for t in theirs if any(isinstance(e, CancelRequested) for e in t.events))
    assert (marked.cause.log, marked.cause.number) == (our_id, cancelled.number)
    ended = next(t for t in theirs if isinstance(t.message, Answer))
    answered = next(t for t in ours if isinstance(t.message, Answer))
    assert (answered.cause.log, answered.cause.number)[0] == their_id
    assert answered.cause.number >= served.number
    assert ended.number > served.number
