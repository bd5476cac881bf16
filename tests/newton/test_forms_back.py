"""Data forms: what comes over the wire, frames among it, and that what is sent comes back."""

import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.actors.newton._forms import (
    FORMS,
    FRAME_DEPTH_MAX,
    FRAME_HEADER,
    FormError,
    Template,
    encode,
    frame_length,
    intrinsic_size,
)

from .pieces import CHAR, DATA, EMPTY, FORM, TEMPLATE, back, nested, rule_of

# --- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_piece_may_be_any_bytes(kind):
    assert back(kind(b"text"), "string") == "text"
    assert back(kind(b"A"), "char") == "A"
    assert back(kind(b"\0\0\1\0"), "number") == 256
    assert back(kind(b"raw"), "bytes") == b"raw"
    assert type(back(kind(b"raw"), "binary")) is bytes
    assert back(kind(b"\0\0\0\1\x80"), "frame") == {}
    assert back(kind(b"\0\1"), "template", ["short"]) == [1]


def test_what_is_no_text_is_replaced_and_never_an_error():
    assert back(b"a\xff\xed\xa0\x80", "string") == "a" + "\ufffd" * 4
    assert back(b"\xff", "char") == "\ufffd"
    assert back(b"\xff\0", "template", [["array", "char", 2]]) == ["\ufffd\0"]
    assert back(b"\xd8\x00", "template", ["unicodechar"]) == ["\ufffd"]
    assert back(b"", "string") == ""
    assert back(b"\xe9", "string", encoding="latin-1") == "é"


def test_any_byte_but_zero_is_true():
    assert back(b"\0\1\2\xff", "template", [["array", "boolean", 4]]) == [[False, True, True, True]]


def test_the_padding_of_a_struct_may_hold_anything():
    assert back(b"\1\xde\xad\xbe", "template", ["struct", "byte"]) == [1]


@pytest.mark.parametrize(
    ("raw", "form", "typelist"),
    [
        (b"", "char", None),
        (b"ab", "char", None),
        (b"", "number", None),
        (b"\0\0\0", "number", None),
        (b"\0\0\0\0\0", "number", None),
        (b"\1", "template", ["short"]),
        (b"\1\2\3", "template", ["short"]),
        (b"\1", "template", ["struct", "byte"]),
        (b"\1", "template", [["array", "long", 10**400]]),
        (b"abc", "template", [["array", "char", 0]]),
        (b"", "template", [["array", "char", 0]]),
        (b"abc\0d", "template", [["array", "char", 0]]),
        (b"abc\0\0", "template", ["struct", ["array", "char", 0]]),
        (b"a\0\0b", "template", [["array", "unicodechar", 0]]),
        (b"a\0", "template", [["array", "char", 0], "short"]),
        (b"a\0\1", "template", [["array", "char", 0], "short"]),
        (b"a\0\1", "template", [["array", "char", 0], ["array", "byte", 10**400]]),
    ],
)
def test_a_piece_of_the_wrong_size_is_refused(raw, form, typelist):
    assert rule_of(back, raw, form, typelist) == DATA


def test_decoding_refuses_unknown_forms_and_bad_typelists():
    unknown: Any = ["string"]
    assert rule_of(back, b"a", "strings") == FORM
    assert rule_of(back, b"a", unknown) == FORM
    assert rule_of(back, b"a", "template") == TEMPLATE
    assert rule_of(back, b"a", "template", ["struct"]) == TEMPLATE
    assert rule_of(intrinsic_size, "strings") == FORM
    assert rule_of(intrinsic_size, "template", [["array", "byte", 0]]) == TEMPLATE


@pytest.mark.parametrize(
    ("form", "typelist", "size"),
    [
        ("char", None, 1),
        ("number", None, 4),
        ("string", None, None),
        ("bytes", None, None),
        ("binary", None, None),
        ("frame", None, None),
        ("template", ["long", "byte"], 5),
        ("template", ["struct", "long", "byte"], 8),
        ("template", ["ulong", "short", "byte", "char", "unicodechar", "boolean"], 11),
        ("template", [["array", "unicodechar", 3], ["array", "boolean", 2]], 8),
        ("template", ["long", ["array", "char", 0]], None),
        ("template", [["array", "long", 10**400]], 4 * 10**400),
    ],
)
def test_some_forms_say_their_size(form, typelist, size):
    assert intrinsic_size(form, typelist) == size


# --- frames as they come in ----------------------------------------------------------------------


def outcome(call, *arguments):
    """Return what the call returns, or the rule that it is refused by."""
    try:
        return call(*arguments)
    except FormError as error:
        return error.rule


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(FRAME_HEADER, "big") + body


def deep(depth: int) -> bytes:
    """A frame that nests so deep, written by hand: no packer goes there."""
    return framed(b"\x81\xa0" * (depth - 1) + b"\x81\xa0\0")


BOMB_ARRAY = b"\xdd\xff\xff\xff\xff"
BOMB_MAP = b"\xdf\xff\xff\xff\xff"

BAD_FRAMES: dict[str, bytes] = {
    "nothing": b"",
    "half a header": b"\0\0\0",
    "a header alone": b"\0\0\0\0",
    "too little": b"\0\0\0\2\x80",
    "too much": b"\0\0\0\1\x80\x80",
    "a huge length": b"\xff\xff\xff\xff\x80",
    "two objects": framed(b"\x80\x80"),
    "half an object": framed(b"\x81\xa1"),
    "a number": framed(b"\1"),
    "an array": framed(b"\x91\1"),
    "no MessagePack": framed(b"\xc1"),
    "an unknown byte inside": framed(b"\x81\xa1a\xc1"),
    "a number as a key": framed(b"\x81\1\1"),
    "bytes as a key": framed(b"\x81\xc4\1a\1"),
    "nil as a key": framed(b"\x81\xc0\1"),
    "a map as a key": framed(b"\x81\x80\1"),
    "bytes as a key inside": framed(b"\x81\xa1a\x91\x81\xc4\1a\1"),
    "text that is no UTF-8": framed(b"\x81\xa1a\xa1\xff"),
    "a key that is no UTF-8": framed(b"\x81\xa1\xff\1"),
    "a lone surrogate": framed(b"\x81\xa1a\xa3\xed\xa0\x80"),
    "an extension": framed(b"\x81\xa1a\xd4\1x"),
    "an empty extension": framed(b"\x81\xa1a\xc7\0\1"),
    "a timestamp": framed(b"\x81\xa1a\xd6\xff\0\0\0\1"),
    "a timestamp in an array": framed(b"\x81\xa1a\x91\xd6\xff\0\0\0\1"),
    "a timestamp as a key": framed(b"\x81\xd6\xff\0\0\0\1\1"),
    "an array bomb": framed(b"\x81\xa1a" + BOMB_ARRAY),
    "nested array bombs": framed(b"\x81\xa1a" + BOMB_ARRAY * 200),
    "bombs as long as the frame": framed(
        b"\x81\xa1a" + b"\xdd\0\1\0\0" * 500 + bytes(0x10000 - 2503)
    ),
    "a map bomb": framed(BOMB_MAP),
    "nested map bombs": framed((BOMB_MAP + b"\xa1a") * 200),
    "a string bomb": framed(b"\x81\xa1a\xdb\xff\xff\xff\xff"),
    "a binary bomb": framed(b"\x81\xa1a\xc6\xff\xff\xff\xff"),
    "an extension bomb": framed(b"\x81\xa1a\xc9\xff\xff\xff\xff\1"),
    "one level too deep": deep(FRAME_DEPTH_MAX + 1),
    "far too deep": deep(5_000),
    "beyond any stack": deep(1_000_000),
}


@pytest.mark.parametrize("raw", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_frame_that_is_none_is_refused(raw):
    assert rule_of(back, raw, "frame") == DATA


@pytest.mark.parametrize("name", [name for name in BAD_FRAMES if "bomb" in name])
def test_what_a_bomb_declares_is_not_allocated(name):
    raw = BAD_FRAMES[name]
    tracemalloc.start()
    try:
        assert rule_of(back, raw, "frame") == DATA
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(raw) + 2**18


def test_frames_nest_as_deep_as_the_limit_both_ways():
    deepest = nested(FRAME_DEPTH_MAX)
    assert back(encode(deepest, "frame"), "frame") == deepest
    assert back(deep(FRAME_DEPTH_MAX), "frame")


def test_a_frame_may_hold_one_object_twice():
    shared = {"x": [1, 2]}
    assert back(encode({"a": shared, "b": [shared, shared]}, "frame"), "frame") == {
        "a": {"x": [1, 2]},
        "b": [{"x": [1, 2]}, {"x": [1, 2]}],
    }


def test_a_wide_frame_is_read_although_its_arrays_are_long():
    wide = {"numbers": list(range(10_000)), "frames": [{"n": n} for n in range(1_000)]}
    assert back(encode(wide, "frame"), "frame") == wide


def test_a_frame_carries_what_is_not_a_number():
    assert math.isnan(back(encode({"a": math.nan}, "frame"), "frame")["a"])


def test_the_header_of_a_frame_is_the_length_behind_it():
    raw = encode({"a": "x" * 300}, "frame")
    assert frame_length(raw[:FRAME_HEADER]) == len(raw) - FRAME_HEADER
    assert frame_length(memoryview(b"\x01\x02\x03\x04")) == 0x01020304


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_refused(body):
    found = outcome(back, framed(body), "frame")
    assert found == DATA or encode(found, "frame")


# --- there and back ------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]))
ascii_chars = st.characters(max_codepoint=0x7F)
numbers = st.integers(-(2**31), 2**31 - 1)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary()
)
frames = st.dictionaries(
    texts,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


@given(texts.filter(bool))
def test_strings_come_back(text):
    assert back(encode(text, "string"), "string") == text


@given(st.characters(max_codepoint=0xFF))
def test_chars_come_back(char):
    raw = encode(char, "char", encoding="latin-1")
    assert len(raw) == intrinsic_size("char")
    assert back(raw, "char", encoding="latin-1") == char


@given(numbers)
def test_numbers_come_back(number):
    raw = encode(number, "number")
    assert len(raw) == intrinsic_size("number")
    assert back(raw, "number") == number


@given(st.lists(st.integers(), min_size=1))
def test_of_bytes_the_low_ones_come_back(values):
    assert list(back(encode(values, "bytes"), "bytes")) == [value % 256 for value in values]


@given(st.data(), st.binary(min_size=1))
def test_binaries_come_back_as_they_were_cut(data, raw):
    offset = data.draw(st.integers(0, len(raw) - 1))
    length = data.draw(st.none() | st.integers(1, len(raw) - offset))
    sent = encode(raw, "binary", offset=offset, length=length)
    end = None if length is None else offset + length
    assert back(sent, "binary") == raw[offset:end]


@given(frames)
def test_frames_come_back(frame):
    assert back(encode(frame, "frame"), "frame") == frame


@st.composite
def fields(draw: st.DrawFn) -> tuple[Any, Any]:
    """One item of a typelist with a value of it."""
    values: dict[str, st.SearchStrategy[Any]] = {
        "long": numbers,
        "ulong": st.integers(0, 2**32 - 1),
        "short": st.integers(0, 0xFFFF),
        "byte": st.integers(0, 0xFF),
        "char": ascii_chars,
        "unicodechar": st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]),
        "boolean": st.booleans(),
    }
    name = draw(st.sampled_from(sorted(values)))
    if draw(st.booleans()):
        return name, draw(values[name])
    several = draw(st.lists(values[name], min_size=1, max_size=5))
    if "char" not in name:
        return ["array", name, len(several)], several
    text = "".join(several)
    is_open = "\0" not in text and draw(st.booleans())
    return ["array", name, 0 if is_open else len(several)], text


@given(st.lists(fields(), min_size=1, max_size=6), st.booleans())
def test_templates_come_back(drawn, is_struct):
    typelist = [*(["struct"] if is_struct else []), *(item for item, _ in drawn)]
    arglist = [value for _, value in drawn]
    raw = encode(Template(arglist, typelist), "template")
    assert back(raw, "template", typelist) == arglist
    assert intrinsic_size("template", typelist) in (None, len(raw))
    assert not is_struct or len(raw) % 4 == 0


@given(
    st.recursive(
        scalars | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner)
    )
    | st.dictionaries(scalars.filter(lambda key: key == key), scalars),
    st.sampled_from([None, *FORMS, "other"]),
)
def test_whatever_is_to_be_sent_becomes_bytes_or_is_refused_by_a_rule(data, form):
    found = outcome(encode, data, form)
    assert found in {FORM, EMPTY, TEMPLATE, CHAR} if isinstance(found, str) else found
