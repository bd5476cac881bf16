"""Cancels that race with the answers of a real name server.

``RESCIND_RACES`` says how many lookups race in each profile (default 300).
"""

import random
import time
from collections import Counter
from functools import partial

import pytest

from rescind import winsock
from rescind.events import CancelOutcome
from tests.runtime.recordings import Recordings, events_of

from .name_server import WAIT_S
from .stage import PROFILES, RACES, code_of

AT_ONCE = 20
LONGEST_S = 0.004
"""About as long as so many lookups take, on a machine that nobody else uses."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_lookup_is_cancelled_in_silence_or_answered_once(
    recordings: Recordings, dnsmasq: str, profile: str
) -> None:
    runtime = recordings.open("thread")
    app = winsock.Application(runtime, winsock.dns([dnsmasq], search=()), profile=profile)
    app.startup()
    window = app.window()
    chance = random.Random(RACES)
    outcomes: Counter[int] = Counter()
    longest_s = LONGEST_S
    for first in range(0, RACES, AT_ONCE):
        buffers: dict[int, winsock.Buffer] = {}
        for number in range(first, min(first + AT_ONCE, RACES)):
            buffer = winsock.Buffer()
            handle = app.async_get_host_by_name(window, 1, f"r{number}.any.test", buffer)
            buffers[handle] = buffer
        time.sleep(chance.uniform(0, longest_s))  # anywhere between the questions and the answers
        cancel = app.cancel_async_request
        codes = {handle: code_of(partial(cancel, handle)) for handle in buffers}
        late = {handle for handle, code in codes.items() if code}
        heard: list[int] = []
        while len(heard) < len(late):
            message = window.get(WAIT_S)
            assert message.error == 0
            heard.append(message.handle)
        assert sorted(heard) == sorted(late)
        assert {handle for handle, buffer in buffers.items() if buffer.entry} == late
        outcomes.update(codes.values())
        if len(outcomes) == 1:  # the one side has won every race: give the other more time
            longest_s *= 2 if 0 in outcomes else 0.5
    app.cleanup()
    assert window.peek() is None
    print(f"RESCIND_RACES={RACES} {profile}: {dict(outcomes)}")  # noqa: T201
    too_late = winsock.Code.EALREADY if profile == "remembering" else winsock.Code.EINVAL
    assert set(outcomes) == {0, too_late}, "both must have been raced for"
    assert len(events_of(runtime, CancelOutcome)) == outcomes[too_late]
