"""Records to bytes and back: the vocabulary on the wire, and values that MessagePack cannot carry.

On the wire a message or event is ``[kind id, *fields]``.  Writing never fails for a value: what
cannot be carried becomes ``opaque(type name)`` and the record is marked.  Reading never fails for
valid MessagePack: unknown kinds, extra and missing fields are kept or filled.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeAlias

from ._msgpack import (
    CANNOT_PACK,
    CANNOT_UNPACK,
    ExtType,
    Pack,
    Timestamp,
    Unpacker,
    pack,
    unpack,
    unpacker,
)
from ._turn import By, Cause, Opaque, Reference, Turn, Unknown, Withheld
from ._upcast import UPCASTERS, Decode, Kind, Upcasters, Wire, decoder_for, version_of
from ._vocabulary import KINDS, Origin

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

_LOG_ID_BYTES = 16
_DIGEST_BYTES = 32

RECORD_ELEMENTS = 7
RECORD_BYTES_MAX = 128 * 1024 * 1024
"""A longer record gets its long values replaced: a batch must stay within what readers believe."""

_VALUE_BYTES_MAX = 64 * 1024
_DEPTH_MAX = 64


# --- writing -----------------------------------------------------------------------------------


class Refers(Protocol):
    """A value that stands for an actor: a handle that applications pass around."""

    def to_reference(self) -> Reference:
        """Return what it stands for."""
        ...


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
            return _reference_or_opaque(value)


def _reference_or_opaque(value: Any) -> Any:
    try:
        return substitute(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object raises, the record is written
        return opaque(value)


def _sanitise_container(value: Any, path: tuple[int, ...]) -> Any:
    if len(path) >= _DEPTH_MAX or id(value) in path:
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
    if _is_a(value, str, bytes) and len(value) > _VALUE_BYTES_MAX:
        return opaque(value)
    return value


def _is_a(value: object, *sorts: type[Any]) -> bool:
    """``isinstance`` for values of unknown content, which the two checkers narrow differently."""
    return isinstance(value, sorts)


def _only_kind(wire: Any) -> list[Any]:
    return [wire[0], *(value if _is_a(value, ExtType) else opaque(value) for value in wire[1:])]


# --- bindings ----------------------------------------------------------------------------------


class ClassBinding(NamedTuple):
    """What a log says a class id stands for; ``digest`` is of the source, empty when unknown."""

    name: str
    version: int
    digest: str


class Bindings:
    """The small numbers of one epoch and what they stand for.

    Attributes:
        kinds: Kind id to ``Kind``.
        who: Thread and task labels.
        sites: ``(file, line, function)``.
        classes: Class id to ``ClassBinding``.
    """

    __slots__ = ("_decoders", "_upcasters", "classes", "kinds", "sites", "who")

    def __init__(self, upcasters: Upcasters = UPCASTERS) -> None:
        """Begin with nothing bound; ``upcasters`` bring old versions to the present one."""
        self.kinds: dict[int, Kind] = {}
        self.who: dict[int, str] = {}
        self.sites: dict[int, tuple[str, int, str]] = {}
        self.classes: dict[int, ClassBinding] = {}
        self._upcasters = upcasters
        self._decoders: dict[int, Decode] = {}

    def learn(self, rows: Any) -> None:
        """Take in bindings from the wire; rows of unknown sort or shape are skipped."""
        for row in rows:
            match row:
                case ("kind", int(number), str(name), int(version), (*fields,), *_):
                    self.kinds[number] = Kind(name, version, tuple(map(str, fields)))
                    self._decoders.pop(number, None)
                case ("who", int(number), str(text), *_):
                    self.who[number] = text
                case ("site", int(number), str(file), int(line), str(function), *_):
                    self.sites[number] = (file, line, function)
                case ("class", int(number), str(name), int(version), str(digest), *_):
                    self.classes[number] = ClassBinding(name, version, digest)
                case _:
                    pass

    def decode(self, wire: Wire) -> Any:
        """A message or event as a kind of the vocabulary, or ``Unknown``.

        Raises:
            ValueError, TypeError, IndexError: It is not shaped like one.
        """
        if type(wire) is not tuple:
            raise ValueError(f"not a message or event: {wire!r}")
        number = wire[0]
        decoder = self._decoders.get(number)
        return self._decode_first(wire) if decoder is None else decoder(wire)

    def _decode_first(self, wire: Wire) -> Any:
        kind = self.kinds.get(wire[0])
        if kind is None:
            return Unknown(f"kind {wire[0]}", 0, (), wire[1:])
        decoder = self._decoders[wire[0]] = decoder_for(kind, self._upcasters)
        return decoder(wire)

    def by(self, wire: Any) -> By | None:
        """Who called, with ``?`` for what damage took."""
        if wire is None:
            return None
        who, site = wire[0], wire[1]
        return By(self.who.get(who, "?"), *self.sites.get(site, ("?", 0, "?")))


class Epochs(dict[int, Bindings]):
    """Each epoch's bindings, made when they are first asked for."""

    def __init__(self, upcasters: Upcasters = UPCASTERS) -> None:
        """Begin with no epoch; ``upcasters`` are for all of them."""
        super().__init__()
        self._upcasters = upcasters

    def __missing__(self, epoch: int) -> Bindings:
        """The bindings of an epoch that nothing was said of yet."""
        made = self[epoch] = Bindings(self._upcasters)
        return made


def binding_rows() -> list[tuple[Any, ...]]:
    """The bindings of every kind of the vocabulary, numbered from 1 in its order."""
    return [
        ("kind", number, kind.__name__, version_of(kind.__name__), list(_fields_of(kind)))
        for number, kind in enumerate(KINDS, 1)
    ]


def _fields_of(kind: Any) -> tuple[str, ...]:
    fields: tuple[str, ...] = kind._fields
    return fields


# --- reading -----------------------------------------------------------------------------------

_ITEMS_MAX = 4096
_BODY_BYTES_SHORT = 4 * 1024 * 1024
_TOLERANT: dict[str, Any] = {
    "use_list": False,
    "strict_map_key": False,
    # Bytes that are not UTF-8 are kept as lone surrogates: nothing is lost, nothing raises.
    "unicode_errors": "surrogateescape",
}
_NOTHING = memoryview(b"")


class Body(NamedTuple):
    """A batch's body, decoded: records, their numbers, and the ranges that did not decode."""

    bindings: Any
    numbers: Sequence[int]
    records: list[Record]
    broken: list[tuple[int, int]]


def unpack_body(body: memoryview, first: int, count: int) -> Body | None:
    """Decode a body whose checksum held; None when not even its prelude can be made out.

    Arrays allocate before their elements are seen, and nested ones multiply, so the fast path
    believes only short ones; what it refuses is measured first and then decoded one by one.
    """
    try:
        bindings, records = _unpack_quickly(body, count)
    except CANNOT_UNPACK:
        return _unpack_carefully(body, first, count)
    return Body(bindings, range(first, first + count), records, [])


def unpack_prelude(body: memoryview) -> tuple[int, Any] | None:
    """The next actor number and the bindings, without decoding records; None when damaged."""
    prelude = _unpack_one(next(_split(body), _NOTHING))
    return prelude[:2] if _is_prelude(prelude) else None


def _unpack_quickly(body: memoryview, count: int) -> tuple[Any, list[Record]]:
    objects = _unpacker(body, _ITEMS_MAX)
    prelude: Any = next(objects, None)
    # However many a short body holds, memory holds them too; a longer one is believed its count.
    is_short = len(body) <= _BODY_BYTES_SHORT
    records: list[Record] = list(objects if is_short else islice(objects, count))
    whole = len(records) == count and objects.tell() == len(body)
    if not (whole and _is_prelude(prelude) and _are_records(records)):
        raise ValueError("the body is not what its header says")
    return prelude[1], records


def _unpacker(body: memoryview, items_max: int, **hooks: Any) -> Unpacker:
    return unpacker(body, items_max, ext_hook=_read_extension, **_TOLERANT, **hooks)


def _read_extension(code: int, data: bytes) -> Any:
    if code == OPAQUE:
        return Opaque(data.decode(errors="replace"))
    if code == REFERENCE and len(data) == _LOG_ID_BYTES + 8:
        return Reference(data[:_LOG_ID_BYTES], int.from_bytes(data[_LOG_ID_BYTES:], "big"))
    if code == WITHHELD and not data:
        return Withheld(None, None)
    if code == WITHHELD and len(data) == 8 + _DIGEST_BYTES:
        return Withheld(int.from_bytes(data[:8], "big"), data[8:])
    return ExtType(code, data)


def _are_records(records: list[Record]) -> bool:
    """Checked in bulk, because a loop would cost as much as the decoding."""
    if [*map(type, records)].count(tuple) != len(records):
        return False
    # Nearly all records have as many elements as this version writes.
    sizes = [*map(len, records)]
    return sizes.count(RECORD_ELEMENTS) == len(sizes) or min(sizes) >= RECORD_ELEMENTS


def _is_prelude(value: Any) -> bool:
    return (
        _is_array(value, 2)
        and type(value[0]) is int
        and _is_array(value[1], 0)
        and all(_is_array(row, 0) for row in value[1])
    )


def _is_array(value: Any, length: int) -> bool:
    return _is_a(value, tuple) and len(value) >= length


def _unpack_carefully(body: memoryview, first: int, count: int) -> Body | None:
    pieces = islice(_split(body), count + 1)
    prelude = _unpack_one(next(pieces, _NOTHING))
    if not _is_prelude(prelude):
        return None
    numbers: list[int] = []
    records: list[Record] = []
    broken: list[tuple[int, int]] = []
    behind = first
    for number, piece in enumerate(pieces, first):
        record = _unpack_one(piece)
        if _is_array(record, RECORD_ELEMENTS):
            numbers.append(number)
            records.append(record)
        else:
            broken.append((number, number))
        behind = number + 1
    if behind < first + count:
        broken.append((behind, first + count - 1))
    return Body(prelude[1], numbers, records, broken)


def _split(body: memoryview) -> Iterator[memoryview]:
    """The objects' bytes one by one; what is skipped is checked and allocates nothing."""
    unpacker = _unpacker(body, len(body))
    start = 0
    while True:
        try:
            unpacker.skip()
        except CANNOT_UNPACK:
            return
        end = unpacker.tell()
        yield body[start:end]
        start = end


def unpack_objects(body: memoryview) -> Iterator[Any]:
    """The objects of a body one by one, up to the first that does not decode."""
    return map(_unpack_one, _split(body))


def unpack_actor(body: memoryview, actor: int) -> list[tuple[int, Record]]:
    """Only the records of one actor, each with its place, from 0.

    A record begins with its array header and its actor, so they are found without decoding the
    others: bytes are searched, and of what lies between only the objects' ends are looked for.
    """
    starts = _possible_starts(bytes(body), pack(actor))
    chosen: list[tuple[int, Record]] = []
    if not starts:
        return chosen
    last, start = max(starts), 0
    for place, piece in enumerate(_split(body), -1):
        if start in starts and place >= 0:
            record = _unpack_one(piece)
            if _is_array(record, RECORD_ELEMENTS) and record[0] == actor:
                chosen.append((place, record))
        start += len(piece)
        if start > last:
            break
    return chosen


def _possible_starts(data: bytes, actor: bytes) -> set[int]:
    """Where a record of the actor may begin: behind a header of an array long enough."""
    starts: set[int] = set()
    at = data.find(actor, 1)
    while at >= 0:
        if 0x90 + RECORD_ELEMENTS <= data[at - 1] <= 0x9F:
            starts.add(at - 1)
        elif at >= 3 and data[at - 3] == 0xDC:
            starts.add(at - 3)
        at = data.find(actor, at + 1)
    return starts


def _unpack_one(piece: memoryview) -> Any:
    try:
        return next(iter(_unpacker(piece, len(piece), object_pairs_hook=_pairs)), None)
    except CANNOT_UNPACK:
        return None


def _pairs(items: list[tuple[Any, Any]]) -> Any:
    """A map, or its pairs when a key is itself a map, which Python cannot look up."""
    try:
        return dict(items)
    except TypeError:
        return tuple(items)


_NOT_REPLAYABLE = MARK_OPAQUE | MARK_WITHHELD
_ORIGINS: dict[int, Origin] = {origin.value: origin for origin in Origin}


def decode_turn(number: int, epoch: int, record: Record, bindings: Bindings) -> Turn:
    """A record as a ``Turn``.

    Raises:
        TypeError, ValueError, IndexError, KeyError: It is not shaped like a record.
    """
    actor, time_ns, origin, cause, message, events, by = record[:RECORD_ELEMENTS]
    marks = record[RECORD_ELEMENTS] if len(record) > RECORD_ELEMENTS else 0
    if type(actor) is not int or type(time_ns) is not int:
        raise ValueError("actor and time are numbers")
    decode = bindings.decode
    return Turn(
        number,
        time_ns,
        epoch,
        actor,
        _origin_of(origin),
        _cause_of(cause),
        None if message is None else decode(message),
        tuple([decode(event) for event in events]),
        bindings.by(by),
        not marks & _NOT_REPLAYABLE,
    )


def _origin_of(wire: int) -> Origin | int:
    return _ORIGINS.get(wire, wire)


def _cause_of(wire: Any) -> Cause | None:
    if type(wire) is int:
        # Nearly always; matching a pattern would take three times as long.
        return Cause(wire) if wire else None
    match wire:
        case (int(number), int(request), *_):
            return Cause(number, request)
        case (bytes(log), int(number), *_):
            return Cause(number, 0, log)
        case _:
            raise ValueError(f"not a cause: {wire!r}")
