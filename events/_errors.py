"""The errors of the whole project: one base, families by who must act."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from ._turn import Damage


class RescindError(Exception):
    """Everything that this project raises on purpose."""


class UsageError(RescindError):
    """The caller asked for something that cannot be; the message says what to do instead."""


class UnrecordableError(UsageError):
    """A value has no form in the log, and the runtime was opened with ``strict=True``."""


class LogError(RescindError):
    """Something is the matter with a log.

    Attributes:
        path: Where the log is; None for a log in memory.
    """

    def __init__(self, message: str, path: "str | os.PathLike[str] | None" = None) -> None:
        """Keep where the log is beside what is said about it."""
        super().__init__(message)
        self.path = path


class NotALogError(LogError):
    """What the path names is not a log, and nothing was written there."""


class LogAccessError(LogError):
    """The operating system refused the log; its own error is the ``__cause__``."""


class LogLockedError(LogError):
    """Another writer holds the log.

    Attributes:
        pid: The process that holds it, as it wrote into the lock file; None when it did not say.
    """

    def __init__(self, path: "str | os.PathLike[str]", pid: int | None) -> None:
        """Say who holds the log."""
        holder = "another writer" if pid is None else f"process {pid}"
        super().__init__(
            f"{path}: {holder} has this log open for writing; a log has one writer. "
            "Close that one, or open another path. Reading is always possible.",
            path,
        )
        self.pid = pid


class LogFailedError(LogError):
    """A write or sync failed, so nothing more is accepted or acknowledged.

    What reached the disk is unknown from here on.  Open the log anew: that finds exactly what
    is there.
    """


class LogClosedError(LogError):
    """The writer was closed."""


class LogFormatError(LogError):
    """The log was written by a later version of this format.

    Attributes:
        format: The version that the log names.
        known: The highest version that this program reads.
    """

    def __init__(self, path: "str | os.PathLike[str] | None", found: int, known: int) -> None:
        """Name both versions."""
        where = "the log" if path is None else str(path)
        super().__init__(
            f"{where}: written in log format {found}, and this program reads formats up to "
            f"{known}; use a newer rescind",
            path,
        )
        self.format = found
        self.known = known


class LogDamagedError(LogError):
    """A log is damaged and the caller asked to be told by an error.

    Attributes:
        damage: The first damage that was met, None when the whole log is unusable.
    """

    def __init__(
        self,
        message: str,
        path: "str | os.PathLike[str] | None" = None,
        damage: "Damage | None" = None,
    ) -> None:
        """Keep the damage as data."""
        super().__init__(message, path)
        self.damage = damage
