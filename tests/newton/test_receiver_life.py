"""The receiver: posted, read in part, stopped, ended, held back (spec 2, 3.3, 5.9, 6.11)."""

import pytest

from rescind.actors.newton.drivers._receiver import RECEIVE_BYTES

from .receiving import NOT_CONNECTED, PACKET, Line


@pytest.fixture
def line() -> Line:
    return Line()


# --- take, partial, flush ------------------------------------------------------------------------


def test_take_hands_over_what_is_buffered_and_the_receive_stays_posted(line):
    line.arm(end_sequence=[b"\n"])
    line.feed(b"ab")
    line.receiver.take(1)
    assert (line.port.pieces, line.port.ends) == (["ab"], [None])
    line.receiver.feed(b"c\n")
    assert line.port.pieces == ["ab", "c\n"]


def test_take_cuts_what_it_hands_over_to_the_newest_bytes(line):
    line.arm(form="bytes", discard_after=2, end_sequence=[b"12345"])
    line.feed(b"abcd")
    line.receiver.take(1)
    assert line.port.pieces == [b"cd"]


@pytest.mark.parametrize("slots", [{}, {"form": "number"}])
def test_take_does_nothing_without_something_that_can_be_read(line, slots):
    line.arm(**slots)
    line.receiver.take(1)
    line.receiver.feed(b"ab")
    line.receiver.take(2)
    assert line.port.pieces == []
    if slots:
        line.receiver.take(1)
        assert line.port.pieces == []


def test_partial_shows_what_is_there_and_leaves_it(line):
    assert line.receiver.partial() is None
    line.arm(byte_count=4)
    assert line.receiver.partial() is None
    line.feed("aé".encode())
    assert line.receiver.partial() == "aé"
    line.feed(b"b")
    assert line.port.pieces == ["aéb"]
    assert line.receiver.partial() is None


def test_partial_shows_nothing_of_forms_that_cannot_be_read_in_part(line):
    line.arm(form="number")
    line.feed(b"ab")
    assert line.receiver.partial() is None


def test_flush_partial_drops_what_was_seen_and_no_more(line):
    line.arm(form="bytes")
    line.feed(b"ab")
    line.receiver.flush(partial=True)
    assert line.receiver.partial() == b"ab"
    line.feed(b"cd")
    line.receiver.flush(partial=True)
    assert line.receiver.partial() == b"cd"
    line.receiver.flush(partial=True)
    line.receiver.flush(partial=True)
    assert line.receiver.partial() is None


def test_flush_partial_drops_no_byte_of_what_took_the_place_of_what_was_seen(line):
    line.arm(form="bytes", byte_count=4)
    line.feed(b"ab")
    line.receiver.partial()
    line.feed(b"cdef")
    line.receiver.flush(partial=True)
    assert line.receiver.partial() == b"ef"


def test_flush_drops_everything_also_what_waits(line):
    line.arm(form="bytes", byte_count=9)
    line.feed(b"ab")
    line.receiver.flush(partial=False)
    line.receiver.stop()
    line.feed(b"cd")
    line.receiver.flush(partial=False)
    line.arm(form="bytes", byte_count=1)
    assert line.port.pieces == []


# --- posting, stopping, the end ------------------------------------------------------------------


def test_a_post_that_finds_its_piece_hands_it_over_at_once(line):
    line.feed(b"a\nb\n")
    line.arm(end_sequence=[b"\n"])
    assert line.port.calls == [("received", 1, "a\n", ["endSequence", 0, 2], None)]


def test_nothing_is_reported_while_nothing_is_posted(line):
    line.feed(b"a\nb\n")
    line.arm(byte_count=2)
    line.receiver.feed(b"c\n")
    assert line.port.pieces == ["a\n"]


def test_a_piece_is_no_arrival_besides(line):
    line.arm(form="bytes", byte_count=2)
    line.receiver.feed(b"a")
    line.receiver.feed(b"b")
    assert [call[0] for call in line.port.calls] == ["arrived", "received"]


def test_options_go_with_the_first_piece_only(line):
    options = [["option", "sbps", 512, 9_600, None]]
    line.arm(byte_count=1, options=options)
    line.feed(b"ab")
    assert [call[4] for call in line.port.calls if call[0] == "received"] == [options, None]


def test_a_stopped_receive_leaves_the_buffer_to_the_next(line):
    line.arm(form="bytes", byte_count=4)
    line.feed(b"ab")
    assert line.receiver.stop() == 1
    assert line.receiver.stop() == 0
    line.arm(form="bytes", byte_count=2)
    assert line.port.pieces == [b"ab"]


def test_a_new_receive_searches_what_an_old_one_has_searched(line):
    line.arm(form="bytes", end_sequence=[b"x"])
    line.feed(b"a\nb")
    line.receiver.stop()
    line.arm(form="bytes", end_sequence=[b"\n"])
    assert line.port.pieces == [b"a\n"]


def test_at_the_end_complete_pieces_are_handed_over_first_one_per_post(line):
    line.arm(end_sequence=[b"\n"])
    line.receiver.feed(b"a\nb\nc")
    line.receiver.end(NOT_CONNECTED, "gone")
    line.again()
    assert line.port.codes == []
    line.again()
    assert line.port.pieces == ["a\n", "b\n"]
    assert line.port.calls[-1] == ("answer", 1, NOT_CONNECTED, "gone")
    line.again()
    assert line.port.codes == [NOT_CONNECTED] * 2


def test_the_end_ends_a_posted_receive_and_keeps_what_it_waited_with(line):
    line.arm(form="bytes", byte_count=4)
    line.feed(b"abc")
    line.receiver.end(NOT_CONNECTED, "gone")
    assert line.port.calls[-1] == ("answer", 1, NOT_CONNECTED, "gone")
    line.arm(form="bytes", byte_count=3)
    assert line.port.pieces == [b"abc"]


@pytest.mark.parametrize("form", ["bytes", "binary"])
@pytest.mark.parametrize("is_posted", [True, False])
def test_in_packets_the_rest_is_the_last_one(line, form, is_posted):
    target = bytearray(9) if form == "binary" else None
    if not is_posted:
        line.feed(b"ab", is_packet_end=False)
        line.receiver.end(NOT_CONNECTED, "gone")
    line.arm(target, form=form, rcv_flags=PACKET)
    if is_posted:
        line.feed(b"ab", is_packet_end=False)
        line.receiver.end(NOT_CONNECTED, "gone")
    assert (line.port.pieces, line.port.codes) == ([b"ab"], [])
    assert line.port.ends == [["useEOP", None, 2]]
    line.again()
    assert line.port.codes == [NOT_CONNECTED]


def test_the_rest_of_a_value_is_no_last_packet(line):
    line.arm(form="number", rcv_flags=PACKET)
    line.feed(b"ab")
    line.receiver.end(NOT_CONNECTED, "gone")
    assert (line.port.pieces, line.port.codes) == ([], [NOT_CONNECTED])


def test_a_new_connection_begins_with_nothing(line):
    line.arm(form="bytes", byte_count=4)
    line.feed(b"ab")
    line.receiver.end(NOT_CONNECTED, "gone")
    line.receiver.reset()
    line.arm(form="bytes", byte_count=2)
    line.feed(b"c")
    assert (line.port.pieces, line.port.codes) == ([], [NOT_CONNECTED])
    line.feed(b"d")
    assert line.port.pieces == [b"cd"]


# --- back-pressure -------------------------------------------------------------------------------


def test_without_a_receive_no_more_is_wanted_than_may_wait(line):
    assert line.receiver.wants_more
    line.feed(b"a" * (RECEIVE_BYTES - 1))
    assert line.receiver.wants_more
    line.feed(b"a")
    assert not line.receiver.wants_more


def test_a_posted_receive_wants_more_whatever_is_buffered(line):
    line.arm(form="bytes", byte_count=3 * RECEIVE_BYTES)
    line.feed(b"a" * 2 * RECEIVE_BYTES)
    assert line.receiver.wants_more
    line.receiver.stop()
    assert not line.receiver.wants_more


@pytest.mark.parametrize("what", ["post", "flush"])
def test_the_tool_hears_when_more_is_wanted_again(line, what):
    heard = []
    line.receiver.set_listener(lambda: heard.append(line.receiver.wants_more))
    line.feed(b"a" * RECEIVE_BYTES)
    line.receiver.flush(partial=True)
    assert heard == []
    if what == "post":
        line.arm(form="bytes", byte_count=1)
    else:
        line.receiver.flush(partial=False)
    assert heard == [True]
    line.receiver.flush(partial=False)
    assert heard == [True]


def test_a_chunk_that_is_exactly_a_piece_is_handed_over_as_it_came(line):
    """Of a flood nearly every chunk is one: neither on arrival nor while it waits is it copied."""
    first, second = (bytes([n]) * RECEIVE_BYTES for n in (1, 2))
    line.arm(form="bytes", byte_count=RECEIVE_BYTES)
    line.receiver.feed(first)
    line.receiver.feed(second)
    line.again()
    assert line.port.pieces[0] is first
    assert line.port.pieces[1] is second


def test_what_the_tool_reuses_is_copied(line):
    chunk = bytearray(b"ab")
    line.receiver.feed(memoryview(chunk))
    chunk[:] = b"--"
    line.arm(form="bytes", byte_count=2)
    assert line.port.pieces == [b"ab"]
