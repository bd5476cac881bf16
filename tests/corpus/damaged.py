"""Cases in which something is not as its writer wrote it, or never was finished."""

import tempfile
from pathlib import Path
from zlib import crc32

from rescind.events import LogFailedError, Tell, recover
from rescind.events._frame import BATCH, INDEX, KEYFRAME, SEAL
from rescind.events._msgpack import pack

from .shelf import (
    PRELUDE,
    Files,
    Pen,
    Shelf,
    blocks_of,
    cut,
    ends_of_batches,
    flip,
    forge,
    forged_turns,
    name_of,
    overwrite,
    story,
    tell_story,
)

FIRST, SECOND, THIRD = map(name_of, (1, 2, 3))


def continued(files: Files) -> Files:
    """Return the log as the next writer leaves it."""
    shelf = Shelf(files)
    pen = Pen(shelf)
    pen.turn(Tell("later"))
    pen.close()
    return shelf.files()


def open_log() -> Files:
    return story(closed=False)


def three_lives() -> Files:
    return story(lives=3, rounds=1)


# --- torn: nothing that was acknowledged is lost -----------------------------------------------


def torn_header() -> Files:
    files = open_log()
    return cut(files, ends_of_batches(files)[2] + 20)


def torn_body() -> Files:
    files = open_log()
    return cut(files, ends_of_batches(files)[3] - 10)


def torn_body_continued() -> Files:
    return continued(torn_body())


def torn_seal() -> Files:
    """The writer was killed while it closed."""
    files = story()
    return cut(files, blocks_of(files)[-1].offset + 10)


def torn_blank_behind() -> Files:
    files = open_log()
    return overwrite(files, ends_of_batches(files)[3], bytes(600))


def torn_blank_header() -> Files:
    files = open_log()
    start, end = ends_of_batches(files)[2:4]
    return overwrite(files, start, bytes(end - start))


def torn_blank_body() -> Files:
    files = open_log()
    return overwrite(files, ends_of_batches(files)[3] - 50, bytes(50))


def torn_blank_continued() -> Files:
    return continued(torn_blank_body())


def torn_preamble() -> Files:
    return cut(story(lives=2, rounds=1), 100, segment=2)


def torn_preamble_continued() -> Files:
    return continued(torn_preamble())


def sync_failed() -> Files:
    """The batch is there and verifies, but its sync failed: it was never acknowledged."""
    shelf = Shelf()
    pen = Pen(shelf, durability="disk")
    tell_story(pen, rounds=1)
    shelf.fails_to_sync = True
    try:
        tell_story(pen, rounds=1)
    except LogFailedError:
        return shelf.files()
    raise AssertionError("the writer did not notice")


def sync_failed_continued() -> Files:
    return continued(sync_failed())


# --- rot: something was whole once -------------------------------------------------------------


def rot_header() -> Files:
    files = story()
    return flip(files, ends_of_batches(files)[1] + 10)


def rot_body() -> Files:
    files = story()
    return flip(files, ends_of_batches(files)[1] + 60)


def rot_body_length() -> Files:
    """The header's length and the body's own disagree: the header is believed, the body not."""
    files = story()
    return flip(files, ends_of_batches(files)[1] + 39)


def rot_body_last() -> Files:
    files = open_log()
    return flip(files, ends_of_batches(files)[2] + 60)


def rot_body_blank() -> Files:
    """Zeros at the end, but the next writer had found more there."""
    files = story(lives=2, closed=False)
    return overwrite(files, ends_of_batches(files)[3] - 50, bytes(50))


def rot_tail() -> Files:
    files = open_log()
    return flip(files, ends_of_batches(files)[2] + 10)


def rot_tail_continued() -> Files:
    """How many records were in it nobody knows; as many numbers as can have been are left out."""
    return continued(rot_tail())


def rot_tail_blank() -> Files:
    files = story(lives=2, closed=False)
    start, end = ends_of_batches(files)[2:4]
    return overwrite(files, start, bytes(end - start))


def rot_copied_batch() -> Files:
    """A batch that stands where it was not written does not verify."""
    files = open_log()
    first, second = ends_of_batches(files)[:2]
    return files | {FIRST: files[FIRST] + files[FIRST][first:second]}


def rot_log_in_payload() -> Files:
    """A payload that holds a log is not taken for it when its batch is rotten."""
    inner = story(rounds=1)[FIRST]
    shelf = Shelf()
    pen = Pen(shelf)
    for value in (inner, "behind"):
        pen.turn(Tell(value))
        pen.write()
    files = shelf.files()
    return flip(files, ends_of_batches(files)[0] + 2)


def rot_index() -> Files:
    files = story()
    index = next(block for block in blocks_of(files) if block.header.sort == INDEX)
    return flip(files, index.offset + 60)


def rot_seal() -> Files:
    files = story()
    seal = blocks_of(files)[-1]
    assert seal.header.sort == SEAL
    return flip(files, seal.offset + 45)


def rot_cut_header() -> Files:
    files = story(lives=2, closed=False)
    return cut(files, ends_of_batches(files)[2] + 20)


def rot_cut_body() -> Files:
    files = three_lives()
    return cut(files, ends_of_batches(files, 2)[1] - 10, segment=2)


def rot_preamble() -> Files:
    return flip(three_lives(), 100, segment=2)


def rot_preamble_only() -> Files:
    """The only segment's: nothing says which log it is."""
    return flip(story(), 100)


def rot_magic() -> Files:
    return flip(three_lives(), 5, segment=2)


# --- segments ----------------------------------------------------------------------------------


def foreign() -> Files:
    return three_lives() | {SECOND: b"not a segment at all\n"}


def empty() -> Files:
    return three_lives() | {SECOND: b""}


def not_a_log() -> Files:
    return {FIRST: b"hello", SECOND: b"world"}


def unreadable() -> Files:
    files = three_lives()
    del files[SECOND]
    return files | {f"{SECOND}/why.txt": b"A directory bears a segment's name.\n"}


def other_log() -> Files:
    return three_lives() | {SECOND: story(lives=2, rounds=1, seed="another")[SECOND]}


def duplicated() -> Files:
    files = three_lives()
    return files | {name_of(4): files[SECOND]}


def exchanged() -> Files:
    files = three_lives()
    return files | {SECOND: files[THIRD], THIRD: files[SECOND]}


def missing_segment() -> Files:
    files = three_lives()
    del files[SECOND]
    return files


def missing_first() -> Files:
    """The removal of old segments is no damage, as long as the rest follows without a gap."""
    files = story(lives=4, rounds=1)
    del files[FIRST], files[THIRD]
    return files


def missing() -> Files:
    """A segment was cut exactly between two batches; only its follower knows."""
    files = story(lives=2, rounds=2, closed=False)
    return cut(files, ends_of_batches(files)[1])


# --- what verifies and yet is not so -----------------------------------------------------------

TURN = pack((1, 2, 0, 0, None, (), None))


def repeated() -> Files:
    return forge(open_log(), (BATCH, 4, 1, PRELUDE + TURN), (BATCH, 10, 1, PRELUDE + TURN))


def chain() -> Files:
    """Whoever changed a record computed its batch's checksums anew, but not the heads behind it."""
    files = open_log()
    changed = blocks_of(files)[1]
    end = changed.offset + changed.header.block_bytes
    body = bytes(changed.body)
    assert body.count(b"\x81\xa1n\x01") == 1
    body = body.replace(b"\x81\xa1n\x01", b"\x81\xa1n\x02")
    forged = forge(cut(files, changed.offset), (BATCH, *changed.header[2:4], body))
    return overwrite(files, changed.offset, forged[FIRST][changed.offset : end])


def chain_between_segments() -> Files:
    """A segment was replaced by another of the same numbers and another history."""
    files = three_lives()
    shelf = Shelf({FIRST: files[FIRST]})
    pen = Pen(shelf)
    for value in ("another", "history", "here"):
        pen.turn(Tell(value))
    pen.close()
    return files | {SECOND: shelf.files()[SECOND]}


def undecodable() -> Files:
    """What valid checksums guard may still be nonsense, or mean harm."""
    nonsense = (
        b"\xc1" * 20,
        pack("x" * 20),
        pack((1, 2)) + b" " * 9,
        pack(("a", 2, 0, 0, None, (), None)),
        pack((1, 2, 0, 0, 5, (), None)),
        pack((1, 2, 0, 0, b"\x03x", (), None)),
        pack((1, 2, 0, "x", None, (), None)),
        b"\x97\x01\x02\x00\x00\xdd\xff\xff\xff\xff",
        b"\x97\x01\x02\x00\x00" + b"\xdd\x00\x0f\xff\xff" * 90,
        b"\x97\x01\x02\x00\x00" + b"\x91" * 1_000,
        b"\x97\x01\x02\x00\x00\xd4\xff\x00\x90\xc0",
    )
    return forged_turns(open_log(), *nonsense, TURN)


def undecodable_prelude() -> Files:
    bodies = (b"\xc1" * 20, pack(5) + TURN, pack((1, (5,))) + TURN, PRELUDE + TURN)
    return forge(open_log(), *((BATCH, 10 + n, 1, body) for n, body in enumerate(bodies)))


def undecodable_keyframe() -> Files:
    return forge(open_log(), (KEYFRAME, 10, 0, b"\xc1"), (BATCH, 10, 1, PRELUDE + TURN))


def index_that_omits() -> Files:
    """A sealed segment whose index leaves out who took the second batch."""
    shelf = Shelf()
    pen = Pen(shelf)
    tell_story(pen, rounds=1)
    pen.turn(Tell("hidden"), actor=77)
    pen.log._notes.taken()
    pen.close()
    return shelf.files()


def later_format() -> Files:
    files = story(rounds=1)
    head = bytearray(files[FIRST][:26])
    head[12:16] = (7).to_bytes(4, "big")
    head[22:26] = crc32(bytes(head[:21])).to_bytes(4, "big")
    return overwrite(files, 0, bytes(head))


def recovered() -> Files:
    """What ``rescind recover`` makes of a log whose second batch is rotten."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "damaged", Path(folder) / "recovered"
        source.mkdir()
        for name, data in rot_body().items():
            (source / name).write_bytes(data)
        recover(source, target)
        return {path.name: path.read_bytes() for path in target.glob("*.seg")}
