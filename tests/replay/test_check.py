"""The laws: good recordings keep them, however cut; each alteration is found under its own law."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rescind.events import (
    Accepted,
    Answer,
    AnswerIgnored,
    CancelBegan,
    CancelEnded,
    CancelOutcome,
    CancelRequested,
    Cause,
    Closed,
    Completed,
    CompletionScript,
    Damage,
    Delivered,
    Discarded,
    Drop,
    How,
    Origin,
    Outcome,
    Rejected,
    Started,
    StateChanged,
    Stop,
    Stopped,
    Submit,
    Tell,
    Turn,
)
from rescind.replay import LAWS, Law, Verdict, check
from rescind.replay._laws.check import bounded_court, check_json, check_lines
from rescind.replay._words.text import MARGIN, as_text

from .recording import MAIN, Recording, everything, incident

Alter = Callable[[list[Turn]], list[Turn]]

GOOD = {"incident": incident, "everything": everything}


def broken_laws(turns: Sequence[Turn]) -> set[str]:
    return {law.law for law in check(turns).laws if law.verdict is Verdict.BROKEN}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_recording_keeps_every_law(name):
    report = check(GOOD[name]().turns)
    assert report.verdict is Verdict.HOLDS, as_text(check_lines(report))


@pytest.mark.parametrize("name", GOOD)
def test_a_recording_cut_at_any_turn_breaks_no_law(name):
    turns = GOOD[name]().turns
    for end in range(len(turns) + 1):
        assert broken_laws(turns[:end]) == set(), f"cut behind turn {end}"


@pytest.mark.parametrize("name", GOOD)
def test_a_recording_whose_beginning_is_gone_breaks_no_law(name):
    turns = GOOD[name]().turns
    for begin in range(len(turns)):
        assert broken_laws(turns[begin:]) == set(), f"begins at turn {begin + 1}"


def test_a_birth_before_the_beginning_of_the_log_is_open():
    turns = incident().turns
    assert check(turns[14:]).verdict is Verdict.OPEN


def test_an_outstanding_request_is_open():
    r = Recording()
    r.open()
    r.call("Output")
    report = check(r.turns)
    assert [law.law for law in report.laws if law.verdict is Verdict.OPEN] == ["L1"]


# --- alterations ----------------------------------------------------------------------------------


def edit(
    turns: list[Turn], at: int, change: Callable[[tuple[Any, ...]], Sequence[Any]]
) -> list[Turn]:
    """Change the events of turn *at* and leave all else as it is."""
    return [
        replace(turn, events=tuple(change(turn.events))) if turn.number == at else turn
        for turn in turns
    ]


def find(turns: list[Turn], kind: type, **fields: Any) -> tuple[int, Any]:
    """Return the first turn with an event of a kind and fields, and that event."""
    for turn in turns:
        for event in turn.events:
            if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
                return turn.number, event
    raise AssertionError(f"no {kind.__name__} with {fields}")


def removing(kind: type, **fields: Any) -> Alter:
    def alter(turns: list[Turn]) -> list[Turn]:
        at, event = find(turns, kind, **fields)
        return edit(turns, at, lambda events: [e for e in events if e is not event])

    return alter


def doubling(kind: type, **fields: Any) -> Alter:
    """Say the event once more, in the log's last turn."""

    def alter(turns: list[Turn]) -> list[Turn]:
        _, event = find(turns, kind, **fields)
        return edit(turns, len(turns), lambda events: [*events, event])

    return alter


def changing(kind: type, to: dict[str, Any], **fields: Any) -> Alter:
    def alter(turns: list[Turn]) -> list[Turn]:
        at, event = find(turns, kind, **fields)
        return edit(
            turns, at, lambda events: [e._replace(**to) if e is event else e for e in events]
        )

    return alter


def moving(kind: type, to: int, **fields: Any) -> Alter:
    """Take the event out of its turn and say it in turn *to*."""

    def alter(turns: list[Turn]) -> list[Turn]:
        _, event = find(turns, kind, **fields)
        without = removing(kind, **fields)(turns)
        return edit(without, to, lambda events: [*events, event])

    return alter


def saying(event: Any, at: int) -> Alter:
    return lambda turns: edit(turns, at, lambda events: [*events, event])


def both(first: Alter, second: Alter) -> Alter:
    return lambda turns: second(first(turns))


def appending(actor: int, message: Any, *events: Any, cause: int = 1) -> Alter:
    def alter(turns: list[Turn]) -> list[Turn]:
        last = turns[-1]
        turn = Turn(
            last.number + 1, last.time_ns, 1, actor, Origin.IO, Cause(cause), message, events,
            None, True,
        )  # fmt: skip
        return [*turns, turn]

    return alter


def turning(at: int, **fields: Any) -> Alter:
    """Change the frame of a turn."""
    return lambda turns: [replace(t, **fields) if t.number == at else t for t in turns]


def swapping(first: int, second: int) -> Alter:
    """Exchange two turns and keep the numbers dense."""

    def alter(turns: list[Turn]) -> list[Turn]:
        changed = list(turns)
        one, other = changed[first - 1], changed[second - 1]
        changed[first - 1] = replace(other, number=first, time_ns=one.time_ns)
        changed[second - 1] = replace(one, number=second, time_ns=other.time_ns)
        return changed

    return alter


# The incident: r2 Connect; r3 Input, r4..r7 Outputs, r8 blocked Option; c9; r10 refused.
# Turns: 11 the cancel, 12 killed, 13..18 victims, 19 r3 r4 delivered, 20 r10 refused,
# 21 returned, 22 r5..r7 delivered and window closed, 23 c9 completes, 24 c9, 25 r8, 26 late answer.
OUTPUT = Accepted(30, 1, "Output", True, None, True)

ALTERATIONS: list[tuple[str, str, Alter]] = [
    ("L1", "a completion is removed", removing(Completed, request=5)),
    ("L1", "the completion of the cancel is removed", removing(Completed, request=9)),
    ("L1", "a completion is doubled", doubling(Completed, request=5)),
    ("L1", "a true result is doubled", doubling(Completed, request=2)),
    ("L1", "the cancel completes twice", doubling(Completed, request=9)),
    ("L1", "a blocked request completes twice", doubling(Completed, request=8)),
    ("L1", "a submission is removed", removing(Accepted, request=6)),
    ("L1", "a result comes behind the cancel", saying(Completed(5, None, How.RESULT, 0), 26)),
    ("L1", "the synchronous completion is removed", removing(Completed, request=8)),
    (
        "L1",
        "a completion of nobody",
        appending(77, Answer(77, None, None), Completed(77, None, How.RESULT, 0)),
    ),
    (
        "L1",
        "the endpoint closes with work outstanding",
        both(appending(1, Tell(0), OUTPUT), appending(1, Tell(0), Closed(1, "x"))),
    ),
    (
        "L1",
        "a drop that completes nothing",
        both(appending(1, Tell(0), OUTPUT), appending(30, Drop(1))),
    ),
    ("L2", "a delivery is doubled", doubling(Delivered, requests=[5, 7])),
    ("L2", "a delivery is removed", removing(Delivered, requests=[5, 7])),
    ("L2", "a delivery comes before its completion", moving(Delivered, 12, requests=[3, 4])),
    ("L2", "a completion comes behind its delivery", moving(Completed, 26, request=7)),
    ("L2", "a delivered request is discarded", saying(Discarded([5, 5], "why", 1), 26)),
    ("L2", "a discard comes before the completion", saying(Discarded([5, 5], "why", 1), 12)),
    ("L2", "the raise at the blocked caller is removed", removing(Delivered, requests=[8, 8])),
    ("L2", "the cancel's delivery is removed", removing(Delivered, requests=[9, 9])),
    ("L2", "one of a run is left out", changing(Delivered, {"requests": [5, 6]}, requests=[5, 7])),
    ("L2", "a stranger is delivered", saying(Delivered([99, 99], "script"), 26)),
    ("L3", "the end of the cancel is removed", removing(CancelEnded, cancel=9)),
    ("L3", "the cancel ends twice", doubling(CancelEnded, cancel=9)),
    ("L3", "the cancel begins twice", doubling(CancelBegan, cancel=9)),
    ("L3", "the cancel is requested twice", doubling(CancelRequested, cancel=9)),
    ("L3", "the request of the cancel is removed", removing(CancelRequested, cancel=9)),
    ("L3", "the cancel ends before its victims", moving(CancelEnded, 17, cancel=9)),
    ("L3", "the cancel ends before the last run", moving(CancelEnded, 21, cancel=9)),
    (
        "L3",
        "two outcomes at one target",
        both(
            saying(CancelOutcome(9, 4, "too late"), 26), saying(CancelOutcome(9, 4, "ignored"), 26)
        ),
    ),
    ("L3", "a cancel of nobody ends", saying(CancelEnded(55, None), 26)),
    (
        "L3",
        "a victim has its own result and the cancel is silent",
        changing(Completed, {"code": None, "how": How.RESULT, "by": 0}, request=6),
    ),
    ("L4", "a victim is recoded to success", changing(Completed, {"code": None}, request=5)),
    (
        "L4",
        "a victim is recoded to another error",
        changing(Completed, {"code": -16009}, request=5),
    ),
    ("L4", "a victim is recoded to a refusal", changing(Completed, {"code": -36003}, request=8)),
    ("L4", "a victim names no cancel", changing(Completed, {"by": 0}, request=5)),
    ("L4", "a victim names another request", changing(Completed, {"by": 4}, request=5)),
    ("L4", "a victim names a cancel of nobody", changing(Completed, {"by": 66}, request=5)),
    ("L4", "a winner that is also too late", saying(CancelOutcome(9, 5, Outcome.TOO_LATE), 26)),
    ("L4", "too late for what is outstanding", saying(CancelOutcome(9, 5, Outcome.TOO_LATE), 12)),
    (
        "L4",
        "a stranger falls to the cancel",
        changing(CancelBegan, {"victims": [3, 6, 8, 8]}, cancel=9),
    ),
    ("L4", "a true result with a winner", changing(Completed, {"how": How.RESULT}, request=5)),
    (
        "L4",
        "a cancelled request that nobody cancelled",
        changing(Completed, {"how": How.CANCELLED}, request=2),
    ),
    ("L5", "new work is accepted in the window", saying(OUTPUT, 20)),
    (
        "L5",
        "a control request is accepted in the window",
        saying(OUTPUT._replace(operation="Option"), 16),
    ),
    ("L5", "a second cancel is accepted", saying(OUTPUT._replace(operation="Cancel"), 21)),
    ("L5", "accepted between the runs", saying(OUTPUT._replace(operation="Connect"), 19)),
    ("L5", "accepted with the kill", saying(OUTPUT._replace(operation="Input"), 12)),
    ("L5", "a rejected request reaches a driver", saying(Started(10), 20)),
    ("L5", "a rejected request starts later", saying(Started(10), 26)),
    (
        "L5",
        "the outside answers a rejected request",
        appending(10, Answer(10, None, None), AnswerIgnored(10, None)),
    ),
    (
        "L5",
        "the retry of the script was let through",
        lambda turns: edit(turns, 20, lambda _: [Accepted(10, 1, "Output", True, None, True)]),
    ),
    ("L5", "accepted while a victim completes", saying(OUTPUT._replace(operation="Bind"), 14)),
    ("L6", "two runs are exchanged", swapping(19, 22)),
    ("L6", "the cancel before its last victims", swapping(22, 24)),
    ("L6", "the blocked caller before the cancel", swapping(24, 25)),
    ("L6", "the blocked caller first", swapping(19, 25)),
    (
        "L6",
        "Outputs out of order",
        both(
            turning(22, message=CompletionScript([7, 7, 5, 6], False)),
            changing(Delivered, {"requests": [7, 7, 5, 6]}, requests=[5, 7]),
        ),
    ),
    (
        "L6",
        "an Output before the input spec",
        both(
            turning(19, message=CompletionScript([4, 4, 3, 3], False)),
            changing(Delivered, {"requests": [4, 4, 3, 3]}, requests=[3, 4]),
        ),
    ),
    (
        "L6",
        "the last Output before the others",
        changing(Delivered, {"requests": [7, 7, 5, 6]}, requests=[5, 7]),
    ),
    ("L6", "the cancel first of all", swapping(19, 24)),
    ("L6", "the blocked caller between the runs", swapping(22, 25)),
    (
        "L6",
        "everything backwards in the last run",
        changing(Delivered, {"requests": [7, 7, 6, 6, 5, 5]}, requests=[5, 7]),
    ),
    ("L7", "a discard without a reason", appending(31, Tell(0), Discarded([2, 2], "", 1))),
    ("L7", "a discard by nobody", saying(Discarded([5, 5], "why", 0), 26)),
    ("L7", "a discard by what never was", saying(Discarded([5, 5], "why", 4711), 26)),
    ("L10", "a cause in the future", turning(13, cause=Cause(14))),
    ("L10", "a turn that causes itself", turning(13, cause=Cause(13))),
    ("L10", "a cause that is no turn", turning(13, cause=Cause(-1))),
    ("L10", "an actor's turn without a cause", turning(13, cause=None)),
    ("L10", "a delivery without a cause", turning(19, cause=None)),
    ("L10", "a turn is missing", lambda turns: [t for t in turns if t.number != 12]),
    ("L10", "two turns are missing", lambda turns: [t for t in turns if t.number not in {16, 17}]),
    ("L10", "a turn comes twice", lambda turns: [*turns[:12], turns[11], *turns[12:]]),
    (
        "L10",
        "two turns out of order",
        lambda turns: [*turns[:11], turns[12], turns[11], *turns[13:]],
    ),
    ("L10", "a cause that is another's delivery", turning(20, cause=Cause(19, 7))),
    ("L11", "a request is submitted again", doubling(Accepted, request=5)),
    (
        "L11",
        "a rejected request is accepted",
        saying(Accepted(10, 1, "Output", True, None, True), 26),
    ),
    (
        "L11",
        "an accepted request is rejected",
        saying(Rejected(5, 1, "Output", -36003, "N-36003-window"), 26),
    ),
    ("L11", "a rejected request completes", saying(Completed(10, None, How.RESULT, 0), 26)),
    ("L11", "a completed request starts", saying(Started(5), 26)),
    ("L11", "a cancelled blocked request starts", saying(Started(8), 26)),
    ("L11", "a cancel's number is used again", doubling(Accepted, request=9)),
    (
        "L11",
        "a closed endpoint changes",
        both(saying(Closed(1, "x"), 25), saying(StateChanged(1, 5, 2), 26)),
    ),
    ("L11", "a closed endpoint accepts", both(saying(Closed(1, "x"), 25), saying(OUTPUT, 26))),
    (
        "L11",
        "a stopped actor acts",
        both(
            appending(40, Stop(False), Stopped(40, None)), appending(40, Tell(0), Stopped(41, None))
        ),
    ),
]


@pytest.mark.parametrize(
    ("law", "alter"),
    [pytest.param(law, alter, id=f"{law}: {text}") for law, text, alter in ALTERATIONS],
)
def test_an_alteration_is_found_under_its_law(law, alter):
    assert law in broken_laws(alter(incident().turns))


def test_each_broken_law_names_the_turns_that_prove_it():
    turns = doubling(Completed, request=5)(incident().turns)
    report = next(law for law in check(turns).laws if law.law == "L1")
    assert [finding.turns for finding in report.findings] == [(15, 26)]
    assert report.findings[0].subject == "r5"


def test_silence_after_a_dispose_that_forgets_its_reason_breaks_law_7():
    turns = everything().turns
    at = next(turn.number for turn in turns if isinstance(turn.message, Drop))
    assert "L7" in broken_laws(edit(turns, at, lambda events: events[:1]))
    assert "L1" in broken_laws(edit(turns, at, lambda _: ()))


def test_a_dispose_that_closes_first_and_drops_afterwards_breaks_nothing():
    r = Recording()
    r.open()
    pending = r.call("Output")
    called = r.turn(
        1, Origin.APP, None, Submit("Dispose", (), False, None), Closed(1, "disposed"), by=MAIN
    )
    assert broken_laws(r.turns) == set()
    r.turn(
        pending, Origin.ACTOR, called, Drop(called), Completed(pending, None, How.ABANDONED, 1),
        Discarded([pending, pending], "endpoint disposed", called),
    )  # fmt: skip
    assert check(r.turns).verdict is Verdict.HOLDS


def test_delivering_again_after_recovery_is_no_second_end():
    r = Recording()
    r.open()
    request = r.call("Output")
    r.answer(request)
    r.deliver([request])
    r.epoch = 2
    r.deliver([request])
    assert check(r.turns).verdict is Verdict.HOLDS


def test_an_unknown_dialect_has_no_window_and_no_order():
    turns = [
        replace(
            turn,
            events=tuple(
                e._replace(dialect="martian") if type(e).__name__ == "Opened" else e
                for e in turn.events
            ),
        )
        for turn in swapping(24, 25)(incident().turns)
    ]
    assert check(turns).verdict is Verdict.HOLDS


def test_the_device_profile_lets_work_in_while_a_time_out_runs():
    r = Recording()
    r.open(profile="rom")
    slow = r.call("Output", timeout_ns=1)
    r.time_out(slow, [slow])
    r.call("Output")
    assert "L5" not in broken_laws(r.turns)
    strict = Recording()
    strict.open(profile="guide")
    slow = strict.call("Output", timeout_ns=1)
    strict.time_out(slow, [slow])
    strict.call("Output")
    assert "L5" in broken_laws(strict.turns)


def test_a_gap_that_the_reader_has_explained_is_open_and_not_broken():
    turns = incident().turns
    damage = [Damage("rot-body", 1, 100, 50, 12, 12, "a batch is damaged")]
    court = bounded_court([])
    court._damage = lambda: damage
    for turn in turns:
        if turn.number != 12:
            court.feed(turn)
    verdicts = {report.law: report.verdict for report in court.close()}
    assert verdicts["L10"] is Verdict.OPEN
    assert Verdict.BROKEN not in verdicts.values()


def test_ten_alterations_of_nearly_every_law_are_tried():
    tried = [law for law, _, _ in ALTERATIONS]
    assert {law for law in set(tried) if tried.count(law) >= 10} >= {
        "L1", "L2", "L3", "L4", "L5", "L6", "L10", "L11",
    }  # fmt: skip


def test_the_screen_fits_and_the_document_agrees_with_it():
    turns = doubling(Completed, request=5)(incident().turns)
    report = check(turns)
    text = as_text(check_lines(report))
    assert "r5 completed twice" in text
    assert max(map(len, text.splitlines())) <= MARGIN
    document = check_json(report)
    assert document["verdict"] == "broken"
    assert [law["law"] for law in document["laws"] if law["broken"]] == ["L1"]


def test_your_own_law_is_judged_beside_ours():
    class NoOutput(Law):
        """A law of a test."""

        id = "X1"
        says = "nobody sends"
        kinds = (Accepted,)

        def sees(self, event, turn):
            if event.operation == "Output":
                self.broken(f"r{event.request}", [turn.number], "it sends", event.request)

    report = check(incident().turns, laws=[*LAWS, NoOutput])
    assert {law.law: law.verdict for law in report.laws}["X1"] is Verdict.BROKEN
