"""What every communications tool promises its endpoint, whatever it talks over."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .sockets import WAIT_S, assert_no_thread_is_left
from .tools import (
    ALL_OPERATIONS,
    KINDS,
    WITH_TWIN,
    Bench,
    connect,
    connected,
    open_files,
    unconnected,
)

NOT_CONNECTED = -16009
BAD_COMMAND = -16002
ALREADY_CONNECTED = -16008
BAD_FORM = -54001
PIECE = bytes(range(256)) * 16
BIG = bytes(range(251)) * 8000
"""More than any kernel keeps for us with a small send buffer."""
MANY = 512
"""As many packets are more than that, too."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_files()
    yield
    assert_no_thread_is_left()
    assert open_files() <= before


def but(*kinds: str, because: str) -> pytest.MarkDecorator:
    """Run a test over every tool but these; ``because`` says to the reader why."""
    assert because
    others = [each for each in KINDS if each not in kinds]
    return pytest.mark.parametrize("kind", others, indirect=True)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def bench(kind: str, tmp_path: Path) -> Iterator[Bench]:
    """A tool that is connected, with its peer."""
    with connected(kind, tmp_path) as bench:
        yield bench


@pytest.fixture(params=WITH_TWIN)
def any_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The same, or the scripted twin."""
    with connected(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture
def idle(kind: str, tmp_path: Path) -> Iterator[Bench]:
    """A tool that could connect."""
    with unconnected(kind, tmp_path) as bench:
        yield bench


def fill(bench: Bench, kind: str) -> list[int]:
    """Output more than the kernel takes; returns the requests that stay outstanding."""
    pieces = [PIECE] * MANY if kind == "packets" else [BIG, b"never"]
    requests = [bench.output(each) for each in pieces]
    bench.settle()
    answered = {request for request, _ in bench.port.codes()}
    return [each for each in requests if each not in answered]


def test_outputs_arrive_whole_and_are_answered_in_order(any_bench):
    sizes = [1, 10, 3000, 200, 4000]
    requests = [any_bench.output(PIECE[:size]) for size in sizes]
    for size in sizes:
        assert any_bench.peer.read(size) == PIECE[:size]
    assert any_bench.code_of(requests[-1]) is None
    assert any_bench.port.codes()[-5:] == [(request, None) for request in requests]


def test_input_comes_in_pieces_in_its_order(any_bench):
    request = any_bench.post(form="bytes", byte_count=100)
    for start in range(0, 1000, 100):
        any_bench.peer.send(PIECE[start : start + 100])
    for count in range(1, 11):
        any_bench.port.wait(lambda count=count: len(any_bench.port.of("received")) == count)
        if count < 10:
            any_bench.post(request, form="bytes", byte_count=100)
    pieces = [data for _, data, _, _ in any_bench.port.of("received")]
    assert b"".join(pieces) == PIECE[:1000]
    assert all(len(piece) == 100 for piece in pieces)


def test_binary_input_goes_where_it_is_to_go(any_bench):
    buffer = bytearray(110)
    request = any_bench.post(None, memoryview(buffer), form="binary", offset=10)
    any_bench.peer.send(PIECE[:100])
    assert any_bench.port.wait_for("received", request)[3] == ["byteCount", None, 100]
    assert buffer == bytes(10) + PIECE[:100]


def test_a_receive_that_completes_a_request_is_handed_over_alike(any_bench):
    request = any_bench.ask("Receive", {"form": "string", "end_sequence": [b"\n"]}, None)
    any_bench.peer.send(b"line\n")
    assert any_bench.port.wait_for("received", request)[2] == "line\n"


def test_what_has_come_in_can_be_looked_at_dropped_and_taken(any_bench):
    request = any_bench.post(end_sequence=[b"\n"])
    assert any_bench.tool.partial() is None
    any_bench.peer.send(b"abc")
    any_bench.until(lambda: any_bench.tool.partial() == "abc")
    any_bench.tool.flush(partial=True)
    assert any_bench.tool.partial() is None
    any_bench.peer.send(b"def")
    any_bench.until(lambda: any_bench.tool.partial() == "def")
    any_bench.tool.perform(request, "Take", ())
    assert any_bench.port.wait_for("received", request)[2:4] == ("def", None)
    any_bench.peer.send(b"ghi")
    any_bench.until(lambda: any_bench.tool.partial() == "ghi")
    any_bench.tool.flush(partial=False)
    any_bench.peer.send(b"jkl\n")
    any_bench.port.wait_for("received", request, "jkl\n")


def test_a_kill_stops_outputs_and_says_how_much_was_sent(bench, kind):
    begun = bench.last + 1
    outstanding = fill(bench, kind)
    assert outstanding
    taken = bench.kill()
    count = taken.get(outstanding[0], 0)
    assert set(taken) <= {outstanding[0]}
    assert not {request for request, _ in bench.port.codes()} & set(outstanding)
    if kind == "packets":
        assert count == 0
        for _ in range(begun, outstanding[0]):
            bench.peer.read(len(PIECE))
        bench.output(b"tail")
        assert bench.peer.read(4) == b"tail"
        return
    assert 0 < count < len(BIG)
    tail = bench.output(b"tail")
    if kind == "tls":
        return  # see below
    assert bench.peer.read(count + 4) == BIG[:count] + b"tail"
    assert bench.code_of(tail) is None


def test_a_record_of_tls_that_was_cut_short_poisons_the_connection(tmp_path):
    with connected("tls", tmp_path) as bench:
        request = bench.output(BIG)
        bench.until(lambda: bench.tool._medium.owes)  # the kernel is full within a record
        count = bench.kill()[request]
        later = bench.output(b"tail")
        assert bench.code_of(later) == NOT_CONNECTED
        assert f"r{request} " in bench.port.wait_for("answer", later)[3]
        assert bench.port.of("event") == [
            (1, {"poisoned": request, "sent": count, "length": len(BIG)})
        ]
        assert bench.do("Release", []) is None
        received = bench.peer.read_to_end()
        assert len(received) < count  # which is where the record that was cut would have ended
        assert received == BIG[: len(received)]


def test_a_kill_keeps_what_has_come_in_for_the_next_receive(any_bench):
    request = any_bench.post(form="bytes", byte_count=5)
    any_bench.settle()
    any_bench.peer.send(b"ab")
    any_bench.port.wait_for("arrived", request)
    assert any_bench.kill() == {}
    any_bench.peer.send(b"cde")
    any_bench.settle()
    assert any_bench.port.of("received") == []
    request = any_bench.post(form="bytes", byte_count=5)
    assert any_bench.port.wait_for("received", request)[2] == b"abcde"


def test_a_receive_whose_options_are_not_processed_yet_can_be_killed_too(bench):
    gate = threading.Event()
    bench.tool._poller.call(lambda: gate.wait(WAIT_S))
    bench.post(form="bytes", byte_count=3, options=[["option", "none", 1024, 0]])
    bench.tool.kill(99, ALL_OPERATIONS)
    gate.set()
    bench.port.wait_for("killed", 99)
    bench.peer.send(b"abc")
    request = bench.post(form="bytes", byte_count=4)
    bench.peer.send(b"d")
    assert bench.port.wait_for("received", request)[2] == b"abcd"
    assert len(bench.port.of("received")) == 1


def test_a_kill_of_outputs_leaves_the_receive_alone(bench, kind):
    request = bench.post(form="bytes", byte_count=3)
    fill(bench, kind)
    bench.kill(frozenset({"Output"}))
    bench.peer.send(b"abc")
    assert bench.port.wait_for("received", request)[2] == b"abc"


@but("packets", because="a packet is sent whole or not at all")
def test_a_frame_that_was_cut_short_poisons_the_connection(bench, kind):
    request = bench.output({"data": BIG}, form="frame")
    bench.peer.read(1)
    taken = bench.kill()
    _, _, data = bench.port.wait_for("event", 1)
    assert data["poisoned"] == request
    assert data["sent"] == taken[request]
    assert len(BIG) < data["length"] < len(BIG) + 100
    later = bench.output(b"more")
    assert bench.code_of(later) == NOT_CONNECTED
    assert f"r{request} " in bench.port.wait_for("answer", later)[3]
    names = [call[0] for call in bench.port.calls]
    assert names.index("event") < names.index("killed")


def test_the_poison_ends_with_the_connection(tmp_path):
    with connected("tcp4", tmp_path) as bench:
        bench.output({"data": BIG}, form="frame")
        bench.peer.read(1)
        bench.kill()
        assert bench.do("Disconnect", []) is None
        bench.peer.close()
        connect(bench)
        bench.output(b"fresh")
        assert bench.peer.read(5) == b"fresh"


def test_data_that_its_form_does_not_fit_is_refused(bench):
    assert bench.code_of(bench.output(17, form="string")) == BAD_FORM


@but("serial", because="a line ends both ways at once")
def test_the_peers_end_of_stream_is_a_release_and_outputs_go_on(bench, kind):
    request = bench.post(form="bytes", byte_count=3)
    bench.peer.send(b"abcde")
    bench.port.wait_for("received", request, b"abc")
    bench.peer.finish()
    bench.port.wait_for("event", 3)
    bench.post(request, form="bytes", byte_count=3)
    assert bench.code_of(request) == NOT_CONNECTED
    bench.output(b"still")
    assert bench.peer.read(5) == b"still"
    assert [code for code, _ in bench.port.of("event")] == [3]


@but("serial", because="a line ends both ways at once")
def test_a_connection_that_breaks_after_the_end_of_stream_is_gone(bench):
    bench.peer.finish()
    bench.port.wait_for("event", 3)
    bench.peer.reset()
    bench.port.wait_for("event", 2)
    assert bench.code_of(bench.output(b"more")) == NOT_CONNECTED
    assert bench.do("Disconnect", []) == NOT_CONNECTED


def test_a_break_ends_what_is_outstanding_in_its_order(bench, kind):
    receive = bench.post(form="bytes", byte_count=3)
    outstanding = fill(bench, kind)
    bench.peer.reset()
    bench.port.wait_for("event", 2)
    assert bench.code_of(receive) == NOT_CONNECTED
    assert bench.code_of(outstanding[-1]) == NOT_CONNECTED
    ended = [answer for answer in bench.port.codes() if answer[0] in outstanding]
    assert ended == [(request, NOT_CONNECTED) for request in outstanding]
    names = [call[:2] for call in bench.port.calls]
    if kind == "child":
        return  # its input is closed before it has ended
    assert names.index(("event", 2)) < names.index(("answer", outstanding[0]))


@but(
    "serial", "tcp4", "tcp6", "tls", because="what is on its way may be lost with such a connection"
)
def test_what_came_before_a_break_is_handed_over_first(bench, kind):
    bench.peer.send(b"abcdefgh")
    bench.peer.reset()
    bench.port.wait_for("event", 2)
    request = bench.post(form="bytes", byte_count=4)
    assert bench.port.wait_for("received", request)[2] == b"abcd"
    bench.post(request, form="bytes", byte_count=4)
    bench.port.wait_for("received", request, b"efgh")
    bench.post(request, form="bytes", byte_count=4)
    assert bench.code_of(request) == NOT_CONNECTED


def test_a_connection_that_breaks_while_nothing_is_asked_for_is_gone(bench, kind):
    bench.peer.reset()
    bench.port.wait_for("event", 2)
    assert [code for code, _ in bench.port.of("event")] == ([3, 2] if kind == "child" else [2])


@pytest.mark.parametrize("kind", ["unix", "packets"])
def test_what_nobody_has_read_yet_outlives_an_output_that_finds_the_break(bench, kind):
    count = 20
    for _ in range(count):
        bench.peer.send(PIECE)
    fill(bench, kind)
    bench.peer.reset()
    bench.port.wait_for("event", 2)
    request = bench.post(form="bytes", byte_count=len(PIECE) * count)
    assert bench.port.wait_for("received", request)[2] == PIECE * count


@pytest.mark.parametrize("kind", ["unix", "packets"])
def test_a_break_behind_what_nobody_has_read_yet_is_told_when_it_has_been(bench):
    count = 20  # 80 KiB: more than is read unasked, and less than makes the peer wait
    for _ in range(count):
        bench.peer.send(PIECE)
    bench.peer.reset()
    bench.settle()
    assert bench.port.of("event") == []
    request = bench.post(form="bytes", byte_count=len(PIECE))
    for number in range(1, count + 1):
        bench.port.wait(lambda number=number: len(bench.port.of("received")) == number)
        bench.post(request, form="bytes", byte_count=len(PIECE))
    assert bench.code_of(request) == NOT_CONNECTED
    assert [data for _, data, _, _ in bench.port.of("received")] == [PIECE] * count
    bench.port.wait_for("event", 2)


@but("serial", because="a pseudo-terminal's own flow control is what is left then")
def test_no_more_is_read_than_somebody_wants(bench, kind):
    """Back-pressure: a peer that floods is stopped, and nothing is lost when reading goes on."""
    size, rounds = 4096, 256
    sender = threading.Thread(target=lambda: [bench.peer.send(PIECE) for _ in range(rounds)])
    sender.start()
    receiver = bench.tool._receiver
    request = bench.post(form="bytes", byte_count=size)
    for count in range(1, rounds + 1):
        bench.port.wait(lambda count=count: len(bench.port.of("received")) == count)
        assert receiver._waiting_bytes + len(receiver._buffer) < 3 * 65536
        if count < rounds:
            bench.post(request, form="bytes", byte_count=size)
    sender.join()
    assert b"".join(data for _, data, _, _ in bench.port.of("received")) == PIECE * rounds


def test_nothing_is_said_after_the_close(bench, kind):
    bench.post(end_sequence=[b"\n"])
    fill(bench, kind)
    said = list(bench.port.calls)
    bench.tool.close()
    bench.tool.close()
    bench.output(b"more")
    bench.tool.kill(99, frozenset({"Output"}))
    assert_no_thread_is_left()
    assert bench.port.calls[len(said) :] == [
        call for call in bench.port.calls[len(said) :] if call[0] == "arrived"
    ]


@but("serial", "child", because="its peer is made for one connection")
def test_a_disconnect_hangs_up_and_the_next_connection_starts_clean(idle, kind):
    connect(idle)
    idle.peer.send(b"stale")
    assert idle.do("Disconnect", []) is None
    idle.peer.read_to_end()
    idle.peer.close()
    connect(idle)
    idle.receive(b"fresh")


@but("serial", because="a line has no end of stream")
def test_a_release_sends_all_that_was_output_and_then_the_end(bench, kind):
    assert bench.code_of(bench.output(PIECE)) is None
    request = bench.ask("Release", [])
    if kind == "child":
        assert bench.peer.read_to_end() == PIECE
        bench.peer.order("exit 0")
    else:
        assert bench.peer.read_to_end() == PIECE
    assert bench.code_of(request) is None
    assert bench.port.of("event") == []
    assert bench.do("Disconnect", []) == NOT_CONNECTED


@pytest.mark.parametrize("kind", ["tcp4", "unix"])
def test_a_release_does_not_wait_for_a_peer_that_never_stops_sending(bench):
    def flood() -> None:
        with suppress(OSError):
            while True:
                bench.peer.send(PIECE)

    flooding = threading.Thread(target=flood)
    flooding.start()
    bench.port.wait_for("received", bench.post(form="bytes", byte_count=1))
    assert bench.do("Release", []) is None
    flooding.join()


@pytest.mark.parametrize("operation", ["Output", "Input", "Disconnect", "Release"])
def test_what_needs_a_connection_fails_without_one(idle, operation):
    arguments: Any = {"Output": (b"x",), "Input": ({}, None)}.get(operation, ([],))
    assert idle.do(operation, *arguments) == NOT_CONNECTED


@pytest.mark.parametrize("operation", ["Listen", "Accept", "Sing"])
def test_a_tool_that_calls_does_not_wait_to_be_called(idle, operation):
    assert idle.do(operation, []) == BAD_COMMAND


def test_two_connections_at_once_are_refused(bench):
    assert bench.do("Connect", []) == ALREADY_CONNECTED


def test_bind_and_unbind_cost_nothing(idle):
    assert idle.do("Bind", []) is None
    assert idle.do("UnBind", []) is None


def test_options_have_results_of_their_own(bench):
    assert bench.option("no such thing")[1] == -54024
    read_only = {"tcp4": "local_address", "serial": "bytes_available", "child": "pid"}
    label = next(each for each in read_only.values() if each in bench.tool._medium.settings)
    assert bench.option(label)[1] is None
    assert bench.option(label, 512, 1)[1] == -54023
    assert bench.option(label, 17)[1] == -54025


def test_options_come_back_with_the_request_that_they_went_with(any_bench):
    asked = [["option", "nonsense", 1024, 5]]
    request = any_bench.output(b"x", options=asked)
    any_bench.settle()
    assert any_bench.peer.read(1) == b"x"
    assert any_bench.value_of(request) == [["option", "nonsense", 1024, 5, -54024]]
    request = any_bench.post(byte_count=1, options=asked)
    any_bench.peer.send(b"yz")
    processed = [["option", "nonsense", 1024, 5, -54024]]
    assert any_bench.port.wait_for("received", request)[4] == processed
    any_bench.post(request, byte_count=1)
    assert any_bench.port.wait_for("received", request, "z")[4] is None


def test_the_label_tells_what_it_talks_over(idle, kind):
    name = {"tcp4": "tcp", "tcp6": "tcp", "tls": "tcp", "packets": "unix"}.get(kind, kind)
    assert idle.tool.label.startswith(f"{name} ")
