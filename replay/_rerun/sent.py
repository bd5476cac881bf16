"""What today's code has sent and nobody has taken yet."""

from collections import deque

from rescind.actors.runtime import Envelope
from rescind.actors.runtime._bounds import COUNTED
from rescind.events import Dropped, Fail, Origin, Overflowed, Restart, Stop
from rescind.replay._ledger.numbers import NumberSet

from .recorded import Recorded
from .stand_ins import loss_of

_OVERTAKING = (Stop, Restart, Fail)
"""What supervision sends by the control lane, past what was sent before it."""
_IN_MAILBOX = (Dropped, Overflowed)
"""What a mailbox does with the oldest of its messages, and not with what overtakes them."""


class Sent:
    """Messages on their way, by the number of whom they are for."""

    def __init__(self) -> None:
        """Hold none."""
        self._sent: dict[int, Envelope | deque[Envelope]] = {}
        # For one actor nearly always one message: then without a queue, of which there could be
        # a hundred thousand.

    def keep(self, envelope: Envelope) -> None:
        """Hold one more."""
        number = envelope.target.number
        if number in self._sent:
            self._queue(number).append(envelope)
        else:
            self._sent[number] = envelope

    def put_first(self, envelopes: list[Envelope]) -> None:
        """Hold what actors take up again, before what waits for them."""
        for envelope in reversed(envelopes):
            self._queue(envelope.target.number).appendleft(envelope)

    def take(self, turn: Recorded) -> Envelope | None:
        """Take out what the actor of a turn takes in it; None when it was sent nothing."""
        sent = self._sent.pop(turn.actor, None)
        if not isinstance(sent, deque):
            return sent
        at = _place_of(turn, sent)
        envelope = sent[at]
        del sent[at]
        if sent:
            self._sent[turn.actor] = sent
        return envelope

    def take_of(self, number: int, cause: int) -> Envelope | None:
        """Take out the first message for an actor that was sent in the turn ``cause``."""
        if number not in self._sent:
            return None
        sent = self._queue(number)
        found = next((each for each in sent if each.cause == cause), None)
        if found is not None:
            sent.remove(found)
        if not sent:
            del self._sent[number]
        return found

    def for_any(self, numbers: NumberSet) -> Envelope | None:
        """Return a message for one of these actors that another actor has sent, if there is any."""
        for sent in self._sent.values():
            for envelope in sent if isinstance(sent, deque) else [sent]:
                if envelope.target.number in numbers and envelope.origin is Origin.ACTOR:
                    return envelope
        return None

    def _queue(self, number: int) -> deque[Envelope]:
        sent = self._sent.get(number)
        if not isinstance(sent, deque):
            sent = self._sent[number] = deque() if sent is None else deque((sent,))
        return sent


def _place_of(turn: Recorded, sent: deque[Envelope]) -> int:
    """Return which of the messages for an actor is taken: the first, but for these.

    What supervision sends and an urgent stop overtake, and of those in a mailbox the oldest is
    dropped.
    """
    overtakes = turn.kind in _OVERTAKING
    for at, envelope in enumerate(sent):
        if overtakes:
            if type(envelope.message) is turn.kind and envelope.message == turn.message:
                return at
        elif not isinstance(loss_of(turn), _IN_MAILBOX) or type(envelope.message) in COUNTED:
            return at
    return 0
