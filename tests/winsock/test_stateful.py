"""Any program against a model of section C.2, under the stepped dispatcher.

The model says what every call returns: a lookup its handle or the code that refuses it, a cancel
its code, a window its next message.  Between two runs of the dispatcher an answer is on its way:
until then a cancel still wins.  The schedule does not matter to the model, so it is drawn too.
"""

import atexit
import sys
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rescind import winsock
from rescind.actors.runtime import Runtime, Stepped, UsageError
from rescind.actors.runtime._ranges import numbers_in
from rescind.events import Completed, Discarded, How, read
from tests.runtime.recordings import audit

from .stage import (
    ALREADY,
    FAULT,
    HOST,
    HOST_BYTES,
    IN_PROGRESS,
    INVALID,
    NETWORK_DOWN,
    NO_BUFFER,
    NO_HOST,
    NOT_STARTED,
    WOULD_BLOCK,
    code_of,
    refused,
)

LOOKUPS_MAX, RUNNING_MAX = 6, 3
SIZES = st.sampled_from([None, 0, HOST_BYTES - 1, HOST_BYTES, 1024])
RARELY = st.sampled_from([False, False, True])


class State(Enum):
    """The states of section C.2."""

    QUEUED = "queued"
    RUNNING = "running"
    POSTED = "posted"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    DROPPED = "dropped"
    LOST = "lost"


@dataclass(eq=False)
class Lookup:
    """What the model knows of one lookup."""

    handle: int
    number: int
    window: int
    """The place of its window among the program's; -1 for none."""
    size: int | None
    buffer: winsock.Buffer | None
    state: State
    answer: int | None = None
    """What the resolver said, and has not been taken in yet: 0, or a code."""
    message: tuple[int, int] = (0, 0)
    """Error and length of the message, once there is one."""


@dataclass(eq=False)
class Pumped:
    """A window and what waits in it."""

    window: winsock.Window
    waiting: deque[Lookup] = field(default_factory=deque)
    is_destroyed: bool = False


class AnyProgram(RuleBasedStateMachine):
    """Calls, answers, messages, windows and cleanups in any order."""

    @initialize(
        seed=st.integers(0, 2**16),
        shuffle=st.booleans(),
        profile=st.sampled_from(["remembering", "forgetting"]),
    )
    def begin(self, seed, shuffle, profile):
        self.dispatcher = Stepped(seed, shuffle=shuffle)
        self.runtime = Runtime.open(dispatcher=self.dispatcher)
        self.twin = winsock.twin()
        self.app = winsock.Application(
            self.runtime, self.twin, profile=profile,
            lookups_max=LOOKUPS_MAX, running_max=RUNNING_MAX,
        )  # fmt: skip
        self.too_late = ALREADY if profile == "remembering" else INVALID
        self.startups = 1
        self.is_down = False
        self.lookups: list[Lookup] = []
        self.answered: list[Lookup] = []  # and not taken in yet, in the order of the answers
        self.windows = [Pumped(self.app.window()) for _ in range(2)]
        self.app.startup()
        self.dispatcher.run()

    # --- what the model says ---------------------------------------------------------------------

    def in_state(self, *states: State) -> list[Lookup]:
        return [each for each in self.lookups if each.state in states]

    def refusal(self) -> int:
        if not self.startups:
            return NOT_STARTED
        return NETWORK_DOWN if self.is_down else 0

    def start_next(self) -> None:
        """Let those run that find a place, in their order."""
        for each in self.in_state(State.QUEUED):
            if len(self.in_state(State.RUNNING)) < RUNNING_MAX:
                each.state = State.RUNNING

    def end(self, lookup: Lookup, error: int) -> None:
        """A lookup ends: its message is posted, unless there is no window to hear it."""
        length = 0
        if error == 0:
            if lookup.size is None:
                error = FAULT
            else:
                error, length = (0 if lookup.size >= HOST_BYTES else NO_BUFFER), HOST_BYTES
        lookup.message = (error, length)
        pumped = self.windows[lookup.window] if lookup.window >= 0 else None
        if pumped is None or pumped.is_destroyed:
            lookup.state = State.LOST
        else:
            lookup.state = State.POSTED
            pumped.waiting.append(lookup)
        self.start_next()

    # --- calls -----------------------------------------------------------------------------------

    @rule(version=st.sampled_from([(1, 1), (2, 2), (2, 0)]))
    def startup(self, version):
        self.app.startup(version)
        self.startups += 1

    @rule(is_wanted=RARELY)
    def cleanup(self, is_wanted):
        if self.startups == 1 and not is_wanted:
            return  # or hardly anything else would happen
        refusal = self.refusal()
        assert code_of(self.app.cleanup) == refusal
        if refusal:
            return
        self.startups -= 1
        if self.startups == 0:
            for each in self.in_state(State.QUEUED, State.RUNNING, State.POSTED):
                each.state = State.DROPPED
            for pumped in self.windows:
                pumped.waiting.clear()

    @rule(window=st.integers(-1, 3), size=SIZES, count=st.integers(1, 3))
    def look_up(self, window, size, count):
        window = min(window, len(self.windows) - 1)
        for _ in range(count):
            self.look_one_up(window, size)

    def look_one_up(self, window: int, size: int | None) -> None:
        buffer = None if size is None else winsock.Buffer(size)
        into = None if window < 0 else self.windows[window].window
        places = len(self.in_state(State.QUEUED, State.RUNNING, State.POSTED))
        refusal = self.refusal() or (WOULD_BLOCK if places >= LOOKUPS_MAX else 0)
        if refusal:
            with refused(refusal):
                self.app.async_get_host_by_name(into, 1, "a.example", buffer)
            return
        handle = self.app.async_get_host_by_name(into, 1, "a.example", buffer)
        assert handle == len(self.lookups) + 1
        number = self.app._actor._lookups[handle].number
        self.lookups.append(Lookup(handle, number, window, size, buffer, State.QUEUED))
        self.start_next()

    @precondition(lambda self: self.lookups)
    @rule(data=st.data())
    def cancel_any(self, data):
        self.cancel(data.draw(st.sampled_from(self.lookups)))

    @precondition(lambda self: self.in_state(State.QUEUED, State.RUNNING, State.POSTED))
    @rule(data=st.data())
    def cancel_one_that_lives(self, data):
        living = self.in_state(State.QUEUED, State.RUNNING, State.POSTED)
        self.cancel(data.draw(st.sampled_from(living)))

    def cancel(self, lookup: Lookup) -> None:
        refusal, wins = self.refusal(), lookup.state in (State.QUEUED, State.RUNNING)
        expected = refusal or (0 if wins else self.too_late)
        assert code_of(lambda: self.app.cancel_async_request(lookup.handle)) == expected
        if expected == 0:
            lookup.state = State.CANCELLED
            self.start_next()

    @rule(handle=st.sampled_from([0, 1000, -1, 2**40]))
    def cancel_what_never_was(self, handle):
        expected = INVALID if handle == 0 else self.refusal() or INVALID
        assert code_of(lambda: self.app.cancel_async_request(handle)) == expected

    @precondition(lambda self: self.lookups)
    @rule()
    def cancel_inside_the_callback(self):
        heard: list[int] = []
        handle = self.lookups[-1].handle
        self.twin.call_back(
            lambda: heard.append(code_of(lambda: self.app.cancel_async_request(handle)))
        )
        assert heard == [self.refusal() or IN_PROGRESS]

    # --- windows ---------------------------------------------------------------------------------

    @rule(window=st.integers(0, 3))
    def take(self, window):
        pumped = self.windows[min(window, len(self.windows) - 1)]
        message = pumped.window.peek()
        if not pumped.waiting:
            assert message is None
            return
        lookup = pumped.waiting.popleft()
        assert message is not None
        assert (message.handle, message.error, message.length) == (lookup.handle, *lookup.message)
        lookup.state = State.DELIVERED

    @rule(window=st.integers(0, 3), is_wanted=RARELY)
    def destroy(self, window, is_wanted):
        if not is_wanted:
            return
        pumped = self.windows[min(window, len(self.windows) - 1)]
        pumped.window.destroy()
        pumped.is_destroyed = True
        for each in pumped.waiting:
            each.state = State.LOST
        pumped.waiting.clear()
        with pytest.raises(UsageError):
            pumped.window.get(0)

    @precondition(lambda self: len(self.windows) < 6)
    @rule()
    def open_another_window(self):
        self.windows.append(Pumped(self.app.window()))

    # --- what the outside does -------------------------------------------------------------------

    @rule()
    def run(self):
        """Let everything happen that can: what was answered is posted."""
        self.dispatcher.run()
        for each in self.answered:
            if each.state is State.RUNNING:
                assert each.answer is not None
                self.end(each, each.answer)
        self.answered.clear()
        running = {each.number for each in self.in_state(State.RUNNING)}
        self.dispatcher.run()
        assert set(self.twin.pending) == running

    @precondition(lambda self: self.twin.pending)
    @rule(data=st.data(), code=st.sampled_from([0, 0, NO_HOST]), runs=st.booleans())
    def answer(self, data, code, runs):
        number = data.draw(st.sampled_from(list(self.twin.pending)))
        (lookup,) = (each for each in self.lookups if each.number == number)
        if code:
            self.twin.fail(winsock.Code(code), number)
        else:
            self.twin.complete(HOST, number)
        lookup.answer = code
        self.answered.append(lookup)
        if runs:
            self.run()

    @precondition(lambda self: self.in_state(State.CANCELLED, State.DROPPED, State.DELIVERED))
    @rule(data=st.data())
    def answer_too_late(self, data):
        over = self.in_state(State.CANCELLED, State.DROPPED, State.DELIVERED)
        self.twin.port.answer(data.draw(st.sampled_from(over)).number, None, HOST)

    @rule(is_wanted=RARELY)
    def the_network_fails_or_comes_back(self, is_wanted):
        if not self.is_down and not is_wanted:
            return
        self.run()
        self.twin.network(is_down=not self.is_down)
        self.is_down = not self.is_down
        if self.is_down:
            for each in self.in_state(State.QUEUED, State.RUNNING):
                each.state = State.RUNNING
                self.end(each, NETWORK_DOWN)
        self.dispatcher.run()

    # --- what must hold --------------------------------------------------------------------------

    @invariant()
    def a_buffer_is_written_once_its_message_is_posted_and_never_after_a_cancel(self):
        for each in getattr(self, "lookups", []):
            if each.buffer is not None:
                is_posted = each.state in (State.POSTED, State.DELIVERED)
                fits = is_posted and each.message[0] == 0
                # What was posted before it was dropped or lost has been written.
                was_posted = each.state in (State.DROPPED, State.LOST) and each.answer == 0
                assert (each.buffer.entry == HOST) >= fits
                assert each.buffer.entry is None or is_posted or was_posted

    def teardown(self):
        if not hasattr(self, "app"):
            return
        try:
            if sys.exc_info()[0] is None:  # otherwise a second failure would hide the first
                self.run()
                for window in range(len(self.windows)):
                    while self.windows[window].waiting:
                        self.take(window)
                self.runtime.close()
                self.the_log_says_the_same()
                audit(self.runtime.log)
        finally:
            atexit.unregister(self.runtime.close)  # a runtime that failed has said so already

    def the_log_says_the_same(self):
        """Each lookup ended in the way that the model knows."""
        hows: dict[int, How] = {}
        reasons: dict[int, str] = {}
        for turn in read(self.runtime.log):
            for event in turn.events:
                if isinstance(event, Completed):
                    assert event.request not in hows, "completed twice"
                    hows[event.request] = How(event.how)
                if isinstance(event, Discarded):
                    for number in numbers_in(event.requests):
                        assert number not in reasons, "discarded twice"
                        reasons[number] = event.reason
        for each in self.lookups:
            if each.state is State.DELIVERED:
                assert each.number not in reasons
            elif each.state is State.CANCELLED:
                assert (hows[each.number], reasons[each.number]) == (How.CANCELLED, "cancelled")
            elif each.state is State.LOST:
                assert reasons[each.number] in ("window destroyed", "no window")
            else:  # dropped, or ended by the close
                assert reasons[each.number] == "cleanup"


@pytest.mark.timeout(1800)  # shrinking a failure takes minutes, and so does the nightly profile
class TestAnyProgram(AnyProgram.TestCase):  # type: ignore[misc,valid-type]
    """Collected by pytest."""
