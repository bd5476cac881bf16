"""The dialect's exception."""

from rescind.events import RescindError

from . import _codes


class CommError(RescindError):
    """A call was refused, or a request ended with a code.

    Attributes:
        code: the documented code, like -36003.
        name: its name, like ``TACCESS``; None for a code of nobody's.
        rule: the table row that refused the call, like ``N-36003-window``; None otherwise.
        request: the request's number, good as ``r17`` with ``rescind why``; 0 if there is none.
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
        super().__init__(f"{self.code} {_codes.meaning(code)}{asked}{more}")
