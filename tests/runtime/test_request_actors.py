"""A request is an actor like any other, and costs nothing for it until somebody asks."""

import tracemalloc

import pykka
import pytest

from rescind import newton
from rescind.events import Ask, Completed, Discarded, How, Replied, Stop, Stopped, Tell

from .actors import Doubler
from .helpers import PATIENCE_S, Helper
from .recordings import events_of, turn_of, turns


@pytest.fixture
def outstanding(runtime, connect):
    """An endpoint with one Output that nobody answers."""
    endpoint, twin = connect(runtime)
    request = endpoint.output("x", asynchronous=True)
    runtime.flush()
    return endpoint, twin, request


def test_a_request_has_a_name_and_an_inbox_when_asked_for_them(outstanding, runtime):
    _, _, request = outstanding
    ref = request.actor_ref
    assert ref is request.actor_ref
    assert isinstance(ref, pykka.ActorRef)
    assert ref.actor_urn.endswith(f"-{request.number:012x}")
    assert request.actor_urn == ref.actor_urn
    assert request.actor_inbox is ref.actor_inbox
    assert ref.is_alive()


def test_a_request_stays_out_of_the_global_registry(outstanding):
    _, _, request = outstanding
    assert pykka.ActorRegistry.get_by_urn(request.actor_ref.actor_urn) is None


def test_a_thousand_requests_cost_less_than_two_kilobytes_each(stepped, connect):
    endpoint, _ = connect(stepped)
    spec = newton.CallbackSpec(asynchronous=True)
    endpoint.output("warm", spec)
    stepped.flush()
    tracemalloc.start()
    kept = [endpoint.output("x", spec) for _ in range(1000)]
    stepped.flush()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept) < 2048


def test_ask_and_tell_are_turns_of_the_request_itself(outstanding, runtime):
    _, _, request = outstanding
    assert Helper(lambda: request.actor_ref.ask("how are you?")).result() is None
    request.actor_ref.tell("good bye")
    assert Helper(lambda: request.actor_ref.ask("still there?")).result() is None
    asked, told = turn_of(runtime, Ask("how are you?")), turn_of(runtime, Tell("good bye"))
    assert asked.actor == told.actor == request.number
    assert asked.events == (Replied(None),)
    assert asked.by.function.endswith("<lambda>")


def test_stop_abandons_the_request_and_returns(outstanding, runtime):
    _, _, request = outstanding
    assert Helper(request.actor_ref.stop).result() is True
    assert not request.actor_ref.is_alive()
    assert request.is_done
    stopped = turn_of(runtime, Stop)
    assert stopped.actor == request.number
    kinds = [type(event) for event in stopped.events]
    assert kinds == [Completed, Discarded, Stopped]
    assert stopped.events[0].how == How.ABANDONED


def test_an_answer_to_a_stopped_request_is_ignored(outstanding, runtime):
    _, twin, request = outstanding
    Helper(request.actor_ref.stop).result()
    twin.complete(request.number)
    runtime.start(Doubler).ask("after")
    completions = [each for each in events_of(runtime, Completed) if each.request == request.number]
    assert [each.how for each in completions] == [How.ABANDONED]


def test_whoever_waits_for_a_stopped_request_hears_of_it(threaded, connect):
    endpoint, _ = connect(threaded)
    request = endpoint.output("x", asynchronous=True)
    waiting = Helper(request.get)
    Helper(request.actor_ref.stop).result()
    with pytest.raises(newton.CommError):
        waiting.result()


def test_a_cancel_does_not_wait_for_a_victim_that_was_stopped(runtime, connect):
    endpoint, twin = connect(runtime, holds_kills=True)
    stopped, other = (endpoint.output(name, asynchronous=True) for name in "ab")
    cancel = endpoint.cancel(asynchronous=True)
    runtime.flush()
    Helper(stopped.actor_ref.stop).result()
    twin.finish_kill()
    assert Helper(cancel.get).result() is None
    assert other.result == -16005
    assert stopped.result is None


def test_a_delivered_request_is_a_stopped_actor(outstanding, runtime):
    _, twin, request = outstanding
    ref = request.actor_ref
    twin.complete(request.number)
    request.get()
    assert not ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("too late")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("too late")
    assert ref.stop() is False


def test_a_reference_that_is_made_after_the_delivery_names_a_stopped_actor(outstanding):
    _, twin, request = outstanding
    twin.complete(request.number)
    request.get()
    assert not request.actor_ref.is_alive()
    assert request.actor_ref.actor_stopped.wait(0)


def test_a_message_that_waits_while_its_request_is_delivered_is_a_dead_letter(stepped, connect):
    endpoint, twin = connect(stepped)
    request = endpoint.output("x", asynchronous=True)
    ref = request.actor_ref
    stepped.flush()
    twin.complete(request.number)
    request.get()
    late = pykka.ActorDeadError
    with pytest.raises(late):
        ref.ask("late", block=False).get()


def test_the_request_of_a_stopped_endpoint_actor_still_ends(runtime, connect):
    endpoint, _ = connect(runtime)
    request = endpoint.output("x", asynchronous=True)
    Helper(endpoint.actor_ref.stop).result()
    Helper(runtime.close).result()
    assert request.is_done


def test_an_endpoint_takes_messages_like_any_actor(runtime, connect):
    endpoint, _ = connect(runtime)
    assert Helper(lambda: endpoint.actor_ref.ask("hello")).result() is None
    assert turn_of(runtime, Ask("hello")).actor == endpoint.number
    assert endpoint.actor_ref.is_alive()


def test_requests_are_told_apart_by_number_and_each_victim_takes_a_turn_of_its_own(
    runtime, connect
):
    endpoint, _ = connect(runtime)
    requests = [endpoint.output("x", asynchronous=True) for _ in range(20)]
    endpoint.cancel(asynchronous=True).get(PATIENCE_S)
    taken = [turn.actor for turn in turns(runtime) if type(turn.message).__name__ == "Cancel"]
    assert taken == [request.number for request in requests]
