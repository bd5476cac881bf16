"""What only a serial line and what only a child process can do."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rescind import newton
from rescind.actors.newton import drivers

from .sockets import assert_no_thread_is_left
from .tools import Bench, LinePeer, connected, open_files

NOT_CONNECTED = -16009
BAD_PARAMETER = -16006
NOT_AVAILABLE = -16022
BAD_ADDRESS = -36001


def children() -> set[str]:
    """Return the processes that this one has started and not waited for, by number."""
    found: set[str] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # one that has just ended
            found.update((thread / "children").read_text().split())
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before, others = open_files(), children()
    yield
    assert_no_thread_is_left()
    assert open_files() <= before
    assert children() <= others  # nobody is left to be waited for


@pytest.fixture
def new_bench() -> Iterator[Callable[[Any], Bench]]:
    benches: list[Bench] = []

    def make(tool: Any) -> Bench:
        benches.append(Bench(tool))
        return benches[-1]

    yield make
    for bench in benches:
        bench.tool.close()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Bench]:
    with connected("serial", tmp_path) as bench:
        yield bench


def python(program: str, **arguments: Any) -> Any:
    return drivers.child([sys.executable, "-S", "-u", "-c", program], **arguments)


# --- the serial line ---------------------------------------------------------------------------


def test_a_line_is_set_as_it_is_asked_for(line):
    assert line.option("baud_rate") == [9600, None]
    assert line.option("baud_rate", 512, 115_200) == [115_200, None]
    assert line.option("stop_bits", 256, 2) == [2, None]
    assert line.option("baud_rate", 768) == [9600, None]
    assert line.option("baud_rate") == [115_200, None]  # as it was: 768 only asks
    assert line.option("data_bits", 512, 9)[1] == -54021
    assert line.option("parity", 512, "odd")[1] in (None, -54021)  # a pseudo-terminal has none
    assert line.option("parity", 512, "strange")[1] == -54021


def test_bytes_that_nobody_reads_can_be_counted(line):
    assert line.option("bytes_available") == [0, None]
    assert line.option("bytes_available", 512, 5)[1] == -54023
    assert line.option("bytes_available", 768)[1] == -54024


def test_a_break_can_only_be_sent(line):
    assert line.option("send_break")[1] == -54024
    assert line.option("send_break", 512, 0)[1] == -54021
    assert line.option("send_break", 768) == [0.25, None]
    assert line.option("send_break", 512, 0.01) == [0.01, None]


def test_what_is_set_before_the_line_is_open_holds_when_it_is(new_bench):
    peer = LinePeer()
    bench = new_bench(drivers.serial(peer.path, 1200))
    assert bench.option("baud_rate") == [1200, None]
    assert bench.option("baud_rate", 512, 2400) == [2400, None]
    assert bench.do("Connect", []) is None
    assert bench.option("baud_rate") == [2400, None]
    bench.tool.close()
    assert_no_thread_is_left()
    peer.close()


def test_a_line_that_is_not_there_is_a_bad_address(new_bench, tmp_path):
    bench = new_bench(drivers.serial(tmp_path / "none"))
    assert bench.do("Connect", []) == BAD_ADDRESS


def test_a_line_that_somebody_has_is_not_available(line, new_bench):
    other = new_bench(drivers.serial(line.tool.address))
    assert other.do("Connect", []) == NOT_AVAILABLE


def test_a_released_line_has_sent_everything(line):
    assert line.code_of(line.output(b"last words")) is None
    assert line.peer.read(10) == b"last words"
    assert line.do("Release", []) is None
    assert line.do("Disconnect", []) == NOT_CONNECTED


@pytest.mark.parametrize("setting", [{"parity": "strange"}, {"flow_control": "strange"}])
def test_a_setting_that_no_line_has_is_refused_at_once(setting):
    with pytest.raises(newton.CommError) as caught:
        drivers.serial("line", **setting)
    assert caught.value.code == BAD_PARAMETER


def test_without_pyserial_the_answer_says_what_is_missing(new_bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    bench = new_bench(drivers.serial("line"))
    request = bench.ask("Connect", [])
    assert bench.code_of(request) == NOT_AVAILABLE
    assert "rescind[serial]" in bench.port.wait_for("answer", request)[3]


# --- the child ---------------------------------------------------------------------------------


def test_a_child_that_ends_has_said_its_last_before(new_bench):
    bench = new_bench(python("print('all'); raise SystemExit(3)"))
    assert bench.do("Connect", []) is None
    bench.port.wait_for("event", 2, {"exit_status": 3})
    assert [code for code, _ in bench.port.of("event")] == [3, 2]
    request = bench.post(end_sequence=[b"\n"])
    bench.port.wait_for("received", request, "all\n")
    assert bench.option("exit_status") == [3, None]


def test_a_child_that_a_signal_ended_has_its_negative_as_status(new_bench):
    bench = new_bench(python("import time; time.sleep(1000)"))
    assert bench.do("Connect", []) is None
    os.kill(bench.option("pid")[0], signal.SIGKILL)
    bench.port.wait_for("event", 2, {"exit_status": -signal.SIGKILL})


def test_what_a_child_says_on_its_standard_error_is_an_event(new_bench):
    bench = new_bench(python("import sys; sys.stderr.write('grün'); sys.stderr.flush()"))
    assert bench.do("Connect", []) is None
    bench.port.wait_for("event", 2)
    said = [data["stderr"] for code, data in bench.port.of("event") if code == 1]
    assert "".join(said) == "grün"


def test_a_child_that_floods_its_standard_error_is_not_held_up_and_not_heard_for_ever(new_bench):
    bench = new_bench(python("import os\nfor _ in range(100): os.write(2, b'x' * 10000)"))
    assert bench.do("Connect", []) is None
    bench.port.wait_for("event", 2)
    said = [data["stderr"] for code, data in bench.port.of("event") if code == 1]
    assert sum(map(len, said)) == 65536


def test_a_disconnect_terminates_the_child(new_bench):
    bench = new_bench(python("import time; time.sleep(1000)"))
    assert bench.do("Connect", []) is None
    pid = bench.option("pid")[0]
    assert bench.do("Disconnect", []) is None
    bench.until(lambda: bench.option("exit_status")[0] == -signal.SIGTERM)
    assert is_gone(pid)
    assert bench.port.of("event") == []


def test_a_child_that_will_not_end_is_killed_when_its_grace_is_over(new_bench):
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(1000)"
    bench = new_bench(python(program, grace_s=0.01))
    assert bench.do("Connect", []) is None
    bench.port.wait_for("received", bench.post(end_sequence=[b"\n"]))
    pid = bench.option("pid")[0]
    bench.tool.close()
    assert_no_thread_is_left()
    assert is_gone(pid)


def test_a_child_can_be_started_again(new_bench):
    bench = new_bench(python("print(input())"))
    for word in (b"one\n", b"two\n"):
        assert bench.do("Connect", []) is None
        bench.output(word)
        request = bench.post(form="bytes", end_sequence=[b"\n"])
        bench.port.wait_for("received", request, word)
        bench.port.wait_for("event", 2)
        bench.port.calls.clear()


def test_a_child_that_stops_reading_may_go_on_writing(new_bench):
    program = "import os, sys, time; os.close(0); print('deaf', flush=True); time.sleep(1000)"
    bench = new_bench(python(program))
    assert bench.do("Connect", []) is None
    request = bench.post(end_sequence=[b"\n"])
    bench.port.wait_for("received", request, "deaf\n")
    assert bench.code_of(bench.output(b"hello?")) == NOT_CONNECTED
    assert bench.code_of(bench.output(b"hello?")) == NOT_CONNECTED
    assert bench.port.of("event") == []


def test_a_release_waits_for_a_child_that_nobody_listens_to(new_bench):
    program = "import sys; sys.stdin.read(); sys.stdout.write('x' * 1_000_000)"
    bench = new_bench(python(program))
    assert bench.do("Connect", []) is None
    assert bench.do("Release", []) is None
    assert bench.option("exit_status") == [0, None]
    assert bench.port.of("event") == []


def test_a_release_that_takes_too_long_can_be_killed(new_bench):
    bench = new_bench(python("import time; time.sleep(1000)"))
    assert bench.do("Connect", []) is None
    request = bench.ask("Release", [])
    bench.kill(frozenset({"Release"}))
    assert request not in {number for number, _ in bench.port.codes()}
    assert bench.do("Disconnect", []) is None


def test_the_end_of_output_that_a_release_has_hidden_is_told_when_it_is_killed(new_bench):
    program = "import os, sys, time; os.close(1); os.write(2, b'closed'); time.sleep(1000)"
    bench = new_bench(python("import sys; sys.stdin.read()\n" + program))
    assert bench.do("Connect", []) is None
    receive = bench.post(form="bytes", byte_count=1)
    bench.ask("Release", [])
    bench.port.wait_for("event", 1, {"stderr": "closed"})
    bench.settle()
    assert [code for code, _ in bench.port.of("event")] == [1]
    bench.kill(frozenset({"Release"}))
    bench.port.wait_for("event", 3)
    assert bench.code_of(receive) == NOT_CONNECTED


def test_a_program_that_is_not_there_is_a_bad_address(new_bench):
    assert new_bench(drivers.child(["./no-such-program"])).do("Connect", []) == BAD_ADDRESS


def test_a_folder_and_an_environment_can_be_given(new_bench, tmp_path):
    program = "import os; print(os.getcwd(), os.environ['COLOUR'])"
    bench = new_bench(python(program, cwd=tmp_path, env={"COLOUR": "green"}))
    assert bench.do("Connect", []) is None
    request = bench.post(end_sequence=[b"\n"])
    bench.port.wait_for("received", request, f"{tmp_path} green\n")


@pytest.mark.parametrize("argv", [[], "ls -l", b"ls"])
def test_a_command_line_is_a_list_and_no_string(argv):
    with pytest.raises(newton.CommError) as caught:
        drivers.child(argv)
    assert caught.value.code == BAD_PARAMETER


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
