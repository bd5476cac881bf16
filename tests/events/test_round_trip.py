"""What was appended is what is read."""

import math
import subprocess
import sys
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import (
    KINDS,
    Born,
    By,
    Cause,
    Completed,
    Delivered,
    Opaque,
    Origin,
    Start,
    Tell,
    Unknown,
    message,
    read,
)
from rescind.events._codec import Bindings
from rescind.events._msgpack import ExtType

from .logs import open_log, record, segments_of, small_batches, wire


def read_back(value):
    log = open_log()
    log.append(record(log, Tell(value)))
    log.write(log.seal())
    (turn,) = read(log)
    return turn


def as_read(value):
    """What a value is after the wire: one sort of array, one sort of bytes."""
    if isinstance(value, list | tuple):
        return tuple(map(as_read, value))
    if isinstance(value, dict):
        return {key: as_read(item) for key, item in value.items()}
    return value


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(0, 99), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_that_messagepack_can_carry_comes_back(value):
    turn = read_back(value)
    assert turn.message == Tell(as_read(value))
    assert turn.replayable


def test_a_turn_comes_back_with_all_that_was_said_of_it():
    log = open_log()
    small_batches(log)
    turns = list(read(log))
    assert [turn.number for turn in turns] == list(range(1, 9))
    assert turns[0].message == Start(1, ["a"], {"k": 1})
    assert turns[0].events == (Born(1, 1, 0),)
    assert turns[0].by == By("MainThread", "app.py", 7, "main")
    assert turns[0].origin is Origin.APP
    assert turns[0].cause is None
    assert turns[3].cause == Cause(3)
    assert turns[4].cause == Cause(3, request=5)
    assert turns[4].events == (Delivered([4, 6, 2, 2], "script"),)
    assert turns[4].message is None
    assert {turn.epoch for turn in turns} == {1}


def test_a_cause_in_another_log_comes_back():
    log = open_log()
    log.append(record(log, Tell(1), cause=(b"o" * 16, 12)))
    log.write(log.seal())
    (turn,) = read(log)
    assert turn.cause == Cause(12, log=b"o" * 16)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_the_vocabulary_comes_back(kind):
    value = kind(*range(1, len(kind._fields) + 1))
    log = open_log()
    log.append(record(log, value, value))
    log.write(log.seal())
    (turn,) = read(log)
    assert (turn.message, turn.events) == (value, (value,))
    assert type(turn.message) is kind


def test_enumerations_are_written_as_their_values():
    class Colour(StrEnum):
        RED = "red"

    class Level(IntEnum):
        HIGH = 3

    turn = read_back([Colour.RED, Level.HIGH])
    assert turn.message == Tell(("red", 3))
    assert turn.replayable


def test_not_a_number_is_carried():
    assert math.isnan(read_back(math.nan).message.value)


class Strange:
    pass


def cycle():
    ring: list = []
    ring.append([ring])
    return ring


def tower(height):
    value = object()
    for _ in range(height):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 << 64, Opaque("int")),
        (-(1 << 63) - 1, Opaque("int")),
        ("\ud800", Opaque("str")),
        ({1, 2}, Opaque("set")),
        (1 + 2j, Opaque("complex")),
        (Strange(), Opaque(f"{__name__}.Strange")),
        ([1, {"k": Strange()}, (2,)], (1, {"k": Opaque(f"{__name__}.Strange")}, (2,))),
        ({(1, object()): 2}, Opaque("dict")),
        ({"\ud800": 2}, Opaque("dict")),
        (cycle(), ((Opaque("list"),),)),
        ([Opaque("set")], (Opaque("set"),)),
        ([bytearray(b"x"), memoryview(b"y"), object()], (b"x", b"y", Opaque("object"))),
        ([True, None, 1.5, object()], (True, None, 1.5, Opaque("object"))),
    ],
    ids=repr,
)
def test_what_cannot_be_carried_becomes_opaque_and_the_turn_says_so(value, expected):
    turn = read_back(value)
    assert turn.message == Tell(expected)
    assert not turn.replayable


def test_a_value_nested_too_deeply_is_cut_off():
    turn = read_back(tower(5_000))
    assert not turn.replayable
    text = repr(turn.message)
    assert 10 < text.count("(") < 100
    assert "Opaque(type='list')" in text


def test_a_value_after_an_opaque_one_is_not_disturbed():
    log = open_log()
    for value in (1, object(), 2):
        log.append(record(log, Tell(value)))
    log.write(log.seal())
    assert [turn.message.value for turn in read(log)] == [1, Opaque("object"), 2]


def test_marks_that_the_caller_set_stay_and_gain_the_opaque_one():
    log = open_log()
    log.append((*record(log, Tell(1)), 1))
    log.append((*record(log, Tell(1)), 4))
    log.append((*record(log, Tell(object())), 4))
    log.write(log.seal())
    reader = read(log)
    assert [raw[7] for _, raw in reader.raw()] == [1, 4, 5]
    assert [turn.replayable for turn in reader] == [False, True, False]


def test_extensions_that_nobody_knows_are_kept():
    assert read_back(ExtType(77, b"z")).message.value == ExtType(77, b"z")


def test_an_unknown_kind_is_kept_as_it_was_written():
    bindings = Bindings()
    bindings.learn((("kind", 9, "Novelty", 3, ("a", "b")),))
    assert bindings.decode((9, 1, "x")) == Unknown("Novelty", 3, ("a", "b"), (1, "x"))


def test_a_kind_whose_binding_was_lost_says_its_number():
    assert Bindings().decode((9, 1)) == Unknown("kind 9", 0, (), (1,))


def test_missing_trailing_fields_are_filled_and_extra_ones_left_out():
    bindings = Bindings()
    bindings.learn((("kind", 1, "Completed", 1, ()), ("kind", 2, "Tell", 2, ())))
    assert bindings.decode((1, 2, None, 0, 0)) == Completed(2, None, 0, 0, None)
    assert bindings.decode((2, "v", "later field")) == Tell("v")
    assert bindings.decode((1, 2)) == Unknown("Completed", 1, (), (2,))


def test_class_numbers_are_looked_up_per_epoch():
    log = open_log()
    small_batches(log)
    reader = read(log)
    (start, *_) = reader
    assert reader.class_name(start.epoch, start.message.cls) == "app.Crawler"
    assert reader.class_name(start.epoch, 99) is None
    assert reader.class_name(99, 1) is None


def test_reading_starts_where_it_is_told():
    log = open_log(segment_bytes_max=1)
    small_batches(log, 5)
    whole = list(read(log))
    assert len(log.storage.segments()) == 5
    for start in range(1, len(whole) + 2):
        reader = read(log, start=start, verify_chain=True)
        assert list(reader) == whole[start - 1 :]
        assert reader.damage == []


def test_raw_records_are_what_was_appended():
    log = open_log()
    appended = record(log, Tell((1, "x")), Born(1, 2, 0), cause=(1, 2), by=(1, 1))
    log.append(appended)
    log.write(log.seal())
    assert list(read(log).raw()) == [(1, appended)]


@message(name="shop.Basket")
class Basket:
    content: str


def test_a_record_too_long_to_be_believed_loses_its_long_values(monkeypatch):
    monkeypatch.setattr("rescind.events._packing.RECORD_BYTES_MAX", 100_000)
    monkeypatch.setattr("rescind.events._journal._BODY_BYTES_AIM", 100_000)
    log = open_log()
    log.append(record(log, Tell(["short", "x" * 200_000])))
    log.append(record(log, Tell([0] * 200_000)))
    log.append(record(log, Tell([Basket("w" * 200_000)])))
    log.append(record(log, Tell("y" * 60_000)))
    log.append(record(log, Tell("z" * 60_000)))
    log.write(log.seal())
    values = [turn.message.value for turn in read(log)]
    assert values[:3] == [("short", Opaque("str")), Opaque("tuple"), (Opaque("extension 4"),)]
    assert [value[0] for value in values[3:]] == ["y", "z"]
    assert read(log).info().batches == 2


DETERMINISTIC = """
import sys
from tests.events.logs import *
for number, data in small_log(lives=2).items():
    sys.stdout.buffer.write(data)
"""


def test_equal_runs_write_equal_bytes_whatever_the_hash_seed(pytestconfig):
    root = pytestconfig.rootpath
    code = f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'src')!r}]\n{DETERMINISTIC}"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        ).stdout
        for seed in ("0", "1", "2")
    }
    (output,) = outputs
    assert output


def test_the_vocabulary_is_numbered_in_its_order():
    log = open_log()
    assert [log.kind_ids[kind] for kind in KINDS] == list(range(1, len(KINDS) + 1))
    assert wire(log, Tell("x")) == (log.kind_ids[Tell], "x")
    assert segments_of(log.storage)[1].count(b"CompletionScript") == 1
