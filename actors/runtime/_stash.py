"""Messages that actors put aside while they cannot handle them."""

from typing import TYPE_CHECKING, Any, NamedTuple

from rescind.events import Origin, Stashed, Unstashed

from ._bounds import COUNTED
from ._errors import UsageError
from ._outbox import Envelope, Message, Outbox
from ._reply import Reply

if TYPE_CHECKING:
    from ._actor import Actor
    from ._engine import Engine
    from ._ref import ActorRef


class Aside(NamedTuple):
    """A message that was put aside, and who waits for its answer."""

    turn: int
    """The turn that put it aside: the cause of the one that takes it up again."""
    message: Message
    reply: Reply[Any] | None


class Stashes:
    """What the actors of one runtime have put aside; whoever holds the baton calls this."""

    def __init__(self, engine: "Engine") -> None:
        """Begin with nothing."""
        self._engine = engine
        self._aside: dict[int, list[Aside]] = {}
        self._stashing: dict[int, tuple[Message, Reply[Any] | None]] = {}
        """By actor: what its running turn puts aside, if its handler returns."""

    def stash(self, actor: "Actor") -> None:
        """Have the message put aside that ``actor`` is handling.

        Raises:
            UsageError: it handles none, or none that can be.
        """
        out = self._engine.turn_of(actor, "stash")
        if type(out.message) not in COUNTED:
            raise UsageError(
                "only a message that was told, asked or requested can be put aside, "
                "and only before the handler waits for something",
            )
        if has_stashed(out):
            raise UsageError("this message is put aside already")
        self._stashing[actor.number] = (out.message, out.reply)
        out.events.append(Stashed(len(self._aside.get(actor.number, ())) + 1))

    def unstash(self, actor: "Actor") -> None:
        """Have everything brought back that ``actor`` has put aside.

        Raises:
            UsageError: called outside of its turns.
        """
        out = self._engine.turn_of(actor, "unstash")
        aside = self._aside.get(actor.number)
        if aside:
            out.events.append(Unstashed([each.turn for each in aside]))

    @property
    def count(self) -> int:
        """How many messages are aside."""
        return sum(map(len, self._aside.values()))

    def turns_of(self, actor: "Actor") -> list[int]:
        """Return the turns that put aside what an actor has aside, in their order."""
        return [each.turn for each in self._aside.get(actor.number, ())]

    def put_aside(self, actor: "Actor", turn: int) -> None:
        """Put the message of a turn aside that was recorded."""
        message, reply = self._stashing.pop(actor.number)
        self._aside.setdefault(actor.number, []).append(Aside(turn, message, reply))

    def bring_back(self, actor: "Actor", turns: list[int]) -> None:
        """Put what was put aside in these turns before everything that waits."""
        aside = self._aside.pop(actor.number, [])
        back, rest = aside[: len(turns)], aside[len(turns) :]
        if rest:
            self._aside[actor.number] = rest
        self.put_first(actor.actor_ref, _sent_again(actor.actor_ref, back))

    def put_first(self, ref: "ActorRef[Any]", back: list[Envelope]) -> None:
        """Put messages before everything that waits, in their order."""
        self._engine.put_first(ref, back)

    def forget(self, ref: "ActorRef[Any]") -> list[Envelope]:
        """Return what an actor has put aside that takes nothing any more."""
        self._stashing.pop(ref.number, None)
        return _sent_again(ref, self._aside.pop(ref.number, []))


def _sent_again(ref: "ActorRef[Any]", aside: list[Aside]) -> list[Envelope]:
    return [
        Envelope(ref, message, Origin.ACTOR, turn, None, reply) for turn, message, reply in aside
    ]


def has_stashed(out: Outbox) -> bool:
    """Tell whether the running turn puts its message aside."""
    return any(type(event) is Stashed for event in out.events)


def apply_stashed(actor: "Actor", _event: Stashed, number: int) -> None:
    """Put the message of a turn aside."""
    actor.runtime.stashes.put_aside(actor, number)


def apply_unstashed(actor: "Actor", event: Unstashed, _number: int) -> None:
    """Let an actor's messages wait again that were aside."""
    actor.runtime.stashes.bring_back(actor, event.turns)
