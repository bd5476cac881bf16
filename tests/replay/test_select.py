"""Selectors mean one thing, or say what would."""

import pytest

from rescind.replay import Archive, SelectorError, Target, TargetKind, resolve

from .recording import Recording, everything, incident

ARCHIVE = Archive(everything().turns)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("12", Target(TargetKind.TURN, 12)),
        ("r5", Target(TargetKind.REQUEST, 5)),
        ("c9", Target(TargetKind.CANCEL, 9)),
        ("a1", Target(TargetKind.ACTOR, 1)),
        ("a5", Target(TargetKind.ACTOR, 5)),
        ("code=-36003", Target(TargetKind.REQUEST, 10)),
        ("code=-16009", Target(TargetKind.REQUEST, 17)),
        ("last", Target(TargetKind.REQUEST, 20)),
    ],
)
def test_a_selector_means_one_thing(text, target):
    assert resolve(text, ARCHIVE) == target


@pytest.mark.parametrize(
    "text", ["", "x1", "r", "17r", "code=", "code=x", "LAST", "r-1", "r\u0661"]
)
def test_what_is_no_selector_is_told_the_forms(text):
    with pytest.raises(SelectorError, match=r"forms are: 1234 \(a turn\)"):
        resolve(text, ARCHIVE)


def test_an_unknown_number_is_answered_with_its_neighbours():
    with pytest.raises(SelectorError) as caught:
        resolve("r999", ARCHIVE)
    assert caught.value.nearest == ("r15", "r17", "r18", "r19", "r20")[-4:]


def test_a_number_of_another_kind_is_offered_as_that_kind():
    with pytest.raises(SelectorError) as caught:
        resolve("c5", ARCHIVE)
    assert caught.value.nearest[0] == "r5"


def test_a_code_of_many_lists_them():
    with pytest.raises(SelectorError, match="fits 9 requests") as caught:
        resolve("code=-16005", ARCHIVE)
    assert caught.value.nearest[:2] == ("r3", "r4")


def test_a_code_of_nobody_lists_the_codes_there_are():
    with pytest.raises(SelectorError) as caught:
        resolve("code=-36006", ARCHIVE)
    assert caught.value.nearest[0] == "code=-36003"


def test_a_turn_outside_the_log_is_told_its_bounds():
    with pytest.raises(SelectorError, match=r"holds turns 1\.\.58"):
        resolve("59", ARCHIVE)


def test_a_turn_in_a_gap_is_told_the_gap():
    turns = [turn for turn in incident().turns if turn.number not in {5, 6}]
    with pytest.raises(SelectorError, match=r"lost turns 5\.\.6"):
        resolve("6", Archive(turns))


def test_a_refused_cancel_is_found_by_the_letter_of_cancels():
    r = Recording()
    r.open()
    refused = r.refuse("Cancel")
    assert resolve(f"c{refused}", Archive(r.turns)) == Target(TargetKind.REQUEST, refused)


def test_last_prefers_what_went_wrong():
    r = Recording()
    r.open()
    bad, good = r.call("Output"), r.call("Output")
    r.answer(bad, -16009)
    r.answer(good)
    assert resolve("last", Archive(r.turns)).number == bad


def test_last_of_a_log_without_outcomes_finds_nothing():
    with pytest.raises(SelectorError, match="no outcome yet"):
        resolve("last", Archive([]))
    with pytest.raises(SelectorError, match="no turns"):
        resolve("1", Archive([]))
