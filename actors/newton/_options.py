"""Options: what configures a tool, and what it answers (spec section 2; R 7-8)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rescind.actors.runtime import UsageError

from ._constants import OpCode
from ._forms import is_array

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        label: which one; every tool has its own.
        data: the value to set, or the value that was got.
        op_code: what is asked for.
        type: ``option``, or ``address`` for where to connect to.
        result: None, or the code by which this option failed (-54021 to -54027); no option makes
            its request fail.
    """

    label: str
    data: Any = None
    op_code: int = OpCode.SET_REQUIRED
    type: str = "option"
    result: int | None = None


Options: TypeAlias = "Option | Sequence[Option | None] | None"
"""One option, several, or none: None, an empty sequence, or the guide's ``[nil]``."""


def told(options: Options) -> list[list[Any]] | None:
    """Return options as the log and the tool have them: ``[type, label, op_code, data]``.

    Raises:
        UsageError: something among them is no option.
    """
    if options is None:
        return None
    several = [options] if isinstance(options, Option) else list(options)
    for each in several:
        if each is not None and not isinstance(each, Option):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"an option is a newton.Option, not {each!r}")
    return [
        [each.type, each.label, int(each.op_code), each.data]
        for each in several
        if each is not None
    ]


def answered(value: Any) -> list[Option] | None:
    """Return the options that a tool has processed, each with its result."""
    if not is_array(value):
        return None
    return [
        Option(label, data, op_code, type=kind, result=result)
        for kind, label, op_code, data, result in value
    ]
