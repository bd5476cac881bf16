"""One measurement in a process of its own: ``python -m tests.benchmarks.one NAME SIDE N``."""

import json
import sys

from . import load


def main(name: str, side_name: str, n: str) -> None:
    """Measure one side once and print its figures as JSON."""
    side = next(each for each in load(name).sides if each.name == side_name)
    print(json.dumps(dict(side.run(int(n)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
