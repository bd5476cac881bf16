"""Cases in which nothing is lost: what a log may hold, and how lives and segments follow."""

from typing import Any

from rescind.events import (
    KINDS,
    MESSAGES,
    Accepted,
    Answer,
    Ask,
    Born,
    Cancel,
    Completed,
    Entry,
    Failed,
    Origin,
    Proxy,
    Received,
    Reference,
    Replied,
    Start,
    Submit,
    Tell,
    event,
    message,
)
from rescind.events._frame import KEYFRAME
from rescind.events._keyframe import LOG_BYTES_MIN
from rescind.events._msgpack import ExtType, Timestamp, pack

from .shelf import BEGIN_NS, MS, Files, Pen, Shelf, forge, forged_turns, story, tell_story


def one_segment() -> Files:
    return story()


def not_closed() -> Files:
    return story(closed=False)


def without_records() -> Files:
    shelf = Shelf()
    Pen(shelf).close()
    return shelf.files()


def two_epochs() -> Files:
    """The second writer binds the same small numbers to other threads, lines and classes."""
    shelf = Shelf(story(rounds=1))
    pen = Pen(shelf)
    caller = (pen.log.who("Thread-2"), pen.log.site("other.py", 9, "start"))
    cls = pen.log.class_("app.Other", 2, "")
    pen.turn(Start(cls, [], {}), Born(9, cls, 0), actor=9, by=caller)
    pen.close()
    return shelf.files()


def killed_and_continued() -> Files:
    shelf = Shelf(story(rounds=2, closed=False))
    tell_story(Pen(shelf), rounds=1)
    return shelf.files()


def rolled() -> Files:
    return story(segment_bytes_max=1)


def pruned() -> Files:
    files = story(lives=3, rounds=1)
    del files["00000001.seg"]
    return files


def every_kind() -> Files:
    """One turn for each kind, whose fields are 1, 2, 3 ... in their order."""
    shelf = Shelf()
    pen = Pen(shelf)
    kinds: tuple[Any, ...] = KINDS
    for kind in kinds:
        value = kind(*range(1, len(kind._fields) + 1))
        if kind in MESSAGES:
            pen.turn(value)
        else:
            pen.turn(None, value)
    pen.close()
    return shelf.files()


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 127, 128, -32, -33, 255, 65_536, 2**32, 2**63, 2**64 - 1, -(2**63)),
    *(0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan")),
    *("", "text", "\x00", "ä€😀", "x" * 40, b"", b"\x00\xff", b"y" * 300),
    *([], [1, [2, []]], {}, {"k": {"k": 1}}, {1: "one", b"b": 2, None: 3, 1.5: 4}, {"$bytes": 1}),
    *(ExtType(77, b"z"), ExtType(0, b""), Timestamp(1, 5), list(range(20))),
)


def every_value() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    for value in VALUES:
        pen.turn(Tell(value))
    pen.write()
    return shelf.files()


def hard_values() -> Files:
    """MessagePack that many libraries refuse: bytes as text, a key twice, maps as keys."""
    values = (
        *(b"\xa2\xff\xfe", b"\x82\x01\x02\x01\x03", b"\x81\x81\x01\x02\x03"),
        *(b"\xd9\x01a", b"\xdc\x00\x01\x05", b"\xcf\x00\x00\x00\x00\x00\x00\x00\x05"),
        b"\xdd" + (4_097).to_bytes(4, "big") + b"\x01" * 4_097,
    )
    head = b"\x97\x01\x02\x00\x00\x92" + pack(KINDS.index(Tell) + 1)
    records = [head + value + b"\x90\xc0" for value in values]
    return forged_turns(story(rounds=1, closed=False), *records)


class Basket:
    """Something that MessagePack does not know."""

    __module__ = "shop"


def opaque() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    pen.turn(Tell(Basket()), Replied({"items": [Basket(), 1]}))
    pen.turn(Tell([1 << 64, "\ud800", {1, 2}, {(1, 2): 3}]))
    pen.turn(Tell("carried"))
    pen.close()
    return shelf.files()


def withheld() -> Files:
    policy = dict.fromkeys(("Tell", "Proxy", "Answer", "Failed"), "digest")
    policy |= dict.fromkeys(("Ask", "Submit", "Received", "Replied"), "none")
    shelf = Shelf()
    pen = Pen(shelf, payloads=policy)
    pen.turn(Tell("hi"), Failed("ValueError: hi"))
    pen.turn(Tell({"k": [1, 2.5, b"\x00"]}))
    pen.turn(Ask("hi"), Replied("hi"), Born(2, 1, 0))
    pen.turn(Proxy("call", ["pay"], ["hi", 1], {"card": "hi"}, asked=True))
    pen.turn(Submit("output", ("hi", None), asynchronous=True, timeout_ns=5))
    pen.turn(Answer(3, None, None), Completed(3, None, 0, 0, "not withheld"))
    pen.turn(Answer(4, None, "hi"))
    pen.turn(Received(5, b"hi", ["byteCount", 2]))
    pen.turn(Tell(Basket()))
    pen.close()
    return shelf.files()


def references() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    here = Reference(pen.log.log_id, 7)
    pen.turn(Tell(here))
    pen.turn(Tell([Reference(b"another log's id", 2**40), {"to": here}]))
    pen.turn(Tell(ExtType(2, b"of another length")))
    pen.close()
    return shelf.files()


@message(name="shop.Pay")
class Pay:
    order: Any
    cents: int


@event(name="shop.Paid", version=2)
class Paid:
    order: Any


def declared() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    pen.turn(Tell(Pay("o1", 995)), Paid("o1"))
    pen.turn(Ask([Pay(Pay("o2", 1), 2), {"opaque": Pay(Basket(), 3)}]), Replied(Paid(None)))
    pen.write()
    pen.turn(Tell(Pay("o3", 0)))
    pen.turn(Tell([ExtType(4, b"\x93\x01"), ExtType(4, b"\xc0"), ExtType(4, b"\x91\xcc\xff")]))
    pen.close()
    return shelf.files()


def causes() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    pen.turn(Tell(1))
    pen.turn(Tell(2), cause=1, origin=Origin.ACTOR)
    pen.turn(Tell(3), cause=(1, 5), origin=Origin.IO)
    pen.turn(Tell(4), cause=(b"another log's id", 12), origin=Origin.APP)
    pen.turn(Cancel(5), cause=2**40, origin=Origin.TIMER)
    pen.turn(None, actor=0, origin=Origin.RECOVERY)
    pen.close()
    return shelf.files()


def clock_that_jumps() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    for time_ns in (BEGIN_NS, BEGIN_NS - 3_600 * 10**9, 0, -1, 2**63 - 1, BEGIN_NS + MS):
        pen.turn(Tell(time_ns), time_ns=time_ns)
        pen.write()
    pen.close()
    return shelf.files()


def control_characters() -> Files:
    """Whoever shows this on a terminal must not obey it."""
    shelf = Shelf()
    pen = Pen(shelf)
    log = pen.log
    caller = (
        log.who("\x1b[2J\x1b]0;owned\x07"),
        log.site("app\r.py\n", -1, "ma\u202ein\u2028\ud800"),
    )
    cls = log.class_("app.\x9bCrawler\u200b", 1, "\x00")
    pen.turn(Start(cls, ["\x1b[31m"], {"\x08": "\x7f"}), Failed("\x1b[2J: \x1b"), by=caller)
    accepted = Accepted(2, 1, "out\x1bput", asynchronous=False, timeout_ns=None, started=True)
    pen.turn(None, accepted, by=caller)
    pen.close()
    return shelf.files()


def later_version() -> Files:
    """Kinds, fields, origins, marks, elements, bindings and blocks that nobody knows today."""
    rows = (
        ("kind", 901, "Novelty", 3, ["who", "why"]),
        ("kind", 902, "Tell", 9, ["value", "later"]),
        ("kind", 903, "Completed", 1, ["request", "code", "how", "by"]),
        ("kind", 904, "Completed", 1, ["request"]),
        ("sort", 1, "that nobody knows"),
        ("who", 901, "Thread-9", "and a further element"),
        ("kind", 905),
    )
    records = (
        (1, 2, 77, 0, (901, 7, "x", "behind its fields"), (), (901, 901)),
        (1, 2, 0, 0, (902, "value", "later"), ((903, 5, None, 0, 0), (904, 5)), None, 8, "later"),
        (1, 2, 0, 0, (999, "never bound"), (), None, 0),
        (1, 2, 0, (1, 0, "later"), None, (), (1, 1, "later")),
    )
    files = forged_turns(story(rounds=1, closed=False), *map(pack, records), bindings=rows)
    files = forge(files, (ord("Z"), 8, 0, b"a block of a sort that nobody knows"))
    return forged_turns(files, pack((1, 2, 0, 0, None, (), None)))


ENTRIES = (Entry(1, 1, {"total": 3}), Entry(3, 1, None), Entry(5, 2, [b"\x00", "x"]))


def keyframe() -> Files:
    shelf = Shelf()
    pen = Pen(shelf)
    pen.log.keyframes_from(lambda: iter(ENTRIES))
    # As if the log had grown by as much as a keyframe waits for.
    assert pen.log._keyframer is not None
    pen.log._keyframer._since = -LOG_BYTES_MIN
    tell_story(pen)
    pen.close()
    return shelf.files()


def keyframe_in_parts() -> Files:
    """Three parts with a batch between them, and one part of a keyframe that was never finished."""
    files = story(rounds=1, closed=False)
    parts = ((3, 0, False, 3), (3, 1, False, 4), (3, 2, True, 4), (4, 0, False, 4))
    first, *rest = (
        (KEYFRAME, part[3] + 1, 0, pack(part) + b"".join(map(pack, ENTRIES[number : number + 1])))
        for number, part in enumerate(parts)
    )
    turn = pack((1, 2, 0, 0, None, (), None))
    return forged_turns(forge(forged_turns(forge(files, first), turn), *rest), turn)


def foreign_mark() -> Files:
    """A mark that nothing understands is no mark."""
    return story(rounds=1) | {"mark": b"\x97\xc4\x04\x8eRSM" + b"\xff" * 505}


def other_files() -> Files:
    return story(rounds=1) | {
        "00000002.seg.bak": b"not looked at",
        "2.seg": b"too few digits",
        "notes.txt": b"not looked at",
    }
