"""The dialect's exception."""

from rescind.actors.kernel._errors import CodedError

from . import _codes


class WinsockError(CodedError):
    """A call failed: what Windows tells by SOCKET_ERROR, or a handle of 0, and the last error.

    Attributes:
        code: The last error, like 10037.
        name: Its name, like ``WSAEALREADY``; None for a code of nobody's.
        rule: The table row that refused the call, like ``W-10022-zero``; None otherwise.
        request: The number of the refused call, or of the lookup that it was about, good as
            ``r17`` with ``rescind why``; 0 if there is none.
    """

    name_of = staticmethod(_codes.name)

    @staticmethod
    def says(code: int) -> str:
        """Return a code's name and meaning."""
        return f"{_codes.name(code)}: {_codes.meaning(code)}"
