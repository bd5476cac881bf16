"""A recording of native requests is executed again without all who had a part in it."""

from typing import Any

import pytest

from rescind import Runtime, newton
from rescind.actors.runtime import Stepped
from rescind.events import read
from rescind.replay import rerun
from tests.native.actors import Boss, Counted, Crawl, Crawler, Fetch

MESSAGES = [Counted, Crawl, Fetch]


@pytest.fixture
def log():
    """Crawls that end and one that is cancelled; besides, an endpoint that they don't know."""
    run = Stepped()
    with Runtime.open(dispatcher=run) as runtime:
        endpoint = newton.Endpoint(runtime, newton.twin())
        endpoint.bind()
        boss: Any = runtime.start(Boss, runtime.start(Crawler))
        boss.request(Crawl(["a"]))
        run.run()
        endpoint.connect()
        boss.request(Crawl(["b", "c"])).cancel()
        run.run()
    return runtime.log


def test_with_all_of_them_every_turn_is_executed(log):
    again = rerun(read(log), classes=[Boss, Crawler, *MESSAGES])
    assert (again.skipped, again.unreachable, again.divergence) == (0, 0, None)


def test_without_any_actors_class_the_other_endpoints_are_executed_to_the_end(log):
    again = rerun(read(log), classes=MESSAGES)
    assert again.divergence is None
    assert again.turns
    assert not again.unreachable
    endpoint = rerun(read(log), classes=MESSAGES, only=1)
    assert (endpoint.turns, endpoint.divergence) == (again.turns, None)


@pytest.mark.parametrize("known", [Boss, Crawler])
def test_with_one_of_two_it_ends_where_the_other_decides_of_a_request_and_says_so(log, known):
    again = rerun(read(log), classes=[known, *MESSAGES])
    assert again.divergence is None
    assert again.unreachable
    assert "which is not executed, has a part in r" in again.reasons[0]


@pytest.mark.parametrize("only", range(1, 6))
def test_one_actor_alone_never_differs(log, only):
    assert rerun(read(log), classes=[Boss, Crawler, *MESSAGES], only=only).divergence is None
