"""Laws of the receiver: cuts show nowhere, and no thread loses or doubles a byte."""

import random
import threading
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rescind.actors.newton._forms import encode

from .receiving import NOT_CONNECTED, PACKET, Line

SLOTS = st.fixed_dictionaries(
    {"form": st.sampled_from(["string", "bytes"])},
    optional={
        "byte_count": st.integers(1, 12),
        "end_sequence": st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=3),
        "discard_after": st.integers(1, 12),
        "byte_proxy": st.lists(
            st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), max_size=2
        ),
        "seven_bit": st.booleans(),
    },
)
FRAMES = st.lists(st.integers(0, 300), max_size=4).map(
    lambda sizes: b"".join(encode({"a": "x" * size}, "frame") for size in sizes)
)
FIXED = [
    {"form": "char"},
    {"form": "number"},
    {"form": "template", "typelist": ["struct", "short", "byte"]},
]


def outcome(stream: bytes, slots: dict[str, Any], cuts: list[int]) -> tuple[Any, ...]:
    """Feed a stream cut in these places; return all that comes of it."""
    line = Line()
    line.arm(**slots)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    line.feed(*[stream[a:b] for a, b in pairwise(places)])
    rest = line.receiver.partial()
    line.receiver.end(NOT_CONNECTED, "gone")
    return line.port.pieces, line.port.ends, rest, line.port.codes


@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 0x80, 0x81]), max_size=60).map(bytes),
    SLOTS | st.sampled_from(FIXED),
    st.lists(st.integers(0, 100), max_size=12),
)
def test_how_a_stream_is_cut_into_feeds_shows_nowhere(stream, slots, cuts):
    assert outcome(stream, slots, cuts) == outcome(stream, slots, list(range(len(stream))))
    assert outcome(stream, slots, cuts) == outcome(stream, slots, [])


@given(FRAMES, st.lists(st.integers(0, 2_000), max_size=12))
def test_how_frames_are_cut_into_feeds_shows_nowhere(stream, cuts):
    whole = outcome(stream, {"form": "frame"}, [])
    assert outcome(stream, {"form": "frame"}, cuts) == whole


def model(stream: bytes, slots: dict[str, Any]) -> list[bytes]:
    """Say by looking at every single byte what the pieces are."""
    count, discard = slots.get("byte_count"), slots.get("discard_after", 1_024)
    proxies, mask = dict(slots.get("byte_proxy", ())), 0x7F if slots.get("seven_bit") else 0xFF
    pieces, piece = [], b""
    for raw in stream:
        byte = proxies.get(raw & mask, raw & mask)
        if byte is None:
            continue
        piece += bytes([byte])
        if len(piece) == count or piece.endswith(tuple(slots.get("end_sequence", ()))):
            pieces.append(piece if count else piece[-discard:])
            piece = b""
    return pieces


@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 0x80, 0x81]), max_size=60).map(bytes),
    SLOTS,
    st.lists(st.integers(0, 100), max_size=12),
)
def test_pieces_are_what_a_look_at_every_single_byte_finds(stream, slots, cuts):
    slots = {**slots, "form": "bytes"}
    assert outcome(stream, slots, cuts)[0] == model(stream, slots)


@given(
    st.lists(st.binary(min_size=1, max_size=5), max_size=8),
    st.lists(st.integers(0, 100), max_size=8),
    st.booleans(),
)
def test_packets_come_out_as_they_were_however_they_were_cut(packets, cuts, waits):
    line = Line()
    if not waits:
        line.arm(form="bytes", rcv_flags=PACKET)
    for packet in packets:
        at = cuts[0] % len(packet) if cuts else 0
        cuts = cuts[1:]
        line.receiver.feed(packet[:at], is_packet_end=False)
        line.receiver.feed(packet[at:], is_packet_end=True)
        if not waits:
            line.drain()
    if waits:
        line.arm(form="bytes", rcv_flags=PACKET)
        line.drain()
    assert line.port.pieces == packets


# --- threads -------------------------------------------------------------------------------------


def test_threads_that_post_take_and_stop_lose_and_double_no_byte():
    line = Line()
    numbers = range(20_000)
    stream = b"".join(number.to_bytes(4, "big") for number in numbers)
    chance = random.Random(1)

    def feed() -> None:
        at = 0
        while at < len(stream):
            size = chance.randrange(1, 200)
            line.receiver.feed(stream[at : at + size])
            at += size

    feeder = threading.Thread(target=feed)
    feeder.start()
    request = 0
    while feeder.is_alive():
        for slots in ({"byte_count": 7}, {"byte_count": 1_000}, {"end_sequence": [b"\0\1"]}):
            request += 1
            line.receiver.post(request, {"form": "bytes", "discard_after": 10**6, **slots}, None)
            line.receiver.partial()
            line.receiver.take(request)
            line.receiver.stop()
    feeder.join()
    line.arm(form="bytes", discard_after=10**6)
    line.receiver.take(line.request)
    assert b"".join(line.port.pieces) == stream


def test_a_flush_in_another_thread_drops_whole_stretches_and_doubles_nothing():
    line = Line()
    stream = b"".join(number.to_bytes(4, "big") for number in range(20_000))

    def feed() -> None:
        for at in range(0, len(stream), 40):
            line.receiver.feed(stream[at : at + 40])

    feeder = threading.Thread(target=feed)
    feeder.start()
    request = 0
    while feeder.is_alive():
        request += 1
        line.receiver.post(request, {"form": "bytes", "byte_count": 4}, None)
        line.receiver.partial()
        line.receiver.flush(partial=request % 2 == 0)
        line.receiver.stop()
    feeder.join()
    # Feeds and pieces are whole numbers, and so is whatever was dropped between them.
    numbers = [int.from_bytes(piece, "big") for piece in line.port.pieces]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(20_000))
