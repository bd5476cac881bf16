"""A log needs no file system: a stream that can append at an expected number is enough.

That ``StreamStorage`` keeps the contract of every storage is shown in ``test_storage``; here stands
what is peculiar to a stream: no flock but a fence, no partial writes but races that are lost.
"""

import os
from collections.abc import Callable
from threading import Thread

import pytest

from rescind.events import LogFailedError, LogLockedError, Tell, read

from .logs import open_log, record, segments_of, small_batches, small_log
from .streams import LostRaceError, Stream, StreamStorage

SMALL = 3_000


class Racing(Stream):
    """Lets somebody else be faster, once."""

    def __init__(self):
        super().__init__()
        self.faster: Callable[[], None] | None = None

    def append(self, message, *, expected):
        faster, self.faster = self.faster, None
        if faster is not None:
            faster()
        super().append(message, expected=expected)


def write(log, count=1):
    for _ in range(count):
        log.append(record(log, Tell(log.last_number + 1)))
    log.write(log.seal())


def numbers(source, **options):
    reader = read(source, verify_chain=True, **options)
    return [turn.number for turn in reader], reader.damage


# --- the stream itself ---------------------------------------------------------------------------


def test_a_stream_takes_a_message_only_at_the_number_that_is_next():
    stream = Stream()
    stream.append(b"one", expected=1)
    for expected in (1, 3):
        with pytest.raises(LostRaceError):
            stream.append(b"two", expected=expected)
    stream.append(b"two", expected=2)
    assert stream.read(1) == [b"one", b"two"]
    assert stream.read(2, 1) == [b"two"]
    assert stream.read(3) == []


def test_waiting_for_a_message_that_is_there_takes_no_time():
    stream = Stream()
    stream.append(b"one", expected=1)
    assert stream.wait(1, 60)
    assert not stream.wait(2, 0)


# --- a log in it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("message_bytes_max", [1 << 20, 50])
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_log_is_written_rolled_reopened_and_read_over_a_stream(durability, message_bytes_max):
    stream = Stream()

    def place():
        return StreamStorage(stream, message_bytes_max=message_bytes_max)

    for _ in range(4):
        log = open_log(storage=place(), durability=durability, segment_bytes_max=SMALL)
        assert log.durability == durability
        for size in range(1, 15):
            write(log, size)
        log.close()
    assert len(place().segments()) > 8
    assert numbers(place()) == (list(range(1, 421)), [])
    assert numbers(place(), start=300) == (list(range(300, 421)), [])
    info = read(place()).info()
    assert info.whole
    assert info.epochs == (1, 2, 3, 4)


@pytest.mark.timeout(60)
def test_a_follower_in_another_thread_sees_each_turn_of_every_writer_once():
    stream = Stream()
    open_log(storage=StreamStorage(stream)).close()

    def work():
        for _ in range(5):
            # Each leaves without a word, as a writer does whose machine is gone.
            storage = StreamStorage(stream, take_over=True, message_bytes_max=300)
            log = open_log(storage=storage, segment_bytes_max=SMALL)
            for size in range(1, 30):
                write(log, size)

    writer = Thread(target=work)
    reader = read(StreamStorage(stream))
    writer.start()
    seen = []
    for turn in reader.follow():
        seen.append((turn.number, turn.message.value))
        if turn.number == 5 * 435:
            break
    writer.join()
    assert seen == [(number, number) for number in range(1, 5 * 435 + 1)]
    assert not reader.damage


def test_every_holder_reads_the_same_bytes_from_the_messages():
    stream = Stream()
    log = open_log(storage=StreamStorage(stream, message_bytes_max=11), durability="memory")
    small_batches(log)
    log.close()
    assert segments_of(StreamStorage(stream)) == small_log(sealed=True)


def test_old_segments_are_removed_by_a_message_and_reading_goes_on_behind_them():
    stream = Stream()
    log = open_log(storage=StreamStorage(stream), segment_bytes_max=SMALL)
    reader = StreamStorage(stream)
    for _ in range(100):
        write(log)
    first = read(reader).info().segments[2].first or 0
    for segment in reader.segments()[:2]:
        log.storage.remove(segment)
    assert reader.segments()[0] == 3
    assert numbers(reader) == (list(range(first, 101)), [])
    log.close()


# --- a fence instead of a lock -------------------------------------------------------------------


def test_a_writer_that_said_goodbye_is_followed_by_any_other():
    stream = Stream()
    for epoch in (1, 2, 3):
        log = open_log(storage=StreamStorage(stream))
        assert log.epoch == epoch
        log.close()


def test_a_writer_that_is_gone_without_a_word_is_replaced_only_on_request():
    stream = Stream()
    write(open_log(storage=StreamStorage(stream)), 3)
    with pytest.raises(LogLockedError) as caught:
        open_log(storage=StreamStorage(stream))
    assert caught.value.pid == os.getpid()
    log = open_log(storage=StreamStorage(stream, take_over=True))
    write(log, 2)
    assert (log.epoch, log.last_number) == (2, 5)
    assert numbers(StreamStorage(stream)) == ([1, 2, 3, 4, 5], [])


def test_of_two_that_take_over_at_once_one_gets_the_log():
    stream = Racing()
    write(open_log(storage=StreamStorage(stream)), 3)
    won = StreamStorage(stream, take_over=True)
    stream.faster = won.lock
    with pytest.raises(LogLockedError):
        StreamStorage(stream, take_over=True).lock()
    won.create(9, b"mine", sync=True)
    assert StreamStorage(stream).read(9, 0, 4) == b"mine"


@pytest.mark.parametrize("looks", [False, True])
def test_a_writer_that_was_replaced_can_write_nothing_more(looks):
    stream = Stream()
    old = open_log(storage=StreamStorage(stream))
    write(old, 3)
    new = open_log(storage=StreamStorage(stream, take_over=True))
    write(new, 2)
    if looks:
        # Also when it has heard of everything, the fence included.
        assert numbers(old.storage)[0] == [1, 2, 3, 4, 5]
    with pytest.raises(LogFailedError, match=r"taken the stream over|not open"):
        write(old)
    old.close()
    write(new)
    assert numbers(StreamStorage(stream)) == ([1, 2, 3, 4, 5, 6], [])
    new.close()


class Overtaken(StreamStorage):
    """Has a rival that is faster at the third message from when the test names it."""

    rival: Callable[[], None] | None = None
    messages = 0

    def _put(self, *message):
        if self.rival is not None:
            self.messages += 1
            if self.messages == 3:
                self._stream.faster = self.rival
        super()._put(*message)


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_a_writer_that_is_replaced_within_a_batch_leaves_it_torn(durability):
    stream = Racing()
    storage = Overtaken(stream, message_bytes_max=50)
    old = open_log(storage=storage, durability=durability)
    write(old, 3)
    new = []
    storage.rival = lambda: new.append(
        open_log(storage=StreamStorage(stream, take_over=True), durability=durability)
    )
    with pytest.raises(LogFailedError):
        write(old, 10)
    assert numbers(StreamStorage(stream))[0] == [1, 2, 3]
    write(new[0], 2)
    seen, damage = numbers(StreamStorage(stream))
    assert seen == [1, 2, 3, 4, 5]
    assert [place.torn for place in damage] == [True]
    assert [turn.number for turn in read(StreamStorage(stream)).follow(idle_s=0)] == seen
