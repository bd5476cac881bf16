"""A lookup answers what a filter over every turn answers, in whole, damaged and growing logs."""

from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescind.events import (
    Completed,
    How,
    LogAccessError,
    LogError,
    MemoryStorage,
    Tell,
    TurnsLookup,
    read,
)
from rescind.events._index import GROUP_BYTES, PAGE_PAIRS
from rescind.events._shelf import Kept

from .logs import FrozenStorage, open_log, record, segments_of, small_log
from .test_lookup import LIVES, Counting, long_log, written

CORPUS = Path(__file__).parent.parent / "corpus"
CASES = sorted(each.name for each in CORPUS.iterdir() if (each / "expected.json").exists())
HIDDEN = {"index-that-omits"}
"""Whose index says less than is there, which only a reader that verifies the chain finds out."""

pytestmark = pytest.mark.usefixtures("small_groups")


@pytest.fixture
def small_groups(monkeypatch):
    """Many groups and pages in a small log."""
    monkeypatch.setattr("rescind.events._index.GROUP_BYTES", 300)
    monkeypatch.setattr("rescind.events._index.PAGE_PAIRS", 3)


@pytest.fixture
def small_caches(monkeypatch):
    """Of what was read next to nothing is kept."""
    for limit in ("SHELVES_BYTES", "PAGES_PAIRS", "GROUPS_BYTES", "DECODED_BYTES"):
        monkeypatch.setattr(f"rescind.events._lookup.{limit}", 700)


def numbers_near(turns):
    """The numbers that occur, and some that may not."""
    found = {turn.actor for turn in turns} | set(range(-1, 20))
    return sorted(found | {2**40, 2**70})


def same(found, expected):
    """Whether turns are equal; as text, because a value may be no number."""
    return list(map(repr, found)) == list(map(repr, expected))


def assert_same(lookup, expected, turns):
    """Ask everything that is about turns, of a lookup and of the turns in memory."""
    assert same(lookup.turns(), turns)
    assert same(lookup.backwards(), reversed(turns))
    assert (lookup.first, lookup.last) == (expected.first, expected.last)
    middle = turns[len(turns) // 2].number if turns else 1
    assert same(lookup.turns(2, middle), [t for t in turns if 2 <= t.number <= middle])
    assert same(lookup.backwards(middle), [t for t in turns[::-1] if t.number <= middle])
    for number in (0, 1, middle, expected.last, expected.last + 1):
        assert repr(lookup.turn(number)) == repr(expected.turn(number))
    for number in numbers_near(turns):
        assert same(lookup.about(number), expected.about(number)), number
        assert same(lookup.taken_by(number), expected.taken_by(number)), number
        found = lookup.about(number, 2, middle)
        assert same(found, expected.about(number, 2, middle)), number
    for code in expected.codes():
        assert same(lookup.with_code(code), expected.with_code(code))
    assert set(lookup.codes()) >= set(expected.codes())
    assert set(lookup.cancels()) >= set(expected.cancels())


@pytest.mark.usefixtures("small_caches")
@pytest.mark.parametrize("name", CASES)
def test_a_lookup_answers_as_a_look_at_every_turn_of_a_golden_log(name):
    try:
        reader = read(CORPUS / name)
    except LogError:
        return
    try:
        turns = list(reader)
    except LogError as error:
        with pytest.raises(type(error)):
            list(reader.lookup().turns())
        return
    lookup = reader.lookup()
    if name in HIDDEN:
        assert list(lookup.turns()) == turns
        return
    assert_same(lookup, TurnsLookup(turns), turns)
    known = {(place.first, place.last) for place in reader.damage if place.first is not None}
    assert {(place.first, place.last) for place in lookup.damage if place.first} == known
    lost = {n for first, last in lookup.missing() for n in range(first, last + 1)}
    assert lost.isdisjoint(turn.number for turn in turns)


@settings(max_examples=60, deadline=None)
@given(LIVES, st.booleans())
def test_a_lookup_answers_as_a_look_at_every_turn_of_any_log(lives, is_closed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rescind.events._index.GROUP_BYTES", 300)
        patch.setattr("rescind.events._index.PAGE_PAIRS", 3)
        patch.setattr("rescind.events._lookup.DECODED_BYTES", 300)
        storage = written(lives, is_closed=is_closed)
        turns = list(read(storage))
        lookup = read(storage).lookup()
        expected = TurnsLookup(turns)
        assert_same(lookup, expected, turns)
        assert list(lookup.cancels()) == list(expected.cancels())
        assert lookup.codes() == expected.codes()
        numbers = [number for number in range(1, 24) if any(expected.about(number))]
        for number in (0, 5, 40):
            near = lookup.nearest(number, 3)
            assert near == sorted(near)
            assert number not in near
            assert set(near) <= set(numbers)
        assert lookup.damage == []
        assert lookup.missing() == []


def test_a_moment_is_found_where_a_batch_first_ends_so_late():
    log = open_log(storage=(storage := MemoryStorage()), segment_bytes_max=3000)
    for number in range(200):
        log.append((1, 1000 + number // 3, 0, 0, None, (), None))
        if number % 2:
            log.write(log.seal())
    lookup = read(storage).lookup()
    for time_ns in (0, 1000, 1001, 1033, 1066):
        expected = next(t.number for t in read(storage) if t.time_ns >= time_ns)
        assert lookup.since(time_ns) == expected
    assert lookup.since(1067) == 201


@pytest.mark.timeout(300)
def test_with_any_byte_spoilt_a_lookup_answers_as_a_look_at_every_turn():
    segments = segments_of(long_log())
    for segment, data in segments.items():
        for at in range(0, len(data), 61):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            spoilt = FrozenStorage(segments | {segment: changed})
            reader = read(spoilt)
            turns = list(reader)
            lookup = reader.lookup()
            expected = TurnsLookup(turns)
            assert list(lookup.turns()) == turns, (segment, at)
            for number in (1, 3, 7, 11):
                assert list(lookup.about(number)) == list(expected.about(number)), (segment, at)
            lost = {n for place in reader.damage if place.first for n in _span(place)}
            found = {n for first, last in lookup.missing() for n in range(first, last + 1)}
            assert found == lost, (segment, at)


def _span(place):
    return range(place.first, (place.last or place.first) + 1)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_torn_end_is_told_and_costs_only_itself(cut):
    segments = segments_of(long_log())
    last = max(segments)
    segments[last] = segments[last][: int(len(segments[last]) * cut)]
    reader = read(FrozenStorage(segments))
    turns = list(reader)
    lookup = reader.lookup()
    assert_same(lookup, TurnsLookup(turns), turns)
    assert lookup.damage == reader.damage


def test_a_lookup_sees_what_has_come_when_it_is_refreshed():
    log = open_log(storage=(storage := MemoryStorage()), segment_bytes_max=2000)
    lookup = read(storage).lookup()
    assert (lookup.first, lookup.last, lookup.turn(1)) == (0, 0, None)
    for number in range(1, 120):
        log.append(record(log, Tell(number), actor=number % 5))
        log.write(log.seal())
        lookup.refresh()
        turns = list(read(storage))
        assert lookup.last == number
        assert lookup.turn(number) == turns[-1]
        assert list(lookup.about(number % 5)) == [t for t in turns if t.actor == number % 5]
        if number % 30 == 0:
            log.close()
            storage.close()
            lookup.refresh()
            assert list(lookup.turns()) == turns
            log = open_log(storage=storage, segment_bytes_max=2000)
    assert len(storage.segments()) > 5


def test_what_comes_is_not_seen_before_a_refresh_and_nothing_is_wrong_meanwhile():
    log = open_log(storage=(storage := MemoryStorage()), segment_bytes_max=2000)
    for number in range(1, 10):
        log.append(record(log, Tell(number)))
        log.write(log.seal())
    lookup = read(storage).lookup()
    before = list(lookup.turns())
    for number in range(10, 100):
        log.append(record(log, Tell(number)))
        log.write(log.seal())
    assert list(lookup.turns()) == before
    lookup.refresh()
    assert list(lookup.turns()) == list(read(storage))


def test_a_code_that_an_enumeration_names_is_found_by_its_number():
    class Code(IntEnum):
        TACCESS = -36003

    storage = MemoryStorage()
    log = open_log(storage=storage)
    log.append(record(log, Tell(1), Completed(4, Code.TACCESS, How.RESULT, 0)))
    log.write(log.seal())
    log.close()
    lookup = read(storage).lookup()
    assert lookup.codes() == [-36003]
    assert [turn.number for turn in lookup.with_code(-36003)] == [1]


def test_of_a_pruned_log_an_index_says_that_it_is_gone():
    storage = long_log()
    lookup = read(storage).lookup()
    assert lookup.turn(1)
    for segment in storage.segments()[:2]:
        storage.remove(segment)
    with pytest.raises(LogAccessError, match="was removed while it was looked up"):
        list(lookup.about(5))


@pytest.mark.usefixtures("small_caches")
def test_of_a_pruned_log_a_lookup_says_that_it_is_gone_and_then_what_is_left():
    storage = long_log()
    lookup = read(storage).lookup()
    whole = list(lookup.turns())
    for segment in storage.segments()[:2]:
        storage.remove(segment)
    with pytest.raises(LogAccessError, match="segment 1 was removed while it was looked up"):
        list(lookup.turns())
    lookup.refresh()
    left = list(read(storage))
    assert list(lookup.turns()) == left == whole[-len(left) :]
    assert lookup.first == left[0].number > 1
    assert lookup.turn(1) is None
    assert lookup.missing() == []


@pytest.mark.usefixtures("small_caches")
def test_a_medium_that_fails_costs_the_group_that_it_cannot_read():
    segments = segments_of(long_log())

    class Failing(FrozenStorage):
        fails = False

        def read(self, segment, offset, length):
            if self.fails and segment == 2:
                raise OSError(5, "Input/output error")
            return super().read(segment, offset, length)

    storage = Failing(segments)
    lookup = read(storage).lookup()
    whole = list(lookup.turns())
    storage.fails = True
    left = list(lookup.turns())
    assert {place.row for place in lookup.damage} == {"unreadable"}
    lost = {n for first, last in lookup.missing() for n in range(first, last + 1)}
    assert lost
    assert left == [turn for turn in whole if turn.number not in lost]


def test_turns_in_memory_have_no_keyframe_and_lose_nothing():
    lookup = TurnsLookup(read(FrozenStorage(small_log())))
    assert lookup.keyframe(5) is None
    assert lookup.missing() == []
    assert lookup.nearest(1, 2) == [2, 3]
    assert list(lookup.cancels()) == []
    assert lookup.since(1 << 62) == lookup.last + 1
    lookup.refresh()
    assert (lookup.first, lookup.last) == (1, 8)
    assert (TurnsLookup(()).first, TurnsLookup(()).last) == (0, 0)


def test_a_question_about_a_long_log_reads_little_of_it(monkeypatch):
    monkeypatch.setattr("rescind.events._index.GROUP_BYTES", GROUP_BYTES)
    monkeypatch.setattr("rescind.events._index.PAGE_PAIRS", PAGE_PAIRS)
    batches: list[Any] = [[(9 if n == 500 else 1, Tell("x" * 9000), [])] for n in range(1000)]
    segments = segments_of(written([batches], segment_bytes_max=3_000_000))
    share = sum(map(len, segments.values())) / 10
    for ask in (
        lambda lookup: [turn.number for turn in lookup.about(9)] == [501],
        lambda lookup: lookup.turn(501).actor == 9,
        lambda lookup: next(lookup.backwards()).number == 1000,
        lambda lookup: (lookup.first, lookup.last) == (1, 1000),
    ):
        storage = Counting(segments)
        assert ask(read(storage).lookup())
        assert storage.bytes_read < share


def test_what_is_kept_costs_no_more_than_its_limit_and_the_last_used_stays():
    kept: Kept[str, int] = Kept(10)
    for key in "abc":
        kept.put(key, 1, 4)
        kept.get("a")
    assert [kept.get(key) for key in "abc"] == [1, None, 1]
    kept.put("d", 1, 50)
    assert [kept.get(key) for key in "acd"] == [None, None, 1]
    kept.put("d", 2, 1)
    kept.put("e", 3, 9)
    assert [kept.get(key) for key in "de"] == [2, 3]
