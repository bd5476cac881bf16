"""Follows a log to the turn that says it is the end; checks each turn and its own memory.

Prints a line at the first turn, so that others know that it follows, and one about all at the end.
"""

import json
import os
import sys
from pathlib import Path

from rescind.events import read

PATIENCE_S = 40
STATUS = Path("/proc/self/status")


def memory_kib():
    """The most that was ever held; not ``ru_maxrss``, which begins with what the parent had."""
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


def next_is(turn, before):
    """Say whether this is the next turn, exactly as its writer wrote it."""
    return turn.number == before + 1 and turn.message.value in (
        (turn.epoch, turn.number),
        "the end",
    )


def main(path):
    reader = read(path)
    number, epochs, memory_before, files_before = 0, list[int](), 0, 0
    for turn in reader.follow(idle_s=PATIENCE_S):
        if not next_is(turn, number):
            sys.exit(f"after {number} came {turn}; damage {reader.damage}")
        number = turn.number
        if epochs[-1:] != [turn.epoch]:
            epochs.append(turn.epoch)
        if number == 1:
            os.write(1, b"1\n")
        if number == 1_000:
            memory_before, files_before = memory_kib(), files()
        if turn.message.value == "the end":
            break
    else:
        sys.exit(f"nothing came for {PATIENCE_S} s behind {number}; damage {reader.damage}")
    about = {
        "last": number,
        "epochs": epochs,
        "segments": reader.segments[-1],
        "memory_growth_kib": memory_kib() - memory_before,
        "files_growth": files() - files_before,
        "rows": sorted({place.row for place in reader.damage}),
        "torn": all(place.torn for place in reader.damage),
    }
    os.write(1, json.dumps(about).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
