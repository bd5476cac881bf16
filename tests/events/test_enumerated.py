"""Every crash, cut and flipped bit that a small log can meet, one after the other.

``RESCIND_CRASH_STATES`` says how many states each test looks at (default 500), spread over all
that there are; with a large number it is every one.
"""

import errno
import faulthandler
import os
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from rescind.events import LogAccessError, LogFailedError, MemoryStorage, RescindError, read
from rescind.events.testing import (
    Bounds,
    LogCheck,
    Operation,
    RecordingStorage,
    Remains,
    bad_sectors,
    bit_flips,
    check_directory,
    check_written,
    evenly,
    power_losses,
    prefixes,
    process_crashes,
    remains_of,
    turn_of,
    write_life,
)

STATES = int(os.environ.get("RESCIND_CRASH_STATES", "500"))
BOUNDS = Bounds(sector_bytes=256, seed=int(os.environ.get("RESCIND_CRASH_SEED", "0")))
ROLLS = 3_000
"""A segment's length that lets a small log have several."""

pytestmark = pytest.mark.timeout(60 + STATES // 10)


@pytest.fixture(autouse=True)
def _long():
    # In its large size this runs longer than pytest waits before it shows all stacks.
    faulthandler.cancel_dump_traceback_later()


def live(storage, durability="disk", batches=(1, 2, 2), **options):
    """Write one life on a recording storage, noting all that is acknowledged."""
    tell = partial(storage.acknowledge, durable=durability == "disk")
    return write_life(storage, tell, durability=durability, batches=batches, **options)


def two_lives(durability="disk"):
    storage = RecordingStorage(MemoryStorage())
    for _ in range(2):
        live(storage, durability, (1, 2, 1, 2, 1, 2), segment_bytes_max=ROLLS)
    assert len(storage.segments()) > 3, "segments must roll here"
    return storage


def problems(states, **options):
    """Return all problems of all states, and how many states there were."""
    check, found, count = LogCheck(), [], 0
    for state in states:
        found += check.problems(state, **options)
        count += 1
    return found, count


# --- what must hold ------------------------------------------------------------------------------


def harmed(harm, whole, at_most):
    """Return a log cut or flipped in so many places; odd steps meet every bit of a byte."""
    places = sum(map(len, whole.segments.values())) * (8 if harm is bit_flips else 1)
    return harm(whole, step=max(1, places // at_most | 1))


@pytest.mark.parametrize("harm", [prefixes, bit_flips])
def test_whatever_is_cut_or_flipped_nothing_is_read_wrongly_and_gaps_are_exact(harm):
    storage = RecordingStorage(MemoryStorage())
    whole = remains_of(storage, live(storage))
    found, count = problems(harmed(harm, whole, 4 * STATES), go_on=False)
    assert found == []
    assert count > min(STATES, 500)


def whole_log(*, sealed):
    """Return two lives that were closed, or the second of which ended as by a kill."""
    storage = two_lives()
    if sealed:
        return remains_of(storage, len(list(read(storage))))
    *_, left = (state for state in process_crashes(storage.operations) if "'ack" in state.what)
    return replace(left, acknowledged=0)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("harm", [prefixes, bit_flips])
def test_whatever_is_cut_or_flipped_the_log_goes_on_and_gives_no_number_twice(harm, sealed):
    assert problems(harmed(harm, whole_log(sealed=sealed), STATES))[0] == []


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("sector_bytes", [16, 512])
def test_whatever_sector_is_lost_the_log_goes_on_and_gives_no_number_twice(sector_bytes, sealed):
    whole = whole_log(sealed=sealed)
    found, count = problems(evenly(lambda: bad_sectors(whole, sector_bytes=sector_bytes), STATES))
    assert found == []
    assert count > 40


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_wherever_the_process_dies_all_that_was_acknowledged_is_there(durability):
    operations = two_lives(durability).operations
    found, count = problems(evenly(lambda: process_crashes(operations, sector_bytes=8), STATES))
    assert found == []
    assert count > 100


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_whenever_power_is_lost_all_that_was_synced_is_there(durability):
    operations = two_lives(durability).operations
    found, count = problems(evenly(lambda: power_losses(operations, BOUNDS), STATES))
    assert found == []
    assert count > 100


def crashed_again(first_crashes):
    """Yield every state behind every first crash, one life and a power failure."""
    for first in first_crashes:
        storage = first.storage()
        before = len(storage.operations)
        try:
            live(storage, batches=(1,))
        except RescindError:
            assert not first.acknowledged
            continue
        # What the first crash took stays lost, also when numbers behind it are acknowledged.
        read_before = {turn.number for turn in read(first.storage())}
        opened = next(each for each in storage.operations[before:] if each.sort == "acknowledge")
        lost = frozenset(range(1, opened.segment + 1)) - read_before
        for state in power_losses(storage.operations, BOUNDS, start=before):
            yield replace(state, lost=lost)


@pytest.mark.parametrize("first", ["kill", "power"])
def test_a_power_failure_after_a_crash_takes_nothing_that_the_life_between_built_on(first):
    storage = RecordingStorage(MemoryStorage())
    live(storage, segment_bytes_max=ROLLS)
    crashes = {
        "kill": partial(process_crashes, storage.operations, sector_bytes=64),
        "power": partial(power_losses, storage.operations, BOUNDS),
    }[first]
    states = evenly(lambda: crashed_again(evenly(crashes, max(20, STATES // 50))), STATES)
    assert problems(states)[0] == []


class Fails(MemoryStorage):
    """Fails at one operation, half done; a failed sync covers nothing, and no later one does."""

    def __init__(self, at):
        super().__init__()
        self._left = at

    def _step(self):
        self._left -= 1
        if self._left == -1:
            raise OSError(errno.EIO, "Input/output error")

    def create(self, segment, data, *, sync):
        super().create(segment, data[: len(data) // 2 if not self._left else None], sync=sync)
        self._step()

    def append(self, segment, offset, data):
        super().append(segment, offset, data[: len(data) // 2 if not self._left else None])
        self._step()

    def sync(self, segment):  # noqa: ARG002 - the contract's
        self._step()

    def set_mark(self, mark, *, sync):
        self._step()
        super().set_mark(mark, sync=sync)


def failed_at_each_operation():
    """Yield all that a power failure can leave after a failure of each operation in turn."""
    storage = two_lives()
    for at in range(sum(each.sort != "acknowledge" for each in storage.operations)):
        storage = RecordingStorage(Fails(at))
        with suppress(LogFailedError, LogAccessError):
            live(storage, batches=(1, 2, 1, 2, 1, 2), segment_bytes_max=ROLLS)
        failed = [each.failed for each in storage.operations]
        if not any(failed):
            return
        yield from power_losses(storage.operations, BOUNDS, start=failed.index(True))


def test_whatever_operation_fails_and_power_is_lost_then_all_that_was_acknowledged_is_there():
    found, count = problems(evenly(failed_at_each_operation, STATES))
    assert found == []
    assert count > 100


# --- never an unbounded allocation ---------------------------------------------------------------


@pytest.mark.parametrize("harm", [prefixes, bit_flips])
def test_reading_what_is_damaged_takes_no_more_memory_than_what_is_whole(harm):
    whole = remains_of(two_lives())
    limit = 2 * peak_of_reading(whole) + 64 * 1024
    for state in harmed(harm, whole, max(200, STATES // 10)):
        assert peak_of_reading(state) < limit, state.what


def peak_of_reading(state):
    storage = state.storage()
    tracemalloc.start()
    try:
        for _ in read(storage, verify_chain=True):
            pass
    except RescindError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


# --- a real directory ----------------------------------------------------------------------------


def test_the_checks_run_on_a_real_file_system(tmp_path):
    assert check_directory(tmp_path / "here", states_max=max(10, STATES // 100)) == []
    assert [entry.name for entry in (tmp_path / "here").iterdir()] == ["log"]


def test_what_was_written_until_the_end_is_checked_without_remembering_it(tmp_path):
    told: list[int] = []
    last = write_life(tmp_path / "log", told.append, durability="os", batches=[3, 4])
    assert told == [0, 3, last]
    assert check_written(tmp_path / "log", last) == []
    assert check_written(tmp_path / "log", 8) == ["8 was acknowledged, and the log ends with 7"]


# --- the checks can fail -------------------------------------------------------------------------


class SaysItSynced(RecordingStorage):
    """A medium whose sync does nothing, as some disks' do."""

    def sync(self, segment):
        """Return at once."""


def test_a_sync_that_does_nothing_is_found_out():
    storage = SaysItSynced(MemoryStorage())
    live(storage)
    found, _ = problems(evenly(lambda: power_losses(storage.operations, BOUNDS), 200))
    assert any("was acknowledged and is lost" in each for each in found)
    assert any("neither read nor reported as lost" in each for each in found)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"acknowledged": 6, "accounted": 6}, "6 to 6 are neither read nor reported as lost"),
        ({"rotten": True}, "the change is not reported"),
        ({"segments": {}, "acknowledged": 1}, "1 to 1 are neither"),
    ],
)
def test_a_promise_that_is_not_kept_is_a_problem(change, problem):
    storage = RecordingStorage(MemoryStorage())
    live(storage)
    whole = remains_of(storage, 5)
    assert LogCheck().problems(whole) == []
    fields = {"what": "a test", "segments": whole.segments, "accounted": 1} | change
    (found, *_) = LogCheck().problems(Remains(**fields))
    assert found.startswith("a test: ")
    assert problem in found


def test_a_turn_that_was_never_written_is_a_problem():
    storage = RecordingStorage(MemoryStorage())
    live(storage)
    turns = [turn_of(number, 1) for number in (1, 2, 4, 5)]
    found = LogCheck.of(turns).problems(remains_of(storage, 5), go_on=False)
    assert set(found) == {f"nothing happened: read wrongly: {turn_of(3, 1)}"}


# --- the model -----------------------------------------------------------------------------------


def states_of(operations, **bounds):
    """Return the first segment's bytes and the mark in all states, absent ones as None."""
    found = power_losses(operations, Bounds(**bounds))
    return {(state.segments.get(1), state.mark.rstrip(b"\0")) for state in found}


def test_of_an_unsynced_write_every_part_is_kept_or_lost():
    begun = [Operation("create", 1, 0, b"ab", durable=True), Operation("append", 1, 2, b"cdEF")]
    segments = {segment for segment, _ in states_of(begun, sector_bytes=4)}
    # A directory entry can be missing only while its creation is under way.
    assert segments == {
        *(None, b"", b"\0\0", b"ab"),
        *(b"ab\0\0\0\0", b"abcd", b"abcd\0\0", b"ab\0\0EF", b"abcdEF"),
    }


def test_what_a_sync_covered_is_kept_as_soon_as_the_sync_returned():
    operations = [
        Operation("create", 1, 0, b"ab", durable=True),
        Operation("append", 1, 2, b"cd"),
        Operation("sync", 1),
        Operation("acknowledge", 7, durable=True),
    ]
    last = [state for state in power_losses(operations) if state.acknowledged]
    assert [(state.segments, state.acknowledged) for state in last] == [({1: b"abcd"}, 7)]


def test_what_a_failed_sync_left_is_covered_by_no_later_one():
    operations = [
        Operation("create", 1, 0, b"ab", durable=True),
        Operation("append", 1, 2, b"cd"),
        Operation("sync", 1, failed=True),
        Operation("sync", 1),
        Operation("acknowledge", 1, durable=True),
    ]
    last = [state.segments[1] for state in power_losses(operations) if state.acknowledged]
    assert set(last) == {b"ab", b"ab\0\0", b"abcd"}


def test_an_unsynced_mark_is_old_or_new_or_torn():
    old = Operation("set_mark", 0, 0, b"old!", durable=True)
    new = Operation("set_mark", 0, 0, b"NEW?", durable=True)
    marks = {mark for _, mark in states_of([old, new], sector_bytes=2)}
    assert {b"old!", b"NEW?", b"NEd!", b"olW?"} <= marks
    assert {mark for _, mark in states_of([old, new], sector_bytes=512)} == {b"", b"old!", b"NEW?"}


def test_a_segment_whose_entry_is_lost_is_gone_and_a_removed_one_may_come_back():
    operations = [
        Operation("create", 1, 0, b"a"),
        Operation("create", 2, 0, b"b", durable=True),
        Operation("remove", 1),
    ]
    seen = {tuple(state.segments) for state in power_losses(operations)}
    assert seen == {(), (1,), (2,), (1, 2)}
    assert [state.pruned for state in power_losses(operations)][-1]


def test_combinations_are_all_up_to_a_limit_and_chosen_ones_beyond():
    append = Operation("append", 1, 0, bytes(range(1, 13)))
    create = Operation("create", 1, durable=True)

    def kept(**bounds):
        states = power_losses([create, append], Bounds(sector_bytes=1, **bounds), start=1)
        return [state.segments[1] for state in states]

    # Every combination; those without the last byte also at full length.
    assert len(set(kept(all_up_to=12))) == 2**12 + 2**11
    few = kept(all_up_to=3, pairs_up_to=0, samples=0)
    assert {append.data[:length] for length in range(13)} <= set(few)
    assert {bytes(length) + append.data[length:] for length in range(12)} <= set(few)
    assert len(set(kept(all_up_to=3, pairs_up_to=12, samples=0)) - set(few)) > 40
    assert kept(all_up_to=3, seed=1) == kept(all_up_to=3, seed=1) != kept(all_up_to=3, seed=2)


def test_some_of_many_states_are_spread_over_all():
    states = [Remains(str(number), {}) for number in range(100)]
    assert [state.what for state in evenly(lambda: states, 4)] == ["0", "25", "50", "75"]
    assert len(list(evenly(lambda: states, 1_000))) == 100


def test_a_recorded_log_is_the_log_that_was_written():
    storage = two_lives()
    *_, final = process_crashes(storage.operations)
    assert final.segments == remains_of(storage).segments
    assert final.acknowledged == 18
