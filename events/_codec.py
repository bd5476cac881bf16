"""Records and bindings from bytes: the vocabulary, and values that MessagePack cannot carry.

Reading never fails for valid MessagePack: unknown kinds, extra and missing fields are kept or
filled.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ._msgpack import CANNOT_UNPACK, ExtType, Unpacker, pack, unpacker
from ._packing import (
    DECLARED,
    DEPTH_MAX,
    DIGEST_BYTES,
    LOG_ID_BYTES,
    MARK_OPAQUE,
    MARK_WITHHELD,
    OPAQUE,
    RECORD_ELEMENTS,
    REFERENCE,
    WITHHELD,
    Record,
)
from ._turn import By, Cause, Opaque, Reference, Turn, Unknown, Withheld
from ._upcast import UPCASTERS, Decode, Kind, Upcasters, Wire, decoder_for, version_of
from ._vocabulary import KINDS, Origin

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

    def read_extension(self, code: int, data: bytes, depth: int = 0) -> Any:
        """A value that MessagePack itself does not know; one of no known sort stays as it is."""
        if code == OPAQUE:
            return Opaque(data.decode(errors="replace"))
        if code == REFERENCE and len(data) == LOG_ID_BYTES + 8:
            return Reference(data[:LOG_ID_BYTES], int.from_bytes(data[LOG_ID_BYTES:], "big"))
        if code == WITHHELD and not data:
            return Withheld(None, None)
        if code == WITHHELD and len(data) == 8 + DIGEST_BYTES:
            return Withheld(int.from_bytes(data[:8], "big"), data[8:])
        if code == DECLARED and depth < DEPTH_MAX:
            return self._read_declared(data, depth + 1)
        return ExtType(code, data)

    def _read_declared(self, data: bytes, depth: int) -> Any:
        def inside(code: int, data: bytes) -> Any:
            return self.read_extension(code, data, depth)

        wire = _unpack_one(memoryview(data), inside)
        if not _is_array(wire, 1) or type(wire[0]) is not int:
            return ExtType(DECLARED, data)
        kind = self.kinds.get(wire[0], Kind(f"kind {wire[0]}", 0, ()))
        return Unknown(*kind, wire[1:])

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


def unpack_body(
    body: memoryview, first: int, count: int, bindings: "Bindings | None" = None
) -> Body | None:
    """Decode a body whose checksum held; None when not even its prelude can be made out.

    ``bindings`` learns what the prelude binds, because declared values in the records need it.

    Arrays allocate before their elements are seen, and nested ones multiply, so the fast path
    believes only short ones; what it refuses is measured first and then decoded one by one.
    """
    known = Bindings() if bindings is None else bindings
    try:
        rows, records = _unpack_quickly(body, count, known)
    except CANNOT_UNPACK:
        return _unpack_carefully(body, first, count, known)
    return Body(rows, range(first, first + count), records, [])


def unpack_prelude(body: memoryview) -> tuple[int, Any] | None:
    """The next actor number and the bindings, without decoding records; None when damaged."""
    prelude = _unpack_one(next(_split(body), _NOTHING))
    return prelude[:2] if _is_prelude(prelude) else None


def _unpack_quickly(body: memoryview, count: int, bindings: Bindings) -> tuple[Any, list[Record]]:
    objects = _unpacker(body, _ITEMS_MAX, bindings.read_extension)
    prelude: Any = next(objects, None)
    if _is_prelude(prelude):
        bindings.learn(prelude[1])
    # However many a short body holds, memory holds them too; a longer one is believed its count.
    is_short = len(body) <= _BODY_BYTES_SHORT
    records: list[Record] = list(objects if is_short else islice(objects, count))
    whole = len(records) == count and objects.tell() == len(body)
    if not (whole and _is_prelude(prelude) and _are_records(records)):
        raise ValueError("the body is not what its header says")
    return prelude[1], records


def _unpacker(
    body: memoryview, items_max: int, extension: Callable[[int, bytes], Any], **hooks: Any
) -> Unpacker:
    return unpacker(body, items_max, ext_hook=extension, **_TOLERANT, **hooks)


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
    # Asked of the type, because two checkers narrow ``isinstance`` differently.
    return issubclass(type(value), tuple) and len(value) >= length


def _unpack_carefully(body: memoryview, first: int, count: int, bindings: Bindings) -> Body | None:
    pieces = islice(_split(body), count + 1)
    prelude = _unpack_one(next(pieces, _NOTHING))
    if not _is_prelude(prelude):
        return None
    bindings.learn(prelude[1])
    numbers: list[int] = []
    records: list[Record] = []
    broken: list[tuple[int, int]] = []
    behind = first
    for number, piece in enumerate(pieces, first):
        record = _unpack_one(piece, bindings.read_extension)
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
    unpacker = _unpacker(body, len(body), ExtType)
    start = 0
    while True:
        try:
            unpacker.skip()
        except CANNOT_UNPACK:
            return
        end = unpacker.tell()
        yield body[start:end]
        start = end


def unpack_objects(body: memoryview, bindings: Bindings | None = None) -> Iterator[Any]:
    """The objects of a body one by one, up to the first that does not decode."""
    extension = (bindings or Bindings()).read_extension
    return (_unpack_one(piece, extension) for piece in _split(body))


def unpack_actor(body: memoryview, actor: int, bindings: Bindings) -> list[tuple[int, Record]]:
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
            record = _unpack_one(piece, bindings.read_extension)
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


def _unpack_one(piece: memoryview, extension: Callable[[int, bytes], Any] = ExtType) -> Any:
    try:
        unpacking = _unpacker(piece, len(piece), extension, object_pairs_hook=_pairs)
        return next(iter(unpacking), None)
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
