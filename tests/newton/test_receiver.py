"""The receiver: where a piece ends, and what becomes of its bytes (spec 3.3)."""

from typing import Any

import pytest

from rescind.actors.newton._forms import encode

from .receiving import BAD_DATA, OVERFLOW, PACKET, Line


@pytest.fixture
def line() -> Line:
    return Line()


# --- terminations --------------------------------------------------------------------------------


def test_a_piece_ends_after_its_bytes(line):
    line.arm(form="bytes", byte_count=3)
    line.feed(b"abcde", b"f")
    assert line.port.pieces == [b"abc", b"def"]
    assert line.port.ends == [["byteCount", None, 3]] * 2


def test_a_piece_ends_with_its_sequence_which_it_includes(line):
    line.arm(end_sequence=[b"\r\n"])
    line.feed(b"one\r", b"\ntwo\r\nthr")
    assert line.port.pieces == ["one\r\n", "two\r\n"]
    assert line.port.ends == [["endSequence", 0, 5]] * 2


def test_of_two_terminations_the_one_that_is_met_first_ends_the_piece(line):
    line.arm(form="bytes", byte_count=4, end_sequence=[b"\n"])
    line.feed(b"a\nbcdef\n")
    assert line.port.pieces == [b"a\n", b"bcde", b"f\n"]
    assert [end[0] for end in line.port.ends] == ["endSequence", "byteCount", "endSequence"]


def test_a_feed_as_long_as_a_piece_may_end_before(line):
    line.arm(form="bytes", byte_count=4, end_sequence=[b"\n"])
    line.feed(b"a\nbc")
    assert line.port.pieces == [b"a\n"]


def test_at_the_same_byte_the_byte_count_goes_before_the_sequence(line):
    line.arm(form="bytes", byte_count=2, end_sequence=[b"\n"])
    line.feed(b"a\n")
    assert line.port.ends == [["byteCount", None, 2]]


def test_at_the_same_byte_the_sequence_goes_before_the_packets_end(line):
    line.arm(form="bytes", end_sequence=[b"\n"], rcv_flags=PACKET)
    line.feed(b"a\n", b"b")
    assert line.port.ends == [["endSequence", 0, 2], ["useEOP", None, 1]]


def test_the_sequence_that_ends_first_wins_and_its_index_is_told(line):
    line.arm(form="bytes", end_sequence=[b"abcd", b"bc", b"x"])
    line.feed(b"-abcd--x")
    assert line.port.pieces == [b"-abc", b"d--x"]
    assert line.port.ends == [["endSequence", 1, 4], ["endSequence", 2, 4]]


def test_of_sequences_that_end_together_the_one_listed_first_wins(line):
    line.arm(form="bytes", end_sequence=[b"\n", b"\r\n"])
    line.feed(b"a\r\n")
    assert line.port.ends == [["endSequence", 0, 3]]


def test_a_sequence_is_not_completed_by_bytes_of_the_piece_before(line):
    line.arm(form="bytes", end_sequence=[b"aba"])
    line.feed(b"aba", b"ba", b"aba")
    assert line.port.pieces == [b"aba", b"baaba"]


def test_no_bytes_are_no_arrival(line):
    line.arm(form="bytes")
    line.feed(b"")
    assert line.port.calls == []


def test_without_a_termination_nothing_completes_a_piece(line):
    line.arm(form="bytes")
    line.feed(b"abc")
    assert line.port.calls == [("arrived", 1)]


class CountingBuffer(bytearray):
    """Counts the bytes that ``find`` was to look through."""

    looked_at = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        CountingBuffer.looked_at += (len(self) if end is None else end) - start
        return super().find(sub, start, end)


@pytest.fixture
def counted(line):
    CountingBuffer.looked_at = 0
    line.receiver._buffer = CountingBuffer()
    return line


def test_a_large_piece_in_small_feeds_is_searched_once(counted):
    counted.arm(form="bytes", end_sequence=[b"\r\n"], discard_after=100_000)
    counted.feed(*[b"0123456789"] * 2_000)
    assert counted.port.pieces == []
    assert CountingBuffer.looked_at < 2 * 20_000
    counted.feed(b"\r\n")
    assert len(counted.port.pieces[0]) == 20_002


@pytest.mark.parametrize(("size", "pieces"), [(10, 2_000), (1_000, 200)])
def test_a_sequence_that_never_comes_is_not_sought_in_the_whole_buffer_for_each_piece(
    counted, size, pieces
):
    counted.arm(form="bytes", end_sequence=[b"never", b"\n"], discard_after=size + 1)
    counted.feed((b"x" * size + b"\n") * pieces)
    assert len(counted.port.pieces) == pieces
    assert CountingBuffer.looked_at < 2 * pieces * 2 * max(2 * size, 256)


# --- filters -------------------------------------------------------------------------------------


def test_bytes_are_replaced_or_deleted_as_they_come_in(line):
    line.arm(byte_proxy=[[0, 0x20], [ord("x"), None]], end_sequence=[b"\n"])
    line.feed(b"a\0xbx", b"xx", b"\n")
    assert line.port.pieces == ["a b\n"]


def test_a_byte_may_be_replaced_by_a_zero(line):
    line.arm(form="bytes", byte_proxy=[[1, 0]], byte_count=2)
    line.feed(b"\1\2")
    assert line.port.pieces == [b"\0\2"]


def test_seven_bit_strips_the_high_bit_before_proxies_are_looked_up(line):
    line.arm(form="bytes", seven_bit=True, byte_proxy=[[0x41, 0x42]], byte_count=3)
    line.feed(b"\xc1\x41\xff")
    assert line.port.pieces == [b"\x42\x42\x7f"]


def test_a_byte_count_counts_what_is_left_by_the_filter(line):
    line.arm(form="bytes", byte_proxy=[[ord("-"), None]], byte_count=3)
    line.feed(b"-a-b-", b"-c-d")
    assert line.port.pieces == [b"abc"]
    line.feed(b"ef")
    assert line.port.pieces == [b"abc", b"def"]


def test_no_byte_is_filtered_twice(line):
    line.arm(form="bytes", byte_proxy=[[ord("a"), ord("b")], [ord("b"), ord("c")]], byte_count=2)
    line.feed(b"aaa", b"b")
    assert line.port.pieces == [b"bb", b"bc"]


def test_what_comes_while_nothing_is_posted_waits_for_the_filter_of_the_next_receive(line):
    line.feed(b"a-b")
    line.arm(form="bytes", byte_proxy=[[ord("-"), None]], byte_count=2)
    assert line.port.pieces == [b"ab"]


def test_what_a_filter_deletes_still_is_an_arrival(line):
    line.arm(byte_proxy=[[0, None]])
    line.feed(b"\0")
    assert line.port.calls == [("arrived", 1)]
    assert line.receiver.partial() is None


# --- discard_after -------------------------------------------------------------------------------


def test_exactly_the_newest_bytes_are_kept(line):
    line.arm(form="bytes", discard_after=4)
    line.feed(b"ab", b"cd")
    assert line.receiver.partial() == b"abcd"
    line.feed(b"e")
    assert line.receiver.partial() == b"bcde"
    line.feed(b"0123456789")
    assert line.receiver.partial() == b"6789"


def test_unless_said_otherwise_the_newest_1024_bytes_are_kept(line):
    line.arm(form="bytes", end_sequence=[b"\n"])
    line.feed(b"a", b"b" * 1_024)
    assert line.receiver.partial() == b"b" * 1_024
    line.feed(b"\n")
    assert line.port.pieces == [b"b" * 1_023 + b"\n"]
    assert line.port.ends == [["endSequence", 0, 1_024]]


def test_a_sequence_longer_than_what_is_kept_is_found_nevertheless(line):
    line.arm(form="bytes", end_sequence=[b"12345"], discard_after=2)
    line.feed(b"--", b"12", b"34")
    assert line.receiver.partial() == b"34"
    line.feed(b"5")
    assert line.port.pieces == [b"45"]


def test_nothing_is_discarded_that_a_byte_count_waits_for(line):
    line.arm(form="bytes", byte_count=3_000, discard_after=10)
    line.feed(b"a" * 2_999, b"b")
    assert line.port.pieces == [b"a" * 2_999 + b"b"]


# --- packets -------------------------------------------------------------------------------------


def test_in_packets_each_physical_buffer_is_a_piece_and_the_byte_count_is_ignored(line):
    line.arm(form="bytes", rcv_flags=PACKET, byte_count=2)
    line.feed(b"abc", b"d")
    assert line.port.pieces == [b"abc", b"d"]
    assert line.port.ends == [["useEOP", None, 3], ["useEOP", None, 1]]


def test_without_use_eop_packets_end_nothing(line):
    line.arm(form="bytes", rcv_flags=PACKET, use_eop=False, byte_count=2)
    line.feed(b"a", b"bc")
    assert line.port.pieces == [b"ab"]


def test_a_packet_may_come_in_several_feeds(line):
    line.arm(form="bytes", rcv_flags=PACKET)
    line.feed(b"ab", b"c", is_packet_end=False)
    assert line.port.pieces == []
    line.feed(b"", is_packet_end=True)
    assert line.port.pieces == [b"abc"]


def test_packets_that_wait_keep_their_ends(line):
    line.feed(b"ab", b"cde", b"")
    line.arm(form="bytes", byte_count=1)
    assert line.port.pieces == [b"a"]
    line.arm(form="bytes", rcv_flags=PACKET)
    line.drain()
    assert line.port.pieces == [b"a", b"b", b"cde"]


def test_a_sequence_does_not_reach_across_packets(line):
    line.arm(form="bytes", end_sequence=[b"\r\n"], rcv_flags=PACKET)
    line.feed(b"a\r", b"\n")
    assert line.port.ends == [["useEOP", None, 2], ["useEOP", None, 1]]


# --- forms with a size of their own --------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "values"),
    [
        ({"form": "char"}, ["a", "b", "c"]),
        ({"form": "number"}, [1, -2, 2**31 - 1]),
        ({"form": "frame"}, [{}, {"a": [1, "two"]}, {"long": "x" * 5_000}]),
    ],
)
def test_values_are_received_whole_however_they_are_cut(line, slots, values):
    wire = b"".join(encode(value, slots["form"]) for value in values)
    line.arm(**slots)
    line.feed(*[wire[at : at + 1] for at in range(len(wire))])
    line.feed(wire)
    assert line.port.pieces == values * 2


def test_a_template_is_as_long_as_its_typelist_says(line):
    line.arm(form="template", typelist=["struct", "short", "byte"])
    line.feed(b"\x01\x02\x03\x00\xff")
    assert line.port.pieces == [[0x102, 3]]
    assert line.port.ends == [["byteCount", None, 4]]


def test_strings_are_decoded_in_the_encoding_of_the_endpoint():
    line = Line(encoding="mac-roman")
    line.arm(byte_count=1)
    line.feed("é".encode("mac-roman"))
    assert line.port.pieces == ["é"]


def test_a_frame_that_is_too_long_ends_the_receive_before_it_is_there():
    line = Line(frame_bytes_max=10)
    line.arm(form="frame")
    line.feed(b"\0\0\0", b"\x0b")
    assert line.port.codes == [OVERFLOW]
    line.again()
    assert line.port.codes == [OVERFLOW] * 2


def test_a_frame_as_long_as_allowed_is_received():
    wire = encode({"a": "12345"}, "frame")
    line = Line(frame_bytes_max=len(wire) - 4)
    line.arm(form="frame")
    line.feed(wire)
    assert line.port.pieces == [{"a": "12345"}]


def test_garbage_in_place_of_a_frame_ends_the_receive_and_the_next_one_goes_on(line):
    line.arm(form="frame")
    line.feed(b"\0\0\0\1\xc1" + encode({"a": 1}, "frame"))
    assert line.port.codes == [BAD_DATA]
    line.again()
    assert line.port.pieces == [{"a": 1}]


# --- binary in place -----------------------------------------------------------------------------


def test_binary_data_is_put_into_its_target_from_the_offset_on(line):
    target = bytearray(b"......")
    line.arm(target, form="binary", offset=2)
    line.receiver.feed(b"ab")
    line.receiver.feed(b"cdef")
    assert target == b"..abcd"
    [data], [end] = line.port.pieces, line.port.ends
    assert data.obj is target
    assert data == b"abcd"
    assert end == ["byteCount", None, 4]
    line.again()
    assert target == b"..efcd"


def test_a_binary_piece_may_end_before_its_target_is_full(line):
    target = bytearray(4)
    line.arm(target, form="binary", byte_count=3)
    line.receiver.feed(b"abcd")
    assert line.port.pieces == [b"abc"]
    assert target == b"abc\0"


def test_a_byte_count_past_the_target_stops_at_its_end(line):
    line.arm(bytearray(2), form="binary", byte_count=3)
    line.receiver.feed(b"abc")
    assert line.port.pieces == [b"ab"]


def test_the_tool_may_read_directly_into_the_target(line):
    target = bytearray(4)
    line.arm(target, form="binary", byte_count=3)
    line.receiver.room()[:2] = b"ab"
    line.receiver.filled(2)
    assert line.port.calls == [("arrived", 1)]
    room = line.receiver.room()
    assert len(room) == 1
    room[:] = b"c"
    line.receiver.filled(1)
    assert line.port.pieces == [b"abc"]
    assert target == b"abc\0"


def test_what_waited_comes_before_what_is_read_directly(line):
    target = bytearray(4)
    line.feed(b"ab")
    line.arm(target, form="binary")
    room = line.receiver.room()
    room[:] = b"cd"
    line.receiver.filled(2)
    assert line.port.pieces == [b"abcd"]


def test_there_is_room_only_for_a_posted_binary_receive(line):
    assert line.receiver.room() is None
    line.arm(form="bytes", byte_count=3)
    assert line.receiver.room() is None
    line.receiver.stop()
    line.arm(bytearray(1), form="binary")
    line.receiver.stop()
    assert line.receiver.room() is None


def test_what_was_read_for_a_receive_that_was_stopped_meanwhile_is_not_lost(line):
    line.arm(bytearray(4), form="binary")
    line.receiver.room()[:2] = b"ab"
    line.receiver.stop()
    line.receiver.filled(2)
    line.arm(form="bytes", byte_count=2)
    assert line.port.pieces == [b"ab"]


def test_in_packets_a_binary_piece_ends_with_its_packet(line):
    line.feed(b"abc", b"de")
    line.arm(bytearray(8), form="binary", rcv_flags=PACKET, byte_count=1)
    assert line.port.pieces == [b"abc"]
    line.again()
    line.again()
    line.receiver.room()[:1] = b"f"
    line.receiver.filled(1)
    assert line.port.ends == [["useEOP", None, 3], ["useEOP", None, 2], ["useEOP", None, 1]]


def test_packets_that_another_receive_has_looked_at_are_still_packets(line):
    line.arm(form="bytes")
    line.feed(b"abc", b"de")
    line.receiver.stop()
    line.arm(bytearray(8), form="binary", rcv_flags=PACKET)
    line.drain()
    assert [end[2] for end in line.port.ends] == [3, 2]


def test_a_packet_longer_than_its_target_fills_several_pieces(line):
    line.arm(bytearray(2), form="binary", rcv_flags=PACKET)
    line.feed(b"abc")
    assert [end[0] for end in line.port.ends] == ["byteCount", "useEOP"]
