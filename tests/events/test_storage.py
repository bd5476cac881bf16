"""The contract that every storage keeps, and what only a directory has to care about."""

import os
import stat
import subprocess
import sys

import pytest

from rescind.events import (
    DirectoryStorage,
    LogAccessError,
    LogLockedError,
    MemoryStorage,
    NotALogError,
    Tell,
    UsageError,
    read,
)

from .logs import open_log, record, segments_of, small_batches, small_log
from .streams import Stream, StreamStorage


def make(sort, path):
    match sort:
        case "directory":
            return DirectoryStorage(path)
        case "memory":
            return MemoryStorage()
        case "stream":
            return StreamStorage(Stream())
        case _:
            return StreamStorage(Stream(), message_bytes_max=7)


@pytest.fixture(params=["directory", "memory", "stream", "stream of small messages"])
def storage(request, tmp_path):
    made = make(request.param, tmp_path / "log")
    yield made
    made.close()


def another(storage):
    """What somebody else holds of the same place."""
    match storage:
        case DirectoryStorage():
            return DirectoryStorage(storage._directory)
        case StreamStorage():
            return StreamStorage(storage._stream)
        case _:
            return storage


# --- the contract --------------------------------------------------------------------------------


def test_what_is_appended_is_read_back(storage):
    storage.lock()
    storage.create(1, b"begin", sync=True)
    storage.append(1, 5, b"more")
    storage.sync(1)
    assert storage.segments() == [1]
    assert storage.size(1) == 9
    assert storage.read(1, 0, 100) == b"beginmore"
    assert storage.read(1, 5, 2) == b"mo"
    assert storage.read(1, 9, 5) == b""
    assert storage.read(1, 50, 5) == b""


def test_segments_come_in_order(storage):
    storage.lock()
    for number in (1, 2, 12):
        storage.create(number, b"x", sync=False)
    assert storage.segments() == [1, 2, 12]


def test_a_segment_is_created_once(storage):
    storage.lock()
    storage.create(1, b"first", sync=False)
    with pytest.raises(FileExistsError):
        storage.create(1, b"second", sync=False)
    assert storage.read(1, 0, 10) == b"first"


def test_an_append_at_an_unexpected_place_is_refused(storage):
    storage.lock()
    storage.create(1, b"begin", sync=False)
    with pytest.raises(OSError, match="not as long as its writer believes"):
        storage.append(1, 4, b"x")
    assert storage.read(1, 0, 10) == b"begin"


def test_a_segment_that_is_not_there_is_an_error_of_the_system(storage):
    storage.lock()
    with pytest.raises(OSError, match=r"[Nn]o such|not open"):
        storage.read(7, 0, 1)
    with pytest.raises(OSError, match=r"[Nn]o such|not open"):
        storage.size(7)
    with pytest.raises(OSError, match=r"[Nn]o such|not open"):
        storage.append(7, 0, b"x")


def test_there_is_one_writer_until_it_closes(storage):
    storage.lock()
    other = another(storage)
    with pytest.raises(LogLockedError) as caught:
        other.lock()
    assert caught.value.pid == os.getpid()
    storage.close()
    other.lock()
    other.close()


def test_reading_goes_on_after_closing(storage):
    storage.lock()
    storage.create(1, b"begin", sync=False)
    storage.close()
    storage.close()
    assert storage.read(1, 0, 5) == b"begin"


def test_what_one_appends_another_reads(storage):
    storage.lock()
    storage.create(1, b"begin", sync=True)
    other = another(storage)
    assert other.read(1, 0, 100) == b"begin"
    storage.append(1, 5, b"more than a little")
    assert other.size(1) == 23
    assert [other.read(1, start, 9) for start in (3, 12, 22)] == [b"inmore th", b"an a litt", b"e"]
    storage.create(2, b"next", sync=False)
    assert other.segments() == [1, 2]
    assert other.read(1, 0, 5) == b"begin"


def test_a_removed_segment_is_gone_and_removing_it_again_is_nothing(storage):
    storage.lock()
    for number in (1, 2):
        storage.create(number, b"begin", sync=False)
    assert storage.read(1, 0, 5) == b"begin"
    storage.remove(1)
    storage.remove(1)
    assert storage.segments() == [2]
    with pytest.raises(OSError, match=r"[Nn]o such"):
        storage.read(1, 0, 5)


@pytest.mark.parametrize("sync", [False, True])
def test_the_mark_is_replaced_whole_and_another_reads_it(storage, sync):
    storage.lock()
    other = another(storage)
    assert storage.mark() == b""
    for mark in (b"first mark", b"other mark"):
        storage.set_mark(mark, sync=sync)
        assert other.mark()[: len(mark)] == mark


def test_settling_what_is_there_changes_nothing_of_it(storage):
    storage.lock()
    storage.create(1, b"begin", sync=False)
    storage.settle(1)
    assert storage.read(1, 0, 10) == b"begin"


def test_a_wait_comes_to_its_end_whether_anything_changes_or_not(storage):
    storage.lock()
    storage.wait(0.001)
    storage.create(1, b"begin", sync=False)
    storage.wait(0.001)
    storage.wait(0)
    assert storage.segments() == [1]


def test_a_log_is_the_same_bytes_in_every_storage(storage):
    # Durability stands in every preamble, so it must not come from the storage here.
    log = open_log(storage=storage, durability="memory")
    small_batches(log)
    log.close()
    assert segments_of(storage) == small_log(sealed=True)
    assert [turn.number for turn in read(storage, verify_chain=True)] == list(range(1, 9))


# --- the directory -------------------------------------------------------------------------------


def test_a_second_writer_is_told_who_has_the_log(tmp_path):
    log = open_log(tmp_path / "log")
    with pytest.raises(LogLockedError, match=f"process {os.getpid()} has this log open") as caught:
        open_log(tmp_path / "log")
    assert caught.value.pid == os.getpid()
    log.append(record(log, Tell("still mine")))
    log.close()
    open_log(tmp_path / "log").close()


def test_a_second_writer_in_another_process_is_told_too(tmp_path, pytestconfig):
    log = open_log(tmp_path / "log")
    code = (
        "import sys\nfrom rescind.events import Log, LogLockedError\n"
        "try: Log.create_or_open(sys.argv[1])\n"
        "except LogLockedError as error: print(error.pid)"
    )
    environment = {"PYTHONPATH": str(pytestconfig.rootpath / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    output = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    assert int(output) == os.getpid()
    log.close()


def test_a_file_is_not_a_log(tmp_path):
    path = tmp_path / "file"
    path.write_text("something else")
    with pytest.raises(NotALogError, match="this is a file"):
        open_log(path)
    with pytest.raises(NotALogError, match="this is a file"):
        read(path)
    assert path.read_text() == "something else"


def test_a_directory_of_other_things_does_not_become_a_log(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(NotALogError, match="other files"):
        open_log(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_directory_becomes_a_log(tmp_path):
    open_log(tmp_path).close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["00000001.seg", "lock"]


def test_what_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(NotALogError, match="nothing here"):
        read(tmp_path / "none")
    with pytest.raises(NotALogError, match="no log segment"):
        read(tmp_path)


def test_a_path_that_leads_nowhere_is_a_clear_error(tmp_path):
    with pytest.raises(LogAccessError, match="No such file or directory"):
        open_log(tmp_path / "no" / "such" / "log")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_directory_without_permission_is_a_clear_error(tmp_path):
    path = tmp_path / "log"
    open_log(path).close()
    path.chmod(0o500)
    with pytest.raises(LogAccessError, match="Permission denied"):
        open_log(path)
    path.chmod(0o000)
    with pytest.raises(LogAccessError, match="Permission denied"):
        read(path)
    path.chmod(0o700)


def test_a_refusal_of_the_system_at_opening_is_a_clear_error_and_frees_the_lock(tmp_path):
    path = tmp_path / "log"
    open_log(path).close()
    (path / "00000002.seg").mkdir()
    with pytest.raises(LogAccessError, match="cannot be opened for writing"):
        open_log(path)
    (path / "00000002.seg").rmdir()
    open_log(path).close()


@pytest.mark.parametrize("sort", ["link", "fifo", "directory"])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(tmp_path, sort):
    path, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
    log = open_log(path)
    small_batches(log)
    log.close()
    second = path / "00000002.seg"
    elsewhere.write_bytes((path / "00000001.seg").read_bytes())
    if sort == "link":
        second.symlink_to(elsewhere)
    elif sort == "fifo":
        os.mkfifo(second)
    else:
        second.mkdir()
    reader = read(path)
    assert len(list(reader)) == 8
    assert [(place.row, place.segment) for place in reader.damage] == [("unreadable", 2)]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    path, target = tmp_path / "log", tmp_path / "target"
    path.mkdir()
    target.write_text("precious")
    (path / "lock").symlink_to(target)
    with pytest.raises(LogAccessError):
        open_log(path)
    assert target.read_text() == "precious"


def test_a_fork_of_the_writer_is_not_the_writer(tmp_path):
    storage = DirectoryStorage(tmp_path / "log")
    storage.lock()
    storage.create(1, b"begin", sync=False)
    storage._owner += 1
    with pytest.raises(OSError, match="fork"):
        storage.append(1, 5, b"x")
    storage.close()


def test_a_write_that_the_system_takes_in_pieces_arrives_whole(tmp_path, monkeypatch):
    storage = DirectoryStorage(tmp_path / "log")
    storage.lock()
    storage.create(1, b"", sync=False)
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole_write(file, bytes(data[:3])))
    storage.append(1, 0, b"0123456789")
    monkeypatch.undo()
    assert storage.read(1, 0, 20) == b"0123456789"
    storage.close()


def test_a_memory_log_is_saved_byte_for_byte_and_goes_on_as_a_directory(tmp_path):
    log = open_log()
    small_batches(log)
    log.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "00000001.seg").read_bytes() == log.storage.read(1, 0, 1 << 20)
    with pytest.raises(UsageError, match="there is a log already"):
        log.save(tmp_path / "saved")
    again = open_log(tmp_path / "saved")
    assert (again.epoch, again.last_number) == (2, 8)
    again.close()


def test_the_disk_is_asked_for_directory_and_data(tmp_path, monkeypatch):
    synced: list[str] = []
    fsync, fdatasync = os.fsync, os.fdatasync

    def note_fsync(file):
        synced.append("directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    def note_fdatasync(file):
        synced.append("data")
        fdatasync(file)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "fdatasync", note_fdatasync)
    log = open_log(tmp_path / "log", durability="disk")
    assert synced == ["directory", "file", "directory"]
    small_batches(log, 2)
    assert synced[3:] == ["data", "data"]
    log.close()
