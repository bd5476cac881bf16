"""Well-framed nonsense in a log is shown, means nothing and stops nobody."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import (
    KINDS,
    Completed,
    Delivered,
    Killed,
    LogDamagedError,
    Origin,
    Tell,
    TimedOut,
    Turn,
    Unknown,
)
from rescind.replay import Archive, SelectorError, Verdict, check, fold, why
from rescind.replay._laws.check import check_json, check_lines
from rescind.replay._ledger.model import Ledger
from rescind.replay._ledger.sound import is_sound, sound
from rescind.replay._sequences.screen import sequence_json, sequence_lines
from rescind.replay._sequences.sequences import sequence_of
from rescind.replay._why.screen import story_lines
from rescind.replay._words.text import Clock, as_text
from rescind.replay._words.turns import turn_json, turn_lines

from .recording import everything

TURNS = everything().turns
JUNK: list[Any] = [
    None, -1, 2**62, 2**80, "x", b"\xff", [1, 2], [5, 3], {}, 1.5, True, [1, 10**15], ["a"], [[1]],
    {5: "x"},
]  # fmt: skip


def test_every_kind_of_every_recording_is_sound():
    assert list(sound(TURNS)) == TURNS


def test_every_kind_of_the_vocabulary_has_a_test_for_each_field():
    for kind in KINDS:
        made: Any = kind
        hints = kind.__annotations__
        nonsense = made(*[object()] * len(hints))
        assert is_sound(nonsense) is all(hint is Any for hint in hints.values())


def test_a_senseless_kind_becomes_an_unknown_with_its_values():
    turn = replace(TURNS[2], events=(Completed("5", None, 0, 0),))  # type: ignore[arg-type]
    (made,) = sound([turn])
    fields = ("request", "code", "how", "by", "value")
    assert made.events == (Unknown("Completed", 0, fields, ("5", None, 0, 0, None)),)


def test_numbers_are_looked_for_inside_lists():
    assert is_sound(Delivered([1, 2], "script"))
    assert not is_sound(Delivered([1, "2"], "script"))  # type: ignore[list-item]
    assert not is_sound(TimedOut(1.5))  # type: ignore[arg-type]
    assert is_sound(Tell(object()))


def test_numbers_are_looked_for_inside_mappings():
    assert is_sound(Killed(1, None, {5: 4096}))
    assert not is_sound(Killed(1, None, {5: "x"}))  # type: ignore[dict-item]
    assert not is_sound(Killed(1, None, {"x": 5}))  # type: ignore[dict-item]


def test_a_range_that_would_take_all_memory_is_damage():
    turn = replace(TURNS[2], events=(Delivered([1, 10**15], "script"),))
    for consume in (fold, check):
        with pytest.raises(LogDamagedError, match="turn 3 is whole and makes no sense"):
            consume([turn])


@st.composite
def altered(draw) -> list[Turn]:
    """A recording in which some fields of some kinds hold junk."""
    turns = list(TURNS)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(turns) - 1))
        turn = turns[at]
        kinds = [turn.message, *turn.events]
        which = draw(st.integers(0, len(kinds) - 1))
        kind = kinds[which]
        if kind is None or isinstance(kind, Unknown):
            continue
        name = draw(st.sampled_from(kind._fields))
        kinds[which] = kind._replace(**{name: draw(st.sampled_from(JUNK))})
        turns[at] = replace(turn, message=kinds[0], events=tuple(kinds[1:]))
    return turns


@given(altered())
def test_every_view_of_a_senseless_log_is_a_view_or_says_damage(turns):
    try:
        report = check(turns)
    except LogDamagedError:
        return
    clock = Clock(turns[0].time_ns)
    archive = Archive(turns)
    for cancel in archive.cancel_numbers:
        one = sequence_of(cancel, archive)
        assert as_text(sequence_lines(one, clock))
        assert sequence_json(one)
    assert as_text(check_lines(report))
    assert check_json(report)
    ledger = Ledger()
    for turn in sound(turns):
        ledger.feed(turn)
        assert as_text(turn_lines(turn, ledger, clock))
        assert turn_json(turn, ledger)
    for selector in ("last", "r4", "r10", "c9", "a1", "20", "code=-16009"):
        try:
            assert as_text(story_lines(why(turns, selector), clock))
        except SelectorError:
            continue


def test_an_origin_of_a_later_version_is_no_reason_to_stop():
    turns = [replace(t, origin=77) if t.origin is Origin.IO else t for t in TURNS]
    assert check(turns).verdict is Verdict.HOLDS
    assert "77" in as_text(turn_lines(turns[2], fold(turns), Clock(0)))
