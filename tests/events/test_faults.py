"""A medium fails: nothing is acknowledged any more, and a reopen finds exactly what was.

The medium is a model of a file system behind a page cache.  A sync that fails loses what it should
have written and says so once; the pages stay visible, called clean, until they are dropped.
"""

import errno
from contextlib import suppress
from itertools import count

import pytest

from rescind.events import (
    LogAccessError,
    LogClosedError,
    LogFailedError,
    MemoryStorage,
    Tell,
    read,
)

from .logs import open_log, record

BATCHES = 8
SEGMENT_BYTES = 2_700
"""A preamble and two or three batches, so that rolls and seals fail too."""


class Medium:
    """Shows what the cache holds; ``after_power_loss`` is what the medium holds.

    Operations are counted from 0; ``fail_at`` names the one that fails, with ``error``, after
    ``share`` of its bytes went through.
    """

    def __init__(self, *, fail_at=None, error=errno.EIO, share=0.0):
        self.path = None
        self._memory = MemoryStorage()
        self.fail_at = fail_at
        self.error = error
        self.share = share
        self.operations = 0
        self.failed_in = ""
        self._kept = {}
        self._kept_mark = b""
        self._lost = set()
        """(segment, position) of bytes that a failed sync never wrote."""

    def __getattr__(self, name):
        return getattr(self._memory, name)

    def _step(self, name):
        operation, self.operations = self.operations, self.operations + 1
        if operation == self.fail_at:
            self.failed_in = name
            return True
        return False

    def _fail(self):
        raise OSError(self.error, "the medium failed")

    def create(self, segment, data, *, sync):
        fails = self._step("create")
        self._memory.create(
            segment, data[: int(len(data) * self.share)] if fails else data, sync=sync
        )
        if fails:
            self._fail()
        if sync:
            self.sync(segment)

    def append(self, segment, offset, data):
        fails = self._step("append")
        through = data[: int(len(data) * self.share)] if fails else data
        self._memory.append(segment, offset, through)
        if fails:
            self._fail()

    def sync(self, segment):
        written = range(len(self._kept.get(segment, b"")), self.size(segment))
        if self._step("sync"):
            self._lost |= {(segment, at) for at in written}
            self._fail()
        self._kept[segment] = self._on_medium(segment)

    def settle(self, segment):
        self.sync(segment)
        self._memory._segments[segment] = bytearray(self._kept[segment])

    def set_mark(self, mark, *, sync):
        if self._step("mark"):
            self._fail()
        self._memory.set_mark(mark, sync=sync)
        if sync:
            self._kept_mark = mark

    def _on_medium(self, segment):
        shown = enumerate(self._memory._segments[segment])
        return bytes(0 if (segment, at) in self._lost else byte for at, byte in shown)

    def after_power_loss(self):
        made = Medium()
        made._memory._segments = {n: bytearray(data) for n, data in self._kept.items()}
        made._memory._mark = self._kept_mark
        return made


class Unmarkable(Medium):
    """Cannot write its mark either."""

    def set_mark(self, mark, *, sync):  # noqa: ARG002 - the contract's
        self._fail()


def write_until_it_fails(storage, durability):
    """Write batches of three; return the log and the numbers that were acknowledged."""
    log = open_log(storage=storage, durability=durability, segment_bytes_max=SEGMENT_BYTES)
    acknowledged = 0
    with suppress(LogFailedError):
        for batch in range(BATCHES):
            for _ in range(3):
                log.append(record(log, Tell(f"{batch} " + "x" * 40)))
            log.write(log.seal())
            acknowledged = log.last_number
    return log, acknowledged


def numbers_in(storage):
    reader = read(storage, verify_chain=True)
    numbers = [turn.number for turn in reader]
    assert all(place.torn for place in reader.damage), reader.damage
    return numbers


def operations(durability):
    storage = Medium()
    write_until_it_fails(storage, durability)
    return storage.operations


def opened(storage, durability):
    """Whether the log got as far as being open before the medium failed."""
    try:
        return write_until_it_fails(storage, durability)
    except LogAccessError:
        return None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("durability", ["os", "disk"])
def test_after_any_failed_operation_exactly_what_was_acknowledged_is_there(
    durability, error, share
):
    met = set()
    for fail_at in range(operations(durability)):
        storage = Medium(fail_at=fail_at, error=error, share=share)
        made = opened(storage, durability)
        met.add(storage.failed_in)
        acknowledged = list(range(1, (made[1] if made else 0) + 1))
        storage.close()
        if made is None and not storage.segments():
            continue
        assert numbers_in(storage) == acknowledged, (fail_at, storage.failed_in)
        again = open_log(storage=storage, durability=durability)
        assert again.last_number == len(acknowledged), (fail_at, storage.failed_in)
        again.append(record(again, Tell("later")))
        again.write(again.seal())
        assert numbers_in(storage) == [*acknowledged, len(acknowledged) + 1], fail_at
        again.close()
    assert met >= {"create", "append"}
    assert durability == "os" or met >= {"sync", "mark"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_after_a_failure_and_a_power_loss_exactly_what_was_acknowledged_is_there(share):
    for fail_at in range(operations("disk")):
        storage = Medium(fail_at=fail_at, share=share)
        made = opened(storage, "disk")
        acknowledged = list(range(1, (made[1] if made else 0) + 1))
        survivor = storage.after_power_loss()
        if not survivor.segments():
            assert not acknowledged
            continue
        assert numbers_in(survivor) == acknowledged, (fail_at, storage.failed_in)
        again = open_log(storage=survivor, durability="disk")
        again.append(record(again, Tell("later")))
        again.write(again.seal())
        assert numbers_in(survivor) == [*acknowledged, len(acknowledged) + 1], fail_at


def test_a_failed_sync_is_not_forgotten_when_the_mark_cannot_be_written_either():
    for fail_at in range(operations("disk")):
        storage = Unmarkable(fail_at=fail_at)
        made = opened(storage, "disk")
        if made is None or storage.failed_in != "sync":
            continue
        storage.close()
        # Nobody could be told; so the next writer has the cache dropped before it looks.
        again = open_log(storage=storage, durability="disk")
        assert again.last_number == made[1], fail_at


@pytest.mark.parametrize("durability", ["os", "disk"])
def test_after_a_failure_every_call_says_so_for_ever(durability):
    begun = count(operations(durability) // 2)
    storage = Medium(fail_at=next(begun))
    log, _ = write_until_it_fails(storage, durability)
    assert storage.failed_in
    storage.fail_at = None  # the medium has recovered
    for call in (
        lambda: log.append(record(log, Tell("more"))),
        lambda: log.extend([record(log, Tell("more"))]),
        log.seal,
    ):
        for _ in range(2):
            with pytest.raises(LogFailedError, match="nothing more is accepted"):
                call()
    log.close()
    with pytest.raises(LogClosedError):
        log.append(record(log, Tell("more")))


def test_a_log_whose_newest_segment_cannot_be_synced_is_not_opened_at_disk():
    storage = Medium()
    log, _ = write_until_it_fails(storage, "disk")
    log.close()
    storage.fail_at = storage.operations
    with pytest.raises(LogAccessError, match="cannot be opened for writing"):
        open_log(storage=storage, durability="disk")
    again = open_log(storage=storage, durability="disk")
    again.close()


def test_a_segment_that_cannot_be_sealed_at_the_end_loses_nothing():
    storage = Medium()
    log, acknowledged = write_until_it_fails(storage, "os")
    storage.fail_at, storage.share = storage.operations, 0.5
    with pytest.raises(LogFailedError):
        log.close()
    assert numbers_in(storage) == list(range(1, acknowledged + 1))
