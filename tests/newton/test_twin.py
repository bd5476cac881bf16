"""The scripted twin before a port that notes what it is told: what of it is no test's answer."""

from typing import Any

import pytest

from rescind.actors.newton._forms import encode
from rescind.actors.newton._protocol import OPERATIONS
from rescind.actors.newton.drivers import TwinTool

from .receiving import NOT_CONNECTED, FakePort

EVERYTHING = frozenset(OPERATIONS)
FRAME = {"a": "x" * 100}
NOT_SUPPORTED = -54024
READ_ONLY = -54023
SET, GET = 512, 1024


def open_twin(**settings: Any) -> tuple[TwinTool, FakePort]:
    port = FakePort()
    twin = TwinTool(**settings)
    twin.open(port)
    return twin, port


@pytest.fixture
def scene() -> tuple[TwinTool, FakePort]:
    return open_twin()


# --- input ---------------------------------------------------------------------------------------


def test_bytes_from_outside_go_through_a_real_receiver(scene):
    twin, port = scene
    twin.perform(1, "Input", ({"end_sequence": [b"\n"], "seven_bit": True}, None))
    twin.feed(b"a\xe2")
    assert twin.partial() == "ab"
    assert list(twin.pending) == [1]
    twin.feed(b"\nrest")
    assert port.calls == [("arrived", 1), ("received", 1, "ab\n", ["endSequence", 0, 3], None)]
    assert not twin.pending


def test_a_receive_that_finds_its_piece_is_not_pending(scene):
    twin, port = scene
    twin.feed(b"ab")
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    assert port.pieces == ["ab"]
    assert not twin.pending


def test_packets_end_where_the_test_says(scene):
    twin, port = scene
    twin.perform(1, "Input", ({"rcv_flags": 2}, None))
    twin.feed(b"a", eop=False)
    twin.feed(b"b")
    assert port.pieces == ["ab"]


def test_binary_data_is_put_into_its_target(scene):
    twin, port = scene
    target = bytearray(2)
    twin.perform(1, "Input", ({"form": "binary"}, memoryview(target)))
    twin.feed(b"ab")
    assert target == b"ab"
    assert port.pieces == [b"ab"]


def test_take_leaves_the_receive_pending(scene):
    twin, port = scene
    twin.perform(1, "Input", ({}, None))
    twin.feed(b"ab")
    twin.perform(1, "Take", ())
    assert (port.pieces, port.ends) == (["ab"], [None])
    assert list(twin.pending) == [1]


def test_flush_drops_what_is_buffered(scene):
    twin, _ = scene
    twin.perform(1, "Input", ({}, None))
    twin.feed(b"ab")
    twin.flush(partial=True)
    assert twin.partial() == "ab"
    twin.flush(partial=True)
    assert twin.partial() is None
    twin.feed(b"cd")
    twin.flush(partial=False)
    assert twin.partial() is None


def test_a_ready_piece_passes_by_what_is_buffered(scene):
    twin, port = scene
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    twin.feed(b"a")
    twin.receive("ready", ["byteCount", None, 5])
    twin.feed(b"b")
    assert port.pieces == ["ready"]
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    assert port.pieces == ["ready", "ab"]


@pytest.mark.parametrize("how", ["kill", "complete"])
def test_a_receive_that_has_ended_receives_nothing(scene, how):
    twin, port = scene
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    if how == "kill":
        twin.kill(9, EVERYTHING)
    else:
        twin.complete(1, NOT_CONNECTED)
    twin.feed(b"ab")
    assert port.pieces == []
    twin.perform(2, "Input", ({"byte_count": 2}, None))
    assert port.pieces == ["ab"]


def test_a_kill_of_outputs_leaves_the_receive(scene):
    twin, port = scene
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    twin.perform(2, "Output", ("data",))
    twin.kill(9, frozenset({"Output"}))
    twin.feed(b"ab")
    assert port.pieces == ["ab"]
    assert not twin.pending


def test_receives_end_once_the_stream_has_ended_and_is_used_up(scene):
    twin, port = scene
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    twin.feed(b"abcd")
    twin.release_remotely()
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    twin.perform(1, "Input", ({"byte_count": 2}, None))
    assert port.pieces == ["ab", "cd"]
    assert [call[0] for call in port.calls] == ["received", "event", "received", "answer"]
    assert port.calls[1] == ("event", 3, None)
    assert port.codes == [NOT_CONNECTED]
    assert not twin.pending


@pytest.mark.parametrize("operation", ["Connect", "Accept"])
def test_a_new_connection_begins_with_an_empty_buffer(scene, operation):
    twin, port = scene
    twin.feed(b"ab")
    twin.perform(1, operation, ())
    twin.perform(2, "Input", ({"byte_count": 2}, None))
    assert port.pieces == []


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    ["Bind", "UnBind", "Connect", "Listen", "Accept", "Disconnect", "Release", "Option"],
)
def test_options_of_a_control_operation_succeed_with_their_own_data(scene, operation):
    twin, port = scene
    twin.perform(1, operation, ([["option", "sbps", SET, 9_600]],))
    twin.perform(2, operation, ([],))
    twin.perform(3, operation, ())
    assert port.calls == [
        ("answer", 1, None, [["option", "sbps", SET, 9_600, None]]),
        ("answer", 2, None, []),
        ("answer", 3, None, None),
    ]


def test_an_option_may_be_unknown_or_read_only_and_fails_alone():
    twin, port = open_twin(options={"sbps": True, "sbav": False})
    asked = [(label, op) for label in ("sbps", "sbav", "none") for op in (SET, GET)]
    twin.perform(1, "Option", ([["option", label, op, 1] for label, op in asked],))
    [(_, _, code, value)] = port.calls
    assert code is None
    assert [each[-1] for each in value] == [
        None, None, READ_ONLY, None, NOT_SUPPORTED, NOT_SUPPORTED,
    ]  # fmt: skip


def test_options_of_an_output_are_answered_with_its_success(scene):
    twin, port = scene
    for request in (1, 2):
        slots = {"form": "bytes", "options": [["option", "a", SET, 1]]}
        twin.perform(request, "Output", ([1, 2], slots))
    twin.perform(3, "Output", ([1, 2], {"form": "bytes"}))
    twin.complete(1)
    twin.complete(2, NOT_CONNECTED)
    twin.complete(3)
    assert [call[3] for call in port.calls] == [[["option", "a", SET, 1, None]], None, None]


def test_options_of_a_receive_go_with_its_first_piece(scene):
    twin, port = scene
    slots = {"byte_count": 1, "options": [["option", "a", SET, 1]]}
    twin.perform(1, "Input", (slots, None))
    twin.feed(b"ab")
    twin.perform(1, "Input", (slots, None))
    assert [call[4] for call in port.calls] == [[["option", "a", SET, 1, None]], None]


# --- cutting Outputs short -----------------------------------------------------------------------


def test_what_the_kernel_took_is_reported_when_the_work_has_stopped(scene):
    twin, port = scene
    for request in (1, 2):
        twin.perform(request, "Output", ("data",))
    twin.take(1, 3)
    twin.kill(9, EVERYTHING)
    assert port.calls == [("killed", 9, None, {1: 3})]


def test_what_was_taken_of_an_output_that_completed_is_not_reported(scene):
    twin, port = scene
    twin.perform(1, "Output", ("data",))
    twin.take(1, 3)
    twin.complete(1)
    assert twin.taken == {}
    twin.kill(9, EVERYTHING)
    assert port.calls[-1] == ("killed", 9, None, {})


def test_a_frame_cut_short_poisons_the_connection(scene):
    twin, port = scene
    twin.perform(1, "Output", (FRAME, {"form": "frame"}))
    twin.take(1, 10)
    twin.kill(9, EVERYTHING)
    length = len(encode(FRAME, "frame"))
    assert port.calls == [
        ("event", 1, {"poisoned": 1, "sent": 10, "length": length}),
        ("killed", 9, None, {1: 10}),
    ]
    twin.perform(2, "Output", ("data",))
    twin.perform(3, "Option", ([],))
    assert port.codes == [NOT_CONNECTED, None]
    twin.perform(4, "Connect", ())
    twin.perform(5, "Output", ("data",))
    assert list(twin.pending) == [5]


def test_a_held_kill_reports_what_was_taken_when_it_is_finished():
    twin, port = open_twin(holds_kills=True)
    twin.perform(1, "Output", ("data",))
    twin.take(1, 3)
    twin.kill(9, EVERYTHING)
    assert port.calls == []
    twin.finish_kill()
    assert port.calls == [("killed", 9, None, {1: 3})]


@pytest.mark.parametrize("count", [0, 4, 5])
def test_only_a_part_of_an_output_can_be_taken(scene, count):
    twin, _ = scene
    twin.perform(1, "Output", ("data",))
    with pytest.raises(ValueError, match="part of 4"):
        twin.take(1, count)


def test_nothing_is_taken_of_what_is_not_pending(scene):
    twin, _ = scene
    with pytest.raises(LookupError):
        twin.take(1, 1)


def test_a_cut_to_a_binarys_target_counts_what_goes_over_the_wire(scene):
    twin, _ = scene
    twin.perform(1, "Output", (b"0123456789", {"form": "binary", "offset": 2, "length": 4}))
    with pytest.raises(ValueError, match="part of 4"):
        twin.take(1, 4)


def test_events_are_reported_as_the_test_says(scene):
    twin, port = scene
    twin.event(1, {"a": 1})
    twin.disconnect_remotely()
    assert port.calls == [("event", 1, {"a": 1}), ("event", 2, None)]
