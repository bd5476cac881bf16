"""What only TCP can show: refusals, resets, addresses, and what packets do to pieces."""

import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from rescind import newton

from .sockets import (
    SMALL_BUFFER_BYTES,
    WAIT_S,
    Line,
    assert_no_thread_is_left,
    read_exactly,
    read_to_end,
    reset,
)
from .stage import (
    ABORTED,
    CANCELED,
    GONE,
    NOT_CONNECTED,
    WRONG_STATE,
    code_of,
    refused,
)

BAD_ADDRESS = -36001
BIG = b"0123456789abcdef" * 65536
"""More than the kernel's buffers hold, so that it stays outstanding until the peer reads."""


@pytest.fixture
def new_line() -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def make(*args, **kwargs) -> Line:
        lines.append(Line(*args, **kwargs))
        return lines[-1]

    yield make
    for each in lines:
        each.close()
    assert_no_thread_is_left()


@pytest.fixture
def line(new_line: Callable[..., Line]) -> Line:
    return new_line()


def test_every_byte_arrives_once_and_in_order(line):
    peer = line.connect()
    chance = random.Random(7)
    sent = [chance.randbytes(chance.choice([1, 10, 3000, 60_000])) for _ in range(200)]
    for number, data in enumerate(sent):
        line.endpoint.output(data, line.spec(number))
    assert read_exactly(peer, sum(map(len, sent))) == b"".join(sent)
    line.wait_for_count(200)
    assert line.heard == [(number, None) for number in range(200)]


def test_text_is_sent_as_utf_8(line):
    peer = line.connect()
    line.endpoint.output("grün\n")
    assert read_exactly(peer, 6) == "grün\n".encode()


@pytest.mark.parametrize("burst", [1, 3, 7, 1000])
def test_pieces_of_a_byte_count_are_found_wherever_the_packets_end(line, burst):
    peer = line.connect()
    line.arm("I", form="bytes", termination=newton.Termination(byte_count=4))
    sent = bytes(range(40))
    for start in range(0, len(sent), burst):
        line.send(peer, sent[start : start + burst])
    line.wait_for_count(10)
    assert line.heard == [("I", sent[start : start + 4]) for start in range(0, 40, 4)]


def test_a_byte_count_larger_than_the_buffers_is_received_whole(line):
    peer = line.connect()
    line.arm("I", form="bytes", termination=newton.Termination(byte_count=len(BIG)))
    peer.sendall(BIG)
    line.wait_for(("I", BIG))


def test_a_byte_count_above_discard_after_is_received_whole(line):
    """discardAfter is for pieces of no known size (3.3)."""
    peer = line.connect()
    line.arm("I", form="bytes", termination=newton.Termination(byte_count=3000))
    for start in range(0, 3000, 500):
        line.send(peer, BIG[start : start + 500])
    line.wait_for(("I", BIG[:3000]))


def test_of_a_piece_without_end_only_the_newest_bytes_are_kept(line):
    peer = line.connect()
    line.arm("I", discard_after=10, termination=newton.Termination(end_sequence="\n"))
    peer.sendall(b"x" * 200_000 + b"123456789\n")
    line.wait_for(("I", "123456789\n"))


def test_bytes_that_no_spec_took_wait_for_the_next_one(line):
    peer = line.connect()
    line.arm("I", termination=newton.Termination(byte_count=3))
    peer.sendall(b"abcr\n")
    line.wait_for(("I", "abc"))
    line.endpoint.cancel()
    line.arm("J", termination=newton.Termination(end_sequence="\n"))
    line.wait_for(("J", "r\n"))


def test_what_is_no_text_is_received_with_replacements(line):
    peer = line.connect()
    line.arm("I", termination=newton.Termination(end_sequence="\n"))
    peer.sendall(b"\xff\xfe\x00\x80ok\n")
    line.wait_for_count(1)
    assert line.heard == [("I", "\ufffd\ufffd\x00\ufffdok\n")]


def stuck_line(new_line, profile="guide"):
    """Return a line whose listener lets no further connection come about."""
    line = new_line(profile, backlog=0)
    for _ in range(3):  # those that wait to be accepted fill the backlog
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", line.port))
        line.peers.append(filler)
    line.endpoint.bind()
    return line


@pytest.mark.parametrize("profile", ["guide", "rom"])
def test_scenario_31_a_connect_that_never_completes_is_canceled(new_line, profile):
    line = stuck_line(new_line, profile)
    line.endpoint.connect(line.spec("K"))
    assert line.endpoint.state() is newton.State.OUT_CON
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert line.heard == [("K", ABORTED if profile == "rom" else CANCELED), ("X", None)]
    assert line.endpoint.state() is newton.State.IDLE


def test_scenario_33_a_connect_that_never_completes_times_out(new_line):
    line = stuck_line(new_line)
    with refused(CANCELED):
        line.endpoint.connect(timeout_s=0.1)
    assert line.endpoint.state() is newton.State.IDLE


def test_after_a_disconnect_the_endpoint_connects_again_and_starts_clean(line):
    first = line.connect()
    line.send(first, b"stale")
    line.endpoint.output(BIG, line.spec("A"))
    line.endpoint.disconnect()
    second = line.connect()
    line.arm("I", termination=newton.Termination(byte_count=5))
    second.sendall(b"fresh")
    line.wait_for(("I", "fresh"))
    assert line.heard == [("A", CANCELED), ("I", "fresh")]
    line.endpoint.output(b"new")
    assert read_exactly(second, 3) == b"new"


def test_a_refused_connection_says_where_and_why(line):
    line.listener.close()
    line.endpoint.bind()
    with pytest.raises(newton.CommError) as caught:
        line.endpoint.connect()
    assert caught.value.code == NOT_CONNECTED
    assert f"127.0.0.1:{line.port}" in str(caught.value)
    assert "refused" in str(caught.value).lower()
    assert line.endpoint.state() is newton.State.IDLE


HOSTS = {"none": "", "empty label": "a..b", "nul": "nul\0byte", "long": "x" * 300, "spaces": "a b"}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_host_that_is_no_name_is_a_bad_address(new_line, host):
    line = new_line()
    tool = newton.tcp(host, line.port)
    endpoint = newton.Endpoint(line.runtime, tool)
    endpoint.bind()
    if host:
        with refused(BAD_ADDRESS):
            endpoint.connect(timeout_s=WAIT_S)
    else:
        assert code_of(lambda: endpoint.connect(timeout_s=WAIT_S)) in (None, BAD_ADDRESS)


@pytest.mark.parametrize("port", [-1, 65_536, 70_000, 2**40])
def test_a_port_that_is_no_port_is_refused_with_a_clear_error(line, port):
    def connect():
        endpoint = newton.Endpoint(line.runtime, newton.tcp("127.0.0.1", port))
        endpoint.bind()
        endpoint.connect(timeout_s=WAIT_S)

    with pytest.raises((newton.CommError, ValueError)) as caught:
        connect()
    assert getattr(caught.value, "code", BAD_ADDRESS) == BAD_ADDRESS


def test_a_reset_ends_what_is_outstanding_in_its_order(line):
    peer = line.connect()
    for name in "ABC":
        line.endpoint.output(BIG, line.spec(name))
    read_exactly(peer, 1)
    reset(peer)
    line.wait_for_count(3)
    assert line.heard == [(name, NOT_CONNECTED) for name in "ABC"]
    assert line.endpoint.state() is newton.State.IDLE
    with refused(WRONG_STATE):
        line.endpoint.output("more")
    with refused(WRONG_STATE):
        line.endpoint.disconnect()
    line.endpoint.unbind()


def test_a_reset_reaches_a_blocked_caller(line):
    peer = line.connect()

    def reset_once_it_is_blocked():
        read_exactly(peer, 1)
        reset(peer)

    resetter = threading.Thread(target=reset_once_it_is_blocked)
    resetter.start()
    with pytest.raises(newton.CommError) as caught:
        line.endpoint.output(BIG)
    resetter.join(WAIT_S)
    assert caught.value.code == NOT_CONNECTED


def test_an_idle_peer_that_closes_is_noticed(line):
    """The tool has nothing to do and no spec is armed: the next Output must not pretend."""
    peer = line.connect()
    peer.close()
    deadline = threading.Event()
    for _ in range(200):
        if code_of(lambda: line.endpoint.output("x")) in (NOT_CONNECTED, WRONG_STATE):
            return
        deadline.wait(0.01)
    pytest.fail("nobody noticed that the peer is gone")


def test_data_before_the_peers_close_is_handed_over_first(line):
    peer = line.connect()
    line.arm("I", termination=newton.Termination(end_sequence="\n"))
    peer.sendall(b"one\ntwo\nhal")
    peer.close()
    line.wait_for(("I", NOT_CONNECTED))
    assert line.heard == [("I", "one\n"), ("I", "two\n"), ("I", NOT_CONNECTED)]
    assert line.endpoint.state() is newton.State.IN_REL


def test_a_disposed_endpoint_hangs_up_and_says_nothing_more(line):
    peer = line.connect()
    line.endpoint.output(BIG, line.spec("A"))
    line.arm("I")
    line.endpoint.dispose()
    assert BIG.startswith(read_to_end(peer))
    assert line.heard == []
    with refused(GONE):
        line.endpoint.output("more")


def test_closing_the_runtime_frees_whoever_is_blocked_in_a_call(line):
    peer = line.connect()
    closer = threading.Thread(target=lambda: (read_exactly(peer, 1), line.runtime.close()))
    closer.start()
    with pytest.raises(newton.CommError) as caught:
        line.endpoint.output(BIG)
    closer.join(WAIT_S)
    assert not closer.is_alive()
    assert caught.value.code == GONE


def test_two_endpoints_share_the_poller_and_nothing_else(new_line):
    first, second = new_line(), new_line()
    first.connect()
    peer = second.connect()
    first.endpoint.output(BIG, first.spec("A"))
    second.endpoint.output(b"hello", second.spec("B"))
    assert read_exactly(peer, 5) == b"hello"
    first.endpoint.cancel()
    second.wait_for(("B", None))
    assert first.heard == [("A", CANCELED)]
    first.runtime.close()
    second.endpoint.output(b"still", second.spec("C"))
    assert read_exactly(peer, 5) == b"still"


def test_the_small_send_buffer_is_what_the_tool_asked_for(line):
    """Otherwise the kernel would take whole Outputs, and the cancels above would test nothing."""
    line.connect()
    kept = line.tool._medium._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    assert kept <= 4 * SMALL_BUFFER_BYTES
