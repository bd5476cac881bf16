"""The plugin and its verdict, on a small suite that is laid out as Pykka's is."""

import subprocess

import pytest

from .__main__ import command, environment
from .rescind_runtime import LEFT_OUT

TYPES = """
class Runtime:
    def __init__(self, **fields):
        vars(self).update(fields)
"""
CONFTEST = """
import pytest
from pykka import ThreadingActor
from tests.types import Runtime

RUNTIMES = {
    "threading": pytest.param(Runtime(name="threading", actor_class=ThreadingActor), id="threading")
}

@pytest.fixture(scope="session", params=RUNTIMES.values())
def runtime(request):
    return request.param
"""
TESTS = """
import pytest

@pytest.mark.parametrize("message", [1, 2])
def test_of_a_runtime(runtime, message):
    assert runtime.actor_class.start().stop()

def test_of_no_runtime():
    pass
"""


@pytest.fixture
def suite(tmp_path):
    """Return a function that runs the small suite with one of its files exchanged."""

    def run(**exchanged):
        files = {
            "__init__": "",
            "types": TYPES,
            "conftest": CONFTEST,
            "test_all": TESTS,
            "test_threading_actor": "".join(
                f"def {name.partition('::')[2]}():\n    raise AssertionError\n" for name in LEFT_OUT
            ),
        }
        (tmp_path / "tests").mkdir()
        for name, text in (files | exchanged).items():
            (tmp_path / "tests" / f"{name}.py").write_text(text, encoding="utf-8")
        done = subprocess.run(
            command(), cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_every_test_of_a_runtime_runs_with_ours_and_what_is_left_out_is_named(suite):
    code, said = suite()
    assert code == 0, said
    assert "2 passed with rescind.Actor" in said
    assert "2 passed with pykka.ThreadingActor" in said
    assert "1 passed that need no actor class" in said
    assert all(f"{name}: {reason}" in said for name, reason in LEFT_OUT.items())


@pytest.mark.parametrize(
    ("exchanged", "complaint"),
    [
        ({"test_threading_actor": ""}, "left out, but not there"),
        ({"test_all": TESTS + "\n@pytest.mark.skip\ndef test_more(): ..."}, "skipped unseen"),
        (
            {"test_all": TESTS + "\n@pytest.mark.xfail\ndef test_more(): assert 0"},
            "skipped unseen",
        ),
        ({"conftest": CONFTEST.replace("RUNTIMES", "OTHERS")}, "not every test"),
        (
            {"test_all": TESTS + "\ndef test_more(runtime): assert runtime.name != 'rescind'"},
            "1 failed",
        ),
    ],
    ids=["a name that is gone", "a skip", "an expected failure", "no table", "a failure"],
)
def test_a_run_that_was_not_all_of_it_fails_and_says_why(suite, exchanged, complaint):
    code, said = suite(**exchanged)
    assert code == pytest.ExitCode.TESTS_FAILED, said
    assert complaint in said
