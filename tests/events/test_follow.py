"""Following a log that is being written: each turn once, in order, as soon as it is durable.

A follower waits only when it has seen all there is.  So the tests let its storage's ``wait`` take
the writer's next step: writer and follower move in turn, and no time passes.
"""

import errno
from contextlib import suppress
from itertools import islice

import pytest

from rescind.events import (
    DirectoryStorage,
    LogFailedError,
    MemoryStorage,
    Tell,
    read,
)
from rescind.events._keyframe import Pace
from rescind.events._watch import WAIT_S_MAX

from .logs import open_log, record
from .streams import Stream, StreamStorage

SMALL = 3_000
"""A preamble and a few batches."""


class InTurn:
    """Any storage whose ``wait`` takes the next step of a script, until there is none."""

    def __init__(self, storage, script):
        self._storage = storage
        self._script = script

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def wait(self, timeout_s):  # noqa: ARG002 - a step takes no time
        return next(self._script, "over") != "over"


def follow_in_turn(storage, script, seen, **options):
    """Follow until the script is over and all is seen; return what was not whole."""
    reader = read(InTurn(storage, script), **options)
    for turn in reader.follow(idle_s=WAIT_S_MAX):
        seen.append(turn.number)
    return reader.damage


def visible(source, **options):
    """What a follower who comes now gets to see."""
    return [turn.number for turn in read(source, **options).follow(idle_s=0)]


def write(log, count=1, actor=1):
    """Write one batch and return its numbers."""
    first = log.last_number + 1
    for number in range(first, first + count):
        log.append(record(log, Tell(f"{number}"), actor=actor))
    log.write(log.seal())
    return list(range(first, first + count))


def crash(log):
    """Leave a log as a process does that is killed: nothing said, the lock gone."""
    log.storage.close()


@pytest.fixture(params=["directory", "memory", "stream"])
def place(request, tmp_path):
    """Make what a writer and its readers hold of one place."""
    memory, stream = MemoryStorage(), Stream()
    return {
        "directory": lambda: DirectoryStorage(tmp_path / "log"),
        "memory": lambda: memory,
        "stream": lambda: StreamStorage(stream, take_over=True),
    }[request.param]


# --- as it grows ---------------------------------------------------------------------------------


def test_a_follower_sees_each_batch_when_it_is_written(place):
    log, seen = open_log(storage=place()), list[int]()

    def script():
        for size in (1, 3, 2, 40):
            before = len(seen)
            write(log, size)
            yield
            assert len(seen) == before + size

    assert not follow_in_turn(place(), script(), seen)
    assert seen == list(range(1, 47))
    log.close()


def test_a_follower_goes_through_rolls_closings_and_crashes_of_writers(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()

    def script():
        nonlocal log
        for life in range(12):
            for size in range(life % 3 + 1, 12):
                write(log, size)
                yield
                assert seen[-1] == log.last_number
            if life % 2:
                log.close()
            else:
                crash(log)
            yield
            log = open_log(storage=place(), segment_bytes_max=SMALL)
            yield

    damage = follow_in_turn(place(), script(), seen)
    assert seen == list(range(1, log.last_number + 1))
    assert not damage
    assert len(place().segments()) > 20
    log.close()


def test_a_slow_follower_finds_several_segments_and_writers_at_once(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()

    def script():
        nonlocal log
        for _ in range(3):
            for _ in range(30):
                write(log, 5)
            crash(log)
            log = open_log(storage=place(), segment_bytes_max=SMALL)
        write(log)
        yield

    assert not follow_in_turn(place(), script(), seen)
    assert seen == list(range(1, 452))
    log.close()


def test_a_log_without_a_turn_can_be_followed_from_its_beginning(place):
    log, seen = open_log(storage=place()), list[int]()

    def script():
        yield
        write(log)
        yield

    follow_in_turn(place(), script(), seen)
    assert seen == [1]
    log.close()


def test_a_reader_that_follows_says_no_more_than_one_that_reads(place):
    log = open_log(storage=place(), segment_bytes_max=SMALL)
    for size in range(1, 15):
        write(log, size)
    assert list(read(place())) == list(read(place()).follow(idle_s=0))
    log.close()
    assert list(read(place())) == list(read(place()).follow(idle_s=0))


def test_a_follower_begins_where_it_was_asked_to(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()
    for _ in range(20):
        write(log, 3)

    def script():
        write(log, 3)
        yield

    follow_in_turn(place(), script(), seen, start=50)
    assert seen == list(range(50, 64))
    log.close()


def test_a_follower_may_begin_at_a_turn_that_is_yet_to_come(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()
    write(log, 3)

    def script():
        for _ in range(20):
            write(log, 3)
            yield

    follow_in_turn(place(), script(), seen, start=50)
    assert seen == list(range(50, 64))
    log.close()


def test_a_follower_of_one_actor_sees_its_turns_only(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()
    expected: list[int] = []

    def script():
        for n in range(60):
            numbers = write(log, 2, actor=n % 3 + 1)
            expected.extend(numbers if n % 3 == 1 else [])
            yield
            assert seen == expected

    expected += write(log, 2, actor=2)
    follow_in_turn(place(), script(), seen, actor=2)
    assert len(seen) == 42
    log.close()


def test_many_followers_at_their_own_pace_see_the_same(place):
    log = open_log(storage=place(), segment_bytes_max=SMALL)
    followers = [read(InTurn(place(), iter(()))).follow() for _ in range(3)]
    seen: list[list[int]] = [[], [], []]
    for n in range(1, 61):
        write(log, 2)
        for pace, follower in enumerate(followers, 1):
            if n % pace == 0:
                seen[pace - 1] += [turn.number for turn in islice(follower, 2 * pace)]
    assert seen == [list(range(1, 121))] * 3
    log.close()


# --- not before it is durable --------------------------------------------------------------------


class Watched(DirectoryStorage):
    """Tells the test when something was appended but not synced yet, and holds marks back."""

    def __init__(self, path):
        super().__init__(path)
        self.before_sync = lambda: None
        self.held_back = None
        self.holds = False

    def sync(self, segment):
        self.before_sync()
        super().sync(segment)

    def set_mark(self, mark, *, sync):
        self.held_back = mark
        if not self.holds:
            super().set_mark(mark, sync=sync)

    def let_go(self):
        self.holds = False
        self.set_mark(self.held_back, sync=False)


def test_at_disk_a_batch_is_not_shown_before_it_is_synced(tmp_path):
    storage = Watched(tmp_path / "log")
    log = open_log(storage=storage, durability="disk", segment_bytes_max=SMALL)
    shown = []
    storage.before_sync = lambda: shown.append(visible(tmp_path / "log"))
    expected: list[int] = []
    for size in range(1, 12):
        before = list(expected)
        expected += write(log, size)
        assert shown
        assert all(numbers == before for numbers in shown)
        assert visible(tmp_path / "log") == expected
        shown.clear()
    assert len(storage.segments()) > 1
    log.close()


def test_at_disk_a_follower_waits_for_the_mark_and_not_for_the_bytes(tmp_path):
    storage, seen = Watched(tmp_path / "log"), list[int]()
    log = open_log(storage=storage, durability="disk", segment_bytes_max=SMALL)

    def script():
        write(log, 2)
        yield
        for _ in range(20):
            before = list(seen)
            storage.holds = True
            write(log, 2)
            yield
            assert seen == before
            storage.let_go()
            yield
            assert seen == list(range(1, log.last_number + 1))

    assert not follow_in_turn(DirectoryStorage(tmp_path / "log"), script(), seen)
    assert len(seen) == 42
    assert len(storage.segments()) > 1
    log.close()


def test_at_disk_what_a_killed_writer_did_not_sync_is_shown_when_the_next_one_has(tmp_path):
    storage, seen = Watched(tmp_path / "log"), list[int]()
    log = open_log(storage=storage, durability="disk")

    def script():
        write(log, 2)
        yield
        storage.holds = True
        write(log, 2)
        crash(log)
        yield
        assert seen == [1, 2]
        again = open_log(tmp_path / "log", durability="disk")
        yield
        assert seen == [1, 2, 3, 4]
        write(again)
        again.close()
        yield

    assert not follow_in_turn(DirectoryStorage(tmp_path / "log"), script(), seen)
    assert seen == [1, 2, 3, 4, 5]


class FailingSync(DirectoryStorage):
    """Fails to sync when it is told to."""

    fails = False

    def sync(self, segment):
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(segment)


def test_what_a_failed_sync_left_is_never_shown_and_its_numbers_come_once(tmp_path):
    storage, texts = FailingSync(tmp_path / "log"), []
    log = open_log(storage=storage, durability="disk")

    def say(log, text):
        log.append(record(log, Tell(text)))
        log.write(log.seal())

    def script():
        say(log, "kept")
        storage.fails = True
        with pytest.raises(LogFailedError):
            say(log, "never acknowledged")
        yield
        log.close()
        again = open_log(tmp_path / "log", durability="disk")
        yield
        say(again, "kept too")
        yield
        again.close()

    reader = read(InTurn(DirectoryStorage(tmp_path / "log"), script()))
    texts += [(turn.number, turn.message.value) for turn in reader.follow(idle_s=WAIT_S_MAX)]
    assert texts == [(1, "kept"), (2, "kept too")]
    assert all(place.torn for place in reader.damage)


class InPieces(DirectoryStorage):
    """Appends byte by byte, as far as the test lets it."""

    def __init__(self, path):
        super().__init__(path)
        self.between = lambda: None

    def append(self, segment, offset, data):
        for at in range(len(data)):
            self.between()
            super().append(segment, offset + at, data[at : at + 1])


def test_no_beginning_of_a_batch_is_shown(tmp_path):
    storage = InPieces(tmp_path / "log")
    log = open_log(storage=storage)
    write(log)
    looks = []
    storage.between = lambda: looks.append(visible(tmp_path / "log"))
    write(log, 3)
    assert len(looks) > 80
    assert all(look == [1] for look in looks)
    assert visible(tmp_path / "log") == [1, 2, 3, 4]
    log.close()


class StopError(Exception):
    """The test's own kill."""


@pytest.mark.parametrize("at", [1, 6, 40, 41, 60, 100])
def test_a_follower_that_saw_a_torn_batch_sees_the_numbers_once_when_they_come_again(tmp_path, at):
    storage, seen = InPieces(tmp_path / "log"), list[int]()
    log = open_log(storage=storage)

    def die():
        if size[0] + at == storage.size(1):
            raise StopError

    def script():
        write(log, 2)
        yield
        size[0] = storage.size(1)
        storage.between = die
        with pytest.raises(StopError):
            write(log, 2)
        crash(log)
        yield
        assert seen == [1, 2]
        again = open_log(tmp_path / "log")
        yield
        write(again, 2)
        yield
        again.close()

    size = [0]
    damage = follow_in_turn(DirectoryStorage(tmp_path / "log"), script(), seen)
    assert seen == [1, 2, 3, 4]
    assert [place.torn for place in damage] == [True]


# --- while segments go ---------------------------------------------------------------------------


def test_removing_what_is_behind_a_follower_does_not_touch_it(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()

    def script():
        for _ in range(60):
            write(log, 4)
            yield
            for segment in place().segments()[:-1]:
                log.storage.remove(segment)

    assert not follow_in_turn(place(), script(), seen)
    assert seen == list(range(1, 241))
    assert len(place().segments()) <= 2
    log.close()


def test_a_follower_finishes_the_file_that_it_is_in_when_its_name_is_removed(tmp_path):
    log = open_log(tmp_path / "log", segment_bytes_max=SMALL)
    while len(log.storage.segments()) < 5:
        write(log, 1)
    reader = read(tmp_path / "log")
    turns = reader.follow(idle_s=0)
    seen = [next(turns).number]
    log.storage.remove(1)
    seen += [turn.number for turn in turns]
    assert seen == list(range(1, log.last_number + 1))
    assert not reader.damage
    log.close()


def test_a_follower_that_is_overtaken_by_removal_says_which_turns_it_missed(place):
    log, seen = open_log(storage=place(), segment_bytes_max=SMALL), list[int]()

    def script():
        while len(place().segments()) < 5:
            write(log, 1)
        for segment in (2, 3):
            log.storage.remove(segment)
        yield
        write(log, 1)
        yield

    write(log, 1)
    (missed,) = follow_in_turn(place(), script(), seen)
    assert missed.row == "missing-segment"
    lost = set(range(missed.first, missed.last + 1))
    assert lost | set(seen) == set(range(1, log.last_number + 1))
    assert not lost & set(seen)
    log.close()


# --- the end -------------------------------------------------------------------------------------


class Patient(MemoryStorage):
    """Grants every wait at once, and says of some that there was a hint."""

    def __init__(self, hints=()):
        super().__init__()
        self.waits = 0
        self._hints = hints

    def wait(self, timeout_s):
        assert timeout_s <= WAIT_S_MAX
        self.waits += 1
        return self.waits in self._hints


@pytest.mark.parametrize(("idle_s", "waits"), [(0, 0), (0.05, 1), (0.06, 2), (1, 20)])
def test_a_follower_ends_when_nothing_came_for_so_long(idle_s, waits):
    storage = Patient()
    log = open_log(storage=storage)
    write(log)
    assert [turn.number for turn in read(storage).follow(idle_s=idle_s)] == [1]
    assert storage.waits == pytest.approx(waits, abs=1 if waits > 2 else 0)


def test_a_hint_alone_does_not_make_a_follower_end_sooner():
    storage = Patient(hints={1, 3})
    open_log(storage=storage)
    assert list(read(storage).follow(idle_s=0.1)) == []
    assert storage.waits == 4


def test_every_turn_makes_a_follower_patient_again():
    storage = Patient()
    log = open_log(storage=storage)

    def script():
        for n in range(30):
            if n % 3 == 2:
                write(log)
            yield

    steps = script()

    class Steps(InTurn):
        def wait(self, timeout_s):
            super().wait(timeout_s)
            return False

    assert len(list(read(Steps(storage, steps)).follow(idle_s=0.15))) == 10


def test_a_follower_without_an_end_waits_on(tmp_path):
    log = open_log(tmp_path / "log")
    waits = 0

    class Endless(DirectoryStorage):
        def wait(self, timeout_s):  # noqa: ARG002 - it passes at once
            nonlocal waits
            waits += 1
            if waits == 500:
                write(log)
            return False

    assert next(read(Endless(tmp_path / "log")).follow()).number == 1
    assert waits == 500
    log.close()


def test_leaving_a_follower_gives_its_files_back_and_another_begins_anew(tmp_path):
    log = open_log(tmp_path / "log")
    write(log, 3)
    reader = read(tmp_path / "log")
    turns = reader.follow()
    assert next(turns).number == 1
    del turns
    reader.close()
    assert [turn.number for turn in reader.follow(idle_s=0)] == [1, 2, 3]
    reader.close()
    log.close()


# --- what was shown stays ------------------------------------------------------------------------


class Full(DirectoryStorage):
    """Takes so many more appends and then has no room; the test looks behind each."""

    def __init__(self, path):
        super().__init__(path)
        self.room = 1 << 30
        self.behind = lambda: None

    def append(self, segment, offset, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= 1
        super().append(segment, offset, data)
        self.behind()


def test_what_was_shown_at_os_stays_when_the_rest_of_its_batch_finds_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr("rescind.events._journal._BODY_BYTES_AIM", 500)
    path, shown = tmp_path / "log", []
    storage = Full(path)
    log = open_log(storage=storage)
    storage.room = 2
    storage.behind = lambda: shown.append(list(read(path).follow(idle_s=0)))
    with pytest.raises(LogFailedError):
        write(log, 100)
    log.close()
    first, second = shown
    assert len(first) < len(second) < 100
    again = open_log(path)
    write(again, 200)
    assert list(read(path))[: len(second)] == second
    again.close()


def test_what_was_shown_at_os_stays_when_the_keyframe_behind_it_finds_no_room(tmp_path):
    path, shown = tmp_path / "log", []
    storage = Full(path)
    log = open_log(storage=storage)
    log.keyframes_from(lambda: iter(()), Pace(log_bytes_min=0))
    storage.room = 1
    storage.behind = lambda: shown.append(list(read(path).follow(idle_s=0)))
    with suppress(LogFailedError):
        write(log, 3)
    log.close()
    (seen,) = shown
    assert len(seen) == 3
    again = open_log(path)
    write(again, 200)
    assert list(read(path))[:3] == seen
    again.close()
