"""The native dialect's tables: its codes, and what cancels a request.

There is no window and no order of deliveries; a request is refused only where nobody can take it.
Sources are sections of docs/explanation/native.md.
"""

from enum import IntEnum, StrEnum

from rescind.actors.kernel._rules import Canceller
from rescind.events import Outcome


class Code(IntEnum):
    """How a request ended that neither returned nor was cancelled."""

    RAISED = 1
    """The handler, or work that it gave away, raised."""
    DEAD = 2
    """The actor had stopped, or stopped before the request was through."""
    STOPPED = 3
    """Work ended because it was told to; its request was cancelled."""
    LOST = 4
    """The process ended before it did; told by the next one."""
    FULL = 5
    """The actor's mailbox was full, or the runtime's bound was reached."""
    DROPPED = 6
    """The full mailbox of the actor dropped it for a newer message."""


MEANINGS: dict[int, str] = {
    Code.RAISED: "it raised",
    Code.DEAD: "the actor stopped",
    Code.STOPPED: "it was told to stop",
    Code.LOST: "the process ended first",
    Code.FULL: "the mailbox is full",
    Code.DROPPED: "the mailbox dropped it for a newer message",
}

NAMES: dict[int, str] = {code.value: code.name.lower() for code in Code}

DEAD = "native-dead"
"""The rule that refuses a request at the call whose actor has stopped ..."""
FULL = "native-full"
"""... and the one that does so where no more messages may wait."""
REFUSALS: dict[str, Code] = {DEAD: Code.DEAD, FULL: Code.FULL}
"""Why a request is refused: the rule's id, and the code."""

OPEN = "Open"
"""What the application submits, unknowingly, before its first request to any actor."""
CLOSED = "the runtime closed"
"""Why what is outstanding at the end is dropped."""

CANCEL = "cancel"
TIME_OUT = "time-out"
STOP = "stop"
RESTART = "restart"
TASK = "task"

CANCELLERS: dict[str, Canceller] = {
    row.trigger: row
    for row in (
        Canceller(
            CANCEL, "who has the request's handle", "the request and its children", "The tree"
        ),
        # Its ``by`` is the request whose time ran out.
        Canceller(
            TIME_OUT, "the request's own deadline", "the request and its children", "The tree"
        ),
        Canceller(STOP, "an actor, by stopping", "what it asked for and gave away", "The tree"),
        Canceller(RESTART, "an actor, by restarting", "the same", "The tree"),
        Canceller(
            TASK, "who cancels the task that awaits it", "the request and its children",
            "Who cancelled",
        ),
    )
}  # fmt: skip
"""Who may cancel, by the trigger."""


class Stage(StrEnum):
    """How far a request has come when a cancel names it."""

    OUTSTANDING = "outstanding"
    DOOMED = "being cancelled"
    COMPLETED = "completed"


CANCELS: dict[Stage, Outcome] = {
    Stage.OUTSTANDING: Outcome.WON,
    Stage.DOOMED: Outcome.DUPLICATE,
    Stage.COMPLETED: Outcome.TOO_LATE,
}
"""What the canceller is told at once; work in its grace period may still succeed."""

CANCELLED_CODE: Code | None = None
CANCELLED_WORD = "the exception `Cancelled`"
"""What a cancelled request hears in the place of a code: who did it, where and why."""
WINDOW_OPERATIONS: frozenset[str] = frozenset()
"""What a cancel forbids while it runs: nothing."""
