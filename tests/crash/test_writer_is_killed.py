"""A writer is killed at random moments: every acknowledged record is there afterwards.

``RESCIND_KILLS`` says how many times at ``os`` and ``disk`` together (default 200);
``RESCIND_KILL_SEED`` repeats the moments, as far as a machine repeats anything.
"""

import faulthandler
import os
import random
import signal
import subprocess
import sys
from itertools import pairwise
from threading import Timer

import pytest

from rescind.events import read

KILLS = int(os.environ.get("RESCIND_KILLS", "200"))
KILLS_PER_LOG = 8
"""A log is killed and opened several times, but not so often that reading it takes long."""
AFTER_S_MAX = 0.02
SEED = int(os.environ.get("RESCIND_KILL_SEED", random.randrange(1 << 30)))

# It has imported everything and forks its children, so that a kill costs milliseconds.  Every line
# is one write: it is out before the kill or it is not.
PARENT = """
import os, sys, traceback
from rescind.events import Log, Tell

def write_for_ever(path, durability):
    log = Log.create_or_open(path, durability=durability, segment_bytes_max=20_000)
    tell = log.kind_ids[Tell]
    os.write(1, b"acknowledged %d %d\\n" % (log.last_number, log.actors_next))
    while True:
        for size in (1, 3, 50):
            for _ in range(size):
                number = log.last_number + 1
                message = (tell, "x" * (number % 97 * 11))
                log.append((log.actors_next, number, 1, 0, message, (), None))
                log.actors_next += 1
            log.write(log.seal())
            os.write(1, b"acknowledged %d %d\\n" % (log.last_number, log.actors_next))

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            write_for_ever(*line.rstrip("\\n").split("\\t"))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.write(1, b"born %d 0\\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(1, b"dead %d 0\\n" % os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(autouse=True)
def _long():
    # In its large size this runs longer than pytest waits before it shows all stacks.
    faulthandler.cancel_dump_traceback_later()


class Parent:
    """A process that makes children which write until they are killed."""

    def __init__(self, source):
        self._process = subprocess.Popen(
            [sys.executable, "-c", PARENT],
            env={"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._orders, self._news = self._process.stdin, self._process.stdout

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        # A child that still writes finds nobody who listens, and ends too.
        self._orders.close()
        self._news.close()
        status = self._process.wait()
        assert failed or status == 0

    def run_and_kill(self, path, durability, after_s, begin):
        """Let a child write, and kill it so long after ``begin``, which is a line's first word.

        Return all that it acknowledged: last number and next actor, first those it found.
        """
        self._orders.write(f"{path}\t{durability}\n".encode())
        acknowledged: list[tuple[int, int]] = []
        child, timer = 0, None
        while line := self._news.readline():
            word, number, actor = line.decode().split()
            if word == "born":
                child = int(number)
            elif word == "acknowledged":
                acknowledged.append((int(number), int(actor)))
            else:
                assert int(number) == -signal.SIGKILL
                return acknowledged
            has_begun = begin == "born" or (acknowledged and acknowledged[-1][0] > 0)
            if timer is None and child and has_begun:
                timer = Timer(after_s, os.kill, (child, signal.SIGKILL))
                timer.start()
        raise AssertionError("the parent process ended")


class Victim:
    """A log, and what was acknowledged of it so far."""

    def __init__(self, path):
        self.path = path
        self.last, self.actors_next, self.found = 0, 1, 0

    def take(self, acknowledged):
        """Hold the log against what was acknowledged, from the end of the last look on."""
        last, _ = max(acknowledged, default=(0, 0))
        # What it found when it opened may leave actors out: they were to come with a batch that
        # never did, and the segment that was made for it says so.
        actors_next = max((actor for _, actor in acknowledged[1:]), default=1)
        assert last >= self.last or not acknowledged, "what was acknowledged was not found again"
        self.last, self.actors_next = max(self.last, last), max(self.actors_next, actors_next)
        numbers = [number for number, _ in self.read(start=max(1, self.found))]
        assert numbers == list(range(max(1, self.found), max(1, self.found) + len(numbers)))
        assert (numbers[-1] if numbers else 0) >= max(self.last, self.found)
        self.found = numbers[-1] if numbers else 0

    def read(self, **options):
        if not list(self.path.glob("*.seg")):
            # Killed before there was anything: not yet a log.
            assert self.found == self.last == 0
            return []
        reader = read(self.path, **options)
        records = list(reader.raw())
        assert all(place.torn for place in reader.damage)
        return records

    def check(self):
        """Read the whole log at the end: dense, and no actor's number given twice."""
        records = self.read(verify_chain=True)
        assert [number for number, _ in records] == list(range(1, self.found + 1))
        actors = [record[0] for _, record in records]
        assert all(before < after for before, after in pairwise(actors))
        assert max(actors, default=1) >= self.actors_next - 1


@pytest.mark.timeout(60 + KILLS)
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, pytestconfig, durability):
    print(f"repeat with RESCIND_KILL_SEED={SEED} RESCIND_KILLS={KILLS}")  # noqa: T201 - shown on failure
    moments = random.Random(f"{SEED} {durability}")
    kills = max(1, KILLS // 2)
    victims: list[Victim] = []
    with Parent(pytestconfig.rootpath / "src") as parent:
        for kill in range(kills):
            if kill % KILLS_PER_LOG == 0:
                victims.append(Victim(tmp_path / f"log-{len(victims)}"))
            # Every third dies while it opens the log or soon after; the others while they write.
            # The first writes for certain, however slow the machine is.
            begin = "born" if kill % 3 == 2 else "acknowledged"
            after_s = moments.uniform(0, AFTER_S_MAX / (2 if begin == "born" else 1))
            victim = victims[-1]
            victim.take(parent.run_and_kill(victim.path, durability, after_s, begin))
    for victim in victims:
        victim.check()
    total = sum(victim.last for victim in victims)
    segments = sum(len(read(victim.path).segments) for victim in victims)
    print(f"{durability}: {kills} kills, {total} acknowledged records, {segments} segments")  # noqa: T201
    assert total > 0
    # Every life begins one; with more, kills met sealing and rolling too.
    assert segments > kills
