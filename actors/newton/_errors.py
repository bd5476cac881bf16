"""The dialect's exception."""

from rescind.actors.kernel._errors import CodedError

from . import _codes


class CommError(CodedError):
    """A call was refused, or a request ended with a code.

    Attributes:
        code: the documented code, like -36003.
        name: its name, like ``TACCESS``; None for a code of nobody's.
        rule: the table row that refused the call, like ``N-36003-window``; None otherwise.
        request: the request's number, good as ``r17`` with ``rescind why``; 0 if there is none.
    """

    name_of = staticmethod(_codes.name)
    says = staticmethod(_codes.meaning)
