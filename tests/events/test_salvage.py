"""Segments whose preamble is gone: what is believed of them, and what is not."""

import msgpack  # type: ignore[import-untyped]

from rescind.events import MemoryStorage, read

from .logs import FrozenStorage, open_log, segments_of, small_batches
from .mutations import framed, parsed, recovered

EPOCH_AT = 9
"""Where a block's header says its epoch, behind prefix, sort and type."""


def written(lives=1, *, is_closed=True, segment_bytes_max=900):
    storage = MemoryStorage()
    for _ in range(lives):
        log = open_log(storage=storage, segment_bytes_max=segment_bytes_max)
        small_batches(log, 5)
        if is_closed:
            log.close()
        else:
            storage.close()
    return {number: bytearray(data) for number, data in segments_of(storage).items()}


def blocks_in(data):
    found, at = [], data.find(b"RSB")
    while at >= 0:
        found.append(at - 4)
        at = data.find(b"RSB", at + 1)
    return found


def spoil(segments, number):
    """Damage a segment's preamble, and take its seal, which repeats it."""
    segments[number][60] ^= 1
    del segments[number][segments[number].index(b"RSI") - 4 :]


def turns_of(segments):
    return list(read(FrozenStorage(segments)))


def saved_of(segments):
    target, recovery = recovered(FrozenStorage(segments))
    return list(read(target)), recovery


def test_a_log_of_one_segment_without_preamble_and_seal_is_saved_when_two_blocks_agree():
    segments = written(is_closed=False, segment_bytes_max=1 << 20)
    assert list(segments) == [1]
    whole = turns_of(segments)
    segments[1][60] ^= 1
    turns, recovery = saved_of(segments)
    # What the numbers of kinds stand for is gone with the preamble; it is not made up.
    assert [(t.number, t.epoch, t.actor, t.by) for t in turns] == [
        (t.number, t.epoch, t.actor, t.by) for t in whole
    ]
    assert turns[0].message.name == "kind 1"
    assert recovery.guessed == (1,)


def test_a_single_block_that_no_other_confirms_is_not_believed():
    segments = written(is_closed=False, segment_bytes_max=1 << 20)
    first, second, *_ = blocks_in(segments[1])
    segments[1][60] ^= 1
    del segments[1][second:]
    # Whatever its header says, some salt makes its checksum right.
    segments[1][first + EPOCH_AT] ^= 0x40
    turns, recovery = saved_of(segments)
    assert turns == []
    assert recovery.guessed == ()


def test_a_header_that_only_a_salt_of_its_own_confirms_is_not_believed():
    segments = written(2)
    whole = turns_of(segments)
    last = max(segments)
    for number in segments:
        if number > 1:
            spoil(segments, number)
    for at in blocks_in(segments[last]):
        segments[last][at + EPOCH_AT] ^= 0x40
    turns, recovery = saved_of(segments)
    assert last not in recovery.guessed
    assert 3 in recovery.guessed
    assert turns == whole[: len(turns)]


def test_a_segment_in_another_ones_place_is_not_believed_when_its_preamble_is_gone():
    segments = written(2)
    whole = turns_of(segments)
    last = max(segments)
    spoil(segments, last)
    segments[3] = segments.pop(last)
    readable = turns_of(segments)
    turns, recovery = saved_of(segments)
    assert recovery.guessed == ()
    assert turns == readable
    assert [turn for turn in whole if turn in turns] == turns


def test_a_binding_of_values_that_no_writer_gives_costs_no_record():
    segments = written()
    whole = turns_of(segments)
    preamble, blocks = parsed(segments, 1)
    unpacker = msgpack.Unpacker()
    unpacker.feed(blocks[0].body)
    actors_next, bindings = next(unpacker)
    odd = [*bindings, ["who", 99, msgpack.ExtType(1, b"\xff")]]
    blocks[0].body = msgpack.packb([actors_next, odd]) + blocks[0].body[unpacker.tell() :]
    segments[1] = framed(1, preamble, blocks)
    turns, _ = saved_of(segments)
    assert turns == whole
