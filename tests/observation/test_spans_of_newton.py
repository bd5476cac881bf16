"""A Newton request is a span by the same events: a window, its victims, and who was refused."""

import pytest

from rescind import Actor, newton
from rescind.otel import trace

from .actors import Fetch
from .spans import events, identity, links, parent, said

REFUSED, CANCELLED = -36003, -16005


def put(script=None, timeout_s=None):
    return newton.CallbackSpec(True, timeout_s, script)


def settle(runtime):
    runtime.dispatcher.run()


def test_an_output_says_its_dialect_and_its_way(stepped, spans, connect):
    endpoint, twin = connect(stepped)
    request = endpoint.output("secret", put())
    settle(stepped)
    twin.complete_next()
    settle(stepped)
    span = spans.of(request)
    assert span.name == "Output"
    assert said(span)["rescind.dialect"] == "newton"
    assert said(span)["rescind.how"] == "result"
    assert said(span)["code.function.name"] == "test_an_output_says_its_dialect_and_its_way"
    assert "rescind.actor" not in said(span)
    assert events(span) == [("completed", {}), ("delivered", {"rescind.manner": "future"})]
    assert "secret" not in span.to_json()


def test_a_window_tells_its_victims_and_links_whom_it_refuses(stepped, spans, connect, provider):
    endpoint, _ = connect(stepped)
    refused = []

    def sent(_endpoint, _options, result):
        assert result == CANCELLED
        with pytest.raises(newton.CommError) as no:
            endpoint.output("again", put())
        refused.append(no.value)

    victims = [endpoint.output("x", put(sent)), endpoint.output("y", put())]
    settle(stepped)
    with provider.get_tracer("app").start_as_current_span("stop") as around:
        cancel = endpoint.cancel(put())
    settle(stepped)
    span = spans.of(cancel)
    assert parent(span) == around.get_span_context().span_id
    for each in victims:
        victim = spans.of(each)
        (event,) = [said for name, said in events(victim) if name == "cancel"]
        assert event["rescind.cancel"] == cancel.number
        assert event["rescind.trigger"] == "Cancel"
        assert event["rescind.by"].startswith("MainThread at test_spans_of_newton.py:")
        assert said(victim)["rescind.code"] == CANCELLED
        assert victim.status.is_unset
    (error,) = refused
    assert error.code == REFUSED
    (no,) = [each for each in spans.all() if said(each).get("rescind.code") == REFUSED]
    assert no.start_time == no.end_time
    assert said(no)["error.type"] == str(REFUSED)
    assert said(no)["rescind.rule"] == "N-36003-window"
    assert dict(links(no)) == {"cancel": identity(span), "cause": identity(spans.of(victims[0]))}


def test_who_is_refused_when_no_cancel_is_under_way_is_linked_with_none(stepped, spans, connect):
    endpoint, _ = connect(stepped)
    endpoint.output("x", put())
    endpoint.cancel(put()).get()
    with pytest.raises(newton.CommError):
        endpoint.connect()
    (no,) = [each for each in spans.all() if "rescind.rule" in said(each)]
    assert links(no) == []


def test_a_time_out_ends_all_and_names_whose_it_was(stepped, spans, connect):
    endpoint, _ = connect(stepped)
    first, second = endpoint.output("x", put(timeout_s=2)), endpoint.output("y", put())
    settle(stepped)
    stepped.dispatcher.advance(3)
    for each in (first, second):
        (event,) = [said for name, said in events(spans.of(each)) if name == "cancel"]
        assert event["rescind.trigger"] == "time-out"
        assert event["rescind.by"] == f"r{first.number}"
    assert said(spans.of(first))["rescind.how"] == "timed_out"
    assert not spans.of(first).status.is_unset
    assert spans.of(second).status.is_unset


def test_who_is_refused_by_the_window_of_a_time_out_is_linked_with_whose_it_was(
    stepped, spans, connect
):
    endpoint, twin = connect(stepped, holds_kills=True)
    request = endpoint.output("x", put(timeout_s=2))
    settle(stepped)
    stepped.dispatcher.advance(3)
    with pytest.raises(newton.CommError) as no:
        endpoint.output("again", put())
    twin.finish_kill()
    settle(stepped)
    assert links(spans.of(no.value.request)) == [("cancel", identity(spans.of(request)))]


class Types(Actor):
    """Puts something out while it serves a request."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def on_fetch(self, m):
        self.endpoint.output(m.url, put())


def test_what_a_handler_puts_out_is_linked_with_the_request_that_it_serves(
    traced, spans, connect, provider
):
    stepped = traced("stepped")
    endpoint, _ = connect(stepped)
    with provider.get_tracer("app").start_as_current_span("whoever runs the turn"):
        request = stepped.start(Types, endpoint).request(Fetch("x"))
        settle(stepped)
    stepped.close()
    span = spans.named("Output")
    assert parent(span) is None
    assert links(span) == [("cause", identity(spans.of(request)))]


def test_what_a_cancel_came_too_late_for_says_so(stepped, spans, connect):
    endpoint, twin = connect(stepped)
    request = endpoint.output("x", put())
    settle(stepped)
    twin.complete_next()
    stepped.run_turns()  # completed, and not delivered yet
    cancel = endpoint.cancel(put())
    settle(stepped)
    (late,) = [said for name, said in events(spans.of(request)) if name == "cancel outcome"]
    assert late["rescind.outcome"] == "too late"
    assert late["rescind.cancel"] == cancel.number
    assert said(spans.of(request))["rescind.how"] == "result"


def test_what_dispose_drops_ends_as_abandoned(stepped, spans, connect):
    endpoint, _ = connect(stepped)
    request = endpoint.output("x", put())
    settle(stepped)
    endpoint.dispose()
    settle(stepped)
    span = spans.of(request)
    assert span.status.description == "abandoned"
    assert events(span)[-1] == ("discarded", {"rescind.reason": "endpoint disposed"})


def test_a_script_of_received_data_is_the_cause_of_what_it_asks(stepped, spans, connect):
    endpoint, twin = connect(stepped)
    made = []

    def received(_endpoint, _data, _terminator, _options):
        made.append(endpoint.output("answer", put()))

    armed = endpoint.set_input_spec(newton.InputSpec(received))
    settle(stepped)
    twin.receive("hello")
    settle(stepped)
    stepped.close()
    assert links(spans.of(made[0])) == [("cause", identity(spans.of(armed)))]


def test_an_endpoint_that_was_open_before_is_traced_from_then_on(
    recordings, provider, spans, connect
):
    runtime = recordings.open("stepped")
    endpoint, _ = connect(runtime)
    before = endpoint.output("x", put())
    trace(runtime, tracer_provider=provider)
    after = endpoint.output("y", put())
    endpoint.cancel(put()).get()
    settle(runtime)
    assert said(spans.of(after))["rescind.dialect"] == "newton"
    assert before.number not in [said(each)["rescind.request"] for each in spans.all()]
