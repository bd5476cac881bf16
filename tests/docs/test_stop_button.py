"""The picture of a chart in the docs is the program's own."""

from rescind.replay._chart.screen import chart_lines
from rescind.replay._words.text import as_text

from .stop_button import PICTURE, chart, picture


def test_the_picture_is_current():
    assert PICTURE.read_text(encoding="utf-8") == picture(), (
        "run `python -m tests.docs.stop_button`, and look at the picture"
    )


def test_the_picture_shows_what_the_page_says_of_it():
    shown = as_text(chart_lines(chart(), 100))
    assert "20..23" in shown
    assert "c10 too late at r5" in shown
    assert "r11 refused: -36003 TACCESS" in shown
    assert [row.first for row in chart().rows if row.depth] == [25]
