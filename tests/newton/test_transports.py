"""Scenarios of spec/newton.md section 8 that a transport can show, over each kind of them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rescind import newton

from .sockets import SMALL_BUFFER_BYTES, WAIT_S, Conversation, assert_no_thread_is_left, listen
from .stage import (
    ABORTED,
    CANCELED,
    GONE,
    IN_PROGRESS,
    NOT_CONNECTED,
    SPEC_ACTIVE,
    WRONG_STATE,
    code_of,
    refused,
)
from .tools import LinePeer, SocketPeer, TlsPeer, UnixPeer, client_context, server_context

BIG = b"0123456789abcdef" * 65536
"""More than the kernel's buffers hold, so that it stays outstanding until the peer reads."""
NEWLINE = newton.Termination(end_sequence="\n")


class Call(Conversation):
    """An endpoint that is connected, and the peer at the other end."""

    def __init__(self, kind: str, profile: str, folder: Path) -> None:
        self.kind = kind
        self.rom = profile == "rom"
        self.listener: socket.socket | None = None
        self.peer: Any = None
        super().__init__(self._new_tool(folder), profile)
        self.endpoint.bind()
        # Whom TLS calls has to shake hands meanwhile.
        connecting = self.endpoint.connect(asynchronous=True, timeout_s=WAIT_S)
        self._meet()
        connecting.get(WAIT_S)

    def _new_tool(self, folder: Path) -> Any:
        if self.kind == "serial":
            self.peer = LinePeer()
            return newton.serial(self.peer.path)
        if self.kind == "unix":
            path = str(folder / "socket")
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.listener.settimeout(WAIT_S)
            return newton.unix(path, send_buffer_bytes=SMALL_BUFFER_BYTES)
        self.listener = listen()
        port = self.listener.getsockname()[1]
        tls = client_context() if self.kind == "tls" else None
        return newton.tcp("127.0.0.1", port, tls=tls, send_buffer_bytes=SMALL_BUFFER_BYTES)

    def _meet(self) -> None:
        if self.listener is None:
            return
        sock, _ = self.listener.accept()
        sock.settimeout(WAIT_S)
        if self.kind == "tls":
            self.peer = TlsPeer(server_context().wrap_socket(sock, server_side=True))
        else:
            self.peer = (UnixPeer if self.kind == "unix" else SocketPeer)(sock)

    def close(self) -> None:
        super().close()
        for each in (self.listener, self.peer):
            if each is not None:
                each.close()


@pytest.fixture(params=["tcp", "tls", "unix", "serial"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def line(kind: str, profile: str, tmp_path: Path) -> Iterator[Call]:
    """A line over each transport, in each profile."""
    call = Call(kind, profile, tmp_path)
    yield call
    call.close()
    assert not call.reports
    assert_no_thread_is_left()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_scenario_01_outputs_that_a_slow_peer_leaves_outstanding_are_canceled_in_order(line):
    for number in range(8):
        line.endpoint.output(BIG, line.spec(number))
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert line.heard == [*((number, CANCELED) for number in range(8)), ("X", None)]


def test_scenario_01_what_is_sent_after_a_cancel_follows_the_bytes_that_were_taken(line):
    cut = line.endpoint.output(BIG, line.spec("A"))
    assert line.peer.read(1) == BIG[:1]
    line.endpoint.output(b"never", line.spec("B"))
    line.endpoint.cancel()
    tail = line.endpoint.output(b"tail", asynchronous=True)
    taken = line.taken_of(cut)
    if line.kind == "tls" and tail.wait_done(0.5) and tail.result == NOT_CONNECTED:
        line.reports.clear()
        return  # a record was cut, and with it the connection
    assert line.peer.read(taken - 1 + 4) == BIG[1:taken] + b"tail"
    assert tail.get(WAIT_S) is None
    assert line.heard == [("A", CANCELED), ("B", CANCELED)]


def test_scenario_04_and_05_no_output_of_a_victims_script_is_admitted(line):
    codes = []

    def send_again():
        codes.append(code_of(lambda: line.endpoint.output("XXXX", line.spec("again"))))

    line.endpoint.output(BIG, line.spec("A", send_again))
    line.endpoint.output(BIG, line.spec("B", send_again))
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert codes == [IN_PROGRESS] * 2
    assert line.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]


def test_scenario_07_the_cancels_own_script_may_start_new_work(line):
    def arm():
        line.arm("J", termination=NEWLINE)

    line.arm("I", termination=NEWLINE)
    line.endpoint.cancel(line.spec("X", arm)).get(WAIT_S)
    line.peer.send(b"ok\n")
    line.wait_for(("J", "ok\n"))
    assert line.heard == [("I", CANCELED), ("X", None), ("J", "ok\n")]


def test_scenario_08_a_cancel_in_a_victims_script_is_refused(line):
    codes = []
    again = lambda: codes.append(code_of(lambda: line.endpoint.cancel(asynchronous=True)))  # noqa: E731
    line.endpoint.output(BIG, line.spec("A", again))
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert codes == [IN_PROGRESS]
    assert line.heard == [("A", CANCELED), ("X", None)]


def test_scenario_10_a_cancel_with_nothing_pending_completes(line):
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert line.heard == [("X", None)]


def test_scenario_11_a_synchronous_cancel_returns_after_its_victims_scripts(line):
    for name in "ABC":
        line.endpoint.output(BIG, line.spec(name))
    line.endpoint.cancel()
    assert line.heard == [(name, CANCELED) for name in "ABC"]


@pytest.mark.parametrize("waits", [False, True])
def test_scenario_13_and_14_a_blocked_caller_hears_of_a_cancel_last(line, waits):
    def cancel_once_it_is_blocked():
        line.peer.read(1)
        line.endpoint.output(BIG, line.spec("A"))
        if waits:
            line.endpoint.cancel()
        else:
            line.endpoint.cancel(line.spec("X"))

    canceller = in_thread(cancel_once_it_is_blocked)
    line.hear(("S", code_of(lambda: line.endpoint.output(BIG))))
    canceller.join(WAIT_S)
    told = [("A", CANCELED), ("S", CANCELED)]
    assert line.heard == (told if waits else [told[0], ("X", None), told[1]])


def test_scenario_16_an_asynchronous_request_is_admitted_while_a_caller_is_blocked(line):
    def receive_then_cancel():
        line.peer.read(1)
        line.arm("I", termination=NEWLINE)
        line.peer.send(b"meanwhile\n")
        line.wait_for(("I", "meanwhile\n"))
        line.endpoint.cancel()

    other = in_thread(receive_then_cancel)
    assert code_of(lambda: line.endpoint.output(BIG)) == CANCELED
    other.join(WAIT_S)
    assert line.heard == [("I", "meanwhile\n"), ("I", CANCELED)]


def test_scenario_17_and_19_a_cancel_ends_the_input_spec_and_another_may_follow(line):
    line.arm("I")
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert line.heard == [("I", CANCELED), ("X", None)]
    line.arm("J", termination=newton.Termination(byte_count=2))
    line.peer.send(b"ok")
    line.wait_for(("J", "ok"))


def test_scenario_20_an_armed_spec_is_not_replaced_and_still_receives(line):
    line.arm("I", termination=NEWLINE)
    with refused(SPEC_ACTIVE):
        line.arm("J", termination=NEWLINE)
    line.peer.send(b"data\n")
    line.wait_for(("I", "data\n"))


@pytest.mark.parametrize("burst", [1, 2, 5, 1000])
def test_scenario_23_pieces_are_found_however_they_come(line, burst):
    line.arm("I", termination=newton.Termination(end_sequence="\r\n"))
    text = b"one\r\ntwo\r\n\r\nthree\r\r\n\n\r\nfour\r\n"
    for start in range(0, len(text), burst):
        line.peer.send(text[start : start + burst])
    line.wait_for(("I", "four\r\n"))
    pieces = ["one\r\n", "two\r\n", "\r\n", "three\r\r\n", "\n\r\n", "four\r\n"]
    assert line.heard == [("I", piece) for piece in pieces]


def test_scenario_26_silence_ends_the_input_spec(line):
    line.arm("I", timeout_s=0.1, termination=newton.Termination(byte_count=2))
    line.peer.send(b"ab")
    line.wait_for_count(2)
    assert line.heard == [("I", "ab"), ("I", CANCELED)]


def test_scenario_26_and_27_a_time_out_takes_along_what_the_profile_says(line):
    line.arm("I")
    line.endpoint.output(BIG, line.spec("A", timeout_s=0.1))
    line.endpoint.output(BIG, line.spec("B"))
    line.wait_for(("A", CANCELED))
    if line.rom:
        line.wait_for_count(2)
        assert line.heard == [("A", CANCELED), ("B", CANCELED)]
        line.endpoint.cancel()
    else:
        assert line.heard == [("I", CANCELED), ("B", CANCELED), ("A", CANCELED)]


def test_scenario_28_what_completes_in_time_is_not_canceled(line):
    line.endpoint.output(b"A", line.spec("A", timeout_s=0.1))
    line.wait_for(("A", None))
    line.arm("I", timeout_s=0.3, termination=NEWLINE)  # outlasts the other's time-out
    line.wait_for(("I", CANCELED))
    assert line.heard == [("A", None), ("I", CANCELED)]


def test_scenario_35_a_disconnect_cancels_and_then_hangs_up(line):
    line.endpoint.output(BIG, line.spec("A"))
    line.arm("I")
    line.endpoint.disconnect(line.spec("Y")).get(WAIT_S)
    assert line.heard == [("I", CANCELED), ("A", CANCELED), ("Y", None)]
    assert line.endpoint.state() is newton.State.IDLE
    with refused(WRONG_STATE):
        line.endpoint.output("more")


def test_scenario_37_a_disconnect_with_nothing_pending_just_hangs_up(line):
    line.endpoint.disconnect(line.spec("Y")).get(WAIT_S)
    assert line.heard == [("Y", None)]
    assert line.endpoint.state() is newton.State.IDLE


def test_scenario_38_a_release_lets_the_outputs_end_first(line):
    received = bytearray()
    line.endpoint.output(BIG, line.spec("A"))
    line.endpoint.output(b"last", line.spec("B"))
    line.arm("I")
    release = line.endpoint.disconnect(line.spec("Y"), cancel_pending=False)
    with refused(WRONG_STATE):
        line.endpoint.output("more")
    received += line.peer.read(len(BIG) + 4)
    assert bytes(received) == BIG + b"last"
    ended = ABORTED if line.rom else CANCELED
    line.wait_for(("I", ended))
    if line.kind != "serial":
        # The connection's end is only reached when the other side ends it, too.
        with suppress(OSError):
            line.peer.finish()
    release.get(WAIT_S)
    assert line.heard == [("A", None), ("B", None), ("I", ended), ("Y", None)]
    assert line.endpoint.state() is newton.State.IDLE


def test_scenario_40_a_disposed_endpoint_says_nothing_more(line):
    line.endpoint.output(BIG, line.spec("A"))
    line.arm("I")
    line.endpoint.dispose()
    line.endpoint.dispose()
    assert line.heard == []
    assert line.endpoint.state() is None
    with refused(GONE):
        line.endpoint.output("more")


def test_scenario_41_a_script_that_raises_stops_nobody(line):
    def stumble():
        raise ValueError("oops")

    line.endpoint.output(BIG, line.spec("A", stumble))
    line.endpoint.output(BIG, line.spec("B"))
    line.endpoint.cancel(line.spec("X")).get(WAIT_S)
    assert line.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]
    assert [report["data"] for report in line.reports] == ["oops"]
    line.reports.clear()


def test_scenario_49_a_stream_that_its_progress_script_stops_ends_without_an_error(line):
    spec = newton.StreamSpec(progress_script=lambda _endpoint, done, _total: done < 20_000)
    reader = in_thread(lambda: line.peer.read(32_768))
    assert code_of(lambda: line.endpoint.stream_out({"data": BIG}, spec)) is None
    reader.join(WAIT_S)
    assert not reader.is_alive()


def test_what_has_no_end_yet_is_not_hoarded(line):
    """Of all that came only the newest bytes are kept; a later piece shows that all was read."""
    line.arm("I", discard_after=10, termination=NEWLINE)
    line.peer.send(b"x" * 20_000)
    line.peer.send(b"123456789\n")
    line.wait_for(("I", "123456789\n"))
    line.peer.send(b"y" * 5000)
    seen = threading.Event()
    until = 0
    while line.tool.partial() != "y" * 10:
        until += 1
        assert until < 1000 * WAIT_S
        seen.wait(0.001)
    assert len(line.tool._receiver._buffer) <= 10 + 64
