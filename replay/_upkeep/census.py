"""How many requests, cancels and actors a log tells of, and what became of them, in one pass.

A ledger of a log on disk forgets what is at rest.  So everything is counted when it is forgotten,
and what is left when the log has ended.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import chain

from rescind.events import How, LogReader
from rescind.replay._ledger.dialects import end_text, tables
from rescind.replay._ledger.fold import bounded_ledger
from rescind.replay._ledger.forgetting import ForgetfulLedger, Forgotten
from rescind.replay._ledger.lives import CancelLife, EndpointLife, Refused, RequestLife
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.sound import sound

PROGRESS_TURNS = 10_000
"""How often a count says how far it is."""

_CODES_MAX = 10_000
"""Of more different ends no log of ours tells; further ones are counted together."""

_OTHER = "another code"


class Census:
    """Counts, which grow as a log is read.

    Attributes:
        requests: How many there are.
        rejected: How many of them were refused.
        outstanding: Of how many nothing tells the end.
        cancels: How many there are.
        windows: How many of their windows are open.
        victims: How many requests they named.
        codes: How many requests ended with each code text; rejections are counted too.
        classes: How many actors were born of each epoch and class binding.
        endpoints: The endpoints, but of very many only the latest and those that are open.
        endpoints_left_out: How many others there are.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Begin with nothing counted; the ledger knows what the endpoints speak."""
        self.requests = self.rejected = self.outstanding = 0
        self.cancels = self.windows = self.victims = 0
        self.codes: Counter[str] = Counter()
        self.classes: Counter[tuple[int, int]] = Counter()
        self.endpoints: tuple[EndpointLife, ...] = ()
        self.endpoints_left_out = 0
        self._ledger = ledger
        self._counted: Collection[int] = ()
        if isinstance(ledger, ForgetfulLedger):
            ledger.forgets = self._take
            self._counted = ledger.recalled

    def end(self) -> None:
        """Count what is left now that no turn follows."""
        ledger = self._ledger
        ledger.end()
        left: Iterable[Forgotten] = chain(
            ledger.present(), ledger.cancels.values(), ledger.classes.values()
        )
        for each in left:
            self._take(each)
        self.endpoints = tuple(each for each in ledger.endpoints.values() if each.number)

    def _take(self, thing: Forgotten) -> None:
        match thing:
            case RequestLife():
                if not thing.is_lost and thing.number not in self._counted:
                    self._take_request(thing)
            case CancelLife():
                if thing.number not in self._counted:
                    self.cancels += 1
                    self.windows += thing.is_open
                    self.victims += len(thing.victims)
            case tuple():
                self.classes[thing] += 1
            case EndpointLife():
                self.endpoints_left_out += 1
            case _:
                pass  # calls are not counted

    def _take_request(self, request: RequestLife) -> None:
        self.requests += 1
        self.rejected += request.rejected is not None
        self.outstanding += request.is_outstanding
        end = request.rejected or request.completed
        if end is not None:
            how = How.RESULT if isinstance(end, Refused) else end.how
            endpoint = self._ledger.endpoints.get(request.endpoint)
            spoken = tables(endpoint.dialect, endpoint.profile) if endpoint else tables("")
            text = end_text(spoken, end.code, how)
            is_new = text not in self.codes and len(self.codes) >= _CODES_MAX
            self.codes[_OTHER if is_new else text] += 1


def census_of(log: LogReader, progress: Callable[[int], None] | None = None) -> Census:
    """Count a whole log; ``progress`` is told how many turns were read."""
    ledger = bounded_ledger(log)
    census = Census(ledger)
    for turn in sound(log):
        ledger.feed(turn)
        if progress is not None and ledger.turns % PROGRESS_TURNS == 0:
            progress(ledger.turns)
    census.end()
    return census
