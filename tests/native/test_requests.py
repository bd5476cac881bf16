"""Requests to the application's own actors: one completion each, and who cancelled it."""

import logging

import pykka
import pytest

from rescind import Actor, Cancelled
from rescind.actors.native import RequestFailed, RequestRefused, TimedOut
from rescind.actors.runtime import DeadlockError, Mailbox
from rescind.events import (
    Accepted,
    AnswerIgnored,
    Asked,
    CancelBegan,
    CancelOutcome,
    CancelRequested,
    Completed,
    Delivered,
    How,
    Outcome,
    Rejected,
)
from tests.runtime.recordings import events_of, waits

from .actors import Boss, Crawl, Crawler, Fail, Fetch, Late, Patient, Total


def ends_of(runtime):
    """Return every completion: request, how, and the cancel."""
    return [(each.request, How(each.how).name, each.by) for each in events_of(runtime, Completed)]


def test_a_request_ends_with_what_the_handler_returns(runtime):
    crawler = runtime.start(Crawler)
    assert crawler.request(Total()).get() == 0
    assert crawler.request(Fetch("abc")).get() == 3
    assert crawler.request(Total()).get() == 3


def test_ask_and_tell_reach_the_same_handlers_and_wait_for_their_work(runtime):
    crawler = runtime.start(Crawler)
    assert crawler.ask(Fetch("abcd")) == 4
    crawler.tell(Fetch("ab"))
    while crawler.request(Total()).get() != 6:
        getattr(runtime.dispatcher, "run", runtime.flush)()


def test_a_message_without_a_handler_is_what_pykka_says_of_it(runtime, caplog):
    crawler = runtime.start(Crawler)
    with caplog.at_level(logging.WARNING):
        assert crawler.request("nobody takes text").get() is None
    assert "nobody takes text" in caplog.text


def test_an_exception_in_the_handler_is_raised_at_the_handle_and_the_actor_lives(runtime):
    crawler = runtime.start(Crawler)
    request = crawler.request(Fail("as asked"))
    with pytest.raises(LookupError, match="as asked"):
        request.get()
    assert crawler.request(Total()).get() == 0
    (failed,) = [each for each in events_of(runtime, Completed) if each.request == request.number]
    assert (failed.how, failed.value) == (How.FAILED, "LookupError: as asked")


def test_what_work_raises_ends_the_request(stepped, twin):
    request = stepped.start(Crawler).request(Fetch("a"))
    stepped.dispatcher.run()
    twin.fail(OSError("no route"))
    with pytest.raises(OSError, match="no route"):
        request.get()


class Careful(Crawler):
    def on_fetch(self, _):
        return self.work(open, "/does/not/exist", then=self.got, failed=self.not_there)

    def not_there(self, m, error):
        return f"{m.url}: {type(error).__name__}"


def test_a_handler_for_failures_takes_the_exceptions_place(runtime):
    assert runtime.start(Careful).request(Fetch("x")).get() == "x: FileNotFoundError"


class Relay(Actor):
    def on_fetch(self, m):
        return self.work(str.upper, m.url, then=self.twice)

    def twice(self, m, text):
        return self.work(str.join, "-", (text, m.url), then=self.done)

    def done(self, m, text):
        return (m.url, text)


def test_then_may_give_further_work_away(runtime):
    assert runtime.start(Relay).request(Fetch("ab")).get() == ("ab", "AB-ab")


# --- cancels -------------------------------------------------------------------------------------


def test_a_cancelled_request_says_who_where_which_turn_and_why(stepped, twin):
    request = stepped.start(Crawler).request(Fetch("a"))
    assert request.cancel(reason="stop button") == Outcome.WON
    with pytest.raises(Cancelled, match="stop button") as caught:
        request.get()
    error = caught.value
    assert (error.trigger, error.reason, error.request) == ("cancel", "stop button", request.number)
    assert "MainThread at test_requests.py:" in str(error)
    assert f"in {test_a_cancelled_request_says_who_where_which_turn_and_why.__name__}" in str(error)
    (asked,) = events_of(stepped, CancelRequested)
    assert asked == CancelRequested(error.cancel, request.number, "cancel", 0, "stop button")
    assert not twin.pending


def test_a_request_that_was_cancelled_while_it_waited_is_never_served(stepped, twin):
    crawler = stepped.start(Crawler)
    first, second = crawler.request(Fetch("a")), crawler.request(Fetch("b"))
    first.cancel()
    stepped.dispatcher.run()
    assert [each.arguments for each in twin.pending] == [("b",)]
    assert ends_of(stepped) == [(first.number, "CANCELLED", events_of(stepped, Completed)[0].by)]
    twin.complete(value=1)
    assert second.get() == 1


def test_a_cancel_reaches_work_and_what_it_still_says_is_ignored(stepped, twin):
    request = stepped.start(Crawler).request(Fetch("a"))
    stepped.dispatcher.run()
    (work,) = twin.pending
    request.cancel()
    stepped.dispatcher.run()
    assert twin.told == [work]
    cancel = events_of(stepped, CancelBegan)[0].cancel
    # Children first: the work ends before the request that gave it away.
    assert ends_of(stepped) == [
        (work.number, "CANCELLED", cancel),
        (request.number, "CANCELLED", cancel),
    ]
    twin.complete(value=7)
    stepped.dispatcher.run()
    assert events_of(stepped, AnswerIgnored) == [AnswerIgnored(work.number, None)]
    with pytest.raises(Cancelled):
        request.get()


def test_with_a_grace_period_the_request_ends_when_its_work_has_ended(stepped, twin):
    request = stepped.start(Patient).request(Fetch("a"))
    stepped.dispatcher.run()
    (work,) = twin.pending
    request.cancel()
    stepped.dispatcher.run()
    assert twin.told == [work]
    assert ends_of(stepped) == []
    twin.end(work)
    with pytest.raises(Cancelled):
        request.get()
    assert [how for _, how, _ in ends_of(stepped)] == ["CANCELLED", "CANCELLED"]


def test_work_that_does_not_end_in_its_grace_period_is_abandoned(stepped, twin, caplog):
    request = stepped.start(Patient).request(Fetch("a"))
    stepped.dispatcher.run()
    request.cancel()
    stepped.dispatcher.advance(1.9)
    assert ends_of(stepped) == []
    with caplog.at_level(logging.WARNING, "rescind.requests"):
        stepped.dispatcher.advance(0.2)
    assert "abandoned" in caplog.text
    assert [how for _, how, _ in ends_of(stepped)] == ["ABANDONED", "CANCELLED"]
    twin.complete(value=3)
    stepped.dispatcher.run()
    assert len(events_of(stepped, AnswerIgnored)) == 1


def test_work_that_succeeds_in_its_grace_period_came_first(stepped, twin):
    request = stepped.start(Patient).request(Fetch("a"))
    stepped.dispatcher.run()
    request.cancel()
    stepped.dispatcher.run()
    work = twin.pending[0]
    twin.complete(value=3)
    with pytest.raises(Cancelled):
        request.get()
    lost = [each for each in events_of(stepped, CancelOutcome) if each.target == work.number]
    assert [each.outcome for each in lost] == [Outcome.TOO_LATE]
    assert ends_of(stepped)[0] == (work.number, "RESULT", 0)


def test_a_time_out_is_a_cancel_that_a_deadline_began(stepped, twin):
    request = stepped.start(Crawler).request(Fetch("a"), timeout_s=5)
    stepped.dispatcher.advance(4.9)
    assert not request.is_done
    with pytest.raises(TimedOut, match="its time-out of 5 s") as caught:
        request.get()
    assert isinstance(caught.value, Cancelled | TimeoutError)
    assert stepped.clock.now_ns() == 5_000_000_000
    (asked,) = events_of(stepped, CancelRequested)
    assert (asked.trigger, asked.by) == ("time-out", request.number)
    assert [how for _, how, _ in ends_of(stepped)] == ["CANCELLED", "TIMED_OUT"]
    assert twin.told


def test_a_second_cancel_is_a_duplicate_and_a_late_one_too_late(stepped, twin):
    request = stepped.start(Patient).request(Fetch("a"))
    stepped.dispatcher.run()
    assert request.cancel() == Outcome.WON
    assert request.cancel() == Outcome.DUPLICATE
    stepped.dispatcher.run()
    twin.end()
    stepped.dispatcher.run()
    assert request.cancel() == Outcome.TOO_LATE
    outcomes = [(each.target, each.outcome) for each in events_of(stepped, CancelOutcome)]
    assert outcomes == [(request.number, Outcome.DUPLICATE), (request.number, Outcome.TOO_LATE)]


def test_a_cancel_takes_what_was_asked_for_the_requests_sake(stepped, twin):
    crawler = stepped.start(Crawler)
    boss = stepped.start(Boss, crawler)
    request = boss.request(Crawl(["a", "b"]))
    other = crawler.request(Fetch("c"))
    stepped.dispatcher.run()
    assert [each.arguments[0] for each in twin.pending] == ["c", "a", "b"]
    request.cancel()
    with pytest.raises(Cancelled):
        request.get()
    (began,) = events_of(stepped, CancelBegan)
    ended = ends_of(stepped)
    assert [by for _, _, by in ended] == [began.cancel] * 5
    assert ended[-1][0] == request.number
    assert [each.arguments[0] for each in twin.told] == ["a", "b"]
    twin.complete(value=1)
    assert other.get() == 1


def test_a_shielded_request_goes_on(stepped, twin):
    boss = stepped.start(Boss, stepped.start(Crawler))
    request = boss.request(Crawl(["a"], shielded=True))
    stepped.dispatcher.run()
    request.cancel()
    with pytest.raises(Cancelled):
        request.get()
    twin.complete(value=1)
    stepped.dispatcher.run()
    assert not twin.told
    assert [how for _, how, _ in ends_of(stepped)] == ["CANCELLED", "RESULT", "RESULT"]


@pytest.mark.parametrize("shielded", [False, True])
def test_what_a_handler_asks_for_the_sake_of_a_request_that_was_cancelled_meanwhile_follows_it(
    stepped, twin, shielded
):
    late = stepped.start(Late, stepped.start(Crawler))
    request = late.request(Crawl(["second", "third"], shielded))
    stepped.dispatcher.run()
    request.cancel(reason="too slow")
    twin.complete(value=1)
    stepped.dispatcher.run()
    children = [each.request for each in events_of(stepped, Asked) if each.parent == request.number]
    ends = {each.request: How(each.how) for each in events_of(stepped, Completed)}
    outstanding = [each for each in children if each not in ends]
    assert len(children) == 3
    assert len(outstanding) == 2 * shielded
    assert all(ends[each] is How.CANCELLED for each in children if each in ends)
    assert shielded or twin.pending == twin.told
    followed = [each for each in events_of(stepped, CancelRequested) if each.scope in children]
    assert [each.reason for each in followed] == ["too slow"] * (3 - len(outstanding))
    while twin.pending:
        twin.complete(value=1)
        stepped.dispatcher.run()


class Small(Crawler):
    """Has place for one message."""

    mailbox = Mailbox(max=1)


def test_what_a_failing_handler_was_refused_stands_in_the_log(runtime):
    boss = runtime.start(Boss, runtime.start(Small))
    with pytest.raises(RequestRefused) as caught:
        boss.request(Crawl(["a", "b"])).get()
    (rejected,) = events_of(runtime, Rejected)
    assert rejected.request == caught.value.request


def test_an_actor_that_stops_gives_up_what_it_was_asked_and_cancels_what_it_asked(stepped, twin):
    crawler = stepped.start(Crawler)
    boss = stepped.start(Boss, crawler)
    boss.tell(Crawl(["a"]))
    asked = crawler.request(Fetch("b"))
    stepped.dispatcher.run()
    boss.stop()
    (cancel,) = events_of(stepped, CancelRequested)
    assert (cancel.scope, cancel.trigger) == (boss.number, "stop")
    assert [each.arguments[0] for each in twin.told] == ["a"]
    waiting = crawler.request(Fetch("c"))
    crawler.stop()
    for request in (asked, waiting):
        with pytest.raises(RequestFailed, match="stopped"):
            request.get()


def test_a_stopped_actor_refuses_requests_at_the_call(runtime):
    crawler = runtime.start(Crawler)
    crawler.stop()
    with pytest.raises(RequestRefused, match="the actor stopped") as caught:
        crawler.request(Total())
    assert isinstance(caught.value, pykka.ActorDeadError)
    assert caught.value.rule == "native-dead"


def test_an_actor_that_fails_ends_its_requests_too(stepped, twin):
    crawler = stepped.start(Crawler)
    request = crawler.request(Fetch("a"))
    stepped.dispatcher.run()
    crawler.tell(Fail("down"))
    with pytest.raises(RequestFailed, match="stopped"):
        request.get()
    assert twin.told


# --- handles -------------------------------------------------------------------------------------


def test_callbacks_are_called_once_also_those_that_come_late(runtime):
    heard: list[object] = []
    request = runtime.start(Crawler).request(Total())
    request.add_done_callback(heard.append)
    request.get()
    runtime.flush()
    while not heard:
        request.get()
    request.add_done_callback(heard.append)
    assert heard == [request, request]


def test_a_callback_may_ask_its_request_for_the_result(stepped):
    heard: list[int] = []
    request = stepped.start(Crawler).request(Fetch("abc"))
    request.add_done_callback(lambda each: heard.append(each.get()))
    stepped.dispatcher.run()
    assert heard == [3]


def test_a_callback_that_raises_is_logged_and_the_others_are_called(stepped, caplog):
    request = stepped.start(Crawler).request(Total())
    heard: list[object] = []
    request.add_done_callback(lambda _: 1 / 0)
    request.add_done_callback(heard.append)
    request.get()
    assert heard == [request]
    assert "ZeroDivisionError" in caplog.text


class Waits(Actor):
    def __init__(self, other):
        self.other = other

    def on_fetch(self, m):
        return self.other.request(m).get()


class Asks(Waits):
    """Asks back inside its turn when it is asked."""

    def on_total(self, _: Total):
        return self.other.request(Fetch("x")).get()


class Back(Actor):
    def on_fetch(self, _: Fetch):
        return self.asker.request(Total()).get()

    def on_actor_ref(self, ref):
        self.asker = ref


@waits
def test_requests_that_wait_for_each_other_are_a_circle(runtime):
    back = runtime.start(Back)
    asks = runtime.start(Asks, back)
    back.ask(asks)
    with pytest.raises(DeadlockError, match=r"a\d Back -> a\d Asks -> a\d Back"):
        asks.request(Total()).get()


@waits
def test_a_handler_may_wait_for_a_request(runtime):
    waits = runtime.start(Waits, runtime.start(Crawler))
    assert waits.request(Fetch("abc")).get() == 3


class Regrets(Actor):
    def __init__(self, other):
        self.other = other

    def on_fetch(self, m):
        request = self.other.request(m)
        return request.cancel("changed its mind")


def test_a_handler_may_cancel_what_it_has_just_asked(runtime):
    regrets = runtime.start(Regrets, runtime.start(Crawler))
    assert regrets.request(Fetch("abc")).get() == Outcome.WON


class Fastest(Actor):
    def on_fetch(self, m: Fetch):
        self.slow = self.work(len, "slow")
        return self.work(len, m.url, then=self.first_came)

    def first_came(self, _, size):
        return (size, self.slow.cancel("slower"), self.slow.cancel())


def test_a_handler_that_takes_up_work_may_cancel_other_work(stepped, twin):
    request = stepped.start(Fastest).request(Fetch("abc"))
    stepped.dispatcher.run()
    twin.complete(twin.pending[1], value=3)
    assert request.get() == (3, Outcome.WON, Outcome.TOO_LATE)


def test_a_request_made_in_a_turn_that_fails_never_was(runtime):
    class Rash(Actor):
        def on_fetch(self, m):
            self.work(len, m.url)
            raise LookupError(m.url)

    request = runtime.start(Rash).request(Fetch("a"))
    with pytest.raises(LookupError):
        request.get()
    assert [each.request for each in events_of(runtime, Accepted)] == [request.number]


def test_deliveries_of_many_handles_share_records(stepped):
    crawler = stepped.start(Crawler)
    requests = [crawler.request(Total()) for _ in range(100)]
    assert requests[-1].get() == 0
    (delivered,) = events_of(stepped, Delivered)
    assert delivered.requests == [requests[0].number, requests[-1].number]
