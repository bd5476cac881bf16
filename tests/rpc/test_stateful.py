"""Any program against a model of sections B.2 and B.3, under the stepped dispatcher.

The model says what every function returns, and how often a client is notified.  What crosses the
wire crosses when the program says so, in any order, and the schedule is drawn too: the model only
knows what has arrived.
"""

import queue
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rescind import Runtime, Stepped, rpc
from rescind.actors.rpc.drivers._twin import Kind
from rescind.events import Completed, How, read
from tests.runtime.recordings import audit

from .stage import CANCELLED, FAILED, INVALID_HANDLE, PENDING, code_of, settle

CALLS_MAX = 6
CODES = st.sampled_from([0, CANCELLED, 5001])


@dataclass(eq=False)
class Modelled:
    """What the model knows of one call; ``code`` is None until it is decided."""

    call: rpc.ClientCall
    notified: "queue.SimpleQueue[Any] | None"
    code: int | None = None
    is_asked: bool = False
    is_won: bool = False
    is_fetched: bool = False
    served: rpc.ServerCall | None = None
    is_ended: bool = False
    reply: int = 0
    marks: list[bool] = field(default_factory=list)


class AnyProgram(RuleBasedStateMachine):
    """Calls, cancels, messages, ends and fetches in any order."""

    @initialize(
        seed=st.integers(0, 2**16),
        shuffle=st.booleans(),
        profile=st.sampled_from(["current", "strict"]),
    )
    def begin(self, seed: int, shuffle: bool, profile: str) -> None:
        self.client = Runtime.open(dispatcher=Stepped(seed, shuffle=shuffle))
        self.server = Runtime.open(dispatcher=Stepped(seed + 1, shuffle=shuffle))
        self.twin = rpc.twin()
        channel, listener = self.twin
        self.calls: list[Modelled] = []
        rpc.Server(self.server, {"work": self.work}, listener)
        self.binding = rpc.Binding(self.client, channel, profile=profile)
        self.settle()

    def work(self, place: int) -> None:
        call = rpc.current_call()
        call.hand_off()
        self.calls[place].served = call

    def settle(self) -> None:
        settle(self.client, self.server)

    # --- what the program does -------------------------------------------------------------------

    @precondition(lambda self: len(self.calls) < CALLS_MAX)
    @rule(notifies=st.booleans())
    def make(self, notifies: bool) -> None:
        port: queue.SimpleQueue[Any] | None = queue.SimpleQueue() if notifies else None
        by = rpc.NO_NOTIFICATION if port is None else rpc.by_port(port, 1)
        place = len(self.calls)
        self.calls.append(Modelled(self.binding.call("work", place, notification=by), port))
        self.settle()

    def drawn(self, data: st.DataObject) -> Modelled:
        return data.draw(st.sampled_from(self.calls))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), abort=st.booleans())
    def cancel(self, data: st.DataObject, abort: bool) -> None:
        one = self.drawn(data)
        code = code_of(lambda: one.call.cancel_call(abort=abort))
        assert code == (INVALID_HANDLE if one.is_fetched else 0)
        if one.code is None:
            one.is_asked = True
            if abort:
                one.code, one.is_won = CANCELLED, True
        self.settle()

    @precondition(lambda self: self.twin.wire)
    @rule(data=st.data())
    def carry(self, data: st.DataObject) -> None:
        message = self.twin.carry(data.draw(st.sampled_from(self.twin.wire)))
        one = next(each for each in self.calls if each.call.number == message.request)
        if message.kind is Kind.REPLY and one.code is None:
            one.code, one.is_won = one.reply, one.is_asked and one.reply == CANCELLED
        if message.kind is Kind.CANCEL and one.served is not None and not one.is_ended:
            one.marks.append(message.content[0])
        self.settle()

    @precondition(lambda self: any(each.served for each in self.calls))
    @rule(data=st.data(), code=CODES)
    def end(self, data: st.DataObject, code: int) -> None:
        one = data.draw(st.sampled_from([each for each in self.calls if each.served]))
        served = one.served
        assert served is not None
        end = served.complete_call if code == 0 else lambda: served.abort_call(code)
        assert code_of(end) == (INVALID_HANDLE if one.is_ended else 0)
        if not one.is_ended:
            one.is_ended, one.reply = True, code
        self.settle()

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        one = self.drawn(data)
        code = code_of(one.call.complete_call)
        if one.is_fetched:
            assert code == INVALID_HANDLE
        elif one.code is None:
            assert code == PENDING
        else:
            assert code == one.code
            one.is_fetched = True

    @precondition(lambda self: any(each.code is None for each in self.calls))
    @rule()
    def lose(self) -> None:
        self.twin.lose()
        self.twin.restore()
        self.settle()
        for each in self.calls:
            if each.code is None:
                each.code = FAILED

    # --- what holds always -----------------------------------------------------------------------

    @invariant()
    def the_status_is_as_the_model_says(self) -> None:
        for one in getattr(self, "calls", ()):
            expected = PENDING if one.code is None else one.code
            assert one.call.get_call_status() == (INVALID_HANDLE if one.is_fetched else expected)
            if one.notified is not None:
                assert one.notified.qsize() == (one.code is not None)
            if one.served is not None and not one.is_ended:
                assert one.served.is_cancelled() == bool(one.marks)

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.client.close()
        self.server.close()
        events = [event for turn in read(self.client.log) for event in turn.events]
        hows = {each.request: each.how for each in events if isinstance(each, Completed)}
        for one in self.calls:
            how = hows[one.call.number]
            assert (how == How.CANCELLED) == one.is_won
            assert (how == How.ABANDONED) == (one.code is None)
        for runtime in (self.client, self.server):
            audit(runtime.log)


@pytest.mark.timeout(1800)  # shrinking a failure takes minutes, and so does the nightly profile
class TestAnyProgram(AnyProgram.TestCase):  # type: ignore[misc,valid-type]
    """Collected by pytest."""
