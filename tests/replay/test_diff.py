"""Two recordings are laid side by side by cause, and what explains the rest stands first."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import (
    Accepted,
    Completed,
    How,
    Origin,
    Reference,
    Submit,
    Tell,
    read,
)
from rescind.events._mentions import NUMBER_FIELDS, RANGES_FIELDS
from rescind.replay import Archive, Change, diff, fold
from rescind.replay._diff.screen import diff_json, diff_lines
from rescind.replay._words.text import as_text

from .recording import MS, Recording, everything, incident, save

PROGRAM = Path(__file__).resolve().parents[1] / "determinism" / "program.py"
STORY = everything().turns


def screen(found, a, b):
    text = as_text(diff_lines(found, Archive(a), Archive(b)))
    # What is looked up says the same as what all of the log says.
    assert text == as_text(diff_lines(found, fold(a), fold(b)))
    return text


def only(found):
    assert len(found.differences) == 1
    return found.differences[0]


def renumbered(turns, by):
    """Return the same turns of actors with other numbers, at other times."""

    def kind(one):
        if one is None:
            return None
        fields = {}
        for name, value in zip(one._fields, one, strict=True):
            if name in NUMBER_FIELDS and type(value) is int and value:
                fields[name] = value + by
            if name in RANGES_FIELDS:
                fields[name] = [number + by for number in value]
        return one._replace(**fields)

    def cause(one):
        return one and replace(one, request=one.request and one.request + by)

    return [
        replace(
            turn, actor=turn.actor + by, cause=cause(turn.cause), message=kind(turn.message),
            events=tuple(map(kind, turn.events)), time_ns=turn.time_ns * 2,
        )
        for turn in turns
    ]  # fmt: skip


def without(turns, number):
    """Return turns without one and without all that it brought about, numbered anew."""
    gone = {number}
    for turn in turns:
        if turn.cause is not None and turn.cause.number in gone:
            gone.add(turn.number)
    kept = [turn for turn in turns if turn.number not in gone]
    places = {turn.number: place for place, turn in enumerate(kept, 1)}

    def cause(one):
        return one and replace(one, number=places[one.number])

    return [replace(t, number=places[t.number], cause=cause(t.cause)) for t in kept]


def mirrored(found):
    """Return a comparison's heads as they must be the other way round."""
    turned = {Change.MISSING: Change.NEW, Change.NEW: Change.MISSING}
    return [
        (turned.get(each.spot.change, each.spot.change), each.followers)
        for each in found.differences
    ]


def heads(found):
    return [(each.spot.change, each.followers) for each in found.differences]


# --- equal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", [incident, everything])
def test_a_recording_differs_in_nothing_from_itself(recording):
    turns = recording().turns
    found = diff(turns, turns)
    assert found.is_equal
    assert found.differences == ()
    assert screen(found, turns, turns).startswith("equal: ")


def test_numbers_and_times_are_not_compared():
    assert diff(STORY, renumbered(STORY, 1000)).is_equal


def test_how_many_completions_leave_together_is_chance():
    def recording(*, is_split):
        r = Recording()
        r.open()
        outputs = [r.call("Output") for _ in range(3)]
        for output in outputs:
            r.answer(output)
        for run in [[each] for each in outputs] if is_split else [outputs]:
            r.deliver(run)
        return r.turns

    assert diff(recording(is_split=False), recording(is_split=True)).is_equal


def test_an_empty_recording_equals_an_empty_one_and_lacks_all_that_another_has():
    assert diff([], []).is_equal
    found = diff([], incident().turns, limit=None)
    assert {each.spot.change for each in found.differences} == {Change.NEW}
    assert found.same == 0


# --- what differs --------------------------------------------------------------------------------


def test_another_code_is_told_in_both_spellings_and_what_follows_is_folded():
    def recording(code):
        r = Recording()
        r.open()
        first, second = r.call("Output"), r.call("Output")
        r.answer(first, code)
        r.answer(second)
        delivery = r.deliver([first], running=True)
        if code is not None:
            r.call("Output", cause=delivery)
        r.returned(first, delivery)
        r.deliver([second])
        return r.turns

    a, b = recording(None), recording(-16009)
    found = diff(a, b)
    head = only(found)
    assert (head.spot.change, head.spot.a.number, head.spot.b.number) == (Change.CHANGED, 4, 4)
    assert head.follows == {Change.NEW: 1}
    text = screen(found, a, b)
    assert "r2 Output: ok after 200 µs in A, -16009 NOT_CONNECTED after 200 µs in B" in text
    assert "and 1 more difference that it brought about" in text


def test_an_input_more_moves_no_other_input():
    def recording(count):
        r = Recording()
        r.open()
        for output in [r.call("Output") for _ in range(count)]:
            r.answer(output)
        cancelled = [r.call("Output")]
        cancel = r.cancel(cancelled)
        r.kill(cancel, cancelled)
        return r.turns

    found = diff(recording(3), recording(4))
    head = only(found)
    assert (head.spot.change, head.spot.a, head.followers) == (Change.NEW, None, 1)
    assert found.same == len(recording(3))


def test_a_time_out_in_place_of_an_answer_says_how_long_each_took():
    def recording(*, is_late):
        r = Recording()
        r.open()
        slow = r.call("Output", timeout_ns=50 * MS)
        if is_late:
            r.time_ns += 50 * MS
            r.time_out(slow, [slow])
        else:
            r.answer(slow)
            r.deliver([slow])
        return r.turns

    a, b = recording(is_late=False), recording(is_late=True)
    text = screen(diff(a, b), a, b)
    assert "r2 Output: ok after 100 µs in A, no end in B" in text


def test_an_actor_that_took_two_turns_in_the_other_order_is_told_once():
    def recording(order):
        r = Recording()
        r.open()
        outputs = [r.call("Output") for _ in range(2)]
        for place in order:
            r.answer(outputs[place])
        r.deliver([outputs[place] for place in order])
        return r.turns

    a, b = recording([0, 1]), recording([1, 0])
    found = diff(a, b)
    head = only(found)
    assert head.spot.change is Change.REORDERED
    assert found.changes[Change.REORDERED] == 1
    assert "came in A after" in screen(found, a, b)


def test_the_order_in_which_different_actors_take_turns_is_not_compared():
    def recording(order):
        r = Recording()
        r.open()
        outputs = [r.call("Output") for _ in range(2)]
        for place in order:
            r.answer(outputs[place])
        return r.turns

    assert diff(recording([0, 1]), recording([1, 0])).is_equal


def test_a_missing_code_minus_one_is_not_minus_two():
    """Small integers, whose own hashes would be equal."""
    r = incident()
    changed = [
        replace(
            turn,
            events=tuple(
                e._replace(code=code) if isinstance(e, Completed) else e for e in turn.events
            ),
        )
        for code in (-1,)
        for turn in r.turns
    ]
    other = [
        replace(
            turn,
            events=tuple(
                e._replace(code=-2) if isinstance(e, Completed) else e for e in turn.events
            ),
        )
        for turn in r.turns
    ]
    assert not diff(changed, other).is_equal


def test_references_to_actors_are_compared_by_what_they_refer_to():
    def recording(extra):
        r = Recording()
        for _ in range(extra):
            r.number()
        endpoint = r.open()
        r.turn(endpoint, Origin.APP, None, Tell(Reference(bytes(16), endpoint)))
        r.turn(endpoint, Origin.APP, None, Tell(Reference(bytes(16), 77)))
        return r.turns

    assert diff(recording(0), recording(3)).is_equal


def test_what_only_one_recording_has_is_paired_with_nothing_of_the_other():
    """An input more in the middle of the one, and another one at the end of the other."""

    def recording(values):
        r = Recording()
        r.open()
        for value in values:
            output = r.number()
            submit, accepted = (
                Submit("Output", (value,), True, None),
                Accepted(output, r.endpoint, "Output", True, None, True),
            )
            r.where[output] = r.turn(r.endpoint, Origin.APP, None, submit, accepted)
            r.answer(output)
            r.deliver([output])
        return r.turns

    found = diff(recording([1, 2, 3, 4, 5]), recording([1, 2, "x", 3, 4]))
    assert found.changes == {
        Change.MISSING: 3, Change.NEW: 3, Change.CHANGED: 0, Change.REORDERED: 0
    }  # fmt: skip


# --- properties ----------------------------------------------------------------------------------


@given(st.sampled_from([turn.number for turn in STORY[1:]]))
def test_of_what_was_taken_out_with_all_that_it_brought_about_the_first_is_told_first(number):
    less = without(STORY, number)
    found = diff(STORY, less, limit=None)
    first = found.differences[0].spot
    assert first.change is Change.MISSING
    gone = STORY[number - 1]
    # Of equal inputs it is chance which one is said to be missing.
    assert first.a is not None
    assert (first.a.message, first.a.origin) == (gone.message, gone.origin)
    assert heads(diff(less, STORY, limit=None)) == mirrored(found)


ENDINGS = [t.number for t in STORY if any(isinstance(e, Completed) for e in t.events)]


@given(st.sampled_from(ENDINGS), st.integers(-20_000, -1))
def test_another_code_is_found_where_it_is(number, code):
    at = number - 1
    events = tuple(
        e._replace(code=code, how=How.FAILED) if isinstance(e, Completed) else e
        for e in STORY[at].events
    )
    changed = [*STORY[:at], replace(STORY[at], events=events), *STORY[number:]]
    found = diff(STORY, changed)
    if events == STORY[at].events:
        assert found.is_equal
        return
    spot = only(found).spot
    assert (spot.change, spot.a.number, spot.b.number) == (Change.CHANGED, number, number)
    assert heads(diff(changed, STORY)) == mirrored(found)


# --- recordings of programs, and logs on disk ----------------------------------------------------


def run(program, log, seed=1, shuffle="in order"):
    subprocess.run(
        [sys.executable, str(program), str(log), str(seed), shuffle],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return read(log)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return run(PROGRAM, tmp_path_factory.mktemp("recorded") / "log")


def altered(tmp_path, old, new):
    """Run the program with one of its lines changed."""
    text = PROGRAM.read_text(encoding="utf-8")
    assert old in text
    program = tmp_path / "program.py"
    program.write_text(text.replace(old, new), encoding="utf-8")
    return run(program, tmp_path / "log")


def test_recordings_of_equal_runs_are_equal_whatever_their_seeds(recorded, tmp_path):
    assert diff(recorded, run(PROGRAM, tmp_path / "other", seed=2)).is_equal


def test_another_schedule_is_told_as_one_swap_that_brought_the_rest_about(recorded, tmp_path):
    shuffled = run(PROGRAM, tmp_path / "shuffled", seed=3, shuffle="shuffle")
    found = diff(recorded, shuffled)
    assert only(found).spot.change is Change.REORDERED
    assert found.changes[Change.MISSING] == found.changes[Change.NEW] == 0
    assert screen(found, recorded, shuffled).startswith("another order: a2 __main__.Tally")


def test_an_input_more_of_a_program_stands_alone(recorded, tmp_path):
    done = "        cancel.wait_done()"
    more = altered(tmp_path, done, '        self.clerks[0].tell("beta")\n' + done)
    found = diff(recorded, more)
    assert only(found).spot.b.message == Tell("beta")
    assert found.changes[Change.NEW] == 3
    assert found.same == diff(recorded, recorded).same


def test_another_code_of_a_program_stands_first(recorded, tmp_path):
    found = diff(recorded, altered(tmp_path, "code=-16009", "code=-16010"))
    assert [each.spot.change for each in found.differences] == [Change.CHANGED] * 2
    first = found.differences[0].spot.a
    assert first is not None
    assert first.message.code == -16009


def test_a_time_out_less_explains_all_that_it_had_brought_about(recorded, tmp_path):
    other = altered(tmp_path, "advance(1)", "advance(0.4)")
    found = diff(recorded, other)
    assert "timed out after 500 ms in A" in screen(found, recorded, other)
    kinds = [type(d.spot.a.message).__name__ for d in found.differences if d.spot.a]
    assert kinds == ["TimedOut"] * 2


def test_recordings_of_different_programs_have_little_in_common_and_are_told(recorded, tmp_path):
    other = read(save(STORY, tmp_path / "story"))
    found = diff(recorded, other, limit=3)
    assert len(found.differences) == 3
    assert found.untold > 0
    body = diff_json(found, fold(recorded), fold(other))
    assert (body["equal"], body["untold"]) == (False, found.untold)


def test_the_turns_told_are_found_again_in_a_long_log(tmp_path):
    def recording(at):
        r = Recording()
        r.open()
        for number in range(3000):
            output = r.call("Output")
            r.answer(output, -16009 if number == at else None)
        return r.turns

    a, b = recording(-1), recording(2500)
    logs = [read(save(turns, tmp_path / name)) for turns, name in ((a, "a"), (b, "b"))]
    spot = only(diff(*logs)).spot
    assert spot.a == a[spot.a.number - 1]
    assert spot.b.message.code == -16009


CORPUS = Path(__file__).resolve().parents[1] / "corpus"


@pytest.mark.parametrize(
    "name", ["causes", "every-kind", "missing", "pruned", "references", "rot-body", "two-epochs"]
)
def test_a_log_of_the_corpus_differs_in_nothing_from_itself(name):
    log = read(CORPUS / name)
    assert diff(log, log).is_equal
