"""Text from a log is shown, never obeyed; times read easily."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import Opaque
from rescind.replay._words.text import (
    Clock,
    clip,
    clip_left,
    duration,
    jsonable,
    line,
    offset,
    place,
    plain,
    site,
    value_text,
)

from .recording import MAIN


@given(st.text())
def test_nothing_that_acts_on_a_terminal_passes(text):
    shown = plain(text)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert plain(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb", "a\\x0db"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("čaj 東京", "čaj 東京"),
    ],
)
def test_controls_are_shown_and_letters_stay(text, shown):
    assert plain(text) == shown
    assert line(text)[0].text == shown


def test_durations_choose_their_unit():
    given = [0, 999, 1_500, 12_345_678, 999_999_999, 1_500_000_000, -2_000_000]
    shown = ["0", "999 ns", "1.5 µs", "12.3 ms", "1 s", "1.5 s", "-2 ms"]
    assert [duration(ns) for ns in given] == shown
    assert offset(2_000_000) == "+2 ms"


def test_a_clock_tells_dates_in_utc_and_virtual_time_from_its_beginning():
    assert Clock(1_790_000_000_123_000_000).date(1_790_000_000_123_000_000) == (
        "2026-09-21 14:13:20.123 UTC"
    )
    assert Clock(500).moment(1_000_000_500) == "1.000000 s"


@pytest.mark.parametrize("time_ns", [-(2**63), 2**63 - 1, 2**80])
def test_an_impossible_time_is_shown_and_does_not_raise(time_ns):
    assert Clock(time_ns).date(time_ns)
    assert Clock(1_790_000_000_000_000_000).date(time_ns)


def test_a_site_keeps_the_end_of_a_long_path():
    assert site(MAIN) == "MainThread  shop/demo.py:88 in stop_everything"
    assert site(None) == "nobody recorded"
    long = type(MAIN)("T", "C:\\app\\" + "x" * 90 + "\\end.py", 7, "f")
    assert place(long).endswith("end.py:7 in f")
    assert len(place(long)) <= 48


def test_clipping_marks_the_cut():
    assert clip("abcdef", 4) == "abc…"
    assert clip_left("abcdef", 4) == "…def"
    assert clip("abc", 3) == "abc"


def test_values_are_spelt_short():
    assert value_text(Opaque("a.B"), 30) == "<a.B, not recorded>"
    assert value_text("x" * 500, 20) == "'xxxxxxxxxxxx'… (500)"
    assert value_text(list(range(1000)), 20) == "<list of 1,000>"
    assert value_text({1: 2}, 20) == "{1: 2}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner),
    )
)
def test_every_payload_becomes_json(value):
    json.dumps(jsonable(value), allow_nan=False)
