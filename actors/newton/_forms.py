"""Data forms: how Python values become bytes on the wire, and bytes become values again.

Pure; the endpoint checks data with the same function with which the tools then encode it.
Sources: spec/newton.md 3.2 and 3.3; the guide's tables 23-1 and 23-2 (which form takes which slot);
the reference's tables 20-1 (forms) and 20-2 (types of a template) and its page 20-24 (arrays).

Theory.  A form with a *size* ends by itself: its size is fixed (char, number), told by a typelist
(template) or by a header (frame).  The others need somebody else to say where a piece ends, and
only those have terminations, a limit for what waits, and partial input.  All numbers on the wire
are big-endian, and nothing is aligned: ``struct`` in a typelist only pads the end.  The guide asks
for ``struct`` wherever a typelist mixes types; here it may be left out, and then nothing is padded.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeGuard, cast

from rescind.events import RescindError
from rescind.events._msgpack import (
    CANNOT_PACK,
    CANNOT_UNPACK,
    ExtType,
    Timestamp,
    packer,
    unpacker,
)

from ._codes import Code, meaning

BytesLike: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Form:
    """One data form, and which slots of a spec go with it."""

    name: str
    size: int | None
    """Bytes of one value, where they are always the same."""
    termination: Literal["none", "no sequence", "all"]
    """What of a termination the caller may say; ``none``: the form ends by itself."""
    discards: bool
    """Whether ``discard_after`` limits what waits for its end."""
    filters: bool
    """Whether incoming bytes may be filtered."""
    partial: bool
    """Whether what has come so far may be looked at."""
    target: Literal["none", "buffer", "template"]
    """What an input spec must say besides: where to put the bytes, or what they mean."""
    arrays: bool
    """Whether an array of such values may be sent."""


FORMS: dict[str, Form] = {
    row.name: row
    for row in (
        Form(
            "char", 1, "none", discards=False, filters=True, partial=False, target="none",
            arrays=True,
        ),
        Form(
            "number", 4, "none", discards=False, filters=True, partial=False, target="none",
            arrays=True,
        ),
        Form(
            "string", None, "all", discards=True, filters=True, partial=True, target="none",
            arrays=True,
        ),
        # A list of integers is one value of this form, not an array of values.
        Form(
            "bytes", None, "all", discards=True, filters=True, partial=True, target="none",
            arrays=False,
        ),
        Form(
            "binary", None, "no sequence", discards=False, filters=False, partial=False,
            target="buffer", arrays=True,
        ),
        Form(
            "template", None, "none", discards=False, filters=False, partial=False,
            target="template", arrays=True,
        ),
        Form(
            "frame", None, "none", discards=False, filters=False, partial=False, target="none",
            arrays=False,
        ),
    )
}  # fmt: skip

FRAME_HEADER = 4
"""Bytes in front of a frame's MessagePack: its length, big-endian."""
FRAME_DEPTH_MAX = 100
"""How deep dicts and lists that hold something may nest, the frame itself included."""

FORM = "N-54001-form"
EMPTY = "N-54002-empty"
TARGET = "N-54008-target"
TEMPLATE = "N-54011-template"
CHAR = "N-54016-char"
DATA = "N-36010-data"

FORM_REFUSALS: dict[str, Code] = {
    FORM: Code.BAD_FORM,
    EMPTY: Code.ZERO_LENGTH_DATA,
    TARGET: Code.INAPPROPRIATE_TARGET,
    TEMPLATE: Code.EXPECTED_TEMPLATE,
    CHAR: Code.CHAR_NOT_SINGLE_BYTE,
    DATA: Code.TBADDATA,
}
"""What may be wrong with data: rule id to code (section 7)."""


class FormError(RescindError):
    """Data cannot take its form, or bytes are none of theirs.

    Attributes:
        rule: the rule that says so, a key of ``FORM_REFUSALS``.
        code: the documented code.
    """

    def __init__(self, rule: str) -> None:
        """Name the rule; the message is what its code means."""
        self.rule = rule
        self.code = FORM_REFUSALS[rule]
        super().__init__(f"{rule}: {meaning(self.code)}")


@dataclass(frozen=True, slots=True)
class Template:
    """C-like data: values, and the types that they have on the wire.

    A typelist holds ``long`` (signed, 4 bytes), ``ulong`` (4), ``short`` (unsigned, 2), ``byte``
    (1), ``char`` (1), ``unicodechar`` (2), ``boolean`` (1) and ``["array", type, n]``.  ``struct``
    as its first item pads the whole to a multiple of 4 bytes.

    In the arglist an array of ``char`` or ``unicodechar`` is one str that fills exactly ``n`` units
    of 1 or 2 bytes; ``n`` = 0 is a whole str, followed by a zero.  Other arrays are lists.

    Attributes:
        arglist: the values; for input nobody reads them.
        typelist: their types.
    """

    arglist: Sequence[Any]
    typelist: Sequence[Any]


def default_form(data: object) -> str | None:
    """Return the form in which data is sent whose form nobody says; None if there is none.

    An array without a form has none either: each of its elements takes its own default.
    """
    if isinstance(data, str):
        return "string"
    if is_bytes_like(data):
        return "binary"
    return "number" if _is_int(data) else None


def encode(
    data: Any,
    form: str | None = None,
    *,
    encoding: str = "utf-8",
    offset: int | None = None,
    length: int | None = None,
) -> bytes:
    """Return the bytes of ``data`` on the wire.

    Args:
        data: a value that fits the form; a list or tuple of them if the form takes arrays; without
            a form also a mixed one of str, bytes-like values and integers.
        form: a key of ``FORMS``, or None for the default.
        encoding: of strings and chars; the caller has made sure that Python knows it.
        offset: where in a binary to begin, in bytes; None is its beginning.
        length: how many bytes of a binary to take; None is all of the rest.

    Raises:
        FormError: the form is unknown or the data does not fit it; the target does not go with the
            form or reaches past the data; a template contradicts itself; a char is not one byte;
            nothing is left to send.
    """
    is_several = is_array(data) and form != "bytes"
    name = default_form(data) if form is None else form
    if not (is_several and form is None) and not is_form(name):
        raise FormError(FORM)
    if offset is not None or length is not None:
        raw = _cut(data, name, offset, length)
    elif is_several:
        raw = b"".join([_encode_element(each, form, encoding) for each in data])
    else:
        raw = _ENCODERS[cast("str", name)](data, encoding)
    if not raw:
        raise FormError(EMPTY)
    return raw


def decode(raw: BytesLike, form: str, *, encoding: str, typelist: object = None) -> Any:
    """Return the value of one complete piece of input, with its header if it is a frame.

    Strings and chars never fail: what is no text becomes U+FFFD.  A template becomes the list of
    its values, ``bytes`` and ``binary`` become bytes.

    Raises:
        FormError: ``N-36010-data`` for a frame that is none, and for any other piece that is not
            of its form's size; ``N-54011-template`` for a typelist that makes no sense.
    """
    size = intrinsic_size(form, typelist)
    if size is not None and len(raw) != size:
        raise FormError(DATA)
    match form:
        case "string" | "char":
            return _text(raw, encoding)
        case "number":
            return int.from_bytes(raw, "big", signed=True)
        case "template":
            return _decode_template(bytes(raw), _fields(typelist), encoding)
        case "frame":
            return _decode_frame(raw)
        case _:
            return bytes(raw)


def intrinsic_size(form: str, typelist: object = None) -> int | None:
    """Return after how many bytes a value of this form is complete, or None if it doesn't say.

    None also for a frame, whose size is in its header, and for a template with a string of open
    length.

    Raises:
        FormError: ``N-54001-form``, or ``N-54011-template`` for a typelist that makes no sense.
    """
    if not is_form(form):
        raise FormError(FORM)
    if form == "template":
        return _fields(typelist).size
    return FORMS[form].size


def frame_length(header: BytesLike) -> int:
    """Return how many bytes of MessagePack follow this header of ``FRAME_HEADER`` bytes."""
    return int.from_bytes(header, "big")


def is_form(name: object) -> bool:
    """Tell whether this names a form; anything may be asked."""
    return isinstance(name, str) and name in FORMS


def is_bytes_like(value: object) -> TypeGuard[BytesLike]:
    return isinstance(value, bytes | bytearray | memoryview)


def is_array(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# --- single values -------------------------------------------------------------------------------


def _encode_element(element: Any, form: str | None, encoding: str) -> bytes:
    """Encode one element of an array: no array again, and no form that takes no arrays."""
    name = default_form(element) if form is None else form
    if name is None or not FORMS[name].arrays:
        raise FormError(FORM)
    return _ENCODERS[name](element, encoding)


def _encode_char(data: Any, encoding: str) -> bytes:
    if not isinstance(data, str):
        raise FormError(FORM)
    return _one_unit(data, encoding, 1)


def _one_unit(character: str, encoding: str, unit: int) -> bytes:
    try:
        raw = character.encode(encoding)
    except UnicodeError as error:
        raise FormError(CHAR) from error
    if len(raw) != unit:
        raise FormError(CHAR)
    return raw


def _encode_number(data: Any, _encoding: str) -> bytes:
    return _integer(data, 4, signed=True, rule=FORM)


def _integer(value: Any, size: int, *, signed: bool, rule: str) -> bytes:
    if not _is_int(value):
        raise FormError(rule)
    try:
        return value.to_bytes(size, "big", signed=signed)
    except OverflowError as error:
        raise FormError(rule) from error


def _encode_string(data: Any, encoding: str) -> bytes:
    if not isinstance(data, str):
        raise FormError(FORM)
    try:
        return data.encode(encoding)
    except UnicodeError as error:
        raise FormError(FORM) from error


def _encode_bytes(data: Any, encoding: str) -> bytes:
    if not is_array(data):
        return _encode_binary(data, encoding)
    if not all(map(_is_int, data)):
        raise FormError(FORM)
    return bytes([value & 0xFF for value in data])


def _encode_binary(data: Any, _encoding: str) -> bytes:
    if isinstance(data, bytes):
        return data
    if not is_bytes_like(data):
        raise FormError(FORM)
    try:
        return bytes(data)
    except ValueError as error:  # a memoryview that was released
        raise FormError(FORM) from error


def _cut(data: Any, name: str | None, offset: object, length: object) -> bytes:
    """Return the part of one binary that a target names."""
    if name != "binary" or is_array(data):
        raise FormError(TARGET)
    raw = _encode_binary(data, "")
    begin = 0 if offset is None else offset
    if not (_is_int(begin) and 0 <= begin <= len(raw)):
        raise FormError(TARGET)
    count = len(raw) - begin if length is None else length
    if not (_is_int(count) and 0 <= count <= len(raw) - begin):
        raise FormError(TARGET)
    return raw[begin : begin + count]


def _text(raw: BytesLike, encoding: str) -> str:
    return str(raw, encoding, "replace")


# --- templates -----------------------------------------------------------------------------------

_INTEGERS = {"long": (4, True), "ulong": (4, False), "short": (2, False), "byte": (1, False)}
"""Size in bytes, and whether there is a sign."""
_TEXTS = {"char": 1, "unicodechar": 2}
_SIZES = {**{name: size for name, (size, _) in _INTEGERS.items()}, **_TEXTS, "boolean": 1}


@dataclass(frozen=True, slots=True)
class _Field:
    """One item of a typelist."""

    type: str
    count: int | None
    """None: a single value; 0: a string up to its terminator; n: exactly so many units."""

    @property
    def size(self) -> int:
        return _SIZES[self.type] * (1 if self.count is None else self.count)


@dataclass(frozen=True, slots=True)
class _Fields:
    """A typelist that makes sense."""

    items: list[_Field]
    is_struct: bool

    @property
    def size(self) -> int | None:
        """The bytes of the whole; None where a string's length is open."""
        if any(item.count == 0 for item in self.items):
            return None
        return self.padded(sum(item.size for item in self.items))

    def padded(self, size: int) -> int:
        return size + (-size % 4 if self.is_struct else 0)


def _fields(typelist: object) -> _Fields:
    if not is_array(typelist) or not typelist:
        raise FormError(TEMPLATE)
    is_struct = typelist[0] == "struct"
    items = [_field(each) for each in typelist[is_struct:]]
    if not items:
        raise FormError(TEMPLATE)
    return _Fields(items, is_struct)


def _field(item: object) -> _Field:
    match item:
        case str() if item in _SIZES:
            return _Field(item, None)
        case ["array", str() as name, int() as count] if (
            name in _SIZES and _is_int(count) and (count > 0 or (count == 0 and name in _TEXTS))
        ):
            return _Field(name, count)
        case _:
            raise FormError(TEMPLATE)


def _encode_template(data: Any, encoding: str) -> bytes:
    match data:
        case Template(arglist, typelist) | {"arglist": arglist, "typelist": typelist}:
            fields = _fields(typelist)
        case _:
            raise FormError(TEMPLATE)
    values = _values(arglist, len(fields.items))
    parts = [
        _encode_field(field, value, encoding)
        for field, value in zip(fields.items, values, strict=True)
    ]
    raw = b"".join(parts)
    return raw.ljust(fields.padded(len(raw)), b"\0")


def _values(values: object, count: int) -> Sequence[Any]:
    if not is_array(values) or len(values) != count:
        raise FormError(TEMPLATE)
    return values


def _encode_field(field: _Field, value: Any, encoding: str) -> bytes:
    if field.type in _TEXTS:
        return _encode_text(field, value, encoding)
    if field.count is None:
        return _encode_scalar(field.type, value)
    return b"".join([_encode_scalar(field.type, each) for each in _values(value, field.count)])


def _encode_scalar(name: str, value: Any) -> bytes:
    if name == "boolean":
        if not isinstance(value, bool):
            raise FormError(TEMPLATE)
        return bytes([value])
    size, signed = _INTEGERS[name]
    return _integer(value, size, signed=signed, rule=TEMPLATE)


def _encode_text(field: _Field, value: Any, encoding: str) -> bytes:
    if not isinstance(value, str):
        raise FormError(TEMPLATE)
    unit = _TEXTS[field.type]
    encoding = _encoding_of(field.type, encoding)
    if field.count is None:
        return _one_unit(value, encoding, unit)
    try:
        raw = value.encode(encoding)
    except UnicodeError as error:
        raise FormError(TEMPLATE) from error
    if field.count == 0:
        terminated = raw + bytes(unit)
        if _find_zero(terminated, 0, unit) != len(raw):
            raise FormError(TEMPLATE)  # it would end before its end
        return terminated
    if len(raw) != field.size:
        raise FormError(TEMPLATE)
    return raw


def _encoding_of(name: str, encoding: str) -> str:
    return "utf-16-be" if name == "unicodechar" else encoding


def _find_zero(raw: bytes, begin: int, unit: int) -> int:
    """Return where the first zero unit is, counted in whole units from ``begin``; -1 if nowhere."""
    at = raw.find(bytes(unit), begin)
    while at >= 0 and (at - begin) % unit:
        at = raw.find(bytes(unit), at + 1)
    return at


def _decode_template(raw: bytes, fields: _Fields, encoding: str) -> list[Any]:
    values: list[Any] = []
    at = 0
    for field in fields.items:
        unit = _SIZES[field.type]
        end = at + field.size if field.count != 0 else _find_zero(raw, at, unit)
        if not 0 <= end <= len(raw):
            raise FormError(DATA)
        values.append(_decode_field(field, raw[at:end], encoding))
        at = end if field.count != 0 else end + unit
    if fields.padded(at) != len(raw):
        raise FormError(DATA)
    return values


def _decode_field(field: _Field, raw: bytes, encoding: str) -> Any:
    if field.type in _TEXTS:
        return _text(raw, _encoding_of(field.type, encoding))
    unit = _SIZES[field.type]
    values = [_decode_scalar(field.type, raw[at : at + unit]) for at in range(0, len(raw), unit)]
    return values[0] if field.count is None else values


def _decode_scalar(name: str, raw: bytes) -> int | bool:
    if name == "boolean":
        return raw != b"\0"
    return int.from_bytes(raw, "big", signed=_INTEGERS[name][1])


# --- frames --------------------------------------------------------------------------------------


def _encode_frame(data: Any, _encoding: str) -> bytes:
    try:
        if not _is_frame(data):
            raise FormError(FORM)
        body = packer(_cannot_carry)(data)
        return len(body).to_bytes(FRAME_HEADER, "big") + body
    except CANNOT_PACK as error:
        raise FormError(FORM) from error


def _cannot_carry(value: object) -> Any:
    raise TypeError(f"a frame cannot carry {type(value).__qualname__}")


def _decode_frame(raw: BytesLike) -> dict[str, Any]:
    """Return the frame of these bytes, header included.

    Declared lengths are first checked against the bytes that are there, so that no header makes
    us allocate what nobody sent.  What was sent may still take some 75 times its bytes in memory
    (a byte can be an empty dict): tools bound how long a frame they take in.
    """
    body = memoryview(raw)[FRAME_HEADER:]
    if len(raw) < FRAME_HEADER or frame_length(raw[:FRAME_HEADER]) != len(body):
        raise FormError(DATA)
    try:
        claims = unpacker(body, len(body))
        claims.skip()
        is_whole = claims.tell() == len(body)
        frame = next(unpacker(body, len(body))) if is_whole else None
        if _is_frame(frame):
            return cast("dict[str, Any]", frame)
    except CANNOT_UNPACK as error:
        raise FormError(DATA) from error
    raise FormError(DATA)


def _is_frame(value: object) -> bool:
    """Tell whether this is a dict with str keys all the way down, shallow enough, no extensions.

    Goes down level by level, and once through an object that stands there twice: what holds itself
    ends at the greatest depth.
    """
    if not is_dict(value):
        return False
    level: list[Sequence[Any] | dict[Any, Any]] = [value]
    for _ in range(FRAME_DEPTH_MAX):
        below: dict[int, Sequence[Any] | dict[Any, Any]] = {}
        for container in level:
            for member in _members(container):
                if isinstance(member, ExtType | Timestamp):
                    return False
                if member and (is_array(member) or is_dict(member)):
                    below[id(member)] = member
        if not below:
            return True
        level = list(below.values())
    return False


def _members(container: Sequence[Any] | dict[Any, Any]) -> Iterable[Any]:
    """Return the values of a container; a dict with a key that is no str raises TypeError."""
    if not is_dict(container):
        return container
    if not all(isinstance(key, str) for key in container):
        raise TypeError("the keys of a frame are strings")
    return container.values()


_ENCODERS: dict[str, Callable[[Any, str], bytes]] = {
    "char": _encode_char,
    "number": _encode_number,
    "string": _encode_string,
    "bytes": _encode_bytes,
    "binary": _encode_binary,
    "template": _encode_template,
    "frame": _encode_frame,
}
