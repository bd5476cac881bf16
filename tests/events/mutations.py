"""Small logs of every sort, and ways to damage them, drawn from a dice.

*Raw* damage is done as media and people do it, and checksums tell.  *Forged* damage makes all
checksums, digests and chains right again, so that a reader reaches what they guard.
"""

from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgpack  # type: ignore[import-untyped]
import pytest

from rescind.events import MemoryStorage, RescindError
from rescind.events._codec import binding_rows
from rescind.events._frame import BATCH, GAP, INDEX, KEYFRAME, SEAL, encode, seed_of
from rescind.events._index import seal_body
from rescind.events._keyframe import Entry, Pace
from rescind.events._mark import Mark
from rescind.events._msgpack import pack
from rescind.events._repair import _Copy
from rescind.events._segment import (
    Frame,
    Opening,
    Preamble,
    Window,
    encode_preamble,
    read_preamble,
    walk,
)

from .logs import FrozenStorage, open_log, segments_of, small_batches

# --- logs to begin with --------------------------------------------------------------------------


@cache
def bases():
    """Return small logs as segments: crashed, sealed, with keyframes, and recovered with gaps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rescind.events._journal.binding_rows", _few_bindings)
        crashed, sealed, keyframed = (_written(sort) for sort in ("crashed", "sealed", "keyframed"))
        return crashed, sealed, keyframed, _recovered(sealed)


def _few_bindings():
    """Return only the kinds that these logs hold: reading is mostly learning what there is."""
    used = {"Tell", "Start", "Born", "Ask", "Accepted", "Completed", "Delivered"}
    return [row for row in binding_rows() if row[2] in used]


def _written(sort):
    storage = MemoryStorage()
    for _ in range(2):
        log = open_log(storage=storage, segment_bytes_max=900)
        if sort == "keyframed":
            log.keyframes_from(_five_entries, Pace(0, 0, slice_entries=2))
        small_batches(log, 5)
        if sort == "crashed":
            storage.close()
        else:
            log.close()
    assert len(storage.segments()) > 2
    return segments_of(storage)


def _five_entries():
    return iter([Entry(actor, 1, {"n": actor}) for actor in range(1, 6)])


def _recovered(segments):
    damaged = {number: bytearray(data) for number, data in segments.items()}
    for data in damaged.values():
        data[data.rindex(b"RSB") + 60] ^= 1
    target, recovery = recovered(FrozenStorage(damaged))
    assert recovery.lost
    return segments_of(target)


def recovered(source):
    """Recover a log in memory into another; return the storage and the report."""
    target = MemoryStorage()
    target.lock()
    return target, _Copy(source, target).run(Path(), Path())


# --- raw damage ----------------------------------------------------------------------------------


def damage(segments, dice):
    """Change a log's bytes in one of the ways that media and people do."""
    number = dice.choice(sorted(segments))
    data = segments[number]
    start = dice.randrange(len(data) + 1)
    end = min(len(data), start + dice.randrange(1, 200))
    match dice.randrange(8):
        case 0:
            data[start:end] = bytes(end - start)
        case 1:
            del data[start:end]
        case 2:
            data[start:end] = dice.randbytes(end - start)
        case 3:
            data[start:start] = data[dice.randrange(len(data) + 1) :][: dice.randrange(300)]
        case 4:
            del data[start:]
        case 5:
            for at in range(start, end, dice.randint(1, 99)):
                data[at] ^= 1 << dice.randrange(8)
        case 6:
            segments[dice.choice([*range(1, 9), 12, 99_999_999, 1 << 32])] = bytearray(data)
        case _:
            del segments[number]
            segments.setdefault(dice.randint(1, 4), data)


# --- forged damage -------------------------------------------------------------------------------

HOSTILE = {
    "text of a terabyte": b"\xdb\xff\xff\xff\xff",
    "bytes of a terabyte": b"\xc6\xff\xff\xff\xff",
    "an array of a terabyte": b"\xdd\xff\xff\xff\xff",
    "a map of a terabyte": b"\xdf\xff\xff\xff\xff",
    "an extension of a terabyte": b"\xc9\xff\xff\xff\xff\x01",
    "arrays that multiply": b"\xdd\x00\x0f\xff\xff" * 900,
    "maps that multiply": b"\xdf\x00\x0f\xff\xff" * 900,
    "arrays without end": b"\x91" * 5_000,
    "maps without end": b"\x81\x01" * 5_000,
    "duplicate keys": b"\x83\x01\x02\x01\x03\xa1x\x04",
    "keys that are maps": b"\x81\x81\x01\x02\x03",
    "keys that are arrays": b"\x81\x91\x80\x03",
    "invalid UTF-8": b"\xa4\xff\xfe\xc3(",
    "control characters": b"\xa4\x1b[2J",
    "a reference": b"\xc7\x18\x02" + bytes(range(24)),
    "a reference that is too short": b"\xd4\x02\x00",
    "an opaque value": b"\xc7\x02\x01\xff\xfe",
    "an unknown extension": b"\xd6\x63abcd",
    "an impossible time": b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "the highest number": b"\xcf" + b"\xff" * 8,
    "the lowest number": b"\xd3\x80" + bytes(7),
    "no number": b"\xcb\x7f\xf8" + bytes(6),
    "a reserved byte": b"\xc1",
    "nothing": b"",
}
NUMBERS = [0, 1, 2, 3, 255, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, 1 << 63, (1 << 64) - 1]


class Block:
    """One block of a segment, whose header and body are to be changed before it is framed."""

    def __init__(self, header, body):
        self.sort, self.epoch, self.first, self.count = header[:4]
        self.body = body


def parsed(segments, number):
    """Return a segment's preamble and blocks."""
    window = Window(FrozenStorage(segments), number)
    opening = read_preamble(window)
    assert isinstance(opening, Opening)
    walked = walk(window, opening.preamble, opening.end)
    frames = [found for found in walked if isinstance(found, Frame)]
    return opening.preamble, [Block(frame.header, bytes(frame.body)) for frame in frames]


def framed(number, preamble, blocks):
    """Return a segment's bytes, every checksum, digest and link made right again."""
    data, chain = encode_preamble(preamble)
    segment, salt = _held(preamble.segment, number, 32), _held(preamble.salt, 0, 32)
    pages: list[tuple[int, bytes]] = []
    for block in blocks:
        body = block.body
        if block.sort == INDEX:
            body = _with_pages(body, pages)
            pages.append((len(data), body))
        elif block.sort == SEAL and pages:
            body = seal_body(pages[-1][1], pages[-1][0])
        header = (
            block.sort & 255,
            _held(block.epoch, 1, 32),
            _held(block.first, 1, 64),
            _held(block.count, 1, 32),
        )
        made, chain = encode(header, body, seed_of(segment, len(data), salt), chain)
        data += made
    return bytearray(data)


def _held(value, other, bits):
    """What a field can hold, for what it was to hold."""
    return value if type(value) is int and 0 <= value < 1 << bits else other


def _with_pages(body, pages):
    """Tell a directory where its pages stand now and what is in them, if it still is one."""
    with suppress(ValueError, TypeError, OverflowError):
        directory = msgpack.unpackb(body, strict_map_key=False)
        if type(directory) is dict and pages:
            directory["page_at"] = b"".join(at.to_bytes(8, "big") for at, _ in pages)
            directory["page_digest"] = b"".join(sha256(page).digest() for _, page in pages)
            return pack(directory)
    return body


def forge(segments, dice):
    """Change what a segment says, under valid checksums."""
    number = dice.choice(sorted(segments))
    try:
        preamble, blocks = parsed(segments, number)
    except (AssertionError, AttributeError, RescindError):
        return  # it was made unreadable before
    if dice.random() < 0.2 or not blocks:
        preamble = _forged_preamble(preamble, dice)
    else:
        dice.choice([_forge_header, _forge_body, _forge_body, _forge_order, _forge_added])(
            blocks, dice
        )
    with suppress(ValueError, TypeError, OverflowError):  # some lies cannot even be written down
        segments[number] = framed(number, preamble, blocks)


def _forge_header(blocks, dice):
    block = dice.choice(blocks)
    name = dice.choice(["sort", "epoch", "first", "count"])
    old = getattr(block, name)
    sorts = [BATCH, KEYFRAME, INDEX, SEAL, GAP, 0, 255]
    value = dice.choice(sorts if name == "sort" else [old - 1, old + 1, *NUMBERS])
    if name == "count" and dice.random() < 0.5:
        value = len(block.body) // 8
    setattr(block, name, value)


def _forge_body(blocks, dice):
    block = dice.choice(blocks)
    body = bytearray(block.body)
    start = dice.randrange(len(body) + 1)
    token = HOSTILE[dice.choice(sorted(HOSTILE))]
    match dice.randrange(7):
        case 0:
            body[start:start] = token
        case 1:
            body[start:] = token
        case 2:
            body[start : start + len(token)] = token
        case 3 if start < len(body):
            body[start] = dice.randrange(256)
        case 4:
            body = bytearray(_forged_map(block.body, dice))
        case 5:
            body = bytearray(dice.choice(blocks).body)
        case _:
            del body[start : start + dice.randrange(1, 9)]
    block.body = bytes(body)


def _forged_map(body, dice):
    """Change one value of a body that is a single map, as a directory is."""
    try:
        values = msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, TypeError):
        return body
    if type(values) is dict and values:
        name = dice.choice(sorted(values, key=str))
        values[name] = _forged_value(values[name], dice)
    return pack(values)


def _forged_value(old, dice):
    choices = [None, -1, "x", b"", [], {}, [[]], dice.randbytes(dice.randrange(40)), old]
    choices += [dice.choice(NUMBERS), dice.randbytes(8), [[1, 2, 3, 4], [None]]]
    if type(old) is bytes and old:
        at = dice.randrange(len(old))
        choices += [old + old, old[:-1], old[:at] + dice.randbytes(1) + old[at + 1 :]] * 4
    if type(old) is int:
        choices += [old + 1, old - 1] * 4
    if type(old) is list and old:
        changed = list(old)
        changed[dice.randrange(len(old))] = _forged_value(dice.choice(old), dice)
        choices += [changed] * 8
    return dice.choice(choices)


def _forge_order(blocks, dice):
    at, other = dice.randrange(len(blocks)), dice.randrange(len(blocks))
    match dice.randrange(4):
        case 0:
            del blocks[at]
        case 1:
            blocks[at], blocks[other] = blocks[other], blocks[at]
        case 2:
            copied = blocks[at]
            header = (copied.sort, copied.epoch, copied.first, copied.count)
            blocks.insert(other, Block(header, copied.body))
        case _:
            blocks[at].body = blocks[other].body


def _forge_added(blocks, dice):
    at = dice.randrange(len(blocks) + 1)
    near = blocks[min(at, len(blocks) - 1)]
    first, last = dice.choice([near.first, *NUMBERS]), dice.choice([near.first + 2, *NUMBERS])
    if dice.random() < 0.5:
        blocks.insert(at, Block((GAP, near.epoch, first, 0), pack((first, last, ["rot-body"]))))
        return
    entries = [(n, 1, {"n": dice.choice(NUMBERS)}) for n in range(dice.randrange(4))]
    as_of = dice.choice([0, near.first, (1 << 64) - 1])
    prelude = (dice.choice(NUMBERS), dice.choice([0, 1, *NUMBERS]), dice.random() < 0.5, as_of)
    body = b"".join(map(pack, (prelude, *entries)))
    blocks.insert(at, Block((KEYFRAME, near.epoch, first, 0), body))


def _forged_preamble(preamble, dice):
    name = dice.choice([field.name for field in fields(Preamble)])
    value = _forged_value(getattr(preamble, name), dice)
    if name == "bindings":
        rows = ("kind", "who", "site", "class", "later")
        lie = [dice.choice(rows), *(dice.choice([*NUMBERS, "x", None, []]) for _ in range(4))]
        value = [*preamble.bindings, lie]
    return replace(preamble, **{name: value})


def forged_mark(dice):
    """Return a mark that lies, or bytes that are none."""
    epoch, segment = (dice.choice([1, 2, 3, (1 << 32) - 1]) for _ in range(2))
    end, last = dice.choice([*NUMBERS, dice.randrange(3_000)]), dice.choice(NUMBERS)
    mark = Mark(epoch, segment, end, last, dice.random() < 0.5).encode()
    return mark if dice.random() < 0.8 else dice.randbytes(dice.randrange(60))
