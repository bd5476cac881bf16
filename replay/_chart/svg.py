"""A chart as one SVG: no script, no font of its own, nothing to fetch.

Light or dark as the reader's system says.  Every row is a group with ``data-turn``, the first of
its turns, ``data-last`` and ``data-cause``; all rules are bound to the class ``rescind-chart``, so
that the picture can stand inside a page.
"""

from collections.abc import Iterator
from html import escape

from rescind.replay._words.text import Clock, clip, offset, plain
from rescind.replay._words.text import count as counted

from .chart import Arrow, ArrowLook, Chart, ChartRow, ChartShade, ShadeKind

_MARGIN = 24.0
_GUTTER = 138.0
"""What the turn numbers and the times need at the left."""
_HEAD_TOP, _HEAD = 72.0, 30.0
_TEXT, _SMALL = 12.5, 11.0
_LETTER = 0.58
"""How wide a letter is on average, in units of its height."""
_GAP_MIN, _GAP_MAX = 120.0, 330.0
_LABEL_MAX = 64
_ROW, _DETAIL, _BREAK = 32.0, 14.0, 34.0
_BAR = 10.0

_LIGHT = {
    "ground": "#ffffff", "text": "#1f2430", "quiet": "#667082", "post": "#aab4c3",
    "head": "#eef3fb", "edge": "#8fa1bd", "plain": "#3f4a5a", "cancel": "#8a5a00",
    "well": "#1a7a42", "failed": "#b3261e", "cancelled": "#b3561e", "refused": "#b3261e",
    "lost": "#7a3fa8", "window": "#f2b62c", "script": "#7c94c9",
}  # fmt: skip
_DARK = {
    "ground": "#1b1e26", "text": "#e6e9ef", "quiet": "#98a2b3", "post": "#566073",
    "head": "#2a3040", "edge": "#66728a", "plain": "#c2cad6", "cancel": "#f0c04f",
    "well": "#6fce93", "failed": "#ff8a80", "cancelled": "#ffab7a", "refused": "#ff8a80",
    "lost": "#cba6f7", "window": "#d9a11f", "script": "#6f87bd",
}  # fmt: skip
_RULES = {
    "": "font-family: system-ui, sans-serif",
    ".ground": "fill: {ground}",
    ".band": "fill: {window}; opacity: 0.11",
    ".window": "fill: {window}; opacity: 0.75",
    ".script": "fill: {script}",
    ".post": "stroke: {post}; stroke-width: 1.2",
    ".head": "fill: {head}; stroke: {edge}; stroke-width: 1.2",
    "text": f"font-size: {_TEXT:g}px; fill: {{text}}; unicode-bidi: isolate",
    "text.over": "paint-order: stroke; stroke: {ground}; stroke-width: 4px; stroke-linejoin: round",
    "text.title": "font-size: 17px; font-weight: 650",
    "text.lane": "font-weight: 600; text-anchor: middle",
    "text.turn": "text-anchor: end; font-variant-numeric: tabular-nums; font-weight: 600",
    "text.time": "text-anchor: end; font-variant-numeric: tabular-nums",
    "text.middle": "text-anchor: middle",
    "text.end": "text-anchor: end",
    "text.small": f"font-size: {_SMALL:g}px; fill: {{quiet}}",
    "path": "fill: none; stroke: {plain}; stroke-width: 1.5",
    "path.break": "stroke: {post}; stroke-dasharray: 2 5; stroke-width: 2",
    "polygon": "fill: {plain}",
    "circle": "fill: {plain}",
    **{
        f"{shape}.{look}": f"{paint}: {{{look}}}"
        for look in ("cancel", "well", "failed", "cancelled", "refused", "lost", "quiet")
        for shape, paint in {
            "path": "stroke", "polygon": "fill", "circle": "fill", "text": "fill",
        }.items()
    },
    "path.lost": "stroke: {lost}; stroke-dasharray: 5 4",
    "path.cross": "stroke-dasharray: none; stroke-width: 2.2",
}  # fmt: skip


def chart_svg(chart: Chart) -> str:
    """Return a chart as the text of an SVG."""
    return _Picture(chart).text()


class _Picture:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._clock = Clock(chart.begin_ns)
        self._x = list(self._places())
        right = self._right_margin()
        edge = self._x[-1] if self._x else _MARGIN
        title = len(chart.title) * 17 * _LETTER
        notes = max([len(note) for note in chart.notes], default=0) * _SMALL * _LETTER
        self._width = max(edge + right, title + 2 * _MARGIN, notes + 2 * _MARGIN, 420)
        self._tops = list(self._row_tops())
        self._bottom = self._tops[-1] + 10

    # --- where things stand ----------------------------------------------------------------------

    def _places(self) -> Iterator[float]:
        """Yield where the lanes stand: so far apart that the words between them have room."""
        lanes = self._chart.lanes
        x = _GUTTER + max(_wide(lanes[0].title) / 2 + 14, 40) if lanes else 0.0
        for at in range(len(lanes)):
            yield x
            if at + 1 < len(lanes):
                heads = (_wide(lanes[at].title) + _wide(lanes[at + 1].title)) / 2 + 44
                x += min(max(_GAP_MIN, heads, self._room(at)), max(_GAP_MAX, heads))

    def _room(self, lane: int) -> float:
        """Return how wide the widest words between a lane and the next one are."""
        widths = [
            max(_wide(_label(row, arrow)), _wide(_detail(row, arrow), _SMALL)) + 36
            for row in self._chart.rows
            for arrow in row.arrows
            if not arrow.is_onward and _leftmost(arrow) == lane
            and abs(arrow.source - arrow.target) <= 1
        ]  # fmt: skip
        return max(widths, default=0.0)

    def _right_margin(self) -> float:
        last = len(self._chart.lanes) - 1
        marks = any(
            arrow.source == arrow.target == last for row in self._chart.rows for arrow in row.arrows
        )
        half = _wide(self._chart.lanes[last].title) / 2 + 14 if last >= 0 else 0.0
        names = [_wide(shade.says, _SMALL) for shade in self._chart.shades]
        return max(half, self._room(last) if marks else 0.0, *names, 40.0) + _MARGIN

    def _row_tops(self) -> Iterator[float]:
        """Yield the upper edge of each row, and the lower edge of the last."""
        y = _HEAD_TOP + _HEAD + 12
        for row in self._chart.rows:
            yield y
            y += _BREAK if row.is_break else sum(_height(row, arrow) for arrow in _told(row))
        yield y

    # --- parts -----------------------------------------------------------------------------------

    def text(self) -> str:
        chart = self._chart
        height = self._bottom + 26 + 18 * len(chart.notes)
        size = f'width="{self._width:.0f}" height="{height:.0f}"'
        parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" class="rescind-chart" role="img" ',
            f'viewBox="0 0 {self._width:.0f} {height:.0f}" {size}>\n',
            f"<title>{_safe(chart.title)}</title>\n<desc>{_safe(self._description())}</desc>\n",
            f"<style>\n{_style(_LIGHT)}@media (prefers-color-scheme: dark) {{\n",
            f"{_style(_DARK)}}}\n</style>\n",
            f'<rect class="ground" {size} rx="10"/>\n',
            _text(_MARGIN, 34, chart.title, "title"),
            _text(_MARGIN, 54, self._when(), "small"),
            *self._bands(),
            *self._lanes(),
            *self._shades(),
            *(part for at, row in enumerate(chart.rows) for part in self._row(at, row)),
            *self._window_names(),
            *(
                _text(_MARGIN, self._bottom + 22 + 18 * at, note, "small")
                for at, note in enumerate(chart.notes)
            ),
            "</svg>\n",
        ]
        return "".join(parts)

    def _when(self) -> str:
        if not self._chart.rows:
            return "nothing to show"
        return f"times count from {self._clock.date(self._chart.zero_ns)}"

    def _description(self) -> str:
        lanes = [lane.title for lane in self._chart.lanes]
        told: list[str] = []
        for row in self._chart.rows:
            if row.is_break:
                told.append(row.says)
            for arrow in _told(row):
                ends = dict.fromkeys((lanes[arrow.source], lanes[arrow.target]))
                told.append(f"{row.turns} {' to '.join(ends)}: {arrow.says}")
        return "; ".join(told) + "."

    def _lanes(self) -> Iterator[str]:
        for x, lane in zip(self._x, self._chart.lanes, strict=True):
            width = _wide(lane.title) + 28
            yield (
                f'<path class="post" d="M{x:.1f} {_HEAD_TOP + _HEAD:g} V{self._bottom:.1f}"/>\n'
                f'<rect class="head" x="{x - width / 2:.1f}" y="{_HEAD_TOP:g}" '
                f'width="{width:.1f}" height="{_HEAD:g}" rx="7"/>\n'
            )
            yield _text(x, _HEAD_TOP + 19.5, lane.title, "lane")

    def _span(self, shade: ChartShade) -> tuple[float, float]:
        """Return where a shade begins and ends."""
        top = self._tops[shade.first] + 8
        is_open = shade.kind is ShadeKind.WINDOW and not shade.is_whole
        return top, self._bottom if is_open else self._tops[shade.last + 1] - 4

    def _bands(self) -> Iterator[str]:
        for shade in self._chart.shades:
            if shade.kind is ShadeKind.WINDOW:
                top, end = self._span(shade)
                yield (
                    f'<rect class="band" x="8" y="{top:.1f}" width="{self._width - 16:.1f}" '
                    f'height="{end - top:.1f}" rx="6"/>\n'
                )

    def _shades(self) -> Iterator[str]:
        for shade in self._chart.shades:
            top, end = self._span(shade)
            if shade.kind is ShadeKind.SCRIPT:
                top, end = top + 12, end - 6
            x = self._x[shade.lane] - _BAR / 2
            yield (
                f'<rect class="{shade.kind}" x="{x:.1f}" y="{top:.1f}" width="{_BAR:g}" '
                f'height="{max(end - top, 4):.1f}" rx="2"><title>{_safe(shade.says)}</title>'
                "</rect>\n"
            )

    def _window_names(self) -> Iterator[str]:
        taken: set[float] = set()
        for shade in self._chart.shades:
            if shade.kind is ShadeKind.WINDOW:
                y = self._span(shade)[0] + 15
                while y in taken:
                    y += 14
                taken.add(y)
                yield _text(self._width - 16, y, shade.says, "small end cancel")

    def _row(self, at: int, row: ChartRow) -> Iterator[str]:
        y = self._tops[at]
        if row.is_break:
            middle = y + _BREAK / 2 + 2
            end = self._width - _MARGIN
            yield f'<path class="break" d="M{_MARGIN:g} {middle:.1f} H{end:.1f}"/>\n'
            yield _text(self._width / 2, middle + 4, row.says, "small middle")
            return
        cause = f' data-cause="{row.cause}"' if row.cause else ""
        yield f'<g class="row" data-turn="{row.first}" data-last="{row.last}"{cause}>\n'
        yield f"<title>{_safe(self._about(row))}</title>\n"
        yield _text(_MARGIN + 44, y + 25, row.turns, "turn small")
        after = offset(row.time_ns - self._chart.zero_ns)
        yield _text(_GUTTER - 14, y + 25, after, "time small")
        line_y = y
        for arrow in row.arrows:
            if arrow.is_onward:
                yield self._line(arrow, line_y, row.depth)
                continue
            line_y = y + 21
            yield from self._arrow(row, arrow, line_y)
            y += _height(row, arrow)
        yield "</g>\n"

    def _about(self, row: ChartRow) -> str:
        """Return what a pointer over a row is told: when, because of what, and what was clipped."""
        cause = f", because of turn {row.cause}" if row.cause else ""
        says = [" ".join(filter(None, (each.says, each.detail))) for each in _told(row)]
        return f"turn {row.turns}, {self._clock.moment(row.time_ns)}{cause}: {'; '.join(says)}"

    def _arrow(self, row: ChartRow, arrow: Arrow, y: float) -> Iterator[str]:
        label, detail = _label(row, arrow), _detail(row, arrow)
        start, end = self._x[arrow.source], self._x[arrow.target]
        look = str(arrow.look)
        if start == end:
            shape = _cross(start, y, look) if _is_crossed(arrow) else (
                f'<circle class="{look}" cx="{start:.1f}" cy="{y:.1f}" r="4.5"/>\n'
            )  # fmt: skip
            yield shape
            yield _text(start + 13, y + 4.5, label, look)
            if detail:
                yield _text(start + 13, y + 4.5 + _DETAIL, detail, "small")
            return
        yield self._line(arrow, y, row.depth)
        # In the first gap that it crosses, or else over all of them: posts are no paper.
        towards = arrow.source + (1 if end > start else -1)
        room = self._x[towards] if _wide(label) + 16 <= abs(self._x[towards] - start) else end
        fits = _wide(label) + 16 <= abs(room - start)
        x, anchor = ((start + room) / 2, " middle") if fits else (min(start, end) + 14, " over")
        yield _text(x, y - 6, label, look + anchor)
        if detail:
            shown = clip(detail, max(int(abs(room - start) / (_SMALL * _LETTER)), 12))
            yield _text(x, y + 12.5, shown, "small" + anchor)

    def _line(self, arrow: Arrow, y: float, depth: int) -> str:
        start, end = self._x[arrow.source], self._x[arrow.target]
        way = 1 if end > start else -1
        look = str(arrow.look) if not arrow.is_onward else f"{arrow.look} onward"
        begin = start + way * (_BAR / 2 if depth else 0)
        if _is_crossed(arrow) and not arrow.is_onward:
            stop = end - way * 15
            path = f'<path class="{look}" d="M{begin:.1f} {y:.1f} H{stop - way * 5:.1f}"/>\n'
            return path + _cross(stop, y, look)
        tip = end - way * 6
        wings = " ".join(f"{tip - way * 9:.1f},{y + side:.1f}" for side in (-4.5, 4.5))
        return (
            f'<path class="{look}" d="M{begin:.1f} {y:.1f} H{tip - way * 7:.1f}"/>\n'
            f'<polygon class="{look}" points="{tip:.1f},{y:.1f} {wings}"/>\n'
        )


def _is_crossed(arrow: Arrow) -> bool:
    return arrow.look in (ArrowLook.REFUSED, ArrowLook.LOST)


def _told(row: ChartRow) -> list[Arrow]:
    return [arrow for arrow in row.arrows if not arrow.is_onward]


def _leftmost(arrow: Arrow) -> int:
    return min(arrow.source, arrow.target)


def _height(row: ChartRow, arrow: Arrow) -> float:
    return _ROW + (_DETAIL if _detail(row, arrow) else 0.0)


def _label(row: ChartRow, arrow: Arrow) -> str:
    many = f" ({counted(row.count, 'turn')})" if row.count > 1 and arrow is row.arrows[0] else ""
    return clip(arrow.says, _LABEL_MAX - len(many)) + many


def _detail(row: ChartRow, arrow: Arrow) -> str:
    parts = [arrow.detail] if arrow.detail else []
    if row.caller and arrow is row.arrows[0]:
        parts.append(row.caller)
    return clip(", ".join(parts), _LABEL_MAX)


def _wide(text: str, size: float = _TEXT) -> float:
    return len(plain(text)) * size * _LETTER


def _cross(x: float, y: float, look: str) -> str:
    return f'<path class="{look} cross" d="M{x - 5:.1f} {y - 5:.1f} l10 10 m0 -10 l-10 10"/>\n'


def _text(x: float, y: float, words: str, look: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}">{_safe(words)}</text>\n'


def _safe(words: str) -> str:
    """Return words in which nothing is markup, and no character that XML forbids."""
    return escape(plain(words))


def _style(colours: dict[str, str]) -> str:
    return "".join(
        f".rescind-chart {where} {{ {rule.format(**colours)} }}\n" for where, rule in _RULES.items()
    )
