"""What a page tells of the application's own actors: the same as `rescind state --classes`."""

import pytest
from click.testing import CliRunner

from rescind import Actor, Runtime, Stepped, event, message
from rescind.events import read
from rescind.replay._html import html as _html
from rescind.replay._html import own as _html_own
from rescind.replay._html.html import html_of
from rescind.replay._html.own import VALUE_MAX
from rescind.replay._state.classes import OwnStates
from rescind.replay._state.state import Look
from rescind.replay._words.text import clip, plain, value_text
from rescind.replay._world.timeline import Timeline
from rescind.replay.cli import cli

from .chromium import Chromium, chromium_here
from .hostile import HOSTILE
from .plot import OFTEN
from .test_html import Elements, held, text_of, texts_in
from .test_html_in_browser import check_quiet

PROGRAM = chromium_here()
WORDS = HOSTILE.encode(errors="replace").decode()  # half a surrogate pair is in no log


@message
class Put:
    name: str


@event
class Kept:
    name: str


class Shelf(Actor):
    """Keeps names; one of its attributes comes and goes."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.names: list[str] = []

    def on_put(self, m: Put) -> None:
        self.record(Kept(m.name))

    def apply_kept(self, e: Kept) -> None:
        self.names.append(e.name)
        if len(self.names) % 3:
            self.latest = e.name
        else:
            del self.latest


def recorded(path, names):
    """Return a reader of a log of two processes with one shelf, and the shelf's number."""
    number = 0
    for life in range(2):
        stepped = Stepped()
        runtime = Runtime.open(path, dispatcher=stepped, classes=[Shelf], end_others=True)
        runtime.log.keyframes_from(runtime.entries, OFTEN)
        shelf = runtime.refs(Shelf)[0] if life else runtime.start(Shelf, "a shelf")
        number = shelf.number
        for name in names:
            shelf.tell(Put(name))
            stepped.run()
        runtime.close()
    return read(path), number


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("own") / "log", [f"item {n}" for n in range(40)])


def page_of(reader, **options):
    return html_of(reader, history=OwnStates(reader, [Shelf, Kept]).history, **options)


def own_behind(page, turn, actor):
    """Return what an actor holds behind a turn: the page's own fold."""
    head, rows = held(page)
    numbers = [number for _, number, *_ in head["things"]]
    fields = dict(next((told for thing, told in head["own"] if numbers[thing] == actor), []))
    for row in rows:
        if row[0] <= turn and numbers[row[3]] == actor:
            fields |= dict(row[15])
    return {name: text for name, text in fields.items() if text is not None}


def true_behind(reader, turn, actor):
    look = Look(Timeline(reader).at(turn), reader, OwnStates(reader, [Shelf, Kept]).behind)
    found = look.one(actor)
    assert found is not None
    return {
        name: clip(value_text(value, VALUE_MAX), VALUE_MAX)
        for name, value in found.state["own"].items()
    }


@pytest.mark.parametrize("options", [{}, {"first": 20}, {"first": 70, "last": 90}], ids=str)
def test_a_page_holds_behind_each_turn_what_the_state_command_shows(log, options):
    reader, shelf = log
    page = page_of(reader, **options)
    assert page.notes == ()
    for turn in range(max(page.first, 2), page.last, 7):
        assert own_behind(page, turn, shelf) == true_behind(reader, turn, shelf), turn


def test_turns_that_give_way_leave_what_they_did(log, monkeypatch):
    reader, shelf = log
    monkeypatch.setattr(_html, "ROWS_CHARS_MAX", 3_000)
    page = page_of(reader)
    assert page.first > 30
    for turn in range(page.first, page.last, 3):
        assert own_behind(page, turn, shelf) == true_behind(reader, turn, shelf), turn


def test_without_classes_a_page_says_nothing_of_them_and_loads_none(log):
    head, rows = held(html_of(log[0]))
    assert head["own"] == []
    assert {tuple(row[15]) for row in rows} == {()}


def test_a_state_that_cannot_be_rebuilt_is_named_and_the_page_is_made(log, monkeypatch):
    def fails(self, event):
        raise ValueError("not today")

    monkeypatch.setattr(Shelf, "apply_kept", fails)
    (note,) = page_of(log[0]).notes
    assert note.startswith(f"The state of a{log[1]} is not known: ")
    assert "not today" in note


def test_of_so_many_actors_and_no_more_their_states_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(_html_own, "ACTORS_MAX", 2)
    stepped = Stepped()
    with Runtime.open(tmp_path / "log", dispatcher=stepped) as runtime:
        for number in range(3):
            runtime.start(Shelf, f"shelf {number}")
            stepped.run()
    page = page_of(read(tmp_path / "log"))
    assert sum(bool(row[15]) for row in held(page)[1]) == 2
    assert page.notes == ("Of 2 actors their own states are told, and of no further ones.",)


def test_the_command_takes_modules_for_a_page_alone(log, tmp_path):
    out = tmp_path / "page.html"

    def export(form, *more):
        arguments = [str(log[0].path), "--to", form, "--out", str(out), *more]
        return CliRunner().invoke(cli, ["export", *arguments])

    assert export("html", "--classes", __name__).exit_code == 0
    assert "item 39" in out.read_text(encoding="utf-8")
    assert "--classes is for html" in str(export("jsonl", "--classes", __name__).exception)
    assert "no.such.module" in str(export("html", "--classes", "no.such.module").exception)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    reader, shelf = recorded(tmp_path_factory.mktemp("hostile") / "log", [WORDS, "friendly"])
    return page_of(reader), shelf


def test_hostile_values_are_plain_and_add_no_element(hostile_page, log):
    page, shelf = hostile_page
    assert "</script>" in own_behind(page, page.last, shelf)["names"]
    assert all(text == plain(text) for text in texts_in(list(held(page))))
    tags = [tag for tag, _ in Elements(text_of(page)).elements]
    assert tags == [tag for tag, _ in Elements(text_of(page_of(log[0]))).elements]


# --- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("no Chromium here; Debian's package is `chromium`")
    with Chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        browser.look()
        yield browser


@pytest.mark.timeout(180)
def test_each_turn_shows_what_its_actor_holds_and_what_it_changed(browser, log, tmp_path):
    reader, shelf = log
    page = page_of(reader)
    page.write(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    for turn in range(4, 24):
        browser.eval(f"page.goToNumber('{turn}')")
        browser.frame()
        pairs = browser.eval(
            "[...document.querySelectorAll('#state .own > div')]"
            ".map((row) => [...row.children].map((cell) => cell.textContent))"
        )
        assert dict(pairs) == true_behind(reader, turn, shelf), turn
        changed = next(row[15] for row in held(page)[1] if row[0] == turn)
        shown = browser.text("#state .changes") if changed else ""
        assert all(name in shown for name, _ in changed)
        assert ("→ nothing" in shown) == (["latest", None] in changed)
    check_quiet(browser)


@pytest.mark.timeout(180)
def test_hostile_values_stay_text(browser, hostile_page, tmp_path):
    hostile_page[0].write(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    for _ in range(hostile_page[0].turns):
        browser.press("j")
        assert browser.count("#state script, #state img, #state svg, #state iframe") == 0
    held_there = "JSON.stringify(page.recording.turns.map((turn) => turn.own))"
    assert "</script>" in browser.eval(held_there)
    assert browser.eval("globalThis.hacked") is None
    check_quiet(browser)
