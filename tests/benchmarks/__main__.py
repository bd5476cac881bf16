"""The command: ``python -m tests.benchmarks [NAME ...] [--quick] [--json FILE]``."""

import argparse
import json
import sys
from pathlib import Path

from . import NAMES, load
from .compare import Compared, compare, run
from .registry import Side

COLUMNS = "{:<12} {:<13} {:>11} {:>11} {:<12} {:<14} {:>7} {:>7} {:>6}  {}"


def main() -> int:
    """Measure what is named, print the table, and write the JSON if asked to."""
    options = _parse()
    compared: list[Compared] = []
    for name in options.names or NAMES:
        benchmark = load(name)
        measured = run(
            benchmark, rounds=options.rounds, size=lambda side: _size(side, options), say=_say
        )
        compared += compare(benchmark, measured)
    _print_table(compared)
    if options.json is not None:
        rows = [each.as_json() for each in compared]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="fewer items")
    parser.add_argument("--size", type=int, help="at most so many items, to try a benchmark out")
    parser.add_argument("--rounds", type=int, default=5, help="how often (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.rounds < 1:
        parser.error("--rounds is at least 1")
    return options


def _size(side: Side, options: argparse.Namespace) -> int:
    n = side.n_quick if options.quick else side.n
    return n if options.size is None else min(n, options.size)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _print_table(compared: list[Compared]) -> None:
    heads = ("benchmark", "figure", "ours", "peer", "unit", "against", "ratio", "pairs", "goal")
    print(COLUMNS.format(*heads, "met"))
    for each in compared:
        row = each.row
        met = {True: "yes", False: "NO", None: ""}[row.met]
        if each.not_run:
            met = f"not run: {each.not_run}"
        numbers = (_number(row.ratio), _number(each.pairs), _number(row.goal))
        what = (row.benchmark, row.figure, _number(row.ours), _number(row.peer))
        print(COLUMNS.format(*what, row.unit, row.peer_name, *numbers, met))
    print("ratio: of the medians, above 1 where ours is better; pairs: median of each round's")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
