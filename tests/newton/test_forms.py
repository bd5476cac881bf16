"""Data forms: what goes over the wire, and what is refused (spec 3.2)."""

import math
import struct
from typing import Any

import pytest

from rescind.actors.newton._codes import MEANINGS
from rescind.actors.newton._forms import (
    FORM_REFUSALS,
    FORMS,
    FRAME_DEPTH_MAX,
    FormError,
    Template,
    default_form,
    encode,
)
from rescind.events import RescindError
from rescind.events._msgpack import ExtType, Timestamp

from .pieces import CHAR, DATA, EMPTY, FORM, TARGET, TEMPLATE, back, nested, rule_of

# --- the table -----------------------------------------------------------------------------------

# The guide's table 23-2, and the arrays of the reference's page 20-24.
APPLICABILITY = {
    "char": ("none", False, True, False, "none", True),
    "number": ("none", False, True, False, "none", True),
    "string": ("all", True, True, True, "none", True),
    "bytes": ("all", True, True, True, "none", False),
    "binary": ("no sequence", False, False, False, "buffer", True),
    "template": ("none", False, False, False, "template", True),
    "frame": ("none", False, False, False, "none", False),
}


@pytest.mark.parametrize("name", APPLICABILITY)
def test_each_form_takes_the_slots_of_the_guides_table(name):
    row = FORMS[name]
    slots = (row.termination, row.discards, row.filters, row.partial, row.target, row.arrays)
    assert slots == APPLICABILITY[name]


def test_there_are_exactly_the_seven_forms():
    assert {row.name: row for row in FORMS.values()} == FORMS
    assert set(FORMS) == set(APPLICABILITY)


def test_every_rule_has_a_documented_code():
    for rule, code in FORM_REFUSALS.items():
        assert code in MEANINGS
        assert rule.startswith(f"N{int(code)}-")
        error = FormError(rule)
        assert isinstance(error, RescindError)
        assert (error.rule, error.code) == (rule, code)
        assert MEANINGS[code] in str(error)


# --- one value of each form ----------------------------------------------------------------------

template: Any = Template
"""Without its types, for what no type checker would let through."""

# Data, form, encoding, bytes on the wire.
WIRE: list[tuple[Any, str, str, bytes]] = [
    ("A", "char", "utf-8", b"A"),
    ("é", "char", "latin-1", b"\xe9"),
    ("\0", "char", "utf-8", b"\0"),
    (1, "number", "utf-8", b"\0\0\0\1"),
    (-2, "number", "utf-8", b"\xff\xff\xff\xfe"),
    (2**31 - 1, "number", "utf-8", b"\x7f\xff\xff\xff"),
    (-(2**31), "number", "utf-8", b"\x80\0\0\0"),
    ("zwölf", "string", "utf-8", b"zw\xc3\xb6lf"),
    ("zwölf", "string", "latin-1", b"zw\xf6lf"),
    (b"\0\xff", "bytes", "utf-8", b"\0\xff"),
    (bytearray(b"ab"), "bytes", "utf-8", b"ab"),
    ([1, 255, 256, -1, 0x1234], "bytes", "utf-8", b"\x01\xff\x00\xff\x34"),
    ((7,), "bytes", "utf-8", b"\7"),
    (b"\0\xff", "binary", "utf-8", b"\0\xff"),
    (bytearray(b"ab"), "binary", "utf-8", b"ab"),
    (memoryview(b"abc"), "binary", "utf-8", b"abc"),
    (memoryview(b"abcd")[::2], "binary", "utf-8", b"ac"),
    ({"a": 1}, "frame", "utf-8", b"\0\0\0\4\x81\xa1a\x01"),
    ({}, "frame", "utf-8", b"\0\0\0\1\x80"),
    # Arrays of one form.
    (["a", "bc"], "string", "utf-8", b"abc"),
    (("a", "b"), "char", "utf-8", b"ab"),
    ([1, 2], "number", "utf-8", b"\0\0\0\1\0\0\0\2"),
    ([b"a", bytearray(b"b"), memoryview(b"c")], "binary", "utf-8", b"abc"),
    ([Template([1], ["byte"]), Template([2], ["short"])], "template", "utf-8", b"\1\0\2"),
    (["", "a"], "string", "utf-8", b"a"),
]

# Arglist, typelist, bytes on the wire.
TEMPLATES: list[tuple[list[Any], list[Any], bytes]] = [
    ([-1], ["long"], b"\xff\xff\xff\xff"),
    ([2**32 - 1], ["ulong"], b"\xff\xff\xff\xff"),
    ([0x1234], ["short"], b"\x12\x34"),
    ([65535], ["short"], b"\xff\xff"),
    ([255], ["byte"], b"\xff"),
    (["A"], ["char"], b"A"),
    (["Ω"], ["unicodechar"], b"\x03\xa9"),
    ([True, False], ["boolean", "boolean"], b"\1\0"),
    ([1, 2], ["byte", "long"], b"\1\0\0\0\2"),
    ([1, 2], ["struct", "byte", "long"], b"\1\0\0\0\2\0\0\0"),
    ([1], ["struct", "long"], b"\0\0\0\1"),
    ([[1, 2, 3]], [["array", "short", 3]], b"\0\1\0\2\0\3"),
    ([[True]], [["array", "boolean", 1]], b"\1"),
    (["abcd"], [["array", "char", 4]], b"abcd"),
    (["a\0\0\0"], [["array", "char", 4]], b"a\0\0\0"),
    (["é2"], [["array", "char", 3]], b"\xc3\xa92"),
    (["hello"], [["array", "char", 0]], b"hello\0"),
    ([""], [["array", "char", 0]], b"\0"),
    (["hi"], [["array", "unicodechar", 0]], b"\0h\0i\0\0"),
    # A zero byte at an even and one at an odd place are no terminator.
    (["\u0100A"], [["array", "unicodechar", 0]], b"\1\0\0A\0\0"),
    (["\U0001f600"], [["array", "unicodechar", 2]], b"\xd8\x3d\xde\x00"),
    (["ab", 7], ["struct", ["array", "char", 0], "short"], b"ab\0\0\7\0\0\0"),
]


@pytest.mark.parametrize(("data", "form", "encoding", "wire"), WIRE)
def test_a_value_is_encoded_as_its_form_says(data, form, encoding, wire):
    raw = encode(data, form, encoding=encoding)
    assert raw == wire
    assert type(raw) is bytes


@pytest.mark.parametrize(("arglist", "typelist", "wire"), TEMPLATES)
def test_a_template_is_encoded_without_gaps_and_comes_back(arglist, typelist, wire):
    assert encode(Template(arglist, typelist), "template") == wire
    as_tuples = tuple(tuple(item) if isinstance(item, list) else item for item in typelist)
    assert encode(Template(tuple(arglist), as_tuples), "template") == wire
    assert back(wire, "template", typelist) == arglist
    assert back(memoryview(wire), "template", as_tuples) == arglist


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ("text", "string"),
        ("", "string"),
        (b"", "binary"),
        (bytearray(), "binary"),
        (memoryview(b""), "binary"),
        (7, "number"),
        (True, None),
        (1.0, None),
        (None, None),
        ({}, None),
        ([1], None),
        ((1,), None),
        (Template([1], ["byte"]), None),
    ],
)
def test_strings_binaries_and_numbers_have_a_default_form(data, form):
    assert default_form(data) == form


def test_data_without_a_form_takes_its_default():
    assert encode("é") == b"\xc3\xa9"
    assert encode("é", encoding="latin-1") == b"\xe9"
    assert encode(b"raw") == b"raw"
    assert encode(258) == b"\0\0\1\2"


def test_an_array_without_a_form_may_be_mixed():
    assert encode(["ab", 1, b"\xff", bytearray(b"!")]) == b"ab\0\0\0\1\xff!"
    assert encode(("é",), encoding="latin-1") == b"\xe9"


# --- what is refused -----------------------------------------------------------------------------

SURROGATE = "a\ud800"
ESCAPED = "a\udc80"
"""What ``surrogateescape`` would let through as a byte that is no UTF-8."""


def released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


def holding_itself() -> dict[str, Any]:
    frame: dict[str, Any] = {}
    frame["one"] = frame["other"] = [frame, frame]
    return frame


# Data, form (None: the default), the rule that refuses.
REFUSED: list[tuple[Any, Any, str]] = [
    # no such form
    ("a", "strings", FORM),
    ("a", "", FORM),
    ("a", 7, FORM),
    ("a", ["string"], FORM),
    (["a"], "strings", FORM),
    (["a"], {}, FORM),
    # no default form
    (None, None, FORM),
    (True, None, FORM),
    (1.5, None, FORM),
    (math.nan, None, FORM),
    ({"a": 1}, None, FORM),
    ({1, 2}, None, FORM),
    (object(), None, FORM),
    (Template([1], ["byte"]), None, FORM),
    # data of another kind
    (65, "char", FORM),
    (b"A", "char", FORM),
    ("1", "number", FORM),
    (True, "number", FORM),
    (1.0, "number", FORM),
    (math.nan, "number", FORM),
    (math.inf, "number", FORM),
    (2**31, "number", FORM),
    (-(2**31) - 1, "number", FORM),
    (10**400, "number", FORM),
    (b"a", "string", FORM),
    (1, "string", FORM),
    (SURROGATE, "string", FORM),
    (ESCAPED, "string", FORM),
    (SURROGATE, None, FORM),
    ("a", "bytes", FORM),
    (1, "bytes", FORM),
    ([1, "2"], "bytes", FORM),
    ([True], "bytes", FORM),
    ([1.0], "bytes", FORM),
    ([math.nan], "bytes", FORM),
    ([[1]], "bytes", FORM),
    ([b"a"], "bytes", FORM),
    ("a", "binary", FORM),
    (1, "binary", FORM),
    (None, "binary", FORM),
    (released(), "binary", FORM),
    (released(), "bytes", FORM),
    # chars
    ("ab", "char", CHAR),
    ("", "char", CHAR),
    ("é", "char", CHAR),
    ("\ud800", "char", CHAR),
    (["a", "é"], "char", CHAR),
    (["a", ""], "char", CHAR),
    # arrays
    ([["a"]], "string", FORM),
    ([[1]], "number", FORM),
    ([[b"a"]], "binary", FORM),
    (["a", 1], "string", FORM),
    ([1, True], "number", FORM),
    ([["a"]], None, FORM),
    ([("a",)], None, FORM),
    ([{"a": 1}], None, FORM),
    ([True], None, FORM),
    ([None], None, FORM),
    ([1.0], None, FORM),
    ([2**31], None, FORM),
    ([SURROGATE], None, FORM),
    ([Template([1], ["byte"])], None, FORM),
    ([{"a": 1}], "frame", FORM),
    (({"a": 1},), "frame", FORM),
    # nothing
    ("", "string", EMPTY),
    ("", None, EMPTY),
    (b"", "binary", EMPTY),
    (bytearray(), None, EMPTY),
    (b"", "bytes", EMPTY),
    ([], "bytes", EMPTY),
    ([], None, EMPTY),
    ((), "string", EMPTY),
    (["", ""], None, EMPTY),
    # frames
    ("a", "frame", FORM),
    (None, "frame", FORM),
    (b"\x80", "frame", FORM),
    ({1: "a"}, "frame", FORM),
    ({b"a": 1}, "frame", FORM),
    ({None: 1}, "frame", FORM),
    ({("a",): 1}, "frame", FORM),
    ({"a": {1: 2}}, "frame", FORM),
    ({"a": [{"b": {2: 3}}]}, "frame", FORM),
    ({"a": object()}, "frame", FORM),
    ({"a": {1, 2}}, "frame", FORM),
    ({"a": 1j}, "frame", FORM),
    ({"a": Template([1], ["byte"])}, "frame", FORM),
    ({"a": 2**64}, "frame", FORM),
    ({"a": -(2**63) - 1}, "frame", FORM),
    ({"a": SURROGATE}, "frame", FORM),
    ({"a": ESCAPED}, "frame", FORM),
    ({ESCAPED: 1}, "frame", FORM),
    ({"a": ExtType(1, b"x")}, "frame", FORM),
    ({"a": ExtType(1, b"")}, "frame", FORM),
    ({"a": [Timestamp(1)]}, "frame", FORM),
    ({"a": released()}, "frame", FORM),
    (nested(FRAME_DEPTH_MAX + 1), "frame", FORM),
    (nested(100_000), "frame", FORM),
    (holding_itself(), "frame", FORM),
]


@pytest.mark.parametrize(("data", "form", "rule"), REFUSED, ids=range(len(REFUSED)))
def test_data_that_does_not_fit_is_refused_by_its_rule(data, form, rule):
    assert rule_of(encode, data, form) == rule


def test_a_string_that_the_encoding_lacks_is_refused():
    assert rule_of(encode, "Ω", "string", encoding="latin-1") == FORM
    assert rule_of(encode, "Ω", "char", encoding="latin-1") == CHAR


TEMPLATES_REFUSED: list[tuple[Any, str]] = [
    # not a template at all
    ({"arglist": [1], "typelist": ["int"]}, TEMPLATE),
    ({"arglist": [1]}, TEMPLATE),
    ("a", TEMPLATE),
    (None, TEMPLATE),
    ([[1]], TEMPLATE),
    # typelists without sense
    (template([], []), TEMPLATE),
    (template([], ["struct"]), TEMPLATE),
    (template([1], None), TEMPLATE),
    (template([1], "byte"), TEMPLATE),
    (template([1], {"byte": 1}), TEMPLATE),
    (template([1], [None]), TEMPLATE),
    (template([1], ["int"]), TEMPLATE),
    (template([1, 1], ["byte", "struct"]), TEMPLATE),
    (template([1], ["struct", "struct"]), TEMPLATE),
    (template(["abc"], ["array", "char", 3]), TEMPLATE),
    (template([[1]], [["array", "byte"]]), TEMPLATE),
    (template([[1]], [["array", "byte", 1, 1]]), TEMPLATE),
    (template([[1]], [["list", "byte", 1]]), TEMPLATE),
    (template([[1]], [["array", "int", 1]]), TEMPLATE),
    (template([[1]], [["array", ["array", "byte", 1], 1]]), TEMPLATE),
    (template([[1]], [["array", "struct", 1]]), TEMPLATE),
    (template([[]], [["array", "byte", 0]]), TEMPLATE),
    (template([[]], [["array", "byte", -1]]), TEMPLATE),
    (template([[1]], [["array", "byte", True]]), TEMPLATE),
    (template([[1]], [["array", "byte", 1.0]]), TEMPLATE),
    (template([""], [["array", "char", False]]), TEMPLATE),
    (template([[1]], [["array", "byte", 10**400]]), TEMPLATE),
    (template([[1]], [{"array": 1}]), TEMPLATE),
    # an arglist that says something else
    (template(None, ["byte"]), TEMPLATE),
    (template("a", ["char"]), TEMPLATE),
    (template(b"a", ["byte"]), TEMPLATE),
    (template([], ["byte"]), TEMPLATE),
    (template([1, 2], ["byte"]), TEMPLATE),
    (template([1, 2], ["struct", "byte"]), TEMPLATE),
    (template(["1"], ["long"]), TEMPLATE),
    (template([True], ["long"]), TEMPLATE),
    (template([1.0], ["long"]), TEMPLATE),
    (template([math.nan], ["long"]), TEMPLATE),
    (template([2**31], ["long"]), TEMPLATE),
    (template([-1], ["ulong"]), TEMPLATE),
    (template([2**32], ["ulong"]), TEMPLATE),
    (template([-1], ["short"]), TEMPLATE),
    (template([65536], ["short"]), TEMPLATE),
    (template([256], ["byte"]), TEMPLATE),
    (template([-1], ["byte"]), TEMPLATE),
    (template([1], ["boolean"]), TEMPLATE),
    (template([None], ["boolean"]), TEMPLATE),
    (template([65], ["char"]), TEMPLATE),
    (template([b"a"], ["char"]), TEMPLATE),
    (template([1], [["array", "byte", 1]]), TEMPLATE),
    (template([[1]], [["array", "byte", 2]]), TEMPLATE),
    (template([[1, 2]], [["array", "byte", 1]]), TEMPLATE),
    (template([b"a"], [["array", "byte", 1]]), TEMPLATE),
    (template([[1, True]], [["array", "byte", 2]]), TEMPLATE),
    (template([[[1]]], [["array", "byte", 1]]), TEMPLATE),
    (template([["a"]], [["array", "char", 1]]), TEMPLATE),
    (template(["abc"], [["array", "char", 4]]), TEMPLATE),
    (template(["abcde"], [["array", "char", 4]]), TEMPLATE),
    (template(["é"], [["array", "char", 1]]), TEMPLATE),
    (template(["\U0001f600"], [["array", "unicodechar", 1]]), TEMPLATE),
    (template([SURROGATE], [["array", "char", 0]]), TEMPLATE),
    (template(["\ud800"], [["array", "unicodechar", 1]]), TEMPLATE),
    (template(["a\0b"], [["array", "char", 0]]), TEMPLATE),
    (template(["a\0"], [["array", "unicodechar", 0]]), TEMPLATE),
    # a character that is not one unit
    (template([""], ["char"]), CHAR),
    (template(["ab"], ["char"]), CHAR),
    (template(["é"], ["char"]), CHAR),
    (template(["\ud800"], ["char"]), CHAR),
    (template(["\U0001f600"], ["unicodechar"]), CHAR),
    (template(["\ud800"], ["unicodechar"]), CHAR),
    ([template([1], ["byte"]), template([""], ["char"])], CHAR),
]


@pytest.mark.parametrize(("data", "rule"), TEMPLATES_REFUSED, ids=range(len(TEMPLATES_REFUSED)))
def test_a_template_that_makes_no_sense_is_refused(data, rule):
    assert rule_of(encode, data, "template") == rule


def test_every_rule_of_encoding_is_hit():
    hit = {rule for *_, rule in REFUSED} | {rule for _, rule in TEMPLATES_REFUSED}
    assert hit | {TARGET, DATA} == set(FORM_REFUSALS)


# --- the target of a binary ----------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"0123456789", bytearray(b"0123456789")])
@pytest.mark.parametrize("form", [None, "binary"])
@pytest.mark.parametrize(
    ("offset", "length", "sent"),
    [
        (None, None, b"0123456789"),
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (None, 3, b"012"),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (0, 10, b"0123456789"),
    ],
)
def test_a_target_cuts_a_binary(data, form, offset, length, sent):
    assert encode(data, form, offset=offset, length=length) == sent


def test_a_target_counts_bytes_also_where_elements_are_longer():
    view = memoryview(struct.pack("<3H", 1, 2, 3)).cast("H")
    assert encode(view, offset=1, length=2) == b"\0\2"


BAD: Any = pytest.mark.parametrize(
    ("offset", "length"),
    [
        (11, None),
        (-1, None),
        (0, 11),
        (5, 6),
        (10, 1),
        (0, -1),
        (True, None),
        (None, True),
        (1.0, None),
        (None, math.nan),
        ("0", None),
        (None, "1"),
        (10**400, None),
        (0, 10**400),
    ],
)


@BAD
def test_a_target_past_the_data_is_refused(offset, length):
    assert rule_of(encode, b"0123456789", offset=offset, length=length) == TARGET


@pytest.mark.parametrize(("offset", "length"), [(10, None), (3, 0)])
def test_a_target_of_nothing_is_nothing_to_send(offset, length):
    assert rule_of(encode, b"0123456789", offset=offset, length=length) == EMPTY


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ("text", None),
        ("text", "string"),
        ("t", "char"),
        (1, "number"),
        (b"raw", "bytes"),
        ([1], "bytes"),
        (Template([1], ["byte"]), "template"),
        ({}, "frame"),
        ([b"raw"], "binary"),
        ([b"raw"], None),
    ],
)
@pytest.mark.parametrize("target", [{"offset": 0}, {"length": 1}])
def test_a_target_goes_with_one_binary_only(data, form, target):
    assert rule_of(encode, data, form, **target) == TARGET


def test_the_form_is_looked_at_before_the_target_and_the_data_before_its_length():
    assert rule_of(encode, b"a", "blob", offset=7) == FORM
    assert rule_of(encode, "a", "binary", offset=7) == FORM
    assert rule_of(encode, b"", offset=1) == TARGET
