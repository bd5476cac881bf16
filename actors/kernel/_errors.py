"""What the exceptions of dialects with result codes share."""

from rescind.events import RescindError


class CodedError(RescindError):
    """A call was refused, or a request ended with a code.

    Attributes:
        code: The documented code.
        name: Its name; None for a code of nobody's.
        rule: The table row that refused the call, like ``N-36003-window``; None otherwise.
        request: The request's number, good as ``r17`` with ``rescind why``; 0 if there is none.
    """

    def __init__(
        self, code: int, *, rule: str | None = None, request: int = 0, detail: str = ""
    ) -> None:
        """Say what the code means, and what ``detail`` adds to that."""
        self.code = int(code)
        self.name = self.name_of(code)
        self.rule = rule
        self.request = request
        asked = f" (r{request})" if request else ""
        more = f": {detail}" if detail else ""
        super().__init__(f"{self.code} {self.says(code)}{asked}{more}")

    @staticmethod
    def name_of(code: int) -> str | None:
        """Return a code's documented name."""
        raise NotImplementedError

    @staticmethod
    def says(code: int) -> str:
        """Return what stands behind a code's number."""
        raise NotImplementedError
