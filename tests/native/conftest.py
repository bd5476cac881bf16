"""Runtimes with the native dialect, audited after each test; and a twin in the work's place."""

from typing import Any

import pytest

from rescind.actors.native import Twin
from tests.runtime.audited import dispatcher, recordings, runtime, stepped

from .stores import Store

__all__ = ["dispatcher", "recordings", "runtime", "stepped"]


@pytest.fixture
def twin(stepped: Any) -> Twin:
    """Stand in for the work of ``stepped``: nothing ends before the test says so."""
    return Twin(stepped)


@pytest.fixture
def crash(recordings, tmp_path):
    """Return what opens a log as a crash of ``runtime`` would leave it: what is written, is."""
    count = 0

    def make(runtime: Any, *classes: type, **options: Any) -> Any:
        nonlocal count
        count += 1
        runtime.commit()
        path = tmp_path / f"crashed-{count}"
        runtime.log.save(path)
        options = {"classes": classes or [Store], **options}
        return recordings.open("stepped", path=path, **options)

    return make
