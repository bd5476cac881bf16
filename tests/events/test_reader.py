"""The reader where the medium fails, at odd places, and while it is written."""

import errno

import pytest

from rescind.events import (
    LogAccessError,
    LogDamagedError,
    MemoryStorage,
    Tell,
    read,
)
from rescind.events._codec import Bindings
from rescind.events._segment import Opening, Window, encode_preamble, read_preamble

from .logs import (
    FrozenStorage,
    lost_numbers,
    open_log,
    record,
    small_batches,
    small_log,
    turns_of,
)
from .mutations import recovered


class BadBlocks(FrozenStorage):
    """Cannot be read in one segment from some place on."""

    def __init__(self, segments, segment, offset):
        super().__init__(segments)
        self.bad = (segment, offset)

    def read(self, segment, offset, length):
        if segment == self.bad[0] and offset + length > self.bad[1]:
            if offset >= self.bad[1]:
                raise OSError(errno.EIO, "Input/output error")
            length = self.bad[1] - offset
        return super().read(segment, offset, length)


class NoList(MemoryStorage):
    def segments(self):
        raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("behind_preamble", [False, True])
def test_a_segment_that_cannot_be_read_costs_only_itself(behind_preamble):
    segments = small_log(lives=3)
    opening = read_preamble(Window(FrozenStorage(segments), 2))
    assert isinstance(opening, Opening)
    reader = read(BadBlocks(segments, 2, opening.end if behind_preamble else 0))
    numbers = [turn.number for turn in reader]
    assert numbers[:8] == list(range(1, 9))
    assert numbers[-8:] == list(range(17, 25))
    assert {place.row for place in reader.damage} == {"unreadable"}
    assert lost_numbers(reader.damage, 24) | set(numbers) == set(range(1, 25))


def test_a_medium_that_does_not_even_list_its_segments_is_a_clear_error():
    with pytest.raises(LogAccessError, match="cannot be read: Input/output error"):
        read(NoList())


def test_an_overview_of_a_log_without_records_says_so():
    info = read(open_log()).info()
    assert (info.first, info.last, info.first_time_ns, info.records) == (None, None, None, 0)
    assert info.whole


def test_an_overview_survives_segments_that_cannot_be_read():
    info = read(BadBlocks(small_log(lives=2), 2, 0)).info()
    assert [segment.epoch for segment in info.segments] == [1, 0]
    assert not info.whole


def test_a_closed_reader_reads_again_and_never_closes_a_writer(tmp_path):
    log = open_log(tmp_path / "log")
    small_batches(log)
    for source in (log, log.storage, tmp_path / "log"):
        reader = read(source)
        assert len(list(reader)) == 8
        reader.close()
        assert len(list(reader)) == 8
    log.append(record(log, Tell("the lock is still mine")))
    log.close()
    assert len(list(read(tmp_path / "log"))) == 9


def test_reading_twice_tells_damage_once():
    reader = read(FrozenStorage({1: small_log()[1][:-1]}))
    for _ in range(2):
        assert len(list(reader)) == 5
        assert len(reader.damage) == 1


def test_bindings_of_unknown_sorts_are_passed_over():
    bindings = Bindings()
    bindings.learn((("novelty", 1, "x"), (), ("who", "not a number", "x"), ("who", 2, "later", 9)))
    assert bindings.who == {2: "later"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("log", b"short"),
        ("log", "text"),
        ("segment", "1"),
        ("first", -1),
        ("chain", None),
        ("previous", (1, 2)),
        ("writer", 5),
        ("bindings", 5),
        ("salt", None),
    ],
)
def test_a_preamble_that_lies_under_valid_checksums_is_rotten(field, value):
    segments = small_log()
    opening = read_preamble(Window(FrozenStorage(segments), 1))
    assert isinstance(opening, Opening)
    preamble = opening.preamble
    object.__setattr__(preamble, field, value)
    data, _ = encode_preamble(preamble)
    turns, damage = turns_of({1: data + segments[1][opening.end :]})
    assert turns == []
    assert [place.row for place in damage] == ["rot-preamble"]


# --- while it is written, and what fuzzing found -------------------------------------------------


class GrowsWhenMeasured(FrozenStorage):
    """A writer goes on just when its reader asks how long a segment is."""

    def __init__(self, segments, length):
        super().__init__({1: segments[1][:length]})
        self._rest = segments[1][length:]

    def size(self, segment):
        self._segments[segment] += self._rest
        self._rest = b""
        return super().size(segment)


def test_a_block_that_is_written_while_it_is_read_is_no_damage():
    segments = small_log(sealed=True)
    opening = read_preamble(Window(FrozenStorage(segments), 1))
    assert isinstance(opening, Opening)
    whole, _ = turns_of(segments)
    for length in range(opening.end, len(segments[1])):
        reader = read(GrowsWhenMeasured(segments, length))
        turns = list(reader)
        assert turns == whole[: len(turns)]
        assert all(place.torn for place in reader.damage)
        again = read(GrowsWhenMeasured(segments, length)).follow(0)
        assert list(again) == whole, length


def test_a_file_with_a_number_that_no_writer_gave_costs_no_time():
    segments = small_log()
    storage = FrozenStorage(segments | {99_999_999: segments[1], (1 << 32) - 1: segments[1]})
    assert [turn.number for turn in read(storage, start=7)] == [7, 8]
    with pytest.raises(LogDamagedError, match=r"no segment can follow number 4294967295; .* away"):
        open_log(storage=storage)


def test_numbers_that_a_gap_names_are_not_given_again_when_the_seal_is_lost():
    damaged = small_log(sealed=True)
    number = damaged[1].rindex(b"RSB")
    rotten = bytearray(damaged[1])
    rotten[number + 60] ^= 1
    storage, recovery = recovered(FrozenStorage({1: rotten}))
    assert recovery.lost == ((6, 8),)
    unsealed = storage.read(1, 0, storage.size(1))
    unsealed = unsealed[: unsealed.index(b"RSG") + 100]
    storage = FrozenStorage({1: unsealed})
    log = open_log(storage=storage)
    assert told(log) == 9
    assert [turn.number for turn in read(storage)] == [1, 2, 3, 4, 5, 9]


def told(log):
    number = log.append(record(log, Tell("later")))
    log.write(log.seal())
    return number
