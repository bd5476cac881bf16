"""The page of the Newton endpoint is current and complete, and its picture can be read."""

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from rescind import newton
from rescind.actors.newton import _codes as codes
from rescind.actors.newton._forms import FORMS
from rescind.actors.newton._guide import METHODS, SLOTS
from rescind.actors.newton._protocol import (
    ANY,
    CANCELLERS,
    EVENT_NAMES,
    OPERATIONS,
    PROFILES,
    REFUSALS,
    REMOTE_EVENT_STATE,
    STATES,
)
from rescind.actors.newton.drivers import __all__ as of_drivers

from . import newton_states
from .newton_page import MADE, PAGE, RUNTIMES_SIDE, page
from .newton_states import DARK, FLUX, HEIGHT, LIGHT, NODES, PICTURE, WIDTH, Box, drawn, picture

COMMAND = "run: python -m tests.docs.newton_page"
TEXT = page()
CELLS = {
    cell.strip().strip("`")
    for line in TEXT.splitlines()
    if line.startswith("|")
    for cell in re.split(r"(?<!\\)\|", line)
}


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == TEXT, COMMAND


def test_the_picture_is_current():
    assert PICTURE.read_text(encoding="utf-8") == picture(), COMMAND


def public(cls: type) -> set[str]:
    return {each for each in vars(cls) if not each.startswith("_")} - RUNTIMES_SIDE


def slots() -> set[str]:
    classes = [value for value in map(newton.__getattr__, newton.__all__) if is_dataclass(value)]
    return {each.name for cls in classes if cls is not newton.Form for each in fields(cls)}


EVERY: dict[str, Any] = {
    "method": public(newton.Endpoint) | public(newton.StreamingEndpoint),
    "method of the guide": {row.guide for row in METHODS.values() if row.guide},
    "slot": slots(),
    "slot of the guide": {row.guide for row in SLOTS.values()},
    "form": FORMS,
    "operation": OPERATIONS,
    "state": STATES.values(),
    "rule": {*REFUSALS, *(each.id for row in PROFILES.values() for each in row.admission.checks)},
    "trigger of a cancel": CANCELLERS,
    "event": EVENT_NAMES.values(),
    "tool": {each for each in of_drivers if each.islower()},
    "option": {label for tool in MADE.values() for label in tool._medium.settings},
    "code": {str(int(code)) for code in codes.Code},
    "constant": {codes.constant(code) or "" for code in codes.Code},
}


@pytest.mark.parametrize("what", EVERY)
def test_every_one_has_its_line(what):
    assert set(EVERY[what]) - CELLS == set()


def test_what_the_runtime_alone_calls_is_still_there():
    assert set(dir(newton.StreamingEndpoint)) >= RUNTIMES_SIDE


def test_tables_keep_their_columns():
    for block in re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


# --- the picture ---------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_shows_every_state_and_all_that_changes_it():
    said = {"".join(each.itertext()) for each in ET.fromstring(picture()).iter(f"{SVG}text")}
    assert said >= {f"{number} {name}" for number, name in STATES.items()}
    assert said >= {row.name for row in OPERATIONS.values() if row.done is not None}
    assert said >= {EVENT_NAMES[event] for event, _ in REMOTE_EVENT_STATE}
    names = " ".join(said)
    assert all(name in names for name, row in OPERATIONS.items() if row.admitted != ANY)


def test_the_picture_needs_nothing_from_elsewhere():
    assert not re.search(r"href|url\(|@import|<script|<image", picture())


def test_an_arrow_without_a_place_is_an_error(monkeypatch):
    some = next(iter(newton_states.PATHS))
    monkeypatch.delitem(newton_states.PATHS, some)
    with pytest.raises(AssertionError, match="give a place"):
        drawn()


def test_arrows_begin_and_end_at_what_they_join():
    things = {**NODES, newton_states.GROUP: newton_states.FRAME}
    for arrow, points, _ in drawn():
        for name, (x, y) in ((arrow.source, points[0]), (arrow.target, points[-1])):
            if name in things:
                box = things[name]
                on_a_side = x in (box.left, box.right) and box.top <= y <= box.bottom
                on_an_end = y in (box.top, box.bottom) and box.left <= x <= box.right
                assert on_a_side or on_an_end, (arrow, name)


def strokes() -> list[tuple[Any, Box]]:
    """Return each straight part of each arrow as a thin box, and the arrow."""
    return [
        (arrow, Box((a + c) / 2, (b + d) / 2, abs(a - c) + 2, abs(b - d) + 2))
        for arrow, points, _ in drawn()
        for (a, b), (c, d) in itertools.pairwise(points)
    ]


def test_no_text_is_crossed_or_covered_or_cut_off():
    labels = [*newton_states.labels(), *newton_states.legend_labels()]
    for label in labels:
        box = label.box
        assert box.left > 0, label
        assert box.right < WIDTH, label
        assert box.top > 0, label
        assert box.bottom < HEIGHT, label
        crossed = [arrow for arrow, stroke in strokes() if stroke.overlaps(box)]
        assert not crossed, label
        for node in NODES.values():
            is_inside = (
                node.left < box.left
                and box.right < node.right
                and node.top < box.top
                and box.bottom < node.bottom
            )
            assert is_inside or not node.overlaps(box), label
    for one, other in itertools.combinations(labels, 2):
        assert not one.box.overlaps(other.box), (one, other)


def test_arrows_pass_by_boxes_and_do_not_run_along_each_other():
    parts = strokes()
    for arrow, stroke in parts:
        for name, box in NODES.items():
            assert name in (arrow.source, arrow.target) or not stroke.overlaps(box), (arrow, name)
    for (one, a), (other, b) in itertools.combinations(parts, 2):
        along = (a.width < 3) == (b.width < 3)
        assert one is other or not (along and a.overlaps(b)), (one, other)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_stand_out_from_their_ground(colours):
    """By the measure of WCAG 2.2: 4.5 for text, 3 for lines."""
    for text, ground in itertools.product(("text", "quiet", "event", "line"), ("ground", "box")):
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        assert (high + 0.05) / (low + 0.05) >= (3 if text == "line" else 4.5), (text, ground)


def test_a_state_of_passage_is_drawn_for_each_operation_that_passes():
    flux = {row.name for row in OPERATIONS.values() if row.pending == newton.State.IN_FLUX}
    assert {name.removeprefix(FLUX) for name in NODES if name.startswith(FLUX)} == flux
