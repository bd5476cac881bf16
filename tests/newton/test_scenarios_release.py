"""Scenario 38 of spec/newton.md section 8: the orderly release; and what is around it.

Listen and Accept, the remote's own disconnect and release, options, what a tool reports unasked.
"""

from typing import Any

import pytest

from rescind import newton
from rescind.events import EventHandler, read

from .stage import (
    ABORTED,
    BAD_COMMAND,
    CANCELED,
    GONE,
    IN_PROGRESS,
    NOT_CONNECTED,
    WRONG_STATE,
    code_of,
    refused,
)

State = newton.State
NO_OPTION = -54004
NO_OPTIONS = -36002


def test_scenario_38_a_release_lets_the_outputs_end_then_cancels_the_input_spec(either):
    stage = either
    stage.outputs("AB")
    stage.arm("I")
    stage.disconnect("Y", cancel_pending=False)
    assert stage.state == State.OUT_REL
    stage.answer_next()
    assert stage.heard == [("A", None)]
    stage.answer_next()
    ended = ABORTED if stage.rom else CANCELED
    assert stage.heard == [("A", None), ("B", None), ("I", ended), ("Y", None)]
    assert stage.state == State.IDLE


def test_scenario_38_the_tool_gets_the_release_only_when_all_else_has_ended(either_held):
    stage = either_held
    stage.outputs("A")
    stage.arm("I")
    stage.disconnect("Y", cancel_pending=False)
    stage.settle()
    assert "Release" not in stage.twin.asked
    stage.answer_next()
    assert len(stage.twin.kills) == 1
    assert "Release" not in stage.twin.asked
    stage.finish_kill()
    assert "Release" in stage.twin.asked
    assert [name for name, _ in stage.heard] == ["A", "I", "Y"]


def test_scenario_38_a_release_with_nothing_pending_is_a_plain_one(either):
    either.disconnect("Y", cancel_pending=False)
    assert either.state == State.OUT_REL
    either.settle()
    assert either.heard == [("Y", None)]
    assert either.state is State.IDLE
    assert either.twin.kills == []


def test_scenario_38_a_synchronous_release_returns_after_the_specs_script(either):
    stage = either
    stage.arm("I")
    stage.note("Y", lambda: stage.endpoint.disconnect(cancel_pending=False))
    assert stage.heard == [("I", ABORTED if stage.rom else CANCELED), ("Y", None)]
    assert stage.state == State.IDLE


def test_scenario_38_a_second_release_which_the_remotes_admits_follows_the_first(either):
    stage = either
    stage.twin.at_once -= {"Release"}
    stage.outputs("A")
    stage.disconnect("Y", cancel_pending=False)
    stage.twin.event(newton.EventCode.RELEASE)
    stage.settle()
    stage.disconnect("Z", cancel_pending=False)
    stage.answer_next()
    assert stage.state == State.OUT_REL
    for code in (None, NOT_CONNECTED):
        stage.twin.complete_next(newton.Channel.CONTROL, code)
        stage.settle()
    assert stage.heard == [("A", None), ("Y", None), ("Z", WRONG_STATE)]
    assert stage.twin.asked.count("Release") == 2
    assert stage.state == State.IDLE


def test_scenario_38_while_it_releases_nothing_more_is_admitted(either):
    stage = either
    stage.outputs("A")
    stage.disconnect("Y", cancel_pending=False)
    for call in (
        lambda: stage.output("B"),
        lambda: stage.arm("J"),
        lambda: stage.disconnect("Z", cancel_pending=False),
    ):
        assert code_of(call) == WRONG_STATE
    stage.answer_next()
    assert stage.heard == [("A", None), ("Y", None)]


def test_scenario_38_a_cancel_ends_a_release_that_waits_and_the_connection_stays(either):
    stage = either
    stage.outputs("A")
    stage.disconnect("Y", cancel_pending=False)
    stage.cancel("X")
    stage.settle()
    ended = ABORTED if stage.rom else CANCELED
    assert stage.heard == [("A", CANCELED), ("Y", ended), ("X", None)]
    assert stage.state == State.DATA_XFER
    assert "Release" not in stage.twin.asked


def test_scenario_38_a_disconnect_overtakes_a_release_that_waits(either):
    stage = either
    stage.outputs("A")
    stage.disconnect("Y", cancel_pending=False)
    stage.disconnect("Z")
    stage.settle()
    ended = ABORTED if stage.rom else CANCELED
    assert stage.heard == [("A", CANCELED), ("Y", ended), ("Z", None)]
    assert stage.state == State.IDLE


def test_scenario_38_an_output_that_fails_lets_the_release_go_on(either):
    stage = either
    stage.outputs("A")
    stage.disconnect("Y", cancel_pending=False)
    stage.twin.at_once -= {"Release"}
    stage.answer_next(NOT_CONNECTED)
    stage.twin.complete_next(newton.Channel.CONTROL, NOT_CONNECTED)
    stage.settle()
    assert stage.heard == [("A", NOT_CONNECTED), ("Y", WRONG_STATE)]
    assert stage.state == State.IDLE


def test_scenario_38_a_release_that_fails_leaves_the_connection(either):
    stage = either
    stage.twin.at_once -= {"Release"}
    stage.disconnect("Y", cancel_pending=False)
    stage.settle()
    stage.twin.complete_next(newton.Channel.CONTROL, -16011)
    stage.settle()
    assert stage.heard == [("Y", -16011)]
    assert stage.state == State.DATA_XFER


def test_scenario_38_a_spec_that_the_tool_cannot_end_fails_the_release(either_held):
    stage = either_held
    stage.arm("I")
    stage.disconnect("Y", cancel_pending=False)
    stage.finish_kill(-16002)
    ended = ABORTED if stage.rom else CANCELED
    assert stage.heard == [("I", ended), ("Y", -16002)]
    assert stage.state == State.DATA_XFER


def test_scenario_38_in_its_window_the_profiles_differ_about_the_state(either_held):
    stage = either_held
    stage.arm("I")
    stage.disconnect("Y", cancel_pending=False)
    assert code_of(lambda: stage.output("A")) == (WRONG_STATE if stage.rom else IN_PROGRESS)
    stage.finish_kill()


def test_scenario_38_a_release_that_times_out_is_canceled_with_everything(either):
    stage = either
    stage.outputs("A")
    spec = stage.spec("Y", timeout_s=0.05)
    stage.endpoint.disconnect(spec, cancel_pending=False)
    stage.advance(0.1)
    if stage.rom:
        assert stage.heard == [("Y", ABORTED)]
        stage.answer_next()
        assert stage.heard[1:] == [("A", None)]
    else:
        assert stage.heard == [("A", CANCELED), ("Y", CANCELED)]
    assert stage.state == State.DATA_XFER


# --- being connected to ----------------------------------------------------------------------


@pytest.fixture
def bound(new_stage, profile):
    stage = new_stage(profile)
    stage.endpoint.bind()
    return stage


def test_listen_and_accept_make_a_connection(bound):
    bound.twin.at_once -= {"Listen"}
    bound.endpoint.listen(bound.spec("L"))
    assert bound.state == State.OUT_LSTN
    bound.settle()
    bound.twin.complete_next(newton.Channel.CONTROL)
    bound.settle()
    assert bound.state == State.IN_CON
    bound.endpoint.accept(bound.spec("M"))
    assert bound.state == State.IN_CON
    bound.settle()
    assert bound.heard == [("L", None), ("M", None)]
    assert bound.state == State.DATA_XFER


def test_a_disconnect_refuses_who_has_called(bound):
    bound.endpoint.listen()
    bound.endpoint.disconnect()
    assert bound.state == State.IDLE
    assert bound.twin.asked[-1] == "Disconnect"


def test_a_release_does_not_refuse_who_has_called(bound):
    bound.endpoint.listen()
    with refused(WRONG_STATE):
        bound.endpoint.disconnect(cancel_pending=False)


@pytest.mark.parametrize(("operation", "state"), [("listen", State.IDLE), ("accept", State.IDLE)])
def test_scenario_31_a_canceled_listen_or_accept_falls_back_to_idle(bound, operation, state):
    if operation == "accept":
        bound.endpoint.listen()
    bound.twin.at_once -= {"Listen", "Accept"}
    getattr(bound.endpoint, operation)(bound.spec("L"))
    bound.settle()
    bound.cancel("X")
    bound.settle()
    assert bound.heard == [("L", ABORTED if bound.rom else CANCELED), ("X", None)]
    assert bound.state is state


def test_scenario_47_a_blocked_listen_that_had_succeeded_when_it_was_canceled_is_undone(
    new_stage, profile
):
    stage = new_stage(profile, holds_kills=True, at_once=frozenset({"Bind", "Disconnect"}))
    stage.endpoint.bind()
    stage.while_blocked_in("Listen", lambda: stage.cancel("X"))

    def answer_and_stop():
        stage.twin.complete(stage.twin.performed[-1][0])
        stage.twin.finish_kill()

    stage.twin.reactions["kill"] = answer_and_stop
    stage.note("L", stage.endpoint.listen)
    stage.settle()
    assert stage.heard == [("X", None), ("L", -10039 if stage.rom else CANCELED)]
    assert stage.state == State.IDLE
    assert stage.twin.asked[-1] == "Disconnect"


# --- what a tool cannot stop --------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["Bind", "Option"])
def test_section_5_10_what_the_tool_cannot_stop_runs_on_only_on_the_device(
    new_stage, profile, operation
):
    stage = new_stage(profile, at_once=frozenset(), unkillable=frozenset({operation}))
    if operation == "Bind":
        stage.endpoint.bind(stage.spec("S"))
    else:
        stage.endpoint.option(newton.Option("speed"), stage.spec("S"))
    stage.settle()
    stage.cancel("X")
    stage.settle()
    if not stage.rom:
        assert stage.heard == [("S", CANCELED), ("X", None)]
        assert stage.state == State.UNBND
        return
    assert stage.heard == [("X", BAD_COMMAND)]
    stage.twin.complete_next(newton.Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("X", BAD_COMMAND), ("S", None)]
    assert stage.state == (State.IDLE if operation == "Bind" else State.UNBND)


def test_section_5_10_what_can_be_stopped_beside_it_is(new_stage, profile):
    stage = new_stage(profile, unkillable=frozenset({"Option"})).connect()
    stage.twin.at_once -= {"Option"}
    stage.outputs("AB")
    stage.endpoint.option(newton.Option("speed"), stage.spec("S"))
    stage.cancel("X")
    stage.settle()
    stage.twin.complete(stage.twin.performed[-1][0])
    stage.settle()
    victims = [("A", CANCELED), ("B", CANCELED)]
    ended = [("X", BAD_COMMAND), ("S", None)] if stage.rom else [("S", CANCELED), ("X", None)]
    assert stage.heard == [*victims, *ended]


def test_section_5_8_a_time_out_of_what_cannot_be_stopped_has_no_effect_on_the_device(
    new_stage, profile
):
    stage = new_stage(profile, at_once=frozenset(), unkillable=frozenset({"Bind"}))
    stage.endpoint.bind(stage.spec("S", timeout_s=0.05))
    stage.advance(1)
    if not stage.rom:
        assert stage.heard == [("S", CANCELED)]
        return
    assert stage.heard == []
    stage.twin.complete_next(newton.Channel.CONTROL)
    stage.settle()
    assert stage.heard == [("S", None)]
    assert stage.state == State.IDLE


def test_section_5_8_the_time_out_of_binary_input_is_of_a_block_on_the_device(either):
    target = newton.InputTarget(bytearray(100))
    either.arm("I", form="binary", target=target, timeout_s=0.1)
    for _ in range(5):
        either.advance(0.06)
        either.twin.feed(b".")
        either.settle()
    assert either.heard == ([("I", CANCELED)] if either.rom else [])


# --- what the other side does -----------------------------------------------------------------


def test_a_remote_release_still_lets_outputs_end_and_admits_a_disconnect(either):
    stage = either
    stage.outputs("A")
    stage.twin.port.event(newton.EventCode.RELEASE, "the peer sends no more")
    stage.settle()
    assert stage.state == State.IN_REL
    assert code_of(lambda: stage.output("B")) == WRONG_STATE
    stage.answer_next()
    stage.disconnect("Y")
    stage.settle()
    assert stage.heard == [("A", None), ("Y", None)]


def test_the_event_handler_hears_after_the_state_has_moved(either):
    states = []
    either.endpoint.event_handler = lambda endpoint, event: states.append(
        (event.event_code, event.data, event.service_id, endpoint.state())
    )
    either.twin.disconnect_remotely()
    either.settle()
    assert states == [(2, None, "twin", State.IDLE)]


def test_an_event_is_a_delivery_in_the_log(either):
    either.twin.port.event(newton.EventCode.TOOL_SPECIFIC, {"carrier": True})
    either.settle()
    assert [event.data for event in either.events] == [{"carrier": True}]
    told = [turn for turn in read(either.runtime.log) if isinstance(turn.message, EventHandler)]
    assert [turn.message.code for turn in told] == [1]
    assert told[0].cause is not None


def test_an_event_handler_that_raises_is_reported_and_the_next_event_told(either):
    heard = []

    def handle(_endpoint, event):
        heard.append(event.event_code)
        raise ValueError("oops")

    either.endpoint.event_handler = handle
    either.twin.port.event(1, None)
    either.twin.port.event(6, None)
    either.settle()
    assert heard == [1, 6]
    assert [report["debug"] for report in either.take_reports()] == ["eventhandler"] * 2


def test_an_event_that_comes_when_nobody_is_connected_moves_no_state(bound):
    for code in (2, 3):
        bound.twin.port.event(code, None)
        bound.settle()
        assert bound.state == State.IDLE


def test_an_event_after_dispose_is_not_told(either):
    either.endpoint.dispose()
    either.twin.port.event(1, None)
    either.settle()
    assert either.events == []


# --- options ---------------------------------------------------------------------------------


def test_an_option_without_options_is_refused_at_the_call(either):
    with refused(NO_OPTION):
        either.endpoint.option(None)
    with refused(NO_OPTIONS):
        either.endpoint.option([])
    with refused(NO_OPTIONS):
        either.endpoint.option([None])
    assert "Option" not in either.twin.asked


def test_an_endpoint_without_a_tool_cannot_be_made(either):
    nothing: Any = None
    something: Any = object()
    with refused(-26004):
        newton.Endpoint(either.runtime, nothing)
    with refused(-26005):
        newton.Endpoint(either.runtime, something)


def test_after_dispose_every_call_says_that_the_endpoint_is_gone(either):
    endpoint = either.endpoint
    endpoint.dispose()
    calls = [
        endpoint.bind, endpoint.unbind, endpoint.connect, endpoint.listen, endpoint.accept,
        endpoint.disconnect, lambda: endpoint.disconnect(cancel_pending=False), endpoint.cancel,
        lambda: endpoint.output("A"), lambda: endpoint.option([newton.Option("speed")]),
        lambda: endpoint.set_input_spec(None), lambda: endpoint.set_input_spec(newton.InputSpec()),
        lambda: endpoint.receive(newton.InputSpec()), endpoint.input, endpoint.partial,
        endpoint.flush_input, endpoint.flush_partial,
    ]  # fmt: skip
    assert [code_of(call) for call in calls] == [GONE] * len(calls)
    assert endpoint.state() is None
    endpoint.dispose()
