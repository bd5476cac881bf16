"""Mutation of logs: every alteration is found under its law, and nothing else is ever accused."""

from itertools import islice

import pytest

from rescind.replay import Verdict, check

from .stories import NAMES, recorded
from .table import TABLE, UNTOLD

PLACES_MAX = 4
"""So many places in one story are altered by one alteration."""

CASES = [
    pytest.param(law, alter, id=f"{law}: {text}")
    for law, alterations in TABLE.items()
    for text, alter in alterations.items()
]


def broken(turns):
    return {
        report.law: report.of(Verdict.BROKEN)
        for report in check(turns).laws
        if report.verdict is Verdict.BROKEN
    }


@pytest.mark.parametrize(("law", "alter"), CASES)
def test_an_alteration_is_found_with_the_turns_that_prove_it(law, alter):
    tried = 0
    for name in NAMES:
        for altered, proof in islice(alter(recorded(name)), PLACES_MAX):
            tried += 1
            findings = broken(altered).get(law, [])
            assert findings, f"{name}: not found, to be seen at turn {proof}"
            assert any(proof in each.turns for each in findings), (name, proof, findings)
    assert tried, "no story has a place for it"


@pytest.mark.parametrize("law", TABLE)
def test_ten_alterations_of_every_law_are_tried(law):
    assert len(TABLE[law]) >= 10


def test_no_law_is_left_out():
    assert {"L12"} == UNTOLD, "keyframes are no turns; test_keyframe_law alters them"


@pytest.mark.parametrize("name", NAMES)
def test_no_law_is_broken_by_a_recording_cut_at_any_turn(name):
    turns = recorded(name)
    for at in range(len(turns) + 1):
        assert broken(turns[:at]) == {}, f"cut behind turn {at}"
        assert broken(turns[at:]) == {}, f"begins behind turn {at}"
