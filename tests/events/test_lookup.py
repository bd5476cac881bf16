"""What an index finds, held against looking at every turn."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescind.events import (
    Accepted,
    CancelBegan,
    CancelRequested,
    Completed,
    Delivered,
    Manner,
    MemoryStorage,
    Tell,
    TimedOut,
    read,
)
from rescind.events._index import GROUP_BYTES

from .logs import FrozenStorage, open_log, record, segments_of

NUMBERS = st.integers(1, 12)
RANGES = st.lists(st.tuples(NUMBERS, st.integers(0, 11)), min_size=1, max_size=2).map(
    lambda pairs: [n for first, more in pairs for n in (first, first + more)]
)
EVENTS = st.one_of(
    st.tuples(NUMBERS, NUMBERS, st.just(1)).map(
        lambda each: Accepted(each[0], each[1], "output", True, None, True, each[2])
    ),
    st.tuples(NUMBERS, st.sampled_from([None, -16005])).map(lambda each: Completed(*each, 1, 0)),
    RANGES.map(lambda ranges: Delivered(ranges, Manner.SCRIPT)),
    st.tuples(NUMBERS, RANGES).map(lambda each: CancelBegan(*each)),
    st.tuples(NUMBERS, NUMBERS).map(lambda each: CancelRequested(*each, "cancel", 0)),
)
MESSAGES = st.one_of(st.just(Tell("x" * 30)), NUMBERS.map(TimedOut), st.none())
TURNS = st.tuples(st.integers(0, 12), MESSAGES, st.lists(EVENTS, max_size=2))
SINGLE = {"request", "endpoint", "call", "by", "cancel", "scope", "target"}


BITS_STEP = 57
"""Every byte in eight, each time another of its bits."""


@pytest.fixture(autouse=True, scope="module")
def _small_groups():
    """Many groups and pages in a small log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rescind.events._index.GROUP_BYTES", 300)
        patch.setattr("rescind.events._index.PAGE_PAIRS", 3)
        yield


def written(lives, *, is_closed=True, segment_bytes_max=3000):
    """Write each life's batches of turns; what a life's last batch was may lack its seal."""
    storage = MemoryStorage()
    for number, batches in enumerate(lives, 1):
        log = open_log(storage=storage, segment_bytes_max=segment_bytes_max)
        for batch in batches:
            for actor, message, events in batch:
                log.append(record(log, message, *events, actor=actor))
            log.write(log.seal())
        if is_closed or number < len(lives):
            log.close()
        else:
            storage.close()
    return storage


def mentions(turn, number):
    """Whether a turn has to do with a number, told without what the log's code knows of it."""
    for told in filter(None, (turn.message, *turn.events)):
        for name, value in told._asdict().items():
            if name in SINGLE and value == number:
                return True
            if name in ("requests", "victims"):
                pairs = zip(value[::2], value[1::2], strict=True)
                if any(first <= number <= last for first, last in pairs):
                    return True
    return turn.actor == number


def assert_found(storage, lost=range(0)):
    """Every number is looked up; what is found is what a look at every turn finds."""
    whole = [turn for turn in read(storage) if turn.number not in lost]
    for number in range(14):
        assert list(read(storage, actor=number)) == [t for t in whole if t.actor == number]
        assert list(read(storage, about=number)) == [
            turn for turn in whole if (number and mentions(turn, number)) or turn.actor == number
        ]
        for start in (2, len(whole) // 2, len(whole) + 1):
            found = [turn.number for turn in read(storage, actor=number, start=start)]
            assert found == [t.number for t in whole if t.actor == number and t.number >= start]


LIVES = st.lists(
    st.lists(st.lists(TURNS, min_size=1, max_size=4), min_size=1, max_size=12),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(LIVES, st.booleans())
def test_a_lookup_finds_what_a_look_at_every_turn_finds(lives, is_closed):
    storage = written(lives, is_closed=is_closed)
    reader = read(storage, verify_chain=True)
    list(reader)
    assert reader.damage == []
    assert_found(storage)


def long_log():
    turns = [
        (
            n % 11 + 1,
            Tell(n),
            [Completed(n % 7 + 1, -16005, 1, n % 3), Delivered([n % 5, n % 5], Manner.SCRIPT)],
        )
        for n in range(60)
    ]
    return written([[turns[n : n + 3] for n in range(0, 60, 3)]])


@pytest.mark.timeout(300)  # tens of thousands of logs
def test_with_any_bit_flipped_a_lookup_leaves_out_nothing_but_what_is_reported():
    segments = segments_of(storage := long_log())
    whole = list(read(storage))
    about = {n: [turn for turn in whole if mentions(turn, n)] for n in range(1, 12)}
    for segment, data in segments.items():
        for bit in range(0, len(data) * 8, BITS_STEP):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            number = bit % 11 + 1
            reader = read(FrozenStorage(segments | {segment: changed}), about=number)
            found = list(reader)
            spans = [(place.first, place.last) for place in reader.damage if place.first]
            left = [
                turn
                for turn in about[number]
                if not any(low <= turn.number <= (high or 60) for low, high in spans)
            ]
            assert found == left, (segment, bit)


class Counting(FrozenStorage):
    """Counts what is read."""

    bytes_read = 0

    def read(self, segment, offset, length):
        data = super().read(segment, offset, length)
        self.bytes_read += len(data)
        return data


def test_a_lookup_reads_little_of_a_long_log(monkeypatch):
    monkeypatch.setattr("rescind.events._index.GROUP_BYTES", GROUP_BYTES)
    batches: list[Any] = [[(9 if n == 500 else 1, Tell("x" * 9000), [])] for n in range(1000)]
    segments = segments_of(written([batches], segment_bytes_max=3_000_000))
    storage = Counting(segments)
    [turn] = read(storage, actor=9)
    assert turn.number == 501
    assert storage.bytes_read < sum(map(len, segments.values())) / 10


def test_a_record_that_is_not_shaped_like_its_kind_is_found_all_the_same():
    log = open_log(storage=(storage := MemoryStorage()))
    ids = log.kind_ids
    odd: list[tuple[Any, ...]] = [
        (ids[Accepted], 5),
        (ids[Completed], 6, -16005),
        (ids[TimedOut], {}),
        (9999, 7),
    ]
    for event in odd:
        log.append((3, 0, 0, 0, None, (event,), None))
    log.extend([(3, 0, 0, 0, None, (event,), None) for event in odd])
    log.write(log.seal())
    log.close()
    numbers = {number: [n for n, _ in read(storage, about=number).raw()] for number in range(4, 8)}
    assert numbers == {4: [], 5: [1, 5], 6: [2, 6], 7: []}
    assert [n for n, _ in read(storage, actor=3).raw()] == list(range(1, 9))
    reader = read(storage, verify_chain=True)
    list(reader)
    assert "index" not in {place.row for place in reader.damage}


def test_pages_are_in_order_whatever_the_groups_held():
    numbers = [turn.number for turn in read(long_log(), about=3)]
    assert all(before < after for before, after in pairwise(numbers))
    assert numbers
