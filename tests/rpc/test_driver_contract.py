"""What every channel and its listener promise, whatever is between them."""

import random
import re
import threading
from contextlib import ExitStack

import pytest

from rescind.actors.rpc.drivers import grpc_channel, grpc_listener, in_process

from .ports import SERVER_LOG, WAIT_S, Pair, Server
from .processes import RemoteListener

KINDS = ["in process", "tcp", "unix", "two processes"]
THREADS = re.compile(r"grpc|\(_run\)$")
FAILURES = [1, 5, 87, 1722, 1723, 1726, 1727, 1728, 1764, 1818, 5001, 2**31]


@pytest.fixture(params=KINDS)
def pair(request, tmp_path):
    server, before = Server(), set(threading.enumerate())
    with ExitStack() as stack:
        if request.param == "two processes":
            remote = RemoteListener(server)
            stack.callback(remote.end)
            pair = Pair(grpc_channel(remote.address), remote, server)
        elif request.param == "in process":
            channel, twin = in_process()
            twin.open(server)
            pair = Pair(channel, twin, server)
        else:
            address = f"unix:{tmp_path}/socket" if request.param == "unix" else "127.0.0.1:0"
            listener = grpc_listener(address)
            listener.open(server)
            pair = Pair(grpc_channel(listener.address), listener, server)
        stack.callback(pair.close)
        yield pair
    # Only those of the drivers and of gRPC: another test's runtime may have just woken up.
    left = {each for each in threading.enumerate() if THREADS.search(each.name)} - before
    for each in left:
        each.join(WAIT_S)
    assert not [each for each in left if each.is_alive()], "what is closed leaves no thread"


def test_a_call_arrives_as_it_was_made(pair):
    request = pair.call("render", b"\x91\xc4\x02\x00\xff", metadata=(("tenant", "a b"), ("x", "")))
    key, call = pair.called()
    assert key is not None
    assert (call.request, call.log_id, call.turn) == (request, pair.log_id, request)
    assert (call.procedure, call.payload) == ("render", b"\x91\xc4\x02\x00\xff")
    assert call.deadline_s is None
    assert sorted(call.metadata) == [("tenant", "a b"), ("x", "")]
    pair.reply(key)


def test_a_reply_arrives_with_its_cause(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.reply(key, None, b"\xa3yes", turn=123)
    assert pair.client.next() == (request, None, b"\xa3yes", (SERVER_LOG, 123))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "%2F", "Zürich", "日本", "a.b-c_d~", "a\n\0"])
def test_a_procedure_may_have_any_name(pair, name):
    pair.call(name)
    key, call = pair.called()
    assert call.procedure == name
    pair.reply(key)


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_arrives_with_its_code_its_text_and_its_cause(pair, code):
    request = pair.call()
    key, _ = pair.called()
    pair.reply(key, code, "Überlauf: 100 % of it\nand more")
    text = "Überlauf: 100 % of it\nand more"
    assert pair.client.next() == (request, code, text, (SERVER_LOG, 77))


def test_a_failure_may_say_nothing(pair):
    pair.call()
    key, _ = pair.called()
    pair.reply(key, 5001, None)
    _, code, text, _ = pair.client.next()
    assert (code, text or "") == (5001, "")


def test_a_cancel_is_reported_and_the_call_goes_on(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.channel.cancel(request, 55, abort=False)
    assert pair.server.next() == ("cancelled", key, False, (pair.log_id, 55))
    pair.reply(key, None, b"\x07")
    assert pair.client.next() == (request, None, b"\x07", (SERVER_LOG, 77))
    pair.exchange()
    assert pair.client.is_silent()


def test_a_cancel_that_the_server_gives_in_to(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.channel.cancel(request, 55, abort=False)
    assert pair.server.next()[0] == "cancelled"
    pair.reply(key, 1818, "CALL_CANCELLED")
    assert pair.client.next() == (request, 1818, "CALL_CANCELLED", (SERVER_LOG, 77))


def test_both_strengths_are_reported_in_their_order(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.channel.cancel(request, 55, abort=False)
    assert pair.server.next() == ("cancelled", key, False, (pair.log_id, 55))
    pair.channel.cancel(request, 56, abort=True)
    assert pair.server.next() == ("cancelled", key, True, (pair.log_id, 56))
    pair.exchange()
    pair.reply(key)
    assert pair.server.is_silent(), "who was told of the cancel is not told of the disconnect"


def test_an_aborted_call_is_answered_once_at_most(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.channel.cancel(request, 55, abort=True)
    assert pair.server.next() == ("cancelled", key, True, (pair.log_id, 55))
    pair.reply(key, None, b"\x07")
    last = pair.call()
    key, _ = pair.called()
    pair.reply(key)
    answers = [pair.client.next()]
    while answers[-1][0] != last:
        answers.append(pair.client.next())
    assert [answer[:3] for answer in answers[:-1]] in ([], [(request, None, b"\x07")])


def test_a_cancel_touches_no_other_call(pair):
    first, second = pair.call(), pair.call()
    (one, _), (two, _) = pair.called(), pair.called()
    pair.channel.cancel(first, 55, abort=True)
    assert pair.server.next()[:2] == ("cancelled", one)
    pair.reply(two)
    assert pair.client.next()[:2] == (second, None)
    pair.reply(one)


def test_calls_arrive_in_the_order_in_which_they_were_made(pair):
    chance = random.Random(8)
    sizes = [chance.choice([1, 10, 1_000, 300_000]) for _ in range(120)]
    requests = [pair.call(payload=bytes(size)) for size in sizes]
    arrived = [pair.called() for _ in requests]
    assert [call.request for _, call in arrived] == requests
    assert [len(call.payload) for _, call in arrived] == sizes
    for key, _ in arrived:
        pair.reply(key)


def test_calls_end_in_any_order(pair):
    requests = [pair.call() for _ in range(20)]
    keys = {call.request: key for key, call in (pair.called() for _ in requests)}
    random.Random(9).shuffle(requests)
    for request in requests:
        pair.reply(keys[request])
        assert pair.client.next()[0] == request


def test_a_large_payload_goes_both_ways(pair):
    payload = bytes(range(256)) * 8_000
    pair.call(payload=payload)
    key, call = pair.called()
    assert call.payload == payload
    pair.reply(key, None, payload)
    assert pair.client.next()[2] == payload


def test_a_deadline_arrives_roughly(pair):
    pair.call(deadline_s=1_000.0)
    key, call = pair.called()
    assert call.deadline_s == pytest.approx(1_000.0, rel=0.02), "gRPC rounds it"
    pair.reply(key)
    assert pair.client.next()[1] is None


def test_a_second_reply_is_ignored(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.reply(key, None, b"\x01")
    pair.reply(key, 1726, "no, that")
    assert pair.client.next()[:3] == (request, None, b"\x01")
    pair.exchange()
    pair.reply(key, None, b"\x02")
    pair.exchange()
    assert pair.client.is_silent()


def test_a_reply_to_nobody_is_ignored(pair):
    pair.reply((b"nobody", 1))
    pair.exchange()


def test_a_channel_that_closes_disconnects_its_calls(pair):
    pair.call()
    pair.call()
    keys = [pair.called()[0], pair.called()[0]]
    pair.channel.close()
    gone = [pair.server.next(), pair.server.next()]
    assert sorted(gone) == sorted(("disconnected", key) for key in keys)
    pair.reply(keys[0])
    pair.channel.close()
    assert pair.client.is_silent()


def test_a_cancel_and_then_the_end_of_the_channel_is_first_of_all_a_cancel(pair):
    request = pair.call()
    key, _ = pair.called()
    pair.channel.cancel(request, 55, abort=True)
    pair.channel.close()
    assert pair.server.next() == ("cancelled", key, True, (pair.log_id, 55))


def test_a_listener_that_closes_fails_its_calls(pair):
    request = pair.call()
    pair.called()
    pair.listener.close()
    answered, code, text, _ = pair.client.next()
    assert (answered, code) == (request, 1726)
    assert isinstance(text, str)
    pair.listener.close()
    assert pair.server.is_silent()


def test_what_is_called_after_the_listener_closed_fails(pair):
    pair.exchange()
    pair.listener.close()
    request = pair.call()
    answered, code, _, _ = pair.client.next()
    assert answered == request
    assert code in (1722, 1726, 1727)
