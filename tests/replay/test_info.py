"""A log at a glance."""

import pytest

from rescind.events import read
from rescind.replay import info
from rescind.replay._info import info_json, info_lines
from rescind.replay._text import MARGIN, as_text

from .recording import Recording, everything, incident, save


@pytest.fixture
def log(tmp_path):
    return save(everything().turns, tmp_path / "a.log")


def test_the_overview_counts_requests_by_their_code(log):
    overview = info(read(log))
    assert dict(overview.codes) == {
        "-16005 REQUEST_CANCELED": 9, "ok": 7, "-16009 NOT_CONNECTED": 1, "-36003 TACCESS": 1,
    }  # fmt: skip
    assert dict(overview.classes) == {"shop.Endpoint": 1}


def test_the_screen_names_the_endpoint_and_what_it_speaks_to(log):
    text = as_text(info_lines(info(read(log)), "a.log"))
    assert "a1 newton guide (tcp 127.0.0.1:4000), closed: disposed" in text
    assert "58 (1..58) in 1 epoch" in text
    assert max(map(len, text.splitlines())) <= MARGIN


def test_an_open_endpoint_says_its_state(tmp_path):
    text = as_text(info_lines(info(read(save(incident().turns, tmp_path / "b"))), "b"))
    assert "state kDataXfer, 0 requests not at rest" in text


def test_the_document_counts_the_same(log):
    document = info_json(info(read(log)))
    assert document["turns"] == 58
    assert document["requests"]["ended"]["ok"] == 7
    assert document["endpoints"][0]["state_name"] == "kDataXfer"
    assert document["whole"] is True


def test_an_empty_log_has_an_overview(tmp_path):
    text = as_text(info_lines(info(read(save([], tmp_path / "c"))), "c"))
    assert "turns       none" in text


def test_many_endpoints_are_folded(tmp_path):
    r = Recording()
    for _ in range(14):
        r.open()
    text = as_text(info_lines(info(read(save(r.turns, tmp_path / "d"))), "d"))
    assert "and 4 more" in text
