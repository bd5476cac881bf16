"""The Newton programs of docs/examples, against peers that do as the test says."""

import contextlib
import os
import runpy
import shutil
import socket
import tty
from queue import SimpleQueue

import pytest

from rescind import Runtime, newton
from rescind.events import read
from rescind.replay import Verdict, check, sequences

from .programs import EXAMPLES, Piped, Terminal

LONG = b"x" * 3_000_000
"""More than a connection holds whose other side reads nothing."""


@pytest.fixture
def run(tmp_path):
    """Run programs in one folder, and end those that a failed test leaves behind."""
    with contextlib.ExitStack() as stack:
        yield lambda kind, *command: stack.enter_context(
            contextlib.closing(kind(tmp_path, *command))
        )


def told(log):
    """Return a log's sequences; no law is broken or left open in it."""
    assert check(read(log)).verdict is Verdict.HOLDS
    return list(sequences(read(log)))


def codes(sequence):
    return [victim.completed.code for victim in sequence.victims if victim.completed]


# --- terminal.py ---------------------------------------------------------------------------------


def test_eight_outputs_are_cancelled_and_each_attempt_to_send_again_is_refused(run, tmp_path):
    program = run(Piped, "terminal.py")
    assert program.read_all().count("CommError -36003") == 8
    assert program.wait() == 0
    (sequence,) = told(tmp_path / "terminal.log")
    assert codes(sequence) == [-16005] * 8
    assert [refusal.code for refusal in sequence.refused] == [-36003] * 8


# --- line_client.py ------------------------------------------------------------------------------


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def called(run, server):
    """Run the client, and return it with the server's side of its connection."""
    with contextlib.ExitStack() as stack:

        def call(kind):
            program = run(kind, "line_client.py", *map(str, server.getsockname()))
            connection = stack.enter_context(server.accept()[0])
            program.read_until("connected")
            return program, connection

        yield call


def read_until(connection, text):
    received = b""
    while not received.endswith(text):
        some = connection.recv(65536)
        assert some, f"{text!r} does not come"
        received += some
    return received


def test_the_stop_key_cancels_and_the_client_goes_on(called, tmp_path):
    program, connection = called(Terminal)
    program.press("hello\n")
    assert read_until(connection, b"\n") == b"hello\n"
    connection.sendall(b"one\ntw")
    program.read_until("< one")
    program.press("\x03")
    program.read_until("! stopped: ")
    connection.sendall(b"o\n")
    program.read_until("< two")
    program.press("again\n")
    assert read_until(connection, b"\n") == b"again\n"
    program.press("\x04")
    assert program.wait() == 0
    assert connection.recv(1) == b""
    assert "Traceback" not in program.shown
    # Either finds nothing to cancel where the script of the line before is still running.
    stop = told(tmp_path / "line_client.log")[0]
    assert stop.trigger == "Cancel"


def test_a_line_that_nobody_reads_is_stopped_and_the_next_one_arrives(called, tmp_path):
    program, connection = called(Piped)
    program.type(LONG + b"\nstop\n")
    program.read_until(
        "1 receive -16005, 1 line -16005; to go on meanwhile was refused with -36003"
    )
    program.type(b"hello\n")
    assert set(read_until(connection, b"\nhello\n").removesuffix(b"\nhello\n")) == {ord("x")}
    connection.close()
    program.read_until("! the server has gone: -16009")
    assert program.wait() == 0
    (stop,) = told(tmp_path / "line_client.log")
    assert codes(stop) == [-16005, -16005]
    assert [refusal.code for refusal in stop.refused] == [-36003, -36003]


def test_a_stop_while_a_line_is_shown_leaves_the_client_receiving(server):
    shown: SimpleQueue[str] = SimpleQueue()

    def show_and_stop(endpoint, line, terminator, options):
        if line == "one\n":
            endpoint.cancel(asynchronous=True, completion_script=client.go_on)
        shown.put(line)

    tool = newton.tcp(*server.getsockname())
    with Runtime.open() as runtime, newton.Endpoint(runtime, tool) as endpoint:
        client = runpy.run_path(str(EXAMPLES / "line_client.py"))["Client"](endpoint)
        client.lines.input_script = show_and_stop
        endpoint.bind()
        endpoint.connect()
        client.receive()
        with server.accept()[0] as connection:
            for line in ("one\n", "two\n", "three\n"):
                connection.sendall(line.encode())
                assert shown.get() == line


def test_the_client_ends_with_the_servers_last_line(called):
    program, connection = called(Terminal)
    connection.sendall(b"the last line\n")
    connection.close()
    program.read_until("! the server has gone: -16009")
    assert "< the last line" in program.shown
    assert program.wait() == 0


def test_what_was_typed_is_sent_before_the_client_leaves(called):
    program, connection = called(Terminal)
    program.press("one\ntwo\n\x04")
    assert program.wait() == 0
    assert read_until(connection, b"two\n") == b"one\ntwo\n"
    assert connection.recv(1) == b""


# --- redis_pipeline.py ---------------------------------------------------------------------------

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None,
    reason="redis-server is not installed (Debian package redis-server)",
)


@pytest.fixture(scope="module")
def redis():
    return runpy.run_path(str(EXAMPLES / "redis_pipeline.py"))


@pytest.mark.parametrize(
    ("pieces", "reply"),
    [
        ([b"+PONG\r\n"], "PONG"),
        ([b":-1\r\n"], -1),
        ([b"$6\r\n", b"a\r\nb\r\n\r\n"], b"a\r\nb\r\n"),
        ([b"$0\r\n", b"\r\n"], b""),
        ([b"$-1\r\n"], None),
        ([b"*-1\r\n"], None),
        ([b"*0\r\n"], []),
        ([b"*2\r\n", b"*1\r\n", b":1\r\n", b"$1\r\n", b"b\r\n"], [[1], b"b"]),
    ],
)
def test_a_reply_of_redis_is_parsed_piece_by_piece(redis, pieces, reply):
    taken: list[object] = []
    parser = redis["replies"](taken.append)
    ends = next(parser)
    for piece in pieces:
        assert taken == []
        assert len(piece) == ends.byte_count or piece.endswith(ends.end_sequence)
        ends = parser.send(piece)
    assert taken == [reply]


def test_a_command_is_an_array_of_strings(redis):
    command = redis["Command"]("SET", "é", b"\r\n", 1)
    assert command.encode() == (b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$2\r\n\r\n\r\n$1\r\n1\r\n")


@needs_redis
def test_a_cancelled_pipeline_is_finished_over_another_connection(run, tmp_path):
    program = run(Piped, "redis_pipeline.py")
    shown = program.read_all()
    assert program.wait() == 0
    assert "60 blocks, all there in the end: True" in shown
    counts = {line.split(maxsplit=1)[1]: int(line.split()[0]) for line in shown.splitlines()[:-1]}
    assert sum(counts.values()) == 60
    assert counts["not sent as a whole, so it can't be done"] > 0
    cancel, leave = told(tmp_path / "redis_pipeline.log")
    assert cancel.trigger == "Cancel"
    assert leave.trigger == "Disconnect"


@needs_redis
def test_what_was_not_sent_as_a_whole_was_not_done(redis, tmp_path):
    blocks = redis["BLOCKS"]
    with redis["own_server"]() as port, Runtime.open(payloads={"Submit": "digest"}) as runtime:
        first = redis["Connection"](runtime, port)
        number = first.ask("CLIENT", "ID")
        slow = first.send("EVAL", redis["SLOW_SCRIPT"], 0)
        sets = {name: first.send("SET", name, block) for name, block in blocks.items()}
        first.endpoint.cancel()
        first.drop()
        second = redis["Connection"](runtime, port)
        second.ask("CLIENT", "KILL", "ID", number)
        not_sent = [name for name in blocks if sets[name].fate == redis["NOT_SENT"]]
        assert not_sent
        assert slow.fate == redis["SENT"]
        assert second.ask("EXISTS", *not_sent) == 0
        with pytest.raises(redis["RedisError"], match="unknown command"):
            second.ask("NONSENSE")
        assert second.ask("PING") == "PONG"
        second.drop()


@needs_redis
def test_commands_without_a_reply_fail_when_redis_goes(redis):
    with Runtime.open() as runtime:
        with redis["own_server"]() as port:
            connection = redis["Connection"](runtime, port)
            waiting = connection.send("BLPOP", "nothing", 0)
        with pytest.raises(Exception, match="-16009"):
            waiting.reply.result()


# --- modem.py ------------------------------------------------------------------------------------


class Line:
    """A modem's side of a serial line."""

    def __init__(self):
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._heard = b""

    def hear(self, end):
        while end not in self._heard:
            self._heard += os.read(self._ours, 4096)
        heard, self._heard = self._heard.split(end, 1)
        return heard

    def say(self, data):
        os.write(self._ours, data)

    def hang_up(self):
        os.close(self._ours)
        self._ours = -1

    def close(self):
        os.close(self._theirs)
        if self._ours >= 0:
            os.close(self._ours)


@pytest.fixture
def line():
    with contextlib.closing(Line()) as line:
        yield line


@pytest.fixture
def dialled(run, line):
    program = run(Piped, "modem.py", "5550100", "--line", line.path)
    assert line.hear(b"\r") == b"ATE0"
    line.say(b"ATE0\r\r\nOK\r\n")
    assert line.hear(b"\r") == b"ATDT5550100"
    return program


def test_a_call_from_dialling_to_hanging_up(dialled, line, tmp_path):
    line.say(b"RING")
    dialled.read_until("  RING ...")
    line.say(bytes(byte | 0x80 for byte in b"\r\n") + b"\0\0CONNECT 9600\r\n")
    dialled.read_until("< RING\n< CONNECT 9600\n")
    assert line.hear(b"\r.\r").endswith(b"line 999 of a text that is to be sent")
    line.say(b"OK\r\n")
    assert line.hear(b"+++") == b""
    line.say(b"OK\r\n")
    assert line.hear(b"\r") == b"ATH"
    line.say(b"NO CARRIER\r\n")
    assert dialled.read_all().endswith("< OK\n< OK\n> ATH\n< NO CARRIER\n")
    assert dialled.wait() == 0
    assert told(tmp_path / "modem.log") == []


def test_a_busy_number_ends_the_program(dialled, line):
    line.say(b"BUSY\r\n")
    assert dialled.read_all().endswith("< BUSY\n")
    assert dialled.wait() == 0


def test_a_modem_that_says_nothing_is_not_waited_for(run, line, tmp_path):
    program = run(Piped, "modem.py", "5550100", "--line", line.path)
    assert "! -16005" in program.read_all()
    assert "its time-out of 5 s passed" in program.shown
    assert program.wait() == 1
    (sequence,) = told(tmp_path / "modem.log")
    assert (sequence.trigger, codes(sequence)) == ("time-out", [-16005])


def test_silence_in_the_middle_of_a_text_ends_the_text_too(dialled, line, tmp_path):
    line.say(b"CONNECT 9600\r\n")
    assert "! the text: -16005" in dialled.read_all()
    assert "its time-out of 2 s passed" in dialled.shown
    assert dialled.wait() == 1
    (sequence,) = told(tmp_path / "modem.log")
    assert [victim.operation for victim in sequence.victims] == ["Output", "Receive"]
    assert codes(sequence) == [-16005, -16005]


def test_a_hung_up_line_is_an_event_and_ends_what_was_outstanding(dialled, line, tmp_path):
    line.say(b"CONNECT 9600\r\n")
    line.hear(b"line 0")
    line.hang_up()
    shown = dialled.read_all()
    assert "! the line is gone" in shown
    assert shown.count("-16009") == 2
    assert dialled.wait() == 1
    assert told(tmp_path / "modem.log") == []
