"""``rescind demo``: a real endpoint, a real peer, a real cancel, and what the log says of it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rescind.events import UsageError, read

from ._demo_program import AGAIN, Terminal, run
from ._laws import Verdict
from ._model import Ledger, fold
from ._select import resolve
from ._sequences import Sequence, hear, sequence_of
from ._sequences_screen import sequence_json, sequence_lines
from ._text import Clock, Line, line
from ._why import story_of
from ._why_screen import story_json, story_lines

NAMES_MAX = 1000
PEER_TIMEOUT_S = 30.0


def run_demo(
    folder: Path | None, *, show: Callable[[Iterable[Line]], None], as_json: bool
) -> int:
    """Run the program against a peer process, print its log's story, return the exit code.

    Args:
        folder: where the log goes; it must not exist yet.  A free name here by default.
        show: prints lines.
        as_json: print one document instead.
    """
    log = _free_name() if folder is None else folder
    if log.exists():
        raise UsageError(f"{log} exists, and the demo overwrites nothing; name another place")
    terminal, peer = _run_against_peer(log)
    reader = read(log)
    docket = hear(reader)
    found = [sequence_of(each, docket) for each in docket.ledger.cancels.values()]
    if as_json:
        print(json.dumps(_document(log, found, peer), indent=2))
    else:
        show(_screen(log, found, terminal, peer))
    is_good = all(one.verdict is not Verdict.BROKEN for one in found) and not peer["marker"]
    return 0 if is_good and found else 1


def _free_name() -> Path:
    for number in range(1, NAMES_MAX):
        path = Path(f"rescind-demo-{number}.log")
        if not path.exists():
            return path
    raise UsageError("there are a thousand demo logs here; remove some, or name a place with --to")


def _run_against_peer(log: Path) -> tuple[Terminal, dict[str, Any]]:
    command = [sys.executable, "-m", "rescind.replay._demo_peer", AGAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None, "asked for with PIPE"
        try:
            terminal = run(log, int(peer.stdout.readline()))
            said, _ = peer.communicate(timeout=PEER_TIMEOUT_S)
        except BaseException:
            peer.kill()
            raise
    return terminal, json.loads(said)


def _screen(
    log: Path, found: list[Sequence], terminal: Terminal, peer: dict[str, Any]
) -> Iterable[Line]:
    reader = read(log)
    ledger = fold(reader)
    clock = Clock(ledger.first.time_ns if ledger.first else 0)
    victim, refused = _examples(found)
    yield line("A program sent eight pages to a slow peer and pressed Stop in the middle.")
    yield line(f"The caller that was blocked got: {terminal.raised}")
    yield line(f"The script that sent again got:  {terminal.refused}")
    yield line(f"The peer read {peer['bytes']:,} bytes, and of the refused request {_none(peer)}.")
    yield line()
    yield line(f"$ rescind sequences {log}")
    for one in found:
        yield from sequence_lines(one, clock)
    for selector in (victim, refused):
        yield line()
        yield line(f"$ rescind why {log} --of {selector}")
        yield from story_lines(story_of(reader, resolve(selector, ledger), ledger), clock)
    yield line()
    yield line(f"The log is {log}.  Try next:")
    for command in ("info", "turns", "check", "rerun"):
        yield line(f"  rescind {command} {log}")


def _none(peer: dict[str, Any]) -> str:
    return "some, which must not be" if peer["marker"] else "none"


def _examples(found: list[Sequence]) -> tuple[str, str]:
    """Return the first victim and the first refusal, as selectors."""
    victims = [victim.request for one in found for victim in one.victims]
    refusals = [refusal.request for one in found for refusal in one.refused]
    return (f"r{victims[0]}" if victims else "last", f"r{refusals[0]}" if refusals else "last")


def _document(log: Path, found: list[Sequence], peer: dict[str, Any]) -> dict[str, Any]:
    reader = read(log)
    ledger: Ledger = fold(reader)
    stories = [story_of(reader, resolve(each, ledger), ledger) for each in _examples(found)]
    return {
        "schema": "rescind.demo",
        "version": 0,
        "log": str(log),
        "peer": peer,
        "sequences": [sequence_json(one) for one in found],
        "stories": [story_json(story) for story in stories],
    }
