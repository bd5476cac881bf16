"""Who hears of messages that were dropped, refused, or sent to the dead."""

from typing import Any

import pytest

from rescind.actors.runtime import MailboxFullError, Runtime, UsageError
from rescind.events import (
    DeadLetter,
    Dropped,
    Notice,
    Overflowed,
    Stopped,
    Tell,
)

from .actors import Dropping, Rejecting, Sender, Sink, held, taken
from .recordings import events_of, turn_of, turns


def lose_one_of_each(runtime: Runtime) -> list[Any]:
    """Let a message be refused, one be dropped, and one go to the dead; return the references."""
    refs = [runtime.start(cls) for cls in (Rejecting, Dropping, Sink)]
    with held(runtime):
        for n in range(3):
            refs[1].tell(n)
            try:
                refs[0].tell(n)
            except MailboxFullError:
                assert n == 2
        refs[2].tell("fail")
        refs[2].tell("late")
    return refs


LOST = {DeadLetter, Dropped, Overflowed}


def test_a_function_hears_of_what_was_lost(runtime):
    heard: list[Any] = []
    runtime.subscribe(heard.append, DeadLetter, Dropped, Overflowed)
    refs = lose_one_of_each(runtime)
    runtime.close()
    assert {type(event) for event in heard} == LOST
    assert {event.actor for event in heard} == {ref.number for ref in refs}


def test_an_actor_is_told_what_was_lost(runtime):
    listener = runtime.start(Sink)
    runtime.subscribe(listener, DeadLetter, Dropped, Overflowed)
    refs = lose_one_of_each(runtime)
    runtime.start(Sender, refs[0]).ask(("tell", 0))
    told: list[Any] = []
    while len(told) < 3:
        told = listener.ask("taken?")
    assert {type(event) for event in told} == LOST
    notices = [turn for turn in turns(runtime) if isinstance(turn.message, Notice)]
    lost = [turn for turn in turns(runtime) if LOST & {type(event) for event in turn.events}]
    assert {turn.cause.number for turn in notices} == {turn.number for turn in lost}


def test_what_a_handler_is_refused_is_heard_of_too(runtime):
    heard: list[Any] = []
    runtime.subscribe(heard.append, Overflowed)
    ref = runtime.start(Rejecting)
    runtime.start(Sender, ref).ask(("tell", 3))
    runtime.close()
    assert heard == [Overflowed(ref.number, 1, 3)]


def test_a_subscription_ends(stepped):
    heard: list[Any] = []
    ref = stepped.start(Sink)
    ref.stop()
    with stepped.subscribe(heard.append, DeadLetter) as subscription:
        stepped.deliver_message(ref, Tell(1))
        stepped.dispatcher.run()
        assert heard == [DeadLetter(ref.number)]
        stepped.deliver_message(ref, Tell(2))
        subscription.end()
    stepped.dispatcher.run()
    assert len(heard) == 1
    subscription.end()


def test_a_listener_that_raises_is_logged_and_the_others_hear(stepped, caplog):
    heard: list[Any] = []

    def raises(_event):
        raise LookupError("as asked")

    stepped.subscribe(raises, DeadLetter)
    stepped.subscribe(heard.append, DeadLetter)
    ref = stepped.start(Sink)
    ref.stop()
    stepped.deliver_message(ref, Tell(1))
    stepped.dispatcher.run()
    assert "as asked" in caplog.text
    assert len(heard) == 1


def test_a_listener_may_ask_and_what_it_sends_has_the_loss_as_its_cause(runtime):
    sink = runtime.start(Sink)
    heard: list[Any] = []

    def listener(event):
        sink.tell(event.actor)
        heard.append(event)

    runtime.subscribe(listener, DeadLetter)
    ref = runtime.start(Sink)
    ref.stop()
    runtime.deliver_message(ref, Tell("late"))
    while not heard:
        runtime.flush()
        if hasattr(runtime.dispatcher, "run"):
            runtime.dispatcher.run()
    assert taken(sink) == [ref.number]
    assert turn_of(runtime, Tell(ref.number)).cause.number == turn_of(runtime, Tell("late")).number


def test_a_dead_listener_is_told_nothing_and_loses_nothing(stepped):
    listener, ref = stepped.start(Sink), stepped.start(Sink)
    stepped.subscribe(listener, DeadLetter)
    ref.stop()
    stepped.deliver_message(ref, Tell(1))
    stepped.deliver_message(ref, Tell(2))
    listener.stop(block=False, urgent=True)
    stepped.dispatcher.run()
    assert len(events_of(stepped, DeadLetter)) == 2
    assert stepped.subscriptions._all == ()


def test_only_losses_can_be_subscribed_to(stepped):
    for kinds in ((), (Stopped,)):
        with pytest.raises(UsageError, match="DeadLetter, Dropped, Overflowed"):
            stepped.subscribe(print, *kinds)
