"""Scenarios 25 to 30 and 33 of spec/newton.md section 8: time-outs, in virtual time."""

import pytest

from rescind import newton
from rescind.events import TimedOut, read

from .stage import ABORTED, CANCELED, IN_PROGRESS, TIMED_OUT, code_of


def test_scenario_25_data_starts_the_input_time_out_anew(either):
    either.arm("I", timeout_s=0.1)
    for _ in range(16):
        either.advance(0.06)
        either.twin.arrive()
    assert either.heard == []
    either.advance(0.09)
    assert either.heard == []
    either.advance(0.02)
    assert either.heard == [("I", CANCELED)]


def test_scenario_25_the_time_out_starts_anew_with_each_posted_receive(either):
    either.arm("I", timeout_s=0.1)
    for _ in range(5):
        either.advance(0.08)
        either.receive("x")
    either.advance(0.09)
    assert either.heard == [("I", "x")] * 5
    either.advance(0.02)
    assert either.heard[5:] == [("I", CANCELED)]


def test_scenario_26_a_silent_input_ends_once_and_takes_along_what_the_profile_says(either):
    stage = either
    stage.arm("I", timeout_s=0.1)
    stage.outputs("AB")
    stage.advance(0.2)
    if stage.rom:
        assert stage.heard == [("I", CANCELED)]
        assert len(stage.twin.pending) == 2
    else:
        assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("I", CANCELED)]
    stage.advance(10)
    assert stage.heard.count(("I", CANCELED)) == 1


def test_scenario_26_after_its_time_out_the_spec_may_be_armed_again(either):
    stage = either
    stage.arm("I", timeout_s=0.1)
    stage.advance(0.2)
    stage.arm("J")
    stage.receive("data")
    assert stage.heard == [("I", CANCELED), ("J", "data")]


def test_scenario_26_even_in_the_script_that_tells_of_its_time_out(either):
    stage = either
    stage.arm("I", timeout_s=0.1, ended=lambda: stage.arm("J"))
    stage.advance(0.2)
    stage.receive("data")
    assert stage.heard == [("I", CANCELED), ("J", "data")]


def test_scenario_27_an_outputs_time_out_takes_along_what_the_profile_says(either):
    stage = either
    stage.arm("I")
    stage.output("A", timeout_s=0.05)
    stage.outputs("BC")
    stage.advance(0.04)
    assert stage.heard == []
    stage.advance(0.02)
    if stage.rom:
        assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("C", CANCELED)]
        stage.receive("data")
        assert stage.heard[-1] == ("I", "data")
    else:
        assert stage.heard == [
            ("I", CANCELED), ("B", CANCELED), ("C", CANCELED), ("A", CANCELED),
        ]  # fmt: skip


def test_scenario_27_the_request_that_timed_out_completes_last_even_if_it_came_first(stage):
    stage.output("A")
    stage.output("B", timeout_s=0.05)
    stage.output("C")
    stage.advance(0.1)
    assert stage.heard == [("A", CANCELED), ("C", CANCELED), ("B", CANCELED)]


def test_scenario_27_two_time_outs_at_one_moment_end_each_request_once(either):
    stage = either
    stage.output("A", timeout_s=0.05)
    stage.output("B", timeout_s=0.05)
    stage.advance(1)
    assert sorted(stage.heard) == [("A", CANCELED), ("B", CANCELED)]


def test_scenario_28_a_time_out_after_its_completion_is_nothing(either):
    stage = either
    stage.output("A", timeout_s=0.05)
    stage.output("B")
    stage.advance(0.04)
    stage.answer_next()
    stage.advance(1)
    assert stage.heard == [("A", None)]
    assert not [turn for turn in read(stage.runtime.log) if isinstance(turn.message, TimedOut)]
    stage.answer_next()
    assert stage.heard == [("A", None), ("B", None)]


@pytest.mark.parametrize("answered_first", [True, False])
def test_scenario_28_an_answer_at_the_very_moment_of_the_time_out_completes_once(
    either, answered_first
):
    stage = either
    request = stage.output("A", timeout_s=0.05)
    stage.settle()
    answer_and_time_out = [
        lambda: stage.twin.complete(request.number),
        lambda: stage.runtime.timers.fire_due(stage.runtime.clock.monotonic_ns()),
    ]
    with stage.runtime.baton:  # so that both are there before either is looked at
        stage.runtime.clock.advance_to(stage.runtime.clock.now_ns() + 50_000_000)
        for happen in answer_and_time_out if answered_first else answer_and_time_out[::-1]:
            happen()
    stage.advance(1)
    assert stage.heard in ([("A", None)], [("A", None if answered_first else CANCELED)])


def test_scenario_29_a_synchronous_time_out_takes_along_what_the_profile_says(either):
    stage = either
    stage.outputs("A")
    stage.arm("I")
    stage.settle()
    stage.time_passes_once_asked("S")
    stage.note("S", lambda: stage.endpoint.output("S", timeout_s=0.05))
    stage.settle()
    if stage.rom:
        assert sorted(stage.heard) == [("A", CANCELED), ("S", TIMED_OUT)]
    else:
        assert stage.heard == [("I", CANCELED), ("A", CANCELED), ("S", CANCELED)]


def test_scenario_29_a_synchronous_time_out_spares_other_channels_on_the_device(new_stage):
    stage = new_stage("rom", at_once=frozenset({"Bind"}))
    stage.endpoint.bind()
    stage.time_passes_once_asked("Connect")
    stage.note("S", lambda: stage.endpoint.connect(timeout_s=0.05))
    assert stage.heard == [("S", TIMED_OUT)]
    assert stage.state is newton.State.IDLE


def test_scenario_30_a_time_out_is_a_cancel_in_progress_only_in_the_guide(either):
    stage = either
    codes = []
    stage.output("A", timeout_s=0.05)
    stage.output("B", lambda: codes.append(code_of(lambda: stage.output("D"))))
    stage.advance(0.1)
    assert codes == ([None] if stage.rom else [IN_PROGRESS])
    assert ("D" in stage.twin.sent) == stage.rom


def test_scenario_30_the_script_of_the_timed_out_request_may_start_new_work(either):
    stage = either
    stage.output("A", lambda: stage.output("D"), timeout_s=0.05)
    stage.outputs("B")
    stage.advance(0.1)
    assert "D" in stage.twin.sent
    stage.answer_next()
    assert stage.heard[-1] == ("D", None)


def test_scenario_30_a_time_out_during_a_cancel_changes_nothing(either_held):
    stage = either_held
    stage.output("A", timeout_s=0.05)
    stage.outputs("B")
    stage.cancel("X")
    stage.advance(1)
    assert stage.heard == []
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]
    assert len(stage.twin.kills) == 1


def test_scenario_30_a_cancel_during_a_time_out_meets_its_window_in_the_guide(either_held):
    stage = either_held
    stage.output("A", timeout_s=0.05)
    stage.outputs("B")
    stage.advance(0.1)
    code = code_of(lambda: stage.cancel("X"))
    assert code == (None if stage.rom else IN_PROGRESS)
    stage.finish_kills()
    assert sorted(stage.heard[:2]) == [("A", CANCELED), ("B", CANCELED)]
    assert stage.heard[2:] == ([("X", None)] if stage.rom else [])


def test_scenario_33_a_connect_that_times_out_falls_back_to_idle(new_stage, profile):
    stage = new_stage(profile, at_once=frozenset({"Bind", "Disconnect", "UnBind"}))
    stage.endpoint.bind()
    stage.endpoint.connect(stage.spec("K", timeout_s=5))
    stage.advance(4)
    assert stage.state == newton.State.OUT_CON
    stage.advance(2)
    assert stage.heard == [("K", ABORTED if stage.rom else CANCELED)]
    assert stage.state == newton.State.IDLE


def test_a_timed_out_request_that_the_tool_answers_while_it_stops_keeps_its_result(either_held):
    stage = either_held
    timed = stage.output("A", timeout_s=0.05)
    stage.outputs("B")
    stage.advance(0.1)
    stage.twin.complete(timed.number)
    stage.finish_kill()
    assert sorted(stage.heard, key=str) == [("A", None), ("B", CANCELED)]
    stage.output("D")
    stage.answer_next()
    assert stage.heard[-1] == ("D", None)


def test_zero_means_no_time_out(either):
    either.output("A", timeout_s=0)
    either.advance(10_000)
    assert either.heard == []
    either.answer_next()
    assert either.heard == [("A", None)]


def test_a_cancel_has_no_time_out_even_if_its_spec_names_one(either_held):
    stage = either_held
    stage.outputs("A")
    stage.endpoint.cancel(stage.spec("X", timeout_s=0.05))
    stage.advance(1)
    assert stage.heard == []
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("X", None)]
