"""Today's code is changed behind a recording; each change is told at the first turn it matters in.

Half of the changes are in actors of the application, half in what Newton and the kernel decide;
those of the other dialects stand in ``test_rerun_mutations_of_dialects``.
"""

import threading

import pytest
from pykka import ActorRegistry

from rescind import Runtime, newton
from rescind.actors.kernel._endpoint import Endpoint as KernelEndpoint
from rescind.actors.kernel._lane import Lane
from rescind.actors.newton import _actors as newton_actors
from rescind.actors.newton import _protocol as newton_protocol
from rescind.actors.newton._codes import Code
from rescind.actors.runtime import Stepped
from rescind.events import (
    Answer,
    AnswerIgnored,
    Cancel,
    CancelBegan,
    CancelEnded,
    CancelRequested,
    Complete,
    CompletionScript,
    Killed,
    Rejected,
    Replied,
    Submit,
    read,
)
from rescind.replay import Mismatch, rerun

from . import shop
from .shop import Clerk, Deliver, Noted, Order, Paid, Pay, Porter, Remind, Till, Total
from .taken import Taken

CLASSES = [Till, Clerk, Porter, Pay, Order, Remind, Deliver, Total]


# --- actors of the application --------------------------------------------------------------------


@pytest.fixture
def bought():
    """Orders, payments, a reminder and questions, recorded under the stepped dispatcher."""
    run = Stepped()
    runtime = Runtime.open(dispatcher=run)
    till, porter = runtime.start(Till), runtime.start(Porter)
    clerk = runtime.start(Clerk, till, porter)
    till.ask(Total())
    clerk.ask(Order(["tea", "milk", "honey"]))
    till.ask(Pay(150))
    clerk.ask(Pay(7))
    till.tell(Remind(3.0))
    run.advance(5)
    till.ask(Total())
    clerk.ask(Order(["salt"]))
    run.run()
    runtime.close()
    taken = Taken(runtime.log)
    assert rerun(read(runtime.log), classes=CLASSES).divergence is None
    return taken


def in_other_order(self, m):
    for name in reversed(m.names):
        self.porter.tell(Deliver(name))
    self.till.tell(Pay(len(m.names)))
    return list(m.names)


def events_swapped(self, m):
    if m.cents > 100:
        self.record(Noted("much"))
    self.record(Paid(m.cents))
    return self.total


def without_an_event(self, m):
    self.record(Paid(m.cents))
    return self.total


def with_an_event_more(self, m):
    self.record(Paid(m.cents))
    if m.cents > 100:
        self.record(Noted("much"))
        self.record(Noted("very"))
    return self.total


def with_another_value(self, m):
    self.record(Paid(m.cents + (m.cents > 100)))
    if m.cents > 100:
        self.record(Noted("much"))
    return self.total


def with_the_machines_clock(self, m):
    self.record(Noted(str(shop.clock())))


def with_chance(self, m):
    self.record(Noted(str(shop.chance())))


def through_a_set(self, m):
    for thing in set(map(shop.Thing, m.names)):
        self.porter.tell(Deliver(thing.name))
    self.till.tell(Pay(len(m.names)))
    return list(m.names)


def later(self, m):
    self.send_after(m.after_s + 1, Total())


def with_another_time_out(self, m):
    return self.till.request(m, timeout_s=6)


def with_another_answer(self, m):
    del m
    return -self.total


def with_a_message_less(self, m):
    for name in m.names[:-1]:
        self.porter.tell(Deliver(name))
    self.till.tell(Pay(len(m.names)))
    return list(m.names)


def with_a_message_more(self, m):
    for name in [*m.names, "gift"]:
        self.porter.tell(Deliver(name))
    self.till.tell(Pay(len(m.names)))
    return list(m.names)


def to_another_actor(self, m):
    for name in m.names:
        self.till.tell(Deliver(name))
    self.till.tell(Pay(len(m.names)))
    return list(m.names)


def that_raises(self, m):
    if m.cents > 100:
        raise ValueError("too much")
    return without_an_event(self, m)


def that_completes_at_once(self, m):
    return m.cents


def applied_twice(self, e):
    self.total += 2 * e.cents


def second_deliver(turn):
    return turn.message.value.values == ("milk",)


def much(turn):
    return turn.message.value.values == (150,)


IN_ACTORS = [
    # what is changed, to what, and where that matters first
    (Clerk, "on_order", in_other_order, lambda t: t.first(Deliver), "Tell.value.name"),
    (Till, "on_pay", events_swapped, lambda t: t.first(Pay, where=much), "events[0]"),
    (Till, "on_pay", without_an_event, lambda t: t.first(Pay, where=much), "events[1]"),
    (Till, "on_pay", with_an_event_more, lambda t: t.first(Pay, where=much), "events[2]"),
    (Till, "on_pay", with_another_value, lambda t: t.first(Pay, where=much), "Paid.cents"),
    (Porter, "on_deliver", with_the_machines_clock, lambda t: t.first(Deliver), "Noted.text"),
    (Porter, "on_deliver", with_chance, lambda t: t.first(Deliver), "Noted.text"),
    (Till, "on_remind", later, lambda t: t.first(Remind), "TimerSet.delay_ns"),
    (Clerk, "on_pay", with_another_time_out, lambda t: t.first(Pay, actor=4), "timeout_ns"),
    (Clerk, "on_pay", that_completes_at_once, lambda t: t.first(Pay, actor=4), "events"),
    (Till, "on_pay", that_raises, lambda t: t.first(Pay, where=much), "events[0]"),
]


@pytest.mark.parametrize(
    ("cls", "name", "changed", "where", "path"),
    IN_ACTORS,
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_change_in_an_actor_is_told_at_the_first_turn_it_matters_in(
    bought, monkeypatch, cls, name, changed, where, path
):
    monkeypatch.setattr(cls, name, changed)
    found = bought.found(CLASSES)
    assert found.number == where(bought), found
    assert any(path in each.path for each in found.differences), found
    assert found.line is not None
    assert found.line.file in (__file__, shop.__file__)
    assert found.line.function in (changed.__qualname__, getattr(cls, name).__qualname__)


def test_the_order_of_a_set_is_told(bought, monkeypatch):
    def first(salt):
        monkeypatch.setattr(shop, "SALT", salt)
        return next(iter(set(map(shop.Thing, ["tea", "milk", "honey"])))).name

    next(salt for salt in range(8) if first(salt) != "tea")  # stays set
    monkeypatch.setattr(Clerk, "on_order", through_a_set)
    found = bought.found(CLASSES)
    assert (found.number, found.what) == (bought.first(Deliver), "another message")


@pytest.mark.parametrize(
    ("cls", "name", "changed", "where", "what"),
    [
        # The first that is missing is found when another message is taken in its place.
        (Clerk, "on_order", with_a_message_less, lambda t: t.first(Deliver, after=8), "nobody"),
        (Clerk, "on_order", with_a_message_more, lambda t: t.first(Deliver, after=9), "another"),
        (Clerk, "on_order", to_another_actor, lambda t: t.first(Deliver), "nobody sent"),
        (Till, "on_total", with_another_answer, lambda t: t.first(Total, after=15, holding=Replied),
         "other events"),
        (Till, "apply_paid", applied_twice, lambda t: t.first(Pay, where=much), "other events"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
def test_what_shows_elsewhere_is_told_where_it_shows(
    bought, monkeypatch, cls, name, changed, where, what
):
    monkeypatch.setattr(cls, name, changed)
    if name.startswith("apply"):
        monkeypatch.setattr(cls, "FACTS", {**cls.FACTS, Paid: lambda a, e, _: changed(a, e)})
    found = bought.found(CLASSES)
    assert found.number == where(bought), found
    assert found.what.startswith(what)


def test_a_message_that_nobody_took_then_is_told_where_it_is_sent_now(bought, monkeypatch):
    def last(self, m):
        for each in m.names:
            self.porter.tell(Deliver(each))
        self.till.tell(Pay(len(m.names)))
        if len(m.names) == 1:
            self.porter.tell(Deliver("gift"))
        return list(m.names)

    monkeypatch.setattr(Clerk, "on_order", last)
    found = bought.found(CLASSES)
    assert found.number == bought.first(Order, after=10)
    assert found.what == "today's code sends a message that nobody took"
    assert found.line is not None
    assert found.line.function.endswith("last")
    assert found.line.is_exact


# --- decisions of the dialects --------------------------------------------------------------------


@pytest.fixture
def sent():
    """An endpoint: Outputs that succeed, a Cancel with victims, a refusal, a time-out, an end."""
    run = Stepped()
    runtime = Runtime.open(dispatcher=run)
    twin = newton.twin()
    endpoint = newton.Endpoint(runtime, twin, exception_handler=lambda *_: None)
    endpoint.bind()
    endpoint.connect()
    spec = newton.CallbackSpec(True, None, lambda *_: None)
    first = endpoint.output("first", spec)
    run.run()
    twin.complete(first.number)
    run.run()
    late = [endpoint.output(text, spec) for text in ("a", "b", "c")]
    run.run()
    endpoint.cancel(spec)
    with pytest.raises(newton.CommError):
        endpoint.output("refused", spec)
    run.run()
    twin.complete(late[0].number)
    endpoint.output("slow", newton.CallbackSpec(True, 2.0, lambda *_: None))
    run.run()
    run.advance(3)
    endpoint.disconnect()
    runtime.close()
    taken = Taken(runtime.log)
    assert rerun(read(runtime.log)).divergence is None
    return taken


def accepts_in_the_window(self, *_):
    del self


def another_code(*_):
    return Code.TSYSERR


def victims_reversed(self, besides=None):
    return VICTIMS(self, besides)[::-1]


VICTIMS = newton_actors.NewtonEndpoint._victims
CANCEL_VICTIM = newton_actors.NewtonEndpoint.cancel_victim
MOVE = newton_actors.NewtonEndpoint._move
STOPPED = KernelEndpoint._driver_stopped


def forgets_a_victim(self, request, cancel, out):
    if request.arguments != ("b",):
        CANCEL_VICTIM(self, request, cancel, out)


def never_connects(self, state, out):
    if state is not newton_protocol.State.DATA_XFER:
        MOVE(self, state, out)


def does_nothing(*_, **__):
    return None


def does_more(self, cancel, code, spared, out):
    STOPPED(self, cancel, code, spared, out)
    out.events.append(AnswerIgnored(cancel, code))


def overtakes(self, delivery):
    self._queue.appendleft(delivery)


IN_DIALECTS = [
    # whose decision is changed, to what, and where that matters first
    (newton_actors.NewtonEndpoint, "_refusal", accepts_in_the_window,
     lambda t: t.first(Submit, holding=Rejected), "other events"),
    (newton_actors, "cancelled_code", another_code, lambda t: t.first(Cancel), "other events"),
    (newton_actors.NewtonEndpoint, "_victims", victims_reversed,
     lambda t: t.first(Submit, holding=CancelBegan), "other events"),
    (newton_actors.NewtonEndpoint, "cancel_victim", forgets_a_victim,
     lambda t: t.first(Cancel, actor=6), "other events"),
    (newton_actors.NewtonEndpoint, "_move", never_connects,
     lambda t: t.first(Answer, actor=3), "other events"),
    (newton_actors, "_TAKES", {**newton_actors._TAKES, Answer: does_nothing},
     lambda t: t.first(Answer, holding=AnswerIgnored), "other events"),
    (KernelEndpoint, "_end_window", does_nothing,
     lambda t: t.first(CompletionScript, holding=CancelEnded), "other events"),
    (newton_actors.NewtonEndpoint, "_cancel_for_time_out", does_nothing,
     lambda t: t.first(Cancel, holding=CancelRequested), "other events"),
    (newton_actors.NewtonEndpoint, "_time_out_code", another_code,
     lambda t: t.first(Complete, after=24), "other events"),
    (newton_actors.NewtonEndpoint, "time_out", does_nothing,
     lambda t: t.first(Cancel, holding=CancelRequested), "nobody sent this message"),
    (Lane, "append", overtakes,
     lambda t: t.first(CompletionScript, holding=CancelEnded), "another delivery is due"),
    (KernelEndpoint, "_driver_stopped", does_more, lambda t: t.first(Killed), "other events"),
    (KernelEndpoint, "tell_trigger", does_nothing, lambda t: t.first(Complete),
     "nobody sent this message"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "name", "changed", "where", "what"),
    IN_DIALECTS,
    ids=[f"{row[1]} {getattr(row[2], '__name__', 'changed')}" for row in IN_DIALECTS],
)
def test_a_change_in_what_a_dialect_decides_is_told_at_the_first_turn_it_matters_in(
    sent, monkeypatch, owner, name, changed, where, what
):
    monkeypatch.setattr(owner, name, changed)
    found = sent.found()
    assert (found.number, found.what) == (where(sent), what), found
    assert found.line is not None


def test_an_endpoints_state_is_shown_as_both_would_leave_it(sent, monkeypatch):
    monkeypatch.setattr(newton_actors.NewtonEndpoint, "_move", never_connects)
    found = sent.found()
    assert found.label == "Connect"
    assert found.state == (Mismatch("state", "kDataXfer", "kOutCon"),)


def test_the_fields_of_an_actor_are_shown_as_both_would_leave_them(bought, monkeypatch):
    monkeypatch.setattr(Till, "on_pay", with_another_value)
    found = bought.found(CLASSES)
    assert found.label == "Till"
    assert found.state == (Mismatch("total", "153", "154"),)
    assert found.differences == (Mismatch("events[0] tests.replay.shop.Paid.cents", "150", "151"),)


def test_a_dialect_that_raises_is_told_with_its_turn_and_line(sent, monkeypatch):
    def raises(*_):
        raise LookupError("no such code")

    monkeypatch.setattr(newton_actors, "cancelled_code", raises)
    found = sent.found()
    assert (found.number, found.what) == (
        sent.first(Cancel),
        "deciding it raises LookupError: no such code",
    )
    assert found.line is not None
    assert found.line.function.endswith("raises")


def test_a_handler_that_hangs_leaves_nothing_in_the_registry(bought, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(Till, "on_remind", lambda *_: gate.wait())
    before = set(ActorRegistry.get_all())
    found = rerun(read(bought.log), classes=CLASSES, time_limit_s=0.3).divergence
    try:
        assert found is not None
        assert found.number == bought.first(Remind)
        assert found.what == "the handler has not ended after 0.3 s"
        assert set(ActorRegistry.get_all()) == before
    finally:
        gate.set()
