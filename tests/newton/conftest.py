"""Stages under every dispatcher and profile; each test ends with an audit of its log."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .stage import DISPATCHERS, Stage


@pytest.fixture(params=DISPATCHERS)
def dispatcher(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def new_stage(dispatcher: str) -> Iterator[Callable[..., Stage]]:
    """Return a maker of stages; each is closed and its log audited after the test."""
    stages: list[Stage] = []

    def make(profile: str = "guide", **twin: Any) -> Stage:
        stages.append(Stage(dispatcher, profile, **twin))
        return stages[-1]

    yield make
    for stage in stages:
        stage.finish()


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    """An endpoint in kDataXfer, in the profile `guide`."""
    return new_stage().connect()


@pytest.fixture(params=("guide", "rom"))
def profile(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def either(new_stage: Callable[..., Stage], profile: str) -> Stage:
    """An endpoint in kDataXfer, once in each profile."""
    return new_stage(profile).connect()


@pytest.fixture
def either_held(new_stage: Callable[..., Stage], profile: str) -> Stage:
    """The same over a tool that stops its work only when the test says `finish_kill`."""
    return new_stage(profile, holds_kills=True).connect()
