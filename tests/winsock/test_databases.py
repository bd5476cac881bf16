"""Services and protocols, from files of a test's own and from the system behind them."""

import threading
from collections.abc import Iterator

import pytest

from rescind.actors.winsock import Code
from rescind.actors.winsock._entries import ProtocolEntry, ServiceEntry
from rescind.actors.winsock.drivers import dns
from rescind.actors.winsock.drivers._databases import Databases

from .name_server import WAIT_S, Answers

SERVICE, PORT = "WSAAsyncGetServByName", "WSAAsyncGetServByPort"
PROTOCOL, NUMBER = "WSAAsyncGetProtoByName", "WSAAsyncGetProtoByNumber"

SERVICES = """
# a comment
teatime  4242/tcp  tea Brew  # with aliases
teatime  4242/udp
sunday   4243/udp
broken   x/tcp
broken2
"""
PROTOCOLS = "tp1  241  TP-1 tea-protocol\nbroken x\n"

TEA = ServiceEntry("teatime", ("tea", "Brew"), 4242, "tcp")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "services").write_text(SERVICES)
    (tmp_path / "protocols").write_text(PROTOCOLS)
    return tmp_path


@pytest.fixture
def databases(files) -> Iterator[Databases]:
    made = Databases(files / "services", files / "protocols")
    made.open(Answers())
    yield made
    made.close()


@pytest.fixture
def no_system(monkeypatch):
    """The system behind the files knows nothing."""

    def unknown(*_):
        raise OSError("not found")

    for name in ("getservbyname", "getservbyport", "getprotobyname"):
        monkeypatch.setattr(f"socket.{name}", unknown)


@pytest.mark.parametrize(
    ("operation", "question", "expected"),
    [
        (SERVICE, ("teatime", "tcp"), TEA),
        (SERVICE, ("teatime", None), TEA),
        (SERVICE, ("teatime", "udp"), ServiceEntry("teatime", (), 4242, "udp")),
        (SERVICE, ("brew", None), TEA),
        (SERVICE, ("TEATIME", "TCP"), TEA),
        (SERVICE, ("sunday", "tcp"), Code.NO_DATA),
        (SERVICE, ("tea", "udp"), Code.NO_DATA),
        (SERVICE, ("broken", None), Code.HOST_NOT_FOUND),
        (SERVICE, ("", None), Code.NO_RECOVERY),
        (SERVICE, ("tea\0time", None), Code.NO_RECOVERY),
        (SERVICE, ("x" * 100_000, None), Code.HOST_NOT_FOUND),
        (SERVICE, (None, None), Code.EFAULT),
        (SERVICE, ("teatime", 6), Code.EFAULT),
        (SERVICE, ("teatime", ""), Code.NO_RECOVERY),
        (PORT, (4242, "tcp"), TEA),
        (PORT, (4242, None), TEA),
        (PORT, (4243, None), ServiceEntry("sunday", (), 4243, "udp")),
        (PORT, (4243, "tcp"), Code.NO_DATA),
        (PORT, (4244, None), Code.HOST_NOT_FOUND),
        (PORT, (-1, None), Code.HOST_NOT_FOUND),
        (PORT, (1 << 80, None), Code.HOST_NOT_FOUND),
        (PORT, ("4242", None), Code.EFAULT),
        (PROTOCOL, ("tp1",), ProtocolEntry("tp1", ("TP-1", "tea-protocol"), 241)),
        (PROTOCOL, ("Tea-Protocol",), ProtocolEntry("tp1", ("TP-1", "tea-protocol"), 241)),
        (PROTOCOL, ("tp2",), Code.HOST_NOT_FOUND),
        (PROTOCOL, (None,), Code.EFAULT),
        (NUMBER, (241,), ProtocolEntry("tp1", ("TP-1", "tea-protocol"), 241)),
        (NUMBER, (242,), Code.HOST_NOT_FOUND),
        (NUMBER, (None,), Code.EFAULT),
        ("WSAAsyncGetNothing", (), Code.NO_RECOVERY),
    ],
)
def test_what_the_files_say(databases, no_system, operation, question, expected):
    databases.begin(1, operation, question)
    answered = databases._port.of(1)
    assert expected in (answered.code, answered.value)


@pytest.mark.parametrize(
    ("operation", "question", "entry"),
    [
        (SERVICE, ("remote", "udp"), ServiceEntry("remote", (), 777, "udp")),
        (SERVICE, ("remote", None), ServiceEntry("remote", (), 777, "tcp")),
        (PORT, (777, "udp"), ServiceEntry("port777", (), 777, "udp")),
        (PROTOCOL, ("remote",), ProtocolEntry("remote", (), 77)),
    ],
)
def test_what_the_files_do_not_know_is_asked_of_the_system(
    databases, monkeypatch, operation, question, entry
):
    monkeypatch.setattr("socket.getservbyname", lambda *_: 777)
    monkeypatch.setattr("socket.getservbyport", lambda port, _: f"port{port}")
    monkeypatch.setattr("socket.getprotobyname", lambda _: 77)
    databases.begin(1, operation, question)
    assert databases._port.entry_of(1) == entry


def test_a_file_that_changes_is_read_again_and_one_that_goes_is_empty(databases, files, no_system):
    databases.begin(1, NUMBER, (241,))
    assert databases._port.of(1).code is None
    (files / "protocols").write_text("tp3 243\n")
    databases.begin(2, NUMBER, (243,))
    assert databases._port.of(2).code is None
    (files / "protocols").unlink()
    databases.begin(3, NUMBER, (243,))
    assert databases._port.of(3).code == Code.HOST_NOT_FOUND


def test_a_system_that_hangs_holds_nobody_and_its_answer_may_be_stopped(databases, monkeypatch):
    is_asked, may_answer = threading.Event(), threading.Event()

    def hang(name, protocol):
        is_asked.set()
        assert may_answer.wait(WAIT_S)
        return 777

    monkeypatch.setattr("socket.getservbyname", hang)
    databases.begin(1, SERVICE, ("remote", "tcp"))
    assert is_asked.wait(WAIT_S)
    databases.begin(2, SERVICE, ("teatime", "tcp"))
    databases.begin(3, SERVICE, ("teatime", "udp"))
    databases.stop(1)
    databases.stop(2)
    may_answer.set()
    databases._port.of(3)
    assert list(databases._port.all) == [3]


def test_a_closed_database_says_nothing(databases, monkeypatch):
    is_asked, may_answer, is_over = threading.Event(), threading.Event(), threading.Event()

    def hang(name, protocol):
        is_asked.set()
        assert may_answer.wait(WAIT_S)
        is_over.set()
        return 777

    monkeypatch.setattr("socket.getservbyname", hang)
    databases.begin(1, SERVICE, ("remote", "tcp"))
    databases.begin(2, SERVICE, ("teatime", "tcp"))
    assert is_asked.wait(WAIT_S)
    (worker,) = [each for each in threading.enumerate() if each.name == "rescind-databases"]
    databases.close()
    databases.begin(3, SERVICE, ("teatime", "tcp"))
    may_answer.set()
    assert is_over.wait(WAIT_S)
    worker.join(WAIT_S)
    assert not worker.is_alive()
    assert not databases._port.all


def test_the_resolver_looks_both_up_on_this_machine():
    resolver, answers = dns(), Answers()
    resolver.open(answers)
    resolver.begin(1, PROTOCOL, ("tcp",))
    resolver.begin(2, SERVICE, ("domain", "udp"))
    for request in (1, 2):
        # A machine without the usual files answers that it does not know.
        assert answers.of(request).code in (None, Code.HOST_NOT_FOUND)
    resolver.stop(2)
    resolver.close()
    resolver.begin(3, PROTOCOL, ("tcp",))
    assert set(answers.all) == {1, 2}
