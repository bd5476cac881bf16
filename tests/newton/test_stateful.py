"""Any program against a small model of the guide's rules, under the stepped dispatcher.

The model says which calls must be admitted and with which code the others are refused.  What was
accepted is then watched from outside only: who heard what, in which order, how often.  The twin
answers and stops its work at random moments, and with `shuffle` the schedule itself is drawn.
"""

import atexit
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rescind import newton
from rescind.actors.newton._protocol import Channel
from rescind.actors.runtime import Runtime, Stepped

from .stage import (
    CANCELED,
    GONE,
    IN_PROGRESS,
    SPEC_ACTIVE,
    WRONG_STATE,
    DirectedTwin,
    audit,
    code_of,
    window_is_open,
)

ADMITTED = {
    "bind": newton.State.UNBND,
    "unbind": newton.State.IDLE,
    "connect": newton.State.IDLE,
    "disconnect": newton.State.DATA_XFER,
    "output": newton.State.DATA_XFER,
    "arm": newton.State.DATA_XFER,
}
TOOL_ERROR = -16011
OPERATIONS = st.sampled_from([*ADMITTED, "output", "output", "output", "cancel", "cancel"])
TIME_OUTS = st.sampled_from([None, None, None, 0.05, 0.2])
THEN = st.sampled_from([None, None, "output", "cancel", "arm", "disconnect", "dispose"])
RANKS = {"arm": 0, "output": 1}


@dataclass(eq=False)
class Told:
    """One accepted asynchronous request, and what its script heard."""

    name: str
    operation: str
    codes: list[int | None] = field(default_factory=list)
    request: Any = None
    victims: "list[Told]" = field(default_factory=list)
    """For Cancel and Disconnect: what was outstanding when it was called."""
    is_replaced: bool = False
    """For an input spec: its own script put another in its place; it ends in silence."""

    @property
    def is_outstanding(self) -> bool:
        return bool(self.request.status == 0)


class AnyProgram(RuleBasedStateMachine):
    """Calls, answers, time and scripts in any order; the endpoint is in the profile `guide`."""

    @initialize(seed=st.integers(0, 2**16), shuffle=st.booleans(), willing=st.booleans())
    def begin(self, seed, shuffle, willing):
        self.dispatcher = Stepped(seed, shuffle=shuffle)
        self.runtime = Runtime.open(dispatcher=self.dispatcher)
        control = frozenset({"Bind", "Connect", "UnBind", "Disconnect"})
        self.twin = DirectedTwin(
            holds_kills=not willing, at_once=control if willing else frozenset()
        )
        self.willing = willing
        self.told: list[Told] = []
        self.heard: list[Told] = []
        self.armed: Told | None = None
        self.reports: list[Any] = []
        self.input_script_of: Told | None = None
        self.scripts_running = 0
        self.is_calling = False
        self.is_canceling = False
        self.is_disposed = False
        self.has_time_outs = False
        self.kills_finished = 0
        self.endpoint = newton.Endpoint(
            self.runtime,
            self.twin,
            exception_handler=lambda _endpoint, report: self.reports.append(report),
        )

    # --- what the model says -----------------------------------------------------------------

    def allowed(self, operation: str) -> set[int | None]:
        """Return what a call may raise now (None: it is accepted); mostly one thing."""
        state = self.endpoint.state()
        if state is None:
            return {GONE}
        otherwise: int | None = None
        if operation != "cancel" and state is not ADMITTED[operation]:
            otherwise = WRONG_STATE
        elif operation == "arm" and self.spec_is_active():
            otherwise = SPEC_ACTIVE
        window = self.window()
        if window is None:
            return {IN_PROGRESS, otherwise}
        return {IN_PROGRESS} if window else {otherwise}

    def window(self) -> bool | None:
        """Tell whether a cancel is in progress; None where the guide leaves it to the endpoint.

        It is while a victim has not been told; it is not once every Cancel and Disconnect was told
        and nothing can have timed out.
        """
        is_open = window_is_open(self.endpoint)
        cancels = [told for told in self.told if told.operation in {"cancel", "disconnect"}]
        if any(not victim.codes for told in cancels if not told.codes for victim in told.victims):
            assert is_open, "a victim has not been told and the window is closed"
            return True
        if self.is_canceling or self.has_time_outs or not all(told.codes for told in cancels):
            # Outside scripts the endpoint's own word counts; inside, the call may still end it.
            return None if self.scripts_running or not is_open else True
        assert not is_open, "all that canceled was told and a window is open"
        return False

    def spec_is_active(self) -> bool:
        armed = self.armed
        return armed is not None and armed.is_outstanding and armed is not self.input_script_of

    def victims(self) -> list[Told]:
        """Return what a cancel would end now; between two receives the spec is none (6.5).

        Nor is a cancel whose window has closed, and which will hear of that.
        """
        actor = self.endpoint._actor
        return [
            told for told in self.told
            if told.is_outstanding
            and (told.operation != "arm" or actor.is_posted)
            and not actor.is_ending(told.request)
        ]  # fmt: skip

    # --- what the program does ---------------------------------------------------------------

    def submit(self, operation: str, timeout_s: float | None = None, then: str | None = None):
        """Call, and hold the outcome of the call against the model."""
        if operation == "dispose":
            self.is_disposed = True
            self.endpoint.dispose()
            return
        told = Told(f"{operation} {len(self.told)}", operation)
        allowed, victims = self.allowed(operation), self.victims()
        self.is_calling = True
        code = code_of(lambda: self.call_endpoint(told, timeout_s, then))
        self.is_calling = False
        assert code in allowed, f"{told.name}: {code} instead of {allowed}"
        if code is not None:
            return
        self.told.append(told)
        self.has_time_outs |= timeout_s is not None
        if operation in {"cancel", "disconnect"}:
            told.victims = victims
        if operation == "arm":
            if self.armed is not None and self.armed.is_outstanding is False:
                self.armed.is_replaced = self.armed is self.input_script_of
            self.armed = told

    def call_endpoint(self, told: Told, timeout_s: float | None, then: str | None) -> None:
        spec = newton.CallbackSpec(True, timeout_s, self.script(told, then))
        if told.operation == "output":
            told.request = self.endpoint.output(told.name, spec)
        elif told.operation == "arm":
            told.request = self.endpoint.set_input_spec(
                newton.InputSpec(
                    self.input_script(told, then), self.script(told, None), timeout_s=timeout_s
                )
            )
        else:
            told.request = getattr(self.endpoint, told.operation)(spec)

    def script(self, told: Told, then: str | None):
        def completion_script(_endpoint, _options, result):
            told.codes.append(result)
            self.heard.append(told)
            self.run_script(then)

        return completion_script

    def input_script(self, told: Told, then: str | None):
        def input_script(_endpoint, _data, _terminator, _options):
            assert not told.codes, "data after the end of the spec"
            self.input_script_of = told
            try:
                self.run_script(then)
            finally:
                self.input_script_of = None

        return input_script

    def run_script(self, then: str | None) -> None:
        assert not self.is_calling, "a script ran inside the call that queued it"
        assert not self.is_disposed, "a script ran although Dispose had been called"
        assert self.scripts_running == 0, "two scripts ran at once"
        if then is not None:
            self.scripts_running += 1
            try:
                self.submit(then)
            finally:
                self.scripts_running -= 1

    @rule(operation=OPERATIONS, timeout_s=TIME_OUTS, then=THEN)
    def call(self, operation, timeout_s, then):
        self.submit(operation, None if operation == "cancel" else timeout_s, then)

    @rule(count=st.integers(1, 6), then=THEN)
    def connect_and_send(self, count, then):
        """Bring the endpoint to where most things happen."""
        for operation in ("bind", "connect"):
            if self.allowed(operation) == {None}:
                self.submit(operation)
                self.dispatcher.run()
                if self.asked(Channel.CONTROL):
                    self.twin.complete_next(Channel.CONTROL)
                    self.dispatcher.run()
        for _ in range(count):
            self.submit("output", None, then)

    @precondition(lambda self: self.willing)
    @rule()
    def cancel_and_wait(self):
        """Cancel synchronously: the victims have been told when the call returns."""
        allowed, victims = self.allowed("cancel"), self.victims()
        self.is_canceling = True
        code = code_of(self.endpoint.cancel)
        self.is_canceling = False
        if self.is_disposed:
            assert code == GONE
            return
        assert code in allowed
        if code is None:
            assert all(victim.codes for victim in victims)

    @precondition(lambda self: self.willing)
    @rule()
    def send_and_wait(self):
        """Send synchronously; the tool answers, unless a script cancels first."""
        self.twin.reactions["blocked"] = lambda: self.twin.complete(self.twin.performed[-1][0])
        allowed = self.allowed("output")
        code = code_of(lambda: self.endpoint.output("blocked"))
        self.twin.reactions.clear()
        assert code in (allowed | {CANCELED, GONE} if None in allowed else allowed)

    # --- what the outside does ---------------------------------------------------------------

    def asked(self, *channels: Channel) -> list[int]:
        kinds = {"Input": Channel.GET, "Output": Channel.PUT}
        return [
            number for number, (_, operation, _) in self.twin.pending.items()
            if kinds.get(operation, Channel.CONTROL) in channels
        ]  # fmt: skip

    @precondition(lambda self: self.twin.pending)
    @rule(channel=st.sampled_from(list(Channel)), code=st.sampled_from([None, None, TOOL_ERROR]))
    def answer(self, channel, code):
        if self.asked(channel):
            self.twin.complete_next(channel, code)

    @precondition(lambda self: self.asked(Channel.GET))
    @rule()
    def data_arrives(self):
        self.twin.receive("data")

    @precondition(lambda self: self.asked(Channel.GET))
    @rule()
    def some_data_arrives(self):
        self.twin.arrive()

    @precondition(lambda self: self.twin.performed)
    @rule(data=st.data(), code=st.sampled_from([None, TOOL_ERROR]))
    def answer_too_late(self, data, code):
        """Answer anything that was ever asked: while a cancel is ending it, or long afterwards."""
        self.twin.complete(data.draw(st.sampled_from(self.twin.performed))[0], code)

    @precondition(lambda self: not self.willing and len(self.twin.kills) > self.kills_finished)
    @rule(code=st.sampled_from([None, None, None, -16002]))
    def the_tool_has_stopped(self, code):
        self.kills_finished += 1
        self.twin.finish_kill(code)

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.3]))
    def time_passes(self, seconds):
        self.dispatcher.advance(seconds)

    @rule(count=st.integers(1, 4))
    def step(self, count):
        for _ in range(count):
            self.dispatcher.step()

    @rule()
    def run(self):
        self.dispatcher.run()

    @precondition(lambda self: len(self.told) > 12)
    @rule()
    def dispose(self):
        self.submit("dispose")

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def scripts_went_well(self):
        reports = getattr(self, "reports", [])
        assert not reports, reports

    @invariant()
    def nothing_completes_twice(self):
        assert all(len(told.codes) <= 1 for told in self.told)

    @invariant()
    def a_cancel_is_told_after_its_victims_and_they_in_their_order(self):
        place = {told: number for number, told in enumerate(self.heard)}
        for cancel in self.heard:
            for victim in cancel.victims:
                assert victim in place, f"{cancel.name} was told and {victim.name} was not"
                assert place[victim] < place[cancel]
            canceled = [each for each in cancel.victims if each.codes == [CANCELED]]
            order = sorted(canceled, key=lambda each: place[each])
            ranks = [(RANKS.get(each.operation, 2), each.request.number) for each in order]
            assert ranks == sorted(ranks)

    def teardown(self):
        if not hasattr(self, "endpoint"):
            return
        try:
            if sys.exc_info()[0] is None:  # otherwise a second failure would hide the first
                self.end_in_order()
                self.runtime.close()
                assert all(told.request.is_done for told in self.told)
                audit(self.runtime)
        finally:
            atexit.unregister(self.runtime.close)  # a runtime that failed has said so already

    def end_in_order(self):
        """Answer all that is owed; then everything that was accepted was told, once."""
        for _ in range(500):
            self.dispatcher.run()
            self.scripts_went_well()
            if not self.willing and len(self.twin.kills) > self.kills_finished:
                self.the_tool_has_stopped(None)
            elif self.twin.pending:
                self.twin.complete(next(iter(self.twin.pending)), TOOL_ERROR)
            elif not self.runtime.has_work:
                break
        else:
            pytest.fail("the program does not come to rest")
        self.nothing_completes_twice()
        self.a_cancel_is_told_after_its_victims_and_they_in_their_order()
        if not self.is_disposed:
            untold = [told.name for told in self.told if not told.codes and not told.is_replaced]
            assert not untold
            assert not window_is_open(self.endpoint)


@pytest.mark.timeout(1800)  # shrinking a failure takes minutes, and so does the nightly profile
class TestAnyProgram(AnyProgram.TestCase):  # type: ignore[misc,valid-type]
    """Collected by pytest."""
