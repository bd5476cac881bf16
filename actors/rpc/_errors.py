"""The dialect's exceptions."""

from rescind.actors.kernel._errors import CodedError
from rescind.actors.runtime import UsageError

from . import _codes


class RpcError(CodedError):
    """A call failed, or a function refused: what Windows tells by an exception or a return value.

    Attributes:
        code: The code, like 1818; a server may also have sent one of its own.
        name: Its name, like ``RPC_S_CALL_CANCELLED``; None for a code of nobody's.
        rule: The table row that refused, like ``R-1723-calls``; None otherwise.
        request: The number of the refused request, or of the call that it was about, good as
            ``r17`` with ``rescind why``; 0 if there is none.
    """

    name_of = staticmethod(_codes.name)

    @staticmethod
    def says(code: int) -> str:
        """Return a code's name and meaning."""
        name = _codes.name(code)
        return f"{name}: {_codes.meaning(code)}" if name else _codes.meaning(code)


class Abort(Exception):  # noqa: N818  # raised to end a call, which need not be an error
    """Raised by a server's function, it ends the call with a code that the client gets.

    Attributes:
        code: One of ``rpc.Code``, or the application's own; never 0.
    """

    def __init__(self, code: int) -> None:
        """End the call with this code.

        Raises:
            UsageError: It is no code, or 0.
        """
        check_code(code)
        super().__init__(f"the call is aborted with {int(code)}")
        self.code = int(code)


def check_code(code: int) -> None:
    """See that a number is a code that a call may fail with.

    Raises:
        UsageError: It is not.
    """
    if not is_code(code):
        raise UsageError(f"a call is aborted with a code from 1 to 4294967295, not with {code!r}")


def is_code(code: object) -> bool:
    """Tell whether a number is a code that a call may fail with."""
    return isinstance(code, int) and not isinstance(code, bool) and 0 < code <= 0xFFFF_FFFF
