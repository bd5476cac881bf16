"""Bounded mailboxes, and the bound of a runtime."""

from collections import deque
from functools import partial
from typing import Any, ClassVar

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescind import Actor as NativeActor
from rescind import message
from rescind.actors.native import RequestFailed, RequestRefused
from rescind.actors.native._protocol import DEAD, FULL, Code
from rescind.actors.runtime import (
    Actor,
    Mailbox,
    MailboxFullError,
    Reply,
    Runtime,
    RuntimeClosedError,
    StalledError,
    Stepped,
    UsageError,
)
from rescind.events import (
    Ask,
    Completed,
    Dropped,
    Overflowed,
    Rejected,
    Start,
    Stopped,
    Tell,
)

from .actors import Blocking, Dropping, Rejecting, Sender, Sink, held, taken
from .helpers import Helper
from .recordings import audit, events_of, turn_of, turns, waits


class Careless(Actor):
    """Fails with what it is refused."""

    def __init__(self, sink):
        self.sink = sink

    def on_receive(self, count):
        for n in range(count):
            self.sink.tell(n)


# --- reject --------------------------------------------------------------------------------------


def test_a_full_mailbox_rejects_at_the_call(runtime):
    ref = runtime.start(Rejecting)
    with held(runtime):
        ref.tell(1)
        ref.tell(2)
        with pytest.raises(MailboxFullError, match="2 messages wait") as caught:
            ref.tell(3)
    assert caught.value.actor == ref.number
    assert taken(ref) == [1, 2]


def test_the_future_of_an_ask_gets_the_rejection(runtime):
    ref = runtime.start(Rejecting)
    with held(runtime):
        asked = [ref.ask(n, block=False) for n in range(3)]
    assert [asked[0].get(), asked[1].get()] == [0, 1]
    with pytest.raises(MailboxFullError):
        asked[2].get()


def test_refusals_from_outside_are_recorded_the_first_with_how_many(runtime):
    ref = runtime.start(Rejecting)
    with held(runtime):
        for n in range(10):
            if n < 2:
                ref.tell(n)
            else:
                with pytest.raises(MailboxFullError):
                    ref.tell(n)
    assert taken(ref) == [0, 1]
    turn = turn_of(runtime, Tell(2))
    assert turn.events == (Overflowed(ref.number, 8, 0),)
    assert turn.by is not None
    assert turn.actor == ref.number


def test_a_proxy_is_counted_and_rejected_as_well(runtime):
    ref = runtime.start(Rejecting)
    proxy = ref.proxy()
    with held(runtime):
        ref.tell(1)
        ref.tell(2)
        late = proxy.taken
    with pytest.raises(MailboxFullError):
        late.get()


def test_a_stop_and_a_watch_always_come_in(runtime):
    ref = runtime.start(Rejecting)
    watcher = runtime.start(Sink)
    with held(runtime):
        ref.tell(1)
        ref.tell(2)
        ref.watch(watcher)
        stopped = ref.stop(block=False)
    assert stopped.get()
    assert events_of(runtime, Stopped) == [Stopped(ref.number, None)]
    assert len(taken(watcher)) == 1


def test_a_handler_is_refused_what_it_sends_beyond_the_bound(runtime):
    ref = runtime.start(Rejecting)
    sender = runtime.start(Sender, ref)
    assert sender.ask(("tell", 5)) == [2, 3, 4]
    assert taken(ref) == [0, 1]
    turn = turn_of(runtime, Ask(("tell", 5)))
    refused = [event for event in turn.events if isinstance(event, Overflowed)]
    assert refused == [Overflowed(ref.number, 1, tried) for tried in (3, 4, 5)]


def test_an_ask_of_a_handler_that_finds_no_place_ends_at_once(runtime):
    ref = runtime.start(Rejecting)
    assert runtime.start(Sender, ref).ask(("ask", 4)) == [2, 3]


def test_a_handler_that_fails_with_a_refusal_leaves_nothing_but_that(runtime):
    """What it had sent before never leaves, and gives its places back."""
    ref = runtime.start(Rejecting)
    careless = runtime.start(Careless, ref)
    with pytest.raises(MailboxFullError):
        careless.ask(3)
    assert ref.ask("taken?") == []
    with pytest.raises(MailboxFullError):
        careless.ask(3)
    careless.ask(2)
    assert taken(ref) == [0, 1]


# --- drop oldest ---------------------------------------------------------------------------------


def test_the_oldest_message_gives_its_place_to_a_new_one(runtime):
    ref = runtime.start(Dropping)
    with held(runtime):
        for n in range(5):
            ref.tell(n)
    assert taken(ref) == [3, 4]
    for n in range(3):
        assert turn_of(runtime, Tell(n)).events == (Dropped(ref.number, 0),)


def test_who_asked_hears_that_the_message_was_dropped(runtime):
    ref = runtime.start(Dropping)
    with held(runtime):
        asked = [ref.ask(n, block=False) for n in range(3)]
    with pytest.raises(MailboxFullError, match="dropped"):
        asked[0].get()
    assert [asked[1].get(), asked[2].get()] == [1, 2]


def test_what_a_turn_sends_drops_the_oldest_too_and_the_record_names_the_turn(runtime):
    ref = runtime.start(Dropping)
    sender = runtime.start(Sender, ref)
    assert sender.ask(("tell", 4)) == []
    assert taken(ref) == [2, 3]
    sent = turn_of(runtime, Ask(("tell", 4))).number
    assert events_of(runtime, Dropped) == [Dropped(ref.number, sent)] * 2


def test_a_stop_keeps_its_place_among_messages_that_are_dropped(runtime):
    ref = runtime.start(Dropping)
    with held(runtime):
        ref.tell(1)
        stopped = ref.stop(block=False)
        ref.tell(2)
        late = ref.ask(3, block=False)
    assert stopped.get()
    with pytest.raises(pykka.ActorDeadError):
        late.get()
    assert events_of(runtime, Dropped) == [Dropped(ref.number, 0)]


def test_a_message_is_dropped_from_behind_what_is_not_counted(runtime):
    class Watching(Actor):
        def on_receive(self, message):
            message.watch(self.actor_ref)
            for n in range(3):
                message.tell(n)

    ref = runtime.start(Dropping)
    runtime.start(Watching).ask(ref)
    runtime.close()
    assert turn_of(runtime, Tell(0)).events[0].actor == ref.number


def test_a_message_is_not_dropped_before_its_actor_was_born(runtime):
    class Parent(Actor):
        def on_receive(self, count):
            child = Dropping.start()
            for n in range(count):
                child.tell(n)
            return child

    child = runtime.start(Parent).ask(4)
    child.stop()
    found = [turn.message for turn in turns(runtime) if turn.actor == child.number]
    assert isinstance(found[0], Start)
    assert found[1:5] == [Tell(n) for n in range(4)]


# --- block ---------------------------------------------------------------------------------------


@waits
def test_a_caller_from_outside_waits_for_a_place(runtime):
    ref = runtime.start(Blocking)
    for n in range(50):
        ref.tell(n)
    assert taken(ref) == list(range(50))
    assert events_of(runtime, Overflowed) == []


def test_a_handler_does_not_wait_but_is_rejected(runtime):
    ref = runtime.start(Blocking)
    assert runtime.start(Sender, ref).ask(("tell", 4)) == [2, 3]


def test_blocked_callers_come_in_in_their_order(threaded):
    ref = threaded.start(Blocking)
    callers = []
    with held(threaded):
        ref.tell(0)
        ref.tell(1)
        for n in range(2, 6):
            callers.append(Helper(partial(ref.tell, n)))
            while len(ref.box._blocked) < n - 1:  # it is one lock away from there
                pass
    for caller in callers:
        caller.result()
    assert taken(ref) == list(range(6))


def test_a_blocked_caller_is_rejected_when_its_time_is_up(threaded):
    class Impatient(Sink):
        mailbox = Mailbox(max=1, when_full="block", timeout_s=0.01)

    ref = threaded.start(Impatient)
    with held(threaded):
        ref.tell(0)
        with pytest.raises(MailboxFullError):
            ref.tell(1)
        late = ref.ask(2, block=False)
    with pytest.raises(MailboxFullError):
        late.get()
    assert taken(ref) == [0]
    assert events_of(threaded, Overflowed) == [Overflowed(ref.number, 2, 0)]


def test_who_is_blocked_hears_that_the_actor_stopped(threaded):
    ref = threaded.start(Blocking)
    with held(threaded):
        ref.tell(0)
        ref.tell(1)
        stopped = ref.stop(block=False, urgent=True)
        teller, asker = Helper(lambda: ref.tell(2)), Helper(lambda: ref.ask(3))
        while len(ref.box._blocked) < 2:
            pass
    assert stopped.get()
    for each in (teller, asker):
        with pytest.raises(pykka.ActorDeadError):
            each.result()


@pytest.mark.not_repeatable("it waits for a future of the test, which is set by now")
def test_where_nothing_can_make_a_place_the_wait_is_an_error(recordings):
    class Stuck(Actor):
        mailbox = Mailbox(max=1, when_full="block")

        def on_receive(self, message):
            if message == "wait":
                stuck.get()

    stepped = recordings.open("stepped")
    stuck: Reply[None] = Reply(stepped)
    ref = stepped.start(Stuck)
    ref.tell("wait")
    stepped.dispatcher.run()
    ref.tell(1)
    with pytest.raises(StalledError):
        ref.tell(2)
    stuck.set(None)
    stepped.dispatcher.run()
    assert len(events_of(stepped, Overflowed)) == 0


def test_the_loop_is_not_blocked_by_a_full_mailbox(recordings):
    runtime = recordings.open("asyncio")
    ref = runtime.start(Blocking)

    async def send():
        ref.tell(0)
        ref.tell(1)
        with pytest.raises(UsageError, match="event loop"):
            ref.tell(2)

    recordings.loop().run(send())
    assert taken(ref) == [0, 1]


# --- the whole runtime ---------------------------------------------------------------------------


@pytest.fixture
def crowded(recordings, dispatcher):
    runtime = recordings.open(dispatcher)
    runtime.mailboxes.waiting_max = 3
    return runtime


def test_the_whole_runtime_takes_so_many_from_outside(crowded):
    refs = [crowded.start(Sink) for _ in range(2)]
    with held(crowded):
        for n in range(3):
            refs[n % 2].tell(n)
        with pytest.raises(MailboxFullError, match="in the runtime") as caught:
            refs[0].tell(3)
    assert caught.value.actor == 0
    assert [taken(ref) for ref in refs] == [[0, 2], [1]]
    assert events_of(crowded, Overflowed) == [Overflowed(0, 1, 0)]


def test_what_actors_send_each_other_is_not_refused_by_the_runtime(crowded):
    ref = crowded.start(Sink)
    assert crowded.start(Sender, ref).ask(("tell", 10)) == []
    assert taken(ref) == list(range(10))


def test_the_bound_of_the_runtime_is_an_option():
    with Runtime.open(dispatcher=Stepped(), waiting_max=1) as runtime:
        ref = runtime.start(Sink)
        ref.tell(1)
        with pytest.raises(MailboxFullError):
            ref.tell(2)
        assert taken(ref) == [1]
    audit(runtime.log, [Sink])


# --- requests ------------------------------------------------------------------------------------


@message
class Job:
    n: int


class Worker(NativeActor):
    mailbox = Mailbox(max=1)

    def on_job(self, m: Job) -> int:
        return m.n


class Newest(Worker):
    mailbox = Mailbox(max=1, when_full="drop oldest")


class Patient(Worker):
    mailbox = Mailbox(max=1, when_full="block")


class Chief(NativeActor):
    def __init__(self, worker: Any) -> None:
        self.worker = worker

    def on_receive(self, message: Any) -> Any:
        codes = []
        for n in range(message):
            try:
                self.worker.request(Job(n))
            except RequestRefused as refused:
                codes.append(refused.code)
        return codes


def test_a_request_is_refused_with_its_rule_and_code(stepped):
    ref = stepped.start(Worker)
    first = ref.request(Job(1))
    with pytest.raises(RequestRefused, match="the mailbox is full") as caught:
        ref.request(Job(2))
    assert isinstance(caught.value, MailboxFullError)
    assert not isinstance(caught.value, pykka.ActorDeadError)
    assert (caught.value.rule, caught.value.code) == (FULL, Code.FULL)
    (rejected,) = events_of(stepped, Rejected)
    assert (rejected.request, rejected.code) == (caught.value.request, Code.FULL)
    assert first.get() == 1
    ref.stop()
    with pytest.raises(RequestRefused) as dead:
        ref.request(Job(3))
    assert isinstance(dead.value, pykka.ActorDeadError)
    assert dead.value.rule == DEAD
    assert ref.box.places == 0


def test_a_request_of_a_handler_is_refused_in_its_turn(runtime):
    ref = runtime.start(Worker)
    assert runtime.start(Chief, ref).ask(3) == [Code.FULL, Code.FULL]
    assert len(events_of(runtime, Rejected)) == 2


def test_a_request_that_is_dropped_fails_with_its_own_code(stepped):
    ref = stepped.start(Newest)
    dropped, kept = ref.request(Job(1)), ref.request(Job(2))
    assert kept.get() == 2
    with pytest.raises(RequestFailed, match="dropped it") as caught:
        dropped.get()
    assert caught.value.code == Code.DROPPED
    ended = {event.request: event.code for event in events_of(stepped, Completed)}
    assert ended[dropped.number] == Code.DROPPED


@waits
def test_a_request_waits_for_its_place(runtime):
    ref = runtime.start(Patient)
    assert [request.get() for request in [ref.request(Job(n)) for n in range(20)]] == [*range(20)]


def test_the_runtimes_bound_refuses_requests_from_outside(recordings):
    stepped = recordings.open("stepped")
    stepped.mailboxes.waiting_max = 1
    ref = stepped.start(Chief, None)
    ref.tell(0)
    with pytest.raises(RequestRefused):
        ref.request(Job(1))
    assert events_of(stepped, Overflowed) == [Overflowed(0, 1, 1)]


# --- what else -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "policy"), [(0, "reject"), (1, "burst")])
def test_a_bound_that_makes_no_sense_is_refused(most, policy):
    with pytest.raises(UsageError, match="max is at least 1"):
        Mailbox(max=most, when_full=policy)


def test_a_class_that_uses_the_name_for_something_else_has_no_bound(runtime):
    class Postal(Sink):
        mailbox: ClassVar[Any] = "12 High Street"

    ref = runtime.start(Postal)
    assert ref.box is None
    assert ref.ask(1) == 1


def test_who_is_blocked_when_the_runtime_closes_hears_of_it(threaded):
    ref = threaded.start(Blocking)
    with held(threaded):
        ref.tell(0)
        ref.tell(1)
        caller = Helper(lambda: ref.tell(2))
        while not ref.box._blocked:
            pass
        threaded.mailboxes.close()
    with pytest.raises(RuntimeClosedError):
        caller.result()


# --- against a model -----------------------------------------------------------------------------


class Model:
    """A bounded mailbox and the line in which all messages stand, as simply as can be."""

    def __init__(self, bound: Mailbox) -> None:
        self.bound = bound
        self.line: deque[Any] = deque()
        """``None``: the next message of the mailbox; a number: a turn that sends so many."""
        self.waiting: deque[int] = deque()
        self.taken: list[int] = []
        self.refused = 0
        self.dropped: list[int] = []

    def send(self, n: int) -> None:
        if len(self.waiting) < self.bound.max:
            self.waiting.append(n)
            self.line.append(None)
        elif self.bound.when_full == "drop oldest":
            self.dropped.append(self.waiting.popleft())
            self.waiting.append(n)
        else:
            self.refused += 1

    def take(self, numbers: Any) -> None:
        if not self.line:
            return
        head = self.line.popleft()
        if head is None:
            self.taken.append(self.waiting.popleft())
        else:
            for _ in range(head):
                self.send(next(numbers))


class Burst(Actor):
    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self.next_number = 1000

    def on_receive(self, count: int) -> None:
        for _ in range(count):
            self.next_number += 1
            try:
                self.sink.tell(self.next_number - 1)
            except MailboxFullError:
                continue


STEPS = st.one_of(st.just("tell"), st.just("take"), st.integers(min_value=0, max_value=5))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STEPS, max_size=40),
    st.integers(min_value=1, max_value=4),
    st.sampled_from(["reject", "drop oldest"]),
)
def test_a_bounded_mailbox_does_as_a_simple_model_does(steps, most, policy):
    class Bounded(Sink):
        mailbox = Mailbox(max=most, when_full=policy)

    model, inside = Model(Bounded.mailbox), iter(range(1000, 10_000))
    stepped = Stepped()
    with Runtime.open(dispatcher=stepped) as runtime:
        sink: Any = runtime.start(Bounded)
        burst = runtime.start(Burst, sink)
        refused = 0
        for n, step in enumerate(steps):
            match step:
                case "tell":
                    model.send(n)
                    try:
                        sink.tell(n)
                    except MailboxFullError:
                        refused += 1
                case "take":
                    model.take(inside)
                    while runtime._control:
                        runtime.run_turns(1)
                    runtime.run_turns(1)
                case count:
                    model.line.append(count)
                    burst.tell(count)
            assert sink.box.places == len(model.waiting)
        while model.line:
            model.take(inside)
        stepped.run()
        assert taken(sink) == model.taken
        lost = [each for each in turns(runtime) if Dropped in map(type, each.events)]
        assert [each.message.value for each in lost] == model.dropped
        assert sum(each.messages for each in events_of(runtime, Overflowed)) == model.refused
        assert runtime.mailboxes.places == 0
    audit(runtime.log, [Bounded, Burst])
