"""What crosses the wire: arguments and results as MessagePack."""

from typing import Any

from rescind.events._msgpack import CANNOT_PACK, CANNOT_UNPACK, pack, unpack


def packed(value: Any) -> bytes | None:
    """Return a value as MessagePack, or None where that has no form for it."""
    try:
        return pack(value)
    except CANNOT_PACK:
        return None


class MalformedError(Exception):
    """What came over the wire is no MessagePack, or not of the shape that it must have."""


def unpacked(data: bytes) -> Any:
    """Return the value of a payload; arrays are lists.

    Raises:
        MalformedError: There is none.
    """
    try:
        return unpack(data, lists=True)
    except CANNOT_UNPACK as error:
        raise MalformedError(str(error)) from error


def unpacked_arguments(data: bytes) -> list[Any]:
    """Return the arguments of a payload.

    Raises:
        MalformedError: It is no list.
    """
    arguments: list[Any] = unpacked(data)
    if arguments.__class__ is not list:
        raise MalformedError("the payload of a call is a list of arguments")
    return arguments
