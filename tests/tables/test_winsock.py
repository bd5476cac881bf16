"""Facts of spec/winsock.md, with the numbers of its sections, races and scenarios."""

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.actors.kernel._rules import Check, first_refusal
from rescind.actors.winsock import is_too_late
from rescind.actors.winsock._codes import Code, is_cancelled, name
from rescind.actors.winsock._protocol import (
    CANCEL_BLOCKING_CHECKS,
    CANCELS,
    CLEANUP_CHECKS,
    DEFAULT_PROFILE,
    FORGETTING,
    HANDLE_MAX,
    OPERATIONS,
    PROFILES,
    REMEMBERING,
    SOCKET_SURVIVES,
    Event,
    Facts,
    LookupState,
    Profile,
    after_cleanup,
    after_startup,
    cancel_code,
    cancelled_code,
    next_handle,
    pack_result,
    result_code,
    result_length,
    transition,
)
from rescind.events import How, Outcome


@dataclass(frozen=True)
class Application:
    started: bool = True
    network_down: bool = False
    version_2: bool = True
    blocking: bool = False
    provider_in_callback: bool = False
    room: bool = True
    handle: int = 5
    handle_issued: bool = True


GOOD = Application()
each_profile = pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))


def refusal(checks: tuple[Check[Facts], ...], facts: Application) -> int | None:
    found = first_refusal(checks, facts)
    return None if found is None else found.code


@each_profile
def test_c7_1_nothing_works_before_startup(profile: Profile) -> None:
    assert refusal(profile.admission, replace(GOOD, started=False)) == 10093
    assert refusal(profile.cancel_admission, replace(GOOD, started=False)) == 10093


def test_c7_5_bad_parameters_are_nobodys_business_at_the_call() -> None:
    assert refusal(DEFAULT_PROFILE.admission, replace(GOOD, handle=0)) is None


@each_profile
def test_c7_7_a_running_lookup_is_cancelled_in_silence(profile: Profile) -> None:
    row = transition(LookupState.RUNNING, Event.CANCEL)
    assert row is not None
    assert (row.next, row.how, row.silent) == (LookupState.CANCELLED, How.CANCELLED, "cancelled")
    assert cancel_code(LookupState.RUNNING, profile) == 0
    assert cancelled_code("WSAAsyncGetHostByName") is None
    late = transition(LookupState.CANCELLED, Event.ENDED)
    assert late is not None
    assert late.answer_ignored
    assert late.next is LookupState.CANCELLED


def test_c7_8_a_queued_message_stays_and_the_cancel_hears_10037() -> None:
    assert cancel_code(LookupState.POSTED, REMEMBERING) == 10037
    row = transition(LookupState.POSTED, Event.CANCEL)
    assert row is not None
    assert (row.next, row.silent) == (LookupState.POSTED, None)
    taken = transition(row.next, Event.TAKEN)
    assert taken is not None
    assert taken.next is LookupState.DELIVERED


def test_c0_4_too_late_has_two_reasons_and_one_code() -> None:
    queued, taken = CANCELS[LookupState.POSTED], CANCELS[LookupState.DELIVERED]
    assert queued.outcome is taken.outcome is Outcome.TOO_LATE
    assert queued.because != taken.because
    assert cancel_code(queued.state, REMEMBERING) == cancel_code(taken.state, REMEMBERING)


def test_c7_10_cancel_of_zero_is_10022_in_every_state_and_profile() -> None:
    flags = list(itertools.product([False, True], repeat=6))
    for profile in PROFILES.values():
        for started, down, version_2, blocking, inside, issued in flags:
            facts = Application(
                started=started,
                network_down=down,
                version_2=version_2,
                blocking=blocking,
                provider_in_callback=inside,
                handle=0,
                handle_issued=issued,
            )
            assert refusal(profile.cancel_admission, facts) == 10022


@each_profile
def test_c7_11_a_number_never_issued_is_10022(profile: Profile) -> None:
    checks = profile.cancel_admission
    assert refusal(checks, replace(GOOD, handle_issued=False)) == 10022


def test_c7_13_no_handle_is_zero_or_taken_also_when_the_counter_wraps() -> None:
    taken = {3, 7, 0xFFFF}
    last, seen = 0xFFFF - 50_000, set[int]()
    for _ in range(100_000):
        handle = next_handle(last, taken, handle_max=0xFFFF)
        assert handle is not None
        assert 0 < handle <= 0xFFFF
        assert handle not in taken
        last = handle
        seen.add(handle)
    assert len(seen) == 0xFFFF - len(taken)
    assert next_handle(HANDLE_MAX, ()) == 1
    assert next_handle(2, {1, 2, 3}, handle_max=3) is None


def test_c7_16_nested_startup_makes_only_the_last_cleanup_act() -> None:
    count = after_startup(after_startup(0))
    count, last = after_cleanup(count)
    assert not last
    assert after_cleanup(count) == (0, True)
    assert refusal(CLEANUP_CHECKS, replace(GOOD, started=False)) == 10093


@pytest.mark.parametrize("state", [LookupState.QUEUED, LookupState.RUNNING, LookupState.POSTED])
def test_c7_17_the_last_cleanup_drops_everything_in_silence(state: LookupState) -> None:
    row = transition(state, Event.CLEANUP)
    assert row is not None
    assert (row.next, row.silent) == (LookupState.DROPPED, "cleanup")
    assert row.completes == (state is not LookupState.POSTED)


@pytest.mark.parametrize(("version_2", "code"), [(False, 10036), (True, None)])
def test_c7_19_and_20_blocking_refuses_only_version_1_1(version_2: bool, code: int | None) -> None:
    facts = replace(GOOD, blocking=True, version_2=version_2)
    assert refusal(DEFAULT_PROFILE.cancel_admission, facts) == code
    assert refusal(DEFAULT_PROFILE.admission, facts) == code


def test_c5_the_providers_own_callback_is_in_progress_for_every_version() -> None:
    for version_2 in (False, True):
        facts = replace(GOOD, provider_in_callback=True, version_2=version_2)
        assert refusal(DEFAULT_PROFILE.admission, facts) == 10036


def test_c7_22_and_23_network_down_and_full_refuse_at_the_call() -> None:
    assert refusal(DEFAULT_PROFILE.admission, replace(GOOD, network_down=True)) == 10050
    assert refusal(DEFAULT_PROFILE.admission, replace(GOOD, room=False)) == 10035
    assert refusal(DEFAULT_PROFILE.cancel_admission, replace(GOOD, room=False)) is None


def test_c5_the_first_check_that_refuses_speaks() -> None:
    worst = Application(
        started=False,
        network_down=True,
        version_2=False,
        blocking=True,
        room=False,
        handle_issued=False,
    )
    steps = [
        (worst, 10093),
        (worst := replace(worst, started=True), 10050),
        (worst := replace(worst, network_down=False), 10036),
        (worst := replace(worst, blocking=False), 10035),
        (replace(worst, room=True), None),
    ]
    for facts, code in steps:
        assert refusal(DEFAULT_PROFILE.admission, facts) == code
    cancel = [facts for facts, _ in steps]
    heard = [refusal(DEFAULT_PROFILE.cancel_admission, facts) for facts in cancel]
    assert heard == [10093, 10050, 10036, 10022, 10022]


def test_c7_25_a_destroyed_window_loses_the_message_and_cancels_nothing() -> None:
    for state in (LookupState.QUEUED, LookupState.RUNNING):
        row = transition(state, Event.WINDOW_DESTROYED)
        assert row is not None
        assert row.next is state
    lost = transition(LookupState.RUNNING, Event.ENDED_UNSEEN)
    assert lost is not None
    assert (lost.next, lost.silent) == (LookupState.LOST, "window destroyed")
    assert cancel_code(LookupState.LOST, REMEMBERING) == 10037
    assert cancel_code(LookupState.LOST, FORGETTING) == 10022


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_c7_28_length_and_error_survive_the_round_trip(length: int, code: int) -> None:
    packed = pack_result(length, code)
    assert (result_length(packed), result_code(packed)) == (length, code)


def test_c1_every_code_of_a_message_fits_its_word() -> None:
    for code in Code:
        if code is not Code.SOCKET_ERROR:
            assert result_code(pack_result(0, code)) == code


def test_c_r4_the_second_cancel_is_a_duplicate() -> None:
    assert CANCELS[LookupState.CANCELLED].outcome is Outcome.DUPLICATE
    assert cancel_code(LookupState.CANCELLED, REMEMBERING) == 10037


def test_c2_a_forgetful_implementation_never_says_10037() -> None:
    assert {cancel_code(state, FORGETTING) for state in LookupState} == {0, 10022}
    assert {cancel_code(state, REMEMBERING) for state in LookupState} == {0, 10037}


@each_profile
def test_c3_2_a_cancel_answers_0_exactly_where_it_silences(profile: Profile) -> None:
    for state in LookupState:
        row = transition(state, Event.CANCEL)
        assert row is not None
        assert (cancel_code(state, profile) == 0) == (row.silent == "cancelled")
        assert (CANCELS[state].outcome is Outcome.WON) == (row.next is not state)


def test_c0_6_both_late_codes_are_too_late_and_nothing_else_is() -> None:
    assert [code for code in Code if is_too_late(code)] == [10022, 10037]
    assert not is_too_late(None)
    assert not is_too_late(Code.OK)


def test_c5_two_codes_look_like_a_cancel_and_are_not_of_this_interface() -> None:
    assert name(10103) == "WSAECANCELLED"
    assert name(10111) == "WSA_E_CANCELLED"
    assert not is_cancelled(10103)


def test_c1_a_blocking_call_hears_its_cancel_and_most_sockets_do_not_survive() -> None:
    assert cancelled_code("BlockingCall") == 10004
    assert {"accept", "select"} == SOCKET_SURVIVES
    one = replace(GOOD, version_2=False, blocking=True)
    assert refusal(CANCEL_BLOCKING_CHECKS, one) is None
    assert refusal(CANCEL_BLOCKING_CHECKS, replace(one, blocking=False)) == 10022
    assert refusal(CANCEL_BLOCKING_CHECKS, replace(one, version_2=True)) == 10045


def test_c1_there_are_six_lookups() -> None:
    assert sum(row.asynchronous for row in OPERATIONS.values()) == 6
