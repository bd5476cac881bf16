"""What is asked of a resolver of hosts: names good and bad, its settings, and who is told."""

import itertools
import socket
import sys

import pycares
import pytest

from rescind.actors.winsock import Code
from rescind.actors.winsock._entries import HostEntry
from rescind.actors.winsock.drivers import dns
from rescind.actors.winsock.drivers._dns import CODES
from tests.ports import free_port

from .name_server import BY_ADDRESS, BY_NAME

V4, V6, ANY = socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC


@pytest.mark.parametrize(
    ("operation", "question", "code"),
    [
        (BY_NAME, ("",), Code.NO_RECOVERY),
        (BY_NAME, (".",), Code.NO_RECOVERY),
        (BY_NAME, ("a..test",), Code.NO_RECOVERY),
        (BY_NAME, (".test",), Code.NO_RECOVERY),
        (BY_NAME, ("a\0.test",), Code.NO_RECOVERY),
        (BY_NAME, ("a" * 64 + ".test",), Code.NO_RECOVERY),
        (BY_NAME, ("ä" * 60 + ".test",), Code.NO_RECOVERY),
        (BY_NAME, ("a." * 126 + "aa",), Code.NO_RECOVERY),
        (BY_NAME, ("ä" * 100_000,), Code.NO_RECOVERY),
        (BY_NAME, ("\ud800.test",), Code.NO_RECOVERY),
        (BY_NAME, ("a\u0301\u200d.test",), Code.NO_RECOVERY),
        (BY_NAME, ("a b.test",), Code.NO_RECOVERY),
        (BY_NAME, ("a\n.test",), Code.NO_RECOVERY),
        (BY_NAME, (None,), Code.EFAULT),
        (BY_NAME, (b"a.test",), Code.EFAULT),
        (BY_NAME, ("a.test", 99), Code.NO_RECOVERY),
        (BY_NAME, ("::1",), Code.NO_DATA),
        (BY_NAME, ("192.0.2.1", V6), Code.NO_DATA),
        (BY_ADDRESS, ("a.test", V4), Code.NO_RECOVERY),
        (BY_ADDRESS, ("::1", V4), Code.NO_RECOVERY),
        (BY_ADDRESS, ("192.0.2.1", V6), Code.NO_RECOVERY),
        (BY_ADDRESS, (b"12345", V4), Code.NO_RECOVERY),
        (BY_ADDRESS, ("", V4), Code.NO_RECOVERY),
        (BY_ADDRESS, ("\0", V4), Code.NO_RECOVERY),
        (BY_ADDRESS, (None, V4), Code.EFAULT),
        (BY_ADDRESS, (b"\0" * 16, 99), Code.NO_RECOVERY),
    ],
)
def test_what_cannot_be_asked_is_answered_and_never_raised(
    new_server, new_resolver, operation, question, code
):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, operation, question)
    assert answers.of(1).code == code
    assert answers.of(1).value
    assert not server.asked


@pytest.mark.parametrize("name", ["a." * 126 + "a", "a" * 63 + ".test", "_x._udp.test", "1.2.3"])
def test_names_at_the_limits_are_asked(new_server, new_resolver, name):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, (name,))
    assert answers.entry_of(1).name == name


@pytest.mark.parametrize(
    ("name", "family", "address"),
    [("192.0.2.77", V4, "192.0.2.77"), ("2001:DB8:0::1", V6, "2001:db8::1")],
)
def test_an_address_in_the_place_of_a_name_is_its_own_answer(new_resolver, name, family, address):
    resolver, answers = new_resolver(f"127.0.0.1:{free_port()}", family=ANY)
    resolver.begin(1, BY_NAME, (name,))
    assert answers.entry_of(1) == HostEntry(name, (), family, (address,))


def test_each_query_is_announced_inside_a_call_back(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    heard: list[tuple[str, int]] = []

    def note(name: str) -> None:
        heard.append((name, answers.calls_depth))

    resolver, answers = new_resolver(server.address, on_query=note)
    resolver.begin(1, BY_NAME, ("a.test",))
    resolver.begin(2, BY_NAME, ("192.0.2.1",))
    resolver.begin(3, BY_ADDRESS, ("192.0.2.1", V4))
    answers.wait_for(3)
    assert heard == [("a.test", 1), ("192.0.2.1", 1)]
    assert answers.calls_depth == 0


def test_a_lookup_whose_announcement_fails_ends_so(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    calls = itertools.count()
    resolver, answers = new_resolver(server.address, on_query=lambda _: 1 // next(calls))
    resolver.begin(1, BY_NAME, ("a.test",))
    resolver.begin(2, BY_NAME, ("b.test",))
    assert answers.of(1).code == Code.NO_RECOVERY
    assert "ZeroDivisionError" in answers.of(1).value
    assert answers.entry_of(2).name == "b.test"
    assert answers.calls_depth == 0


def test_every_failure_of_c_ares_has_a_code():
    known = set(pycares.errno.errorcode.values()) - {"ARES_SUCCESS"}
    assert known <= CODES.keys()
    assert CODES.keys() - known <= {"ARES_ENOSERVER"}


@pytest.mark.parametrize(
    ("server", "label"),
    [
        ("192.0.2.1", "dns 192.0.2.1:53"),
        ("192.0.2.1:5353", "dns 192.0.2.1:5353"),
        ("2001:db8::1", "dns [2001:db8::1]:53"),
        ("[2001:db8:0::1]", "dns [2001:db8::1]:53"),
        ("[2001:db8::1]:5353", "dns [2001:db8::1]:5353"),
    ],
)
def test_servers_are_addresses(server, label):
    assert dns([server]).label == label


def test_the_system_has_servers_too():
    assert dns().label == "dns of the system"


@pytest.mark.parametrize(
    "settings",
    [
        {"servers": []},
        {"servers": ["name.test"]},
        {"servers": ["192.0.2.1:x"]},
        {"servers": ["192.0.2.1:70000"]},
        {"servers": ["[2001:db8::1"]},
        {"timeout_s": 0},
        {"tries": 0},
        {"lookups_at_once": 0},
        {"family": 99},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=r"\w"):
        dns(**settings)


def test_without_pycares_a_host_names_the_extra_and_services_work(new_resolver, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycares", None)
    resolver, answers = new_resolver("192.0.2.1")
    resolver.begin(1, BY_NAME, ("a.test",))
    resolver.begin(2, "WSAAsyncGetProtoByName", ("no such protocol",))
    assert answers.of(1).code == Code.NO_RECOVERY
    assert "rescind[dns]" in answers.of(1).value
    assert answers.of(2).code == Code.HOST_NOT_FOUND
