"""Our actors in Pykka's registry of all that live, at a cost that does not grow with their number.

Pykka's registry keeps references in a list and searches it for every actor that stops.  It stays
what it is; only that list gives way to something that finds a reference without a search.
"""

import logging
from typing import Any, cast

import pykka

logger = logging.getLogger("rescind.actors")


class References(dict[pykka.ActorRef[Any], None]):
    """References in the order of their registration; does what Pykka asks of its list.

    Threads: whoever calls holds the registry's lock.
    """

    def append(self, ref: pykka.ActorRef[Any]) -> None:
        """Add a reference; one that is there already stays where it is."""
        self[ref] = None

    def remove(self, ref: pykka.ActorRef[Any]) -> None:
        """Take a reference out that is there."""
        del self[ref]

    def __getitem__(self, index: Any) -> Any:
        """Return what a list would: Pykka copies it with ``[:]``."""
        return cast("Any", list(self)[index])


# Pykka has no public way to its list and to the lock.
_LOCK = pykka.ActorRegistry._actor_refs_lock  # noqa: SLF001

with _LOCK:
    _REFERENCES = References(dict.fromkeys(pykka.ActorRegistry._actor_refs))  # noqa: SLF001
    pykka.ActorRegistry._actor_refs = cast("Any", _REFERENCES)  # noqa: SLF001


def register(ref: pykka.ActorRef[Any]) -> None:
    """Let the registry show an actor.  Unlike Pykka's own, makes no text that nobody reads."""
    with _LOCK:
        _REFERENCES.append(ref)
    logger.debug("Registered %s", ref)


def unregister(ref: pykka.ActorRef[Any]) -> None:
    """Take an actor out of the registry, if it is there."""
    with _LOCK:
        _REFERENCES.pop(ref, None)
    logger.debug("Unregistered %s", ref)
