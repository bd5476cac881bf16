"""What a log is told not to keep is not in it, and what stands in its place tells the truth."""

import re
from hashlib import sha256
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import (
    KINDS,
    Answer,
    Ask,
    Born,
    Completed,
    Opaque,
    Proxy,
    Received,
    Reference,
    Replied,
    Resume,
    Returned,
    Start,
    Submit,
    Tell,
    UsageError,
    Withheld,
    digest_of,
    read,
)
from rescind.events._msgpack import ExtType, pack, packer
from rescind.events._payloads import PAYLOADS, POLICIES, withholding

from .logs import open_log, record, segments_of

SECRET = "4111 1111 1111 1111"
GONE = Withheld(None, None)


def log_of(policy, *turns):
    """Write one turn for each (message, *events) under a policy."""
    log = open_log(payloads=policy)
    for message, *events in turns:
        log.append(record(log, message, *events))
    log.write(log.seal())
    return log


def only_turn(policy, message, *events):
    (turn,) = read(log_of(policy, (message, *events)))
    return turn


def in_its_bytes(log, text):
    return any(text.encode() in data for data in segments_of(log.storage).values())


def test_a_digest_is_length_and_sha256_of_the_messagepack_encoding():
    turn = only_turn({"Tell": "digest"}, Tell(SECRET))
    encoding = msgpack.packb(SECRET)
    assert turn.message == Tell(Withheld(len(encoding), sha256(encoding).digest()))
    assert turn.message.value == digest_of(SECRET)
    assert not turn.replayable
    assert turn.withheld


def test_nothing_keeps_nothing_but_that_there_was_a_value():
    turn = only_turn({"Tell": "none"}, Tell(SECRET))
    assert turn.message == Tell(GONE)
    assert (turn.replayable, turn.withheld) == (False, True)


def test_the_wire_has_an_extension_type_and_a_mark_of_its_own():
    log = open_log()
    packing = withholding(pack, {"Tell": "none", "Ask": "digest"}, log.kind_ids)
    told, asked = (
        msgpack.unpackb(packing(record(log, message))) for message in (Tell(SECRET), Ask(SECRET))
    )
    encoding = msgpack.packb(SECRET)
    expected = len(encoding).to_bytes(8, "big") + sha256(encoding).digest()
    assert (told[4][1], told[7]) == (ExtType(3, b""), 2)
    assert (asked[4][1], asked[7]) == (ExtType(3, expected), 2)


@pytest.mark.parametrize("how", ["digest", "none"])
@pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.__name__)
def test_a_withheld_value_is_nowhere_in_the_log(kind, how):
    values = [field_of(kind, name) for name in kind._fields]
    log = log_of({kind.__name__: how}, (kind(*values), kind(*values)))
    assert not in_its_bytes(log, SECRET)
    (turn,) = read(log)
    for taken in (turn.message, *turn.events):
        assert type(taken) is kind
        for name, before, after in zip(kind._fields, values, taken, strict=True):
            assert after == (withheld_form(before, how) if name in PAYLOADS[kind] else before)


def field_of(kind, name):
    if name not in PAYLOADS[kind]:
        return {"path": ["p"], "terminator": ("eof", 3)}.get(name, 7)
    return {"args": [SECRET, 5], "arguments": (SECRET, 5), "kwargs": {"card": SECRET}}.get(
        name, SECRET
    )


def withheld_form(value, how):
    if isinstance(value, list | tuple):
        return type(value)(withheld_form(each, how) for each in value)
    if isinstance(value, dict):
        return {name: withheld_form(each, how) for name, each in value.items()}
    return digest_of(value) if how == "digest" else GONE


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_kind_without_payload_is_kept_whatever_is_withheld_elsewhere(kind):
    policy = dict.fromkeys((kind.__name__ for kind in PAYLOADS), "none")
    value = kind(*range(1, len(kind._fields) + 1))
    turn = only_turn(policy, None, value)
    assert (turn.events == (value,)) == (kind not in PAYLOADS)
    assert turn.replayable == (kind not in PAYLOADS)


def test_how_many_arguments_there_were_and_their_names_stay():
    turn = only_turn(
        {"Proxy": "none"}, Proxy("call", ["pay"], [1, SECRET], {"card": SECRET}, asked=True)
    )
    assert turn.message == Proxy("call", ["pay"], [GONE, GONE], {"card": GONE}, asked=True)


def test_a_value_that_is_not_there_is_not_withheld():
    policy = dict.fromkeys(("Completed", "Answer", "Returned", "Resume", "Submit"), "none")
    assert only_turn(policy, Answer(3, -1, None), Completed(3, -1, 1, 0)).replayable
    assert only_turn(policy, Returned(3, None)).replayable
    assert only_turn(policy, Resume(3, None, None)).replayable
    submit = Submit("Dispose", (), asynchronous=False, timeout_ns=None)
    assert only_turn(policy, submit).message == submit
    emptied = submit._replace(arguments=(None,))
    assert only_turn(policy, emptied).replayable
    assert only_turn({"Start": "none"}, Start(1, [], {"k": None})).replayable


def test_full_is_as_if_nothing_was_said():
    turn = only_turn({"Tell": "full"}, Tell(SECRET))
    assert turn.message == Tell(SECRET)
    assert turn.replayable
    assert not turn.withheld


@pytest.mark.parametrize("policy", [{}, {"Tell": "full"}, dict.fromkeys(["Tell", "Ask"], "full")])
def test_a_policy_that_withholds_nothing_costs_nothing(policy):
    packing = packer(lambda value: value)
    assert withholding(packing, policy, {}) is packing


def test_only_the_named_kinds_of_a_turn_are_withheld():
    turn = only_turn({"Replied": "none"}, Ask(SECRET), Born(4, 1, 0), Replied(SECRET))
    assert turn.message == Ask(SECRET)
    assert turn.events == (Born(4, 1, 0), Replied(GONE))
    assert not turn.replayable


def test_turns_without_payload_stay_replayable_under_a_policy():
    log = log_of({"Tell": "none"}, (Tell(SECRET),), (Ask(1),), (None, Born(4, 1, 0)))
    assert [turn.replayable for turn in read(log)] == [False, True, True]


def test_a_value_that_cannot_be_carried_does_not_bring_a_withheld_one_back():
    log = log_of({"Tell": "none"}, (Tell([SECRET, object()]), Replied(object())))
    assert not in_its_bytes(log, SECRET)
    (turn,) = read(log)
    assert (turn.message, turn.events) == (Tell(GONE), (Replied(Opaque("object")),))
    assert [raw[7] for _, raw in read(log).raw()] == [3]
    assert turn.withheld


def test_a_value_that_cannot_be_carried_has_the_digest_of_what_would_have_been_written():
    turn = only_turn({"Tell": "digest"}, Tell([SECRET, object()]))
    assert turn.message.value == digest_of([SECRET, object()]) == digest_of([SECRET, object()])
    assert turn.message.value != digest_of([SECRET, 1 << 64])


def test_a_log_of_opaque_values_says_that_they_are_not_withheld():
    turn = only_turn({"Ask": "none"}, Tell(object()))
    assert (turn.replayable, turn.withheld) == (False, False)


def test_records_added_in_bulk_are_withheld_too():
    log = open_log(payloads={"Tell": "none"})
    log.extend([record(log, Tell(f"{SECRET} {number}")) for number in range(100)])
    log.write(log.seal())
    assert [turn.message for turn in read(log)] == [Tell(GONE)] * 100
    assert not in_its_bytes(log, SECRET)


def test_marks_that_the_caller_set_stay():
    log = open_log(payloads={"Tell": "none"})
    log.append((*record(log, Tell(1)), 4, "later"))
    log.write(log.seal())
    ((_, raw),) = read(log).raw()
    assert raw[7:] == (6, "later")


def test_a_stand_in_can_be_written_again_like_any_value():
    held = [digest_of(1), GONE, Reference(b"o" * 16, 3)]
    turn = only_turn({}, Tell([*held, {"k": digest_of("x")}]))
    assert turn.message == Tell((*held, {"k": digest_of("x")}))
    assert (turn.replayable, turn.withheld) == (True, False)
    with_opaque = only_turn({}, Tell([*held, object()]))
    assert with_opaque.message == Tell((*held, Opaque("object")))


def test_an_extension_of_another_length_is_kept_as_it_is():
    odd = ExtType(3, b"x" * 39)
    assert only_turn({}, Tell(odd)).message == Tell(odd)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_any_library_computes_the_same_digest(value):
    encoding = msgpack.packb(value)
    assert digest_of(value) == Withheld(len(encoding), sha256(encoding).digest())


@given(VALUES, st.sampled_from(POLICIES))
def test_a_policy_changes_nothing_but_what_it_names(value, how):
    whole = only_turn({}, Received(9, value, None), Completed(9, None, 0, 0, value))
    turn = only_turn({"Received": how}, Received(9, value, None), Completed(9, None, 0, 0, value))
    assert turn.events == whole.events
    assert turn.message.request == 9
    assert turn.withheld == (how != "full" and value is not None)


def test_what_stands_in_the_place_of_a_value_shows_itself():
    assert repr(GONE) == "withheld"
    text = repr(Withheld(1234, b"\xab" * 32))
    assert text == f"withheld(sha256 {'ab' * 32}, 1,234 bytes)"


# --- bad policies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"Tel": "none"}, r"'Tel' is no kind of message or event; .*Answer, Ask, .*Tell"),
        ({"Born": "none"}, r"'Born' carries no payload; .*Answer, Ask, .*Tell"),
        ({"Tell": "hash"}, r"'Tell' is kept as full, digest, none, not as 'hash'"),
        ({"Tell": None}, r"not as None"),
    ],
    ids=repr,
)
def test_a_policy_that_means_nothing_is_refused_before_anything_is_written(policy, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        open_log(tmp_path / "a.log", payloads=policy)
    assert list(tmp_path.iterdir()) == []


# --- the table ---------------------------------------------------------------------------------


def test_the_table_names_fields_that_exist():
    kinds: dict[Any, tuple[str, ...]] = PAYLOADS
    for kind, fields in kinds.items():
        assert kind in KINDS
        assert set(fields) <= set(kind._fields)
        assert fields


def test_every_free_field_is_payload_or_known_to_be_none():
    """A new field of a free type must be decided on: it is payload, or it is named here."""
    free = {
        (kind.__name__, name)
        for kind in KINDS
        for name, hint in kind.__annotations__.items()
        if "Any" in str(hint)
    }
    payload = {(kind.__name__, name) for kind, fields in PAYLOADS.items() for name in fields}
    facts = {("Watch", "watcher"), ("Received", "terminator"), ("InputArrived", "terminator")}
    # What is lost is told by its numbers.
    facts.add(("Notice", "values"))
    assert free - payload == facts


def test_exceptions_are_payload_wherever_they_are_recorded():
    kinds: tuple[Any, ...] = KINDS
    errors = {kind for kind in kinds if "error" in kind._fields}
    assert errors == {kind for kind, fields in PAYLOADS.items() if "error" in fields}


def test_a_start_keeps_the_class_that_it_starts():
    turn = only_turn({"Start": "none"}, Start(3, [SECRET], {"k": SECRET}))
    assert turn.message == Start(3, [GONE], {"k": GONE})
    assert only_turn({"Start": "none"}, Start(3, [], {"k": SECRET})).withheld


def test_the_page_names_what_is_payload(pytestconfig):
    page = pytestconfig.rootpath / "docs" / "how-to" / "keep-payloads-out-of-the-log.md"
    text = page.read_text(encoding="utf-8").partition("## What is payload")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    shown = [(name, tuple(re.findall(r"`(\w+)`", fields))) for name, fields in rows]
    assert shown == [(kind.__name__, fields) for kind, fields in PAYLOADS.items()]
