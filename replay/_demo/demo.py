"""``rescind demo``: a real endpoint, a real peer, a real cancel, and what the log says of it."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rescind.events import UsageError, read
from rescind.replay._archive.archive import Archive
from rescind.replay._laws.law import Verdict
from rescind.replay._sequences.screen import sequence_json, sequence_lines
from rescind.replay._sequences.sequences import CancelSequence, sequences
from rescind.replay._why.screen import story_json, story_lines
from rescind.replay._why.why import why
from rescind.replay._words.text import Line, line

from .program import AGAIN, Terminal, run

NAMES_MAX = 1000
PEER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What a run of the demo left behind.

    Attributes:
        log: where its log is.
        terminal: the program, with what it heard.
        peer: what the peer process says it got.
        found: the cancellations in the log.
    """

    log: Path
    terminal: Terminal
    peer: dict[str, Any]
    found: list[CancelSequence]

    @property
    def is_good(self) -> bool:
        """Whether the log says what it should, and the peer saw nothing of what was refused."""
        verdicts = [one.verdict for one in self.found]
        return bool(verdicts) and Verdict.BROKEN not in verdicts and not self.peer["marker"]


def run_demo(folder: Path | None) -> Demo:
    """Run the program against a peer process.

    Args:
        folder: where the log goes; it must not exist yet.  A free name here by default.

    Raises:
        UsageError: the folder exists, or no name is free.
    """
    log = _free_name() if folder is None else folder
    if log.exists():
        raise UsageError(f"{log} exists, and the demo overwrites nothing; name another place")
    terminal, peer = _run_against_peer(log)
    found = list(sequences(read(log)))
    return Demo(log, terminal, peer, found)


def _free_name() -> Path:
    for number in range(1, NAMES_MAX):
        path = Path(f"rescind-demo-{number}.log")
        if not path.exists():
            return path
    raise UsageError("there are a thousand demo logs here; remove some, or name a place with --out")


def _run_against_peer(log: Path) -> tuple[Terminal, dict[str, Any]]:
    command = [sys.executable, "-m", "rescind.replay._demo.peer", AGAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:  # noqa: S603  # ours
        assert peer.stdout is not None, "asked for with PIPE"
        try:
            terminal = run(log, int(peer.stdout.readline()))
            said, _ = peer.communicate(timeout=PEER_TIMEOUT_S)
        except BaseException:
            peer.kill()
            raise
    return terminal, json.loads(said)


def demo_lines(demo: Demo, command: str = "rescind") -> Iterable[Line]:
    """Return the demo's screen: the sequence, two stories, what to try next.

    ``command`` is how the command line is called here.
    """
    log, peer = demo.log, demo.peer
    archive = Archive(read(demo.log))
    clock = archive.clock
    yield line("A program sent eight pages to a slow peer and pressed Stop in the middle.")
    yield line(f"The caller that was blocked got: {demo.terminal.raised}")
    yield line(f"The script that sent again got:  {demo.terminal.refused}")
    yield line(f"The peer read {peer['bytes']:,} bytes, and of the refused request {_none(peer)}.")
    yield line()
    yield line(f"$ rescind sequences {log}")
    for one in demo.found:
        yield from sequence_lines(one, clock)
    for selector in _examples(demo.found):
        yield line()
        yield line(f"$ rescind why {log} --of {selector}")
        yield from story_lines(why(archive, selector), clock)
    yield line()
    yield line(f"The log is {log}.  Try next:")
    for question in ("info", "turns", "check", "rerun"):
        yield line(f"  {command} {question} {log}")


def _none(peer: dict[str, Any]) -> str:
    return "some, which must not be" if peer["marker"] else "none"


def _examples(found: list[CancelSequence]) -> tuple[str, str]:
    """Return the first victim and the first refusal, as selectors."""
    victims = [victim.request for one in found for victim in one.victims]
    refusals = [refusal.request for one in found for refusal in one.refused]
    return (f"r{victims[0]}" if victims else "last", f"r{refusals[0]}" if refusals else "last")


def demo_json(demo: Demo) -> dict[str, Any]:
    """Return the body of ``rescind demo --json``."""
    archive = Archive(read(demo.log))
    stories = [why(archive, each) for each in _examples(demo.found)]
    return {
        "peer": demo.peer,
        "sequences": [sequence_json(one) for one in demo.found],
        "stories": [story_json(story) for story in stories],
    }
