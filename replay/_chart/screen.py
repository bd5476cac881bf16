"""The screen and the JSON of `rescind chart`.

Lanes stand at the left, one beside the other, and what happened is told at the right: so words have
room whatever the number of lanes, and a narrow terminal takes away from the gaps first.
"""

from typing import Any

from rescind.replay._words.text import Clock, Line, Span, by_json, clip, line, offset, plain

from .chart import Arrow, ArrowLook, Chart, ChartRow, ChartShade, ShadeKind

WIDTH_MIN = 72
"""A narrower terminal breaks the lines itself."""
_TURN_MIN, _TIME_MIN = 5, 9
_GAP_MIN, _GAP_MAX = 3, 12
_GRAPH_SHARE = 0.36
"""How much of a wide line the lanes may take."""

_STYLES: dict[ArrowLook, str] = {
    ArrowLook.PLAIN: "",
    ArrowLook.QUIET: "dim",
    ArrowLook.CANCEL: "bold yellow",
    ArrowLook.WELL: "green",
    ArrowLook.FAILED: "red",
    ArrowLook.CANCELLED: "yellow",
    ArrowLook.REFUSED: "bold red",
    ArrowLook.LOST: "magenta",
}
_CROSSED = frozenset({ArrowLook.REFUSED, ArrowLook.LOST})
"""What did not get in or did not count: its arrow ends in a cross."""

_CROSS = "\N{MULTIPLICATION SIGN}"
_ASCII = str.maketrans({
    "│": "|", "▒": "#", "┃": "!", "─": "-", "╌": ".", "▶": ">", "◀": "<", "●": "*", _CROSS: "x",
    "┼": "+", "…": "~", "µ": "u",
})  # fmt: skip
GLYPHS = "│▒┃─╌▶◀●┼…µ" + _CROSS
"""What a terminal has to be able to show; one that is not gets plain ASCII in their place."""


def chart_lines(chart: Chart, width: int, *, in_ascii: bool = False) -> list[Line]:
    """Return the screen of `rescind chart`, for so many columns."""
    lines = _Screen(chart, max(width, WIDTH_MIN)).lines()
    if not in_ascii:
        return lines
    return [[Span(span.text.translate(_ASCII), span.style) for span in one] for one in lines]


class _Screen:
    def __init__(self, chart: Chart, width: int) -> None:
        self._chart = chart
        self._clock = Clock(chart.begin_ns)
        self._turn = max([_TURN_MIN, *(len(row.turns) for row in chart.rows)])
        self._time = max([_TIME_MIN, *(len(self._after(row)) for row in chart.rows)])
        left = self._turn + self._time + 5
        gaps = max(len(chart.lanes) - 1, 1)
        room = int((width - left) * _GRAPH_SHARE)
        self._gap = min(max(room // gaps, _GAP_MIN), _GAP_MAX)
        self._left = left
        self._at = [index * self._gap for index in range(len(chart.lanes))]
        self._graph = (self._at[-1] if self._at else 0) + 3
        self._words = max(width - left - self._graph - 2, 8)
        self._width = width

    def lines(self) -> list[Line]:
        chart = self._chart
        lines = [line(Span(clip(chart.title, self._width), "bold"))]
        if chart.rows:
            when = f"times count from {self._clock.date(chart.zero_ns)}"
            lines += [line(Span(when, "dim")), line(), *self._heads()]
        else:
            lines.append(line("nothing to show"))
        for at, row in enumerate(chart.rows):
            lines += self._row(at, row)
        for note in chart.notes:
            lines += [line(), line(Span(clip(note, self._width), "dim"))]
        return lines

    def _after(self, row: ChartRow) -> str:
        return "" if row.is_break else offset(row.time_ns - self._chart.zero_ns)

    def _heads(self) -> list[Line]:
        """Return the lanes' names, each on a line of its own: so all of them have room."""
        lines: list[Line] = []
        for at, lane in enumerate(self._chart.lanes):
            before = "".join("│".ljust(self._gap) for _ in range(at))
            title = clip(lane.title, self._width - self._left - self._at[at])
            lines.append(line(" " * self._left, Span(before, "dim"), Span(title, "bold cyan")))
        return lines

    def _row(self, at: int, row: ChartRow) -> list[Line]:
        if row.is_break:
            return [line("  ", Span(clip(f"… {row.says} …", self._width - 2), "dim"))]
        lines: list[Line] = []
        after = f"  {self._after(row):>{self._time}}   "
        left = [Span(f"{row.turns:>{self._turn}}", "cyan"), Span(after, "dim")]
        for index, arrow in enumerate(row.arrows):
            if arrow.is_onward:
                continue
            onward = row.arrows[index + 1 : index + 2]
            drawn = [arrow, *(each for each in onward if each.is_onward)]
            graph = self._lanes_at(at, drawn)
            lines.append([*left, *graph, Span("  "), *self._says(row, arrow, is_first=index == 0)])
            left = [Span(" " * self._left)]
        return lines

    def _says(self, row: ChartRow, arrow: Arrow, *, is_first: bool) -> list[Span]:
        room = self._words
        indent = "  " * min(row.depth, 4)
        many = f" ({row.count:,} turns)" if row.count > 1 and is_first else ""
        words = clip(indent + arrow.says, room)
        many = many if len(words) + len(many) <= room else ""
        spans = [Span(words, _STYLES[arrow.look]), Span(many, "dim")]
        room -= len(words) + len(many) + 2
        more = [plain(arrow.detail)] if arrow.detail else []
        if row.caller and is_first:
            more.append(row.caller)
        text = "  ".join(more)
        if text and room >= min(len(text), 12):
            spans.append(Span("  " + clip(text, room), "dim"))
        return spans

    # --- lanes -----------------------------------------------------------------------------------

    def _lanes_at(self, at: int, arrows: list[Arrow]) -> list[Span]:
        """Return the lanes of one line with its arrows in them."""
        cells = [Span(" ")] * self._graph
        for lane, x in enumerate(self._at):
            cells[x] = Span(*self._post(at, lane))
        for arrow in arrows:
            self._draw(cells, arrow)
        return _joined(cells)

    def _post(self, at: int, lane: int) -> tuple[str, str]:
        covering = {shade.kind for shade in self._chart.shades if _covers(shade, at, lane)}
        if ShadeKind.WINDOW in covering:
            return "▒", "yellow"
        return ("┃", "bold") if ShadeKind.SCRIPT in covering else ("│", "dim")

    def _draw(self, cells: list[Span], arrow: Arrow) -> None:
        style = _STYLES[arrow.look]
        start, end = self._at[arrow.source], self._at[arrow.target]
        if start == end:
            mark = _CROSS if arrow.look in _CROSSED else "●"
            cells[start] = Span(mark, style)
            return
        step = 1 if end > start else -1
        dash = "╌" if arrow.look is ArrowLook.LOST else "─"
        for x in range(start + step, end, step):
            cells[x] = Span("┼" if x in self._at else dash, style)
        head = "▶" if step > 0 else "◀"
        cells[end - step] = Span(_CROSS if arrow.look in _CROSSED else head, style)


def _covers(shade: ChartShade, at: int, lane: int) -> bool:
    return shade.lane == lane and shade.first <= at <= shade.last


def _joined(cells: list[Span]) -> list[Span]:
    spans: list[Span] = []
    for cell in cells:
        if spans and spans[-1].style == cell.style:
            spans[-1] = Span(spans[-1].text + cell.text, cell.style)
        else:
            spans.append(cell)
    return spans


# --- JSON ----------------------------------------------------------------------------------------


def chart_json(chart: Chart) -> dict[str, Any]:
    """Return the document of `rescind chart --json`, without its schema."""
    return {
        "title": chart.title,
        "zero_ns": chart.zero_ns,
        "notes": list(chart.notes),
        "lanes": [
            {"kind": str(lane.kind), "number": lane.number, "title": lane.title}
            for lane in chart.lanes
        ],
        "rows": [_row_json(row) for row in chart.rows],
        "shades": [
            {
                "kind": str(shade.kind),
                "lane": shade.lane,
                "first_row": shade.first,
                "last_row": shade.last,
                "number": shade.number,
                "count": shade.count,
                "is_whole": shade.is_whole,
                "until": shade.until or None,
            }
            for shade in chart.shades
        ],
    }


def _row_json(row: ChartRow) -> dict[str, Any]:
    return {
        "first": row.first or None,
        "last": row.last or None,
        "turns": row.count,
        "time_ns": row.time_ns,
        "cause": row.cause or None,
        "depth": row.depth,
        "by": by_json(row.by),
        "says": row.says or None,
        "arrows": [_arrow_json(arrow) for arrow in row.arrows],
    }


def _arrow_json(arrow: Arrow) -> dict[str, Any]:
    return {
        "from": arrow.source,
        "to": arrow.target,
        "look": str(arrow.look),
        "says": arrow.says,
        "numbers": list(arrow.numbers),
        "letter": arrow.letter,
        "detail": arrow.detail or None,
        "is_onward": arrow.is_onward,
    }
