"""A stepped runtime with what a test wants at hand: its steps, and a twin in the work's place."""

from functools import cached_property
from typing import TYPE_CHECKING

from rescind.actors.runtime import Clock, Runtime, Stepped, UsageError
from rescind.events import LogWriter

from ._work import Twin

if TYPE_CHECKING:
    from rescind.actors.runtime._contracts import Dispatcher


class SteppedRuntime(Runtime):
    """A runtime in which nothing moves until told; the pytest fixture ``rescind`` is one.

    ``SteppedRuntime.open(dispatcher=Stepped(seed))`` opens one without pytest.
    """

    def __init__(
        self,
        log: LogWriter,
        *,
        dispatcher: "Dispatcher | None" = None,
        clock: Clock | None = None,
    ) -> None:
        """Run on an open log; ``SteppedRuntime.open`` is the usual way.

        Raises:
            UsageError: The dispatcher is not ``Stepped``.
        """
        if not isinstance(dispatcher, Stepped):
            raise UsageError("a stepped runtime needs dispatcher=Stepped()")
        self._stepped = dispatcher
        super().__init__(log, dispatcher=dispatcher, clock=clock)

    def step(self) -> bool:
        """Let one thing happen: an answer, turns, a commit, deliveries; False if nothing could."""
        return self._stepped.step()

    def run(self) -> None:
        """Step until nothing is left to do at this moment of virtual time."""
        self._stepped.run()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass, running everything that falls due in its order."""
        self._stepped.advance(seconds)

    @cached_property
    def twin(self) -> Twin:
        """Stands in for real work from its first use on: the test decides when work ends, and how.

        Raises:
            UsageError: Work was given away before.
        """
        return Twin(self)
