"""Facts of spec/rpc.md, with the numbers of its sections, races and scenarios."""

from dataclasses import dataclass, replace

import pytest

from rescind.actors.kernel._rules import Check, first_refusal
from rescind.actors.rpc._codes import (
    TELLS_KIND,
    AsyncEvent,
    Code,
    Notification,
    Subscription,
    name,
)
from rescind.actors.rpc._machines import (
    CLIENT_TERMINAL,
    CLIENT_TRANSITIONS,
    ESCALATION,
    ClientEvent,
    ClientRow,
    ClientState,
    ServerEvent,
    ServerRow,
    ServerState,
)
from rescind.actors.rpc._protocol import (
    ADMISSION,
    CANCELS,
    CURRENT,
    DEFAULT_PROFILE,
    INITIALIZE_CHECKS,
    OPERATIONS,
    PROFILES,
    STRICT,
    SUBSCRIBE_CHECKS,
    TEST_CANCEL_CHECKS,
    Facts,
    Operation,
    Profile,
    Side,
    call_status,
    client_transition,
    may_reuse,
    outcome_at_answer,
    outcome_of_mark,
    outcome_when_decided,
    server_transition,
)
from rescind.events import How, Outcome

PENDING = (ClientState.PENDING, ClientState.CANCELLING)
DECIDED = (ClientState.DONE, ClientState.NOTIFIED)


@dataclass(frozen=True)
class Call:
    size_right: bool = True
    structure_good: bool = True
    side: Side = Side.CLIENT
    calling: Operation = OPERATIONS["RpcAsyncCompleteCall"]
    binding_valid: bool = True
    call_active: bool = True
    cancelled: bool = False
    subscription: int = Subscription.CALL_CANCEL
    notification: Notification = Notification.CALLBACK


GOOD = Call()


def refusal(checks: tuple[Check[Facts], ...], facts: Call) -> int | None:
    found = first_refusal(checks, facts)
    return None if found is None else found.code


def client(state: ClientState, event: ClientEvent, profile: Profile = CURRENT) -> ClientRow:
    row = client_transition(state, event, profile)
    assert row is not None
    return row


def server(state: ServerState, event: ServerEvent) -> ServerRow:
    row = server_transition(state, event)
    assert row is not None
    return row


def test_b8_1_a_wrong_size_is_87() -> None:
    assert refusal(INITIALIZE_CHECKS, replace(GOOD, size_right=False)) == 87
    assert refusal(INITIALIZE_CHECKS, GOOD) is None


def test_b8_2_an_unused_structure_has_no_binding_as_observed_and_no_handle_as_documented() -> None:
    assert call_status(ClientState.INIT, 0, CURRENT) == 1702
    assert call_status(ClientState.INIT, 0, STRICT) == 1914
    assert DEFAULT_PROFILE is CURRENT


@pytest.mark.parametrize("state", PENDING)
def test_b8_4_asking_a_pending_call_is_997_and_changes_nothing(state: ClientState) -> None:
    assert call_status(state, 0, CURRENT) == 997
    row = client(state, ClientEvent.COMPLETE)
    assert (row.returns, row.next, row.violation) == (997, state, False)


def test_b8_5_the_result_is_fetched_once() -> None:
    fetched = client(ClientState.NOTIFIED, ClientEvent.COMPLETE)
    assert fetched.returns_result
    assert fetched.next is ClientState.FINAL
    again = client(ClientState.FINAL, ClientEvent.COMPLETE)
    assert (again.returns, again.violation, again.next) == (1914, True, ClientState.FINAL)


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, Outcome.IGNORED), (1818, Outcome.WON), (5001, Outcome.IGNORED)]
)
def test_b8_7_and_8_the_answer_decides_what_asking_achieved(code: int, outcome: Outcome) -> None:
    asked = client(ClientState.PENDING, ClientEvent.CANCEL)
    assert (asked.returns, asked.next, asked.outcome) == (0, ClientState.CANCELLING, None)
    assert asked.tells_server
    answered = client(ClientState.CANCELLING, ClientEvent.REPLY)
    assert answered.completes
    assert answered.next is ClientState.DONE
    assert outcome_at_answer(code).outcome is outcome


def test_b8_10_aborting_supersedes_asking() -> None:
    row = client(ClientState.CANCELLING, ClientEvent.ABORT)
    assert (row.returns, row.how, row.outcome) == (0, How.CANCELLED, Outcome.WON)
    assert row.supersedes
    assert row.tells_server
    assert ESCALATION == (ClientEvent.CANCEL, ClientEvent.ABORT)
    assert server(ServerState.HANDED_OFF, ServerEvent.CANCEL).next is ServerState.HANDED_OFF


def test_b8_11_aborting_needs_no_server() -> None:
    row = client(ClientState.PENDING, ClientEvent.ABORT)
    assert row.completes
    assert row.next is ClientState.DONE
    assert client(row.next, ClientEvent.REPLY).answer_ignored


@pytest.mark.parametrize("event", ESCALATION)
@pytest.mark.parametrize("state", DECIDED)
def test_b8_13_and_14_a_decided_call_keeps_its_result(
    state: ClientState, event: ClientEvent
) -> None:
    row = client(state, event)
    assert (row.returns, row.next, row.completes) == (0, state, False)
    assert outcome_when_decided(by_cancel=False).outcome is Outcome.TOO_LATE
    assert outcome_when_decided(by_cancel=True).outcome is Outcome.DUPLICATE


def test_b8_16_the_servers_test() -> None:
    serving = replace(GOOD, side=Side.SERVER)
    assert refusal(TEST_CANCEL_CHECKS, serving) == 1791
    assert refusal(TEST_CANCEL_CHECKS, replace(serving, cancelled=True)) is None
    assert refusal(TEST_CANCEL_CHECKS, replace(serving, call_active=False)) == 1725
    assert refusal(TEST_CANCEL_CHECKS, replace(serving, binding_valid=False)) == 1702


def test_b8_17_only_some_notifications_tell_what_they_announce() -> None:
    assert AsyncEvent(4) is AsyncEvent.CLIENT_CANCEL
    assert {Notification.APC, Notification.CALLBACK} == TELLS_KIND
    assert Notification.EVENT not in TELLS_KIND


def test_b8_19_what_may_be_subscribed_to() -> None:
    both = Subscription.CLIENT_DISCONNECT | Subscription.CALL_CANCEL
    asked = replace(GOOD, side=Side.SERVER)
    assert refusal(SUBSCRIBE_CHECKS, asked) is None
    assert refusal(SUBSCRIBE_CHECKS, replace(asked, notification=Notification.NONE)) == 87
    assert refusal(SUBSCRIBE_CHECKS, replace(asked, subscription=4)) == 1764
    assert refusal(SUBSCRIBE_CHECKS, replace(asked, subscription=both)) is None
    by_event = replace(asked, subscription=both, notification=Notification.EVENT)
    assert refusal(SUBSCRIBE_CHECKS, by_event) == 87


def test_b8_20_a_server_ends_its_call_once() -> None:
    ended = server(ServerState.HANDED_OFF, ServerEvent.COMPLETE)
    assert ended.next is ServerState.COMPLETED
    again = server(ended.next, ServerEvent.ABORT)
    assert (again.next, again.violation, again.returns) == (ServerState.COMPLETED, True, 1914)


def test_b8_22_a_time_out_is_1818_and_the_server_is_not_told() -> None:
    for state in PENDING:
        row = client(state, ClientEvent.TIMED_OUT)
        assert (row.how, row.next, row.tells_server) == (How.TIMED_OUT, ClientState.DONE, False)
    late = client(ClientState.FINAL, ClientEvent.REPLY)
    assert late.answer_ignored


def test_b0_3_only_a_cancel_of_the_application_and_a_deadline_tell_the_server() -> None:
    telling = {row.event for row in CLIENT_TRANSITIONS if row.tells_server}
    assert telling == {*ESCALATION, ClientEvent.DEADLINE}


def test_b_r6_and_b_r4_of_two_marks_the_stronger_stays() -> None:
    strengths = {
        (False, False): Outcome.DUPLICATE,
        (False, True): Outcome.DUPLICATE,
        (True, False): Outcome.SUPERSEDED,
        (True, True): Outcome.DUPLICATE,
    }
    for (abort, before), outcome in strengths.items():
        assert outcome_of_mark(abort=abort, abort_before=before).outcome is outcome


def test_each_outcome_has_a_row_that_says_why() -> None:
    assert {row.outcome for row in CANCELS.values()} == {
        Outcome.WON, Outcome.IGNORED, Outcome.TOO_LATE, Outcome.DUPLICATE, Outcome.SUPERSEDED,
    }  # fmt: skip
    assert all(row.because.strip() and row.source for row in CANCELS.values())


def test_b8_28_a_completion_is_notified_once_and_a_raised_stub_never() -> None:
    notified = [row for row in CLIENT_TRANSITIONS if row.next is ClientState.NOTIFIED]
    moves = [row for row in notified if row.state is not ClientState.NOTIFIED]
    assert [row.event for row in moves] == [ClientEvent.NOTIFY]
    early = [row for row in CLIENT_TRANSITIONS if row.notifies_first]
    assert [(row.state, row.next) for row in early] == [(ClientState.DONE, ClientState.FINAL)]
    for event in ClientEvent:
        row = client_transition(ClientState.FAILED, event)
        assert row is None or not (row.completes or row.notifies_first)


@pytest.mark.parametrize("event", ESCALATION)
def test_b_r7_b_r8_and_b_r11_a_cancel_has_its_time(event: ClientEvent) -> None:
    codes = {
        ClientState.INIT: 1915,
        ClientState.FAILED: 1914,
        ClientState.FINAL: 1914,
    }
    for state, code in codes.items():
        row = client(state, event)
        assert (row.returns, row.next, row.violation) == (code, state, True)
        assert row.outcome is Outcome.REFUSED


def test_b_r10_the_strict_profile_waits_for_the_notification() -> None:
    assert client(ClientState.DONE, ClientEvent.COMPLETE).next is ClientState.FINAL
    waiting = client(ClientState.DONE, ClientEvent.COMPLETE, STRICT)
    assert (waiting.returns, waiting.next) == (997, ClientState.DONE)
    assert client(ClientState.NOTIFIED, ClientEvent.COMPLETE, STRICT).returns_result
    polled = client_transition(ClientState.DONE, ClientEvent.COMPLETE, STRICT, notifies=False)
    assert polled is not None
    assert polled.next is ClientState.FINAL


def test_b_r13_and_b_r14_a_server_ends_as_it_likes_although_cancelled() -> None:
    for state in (ServerState.DISPATCHED, ServerState.HANDED_OFF):
        marked = server(state, ServerEvent.CANCEL)
        assert (marked.next, marked.marks_cancelled, marked.completes) == (state, True, False)
        assert server(state, ServerEvent.COMPLETE).returns == 0
        assert server(state, ServerEvent.ABORT).returns == 0


def test_b_r2_a_cancel_that_reaches_an_ended_server_is_too_late() -> None:
    for state in (ServerState.COMPLETED, ServerState.ABORTED, ServerState.RAISED):
        assert server(state, ServerEvent.CANCEL).outcome is Outcome.TOO_LATE


def test_b2_the_dispatcher_does_not_raise_what_it_gave_away() -> None:
    assert server(ServerState.DISPATCHED, ServerEvent.RAISE).next is ServerState.RAISED
    assert server(ServerState.HANDED_OFF, ServerEvent.RAISE).violation


def test_b4_each_function_has_its_side() -> None:
    for wrong, function in (
        (Side.SERVER, "RpcAsyncCancelCall"),
        (Side.CLIENT, "RpcAsyncAbortCall"),
    ):
        facts = replace(GOOD, side=wrong, calling=OPERATIONS[function])
        assert refusal(ADMISSION, facts) == 1915
        assert refusal(ADMISSION, replace(facts, structure_good=False)) == 1914
    for side in Side:
        assert refusal(ADMISSION, replace(GOOD, side=side)) is None


def test_b9_1_reuse_is_free_only_in_the_current_profile() -> None:
    for state in ClientState:
        over = state in CLIENT_TERMINAL
        assert may_reuse(state, CURRENT, initialised_again=False) == over
        assert not may_reuse(state, STRICT, initialised_again=False)
        assert may_reuse(state, STRICT, initialised_again=True) == over


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_b1_the_status_of_a_decided_call_is_its_result(profile: Profile) -> None:
    for state in DECIDED:
        assert call_status(state, 5001, profile) == 5001
    for state in CLIENT_TERMINAL:
        assert call_status(state, 0, profile) == 1914


@pytest.mark.parametrize(
    ("value", "documented"),
    [(1818, "RPC_S_CALL_CANCELLED"), (1831, "RPC_X_WRONG_PIPE_ORDER"), (0, "RPC_S_OK")],
)
def test_b5_values_have_their_documented_names(value: int, documented: str) -> None:
    assert name(value) == documented
    assert Code(value) == value
