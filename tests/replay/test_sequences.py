"""Each cancellation is one object, and its screen says what the object holds."""

from dataclasses import replace

from rescind.events import (
    Answer,
    CancelBegan,
    CancelEnded,
    CancelRequested,
    Cause,
    Completed,
    How,
    Origin,
    Outcome,
    read,
)
from rescind.replay import Archive, Verdict, sequences
from rescind.replay._ledger.lives import Moment
from rescind.replay._sequences.screen import Tally, sequence_json, sequence_lines
from rescind.replay._sequences.sequences import SequenceFilter, sequence_of, sequences_live
from rescind.replay._words.text import MARGIN, Clock, as_text

from .recording import (
    BEGIN,
    IN_PROGRESS,
    MAIN,
    MS,
    STOP_BUTTON,
    Recording,
    everything,
    incident,
    save,
)


def only(recording):
    found = list(sequences(recording.turns))
    assert len(found) == 1
    return found[0]


def screen(recording, **options):
    archive = Archive(recording.turns)
    clock = Clock(recording.turns[0].time_ns)
    lines = []
    for cancel in archive.cancel_numbers:
        lines += sequence_lines(sequence_of(cancel, archive), clock, **options)
    return as_text(lines)


def test_the_trigger_names_thread_file_and_line():
    one = only(incident())
    assert (one.trigger, one.asked.turn, one.asked.by) == ("Cancel", 11, MAIN)
    assert one.driver == "tcp 127.0.0.1:4000"


def test_victims_come_in_the_order_of_their_delivery():
    one = only(incident())
    assert [victim.request for victim in one.victims] == [3, 4, 5, 6, 7, 8]
    assert {victim.completed.code for victim in one.victims} == {-16005}
    assert [victim.delivered.manner for victim in one.victims][-1] == "raised"


def test_an_age_is_counted_up_to_the_moment_somebody_asked():
    assert only(incident()).victims[0].age_ns == 6 * MS // 10


def test_a_refusal_knows_its_line_and_the_callback_around_it():
    refusal = only(incident()).refused[0]
    assert (refusal.request, refusal.code, refusal.rule) == (10, IN_PROGRESS, "N-36003-window")
    assert refusal.asked.by == STOP_BUTTON
    assert (refusal.asked.inside.turn, refusal.asked.inside.request) == (19, 4)


def test_a_cause_that_names_a_delivery_of_a_run_finds_its_own_callback():
    r = Recording()
    r.open()
    outputs = [r.call("Output") for _ in range(3)]
    cancel = r.cancel(outputs)
    r.kill(cancel, outputs)
    delivery = r.deliver(outputs)
    r.refuse("Output", cause=Cause(delivery, outputs[1]))
    assert only(r).refused[0].asked.inside.request == outputs[1]


def test_the_outside_s_late_answer_is_a_loser_with_its_margin():
    loser = only(incident()).losers[0]
    assert (loser.request, loser.outcome, loser.margin_ns) == (6, "answer ignored", MS)


def test_a_cancel_that_came_too_late_says_which_result_stands():
    late = list(sequences(everything().turns))[1]
    assert [loser.outcome for loser in late.losers] == [Outcome.TOO_LATE]
    assert late.losers[0].code is None
    assert "cancel too late by 100 µs: ok stands" in screen(everything())


def test_the_cancel_itself_ends_before_the_blocked_caller_hears():
    one = only(incident())
    assert one.own.delivered.turn == 24
    blocked = next(victim for victim in one.victims if not victim.asynchronous)
    assert blocked.delivered.turn == 25
    assert one.quiet == Moment(25, one.asked.time_ns + one.quiescence_ns)


def test_a_time_out_was_asked_for_by_a_deadline():
    timed = list(sequences(everything().turns))[2]
    assert (timed.trigger, timed.own) == ("time-out", None)
    assert timed.asked.request == timed.victims[-1].request
    assert "the deadline of r14 ran out" in screen(everything())


def test_a_release_that_waited_for_its_outputs_was_asked_for_by_who_called_it():
    r = Recording()
    r.open()
    armed, output, release = r.call("Input"), r.call("Output"), r.call("Release", by=STOP_BUTTON)
    r.turn(
        output, Origin.IO, r.where[output], Answer(output, None, None),
        Completed(output, None, How.RESULT, 0),
        CancelRequested(release, r.endpoint, "Release", release),
        CancelBegan(release, [armed, armed]),
    )  # fmt: skip
    assert only(r).asked.by == STOP_BUTTON


def test_a_cancel_of_nothing_is_a_sequence_without_victims():
    nothing = list(sequences(everything().turns))[3]
    assert (nothing.victims, nothing.verdict) == ((), Verdict.HOLDS)
    assert "none: nothing was outstanding" in screen(everything())


def test_a_cancel_inside_a_victim_s_callback_names_the_cancel_around_it():
    r = Recording()
    r.open()
    first = r.call("Output")
    outer = r.cancel([first])
    r.kill(outer, [first])
    delivery = r.deliver([first], CancelEnded(outer, None))
    r.cancel([], cause=delivery)
    assert [one.parent for one in sequences(r.turns)] == [0, outer]


def test_a_cut_log_shows_an_open_window_and_who_it_waits_for():
    r = incident()
    r.turns = r.turns[:16]
    one = only(r)
    assert (one.verdict, one.quiet, one.ended) == (Verdict.OPEN, None, None)
    assert {finding.law for finding in one.findings} == {"L1", "L2", "L3"}
    text = screen(r)
    assert "still open where the log ends" in text
    assert "still outstanding" in text


def complete_again(recording):
    """Complete r5 once more in the last turn."""
    last = recording.turns[-1]
    again = Completed(5, None, How.RESULT, 0)
    recording.turns[-1] = replace(last, events=(*last.events, again))


def test_a_broken_law_is_told_with_its_turns():
    r = incident()
    complete_again(r)
    assert only(r).verdict is Verdict.BROKEN
    assert "L1 r5 completed twice  (t15, t26)" in screen(r)


def test_a_broken_law_of_another_sequence_leaves_this_one_alone():
    r = everything()
    complete_again(r)
    verdicts = [one.verdict for one in sequences(r.turns)]
    assert verdicts == [Verdict.BROKEN, *[Verdict.HOLDS] * 3]


def long_one():
    r = Recording()
    r.open()
    outputs = [r.call("Output") for _ in range(40)]
    cancel = r.cancel(outputs)
    r.kill(cancel, outputs)
    r.complete(cancel, r.deliver(outputs, CancelEnded(cancel, None)))
    r.deliver([cancel])
    return r


def test_a_long_list_of_victims_is_folded_unless_all_are_asked_for():
    folded, whole = screen(long_one()), screen(long_one(), show_all=True)
    assert "... 33 more (--all shows them)" in folded
    assert folded.count(" Output ") == 7
    assert whole.count(" Output ") == 40


def test_every_screen_fits_into_its_columns():
    for recording in (incident(), everything(), long_one()):
        assert max(map(len, screen(recording).splitlines())) <= MARGIN


def test_the_document_carries_what_the_screen_shows():
    archive = Archive(incident().turns)
    document = sequence_json(sequence_of(9, archive))
    assert document["selector"] == "c9"
    assert [victim["code_name"] for victim in document["victims"]] == ["REQUEST_CANCELED"] * 6
    assert document["refused"][0]["asked"]["inside"] == {"turn": 19, "request": 4}
    assert document["own"]["delivered"]["turn"] == 24
    assert document["verdict"] == "holds"


def test_the_last_line_counts():
    tally = Tally()
    for one in sequences(everything().turns):
        tally.take(one)
    assert as_text([tally.line()]).startswith("4 cancellations, 9 victims, 1 refused: 4 holds")


def test_virtual_time_is_shown_as_seconds_since_the_beginning():
    r = Recording(time_ns=0)
    r.open()
    r.cancel([])
    assert "turn 2, 0.000100 s" in screen(r)
    assert "14:13:20.000" in Clock(BEGIN).moment(BEGIN)


def test_a_live_log_tells_each_cancellation_when_nothing_is_owed_any_more(tmp_path):
    r = everything()
    r.open()
    hung = r.cancel([r.call("Output")])
    log = save(r.turns, tmp_path / "a.log")
    told = list(sequences_live(Archive(read(log)), read(log)))
    at_rest = [one.cancel for one in sequences(r.turns) if one.quiet is not None]
    assert [one.cancel for one in told] == at_rest
    assert hung not in at_rest
    assert len(at_rest) == 4


def test_filters_choose_by_part_trigger_code_verdict_and_time():
    archive = Archive(everything().turns)
    found = list(sequences(archive))

    def chosen(**bounds):
        wanted = SequenceFilter(**bounds)
        numbers = wanted.candidates(archive)
        some = [one.cancel for one in found if one.cancel in numbers and wanted.wants(one)]
        assert some == [one.cancel for one in found if wanted.wants(one)]
        return some

    assert chosen() == [9, 13, 16, 18]
    assert chosen(about=10) == [9]
    assert chosen(about=11) == [13]
    assert chosen(about=14) == [16]
    assert chosen(about=1) == [9, 13, 16, 18]
    assert chosen(trigger="TIME-OUT") == [16]
    assert chosen(code=IN_PROGRESS) == [9]
    assert chosen(verdict="broken") == []
    assert chosen(first=found[1].asked.turn, last=found[2].asked.turn) == [13, 16]
    assert chosen(first=found[1].asked.turn + 1) == [16, 18]
    assert chosen(first=found[1].asked.turn, until_ns=found[2].asked.time_ns) == [13, 16]
    assert chosen(since_ns=found[1].asked.time_ns, until_ns=found[2].asked.time_ns) == [13, 16]
