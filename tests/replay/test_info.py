"""A log at a glance."""

import pytest

from rescind.events import Entry, Log, read, recover
from rescind.replay import info
from rescind.replay._upkeep.info import info_json, info_lines
from rescind.replay._words.text import MARGIN, as_text

from .recording import Recording, everything, incident, save, spoil


@pytest.fixture
def log(tmp_path):
    return save(everything().turns, tmp_path / "a.log")


def test_the_overview_counts_requests_by_their_code(log):
    overview = info(read(log))
    assert dict(overview.codes) == {
        "-16005 REQUEST_CANCELED": 9, "ok": 5, "abandoned": 2,
        "-16009 NOT_CONNECTED": 1, "-36003 TACCESS": 1,
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
    assert document["requests"]["ended"] == {
        "-16005 REQUEST_CANCELED": 9, "ok": 5, "abandoned": 2,
        "-16009 NOT_CONNECTED": 1, "-36003 TACCESS": 1,
    }  # fmt: skip
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


def screen(log):
    return as_text(info_lines(info(read(log, verify_chain=True)), "a.log"))


def spoil_batch(log, batch):
    spoil(log / f"{batch.segment:08d}.seg", batch.offset + 60)


def test_an_ordinary_log_is_whole_in_one_word_and_nothing_is_said_of_damage(log):
    text = screen(log)
    assert "condition   whole\n" in text
    assert "damage" not in text
    assert "keyframe" not in text


def test_the_whole_head_is_shown_so_that_it_can_be_compared(log):
    reader = read(log, verify_chain=True)
    head = reader.info().chain.hex()
    assert f"chain head  {head}\n" in screen(log)
    assert info_json(info(reader))["chain_head"] == head


def test_sealed_segments_are_counted(tmp_path):
    log = save(everything().turns, tmp_path / "e", per_batch=1, segment_bytes_max=6000)
    assert "3 segments (3 sealed), 58 batches" in screen(log)
    last = log / "00000003.seg"
    last.write_bytes(last.read_bytes()[:-9])
    assert "3 segments (2 sealed), 58 batches" in screen(log)
    sealed = [segment["sealed"] for segment in info_json(info(read(log)))["segments"]]
    assert sealed == [True, True, False]


def test_the_newest_keyframe_is_named(tmp_path):
    log = save(everything().turns, tmp_path / "f", keyframes=lambda: iter([Entry(1, 1, None)]))
    keyframe = read(log).keyframe()
    assert keyframe is not None
    assert f"keyframe    the state behind turn {keyframe.number}\n" in screen(log)
    assert info_json(info(read(log)))["keyframe"] == keyframe.number


def test_damage_is_told_with_row_place_and_turns(log):
    batch = list(read(log).batches())[2]
    spoil_batch(log, batch)
    text = screen(log)
    assert f"condition   damaged in 1 place, first in segment 1 at byte {batch.offset}" in text
    where = f"segment 1 at byte {batch.offset:,}, {batch.length:,} bytes"
    assert f"damage      rot-body  {where}: turns 21..30 lost\n" in text


def test_a_turn_that_cannot_be_decoded_is_damage_too(tmp_path):
    log = save(incident().turns, tmp_path / "g")
    writer = Log.create_or_open(log)
    writer.append((1, 0, 0, "not a cause", None, (), None))
    writer.close()
    overview = info(read(log))
    assert not overview.log.whole
    assert "undecodable" in screen(log)


def test_a_recovered_log_is_whole_but_for_what_it_lost(log, tmp_path):
    batch = list(read(log).batches())[2]
    spoil_batch(log, batch)
    recover(log, tmp_path / "new.log")
    text = screen(tmp_path / "new.log")
    assert "condition   whole but for 10 turns lost before it was recovered\n" in text
    assert "lost        turns 21..30, before this log was recovered" in text
    assert "damage" not in text


def test_much_damage_is_folded(tmp_path):
    log = save(everything().turns, tmp_path / "h", per_batch=1)
    for batch in list(read(log).batches())[1:40:2]:
        spoil_batch(log, batch)
    text = screen(log)
    assert text.count("damage      rot-body") == 10
    assert "and 10 more; `rescind check --json` has them all" in text
    assert max(map(len, text.splitlines())) <= MARGIN
