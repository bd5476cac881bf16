"""Records to bytes, whatever values they hold.

On the wire a message or event is ``[kind id, *fields]``.  Writing never fails for a value: what
cannot be carried becomes ``opaque(type name)`` and the record is marked.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from ._declared import declared_as
from ._errors import UnrecordableError
from ._msgpack import CANNOT_PACK, ExtType, Pack, Timestamp, pack, packer, unpack
from ._turn import Opaque, Reference, Withheld

OPAQUE = 1
"""The MessagePack extension type of a value that was not carried."""

MARK_OPAQUE = 1
"""The mark of a record that holds an opaque value: it cannot be re-executed."""

MARK_WITHHELD = 2
"""The mark of a record of which a payload policy withheld something."""

Record: TypeAlias = tuple[Any, ...]
"""``(actor, time_ns, origin, cause, message, events, by)`` and perhaps marks and later elements."""

REFERENCE = 2
"""The MessagePack extension type of a reference: a log id, 16 bytes, and 8 bytes of number."""

WITHHELD = 3
"""The MessagePack extension type of a withheld value: nothing, or 8 bytes of length and SHA-256."""

DECLARED = 4
"""The MessagePack extension type of a declared value: an array of its kind's id and its fields."""

LOG_ID_BYTES = 16
DIGEST_BYTES = 32

RECORD_ELEMENTS = 7
RECORD_BYTES_MAX = 128 * 1024 * 1024
"""A longer record gets its long values replaced: a batch must stay within what readers believe."""

_VALUE_BYTES_MAX = 64 * 1024
DEPTH_MAX = 64
"""How deep values may be nested in each other."""


class Refers(Protocol):
    """A value that stands for an actor: a handle that applications pass around."""

    def to_reference(self) -> Reference:
        """Return what it stands for."""
        ...


class Substitutes:
    """What is written for values of types that MessagePack does not know, declared kinds too."""

    __slots__ = ("_kind_ids",)

    def __init__(self, kind_ids: Mapping[type, int]) -> None:
        """Number declared kinds by ``kind_ids``, which binds one when it is first asked for it."""
        self._kind_ids = kind_ids

    def __call__(self, value: Any) -> Any:
        """What stands for ``value``.

        Raises:
            TypeError: Nothing does, so it cannot be carried.
        """
        if declared_as(value.__class__) is None:
            return substitute(value)
        return ExtType(DECLARED, pack((self._kind_ids[value.__class__], *value), self))


def substitute(value: Any) -> Any:
    """What is written for a value of a type that MessagePack does not know.

    Raises:
        TypeError: It stands for nothing else, so it cannot be carried.
    """
    if isinstance(value, Reference):
        return _reference(value)
    if isinstance(value, Withheld):
        return withheld(value)
    # Asked of the class: a proxy would take an attribute of its own for one of its actor's.
    held: Any = value
    if not hasattr(held.__class__, "to_reference"):
        raise TypeError(f"cannot carry {type_name(held)}")
    refers: Refers = held
    return _reference(refers.to_reference())


def _reference(value: Reference) -> Any:
    return ExtType(REFERENCE, value.log + value.number.to_bytes(8, "big"))


def withheld(value: Withheld) -> Any:
    """What is written in the place of a value that a payload policy withholds."""
    if value.length is None or value.digest is None:
        return ExtType(WITHHELD, b"")
    return ExtType(WITHHELD, value.length.to_bytes(8, "big") + value.digest)


def pack_with_opaques(packing: Pack, record: Record) -> bytes:
    """Pack a record that the fast path refused: what will not go is opaque."""
    return packing(_marked([_sanitise(value, ()) for value in record], record))


class _Any(dict[type, int]):
    """Numbers every kind alike, and binds none."""

    def __missing__(self, kind: type) -> int:
        return 0


_TRIAL = Substitutes(_Any())


def check_recordable(value: Any, what: str) -> None:
    """See that a value can be recorded as it is; any thread.

    Args:
        value: The value.
        what: What the message calls it.

    Raises:
        UnrecordableError: It cannot; the message says which part of it, and of which type.
    """
    error = _refusal(value)
    part: Any = value
    for _ in range(DEPTH_MAX):
        found = next((each for each in _parts(part) if error and _refusal(each[1])), None)
        if found is None:
            break
        what, part = f"{what}{found[0]}", found[1]
    if error:
        text = f"{what} is a {type_name(part)}, for which the log has no form"
        raise UnrecordableError(f"{text}; strict=True refuses it") from error


def _refusal(value: Any) -> BaseException | None:
    try:
        size = len(packer(_TRIAL)(value))  # one of its own: any thread may ask
    except CANNOT_PACK as error:
        return error
    return None if size < RECORD_BYTES_MAX else ValueError(f"it is {size} bytes long")


def _parts(value: Any) -> list[tuple[str, Any]]:
    """What a value holds, with how Python would name each."""
    declared = declared_as(value.__class__)
    if declared is not None:
        return [(f".{name}", getattr(value, name)) for name in declared.fields]
    if _is_a(value, dict):
        keys = [("'s key", key) for key in value]
        return keys + [(f"[{key!r}]", held) for key, held in value.items()]
    if _is_a(value, list, tuple):
        names = getattr(value, "_fields", None)
        if names is not None:
            return [(f".{name}", held) for name, held in zip(names, value, strict=True)]
        return [(f"[{place}]", held) for place, held in enumerate(value)]
    return []


def pack_value(packing: Pack, value: Any) -> bytes:
    """Pack any value; what will not go in it is opaque."""
    try:
        return packing(value)
    except CANNOT_PACK:
        return packing(_sanitise(value, ()))


def limit(data: bytes) -> bytes:
    """A packed record, with its long values made opaque when it is longer than readers believe."""
    if len(data) <= RECORD_BYTES_MAX:
        return data
    record: Record = unpack(data)
    shortened = pack(_marked([_shorten(value) for value in record], record))
    if len(shortened) <= RECORD_BYTES_MAX:
        return shortened
    # So many small values that only their number is long: keep which kinds they were.
    plain = list(record)
    message, events = record[4], record[5]
    plain[4] = None if message is None else _only_kind(message)
    plain[5] = [_only_kind(event) for event in events]
    return pack(_marked(plain, record))


def _marked(values: list[Any], record: Record) -> list[Any]:
    marks = record[RECORD_ELEMENTS] if len(record) > RECORD_ELEMENTS else 0
    return [*values[:RECORD_ELEMENTS], marks | MARK_OPAQUE]


def sanitise_text(text: str) -> str:
    """The text, with what is not text replaced; labels need not come back exactly."""
    return text if _is_text(text) else text.encode(errors="backslashreplace").decode()


def _sanitise(value: Any, path: tuple[int, ...]) -> Any:
    """The value, with all that MessagePack cannot carry replaced by opaque values."""
    match value:
        case None | bool() | float() | bytes():
            return value
        case int() | str():
            return value if _is_key(value) else opaque(value)
        case Opaque():
            return ExtType(OPAQUE, _text(value.type))
        case _ if isinstance(value, bytearray | memoryview | ExtType | Timestamp):
            return value
        case _ if isinstance(value, list | tuple | dict):
            return _sanitise_container(value, path)
        case _:
            return _declared_or_other(value, path)


def _declared_or_other(value: Any, path: tuple[int, ...]) -> Any:
    held: Any = value
    declared = declared_as(held.__class__)
    if declared is not None and len(path) < DEPTH_MAX:
        return declared.make([_sanitise(field, (*path, id(held))) for field in held])
    try:
        return substitute(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object raises, the record is written
        return opaque(value)


def _sanitise_container(value: Any, path: tuple[int, ...]) -> Any:
    if len(path) >= DEPTH_MAX or id(value) in path:
        return opaque(value)
    inside = (*path, id(value))
    if not _is_a(value, dict):
        return [_sanitise(item, inside) for item in list(value)]
    items: list[tuple[Any, Any]] = list(value.items())
    if not all(_is_key(key) for key, _ in items):
        return opaque(value)
    return {key: _sanitise(item, inside) for key, item in items}


def _is_key(key: object) -> bool:
    # A replaced key could meet its twin, and one of the two would silently be gone.
    if isinstance(key, str):
        return _is_text(key)
    if isinstance(key, int):
        return -(1 << 63) <= key < 1 << 64
    return key is None or isinstance(key, bytes | float)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def opaque(value: object) -> Any:
    """What is written in the place of a value that cannot be carried."""
    return ExtType(OPAQUE, _text(type_name(value)))


def type_name(value: object) -> str:
    """How an opaque value names its type: qualified, with the module unless it is a builtin."""
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _text(name: str) -> bytes:
    return name.encode(errors="replace")[:1024]


def _shorten(value: Any) -> Any:
    if _is_a(value, tuple) and not _is_a(value, ExtType):
        return [_shorten(item) for item in value]
    if _is_a(value, dict):
        return {_shorten(key): _shorten(item) for key, item in value.items()}
    if _is_a(value, ExtType):
        is_long = len(value.data) > _VALUE_BYTES_MAX
        return ExtType(OPAQUE, b"extension %d" % value.code) if is_long else value
    if _is_a(value, str, bytes) and len(value) > _VALUE_BYTES_MAX:
        return opaque(value)
    return value


def _is_a(value: object, *sorts: type[Any]) -> bool:
    """``isinstance`` for values of unknown content, which the two checkers narrow differently."""
    return isinstance(value, sorts)


def _only_kind(wire: Any) -> list[Any]:
    return [wire[0], *(value if _is_a(value, ExtType) else opaque(value) for value in wire[1:])]
