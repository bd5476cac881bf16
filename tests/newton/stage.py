"""A stage for one Newton endpoint: a twin that a test directs, scripts that note what they hear.

The same test runs under the dispatcher `stepped` and under real threads.  Both have virtual time,
and on both `settle` returns when nothing is left that could happen by itself, so that a test may
say what did not happen.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from rescind import newton
from rescind.actors.runtime import Runtime, Stepped, VirtualClock
from rescind.events import Log, Origin, read
from rescind.replay import Verdict, check
from tests.reruns import RERUNS

CANCELED = -16005
NOT_CONNECTED = -16009
ABORTED = -16013
IN_PROGRESS = -36003
WRONG_STATE = -36006
ALREADY_SYNCHRONOUS = -36030
GONE = -54014
SPEC_ACTIVE = -54012
TIMED_OUT = -10021
UNDONE = -10039
BAD_COMMAND = -16002

DISPATCHERS = ("stepped", "thread")


class DirectedTwin(newton.TwinTool):
    """A twin to which a test can also say: once you are asked for this, do that."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.reactions: dict[str, Callable[[], object]] = {}

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        super().perform(request, operation, arguments)
        self._react(arguments[0] if operation == "Output" else operation)

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        super().kill(cancel, operations)
        self._react("kill")

    def _react(self, asked: str) -> None:
        reaction = self.reactions.pop(asked, None)
        if reaction is not None:
            reaction()

    @property
    def sent(self) -> list[Any]:
        """The data of every Output that reached the tool."""
        return [arguments[0] for _, operation, arguments in self.performed if operation == "Output"]

    @property
    def asked(self) -> list[str]:
        """Every operation that reached the tool."""
        return [operation for _, operation, _ in self.performed]


def open_runtime(dispatcher: str) -> Runtime:
    """Return a runtime in virtual time whose log is in memory."""
    if dispatcher == "stepped":
        return Runtime.open(dispatcher=Stepped())
    clock = VirtualClock()
    log = Log.create_or_open(None, durability="os", entropy=os.urandom, clock_ns=clock.now_ns)
    return Runtime(log, clock=clock)


def settle(runtime: Runtime) -> None:
    """Return when nothing is left to do at this moment of virtual time."""
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


def advance(runtime: Runtime, seconds: float) -> None:
    """Let virtual time pass; what falls due happens in its order."""
    if isinstance(runtime.dispatcher, Stepped):
        runtime.dispatcher.advance(seconds)
        return
    clock: Any = runtime.clock
    until_ns = clock.now_ns() + round(seconds * 1e9)
    settle(runtime)
    while (due_ns := next_deadline_ns(runtime)) is not None and due_ns <= until_ns:
        clock.advance_to(due_ns)
        settle(runtime)
    clock.advance_to(until_ns)


def next_deadline_ns(runtime: Runtime) -> int | None:
    with runtime.baton:
        return runtime.timers.next_deadline_ns()


@contextmanager
def refused(code: int) -> Iterator[None]:
    """Expect that the call inside raises this code."""
    with pytest.raises(newton.CommError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)


def code_of(call: Callable[[], object]) -> int | None:
    """Return the code that a call raises, or None if it succeeds."""
    try:
        call()
    except newton.CommError as error:
        return error.code
    return None


def window_is_open(endpoint: newton.Endpoint) -> bool:
    """Ask the endpoint whether a cancel is in progress that refuses new requests."""
    windows = endpoint._actor.windows.values()
    return any(window.is_open and window.forbids for window in windows)


class Stage:
    """One endpoint over a directed twin, and everything that its scripts heard, in order."""

    def __init__(self, dispatcher: str = "stepped", profile: str = "guide", **twin: Any) -> None:
        self.runtime = open_runtime(dispatcher)
        self.profile = profile
        self.twin = DirectedTwin(**twin)
        self.heard: list[Any] = []
        self.reports: list[dict[str, Any]] = []
        self.events: list[newton.Event] = []
        self.endpoint = newton.Endpoint(
            self.runtime,
            self.twin,
            profile=profile,
            exception_handler=self._report,
            event_handler=lambda _endpoint, event: self.events.append(event),
        )
        self._bell: newton.Endpoint | None = None
        self._bell_twin = DirectedTwin(label="bell")

    def _report(self, _endpoint: newton.Endpoint, report: dict[str, Any]) -> None:
        self.reports.append(report)

    @property
    def rom(self) -> bool:
        return self.profile == "rom"

    @property
    def state(self) -> Any:
        return self.endpoint.state()

    def take_reports(self) -> list[dict[str, Any]]:
        """Return what the ExceptionHandler heard; what nobody takes fails the test."""
        taken, self.reports = self.reports, []
        return taken

    # --- what a test does --------------------------------------------------------------------

    def connect(self) -> "Stage":
        """Bring the endpoint to kDataXfer."""
        self.endpoint.bind()
        self.endpoint.connect()
        assert self.state is newton.State.DATA_XFER
        return self

    def script(self, name: str, then: Callable[[], object] | None = None) -> Any:
        """Return a CompletionScript that notes (name, result), then does what it is given."""

        def completion_script(endpoint: newton.Endpoint, _options: Any, result: Any) -> None:
            assert endpoint is self.endpoint
            self.heard.append((name, result))
            if then is not None:
                then()

        return completion_script

    def spec(
        self,
        name: str,
        then: Callable[[], object] | None = None,
        timeout_s: float | None = None,
    ) -> newton.CallbackSpec:
        """Return an asynchronous spec whose script notes what it hears under ``name``."""
        return newton.CallbackSpec(True, timeout_s, self.script(name, then))

    def output(
        self,
        name: str,
        then: Callable[[], object] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Submit an asynchronous Output whose data is its name."""
        return self.endpoint.output(name, self.spec(name, then, timeout_s))

    def outputs(self, names: str) -> None:
        """Submit one asynchronous Output per letter, and let them reach the tool."""
        for name in names:
            self.output(name)
        self.settle()

    def cancel(self, name: str = "X", then: Callable[[], object] | None = None) -> Any:
        return self.endpoint.cancel(self.spec(name, then))

    def disconnect(self, name: str = "Y", *, cancel_pending: bool = True) -> Any:
        return self.endpoint.disconnect(self.spec(name), cancel_pending=cancel_pending)

    def arm(
        self,
        name: str = "I",
        then: Callable[[Any], object] | None = None,
        ended: Callable[[], object] | None = None,
        **slots: Any,
    ) -> Any:
        """Arm an input spec; data is noted as (name, data), its unexpected end as (name, code)."""
        return self.endpoint.set_input_spec(self.input_spec(name, then, ended, **slots))

    def input_spec(
        self,
        name: str = "I",
        then: Callable[[Any], object] | None = None,
        ended: Callable[[], object] | None = None,
        **slots: Any,
    ) -> newton.InputSpec:
        def input_script(_endpoint: Any, data: Any, _terminator: Any, _options: Any) -> None:
            self.heard.append((name, data))
            if then is not None:
                then(data)

        return newton.InputSpec(input_script, self.script(name, ended), **slots)

    def note(self, name: str, call: Callable[[], object]) -> None:
        """Make a blocking call, and note (name, code) when it raises or returns."""
        self.heard.append((name, code_of(call)))

    def in_callback(self, function: Callable[[], object]) -> None:
        """Run ``function`` inside a script of another endpoint."""
        self._bell_twin.complete(self._new_ring(function))
        self.settle()

    def while_blocked_in(self, asked: str, function: Callable[[], object]) -> None:
        """Have ``function`` run in a callback as soon as the tool was asked for ``asked``.

        The callback is another endpoint's script, because the first one may have nothing pending.
        """
        ring = self._new_ring(function)
        self.twin.reactions[asked] = lambda: self._bell_twin.complete(ring)

    def time_passes_once_asked(self, asked: str, seconds: float = 1) -> None:
        """Let virtual time pass as soon as the tool was asked for ``asked``: nobody else can."""
        clock: Any = self.runtime.clock

        def pass_time() -> None:
            clock.advance_to(clock.now_ns() + round(seconds * 1e9))
            self.runtime.dispatcher.wake()

        self.twin.reactions[asked] = pass_time

    def _new_ring(self, function: Callable[[], object]) -> int:
        if self._bell is None:
            self._bell = newton.Endpoint(
                self.runtime, self._bell_twin, exception_handler=self._report
            )
            self._bell.bind()
            self._bell.connect()
        ring = self._bell.output("ring", asynchronous=True, completion_script=lambda *_: function())
        self.settle()
        return ring.number

    def finish_kill(self, code: int | None = None) -> None:
        """Let the tool report that it has stopped its work, or failed to."""
        self.settle()
        self.twin.finish_kill(code)
        self.settle()

    def finish_kills(self) -> None:
        """Let the tool report the end of every kill it was asked for, one after the other."""
        self.settle()
        for cancel in list(self.twin.kills):
            self.twin.port.killed(cancel, None, {})
            self.settle()

    def answer_next(self, code: int | None = None) -> None:
        """Let the tool answer the oldest Output."""
        self.settle()
        self.twin.complete_next(code=code)
        self.settle()

    def receive(self, data: str) -> None:
        """Let a complete piece of input arrive."""
        self.settle()
        self.twin.receive(data)
        self.settle()

    def settle(self) -> None:
        settle(self.runtime)

    def advance(self, seconds: float) -> None:
        advance(self.runtime, seconds)

    # --- the end -----------------------------------------------------------------------------

    def finish(self) -> None:
        """Close the runtime, then hold its log against the laws and against today's code."""
        self.settle()
        self.runtime.close()
        audit(self.runtime)
        assert not self.reports, "the ExceptionHandler heard of something that no test expected"


def audit(runtime: Runtime) -> None:
    """See that a closed runtime's log breaks no law and is executed again without a difference."""
    audit_log(runtime.log)


def audit_log(log: Any) -> None:
    report = check(read(log))
    broken = [
        f"{law.law} {finding.subject} at {finding.turns}: {finding.text}"
        for law in report.laws
        for finding in law.of(Verdict.BROKEN)
    ]
    again = RERUNS.rerun(log)
    if broken or report.damage or again.divergence is not None:
        pytest.fail("\n".join([*broken, *map(str, report.damage), str(again), *story(log)]))


def story(log: Any) -> list[str]:
    """Return a log as text, a turn a line."""
    return [
        f"{turn.number:4} a{turn.actor} {Origin(turn.origin).name:5} "
        f"<- {turn.cause and turn.cause.number} {turn.message} {list(turn.events)}"
        for turn in read(log)
    ]
