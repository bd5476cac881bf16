"""What it meant: readers of a log, reconstruction, explanation and the command line.

May import ``rescind.events``; of ``rescind.actors`` the pure tables (``_protocol``, ``_codes``),
and the rest only where code is executed (``_rerun``, ``_demo``, ``_state_classes``).

Every function takes a log: a ``LogReader``, or any turns in their order.  `rerun` alone loads the
actors, and is itself loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from ._archive import Archive
from ._census import Census
from ._chart import Arrow, Chart, Lane, LaneKind, Look, Row, Shade, ShadeKind
from ._chart_mermaid import chart_mermaid
from ._chart_of import chart_of
from ._chart_svg import chart_svg
from ._check import LAWS, CheckReport, check
from ._diff import Diff, Difference, Spot, diff
from ._diff_walk import Change
from ._fold import fold
from ._html import HtmlPage, html_of
from ._info import Overview, info
from ._laws import Court, Finding, Law, LawFailedError, LawReport, Verdict, law
from ._lives import CancelLife, Endpoint, Request
from ._model import Ledger
from ._rerun_logs import LogRerun, rerun_logs
from ._rerun_result import CodeLine, Divergence, Mismatch, Rerun
from ._select import Kind, SelectorError, Target, resolve
from ._sequences import Asked, Loser, Refusal, Sequence, Victim, sequences
from ._state import ActorDifference, ActorState, FieldChange, cut_at, differences, state_of
from ._timeline import Timeline
from ._turns import TurnFilter, turns
from ._why import Branch, Step, Story, why

if TYPE_CHECKING:
    from ._rerun import rerun

__all__ = [
    "LAWS",
    "ActorDifference",
    "ActorState",
    "Archive",
    "Arrow",
    "Asked",
    "Branch",
    "CancelLife",
    "Census",
    "Change",
    "Chart",
    "CheckReport",
    "CodeLine",
    "Court",
    "Diff",
    "Difference",
    "Divergence",
    "Endpoint",
    "FieldChange",
    "Finding",
    "HtmlPage",
    "Kind",
    "Lane",
    "LaneKind",
    "Law",
    "LawFailedError",
    "LawReport",
    "Ledger",
    "LogRerun",
    "Look",
    "Loser",
    "Mismatch",
    "Overview",
    "Refusal",
    "Request",
    "Rerun",
    "Row",
    "SelectorError",
    "Sequence",
    "Shade",
    "ShadeKind",
    "Spot",
    "Step",
    "Story",
    "Target",
    "Timeline",
    "TurnFilter",
    "Verdict",
    "Victim",
    "chart_mermaid",
    "chart_of",
    "chart_svg",
    "check",
    "cut_at",
    "diff",
    "differences",
    "fold",
    "html_of",
    "info",
    "law",
    "rerun",
    "rerun_logs",
    "resolve",
    "sequences",
    "state_of",
    "turns",
    "why",
]


def __getattr__(name: str) -> Any:
    if name != "rerun":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._rerun import rerun  # noqa: PLC0415  # it loads the actors

    globals()[name] = rerun
    return rerun
