"""The same seed gives the same bytes, whatever the interpreter's own chance is."""

import subprocess
import sys
from pathlib import Path

import pytest

from rescind.events import CancelBegan, Failed, Resume, ScriptRaised, TimedOut, TimerSet, read
from tests.runtime.recordings import audit

from .program import Clerk, Tally

PROGRAM = Path(__file__).with_name("program.py")
HASH_SEEDS = ("0", "1", "4242")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, pytestconfig):
    """Return the log of one run, made once for each combination of seed, schedule and hash seed."""
    made = {}

    def record(seed, schedule, hash_seed):
        key = (seed, schedule, hash_seed)
        if key not in made:
            path = tmp_path_factory.mktemp("log") / "log"
            environment = {
                "PYTHONPATH": str(pytestconfig.rootpath / "src"),
                "PYTHONHASHSEED": hash_seed,
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            command = [sys.executable, str(PROGRAM), str(path), str(seed), schedule]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            made[key] = path
        return made[key]

    return record


def contents(path):
    """Return a log's directory as names and bytes; the lock file names a process, so without it."""
    return {each.name: each.read_bytes() for each in sorted(path.iterdir()) if each.name != "lock"}


@pytest.mark.parametrize("schedule", ["in-order", "shuffle"])
@pytest.mark.parametrize("seed", [0, 7])
def test_equal_seeds_give_byte_equal_logs_under_every_hash_seed(recorded, seed, schedule):
    first, *others = [contents(recorded(seed, schedule, each)) for each in HASH_SEEDS]
    assert first
    for other in others:
        assert other == first


@pytest.mark.parametrize("schedule", ["in-order", "shuffle"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_recording_is_sound_and_is_executed_again_without_a_difference(
    recorded, seed, schedule
):
    audit(recorded(seed, schedule, "0"), [Clerk, Tally])


@pytest.mark.parametrize("schedule", ["in-order", "shuffle"])
def test_different_seeds_give_different_logs(recorded, schedule):
    ids = {read(recorded(seed, schedule, "0")).log_id for seed in (0, 7)}
    assert len(ids) == 2
    assert contents(recorded(0, schedule, "0")) != contents(recorded(7, schedule, "0"))


def schedule_of(path):
    return [(turn.actor, type(turn.message).__name__) for turn in read(path)]


def test_the_seed_decides_the_schedule_only_with_shuffle(recorded):
    in_order = [schedule_of(recorded(seed, "in-order", "0")) for seed in (0, 7)]
    shuffled = [schedule_of(recorded(seed, "shuffle", "0")) for seed in (0, 7)]
    assert in_order[0] == in_order[1]
    assert shuffled[0] != shuffled[1]


def test_the_story_has_in_it_what_it_is_meant_to_have(recorded):
    """Otherwise equal bytes would say little."""
    found = list(read(recorded(0, "in-order", "0")))
    kinds = {type(event) for turn in found for event in turn.events}
    messages = {type(turn.message) for turn in found}
    assert {CancelBegan, Failed, ScriptRaised, TimerSet} <= kinds
    assert {Resume, TimedOut} <= messages
    assert len(found) > 150
