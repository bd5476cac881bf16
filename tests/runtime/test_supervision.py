"""Supervision: restart, resume, stop, escalate; limits, back-off, children; all in virtual time."""

import contextlib

import pykka
import pytest

from rescind import Decision, Runtime, Stepped, Supervision
from rescind.actors.runtime import Terminated, UsageError
from rescind.events import (
    DeadLetter,
    Fail,
    Failed,
    Origin,
    Restart,
    Restarted,
    Start,
    Stop,
    Stopped,
    Supervised,
    read,
)
from rescind.replay._rerun.rerun import rerun

from .family import Account, Add, Break, Child, Parent, Plain, Says, Sink
from .recordings import events_of, story, turns


def family(runtime, cls="Child", **rule):
    """Return a parent with a rule, its child, and the sink that both tell what they do."""
    sink = runtime.start(Sink)
    parent = runtime.start(Parent, "parent", sink, rule)
    arguments = () if cls == "Account" else ("child", sink)
    return parent, parent.ask(("start", cls, *arguments)), sink


def stopped(ref):
    """Wait until an actor has stopped; who asks it then hears that."""
    while ref.is_alive():
        with contextlib.suppress(pykka.ActorDeadError):
            ref.ask("are you there?")


def decisions(runtime, ref):
    return [
        (e.decision, e.delay_ns) for e in events_of(runtime, Supervised) if e.actor == ref.number
    ]


def times_of(runtime, ref, kind):
    """Return the times, in seconds of the runtime, at which an actor took messages of a kind."""
    start = turns(runtime)[0].time_ns
    return [
        (turn.time_ns - start) / 1e9
        for turn in turns(runtime)
        if turn.actor == ref.number and isinstance(turn.message, kind)
    ]


# --- the four decisions, under every dispatcher ---------------------------------------------------


def test_a_restart_makes_a_new_object_with_the_same_arguments(runtime):
    _, child, sink = family(runtime)
    child.ask("before")
    child.tell("restart")
    assert child.ask("taken?") == []
    assert child.ask("incarnation?") == 2
    assert events_of(runtime, Restarted) == [Restarted(child.number, 2)]
    assert decisions(runtime, child) == [("restart", 0)]
    said = [what for name, what in sink.ask("told?") if name == "child"]
    assert said == ["made", "started", "failed", "made", "started"]


def test_resumed_it_goes_on_as_it_was(runtime):
    _, child, sink = family(runtime)
    child.ask("before")
    child.tell("resume")
    assert child.ask("taken?") == ["before"]
    assert child.ask("incarnation?") == 1
    assert ("child", "failed") not in sink.ask("told?")
    [failed] = [
        turn for turn in turns(runtime) if Failed("ArithmeticError: as asked") in turn.events
    ]
    assert failed.events[1:] == (Supervised(child.number, "resume", 0),)


def test_stopped_it_is_dead_and_its_parent_is_told_once_and_goes_on(runtime):
    parent, child, _ = family(runtime)
    child.watch(parent)
    child.tell("stop")
    with pytest.raises(pykka.ActorDeadError):
        child.ask("taken?")
    terminated = [message for message in parent.ask("taken?") if isinstance(message, Terminated)]
    assert terminated == [Terminated(child.number, "BufferError: as asked")]
    assert decisions(runtime, child) == [("stop", 0)]


def test_escalated_the_parent_fails_with_what_the_child_raised(runtime):
    sink = runtime.start(Sink)
    top = runtime.start(Parent, "top", sink, {"decide": "always restart"})
    parent = top.ask(("start", "Parent", "parent", sink))
    child = parent.ask(("start", "Child", "child", sink))
    child.tell("escalate")
    with pytest.raises(pykka.ActorDeadError):
        child.ask("taken?")
    assert parent.ask("incarnation?") == 2
    assert decisions(runtime, child) == [("escalate", 0)]
    assert decisions(runtime, parent) == [("restart", 0)]
    [told] = [turn for turn in turns(runtime) if isinstance(turn.message, Fail)]
    assert told.events[0] == Failed("RuntimeError: as asked")
    assert top.ask("incarnation?") == 1


def test_escalated_to_a_parent_without_a_supervisor_it_stops_that_one(runtime):
    parent, child, _ = family(runtime)
    other = parent.ask(("start", "Child", "other"))
    child.tell("escalate")
    for ref in (child, other, parent):
        stopped(ref)
        assert not ref.is_alive()
    error = "RuntimeError: as asked"
    assert Stopped(child.number, error) in events_of(runtime, Stopped)
    assert events_of(runtime, Stopped)[-2:] == [
        Stopped(other.number, None),
        Stopped(parent.number, error),
    ]


def test_without_a_rule_it_is_as_in_pykka(runtime):
    parent = runtime.start(Plain)
    child = parent.ask("start")
    other = parent.ask("start")
    child.tell("restart")
    with pytest.raises(pykka.ActorDeadError):
        child.ask("taken?")
    parent.stop()
    assert other.ask("incarnation?") == 1, "its children do not stop with a parent without a rule"
    assert events_of(runtime, Supervised) == []


def test_what_an_ask_raises_is_for_who_asked(runtime):
    _, child, _ = family(runtime)
    child.ask("before")
    with pytest.raises(LookupError):
        child.ask("restart")
    assert child.ask("taken?") == ["before"]
    assert events_of(runtime, Supervised) == []


def test_a_rule_that_raises_escalates(runtime, caplog):
    parent, child, _ = family(runtime, decide="wrong")
    child.tell("restart")
    stopped(child)
    stopped(parent)
    assert decisions(runtime, child) == [("escalate", 0)]
    assert "could not decide" in caplog.text


def test_a_rule_may_stand_on_the_class_and_say_its_decision_as_text(runtime):
    parent = runtime.start(Says)
    child = parent.ask(("start", "Child", "child"))
    child.tell("fail")
    assert child.ask("incarnation?") == 2


# --- while it waits for its restart --------------------------------------------------------------


def test_what_comes_before_the_restart_is_taken_first_behind_it(runtime):
    _, child, _ = family(runtime, backoff_s=(0.01, 0.01))
    child.tell("restart")
    asked = [child.ask(n, block=False) for n in range(5)]
    assert [each.get() for each in asked] == list(range(5))
    assert child.ask("taken?") == list(range(5))
    assert child.ask("incarnation?") == 2


def test_a_stop_ends_the_wait_at_once_and_all_who_asked_hear(stepped):
    _, child, sink = family(stepped, backoff_s=(3600, 3600))
    child.tell("restart")
    asked = [child.ask(n, block=False) for n in range(3)]
    assert child.stop() is True
    for each in asked:
        with pytest.raises(pykka.ActorDeadError):
            each.get()
    assert times_of(stepped, child, Stop) == [0.0]
    assert Stopped(child.number, None) in events_of(stepped, Stopped)
    assert sink.ask("told?")[-1] == ("child", "failed"), "its incarnation has ended already"
    stepped.dispatcher.advance(7200)
    assert events_of(stepped, Restarted) == []


def test_close_ends_the_wait_too(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    parent = runtime.start(Parent, "parent", None, {"backoff_s": (3600, 3600)})
    child = parent.ask(("start", "Child", "child"))
    child.tell("restart")
    asked = child.ask(1, block=False)
    runtime.close()
    with pytest.raises(pykka.ActorDeadError):
        asked.get()


def test_a_timer_of_an_earlier_incarnation_says_nothing(stepped):
    parent = stepped.start(Parent)
    child = parent.ask(("start", "Ticks"))
    stepped.dispatcher.advance(2.5)
    child.tell("restart")
    stepped.dispatcher.advance(3)
    assert child.ask("taken?") == ["tick"] * 3


# --- limits and back-off, in virtual time --------------------------------------------------------


def test_the_wait_doubles_up_to_its_cap(stepped):
    _, child, _ = family(stepped, restarts_max=6, within_s=1e6, backoff_s=(0.5, 5))
    for _ in range(6):
        child.tell("restart")
        stepped.dispatcher.advance(10)
    waits = [delay_ns / 1e9 for _, delay_ns in decisions(stepped, child)]
    assert waits == [0.5, 1, 2, 4, 5, 5]
    begun = times_of(stepped, child, Restart)
    assert begun == [10 * n + wait for n, wait in enumerate(waits)]
    origins = {turn.origin for turn in turns(stepped) if isinstance(turn.message, Restart)}
    assert origins == {Origin.TIMER}


def test_too_many_restarts_within_the_window_escalate(stepped):
    parent, child, _ = family(stepped, restarts_max=2, within_s=60)
    for _ in range(3):
        child.tell("restart")
        stepped.dispatcher.advance(10)
    assert [decision for decision, _ in decisions(stepped, child)] == [
        "restart",
        "restart",
        "escalate",
    ]
    assert not parent.is_alive()


def test_restarts_long_ago_count_for_nothing(stepped):
    _, child, _ = family(stepped, restarts_max=2, within_s=60, backoff_s=(1, 8))
    for _ in range(5):
        child.tell("restart")
        stepped.dispatcher.advance(31)
    assert decisions(stepped, child) == [("restart", 10**9), *[("restart", 2 * 10**9)] * 4]
    assert child.ask("incarnation?") == 6


def test_chance_shortens_the_wait_and_is_met_again(stepped):
    parent, child, _ = family(stepped, restarts_max=9, backoff_s=(10, 10), jitter=0.5)
    other = parent.ask(("start", "Child", "other"))
    for ref in (child, other, child):
        ref.tell("restart")
        stepped.dispatcher.advance(10)
    waits = [delay for ref in (child, other) for _, delay in decisions(stepped, ref)]
    assert all(5e9 <= delay <= 10e9 for delay in waits)
    assert len(set(waits)) == 3
    # The audit of the recording executes it again and finds the same chance.


def test_supervision_in_equal_runs_is_equal_to_the_byte():
    def run():
        stepped = Stepped(7)
        with Runtime.open(dispatcher=stepped) as runtime:
            _, child, _ = family(runtime, backoff_s=(1, 60), jitter=1.0)
            for _ in range(3):
                child.tell("restart")
                stepped.advance(90)
        return [(turn.time_ns, turn.message, turn.events) for turn in read(runtime.log)]

    first = run()
    assert first == run()
    assert [each for _, _, events in first for each in events if isinstance(each, Restarted)]


def test_a_constructor_that_raises_is_tried_again_until_the_limit(stepped):
    parent = stepped.start(Parent, "parent", None, {"restarts_max": 2, "backoff_s": (1, 9)})
    child = parent.ask(("start", "Stillborn"))
    stepped.dispatcher.advance(60)
    assert [each for each, _ in decisions(stepped, child)] == ["restart", "restart", "escalate"]
    assert times_of(stepped, child, Restart) == [1, 3]
    assert [e.incarnation for e in events_of(stepped, Restarted)] == [2, 3]
    assert not child.is_alive()
    assert not parent.is_alive()


def test_a_constructor_that_raises_cannot_be_resumed(runtime):
    parent = runtime.start(Parent, "parent", None, {"decide": "always resume"})
    child = parent.ask(("start", "Stillborn"))
    stopped(child)
    assert decisions(runtime, child) == [("stop", 0)]


# --- children ------------------------------------------------------------------------------------


def children_of(parent, sink, count):
    return [parent.ask(("start", "Child", f"child {n}", sink)) for n in range(count)]


def test_a_parent_stops_behind_its_children_the_last_started_first(runtime):
    sink = runtime.start(Sink)
    parent = runtime.start(Parent, "parent", sink)
    first = parent.ask(("start", "Parent", "first", sink))
    children_of(first, sink, 2)
    parent.ask(("start", "Child", "second", sink))
    assert parent.stop() is True
    stopped = [name for name, what in sink.ask("told?") if what == "stopped"]
    assert stopped == ["second", "child 1", "child 0", "first", "parent"]


def test_each_stop_of_a_child_has_the_turn_before_it_as_its_cause(stepped):
    sink = stepped.start(Sink)
    parent = stepped.start(Parent, "parent", sink)
    first, second = children_of(parent, sink, 2)
    parent.stop()
    stops = [turn for turn in turns(stepped) if isinstance(turn.message, Stop)]
    assert [turn.actor for turn in stops] == [ref.number for ref in (parent, second, first, parent)]
    assert [turn.cause.number for turn in stops[1:]] == [turn.number for turn in stops[:-1]]
    assert stops[0].events == (Supervised(parent.number, "stop", 0),)


def test_who_asks_a_parent_that_stops_hears_that_it_is_dead(stepped):
    sink = stepped.start(Sink)
    parent = stepped.start(Parent, "parent", sink)
    children_of(parent, sink, 3)
    stopping = [parent.stop(block=False) for _ in range(2)]
    asked = parent.ask(1, block=False)
    assert stopping[0].get() is True
    assert stopping[1].get() is False
    with pytest.raises(pykka.ActorDeadError):
        asked.get()


def test_before_a_parent_restarts_its_children_stop_and_the_wait_counts_from_there(stepped):
    sink = stepped.start(Sink)
    top = stepped.start(Parent, "top", sink, {"backoff_s": (5, 5)})
    parent = top.ask(("start", "Parent", "parent", sink))
    children = children_of(parent, sink, 3)
    slow = parent.ask(("start", "Waits", sink))
    slow.tell(2)
    parent.tell("restart")
    stepped.dispatcher.advance(1)
    assert [ref.is_alive() for ref in (*children, slow)] == [True] * 4, "the youngest still waits"
    stepped.dispatcher.advance(10)
    assert times_of(stepped, parent, Restart) == [7]
    assert not any(ref.is_alive() for ref in children)
    assert parent.ask("incarnation?") == 2


# Under the others the parent may be sooner than its child.
in_order = pytest.mark.parametrize("dispatcher", ["stepped", "thread"], indirect=True)


@in_order
@pytest.mark.parametrize("how", ["ask", "request"])
def test_a_child_that_waits_for_its_parent_does_not_keep_it_from_restarting(runtime, how):
    sink = runtime.start(Sink)
    top = runtime.start(Parent, "top", sink, {"decide": "always restart"})
    parent = top.ask(("start", "Parent", "parent", sink))
    child = parent.ask(("start", "Asks", parent, sink))
    child.tell(("wait", how, 0))
    parent.tell("restart")
    stopped(child)
    assert parent.ask("incarnation?") == 2
    assert ("asks", "from a child") in sink.ask("told?")


@in_order
@pytest.mark.parametrize("how", ["ask", "request"])
def test_a_child_that_waits_for_its_parent_does_not_keep_it_from_stopping(runtime, how):
    sink = runtime.start(Sink)
    parent = runtime.start(Parent, "parent", sink)
    child = parent.ask(("start", "Asks", parent, sink))
    child.tell(("wait", how, 0))
    assert parent.stop() is True
    stopped(child)
    assert not parent.is_alive()


@pytest.mark.parametrize("how", ["ask", "request"])
def test_to_wait_for_a_parent_that_waits_for_ones_end_is_a_circle(stepped, how):
    sink = stepped.start(Sink)
    parent = stepped.start(Parent, "parent", sink)
    child = parent.ask(("start", "Asks", parent, sink))
    child.tell(("wait", how, 1))
    assert parent.stop() is True
    stopped(child)
    assert ("asks", "deadlock") in sink.ask("told?")


def test_a_child_that_had_not_begun_when_its_parent_failed_never_does(stepped):
    sink = stepped.start(Sink)
    top = stepped.start(Parent, "top", sink)
    parent = top.ask(("start", "Parent", "parent", sink))
    parent.tell(("start", "Child", "late", sink))
    parent.tell("restart")
    stepped.dispatcher.run()
    assert parent.ask("incarnation?") == 2
    starts = [turn for turn in turns(stepped) if isinstance(turn.message, Start)]
    assert starts[-1].events == (DeadLetter(starts[-1].actor),)
    assert ("late", "made") not in sink.ask("told?")


def test_what_a_failed_handler_started_was_never_born(runtime):
    sink = runtime.start(Sink)
    top = runtime.start(Parent, "top", sink)
    parent = top.ask(("start", "Parent", "parent", sink))
    parent.tell(("start and fail", "Child", "never", sink))
    assert parent.ask("incarnation?") == 2
    assert ("never", "made") not in sink.ask("told?")


def test_a_failure_left_with_an_earlier_incarnation_is_nobodys(stepped):
    top = stepped.start(Parent, "top", None, {"decide": "always restart"})
    parent = top.ask(("start", "Parent", "parent"))
    children = [parent.ask(("start", "Child", f"child {n}")) for n in range(2)]
    for child in children:
        child.tell("escalate")
    stepped.dispatcher.run()
    assert parent.ask("incarnation?") in {2, 3}
    assert top.ask("incarnation?") == 1


# --- event-sourced actors ------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "incarnation"), [("restart", 2), ("resume", 1)])
def test_an_event_sourced_actor_goes_on_with_what_its_events_made(runtime, how, incarnation):
    _, account, _ = family(runtime, "Account")
    account.tell(Add(3))
    account.tell(Break(how))
    account.tell(Add(4))
    assert account.ask("sum?") == 7
    assert account.ask("incarnation?") == incarnation


def test_what_is_no_exception_stops_one_event_sourced_actor_and_nobody_else(runtime):
    account, other, third = runtime.start(Account), runtime.start(Account), runtime.start(Sink)
    account.tell(Add(-1))
    with pytest.raises(pykka.ActorDeadError):
        account.ask("sum?")
    assert other.ask(Add(1)) == 1
    assert third.ask("told?") == []


def test_what_is_no_exception_is_a_failure_like_any_other_to_the_rule(runtime):
    _, account, _ = family(runtime, "Account", decide="as text")
    account.tell(Add(3))
    account.tell(Add(-1))
    with pytest.raises(SystemExit):
        account.ask(Add(-1))
    assert account.ask("sum?") == 3
    assert account.ask("incarnation?") == 3


def test_what_is_no_exception_in_an_actor_of_pykkas_kind_stops_all(runtime):
    parent, child, sink = family(runtime)
    child.tell("leave")
    for ref in (child, parent, sink):
        stopped(ref)
        assert not ref.is_alive()
    assert events_of(runtime, Supervised) == []


# --- death watch ---------------------------------------------------------------------------------


def test_a_watcher_hears_of_the_end_and_not_of_a_restart(runtime):
    _, child, _ = family(runtime)
    watcher = runtime.start(Sink)
    child.watch(watcher)
    child.watch(watcher)
    child.tell("restart")
    assert child.ask("incarnation?") == 2
    child.stop()
    assert watcher.ask("told?") == [Terminated(child.number, None)]


def test_who_watches_too_late_hears_what_stopped_it(runtime):
    _, child, _ = family(runtime)
    watcher = runtime.start(Sink)
    child.tell("stop")
    stopped(child)
    child.watch(watcher)
    watcher.ask("told?")
    assert watcher.ask("told?") == [Terminated(child.number, "BufferError: as asked")]


# --- the rule itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"restarts_max": -1},
        {"within_s": -1.0},
        {"backoff_s": (2.0, 1.0)},
        {"backoff_s": (-1.0, 1.0)},
        {"jitter": 1.5},
    ],
    ids=str,
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError):
        Supervision(**wrong)


def test_a_rule_without_restarts_escalates_at_once():
    rule = Supervision(restarts_max=0)
    assert rule.judge(LookupError(), [], 0, lambda: 0.5) == (Decision.ESCALATE, 0)


def test_so_many_restarts_that_no_float_could_count_them_wait_for_the_cap():
    rule = Supervision(restarts_max=10**4, backoff_s=(1, 60))
    restarts = [0] * 5000
    assert rule.judge(LookupError(), restarts, 0, lambda: 0.5) == (Decision.RESTART, 60 * 10**9)


# --- re-execution --------------------------------------------------------------------------------


def test_a_recording_is_executed_again_with_some_of_its_classes(stepped):
    _, child, _ = family(stepped, backoff_s=(1, 1))
    child.tell("restart")
    child.tell(1)
    stepped.dispatcher.advance(2)
    child.tell("escalate")
    stepped.dispatcher.advance(2)
    stepped.flush()
    for classes in ([Parent, Child, Sink], [Parent, Sink], [Child, Sink], [Sink], []):
        again = rerun(read(stepped.log), classes=classes)
        assert again.divergence is None, (classes, again, *story(stepped.log))


def test_another_decision_of_todays_code_is_found(stepped, monkeypatch):
    _, child, _ = family(stepped)
    child.tell("restart")
    child.ask("taken?")
    stepped.flush()
    monkeypatch.setattr(Supervision, "judge", lambda *_: (Decision.RESUME, 0))
    again = rerun(read(stepped.log), classes=[Parent, Child, Sink])
    assert again.divergence is not None
    assert again.divergence.what == "other events"
