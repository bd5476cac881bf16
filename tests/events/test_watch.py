"""Waiting for changes: hints where the system gives them, a sleep where not, never too many.

No test looks at a clock: what is asked of the system's sleep is noted and granted at once.
"""

import os
import resource
import select
import subprocess
import sys
from contextlib import contextmanager

import pytest

from rescind.events import DirectoryStorage, Tell, _watch
from rescind.events._watch import WAIT_S_MAX, Watch

from .logs import open_log, record

needs_inotify = pytest.mark.skipif(
    not hasattr(_watch._libc(), "inotify_init1"), reason="the system has no inotify"
)


@pytest.fixture
def naps(monkeypatch):
    """Every sleep that a wait asked for, in seconds."""
    asked: list[float] = []
    monkeypatch.setattr(_watch, "_sleep", asked.append)
    return asked


@pytest.fixture
def watch(tmp_path):
    made = Watch(tmp_path)
    made.wait(0)
    yield made
    made.close()


@contextmanager
def no_new_files():
    """Let this process open nothing, as one that has reached its limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


# --- hints ---------------------------------------------------------------------------------------


@needs_inotify
@pytest.mark.parametrize("change", ["created", "modified", "moved", "deleted"])
def test_a_change_in_the_directory_ends_a_wait(tmp_path, change):
    file = tmp_path / "00000001.seg"
    if change != "created":
        file.write_bytes(b"begin")
    watch = Watch(tmp_path)
    watch.wait(0)
    match change:
        case "moved":
            file.rename(tmp_path / "00000002.seg")
        case "deleted":
            file.unlink()
        case _:
            file.write_bytes(b"more")
    assert watch.wait(WAIT_S_MAX)
    watch.close()


@needs_inotify
def test_what_a_reader_does_itself_is_no_change(tmp_path):
    (tmp_path / "00000001.seg").write_bytes(b"begin")
    storage, watch = DirectoryStorage(tmp_path), Watch(tmp_path)
    watch.wait(0)
    assert storage.segments() == [1]
    assert storage.read(1, 0, 100) == b"begin"
    assert storage.mark() == b""
    assert not watch.wait(0.001)
    storage.close()
    watch.close()


@needs_inotify
def test_a_log_that_is_written_hints_at_every_batch(tmp_path, naps):
    log = open_log(tmp_path / "log")
    watch = Watch(tmp_path / "log")
    watch.wait(0)
    for text in ("one", "two", "three"):
        log.append(record(log, Tell(text)))
        log.write(log.seal())
        assert watch.wait(WAIT_S_MAX)
        assert not watch.wait(WAIT_S_MAX)
    assert naps == [WAIT_S_MAX] * 3
    log.close()
    watch.close()


def test_where_nothing_changes_a_wait_ends_without_a_hint(watch):
    assert not watch.wait(0.001)
    assert not watch.wait(0)
    assert not watch.wait(-1)


# --- not too many --------------------------------------------------------------------------------


@needs_inotify
def test_a_writer_at_full_speed_wakes_its_reader_once_in_each_hold_off(watch, tmp_path, naps):
    with (tmp_path / "file").open("wb", buffering=0) as file:
        early = []
        for _ in range(20):
            file.write(b"x" * 100)
            file.write(b"y" * 100)
            early.append(watch.wait(60))
    assert early == [True] + [False] * 19
    assert naps == [WAIT_S_MAX] * 19


@needs_inotify
def test_a_hold_off_is_paid_by_several_short_waits(watch, tmp_path, naps):
    (tmp_path / "file").touch()
    assert watch.wait(60)
    (tmp_path / "file").unlink()
    assert [watch.wait(0.02) for _ in range(3)] == [False, False, True]
    assert naps == pytest.approx([0.02, 0.02, 0.01])


@needs_inotify
def test_after_a_quiet_hold_off_the_next_change_is_told_at_once(watch, tmp_path, naps):
    (tmp_path / "file").touch()
    assert watch.wait(60)
    assert not watch.wait(60)
    (tmp_path / "file").unlink()
    assert watch.wait(60)
    assert naps == [WAIT_S_MAX]


@needs_inotify
def test_a_reader_that_does_not_look_lets_no_hints_pile_up(watch, tmp_path, naps):
    files = [(tmp_path / name).open("wb", buffering=0) for name in ("one", "two")]
    for _ in range(1000):
        for file in files:
            file.write(b"x")
    for file in files:
        file.close()
    assert watch.wait(60)
    assert not watch.wait(60)
    assert not watch.wait(0.001)
    # Nothing was left over that would have begun another hold-off.
    assert naps == [WAIT_S_MAX]


# --- without hints -------------------------------------------------------------------------------


def test_without_notifications_a_wait_is_a_sleep_of_bounded_length(tmp_path, naps, monkeypatch):
    monkeypatch.setattr(_watch, "_libc", lambda: None)
    watch = Watch(tmp_path)
    (tmp_path / "file").touch()
    assert [watch.wait(timeout_s) for timeout_s in (60, 0.01, 0, -1)] == [False] * 4
    assert naps == [WAIT_S_MAX, 0.01, 0, 0]
    watch.close()


@needs_inotify
def test_a_process_that_may_open_no_more_files_polls_and_is_told_later(tmp_path, naps):
    watch = Watch(tmp_path)
    with no_new_files():
        assert [watch.wait(60) for _ in range(3)] == [False] * 3
    assert naps == [WAIT_S_MAX] * 3
    watch.wait(0)
    (tmp_path / "file").touch()
    assert watch.wait(60)
    watch.close()


@needs_inotify
@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_where_no_directory_is_a_wait_polls_until_one_is_made(tmp_path, naps, there):
    path = tmp_path / "log"
    if there == "a file":
        path.touch()
    watch = Watch(path)
    assert not watch.wait(60)
    assert naps == [WAIT_S_MAX]
    path.unlink(missing_ok=True)
    path.mkdir()
    watch.wait(0)
    (path / "file").touch()
    assert watch.wait(60)
    watch.close()


@needs_inotify
def test_a_directory_that_goes_away_is_waited_for_without_an_error(tmp_path, naps):
    path = tmp_path / "log"
    path.mkdir()
    watch = Watch(path)
    watch.wait(0)
    path.rmdir()
    assert watch.wait(60)
    assert [watch.wait(60) for _ in range(3)] == [False] * 3
    assert naps[0] == WAIT_S_MAX
    assert sum(naps) == pytest.approx(3 * WAIT_S_MAX)
    watch.close()


@needs_inotify
def test_a_poll_that_the_system_refuses_becomes_a_sleep(watch, naps):
    poller = select.poll()
    poller.register(watch._file, select.POLLIN)
    # More files to look at than a process may have is what poll refuses.
    with no_new_files():
        with pytest.raises(OSError, match="Invalid argument"):
            poller.poll(0)
        assert not watch.wait(60)
    assert naps == [WAIT_S_MAX]


# --- what the system lends -----------------------------------------------------------------------


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files")  # noqa: PTH112
def test_closing_gives_everything_back_and_waiting_goes_on(tmp_path):
    before = open_files()
    storage = DirectoryStorage(tmp_path)
    for _ in range(3):
        storage.wait(0.001)
        storage.wait(0.001)
        storage.close()
        storage.close()
        assert open_files() == before
    storage.wait(0)
    del storage
    assert open_files() == before


def test_a_storage_waits_no_longer_than_it_was_asked_to(tmp_path, naps, monkeypatch):
    monkeypatch.setattr(_watch, "_libc", lambda: None)
    storage = DirectoryStorage(tmp_path)
    storage.wait(0.01)
    storage.wait(60)
    assert naps == [0.01, WAIT_S_MAX]


@needs_inotify
def test_a_fork_has_hints_of_its_own_and_takes_none_of_its_parents(tmp_path, pytestconfig):
    program = """
import os, pathlib, sys
from rescind.events._watch import Watch

path = pathlib.Path(sys.argv[1])
watch = Watch(path)
watch.wait(0)
child = os.fork()
if child == 0:
    watch.wait(0)
    (path / "file").touch()
    told = watch.wait(60)
    watch.close()
    os._exit(0 if told else 1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), watch.wait(60))
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(tmp_path)]
    environment = {"PYTHONPATH": str(pytestconfig.rootpath / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]


def test_reading_a_log_without_following_it_does_not_load_the_foreign_interface(
    tmp_path, pytestconfig
):
    open_log(tmp_path / "log").close()
    program = (
        "import sys\nfrom rescind.events import read\n"
        "assert list(read(sys.argv[1])) == []\nprint('ctypes' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    environment = {"PYTHONPATH": str(pytestconfig.rootpath / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
