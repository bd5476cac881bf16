"""What it meant: readers of a log, reconstruction, explanation and the command line.

May import ``rescind.events``; of ``rescind.actors`` the pure tables (``_protocol``, ``_codes``),
and the rest only where a recording is executed again (``_rerun``, ``_demo``).

Every function takes a log: a ``LogReader``, or any turns in their order.
"""

from ._archive import Archive
from ._check import LAWS, CheckReport, check
from ._fold import fold
from ._info import Overview, info
from ._laws import Court, Finding, Law, LawReport, Verdict
from ._lives import CancelLife, Endpoint, Request
from ._model import Ledger
from ._select import Kind, SelectorError, Target, resolve
from ._sequences import Asked, Loser, Refusal, Sequence, Victim, sequences
from ._turns import TurnFilter, turns
from ._why import Branch, Step, Story, why

__all__ = [
    "LAWS",
    "Archive",
    "Asked",
    "Branch",
    "CancelLife",
    "CheckReport",
    "Court",
    "Endpoint",
    "Finding",
    "Kind",
    "Law",
    "LawReport",
    "Ledger",
    "Loser",
    "Overview",
    "Refusal",
    "Request",
    "SelectorError",
    "Sequence",
    "Step",
    "Story",
    "Target",
    "TurnFilter",
    "Verdict",
    "Victim",
    "check",
    "fold",
    "info",
    "resolve",
    "sequences",
    "turns",
    "why",
]
