"""Real file systems that are full, limited or read-only, where the machine lets us make them."""

import os
import resource
import subprocess
import sys

import pytest

from rescind.events import Tell, read

from .logs import open_log, record

WRITER = """
import os, sys
from rescind.events import Log, LogFailedError, Tell
log = Log.create_or_open(sys.argv[1], durability=sys.argv[2], segment_bytes_max=50_000)
tell = log.kind_ids[Tell]
acknowledged = 0
try:
    while True:
        for _ in range(50):
            log.append((1, log.last_number, 1, 0, (tell, "x" * 100), (), None))
        log.write(log.seal())
        acknowledged = log.last_number
except LogFailedError as error:
    print(acknowledged, type(error.__cause__).__name__, error.__cause__.errno)
try:
    log.append((1, 0, 1, 0, None, (), None))
except LogFailedError:
    print("refused")
"""


def python(pytestconfig, *arguments, before=(), **options):
    """Run Python on our code, perhaps behind a command that sets the stage."""
    source = pytestconfig.rootpath / "src"
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*before, sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, **options
    )


def in_a_mount(pytestconfig, folder, mount, *arguments):
    """The same in a mount namespace of its own, behind ``mount``; skipped where that is refused."""
    folder.mkdir(exist_ok=True)
    probe = ["unshare", "--mount", "sh", "-c", mount.replace("$0", str(folder))]
    try:
        refused = subprocess.run(probe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here, so no file system can be made")
    if refused.returncode:
        pytest.skip(f"no file system can be mounted here: {refused.stderr.strip()}")
    stage = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', str(folder)]
    return python(pytestconfig, *arguments, before=stage)


READER = """
from rescind.events import read
reader = read(sys.argv[1], verify_chain=True)
numbers = [turn.number for turn in reader]
print(len(numbers), numbers == list(range(1, len(numbers) + 1)), [d.row for d in reader.damage])
"""


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_full_file_system_loses_nothing_that_was_acknowledged(tmp_path, pytestconfig, durability):
    folder = tmp_path / "small"
    mount = 'mount -t tmpfs -o size=256k none "$0"'
    program = WRITER + READER  # the file system is gone with its mount
    done = in_a_mount(pytestconfig, folder, mount, "-c", program, folder / "log", durability)
    assert not done.stderr
    written, refused, found = done.stdout.splitlines()
    acknowledged, error, number = written.split()
    assert (error, int(number)) == ("OSError", 28)
    assert int(acknowledged) > 500
    assert refused == "refused"
    assert found.startswith(f"{acknowledged} True ")


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_limit_on_a_files_size_is_like_a_full_one(tmp_path, pytestconfig, durability):
    def limit():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    path = tmp_path / "log"
    done = python(pytestconfig, "-c", WRITER, path, durability, preexec_fn=limit)
    assert not done.stderr
    written, refused = done.stdout.splitlines()
    acknowledged, error, number = written.split()
    assert (error, int(number), refused) == ("OSError", 27, "refused")
    reader = read(path, verify_chain=True)
    numbers = [turn.number for turn in reader]
    assert numbers == list(range(1, int(acknowledged) + 1))
    assert all(place.torn for place in reader.damage)
    again = open_log(path)
    assert again.last_number == int(acknowledged) > 0
    again.close()


def test_a_log_on_a_read_only_file_system_is_read_and_not_written(tmp_path, pytestconfig):
    folder = tmp_path / "frozen"
    folder.mkdir()
    log = open_log(folder / "log")
    log.append(record(log, Tell("kept")))
    log.close()
    code = """
import sys
from rescind.events import Log, LogAccessError, read
print([turn.message.value for turn in read(sys.argv[1], verify_chain=True)])
print(len(list(read(sys.argv[1]).follow(idle_s=0))))
try:
    Log.create_or_open(sys.argv[1])
except LogAccessError as error:
    print(error)
"""
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
    done = in_a_mount(pytestconfig, folder, mount, "-c", code, folder / "log")
    assert not done.stderr
    turns, followed, refused = done.stdout.splitlines()
    assert (turns, followed) == ("['kept']", "1")
    assert "cannot be opened for writing: Read-only file system" in refused
