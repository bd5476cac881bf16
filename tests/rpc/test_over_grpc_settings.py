"""A binding and a server over gRPC with the settings that a connection may have, and both logs."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from rescind import Runtime, rpc
from rescind.events import CancelRequested, Rejected, Submit, read

from .test_over_grpc import assert_sound

CERTIFICATE = Path(__file__).parents[1] / "newton" / "certificate.pem"
LIMIT = 1000
WAIT_S = 20.0


def is_cancelled_in_time():
    return rpc.current_call().wait_cancelled(WAIT_S)


FUNCTIONS: dict[str, Any] = {
    "echo": lambda value: value,
    "large": bytes,
    "wait": is_cancelled_in_time,
}


class World:
    """Both sides in this process, each with a log."""

    def __init__(self, folder, binding):
        self.client_log, self.server_log = folder / "client.log", folder / "server.log"
        self.binding = binding

    def code_of(self, *arguments, **options):
        """Make a call; what it ended with."""
        try:
            self.binding.call(*arguments, **options).get(WAIT_S)
        except rpc.RpcError as error:
            return error.code
        return None


@pytest.fixture
def connected(tmp_path):
    @contextmanager
    def connect(channel=None, listener=None):
        listening = rpc.grpc_listener(**(listener or {}))
        with (
            Runtime.open(tmp_path / "server.log") as theirs,
            rpc.Server(theirs, FUNCTIONS, listening),
            Runtime.open(tmp_path / "client.log") as ours,
            rpc.Binding(ours, rpc.grpc_channel(listening.address, **(channel or {}))) as binding,
        ):
            yield World(tmp_path, binding)
        assert_sound(tmp_path / "client.log")
        assert_sound(tmp_path / "server.log")

    return connect


def served(log):
    """The procedures that a server took up or refused."""
    return [
        turn.message.arguments[0]
        for turn in read(log)
        if isinstance(turn.message, Submit) and turn.message.operation == "Serve"
    ]


def triggers(log):
    return [
        event.trigger
        for turn in read(log)
        for event in turn.events
        if isinstance(event, CancelRequested)
    ]


def test_calls_go_through_tls_with_a_token(connected):
    pem = CERTIFICATE.read_bytes()
    client = {"credentials": grpc.ssl_channel_credentials(pem), "token": "sesame"}
    server = {"credentials": grpc.ssl_server_credentials([(pem, pem)]), "token": "sesame"}
    with connected(client, server) as world:
        assert world.binding.call("echo", b"secret").get(WAIT_S) == b"secret"
    logs = [world.client_log, world.server_log]
    written = [file.read_bytes() for log in logs for file in log.rglob("*") if file.is_file()]
    assert written
    assert not [each for each in written if b"sesame" in each]


@pytest.mark.parametrize("token", [None, "wrong"])
def test_the_server_does_not_hear_of_a_call_with_a_wrong_token(connected, token):
    with connected({"token": token}, {"token": "sesame"}) as world:
        assert world.code_of("echo", 1) == rpc.Code.ACCESS_DENIED
    assert served(world.server_log) == []


def test_the_server_does_not_hear_of_a_client_that_it_can_not_understand(connected):
    pem = CERTIFICATE.read_bytes()
    server = {"credentials": grpc.ssl_server_credentials([(pem, pem)])}
    with connected({}, server) as world:
        assert world.code_of("echo", 1) == rpc.Code.SERVER_UNAVAILABLE
    assert served(world.server_log) == []


def test_a_call_that_is_too_large_is_refused_by_the_stub(connected):
    with connected({"message_max": LIMIT}) as world:
        with pytest.raises(rpc.RpcError):
            world.binding.call("echo", bytes(LIMIT))
        assert world.code_of("echo", 1) is None
    refused = [e for turn in read(world.client_log) for e in turn.events if isinstance(e, Rejected)]
    assert len(refused) == 1
    assert served(world.server_log) == ["echo"]


@pytest.mark.parametrize(
    ("side", "code"),
    [("listener", rpc.Code.CALL_FAILED), ("channel", rpc.Code.PROTOCOL_ERROR)],
)
def test_a_reply_that_is_too_large_is_a_failed_call(connected, side, code):
    with connected(**{side: {"message_max": LIMIT}}) as world:
        assert world.code_of("large", 2 * LIMIT) == code
        assert world.code_of("large", LIMIT // 2) is None


def test_a_call_that_the_server_finds_too_large_fails(connected):
    with connected(listener={"message_max": LIMIT}) as world:
        assert world.code_of("echo", bytes(2 * LIMIT)) == rpc.Code.PROTOCOL_ERROR
        assert world.code_of("echo", 1) is None
    assert served(world.server_log) == ["echo"]


def test_a_server_is_told_of_a_deadline_and_not_of_a_time_out(connected):
    with connected() as world:
        assert world.code_of("wait", deadline_s=0.05) == rpc.Code.CALL_CANCELLED
        assert world.code_of("wait", timeout_s=0.05) == rpc.Code.CALL_CANCELLED
        assert world.code_of("echo", 1) is None
    assert triggers(world.client_log) == ["deadline", "time-out"]
    assert triggers(world.server_log) == ["client abort"]
