"""From an outcome back to the input that began it."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from rescind.events import (
    Born,
    By,
    CancelEnded,
    Cause,
    DeadLetter,
    Origin,
    Start,
    StateChanged,
    Stop,
    Stopped,
    Tell,
    ToolEvent,
    read,
)
from rescind.replay import Archive, SelectorError, why
from rescind.replay._archive.trace import STEPS_MAX
from rescind.replay._why.screen import story_json, story_lines
from rescind.replay._words.text import MARGIN, Clock, as_text
from rescind.replay.cli import cli

from .recording import IN_PROGRESS, MAIN, MS, STOP_BUTTON, Recording, everything, incident, save


def steps(story, branch=0):
    return [step.turn for step in story.branches[branch].steps]


def test_a_victim_leads_to_the_line_that_called_cancel():
    story = why(incident().turns, "r5")
    assert "cancelled by c9 (Cancel)" in story.headline
    assert steps(story) == [15, 12, 11]
    assert story.branches[0].steps[-1].by == MAIN
    assert story.branches[0].root == "the application called"
    assert story.related == ("c9",)


def test_a_refusal_leads_through_its_callback_to_the_cancel():
    story = why(incident().turns, f"code={IN_PROGRESS}")
    assert "-36003 TACCESS" in story.headline
    # the call, r4's delivery, r4's completion (not the run's last), the kill, the Cancel
    assert steps(story) == [20, 19, 14, 12, 11]
    assert story.branches[0].steps[0].by == STOP_BUTTON
    assert any("N-36003-window" in fact for fact in story.facts)
    assert any("the window of c9 was open, turns 11..22" in fact for fact in story.facts)
    assert any("inside the script of r4" in fact for fact in story.facts)


def test_a_refusal_from_another_thread_tells_the_window_as_a_second_branch():
    r = Recording()
    r.open()
    out = r.call("Output")
    inside = r.call("Option")
    r.answer(inside)
    delivery = r.deliver([inside], running=True)
    cancel = r.cancel([out], cause=delivery)
    refused = r.refuse("Output")
    story = why(r.turns, f"r{refused}")
    assert [branch.title for branch in story.branches] == ["the call", f"the window of c{cancel}"]
    assert steps(story, 0) == [r.turns[-1].number]
    assert steps(story, 1) == [6, 5, 4, 3]


def test_a_time_out_leads_to_the_call_that_set_the_deadline():
    story = why(everything().turns, "r14")
    assert "the time-out of r14" in story.headline
    assert steps(story) == [44, 43, 42, 41, 40, 39, 37]
    assert "the deadline of r14 ran out (50 ms)" in story.branches[0].steps[5].says
    assert story.branches[0].steps[4].says == "c16 (time-out) began with 2 victims"


def test_a_cut_request_tells_how_much_of_it_had_been_taken():
    r = Recording()
    r.open()
    output = r.call("Output")
    cancel = r.cancel([output])
    r.kill(cancel, [output], taken={output: 65536})
    assert "cut in the middle: 65,536 bytes had been taken" in why(r.turns, f"r{output}").facts


def test_a_true_result_says_which_cancel_came_too_late_and_by_how_much():
    story = why(everything().turns, "r11")
    assert "true result: ok" in story.headline
    assert len(story.raced) == 1
    assert "too late, it had completed (ok) 100 µs before" in story.raced[0]
    assert "Cancel by MainThread" in story.raced[0]


def test_a_late_answer_is_told_as_lost():
    assert "the outside answered ok 1 ms too late" in why(incident().turns, "r6").raced[0]


def test_a_cancel_without_effect_says_why():
    story = why(everything().turns, "c18")
    assert "ended 0 requests" in story.headline
    assert any("nothing was outstanding" in fact for fact in story.facts)


def test_what_is_outstanding_says_since_when():
    r = Recording()
    r.open()
    r.call("Output")
    story = why(r.turns, "r2")
    assert "outstanding where the log ends" in story.headline
    assert steps(story) == [2]


def test_a_hung_cancel_names_what_it_waits_for():
    r = Recording()
    r.open()
    r.cancel([r.call("Output")])
    assert any("it waits for r2" in fact for fact in why(r.turns, "c3").facts)


def test_an_abandoned_request_names_the_reason_for_its_silence():
    story = why(everything().turns, "last")
    assert "abandoned: endpoint disposed" in story.headline
    assert story.branches[0].steps[-1].by == MAIN


def test_an_endpoint_tells_its_last_state_and_how_it_came_to_it():
    assert "is in state kDataXfer" in why(incident().turns, "a1").headline
    assert "was closed: disposed" in why(everything().turns, "a1").headline


def test_the_last_change_of_a_busy_endpoint_is_not_looked_for_turn_by_turn(tmp_path, monkeypatch):
    r = Recording()
    r.open()
    for _ in range(400):
        r.call("Output")
    archive = Archive(read(save(r.turns, tmp_path / "busy")))
    looked_at = []
    newest_about = archive.newest_about

    def watched(number):
        for turn in newest_about(number):
            looked_at.append(turn.number)
            yield turn

    monkeypatch.setattr(archive, "newest_about", watched)
    story = why(archive, "a1")
    assert story.headline == why(r.turns, "a1").headline
    assert story.branches[0].steps[0].turn == 1
    assert 0 < len(looked_at) < 400


def test_a_turn_that_ended_one_request_tells_that_request_s_story():
    assert why(incident().turns, "15").headline == why(incident().turns, "r5").headline
    assert why(incident().turns, "11").headline == why(incident().turns, "c9").headline
    told = why(incident().turns, "12").headline
    assert told == "turn 12: a1 newton endpoint took Killed for c9: ok"


def test_a_victim_reaches_its_cancel_even_where_the_causes_between_are_lost():
    turns = [replace(t, cause=None) if t.number == 12 else t for t in incident().turns]
    assert steps(why(turns, "r5")) == [15, 11]


def test_a_story_whose_beginning_is_gone_says_so():
    story = why(incident().turns[13:], "r5")
    assert "is not in the log" in story.branches[0].root


def test_a_cause_in_another_log_is_named():
    r = Recording()
    r.open()
    out = r.call("Output", cause=Cause(41, 0, bytes(range(16))))
    story = why(r.turns, f"r{out}")
    assert story.branches[0].root.startswith("caused by turn 41 of another log, 000102")


def test_a_circle_of_causes_ends():
    turns = [replace(t, cause=Cause(15)) if t.number == 12 else t for t in incident().turns]
    assert steps(why(turns, "12")) == [12, 15]


def test_every_request_turn_and_cancel_of_a_recording_has_a_story_that_fits():
    turns = everything().turns
    selectors = [f"r{n}" for n in range(2, 21) if n not in {1, 16, 19}]
    selectors = [s for s in selectors if s != "r16"]
    for selector in [*selectors, "c9", "c13", "c16", "c18", "a1", *map(str, range(1, 59))]:
        try:
            story = why(turns, selector)
        except SelectorError:
            continue
        text = as_text(story_lines(story, Clock(turns[0].time_ns)))
        assert max(map(len, text.splitlines())) <= MARGIN, text
        assert story_json(story)["of"]


@pytest.mark.parametrize("end", range(1, 27))
def test_a_log_cut_anywhere_still_tells_its_last_turn(end):
    turns = incident().turns[:end]
    assert why(turns, str(end)).branches


def test_hostile_text_is_shown_and_not_obeyed():
    r = Recording()
    r.open()
    evil = By("\x1b[31mred\x07", "/srv/\x1b]0;title\x07/x.py", 1, "\u202efn")
    out = r.call("Out\x1b[2Jput", by=evil)
    cancel = r.cancel([out], by=evil)
    r.kill(cancel, [out])
    r.complete(cancel, r.deliver([out], CancelEnded(cancel, None)))
    text = as_text(story_lines(why(r.turns, f"r{out}"), Clock(MS)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text


def test_the_shortest_way_to_the_outside_comes_first():
    r = Recording()
    r.open()
    inside = r.call("Option")
    r.answer(inside)
    out = r.call("Output", cause=r.deliver([inside], running=True))
    cancel = r.cancel([out])
    r.kill(cancel, [out])
    story = why(r.turns, f"r{out}")
    lengths = [len(branch.steps) for branch in story.branches]
    assert [branch.title for branch in story.branches] == ["because", "asked for because"]
    assert lengths == sorted(lengths)


def test_a_way_back_that_has_no_end_is_cut_and_says_where_to_go_on():
    r = Recording()
    r.open()
    for _ in range(STEPS_MAX + 10):
        r.turn(r.endpoint, Origin.ACTOR, len(r.turns), Tell("on"))
    story = why(r.turns, str(len(r.turns)))
    assert len(story.branches[0].steps) == STEPS_MAX + 1
    assert f"why --of {len(r.turns) - STEPS_MAX}" in story.branches[0].root
    shown = as_text(story_lines(story, Clock(MS)))
    assert "387 turns between (--all shows them)" in shown
    assert shown.count("\n") < 25
    assert as_text(story_lines(story, Clock(MS), show_all=True)).count("\n") > STEPS_MAX


def test_a_cause_in_another_log_is_followed_there_when_it_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there, here = Recording(), Recording()
    there.open()
    first = there.call("Output")
    other = read(save(there.turns, tmp_path / "there.log"))
    here.open()
    out = here.call("Output", cause=Cause(there.where[first], 0, other.log_id))
    log = read(save(here.turns, tmp_path / "here.log"))
    story = why(log, f"r{out}", others=[other])
    steps = story.branches[0].steps
    assert [(step.turn, step.log) for step in steps] == [(2, ""), (2, other.log_id.hex())]
    assert steps[1].by == MAIN
    assert story.branches[0].root == "the application called"
    shown = as_text(story_lines(story, Clock(MS)))
    assert shown.index("r2 Output") < shown.index(f"in log {other.log_id.hex()[:6]}")
    assert "~0" in shown, "another log's clock is not ours"
    called = CliRunner().invoke(cli, ["why", "here.log", "there.log", "--of", f"r{out}"])
    assert "in there.log" in called.stdout
    twice = CliRunner().invoke(cli, ["why", "here.log", "here.log", "--of", f"r{out}"])
    assert "here.log is the same log as here.log" in str(twice.exception)
    assert "of another log" in why(log, f"r{out}").branches[0].root


def test_what_a_cancel_spared_says_so():
    r = Recording()
    r.open()
    kept, out = r.call("Option"), r.call("Output")
    cancel = r.cancel([out])
    r.kill(cancel, [out])
    r.answer(kept)
    [raced] = why(r.turns, f"r{kept}").raced
    assert raced.startswith(f"c{cancel} (Cancel by MainThread")
    assert "not one of its victims" in raced


def test_what_ended_before_a_cancel_or_came_after_it_does_not_name_it():
    r = Recording()
    r.open()
    before = r.call("Output")
    r.answer(before)
    r.cancel([])
    after = r.call("Output")
    assert why(r.turns, f"r{before}").raced == ()
    assert why(r.turns, f"r{after}").raced == ()


def test_a_lost_message_names_the_end_of_whom_it_was_for():
    r = Recording()
    r.open()
    actor = r.number()
    r.turn(actor, Origin.APP, None, Start(1, [], {}), Born(actor, 1, 0), by=MAIN)
    stopped = r.turn(actor, Origin.APP, None, Stop(urgent=False), Stopped(actor, None), by=MAIN)
    lost = r.turn(actor, Origin.APP, None, Tell("late"), DeadLetter(actor), by=MAIN)
    story = why(r.turns, str(lost))
    assert f"it had ended in turn {stopped}" in story.facts[-1]
    assert "DeadLetter" in " ".join(story.facts)
    assert why(r.turns, f"a{actor}").moment.turn == stopped


def test_a_state_change_is_told_by_its_turn():
    r = Recording()
    r.open()
    turn = r.turn(r.endpoint, Origin.IO, None, ToolEvent(2, None), StateChanged(r.endpoint, 5, 1))
    story = why(r.turns, str(turn))
    assert "StateChanged kDataXfer -> " in story.facts[0]
    assert steps(story) == [turn]
