"""A chart as a Mermaid sequence diagram, for pages and reviews that draw Mermaid.

Mermaid's text has no quotes: whatever it could read as its own syntax is written as ``#`` and the
number of the character, which it shows as the character.
"""

from collections.abc import Iterator

from rescind.replay._words.text import count, plain

from .chart import Arrow, ArrowLook, Chart, ChartLane, ChartRow, ChartShade, ShadeKind

_SAFE = frozenset(" .,()_+/'=")
_WINDOW = "rgba(242, 178, 44, 0.15)"
_HEADS: dict[ArrowLook, str] = {
    ArrowLook.REFUSED: "-x",
    ArrowLook.LOST: "--x",
    ArrowLook.QUIET: "-->>",
}
_ARROW = "->>"


def chart_mermaid(chart: Chart) -> str:
    """Return a chart as Mermaid's text."""
    lines = ["sequenceDiagram", f"    title {_safe(chart.title)}"]
    lines += [f"    participant L{at} as {_name(lane)}" for at, lane in enumerate(chart.lanes)]
    for at, row in enumerate(chart.rows):
        lines += (f"    {each}" for each in _opening(chart.shades, at))
        lines += (f"    {each}" for each in _row(row, len(chart.lanes)))
        lines += (f"    {each}" for each in _closing(chart.shades, at))
    lines += [f"    %% {_safe(note)}" for note in chart.notes]
    return "\n".join(lines) + "\n"


def _name(lane: ChartLane) -> str:
    return _safe(lane.title)


def _row(row: ChartRow, lanes: int) -> Iterator[str]:
    if row.is_break:
        ends = "L0" if lanes == 1 else f"L0,L{lanes - 1}"
        yield f"Note over {ends}: {_safe(row.says)}"
        return
    many = f" ({count(row.count, 'turn')})" if row.count > 1 else ""
    for arrow in row.arrows:
        if not arrow.is_onward:
            yield _said(arrow, f"{row.turns} {arrow.says}{many}")
        many = ""


def _said(arrow: Arrow, words: str) -> str:
    if arrow.source == arrow.target:
        return f"Note right of L{arrow.source}: {_safe(words)}"
    head = _HEADS.get(arrow.look, _ARROW)
    return f"L{arrow.source}{head}L{arrow.target}: {_safe(words)}"


def _opening(shades: tuple[ChartShade, ...], at: int) -> Iterator[str]:
    """Begin what is shaded: the window as a coloured block, a script as an active lane.

    Mermaid's blocks nest; a window that overlaps another one is an active lane instead.
    """
    for shade in shades:
        if shade.first == at:
            block = _is_block(shade, shades)
            yield f"rect {_WINDOW}" if block else f"activate L{shade.lane}"


def _closing(shades: tuple[ChartShade, ...], at: int) -> Iterator[str]:
    for shade in sorted(shades, key=lambda each: -each.first):
        if shade.last == at:
            yield "end" if _is_block(shade, shades) else f"deactivate L{shade.lane}"


def _is_block(shade: ChartShade, shades: tuple[ChartShade, ...]) -> bool:
    if shade.kind is not ShadeKind.WINDOW:
        return False
    windows = [each for each in shades if each.kind is ShadeKind.WINDOW]
    return not any(_crosses(shade, other) for other in windows)


def _crosses(one: ChartShade, other: ChartShade) -> bool:
    first, second = sorted((one, other), key=lambda each: (each.first, -each.last))
    return first.first < second.first <= first.last < second.last


def _safe(words: str) -> str:
    """Return words in which Mermaid finds no syntax.

    >>> _safe("r4: -16005; <b>")
    'r4#58; #45;16005#59; #60;b#62;'
    """
    return "".join(each if _is_safe(each) else f"#{ord(each)};" for each in plain(words))


def _is_safe(character: str) -> bool:
    return character in _SAFE or (character.isascii() and character.isalnum())
