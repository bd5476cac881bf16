"""What can go wrong in the runtime, by who must act."""

from collections.abc import Mapping, Sequence

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


class CloseTimeoutError(RescindError):
    """A runtime was closed, and something did not stop in time.

    Attributes:
        late: What it was: actors in a handler, callbacks, each with where in the code it is.
        is_whole: Whether the log was written to its end all the same, without what those do next;
            else it is as after a crash, and stays open for as long as this process lives.
    """

    def __init__(self, late: tuple[str, ...], timeout_s: float, *, is_whole: bool) -> None:
        """Name the first few."""
        self.late = late
        self.is_whole = is_whole
        log = "the log is whole" if is_whole else "the log is left as after a crash"
        super().__init__(f"not stopped within {timeout_s:g} s: {_few(late)} ({log})")


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
        super().__init__(_few([f"{number}: {text}" for number, text in sorted(problems.items())]))


class InternalError(RescindError):
    """A defect in rescind itself; the runtime has stopped.  Please report it."""


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN_MAX
    return "; ".join([*texts[:_SHOWN_MAX], f"and {more} more"] if more > 0 else texts)


__all__ = [
    "Abandon",
    "CloseTimeoutError",
    "DeadlockError",
    "InternalError",
    "MailboxFullError",
    "RecoveryError",
    "RescindError",
    "RuntimeClosedError",
    "StalledError",
    "UsageError",
]
