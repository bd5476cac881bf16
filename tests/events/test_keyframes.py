"""Keyframes in a log: what their slices show, when they count, and what damage does to them."""

import errno
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rescind.events import (
    Born,
    Entry,
    Log,
    LogDamagedError,
    LogFailedError,
    MemoryStorage,
    Pace,
    Retention,
    Stopped,
    Tell,
    prune,
    read,
)
from rescind.events._frame import HEADER_BYTES
from rescind.events._keyframe import Located, assemble
from rescind.events._restore import entries_of

from .logs import FrozenStorage, open_log, record, segments_of

AT_ONCE = Pace(log_bytes_min=0, log_bytes_factor=0, slice_entries=1)
"""A keyframe begins with every batch that finds none under way, and takes an entry a batch."""
CLS = 1


class World:
    """Actors that add up what they are told, and the log that they write."""

    def __init__(self, pace=AT_ONCE, **options):
        self.log = open_log(**options)
        self.totals = {}
        self._numbers = count(1)
        self.log.keyframes_from(self.entries, pace)

    def entries(self):
        for number in list(self.totals):
            if number in self.totals:
                yield Entry(number, CLS, {"total": self.totals[number]})

    def bear(self):
        number = next(self._numbers)
        self.totals[number] = 0
        self.log.append(record(self.log, None, Born(number, CLS, 0), actor=number))
        return number

    def tell(self, number, value):
        self.totals[number] += value
        return self.log.append(record(self.log, Tell(value), actor=number))

    def kill(self, number):
        del self.totals[number]
        self.log.append(record(self.log, None, Stopped(number, None), actor=number))

    def seal(self):
        batch = self.log.seal()
        if batch is not None:
            self.log.write(batch)

    def idle(self, batches):
        """Write what concerns nobody, so that slices have batches to stand behind."""
        for _ in range(batches):
            self.log.append(record(self.log, Tell("nothing"), actor=0))
            self.seal()


def take(totals, turn):
    """Fold one turn; of an actor that is not known nothing is made up."""
    for event in turn.events:
        if isinstance(event, Born):
            totals[event.actor] = 0
        elif isinstance(event, Stopped):
            totals.pop(event.actor, None)
    if turn.actor in totals and isinstance(turn.message, Tell):
        totals[turn.actor] += turn.message.value


def fold(turns, last):
    totals: dict[int, int] = {}
    for turn in turns:
        if turn.number <= last:
            take(totals, turn)
    return totals


def restore(reader, keyframe):
    """Return all states, from a keyframe and the turns behind its beginning."""
    as_of, totals = {}, {}
    for number, entry in reader.entries(keyframe):
        as_of[entry.actor], totals[entry.actor] = number, entry.state["total"]
    for turn in reader:
        if turn.number > max(keyframe.number, as_of.get(turn.actor, 0)):
            take(totals, turn)
    return totals


def newest_in(source):
    return read(source).keyframe()


def oldest_in(source, behind=0):
    return read(source).keyframe(behind=behind)


def entries(source):
    reader = read(source)
    keyframe = newest_in(source)
    return keyframe and [(as_of, *entry) for as_of, entry in reader.entries(keyframe)]


# --- what an entry is ----------------------------------------------------------------------------

deeds = st.lists(
    st.tuples(st.sampled_from(["bear", "tell", "tell", "kill", "seal", "seal"]), st.integers(0, 7)),
    max_size=60,
)


@given(deeds, st.integers(1, 4), st.sampled_from([600, 2_000, 1 << 20]))
def test_an_entry_is_the_fold_of_its_actor_up_to_its_stamp_and_later_turns_lead_to_the_state_now(
    deeds, slice_entries, segment_bytes_max
):
    world = World(
        AT_ONCE._replace(slice_entries=slice_entries), segment_bytes_max=segment_bytes_max
    )
    for deed, which in deeds:
        living = list(world.totals)
        if deed == "bear" or not living:
            world.bear()
        elif deed == "seal":
            world.seal()
        elif deed == "kill":
            world.kill(living[which % len(living)])
        else:
            world.tell(living[which % len(living)], which)
    world.idle(len(world.totals) + 3)
    reader = read(world.log)
    turns = list(reader)
    keyframe = reader.keyframe()
    assert keyframe is not None
    for as_of, entry in reader.entries(keyframe):
        assert fold(turns, as_of)[entry.actor] == entry.state["total"]
    assert restore(reader, keyframe) == world.totals
    oldest = reader.keyframe(behind=0)
    assert restore(reader, oldest) == world.totals
    assert reader.damage == []


def test_births_and_deaths_between_slices_are_seen_as_they_are_when_a_slice_is_taken():
    world = World()
    first, second, third = (world.bear() for _ in range(3))
    world.seal()
    world.kill(second)
    later = world.bear()
    world.tell(first, 5)
    world.tell(third, 7)
    world.seal()
    world.idle(1)
    found = entries(world.log)
    assert found == [(3, first, CLS, {"total": 0}), (7, third, CLS, {"total": 7})]
    assert later in world.totals, "its birth is told by a turn behind the keyframe's beginning"


def test_a_source_that_found_nothing_for_a_while_ends_the_slice():
    log = open_log()
    log.keyframes_from(lambda: iter([None, Entry(1, CLS, None), None, None, Entry(2, CLS, None)]),
                       AT_ONCE._replace(slice_entries=9))  # fmt: skip
    for value in range(4):
        log.append(record(log, Tell(value)))
        log.write(log.seal())
    assert entries(log) == [(2, 1, CLS, None), (4, 2, CLS, None)]
    assert len(newest_in(log).places) == 4


def test_a_log_without_living_actors_has_an_empty_keyframe():
    world = World()
    world.kill(world.bear())
    world.seal()
    assert entries(world.log) == []


def test_states_that_cannot_be_carried_are_opaque_and_the_others_stay():
    log = open_log()
    log.keyframes_from(lambda: iter([Entry(1, CLS, {"a": object()}), Entry(2, CLS, 5)]),
                       AT_ONCE._replace(slice_entries=9))  # fmt: skip
    log.append(record(log, Tell(1)))
    log.write(log.seal())
    (_, _, _, opaque), (_, _, _, kept) = entries(log)
    assert (opaque["a"].type, kept) == ("object", 5)


# --- when one begins -----------------------------------------------------------------------------


def test_a_keyframe_begins_when_the_log_has_grown_enough_since_the_last_one():
    world = World(Pace(log_bytes_min=1_000, log_bytes_factor=10, slice_entries=100))
    storage = world.log.storage
    empty = storage.size(1)
    for _ in range(12):
        world.bear()
    begun: dict[int, int] = {}
    while len(begun) < 3:
        before = storage.size(1)
        world.idle(1)
        keyframe = newest_in(world.log)
        if keyframe is not None:
            begun.setdefault(keyframe.number, before)
    first, second, third = begun.values()
    assert 1_000 <= first - empty < 1_200
    [(_, offset)] = oldest_in(world.log).places
    body = int.from_bytes(storage.read(1, offset + 27, 4), "big")
    assert body > 100, "so that the factor decides"
    for grown in (second - first, third - second):
        assert 10 * body <= grown < 10 * body + 200


def test_without_a_source_there_is_no_keyframe():
    log = open_log()
    log.append(record(log, Tell(1)))
    log.write(log.seal())
    assert newest_in(log) is None
    assert oldest_in(log) is None


def test_a_source_that_raises_loses_its_keyframe_and_no_turn():
    broken = [True]

    def source():
        yield Entry(1, CLS, None)
        if broken.pop():
            raise LookupError("a defect")
        yield Entry(2, CLS, None)

    log = open_log()
    log.keyframes_from(source, AT_ONCE._replace(slice_entries=9))
    log.append(record(log, Tell(1)))
    with pytest.raises(LookupError):
        log.seal()
    broken.append(False)
    log.append(record(log, Tell(2)))
    log.write(log.seal())
    assert [turn.message.value for turn in read(log)] == [1, 2]
    assert [entry[1] for entry in entries(log)] == [1, 2]


# --- which one counts ----------------------------------------------------------------------------


def two_keyframes(**options):
    """Return a world whose log has two complete keyframes, the newer one of three parts."""
    world = World(AT_ONCE._replace(slice_entries=2), **options)
    for _ in range(4):
        world.bear()
    world.idle(3)
    for number in world.totals:
        world.tell(number, number)
    world.idle(3)
    return world


def test_an_incomplete_keyframe_is_ignored_and_the_one_before_counts():
    storage = MemoryStorage()
    world = two_keyframes(storage=storage)
    whole = newest_in(world.log)
    world.idle(1)
    storage.close()  # as by a crash, in the middle of the third
    assert newest_in(storage) == whole
    again = open_log(storage=storage)
    again.append(record(again, Tell("in another life")))
    again.close()
    assert newest_in(storage) == whole


def test_parts_of_two_lives_never_make_one_keyframe():
    storage = MemoryStorage()
    world = World(AT_ONCE, storage=storage)
    world.bear()
    world.bear()
    world.seal()
    storage.close()
    other = World(AT_ONCE, storage=storage)
    assert other.log.epoch == 2
    other.idle(1)
    keyframe = newest_in(storage)
    assert (keyframe.epoch, len(keyframe.places)) == (2, 1)


def test_a_keyframe_may_stand_in_several_segments():
    world = World(segment_bytes_max=900)
    for _ in range(12):
        world.bear()
    world.idle(14)
    reader = read(world.log)
    keyframe = oldest_in(world.log)
    assert len({segment for segment, _ in keyframe.places}) > 1
    assert restore(reader, keyframe) == world.totals
    world.log.close()
    assert oldest_in(world.log.storage) == keyframe, "now all are sealed"


def test_the_oldest_keyframe_behind_a_turn_is_found():
    world = two_keyframes()
    log = world.log
    oldest, newest = oldest_in(log), newest_in(log)
    assert oldest.number < newest.number
    assert oldest_in(log, oldest.number) == oldest
    assert oldest_in(log, oldest.number + 1) == newest
    assert oldest_in(log, newest.number + 1) is None


def damage(files, place):
    """Flip a bit inside the body of the block that stands there."""
    segment, offset = place
    data = bytearray(files[segment])
    data[offset + HEADER_BYTES + 3] ^= 0x10
    return files | {segment: bytes(data)}


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("ends", ["sealed", "as by a crash"])
def test_a_keyframe_with_a_damaged_part_does_not_count(ends, part):
    world = two_keyframes()
    if ends == "sealed":
        world.log.close()
    files = segments_of(world.log.storage)
    whole = FrozenStorage(files)
    oldest, newest = oldest_in(whole), newest_in(whole)
    reader = read(FrozenStorage(damage(files, newest.places[part])))
    assert reader.keyframe() == oldest
    assert restore(reader, oldest) == world.totals
    other = read(FrozenStorage(damage(files, oldest.places[part])))
    assert other.keyframe() == other.keyframe(behind=0) == newest
    neither = damage(damage(files, oldest.places[part]), newest.places[part])
    assert newest_in(FrozenStorage(neither)) is None
    assert oldest_in(FrozenStorage(neither)) is None


def test_entries_of_a_part_that_was_damaged_or_removed_meanwhile_are_an_error_and_not_left_out():
    world = two_keyframes()
    files = segments_of(world.log.storage)
    keyframe = newest_in(FrozenStorage(files))
    spoilt = FrozenStorage(damage(files, keyframe.places[1]))
    met = entries_of(spoilt, keyframe)
    assert [next(met), next(met)]
    with pytest.raises(LogDamagedError, match="a part of the keyframe behind turn"):
        next(met)
    with pytest.raises(LogDamagedError):
        next(entries_of(FrozenStorage({}), keyframe))


def test_a_segment_of_another_log_brings_no_keyframe():
    ours = Log.create_or_open(None, entropy=bytes)
    ours.append(record(ours, Tell("ours")))
    ours.close()
    theirs = World(AT_ONCE._replace(slice_entries=2), segment_bytes_max=700)
    theirs.bear()
    theirs.idle(9)
    foreign = segments_of(theirs.log.storage)
    assert ours.log_id != theirs.log.log_id
    [(segment, _)] = newest_in(FrozenStorage(foreign)).places
    assert segment > 1
    stranger = FrozenStorage(segments_of(ours.storage) | {segment: foreign[segment]})
    assert newest_in(stranger) is None
    assert oldest_in(stranger) is None


def test_a_segment_under_another_number_brings_no_keyframe():
    world = World(AT_ONCE._replace(slice_entries=2), segment_bytes_max=700)
    world.bear()
    world.idle(9)
    files = segments_of(world.log.storage)
    whole = FrozenStorage(files)
    [(segment, _)] = oldest_in(whole).places
    copied = FrozenStorage(files | {max(files) + 1: files[segment]})
    assert newest_in(copied) == newest_in(whole)


def test_parts_make_a_keyframe_only_when_all_are_there_in_one_life_and_in_order():
    def assembled(*parts):
        located = [
            Located(epoch, number, part, is_last, (1, at))
            for at, (epoch, number, part, is_last) in enumerate(parts)
        ]
        return [(found.epoch, found.number, len(found.places)) for found in assemble(located)]

    assert assembled((1, 5, 0, False), (1, 5, 1, True)) == [(1, 5, 2)]
    assert assembled((1, 5, 0, False), (2, 5, 1, True)) == []
    assert assembled((1, 5, 0, False), (1, 6, 1, True)) == []
    assert assembled((1, 5, 0, False), (1, 5, 2, True)) == []
    assert assembled((1, 5, 1, True)) == []
    assert assembled((1, 5, 0, False), (1, 5, 0, False), (1, 5, 1, True)) == [(1, 5, 2)]
    assert assembled((1, 5, 0, True), (1, 5, 1, True), (1, 9, 0, True)) == [(1, 5, 1), (1, 9, 1)]


def test_a_part_in_the_place_of_another_is_not_taken_for_it():
    world = two_keyframes()
    keyframe = newest_in(world.log)
    exchanged = keyframe._replace(places=keyframe.places[::-1])
    with pytest.raises(LogDamagedError):
        list(read(world.log).entries(exchanged))


def test_what_was_never_acknowledged_completes_no_keyframe():
    class Failing(MemoryStorage):
        """Appends, and then says that it could not."""

        is_failing = False

        def append(self, segment, offset, data):
            super().append(segment, offset, data)
            if self.is_failing and data[6:7] == b"K":
                raise OSError(errno.EIO, "Input/output error")

    storage = Failing()
    world = two_keyframes(storage=storage)
    before = newest_in(storage)
    world.idle(2)
    storage.is_failing = True
    with pytest.raises(LogFailedError):
        world.idle(1)
    assert newest_in(storage) == before
    storage.close()
    again = open_log(storage=storage)
    again.append(record(again, Tell("in another life")))
    again.close()
    assert newest_in(storage) == before


# --- retention -----------------------------------------------------------------------------------


def test_pruning_keeps_what_the_newest_keyframe_needs_and_the_rest_restores_the_state(tmp_path):
    world = World(path=tmp_path / "log", segment_bytes_max=700)
    for _ in range(5):
        world.bear()
    for round_ in range(30):
        for number in world.totals:
            world.tell(number, round_)
        world.seal()
    world.log.close()
    newest = newest_in(tmp_path / "log")
    pruned = prune(tmp_path / "log", Retention(segments_max=1))
    assert pruned.removed
    assert "the newest keyframe needs it" in pruned.held
    reader = read(tmp_path / "log")
    assert next(iter(reader)).number > 1
    assert reader.keyframe() == newest
    assert restore(reader, newest) == world.totals
    assert reader.info().verdict == "whole"


def test_pruning_does_not_count_on_a_damaged_keyframe(tmp_path):
    world = World(path=tmp_path / "log", segment_bytes_max=700)
    for _ in range(5):
        world.bear()
    world.idle(60)
    world.log.close()
    newest = newest_in(tmp_path / "log")
    numbers = range(newest.number)
    before = [f for n in numbers if (f := oldest_in(tmp_path / "log", n)) != newest][-1]
    segment, _ = newest.places[-1]
    path = tmp_path / "log" / f"{segment:08d}.seg"
    path.write_bytes(damage({segment: path.read_bytes()}, newest.places[-1])[segment])
    pruned = prune(tmp_path / "log", Retention(segments_max=1), dry_run=True)
    assert pruned.keyframe == before
    assert all(old.last <= before.number for old in pruned.removed)
