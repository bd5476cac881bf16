"""Recordings that are audited after each test, and all dispatchers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rescind import newton

from .recordings import DISPATCHERS, Recordings


@pytest.fixture
def recordings() -> Iterator[Recordings]:
    made = Recordings()
    yield made
    made.audit()


@pytest.fixture(params=DISPATCHERS)
def dispatcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runtime(recordings: Recordings, dispatcher: str) -> Any:
    """A runtime under each dispatcher, with its log in memory."""
    return recordings.open(dispatcher)


@pytest.fixture
def stepped(recordings: Recordings) -> Any:
    return recordings.open("stepped")


@pytest.fixture
def threaded(recordings: Recordings) -> Any:
    return recordings.open("thread")


@pytest.fixture
def connect() -> Callable[..., Any]:
    """Return a maker of endpoints in kDataXfer: ``endpoint, twin = connect(runtime)``."""

    def make(runtime: Any, **twin: Any) -> tuple[newton.Endpoint, newton.TwinTool]:
        tool = newton.twin(**twin)
        endpoint = newton.Endpoint(runtime, tool)
        endpoint.bind()
        endpoint.connect()
        return endpoint, tool

    return make
