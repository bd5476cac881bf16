"""The page as a person meets it: opened from disk in a real browser, without a network."""

import json

import pytest

from rescind.replay._html.html import html_of

from .chromium import Chromium, chromium_here
from .hostile import HOSTILE, hostile
from .recording import everything

PROGRAM = chromium_here()
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium here; Debian's package is `chromium`"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert PROGRAM is not None
    with Chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        browser.look()
        yield browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, page in (
        ("everything", html_of(everything().turns, name="shop.log")),
        ("of", html_of(everything().turns, of="c9", name="shop.log")),
        ("cone", html_of(everything().turns, of="r4", name="shop.log")),
        ("part", html_of(everything().turns, first=20, name="shop.log")),
        ("hostile", html_of(hostile().turns, name=HOSTILE)),
        ("empty", html_of([], name="empty.log")),
    ):
        made[name] = folder / f"{name}.html"
        made[name].write_text("".join(page.parts), encoding="utf-8")
    return made


@pytest.fixture
def page(browser, pages):
    """The page of everything, freshly opened; at its end nothing was complained of or loaded."""
    browser.open(pages["everything"])
    yield browser
    check_quiet(browser)


def check_quiet(browser):
    browser.frame()
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith(("file:", "about:"))] == []
    assert len([url for url in browser.requests if url.startswith("file:")]) <= 1


def shown_turns(page):
    return page.eval("page.list.turns.map((turn) => turn.number)")


def current(page):
    assert page.text("#turn h2").split()[1] == str(page.eval("page.current.number"))
    return page.eval("page.current.number")


def test_it_opens_with_turns_cancellations_and_state(page):
    assert page.text("#log") == "shop.log"
    assert page.text("#span").startswith("all 58 turns")
    assert page.count("#cards .card") == 4
    assert page.count(".row") > 10
    assert "State" in page.text("#state")


def test_search_narrows_as_one_types_and_marks_what_it_found(page):
    page.press("/")
    page.type("kill")
    assert shown_turns(page) == [12, 31, 41, 50]
    assert page.text("#matches") == "4 of 58 turns"
    assert page.text("mark").lower() == "kill"
    page.type("ed zzz")
    assert shown_turns(page) == []
    assert page.text("#nothing") == "No turn fits."
    page.press("Escape", "Escape")
    assert len(shown_turns(page)) == 58


def choose(page, control, value):
    page.eval(
        f"(() => {{ const control = document.querySelector({json.dumps(control)});"
        f" control.value = {json.dumps(value)};"
        " control.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    page.frame()


@pytest.mark.parametrize(
    ("control", "value", "expected"),
    [
        ("#by-kind", "CancelBegan", [11, 30, 40, 49]),
        ("#by-origin", "timer", [39]),
        ("#by-code", "-36003", [20]),
        ("#by-actor", "r4 ", [14]),
        ("#by-about", "r4", [6, 11, 14, 19, 21]),
        ("#by-about", "c9", [11, 12, 13, 14, 15, 16, 17, 18, 22, 23, 24]),
    ],
)
def test_a_filter_leaves_the_turns_that_fit(page, control, value, expected):
    choose(page, control, value)
    assert shown_turns(page) == expected
    page.click("#clear")
    assert len(shown_turns(page)) == 58


def test_what_is_no_name_filters_nothing_and_is_marked(page):
    choose(page, "#by-about", "rubbish")
    assert len(shown_turns(page)) == 58
    assert page.count("#by-about[aria-invalid=true]") == 1


def test_a_name_in_a_turn_leads_to_what_has_to_do_with_it(page):
    page.press("Home")
    page.eval("page.go(page.recording.byNumber.get(14))")
    page.frame()
    page.click("#turn .name")
    assert shown_turns(page) == [6, 11, 14, 19, 21]


def test_keys_step_forwards_and_backwards_through_turns_and_state(page):
    page.press("Home")
    assert current(page) == 1
    page.press("j", "j", "ArrowDown")
    assert current(page) == 4
    page.press("k", "ArrowUp")
    assert current(page) == 2
    page.press("End")
    assert current(page) == 58
    page.press("Home", "PageDown")
    assert 1 < current(page) < 58


def test_state_is_that_of_the_turn_in_either_direction(page):
    page.press("g")
    page.type("10")
    page.press("Enter")
    assert current(page) == 10
    before = page.text("#state")
    assert "c9 Cancel" not in before
    page.press("j")
    at_cancel = page.text("#state")
    assert "window open, 6 victims" in at_cancel
    page.press("j", "j")
    assert "not delivered yet" in page.text("#state")
    page.press("k", "k")
    assert page.text("#state") == at_cancel
    page.press("k")
    assert page.text("#state") == before


def test_every_state_is_the_fold_of_the_changes_up_to_its_turn(page):
    """Held against a plain fold, at every turn."""
    assert page.eval("""(() => {
        const fold = new Map();
        return page.recording.turns.every((turn) => {
            for (const { thing, phase, text } of turn.changes) fold.set(thing, `${phase} ${text}`);
            const seen = new Map(page.recording.stateAt(turn.index)
                .map(({ thing, phase, text }) => [thing, `${phase} ${text}`]));
            return [...fold].every(([thing, told]) => (
                seen.has(thing) ? seen.get(thing) === told : told.startsWith('2 ')));
        });
    })()""")


def test_a_cause_leads_there_and_b_leads_back(page):
    page.press("g")
    page.type("13")
    page.press("Enter")
    page.press("c")
    assert current(page) == 12
    page.press("c")
    assert current(page) == 11
    page.press("b", "b")
    assert current(page) == 13


def test_a_card_opens_its_story_and_its_chart(page):
    page.click(".card[data-cancel='9']")
    assert current(page) == 11
    assert "Victims: 6" in page.text("#story")
    assert "-36003" in page.text("#story")
    page.press("3")
    assert page.count("#chart svg") == 1
    assert page.count("#chart .here") == 1
    rule = "getComputedStyle(document.querySelector('#chart svg path.cancel')).stroke"
    assert page.eval(rule) != "none", "the chart's own style was admitted"
    page.press("j")
    here = page.eval("document.querySelector('#chart .here').dataset.turn")
    assert here == "12"
    page.press("Escape")
    assert page.eval("document.querySelector('#chart').hidden")


def test_a_turn_in_the_chart_leads_there(page):
    page.click(".card[data-cancel='9']")
    page.press("3")
    page.eval("document.querySelector('#chart [data-turn=\"20\"] text')"
              ".dispatchEvent(new MouseEvent('click', { bubbles: true }))")  # fmt: skip
    page.frame()
    assert current(page) == 20


def test_n_and_p_go_through_the_cancellations(page):
    page.press("Home", "n")
    assert current(page) == 11
    page.press("n")
    assert current(page) == 30
    page.press("p")
    assert current(page) == 11


def test_the_help_names_the_keys_and_closes(page):
    page.press("?")
    assert "go to a turn" in page.text("#help")
    page.press("Escape")
    assert page.count("dialog[open]") == 0


def test_an_address_with_a_number_opens_at_that_turn(browser, pages):
    browser.open(pages["everything"], "#33")
    assert current(browser) == 33
    check_quiet(browser)


def test_a_page_about_something_opens_with_it(browser, pages):
    browser.open(pages["of"])
    assert browser.eval("document.querySelector('#by-about').value") == "c9"
    assert "c9 Cancel" in browser.text("#story h2")
    check_quiet(browser)


def test_a_page_about_a_request_has_the_chart_of_its_causal_cone(browser, pages):
    browser.open(pages["cone"])
    assert shown_turns(browser) == [6, 11, 14, 19, 21]
    browser.press("3")
    assert browser.count("#chart svg") == 1
    assert browser.count("#chart [data-turn='6']") == 1
    check_quiet(browser)


def test_a_part_of_a_log_says_what_lies_outside(browser, pages):
    browser.open(pages["part"])
    assert "turns 20 to 58 of 58" in browser.text("#span")
    browser.press("Home")
    assert "away" in browser.eval("document.querySelector('#turn').innerHTML")
    check_quiet(browser)


def test_an_empty_log_says_so(browser, pages):
    browser.open(pages["empty"])
    assert browser.text("#span") == "no turns"
    browser.press("j", "g", "Escape", "/", "n")
    check_quiet(browser)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_hostile_text_stays_text(browser, pages, dark):
    browser.look(dark=dark)
    browser.open(pages["hostile"])
    elements = browser.count("body *")
    browser.press("Home")
    for _ in range(browser.eval("page.recording.turns.length")):
        browser.press("j")
        assert browser.count("#turn script, #turn img, #turn b:not(:empty) svg") == 0
    browser.press("Home", "n", "2", "3")
    assert browser.count("main script, main img, main iframe, main a") == 0
    assert browser.count("#chart svg") == 1
    assert browser.eval("globalThis.hacked") is None
    assert browser.eval("({}).polluted") is None
    assert "</script><script>" in browser.text("#log")
    assert "\\u202eabc" in browser.text("#log")
    assert elements > 0
    browser.look()
    check_quiet(browser)


@pytest.mark.parametrize("name", ["everything", "hostile"])
@pytest.mark.parametrize("width", [390, 700, 900, 1280])
def test_nothing_is_wider_than_the_window(browser, pages, width, name):
    browser.look(width=width, height=800)
    browser.open(pages[name])
    browser.press("Home", "n", "2")
    wide = "[document.documentElement, ...document.querySelectorAll('main > *')]"
    assert browser.eval(f"Math.max(...{wide}.map((each) => each.scrollWidth))") <= width
    browser.look()
    check_quiet(browser)


@pytest.mark.parametrize("pane", ["cancels", "list", "look"])
def test_a_narrow_window_shows_one_pane_at_a_time(browser, pages, pane):
    browser.look(width=500, height=800)
    browser.open(pages["everything"])
    browser.click(f"#panes [data-pane={pane}]")
    panes = "[...document.querySelector('main').children]"
    assert browser.eval(f"{panes}.filter((each) => each.offsetWidth).length") == 1
    assert browser.eval("document.body.dataset.pane") == pane
    browser.look()
    check_quiet(browser)


def test_fifty_thousand_turns_make_no_more_rows_than_a_few(browser, pages, tmp_path):
    recording = everything()
    head, _, tail = pages["everything"].read_text(encoding="utf-8").partition('id="turns">[')
    rows, _, tail = tail.partition("]</script>")
    lines = rows.strip().split(",\n")
    many = []
    for number in range(1, 50_001):
        _, rest = lines[(number - 1) % len(lines)].split(",", 1)
        many.append(f"[{number},{rest}")
    target = tmp_path / "many.html"
    target.write_text(f'{head}id="turns">[{",".join(many)}]</script>{tail}', encoding="utf-8")
    browser.open(target)
    assert len(recording.turns) == len(lines)
    assert browser.count(".row") < 60
    browser.press("End")
    assert current(browser) == 50_000
    assert browser.count(".row") < 60
    assert browser.count("#t50000") == 1
    check_quiet(browser)
