"""What it meant: readers of a log, reconstruction, explanation and the command line.

May import ``rescind.events``; of ``rescind.actors`` the pure tables (``_protocol``, ``_codes``),
and the rest only where a recording is executed again (``_rerun``, ``_demo``).

Every function takes a log: a ``LogReader``, or any turns in their order.
"""

from ._archive import Archive
from ._chart import Arrow, Chart, Lane, LaneKind, Look, Row, Shade, ShadeKind
from ._chart_mermaid import chart_mermaid
from ._chart_of import chart_of
from ._chart_svg import chart_svg
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
    "Arrow",
    "Asked",
    "Branch",
    "CancelLife",
    "Chart",
    "CheckReport",
    "Court",
    "Endpoint",
    "Finding",
    "Kind",
    "Lane",
    "LaneKind",
    "Law",
    "LawReport",
    "Ledger",
    "Look",
    "Loser",
    "Overview",
    "Refusal",
    "Request",
    "Row",
    "SelectorError",
    "Sequence",
    "Shade",
    "ShadeKind",
    "Step",
    "Story",
    "Target",
    "TurnFilter",
    "Verdict",
    "Victim",
    "chart_mermaid",
    "chart_of",
    "chart_svg",
    "check",
    "fold",
    "info",
    "resolve",
    "sequences",
    "turns",
    "why",
]
