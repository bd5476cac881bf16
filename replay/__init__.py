"""What it meant: readers of a log, reconstruction, explanation and the command line.

May import ``rescind.events``; of ``rescind.actors`` the pure tables (``_protocol``, ``_codes``),
and the rest only where code is executed (``_rerun``, ``_demo``, ``_state.classes``).

Every function takes a log: a ``LogReader``, or any turns in their order.  `rerun` alone loads the
actors, and is itself loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from ._archive.archive import Archive
from ._archive.select import SelectorError, Target, TargetKind, resolve
from ._chart.chart import (
    Arrow,
    ArrowLook,
    Chart,
    ChartLane,
    ChartRow,
    ChartShade,
    LaneKind,
    ShadeKind,
)
from ._chart.mermaid import chart_mermaid
from ._chart.of import chart_of
from ._chart.svg import chart_svg
from ._diff.diff import Diff, Difference, Spot, diff
from ._diff.walk import Change
from ._html.html import HtmlPage, html_of
from ._laws.check import LAWS, CheckReport, check
from ._laws.law import Court, Finding, Law, LawFailedError, LawReport, Verdict, law
from ._ledger.fold import fold
from ._ledger.lives import CancelLife, EndpointLife, RequestLife
from ._ledger.model import Ledger
from ._rerun.logs import LogRerun, rerun_logs
from ._rerun.result import CodeLine, Divergence, Mismatch, Rerun
from ._sequences.sequences import Asker, CancelSequence, Loser, Refusal, Victim, sequences
from ._state.state import ActorDifference, ActorState, FieldChange, cut_at, differences, state_of
from ._upkeep.census import Census
from ._upkeep.info import Overview, info
from ._why.why import Branch, Step, Story, why
from ._words.turns import TurnFilter, turns
from ._world.timeline import Timeline

if TYPE_CHECKING:
    from ._rerun.rerun import rerun

__all__ = [
    "LAWS",
    "ActorDifference",
    "ActorState",
    "Archive",
    "Arrow",
    "ArrowLook",
    "Asker",
    "Branch",
    "CancelLife",
    "CancelSequence",
    "Census",
    "Change",
    "Chart",
    "ChartLane",
    "ChartRow",
    "ChartShade",
    "CheckReport",
    "CodeLine",
    "Court",
    "Diff",
    "Difference",
    "Divergence",
    "EndpointLife",
    "FieldChange",
    "Finding",
    "HtmlPage",
    "LaneKind",
    "Law",
    "LawFailedError",
    "LawReport",
    "Ledger",
    "LogRerun",
    "Loser",
    "Mismatch",
    "Overview",
    "Refusal",
    "RequestLife",
    "Rerun",
    "SelectorError",
    "ShadeKind",
    "Spot",
    "Step",
    "Story",
    "Target",
    "TargetKind",
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
    from ._rerun.rerun import rerun  # noqa: PLC0415  # it loads the actors

    globals()[name] = rerun
    return rerun
