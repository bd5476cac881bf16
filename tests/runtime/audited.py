"""Fixtures for runtimes whose logs are audited after the test, under all dispatchers."""

from collections.abc import Iterator
from typing import Any

import pytest

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
