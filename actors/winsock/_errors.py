"""The dialect's exception."""

from rescind.events import RescindError

from . import _codes


class WinsockError(RescindError):
    """A call failed: what Windows tells by SOCKET_ERROR, or a handle of 0, and the last error.

    Attributes:
        code: The last error, like 10037.
        name: Its name, like ``WSAEALREADY``; None for a code of nobody's.
        rule: The table row that refused the call, like ``W-10022-zero``; None otherwise.
        request: The number of the refused call, or of the lookup that it was about, good as
            ``r17`` with ``rescind why``; 0 if there is none.
    """

    def __init__(
        self, code: int, *, rule: str | None = None, request: int = 0, detail: str = ""
    ) -> None:
        """Say what the code means, and what ``detail`` adds to that."""
        self.code = int(code)
        self.name = _codes.name(code)
        self.rule = rule
        self.request = request
        asked = f" (r{request})" if request else ""
        more = f": {detail}" if detail else ""
        super().__init__(f"{self.code} {self.name}: {_codes.meaning(code)}{asked}{more}")
