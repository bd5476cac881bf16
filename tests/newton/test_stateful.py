"""Any program against a model of the guide's rules, under the stepped dispatcher.

The programs call whatever the dialect has, synchronously too, and from scripts; a twin answers,
stops, and lets bytes and events in at random moments; with `shuffle` the schedule itself is drawn.
A calm program waits until nothing moves before each step, and the model then knows everything; the
others overtake themselves.  Every log is audited.

``RESCIND_STEPS`` says how many steps are made in all, half in each profile (default: as many as the
Hypothesis profile has).
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rescind import newton
from rescind.actors.newton._protocol import Channel
from rescind.actors.runtime import Runtime, Stepped

from .model import READINGS, RECEIVES, ROWS, Asked, Model
from .stage import CANCELED, GONE, audit, code_of
from .watched import TOOL_ERROR, Watched

STEPS = int(os.environ.get("RESCIND_STEPS", "0"))
STEPS_PER_PROGRAM = 50
EXPECTED_SPEC = -54003
UNKILLABLE = frozenset({"Bind", "UnBind", "Option", "Disconnect"})
"""What the device's base tool does not stop (5.10)."""
CONTROL = ["bind", "connect", "listen", "accept", "disconnect", "release", "unbind", "option"]
OPERATIONS = st.sampled_from([*CONTROL, *["output", "arm", "receive", "cancel"] * 3])
TIME_OUTS = st.sampled_from([None, None, None, 0.05, 0.2])
WAITING = ["cancel and wait", "output and wait", "disconnect and wait"]
THEN = st.sampled_from(
    [
        *[None] * 8, "output", "cancel", "arm", "disarm", "receive", "disconnect", "release",
        "option", "input", "flush_partial", "dispose", *WAITING,
    ]
)  # fmt: skip
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "form": st.sampled_from(["string", "bytes"]),
        "termination": st.sampled_from(
            [
                newton.Termination(byte_count=3),
                newton.Termination(end_sequence=b"\n"),
                newton.Termination(end_sequence=[b"ab", b"b", b"\r\n"]),
                newton.Termination(byte_count=4, end_sequence=b"\n"),
            ]
        ),
        "discard_after": st.sampled_from([2, 5]),
        "rcv_flags": st.just(newton.SendFlag.PACKET),
        "filter": st.sampled_from(
            [newton.Filter({b"x": None, b"a": b"b"}), newton.Filter(seven_bit=True)]
        ),
        "partial_frequency_s": st.just(0.03),
    },
)
BYTES = st.text("ab\r\nx\x8a", max_size=8).map(lambda text: text.encode("latin-1"))
MADE = {"guide": 0, "rom": 0}
"""How many steps were made in each profile."""


class AnyProgram(RuleBasedStateMachine):
    """Calls, answers, bytes, events, time and scripts in any order."""

    profile = "guide"

    @initialize(
        seed=st.integers(0, 2**16), shuffle=st.booleans(), calm=st.booleans(),
        willing=st.booleans(), stubborn=st.booleans(),
    )  # fmt: skip
    def begin(self, seed, shuffle, calm, willing, stubborn):
        self.dispatcher = Stepped(seed, shuffle=shuffle)
        self.runtime = Runtime.open(dispatcher=self.dispatcher)
        self.model = Model(READINGS[self.profile], self.runtime.clock.now_ns)
        slow: dict[str, Any] = {"at_once": frozenset(), "holds_kills": True}
        slow["unkillable"] = UNKILLABLE if stubborn else frozenset()
        self.twin = Watched(self.model, **({} if willing else slow))
        self.willing, self.calm = willing, calm
        self.heard: list[Asked] = []
        self.reports: list[Any] = []
        self.scripts: list[Callable[[], object]] = []
        self.is_calling = False
        self.endpoint = newton.StreamingEndpoint(
            self.runtime,
            self.twin,
            profile=self.profile,
            exception_handler=lambda _endpoint, report: self.reports.append(report),
            event_handler=lambda _endpoint, event: self.model.hear_event(event.event_code),
        )
        self.rest()

    @property
    def state(self) -> int | None:
        state = self.endpoint.state()
        return None if state is None else int(state)

    # --- what the program does ---------------------------------------------------------------

    def submit(self, operation: str, then: Any = None, timeout_s: Any = None, **slots: Any) -> None:
        """Call asynchronously, and hold what the call raises against the model."""
        number = len(self.model.asked)
        asked = Asked(f"{operation} {number}", operation, 0)
        asked.timeout_ns = None if timeout_s is None else round(timeout_s * 1e9)
        allowed = self.model.allowed(operation, self.state)
        self.move()
        self.is_calling = True
        code = code_of(lambda: self.call_endpoint(asked, then, timeout_s, slots))
        self.is_calling = False
        assert code in allowed, f"{asked.name}: {code} instead of {allowed}"
        if code is None:
            asked.number = asked.request.number
            self.model.accept(asked)

    def call_endpoint(self, asked: Asked, then: Any, timeout_s: Any, slots: Any) -> None:
        spec = newton.CallbackSpec(True, timeout_s, self.script(asked, then))
        endpoint = self.endpoint
        match asked.operation:
            case "output":
                if slots.pop("frame", False):
                    framed = newton.OutputSpec(
                        True, timeout_s, spec.completion_script, form="frame"
                    )
                    asked.request = endpoint.output({"name": asked.name}, framed)
                else:
                    asked.request = endpoint.output(asked.name, spec)
            case "arm" | "receive":
                wanted = newton.InputSpec(
                    self.input_script(asked, then), self.script(asked, None), **slots,
                    timeout_s=timeout_s, partial_script=self.show,
                )  # fmt: skip
                if asked.operation == "arm":
                    asked.request = endpoint.set_input_spec(wanted)
                else:
                    asked.request = endpoint.receive(wanted, asynchronous=True)
            case "option":
                asked.request = endpoint.option([newton.Option("speed", 1)], spec)
            case "release":
                asked.request = endpoint.disconnect(spec, cancel_pending=False)
            case _:
                asked.request = getattr(endpoint, asked.operation)(spec)

    def submit_and_wait(self, operation: str, call: Callable[[], Any]) -> int | None:
        """Call synchronously, scripts run meanwhile; returns the code."""
        model = self.model
        allowed = model.allowed(operation, self.state, waits=True)
        asked = Asked(f"synchronous {operation}", operation, 0, victims=model.certain_victims())
        kills, answers, is_alone = len(model.kills), len(model.said_codes), model.is_at_rest
        self.move()
        model.blocked.append(asked)
        code = code_of(call)
        model.blocked.remove(asked)
        self.move()
        row = ROWS[operation]
        if None in allowed:
            canceled = {CANCELED, model.reading.aborted, model.reading.late}
            allowed |= canceled if len(model.kills) > kills else set()
            allowed |= {GONE} if model.is_disposed else set()
            allowed |= set(model.said_codes[answers:])
            moved = row.done if code is None else row.failed
            if moved is not None:
                model.states = {moved} | (set() if is_alone else model.states)
        assert code in allowed, f"{operation}: {code} instead of {allowed}"
        if code is None and operation in {"cancel", "disconnect"}:
            untold = [each.name for each in asked.victims if each.is_open]
            assert not untold, f"{operation} returned before {untold} were told"
        return code

    def do(self, then: str | None) -> None:
        """Do what a script is to do."""
        match then:
            case None:
                pass
            case "dispose":
                self.model.is_disposed = True
                self.move()
                self.endpoint.dispose()
            case "disarm":
                code = code_of(lambda: self.endpoint.set_input_spec(None))
                assert code in self.model.allowed_to_disarm(self.state)
                if code is None:
                    self.model.disarm()
            case "input":
                assert code_of(self.endpoint.input) in self.model.allowed_for_spec(self.state)
            case "flush_partial":
                self.flush(partial=True)
            case "cancel and wait" | "disconnect and wait":
                operation = then.partition(" ")[0]
                if self.willing:
                    self.submit_and_wait(operation, getattr(self.endpoint, operation))
            case "output and wait":
                self.submit_and_wait("output", lambda: self.endpoint.output("blocked"))
            case _:
                self.submit(then)

    def flush(self, *, partial: bool) -> None:
        flush = self.endpoint.flush_partial if partial else self.endpoint.flush_input
        assert code_of(flush) == (GONE if self.state is None else None)

    # --- scripts -----------------------------------------------------------------------------

    def script(self, asked: Asked, then: str | None) -> Any:
        def completion_script(_endpoint: Any, _options: Any, result: int | None) -> None:
            self.model.hear(asked, result)
            self.heard.append(asked)
            self.run_script(lambda: self.do(then))
            asked.is_back = True

        return completion_script

    def input_script(self, asked: Asked, then: str | None) -> Any:
        def input_script(_endpoint: Any, data: Any, terminator: Any, _options: Any) -> None:
            told = terminator and [terminator.condition, terminator.index, terminator.byte_count]
            self.model.hear_input(asked, data, told)
            outer = self.model.in_input_script
            self.model.in_input_script = asked if terminator else outer
            self.run_script(lambda: self.do(then))
            self.model.in_input_script = outer
            if terminator:
                asked.met_window |= True in self.model.windows()

        return input_script

    def show(self, _endpoint: Any, data: Any) -> None:
        """See that a PartialScript is shown what is buffered, or was."""
        wanted = data if isinstance(data, bytes) else None
        seen = self.twin.wire.shown
        assert wanted in seen or data in {each.decode("utf-8", "replace") for each in seen}

    def run_script(self, script: Callable[[], object]) -> None:
        assert not self.is_calling, "a script ran inside the call that queued it"
        assert len(self.scripts) <= len(self.model.blocked), "two scripts ran at once"
        self.scripts.append(script)
        self.move()
        try:
            script()
        finally:
            self.scripts.pop()
            self.twin.let_go()

    # --- rules -------------------------------------------------------------------------------

    def move(self) -> None:
        self.model.is_at_rest = False

    def rest(self) -> None:
        """Run until nothing moves; then all must be as the model says."""
        self.dispatcher.run()
        assert not self.reports, self.reports
        self.model.rest(self.state)
        if not self.model.is_disposed:
            assert self.twin.found == self.twin.wire.found
            self.look_at_receives()

    def look_at_receives(self) -> None:
        """See that a Receive that has succeeded has its piece for a result."""
        for asked in self.model.of("receive"):
            pieces = self.model.pieces.pop(asked.number, None)
            if pieces and asked.codes == [None]:
                assert asked.request.get().data == pieces.popleft()[0]

    def start(self) -> None:
        """Begin a rule."""
        MADE[self.profile] += 1
        if self.calm:
            self.rest()

    @rule(operation=OPERATIONS, timeout_s=TIME_OUTS, then=THEN, spec=SPECS, frame=st.booleans())
    def call(self, operation, timeout_s, then, spec, frame):
        self.start()
        slots = spec if operation in RECEIVES else {"frame": frame} if operation == "output" else {}
        self.submit(operation, then, None if operation == "cancel" else timeout_s, **slots)

    @rule(count=st.integers(0, 4), then=THEN, listens=st.booleans())
    def connect_and_send(self, count, then, listens):
        """Bring the endpoint to where most things happen."""
        self.start()
        for operation in ("bind", *(("listen", "accept") if listens else ("connect",))):
            if self.model.allowed(operation, self.state) == {None}:
                self.submit(operation)
                self.rest()
                if self.asked_of(Channel.CONTROL):
                    self.twin.complete_next(Channel.CONTROL)
                    self.rest()
        for _ in range(count):
            self.submit("output", then)

    @rule(then=st.sampled_from(["disarm", "input", "dispose", *WAITING, *WAITING]))
    def do_by_itself(self, then):
        if then != "dispose" or len(self.model.asked) > 12:
            self.start()
            self.do(then)

    @precondition(lambda self: self.willing)
    @rule(operation=st.sampled_from([*CONTROL, "connect", "listen", "accept"]))
    def control_and_wait(self, operation):
        self.start()
        self.rest()
        if operation == "release" and self.asked_of(Channel.PUT):
            return  # nobody would answer the Outputs that it waits for
        calls: dict[str, Callable[[], Any]] = {
            "release": lambda: self.endpoint.disconnect(cancel_pending=False),
            "option": lambda: self.endpoint.option(newton.Option("speed", 1)),
        }
        self.submit_and_wait(operation, calls.get(operation) or getattr(self.endpoint, operation))

    @precondition(lambda self: self.willing)
    @rule()
    def send_and_time_out(self):
        """Block in an Output that the tool does not take; its time-out passes."""
        self.start()
        self.rest()
        clock: Any = self.runtime.clock

        def let_time_pass():
            clock.advance_to(clock.now_ns() + 50_000_000)
            self.dispatcher.wake()

        self.model.has_time_outs = True
        self.twin.when_late = let_time_pass
        code = self.submit_and_wait("output", lambda: self.endpoint.output("late", timeout_s=0.05))
        assert code is not None
        self.rest()

    @precondition(lambda self: self.willing)
    @rule(data=st.sampled_from([{"a": 1}, {"text": "ab\n" * 9}]), has_spec=st.booleans())
    def stream(self, data, has_spec):
        """Send a frame in chunks, and receive it."""
        self.start()
        self.rest()
        spec = newton.StreamSpec() if has_spec else None
        if not has_spec and self.profile == "rom" and self.state is not None:
            for call in (lambda: self.endpoint.stream_out(data), self.endpoint.stream_in):
                assert code_of(call) == EXPECTED_SPEC
            return
        sent = len(self.twin.performed)
        self.twin.at_once |= {"Output"}
        code = self.submit_and_wait("output", lambda: self.endpoint.stream_out(data, spec))
        self.twin.at_once -= {"Output"}
        self.rest()
        if self.model.allowed("receive", self.state) == {None}:
            if code is not None:
                return  # a frame was cut short before
            chunks = [arguments[0] for _, _, arguments in self.twin.performed[sent:]]
            self.twin.flush(partial=False)
            self.twin.feed(b"".join(chunks))
        received: list[Any] = []
        operation = "output" if self.model.allowed("output", self.state) != {None} else "receive"
        code = self.submit_and_wait(
            operation, lambda: received.append(self.endpoint.stream_in(spec))
        )
        if code is None:
            assert received == [data]

    # --- what the outside does ---------------------------------------------------------------

    def asked_of(self, channel: Channel) -> list[int]:
        kinds = {"Input": Channel.GET, "Receive": Channel.GET, "Output": Channel.PUT}
        return [
            number for number, (_, operation, _) in self.twin.pending.items()
            if kinds.get(operation, Channel.CONTROL) is channel
        ]  # fmt: skip

    @precondition(lambda self: self.twin.pending)
    @rule(channel=st.sampled_from(list(Channel)), code=st.sampled_from([None, None, TOOL_ERROR]))
    def answer(self, channel, code):
        self.start()
        asked = self.asked_of(channel)
        if asked:
            self.move()
            self.twin.complete(asked[0], TOOL_ERROR if channel is Channel.GET else code)

    @precondition(lambda self: self.twin.performed)
    @rule(data=st.data(), code=st.sampled_from([-16009, TOOL_ERROR]))
    def answer_too_late(self, data, code):
        """Answer anything that was ever asked: while a cancel is ending it, or long afterwards."""
        self.start()
        request = data.draw(st.sampled_from(self.twin.performed))[0]
        if request:
            self.move()
            self.twin.complete(request, code)

    @rule(chunks=st.lists(BYTES, min_size=1, max_size=3), eop=st.booleans())
    def bytes_arrive(self, chunks, eop):
        self.start()
        if not self.model.is_disposed:
            self.move()
            for chunk in chunks:
                self.twin.feed(chunk, eop=eop)

    @rule(partial=st.booleans(), flushes=st.booleans())
    def look_at_what_is_buffered(self, partial, flushes):
        self.start()
        self.rest()
        allowed = self.model.allowed_for_spec(self.state)
        assert code_of(self.endpoint.partial) in allowed
        if flushes:
            self.flush(partial=partial)

    @precondition(lambda self: self.asked_of(Channel.PUT))
    @rule()
    def the_kernel_takes_a_part(self):
        self.start()
        for number in self.asked_of(Channel.PUT)[:1]:
            self.twin.take(number, 1)

    @rule(what=st.sampled_from(["disconnects", "releases", "says something"]))
    def the_other_side(self, what):
        self.start()
        if self.model.is_disposed:
            return
        self.move()
        match what:
            case "disconnects":
                self.twin.disconnect_remotely()
            case "releases":
                self.twin.release_remotely()
            case _:
                self.twin.event(newton.EventCode.TOOL_SPECIFIC)

    @precondition(lambda self: self.twin.unfinished() and not self.willing)
    @rule(code=st.sampled_from([None, None, None, -16002]))
    def the_tool_has_stopped(self, code):
        self.start()
        self.stop(code)

    def stop(self, code: int | None = None) -> None:
        self.move()
        self.twin.stop_next(code)

    @rule(seconds=st.sampled_from([0.01, 0.06, 0.3]))
    def time_passes(self, seconds):
        self.start()
        self.rest()
        self.move()
        self.dispatcher.advance(seconds)
        self.rest()

    @rule(count=st.integers(1, 4))
    def step(self, count):
        self.start()
        for _ in range(count):
            self.dispatcher.step()

    @rule()
    def run(self):
        self.start()
        self.rest()

    # --- what must hold ----------------------------------------------------------------------

    @invariant()
    def a_cancel_tells_its_victims_in_their_order(self):
        place = {asked: number for number, asked in enumerate(getattr(self, "heard", ()))}
        for cancel in place:
            ended = [each for each in cancel.victims if each.codes == [CANCELED]]
            order = sorted(ended, key=lambda each: place[each])
            ranks = [(each.row.rank, each.number) for each in order]
            assert ranks == sorted(ranks)

    def teardown(self):
        if not hasattr(self, "endpoint"):
            return
        try:
            if sys.exc_info()[0] is None:  # otherwise a second failure would hide the first
                self.end_in_order()
                self.runtime.close()
                assert all(asked.request.is_done for asked in self.model.asked)
                audit(self.runtime)
        finally:
            atexit.unregister(self.runtime.close)  # a runtime that failed has said so already

    def end_in_order(self):
        """Answer all that is owed; then everything that was accepted was told, once."""
        for _ in range(500):
            self.rest()
            if self.twin.unfinished() and not self.willing and not self.model.is_disposed:
                self.stop()
            elif self.twin.pending:
                self.move()
                self.twin.complete(next(iter(self.twin.pending)), TOOL_ERROR)
            elif not self.runtime.has_work:
                break
        else:
            pytest.fail("the program does not come to rest")
        if not self.model.is_disposed:
            assert not [asked.name for asked in self.model.asked if asked.is_open]


class AnyProgramOfTheDevice(AnyProgram):
    """The same in the profile `rom`."""

    profile = "rom"


if STEPS:
    for _machine in (AnyProgram, AnyProgramOfTheDevice):
        _programs = max(1, STEPS // STEPS_PER_PROGRAM // 2)
        _size = settings(_machine.TestCase.settings, max_examples=_programs)
        _machine.TestCase.settings = settings(_size, stateful_step_count=STEPS_PER_PROGRAM)


@pytest.fixture(scope="module", autouse=True)
def _counted() -> Iterator[None]:
    yield
    print(f"RESCIND_STEPS={STEPS}: {MADE} were made")  # noqa: T201


@pytest.mark.timeout(3600)  # shrinking a failure takes minutes, and so does the large size
class TestAnyProgram(AnyProgram.TestCase):  # type: ignore[misc,valid-type]
    """Collected by pytest."""


@pytest.mark.timeout(3600)
class TestAnyProgramOfTheDevice(AnyProgramOfTheDevice.TestCase):  # type: ignore[misc,valid-type]
    """Collected by pytest."""
