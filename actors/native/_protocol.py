"""The native dialect's tables: its codes, and what cancels a request.

There is no window and no order of deliveries; a request is refused only where nobody can take it.
"""

from enum import IntEnum


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

CANCEL = "cancel"
"""The trigger of a cancel that somebody asked for."""
TIME_OUT = "time-out"
"""... of one that a deadline began; its by is the request whose time ran out."""
STOP = "stop"
"""... of one that began when the actor stopped that had asked."""
RESTART = "restart"
"""... of one that began when it was restarted."""
TASK = "task"
"""... of one that a cancelled asyncio task began, which was waiting for the request."""
