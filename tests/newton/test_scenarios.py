"""Scenarios 1 to 16 of spec/newton.md section 8: Cancel, its window, blocked callers.

Numbers that the list leaves out are filled with what the rules say in between.
"""

import pytest

from rescind import newton

from .stage import (
    ALREADY_SYNCHRONOUS,
    BAD_COMMAND,
    CANCELED,
    IN_PROGRESS,
    WRONG_STATE,
    code_of,
    refused,
)


def test_scenario_01_a_cancel_ends_every_output_once_in_order_and_then_itself(either):
    either.outputs("ABC")
    request = either.cancel("X")
    either.settle()
    assert either.heard == [("A", CANCELED), ("B", CANCELED), ("C", CANCELED), ("X", None)]
    assert request.result is None
    assert request.is_done


def test_scenario_01_a_future_of_a_victim_raises_its_code(either):
    victim = either.endpoint.output("A", asynchronous=True)
    either.endpoint.cancel(asynchronous=True).get()
    with refused(CANCELED):
        victim.get()
    reported = [(each["data"], each["debug"]) for each in either.take_reports()]
    assert reported in ([], [(CANCELED, "completionscript")])  # whether somebody waited by then


def test_scenario_02_the_cancel_waits_for_a_tool_that_is_slow_to_stop(either_held):
    stage = either_held
    stage.outputs("ABC")
    stage.cancel("X")
    stage.settle()
    assert ("X", None) not in stage.heard
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("C", CANCELED), ("X", None)]


def test_scenario_02_a_result_that_beats_the_cancel_stands_and_still_precedes_it(either_held):
    stage = either_held
    first = stage.output("A")
    stage.outputs("B")
    stage.cancel("X")
    stage.settle()
    stage.twin.complete(first.number)
    stage.finish_kill()
    assert stage.heard == [("A", None), ("B", CANCELED), ("X", None)]


def test_scenario_02_an_answer_after_its_request_was_canceled_is_ignored(either):
    victim = either.output("A")
    either.cancel("X")
    either.settle()
    either.twin.complete(victim.number)
    either.settle()
    assert either.heard == [("A", CANCELED), ("X", None)]


def test_scenario_02_what_is_only_waiting_for_its_delivery_is_no_victim(either):
    stage = either

    def answer_then_cancel():
        stage.twin.complete(second.number)
        while stage.runtime.run_turns():
            pass
        stage.cancel("X")

    stage.output("A", answer_then_cancel)
    second = stage.output("B")
    stage.outputs("C")
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("A", None), ("B", None), ("C", CANCELED), ("X", None)]


def test_a_victim_knows_how_much_of_it_had_left(either):
    cut, never = either.output("half"), either.output("never")
    either.settle()
    either.twin.take(cut.number, 2)
    either.cancel("X")
    either.settle()
    assert (cut.taken, never.taken) == (2, 0)
    with pytest.raises(newton.CommError, match="2 bytes of it had left"):
        cut.get()


def test_scenario_03_the_input_spec_hears_before_the_outputs_that_were_there_first(either):
    either.outputs("AB")
    either.arm("I")
    either.output("C")
    either.cancel("X")
    either.settle()
    assert either.heard == [
        ("I", CANCELED), ("A", CANCELED), ("B", CANCELED), ("C", CANCELED), ("X", None),
    ]  # fmt: skip


def test_scenario_04_an_output_in_the_window_is_refused_at_the_call_and_never_sent(either_held):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    with refused(IN_PROGRESS):
        stage.output("D")
    stage.settle()
    with refused(IN_PROGRESS):
        stage.endpoint.output("E")
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("X", None)]
    assert stage.twin.sent == ["A"]


def test_scenario_04_the_refusal_names_its_rule_and_has_a_number_to_ask_about(either_held):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    with pytest.raises(newton.CommError) as caught:
        stage.output("D")
    assert caught.value.rule == "N-36003-window"
    assert caught.value.name == "TACCESS"
    assert f"r{caught.value.request}" in str(caught.value)
    stage.finish_kill()


def test_scenario_05_a_retry_inside_a_victims_script_is_refused_and_the_rest_still_delivered(
    either,
):
    stage = either
    codes = []
    stage.output("A", lambda: codes.append(code_of(lambda: stage.output("E"))))
    stage.outputs("BC")
    stage.cancel("X")
    stage.settle()
    assert codes == [IN_PROGRESS]
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("C", CANCELED), ("X", None)]
    assert "E" not in stage.twin.sent


def test_scenario_05_even_the_last_victims_script_meets_the_window(either):
    stage = either
    codes = []
    stage.outputs("AB")
    stage.output("C", lambda: codes.append(code_of(lambda: stage.output("E"))))
    stage.cancel("X")
    stage.settle()
    assert codes == [IN_PROGRESS]
    assert stage.heard[-1] == ("X", None)


def test_scenario_05_a_synchronous_retry_is_refused_too(either):
    stage = either
    codes = []
    stage.output("A", lambda: codes.append(code_of(lambda: stage.endpoint.output("E"))))
    stage.outputs("B")
    stage.cancel("X")
    stage.settle()
    assert codes == [IN_PROGRESS]
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]


def test_scenario_06_in_the_window_the_profiles_differ_about_a_request_in_a_wrong_state(
    either_held,
):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    expected = WRONG_STATE if stage.rom else IN_PROGRESS
    for call in (stage.endpoint.bind, stage.endpoint.connect, stage.endpoint.unbind):
        with refused(expected):
            call(asynchronous=True)
    stage.finish_kill()
    with refused(WRONG_STATE):
        stage.endpoint.connect()


def test_scenario_07_the_cancels_own_script_may_start_new_work(either):
    stage = either
    stage.outputs("AB")
    stage.cancel("X", lambda: stage.output("F"))
    stage.settle()
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("X", None), ("F", None)]
    assert stage.twin.sent == ["A", "B", "F"]


def test_scenario_08_a_second_cancel_is_refused_and_the_first_completes(either_held):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    with refused(IN_PROGRESS):
        stage.cancel("second")
    with refused(IN_PROGRESS):
        stage.endpoint.cancel()
    stage.settle()
    with refused(IN_PROGRESS):
        stage.cancel("third")
    stage.finish_kill()
    assert stage.heard == [("A", CANCELED), ("X", None)]
    assert len(stage.twin.kills) == 1


def test_scenario_09_a_script_of_a_success_may_cancel(either):
    stage = either
    stage.output("A", lambda: stage.cancel("X"))
    stage.outputs("BC")
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("A", None), ("B", CANCELED), ("C", CANCELED), ("X", None)]


def test_scenario_09_a_script_of_a_success_may_cancel_synchronously(either):
    stage = either
    stage.output("A", lambda: stage.note("returned", stage.endpoint.cancel))
    stage.outputs("BC")
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("A", None), ("B", CANCELED), ("C", CANCELED), ("returned", None)]


def test_scenario_09_a_victims_script_may_not_cancel_again(either):
    stage = either
    codes = []
    stage.output("A", lambda: codes.append(code_of(lambda: stage.cancel("again"))))
    stage.outputs("B")
    stage.cancel("X")
    stage.settle()
    assert codes == [IN_PROGRESS]
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("X", None)]


def test_scenario_10_an_idle_cancel_completes_once_and_not_inside_the_call(either):
    stage = either

    def cancel():
        stage.cancel("X")
        stage.heard.append("after the call")

    stage.in_callback(cancel)
    assert stage.heard == ["after the call", ("X", None)]


def test_scenario_11_a_synchronous_cancel_returns_after_its_victims_scripts(either):
    stage = either
    stage.outputs("AB")
    stage.note("returned", lambda: stage.endpoint.cancel(completion_script=stage.script("X")))
    assert stage.heard == [("A", CANCELED), ("B", CANCELED), ("returned", None)]
    stage.settle()
    assert len(stage.heard) == 3


def test_scenario_11_after_a_synchronous_cancel_new_work_is_accepted(either):
    either.outputs("A")
    either.endpoint.cancel()
    either.output("F")
    either.settle()
    assert either.twin.sent == ["A", "F"]


def test_scenario_12_a_synchronous_cancel_with_nothing_pending_returns_at_once(either):
    either.note("returned", lambda: either.endpoint.cancel(completion_script=either.script("X")))
    either.settle()
    assert either.heard == [("returned", None)]
    assert code_of(lambda: either.output("F")) is None


def test_scenario_12_a_cancel_that_the_tool_cannot_carry_out_reports_the_tools_code(either_held):
    stage = either_held
    stage.outputs("A")
    stage.cancel("X")
    stage.finish_kill(BAD_COMMAND)
    assert stage.heard == [("A", CANCELED), ("X", BAD_COMMAND)]
    stage.output("F")
    stage.settle()
    assert stage.twin.sent == ["A", "F"]


def test_scenario_13_a_blocked_caller_hears_of_an_asynchronous_cancel_last(either):
    stage = either
    stage.outputs("A")
    stage.while_blocked_in("S", lambda: stage.cancel("X"))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("X", None), ("S", CANCELED)]


def test_scenario_13_a_blocked_caller_may_start_new_work_at_once(either):
    stage = either
    stage.outputs("A")
    stage.while_blocked_in("S", lambda: stage.cancel("X"))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.output("F")
    stage.settle()
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("X", None), ("S", CANCELED), ("F", None)]


def test_scenario_14_a_synchronous_cancel_returns_before_the_blocked_caller_hears(either):
    stage = either
    stage.outputs("A")
    stage.while_blocked_in("S", lambda: stage.note("returned", stage.endpoint.cancel))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("returned", None), ("S", CANCELED)]


def test_scenario_14_the_cancel_of_a_lone_blocked_caller(either):
    stage = either
    stage.while_blocked_in("S", lambda: stage.note("returned", stage.endpoint.cancel))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    assert stage.heard == [("returned", None), ("S", CANCELED)]


def test_scenario_15_an_asynchronous_disconnect_ends_a_blocked_caller_last(either):
    stage = either
    stage.outputs("A")
    stage.while_blocked_in("S", lambda: stage.disconnect("Y"))
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    assert stage.heard == [("A", CANCELED), ("Y", None), ("S", CANCELED)]
    assert stage.state == 2


def test_scenario_15_a_synchronous_disconnect_beside_a_blocked_caller(either):
    """The guide names it among the synchronous cancels; the device allows no second such call."""
    stage = either
    stage.outputs("A")

    def disconnect():
        stage.note("returned", stage.endpoint.disconnect)
        if stage.rom:
            stage.cancel("X")

    stage.while_blocked_in("S", disconnect)
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    if stage.rom:
        first = ("returned", ALREADY_SYNCHRONOUS)
        assert stage.heard == [first, ("A", CANCELED), ("X", None), ("S", CANCELED)]
    else:
        assert stage.heard == [("A", CANCELED), ("returned", None), ("S", CANCELED)]


def test_scenario_16_an_asynchronous_output_is_accepted_while_a_caller_is_blocked(either):
    stage = either

    def while_blocked():
        stage.output("B")
        stage.note("T", lambda: stage.endpoint.output("T"))
        stage.twin.complete_next()  # S itself

    stage.while_blocked_in("S", while_blocked)
    stage.note("S", lambda: stage.endpoint.output("S"))
    stage.settle()
    stage.twin.complete_next()
    stage.settle()
    assert stage.heard == [("T", ALREADY_SYNCHRONOUS), ("S", None), ("B", None)]
    assert stage.twin.sent == ["S", "B"]
