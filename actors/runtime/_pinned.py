"""Pinned actors: the handlers of each run in a thread of its own, which may block.

A turn belongs to the baton also here: it begins under it and is recorded, applied and dispatched
under it.  Only while the application's own code runs is the baton free, and then the turn has an
outbox to itself.
"""

import logging
import queue
import threading
from typing import TYPE_CHECKING

from ._errors import Abandon
from ._outbox import Envelope, Outbox
from ._thread import ThreadDispatcher

if TYPE_CHECKING:
    from ._actor import Actor
    from ._exits import Exits

logger = logging.getLogger("rescind.runtime")


class Pinned(ThreadDispatcher):
    """Like ``ThreadDispatcher``, but every ordinary actor has a thread of its own, as in Pykka."""

    def pins(self, actor: "Actor") -> bool:
        """Pin every actor."""
        del actor
        return True


class Pin:
    """The thread of one pinned actor; it ends with the actor."""

    def __init__(self, engine: "Exits", actor: "Actor") -> None:
        """Start the thread.

        Raises:
            RuntimeError: there is none to be had.
        """
        self.out = Outbox(engine.baton)
        self.actor = actor
        self._engine = engine
        self._turns: queue.SimpleQueue[Envelope | None] = queue.SimpleQueue()
        name = f"rescind-a{actor.number}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, envelope: Envelope) -> None:
        """Run the turn of a message; the thread does it when it has the baton."""
        self._turns.put(envelope)

    def end(self) -> None:
        """Let the thread end after the turn that it runs."""
        self._turns.put(None)

    def _run(self) -> None:
        try:
            while (envelope := self._turns.get()) is not None:
                self._take_turns(envelope)
        except Abandon:
            logger.info("%s is given up: its runtime ended before its handler", self.actor)
        except BaseException as error:  # a defect, or a log that failed: nobody may wait for ever
            logger.exception("the runtime stopped")
            self._engine.fail(error)

    def _take_turns(self, first: Envelope) -> None:
        engine, envelope = self._engine, first
        while True:
            with engine.baton:
                engine.check_going_on()
                following = engine.turn_of_pin(self, envelope)
            engine.dispatcher.wake()
            if following is None:
                return
            envelope = following
