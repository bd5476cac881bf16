"""How a runtime stands, in numbers: each of them is shown to move, and to come back."""

import json

import pytest

from rescind import Actor as NativeActor
from rescind import newton
from rescind.actors.native import Twin
from rescind.actors.runtime import Actor, Mailbox, MailboxFullError
from rescind.events import DeadLetter, Dropped, Failed, Overflowed, SlowTurn
from tests.native.actors import Boss, Crawl, Crawler, Fetch, Patient

from .actors import Doubler, Relay
from .helpers import PATIENCE_S, Helper
from .recordings import events_of, waits


def settle(runtime):
    runtime.dispatcher.run()


def test_a_new_runtime_has_nothing(runtime):
    said = runtime.statistics()._asdict()
    assert said.pop("epoch") == 1
    assert not any(said.values())


def test_it_is_made_of_plain_numbers(stepped, connect):
    connect(stepped)
    stepped.start(Crawler)
    said = stepped.statistics()._asdict()
    assert json.loads(json.dumps(said)).keys() == said.keys()
    for value in said.values():
        assert type(value) is int or {type(each) for each in value.values()} == {int}


def test_turns_wait_until_they_are_written(recordings, tmp_path):
    stepped = recordings.open("stepped", path=tmp_path / "log")
    ref = stepped.start(Doubler)
    ref.tell(1)
    stepped.run_turns()
    said = stepped.statistics()
    assert said.turns == stepped.log.last_number > said.turns_durable
    settle(stepped)
    said = stepped.statistics()
    assert said.turns == said.turns_durable
    turns = stepped.log.last_number
    stepped.close()
    again = recordings.open("stepped", path=tmp_path / "log")
    said = again.statistics()
    assert (said.epoch, said.turns, said.turns_durable) == (2, said.turns, said.turns)
    assert said.turns > turns


def test_actors_are_counted_by_class(runtime):
    first, _ = runtime.start(Doubler), runtime.start(Doubler)
    runtime.start(Relay, first)
    said = runtime.statistics()
    doublers, relays = (f"{kind.__module__}.{kind.__qualname__}" for kind in (Doubler, Relay))
    assert said.actors_by_class == {doublers: 2, relays: 1}
    assert said.actors == 3
    first.stop()
    assert runtime.statistics().actors == 2


class Aside(Actor):
    def on_receive(self, message):
        if message == "back":
            self.unstash()
        elif message != "taken":
            self.stash()


def test_messages_are_counted_where_they_wait(stepped):
    ref = stepped.start(Aside)
    for _ in range(3):
        ref.tell("later")
    assert stepped.statistics().waiting_backlog == 3
    settle(stepped)
    said = stepped.statistics()
    assert (said.waiting_backlog, said.waiting_stashed) == (0, 3)
    ref.tell("back")
    ref.stop(block=False, urgent=True)
    assert (stepped.statistics().waiting_control, stepped.statistics().waiting_backlog) == (1, 1)


class Narrow(Doubler):
    mailbox = Mailbox(max=2)


class Forgetful(Doubler):
    mailbox = Mailbox(max=2, when_full="drop oldest")


def test_messages_in_bounded_mailboxes_are_counted_once(stepped):
    narrow, forgetful = stepped.start(Narrow), stepped.start(Forgetful)
    for _ in range(2):
        narrow.tell(1)
    for _ in range(5):
        forgetful.tell(1)
    # Besides, what is to be recorded of three that were dropped.
    said = stepped.statistics()
    assert (said.waiting_backlog, said.waiting_control) == (4, 3)


def test_victims_on_their_way_are_counted_one_by_one(stepped, connect):
    endpoint, twin = connect(stepped, holds_kills=True)
    for _ in range(10):
        endpoint.output("x", asynchronous=True)
    settle(stepped)
    endpoint.cancel(asynchronous=True)
    settle(stepped)
    twin.finish_kill()
    assert stepped.statistics().waiting_reports == 1
    stepped.run_turns(limit=4)  # the report, then three of the ten
    said = stepped.statistics()
    assert (said.waiting_reports, said.waiting_control) == (0, 7)
    assert (said.requests, said.cancels) == (11, 1)
    settle(stepped)
    assert stepped.statistics().cancels == 0


def test_requests_are_counted_by_dialect_and_endpoint(stepped, connect):
    Twin(stepped)
    one, _ = connect(stepped)
    other, _ = connect(stepped)
    crawler = stepped.start(Crawler)
    for _ in range(3):
        one.output("x", asynchronous=True)
    request = crawler.request(Fetch("a"))
    settle(stepped)
    said = stepped.statistics()
    native = request.endpoint.number  # the request, and the work that it gave away
    assert said.requests_by_endpoint == {native: 2, one.number: 3, other.number: 0}
    assert said.requests_by_dialect == {"native": 2, "newton": 3}
    assert said.requests == 5
    one.dispose()
    settle(stepped)
    assert stepped.statistics().requests_by_endpoint == {native: 2, other.number: 0}


def test_a_cancel_of_a_request_is_under_way_until_its_work_has_ended(stepped):
    twin = Twin(stepped)
    request = stepped.start(Patient).request(Fetch("a"))
    settle(stepped)
    request.cancel()
    request.cancel()  # a duplicate ends at once
    settle(stepped)
    said = stepped.statistics()
    assert (said.cancels, said.timers) == (1, 1)  # its grace
    twin.end()
    settle(stepped)
    said = stepped.statistics()
    assert (said.cancels, said.timers, said.requests) == (0, 0, 0)


def test_the_stop_of_an_asker_is_a_cancel_that_ends_at_once(stepped):
    Twin(stepped)
    boss = stepped.start(Boss, stepped.start(Crawler))
    boss.request(Crawl(["a", "b"]))
    settle(stepped)
    boss.stop()
    settle(stepped)
    assert stepped.statistics().cancels == 0


def test_a_timer_counts_until_it_fires_or_is_cancelled(stepped, connect):
    endpoint, twin = connect(stepped)
    endpoint.output("x", newton.CallbackSpec(True, 5, None))
    endpoint.output("y", newton.CallbackSpec(True, 5, None))
    settle(stepped)
    assert stepped.statistics().timers == 2
    twin.complete_next()
    settle(stepped)
    assert stepped.statistics().timers == 1
    stepped.dispatcher.advance(6)
    assert stepped.statistics().timers == 0


class Tells(Actor):
    """Says what it sees from inside its turn, and while it waits there."""

    def __init__(self, other=None):
        self.other = other

    def on_receive(self, message):
        if self.other is not None:
            return self.other.ask(message)
        return self.runtime.statistics().waits_in_turns


@waits
def test_a_handler_sees_who_waits_for_it(runtime):
    inner = runtime.start(Tells)
    outer = runtime.start(Tells, inner)
    assert inner.ask("?") == 0
    assert outer.ask("?") == 1
    assert runtime.statistics().waits_in_turns == 0


class Holds(NativeActor):
    dispatcher = "pinned"

    def on_receive(self, event):
        event.wait()


def test_messages_for_an_actor_that_is_busy_in_its_own_thread_are_parked(recordings):
    import threading

    runtime = recordings.open("thread")
    ref, held = runtime.start(Holds), threading.Event()
    ref.tell(held)
    ref.tell(held)
    while runtime.statistics().waiting_parked != 1:
        pass
    held.set()
    ref.stop()
    assert runtime.statistics().waiting_parked == 0


class Fails(Actor):
    def __init__(self, when):
        if when == "made":
            raise LookupError(when)

    def on_receive(self, message):
        raise LookupError(message)


def test_failures_are_counted_whoever_hears_of_them(runtime):
    with pytest.raises(LookupError):
        runtime.start(Fails, "made")
    ref = runtime.start(Fails, "told")
    with pytest.raises(LookupError):
        ref.ask("an answer is no failure")
    assert runtime.statistics().failures == len(events_of(runtime, Failed)) == 1
    ref.tell("told")
    getattr(runtime.dispatcher, "run", lambda: ref.actor_stopped.wait(PATIENCE_S))()
    assert runtime.statistics().failures == len(events_of(runtime, Failed)) == 2


class NeverMade(Actor):
    def __new__(cls):
        raise LookupError("as asked")


def test_what_could_not_even_be_made_has_failed_too(stepped):
    with pytest.raises(LookupError):
        stepped.start(NeverMade)
    assert stepped.statistics().failures == len(events_of(stepped, Failed)) == 1


def test_lost_messages_are_counted_by_what_became_of_them(stepped):
    gone, narrow, forgetful = map(stepped.start, (Doubler, Narrow, Forgetful))
    gone.tell(1)
    gone.stop(urgent=True, block=False)
    for _ in range(3):
        forgetful.tell(1)
    narrow.tell(1)
    narrow.tell(1)
    for _ in range(4):
        with pytest.raises(MailboxFullError):
            narrow.tell(1)
    settle(stepped)
    said = stepped.statistics()
    assert said.dead_letters == len(events_of(stepped, DeadLetter)) == 1
    assert said.dropped == len(events_of(stepped, Dropped)) == 1
    assert said.overflowed == sum(each.messages for each in events_of(stepped, Overflowed)) == 4


def test_slow_turns_are_counted(recordings):
    runtime = recordings.open("thread", slow_turn_s=0.0)
    assert runtime.start(Doubler).ask(1) == 2
    assert runtime.statistics().slow_turns == len(events_of(runtime, SlowTurn)) > 0


def test_a_closed_runtime_says_how_it_ended(runtime):
    ref = runtime.start(Doubler)
    ref.ask(1)
    runtime.close()
    said = runtime.statistics()
    assert (said.actors, said.turns) == (0, runtime.log.last_number)
    assert said.turns_durable == said.turns


def test_a_runtime_that_has_failed_says_so(recordings):
    runtime = recordings.open("thread")
    runtime.fail(OSError("no medium"))
    with pytest.raises(Exception, match="no medium"):
        runtime.statistics()
    runtime.close()
    recordings._made.clear()


def test_many_threads_ask_while_it_runs(recordings):
    runtime = recordings.open("thread")
    ref = runtime.start(Doubler)
    before = runtime.statistics().turns

    def ask():
        return [(ref.ask(1), runtime.statistics().turns)[1] for _ in range(200)]

    helpers = [Helper(ask) for _ in range(4)]
    for seen in [each.result() for each in helpers]:
        assert seen == sorted(seen)
        assert before < seen[0]
