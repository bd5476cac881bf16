"""Scenarios 17 to 24 and 46 of spec/newton.md section 8: the input spec and its cancels."""

import pytest

from rescind import newton

from .stage import CANCELED, IN_PROGRESS, NOT_CONNECTED, SPEC_ACTIVE, code_of, refused


def test_scenario_17_a_cancel_ends_the_armed_input_spec(either):
    spec = either.arm("I")
    either.cancel("X")
    either.settle()
    assert either.heard == [("I", CANCELED), ("X", None)]
    assert spec.is_done
    with pytest.raises(LookupError):
        either.twin.receive("nobody listens")


def test_scenario_17_data_that_was_under_way_is_not_handed_over(either_held):
    stage = either_held
    spec = stage.arm("I")
    stage.cancel("X")
    stage.finish_kill()
    stage.twin.port.received(spec.number, "too late", None)
    stage.settle()
    assert stage.heard == [("I", CANCELED), ("X", None)]


def test_scenario_18_the_whole_order_input_outputs_cancel_and_the_blocked_caller(either):
    stage = either
    stage.outputs("AB")
    stage.arm("I")
    stage.while_blocked_in("S", lambda: stage.cancel("X"))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    assert stage.heard == [
        ("I", CANCELED), ("A", CANCELED), ("B", CANCELED), ("X", None), ("S", CANCELED),
    ]  # fmt: skip


def test_scenario_19_after_the_cancels_completion_a_new_spec_is_accepted(either):
    stage = either
    stage.arm("I")
    stage.cancel("X", lambda: stage.arm("J"))
    stage.receive("data")
    assert stage.heard == [("I", CANCELED), ("X", None), ("J", "data")]


def test_scenario_19_inside_the_specs_own_end_a_new_one_meets_the_window(either):
    stage = either
    codes = []
    stage.arm("I", ended=lambda: codes.append(code_of(lambda: stage.arm("J"))))
    stage.cancel("X")
    stage.settle()
    assert codes == [IN_PROGRESS]
    assert stage.heard == [("I", CANCELED), ("X", None)]


def test_scenario_20_an_armed_spec_is_not_replaced_outside_its_script(either):
    either.arm("I")
    with refused(SPEC_ACTIVE):
        either.arm("J")
    either.receive("data")
    assert either.heard == [("I", "data")]


@pytest.mark.parametrize("other", ["another spec", None])
def test_scenario_20_nor_between_the_arrival_of_data_and_its_script(either, other):
    """What counts is whether the InputScript runs, not whether a receive is posted."""
    stage = either
    codes = []

    def replace_from_outside():
        stage.twin.receive("data")
        while stage.runtime.run_turns():
            pass
        spec = other and stage.input_spec("J")
        codes.append(code_of(lambda: stage.endpoint.set_input_spec(spec)))

    stage.arm("I")
    stage.settle()
    stage.in_callback(replace_from_outside)
    assert codes == [SPEC_ACTIVE]
    assert stage.heard == [("I", "data")]
    stage.receive("more")
    assert stage.heard == [("I", "data"), ("I", "more")]


def test_scenario_21_an_armed_spec_is_not_ended_outside_its_script(either):
    either.arm("I")
    with refused(SPEC_ACTIVE):
        either.endpoint.set_input_spec(None)
    either.receive("data")
    assert either.heard == [("I", "data")]


def test_scenario_21_ending_a_spec_when_none_is_armed_does_nothing(either):
    assert either.endpoint.set_input_spec(None) is None
    either.settle()
    assert either.heard == []


def test_scenario_22_inside_its_script_a_spec_may_be_replaced(either):
    stage = either

    def replace(_data):
        stage.endpoint.set_input_spec(stage.input_spec("J"))

    old = stage.arm("I", replace)
    stage.receive("one")
    stage.receive("two")
    assert stage.heard == [("I", "one"), ("J", "two")]
    assert old.is_done


def test_scenario_23_the_same_spec_is_posted_again_after_each_script(either):
    stage = either
    stage.arm("I")
    for data in ("one", "two", "three"):
        stage.receive(data)
    assert stage.heard == [("I", "one"), ("I", "two"), ("I", "three")]
    assert stage.twin.asked.count("Input") == 4


def test_scenario_23_nothing_is_posted_before_the_script_returns(either):
    stage = either
    posted = []
    stage.arm("I", lambda _data: posted.append(list(stage.twin.pending)))
    stage.receive("one")
    assert posted == [[]]
    assert stage.twin.asked.count("Input") == 2


def test_scenario_23_a_script_that_raises_is_reported_and_the_spec_goes_on(either):
    stage = either

    def stumble(data):
        if data == "one":
            raise ValueError("stumbled")

    stage.arm("I", stumble)
    stage.receive("one")
    stage.receive("two")
    assert stage.heard == [("I", "one"), ("I", "two")]
    assert stage.take_reports() == [
        {"name": "ValueError", "data": "stumbled", "debug": "inputscript"},
    ]


def test_scenario_24_inside_its_script_a_spec_may_be_ended_in_silence(either):
    stage = either
    spec = stage.arm("I", lambda _data: stage.endpoint.set_input_spec(None))
    stage.receive("one")
    assert stage.heard == [("I", "one")]
    assert spec.is_done
    assert stage.twin.asked.count("Input") == 1
    stage.arm("J")
    stage.receive("two")
    assert stage.heard == [("I", "one"), ("J", "two")]


def test_scenario_24_a_spec_that_was_ended_is_no_victim_of_a_later_cancel(either):
    stage = either
    stage.arm("I", lambda _data: stage.endpoint.set_input_spec(None))
    stage.receive("one")
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("I", "one"), ("X", None)]


def test_scenario_46_a_synchronous_cancel_inside_the_input_script_leaves_the_spec_alone(either):
    stage = either
    stage.arm("I", lambda data: data == "one" and stage.note("returned", stage.endpoint.cancel))
    stage.receive("one")
    stage.receive("two")
    assert stage.heard == [("I", "one"), ("returned", None), ("I", "two")]


def test_scenario_46_an_asynchronous_cancel_inside_the_input_script_stops_the_posting(
    new_stage, profile
):
    """Section 6.5: the automatic re-post meets the window, and the spec hears that."""
    stage = new_stage(profile, holds_kills=True).connect()
    stage.arm("I", lambda _data: stage.cancel("X"))
    stage.receive("one")
    stage.finish_kill()
    assert sorted(stage.heard, key=str) == [("I", "one"), ("I", IN_PROGRESS), ("X", None)]
    assert stage.twin.asked.count("Input") == 1


def test_a_remote_disconnect_ends_the_armed_spec_with_what_the_tool_says(either):
    stage = either
    spec = stage.arm("I")
    stage.settle()
    stage.twin.disconnect_remotely()
    stage.twin.complete(spec.number, NOT_CONNECTED)
    stage.settle()
    assert stage.heard == [("I", NOT_CONNECTED)]
    assert stage.state is newton.State.IDLE


def test_an_end_without_a_script_goes_to_the_exception_handler(either):
    stage = either
    stage.endpoint.set_input_spec(newton.InputSpec())
    stage.cancel("X")
    stage.settle()
    assert stage.heard == [("X", None)]
    assert stage.take_reports() == [
        {"name": "evt.ex.comm", "data": CANCELED, "debug": "completionscript"},
    ]


def test_the_input_script_hears_what_ended_its_piece(either):
    stage = either
    ends = []
    spec = newton.InputSpec(lambda _ep, data, terminator, _options: ends.append((data, terminator)))
    stage.endpoint.set_input_spec(spec)
    stage.settle()
    stage.twin.receive("abc\n", ["endSequence", 0, 4])
    stage.settle()
    assert ends == [("abc\n", newton.Terminator("endSequence", 4, 0))]
