"""A reader follows a writer at full speed through rolls, kills and restarts: each turn once.

``RESCIND_FOLLOW_S`` says for how many seconds is written (default 5), ``RESCIND_KILL_SEED`` repeats
the moments of the kills.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

FOLLOW_S = float(os.environ.get("RESCIND_FOLLOW_S", "5"))
SEED = int(os.environ.get("RESCIND_KILL_SEED", random.randrange(1 << 30)))
LIFE_S_MAX = 1.0
SIZES = {"os": (1_000_000, 10_000), "disk": (100_000, 1_000)}
"""A segment's bytes, and the last writer's rounds: enough of them to fill more than one segment."""
MEMORY_GROWTH_KIB_MAX = 64 * 1024
WRITER = Path(__file__).with_name("follow_writer.py")
READER = Path(__file__).with_name("follow_reader.py")


def start(program, source, *arguments):
    environment = {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(program), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lives(dice):
    """How long each writer lives, and whether that counts from its birth or its first breath.

    A short life from birth ends somewhere in the opening of the log.
    """
    total = 0.0
    while total < FOLLOW_S:
        if dice.random() < 0.25:
            yield dice.uniform(0.02, 0.2), False
        else:
            life_s = dice.uniform(0, LIFE_S_MAX)
            total += life_s
            yield life_s, True


def last_of(lines):
    """What was acknowledged last, in whole lines."""
    whole = lines[: lines.rfind("\n") + 1].split()
    return int(whole[-1]) if whole else 0


def live(writer, life_s, *, from_begin):
    """Let a writer write for so long and kill it; return what it acknowledged last."""
    with writer:
        assert writer.stdout
        assert writer.stderr
        lines = ""
        if from_begin:
            lines = writer.stdout.readline()
            assert lines == "0\n", writer.stderr.read()
        timer = Timer(life_s, writer.kill)
        timer.start()
        lines += writer.stdout.read()
        timer.join()
        complaints = writer.stderr.read()
    assert writer.returncode == -signal.SIGKILL, complaints
    return last_of(lines)


@pytest.mark.timeout(90 + 8 * FOLLOW_S)
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_follower_sees_each_turn_once_through_rolls_kills_and_restarts(
    tmp_path, pytestconfig, durability
):
    print(f"repeat with RESCIND_KILL_SEED={SEED} RESCIND_FOLLOW_S={FOLLOW_S}")  # noqa: T201 - shown on failure
    source, path = pytestconfig.rootpath / "src", tmp_path / "log"
    dice = random.Random(SEED)
    segment_bytes_max, last_rounds = SIZES[durability]
    writer_arguments = (source, path, durability, segment_bytes_max)
    acknowledged = 0
    first = start(WRITER, *writer_arguments, -1)
    assert first.stdout
    first.stdout.readline()
    with start(READER, source, path) as follower:
        assert follower.stdout
        assert follower.stderr
        try:
            # It follows, and from here on nobody waits for it.
            assert follower.stdout.readline() == "1\n", follower.stderr.read()
            acknowledged = live(first, LIFE_S_MAX, from_begin=False)
            for life_s, from_begin in lives(dice):
                writer = start(WRITER, *writer_arguments, -1)
                acknowledged = max(acknowledged, live(writer, life_s, from_begin=from_begin))
            with start(WRITER, *writer_arguments, last_rounds) as writer:
                said, complaints = writer.communicate()
            assert writer.returncode == 0, complaints
            said_by_follower, complaints = follower.communicate()
            assert follower.returncode == 0, complaints
        finally:
            first.kill()
            follower.kill()
    about = json.loads(said_by_follower)
    print(about)  # noqa: T201 - shown on failure
    assert about["last"] == last_of(said) > acknowledged > 0
    assert about["torn"], "damage that is no torn tail"
    assert len(about["epochs"]) > 2
    assert about["epochs"] == sorted(set(about["epochs"]))
    assert about["segments"] > len(about["epochs"])
    assert about["memory_growth_kib"] < MEMORY_GROWTH_KIB_MAX
    assert about["files_growth"] <= 1
