"""`rescind export --to jsonl`: the turns of a log, each one document."""

from collections.abc import Iterable, Iterator
from typing import Any

from rescind.events import Turn
from rescind.replay._ledger.sound import sound
from rescind.replay._words.names import Names
from rescind.replay._words.turns import TurnFilter, turn_json


def turn_documents(log: Iterable[Turn], wanted: TurnFilter) -> Iterator[dict[str, Any]]:
    """Yield the documents of the turns that pass, as ``rescind turns --json`` gives them.

    All of the log is read up to the last turn that is wanted: who is who is said at the beginning.
    """
    names = Names(log)
    for turn in sound(log):
        if wanted.ends_before(turn):
            return
        names.take(turn)
        if wanted.wants(turn):
            yield turn_json(turn, names)
