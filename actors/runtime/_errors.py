"""What can go wrong in the runtime, by who must act."""

from rescind.events import RescindError, UsageError


class RuntimeClosedError(UsageError):
    """The runtime is closed, or closing; open another one."""


class DeadlockError(UsageError):
    """Actors wait for each other in a circle; ``cycle`` names them in order."""

    def __init__(self, cycle: tuple[str, ...]) -> None:
        """Name the circle."""
        self.cycle = cycle
        super().__init__(
            "these actors wait for each other, so none would ever go on: " + " -> ".join(cycle),
        )


class StalledError(UsageError):
    """A stepped runtime was told to wait for something that nothing in it can bring about."""


class Abandon(BaseException):
    """Carries something out of a turn that no handler may catch: the turn has no end."""


class InternalError(RescindError):
    """A defect in rescind itself; the runtime has stopped.  Please report it."""


__all__ = [
    "Abandon",
    "DeadlockError",
    "InternalError",
    "RescindError",
    "RuntimeClosedError",
    "StalledError",
    "UsageError",
]
