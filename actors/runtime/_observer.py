"""Who looks on while turns are recorded, without being part of them."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._outbox import Outbox

logger = logging.getLogger("rescind.runtime")


class Observer(Protocol):
    """Sees every turn, and the work that is done for requests.

    It must not call the runtime that it observes.  What it raises is logged, the first time, and
    harms nobody.
    """

    def recorded(self, out: "Outbox") -> None:
        """See a turn whose record was appended and whose events were applied.

        The baton is held.  Of a call of the application this is the caller's own thread and context
        (``out.origin`` is ``APP`` and ``out.message`` a ``Submit``); otherwise it is anybody's.
        """
        ...

    def enter(self, request: int) -> None:
        """Prepare the context in which the work of a request will run; called inside it.

        The baton is not held.
        """
        ...

    def close(self) -> None:
        """See the end: no turn is recorded any more."""
        ...


class Guarded:
    """An observer whose failures stay its own."""

    __slots__ = ("_has_failed", "_observer")

    def __init__(self, observer: Observer) -> None:
        """Pass everything on to ``observer``."""
        self._observer = observer
        self._has_failed = False

    def recorded(self, out: "Outbox") -> None:
        """Show it a turn."""
        self._call(self._observer.recorded, out)

    def enter(self, request: int) -> None:
        """Let it prepare the context of a request's work."""
        self._call(self._observer.enter, request)

    def close(self) -> None:
        """Tell it that this is the end."""
        self._call(self._observer.close)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                text = "%r raised; if it does so again, that is not said"
                logger.exception(text, self._observer)
