"""How many messages may wait for an actor, and what can become of one that is too many."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from rescind.events import Ask, DeadLetter, Dropped, Notice, Overflowed, Proxy, Serve, Tell

from ._errors import UsageError

if TYPE_CHECKING:
    from ._actor import Actor

WhenFull = Literal["reject", "drop oldest", "block"]
_POLICIES = ("reject", "drop oldest", "block")
COUNTED = frozenset((Tell, Ask, Proxy, Serve))
"""What takes a place in a mailbox: the application's messages.  Stops, watches and news of an
actor's own requests always come in."""
Loss: TypeAlias = DeadLetter | Dropped | Overflowed
LOSSES: tuple[type[Loss], ...] = (DeadLetter, Dropped, Overflowed)
"""What can become of a message that no handler gets."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """How many messages may wait for an actor, and what happens to one more.

    Attributes:
        max: So many messages, at least one; what the actor has put aside is not counted.
        when_full: ``reject``: whoever sends gets ``MailboxFullError``, and an ask's future does.
            ``drop oldest``: the message that waits longest gives its place to the new one.
            ``block``: whoever sends from outside waits for a place; inside a turn it is rejected.
        timeout_s: So long a blocked sender waits, in seconds, before it is rejected.
    """

    max: int
    when_full: WhenFull = "reject"
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        """Check.

        Raises:
            UsageError: no such bound, or no such policy.
        """
        if self.max < 1 or self.when_full not in _POLICIES:
            known = ", ".join(map(repr, _POLICIES))
            raise UsageError(f"{self}: max is at least 1, and when_full one of {known}")


def told(message: Notice) -> Loss:
    """Return the event that an actor is told of."""
    for kind in LOSSES:
        if kind.__name__ == message.event:
            return kind(*message.values)
    raise TypeError(f"nobody is told of {message.event}")


def apply_overflowed(actor: "Actor", event: Overflowed, number: int) -> None:
    """Let subscribers hear that a turn of ``actor`` was refused a place for a message."""
    actor.runtime.subscriptions.offer(event, number)
