"""Scenarios 31 to 48 of spec/newton.md section 8: the control calls, Dispose, scripts and specs."""

import pytest

from rescind import newton
from rescind.actors.newton._protocol import Channel
from rescind.actors.runtime import Runtime, Stepped

from .stage import (
    ABORTED,
    BAD_COMMAND,
    CANCELED,
    GONE,
    IN_PROGRESS,
    NOT_CONNECTED,
    UNDONE,
    WRONG_STATE,
    code_of,
    refused,
    window_is_open,
)

NOTHING_AT_ONCE: dict[str, frozenset[str]] = {"at_once": frozenset()}


def in_state(stage, state):
    """Bring an endpoint whose tool answers nothing by itself to a state before kDataXfer."""
    if state is not newton.State.UNBND:
        stage.endpoint.bind(asynchronous=True)
        stage.settle()
        stage.twin.complete_next(Channel.CONTROL)
        stage.settle()
    assert stage.state is state
    return stage


def connecting(stage, name="K"):
    in_state(stage, newton.State.IDLE)
    stage.endpoint.connect(stage.spec(name))
    stage.settle()
    assert stage.state is newton.State.OUT_CON
    return stage


def test_the_life_of_an_endpoint_goes_through_its_states(new_stage, profile):
    stage = new_stage(profile)
    seen = [stage.state]
    for call in ("bind", "connect", "disconnect", "unbind"):
        getattr(stage.endpoint, call)()
        seen.append(stage.state)
    stage.endpoint.dispose()
    assert [*seen, stage.state] == [1, 2, 5, 2, 1, None]


def test_scenario_31_a_canceled_connect_falls_back_to_idle(new_stage, profile):
    stage = connecting(new_stage(profile, **NOTHING_AT_ONCE))
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("K", ABORTED if stage.rom else CANCELED), ("X", None)]
    assert stage.state is newton.State.IDLE


def test_scenario_31_when_the_victim_hears_the_state_has_already_moved(new_stage):
    stage = in_state(new_stage(**NOTHING_AT_ONCE), newton.State.IDLE)
    seen = []
    stage.endpoint.connect(stage.spec("K", lambda: seen.append(stage.state)))
    stage.cancel("X")
    stage.settle()
    assert seen == [newton.State.IDLE]


def test_scenario_32_a_disconnect_does_not_abort_a_connect(new_stage, profile):
    stage = connecting(new_stage(profile, **NOTHING_AT_ONCE))
    with refused(WRONG_STATE):
        stage.disconnect("Y")
    stage.twin.complete_next(Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("K", None)]
    assert stage.state is newton.State.DATA_XFER


def test_scenario_34_a_canceled_bind_may_be_tried_again(new_stage, profile):
    stage = new_stage(profile, **NOTHING_AT_ONCE)
    stage.endpoint.bind(stage.spec("bind"))
    stage.settle()
    assert stage.state == newton.State.IN_FLUX
    stage.cancel("X", lambda: stage.endpoint.bind(stage.spec("again")))
    stage.settle()
    stage.twin.complete_next(Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("bind", CANCELED), ("X", None), ("again", None)]
    assert stage.state == newton.State.IDLE


def test_scenario_34_a_canceled_unbind_leaves_the_endpoint_bound(new_stage, profile):
    stage = in_state(new_stage(profile, **NOTHING_AT_ONCE), newton.State.IDLE)
    stage.endpoint.unbind(stage.spec("unbind"))
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("unbind", CANCELED), ("X", None)]
    assert stage.state is newton.State.IDLE


def test_scenario_35_a_disconnect_cancels_first_and_completes_once(either):
    stage = either
    stage.outputs("AB")
    stage.arm("I")
    stage.disconnect("Y")
    stage.settle()
    assert stage.heard == [("I", CANCELED), ("A", CANCELED), ("B", CANCELED), ("Y", None)]
    assert stage.state is newton.State.IDLE
    assert stage.twin.asked[-1] == "Disconnect"


def test_scenario_35_the_tool_is_told_to_disconnect_only_after_the_last_victim_heard(either):
    stage = either
    stage.outputs("A")
    stage.output("B", lambda: stage.heard.append(("Disconnect" in stage.twin.asked, stage.state)))
    stage.disconnect("Y")
    stage.settle()
    assert stage.heard[2] == (False, newton.State.DATA_XFER)
    assert stage.heard[3] == ("Y", None)


def test_scenario_35_a_synchronous_disconnect_returns_after_its_victims_scripts(either):
    stage = either
    stage.outputs("AB")
    stage.note("returned", stage.endpoint.disconnect)
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("returned", None)]
    assert stage.state is newton.State.IDLE


def test_scenario_35_a_disconnect_whose_cancel_fails_is_not_carried_out(either_held):
    stage = either_held
    stage.outputs("A")
    stage.disconnect("Y")
    stage.finish_kill(BAD_COMMAND)
    assert stage.heard == [("A", CANCELED), ("Y", BAD_COMMAND)]
    assert "Disconnect" not in stage.twin.asked
    assert stage.state is newton.State.DATA_XFER


def test_scenario_35_a_disconnect_that_times_out_while_it_cancels_is_told_after_its_victims(
    either_held,
):
    """Whether the line is then torn down the rules leave open; that A hears first they do not."""
    stage = either_held
    stage.outputs("A")
    stage.endpoint.disconnect(stage.spec("Y", timeout_s=0.05))
    stage.advance(1)
    stage.finish_kills()
    assert [name for name, _ in stage.heard] == ["A", "Y"]
    assert stage.heard[0] == ("A", CANCELED)
    assert not window_is_open(stage.endpoint)


def test_scenario_35_a_disconnect_that_times_out_in_the_tools_hand_does_not_succeed(either_held):
    stage = either_held
    stage.twin.at_once -= {"Disconnect"}
    stage.outputs("A")
    stage.endpoint.disconnect(stage.spec("Y", timeout_s=0.05))
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED)]
    stage.advance(0.1)
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("Y", CANCELED)]
    assert stage.state is newton.State.DATA_XFER
    assert not stage.endpoint._actor.windows, "neither of its two cancels is kept"


def test_scenario_35_a_disconnect_that_ends_after_the_line_dropped_does_not_bring_it_back(
    either_held,
):
    stage = either_held
    stage.outputs("A")
    stage.endpoint.disconnect(stage.spec("Y", timeout_s=0.05))
    stage.twin.disconnect_remotely()
    stage.advance(0.1)
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("Y", CANCELED)]
    assert stage.state is newton.State.IDLE


def test_scenario_36_a_disconnect_during_a_cancel_is_refused(either_held):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    with refused(IN_PROGRESS):
        stage.disconnect("Y")
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("X", None)]
    assert stage.state is newton.State.DATA_XFER


def test_scenario_36_during_a_disconnect_first_the_window_then_the_state_refuses(
    new_stage, profile
):
    at_once = frozenset({"Bind", "Connect"})
    stage = new_stage(profile, holds_kills=True, at_once=at_once).connect()
    stage.outputs("A")
    stage.disconnect("Y")
    with refused(IN_PROGRESS):
        stage.output("D")
    with refused(IN_PROGRESS):
        stage.disconnect("Z")
    stage.finish_kill()
    with refused(WRONG_STATE):
        stage.output("D")
    stage.twin.complete_next(Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("Y", None)]


def test_scenario_36_a_cancel_may_end_a_disconnect_that_the_tool_does_not_answer(
    new_stage, profile
):
    stage = new_stage(profile, at_once=frozenset({"Bind", "Connect"})).connect()
    stage.disconnect("Y")
    stage.settle()
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("Y", CANCELED), ("X", None)]
    assert stage.state is newton.State.DATA_XFER


def test_scenario_37_an_idle_disconnect_is_a_plain_one(either):
    either.disconnect("Y")
    either.settle()
    assert either.heard == [("Y", None)]
    assert either.state is newton.State.IDLE
    assert either.twin.kills == []


def test_scenario_39_after_the_line_dropped_a_disconnect_is_in_the_wrong_state(either):
    stage = either
    stage.settle()
    stage.twin.disconnect_remotely()
    stage.settle()
    assert stage.state is newton.State.IDLE
    with refused(WRONG_STATE):
        stage.disconnect("Y")
    stage.endpoint.unbind()


def test_scenario_39_a_disconnect_that_finds_no_connection_says_wrong_state(new_stage, profile):
    stage = new_stage(profile, at_once=frozenset({"Bind", "Connect"})).connect()
    stage.disconnect("Y")
    stage.settle()
    stage.twin.complete_next(Channel.CONTROL, NOT_CONNECTED)
    stage.settle()
    assert stage.heard == [("Y", WRONG_STATE)]
    assert stage.state is newton.State.IDLE


def test_scenario_39_a_disconnect_that_fails_leaves_the_connection(new_stage, profile):
    stage = new_stage(profile, at_once=frozenset({"Bind", "Connect"})).connect()
    stage.disconnect("Y")
    stage.settle()
    stage.twin.complete_next(Channel.CONTROL, BAD_COMMAND)
    stage.settle()
    assert stage.heard == [("Y", BAD_COMMAND)]
    assert stage.state is newton.State.DATA_XFER


def test_scenario_40_dispose_drops_what_is_pending_without_a_word(either):
    stage = either
    victims = [stage.output("A"), stage.output("B")]
    stage.arm("I")
    stage.endpoint.dispose()
    stage.settle()
    assert stage.heard == []
    assert all(each.is_done for each in victims)
    assert stage.state is None
    for call in (
        stage.endpoint.bind, stage.endpoint.unbind, stage.endpoint.connect,
        stage.endpoint.disconnect, stage.endpoint.cancel, lambda: stage.endpoint.output("D"),
        lambda: stage.arm("J"), lambda: stage.endpoint.set_input_spec(None),
    ):  # fmt: skip
        with refused(GONE):
            call()
    stage.endpoint.dispose()
    assert not stage.twin.is_open


def test_scenario_40_whoever_waits_for_a_dropped_request_hears_that_the_endpoint_is_gone(either):
    victim = either.output("A")
    either.endpoint.dispose()
    with refused(GONE):
        victim.get()


def test_scenario_40_dispose_during_a_cancel_closes_everything(either_held):
    stage = either_held
    stage.outputs("AB")
    stage.cancel("X")
    stage.settle()
    stage.endpoint.dispose()
    stage.twin.finish_kill()
    stage.settle()
    assert stage.heard == []
    assert stage.state is None


def test_scenario_40_an_answer_that_is_on_its_way_does_not_bring_the_endpoint_back(
    new_stage, profile
):
    stage = connecting(new_stage(profile, **NOTHING_AT_ONCE))
    stage.twin.complete_next(Channel.CONTROL)
    stage.endpoint.dispose()
    stage.settle()
    assert stage.state is None
    assert stage.heard in ([], [("K", None)])  # whether it was looked at before


def test_scenario_40_a_blocked_caller_hears_of_dispose(either):
    stage = either
    stage.while_blocked_in("S", stage.endpoint.dispose)
    stage.note("S", lambda: stage.endpoint.output("S"))
    assert stage.heard == [("S", GONE)]


def test_scenario_41_a_script_that_raises_is_reported_and_the_rest_still_delivered(either):
    stage = either

    def stumble():
        raise ValueError("stumbled")

    stage.output("A", stumble)
    stage.outputs("B")
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]
    assert stage.take_reports() == [
        {"name": "ValueError", "data": "stumbled", "debug": "completionscript"},
    ]


def test_scenario_41_even_the_cancels_own_script_may_raise(either):
    stage = either

    def stumble():
        stage.output("F")
        raise ValueError("stumbled")

    stage.outputs("A")
    stage.cancel("X", stumble)
    stage.answer_next()
    assert stage.heard == [("A", CANCELED), ("X", None), ("F", None)]
    assert len(stage.take_reports()) == 1


def test_scenario_42_a_failure_without_a_script_goes_to_the_exception_handler(either):
    stage = either
    stage.endpoint.output("A", asynchronous=True)
    stage.endpoint.output("B", asynchronous=True)
    stage.answer_next()
    assert stage.take_reports() == []  # a success without a script is silent
    stage.answer_next(BAD_COMMAND)
    assert stage.take_reports() == [
        {"name": "evt.ex.comm", "data": BAD_COMMAND, "debug": "completionscript"},
    ]


def test_scenario_42_a_victim_without_a_script_goes_there_in_its_place(either):
    stage = either
    stage.output("A")
    stage.endpoint.output("B", asynchronous=True)
    stage.output("C")
    stage.endpoint.exception_handler = lambda _ep, report: stage.heard.append(report["data"])
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("A", CANCELED), CANCELED, ("C", CANCELED), ("X", None)]


def test_scenario_43_a_synchronous_call_never_calls_its_script(either):
    stage = either
    for name, call in (("D", stage.endpoint.disconnect), ("U", stage.endpoint.unbind)):
        call(newton.CallbackSpec(False, None, stage.script(name)))
    stage.note("bind", lambda: stage.endpoint.bind(completion_script=stage.script("B")))
    stage.settle()
    assert stage.heard == [("bind", None)]


def test_scenario_43_nor_when_it_fails(new_stage, profile):
    stage = new_stage(profile, at_once=frozenset({"Bind"}))
    stage.endpoint.bind()
    stage.twin.reactions["Connect"] = lambda: stage.twin.complete_next(
        Channel.CONTROL, NOT_CONNECTED
    )
    stage.note("K", lambda: stage.endpoint.connect(completion_script=stage.script("K script")))
    stage.settle()
    assert stage.heard == [("K", NOT_CONNECTED)]
    assert stage.take_reports() == []


def test_scenario_44_only_the_script_of_a_spec_may_still_be_replaced(either):
    stage = either
    spec = stage.spec("old", timeout_s=0.05)
    stage.endpoint.output("A", spec)
    spec.asynchronous = False
    spec.timeout_s = 9.0
    spec.completion_script = stage.script("new")
    stage.advance(0.1)
    assert stage.heard == [("new", CANCELED)]


def test_scenario_45_control_calls_cannot_be_pipelined(new_stage, profile):
    stage = new_stage(profile, **NOTHING_AT_ONCE)
    stage.endpoint.bind(stage.spec("bind"))
    with refused(WRONG_STATE):
        stage.endpoint.connect(stage.spec("K"))
    with refused(WRONG_STATE):
        stage.endpoint.bind(stage.spec("bind"))
    stage.settle()
    stage.twin.complete_next(Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("bind", None)]


@pytest.mark.parametrize("call", ["bind", "connect"])
def test_scenario_47_a_blocked_call_that_had_succeeded_when_it_was_canceled_is_undone(
    new_stage, profile, call
):
    stage = new_stage(profile, holds_kills=True, at_once=frozenset())
    if call == "connect":
        in_state(stage, newton.State.IDLE)
    before = stage.state

    def succeed_while_stopping():
        stage.twin.complete(stage.twin.performed[-1][0])
        stage.twin.finish_kill()

    stage.while_blocked_in(call.title(), lambda: stage.cancel("X"))
    stage.twin.reactions["kill"] = succeed_while_stopping
    stage.note("S", getattr(stage.endpoint, call))
    stage.settle()
    assert stage.heard == [("X", None), ("S", UNDONE if stage.rom else CANCELED)]
    assert stage.state is before
    assert stage.twin.asked[-1] == {"bind": "UnBind", "connect": "Disconnect"}[call]


def test_scenario_48_nothing_to_send_and_no_text_are_refused_at_the_call(either):
    for data, code in (("", -54002), (b"", -54002), (None, -54001), (1.5, -54001), ({}, -54001)):
        with refused(code):
            either.endpoint.output(data, asynchronous=True)
    either.settle()
    assert either.twin.sent == []
    assert code_of(lambda: either.output("fine")) is None


def test_scenario_50_no_script_runs_inside_the_call_that_queued_it(new_stage, profile):
    """Even where the tool answers while it is being asked."""
    everything = frozenset({"Bind", "Connect", "Output", "Disconnect", "UnBind"})
    stage = new_stage(profile, at_once=everything).connect()

    def submit():
        stage.output("A")
        stage.output("B")
        stage.cancel("X")
        stage.heard.append("after the calls")

    stage.in_callback(submit)
    assert stage.heard[0] == "after the calls"
    assert [name for name, _ in stage.heard[1:]] == ["A", "B", "X"]


def test_two_endpoints_of_one_runtime_do_not_cancel_each_other():
    runtime = Runtime.open(dispatcher=Stepped())
    first, second = (newton.Endpoint(runtime, newton.twin(label=name)) for name in "12")
    for endpoint in (first, second):
        endpoint.bind()
        endpoint.connect()
    survivor = second.output("B", asynchronous=True)
    victim = first.output("A", newton.CallbackSpec(True, None, lambda *_: None))
    first.cancel()
    assert victim.result == CANCELED
    assert not survivor.is_done
    assert code_of(lambda: second.output("C", asynchronous=True)) is None
    runtime.close()
