"""Recordings that are audited after each test, and all dispatchers."""

from collections.abc import Callable
from typing import Any

import pytest

from rescind import newton

from .audited import dispatcher, recordings, runtime, stepped
from .recordings import Recordings

__all__ = ["dispatcher", "recordings", "runtime", "stepped"]


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
