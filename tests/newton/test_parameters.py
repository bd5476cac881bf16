"""Which input specs cannot be armed: every row, and that the first that matches answers (3.3)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.actors.newton._codes import MEANINGS
from rescind.actors.newton._forms import FORMS
from rescind.actors.newton._parameters import INPUT_REFUSALS, refuse_slots

FORM = "N-54001-form"
NO_BUFFER = "N-54010-target"
TEMPLATE = "N-54011-template"
TARGET = "N-54008-target"
TERMINATION = "N-54007-termination"
SEQUENCE = "N-54005-sequence"
DISCARD = "N-16006-discard"
FILTER = "N-54009-filter"
PROXY = "N-54013-proxy"
CHAR = "N-54016-char"
PARTIAL = "N-54006-partial"
FLAGS = "N-16006-flags"

ORDER = [
    *(FORM, NO_BUFFER, TEMPLATE, TARGET, TERMINATION, SEQUENCE, DISCARD, FILTER, PROXY, CHAR),
    *(PARTIAL, FLAGS),
]

PACKET = {"rcv_flags": 2}
NUMBER = {"form": "number"}
BYTES = {"form": "bytes"}
BINARY = {"form": "binary"}
FRAME = {"form": "frame"}
STRUCT = {"form": "template", "typelist": ["struct", "long", "byte"]}

# Slots, and the size of the buffer.
ARMED: list[tuple[dict[str, Any], int | None]] = [
    ({}, None),
    ({"form": "string"}, None),
    ({"form": "char"}, None),
    (NUMBER, None),
    (BYTES, None),
    (FRAME, None),
    (BINARY, 1),
    (STRUCT, None),
    ({"form": "template", "typelist": ("long", ("array", "char", 4))}, None),
    (BINARY | {"offset": 0}, 1),
    (BINARY | {"offset": 9}, 10),
    (BINARY | {"byte_count": 10}, 10),
    (BINARY | {"byte_count": 7, "offset": 3}, 10),
    (BINARY | {"use_eop": True, "byte_count": 1} | PACKET, 10),
    ({"byte_count": 1}, None),
    ({"byte_count": 10**9}, None),
    ({"end_sequence": [b"\r\n"]}, None),
    (BYTES | {"end_sequence": (b"\r\n", b"\0"), "byte_count": 3}, None),
    ({"use_eop": True} | PACKET, None),
    ({"use_eop": False, "rcv_flags": 3}, None),
    ({"discard_after": 1}, None),
    ({"byte_proxy": []}, None),
    ({"byte_proxy": [[0, 32], [255, None], (10, 13)], "seven_bit": True}, None),
    (NUMBER | {"byte_proxy": [[0, None]], "seven_bit": True}, None),
    ({"form": "char", "seven_bit": False}, None),
    ({"partial_frequency_ns": 1}, None),
    (BYTES | {"partial_frequency_ns": 10**9}, None),
    ({"rcv_flags": 0}, None),
    ({"rcv_flags": 1}, None),
    ({"options": [["option", "gain", 512, None]]}, None),
    # None is what was not given; and what a form has not may say anything.
    (
        dict.fromkeys(
            (
                *("typelist", "offset", "byte_count", "end_sequence", "use_eop", "byte_proxy"),
                *("seven_bit", "partial_frequency_ns", "rcv_flags", "options"),
            )
        ),
        None,
    ),
    (BINARY | {"seven_bit": False}, 1),
    (BINARY | {"discard_after": "ignored"}, 1),
    (NUMBER | {"discard_after": 0}, None),
    (FRAME | {"discard_after": None}, None),
]

# Slots, the size of the buffer, and the row that answers.
REFUSED: list[tuple[dict[str, Any], int | None, str]] = [
    ({"form": "strings"}, None, FORM),
    ({"form": ""}, None, FORM),
    ({"form": None}, None, FORM),
    ({"form": 7}, None, FORM),
    ({"form": ["string"]}, None, FORM),
    ({"form": {}}, 10, FORM),
    (BINARY, None, NO_BUFFER),
    (BINARY | {"offset": 0}, None, NO_BUFFER),
    ({"form": "template"}, None, TEMPLATE),
    ({"form": "template", "typelist": None}, None, TEMPLATE),
    ({"form": "template", "typelist": []}, None, TEMPLATE),
    ({"form": "template", "typelist": "long"}, None, TEMPLATE),
    ({"form": "template", "typelist": ["struct"]}, None, TEMPLATE),
    ({"form": "template", "typelist": ["float"]}, None, TEMPLATE),
    ({"form": "template", "typelist": [["array", "long", 0]]}, None, TEMPLATE),
    # Nobody could tell where it ends.
    ({"form": "template", "typelist": ["long", ["array", "char", 0]]}, None, TEMPLATE),
    ({"typelist": ["long"]}, None, TARGET),
    (NUMBER | {"typelist": []}, None, TARGET),
    (BINARY | {"typelist": ["long"]}, 10, TARGET),
    ({}, 10, TARGET),
    (FRAME, 0, TARGET),
    (STRUCT, 10, TARGET),
    ({"offset": 0}, None, TARGET),
    (STRUCT | {"offset": 1}, None, TARGET),
    (BINARY | {"offset": 10}, 10, TARGET),
    (BINARY | {"offset": 11}, 10, TARGET),
    (BINARY | {"offset": -1}, 10, TARGET),
    (BINARY | {"offset": True}, 10, TARGET),
    (BINARY | {"offset": 1.0}, 10, TARGET),
    (BINARY | {"offset": math.nan}, 10, TARGET),
    (BINARY | {"offset": "1"}, 10, TARGET),
    (BINARY, 0, TARGET),
    ({"form": "char", "byte_count": 1}, None, TERMINATION),
    (NUMBER | {"end_sequence": [b"\n"]}, None, TERMINATION),
    (FRAME | {"use_eop": True} | PACKET, None, TERMINATION),
    (FRAME | {"use_eop": False} | PACKET, None, TERMINATION),
    (STRUCT | {"byte_count": 8}, None, TERMINATION),
    ({"byte_count": 0}, None, TERMINATION),
    ({"byte_count": -1}, None, TERMINATION),
    ({"byte_count": True}, None, TERMINATION),
    ({"byte_count": 1.0}, None, TERMINATION),
    ({"byte_count": math.nan}, None, TERMINATION),
    ({"byte_count": "1"}, None, TERMINATION),
    (BINARY | {"byte_count": 0}, 10, TERMINATION),
    (BINARY | {"byte_count": 11}, 10, TERMINATION),
    (BINARY | {"byte_count": 8, "offset": 3}, 10, TERMINATION),
    (BINARY | {"end_sequence": [b"\n"]}, 10, TERMINATION),
    (BINARY | {"end_sequence": []}, 10, TERMINATION),
    ({"use_eop": True}, None, TERMINATION),
    ({"use_eop": False}, None, TERMINATION),
    ({"use_eop": True, "rcv_flags": 1}, None, TERMINATION),
    ({"use_eop": True, "rcv_flags": "2"}, None, TERMINATION),
    ({"use_eop": True, "rcv_flags": True}, None, TERMINATION),
    ({"use_eop": 1} | PACKET, None, TERMINATION),
    ({"end_sequence": []}, None, SEQUENCE),
    ({"end_sequence": ()}, None, SEQUENCE),
    ({"end_sequence": b"\n"}, None, SEQUENCE),
    ({"end_sequence": "\n"}, None, SEQUENCE),
    ({"end_sequence": 10}, None, SEQUENCE),
    ({"end_sequence": [b""]}, None, SEQUENCE),
    ({"end_sequence": [b"\n", b""]}, None, SEQUENCE),
    ({"end_sequence": [b"\n", "\n"]}, None, SEQUENCE),
    ({"end_sequence": [10]}, None, SEQUENCE),
    ({"end_sequence": [None]}, None, SEQUENCE),
    (BYTES | {"end_sequence": {b"\n"}}, None, SEQUENCE),
    ({"discard_after": 0}, None, DISCARD),
    ({"discard_after": -1}, None, DISCARD),
    ({"discard_after": None}, None, DISCARD),
    ({"discard_after": True}, None, DISCARD),
    ({"discard_after": 1024.0}, None, DISCARD),
    (BYTES | {"discard_after": "much"}, None, DISCARD),
    (BINARY | {"byte_proxy": [[0, 1]]}, 10, FILTER),
    (BINARY | {"byte_proxy": []}, 10, FILTER),
    (BINARY | {"seven_bit": True}, 10, FILTER),
    (BINARY | {"seven_bit": "no"}, 10, FILTER),
    (STRUCT | {"seven_bit": True}, None, FILTER),
    (FRAME | {"byte_proxy": [[0, None]]}, None, FILTER),
    ({"seven_bit": 1}, None, FILTER),
    ({"seven_bit": 0}, None, FILTER),
    ({"byte_proxy": {0: 32}}, None, FILTER),
    ({"byte_proxy": "ab"}, None, FILTER),
    ({"byte_proxy": 7}, None, FILTER),
    ({"byte_proxy": [0, 32]}, None, FILTER),
    ({"byte_proxy": ["ab"]}, None, FILTER),
    ({"byte_proxy": [[0]]}, None, FILTER),
    ({"byte_proxy": [[0, 32, 1]]}, None, FILTER),
    ({"byte_proxy": [[0, 32], None]}, None, FILTER),
    ({"byte_proxy": [[0, 256]]}, None, PROXY),
    ({"byte_proxy": [[0, -2]]}, None, PROXY),
    ({"byte_proxy": [[0, "a"]]}, None, PROXY),
    ({"byte_proxy": [[0, b"a"]]}, None, PROXY),
    ({"byte_proxy": [[0, False]]}, None, PROXY),
    ({"byte_proxy": [[0, 1.0]]}, None, PROXY),
    ({"byte_proxy": [[0, [1]]]}, None, PROXY),
    ({"byte_proxy": [[None, 1]]}, None, PROXY),
    ({"byte_proxy": [[256, 1]]}, None, PROXY),
    ({"byte_proxy": [[-2, 1]]}, None, PROXY),
    ({"byte_proxy": [["a", 1]]}, None, PROXY),
    ({"byte_proxy": [[[1], 1]]}, None, PROXY),
    ({"byte_proxy": [[True, 1]]}, None, PROXY),
    ({"byte_proxy": [[7, 1], [8, 1], [7, None]]}, None, PROXY),
    ({"byte_proxy": [[7, 1], [7, 1]]}, None, PROXY),
    ({"byte_proxy": [[-1, 32]]}, None, CHAR),
    ({"byte_proxy": [[0, -1]]}, None, CHAR),
    # Two characters that are more than a byte are not the same byte twice.
    ({"byte_proxy": [[7, 1], [-1, None], [-1, -1]]}, None, CHAR),
    (NUMBER | {"partial_frequency_ns": 1}, None, PARTIAL),
    (BINARY | {"partial_frequency_ns": 1}, 10, PARTIAL),
    (STRUCT | {"partial_frequency_ns": 1}, None, PARTIAL),
    (FRAME | {"partial_frequency_ns": 0}, None, PARTIAL),
    ({"partial_frequency_ns": 0}, None, PARTIAL),
    ({"partial_frequency_ns": -1}, None, PARTIAL),
    ({"partial_frequency_ns": True}, None, PARTIAL),
    ({"partial_frequency_ns": 1.0}, None, PARTIAL),
    ({"partial_frequency_ns": math.nan}, None, PARTIAL),
    (BYTES | {"partial_frequency_ns": "1"}, None, PARTIAL),
    ({"rcv_flags": 4}, None, FLAGS),
    ({"rcv_flags": -1}, None, FLAGS),
    ({"rcv_flags": True}, None, FLAGS),
    ({"rcv_flags": 2.0}, None, FLAGS),
    ({"rcv_flags": "packet"}, None, FLAGS),
    (FRAME | {"rcv_flags": 6}, None, FLAGS),
    # Several rows match: the first answers.
    ({"form": "strings", "typelist": [], "byte_count": 0, "rcv_flags": 9}, 10, FORM),
    (BINARY | {"typelist": [], "byte_count": 0}, None, NO_BUFFER),
    ({"form": "template", "offset": 1, "byte_count": 0}, 10, TEMPLATE),
    (BINARY | {"offset": 10, "byte_count": 0, "end_sequence": []}, 10, TARGET),
    ({"byte_count": 0, "end_sequence": [], "discard_after": 0}, None, TERMINATION),
    ({"end_sequence": [], "discard_after": 0, "seven_bit": 1}, None, SEQUENCE),
    ({"discard_after": 0, "seven_bit": 1, "rcv_flags": 9}, None, DISCARD),
    ({"seven_bit": 1, "byte_proxy": [[0, 256]], "rcv_flags": 9}, None, FILTER),
    ({"byte_proxy": [[-1, 256]], "partial_frequency_ns": 0}, None, PROXY),
    ({"byte_proxy": [[-1, 1]], "partial_frequency_ns": 0}, None, CHAR),
    ({"partial_frequency_ns": 0, "rcv_flags": 9}, None, PARTIAL),
]


@pytest.mark.parametrize(("slots", "buffer_bytes"), ARMED, ids=range(len(ARMED)))
def test_a_spec_that_makes_sense_can_be_armed(slots, buffer_bytes):
    assert refuse_slots(slots, has_buffer_bytes=buffer_bytes) is None


@pytest.mark.parametrize(("slots", "buffer_bytes", "rule"), REFUSED, ids=range(len(REFUSED)))
def test_the_first_row_that_matches_refuses(slots, buffer_bytes, rule):
    assert refuse_slots(slots, has_buffer_bytes=buffer_bytes) == rule


def test_the_rows_stand_in_their_order_and_every_one_is_hit():
    assert list(INPUT_REFUSALS) == ORDER
    assert {rule for *_, rule in REFUSED} == set(ORDER)


def test_every_form_can_be_armed():
    assert {slots.get("form", "string") for slots, _ in ARMED} == set(FORMS)


def test_every_row_names_its_documented_code_and_what_it_means():
    for rule, row in INPUT_REFUSALS.items():
        assert row.rule == rule
        assert row.code in MEANINGS
        assert rule.startswith(f"N{int(row.code)}-")
        assert row.meaning
        assert "\n" not in row.meaning
    assert len({row.meaning for row in INPUT_REFUSALS.values()}) == len(INPUT_REFUSALS)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
slots_of_anything = st.fixed_dictionaries(
    {},
    optional={
        "form": st.sampled_from(sorted(FORMS)) | anything,
        "byte_proxy": st.lists(st.lists(anything, min_size=2, max_size=2)) | anything,
        **dict.fromkeys(
            (
                *("byte_count", "end_sequence", "use_eop", "discard_after", "rcv_flags"),
                *("seven_bit", "typelist", "offset", "options", "partial_frequency_ns"),
            ),
            anything,
        ),
    },
)


@given(slots_of_anything, st.none() | st.integers(0, 10))
def test_whatever_stands_in_the_slots_a_row_answers_or_none(slots, buffer_bytes):
    assert refuse_slots(slots, has_buffer_bytes=buffer_bytes) in {None, *ORDER}
