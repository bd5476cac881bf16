"""The benchmarks run and say what they promise to say; how fast is nobody's business here."""

import json
import subprocess
import sys
from itertools import product
from typing import Any

import pytest

from . import NAMES, load
from .compare import compare
from .registry import Benchmark, Figure, Side

KEYS = {"benchmark", "figure", "unit", "ours", "peer", "peer_name", "ratio", "goal", "met"}


def command(pytestconfig, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_json_has_a_row_for_each_figure_and_peer(pytestconfig, tmp_path, name):
    file = tmp_path / "rows.json"
    sizes = ["--quick", "--size", "20", "--rounds", "2"]
    done = command(pytestconfig, name, *sizes, "--json", str(file))
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    benchmark = load(name)
    pairs = product(benchmark.figures, benchmark.peers)
    expected = [(figure.name, peer.name) for figure, peer in pairs]
    assert [(row["figure"], row["peer_name"]) for row in rows] == expected
    for row in rows:
        assert set(row) == KEYS
        assert row["benchmark"] == name
        assert isinstance(row["ours"], float)
        assert isinstance(row["peer"], float)
        assert (row["met"] is None) == (row["goal"] is None)
        if row["goal"] is not None:
            assert row["met"] == (row["ratio"] >= row["goal"])


def test_the_sides_take_turns(pytestconfig):
    done = command(pytestconfig, "lifecycle", "--size", "5", "--rounds", "2")
    said = [line.split(", ")[1] for line in done.stderr.splitlines() if ": round" in line]
    assert said == ["ours", "asyncio", "pykka"] * 2


def test_an_unknown_name_is_a_usage_error(pytestconfig):
    done = command(pytestconfig, "nothing")
    assert done.returncode == 2
    assert "no benchmark nothing" in done.stderr


def rows_of(figure, ours, peer):
    def none(_n):
        raise AssertionError("nothing is measured here")

    benchmark = Benchmark("b", "", Side("ours", none, 1, 1), (Side("peer", none, 1, 1),), (figure,))
    measured: Any = {"ours": [{"f": each} for each in ours], "peer": [{"f": each} for each in peer]}
    return list(compare(benchmark, measured))


def test_a_ratio_above_one_means_that_ours_is_better_whichever_way_the_figure_runs():
    [fast] = rows_of(Figure("f", "1/s", True, {"peer": 2.0}), [30.0], [10.0])
    assert (fast.row.ratio, fast.row.met) == (3.0, True)
    [small] = rows_of(Figure("f", "KiB", False, {"peer": 2.0}), [10.0], [15.0])
    assert (small.row.ratio, small.row.met) == (1.5, False)


def test_the_median_of_the_pairs_is_taken_round_by_round():
    [one] = rows_of(Figure("f", "1/s", True), [10.0, 20.0, 90.0], [10.0, 10.0, 10.0])
    assert one.row.ratio == 2.0
    [two] = rows_of(Figure("f", "1/s", True), [10.0, 20.0, 90.0], [10.0, 40.0, 30.0])
    assert (two.row.ratio, two.pairs) == (pytest.approx(2 / 3), 1.0)


def test_a_peer_that_used_nothing_has_no_ratio_and_meets_no_goal():
    [none] = rows_of(Figure("f", "KiB", False, {"peer": 1.0}), [0.0], [1.0])
    assert (none.row.ratio, none.row.met) == (None, False)
