"""MessagePack with types: the one place that imports the library, which ships none."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias, cast

import msgpack  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

_library = cast("Any", msgpack)

Pack: TypeAlias = Callable[[Any], bytes]

ExtType = cast("type[Any]", _library.ExtType)
"""An extension value: ``code`` and ``data``."""
Timestamp = cast("type[Any]", _library.Timestamp)
"""The library's own reading of extension type -1; kept as it is."""

CANNOT_PACK = (TypeError, ValueError, OverflowError, BufferError, RuntimeError)
"""What packing raises for values it cannot carry, and for containers that change meanwhile."""
CANNOT_UNPACK = (
    *(ValueError, TypeError, OverflowError, MemoryError),
    cast("type[Exception]", _library.UnpackException),
)
"""What unpacking raises for bytes that are not what they should be."""


class Unpacker(Iterator[Any], Protocol):
    """Objects out of bytes, one after the other."""

    def feed(self, next_bytes: bytes | memoryview) -> None:
        """Hand over bytes."""
        ...

    def skip(self) -> None:
        """Check one object and pass over it, allocating nothing."""
        ...

    def tell(self) -> int:
        """How many bytes were consumed."""
        ...


def packer(default: Callable[[Any], Any]) -> Pack:
    """A function that packs, with a buffer of its own; not for two threads at once.

    ``default`` is asked for a substitute for each value of a type that MessagePack does not know.
    """
    return cast("Pack", _library.Packer(default=default).pack)


def pack(value: object, default: Callable[[Any], Any] | None = None) -> bytes:
    """Pack one object; text that was read although it is no UTF-8 becomes the same bytes again.

    ``default`` is asked for a substitute for each value of a type that MessagePack does not know.
    """
    packed = _library.packb(value, default=default, unicode_errors="surrogateescape")
    return cast("bytes", packed)


def unpack(data: bytes, *, lists: bool = False) -> Any:
    """Unpack exactly one object; arrays become tuples, or lists.

    Arrays allocate before their elements are seen, and nested ones multiply; so the bytes are
    first checked to hold what they claim.
    """
    unpacker(data, len(data)).skip()
    return _library.unpackb(data, use_list=lists, strict_map_key=False)


def unpacker(data: bytes | memoryview, items_max: int, **options: Any) -> Unpacker:
    """An unpacker over ``data`` that believes no array or map longer than ``items_max``."""
    made = _library.Unpacker(
        max_buffer_size=len(data), max_array_len=items_max, max_map_len=items_max, **options
    )
    made.feed(data)
    return cast("Unpacker", made)
