"""A log as a trace: Perfetto's own trace processor reads it, and says in SQL what is in it."""

import importlib

import pytest

from rescind.events import (
    Accepted,
    Origin,
    SlowTurn,
    Tell,
)
from rescind.replay import TurnFilter
from rescind.replay._export import perfetto as _perfetto
from rescind.replay._export.perfetto import FLOWS_MAX, perfetto_trace
from rescind.replay._export.wire import number, varint

from .recording import CANCELED, MS, Recording, everything, incident
from .trace_processor import TraceProcessor


def trace(turns):
    return b"".join(perfetto_trace(turns, "shop"))


@pytest.fixture(scope="module")
def story():
    with TraceProcessor(trace(everything().turns)) as processor:
        yield processor


def lives(processor):
    return processor.query("select s.name, s.dur from slice s where s.name glob 'r[0-9]* [A-Z]*'")


def args(processor, name):
    rows = processor.query(
        "select key, display_value from slice s join args using (arg_set_id)"
        f" where s.name = '{name}' and key glob 'debug.*'"
    )
    return {key.removeprefix("debug."): value for key, value in rows}


# --- a part of a log ------------------------------------------------------------------------------


def test_of_a_part_only_its_turns_are_drawn_and_codes_keep_their_names():
    turns = everything().turns
    part = b"".join(perfetto_trace(turns, "shop", TurnFilter(about=4)))
    with TraceProcessor(part) as processor:
        found = lives(processor)
        assert [name for name, _ in found] == ["r4 Output", "r9 Cancel"], "and what ended it"
        assert {duration > 0 for _, duration in found} == {True}, "drawn to their ends"
        sql = "select name from slice where name glob 'completed: *'"
        assert processor.query(sql)[0] == (f"completed: {CANCELED} REQUEST_CANCELED",)


def test_of_no_turn_there_is_no_trace_and_of_no_log_an_empty_one():
    pieces = perfetto_trace(everything().turns, "shop", TurnFilter(first=10_000))
    assert b"".join(pieces) == b""
    assert trace([]) != b""


def test_a_trace_reads_no_further_than_it_needs():
    def log():
        yield from everything().turns[:3]
        raise AssertionError("read on")

    assert b"".join(perfetto_trace(log(), "shop", TurnFilter(last=2)))
    assert b"".join(perfetto_trace(log(), "shop", limit=2))


# --- read by the project's own trace processor ---------------------------------------------------


def test_the_trace_processor_has_nothing_to_complain_of(story):
    wrong = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
    assert story.query(wrong) == []


def test_every_request_is_a_slice_from_its_submission_to_its_delivery(story):
    accepted = {
        event.request: (turn.time_ns, event.operation)
        for turn in everything().turns
        for event in turn.events
        if isinstance(event, Accepted)
    }
    found = story.query("select ts, name from slice where name glob 'r[0-9]* [A-Z]*' and dur != 0")
    drawn = {int(name.split()[0][1:]): (ts, name.split()[1]) for ts, name in found}
    assert drawn == accepted


def test_a_request_holds_its_work_and_its_wait_for_delivery(story):
    sql = (
        "select c.name, c.dur from slice c join slice p on c.parent_id = p.id"
        " where p.name = 'r4 Output' order by c.ts"
    )
    steps = story.query(sql)
    assert steps == [
        ("started", 8 * MS // 10),
        (f"completed: {CANCELED} REQUEST_CANCELED", MS // 2),
    ]


def test_a_refusal_is_a_moment_with_its_rule_and_its_line(story):
    shown = args(story, "r10 Output refused: -36003 TACCESS")
    assert (shown["request"], shown["rule"], shown["code"]) == ("r10", "N-36003-window", "-36003")
    assert shown["by"].endswith("shop/demo.py:41 in sent")


def test_a_window_is_a_slice_that_says_who_asked_and_how_it_ended(story):
    shown = args(story, "c9 Cancel")
    assert (shown["cancel"], shown["trigger"], shown["asked_by"]) == ("c9", "Cancel", "r9")
    assert shown["turn"] == "11"
    assert shown["by"].endswith("stop_everything")
    assert story.query("select dur from slice where name = 'c9 Cancel'") == [(11 * MS // 10,)]


def test_arrows_lead_from_the_request_to_its_window_and_from_there_to_the_victims(story):
    rows = story.query(
        "select a.name as cause, b.name as effect, p.name as victim from flow"
        " join slice a on flow.slice_out = a.id join slice b on flow.slice_in = b.id"
        " left join slice p on b.parent_id = p.id"
    )
    assert ("r9 Cancel", "c9 Cancel") in {row[:2] for row in rows}
    assert ("timed out", "c16 time-out") in {row[:2] for row in rows}
    victims = {row[2] for row in rows if row[0] == "began"}
    assert {"r3 Input", "r4 Output", "r8 Option", "r14 Output"} <= victims


def test_an_endpoint_s_state_is_a_slice_until_the_next(story):
    names = story.query(
        "select s.name from slice s join track t on s.track_id = t.id where t.name = 'state'"
    )
    assert names == [("kDataXfer",)]


def test_tracks_lie_below_their_endpoint_and_rows_are_used_again(story):
    rows = story.query(
        "select p.name as parent, t.name, count(*) as rows from track t"
        " join track p on t.parent_id = p.id where p.name glob 'a1*' group by t.name order by 2"
    )
    found = {name: count for _, name, count in rows}
    assert {parent for parent, _, _ in rows} == {"a1 newton endpoint"}
    # Seven are open at once: r3 to r9.
    assert found == {"cancel windows": 1, "moments": 1, "requests": 7, "state": 1}


def test_what_the_end_of_a_log_leaves_open_is_open_in_the_trace():
    r = Recording()
    r.open()
    r.call("Output")
    with TraceProcessor(trace(r.turns)) as processor:
        assert lives(processor) == [("r2 Output", -1)]


def test_a_clock_that_was_set_back_makes_no_slice_of_negative_length():
    r = Recording()
    r.open()
    output = r.call("Output")
    r.time_ns -= 60_000 * MS
    r.answer(output)
    r.deliver([output])
    with TraceProcessor(trace(r.turns)) as processor:
        assert lives(processor) == [("r2 Output", 0)]


@pytest.mark.parametrize("time_ns", [-5, 0, 1 << 70])
def test_an_impossible_time_is_drawn_at_the_nearest_that_can_be(time_ns):
    r = Recording(time_ns=time_ns)
    r.open()
    r.call("Output")
    with TraceProcessor(trace(r.turns)) as processor:
        assert [name for name, _ in lives(processor)] == ["r2 Output"]


def test_an_actor_s_own_messages_are_moments_and_a_slow_turn_has_its_length():
    r = Recording()
    endpoint = r.open()
    r.turn(endpoint, Origin.APP, None, Tell("x\x1b[2J<script>"), SlowTurn(3 * MS))
    with TraceProcessor(trace(r.turns)) as processor:
        assert processor.query("select dur from slice where name = 'turn 2'") == [(3 * MS,)]
        told = processor.query("select name from slice where name glob 'Tell*'")
        assert told == [("Tell value='x\\x1b[2J<script>'",)]


def test_an_empty_log_is_an_empty_trace():
    with TraceProcessor(trace([])) as processor:
        assert processor.query("select count(*) as n from slice") == [(0,)]


def test_a_cancel_of_very_many_has_an_arrow_to_the_first_of_them():
    r = Recording()
    r.open()
    outputs = [r.call("Output") for _ in range(3 * FLOWS_MAX)]
    r.kill(r.cancel(outputs), outputs)
    with TraceProcessor(trace(r.turns)) as processor:
        began = (
            "select count(*) as n from flow join slice s on slice_out = s.id where s.name = 'began'"
        )
        assert processor.query(began) == [(FLOWS_MAX,)]


def test_more_than_can_be_drawn_at_once_is_counted(monkeypatch):
    monkeypatch.setattr(_perfetto, "SLICES_MAX", 3)
    r = Recording()
    r.open()
    for _ in range(5):
        r.call("Output")
    with TraceProcessor(trace(r.turns)) as processor:
        assert len(lives(processor)) == 3
        more = processor.query("select name from slice where name glob '*than are drawn'")
        assert more == [("2 more were open at once than are drawn",)]


# --- read by the project's own parser ------------------------------------------------------------


def parsed(turns):
    reason = "the package perfetto, which brings the trace format, is not here"
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason=reason)
    read_back = protos.Trace()
    read_back.ParseFromString(trace(turns))
    return read_back


def test_the_trace_format_knows_every_field_that_is_written():
    read_back = parsed(everything().turns)
    assert read_back.packet
    assert not any(unknown_fields(packet) for packet in read_back.packet)


def unknown_fields(packet):
    """Return whether a message, or one inside it, has fields that its format does not know."""
    sets = importlib.import_module("google.protobuf.unknown_fields")
    if len(sets.UnknownFieldSet(packet)):
        return True
    return any(
        unknown_fields(each)
        for field, value in packet.ListFields()
        if field.message_type is not None
        for each in (value if field.is_repeated else [value])
    )


def test_every_slice_that_ends_was_begun_on_its_track():
    depth: dict[int, int] = {}
    for packet in parsed(everything().turns).packet:
        if packet.HasField("track_event"):
            event = packet.track_event
            change = {1: 1, 2: -1, 3: 0}[event.type]
            depth[event.track_uuid] = depth.get(event.track_uuid, 0) + change
            assert depth[event.track_uuid] >= 0
    assert sum(depth.values()) > 0 or set(depth.values()) == {0}


# --- without anything of that project ------------------------------------------------------------


def test_numbers_are_written_as_protobuf_writes_them():
    assert [varint(value).hex() for value in (0, 127, 128, 300)] == ["00", "7f", "8001", "ac02"]
    assert number(4, -1).hex() == "20" + "ff" * 9 + "01"


def test_a_trace_comes_in_pieces_as_turns_do():
    turns = incident().turns
    pieces = perfetto_trace(iter(turns), "shop")
    assert next(pieces)
    assert sum(1 for _ in pieces) == len(turns)
