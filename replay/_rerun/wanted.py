"""What is to be executed, and a handler of it that stands still."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from rescind.actors.runtime import Abandon, Waitable
from rescind.actors.runtime._known import Known
from rescind.replay._ledger.numbers import NumberSet


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be executed.

    Attributes:
        known: The application's classes.
        only: The one actor that is executed; 0 for all.
        epoch: The first process life that is executed.
        before_handler: Called with a turn's number and actor before code of the application runs.
        late: Requests that take a turn long after they were delivered; None if nobody looked.
    """

    known: Known
    only: int = 0
    epoch: int = 0
    before_handler: Callable[[int, int], object] | None = None
    late: NumberSet | None = None


class Strand:
    """A handler that waits inside its turn, in a thread that stands still until it is resumed."""

    def __init__(self, waitable: Waitable) -> None:
        """Be about to stand still."""
        self.waits_for = waitable
        self.thread = threading.current_thread()
        self.go = threading.Lock()
        self.go.acquire()
        self.is_given_up = False

    def stand(self) -> None:
        """Wait to be resumed."""
        self.go.acquire()
        if self.is_given_up:
            raise Abandon("nobody will ever answer")
