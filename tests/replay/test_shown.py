"""Answers show themselves: at a prompt as text, in a notebook as HTML without any markup."""

from rescind.events import By, CancelEnded
from rescind.replay import sequences, why

from .recording import Recording, incident


def test_a_printed_answer_is_its_screen():
    turns = incident().turns
    [one] = sequences(turns)
    assert str(one).startswith("c9    Cancel on a1 newton endpoint")
    assert "-36003 TACCESS" in str(one)
    assert str(why(turns, "r5")).startswith("r5 Output ended -16005 REQUEST_CANCELED")


def test_a_notebook_shows_the_screen_in_colours():
    [one] = sequences(incident().turns)
    shown = one._repr_html_()
    assert shown.startswith("<pre")
    assert '<span style="color:#1a7f37">holds</span>' in shown


def test_markup_of_a_log_is_text_in_a_notebook():
    r = Recording()
    r.open(driver="<script>alert(1)</script>")
    evil = By("<img src=x onerror=alert(1)>", "/srv/</pre><b>/x.py", 1, "\x1b[31m&fn")
    out = r.call("Output", by=evil)
    cancel = r.cancel([out], by=evil)
    r.kill(cancel, [out])
    r.complete(cancel, r.deliver([out], CancelEnded(cancel, None)))
    [one] = sequences(r.turns)
    for shown in (one._repr_html_(), why(r.turns, f"r{out}")._repr_html_()):
        assert "<script" not in shown
        assert "<img" not in shown
        assert shown.count("</pre>") == 1
        assert "\x1b" not in shown
        assert "&lt;img src=x" in shown
