"""Stages under each dispatcher and in each profile, whose logs are audited."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.audited import recordings
from tests.runtime.recordings import Recordings

from .sides import nobody_runs, sides
from .stage import DISPATCHERS, PROFILES, Stage

__all__ = ["nobody_runs", "recordings", "sides"]

NewStage = Callable[..., Stage]


@pytest.fixture(params=DISPATCHERS)
def dispatcher(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def new_stage(recordings: Recordings, dispatcher: str) -> NewStage:
    """Return a maker of stages under each dispatcher."""

    def make(profile: str = "current", **options: Any) -> Stage:
        return Stage(recordings, dispatcher, profile, **options)

    return make


@pytest.fixture
def stage(new_stage: NewStage) -> Stage:
    """A client and a server over a twin, in the profile `current`."""
    return new_stage()


@pytest.fixture
def either(new_stage: NewStage, profile: str) -> Stage:
    """The same, once in each profile."""
    return new_stage(profile)
