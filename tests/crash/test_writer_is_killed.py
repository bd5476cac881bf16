"""A writer is killed at random moments: every acknowledged record is there afterwards.

``RESCIND_KILLS`` says how many times (default 10); ``RESCIND_KILL_SEED`` repeats the moments.
"""

import os
import random
import signal
import subprocess
import sys
from threading import Timer

import pytest

from rescind.events import read

KILLS = int(os.environ.get("RESCIND_KILLS", "10"))
SEED = int(os.environ.get("RESCIND_KILL_SEED", random.randrange(1 << 30)))

WRITER = """
import os, sys
from rescind.events import Log, Tell
log = Log.create_or_open(sys.argv[1], durability=sys.argv[2], segment_bytes_max=200_000)
tell = log.kind_ids[Tell]
os.write(1, b"0\\n")
while True:
    for size in (1, 3, 50):
        for _ in range(size):
            number = log.last_number + 1
            log.actors_next += 1
            log.append((log.actors_next, number, 1, 0, (tell, "x" * (number % 97 * 11)), (), None))
        log.write(log.seal())
        # One write: the line is out before the kill or it is not.
        os.write(1, b"%d %d\\n" % (log.last_number, log.actors_next))
"""


def run_and_kill(path, durability, after_s, source):
    """Write until killed; return what was acknowledged last: record and next actor."""
    command = [sys.executable, "-c", WRITER, str(path), durability]
    environment = {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"0\n"
        timer = Timer(after_s, writer.kill)
        timer.start()
        lines = writer.stdout.read().splitlines(keepends=True)
        timer.join()
    assert writer.returncode == -signal.SIGKILL
    whole = [line for line in lines if line.endswith(b"\n")]
    last, actors_next = map(int, whole[-1].split()) if whole else (0, 0)
    return last, actors_next


@pytest.mark.timeout(60 + 2 * KILLS)
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, pytestconfig, durability):
    print(f"repeat with RESCIND_KILL_SEED={SEED} RESCIND_KILLS={KILLS}")  # noqa: T201 - shown on failure
    moments = random.Random(SEED)
    acknowledged, actors_next = 0, 0
    for kill in range(KILLS // 2):
        # A log is killed and reopened several times, but not so often that reading it takes long.
        path = tmp_path / f"log-{kill // 8}"
        if kill % 8 == 0:
            acknowledged, actors_next = 0, 0
        moment = moments.uniform(0, 0.05)
        last, actors = run_and_kill(path, durability, moment, pytestconfig.rootpath / "src")
        acknowledged, actors_next = max(acknowledged, last), max(actors_next, actors)
        reader = read(path, verify_chain=True)
        records = list(reader.raw())
        assert [number for number, _ in records] == list(range(1, len(records) + 1))
        assert len(records) >= acknowledged
        assert all(place.torn for place in reader.damage)
        given = [record[0] for _, record in records]
        assert len(set(given)) == len(given), "an actor number was given twice"
        assert max(given, default=1) >= actors_next
