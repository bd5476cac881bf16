"""Damage is told exactly, and never read as something else."""

from dataclasses import replace
from itertools import product
from zlib import crc32

import pytest

from rescind.events import (
    By,
    LogDamagedError,
    LogFormatError,
    NotALogError,
    Origin,
    Tell,
    Unknown,
    read,
)
from rescind.events._frame import BATCH, encode, seed_of
from rescind.events._msgpack import pack
from rescind.events._recovery import BATCH_ROWS, SEGMENT_ROWS, classify
from rescind.events._segment import Flaw, Opening, Window, read_preamble

from .logs import FrozenStorage, lost_numbers, open_log, record, small_log, turns_of


def ends_of_batches(segments, number=1):
    """Return where the preamble and then each batch of a segment end."""
    storage = FrozenStorage(segments)
    opening = read_preamble(Window(storage, number))
    assert isinstance(opening, Opening)
    batches = [batch for batch in read(storage).batches() if batch.segment == number]
    return [opening.end, *(batch.offset + batch.length for batch in batches)]


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def same_but_for_lost_bindings(turn, original):
    """Say whether nothing is wrong in a turn, where lost bindings are said to be lost."""
    if turn.by is not None and "?" in (turn.by.who, turn.by.file):
        assert original.by is not None
        turn = replace(turn, by=original.by)
    return turn == original


# --- every prefix ------------------------------------------------------------------------------


def test_every_prefix_of_a_log_reads_as_its_whole_batches():
    segments = small_log()
    data, ends = segments[1], ends_of_batches(segments)
    whole, _ = turns_of(segments)
    for length in range(len(data)):
        turns, damage = turns_of({1: data[:length]}, verify_chain=True)
        complete = sum(end <= length for end in ends) - 1
        expected = [2, 5, 8][complete - 1] if complete > 0 else 0
        assert [turn.number for turn in turns] == [turn.number for turn in whole[:expected]]
        assert turns == whole[:expected]
        assert [place.torn for place in damage] == ([] if length in ends else [True])
        assert not lost_numbers(damage, 8)


def test_every_prefix_of_a_log_can_be_written_on():
    segments = small_log()
    data, ends = segments[1], ends_of_batches(segments)
    whole, _ = turns_of(segments)
    for length in range(len(data)):
        storage = FrozenStorage({1: data[:length]})
        log = open_log(storage=storage)
        number = log.append(record(log, Tell("later")))
        log.write(log.seal())
        reader = read(storage, verify_chain=True)
        turns = list(reader)
        assert storage.read(1, 0, 1 << 20) == data[:length]
        assert [turn.number for turn in turns] == list(range(1, number + 1))
        assert turns[:-1] == whole[: number - 1]
        assert turns[-1].message == Tell("later")
        assert turns[-1].epoch == (2 if length >= ends[0] else 1)
        assert reader.info().whole
        assert all(place.torn for place in reader.damage)


def test_a_tail_of_unwritten_blocks_is_torn_and_not_rotten():
    data = small_log()[1]
    start, end = ends_of_batches({1: data})[-2:]
    for torn in (
        data + bytes(600),
        data[: end - 50] + bytes(50),
        data[:start] + bytes(end - start),
    ):
        turns, damage = turns_of({1: torn})
        assert [place.row for place in damage] == ["torn-blank"]
        assert len(turns) in (5, 8)


# --- every bit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("lives", "stride"), [(1, 1), (2, 5)])
def test_no_flipped_bit_is_read_wrongly_or_goes_unreported(lives, stride):
    segments = small_log(lives, batches=2)
    whole, none = turns_of(segments, verify_chain=True)
    assert none == []
    originals = {turn.number: turn for turn in whole}
    for number, data in segments.items():
        for bit in range(0, len(data) * 8, stride):
            changed = segments | {number: flipped(data, bit)}
            try:
                turns, damage = turns_of(changed, verify_chain=True)
            except (LogFormatError, NotALogError):
                continue
            assert damage
            seen = [turn.number for turn in turns]
            assert seen == sorted(set(seen))
            for turn in turns:
                assert same_but_for_lost_bindings(turn, originals[turn.number])
            lost = lost_numbers(damage, len(whole))
            assert lost | set(seen) == set(originals)
            assert not lost & set(seen)


def test_a_log_with_a_flipped_bit_can_be_written_on_and_no_number_is_given_twice():
    segments = small_log(batches=2)
    data = segments[1]
    highest = len(turns_of(segments)[0])
    for bit in range(0, len(data) * 8, 5):
        storage = FrozenStorage({1: flipped(data, bit)})
        try:
            log = open_log(storage=storage)
        except (LogFormatError, LogDamagedError):
            continue
        assert log.actors_next >= 3
        number = log.append(record(log, Tell("later")))
        log.write(log.seal())
        reader = read(storage, verify_chain=True)
        turns = list(reader)
        assert reader.damage
        assert number > highest
        assert turns[-1].number == number
        assert turns[-1].message == Tell("later")
        lost = lost_numbers(reader.damage, number)
        assert lost | {turn.number for turn in turns} == set(range(1, number + 1))


# --- rows --------------------------------------------------------------------------------------


def test_exactly_one_row_of_the_table_matches_whatever_is_seen():
    sights = [("good", "bad"), ("good", "short"), ("bad", ""), ("short", "")]
    met = set()
    both = (False, True)
    for (header, body), follows, blank, promised in product(sights, both, both, both):
        flaw = Flaw(1, 1, header, body, follows=follows, blank=blank)
        met.add(classify(flaw, promised=promised))
    assert met == set(BATCH_ROWS)


def three_lives():
    return small_log(lives=3, batches=1)


def one_place(segments, **options):
    turns, (place,) = turns_of(segments, **options)
    return [turn.number for turn in turns], (place.row, place.segment, place.first, place.last)


def test_a_missing_segment_is_named_with_its_numbers():
    segments = three_lives()
    del segments[2]
    assert one_place(segments) == ([1, 2, 5, 6], ("missing-segment", 2, 3, 4))


def test_removed_old_segments_are_no_damage():
    segments = three_lives()
    del segments[1]
    assert turns_of(segments, verify_chain=True)[1] == []
    assert [turn.number for turn in turns_of(segments)[0]] == [3, 4, 5, 6]


def test_a_foreign_file_is_named_with_the_numbers_it_stands_for():
    segments = three_lives() | {2: b"not a segment at all"}
    assert one_place(segments) == ([1, 2, 5, 6], ("foreign", 2, 3, 4))


def test_another_logs_segment_is_left_out():
    other = open_log(storage=(storage := FrozenStorage({})))
    other.log_id = b"o" * 16
    other._begin_segment(2, bytes(32), None, 1)
    segments = three_lives() | {2: storage.read(2, 0, 1 << 20)}
    assert one_place(segments) == ([1, 2, 5, 6], ("other-log", 2, 3, 4))


def test_a_duplicated_segment_is_left_out():
    segments = three_lives()
    segments[4] = segments[2]
    assert one_place(segments) == ([1, 2, 3, 4, 5, 6], ("misplaced", 4, None, None))


def test_exchanged_segments_are_both_left_out():
    segments = three_lives()
    segments[2], segments[3] = segments[3], segments[2]
    turns, damage = turns_of(segments)
    assert [turn.number for turn in turns] == [1, 2]
    assert [(place.row, place.segment) for place in damage] == [("misplaced", 2), ("misplaced", 3)]


def test_a_segment_cut_at_a_batch_is_noticed_by_the_next():
    segments = three_lives()
    segments[2] = segments[2][: ends_of_batches(segments, 2)[0]]
    assert one_place(segments) == ([1, 2, 5, 6], ("missing", 3, 3, 4))


def test_a_segment_cut_inside_a_batch_is_rot_when_the_next_knew_more():
    segments = three_lives()
    segments[2] = segments[2][:-10]
    assert one_place(segments) == ([1, 2, 5, 6], ("rot-cut", 2, 3, 4))


def test_a_tear_that_the_next_writer_saw_stays_a_tear():
    data = small_log(batches=1)[1]
    storage = FrozenStorage({1: data[:-10]})
    log = open_log(storage=storage)
    log.append(record(log, Tell("again")))
    log.write(log.seal())
    reader = read(storage, verify_chain=True)
    assert [turn.number for turn in reader] == [1]
    assert [place.row for place in reader.damage] == ["torn-body"]


def test_rot_in_a_body_names_its_numbers_and_reading_goes_on_behind_it():
    segments = small_log()
    start = ends_of_batches(segments)[1]
    segments[1] = flipped(segments[1], (start + 60) * 8)
    assert one_place(segments) == ([1, 2, 6, 7, 8], ("rot-body", 1, 3, 5))


def test_rot_in_a_header_names_its_numbers_and_reading_goes_on_behind_it():
    segments = small_log()
    start = ends_of_batches(segments)[1]
    segments[1] = flipped(segments[1], (start + 10) * 8)
    assert one_place(segments) == ([1, 2, 6, 7, 8], ("rot-header", 1, 3, 5))


def test_rot_at_the_end_says_that_the_loss_is_open():
    segments = small_log()
    start = ends_of_batches(segments)[2]
    segments[1] = flipped(segments[1], (start + 10) * 8)
    assert one_place(segments) == ([1, 2, 3, 4, 5], ("rot-tail", 1, 6, None))


def test_a_rotten_preamble_costs_its_segment_and_no_more():
    segments = three_lives()
    segments[2] = flipped(segments[2], 100 * 8)
    assert one_place(segments) == ([1, 2, 5, 6], ("rot-preamble", 2, 3, 4))


def test_a_changed_link_is_noticed_when_the_chain_is_verified():
    segments = small_log()
    end = ends_of_batches(segments)[1]
    segments[1] = flipped(segments[1], (end - 1) * 8)
    assert turns_of(segments)[1] == []
    turns, damage = turns_of(segments, verify_chain=True)
    assert len(turns) == 8
    assert {place.row for place in damage} == {"chain"}


def appended_by_hand(segments, bodies, first=9):
    """Append batches whose checksums hold, whatever their bodies are."""
    storage = FrozenStorage(segments)
    opening = read_preamble(Window(storage, 1))
    assert isinstance(opening, Opening)
    for count, body in bodies:
        offset = storage.size(1)
        seed = seed_of(1, offset, opening.preamble.salt)
        data, _ = encode((BATCH, opening.preamble.epoch, first, count), body, seed, bytes(32))
        storage.append(1, offset, data)
        first += count
    return {1: storage.read(1, 0, 1 << 30)}


PRELUDE = pack((1, ()))
GOOD = pack((1, 2, 0, 0, None, (), None))
HOSTILE = {
    "no prelude": (1, b"\xc1" * 20),
    "a prelude that is no array": (1, pack(5) + GOOD),
    "bindings that are no rows": (1, pack((1, (5,))) + GOOD),
    "fewer records than counted": (2, PRELUDE + GOOD + b" " * 8),
    "a record that is no array": (1, PRELUDE + pack("x" * 20)),
    "a record that is too short": (1, PRELUDE + pack((1, 2)) + b" " * 9),
    "a record of wrong types": (1, PRELUDE + pack(("a", 2, 0, 0, None, (), None))),
    "a message that is no array": (1, PRELUDE + pack((1, 2, 0, 0, 5, (), None))),
    "a message without a kind": (1, PRELUDE + pack((1, 2, 0, 0, (), (), None))),
    "a message whose kind is a map": (1, PRELUDE + pack((1, 2, 0, 0, ({},), (), None))),
    "a cause that is text": (1, PRELUDE + pack((1, 2, 0, "x", None, (), None))),
    "an array that claims a terabyte": (1, PRELUDE + b"\x97\x01\x02\x00\x00\xdd\xff\xff\xff\xff"),
    "arrays that multiply": (1, PRELUDE + b"\x97\x01\x02\x00\x00" + b"\xdd\x00\x0f\xff\xff" * 900),
    "nesting without end": (1, PRELUDE + b"\x97\x01\x02\x00\x00" + b"\x91" * 100_000),
    "an impossible timestamp": (1, PRELUDE + b"\x97\x01\x02\x00\x00\xd4\xff\x00\x90\xc0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_batch_that_lies_under_valid_checksums_costs_only_itself(name):
    segments = small_log()
    batches = [HOSTILE[name], (1, PRELUDE + GOOD)]
    turns, damage = turns_of(appended_by_hand(segments, batches))
    behind = 9 + HOSTILE[name][0]
    numbers = [turn.number for turn in turns]
    assert numbers[:8] == list(range(1, 9))
    assert numbers[-1] == behind
    assert {place.row for place in damage} == {"undecodable"}
    assert lost_numbers(damage, behind) | set(numbers) == set(range(1, behind + 1))


def test_valid_messagepack_that_python_finds_hard_is_read_all_the_same():
    unhashable = b"\x81\x81\x01\x02\x03"
    invalid_text = b"\xa2\xff\xfe"
    long_array = b"\xdd" + (5_000).to_bytes(4, "big") + b"\x01" * 5_000
    twice = b"\x82\x01\x02\x01\x03"
    value = b"\x94" + unhashable + invalid_text + long_array + twice
    body = PRELUDE + b"\x97\x01\x02\x00\x00\x92\x63" + value + b"\x90\xc0"
    turns, damage = turns_of(appended_by_hand(small_log(), [(1, body)]))
    assert damage == []
    message = turns[-1].message
    assert isinstance(message, Unknown)
    (hard,) = message.values
    assert hard == ((({1: 2}, 3),), "\udcff\udcfe", (1,) * 5_000, {1: 3})


def test_records_may_grow_and_origins_may_be_new():
    body = PRELUDE + pack((1, 2, 77, 0, None, (), None, 0, "later"))
    turns, damage = turns_of(appended_by_hand(small_log(), [(1, body)]))
    assert damage == []
    assert turns[-1].origin == 77
    assert turns[-1].replayable
    assert turns[0].origin is Origin.APP


def test_numbers_that_were_taken_are_not_read_twice():
    segments = appended_by_hand(small_log(), [(1, PRELUDE + GOOD)], first=4)
    turns, damage = turns_of(segments)
    assert [turn.number for turn in turns] == list(range(1, 9))
    assert [place.row for place in damage] == ["repeated"]


def test_a_log_inside_a_payload_is_never_taken_for_the_log():
    inner = small_log()[1]
    log = open_log()
    log.append(record(log, Tell(inner)))
    log.write(log.seal())
    log.append(record(log, Tell("behind")))
    log.write(log.seal())
    data = log.storage.read(1, 0, 1 << 20)
    start = ends_of_batches({1: data})[0]
    turns, damage = turns_of({1: flipped(data, (start + 2) * 8)})
    assert [turn.message for turn in turns] == [Tell("behind")]
    assert [(place.row, place.first, place.last) for place in damage] == [("rot-header", 1, 1)]


def test_lost_bindings_are_said_to_be_lost():
    segments = small_log()
    start = ends_of_batches(segments)[0]
    segments[1] = flipped(segments[1], (start + 60) * 8)
    turns, _ = turns_of(segments)
    assert turns[0].number == 3
    assert turns[0].by == By("?", "?", 0, "?")


# --- telling -----------------------------------------------------------------------------------


def test_strict_reading_raises_at_rot_and_says_where():
    segments = small_log()
    start = ends_of_batches(segments)[1]
    reader = read(FrozenStorage({1: flipped(segments[1], (start + 60) * 8)}), strict=True)
    with pytest.raises(
        LogDamagedError, match=rf"segment 1 at byte {start}: .*\(rot-body\)"
    ) as caught:
        list(reader)
    assert caught.value.damage == reader.damage[0]


def test_strict_reading_lets_a_torn_tail_pass():
    data = small_log()[1]
    assert len(list(read(FrozenStorage({1: data[:-1]}), strict=True))) == 5


def test_a_later_format_is_refused_by_readers_and_writers():
    data = bytearray(small_log()[1])
    header = data[:21]
    header[12:16] = (7).to_bytes(4, "big")
    data[:21] = header
    data[22:26] = crc32(header).to_bytes(4, "big")
    with pytest.raises(LogFormatError, match=r"log format 7, .* up to 0; use a newer"):
        read(FrozenStorage({1: bytes(data)}))
    with pytest.raises(LogFormatError) as caught:
        open_log(storage=FrozenStorage({1: bytes(data)}))
    assert (caught.value.format, caught.value.known) == (7, 0)


def test_segments_that_are_no_segments_are_not_a_log():
    with pytest.raises(NotALogError):
        read(FrozenStorage({1: b"hello", 2: b"world"}))


def test_a_log_that_cannot_say_which_it_is_cannot_be_written_on():
    segments = {1: flipped(small_log()[1], 200 * 8)}
    with pytest.raises(LogDamagedError, match="begin a new log"):
        open_log(storage=FrozenStorage(segments))
    turns, damage = turns_of(segments)
    assert turns == []
    assert [(place.row, place.first, place.last) for place in damage] == [("rot-preamble", 1, None)]


def test_the_overview_says_in_one_line_whether_the_log_is_whole():
    segments = small_log(lives=2)
    assert read(FrozenStorage(segments)).info().verdict == "whole"
    torn = segments | {2: segments[2][:-1]}
    assert read(FrozenStorage(torn)).info().verdict.startswith("whole but for 1 unfinished end")
    rotten = segments | {1: flipped(segments[1], 8 * (len(segments[1]) - 50))}
    info = read(FrozenStorage(rotten)).info()
    assert not info.whole
    assert info.verdict.startswith("damaged in 1 place, first in segment 1 at byte")
    assert (info.first, info.last, info.records, info.batches) == (1, 16, 13, 5)
    assert info.epochs == (1, 2)
    assert [(one.number, one.first, one.last) for one in info.segments] == [(1, 1, 5), (2, 9, 16)]


def test_every_row_has_a_text():
    labels = {row.label for row in BATCH_ROWS} | set(SEGMENT_ROWS)
    assert all(label == label.lower() for label in labels)
    assert all(row.text for row in BATCH_ROWS)


def test_a_batch_from_another_place_never_verifies():
    segments = small_log()
    ends = ends_of_batches(segments)
    data = segments[1]
    segments[1] = data + data[ends[0] : ends[1]]
    turns, damage = turns_of(segments)
    assert len(turns) == 8
    assert [(place.row, place.first, place.last) for place in damage] == [("rot-tail", 9, None)]
