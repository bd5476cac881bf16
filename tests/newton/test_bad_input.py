"""What a program may do wrong: a clear error each time, nothing lost, nobody left hanging."""

import threading
from typing import Any

import pytest

from rescind import newton
from rescind.actors.runtime import Runtime, RuntimeClosedError, Stepped, UsageError
from rescind.events import LogLockedError, RescindError, read

from .stage import (
    CANCELED,
    GONE,
    WRONG_STATE,
    audit,
    audit_log,
    code_of,
    refused,
)

WAIT_S = 20.0
BAD_PARAMETER = -16006
BAD_FORM = -54001
BAD_SEQUENCE = -54005
BAD_TERMINATION = -54007

termination: Any = newton.Termination
"""Without its types, for what no type checker would let through."""

# Which calls each state admits (section 4); Disconnect and Output go together here.
ADMITTED = {
    "kUnbnd": {"bind", "cancel"},
    "kIdle": {"connect", "unbind", "cancel"},
    "kOutCon": {"cancel"},
    "kDataXfer": {"output", "arm", "disconnect", "cancel"},
    "kInFlux": {"cancel"},
}
CALLS = {
    "bind": lambda stage: stage.endpoint.bind(asynchronous=True),
    "unbind": lambda stage: stage.endpoint.unbind(asynchronous=True),
    "connect": lambda stage: stage.endpoint.connect(asynchronous=True),
    "disconnect": lambda stage: stage.endpoint.disconnect(asynchronous=True),
    "output": lambda stage: stage.endpoint.output("data", asynchronous=True),
    "arm": lambda stage: stage.endpoint.set_input_spec(newton.InputSpec()),
    "cancel": lambda stage: stage.endpoint.cancel(asynchronous=True),
}
WAYS = {
    "kUnbnd": ([], None),
    "kIdle": (["bind"], None),
    "kOutCon": (["bind"], "connect"),
    "kDataXfer": (["bind", "connect"], None),
    "kInFlux": (["bind", "connect"], "disconnect"),
}


def error_of(call):
    """Return whatever a call raises, or None."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  # this is what is asked for
        return error
    return None


def bring_to(stage, state):
    done, pending = WAYS[state]
    for call in done:
        getattr(stage.endpoint, call)()
    if pending is not None:
        stage.twin.at_once = frozenset()
        getattr(stage.endpoint, pending)(stage.spec("pending"))
    stage.settle()
    return stage


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", ADMITTED)
def test_a_call_is_admitted_in_its_states_only(new_stage, profile, state, call):
    stage = bring_to(new_stage(profile), state)
    before, asked = stage.state, len(stage.twin.performed)
    code = code_of(lambda: CALLS[call](stage))
    if call in ADMITTED[state]:
        assert code is None
    else:
        stage.settle()
        assert code == WRONG_STATE
        assert (stage.state, len(stage.twin.performed)) == (before, asked)
    stage.settle()
    stage.take_reports()


def test_there_are_two_profiles_and_an_unknown_one_is_named_with_them():
    with Runtime.open(dispatcher=Stepped()) as runtime:
        with pytest.raises(UsageError, match=r"'applesoft'.*guide, rom"):
            newton.Endpoint(runtime, newton.twin(), profile="applesoft")
        newton.Endpoint(runtime, newton.twin(), profile="rom").bind()
    audit(runtime)


def test_a_spec_and_its_slots_together_are_a_mistake(stage):
    spec = newton.CallbackSpec(True)
    for slots in ({"asynchronous": True}, {"timeout_s": 1.0}, {"completion_script": print}):
        with pytest.raises(UsageError, match="not both"):
            stage.endpoint.output("data", spec, **slots)
    stage.settle()
    assert stage.twin.sent == []


@pytest.mark.parametrize(
    ("slots", "code"),
    [
        ({"form": "bits"}, BAD_FORM),
        ({"form": None}, BAD_FORM),
        ({"form": ["string"]}, BAD_FORM),
        ({"termination": newton.Termination(byte_count=0)}, BAD_TERMINATION),
        ({"termination": newton.Termination(byte_count=-5)}, BAD_TERMINATION),
        ({"termination": termination(byte_count="3")}, BAD_TERMINATION),
        ({"termination": termination(byte_count=2.5)}, BAD_TERMINATION),
        ({"termination": newton.Termination(end_sequence="")}, BAD_SEQUENCE),
        ({"termination": newton.Termination(end_sequence=b"")}, BAD_SEQUENCE),
        ({"termination": termination(end_sequence=1.5)}, BAD_SEQUENCE),
        ({"termination": newton.Termination(end_sequence="\ud800")}, BAD_SEQUENCE),
        ({"discard_after": -1}, BAD_PARAMETER),
        ({"discard_after": 0}, BAD_PARAMETER),
        ({"discard_after": "much"}, BAD_PARAMETER),
        ({"timeout_s": -1}, BAD_PARAMETER),
    ],
)
def test_an_input_spec_that_makes_no_sense_is_refused_and_none_is_armed(stage, slots, code):
    with refused(code):
        stage.arm("I", **slots)
    stage.arm("J")
    stage.receive("data")
    assert stage.heard == [("J", "data")]


@pytest.mark.parametrize("termination", ["\n", {"byteCount": 3}, 3])
def test_a_termination_of_another_type_is_refused_with_a_clear_error(stage, termination):
    with pytest.raises(RescindError):
        stage.arm("I", termination=termination)
    stage.arm("J")


@pytest.mark.parametrize(
    "timeout_s", [-1, -0.001, float("inf"), float("-inf"), float("nan"), 1e12, "5", [1]]
)
def test_a_time_out_that_is_no_time_is_refused_and_nothing_happens(stage, timeout_s):
    with refused(BAD_PARAMETER):
        stage.endpoint.output("data", asynchronous=True, timeout_s=timeout_s)
    with refused(BAD_PARAMETER):
        stage.endpoint.disconnect(timeout_s=timeout_s)
    stage.settle()
    assert stage.twin.sent == []
    assert stage.state is newton.State.DATA_XFER


@pytest.mark.parametrize("timeout_s", [1e-12, 1e-9, 3e9, 2])
def test_very_short_and_very_long_time_outs_are_times(stage, timeout_s):
    stage.output("A", timeout_s=timeout_s)
    stage.advance(1)
    assert stage.heard == ([("A", CANCELED)] if timeout_s < 1 else [])
    stage.advance(2)
    assert stage.heard == ([("A", CANCELED)] if timeout_s < 4 else [])


@pytest.mark.parametrize("data", [None, True, 1.5, [["a"]], ["a", None], {"a": 1}, object()])
def test_data_that_has_no_form_by_itself_is_refused(stage, data):
    with refused(BAD_FORM):
        stage.endpoint.output(data, asynchronous=True)
    stage.settle()
    assert stage.twin.sent == []
    assert code_of(lambda: stage.output("fine")) is None


@pytest.mark.parametrize("tool", ["twin", "tcp"])
def test_text_that_cannot_be_encoded_is_refused_and_harms_nobody(stage, tool):
    """A lone surrogate is no character: neither the log nor the wire could hold it."""
    endpoint = stage.endpoint
    with refused(BAD_FORM):
        endpoint.output("broken \ud800", asynchronous=True)
    stage.output("fine")
    stage.answer_next()
    assert stage.heard == [("fine", None)]


def test_subclasses_of_text_and_bytes_are_text_and_bytes(stage):
    class Text(str):
        __slots__ = ()

    class Data(bytes):
        __slots__ = ()

    stage.endpoint.output(Text("a"), stage.spec("A"))
    stage.endpoint.output(Data(b"b"), stage.spec("B"))
    stage.answer_next()
    stage.answer_next()
    assert stage.heard == [("A", None), ("B", None)]


@pytest.mark.parametrize(
    "script",
    [lambda: None, lambda _endpoint: None, "not callable"],
    ids=["no parameter", "one parameter", "not callable"],
)
def test_a_script_that_cannot_be_called_is_reported_and_the_rest_delivered(stage, script):
    stage.endpoint.output("A", newton.CallbackSpec(True, None, script))
    stage.output("B")
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("B", CANCELED), ("X", None)]
    assert [report["data"] for report in stage.take_reports()] == [-48803]


def test_an_exception_handler_that_raises_stops_nothing(stage):
    def handler(_endpoint, _report):
        raise ValueError("not even this works")

    stage.endpoint.exception_handler = handler
    stage.endpoint.output("A", asynchronous=True)
    stage.output("B")
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("B", CANCELED), ("X", None)]


def test_a_script_may_dispose_of_its_own_endpoint(either):
    stage = either
    stage.output("A", stage.endpoint.dispose)
    rest = stage.output("B")
    stage.arm("I")
    stage.answer_next()
    assert stage.heard == [("A", None)]
    assert rest.is_done
    assert stage.state is None
    with refused(GONE):
        stage.output("C")


def test_a_victims_script_may_dispose_of_its_own_endpoint(either):
    stage = either
    stage.output("A", stage.endpoint.dispose)
    stage.outputs("B")
    cancel = stage.cancel("X")
    stage.settle()
    assert stage.heard == [("A", CANCELED)]
    assert cancel.is_done


def test_an_input_script_may_dispose_of_its_own_endpoint(either):
    stage = either
    stage.arm("I", lambda _data: stage.endpoint.dispose())
    stage.receive("data")
    assert stage.heard == [("I", "data")]
    assert stage.state is None


def test_data_that_arrived_before_dispose_is_not_handed_over_after_it(either):
    stage = either

    def dispose_with_data_on_its_way():
        stage.twin.receive("data")
        while stage.runtime.run_turns():
            pass
        stage.endpoint.dispose()

    stage.arm("I")
    stage.settle()
    stage.in_callback(dispose_with_data_on_its_way)
    assert stage.heard == []


def test_what_the_tool_says_after_dispose_is_ignored(either):
    stage = either
    output, spec = stage.output("A"), stage.arm("I")
    stage.settle()
    stage.endpoint.dispose()
    stage.twin.port.answer(output.number, None)
    stage.twin.port.received(spec.number, "data", None)
    stage.twin.port.arrived(spec.number)
    stage.twin.port.event(2, None)
    stage.settle()
    assert stage.heard == []
    assert stage.state is None


def test_dispose_twice_is_once_and_a_with_block_is_enough(stage):
    with stage.endpoint as endpoint:
        endpoint.output("A", asynchronous=True)
    assert stage.state is None
    stage.endpoint.dispose()
    stage.endpoint.close()
    disposed = [turn for turn in read(stage.runtime.log) if "Drop" in type(turn.message).__name__]
    assert len(disposed) == 2  # the Output and the endpoint, once each


def test_a_tool_may_answer_what_nobody_asked(either):
    stage = either
    request = stage.output("A")
    stage.settle()
    port = stage.twin.port
    port.answer(99_999, None)
    port.answer(stage.endpoint.number, None)
    port.killed(99_999, None, {})
    port.received(99_999, "data", None)
    port.arrived(99_999)
    port.event(77, "what?")
    port.answer(request.number, None)
    port.answer(request.number, -16005)
    stage.settle()
    assert stage.heard == [("A", None)]
    assert code_of(lambda: stage.output("B")) is None


def test_a_code_that_is_in_no_table_is_passed_on(either):
    stage = either
    stage.output("A")
    stage.answer_next(-12345)
    assert stage.heard == [("A", -12345)]


def test_a_tool_that_raises_leaves_nobody_hanging(dispatcher):
    class Broken(newton.TwinTool):
        def perform(self, *_asked):
            raise OSError("the tool is broken")

    runtime = Runtime.open(dispatcher=Stepped() if dispatcher == "stepped" else None)
    endpoint = newton.Endpoint(runtime, Broken())
    caught = []
    caller = threading.Thread(target=lambda: caught.append(error_of(endpoint.bind)), daemon=True)
    caller.start()
    caller.join(WAIT_S)
    assert not caller.is_alive()
    assert [type(error) for error in caught] != [type(None)]
    closer = threading.Thread(target=error_of, args=(runtime.close,), daemon=True)
    closer.start()
    closer.join(WAIT_S)
    assert not closer.is_alive()


def test_a_second_runtime_on_the_same_log_is_told_that_it_is_locked(tmp_path):
    path = tmp_path / "log"
    with Runtime.open(path, dispatcher=Stepped()) as runtime:
        endpoint = newton.Endpoint(runtime, newton.twin())
        endpoint.bind()
        with pytest.raises(LogLockedError):
            Runtime.open(path)
        endpoint.connect()
    audit_log(path)
    with Runtime.open(path, dispatcher=Stepped()) as again:
        newton.Endpoint(again, newton.twin()).bind()
    audit_log(path)


def test_a_closed_runtime_refuses_every_call_and_may_be_closed_again(new_stage):
    stage = new_stage().connect()
    output = stage.output("A")
    stage.runtime.close()
    stage.runtime.close()
    with refused(GONE):
        output.get()
    for call in (
        stage.endpoint.bind, stage.endpoint.cancel, lambda: stage.output("B"),
        lambda: stage.arm("I"), lambda: newton.Endpoint(stage.runtime, newton.twin()),
    ):  # fmt: skip
        with pytest.raises((RuntimeClosedError, newton.CommError)):
            call()


def test_closing_a_runtime_frees_every_kind_of_waiter():
    runtime = Runtime.open()
    tools = [newton.twin(label=f"twin {n}") for n in range(3)]
    endpoints = [newton.Endpoint(runtime, tool) for tool in tools]
    for endpoint in endpoints:
        endpoint.bind()
        endpoint.connect()
    future = endpoints[0].output("A", asynchronous=True)
    ended = {}

    def wait(name, call):
        ended[name] = error_of(call)

    waiters = [
        threading.Thread(target=wait, args=arguments, daemon=True)
        for arguments in (
            ("blocked in a call", lambda: endpoints[1].output("S")),
            ("waiting for a future", future.get),
            ("waiting for it to be done", lambda: future.wait_done(WAIT_S)),
            ("blocked in another call", lambda: endpoints[2].output("T")),
        )
    ]
    for waiter in waiters:
        waiter.start()
    while not all(tool.pending for tool in tools):
        runtime.pump()
    runtime.close()
    for waiter in waiters:
        waiter.join(WAIT_S)
        assert not waiter.is_alive()
    codes = {name: getattr(error, "code", error) for name, error in ended.items()}
    assert codes.pop("waiting for it to be done") is None
    assert set(codes.values()) == {GONE}
    audit(runtime)


def test_a_script_may_close_the_runtime():
    runtime = Runtime.open()
    endpoint = newton.Endpoint(runtime, tool := newton.twin())
    endpoint.bind()
    endpoint.connect()
    closed = threading.Event()

    def close(*_told):
        runtime.close()
        closed.set()

    request = endpoint.output("A", newton.CallbackSpec(True, None, close))
    endpoint.output("B", asynchronous=True)
    tool.complete(request.number)
    assert closed.wait(WAIT_S)
    audit(runtime)


def test_waiting_on_a_stepped_runtime_for_what_can_never_come_is_an_error_and_not_a_hang():
    runtime = Runtime.open(dispatcher=Stepped())
    endpoint = newton.Endpoint(runtime, newton.twin())
    endpoint.bind()
    endpoint.connect()
    with pytest.raises(UsageError, match="nothing that is left to happen"):
        endpoint.output("A")
    runtime.close()
    audit(runtime)


def test_a_script_that_takes_other_arguments_is_reported_as_such(either):
    """R 28: -48803, and which script it was."""
    few: Any = lambda _endpoint: None  # noqa: E731
    either.endpoint.event_handler = few
    spec = either.input_spec("I", termination=newton.Termination(end_sequence="\n"))
    spec.input_script = spec.partial_script = few
    spec.partial_frequency_s = 0.1
    either.endpoint.set_input_spec(spec)
    either.endpoint.output("A", newton.CallbackSpec(True, None, few))
    either.answer_next()
    either.twin.event(newton.EventCode.TOOL_SPECIFIC)
    either.twin.feed(b"line")
    either.advance(0.1)
    either.twin.feed(b"\n")
    either.settle()
    assert [(report["data"], report["debug"]) for report in either.take_reports()] == [
        (-48803, "completionscript"), (-48803, "eventhandler"), (-48803, "partialscript"),
        (-48803, "inputscript"),
    ]  # fmt: skip


def test_a_type_error_of_a_scripts_own_is_told_as_what_it_is(either):
    def fail(_endpoint, _options, _result):
        len(None)  # type: ignore[arg-type]  # the mistake

    either.endpoint.output("A", newton.CallbackSpec(True, None, fail))
    either.answer_next()
    assert [report["name"] for report in either.take_reports()] == ["TypeError"]
