"""SIGKILL at every turn boundary of a scenario: what the next process makes of the log.

State is what the events say, every request completes exactly once, a sink hears of every
completion, and of none twice without being told so; and the laws hold.

``RESCIND_KILLS`` above the usual 200 also kills the recovery, at every one of its own writes after
every kill of the scenario; usually that is done after some.
"""

import faulthandler
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from rescind import Runtime, Stepped, read
from rescind.events import (
    Accepted,
    Born,
    Completed,
    Delivered,
    Discarded,
    Reference,
    Routed,
    Start,
    Stopped,
    Unknown,
)
from rescind.replay import check

from .recovered_until_killed import Plain, Store

KILLS = int(os.environ.get("RESCIND_KILLS", "200"))
EVERY = 1 if KILLS > 200 else 24
"""After which kills of the scenario the recovery is killed too."""
HOW = ("before", "torn", "after")
PROGRAM = "from tests.crash.recovered_until_killed import main; main()"


@pytest.fixture(autouse=True)
def _long():
    # In its large size this runs longer than pytest waits before it shows all stacks.
    faulthandler.cancel_dump_traceback_later()


class Program:
    """The process whose children are killed."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=root,
            env={"PYTHONPATH": f"{root / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        status = self._process.wait()
        assert failed or status == 0

    def play(
        self, path: Path, episode: str, write: int, how: str, keyframes: int
    ) -> tuple[int, list[tuple[int, bool]]]:
        """Let a child play; return how many writes it survived, 0 if it was killed, and what its
        sink heard."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{path}\t{episode}\t{write}\t{how}\t{keyframes}\n")
        heard: list[tuple[int, bool]] = []
        wrote = 0
        for line in self._process.stdout:
            match line.split():
                case ["heard", number, redelivered]:
                    heard.append((int(number), redelivered == "1"))
                case ["wrote", count]:
                    wrote = int(count)
                case ["dead", status]:
                    assert int(status) == (0 if wrote else -signal.SIGKILL)
                    return wrote, heard
                case _:
                    pytest.fail(line)
        raise AssertionError("the program ended")


class Expected:
    """What a log says that the next process must find, folded in the plainest way."""

    def __init__(self, path: Path) -> None:
        self.states: dict[int, dict[str, Any]] = {}
        self.accepted: set[int] = set()
        self.routed: set[int] = set()
        self.completed: Counter[int] = Counter()
        self.settled: set[int] = set()
        for turn in read(path) if any(path.glob("*.seg")) else ():
            for each in turn.events:
                self._take(each, turn)

    def _take(self, each: Any, turn: Any) -> None:
        match each:
            case Born() if isinstance(turn.message, Start) and turn.message.args:
                other = turn.message.kwargs.get("other")
                state = {"title": turn.message.args[0], "other": _number(other), "names": []}
                self.states[turn.actor] = {**state, "parent": each.parent, "child": 0}
            case Stopped(number):
                self.states.pop(number, None)
            case Unknown(name, values=(value,)) if name.endswith("Kept"):
                self.states[turn.actor]["names"].append(value)
            case Unknown(name, values=(value,)) if name.endswith("Adopted"):
                self.states[turn.actor]["child"] = _number(value)
            case Accepted(number):
                self.accepted.add(number)
            case Routed(number):
                self.routed.add(number)
            case Completed(number):
                self.completed[number] += 1
            case Delivered(ranges) | Discarded(ranges):
                for first, last in zip(ranges[::2], ranges[1::2], strict=True):
                    self.settled |= set(range(first, last + 1))
            case _:
                pass

    @property
    def owed(self) -> dict[int, bool]:
        """Routed requests not delivered, and whether they had completed."""
        left = self.routed - self.settled
        return {number: self.completed[number] > 0 for number in sorted(left)}


def _number(reference: Any) -> int:
    return reference.number if isinstance(reference, Reference) else 0


def state_of(actor: Any) -> dict[str, Any]:
    """Return what ``Expected`` says of a living one."""
    ends = {name: getattr(getattr(actor, name), "number", 0) for name in ("other", "child")}
    parent = actor.actor_ref.parent
    return {"title": actor.title, "names": actor.names, "parent": parent, **ends}


def problems_of(path: Path, heard: list[tuple[int, bool]]) -> Iterator[str]:
    """Recover a log and yield what is not as it should be; ``heard`` is what sinks heard before."""
    before = Expected(path)
    offered: list[tuple[int, bool]] = []
    dispatcher = Stepped()
    runtime = Runtime.open(
        path,
        classes=[Store, Plain],
        sinks={"orders": lambda each: offered.append((each.number, each.redelivered))},
        dispatcher=dispatcher,
    )
    states = {number: state_of(actor) for number, actor in runtime.actors.items()}
    if states != before.states:
        yield f"the state is {states}, and the events say {before.states}"
    dispatcher.run()
    if dict(offered) != before.owed or len(offered) != len(before.owed):
        yield f"offered {offered} of {before.owed}"
    known = {number for number, _ in heard}
    if twice := [n for n, is_marked in offered if n in known and not is_marked]:
        yield f"offered again and not marked: {twice}"
    runtime.close()
    after = Expected(path)
    if after.completed != Counter(after.accepted):
        yield f"completions {after.completed} of {after.accepted}"
    if lost := after.routed - known - {number for number, _ in offered}:
        yield f"no sink ever heard of {lost}"
    report = check(read(path, verify_chain=True))
    for law in report.laws:
        yield from (f"{law.law} {each.verdict} {each.text}" for each in law.findings)
    yield from (str(damage) for damage in report.damage if not damage.torn)


@pytest.mark.timeout(120 + 3 * KILLS)
def test_a_process_that_is_killed_at_any_turn_is_recovered(tmp_path, pytestconfig):
    bad: dict[str, list[str]] = {}
    kills = 0
    with Program(pytestconfig.rootpath) as program:
        writes, _ = program.play(tmp_path / "whole", "first", 0, "after", 0)
        assert writes > 40
        for write in range(1, writes + 1):
            how = HOW[write % 3]
            for each in HOW if KILLS > 200 else {how, "after"}:
                path = tmp_path / f"{write}-{each}"
                _, heard = program.play(path, "first", write, each, write % 2)
                kills += 1
                bad[path.name] = list(problems_of(path, heard))
            if write % EVERY == 0:
                kills += kill_recoveries(program, tmp_path, write, bad)
    print(f"{writes} writes, {kills} kills")  # noqa: T201 - shown on failure
    shown = "\n".join(f"{name}: {said[:3]}" for name, said in bad.items() if said)
    assert not shown, shown


def kill_recoveries(program: Program, folder: Path, write: int, bad: dict[str, list[str]]) -> int:
    """Kill a scenario, and then what recovers it, at each of its writes; return how many there
    were."""
    for at in range(1, 1000):
        path = folder / f"{write}-then-{at}"
        _, heard = program.play(path, "first", write, "after", write % 2)
        survived, more = program.play(path, "second", at, HOW[at % 3], 1)
        bad[path.name] = list(problems_of(path, heard + more))
        if survived:
            return 2 * at - 1
    raise AssertionError("it writes for ever")
