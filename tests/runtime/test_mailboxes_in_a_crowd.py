"""Bounded mailboxes while many threads send, stop and wait: nothing is lost without a record."""

import sys
import threading
from collections.abc import Iterator

import pykka
import pytest

from rescind.actors.runtime import Mailbox, MailboxFullError
from rescind.events import DeadLetter, Dropped, Overflowed

from .actors import Sink, taken
from .helpers import Helper
from .recordings import events_of, waits

THREADS = 6
EACH = 100
SENT = THREADS * EACH


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Sender:
    """Sends from a thread of its own, and counts what came of it."""

    def __init__(self, ref, first):
        self.ref = ref
        self.first = first
        self.refused = 0
        self.dead = 0
        self.helper = Helper(self.send)

    def send(self):
        for n in range(self.first, self.first + EACH):
            try:
                self.ref.tell(n)
            except MailboxFullError:
                self.refused += 1
            except pykka.ActorDeadError:
                self.dead += 1


def crowd(ref):
    senders = [Sender(ref, EACH * n) for n in range(THREADS)]
    for each in senders:
        each.helper.result()
    return senders


CROWDS = pytest.mark.parametrize("dispatcher", ["thread", "pinned", "asyncio"], indirect=True)
"""Under ``stepped`` one thread moves at a time."""


@CROWDS
@pytest.mark.parametrize("policy", ["reject", "drop oldest", "block"])
def test_every_message_is_taken_or_its_loss_recorded(runtime, policy):
    class Bounded(Sink):
        mailbox = Mailbox(max=3, when_full=policy)

    ref = runtime.start(Bounded)
    senders = crowd(ref)
    came = taken(ref)
    refused = sum(each.refused for each in senders)
    dropped = len(events_of(runtime, Dropped))
    assert len(came) + refused + dropped == SENT
    assert sum(each.messages for each in events_of(runtime, Overflowed)) == refused
    assert (refused > 0) <= (policy == "reject")
    assert (dropped > 0) <= (policy == "drop oldest")
    for each in senders:
        mine = [n for n in came if each.first <= n < each.first + EACH]
        assert mine == sorted(mine), "messages of one sender keep their order"
    assert ref.box.places == runtime.mailboxes.places == 0


@CROWDS
def test_nobody_hangs_when_the_actor_stops_amid_the_crowd(runtime):
    class Bounded(Sink):
        mailbox = Mailbox(max=2, when_full="block")

    ref = runtime.start(Bounded)
    actor = ref._actor_weakref()
    stopper = threading.Timer(0, ref.stop, kwargs={"urgent": True})
    stopper.start()
    senders = crowd(ref)
    stopper.join()
    dead = sum(each.dead for each in senders)
    runtime.close()
    letters = [event for event in events_of(runtime, DeadLetter) if event.actor == ref.number]
    assert len(actor.taken) + dead + len(letters) == SENT
    assert runtime.mailboxes.places == 0


@waits
def test_asks_that_block_are_all_answered(runtime):
    class Bounded(Sink):
        mailbox = Mailbox(max=2, when_full="block")

    ref = runtime.start(Bounded)
    if hasattr(runtime.dispatcher, "run"):
        assert [ref.ask(n) for n in range(20)] == list(range(20))
    else:
        asked = [Helper(lambda n=n: ref.ask(n)) for n in range(20)]  # type: ignore[misc]
        assert [each.result() for each in asked] == list(range(20))
