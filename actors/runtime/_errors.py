"""What can go wrong in the runtime, by who must act."""

from collections.abc import Mapping

from rescind.events import RescindError, UsageError

_SHOWN_MAX = 10


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


class MailboxFullError(RescindError):
    """A bounded mailbox had no place for a message, or has dropped it for a newer one.

    Attributes:
        actor: The number of the actor whose mailbox it is; 0 for the runtime's own bound.
    """

    def __init__(self, text: str, actor: int) -> None:
        """Say which bound it was."""
        self.actor = actor
        super().__init__(text)


class StalledError(UsageError):
    """A stepped runtime was told to wait for something that nothing in it can bring about."""


class Abandon(BaseException):
    """Carries something out of a turn that no handler may catch: the turn has no end."""


class RecoveryError(RescindError):
    """A log cannot be recovered as it was asked for; no turn was recorded.

    Attributes:
        problems: By the number of an actor or request, what stands in the way.
    """

    def __init__(self, problems: Mapping[int, str]) -> None:
        """Name the first few problems."""
        self.problems = dict(problems)
        shown = [f"{number}: {text}" for number, text in sorted(problems.items())[:_SHOWN_MAX]]
        more = len(problems) - len(shown)
        super().__init__("; ".join([*shown, f"and {more} more"] if more else shown))


class InternalError(RescindError):
    """A defect in rescind itself; the runtime has stopped.  Please report it."""


__all__ = [
    "Abandon",
    "DeadlockError",
    "InternalError",
    "MailboxFullError",
    "RecoveryError",
    "RescindError",
    "RuntimeClosedError",
    "StalledError",
    "UsageError",
]
