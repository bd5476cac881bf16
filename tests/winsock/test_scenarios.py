"""The scenarios of the specification (C.7) by their numbers, over the twin."""

import pytest

from rescind import winsock
from rescind.actors.winsock._protocol import HANDLE_MAX, pack_result, result_code, result_length
from rescind.events import CancelOutcome, CancelRequested, Completed, How, Outcome, Rejected

from .stage import (
    FAULT,
    HOST,
    HOST_BYTES,
    IN_PROGRESS,
    INTERRUPTED,
    INVALID,
    NETWORK_DOWN,
    NO_BUFFER,
    NO_HOST,
    NOT_STARTED,
    WOULD_BLOCK,
    Stage,
    code_of,
    refused,
)


def test_c7_1_before_startup_nothing_works(new_stage, profile):
    stage: Stage = new_stage(profile, version=None)
    with refused(NOT_STARTED):
        stage.ask()
    assert stage.cancel(5) == NOT_STARTED
    assert code_of(stage.app.cleanup) == NOT_STARTED
    assert code_of(stage.app.cancel_blocking_call) == NOT_STARTED
    assert code_of(lambda: stage.app.blocking_call("recv", list)) == NOT_STARTED
    assert not stage.twin.begun


def test_c7_2_a_valid_request_brings_one_message_and_fills_the_buffer(either):
    asked = either.ask()
    assert asked.handle != 0
    assert asked.buffer.entry is None
    either.answer()
    assert asked.buffer.entry == HOST
    (message,) = either.window.messages()
    assert (message.wparam, message.message, message.window) == (asked.handle, 7, either.window)
    assert message.lparam == pack_result(HOST_BYTES, 0)
    assert (message.error, message.length) == (0, asked.buffer.used)
    assert either.window.peek() is None


def test_c7_4_a_buffer_that_is_too_small_is_told_the_size_that_fits(either):
    asked = either.ask(size=8)
    either.answer()
    assert either.take_all() == [(asked.handle, NO_BUFFER, HOST_BYTES)]
    assert asked.buffer.entry is None
    again = either.ask(size=HOST_BYTES)
    assert again.handle != asked.handle
    either.answer()
    assert either.take_all() == [(again.handle, 0, HOST_BYTES)]
    assert again.buffer.entry == HOST


def test_c7_4_one_byte_less_is_too_small(either):
    asked = either.ask(size=HOST_BYTES - 1)
    either.answer()
    assert either.take_all() == [(asked.handle, NO_BUFFER, HOST_BYTES)]


def test_c7_5_bad_parameters_are_told_in_the_message_only(either):
    app, window = either.app, either.window
    handle = app.async_get_host_by_name(window, 0, "", None)
    assert handle != 0
    either.answer()
    assert either.take_all() == [(handle, FAULT, 0)]

    nowhere = app.async_get_serv_by_port(None, 0, 0, None, None)
    assert nowhere != 0
    either.answer()
    assert either.take_all() == []
    assert either.silences == ["no window"]
    assert either.cancel(nowhere) == either.too_late

    handle = app.async_get_serv_by_name(window, 0, "", None, winsock.Buffer(0))
    either.fail(winsock.Code.NO_DATA)
    assert either.take_all() == [(handle, winsock.Code.NO_DATA, 0)]


def test_c7_7_a_running_lookup_is_cancelled_and_silent(either):
    asked = either.ask()
    number = either.number_of(asked)
    assert either.cancel(asked) == 0
    either.answer_late(number)
    assert either.take_all() == []
    assert asked.buffer.entry is None
    assert either.twin.stopped == [number]
    assert either.ignored == 1
    assert either.silences == ["cancelled"]


def test_c7_7_a_queued_lookup_is_cancelled_and_never_begun(new_stage, profile):
    stage: Stage = new_stage(profile, running_max=1)
    first, second, third = stage.ask("1"), stage.ask("2"), stage.ask("3")
    assert stage.cancel(second) == 0
    stage.answer()
    stage.answer()
    assert [handle for handle, _, _ in stage.take_all()] == [first.handle, third.handle]
    assert [question for _, _, question in stage.twin.begun] == [("1",), ("3",)]
    assert stage.twin.stopped == []


def test_c7_7_the_place_of_a_running_lookup_is_the_next_ones(new_stage, profile):
    stage: Stage = new_stage(profile, running_max=2)
    asked = [stage.ask(str(number)) for number in range(5)]
    assert stage.cancel(asked[0]) == 0
    stage.settle()
    assert [question for _, _, question in stage.twin.begun] == [("0",), ("1",), ("2",)]
    assert [stage.cancel(each) for each in asked[1:4]] == [0] * 3
    stage.settle()
    assert list(stage.twin.pending) == [stage.number_of(asked[4])]


def test_c7_8_a_queued_message_outlives_the_cancel(either):
    asked = either.ask()
    either.answer()
    assert either.cancel(asked) == either.too_late
    assert either.cancel(asked) == either.too_late
    assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]
    assert [each.rule for each in either.events(CancelOutcome)] == ["W-CANCEL-posted"] * 2


def test_c7_10_cancel_of_zero_is_invalid_in_every_state(new_stage, profile):
    stage: Stage = new_stage(profile, version=None)
    assert stage.cancel(0) == INVALID
    stage.app.startup((1, 1))
    assert stage.cancel(0) == INVALID
    asked = stage.ask()
    assert stage.cancel(0) == INVALID
    stage.answer(asked)
    assert stage.cancel(0) == INVALID
    assert stage.app.blocking_call("recv", lambda: stage.cancel(0)) == INVALID
    assert stage.inside_callback(lambda: stage.app.cancel_async_request(0)) == INVALID
    stage.network(is_down=True)
    assert stage.cancel(0) == INVALID
    stage.network(is_down=False)
    stage.app.cleanup()
    assert stage.cancel(0) == INVALID
    assert stage.inside_callback(lambda: stage.app.cancel_async_request(0)) == INVALID
    assert {each.rule for each in stage.events(Rejected)} == {"W-10022-zero"}


def test_c7_11_cancel_of_a_number_never_issued_is_invalid(either):
    asked = either.ask()
    for number in (asked.handle + 1, -1, HANDLE_MAX, HANDLE_MAX + 1, 2**80):
        assert either.cancel(number) == INVALID
    assert either.cancel(asked) == 0


@pytest.mark.not_repeatable("what is set below, no log tells")
def test_c7_13_no_handle_is_zero_or_taken_when_the_counter_wraps(new_stage, profile):
    stage: Stage = new_stage(profile)
    held = [stage.ask() for _ in range(3)]  # 1, 2, 3
    stage.app._actor.last_handle = HANDLE_MAX - 2
    waiting = [stage.ask() for _ in range(4)]
    assert [each.handle for each in waiting] == [HANDLE_MAX - 1, HANDLE_MAX, 4, 5]
    stage.answer(held[1])
    assert stage.cancel(held[0]) == 0
    stage.app._actor.last_handle = HANDLE_MAX
    # 1 was cancelled and is free; the message of 2 waits, 3 is outstanding, and so are 4 and 5.
    assert [stage.ask().handle for _ in range(2)] == [1, 6]
    assert stage.take_all() == [(2, 0, HOST_BYTES)]
    stage.app._actor.last_handle = HANDLE_MAX
    assert stage.ask().handle == 2


@pytest.mark.not_repeatable("what is set below, no log tells")
def test_c7_13_a_handle_that_is_used_again_is_the_new_lookups(new_stage, profile):
    stage: Stage = new_stage(profile)
    asked = stage.ask()
    assert stage.cancel(asked) == 0
    stage.app._actor.last_handle = 0
    again = stage.ask()
    assert again.handle == asked.handle
    assert stage.cancel(again) == 0
    assert stage.cancel(again) == stage.too_late


def test_c7_14_a_cancel_leaves_the_other_request_alone(either):
    first, second = either.ask("1"), either.ask("2")
    assert either.cancel(first) == 0
    either.answer(second)
    assert either.take_all() == [(second.handle, 0, HOST_BYTES)]
    assert (first.buffer.entry, second.buffer.entry) == (None, HOST)


def test_c7_16_of_two_startups_one_cleanup_ends_nothing(either):
    either.app.startup()
    asked = either.ask()
    either.app.cleanup()
    either.answer()
    assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]
    either.app.cleanup()
    assert code_of(either.app.cleanup) == NOT_STARTED


def test_c7_17_the_last_cleanup_drops_what_runs_and_what_is_queued(new_stage, profile):
    stage: Stage = new_stage(profile, running_max=1)
    running, queued = stage.ask("1"), stage.ask("2")
    number = stage.number_of(running)
    stage.app.cleanup()
    stage.answer_late(number)
    assert stage.take_all() == []
    assert stage.silences == ["cleanup"] * 2
    assert [each.how for each in stage.events(Completed)] == [How.ABANDONED] * 2
    assert [stage.cancel(each) for each in (running, queued)] == [NOT_STARTED] * 2
    assert (running.buffer.entry, queued.buffer.entry) == (None, None)
    assert stage.twin.stopped == [number]


def test_c7_17_a_message_that_waits_is_dropped_too(either):
    asked = either.ask()
    either.answer()
    either.app.cleanup()
    assert either.take_all() == []
    assert either.silences == ["cleanup"]
    assert either.cancel(asked) == NOT_STARTED


def test_c7_17_what_was_dropped_stays_so_after_a_startup_at_once(new_stage, profile):
    stage: Stage = new_stage(profile, running_max=2)
    posted, running = stage.ask("1"), stage.ask("2")
    stage.answer(posted)
    more, queued = stage.ask("3"), stage.ask("4")
    stage.app.cleanup()
    stage.app.startup()
    assert stage.window.peek() is None
    old = (posted, running, more, queued)
    assert [stage.cancel(each) for each in old] == [stage.too_late] * 4
    fresh = [stage.ask(str(number)) for number in range(5, 8)]
    for _ in fresh:
        stage.answer()
    assert [handle for handle, _, _ in stage.take_all()] == [each.handle for each in fresh]
    assert not {each.handle for each in fresh} & {each.handle for each in old}
    assert all(each.buffer.entry is None for each in (running, more, queued))


@pytest.mark.parametrize("version", [(1, 0), (1, 1)])
def test_c7_19_a_1_1_program_inside_recv_can_not_cancel(new_stage, profile, version):
    stage: Stage = new_stage(profile, version=version)
    asked = stage.ask()
    heard = stage.app.blocking_call("recv", lambda: stage.cancel(asked))
    assert heard == IN_PROGRESS
    assert stage.number_of(asked) in stage.twin.pending
    assert stage.cancel(asked) == 0


@pytest.mark.parametrize("version", [(2, 0), (2, 1), (2, 2)])
def test_c7_20_a_2_x_program_inside_recv_can(new_stage, profile, version):
    stage: Stage = new_stage(profile, version=version)
    asked = stage.ask()
    assert stage.app.blocking_call("recv", lambda: stage.cancel(asked)) == 0
    assert stage.take_all() == []


def test_c7_22_a_network_that_is_down(either):
    app = either.app
    running = either.ask()
    either.network(is_down=True)
    with refused(NETWORK_DOWN):
        either.ask()
    assert either.cancel(running) == NETWORK_DOWN
    assert code_of(app.cleanup) == NETWORK_DOWN
    assert either.take_all() == [(running.handle, NETWORK_DOWN, 0)]
    assert running.buffer.entry is None
    either.network(is_down=False)
    asked = either.ask()
    either.answer()
    assert either.take_all() == [(asked.handle, 0, HOST_BYTES)]
    assert either.cancel(running) == either.too_late


def test_c7_22_queued_lookups_hear_of_the_network_too(new_stage, profile):
    stage: Stage = new_stage(profile, running_max=2)
    asked = [stage.ask(str(number)) for number in range(5)]
    stage.network(is_down=True)
    assert stage.take_all() == [(each.handle, NETWORK_DOWN, 0) for each in asked]
    stage.network(is_down=False)
    again = stage.ask()
    stage.answer()
    assert stage.take_all() == [(again.handle, 0, HOST_BYTES)]


def test_c7_23_a_full_scheduler_refuses_and_loses_nothing(new_stage, profile):
    stage: Stage = new_stage(profile, lookups_max=3, running_max=1)
    asked = [stage.ask(str(number)) for number in range(3)]
    with refused(WOULD_BLOCK):
        stage.ask()
    stage.answer()  # a message that waits needs its place still
    with refused(WOULD_BLOCK):
        stage.ask()
    assert stage.take_all() == [(asked[0].handle, 0, HOST_BYTES)]
    asked.append(stage.ask("3"))
    assert stage.cancel(asked[2]) == 0
    asked.append(stage.ask("4"))
    for _ in range(3):
        stage.answer()
    taken = [handle for handle, _, _ in stage.take_all()]
    assert taken == [asked[number].handle for number in (1, 3, 4)]


def test_c7_25_a_window_that_is_destroyed_while_its_lookup_runs(either):
    asked = either.ask()
    either.window.destroy()
    either.answer()
    assert either.cancel(asked) == either.too_late
    assert either.take_all() == []
    assert either.silences == ["window destroyed"]


def test_c7_25_a_lookup_can_be_cancelled_although_its_window_is_gone(either):
    asked = either.ask()
    either.window.destroy()
    assert either.cancel(asked) == 0
    assert either.silences == ["cancelled"]


def test_c7_25_messages_that_wait_in_a_destroyed_window_are_lost(either):
    other = either.app.window()
    lost, kept = either.ask(), either.ask(window=other)
    either.answer()
    either.answer()
    either.window.destroy()
    either.window.destroy()
    assert either.cancel(lost) == either.too_late
    assert either.take_all() == []
    assert either.take_all(other) == [(kept.handle, 0, HOST_BYTES)]
    late = either.ask()  # nobody checks the window at the call
    either.answer()
    assert either.cancel(late) == either.too_late


def test_c7_26_a_client_that_forgot_a_handle_ignores_its_late_message(either):
    known = {}
    for name in ("1", "2", "3"):
        known[either.ask(name).handle] = name
    either.answer()
    for handle in list(known):
        if winsock.is_too_late(either.cancel(handle)):
            del known[handle]
            break
    either.answer()
    heard = [known.get(handle) for handle, _, _ in either.take_all()]
    assert heard == [None, "2"]


def test_c7_28_length_and_error_come_back_from_every_lparam():
    edges = (0, 1, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
    values = [(length, error) for length in edges for error in range(0x10000)]
    values += [(length, error) for length in range(0x10000) for error in edges]
    for length, error in values:
        lparam = pack_result(length, error)
        assert (result_length(lparam), result_code(lparam)) == (length, error)
        assert 0 <= lparam <= 0xFFFF_FFFF


# --- the rest of C.1 and C.2 ---------------------------------------------------------------------

SERVICE = winsock.ServiceEntry("smtp", ("mail",), 25, "tcp")
PROTOCOL = winsock.ProtocolEntry("tcp", ("TCP",), 6)


@pytest.mark.parametrize(
    ("operation", "arguments", "question", "entry"),
    [
        ("host_by_name", ("a.example",), ("a.example",), HOST),
        ("host_by_addr", ("192.0.2.1",), ("192.0.2.1", 2), HOST),
        ("serv_by_name", ("smtp", "tcp"), ("smtp", "tcp"), SERVICE),
        ("serv_by_port", (25, None), (25, None), SERVICE),
        ("proto_by_name", ("tcp",), ("tcp",), PROTOCOL),
        ("proto_by_number", (6,), (6,), PROTOCOL),
    ],
)
def test_c1_each_of_the_six_asks_finds_and_is_cancelled(
    either, operation, arguments, question, entry
):
    ask = getattr(either.app, f"async_get_{operation}")
    buffer = winsock.Buffer()
    handle = ask(either.window, 1, *arguments, buffer)
    either.settle()
    ((_, name, asked),) = either.twin.begun
    assert tuple(asked) == question
    assert name.lower() == f"wsaasyncget{operation.replace('_', '')}"
    either.answer(entry=entry)
    assert buffer.entry == entry
    assert either.take_all() == [(handle, 0, buffer.used)]

    gone = ask(either.window, 1, *arguments, winsock.Buffer())
    assert either.cancel(gone) == 0
    assert either.take_all() == []


@pytest.mark.parametrize(
    "code",
    ["HOST_NOT_FOUND", "TRY_AGAIN", "NO_RECOVERY", "NO_DATA", "NOBUFS", "FAULT", "NETDOWN"],
)
def test_c1_what_the_resolver_reports_comes_in_the_message(either, code):
    found = getattr(winsock.Code, code, None) or getattr(winsock.Code, f"E{code}")
    asked = either.ask()
    either.fail(found)
    assert either.take_all() == [(asked.handle, found, 0)]
    assert asked.buffer.entry is None


def test_c2_a_second_cancel_is_a_duplicate_of_the_first(either):
    asked = either.ask()
    assert either.cancel(asked) == 0
    assert either.cancel(asked) == either.too_late
    first, _ = either.events(CancelRequested)
    (outcome,) = either.events(CancelOutcome)
    assert (outcome.outcome, outcome.other) == (Outcome.DUPLICATE, first.cancel)


def test_c2_a_lookup_that_failed_was_posted_like_any(either):
    asked = either.ask()
    either.fail(winsock.Code.HOST_NOT_FOUND)
    assert either.cancel(asked) == either.too_late
    assert either.take_all() == [(asked.handle, NO_HOST, 0)]
    assert either.cancel(asked) == either.too_late


def test_c3_a_single_queue_serves_in_order(new_stage):
    stage = new_stage(running_max=1)
    asked = [stage.ask(str(number)) for number in range(4)]
    for number in range(4):
        assert len(stage.twin.pending) == 1, number
        stage.answer()
    assert [handle for handle, _, _ in stage.take_all()] == [each.handle for each in asked]


def test_c3_lookups_may_end_in_any_order(either):
    first, second = either.ask("1"), either.ask("2")
    either.answer(second)
    either.answer(first)
    assert [handle for handle, _, _ in either.take_all()] == [second.handle, first.handle]


def test_c4_a_cancelled_blocking_call_is_interrupted(new_stage, profile):
    stage: Stage = new_stage(profile, version=(1, 1))
    with refused(INTERRUPTED):
        stage.app.blocking_call("recv", stage.app.cancel_blocking_call)
    assert code_of(stage.app.cancel_blocking_call) == INVALID
