"""Hosts, asked of real name servers: dnsmasq, and one that delays, lies, and says nothing."""

import contextlib
import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from rescind.actors.winsock import Code
from rescind.actors.winsock._entries import HostEntry
from tests.ports import free_port

from .name_server import (
    AAAA,
    BY_ADDRESS,
    BY_NAME,
    CNAME,
    FORMERR,
    MANY_ADDRESSES,
    NOTIMP,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    TRUNCATED,
    WAIT_S,
    encode,
    eventually,
    record,
)

A_IN, NS_IN = b"\0\1\0\1", b"\0\2\0\1"
V4, V6, ANY = socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC


@pytest.fixture
def no_idling(monkeypatch):
    """Idle channels keep their sockets, so that only a cancel closes one."""
    monkeypatch.setattr("rescind.actors.winsock.drivers._channels._IDLE_S", 3600.0)


def sockets_open() -> int:
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += "socket:" in str(each.readlink())
    return count


# --- dnsmasq -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "entry"),
    [
        (("a.test",), HostEntry("a.test", (), V4, ("192.0.2.1",))),
        (("a.test.",), HostEntry("a.test", (), V4, ("192.0.2.1",))),
        (("A.Test",), HostEntry("A.Test", (), V4, ("192.0.2.1",))),
        (("both.test",), HostEntry("both.test", (), V4, ("192.0.2.2",))),
        (("both.test", V6), HostEntry("both.test", (), V6, ("2001:db8::2",))),
        (("a.test", ANY), HostEntry("a.test", (), V4, ("192.0.2.1",))),
        (("six.test", ANY), HostEntry("six.test", (), V6, ("2001:db8::6",))),
        (("www.test",), HostEntry("a.test", ("www.test",), V4, ("192.0.2.1",))),
        (("faß.test",), HostEntry("xn--fa-hia.test", (), V4, ("192.0.2.3",))),
        (("FAẞ。test",), HostEntry("xn--fa-hia.test", (), V4, ("192.0.2.3",))),
        (("localhost",), None),
    ],
)
def test_a_host_by_name(dnsmasq, new_resolver, question, entry):
    resolver, answers = new_resolver(dnsmasq)
    resolver.begin(1, BY_NAME, question)
    found = answers.entry_of(1)
    assert found == entry or (entry is None and "127.0.0.1" in found.addresses)


def test_a_host_of_both_families_has_its_ipv4_addresses_mapped(dnsmasq, new_resolver):
    resolver, answers = new_resolver(dnsmasq, family=ANY)
    resolver.begin(1, BY_NAME, ("both.test",))
    found = answers.entry_of(1)
    assert found.family == V6
    assert set(found.addresses) == {"::ffff:192.0.2.2", "2001:db8::2"}


@pytest.mark.parametrize(
    ("question", "name"),
    [
        (("192.0.2.1", V4), "a.test"),
        (("192.0.2.1", None), "a.test"),
        ((bytes([192, 0, 2, 1]), V4), "a.test"),
        (("2001:db8::6", V6), "six.test"),
        ((bytes.fromhex("20010db8000000000000000000000006"), V6), "six.test"),
    ],
)
def test_a_host_by_address(dnsmasq, new_resolver, question, name):
    resolver, answers = new_resolver(dnsmasq)
    resolver.begin(1, BY_ADDRESS, question)
    found = answers.entry_of(1)
    assert found.name == name
    assert found.aliases == ()
    assert found.addresses == ("192.0.2.1" if found.family == V4 else "2001:db8::6",)


@pytest.mark.parametrize(
    ("operation", "question", "code"),
    [
        (BY_NAME, ("nobody.test",), Code.HOST_NOT_FOUND),
        (BY_NAME, ("text.test",), Code.NO_DATA),
        (BY_NAME, ("a.test", V6), Code.NO_DATA),
        (BY_NAME, ("elsewhere.example",), Code.NO_RECOVERY),  # dnsmasq has nobody to ask: REFUSED
        (BY_ADDRESS, ("192.0.2.99", V4), Code.HOST_NOT_FOUND),
    ],
)
def test_what_dnsmasq_has_not(dnsmasq, new_resolver, operation, question, code):
    resolver, answers = new_resolver(dnsmasq)
    resolver.begin(1, operation, question)
    assert answers.of(1).code == code
    assert answers.of(1).value.startswith("ARES_E")


def test_a_truncated_answer_is_asked_for_again_over_tcp(dnsmasq, new_resolver):
    resolver, answers = new_resolver(dnsmasq)
    resolver.begin(1, BY_NAME, ("many.test",))
    assert len(answers.entry_of(1).addresses) == MANY_ADDRESSES


def test_domains_are_searched_unless_the_name_ends_with_a_dot(dnsmasq, new_resolver):
    resolver, answers = new_resolver(dnsmasq, search=["corp.test"])
    resolver.begin(1, BY_NAME, ("a",))
    resolver.begin(2, BY_NAME, ("a.",))
    assert answers.entry_of(1).addresses == ("192.0.2.7",)
    assert answers.of(2).code is not None


def test_ten_thousand_lookups_over_few_sockets(dnsmasq, new_resolver):
    at_once, count = 50, 10_000
    before, most = sockets_open(), 0

    def look(name: str) -> None:
        nonlocal most
        if name.startswith("host0"):
            most = max(most, sockets_open())

    resolver, answers = new_resolver(dnsmasq, lookups_at_once=at_once, on_query=look)
    for request in range(count):
        resolver.begin(request, BY_NAME, (f"host{request:04}.any.test",))
    answers.wait_for(count)
    assert all(each.code is None for each in answers.all.values())
    assert answers.all[77].value.name == "host0077.any.test"
    assert most <= before + at_once + 3, "one socket per lookup in flight and the two that wake"


# --- what a server may say -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rcode", "code"),
    [
        (FORMERR, Code.NO_RECOVERY),
        (SERVFAIL, Code.TRY_AGAIN),
        (NXDOMAIN, Code.HOST_NOT_FOUND),
        (NOTIMP, Code.NO_RECOVERY),
        (REFUSED, Code.NO_RECOVERY),
    ],
)
def test_a_server_that_says_no(new_server, new_resolver, rcode, code):
    server = new_server(lambda question: [question.reply(rcode=rcode)])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    resolver.begin(2, BY_ADDRESS, ("192.0.2.1", V4))
    assert answers.of(1).code == answers.of(2).code == code


GARBAGE = {
    "nothing": lambda _: b"",
    "a byte": lambda _: b"\0",
    "noise": lambda _: b"\xff" * 600,
    "half a question": lambda question: question.reply()[:15],
    "a pointer into nowhere": lambda question: question.reply(b"\xc0\xff\0\1\0\1"),
}
FALSE = "203.0.113.66"
LIES = {
    "id": lambda question: question.reply(question.a(FALSE), id=question.id ^ 1),
    "name": lambda question: question.reply(question.a(FALSE), wire=encode("b.test") + A_IN),
    "type": lambda question: question.reply(question.a(FALSE), wire=encode("a.test") + NS_IN),
}


@pytest.mark.parametrize("said", (GARBAGE | LIES).values(), ids=(GARBAGE | LIES).keys())
def test_garbage_and_lies_alone_are_no_authority(new_server, new_resolver, said):
    server = new_server(lambda question: [said(question)])
    resolver, answers = new_resolver(server.address, timeout_s=0.1, tries=2)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.TRY_AGAIN


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_the_answer_behind_a_lie_is_found(new_server, new_resolver, lie):
    server = new_server(lambda question: [lie(question), question.reply(question.a())])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.entry_of(1).addresses == ("192.0.2.1",)


def test_a_loop_of_aliases_has_no_data(new_server, new_resolver):
    loop = (record("a.test", CNAME, encode("b.test")), record("b.test", CNAME, encode("a.test")))
    server = new_server(lambda question: [question.reply(*loop)])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.NO_DATA


def test_an_address_with_several_names_and_a_detour(new_server, new_resolver):
    """A reverse zone may hold an alias into another zone; every name of the address is told."""

    def script(question):
        there = "1.delegated.test"
        names = [record(there, PTR, encode(name)) for name in ("a.test", "b.test", "a.test")]
        return [question.reply(record(question.name, CNAME, encode(there)), *names)]

    resolver, answers = new_resolver(new_server(script).address)
    resolver.begin(1, BY_ADDRESS, ("192.0.2.1", V4))
    assert answers.entry_of(1) == HostEntry("a.test", ("b.test",), V4, ("192.0.2.1",))


def test_names_of_any_bytes_come_as_text(new_server, new_resolver):
    strange = b"\4\xff\0 .\4test\0"
    server = new_server(lambda question: [question.reply(record(question.name, PTR, strange))])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_ADDRESS, ("192.0.2.1", V4))
    assert answers.entry_of(1).name == r"\255\000 \..test"


def test_an_address_without_a_name_has_no_data(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_ADDRESS, ("192.0.2.1", V4))
    assert answers.of(1).code == Code.NO_DATA


def test_an_address_in_the_file_of_hosts_is_not_asked_for(
    new_server, new_resolver, monkeypatch, tmp_path
):
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 here.test here # comment\n\n2001:db8::1 six.test\nnonsense\n")
    monkeypatch.setattr("rescind.actors.winsock.drivers._dns.HOSTS", hosts)
    server = new_server(lambda question: [question.reply(rcode=NXDOMAIN)])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_ADDRESS, ("192.0.2.1", V4))
    resolver.begin(2, BY_ADDRESS, ("2001:0db8:0::1", V6))
    resolver.begin(3, BY_ADDRESS, ("192.0.2.2", V4))
    assert answers.entry_of(1) == HostEntry("here.test", ("here",), V4, ("192.0.2.1",))
    assert answers.entry_of(2) == HostEntry("six.test", (), V6, ("2001:db8::1",))
    assert answers.of(3).code == Code.HOST_NOT_FOUND
    assert server.names() == ["2.2.0.192.in-addr.arpa"]


def test_a_chain_of_aliases_ends_at_the_canonical_name(new_server, new_resolver):
    chain = [
        record("a.test", CNAME, encode("b.test")),
        record("b.test", CNAME, encode("c.test")),
        record("c.test", 1, socket.inet_aton("192.0.2.5")),
    ]
    server = new_server(lambda question: [question.reply(*chain)])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.entry_of(1) == HostEntry("c.test", ("a.test", "b.test"), V4, ("192.0.2.5",))


def test_addresses_keep_the_order_of_the_answer(new_server, new_resolver):
    addresses = ("192.0.2.9", "127.0.0.1", "192.0.2.1")
    server = new_server(lambda question: [question.reply(*map(question.a, addresses))])
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.entry_of(1).addresses == addresses


def test_one_family_that_fails_does_not_hide_the_other(new_server, new_resolver):
    def script(question):
        six = question.type == AAAA
        return [question.reply(rcode=SERVFAIL) if six else question.reply(question.a())]

    resolver, answers = new_resolver(new_server(script).address, family=ANY)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.entry_of(1) == HostEntry("a.test", (), V4, ("192.0.2.1",))


def test_a_truncated_answer_whose_rest_never_comes(new_server, new_resolver):
    def script(question):
        return [] if question.is_tcp else [question.reply(flags=TRUNCATED)]

    server = new_server(script)
    resolver, answers = new_resolver(server.address, timeout_s=0.1, tries=1)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.TRY_AGAIN
    assert [each.is_tcp for each in server.asked[:2]] == [False, True]


def test_a_silent_server_is_asked_as_often_as_told(new_server, new_resolver):
    server = new_server(lambda _: [])
    resolver, answers = new_resolver(server.address, timeout_s=0.05, tries=3)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.TRY_AGAIN
    assert answers.of(1).value.startswith("ARES_ETIMEOUT")
    assert server.names() == ["a.test"] * 3


def test_the_time_out_of_one_lookup_forgets_no_other(new_server, new_resolver, no_idling):
    """The second lookup is begun some answers later, and so is not yet due when the first ends."""
    server = new_server(
        lambda question: [question.reply(question.a())] if question.name == "ok.test" else []
    )
    resolver, answers = new_resolver(server.address, timeout_s=0.1, tries=1)
    resolver.begin(1, BY_NAME, ("silent.test",))
    for request in range(10, 40):
        resolver.begin(request, BY_NAME, ("ok.test",))
        answers.entry_of(request)
    resolver.begin(2, BY_NAME, ("silent.test",))
    assert answers.of(1).code == answers.of(2).code == Code.TRY_AGAIN


def test_a_dead_server_is_told_from_a_dead_network(new_resolver):
    resolver, answers = new_resolver(f"127.0.0.1:{free_port()}", timeout_s=0.1, tries=1)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.TRY_AGAIN


@pytest.mark.parametrize(
    ("why", "code"), [(errno.ENETUNREACH, Code.ENETDOWN), (errno.EMFILE, Code.TRY_AGAIN)]
)
def test_only_a_network_that_leads_nowhere_is_down(new_resolver, monkeypatch, why, code):
    class Unconnected(socket.socket):
        def connect(self, _address):
            raise OSError(why, os.strerror(why))

    resolver, answers = new_resolver(f"127.0.0.1:{free_port()}", timeout_s=0.1, tries=1)
    monkeypatch.setattr(socket, "socket", Unconnected)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == code


def test_a_server_in_a_network_that_is_not_there(new_resolver):
    with socket.socket(V6, socket.SOCK_DGRAM) as probe:
        if probe.connect_ex(("2001:db8::1", 53)) == 0:
            pytest.skip("this machine routes the addresses of documentation")
    resolver, answers = new_resolver("2001:db8::1", timeout_s=0.1, tries=1)
    resolver.begin(1, BY_NAME, ("a.test",))
    assert answers.of(1).code == Code.ENETDOWN


def test_the_next_server_answers_for_a_dead_one(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(f"127.0.0.1:{free_port()}", server.address, timeout_s=0.1)
    for request in range(20):
        resolver.begin(request, BY_NAME, (f"a{request}.test",))
    answers.wait_for(20)
    assert all(each.code is None for each in answers.all.values())


# --- cancels -------------------------------------------------------------------------------------


def test_a_cancelled_query_is_withdrawn_and_no_other(new_server, new_resolver, no_idling):
    """By the time another lookup was tried twice more, the cancelled one would have been."""
    is_open = threading.Event()

    def script(question):
        return [question.reply(question.a())] if is_open.is_set() else []

    server = new_server(script)
    before = sockets_open()
    resolver, answers = new_resolver(server.address, timeout_s=0.05, tries=20)
    for request, name in enumerate(("first.test", "second.test")):
        resolver.begin(request, BY_NAME, (name,))
    eventually(lambda: {"first.test", "second.test"} <= set(server.names()))
    assert sockets_open() == before + 4, "a socket for each, and the two that wake"
    resolver.stop(0)
    eventually(lambda: sockets_open() == before + 3)
    said = server.names().count("first.test")
    again = server.names().count("second.test") + 2
    eventually(lambda: server.names().count("second.test") >= again)
    is_open.set()
    assert answers.entry_of(1).name == "second.test"
    assert server.names().count("first.test") == said
    assert list(answers.all) == [1]


def test_a_late_answer_meets_a_closed_port(new_server, new_resolver, no_idling):
    server = new_server(lambda _: [])
    before = sockets_open()
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    question = server.questions.get(timeout=WAIT_S)
    resolver.stop(1)
    eventually(lambda: sockets_open() == before + 2)
    server.udp.sendto(question.reply(question.a()), question.client)
    server.script = lambda question: [question.reply(question.a())]
    resolver.begin(2, BY_NAME, ("b.test",))
    assert answers.entry_of(2).name == "b.test"
    assert list(answers.all) == [2]


def test_a_cancel_while_the_rest_comes_over_tcp(new_server, new_resolver, no_idling):
    stays = threading.Event()

    def script(question):
        if not question.is_tcp:
            return [question.reply(flags=TRUNCATED)]
        stays.wait(WAIT_S)
        return []

    server = new_server(script)
    before = sockets_open()
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    while not server.questions.get(timeout=WAIT_S).is_tcp:
        pass
    resolver.stop(1)
    eventually(lambda: sockets_open() == before + 3)  # the server's end of the stream is one
    stays.set()
    assert not answers.all


def test_what_was_not_begun_finished_or_stopped_before_may_be_stopped(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(server.address)
    resolver.stop(5)
    resolver.begin(1, BY_NAME, ("a.test",))
    answers.of(1)
    resolver.stop(1)
    resolver.stop(1)
    resolver.begin(2, BY_NAME, ("b.test",))
    assert answers.entry_of(2).name == "b.test"


def test_a_hundred_thousand_lookups_begun_and_stopped(new_server, new_resolver):
    server = new_server(
        lambda question: [question.reply(question.a())] if question.name == "alive.test" else []
    )
    before, count = sockets_open(), 100_000
    resolver, answers = new_resolver(server.address, lookups_at_once=20)
    for request in range(count):
        resolver.begin(request, BY_NAME, ("silent.test",))
    resolver.begin(count, BY_NAME, ("alive.test",))
    eventually(lambda: len(server.asked) >= 20)
    assert "alive.test" not in server.names()
    for request in range(count):
        resolver.stop(request)
    assert answers.entry_of(count).name == "alive.test"
    assert list(answers.all) == [count]
    eventually(lambda: sockets_open() <= before + 3)


def test_stops_that_race_with_answers_lose_no_other_lookup(new_server, new_resolver):
    server = new_server(lambda question: [question.reply(question.a())])
    resolver, answers = new_resolver(server.address, lookups_at_once=10)
    for request in range(0, 3000, 2):
        resolver.begin(request, BY_NAME, (f"a{request}.test",))
        resolver.begin(request + 1, BY_NAME, (f"a{request + 1}.test",))
        resolver.stop(max(request - 12, 0))
    for request in range(1, 3000, 2):
        assert answers.entry_of(request).name == f"a{request}.test"


def test_a_closed_resolver_says_nothing(new_server, new_resolver):
    server = new_server(lambda _: [])
    before = sockets_open()
    resolver, answers = new_resolver(server.address, lookups_at_once=5)
    for request in range(20):
        resolver.begin(request, BY_NAME, (f"a{request}.test",))
    questions = [server.questions.get(timeout=WAIT_S) for _ in range(5)]
    resolver.close()
    resolver.begin(99, BY_NAME, ("192.0.2.1",))
    for each in questions:
        server.udp.sendto(each.reply(each.a()), each.client)
    eventually(lambda: sockets_open() == before)
    assert not answers.all
    assert len(server.asked) == 5


def test_idle_channels_are_given_up(new_server, new_resolver, monkeypatch):
    monkeypatch.setattr("rescind.actors.winsock.drivers._channels._IDLE_S", 0.01)
    server = new_server(lambda question: [question.reply(question.a())])
    before = sockets_open()
    resolver, answers = new_resolver(server.address)
    resolver.begin(1, BY_NAME, ("a.test",))
    answers.of(1)
    eventually(lambda: sockets_open() == before + 2)
    resolver.begin(2, BY_NAME, ("b.test",))
    assert answers.entry_of(2).name == "b.test"
