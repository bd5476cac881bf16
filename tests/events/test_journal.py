"""The writer: epochs, segments, failures, and readers meanwhile."""

import errno
import subprocess
import sys

import pytest

from rescind.events import (
    Log,
    LogClosedError,
    LogFailedError,
    MemoryStorage,
    Tell,
    UsageError,
    read,
)

from .logs import open_log, record, small_batches


def told(log, value):
    return log.append(record(log, Tell(value)))


def test_numbers_are_dense_and_known_at_once():
    log = open_log()
    assert [told(log, n) for n in range(3)] == [1, 2, 3]
    assert (log.last_number, log.pending) == (3, 3)
    first = log.pending_bytes
    told(log, "a longer one")
    assert log.pending_bytes > first > 0
    batch = log.seal()
    assert (log.pending, log.pending_bytes) == (0, 0)
    assert told(log, 4) == 5
    log.write(batch)
    assert [turn.number for turn in read(log)] == [1, 2, 3, 4]


def test_nothing_pending_seals_to_nothing():
    log = open_log()
    log.who("nobody")
    assert log.seal() is None


def test_batches_are_written_in_the_order_they_were_sealed():
    log = open_log()
    told(log, 1)
    first = log.seal()
    told(log, 2)
    second = log.seal()
    with pytest.raises(UsageError, match="batch 2 is not the next; 1 is"):
        log.write(second)
    log.write(first)
    log.write(second)
    assert len(list(read(log))) == 2


def test_reopening_begins_an_epoch_and_goes_on_with_all_numbers(tmp_path):
    path = tmp_path / "log"
    log_ids = set()
    for life in range(1, 4):
        log = open_log(path)
        assert (log.epoch, log.last_number, log.actors_next) == (life, 8 * (life - 1), 3 * life - 2)
        small_batches(log)
        log_ids.add(log.log_id)
        log.close()
    reader = read(path, verify_chain=True)
    turns = list(reader)
    assert [turn.number for turn in turns] == list(range(1, 25))
    assert [turn.epoch for turn in turns] == [1] * 8 + [2] * 8 + [3] * 8
    assert reader.damage == []
    assert reader.epochs == [1, 2, 3]
    assert log_ids == {reader.log_id}


def test_a_life_that_writes_nothing_leaves_the_log_whole(tmp_path):
    path = tmp_path / "log"
    for _ in range(3):
        open_log(path).close()
    log = open_log(path)
    small_batches(log)
    log.close()
    reader = read(path, verify_chain=True)
    assert len(list(reader)) == 8
    assert reader.damage == []
    assert reader.info().epochs == (1, 2, 3, 4)


def test_a_full_segment_is_followed_by_another_of_the_same_epoch(tmp_path):
    log = open_log(tmp_path / "log", segment_bytes_max=4_000)
    small_batches(log, 30)
    log.close()
    reader = read(tmp_path / "log", verify_chain=True)
    turns = list(reader)
    assert len(turns) == 89
    assert {turn.epoch for turn in turns} == {1}
    assert reader.damage == []
    assert len(reader.segments) > 2
    # The index comes on top: it is only known when the segment is full.
    assert all(batch.offset + batch.length <= 4_000 for batch in reader.batches())


def test_every_segment_can_be_read_alone(tmp_path):
    path = tmp_path / "log"
    log = open_log(path, segment_bytes_max=1)
    small_batches(log, 4)
    log.close()
    whole = list(read(path))
    for number in (1, 2, 3):
        (path / f"{number:08d}.seg").unlink()
    (start, *others) = list(read(path))
    assert [start, *others] == whole[-3:]
    assert read(path).class_name(1, start.message.cls) is None
    reader = read(path)
    list(reader)
    assert reader.class_name(1, start.message.cls) == "app.Crawler"
    assert start.by == whole[0].by


def test_durability_has_three_names_and_memory_no_path(tmp_path):
    with pytest.raises(UsageError, match="one of memory, os, disk, not 'ssd'"):
        Log.create_or_open(tmp_path / "log", durability="ssd")
    with pytest.raises(UsageError, match="leave the path out"):
        Log.create_or_open(tmp_path / "log", durability="memory")
    log = Log.create_or_open(None)
    assert (log.durability, log.path) == ("memory", None)
    assert not (tmp_path / "log").exists()


def test_the_log_id_is_from_entropy_and_stays(tmp_path):
    first = Log.create_or_open(tmp_path / "a")
    second = Log.create_or_open(tmp_path / "b")
    assert first.log_id != second.log_id
    assert len(first.log_id) == 16
    first.close()
    again = Log.create_or_open(tmp_path / "a")
    assert again.log_id == first.log_id
    again.close()
    second.close()


def test_closing_writes_what_is_pending_and_then_refuses_everything(tmp_path):
    log = open_log(tmp_path / "log")
    told(log, "last words")
    log.close()
    log.close()
    assert [turn.message for turn in read(tmp_path / "log")] == [Tell("last words")]
    with pytest.raises(LogClosedError):
        told(log, "too late")
    with pytest.raises(LogClosedError):
        log.seal()


# --- failures ------------------------------------------------------------------------------------


class FaultyStorage(MemoryStorage):
    """Fails when told to, after some bytes of the write, as a full disk does."""

    def __init__(self):
        super().__init__()
        self.fails = ""
        self.takes = 0

    def append(self, segment, offset, data):
        if self.fails == "append":
            super().append(segment, offset, data[: self.takes])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(segment, offset, data)

    def create(self, segment, data, *, sync):
        if self.fails == "create":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        super().create(segment, data, sync=sync)

    def sync(self, segment):  # noqa: ARG002 - the contract's
        if self.fails == "sync":
            raise OSError(errno.EIO, "Input/output error")


@pytest.fixture
def faulty(monkeypatch):
    # A storage in memory promises nothing; this one stands for a disk.
    monkeypatch.setattr("rescind.events._journal.MemoryStorage", type(None))
    return FaultyStorage()


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        ("append", "No space left on device"),
        ("sync", "Input/output error"),
        ("create", "Disk quota exceeded"),
    ],
)
def test_after_a_failure_nothing_is_accepted_or_acknowledged_for_ever(faulty, fails, text):
    log = open_log(storage=faulty, durability="disk", segment_bytes_max=1)
    small_batches(log, 1)
    told(log, "lost")
    batch = log.seal()
    faulty.fails = fails
    with pytest.raises(LogFailedError, match=rf"writing segment \d at byte \d+ failed .*{text}"):
        log.write(batch)
    faulty.fails = ""
    for attempt in (lambda: log.write(batch), lambda: told(log, 1), log.seal):
        with pytest.raises(LogFailedError, match="open the log anew"):
            attempt()
    log.close()


@pytest.mark.parametrize("takes", [0, 1, 20, 41, 60, 100])
def test_a_full_disk_leaves_a_torn_tail_that_the_next_writer_passes_by(faulty, takes):
    log = open_log(storage=faulty)
    small_batches(log)
    told(log, "never whole, whatever its length, and long enough to be torn in many places" * 2)
    faulty.fails, faulty.takes = "append", takes
    with pytest.raises(LogFailedError):
        log.write(log.seal())
    log.close()
    faulty.fails = ""
    again = open_log(storage=faulty)
    assert told(again, "whole") == 9
    again.close()
    reader = read(faulty, verify_chain=True)
    assert [turn.number for turn in reader] == list(range(1, 10))
    assert [place.torn for place in reader.damage] == ([True] if takes else [])


def test_an_interrupted_write_fails_the_log_and_passes_on(faulty):
    log = open_log(storage=faulty)
    told(log, 1)
    batch = log.seal()
    faulty.append = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        log.write(batch)
    with pytest.raises(LogFailedError):
        told(log, 2)


# --- readers meanwhile ---------------------------------------------------------------------------

WRITER = """
import sys
from tests.events.logs import open_log, record
from rescind.events import Tell
log = open_log(sys.argv[1], segment_bytes_max=20_000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(3_000):
    log.append(record(log, Tell(number)))
    if number % 7 == 6:
        log.write(log.seal())
log.close()
"""


def test_a_log_is_read_while_another_process_writes_it(tmp_path, pytestconfig):
    root = pytestconfig.rootpath
    path = f"{root}:{root / 'src'}"
    command = [sys.executable, "-c", WRITER, str(tmp_path / "log")]
    with subprocess.Popen(
        command,
        env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
        seen, ended = 0, False
        while not ended:
            ended = writer.poll() is not None
            reader = read(tmp_path / "log", verify_chain=True)
            turns = list(reader)
            assert [turn.message.value for turn in turns] == list(range(len(turns)))
            assert len(turns) >= seen
            assert all(place.torn for place in reader.damage)
            seen = len(turns)
    assert seen == 3_000


def test_a_reader_that_meets_the_end_goes_on_when_segments_were_added_meanwhile():
    log = open_log(segment_bytes_max=1)
    small_batches(log, 1)
    reader = iter(read(log))
    assert [next(reader).number for _ in range(2)] == [1, 2]
    told(log, "more")
    log.write(log.seal())
    told(log, "and more")
    log.write(log.seal())
    assert [turn.number for turn in reader] == [3, 4]
