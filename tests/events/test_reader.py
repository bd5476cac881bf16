"""The reader where the medium fails, at odd places, and against whatever bytes come."""

import errno
import os
import random

import pytest

from rescind.events import (
    LogAccessError,
    LogDamagedError,
    LogFormatError,
    MemoryStorage,
    NotALogError,
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
    segments_of,
    small_batches,
    small_log,
    turns_of,
)

MUTATIONS = int(os.environ.get("RESCIND_MUTATIONS", "500"))
SEED = int(os.environ.get("RESCIND_MUTATION_SEED", random.randrange(1 << 30)))


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


def mutate(segments, dice):
    """Change a log's bytes in one of the ways that media and people do."""
    number = dice.choice(sorted(segments))
    data = segments[number]
    start = dice.randrange(len(data) + 1)
    end = min(len(data), start + dice.randrange(1, 200))
    match dice.randrange(6):
        case 0:
            data[start:end] = bytes(end - start)
        case 1:
            del data[start:end]
        case 2:
            data[start:end] = dice.randbytes(end - start)
        case 3:
            data[start:start] = data[dice.randrange(len(data) + 1) :][: dice.randrange(300)]
        case 4:
            del data[start:]
        case _:
            segments[dice.choice([1, 2, 3, 4, 9])] = bytearray(data)


def test_whatever_happens_to_the_bytes_nothing_is_read_wrongly_and_writing_goes_on():
    base = small_log(lives=2)
    originals = {turn.number: turn for turn in turns_of(base)[0]}
    for case in range(MUTATIONS):
        seed = SEED + case
        dice = random.Random(seed)
        segments = {number: bytearray(data) for number, data in base.items()}
        for _ in range(dice.randint(1, 4)):
            mutate(segments, dice)
        repeat = f"RESCIND_MUTATION_SEED={seed} RESCIND_MUTATIONS=1"
        try:
            reader = read(storage := FrozenStorage(segments), verify_chain=True)
            turns = list(reader)
            log = open_log(storage=storage)
        except (NotALogError, LogFormatError, LogDamagedError):
            continue
        numbers = [turn.number for turn in turns]
        assert numbers == sorted(set(numbers)), repeat
        assert not lost_numbers(reader.damage, 16) & set(numbers), repeat
        for turn in turns:
            known = turn.by is None or "?" not in (turn.by.who, turn.by.file)
            assert not known or turn == originals[turn.number], repeat
        before = segments_of(storage)
        number = log.append(record(log, Tell("later")))
        log.write(log.seal())
        again = list(read(storage, verify_chain=True))
        assert [turn.number for turn in again] == [*numbers, number], repeat
        after = segments_of(storage)
        own = log._segment.segment
        assert all(after[n] == data for n, data in before.items() if n != own), repeat
        start = dice.randint(1, 17)
        assert list(read(storage, start=start)) == [t for t in again if t.number >= start], repeat
