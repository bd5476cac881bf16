"""`rescind chart`: what a chart is made of: lanes, rows with their arrows, and what is shaded.

A chart is plain data.  `_chart_cone` chooses the turns, `_chart_says` puts each into words,
`_chart_draw` folds them into rows; `_chart_screen`, `_chart_svg` and `_chart_mermaid` show it.
"""

from dataclasses import dataclass
from enum import StrEnum

from rescind.events import By
from rescind.replay._words.describe import numbers_text
from rescind.replay._words.text import clip, clip_left

_WHO_MAX, _FILE_MAX = 24, 32


class LaneKind(StrEnum):
    """Who speaks in a lane; in the order in which lanes stand beside each other."""

    APPLICATION = "application"
    ACTOR = "actor"
    OUTSIDE = "outside"
    """A driver, and whatever stands behind it."""
    OTHERS = "others"
    """All for whom there is no room."""


@dataclass(frozen=True, slots=True)
class ChartLane:
    """One column of a chart.

    Attributes:
        number: The actor; of an endpoint's outside, the endpoint; else 0.
    """

    kind: LaneKind
    number: int
    title: str


class ArrowLook(StrEnum):
    """How something came out, which is what its colour and its line tell."""

    PLAIN = "plain"
    QUIET = "quiet"
    """What belongs to the picture and decides nothing, such as a script's return."""
    CANCEL = "cancel"
    """The cancel's own doing."""
    WELL = "well"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """It did not get in; its arrow ends in a cross."""
    LOST = "lost"
    """It raced and lost: a cancel that came too late, an answer that was ignored.  Dashed."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message or fact.

    Attributes:
        source: The lane it comes from, by its place.
        target: The lane it goes to; the same for what happens within one.
        before: The words before the numbers.
        numbers: Ranges of requests or cancels that it is about, in the order of happening.
        after: The words behind the numbers.
        letter: What the numbers are: ``r``, ``c`` or ``a``.
        detail: What else is to be known, where there is room.
        is_onward: Goes on from the arrow before it and has no words of its own.
    """

    source: int
    target: int
    look: ArrowLook
    before: str
    numbers: tuple[int, ...] = ()
    after: str = ""
    letter: str = "r"
    detail: str = ""
    is_onward: bool = False

    @property
    def says(self) -> str:
        """Its words."""
        numbers = numbers_text(list(self.numbers), self.letter)
        return f"{self.before}{numbers}{self.after}".strip()


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One turn, several alike, or a break in the chart.

    Attributes:
        first: The first turn; 0 in a break.
        last: The last one; turns of other rows may lie between.
        count: How many turns.
        time_ns: The first one's time.
        cause: The turn that brought the first one about, or 0.
        depth: How deep in callbacks the application called.
        by: Who called, when it is the same for all turns of the row.
        says: What a break stands for.
    """

    first: int
    last: int
    count: int
    time_ns: int
    cause: int
    depth: int
    arrows: tuple[Arrow, ...]
    by: By | None = None
    says: str = ""

    @property
    def is_break(self) -> bool:
        """Whether it stands for turns that are not shown."""
        return not self.arrows

    @property
    def turns(self) -> str:
        """Its turns; nothing for a break."""
        if self.is_break:
            return ""
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    @property
    def caller(self) -> str:
        """Who called, and the code line; nothing where nobody did, or several."""
        if self.by is None:
            return ""
        file = self.by.file.replace("\\", "/").rpartition("/")[2]
        return f"{clip(self.by.who, _WHO_MAX)} {clip_left(file, _FILE_MAX)}:{self.by.line}"


class ShadeKind(StrEnum):
    """Why a piece of a lane is shaded."""

    WINDOW = "window"
    """A cancel's window is open."""
    SCRIPT = "script"
    """The application runs a script and has not come back."""


@dataclass(frozen=True, slots=True)
class ChartShade:
    """A piece of a lane, from row to row.

    Attributes:
        lane: The lane's place.
        first: The row in which it begins, by its place.
        last: The row in which it ends.
        number: The cancel, or the request whose script runs.
        count: How many alike it stands for.
        is_whole: Whether its end is in the chart.
        until: The turn in which it ends, where that is not in the chart; 0 where there is none.
    """

    kind: ShadeKind
    lane: int
    first: int
    last: int
    number: int
    count: int = 1
    is_whole: bool = True
    until: int = 0

    @property
    def says(self) -> str:
        """Its words."""
        if self.kind is ShadeKind.WINDOW:
            end = f", until turn {self.until}" if self.until else ", still open"
            return f"window of c{self.number}" + ("" if self.is_whole else end)
        return f"script of r{self.number}" + (f" and {self.count - 1:,} more" * (self.count > 1))


@dataclass(frozen=True, slots=True)
class Chart:
    """A sequence chart.

    Attributes:
        title: What it shows.
        zero_ns: The moment from which its times count.
        begin_ns: The log's first time, which tells what sort of clock wrote it.
        notes: What is to be known of the choice, a sentence each: what was left out, how to see it.
    """

    title: str
    zero_ns: int
    begin_ns: int
    lanes: tuple[ChartLane, ...]
    rows: tuple[ChartRow, ...]
    shades: tuple[ChartShade, ...]
    notes: tuple[str, ...]
