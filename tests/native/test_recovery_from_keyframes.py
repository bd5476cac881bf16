"""Recovery that begins at a keyframe, and states as a keyframe holds them."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind import event, newton
from rescind.actors.native import Twin
from rescind.actors.runtime._known import Known
from rescind.actors.runtime._recovery import survivors_of
from rescind.actors.runtime._state import CannotTellError, freeze, thaw
from rescind.actors.runtime._survivors import Survivors
from rescind.events import Born, Entry, Origin, Pace, Retention, Start, Turn, prune, read
from rescind.replay import check

from .stores import Kept, Plain, Put, Store, Wait, Watch

ALWAYS = Pace(log_bytes_min=0, log_bytes_factor=0)
"""There is always a keyframe under way."""


@event
class Filled:
    pass


class Chest(Store):
    """Holds one of everything that a state may hold."""

    things: Any = None

    def on_receive(self, _message: Any) -> Any:
        self.record(Filled())

    def apply_filled(self, _: Filled) -> None:
        self.total += 1
        self.things = {
            "list": [1, [2]],
            "tuple": (1, (2,), [3]),
            "set": {3, 1, 2},
            "frozenset": frozenset({"b", "a"}),
            ("a", 1): {"deep": {1: None}},
            "kind": Kept("k", 2),
            "ref": self.actor_ref,
            "bytes": b"\x00",
            "big": -(2**62),
        }


def write_keyframe(runtime: Any) -> None:
    """Have one keyframe written now."""
    runtime.commit()
    runtime.log.keyframes_from(runtime.entries, ALWAYS)
    runtime.start(Plain).stop()
    runtime.commit()
    runtime.log.keyframes_from(runtime.entries)
    runtime.dispatcher.run()
    assert read(runtime.log).keyframe() is not None


def begins_at_keyframe(runtime: Any, *classes: type) -> bool:
    """Tell whether recovery begins at a keyframe."""
    _, reader = survivors_of(lambda start: read(runtime.log, start=start), Known(classes))
    return next(iter(reader)).number > 1


def test_a_keyframe_gives_a_state_back_as_it_was(stepped, crash):
    chest = stepped.start(Chest, "c", other=stepped.start(Plain))
    chest.tell("fill")
    stepped.dispatcher.run()
    write_keyframe(stepped)
    assert begins_at_keyframe(stepped, Chest, Plain, Kept)
    chest.tell("fill")
    stepped.run_turns()
    again = crash(stepped, Chest, Plain, Kept)
    there, here = stepped.actors[chest.number], again.actors[chest.number]
    assert here.total == 2
    assert here.things.pop("ref").number == there.things.pop("ref").number == chest.number
    assert here.things == there.things
    assert {k: type(v) for k, v in here.things.items()} == {
        k: type(v) for k, v in there.things.items()
    }
    assert here.other.number == there.other.number


def test_recovery_needs_nothing_before_the_keyframe(recordings, stepped, tmp_path):
    stepped.close()
    path = tmp_path / "log"
    runtime = recordings.open("stepped", path=path, segment_bytes_max=2_000)
    runtime.log.keyframes_from(runtime.entries, ALWAYS)
    store = runtime.start(Store, "s")
    watcher = runtime.start(Store, "w")
    watcher.request(Watch(store))
    for number in range(100):
        store.request(Put(f"n{number}"))
        runtime.dispatcher.run()
    runtime.log.save(tmp_path / "crashed")
    prune(tmp_path / "crashed", Retention(bytes_max=0))
    first = next(iter(read(tmp_path / "crashed"))).number
    assert first > 100
    again = recordings.open("stepped", path=tmp_path / "crashed", classes=[Store])
    assert again.actors[store.number].names == [f"n{number}" for number in range(100)]
    assert [each.number for each in again.refs(Store)[0].watchers] == [watcher.number]


class Holder(Store):
    """Has something that no log can carry, and says that it belongs to its state."""

    lock: Any

    def __init__(self) -> None:
        super().__init__("holder")
        self.lock = object()


class Locker(Store):
    """Has the same, and its constructor makes it."""

    def __init__(self) -> None:
        super().__init__("locker")
        self.lock = object()


@pytest.mark.parametrize("cls", [Holder, Locker])
def test_what_a_keyframe_cannot_hold_comes_from_the_constructor_or_from_all_turns(
    stepped, crash, cls
):
    ref = stepped.start(cls)
    ref.request(Put("a"))
    stepped.dispatcher.run()
    write_keyframe(stepped)
    with stepped.baton:
        (entry,) = [each for each in stepped.entries() if each and each.actor == ref.number]
    assert ("state" in (entry.state or {})) == (cls is Locker)
    assert begins_at_keyframe(stepped, cls) == (cls is Locker)
    again = crash(stepped, cls)
    assert again.actors[ref.number].names == ["a"]
    assert type(again.actors[ref.number].lock) is object


def test_a_keyframe_of_an_epoch_that_was_not_recovered_does_not_hide_who_lived_before(
    recordings, stepped, tmp_path
):
    store = stepped.start(Store, "s")
    stepped.commit()
    stepped.log.save(tmp_path / "log")
    other = recordings.open("stepped", path=tmp_path / "log")
    write_keyframe(other)
    other.close()
    assert read(tmp_path / "log").keyframe() is not None
    again = recordings.open("stepped", path=tmp_path / "log", classes=[Store])
    assert again.refs(Store)[0].number == store.number


def test_a_keyframe_of_an_epoch_that_was_recovered_stands_for_all_before(stepped, crash):
    store = stepped.start(Store, "s")
    store.request(Put("a"))
    stepped.dispatcher.run()
    again = crash(stepped, Store, Plain)
    write_keyframe(again)
    assert begins_at_keyframe(again, Store, Plain)
    third = crash(again, Store, Plain)
    assert third.actors[store.number].names == ["a"]


def test_a_completion_that_is_owed_to_a_sink_is_read_where_it_stands(recordings, crash):
    runtime = recordings.open("stepped", sinks={"orders": lambda _: None})
    store = runtime.start(Store, "s")
    store.request(Put("a", 7), sink="orders")
    runtime.run_turns()
    with_keyframe(runtime)
    assert not begins_at_keyframe(runtime, Store, Plain)
    heard: list[Any] = []
    again = crash(runtime, Store, Plain, sinks={"orders": heard.append})
    again.dispatcher.run()
    assert [each.get() for each in heard] == [7]


def test_cancels_that_were_under_way_are_read_where_they_began(stepped, crash):
    store = stepped.start(Store, "s")
    Twin(stepped)
    request = store.request(Wait("abc"))
    stepped.dispatcher.run()
    request.cancel()
    with_keyframe(stepped)
    assert not begins_at_keyframe(stepped, Store, Plain)
    again = crash(stepped, Store, Plain)
    again.flush()
    assert all(not law.findings for law in check(read(again.log)).laws)


def test_so_are_those_of_an_endpoint(stepped, crash):
    endpoint = newton.Endpoint(stepped, newton.twin())
    endpoint.bind()
    endpoint.connect()
    endpoint.cancel(asynchronous=True)
    with_keyframe(stepped)
    assert not begins_at_keyframe(stepped)
    again = crash(stepped, Plain)
    again.flush()
    assert all(not law.findings for law in check(read(again.log)).laws)


def test_an_actor_that_a_keyframe_cannot_tell_of_begins_at_its_start_if_that_comes_behind():
    survivors = Survivors()
    survivors.begin_at(
        1, [(9, Entry(3, 1, None)), (9, Entry(4, 1, {"state": (), "kind": "actor"}))]
    )
    for number, actor in ((7, 3), (8, 4)):
        start, born = Start(1, [], {}), Born(actor, 1, 0)
        turn = Turn(number, 0, 1, actor, Origin.APP, None, start, (born,), None, replayable=True)
        survivors.feed(turn)
    lives = [(life.born, life.as_of) for life in survivors.lives.values()]
    assert lives == [(7, 0), (0, 9)]


def with_keyframe(runtime: Any) -> None:
    """Have one keyframe written that shows how things stand, and let nothing go on."""
    runtime.log.keyframes_from(runtime.entries, ALWAYS)
    with runtime.baton:
        batch = runtime.log.seal()
    runtime.log.write(batch)
    runtime.log.keyframes_from(runtime.entries)
    assert read(runtime.log).keyframe() is not None


def test_a_policy_for_start_arguments_holds_for_keyframes_too(recordings):
    runtime = recordings.open("stepped", payloads={"Start": "digest"})
    store = runtime.start(Store, "secret")
    with runtime.baton:
        states = {each.actor: each.state for each in runtime.entries() if each}
    assert states[store.number] is None


numbers = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.tuples(numbers, st.text()), inner)
        | st.sets(numbers | st.text())
        | st.frozensets(st.tuples(numbers, st.booleans()))
        | st.builds(Kept, st.text(), inner)
    ),
    max_leaves=10,
)


def arrays(value: Any) -> Any:
    """What MessagePack makes of it: arrays come back as tuples."""
    return tuple(map(arrays, value)) if isinstance(value, list) else value


@given(values)
def test_what_is_frozen_is_thawed_as_it_was(value):
    try:
        frozen = freeze(value)
    except CannotTellError:
        return  # text that is none, or nested too deeply
    back = thaw(arrays(frozen), Known([Kept]), lambda each: each)
    assert back == value
    assert repr(type(back)) == repr(type(value))


def test_a_state_is_frozen_the_same_under_every_order_of_a_set():
    names = [f"n{number}" for number in range(50)]
    shuffled = random.Random(1).sample(names, len(names))
    assert freeze(set(names)) == freeze(set(shuffled))
