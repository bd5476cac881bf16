"""Options: what can be asked of a tool and set on it besides its requests (spec/newton.md 2, 7)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rescind.actors.newton._codes import Code
from rescind.actors.newton._constants import OP_CODES, OpCode


@dataclass(frozen=True, slots=True)
class Setting:
    """What one option reads and writes.

    Both may raise OSError, TypeError, ValueError or OverflowError when the system or the value does
    not allow it.  Without ``write`` it is read-only, without ``read`` it can only be set.
    """

    read: Callable[[], Any] | None = None
    write: Callable[[Any], None] | None = None
    default: Any = None


def process(
    options: Sequence[Sequence[Any]], settings: Mapping[str, Setting], *, takes_address: bool
) -> list[list[Any]]:
    """Carry out options in their order; each comes back with its data as it is now and its result.

    A result is None or a code; one option that fails stops neither the others nor the request.
    ``takes_address``: it is a Connect that succeeded, and with it the address among its options.
    """
    return [
        [kind, label, op_code, data, None]
        if takes_address and kind == "address"
        else _processed(kind, label, op_code, data, settings.get(label))
        for kind, label, op_code, data in options
    ]


def _processed(
    kind: str, label: str, op_code: int, data: Any, setting: Setting | None
) -> list[Any]:
    result: Code | None
    if setting is None:
        result = Code.OPTION_NOT_SUPPORTED_HERE
    elif op_code not in OP_CODES:
        result = Code.OPTION_BAD_OP_CODE
    else:
        try:
            data, result = _apply(setting, op_code, data)
        except (OSError, TypeError, ValueError, OverflowError):
            result = Code.OPTION_FAILURE
    return [kind, label, op_code, data, result]


def _apply(setting: Setting, op_code: int, data: Any) -> tuple[Any, Code | None]:
    """Return an option's data and result; raises what its setting raises."""
    if op_code == OpCode.GET_CURRENT:
        return _read(setting, data)
    if op_code == OpCode.GET_DEFAULT:
        has_default = setting.write is not None
        return (setting.default, None) if has_default else (data, Code.OPTION_NOT_SUPPORTED_HERE)
    if setting.write is None:
        return data, Code.OPTION_READ_ONLY
    before, _ = _read(setting, data)
    setting.write(data)
    now, _ = _read(setting, data)
    if now == data:
        return now, None
    if op_code == OpCode.SET_NEGOTIATE:
        return now, Code.OPTION_PART_SUCCESS
    setting.write(before)
    return before, Code.OPTION_FAILURE


def _read(setting: Setting, data: Any) -> tuple[Any, Code | None]:
    """Return what holds; for what can only be set that is what was said."""
    if setting.read is None:
        return data, Code.OPTION_NOT_SUPPORTED_HERE
    return setting.read(), None
