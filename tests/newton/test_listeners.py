"""The tools that wait to be called: over TCP, TLS and UNIX sockets."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rescind import newton
from rescind.actors.newton import drivers

from .sockets import WAIT_S, assert_no_thread_is_left, read_exactly, read_to_end
from .tools import Bench, client_context, open_files, server_context

BAD_COMMAND = -16002
NO_CONNECTION_END = -16007
ALREADY_CONNECTED = -16008
NOT_CONNECTED = -16009
INCOMPATIBLE = -16010
ALREADY_BOUND = -16018
NOT_BOUND = -16019
BAD_ADDRESS = -36001
BAD_DATA = -36010
ADDRESS_BUSY = -36023


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_files()
    yield
    assert_no_thread_is_left()
    assert open_files() <= before


@pytest.fixture
def new_bench() -> Iterator[Callable[[Any], Bench]]:
    benches: list[Bench] = []

    def make(tool: Any) -> Bench:
        benches.append(Bench(tool))
        return benches[-1]

    yield make
    for bench in benches:
        bench.tool.close()


def tcp_listener(_folder: Path) -> Any:
    return drivers.tcp_listener("127.0.0.1")


def tcp6_listener(_folder: Path) -> Any:
    return drivers.tcp_listener("::1")


def unix_listener(folder: Path) -> Any:
    return drivers.unix_listener(folder / "socket")


def packet_listener(folder: Path) -> Any:
    return drivers.unix_listener(folder / "socket", packets=True)


def call(tool: Any) -> socket.socket:
    """Connect to where a tool listens."""
    if not isinstance(tool.address, str):
        return socket.create_connection(tool.address, WAIT_S)
    packets = tool._medium.is_packets
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM)
    caller.settimeout(WAIT_S)
    try:
        caller.connect(tool.address)
    except OSError:
        caller.close()
        raise
    return caller


@pytest.fixture(params=[tcp_listener, tcp6_listener, unix_listener, packet_listener])
def bench(request: pytest.FixtureRequest, new_bench: Any, tmp_path: Path) -> Bench:
    """A listener that is bound."""
    made: Bench = new_bench(request.param(tmp_path))
    assert made.do("Bind", []) is None
    return made


def test_a_caller_is_heard_accepted_and_spoken_with(bench):
    listening = bench.ask("Listen", [])
    with call(bench.tool) as caller:
        assert bench.code_of(listening) is None
        assert bench.do("Accept", []) is None
        bench.output(b"hello")
        assert read_exactly(caller, 5) == b"hello"
        request = bench.post(form="bytes", byte_count=5)
        caller.sendall(b"there")
        bench.port.wait_for("received", request, b"there")


def test_a_disconnect_instead_of_accept_turns_the_caller_away(bench):
    with call(bench.tool) as caller:
        assert bench.do("Listen", []) is None
        assert bench.do("Disconnect", []) is None
        assert read_to_end(caller) == b""
    assert bench.do("Accept", []) == NO_CONNECTION_END


def test_callers_wait_for_each_other(bench):
    with call(bench.tool) as first, call(bench.tool) as second:
        for caller, name in ((first, b"1"), (second, b"2")):
            assert bench.do("Listen", []) is None
            assert bench.do("Accept", []) is None
            bench.output(name)
            assert read_exactly(caller, 1) == name
            assert bench.do("Disconnect", []) is None
            assert read_to_end(caller) == b""


def test_what_a_caller_says_before_it_is_accepted_is_not_lost(bench):
    with call(bench.tool) as caller:
        caller.sendall(b"early")
        assert bench.do("Listen", []) is None
        assert bench.do("Accept", []) is None
        request = bench.post(form="bytes", byte_count=5)
        bench.port.wait_for("received", request, b"early")


def test_a_listen_that_was_killed_leaves_the_caller_to_the_next_one(bench):
    listening = bench.ask("Listen", [])
    bench.kill(frozenset({"Listen"}))
    with call(bench.tool):
        assert bench.do("Listen", []) is None
    assert listening not in {request for request, _ in bench.port.codes()}


def test_after_unbind_nobody_can_call(bench):
    assert bench.do("UnBind", []) is None
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        call(bench.tool)
    assert bench.do("Listen", []) == NOT_BOUND
    assert bench.do("Bind", []) is None


def test_what_makes_no_sense_for_a_listener_is_refused(bench):
    assert bench.do("Connect", []) == BAD_COMMAND
    assert bench.do("Accept", []) == NO_CONNECTION_END
    assert bench.do("Bind", []) == ALREADY_BOUND
    assert bench.do("Disconnect", []) == NOT_CONNECTED
    bench.ask("Listen", [])
    assert bench.do("Listen", []) == ALREADY_CONNECTED


def test_an_address_that_somebody_has_is_busy(bench, new_bench):
    address = bench.tool.address
    if isinstance(address, str):
        other = new_bench(drivers.unix_listener(address))
    else:
        other = new_bench(drivers.tcp_listener(*address))
    assert other.do("Bind", []) == ADDRESS_BUSY


def test_a_free_port_is_found_and_told(new_bench):
    tool = drivers.tcp_listener("127.0.0.1")
    assert tool.address == ("127.0.0.1", 0)
    bench = new_bench(tool)
    assert bench.do("Bind", []) is None
    host, port = tool.address
    assert host == "127.0.0.1"
    assert port > 0


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", "example.com", "x" * 300, "a\0b"])
def test_a_host_that_is_not_ours_is_a_bad_address(new_bench, host):
    assert new_bench(drivers.tcp_listener(host)).do("Bind", []) == BAD_ADDRESS


@pytest.mark.parametrize("path", ["x" * 300, "", "no/such/folder/socket", "a\0b"])
def test_a_path_that_is_none_is_a_bad_address(new_bench, tmp_path, path):
    where = path and os.path.join(tmp_path, path)  # noqa: PTH118  # not what pathlib makes of it
    listener = new_bench(drivers.unix_listener(where))
    if where:
        assert listener.do("Bind", []) == BAD_ADDRESS
    caller = new_bench(drivers.unix(where))
    assert caller.do("Connect", []) == BAD_ADDRESS


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_is_no_port_is_refused_at_once(port):
    with pytest.raises(newton.CommError) as caught:
        drivers.tcp_listener("127.0.0.1", port)
    assert caught.value.code == BAD_ADDRESS


def test_the_socket_of_a_closed_tool_is_gone(new_bench, tmp_path):
    bench = new_bench(drivers.unix_listener(tmp_path / "socket"))
    assert bench.do("Bind", []) is None
    assert (tmp_path / "socket").exists()
    bench.tool.close()
    assert_no_thread_is_left()
    assert not (tmp_path / "socket").exists()


def test_two_tools_speak_tls_with_each_other(new_bench):
    listener = new_bench(drivers.tcp_listener("127.0.0.1", tls=server_context()))
    assert listener.do("Bind", []) is None
    caller = new_bench(drivers.tcp(*listener.tool.address, tls=client_context()))
    connecting = caller.ask("Connect", [])
    assert listener.do("Listen", []) is None
    assert listener.do("Accept", []) is None
    assert caller.code_of(connecting) is None
    data = bytes(range(251)) * 4000
    sent = caller.output(data)
    request = listener.post(form="bytes", byte_count=len(data))
    assert listener.port.wait_for("received", request)[2] == data
    assert caller.code_of(sent) is None
    assert caller.option("cipher")[0] == listener.option("cipher")[0] != None  # noqa: E711
    assert caller.do("Release", []) is None
    listener.port.wait_for("event", 3)


def test_tls_with_who_does_not_speak_it_fails(new_bench):
    listener = new_bench(drivers.tcp_listener("127.0.0.1", tls=server_context()))
    assert listener.do("Bind", []) is None
    with call(listener.tool) as caller:
        caller.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert listener.do("Listen", []) is None
        assert listener.do("Accept", []) == INCOMPATIBLE
    assert listener.do("Disconnect", []) == NOT_CONNECTED


def test_a_certificate_of_somebody_else_is_not_accepted(new_bench):
    listener = new_bench(drivers.tcp_listener("127.0.0.1", tls=server_context()))
    assert listener.do("Bind", []) is None
    host, port = listener.tool.address
    tool = drivers.tcp(host, port, tls=client_context(), server_hostname="example.com")
    caller = new_bench(tool)
    connecting = caller.ask("Connect", [])
    assert listener.do("Listen", []) is None
    accepting = listener.ask("Accept", [])
    assert caller.code_of(connecting) == INCOMPATIBLE
    assert "certificate" in caller.port.wait_for("answer", connecting)[3]
    listener.port.wait_for("answer", accepting)


def test_a_handshake_that_never_ends_can_be_killed(new_bench):
    listener = new_bench(drivers.tcp_listener("127.0.0.1", tls=server_context()))
    assert listener.do("Bind", []) is None
    with call(listener.tool) as caller:
        assert listener.do("Listen", []) is None
        accepting = listener.ask("Accept", [])
        listener.kill(frozenset({"Accept"}))
        assert read_to_end(caller) == b""
    assert accepting not in {request for request, _ in listener.port.codes()}


def test_connect_goes_where_the_address_among_its_options_says(new_bench):
    listener = new_bench(drivers.tcp_listener("127.0.0.1"))
    assert listener.do("Bind", []) is None
    caller = new_bench(drivers.tcp("127.0.0.1", 1))
    asked = ["address", "peer", 512, list(listener.tool.address)]
    request = caller.ask("Connect", [asked, ["option", "remote_address", 1024, None]])
    processed = caller.value_of(request)
    assert processed[0] == [*asked, None]
    assert processed[1][3] == list(listener.tool.address)


@pytest.mark.parametrize("address", [["127.0.0.1"], ["127.0.0.1", 0], "127.0.0.1:80", 80])
def test_an_address_that_is_none_fails_the_connect(new_bench, address):
    caller = new_bench(drivers.tcp("127.0.0.1", 1))
    assert caller.do("Connect", [["address", "peer", 512, address]]) == BAD_ADDRESS


def test_options_of_sockets(new_bench):
    bench = new_bench(drivers.tcp_listener("127.0.0.1"))
    assert bench.option("send_buffer_bytes") == [65536, None]
    assert bench.option("local_address")[1] == -54021  # there is no connection to have one
    assert bench.do("Bind", []) is None
    with call(bench.tool):
        assert bench.do("Listen", []) is None
        assert bench.do("Accept", []) is None
        assert bench.option("send_buffer_bytes", 512, 8192) == [8192, None]
        assert bench.option("send_buffer_bytes", 256, 1 << 40)[1] == -54021
        assert bench.option("send_buffer_bytes", 512, 1) == [8192, -54021]
        assert bench.option("send_buffer_bytes") == [8192, None]
        now, result = bench.option("send_buffer_bytes", 256, 1)
        assert result == -54022
        assert now > 1
        assert bench.option("send_buffer_bytes", 768) == [65536, None]
        assert bench.option("send_buffer_bytes") == [now, None]  # as it was: 768 only asks
        assert bench.option("no_delay") == [True, None]
        assert bench.option("no_delay", 512, False) == [False, None]
        assert bench.option("no_delay", 512, 17)[1] == -54021
        assert bench.option("keep_alive", 512, True) == [True, None]
        assert bench.option("cipher") == [None, None]
        assert bench.option("local_address")[0] == list(bench.tool.address)


def test_a_packet_that_is_too_long_fails_alone(new_bench, tmp_path):
    listener = new_bench(drivers.unix_listener(tmp_path / "socket", packets=True))
    assert listener.do("Bind", []) is None
    caller = new_bench(drivers.unix(listener.tool.address, packets=True, send_buffer_bytes=4096))
    assert caller.do("Connect", []) is None
    assert listener.do("Listen", []) is None
    assert listener.do("Accept", []) is None
    too_long = caller.output(bytes(1 << 20))
    fits = caller.output(b"fits")
    assert caller.code_of(too_long) == BAD_DATA
    assert caller.code_of(fits) is None
    request = listener.post(form="bytes", rcv_flags=2)
    listener.port.wait_for("received", request, b"fits", ["useEOP", None, 4])


def test_who_calls_a_unix_socket_that_is_full_waits_until_there_is_room(new_bench, tmp_path):
    listener = new_bench(drivers.unix_listener(tmp_path / "socket", backlog=0))
    assert listener.do("Bind", []) is None
    with call(listener.tool):
        caller = new_bench(drivers.unix(listener.tool.address))
        impatient = new_bench(drivers.unix(listener.tool.address))
        connecting, never = caller.ask("Connect", []), impatient.ask("Connect", [])
        impatient.kill(frozenset({"Connect"}))
        for _ in range(2):
            assert listener.do("Listen", []) is None
            assert listener.do("Accept", []) is None
            assert listener.do("Disconnect", []) is None
        assert caller.code_of(connecting) is None
        assert never not in {request for request, _ in impatient.port.codes()}
