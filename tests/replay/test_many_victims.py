"""One cancel of very many requests: what is kept of it does not grow with them."""

import tracemalloc
from functools import cache

import pytest

from rescind.events import CancelBegan, Cause, Completed, How, Origin, Turn, read
from rescind.replay import Archive, sequences, why
from rescind.replay._archive.case import OneCancel
from rescind.replay._ledger.forgetting import ForgetfulLedger
from rescind.replay._ledger.sound import sound
from rescind.replay._world.timeline import Timeline

from .recording import CANCELED, Recording, save

OPEN_MAX = 40


@cache
def recorded(victims):
    """Return the turns of a cancel of so many requests, all of which were outstanding at once."""
    story = Recording()
    story.open()
    numbers = [story.call("Output") for _ in range(victims)]
    cancel = story.cancel(numbers)
    story.kill(cancel, numbers)
    story.deliver(numbers)
    return cancel, story.turns


@pytest.fixture
def log(tmp_path):
    return save(recorded(300)[1], tmp_path / "many.log")


def test_a_ledger_on_disk_never_holds_more_requests_than_it_may(log):
    reader = read(log)
    ledger = ForgetfulLedger(reader, open_max=OPEN_MAX)
    held = 0
    for turn in sound(reader):
        ledger.feed(turn)
        held = max(held, len(ledger.requests))
    assert OPEN_MAX // 2 < held <= OPEN_MAX + 1
    assert sum(1 for _ in ledger.present()) == 301


def test_an_archive_knows_whom_a_cancel_ended_and_keeps_their_numbers_alone(log):
    cancel, _ = recorded(300)
    archive = Archive(read(log))
    case = archive._whole_case(cancel)
    assert case.requests.keys() <= {cancel}
    assert len(archive.won_by(cancel)) == 300
    story = why(archive, f"c{cancel}")
    assert "ended 300 requests" in story.headline


def test_whom_two_endpoints_cancelled_by_turns_is_counted_exactly():
    case = OneCancel(Archive([]), 7)
    for number in range(100, 400_100, 2):
        case.won.add(number)
    assert len(case.won) == 200_000


def memory_of(victims):
    """Return the bytes that the case of a cancel of so many takes, and no turn of it."""
    case = OneCancel(Archive([]), 1)
    tracemalloc.start()
    try:
        for number in range(2, victims + 2):
            ended = Completed(number, CANCELED, How.CANCELLED, 1)
            case.feed(
                Turn(number, 0, 1, number, Origin.ACTOR, Cause(1), None, (ended,), None, True)
            )
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_victims_take_no_more_memory():
    memory_of(100)
    assert memory_of(5_000) < memory_of(500) + 10_000


def test_a_million_victims_share_what_dooms_them(log):
    cancel, turns = recorded(300)
    began = next(
        turn.number
        for turn in turns
        if any(isinstance(event, CancelBegan) for event in turn.events)
    )
    world = Timeline(read(log)).at(began)
    marks = [world.marks[number] for number in world.marks]
    assert len(marks) == 300
    assert all(each is marks[0] for each in marks)
    assert marks[0]["doomed"].value == cancel
    assert all(isinstance(fact, bytes) for fact in world.accepted.values())
    found = world.request(2)
    assert found is not None
    assert found.operation == "Output"


def test_the_sequence_of_a_cancel_of_many_is_whole(log):
    (one,) = sequences(read(log))
    assert [victim.request for victim in one.victims] == list(range(2, 302))
