"""How a resolver reaches its application: every report becomes a message."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rescind.events import Answer, Origin, ToolEvent

from ._codes import Code
from ._entries import size_of

if TYPE_CHECKING:
    from ._actors import Winsock


class ResolverPort:
    """The resolver's side of an application; any thread, never blocks."""

    __slots__ = ("_application", "_calling")

    def __init__(self, application: "Winsock") -> None:
        """Stand before ``application``."""
        self._application = application
        self._calling = threading.local()

    def answer(self, request: int, code: int | None, value: Any = None) -> None:
        """Report a lookup's end."""
        application = self._application
        if code is None:
            value = (size_of(value), value)
        lookup = application.requests.get(request)
        target, cause = (application, 0) if lookup is None else (lookup, lookup.turn)
        application.runtime.post(target, Answer(request, code, value), Origin.IO, cause)

    def network(self, *, is_down: bool) -> None:
        """Report that the network subsystem has failed, or works again."""
        application = self._application
        said = ToolEvent(Code.ENETDOWN if is_down else Code.OK, None)
        application.runtime.post(application, said, Origin.IO, 0)

    @contextmanager
    def calling(self) -> Generator[None]:
        """Surround a call of the application's code."""
        self._calling.depth = getattr(self._calling, "depth", 0) + 1
        try:
            yield
        finally:
            self._calling.depth -= 1

    @property
    def is_calling(self) -> bool:
        """Tell whether the resolver calls the application in this thread."""
        return getattr(self._calling, "depth", 0) > 0
