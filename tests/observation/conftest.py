"""Traced runtimes, audited after each test; and the spans of all of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from rescind.events import Accepted, Rejected
from rescind.otel import trace
from tests.runtime.audited import dispatcher, recordings
from tests.runtime.conftest import connect
from tests.runtime.recordings import Recordings, events_of

from .spans import Spans, said

__all__ = ["connect", "dispatcher", "recordings"]


@pytest.fixture
def provider() -> TracerProvider:
    return TracerProvider()


@pytest.fixture
def spans(provider: TracerProvider) -> Spans:
    """What was exported so far."""
    return Spans(provider)


@pytest.fixture
def traced(
    recordings: Recordings, provider: TracerProvider, spans: Spans
) -> Iterator[Callable[..., Any]]:
    """Return what opens a runtime whose requests are spans.

    After the test each request of its log has a span that has ended, and nothing is remembered.
    """
    made: list[Any] = []

    def make(dispatcher: Any, **options: Any) -> Any:
        made.append(recordings.open(dispatcher, **options))
        trace(made[-1], tracer_provider=provider)
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()
        asked = events_of(runtime, Accepted) + events_of(runtime, Rejected)
        log = runtime.log_id.hex()
        ended = [each for each in map(said, spans.all()) if each.get("rescind.log") == log]
        assert sorted(each.request for each in asked) == sorted(
            each["rescind.request"] for each in ended
        )
        remembered = runtime.observer._observer
        assert not remembered._cancels
        assert not remembered._by_scope


@pytest.fixture
def runtime(traced: Callable[..., Any], dispatcher: str) -> Any:
    """A traced runtime under each dispatcher."""
    return traced(dispatcher)


@pytest.fixture
def stepped(traced: Callable[..., Any]) -> Any:
    return traced("stepped")
