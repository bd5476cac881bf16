"""Facts of spec/tapi.md, with the numbers of its sections, races and scenarios."""

import itertools
from dataclasses import dataclass, replace

import pytest

from rescind.actors.kernel._rules import first_refusal
from rescind.actors.tapi._codes import (
    CALL_STATES,
    OPEN_PRIVILEGES,
    CallState,
    Code,
    Privilege,
    as_documented,
    meaning,
    name,
)
from rescind.actors.tapi._protocol import (
    ADMISSION,
    CALL_LESS,
    CALL_LESS_CLOSE,
    CALL_TRANSITIONS,
    CANCELS,
    CLOSE_DROP,
    DEALLOCATE,
    DEFAULT_PROFILE,
    DELIVERY_RANK,
    LINE_CLOSE,
    LINE_CLOSE_WITHOUT_DROP,
    NEW_INCOMING,
    NEW_OUTBOUND,
    OPERATIONS,
    PROFILES,
    PROVIDER_HANDLE_TRANSITIONS,
    PROVIDER_RULES,
    REPLIES_SURVIVE,
    REQUEST_TRANSITIONS,
    TAPI1,
    TAPI2_STRICT,
    Closing,
    HandleEvent,
    Needs,
    Operation,
    Order,
    Profile,
    ProviderHandleState,
    RequestEvent,
    RequestState,
    Row,
    call_may_move,
    close_row,
    drop_function,
    handoff_refusal,
    outcome_at_completion,
)
from rescind.events import Outcome

OF = -2147483576
"""LINEERR_OPERATIONFAILED, 0x80000048, as a caller sees it."""


@dataclass(frozen=True)
class Call:
    calling: Operation = OPERATIONS["lineDrop"]
    initialised: bool = True
    missing: Needs | None = None
    pointers_good: bool = True
    parameters_good: bool = True
    privilege: Privilege = Privilege.OWNER
    call_state: CallState = CallState.CONNECTED
    connected_inactive: bool = False
    sole_owner: bool = False
    version_2: bool = True
    wanted_privilege: Privilege = Privilege.OWNER


GOOD = Call()


def refusal(facts: Call) -> str | None:
    found = first_refusal(ADMISSION, facts)
    return None if found is None else as_documented(found.code)


def request(state: RequestState, event: RequestEvent) -> Row:
    return next(row for row in REQUEST_TRANSITIONS if (row.state, row.event) == (state, event))


# --- the decision table of line close ----------------------------------------------------------


@pytest.mark.parametrize(
    ("sole", "only", "sends", "idle_owed"),
    [
        (True, True, ["Drop", "CloseCall"], False),  # scenarios 1 and 2
        (True, False, ["Drop"], True),  # scenario 4
        (False, True, ["CloseCall"], False),  # scenario 8
        (False, False, [], False),  # scenarios 7 and 25
    ],
)
def test_a5_what_the_provider_hears_when_a_line_closes(
    sole: bool, only: bool, sends: list[str], idle_owed: bool
) -> None:
    row = close_row(TAPI1, sole_owner=sole, only_handle=only)
    assert list(row.sends) == sends
    assert row.idle_owed is idle_owed
    assert row.because


def test_a5_the_four_rows_are_all_there_is() -> None:
    every = set(itertools.product([False, True], repeat=2))
    assert set(LINE_CLOSE) == set(LINE_CLOSE_WITHOUT_DROP) == every
    assert len({row.id for row in LINE_CLOSE.values()}) == 4


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a0_5_close_call_ends_all_that_is_pending_and_nothing_else_is_certain_to(
    profile: Profile,
) -> None:
    for sole, only in itertools.product([False, True], repeat=2):
        row = close_row(profile, sole_owner=sole, only_handle=only)
        assert (row.outcome is Outcome.WON) == (Order.CLOSE_CALL in row.sends)
        assert (row.outcome is Outcome.REFUSED) == (row.sends == ())


def test_a4_11_a_drop_comes_before_the_close_call() -> None:
    for row in LINE_CLOSE.values():
        assert list(row.sends) == sorted(row.sends, key=[Order.DROP, Order.CLOSE_CALL].index)


def test_a8_31_the_strict_profile_sends_no_drop_and_differs_only_for_a_sole_owner() -> None:
    for key, row in LINE_CLOSE_WITHOUT_DROP.items():
        assert Order.DROP not in row.sends
        assert not row.idle_owed
        assert (row != LINE_CLOSE[key]) == key[0]
    alone = close_row(TAPI2_STRICT, sole_owner=True, only_handle=True)
    assert alone.sends == (Order.CLOSE_CALL,)
    assert alone.outcome is Outcome.WON
    assert not CLOSE_DROP[False, False]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a8_10_a_tentative_call_is_closed_and_never_dropped(profile: Profile) -> None:
    row = close_row(profile, sole_owner=True, only_handle=True, tentative=True)
    assert row.sends == (Order.CLOSE_CALL,)
    assert row.outcome is Outcome.WON


def test_a5_only_the_capability_without_a_second_agent_clears_calls() -> None:
    assert [key for key, clears in CLOSE_DROP.items() if clears] == [(True, False)]
    assert len(CLOSE_DROP) == 4


def test_a5_call_less_operations_end_only_with_the_last_opener() -> None:
    assert len(CALL_LESS) == 5
    assert CALL_LESS_CLOSE[True].sends == (Order.CLOSE,)
    assert CALL_LESS_CLOSE[True].outcome is Outcome.WON
    assert CALL_LESS_CLOSE[False].sends == ()


def test_a8_5_the_last_handle_closes_the_call() -> None:
    assert DEALLOCATE[True].sends == (Order.CLOSE_CALL,)
    assert DEALLOCATE[False].sends == ()


def test_a9_1_and_3_the_defaults_are_the_given_page() -> None:
    assert DEFAULT_PROFILE is TAPI1
    assert TAPI1.drops_on_close
    assert not TAPI1.closes_failed_handles


def test_a2_drop_on_close_is_used_only_where_declared_and_only_for_a_close() -> None:
    names = {
        (declared, closing): drop_function(drop_on_close=declared, closing=closing)
        for declared, closing in itertools.product([False, True], repeat=2)
    }
    obsolete = [key for key, function in names.items() if function == "TSPI_lineDropOnClose"]
    assert obsolete == [(True, True)]


# --- what a drop or a close achieves -----------------------------------------------------------


def test_every_operation_has_an_outcome_for_every_order() -> None:
    assert set(CANCELS) == set(itertools.product(RequestState, Order))


@pytest.mark.parametrize("order", [Order.CLOSE_CALL, Order.CLOSE])
def test_a_r6_a_close_wins_what_is_open_and_nothing_that_completed(order: Order) -> None:
    for state in (RequestState.ISSUED, RequestState.ACCEPTED, RequestState.MUTED):
        assert CANCELS[state, order] is Outcome.WON
    for state in (RequestState.EARLY, RequestState.COMPLETED, RequestState.REPLIED):
        assert CANCELS[state, order] is Outcome.TOO_LATE


def test_a_drop_leaves_it_to_the_provider() -> None:
    assert CANCELS[RequestState.ACCEPTED, Order.DROP] is None
    assert outcome_at_completion(OF) is Outcome.WON
    assert outcome_at_completion(None) is Outcome.IGNORED
    assert outcome_at_completion(Code.INVALCALLSTATE) is Outcome.IGNORED


def test_a8_20_and_a9_4_which_replies_survive() -> None:
    survivors = {
        (closing, version_2)
        for closing, version_2 in itertools.product(Closing, [False, True])
        if (closing, version_2) in REPLIES_SURVIVE
    }
    assert survivors == {
        (Closing.DEALLOCATE, True),
        (Closing.FORCED, False),
        (Closing.FORCED, True),
    }


def test_a4_14_a_drops_own_reply_comes_last() -> None:
    others = {rank for name_, rank in DELIVERY_RANK.items() if name_ != "lineDrop"}
    assert max(others) < DELIVERY_RANK["lineDrop"]
    assert set(DELIVERY_RANK) == {name_ for name_, row in OPERATIONS.items() if row.asynchronous}


# --- admission ---------------------------------------------------------------------------------


def test_a6_the_first_check_that_refuses_speaks() -> None:
    worst = Call(
        initialised=False,
        missing=Needs.CALL,
        pointers_good=False,
        parameters_good=False,
        privilege=Privilege.MONITOR,
        call_state=CallState.IDLE,
    )
    steps = [
        (worst, "0x80000050"),
        (worst := replace(worst, initialised=True), "0x80000018"),
        (worst := replace(worst, missing=None), "0x80000035"),
        (worst := replace(worst, pointers_good=True), "0x80000032"),
        (worst := replace(worst, parameters_good=True), "0x80000046"),
        (worst := replace(worst, privilege=Privilege.OWNER), "0x8000001C"),
        (replace(worst, call_state=CallState.CONNECTED), None),
    ]
    for facts, code in steps:
        assert refusal(facts) == code


def test_a8_16_a_drop_of_an_idle_call_is_invalcallstate() -> None:
    refused = [state for state in CallState if refusal(replace(GOOD, call_state=state))]
    assert refused == [CallState.IDLE]
    assert refusal(replace(GOOD, call_state=CallState.IDLE)) == "0x8000001C"


def test_a8_22_handles_and_the_first_initialise() -> None:
    shutdown = replace(GOOD, calling=OPERATIONS["lineShutdown"])
    assert refusal(replace(shutdown, missing=Needs.APP)) == "0x80000014"
    for function in OPERATIONS.values():
        facts = replace(GOOD, calling=function, initialised=False)
        expected = None if function.needs is Needs.NOTHING else "0x80000050"
        assert refusal(facts) == expected, function.name
    line = replace(GOOD, calling=OPERATIONS["lineClose"], missing=Needs.LINE)
    assert refusal(line) == "0x8000002B"


@pytest.mark.parametrize(("version_2", "code"), [(False, "0x8000001C"), (True, None)])
def test_a8_19_a_sole_owner_may_leave_a_live_call_since_2_0(
    version_2: bool, code: str | None
) -> None:
    leaving = replace(
        GOOD, calling=OPERATIONS["lineDeallocateCall"], sole_owner=True, version_2=version_2
    )
    assert refusal(leaving) == code
    assert refusal(replace(leaving, sole_owner=False)) is None
    assert refusal(replace(leaving, call_state=CallState.IDLE)) is None


def test_a8_23_a_sole_owner_may_not_become_a_monitor_of_a_live_call() -> None:
    asking = replace(
        GOOD,
        calling=OPERATIONS["lineSetCallPrivilege"],
        sole_owner=True,
        wanted_privilege=Privilege.MONITOR,
    )
    assert refusal(asking) == "0x8000001C"
    assert refusal(replace(asking, sole_owner=False)) is None
    assert refusal(replace(asking, wanted_privilege=Privilege.OWNER)) is None


def test_a8_26_handoff_and_its_targets() -> None:
    assert handoff_refusal(by_name=False, found=True, is_self=True) == Code.TARGETSELF
    assert handoff_refusal(by_name=True, found=True, is_self=True) is None
    assert handoff_refusal(by_name=False, found=False, is_self=False) == Code.TARGETNOTFOUND
    handoff = replace(GOOD, calling=OPERATIONS["lineHandoff"], privilege=Privilege.MONITOR)
    assert refusal(handoff) == "0x80000046"


@pytest.mark.parametrize("inactive", [False, True])
def test_a1_a_connected_call_is_answered_only_where_it_is_bridged(inactive: bool) -> None:
    answering = replace(GOOD, calling=OPERATIONS["lineAnswer"], connected_inactive=inactive)
    assert (refusal(answering) is None) == inactive
    assert refusal(replace(answering, call_state=CallState.OFFERING)) is None
    assert refusal(replace(answering, call_state=CallState.BUSY)) == "0x8000001C"


def test_a5_every_asynchronous_operation_on_a_call_wants_an_owner() -> None:
    for row in OPERATIONS.values():
        if row.asynchronous and row.needs is Needs.CALL:
            assert row.owner, row.name
    assert not OPERATIONS["lineMakeCall"].owner


def test_a5_four_selections_of_privileges_open_a_line() -> None:
    both = Privilege.MONITOR | Privilege.OWNER
    assert {Privilege.NONE, Privilege.MONITOR, Privilege.OWNER, both} == OPEN_PRIVILEGES


# --- calls, operations, handles ----------------------------------------------------------------


def test_a3_idle_is_terminal_even_when_lenient() -> None:
    idle = CALL_TRANSITIONS[CallState.IDLE]
    for state in CallState:
        assert not call_may_move(idle, state)
        assert not call_may_move(idle, state, lenient=True)


def test_a3_from_every_other_state_a_call_may_go_idle() -> None:
    for state, row in CALL_TRANSITIONS.items():
        assert call_may_move(row, CallState.IDLE) == (state is not CallState.IDLE)
    assert CallState.IDLE in NEW_OUTBOUND.next
    assert NEW_INCOMING.next == set(CallState)
    assert CallState.OFFERING not in NEW_OUTBOUND.next


def test_a3_a_disconnected_call_goes_only_idle_and_lenient_lets_it_go_on() -> None:
    row = CALL_TRANSITIONS[CallState.DISCONNECTED]
    assert row.next == {CallState.IDLE}
    assert call_may_move(row, CallState.CONNECTED, lenient=True)


def test_a3_a_call_state_is_one_bit() -> None:
    assert all(state.bit_count() == 1 for state in CallState)
    assert CallState(0x4000) is CallState.DISCONNECTED
    assert CALL_STATES[0x100] == "LINECALLSTATE_CONNECTED"


def test_a8_11_a_completion_before_the_return_is_legal_and_its_reply_waits() -> None:
    early = request(RequestState.ISSUED, RequestEvent.COMPLETION)
    assert early.violation is None
    returned = request(RequestState.EARLY, RequestEvent.RETURNED_ID)
    assert (returned.next, returned.violation) == (RequestState.COMPLETED, None)


def test_a8_13_an_error_return_ends_the_operation_without_a_completion() -> None:
    row = request(RequestState.ISSUED, RequestEvent.RETURNED_ERROR)
    assert row.next is RequestState.REFUSED
    assert request(row.next, RequestEvent.COMPLETION).violation == "T-SP-twice"


def test_a4_2_a_provider_returns_no_zero_and_no_other_id() -> None:
    for state in (RequestState.ISSUED, RequestState.EARLY):
        assert request(state, RequestEvent.RETURNED_OTHER).violation == "T-SP-return"


def test_a8_7_an_operation_goes_on_when_its_application_leaves() -> None:
    muted = request(RequestState.ACCEPTED, RequestEvent.MUTE)
    assert muted.next is RequestState.MUTED
    assert request(RequestState.MUTED, RequestEvent.COMPLETION).next is RequestState.SUPPRESSED


def test_a_r7_a_late_completion_is_a_violation_that_changes_nothing() -> None:
    completed = {RequestState.EARLY, RequestState.COMPLETED}
    over = {RequestState.REPLIED, RequestState.SUPPRESSED, RequestState.REFUSED}
    for state in completed | over:
        row = request(state, RequestEvent.COMPLETION)
        assert (row.next, row.violation) == (state, "T-SP-twice")


def test_every_violation_names_a_rule_of_the_provider() -> None:
    named = {row.violation for row in REQUEST_TRANSITIONS} - {None}
    assert named <= set(PROVIDER_RULES)


def test_a8_10_and_14_a_tentative_handle_is_closed_and_a_failed_one_is_not_harmed() -> None:
    moves = {(row.state, row.event): row.next for row in PROVIDER_HANDLE_TRANSITIONS}
    state = ProviderHandleState
    assert moves[state.TENTATIVE, HandleEvent.LET_GO] is state.CLOSED
    assert moves[state.TENTATIVE, HandleEvent.FAILED] is state.INVALID
    assert moves[state.INVALID, HandleEvent.LET_GO] is state.INVALID


# --- codes -------------------------------------------------------------------------------------


def test_a6_values_are_signed_and_documented_unsigned() -> None:
    assert Code.OPERATIONFAILED == OF
    assert as_documented(OF) == "0x80000048"
    assert name(OF) == "LINEERR_OPERATIONFAILED"
    assert name(-17) == "TAPIERR_REQUESTCANCELLED"
    assert name(-18) == "TAPIERR_INVALPOINTER"


def test_a6_the_low_bytes_run_from_1_to_61_without_two() -> None:
    low = {code & 0xFF for code in Code if code < -0x7000_0000}
    assert low == set(range(0x01, 0x62)) - {0x04, 0x31}


def test_a6_a_devices_own_error_is_told_from_an_unknown_one() -> None:
    assert meaning(0xC000_0001 - 2**32) == "a device's own error"
    assert "not documented" in meaning(0x8000_0004 - 2**32)
