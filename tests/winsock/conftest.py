"""Stages under each dispatcher and in each profile, whose logs are audited; and real resolvers."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rescind.actors.winsock.drivers import DnsResolver, dns
from tests.runtime.audited import recordings
from tests.runtime.recordings import Recordings

from .name_server import WAIT_S, Answers, NameServer, Question, start_dnsmasq
from .stage import DISPATCHERS, PROFILES, Stage

__all__ = ["recordings"]

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

    def make(profile: str = "remembering", **options: Any) -> Stage:
        return Stage(recordings, dispatcher, profile, **options)

    return make


@pytest.fixture
def stage(new_stage: NewStage) -> Stage:
    """An application that was started for 2.2, in the profile `remembering`."""
    return new_stage()


@pytest.fixture
def either(new_stage: NewStage, profile: str) -> Stage:
    """The same, once in each profile."""
    return new_stage(profile)


# --- real resolvers ------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def dnsmasq() -> Iterator[str]:
    """The address of a real name server; without the program the test is skipped."""
    process, port = start_dnsmasq()
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture
def new_server() -> Iterator[Callable[..., NameServer]]:
    servers: list[NameServer] = []

    def make(script: Callable[[Question], list[bytes]]) -> NameServer:
        servers.append(NameServer(script))
        return servers[-1]

    yield make
    for each in servers:
        each.close()


@pytest.fixture
def new_resolver() -> Iterator[Callable[..., tuple[DnsResolver, Answers]]]:
    """Return a maker of resolvers that ask given servers and nothing else."""
    made: list[tuple[DnsResolver, Answers]] = []

    def make(*servers: str, **settings: Any) -> tuple[DnsResolver, Answers]:
        resolver, answers = dns(servers, **({"search": ()} | settings)), Answers()
        resolver.open(answers)
        made.append((resolver, answers))
        return resolver, answers

    yield make
    for resolver, answers in made:
        resolver.close()
        assert not answers.twice
    for thread in threading.enumerate():
        if thread.name in {"rescind-dns", "rescind-databases"}:
            thread.join(WAIT_S)
            assert not thread.is_alive()
