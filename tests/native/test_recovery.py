"""Recovery: what outlived a process goes on in the next one, or is ended."""

import queue
from typing import Any

import pykka
import pytest

from rescind import Cancelled, event, newton
from rescind.actors.kernel._request import DELIVERED
from rescind.actors.native import Twin
from rescind.actors.runtime import RecoveryError, RuntimeClosedError, UsageError
from rescind.actors.runtime._survivors import Survivors
from rescind.events import (
    Accepted,
    CancelOutcome,
    Closed,
    Completed,
    Discarded,
    Drop,
    How,
    Log,
    LogDamagedError,
    Opened,
    Origin,
    Outcome,
    Recover,
    Stopped,
    read,
)
from rescind.replay import check, why
from tests.runtime.helpers import PATIENCE_S
from tests.runtime.recordings import DISPATCHERS

from .stores import Adopt, Asker, Boss, Broken, Fall, Kept, Late, Plain, Put, Store, Wait, Watch


def told(runtime: Any, kind: type) -> list[Any]:
    """Return the events of a kind that the recovery recorded."""
    turns = [turn for turn in read(runtime.log) if turn.origin is Origin.RECOVERY]
    return [each for turn in turns for each in turn.events if isinstance(each, kind)]


# --- actors --------------------------------------------------------------------------------------


def test_an_actor_goes_on_with_its_number_and_its_state(stepped, crash):
    first = stepped.start(Store, "first")
    second = stepped.start(Store, "second", other=first)
    first.request(Put("a", 3))
    second.request(Put("b", 4))
    stepped.dispatcher.run()
    again = crash(stepped)
    refs = again.refs(Store)
    assert [each.number for each in refs] == [first.number, second.number]
    one, two = (again.actors[each.number] for each in refs)
    assert (one.title, one.total, one.names, one.recovered) == ("first", 3, ["a"], True)
    assert (two.title, two.total, two.names) == ("second", 4, ["b"])
    assert two.other is refs[0]
    assert one.chance == stepped.actors[first.number].chance
    assert refs[0].request(Put("c")).get() == 1
    assert one.names == ["a", "c"]
    assert refs[0].actor_urn == first.actor_urn
    assert pykka.ActorRegistry.get_by_urn(refs[1].actor_urn) is not None


def test_it_goes_on_after_a_second_crash(stepped, crash):
    store = stepped.start(Store, "s")
    store.request(Put("a"))
    stepped.dispatcher.run()
    once = crash(stepped)
    once.refs(Store)[0].request(Put("b"))
    once.dispatcher.run()
    twice = crash(once)
    assert twice.actors[store.number].names == ["a", "b"]


def test_a_child_knows_its_parent_and_a_parent_its_child(stepped, crash):
    parent = stepped.start(Store, "parent")
    parent.request(Adopt("child"))
    stepped.dispatcher.run()
    again = crash(stepped)
    parent, child = again.refs(Store)
    assert child.parent == parent.number
    assert again.actors[parent.number].child is child
    assert again.actors[child.number].other is parent


def test_a_supervisor_has_its_children_back(stepped, crash):
    boss = stepped.start(Boss, "boss")
    boss.request(Adopt("child"))
    stepped.dispatcher.run()
    again = crash(stepped, Boss)
    boss, child = again.refs(Boss)
    child.tell(Put("kept"))
    child.tell(Fall())
    again.dispatcher.run()
    assert child.incarnation == 2
    assert again.actors[child.number].names == ["kept"]
    boss.stop()
    assert not child.is_alive(), "a supervisor stops behind its children"


def test_who_closes_a_recovered_runtime_does_not_stop_its_actors(recordings, tmp_path):
    options = {"path": tmp_path / "log", "classes": [Store], "end_others": True}
    runtime = recordings.open("thread", **options)
    store, plain = runtime.start(Store, "s"), runtime.start(Plain)
    store.request(Put("a", 3)).get()
    store.tell(Put("b", 4))
    outstanding = store.request(Wait("abc"))
    runtime.close()
    assert outstanding.is_done
    assert not plain.is_alive()
    assert pykka.ActorRegistry.get_by_urn(store.actor_urn) is None
    with pytest.raises(RuntimeClosedError):
        store.tell(Put("c"))
    again = recordings.open("stepped", **options)
    (ref,) = again.refs(Store)
    assert ref.number == store.number
    assert again.actors[ref.number].total >= 7
    ref.stop()
    again.close()
    assert recordings.open("stepped", **options).refs(Store) == []


def test_an_actor_that_stopped_is_not_there_and_a_reference_to_it_is_dead(stepped, crash):
    gone = stepped.start(Store, "gone")
    store = stepped.start(Store, "s", other=gone)
    gone.stop()
    again = crash(stepped)
    assert [each.number for each in again.refs(Store)] == [store.number]
    other = again.actors[store.number].other
    assert other.number == gone.number
    with pytest.raises(pykka.ActorDeadError):
        other.tell("anything")


def test_a_class_that_is_not_named_is_refused_and_the_log_stays_as_it_was(stepped, crash, tmp_path):
    plain = stepped.start(Plain)
    stepped.start(Store, "s")
    with pytest.raises(RecoveryError, match=rf"{plain.number}: its class .*\.Plain is not among"):
        crash(stepped, Store)
    before = len(list(read(tmp_path / "crashed-1")))
    assert before == len(list(read(stepped.log)))


def test_others_are_ended_if_the_caller_says_so_and_who_watches_them_hears_of_it(stepped, crash):
    plain = stepped.start(Plain)
    store = stepped.start(Store, "s")
    store.request(Watch(plain))
    stepped.dispatcher.run()
    again = crash(stepped, Store, Watch, end_others=True)
    assert told(again, Stopped) == [Stopped(plain.number, "the process ended")]
    again.dispatcher.run()
    assert again.actors[store.number].names == [f"{plain.number} the process ended"]


def test_an_actor_without_events_is_ended(stepped, crash):
    plain = stepped.start(Plain)
    again = crash(stepped, Plain)
    assert told(again, Stopped) == [Stopped(plain.number, "the process ended")]
    assert again.refs(Plain) == []


def test_who_watches_an_actor_still_does(stepped, crash):
    one, two = stepped.start(Store, "one"), stepped.start(Store, "two")
    two.request(Watch(one))
    stepped.dispatcher.run()
    again = crash(stepped)
    again.refs(Store)[0].stop()
    again.dispatcher.run()
    assert again.actors[two.number].names == [f"{one.number} None"]


@pytest.mark.parametrize("dispatcher", DISPATCHERS)
def test_it_goes_on_under_every_dispatcher(stepped, recordings, tmp_path, dispatcher):
    store = stepped.start(Store, "s")
    stepped.sinks = {"orders": lambda _: None}
    store.request(Put("a"), sink="orders")
    stepped.run_turns()
    stepped.commit()
    stepped.log.save(tmp_path / "log")
    heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
    again = recordings.open(
        dispatcher, path=tmp_path / "log", classes=[Store], sinks={"orders": heard.put}
    )
    assert again.refs(Store)[0].request(Put("b")).get() == 1
    assert heard.get(timeout=PATIENCE_S).redelivered
    assert again.actors[store.number].names == ["a", "b"]


def test_an_actor_sets_its_timers_again(stepped, crash):
    late = stepped.start(Late, "late")
    again = crash(stepped, Late)
    again.dispatcher.advance(6)
    assert again.actors[late.number].names == ["late"]


def test_an_actor_that_fails_when_it_is_to_go_on_stops_alone(stepped, crash):
    broken, store = stepped.start(Broken, "b"), stepped.start(Store, "s")
    again = crash(stepped, Broken, Store)
    assert list(again.actors) == [store.number]
    assert told(again, Stopped) == [Stopped(broken.number, "LookupError: no")]


def test_without_classes_what_was_left_behind_is_left_alone(stepped, recordings, tmp_path):
    stepped.start(Store, "s")
    stepped.commit()
    stepped.log.save(tmp_path / "log")
    plain = recordings.open("stepped", path=tmp_path / "log")
    assert plain.actors == {}
    plain.close()
    again = recordings.open("stepped", path=tmp_path / "log", classes=[Store])
    assert [again.actors[each.number].title for each in again.refs(Store)] == ["s"]


def test_nothing_is_left_of_a_runtime_that_was_closed(recordings, tmp_path):
    runtime = recordings.open("stepped", path=tmp_path / "log")
    runtime.start(Store, "s")
    runtime.close()
    again = recordings.open("stepped", path=tmp_path / "log", classes=[])
    again.flush()
    assert all(turn.origin is not Origin.RECOVERY for turn in read(again.log))


# --- what cannot be rebuilt ----------------------------------------------------------------------


class Needy(Store):
    """What it is started with cannot be carried."""

    def __init__(self, work: Any) -> None:
        super().__init__("needy")
        self.job = work


class Eager(Store):
    """Does in its constructor what belongs into ``on_start``."""

    def __init__(self) -> None:
        super().__init__("eager")
        Store.start("child")


class Talkative(Store):
    """Tells another in its constructor that it is there, and notes it."""

    def __init__(self, other: Any) -> None:
        super().__init__("talkative", other)
        other.tell(Put("hello"))
        self.record(Kept("begun", 0))


class Fickle(Store):
    fails = False

    def __init__(self) -> None:
        super().__init__("fickle")
        if self.fails:
            raise OSError("not any more")


@event
class Strange:
    pass


class Forgetful(Store):
    def on_receive(self, _message: Any) -> Any:
        self.record(Strange())

    def apply_strange(self, _: Any) -> None:
        self.total += 1


def test_start_arguments_that_the_log_does_not_hold_are_named(stepped, crash):
    needy = stepped.start(Needy, lambda: None)
    with pytest.raises(RecoveryError, match=rf"{needy.number}: .*Opaque\(type='function'\)"):
        crash(stepped, Needy)


def test_so_are_those_that_a_policy_withheld(recordings, crash, tmp_path):
    runtime = recordings.open("stepped", payloads={"Start": "none"})
    runtime.start(Store, "secret")
    with pytest.raises(RecoveryError, match="withheld"):
        crash(runtime)


def test_a_constructor_that_starts_actors_is_refused(stepped, crash):
    eager = stepped.start(Eager)
    with pytest.raises(RecoveryError, match=f"{eager.number}: its constructor starts actors"):
        crash(stepped, Eager, Store)


def test_what_a_constructor_sends_and_records_is_not_done_again(stepped, crash):
    other = stepped.start(Store, "other")
    talkative = stepped.start(Talkative, other)
    stepped.dispatcher.run()
    again = crash(stepped, Talkative, Store)
    again.dispatcher.run()
    assert again.actors[other.number].names == ["hello"]
    assert again.actors[talkative.number].names == ["begun"]


def test_a_constructor_that_fails_today_is_told_and_nothing_else_happens(
    stepped, crash, monkeypatch, tmp_path
):
    stepped.start(Store, "s")
    fickle = stepped.start(Fickle)
    monkeypatch.setattr(Fickle, "fails", True)
    with pytest.raises(RecoveryError, match=f"{fickle.number}: .*OSError: not any more"):
        crash(stepped, Fickle, Store)
    assert len(list(read(tmp_path / "crashed-1"))) == len(list(read(stepped.log)))


def test_an_event_of_a_kind_that_is_not_known_is_named(stepped, crash):
    forgetful = stepped.start(Forgetful, "f")
    forgetful.tell("go")
    stepped.dispatcher.run()
    with pytest.raises(RecoveryError, match=r"turn 3 holds a .*\.Strange, which is not among"):
        crash(stepped, Forgetful)
    again = crash(stepped, Forgetful, Strange)
    assert again.actors[forgetful.number].total == 1


# --- requests ------------------------------------------------------------------------------------


def test_what_was_outstanding_ends_as_recovered_and_reaches_nobody(stepped, crash):
    store = stepped.start(Store, "s")
    Twin(stepped)
    served, waiting = store.request(Wait("abc")), store.request(Wait("never"))
    stepped.run_turns(1)
    again = crash(stepped, Store)
    ended = told(again, Completed)
    assert {each.request for each in ended} == {served.number, waiting.number, waiting.number + 1}
    assert {(each.how, each.code, each.by) for each in ended} == {(How.RECOVERED, 4, 0)}
    numbers = [served.number, waiting.number + 1]
    assert told(again, Discarded) == [Discarded(numbers, "the process ended", 0)]
    again.flush()
    report = check(read(again.log))
    assert all(not law.findings for law in report.laws)


def test_a_completion_that_nobody_heard_of_is_discarded(stepped, crash):
    store = stepped.start(Store, "s")
    request = store.request(Put("a"))
    stepped.run_turns()
    again = crash(stepped)
    assert told(again, Completed) == []
    numbers = [request.number, request.number]
    assert told(again, Discarded) == [Discarded(numbers, "the process ended", 0)]
    assert again.actors[store.number].names == ["a"]


def test_a_cancel_that_was_under_way_ends_and_its_victims_say_so(stepped, crash):
    store = stepped.start(Store, "s")
    Twin(stepped)
    request = store.request(Wait("abc"))
    stepped.dispatcher.run()
    request.cancel("enough")
    again = crash(stepped)
    outcomes = told(again, CancelOutcome)
    assert {each.outcome for each in outcomes} == {Outcome.SUPERSEDED}
    assert {each.target for each in outcomes} == {request.number, request.number + 1}
    again.flush()
    assert all(not law.findings for law in check(read(again.log)).laws)


def test_a_newton_endpoint_is_closed_and_its_requests_are_aborted(stepped, crash):
    stepped.start(Store, "s")
    endpoint = newton.Endpoint(stepped, newton.twin())
    endpoint.bind()
    endpoint.connect()
    first = endpoint.output("x", asynchronous=True)
    second = endpoint.cancel(asynchronous=True)
    again = crash(stepped)
    assert [each[:3] for each in told(again, Completed)] == [
        (first.number, newton.Code.CONNECTION_ABORTED, How.RECOVERED),
        (second.number, newton.Code.CONNECTION_ABORTED, How.RECOVERED),
    ]
    assert told(again, Closed) == [Closed(endpoint.number, "the process ended")]
    again.flush()
    assert all(not law.findings for law in check(read(again.log)).laws)


def test_why_says_that_its_process_ended(stepped, crash):
    Twin(stepped)
    request = stepped.start(Store, "s").request(Wait("abc"))
    again = crash(stepped)
    again.flush()
    story = why(read(again.log), f"r{request.number}")
    assert "was outstanding when its process ended: 4 lost" in story.headline
    assert "never delivered: the process ended" in story.facts


def test_nothing_is_said_of_an_endpoint_that_has_ended(stepped, crash):
    endpoint = newton.Endpoint(stepped, newton.twin())
    endpoint.bind()
    endpoint.unbind()
    endpoint.dispose()
    again = crash(stepped)
    again.flush()
    assert all(turn.origin is not Origin.RECOVERY for turn in read(again.log))


def test_an_endpoint_that_was_closed_is_not_closed_again(recordings, tmp_path):
    log = Log.create_or_open(tmp_path / "log")
    events = (
        Opened(5, "newton", "guide", ""),
        Accepted(6, 5, "Dispose", True, None, True),
        Completed(6, None, How.RESULT, 0),
        Closed(5, "disposed"),
    )
    wire = [(log.kind_ids[type(each)], *each) for each in events]
    log.append((5, 1, Origin.APP, 0, (log.kind_ids[Drop], 0, "disposed"), wire, None))
    log.close()
    again = recordings.open("stepped", path=tmp_path / "log", classes=[])
    again.flush()
    assert told(again, Closed) == []
    assert told(again, Discarded) == [Discarded([6, 6], "the process ended", 0)]


def test_ten_thousand_requests_end_in_a_few_turns(stepped, crash):
    store = stepped.start(Store, "s")
    Twin(stepped)
    for _ in range(5_000):
        store.request(Wait("abc"))
    stepped.dispatcher.run()
    again = crash(stepped)
    assert len(told(again, Completed)) == 10_000
    assert sum(isinstance(turn.message, Recover) for turn in read(again.log)) == 11


# --- sinks ---------------------------------------------------------------------------------------


def test_a_sink_hears_of_every_completion(recordings):
    heard: list[Any] = []
    runtime = recordings.open(
        "stepped", sinks={"orders": lambda each: heard.append((each.redelivered, each.get()))}
    )
    store = runtime.start(Store, "s")
    request = store.request(Put("a", 7), sink="orders")
    assert request.get() == 7
    assert heard == [(False, 7)]


def test_what_was_not_delivered_is_offered_again_under_its_number_and_marked(
    recordings, stepped, crash
):
    runtime = recordings.open("stepped", sinks={"orders": lambda _: None})
    store = runtime.start(Store, "s")
    delivered = store.request(Put("a"), sink="orders")
    runtime.dispatcher.run()
    undelivered = store.request(Put("b", 5), sink="orders")
    runtime.run_turns()
    outstanding = store.request(Put("c"), sink="orders")
    heard: list[Any] = []
    again = crash(runtime, sinks={"orders": heard.append})
    again.dispatcher.run()
    assert delivered.status is DELIVERED
    assert [(each.number, each.redelivered) for each in heard] == [
        (undelivered.number, True),
        (outstanding.number, False),
    ]
    assert heard[0].get() == 5
    (turn,) = [
        each
        for each in read(again.log)
        if Completed in map(type, each.events[:1]) and each.origin is Origin.RECOVERY
    ]
    assert heard[1].turn == turn.number
    with pytest.raises(Exception, match="the process ended first"):
        heard[1].get()
    third: list[Any] = []
    crash(again, sinks={"orders": third.append}).dispatcher.run()
    assert third == []


def test_a_cancelled_request_that_is_offered_again_still_says_who_cancelled_it(recordings, crash):
    runtime = recordings.open("stepped", sinks={"orders": lambda _: None})
    store = runtime.start(Store, "s")
    request = store.request(Put("a"), sink="orders")
    request.cancel("changed my mind")
    heard: list[Any] = []
    again = crash(runtime, sinks={"orders": heard.append})
    again.dispatcher.run()
    with pytest.raises(Cancelled, match=r"test_recovery\.py.*changed my mind") as caught:
        heard[0].get()
    assert caught.value.trigger == "cancel"
    assert heard[0].redelivered


def test_a_sink_that_is_not_given_is_named(recordings, crash):
    runtime = recordings.open("stepped", sinks={"orders": lambda _: None})
    request = runtime.start(Store, "s").request(Put("a"), sink="orders")
    with pytest.raises(RecoveryError, match=f"{request.number}: .*the sink 'orders'"):
        crash(runtime)


def test_a_sink_is_a_plain_function(recordings):
    async def ship(_request: Any) -> None: ...

    with pytest.raises(UsageError, match="'orders' is a coroutine function"):
        recordings.open("stepped", sinks={"orders": ship})


def test_a_request_is_routed_only_outside_of_turns_and_to_a_sink_there_is(stepped):
    store = stepped.start(Store, "s")
    with pytest.raises(UsageError, match="'nowhere'"):
        store.request(Put("a"), sink="nowhere")

    with pytest.raises(UsageError, match="inside a turn"):
        stepped.start(Asker).ask(store)


# --- damage --------------------------------------------------------------------------------------


def test_a_log_with_a_hole_is_not_recovered(recordings, stepped, tmp_path):
    path = tmp_path / "log"
    runtime = recordings.open("stepped", path=path, segment_bytes_max=600)
    store = runtime.start(Store, "s")
    for _ in range(30):
        store.request(Put("a"))
        runtime.dispatcher.run()
    runtime.log.save(tmp_path / "crashed")
    segments = sorted((tmp_path / "crashed").glob("*.seg"))
    segments[len(segments) // 2].unlink()
    with pytest.raises(LogDamagedError):
        recordings.open("stepped", path=tmp_path / "crashed", classes=[Store])
    assert not [each for each in read(tmp_path / "crashed") if each.origin is Origin.RECOVERY]


def test_nor_is_one_whose_losses_were_noted(stepped):
    for name in "abc":
        stepped.start(Store, name)
    stepped.commit()
    survivors = Survivors()
    first, _, third, *_ = read(stepped.log)
    survivors.feed(first)
    with pytest.raises(LogDamagedError, match=r"turns 2\.\.2 are missing"):
        survivors.feed(third)
