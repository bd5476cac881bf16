"""What gRPC alone can do to a channel and its listener: no server, strangers, limits, order."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import msgpack  # type: ignore[import-untyped]
import pytest

from rescind.actors.rpc.drivers import _grpc_listener, grpc_channel, grpc_listener
from rescind.actors.rpc.drivers import _grpc_wire as wire
from tests.ports import free_port

from .ports import SERVER_LOG, WAIT_S, Pair, Server
from .processes import RemoteListener

CERTIFICATE = Path(__file__).parents[1] / "newton" / "certificate.pem"
LOG = "00" * 16
GREETING = wire.greeting(None)


@pytest.fixture
def new_pair():
    """Listeners with channels to them, closed at the end."""
    with ExitStack() as stack:

        def new(channel=(), listener=(), address="127.0.0.1:0"):
            heard = grpc_listener(address, **dict(listener))
            server = Server()
            heard.open(server)
            pair = Pair(grpc_channel(heard.address, **dict(channel)), heard, server)
            stack.callback(pair.close)
            return pair

        yield new


@pytest.fixture
def stranger(new_pair):
    """A pair, and a bare channel of gRPC to its listener."""
    pair = new_pair()
    with grpc.insecure_channel(pair.listener.address) as channel:
        yield pair, channel


def failed(channel, path, message=b"", metadata=()):
    """Call a path with bare gRPC, which must fail: the status, our code, and what is said."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(path)(message, metadata=metadata, timeout=WAIT_S)
    error: Any = raised.value
    behind = dict(error.trailing_metadata() or ())
    return error.code().name, behind.get("rescind-code"), error.details()


# --- connections ---------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_unavailable():
    pair = Pair(grpc_channel(f"127.0.0.1:{free_port()}"))
    request = pair.call()
    answered, code, text, cause = pair.client.next()
    assert (answered, code, cause) == (request, 1722, None)
    assert "connect" in text
    pair.channel.close()


def test_a_name_that_nobody_has_is_unavailable():
    pair = Pair(grpc_channel("unix:/nowhere/at/all"))
    pair.call()
    assert pair.client.next()[1] == 1722
    pair.channel.close()


def test_a_server_that_comes_later_is_found(new_pair):
    port = free_port()
    early = Pair(grpc_channel(f"127.0.0.1:{port}"))
    early.call()
    assert early.client.next()[1] == 1722
    late = new_pair(address=f"127.0.0.1:{port}")
    late.server.called = lambda key, _, **__: late.reply(key)
    codes = {1722}
    while codes == {1722}:  # the channel waits a moment before it connects again
        early.call()
        codes = {early.client.next()[1]}
    assert codes == {None}
    early.channel.close()


def test_a_server_that_is_killed_fails_what_it_was_doing():
    server = Server()
    listener = RemoteListener(server)
    pair = Pair(grpc_channel(listener.address), listener, server)
    requests = {pair.call() for _ in range(10)}
    for _ in requests:
        pair.called()
    listener.kill()
    answers = [pair.client.next() for _ in requests]
    assert {answer[0] for answer in answers} == requests
    assert {answer[1] for answer in answers} == {1726}
    pair.call()
    assert pair.client.next()[1] in (1722, 1726)
    pair.channel.close()
    listener.end()


def test_two_listeners_cannot_share_a_port(new_pair):
    first = new_pair()
    second = grpc_listener(first.listener.address)
    with pytest.raises(OSError, match="can't listen"):
        second.open(Server())
    second.close()
    first.exchange()


def test_an_address_that_is_none_is_refused():
    with pytest.raises(OSError, match="can't listen"):
        grpc_listener("unix:/nowhere/at/all").open(Server())


def test_a_listener_says_which_port_it_got(new_pair):
    pair = new_pair()
    assert not pair.listener.address.endswith(":0")
    assert pair.listener.label == f"grpc {pair.listener.address}" == pair.channel.label


def test_a_closed_listener_leaves_no_thread(new_pair):
    pair = new_pair()
    pair.exchange()
    pair.listener.close()
    pair.listener._thread.join(WAIT_S)
    assert not pair.listener._thread.is_alive()


@pytest.mark.parametrize("which", [grpc_channel, grpc_listener])
@pytest.mark.parametrize(
    ("address", "settings"),
    [("192.0.2.1:1", {}), ("127.0.0.1:1", {"keepalive_s": 0}), ("127.0.0.1:1", {"message_max": 0})],
)
def test_settings_that_make_no_sense_are_refused(which, address, settings):
    with pytest.raises(ValueError, match=r"credentials|above zero"):
        which(address, **settings)


# --- deadlines and limits ------------------------------------------------------------------------


def test_a_deadline_ends_the_call_at_both_sides_though_nobody_cancels(new_pair):
    pair = new_pair()
    request = pair.call(deadline_s=0.0)
    key, _ = pair.called()
    assert pair.server.next() == ("cancelled", key, True, None)
    assert pair.client.next()[:2] == (request, 1818)
    pair.reply(key)
    pair.exchange()
    assert pair.server.is_silent()


def test_a_call_that_is_larger_than_the_server_takes_is_a_protocol_error(new_pair):
    pair = new_pair(listener={"message_max": 1_000})
    request = pair.call(payload=bytes(1_001))
    assert pair.client.next()[:2] == (request, 1728)
    pair.exchange()


def test_a_call_that_is_larger_than_the_channel_sends_is_answered(new_pair):
    pair = new_pair(channel={"message_max": 1_000})
    request = pair.call(payload=bytes(1_001))
    assert pair.client.next()[:2] == (request, 1728)
    pair.exchange()


def test_a_reply_that_is_larger_than_the_server_sends_is_a_failed_call(new_pair):
    pair = new_pair(listener={"message_max": 1_000})
    pair.call()
    key, _ = pair.called()
    pair.reply(key, None, bytes(1_001))
    _, code, text, cause = pair.client.next()
    assert (code, text, cause) == (1726, "the reply has 1001 bytes", (SERVER_LOG, 77))


def test_a_reply_that_is_larger_than_the_client_takes_is_a_protocol_error(new_pair):
    pair = new_pair(channel={"message_max": 1_000})
    pair.call()
    key, _ = pair.called()
    pair.reply(key, None, bytes(1_001))
    assert pair.client.next()[1] == 1728


def test_metadata_that_cannot_be_sent_is_answered(new_pair):
    pair = new_pair()
    request = pair.call(metadata=(("Upper", "x"),))
    assert pair.client.next()[:2] == (request, 87)
    pair.exchange()  # and the next one does not wait for it


def test_more_metadata_than_the_server_takes_is_answered(new_pair):
    pair = new_pair()
    request = pair.call(metadata=(("a", "x" * 100_000),))
    answered, code, _, _ = pair.client.next()
    assert answered == request
    assert code in (1726, 1728)
    pair.exchange()


def test_who_has_too_many_calls_in_progress_is_too_busy(new_pair):
    pair = new_pair(listener={"calls_max": 2})
    pair.call()
    pair.call()
    keys = [pair.called()[0], pair.called()[0]]
    request = pair.call()
    assert pair.client.next()[:2] == (request, 1723)
    pair.reply(keys[0])
    pair.client.next()
    pair.exchange()


def test_thousands_of_calls_in_progress_need_no_thread_each(new_pair):
    pair = new_pair()
    pair.exchange()
    before = threading.active_count()
    requests = {pair.call() for _ in range(5_000)}
    keys = [pair.called()[0] for _ in requests]
    assert threading.active_count() <= before + 1
    for key in keys:
        pair.reply(key)
    assert {pair.client.next()[0] for _ in keys} == requests


def test_a_cancel_of_a_call_that_has_ended_is_reported_all_the_same(new_pair):
    pair = new_pair()
    request = pair.call()
    key, _ = pair.called()
    pair.reply(key)
    assert pair.client.next()[0] == request
    pair.channel.cancel(request, 55, abort=False)
    assert pair.server.next() == ("cancelled", key, False, (pair.log_id, 55))


# --- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", "toke", "token2"])
def test_a_wrong_token_is_access_denied(new_pair, token):
    pair = new_pair(channel={"token": token}, listener={"token": "token"})
    request = pair.call()
    assert pair.client.next()[:2] == (request, 5)
    pair.channel.cancel(request, 9, abort=False)
    right = Pair(grpc_channel(pair.listener.address, token="token"), pair.listener, pair.server)
    right.exchange()
    right.channel.close()


def test_a_cancel_with_a_wrong_token_is_refused(new_pair):
    pair = new_pair(channel={"token": "token"}, listener={"token": "token"})
    request = pair.call()
    key, call = pair.called()
    message = wire.cancel_message(wire.Cancel(call.log_id, request, 1, abort=True))
    with grpc.insecure_channel(pair.listener.address) as channel:
        status, code, _ = failed(channel, wire.CANCEL, message, GREETING)
    assert (status, code) == ("PERMISSION_DENIED", "5")
    pair.reply(key)
    assert pair.client.next()[:2] == (request, None)
    assert pair.server.is_silent()


def credentials():
    pem = CERTIFICATE.read_bytes()
    return (
        {"credentials": grpc.ssl_channel_credentials(pem)},
        {"credentials": grpc.ssl_server_credentials([(pem, pem)])},
    )


def test_calls_go_through_tls(new_pair):
    client, server = credentials()
    pair = new_pair(client, server)
    request = pair.call(payload=b"secret")
    key, call = pair.called()
    assert call.payload == b"secret"
    pair.channel.cancel(request, 5, abort=False)
    assert pair.server.next()[:2] == ("cancelled", key)
    pair.reply(key)
    assert pair.client.next()[:2] == (request, None)


def test_a_certificate_that_nobody_vouches_for_is_no_server(new_pair):
    _, server = credentials()
    pair = new_pair({"credentials": grpc.ssl_channel_credentials()}, server)
    pair.call()
    assert pair.client.next()[1] == 1722
    assert pair.server.is_silent()


def test_plain_text_to_a_server_that_speaks_tls_is_no_call(new_pair):
    _, server = credentials()
    pair = new_pair((), server)
    pair.call()
    assert pair.client.next()[1] in (1722, 1726)
    assert pair.server.is_silent()


# --- strangers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), "1728"),
        ((("rescind-version", "x"), ("rescind-call", f"{LOG}/1/1/1/1")), "1728"),
        (GREETING, "1728"),
        ((*GREETING, ("rescind-call", "")), "1728"),
        ((*GREETING, ("rescind-call", "zz/1/1/1/1")), "1728"),
        ((*GREETING, ("rescind-call", f"{LOG}/1/1")), "1728"),
        ((*GREETING, ("rescind-call", f"{LOG}/-1/1/1/1")), "1728"),
        ((*GREETING, ("rescind-call", f"{LOG}/1/9999999999999999999/1/1")), "1728"),
    ],
)
def test_who_does_not_speak_our_version_is_refused(stranger, metadata, code):
    pair, channel = stranger
    assert failed(channel, "/rescind.Rpc/render", b"\xc1", metadata)[:2] == ("INTERNAL", code)
    pair.exchange()
    assert pair.server.is_silent()


@pytest.mark.parametrize("path", ["/rescind.Other/render", "/", "/rescind.Control/Other", "/x"])
def test_another_service_is_not_implemented(stranger, path):
    _, channel = stranger
    assert failed(channel, path)[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("message", [b"", b"\xc1", b"\x00" * 1000, msgpack.packb({"call": 1})])
def test_garbage_in_the_place_of_a_cancel_is_refused(stranger, message):
    pair, channel = stranger
    assert failed(channel, wire.CANCEL, message, GREETING)[:2] == ("INTERNAL", "1728")
    pair.exchange()
    assert pair.server.is_silent()


def test_a_call_that_is_made_twice_is_refused_while_it_runs_and_afterwards(stranger):
    pair, channel = stranger
    metadata = (*GREETING, ("rescind-call", f"{LOG}/7/7/7/0"))
    first = channel.unary_unary("/rescind.Rpc/render").future(b"\x90", metadata=metadata)
    key, call = pair.called()
    assert call.log_id.hex() == LOG
    assert failed(channel, "/rescind.Rpc/render", b"", metadata)[1] == "1728"
    pair.reply(key, None, b"\x01")
    assert first.result(WAIT_S) == b"\x01"
    assert failed(channel, "/rescind.Rpc/render", b"", metadata)[1] == "1728"
    assert pair.server.is_silent()


def test_a_cancel_that_overtakes_its_call_is_reported_behind_it(stranger):
    pair, channel = stranger
    cancel = channel.unary_unary(wire.CANCEL)
    for turn, abort in ((8, False), (9, True)):
        message = wire.cancel_message(wire.Cancel(bytes.fromhex(LOG), 7, turn, abort))
        cancel(message, metadata=GREETING, timeout=WAIT_S)
    metadata = (*GREETING, ("rescind-call", f"{LOG}/7/7/7/0"))
    sent = channel.unary_unary("/rescind.Rpc/render").future(b"\x90", metadata=metadata)
    key, _ = pair.called()
    assert pair.server.next() == ("cancelled", key, False, (bytes.fromhex(LOG), 8))
    assert pair.server.next() == ("cancelled", key, True, (bytes.fromhex(LOG), 9))
    sent.cancel()


def test_cancels_of_calls_that_never_come_are_kept_up_to_a_bound(stranger):
    pair, channel = stranger
    cancel = channel.unary_unary(wire.CANCEL)
    said = [
        cancel.future(
            wire.cancel_message(wire.Cancel(b"x", number, 1, abort=False)), metadata=GREETING
        )
        for number in range(1_500)
    ]
    assert {each.result(WAIT_S) for each in said} == {b""}
    assert len(pair.listener._early) <= 1_000
    assert pair.server.is_silent()


def test_calls_that_arrive_in_another_order_are_reported_in_theirs(stranger, monkeypatch):
    monkeypatch.setattr(_grpc_listener, "FIRST_S", 60.0)
    pair, channel = stranger
    sent = []
    for place in (3, 1, 2):
        who = ("rescind-call", f"{LOG}/{place}/1/1/{place}")
        render = channel.unary_unary("/rescind.Rpc/render")
        sent.append(render.future(b"\x90", metadata=(*GREETING, who)))
    arrived = [pair.called() for _ in range(3)]
    assert [call.request for _, call in arrived] == [1, 2, 3]
    for key, _ in arrived:
        pair.reply(key)
    assert {each.result(WAIT_S) for each in sent} == {b"\xc0"}


def test_a_call_does_not_wait_for_ever_for_one_that_never_comes(stranger, monkeypatch):
    monkeypatch.setattr(_grpc_listener, "FIRST_S", 1.0)  # so that all three wait together
    pair, channel = stranger
    sent = []
    for place in (9, 6, 5):
        who = ("rescind-call", f"{LOG}/{place}/1/1/{place}")
        render = channel.unary_unary("/rescind.Rpc/render")
        sent.append(render.future(b"\x90", metadata=(*GREETING, who)))
    assert [pair.called()[1].request for _ in sent] == [5, 6, 9]


def test_calls_that_need_no_order_have_none(new_pair):
    pair = new_pair(channel={"noncausal": True})
    requests = {pair.call() for _ in range(10)}
    assert {pair.called()[1].request for _ in requests} == requests
    assert not pair.listener._series


# --- servers that are none of ours ---------------------------------------------------------------


class Plain(grpc.GenericRpcHandler):
    """A server that was written without knowing of us."""

    def service(self, details):
        name = details.method.rpartition("/")[2]

        def handle(request, context):
            if name == "raise":
                raise ValueError("no")
            if name == "liar":
                context.set_trailing_metadata((("rescind-code", "x"), ("rescind-cause", "y")))
                context.abort(grpc.StatusCode.ABORTED, "lies")
            if name != "fine":
                context.abort(grpc.StatusCode[name.upper()], name)
            return request

        return None if name == "unknown_procedure" else grpc.unary_unary_rpc_method_handler(handle)


@pytest.fixture
def plain():
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Plain()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pair = Pair(grpc_channel(f"127.0.0.1:{port}"))
    yield pair
    pair.channel.close()
    server.stop(None)


@pytest.mark.parametrize("status", sorted(wire.CODES))
def test_each_status_of_another_server_has_a_code(plain, status):
    request = plain.call(status.lower())
    answered, code, text, cause = plain.client.next()
    assert (answered, code, cause) == (request, wire.CODES[status], None)
    assert text == status.lower()


def test_another_server_may_answer_or_not_know_the_procedure(plain):
    request = plain.call("fine", b"\x01")
    assert plain.client.next() == (request, None, b"\x01", None)
    request = plain.call("unknown_procedure")
    assert plain.client.next()[:2] == (request, 1727)
    request = plain.call("liar")
    assert plain.client.next() == (request, 1728, "lies", None)
    request = plain.call("raise")
    assert plain.client.next()[:2] == (request, 1726)


def test_a_cancel_at_another_server_harms_nobody(plain):
    request = plain.call("fine")
    plain.client.next()
    plain.channel.cancel(request, 5, abort=True)
    request = plain.call("fine")
    assert plain.client.next()[0] == request
