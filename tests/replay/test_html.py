"""The page as a file: what it holds of a log, what it leaves out, and that nothing in it acts."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rescind.events import LogFormatError, NotALogError, Origin, Tell, read
from rescind.replay import SelectorError
from rescind.replay._html import html as _html
from rescind.replay._html.html import html_json, html_lines, html_of
from rescind.replay._html.rows import EVENTS_MAX, VALUE_MAX, encode
from rescind.replay._html.standings import LIVE, OVER, OWED
from rescind.replay._words.text import MARGIN, as_text, plain

from .hostile import ALARM, HOSTILE, hostile
from .recording import Recording, everything, incident, save


class Elements(HTMLParser):
    """What a browser's parser makes of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=False)
        self.elements = []
        self.scripts = []
        self.styles = []
        self._into = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._into = self.scripts if tag == "script" else self.styles
            self._into.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._into = None

    def handle_data(self, data):
        if self._into is not None:
            attributes, text = self._into.pop()
            self._into.append((attributes, text + data))


def text_of(page):
    return "".join(page.parts)


def held(page):
    """Return what a page holds of its log: head and turns."""
    scripts = {attributes.get("id"): text for attributes, text in Elements(text_of(page)).scripts}
    return json.loads(scripts["recording"]), json.loads(scripts["turns"])


def texts_in(document):
    match document:
        case str():
            yield document
        case dict():
            for key, value in document.items():
                yield key
                yield from texts_in(value)
        case list():
            for value in document:
                yield from texts_in(value)
        case _:
            pass


def standings(page, turn=None):
    """Return how everybody stands behind a turn, or at the end: the page's own fold."""
    head, rows = held(page)
    found = {}
    changes = [change for row in rows if turn is None or row[0] <= turn for change in row[12]]
    for thing, phase, text in [*head["initial"], *changes]:
        letter, number, *_ = head["things"][thing]
        found[f"{letter}{number}"] = (phase, text)
    return found


def living(page, turn):
    """Return how those stand behind a turn who have something before them."""
    found = standings(page, turn).items()
    # With how many victims a window opened is known only where the page holds that turn.
    return {name: (phase, text.split(",")[0]) for name, (phase, text) in found if phase != OVER}


def phrases(page):
    """Return each turn's number, its message and its events in words."""
    _, rows = held(page)
    return [(row[0], row[9] and row[9][1], [event[1] for event in row[10]]) for row in rows]


# --- what a page holds ---------------------------------------------------------------------------


def test_a_small_log_is_held_whole():
    turns = incident().turns
    page = html_of(turns)
    head, rows = held(page)
    assert (page.first, page.last, page.turns) == (1, len(turns), len(turns))
    assert [row[0] for row in rows] == [turn.number for turn in turns]
    assert page.notes == ()
    assert [one["selector"] for one in head["sequences"]] == ["c9"]


def test_a_turn_brings_actor_time_cause_caller_and_words():
    head, rows = held(html_of(incident().turns))
    row = rows[10]
    assert head["things"][row[3]][:3] == ["e", 1, "a1 newton endpoint"]
    assert row[2] == "14:13:20.001"
    assert head["origins"][row[4]] == "app"
    assert head["callers"][row[8]][2] == "/srv/app/shop/demo.py:88"
    assert row[9][1] == "Submit Cancel (asynchronous)"
    assert row[10][2][1] == "CancelBegan c9: r3..r8"
    assert rows[11][5] == 11


def test_a_turn_is_found_by_its_codes_and_by_every_number_in_it():
    head, rows = held(html_of(incident().turns))
    codes = dict(head["codes"])
    assert rows[12][14] == [-16005]
    assert codes[-16005].startswith("-16005 ")
    assert rows[10][13] == [1, 1, 3, 9]


def test_standings_follow_every_request_cancel_and_endpoint():
    found = standings(html_of(everything().turns))
    assert found["e1"] == (OVER, "closed: disposed")
    assert found["r4"] == (OVER, "-16005 REQUEST_CANCELED, delivered (script)")
    assert found["r10"] == (OVER, "rejected: -36003 TACCESS")
    assert found["c9"] == (OVER, "ended: ok")


def test_standings_before_the_end_are_those_of_that_turn():
    page = html_of(incident().turns)
    assert standings(page, 11)["c9"] == (LIVE, "window open, 6 victims")
    assert standings(page, 11)["r3"] == (LIVE, "outstanding")
    assert standings(page, 13)["r3"] == (OWED, "-16005 REQUEST_CANCELED, not delivered yet")


@pytest.mark.parametrize("first", range(2, 59, 4))
def test_a_page_that_begins_later_shows_the_same_states(first, tmp_path):
    turns = everything().turns
    log = read(save(turns, tmp_path / "a.log"))
    whole = html_of(turns)
    for part in (html_of(turns, first=first), html_of(log, first=first)):
        assert part.first == first
        for number in range(first, len(turns) + 1):
            assert living(part, number) == living(whole, number), number


def test_a_cancellation_has_its_chart():
    page = html_of(everything().turns)
    ids = [attributes.get("id") for attributes, _ in Elements(text_of(page)).scripts]
    assert page.charts == page.sequences == 4
    assert "chart-c9" in ids


def test_an_empty_log_makes_a_page_that_says_so():
    page = html_of([])
    assert held(page)[1] == []
    assert (page.first, page.last, page.turns) == (0, 0, 0)


LOGS = Path(__file__).parents[1] / "corpus"
CORPUS = sorted(path for path in LOGS.iterdir() if (path / "expected.json").exists())


@pytest.mark.parametrize("log", CORPUS, ids=lambda path: path.name)
def test_a_log_in_any_state_makes_a_page_that_says_what_is_not_whole(log):
    try:
        reader = read(log)
    except (LogFormatError, NotALogError):
        return  # no log that this program can read: the command says so
    page = html_of(reader)
    head, rows = held(page)
    assert [row[0] for row in rows] == [turn.number for turn in reader]
    assert len(head["damage"]) == len(page.damage)
    assert all(text.startswith(("Damaged: ", "Unfinished: ")) for text in head["damage"])


# --- what it leaves out --------------------------------------------------------------------------


def test_of_a_long_log_the_newest_turns_are_held_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(_html, "TURNS_MAX", 20)
    page = html_of(everything().turns)
    assert page.turns == 20
    assert page.last == page.log_last
    assert "part" in page.notes[0]
    assert "--until" in page.notes[0]
    assert held(page)[0]["notes"] == list(page.notes)


def test_who_names_a_first_turn_gets_what_comes_then(monkeypatch):
    monkeypatch.setattr(_html, "TURNS_MAX", 10)
    page = html_of(everything().turns, first=5)
    assert (page.first, page.last) == (5, 14)
    assert page.notes


def test_turns_that_need_too_much_room_give_way_to_newer_ones(monkeypatch):
    turns = incident().turns
    whole = html_of(turns)
    monkeypatch.setattr(_html, "ROWS_CHARS_MAX", 3_000)
    page = html_of(turns)
    assert page.last == len(turns)
    assert page.first > 1
    assert page.notes
    for number in range(page.first, page.last + 1):
        assert living(page, number) == living(whole, number)


def test_a_selector_chooses_the_turns_of_its_story_and_what_to_open(monkeypatch):
    monkeypatch.setattr(_html, "AROUND", 1)
    page = html_of(everything().turns, of="c9")
    head, rows = held(page)
    assert head["focus"] == {"turn": 11, "about": "c9", "cancel": 9, "chart": "c9"}
    assert rows[0][0] == 4, "one before the submission of its first victim"
    assert page.last < page.log_last


def test_a_turn_is_opened_with_its_causes(monkeypatch):
    monkeypatch.setattr(_html, "AROUND", 2)
    page = html_of(incident().turns, of="13")
    assert held(page)[0]["focus"]["turn"] == 13
    assert page.first <= 11


def test_an_unknown_selector_and_an_empty_range_are_refused():
    with pytest.raises(SelectorError):
        html_of(incident().turns, of="r999")
    with pytest.raises(SelectorError, match="the log holds"):
        html_of(incident().turns, first=900)


def test_long_lists_of_a_cancellation_are_cut_and_counted(monkeypatch):
    monkeypatch.setattr(_html, "MEMBERS_MAX", 2)
    (one,) = held(html_of(incident().turns))[0]["sequences"]
    assert len(one["victims"]) == 2
    assert one["counts"] == [6, 1, 1]


def test_a_log_on_disk_gives_the_same_turns(tmp_path):
    turns = everything().turns
    on_disk = html_of(read(save(turns, tmp_path / "a.log")))
    assert phrases(on_disk) == phrases(html_of(turns))
    assert standings(on_disk) == standings(html_of(turns))


@pytest.mark.skipif(not shutil.which("node"), reason="no node here to check the script's syntax")
@pytest.mark.parametrize("name", _html._SCRIPTS)
def test_a_script_is_well_formed(name, tmp_path):
    script = tmp_path / name
    script.write_text("'use strict';\n" + _html._asset(name), encoding="utf-8")
    subprocess.run(["node", "--check", str(script)], check=True)


# --- nothing in it acts --------------------------------------------------------------------------


def policy_of(parsed):
    (policy,) = [
        attributes["content"]
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("recording", [incident, hostile], ids=lambda one: one.__name__)
def test_the_policy_admits_the_page_s_own_script_and_styles_alone(recording):
    parsed = Elements(text_of(html_of(recording().turns)))
    policy = policy_of(parsed)
    code = [text for attributes, text in parsed.scripts if "type" not in attributes]
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == hashed(code[0])
    assert len(code) == 1
    assert hashed(parsed.styles[0][1]) in policy["style-src"]
    assert "unsafe" not in json.dumps(policy)


def test_the_page_names_nothing_to_load():
    text = text_of(html_of(incident().turns))
    for _, attributes in Elements(text).elements:
        assert not attributes.keys() & {"src", "href", "srcset", "style", "action"}
        assert not [name for name in attributes if name.startswith("on")]
    assets = "".join(_html._asset(name) for name in ("page.html", "page.css", *_html._SCRIPTS))
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", assets)


def test_hostile_words_add_no_element():
    friendly, attacked = (Elements(text_of(html_of(r().turns))) for r in (incident, hostile))

    def tags(parsed):
        return [tag for tag, attributes in parsed.elements if "id" not in attributes]

    assert tags(attacked) == tags(friendly)
    assert ALARM not in re.sub(
        r"<script type=.*?</script>", "", "".join(html_of(hostile().turns).parts), flags=re.DOTALL
    )


def test_every_hostile_word_is_there_and_is_plain():
    page = html_of(hostile().turns, name=HOSTILE)
    head, rows = held(page)
    texts = list(texts_in([head, rows]))
    assert all(text == plain(text) for text in texts)
    assert any("</script><script>" in text for text in texts)
    assert any("\\u202eabc" in text for text in texts)
    assert any("__proto__" in text for text in texts)
    assert max(map(len, texts)) <= 300


def test_data_is_ascii_and_no_part_of_it_is_markup():
    encoded = encode({"a": "</script>&\u2028\u2029\ud800\0"})
    assert encoded.isascii()
    assert not set("<>&") & set(encoded)
    assert json.loads(encoded) == {"a": "</script>&\u2028\u2029\ud800\0"}


def test_a_huge_value_and_many_events_are_cut():
    page = html_of(hostile().turns)
    _, rows = held(page)
    assert page.size < 1_000_000
    assert max(len(text) for text in texts_in(rows)) <= max(VALUE_MAX, 200)
    crowded = rows[-1]
    assert (len(crowded[10]), crowded[11]) == (EVENTS_MAX, 301 - EVENTS_MAX)


def test_memory_is_bounded_by_the_page_and_not_by_the_values_of_the_log():
    recording = Recording()
    recording.open()
    for _ in range(5):
        recording.turn(1, Origin.APP, None, Tell("x"))
    huge = "\0" * 5_000_000
    turns = (replace(turn, message=Tell([huge])) for turn in recording.turns)
    tracemalloc.start()
    html_of(list(turns))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000


# --- screen and JSON -----------------------------------------------------------------------------


def test_the_screen_says_what_the_page_holds(monkeypatch):
    monkeypatch.setattr(_html, "TURNS_MAX", 20)
    page = html_of(everything().turns)
    screen = as_text(html_lines(page, "page.html"))
    assert f"turns {page.first}..58, of 1..58" in screen
    assert "This is a part" in screen
    assert max(map(len, screen.splitlines())) <= MARGIN


def test_the_json_says_the_same():
    page = html_of(everything().turns)
    told = html_json(page)
    assert (told["first"], told["last"], told["turns"]) == (1, 58, 58)
    json.dumps(told)
