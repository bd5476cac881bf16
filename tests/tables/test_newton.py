"""Facts of spec/newton.md about admission, states and order, with its scenario numbers."""

import itertools
from dataclasses import dataclass, replace

import pytest

from rescind.actors.newton._codes import Code, is_cancelled
from rescind.actors.newton._protocol import (
    CANCEL_RANK,
    DELIVERY_RANK,
    GUIDE,
    OPERATIONS,
    PROFILES,
    REMOTE_EVENT_STATE,
    ROM,
    SYNCHRONOUS_RANK,
    WINDOW_OPERATIONS,
    Facts,
    Operation,
    Profile,
    State,
    cancelled_code,
)


@dataclass(frozen=True)
class Endpoint:
    calling: Operation = OPERATIONS["Output"]
    calling_asynchronous: bool = True
    state: State = State.DATA_XFER
    window_open: bool = False
    synchronous_pending: bool = False
    profile: Profile = GUIDE


def refusal(facts: Endpoint) -> int | None:
    asked = Facts(
        state=facts.state,
        is_window_open=facts.window_open,
        is_synchronous_pending=facts.synchronous_pending,
        operation=facts.calling.name,
        is_asynchronous=facts.calling_asynchronous,
    )
    found = facts.profile.admission.refusal(*asked)
    return None if found is None else found.code


each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))


@each_profile
def test_scenario_4_nothing_is_admitted_in_the_window(profile: Profile) -> None:
    for operation in OPERATIONS.values():
        state = min(operation.admitted)
        facts = Endpoint(operation, window_open=True, state=state, profile=profile)
        assert refusal(facts) == Code.TACCESS, operation.name
    assert set(OPERATIONS) == WINDOW_OPERATIONS


def test_5_5_the_profiles_differ_in_what_they_ask_first() -> None:
    facts = Endpoint(window_open=True, state=State.IDLE)
    assert refusal(facts) == Code.TACCESS
    assert refusal(replace(facts, profile=ROM)) == Code.TOUTSTATE


@each_profile
def test_scenario_8_a_second_cancel_is_refused(profile: Profile) -> None:
    for asynchronous in (False, True):
        facts = Endpoint(
            OPERATIONS["Cancel"],
            asynchronous,
            window_open=True,
            profile=profile,
        )
        assert refusal(facts) == Code.TACCESS


@each_profile
def test_scenario_16_and_quirk_6_one_synchronous_call_at_a_time(profile: Profile) -> None:
    facts = Endpoint(synchronous_pending=True, profile=profile)
    assert refusal(facts) is None
    assert refusal(replace(facts, calling_asynchronous=False)) == Code.TALRDYSYNC


@each_profile
def test_scenario_14_a_synchronous_cancel_may_end_a_synchronous_call(profile: Profile) -> None:
    facts = Endpoint(OPERATIONS["Cancel"], False, synchronous_pending=True, profile=profile)
    assert refusal(facts) is None


@each_profile
def test_scenario_32_a_pending_connect_is_not_disconnected(profile: Profile) -> None:
    for name in ("Disconnect", "Release"):
        facts = Endpoint(OPERATIONS[name], state=State.OUT_CON, profile=profile)
        assert refusal(facts) == Code.TOUTSTATE


@each_profile
def test_scenario_40_a_disposed_endpoint_admits_nothing(profile: Profile) -> None:
    for operation, window in itertools.product(OPERATIONS.values(), [False, True]):
        facts = Endpoint(operation, state=State.UNINIT, window_open=window, profile=profile)
        assert refusal(facts) == Code.NO_ENDPOINT_AVAILABLE


def test_section_4_each_operation_and_state_is_admitted_or_out_of_state() -> None:
    for operation, state in itertools.product(OPERATIONS.values(), set(State) - {State.UNINIT}):
        expected = None if state in operation.admitted else Code.TOUTSTATE
        assert refusal(Endpoint(operation, state=state)) == expected


def test_scenario_31_and_34_a_cancelled_control_operation_goes_back() -> None:
    assert OPERATIONS["Connect"].failed is State.IDLE
    assert OPERATIONS["Bind"].failed is State.UNBND
    assert OPERATIONS["Accept"].failed is State.IDLE
    assert OPERATIONS["Disconnect"].failed is State.DATA_XFER


def test_section_3_5_remote_events_move_the_state_first() -> None:
    for state in State:
        is_connected = state in {State.IN_CON, State.DATA_XFER, State.OUT_REL, State.IN_REL}
        assert REMOTE_EVENT_STATE.get((2, state)) == (State.IDLE if is_connected else None)
        assert REMOTE_EVENT_STATE.get((3, state)) == (State.IN_REL if is_connected else None)


def test_scenario_17_and_section_9_the_order_of_deliveries() -> None:
    assert set(DELIVERY_RANK) == set(OPERATIONS)
    assert DELIVERY_RANK["Input"] < DELIVERY_RANK["Output"] < DELIVERY_RANK["Connect"]
    victims = [rank for name, rank in DELIVERY_RANK.items() if name not in ("Cancel", "Disconnect")]
    assert max(victims) < CANCEL_RANK == DELIVERY_RANK["Cancel"] < SYNCHRONOUS_RANK


def test_section_5_10_what_a_victim_hears() -> None:
    for name in OPERATIONS:
        assert cancelled_code(name, GUIDE) == -16005
        assert is_cancelled(cancelled_code(name, ROM))
    assert cancelled_code("Connect", ROM) == -16013
    assert cancelled_code("Output", ROM) == -16005


def test_section_5_8_the_profiles_differ_in_time_outs() -> None:
    assert (GUIDE.time_out_cancels_all, ROM.time_out_cancels_all) == (True, False)
    assert GUIDE.synchronous_time_out_code == -16005
    assert ROM.synchronous_time_out_code == -10021
