"""The benchmarks run and say what they promise to say; how fast is nobody's business here."""

import json
import os
import subprocess
import sys
from itertools import product
from typing import Any

import pytest

from . import NAMES, load
from .compare import compare
from .registry import Benchmark, Figure, Side

KEYS = {"benchmark", "figure", "unit", "ours", "peer", "peer_name", "ratio", "goal", "met"}


def command(pytestconfig, *arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=pytestconfig.rootpath,
        env=environment,
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
    pairs = [
        (figure, peer)
        for figure, peer in product(benchmark.figures, benchmark.peers)
        if peer.returns(figure)
    ]
    found = [(row["figure"], row["peer_name"]) for row in rows]
    assert found == [(figure.name, peer.name) for figure, peer in pairs]
    for row, (figure, peer) in zip(rows, pairs, strict=True):
        assert set(row) == KEYS
        assert row["benchmark"] == name
        assert row["goal"] == figure.goals.get(peer.name)
        assert isinstance(row["ours"], float)
        if peer.hindrance:
            assert (row["peer"], row["ratio"], row["met"]) == (None, None, None)
            assert f"not run: {peer.hindrance}" in done.stdout
        else:
            assert isinstance(row["peer"], float)
            ratio = row["ratio"] or 0  # there is none where the peer, or ours, used nothing
            reached = None if row["goal"] is None else ratio >= row["goal"]
            assert row["met"] == reached


def test_the_sides_take_turns(pytestconfig):
    done = command(pytestconfig, "lifecycle", "--size", "5", "--rounds", "2")
    said = [line.split(", ")[1] for line in done.stderr.splitlines() if ": round" in line]
    assert said == ["ours", "asyncio", "pykka"] * 2


def test_what_the_rounds_share_is_made_once_and_gone_at_the_end(pytestconfig, tmp_path):
    done = command(
        pytestconfig,
        *("lookup", "--size", "20", "--rounds", "2"),
        environment=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("lookup: prepare") == 1
    assert not [*tmp_path.iterdir()]


def test_an_unknown_name_is_a_usage_error(pytestconfig):
    done = command(pytestconfig, "nothing")
    assert done.returncode == 2
    assert "no benchmark nothing" in done.stderr


def none(_n):
    raise AssertionError("nothing is measured here")


def benchmark_of(figure, peer):
    return Benchmark("b", "", Side("ours", none, 1, 1), (peer,), (figure,))


def rows_of(figure, ours, peer):
    benchmark = benchmark_of(figure, Side("peer", none, 1, 1))
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


def test_a_peer_whose_package_is_missing_is_told_of_and_meets_no_goal():
    peer = Side("peer", none, 1, 1, needs="a_package_that_nobody_made")
    figure = Figure("f", "1/s", True, {"peer": 2.0})
    [row] = compare(benchmark_of(figure, peer), {"ours": [{"f": 5.0}]})
    assert row.not_run == "a_package_that_nobody_made is not installed"
    assert (row.row.ours, row.row.peer, row.row.goal, row.row.met) == (5.0, None, 2.0, None)


def test_a_peer_is_held_against_us_only_where_it_has_a_figure():
    peer = Side("peer", none, 1, 1, figures=("g",))
    assert not [*compare(benchmark_of(Figure("f", "1/s", True), peer), {"ours": [{"f": 5.0}]})]
