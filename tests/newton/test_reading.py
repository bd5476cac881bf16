"""What reads the buffer: Input, Partial, PartialScript, Flush, receive; over the twin's receiver.

Scenarios 22 and 23 of spec/newton.md section 8, and its sections 3.3, 5.9 and 6.16.
"""

import io

import pytest

from rescind import newton
from rescind.actors.newton._forms import encode
from rescind.events import Completed, PartialDue, PartialScript, Received, read

from .stage import CANCELED, IN_PROGRESS, NOT_CONNECTED, SPEC_ACTIVE, WRONG_STATE, code_of, refused

NO_SPEC = -54000
NOT_FOR_THIS_FORM = -54015
NO_PARTIAL = -54006
LINE = newton.Termination(end_sequence="\n")


def feed(stage, data):
    stage.settle()
    stage.twin.feed(data)
    stage.settle()


# --- Input() -----------------------------------------------------------------------------------


def test_input_hands_over_all_that_is_buffered_without_a_terminator(either):
    ends = []
    spec = either.input_spec("I", termination=LINE)
    spec.input_script = lambda _ep, data, terminator, _options: ends.append((data, terminator))
    either.endpoint.set_input_spec(spec)
    feed(either, b"half a li")
    either.endpoint.input()
    either.settle()
    assert ends == [("half a li", None)]
    feed(either, b"ne\n")
    assert ends[1:] == [("ne\n", newton.Terminator("endSequence", 3, 0))]


def test_input_with_nothing_buffered_calls_nothing(either):
    either.arm("I", termination=LINE)
    either.settle()
    either.endpoint.input()
    either.settle()
    assert either.heard == []


def test_scenario_22_inside_a_script_that_input_has_called_the_spec_is_still_active(either):
    codes = []

    def replace(_data):
        codes.append(code_of(lambda: either.arm("J")))
        codes.append(code_of(lambda: either.endpoint.set_input_spec(None)))

    either.arm("I", replace, termination=LINE)
    feed(either, b"some")
    either.endpoint.input()
    either.settle()
    assert codes == [SPEC_ACTIVE, SPEC_ACTIVE]
    either.cancel("X")
    either.settle()
    assert either.heard == [("I", "some"), ("I", CANCELED), ("X", None)]


def test_scenario_22_a_script_that_input_has_called_posts_nothing_again(either):
    either.arm("I", termination=LINE)
    feed(either, b"some")
    either.endpoint.input()
    either.settle()
    assert either.twin.asked.count("Input") == 1


def test_input_beside_a_piece_that_has_just_come_hands_over_each_byte_once(either):
    stage = either
    stage.arm("I", termination=LINE)
    stage.settle()
    stage.twin.feed(b"one\ntw")
    stage.endpoint.input()
    stage.settle()
    stage.endpoint.input()
    feed(stage, b"o\n")
    assert "".join(data for _, data in stage.heard) == "one\ntwo\n"
    assert stage.heard[0] == ("I", "one\n")


def test_input_and_partial_need_an_active_spec_of_their_forms(either):
    for call in (either.endpoint.input, either.endpoint.partial):
        with refused(NO_SPEC):
            call()
    either.arm("N", form="number")
    with refused(NOT_FOR_THIS_FORM):
        either.endpoint.input()
    with refused(NO_PARTIAL):
        either.endpoint.partial()


# --- Partial() and the flushes -----------------------------------------------------------------


def test_partial_returns_what_is_buffered_and_leaves_it(either):
    either.arm("I", termination=LINE)
    either.settle()
    assert either.endpoint.partial() is None
    feed(either, b"half")
    assert either.endpoint.partial() == "half"
    assert either.endpoint.partial() == "half"
    feed(either, b" a line\n")
    assert either.heard == [("I", "half a line\n")]


def test_flush_partial_drops_what_was_seen_and_no_more(either):
    either.arm("I", termination=LINE)
    feed(either, b"seen")
    assert either.endpoint.partial() == "seen"
    feed(either, b"unseen")
    either.endpoint.flush_partial()
    assert either.endpoint.partial() == "unseen"
    feed(either, b"\n")
    assert either.heard == [("I", "unseen\n")]


def test_flush_input_drops_all_that_is_buffered(either):
    either.arm("I", termination=LINE)
    feed(either, b"never")
    either.endpoint.flush_input()
    feed(either, b"line\n")
    assert either.heard == [("I", "line\n")]


def test_section_5_9_what_is_buffered_outlives_a_cancel(either):
    either.arm("I", termination=LINE)
    feed(either, b"half")
    either.cancel("X")
    either.settle()
    either.arm("J", termination=LINE)
    feed(either, b"line\n")
    assert either.heard == [("I", CANCELED), ("X", None), ("J", "halfline\n")]


def test_section_6_16_what_is_buffered_completes_a_new_spec_at_once(either):
    either.arm("I", lambda _data: either.arm("J", termination=LINE), termination=LINE)
    feed(either, b"one\ntwo\nthree\n")
    assert either.heard == [("I", "one\n"), ("J", "two\n"), ("J", "three\n")]


# --- PartialScript -----------------------------------------------------------------------------


def partial_spec(stage, **slots):
    spec = stage.input_spec("I", termination=LINE, partial_frequency_s=0.1, **slots)
    spec.partial_script = lambda _endpoint, data: stage.heard.append(("partial", data))
    return spec


def test_partial_input_is_shown_in_its_own_time_and_only_if_there_is_more(either):
    stage = either
    stage.endpoint.set_input_spec(partial_spec(stage))
    feed(stage, b"a")
    feed(stage, b"b")
    assert stage.heard == []
    stage.advance(0.1)
    assert stage.heard == [("partial", "ab")]
    stage.advance(1)
    assert stage.heard == [("partial", "ab")]
    feed(stage, b"c")
    stage.advance(0.1)
    assert stage.heard[1:] == [("partial", "abc")]


def test_a_partial_script_may_flush_what_it_was_shown(either):
    spec = partial_spec(either)
    spec.partial_script = lambda endpoint, data: (
        either.heard.append(("partial", data)),
        endpoint.flush_partial(),
    )
    either.endpoint.set_input_spec(spec)
    for letter in (b"a", b"b"):
        feed(either, letter)
        either.advance(0.1)
    assert either.heard == [("partial", "a"), ("partial", "b")]


def test_a_partial_script_that_raises_is_reported_and_the_spec_goes_on(either):
    spec = partial_spec(either)

    def fail(_endpoint, _data):
        raise ValueError("oops")

    spec.partial_script = fail
    either.endpoint.set_input_spec(spec)
    feed(either, b"a")
    either.advance(0.1)
    assert [report["debug"] for report in either.take_reports()] == ["partialscript"]
    feed(either, b"b\n")
    assert either.heard == [("I", "ab\n")]


def test_no_partial_script_is_called_after_its_spec_has_ended(either):
    either.endpoint.set_input_spec(partial_spec(either))
    feed(either, b"a")
    either.cancel("X")
    either.settle()
    either.advance(1)
    assert either.heard == [("I", CANCELED), ("X", None)]


def test_a_new_spec_has_its_own_time_for_partial_input(either):
    stage = either
    stage.endpoint.set_input_spec(partial_spec(stage))
    feed(stage, b"a")
    stage.advance(0.05)
    stage.endpoint.cancel()
    stage.heard.clear()
    stage.endpoint.set_input_spec(partial_spec(stage))
    stage.advance(0.06)
    assert stage.heard == []
    stage.advance(0.05)
    assert stage.heard == [("partial", "a")]


def test_a_receive_is_shown_what_waited_for_it(either):
    stage = either
    stage.endpoint.set_input_spec(partial_spec(stage))
    feed(stage, b"a")
    stage.endpoint.cancel()
    stage.heard.clear()
    stage.endpoint.receive(partial_spec(stage), asynchronous=True)
    stage.advance(0.1)
    assert stage.heard == [("partial", "a")]


def test_partial_input_stands_in_the_log_with_what_made_it_due(either):
    either.endpoint.set_input_spec(partial_spec(either))
    feed(either, b"a")
    either.advance(0.1)
    turns = {turn.number: turn for turn in read(either.runtime.log)}
    shown = [turn for turn in turns.values() if isinstance(turn.message, PartialScript)]
    causes = [turn.cause for turn in shown if turn.cause is not None]
    assert [type(turns[cause.number].message) for cause in causes] == [PartialDue]


# --- receive: one piece, without scripts ---------------------------------------------------------


def test_a_receive_completes_with_one_piece_and_leaves_the_rest(either):
    first = either.endpoint.receive(newton.InputSpec(termination=LINE), asynchronous=True)
    feed(either, b"one\ntwo\n")
    piece = first.get()
    assert piece == newton.Piece("one\n", newton.Terminator("endSequence", 4, 0), None)
    assert either.endpoint.receive(newton.InputSpec(termination=LINE)).get().data == "two\n"


def test_a_receive_is_canceled_like_everything_else(either):
    request = either.endpoint.receive(newton.InputSpec(termination=LINE), asynchronous=True)
    either.output("A")
    either.cancel("X")
    with refused(CANCELED):
        request.get()
    either.settle()
    assert either.heard == [("A", CANCELED), ("X", None)]
    either.take_reports()


def test_there_is_one_receive_or_spec_at_a_time(either):
    request = either.endpoint.receive(newton.InputSpec(termination=LINE), asynchronous=True)
    with refused(SPEC_ACTIVE):
        either.endpoint.receive(newton.InputSpec(), asynchronous=True)
    with refused(SPEC_ACTIVE):
        either.arm("I")
    with refused(NO_SPEC):
        either.endpoint.input()
    feed(either, b"line\n")
    assert request.get().data == "line\n"
    codes = []
    receive = lambda _data: codes.append(  # noqa: E731
        code_of(lambda: either.endpoint.receive(newton.InputSpec(), asynchronous=True))
    )
    either.arm("I", receive, termination=LINE)
    feed(either, b"line\n")
    assert codes == [SPEC_ACTIVE]


def test_what_had_come_in_can_be_received_after_the_peers_last_word(either):
    spec = newton.InputSpec(termination=LINE)
    either.twin.feed(b"one\ntwo\n")
    either.twin.release_remotely()
    either.settle()
    assert either.state is newton.State.IN_REL
    assert [either.endpoint.receive(spec).get().data for _ in range(2)] == ["one\n", "two\n"]
    with refused(NOT_CONNECTED):
        either.endpoint.receive(spec)
    with refused(WRONG_STATE):
        either.arm("I")


def test_a_receive_in_a_window_is_refused(either_held):
    either_held.outputs("A")
    either_held.cancel("X")
    with refused(IN_PROGRESS):
        either_held.endpoint.receive(newton.InputSpec())
    either_held.finish_kill()


def test_data_starts_the_time_out_of_a_receive_anew(either):
    spec = newton.InputSpec(termination=LINE, timeout_s=0.1)
    request = either.endpoint.receive(spec, asynchronous=True)
    for _ in range(10):
        either.advance(0.06)
        feed(either, b".")
    assert not request.is_done
    either.advance(0.2)
    with refused(CANCELED):
        request.get()
    either.take_reports()


def test_a_piece_stands_in_the_log_once(either):
    request = either.endpoint.receive(newton.InputSpec(termination=LINE), asynchronous=True)
    feed(either, b"line\n")
    assert request.get().data == "line\n"
    turn = next(turn for turn in read(either.runtime.log) if isinstance(turn.message, Received))
    assert turn.message.data == "line\n"
    (completed,) = [event for event in turn.events if isinstance(event, Completed)]
    assert completed.value is None


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slots", "raw", "data"),
    [
        ({"form": "char"}, b"ab", "a"),
        ({"form": "number"}, b"\xff\xff\xff\xfe", -2),
        ({"form": "bytes", "termination": newton.Termination(byte_count=2)}, b"abc", b"ab"),
        ({"termination": newton.Termination(end_sequence=["\r", b"\n", 0])}, b"a\0", "a\0"),
        (
            {"termination": LINE, "filter": newton.Filter({"\r": None, 9: " "})},
            b"a\tb\r\n",
            "a b\n",
        ),
        ({"termination": LINE, "filter": newton.Filter(seven_bit=True)}, b"\xe1\x8a", "a\n"),
        ({"termination": LINE, "discard_after": 3}, b"abcdef\n", "ef\n"),
        (
            {"form": "template", "target": newton.Template([0, 0], ["short", "long"])},
            b"\0\1\0\0\0\2",
            [1, 2],
        ),
        ({"form": "frame"}, b"\0\0\0\4\x81\xa1a\x01", {"a": 1}),
    ],
)
def test_input_is_translated_as_its_spec_says(either, slots, raw, data):
    either.arm("I", **slots)
    feed(either, raw)
    assert either.heard[0] == ("I", data)


def test_binary_data_is_received_in_place(either):
    target = bytearray(b"........")
    either.arm("I", form="binary", target=newton.InputTarget(target, 2))
    feed(either, b"abc")
    feed(either, b"def")
    assert bytes(target) == b"..abcdef"
    assert either.heard[0][1] is target


def test_a_frame_that_is_none_ends_the_receive_with_a_code(either):
    request = either.endpoint.receive(newton.InputSpec(form="frame"), asynchronous=True)
    feed(either, b"\0\0\0\1\xc1")
    with refused(-36010):
        request.get()
    either.take_reports()


def test_packets_end_pieces_where_the_tool_says_so(either):
    either.arm("I", rcv_flags=newton.SendFlag.PACKET)
    either.settle()
    either.twin.feed(b"half ", eop=False)
    feed(either, b"packet")
    assert either.heard == [("I", "half packet")]


def test_receive_options_are_used_once_and_told_with_the_first_piece(new_stage, profile):
    stage = new_stage(profile, options={"gain": True, "level": False}).connect()
    heard = []
    spec = newton.InputSpec(
        lambda _ep, _data, _terminator, options: heard.append(options),
        termination=LINE,
        rcv_options=[newton.Option("gain", 3), newton.Option("level", 1)],
    )
    stage.endpoint.set_input_spec(spec)
    feed(stage, b"one\ntwo\n")
    assert [option.result for option in heard[0]] == [None, -54023]
    assert heard[1] is None


def test_options_are_returned_with_their_results_and_fail_no_request(new_stage, profile):
    stage = new_stage(profile, options={"speed": True, "level": False})
    asked = [newton.Option("speed", 9600), newton.Option("level", 1), newton.Option("colour")]
    answered = stage.endpoint.option(asked).get()
    assert [(each.label, each.data, each.result) for each in answered] == [
        ("speed", 9600, None), ("level", 1, -54023), ("colour", None, -54024),
    ]  # fmt: skip
    told = []
    stage.endpoint.bind(
        newton.CallbackSpec(
            True, None, lambda _ep, options, result: told.append((options, result))
        ),
        options=newton.Option("colour"),
    )
    stage.settle()
    assert [(options[0].result, result) for options, result in told] == [(-54024, None)]


# --- streaming -----------------------------------------------------------------------------------


CHUNK = 16 * 1024
CONTROL = frozenset({"Bind", "Connect", "Disconnect"})


@pytest.fixture
def streaming(new_stage, profile):
    stage = new_stage(profile, at_once=CONTROL | {"Output", "StreamOut"})
    stage.endpoint.dispose()
    stage.twin = type(stage.twin)(at_once=stage.twin.at_once)
    stage.endpoint = newton.StreamingEndpoint(stage.runtime, stage.twin, profile=profile)
    return stage.connect()


FRAME = {"text": "x" * 100_000, "numbers": list(range(100))}


def wire(stage):
    return b"".join(stage.twin.sent)


def test_a_frame_streams_out_in_chunks_and_says_how_far_it_is(streaming):
    told = []

    def tell(_endpoint, done, total):
        told.append((done, total))
        return True

    spec = newton.StreamSpec(progress_script=tell)
    streaming.endpoint.stream_out(FRAME, spec)
    sent = wire(streaming)
    assert len(streaming.twin.sent) == len(told) > 5
    assert told[-1] == (len(sent), len(sent))
    assert int.from_bytes(sent[:4], "big") == len(sent) - 4


def test_scenario_49_a_progress_script_that_says_no_stops_it_without_an_error(streaming):
    spec = newton.StreamSpec(progress_script=lambda _ep, done, _total: done < 40_000)
    streaming.endpoint.stream_out(FRAME, spec)
    assert len(wire(streaming)) == 3 * CHUNK


def test_nothing_comes_between_the_chunks_of_a_frame_nor_after_one_that_was_given_up(streaming):
    told = []

    def tell(endpoint, done, _total):
        told.append((done, code_of(lambda: endpoint.output(b"between", asynchronous=True).get())))
        return len(told) < 2

    streaming.endpoint.stream_out(FRAME, newton.StreamSpec(progress_script=tell))
    assert told == [(CHUNK, NOT_CONNECTED), (2 * CHUNK, NOT_CONNECTED)]
    with refused(NOT_CONNECTED):
        streaming.endpoint.output(b"after")
    streaming.endpoint.disconnect()
    streaming.endpoint.connect()
    streaming.endpoint.output(b"anew")


def test_a_cancel_between_two_chunks_leaves_the_connection_of_no_use(streaming):
    raw = encode(FRAME, "frame")
    streaming.twin.at_once -= {"Output", "StreamOut"}
    streaming.endpoint.event_handler = lambda _ep, event: streaming.events.append(event)
    streaming.twin.reactions[raw[:CHUNK]] = streaming.twin.complete_next
    cancel = lambda: streaming.endpoint.cancel(asynchronous=True)  # noqa: E731
    streaming.while_blocked_in(raw[CHUNK : 2 * CHUNK], cancel)
    with refused(CANCELED):
        streaming.endpoint.stream_out(FRAME, newton.StreamSpec())
    streaming.settle()
    (event,) = streaming.events
    assert (event.data["sent"], event.data["length"]) == (CHUNK, len(raw))
    with refused(NOT_CONNECTED):
        streaming.endpoint.output("after")


def test_a_frame_streams_in_as_it_streamed_out(streaming):
    streaming.endpoint.stream_out(FRAME, newton.StreamSpec())
    streaming.twin.feed(wire(streaming))
    assert streaming.endpoint.stream_in(newton.StreamSpec()) == FRAME


def test_a_store_takes_a_frames_bytes_as_they_come(streaming):
    streaming.endpoint.stream_out(FRAME, newton.StreamSpec())
    streaming.twin.feed(wire(streaming))
    store = io.BytesIO()
    count = streaming.endpoint.stream_in(newton.StreamSpec(store=store, bytes_max=10))
    assert store.getvalue() == wire(streaming)[4:]
    assert count == len(store.getvalue())


def test_a_frame_that_is_too_long_to_keep_is_refused(streaming):
    streaming.twin.feed(b"\x7f\xff\xff\xff")
    with refused(-16004):
        streaming.endpoint.stream_in(newton.StreamSpec(bytes_max=1000))


def test_the_device_streams_nothing_without_a_spec(streaming):
    if streaming.rom:
        for call in (streaming.endpoint.stream_in, lambda: streaming.endpoint.stream_out(FRAME)):
            with refused(-54003):
                call()
    else:
        streaming.endpoint.stream_out({"a": 1})
        assert wire(streaming) == b"\0\0\0\4\x81\xa1a\x01"


def test_a_stream_is_of_frames_and_nothing_else(streaming):
    with refused(-54001):
        streaming.endpoint.stream_out(FRAME, newton.StreamSpec(form="binary"))
    with refused(-54001):
        streaming.endpoint.stream_out(b"bytes", newton.StreamSpec())
    streaming.endpoint.set_input_spec(newton.InputSpec())
    with refused(SPEC_ACTIVE):
        streaming.endpoint.stream_in(newton.StreamSpec())
