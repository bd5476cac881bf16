"""Draw docs/reference/newton-states.svg, the states of a Newton endpoint, from its tables.

The arrows are what `OPERATIONS` and `REMOTE_EVENT_STATE` say.  Only where things stand is said
here: an arrow without a place, or a place without an arrow, is an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rescind.actors.newton._protocol import (
    ANY,
    CONNECTED,
    EVENT_NAMES,
    OPERATIONS,
    REMOTE_EVENT_STATE,
    STATES,
    Operation,
    State,
)

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "newton-states.svg"
WIDTH, HEIGHT = 680, 812
TITLE = "The states of a Newton endpoint"
TEXT, SMALL = 14.0, 12.0
LETTER = 0.6
"""How wide a letter is at most on average, in units of its height."""

Point = tuple[float, float]
Where = tuple[str, str, str]
"""An arrow: from where, to where, and what it says."""


@dataclass(frozen=True)
class Box:
    """A rectangle, by its middle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2

    def overlaps(self, other: "Box", gap: float = 0) -> bool:
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2 + gap
            and abs(self.y - other.y) < (self.height + other.height) / 2 + gap
        )


@dataclass(frozen=True)
class Arrow:
    """A change of the state, and how it is drawn."""

    source: str
    target: str
    label: str = ""
    look: str = "does"
    """``does``: asked for, or succeeded; ``fails``: failed or was cancelled; ``event``: the tool's
    own report."""


@dataclass(frozen=True)
class Label:
    """A line of text, by the left, the middle or the right end of its base."""

    text: str
    x: float
    y: float
    anchor: str = "middle"
    look: str = "label"

    @property
    def box(self) -> Box:
        height = TEXT if self.look in {"label", "name", "event"} else SMALL
        width = len(self.text) * height * LETTER
        shift = {"start": width / 2, "middle": 0.0, "end": -width / 2}[self.anchor]
        return Box(self.x + shift, self.y - height * 0.35, width, height)


# --- what the tables say -------------------------------------------------------------------------

GROUP = "connected"


def node(state: State) -> str:
    return STATES[state]


def passage(operation: Operation) -> str:
    """Return where an operation passes through; kInFlux is drawn once for each that does."""
    assert operation.pending is not None
    name = node(operation.pending)
    return f"{name} of {operation.name}" if operation.pending is State.IN_FLUX else name


def arrows() -> Iterator[Arrow]:
    """Yield every change of the state."""
    yield Arrow(node(State.UNINIT), node(State.UNBND), "Instantiate")
    yield Arrow("any state", node(State.UNINIT), "Dispose, in any state")
    for operation in OPERATIONS.values():
        if operation.done is None or operation.failed is None:
            continue
        sources = (
            [GROUP] if operation.admitted == CONNECTED else map(node, sorted(operation.admitted))
        )
        if operation.pending is None:
            for source in sources:
                yield Arrow(source, node(operation.done), operation.name)
                failed = f"{operation.name} fails"
                yield Arrow(source, node(operation.failed), failed, "fails")
            continue
        for source in sources:
            yield Arrow(source, passage(operation), operation.name)
        yield Arrow(passage(operation), node(operation.done))
        yield Arrow(passage(operation), node(operation.failed), look="fails")
    for event, name in EVENT_NAMES.items():
        targets = {to for (code, _), to in REMOTE_EVENT_STATE.items() if code == event}
        moved = {state for code, state in REMOTE_EVENT_STATE if code == event}
        for target in sorted(targets):
            assert moved == CONNECTED, "an event that not every connection may bring"
            yield Arrow(GROUP, node(target), name, "event")


def stays(state: State) -> list[str]:
    """Return the operations that leave a state alone and are admitted in few, lane by lane."""
    lanes: dict[str, list[str]] = {}
    for row in OPERATIONS.values():
        if row.done is None and state in row.admitted and row.admitted != ANY:
            lanes.setdefault(row.channel, []).append(row.name)
    return [", ".join(names) for names in lanes.values()]


# --- where things stand --------------------------------------------------------------------------

PILL = (92.0, 28.0)
FLUX = "kInFlux of "
NODES = {
    "kUninit": Box(340, 36, 240, 40),
    "kUnbnd": Box(340, 128, 240, 40),
    FLUX + "Bind": Box(266, 212, *PILL),
    FLUX + "UnBind": Box(414, 212, *PILL),
    "kIdle": Box(340, 304, 240, 52),
    "kOutCon": Box(266, 408, 104, 40),
    "kOutLstn": Box(414, 408, 104, 40),
    FLUX + "Disconnect": Box(620, 408, *PILL),
    "kInCon": Box(414, 530, 104, 40),
    "kDataXfer": Box(340, 622, 252, 66),
    "kOutRel": Box(254, 726, 104, 40),
    "kInRel": Box(426, 726, 104, 52),
}
FRAME = Box(340, 631, 440, 318)
GROUP_LABEL = Label(GROUP, 178, 492, "start", "group")

PATHS: dict[Where, tuple[tuple[Point, ...], Label | None]] = {
    ("kUninit", "kUnbnd", "Instantiate"): (
        ((340, 56), (340, 108)),
        Label("Instantiate", 349, 86, "start"),
    ),
    ("any state", "kUninit", "Dispose, in any state"): (
        ((488, 36), (460, 36)),
        Label("Dispose, in any state", 494, 41, "start"),
    ),
    ("kUnbnd", FLUX + "Bind", "Bind"): (
        ((240, 148), (240, 198)),
        Label("Bind", 232, 178, "end"),
    ),
    (FLUX + "Bind", "kIdle", ""): (((266, 226), (266, 278)), None),
    (FLUX + "Bind", "kUnbnd", ""): (((288, 198), (288, 148)), None),
    ("kIdle", FLUX + "UnBind", "UnBind"): (
        ((440, 278), (440, 226)),
        Label("UnBind", 448, 256, "start"),
    ),
    (FLUX + "UnBind", "kUnbnd", ""): (((414, 198), (414, 148)), None),
    (FLUX + "UnBind", "kIdle", ""): (((392, 226), (392, 278)), None),
    ("kIdle", "kOutCon", "Connect"): (
        ((240, 330), (240, 388)),
        Label("Connect", 232, 364, "end"),
    ),
    ("kOutCon", "kIdle", ""): (((288, 388), (288, 330)), None),
    ("kOutCon", "kDataXfer", ""): (((266, 428), (266, 589)), None),
    ("kIdle", "kOutLstn", "Listen"): (
        ((440, 330), (440, 388)),
        Label("Listen", 448, 364, "start"),
    ),
    ("kOutLstn", "kIdle", ""): (((392, 388), (392, 330)), None),
    ("kOutLstn", "kInCon", ""): (((414, 428), (414, 510)), None),
    ("kInCon", "kDataXfer", "Accept"): (
        ((414, 550), (414, 589)),
        Label("Accept", 406, 573, "end"),
    ),
    ("kInCon", "kIdle", "Accept fails"): (
        ((466, 530), (500, 530), (500, 316), (460, 316)),
        Label("Accept fails", 508, 372, "start"),
    ),
    ("kDataXfer", "kOutRel", "Release"): (
        ((240, 655), (240, 706)),
        Label("Release", 232, 685, "end"),
    ),
    ("kInRel", "kOutRel", "Release"): (
        ((374, 726), (306, 726)),
        Label("Release", 340, 718),
    ),
    ("kOutRel", "kDataXfer", ""): (((288, 706), (288, 655)), None),
    ("kOutRel", "kIdle", ""): (((202, 726), (150, 726), (150, 316), (220, 316)), None),
    (GROUP, FLUX + "Disconnect", "Disconnect"): (
        ((560, 530), (604, 530), (604, 422)),
        Label("Disconnect", 596, 454, "end"),
    ),
    (FLUX + "Disconnect", "kIdle", ""): (((620, 394), (620, 292), (460, 292)), None),
    (FLUX + "Disconnect", "kDataXfer", ""): (((642, 422), (642, 622), (466, 622)), None),
    (GROUP, "kIdle", "remote disconnect"): (
        ((120, 530), (60, 530), (60, 292), (220, 292)),
        Label("remote disconnect", 66, 283, "start", "event"),
    ),
    (GROUP, "kInRel", "remote orderly release"): (
        ((426, 790), (426, 752)),
        Label("remote orderly release", 418, 775, "end", "event"),
    ),
}
LEGEND: tuple[tuple[str, str], ...] = (
    ("does", "asked for, or done"),
    ("fails", "failed or cancelled"),
    ("event", "the tool's event"),
)


def drawn() -> list[tuple[Arrow, tuple[Point, ...], Label | None]]:
    """Return each arrow with its place."""
    found = {(arrow.source, arrow.target, arrow.label): arrow for arrow in arrows()}
    assert found.keys() == PATHS.keys(), f"give a place to {found.keys() ^ PATHS.keys()}"
    return [(arrow, *PATHS[where]) for where, arrow in found.items()]


def labels() -> list[Label]:
    """Return all texts but the legend's."""
    texts = [label for _, _, label in drawn() if label is not None]
    for name, box in NODES.items():
        number = next(state for state, constant in STATES.items() if name.startswith(constant))
        lines = [] if name.startswith(FLUX) else stays(State(number))
        top = box.y + 5 - len(lines) * 8
        title = STATES[number]
        texts.append(Label(f"{number} {title}", box.x, top, look="name"))
        texts += [
            Label(line, box.x, top + 17 + 16 * place, look="small")
            for place, line in enumerate(lines)
        ]
    return [*texts, GROUP_LABEL]


# --- the picture ---------------------------------------------------------------------------------

LIGHT = {
    "ground": "#ffffff", "text": "#1f2430", "quiet": "#5b6472", "line": "#3f4a5a",
    "fails": "#b3421e", "event": "#5b3fa8", "box": "#eef3fb", "frame": "#9aa7b8",
}  # fmt: skip
DARK = {
    "ground": "#1e2129", "text": "#e6e9ef", "quiet": "#a3adbd", "line": "#c2cad6",
    "fails": "#ff9b73", "event": "#c3adff", "box": "#2c3342", "frame": "#66728a",
}  # fmt: skip
LOOKS = {
    ".ground": "fill: {ground}",
    "text": f"font-family: system-ui, sans-serif; font-size: {TEXT:g}px; fill: {{text}}",
    "text.name": "font-weight: 600",
    "text.small": f"font-size: {SMALL:g}px; fill: {{quiet}}",
    "text.group": f"font-size: {SMALL:g}px; fill: {{quiet}}; font-style: italic",
    "text.event": "fill: {event}",
    ".box": "fill: {box}; stroke: {line}; stroke-width: 1.5",
    ".frame": "fill: none; stroke: {frame}; stroke-width: 1.5",
    "path": "fill: none; stroke: {line}; stroke-width: 1.5",
    "path.fails": "stroke: {fails}; stroke-dasharray: 5 4",
    "path.event": "stroke: {event}; stroke-dasharray: 1.5 3.5; stroke-width: 2",
    ".head": "fill: {line}",
    ".head.fails": "fill: {fails}",
    ".head.event": "fill: {event}",
}


def style(colours: dict[str, str]) -> str:
    return "".join(f"{where} {{ {look.format(**colours)} }}\n" for where, look in LOOKS.items())


def rectangle(box: Box, look: str, radius: float = 7) -> str:
    return (
        f'<rect class="{look}" x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="{radius:g}"/>\n'
    )


def line(points: tuple[Point, ...], look: str) -> str:
    """Return an arrow with its head; the line ends inside the head."""
    (x, y), (from_x, from_y) = points[-1], points[-2]
    dx, dy = sign(x - from_x), sign(y - from_y)
    way = [*points[:-1], (x - 6 * dx, y - 6 * dy)]
    drawn_way = "M" + " L".join(f"{a:g} {b:g}" for a, b in way)
    wings = [(x - 9 * dx + 4.5 * side * dy, y - 9 * dy + 4.5 * side * dx) for side in (-1, 1)]
    head = " ".join(f"{a:g},{b:g}" for a, b in [(x, y), *wings])
    return (
        f'<path class="{look}" d="{drawn_way}"/>\n<polygon class="head {look}" points="{head}"/>\n'
    )


def sign(number: float) -> int:
    return (number > 0) - (number < 0)


def text(label: Label) -> str:
    return (
        f'<text class="{label.look}" x="{label.x:g}" y="{label.y:g}" '
        f'text-anchor="{label.anchor}">{escape(label.text, quote=False)}</text>\n'
    )


def legend_labels() -> list[Label]:
    return [Label(says, 56, 30 + 22 * at, "start", "small") for at, (_, says) in enumerate(LEGEND)]


def legend() -> str:
    return "".join(
        line(((14, label.y - 4), (48, label.y - 4)), look) + text(label)
        for (look, _), label in zip(LEGEND, legend_labels(), strict=True)
    )


def picture() -> str:
    """Return the whole picture."""
    light, dark = style(LIGHT), style(DARK)
    said = "; ".join(
        f"{arrow.source} to {arrow.target}{f', {arrow.label}' if arrow.label else ''}"
        for arrow, _, _ in drawn()
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">\n',
        "<!-- Written by `python -m tests.docs.newton_page` from the tables; do not edit. -->\n",
        f"<title>{TITLE}</title>\n<desc>{escape(said, quote=False)}.</desc>\n",
        f"<style>\n{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n</style>\n",
        rectangle(Box(WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT), "ground", 10),
        rectangle(FRAME, "frame", 14),
        *(line(points, arrow.look) for arrow, points, _ in drawn()),
        *(rectangle(box, "box", 14 if name.startswith(FLUX) else 7) for name, box in NODES.items()),
        *map(text, labels()),
        legend(),
        "</svg>\n",
    ]
    return "".join(parts)
