"""A runtime is killed at random moments: what it acknowledged is in its log, and once.

A kill takes about a second here, so it is done a twentieth of ``RESCIND_KILLS`` times (default
200); ``RESCIND_KILL_SEED`` repeats the moments.  Every ``KILLS_PER_LOG`` kills a new log begins:
each is read and checked from its beginning.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Timer

import pytest

from rescind.events import Accepted, Completed, Delivered, Submit, read
from rescind.replay import Verdict, check

KILLS_ASKED = int(os.environ.get("RESCIND_KILLS", "200"))
KILLS = max(1, KILLS_ASKED // 20)
KILLS_PER_LOG = 5
SEED = int(os.environ.get("RESCIND_KILL_SEED", random.randrange(1 << 30)))
AFTER_S_MAX = 0.15
CHILD = Path(__file__).with_name("endpoints_until_killed.py")


def run_and_kill(path, durability, seed, after_s, source, *, from_first_fact):
    """Run the child until it is killed; return its epoch and what it printed in whole lines.

    The moment counts from the child's first acknowledged fact, or from its beginning.
    """
    command = [sys.executable, str(CHILD), str(path), durability, str(seed)]
    environment = {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        begun = child.stdout.readline().split()
        assert begun[:1] == ["0"], child.stderr.read()
        said = child.stdout.readline() if from_first_fact else ""
        timer = Timer(after_s, child.kill)
        timer.start()
        said += child.stdout.read()
        timer.join()
        complaints = child.stderr.read()
    assert child.returncode == -signal.SIGKILL, complaints
    assert "the runtime stopped" not in complaints, complaints
    whole = said[: said.rfind("\n") + 1]
    return int(begun[1]), [line.split() for line in whole.splitlines()]


class Ledger:
    """What a log says of requests, by number and by the data of Outputs."""

    def __init__(self, path):
        reader = read(path, verify_chain=True)
        self.numbers = {}
        self.codes = {}
        self.completions: Counter[int] = Counter()
        self.delivered = set()
        for turn in reader:
            for event in turn.events:
                self.note(turn, event)
        self.damage = list(reader.damage)
        self.epochs = reader.epochs

    def note(self, turn, event):
        if isinstance(event, Accepted) and isinstance(turn.message, Submit):
            for label in turn.message.arguments[:1]:
                self.numbers[label] = event.request
        elif isinstance(event, Completed):
            self.completions[event.request] += 1
            self.codes[event.request] = event.code
        elif isinstance(event, Delivered):
            pairs = zip(event.requests[::2], event.requests[1::2], strict=True)
            self.delivered.update(n for first, last in pairs for n in range(first, last + 1))

    def missing(self, fact):
        """Say how one acknowledged fact is not in the log; None if it is."""
        kind, subject, *code = fact
        if kind == "f":
            return None if subject in self.numbers else f"flushed {subject} is not in the log"
        number = int(subject) if kind == "r" else self.numbers.get(subject)
        if number not in self.codes:
            return f"{fact} was acknowledged, and is not in the log"
        if code and str(self.codes[number]) != code[0]:
            return f"{fact} was acknowledged, but the log says {self.codes[number]}"
        return None


def problems_of(path, epoch, facts):
    """Yield what a log after a kill is not, and should be, as text."""
    ledger = Ledger(path)
    if ledger.epochs != list(range(1, epoch + 1)):
        yield f"epochs {ledger.epochs} where the child said {epoch}"
    yield from (f"damage {place}" for place in ledger.damage if not place.torn)
    yield from filter(None, map(ledger.missing, facts))
    twice = [number for number, times in ledger.completions.items() if times > 1]
    if twice:
        yield f"completed more than once: {twice}"
    for law in check(read(path)).laws:
        yield from (f"{law.law} {each.text}" for each in law.of(Verdict.BROKEN))


@pytest.mark.timeout(60 + 6 * KILLS)
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_killed_runtime_loses_nothing_that_it_acknowledged(tmp_path, pytestconfig, durability):
    print(f"repeat with RESCIND_KILL_SEED={SEED} RESCIND_KILLS={KILLS_ASKED}")  # noqa: T201
    moments = random.Random(f"{SEED} {durability}")
    kills = KILLS if durability == "os" else max(1, KILLS // 10)
    source = pytestconfig.rootpath / "src"
    acknowledged = 0
    bad: dict[tuple[int, Path], list[str]] = {}
    facts: list[list[str]] = []
    for kill in range(kills):
        path = tmp_path / f"log{kill // KILLS_PER_LOG}"
        if kill % KILLS_PER_LOG == 0:
            facts = []
        after_s = moments.uniform(0, AFTER_S_MAX)
        # The first kill waits for a fact, so that there is one however slow the machine is.
        epoch, said = run_and_kill(
            path, durability, SEED + kill, after_s, source, from_first_fact=kill == 0
        )
        facts += said
        acknowledged += len(said)
        expected = kill % KILLS_PER_LOG + 1
        found = list(problems_of(path, expected, facts)) if epoch == expected else ["epoch"]
        known = {each for where, said in bad.items() if where[1] == path for each in said}
        if problems := [each for each in found if each not in known]:
            bad[kill, path] = problems
    told = f"{kills} kills, {acknowledged} acknowledged facts, {len(bad)} with new problems"
    print(f"{durability}: {told}")  # noqa: T201
    shown = "\n".join(f"kill {kill}, {path}: {said[:3]}" for (kill, path), said in bad.items())
    assert not bad, shown
    assert acknowledged > 0
