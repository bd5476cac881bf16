"""Time travel: the world behind a turn is the same however one comes there."""

import random
from itertools import pairwise

import pytest

from rescind.events import Accepted, Completed, Delivered, Opened, Start, Submit, read
from rescind.replay._archive.select import SelectorError
from rescind.replay._state.state import Look
from rescind.replay._world.timeline import CHECKPOINT_TURNS, Timeline
from rescind.replay._world.world import World
from tests.events.logs import open_log, record

from .plot import Plot

MAY_BE_UNTOLD = {"waits", "failed", "supervised", "timers", "events_since"}
"""What a keyframe does not tell of an actor: it is known from its turns alone."""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("timeline") / "log"
    plot = Plot(path)
    plot.act()
    plot.runtime.close()
    return path


def seen(world, log):
    """Return everything that is told of a world, without times and turns."""
    states = Look(world, log).all()
    return {
        (each.kind, each.actor): {k: v for k, v in each.state.items() if k not in MAY_BE_UNTOLD}
        for each in states
    }


def without_triggers(states):
    """A keyframe says of a cancel who asked and not in which words."""
    return {
        key: {k: v for k, v in state.items() if k not in {"reason", "trigger"}}
        for key, state in states.items()
    }


@pytest.fixture(scope="module")
def truth(log):
    """What is so behind every turn, folded from decoded turns from the log's beginning on."""
    world, found = World(), {}
    reader = read(log)
    for turn in reader:
        world.feed(turn)
        found[turn.number] = seen(world, reader)
    return found


def test_behind_every_turn_a_keyframe_and_what_follows_tell_what_the_whole_log_tells(log, truth):
    begun = set()
    for number, told in truth.items():
        timeline = Timeline(read(log))
        world = timeline.at(number)
        frame = timeline.lookup.keyframe(number + 1)
        begun.add(0 if frame is None else frame.number)
        found = without_triggers(seen(world, read(log)))
        assert {k: drop_class(v) for k, v in found.items()} == {
            k: drop_class(v) for k, v in without_triggers(told).items()
        }
    assert len(begun) > 5, "as many keyframes were begun at"


def drop_class(state):
    """Which name a class has is known once its binding was read."""
    return {k: v for k, v in state.items() if k != "class"}


def test_stepping_tells_what_asking_anew_tells(log, truth):
    timeline, reader = Timeline(read(log)), read(log)
    last = max(truth)
    timeline.at(last)
    for number in range(last - 1, 0, -1):
        assert seen(timeline.step(), reader).keys() == truth[number].keys()
        assert timeline.number == number
    for number in range(2, last + 1):
        timeline.step(1)
        assert timeline.number == number
    assert seen(timeline.step(0), reader).keys() == truth[last].keys()


def test_it_may_be_asked_in_any_order(log, truth):
    chance = random.Random(7)  # an order, and the same each time
    timeline, reader = Timeline(read(log)), read(log)
    for number in chance.choices(sorted(truth), k=200):
        assert seen(timeline.at(number), reader).keys() == truth[number].keys(), number


def test_turns_in_memory_tell_the_same(log, truth):
    reader = read(log)
    timeline = Timeline(list(reader))
    for number in (max(truth), 17, 400, 401, 1):
        assert seen(timeline.at(number), reader) == truth[number]


def test_what_is_returned_is_where_it_was_asked_for(log):
    world = Timeline(read(log)).at(100)
    turn = next(iter(read(log, start=100)))
    assert (world.number, world.time_ns, world.epoch) == (100, turn.time_ns, 1)


def test_steps_back_over_checkpoints_tell_what_asking_anew_tells(tmp_path):
    log = open_log(tmp_path / "log")
    log.append(record(log, Start(0, [], {}), Opened(1, "newton", "guide", "twin")))
    for number in range(2, 3 * CHECKPOINT_TURNS):
        events = (
            Accepted(number, 1, "Output", True, None, True),
            Completed(number, None, 0, 0),
        )
        log.append(record(log, Submit("Output", (), True, None), *events))
        if number % 50 == 0:
            log.append(record(log, None, Delivered([number - 40, number], "script")))
            log.write(log.seal())
    log.close()
    timeline = Timeline(read(tmp_path / "log"))
    last = timeline.lookup.last
    timeline.at(last)
    for number in range(last, last - 2 * CHECKPOINT_TURNS, -397):
        world = timeline.at(number)
        other = Timeline(read(tmp_path / "log")).at(number)
        assert sorted(world.accepted) == sorted(other.accepted), number


@pytest.mark.parametrize("turn", [0, -3, 10**9])
def test_a_turn_that_is_not_there_is_refused_with_the_nearest(log, truth, turn):
    with pytest.raises(SelectorError) as raised:
        Timeline(read(log)).at(turn)
    assert raised.value.nearest == (str(max(truth) if turn > 0 else 1),)


def test_an_empty_log_has_no_turns(tmp_path):
    open_log(tmp_path / "log").close()
    with pytest.raises(SelectorError, match="no turns"):
        Timeline(read(tmp_path / "log")).at(1)


def test_a_lost_turn_is_refused_with_its_neighbours_and_behind_it_not_all_is_known(log):
    turns = [turn for turn in read(log) if not 50 <= turn.number < 60]
    timeline = Timeline(turns)
    with pytest.raises(SelectorError, match=r"lost turns 50\.\.59") as raised:
        timeline.at(55)
    assert raised.value.nearest == ("49", "60")
    assert timeline.at(49).is_whole
    assert not timeline.at(60).is_whole


def test_a_time_means_the_last_turn_that_is_not_after_it(log):
    turns = list(read(log))
    for timeline in (Timeline(read(log)), Timeline(turns)):
        for turn, following in pairwise(turns[100:131]):
            if turn.time_ns < following.time_ns:
                assert timeline.moment(turn.time_ns) == turn.number
                assert timeline.moment(following.time_ns - 1) == turn.number
        assert timeline.moment(turns[-1].time_ns) >= turns[-1].number - 100


def test_times_outside_of_the_log_are_refused_with_the_nearest_turn(log):
    turns = list(read(log))
    timeline = Timeline(read(log))
    with pytest.raises(SelectorError, match="begins after") as before:
        timeline.moment(turns[0].time_ns - 1)
    with pytest.raises(SelectorError, match="ends before") as after:
        timeline.moment(turns[-1].time_ns + 1)
    assert (before.value.nearest, after.value.nearest) == (("1",), (str(len(turns)),))
