"""A native request is a span: whose child, how it ended, who cancelled it, what it caused."""

import asyncio
import gc
import logging
from contextvars import copy_context

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan

from rescind import Cancelled
from rescind.actors.native import RequestRefused, TimedOut, Twin
from rescind.actors.runtime import Mailbox, RuntimeClosedError, UsageError
from rescind.otel import RECENT_MAX, trace
from tests.runtime.recordings import turns, waits

from .actors import AsyncCrawler, Crawler, Fetch, Peek, Shop, Shopper, download
from .spans import events, identity, links, parent, said

MANY = 5_000


@pytest.fixture
def tracer(provider):
    return provider.get_tracer("the application")


def settle(runtime):
    """Return when nothing is left to do; of a runtime in virtual time."""
    runtime.dispatcher.run()


def test_a_request_is_a_child_of_what_its_caller_does(runtime, spans, tracer):
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    with tracer.start_as_current_span("night run"):
        assert shopper.request(Shop(["a", "bc"])).get() == 2
    runtime.close()
    assert spans.tree() == [
        "night run",
        "  Shop: result",
        "    Fetch: result",
        "      download: result",
        "    Fetch: result",
        "      download: result",
    ]


def test_a_span_says_what_the_log_says_and_where_it_stands_there(stepped, spans):
    Twin(stepped)
    shopper = stepped.start(Shopper, crawler := stepped.start(Crawler))
    request = shopper.request(Shop(["secret"]))
    settle(stepped)
    request.cancel()
    stepped.close()
    (asked,) = [each for each in turns(stepped) if each.by and "Shop" in str(each.events)]
    span = spans.of(request)
    assert said(span) == {
        "rescind.log": stepped.log_id.hex(),
        "rescind.turn": asked.number,
        "rescind.request": request.number,
        "rescind.endpoint": request.endpoint.number,
        "rescind.dialect": "native",
        "rescind.actor": shopper.number,
        "rescind.actor_class": "Shopper",
        "rescind.how": "cancelled",
        "thread.name": "MainThread",
        "code.file.path": __file__,
        "code.line.number": asked.by.line,
        "code.function.name": "test_a_span_says_what_the_log_says_and_where_it_stands_there",
    }
    fetch = said(spans.named("Fetch"))
    assert (fetch["rescind.actor"], fetch["rescind.actor_class"]) == (crawler.number, "Crawler")
    assert "code.line.number" not in fetch  # a handler asked, and its line is not known
    assert span.start_time == asked.time_ns
    assert "secret" not in " ".join(each.to_json() for each in spans.all())


def test_a_task_is_named_as_such(runtime, recordings, spans):
    crawler = runtime.start(Crawler)

    async def main():
        return await crawler.request(Fetch("ab"))

    assert recordings.loop().run(main()) == 2
    runtime.close()
    assert said(spans.named("Fetch"))["rescind.task"].startswith("Task-")
    assert "thread.name" not in said(spans.named("Fetch"))


# --- ends ----------------------------------------------------------------------------------------


def test_a_cancel_is_an_event_of_each_victim_and_no_error(runtime, spans, tracer):
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    with tracer.start_as_current_span("night run"):
        request = shopper.request(Shop(["slow"]))
        request.cancel("stop button")
    with pytest.raises(Cancelled) as caught:
        request.get()
    runtime.close()
    span = spans.of(request)
    assert ("cancel", {
        "rescind.cancel": caught.value.cancel,
        "rescind.trigger": "cancel",
        "rescind.scope": request.number,
        "rescind.by": caught.value.who,
        "rescind.reason": "stop button",
    }) in events(span)  # fmt: skip
    assert span.status.is_unset
    told = {each.name for each in spans.all() if said(each).get("rescind.how") == "cancelled"}
    for each in told:
        assert "cancel" in [name for name, _ in events(spans.named(each))]


def test_all_of_a_tree_hear_of_its_cancel_but_not_what_is_shielded(stepped, spans):
    twin = Twin(stepped)
    shopper = stepped.start(Shopper, stepped.start(Crawler))
    request = shopper.request(Shop("a"))
    stepped.dispatcher.advance(1)
    sheltered = shopper.request(Shop("b", shielded=True))
    settle(stepped)
    request.cancel("stop button")
    sheltered.cancel("stop button")
    settle(stepped)
    twin.complete(twin.pending[-1], 1)
    settle(stepped)
    stepped.close()
    assert spans.tree() == [
        "Shop: cancelled",
        "  cancel stop button",
        "  Fetch: cancelled",
        "    cancel stop button",
        "    download: cancelled",
        "      cancel stop button",
        "Shop: cancelled",
        "  cancel stop button",
        "  Fetch: result",
        "    download: result",
    ]


def test_a_failure_is_an_error_and_keeps_what_the_exception_said(runtime, spans):
    request = runtime.start(Crawler).request(Fetch("bad"))
    with pytest.raises(LookupError):
        request.get()
    runtime.close()
    for name in ("Fetch", "download"):
        span = spans.named(name)
        assert not span.status.is_ok
        assert not span.status.is_unset
        assert span.status.description == "failed: LookupError"
        assert said(span)["error.type"] == "LookupError"
        assert said(span)["rescind.code"] == 1
    assert "nobody else" not in " ".join(each.to_json() for each in spans.all())


def test_a_time_out_is_an_error_and_says_whose_it_was(stepped, spans):
    Twin(stepped)
    request = stepped.start(Crawler).request(Fetch("a"), timeout_s=2)
    stepped.dispatcher.advance(3)
    with pytest.raises(TimedOut):
        request.get()
    span = spans.of(request)
    assert (span.status.description, said(span)["error.type"]) == ("timed_out", "timed_out")
    (cancel,) = [said for name, said in events(span) if name == "cancel"]
    assert (cancel["rescind.trigger"], cancel["rescind.by"]) == ("time-out", f"r{request.number}")
    assert span.end_time - span.start_time == 2_000_000_000


def test_a_cancel_by_the_stop_of_the_asker_names_it(stepped, spans):
    Twin(stepped)
    shopper = stepped.start(Shopper, stepped.start(Crawler))
    request = shopper.request(Shop(["a"]))
    settle(stepped)
    shopper.stop()
    stepped.close()
    (cancel,) = [said for name, said in events(spans.named("Fetch")) if name == "cancel"]
    assert (cancel["rescind.trigger"], cancel["rescind.scope"]) == ("stop", shopper.number)
    assert cancel["rescind.by"].startswith("MainThread at test_spans.py:")
    assert (said(spans.of(request))["rescind.code"], said(spans.of(request))["error.type"]) == (
        2, "2",
    )  # fmt: skip


class Changes(Shopper):
    def on_shop(self, m):
        super().on_shop(m).cancel("changed its mind")


def test_a_cancel_by_a_handler_names_its_line(stepped, spans):
    Twin(stepped)
    stepped.start(Changes, stepped.start(Crawler)).request(Shop(["a"]))
    settle(stepped)
    ((_, cancel),) = [each for each in events(spans.named("Fetch")) if each[0] == "cancel"]
    assert cancel["rescind.by"].endswith("in Changes.on_shop")


def test_a_cancelled_task_is_named(traced, recordings, spans):
    runtime = traced("thread")
    crawler = runtime.start(Crawler)

    async def wait():
        await crawler.request(Fetch("slow"))

    async def main():
        task = asyncio.create_task(wait(), name="eager")
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    recordings.loop().run(main())
    runtime.close()
    ((_, cancel),) = [each for each in events(spans.named("Fetch")) if each[0] == "cancel"]
    assert cancel["rescind.trigger"] == "task"
    assert cancel["rescind.by"].startswith("task eager, cancelled by task Task-")


def test_a_cancel_that_was_not_the_first_is_an_event_too(stepped, spans):
    Twin(stepped)
    request = stepped.start(Crawler).request(Fetch("a"))
    settle(stepped)
    request.cancel("one")
    request.cancel("two")
    stepped.close()
    (first,) = [said for name, said in events(spans.of(request)) if name == "cancel"]
    (second,) = [said for name, said in events(spans.of(request)) if name == "cancel outcome"]
    assert (first["rescind.reason"], second["rescind.reason"]) == ("one", "two")
    assert second["rescind.outcome"] == "duplicate of"
    assert second["rescind.other"] == first["rescind.cancel"]


def test_a_refused_request_is_a_span_of_no_length(stepped, spans, tracer):
    crawler = stepped.start(Crawler)
    crawler.stop()
    with tracer.start_as_current_span("night run") as around, pytest.raises(RequestRefused) as no:
        crawler.request(Fetch("a"))
    span = spans.of(no.value.request)
    assert span.start_time == span.end_time
    assert parent(span) == around.get_span_context().span_id
    assert span.status.description == "refused with 2"
    assert said(span)["rescind.rule"] == "native-dead"
    assert (said(span)["rescind.code"], said(span)["error.type"]) == (2, "2")


class Narrow(Crawler):
    mailbox = Mailbox(max=1)


class Pushy(Shopper):
    def on_shop(self, _):
        self.crawler.request(Fetch("a"))
        try:
            self.crawler.request(Fetch("b"))
        except RequestRefused as error:
            return error.request


def test_a_request_that_a_handler_is_refused_belongs_to_what_it_serves(stepped, spans):
    Twin(stepped)
    asked = stepped.start(Pushy, stepped.start(Narrow)).request(Shop("ab"))
    refused = spans.of(asked.get())
    assert said(refused)["rescind.rule"] == "native-full"
    assert parent(refused) == identity(spans.of(asked))


# --- causes --------------------------------------------------------------------------------------


def test_what_a_callback_asks_is_linked_with_the_request_that_it_heard_of(runtime, spans):
    crawler = runtime.start(Crawler)
    made = []
    first = crawler.request(Fetch("a"))
    first.add_done_callback(lambda _: made.append(crawler.request(Fetch("bc"))))
    first.get()
    runtime.flush()
    while not made or not made[0].is_done:
        getattr(runtime.dispatcher, "run", runtime.flush)()
    runtime.close()
    assert links(spans.of(made[0])) == [("cause", identity(spans.of(first)))]
    assert parent(spans.of(made[0])) is None


def test_what_a_timer_leads_to_is_linked_with_the_request_in_which_it_was_set(
    stepped, spans, tracer
):
    Twin(stepped)
    shopper = stepped.start(Shopper, stepped.start(Crawler))
    request = shopper.request("soon")
    with tracer.start_as_current_span("whoever runs the turn"):
        stepped.dispatcher.advance(2)
    stepped.close()
    span = spans.named("Fetch")
    assert links(span) == [("cause", identity(spans.of(request)))]
    assert parent(span) is None


def test_a_cause_in_another_traced_runtime_is_a_link(traced, spans):
    one, other = traced("thread"), traced("thread")
    first, second = one.start(Crawler), other.start(Crawler)
    made = []
    request = first.request(Fetch("a"))
    request.add_done_callback(lambda _: made.append(second.request(Fetch("bc"))))
    request.get()
    while not made:
        one.flush()
    assert made[0].get() == 2
    other.close()
    one.close()
    # Both logs number from 1, so that only the log says which request is meant.
    (span,) = [
        s for s in spans.all() if said(s)["rescind.log"] == other.log_id.hex() and s.name == "Fetch"
    ]
    (cause,) = [
        s for s in spans.all() if said(s)["rescind.log"] == one.log_id.hex() and s.name == "Fetch"
    ]
    assert links(span) == [("cause", identity(cause))]


def test_what_a_handler_asks_is_no_child_of_whoever_runs_its_turn(stepped, spans, tracer):
    Twin(stepped)
    stepped.start(Shopper, stepped.start(Crawler)).tell(Shop(["a"]))
    with tracer.start_as_current_span("whoever runs the turn"):
        settle(stepped)
    stepped.close()
    assert parent(spans.named("Fetch")) is None


class Waits(Shopper):
    """Goes on in another part of its turn, and has somebody else ask."""

    def on_shop(self, _):
        self.crawler.request(Peek()).get()
        self.shopper.tell("now")

    def on_receive(self, message):
        if isinstance(message, Shop):
            super().on_receive(message)
        else:
            self.shopper = message


@waits
def test_what_follows_a_wait_is_caused_by_the_request_that_is_served(runtime, spans):
    crawler = runtime.start(Crawler)
    waits = runtime.start(Waits, crawler)
    waits.tell(runtime.start(Shopper, crawler))
    request = waits.request(Shop("a"))
    request.get()
    runtime.close()
    assert links(spans.named("Fetch")) == [("cause", identity(spans.of(request)))]


class Polls(Crawler):
    """Works again and again, for nobody."""

    def on_receive(self, message):
        self.work(download, message, then=self.again)

    def again(self, message, _):
        self.work(len, message)


def test_work_that_follows_work_is_caused_by_it_and_no_part_of_it(stepped, spans):
    twin = Twin(stepped)
    stepped.start(Polls).tell("page")
    settle(stepped)
    twin.complete(value=4)
    settle(stepped)
    stepped.close()
    first, second = spans.named("download"), spans.named("len")
    assert links(second) == [("cause", identity(first))]
    assert parent(second) is None


def test_each_callback_of_one_run_is_a_cause_of_its_own(stepped, spans):
    twin = Twin(stepped)
    crawler = stepped.start(Crawler)
    contexts: dict = {}
    asked = [crawler.request(Fetch(url)) for url in "abc"]
    for each in asked:
        each.add_done_callback(lambda heard: contexts.setdefault(heard, copy_context()))
    settle(stepped)
    while twin.pending:
        twin.complete(value=1)
    settle(stepped)
    (run,) = {turn.number for turn in turns(stepped) if "future" in str(turn.message)}
    made = {heard: contexts[heard].run(crawler.request, Fetch("d")) for heard in asked}
    stepped.close()
    for heard, later in made.items():
        assert links(spans.of(later)) == [("cause", identity(spans.of(heard)))], run


# --- work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Crawler, AsyncCrawler])
def test_work_runs_inside_the_span_of_its_request(runtime, spans, tracer, kind):
    crawler = runtime.start(kind)
    with tracer.start_as_current_span("night run"):
        token = context.attach(baggage.set_baggage("customer", "17"))
        try:
            current, customer = crawler.request(Peek()).get()
        finally:
            context.detach(token)
    runtime.close()
    assert customer == "17"
    name = "peek" if kind is Crawler else "peek_async"
    assert current == identity(spans.named(name))


class Chain(Crawler):
    """Its work asks in its turn."""

    def on_shop(self, m):
        return self.work(lambda: m.urls.request(Fetch("abc")).get())


def test_what_work_asks_is_a_child_of_that_work(traced, spans):
    runtime = traced("thread")
    assert runtime.start(Chain).request(Shop(runtime.start(Crawler))).get() == 3
    runtime.close()
    assert spans.tree() == [
        "Shop: result",
        "  <lambda>: result",
        "    Fetch: result",
        "      download: result",
    ]


# --- what tracing must not do --------------------------------------------------------------------


def test_spans_that_are_not_sampled_cost_nothing_but_their_names(recordings):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    runtime = recordings.open("thread")
    trace(runtime, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    assert shopper.request(Shop(["a"])).get() == 1
    request = shopper.request(Shop(["slow"]))
    request.cancel()
    with pytest.raises(Cancelled):
        request.get()


def test_without_a_provider_nothing_happens(recordings):
    runtime = recordings.open("thread")
    trace(runtime)
    assert runtime.start(Crawler).request(Fetch("abc")).get() == 3


def test_what_was_asked_before_has_no_span_and_does_no_harm(recordings, provider, spans):
    runtime = recordings.open("stepped")
    twin = Twin(runtime)
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    request = shopper.request(Shop("ab"))
    settle(runtime)
    trace(runtime, tracer_provider=provider)
    request.cancel()
    settle(runtime)
    assert twin.told
    runtime.close()
    assert spans.all() == []


def test_a_runtime_is_traced_once(stepped, provider):
    with pytest.raises(UsageError, match="already"):
        trace(stepped, tracer_provider=provider)
    stepped.close()
    with pytest.raises(RuntimeClosedError):
        trace(stepped)


class Bad:
    """An observer that fails at everything."""

    def recorded(self, _):
        raise LookupError("recorded")

    def enter(self, _):
        raise LookupError("enter")

    def close(self):
        raise LookupError("close")


@waits
def test_an_observer_that_raises_harms_nobody_and_is_logged_once(recordings, dispatcher, caplog):
    runtime = recordings.open(dispatcher)
    runtime.set_observer(Bad())
    assert runtime.start(Shopper, runtime.start(Crawler)).request(Shop(["abc"])).get() == 3
    runtime.close()
    (said,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert said.name == "rescind.runtime"
    assert "Bad object" in said.getMessage()


def test_spans_end_when_the_log_has_failed(recordings, provider, spans):
    runtime = recordings.open("stepped")
    twin = Twin(runtime)
    trace(runtime, tracer_provider=provider)
    crawler = runtime.start(Crawler)
    request, answered = crawler.request(Fetch("a")), crawler.request(Fetch("b"))
    settle(runtime)
    twin.complete(twin.pending[1], 1)
    runtime.run_turns()  # completed, and not delivered
    runtime.fail(OSError("no medium"))
    runtime.close()
    assert spans.of(request).status.description == "the runtime ended first"
    assert said(spans.of(answered))["rescind.how"] == "result"
    assert spans.of(answered).status.is_unset
    recordings._made.clear()


def test_a_cancel_of_many_gives_their_memory_back(recordings, provider):
    """No exporter: a span that is still alive is held by the runtime or its observer."""

    def spans_alive():
        gc.collect()
        return sum(isinstance(each, ReadableSpan) for each in gc.get_objects())

    runtime = recordings.open("stepped")
    trace(runtime, tracer_provider=provider)
    twin = Twin(runtime)
    shopper = runtime.start(Shopper, runtime.start(Crawler))
    before = spans_alive()
    request = shopper.request(Shop(["a"] * MANY))
    settle(runtime)
    assert spans_alive() - before == 1 + 2 * MANY  # the request, and each fetch with its work
    request.cancel("enough")
    settle(runtime)
    twin.pending.clear()
    twin.told.clear()
    assert spans_alive() == before
    remembered = runtime.observer._observer
    assert len(remembered._turns) == len(remembered._ended) == RECENT_MAX
    assert not remembered._open
    assert not remembered._cancels
    assert not remembered._by_scope
