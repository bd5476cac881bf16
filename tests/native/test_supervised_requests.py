"""Requests of an actor that fails: what waited is served, what was begun ends, nothing hangs."""

import pykka
import pytest

from rescind import Actor, Supervision, event, message
from rescind.actors.native import Cancelled, RequestFailed
from rescind.events import (
    CancelRequested,
    Completed,
    Discarded,
    How,
    Outcome,
    Restarted,
    Supervised,
    Tell,
)
from tests.runtime.recordings import events_of, turns

from .actors import download


@message
class Load:
    url: str


@message
class Trip:
    pass


@message
class Exit:
    pass


@event
class Loaded:
    size: int


class Loader(Actor):
    """Its state is made of events; told to trip, it fails, and asked to exit, it raises that."""

    total = 0

    def on_load(self, m: Load):
        return self.work(download, m.url, then=self.loaded)

    def loaded(self, _: Load, size: int):
        self.record(Loaded(size))
        return size

    def apply_loaded(self, e: Loaded):
        self.total += e.size

    def on_trip(self, _: Trip):
        raise LookupError("as asked")

    def on_exit(self, _: Exit):
        self.work(download, "for nobody")
        raise SystemExit("as asked")

    def on_receive(self, message):
        if message == "total?":
            return self.total
        if message == "give away":
            self.work(download, "own", then=self.loaded)
            return None
        return super().on_receive(message)


class Loose(Loader):
    """The same, but kept as in Pykka: a restart makes a new object."""

    def __init__(self):
        self.sizes = []

    def loaded(self, _, size):
        self.sizes.append(size)
        return size

    def on_receive(self, message):
        return list(self.sizes) if message == "sizes?" else super().on_receive(message)


Loose.EVENT_SOURCED = False


class Owner(Actor):
    supervision = Supervision(backoff_s=(1, 1))

    def on_receive(self, name):
        return {"Loader": Loader, "Loose": Loose}[name].start()


@pytest.fixture(params=["Loader", "Loose"])
def loader(stepped, twin, request):
    return stepped.start(Owner).ask(request.param)


def test_what_was_begun_fails_and_what_waited_is_served_by_the_next_incarnation(
    stepped, twin, loader
):
    begun = loader.request(Load("abc"))
    stepped.dispatcher.run()
    loader.tell(Trip())
    waiting = loader.request(Load("abcd"))
    stepped.dispatcher.run()
    with pytest.raises(RequestFailed, match="restarted"):
        begun.get()
    assert not waiting.is_done
    stepped.dispatcher.advance(2)
    twin.complete(twin.pending[-1], 4)
    assert waiting.get() == 4
    assert [e.incarnation for e in events_of(stepped, Restarted)] == [2]


def test_work_of_an_incarnation_that_ended_is_cancelled_and_says_by_what(stepped, twin, loader):
    loader.tell("give away")
    stepped.dispatcher.run()
    loader.tell(Trip())
    stepped.dispatcher.run()
    assert len(twin.told) == 1
    [requested] = events_of(stepped, CancelRequested)
    assert requested.trigger == "restart"
    stepped.dispatcher.advance(2)
    assert loader.ask("total?") == 0
    [left] = events_of(stepped, Discarded)
    assert left.reason == "its asker restarted"
    with pytest.raises(Cancelled, match="by the restart of a"):
        twin.told[0].get()


def test_work_that_had_ended_is_nobodys_when_its_actor_restarts(stepped, twin, loader):
    begun = loader.request(Load("abc"))
    stepped.dispatcher.run()
    work = twin.pending[0]
    twin.complete(value=3)
    loader.tell(Trip())
    stepped.dispatcher.advance(2)
    assert loader.ask("total?") == 0
    assert begun.how == How.FAILED
    assert work.how == How.RESULT
    [failed] = [turn.number for turn in turns(stepped) if isinstance(turn.message, Tell)]
    numbers = [work.number, work.number]
    assert events_of(stepped, Discarded) == [Discarded(numbers, "its asker restarted", failed)]


def test_an_ask_that_work_was_to_answer_ends_with_its_actors_incarnation(stepped, twin, loader):
    asked = loader.ask(Load("abc"), block=False)
    stepped.dispatcher.run()
    loader.tell(Trip())
    stepped.dispatcher.advance(2)
    with pytest.raises(pykka.ActorDeadError, match="restarted"):
        asked.get()


def test_an_ask_that_work_was_to_answer_ends_when_its_actor_stops(stepped, twin, loader):
    asked = loader.ask(Load("abc"), block=False)
    stepped.dispatcher.run()
    loader.stop()
    with pytest.raises(pykka.ActorDeadError, match="stopped"):
        asked.get()


def test_a_stop_before_the_restart_ends_the_requests_that_wait(stepped, twin, loader):
    loader.tell(Trip())
    waiting = loader.request(Load("abc"))
    stepped.dispatcher.run()
    assert loader.stop()
    with pytest.raises(RequestFailed, match="stopped"):
        waiting.get()


def test_a_request_that_waits_can_be_cancelled_meanwhile(stepped, twin, loader):
    loader.tell(Trip())
    waiting = loader.request(Load("abc"))
    stepped.dispatcher.run()
    assert waiting.cancel("not needed") is Outcome.WON
    with pytest.raises(Cancelled, match="not needed"):
        waiting.get()
    stepped.dispatcher.advance(2)
    assert loader.ask("total?") == 0


def test_what_is_no_exception_in_a_request_is_for_who_asked_and_for_the_rule(stepped, twin):
    loader, other = stepped.start(Owner).ask("Loader"), stepped.start(Loader)
    request = loader.request(Exit())
    with pytest.raises(SystemExit):
        request.get()
    stepped.dispatcher.advance(2)
    assert loader.ask("total?") == 0
    assert other.ask("total?") == 0
    assert [e.decision for e in events_of(stepped, Supervised)] == ["restart"]
    ended = [e for e in events_of(stepped, Completed) if e.request == request.number]
    assert len(ended) == 1
    assert twin.pending == [], "what a failed handler gave away was never begun"


def test_chance_of_a_new_incarnation_is_another_one(stepped, twin):
    loader = stepped.start(Dices).ask("start")
    first = loader.ask("roll")
    loader.tell(Trip())
    stepped.dispatcher.advance(2)
    assert loader.ask("roll") != first


class Dice(Loader):
    def on_receive(self, message):
        return self.random.random() if message == "roll" else super().on_receive(message)


class Dices(Actor):
    supervision = Supervision()

    def on_receive(self, _):
        return Dice.start()
