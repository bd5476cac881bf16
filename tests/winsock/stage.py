"""A stage for one application: a twin that a test directs, and windows that it pumps.

The same test runs under the dispatcher `stepped`, under real threads and in an event loop.  On all
of them `settle` returns when nothing is left that could happen by itself, so that a test may say
what did not happen.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from rescind import winsock
from rescind.actors.runtime import Runtime, Stepped
from rescind.actors.runtime._ranges import count_in
from rescind.events import AnswerIgnored, Discarded, read
from tests.runtime.recordings import Recordings

RACES = int(os.environ.get("RESCIND_RACES", "300"))
"""How many cancels race with an answer, in each way."""

INTERRUPTED = 10004
FAULT = 10014
INVALID = 10022
WOULD_BLOCK = 10035
IN_PROGRESS = 10036
ALREADY = 10037
NOT_SUPPORTED = 10045
NETWORK_DOWN = 10050
NO_BUFFER = 10055
NOT_READY = 10091
BAD_VERSION = 10092
NOT_STARTED = 10093
NO_HOST = 11001

DISPATCHERS = ("stepped", "thread")
PROFILES = ("remembering", "forgetting")
HOST = winsock.HostEntry("a.example", (), socket.AF_INET, ("192.0.2.1",))
HOST_BYTES = 70
"""What ``HOST`` takes of a buffer."""


class Asked(NamedTuple):
    """A lookup as the application knows it."""

    handle: int
    buffer: winsock.Buffer


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect that the call inside raises this code."""
    with pytest.raises(winsock.WinsockError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)


def code_of(call: Callable[[], object]) -> int:
    """Return the code that a call raises, or 0 if it succeeds."""
    try:
        call()
    except winsock.WinsockError as error:
        return error.code
    return 0


def settle(runtime: Runtime) -> None:
    """Return when nothing is left to do."""
    if isinstance(runtime.dispatcher, Stepped):
        runtime.dispatcher.run()
        return
    while True:
        while runtime.pump():
            pass
        # With all three nobody delivers, commits or runs a turn: what is idle now stays idle.
        with runtime._world, runtime._commit, runtime.baton:
            if not runtime.has_work:
                return


class Stage:
    """One application over a twin, started, with a window."""

    def __init__(
        self,
        recordings: Recordings,
        dispatcher: Any = "stepped",
        profile: str = "remembering",
        *,
        version: tuple[int, int] | None = (2, 2),
        storage: Any = None,
        resolver: winsock.TwinResolver | None = None,
        **bounds: int,
    ) -> None:
        self.runtime = recordings.open(dispatcher, storage=storage, slow_turn_s=None)
        self.profile = profile
        self.twin = resolver or winsock.twin()
        self.app = winsock.Application(self.runtime, self.twin, profile=profile, **bounds)
        self.window = self.app.window()
        if version is not None:
            self.app.startup(version)
        self.settle()  # the twin has its port from here on

    @property
    def too_late(self) -> int:
        """What a cancel hears that comes too late."""
        return ALREADY if self.profile == "remembering" else INVALID

    # --- what a test does ------------------------------------------------------------------------

    def ask(
        self, name: str = "a.example", size: int = 1024, window: winsock.Window | None = None
    ) -> Asked:
        """Look a host up and let the twin hear of it."""
        buffer = winsock.Buffer(size)
        handle = self.app.async_get_host_by_name(window or self.window, 7, name, buffer)
        self.settle()
        return Asked(handle, buffer)

    def cancel(self, asked: Asked | int) -> int:
        """Cancel, and return the code."""
        handle = asked if isinstance(asked, int) else asked.handle
        return code_of(lambda: self.app.cancel_async_request(handle))

    def number_of(self, asked: Asked) -> int:
        """Return a lookup's number in the log; it is outstanding, or its message waits."""
        return self.app._actor._lookups[asked.handle].number

    def answer(self, asked: Asked | None = None, entry: Any = HOST) -> None:
        """Let the twin find something, by default for the oldest lookup, and the message come."""
        self.settle()
        self.twin.complete(entry, None if asked is None else self.number_of(asked))
        self.settle()

    def fail(self, code: winsock.Code, asked: Asked | None = None) -> None:
        """Let the twin find nothing, likewise."""
        self.settle()
        self.twin.fail(code, None if asked is None else self.number_of(asked))
        self.settle()

    def answer_late(self, number: int) -> None:
        """Let the twin answer what nobody waits for any more."""
        self.twin.port.answer(number, None, HOST)
        self.settle()

    def network(self, *, is_down: bool) -> None:
        self.twin.network(is_down=is_down)
        self.settle()

    def inside_callback(self, function: Callable[[], object]) -> int:
        """Make a call while the provider calls the application; return its code."""
        heard: list[int] = []
        self.twin.call_back(lambda: heard.append(code_of(function)))
        return heard[0]

    def take_all(self, window: winsock.Window | None = None) -> list[tuple[int, int, int]]:
        """Pump a window empty; return (handle, error, length) of each message."""
        self.settle()
        taken = (window or self.window).messages()
        return [(each.handle, each.error, each.length) for each in taken]

    def settle(self) -> None:
        settle(self.runtime)

    # --- what the log says -----------------------------------------------------------------------

    def events(self, kind: type) -> list[Any]:
        self.settle()
        found = (event for turn in read(self.runtime.log) for event in turn.events)
        return [event for event in found if isinstance(event, kind)]

    @property
    def silences(self) -> list[str]:
        """Why completions were discarded, a word for each."""
        return [
            each.reason for each in self.events(Discarded) for _ in range(count_in(each.requests))
        ]

    @property
    def ignored(self) -> int:
        """How many answers came too late."""
        return len(self.events(AnswerIgnored))
