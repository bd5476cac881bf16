"""From a log to its ledger."""

from collections.abc import Iterable

from rescind.events import LogReader, Turn

from .forgetting import ForgetfulLedger
from .from_keyframe import LedgerFromKeyframe
from .model import Ledger
from .sound import sound


def new_ledger(log: Iterable[Turn]) -> Ledger:
    """Return an empty ledger for a log, whose reader knows the names of classes and keyframes."""
    return LedgerFromKeyframe(log) if isinstance(log, LogReader) else Ledger()


def bounded_ledger(log: Iterable[Turn]) -> Ledger:
    """Return an empty ledger for one pass over a log, whose memory does not grow with the log.

    Turns in memory take more of it than a ledger does, so only of a log on disk it forgets.
    """
    if isinstance(log, LogReader) and log.path is not None:
        return ForgetfulLedger(log)
    return new_ledger(log)


def fold(log: Iterable[Turn]) -> Ledger:
    """Read a whole log into a ledger."""
    ledger = new_ledger(log)
    for turn in sound(log):
        ledger.feed(turn)
    ledger.end()
    return ledger
