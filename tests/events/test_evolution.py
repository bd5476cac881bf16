"""Logs of other versions are read: older values are brought up, unknown ones are kept."""

from typing import Any

import pytest

from rescind.events import (
    KINDS,
    Accepted,
    Born,
    Completed,
    Delivered,
    Kind,
    MemoryStorage,
    Tell,
    Unknown,
    read,
)
from rescind.events._codec import Bindings, decode_turn
from rescind.events._upcast import UPCASTERS, steps_from, version_of
from rescind.events._vocabulary import LEDGER_VERSION

from .logs import open_log, record

EVERY_KIND: tuple[Any, ...] = KINDS
NOVELTY = ("kind", 901, "Novelty", 3, ["who", "why"])


def bound(*rows, upcasters=UPCASTERS):
    bindings = Bindings(upcasters)
    bindings.learn(rows)
    return bindings


def record_of(message, *events):
    return (1, 2, 0, 0, message, events, None)


def written_with(rows, *messages, **options):
    """Write a log in which a later version bound ``rows`` and recorded messages of their ids."""
    log = open_log(**options)
    log._bindings += rows
    for message in messages:
        log.append(record_of(message))
        log.write(log.seal())
    return log


# --- what is unknown ---------------------------------------------------------------------------


def test_an_unknown_kind_is_kept_as_it_was_written():
    log = written_with([NOVELTY], (901, 7, {"k": [1]}))
    (turn,) = read(log)
    assert turn.message == Unknown("Novelty", 3, ("who", "why"), (7, {"k": (1,)}))
    assert turn.replayable


def test_an_unknown_kind_has_all_that_its_bytes_need():
    """Whoever copies a turn can write binding and value again, and nothing is lost."""
    (turn,) = read(written_with([NOVELTY], (901, 7, "x", "behind the fields")))
    kept = turn.message
    row = ("kind", 5, kept.name, kept.version, list(kept.fields))
    (again,) = read(written_with([row], (5, *kept.values)))
    assert again.message == kept


def test_unknown_kinds_survive_a_new_segment_a_copy_and_another_writer(tmp_path):
    rows = [NOVELTY, ("sort", 1, "of a later version"), ("kind", 1)]
    log = written_with(rows, *[(901, n, "x") for n in range(5)], segment_bytes_max=1)
    log.save(tmp_path / "copy.log")
    again = open_log(tmp_path / "copy.log")
    again.append(record(again, Tell("later")))
    again.write(again.seal())
    turns = list(read(again, verify_chain=True))
    again.close()
    assert len(log.storage.segments()) == 5
    assert [turn.message.values for turn in turns[:5]] == [(n, "x") for n in range(5)]
    assert {turn.message.name for turn in turns[:5]} == {"Novelty"}
    assert turns[5].message == Tell("later")


def test_a_kind_whose_binding_was_lost_says_its_number():
    assert bound().decode((9, 1)) == Unknown("kind 9", 0, (), (1,))


@pytest.mark.parametrize(
    "row",
    [
        ("kind", 1, "Tell", 1, 5),
        ("kind", 1, "Tell", "one", []),
        ("kind", "1", "Tell", 1, []),
        ("kind", 1, b"Tell", 1, []),
        ("kind",),
        (),
        (5,),
        ("class", 1, "app.A", 1, None),
    ],
    ids=repr,
)
def test_a_binding_that_says_nothing_costs_only_itself(row):
    log = written_with([row, NOVELTY], (901, 1, 2))
    reader = read(log)
    assert [turn.message.name for turn in reader] == ["Novelty"]
    assert reader.damage == []


@pytest.mark.parametrize("wire", [b"\x03x", "text", {0: 3, 1: "x"}, 5, (), ([],)], ids=repr)
def test_what_is_no_message_is_not_read_as_one(wire):
    bindings = bound(("kind", 3, "Tell", 1, ()))
    for odd in (record_of(wire), record_of(None, wire)):
        with pytest.raises((TypeError, ValueError, IndexError, KeyError)):
            decode_turn(1, 1, odd, bindings)


# --- fields at the end -------------------------------------------------------------------------


def optional_fields():
    return [
        pytest.param(kind, missing, id=f"{kind.__name__}-{missing}")
        for kind in EVERY_KIND
        for missing in range(1, len(kind._field_defaults) + 1)
    ]


@pytest.mark.parametrize(("kind", "missing"), optional_fields())
def test_fields_that_are_missing_at_the_end_are_filled_in(kind, missing):
    width = len(kind._fields)
    values = tuple(range(1, width - missing + 1))
    decoded = bound(("kind", 1, kind.__name__, 1, kind._fields)).decode((1, *values))
    assert decoded == kind(*values)


def test_a_value_that_lacks_a_field_without_default_is_kept_as_it_was_written():
    bindings = bound(("kind", 1, "Completed", 1, ("request",)))
    assert bindings.decode((1, 2)) == Unknown("Completed", 1, ("request",), (2,))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_fields_of_a_later_version_are_left_out(kind):
    values = tuple(range(1, len(kind._fields) + 1))
    bindings = bound(("kind", 1, kind.__name__, 99, (*kind._fields, "later", "still later")))
    assert bindings.decode((1, *values, "x", [1])) == kind(*values)


def test_a_later_version_may_bind_an_id_again():
    bindings = bound(("kind", 1, "Tell", 1, ("value",)))
    assert bindings.decode((1, "x")) == Tell("x")
    bindings.learn([("kind", 1, *NOVELTY[2:])])
    assert bindings.decode((1, "x", "y")) == Unknown("Novelty", 3, ("who", "why"), ("x", "y"))


# --- upcasters ---------------------------------------------------------------------------------


def test_the_steps_from_a_version_are_taken_in_order():
    steps = {
        ("Tell", 0): lambda fields: ((fields[0], "from 0"),),
        ("Tell", -2): lambda fields: (*fields, "from -2"),
        ("Tell", -1): lambda fields: ((*fields, "from -1"),),
        ("Ask", 0): lambda _: ("another kind",),
        ("Tell", 1): lambda _: ("not from the present version",),
    }
    rows = [("kind", 4 + version, "Tell", version, ()) for version in (-3, -2, -1, 0, 1, 2)]
    bindings = bound(*rows, upcasters=steps)
    assert [bindings.decode((4 + version, "x")) for version in (-3, -2, -1, 0, 1, 2)] == [
        Tell((("x", "from -2", "from -1"), "from 0")),
        Tell((("x", "from -2", "from -1"), "from 0")),
        Tell((("x", "from -1"), "from 0")),
        Tell(("x", "from 0")),
        Tell("x"),
        Tell("x"),
    ]


def test_what_a_step_makes_is_filled_up_cut_off_and_has_lists_where_the_kind_has_them():
    row = ("kind", 1, "Delivered", 0, ("request", "manner"))
    steps = {("Delivered", 0): lambda fields: ((fields[0], fields[0]), fields[1], "more")}
    delivered = bound(row, upcasters=steps).decode((1, 7, "script"))
    assert delivered == Delivered([7, 7], "script")
    assert type(delivered.requests) is list
    row_of_another = ("kind", 1, "Accepted", 0, ())
    accepted = bound(
        row_of_another, upcasters={("Accepted", 0): lambda fields: (*fields, True)}
    ).decode((1, 2, 1, "output", True, None))
    assert accepted == Accepted(2, 1, "output", asynchronous=True, timeout_ns=None, started=True)


def raising(error):
    def step(fields):
        raise error

    return step


@pytest.mark.parametrize(
    "step",
    [
        raising(ZeroDivisionError()),
        raising(AttributeError("x")),
        raising(RecursionError()),
        lambda _: None,
        lambda _: "ab",
        lambda _: [1, 2, 3, 4],
        lambda _: (1,),
        lambda fields: Completed(*fields),
    ],
    ids=["zero", "attribute", "recursion", "None", "text", "list", "too few", "a kind"],
)
def test_a_step_that_fails_costs_only_the_value_that_it_was_given(step):
    rows = [
        ("kind", 1, "Completed", 0, ("a", "b")),
        ("kind", 2, "Born", 1, ()),
        ("kind", 3, "Tell", 1, ()),
    ]
    bindings = bound(*rows, upcasters={("Completed", 0): step})
    turn = decode_turn(1, 1, record_of((3, "x"), (1, 5, 6, 7, 8), (2, 1, 1, 0)), bindings)
    assert turn.message == Tell("x")
    assert turn.events == (Unknown("Completed", 0, ("a", "b"), (5, 6, 7, 8)), Born(1, 1, 0))


def test_a_step_may_fail_for_one_value_and_work_for_the_next():
    steps = {("Tell", 0): lambda fields: (1 // fields[0],)}
    bindings = bound(("kind", 1, "Tell", 0, ("divisor",)), upcasters=steps)
    decoded = [bindings.decode((1, divisor)) for divisor in (1, 0, 1)]
    assert decoded == [Tell(1), Unknown("Tell", 0, ("divisor",), (0,)), Tell(1)]


def test_two_readers_may_have_steps_of_their_own():
    row = ("kind", 1, "Tell", 0, ())
    first = bound(row, upcasters={("Tell", 0): lambda _: ("first",)})
    second = bound(row, upcasters={("Tell", 0): lambda _: ("second",)})
    assert [each.decode((1, "x")) for each in (first, second, bound(row))] == [
        Tell("first"),
        Tell("second"),
        Tell("x"),
    ]


@pytest.mark.parametrize("version", [-(2**63), 2**64 - 1])
def test_a_version_that_cannot_be_costs_no_time(version):
    bindings = bound(("kind", 1, "Tell", version, ()))
    assert bindings.decode((1, "x")) == Tell("x")
    assert steps_from(Kind("Tell", version, ()), {("Tell", 0): tuple}) == [tuple] * (version < 0)


def test_a_log_of_an_older_version_is_read_by_steps_that_are_handed_in():
    storage = MemoryStorage()
    written_with([("kind", 901, "Tell", 0, ["shout"])], (901, "x"), (901, 5), storage=storage)
    steps = {("Tell", 0): lambda fields: (fields[0].upper(),)}
    reader = read(storage, upcasters=steps)
    assert [turn.message for turn in reader] == [Tell("X"), Unknown("Tell", 0, ("shout",), (5,))]
    assert reader.damage == []
    assert [turn.message for turn in read(storage)] == [Tell("x"), Tell(5)]


# --- the tables of our own vocabulary ----------------------------------------------------------


def test_versions_are_of_kinds_that_exist():
    assert set(LEDGER_VERSION) <= {kind.__name__ for kind in KINDS}
    assert all(version > 1 for version in LEDGER_VERSION.values())


def test_our_steps_have_no_gap_and_end_at_the_present_version():
    for name in {name for name, _ in UPCASTERS}:
        versions = sorted(version for each, version in UPCASTERS if each == name)
        assert versions == list(range(1, len(versions) + 1))
        assert versions[-1] < version_of(name)
